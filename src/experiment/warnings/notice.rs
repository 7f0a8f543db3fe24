//! What there is to tell of a document, in words. What is told of several strategies in the same words is told once.

use std::fmt;

use super::failed::{Failed, timed_rounds};
use crate::document::{
    CutOff, MEMORY_NOT_MEASURED, NOT_MEASURED, OTHERS_NOT_SEEN, PerAliveMissing, TOO_FEW_ROUNDS,
};
use crate::measure::memory::Missing;
use crate::measure::storage::Storage;
use crate::mode::Mode;
use crate::report::numbers::{bytes, count, exact_percent, percent, seconds};
use crate::stats::{MIN_ROUNDS, SPREAD_LIMIT, Trend};
use crate::workload::program::lines::LinesSpec;
use crate::workload::{Io, Kind};

/// A round shorter than this is mostly set-up, tear-down and chance.
pub(super) const SHORT_ROUND_SECONDS: f64 = 0.005;

/// Everything that a document itself gives reason to warn of. What the machine gives is in [`conditions`].
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Notice<'a> {
    Interrupted {
        in_round: Option<&'a CutOff>,
        may_never_end: Option<Kind>,
    },
    Stopped,
    Ended {
        why: &'a str,
    },
    TasksFailed(Failed<'a>),
    GivenUp {
        strategy: &'a str,
        why: &'a str,
        rounds: usize,
    },
    LeftRunning {
        strategy: &'a str,
        processes: u64,
        rounds: usize,
        of_workers: bool,
    },
    Retries {
        strategy: &'a str,
        retries: u64,
        rounds: usize,
    },
    NotPrecise {
        reached: Vec<(&'a str, Option<f64>)>,
        wanted: f64,
    },
    FewerPairs {
        strategy: &'a str,
        baseline: &'a str,
        pairs: usize,
        rounds: usize,
        /// Whether the baseline had no more since it was precise enough.
        is_precise: bool,
    },
    ManyThreads {
        strategy: &'a str,
        workers: u64,
        cores: u64,
    },
    /// With the part of the time that they computed for.
    WaitingWorkers {
        of: Vec<(&'a str, f64)>,
        workers: u64,
        mode: Mode,
        proposed: u64,
    },
    /// Where it takes more of them to name the best: of how many, and how many rounds.
    TooFewRounds {
        fewest: usize,
        /// Whose, where they are not all.
        of: Vec<&'a str>,
        of_the_best: Option<(usize, usize)>,
    },
    TooFewForTheBest {
        fewest: usize,
        strategies: usize,
        needed: usize,
    },
    ShortRounds {
        strategies: Vec<&'a str>,
    },
    /// With the time of the longest task and of one in the middle, in seconds.
    WorkersStart {
        of: Vec<(&'a str, [f64; 2])>,
    },
    /// With how many times as long as the others it was.
    SlowFirstRound {
        of: Vec<(&'a str, f64)>,
        warmup: u64,
    },
    Drift {
        of: Vec<(&'a str, Trend)>,
    },
    /// As a part of the median.
    Spread {
        of: Vec<(&'a str, f64)>,
    },
    /// With how many of how many rounds.
    Outliers {
        of: Vec<(&'a str, usize, usize)>,
    },
    /// With by how much, in seconds and as a part of what was asked for.
    WaitOvershoot {
        io: Io,
        of: Vec<(&'a str, f64, f64)>,
    },
    CarriageReturns {
        file: &'a str,
        lines: &'a LinesSpec,
    },
    NoDisk {
        storage: &'a Storage,
    },
    HiddenDisk {
        storage: &'a Storage,
    },
    ReadFromMemory {
        strategy: &'a str,
        read_bytes: u64,
        wanted_bytes: u64,
    },
    MemoryNotMeasured {
        strategies: Vec<&'a str>,
        reason: Missing,
    },
    KernelMemoryNotMeasured {
        strategies: Vec<&'a str>,
        reason: Missing,
    },
    PerAliveNotMeasured {
        strategies: Vec<&'a str>,
        reason: PerAliveMissing,
    },
    MemoryDiffers {
        strategies: Vec<(&'a str, [u64; 2])>,
        sampled: bool,
    },
    /// What is not known of others, in the plural, and why.
    OthersNotSeen {
        what: &'static str,
        why: &'static str,
    },
    NotMeasured {
        what: String,
    },
}

impl<'a> Notice<'a> {
    /// Tells what `other` tells too, if that is the same of other strategies.
    fn takes_in(&mut self, other: &Notice<'a>) -> bool {
        match (self, other) {
            (Self::TasksFailed(failed), Self::TasksFailed(more)) => return failed.takes_in(more),
            (Self::NotPrecise { reached, .. }, Self::NotPrecise { reached: more, .. }) => {
                reached.extend(more)
            }
            (Self::SlowFirstRound { of, warmup }, Self::SlowFirstRound { of: more, warmup: other }) => {
                *warmup = other.max(warmup).to_owned();
                of.extend(more);
            }
            (
                Self::WaitingWorkers { of, workers, mode, .. },
                Self::WaitingWorkers { of: more, workers: others, mode: other, .. },
            ) if workers == others => {
                of.extend(more);
                // The last is the one that the question is about where there are threads too.
                *mode = *other;
            }
            (Self::Spread { of }, Self::Spread { of: more }) => of.extend(more),
            (Self::Outliers { of }, Self::Outliers { of: more }) => of.extend(more),
            (Self::WaitOvershoot { of, .. }, Self::WaitOvershoot { of: more, .. }) => of.extend(more),
            _ => return false,
        }
        true
    }

    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Interrupted { .. } => "interrupted",
            Self::Stopped => "stopped",
            Self::Ended { .. } => "ended_early",
            Self::GivenUp { .. } => "strategy_given_up",
            Self::LeftRunning { .. } => "left_running",
            Self::TasksFailed(_) => "tasks_failed",
            Self::Retries { .. } => "retries",
            Self::NotPrecise { .. } => "not_precise",
            Self::FewerPairs { .. } => "fewer_pairs",
            Self::ManyThreads { .. } => "many_threads",
            Self::WaitingWorkers { .. } => "waiting_workers",
            Self::TooFewRounds { .. } | Self::TooFewForTheBest { .. } => TOO_FEW_ROUNDS,
            Self::ShortRounds { .. } => "short_rounds",
            Self::WorkersStart { .. } => "workers_start",
            Self::SlowFirstRound { .. } => "slow_first_round",
            Self::Drift { .. } => "drift",
            Self::Spread { .. } => "spread",
            Self::Outliers { .. } => "outliers",
            Self::WaitOvershoot { .. } => "wait_overshoot",
            Self::CarriageReturns { .. } => "carriage_returns",
            Self::NoDisk { .. } => "no_disk",
            Self::HiddenDisk { .. } => "hidden_disk",
            Self::ReadFromMemory { .. } => "read_from_memory",
            Self::MemoryNotMeasured { .. } => MEMORY_NOT_MEASURED[0],
            Self::KernelMemoryNotMeasured { .. } => MEMORY_NOT_MEASURED[1],
            Self::PerAliveNotMeasured { .. } => MEMORY_NOT_MEASURED[2],
            Self::MemoryDiffers { .. } => "memory_differs",
            Self::OthersNotSeen { .. } => OTHERS_NOT_SEEN,
            Self::NotMeasured { .. } => NOT_MEASURED,
        }
    }
}

impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted { in_round, may_never_end } => {
                write!(f, "interrupted: only what was finished is shown")?;
                if let Some(CutOff { strategy, tasks, tasks_done, seconds: lasted, is_trial }) = in_round {
                    let (tasks, lasted) = (count(*tasks), seconds(*lasted));
                    match tasks_done.map(count) {
                        Some(done) if *is_trial => write!(
                            f,
                            "; a few tasks of {strategy} were being tried before its first round, {done} of {tasks} done in {lasted}"
                        )?,
                        Some(done) => {
                            write!(
                                f,
                                "; {strategy} was in a round, {done} of {tasks} tasks done in {lasted}"
                            )?;
                        }
                        None => write!(f, "; {strategy} was in a round of {tasks} tasks, for {lasted}")?,
                    }
                }
                match may_never_end {
                    None => Ok(()),
                    Some(Kind::Worker) => write!(
                        f,
                        ". A worker that never answers, as one that keeps its answers to itself does (flush=True, python3 -u, \
                         sed -u), is ended by --timeout 5s"
                    ),
                    Some(Kind::Call) => write!(
                        f,
                        ". A call that never returns is ended by --timeout 5s; a module that takes long to import is waited for, up to ten minutes"
                    ),
                    Some(_) => write!(f, ". What never ends is ended by --timeout 5s"),
                }
            }
            Self::Stopped => {
                write!(
                    f,
                    "stopped after the first failed task (--on-failure stop): only what was finished is shown"
                )
            }
            Self::Ended { why } => {
                write!(f, "ended by an error: only what was finished before is shown ({why})")
            }
            Self::TasksFailed(failed) => write!(f, "{failed}"),
            Self::GivenUp { strategy, why, rounds } => {
                let after = match rounds {
                    0 => String::new(),
                    1 => " after a round".into(),
                    rounds => format!(" after {} rounds", count(*rounds as u64)),
                };
                write!(
                    f,
                    "{strategy} was given up{after}: {why}. The others went on; to see more of it, run it alone (--mode)"
                )
            }
            Self::LeftRunning { strategy, processes, rounds, of_workers } => write!(
                f,
                "{strategy}: {processes} {} left running in {} by what tasks had started, and killed after their round; they \
                 disturbed what came after them, and what they used of the CPU is in no column: let tasks wait for what they start{}",
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
                "{strategy}: {} executed again in {} because they had failed, or their worker had died, and that is in the times: find out \
                 why, or have them reported (--on-failure continue)",
                if *retries == 1 { "1 task was".into() } else { format!("{} tasks were", count(*retries)) },
                timed_rounds(*rounds)
            ),
            Self::NotPrecise { reached, wanted } => {
                let each = each(reached, |(name, reached)| match reached {
                    None => format!("{name}: too few rounds to tell"),
                    Some(reached) => format!("{name}: ±{}", exact_percent(two_digits(*reached))),
                });
                write!(
                    f,
                    "the precision that was asked for, ±{}, was not reached within the rounds that there were ({each}): \
                     --rounds, --time-budget",
                    exact_percent(*wanted)
                )
            }
            Self::FewerPairs { strategy, baseline, pairs, rounds, is_precise } => {
                let advice = match is_precise {
                    true => "a smaller --precision, or none,",
                    false => "more --time-budget, or another --baseline,",
                };
                let common = if *pairs == 1 { "one round".into() } else { format!("{pairs} rounds") };
                write!(
                    f,
                    "{strategy}: its speed-up rests on the {common} that {baseline} has too, the times on all {rounds} (rounds \
                     are compared with those of the same number): {advice} if that is too few"
                )
            }
            Self::ManyThreads { strategy, workers, cores } => write!(
                f,
                "{strategy}: rayon's pool is made for about as many threads as there are cores ({cores}); of {} most of the \
                 time is theirs in looking for work. For tasks that wait, look at a pool of as many workers, or at py-threads",
                count(*workers)
            ),
            Self::WaitingWorkers { of, workers, mode, proposed } => {
                let who =
                    if *workers == 1 { "1 worker spends".into() } else { format!("{workers} workers spend") };
                let busy = each(of, |(strategy, busy)| format!("{strategy}: busy for {}", percent(*busy)));
                write!(
                    f,
                    "{who} most of the time waiting ({busy}): more of them, as in {mode}:workers={proposed}, may be faster"
                )
            }
            Self::TooFewRounds { fewest, of, of_the_best } => {
                let or_more = if of.len() > 1 { " or more" } else { "" };
                let of = if of.is_empty() { String::new() } else { format!(" of {}", of.join(", ")) };
                let best = of_the_best.map_or_else(String::new, |(strategies, needed)| {
                    format!(", and {needed} to name the best of {strategies}")
                });
                write!(
                    f,
                    "too few rounds{of} for a verdict: {fewest}{or_more}, where it takes {MIN_ROUNDS}{best} (--rounds, --time-budget)"
                )
            }
            Self::TooFewForTheBest { fewest, strategies, needed } => write!(
                f,
                "{fewest} rounds are enough to compare each with the baseline, but too few to name the best of {strategies}: \
                 that takes {needed} (--rounds, --time-budget)"
            ),
            Self::ShortRounds { strategies } => write!(
                f,
                "rounds of {} are shorter than {}, so starting and ending are most of them: raise --tasks unless \
                 that is the question",
                strategies.join(", "),
                seconds(SHORT_ROUND_SECONDS)
            ),
            Self::WorkersStart { of } => write!(
                f,
                "one task takes most of a round ({}): most likely a worker's first, since its start is part of that, and then keeping \
                 workers brings more with more lines",
                each(of, |(name, [longest, middle])| format!(
                    "{name}: longest task {}, one in the middle {}",
                    seconds(*longest),
                    seconds(*middle)
                ))
            ),
            Self::SlowFirstRound { of, warmup } => write!(
                f,
                "the first round took longer than the others ({}): add --warmup {warmup} or more",
                each(of, |(name, slowdown)| format!("{name}: by {}", percent(slowdown - 1.0)))
            ),
            Self::Drift { of } => {
                let each = each(of, |(name, Trend { change, p_value })| {
                    let grew = if *change > 0.0 { "longer" } else { "shorter" };
                    format!("{name}: {grew} by {}, p = {p_value:.3}", percent(change.abs()))
                });
                write!(
                    f,
                    "times drift from the first round to the last ({each}): the machine was changing under the run (heat, \
                     neighbours); comparisons within rounds still hold, absolute times less so. Run it again when it has settled, or \
                     with --warmup"
                )
            }
            Self::Spread { of } => write!(
                f,
                "rounds differ by more than {} of their median, or tell it no better ({}): stop what else is running, or give more --rounds",
                percent(SPREAD_LIMIT),
                each(of, |(name, spread)| format!("{name}: {}", percent(*spread)))
            ),
            Self::Outliers { of } => write!(
                f,
                "rounds that lie far from the others are counted like the rest ({}): if they matter, stop what else is running",
                each(of, |(name, outliers, rounds)| format!("{name}: {outliers} of {rounds}"))
            ),
            Self::WaitOvershoot { io, of } => write!(
                f,
                "waits for I/O lasted longer than asked for on average ({}): {}more processes woke at once than there are \
                 cores, or the timer is coarse. Fewer at once (--in-flight, --workers) or longer waits have less of it",
                each(of, |(name, seconds_longer, share)| {
                    format!("{name}: by {}, {} of them", seconds(*seconds_longer), percent(*share))
                }),
                if *io == Io::Echo { "the round trip takes that long, the peer is busy, " } else { "" }
            ),
            Self::CarriageReturns { file, lines } => write!(
                f,
                "{} of {} {} in a carriage return (\\r), as lines of Windows do, and tasks are told it as a part of their line: \
                 tr -d '\\r' takes it away",
                match lines.carriage_returns {
                    all if all == lines.count => "all lines that were read".into(),
                    1 => "1 line".into(),
                    some => format!("{} lines", count(some)),
                },
                if *file == "-" { "standard input" } else { file },
                if lines.carriage_returns == 1 && lines.count > 1 { "ends" } else { "end" },
            ),
            Self::NoDisk { storage } => write!(
                f,
                "{} is in memory ({}): nothing of this I/O reaches a disk. Name a folder on one (--io-folder)",
                storage.folder.display(),
                storage.file_system.as_deref().unwrap_or_default()
            ),
            Self::HiddenDisk { storage } => write!(
                f,
                "{} is on a file system over others ({}): whether a disk is beneath cannot be seen from here. Name a folder that is on \
                 one (--io-folder) to be sure",
                storage.folder.display(),
                storage.file_system.as_deref().unwrap_or_default()
            ),
            Self::ReadFromMemory { strategy, read_bytes, wanted_bytes } => write!(
                f,
                "{strategy}: of {} that tasks read, only {} came from storage by the kernel's account: the rest was still \
                 in memory, or the file system does not count. Name a folder of a disk's own file system (--io-folder)",
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
            Self::MemoryDiffers { strategies, sampled } => {
                let ranges: Vec<String> = strategies
                    .iter()
                    .map(|(name, [low, high])| format!("{name} ({} to {})", bytes(*low), bytes(*high)))
                    .collect();
                let why = match sampled {
                    true => {
                        "looks 5 ms apart or more saw it at other moments. Give it longer tasks, or have it measured in a cgroup (as root, or \
                         with one delegated)"
                    }
                    false => {
                        "the kernel takes back what ended processes had a little later, and had kept more of it at one time than at \
                         another. Fewer at once (--in-flight), or longer tasks, have less of it"
                    }
                };
                let ranges = ranges.join(", ");
                write!(
                    f,
                    "rounds differ widely in the memory that was found for {ranges}, and the median is shown: {why}"
                )
            }
            Self::OthersNotSeen { what, why } => write!(f, "{what} are not known: {why}"),
            Self::NotMeasured { what } => write!(f, "not measured: {what}"),
        }
    }
}

/// `part`, up to a tenth of a percent, or two digits where that is less: not down to what it is more than.
fn two_digits(part: f64) -> f64 {
    let tenths = 1e3_f64;
    let unit =
        if part * tenths >= 1.0 || part <= 0.0 { tenths } else { 10_f64.powf(1.0 - part.log10().floor()) };
    (part * unit - 1e-9).ceil() / unit
}

/// `a; b; c`
fn each<T>(all: &[T], told: impl Fn(&T) -> String) -> String {
    all.iter().map(told).collect::<Vec<_>>().join("; ")
}

/// `notices`, of which those that only differ by their strategies are one, at the place of the first.
pub(super) fn told_together<'a>(notices: impl Iterator<Item = Notice<'a>>) -> Vec<Notice<'a>> {
    let mut together: Vec<Notice<'a>> = Vec::new();
    for notice in notices {
        if !together.iter_mut().any(|known| known.takes_in(&notice)) {
            together.push(notice);
        }
    }
    together
}

#[cfg(test)]
mod tests;
