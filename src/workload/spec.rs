//! A workload as resolved: what every engine is told, and what the export records.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::durations::{Spread, TraceSummary};
use super::io::Io;
use super::io::echo::Echo;
use super::program::ProgramSpec;

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Argument and result bytes, CPU work, waiting: each as much as asked for.
    Synthetic,
    /// Creates a file, writes "hi" four times, closes it.
    File,
    /// Evaluates an Excel expression.
    Expression,
    /// A command of the user's own for each task.
    Command,
    /// A worker of the user's own, which is told a task a line and answers with a line.
    Worker,
    /// A call of a Python function of the user's own.
    Call,
}

impl Kind {
    /// All of them, in the order in which help texts name them.
    pub const ALL: [Self; 6] =
        [Self::Synthetic, Self::File, Self::Expression, Self::Command, Self::Worker, Self::Call];

    /// As typed and printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Synthetic => "synthetic",
            Self::File => "file",
            Self::Expression => "expression",
            Self::Command => "command",
            Self::Worker => "worker",
            Self::Call => "call",
        }
    }

    /// Whether tasks are done by code of the user's own, of which nobody knows what it does.
    pub const fn is_program(self) -> bool {
        matches!(self, Self::Command | Self::Worker | Self::Call)
    }
}

/// What the kernel needs to map `bytes` of memory into a process: eight bytes for each page of 4 KiB.
pub const fn page_tables(bytes: u64) -> u64 {
    bytes / 512
}

/// A workload, resolved: nothing is left to a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// What a task does.
    pub kind: Kind,
    /// How many there are.
    pub tasks: u64,
    /// Bytes of argument that each task is handed.
    pub arg_size_bytes: u64,
    /// Bytes that each task hands back, besides its checksum.
    pub result_size_bytes: u64,
    /// CPU work of each task.
    pub cpu_seconds: f64,
    /// How long each task waits for I/O, where that is anyone's to say.
    pub io_wait_seconds: f64,
    /// What it does to wait.
    #[serde(default)]
    pub io: Io,
    /// Bytes that it sends, writes or reads for that.
    #[serde(default)]
    pub io_size_bytes: u64,
    /// The folder whose disk it is done on; empty where none is.
    #[serde(default)]
    pub io_folder: PathBuf,
    /// How the durations of both vary from task to task.
    pub spread: Spread,
    /// What the trace comes to that durations are read from; absent without one.
    #[serde(default)]
    pub trace: Option<TraceSummary>,
    /// Bytes that every task reads, all of them, and that lie in memory once.
    #[serde(default)]
    pub shared_bytes: u64,
    /// Private memory that each task touches, holds until its work is done, and gives back.
    pub memory_bytes: u64,
    /// Memory that the parent holds, touched before the clock starts.
    pub parent_memory_bytes: u64,
    /// CPU work that an executing process or thread does once, before its first task.
    pub init_seconds: f64,
    /// Arguments in each Excel expression.
    pub expression_args: u64,
    /// Whether every process inherits all of its parent's memory, also where its task needs next to nothing of it.
    #[serde(default)]
    pub full_fork: bool,
    /// Where arguments and durations are drawn from.
    pub seed: u64,
    /// Units of CPU work that make a second here; 0 until calibrated.
    #[serde(default)]
    pub units_per_second: f64,
    /// Folder for what tasks write; empty until the controller has made one.
    #[serde(default)]
    pub folder: PathBuf,
    /// The user's own program, where tasks are done by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramSpec>,
    /// How long a task may take that is done by a process of procbench's own; no limit without it. A program has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<f64>,
    /// What is there for the tasks of one round; nothing in a plan.
    #[serde(default, skip_serializing_if = "Ready::is_nothing")]
    pub ready: Ready,
}

/// What somebody else has made ready for the tasks of one round. What is empty is not there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// The folder on the user's disk to write to or read from.
    pub io_folder: PathBuf,
    /// The name of the socket at which the peer of `echo` listens.
    pub peer: String,
    /// The durations of the trace: see [`super::durations::Durations`].
    pub durations: PathBuf,
    /// The shared input: see [`super::shared`].
    pub shared: PathBuf,
}

