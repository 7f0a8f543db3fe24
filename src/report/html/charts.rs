//! The figures of a run.

use maud::{Markup, html};

use super::figure::{Figure, Strip, percent, tick};
use super::scale::{Scale, Steps};
use crate::document::{Document, Memory, Percentiles, SpeedUp, StrategyResult};
use crate::report::numbers::{bytes, count, exact_percent, factors, marked, seconds, seconds_range, times};
use crate::report::tables::Bounds;
use crate::stats::{Histogram, Verdict};

/// Drawing more rounds of one strategy would only make a page large.
const MOST_POINTS: usize = 2_000;

/// The text of a tick of an axis of times.
pub fn seconds_tick(value: f64) -> String {
    tick(&seconds(value))
}

fn bytes_tick(value: f64) -> String {
    tick(&bytes(value as u64))
}

/// The text of a tick of an axis of ratios.
pub fn times_tick(value: f64) -> String {
    tick(&times(value))
}

/// Time: every round, the median and its interval. Rows are named by `name`.
pub fn time<'a>(
    id: String,
    rows: impl Iterator<Item = (String, &'a StrategyResult)>,
    caption: Markup,
) -> Option<Markup> {
    let rows: Vec<(String, &StrategyResult)> = rows.filter(|(_, row)| row.summary.is_some()).collect();
    let all = rows.iter().flat_map(|(_, row)| row.rounds.iter().map(|round| round.report.total_seconds));
    let scale = Scale::new(all, Steps::Decimal)?;
    let strips = rows.iter().filter_map(|(name, row)| time_strip(name, row, &scale)).collect();
    let label = seconds_tick;
    let figure =
        Figure { id, caption, axis: "time of a round", scale: &scale, label, reference: None, strips };
    Some(html! { (figure) })
}

fn time_strip(name: &str, row: &StrategyResult, scale: &Scale) -> Option<Strip> {
    const HEIGHT: f64 = 38.0;
    let total = &row.summary.as_ref()?.total_seconds;
    let at = |value: f64| percent(scale.place(value));
    let every = row.rounds.len().div_ceil(MOST_POINTS).max(1);
    let shown: Vec<f64> = row.rounds.iter().step_by(every).map(|round| round.report.total_seconds).collect();
    let step = (HEIGHT - 12.0) / shown.len().saturating_sub(1).max(1) as f64;
    let first = if shown.len() == 1 { HEIGHT / 2.0 } else { 6.0 };
    let marks = html! {
        @if let Some(interval) = total.interval {
            @let (low, high) = (scale.place(interval.low), scale.place(interval.high));
            rect.band x=(percent(low)) width=(percent((high - low).max(0.15))) y="0" height="100%" {}
        }
        @for (number, value) in shown.iter().enumerate() {
            circle.point cx=(at(*value)) cy=(format!("{:.1}", first + number as f64 * step)) r="2.6" {}
        }
        line.median x1=(at(total.median)) x2=(at(total.median)) y1="0" y2="100%" {}
    };
    let interval = match total.interval {
        Some(interval) => seconds_range(interval.low, interval.high),
        None if total.rounds > 1 => format!("{}, no interval", seconds_range(total.min, total.max)),
        None => "one round".into(),
    };
    let description = format!(
        "Median {}, {} {interval}, {} rounds from {} to {}.",
        seconds(total.median),
        if total.interval.is_some() { "95\u{a0}% interval" } else { "range" },
        count(total.rounds as u64),
        seconds(total.min),
        seconds(total.max)
    );
    let note = html! { b { (seconds(total.median)) } " " span.dim { (interval) } };
    Some(Strip { name: name.to_owned(), note, description, marks, height: HEIGHT as u32 })
}

