//! One benchmark: a workload, by some strategies.

use std::io;
use std::path::Path;

use anyhow::Context;

use super::exports::{self, Places};
use super::failure::{Failure, usage};
use super::returns::Returns;
use crate::cli::Benchmark;
use crate::document::{Document, Warning};
use crate::engine::Engine;
use crate::experiment;
use crate::experiment::workbench::{Job, Workbench};
use crate::plan::Plan;
use crate::plan::draft::Draft;
use crate::plan::inputs::make_folders_of_strategies;
use crate::plan::spec;
use crate::report::exports::Exports;
use crate::report::grid::terminal_columns;
use crate::report::progress::Progress;
use crate::{exit, report};

/// Runs what was typed, shows and exports it.
pub fn run(flags: &Benchmark) -> Result<i32, Failure> {
    if flags.command.is_empty() && std::env::args_os().next_back().is_some_and(|last| last == "--") {
        return Err(usage("nothing stands behind the --: expected a command"));
    }
    let mut bench = Workbench::new()?;
    let spec = spec(flags)?;
    let python = spec.run.python.clone();
    let checked = bench.check(flags.over(spec).map_err(usage)?)?;
    refuse_to_ask(python.as_deref(), checked.plan(), flags)?;
    // A dry run writes nothing.
    let places = if flags.dry_run { Places::default() } else { flags.into() };
    let exports = exports::open(places)?;
    let returns = match &flags.returns {
        Some(path) if !flags.dry_run => {
            let returns = Returns::open(path, &exports, &places.read());
            Some(returns.map_err(|error| usage(format!("{error:#}")))?)
        }
        _ => None,
    };
    let mut job = bench.prepare(checked)?;
    job.setting.returns = returns.as_ref().map(Returns::path);
    if flags.dry_run {
        let code = dry_run(&job, &bench)?;
        say_what_is_not_written(flags)?;
        return Ok(code);
    }
    make_folders_of_strategies(&job.plan)?;
    if is_of_a_file(flags) {
        // What a file would have executed is seen before it is.
        ignore_closed(report::plan::write_program(&job.plan, &mut anstream::stderr().lock()))?;
    }
    let mut progress = Progress::new(flags.quiet);
    let outcome = bench.run_as_far_as_possible(&job, &mut progress);
    progress.finish();
    let (document, ended) = outcome?;
    // What functions have returned may not fit onto its disk; the tables are shown all the same.
    let returned = returns.map_or(Ok(()), Returns::finish);
    show(&document, exports)?;
    returned?;
    if let Some(error) = ended {
        return Err(error.into());
    }
    Ok(exit_code(&document))
}

/// Whether some of what would be executed may be a spec's: its command, or what its words are handed to (`shell`), or what is executed before each
/// round (`prepare`).
pub(super) fn is_of_a_file(flags: &Benchmark) -> bool {
    let is_typed = !flags.command.is_empty() || flags.worker.is_some() || flags.call.is_some();
    flags.config.is_some() || !is_typed
}

/// The spec that was named; nothing where none was. The Python that it names is shown: it is executed to find out what it is, before there
/// is any plan.
pub(super) fn spec(flags: &Benchmark) -> Result<Draft, Failure> {
    let spec = flags.config.as_deref().map_or_else(|| Ok(Draft::default()), spec::read).map_err(usage)?;
    // A dry run executes none of a spec's.
    if let Some(python) = spec.run.python.as_deref().filter(|_| flags.python.is_none() && !flags.dry_run) {
        ignore_closed(report::plan::write_python(python, &mut anstream::stderr().lock()))?;
    }
    Ok(spec)
}

/// Says of a dry run which files it was told to write and has not.
pub(super) fn say_what_is_not_written(flags: &Benchmark) -> Result<(), Failure> {
    let mut named = Places::from(flags).named();
    named.extend(flags.returns.is_some().then_some("--returns"));
    if named.is_empty() {
        return Ok(());
    }
    let message = format!("a dry run writes nothing: {} took no effect", named.join(", "));
    let warning = Warning { code: "not_written".into(), message };
    ignore_closed(report::write_warnings(&[warning], &mut anstream::stderr().lock()))?;
    Ok(())
}

/// Refuses a dry run of `plan` for which `python`, that a spec has named and nobody has typed, would be executed to find out what it is.
pub(super) fn refuse_to_ask(python: Option<&Path>, plan: &Plan, flags: &Benchmark) -> Result<(), Failure> {
    let of_python = plan.strategies.iter().any(|row| row.engine == Engine::Python);
    match python {
        Some(python) if flags.dry_run && flags.python.is_none() && of_python => Err(usage(format!(
            "a dry run executes nothing that a spec names, and its Python would be, to find out what it is: expected --python {}",
            report::plan::as_typed(python)
        ))),
        _ => Ok(()),
    }
}

fn dry_run(job: &Job, bench: &Workbench) -> Result<i32, Failure> {
    let Job { plan, setting, .. } = job;
    // A program of the user's own is not executed by something that is called a dry run.
    let estimate = match plan.workload.kind.is_program() {
        true => None,
        false => Some(experiment::estimate(plan, setting, bench.signals())?),
    };
    let mut out = anstream::stdout().lock();
    let storage = setting.found.storage.as_ref();
    let written = report::plan::write(plan, &setting.machine, storage, estimate.as_ref(), &mut out);
    ignore_closed(written)?;
    ignore_closed(report::write_warnings(&setting.warnings, &mut anstream::stderr().lock()))?;
    Ok(exit::SUCCESS)
}

/// Tables on standard output, unless an export goes there; then what a reader should know.
fn show(document: &Document, exports: Exports<Document>) -> Result<(), Failure> {
    // What an earlier run has measured is worth more than that somebody has ended this one before anything was.
    let (exports, kept) = match exit_code(document) == exit::INTERRUPTED && !document.has_rounds() {
        true => exports.keep_earlier(),
        false => (exports, Vec::new()),
    };
    let shown = exports::show(document, exports, |out| report::write_for(document, terminal_columns(), out));
    let written = report::write_warnings(&document.warnings, &mut anstream::stderr().lock());
    ignore_closed(written)?;
    let kept: Vec<Warning> = kept.iter().map(|place| still_there(place)).collect();
    ignore_closed(report::write_warnings(&kept, &mut anstream::stderr().lock()))?;
    shown
}

/// That nothing has taken the place of what is at `place`.
fn still_there(place: &Path) -> Warning {
    let message = format!("{} is what it was: nothing was timed that could take its place", place.display());
    Warning { code: "export_kept".into(), message }
}

/// Whoever closes the pipe (`| head`) or the terminal has seen enough.
pub(super) fn ignore_closed(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if report::nobody_reads(&error) => Ok(()),
        written => written.context("failed to write the report"),
    }
}

fn exit_code(document: &Document) -> i32 {
    if document.partial && !document.was_stopped() {
        exit::INTERRUPTED
    } else if document.has_failed() {
        exit::FAILURE
    } else {
        exit::SUCCESS
    }
}
