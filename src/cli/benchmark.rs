//! The flags of a benchmark: what it runs, by which strategies, and how it is measured.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::engine::Engine;
use crate::measure::memory::Choice;
use crate::mode::settings::{Api, Evaluator, Start, Transport};
use crate::plan::draft::{
    self, Chunk, Draft, InFlight, RunDraft, StrategyDraft, Words, Workers, WorkloadDraft,
};
use crate::plan::engines::by_engines;
use crate::plan::units::{Count, Length, Percent, Seconds, Size};
use crate::plan::vary::Flags;
use crate::workload::program::SuccessCodes;
use crate::workload::{Io, Kind, OnFailure, Spread};

/// A workload, its strategies, and how they are measured. Everything ends in a [`Draft`]. `-h` shows those flags that most
/// questions take, `--help` all of them.
#[derive(Debug, Clone, Args)]
pub struct Benchmark {
    /// How many tasks: 1000000, 1_000_000, 1e6 and 1M are the same [default with a trace: as many as it has]
    #[arg(short = 'n', long, value_name = "N", allow_hyphen_values = true, help_heading = WORKLOAD)]
    pub tasks: Option<Count>,

    /// What a task does: synthetic, file, expression, command, worker or call [default: synthetic]
    #[arg(long, value_name = "KIND", value_parser = draft::parse_kind, hide_short_help = true, help_heading = WORKLOAD)]
    pub workload: Option<Kind>,

