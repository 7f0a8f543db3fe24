//! Pictures for a terminal: bars from 0 to the median of times, with the interval around it; and intervals of ratios around 1.

use super::numbers::{seconds, significant, times};
use super::style::{DIM, paint};
use crate::document::{Document, StrategyResult};

/// A terminal with fewer columns has no room for them below the table.
const MIN_COLUMNS: usize = 100;
/// Wider bars would be no easier to read.
const WIDEST: usize = 100;
/// Times that differ by more than this factor are on a logarithmic scale: on another, short bars could not be told apart.
const LINEAR_UP_TO: f64 = 30.0;

/// Narrower bars would tell nothing that the figures do not.
const NARROWEST: usize = 24;
/// Between a table and the bars beside it.
const GAP: &str = "  ";

/// What a bar is of.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    /// As in the table.
    pub name: &'a str,
    /// In seconds, or a ratio.
    pub median: f64,
    /// The ends of its interval, or of all that was measured where there is none.
    pub ends: (f64, f64),
}

impl<'a> Value<'a> {
    /// A time; `None` where it cannot be drawn.
    pub fn of_time(name: &'a str, median: f64, ends: (f64, f64)) -> Option<Self> {
        (median > 0.0 && median.is_finite()).then_some(Self { name, median, ends })
    }
}

/// The strategies of which there is a time to draw, in their order.
pub fn times_of(document: &Document) -> Vec<Value<'_>> {
    let of_row = |row: &'_ StrategyResult| {
        let total = &row.summary.as_ref()?.total_seconds;
        let ends = total.interval.map_or((total.min, total.max), |interval| (interval.low, interval.high));
        Some((total.median, ends))
    };
    let rows = document.strategies.iter().filter_map(|row| Some((row, of_row(row)?)));
    rows.filter_map(|(row, (median, ends))| Value::of_time(&row.name, median, ends)).collect()
}

/// `table`, as written, with the bar of each of `times` at the end of its line, and what bars mean below; `None` where there is no
/// room, or less than two to compare.
pub fn beside(times: &[Value<'_>], table: &str, columns: usize) -> Option<String> {
    beside_table(table, columns, |width| picture_of_times(times, width))
}

/// As [`beside`], for ratios: intervals to both sides of 1.
pub fn ratios_beside(ratios: &[Value<'_>], table: &str, columns: usize) -> Option<String> {
    beside_table(table, columns, |width| picture_of_ratios(ratios, width))
}

fn beside_table<'a>(
    table: &str,
    columns: usize,
    picture: impl FnOnce(usize) -> Option<Picture<'a>>,
) -> Option<String> {
    let plain = anstream::adapter::strip_str(table).to_string();
    let table_width = plain.lines().map(|line| line.chars().count()).max()?;
    let width = columns.checked_sub(table_width + GAP.len())?.min(WIDEST);
    let Picture { bars, legend } = picture(width).filter(|_| width >= NARROWEST)?;
    let mut left: Vec<Bar<'_>> = bars;
    left.reverse();
    let mut lines = Vec::new();
    for (line, plain) in table.lines().zip(plain.lines()) {
        let is_its =
            |bar: &mut Bar<'_>| plain.strip_prefix(bar.name).is_some_and(|rest| rest.starts_with("  "));
        // Both are in the same order.
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

/// A line for each of `times`, with what bars mean; `None` where there is no room, or less than two to compare.
pub fn below(times: &[Value<'_>], columns: usize) -> Option<String> {
    // The table has them in full: here they take half of the room at most.
    let name_width = times.iter().map(|value| value.name.chars().count()).max()?.min(columns / 2);
    let time_width = times.iter().map(|value| seconds(value.median).chars().count()).max()?;
    let width = columns.checked_sub(name_width + time_width + 2 * GAP.len())?.min(WIDEST);
    let Picture { bars, legend } = picture_of_times(times, width).filter(|_| columns >= MIN_COLUMNS)?;
    let line = |Bar { name, median, bar }: Bar<'_>| {
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
    median: f64,
    bar: String,
}

/// Bars of at most `width` columns; `None` where less than two could be compared.
fn picture_of_times<'a>(times: &[Value<'a>], width: usize) -> Option<Picture<'a>> {
    if times.len() < 2 || width == 0 {
        return None;
    }
    let high = times.iter().map(|value| value.ends.1.max(value.median)).fold(0.0, f64::max);
    let low = times.iter().map(|value| value.median).fold(f64::INFINITY, f64::min);
    let is_logarithmic = high > low * LINEAR_UP_TO;
    // Half a decade before the shortest, so that it has a bar too.
    let first = low / 3.0;
    let place = |time: f64| {
        let part =
            if is_logarithmic { (time.max(first) / first).ln() / (high / first).ln() } else { time / high };
        ((part * width as f64).round() as usize).clamp(1, width) - 1
    };
    let bar = |value: &Value<'a>| {
        let (low, median, high) = (place(value.ends.0), place(value.median), place(value.ends.1));
        let bar = (0..=high.max(median)).map(|at| mark(at, low, median, high).unwrap_or('█')).collect();
        Bar { name: value.name, median: value.median, bar }
    };
    let scale = if is_logarithmic {
        format!("logarithmic scale from {} on", seconds(first))
    } else {
        format!("scale from 0, {} to a column", seconds_of_column(high / width as f64))
    };
    let legend = format!("█ up to the interval ├─┤ of the median ┃ · {scale}");
    Some(Picture { bars: times.iter().map(bar).collect(), legend })
}

