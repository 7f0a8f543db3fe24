//! A sweep for a person: a line for each strategy where one flag varies, a map of decisions where two do.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;

use super::grid::{WIDTH, wrap};
use super::numbers::{count, seconds, significant};
use super::plan::workload_in_words;
use super::style::{COLOURS, DIM, TITLE, paint};
use crate::document::{Document, Warning};
use crate::plan::vary::{Unit, Value, Variable};
use crate::study::standing::{Outcome, Standing};
use crate::study::sweep::{Cell, Sweep};
use crate::workload::{Spread, WorkloadSpec};

/// Writes everything that a person wants to see of `sweep`.
///
/// # Errors
/// What writing to `out` says.
pub fn write(sweep: &Sweep, out: &mut dyn Write) -> io::Result<()> {
    if let Some(document) = sweep.cells.iter().find_map(|cell| cell.document.as_ref()) {
        let vary = if sweep.variables.len() == 1 { "varies" } else { "vary" };
        for line in wrap(&format!("{}, where {} {vary}", fixed_in_words(sweep, document), keys(sweep))) {
            writeln!(out, "{}", paint(TITLE, &line))?;
        }
        writeln!(out)?;
    }
    let (blocks, legend) = match sweep.variables.as_slice() {
        [one] => (lines(sweep, one), legend_of_lines(sweep)),
        [down, across] => (map(sweep, down, across), legend_of_map(sweep)),
        _ => return Ok(()),
    };
    for block in blocks {
        writeln!(out, "{block}")?;
    }
    for line in wrap(&legend) {
        writeln!(out, "{}", paint(DIM, &line))?;
    }
    if let [one] = sweep.variables.as_slice() {
        writeln!(out)?;
        wrap(&turns(sweep, one)).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    if sweep.partial {
        let rest = format!("{} of {} cells were run.", sweep.done(), sweep.cells.len());
        writeln!(out, "\n{rest}")?;
    }
    Ok(())
}

/// `workload` without what `key` says of it.
pub(super) fn without(key: &str, workload: &WorkloadSpec) -> WorkloadSpec {
    let mut workload = workload.clone();
    match key {
        // So that it can be found in what is said of it.
        "tasks" => workload.tasks = 1,
        "cpu" => workload.cpu_seconds = 0.0,
        "io-wait" => workload.io_wait_seconds = 0.0,
        "io-size" => workload.io_size_bytes = 0,
        "arg-size" => workload.arg_size_bytes = 0,
        "result-size" => workload.result_size_bytes = 0,
        "memory" => workload.memory_bytes = 0,
        "shared" => workload.shared_bytes = 0,
        "parent-memory" => workload.parent_memory_bytes = 0,
        "init" => workload.init_seconds = 0.0,
        "spread" => workload.spread = Spread::Constant,
        _ => {}
    }
    workload
}

/// The workload without what varies in it.
fn fixed_in_words(sweep: &Sweep, document: &Document) -> String {
    let keys = sweep.variables.iter().map(|variable| variable.key.as_str());
    let workload = keys.clone().fold(document.plan.workload.clone(), |workload, key| without(key, &workload));
    let words = workload_in_words(document.plan.name.as_deref(), &workload);
    let words =
        if keys.into_iter().any(|key| key == "tasks") { words.replacen("1 task", "tasks", 1) } else { words };
    words.trim_end_matches(", doing nothing").to_owned()
}

fn keys(sweep: &Sweep) -> String {
    sweep.variables.iter().map(|variable| variable.key.as_str()).collect::<Vec<_>>().join(" and ")
}

/// A value as it is read most easily.
pub fn value_in_words(unit: Unit, value: &Value) -> String {
    match (unit, value.number) {
        (Unit::Count, Some(number)) => count(number as u64),
        _ => value.text.clone(),
    }
}

/// A text in colour, or not.
#[derive(Clone)]
pub(super) struct Field {
    text: String,
    style: Style,
}

impl Field {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new() }
    }

    pub(super) fn painted(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

/// Rows of fields as text, in as many blocks as it takes for none to be wider than a terminal. The first row is what stands
/// above the others, the first column what stands left of them.
pub(super) fn blocks(rows: &[Vec<Field>]) -> Vec<String> {
    const GAP: usize = 2;
    let width_of = |column: usize| {
        let widths = rows.iter().filter_map(|row| row.get(column)).map(|field| field.text.chars().count());
        widths.max().unwrap_or(0)
    };
    let columns = rows.first().map_or(0, Vec::len);
    let head = width_of(0);
    let mut blocks = Vec::new();
    let mut from = 1;
    while from < columns {
        let mut width = head;
        let fits = |column: &usize| {
            width += GAP + width_of(*column);
            *column == from || width <= WIDTH
        };
        let shown: Vec<usize> = (from..columns).take_while(fits).collect();
        from += shown.len();
        let mut text = String::new();
        for row in rows {
            let padded = |field: &Field, width: usize, right: bool| {
                let (shown, length) = (field.text.trim_end(), field.text.chars().count());
                let space = " ".repeat(width - length);
                let painted =
                    if field.style == Style::new() { shown.to_owned() } else { paint(field.style, shown) };
                let painted = painted + &" ".repeat(length - shown.chars().count());
                if right { space + &painted } else { painted + &space }
            };
            let mut line = row.first().map(|field| padded(field, head, false)).unwrap_or_default();
            for column in &shown {
                let Some(field) = row.get(*column) else { continue };
                line += &" ".repeat(GAP);
                line += &padded(field, width_of(*column), true);
            }
            text += line.trim_end();
            text.push('\n');
        }
        blocks.push(text);
    }
    blocks
}

/// Marks of a line.
const FASTEST: &str = "◀";
const AS_FAST: &str = "=";
const TOO_FEW: &str = "*";

/// One variable: a line for each strategy, a column for each value.
fn lines(sweep: &Sweep, variable: &Variable) -> Vec<String> {
    let cells: Vec<Option<&Cell>> = (0..variable.values.len()).map(|at| sweep.cell(&[at])).collect();
    let heading = |text: String| Field::painted(text, TITLE);
    let mut head = vec![heading(variable.key.clone())];
    head.extend(
        variable.values.iter().map(|value| heading(format!("{}  ", value_in_words(variable.unit, value)))),
    );
    let mut rows = vec![head];
    for (place, name) in sweep.strategies.iter().enumerate() {
        let mut row = vec![Field::plain(name)];
        row.extend(cells.iter().map(|cell| time_of(*cell, place, name)));
        rows.push(row);
    }
    let mut leads = vec![Field::painted("lead", DIM)];
    leads.extend(cells.iter().map(|cell| {
        let standing = cell.and_then(|cell| cell.standing.as_ref());
        let known = standing.filter(|standing| standing.outcome == Outcome::Best);
        let text =
            known.and_then(Standing::lead).map_or_else(|| "—  ".into(), |lead| format!("{}  ", factor(lead)));
        Field::painted(text, DIM)
    }));
    rows.push(leads);
    blocks(&rows)
}

fn factor(lead: f64) -> String {
    format!("{}×", significant(lead))
}

/// What a strategy took in a cell, with its mark.
fn time_of(cell: Option<&Cell>, place: usize, name: &String) -> Field {
    let document = cell.and_then(|cell| cell.document.as_ref());
    let summary = document.and_then(|document| document.strategies.get(place)?.summary.as_ref());
    let (Some(summary), Some(standing)) = (summary, cell.and_then(|cell| cell.standing.as_ref())) else {
        return Field::painted("—  ", DIM);
    };
    let time = seconds(summary.total_seconds.median);
    let is_best = standing.best == *name;
    match standing.outcome {
        Outcome::Failed => Field::painted(format!("{time} !"), DIM),
        Outcome::Best if is_best => Field::painted(format!("{time} {FASTEST}"), COLOURS[0]),
        Outcome::TooFewRounds if is_best => Field::plain(format!("{time} {TOO_FEW}")),
        Outcome::NotDistinguished if is_best || standing.not_distinguished.contains(name) => {
            Field::plain(format!("{time} {AS_FAST}"))
        }
        _ => Field::plain(format!("{time}  ")),
    }
}

fn outcomes(sweep: &Sweep) -> Vec<Outcome> {
    sweep.cells.iter().filter_map(|cell| Some(cell.standing.as_ref()?.outcome)).collect()
}

fn legend_of_lines(sweep: &Sweep) -> String {
    let all = outcomes(sweep);
    let mut notes = vec!["medians".to_owned()];
    for (outcome, note) in [
        (Outcome::Best, "◀ faster than each of the others · lead: how many times as fast as the next"),
        (Outcome::NotDistinguished, "= the fastest and those not distinguished from it"),
        (Outcome::TooFewRounds, "* the fastest, but too few rounds to be sure"),
        (Outcome::Failed, "! tasks failed: see the warnings"),
    ] {
        notes.extend(all.contains(&outcome).then(|| note.to_owned()));
    }
    notes.extend(certainty(sweep));
    notes.join(" · ")
}

/// How often a cell is wrong.
fn certainty(sweep: &Sweep) -> Option<String> {
    let verdicts = outcomes(sweep).contains(&Outcome::Best);
    (verdicts && sweep.strategies.len() > 1)
        .then(|| "the wrong one is called the fastest in at most 1 of 20 cells".into())
}

/// Where the fastest strategy changes, in a sentence for each stretch of values.
fn turns(sweep: &Sweep, variable: &Variable) -> String {
    let said = |at: usize| -> String {
        match sweep.cell(&[at]).and_then(|cell| cell.standing.as_ref()) {
            None => "not run".into(),
            Some(standing) => match standing.outcome {
                Outcome::Best => standing.best.clone(),
                Outcome::NotDistinguished => {
                    let mut names: Vec<&str> =
                        standing.not_distinguished.iter().map(String::as_str).collect();
                    names.push(&standing.best);
                    names.sort_by_key(|name| sweep.strategies.iter().position(|other| other == name));
                    format!("{} not distinguished", names.join(", "))
                }
                Outcome::TooFewRounds => "too few rounds".into(),
                Outcome::Failed => "tasks failed".into(),
            },
        }
    };
    let mut stretches: Vec<(usize, usize, String)> = Vec::new();
    for at in 0..variable.values.len() {
        let now = said(at);
        match stretches.last_mut() {
            Some((_, last, before)) if *before == now => *last = at,
            _ => stretches.push((at, at, now)),
        }
    }
    let shown = |at: usize| value_in_words(variable.unit, &variable.values[at]);
    let parts = stretches.iter().map(|(first, last, what)| match first == last {
        true => format!("at {}: {what}", shown(*first)),
        false => format!("{} to {}: {what}", shown(*first), shown(*last)),
    });
    format!("Fastest by {}: {}.", variable.key, parts.collect::<Vec<_>>().join(" · "))
}

/// A letter for each strategy: one of its name where that is free.
pub fn letters(names: &[String]) -> Vec<char> {
    let mut taken: Vec<char> = Vec::new();
    for name in names {
        let own = name.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_uppercase());
        let letter = own.chain('A'..='Z').chain('0'..='9').find(|letter| !taken.contains(letter));
        taken.push(letter.unwrap_or('?'));
    }
    taken
}

