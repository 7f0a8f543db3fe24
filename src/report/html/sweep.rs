//! What a page says of a sweep: the decision map, and the curves with their crossings.

use maud::{Markup, html};

use super::charts::seconds_tick;
use super::parts::{again, below, environment, heading, section, table, warnings};
use super::plot::{Across, Line, Plot, Point, key};
use super::scale::{Scale, Steps};
use crate::document::Document;
use crate::document::standing::{Outcome, Standing};
use crate::plan::vary::{Unit, Value, Variable};
use crate::report::grid::glued;
use crate::report::numbers::{count, seconds};
use crate::report::{plan, subject, sweep};
use crate::study::sweep::Sweep;

/// More curves beside each other nobody looks at.
const MOST_PLOTS: usize = 12;

/// All about `of`, the `number`-th of the page, below a heading of `level`.
pub fn of_sweep(of: &Sweep, number: usize, level: &str) -> Markup {
    let below = below(level);
    let first = of.cells.iter().find_map(|cell| cell.document.as_ref());
    let (title, body) = match of.variables.len() {
        1 => ("Who is fastest where", lines(of)),
        _ if of.strategies.len() == 1 => ("How long it takes where", map(of)),
        _ => ("Decision map", map(of)),
    };
    html! {
        (heading(level, html! { bdi { (glued(&sweep::title(of))) } }))
        p.facts {
            @if let Some(run) = first { (plan::machine_in_words(&run.environment.machine)) " · " }
            (of.head.started_at)
        }
        @if let Some(rest) = sweep::rest(of) { p.partial { "This sweep was cut short: " (rest) } }
        @if let Some(answer) = sweep::answer(of) { p.lead { (glued(&answer)) } }
        @if let Some(reservation) = sweep::reservation(of) { p { (glued(&reservation)) } }
        (section(below, title, body))
        @if first.is_some() { (section(below, "Curves", curves(of, number))) }
        (section(below, "Warnings", warnings(&sweep::warnings(of))))
        @if let Some(run) = first {
            (section(below, "Environment", environment(run)))
            (section(below, "Method", method(of, run)))
        }
        (section(below, "Run it again", again(&of.head.command_in_words())))
    }
}

fn lines(of: &Sweep) -> Markup {
    table(&sweep::table(of), "Time of a round, by strategy and value", Some(sweep::legend(of)))
}

fn map(of: &Sweep) -> Markup {
    let what = match of.strategies.len() {
        1 => "Time of a round, for each pair of values",
        _ => "The best strategy for each pair of values, and its lead",
    };
    html! { div.map { (table(&sweep::table(of), what, Some(sweep::legend(of)))) } }
}

/// A curve of each strategy over what varies; where two flags vary, beside each other for each value of the other.
fn curves(of: &Sweep, number: usize) -> Markup {
    let letters = sweep::letters(&of.strategies);
    // Words have no order, so the other flag runs from left to right where it has numbers.
    let (along, other) = match of.variables.as_slice() {
        [one] => (0, one),
        [down, across] if across.unit == Unit::Word && down.unit != Unit::Word => (0, across),
        [down, _] => (1, down),
        _ => return html! {},
    };
    let Some(variable) = of.variables.get(along) else { return html! {} };
    let values: Vec<&Value> = variable.values.iter().collect();
    let across = Across::new(variable.unit, &values);
    let Some(up) = Scale::new(of.cells.iter().flat_map(|cell| times(cell.document.as_ref())), Steps::Decimal)
    else {
        return html! { p { "There are no times." } };
    };
    let others = if of.variables.len() == 1 { 1 } else { other.values.len() };
    let every = others.div_ceil(MOST_PLOTS).max(1);
    let plots = (0..others).step_by(every).map(|at| {
        let document = |value: usize| {
            let place = match (of.variables.len(), along) {
                (1, _) => vec![value],
                (_, 0) => vec![value, at],
                _ => vec![at, value],
            };
            of.cell(&place)?.document.as_ref()
        };
        let documents: Vec<Option<&Document>> = (0..values.len()).map(document).collect();
        let title = match of.variables.len() {
            1 => "Time of a round".into(),
            _ => subject::named(&other.key, other.unit, &other.values[at]),
        };
        plot(of, variable, (&across, &up), &documents, &letters, (format!("curves-{number}-{at}"), title))
    });
    let plots: Vec<Markup> = plots.collect();
    html! {
        figure.curves {
            (key(letters.iter().enumerate().zip(&of.strategies).map(|((place, letter), name)| (*letter, place, name.as_str()))))
            div.plots.single[plots.len() == 1] { @for plot in &plots { (plot) } }
            figcaption {
                "Medians of the time of a round, with their 95\u{a0}% intervals"
                @if up.is_logarithmic() { ", on a logarithmic scale" }
                ". ○ where the fastest changes between two values at which it is sure which one it is, by a straight line between neighbours; "
                code { "procbench crossover" } " finds the value with an interval."
                @if every > 1 { " Of " (count(others as u64)) " values of " (other.key) ", every " (every) "th is drawn." }
            }
        }
    }
}

