//! The answer, in one plain sentence.

use super::numbers::{exact_percent, percent, seconds, times};
use crate::document::standing::{Outcome, Standing};
use crate::document::{Document, SpeedUp, StrategyResult};
use crate::measure::conditions::{self, Condition, FOREIGN_BUSY_LIMIT};
use crate::measure::environment::StateChange;
use crate::stats::{CLEARLY, MedianRanks, Verdict, compare_with, least_rounds_at};

/// A median that is this many times another is longer, whether or not that could be shown.
const CLEARLY_LONGER: f64 = 1.1;

/// Of strategies whose times differ by less than this factor, with all that the rounds leave open, it makes no difference which is taken.
const EQUAL: f64 = 1.05;

/// Which mode to use, and by how much. Who is the best was chosen by the rounds that are to show it: so it is compared with each
/// of the others by intervals that are wide enough for all of them together ([`Standing`]).
pub fn verdict(document: &Document) -> String {
    let caveats = caveats(document);
    [vec![of_rounds(document)], caveats].concat().join(" ")
}

/// What makes an answer worth less, also where warnings are not read.
fn caveats(document: &Document) -> Vec<String> {
    let ended = document.partial.then(|| "The run ended before it was done.".to_owned());
    ended.into_iter().chain(shared_machine(document)).collect()
}

/// That others had the machine as well, where that was much.
pub(super) fn shared_machine(document: &Document) -> Option<String> {
    let others = who_else_had_cpu_time(&document.environment.change);
    (!others.is_empty()).then(|| {
        let others = others.join(", ");
        format!("All that on a machine whose CPU time was not the run's alone ({others}): on a quiet one it may differ.")
    })
}

/// Who else had CPU time meanwhile, where that was much.
pub(super) fn who_else_had_cpu_time(change: &StateChange) -> Vec<String> {
    let told = |condition| match condition {
        Condition::ForeignBusy { share, .. } => {
            // A little of many cores is a matter for a warning.
            (share > FOREIGN_BUSY_LIMIT)
                .then(|| format!("other programs and the kernel used {} of it", percent(share)))
        }
        Condition::Steal { share } => {
            Some(format!("{} of what was wanted went to other machines", percent(share)))
        }
        Condition::Throttled(_) => Some("a quota stopped tasks".into()),
        _ => None,
    };
    conditions::meanwhile(change).into_iter().filter_map(told).collect()
}

/// What is said in place of an answer where tasks failed.
pub const TASKS_FAILED: &str = "Some tasks failed. What fails takes another time than what is done, so there is no verdict: see the warnings.";

/// The same where none was completed.
const ALL_FAILED: &str = "All tasks failed, so there is nothing to compare: see the warnings.";

