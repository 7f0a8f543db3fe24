//! From raw rounds to a document.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::round::Completed;
use super::{Records, Row, Seen, Setting, warnings};
use crate::document::standing::Standing;
use crate::document::{
    CpuSplitMissing, Document, Environment, Latency, Memory, MemoryRound, PerAliveMissing, Percentiles,
    Round, SCHEMA_VERSION, SpeedUp, StrategyResult, StrategySummary, TearDownMissing, Tool,
};
use crate::engine::protocol::RoundReport;
use crate::engine::{Engine, Strategy};
use crate::measure::bystander::Lateness;
use crate::measure::environment::{self, Own};
use crate::measure::kernel;
use crate::measure::memory::{MOST_OF_OTHERS, MemoryReading, speak_for};
use crate::mode::Mode;
use crate::mode::settings::Transport;
use crate::mode::stamps::{Buckets, RoundLatency, stamped_of};
use crate::plan::Plan;
use crate::stats::{self, in_seconds};
use crate::workload::{Io, Kind, WorkloadSpec};

/// The document of a run.
pub fn sum_up(
    plan: &Plan,
    setting: &Setting,
    rows: &[Row],
    tables: Vec<Records>,
    seen: Seen,
    partial: bool,
) -> Document {
    let mut results = rows.iter().zip(tables).map(|(row, records)| (row.empty, result(row, records, plan)));
    let (empty, own): (Vec<_>, Vec<_>) = results.by_ref().partition(|(empty, _)| *empty);
    let untagged =
        |results: Vec<(bool, StrategyResult)>| results.into_iter().map(|(_, result)| result).collect();
    // What the user's own programs start is not known.
    let own_forks = seen.own_forks.filter(|_| !plan.workload.kind.is_program());
    let own_work = Own { forks: own_forks, cpu_seconds: Some(seen.own_cpu_seconds) };
    let mut document = Document {
        schema_version: SCHEMA_VERSION,
        partial,
        cut_off: seen.cut_off,
        ended_by: seen.ended_by,
        tool: Tool::this(),
        started_at: setting.started_at.clone(),
        plan: plan.clone(),
        environment: Environment {
            altered: setting.environment.altered(&environment::Environment::read()),
            machine: setting.environment.clone(),
            storage: setting.found.storage.clone(),
            parked_process_bytes: setting.parked_process_bytes.ok(),
            parked_process_missing: setting.parked_process_bytes.err(),
            units_per_second: setting.units_per_second,
            python: setting.machine.python.clone(),
            tools: setting.machine.tools.clone(),
            change: environment::change(&seen.before, &seen.after, own_work),
            own_load: setting.own_load,
            own_forks,
            before: seen.before,
            after: seen.after,
            idle_disturbance: seen.idle.disturbance(),
            idle_disturbance_histogram: Some(seen.idle.histogram()),
        },
        estimate: seen.estimate,
        strategies: untagged(own),
        standing: None,
        overhead: untagged(empty),
        warnings: setting.warnings.clone(),
    };
    compare(&mut document);
    document.standing = Standing::of(&document);
    let warnings = warnings::all(&document);
    document.warnings.extend(warnings);
    document
}

fn result(row: &Row, records: Records, plan: &Plan) -> StrategyResult {
    let Strategy { name: _, engine, mode, settings } = row.strategy.clone();
    let latency = latency(&records, &row.workload);
    let mut lateness = Lateness::default();
    for (_, _, completed) in &records.timed {
        if let Some(of_round) = &completed.lateness {
            lateness.add(of_round);
        }
    }
    let reads = row.workload.io == Io::Read;
    let rounds: Vec<Round> = records
        .timed
        .into_iter()
        .map(|(number, order, completed)| round(number, order, completed, reads))
        .collect();
    let timed = rounds.iter().map(|round| &round.report);
    let memory = memory(&records.memory, &row.strategy, &row.workload, timed);
    StrategyResult {
        name: row.name(),
        engine,
        mode,
        settings,
        summary: summarise(&rounds, plan),
        given_up: records.given_up,
        untimed_tasks_failed: records.untimed_tasks_failed,
        untimed_tasks_not_tried: records.untimed_tasks_not_tried,
        untimed_failures: records.untimed_failures,
        disturbance: (!rounds.is_empty()).then(|| lateness.disturbance()),
        disturbance_histogram: (!rounds.is_empty()).then(|| lateness.histogram()),
        rounds,
        memory,
        latency,
    }
}

