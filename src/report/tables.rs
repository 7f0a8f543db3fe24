//! The timing table and the memory table.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};

use super::numbers::{bytes, count, metric, percent, seconds, seconds_range, times};
use super::style::{DIM, paint};
use crate::document::{Document, MEMORY_NOT_MEASURED, Memory, StrategyResult, StrategySummary};
use crate::stats::Verdict;

/// Tables are for terminals of this many columns.
pub const WIDTH: usize = 80;

/// Stands where a value was not measured.
const NOT_MEASURED: &str = "not measured";

/// Time: a row for each strategy.
pub fn timing(document: &Document) -> String {
    let mut table = table(&["strategy", "time", "95 % interval", "set-up", "speed-up", "tasks/s", "CPU"]);
    for strategy in document.strategies.iter().chain(&document.overhead) {
        let row = match &strategy.summary {
            None => vec![Cell::new(&strategy.name), dim("not run")],
            Some(summary) => timing_row(strategy, summary, document),
        };
        table.add_row(row);
    }
    finish(table)
}

fn timing_row(strategy: &StrategyResult, summary: &StrategySummary, document: &Document) -> Vec<Cell> {
    let total = &summary.total_seconds;
    let interval = match total.interval {
        Some(interval) => seconds_range(interval.low, interval.high),
        None if total.rounds > 1 => format!("{} *", seconds_range(total.min, total.max)),
        None => "1 round".into(),
    };
    let is_baseline = strategy.name == document.plan.run.baseline;
    let speed_up = match summary.speedup_over_baseline {
        _ if is_baseline => dim("baseline"),
        Some(speed_up) => match speed_up.verdict {
            Verdict::Faster => Cell::new(times(speed_up.ratio)).fg(Color::Green),
            Verdict::Slower => Cell::new(times(speed_up.ratio)).fg(Color::Red),
            Verdict::NotDistinguished => Cell::new(format!("{} =", times(speed_up.ratio))),
            Verdict::TooFewRounds => Cell::new(format!("{} *", times(speed_up.ratio))),
        },
        None => dim("—"),
    };
    vec![
        Cell::new(&strategy.name),
        Cell::new(seconds(total.median)),
        Cell::new(interval),
        Cell::new(percent(summary.set_up_seconds / total.median)),
        speed_up,
        Cell::new(metric(summary.tasks_per_second)),
        Cell::new(seconds(summary.cpu_seconds)),
    ]
}

/// What the marks in the timing table mean, as far as it has any.
pub fn timing_legend(document: &Document) -> Option<String> {
    let verdicts = || {
        let speed_ups =
            document.strategies.iter().filter_map(|row| row.summary.as_ref()?.speedup_over_baseline);
        speed_ups.map(|speed_up| speed_up.verdict)
    };
    let mut notes = Vec::new();
    if verdicts().any(|verdict| verdict == Verdict::TooFewRounds) {
        notes.push("* too few rounds for an interval or a verdict: smallest … largest");
    }
    let others = document.strategies.iter().filter(|row| row.name != document.plan.run.baseline);
    let others = others.filter_map(|row| row.summary.as_ref()?.speedup_over_baseline);
    if others.into_iter().any(|speed_up| speed_up.verdict == Verdict::NotDistinguished) {
        notes.push("= not distinguished from the baseline");
    }
    (!notes.is_empty()).then(|| paint(DIM, &notes.join(" · ")))
}

fn seconds_or_dash(value: Option<f64>) -> Cell {
    value.map_or_else(|| dim("—"), |value| Cell::new(seconds(value)))
}

/// How long tasks waited and took: a row for each strategy. `None` where that was not asked for.
pub fn latency(document: &Document) -> Option<String> {
    let mut table =
        table(&["strategy", "wait p50", "wait p99", "wait max", "task p50", "task p99", "task max"]);
    for strategy in &document.strategies {
        let Some(latency) = &strategy.latency else { continue };
        let mut row = vec![Cell::new(&strategy.name)];
        for of in [&latency.wait, &latency.service] {
            row.extend([of.p50_seconds, of.p99_seconds, Some(of.max_seconds)].map(seconds_or_dash));
        }
        table.add_row(row);
    }
    (!table.is_empty()).then(|| finish(table))
}

/// How much others were disturbed: a row for each strategy, and one for the machine when nothing was run.
pub fn disturbance(document: &Document) -> String {
    let mut table = table(&["strategy", "late p50", "late p99", "late max", "wake-ups"]);
    let rows = document.strategies.iter().filter_map(|row| Some((row.name.as_str(), row.disturbance?)));
    for (name, late) in rows.chain([(IDLE, document.environment.idle_disturbance)]) {
        let mut row = vec![Cell::new(name)];
        row.extend([late.p50_seconds, late.p99_seconds, late.max_seconds].map(seconds_or_dash));
        row.push(Cell::new(count(late.count)));
        table.add_row(row);
    }
    finish(table)
}