impl Ready {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl WorkloadSpec {
    /// How long a worker or a process of procbench's own may take for a task.
    pub fn task_timeout(&self) -> Option<Duration> {
        self.timeout_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// The same in seconds, as it was typed: one that is a program has it there.
    pub fn any_timeout_seconds(&self) -> Option<f64> {
        self.program.as_ref().and_then(|program| program.timeout_seconds).or(self.timeout_seconds)
    }

    /// How long a task may take, whoever executes it.
    pub fn any_timeout(&self) -> Option<Duration> {
        self.any_timeout_seconds().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// How long one task takes, as far as the specification says: CPU work and waiting, in seconds.
    /// What it does besides (the kernel's part of a file, a formula) is a rule of thumb.
    pub fn expected_task_seconds(&self) -> f64 {
        let own = match self.kind {
            Kind::Synthetic => 5e-9,
            Kind::File => 30e-6,
            Kind::Expression => 15e-6 + 1.3e-6 * self.expression_args as f64,
            // Nobody knows; the smallest programs take this.
            Kind::Command | Kind::Call => 1e-3,
            Kind::Worker => 50e-6,
        };
        // Producing and checking bytes: 2 GB/s is on the slow side of what processors do. Reading alone is faster.
        let bytes = (self.arg_size_bytes + self.result_size_bytes + self.memory_bytes) as f64 / 2e9
            + self.shared_bytes as f64 / 5e9;
        own + bytes + self.cpu_seconds + self.expected_wait_seconds()
    }

    /// How much of that a task spends with a core, in seconds.
    pub fn expected_work_seconds(&self) -> f64 {
        self.expected_task_seconds() - self.expected_wait_seconds()
    }

    /// How much of that a task spends without a core, in seconds. How fast a disk is, is a rule of thumb.
    pub fn expected_wait_seconds(&self) -> f64 {
        const ROUND_TRIP: f64 = 20e-6;
        const FSYNC: f64 = 1e-3;
        const READ: f64 = 100e-6;
        const DISK_BYTES_PER_SECOND: f64 = 200e6;
        let bytes = self.io_size_bytes as f64;
        match self.io {
            Io::Sleep => self.io_wait_seconds,
            Io::Echo => self.io_wait_seconds + ROUND_TRIP + bytes / 1e9,
            Io::Fsync => FSYNC + bytes / DISK_BYTES_PER_SECOND,
            Io::Read => READ + bytes / DISK_BYTES_PER_SECOND,
        }
    }

    /// Memory that one living process needs for its task, in bytes.
    pub fn bytes_per_process(&self) -> u64 {
        let page_tables = page_tables(self.shared_bytes);
        // Both ends of a connection, and what the peer keeps of a request.
        const CONNECTION: u64 = 8 << 10;
        let io = match self.io {
            Io::Sleep => 0,
            Io::Echo => CONNECTION + 2 * self.io_size_bytes,
            Io::Fsync | Io::Read => self.io_size_bytes,
        };
        [self.arg_size_bytes, self.result_size_bytes, self.memory_bytes, page_tables]
            .into_iter()
            .fold(io, u64::saturating_add)
    }

    /// Memory that the results of all tasks take, in bytes.
    pub fn results_bytes(&self) -> u64 {
        const BYTES_OF_WORD: u64 = 8;
        self.tasks.saturating_mul(BYTES_OF_WORD.saturating_add(self.result_size_bytes))
    }

    /// Memory that a round needs however many processes are alive, in bytes: all results, and what the parent holds.
    pub fn held_bytes(&self) -> u64 {
        self.results_bytes().saturating_add(self.parent_memory_bytes).saturating_add(self.shared_bytes)
    }

    /// Whether a task needs so little of its parent that its process inherits next to nothing: see [`crate::sys::lean`].
    pub fn is_lean(&self) -> bool {
        let io_is_lean = match self.io {
            Io::Sleep => true,
            Io::Echo => Echo::is_lean_size(self.io_size_bytes),
            Io::Fsync | Io::Read => false,
        };
        let alone = self.arg_size_bytes == 0 && self.result_size_bytes == 0 && self.shared_bytes == 0;
        self.kind == Kind::Synthetic
            && self.spread == Spread::Constant
            && alone
            && io_is_lean
            && !self.full_fork
    }
}
