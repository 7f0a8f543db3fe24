//! What can be typed. No logic: everything ends in a draft of a plan, or names files.

pub mod advise;
pub mod benchmark;
pub mod claims;
pub mod compare;
pub mod crossover;
pub mod report;
pub mod sweep;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::document::head::Kind;

pub use advise::Advise;
pub use benchmark::Benchmark;
pub use claims::Claims;
pub use compare::Compare;
pub use crossover::Crossover;
pub use report::Report;
pub use sweep::Sweep;

/// Pool of workers or a process per task? Measure it: your workload, your machine.
///
/// Runs N tasks serially, by threads, through a core-sized pool of worker processes, and as one process per task, and
/// prints what each costs in time and memory.
#[derive(Debug, Clone, Parser)]
#[command(name = "procbench", version, max_term_width = 100)]
#[command(after_help = AFTER_SHORT_HELP, after_long_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, subcommand_help_heading = "Instead of a benchmark")]
pub struct Cli {
    /// What to do instead of one benchmark.
    #[command(subcommand)]
    pub verb: Option<Verb>,

    /// One benchmark.
    #[command(flatten)]
    pub benchmark: Benchmark,
}

/// What can be done besides one benchmark.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Search modes, workers and chunks for the strategy to use, within a time limit
    #[command(mut_arg("rounds", |of| of.help(ROUNDS_OF_ADVICE)))]
    Advise(Box<Advise>),
    /// Compare strategies over the values of one or two flags: which is best where
    Sweep(Box<Sweep>),
    /// Find the value of a flag at which the faster of two strategies changes
    #[command(mut_arg("rounds", |of| of.help(ROUNDS_OF_CROSSOVER)))]
    Crossover(Box<Crossover>),
    /// Show saved runs: tables, or a page for a browser
    Report(Report),
    /// Compare a run with an older one, for instance in CI
    Compare(Compare),
    /// Print the JSON schema of exports
    Schema {
        /// Of which export
        #[arg(default_value = "run")]
        of: Kind,
    },
    /// Put the claims of two articles on Python's multiprocessing to the test on this machine
    Claims(Claims),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, for man -l -
    Man,
}

const ROUNDS_OF_ADVICE: &str = "Timed rounds of the finals, from which the answer is taken [default: 30, or as many as there is time for]";
const ROUNDS_OF_CROSSOVER: &str = "Timed rounds at one value, at most; twice as many at an end of the range that does not tell [default: 40]";

/// The last line of each `-h` that does not show everything.
const MORE_HELP: &str = "These flags are those that most questions take: --help shows all.";

/// Whoever asks for a little has a minute.
const AFTER_SHORT_HELP: &str = "\
Examples:
  procbench --tasks 20000 --cpu 20us            four modes in one run
  procbench --tasks 64 --io-wait 100ms          where pool and process part company
  procbench -n 1000 -m serial,pool:workers=4x   several settings in one run
  procbench --tasks 200 -- gzip -kf file-{}     your own command as the task

These flags are those that most questions take: --help shows all, and exit codes.";

const AFTER_HELP: &str = "\
Examples:
  procbench --tasks 1M --mode pool              one mode
  procbench --tasks 20000 --cpu 20us            four modes in one run
  procbench --tasks 64 --io-wait 100ms          where pool and process part company
  procbench -n 1000 -m serial,pool:workers=4x   several settings in one run
  procbench --config bench-configs/io-bound.toml --json out.json
  procbench --tasks 200 -- gzip -kf file-{}     your own command as the task
  procbench --worker 'python3 worker.py' --args-from lines.txt
  procbench claims --quick                      what the articles say, and what is so here

Exit codes:
  0    all tasks done and all results agree
  1    a task failed, a strategy was given up, or a result was wrong
  2    the command line or the spec is wrong
  3    this machine cannot run it, or a search not within its time limit
  4    something is slower than it may be (compare --fail-if-slower)
  130  interrupted; what was finished is reported";
