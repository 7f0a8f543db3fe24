//! A crossover for a person: the values that were looked at, and a sentence or two.

use std::io::{self, Write};

use super::blocks::blocks;
use super::gathered::{gathered, reservation};
use super::grid::{Cell, Grid, Tone, wrap};
use super::numbers::{seconds, significant};
use super::plan::workload_in_words;
use super::style::{DIM, TITLE, paint};
use super::sweep::{value_in_words, without, without_doing_nothing};
use crate::document::{TOO_FEW_ROUNDS, Warning};
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
    for line in wrap(&legend(document)) {
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
    let words = without_doing_nothing(&words, std::iter::once(key.as_str()));
    format!("{first} or {second}? {words}, where {key} varies")
}

/// The values that were looked at.
pub fn table(document: &Crossovers) -> Grid {
    let [first, second] = &document.between;
    let mut grid = Grid::new(&[&document.key, first, second, "faster", "rounds"]);
    grid.rows = document.points.iter().map(|point| row(document, point)).collect();
    grid
}

/// What the marks in [`table`] mean.
pub fn legend(document: &Crossovers) -> String {
    let mut notes = vec![LEGEND];
    let lacks = |point: &Point| point.document.strategies.iter().any(|row| row.summary.is_none());
    if document.points.iter().any(|point| point.faster.is_known() && lacks(point)) {
        notes.push("—: not waited for, since the other is much faster");
    }
    if document.points.iter().any(|point| point.faster == Faster::TooFewRounds) {
        notes.push("too few rounds: the time was up before they told");
    }
    notes.join(" · ")
}

const LEGEND: &str = "medians · ×: how many times as fast as the other, in pairs of rounds · =: not distinguished · more \
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
        Faster::TooFewRounds => Cell::dim("too few rounds"),
        Faster::Failed => Cell::new("! tasks failed"),
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
    let Crossovers { key, unit, .. } = document;
    let (low, high) = (shown(*unit, &document.low), shown(*unit, &document.high));
    let range = format!("{key} from {low} to {high}");
    let cut = match (document.head.partial, document.out_of_time) {
        (true, _) => " The search was interrupted.",
        (false, true) => " The time was too short to tell more: raise --time-limit.",
        (false, false) => "",
    };
    let found = match document.crossings.as_slice() {
        [] => without_crossing(document, &range),
        [crossing] => sentence(document, crossing),
        crossings => {
            let sentences: Vec<String> =
                crossings.iter().map(|crossing| sentence(document, crossing)).collect();
            let count = crossings.len();
            format!("The faster strategy changes {count} times in {range}. {}", sentences.join(" "))
        }
    };
    let documents = document.points.iter().map(|point| &point.document);
    let with_care = reservation(documents, "values", "it may turn elsewhere");
    let with_care = with_care.map_or_else(String::new, |said| format!(" {said}"));
    found + &what_is_not_known(document) + cut + &with_care
}

/// What can be said where no crossing was found. That there is none needs both ends to have been told.
fn without_crossing(document: &Crossovers, range: &str) -> String {
    let [first, second] = &document.between;
    let told = |wanted: Faster| -> Vec<&Point> {
        document.points.iter().filter(|point| point.faster == wanted).collect()
    };
    let by_first = told(Faster::First);
    let (winner, other, won) = match by_first.is_empty() {
        true => (second, first, told(Faster::Second)),
        false => (first, second, by_first),
    };
    let has = |value: &&Value, faster: &dyn Fn(Faster) -> bool| {
        document.points.iter().any(|point| point.value == **value && faster(point.faster))
    };
    let ends = [document.grid.first(), document.grid.last()];
    let both_ends = |faster: &dyn Fn(Faster) -> bool| ends.iter().flatten().all(|end| has(end, faster));
    let all = document.grid.iter().all(|value| has(&value, &|faster| faster == Faster::NotDistinguished));
    if won.is_empty() {
        return match all {
            true => format!("{first} and {second} are not distinguished anywhere in {range}."),
            false => format!("Whether {first} or {second} is faster in {range} is not known."),
        };
    }
    if both_ends(&Faster::is_known) {
        return format!(
            "No crossing in {range}: {winner} is faster than {other} at {} of {} values.",
            won.len(),
            document.points.len()
        );
    }
    let values = list(document, won.into_iter().map(|point| &point.value));
    let Crossovers { key, .. } = document;
    if both_ends(&|faster| faster.is_known() || faster == Faster::NotDistinguished) {
        return format!("No crossing was found in {range}: {winner} is faster than {other} at {values}.");
    }
    format!(
        "Whether there is a crossing in {range} is not known: {winner} is faster than {other} at {key}={values}."
    )
}

