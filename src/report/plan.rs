//! A plan, in words and with its expected cost: what `--dry-run` shows.

use std::io::{self, Write};
use std::path::Path;

use super::grid::wrap;
use super::numbers::{bytes, count, exact_percent, seconds};
use super::style::{self, TITLE, paint};
use crate::document::{Document, OTHERS_NOT_SEEN};
use crate::engine::python::Interpreter;
use crate::engine::{Engine, tool};
use crate::experiment::pilot::Estimate;
use crate::measure::environment::{Environment, Quota};
use crate::measure::storage::Storage;
use crate::mode::Settings;
use crate::plan::{Machine, Plan, SEVERAL_MEMORY_ROUNDS, estimate};
use crate::workload::program::{PLACEHOLDER, SHELL};
use crate::workload::{Io, Kind, OnFailure, Spread, WorkloadSpec};

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
        Kind::Command => each.push(format!("runs {}", program_in_words(workload))),
        Kind::Worker => each.push(format!("a line to {}", program_in_words(workload))),
        Kind::Call => each.push(format!("a call of {}", program_in_words(workload))),
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
    match &workload.spread {
        Spread::Constant => {}
        Spread::Trace(path) => {
            let file = path.file_name().unwrap_or(path.as_os_str());
            let file = file.display();
            each.push(match workload.trace.map(|trace| trace.durations) {
                Some(all) if all > workload.tasks => format!(
                    "durations from {file} (the first {} of {}; the mean is that of all)",
                    count(workload.tasks),
                    count(all)
                ),
                _ => format!("durations from {file}"),
            });
        }
        drawn => each.push(format!("durations {drawn}")),
    }
    let tasks =
        if workload.tasks == 1 { "1 task".into() } else { format!("{} tasks", count(workload.tasks)) };
    let mut what = vec![match each.is_empty() {
        true => "doing nothing".to_owned(),
        false => format!("each {}", each.join(", ")),
    }];
    if workload.init_seconds > 0.0 {
        let time = seconds(workload.init_seconds);
        what.push(format!("{time} of start-up for each executing process or thread"));
    }
    if workload.shared_bytes > 0 {
        what.push(format!("{} of shared input that each task reads", bytes(workload.shared_bytes)));
    }
    if workload.parent_memory_bytes > 0 {
        what.push(format!("{} held by the parent", bytes(workload.parent_memory_bytes)));
    }
    let what = what.join("; ");
    match name {
        Some(name) => format!("{name}: {tasks}, {what}"),
        None => format!("{tasks}, {what}"),
    }
}

