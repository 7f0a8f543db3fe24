//! Where the processes of tasks leave what they have done, and their side of it.

use std::io;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::mode::exec::Handover;
use crate::mode::stamps::is_stamped;
use crate::shared_record;
use crate::sys::atomic::AtomicU64;
use crate::sys::fork::{self, Pid};
use crate::sys::lean::LeanTask;
use crate::sys::memory::{Mapping, SharedSlice, Sharing, Slots};
use crate::sys::raw;
use crate::workload::{Executor, Failure, Lean, Meter, Word, Workload};

shared_record! {
    /// Where one living process leaves what it has done. The word comes last.
    pub(super) struct Cell {
        /// [`Word`].
        word,
        /// See [`Meter`].
        work_units,
        initialisations,
        /// 1 + the overshoot of the task's wait in nanoseconds, or 0 if it did not wait.
        overshoot_plus_one,
        /// When the task started and ended, if it is one that is stamped.
        started_at,
        ended_at,
    }
}

impl Cell {
    #[inline(always)]
    fn fill(&self, result: Result<u32, Failure>, meter: &Meter) {
        // A cell comes zeroed, and most tasks have nothing to add to it.
        for (field, value) in
            [(&self.work_units, meter.work_units), (&self.initialisations, meter.initialisations)]
        {
            if value > 0 {
                field.store(value, Relaxed);
            }
        }
        if meter.waits > 0 {
            self.overshoot_plus_one.store(meter.overshoot_nanoseconds + 1, Relaxed);
        }
        self.word.store(Word::new(result).0, Release);
    }

    /// Takes what is in the cell and leaves it as new.
    pub(super) fn take(&self) -> (Word, Meter, Option<(u64, u64)>) {
        let word = Word(self.word.load(Acquire));
        let mut meter = Meter {
            executed: u64::from(word.is_published()),
            work_units: self.work_units.load(Relaxed),
            initialisations: self.initialisations.load(Relaxed),
            ..Meter::default()
        };
        if let Some(overshoot) = self.overshoot_plus_one.load(Relaxed).checked_sub(1) {
            meter.note_wait(overshoot);
        }
        let started_at = self.started_at.load(Relaxed);
        let stamp = (started_at != 0).then(|| (started_at, self.ended_at.load(Relaxed)));
        for field in [
            &self.word,
            &self.work_units,
            &self.initialisations,
            &self.overshoot_plus_one,
            &self.started_at,
            &self.ended_at,
        ] {
            if field.load(Relaxed) != 0 {
                field.store(0, Relaxed);
            }
        }
        (word, meter, stamp)
    }

    /// Executes, and stamps if asked to.
    #[inline(always)]
    fn timed<R>(&self, stamped: bool, execute: impl FnOnce() -> R) -> R {
        if !stamped {
            return execute();
        }
        self.started_at.store(raw::monotonic_nanoseconds(), Relaxed);
        let result = execute();
        self.ended_at.store(raw::monotonic_nanoseconds(), Relaxed);
        result
    }
}

/// What the runner and the process of a task have in common.
pub(super) struct Post {
    /// How many children have executed their first instruction.
    pub(super) begun: &'static AtomicU64,
    pub(super) cells: &'static [Cell],
    pub(super) cells_mapping: &'static Mapping,
    /// Arguments and results by cell; a length in front of each argument.
    arguments: Slots,
    pub(super) results: Slots,
}

const LENGTH_BYTES: usize = size_of::<u64>();

impl Post {
    pub(super) fn new<W: Workload>(workload: &W, limit: usize, sharing: &mut Sharing) -> io::Result<Self> {
        let argument_size = match workload.argument_capacity() {
            0 => 0,
            capacity => LENGTH_BYTES + capacity,
        };
        // The first cell is no process's: it counts those that have begun, on the page that a child touches anyway.
        let all = Box::leak(Box::new(SharedSlice::<Cell>::shared(limit + 1, sharing)?));
        let cells_mapping = all.mapping();
        let (first, cells) = all.split_first().ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self {
            begun: &first.word,
            cells,
            cells_mapping,
            arguments: Slots::shared(limit, argument_size, sharing)?,
            results: Slots::shared(limit, workload.result_size(), sharing)?,
        })
    }

    /// Puts the argument of `task` where the process of `cell` finds it.
    pub(super) fn hand_over<W: Workload>(&mut self, workload: &W, task: u64, cell: usize) {
        if self.arguments.size() > 0 {
            let (length, argument) = self.arguments.get_mut(cell).split_at_mut(LENGTH_BYTES);
            length.copy_from_slice(&(workload.write_argument(task, argument) as u64).to_ne_bytes());
        }
    }

    /// The task of `cell`, executed by a process that may do as it likes.
    pub(super) fn execute<W: Workload>(&mut self, workload: &W, task: u64, cell: usize, stamped: bool) {
        let argument = match self.arguments.size() {
            0 => &[],
            _ => {
                let (length, bytes) = self.arguments.get(cell).split_at(LENGTH_BYTES);
                let length = u64::from_ne_bytes(length.try_into().expect("the length's own bytes"));
                &bytes[..length as usize]
            }
        };
        let mut meter = Meter::default();
        let mut executor = workload.executor(&mut meter);
        let result = self.cells[cell]
            .timed(stamped, || executor.execute(task, argument, self.results.get_mut(cell), &mut meter));
        self.cells[cell].fill(result, &meter);
    }
}

/// The life of a task's process that was executed anew.
///
/// # Errors
/// If what it shares with its parent cannot be had.
pub(in crate::mode) fn exec_task<W: Workload>(
    workload: &W,
    handover: &Handover,
    tasks: u64,
    task: u64,
    cell: usize,
    sharing: &mut Sharing,
) -> io::Result<()> {
    let mut post = Post::new(workload, handover.in_flight.min(tasks) as usize, sharing)?;
    post.begun.fetch_add(1, Relaxed);
    let stamped =
        handover.stamp_stride.and_then(NonZeroU64::new).is_some_and(|stride| is_stamped(task, stride));
    post.execute(workload, task, cell, stamped);
    Ok(())
}

/// What a lean child needs to know.
#[derive(Clone, Copy)]
pub(super) struct LeanChild<L: Lean> {
    pub(super) work: L,
    pub(super) cells: &'static [Cell],
    pub(super) begun: &'static AtomicU64,
    pub(super) runner: Pid,
    /// Every how many-th task is stamped.
    pub(super) stamp_stride: Option<NonZeroU64>,
}

impl<L: Lean> LeanTask for LeanChild<L> {
    #[inline(always)]
    fn run(&self, task: u64, cell: u64) -> i32 {
        self.begun.fetch_add(1, Relaxed);
        fork::die_with(self.runner);
        let mut meter = Meter::default();
        if let Some(cell) = self.cells.get(cell as usize) {
            let stamped = self.stamp_stride.is_some_and(|stride| is_stamped(task, stride));
            let result = cell.timed(stamped, || self.work.execute(task, &mut meter));
            cell.fill(result, &meter);
        }
        0
    }
}
