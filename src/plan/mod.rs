//! Flags and a spec file, merged and resolved into one validated plan.

pub mod command_line;
pub mod draft;
pub mod engines;
pub mod estimate;
pub mod found;
pub mod guard;
pub mod inputs;
pub(crate) mod program;
mod rows;
pub mod spec;
mod timing;
pub mod trace;
pub mod units;
pub mod vary;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::python::Interpreter;
use crate::engine::tool::Tool;
use crate::engine::{Engine, Strategy};
use crate::measure::limits::Limits;
use crate::measure::memory::Choice;
use crate::mode::Mode;
use crate::mode::chunk::ChunkPolicy;
use crate::workload::formula::MAX_ARGUMENTS;
use crate::workload::spec::Ready;
use crate::workload::{Io, Kind, OnFailure, Spread, WorkloadSpec};
use draft::{Chunk, Draft, InFlight, RunDraft, StrategyDraft, Words, Workers, WorkloadDraft};
use found::Found;
pub use rows::PROGRAM_BYTES;
use rows::{names_of, resolve_settings, set_apart};
use units::{Count, LARGEST_COUNT, Length, Percent, Seconds, Size};

/// What will be run, with nothing left open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What to call it.
    #[serde(default)]
    pub name: Option<String>,
    /// What the tasks do.
    pub workload: WorkloadSpec,
    /// How much is measured.
    pub run: RunSpec,
    /// The rows of the tables.
    pub strategies: Vec<Strategy>,
    /// What the guard found for each row in `process` mode that wanted more than it may have.
    #[serde(default)]
    pub guarded: Vec<Guarded>,
    /// Rows that were asked for, but that their engine has not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_available: Vec<NotAvailable>,
}

/// A row that cannot be run by the engine that it was asked of, while others can.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotAvailable {
    /// The row.
    pub strategy: String,
    /// Whose it would be.
    pub engine: Engine,
    /// How it would execute.
    pub mode: Mode,
    /// How many rows of [`Plan::strategies`] stand before it.
    pub place: usize,
    /// Why there is none.
    pub reason: String,
}

/// A row that the guard has limited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Guarded {
    /// The row.
    pub strategy: String,
    /// What the guard found.
    pub verdict: guard::Verdict,
}

/// How much is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// Timed rounds of each strategy, at most.
    pub rounds: u64,
    /// Rounds of each strategy before those, not timed. The round in which memory is measured is the first.
    pub warmup: u64,
    /// Time that the timed rounds of one strategy may take together; at least one is run.
    pub time_budget_seconds: Option<f64>,
    /// Where all random choices come from.
    pub seed: u64,
    /// The strategy that the others are compared with.
    pub baseline: String,
    /// By how much two strategies must differ to be told apart, as a part of one.
    pub margin: f64,
    /// A strategy needs no more rounds once half the width of its interval is below this part of its median.
    #[serde(default)]
    pub precision: Option<f64>,
    /// Whether the cost of an empty task is measured for each strategy.
    #[serde(default)]
    pub overhead: bool,
    /// How memory is measured.
    pub memory_method: Choice,
    /// Whether tasks are stamped with their start and end.
    #[serde(default = "by_default")]
    pub latency: bool,
    /// What is done when a task fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Python's interpreter, as typed: a name or a path.
    #[serde(default)]
    pub python: Option<std::path::PathBuf>,
}

/// What an export that does not say so had.
const fn by_default() -> bool {
    true
}

/// Rounds, unless said otherwise.
pub const DEFAULT_ROUNDS: u64 = 10;
/// Rounds in which memory is measured where one says little: a median of three leaves out the one in which others took some.
pub const SEVERAL_MEMORY_ROUNDS: u64 = 3;
/// Rounds that are tried to reach a precision, unless said otherwise.
pub const MOST_ROUNDS_FOR_PRECISION: u64 = 1000;
/// Time for the timed rounds of one strategy, unless rounds are given.
pub const DEFAULT_BUDGET_SECONDS: f64 = 30.0;
/// Seed, unless said otherwise.
pub const DEFAULT_SEED: u64 = 1;
/// Arguments in an expression, unless said otherwise.
pub const DEFAULT_EXPRESSION_ARGS: u64 = 10;

