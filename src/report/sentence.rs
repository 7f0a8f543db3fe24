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
    let seed = document.plan.run.seed;
    let against = |other: &StrategyResult| {
        compare(&best.paired_with(other), document.plan.run.margin, seed).map(SpeedUp::from)
    };
    // Who is not distinguished, and who of those took clearly longer all the same: that says that the rounds differ too
    // much, not that the choice makes no difference.
    let (mut ties, mut unclear, mut beaten) = (Vec::new(), Vec::new(), None);
    for other in others {
        match against(other) {
            Some(speed_up) if speed_up.verdict == Verdict::NotDistinguished && beaten.is_none() => {
                let list = if speed_up.ratio > CLEARLY_LONGER { &mut unclear } else { &mut ties };
                list.push(other.name.as_str());
            }
            Some(speed_up) => {
                beaten.get_or_insert((other, speed_up));
            }
            None => {}
        }
    }
    let mut choice = match ties.as_slice() {
        [] => format!("Use {}", best.name),
        ties => format!("Use {} or {}, which are not distinguished", best.name, ties.join(" or ")),
    };
    if !unclear.is_empty() {
        let unclear = unclear.join(" and ");
        choice = format!(
            "The rounds differ too much to be sure of {unclear} (more --rounds, a quieter machine). {choice}"
        );
    }
    match beaten {
        None if !unclear.is_empty() => format!("{choice} until then."),
        None => format!("{choice} here: the choice makes no difference for this workload."),
        Some((other, speed_up)) if speed_up.verdict == Verdict::TooFewRounds => format!(
            "{} was fastest, {} as fast as {}, the next; that is too few rounds for a verdict (--rounds 5 or more).",
            best.name,
            times(speed_up.ratio),
            other.name
        ),
        Some((other, speed_up)) => {
            let interval = match (speed_up.ci_low, speed_up.ci_high) {
                (Some(low), Some(high)) => format!(" (95 % interval {} to {})", times(low), times(high)),
                _ => String::new(),
            };
            let slowest = others.last().filter(|slowest| slowest.name != other.name);
            let slowest = slowest.map(|slowest| {
                format!(
                    ", and {} as fast as {}, the slowest",
                    times(median(slowest) / median(best)),
                    slowest.name
                )
            });
            format!(
                "{choice} here: {} as fast as {}, the next{interval}{}.",
                times(speed_up.ratio),
                other.name,
                slowest.unwrap_or_default()
            )
        }
    }
}

fn median(strategy: &StrategyResult) -> f64 {
    strategy.summary.as_ref().map_or(f64::INFINITY, |summary| summary.total_seconds.median)
}
