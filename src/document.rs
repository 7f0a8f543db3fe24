//! The result of a run: what the JSON export is, and what every table is drawn from.
//!
//! Times end in `_seconds`, sizes in `_bytes`, counts in nothing. A value that could not be measured is null, and
//! `warnings` says why; it is never zero.

pub mod comparison;
pub mod head;
pub mod schema;
pub mod standing;

use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::protocol::{RoundReport, in_all};
use crate::engine::python::Interpreter;
use crate::experiment::pilot::Estimate;
use crate::measure::bystander::Disturbance;
use crate::measure::environment::{self, State, StateChange};
use crate::measure::memory::{MemoryReading, Method};
use crate::measure::parked;
use crate::measure::storage::Storage;
use crate::mode::Settings;
use crate::mode::verify::TaskFailure;
use crate::plan::Plan;
use crate::saved;
use crate::stats::{Comparison, Histogram, Summary, Verdict};
use crate::sys;
use crate::workload::OnFailure;
use head::Kind;
use standing::Standing;

pub use crate::saved::SCHEMA_VERSION;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// Raised whenever a field changes its meaning or goes away.
    #[schemars(extend("const" = SCHEMA_VERSION))]
    pub schema_version: u32,
    /// Whether the run was cut short: what is here was finished, the rest is not here.
    pub partial: bool,
    /// The round in which it was, if it was cut short in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<CutOff>,
    /// Why it could not go on, if it was cut short by an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// What made this.
    pub tool: Tool,
    /// When, in UTC, as RFC 3339.
    pub started_at: String,
    /// What was run: can be fed back with `--config`.
    pub plan: Plan,
    /// Where it was run.
    pub environment: Environment,
    /// How long the run was expected to take; null if it was interrupted before that was known.
    pub estimate: Option<Estimate>,
    /// A row each, in the order of the plan.
    pub strategies: Vec<StrategyResult>,
    /// Which of them is the best, and how it compares with each of the others; null if nobody has a round, and absent from documents
    /// that older versions wrote.
    #[serde(default)]
    pub standing: Option<Standing>,
    /// The same strategies with empty tasks, where that was asked for (`--overhead`).
    pub overhead: Vec<StrategyResult>,
    /// What a reader should know before he believes the numbers.
    pub warnings: Vec<Warning>,
}

/// The round that a run was in when somebody ended it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CutOff {
    /// Whose round.
    pub strategy: String,
    /// How many tasks it had.
    pub tasks: u64,
    /// How many of them had ended, as the runner said last: up to a tenth of a second before; null where a tool starts them that
    /// does not tell.
    pub tasks_done: Option<u64>,
    /// For how long it had lasted, with the start of its runner.
    pub seconds: f64,
    /// Whether a few tasks were being tried, before its first round.
    #[serde(default)]
    pub is_trial: bool,
}

/// What made a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// procbench
    pub name: String,
    /// Its version.
    pub version: String,
    /// The commit it was built from, where that is known.
    pub commit: Option<String>,
    /// Whether the C library is linked into the program: its forks and executed children take less then. Absent from documents
    /// that older versions wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statically_linked: Option<bool>,
}

/// The machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// What should not change while a run lasts, as it was before.
    #[serde(flatten)]
    pub machine: environment::Environment,
    /// What of it was not the same any more after the last round.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub altered: Vec<environment::Altered>,
    /// What is beneath the folder in which tasks do I/O; absent where they do none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Memory of one process that only waits, as measured before the run; null if it was not, and the guard then takes it to be
    /// 256 KiB.
    pub parked_process_bytes: Option<u64>,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked_process_missing: Option<parked::ParkedMissing>,
    /// Units of CPU work that make a second here, as calibrated before the run.
    pub units_per_second: f64,
    /// Python's interpreter, where a strategy is its.
    pub python: Option<Interpreter>,
    /// The tools that start commands, where a strategy is theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<crate::engine::tool::Tool>,
    /// Whether procbench itself ran something shortly before, in another part of the same study: then the load average before the
    /// first round is its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_load: bool,
    /// What the machine was doing just before the first round.
    pub before: State,
    /// What it was doing just after the last.
    pub after: State,
    /// What happened in between.
    pub change: StateChange,
    /// Processes and threads that the run itself created in between; null if a round was cut off, or where tasks are programs, and
    /// absent from documents that older versions wrote.
    #[serde(default)]
    pub own_forks: Option<u64>,
    /// How late a bystander woke while nothing was run: before the first round, and after the last.
    pub idle_disturbance: Disturbance,
    /// What its percentiles are of; absent from documents that older versions wrote.
    #[serde(default)]
    pub idle_disturbance_histogram: Option<Histogram>,
}