fn times(document: Option<&Document>) -> Vec<f64> {
    let rows = document.into_iter().flat_map(|document| &document.strategies);
    let totals = rows.filter_map(|row| Some(&row.summary.as_ref()?.total_seconds));
    totals
        .flat_map(|total| {
            let interval = total.interval.map(|interval| [interval.low, interval.high]);
            interval.into_iter().flatten().chain([total.median])
        })
        .collect()
}

fn plot(
    of: &Sweep,
    variable: &Variable,
    (across, up): (&Across, &Scale),
    documents: &[Option<&Document>],
    letters: &[char],
    (id, title): (String, String),
) -> Markup {
    let line = |place: usize| Line {
        name: of.strategies[place].clone(),
        letter: letters[place],
        place,
        points: points(documents, place),
    };
    let lines: Vec<Line> = (0..of.strategies.len()).map(line).collect();
    let decided = |document: &Option<&Document>| {
        let document = document.as_ref()?;
        let standing = document.standing.clone().or_else(|| Standing::of(document))?;
        let best = of.strategies.iter().position(|name| *name == standing.best);
        best.filter(|_| standing.outcome == Outcome::Best)
    };
    let decided: Vec<Option<usize>> = documents.iter().map(decided).collect();
    let rings = rings(&lines, &decided, across, up);
    let described = lines.iter().map(|line| {
        let value = |point: &Point| {
            format!(
                "{} at {}",
                seconds(point.value),
                sweep::value_in_words(variable.unit, &variable.values[point.at])
            )
        };
        format!("{}: {}.", line.name, line.points.iter().map(value).collect::<Vec<_>>().join(", "))
    });
    let description = described.collect::<Vec<_>>().join(" ");
    let (key, label, reference, bands) =
        (variable.key.as_str(), seconds_tick as fn(f64) -> String, None, Vec::new());
    html! { (Plot { id, title, description, key, across, up, label, reference, bands, rings, lines }) }
}

/// The median of the strategy at `place` in each document that has one.
pub fn points(documents: &[Option<&Document>], place: usize) -> Vec<Point> {
    let point = |(at, document): (usize, &Option<&Document>)| {
        let total = &document.as_ref()?.strategies.get(place)?.summary.as_ref()?.total_seconds;
        let interval = total.interval.map(|interval| (interval.low, interval.high));
        Some(Point { at, value: total.median, interval })
    };
    documents.iter().enumerate().filter_map(point).collect()
}

