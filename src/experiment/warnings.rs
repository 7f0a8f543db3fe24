//! What a reader should know before he believes the numbers: every warning, and its advice, in one place.

mod failed;

use std::fmt;

use crate::document::{
    Document, MEMORY_NOT_MEASURED, Memory, NOT_MEASURED, PerAliveMissing, StrategyResult, TOO_FEW_ROUNDS,
    Warning,
};
use crate::engine::Engine;
use crate::measure::conditions::{self, Condition};
use crate::measure::memory::Missing;
use crate::measure::storage::Storage;
use crate::mode::Mode;
use crate::mode::verify::TaskFailure;
use crate::report::numbers::{bytes, count, exact_percent, percent, seconds};
use crate::stats::{self, DRIFT_LEVEL, MIN_ROUNDS, SPREAD_LIMIT};
use crate::workload::{Io, Kind, OnFailure};
use failed::{Failed, hint, timed_rounds};

/// A round shorter than this is mostly set-up, tear-down and chance.
const SHORT_ROUND_SECONDS: f64 = 0.005;

/// Memory of one strategy that differs by more than this part of its median between rounds is reported.
const MEMORY_SPREAD_LIMIT: f64 = 0.25;

/// Threads of a rayon pool that are told to be many. For tasks that wait for 100 ms, on two cores, 64 for each took 5 % longer than a pool
/// of as many workers, 100 took 40 % longer, and 200 three times as long.
const MANY_THREADS_PER_CORE: u64 = 64;

/// Failed tasks of a strategy that are told one by one.
const FAILURES_SHOWN: usize = 3;

