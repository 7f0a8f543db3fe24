//! What a reader should know before he believes the numbers: every warning, and its advice, in one place.

mod failed;
mod notice;

use crate::document::standing::{Outcome, Standing};
use crate::document::{Document, Memory, PerAliveMissing, Round, StrategyResult, Warning};
use crate::engine::Engine;
use crate::measure::conditions::{self, Condition};
use crate::measure::memory::Missing;
use crate::measure::shortage;
use crate::mode::Mode;
use crate::mode::verify::TaskFailure;
use crate::stats::{self, Drifts, MIN_ROUNDS, SPREAD_LIMIT};
use crate::workload::{Io, Kind};
use failed::{Failed, hint};
use notice::{Notice, SHORT_ROUND_SECONDS, told_together};

/// Memory of one strategy that differs by more than this part of its median between rounds is reported.
const MEMORY_SPREAD_LIMIT: f64 = 0.25;

/// Threads of a rayon pool that are told to be many. For tasks that wait for 100 ms, on two cores, 64 for each took 5 % longer than a pool
/// of as many workers, 100 took 40 % longer, and 200 three times as long.
const MANY_THREADS_PER_CORE: u64 = 64;

/// Workers that compute for less than this part of the time are told to wait.
const IDLE_SHARE: f64 = 0.5;

/// More workers than this are not proposed to whoever has not asked for any number.
const MOST_PROPOSED: u64 = 64;

/// Failed tasks of a strategy that are told one by one.
const FAILURES_SHOWN: usize = 3;

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
        .map(|condition| Warning { code: condition.code().to_owned(), message: told_here(condition) });
    let of_document = notices(document);
    let of_document = of_document
        .iter()
        .map(|notice| Warning { code: notice.code().to_owned(), message: notice.to_string() });
    of_document.chain(of_machine).collect()
}

/// `condition`, with what limits the memory where that ran out: this is the machine on which it did.
fn told_here(condition: &Condition) -> String {
    let limits = match condition {
        Condition::OomKills { .. } => shortage::limits_on_memory(),
        _ => Vec::new(),
    };
    if limits.is_empty() { condition.to_string() } else { format!("{condition}; {}", limits.join(", ")) }
}