/// Where the fastest changes, as places. Only what was `decided` at two values says that it does between them: there the lowest line
/// becomes another, and where these two cross between neighbouring values is the place.
fn rings(lines: &[Line], decided: &[Option<usize>], across: &Across, up: &Scale) -> Vec<(f64, f64)> {
    let place_at = |line: &Line, at: usize| {
        let point = line.points.iter().find(|point| point.at == at)?;
        Some(up.place(point.value))
    };
    let lowest = |at: usize| {
        let places = lines.iter().enumerate().filter_map(|(place, line)| Some((place, place_at(line, at)?)));
        places.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(place, _)| place)
    };
    let ring = |at: usize| {
        let (before, after) = (lowest(at)?, lowest(at + 1)?);
        let (old, new) = (lines.get(before)?, lines.get(after)?);
        let from = place_at(new, at)? - place_at(old, at)?;
        let to = place_at(old, at + 1)? - place_at(new, at + 1)?;
        let part = from / (from + to);
        let between = |low: f64, high: f64| low + part * (high - low);
        let x = between(across.place_of(at), across.place_of(at + 1));
        let y = between(place_at(old, at)?, place_at(old, at + 1)?);
        (before != after && part.is_finite()).then_some((x, y))
    };
    let winners: Vec<(usize, usize)> =
        decided.iter().enumerate().filter_map(|(at, best)| Some((at, (*best)?))).collect();
    let changes = winners.windows(2).filter(|pair| pair[0].1 != pair[1].1);
    changes.filter_map(|pair| (pair[0].0..pair[1].0).find_map(ring)).collect()
}

fn method(of: &Sweep, run: &Document) -> Markup {
    let spec = &run.plan.run;
    html! {
        p {
            "Each cell is a benchmark of its own, with all strategies interleaved, so that \
             they are compared within it. Cells were run in an order drawn from seed " (of.seed) ", so that a machine that becomes \
             slower does not look like a trend."
        }
        p {
            "Up to " (count(spec.rounds)) " timed rounds of each strategy in each cell. A strategy is called the fastest if it \
             beats each of the others in pairs of rounds, by more than the margin; the more strategies there are, the surer each of \
             these comparisons must be, so that in a cell the wrong one is called the fastest in at most 1 of 20 cases."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line through `values`, of which some may be missing.
    fn line(place: usize, values: [Option<f64>; 4]) -> Line {
        let points = values.into_iter().enumerate();
        let points = points.filter_map(|(at, value)| Some(Point { at, value: value?, interval: None }));
        Line { name: String::new(), letter: 'x', place, points: points.collect() }
    }

    #[test]
    fn a_ring_stands_where_the_two_lowest_lines_cross_and_nowhere_else() {
        let words = ["a", "b", "c", "d"].map(|text| Value { text: text.into(), number: None });
        let across = Across::new(Unit::Word, &words.iter().collect::<Vec<_>>());
        let up = Scale::new([1.0, 5.0], Steps::Decimal).expect("a scale");
        let rising = line(0, [1.0, 2.0, 3.0, 4.0].map(Some));
        let falling = line(1, [2.5; 4].map(Some));
        // Crosses both, but is never the lowest.
        let high = line(2, [5.0, 4.5, 2.75, 4.8].map(Some));
        let lines = [rising, falling, high];
        let decided = [Some(0), Some(0), Some(1), Some(1)];
        let found = rings(&lines, &decided, &across, &up);
        // What is not decided in between makes no difference; where nothing is decided on one side, there is nothing to see.
        assert_eq!(rings(&lines, &[Some(0), None, None, Some(1)], &across, &up), found);
        assert_eq!(rings(&lines, &[None, None, Some(1), Some(1)], &across, &up), []);
        let middle = f64::midpoint(across.place_of(1), across.place_of(2));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!((found[0].0 - middle).abs() < 1e-9 && (found[0].1 - up.place(2.5)).abs() < 1e-9, "{found:?}");
        // Where one of the two has no point, nobody knows where.
        let broken = line(0, [Some(1.0), Some(2.0), None, Some(4.0)]);
        assert_eq!(rings(&[broken, line(1, [2.5; 4].map(Some))], &decided, &across, &up), []);
    }
}
