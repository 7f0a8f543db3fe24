//! What a page says of one run, and of several of the same workload.
//!
//! A document of another kind, such as a sweep, has a function like [`of_run`] in a file of its own, made of the same
//! figures and tables.

use maud::{Markup, html};

use super::charts::{self, Distribution};
use super::parts::{again, below, environment, heading, section, table, warnings};
use crate::document::{Document, Environment, Latency, Percentiles};
use crate::measure::bystander::Disturbance;
use crate::plan::command_line;
use crate::report::grid::glued;
use crate::report::numbers::count;
use crate::report::{in_python, plan, sentence, tables};

/// All about `run`, the `number`-th of the page, below a heading of `level`.
pub fn of_run(run: &Document, number: usize, level: &str) -> Markup {
    let below = below(level);
    let id = |name: &str| format!("{name}-{number}");
    let section = |title: &str, body: Markup| section(below, title, body);
    html! {
        (heading(level, html! { bdi { (glued(&plan::workload_in_words(run.plan.name.as_deref(), &run.plan.workload))) } }))
        p.facts { (plan::machine_in_words(&run.environment.machine)) " · " (run.started_at) }
        @if run.partial { p.partial { "This run was cut short: what is here was finished, the rest is not here." } }
        p.lead { (glued(&sentence::verdict(run))) }
        @if let Some(line) = in_python::of_answer(run) { p { code { bdi { (line) } } } }
        (section("Time", time(run, &id)))
        @if let Some(figure) = charts::speed_up(id("speed-up"), run) { (section("Speed-up", figure)) }
        (section("Memory", memory(run, &id)))
        @if let Some(latency) = latency(run, &id) { (section("Latency of tasks", latency)) }
        (section("Disturbance of others", disturbance(run, &id)))
        (section("Warnings", warnings(&run.warnings)))
        (section("Environment", environment(run)))
        (section("Method", method(run)))
        (section("Run it again", again(&command_line::of(&run.plan))))
    }
}

/// Every round, and the table.
pub fn time(run: &Document, id: &dyn Fn(&str) -> String) -> Markup {
    let caption = html! {
        "Each point is a round, the first on top; the line is their median, the band its 95\u{a0}% interval."
    };
    let rows = run.strategies.iter().map(|row| (row.name.clone(), row));
    let times = tables::timing(run);
    html! {
        @if let Some(figure) = charts::time(id("time"), rows, caption) { (figure) }
        (table(&times, "Time of a round, by strategy", tables::timing_legend(run, &times)))
    }
}

/// The processes' and the kernel's, and the table.
pub fn memory(run: &Document, id: &dyn Fn(&str) -> String) -> Markup {
    let memory = tables::memory(run);
    html! {
        @if let Some(figure) = charts::memory(id("memory"), run) { (figure) }
        (table(&memory, "Memory, by strategy", tables::memory_legend(run, &memory)))
    }
}

/// How long tasks waited and took, and the table; nothing where that was not asked for.
pub fn latency(run: &Document, id: &dyn Fn(&str) -> String) -> Option<Markup> {
    let grid = tables::latency(run)?;
    let rows = || run.strategies.iter().filter_map(|row| Some((row.name.as_str(), row.latency.as_ref()?)));
    let waits = rows().map(|(name, latency)| {
        let Latency { wait, wait_histogram, .. } = latency;
        Distribution { name, percentiles: *wait, seen: wait_histogram.as_ref() }
    });
    let services = rows().map(|(name, latency)| {
        let Latency { service, service_histogram, .. } = latency;
        Distribution { name, percentiles: *service, seen: service_histogram.as_ref() }
    });
    let wait =
        html! { "From the start of the clock to the start of a task: " (charts::key_of_distribution()) };
    let service = html! { "From the start of a task to its end: " (charts::key_of_distribution()) };
    Some(html! {
        @if let Some(figure) = charts::distribution(id("wait"), "how long tasks waited", waits, wait) { (figure) }
        @if let Some(figure) = charts::distribution(id("task"), "how long tasks took", services, service) { (figure) }
        (table(&grid, "Latency of tasks, by strategy", Some(tables::latency_legend(run))))
    })
}