/// The program as it might be typed, or as much of it as fits into a title.
fn program_in_words(workload: &WorkloadSpec) -> String {
    const LONGEST: usize = 100;
    let Some(program) = &workload.program else { return String::new() };
    let words: Vec<String> = program.words.iter().map(|word| quoted(word, program.shell)).collect();
    let text = words.join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A word as a shell would have to be given it; what a terminal could take for a command to itself is spelt out.
fn quoted(word: &str, plain: bool) -> String {
    let word = if plain || word == PLACEHOLDER {
        word.into()
    } else {
        shlex::try_quote(word).unwrap_or(word.into())
    };
    word.chars().flat_map(|c| if style::steers(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Says what a plan's tasks execute, word by word, and nothing where they execute no program.
///
/// # Errors
/// What writing to `out` says.
pub fn write_program(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    write_programs(std::slice::from_ref(plan), out)
}

/// The same of several plans of the same program, such as those of a sweep's cells.
///
/// # Errors
/// What writing to `out` says.
pub fn write_programs(plans: &[Plan], out: &mut dyn Write) -> io::Result<()> {
    let Some(plan) = plans.first() else { return Ok(()) };
    let (Some(words), Some(program)) = (plan.words(), &plan.workload.program) else { return Ok(()) };
    let each = match plan.workload.kind {
        Kind::Command => "Each task of each round executes, word by word",
        Kind::Call => "Each task of each round calls, as Python",
        _ => "Each worker of each round executes, word by word",
    };
    writeln!(out, "{each}:")?;
    for word in &words {
        writeln!(out, "    {}", quoted(word, false))?;
    }
    let of_lines = match &program.args_from {
        Some(from) if from == "-" => "a line of standard input".into(),
        Some(from) => format!("a line of {from}"),
        None => "the task's number".into(),
    };
    match plan.workload.kind {
        Kind::Command if words.iter().any(|word| word.contains(PLACEHOLDER)) => {
            writeln!(out, "where {PLACEHOLDER} is {of_lines}")?;
        }
        Kind::Call => writeln!(
            out,
            "with {of_lines}, importing its module from {}",
            quoted(&program.file.to_string_lossy(), true)
        )?,
        Kind::Worker => writeln!(out, "and is told {of_lines} for each task")?,
        _ => {}
    }
    write_tools(plans, out)?;
    if let Some(text) = &program.prepare {
        writeln!(out, "Before each round {SHELL} executes:\n    {}", quoted(text, true))?;
    }
    if !program.success_codes.is_default() {
        writeln!(out, "Exit codes that are no failure: {}", program.success_codes)?;
    }
    if let Some(folder) = &program.output {
        writeln!(out, "What they write is kept in {}", folder.display())?;
    }
    Ok(())
}

/// Says what the rows of tools start, which then start those commands.
fn write_tools(plans: &[Plan], out: &mut dyn Write) -> io::Result<()> {
    let mut started: Vec<(&str, Vec<String>)> = Vec::new();
    for (row, workload) in
        plans.iter().flat_map(|plan| plan.strategies.iter().map(|row| (row, &plan.workload)))
    {
        let Some(words) = tool::command_line(row, workload) else { continue };
        let words = words.iter().map(|word| quoted(word, false)).collect::<Vec<_>>().join(" ");
        match started.iter_mut().find(|(name, _)| *name == row.name) {
            Some((_, lines)) if lines.contains(&words) => {}
            Some((_, lines)) => lines.push(words),
            None => started.push((&row.name, vec![words])),
        }
    }
    for (name, lines) in &started {
        let one_of = if lines.len() > 1 { " one of these, as the cell is" } else { "" };
        writeln!(out, "To start these, each round of {name} executes{one_of}:")?;
        lines.iter().try_for_each(|words| writeln!(out, "    {words}"))?;
    }
    let engines = || plans.iter().flat_map(|plan| &plan.strategies).map(|row| row.engine);
    if engines().any(Engine::is_tool) {
        let log = if engines().any(|engine| engine == Engine::Parallel) {
            format!("; {} is one in memory, for its log", tool::ROUNDS_OWN_FILE)
        } else {
            String::new()
        };
        let lines = format!(
            "It reads what is handed to commands, each ended by a zero byte{log}. In the first rounds, which are not timed, procbench itself \
             stands before the command's words, notes them and becomes the command."
        );
        wrap(&lines).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    Ok(())
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
    machine: &Machine,
    storage: Option<&Storage>,
    estimate: Option<&Estimate>,
    out: &mut dyn Write,
) -> io::Result<()> {
    for line in wrap(&workload_in_words(plan.name.as_deref(), &plan.workload)) {
        writeln!(out, "{}", paint(TITLE, &line))?;
    }
    if let Some(storage) = storage {
        wrap(&storage_in_words(storage)).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    writeln!(out)?;
    if plan.workload.program.is_some() {
        write_program(plan, out)?;
        writeln!(out)?;
    }
    write_rows(plan, machine.parked_process_bytes, estimate, out)?;
    let run = &plan.run;
    for row in &plan.not_available {
        writeln!(out, "  {}  n/a: {}", row.strategy, row.reason)?;
    }
    writeln!(out)?;
    for line in machine.python.iter().flat_map(|python| wrap(&python_in_words(python))) {
        writeln!(out, "{line}")?;
    }
    let budget = run.time_budget_seconds.map(|budget| format!(" within {} for each", seconds(budget)));
    let precision = run
        .precision
        .map(|precision| format!(", or until ±{} is reached, but ten at least", exact_percent(precision)));
    let expected = match estimate {
        Some(estimate) => {
            let tried = estimate.rounds.iter().any(|round| round.pilot_tasks.is_some());
            let but = if tried { " but the tasks tried" } else { "" };
            // Whoever stops as soon as it is precise enough may be done sooner.
            let at_most = if run.precision.is_some() { " at most" } else { "" };
            format!("The whole run takes about {}{at_most}; nothing was run{but}.", seconds(estimate.run_seconds))
        }
        None if plan.workload.kind == Kind::Call => {
            "What it takes is not estimated, since nobody can tell without calling the function. It was not called, nor its \
             module imported."
                .into()
        }
        None => "What it takes is not estimated, since nobody can tell without executing the program. Nothing was run.".into(),
    };
    let executions = match plan.workload.kind {
        Kind::Command => Some("the command is executed"),
        Kind::Worker => Some("the workers are told a line"),
        Kind::Call => Some("the function is called"),
        Kind::Synthetic | Kind::File | Kind::Expression => None,
    };
    let again =
        if matches!(run.on_failure, OnFailure::Retry(_)) { ", without those tried again" } else { "" };
    let executions = executions.map_or_else(String::new, |what| {
        format!(
            " In all of these {what} up to {} times{again}, and a few times before, to see how long that takes.",
            count(tasks_of_all_rounds(plan))
        )
    });
    let on_failure = match run.on_failure {
        OnFailure::Continue => String::new(),
        policy => format!("; on failure {policy}"),
    };
    let lines = format!(
        "Up to {} of each strategy{}{}, after {} to warm up (memory is measured in the first, \
         where it is sampled in the first three); seed {}; \
         baseline {}; margin {}{on_failure}.{executions} {expected}",
        if run.rounds == 1 { "1 timed round".into() } else { format!("{} timed rounds", run.rounds) },
        budget.unwrap_or_default(),
        precision.unwrap_or_default(),
        run.warmup.max(1),
        run.seed,
        run.baseline,
        exact_percent(run.margin)
    );
    for line in wrap(&lines) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// How many tasks all rounds of all strategies have together, at most.
fn tasks_of_all_rounds(plan: &Plan) -> u64 {
    let run = &plan.run;
    let rounds = run.rounds.saturating_add(run.warmup.max(SEVERAL_MEMORY_ROUNDS.min(run.rounds)));
    plan.workload.tasks.saturating_mul(rounds).saturating_mul(plan.strategies.len() as u64)
}

/// A line or two for each strategy.
fn write_rows(
    plan: &Plan,
    parked_bytes: u64,
    estimate: Option<&Estimate>,
    out: &mut dyn Write,
) -> io::Result<()> {
    // Wider names would not leave enough of 80 columns for the rest.
    const WIDEST: usize = 10;
    let width = plan.strategies.iter().map(|strategy| strategy.name.chars().count());
    let width = width.max().unwrap_or(0).min(WIDEST);
    for strategy in &plan.strategies {
        let expected = estimate.map(|estimate| {
            let round = estimate.rounds.iter().find(|round| round.strategy == strategy.name);
            let time = round.map_or_else(|| "?".into(), |round| seconds(round.round_seconds));
            let tried = match round.and_then(|round| round.pilot_tasks) {
                Some(tasks) => format!("{} tried", count(tasks)),
                None => "a rule of thumb".into(),
            };
            let memory = bytes(estimate::round_bytes(strategy, &plan.workload, parked_bytes));
            format!("about {time} a round ({tried}), up to some {memory} at its peak")
        });
        let settings = Some(settings_in_words(&strategy.settings)).filter(|settings| !settings.is_empty());
        // A name that does not fit into the column has a line of its own.
        let mut name = strategy.name.as_str();
        if name.chars().count() > width {
            writeln!(out, "  {name}")?;
            name = "";
        }
        let mut notes = expected.into_iter().chain(settings);
        let first = notes.next().unwrap_or_default();
        if !(name.is_empty() && first.is_empty()) {
            writeln!(out, "{}", format!("  {name:<width$}  {first}").trim_end())?;
        }
        for note in notes {
            writeln!(out, "  {:<width$}  {note}", "")?;
        }
    }
    Ok(())
}

/// Which file a spec has executed as Python, also where nothing else is.
///
/// # Errors
/// What writing to `out` says.
pub fn write_python(file: &Path, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "The spec has this executed as Python:")?;
    writeln!(out, "    {}", as_typed(file))
}

/// `file` as a shell would have to be given it.
pub fn as_typed(file: &Path) -> String {
    quoted(&file.to_string_lossy(), false)
}

/// Which Python: `python: CPython 3.11.7, /usr/bin/python3, which forks by default`.
pub fn python_in_words(python: &Interpreter) -> String {
    let Interpreter { path, implementation, version, default_start, global_lock, .. } = python;
    let lock = if *global_lock { "" } else { ", without a global lock" };
    let (path, start) = (path.display(), default_start.name());
    let libraries = python.libraries.iter().map(|(name, version)| format!(", {name} {version}"));
    let libraries: String = libraries.collect();
    format!("python: {implementation} {version}{lock}{libraries}, {path}; its own start method is {start}")
}

/// The machine: `Intel(R) Xeon(R) Processor, 2 of 4 cores, 23.5 GiB of memory, Debian GNU/Linux 12, Linux 6.1`.
pub fn machine_in_words(machine: &Environment) -> String {
    let cores = match (machine.effective_cores, machine.cores) {
        (Some(own), Some(all)) if own != all => Some(format!("{} of {} cores", count(own), count(all))),
        (Some(all), _) | (None, Some(all)) => Some(format!("{} cores", count(all))),
        (None, None) => None,
    };
    // Half a core is one to work with, but half of one.
    let quota = machine.quota.and_then(|quota| match quota {
        Quota::Cores(cores) => Some(format!("as much CPU time as {cores} of them have (a cgroup's quota)")),
        Quota::Unlimited => None,
    });
    let parts = [
        machine.cpu.clone(),
        cores,
        quota,
        machine.memory_bytes.map(|memory| format!("{} of memory", bytes(memory))),
        machine.virtual_machine.and_then(|is_virtual| is_virtual.then(|| "a virtual machine".into())),
        machine.os.clone(),
        machine.kernel.as_ref().map(|kernel| format!("Linux {kernel}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The machine, and what it does not tell of itself and of what others did: `…, Linux 6.1; not known: governor, turbo (no cpufreq
/// policy in /sys); processes started by others are not known: …`.
pub fn machine_with_gaps(document: &Document) -> String {
    let environment = &document.environment;
    let states = [
        &environment.machine.not_measured,
        &environment.before.not_measured,
        &environment.after.not_measured,
    ];
    // What several facts lack for one reason is told once.
    let mut by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
    for gap in states.into_iter().flatten() {
        let (what, reason) = (gap.what.as_str(), gap.reason.as_str());
        match by_reason.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, facts)) if facts.contains(&what) => {}
            Some((_, facts)) => facts.push(what),
            None => by_reason.push((reason, vec![what])),
        }
    }
    let gaps: Vec<String> = by_reason
        .iter()
        .map(|(reason, facts)| {
            let facts: Vec<String> = facts.iter().map(|fact| fact_in_words(fact)).collect();
            format!("{} ({reason})", facts.join(", "))
        })
        .collect();
    let mut told = vec![machine_in_words(&environment.machine)];
    if !gaps.is_empty() {
        told.push(format!("not known: {}", gaps.join("; ")));
    }
    let others = document.warnings.iter().filter(|warning| warning.code == OTHERS_NOT_SEEN);
    told.extend(others.map(|warning| warning.message.clone()));
    told.join("; ")
}

/// What a field of the JSON is called in a sentence: `pressure.cpu_some_seconds` is "pressure cpu some".
fn fact_in_words(field: &str) -> String {
    let units = ["_seconds", "_bytes", "_hertz"];
    let bare = units.iter().find_map(|unit| field.strip_suffix(unit)).unwrap_or(field);
    bare.replace(['_', '.'], " ")
}

/// Settings: `2 workers, chunk 1, start fork`.
pub fn settings_in_words(settings: &Settings) -> String {
    let words = [
        settings.workers.map(|workers| match workers {
            1 => "1 worker".to_owned(),
            workers => format!("{} workers", count(workers)),
        }),
        settings.chunk.map(|chunk| format!("chunk {}", count(chunk))),
        settings.in_flight.map(|in_flight| format!("at most {} in flight", count(in_flight))),
        settings.start.map(|start| format!("start {}", start.name())),
        settings.api.map(|api| format!("by {}", api.name())),
        settings.max_tasks_per_child.map(|most| format!("{} chunks for each child", count(most))),
        settings.evaluator.map(|evaluator| format!("evaluator {}", evaluator.name())),
        settings.transport.map(|transport| format!("through {}", transport.name())),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