/// What the row of the idle machine is called.
const IDLE: &str = "(nothing run)";

/// What the columns of the disturbance table mean.
pub fn disturbance_legend() -> String {
    legend(
        "late: how late a bystander woke that sleeps 10 ms at a time · p99 takes 100 wake-ups · \
         the more wake-ups, the larger a maximum",
    )
}

fn legend(text: &str) -> String {
    wrap(text).iter().map(|line| paint(DIM, line)).collect::<Vec<_>>().join("\n")
}

/// What the columns of the latency table mean.
pub fn latency_legend(document: &Document) -> String {
    let mut one_in: Vec<u64> = document
        .strategies
        .iter()
        .filter_map(|strategy| strategy.latency.as_ref())
        .map(|row| row.one_in)
        .collect();
    one_in.sort_unstable();
    let sampled = match one_in.last() {
        Some(1) | None => String::new(),
        Some(most) => format!(" (of one task in {})", count(*most)),
    };
    legend(&format!(
        "wait: from the start of the clock to a task's start · task: from its start to its end{sampled} · \
         —: fewer than ten tasks beyond that percentile"
    ))
}

/// Why something in the memory table was not measured; `None` if all was.
pub fn memory_legend(document: &Document) -> Option<String> {
    let reasons =
        document.warnings.iter().filter(|warning| MEMORY_NOT_MEASURED.contains(&warning.code.as_str()));
    let reasons: Vec<&str> = reasons.map(|warning| warning.message.as_str()).collect();
    (!reasons.is_empty()).then(|| legend(&reasons.join(" · ")))
}

/// Memory: a row for each strategy.
pub fn memory(document: &Document) -> String {
    let mut table =
        table(&["strategy", "peak alive", "peak memory", "user", "kernel", "per alive", "method"]);
    for strategy in &document.strategies {
        let row = match &strategy.memory {
            None => vec![Cell::new(&strategy.name), dim(NOT_MEASURED)],
            Some(memory) => memory_row(&strategy.name, memory),
        };
        table.add_row(row);
    }
    finish(table)
}

fn memory_row(name: &str, memory: &Memory) -> Vec<Cell> {
    let or_not =
        |value: Option<u64>| value.map_or_else(|| dim(NOT_MEASURED), |value| Cell::new(bytes(value)));
    vec![
        Cell::new(name),
        Cell::new(count(memory.peak_alive)),
        or_not(memory.peak_bytes),
        or_not(memory.user_bytes),
        or_not(memory.kernel_bytes),
        memory.per_task_alive_bytes.map_or_else(|| dim("—"), |value| Cell::new(bytes(value))),
        Cell::new(memory.method.name()),
    ]
}

fn dim(text: &str) -> Cell {
    Cell::new(text).add_attribute(Attribute::Dim)
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    // Styles are always written; whether they reach a reader is decided where everything is printed.
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH as u16);
    table.enforce_styling();
    table.set_header(header.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    table
}

fn finish(mut table: Table) -> String {
    let last = table.column_count().saturating_sub(1);
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if place < last { 2 } else { 0 }));
        if place > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        } else {
            // A name that is too long is broken between its settings.
            column.set_delimiter(':');
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// `text` in lines of at most [`WIDTH`] columns. A number and its unit stay together.
pub fn wrap(text: &str) -> Vec<String> {
    wrap_to(text, WIDTH)
}

/// As [`wrap`], in lines of at most `columns` columns.
pub fn wrap_to(text: &str, columns: usize) -> Vec<String> {
    const UNITS: [&str; 6] = [" ×", " %", " s", " ms", " µs", " ns"];
    const GLUE: &str = "\u{a0}";
    let mut glued = format!("{text} ");
    for unit in UNITS {
        for end in [" ", ",", ".", ")", ";"] {
            glued = glued.replace(&format!("{unit}{end}"), &format!("{GLUE}{}{end}", &unit[1..]));
        }
    }
    let words = glued.split([' ', '\n']).filter(|word| !word.is_empty());
    wrap_pieces_to(words, " ", columns).into_iter().map(|line| line.replace(GLUE, " ")).collect()
}

/// `pieces` in lines of at most [`WIDTH`] columns, with `separator` between two on the same line.
pub fn wrap_pieces<'a>(pieces: impl IntoIterator<Item = &'a str>, separator: &str) -> Vec<String> {
    wrap_pieces_to(pieces, separator, WIDTH)
}

fn wrap_pieces_to<'a>(
    pieces: impl IntoIterator<Item = &'a str>,
    separator: &str,
    columns: usize,
) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in pieces {
        let last = lines.last_mut().expect("there is always a line");
        let width = |text: &str| text.chars().count();
        if !last.is_empty() && width(last) + width(separator) + width(piece) > columns {
            lines.push(piece.to_owned());
        } else {
            if !last.is_empty() {
                last.push_str(separator);
            }
            last.push_str(piece);
        }
    }
    lines
}
