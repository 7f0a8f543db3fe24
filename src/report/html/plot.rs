//! Curves: a value for each of some values of a flag, in SVG whose text and marks keep their size at every width.
//!
//! As in [`super::figure`], places are percents. Lines are told apart by colour, by their dashes and by a letter at their end.

use maud::{Markup, Render, html};

use super::figure::percent;
use super::parts::COLOURS;
use super::scale::Scale;
use crate::plan::vary::{Unit, Value};
use crate::report::sweep::value_in_words;

/// Labels of the axis are at least so far apart, in percent: they must fit side by side on a phone.
const LEAST_GAP_PERCENT: f64 = 19.0;
/// Letters at the end of lines are at least so far apart, in percent of the height.
const LEAST_LETTER_GAP_PERCENT: f64 = 6.5;
/// Left and right of the outermost values, so that their marks are not cut.
const MARGIN_PERCENT: f64 = 2.0;
/// How wide the part of a logarithmic axis is that leads from 0 to its first value.
const ZERO_PERCENT: f64 = 20.0;

/// Where the values of a flag lie from left to right.
pub struct Across {
    labels: Vec<String>,
    places: Vec<f64>,
    /// Between which values, above 0, the axis is logarithmic, and where its first one lies; `None` where values are only in
    /// an order.
    logarithmic: Option<(f64, f64, f64)>,
}

impl Across {
    /// An axis on which `values` lie: logarithmic if they are numbers that rise, else evenly spaced.
    pub fn new(unit: Unit, values: &[&Value]) -> Self {
        let labels = values.iter().map(|value| value_in_words(unit, value)).collect();
        let numbers: Option<Vec<f64>> = values.iter().map(|value| value.number).collect();
        let rising = numbers.filter(|numbers| numbers.windows(2).all(|pair| pair[0] < pair[1]));
        let logarithmic = rising.as_ref().and_then(|numbers| {
            let above: Vec<f64> = numbers.iter().copied().filter(|number| *number > 0.0).collect();
            let (low, high) = (above.first()?, above.last()?);
            let first =
                if above.len() < numbers.len() { MARGIN_PERCENT + ZERO_PERCENT } else { MARGIN_PERCENT };
            (high > low).then_some((*low, *high, first))
        });
        let mut axis = Self { labels, places: Vec::new(), logarithmic };
        axis.places = match (&rising, logarithmic) {
            (Some(numbers), Some(_)) => numbers.iter().map(|number| axis.place(*number)).collect(),
            _ => (0..values.len()).map(|at| evenly(at, values.len())).collect(),
        };
        axis
    }

    /// Where a number lies, also between the values; meaningless where values are only in an order.
    pub fn place(&self, number: f64) -> f64 {
        let Some((low, high, first)) = self.logarithmic else { return 50.0 };
        if number <= 0.0 {
            return MARGIN_PERCENT;
        }
        let part = ((number / low).ln() / (high / low).ln()).clamp(0.0, 1.0);
        first + part * (100.0 - MARGIN_PERCENT - first)
    }

    /// Where the value at `at` lies.
    pub fn place_of(&self, at: usize) -> f64 {
        self.places.get(at).copied().unwrap_or(50.0)
    }

    /// What the axis is said to be.
    pub fn in_words(&self) -> &'static str {
        match self.logarithmic {
            Some((.., first)) if first > MARGIN_PERCENT => ", logarithmic scale above 0",
            Some(_) => ", logarithmic scale",
            None => "",
        }
    }

    /// The labels for which there is room; the last one always.
    fn ticks(&self) -> Vec<(f64, &str)> {
        let mut ticks: Vec<(f64, &str)> = Vec::new();
        let all = self.places.iter().copied().zip(self.labels.iter().map(String::as_str));
        let last = all.clone().next_back();
        for (place, label) in all {
            if ticks.last().is_none_or(|(before, _)| place - before >= LEAST_GAP_PERCENT) {
                ticks.push((place, label));
            }
        }
        if let (Some(last), Some(shown)) = (last, ticks.last())
            && last.0 > shown.0
        {
            if ticks.len() > 1 {
                ticks.pop();
            }
            ticks.push(last);
        }
        ticks
    }
}

