//! `threads`: rayon's thread pool, with results in task order.
//!
//! Without argument bytes the tasks are a parallel iterator. With them, the calling thread makes each argument, as in
//! every mode, and hands over a chunk of them at a time, in a buffer from a fixed set, first in, first out.

use std::any::Any;
use std::cell::RefCell;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::time::Duration;

use rayon::ThreadPool;
use rayon::prelude::*;

use super::board::{execute_bare, timed};
use super::chunk::CHUNKS_AHEAD;
use super::progress::{INTERVAL_NANOSECONDS, Progress, Status};
use super::{Board, Outcome, Round, RoundError, Times, seats};
use crate::measure::shortage;
use crate::sys::atomic::AtomicU64;
use crate::sys::clock::monotonic_nanoseconds;
use crate::sys::memory::{SharedSlice, Visibility};
use crate::workload::{Executor, Meter, Workload};

thread_local! {
    /// This thread's [`Station`], made while the pool is set up.
    static STATION: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

/// What a thread keeps for the whole round.
struct Station<E> {
    executor: E,
    meter: Meter,
}

/// Executes every task of `workload` on a rayon pool of `round.settings.workers` threads.
///
/// # Errors
/// If threads or memory cannot be had.
pub fn run<W: Workload>(workload: &W, round: Round<'_>) -> Result<Outcome, RoundError> {
    let workers = round.settings.workers.unwrap_or(1);
    let chunk = round.settings.chunk.unwrap_or(1) as usize;
    let begin = monotonic_nanoseconds();
    let mut board = Board::new(&round, workload.result_size(), Visibility::Private)?;
    let seated = seats::pay_off(workers, round.tasks, round.spec.expected_work_seconds());
    let taken: SharedSlice<AtomicU64> = SharedSlice::new(seats::WORDS, Visibility::Private)?;
    let (mut meter, mut ready, mut collected) = (Meter::default(), 0, 0);
    let mut progress = round.progress;
    rayon::ThreadPoolBuilder::new()
        .num_threads(workers as usize)
        .build_scoped(
            |thread| {
                if seated {
                    seats::take(workers as usize, |word| taken.get(word));
                }
                thread.run();
            },
            |pool| {
                start_up(pool, workload);
                ready = monotonic_nanoseconds();
                if workload.argument_capacity() == 0 {
                    iterate(pool, workload, &mut board, chunk, &mut progress);
                } else {
                    hand_over(pool, workload, &mut board, (workers as usize, chunk), &mut progress);
                }
                collected = monotonic_nanoseconds();
                meter = tear_down::<W>(pool);
            },
        )
        .map_err(|error| {
            let error = anyhow::Error::new(error).context(format!("failed to start {workers} threads"));
            RoundError::Limit(shortage::behind(&error).unwrap_or_else(|| format!("{error:#}")))
        })?;
    // `build_scoped` has joined every thread.
    let end = monotonic_nanoseconds();
    Ok(Outcome {
        times: Times { begin, ready, collected, end },
        board,
        meter,
        processes_started: 0,
        unstarted: 0,
        peak_alive: 0,
        retries: 0,
        workers_lost: 0,
    })
}

/// Makes each thread's executor, with its start-up work.
fn start_up<W: Workload>(pool: &ThreadPool, workload: &W) {
    pool.broadcast(|_| {
        let mut meter = Meter::default();
        let executor = workload.executor(&mut meter);
        STATION.set(Some(Box::new(Station { executor, meter })));
    });
}

/// Takes down what [`start_up`] has made, and adds up what it has metered.
fn tear_down<W: Workload>(pool: &ThreadPool) -> Meter {
    let meters = pool.broadcast(|_| {
        let station = STATION.take().and_then(|station| station.downcast::<Station<W::Executor>>().ok());
        station.map_or_else(Meter::default, |station| station.meter)
    });
    meters.into_iter().fold(Meter::default(), Meter::plus)
}

/// Calls `action` with the executor and the meter of this thread.
fn at_station<W: Workload>(action: impl FnOnce(&mut W::Executor, &mut Meter)) {
    STATION.with_borrow_mut(|station| {
        let station = station.as_mut().and_then(|station| station.downcast_mut::<Station<W::Executor>>());
        let station = station.expect("every thread of the pool has been started up");
        action(&mut station.executor, &mut station.meter);
    });
}

/// A parallel iterator over chunks of tasks.
fn iterate<W: Workload>(
    pool: &ThreadPool,
    workload: &W,
    board: &mut Board,
    chunk: usize,
    progress: &mut Progress<'_>,
) {
    let size = workload.result_size();
    let (words, results, stamps) = board.parts_mut();
    let execute = |first: usize, words: &[AtomicU64], results: &mut [u8]| {
        at_station::<W>(|executor, meter| {
            if size == 0 {
                // Chunks come in any order, so each has a cursor of its own.
                let stamps = (stamps, &mut stamps.cursor());
                return execute_bare(executor, first as u64, words, stamps, meter, |_| {});
            }
            for (offset, word) in words.iter().enumerate() {
                let result = &mut results[offset * size..][..size];
                let task = (first + offset) as u64;
                let outcome = timed(stamps, task, || executor.execute(task, &[], result, meter));
                word.store(meter.count(outcome).0, Relaxed);
            }
        });
    };
    watched(words, progress, || {
        pool.install(|| {
            let chunks = words.par_chunks(chunk).enumerate();
            if size == 0 {
                chunks.for_each(|(index, words)| execute(index * chunk, words, &mut []));
            } else {
                let chunks = chunks.zip(results.par_chunks_mut(chunk * size));
                chunks.for_each(|((index, words), results)| execute(index * chunk, words, results));
            }
        });
    });
}

/// Runs `work` while another thread looks, now and then, at how many words are there. Nothing is counted in the
/// hot path: of many words only a sample is looked at. Where that thread cannot be had, nobody is told how far it is.
fn watched<R>(words: &[AtomicU64], progress: &mut Progress<'_>, work: impl FnOnce() -> R) -> R {
    const SAMPLE: usize = 4096;
    let stride = (words.len() / SAMPLE).max(1);
    let (finished, wait) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let sampler = std::thread::Builder::new().spawn_scoped(scope, move || {
            let interval = Duration::from_nanos(INTERVAL_NANOSECONDS);
            while wait.recv_timeout(interval) == Err(mpsc::RecvTimeoutError::Timeout) {
                let looked_at = words.iter().step_by(stride);
                let done = looked_at.filter(|word| word.load(Relaxed) != 0).count() * stride;
                progress.tick(Status { tasks_done: done.min(words.len()) as u64, alive: 0 });
            }
        });
        let result = work();
        drop(finished);
        if let Ok(sampler) = sampler {
            sampler.join().expect("the sampler does not panic");
        }
        result
    })
}

