//! One run against another, for a terminal and as Markdown.

use std::io::{self, Write};

use super::bars;
use super::grid::{Cell, Grid, Tone, wrap};
use super::markdown::{escaped, table_of};
use super::numbers::{exact_percent, factors, seconds, times};
use super::sentence::who_else_had_cpu_time;
use super::style::{DIM, TITLE, paint};
use crate::document::comparison::{RunComparison, Side, StrategyRatio};
use crate::stats::Verdict;

/// What the columns mean.
const LEGEND: &str = "new / old: the ratio of the medians, above 1 where the new run took longer · interval: of 95 %, from the \
     rounds of both runs, which are no pairs";

/// Writes everything that a person wants to see of `comparison`, on a terminal with so many columns, or elsewhere.
///
/// # Errors
/// What writing to `out` says.
pub fn write(comparison: &RunComparison, columns: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    wrap(&title(comparison)).iter().try_for_each(|line| writeln!(out, "{}", paint(TITLE, line)))?;
    let table = table(comparison).for_terminal();
    let ratios: Vec<bars::Value<'_>> = comparison.strategies.iter().filter_map(ratio_of).collect();
    match columns.and_then(|columns| bars::ratios_beside(&ratios, table.trim_end(), columns)) {
        Some(both) => writeln!(out, "\n{both}")?,
        None => writeln!(out, "\n{table}")?,
    }
    wrap(LEGEND).iter().try_for_each(|line| writeln!(out, "{}", paint(DIM, line)))?;
    writeln!(out)?;
    wrap(&verdict(comparison)).iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// The same as Markdown.
///
/// # Errors
/// None.
pub fn markdown(comparison: &RunComparison) -> anyhow::Result<Vec<u8>> {
    let mut text = format!("## {}\n\n**{}**\n\n", escaped(&title(comparison)), escaped(&verdict(comparison)));
    text += &format!("{}\n\n<sub>{}</sub>\n", table_of(&table(comparison)), escaped(LEGEND));
    for (place, warning) in comparison.warnings.iter().enumerate() {
        let heading = if place == 0 { "\nWarnings:\n\n" } else { "" };
        text += &format!("{heading}* {}\n", escaped(&warning.message));
    }
    Ok(text.into_bytes())
}

/// The ratio of a strategy as it is drawn; `None` where there is no interval to draw.
fn ratio_of(row: &StrategyRatio) -> Option<bars::Value<'_>> {
    let ends = (row.ci_low?, row.ci_high?);
    let is_positive = |ratio: f64| ratio > 0.0 && ratio.is_finite();
    let median = row.ratio.filter(|ratio| [*ratio, ends.0, ends.1].into_iter().all(is_positive))?;
    Some(bars::Value { name: &row.name, median, ends })
}

fn title(comparison: &RunComparison) -> String {
    let side = |side: &Side| format!("{} of {}", side.file, side.started_at);
    let name = comparison.new.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    format!("{name}{} against {}", side(&comparison.new), side(&comparison.old))
}

fn table(comparison: &RunComparison) -> Grid {
    let mut grid = Grid::new(&["strategy", "old", "new", "new / old", "95 % interval", "rounds", "verdict"]);
    let only = |name: &String, verdict: &str| {
        let nothing = std::iter::repeat_with(|| Cell::dim("—")).take(5);
        [Cell::new(name)].into_iter().chain(nothing).chain([Cell::dim(verdict)]).collect()
    };
    grid.rows.extend(comparison.strategies.iter().map(row));
    grid.rows.extend(comparison.only_in_old.iter().map(|name| only(name, "only in old")));
    grid.rows.extend(comparison.only_in_new.iter().map(|name| only(name, "only in new")));
    grid
}

fn row(row: &StrategyRatio) -> Vec<Cell> {
    let time = |time: Option<f64>| time.map_or_else(|| Cell::dim("—"), |time| Cell::new(seconds(time)));
    let tone = match row.verdict {
        Some(Verdict::Faster) => Tone::Good,
        Some(Verdict::Slower) => Tone::Bad,
        _ => Tone::Plain,
    };
    let interval = match (row.ci_low, row.ci_high) {
        (Some(low), Some(high)) => Cell::new(format!("{} ×", factors(low, high))),
        _ => Cell::dim("—"),
    };
    let rounds = match row.old_rounds == row.new_rounds {
        true => row.new_rounds.to_string(),
        false => format!("{}, {}", row.old_rounds, row.new_rounds),
    };
    vec![
        Cell::new(&row.name),
        time(row.old_seconds),
        time(row.new_seconds),
        row.ratio.map_or_else(|| Cell::dim("—"), |ratio| Cell::new(times(ratio)).with(tone)),
        interval,
        Cell::new(rounds),
        Cell::new(verdict_of(row)).with(tone),
    ]
}

