//! The articles' claims beside what was measured: a table for people, one for Markdown, and everything as JSON.

use std::io::{self, Write};

use anyhow::Context;
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

use super::gathered::reservation;
use super::grid::{table_width, wrap, wrap_to};
use super::numbers::seconds;
use super::style::{DIM, TITLE, paint};
use super::{plan, tables};
use crate::document::Document;
use crate::study::claims::run::Run;
use crate::study::claims::{ClaimsReport, Evidence, Finding, Tested, Verdict, by_name};

/// The table is for terminals of this many columns.
const WIDTH: usize = 100;
/// Its columns, and how wide they are with what is between them.
const COLUMNS: [(&str, u16); 5] = [
    ("claim", 18),
    ("what the article says", 23),
    ("its figures", 14),
    ("measured here (95 % interval)", 33),
    ("verdict", 12),
];
/// What stands in place of figures where the article has none.
const NONE: &str = "none";

/// Writes the table, and for each claim why its verdict is what it is; with `details`, all that it rests on.
///
/// # Errors
/// What writing to `out` says.
pub fn write(report: &ClaimsReport, details: bool, out: &mut dyn Write) -> io::Result<()> {
    let title = COLUMNS.map(|(title, _)| title.to_owned());
    writeln!(out, "{}\n", paint(TITLE, &row(title)))?;
    for tested in &report.claims {
        let measured = measured(tested).join("\n");
        let claim = &tested.claim;
        let figures = claim.figures.clone().unwrap_or_else(|| NONE.into());
        let verdict = tested.verdict_in_words();
        writeln!(out, "{}", row([claim.name.clone(), claim.says.clone(), figures, measured, verdict]))?;
        for why in reasons(tested) {
            for line in wrapped(&why) {
                writeln!(out, "{}", paint(DIM, &line))?;
            }
        }
        writeln!(out)?;
    }
    if details {
        for tested in &report.claims {
            write_details(tested, out)?;
        }
    }
    for line in wrap_to(&summary(report), WIDTH) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// What stands in the table of what was measured, by each engine, a line each.
pub fn measured(tested: &Tested) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in &tested.findings {
        let of = |of: &Evidence| of.headline.as_ref().map(|name| format!("{name}: {}", of.in_words()));
        let headlines: Vec<String> = finding.evidence.iter().filter_map(of).collect();
        if !headlines.is_empty() {
            lines.push(format!("{}:", finding.engine.name()));
            lines.extend(headlines.iter().map(|line| format!("· {line}")));
        }
    }
    if lines.is_empty() { vec!["nothing".into()] } else { lines }
}

/// Why: what each engine found.
pub fn reasons(tested: &Tested) -> Vec<String> {
    let mut said: Vec<(String, &Finding)> = Vec::new();
    for finding in &tested.findings {
        let same = |(_, other): &&mut (String, &Finding)| {
            (other.verdict, &other.why) == (finding.verdict, &finding.why)
        };
        match said.iter_mut().find(same) {
            Some((engines, _)) => *engines += &format!(" and {}", finding.engine.name()),
            None => said.push((finding.engine.name().to_owned(), finding)),
        }
    }
    let reason = |(engines, finding): (String, &Finding)| {
        format!("{engines}: {}. {}.", finding.verdict.name(), capital(&finding.why))
    };
    said.into_iter().map(reason).collect()
}

/// `text` as a sentence begins.
fn capital(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        // Names of rows are written as they are typed.
        Some(first) if !text.starts_with("py-") => first.to_uppercase().chain(characters).collect(),
        _ => text.to_owned(),
    }
}

/// `text`, further in, in lines that fit below the table.
fn wrapped(text: &str) -> Vec<String> {
    const INDENT: &str = "  ";
    let lines = wrap_to(text, WIDTH - INDENT.len());
    lines.into_iter().map(|line| format!("{INDENT}{line}")).collect()
}