/// A row: a strategy with all its rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StrategyResult {
    /// Its name in the tables.
    pub name: String,
    /// Who executes.
    pub engine: crate::engine::Engine,
    /// How.
    pub mode: crate::mode::Mode,
    /// With which settings, as resolved.
    pub settings: Settings,
    /// Every timed round, in the order of the run.
    pub rounds: Vec<Round>,
    /// Why there are no more of them: one could not be had, and the others went on; absent where all were had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
    /// Tasks that failed in rounds that were not timed.
    pub untimed_tasks_failed: u64,
    /// Tasks of those rounds that were not tried, since another had failed.
    #[serde(default)]
    pub untimed_tasks_not_tried: u64,
    /// The first few of those, with their reasons.
    pub untimed_failures: Vec<TaskFailure>,
    /// What they say together; null if there is none.
    pub summary: Option<StrategySummary>,
    /// Memory, measured in a round of its own.
    pub memory: Option<Memory>,
    /// How long tasks waited and took, over all timed rounds.
    pub latency: Option<Latency>,
    /// How late a bystander woke during the timed rounds.
    pub disturbance: Option<Disturbance>,
    /// What its percentiles are of; absent from documents that older versions wrote.
    #[serde(default)]
    pub disturbance_histogram: Option<Histogram>,
}

/// How long tasks waited and took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Every how many-th task was stamped.
    pub one_in: u64,
    /// Tasks of that sample of which there is no start and end, in all timed rounds: they were killed, failed before their end or were not
    /// tried; a program has an end however it ended, if it was started. They are in none of the figures.
    #[serde(default)]
    pub tasks_without: u64,
    /// From t0 to the start of a task.
    pub wait: Percentiles,
    /// From its start to its end.
    pub service: Percentiles,
    /// What the percentiles of `wait` are of; absent from documents that older versions wrote.
    #[serde(default)]
    pub wait_histogram: Option<Histogram>,
    /// The same of `service`.
    #[serde(default)]
    pub service_histogram: Option<Histogram>,
}

/// A distribution in a few numbers, good to 1 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles {
    /// Median; null with fewer than 20 tasks.
    pub p50_seconds: Option<f64>,
    /// 90th percentile; null with fewer than 100 tasks.
    pub p90_seconds: Option<f64>,
    /// 99th percentile; null with fewer than 1,000 tasks: at least ten must lie beyond.
    pub p99_seconds: Option<f64>,
    /// The longest that was seen.
    pub max_seconds: f64,
    /// Tasks that were looked at.
    pub count: u64,
}

/// One timed round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Round {
    /// Its number, from 1. Rounds of the same number were run next to each other and are compared.
    pub round: u64,
    /// Its place among all timed rounds of the run, from 1.
    pub order: u64,
    /// What the engine reports.
    #[serde(flatten)]
    pub report: RoundReport,
    /// From the start of the clock until the runner was gone, by the controller's clock.
    pub outside_seconds: f64,
    /// CPU time of the runner and all it reaped, over its whole life. What was written before this field was has both its parts
    /// instead: see [`Self::tree_cpu_seconds`].
    #[serde(default)]
    pub tree_cpu_seconds: Option<f64>,
    /// The part of it in user mode; null where the kernel cannot tell both parts apart.
    pub tree_cpu_user_seconds: Option<f64>,
    /// The part of it in the kernel, likewise.
    pub tree_cpu_system_seconds: Option<f64>,
    /// Why user and system time in the engine's report are null. Their sum is right all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_split_missing: Option<CpuSplitMissing>,
    /// Why those of the runner's whole life are. What was written before this field was has one reason for both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree_cpu_split_missing: Option<CpuSplitMissing>,
    /// Why the time of tear-down is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tear_down_missing: Option<TearDownMissing>,
    /// CPU time of the peer that tasks did their I/O with, which is no part of the round; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_cpu_seconds: Option<f64>,
    /// What tasks read from storage because it was not in memory, by the kernel's account; absent unless they were to, and where the
    /// kernel keeps none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_read_bytes: Option<u64>,
    /// Processes and threads that the kernel counted on the whole machine during the round.
    pub kernel_forks: Option<u64>,
    /// How late a bystander woke during the round.
    pub disturbance: Option<Disturbance>,
}

impl Round {
    /// CPU time of the runner and all it reaped, over its whole life, in seconds.
    pub fn tree_cpu_seconds(&self) -> f64 {
        in_all(self.tree_cpu_seconds, [self.tree_cpu_user_seconds, self.tree_cpu_system_seconds])
    }
}

/// Why user and system time cannot be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CpuSplitMissing {
    /// Most kernels look at each tick of their clock where a process is, and split its time by that. Its processes had less than
    /// [`LEAST_SPLIT_SECONDS`] each, on average, in which there are fewer than ten ticks of the slowest clock (100 Hz): whoever was not
    /// seen in the kernel is booked as user time as a whole.
    TooFewTicks,
}

