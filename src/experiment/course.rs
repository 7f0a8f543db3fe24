//! Rounds of one plan, a few at a time, for whoever decides meanwhile how many it takes, and of which strategies.
//!
//! They are rounds as in a run: each in a fresh process, those of the same number interleaved in an order drawn from the seed,
//! and all of them must agree on the results. What is left out is what nobody needs to decide: the idle machine is not stood
//! by, and memory is measured only if asked for.

use std::time::{Duration, Instant};

use super::pilot::{Estimate, RoundEstimate, Scale};
use super::round::RoundFailure;
use super::schedule::{self, Phase};
use super::session::{Agreed, Session, Turn};
use super::signals::Signals;
use super::workbench::Job;
use super::{Observer, Records, Row, RunError, Seen, equip, rows_of, summary};
use crate::document::Document;
use crate::engine::Equipment;
use crate::janitor::{Folder, Janitor};
use crate::measure::bystander::Lateness;
use crate::measure::environment::State;
use crate::stats::summarise_with;
use crate::sys::wait::CpuTime;

/// Whoever takes so many times as long for a few tasks as another for all is not waited for.
const HOPELESS_TIMES: f64 = 10.0;

/// The rounds of a plan so far.
pub struct Course {
    job: Job,
    rows: Vec<Row>,
    tables: Vec<Records>,
    signals: Signals,
    janitor: Janitor,
    equipment: Equipment,
    _equipment_folder: Option<Folder>,
    agreed: [Option<Agreed>; 2],
    input: Option<(Folder, u64)>,
    before: State,
    /// What this process had used by then.
    own_before: CpuTime,
    own_forks: u64,
    /// Whether a round was ended before it was over, so that what it had started is not known.
    cut_off: bool,
    estimate: Option<Estimate>,
    rounds: u64,
    order: u64,
}

/// What a round of a strategy came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Took {
    /// So many seconds.
    Seconds(f64),
    /// Longer than it was given: it was ended.
    Longer(f64),
}

/// What a few tasks said of those strategies, the first of all, whose tasks could be tried before the time was up.
#[derive(Debug, Clone)]
pub struct TriedOnly(pub Vec<RoundEstimate>);

impl Course {
    /// Makes `job` ready, of which nothing is run yet.
    ///
    /// # Errors
    /// If what its engines need cannot be had.
    pub fn begin(job: Job, signals: &Signals) -> Result<Self, RunError> {
        let mut janitor = Janitor::start()?;
        let (equipment, folder) = equip(&job.plan, &job.setting, &mut janitor)?;
        let rows = rows_of(&job.plan, &job.setting);
        Ok(Self {
            tables: rows.iter().map(|_| Records::default()).collect(),
            rows,
            job,
            signals: signals.clone(),
            janitor,
            equipment,
            _equipment_folder: folder,
            agreed: [None, None],
            input: None,
            before: State::read(),
            own_before: CpuTime::of_this_process_and_reaped_children(),
            own_forks: 0,
            cut_off: false,
            estimate: None,
            rounds: 0,
            order: 0,
        })
    }

    /// The plan.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// How long a round of each strategy takes: by the rounds so far, else by the pilot, else nobody knows.
    pub fn expected_seconds(&self) -> Vec<f64> {
        let of = |(place, records): (usize, &Records)| {
            let rounds = records.timed.iter().map(|(_, _, completed)| completed.report.total_seconds);
            let by_pilot = self.estimate.as_ref().and_then(|estimate| estimate.rounds.get(place));
            rounds.reduce(f64::max).or(by_pilot.map(|round| round.round_seconds)).unwrap_or(f64::INFINITY)
        };
        self.tables.iter().enumerate().map(of).collect()
    }

    /// Tasks that failed so far.
    pub fn tasks_failed(&self) -> u64 {
        let timed = |records: &Records| -> u64 {
            records.timed.iter().map(|(_, _, completed)| completed.report.tasks_failed).sum()
        };
        self.tables.iter().map(|records| records.untimed_tasks_failed + timed(records)).sum()
    }

