//! The worker's side of the pool.

use std::ops::Range;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::arguments::ArgumentRing;
use super::ledger::Note;
use super::{Common, Station};
use crate::mode::Board;
use crate::mode::board::{execute_bare, timed};
use crate::mode::stamps::Cursor;
use crate::sys::atomic::AtomicU64;
use crate::sys::clock::monotonic_nanoseconds;
use crate::workload::{Executor, Meter, Word, Workload};

/// Takes what is left of `inherited`, then claims chunk after chunk until there are no more: the one at the spare station, who
/// is there for what he inherits, claims nothing.
pub(super) fn work<W: Workload>(
    common: &mut Common,
    workload: &W,
    station: usize,
    inherited: Option<Range<u64>>,
) {
    let Common { board, arguments, counter, stations, chunk, tasks, seated: _ } = common;
    let is_spare = station + 1 == stations.len();
    let station = &stations[station];
    let queue = Queue { next: &counter[0].next, chunk: *chunk, tasks: *tasks };
    // Whoever was here before is buried, and has left nothing (see `Pool::take_leave`).
    debug_assert_eq!(station.held_start_and_side.load(Relaxed), 0);
    let mut holder = Holder { station, side: 0 };
    if let Some(range) = &inherited {
        holder.hold(range, 0);
    }
    let mut meter = Meter::default();
    let executor = workload.executor(&mut meter);
    station.publish_start(&meter);
    let cursor = board.stamps.cursor();
    let mut worker = Worker { board, arguments, holder, executor, meter, cursor };
    station.ready_at.store(monotonic_nanoseconds(), Relaxed);
    if let Some(range) = inherited {
        for task in range {
            if !worker.board.word(task).is_published() {
                worker.execute_one(task);
            }
        }
    }
    if !is_spare {
        match worker.arguments.capacity() == 0 && workload.result_size() == 0 {
            true => worker.execute_bare(&queue),
            false => worker.execute_all(&queue),
        }
    }
    worker.holder.hold(&(queue.tasks..queue.tasks), worker.meter.executed);
    station.finished_at.store(monotonic_nanoseconds(), Release);
}

/// Where tasks are claimed.
struct Queue<'a> {
    next: &'a AtomicU64,
    chunk: u64,
    tasks: u64,
}

impl Queue<'_> {
    /// Takes the next `tasks` tasks, and returns the first of them, which may be beyond the last there is.
    #[inline]
    fn take(&self, tasks: u64) -> u64 {
        // Release: whoever sees that tasks were claimed sees that their worker had published all that it held before, and does
        // not take what it is about to note for nobody's. Arguments are published by another word.
        self.next.fetch_add(tasks, Release)
    }

    /// The next `chunk` tasks that nobody has claimed; `None` when there are none left.
    #[inline]
    fn claim(&self) -> Option<Range<u64>> {
        let start = self.take(self.chunk);
        (start < self.tasks).then(|| start..self.tasks.min(start.saturating_add(self.chunk)))
    }
}

/// Who notes at a station what it holds.
#[derive(Clone, Copy)]
struct Holder<'a> {
    station: &'a Station,
    /// Which of the two counts of tasks executed before counts now. Not read from the station each time: where the next store
    /// goes would wait for that, and with it the next claim, which then takes half as long again.
    side: u64,
}

impl Holder<'_> {
    /// Notes that `range` is held from now on, by a worker that has executed so many tasks before.
    #[inline]
    fn hold(&mut self, range: &Range<u64>, executed_before: u64) {
        let station = self.station;
        self.side ^= 1;
        let before = if self.side == 0 { &station.executed_before } else { &station.executed_before_in_turn };
        before.store(executed_before, Release);
        station.held_start_and_side.store(range.start * 2 + self.side, Release);
        station.held_end.store(range.end, Release);
    }
}