fn evenly(at: usize, count: usize) -> f64 {
    let part = if count > 1 { at as f64 / (count - 1) as f64 } else { 0.5 };
    MARGIN_PERCENT + part * (100.0 - 2.0 * MARGIN_PERCENT)
}

/// A value of a line, with its interval.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// Which value of the axis it is at.
    pub at: usize,
    /// The value.
    pub value: f64,
    /// Its interval, if there is one.
    pub interval: Option<(f64, f64)>,
}

/// A line.
pub struct Line {
    /// What it is of.
    pub name: String,
    /// What stands at its end.
    pub letter: char,
    /// Which colour and dashes it has.
    pub place: usize,
    /// From left to right.
    pub points: Vec<Point>,
}

/// Curves above one axis.
pub struct Plot<'a> {
    /// Tells apart the figures of a page.
    pub id: String,
    /// What stands above it.
    pub title: String,
    /// What it shows, for those who cannot see it.
    pub description: String,
    /// The flag that varies.
    pub key: &'a str,
    /// Where its values are.
    pub across: &'a Across,
    /// Places of values.
    pub up: &'a Scale,
    /// The text of a tick.
    pub label: fn(f64) -> String,
    /// A value that others are compared with.
    pub reference: Option<f64>,
    /// Stretches of the axis that are marked, from and to, in percent.
    pub bands: Vec<(f64, f64)>,
    /// Places that are marked, in percent from the left and of the scale.
    pub rings: Vec<(f64, f64)>,
    /// The lines.
    pub lines: Vec<Line>,
}

/// From below, as a place from above.
fn from_above(place: f64) -> String {
    percent(100.0 - place)
}

impl Plot<'_> {
    /// Where the letters stand: beside the ends of their lines, as far as they leave each other room.
    fn letters(&self) -> Vec<(f64, &Line)> {
        let end = |line: &&Line| line.points.last().map(|point| 100.0 - self.up.place(point.value));
        let mut ends: Vec<(f64, &Line)> =
            self.lines.iter().filter_map(|line| Some((end(&line)?, line))).collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        for at in 1..ends.len() {
            ends[at].0 = ends[at].0.max(ends[at - 1].0 + LEAST_LETTER_GAP_PERCENT);
        }
        // Whatever was pushed out at the bottom pushes the others up.
        let mut lowest = 98.0;
        for end in ends.iter_mut().rev() {
            end.0 = end.0.min(lowest);
            lowest = end.0 - LEAST_LETTER_GAP_PERCENT;
        }
        ends
    }

    fn curves(&self) -> Markup {
        html! {
            @for line in &self.lines {
                @let class = COLOURS[line.place % COLOURS.len()];
                @let curve = class_of_curve(line.place);
                @let place = |point: &Point| (percent(self.across.place_of(point.at)), from_above(self.up.place(point.value)));
                @for pair in line.points.windows(2) {
                    @let ((x1, y1), (x2, y2)) = (place(&pair[0]), place(&pair[1]));
                    line class=(curve) x1=(x1) y1=(y1) x2=(x2) y2=(y2) {}
                }
                @for point in &line.points {
                    @let (x, y) = place(point);
                    @if let Some((low, high)) = point.interval {
                        line class=(format!("spread {class}")) x1=(x) x2=(x)
                            y1=(from_above(self.up.place(low))) y2=(from_above(self.up.place(high))) {}
                    }
                    circle class=(format!("spot {class}")) cx=(x) cy=(y) r="3" {}
                }
            }
        }
    }
}

