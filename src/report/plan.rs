//! A plan, in words and with its expected cost: what `--dry-run` shows.

use std::io::{self, Write};
use std::path::Path;

use super::numbers::{bytes, count, percent, seconds};
use super::style::{TITLE, paint};
use super::tables::wrap;
use crate::experiment::pilot::Estimate;
use crate::measure::storage::Storage;
use crate::mode::Settings;
use crate::plan::{Plan, estimate};
use crate::workload::{Io, Kind, Spread, WorkloadSpec};

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
    let wait = match workload.io {
        Io::Echo => "waiting for a peer",
        _ => "I/O wait",
    };
    add(workload.io_wait_seconds, &|time| format!("{time} of {wait}"));
    add(workload.init_seconds, &|time| format!("{time} of start-up for each executing process or thread"));
    let mut add = |value: u64, text: &dyn Fn(String) -> String| {
        if value > 0 {
            each.push(text(bytes(value)));
        }
    };
    add(workload.arg_size_bytes, &|size| format!("{size} of argument"));
    add(workload.result_size_bytes, &|size| format!("{size} of result"));
    let io = workload.io;
    add(workload.io_size_bytes, &|size| match io {
        Io::Sleep | Io::Echo => format!("an echo of {size}"),
        Io::Fsync => format!("a file of {size} written and synchronised"),
        Io::Read => format!("{size} read from a file that is not in memory"),
    });
    add(workload.memory_bytes, &|size| format!("{size} of private memory"));
    add(workload.shared_bytes, &|size| format!("{size} of shared input"));
    add(workload.parent_memory_bytes, &|size| format!("{size} held by the parent"));
    match &workload.spread {
        Spread::Constant => {}
        Spread::Trace(path) => {
            let file = path.file_name().unwrap_or(path.as_os_str());
            each.push(format!("durations from {}", file.display()));
        }
        drawn => each.push(format!("durations {drawn}")),
    }
    let tasks =
        if workload.tasks == 1 { "1 task".into() } else { format!("{} tasks", count(workload.tasks)) };
    let what = if each.is_empty() { "doing nothing".to_owned() } else { format!("each {}", each.join(", ")) };
    match name {
        Some(name) => format!("{name}: {tasks}, {what}"),
        None => format!("{tasks}, {what}"),
    }
}

/// Where I/O is done in one line: `I/O in /data: ext4 on /dev/sda1, mounted at /`.
pub fn storage_in_words(storage: &Storage) -> String {
    let known = |text: Option<&str>| text.unwrap_or("unknown").to_owned();
    format!(
        "I/O in {}: {} on {}, mounted at {}",
        storage.folder.display(),
        known(storage.file_system.as_deref()),
        known(storage.device.as_deref()),
        known(storage.mount_point.as_deref().and_then(Path::to_str))
    )
}

/// Writes the plan, with what it is expected to take.
///
/// # Errors
/// What writing to `out` says.
pub fn write(
    plan: &Plan,
    parked_bytes: u64,
    storage: Option<&Storage>,
    estimate: &Estimate,
    out: &mut dyn Write,
) -> io::Result<()> {
    for line in wrap(&workload_in_words(plan.name.as_deref(), &plan.workload)) {
        writeln!(out, "{}", paint(TITLE, &line))?;
    }
    if let Some(storage) = storage {
        wrap(&storage_in_words(storage)).iter().try_for_each(|line| writeln!(out, "{line}"))?;
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
        let memory = bytes(estimate::round_bytes(strategy, &plan.workload, parked_bytes));
        let name = name.unwrap_or_default();
        writeln!(out, "  {name:<width$}  about {time} a round ({tried}), {memory} at its peak")?;
        let settings = settings_in_words(&strategy.settings);
        if !settings.is_empty() {
            writeln!(out, "  {:<width$}  {settings}", "")?;
        }
    }
    let run = &plan.run;
    writeln!(out)?;
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

fn settings_in_words(settings: &Settings) -> String {
    let words = [
        settings.workers.map(|workers| format!("{} workers", count(workers))),
        settings.chunk.map(|chunk| format!("chunk {}", count(chunk))),
        settings.in_flight.map(|in_flight| format!("at most {} in flight", count(in_flight))),
        settings.start.map(|start| format!("start {}", start.name())),
        settings.transport.map(|transport| format!("through {}", transport.name())),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
