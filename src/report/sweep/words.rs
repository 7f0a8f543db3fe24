//! What is said of a sweep in words: what it is about, and where the fastest strategy changes.

use crate::document::Document;
use crate::document::standing::Outcome;
use crate::plan::vary::{Unit, Value, Variable};
use crate::report::gathered;
use crate::report::numbers::count;
use crate::report::plan::workload_in_words;
use crate::report::subject::named as named_value;
use crate::study::sweep::{BestValue, Sweep, best_values};
use crate::workload::{Spread, WorkloadSpec};

/// What varies, and in what.
pub fn title(sweep: &Sweep) -> String {
    let vary = if sweep.variables.len() == 1 { "varies" } else { "vary" };
    match sweep.cells.iter().find_map(|cell| cell.document.as_ref()) {
        Some(document) => format!("{}, where {} {vary}", fixed_in_words(sweep, document), keys(sweep)),
        None => format!("A sweep in which {} {vary}", keys(sweep)),
    }
}

/// `workload` without what `key` says of it.
pub fn without(key: &str, workload: &WorkloadSpec) -> WorkloadSpec {
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
    let workload =
        keys_of(sweep).fold(document.plan.workload.clone(), |workload, key| without(key, &workload));
    let words = workload_in_words(document.plan.name.as_deref(), &workload);
    let varies = keys_of(sweep).any(|key| key == "tasks");
    let words = if varies { words.replacen("1 task", "tasks", 1) } else { words };
    without_doing_nothing(&words, keys_of(sweep))
}

/// `words` without saying that tasks do nothing, where what they do may be what varies.
pub fn without_doing_nothing<'a>(words: &str, mut keys: impl Iterator<Item = &'a str>) -> String {
    match keys.all(|key| key == "tasks") {
        true => words.to_owned(),
        false => words.trim_end_matches(", doing nothing").to_owned(),
    }
}

fn keys_of(sweep: &Sweep) -> impl Iterator<Item = &str> {
    sweep.variables.iter().map(|variable| variable.key.as_str())
}

fn keys(sweep: &Sweep) -> String {
    keys_of(sweep).collect::<Vec<_>>().join(" and ")
}

/// A value as it is read most easily.
pub fn value_in_words(unit: Unit, value: &Value) -> String {
    match (unit, value.number) {
        (Unit::Count, Some(number)) => count(number.round() as u64),
        _ => value.text.clone(),
    }
}

