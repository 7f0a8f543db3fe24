//! What can be shown: a run, or what was made of several.

use super::sweep::value_in_words;
use super::{advise, crossover, plan, sweep};
use crate::document::Document;
use crate::plan::vary::{Unit, Value};
use crate::study::advise::document::Advice;
use crate::study::claims::ClaimsReport;
use crate::study::crossover::document::Crossovers;
use crate::study::saved::Saved;
use crate::study::sweep::Sweep;

/// An export of any kind that can be shown.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A single benchmark.
    Run(&'a Document),
    /// A benchmark for each value of one or two flags.
    Sweep(&'a Sweep),
    /// Where the faster of two strategies changes.
    Crossover(&'a Crossovers),
    /// Which strategy to use.
    Advice(&'a Advice),
    /// The claims of two articles, put to the test.
    Claims(&'a ClaimsReport),
}

impl<'a> Subject<'a> {
    /// A line that says what it is.
    pub fn title(self) -> String {
        match self {
            Self::Run(run) => plan::workload_in_words(run.plan.name.as_deref(), &run.plan.workload),
            Self::Sweep(of) => sweep::title(of),
            Self::Crossover(of) => crossover::title(of),
            Self::Advice(of) => advise::title(of),
            Self::Claims(_) => "Claims of two articles, put to the test".into(),
        }
    }

    /// When it was begun.
    pub fn started_at(self) -> &'a str {
        match self {
            Self::Run(of) => &of.started_at,
            Self::Sweep(of) => &of.head.started_at,
            Self::Crossover(of) => &of.head.started_at,
            Self::Advice(of) => &of.head.started_at,
            Self::Claims(of) => &of.started_at,
        }
    }

    /// Its benchmarks, each with what tells it from the others: names of columns, and values.
    pub fn documents(self) -> Vec<(Vec<(String, String)>, &'a Document)> {
        match self {
            Self::Run(run) => vec![(Vec::new(), run)],
            Self::Sweep(of) => {
                let cells = of.cells.iter().filter_map(|cell| Some((cell, cell.document.as_ref()?)));
                let place = |(cell, document): (&crate::study::sweep::Cell, &'a Document)| {
                    let values = of.variables.iter().zip(&cell.place);
                    let columns = values.map(|(variable, at)| {
                        let all: Vec<&Value> = variable.values.iter().collect();
                        column(&variable.key, variable.unit, &variable.values[*at], &all)
                    });
                    (columns.collect(), document)
                };
                cells.map(place).collect()
            }
            Self::Crossover(of) => {
                let all: Vec<&Value> = of.points.iter().map(|point| &point.value).collect();
                let place = |point: &'a crate::study::crossover::document::Point| {
                    (vec![column(&of.key, of.unit, &point.value, &all)], &point.document)
                };
                of.points.iter().map(place).collect()
            }
            Self::Advice(of) => {
                let stage = |name: String| vec![("stage".to_owned(), name)];
                let races = of.races.iter().enumerate();
                let races = races.map(|(place, race)| (stage(format!("race {}", place + 1)), race));
                races.chain(of.finals.iter().map(|finals| (stage("finals".into()), finals))).collect()
            }
            Self::Claims(of) => {
                let findings = of
                    .claims
                    .iter()
                    .flat_map(|tested| tested.findings.iter().map(move |finding| (tested, finding)));
                let runs = findings.flat_map(|(tested, finding)| {
                    let name = |place: usize| {
                        vec![
                            ("claim".to_owned(), tested.claim.name.clone()),
                            ("claim_run".to_owned(), format!("{} {place}", finding.engine.name())),
                        ]
                    };
                    finding.runs.iter().enumerate().map(move |(place, run)| (name(place), &run.document))
                });
                runs.collect()
            }
        }
    }
}

/// The column of a flag that varies: a number in its unit if all of its values are numbers, else as typed.
fn column(key: &str, unit: Unit, value: &Value, all: &[&Value]) -> (String, String) {
    let name = format!("cell_{}", key.replace('-', "_"));
    let are_numbers = all.iter().all(|value| value.number.is_some());
    match (unit, value.number) {
        (Unit::Seconds, Some(number)) if are_numbers => (name + "_seconds", number.to_string()),
        (Unit::Bytes, Some(number)) if are_numbers => (name + "_bytes", number.to_string()),
        (Unit::Count, Some(number)) if are_numbers => (name, number.to_string()),
        _ => (name, value.text.clone()),
    }
}

/// `tasks=1,000`
pub fn named(key: &str, unit: Unit, value: &Value) -> String {
    format!("{key}={}", value_in_words(unit, value))
}

macro_rules! subjects {
    ($($kind:ident $of:ty;)+) => {
        $(impl<'a> From<&'a $of> for Subject<'a> {
            fn from(of: &'a $of) -> Self {
                Self::$kind(of)
            }
        })+
    };
}

impl<'a> From<&'a Saved> for Subject<'a> {
    fn from(saved: &'a Saved) -> Self {
        match saved {
            Saved::Run(of) => Self::Run(of),
            Saved::Sweep(of) => of.into(),
            Saved::Crossover(of) => of.into(),
            Saved::Advice(of) => Self::Advice(of),
            Saved::Claims(of) => of.into(),
        }
    }
}

subjects! {
    Run Document;
    Sweep Sweep;
    Crossover Crossovers;
    Advice Advice;
    Claims ClaimsReport;
}