fn round(round: u64, order: u64, completed: Completed, reads: bool) -> Round {
    let tree = completed.tree_cpu;
    let tree_seconds = tree.total_seconds();
    let processes = 1 + completed.report.processes_started + completed.report.helpers_started;
    // Of a runner that works long before the clock starts, its life says nothing of the round.
    let cpu_split_missing = CpuSplitMissing::of(completed.report.cpu_seconds(), processes);
    let tree_cpu_split_missing = CpuSplitMissing::of(tree_seconds, processes);
    let unless_missing = |part: Option<f64>| part.filter(|_| cpu_split_missing.is_none());
    let of_tree = |part: Duration| tree_cpu_split_missing.is_none().then_some(part.as_secs_f64());
    let tear_down_missing =
        completed.report.tear_down_seconds.is_none().then_some(TearDownMissing::NotToldByTool);
    let report = RoundReport {
        cpu_user_seconds: unless_missing(completed.report.cpu_user_seconds),
        cpu_system_seconds: unless_missing(completed.report.cpu_system_seconds),
        // What tasks did one by one is summed up over all rounds.
        latency: None,
        parts: Vec::new(),
        ..completed.report
    };
    Round {
        round,
        order,
        report,
        outside_seconds: completed.outside_seconds,
        tree_cpu_seconds: Some(tree_seconds),
        tree_cpu_user_seconds: of_tree(tree.user),
        tree_cpu_system_seconds: of_tree(tree.system),
        cpu_split_missing,
        tree_cpu_split_missing,
        tear_down_missing,
        peer_cpu_seconds: completed.peer_cpu_seconds,
        storage_read_bytes: (reads && kernel::counts_storage_reads()).then_some(completed.storage_read_bytes),
        kernel_forks: completed.kernel_forks,
        disturbance: completed.lateness.map(|lateness| lateness.disturbance()),
    }
}

fn latency(records: &Records, workload: &WorkloadSpec) -> Option<Latency> {
    let of_rounds: Vec<&RoundLatency> =
        records.timed.iter().filter_map(|(_, _, completed)| completed.report.latency.as_ref()).collect();
    let first = of_rounds.first()?;
    let expected = records.timed.len() as u64 * stamped_of(workload.tasks, first.one_in);
    let (wait, wait_histogram) = distribution(of_rounds.iter().map(|latency| &latency.wait));
    let (service, service_histogram) = distribution(of_rounds.iter().map(|latency| &latency.service));
    Some(Latency {
        one_in: first.one_in,
        tasks_without: expected.saturating_sub(wait.count),
        wait,
        service,
        wait_histogram: Some(wait_histogram),
        service_histogram: Some(service_histogram),
    })
}

fn distribution<'a>(rounds: impl Iterator<Item = &'a Buckets> + Clone) -> (Percentiles, stats::Histogram) {
    let longest = rounds.clone().filter_map(Buckets::longest).max().unwrap_or(0);
    let histogram: Histogram<u64> = Buckets::merge(rounds);
    // A percentile says something only if there are this many beyond it.
    const BEYOND: f64 = 10.0;
    let count = histogram.len();
    let quantile = |q: f64| {
        let enough = count as f64 * (1.0 - q) >= BEYOND - 1e-6;
        enough.then(|| in_seconds(histogram.value_at_quantile(q).min(longest)))
    };
    let percentiles = Percentiles {
        p50_seconds: quantile(0.5),
        p90_seconds: quantile(0.9),
        p99_seconds: quantile(0.99),
        max_seconds: in_seconds(longest),
        count,
    };
    (percentiles, stats::Histogram::of(&histogram, longest))
}

fn summarise(rounds: &[Round], plan: &Plan) -> Option<StrategySummary> {
    let seed = plan.run.seed;
    let of =
        |value: &dyn Fn(&Round) -> f64| stats::summarise(&rounds.iter().map(value).collect::<Vec<_>>(), seed);
    let median = |value: &dyn Fn(&Round) -> f64| of(value).map(|summary| summary.median);
    // A median over those rounds that happen to have a value would be one of other rounds than the rest of the row.
    let if_all_tell = |value: &dyn Fn(&Round) -> Option<f64>| {
        let told: Option<Vec<f64>> = rounds.iter().map(value).collect();
        stats::summarise(&told?, seed).map(|summary| summary.median)
    };
    let total = of(&|round| round.report.total_seconds)?;
    Some(StrategySummary {
        tasks_per_second: plan.workload.tasks as f64 / total.median,
        total_seconds: total,
        set_up_seconds: median(&|round| round.report.set_up_seconds)?,
        execute_seconds: median(&|round| round.report.execute_seconds)?,
        tear_down_seconds: if_all_tell(&|round| round.report.tear_down_seconds),
        cpu_seconds: median(&|round| round.report.cpu_seconds())?,
        cpu_user_seconds: if_all_tell(&|round| round.report.cpu_user_seconds),
        cpu_system_seconds: if_all_tell(&|round| round.report.cpu_system_seconds),
        speedup_over_baseline: None,
    })
}

