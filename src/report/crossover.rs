//! A crossover for a person: the values that were looked at, and a sentence or two.

use std::io::{self, Write};

use super::blocks::blocks;
use super::grid::{Cell, Grid, Tone, wrap};
use super::numbers::{seconds, significant};
use super::plan::workload_in_words;
use super::style::{DIM, TITLE, paint};
use super::sweep::{value_in_words, without};
use crate::plan::vary::{Unit, Value};
use crate::study::crossover::Faster;
use crate::study::crossover::document::{Crossing, Crossovers, Point};

/// Writes everything that a person wants to see of `document`.
///
/// # Errors
/// What writing to `out` says.
pub fn write(document: &Crossovers, out: &mut dyn Write) -> io::Result<()> {
    for line in wrap(&title(document)) {
        writeln!(out, "{}", paint(TITLE, &line))?;
    }
    writeln!(out)?;
    for block in blocks(&table(document)) {
        writeln!(out, "{block}")?;
    }
    for line in wrap(LEGEND) {
        writeln!(out, "{}", paint(DIM, &line))?;
    }
    writeln!(out)?;
    wrap(&verdict(document)).iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// Between what, and where.
pub fn title(document: &Crossovers) -> String {
    let Crossovers { key, between: [first, second], points, .. } = document;
    let Some(point) = points.first() else { return format!("{first} or {second}, where {key} varies?") };
    let workload = without(key, &point.document.plan.workload);
    let words = workload_in_words(point.document.plan.name.as_deref(), &workload);
    let words = if key == "tasks" { words.replacen("1 task", "tasks", 1) } else { words };
    format!("{first} or {second}? {}, where {key} varies", words.trim_end_matches(", doing nothing"))
}

/// The values that were looked at.
pub fn table(document: &Crossovers) -> Grid {
    let [first, second] = &document.between;
    let mut grid = Grid::new(&[&document.key, first, second, "faster", "rounds"]);
    grid.rows = document.points.iter().map(|point| row(document, point)).collect();
    grid
}

/// What the marks in [`table`] mean.
pub const LEGEND: &str = "medians · ×: how many times as fast as the other, in pairs of rounds · =: not distinguished · more \
     rounds where it is harder to tell";

fn row(document: &Crossovers, point: &Point) -> Vec<Cell> {
    let median = |at: usize| {
        let summary = point.document.strategies.get(at).and_then(|row| row.summary.as_ref());
        summary.map_or_else(|| "—".into(), |summary| seconds(summary.total_seconds.median))
    };
    let ratio = point.speed_up.map(|speed_up| speed_up.ratio);
    let times =
        |ratio: Option<f64>| ratio.map(|ratio| format!(" {}×", significant(ratio))).unwrap_or_default();
    let of = |place: usize, ratio: Option<f64>| {
        Cell::new(format!("{}{}", document.between[place], times(ratio))).with(Tone::Of(place))
    };
    let faster = match point.faster {
        Faster::First => of(0, ratio),
        Faster::Second => of(1, ratio.map(f64::recip)),
        Faster::NotDistinguished => Cell::dim("="),
    };
    let rounds = point.document.strategies.iter().map(|row| row.rounds.len()).max().unwrap_or(0);
    vec![
        Cell::new(shown(document.unit, &point.value)),
        Cell::new(median(0)),
        Cell::new(median(1)),
        faster,
        Cell::new(rounds.to_string()),
    ]
}

fn shown(unit: Unit, value: &Value) -> String {
    value_in_words(unit, value)
}

/// What was found, in words.
pub fn verdict(document: &Crossovers) -> String {
    let Crossovers { key, unit, between: [first, second], .. } = document;
    let (low, high) = (shown(*unit, &document.low), shown(*unit, &document.high));
    let range = format!("{key} from {low} to {high}");
    let cut = match (document.head.partial, document.out_of_time) {
        (true, _) => " The search was interrupted.",
        (false, true) => " The time was up before more could be told: raise --time-limit.",
        (false, false) => "",
    };
    let known = |wanted: Faster| document.points.iter().filter(|point| point.faster == wanted).count();
    if document.crossings.is_empty() {
        let text = match (known(Faster::First), known(Faster::Second)) {
            (0, 0) => format!("{first} and {second} are not distinguished anywhere in {range}."),
            (count, 0) => none(document, first, second, count, &range),
            (_, count) => none(document, second, first, count, &range),
        };
        return text + cut;
    }
    let several = match document.crossings.len() {
        1 => String::new(),
        count => format!("The faster strategy changes {count} times in {range}. "),
    };
    let sentences: Vec<String> =
        document.crossings.iter().map(|crossing| sentence(document, crossing)).collect();
    several + &sentences.join(" ") + cut
}

fn none(document: &Crossovers, winner: &str, other: &str, known: usize, range: &str) -> String {
    let unknown = document.points.len() - known;
    let but = match unknown {
        0 => String::new(),
        _ => {
            let values: Vec<String> = document
                .points
                .iter()
                .filter(|point| point.faster == Faster::NotDistinguished)
                .map(|point| shown(document.unit, &point.value))
                .collect();
            format!(" At {} the two are not distinguished.", values.join(", "))
        }
    };
    format!(
        "No crossing in {range}: {winner} is faster than {other} at {known} of {} values.{but}",
        document.points.len()
    )
}

fn sentence(document: &Crossovers, crossing: &Crossing) -> String {
    let Crossovers { key, unit, .. } = document;
    let value = |value: &Value| shown(*unit, value);
    let inside = crossing.not_distinguished.as_ref().map(|[from, to]| match from == to {
        true => format!(" At {} they are not distinguished.", value(from)),
        false => format!(" From {} to {} they are not distinguished.", value(from), value(to)),
    });
    format!(
        "{} is faster up to {key}={}, {} from {key}={} on: they cross at about {} (95 % interval {} to {}).{}",
        crossing.below,
        value(&crossing.low),
        crossing.above,
        value(&crossing.high),
        value(&crossing.estimate),
        value(&crossing.low),
        value(&crossing.high),
        inside.unwrap_or_default()
    )
}