/// Speed-up over the baseline, with its interval.
pub fn speed_up(id: String, document: &Document) -> Option<Markup> {
    let baseline = &document.plan.run.baseline;
    let rows: Vec<(&StrategyResult, SpeedUp)> = document
        .strategies
        .iter()
        .filter(|row| row.name != *baseline)
        .filter_map(|row| Some((row, row.summary.as_ref()?.speedup_over_baseline?)))
        .collect();
    let ends =
        |of: &SpeedUp| [Some(of.ratio), of.ci_low, of.ci_high].into_iter().flatten().collect::<Vec<_>>();
    let scale = Scale::of_ratios(rows.iter().flat_map(|(_, of)| ends(of)))?;
    let strips = rows.iter().map(|(row, of)| speed_up_strip(&row.name, of, &scale)).collect();
    let caption = html! {
        "How many times as fast as " b { bdi { (baseline) } } ", the baseline, which is the line at 1 ×: the median of the \
         ratios within rounds, and its 95\u{a0}% interval. Faster or slower takes an interval that lies wholly beyond the margin \
         of " (exact_percent(document.plan.run.margin)) "."
    };
    let (axis, label) = ("speed-up", times_tick as fn(f64) -> String);
    Some(html! { (Figure { id, caption, axis, scale: &scale, label, reference: Some(1.0), strips }) })
}

fn speed_up_strip(name: &str, of: &SpeedUp, scale: &Scale) -> Strip {
    let at = |value: f64| percent(scale.place(value));
    let interval = of.ci_low.zip(of.ci_high);
    let marks = html! {
        @if let Some((low, high)) = interval {
            line.whisker x1=(at(low)) x2=(at(high)) y1="50%" y2="50%" {}
        }
        circle.dot cx=(at(of.ratio)) cy="50%" r="4" {}
    };
    let (class, verdict) = match of.verdict {
        Verdict::Faster => ("good", "faster"),
        Verdict::Slower => ("bad", "slower"),
        Verdict::NotDistinguished => ("dim", "not distinguished"),
        Verdict::TooFewRounds => ("dim", "too few rounds for a verdict"),
    };
    let range = interval.map(|(low, high)| format!("{} ×", factors(low, high)));
    let note = html! {
        b { (times(of.ratio)) } " " span class=(class) { (verdict) } " "
        @if let Some(range) = &range { span.dim { (range) } }
    };
    let description = format!(
        "{} as fast as the baseline, {verdict}{}.",
        times(of.ratio),
        range.map(|range| format!(", 95\u{a0}% interval {range}")).unwrap_or_default()
    );
    Strip { name: name.to_owned(), note, description, marks, height: 26 }
}

/// Peak memory, parted into that of the processes and the kernel's.
pub fn memory(id: String, document: &Document) -> Option<Markup> {
    let rows: Vec<(&str, &Memory)> = document
        .strategies
        .iter()
        .filter_map(|row| Some((row.name.as_str(), row.memory.as_ref()?)))
        .filter(|(_, memory)| memory.reading.peak_bytes.is_some_and(|peak| peak > 0))
        .collect();
    let parts = |of: &Memory| {
        [of.reading.peak_bytes, of.reading.user_bytes, of.reading.kernel_bytes].into_iter().flatten()
    };
    let peaks = || rows.iter().filter_map(|(_, of)| Some(of.reading.peak_bytes? as f64));
    let all = || rows.iter().flat_map(|(_, of)| parts(of).map(|value| value as f64));
    // Bars start at 0, so they cannot be drawn on a logarithmic axis; where the peaks differ too much, parts are points.
    let as_bars = !Scale::new(peaks(), Steps::Binary)?.is_logarithmic();
    let scale =
        if as_bars { Scale::from_zero(peaks(), Steps::Binary) } else { Scale::new(all(), Steps::Binary) }?;
    let has_outlines = as_bars && rows.iter().any(|(_, of)| of.reading.user_bytes.is_none());
    let strips = rows
        .iter()
        .map(|(name, of)| memory_strip(name, of, Bounds::of(document, of), &scale, as_bars))
        .collect();
    let caption = html! {
        "The most that existed at one time: "
        @if as_bars {
            i.key.mark { "■ the processes' own pages" } " and " i.key.other { "■ the kernel's" }
            @if has_outlines { ", " i.key.mark { "□ both" } " where they are not told apart" }
        } @else {
            i.key.mark { "● the processes' own pages" } ", " i.key.other { "● the kernel's" }
        }
        " (stacks, page tables, task structures), │ the peak, measured in rounds of their own. Where somebody looked only shortly before or after \
         the peak, the parts are up to a tenth less."
    };
    let label = bytes_tick;
    Some(
        html! { (Figure { id, caption, axis: "peak memory", scale: &scale, label, reference: None, strips }) },
    )
}

