//! A plan, in words and with its expected cost: what `--dry-run` shows.

use std::io::{self, Write};

use super::numbers::{bytes, count, percent, seconds};
use super::style::{TITLE, paint};
use super::tables::wrap;
use crate::engine::python::Interpreter;
use crate::experiment::pilot::Estimate;
use crate::mode::Settings;
use crate::plan::{Machine, Plan, estimate};
use crate::workload::{Kind, Spread, WorkloadSpec};

/// The workload in one line: `20,000 tasks, each 20 µs of CPU work`.
pub fn workload_in_words(name: Option<&str>, workload: &WorkloadSpec) -> String {
    let mut each = Vec::new();
    match workload.kind {
        Kind::Synthetic => {}
        Kind::File => each.push("creates a file and writes \"hi\" four times".to_owned()),
        Kind::Expression => each.push(format!(
            "evaluates an Excel expression with {} arguments",
            count(workload.expression_args)
        )),
    }
    let mut add = |value: f64, text: &dyn Fn(String) -> String| {
        if value > 0.0 {
            each.push(text(seconds(value)));
        }
    };
    add(workload.cpu_seconds, &|time| format!("{time} of CPU work"));
    add(workload.io_wait_seconds, &|time| format!("{time} of I/O wait"));
    add(workload.init_seconds, &|time| format!("{time} of start-up for each executing process or thread"));
    let mut add = |value: u64, text: &dyn Fn(String) -> String| {
        if value > 0 {
            each.push(text(bytes(value)));
        }
    };
    add(workload.arg_size_bytes, &|size| format!("{size} of argument"));
    add(workload.result_size_bytes, &|size| format!("{size} of result"));
    add(workload.memory_bytes, &|size| format!("{size} of private memory"));
    add(workload.parent_memory_bytes, &|size| format!("{size} held by the parent"));
    if workload.spread != Spread::Constant {
        each.push(format!("durations {}", workload.spread));
    }
    let tasks =
        if workload.tasks == 1 { "1 task".into() } else { format!("{} tasks", count(workload.tasks)) };
    let what = if each.is_empty() { "doing nothing".to_owned() } else { format!("each {}", each.join(", ")) };
    match name {
        Some(name) => format!("{name}: {tasks}, {what}"),
        None => format!("{tasks}, {what}"),
    }
}

/// Writes the plan, with what it is expected to take.
///
/// # Errors
/// What writing to `out` says.
pub fn write(plan: &Plan, machine: &Machine, estimate: &Estimate, out: &mut dyn Write) -> io::Result<()> {
    for line in wrap(&workload_in_words(plan.name.as_deref(), &plan.workload)) {
        writeln!(out, "{}", paint(TITLE, &line))?;
    }
    writeln!(out)?;
    // Wider names would not leave enough of 80 columns for the rest.
    const WIDEST: usize = 10;
    let width = plan.strategies.iter().map(|strategy| strategy.name.chars().count());
    let width = width.max().unwrap_or(0).min(WIDEST);
    for strategy in &plan.strategies {
        let round = estimate.rounds.iter().find(|round| round.strategy == strategy.name);
        let time = round.map_or_else(|| "?".into(), |round| seconds(round.round_seconds));
        let tried = match round.and_then(|round| round.pilot_tasks) {
            Some(tasks) => format!("{} tried", count(tasks)),
            None => "a rule of thumb".into(),
        };
        // What does not fit into the column has a line of its own.
        let name = Some(strategy.name.as_str()).filter(|name| name.chars().count() <= width);
        if name.is_none() {
            writeln!(out, "  {}", strategy.name)?;
        }
        let memory = bytes(estimate::round_bytes(strategy, &plan.workload, machine.parked_process_bytes));
        let name = name.unwrap_or_default();
        writeln!(out, "  {name:<width$}  about {time} a round ({tried}), {memory} at its peak")?;
        let settings = settings_in_words(&strategy.settings);
        if !settings.is_empty() {
            writeln!(out, "  {:<width$}  {settings}", "")?;
        }
    }
    let run = &plan.run;
    writeln!(out)?;
    for line in machine.python.iter().flat_map(|python| wrap(&python_in_words(python))) {
        writeln!(out, "{line}")?;
    }
    let budget = run.time_budget_seconds.map(|budget| format!(" within {} for each", seconds(budget)));
    let precision = run.precision.map(|precision| format!(", or until ±{} is reached", percent(precision)));
    let tried = estimate.rounds.iter().any(|round| round.pilot_tasks.is_some());
    let lines = format!(
        "Up to {} timed rounds of each strategy{}{}, after {} to warm up (memory is measured in the first); seed {}; \
         baseline {}; margin {}. The whole run takes about {} at most; nothing was run{}.",
        run.rounds,
        budget.unwrap_or_default(),
        precision.unwrap_or_default(),
        run.warmup.max(1),
        run.seed,
        run.baseline,
        percent(run.margin),
        seconds(estimate.run_seconds),
        if tried { " but the tasks tried" } else { "" }
    );
    for line in wrap(&lines) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Which Python: `python: CPython 3.11.7, /usr/bin/python3, which forks by default`.
pub fn python_in_words(python: &Interpreter) -> String {
    let Interpreter { path, implementation, version, default_start, global_lock, .. } = python;
    let lock = if *global_lock { "" } else { ", without a global lock" };
    let (path, start) = (path.display(), default_start.name());
    format!("python: {implementation} {version}{lock}, {path}; its own start method is {start}")
}

fn settings_in_words(settings: &Settings) -> String {
    let words = [
        settings.workers.map(|workers| format!("{} workers", count(workers))),
        settings.chunk.map(|chunk| format!("chunk {}", count(chunk))),
        settings.in_flight.map(|in_flight| format!("at most {} in flight", count(in_flight))),
        settings.start.map(|start| format!("start {}", start.name())),
        settings.api.map(|api| format!("by {}", api.name())),
        settings.max_tasks_per_child.map(|most| format!("{} chunks for each child", count(most))),
        settings.transport.map(|transport| format!("through {}", transport.name())),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
