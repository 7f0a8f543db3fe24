//! The table of a sweep: a line for each strategy where one flag varies, a map of decisions where two do.

use super::value_in_words;
use crate::document::standing::{Outcome, Standing};
use crate::engine::Engine;
use crate::plan::vary::Variable;
use crate::report::grid::{Cell, Grid, Tone};
use crate::report::numbers::{seconds, significant};
use crate::stats::CLEARLY;
use crate::study::sweep::{self, Sweep};

/// Marks of a line.
const FASTEST: &str = "◀";
const AS_FAST: &str = "=";
const TOO_FEW: &str = "*";

/// What was measured, and who is best where.
pub fn table(sweep: &Sweep) -> Grid {
    match sweep.variables.as_slice() {
        [one] => lines(sweep, one),
        [down, across] => map(sweep, down, across),
        _ => Grid::new(&[]),
    }
}

/// What the marks in [`table`] mean.
pub fn legend(sweep: &Sweep) -> String {
    let notes = match sweep.variables.as_slice() {
        [_] => notes_of_lines(sweep),
        _ => notes_of_map(sweep),
    };
    let by_few = sweep.cells.iter().filter_map(|cell| cell.standing.as_ref()).any(|standing| {
        standing.outcome == Outcome::Best && standing.others.iter().any(|other| other.is_clearly_slower)
    });
    let by_few = by_few.then(|| {
        format!("where another has too few rounds for an interval, each of them took more than {CLEARLY} times as long")
    });
    notes.into_iter().chain(by_few).chain(certainty(sweep)).collect::<Vec<_>>().join(" · ")
}

/// One variable: a line for each strategy, a column for each value.
fn lines(sweep: &Sweep, variable: &Variable) -> Grid {
    let cells: Vec<Option<&sweep::Cell>> = (0..variable.values.len()).map(|at| sweep.cell(&[at])).collect();
    let titles = variable.values.iter().map(|value| format!("{}  ", value_in_words(variable.unit, value)));
    let header = std::iter::once(variable.key.clone()).chain(titles).collect();
    let line = |(place, name): (usize, &String)| {
        let times = cells.iter().map(|cell| time_of(*cell, place, name));
        std::iter::once(Cell::new(name)).chain(times).collect()
    };
    let mut rows: Vec<Vec<Cell>> = sweep.strategies.iter().enumerate().map(line).collect();
    let leads = cells.iter().map(|cell| {
        let standing = cell.and_then(|cell| cell.standing.as_ref());
        let known = standing.filter(|standing| standing.outcome == Outcome::Best);
        let lead = known.and_then(Standing::lead);
        Cell::dim(lead.map_or_else(String::new, |lead| format!("{}  ", factor(lead))))
    });
    if outcomes(sweep).contains(&Outcome::Best) {
        rows.push(std::iter::once(Cell::dim("lead")).chain(leads).collect());
    }
    Grid { header, rows }
}

fn factor(lead: f64) -> String {
    format!("{}×", significant(lead))
}

/// What a strategy took in a cell, with its mark.
fn time_of(cell: Option<&sweep::Cell>, place: usize, name: &String) -> Cell {
    let document = cell.and_then(|cell| cell.document.as_ref());
    let summary = document.and_then(|document| document.strategies.get(place)?.summary.as_ref());
    let (Some(summary), Some(standing)) = (summary, cell.and_then(|cell| cell.standing.as_ref())) else {
        return Cell::dim("—  ");
    };
    let time = seconds(summary.total_seconds.median);
    let is_best = standing.best == *name;
    match standing.outcome {
        Outcome::Failed => Cell::dim(format!("{time} !")),
        Outcome::Best if is_best => Cell::new(format!("{time} {FASTEST}")).with(Tone::Good),
        Outcome::TooFewRounds if is_best => Cell::new(format!("{time} {TOO_FEW}")),
        Outcome::NotDistinguished if is_best || standing.not_distinguished.contains(name) => {
            Cell::new(format!("{time} {AS_FAST}"))
        }
        _ => Cell::new(format!("{time}  ")),
    }
}

fn outcomes(sweep: &Sweep) -> Vec<Outcome> {
    sweep.cells.iter().filter_map(|cell| Some(cell.standing.as_ref()?.outcome)).collect()
}

fn notes_of_lines(sweep: &Sweep) -> Vec<String> {
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
    notes.extend(absent(sweep));
    notes
}

/// Why a time or a decision may be missing.
fn absent(sweep: &Sweep) -> Option<String> {
    let documents = || sweep.cells.iter().filter_map(|cell| cell.document.as_ref());
    let given_up = documents().flat_map(|document| &document.strategies).any(|row| row.given_up.is_some());
    match (sweep.done() < sweep.cells.len(), given_up) {
        (true, true) => Some("—: not run, or given up: see the warnings".into()),
        (true, false) => Some("—: not run".into()),
        (false, true) => Some("—: given up: see the warnings".into()),
        (false, false) => None,
    }
}

