//! The worker's side of the pool.

use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};

use super::{Pool, Station};
use crate::sys::clock::monotonic_nanoseconds;
use crate::workload::{Meter, Workload};

/// Takes what is left of `inherited`, then claims chunk after chunk until there are no more.
pub(super) fn work<W: Workload>(
    pool: &mut Pool,
    workload: &W,
    station: usize,
    inherited: Option<Range<u64>>,
) {
    let mut meter = Meter::default();
    if let Some(range) = &inherited {
        hold(&pool.stations[station], range);
    }
    let mut executor = workload.executor(&mut meter);
    publish(&pool.stations[station], &meter);
    pool.stations[station].ready_at.store(monotonic_nanoseconds(), Relaxed);
    if let Some(range) = inherited {
        let unfinished = range.filter(|task| !pool.board.word(*task).is_published());
        let unfinished: Vec<u64> = unfinished.collect();
        for task in unfinished {
            execute(pool, &mut executor, station, task, &mut meter);
        }
    }
    while let Some(range) = claim(&pool.counter[0].next, pool.chunk, pool.tasks) {
        hold(&pool.stations[station], &range);
        for task in range {
            execute(pool, &mut executor, station, task, &mut meter);
        }
    }
    pool.stations[station].finished_at.store(monotonic_nanoseconds(), Release);
}

/// The next `chunk` tasks that nobody has claimed; `None` when there are none left.
#[inline]
fn claim(next: &AtomicU64, chunk: u64, tasks: u64) -> Option<Range<u64>> {
    // Relaxed: the counter orders nothing but itself. Arguments are published by another word.
    let start = next.fetch_add(chunk, Relaxed);
    (start < tasks).then(|| start..tasks.min(start.saturating_add(chunk)))
}

#[inline]
fn hold(station: &Station, range: &Range<u64>) {
    station.held_start.store(range.start, Release);
    station.held_end.store(range.end, Release);
}

#[inline]
fn publish(station: &Station, meter: &Meter) {
    station.executed.store(meter.executed, Relaxed);
    station.work_units.store(meter.work_units, Relaxed);
    station.initialisations.store(meter.initialisations, Relaxed);
    station.waits.store(meter.waits, Relaxed);
    station.overshoot_nanoseconds.store(meter.overshoot_nanoseconds, Relaxed);
    station.overshoot_max_nanoseconds.store(meter.overshoot_max_nanoseconds, Relaxed);
}

#[inline]
fn execute<E: crate::workload::Executor>(
    pool: &mut Pool,
    executor: &mut E,
    station: usize,
    task: u64,
    meter: &mut Meter,
) {
    let argument = pool.arguments.wait_for(task);
    let word = pool.board.execute(executor, task, argument, meter);
    publish(&pool.stations[station], meter);
    pool.board.publish(task, word);
    pool.arguments.release(task);
}
