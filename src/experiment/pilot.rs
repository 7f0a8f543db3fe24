//! A small run before the real one, to know how long that will take.

use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::round::RoundFailure;
use super::schedule::Phase;
use super::session::Session;
use super::{Records, Row};
use crate::mode::Settings;
use crate::mode::chunk::ChunkPolicy;
use crate::plan::{Plan, estimate};
use crate::workload::WorkloadSpec;

/// How long a run should take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The whole run, at most, in seconds: pilot, warm-up, timed rounds, and standing by on the idle machine.
    pub run_seconds: f64,
    /// One round of each strategy.
    pub rounds: Vec<RoundEstimate>,
}

/// How long a round should take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoundEstimate {
    /// Of which strategy.
    pub strategy: String,
    /// How long, from t0 to t3.
    pub round_seconds: f64,
    /// What it takes besides, in the pilot: a fresh runner has to start, and to be gone. Null without a pilot.
    #[serde(default)]
    pub besides_seconds: Option<f64>,
    /// How many tasks were tried; null if this is a rule of thumb.
    pub pilot_tasks: Option<u64>,
}

/// How long a pilot of one strategy should take, in seconds.
const PILOT_SECONDS: f64 = 0.05;
/// A strategy whose shortest pilot would take longer than this has none.
const LONGEST_PILOT_SECONDS: f64 = 1.0;

impl Session<'_> {
    /// Runs a few tasks of each row, and reckons from those what all will take.
    pub(super) fn pilot(&mut self, rows: &[Row], tables: &mut [Records]) -> Result<Estimate, RoundFailure> {
        let started = Instant::now();
        let cores = self.setting.machine.effective_cores;
        let mut rounds = Vec::new();
        for (row, records) in rows.iter().zip(tables) {
            let rule = |tasks: u64| {
                estimate::round_seconds(&row.strategy, &WorkloadSpec { tasks, ..row.workload.clone() }, cores)
            };
            let tasks = match row.workload.kind.is_program() {
                true => Some(self.first_try(row)),
                false => pilot_tasks(row.workload.tasks, rule),
            };
            let of_all = rule(row.workload.tasks);
            let strategy = row.name();
            rounds.push(match tasks {
                None => RoundEstimate {
                    strategy,
                    round_seconds: of_all,
                    besides_seconds: None,
                    pilot_tasks: None,
                },
                Some(tasks) => {
                    let (tasks, [measured, besides]) = self.measure(row, tasks, records)?;
                    RoundEstimate {
                        strategy,
                        round_seconds: of_all * measured / rule(tasks),
                        besides_seconds: Some(besides),
                        pilot_tasks: Some(tasks),
                    }
                }
            });
        }
        let untimed = self.memory_rounds().max(self.plan.run.warmup);
        let seconds = |round: &RoundEstimate| {
            self.rounds_seconds(untimed, round.round_seconds + round.besides_seconds.unwrap_or(0.0))
        };
        let all_rounds: f64 = rounds.iter().map(seconds).sum();
        let run_seconds = all_rounds + started.elapsed().as_secs_f64() + self.setting.idle.as_secs_f64();
        Ok(Estimate { run_seconds, rounds })
    }

    /// Tasks that are tried first where nobody knows what one takes: one for each processor that the strategy uses.
    fn first_try(&self, row: &Row) -> u64 {
        let Settings { workers, in_flight, .. } = row.strategy.settings;
        let at_once = workers.or(in_flight).unwrap_or(1);
        at_once.min(self.setting.machine.effective_cores).clamp(1, row.workload.tasks)
    }

    /// Runs `tasks` tasks of `row` and says what they take, and what their round takes besides; where that was not known before and
    /// turns out to be little, more of them. A task that fails has failed.
    fn measure(
        &mut self,
        row: &Row,
        tasks: u64,
        records: &mut Records,
    ) -> Result<(u64, [f64; 2]), RoundFailure> {
        const MOST_TIMES: f64 = 16.0;
        let mut tasks = tasks;
        loop {
            let workload = WorkloadSpec { tasks, ..row.workload.clone() };
            let mut small = Row { workload, ..row.clone() };
            let settings = &mut small.strategy.settings;
            // One that is meant for many more tasks would leave some workers without any.
            let share = ChunkPolicy::Python.resolve(tasks, settings.workers.unwrap_or(1), 1.0);
            settings.chunk = settings.chunk.map(|chunk| chunk.min(share));
            let mut tried = Records::default();
            let completed = self.round(&small, Phase::Pilot, 1, 1, &mut tried)?;
            records.untimed_tasks_failed += tried.untimed_tasks_failed;
            records.untimed_failures.append(&mut tried.untimed_failures);
            let seconds = completed.report.total_seconds;
            let times = (PILOT_SECONDS / seconds).min(MOST_TIMES).floor() as u64;
            if !row.workload.kind.is_program() || times < 2 || tasks == row.workload.tasks {
                let whole = tried.expected.map_or(seconds, |whole| whole.as_secs_f64());
                return Ok((tasks, [seconds, (whole - seconds).max(0.0)]));
            }
            tasks = (tasks * times).min(row.workload.tasks);
        }
    }

    /// What all rounds of a strategy, `untimed` ones before the others, take if one takes `seconds`.
    fn rounds_seconds(&self, untimed: u64, seconds: f64) -> f64 {
        let Plan { run, .. } = self.plan;
        let timed = match run.time_budget_seconds {
            Some(budget) => (run.rounds as f64).min((budget / seconds).floor().max(1.0)),
            None => run.rounds as f64,
        };
        seconds * (timed + untimed as f64)
    }
}

/// The most tasks, up to `tasks`, that take [`PILOT_SECONDS`] by `rule`; `None` if even one takes too long.
fn pilot_tasks(tasks: u64, rule: impl Fn(u64) -> f64) -> Option<u64> {
    if rule(1) > LONGEST_PILOT_SECONDS {
        return None;
    }
    let mut pilot = 1;
    while pilot < tasks && rule((pilot * 2).min(tasks)) <= PILOT_SECONDS {
        pilot = (pilot * 2).min(tasks);
    }
    Some(pilot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pilot_is_as_large_as_fits_and_never_larger_than_the_run() {
        assert_eq!(pilot_tasks(1_000_000, |tasks| tasks as f64 * 1e-5), Some(4096));
        assert_eq!(pilot_tasks(10, |tasks| tasks as f64 * 1e-5), Some(10));
        assert_eq!(pilot_tasks(1_000, |tasks| tasks as f64 * 0.5), Some(1));
        assert_eq!(pilot_tasks(1_000, |tasks| tasks as f64 * 10.0), None);
    }
}
