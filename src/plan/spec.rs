//! Workload specs: TOML written by people, or the `plan` of a JSON export, read back.

use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Deserialize;
use toml::Spanned;

use super::Plan;
use super::draft::{Draft, RunDraft, StrategyDraft, WorkloadDraft};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecFile {
    #[serde(default)]
    workload: Option<Spanned<WorkloadDraft>>,
    #[serde(default)]
    run: RunDraft,
    #[serde(default)]
    strategy: Vec<Spanned<StrategyDraft>>,
}

/// Specs are written by hand; what is larger is something else.
const LARGEST_SPEC_BYTES: u64 = 64 << 20;

/// Reads the spec at `path`.
///
/// # Errors
/// A text that shows the place in the file, what was found there and what was expected.
pub fn read(path: &Path) -> Result<Draft, String> {
    let shown = path.display();
    let size =
        std::fs::metadata(path).map_err(|error| format!("failed to read the spec {shown}: {error}"))?.len();
    if size > LARGEST_SPEC_BYTES {
        return Err(format!(
            "failed to read the spec {shown}: it has {size} bytes, expected at most {LARGEST_SPEC_BYTES}"
        ));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("failed to read the spec {shown}: {error}"))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| format!("failed to read the spec {shown}: not UTF-8 text ({error})"))?;
    let is_json =
        path.extension().is_some_and(|extension| extension == "json") || text.trim_start().starts_with('{');
    if is_json { from_json(&text, &shown.to_string()) } else { from_toml(&text, &shown.to_string()) }
}

/// Reads a spec from TOML text; `path` is only shown.
///
/// # Errors
/// As [`read`].
pub fn from_toml(text: &str, path: &str) -> Result<Draft, String> {
    let file: SpecFile =
        toml::from_str(text).map_err(|error| show(text, path, error.span(), error.message(), "here"))?;
    if let Some(workload) = &file.workload
        && let Some(wrong) = workload.get_ref().contradiction()
    {
        return Err(show(text, path, Some(workload.span()), &wrong, "in this table"));
    }
    for strategy in &file.strategy {
        if let Some(wrong) = strategy.get_ref().contradiction() {
            return Err(show(text, path, Some(strategy.span()), &wrong, "in this table"));
        }
    }
    Ok(Draft {
        workload: file.workload.map(Spanned::into_inner).unwrap_or_default(),
        run: file.run,
        strategies: file.strategy.into_iter().map(Spanned::into_inner).collect(),
    })
}

/// Reads the plan of a JSON export.
fn from_json(text: &str, path: &str) -> Result<Draft, String> {
    #[derive(Deserialize)]
    struct Export {
        plan: Plan,
    }
    let export: Export = serde_json::from_str(text).map_err(|error| {
        let span = offset(text, error.line(), error.column()).map(|at| at..at + 1);
        show(text, path, span, &format!("not the export of a run: {error}"), "here")
    })?;
    Ok(export.plan.into_draft())
}

fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let start: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let offset = start + column.saturating_sub(1);
    text.is_char_boundary(offset).then_some(offset).filter(|offset| *offset < text.len())
}

/// The error with the line it is about, in the manner of a compiler.
fn show(text: &str, path: &str, span: Option<Range<usize>>, message: &str, label: &str) -> String {
    let span = span.filter(|span| text.get(span.clone()).is_some());
    let message = message.trim();
    let Some(span) = span else { return format!("{path}: {message}") };
    // A table is shown by its first line.
    let end = text[span.clone()].find('\n').map_or(span.end, |newline| span.start + newline);
    let snippet = Snippet::source(text)
        .path(path)
        .annotation(AnnotationKind::Primary.span(span.start..end.max(span.start)).label(label));
    let title = message.lines().next().unwrap_or("not a valid spec");
    // "error: " is put in front of every error by whoever prints it.
    let rendered =
        Renderer::plain().render(&[Level::ERROR.primary_title(title).element(snippet)]).to_string();
    rendered.strip_prefix("error: ").unwrap_or(&rendered).to_owned()
}
