//! One benchmark: a workload, by some strategies.

use std::io::{self, Write};
use std::path::PathBuf;

use super::failure::{Failure, usage};
use super::returns::Returns;
use crate::cli::Benchmark;
use crate::document::Document;
use crate::experiment;
use crate::experiment::workbench::{Job, Workbench};
use crate::plan::draft::Draft;
use crate::plan::inputs::make_output_folder;
use crate::plan::spec;
use crate::report::exports::Exports;
use crate::report::progress::Progress;
use crate::workload::OnFailure;
use crate::{exit, report};

/// Runs what was typed, shows and exports it.
pub fn run(flags: &Benchmark) -> Result<i32, Failure> {
    if flags.command.is_empty() && std::env::args_os().next_back().is_some_and(|last| last == "--") {
        return Err(usage("nothing stands behind the --: expected a command"));
    }
    let mut bench = Workbench::new()?;
    let checked = bench.check(draft(flags)?)?;
    let exports = exports(flags)?;
    let returns = match &flags.returns {
        Some(path) if !flags.dry_run => {
            Some(Returns::open(path).map_err(|error| usage(format!("{error:#}")))?)
        }
        _ => None,
    };
    let mut job = bench.prepare(checked)?;
    job.setting.returns = returns.as_ref().map(Returns::path);
    if flags.dry_run {
        return dry_run(&job, &bench);
    }
    make_output_folder(&job.plan)?;
    if flags.command.is_empty() && flags.worker.is_none() && flags.call.is_none() {
        // What a file would have executed is seen before it is.
        ignore_closed_pipe(report::plan::write_program(&job.plan, &mut anstream::stderr().lock()))?;
    }
    let mut progress = Progress::new(flags.quiet);
    let document = bench.run(&job, &mut progress);
    progress.finish();
    let document = document?;
    // What functions have returned may not fit onto its disk; the tables are shown all the same.
    let returned = returns.map_or(Ok(()), Returns::finish);
    show(&document, exports)?;
    returned?;
    Ok(exit_code(&document))
}

/// What was typed, over the spec that was named.
fn draft(flags: &Benchmark) -> Result<Draft, Failure> {
    flags.over(spec(flags)?).map_err(usage)
}

/// The spec that was named; nothing where none was.
pub(super) fn spec(flags: &Benchmark) -> Result<Draft, Failure> {
    flags.config.as_deref().map_or_else(|| Ok(Draft::default()), spec::read).map_err(usage)
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
    ignore_closed_pipe(written)?;
    ignore_closed_pipe(report::write_warnings(&setting.warnings, &mut anstream::stderr().lock()))?;
    Ok(exit::SUCCESS)
}

/// Opens what is to be written to. A dry run writes nothing.
fn exports(flags: &Benchmark) -> Result<Exports<Document>, Failure> {
    let to = |path| Option::<&PathBuf>::map(path, PathBuf::as_path).filter(|_| !flags.dry_run);
    let exports = Exports::open(&[
        ("--json", to(flags.json.as_ref()), report::json::export),
        ("--csv", to(flags.csv.as_ref()), |run: &Document| report::csv::export(&[run.into()])),
        ("--markdown", to(flags.markdown.as_ref()), |run: &Document| report::markdown::export(&[run.into()])),
        ("--html", to(flags.html.as_ref()), |run: &Document| report::html::export(&[run.into()])),
    ]);
    exports.map_err(|error| usage(format!("{error:#}")))
}

/// Tables on standard output, unless an export goes there.
fn show(document: &Document, exports: Exports<Document>) -> Result<(), Failure> {
    let to_standard_output = exports.take_standard_output();
    // A disk that is full takes the export, not the tables.
    let exported = exports.write(document);
    if !to_standard_output {
        let mut out = anstream::stdout().lock();
        let written = report::write_for(document, terminal_columns(), &mut out).and_then(|()| out.flush());
        ignore_closed(written, document.partial)?;
    }
    let written = report::write_warnings(&document.warnings, &mut anstream::stderr().lock());
    ignore_closed(written, document.partial)?;
    Ok(exported?)
}

/// How wide the terminal is that standard output goes to; `None` where it is no terminal.
pub(super) fn terminal_columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(columns, _)| usize::from(columns.0))
}

/// Whoever closes the pipe (`| head`) has seen enough.
pub(super) fn ignore_closed_pipe(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// As [`ignore_closed_pipe`]; and whoever closes the terminal interrupts what runs, which is partial then, and sees nothing of it
/// any more.
pub(super) fn ignore_closed(written: io::Result<()>, partial: bool) -> anyhow::Result<()> {
    match written {
        Err(error) if partial && error.raw_os_error() == Some(libc::EIO) => Ok(()),
        written => ignore_closed_pipe(written),
    }
}

fn exit_code(document: &Document) -> i32 {
    let failed = document.tasks_failed() > 0;
    let stopped = failed && document.plan.run.on_failure == OnFailure::Stop;
    if document.partial && !stopped {
        exit::INTERRUPTED
    } else if failed {
        exit::FAILURE
    } else {
        exit::SUCCESS
    }
}
