//! A sweep: the same strategies on a workload of which one or two flags vary. Each cell is a benchmark of its own, with all
//! strategies interleaved, so that they are compared within it; cells are run in an order drawn from the seed, so that a
//! machine that becomes slower does not look like a trend.

mod values;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::document::Document;
use crate::document::head::Head;
use crate::document::standing::Standing;
use crate::plan::vary::Variable;
use crate::seed::Rng;
pub use values::{BestValue, best_values};

/// The most cells that a sweep may have.
pub const MOST_CELLS: usize = 400;

/// The most flags that may vary at a time.
pub const MOST_VARIABLES: usize = 2;

/// What a sweep came to: what its export is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sweep {
    /// What it is: `sweep`.
    #[serde(flatten)]
    pub head: Head,
    /// What varies: one or two flags. The first is down the side of a map, the second along its top.
    pub variables: Vec<Variable>,
    /// The strategies, by their names in all cells.
    pub strategies: Vec<String>,
    /// What the order of the cells was drawn from.
    pub seed: u64,
    /// How long what was still to be run was expected to take, at most (after --resume without the cells that had been run before);
    /// null where nobody has reckoned.
    pub estimate_seconds: Option<f64>,
    /// How long it was allowed to take (`--total-time`); null if as long as it likes.
    pub total_time_seconds: Option<f64>,
    /// A cell for each value, or pair of values: all values of the last variable for the first value of the first, and so on.
    pub cells: Vec<Cell>,
}

/// One benchmark of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Which value of each variable, from 0.
    pub place: Vec<usize>,
    /// That value of each variable, as typed.
    pub values: Vec<String>,
    /// Its turn among all cells, from 1.
    pub turn: usize,
    /// What may be said of its best strategy; null before it was run.
    pub standing: Option<Standing>,
    /// The benchmark, with every raw value; null before it was run.
    pub document: Option<Document>,
}

impl Cell {
    /// Whether it was run to its end.
    pub fn is_done(&self) -> bool {
        self.document.as_ref().is_some_and(|document| !document.partial)
    }

    /// `tasks=10 io-wait=1ms`
    pub fn name(&self, variables: &[Variable]) -> String {
        let pairs = variables.iter().zip(&self.values);
        pairs.map(|(variable, value)| format!("{}={value}", variable.key)).collect::<Vec<_>>().join(" ")
    }
}

/// The cells of `variables`, none of them run, with their turns drawn from `seed`.
pub fn cells(variables: &[Variable], seed: u64) -> Vec<Cell> {
    let mut places: Vec<Vec<usize>> = vec![Vec::new()];
    for variable in variables {
        let longer = |place: &Vec<usize>| {
            let place = place.clone();
            (0..variable.values.len()).map(move |value| [place.as_slice(), &[value]].concat())
        };
        places = places.iter().flat_map(longer).collect();
    }
    const STREAM: u64 = 0x6365_6c6c_7300_0000;
    let mut turns: Vec<usize> = (1..=places.len()).collect();
    Rng::for_item(seed ^ STREAM, 0).shuffle(&mut turns);
    let cell = |(place, turn): (Vec<usize>, usize)| Cell {
        values: variables
            .iter()
            .zip(&place)
            .map(|(variable, at)| variable.values[*at].text.clone())
            .collect(),
        place,
        turn,
        standing: None,
        document: None,
    };
    places.into_iter().zip(turns).map(cell).collect()
}

impl Sweep {
    /// The next cell to be run, by its place in `cells`.
    pub fn next(&self) -> Option<usize> {
        let open = self.cells.iter().enumerate().filter(|(_, cell)| !cell.is_done());
        open.min_by_key(|(_, cell)| cell.turn).map(|(at, _)| at)
    }

    /// Takes what a cell came to.
    pub fn record(&mut self, at: usize, document: Document) {
        let cell = &mut self.cells[at];
        cell.standing = Standing::of(&document);
        cell.document = Some(document);
        self.head.partial = self.cells.iter().any(|cell| !cell.is_done());
    }

    /// How many cells were run to their end.
    pub fn done(&self) -> usize {
        self.cells.iter().filter(|cell| cell.is_done()).count()
    }