/// A row of the table by itself, so that something may stand below it across all columns.
fn row(cells: [String; 5]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH as u16);
    table.add_row(cells.iter().map(Cell::new));
    let last = COLUMNS.len() - 1;
    for (place, (column, (_, width))) in table.column_iter_mut().zip(COLUMNS).enumerate() {
        column.set_padding((0, if place < last { 2 } else { 0 }));
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        column.set_cell_alignment(CellAlignment::Left);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

const MANY_INTERVALS: &str = "Each interval holds by itself in 95 % of all cases: of so many, some may not.";

/// Whether what is claimed is of so many tasks that a few say little of it.
fn of_many(tested: &Tested) -> bool {
    by_name(&tested.claim.name).is_ok_and(|claim| claim.of_many)
}

/// How many of each verdict, and what that took.
pub fn summary(report: &ClaimsReport) -> String {
    let counted = Verdict::ALL.iter().filter_map(|verdict| {
        let found = report.claims.iter().filter(|tested| tested.verdict == *verdict).count();
        (found > 0).then(|| format!("{}: {found}", verdict.name()))
    });
    let quick = if report.quick { ", as quickly as can be" } else { "" };
    let cores = report.effective_cores;
    let plural = if cores == 1 { "" } else { "s" };
    let mut text = counted.collect::<Vec<_>>().join(" · ");
    text += &format!(" (on {cores} core{plural}{quick}, in {}", seconds(report.elapsed_seconds));
    if let Some(python) = documents(report).find_map(|document| document.environment.python.as_ref()) {
        let (implementation, version) = (&python.implementation, &python.version);
        text += &format!("; Python: {implementation} {version}, start={}", python.default_start.name());
    }
    text += ")";
    let few = "Of what the articles say of many tasks, few are a hint: without --quick there are as many as it takes.";
    let partial = "Interrupted: what had not been finished is not tested.";
    let with_care = [
        reservation(documents(report), "runs", "verdicts may differ"),
        (report.quick && report.claims.iter().any(of_many)).then(|| few.to_owned()),
        Some(MANY_INTERVALS.to_owned()).filter(|_| report.claims.len() > 1),
        report.partial.then(|| partial.to_owned()),
    ];
    let with_care: Vec<String> = with_care.into_iter().flatten().collect();
    if !with_care.is_empty() {
        text += &format!(". {}", with_care.join(" "));
    }
    text
}

/// All benchmarks that verdicts rest on.
pub fn documents(report: &ClaimsReport) -> impl Iterator<Item = &Document> {
    let findings = report.claims.iter().flat_map(|tested| &tested.findings);
    findings.flat_map(|finding| &finding.runs).map(|run| &run.document)
}

/// All that the verdict on a claim rests on: each number, and the times of each run.
fn write_details(tested: &Tested, out: &mut dyn Write) -> io::Result<()> {
    for finding in &tested.findings {
        let title = format!("{} by {}: {}", tested.claim.name, finding.engine.name(), finding.verdict.name());
        writeln!(out, "{}\n", paint(TITLE, &title))?;
        for of in &finding.evidence {
            for line in wrap_to(&evidence_in_words(of, &finding.runs), WIDTH) {
                writeln!(out, "{line}")?;
            }
        }
        for (place, Run { spec, document }) in finding.runs.iter().enumerate() {
            let workload = plan::workload_in_words(None, &document.plan.workload);
            let title = format!("run {place}: bench-configs/{spec}.toml with {workload}");
            writeln!(out)?;
            for line in wrap_to(&title, WIDTH) {
                writeln!(out, "{}", paint(DIM, &line))?;
            }
            let table = tables::timing_within(document, table_width());
            writeln!(out, "{}", table.for_terminal())?;
            for line in tables::timing_legend(document, &table).iter().flat_map(|legend| wrap(legend)) {
                writeln!(out, "{}", paint(DIM, &line))?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn evidence_in_words(of: &Evidence, runs: &[Run]) -> String {
    let places: Vec<String> = of.runs.iter().map(usize::to_string).collect();
    let word = if places.len() == 1 { "run" } else { "runs" };
    let source = match runs.len() {
        0 | 1 => String::new(),
        _ => format!(", {word} {}", places.join(", ")),
    };
    format!("{}: {}, of {} rounds{source}", of.what, of.in_words(), of.rounds)
}

/// The table as Markdown, with the reasons below.
pub fn markdown(report: &ClaimsReport) -> String {
    let titles = COLUMNS.map(|(title, _)| title).join(" | ");
    let mut text = format!("| {titles} |\n|{}\n", "---|".repeat(COLUMNS.len()));
    for tested in &report.claims {
        let claim = &tested.claim;
        let figures = claim.figures.as_deref().unwrap_or(NONE);
        let measured: Vec<String> = measured(tested).iter().map(|line| escaped(line)).collect();
        let cells = [
            escaped(&claim.name),
            escaped(&claim.says),
            escaped(figures),
            measured.join("<br>"),
            format!("**{}**", tested.verdict_in_words()),
        ];
        text += &format!("| {} |\n", cells.join(" | "));
    }
    text.push('\n');
    for tested in &report.claims {
        for why in reasons(tested) {
            text += &format!("* **{}**, {}\n", tested.claim.name, escaped(&why));
        }
    }
    text += &format!("\n{}\n", escaped(&summary(report)));
    text
}

/// `text` without what Markdown would take for more than text.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if "\\|*_`<>[]#".contains(character) {
            escaped.push('\\');
        }
        escaped.push(if character == '\n' { ' ' } else { character });
    }
    escaped
}

/// Everything, in one line: most of it is raw values, which nobody reads.
///
/// # Errors
/// If a number is none.
pub fn json(report: &ClaimsReport) -> anyhow::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(report).context("failed to write the claims as JSON")?;
    text.push(b'\n');
    Ok(text)
}