/// Intervals in `width` columns, of which the one in the middle is 1; `None` where there is nothing to draw.
fn picture_of_ratios<'a>(ratios: &[Value<'a>], width: usize) -> Option<Picture<'a>> {
    // At least this far to both sides: less would make much of nothing.
    const LEAST: f64 = 1.05;
    let far = |value: &Value<'_>| [value.median, value.ends.0, value.ends.1].map(|ratio| ratio.ln().abs());
    let farthest = ratios.iter().flat_map(far).fold(LEAST.ln(), f64::max);
    let half = width.checked_sub(1)? / 2;
    if ratios.is_empty() || half == 0 || !farthest.is_finite() {
        return None;
    }
    let place = |ratio: f64| (half as f64 * (1.0 + ratio.ln() / farthest)).round() as usize;
    let bar = |value: &Value<'a>| {
        let (low, median, high) = (place(value.ends.0), place(value.median), place(value.ends.1));
        let one = |at: usize| if at == half { '│' } else { ' ' };
        let bar =
            (0..=high.max(half)).map(|at| mark(at, low, median, high).unwrap_or_else(|| one(at))).collect();
        Bar { name: value.name, median: value.median, bar }
    };
    let legend = format!(
        "├─┤ the interval of the ratio ┃ · │ 1 ×, as before · from {} to {} on a logarithmic scale",
        times((-farthest).exp()),
        times(farthest.exp())
    );
    Some(Picture { bars: ratios.iter().map(bar).collect(), legend })
}

/// What stands at `at` of an interval and its median; `None` outside of it.
fn mark(at: usize, low: usize, median: usize, high: usize) -> Option<char> {
    match at {
        _ if at == median => Some('┃'),
        _ if at == low && low < median => Some('├'),
        _ if at == high && high > median => Some('┤'),
        _ if (low..=high).contains(&at) => Some('─'),
        _ => None,
    }
}

fn seconds_of_column(value: f64) -> String {
    // A very short one would have no unit left.
    if value < 1e-9 { format!("{} ns", significant(value * 1e9)) } else { seconds(value) }
}

/// `name` in exactly `width` columns: of a longer one the beginning and the end, since names often differ in either.
fn shortened(name: &str, width: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    let Some(kept) = width.checked_sub(1).filter(|_| letters.len() > width) else {
        return format!("{name:<width$}");
    };
    let (head, tail) = (kept - kept / 2, kept / 2);
    letters[..head].iter().chain(&['…']).chain(&letters[letters.len() - tail..]).collect()
}