/// See [`CpuSplitMissing::TooFewTicks`].
const LEAST_SPLIT_SECONDS: f64 = 0.1;

impl CpuSplitMissing {
    /// As in exports.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooFewTicks => "too_few_ticks",
        }
    }

    /// Of `processes` that had `cpu_seconds` in all.
    pub fn of(cpu_seconds: f64, processes: u64) -> Option<Self> {
        (cpu_seconds < LEAST_SPLIT_SECONDS * processes as f64).then_some(Self::TooFewTicks)
    }
}

/// Why a round has no time of tear-down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TearDownMissing {
    /// Another tool executes the tasks, and is gone when it has told of the last: what it still did is part of execution.
    NotToldByTool,
}

impl TearDownMissing {
    /// As in exports.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotToldByTool => "not_told_by_tool",
        }
    }
}

/// What the rounds of a strategy say together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StrategySummary {
    /// t3 − t0 of every round.
    pub total_seconds: Summary,
    /// Median of set-up.
    pub set_up_seconds: f64,
    /// Median of execution.
    pub execute_seconds: f64,
    /// Median of tear-down; null where the rounds of another tool do not tell it: see `tear_down_missing` there.
    pub tear_down_seconds: Option<f64>,
    /// Median CPU time, user and system together.
    pub cpu_seconds: f64,
    /// Median of its part in user mode; null where a round cannot tell both parts apart: see `cpu_split_missing` there.
    #[serde(default)]
    pub cpu_user_seconds: Option<f64>,
    /// Median of its part in the kernel, likewise.
    #[serde(default)]
    pub cpu_system_seconds: Option<f64>,
    /// Tasks over the median time.
    pub tasks_per_second: f64,
    /// How many times as fast as the baseline; null without a common round.
    pub speedup_over_baseline: Option<SpeedUp>,
}

/// A comparison in pairs of rounds, as times-as-fast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpeedUp {
    /// Median over rounds of the other's time divided by ours.
    pub ratio: f64,
    /// Its interval, null if there are too few rounds: one of 95 %, unless whoever holds this has a `confidence`.
    pub ci_low: Option<f64>,
    /// Its upper end.
    pub ci_high: Option<f64>,
    /// What that comes to.
    pub verdict: Verdict,
}

impl From<Comparison> for SpeedUp {
    fn from(comparison: Comparison) -> Self {
        let interval = comparison.speed_up_interval();
        Self {
            ratio: comparison.speed_up(),
            ci_low: interval.map(|interval| interval.low),
            ci_high: interval.map(|interval| interval.high),
            verdict: comparison.verdict,
        }
    }
}

/// Memory of a strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    /// What the round with the median peak found.
    #[serde(flatten)]
    pub reading: MemoryReading,
    /// (peak − runner − the parent's words and results) ÷ peak alive, for modes that start processes; null where tasks
    /// end within milliseconds: the kernel has then not yet taken back what ended ones had.
    pub per_task_alive_bytes: Option<u64>,
    /// Why that is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_alive_missing: Option<PerAliveMissing>,
    /// The most processes alive at one time in the round that was measured.
    pub peak_alive: u64,
    /// How it was measured.
    pub method: Method,
    /// Rounds that were measured: several where memory is sampled. What is above is that of the one with the median peak.
    pub rounds: u64,
    /// What each of them found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<MemoryRound>,
}

/// Why memory cannot be divided among the living.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PerAliveMissing {
    /// No processes are started.
    NoProcesses,
    /// The peak or the runner's share is not known.
    NotMeasured,
    /// The tool's own memory cannot be told from it.
    OfTool,
    /// Most of what is counted belongs to the dead.
    TooShort,
    /// No more was found than without them.
    NoMore,
    /// Not all had touched their memory when there was most.
    NotAllTouched,
    /// When there was most, fewer were alive.
    FewerAtPeak,
    /// The kernel's counters may be off by as much, for what others do or by themselves.
    OthersVary,
    /// The parent may have kept as much of what it passed on to them by pipes, and of what they passed back.
    OfParent,
}

impl fmt::Display for PerAliveMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoProcesses => "no processes are started",
            Self::NotMeasured => "the peak, or what the runner has of it, is not known",
            Self::OfTool => "what the tool itself has cannot be told from it",
            Self::TooShort => "its tasks end sooner than the kernel takes back what they had",
            Self::NoMore => "no more was found than without them",
            Self::NotAllTouched => "not all had touched their memory when there was most",
            Self::FewerAtPeak => "when there was most, fewer were alive than at other times",
            Self::OthersVary => {
                "the kernel's counters, which are of the whole machine, may be off by too much to tell that"
            }
            Self::OfParent => "arguments and results that its parent holds cannot be told from it",
        })
    }
}

