//! A run: every strategy, for every round, interleaved, each round in a fresh process.

pub mod course;
pub mod janitor;
pub mod peer;
pub mod pilot;
pub mod round;
pub mod schedule;
pub mod signals;
pub mod summary;
mod warnings;
pub mod workbench;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::document::{Document, Warning};
use crate::engine::protocol::{Request, RoundReport, VERSION};
use crate::engine::python::Installed;
use crate::engine::{Engine, Equipment, Strategy};
use crate::measure::bystander::{Bystander, Lateness};
use crate::measure::environment::{Environment, State};
use crate::measure::memory::Gauge;
use crate::mode::verify::{PARTS, TaskFailure};
use crate::plan::found::Found;
use crate::plan::{Machine, Plan};
use crate::stats;
use crate::workload::io::disk;
use crate::workload::program::output::safe_name;
use crate::workload::{Io, Kind, OnFailure, Spread, WorkloadSpec};
use janitor::{Folder, Janitor};
use peer::Peer;
use pilot::Estimate;
use round::{Completed, RoundFailure, Watch};
use schedule::{Budget, Phase};
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
    /// How long the run should take, at most, is known.
    Estimated {
        /// In seconds.
        run_seconds: f64,
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
    Violation(String),
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
    /// Memory of one waiting process, where it was measured.
    pub parked_process_bytes: Option<u64>,
    /// Units of CPU work that make a second.
    pub units_per_second: f64,
    /// How long the bystander stands by while nothing is run, at most: a tenth of it before the first round, the rest after
    /// the last, but no longer than a tenth of what the run has taken.
    pub idle: Duration,
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
    Ok(session.pilot(&rows, &mut tables)?)
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
    let mut janitor = Janitor::start()?;
    let started = Instant::now();
    let mut idle = stand_by(setting.idle / 10)?;
    let (equipment, _folder) = equip(plan, setting, &mut janitor)?;
    let mut tables: Vec<Records> = rows.iter().map(|_| Records::default()).collect();
    let before = State::read();
    let mut session = Session::new(plan, setting, signals, observer, &mut janitor, &equipment);
    let outcome = session.carry_out(&rows, &mut tables);
    let Session { own_forks, own_cpu_seconds, estimate, .. } = session;
    let partial = match outcome {
        Ok(()) => false,
        Err(RoundFailure::Interrupted | RoundFailure::Stopped) => true,
        Err(failure) => return Err(failure.into()),
    };
    let after = State::read();
    if !partial {
        idle.add(&stand_by((started.elapsed() / 10).min(setting.idle / 10 * 9))?);
    }
    let seen = Seen { before, after, own_forks, own_cpu_seconds, idle, estimate };
    Ok(summary::sum_up(plan, setting, &rows, tables, seen, partial))
}

/// How late a bystander wakes while nothing is run.
fn stand_by(time: Duration) -> anyhow::Result<Lateness> {
    let bystander = Bystander::start().context("failed to start the bystander")?;
    std::thread::sleep(time);
    Ok(bystander.stop())
}