    /// Lets `act` have a session, with all that is known so far.
    fn session<T>(
        &mut self,
        signals: &Signals,
        observer: &mut dyn Observer,
        act: impl FnOnce(&mut Session<'_>, &[Row], &mut [Records]) -> Result<T, RoundFailure>,
    ) -> Result<T, RoundFailure> {
        let Job { plan, setting, .. } = &self.job;
        let mut session = Session::new(plan, setting, signals, observer, &mut self.janitor, &self.equipment);
        session.digests = std::mem::take(&mut self.agreed);
        session.input = self.input.take();
        let outcome = act(&mut session, &self.rows, &mut self.tables);
        self.agreed = std::mem::take(&mut session.digests);
        self.input = session.input.take();
        self.own_forks += session.own_forks;
        self.cut_off |= matches!(outcome, Err(RoundFailure::Interrupted));
        outcome
    }

    /// How long a round of each strategy should take, from a few tasks of each; if that is not known by `deadline`, as where a
    /// single task takes longer, of which it is. A strategy whose few tasks alone take [`HOPELESS_TIMES`] times as long as all of another
    /// is not waited for: that is what its round is said to take.
    ///
    /// # Errors
    /// If a round is not valid or cannot be had, or somebody wants an end.
    pub fn pilot(
        &mut self,
        deadline: Instant,
        observer: &mut dyn Observer,
    ) -> Result<Result<Estimate, TriedOnly>, RunError> {
        const AT_LEAST: f64 = 1.0;
        let started = Instant::now();
        let mut scale = Scale::default();
        let mut rounds: Vec<RoundEstimate> = Vec::new();
        for place in 0..self.rows.len() {
            let best = rounds.iter().map(|round| round.round_seconds).reduce(f64::min);
            let patience = best.map(|best| (HOPELESS_TIMES * best).max(AT_LEAST));
            let until = patience
                .and_then(|patience| Duration::try_from_secs_f64(patience).ok())
                .and_then(|patience| Instant::now().checked_add(patience))
                .map_or(deadline, |until| until.min(deadline));
            let signals = self.signals.until(until);
            let tried = self.session(&signals, observer, |session, rows, tables| {
                session.pilot_of(&rows[place], &mut tables[place], &mut scale)
            });
            match (tried, patience) {
                (Ok(estimate), _) => rounds.push(estimate),
                (Err(RoundFailure::Interrupted), _) if self.signals.stop_wanted() => {
                    return Err(RunError::Interrupted);
                }
                (Err(RoundFailure::Interrupted), Some(patience)) if Instant::now() < deadline => {
                    rounds.push(RoundEstimate {
                        strategy: self.rows[place].name(),
                        round_seconds: patience,
                        besides_seconds: None,
                        pilot_tasks: None,
                    });
                }
                (Err(RoundFailure::Interrupted), _) => return Ok(Err(TriedOnly(rounds))),
                (Err(failure), _) => return Err(failure.into()),
            }
        }
        let signals = self.signals.clone();
        let spent = started.elapsed();
        let estimate =
            self.session(&signals, observer, |session, rows, _| Ok(session.estimate(rows, rounds, spent)))?;
        self.estimate = Some(estimate.clone());
        Ok(Ok(estimate))
    }

    /// One round, to warm up or timed, of each strategy in `which`, by their places in the plan, next to each other, so that they can be compared.
    /// One that takes longer than `patience` allows it is ended; then it has no round of this number.
    ///
    /// # Errors
    /// As [`Self::pilot`].
    pub fn round(
        &mut self,
        phase: Phase,
        which: &[usize],
        patience: &dyn Fn(usize) -> Option<Duration>,
        observer: &mut dyn Observer,
    ) -> Result<Vec<(usize, Took)>, RunError> {
        self.rounds += u64::from(phase == Phase::Timed);
        let (number, seed) = (self.rounds, self.job.plan.run.seed);
        let mut took = Vec::new();
        let order = schedule::order(self.rows.len(), seed, phase, number);
        for place in order.into_iter().filter(|place| which.contains(place)) {
            let patience = patience(place);
            let signals = match patience {
                Some(patience) => self.signals.until(Instant::now() + patience),
                None => self.signals.clone(),
            };
            let completed = self.session(&signals, observer, |session, rows, tables| {
                session.round(&rows[place], Turn { phase, number, of: number }, &mut tables[place])
            });
            match (completed, patience) {
                (Ok(completed), _) => {
                    took.push((place, Took::Seconds(completed.report.total_seconds)));
                    if phase == Phase::Timed {
                        self.order += 1;
                        self.tables[place].timed.push((number, self.order, completed));
                    }
                }
                (Err(RoundFailure::Interrupted), Some(patience)) if !self.signals.stop_wanted() => {
                    took.push((place, Took::Longer(patience.as_secs_f64())));
                }
                (Err(failure), _) => return Err(failure.into()),
            }
        }
        Ok(took)
    }

    /// Rounds of the strategy at `place` in which memory is measured, and which warm up.
    ///
    /// # Errors
    /// As [`Self::pilot`].
    pub fn memory(&mut self, place: usize, observer: &mut dyn Observer) -> Result<(), RunError> {
        let signals = self.signals.clone();
        let completed = self.session(&signals, observer, |session, rows, tables| {
            let rounds = session.memory_rounds(&rows[place]);
            let mut round = |number| {
                session.round(
                    &rows[place],
                    Turn { phase: Phase::Memory, number, of: rounds },
                    &mut tables[place],
                )
            };
            (1..=rounds).map(&mut round).collect::<Result<Vec<_>, _>>()
        })?;
        self.tables[place].memory = completed;
        Ok(())
    }

    /// One more round of the strategy at `place` in which memory is measured.
    ///
    /// # Errors
    /// As [`Self::pilot`].
    pub fn one_more_of_memory(&mut self, place: usize, observer: &mut dyn Observer) -> Result<(), RunError> {
        let signals = self.signals.clone();
        let number = self.tables[place].memory.len() as u64 + 1;
        let completed = self.session(&signals, observer, |session, rows, tables| {
            session.round(&rows[place], Turn { phase: Phase::Memory, number, of: number }, &mut tables[place])
        })?;
        self.tables[place].memory.push(completed);
        Ok(())
    }

    /// In how many rounds memory of the strategy at `place` was measured.
    pub fn memory_rounds(&self, place: usize) -> usize {
        self.tables[place].memory.len()
    }

    /// The place of the strategy with the smallest median so far, and that median in seconds.
    pub fn best(&self) -> Option<(usize, f64)> {
        let median = |records: &Records| {
            let times: Vec<f64> =
                records.timed.iter().map(|(_, _, completed)| completed.report.total_seconds).collect();
            summarise_with(&times, None).map(|summary| summary.median)
        };
        let medians = self.tables.iter().map(median).enumerate();
        let known = medians.filter_map(|(place, median)| Some((place, median?)));
        known.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Processes and threads that its rounds have created so far; not known if one was cut off.
    pub fn own_forks(&self) -> Option<u64> {
        Some(self.own_forks).filter(|_| !self.cut_off)
    }

    /// All of it as a document.
    pub fn finish(self, partial: bool) -> Document {
        self.finish_beside(Some(0), partial)
    }

    /// The same, where other courses have had rounds since this one was begun, which created `other_forks`. What they used of the
    /// CPU is this process's own anyway.
    pub fn finish_beside(self, other_forks: Option<u64>, partial: bool) -> Document {
        let own_forks = self.own_forks().zip(other_forks).map(|(own, others)| own + others);
        let own_cpu = CpuTime::of_this_process_and_reaped_children().since(self.own_before);
        let seen = Seen {
            before: self.before,
            own_forks,
            after: State::read(),
            own_cpu_seconds: own_cpu.total_seconds(),
            idle: Lateness::default(),
            estimate: self.estimate,
            cut_off: None,
            ended_by: None,
        };
        summary::sum_up(&self.job.plan, &self.job.setting, &self.rows, self.tables, seen, partial)
    }
}