fn of_rounds(document: &Document) -> String {
    // Older versions did not write it down.
    let Some(standing) = document.standing.clone().or_else(|| Standing::of(document)) else {
        return "No strategy was run to its end, so there is nothing to recommend.".into();
    };
    let Standing { best, confidence, others, .. } = &standing;
    let row = |name: &str| document.strategies.iter().find(|row| row.name == name);
    match standing.outcome {
        Outcome::Failed => {
            let has_any = document
                .strategies
                .iter()
                .any(|row| row.rounds.iter().any(|round| round.report.tasks_completed > 0));
            let were_tried = document.strategies.iter().all(|row| row.tasks_not_tried() == 0);
            return if has_any || !were_tried { TASKS_FAILED } else { ALL_FAILED }.into();
        }
        Outcome::Alone => {
            let took = row(best).map_or(f64::INFINITY, median);
            let why = match document.strategies.len() {
                1 => "name more modes to compare them",
                _ => "no other has a round to compare it with",
            };
            return format!("{best} took {}; {why}.", seconds(took));
        }
        Outcome::Best | Outcome::NotDistinguished | Outcome::TooFewRounds => {}
    }
    let compared = others.iter().filter_map(|other| {
        let mut speed_up = other.speed_up?;
        if other.is_clearly_slower {
            speed_up.verdict = Verdict::Faster;
        }
        Some((other.strategy.as_str(), speed_up))
    });
    let compared: Vec<(&str, SpeedUp)> = compared.collect();
    let Some((next, speed_up)) = compared.first() else {
        return format!(
            "{best} was fastest, but has no round in common with another (--rounds, --time-budget)."
        );
    };
    if speed_up.verdict == Verdict::TooFewRounds {
        // By medians of rounds, which need not be those of pairs.
        if speed_up.ratio <= 1.0 + document.plan.run.margin {
            return format!(
                "{best} and {next} took about as long; that is too few rounds for a verdict (--rounds {} or more).",
                least_rounds_at(*confidence)
            );
        }
        return format!(
            "{best} was fastest, {} as fast as {next}, the next; that is too few rounds for a verdict (--rounds {} or more).",
            times(speed_up.ratio),
            least_rounds_at(*confidence)
        );
    }
    // Whoever the best is not shown to beat is either as good, or the rounds differ too much, or are too few, to say so: also if its
    // median is above that of one which is beaten.
    let (all_beaten, tied): (Vec<_>, Vec<_>) =
        compared.iter().copied().partition(|(_, speed_up)| speed_up.verdict == Verdict::Faster);
    let beaten = all_beaten.first().copied();
    let beats = |ours: &str, theirs: &str| {
        let (ours, theirs, run) = (row(ours)?, row(theirs)?, &document.plan.run);
        let pairs = ours.paired_with(theirs);
        let ranks = MedianRanks::resample_at(*confidence, pairs.len(), run.seed);
        Some(compare_with(&pairs, run.margin, ranks)?.verdict == Verdict::Faster)
    };
    let is_tie = |(other, speed_up): &(&str, SpeedUp)| {
        let beats_too = beaten.is_none_or(|(beaten, _)| beats(other, beaten) == Some(true));
        beats_too && speed_up.verdict != Verdict::TooFewRounds && speed_up.ratio <= CLEARLY_LONGER
    };
    let (ties, unclear): (Vec<_>, Vec<_>) = tied.into_iter().partition(is_tie);
    let (few, unclear): (Vec<_>, Vec<_>) =
        unclear.into_iter().partition(|(_, speed_up)| speed_up.verdict == Verdict::TooFewRounds);
    let is_compared =
        |row: &StrategyResult| row.name == *best || compared.iter().any(|(name, _)| *name == row.name);
    let not_compared = document.strategies.iter().filter(|row| row.given_up.is_none() && !is_compared(row));
    let few: Vec<&str> = names(&few).into_iter().chain(not_compared.map(|row| row.name.as_str())).collect();
    let mut text = String::new();
    if !unclear.is_empty() {
        let (verb, unclear) = (if unclear.len() == 1 { "is" } else { "are" }, list(&names(&unclear), "and"));
        text = format!(
            "Whether {unclear} {verb} as fast cannot be said, as the rounds differ too much (more --rounds, a quieter machine). "
        );
    }
    if !few.is_empty() {
        let (verb, whether) = if few.len() == 1 { ("has", "it is") } else { ("have", "they are") };
        text += &format!(
            "{} {verb} too few rounds to say whether {whether} as fast (--rounds {} or more, --time-budget). ",
            list(&few, "and"),
            least_rounds_at(*confidence)
        );
    }
    let is_open = !unclear.is_empty() || !few.is_empty();
    text += &match ties.as_slice() {
        [] => format!("Use {best}"),
        ties => {
            let all = [vec![best.as_str()], names(ties)].concat();
            format!("Use {}, which are not distinguished", list(&all, "or"))
        }
    };
    let Some((next, speed_up)) = beaten else {
        // That rounds do not tell them apart is not to say that they are equal; intervals that are narrow enough are.
        let is_equal = |(_, speed_up): &(&str, SpeedUp)| {
            let interval = speed_up.ci_low.zip(speed_up.ci_high);
            interval.is_some_and(|(low, high)| low > EQUAL.recip() && high < EQUAL)
        };
        let rest = if is_open {
            " so far."
        } else if compared.iter().all(is_equal) {
            " here: the choice makes no difference for this workload."
        } else {
            " here: the rounds do not tell them apart."
        };
        return text + rest;
    };
    // Wider than 95 % where the best was chosen among many.
    let confidence = exact_percent((confidence * 1e3).round() / 1e3);
    let interval = match (speed_up.ci_low, speed_up.ci_high) {
        (Some(low), Some(high)) => format!(" ({confidence} interval {} to {})", times(low), times(high)),
        // Who is beaten without one.
        _ => format!(
            " (in too few rounds for the {confidence} interval that the best of {} takes, but all of those took more than {CLEARLY} \
             times as long as the longest of {best})",
            others.len() + 1
        ),
    };
    let slowest = all_beaten.last().filter(|(slowest, _)| *slowest != next);
    let slowest = slowest.map(|(slowest, speed_up)| {
        format!(", and {} as fast as {slowest}, the slowest", times(speed_up.ratio))
    });
    let subject = if ties.is_empty() { String::new() } else { format!("{best} is ") };
    let (when, which) =
        if is_open { ("so far", "the next that is told apart") } else { ("here", "the next") };
    format!(
        "{text} {when}: {subject}{} as fast as {next}, {which}{interval}{}.",
        times(speed_up.ratio),
        slowest.unwrap_or_default()
    )
}

fn names<'a>(rows: &[(&'a str, SpeedUp)]) -> Vec<&'a str> {
    rows.iter().map(|(name, _)| *name).collect()
}

/// `a`, `a or b`, `a, b or c`.
fn list(names: &[&str], word: &str) -> String {
    match names {
        [others @ .., last] if !others.is_empty() => format!("{} {word} {last}", others.join(", ")),
        _ => names.concat(),
    }
}

fn median(strategy: &StrategyResult) -> f64 {
    strategy.summary.as_ref().map_or(f64::INFINITY, |summary| summary.total_seconds.median)
}