impl Station {
    /// What it says: for the parent.
    pub(super) fn note(&self) -> Note {
        Note {
            held_start_and_side: self.held_start_and_side.load(Acquire),
            held_end: self.held_end.load(Acquire),
            executed_before: [self.executed_before.load(Relaxed), self.executed_before_in_turn.load(Relaxed)],
            ready: self.ready_at.load(Relaxed) > 0,
        }
    }

    /// Says what a start-up has taken.
    fn publish_start(&self, meter: &Meter) {
        // In this order: work without the start-up that it belongs to is told from work that is missing.
        self.work_units.store(meter.work_units, Relaxed);
        self.initialisations.store(meter.initialisations, Release);
    }

    /// Says what has been done so far, as far as a task can have changed it.
    #[inline]
    fn publish(&self, meter: &Meter) {
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
    holder: Holder<'a>,
    executor: E,
    meter: Meter,
    cursor: Cursor,
}

impl<E: Executor> Worker<'_, E> {
    /// Executes any task.
    #[inline]
    fn execute_one(&mut self, task: u64) {
        let argument = self.arguments.wait_for(task);
        let word = self.board.execute(&mut self.executor, task, argument, &mut self.meter);
        self.holder.station.publish(&self.meter);
        self.board.publish(task, word);
        self.arguments.release(task);
    }

    /// Claims and executes until there are no more.
    fn execute_all(&mut self, queue: &Queue<'_>) {
        while let Some(range) = queue.claim() {
            self.holder.hold(&range, self.meter.executed);
            range.for_each(|task| self.execute_one(task));
        }
    }

    /// The same for tasks that have neither argument nor result bytes.
    fn execute_bare(&mut self, queue: &Queue<'_>) {
        let station = self.holder.station;
        // What no task can change was said when the worker had started.
        match (self.executor.meters(), queue.chunk) {
            (true, 1) => self.claim_one_by_one(queue, |meter| station.publish(meter)),
            (false, 1) => self.claim_one_by_one(queue, |_| {}),
            (true, _) => self.claim_bare(queue, |meter| station.publish(meter)),
            (false, _) => self.claim_bare(queue, |_| {}),
        }
    }

    /// A claim for each task: nothing is between two but what has to be, and all that is needed for it stays in registers. What
    /// is put aside in memory has to be there before the next claim is made.
    #[inline(never)]
    fn claim_one_by_one(&mut self, queue: &Queue<'_>, note: impl Fn(&Meter)) {
        let (mut holder, mut cursor) = (self.holder, self.cursor);
        let (words, stamps) = (self.board.words(0..queue.tasks), &self.board.stamps);
        let mut executed = self.meter.executed;
        while let task = queue.take(1)
            && let Some(word) = words.get(task as usize)
        {
            holder.hold(&(task..task + 1), executed);
            let result = match cursor.at_or_after(task) > task {
                true => self.executor.execute(task, &[], &mut [], &mut self.meter),
                false => timed(stamps, task, || self.executor.execute(task, &[], &mut [], &mut self.meter)),
            };
            executed += u64::from(result.is_ok());
            note(&self.meter);
            word.store(Word::new(result).0, Release);
        }
        self.meter.executed = executed;
        self.holder = holder;
    }

    /// A function of its own, so that it has the registers to itself.
    #[inline(never)]
    fn claim_bare(&mut self, queue: &Queue<'_>, note: impl Fn(&Meter)) {
        let (mut holder, mut meter, mut cursor) = (self.holder, self.meter, self.cursor);
        let (words, stamps) = (self.board.words(0..queue.tasks), &self.board.stamps);
        while let Some(range) = queue.claim() {
            holder.hold(&range, meter.executed);
            let words = &words[range.start as usize..range.end as usize];
            let stamps = (stamps, &mut cursor);
            execute_bare(&mut self.executor, range.start, words, stamps, &mut meter, &note);
        }
        (self.meter, self.holder) = (meter, holder);
    }
}
