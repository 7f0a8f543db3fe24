//! A picture of the times for a terminal: bars from 0 to the median, with the interval around it.

use super::numbers::{seconds, significant};
use super::style::{DIM, paint};
use crate::document::{Document, StrategyResult};
use crate::stats::Summary;

/// A terminal with fewer columns has no room for it.
pub const MIN_COLUMNS: usize = 100;
/// Wider bars would be no easier to read.
const WIDEST: usize = 100;
/// Names are cut at this, since the table has them in full.
const LONGEST_NAME: usize = 28;
/// Times that differ by more than this factor are on a logarithmic scale: on another, short bars could not be told apart.
const LINEAR_UP_TO: f64 = 30.0;

/// A line for each strategy; `None` where there is no room, or less than two to compare.
pub fn of_times(document: &Document, columns: usize) -> Option<String> {
    let rows: Vec<(&StrategyResult, &Summary)> = document
        .strategies
        .iter()
        .filter_map(|row| Some((row, &row.summary.as_ref()?.total_seconds)))
        .filter(|(_, total)| total.median > 0.0 && total.median.is_finite())
        .collect();
    if columns < MIN_COLUMNS || rows.len() < 2 {
        return None;
    }
    let name_width = rows.iter().map(|(row, _)| row.name.chars().count()).max()?.min(LONGEST_NAME);
    let ends = |total: &Summary| {
        total.interval.map_or((total.min, total.max), |interval| (interval.low, interval.high))
    };
    let times: Vec<String> = rows.iter().map(|(_, total)| seconds(total.median)).collect();
    let time_width = times.iter().map(|time| time.chars().count()).max()?;
    let width = (columns - name_width - time_width - 4).min(WIDEST);
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
    let mut lines: Vec<String> = rows
        .iter()
        .zip(&times)
        .map(|((row, total), time)| {
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
            format!("{}  {time:>time_width$}  {bar}", shortened(&row.name, name_width))
        })
        .collect();
    let scale = if is_logarithmic {
        format!("logarithmic scale from {} on", seconds(first))
    } else {
        format!("scale from 0, {} to a column", seconds_of_column(high / width as f64))
    };
    lines.push(paint(DIM, &format!("█ up to the interval ├─┤ of the median ┃ · {scale}")));
    Some(lines.join("\n"))
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
