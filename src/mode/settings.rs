//! The settings of a strategy, resolved.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a mode was told besides the workload. A setting that a mode does not have is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Worker processes (`pool`) or threads (`threads`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<u64>,
    /// Tasks that a worker claims at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<u64>,
    /// How arguments and results travel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// How a process starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// The most processes alive at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u64>,
    /// By which of Python's calls tasks are handed to a pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// Chunks that a worker of Python's pool executes before another takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tasks_per_child: Option<u64>,
    /// By what Python evaluates expressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluator: Option<Evaluator>,
}

/// By what Python evaluates expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Evaluator {
    /// By procbench's own lines, which know the formulas of the workload alone.
    #[default]
    Own,
    /// By the package of that name, where it is installed.
    Formulas,
}

impl Evaluator {
    /// All of them, in the order in which help texts name them.
    pub const ALL: [Self; 2] = [Self::Own, Self::Formulas];

    /// As typed and printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Formulas => "formulas",
        }
    }

    /// The package that it takes, as it is imported and installed.
    pub const fn library(self) -> Option<&'static str> {
        match self {
            Self::Own => None,
            Self::Formulas => Some("formulas"),
        }
    }
}

/// How arguments and results travel between the parent and its workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Through memory that both see.
    SharedMemory,
    /// Through a pair of pipes for each worker.
    Pipe,
}

impl Transport {
    /// As typed and printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SharedMemory => "shared-memory",
            Self::Pipe => "pipe",
        }
    }
}

/// How a process starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// As a copy of its parent.
    Fork,
    /// As a program of its own: procbench executed anew, which inherits nothing but open files.
    Exec,
    /// As a fresh interpreter, which imports the program again.
    Spawn,
    /// As a copy of a server, which is a fresh interpreter.
    Forkserver,
    /// As a fresh interpreter, in the way of the library of that name.
    Loky,
}

impl Start {
    /// As typed and printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Exec => "exec",
            Self::Spawn => "spawn",
            Self::Forkserver => "forkserver",
            Self::Loky => "loky",
        }
    }
}

/// By which of Python's calls tasks are handed to a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// `Pool.map`.
    #[default]
    Map,
    /// `Pool.imap`.
    Imap,
    /// `Pool.imap_unordered`.
    ImapUnordered,
    /// `Pool.apply_async`, once for each task.
    ApplyAsync,
    /// `concurrent.futures.ProcessPoolExecutor.map`.
    Executor,
    /// `loky.get_reusable_executor().map`, where that library is installed.
    Loky,
    /// `mpire.WorkerPool.map`, where that library is installed.
    Mpire,
}

impl Api {
    /// All of them, in the order in which help texts name them.
    pub const ALL: [Self; 7] = [
        Self::Map,
        Self::Imap,
        Self::ImapUnordered,
        Self::ApplyAsync,
        Self::Executor,
        Self::Loky,
        Self::Mpire,
    ];

    /// The library that it takes besides Python's own, as it is imported and installed.
    pub const fn library(self) -> Option<&'static str> {
        match self {
            Self::Loky => Some("loky"),
            Self::Mpire => Some("mpire"),
            Self::Map | Self::Imap | Self::ImapUnordered | Self::ApplyAsync | Self::Executor => None,
        }
    }

    /// As typed and printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Imap => "imap",
            Self::ImapUnordered => "imap_unordered",
            Self::ApplyAsync => "apply_async",
            Self::Executor => "executor",
            Self::Loky => "loky",
            Self::Mpire => "mpire",
        }
    }
}
