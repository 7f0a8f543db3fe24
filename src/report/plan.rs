//! A plan, in words and with its expected cost: what `--dry-run` shows.

use std::io::{self, Write};

use super::numbers::{bytes, count, seconds};
use super::style::{TITLE, paint};
use super::tables::wrap;
use crate::engine::Strategy;
use crate::mode::Mode;
use crate::plan::{Machine, Plan};
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

/// What a round of `strategy` should take, in seconds. A rule of thumb, from costs measured on common machines: it is
/// there to warn of hours, not to be compared with.
pub fn expected_seconds(strategy: &Strategy, workload: &WorkloadSpec, cores: u64) -> f64 {
    const FORK: f64 = 60e-6;
    const FORK_PER_PARENT_BYTE: f64 = 10e-12;
    let tasks = workload.tasks as f64;
    let busy = workload.expected_task_seconds() - workload.io_wait_seconds;
    let wait = workload.io_wait_seconds;
    let workers = strategy.settings.workers.unwrap_or(1) as f64;
    let at_once = workers.min(cores as f64);
    let fork = FORK + FORK_PER_PARENT_BYTE * workload.parent_memory_bytes as f64;
    match strategy.mode {
        Mode::Serial => workload.init_seconds + tasks * (busy + wait),
        Mode::Threads | Mode::Pool => {
            let start = if strategy.mode == Mode::Pool { workers * fork } else { 0.0 };
            start + workload.init_seconds + (tasks * busy / at_once).max(tasks * (busy + wait) / workers)
        }
        Mode::Process => {
            let in_flight = strategy.settings.in_flight.unwrap_or(1) as f64;
            let computing = tasks * (busy + workload.init_seconds) / (in_flight.min(cores as f64));
            (tasks * fork).max(computing).max(tasks * wait / in_flight) + wait
        }
    }
}

/// What a round of `strategy` should need at its peak, in bytes. A rule of thumb, like the time.
pub fn expected_bytes(strategy: &Strategy, workload: &WorkloadSpec, machine: &Machine) -> u64 {
    const RUNNER: u64 = 2 << 20;
    let board = workload.tasks * (8 + workload.result_size_bytes);
    let per_process = machine.parked_process_bytes
        + workload.memory_bytes
        + workload.arg_size_bytes
        + workload.result_size_bytes;
    let alive = match strategy.mode {
        Mode::Serial => 0,
        Mode::Threads => strategy.settings.workers.unwrap_or(1),
        Mode::Pool => strategy.settings.workers.unwrap_or(1),
        // Tasks that neither wait nor compute end about as fast as they are started.
        Mode::Process if workload.expected_task_seconds() < 50e-6 => {
            strategy.settings.in_flight.unwrap_or(1).min(100)
        }
        Mode::Process => strategy.settings.in_flight.unwrap_or(1),
    };
    RUNNER + board + workload.parent_memory_bytes + workload.memory_bytes + alive * per_process
}

/// Writes the plan.
///
/// # Errors
/// What writing to `out` says.
pub fn write(plan: &Plan, machine: &Machine, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}\n", paint(TITLE, &workload_in_words(plan.name.as_deref(), &plan.workload)))?;
    let cores = machine.effective_cores;
    let mut least = 0.0;
    for strategy in &plan.strategies {
        let time = expected_seconds(strategy, &plan.workload, cores);
        // One round for memory, further ones to warm up, and as many timed ones as the budget allows.
        let rounds = match plan.run.time_budget_seconds {
            Some(budget) => (plan.run.rounds as f64).min((budget / time).floor().max(1.0)),
            None => plan.run.rounds as f64,
        };
        least += time * (rounds + plan.run.warmup.max(1) as f64);
        let mut settings = Vec::new();
        let resolved = &strategy.settings;
        settings.extend(resolved.workers.map(|workers| format!("{workers} workers")));
        settings.extend(resolved.chunk.map(|chunk| format!("chunk {chunk}")));
        settings
            .extend(resolved.in_flight.map(|in_flight| format!("at most {} in flight", count(in_flight))));
        settings.extend(resolved.start.map(|start| start.name().to_owned()));
        settings.extend(resolved.transport.map(|transport| transport.name().to_owned()));
        writeln!(
            out,
            "  {:<24} about {} a round, {} at its peak, {rounds:.0} {}",
            strategy.name,
            seconds(time),
            bytes(expected_bytes(strategy, &plan.workload, machine)),
            if rounds == 1.0 { "round" } else { "rounds" }
        )?;
        if !settings.is_empty() {
            writeln!(out, "  {:<24} {}", "", settings.join(", "))?;
        }
    }
    let run = &plan.run;
    writeln!(out)?;
    let budget = run.time_budget_seconds.map(|budget| format!(" within {} for each", seconds(budget)));
    let lines = format!(
        "Up to {} timed {} of each strategy{}, after {} to warm up (memory is measured in the first); seed {}; \
         baseline {}. Expected to take about {} on {cores} cores. These are rules of thumb; nothing was run.",
        run.rounds,
        if run.rounds == 1 { "round" } else { "rounds" },
        budget.unwrap_or_default(),
        run.warmup.max(1),
        run.seed,
        run.baseline,
        seconds(least)
    );
    for line in wrap(&lines) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