    /// CPU work of each task, such as 20us; trace for what the trace says
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, help_heading = WORKLOAD)]
    pub cpu: Option<Length>,

    /// How long each task waits for I/O, such as 5ms; trace for what the trace says
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, help_heading = WORKLOAD)]
    pub io_wait: Option<Length>,

    /// What it does to wait: sleep, echo (a round trip to another process), fsync (writes a file), read (from a file
    /// that is not in memory) [default: sleep]
    #[arg(long, value_name = "KIND", value_parser = draft::parse_io, hide_short_help = true, help_heading = WORKLOAD)]
    pub io: Option<Io>,

    /// Bytes that each task sends, writes or reads for that [default: 64 for echo, 4KiB for fsync and read]
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, hide_short_help = true, help_heading = WORKLOAD)]
    pub io_size: Option<Size>,

    /// Folder on the disk that fsync and read are to use; what is made there is removed afterwards
    #[arg(long, value_name = "DIR", hide_short_help = true, help_heading = WORKLOAD)]
    pub io_folder: Option<PathBuf>,

    /// How task durations vary: constant, uniform:0.5, exponential, lognormal:1.0, or trace:FILE with one in each line
    /// [default: constant]
    #[arg(long, value_name = "DIST", hide_short_help = true, help_heading = WORKLOAD)]
    pub spread: Option<Spread>,

    /// Bytes handed to each task, such as 64KiB
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, hide_short_help = true, help_heading = WORKLOAD)]
    pub arg_size: Option<Size>,

    /// Bytes handed back by each task
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, hide_short_help = true, help_heading = WORKLOAD)]
    pub result_size: Option<Size>,

    /// Private memory that each task touches and holds until its work is done
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, hide_short_help = true, help_heading = WORKLOAD)]
    pub memory: Option<Size>,

    /// Bytes that every task reads, all of them, and that lie in memory once
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, hide_short_help = true, help_heading = WORKLOAD)]
    pub shared: Option<Size>,

    /// Memory that the parent holds and has touched before the clock starts: a fork pays for it
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, hide_short_help = true, help_heading = WORKLOAD)]
    pub parent_memory: Option<Size>,

    /// CPU work that an executing process or thread does once, before its first task
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, hide_short_help = true, help_heading = WORKLOAD)]
    pub init: Option<Seconds>,

    /// Arguments in each Excel expression [default: 10]
    #[arg(long, value_name = "N", allow_hyphen_values = true, hide_short_help = true, help_heading = WORKLOAD)]
    pub expression_args: Option<Count>,

    /// The task is a command of your own; {} stands for the task's line, or its number. It is executed by every round of
    /// every strategy: in this folder, with this environment, without input, its output discarded
    #[arg(last = true, value_name = "COMMAND", help_heading = PROGRAMS)]
    pub command: Vec<String>,

    /// The task is a line told to a worker of your own, a program that reads a line and answers with a line, again and again
    #[arg(long, value_name = "COMMAND", help_heading = PROGRAMS)]
    pub worker: Option<Words>,

    /// The task is a call of a Python function of your own, package.module:function; the module is imported from this
    /// folder. Each line of --args-from is a JSON value, the function's one argument
    #[arg(long, value_name = "FUNCTION", help_heading = PROGRAMS)]
    pub call: Option<String>,

    /// Write what that function has returned as JSON lines, one for each task
    #[arg(long, value_name = "FILE", requires = "call", hide_short_help = true, help_heading = PROGRAMS)]
    pub returns: Option<PathBuf>,

    /// Where tasks' lines come from, one each; - is standard input [default: the tasks' numbers]
    #[arg(long, value_name = "FILE", help_heading = PROGRAMS)]
    pub args_from: Option<String>,

    /// Have /bin/sh execute the command or the worker; {} is then a parameter, which is never executed itself
    #[arg(long, hide_short_help = true, help_heading = PROGRAMS)]
    pub shell: bool,

    /// How long a task may take; then its whole process group is killed, and it has failed. Tasks that are no programs have that
    /// in pool and process only: the worker or the process is killed
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, hide_short_help = true, help_heading = PROGRAMS)]
    pub timeout: Option<Seconds>,

    /// Keep what commands write, in DIR/STRATEGY/TASK.out and .err; what was there is replaced
    #[arg(long, value_name = "DIR", hide_short_help = true, help_heading = PROGRAMS)]
    pub output: Option<String>,

    /// Have /bin/sh execute this before each round, outside the clock
    #[arg(long, value_name = "COMMAND", hide_short_help = true, help_heading = PROGRAMS)]
    pub prepare: Option<String>,

    /// Do not compare what workers answer and functions return: for what differs each time, such as the time
    #[arg(long, hide_short_help = true, help_heading = PROGRAMS)]
    pub ignore_answers: bool,

    /// Exit codes of commands that are no failure, such as 0,1 [default: 0]
    #[arg(long, value_name = "LIST", allow_hyphen_values = true, hide_short_help = true, help_heading = PROGRAMS)]
    pub success_codes: Option<SuccessCodes>,

    /// Modes to compare: any of serial, threads, pool, process, with settings after colons, such as
    /// pool:workers=8:chunk=1 [default: all four]
    #[arg(short, long, value_name = "LIST", value_delimiter = ',', help_heading = STRATEGIES)]
    pub mode: Vec<StrategyDraft>,

    /// Workers of pool and threads: a number, or 4x for four times the cores [default: 1x]
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = STRATEGIES)]
    pub workers: Option<Workers>,

    /// Tasks a worker claims at a time: auto, python (Pool.map's own), or a number [default: auto]
    #[arg(long, value_name = "N", allow_hyphen_values = true, hide_short_help = true, help_heading = STRATEGIES)]
    pub chunk: Option<Chunk>,

    /// Processes alive at once in process mode: all (as far as this machine can bear it), or a number [default: all]
    #[arg(long, value_name = "N", allow_hyphen_values = true, hide_short_help = true, help_heading = STRATEGIES)]
    pub in_flight: Option<InFlight>,

    /// How arguments and results travel in the pool: shared-memory or pipe [default: shared-memory]
    #[arg(long, value_name = "T", value_parser = draft::parse_transport, hide_short_help = true, help_heading = STRATEGIES)]
    pub transport: Option<Transport>,

    /// How a process starts: fork (a copy of its parent), or exec (procbench executed anew); in Python fork, spawn or
    /// forkserver [default: fork, or Python's own]
    #[arg(long, value_name = "METHOD", value_parser = draft::parse_start, hide_short_help = true, help_heading = STRATEGIES)]
    pub start: Option<Start>,

    /// Who executes: native, python, and for commands xargs and parallel, each of which then has a row for each mode
    /// [default: native]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = draft::parse_engine, help_heading = STRATEGIES)]
    pub engine: Vec<Engine>,

    /// How Python hands tasks to a pool: map, imap, imap_unordered, apply_async, executor
    /// (concurrent.futures), or, where they are installed, loky or mpire [default: map]
    #[arg(long, value_name = "CALL", value_parser = draft::parse_api, hide_short_help = true, help_heading = STRATEGIES)]
    pub api: Option<Api>,

    /// Chunks that a worker of Python's pool executes before another takes its place [default: no limit]
    #[arg(long, value_name = "N", allow_hyphen_values = true, hide_short_help = true, help_heading = STRATEGIES)]
    pub max_tasks_per_child: Option<Count>,

    /// By what Python evaluates expressions: own (a few lines that know these alone), or, where it is installed, the
    /// package formulas [default: own]
    #[arg(long, value_name = "NAME", value_parser = draft::parse_evaluator, hide_short_help = true, help_heading = STRATEGIES)]
    pub evaluator: Option<Evaluator>,

    /// Python's interpreter, 3.8 or later [default: python3]
    #[arg(long, value_name = "PATH", hide_short_help = true, help_heading = STRATEGIES)]
    pub python: Option<PathBuf>,

    /// Timed rounds of each strategy [default: 10, or as many as fit into 30 s, at least 1]
    #[arg(long, alias = "runs", value_name = "N", allow_hyphen_values = true, help_heading = MEASURING)]
    pub rounds: Option<Count>,

    /// Rounds before those, not timed; memory is measured in the first, which is always run [default: 1]
    #[arg(long, value_name = "N", allow_hyphen_values = true, hide_short_help = true, help_heading = MEASURING)]
    pub warmup: Option<Count>,

    /// Time that the timed rounds of one strategy may take together; at least one is run
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, hide_short_help = true, help_heading = MEASURING)]
    pub time_budget: Option<Seconds>,

    /// Where the order of strategies, arguments and durations are drawn from [default: 1]
    #[arg(long, value_name = "N", allow_hyphen_values = true, hide_short_help = true, help_heading = MEASURING)]
    pub seed: Option<u64>,

    /// Strategy that the others are compared with [default: serial where it runs]
    #[arg(long, value_name = "STRATEGY", hide_short_help = true, help_heading = MEASURING)]
    pub baseline: Option<String>,

    /// By how much two strategies must differ to be told apart [default: 1%]
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true, hide_short_help = true, help_heading = MEASURING)]
    pub margin: Option<Percent>,

    /// Stop a strategy's rounds once half the width of its interval is below this part of its median, such as 2%; ten rounds at least
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true, hide_short_help = true, help_heading = MEASURING)]
    pub precision: Option<Percent>,

    /// Measure the cost of an empty task for each strategy too, as rows of their own
    #[arg(long, hide_short_help = true, help_heading = MEASURING)]
    pub overhead: bool,

    /// How memory is measured: auto (the best that can be had), cgroup, meminfo or pss [default: auto]
    #[arg(long, value_name = "METHOD", value_parser = draft::parse_memory_method, hide_short_help = true, help_heading = MEASURING)]
    pub memory_method: Option<Choice>,

    /// Do not stamp tasks with their start and end: no latency, and nothing at all between two tasks
    #[arg(long, hide_short_help = true, help_heading = MEASURING)]
    pub no_latency: bool,

    /// What is done when a task fails: continue, stop (no other is started) or retry:N [default: continue]
    #[arg(long, value_name = "POLICY", hide_short_help = true, help_heading = MEASURING)]
    pub on_failure: Option<OnFailure>,

    /// Read a workload spec (TOML), or the plan of a JSON export; a flag overrides the file's value
    #[arg(short, long, value_name = "FILE", help_heading = FILES)]
    pub config: Option<PathBuf>,

    /// Write what each round measured, and every summary, as JSON; - is standard output, in place of the tables
    #[arg(long, alias = "export-json", value_name = "FILE", help_heading = FILES)]
    pub json: Option<PathBuf>,

    /// Write every round as a row of a table, for pandas or R; - is standard output, in place of the tables
    #[arg(long, alias = "export-csv", value_name = "FILE", hide_short_help = true, help_heading = FILES)]
    pub csv: Option<PathBuf>,

    /// Write the tables as Markdown; - is standard output, in place of the tables
    #[arg(long, alias = "export-markdown", value_name = "FILE", hide_short_help = true, help_heading = FILES)]
    pub markdown: Option<PathBuf>,

    /// Write a report to open in a browser: one file, which needs nothing else; - is standard output, in place of the tables
    #[arg(long, alias = "export-html", value_name = "FILE", help_heading = FILES)]
    pub html: Option<PathBuf>,

    /// Title of the run
    #[arg(long, value_name = "TEXT", hide_short_help = true, help_heading = FILES)]
    pub workload_name: Option<String>,

    /// Show the resolved plan, with its expected time and memory, and run nothing but the few tasks it takes to tell
    #[arg(long, help_heading = FILES)]
    pub dry_run: bool,

    /// No progress on standard error
    #[arg(short, long, action = ArgAction::SetTrue, help_heading = FILES)]
    pub quiet: bool,
}

