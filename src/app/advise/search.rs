//! The search on this machine: who races, on what ground, and who comes into the finals.

use std::collections::HashMap;
use std::iter::zip;
use std::time::{Duration, Instant};

use crate::app::failure::Failure;
use crate::document::Document;
use crate::engine::Engine;
use crate::experiment::RunError;
use crate::experiment::course::{Course, Took, TriedOnly};
use crate::experiment::schedule::Phase;
use crate::experiment::workbench::{Job, Workbench};
use crate::mode::Mode;
use crate::plan::draft::{Draft, StrategyDraft};
use crate::plan::{Plan, PlanError};
use crate::report::progress::{Part, Progress};
use crate::stats::MIN_ROUNDS;
use crate::study::advise::document::Candidate;
use crate::study::advise::{Arena, Entrant, Reason, Runner, alive, candidates, fastest_given_up, race};

/// When a few tasks of each strategy are to have been tried, as a part of the whole time: whose turn has not come by then is not in
/// the race.
const TRIED_BY: f64 = 0.3;
/// When the first race is to be over, all others, and the finals, as parts of the whole time.
const RACES_OVER: [f64; 2] = [0.45, 0.7];
/// Races at most.
const MOST_RACES: usize = 5;
/// There is a second race only where there is time for so many rounds of all, and a later one only for so many.
const LEAST_RACE_ROUNDS: [f64; 2] = [1.0, 3.0];
const FINALS_OVER: f64 = 0.95;
/// Where there is time for fewer rounds of all finalists than this, memory comes after the first of them.
const TIGHT: f64 = 5.0;
/// Nobody is in the finals for whom there is no time for so many rounds.
const LEAST_FINAL_ROUNDS: usize = 3;
/// Those who may be in the finals.
const MOST_FINALISTS: usize = 4;

/// A search for the best strategy.
pub struct Search {
    bench: Workbench,
    /// What is to be run, with the rows that were named.
    pub draft: Draft,
    /// When it was begun.
    pub started: Instant,
    limit: f64,
    /// What was typed for strategies that have such a setting.
    defaults: StrategyDraft,
    /// How far it is, for whoever waits.
    pub progress: Progress,
    /// Plans of rows that were looked at, so that none is twice.
    known: Vec<crate::engine::Strategy>,
    /// The fastest of those that were given up.
    next: Option<Racer>,
    /// The medians of the last race in which somebody had a round, by name, in seconds.
    medians: HashMap<String, f64>,
    /// How many times as long as the rounds themselves it takes to have them.
    cost: f64,
    /// Everybody that was looked at.
    pub candidates: Vec<Candidate>,
    /// Every round of each race.
    pub races: Vec<Document>,
}

/// A row that has raced.
#[derive(Debug, Clone)]
pub struct Racer {
    /// As it would be typed.
    pub row: StrategyDraft,
    /// What it is called in every export.
    pub name: String,
    /// The median of its rounds, or what a few tasks said of them.
    seconds: f64,
}

/// Why there are no finalists.
pub enum Ended {
    /// The time was up before a few tasks of a single strategy had been tried.
    OutOfTime {
        /// So many there are.
        of: usize,
        /// What should be enough, in seconds, to try them all and race.
        enough: f64,
    },
    /// Somebody wants an end.
    Interrupted,
    /// It cannot go on.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Ended {
    fn from(failure: E) -> Self {
        Self::Failed(failure.into())
    }
}

/// The error of a course, where an interrupt is none.
fn ended(error: RunError) -> Ended {
    match error {
        RunError::Interrupted => Ended::Interrupted,
        error => Ended::Failed(error.into()),
    }
}

impl Search {
    /// A search that begins now and may take `limit` seconds, of which nothing was run. `defaults` are for all that have such
    /// a setting.
    pub fn new(bench: Workbench, draft: Draft, defaults: StrategyDraft, limit: f64, quiet: bool) -> Self {
        Self {
            bench,
            draft,
            started: Instant::now(),
            limit,
            defaults,
            progress: Progress::new(quiet),
            known: Vec::new(),
            next: None,
            medians: HashMap::new(),
            cost: 1.0,
            candidates: Vec::new(),
            races: Vec::new(),
        }
    }

