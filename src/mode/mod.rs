//! How tasks are executed.
//!
//! A new mode is one file here and one line in [`modes!`] below. It is handed a workload and a [`Round`], executes
//! every task exactly once, and returns an [`Outcome`]: raw times, raw words, raw counts. It never prints, and it
//! does not judge: [`verify`] does, in the same way for all.

pub mod board;
pub mod chunk;
pub mod exec;
mod failures;
pub mod pool;
pub mod process;
mod programs;
pub mod progress;
mod room;
mod seats;
pub mod serial;
pub mod settings;
pub mod stamps;
pub mod start_order;
pub mod threads;
pub mod verify;

pub use board::Board;
pub use progress::Progress;
pub use settings::Settings;

use std::os::fd::RawFd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::measure::shortage;
use crate::sys::memory::Mapping;
use crate::workload::{Meter, OnFailure, Workload, WorkloadSpec};

/// What a mode is given for one round.
pub struct Round<'a> {
    /// Tasks are numbered `0..tasks`.
    pub tasks: u64,
    /// What the workload was made of, for those who have to make it again: children that are programs of their own.
    pub spec: &'a WorkloadSpec,
    /// Worker count, chunk and the like, resolved.
    pub settings: &'a Settings,
    /// Every how many-th task is stamped with its start and end; none without it.
    pub stamp_stride: Option<u64>,
    /// Where to say how far the round is.
    pub progress: Progress<'a>,
    /// What the parent holds: inherited by every process that is forked. Not the round's to give back, which would be
    /// counted as its CPU time.
    pub parent_memory: Option<&'a Mapping>,
    /// What is done when whoever executes a task dies. What executors notice themselves they see to themselves.
    pub on_failure: OnFailure,
    /// Where executors count each other's failures, for those that are programs of their own: an open file of the parent's.
    /// None where nobody counts.
    pub failure_counts: Option<RawFd>,
}

/// The four instants of a round, in nanoseconds on `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// t0: nothing has been created yet.
    pub begin: u64,
    /// t1: ready for the first task. In a pool that is as soon as the first worker is; the others start meanwhile.
    pub ready: u64,
    /// t2: every result is in the parent, in order.
    pub collected: u64,
    /// t3: every worker is gone and reaped.
    pub end: u64,
}

/// What came of a round, raw.
#[derive(Debug)]
pub struct Outcome {
    /// The four instants.
    pub times: Times,
    /// A word and result bytes for each task.
    pub board: Board,
    /// What the executors have done, all together.
    pub meter: Meter,
    /// Processes that were started.
    pub processes_started: u64,
    /// Tries of tasks in `process` mode that came to no process, since their program could not be started.
    pub unstarted: u64,
    /// The most processes that existed at one time, not counting the runner.
    pub peak_alive: u64,
    /// Tasks that were handed out again because whoever held them died.
    pub retries: u64,
    /// Workers that died; each had a successor, whether or not it held a task.
    pub workers_lost: u64,
}

/// Why a round could not be carried out at all. A failed task is not among these.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The machine refuses what the round needs.
    #[error("this machine cannot run the round: {0}")]
    Limit(String),
    /// Anything else that should not happen.
    #[error("{0}")]
    Internal(#[from] anyhow::Error),
}

impl From<std::io::Error> for RoundError {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) if shortage::is_shortage(errno) => Self::Limit(shortage::explained(&error)),
            _ => Self::Internal(error.into()),
        }
    }
}

macro_rules! modes {
    ($($(#[$meta:meta])* $mode:ident = $name:literal => $run:path),+ $(,)?) => {
        /// How tasks are executed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum Mode { $($(#[$meta])* $mode),+ }

        impl Mode {
            /// All modes, in the order of the tables.
            pub const ALL: &'static [Self] = &[$(Self::$mode),+];

            /// As typed and printed.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$mode => $name),+ }
            }

            /// Executes every task of `workload`.
            ///
            /// # Errors
            /// If the round could not be carried out; a failed task is part of the outcome.
            pub fn run<W: Workload>(self, workload: &W, round: Round<'_>) -> Result<Outcome, RoundError> {
                match self { $(Self::$mode => $run(workload, round)),+ }
            }
        }
    };
}

modes! {
    /// One task after another, in one process.
    Serial = "serial" => serial::run,
    /// rayon's thread pool.
    Threads = "threads" => threads::run,
    /// Worker processes that live for the whole round.
    Pool = "pool" => pool::run,
    /// One new process for every task.
    Process = "process" => process::run,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
