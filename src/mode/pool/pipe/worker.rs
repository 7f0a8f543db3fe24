//! The worker's side of the pipes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::sync::atomic::Ordering::Release;

use super::Progress;
use super::wire::{Answer, FINISHED, PIECE, READY, REQUEST_WORDS, number_at};
use crate::mode::exec::Handover;
use crate::mode::stamps::Stamps;
use crate::sys::atomic::AtomicU64;
use crate::sys::clock::monotonic_nanoseconds;
use crate::sys::memory::{SharedSlice, Sharing, Visibility};
use crate::workload::{Executor, Meter, Workload, WorkloadSpec};

/// How a worker answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) result_size: usize,
    /// Each task at once, rather than when there is enough to say: what a program has done is not to be done again because its
    /// worker died in the next task.
    pub(super) promptly: bool,
}

impl Manner {
    pub(super) fn of<W: Workload>(workload: &W, spec: &WorkloadSpec) -> Self {
        Self { result_size: workload.result_size(), promptly: spec.kind.is_program() }
    }
}

/// A worker's life: tasks are read and answered until there are no more. How many it has begun stands in `begun`.
pub(super) fn work<W: Workload>(
    workload: &W,
    stamps: &Stamps,
    Manner { result_size, promptly }: Manner,
    begun: &AtomicU64,
    (requests, answers): (File, File),
) -> io::Result<()> {
    let (mut requests, mut answers) =
        (BufReader::with_capacity(PIECE, requests), BufWriter::with_capacity(PIECE, answers));
    let mut meter = Meter::default();
    let mut executor = workload.executor(&mut meter);
    let (mut argument, mut result) = (vec![0; workload.argument_capacity()], vec![0; result_size]);
    let say =
        |answers: &mut BufWriter<File>, task: u64, word: u64, (started, ended): (u64, u64), meter: Meter| {
            answers.write_all(&Answer { task, word, started, ended, meter }.to_bytes())
        };
    let now = monotonic_nanoseconds();
    say(&mut answers, READY, 0, (now, now), meter)?;
    for number in 1.. {
        if requests.buffer().is_empty() {
            // Nothing more to do until the parent says so: it gets what has been done.
            answers.flush()?;
            if requests.fill_buf()?.is_empty() {
                break;
            }
        }
        let mut head = [0; REQUEST_WORDS * 8];
        requests.read_exact(&mut head)?;
        let (task, length) = (number_at(&head, 0), number_at(&head, 1) as usize);
        requests.read_exact(&mut argument[..length])?;
        begun.store(number, Release);
        let stamped = stamps.includes(task);
        let started = if stamped { monotonic_nanoseconds() } else { 0 };
        let outcome = executor.execute(task, &argument[..length], &mut result, &mut meter);
        let ended = if stamped { monotonic_nanoseconds() } else { 0 };
        let word = meter.count(outcome);
        say(&mut answers, task, word.0, (started, ended), meter)?;
        answers.write_all(&result)?;
        if promptly {
            answers.flush()?;
        }
    }
    let now = monotonic_nanoseconds();
    say(&mut answers, FINISHED, 0, (now, now), meter)?;
    answers.flush()
}

/// The life of a worker that was executed anew.
///
/// # Errors
/// If its parent cannot be spoken to.
pub(in crate::mode) fn exec_worker<W: Workload>(
    workload: &W,
    handover: &Handover,
    tasks: u64,
    place: usize,
    pipes: (File, File),
    sharing: &mut Sharing,
) -> io::Result<()> {
    let stamps = Stamps::new(tasks, handover.stamp_stride, Visibility::Private)?;
    let progress = SharedSlice::<Progress>::shared(handover.workers.max(1) as usize, sharing)?;
    let manner = Manner::of(workload, &handover.workload);
    work(workload, &stamps, manner, &progress[place].begun, pipes)
}
