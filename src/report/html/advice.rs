//! What a page says of a search for the best strategy: the answer, the finalists, and who was given up.

use maud::{Markup, html};

use super::parts::{again, below, environment, heading, section, table, warnings};
use super::section::{latency, memory, time};
use crate::report::grid::glued;
use crate::report::numbers::seconds;
use crate::report::{advise, plan};
use crate::study::advise::document::Advice;

/// All about `of`, the `number`-th of the page, below a heading of `level`.
pub fn of_advice(of: &Advice, number: usize, level: &str) -> Markup {
    let below = below(level);
    let section = |title: &str, body: Markup| section(below, title, body);
    let id = |name: &str| format!("{name}-{number}");
    let some = of.finals.as_ref().or(of.races.first());
    html! {
        (heading(level, html! { bdi { (glued(&advise::title(of))) } }))
        p.facts {
            @if let Some(run) = some { (plan::machine_in_words(&run.environment.machine)) " · " }
            (of.head.started_at)
        }
        @if of.head.partial { p.partial { "This search was interrupted: what is here was finished." } }
        p.lead { (glued(&advise::answer(of))) }
        @if let Some(line) = advise::in_python(of) { p { code { bdi { (line) } } } }
        @if !of.command.is_empty() { (again(&advise::command(of))) }
        @if let Some(finals) = &of.finals {
            (section("Finalists", table(&advise::table(of), "Finalists, the best first", Some(advise::legend(of)))))
            (section("Time", html! {
                (time(finals, &id))
                @if finals.strategies.len() > 1 {
                    p.dim {
                        "Each band holds its own median in 95\u{a0}% of cases. In the table above all intervals hold theirs at once in \
                         95\u{a0}% of cases, so those are wider."
                    }
                }
            }))
            (section("Memory", memory(finals, &id)))
            @if let Some(latency) = latency(finals, &id) { (section("Latency of tasks", latency)) }
        }
        (section("Everybody that was looked at", table(
            &advise::search_table(of), "Strategies in the order of the races", Some(SEARCH_LEGEND.into())
        )))
        @if let Some(finals) = &of.finals { (section("Warnings", warnings(&finals.warnings))) }
        @if let Some(run) = some { (section("Environment", environment(run))) }
        (section("Method", method(of)))
        (section("Search again", again(&of.head.command_in_words())))
    }
}

const SEARCH_LEGEND: &str = "expected: what a round should take, by a few tasks · median, rounds: of the race · given up: why it left, if it did";

fn method(of: &Advice) -> Markup {
    html! {
        p {
            "A race: all who are still in it run each round next to each other, so that they are compared in pairs. Losers are given up \
             early, by an estimate from a few tasks, in the middle of a round that lasts several times as long as the best's, or by \
             their rounds. The search took " (seconds(of.elapsed_seconds)) " of " (seconds(of.time_limit_seconds)) " allowed."
        }
        p {
            "Times, memory and leads of the finalists are of rounds that were run after the search, so that whoever was lucky in the \
             race has to be lucky again."
        }
    }
}
