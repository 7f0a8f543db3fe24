//! The answer, in one plain sentence.

use super::numbers::{seconds, times};
use crate::document::{Document, SpeedUp, StrategyResult};
use crate::stats::{Verdict, compare};

/// A median that is this many times another is longer, whether or not that could be shown.
const CLEARLY_LONGER: f64 = 1.1;

/// Which mode to use, and by how much.
pub fn verdict(document: &Document) -> String {
    let mut ranked: Vec<&StrategyResult> =
        document.strategies.iter().filter(|strategy| strategy.summary.is_some()).collect();
    ranked.sort_by(|a, b| median(a).total_cmp(&median(b)));
    let Some((best, others)) = ranked.split_first() else {
        return "No strategy was run to its end, so there is nothing to recommend.".into();
    };
    if document.tasks_failed() > 0 {
        return "Some tasks failed, so these times are of no use: see the warnings.".into();
    }
    if others.is_empty() {
        return format!("{} took {}; name more modes to compare them.", best.name, seconds(median(best)));
    }
    let against = |ours: &StrategyResult, theirs: &StrategyResult| {
        let run = &document.plan.run;
        compare(&ours.paired_with(theirs), run.margin, run.seed).map(SpeedUp::from)
    };
    let compared: Vec<(&StrategyResult, SpeedUp)> =
        others.iter().filter_map(|other| Some((*other, against(best, other)?))).collect();
    if let Some((next, speed_up)) = compared.first()
        && speed_up.verdict == Verdict::TooFewRounds
    {
        return format!(
            "{} was fastest, {} as fast as {}, the next; that is too few rounds for a verdict (--rounds 5 or more).",
            best.name,
            times(speed_up.ratio),
            next.name
        );
    }
    // The first that the best is shown to beat. Whoever comes before it is either as good, or the rounds differ too
    // much to say so.
    let beaten = compared.iter().position(|(_, speed_up)| speed_up.verdict == Verdict::Faster);
    let (tied, beaten) = (&compared[..beaten.unwrap_or(compared.len())], beaten.map(|place| compared[place]));
    let is_tie = |(other, speed_up): &&(&StrategyResult, SpeedUp)| {
        let beats_too = beaten.is_none_or(|(beaten, _)| {
            against(other, beaten).is_some_and(|speed_up| speed_up.verdict == Verdict::Faster)
        });
        beats_too && speed_up.ratio <= CLEARLY_LONGER
    };
    let (ties, unclear): (Vec<_>, Vec<_>) = tied.iter().partition(is_tie);
    let mut text = String::new();
    if !unclear.is_empty() {
        let unclear = list(&names(&unclear), "and");
        text = format!(
            "The rounds differ too much to be sure of {unclear} (more --rounds, a quieter machine). "
        );
    }
    text += &match ties.as_slice() {
        [] => format!("Use {}", best.name),
        ties => {
            let all = [vec![best.name.as_str()], names(ties)].concat();
            format!("Use {}, which are not distinguished", list(&all, "or"))
        }
    };
    let Some((next, speed_up)) = beaten else {
        let rest = if unclear.is_empty() {
            " here: the choice makes no difference for this workload."
        } else {
            " until then."
        };
        return text + rest;
    };
    let interval = match (speed_up.ci_low, speed_up.ci_high) {
        (Some(low), Some(high)) => format!(" (95 % interval {} to {})", times(low), times(high)),
        _ => String::new(),
    };
    let slowest = compared.last().filter(|(slowest, _)| slowest.name != next.name);
    let slowest = slowest.map(|(slowest, speed_up)| {
        format!(", and {} as fast as {}, the slowest", times(speed_up.ratio), slowest.name)
    });
    let subject = if ties.is_empty() { String::new() } else { format!("{} is ", best.name) };
    let (when, which) =
        if unclear.is_empty() { ("here", "the next") } else { ("until then", "the next that is told apart") };
    format!(
        "{text} {when}: {subject}{} as fast as {}, {which}{interval}{}.",
        times(speed_up.ratio),
        next.name,
        slowest.unwrap_or_default()
    )
}

fn names<'a>(rows: &[&(&'a StrategyResult, SpeedUp)]) -> Vec<&'a str> {
    rows.iter().map(|(row, _)| row.name.as_str()).collect()
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