fn memory_strip(name: &str, of: &Memory, bounds: Bounds, scale: &Scale, as_bars: bool) -> Strip {
    let at = |value: u64| percent(scale.place(value as f64));
    let width = |from: u64, to: u64| percent(scale.place(to as f64) - scale.place(from as f64));
    let peak = of.reading.peak_bytes.unwrap_or(0);
    let (user, kernel) = (of.reading.user_bytes, of.reading.kernel_bytes);
    let marks = html! {
        line.median x1=(at(peak)) x2=(at(peak)) y1="2" y2="20" {}
        @if as_bars {
            @if let Some(user) = user {
                rect.dot x=(at(0)) width=(width(0, user)) y="4" height="14" {}
                @if let Some(kernel) = kernel {
                    rect.second x=(at(user)) width=(width(user, user.saturating_add(kernel))) y="4" height="14" {}
                }
            } @else {
                rect.ring x=(at(0)) width=(width(0, peak)) y="4" height="14" {}
            }
        } @else {
            @if let Some(user) = user { circle.dot cx=(at(user)) cy="11" r="4" {} }
            @if let Some(kernel) = kernel { circle.second cx=(at(kernel)) cy="11" r="4" {} }
        }
    };
    let split = match (of.reading.user_bytes, of.reading.kernel_bytes) {
        (Some(user), Some(kernel)) => format!(
            "{} + {} kernel",
            marked(bounds.user, &bytes(user)),
            marked(bounds.kernel, &bytes(kernel))
        ),
        _ => "the kernel's part is not known".into(),
    };
    let peak = marked(bounds.peak, &bytes(peak));
    let note = html! { b { (peak) } " " span.dim { (split) } };
    let description = format!("Peak {peak}: {split}; measured by {}.", of.method.name());
    Strip { name: name.to_owned(), note, description, marks, height: 22 }
}

/// How the times of a row are distributed.
pub struct Distribution<'a> {
    /// What the row is named.
    pub name: &'a str,
    /// In a few numbers.
    pub percentiles: Percentiles,
    /// What these are of; older exports do not say it.
    pub seen: Option<&'a Histogram>,
}

/// A distribution of times for each row.
pub fn distribution<'a>(
    id: String,
    axis: &str,
    rows: impl Iterator<Item = Distribution<'a>>,
    caption: Markup,
) -> Option<Markup> {
    let rows: Vec<Distribution<'_>> = rows.collect();
    let ends = |row: &Distribution<'_>| {
        let Percentiles { p50_seconds, p90_seconds, p99_seconds, max_seconds, .. } = row.percentiles;
        let shortest = row.seen.and_then(|seen| seen.up_to_seconds.first().copied());
        [shortest, p50_seconds, p90_seconds, p99_seconds, Some(max_seconds)].into_iter().flatten()
    };
    let scale = Scale::new(rows.iter().flat_map(ends), Steps::Decimal)?;
    let strips = rows.iter().map(|row| distribution_strip(row, &scale)).collect();
    let label = seconds_tick;
    Some(html! { (Figure { id, caption, axis, scale: &scale, label, reference: None, strips }) })
}

/// How the marks of a distribution are to be read.
pub fn key_of_distribution() -> Markup {
    html! {
        i.key.mark { "● p50" } ", " i.key.mark { "│ p90" } ", " i.key.mark { "┃ p99" } ", " i.key.mark { "○ the longest" }
        ". A percentile with fewer than ten beyond it is left out. " (KEY_OF_COLUMNS)
    }
}