/// What resolving a plan needs to know of the machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Cores that may be used: affinity and cgroup quota taken into account.
    pub effective_cores: u64,
    /// What limits the number of processes.
    pub limits: Limits,
    /// Memory of one process that only waits, in bytes.
    pub parked_process_bytes: u64,
    /// Python's interpreter, once it has been asked what it is.
    pub python: Option<Interpreter>,
    /// The tools that were looked for, and found.
    pub tools: Vec<Tool>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The command line or the spec is wrong.
    #[error("{0}")]
    Usage(String),
    /// This machine cannot run it.
    #[error("{0}")]
    Limit(String),
}

fn usage<T>(message: impl Into<String>) -> Result<T, PlanError> {
    Err(PlanError::Usage(message.into()))
}

impl WorkloadDraft {
    /// What contradicts itself in what was typed.
    pub fn contradiction(&self) -> Option<String> {
        let kind = self.kind();
        let meant_for = |name: &str, only: Kind, given: bool| {
            (given && kind != only).then(|| {
                format!("{name} belongs to the {} workload, but this one is {}", only.name(), kind.name())
            })
        };
        let sized = |size: Option<Size>| size.is_some_and(|size| size.0 > 0);
        meant_for("expression-args", Kind::Expression, self.expression_args.is_some())
            .or_else(|| meant_for("arg-size", Kind::Synthetic, sized(self.arg_size)))
            .or_else(|| meant_for("result-size", Kind::Synthetic, sized(self.result_size)))
            .or_else(|| self.contradiction_of_program())
            .or_else(|| (self.tasks == Some(Count(0))).then(|| "tasks is 0: expected at least 1".into()))
            .or_else(|| {
                let args = self.expression_args.filter(|args| !(1..=MAX_ARGUMENTS as u64).contains(&args.0));
                args.map(|Count(args)| {
                    format!(
                        "expression-args is {args}: expected 1 to {MAX_ARGUMENTS}, which is what fits into a formula"
                    )
                })
            })
            .or_else(|| self.contradiction_of_io())
            .or_else(|| self.contradiction_of_lengths())
    }
}

impl RunDraft {
    /// What contradicts itself in what was typed.
    pub fn contradiction(&self) -> Option<String> {
        (self.rounds == Some(Count(0))).then(|| "rounds is 0: expected at least 1".into())
    }
}

impl Draft {
    /// Whether any row is `engine`'s.
    pub fn names(&self, engine: Engine) -> bool {
        self.strategies.iter().any(|row| row.engine == Some(engine))
    }