fn verdict_of(row: &StrategyRatio) -> &'static str {
    match row.verdict {
        _ if row.failed => "too slow",
        Some(Verdict::Faster) => "faster",
        Some(Verdict::Slower) => "slower",
        Some(Verdict::NotDistinguished) => "not distinguished",
        Some(Verdict::TooFewRounds) => "too few rounds",
        None => "not compared",
    }
}

/// Who may be slower by more than `most` all the same, as far as the intervals tell; nothing where they rule that out.
fn may_be(comparison: &RunComparison, most: f64) -> String {
    let open = comparison.strategies.iter().filter_map(|row| Some((&row.name, row.ci_high?)));
    let open = open
        .filter(|(_, high)| *high > 1.0 + most)
        .map(|(name, high)| format!("{name}: up to {}", times(high)));
    let open: Vec<String> = open.collect();
    match open.is_empty() {
        true => String::new(),
        false => format!(
            " But these rounds do not rule it out of all ({}): that takes more of them, or a quieter machine.",
            open.join("; ")
        ),
    }
}

/// What it comes to, in one or two sentences.
pub fn verdict(comparison: &RunComparison) -> String {
    let with = |wanted: &dyn Fn(&StrategyRatio) -> bool| {
        let names = comparison.strategies.iter().filter(|row| wanted(row)).map(|row| row.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let of = |verdict: Verdict| with(&|row| row.verdict == Some(verdict));
    let parts = [
        ("faster", of(Verdict::Faster)),
        ("slower", of(Verdict::Slower)),
        ("not distinguished", of(Verdict::NotDistinguished)),
        ("without a verdict, for fewer than five rounds", of(Verdict::TooFewRounds)),
        ("not compared", with(&|row| row.verdict.is_none())),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what}: {names}"))
        .collect();
    let mut text = format!(
        "The new run is, with a margin of {}, {}.",
        exact_percent(comparison.margin),
        parts.join("; ")
    );
    let has = |verdicts: &[Verdict]| {
        comparison.strategies.iter().any(|row| row.verdict.is_some_and(|verdict| verdicts.contains(&verdict)))
    };
    let consequence = if has(&[Verdict::Faster, Verdict::Slower]) {
        Some("may be all of the difference")
    } else {
        has(&[Verdict::NotDistinguished]).then_some("may hide a difference")
    };
    for (which, side) in [("old", &comparison.old), ("new", &comparison.new)] {
        let others = who_else_had_cpu_time(&side.change);
        if let Some(consequence) = consequence.filter(|_| !others.is_empty()) {
            text += &format!(
                " But the {which} run had a machine whose CPU time was not its alone ({}), which {consequence}.",
                others.join(", ")
            );
        }
    }
    if let Some(most) = comparison.fail_if_slower {
        let too_slow = with(&|row| row.failed);
        text += &match too_slow.as_str() {
            "" => format!(
                " Nothing is shown to be slower by more than {}.{}",
                exact_percent(most),
                may_be(comparison, most)
            ),
            names => format!(" Slower by more than {}, which is too much: {names}.", exact_percent(most)),
        };
        if comparison.has_unjudged() && !comparison.has_failed() {
            let reasons = [
                ("too few rounds", of(Verdict::TooFewRounds)),
                ("not compared", with(&|row| row.verdict.is_none())),
                ("missing in the new run", comparison.only_in_old.join(", ")),
            ];
            let reasons: Vec<String> = reasons
                .into_iter()
                .filter(|(_, names)| !names.is_empty())
                .map(|(what, names)| format!("{what}: {names}"))
                .collect();
            text += &format!(
                " But not of all can that be said ({}), so this has not passed.",
                reasons.join("; ")
            );
        }
    }
    text
}
