//! Showing a document. Nothing here measures, and nothing is shown that is not in the document.

pub mod advise;
pub mod articles;
pub mod bars;
pub mod blocks;
pub mod claims;
pub mod comparison;
pub mod crossover;
pub mod csv;
pub mod exports;
pub mod gathered;
pub mod grid;
pub mod html;
pub mod in_python;
pub mod json;
pub mod markdown;
pub mod numbers;
pub mod plan;
pub mod progress;
pub mod sentence;
pub mod style;
pub mod subject;
pub mod sweep;
pub mod tables;
pub mod target;

use std::io::{self, Write};

use nix::errno::Errno;
use nix::unistd::isatty;

use crate::document::{Document, MEMORY_NOT_MEASURED, NOT_MEASURED, OTHERS_NOT_SEEN, Warning};
use grid::Grid;

/// Whether writing to standard output or standard error failed since whoever read it has closed the pipe (`| head`) or the terminal,
/// and so has seen enough.
pub fn nobody_reads(error: &io::Error) -> bool {
    let is_gone = |terminal: nix::Result<bool>| terminal == Err(Errno::EIO);
    error.kind() == io::ErrorKind::BrokenPipe
        || error.raw_os_error() == Some(libc::EIO)
            && (is_gone(isatty(io::stdout())) || is_gone(isatty(io::stderr())))
}

/// Writes everything that a person wants to see of `document`, without pictures.
///
/// # Errors
/// What writing to `out` says.
pub fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    write_for(document, None, out)
}

/// Writes the same for a terminal of `columns`, with pictures where there is room for them. Of `None`, which is no terminal,
/// nothing is known, and what is written is the same everywhere.
///
/// # Errors
/// What writing to `out` says.
pub fn write_for(document: &Document, columns: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    let title = plan::workload_in_words(document.plan.name.as_deref(), &document.plan.workload);
    for line in grid::wrap(&title) {
        writeln!(out, "{}", style::paint(style::TITLE, &line))?;
    }
    if let Some(storage) = &document.environment.storage {
        for line in grid::wrap(&plan::storage_in_words(storage)) {
            writeln!(out, "{line}")?;
        }
    }
    writeln!(out)?;
    write_times(document, columns, out)?;
    if let Some(python) = &document.environment.python {
        write_dim(&plan::python_in_words(python), out)?;
    }
    writeln!(out)?;
    let memory = tables::memory_within(document, grid::table_width());
    write_table(&memory, tables::memory_legend(document, &memory), out)?;
    writeln!(out)?;
    if let Some(latency) = tables::latency(document) {
        write_table(&latency, Some(tables::latency_legend(document)), out)?;
        writeln!(out)?;
    }
    write_table(&tables::disturbance(document), Some(tables::disturbance_legend(document)), out)?;
    writeln!(out)?;
    write_dim(&plan::machine_with_gaps(document), out)?;
    writeln!(out)?;
    let results = articles::line(document);
    if !results.is_empty() {
        for line in grid::wrap_pieces(results.split(articles::SEPARATOR), articles::SEPARATOR) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
    }
    for line in grid::wrap(&sentence::verdict(document)) {
        writeln!(out, "{line}")?;
    }
    // On one line, so that it can be copied.
    in_python::of_answer(document).map_or(Ok(()), |line| writeln!(out, "\n{}", style::plain(&line)))
}

/// The table of times, with bars beside it where there is room for both, or below it where there is for each.
fn write_times(document: &Document, columns: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    let table = tables::timing_within(document, grid::table_width());
    let notes = [tables::timing_legend(document, &table), tables::left_out(document, &table)];
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    let legend = (!notes.is_empty()).then(|| notes.join(" · "));
    let text = table.for_terminal();
    let times = bars::times_of(document);
    if let Some(both) = columns.and_then(|columns| bars::beside(&times, text.trim_end(), columns)) {
        writeln!(out, "{both}")?;
        return legend.map_or(Ok(()), |legend| write_dim(&legend, out));
    }
    write_table(&table, legend, out)?;
    match columns.and_then(|columns| bars::below(&times, columns)) {
        Some(picture) => writeln!(out, "\n{picture}"),
        None => Ok(()),
    }
}

fn write_table(table: &Grid, legend: Option<String>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", table.for_terminal())?;
    legend.map_or(Ok(()), |legend| write_dim(&legend, out))
}

fn write_dim(text: &str, out: &mut dyn Write) -> io::Result<()> {
    grid::wrap(text).iter().try_for_each(|line| writeln!(out, "{}", style::paint(style::DIM, line)))
}

/// Whether a warning only says what this machine does not tell.
pub fn is_reason(warning: &Warning) -> bool {
    [NOT_MEASURED, OTHERS_NOT_SEEN].contains(&warning.code.as_str())
        || MEMORY_NOT_MEASURED.contains(&warning.code.as_str())
}

/// Writes warnings, but for those that only say what this machine does not tell: they stand below the table, and in the
/// JSON beside the null that they explain.
///
/// # Errors
/// What writing to `out` says.
pub fn write_warnings(warnings: &[Warning], out: &mut dyn Write) -> io::Result<()> {
    let label = style::paint(style::WARNING, "warning:");
    for warning in warnings.iter().filter(|warning| !is_reason(warning)) {
        let text = format!("warning: {}", warning.message);
        for (number, line) in grid::wrap(&text).into_iter().enumerate() {
            match line.strip_prefix("warning:").filter(|_| number == 0) {
                Some(rest) => writeln!(out, "{label}{rest}")?,
                None => writeln!(out, "{line}")?,
            }
        }
    }
    Ok(())
}