fn notices(document: &Document) -> Vec<Notice<'_>> {
    let strategies = || document.strategies.iter().chain(&document.overhead);
    let cut_short = match (&document.ended_by, document.was_stopped()) {
        (Some(why), _) => Notice::Ended { why },
        (None, true) => Notice::Stopped,
        (None, false) => Notice::Interrupted {
            in_round: document.cut_off.as_ref(),
            may_never_end: may_never_end(document),
        },
    };
    let mut notices = Vec::from_iter(document.partial.then_some(cut_short));
    if let Some(storage) = &document.environment.storage {
        notices.extend(storage.is_in_memory().then_some(Notice::NoDisk { storage }));
        notices.extend(storage.hides_its_device().then_some(Notice::HiddenDisk { storage }));
    }
    notices.extend(told_together(strategies().flat_map(|strategy| of_strategy(strategy, document))));
    if let Some(program) = &document.plan.workload.program
        && let Some(lines) = program.lines.as_ref().filter(|lines| lines.carriage_returns > 0)
    {
        let file = program.args_from.as_deref().unwrap_or_default();
        notices.push(Notice::CarriageReturns { file, lines });
    }
    notices.extend(drift(&strategies().collect::<Vec<_>>()));
    let named = |which: &dyn Fn(&StrategyResult) -> bool| -> Vec<&str> {
        strategies().filter(|strategy| which(strategy)).map(|strategy| strategy.name.as_str()).collect()
    };
    let short = named(&|strategy| {
        strategy.summary.as_ref().is_some_and(|summary| summary.total_seconds.median < SHORT_ROUND_SECONDS)
    });
    if !short.is_empty() {
        notices.push(Notice::ShortRounds { strategies: short });
    }
    let starting: Vec<_> = strategies().filter_map(|row| mostly_starts(row, document)).collect();
    if !starting.is_empty() {
        notices.push(Notice::WorkersStart { of: starting });
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
    for sampled in [false, true] {
        let differing: Vec<(&str, [u64; 2])> =
            strategies().filter_map(|strategy| memory_range(strategy, sampled)).collect();
        if !differing.is_empty() {
            notices.push(Notice::MemoryDiffers { strategies: differing, sampled });
        }
    }
    let fewest = with_all_rounds(document).map(|strategy| strategy.rounds.len()).min().unwrap_or(0);
    let standing = Standing::of(document).filter(|standing| standing.outcome == Outcome::TooFewRounds);
    let needed = standing.map(|standing| stats::least_rounds_at(standing.confidence));
    let all = with_all_rounds(document).count();
    match (fewest < MIN_ROUNDS, needed) {
        // Who has ended it knows that.
        (true, _) if document.partial && fewest == 0 => {}
        (true, needed) => notices.push(Notice::TooFewRounds {
            fewest,
            of: some_with_too_few_rounds(document),
            of_the_best: needed.filter(|needed| *needed > MIN_ROUNDS).map(|needed| (all, needed)),
        }),
        (false, Some(needed)) => notices.push(Notice::TooFewForTheBest { fewest, strategies: all, needed }),
        (false, None) => {}
    }
    for strategy in strategies() {
        let name = &strategy.name;
        let lateness = strategy.disturbance.and_then(|disturbance| disturbance.reason());
        notices.extend(
            lateness.map(|reason| Notice::NotMeasured { what: format!("disturbance by {name}: {reason}") }),
        );
        if document.plan.run.latency && !strategy.rounds.is_empty() && strategy.latency.is_none() {
            let why = match strategy.engine.is_tool() {
                true => "what other tools start, they do not tell of",
                false => "no task that was looked at came to its end",
            };
            notices.push(Notice::NotMeasured { what: format!("latency of {name}: {why}") });
        }
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
    if let Some(reason) = environment.idle_disturbance.reason() {
        let reason = if environment.idle_disturbance.count == 0 {
            "no bystander stood by then".into()
        } else {
            reason
        };
        let what = format!("disturbance of the machine while nothing is run: {reason}");
        notices.push(Notice::NotMeasured { what });
    }
    let change = &environment.change;
    // Where a counter is not known at all, that is told with its reason below.
    let ticks = environment.before.cpu_time.zip(environment.after.cpu_time);
    if let Some((before, after)) = ticks.filter(|_| change.busy_share.is_none()) {
        let passed = after.total_seconds() - before.total_seconds();
        let why = if environment.before.cpus != environment.after.cpus {
            "the CPUs that this process may run on became others"
        } else if change.elapsed_seconds > 1.0 && passed.abs() < 0.1 {
            "the kernel's counters stand still"
        } else if (0.0..1.0).contains(&passed) {
            "less than a second of it had passed on all cores, which the kernel counts in ticks"
        } else {
            "the kernel's counters went backwards"
        };
        notices.push(Notice::OthersNotSeen { what: "shares of CPU time", why });
    }
    if change.forks.is_some() && change.foreign_forks.is_none() {
        let why = match (document.plan.workload.kind.is_program(), environment.own_forks) {
            (true, _) => "those that the tasks' programs start are counted with them",
            (false, None) => "a round was cut off, and how many it had started is not known",
            (false, Some(_)) => "the kernel counted fewer than were started by the run itself",
        };
        notices.push(Notice::OthersNotSeen { what: "processes started by others", why });
    }
    let unchecked =
        strategies().flat_map(|strategy| &strategy.rounds).any(|round| round.kernel_forks.is_none());
    if unchecked {
        notices.push(Notice::OthersNotSeen {
            what: "new processes by the kernel's own count",
            why: "what rounds say they started was not checked by it",
        });
    }
    let unknown = environment.machine.not_measured.iter().chain(&environment.after.not_measured);
    notices.extend(unknown.map(|unknown| Notice::NotMeasured { what: unknown.to_string() }));
    notices
}

/// The strategies that were not given up: no number of rounds that is asked for cures that.
fn with_all_rounds(document: &Document) -> impl Iterator<Item = &StrategyResult> {
    document.strategies.iter().filter(|strategy| strategy.given_up.is_none())
}

/// The strategies that have too few rounds for a verdict; nobody where that is all of them.
fn some_with_too_few_rounds(document: &Document) -> Vec<&str> {
    let (few, enough): (Vec<_>, Vec<_>) =
        with_all_rounds(document).partition(|strategy| strategy.rounds.len() < MIN_ROUNDS);
    let names = few.iter().map(|strategy| strategy.name.as_str());
    if enough.is_empty() { Vec::new() } else { names.collect() }
}

/// What kind of tasks there are, if the round that somebody ended may have been one that would never have ended itself: no program
/// has ended or answered for long, and nothing would have ended it.
fn may_never_end(document: &Document) -> Option<Kind> {
    const LONG_SECONDS: f64 = 2.0;
    let (workload, cut) = (&document.plan.workload, document.cut_off.as_ref()?);
    let has_no_end = workload.kind.is_program() && workload.any_timeout().is_none();
    let is_mute = cut.tasks_done == Some(0) && cut.seconds > LONG_SECONDS;
    (has_no_end && is_mute).then_some(workload.kind)
}

/// The strategies whose figure is missing, by the reason for it: `missing` is `None` where it is there.
fn by_reason<T: PartialEq>(
    document: &Document,
    missing: impl Fn(Option<&Memory>) -> Option<T>,
) -> Vec<(T, Vec<&str>)> {
    let mut found: Vec<(T, Vec<&str>)> = Vec::new();
    for strategy in document.strategies.iter().chain(&document.overhead) {
        // Why one that was given up has no such round is said already.
        let memory = strategy.memory.as_ref();
        let Some(reason) = missing(memory).filter(|_| memory.is_some() || strategy.given_up.is_none()) else {
            continue;
        };
        match found.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, strategies)) => strategies.push(&strategy.name),
            None => found.push((reason, vec![&strategy.name])),
        }
    }
    found
}