/// What one round found of memory, each figure as in [`Memory`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryRound {
    /// How it was measured; absent in what was written before this field was. Where a row's rounds differ in that, what is told of the row
    /// is of those that were measured as the first one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// The most processes alive at one time in it.
    pub peak_alive: u64,
    /// What it found.
    #[serde(flatten)]
    pub reading: MemoryReading,
}

/// The code of warnings that say why something about the machine is null.
pub const NOT_MEASURED: &str = "not_measured";

/// The code of the warning that what others did meanwhile could not be told from what the run did.
pub const OTHERS_NOT_SEEN: &str = "others_not_seen";

/// The code of the warning that there are too few rounds for a verdict.
pub const TOO_FEW_ROUNDS: &str = "too_few_rounds";

/// The codes of warnings that say why a figure of the memory table is null: all of them, the kernel's share, that of one process.
pub const MEMORY_NOT_MEASURED: [&str; 3] =
    ["memory_not_measured", "kernel_memory_not_measured", "memory_per_alive_not_measured"];

/// Something that a reader should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// A stable name.
    pub code: String,
    /// One sentence or two, with advice.
    pub message: String,
}

impl Tool {
    /// This program.
    pub fn this() -> Self {
        Self {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            commit: option_env!("PROCBENCH_COMMIT").filter(|commit| !commit.is_empty()).map(Into::into),
            statically_linked: Some(!sys::fork::has_loader()),
        }
    }
}

impl Document {
    /// Reads the export of a run at `path`, or from standard input for `-`.
    ///
    /// # Errors
    /// One sentence that names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, String> {
        Self::parse(&saved::read_text(path, "the saved run", saved::LARGEST_BYTES)?, path)
    }

    /// Reads the export of a run from `text`; `path` is only shown.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, String> {
        let document: Self = saved::parse(text, path, Kind::Run)?;
        match document.strategies.is_empty() {
            true => Err(format!("{} has no strategies: there is nothing to show", path.display())),
            false => Ok(document),
        }
    }

    /// The strategy that the others are compared with.
    pub fn baseline(&self) -> Option<&StrategyResult> {
        self.strategies.iter().find(|strategy| strategy.name == self.plan.run.baseline)
    }

    /// Whether any round was timed.
    pub fn has_rounds(&self) -> bool {
        self.strategies.iter().any(|strategy| !strategy.rounds.is_empty())
    }

    /// Whether a task failed, or a strategy was given up.
    pub fn has_failed(&self) -> bool {
        self.strategies.iter().chain(&self.overhead).any(|strategy| !strategy.is_sound())
    }

    /// Whether a task failed and nothing was to be run after that.
    pub fn was_stopped(&self) -> bool {
        self.plan.run.on_failure == OnFailure::Stop && self.tasks_failed() > 0
    }

    /// Tasks that failed, in all rounds together.
    pub fn tasks_failed(&self) -> u64 {
        total(self.strategies.iter().chain(&self.overhead).map(StrategyResult::tasks_failed))
    }
}

/// The sum of counts that may be anything, since they were read from a file: no more than the largest that there is.
fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

impl Latency {
    /// Tasks that were looked at, whether there is a figure of them or not.
    pub fn tasks_looked_at(&self) -> u64 {
        total([self.tasks_without, self.wait.count].into_iter())
    }
}

impl StrategyResult {
    /// Whether its rounds are what they should be: no task failed, and all of them were had.
    pub fn is_sound(&self) -> bool {
        self.given_up.is_none() && self.tasks_failed() == 0
    }

    /// Whether `other` does the same in the same way, whatever it is called.
    pub fn is_same_way_as(&self, other: &Self) -> bool {
        (self.engine, self.mode, &self.settings) == (other.engine, other.mode, &other.settings)
    }

    /// Tasks that were not tried, since another had failed, in all rounds, timed or not.
    pub fn tasks_not_tried(&self) -> u64 {
        let timed = self.rounds.iter().map(|round| round.report.tasks_not_tried);
        total(timed.chain([self.untimed_tasks_not_tried]))
    }

    /// Tasks that failed, in all rounds, timed or not.
    pub fn tasks_failed(&self) -> u64 {
        let timed = self.rounds.iter().map(|round| round.report.tasks_failed);
        total(timed.chain([self.untimed_tasks_failed]))
    }

    /// Pairs of (ours, theirs) total times, round by round.
    pub fn paired_with(&self, other: &Self) -> Vec<(f64, f64)> {
        self.rounds
            .iter()
            .filter_map(|ours| {
                let theirs = other.rounds.iter().find(|theirs| theirs.round == ours.round)?;
                Some((ours.report.total_seconds, theirs.report.total_seconds))
            })
            .collect()
    }
}