impl From<RoundFailure> for RunError {
    fn from(failure: RoundFailure) -> Self {
        match failure {
            RoundFailure::Interrupted => Self::Interrupted,
            RoundFailure::Stopped => Self::Other(failure.into()),
            RoundFailure::Violation(message) => Self::Violation(message),
            RoundFailure::Silent(message) => Self::Other(anyhow::anyhow!(message)),
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
    /// Processes and threads that the run itself created in between.
    pub own_forks: u64,
    /// CPU time that the rounds used.
    pub own_cpu_seconds: f64,
    /// How late the bystander woke while nothing was run.
    pub idle: Lateness,
    /// How long the run was expected to take.
    pub estimate: Option<Estimate>,
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
        if self.empty { format!("{name} (empty task)") } else { name.clone() }
    }
}

/// The strategies of `plan`, and their empty tasks where those are asked for.
pub fn rows_of(plan: &Plan, setting: &Setting) -> Vec<Row> {
    let mut workload = plan.workload.clone();
    if let Some(trace) = &setting.found.trace {
        workload.ready.durations = trace.durations();
    }
    let rows = |workload: WorkloadSpec, empty| {
        plan.strategies.iter().map(move |strategy| Row {
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
    if !plan.strategies.iter().any(|strategy| strategy.engine == Engine::Python) {
        return Ok((Equipment::default(), None));
    }
    let interpreter = setting.machine.python.as_ref().context("nobody has looked for Python")?;
    let folder = janitor.folder()?;
    let python = Some(Installed::new(interpreter, folder.path(), plan.workload.kind)?);
    Ok((Equipment { python }, Some(folder)))
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
    /// The one in which memory was measured.
    pub memory: Option<Completed>,
    /// Tasks that failed in rounds that were not timed, and the first few of them.
    untimed_tasks_failed: u64,
    untimed_tasks_not_tried: u64,
    untimed_failures: Vec<TaskFailure>,
    /// How long one takes, as far as known.
    expected: Option<Duration>,
}

impl Records {
    /// Half the width of the interval of the median so far, as a part of it.
    fn precision(&self, seed: u64) -> Option<f64> {
        let times: Vec<f64> = self.timed.iter().map(|(_, _, round)| round.report.total_seconds).collect();
        stats::summarise(&times, seed)?.relative_half_width()
    }
}

/// Rounds before a precision is believed: who stops earlier stops when chance has made the interval narrow.
const LEAST_ROUNDS_FOR_PRECISION: u64 = 10;

/// What the results of a workload's tasks are, as the first strategy said.
struct Agreed {
    strategy: String,
    digest: String,
    parts: Vec<u32>,
}

struct Session<'a> {
    plan: &'a Plan,
    setting: &'a Setting,
    signals: &'a Signals,
    observer: &'a mut dyn Observer,
    janitor: &'a mut Janitor,
    equipment: &'a Equipment,
    /// What all rounds must agree on, and who said it first: for the workload's tasks, and for empty ones.
    digests: [Option<Agreed>; 2],
    /// Whether a task has failed, and nothing more is to be run after that.
    stopped: bool,
    own_forks: u64,
    own_cpu_seconds: f64,
    estimate: Option<Estimate>,
    /// Where the file is that tasks read from, and for how many: once for all rounds that need no more.
    input: Option<(Folder, u64)>,
    /// Where what functions return is to be written: by one round, since all return the same.
    returns: Option<PathBuf>,
}

impl<'a> Session<'a> {
    fn new(
        plan: &'a Plan,
        setting: &'a Setting,
        signals: &'a Signals,
        observer: &'a mut dyn Observer,
        janitor: &'a mut Janitor,
        equipment: &'a Equipment,
    ) -> Self {
        let digests = [None, None];
        Self {
            plan,
            setting,
            signals,
            observer,
            janitor,
            equipment,
            digests,
            stopped: false,
            own_forks: 0,
            own_cpu_seconds: 0.0,
            estimate: None,
            input: None,
            returns: setting.returns.clone(),
        }
    }

    fn carry_out(&mut self, rows: &[Row], tables: &mut [Records]) -> Result<(), RoundFailure> {
        let run = &self.plan.run;
        let estimate = self.pilot(rows, tables)?;
        self.observer.notice(Event::Estimated { run_seconds: estimate.run_seconds });
        self.estimate = Some(estimate);
        for place in schedule::order(rows.len(), run.seed, Phase::Memory, 1) {
            let completed = self.round(&rows[place], Phase::Memory, 1, 1, &mut tables[place])?;
            tables[place].memory = Some(completed);
        }
        // The round that measured memory has warmed up as well as any.
        for number in 2..=run.warmup {
            for place in schedule::order(rows.len(), run.seed, Phase::WarmUp, number) {
                self.round(&rows[place], Phase::WarmUp, number, run.warmup, &mut tables[place])?;
            }
        }
        let mut budgets: Vec<Budget> = rows.iter().map(|_| Budget::new(run)).collect();
        let mut order = 0;
        for number in 1..=run.rounds {
            let mut places = schedule::order(rows.len(), run.seed, Phase::Timed, number);
            places.retain(|place| {
                budgets[*place].allows_another() && !self.is_precise(number, &tables[*place])
            });
            if places.is_empty() {
                break;
            }
            for place in places {
                order += 1;
                let completed =
                    self.round(&rows[place], Phase::Timed, number, run.rounds, &mut tables[place])?;
                budgets[place].spend(completed.outside_seconds);
                tables[place].timed.push((number, order, completed));
            }
        }
        Ok(())
    }

    /// Whether a row needs no round `number` for the precision that was asked for. Never a question of significance.
    fn is_precise(&self, number: u64, records: &Records) -> bool {
        let run = &self.plan.run;
        let Some(wanted) = run.precision else { return false };
        number > LEAST_ROUNDS_FOR_PRECISION
            && records.precision(run.seed).is_some_and(|reached| reached <= wanted)
    }

    fn round(
        &mut self,
        row: &Row,
        phase: Phase,
        round: u64,
        of: u64,
        records: &mut Records,
    ) -> Result<Completed, RoundFailure> {
        if self.signals.stop_wanted() {
            return Err(RoundFailure::Interrupted);
        }
        if self.stopped {
            return Err(RoundFailure::Stopped);
        }
        let mut workload = row.workload.clone();
        let folder = match workload.kind {
            Kind::File => Some(self.janitor.folder()?),
            Kind::Synthetic | Kind::Expression | Kind::Command | Kind::Worker | Kind::Call => None,
        };
        if let Some(output) = workload.program.as_mut().and_then(|program| program.output.as_mut()) {
            output.push(safe_name(&row.strategy.name));
        }
        if phase == Phase::Memory
            && let Some(program) = &mut workload.program
        {
            program.returns = self.returns.take();
        }
        if let Some(folder) = &folder {
            workload.folder = folder.path().to_owned();
        }
        let props = self.props(&mut workload)?;
        if row.strategy.engine == Engine::Python
            && let Some(python) = &self.equipment.python
            && let Some(folder) = python.arguments_of(&workload)?
        {
            workload.folder = folder;
        }
        let watch = match phase {
            Phase::Memory => Watch::Memory(self.open_gauge()?),
            Phase::Timed => Watch::Bystander,
            Phase::Pilot | Phase::WarmUp => Watch::Nothing,
        };
        let name = row.name();
        let (tasks, expected) = (workload.tasks, records.expected);
        self.observer.notice(Event::RoundStarts { strategy: &name, phase, round, of, tasks, expected });
        let request = Request {
            protocol: VERSION,
            controller: std::process::id() as i32,
            workload,
            strategy: row.strategy.clone(),
            latency: self.plan.run.latency && phase == Phase::Timed,
            on_failure: self.plan.run.on_failure,
        };
        let observer = &mut *self.observer;
        let started = Instant::now();
        let command = row.strategy.engine.command(self.equipment)?;
        let completed = round::execute(command, &request, watch, self.signals, &mut |tasks_done, alive| {
            observer.notice(Event::Progress { tasks_done, alive });
        });
        self.observer.notice(Event::RoundEnds);
        let peer_cpu_seconds =
            props.peer.and_then(Peer::stop).map(|cpu| (cpu.user + cpu.system).as_secs_f64());
        let completed = completed.map_err(|failure| self.explain(row, failure))?;
        let completed = Completed { peer_cpu_seconds, ..completed };
        records.expected = Some(started.elapsed());
        let failed = completed.report.tasks_failed > 0;
        self.stopped |= failed && self.plan.run.on_failure == OnFailure::Stop;
        if phase != Phase::Timed && completed.report.tasks_failed > 0 {
            records.untimed_tasks_failed += completed.report.tasks_failed;
            records.untimed_tasks_not_tried += completed.report.tasks_not_tried;
            records.untimed_failures.extend_from_slice(&completed.report.failures);
        }
        self.own_forks += created_by(&completed);
        self.own_cpu_seconds += completed.tree_cpu_user_seconds
            + completed.tree_cpu_system_seconds
            + completed.peer_cpu_seconds.unwrap_or(0.0);
        if phase != Phase::Pilot {
            self.agree(row, &completed)?;
        }
        Ok(completed)
    }

    /// `failure`, with what the user's own function was doing when it took the round with it.
    fn explain(&self, row: &Row, failure: RoundFailure) -> RoundFailure {
        let in_hand = self.equipment.python.as_ref().and_then(|python| python.in_hand());
        match (failure, in_hand) {
            (RoundFailure::Silent(message), Some(doing)) if row.workload.kind == Kind::Call => {
                RoundFailure::Silent(format!("{message}, {doing}"))
            }
            (failure, _) => failure,
        }
    }

    /// Makes ready what the tasks of `workload` do I/O with, and tells them of it. It goes away with what is returned.
    fn props(&mut self, workload: &mut WorkloadSpec) -> Result<Props, RoundFailure> {
        let mut props = Props::default();
        match workload.io {
            Io::Sleep => {}
            Io::Echo => {
                workload.ready.peer = self.janitor.fresh_name();
                props.peer = Some(Peer::start(&workload.ready.peer, workload.io_size_bytes)?);
            }
            Io::Fsync => {
                let folder = self.janitor.folder_in(&workload.io_folder)?;
                workload.ready.io_folder = folder.path().to_owned();
                props.folder = Some(folder);
            }
            Io::Read => workload.ready.io_folder = self.input(workload)?.to_owned(),
        }
        Ok(props)
    }

    /// The folder with the file that the tasks of `workload` read from, which is written when there is none that is large
    /// enough.
    fn input(&mut self, workload: &WorkloadSpec) -> Result<&Path, RoundFailure> {
        let WorkloadSpec { tasks, io_size_bytes, seed, ref io_folder, .. } = *workload;
        let input = match self.input.take().filter(|(_, holds)| *holds >= tasks) {
            Some(input) => input,
            None => {
                let folder = self.janitor.folder_in(io_folder)?;
                let signals = self.signals;
                let made =
                    disk::make_input(folder.path(), tasks, io_size_bytes, seed, || !signals.stop_wanted());
                if !made
                    .with_context(|| format!("failed to write what tasks read to {}", io_folder.display()))?
                {
                    return Err(RoundFailure::Interrupted);
                }
                (folder, tasks)
            }
        };
        Ok(self.input.insert(input).0.path())
    }

    fn open_gauge(&mut self) -> anyhow::Result<Gauge> {
        let folder = Gauge::folder(&self.janitor.fresh_name());
        if let Some(folder) = &folder {
            self.janitor.expect(folder).context("failed to announce the round's cgroup")?;
        }
        let choice = self.plan.run.memory_method;
        Gauge::open(choice, folder).with_context(|| format!("failed to measure memory by {}", choice.name()))
    }

    /// All strategies give the same results, in every round. A failed task has none to agree on.
    fn agree(&mut self, row: &Row, completed: &Completed) -> Result<(), RoundFailure> {
        if completed.report.tasks_failed > 0 {
            return Ok(());
        }
        let RoundReport { digest, parts, .. } = &completed.report;
        match &mut self.digests[usize::from(row.empty)] {
            Some(agreed) if agreed.digest != *digest => Err(RoundFailure::Violation(
                match where_they_differ(row.workload.tasks, &agreed.parts, parts) {
                    Some(tasks) if row.workload.kind == Kind::Call => format!(
                        "{} and {} returned different values for the same arguments, first for {tasks}, by their pickled \
                         bytes: a function has to return the same each time it is given the same (--ignore-answers if \
                         yours cannot)",
                        row.name(),
                        agreed.strategy
                    ),
                    Some(tasks) => format!(
                        "{} and {} got different answers to the same lines, first to {tasks}: a worker has to answer the \
                         same each time it is asked the same (--ignore-answers if it cannot)",
                        row.name(),
                        agreed.strategy
                    ),
                    None => format!(
                        "{} and {} give different results for the same tasks: digest {digest} and {}",
                        row.name(),
                        agreed.strategy,
                        agreed.digest
                    ),
                },
            )),
            Some(_) => Ok(()),
            nothing => {
                let (digest, parts) = (digest.clone(), parts.clone());
                *nothing = Some(Agreed { strategy: row.name(), digest, parts });
                Ok(())
            }
        }
    }
}

/// The first of `tasks` tasks, or the first few, whose results are not the same: see [`PARTS`].
fn where_they_differ(tasks: u64, ours: &[u32], theirs: &[u32]) -> Option<String> {
    let part = ours.iter().zip(theirs).position(|(ours, theirs)| ours != theirs)? as u64;
    let stretch = tasks.div_ceil(PARTS).max(1);
    let (first, last) = (part * stretch, tasks.min((part + 1) * stretch) - 1);
    Some(if first == last { format!("task {first}") } else { format!("one of tasks {first} to {last}") })
}

/// What the tasks of one round do I/O with. Dropped, it is gone.
#[derive(Default)]
struct Props {
    peer: Option<Peer>,
    folder: Option<Folder>,
}

/// Processes and threads that a round created, as the kernel counts them: the runner, all that it started, and the bystander.
fn created_by(completed: &Completed) -> u64 {
    const RUNNER_AND_BYSTANDER: u64 = 2;
    let peer = u64::from(completed.peer_cpu_seconds.is_some());
    RUNNER_AND_BYSTANDER + peer + completed.report.helpers_started + completed.report.processes_started
}
