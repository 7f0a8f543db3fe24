//! Advice for a person: the finalists, one answer, and how to see it again.

use std::io::{self, Write};

use super::grid::wrap;
use super::numbers::{bytes, count, seconds, seconds_range, times};
use super::plan::workload_in_words;
use super::style::{COLOURS, DIM, TITLE, paint};
use super::sweep::{Field, blocks};
use crate::document::{Document, StrategyResult};
use crate::stats::Verdict;
use crate::study::advise::Reason;
use crate::study::advise::document::Advice;
use crate::study::standing::{Outcome, Standing};

/// Writes everything that a person wants to see of `advice`.
///
/// # Errors
/// What writing to `out` says.
pub fn write(advice: &Advice, out: &mut dyn Write) -> io::Result<()> {
    let (Some(finals), Some(standing)) = (&advice.finals, &advice.standing) else {
        return writeln!(out, "The search was interrupted before there was an answer.");
    };
    for line in wrap(&workload_in_words(finals.plan.name.as_deref(), &finals.plan.workload)) {
        writeln!(out, "{}", paint(TITLE, &line))?;
    }
    writeln!(out)?;
    let heading = |text: &str| Field::painted(text, TITLE);
    let mut rows =
        vec![["strategy", "time", "95 % interval", "peak memory", "as fast as it"].map(heading).to_vec()];
    let others = standing.others.iter().map(|other| other.strategy.as_str());
    for name in std::iter::once(standing.best.as_str()).chain(others) {
        if let Some(strategy) = finals.strategies.iter().find(|strategy| strategy.name == name) {
            rows.push(row(strategy, standing));
        }
    }
    for block in blocks(&rows) {
        writeln!(out, "{block}")?;
    }
    for line in wrap(&searched(advice)) {
        writeln!(out, "{}", paint(DIM, &line))?;
    }
    writeln!(out)?;
    for line in wrap(&answer(finals, standing)) {
        writeln!(out, "{line}")?;
    }
    if advice.partial {
        writeln!(out, "The search was interrupted.")?;
    }
    // On one line, so that it can be copied.
    let words = advice.command.iter().map(String::as_str);
    writeln!(out, "\n{}", shlex::try_join(words).unwrap_or_else(|_| advice.command.join(" ")))
}

fn row(strategy: &StrategyResult, standing: &Standing) -> Vec<Field> {
    let summary = strategy.summary.as_ref().map(|summary| &summary.total_seconds);
    let interval = summary.and_then(|summary| summary.interval);
    let memory = strategy.memory.as_ref().and_then(|memory| memory.peak_bytes);
    let is_best = strategy.name == standing.best;
    let other = standing.others.iter().find(|other| other.strategy == strategy.name);
    let lead = other.and_then(|other| other.speed_up).map_or_else(
        || if is_best { String::new() } else { "—".into() },
        |speed_up| match speed_up.verdict {
            Verdict::NotDistinguished => format!("{} =", times(speed_up.ratio)),
            Verdict::TooFewRounds => format!("{} *", times(speed_up.ratio)),
            Verdict::Faster | Verdict::Slower => times(speed_up.ratio),
        },
    );
    let name =
        if is_best { Field::painted(&strategy.name, COLOURS[0]) } else { Field::plain(&strategy.name) };
    vec![
        name,
        Field::plain(summary.map_or_else(|| "—".into(), |summary| seconds(summary.median))),
        Field::plain(
            interval.map_or_else(|| "—".into(), |interval| seconds_range(interval.low, interval.high)),
        ),
        Field::plain(memory.map_or_else(|| "—".into(), bytes)),
        Field::plain(lead),
    ]
}

/// What the search did.
fn searched(advice: &Advice) -> String {
    let gave_up = |reasons: &[Reason]| {
        let of = advice.candidates.iter().filter_map(|candidate| candidate.gave_up);
        of.filter(|reason| reasons.contains(reason)).count()
    };
    let rounds: usize = advice.candidates.iter().map(|candidate| candidate.rounds).sum();
    let mut names: Vec<&str> =
        advice.candidates.iter().map(|candidate| candidate.strategy.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut notes = vec![format!(
        "{} strategies looked at in {}, with {} rounds",
        names.len(),
        seconds(advice.elapsed_seconds),
        count(rounds as u64)
    )];
    for (number, what) in [
        (gave_up(&[Reason::Estimate]), "given up by an estimate from a few tasks"),
        (gave_up(&[Reason::Capped, Reason::MuchSlower]), "in the first rounds"),
        (gave_up(&[Reason::Slower]), "later"),
        (gave_up(&[Reason::NoTime]), "for want of time"),
    ] {
        notes.extend((number > 0).then(|| format!("{number} {what}")));
    }
    notes.push("times and memory are of rounds after the search · last column: how many times as fast as this one the best is".into());
    if advice.standing.as_ref().is_some_and(|standing| !standing.not_distinguished.is_empty()) {
        notes.push("= not distinguished from it".into());
    }
    notes.join(" · ")
}

/// The answer, in a sentence or two.
fn answer(finals: &Document, standing: &Standing) -> String {
    if standing.outcome == Outcome::Failed {
        return "Some tasks failed, so these times are of no use: see the warnings.".into();
    }
    let best = finals.strategies.iter().find(|strategy| strategy.name == standing.best);
    let summary = best.and_then(|best| best.summary.as_ref()).map(|summary| &summary.total_seconds);
    let time = summary.map_or_else(String::new, |summary| match summary.interval {
        Some(ci) => format!(
            " It takes {} (95 % interval {})",
            seconds(summary.median),
            seconds_range(ci.low, ci.high)
        ),
        None => format!(
            " It took {} in {} rounds, too few for an interval",
            seconds(summary.median),
            summary.rounds
        ),
    });
    let memory = best.and_then(|best| best.memory.as_ref()?.peak_bytes);
    let memory = memory.map(|peak| format!(" and {} of memory at its peak", bytes(peak))).unwrap_or_default();
    let next = standing.others.iter().find(|other| !standing.not_distinguished.contains(&other.strategy));
    let lead = next.and_then(|next| {
        let speed_up = next.speed_up?;
        let interval = match (speed_up.ci_low, speed_up.ci_high) {
            (Some(low), Some(high)) => format!(" ({} to {})", times(low), times(high)),
            _ => String::new(),
        };
        Some(format!(" It is {} as fast as {}, the next{interval}.", times(speed_up.ratio), next.strategy))
    });
    let tied = match standing.not_distinguished.as_slice() {
        [] => String::new(),
        ties => format!(" Not distinguished from it: {}.", ties.join(", ")),
    };
    format!("Use {}.{time}{memory}.{}{tied}", standing.best, lead.unwrap_or_default())
}