    /// Who comes into the finals: the best of a first race, and of others among those near the best so far, while these are new.
    /// `own` are looked at besides; only `modes` are, if there are any.
    pub fn finalists(
        &mut self,
        own: &[StrategyDraft],
        modes: &[Mode],
        plan: &Plan,
    ) -> Result<Vec<Racer>, Ended> {
        let cores = self.bench.machine().effective_cores;
        let mut engines: Vec<Engine> = plan.strategies.iter().map(|strategy| strategy.engine).collect();
        engines.sort_by_key(|engine| *engine as u8);
        engines.dedup();
        let mut rows: Vec<StrategyDraft> =
            own.iter().map(|row| StrategyDraft { name: None, ..row.clone() }).collect();
        let mut all = candidates::broad(&plan.workload, cores, &engines);
        all.retain(|row| modes.is_empty() || row.mode.is_some_and(|mode| modes.contains(&mode)));
        rows.extend(all.into_iter().map(|row| row.or_defaults(&self.defaults)));
        let rows = self.runnable(rows)?;
        let mut leaders = self.race(rows)?;
        for _ in 1..MOST_RACES {
            let near =
                leaders.iter().take(2).flat_map(|racer| candidates::near(&racer.row, plan, cores)).collect();
            self.keep_the_first(&mut leaders);
            let near = self.runnable(near)?;
            if near.is_empty() || !self.has_time_for(leaders.len() + near.len(), &leaders) {
                break;
            }
            let rows = leaders.iter().map(|racer| racer.row.clone()).chain(near).collect();
            match self.race(rows) {
                Err(Ended::OutOfTime { .. }) => break,
                racers => leaders = racers?,
            }
        }
        self.keep_the_first(&mut leaders);
        Ok(self.as_time_allows(leaders))
    }

    /// As many of `leaders` as may be in the finals; of the others it is noted that they were as good.
    fn keep_the_first(&mut self, leaders: &mut Vec<Racer>) {
        for left in leaders.drain(MOST_FINALISTS.min(leaders.len())..) {
            let last = self.candidates.iter_mut().rfind(|candidate| candidate.strategy == left.name);
            if let Some(candidate) = last.filter(|candidate| candidate.gave_up.is_none()) {
                candidate.gave_up = Some(Reason::NoPlace);
            }
        }
    }

    /// Whether `racer` had a round in any race.
    fn had_round(&self, racer: &Racer) -> bool {
        self.candidates.iter().any(|candidate| candidate.strategy == racer.name && candidate.rounds > 0)
    }

    /// The one to compare with, of two that are not in the finals: rounds say more than a few tasks do.
    fn nearer(&self, one: Option<Racer>, other: Option<Racer>) -> Option<Racer> {
        let rank = |racer: &Racer| (!self.had_round(racer), racer.seconds);
        one.into_iter().chain(other).min_by(|a, b| {
            let ((a, of_a), (b, of_b)) = (rank(a), rank(b));
            a.cmp(&b).then(of_a.total_cmp(&of_b))
        })
    }

    /// Whether another race of so many is worth while, who take as long as the best of `leaders`.
    fn has_time_for(&self, racers: usize, leaders: &[Racer]) -> bool {
        let best = leaders.first().map_or(0.0, |leader| leader.seconds);
        let rounds = LEAST_RACE_ROUNDS[usize::from(self.races.len() > 1)];
        self.left(RACES_OVER[1]) > rounds * self.cost * best * racers as f64
    }

    /// The time limit, in seconds, with which those who were to be in the finals should have as many rounds as it takes.
    pub fn enough(&self, finalists: &[Racer]) -> f64 {
        let one_of_each: f64 = finalists.iter().map(|racer| racer.seconds).sum();
        LEAST_FINAL_ROUNDS as f64 * self.cost * one_of_each / (FINALS_OVER - RACES_OVER[1])
    }