    /// The cell at a place, one value of each variable.
    pub fn cell(&self, place: &[usize]) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.place == place)
    }

    /// Whether a task failed, or a strategy was given up, in any cell.
    pub fn has_failed(&self) -> bool {
        self.cells.iter().filter_map(|cell| cell.document.as_ref()).any(Document::has_failed)
    }

    /// Takes the cells that `before` has finished, if it is the same sweep. What cannot be known before a cell is run again
    /// (its plan, its machine) is checked by [`differs`].
    ///
    /// # Errors
    /// In what `before` is another sweep.
    pub fn resume(&mut self, before: Self) -> Result<(), String> {
        let differs = |what: &str, before: String, now: String| {
            Err(format!("it is another sweep: {what} was {before} and is now {now}"))
        };
        let of = |variables: &[Variable]| {
            let list = variables.iter().map(|variable| {
                let values: Vec<&str> = variable.values.iter().map(|value| value.text.as_str()).collect();
                format!("{}={}", variable.key, values.join(","))
            });
            list.collect::<Vec<_>>().join(" and ")
        };
        if before.variables != self.variables {
            return differs("what varies", of(&before.variables), of(&self.variables));
        }
        if before.strategies != self.strategies {
            return differs("the list of strategies", before.strategies.join(","), self.strategies.join(","));
        }
        if before.seed != self.seed {
            return differs("the seed", before.seed.to_string(), self.seed.to_string());
        }
        if before.head.tool.version != self.head.tool.version {
            return differs(
                "the version of procbench",
                before.head.tool.version,
                self.head.tool.version.clone(),
            );
        }
        if before.cells.len() != self.cells.len() {
            return differs(
                "the number of cells",
                before.cells.len().to_string(),
                self.cells.len().to_string(),
            );
        }
        // What was typed at first says which sweep it is; to go on with it says only where. If nothing was run, this is the first.
        if before.cells.iter().any(|cell| cell.document.is_some()) {
            self.head.started_at = before.head.started_at;
            self.head.command_line = before.head.command_line;
        }
        for (cell, before) in self.cells.iter_mut().zip(before.cells) {
            if before.place != cell.place || before.turn != cell.turn {
                return differs("the order of cells", "another".into(), "this one".into());
            }
            (cell.standing, cell.document) = (before.standing, before.document);
        }
        self.head.partial = self.cells.iter().any(|cell| !cell.is_done());
        Ok(())
    }

    /// The name of one that a cell has or speaks of and the sweep does not, or the other way round.
    pub fn stranger(&self) -> Option<&str> {
        for cell in &self.cells {
            let said = cell.standing.iter().flat_map(|standing| {
                let others = standing.others.iter().map(|other| &other.strategy);
                [&standing.best].into_iter().chain(&standing.not_distinguished).chain(others)
            });
            if let Some(name) = said.into_iter().find(|name| !self.strategies.contains(name)) {
                return Some(name);
            }
            let Some(document) = cell.document.as_ref().filter(|document| !document.partial) else {
                continue;
            };
            let has = |name: &String| document.strategies.iter().any(|row| row.name == *name);
            if let Some(name) = self.strategies.iter().find(|name| !has(name)) {
                return Some(name);
            }
        }
        None
    }

    /// Whether `place` has one of the values of each variable.
    pub fn has_place(&self, place: &[usize]) -> bool {
        place.len() == self.variables.len()
            && place.iter().zip(&self.variables).all(|(at, variable)| *at < variable.values.len())
    }
}

/// The first thing in which two values are different: its place, what was there and what is there now. What `ignored` names is
/// not looked at.
pub fn differs(before: &Json, now: &Json, ignored: &[&str]) -> Option<(String, String, String)> {
    fn walk(at: &str, before: &Json, now: &Json, ignored: &[&str]) -> Option<(String, String, String)> {
        match (before, now) {
            (Json::Object(ours), Json::Object(theirs)) => {
                let mut keys: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
                keys.sort();
                keys.dedup();
                keys.into_iter().filter(|key| !ignored.contains(&key.as_str())).find_map(|key| {
                    let get = |of: &serde_json::Map<String, Json>| of.get(key).cloned().unwrap_or(Json::Null);
                    let place = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                    walk(&place, &get(ours), &get(theirs), ignored)
                })
            }
            (Json::Array(ours), Json::Array(theirs)) if ours.len() == theirs.len() => {
                ours.iter().zip(theirs).enumerate().find_map(|(number, (ours, theirs))| {
                    walk(&format!("{at}[{number}]"), ours, theirs, ignored)
                })
            }
            _ => (before != now).then(|| (at.to_owned(), before.to_string(), now.to_string())),
        }
    }
    walk("", before, now, ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Vec<Variable> {
        ["tasks=1,10,100", "io-wait=0,1ms"].map(|text| Variable::parse(text).unwrap()).to_vec()
    }

    #[test]
    fn there_is_a_cell_for_each_pair_and_a_turn_for_each_cell() {
        let all = cells(&variables(), 1);
        assert_eq!(all.len(), 6);
        assert_eq!(all[1].values, ["1", "1ms"]);
        assert_eq!(all[5].place, [2, 1]);
        let mut turns: Vec<usize> = all.iter().map(|cell| cell.turn).collect();
        assert_ne!(turns, [1, 2, 3, 4, 5, 6], "the order is drawn");
        turns.sort_unstable();
        assert_eq!(turns, [1, 2, 3, 4, 5, 6]);
        assert_eq!(cells(&variables(), 1), all);
        assert_eq!(all[1].name(&variables()), "tasks=1 io-wait=1ms");
    }

    #[test]
    fn a_difference_is_named_by_its_place() {
        let one = serde_json::json!({"run": {"rounds": 5, "seed": 1}, "rows": [{"mode": "pool"}]});
        let two = serde_json::json!({"run": {"rounds": 6, "seed": 2}, "rows": [{"mode": "pool"}]});
        assert_eq!(differs(&one, &one, &[]), None);
        assert_eq!(differs(&one, &two, &[]), Some(("run.rounds".into(), "5".into(), "6".into())));
        assert_eq!(differs(&one, &two, &["rounds"]).unwrap().0, "run.seed");
        assert_eq!(differs(&one, &two, &["rounds", "seed"]), None);
        let three = serde_json::json!({"run": {"rounds": 5, "seed": 1}, "rows": [{"mode": "serial"}]});
        assert_eq!(differs(&one, &three, &[]).unwrap().0, "rows[0].mode");
    }
}
