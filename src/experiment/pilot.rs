//! A small run before the real one, to know how long that will take.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::round::RoundFailure;
use super::schedule::Phase;
use super::session::{Session, Turn, require_one};
use super::{Event, Records, Row};
use crate::measure::bystander::NAP;
use crate::measure::memory::Method;
use crate::mode::chunk::ChunkPolicy;
use crate::mode::{Mode, Settings};
use crate::plan::{Plan, estimate};
use crate::workload::{Kind, WorkloadSpec};

/// How long a run should take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The whole run in seconds: pilot, warm-up, timed rounds, and standing by on the idle machine. With a precision asked for it may
    /// be done sooner.
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
    /// How many tasks were tried; null if this is a rule of thumb, or reckoned from another strategy's since a task takes long.
    pub pilot_tasks: Option<u64>,
}

/// A few tasks that were run.
#[derive(Debug, Clone, Copy)]
struct Tried {
    /// How many.
    tasks: u64,
    /// What they took, in seconds.
    seconds: f64,
    /// What their round took besides.
    besides: f64,
    /// CPU time of all processes of their round, in seconds.
    cpu_seconds: f64,
}

/// How long a pilot of one strategy should take, in seconds.
const PILOT_SECONDS: f64 = 0.05;
/// A strategy whose shortest pilot would take longer than this has none; where one command has taken longer, no other is tried.
const LONGEST_PILOT_SECONDS: f64 = 1.0;

/// What the pilots of earlier rows say of later ones whose tasks are programs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scale {
    /// How many times as long as by the rule commands take, and how long they wait by it, once one of them is known to be long.
    long_commands: Option<(f64, f64)>,
    /// The same for what workers take beyond their start.
    beyond_start: Option<f64>,
}

