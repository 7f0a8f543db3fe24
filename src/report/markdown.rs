//! The Markdown export: the tables of the terminal, as GitHub draws them.

use super::grid::Grid;
use super::style::steers;
use super::subject::Subject;
use super::{advise, articles, crossover, in_python, is_reason, plan, sentence, sweep, tables};
use crate::document::head::Head;
use crate::document::{Document, Warning};
use crate::plan::command_line;
use crate::study::advise::document::Advice;
use crate::study::crossover::document::Crossovers;
use crate::study::sweep::Sweep;

/// Everything that a terminal shows of each of `subjects`.
///
/// # Errors
/// None.
pub fn export(subjects: &[Subject<'_>]) -> anyhow::Result<Vec<u8>> {
    let of = |subject: &Subject<'_>| match *subject {
        Subject::Run(run) => of_run(run),
        Subject::Sweep(sweep) => of_sweep(sweep),
        Subject::Crossover(crossover) => of_crossover(crossover),
        Subject::Advice(advice) => of_advice(advice),
        Subject::Claims(claims) => super::claims::markdown(claims),
    };
    Ok(subjects.iter().map(of).collect::<Vec<_>>().join("\n").into_bytes())
}

/// Paragraphs about a study, below a heading.
struct Pages(Vec<String>);

impl Pages {
    fn new(title: &str, head: &Head) -> Self {
        let cut = "**This was cut short: what is here was finished.**".to_owned();
        Self([format!("## {}", escaped(title))].into_iter().chain(head.partial.then_some(cut)).collect())
    }

    fn table(&mut self, grid: &Grid, legend: Option<&str>) {
        self.0.push(table_of(grid));
        self.0.extend(legend.map(|legend| format!("<sub>{}</sub>", escaped(legend))));
    }

    fn warnings(&mut self, warnings: &[Warning]) {
        let shown = warnings.iter().filter(|warning| !is_reason(warning));
        let lines: Vec<String> = shown.map(|warning| format!("* {}", escaped(&warning.message))).collect();
        self.0.extend((!lines.is_empty()).then(|| format!("Warnings:\n\n{}", lines.join("\n"))));
    }

    /// Where it was made, and how it is made again.
    fn end(mut self, head: &Head, machine: Option<&Document>) -> String {
        self.0
            .extend(machine.map(|document| escaped(&plan::machine_in_words(&document.environment.machine))));
        let by = format!("procbench {}, {}; again by:", head.tool.version, head.started_at);
        self.0.push(escaped(&by));
        self.0.push(indented(&head.command_in_words()));
        self.0.join("\n\n") + "\n"
    }
}

fn of_sweep(of: &Sweep) -> String {
    let mut pages = Pages::new(&sweep::title(of), &of.head);
    let answer = sweep::answer(of);
    pages.0.extend(answer.map(|answer| format!("**{}**", escaped(&answer))));
    pages.table(&sweep::table(of), Some(&sweep::legend(of)));
    pages
        .0
        .extend([sweep::reservation(of), sweep::rest(of)].into_iter().flatten().map(|said| escaped(&said)));
    pages.warnings(&sweep::warnings(of));
    pages.end(&of.head, of.cells.iter().find_map(|cell| cell.document.as_ref()))
}

fn of_crossover(of: &Crossovers) -> String {
    let mut pages = Pages::new(&crossover::title(of), &of.head);
    pages.0.push(format!("**{}**", escaped(&crossover::verdict(of))));
    pages.table(&crossover::table(of), Some(&crossover::legend(of)));
    pages.warnings(&crossover::warnings(of));
    pages.end(&of.head, of.points.first().map(|point| &point.document))
}

fn of_advice(of: &Advice) -> String {
    let mut pages = Pages::new(&advise::title(of), &of.head);
    pages.0.push(format!("**{}**", escaped(&advise::answer(of))));
    pages.0.extend(advise::in_python(of).map(|line| indented(&line)));
    if of.finals.is_some() {
        pages.table(&advise::table(of), Some(&advise::legend(of)));
        pages.0.push("To see it again:".into());
        pages.0.push(indented(&advise::command(of)));
    }
    pages.0.push("Everybody that was looked at:".into());
    pages.table(&advise::search_table(of), None);
    pages.warnings(of.finals.as_ref().map_or(&[], |finals| &finals.warnings));
    pages.end(&of.head, of.finals.as_ref().or(of.races.first()))
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
    in_python::of_answer(document).into_iter().for_each(|line| paragraph(indented(&line)));
    let mut section = |table: Option<Grid>, legend: Option<String>| {
        let Some(grid) = table else { return };
        paragraph(table_of(&grid));
        if let Some(legend) = legend {
            paragraph(format!("<sub>{}</sub>", escaped(&legend)));
        }
    };
    let (times, memory) = (tables::timing(document), tables::memory(document));
    let legends = (tables::timing_legend(document, &times), tables::memory_legend(document, &memory));
    section(Some(times), legends.0);
    section(Some(memory), legends.1);
    section(tables::latency(document), Some(tables::latency_legend(document)));
    section(Some(tables::disturbance(document)), Some(tables::disturbance_legend(document)));
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
    paragraph(escaped(&plan::machine_with_gaps(document)));
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
    let mut lines = vec![line(grid.header.iter().map(|title| escaped(title.trim_end())).collect())];
    lines.push(line((0..grid.header.len()).map(|at| if at == 0 { "---" } else { "---:" }.into()).collect()));
    lines.extend(grid.full_rows().map(|row| line(row.map(|cell| escaped(cell.text.trim_end())).collect())));
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
            other if steers(other) => safe.extend(other.escape_default()),
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