/// Two variables: a cell for each pair of values, which says who is best there.
fn map(sweep: &Sweep, down: &Variable, across: &Variable) -> Vec<String> {
    let letters = letters(&sweep.strategies);
    let heading = |text: String| Field::painted(text, TITLE);
    let mut head = vec![heading(format!("{} ↓  {} →", down.key, across.key))];
    head.extend(across.values.iter().map(|value| heading(value_in_words(across.unit, value))));
    let mut rows = vec![head];
    for (row_at, value) in down.values.iter().enumerate() {
        let mut row = vec![heading(value_in_words(down.unit, value))];
        row.extend((0..across.values.len()).map(|at| decision(sweep, sweep.cell(&[row_at, at]), &letters)));
        rows.push(row);
    }
    blocks(&rows)
}

fn decision(sweep: &Sweep, cell: Option<&Cell>, letters: &[char]) -> Field {
    let Some(standing) = cell.and_then(|cell| cell.standing.as_ref()) else {
        return Field::painted("—", DIM);
    };
    let place = |name: &String| sweep.strategies.iter().position(|other| other == name).unwrap_or(0);
    let best = place(&standing.best);
    match standing.outcome {
        Outcome::Failed => Field::painted("!", DIM),
        Outcome::TooFewRounds => Field::painted(format!("{}*", letters[best]), DIM),
        Outcome::NotDistinguished => {
            let mut places: Vec<usize> = standing.not_distinguished.iter().map(place).collect();
            places.push(best);
            places.sort_unstable();
            let names: Vec<String> = places.iter().map(|place| letters[*place].to_string()).collect();
            Field::painted(names.join("="), DIM)
        }
        Outcome::Best => {
            let lead = standing.lead().map(|lead| format!(" {}", factor(lead))).unwrap_or_default();
            Field::painted(format!("{}{lead}", letters[best]), COLOURS[best % COLOURS.len()])
        }
    }
}