fn list<'a>(document: &Crossovers, values: impl Iterator<Item = &'a Value>) -> String {
    values.map(|value| shown(document.unit, value)).collect::<Vec<_>>().join(", ")
}

/// Where nothing is known, or the two could not be told apart, outside the crossings that were found.
fn what_is_not_known(document: &Crossovers) -> String {
    let within = |value: &Value| {
        document.crossings.iter().any(|crossing| {
            let ends = crossing.low.number.zip(crossing.high.number).zip(value.number);
            ends.is_some_and(|((low, high), number)| low < number && number < high)
        })
    };
    let of = |wanted: Faster| {
        let values: Vec<&Value> = document
            .points
            .iter()
            .filter(|point| point.faster == wanted && !within(&point.value))
            .map(|point| &point.value)
            .collect();
        values
    };
    let is_point = |value: &&Value| document.points.iter().any(|point| point.value == **value);
    let nothing: Vec<&Value> =
        document.grid.iter().filter(|value| !is_point(value) && !within(value)).collect();
    let nowhere = document.points.iter().all(|point| point.faster == Faster::NotDistinguished);
    let mut text = String::new();
    for (values, what) in [
        // If it is so everywhere, that was said.
        (
            of(Faster::NotDistinguished),
            if nowhere && nothing.is_empty() { "" } else { "the two are not distinguished" },
        ),
        (of(Faster::TooFewRounds), "there are too few rounds to tell"),
        (of(Faster::Failed), "tasks failed, so nobody is faster there"),
        (nothing, "nothing was measured"),
    ] {
        if !values.is_empty() && !what.is_empty() {
            text += &format!(" At {} {what}.", list(document, values.into_iter()));
        }
    }
    text
}

fn sentence(document: &Crossovers, crossing: &Crossing) -> String {
    let Crossovers { key, unit, .. } = document;
    let value = |value: &Value| shown(*unit, value);
    let is_inside = |point: &&Point| {
        let ends = crossing.low.number.zip(crossing.high.number).zip(point.value.number);
        ends.is_some_and(|((low, high), number)| low < number && number < high)
    };
    let contradict = document.points.iter().filter(is_inside).any(|point| point.faster.is_known());
    let inside = crossing.not_distinguished.as_ref().map(|[from, to]| match (from == to, contradict) {
        (_, true) => format!(
            " Between {} and {} some values tell and their neighbours do not, so that the interval has all of them.",
            value(&crossing.low),
            value(&crossing.high)
        ),
        (true, false) => format!(" At {} they are not distinguished.", value(from)),
        (false, false) => format!(" From {} to {} they are not distinguished.", value(from), value(to)),
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

/// The warnings of all values, each once, with the number of values that have it. How many rounds are enough the search says itself.
pub fn warnings(document: &Crossovers) -> Vec<Warning> {
    let name = |point: &Point| format!("{}={}", document.key, point.value.text);
    let mut found = gathered(document.points.iter().map(|point| (name(point), &point.document)));
    found.retain(|warning| warning.code != TOO_FEW_ROUNDS);
    found
}