impl Session<'_> {
    /// Runs a few tasks of each row, and reckons from those what all will take.
    pub(super) fn pilot(&mut self, rows: &[Row], tables: &mut [Records]) -> Result<Estimate, RoundFailure> {
        let started = Instant::now();
        let mut scale = Scale::default();
        let (mut left, mut rounds) = (Vec::new(), Vec::new());
        for (row, records) in rows.iter().zip(&mut *tables) {
            match self.pilot_of(row, records, &mut scale) {
                Ok(estimate) => {
                    left.push(row.clone());
                    rounds.push(estimate);
                }
                Err(failure) => records.given_up = Some(failure.of_the_strategy()?),
            }
        }
        require_one(rows, tables)?;
        self.tell_if_all_failed(tables);
        Ok(self.estimate(&left, rounds, started.elapsed()))
    }

    /// Times of tasks that fail are hardly what somebody wants who waits for them. Nothing is told of a run that ends by itself.
    fn tell_if_all_failed(&mut self, tables: &[Records]) {
        let tasks: u64 = tables.iter().map(|records| records.pilot_tasks).sum();
        let failed: u64 = tables.iter().map(|records| records.untimed_tasks_failed).sum();
        let first = tables.iter().find_map(|records| records.untimed_failures.first());
        if let Some(first) = first.filter(|_| failed == tasks && !self.stopped) {
            self.observer.notice(Event::AllFailed { tasks, first });
        }
    }

    /// Runs a few tasks of `row`, and reckons from those what all will take.
    pub(super) fn pilot_of(
        &mut self,
        row: &Row,
        records: &mut Records,
        scale: &mut Scale,
    ) -> Result<RoundEstimate, RoundFailure> {
        let cores = self.setting.machine.effective_cores;
        let Row { workload, strategy, .. } = row;
        // The rule knows nothing of commands; what is seen of some is that they wait.
        let rule_with = |tasks: u64, waits_seconds: f64| {
            let io_wait_seconds = workload.io_wait_seconds + waits_seconds;
            let workload = WorkloadSpec { tasks, io_wait_seconds, ..workload.clone() };
            estimate::round_seconds(strategy, &workload, cores)
        };
        let rule = |tasks: u64| rule_with(tasks, 0.0);
        let of_all = rule(workload.tasks);
        let is_command = workload.kind == Kind::Command;
        let long_commands = scale.long_commands.filter(|_| is_command);
        let tasks = match workload.kind.is_program() {
            true if long_commands.is_some() => None,
            true => Some(self.first_try(row)),
            false => pilot_tasks(workload.tasks, rule),
        };
        let Some(tasks) = tasks else {
            let (times, waits_seconds) = long_commands.unwrap_or((1.0, 0.0));
            let round_seconds = rule_with(workload.tasks, waits_seconds) * times;
            return Ok(RoundEstimate {
                strategy: row.name(),
                round_seconds,
                besides_seconds: None,
                pilot_tasks: None,
            });
        };
        let [first, tried] = self.measure(row, tasks, records)?;
        let waits_seconds = if is_command { self.waits_by_the_rule(row, tried) } else { 0.0 };
        let times = tried.seconds / rule_with(tried.tasks, waits_seconds);
        if is_command && tried.seconds > LONGEST_PILOT_SECONDS {
            scale.long_commands = Some((times, waits_seconds));
        }
        // What starts once takes no longer for more tasks: programs that stay, and Python's workers and threads.
        let more = workload.tasks - tried.tasks;
        let round_seconds = match (workload.kind, strategy.mode) {
            (Kind::Worker, Mode::Serial | Mode::Threads | Mode::Pool) if more > 0 => {
                let of_more = of_all - rule(tried.tasks);
                let known = match scale.beyond_start {
                    Some(known) => known,
                    None => self.of_each_beyond_start(row, [tried; 2], 2, records)? * more as f64 / of_more,
                };
                tried.seconds + of_more * *scale.beyond_start.insert(known)
            }
            (Kind::Call, Mode::Threads | Mode::Pool) if more > 0 => {
                tried.seconds + self.of_each_beyond_start(row, [first, tried], 16, records)? * more as f64
            }
            _ => rule_with(workload.tasks, waits_seconds) * times,
        };
        Ok(RoundEstimate {
            strategy: row.name(),
            round_seconds,
            besides_seconds: Some(tried.besides),
            pilot_tasks: Some(tried.tasks),
        })
    }

    /// What a run of `rows` takes of which a round each takes as long as `rounds` says, and the pilot took `spent`.
    pub(super) fn estimate(&mut self, rows: &[Row], rounds: Vec<RoundEstimate>, spent: Duration) -> Estimate {
        let seconds = |(row, round): (&Row, &RoundEstimate)| {
            let untimed = self.memory_rounds(row).max(self.plan.run.warmup);
            self.rounds_seconds(untimed, round.round_seconds + round.besides_seconds.unwrap_or(0.0))
        };
        let all_rounds: f64 = rows.iter().zip(&rounds).map(seconds).sum();
        let of_memory: u64 = rows.iter().map(|row| self.memory_rounds(row)).sum();
        let looks = self.memory_method().map_or(Duration::ZERO, Method::looks_before);
        let looks_seconds = looks.as_secs_f64() * of_memory as f64;
        let run_seconds = all_rounds + looks_seconds + spent.as_secs_f64() + self.setting.idle.as_secs_f64();
        Estimate { run_seconds, rounds }
    }

    /// Tasks that are tried first where nobody knows what one takes: one for each processor that the strategy uses.
    fn first_try(&self, row: &Row) -> u64 {
        let Settings { workers, in_flight, .. } = row.strategy.settings;
        let at_once = workers.or(in_flight).unwrap_or(1);
        at_once.min(self.setting.machine.effective_cores).clamp(1, row.workload.tasks)
    }

    /// How long commands wait for each `expected_task_seconds` in which they compute, in seconds: those of `tried` were executed by as
    /// many processors as there were or as there were commands, and computed for so much of the time.
    fn waits_by_the_rule(&self, row: &Row, tried: Tried) -> f64 {
        /// Who computes for less than this part waits for the rest of it, as far as a few tasks tell.
        const LEAST_BUSY: f64 = 0.001;
        let at_once = self.first_try(row).min(tried.tasks);
        let busy = (tried.cpu_seconds / (at_once as f64 * tried.seconds)).clamp(LEAST_BUSY, 1.0);
        row.workload.expected_task_seconds() * (busy.recip() - 1.0)
    }

    /// Runs `tasks` tasks of `row`; where nobody knew what they take and it turns out to be little, more of them. The first
    /// try and the last, which may be the same.
    fn measure(&mut self, row: &Row, tasks: u64, records: &mut Records) -> Result<[Tried; 2], RoundFailure> {
        const MOST_TIMES: f64 = 16.0;
        let first = self.try_few(row, tasks, records)?;
        let mut last = first;
        loop {
            let times = (PILOT_SECONDS / last.seconds).min(MOST_TIMES).floor() as u64;
            if !row.workload.kind.is_program() || times < 2 || last.tasks == row.workload.tasks {
                return Ok([first, last]);
            }
            last = self.try_few(row, (last.tasks * times).min(row.workload.tasks), records)?;
        }
    }

    /// How long each task of `row` takes, in seconds, where something starts once that may take longer to do so than for its
    /// tasks: by a straight line through the `few` that were tried first and as many more as take noticeably longer, the last of those
    /// tried if they do, or `times` as many.
    fn of_each_beyond_start(
        &mut self,
        row: &Row,
        [few, last]: [Tried; 2],
        times: u64,
        records: &mut Records,
    ) -> Result<f64, RoundFailure> {
        const LONGER: f64 = 1.5;
        /// What starts for long shows only with far more.
        const FAR_MORE: u64 = 32;
        let all = row.workload.tasks;
        let (mut more, mut times) = (last, times);
        while more.seconds <= LONGER * few.seconds && more.tasks < all {
            more = self.try_few(row, more.tasks.saturating_mul(times).min(all), records)?;
            times = FAR_MORE;
        }
        Ok((more.seconds - few.seconds).max(0.0) / (more.tasks - few.tasks).max(1) as f64)
    }

    /// Runs `tasks` tasks of `row`. A task that fails has failed.
    fn try_few(&mut self, row: &Row, tasks: u64, records: &mut Records) -> Result<Tried, RoundFailure> {
        let workload = WorkloadSpec { tasks, ..row.workload.clone() };
        let mut small = Row { workload, ..row.clone() };
        let settings = &mut small.strategy.settings;
        // One that is meant for many more tasks would leave some workers without any.
        let share = ChunkPolicy::Python.resolve(tasks, settings.workers.unwrap_or(1), 1.0);
        settings.chunk = settings.chunk.map(|chunk| chunk.min(share));
        let mut tried = Records::default();
        let completed = self.round(&small, Turn { phase: Phase::Pilot, number: 1, of: 1 }, &mut tried)?;
        records.pilot_tasks += tasks;
        records.untimed_tasks_failed += tried.untimed_tasks_failed;
        records.untimed_failures.append(&mut tried.untimed_failures);
        let seconds = completed.report.total_seconds;
        let whole = tried.expected.map_or(seconds, |whole| whole.as_secs_f64());
        Ok(Tried {
            tasks,
            seconds,
            besides: (whole - seconds).max(0.0),
            cpu_seconds: completed.tree_cpu.total_seconds(),
        })
    }

    /// What all rounds of a strategy, `untimed` ones before the others, take if one takes `seconds`.
    fn rounds_seconds(&self, untimed: u64, seconds: f64) -> f64 {
        let Plan { run, .. } = self.plan;
        // The bystander of a timed round wakes once more before it hears that it may go.
        let timed_seconds = seconds + NAP.as_secs_f64() / 2.0;
        let timed = match run.time_budget_seconds {
            Some(budget) => (run.rounds as f64).min((budget / timed_seconds).floor().max(1.0)),
            None => run.rounds as f64,
        };
        timed_seconds * timed + seconds * untimed as f64
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