/// What a sweep has to say first: in how many cells each strategy is the fastest, or where it changes.
pub fn answer(sweep: &Sweep) -> Option<String> {
    let parts: Vec<String> = [tally(sweep), turns(sweep)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// Where the fastest strategy changes, in a sentence for each stretch of values where one flag varies, and with which value, or pair of
/// values, each is fastest where that is a setting of it.
pub fn turns(sweep: &Sweep) -> Option<String> {
    let values: Vec<String> =
        best_values(sweep).iter().map(|best| value_in_a_sentence(sweep, best)).collect();
    if let [only] = sweep.strategies.as_slice() {
        let nobody = "is compared with nobody: name more modes to learn where which is best.";
        return match (values.is_empty(), sweep.variables.len()) {
            (false, _) => Some(values.join(" ")),
            (true, 1) if sweep.done() > 0 => Some(format!("{only} {nobody}")),
            _ => None,
        };
    }
    let [variable] = sweep.variables.as_slice() else {
        return (!values.is_empty()).then(|| values.join(" "));
    };
    let said = |at: usize| -> String {
        let cell = sweep.cell(&[at]);
        match cell.and_then(|cell| cell.standing.as_ref()) {
            None if cell.and_then(|cell| cell.document.as_ref()).is_some_and(|of| of.tasks_failed() > 0) => {
                "tasks failed".into()
            }
            None if cell.and_then(|cell| cell.document.as_ref()).is_some_and(Document::has_failed) => {
                "given up".into()
            }
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
                Outcome::Alone => "not compared".into(),
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
    let turns = format!("Fastest by {}: {}.", variable.key, parts.collect::<Vec<_>>().join(" · "));
    Some([turns].into_iter().chain(values).collect::<Vec<_>>().join(" "))
}

/// `pool is fastest with workers=4; not distinguished from it: 8.`
fn value_in_a_sentence(sweep: &Sweep, best: &BestValue) -> String {
    let place = |cell: usize| {
        best.variables.iter().map(move |of| (&sweep.cells[cell].place[*of], &sweep.variables[*of]))
    };
    let named = |cell: usize| -> String {
        let pairs = place(cell).map(|(at, of)| named_value(&of.key, of.unit, &of.values[*at]));
        pairs.collect::<Vec<_>>().join(" ")
    };
    // One variable need not be named again and again.
    let short = |cell: &usize| match place(*cell).collect::<Vec<_>>().as_slice() {
        [(at, one)] => value_in_words(one.unit, &one.values[**at]),
        _ => named(*cell),
    };
    let list = |cells: &[usize]| cells.iter().map(short).collect::<Vec<_>>().join(", ");
    let name = &sweep.strategies[best.strategy];
    // Beyond an end of what was tried it may be better still.
    let of_best = place(best.cell).map(|(at, of)| {
        let value = named_value(&of.key, of.unit, &of.values[*at]);
        match end_of(of, *at) {
            None => value,
            Some(end) if best.variables.len() == 1 => format!("{value}, the {end} that was tried"),
            Some(end) => format!("{value} (the {end} that was tried)"),
        }
    });
    let value = of_best.collect::<Vec<_>>().join(" ");
    let ties = match best.not_distinguished.as_slice() {
        [] => String::new(),
        ties => format!("; not distinguished from it: {}", list(ties)),
    };
    match best.too_few_rounds.as_slice() {
        [] => format!("{name} is fastest with {value}{ties}."),
        open => {
            format!("{name} was fastest with {value}, in too few rounds to be sure of {}{ties}.", list(open))
        }
    }
}

/// `largest`, `smallest`: at which end of the values of `variable` the one at `at` stands, beyond which it may be better still.
fn end_of(variable: &Variable, at: usize) -> Option<&'static str> {
    let numbers = || variable.values.iter().filter_map(|value| value.number);
    let number = variable.values[at].number.filter(|_| numbers().count() > 2)?;
    if numbers().all(|other| other <= number) {
        Some("largest")
    } else if number > 1.0 && numbers().all(|other| other >= number) {
        Some("smallest")
    } else {
        None
    }
}

/// What an answer is to be taken with, where others disturbed some of the cells.
pub fn reservation(sweep: &Sweep) -> Option<String> {
    let documents = sweep.cells.iter().filter_map(|cell| cell.document.as_ref());
    gathered::reservation(documents, "cells", "another strategy may be the fastest there")
}

/// How far a sweep came that was cut short.
pub fn rest(sweep: &Sweep) -> Option<String> {
    sweep
        .head
        .partial
        .then(|| format!("{} of {} cells were run to their end.", sweep.done(), sweep.cells.len()))
}

/// In how many cells each strategy is the fastest, in a sentence; `None` where one flag varies, of which [`turns`] says more, or there is
/// only one strategy.
fn tally(sweep: &Sweep) -> Option<String> {
    let cells: Vec<_> = sweep.cells.iter().filter_map(|cell| cell.standing.as_ref()).collect();
    if sweep.variables.len() < 2 || sweep.strategies.len() < 2 || cells.is_empty() {
        return None;
    }
    let best =
        |name: &String| cells.iter().filter(|of| of.outcome == Outcome::Best && of.best == *name).count();
    let winners = sweep.strategies.iter().map(|name| (best(name), name)).filter(|(count, _)| *count > 0);
    let mut parts: Vec<String> = winners.map(|(count, name)| format!("{name} in {count}")).collect();
    let undecided = cells.iter().filter(|of| of.outcome != Outcome::Best).count();
    parts.extend((undecided > 0).then(|| format!("undecided in {undecided}")));
    Some(format!("Fastest in {} cells: {}.", cells.len(), parts.join(", ")))
}
