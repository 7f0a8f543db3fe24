//! What a rule sees of a run.

use super::evidence::{Contest, Evidence, Unit};
use crate::document::{Document, PerAliveMissing, StrategyResult};
use crate::engine::Engine;
use crate::mode::Mode;
use crate::mode::settings::Api;
use crate::report::numbers::count;
use crate::stats::{Interval, compare};

/// A run, as far as rules look at it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its place among the runs for the claim.
    pub run: usize,
    /// Tasks of a round.
    pub tasks: u64,
    /// By how much two strategies must differ.
    pub margin: f64,
    /// Where resampling is drawn from.
    pub seed: u64,
    /// CPU work of a task, in seconds.
    pub cpu_seconds: f64,
    /// How long a task waits, in seconds.
    pub io_wait_seconds: f64,
    /// How late the bystander woke while nothing was run: the 95 % intervals of median and 99th percentile, in seconds.
    pub idle_late_seconds: [Option<Interval>; 2],
    /// Its strategies.
    pub rows: Vec<Row>,
}

/// A strategy of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Who executes.
    pub engine: Engine,
    /// How.
    pub mode: Mode,
    /// With how many workers.
    pub workers: Option<u64>,
    /// How many processes at once, at most.
    pub in_flight: Option<u64>,
    /// How many tasks are handed out at a time.
    pub chunk: Option<u64>,
    /// By which call of Python's.
    pub api: Option<Api>,
    /// Memory at its peak, in bytes, in the round that was measured.
    pub peak_bytes: Option<u64>,
    /// The most processes alive at one time in that round.
    pub memory_alive: Option<u64>,
    /// Memory of a process that is alive, in bytes, without what there is once for all.
    pub alive_bytes: Option<u64>,
    /// Why that is not known.
    pub alive_missing: Option<PerAliveMissing>,
    /// Its timed rounds.
    pub rounds: Vec<Point>,
}

/// A round of a strategy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Point {
    /// Its number: those of the same number are compared.
    pub round: u64,
    /// What it took.
    pub seconds: f64,
    /// Tasks done.
    pub completed: u64,
    /// The most processes alive at one time.
    pub peak_alive: u64,
    /// Over all results, in the order of tasks.
    pub digest: String,
    /// How late the bystander woke: median and 99th percentile, in seconds.
    pub late_seconds: [Option<f64>; 2],
    /// How far a task started from its turn, at most.
    pub displacement: Option<u64>,
    /// Results that came back at another place than their task's.
    pub out_of_place: Option<u64>,
}

impl Sample {
    /// What rules look at of `document`, the `run`-th for its claim.
    pub fn of(run: usize, document: &Document) -> Self {
        let idle = document.environment.idle_disturbance_histogram.as_ref();
        Self {
            run,
            tasks: document.plan.workload.tasks,
            margin: document.plan.run.margin,
            seed: document.plan.run.seed,
            cpu_seconds: document.plan.workload.cpu_seconds,
            io_wait_seconds: document.plan.workload.io_wait_seconds,
            idle_late_seconds: [0.5, 0.99].map(|q| idle.and_then(|seen| seen.interval_of(q))),
            rows: document.strategies.iter().map(Row::of).collect(),
        }
    }

    /// The `place`-th strategy of `mode`, from 0.
    ///
    /// # Errors
    /// If there is none.
    pub fn nth(&self, mode: Mode, place: usize) -> Result<&Row, String> {
        let found = self.rows.iter().filter(|row| row.mode == mode).nth(place);
        found.ok_or_else(|| format!("there is no {mode} to compare"))
    }

    /// The first strategy of `mode`.
    ///
    /// # Errors
    /// If there is none.
    pub fn first(&self, mode: Mode) -> Result<&Row, String> {
        self.nth(mode, 0)
    }

    /// Whether `ours` is faster than `theirs`, by their times within the same rounds.
    ///
    /// # Errors
    /// If they have no round in common.
    pub fn race(&self, ours: &Row, theirs: &Row) -> Result<Contest, String> {
        let pairs = pairs(ours, theirs, |point| Some(point.seconds));
        let comparison = compare(&pairs, self.margin, self.seed)
            .ok_or_else(|| format!("{} and {} have no round in common", ours.name, theirs.name))?;
        let what = format!("speed of {} over {}, {} tasks", ours.name, theirs.name, count(self.tasks));
        let evidence = Evidence::speed_up(what, &comparison).from(&[self.run], &[&ours.name, &theirs.name]);
        Ok(Contest::of(&comparison, evidence))
    }

    /// Whether `ours` has less of something than `theirs`, within the same rounds.
    ///
    /// # Errors
    /// If there is no round in which both were measured.
    pub fn less(
        &self,
        what: &str,
        ours: &Row,
        theirs: &Row,
        of: impl Fn(&Point) -> Option<f64>,
    ) -> Result<Contest, String> {
        let comparison = compare(&pairs(ours, theirs, of), self.margin, self.seed)
            .ok_or_else(|| format!("{what} of {} and {} was not measured", ours.name, theirs.name))?;
        let what = format!("{what} of {} over that of {}", ours.name, theirs.name);
        let evidence = Evidence::ratio(what, &comparison).from(&[self.run], &[&ours.name, &theirs.name]);
        Ok(Contest::of(&comparison, evidence))
    }