/// Everything that a document itself gives reason to warn of. What the machine gives is in [`conditions`].
#[derive(Debug, Clone, PartialEq)]
enum Notice<'a> {
    Interrupted,
    Stopped,
    TasksFailed(Failed<'a>),
    LeftRunning { strategy: &'a str, processes: u64, rounds: usize, of_workers: bool },
    Retries { strategy: &'a str, retries: u64, rounds: usize },
    NotPrecise { strategy: &'a str, reached: Option<f64>, wanted: f64 },
    FewerPairs { strategy: &'a str, baseline: &'a str, pairs: usize, rounds: usize },
    ManyThreads { strategy: &'a str, workers: u64, cores: u64 },
    TooFewRounds { fewest: usize },
    ShortRounds { strategies: Vec<&'a str> },
    SlowFirstRound { strategy: &'a str, slowdown: f64 },
    Drift { strategy: &'a str, change: f64, p_value: f64 },
    Spread { strategy: &'a str, spread: f64 },
    Outliers { strategy: &'a str, outliers: usize, rounds: usize },
    WaitOvershoot { strategy: &'a str, io: Io, mean_seconds: f64, share: f64 },
    NoDisk { storage: &'a Storage },
    HiddenDisk { storage: &'a Storage },
    ReadFromMemory { strategy: &'a str, read_bytes: u64, wanted_bytes: u64 },
    MemoryNotMeasured { strategies: Vec<&'a str>, reason: Missing },
    KernelMemoryNotMeasured { strategies: Vec<&'a str>, reason: Missing },
    PerAliveNotMeasured { strategies: Vec<&'a str>, reason: PerAliveMissing },
    MemoryDiffers { strategies: Vec<(&'a str, [u64; 2])> },
    NotMeasured { what: String },
}

impl Notice<'_> {
    fn code(&self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::Stopped => "stopped",
            Self::LeftRunning { .. } => "left_running",
            Self::TasksFailed(_) => "tasks_failed",
            Self::Retries { .. } => "retries",
            Self::NotPrecise { .. } => "not_precise",
            Self::FewerPairs { .. } => "fewer_pairs",
            Self::ManyThreads { .. } => "many_threads",
            Self::TooFewRounds { .. } => TOO_FEW_ROUNDS,
            Self::ShortRounds { .. } => "short_rounds",
            Self::SlowFirstRound { .. } => "slow_first_round",
            Self::Drift { .. } => "drift",
            Self::Spread { .. } => "spread",
            Self::Outliers { .. } => "outliers",
            Self::WaitOvershoot { .. } => "wait_overshoot",
            Self::NoDisk { .. } => "no_disk",
            Self::HiddenDisk { .. } => "hidden_disk",
            Self::ReadFromMemory { .. } => "read_from_memory",
            Self::MemoryNotMeasured { .. } => MEMORY_NOT_MEASURED[0],
            Self::KernelMemoryNotMeasured { .. } => MEMORY_NOT_MEASURED[1],
            Self::PerAliveNotMeasured { .. } => MEMORY_NOT_MEASURED[2],
            Self::MemoryDiffers { .. } => "memory_differs",
            Self::NotMeasured { .. } => NOT_MEASURED,
        }
    }
}

impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => write!(f, "interrupted: only what was finished is shown"),
            Self::Stopped => {
                write!(
                    f,
                    "stopped after the first failed task (--on-failure stop): only what was finished is shown"
                )
            }
            Self::TasksFailed(failed) => write!(f, "{failed}"),
            Self::LeftRunning { strategy, processes, rounds, of_workers } => write!(
                f,
                "{strategy}: {processes} {} left running in {} by what tasks had started, and killed after their round; they \
                 disturbed what came after them, and what they used of the CPU is in no column{}",
                if *processes == 1 { "process was" } else { "processes were" },
                timed_rounds(*rounds),
                match of_workers {
                    true =>
                        ". A worker that had not ended 5 s after its input did is one of them, and those 5 s are in the times",
                    false => "",
                }
            ),
            Self::Retries { strategy, retries, rounds } => write!(
                f,
                "{strategy}: {retries} tasks were executed again in {} because they had failed, or their worker had died",
                timed_rounds(*rounds)
            ),
            Self::NotPrecise { strategy, reached, wanted } => {
                let reached = reached.map_or_else(
                    || "too few rounds to tell".into(),
                    |reached| format!("±{} is what it came to", exact_percent((reached * 1e3).round() / 1e3)),
                );
                write!(
                    f,
                    "{strategy}: the precision that was asked for, ±{}, was not reached within its rounds: {reached} (--rounds, \
                     --time-budget)",
                    exact_percent(*wanted)
                )
            }
            Self::FewerPairs { strategy, baseline, pairs, rounds } => write!(
                f,
                "{strategy}: its speed-up rests on the {pairs} rounds that {baseline} has too, the times on all {rounds} (rounds \
                 are compared with those of the same number)"
            ),
            Self::ManyThreads { strategy, workers, cores } => write!(
                f,
                "{strategy}: rayon's pool is made for about as many threads as there are cores ({cores}); of {} most of the \
                 time is theirs in looking for work. For tasks that wait, look at a pool of as many workers, or at py-threads",
                count(*workers)
            ),
            Self::TooFewRounds { fewest } => {
                write!(
                    f,
                    "too few rounds for a verdict: {fewest}, where it takes {MIN_ROUNDS} (--rounds, --time-budget)"
                )
            }
            Self::ShortRounds { strategies } => write!(
                f,
                "rounds of {} are shorter than {}, so starting and ending are most of them: raise --tasks unless \
                 that is the question",
                strategies.join(", "),
                seconds(SHORT_ROUND_SECONDS)
            ),
            Self::SlowFirstRound { strategy, slowdown } => write!(
                f,
                "{strategy}: the first round took {} longer than the others: add --warmup 2 or more",
                percent(slowdown - 1.0)
            ),
            Self::Drift { strategy, change, p_value } => write!(
                f,
                "{strategy}: rounds {} by {} from first to last (p = {p_value:.3}): the machine was changing under the run \
                 (heat, neighbours); comparisons within rounds still hold, absolute times less so",
                if *change > 0.0 { "grew longer" } else { "grew shorter" },
                percent(change.abs())
            ),
            Self::Spread { strategy, spread } => write!(
                f,
                "{strategy}: rounds differ by {} of their median: stop what else is running, or give more --rounds",
                percent(*spread)
            ),
            Self::Outliers { strategy, outliers, rounds } => write!(
                f,
                "{strategy}: {outliers} of {rounds} rounds lie far from the others; they are counted like the rest"
            ),
            Self::WaitOvershoot { strategy, io, mean_seconds, share } => write!(
                f,
                "{strategy}: waits for I/O lasted {} longer than asked for on average ({} of them): {}more processes \
                 woke at once than there are cores, or the timer is coarse",
                seconds(*mean_seconds),
                percent(*share),
                if *io == Io::Echo { "the round trip takes that long, the peer is busy, " } else { "" }
            ),
            Self::NoDisk { storage } => write!(
                f,
                "{} is in memory ({}): nothing of this I/O reaches a disk. Name a folder on one (--io-folder)",
                storage.folder.display(),
                storage.file_system.as_deref().unwrap_or_default()
            ),
            Self::HiddenDisk { storage } => write!(
                f,
                "{} is on a file system over others ({}): whether a disk is beneath cannot be seen from here",
                storage.folder.display(),
                storage.file_system.as_deref().unwrap_or_default()
            ),
            Self::ReadFromMemory { strategy, read_bytes, wanted_bytes } => write!(
                f,
                "{strategy}: of {} that tasks read, only {} came from storage by the kernel's account: the rest was still \
                 in memory, or the file system does not count",
                bytes(*wanted_bytes),
                bytes(*read_bytes)
            ),
            Self::MemoryNotMeasured { strategies, reason } => {
                write!(f, "memory of {} was not measured: {reason}", strategies.join(", "))
            }
            Self::KernelMemoryNotMeasured { strategies, reason } => write!(
                f,
                "the kernel's share of the memory of {} was not measured: {reason}",
                strategies.join(", ")
            ),
            Self::PerAliveNotMeasured { strategies, reason } => {
                write!(f, "memory per process alive of {} is not told: {reason}", strategies.join(", "))
            }
            Self::MemoryDiffers { strategies } => {
                let ranges: Vec<String> = strategies
                    .iter()
                    .map(|(name, [low, high])| format!("{name} ({} to {})", bytes(*low), bytes(*high)))
                    .collect();
                write!(
                    f,
                    "rounds differ widely in the memory that was found for {}, and the median is shown: others took or gave back \
                     memory meanwhile. Stop them, or have it measured in a cgroup (as root, or with one delegated)",
                    ranges.join(", ")
                )
            }
            Self::NotMeasured { what } => write!(f, "not measured: {what}"),
        }
    }
}

/// All warnings of `document`.
pub fn all(document: &Document) -> Vec<Warning> {
    let machine = &document.environment;
    let before = conditions::before_start(&machine.machine, &machine.before, machine.own_load);
    let meanwhile = conditions::meanwhile(&machine.change);
    let altered: Vec<Condition> = machine.altered.iter().cloned().map(Condition::Altered).collect();
    let of_machine = before
        .iter()
        .chain(&altered)
        .chain(&meanwhile)
        .map(|condition| Warning { code: condition.code().to_owned(), message: condition.to_string() });
    let of_document = notices(document);
    let of_document = of_document
        .iter()
        .map(|notice| Warning { code: notice.code().to_owned(), message: notice.to_string() });
    of_document.chain(of_machine).collect()
}

fn notices(document: &Document) -> Vec<Notice<'_>> {
    let strategies = || document.strategies.iter().chain(&document.overhead);
    let stopped = document.plan.run.on_failure == OnFailure::Stop && document.tasks_failed() > 0;
    let cut_short = if stopped { Notice::Stopped } else { Notice::Interrupted };
    let mut notices = Vec::from_iter(document.partial.then_some(cut_short));
    if let Some(storage) = &document.environment.storage {
        notices.extend(storage.is_in_memory().then_some(Notice::NoDisk { storage }));
        notices.extend(storage.hides_its_device().then_some(Notice::HiddenDisk { storage }));
    }
    notices.extend(strategies().flat_map(|strategy| of_strategy(strategy, document)));
    let named = |which: &dyn Fn(&StrategyResult) -> bool| -> Vec<&str> {
        strategies().filter(|strategy| which(strategy)).map(|strategy| strategy.name.as_str()).collect()
    };
    let short = named(&|strategy| {
        strategy.summary.as_ref().is_some_and(|summary| summary.total_seconds.median < SHORT_ROUND_SECONDS)
    });
    if !short.is_empty() {
        notices.push(Notice::ShortRounds { strategies: short });
    }
    for (reason, strategies) in by_reason(document, |memory| {
        let Some(memory) = memory else { return Some(Missing::NoRound) };
        let missing = memory.reading.peak_missing.unwrap_or(Missing::NoAccount);
        memory.reading.peak_bytes.is_none().then_some(missing)
    }) {
        notices.push(Notice::MemoryNotMeasured { strategies, reason });
    }
    for (reason, strategies) in by_reason(document, |memory| {
        let reading = &memory?.reading;
        let unknown = reading.peak_bytes.is_some() && reading.kernel_bytes.is_none();
        unknown.then_some(reading.kernel_missing.unwrap_or(Missing::NoAccount))
    }) {
        notices.push(Notice::KernelMemoryNotMeasured { strategies, reason });
    }
    for (reason, strategies) in by_reason(document, |memory| {
        memory?.per_alive_missing.filter(|missing| *missing != PerAliveMissing::NoProcesses)
    }) {
        notices.push(Notice::PerAliveNotMeasured { strategies, reason });
    }
    let differing: Vec<(&str, [u64; 2])> = strategies().filter_map(memory_range).collect();
    if !differing.is_empty() {
        notices.push(Notice::MemoryDiffers { strategies: differing });
    }
    let fewest = document.strategies.iter().map(|strategy| strategy.rounds.len()).min().unwrap_or(0);
    if fewest < MIN_ROUNDS {
        notices.push(Notice::TooFewRounds { fewest });
    }
    for strategy in strategies() {
        let name = &strategy.name;
        let lateness = strategy.disturbance.and_then(|disturbance| disturbance.reason());
        notices.extend(
            lateness.map(|reason| Notice::NotMeasured { what: format!("disturbance by {name}: {reason}") }),
        );
        let few =
            strategy.latency.as_ref().map(|latency| latency.wait).filter(|wait| wait.p99_seconds.is_none());
        notices.extend(few.map(|wait| Notice::NotMeasured {
            what: format!(
                "p99 of the latency of {name}: ten tasks must lie beyond it, and only {} were looked at",
                wait.count
            ),
        }));
    }
    for strategy in document.strategies.iter().filter(|strategy| strategy.engine.is_tool()) {
        let (name, tool) = (&strategy.name, strategy.engine.name());
        let unknown = match strategy.engine {
            Engine::Xargs => "latency and, in timed rounds, the digest",
            _ => "latency",
        };
        let what = format!(
            "{unknown} of {name}: {tool} does not tell; its processes alive are those seen at looks 10 ms apart"
        );
        notices.push(Notice::NotMeasured { what });
    }
    let environment = &document.environment;
    let change = &environment.change;
    // Where a counter is not known at all, that is told with its reason below.
    let ticks_are_known = [&environment.before, &environment.after].map(|state| state.cpu_time.is_some());
    if change.busy_share.is_none() && ticks_are_known == [true, true] {
        let what =
            "shares of CPU time: less than a second of it was used, which the kernel counts in ticks".into();
        notices.push(Notice::NotMeasured { what });
    }
    if change.forks.is_some() && change.foreign_forks.is_none() {
        let what = match document.plan.workload.kind.is_program() {
            true => "processes started by others: how many those of the tasks' programs are is not known",
            false => {
                "processes started by others: the kernel counted fewer than were started by the run itself"
            }
        };
        notices.push(Notice::NotMeasured { what: what.into() });
    }
    let unchecked =
        strategies().flat_map(|strategy| &strategy.rounds).any(|round| round.kernel_forks.is_none());
    if unchecked {
        let what =
            "the kernel's count of new processes, so what rounds say they started was not checked by it"
                .into();
        notices.push(Notice::NotMeasured { what });
    }
    let unknown = environment.machine.not_measured.iter().chain(&environment.after.not_measured);
    notices.extend(unknown.map(|unknown| Notice::NotMeasured { what: unknown.to_string() }));
    notices
}

/// The strategies whose figure is missing, by the reason for it: `missing` is `None` where it is there.
fn by_reason<T: PartialEq>(
    document: &Document,
    missing: impl Fn(Option<&Memory>) -> Option<T>,
) -> Vec<(T, Vec<&str>)> {
    let mut found: Vec<(T, Vec<&str>)> = Vec::new();
    for strategy in document.strategies.iter().chain(&document.overhead) {
        let Some(reason) = missing(strategy.memory.as_ref()) else { continue };
        match found.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, strategies)) => strategies.push(&strategy.name),
            None => found.push((reason, vec![&strategy.name])),
        }
    }
    found
}

/// The least and the most memory that rounds of `strategy` found, where those are far from each other.
fn memory_range(strategy: &StrategyResult) -> Option<(&str, [u64; 2])> {
    let memory = strategy.memory.as_ref()?;
    let peaks = || memory.each.iter().filter_map(|round| round.reading.peak_bytes);
    let (low, high) = peaks().min().zip(peaks().max())?;
    let is_wide = (high - low) as f64 > MEMORY_SPREAD_LIMIT * memory.reading.peak_bytes? as f64;
    is_wide.then_some((strategy.name.as_str(), [low, high]))
}

fn of_strategy<'a>(strategy: &'a StrategyResult, document: &'a Document) -> Vec<Notice<'a>> {
    let name = strategy.name.as_str();
    let times: Vec<f64> = strategy.rounds.iter().map(|round| round.report.total_seconds).collect();
    let mut notices = Vec::new();
    let (all_failed, untimed, rounds) =
        (strategy.tasks_failed(), strategy.untimed_tasks_failed, strategy.rounds.len());
    if all_failed > 0 {
        let timed = strategy.rounds.iter().flat_map(|round| &round.report.failures);
        let mut first: Vec<&TaskFailure> = Vec::new();
        let all = || strategy.untimed_failures.iter().chain(timed.clone());
        // One of each reason, as far as there is room, then others. Each round may have failed in the same way.
        for of_known_reason in [false, true] {
            for failure in all() {
                let is_known = first.iter().any(|shown| shown.reason == failure.reason);
                if first.len() < FAILURES_SHOWN
                    && is_known == of_known_reason
                    && !first.iter().any(|shown| shown.task == failure.task)
                {
                    first.push(failure);
                }
            }
        }
        first.sort_by_key(|failure| failure.task);
        let not_tried = strategy.tasks_not_tried();
        let failed = all_failed - untimed;
        let hint = if strategy.engine.is_tool() { "" } else { hint(&document.plan.workload, &first) };
        let told = Failed { strategy: name, failed, rounds, untimed, not_tried, first, hint };
        notices.push(Notice::TasksFailed(told));
    }
    let processes = strategy.rounds.iter().map(|round| round.report.left_running).sum();
    if processes > 0 {
        let of_workers = document.plan.workload.kind == Kind::Worker;
        notices.push(Notice::LeftRunning { strategy: name, processes, rounds, of_workers });
    }
    let retries: u64 = strategy.rounds.iter().map(|round| round.report.retries).sum();
    if retries > 0 {
        notices.push(Notice::Retries { strategy: name, retries, rounds });
    }
    let cores = document.environment.machine.effective_cores.unwrap_or(1);
    if let Some(workers) =
        strategy.settings.workers.filter(|workers| *workers > MANY_THREADS_PER_CORE * cores)
        && (strategy.mode, strategy.engine) == (Mode::Threads, Engine::Native)
    {
        notices.push(Notice::ManyThreads { strategy: name, workers, cores });
    }
    let run = &document.plan.run;
    if let Some(wanted) = run.precision.filter(|_| !document.partial && rounds > 0) {
        let reached =
            strategy.summary.as_ref().and_then(|summary| summary.total_seconds.relative_half_width());
        if reached.is_none_or(|reached| reached > wanted) {
            notices.push(Notice::NotPrecise { strategy: name, reached, wanted });
        }
    }
    if let Some(baseline) = document.baseline().filter(|_| document.strategies.len() > 1) {
        let pairs = strategy.paired_with(baseline).len();
        let is_own = baseline.name == strategy.name;
        let is_compared = strategy.summary.as_ref().is_some_and(|row| row.speedup_over_baseline.is_some());
        if !document.partial && !is_own && is_compared && pairs < rounds {
            let baseline = baseline.name.as_str();
            notices.push(Notice::FewerPairs { strategy: name, baseline, pairs, rounds });
        }
    }
    let waits: Vec<f64> =
        strategy.rounds.iter().filter_map(|round| round.report.io_overshoot_mean_seconds).collect();
    let workload = &document.plan.workload;
    if let Some(overshoot) = stats::summarise(&waits, document.plan.run.seed) {
        let (mean_seconds, share) = (overshoot.median, overshoot.median / workload.io_wait_seconds);
        // A round trip without a wait has nothing to be longer than.
        if share > 0.05 && workload.io_wait_seconds > 0.0 {
            notices.push(Notice::WaitOvershoot { strategy: name, io: workload.io, mean_seconds, share });
        }
    }
    let on_disk = document.environment.storage.as_ref().is_some_and(|storage| !storage.is_in_memory());
    let least = strategy.rounds.iter().filter_map(|round| round.storage_read_bytes).min();
    if let Some(read_bytes) = least.filter(|_| on_disk) {
        let wanted_bytes = workload.tasks * workload.io_size_bytes;
        if read_bytes < wanted_bytes / 10 * 9 {
            notices.push(Notice::ReadFromMemory { strategy: name, read_bytes, wanted_bytes });
        }
    }
    let outliers = strategy.summary.as_ref().map_or(0, |summary| summary.total_seconds.outliers);
    if outliers > 0 {
        notices.push(Notice::Outliers { strategy: name, outliers, rounds });
    }
    if times.len() < MIN_ROUNDS {
        return notices;
    }
    if let Some(slowdown) = stats::slow_first_round(&times) {
        notices.push(Notice::SlowFirstRound { strategy: name, slowdown });
    }
    // Several strategies are looked at, and one of them may seem to drift by chance.
    let level = DRIFT_LEVEL / document.strategies.len() as f64;
    if let Some(trend) = stats::trend(&times).filter(|trend| trend.drifts(level)) {
        notices.push(Notice::Drift { strategy: name, change: trend.change, p_value: trend.p_value });
    }
    let spread = strategy.summary.as_ref().and_then(|summary| summary.total_seconds.spread());
    if let Some(spread) = spread.filter(|spread| *spread > SPREAD_LIMIT) {
        notices.push(Notice::Spread { strategy: name, spread });
    }
    notices
}