const WORKLOAD: &str = "Workload";
const PROGRAMS: &str = "Your own command, worker or function";
const STRATEGIES: &str = "Strategies";
const MEASURING: &str = "Measuring";
const FILES: &str = "Files and output";

impl Benchmark {
    /// `self` over `spec`: what was typed on the command line holds.
    ///
    /// # Errors
    /// If a setting was typed that none of the strategies has.
    pub fn over(&self, spec: Draft) -> Result<Draft, String> {
        self.over_with(spec, &Flags::default())
    }

    /// As [`Self::over`], as though `cell` had been typed as well.
    ///
    /// # Errors
    /// As [`Self::over`].
    pub fn over_with(&self, mut spec: Draft, cell: &Flags) -> Result<Draft, String> {
        if !self.command.is_empty() || self.worker.is_some() || self.call.is_some() {
            // A program that was typed takes the place of the file's, whichever kind that is.
            (spec.workload.command, spec.workload.worker, spec.workload.call) = (None, None, None);
            spec.workload.workload = spec.workload.workload.filter(|kind| !kind.is_program());
        }
        let Flags { workload: typed, strategy: flags } = self.flags().overridden_by(cell);
        let calls = self.call.is_some() || spec.workload.kind() == Kind::Call;
        // Nobody else can call a Python function. Who says otherwise is shown that row as not available.
        let implied = |row: StrategyDraft| match row.engine {
            None if calls && self.engine.is_empty() => row.executed_by(Engine::Python),
            _ => row,
        };
        // A flag overrides the file; what stands in --mode is more specific than a flag for all rows.
        let strategies: Vec<StrategyDraft> = if !self.mode.is_empty() {
            let by_engines = |row: &StrategyDraft| match row.engine {
                Some(_) => vec![row.clone()],
                None => by_engines(vec![row.clone()], &self.engine, StrategyDraft::executed_by),
            };
            self.mode.iter().flat_map(by_engines).map(implied).map(|row| row.or_defaults(&flags)).collect()
        } else {
            let rows = if spec.strategies.is_empty() { StrategyDraft::all_modes() } else { spec.strategies };
            let rows = by_engines(rows, &self.engine, StrategyDraft::handed_to);
            rows.into_iter().map(implied).map(|row| row.overridden_by_flags(&flags)).collect()
        };
        if let Some(wrong) = flags.start_of_nobody(&strategies) {
            return Err(wrong);
        }
        if let Some(setting) = flags.unused_by(&strategies) {
            return Err(format!("{setting} was given, but none of the strategies has such a setting"));
        }
        let mut workload = match typed.io {
            Some(io) => spec.workload.with_io(io),
            None => spec.workload,
        };
        if typed.args_from.is_some() {
            // The file's number of tasks is not that of other lines.
            workload.tasks = None;
        }
        Ok(Draft {
            workload: workload.overridden_by(&typed),
            run: spec.run.overridden_by(&RunDraft {
                rounds: self.rounds,
                warmup: self.warmup,
                time_budget: self.time_budget,
                seed: self.seed,
                baseline: self.baseline.clone(),
                margin: self.margin,
                precision: self.precision,
                overhead: self.overhead.then_some(true),
                memory_method: self.memory_method,
                no_latency: self.no_latency.then_some(true),
                on_failure: self.on_failure,
                python: self.python.clone(),
            }),
            strategies,
            found: None,
            vary: spec.vary,
        })
    }

