//! Going on with a sweep that was interrupted.

use std::io::Write;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, CommandFactory, Parser};
use serde_json::{Value as Json, to_value};

use super::check;
use crate::app::benchmark::ignore_closed;
use crate::app::cells::Cells;
use crate::app::failure::{Failure, usage};
use crate::cli::{Benchmark, Cli, Sweep as Typed, Verb};
use crate::document::head::Kind;
use crate::engine::Engine;
use crate::experiment::workbench::Workbench;
use crate::plan::Plan;
use crate::report;
use crate::saved;
use crate::study::sweep::{self, Sweep};

/// What is said where what was typed before is wrong now, when a sweep goes on.
pub const FROM_HERE: &str = "\n(this is of what was typed when the sweep was begun; files that it names are looked for from the folder that you are in now)";

/// The sweep that was exported to `path`.
pub fn read(path: &Path) -> Result<Sweep, Failure> {
    let text = saved::read_text(path, "the sweep", saved::LARGEST_BYTES).map_err(usage)?;
    saved::parse(&text, path, Kind::Sweep).map_err(usage)
}

/// What was typed beside `--resume` that says which sweep it is, as flags.
pub fn typed_besides() -> Vec<String> {
    const OF_THIS_TIME: [&str; 8] =
        ["resume", "total_time", "json", "csv", "markdown", "html", "quiet", "dry_run"];
    let command = Cli::command();
    let Ok(matches) = command.clone().try_get_matches() else { return Vec::new() };
    let Some(("sweep", typed)) = matches.subcommand() else { return Vec::new() };
    let Some(verb) = command.find_subcommand("sweep") else { return Vec::new() };
    let others = verb.get_arguments().filter(|of| !OF_THIS_TIME.contains(&of.get_id().as_str()));
    let is_typed = |of: &&Arg| typed.value_source(of.get_id().as_str()) == Some(ValueSource::CommandLine);
    let flag = |of: &Arg| of.get_long().map_or_else(|| "a command".to_owned(), |long| format!("--{long}"));
    others.filter(is_typed).map(flag).collect()
}

/// What was typed when the sweep `before` was begun, with where to go on.
pub fn typed_before(before: &Sweep, now: &Typed) -> Result<Typed, Failure> {
    let unreadable =
        || usage("the command line in that file is not one of a sweep: type it again, with --resume FILE");
    let cli = Cli::try_parse_from(&before.head.command_line).map_err(|_| unreadable())?;
    let Some(Verb::Sweep(typed)) = cli.verb else { return Err(unreadable()) };
    let benchmark = Benchmark {
        json: now.benchmark.json.clone(),
        csv: now.benchmark.csv.clone().or(typed.benchmark.csv.clone()),
        markdown: now.benchmark.markdown.clone().or(typed.benchmark.markdown.clone()),
        html: now.benchmark.html.clone().or(typed.benchmark.html.clone()),
        quiet: now.benchmark.quiet,
        dry_run: now.benchmark.dry_run,
        ..typed.benchmark
    };
    let total_time = now.total_time.or(typed.total_time);
    Ok(Typed { resume: now.resume.clone(), total_time, benchmark, vary: typed.vary })
}

/// What a saved sweep says was typed when it was begun is that file's, and nobody's who goes on with it: which Python it would execute, and where it
/// writes besides, is seen before that happens. A dry run executes no such Python.
pub fn show_what_it_names(flags: &Benchmark, plans: &[Plan]) -> Result<(), Failure> {
    let of_python = plans.iter().flat_map(|plan| &plan.strategies).any(|row| row.engine == Engine::Python);
    let mut out = anstream::stderr().lock();
    if let Some(python) = flags.python.as_deref().filter(|_| of_python) {
        if flags.dry_run {
            return Err(usage(format!(
                "a dry run executes nothing that a saved sweep names, and its Python would be, to find out what it is: {}",
                report::plan::as_typed(python)
            )));
        }
        let line =
            format!("The saved sweep has this executed as Python:\n    {}", report::plan::as_typed(python));
        ignore_closed(writeln!(out, "{line}"))?;
    }
    let places = [("--csv", &flags.csv), ("--markdown", &flags.markdown), ("--html", &flags.html)];
    for (flag, place) in places {
        if let Some(place) = place.as_deref().filter(|_| !flags.dry_run) {
            let line = format!("Written besides: {flag} {}", report::plan::as_typed(place));
            ignore_closed(writeln!(out, "{line}"))?;
        }
    }
    Ok(())
}

/// Refuses to go on with cells that were run with other flags, or on another machine, be it only in part.
pub fn require_same(sweep: &Sweep, cells: &Cells, bench: &mut Workbench) -> Result<(), Failure> {
    const OF_MACHINE: [&str; 6] =
        ["cpu", "cores", "effective_cores", "memory_bytes", "kernel", "architecture"];
    let json =
        |value: serde_json::Result<Json>| value.map_err(|error| Failure::from(anyhow::Error::from(error)));
    for cell in &sweep.cells {
        let Some(before) = &cell.document else { continue };
        let job = bench.prepare(check(cell, sweep, cells, bench)?)?;
        // What the guard allows depends on what else runs.
        let guarded = !before.plan.guarded.is_empty() || !job.plan.guarded.is_empty();
        let ignored: &[&str] = if guarded { &["guarded", "in_flight"] } else { &[] };
        let (ours, theirs) = (json(to_value(&before.plan))?, json(to_value(&job.plan))?);
        let of_plan = sweep::differs(&ours, &theirs, ignored);
        let (ours, theirs) =
            (json(to_value(&before.environment.machine))?, json(to_value(&job.setting.environment))?);
        let of_machine = OF_MACHINE.into_iter().find_map(|key| {
            let (_, before, now) = sweep::differs(&ours[key], &theirs[key], &[])?;
            Some((format!("this machine's {key}"), before, now))
        });
        if let Some((what, before, now)) = of_plan.or(of_machine) {
            let name = cell.name(&sweep.variables);
            return Err(usage(format!(
                "cannot go on: it is another sweep: in the cell {name}, {what} was {before} and is now {now}"
            )));
        }
    }
    Ok(())
}