    /// The plan that this comes to on `machine`.
    ///
    /// # Errors
    /// If the draft contradicts itself or asks for more than `machine` can do.
    pub fn resolve(self, machine: &Machine) -> Result<Plan, PlanError> {
        if let Some(variable) = self.vary.first() {
            return usage(format!(
                "the spec varies {}, so it is a sweep and not one benchmark: procbench sweep --config FILE",
                variable.key
            ));
        }
        if let Some(wrong) = self.workload.contradiction().or_else(|| self.run.contradiction()) {
            return usage(wrong);
        }
        let seed = self.run.seed.unwrap_or(DEFAULT_SEED);
        let found = match self.found {
            Some(found) => found,
            None => Found::look(&self.workload).map_err(PlanError::Usage)?,
        };
        let workload = resolve_workload(&self.workload, &found, seed)?;
        let rows = if self.strategies.is_empty() { StrategyDraft::all_modes() } else { self.strategies };
        let (rows, not_available) = set_apart(workload.kind, rows)?;
        for row in &rows {
            if row.evaluator.is_some() && workload.kind != Kind::Expression {
                let kind = workload.kind.name();
                return usage(format!(
                    "evaluator belongs to the expression workload, but this one is {kind} (in '{row}')"
                ));
            }
            if let Some(wrong) = row.contradiction() {
                return usage(format!("{wrong} (in '{row}')"));
            }
        }
        require_memory(&workload, machine)?;
        found.require_room(&workload, &machine.limits).map_err(PlanError::Limit)?;
        let is_python = |row: &StrategyDraft| row.engine == Some(Engine::Python);
        let refusal = |row: &StrategyDraft| {
            Some(format!("{} (in '{row}')", row.engine.unwrap_or(Engine::Native).refusal(&workload)?))
        };
        if let Some(wrong) = rows.iter().find_map(refusal) {
            return usage(wrong);
        }
        let policy = self.run.on_failure.unwrap_or_default();
        let foreign = rows.iter().filter_map(|row| row.engine).find(|engine| *engine != Engine::Native);
        if let Some(engine) = foreign.filter(|_| policy != OnFailure::Continue) {
            let name = engine.name();
            return usage(format!(
                "on-failure is {policy}, but the {name} engine knows no such policy: expected continue"
            ));
        }
        if self.run.python.is_some() && !rows.iter().any(is_python) {
            return usage("--python was given, but none of the strategies is Python's: see --engine");
        }
        if let Some(missing) = rows.iter().find_map(|row| row.missing_library(machine)) {
            return Err(PlanError::Limit(missing));
        }
        let rows: Vec<_> = rows.into_iter().map(|row| row.with_start(machine)).collect();
        let names = names_of(&rows);
        let mut strategies = Vec::new();
        let mut guarded = Vec::new();
        for (row, name) in rows.iter().zip(names) {
            let (settings, verdict) = resolve_settings(row, &name, &workload, machine)?;
            guarded.extend(verdict.map(|verdict| Guarded { strategy: name.clone(), verdict }));
            let (engine, mode) = (row.engine.unwrap_or(Engine::Native), row.mode.unwrap_or(Mode::Serial));
            strategies.push(Strategy { name, engine, mode, settings });
        }
        let baseline = baseline(self.run.baseline.as_deref(), &strategies)?;
        let default_rounds =
            if self.run.precision.is_some() { MOST_ROUNDS_FOR_PRECISION } else { DEFAULT_ROUNDS };
        let rounds = self.run.rounds.map_or(default_rounds, |count| count.0);
        if self.run.precision == Some(Percent(0.0)) {
            return usage("precision is 0: expected more, such as 2%; no number of rounds is ever exact");
        }
        // Who says how many rounds he wants gets them; a budget then holds only if it was given.
        let default_budget = self.run.rounds.is_none().then_some(DEFAULT_BUDGET_SECONDS);
        Ok(Plan {
            name: self.workload.workload_name,
            workload,
            run: RunSpec {
                rounds,
                warmup: self.run.warmup.map_or(1, |count| count.0),
                time_budget_seconds: self.run.time_budget.map(|budget| budget.0).or(default_budget),
                seed,
                baseline,
                margin: self.run.margin.map_or(crate::stats::DEFAULT_MARGIN, |margin| margin.0),
                precision: self.run.precision.map(|precision| precision.0),
                overhead: self.run.overhead.unwrap_or(false),
                memory_method: self.run.memory_method.unwrap_or_default(),
                latency: !self.run.no_latency.unwrap_or(false),
                on_failure: self.run.on_failure.unwrap_or_default(),
                python: self.run.python,
            },
            strategies,
            guarded,
            not_available,
        })
    }
}