fn compare(document: &mut Document) {
    let (seed, margin) = (document.plan.run.seed, document.plan.run.margin);
    let Some(baseline) = document.baseline().cloned() else { return };
    for strategy in &mut document.strategies {
        let comparison = stats::compare(&strategy.paired_with(&baseline), margin, seed);
        if let Some(summary) = &mut strategy.summary {
            summary.speedup_over_baseline = comparison.map(SpeedUp::from);
        }
    }
}

fn memory<'a>(
    completed: &[Completed],
    strategy: &Strategy,
    workload: &WorkloadSpec,
    timed: impl Iterator<Item = &'a RoundReport>,
) -> Option<Memory> {
    let each: Vec<MemoryRound> = completed.iter().filter_map(memory_round).collect();
    let (method, _) = completed.iter().find_map(|completed| completed.memory)?;
    // A median is of figures of one kind.
    let of_one_kind: Vec<MemoryRound> =
        each.iter().copied().filter(|round| round.method == Some(method)).collect();
    let MemoryRound { peak_alive, reading, .. } = *typical(&of_one_kind)?;
    // What the parent keeps for all tasks, alive or not.
    let board = workload.tasks * (bytes_of_word(strategy.engine) + workload.result_size_bytes);
    let per_alive = match strategy.mode {
        _ if strategy.engine.is_tool() => Err(PerAliveMissing::OfTool),
        Mode::Serial | Mode::Threads => Err(PerAliveMissing::NoProcesses),
        mode if !are_long(mode, workload, timed) => Err(PerAliveMissing::TooShort),
        // How large they are nobody knows, and all lie in the interpreter that measures.
        _ if workload.kind == Kind::Call => Err(PerAliveMissing::OfParent),
        _ => {
            // Pages that all share are in the sum of PSS from when they are first read, so not in what the runner had; a cgroup has them
            // in its account from when they are made, which is before the clock starts.
            let shared = if method.is_sampled() { workload.shared_bytes } else { 0 };
            // What crosses over a pipe is in the parent's memory for as long as that has not got rid of it, and in its heap after that.
            let by_pipe =
                strategy.engine == Engine::Python || strategy.settings.transport == Some(Transport::Pipe);
            let each = workload.arg_size_bytes.saturating_add(workload.result_size_bytes);
            let passed_on = if by_pipe { workload.tasks.saturating_mul(each) } else { 0 };
            per_alive(&reading, board + shared, passed_on, peak_alive, workload.memory_bytes)
        }
    };
    Some(Memory {
        reading,
        per_task_alive_bytes: per_alive.ok(),
        per_alive_missing: per_alive.err(),
        peak_alive,
        method,
        rounds: each.len() as u64,
        each,
    })
}

fn memory_round(completed: &Completed) -> Option<MemoryRound> {
    let (method, reading) = completed.memory?;
    Some(MemoryRound { method: Some(method), peak_alive: completed.report.peak_alive, reading })
}

/// The round with the median peak (of an even number the lower of the two in the middle): figures of one round belong together,
/// medians of each figure would not. One without a peak, if that is so of half of them or more: the others are no fair choice.
fn typical(each: &[MemoryRound]) -> Option<&MemoryRound> {
    let (mut known, unknown): (Vec<&MemoryRound>, Vec<_>) =
        each.iter().partition(|round| round.reading.peak_bytes.is_some());
    if let Some(unknown) = unknown.first().filter(|_| unknown.len() >= known.len()) {
        return Some(unknown);
    }
    known.sort_by_key(|round| round.reading.peak_bytes);
    known.get(known.len().checked_sub(1)? / 2).copied()
}

/// Bytes of what each task's result takes in the parent: a word on the board, or a number and a place in a list.
const fn bytes_of_word(engine: Engine) -> u64 {
    match engine {
        Engine::Native => 8,
        Engine::Python => 8 + 32,
        Engine::Xargs | Engine::Parallel => 0,
    }
}

/// The largest part of what processes seem to have that may be their parent's.
const MOST_OF_PARENT: f64 = 0.1;

