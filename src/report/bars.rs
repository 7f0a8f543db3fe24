//! A picture of the times for a terminal: bars from 0 to the median, with the interval around it.

use super::numbers::{seconds, significant};
use super::style::{DIM, paint};
use crate::document::{Document, StrategyResult};
use crate::stats::Summary;

/// A terminal with fewer columns has no room for them below the table.
const MIN_COLUMNS: usize = 100;
/// Wider bars would be no easier to read.
const WIDEST: usize = 100;
/// Names are cut at this, since the table has them in full.
const LONGEST_NAME: usize = 28;
/// Times that differ by more than this factor are on a logarithmic scale: on another, short bars could not be told apart.
const LINEAR_UP_TO: f64 = 30.0;

/// Narrower bars would tell nothing that the figures do not.
const NARROWEST: usize = 24;
/// Between a table and the bars beside it.
const GAP: &str = "  ";

/// `table`, as written, with the bar of each strategy at the end of its line, and what bars mean below; `None` where there is no
/// room, or less than two to compare.
pub fn beside(document: &Document, table: &str, columns: usize) -> Option<String> {
    let plain = anstream::adapter::strip_str(table).to_string();
    let table_width = plain.lines().map(|line| line.chars().count()).max()?;
    let width = columns.checked_sub(table_width + GAP.len())?.min(WIDEST);
    let Picture { bars, legend } = of_times(document, width).filter(|_| width >= NARROWEST)?;
    let mut left: Vec<Bar> = bars;
    left.reverse();
    let mut lines = Vec::new();
    for (line, plain) in table.lines().zip(plain.lines()) {
        let is_its = |bar: &mut Bar| plain.strip_prefix(bar.name).is_some_and(|rest| rest.starts_with("  "));
        // Both are in the order of the strategies.
        lines.push(match left.pop_if(is_its) {
            Some(bar) => {
                let padding = " ".repeat(table_width - plain.chars().count());
                format!("{line}{padding}{GAP}{}", bar.bar)
            }
            None => line.to_owned(),
        });
    }
    // A table that goes on below itself has no line for each.
    if !left.is_empty() {
        return None;
    }
    lines.push(paint(DIM, &legend));
    Some(lines.join("\n"))
}

/// A line for each strategy, with what bars mean; `None` where there is no room, or less than two to compare.
pub fn below(document: &Document, columns: usize) -> Option<String> {
    let rows = drawn(document);
    let name_width = rows.iter().map(|(row, _)| row.name.chars().count()).max()?.min(LONGEST_NAME);
    let time_width = rows.iter().map(|(_, total)| seconds(total.median).chars().count()).max()?;
    let width = columns.checked_sub(name_width + time_width + 2 * GAP.len())?.min(WIDEST);
    let Picture { bars, legend } = of_times(document, width).filter(|_| columns >= MIN_COLUMNS)?;
    let line = |Bar { name, median, bar }: Bar| {
        format!("{}{GAP}{:>time_width$}{GAP}{bar}", shortened(name, name_width), seconds(median))
    };
    let lines = bars.into_iter().map(line).chain([paint(DIM, &legend)]);
    Some(lines.collect::<Vec<_>>().join("\n"))
}

struct Picture<'a> {
    bars: Vec<Bar<'a>>,
    legend: String,
}

struct Bar<'a> {
    name: &'a str,
    /// In seconds.
    median: f64,
    bar: String,
}

/// Those of which there is something to draw.
fn drawn(document: &Document) -> Vec<(&StrategyResult, &Summary)> {
    document
        .strategies
        .iter()
        .filter_map(|row| Some((row, &row.summary.as_ref()?.total_seconds)))
        .filter(|(_, total)| total.median > 0.0 && total.median.is_finite())
        .collect()
}

/// Bars of at most `width` columns; `None` where less than two could be compared.
fn of_times(document: &Document, width: usize) -> Option<Picture<'_>> {
    let rows = drawn(document);
    if rows.len() < 2 || width == 0 {
        return None;
    }
    let ends = |total: &Summary| {
        total.interval.map_or((total.min, total.max), |interval| (interval.low, interval.high))
    };
    let high = rows.iter().map(|(_, total)| ends(total).1.max(total.median)).fold(0.0, f64::max);
    let low = rows.iter().map(|(_, total)| total.median).fold(f64::INFINITY, f64::min);
    let is_logarithmic = high > low * LINEAR_UP_TO;
    // Half a decade before the shortest, so that it has a bar too.
    let first = low / 3.0;
    let place = |time: f64| {
        let part =
            if is_logarithmic { (time.max(first) / first).ln() / (high / first).ln() } else { time / high };
        ((part * width as f64).round() as usize).clamp(1, width) - 1
    };
    let bars = rows
        .iter()
        .map(|(row, total)| {
            let (low, high) = ends(total);
            let (low, median, high) = (place(low), place(total.median), place(high));
            let bar: String = (0..=high.max(median))
                .map(|at| match at {
                    _ if at == median => '┃',
                    _ if at == low && low < median => '├',
                    _ if at == high && high > median => '┤',
                    _ if (low..=high).contains(&at) => '─',
                    _ => '█',
                })
                .collect();
            Bar { name: &row.name, median: total.median, bar }
        })
        .collect();
    let scale = if is_logarithmic {
        format!("logarithmic scale from {} on", seconds(first))
    } else {
        format!("scale from 0, {} to a column", seconds_of_column(high / width as f64))
    };
    Some(Picture { bars, legend: format!("█ up to the interval ├─┤ of the median ┃ · {scale}") })
}

fn seconds_of_column(value: f64) -> String {
    // A very short one would have no unit left.
    if value < 1e-9 { format!("{} ns", significant(value * 1e9)) } else { seconds(value) }
}

/// `name` in exactly `width` columns.
fn shortened(name: &str, width: usize) -> String {
    match name.chars().count() > width {
        true => name.chars().take(width - 1).chain(['…']).collect(),
        false => format!("{name:<width$}"),
    }
}