    /// What was typed of the workload and of all strategies.
    pub fn flags(&self) -> Flags {
        Flags {
            workload: WorkloadDraft {
                workload_name: self.workload_name.clone(),
                workload: self.workload,
                tasks: self.tasks,
                arg_size: self.arg_size,
                result_size: self.result_size,
                cpu: self.cpu,
                io_wait: self.io_wait,
                io: self.io,
                io_size: self.io_size,
                io_folder: self.io_folder.clone(),
                spread: self.spread.clone(),
                shared: self.shared,
                memory: self.memory,
                parent_memory: self.parent_memory,
                init: self.init,
                expression_args: self.expression_args,
                command: (!self.command.is_empty()).then(|| Words::List(self.command.clone())),
                worker: self.worker.clone(),
                call: self.call.clone(),
                shell: self.shell.then_some(true),
                args_from: self.args_from.clone(),
                timeout: self.timeout,
                output: self.output.clone(),
                prepare: self.prepare.clone(),
                ignore_answers: self.ignore_answers.then_some(true),
                success_codes: self.success_codes.clone(),
            },
            strategy: StrategyDraft {
                workers: self.workers,
                chunk: self.chunk,
                in_flight: self.in_flight,
                transport: self.transport,
                start: self.start,
                api: self.api,
                max_tasks_per_child: self.max_tasks_per_child,
                evaluator: self.evaluator,
                ..StrategyDraft::default()
            },
        }
    }
}
