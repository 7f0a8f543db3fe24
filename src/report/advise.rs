//! Advice for a person: the finalists, one answer, and how to see it again.

use std::io::{self, Write};

use super::blocks::blocks;
use super::grid::{Cell, Grid, Tone, wrap};
use super::numbers::{bytes, count, seconds, seconds_range, times};
use super::plan::workload_in_words;
use super::style::{DIM, TITLE, paint};
use crate::document::{Document, SpeedUp, StrategyResult};
use crate::stats::{self, Verdict};
use crate::study::advise::document::Advice;
use crate::study::advise::{CAP, HOPELESS, Reason};
use crate::study::standing::{Outcome, Standing};

/// Writes everything that a person wants to see of `advice`.
///
/// # Errors
/// What writing to `out` says.
pub fn write(advice: &Advice, out: &mut dyn Write) -> io::Result<()> {
    if advice.finals.is_none() || advice.standing.is_none() {
        return writeln!(out, "{NO_ANSWER}");
    }
    for line in wrap(&title(advice)) {
        writeln!(out, "{}", paint(TITLE, &line))?;
    }
    writeln!(out)?;
    for block in blocks(&table(advice)) {
        writeln!(out, "{block}")?;
    }
    for line in wrap(&legend(advice)) {
        writeln!(out, "{}", paint(DIM, &line))?;
    }
    writeln!(out)?;
    for line in wrap(&answer(advice)) {
        writeln!(out, "{line}")?;
    }
    if advice.head.partial {
        writeln!(out, "The search was interrupted.")?;
    }
    // On one line, so that it can be copied.
    writeln!(out, "\n{}", command(advice))
}

/// What is said where there is no answer.
const NO_ANSWER: &str = "The search was interrupted before there was an answer.";

/// What it is about.
pub fn title(advice: &Advice) -> String {
    let some = advice.finals.as_ref().or(advice.races.first());
    some.map_or_else(
        || "Advice".into(),
        |run| workload_in_words(run.plan.name.as_deref(), &run.plan.workload),
    )
}

/// What runs the finalists again.
pub fn command(advice: &Advice) -> String {
    let words = advice.command.iter().map(String::as_str);
    shlex::try_join(words).unwrap_or_else(|_| advice.command.join(" "))
}

/// The finalists, the best first.
pub fn table(advice: &Advice) -> Grid {
    let mut grid = Grid::new(&["strategy", "time", "95 % interval", "peak memory", "as fast as it"]);
    let (Some(finals), Some(standing)) = (&advice.finals, &advice.standing) else { return grid };
    let others = standing.others.iter().map(|other| other.strategy.as_str());
    let names = std::iter::once(standing.best.as_str()).chain(others);
    let found = names.filter_map(|name| finals.strategies.iter().find(|row| row.name == name));
    grid.rows = found.map(|strategy| row(strategy, standing)).collect();
    grid
}

fn row(strategy: &StrategyResult, standing: &Standing) -> Vec<Cell> {
    let summary = strategy.summary.as_ref().map(|summary| &summary.total_seconds);
    let interval = summary.and_then(|summary| summary.interval);
    let memory = strategy.memory.as_ref().and_then(|memory| memory.reading.peak_bytes);
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
    let or_dash = |text: Option<String>| Cell::new(text.unwrap_or_else(|| "—".into()));
    vec![
        Cell::new(&strategy.name).with(if is_best { Tone::Good } else { Tone::Plain }),
        or_dash(summary.map(|summary| seconds(summary.median))),
        or_dash(interval.map(|interval| seconds_range(interval.low, interval.high))),
        or_dash(memory.map(bytes)),
        Cell::new(lead),
    ]
}

/// Everybody that was looked at, in the order of the races.
pub fn search_table(advice: &Advice) -> Grid {
    let mut grid = Grid::new(&["strategy", "race", "expected", "median", "rounds", "given up"]);
    grid.rows = advice
        .candidates
        .iter()
        .map(|candidate| {
            let race = advice.races.get(candidate.race.wrapping_sub(1));
            let row = race.and_then(|race| {
                race.strategies.iter().find(|row| row.name == candidate.strategy)?.summary.as_ref()
            });
            let why = match candidate.gave_up {
                None => "no",
                Some(Reason::Estimate) => "by an estimate",
                Some(Reason::Capped) => "in its round",
                Some(Reason::MuchSlower) => "much slower",
                Some(Reason::Slower) => "slower",
                Some(Reason::NoTime) => "for want of time",
            };
            let tone = if candidate.gave_up.is_some() { Tone::Dim } else { Tone::Plain };
            vec![
                Cell::new(&candidate.strategy),
                Cell::new(candidate.race.to_string()),
                Cell::new(seconds(candidate.expected_seconds)),
                row.map_or_else(|| Cell::dim("—"), |row| Cell::new(seconds(row.total_seconds.median))),
                Cell::new(count(candidate.rounds as u64)),
                Cell::new(why).with(tone),
            ]
        })
        .collect();
    grid
}

/// What the search did, and what the marks in [`table`] mean.
pub fn legend(advice: &Advice) -> String {
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
pub fn answer(advice: &Advice) -> String {
    let (Some(finals), Some(standing)) = (&advice.finals, &advice.standing) else { return NO_ANSWER.into() };
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
    let memory = best.and_then(|best| best.memory.as_ref()?.reading.peak_bytes);
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
    let lead =
        lead.or_else(|| standing.others.is_empty().then(|| lead_in_search(advice, &standing.best)).flatten());
    let tied = match standing.not_distinguished.as_slice() {
        [] => String::new(),
        ties => format!(" Not distinguished from it: {}.", ties.join(", ")),
    };
    format!("Use {}.{time}{memory}.{}{tied}", standing.best, lead.unwrap_or_default())
}

/// How much better the best was than the next while it was searched for: for an answer without rounds of any other.
fn lead_in_search(advice: &Advice, best: &str) -> Option<String> {
    let next = |race: &Document| {
        let best = race.strategies.iter().find(|row| row.name == best)?;
        let run = &race.plan.run;
        let others = race.strategies.iter().filter(|row| row.name != best.name);
        let compared = others.filter_map(|row| {
            let comparison = stats::compare(&best.paired_with(row), run.margin, run.seed)?;
            Some((row.name.clone(), SpeedUp::from(comparison)))
        });
        compared.min_by(|a, b| a.1.ratio.total_cmp(&b.1.ratio))
    };
    if let Some((name, speed_up)) = advice.races.iter().rev().find_map(next) {
        let interval = match (speed_up.ci_low, speed_up.ci_high) {
            (Some(low), Some(high)) => format!(" ({} to {})", times(low), times(high)),
            _ => ", in too few rounds for an interval".into(),
        };
        return Some(format!(
            " In the search it was {} as fast as {name}, the next{interval}.",
            times(speed_up.ratio)
        ));
    }
    let others = || advice.candidates.iter().filter(|candidate| candidate.strategy != best);
    let far = |reason: Option<Reason>| matches!(reason, Some(Reason::Estimate | Reason::Capped));
    let all_far = others().next().is_some() && others().all(|candidate| far(candidate.gave_up));
    all_far.then(|| {
        format!(" No other finished a round: each would take {HOPELESS} times as long, by a few tasks, or was ended after {CAP} times as long.")
    })
}
