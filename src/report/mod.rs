//! Showing a document. Nothing here measures, and nothing is shown that is not in the document.

pub mod articles;
pub mod claims;
pub mod json;
pub mod numbers;
pub mod plan;
pub mod progress;
pub mod sentence;
pub mod style;
pub mod tables;

use std::io::{self, Write};

use crate::document::{Document, MEMORY_NOT_MEASURED, NOT_MEASURED, Warning};

/// Writes everything that a person wants to see of `document`.
///
/// # Errors
/// What writing to `out` says.
pub fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let title = plan::workload_in_words(document.plan.name.as_deref(), &document.plan.workload);
    for line in tables::wrap(&title) {
        writeln!(out, "{}", style::paint(style::TITLE, &line))?;
    }
    if let Some(storage) = &document.environment.storage {
        for line in tables::wrap(&plan::storage_in_words(storage)) {
            writeln!(out, "{line}")?;
        }
    }
    writeln!(out)?;
    writeln!(out, "{}", tables::timing(document))?;
    if let Some(legend) = tables::timing_legend(document) {
        writeln!(out, "{legend}")?;
    }
    if let Some(python) = &document.environment.python {
        for line in tables::wrap(&plan::python_in_words(python)) {
            writeln!(out, "{}", style::paint(style::DIM, &line))?;
        }
    }
    writeln!(out)?;
    writeln!(out, "{}", tables::memory(document))?;
    if let Some(legend) = tables::memory_legend(document) {
        writeln!(out, "{legend}")?;
    }
    writeln!(out)?;
    if let Some(latency) = tables::latency(document) {
        writeln!(out, "{latency}\n{}\n", tables::latency_legend(document))?;
    }
    writeln!(out, "{}\n{}\n", tables::disturbance(document), tables::disturbance_legend())?;
    let results = articles::line(document);
    if !results.is_empty() {
        for line in tables::wrap_pieces(results.split(articles::SEPARATOR), articles::SEPARATOR) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
    }
    for line in tables::wrap(&sentence::verdict(document)) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn is_reason(warning: &Warning) -> bool {
    warning.code == NOT_MEASURED || MEMORY_NOT_MEASURED.contains(&warning.code.as_str())
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
        for (number, line) in tables::wrap(&text).into_iter().enumerate() {
            match line.strip_prefix("warning:").filter(|_| number == 0) {
                Some(rest) => writeln!(out, "{label}{rest}")?,
                None => writeln!(out, "{line}")?,
            }
        }
    }
    Ok(())
}
