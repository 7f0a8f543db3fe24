//! From raw rounds to a document.

use super::round::Completed;
use super::{Records, Setting};
use crate::document::{
    Document, Memory, Round, SCHEMA_VERSION, SpeedUp, StrategyResult, StrategySummary, Tool, Warning,
};
use crate::engine::Strategy;
use crate::mode::Mode;
use crate::plan::Plan;
use crate::stats::{self, DEFAULT_MARGIN, MIN_ROUNDS};

/// The document of a run.
pub fn sum_up(plan: &Plan, setting: Setting, tables: Vec<Records>, partial: bool) -> Document {
    let seed = plan.run.seed;
    let strategies =
        plan.strategies.iter().zip(tables).map(|(strategy, records)| row(strategy, records, plan)).collect();
    let mut document = Document {
        schema_version: SCHEMA_VERSION,
        partial,
        tool: Tool {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            commit: option_env!("PROCBENCH_COMMIT").filter(|commit| !commit.is_empty()).map(Into::into),
        },
        started_at: setting.started_at,
        plan: plan.clone(),
        environment: setting.environment,
        strategies,
        warnings: setting.warnings,
    };
    compare(&mut document, seed);
    let warnings = noticed(&document);
    document.warnings.extend(warnings);
    document
}

fn row(strategy: &Strategy, records: Records, plan: &Plan) -> StrategyResult {
    let Strategy { name, engine, mode, settings } = strategy.clone();
    let rounds: Vec<Round> =
        records.timed.into_iter().map(|(number, order, done)| round(number, order, done)).collect();
    StrategyResult {
        name,
        engine,
        mode,
        settings,
        summary: summarise(&rounds, plan),
        rounds,
        memory: records.memory.as_ref().and_then(|completed| memory(completed, mode)),
    }
}

fn round(round: u64, order: u64, completed: Completed) -> Round {
    Round {
        round,
        order,
        report: completed.report,
        outside_seconds: completed.outside_seconds,
        tree_cpu_user_seconds: completed.tree_cpu_user_seconds,
        tree_cpu_system_seconds: completed.tree_cpu_system_seconds,
        kernel_forks: completed.kernel_forks,
    }
}

fn summarise(rounds: &[Round], plan: &Plan) -> Option<StrategySummary> {
    let seed = plan.run.seed;
    let of =
        |value: &dyn Fn(&Round) -> f64| stats::summarise(&rounds.iter().map(value).collect::<Vec<_>>(), seed);
    let median = |value: &dyn Fn(&Round) -> f64| of(value).map(|summary| summary.median);
    let total = of(&|round| round.report.total_seconds)?;
    Some(StrategySummary {
        tasks_per_second: plan.workload.tasks as f64 / total.median,
        total_seconds: total,
        set_up_seconds: median(&|round| round.report.set_up_seconds)?,
        execute_seconds: median(&|round| round.report.execute_seconds)?,
        tear_down_seconds: median(&|round| round.report.tear_down_seconds)?,
        cpu_seconds: median(&|round| round.report.cpu_user_seconds + round.report.cpu_system_seconds)?,
        speedup_over_baseline: None,
    })
}

fn compare(document: &mut Document, seed: u64) {
    let Some(baseline) = document.baseline().cloned() else { return };
    for strategy in &mut document.strategies {
        let comparison = stats::compare(&strategy.paired_with(&baseline), DEFAULT_MARGIN, seed);
        if let Some(summary) = &mut strategy.summary {
            summary.speedup_over_baseline = comparison.map(SpeedUp::from);
        }
    }
}

fn memory(completed: &Completed, mode: Mode) -> Option<Memory> {
    let reading = completed.memory?;
    let peak_alive = completed.report.peak_alive;
    let per_alive = match mode {
        Mode::Serial | Mode::Threads => None,
        Mode::Pool | Mode::Process => reading
            .peak_bytes
            .zip(reading.runner_bytes)
            .and_then(|(peak, runner)| peak.saturating_sub(runner).checked_div(peak_alive)),
    };
    Some(Memory {
        peak_bytes: reading.peak_bytes,
        kernel_bytes: reading.kernel_bytes,
        user_bytes: reading.user_bytes,
        page_cache_bytes: reading.page_cache_bytes,
        runner_bytes: reading.runner_bytes,
        per_task_alive_bytes: per_alive,
        peak_alive,
        method: reading.method,
        rounds: 1,
    })
}

/// What the numbers themselves say against being believed.
fn noticed(document: &Document) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code: &str, message: String| warnings.push(Warning { code: code.into(), message });
    for strategy in &document.strategies {
        let name = &strategy.name;
        let failed: u64 = strategy.rounds.iter().map(|round| round.report.tasks_failed).sum();
        if failed > 0 {
            let first = strategy.rounds.iter().flat_map(|round| &round.report.failures).next();
            let first = first.map(|failure| format!("; task {}: {}", failure.task, failure.reason));
            warn("tasks_failed", format!("{name}: {failed} tasks failed{}", first.unwrap_or_default()));
        }
        let retries: u64 = strategy.rounds.iter().map(|round| round.report.retries).sum();
        if retries > 0 {
            warn("retries", format!("{name}: {retries} tasks were executed again because a worker had died"));
        }
        if strategy.memory.as_ref().is_none_or(|memory| memory.peak_bytes.is_none()) {
            warn(
                "memory_not_measured",
                format!("{name}: memory was not measured: no account of it could be read"),
            );
        } else if strategy.memory.as_ref().is_some_and(|memory| memory.kernel_bytes.is_none()) {
            warn(
                "kernel_memory_not_measured",
                format!(
                    "{name}: the kernel's share of memory was not measured: that takes a cgroup of its own, and a round that lasts long enough to be looked at"
                ),
            );
        }
    }
    let fewest = document.strategies.iter().map(|strategy| strategy.rounds.len()).min().unwrap_or(0);
    if fewest < MIN_ROUNDS {
        warn(
            "too_few_rounds",
            format!(
                "{} too few for a verdict: it takes {MIN_ROUNDS} (--rounds, --time-budget)",
                if fewest == 1 { "1 round is".into() } else { format!("{fewest} rounds are") }
            ),
        );
    }
    warnings
}