    /// Who is to be run again to see the answer: `finalists`, and where there is only one, the fastest that had a round of those
    /// that were given up, so that there is something to compare it with.
    pub fn to_see_again(&self, finalists: &[Racer]) -> Vec<Racer> {
        let next = self.next.as_ref().filter(|next| finalists.len() == 1 && self.had_round(next));
        finalists.iter().chain(next).cloned().collect()
    }

    /// As many of `finalists` as there is time for; if there is only one, with the fastest that was given up, so that the answer
    /// can say by how much it is better, provided that there is time for as many rounds of both as an interval takes.
    fn as_time_allows(&mut self, mut finalists: Vec<Racer>) -> Vec<Racer> {
        let (cost, left) = (self.cost, self.left(FINALS_OVER));
        let fits = |rounds: usize, racers: &mut dyn Iterator<Item = &Racer>| {
            let one_of_each: f64 = racers.map(|racer| racer.seconds).sum();
            rounds as f64 * cost * one_of_each <= left
        };
        while finalists.len() > 1 && !fits(LEAST_FINAL_ROUNDS, &mut finalists.iter()) {
            let (popped, next) = (finalists.pop(), self.next.take());
            self.next = self.nearer(popped, next);
        }
        if let ([only], Some(next)) = (finalists.as_slice(), &self.next)
            && fits(MIN_ROUNDS + 1, &mut [only, next].into_iter())
        {
            finalists.push(next.clone());
        }
        finalists
    }

    /// Those of `rows` that this machine can run and that nobody has looked at.
    fn runnable(&mut self, rows: Vec<StrategyDraft>) -> Result<Vec<StrategyDraft>, Ended> {
        let mut kept = Vec::new();
        let mut refusal = None;
        for row in rows {
            match self.bench.check(self.draft_of(vec![row.clone()])) {
                Ok(checked) => {
                    let Some(strategy) = checked.plan().strategies.first().cloned() else { continue };
                    if !self.known.iter().any(|other| other.does_as(&strategy)) {
                        self.known.push(strategy);
                        kept.push(row);
                    }
                }
                Err(error) => refusal = Some(error),
            }
        }
        match refusal {
            Some(error) if self.known.is_empty() => Err(PlanError::into(error)),
            _ => Ok(kept),
        }
    }

    fn draft_of(&self, rows: Vec<StrategyDraft>) -> Draft {
        let mut draft = self.draft.clone();
        draft.run.baseline = None;
        let of_python = rows.iter().any(|row| row.engine == Some(Engine::Python));
        draft.run.python = draft.run.python.filter(|_| of_python);
        Draft { strategies: rows, found: None, ..draft }
    }

    fn job(&mut self, rows: &[StrategyDraft]) -> Result<Job, Failure> {
        let checked = self.bench.check(self.draft_of(rows.to_vec()))?;
        Ok(self.bench.prepare(checked)?)
    }

    /// Time until `part` of all is over, in seconds.
    fn left(&self, part: f64) -> f64 {
        self.limit * part - self.started.elapsed().as_secs_f64()
    }