impl Render for Plot<'_> {
    fn render(&self) -> Markup {
        let (title, description) = (format!("{}-t", self.id), format!("{}-d", self.id));
        let (ups, acrosses) = (self.up.ticks(), self.across.ticks());
        html! {
            div.plot id=(self.id) {
                p.plot-title id=(title) { (self.title) }
                svg.ups aria-hidden="true" focusable="false" {
                    @for tick in &ups {
                        text x="100%" y=(from_above(self.up.place(*tick))) dy=".32em" text-anchor="end" { ((self.label)(*tick)) }
                    }
                }
                svg.area role="img" aria-labelledby=(title) aria-describedby=(description) {
                    desc id=(description) { (self.description) }
                    @for (from, to) in &self.bands {
                        rect.band x=(percent(*from)) width=(percent((to - from).max(0.3))) y="0" height="100%" {}
                    }
                    @for tick in &ups {
                        @let y = from_above(self.up.place(*tick));
                        line.rule x1="0" x2="100%" y1=(y) y2=(y) {}
                    }
                    @for (place, _) in &acrosses {
                        line.rule x1=(percent(*place)) x2=(percent(*place)) y1="0" y2="100%" {}
                    }
                    @if let Some(value) = self.reference {
                        @let y = from_above(self.up.place(value));
                        line.reference x1="0" x2="100%" y1=(y) y2=(y) {}
                    }
                    (self.curves())
                    @for (x, y) in &self.rings {
                        circle.crossing cx=(percent(*x)) cy=(from_above(*y)) r="7" {}
                    }
                }
                svg.ends aria-hidden="true" focusable="false" {
                    @for (y, line) in self.letters() {
                        text class=(COLOURS[line.place % COLOURS.len()]) x="4" y=(percent(y)) dy=".32em" { (line.letter) }
                    }
                }
                svg.axis.across aria-hidden="true" focusable="false" height="20" {
                    @for (place, label) in &acrosses {
                        @let anchor = if *place < 8.0 { "start" } else if *place > 92.0 { "end" } else { "middle" };
                        text x=(percent(*place)) y="14" text-anchor=(anchor) { (label) }
                    }
                }
                p.plot-key { (self.key) (self.across.in_words()) }
            }
        }
    }
}

/// The colour and the dashes of a curve, and how thick it is: who comes after all colours has one of them again, in another thickness.
fn class_of_curve(place: usize) -> String {
    const THICKNESSES: [&str; 3] = ["", " thick", " thin"];
    let thickness = THICKNESSES[place / COLOURS.len() % THICKNESSES.len()];
    format!("curve {}{thickness}", COLOURS[place % COLOURS.len()])
}

/// The names of `lines`, each with its letter.
pub fn key<'a>(lines: impl Iterator<Item = (char, usize, &'a str)>) -> Markup {
    html! {
        span.lines {
            @for (letter, place, name) in lines {
                @let class = COLOURS[place % COLOURS.len()];
                span.line {
                    svg.sample aria-hidden="true" focusable="false" { line class=(class_of_curve(place)) x1="0" x2="100%" y1="50%" y2="50%" {} }
                    b class=(class) { (letter) } " " bdi { (name) }
                }
                " "
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::vary::Variable;

    fn axis(text: &str) -> Across {
        let variable = Variable::parse(text).unwrap();
        Across::new(variable.unit, &variable.values.iter().collect::<Vec<_>>())
    }

    #[test]
    fn rising_numbers_are_on_a_logarithmic_axis_and_words_are_evenly_spaced() {
        let numbers = axis("tasks=1,10,1000");
        assert!((numbers.place_of(1) - numbers.place(10.0)).abs() < 1e-9);
        assert!((numbers.place_of(1) - (2.0 + 96.0 / 3.0)).abs() < 1e-9);
        assert_eq!(numbers.in_words(), ", logarithmic scale");
        let from_zero = axis("io-wait=0,1ms,10ms");
        assert!(from_zero.place_of(0) + 10.0 < from_zero.place_of(1));
        let words = axis("io=sleep,echo,fsync");
        assert_eq!(words.places, [2.0, 50.0, 98.0]);
        assert_eq!(words.in_words(), "");
    }

    #[test]
    fn labels_have_room_and_the_last_one_is_there() {
        let axis = axis("tasks=1..1e6:40");
        let ticks = axis.ticks();
        assert!(ticks.windows(2).all(|pair| pair[1].0 - pair[0].0 >= LEAST_GAP_PERCENT), "{ticks:?}");
        assert_eq!(ticks.first().unwrap().1, "1");
        assert_eq!(ticks.last().unwrap().1, "1,000,000");
    }
}
