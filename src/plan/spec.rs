//! Workload specs: TOML written by people, or the `plan` of a JSON export, read back.

mod slips;

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Deserialize;
use toml::Spanned;

use super::Plan;
use super::draft::{Draft, MOST_WORKERS, RunDraft, StrategyDraft, WorkloadDraft};
use super::units::{LARGEST_COUNT, LARGEST_SIZE, LONGEST_SECONDS};
use super::vary::Variable;
use crate::saved;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecFile {
    #[serde(default)]
    workload: Option<Spanned<WorkloadDraft>>,
    #[serde(default)]
    run: Option<Spanned<RunDraft>>,
    #[serde(default)]
    strategy: Vec<Spanned<StrategyDraft>>,
    #[serde(default)]
    vary: BTreeMap<Spanned<String>, Spanned<Values>>,
}

/// The values of a key under `[vary]`: a list, or a range as it would be typed.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a list of values, or a range such as \"1..1e6\"")]
enum Values {
    Text(String),
    List(Vec<Typed>),
}

/// One value, as it would be typed.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a word or a number")]
enum Typed {
    Whole(i64),
    Number(f64),
    Text(String),
}

impl Typed {
    fn text(&self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// What is larger is no spec, nor a saved run that is to be run again.
const LARGEST_BYTES: u64 = 64 << 20;

/// The same for those in TOML, whose parser takes a hundred times as much memory as the text.
const LARGEST_TOML_BYTES: usize = 256 << 10;

/// Reads the spec at `path`.
///
/// # Errors
/// A text that shows the place in the file, what was found there and what was expected.
pub fn read(path: &Path) -> Result<Draft, String> {
    let shown = path.display();
    let text = saved::read_text(path, "the spec", LARGEST_BYTES)?;
    let is_json =
        path.extension().is_some_and(|extension| extension == "json") || text.trim_start().starts_with('{');
    if is_json {
        return from_json(&text, &shown.to_string());
    }
    let mut draft = from_toml(&text, &shown.to_string())?;
    // Whoever writes a spec knows what lies beside it, not where it will be run.
    if let Some(folder) = path.parent() {
        draft.workload = draft.workload.with_paths_in(folder);
    }
    Ok(draft)
}

/// Reads a spec from TOML text; `path` is only shown.
///
/// # Errors
/// As [`read`].
pub fn from_toml(text: &str, path: &str) -> Result<Draft, String> {
    if text.len() > LARGEST_TOML_BYTES {
        let found = text.len();
        return Err(format!(
            "{path}: {found} bytes are too much for a spec, expected at most {LARGEST_TOML_BYTES}"
        ));
    }
    let file: SpecFile = toml::from_str(text).map_err(|error| {
        let found = error.span().and_then(|span| text.get(span)).unwrap_or_default();
        show(text, path, error.span(), &slips::in_words(error.message(), found), "here")
    })?;
    if let Some(workload) = &file.workload
        && let Some(wrong) = workload.get_ref().contradiction()
    {
        return Err(show(text, path, Some(workload.span()), &wrong, "in this table"));
    }
    if let Some(run) = &file.run
        && let Some(wrong) = run.get_ref().contradiction()
    {
        return Err(show(text, path, Some(run.span()), &wrong, "in this table"));
    }
    for strategy in &file.strategy {
        if let Some(wrong) = strategy.get_ref().contradiction() {
            return Err(show(text, path, Some(strategy.span()), &wrong, "in this table"));
        }
    }
    let mut varied: Vec<_> = file.vary.iter().collect();
    // As they stand in the file.
    varied.sort_by_key(|(key, _)| key.span().start);
    let variables = varied.into_iter().map(|(key, values)| {
        let typed = match values.get_ref() {
            Values::Text(text) => text.clone(),
            Values::List(list) => list.iter().map(Typed::text).collect::<Vec<_>>().join(","),
        };
        Variable::of(key.get_ref(), &typed)
            .map_err(|wrong| show(text, path, Some(key.span()), &wrong, "here"))
    });
    let vary = variables.collect::<Result<_, String>>()?;
    Ok(Draft {
        workload: file.workload.map(Spanned::into_inner).unwrap_or_default(),
        run: file.run.map(Spanned::into_inner).unwrap_or_default(),
        strategies: file.strategy.into_iter().map(Spanned::into_inner).collect(),
        found: None,
        vary,
    })
}

/// Reads the plan of a JSON export.
///
/// # Errors
/// A text that says what is wrong with it.
pub fn from_json(text: &str, path: &str) -> Result<Draft, String> {
    #[derive(Deserialize)]
    struct Export {
        plan: Plan,
    }
    if let Some(refusal) = saved::Header::of(text).refusal() {
        return Err(format!("{path} cannot be read: {refusal}"));
    }
    let export: Export = serde_json::from_str(text).map_err(|error| {
        let span = offset(text, error.line(), error.column()).map(|at| at..at + 1);
        show(text, path, span, &format!("not the export of a run: {error}"), "here")
    })?;
    match out_of_range(&export.plan) {
        Some(wrong) => Err(format!("{path}: {wrong}")),
        None => Ok(export.plan.into_draft()),
    }
}

/// The first value that could not have been typed: somebody may have changed an export by hand.
fn out_of_range(plan: &Plan) -> Option<String> {
    let (workload, run) = (&plan.workload, &plan.run);
    let whole = |key: &str, value: u64, allowed: RangeInclusive<u64>| {
        (!allowed.contains(&value))
            .then(|| format!("{key} is {value}: expected {} to {}", allowed.start(), allowed.end()))
    };
    let bytes = |key, value| whole(key, value, 0..=LARGEST_SIZE);
    let time = |key: &str, value: f64| {
        (!(0.0..=LONGEST_SECONDS).contains(&value))
            .then(|| format!("{key} is {value}: expected 0 to {LONGEST_SECONDS}"))
    };
    let mut wrong = vec![
        whole("tasks", workload.tasks, 1..=LARGEST_COUNT),
        whole("rounds", run.rounds, 1..=LARGEST_COUNT),
        whole("warmup", run.warmup, 0..=LARGEST_COUNT),
        bytes("arg_size_bytes", workload.arg_size_bytes),
        bytes("result_size_bytes", workload.result_size_bytes),
        bytes("memory_bytes", workload.memory_bytes),
        bytes("parent_memory_bytes", workload.parent_memory_bytes),
        bytes("shared_bytes", workload.shared_bytes),
        bytes("io_size_bytes", workload.io_size_bytes),
        time("cpu_seconds", workload.cpu_seconds),
        time("io_wait_seconds", workload.io_wait_seconds),
        time("init_seconds", workload.init_seconds),
        time("timeout_seconds", workload.program.as_ref().and_then(|of| of.timeout_seconds).unwrap_or(0.0)),
        time("timeout_seconds", workload.timeout_seconds.unwrap_or(0.0)),
        time("time_budget_seconds", run.time_budget_seconds.unwrap_or(0.0)),
    ];
    for settings in plan.strategies.iter().map(|strategy| &strategy.settings) {
        wrong.push(whole("workers", settings.workers.unwrap_or(1), 1..=MOST_WORKERS));
        wrong.push(whole("chunk", settings.chunk.unwrap_or(1), 1..=u64::MAX));
        let most = settings.max_tasks_per_child.unwrap_or(1);
        wrong.push(whole("max_tasks_per_child", most, 1..=LARGEST_COUNT));
        wrong.push(whole("in_flight", settings.in_flight.unwrap_or(1), 1..=LARGEST_COUNT));
    }
    wrong.into_iter().flatten().next()
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