    /// Races `rows`, and returns those who are left, the fastest first.
    fn race(&mut self, rows: Vec<StrategyDraft>) -> Result<Vec<Racer>, Ended> {
        let number = self.races.len() + 1;
        let job = self.job(&rows)?;
        let strategies = job.plan.strategies.clone();
        let names: Vec<String> = strategies.iter().map(|strategy| strategy.name.clone()).collect();
        let mut course = self.bench.begin(job, self.bench.signals()).map_err(ended)?;
        let part = format!("race {number}");
        let part_of_limit = RACES_OVER[(number - 1).min(1)];
        let over = self.started + Duration::from_secs_f64(self.limit * part_of_limit);
        let mut observer = Part::new(&mut self.progress, part.clone());
        let begun = Instant::now();
        let tried_by = match number {
            1 => self.started + Duration::from_secs_f64(self.limit * TRIED_BY),
            _ => over,
        };
        let tried = match course.pilot(tried_by, &mut observer).map_err(ended)? {
            Ok(estimate) => estimate.rounds,
            Err(TriedOnly(rounds)) if rounds.is_empty() || number > 1 => {
                // What was done before takes its time again. The one that was not finished is taken to have been half done. Where hardly any
                // time was left to try even one, nothing is known but what it took to get ready: five strategies are taken to need as much.
                const OF_GETTING_READY: f64 = 0.2;
                let trying = begun.elapsed().as_secs_f64();
                let before = self.started.elapsed().as_secs_f64() - trying;
                let of_each = (2.0 * trying).max(OF_GETTING_READY * before);
                let enough = (before + of_each * rows.len() as f64) / TRIED_BY;
                return Err(Ended::OutOfTime { of: rows.len(), enough });
            }
            Err(TriedOnly(rounds)) => rounds,
        };
        let kinds: Vec<(Engine, Mode)> =
            strategies.iter().map(|strategy| (strategy.engine, strategy.mode)).collect();
        let entrants: Vec<Entrant> = zip(&tried, &kinds)
            .map(|(round, own)| Entrant {
                // Rounds know it better than a few tasks.
                expected: self.medians.get(&round.strategy).copied().unwrap_or(round.round_seconds),
                kind: kinds.iter().position(|kind| kind == own).unwrap_or(0),
            })
            .collect();
        let mut ground = Ground { course, over, progress: &mut self.progress, part, spent: [0.0; 2] };
        let outcome = race(&mut ground, &entrants, 2);
        let Ground { course, spent: [altogether, in_rounds], .. } = ground;
        if in_rounds > 0.0 {
            self.cost = (altogether / in_rounds).max(1.0);
        }
        let interrupted = self.bench.signals().stop_wanted();
        self.races.push(course.finish(interrupted));
        let runners = outcome?;
        self.note(number, &names, &runners);
        // Those whose turn has not come.
        self.candidates.extend(names.iter().skip(runners.len()).map(|name| Candidate {
            strategy: name.clone(),
            race: number,
            expected_seconds: None,
            rounds: 0,
            gave_up: Some(Reason::NoTime),
        }));
        let racer = |at: usize| Racer {
            row: rows[at].clone(),
            name: names[at].clone(),
            seconds: runners[at].typical_seconds(),
        };
        // Who had no round in this race, for want of time, is as good as he was in the one before.
        let was_known = |at: &usize| {
            matches!(runners[*at].gave_up, Some(Reason::NoTime | Reason::Estimate))
                && runners[*at].rounds.is_empty()
                && self.medians.contains_key(&names[*at])
        };
        let known = (0..runners.len()).filter(was_known);
        let mut racers: Vec<Racer> = alive(&runners).into_iter().chain(known).map(racer).collect();
        // What was measured comes before what a few tasks promise.
        racers
            .sort_by(|a, b| self.had_round(b).cmp(&self.had_round(a)).then(a.seconds.total_cmp(&b.seconds)));
        let is_out = |next: &Racer| racers.iter().all(|racer| racer.name != next.name);
        let (before, given_up) = (self.next.take(), fastest_given_up(&runners).map(racer));
        self.next = self.nearer(before.filter(is_out), given_up.filter(is_out));
        for (name, runner) in zip(&names, &runners).filter(|(_, runner)| !runner.rounds.is_empty()) {
            self.medians.insert(name.clone(), runner.typical_seconds());
        }
        Ok(racers)
    }

    fn note(&mut self, race: usize, names: &[String], runners: &[Runner]) {
        let noted = names.iter().zip(runners).map(|(name, runner)| Candidate {
            strategy: name.clone(),
            race,
            expected_seconds: Some(runner.expected),
            rounds: runner.rounds.len(),
            gave_up: runner.gave_up,
        });
        self.candidates.extend(noted);
    }

