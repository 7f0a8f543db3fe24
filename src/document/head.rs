//! What stands at the head of an export that is made of several runs: what it is, and where it comes from.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SCHEMA_VERSION, Tool};

/// What an export is of. One that does not say so is of a single run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A single benchmark.
    Run,
    /// Two runs, one against the other.
    Comparison,
    /// A benchmark for each value of one or two flags.
    Sweep,
    /// The value at which the faster of two strategies changes.
    Crossover,
    /// Which strategy to use.
    Advice,
    /// The claims of two articles, put to the test.
    Claims,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Run, Self::Comparison, Self::Sweep, Self::Crossover, Self::Advice, Self::Claims];

    /// As it stands in an export.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Comparison => "comparison",
            Self::Sweep => "sweep",
            Self::Crossover => "crossover",
            Self::Advice => "advice",
            Self::Claims => "claims",
        }
    }

    /// As one speaks of it: `the export of a sweep`.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Run => "a run",
            Self::Comparison => "a comparison",
            Self::Sweep => "a sweep",
            Self::Crossover => "a crossover",
            Self::Advice => "advice",
            Self::Claims => "claims",
        }
    }
}

/// The head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    /// What this is.
    pub kind: Kind,
    /// Raised whenever a field changes its meaning or goes away.
    #[schemars(extend("const" = SCHEMA_VERSION))]
    pub schema_version: u32,
    /// Whether it was interrupted, or something is missing that was to be run.
    pub partial: bool,
    /// What made this.
    pub tool: Tool,
    /// When it was begun, in UTC, as RFC 3339.
    pub started_at: String,
    /// What was typed, word by word.
    pub command_line: Vec<String>,
}

impl Head {
    /// The head of what this program begins now, of which nothing is missing.
    pub fn now(kind: Kind) -> Self {
        Self {
            kind,
            schema_version: SCHEMA_VERSION,
            partial: false,
            tool: Tool::this(),
            started_at: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            command_line: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
        }
    }

    /// What was typed, as a shell reads it, without where it was exported to.
    pub fn command_in_words(&self) -> String {
        const EXPORTS: [&str; 8] = [
            "--json",
            "--csv",
            "--markdown",
            "--html",
            "--export-json",
            "--export-csv",
            "--export-markdown",
            "--export-html",
        ];
        let own = self.command_line.iter().position(|word| word == "--");
        let (typed, program) = self.command_line.split_at(own.unwrap_or(self.command_line.len()));
        // Where the program lies is of no use to others.
        let mut words = vec!["procbench"];
        let mut rest = typed.iter().skip(1).map(String::as_str);
        while let Some(word) = rest.next() {
            match word.split_once('=') {
                Some((flag, _)) if EXPORTS.contains(&flag) => {}
                None if EXPORTS.contains(&word) => _ = rest.next(),
                _ => words.push(word),
            }
        }
        words.extend(program.iter().map(String::as_str));
        shlex::try_join(words).unwrap_or_else(|_| self.command_line.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_told_without_where_it_went_but_for_a_command_of_ones_own() {
        let typed =
            "/opt/bin/procbench sweep --vary tasks=1,2 --json out.json --html=a.html -- tool --json x";
        let command_line = typed.split(' ').map(String::from).collect();
        let head = Head { command_line, ..Head::now(Kind::Sweep) };
        assert_eq!(head.command_in_words(), "procbench sweep --vary 'tasks=1,2' -- tool --json x");
    }
}
