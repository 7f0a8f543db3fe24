//! A run: every strategy, for every round, interleaved, each round in a fresh process.

pub mod course;
pub mod leftovers;
pub mod peer;
pub mod pilot;
pub mod round;
pub mod schedule;
mod session;
pub mod signals;
mod stall;
pub mod summary;
pub mod warnings;
pub mod workbench;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::document::{CutOff, Document, Warning};
use crate::engine::protocol::{Request, RoundReport, VERSION};
use crate::engine::python::Installed;
use crate::engine::{Engine, Equipment, Strategy};
use crate::janitor::{Folder, Janitor};
use crate::measure::bystander::{Bystander, Lateness, MIN_FOR_P99, NAP};
use crate::measure::environment::{Environment, State};
use crate::measure::memory::Gauge;
use crate::measure::parked;
use crate::measure::shortage::Lack;
use crate::measure::storage::Storage;
use crate::mode::verify::{PARTS, TaskFailure};
use crate::plan::found::{self, Found};
use crate::plan::{Machine, Plan};
use crate::stats;
use crate::sys::wait::CpuTime;
use crate::workload::io::disk;
use crate::workload::program::output::safe_name;
use crate::workload::{Io, Kind, OnFailure, Spread, WorkloadSpec};
use peer::Peer;
use pilot::Estimate;
pub use round::Invalid;
use round::{Completed, RoundFailure, Watch};
use schedule::{Budget, Phase};
use session::Session;
use signals::Signals;

/// What happens in a run, for whoever shows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A round is about to start.
    RoundStarts {
        /// Which strategy.
        strategy: &'a str,
        /// What the round is for.
        phase: Phase,
        /// Its number within its phase, from 1.
        round: u64,
        /// Rounds of that phase, at most.
        of: u64,
        /// Tasks of a round.
        tasks: u64,
        /// How long it will take, from rounds of the same strategy before.
        expected: Option<Duration>,
    },
    /// A round goes on.
    Progress {
        /// Tasks done.
        tasks_done: u64,
        /// Processes alive.
        alive: u64,
    },
    /// A round is over.
    RoundEnds,
    /// How long the run should take is known.
    Estimated {
        /// In seconds.
        run_seconds: f64,
        /// Whether it may be done sooner: as soon as it is as precise as was asked for.
        is_upper_bound: bool,
    },
    /// Every task that was tried before the run has failed, and those to come will be tried all the same.
    AllFailed {
        /// How many were tried.
        tasks: u64,
        /// The first of them.
        first: &'a TaskFailure,
    },
    /// Nothing was done in a round for some time.
    Stalled {
        /// Which strategy it is a round of.
        strategy: &'a str,
        /// For how long.
        waited: Duration,
        /// What it was doing, as far as that is known.
        doing: Option<&'a str>,
        /// Whether it is a task that takes so long, which nobody has told how long it may.
        would_end: bool,
    },
}