    /// Rounds from which the answer is taken: memory once, then time, then memory of the best again, so that it has an interval.
    pub fn finals(&mut self, finalists: &[Racer], rounds: u64) -> Result<Document, Failure> {
        let rows: Vec<StrategyDraft> = finalists.iter().map(|racer| racer.row.clone()).collect();
        let job = self.job(&rows)?;
        let over = self.started + Duration::from_secs_f64(self.limit * FINALS_OVER);
        let mut course = self.bench.begin(job, &self.bench.signals().until(over))?;
        let mut observer = Part::new(&mut self.progress, "finals".into());
        let all: Vec<usize> = (0..rows.len()).collect();
        let cost = self.cost;
        let mut carry_out = || -> Result<(), RunError> {
            let left = || over.saturating_duration_since(Instant::now()).as_secs_f64();
            let by_races = cost * finalists.iter().map(|racer| racer.seconds).sum::<f64>();
            // Time is what is asked first: if there is hardly room for both, it comes first.
            let is_tight = left() < TIGHT * by_races;
            if is_tight {
                course.round(Phase::Timed, &all, &|_| None, &mut observer)?;
            }
            if left() > 2.0 * by_races {
                for place in &all {
                    course.memory(*place, &mut observer)?;
                }
            }
            for round in u64::from(is_tight)..rounds {
                let expected: f64 =
                    course.expected_seconds().iter().filter(|seconds| seconds.is_finite()).sum();
                let memory = MIN_ROUNDS as f64 * course.best().map_or(0.0, |(_, seconds)| seconds);
                // The first is tried in any case: it is ended when the time is up.
                let has_interval = round > MIN_ROUNDS as u64;
                if round > 0 && left() < cost * (expected + if has_interval { memory } else { 0.0 }) {
                    break;
                }
                course.round(Phase::Timed, &all, &|_| None, &mut observer)?;
            }
            while let Some((best, seconds)) = course.best()
                && course.memory_rounds(best) < MIN_ROUNDS
                && left() > 2.0 * cost * seconds
            {
                course.one_more_of_memory(best, &mut observer)?;
            }
            Ok(())
        };
        match carry_out() {
            Ok(()) | Err(RunError::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(course.finish(self.bench.signals().stop_wanted()))
    }
}

/// A race on this machine.
struct Ground<'a> {
    course: Course,
    over: Instant,
    progress: &'a mut Progress,
    part: String,
    /// Seconds that rounds took with all that belongs to them, and those that they were measured to take.
    spent: [f64; 2],
}

impl Ground<'_> {
    fn run(
        &mut self,
        phase: Phase,
        which: &[usize],
        patience: f64,
        left: f64,
    ) -> Result<Vec<(usize, Took)>, Ended> {
        let patience = |_| Some(Duration::from_secs_f64(patience.min(left).min(1e9)));
        let mut observer = Part::new(self.progress, self.part.clone());
        let begun = Instant::now();
        let took = self.course.round(phase, which, &patience, &mut observer).map_err(ended)?;
        self.spent[0] += begun.elapsed().as_secs_f64();
        self.spent[1] += took
            .iter()
            .map(|(_, took)| match took {
                Took::Seconds(seconds) | Took::Longer(seconds) => seconds,
            })
            .sum::<f64>();
        Ok(took)
    }
}

impl Arena for Ground<'_> {
    type Error = Ended;

    fn round(&mut self, which: &[usize], patience: f64) -> Result<Vec<(usize, Took)>, Ended> {
        let left = self.seconds_left();
        if left <= 0.0 {
            return Ok(Vec::new());
        }
        let took = self.run(Phase::Timed, which, patience, left)?;
        // What was ended because all time was up says nothing of who was ended.
        let is_up = self.seconds_left() <= 0.0;
        Ok(took.into_iter().filter(|(_, took)| !is_up || matches!(took, Took::Seconds(_))).collect())
    }

    fn warm_up(&mut self, which: usize, patience: f64) -> Result<Option<Took>, Ended> {
        let left = self.seconds_left();
        if left <= 0.0 {
            return Ok(None);
        }
        let took = self.run(Phase::WarmUp, &[which], patience, left)?;
        Ok(took.first().map(|(_, took)| *took))
    }

    fn seconds_left(&self) -> f64 {
        self.over.saturating_duration_since(Instant::now()).as_secs_f64()
    }
}