/// The least and the most memory that rounds of `strategy` found, where those are far from each other.
fn memory_range(strategy: &StrategyResult, sampled: bool) -> Option<(&str, [u64; 2])> {
    let memory = strategy.memory.as_ref().filter(|memory| memory.method.is_sampled() == sampled)?;
    let peaks = || memory.each.iter().filter_map(|round| round.reading.peak_bytes);
    let (low, high) = peaks().min().zip(peaks().max())?;
    let is_wide = (high - low) as f64 > MEMORY_SPREAD_LIMIT * memory.reading.peak_bytes? as f64;
    is_wide.then_some((strategy.name.as_str(), [low, high]))
}

/// Where there are no more workers than processors, and those mostly wait, nor are there more in another row of that kind. Who does
/// not compute need not wait: others may have had the processors.
fn waiting_workers<'a>(strategy: &'a StrategyResult, document: &Document, cores: u64) -> Option<Notice<'a>> {
    let workers = strategy.settings.workers.filter(|workers| *workers <= cores)?;
    let tasks = document.plan.workload.tasks;
    let is_alike = |other: &&StrategyResult| (other.engine, other.mode) == (strategy.engine, strategy.mode);
    let has_more = |other: &StrategyResult| other.settings.workers.is_some_and(|others| others > workers);
    let workload = &document.plan.workload;
    let only_computes = matches!(workload.kind, Kind::Synthetic | Kind::Expression)
        && workload.io_wait_seconds == 0.0
        && workload.io == Io::Sleep;
    let meanwhile = conditions::meanwhile(&document.environment.change);
    let has_processors = !meanwhile.iter().any(Condition::takes_cpu_time);
    let has_them_waiting = matches!(strategy.mode, Mode::Pool | Mode::Threads) && !strategy.engine.is_tool();
    if !has_them_waiting
        || only_computes
        || !has_processors
        || tasks <= workers
        || mostly_starts(strategy, document).is_some()
        || document.strategies.iter().filter(is_alike).any(has_more)
    {
        return None;
    }
    let share = |round: &Round| round.tree_cpu_seconds() / (workers as f64 * round.report.total_seconds);
    let shares: Vec<f64> = strategy.rounds.iter().map(share).collect();
    let seconds = strategy.summary.as_ref()?.total_seconds.median;
    let busy = stats::summarise(&shares, document.plan.run.seed)?.median;
    if busy >= IDLE_SHARE || seconds < SHORT_ROUND_SECONDS {
        return None;
    }
    let proposed = (workers as f64 / busy).min(MOST_PROPOSED.min(tasks) as f64).round() as u64;
    (proposed > workers).then_some(Notice::WaitingWorkers {
        of: vec![(&strategy.name, busy)],
        workers,
        mode: strategy.mode,
        proposed,
    })
}

/// A strategy that keeps workers, whose longest task, one that a worker's start is a part of, takes most of its round: with the
/// time of that task, and of one in the middle, in seconds.
fn mostly_starts<'a>(strategy: &'a StrategyResult, document: &Document) -> Option<(&'a str, [f64; 2])> {
    const MUCH_LONGER: f64 = 10.0;
    const MOST: f64 = 0.5;
    if document.plan.workload.kind != Kind::Worker || strategy.mode == Mode::Process {
        return None;
    }
    let service = &strategy.latency.as_ref()?.service;
    let (longest, middle) = (service.max_seconds, service.p50_seconds?);
    let round = strategy.summary.as_ref()?.total_seconds.median;
    let is_most = longest > MUCH_LONGER * middle && longest > MOST * round;
    is_most.then_some((&strategy.name, [longest, middle]))
}