/// Hears of events.
pub trait Observer {
    /// Something has happened.
    fn notice(&mut self, event: Event<'_>);
}

/// Why a run has no result at all.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Something that must hold did not.
    #[error("a round is not valid: {0}")]
    Violation(Invalid),
    /// What was asked for cannot be done, whatever the machine.
    #[error("{0}")]
    Refused(String),
    /// This machine cannot run it.
    #[error("{0}")]
    Limit(String),
    /// Somebody pressed Ctrl-C before there was anything to report.
    #[error("interrupted")]
    Interrupted,
    /// Anything else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

/// What is known before the first round.
#[derive(Debug, Clone)]
pub struct Setting {
    /// When the run was started, as RFC 3339.
    pub started_at: String,
    /// The machine, as the plan was made for it.
    pub machine: Machine,
    /// All else that can be said of it.
    pub environment: Environment,
    /// Memory of one waiting process, or why it was not measured.
    pub parked_process_bytes: Result<u64, parked::ParkedMissing>,
    /// Units of CPU work that make a second.
    pub units_per_second: f64,
    /// How long the bystander stands by while nothing is run, at most: a tenth of it before the first round, the rest after
    /// the last; where no row has a p99 of its own, no longer than a tenth of what the run has taken.
    pub idle: Duration,
    /// Whether procbench itself has run something shortly before, in another part of the same study.
    pub own_load: bool,
    /// What has been noticed so far.
    pub warnings: Vec<Warning>,
    /// What the files and folders of the workload turned out to be.
    pub found: Found,
    /// A file for what functions of the user's own return, where somebody wants it.
    pub returns: Option<PathBuf>,
}

/// [`Setting::idle`] of a run: long enough for a p99.
pub const IDLE: Duration = Duration::from_millis(1040);

impl Setting {
    /// Units of `engine`'s CPU work that make a second.
    pub fn units_per_second_of(&self, engine: Engine) -> f64 {
        match (engine, &self.machine.python) {
            (Engine::Python, Some(python)) => python.units_per_second,
            _ => self.units_per_second,
        }
    }
}

/// Tries a few tasks of each strategy and says how long the run would take.
///
/// # Errors
/// If a round is not valid or cannot be had.
pub fn estimate(plan: &Plan, setting: &Setting, signals: &Signals) -> Result<Estimate, RunError> {
    struct Nobody;
    impl Observer for Nobody {
        fn notice(&mut self, _: Event<'_>) {}
    }
    let mut janitor = Janitor::start()?;
    let mut nobody = Nobody;
    let (equipment, _folder) = equip(plan, setting, &mut janitor)?;
    let mut session = Session::new(plan, setting, signals, &mut nobody, &mut janitor, &equipment);
    let rows = rows_of(plan, setting);
    let mut tables: Vec<Records> = rows.iter().map(|_| Records::default()).collect();
    let estimate = session.pilot(&rows, &mut tables)?;
    match tables.into_iter().find_map(|records| records.given_up) {
        Some(why) => Err(RoundFailure::Failed(why).into()),
        None => Ok(estimate),
    }
}

/// Carries out `plan`. An interrupted run is a partial document, not an error.
///
/// # Errors
/// If a round is not valid or cannot be had.
pub fn run(
    plan: &Plan,
    setting: &Setting,
    signals: &Signals,
    observer: &mut dyn Observer,
) -> Result<Document, RunError> {
    run_rows(plan, setting, rows_of(plan, setting), signals, observer)
}

/// As [`run`]; but what was timed before an error ended it is there too, beside the error.
///
/// # Errors
/// As [`run`], where nothing had been timed, or where there is no trust in what was.
pub fn run_as_far_as_possible(
    plan: &Plan,
    setting: &Setting,
    signals: &Signals,
    observer: &mut dyn Observer,
) -> Result<(Document, Option<RunError>), RunError> {
    run_rows_as_far_as_possible(plan, setting, rows_of(plan, setting), signals, observer)
}

/// As [`run`], with rows of the caller's choice: the strategies of `plan`, but perhaps with other tasks.
///
/// # Errors
/// As [`run`].
pub fn run_rows(
    plan: &Plan,
    setting: &Setting,
    rows: Vec<Row>,
    signals: &Signals,
    observer: &mut dyn Observer,
) -> Result<Document, RunError> {
    match run_rows_as_far_as_possible(plan, setting, rows, signals, observer)? {
        (document, None) => Ok(document),
        (_, Some(error)) => Err(error),
    }
}

fn run_rows_as_far_as_possible(
    plan: &Plan,
    setting: &Setting,
    rows: Vec<Row>,
    signals: &Signals,
    observer: &mut dyn Observer,
) -> Result<(Document, Option<RunError>), RunError> {
    let mut janitor = Janitor::start()?;
    let started = Instant::now();
    let mut idle = stand_by(setting.idle / 10)?;
    let (equipment, _folder) = equip(plan, setting, &mut janitor)?;
    let mut tables: Vec<Records> = rows.iter().map(|_| Records::default()).collect();
    let (before, own_before) = (State::read(), CpuTime::of_this_process_and_reaped_children());
    let mut session = Session::new(plan, setting, signals, observer, &mut janitor, &equipment);
    let outcome = session.carry_out(&rows, &mut tables);
    let Session { own_forks, estimate, cut_off, .. } = session;
    // What the round that was cut off had started is not known.
    let cut_short =
        matches!(outcome, Err(RoundFailure::Interrupted | RoundFailure::Limit(_) | RoundFailure::Other(_)))
            || tables.iter().any(|records| records.given_up.is_some());
    let own_forks = Some(own_forks).filter(|_| !cut_short);
    let has_timed = tables.iter().any(|records| !records.timed.is_empty());
    let (partial, ended) = match outcome {
        Ok(()) => (false, None),
        Err(RoundFailure::Interrupted | RoundFailure::Stopped) => (true, None),
        Err(failure @ (RoundFailure::Limit(_) | RoundFailure::Other(_))) if has_timed => {
            (true, Some(RunError::from(failure)))
        }
        Err(failure) => return Err(failure.into()),
    };
    let after = State::read();
    let own_cpu_seconds = CpuTime::of_this_process_and_reaped_children().since(own_before).total_seconds();
    if !partial {
        let wakes = |records: &Records| -> u64 {
            let of_rounds = records.timed.iter().filter_map(|(_, _, completed)| completed.lateness.as_ref());
            of_rounds.map(Lateness::count).sum()
        };
        // Whoever has a percentile wants to see the same of the idle machine.
        let has_p99 = tables.iter().any(|records| wakes(records) >= MIN_FOR_P99);
        let rest = setting.idle / 10 * 9;
        idle.add(&stand_by(if has_p99 { rest } else { rest.min(started.elapsed() / 10) })?);
    }
    let ended_by = ended.as_ref().map(ToString::to_string);
    let seen = Seen { before, after, own_forks, own_cpu_seconds, idle, estimate, cut_off, ended_by };
    Ok((summary::sum_up(plan, setting, &rows, tables, seen, partial), ended))
}

/// How late a bystander wakes while nothing is run.
fn stand_by(time: Duration) -> anyhow::Result<Lateness> {
    let bystander = Bystander::start(NAP).context("failed to start the bystander")?;
    std::thread::sleep(time);
    Ok(bystander.stop())
}

impl From<RoundFailure> for RunError {
    fn from(failure: RoundFailure) -> Self {
        match failure {
            RoundFailure::Interrupted => Self::Interrupted,
            RoundFailure::Stopped => Self::Other(failure.into()),
            RoundFailure::Violation(invalid) => Self::Violation(invalid),
            RoundFailure::Silent(message) | RoundFailure::Failed(message) => {
                Self::Other(anyhow::anyhow!(message))
            }
            RoundFailure::Refused(message) => Self::Refused(message),
            RoundFailure::Limit(message) => Self::Limit(message),
            RoundFailure::Other(error) => Self::Other(error),
        }
    }
}

/// What was seen of the machine besides the rounds.
pub struct Seen {
    /// Just before the first round.
    pub before: State,
    /// Just after the last.
    pub after: State,
    /// Processes and threads that the run itself created in between; not known if a round was cut off, or could not be had.
    pub own_forks: Option<u64>,
    /// CPU time that all rounds used, and this process beside them.
    pub own_cpu_seconds: f64,
    /// How late the bystander woke while nothing was run.
    pub idle: Lateness,
    /// How long the run was expected to take.
    pub estimate: Option<Estimate>,
    /// The round in which somebody ended the run.
    pub cut_off: Option<CutOff>,
    /// The error that ended it.
    pub ended_by: Option<String>,
}

/// What is run round by round: a strategy, with its own tasks or with empty ones.
#[derive(Debug, Clone)]
pub struct Row {
    /// How.
    pub strategy: Strategy,
    /// What.
    pub workload: WorkloadSpec,
    /// Whether the tasks are empty: what remains is what the mode itself costs.
    pub empty: bool,
}

impl Row {
    fn name(&self) -> String {
        let name = &self.strategy.name;
        if self.empty { format!("{name} (no-op)") } else { name.clone() }
    }
}

/// The strategies of `plan`, and their empty tasks where those are asked for.
pub fn rows_of(plan: &Plan, setting: &Setting) -> Vec<Row> {
    let mut workload = plan.workload.clone();
    if let Some(trace) = &setting.found.trace {
        workload.ready.durations = trace.durations();
    }
    let rows = |workload: WorkloadSpec, empty| {
        // An empty task is procbench's own: other tools start programs.
        let of_whom = plan.strategies.iter().filter(move |strategy| !(empty && strategy.engine.is_tool()));
        of_whom.map(move |strategy| Row {
            strategy: strategy.clone(),
            workload: WorkloadSpec {
                units_per_second: setting.units_per_second_of(strategy.engine),
                ..workload.clone()
            },
            empty,
        })
    };
    let mut all: Vec<Row> = rows(workload.clone(), false).collect();
    if plan.run.overhead {
        all.extend(rows(emptied(workload), true));
    }
    all
}

/// Makes ready what the engines of `plan` need, in a folder that goes with the returned guard.
fn equip(
    plan: &Plan,
    setting: &Setting,
    janitor: &mut Janitor,
) -> anyhow::Result<(Equipment, Option<Folder>)> {
    let tools = setting.machine.tools.clone();
    if !plan.strategies.iter().any(|strategy| strategy.engine == Engine::Python) {
        return Ok((Equipment { python: None, tools }, None));
    }
    let interpreter = setting.machine.python.as_ref().context("nobody has looked for Python")?;
    let folder = janitor.folder()?;
    require_room_for_modules(folder.path())?;
    let python = Some(Installed::new(interpreter, folder.path(), plan.workload.kind)?);
    Ok((Equipment { python, tools }, Some(folder)))
}

/// Refuses a `folder` in which Python could not keep what it makes of the engine's modules: of a disk that is full it takes half of it for
/// all of it.
fn require_room_for_modules(folder: &Path) -> anyhow::Result<()> {
    const NEEDED: u64 = 2 << 20;
    let storage = Storage::of(folder.to_owned())?;
    let shown = format!("{} (TMPDIR)", folder.display());
    found::require("the Python engine", &shown, &storage, (NEEDED, 0)).map_err(|why| Lack(why).into())
}

/// `workload` with nothing to do in its tasks. What is shipped, what the parent holds and how a process is forked stays:
/// that is the mode's to pay.
fn emptied(workload: WorkloadSpec) -> WorkloadSpec {
    WorkloadSpec {
        full_fork: !workload.is_lean(),
        kind: Kind::Synthetic,
        cpu_seconds: 0.0,
        io_wait_seconds: 0.0,
        io: Io::Sleep,
        io_size_bytes: 0,
        io_folder: std::path::PathBuf::new(),
        shared_bytes: 0,
        trace: None,
        init_seconds: 0.0,
        memory_bytes: 0,
        spread: Spread::Constant,
        program: None,
        ..workload
    }
}

/// All rounds of one row.
#[derive(Debug, Default)]
pub struct Records {
    /// The timed ones, with their numbers and places in the run.
    pub timed: Vec<(u64, u64, Completed)>,
    /// Those in which memory was measured.
    pub memory: Vec<Completed>,
    /// Tasks that were tried to learn what they take.
    pilot_tasks: u64,
    /// Tasks that failed in rounds that were not timed, and the first few of them.
    untimed_tasks_failed: u64,
    untimed_tasks_not_tried: u64,
    untimed_failures: Vec<TaskFailure>,
    /// How long one takes, as far as known.
    expected: Option<Duration>,
    /// Why one could not be had; there are no more then.
    given_up: Option<String>,
}

impl Records {
    /// Half the width of the interval of the median so far, as a part of it.
    fn precision(&self, ranks: Option<stats::MedianRanks>) -> Option<f64> {
        let times: Vec<f64> = self.timed.iter().map(|(_, _, round)| round.report.total_seconds).collect();
        stats::summarise_with(&times, ranks)?.relative_half_width()
    }
}