fn resolve_workload(draft: &WorkloadDraft, found: &Found, seed: u64) -> Result<WorkloadSpec, PlanError> {
    let kind = draft.kind();
    let program = draft.program().map_err(PlanError::Usage)?;
    let trace = found.trace.as_ref().map(|trace| trace.summary);
    let Some(tasks) = draft.tasks.map(|count| count.0).or(trace.map(|trace| trace.durations)) else {
        return usage(
            "how many tasks? Expected --tasks N, such as --tasks 10000, or --args-from FILE with a line for each, or a spec with tasks \
             in [workload]",
        );
    };
    if let Some(trace) = trace.filter(|trace| trace.durations < tasks) {
        return usage(format!(
            "tasks is {tasks}, but the trace has {} durations: expected at most as many tasks",
            trace.durations
        ));
    }
    let io = timing::io(draft)?;
    let (cpu_seconds, io_wait_seconds) = timing::lengths(draft, trace)?;
    let size = |size: Option<Size>| size.map_or(0, |size| size.0);
    let seconds = |seconds: Option<Seconds>| seconds.map_or(0.0, |seconds| seconds.0);
    let expression_args = draft.expression_args.map_or(DEFAULT_EXPRESSION_ARGS, |count| count.0);
    let spread = match &found.trace {
        Some(trace) => Spread::Trace(trace.path.clone()),
        None => draft.spread.clone().unwrap_or_default(),
    };
    if spread != Spread::Constant && cpu_seconds == 0.0 && io_wait_seconds == 0.0 {
        return usage(format!(
            "spread is {spread}, but tasks neither work nor wait: expected --cpu or --io-wait, of which that is the spread"
        ));
    }
    Ok(WorkloadSpec {
        kind,
        tasks,
        arg_size_bytes: size(draft.arg_size),
        result_size_bytes: size(draft.result_size),
        cpu_seconds,
        io_wait_seconds,
        io,
        io_size_bytes: draft.io_size.map_or(io.default_size(), |size| size.0),
        io_folder: found.storage.as_ref().map(|storage| storage.folder.clone()).unwrap_or_default(),
        spread,
        trace,
        shared_bytes: size(draft.shared),
        memory_bytes: size(draft.memory),
        parent_memory_bytes: size(draft.parent_memory),
        init_seconds: seconds(draft.init),
        expression_args: if kind == Kind::Expression { expression_args } else { 0 },
        full_fork: false,
        seed,
        units_per_second: 0.0,
        folder: std::path::PathBuf::new(),
        timeout_seconds: draft.timeout.filter(|_| program.is_none()).map(|timeout| timeout.0),
        program,
        ready: Ready::default(),
    })
}

/// Refuses a workload whose results cannot be held.
fn require_memory(workload: &WorkloadSpec, machine: &Machine) -> Result<(), PlanError> {
    let needed = workload.held_bytes().saturating_add(workload.bytes_per_process());
    let parts = [
        ("the results of all tasks", workload.results_bytes()),
        ("--parent-memory", workload.parent_memory_bytes),
        ("--shared", workload.shared_bytes),
        ("--memory of one task", workload.memory_bytes),
        ("--io-size of one task", workload.io_size_bytes),
        ("--arg-size of one task", workload.arg_size_bytes),
    ];
    let (most, _) = parts.into_iter().max_by_key(|(_, size)| *size).unwrap_or_default();
    let what = format!("what must be there at once, most of it for {most}, would");
    guard::no_memory(&what, needed, &machine.limits).map_or(Ok(()), |refusal| Err(PlanError::Limit(refusal)))
}

fn baseline(wanted: Option<&str>, strategies: &[Strategy]) -> Result<String, PlanError> {
    let by_mode = |mode: Mode| strategies.iter().find(|strategy| strategy.mode == mode);
    let found = match wanted {
        None => by_mode(Mode::Serial).or(strategies.first()),
        Some(wanted) => strategies
            .iter()
            .find(|strategy| strategy.name == wanted)
            .or_else(|| strategies.iter().find(|strategy| strategy.engine.kind_name(strategy.mode) == wanted))
            .or_else(|| strategies.iter().find(|strategy| strategy.mode.name() == wanted)),
    };
    match (found, wanted) {
        (Some(strategy), _) => Ok(strategy.name.clone()),
        (None, wanted) => {
            let names: Vec<_> = strategies.iter().map(|strategy| strategy.name.as_str()).collect();
            let wanted = wanted.unwrap_or_default();
            usage(format!(
                "the baseline '{wanted}' is not among the strategies: expected {}",
                names.join(", ")
            ))
        }
    }
}