fn legend_of_map(sweep: &Sweep) -> String {
    let all = outcomes(sweep);
    let letters = letters(&sweep.strategies);
    let mut notes: Vec<String> =
        letters.iter().zip(&sweep.strategies).map(|(letter, name)| format!("{letter} {name}")).collect();
    for (outcome, note) in [
        (Outcome::Best, "×: how many times as fast as the next"),
        (Outcome::NotDistinguished, "=: not distinguished"),
        (Outcome::TooFewRounds, "*: the fastest, but too few rounds to be sure"),
        (Outcome::Failed, "!: tasks failed"),
    ] {
        notes.extend(all.contains(&outcome).then(|| note.to_owned()));
    }
    notes.extend((sweep.done() < sweep.cells.len()).then(|| "—: not run".to_owned()));
    notes.extend(certainty(sweep));
    notes.join(" · ")
}

/// Says what is about to be run.
///
/// # Errors
/// What writing to `out` says.
pub fn write_announcement(sweep: &Sweep, out: &mut dyn Write) -> io::Result<()> {
    let open = sweep.cells.len() - sweep.done();
    if open == 0 {
        return writeln!(out, "all {} cells are done", sweep.cells.len());
    }
    let time = sweep.estimate_seconds.map(|time| format!(", which take about {} at most", seconds(time)));
    let of = if sweep.done() > 0 {
        format!(" of {}, the others are done", sweep.cells.len())
    } else {
        String::new()
    };
    writeln!(out, "{open} cells{of}{}", time.unwrap_or_default())
}