/// How the columns behind the marks of a distribution are to be read.
pub const KEY_OF_COLUMNS: &str =
    "The columns say how many lie where, of all rounds; the highest of each row has its full height.";

/// How many columns there is room for, from one end of the axis to the other.
const COLUMNS: usize = 100;

/// How many of the times that were `seen` lie in each column of the axis, as parts of the highest one: (where it begins, in percent; how
/// high it is, from 0 to 1).
fn columns(seen: &Histogram, scale: &Scale) -> Vec<(f64, f64)> {
    let mut counts = [0_u64; COLUMNS];
    for (value, count) in seen.up_to_seconds.iter().zip(&seen.count) {
        let column = (scale.place(*value) / 100.0 * COLUMNS as f64) as usize;
        let counted = &mut counts[column.min(COLUMNS - 1)];
        // Somebody may have changed an export by hand.
        *counted = counted.saturating_add(*count);
    }
    let highest = counts.iter().copied().max().unwrap_or(0).max(1);
    let placed = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    placed
        .map(|(column, count)| (column as f64 * 100.0 / COLUMNS as f64, *count as f64 / highest as f64))
        .collect()
}

fn distribution_strip(row: &Distribution<'_>, scale: &Scale) -> Strip {
    const HEIGHT: f64 = 30.0;
    let Distribution { name, percentiles: of, seen } = row;
    let at = |value: f64| percent(scale.place(value));
    let columns = seen.map(|seen| columns(seen, scale)).unwrap_or_default();
    let from = of.p50_seconds.unwrap_or(of.max_seconds);
    let marks = html! {
        @for (place, part) in columns {
            rect.band x=(percent(place)) width=(percent(100.0 / COLUMNS as f64)) y=(format!("{:.1}", HEIGHT * (1.0 - part)))
                height=(format!("{:.1}", HEIGHT * part)) {}
        }
        line.whisker.thin x1=(at(from)) x2=(at(of.max_seconds)) y1="50%" y2="50%" {}
        @if let Some(value) = of.p90_seconds { line.whisker.thin x1=(at(value)) x2=(at(value)) y1="10" y2="20" {} }
        @if let Some(value) = of.p99_seconds { line.whisker x1=(at(value)) x2=(at(value)) y1="8" y2="22" {} }
        circle.ring cx=(at(of.max_seconds)) cy="50%" r="3.2" {}
        @if let Some(value) = of.p50_seconds { circle.dot cx=(at(value)) cy="50%" r="4" {} }
    };
    let known = [("p50", of.p50_seconds), ("p90", of.p90_seconds), ("p99", of.p99_seconds)];
    let known = known.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", seconds(value?))));
    let known: Vec<String> = known.chain([format!("max {}", seconds(of.max_seconds))]).collect();
    let described = known.join(", ");
    // A name, its number and its unit stay together.
    let together: Vec<String> = known.iter().map(|text| text.replace(' ', "\u{a0}")).collect();
    let (first, rest) = together.split_first().expect("there is always a maximum");
    let note = html! { b { (first) } " " span.dim { (rest.join(" · ")) } };
    let description = format!("{described}, of {}.", count(of.count));
    Strip { name: (*name).to_owned(), note, description, marks, height: HEIGHT as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_the_column_where_it_lies_and_the_highest_is_full() {
        let scale = Scale::from_zero([10.0], Steps::Decimal).unwrap();
        let seen = Histogram { up_to_seconds: vec![1.0, 1.001, 5.0, 10.0], count: vec![1, 1, 4, 1] };
        let columns = columns(&seen, &scale);
        let parts: Vec<f64> = columns.iter().map(|(_, part)| *part).collect();
        assert_eq!(parts, [0.5, 1.0, 0.25]);
        for ((begin, _), value) in columns.iter().zip([1.0, 5.0, 10.0]) {
            assert!((*begin..begin + 1.0).contains(&scale.place(value)), "{value} in the column at {begin}");
        }
    }
}
