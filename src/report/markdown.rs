//! The Markdown export: the tables of the terminal, as GitHub draws them.

use super::grid::Grid;
use super::{articles, is_reason, plan, sentence, tables};
use crate::document::Document;
use crate::plan::command_line;

/// Everything that a terminal shows of each of `runs`.
///
/// # Errors
/// None.
pub fn export(runs: &[Document]) -> anyhow::Result<Vec<u8>> {
    Ok(runs.iter().map(of_run).collect::<Vec<_>>().join("\n").into_bytes())
}

fn of_run(document: &Document) -> String {
    let mut text = String::new();
    let mut paragraph = |line: String| text += &format!("{line}\n\n");
    let title = plan::workload_in_words(document.plan.name.as_deref(), &document.plan.workload);
    paragraph(format!("## {}", escaped(&title)));
    if document.partial {
        paragraph("**This run was cut short: what is here was finished.**".into());
    }
    if let Some(storage) = &document.environment.storage {
        paragraph(escaped(&plan::storage_in_words(storage)));
    }
    paragraph(format!("**{}**", escaped(&sentence::verdict(document))));
    let mut section = |table: Option<Grid>, legend: Option<String>| {
        let Some(grid) = table else { return };
        paragraph(table_of(&grid));
        if let Some(legend) = legend {
            paragraph(format!("<sub>{}</sub>", escaped(&legend)));
        }
    };
    section(Some(tables::timing(document)), tables::timing_legend(document));
    section(Some(tables::memory(document)), tables::memory_legend(document));
    section(tables::latency(document), Some(tables::latency_legend(document)));
    section(Some(tables::disturbance(document)), Some(tables::DISTURBANCE_LEGEND.into()));
    let results = articles::line(document);
    if !results.is_empty() {
        paragraph(escaped(&results));
    }
    let warnings: Vec<String> = document
        .warnings
        .iter()
        .filter(|warning| !is_reason(warning))
        .map(|warning| format!("* {}", escaped(&warning.message)))
        .collect();
    if !warnings.is_empty() {
        paragraph(format!("Warnings:\n\n{}", warnings.join("\n")));
    }
    if let Some(python) = &document.environment.python {
        paragraph(escaped(&plan::python_in_words(python)));
    }
    paragraph(escaped(&plan::machine_in_words(&document.environment.machine)));
    let by = format!("procbench {}, {}; again by:", document.tool.version, document.started_at);
    paragraph(format!("{}\n\n{}", escaped(&by), indented(&command_line::of(&document.plan))));
    text.trim_end().to_owned() + "\n"
}

/// A code block by its indent, which no text in it can end.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// A table in GitHub's dialect: the first column to the left, figures to the right.
pub fn table_of(grid: &Grid) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let mut lines = vec![line(grid.header.iter().map(|title| escaped(title)).collect())];
    lines.push(line((0..grid.header.len()).map(|at| if at == 0 { "---" } else { "---:" }.into()).collect()));
    lines.extend(grid.full_rows().map(|row| line(row.map(|cell| escaped(&cell.text)).collect())));
    lines.join("\n")
}

/// `text` so that it is read as it stands, on one line.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => safe.extend(['\\', character]),
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '&' => safe += "&amp;",
            // Whoever is named in a spec is not to be told of it.
            '@' => safe += "@\u{200b}",
            other if other.is_control() => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::grid::Cell;
    use super::*;

    #[test]
    fn what_a_user_wrote_does_not_break_out_of_its_cell() {
        let mut grid = Grid::new(&["strategy", "time"]);
        grid.rows.push(vec![Cell::new("a|b\n<script>*x*"), Cell::new("1 s")]);
        grid.rows.push(vec![Cell::new("short")]);
        assert_eq!(
            table_of(&grid),
            "| strategy | time |\n| --- | ---: |\n| a\\|b &lt;script&gt;\\*x\\* | 1 s |\n| short |  |"
        );
    }
}