/// Why a sweep is not begun.
pub fn too_long(sweep: &Sweep, needed: f64, allowed: f64) -> String {
    format!(
        "the {} cells would take about {}, which is longer than the total time of {}: expected fewer values, fewer --rounds, \
         a smaller --time-budget for each strategy, or a longer --total-time",
        sweep.cells.len() - sweep.done(),
        seconds(needed),
        seconds(allowed)
    )
}

/// Writes what would be run.
///
/// # Errors
/// What writing to `out` says.
pub fn write_plan(sweep: &Sweep, out: &mut dyn Write) -> io::Result<()> {
    for variable in &sweep.variables {
        let values: Vec<&str> = variable.values.iter().map(|value| value.text.as_str()).collect();
        for line in wrap(&format!("{}: {}", variable.key, values.join(", "))) {
            writeln!(out, "{line}")?;
        }
    }
    writeln!(out, "strategies: {}", sweep.strategies.join(", "))?;
    let time = match sweep.estimate_seconds {
        Some(time) => {
            format!("They take about {} at most; nothing was run but a few tasks of each.", seconds(time))
        }
        None => {
            "What they take is not estimated, since nobody can tell without executing the program.".into()
        }
    };
    for line in
        wrap(&format!("{} cells, in an order drawn from seed {}. {time}", sweep.cells.len(), sweep.seed))
    {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Writes the warnings of all cells, each once, with the number of cells that have it.
///
/// # Errors
/// What writing to `out` says.
pub fn write_warnings(sweep: &Sweep, out: &mut dyn Write) -> io::Result<()> {
    let mut found: BTreeMap<&str, (String, &Warning, usize)> = BTreeMap::new();
    for cell in &sweep.cells {
        let mut seen: Vec<&str> = Vec::new();
        for warning in cell.document.iter().flat_map(|document| &document.warnings) {
            let name = || cell.name(&sweep.variables);
            let entry = found.entry(&warning.code).or_insert_with(|| (name(), warning, 0));
            if !seen.contains(&warning.code.as_str()) {
                entry.2 += 1;
                seen.push(&warning.code);
            }
        }
    }
    let merged: Vec<Warning> = found
        .into_values()
        .map(|(cell, warning, cells)| {
            let rest = match cells - 1 {
                0 => String::new(),
                1 => " and one other".into(),
                others => format!(" and {others} others"),
            };
            Warning { code: warning.code.clone(), message: format!("{cell}{rest}: {}", warning.message) }
        })
        .collect();
    super::write_warnings(&merged, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_strategy_has_a_letter_of_its_own() {
        let names = ["serial", "threads", "pool", "process", "pool:workers=4"].map(String::from);
        assert_eq!(letters(&names), ['S', 'T', 'P', 'R', 'O']);
    }

    #[test]
    fn what_is_too_wide_goes_into_another_block() {
        let row = |text: &str| (0..20).map(|_| Field::plain(text)).collect::<Vec<_>>();
        let blocks = blocks(&[row("12345678"), row("1.00×")]);
        assert_eq!(blocks.len(), 3);
        for block in &blocks {
            assert!(block.lines().all(|line| line.chars().count() <= WIDTH), "{block}");
            assert!(block.starts_with("12345678"));
        }
    }
}
