//! What one task does.
//!
//! A new workload is one file here and one line in [`workloads!`] below. It says how the parent makes a
//! task's argument, how whoever executes the task turns it into a result, and what the result must be.

pub mod argument;
pub mod block;
pub mod cpu;
pub mod durations;
#[cfg(feature = "excel")]
pub mod excel;
pub mod expression;
pub mod file;
pub mod formula;
pub mod io;
pub mod on_failure;
pub mod outcome;
pub mod program;
pub mod shared;
pub mod spec;
pub mod synthetic;
pub mod work;

pub use durations::{Spread, TraceSummary};
pub use io::Io;
pub use on_failure::OnFailure;
pub use outcome::{Failure, Meter, Word};
pub use program::{ProgramSpec, Programs};
pub use spec::{Kind, WorkloadSpec, page_tables};

use program::tally::Tally;
use work::Burner;

/// What one task of a workload does, and what the parent needs to know of it.
pub trait Workload: Sized + Sync {
    /// Executes tasks. Every executing process or thread makes one of its own.
    type Executor: Executor + 'static;

    /// The same work in a form that a lean child can execute: see [`crate::sys::lean`].
    type Lean: Lean;

    /// An executor, once the start-up work (`--init`) is done and metered.
    fn executor(&self, meter: &mut Meter) -> Self::Executor;

    /// The most bytes that any task's argument has.
    fn argument_capacity(&self) -> usize;

    /// Writes the argument of `task` to the front of `buffer`, which holds at least
    /// [`Self::argument_capacity`] bytes, and returns its length.
    fn write_argument(&self, task: u64, buffer: &mut [u8]) -> usize;

    /// The bytes that each task hands back beside its checksum.
    fn result_size(&self) -> usize;

    /// The checksum that the result of `task` must have, worked out apart from the executor;
    /// `None` where there is no other way to it than executing the task.
    fn expected(&self, task: u64, argument: &[u8]) -> Option<u32>;

    /// Of how many tasks, spread evenly, the expected checksum is worked out after a round.
    fn checked_tasks(&self) -> u64 {
        u64::MAX
    }

    /// Whether `result` is what the task with checksum `checksum` had to hand back.
    fn result_is_right(&self, task: u64, checksum: u32, result: &[u8]) -> bool;

    /// CPU work that all tasks and `initialisations` start-ups amount to, in units.
    fn work_units(&self, initialisations: u64) -> u64;

    /// The lean form, where the work allows it.
    fn lean(&self) -> Option<Self::Lean>;

    /// The tasks as programs to be started, where they are some: `process` mode then forks none of its own.
    fn programs(&self) -> Option<&dyn Programs> {
        None
    }

    /// The programs that executors have started so far, where they do.
    fn tally(&self) -> Option<&Tally> {
        None
    }

    /// `task` in the user's own words, such as its line.
    fn describe(&self, _: u64) -> Option<String> {
        None
    }

    /// What went wrong with `task` after its result had been handed in.
    fn late_failure(&self, _: u64) -> Option<Failure> {
        None
    }

    /// A task has failed without any executor having noticed: whoever executed it has died.
    fn note_failure(&self) {}

    /// How often executors have tried a task again.
    fn retries(&self) -> u64 {
        0
    }
}

/// Turns an argument into a result.
pub trait Executor {
    /// Executes `task` on `argument`, fills `result`, and returns the checksum of both task and argument.
    ///
    /// # Errors
    /// Why the task failed.
    fn execute(
        &mut self,
        task: u64,
        argument: &[u8],
        result: &mut [u8],
        meter: &mut Meter,
    ) -> Result<u32, Failure>;

    /// Whether a task may change what the meter says of work and waits. Where none can, nobody has to pass it on between two.
    fn meters(&self) -> bool {
        true
    }

    /// What does the same, where tasks have neither argument nor result bytes and only compute. A loop over many carries nothing else
    /// along then.
    fn burner(&self) -> Option<Burner> {
        None
    }
}

/// A workload whose tasks need neither argument bytes nor a heap.
pub trait Lean: Copy + Sync + 'static {
    /// Executes `task`.
    ///
    /// # Errors
    /// Why the task failed.
    fn execute(&self, task: u64, meter: &mut Meter) -> Result<u32, Failure>;
}

/// For workloads that have no lean form.
#[derive(Debug, Clone, Copy)]
pub enum NeverLean {}

impl Lean for NeverLean {
    fn execute(&self, _: u64, _: &mut Meter) -> Result<u32, Failure> {
        match *self {}
    }
}

/// Something to do with a workload of whatever type.
pub trait Visitor {
    /// What comes of it.
    type Output;

    /// Does it.
    fn visit<W: Workload>(self, workload: W) -> Self::Output;
}

/// Why a workload cannot be made on this machine.
pub type PrepareError = anyhow::Error;

/// Why nobody but Python calls a Python function.
pub const NO_CALL: &str = "the native engine has no Python in it, so it cannot call a Python function";

macro_rules! workloads {
    ($($(#[$meta:meta])* $kind:ident => $make:path),+ $(,)?) => {
        /// Makes the workload of `spec` and hands it to `visitor`.
        ///
        /// # Errors
        /// If what the workload needs (a folder, a feature of this build) cannot be had.
        pub fn visit<V: Visitor>(spec: &WorkloadSpec, visitor: V) -> Result<V::Output, PrepareError> {
            match spec.kind {
                $($(#[$meta])* Kind::$kind => Ok(visitor.visit($make(spec)?)),)+
                Kind::Call => Err(anyhow::anyhow!("{}", NO_CALL)),
            }
        }
    };
}

workloads! {
    Synthetic => synthetic::Synthetic::new,
    File => file::File::new,
    Expression => expression::Expression::new,
    Command => program::command::Command::new,
    Worker => program::worker::LineWorker::new,
}