/// How times of `strategies` drift: all together first, then those that do so by themselves.
fn drift<'a>(strategies: &[&'a StrategyResult]) -> Option<Notice<'a>> {
    let times = |strategy: &&StrategyResult| {
        strategy.rounds.iter().map(|round| (round.round, round.report.total_seconds)).collect()
    };
    let rows: Vec<Vec<(u64, f64)>> = strategies.iter().map(times).collect();
    let Drifts { together, each } = stats::drifts(&rows);
    let each = strategies.iter().zip(each).filter_map(|(row, trend)| Some((row.name.as_str(), trend?)));
    let of: Vec<_> = together.map(|trend| ("all together", trend)).into_iter().chain(each).collect();
    (!of.is_empty()).then_some(Notice::Drift { of })
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
        let hint = match strategy.engine.is_tool() {
            true => String::new(),
            false => hint(&document.plan.workload, &first),
        };
        let untold = |round: &Round| {
            let is_told = |failure: &&TaskFailure| first.iter().any(|shown| shown.task == failure.task);
            let told = round.report.failures.iter().filter(is_told).count() as u64;
            round.report.tasks_failed - told.min(round.report.tasks_failed)
        };
        let more = strategy.rounds.iter().map(untold).max().unwrap_or(0);
        let (strategies, untimed) = (vec![name], [untimed; 2]);
        let told = Failed { strategies, failed, rounds, untimed, not_tried, first, more, hint };
        notices.push(Notice::TasksFailed(told));
    }
    if let Some(why) = &strategy.given_up {
        // A runner says whose it is.
        let why = why.strip_prefix(&format!("{name}: ")).unwrap_or(why);
        notices.push(Notice::GivenUp { strategy: name, why, rounds: strategy.rounds.len() });
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
    notices.extend(waiting_workers(strategy, document, cores));
    let run = &document.plan.run;
    if let Some(wanted) = run.precision.filter(|_| !document.partial && rounds > 0) {
        let reached =
            strategy.summary.as_ref().and_then(|summary| summary.total_seconds.relative_half_width());
        if reached.is_none_or(|reached| reached > wanted) {
            notices.push(Notice::NotPrecise { reached: vec![(name, reached)], wanted });
        }
    }
    if let Some(baseline) = document.baseline().filter(|_| document.strategies.len() > 1) {
        let pairs = strategy.paired_with(baseline).len();
        let is_own = baseline.name == strategy.name;
        let is_compared = strategy.summary.as_ref().is_some_and(|row| row.speedup_over_baseline.is_some());
        if !document.partial && !is_own && is_compared && pairs < rounds {
            let reached =
                baseline.summary.as_ref().and_then(|summary| summary.total_seconds.relative_half_width());
            let is_precise = run.precision.zip(reached).is_some_and(|(wanted, reached)| reached <= wanted);
            let baseline = baseline.name.as_str();
            notices.push(Notice::FewerPairs { strategy: name, baseline, pairs, rounds, is_precise });
        }
    }
    let waits: Vec<f64> =
        strategy.rounds.iter().filter_map(|round| round.report.io_overshoot_mean_seconds).collect();
    let workload = &document.plan.workload;
    if let Some(overshoot) = stats::summarise(&waits, document.plan.run.seed) {
        let (mean_seconds, share) = (overshoot.median, overshoot.median / workload.io_wait_seconds);
        // A round trip without a wait has nothing to be longer than.
        if share > 0.05 && workload.io_wait_seconds > 0.0 {
            notices.push(Notice::WaitOvershoot { io: workload.io, of: vec![(name, mean_seconds, share)] });
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
        notices.push(Notice::Outliers { of: vec![(name, outliers, rounds)] });
    }
    if let Some(slowdown) = stats::slow_first_round(&times).filter(|_| times.len() >= MIN_ROUNDS) {
        // Rounds that measure memory warm up as well, so as many would change nothing.
        let so_far = strategy.memory.as_ref().map_or(1, |memory| memory.each.len() as u64).max(run.warmup);
        notices.push(Notice::SlowFirstRound { of: vec![(name, slowdown)], warmup: so_far + 1 });
    }
    // With few rounds, the median may be known less well than rounds seem to differ.
    let half_width =
        strategy.summary.as_ref().and_then(|summary| summary.total_seconds.relative_half_width());
    let spread =
        stats::spread(&times).filter(|_| times.len() > 1).into_iter().chain(half_width).reduce(f64::max);
    if let Some(spread) = spread.filter(|spread| *spread > SPREAD_LIMIT) {
        notices.push(Notice::Spread { of: vec![(name, spread)] });
    }
    notices
}