/// How often a cell is wrong.
fn certainty(sweep: &Sweep) -> Option<String> {
    let verdicts = outcomes(sweep).contains(&Outcome::Best);
    (verdicts && sweep.strategies.len() > 1)
        .then(|| "the wrong one is called the fastest in at most 1 of 20 cells".into())
}

/// A letter for each strategy: one of its name where that is free.
pub fn letters(names: &[String]) -> Vec<char> {
    let mut taken: Vec<char> = Vec::new();
    for name in names {
        // What all rows of an engine begin with tells none of them apart.
        let own = name.strip_prefix(Engine::Python.prefix()).unwrap_or(name);
        let own = own.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_uppercase());
        let letter = own.chain('A'..='Z').chain('0'..='9').find(|letter| !taken.contains(letter));
        taken.push(letter.unwrap_or('?'));
    }
    taken
}

/// Two variables: a cell for each pair of values, which says who is best there.
fn map(sweep: &Sweep, down: &Variable, across: &Variable) -> Grid {
    let letters = letters(&sweep.strategies);
    let mut header = vec![format!("{} ↓  {} →", down.key, across.key)];
    header.extend(across.values.iter().map(|value| value_in_words(across.unit, value)));
    let row = |(row_at, value)| {
        let name = Cell::new(value_in_words(down.unit, value)).with(Tone::Title);
        let decisions =
            (0..across.values.len()).map(|at| decision(sweep, sweep.cell(&[row_at, at]), &letters));
        std::iter::once(name).chain(decisions).collect()
    };
    Grid { header, rows: down.values.iter().enumerate().map(row).collect() }
}

/// The letter of the best in `cell`, with its lead.
pub fn decision(sweep: &Sweep, cell: Option<&sweep::Cell>, letters: &[char]) -> Cell {
    let Some(standing) = cell.and_then(|cell| cell.standing.as_ref()) else {
        return Cell::dim("—");
    };
    let place = |name: &String| sweep.strategies.iter().position(|other| other == name).unwrap_or(0);
    let letter = |place: usize| letters.get(place).copied().unwrap_or('?');
    let best = place(&standing.best);
    match standing.outcome {
        Outcome::Failed => Cell::dim("!"),
        // Whoever ran alone before the end came is compared with nobody.
        Outcome::Alone if sweep.strategies.len() > 1 && cell.is_some_and(|cell| !cell.is_done()) => {
            Cell::dim("—")
        }
        // Its name would say nothing: how long it took does.
        Outcome::Alone if sweep.strategies.len() == 1 => {
            let summary = cell.and_then(|cell| cell.document.as_ref()?.strategies.first()?.summary.as_ref());
            summary.map_or_else(|| Cell::dim("—"), |of| Cell::new(seconds(of.total_seconds.median)))
        }
        Outcome::Alone => Cell::dim(letter(best).to_string()),
        Outcome::TooFewRounds => Cell::dim(format!("{}*", letter(best))),
        Outcome::NotDistinguished => {
            let mut places: Vec<usize> = standing.not_distinguished.iter().map(place).collect();
            places.push(best);
            places.sort_unstable();
            let names: Vec<String> = places.into_iter().map(|place| letter(place).to_string()).collect();
            Cell::dim(names.join("="))
        }
        Outcome::Best => {
            let lead = standing.lead().map(|lead| format!(" {}", factor(lead))).unwrap_or_default();
            Cell::new(format!("{}{lead}", letter(best))).with(Tone::Of(best))
        }
    }
}

fn notes_of_map(sweep: &Sweep) -> Vec<String> {
    let all = outcomes(sweep);
    let letters = letters(&sweep.strategies);
    let mut notes: Vec<String> = match sweep.strategies.as_slice() {
        [only] => vec![format!("medians of {only}")],
        names => letters.iter().zip(names).map(|(letter, name)| format!("{letter} {name}")).collect(),
    };
    for (outcome, note) in [
        (Outcome::Best, "×: how many times as fast as the next"),
        (Outcome::NotDistinguished, "=: not distinguished"),
        (Outcome::TooFewRounds, "*: the fastest, but too few rounds to be sure"),
        (Outcome::Failed, "!: tasks failed"),
    ] {
        notes.extend(all.contains(&outcome).then(|| note.to_owned()));
    }
    notes.extend(absent(sweep));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_strategy_has_a_letter_of_its_own() {
        let names = ["serial", "threads", "pool", "process", "pool:workers=4"].map(String::from);
        assert_eq!(letters(&names), ['S', 'T', 'P', 'R', 'O']);
        let names = ["py-serial", "py-pool:start=fork", "pool"].map(String::from);
        assert_eq!(letters(&names), ['S', 'P', 'O']);
    }
}