impl Plan {
    /// The draft that resolves to this plan again, as far as the machine allows.
    pub fn into_draft(self) -> Draft {
        let WorkloadSpec { kind, tasks, .. } = self.workload;
        let workload = &self.workload;
        let synthetic = |size: u64| (kind == Kind::Synthetic).then_some(Size(size));
        let seconds = |value: f64| Some(Seconds(value));
        let program = workload.program.clone();
        let words = |of: Kind| {
            program.as_ref().filter(|_| kind == of).map(|program| Words::List(program.words.clone()))
        };
        let length = |value: f64| seconds(value).map(Length::Mean);
        let io = workload.io;
        let of_nobody = |row: &NotAvailable| {
            let name = Some(row.strategy.clone());
            let draft = StrategyDraft {
                name,
                mode: Some(row.mode),
                engine: Some(row.engine),
                ..StrategyDraft::default()
            };
            (row.place, draft)
        };
        let of_nobody: Vec<_> = self.not_available.iter().map(of_nobody).collect();
        let mut draft = Draft {
            workload: WorkloadDraft {
                workload_name: self.name,
                workload: Some(kind),
                tasks: Some(Count(tasks)),
                arg_size: synthetic(workload.arg_size_bytes),
                result_size: synthetic(workload.result_size_bytes),
                cpu: length(workload.cpu_seconds),
                io_wait: length(workload.io_wait_seconds),
                io: Some(io),
                io_size: (io != Io::Sleep).then_some(Size(workload.io_size_bytes)),
                io_folder: io.is_on_disk().then(|| workload.io_folder.clone()),
                spread: Some(workload.spread.clone()),
                shared: Some(Size(workload.shared_bytes)),
                memory: Some(Size(workload.memory_bytes)),
                parent_memory: Some(Size(workload.parent_memory_bytes)),
                init: seconds(workload.init_seconds),
                expression_args: (kind == Kind::Expression).then_some(Count(workload.expression_args)),
                command: words(Kind::Command),
                worker: words(Kind::Worker),
                call: program
                    .as_ref()
                    .filter(|_| kind == Kind::Call)
                    .and_then(|program| program.words.first().cloned()),
                shell: program.as_ref().map(|program| program.shell),
                args_from: program.as_ref().and_then(|program| program.args_from.clone()),
                timeout: workload.any_timeout_seconds().map(Seconds),
                output: program
                    .as_ref()
                    .and_then(|program| Some(program.output.as_ref()?.to_str()?.to_owned())),
                prepare: program.as_ref().and_then(|program| program.prepare.clone()),
                ignore_answers: program.as_ref().map(|program| program.ignore_answers),
                success_codes: program
                    .as_ref()
                    .map(|program| program.success_codes.clone())
                    .filter(|codes| !codes.is_default()),
            },
            run: RunDraft {
                rounds: Some(Count(self.run.rounds.min(LARGEST_COUNT))),
                warmup: Some(Count(self.run.warmup.min(LARGEST_COUNT))),
                time_budget: self.run.time_budget_seconds.map(Seconds),
                seed: Some(self.run.seed),
                baseline: Some(self.run.baseline),
                margin: Some(Percent(self.run.margin)),
                precision: self.run.precision.map(Percent),
                overhead: Some(self.run.overhead),
                memory_method: Some(self.run.memory_method),
                no_latency: Some(!self.run.latency),
                on_failure: Some(self.run.on_failure),
                python: self.run.python,
            },
            strategies: self
                .strategies
                .into_iter()
                .map(|Strategy { name, engine, mode, settings }| StrategyDraft {
                    name: Some(name),
                    mode: Some(mode),
                    engine: Some(engine),
                    workers: settings.workers.map(Workers::Count),
                    chunk: settings.chunk.map(|chunk| Chunk(ChunkPolicy::Fixed(chunk))),
                    in_flight: settings.in_flight.map(InFlight::Count),
                    transport: settings.transport,
                    start: settings.start,
                    api: settings.api,
                    max_tasks_per_child: settings.max_tasks_per_child.map(Count),
                    evaluator: settings.evaluator,
                })
                .collect(),
            found: None,
            vary: Vec::new(),
        };
        for (before, (place, row)) in of_nobody.into_iter().enumerate() {
            draft.strategies.insert((place + before).min(draft.strategies.len()), row);
        }
        draft
    }
}