/// The arguments of a chunk of tasks.
#[derive(Default)]
struct Arguments {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Arguments {
    /// Takes the place of what was there: the arguments of `count` tasks from `first` on.
    fn make<W: Workload>(&mut self, workload: &W, first: usize, count: usize) {
        let capacity = workload.argument_capacity();
        self.ends.clear();
        let mut end = 0;
        for task in first..first + count {
            // Only as much as the arguments so far have taken: most are shorter than the longest.
            if self.bytes.len() < end + capacity {
                self.bytes.resize(end + capacity, 0);
            }
            end += workload.write_argument(task as u64, &mut self.bytes[end..]);
            self.ends.push(end);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

/// Arguments made by the calling thread and handed over by chunks.
fn hand_over<W: Workload>(
    pool: &ThreadPool,
    workload: &W,
    board: &mut Board,
    (workers, chunk): (usize, usize),
    progress: &mut Progress<'_>,
) {
    let buffers = workers * CHUNKS_AHEAD as usize;
    let size = workload.result_size();
    let (words, mut results, stamps) = board.parts_mut();
    let (give_back, free) = mpsc::channel();
    for _ in 0..buffers {
        give_back.send(Arguments::default()).expect("the receiver is alive");
    }
    pool.in_place_scope_fifo(|scope| {
        for (place, words) in words.chunks(chunk).enumerate() {
            let first = place * chunk;
            let mut arguments = free.recv().expect("a sender is alive");
            arguments.make(workload, first, words.len());
            let handed_back;
            (handed_back, results) = results.split_at_mut(words.len() * size);
            let give_back = give_back.clone();
            scope.spawn_fifo(move |_| {
                at_station::<W>(|executor, meter| {
                    for (offset, (word, argument)) in words.iter().zip(arguments.iter()).enumerate() {
                        let task = (first + offset) as u64;
                        let result = &mut handed_back[offset * size..][..size];
                        let outcome = timed(stamps, task, || executor.execute(task, argument, result, meter));
                        word.store(meter.count(outcome).0, Relaxed);
                    }
                });
                // The receiver is gone once every argument has been made.
                let _ = give_back.send(arguments);
            });
            progress.tick(Status {
                tasks_done: (place + 1).saturating_sub(buffers) as u64 * chunk as u64,
                alive: 0,
            });
        }
    });
}
