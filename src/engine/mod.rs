//! Who executes a round.
//!
//! An engine is a program that is given one [`protocol::Request`] on its standard input and answers with one
//! [`protocol::Message`] a line. The native engine is procbench itself; a new one is one file here and one line in
//! [`engines!`] below.

pub mod guardian;
pub mod native;
pub mod protocol;
pub mod python;
pub mod tool;

use std::process::Command;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mode::settings::Start;
use crate::mode::{Mode, Settings};
use crate::workload::WorkloadSpec;

macro_rules! engines {
    ($($(#[$meta:meta])* $engine:ident = $name:literal => $command:path),+ $(,)?) => {
        /// Who executes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum Engine { $($(#[$meta])* $engine),+ }

        impl Engine {
            /// All engines.
            pub const ALL: &'static [Self] = &[$(Self::$engine),+];

            /// As typed and printed.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$engine => $name),+ }
            }

            /// The program that executes one round, without standard streams.
            ///
            /// # Errors
            /// If the engine is not to be had on this machine, or not part of `equipment`.
            pub fn command(self, equipment: &Equipment) -> anyhow::Result<Command> {
                match self { $(Self::$engine => $command(equipment)),+ }
            }
        }
    };
}

engines! {
    /// procbench itself.
    Native = "native" => native::command,
    /// CPython, with its standard library.
    Python = "python" => python::command,
    /// xargs, which starts a command for each task.
    Xargs = "xargs" => tool::xargs,
    /// GNU parallel, which does so too.
    Parallel = "parallel" => tool::parallel,
}

impl Engine {
    /// Those that execute tasks themselves. The others start commands.
    pub const OF_TASKS: &'static [Self] = &[Self::Native, Self::Python];

    /// Whether it is a tool that starts commands.
    pub const fn is_tool(self) -> bool {
        matches!(self, Self::Xargs | Self::Parallel)
    }

    /// What of `workload` it cannot do; `None` if it can do it all.
    pub fn refusal(self, workload: &WorkloadSpec) -> Option<String> {
        match self {
            Self::Native => None,
            Self::Python => python::refusal(workload),
            Self::Xargs | Self::Parallel => tool::refusal(self, workload),
        }
    }

    /// How its processes can start.
    pub const fn starts(self) -> &'static [Start] {
        match self {
            Self::Native => &[Start::Fork, Start::Exec],
            Self::Python => &[Start::Fork, Start::Spawn, Start::Forkserver, Start::Loky],
            Self::Xargs | Self::Parallel => &[],
        }
    }

    /// What the names of its rows begin with. The native engine goes without saying.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Native => "",
            Self::Python => "py-",
            Self::Xargs => "xargs-",
            Self::Parallel => "parallel-",
        }
    }

    /// How the name of a row in `mode` begins: `pool`, `py-pool`.
    pub fn kind_name(self, mode: Mode) -> String {
        format!("{}{mode}", self.prefix())
    }
}

/// What engines other than procbench itself are started with, made ready once for a run.
#[derive(Debug, Default)]
pub struct Equipment {
    /// The Python engine, where a strategy needs it.
    pub python: Option<python::Installed>,
    /// The tools that strategies need.
    pub tools: Vec<tool::Tool>,
}

/// One row of the tables: an engine, a mode and their settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    /// What it is called in tables: the mode, with what sets it apart from others of the run.
    pub name: String,
    /// Who executes.
    pub engine: Engine,
    /// How.
    pub mode: Mode,
    /// With which settings.
    pub settings: Settings,
}

impl Strategy {
    /// Whether both do the same, whatever they are called.
    pub fn does_as(&self, other: &Self) -> bool {
        (self.engine, self.mode, &self.settings) == (other.engine, other.mode, &other.settings)
    }
}
