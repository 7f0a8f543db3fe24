//! A run: every strategy, for every round, interleaved, each round in a fresh process.

pub mod janitor;
pub mod round;
pub mod schedule;
pub mod signals;
pub mod summary;

use std::time::Duration;

use anyhow::Context;

use crate::document::{self, Document, Warning};
use crate::engine::Strategy;
use crate::engine::protocol::{Request, VERSION};
use crate::measure::memory::Gauge;
use crate::plan::Plan;
use crate::workload::Kind;
use janitor::Janitor;
use round::{Completed, RoundFailure};
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
    /// This machine cannot run it.
    #[error("{0}")]
    Limit(String),
    /// Anything else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

/// What is known before the first round.
pub struct Setting {
    /// When the run was started, as RFC 3339.
    pub started_at: String,
    /// The machine.
    pub environment: document::Environment,
    /// What has been noticed so far.
    pub warnings: Vec<Warning>,
}

/// Carries out `plan`. An interrupted run is a partial document, not an error.
///
/// # Errors
/// If a round is not valid or cannot be had.
pub fn run(
    plan: &Plan,
    setting: Setting,
    signals: &Signals,
    observer: &mut dyn Observer,
) -> Result<Document, RunError> {
    let mut janitor = Janitor::start()?;
    let mut tables: Vec<Records> = plan.strategies.iter().map(|_| Records::default()).collect();
    let mut session =
        Session { plan, setting: &setting, signals, observer, janitor: &mut janitor, digest: None };
    let outcome = session.carry_out(&mut tables);
    let partial = match outcome {
        Ok(()) => false,
        Err(RoundFailure::Interrupted) => true,
        Err(RoundFailure::Violation(message)) => return Err(RunError::Violation(message)),
        Err(RoundFailure::Limit(message)) => return Err(RunError::Limit(message)),
        Err(RoundFailure::Other(error)) => return Err(RunError::Other(error)),
    };
    Ok(summary::sum_up(plan, setting, tables, partial))
}

/// All rounds of one strategy.
#[derive(Debug, Default)]
pub struct Records {
    /// The timed ones, with their numbers and places in the run.
    pub timed: Vec<(u64, u64, Completed)>,
    /// The one in which memory was measured.
    pub memory: Option<Completed>,
    /// How long one takes, as far as known.
    expected: Option<Duration>,
}

struct Session<'a> {
    plan: &'a Plan,
    setting: &'a Setting,
    signals: &'a Signals,
    observer: &'a mut dyn Observer,
    janitor: &'a mut Janitor,
    /// What all rounds must agree on, and who said it first.
    digest: Option<(String, String)>,
}

impl Session<'_> {
    fn carry_out(&mut self, tables: &mut [Records]) -> Result<(), RoundFailure> {
        let run = &self.plan.run;
        let strategies = &self.plan.strategies;
        for place in schedule::order(strategies.len(), run.seed, Phase::Memory, 1) {
            let completed = self.round(&strategies[place], Phase::Memory, 1, 1, &mut tables[place])?;
            tables[place].memory = Some(completed);
        }
        // The round that measured memory has warmed up as well as any.
        for number in 2..=run.warmup {
            for place in schedule::order(strategies.len(), run.seed, Phase::WarmUp, number) {
                self.round(&strategies[place], Phase::WarmUp, number, run.warmup, &mut tables[place])?;
            }
        }
        let mut budgets: Vec<Budget> = strategies.iter().map(|_| Budget::new(run)).collect();
        let mut order = 0;
        for number in 1..=run.rounds {
            let places = schedule::order(strategies.len(), run.seed, Phase::Timed, number);
            let places: Vec<usize> =
                places.into_iter().filter(|place| budgets[*place].allows_another()).collect();
            if places.is_empty() {
                break;
            }
            for place in places {
                order += 1;
                let completed =
                    self.round(&strategies[place], Phase::Timed, number, run.rounds, &mut tables[place])?;
                budgets[place].spend(completed.outside_seconds);
                tables[place].timed.push((number, order, completed));
            }
        }
        Ok(())
    }

    fn round(
        &mut self,
        strategy: &Strategy,
        phase: Phase,
        round: u64,
        of: u64,
        records: &mut Records,
    ) -> Result<Completed, RoundFailure> {
        if self.signals.stop_wanted() {
            return Err(RoundFailure::Interrupted);
        }
        let mut workload = self.plan.workload.clone();
        workload.units_per_second = self.setting.environment.units_per_second;
        let folder = match workload.kind {
            Kind::File => Some(self.janitor.folder()?),
            Kind::Synthetic | Kind::Expression => None,
        };
        if let Some(folder) = &folder {
            workload.folder = folder.path().to_owned();
        }
        let gauge = match phase {
            Phase::Memory => Some(self.open_gauge()?),
            Phase::WarmUp | Phase::Timed => None,
        };
        let tasks = workload.tasks;
        let expected = records.expected;
        self.observer.notice(Event::RoundStarts {
            strategy: &strategy.name,
            phase,
            round,
            of,
            tasks,
            expected,
        });
        let request = Request {
            protocol: VERSION,
            controller: std::process::id() as i32,
            workload,
            strategy: strategy.clone(),
            latency: phase == Phase::Timed,
        };
        let observer = &mut *self.observer;
        let completed = round::execute(&request, gauge, self.signals, &mut |tasks_done, alive| {
            observer.notice(Event::Progress { tasks_done, alive });
        });
        self.observer.notice(Event::RoundEnds);
        let completed = completed?;
        records.expected = Some(Duration::from_secs_f64(completed.outside_seconds));
        self.agree(&strategy.name, &completed)?;
        Ok(completed)
    }

    fn open_gauge(&mut self) -> anyhow::Result<Gauge> {
        let folder = Gauge::folder(&self.janitor.fresh_name());
        if let Some(folder) = &folder {
            self.janitor.expect(folder).context("failed to announce the round's cgroup")?;
        }
        Ok(Gauge::open(folder))
    }

    /// All strategies give the same results, in every round. A failed task has none to agree on.
    fn agree(&mut self, strategy: &str, completed: &Completed) -> Result<(), RoundFailure> {
        if completed.report.tasks_failed > 0 {
            return Ok(());
        }
        let digest = &completed.report.digest;
        match &self.digest {
            None => self.digest = Some((digest.clone(), strategy.to_owned())),
            Some((agreed, first)) if agreed != digest => {
                return Err(RoundFailure::Violation(format!(
                    "{strategy} and {first} give different results for the same tasks: digest {digest} and {agreed}"
                )));
            }
            Some(_) => {}
        }
        Ok(())
    }
}