    /// The median over rounds of something of `row`.
    ///
    /// # Errors
    /// If it was not measured.
    pub fn median(
        &self,
        what: &str,
        row: &Row,
        unit: Unit,
        of: impl Fn(&Point) -> Option<f64>,
    ) -> Result<Evidence, String> {
        let values: Vec<f64> = row.rounds.iter().filter_map(of).collect();
        let evidence = Evidence::median(format!("{what} of {}", row.name), &values, unit, self.seed)?;
        Ok(evidence.from(&[self.run], &[&row.name]))
    }
}

/// Something of both, from each round that both have.
fn pairs(ours: &Row, theirs: &Row, of: impl Fn(&Point) -> Option<f64>) -> Vec<(f64, f64)> {
    let pair = |point: &Point| {
        let other = theirs.rounds.iter().find(|other| other.round == point.round)?;
        Some((of(point)?, of(other)?))
    };
    ours.rounds.iter().filter_map(pair).collect()
}

impl Row {
    fn of(strategy: &StrategyResult) -> Self {
        let StrategyResult { settings, .. } = strategy;
        let memory = strategy.memory.as_ref();
        let rounds = strategy.rounds.iter().map(|round| {
            let report = &round.report;
            let late = round.disturbance.as_ref();
            Point {
                round: round.round,
                seconds: report.total_seconds,
                completed: report.tasks_completed,
                peak_alive: report.peak_alive,
                digest: report.digest.clone().unwrap_or_default(),
                late_seconds: [
                    late.and_then(|late| late.p50_seconds),
                    late.and_then(|late| late.p99_seconds),
                ],
                displacement: report.start_order.map(|order| order.largest_displacement),
                out_of_place: report.returned_out_of_place,
            }
        });
        Self {
            name: strategy.name.clone(),
            engine: strategy.engine,
            mode: strategy.mode,
            workers: settings.workers,
            in_flight: settings.in_flight,
            chunk: settings.chunk,
            api: settings.api,
            peak_bytes: memory.and_then(|memory| memory.reading.peak_bytes),
            memory_alive: memory.map(|memory| memory.peak_alive),
            alive_bytes: memory.and_then(|memory| memory.per_task_alive_bytes),
            alive_missing: memory.and_then(|memory| memory.per_alive_missing),
            rounds: rounds.collect(),
        }
    }

    /// How many tasks it executes at a time, at most.
    pub fn executors(&self) -> u64 {
        self.workers.or(self.in_flight).unwrap_or(1)
    }
}

/// Runs that nobody made, for tests of rules.
#[cfg(test)]
pub mod made_up {
    use super::*;

    /// A run of `tasks` tasks.
    pub fn run(tasks: u64) -> Sample {
        Sample {
            run: 0,
            tasks,
            margin: crate::stats::DEFAULT_MARGIN,
            seed: 1,
            cpu_seconds: 0.0,
            io_wait_seconds: 0.0,
            idle_late_seconds: [None; 2],
            rows: Vec::new(),
        }
    }

    /// Times around `seconds`, that differ by 0.2 % from round to round.
    pub fn around(seconds: f64) -> Vec<f64> {
        (0..9).map(|round| seconds * (1.0 + 0.002 * f64::from(round % 3))).collect()
    }

    /// Times around `seconds` that tell nothing: half of them are twice as long.
    pub fn scattered(seconds: f64) -> Vec<f64> {
        (0..9).map(|round| seconds * f64::from(1 + round % 2)).collect()
    }

    impl Sample {
        /// With a strategy that took so long.
        pub fn with(self, name: &str, mode: Mode, times: &[f64]) -> Self {
            let points = times.iter().map(|seconds| Point { seconds: *seconds, ..Point::default() });
            self.with_points(name, mode, points.collect())
        }

        /// With a strategy of these rounds, which are numbered here.
        pub fn with_points(mut self, name: &str, mode: Mode, mut points: Vec<Point>) -> Self {
            for (number, point) in (1..).zip(&mut points) {
                point.round = number;
            }
            let engine = if name.starts_with("py-") { Engine::Python } else { Engine::Native };
            self.rows.push(Row {
                name: name.to_owned(),
                engine,
                mode,
                workers: None,
                in_flight: None,
                chunk: None,
                api: None,
                peak_bytes: None,
                memory_alive: None,
                alive_bytes: None,
                alive_missing: None,
                rounds: points,
            });
            self
        }

        /// The strategy that was added last.
        pub fn last(&mut self) -> &mut Row {
            self.rows.last_mut().expect("a row")
        }
    }
}
