//! Saved exports of every kind, shown again.

use std::io::{self, Write};
use std::path::PathBuf;

use super::benchmark::ignore_closed;
use super::failure::{Failure, usage};
use crate::cli::Report;
use crate::document::Warning;
use crate::report::exports::Exports;
use crate::report::grid::terminal_columns;
use crate::report::subject::Subject;
use crate::study::saved::Saved;
use crate::{exit, report};

/// Reads what was saved, and writes what was asked for: tables, unless it was something else.
pub fn run(flags: &Report) -> Result<i32, Failure> {
    let saved: Result<Vec<Saved>, String> = flags.files.iter().map(|file| Saved::read(file)).collect();
    let saved = saved.map_err(usage)?;
    let exports: Exports<[Saved]> = Exports::open(&[
        ("--output", flags.output.as_deref(), |saved: &[Saved]| report::html::export(&subjects(saved))),
        ("--markdown", flags.markdown.as_deref(), |saved: &[Saved]| {
            report::markdown::export(&subjects(saved))
        }),
        ("--csv", flags.csv.as_deref(), |saved: &[Saved]| report::csv::export(&subjects(saved))),
    ])
    .and_then(|exports| exports.spare(flags.files.iter().map(PathBuf::as_path)))
    .map_err(|error| usage(format!("{error:#}")))?;
    if !exports.is_empty() {
        exports.write(&saved)?;
        return Ok(exit::SUCCESS);
    }
    let mut out = anstream::stdout().lock();
    for (place, subject) in subjects(&saved).into_iter().enumerate() {
        let apart = if place > 0 { writeln!(out) } else { Ok(()) };
        ignore_closed(apart.and_then(|()| write(subject, &mut out)))?;
        let warnings = warnings_of(subject);
        ignore_closed(report::write_warnings(&warnings, &mut anstream::stderr().lock()))?;
    }
    ignore_closed(out.flush())?;
    Ok(exit::SUCCESS)
}

fn subjects(saved: &[Saved]) -> Vec<Subject<'_>> {
    saved.iter().map(Subject::from).collect()
}

/// What was shown when it was made.
fn write(subject: Subject<'_>, out: &mut dyn Write) -> io::Result<()> {
    match subject {
        Subject::Run(of) => report::write_for(of, terminal_columns(), out),
        Subject::Sweep(of) => report::sweep::write(of, out),
        Subject::Crossover(of) => report::crossover::write(of, out),
        Subject::Advice(of) => report::advise::write(of, terminal_columns(), out),
        Subject::Claims(of) => report::claims::write(of, false, out),
    }
}

fn warnings_of(subject: Subject<'_>) -> Vec<Warning> {
    match subject {
        Subject::Run(of) => of.warnings.clone(),
        Subject::Sweep(of) => report::sweep::warnings(of),
        Subject::Advice(of) => of.finals.iter().flat_map(|finals| finals.warnings.clone()).collect(),
        Subject::Crossover(of) => report::crossover::warnings(of),
        Subject::Claims(_) => Vec::new(),
    }
}
