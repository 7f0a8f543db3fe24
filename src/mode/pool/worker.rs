//! The worker's side of the pool.

use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};

use super::arguments::ArgumentRing;
use super::{Pool, Station};
use crate::mode::Board;
use crate::sys::clock::monotonic_nanoseconds;
use crate::workload::{Executor, Meter, Word, Workload};

/// Takes what is left of `inherited`, then claims chunk after chunk until there are no more.
pub(super) fn work<W: Workload>(
    pool: &mut Pool,
    workload: &W,
    station: usize,
    inherited: Option<Range<u64>>,
) {
    let Pool { board, arguments, counter, stations, chunk, tasks, .. } = pool;
    let (station, next) = (&stations[station], &counter[0].next);
    if let Some(range) = &inherited {
        station.hold(range);
    }
    let mut meter = Meter::default();
    let executor = workload.executor(&mut meter);
    station.publish_start(&meter);
    let mut worker = Worker { board, arguments, station, executor, meter };
    station.ready_at.store(monotonic_nanoseconds(), Relaxed);
    if let Some(range) = inherited {
        for task in range {
            if !worker.board.word(task).is_published() {
                worker.execute_one(task);
            }
        }
    }
    let bare = worker.arguments.capacity() == 0 && workload.result_size() == 0;
    while let Some(range) = claim(next, *chunk, *tasks) {
        station.hold(&range);
        if bare { worker.execute_bare(range) } else { range.for_each(|task| worker.execute_one(task)) }
    }
    station.finished_at.store(monotonic_nanoseconds(), Release);
}

/// The next `chunk` tasks that nobody has claimed; `None` when there are none left.
#[inline]
fn claim(next: &AtomicU64, chunk: u64, tasks: u64) -> Option<Range<u64>> {
    // Relaxed: the counter orders nothing but itself. Arguments are published by another word.
    let start = next.fetch_add(chunk, Relaxed);
    (start < tasks).then(|| start..tasks.min(start.saturating_add(chunk)))
}

impl Station {
    #[inline]
    fn hold(&self, range: &Range<u64>) {
        self.held_start.store(range.start, Release);
        self.held_end.store(range.end, Release);
    }

    /// Says what a start-up has taken.
    fn publish_start(&self, meter: &Meter) {
        self.initialisations.store(meter.initialisations, Relaxed);
        self.work_units.store(meter.work_units, Relaxed);
    }

    /// Says what has been done so far, as far as a task can have changed it.
    #[inline]
    fn publish(&self, meter: &Meter) {
        self.executed.store(meter.executed, Relaxed);
        if meter.work_units > 0 {
            self.work_units.store(meter.work_units, Relaxed);
        }
        if meter.waits > 0 {
            self.waits.store(meter.waits, Relaxed);
            self.overshoot_nanoseconds.store(meter.overshoot_nanoseconds, Relaxed);
            self.overshoot_max_nanoseconds.store(meter.overshoot_max_nanoseconds, Relaxed);
        }
    }
}

struct Worker<'a, E> {
    board: &'a mut Board,
    arguments: &'a ArgumentRing,
    station: &'a Station,
    executor: E,
    meter: Meter,
}

impl<E: Executor> Worker<'_, E> {
    /// Executes any task.
    #[inline]
    fn execute_one(&mut self, task: u64) {
        let argument = self.arguments.wait_for(task);
        let word = self.board.execute(&mut self.executor, task, argument, &mut self.meter);
        self.station.publish(&self.meter);
        self.board.publish(task, word);
        self.arguments.release(task);
    }

    /// Executes tasks that have neither argument nor result bytes. Between two tasks that are stamped, nothing is done
    /// but the task, its accounting and its word.
    #[inline]
    fn execute_bare(&mut self, range: Range<u64>) {
        let mut from = range.start;
        while from < range.end {
            let stamped = self.board.stamps.next(from).min(range.end);
            let mut meter = self.meter;
            for (task, word) in (from..stamped).zip(self.board.words(from..stamped)) {
                let result = self.executor.execute(task, &[], &mut [], &mut meter);
                self.station.publish(&meter);
                word.store(Word::new(result).0, Release);
            }
            self.meter = meter;
            if stamped < range.end {
                self.execute_one(stamped);
            }
            from = stamped + 1;
        }
    }
}
