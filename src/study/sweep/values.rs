//! With which value, or pair of values, each strategy is fastest: a question of its own where what varies is a setting (how many
//! workers, which chunk size) and the work stays the same.
//!
//! Cells are run one after another, so there are no pairs: the fastest, by its median, is compared with each of the
//! others as two runs are ([`crate::stats::RankPairs`]), with intervals as wide as it takes for the wrong one to be called
//! the fastest in at most 5 % of cases ([`crate::stats::confidence_against`]).

use std::collections::BTreeMap;

use super::Sweep;
use crate::document::StrategyResult;
use crate::stats::{RankPairs, Verdict, compare_independent_with, confidence_against};

/// With which value a strategy is fastest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BestValue {
    /// The strategy, by its place in the list of all.
    pub strategy: usize,
    /// Which of the variables are settings of it, by their places: the others make no difference to it.
    pub variables: Vec<usize>,
    /// The cell of the value, or of the pair of values, by its place among all cells.
    pub cell: usize,
    /// Those that are not distinguished from it, rising.
    pub not_distinguished: Vec<usize>,
    /// Those of which there are too few rounds to tell.
    pub too_few_rounds: Vec<usize>,
}

/// For each strategy that has what varies as a setting; none where the workload varies.
pub fn best_values(sweep: &Sweep) -> Vec<BestValue> {
    let workloads = || sweep.cells.iter().filter_map(|cell| Some(&cell.document.as_ref()?.plan.workload));
    let Some(first) = workloads().next() else { return Vec::new() };
    if workloads().any(|workload| workload != first) {
        return Vec::new();
    }
    (0..sweep.strategies.len()).filter_map(|strategy| best_value(sweep, strategy)).collect()
}

fn best_value(sweep: &Sweep, strategy: usize) -> Option<BestValue> {
    let row = |cell: &'_ super::Cell| -> bool {
        let row = cell.document.as_ref().and_then(|document| document.strategies.get(strategy));
        row.is_some_and(|row| row.is_sound() && row.summary.is_some())
    };
    let rows: Vec<(usize, &StrategyResult)> = sweep
        .cells
        .iter()
        .enumerate()
        .filter(|(_, cell)| row(cell))
        .filter_map(|(at, cell)| Some((at, cell.document.as_ref()?.strategies.get(strategy)?)))
        .collect();
    let place = |cell: usize| &sweep.cells[cell].place;
    let differ_in = |of: usize| {
        let alike = |one: usize, other: usize| {
            (0..sweep.variables.len()).all(|at| at == of || place(one).get(at) == place(other).get(at))
        };
        let mut pairs = rows.iter().flat_map(|one| rows.iter().map(move |other| (one, other)));
        pairs.any(|((one, a), (other, b))| alike(*one, *other) && a.settings != b.settings)
    };
    let variables: Vec<usize> = (0..sweep.variables.len()).filter(|of| differ_in(*of)).collect();
    if variables.is_empty() {
        return None;
    }
    let median =
        |row: &StrategyResult| row.summary.as_ref().map_or(f64::INFINITY, |of| of.total_seconds.median);
    let (cell, best) = *rows.iter().min_by(|a, b| median(a.1).total_cmp(&median(b.1)))?;
    // Cells that differ in what is no setting of it are the same again.
    let is_same = |other: usize| {
        (0..sweep.variables.len())
            .all(|at| variables.contains(&at) || place(other).get(at) == place(cell).get(at))
    };
    let rows: Vec<(usize, &StrategyResult)> = rows.into_iter().filter(|(at, _)| is_same(*at)).collect();
    let run = &sweep.cells.get(cell)?.document.as_ref()?.plan.run;
    let times =
        |row: &StrategyResult| row.rounds.iter().map(|round| round.report.total_seconds).collect::<Vec<_>>();
    let mut found = BestValue {
        strategy,
        variables: Vec::new(),
        cell,
        not_distinguished: Vec::new(),
        too_few_rounds: Vec::new(),
    };
    let (ours, confidence) = (times(best), confidence_against(rows.len()));
    // They need the numbers of rounds and no times, so most of the others share them.
    let mut drawn: BTreeMap<usize, Option<RankPairs>> = BTreeMap::new();
    for (other, row) in rows.iter().filter(|(other, _)| *other != cell) {
        let theirs = times(row);
        let draw = || RankPairs::resample_at(confidence, ours.len(), theirs.len(), run.seed);
        let ranks = drawn.entry(theirs.len()).or_insert_with(draw);
        let compared = compare_independent_with(&ours, &theirs, run.margin, ranks.as_ref());
        match compared.map(|compared| compared.verdict) {
            Some(Verdict::Faster) => {}
            None | Some(Verdict::TooFewRounds) => found.too_few_rounds.push(*other),
            Some(Verdict::NotDistinguished | Verdict::Slower) => found.not_distinguished.push(*other),
        }
    }
    found.variables = variables;
    Some(found)
}
