//! A workload as resolved: what every engine is told, and what the export records.

use serde::{Deserialize, Serialize};

use super::durations::Spread;
use super::program::ProgramSpec;

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
}

impl Kind {
    /// All of them, in the order in which help texts name them.
    pub const ALL: [Self; 5] = [Self::Synthetic, Self::File, Self::Expression, Self::Command, Self::Worker];

    /// As typed and printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Synthetic => "synthetic",
            Self::File => "file",
            Self::Expression => "expression",
            Self::Command => "command",
            Self::Worker => "worker",
        }
    }

    /// Whether tasks are done by programs of the user's own.
    pub const fn is_program(self) -> bool {
        matches!(self, Self::Command | Self::Worker)
    }
}

/// A workload, resolved: nothing is left to a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// How long each task waits for I/O.
    pub io_wait_seconds: f64,
    /// How the durations of both vary from task to task.
    pub spread: Spread,
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
    pub folder: std::path::PathBuf,
    /// The user's own program, where tasks are done by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramSpec>,
}

impl WorkloadSpec {
    /// How long one task takes, as far as the specification says: CPU work and waiting, in seconds.
    /// What it does besides (the kernel's part of a file, a formula) is a rule of thumb.
    pub fn expected_task_seconds(&self) -> f64 {
        let own = match self.kind {
            Kind::Synthetic => 5e-9,
            Kind::File => 30e-6,
            Kind::Expression => 15e-6 + 1.3e-6 * self.expression_args as f64,
            // Nobody knows; the smallest programs take this.
            Kind::Command => 1e-3,
            Kind::Worker => 50e-6,
        };
        // Producing and checking bytes: 2 GB/s is on the slow side of what processors do.
        let bytes = (self.arg_size_bytes + self.result_size_bytes + self.memory_bytes) as f64 / 2e9;
        own + bytes + self.cpu_seconds + self.io_wait_seconds
    }

    /// Whether a task waits rather than computes.
    pub fn waits(&self) -> bool {
        self.io_wait_seconds > 0.0
    }
}