/// What each of `peak_alive` processes had that touched `memory` bytes, where the parent keeps `board` bytes beside what it has anyway,
/// and may have kept as much as `passed_on` more.
fn per_alive(
    reading: &MemoryReading,
    board: u64,
    passed_on: u64,
    peak_alive: u64,
    memory: u64,
) -> Result<u64, PerAliveMissing> {
    let known = reading.peak_bytes.zip(reading.runner_bytes);
    let (peak, runner) = known.ok_or(PerAliveMissing::NotMeasured)?;
    // Where no more was found than the runner has without them, they cannot be told from it.
    let rest = peak.checked_sub(runner.saturating_add(board)).filter(|rest| *rest > 0);
    let rest = rest.ok_or(PerAliveMissing::NoMore)?;
    // A look that speaks for all may have missed some.
    let alive = alive_seen(reading).map_or(peak_alive, |seen| seen.min(peak_alive));
    let each = rest.checked_div(alive.max(1)).filter(|_| peak_alive > 0).ok_or(PerAliveMissing::NoMore)?;
    if passed_on as f64 > MOST_OF_PARENT * rest as f64 {
        return Err(PerAliveMissing::OfParent);
    }
    // When there was most, most of those had ended.
    if alive_seen(reading).is_some_and(|seen| !speak_for(seen, peak_alive)) {
        return Err(PerAliveMissing::FewerAtPeak);
    }
    // The runner's share, too, may be off by that.
    let uncertain = reading.kernel_uncertain_bytes.unwrap_or(0);
    if uncertain as f64 > MOST_OF_OTHERS * rest as f64 {
        return Err(PerAliveMissing::OthersVary);
    }
    if each >= memory { Ok(each) } else { Err(PerAliveMissing::NotAllTouched) }
}

/// How many of those that count as alive a look saw. Older versions wrote down all that it saw.
fn alive_seen(reading: &MemoryReading) -> Option<u64> {
    reading.alive_seen.or(reading.processes_seen)
}

/// Whether memory can be divided among the living: the kernel takes back what ended processes had some milliseconds later,
/// so where tasks are shorter than that, most of what is counted belongs to the dead. Workers live long.
///
/// What a program takes is known only when it has been run: `rounds` are those that were timed.
fn are_long<'a>(mode: Mode, workload: &WorkloadSpec, rounds: impl Iterator<Item = &'a RoundReport>) -> bool {
    const LONG_SECONDS: f64 = 0.01;
    let of_programs = rounds.map(|round| {
        round.execute_seconds * round.peak_alive.min(workload.tasks) as f64 / workload.tasks as f64
    });
    let expected = match workload.kind.is_program() {
        true => of_programs.reduce(f64::min).unwrap_or(0.0),
        false => workload.expected_task_seconds(),
    };
    mode == Mode::Pool || expected >= LONG_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    const NOTHING: MemoryReading = MemoryReading {
        peak_bytes: None,
        user_bytes: None,
        kernel_bytes: None,
        page_cache_bytes: None,
        runner_bytes: None,
        peak_from: None,
        kernel_from: None,
        samples: None,
        processes_read: None,
        processes_seen: None,
        alive_seen: None,
        samples_near_peak: None,
        is_least: false,
        kernel_is_least: false,
        swapped_out_bytes: None,
        kernel_uncertain_bytes: None,
        user_uncertain_bytes: None,
        page_cache_missing: None,
        peak_missing: None,
        kernel_missing: None,
    };

    #[test]
    fn what_may_be_the_parents_is_not_said_to_be_its_workers() {
        let reading = MemoryReading { peak_bytes: Some(105 * MIB), runner_bytes: Some(5 * MIB), ..NOTHING };
        assert_eq!(per_alive(&reading, 0, 0, 2, 0), Ok(50 * MIB));
        assert_eq!(per_alive(&reading, 20 * MIB, 8 * MIB, 2, 0), Ok(40 * MIB), "a tenth is no matter");
        assert_eq!(per_alive(&reading, 20 * MIB, 9 * MIB, 2, 0), Err(PerAliveMissing::OfParent));
        assert_eq!(per_alive(&reading, 0, 0, 2, 60 * MIB), Err(PerAliveMissing::NotAllTouched));
    }

    #[test]
    fn what_may_be_mostly_others_is_nobodys() {
        let reading = MemoryReading {
            peak_bytes: Some(105 * MIB),
            runner_bytes: Some(5 * MIB),
            kernel_uncertain_bytes: Some(10 * MIB),
            ..NOTHING
        };
        assert_eq!(per_alive(&reading, 60 * MIB, 0, 2, 0), Ok(20 * MIB));
        assert_eq!(per_alive(&reading, 61 * MIB, 0, 2, 0), Err(PerAliveMissing::OthersVary));
    }
}
