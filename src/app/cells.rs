//! Several plans from one command line: as though values of a flag had been typed one after another.

use super::benchmark::spec;
use super::failure::{Failure, usage};
use crate::cli::Benchmark;
use crate::experiment::workbench::{Checked, Workbench};
use crate::plan::draft::Draft;
use crate::plan::vary::{Flags, Key, Variable};
use crate::plan::{Plan, PlanError};

/// What plans are made from.
pub struct Cells {
    flags: Benchmark,
    spec: Draft,
    /// What rows are called in all plans: a name that tells the value would be another in each.
    names: Vec<String>,
    /// What varies by the spec.
    spec_varies: Vec<Variable>,
}

impl Cells {
    /// What was typed, over the spec that was named.
    pub fn new(flags: &Benchmark, spec: &Draft) -> Result<Self, Failure> {
        if flags.args_from.as_deref().or(spec.workload.args_from.as_deref()) == Some("-") {
            let wrong = "lines of standard input can be read only once: expected a file after --args-from";
            return Err(usage(wrong));
        }
        let spec_varies = spec.vary.clone();
        let spec = Draft { vary: Vec::new(), ..spec.clone() };
        let draft = flags.over(spec.clone()).map_err(usage)?;
        let named = draft.strategies.iter().map(|row| row.name.clone().unwrap_or_else(|| row.to_string()));
        Ok(Self { flags: flags.clone(), spec, names: named.collect(), spec_varies })
    }

    /// What was typed, with the spec that it names.
    pub fn read(flags: &Benchmark) -> Result<Self, Failure> {
        Self::new(flags, &spec(flags)?)
    }

    /// What varies by the spec, which no plan of a cell has.
    pub fn spec_varies(&self) -> &[Variable] {
        &self.spec_varies
    }

    /// What was typed.
    pub fn flags(&self) -> &Benchmark {
        &self.flags
    }

    /// The plan with each of `values`, which are keys and what would be typed after them.
    ///
    /// # Errors
    /// What is wrong with it, and in which cell.
    pub fn check(&self, values: &[(&str, &str)], bench: &Workbench) -> Result<Checked, Failure> {
        let name: Vec<String> = values.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let place = |error: String| format!("{error} (in the cell {})", name.join(" "));
        let draft = self.draft(values).map_err(|error| usage(place(error)))?;
        Ok(bench.check(draft).map_err(|error| match error {
            PlanError::Usage(error) => PlanError::Usage(place(error)),
            PlanError::Limit(error) => PlanError::Limit(place(error)),
        })?)
    }

    fn draft(&self, values: &[(&str, &str)]) -> Result<Draft, String> {
        let mut of_cell = Flags::default();
        for (key, value) in values {
            Key::find(key)?.set(&mut of_cell, value)?;
        }
        let mut draft = self.flags.over_with(self.spec.clone(), &of_cell)?;
        for (row, name) in draft.strategies.iter_mut().zip(&self.names) {
            row.name = Some(name.clone());
        }
        Ok(draft)
    }
}

/// Whether all `plans` run the same tasks by strategies of the same settings: what varies makes no difference to them.
pub fn all_alike(plans: &[Plan]) -> bool {
    let settings = |plan: &Plan| plan.strategies.iter().map(|row| row.settings.clone()).collect::<Vec<_>>();
    plans
        .windows(2)
        .all(|pair| pair[0].workload == pair[1].workload && settings(&pair[0]) == settings(&pair[1]))
}
