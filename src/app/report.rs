//! Saved runs, shown again.

use std::io::Write;

use super::benchmark::{ignore_closed_pipe, terminal_columns};
use super::failure::{Failure, usage};
use crate::cli::Report;
use crate::document::Document;
use crate::report::exports::Exports;
use crate::{exit, report};

/// Reads the runs, and writes what was asked for: tables, unless it was something else.
pub fn run(flags: &Report) -> Result<i32, Failure> {
    let runs: Result<Vec<Document>, String> = flags.files.iter().map(|file| Document::read(file)).collect();
    let runs = runs.map_err(usage)?;
    let exports: Exports<[Document]> = Exports::open(&[
        ("--output", flags.output.as_deref(), report::html::export),
        ("--markdown", flags.markdown.as_deref(), report::markdown::export),
        ("--csv", flags.csv.as_deref(), report::csv::export),
    ])
    .map_err(|error| usage(format!("{error:#}")))?;
    if !exports.is_empty() {
        exports.write(&runs)?;
        return Ok(exit::SUCCESS);
    }
    let mut out = anstream::stdout().lock();
    for (place, document) in runs.iter().enumerate() {
        let apart = if place > 0 { writeln!(out) } else { Ok(()) };
        ignore_closed_pipe(apart.and_then(|()| report::write_for(document, terminal_columns(), &mut out)))?;
        ignore_closed_pipe(report::write_warnings(&document.warnings, &mut anstream::stderr().lock()))?;
    }
    ignore_closed_pipe(out.flush())?;
    Ok(exit::SUCCESS)
}
