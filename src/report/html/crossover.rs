//! What a page says of a crossover: the curve of the ratio with its interval, and the times.

use maud::{Markup, html};

use super::charts::{seconds_tick, times_tick};
use super::parts::{again, below, environment, heading, section, table, warnings};
use super::plot::{Across, Line, Plot, Point, key};
use super::scale::{Scale, Steps};
use super::sweep::points;
use crate::document::Document;
use crate::plan::vary::Value;
use crate::report::grid::glued;
use crate::report::numbers::{count, seconds, times};
use crate::report::sweep::{letters, value_in_words};
use crate::report::{crossover, plan};
use crate::study::crossover::document::Crossovers;

/// All about `of`, the `number`-th of the page, below a heading of `level`.
pub fn of_crossover(of: &Crossovers, number: usize, level: &str) -> Markup {
    let below = below(level);
    let first = of.points.first().map(|point| &point.document);
    html! {
        (heading(level, html! { bdi { (glued(&crossover::title(of))) } }))
        p.facts {
            @if let Some(run) = first { (plan::machine_in_words(&run.environment.machine)) " · " }
            (of.head.started_at)
        }
        @if of.head.partial { p.partial { "This search was cut short: what is here was finished." } }
        p.lead { (glued(&crossover::verdict(of))) }
        (section(below, if of.crossings.is_empty() { "Who is faster where" } else { "Where they cross" }, curves(of, number)))
        (section(below, "Values that were looked at", table(&crossover::table(of), "Time of a round, by value", Some(crossover::legend(of)))))
        (section(below, "Warnings", warnings(&crossover::warnings(of))))
        @if let Some(run) = first { (section(below, "Environment", environment(run))) }
        (section(below, "Method", method(of)))
        (section(below, "Run it again", again(&of.head.command_in_words())))
    }
}

fn curves(of: &Crossovers, number: usize) -> Markup {
    let values: Vec<&Value> = of.points.iter().map(|point| &point.value).collect();
    let across = Across::new(of.unit, &values);
    let place = |value: &Value| across.place(value.number.unwrap_or(0.0));
    let bands: Vec<(f64, f64)> =
        of.crossings.iter().map(|crossing| (place(&crossing.low), place(&crossing.high))).collect();
    let [first, second] = &of.between;
    html! {
        figure.curves {
            (key(letters(&of.between).into_iter().zip([first, second]).enumerate().map(|(place, (letter, name))| (letter, place, name.as_str()))))
            div.plots {
                @if let Some(plot) = ratios(of, &across, &bands, number) { (plot) }
                @if let Some(plot) = both(of, &across, &bands, number) { (plot) }
            }
            figcaption {
                "Left, or above: how many times as fast as " bdi { (second) } " " bdi { (first) } " is, in pairs of rounds, with the 95\u{a0}% \
                 interval of those alone; since more are run where it is hard to tell, who is faster takes more than that. Beside it the medians of both."
                @if !of.crossings.is_empty() { " A band is an interval in which they cross, ○ where they most likely do." }
            }
        }
    }
}

/// How many times as fast as the second the first is.
fn ratios(of: &Crossovers, across: &Across, bands: &[(f64, f64)], number: usize) -> Option<Markup> {
    let point = |(at, point): (usize, &crate::study::crossover::document::Point)| {
        let speed_up = point.speed_up?;
        Some(Point { at, value: speed_up.ratio, interval: speed_up.ci_low.zip(speed_up.ci_high) })
    };
    let points: Vec<Point> = of.points.iter().enumerate().filter_map(point).collect();
    let ends = points.iter().flat_map(|point| {
        point.interval.into_iter().flat_map(|(low, high)| [low, high]).chain([point.value])
    });
    let up = &Scale::of_ratios(ends)?;
    let described = points.iter().map(|point| {
        format!("{} at {}", times(point.value), value_in_words(of.unit, &of.points[point.at].value))
    });
    let description = described.collect::<Vec<_>>().join(", ");
    let estimates = of.crossings.iter().filter_map(|crossing| crossing.estimate.number);
    let rings = estimates.map(|number| (across.place(number), up.place(1.0))).collect();
    let (label, reference) = (times_tick as fn(f64) -> String, Some(1.0));
    let (id, title) = (format!("ratio-{number}"), format!("{} against {}", of.between[0], of.between[1]));
    let lines = vec![Line { name: title.clone(), letter: ' ', place: 0, points }];
    let (key, bands) = (of.key.as_str(), bands.to_vec());
    Some(html! { (Plot { id, title, description, key, across, up, label, reference, bands, rings, lines }) })
}

/// The times of both.
fn both(of: &Crossovers, across: &Across, bands: &[(f64, f64)], number: usize) -> Option<Markup> {
    let documents: Vec<Option<&Document>> = of.points.iter().map(|point| Some(&point.document)).collect();
    let letters = letters(&of.between);
    let line = |(place, name): (usize, &String)| Line {
        name: name.clone(),
        letter: letters[place],
        place,
        points: points(&documents, place),
    };
    let lines: Vec<Line> = of.between.iter().enumerate().map(line).collect();
    let ends = lines.iter().flat_map(|line| &line.points).flat_map(|point| {
        point.interval.into_iter().flat_map(|(low, high)| [low, high]).chain([point.value])
    });
    let up = &Scale::new(ends, Steps::Decimal)?;
    let described = lines.iter().map(|line| {
        let value = |point: &Point| {
            format!("{} at {}", seconds(point.value), value_in_words(of.unit, &of.points[point.at].value))
        };
        format!("{}: {}.", line.name, line.points.iter().map(value).collect::<Vec<_>>().join(", "))
    });
    let description = described.collect::<Vec<_>>().join(" ");
    let (label, reference) = (seconds_tick as fn(f64) -> String, None);
    let (id, title) = (format!("times-{number}"), "Time of a round".to_owned());
    let (key, bands, rings) = (of.key.as_str(), bands.to_vec(), Vec::new());
    Some(html! { (Plot { id, title, description, key, across, up, label, reference, bands, rings, lines }) })
}

fn method(of: &Crossovers) -> Markup {
    html! {
        p {
            "Bisection with a noisy answer: a coarse grid over the whole range finds where the faster one changes, and each change is \
             then narrowed until its upper end is at most " (format!("{:.0}", of.width * 100.0)) "\u{a0}% above the lower one, or the two are not \
             distinguished in between. At each value both run next to each other, up to " (count(of.most_rounds as u64)) " rounds, \
             twice as many at the ends of the range, until it is sure who is faster there."
        }
        p {
            "A value is told by who was faster in each round, so no distribution is assumed, and evidence is counted so that looking \
             after each round is no cheating: where there is nothing to be found, a value is told wrongly in at most 1 of 100 cases."
        }
    }
}