fn disturbance(run: &Document, id: &dyn Fn(&str) -> String) -> Markup {
    let percentiles = |late: &Disturbance| {
        let max_seconds = late.max_seconds?;
        let (p50_seconds, p99_seconds) = (late.p50_seconds, late.p99_seconds);
        Some(Percentiles { p50_seconds, p90_seconds: None, p99_seconds, max_seconds, count: late.count })
    };
    let Environment { idle_disturbance, idle_disturbance_histogram, .. } = &run.environment;
    let idle = [(tables::IDLE, Some(*idle_disturbance), idle_disturbance_histogram.as_ref())];
    let rows = run
        .strategies
        .iter()
        .map(|row| (row.name.as_str(), row.disturbance, row.disturbance_histogram.as_ref()))
        .chain(idle)
        .filter_map(|(name, late, seen)| {
            Some(Distribution { name, percentiles: percentiles(&late?)?, seen })
        });
    let caption = html! {
        "How late a bystander woke that sleeps 10 ms at a time: " i.key.mark { "● p50" } ", " i.key.mark { "┃ p99" } ", "
        i.key.mark { "○ the latest" } ". " (charts::KEY_OF_COLUMNS)
    };
    html! {
        @if let Some(figure) = charts::distribution(id("late"), "lateness", rows, caption) { (figure) }
        (table(&tables::disturbance(run), "Lateness of a bystander", Some(tables::disturbance_legend(run))))
    }
}

fn method(run: &Document) -> Markup {
    let spec = &run.plan.run;
    html! {
        p {
            "The sample is the round: the whole workload, once, by one strategy, in a fresh runner process. Strategies are \
             interleaved: each runs once, in an order drawn from the seed, before any runs again. The clock runs from before \
             anything is created until every worker is gone; arguments are made and handed over while it runs, and every task \
             must have been executed exactly once, with the right result."
        }
        p {
            "Up to " (count(spec.rounds)) " timed rounds of each strategy after " (count(spec.warmup.max(1))) " to warm up, in \
             the first of which (three, where it is sampled) memory is measured; seed " (spec.seed) ". Medians and 95\u{a0}% \
             intervals are by a seeded bootstrap, comparisons within rounds; no round is dropped. With fewer than five there is neither interval nor verdict."
        }
        table.words {
            caption { "Strategies, as resolved" }
            tbody {
                @for row in &run.plan.strategies {
                    tr {
                        th scope="row" { bdi { (row.name) } }
                        td {
                            (row.engine.name()) " " (row.mode.name())
                            @let settings = plan::settings_in_words(&row.settings);
                            @if !settings.is_empty() { ", " (settings) }
                        }
                    }
                }
            }
        }
    }
}

/// The strategies of `runs` of one workload, each with its number, below each other. It is the `number`-th overview of the page, and
/// `is_only` where there are no other runs.
pub fn overview(runs: &[(usize, &Document)], number: usize, is_only: bool) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    for name in runs.iter().flat_map(|(_, run)| &run.strategies).map(|row| row.name.as_str()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let rows = names.iter().flat_map(|name| {
        runs.iter().filter_map(move |(number, run)| {
            let row = run.strategies.iter().find(|row| row.name == **name)?;
            Some((format!("{name}, run {number}"), row))
        })
    });
    let caption = html! {
        "Runs of one workload, strategy by strategy. Each point is a round, the first on top; the line is their median, the band its \
         95\u{a0}% interval. Rounds of different runs are no pairs: " code { "procbench compare" } " gives their ratios."
    };
    // Strips of a figure are numbered behind its own name.
    let id = format!("overview-of-{number}");
    let numbers: Vec<String> = runs.iter().map(|(number, _)| number.to_string()).collect();
    html! {
        h2 { "Overview" @if !is_only { " of runs " (numbers.join(", ")) } }
        @if let Some(figure) = charts::time(id, rows, caption) { (figure) }
    }
}
