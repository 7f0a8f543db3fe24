//! One run against another: what became of each strategy. It is what `procbench compare` exports and shows.

use std::collections::BTreeSet;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::head::Kind;
use super::{Document, SCHEMA_VERSION, StrategyResult, Tool, Warning};
use crate::engine::Engine;
use crate::measure::conditions;
use crate::measure::environment::StateChange;
use crate::stats::{self, Interval, Verdict};
use crate::workload::WorkloadSpec;
use crate::workload::spec::Ready;

/// Two runs, strategy by strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunComparison {
    /// Raised whenever a field changes its meaning or goes away.
    #[schemars(extend("const" = SCHEMA_VERSION))]
    pub schema_version: u32,
    /// What this is: `comparison`.
    #[schemars(extend("const" = Kind::Comparison.name()))]
    pub kind: String,
    /// What compared them.
    pub tool: Tool,
    /// The run that is compared with.
    pub old: Side,
    /// The run that is compared.
    pub new: Side,
    /// By how much two times must differ to be told apart, as a part of one.
    pub margin: f64,
    /// By how much a strategy may be slower before that is a failure, as a part of one; null if nobody asked.
    pub fail_if_slower: Option<f64>,
    /// Strategies that both runs have, in the order of the new one.
    pub strategies: Vec<StrategyRatio>,
    /// Strategies of the old run that the new one does not have.
    pub only_in_old: Vec<String>,
    /// Strategies of the new run that the old one did not have.
    pub only_in_new: Vec<String>,
    /// What a reader should know before he believes the ratios.
    pub warnings: Vec<Warning>,
}

/// One of the two runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// The file that was read, as typed.
    pub file: String,
    /// When it was started, in UTC, as RFC 3339.
    pub started_at: String,
    /// What made it.
    pub tool: Tool,
    /// The title of its workload.
    pub name: Option<String>,
    /// What happened on the machine meanwhile.
    #[serde(default)]
    pub change: StateChange,
}

/// A strategy in both runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StrategyRatio {
    /// Its name in the new run.
    pub name: String,
    /// Median time of the old run's rounds; null without any.
    pub old_seconds: Option<f64>,
    /// Median time of the new run's rounds; null without any.
    pub new_seconds: Option<f64>,
    /// How many rounds the old run has.
    pub old_rounds: usize,
    /// How many rounds the new run has.
    pub new_rounds: usize,
    /// New time over old time: 1.1 takes 10 % more. Null if either has no rounds, or tasks of it failed.
    pub ratio: Option<f64>,
    /// The lower end of its 95 % interval; null with fewer than five rounds of either.
    pub ci_low: Option<f64>,
    /// Its upper end.
    pub ci_high: Option<f64>,
    /// How many times the CPU work a round of the new run did, since each run calibrates it to what the machine's speed is then; null
    /// where there is none, or the tasks are others.
    #[serde(default)]
    pub work_ratio: Option<f64>,
    /// What that comes to for the new run; null without a ratio. It is faster or slower only if it is so both as measured and with
    /// `work_ratio` taken out.
    pub verdict: Option<Verdict>,
    /// Whether the whole interval lies beyond what was allowed, in both of these ways.
    pub failed: bool,
}

/// What the two runs may differ in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// The tasks.
    pub workload: bool,
    /// The processor and how many cores of it.
    pub machine: bool,
    /// The version of procbench, or of Python.
    pub engine: bool,
}

/// How runs are compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms {
    /// By how much two times must differ to be told apart; the larger one of both runs' own unless said otherwise.
    pub margin: Option<f64>,
    /// By how much a strategy may be slower.
    pub fail_if_slower: Option<f64>,
    /// What they may differ in.
    pub allowed: Allowed,
}

impl RunComparison {
    /// Compares the run in the file `new` with the one in the file `old`.
    ///
    /// # Errors
    /// One sentence that says in what they differ, and how to compare them all the same.
    pub fn of(old: (&Path, &Document), new: (&Path, &Document), terms: &Terms) -> Result<Self, String> {
        let side = |(path, run): (&Path, &Document)| Side {
            file: path.display().to_string(),
            started_at: run.started_at.clone(),
            tool: run.tool.clone(),
            name: run.plan.name.clone(),
            change: run.environment.change,
        };
        let (old_side, new_side) = (side(old), side(new));
        let (old, new) = (old.1, new.1);
        refuse(old, new, terms.allowed)?;
        let margin = terms.margin.unwrap_or(old.plan.run.margin.max(new.plan.run.margin));
        if let (Some(typed), Some(most)) = (terms.margin, terms.fail_if_slower)
            && typed > most
        {
            return Err(format!(
                "--margin is {}%, but --fail-if-slower is {}%: expected a margin of at most that, since nothing within it is \
                 called slower",
                typed * 100.0,
                most * 100.0
            ));
        }
        // The margins of the runs were chosen for something else.
        let margin = margin.min(terms.fail_if_slower.unwrap_or(f64::INFINITY));
        let pairs = pairs_of(old, new);
        let missing = |of: &Document, is_paired: &dyn Fn(&StrategyResult) -> bool| {
            let alone = of.strategies.iter().filter(|row| !is_paired(row));
            alone.map(|row| row.name.clone()).collect::<Vec<_>>()
        };
        if pairs.is_empty() {
            return Err(format!(
                "the runs have no strategy in common: {} has {}, {} has {}",
                old_side.file,
                names(old),
                new_side.file,
                names(new)
            ));
        }
        // Where the tasks are others, nobody expects as much work.
        let same_tasks = same_tasks(old, new);
        let ratio = |(old, new): &(&StrategyResult, &StrategyResult)| {
            let work = work_ratio(old, new).filter(|_| same_tasks);
            StrategyRatio::of(old, new, work, margin, terms.fail_if_slower)
        };
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            kind: Kind::Comparison.name().into(),
            tool: Tool::this(),
            margin,
            fail_if_slower: terms.fail_if_slower,
            strategies: pairs.iter().map(ratio).collect(),
            only_in_old: missing(old, &|row| pairs.iter().any(|(old, _)| std::ptr::eq(*old, row))),
            only_in_new: missing(new, &|row| pairs.iter().any(|(_, new)| std::ptr::eq(*new, row))),
            warnings: warnings((&old_side, old), (&new_side, new), &pairs, margin),
            old: old_side,
            new: new_side,
        })
    }

    /// Whether of a strategy of the old run it cannot be said if it is slower now: for fewer than five rounds, or because the new
    /// run does not have it.
    pub fn has_unjudged(&self) -> bool {
        let is_unjudged = |row: &StrategyRatio| matches!(row.verdict, None | Some(Verdict::TooFewRounds));
        !self.only_in_old.is_empty() || self.strategies.iter().any(is_unjudged)
    }

    /// Whether a strategy is slower by more than was allowed.
    pub fn has_failed(&self) -> bool {
        self.strategies.iter().any(|row| row.failed)
    }
}

/// The rows of `old` and of `new` that are of the same strategy, in the order of `new`: those of the same name, and of the others those that do
/// the same in the same way, since a command that says everything gives it other names than one that leaves out what is chosen anyway.
fn pairs_of<'a>(old: &'a Document, new: &'a Document) -> Vec<(&'a StrategyResult, &'a StrategyResult)> {
    let has = |run: &Document, name: &str| run.strategies.iter().any(|row| row.name == name);
    let mut others: Vec<&StrategyResult> = old.strategies.iter().filter(|row| !has(new, &row.name)).collect();
    let pair = |row: &'a StrategyResult| {
        let of_name = old.strategies.iter().find(|other| other.name == row.name);
        let other = of_name.or_else(|| {
            let place = others.iter().position(|other| other.is_same_way_as(row))?;
            Some(others.remove(place))
        });
        Some((other?, row))
    };
    new.strategies.iter().filter_map(pair).collect()
}

fn names(run: &Document) -> String {
    run.strategies.iter().map(|row| row.name.as_str()).collect::<Vec<_>>().join(", ")
}

impl StrategyRatio {
    fn of(
        old: &StrategyResult,
        new: &StrategyResult,
        work_ratio: Option<f64>,
        margin: f64,
        most: Option<f64>,
    ) -> Self {
        // Which seed draws the resamples is of no consequence; that it is always the same makes the answer the same.
        const SEED: u64 = 1;
        let times = |row: &StrategyResult| -> Vec<f64> {
            row.rounds.iter().map(|round| round.report.total_seconds).collect()
        };
        let median = |row: &StrategyResult| row.summary.as_ref().map(|summary| summary.total_seconds.median);
        let is_sound = old.is_sound() && new.is_sound();
        let comparison =
            if !is_sound { None } else { stats::compare_independent(&times(new), &times(old), margin, SEED) };
        let interval = comparison.as_ref().and_then(|comparison| comparison.interval);
        // How much of the time is work is not known: the truth lies between that all of it is and that none is.
        let either_way = interval.map(|Interval { low, high }| {
            let work = work_ratio.unwrap_or(1.0);
            Interval { low: low.min(low / work), high: high.max(high / work) }
        });
        Self {
            name: new.name.clone(),
            old_seconds: median(old),
            new_seconds: median(new),
            old_rounds: old.rounds.len(),
            new_rounds: new.rounds.len(),
            ratio: comparison.as_ref().map(|comparison| comparison.ratio),
            ci_low: interval.map(|interval| interval.low),
            ci_high: interval.map(|interval| interval.high),
            work_ratio,
            verdict: comparison.map(|comparison| {
                either_way.map_or(comparison.verdict, |interval| stats::judge(interval, margin))
            }),
            failed: either_way.zip(most).is_some_and(|(interval, most)| interval.low > 1.0 + most),
        }
    }
}

/// Why the runs are not to be compared.
fn refuse(old: &Document, new: &Document, allowed: Allowed) -> Result<(), String> {
    let verdict = |what: &str, differences: Vec<String>, allowed: bool| match differences.is_empty()
        || allowed
    {
        true => Ok(()),
        false => Err(format!(
            "the runs are of different {what}s, so their ratio says nothing: {} (--different-{what} compares them all the \
             same)",
            differences.join("; ")
        )),
    };
    verdict("workload", differences(&tasks_of(old), &tasks_of(new)), allowed.workload)?;
    verdict("machine", differences(&processor_of(old), &processor_of(new)), allowed.machine)?;
    verdict("engine", differences(&engines_of(old), &engines_of(new)), allowed.engine)
}

/// Whether the tasks of both do the same.
pub fn same_tasks(a: &Document, b: &Document) -> bool {
    tasks_of(a) == tasks_of(b)
}

/// What the tasks of `run` do, without where their files happened to lie.
fn tasks_of(run: &Document) -> Value {
    let mut workload = WorkloadSpec {
        units_per_second: 0.0,
        folder: Default::default(),
        io_folder: Default::default(),
        ready: Ready::default(),
        ..run.plan.workload.clone()
    };
    if let Some(program) = &mut workload.program {
        program.file = Default::default();
        program.output = None;
        if let Some(lines) = &mut program.lines {
            lines.path = Default::default();
        }
    }
    // A trace is known by what it comes to, not by its name.
    if workload.trace.is_some() {
        workload.spread = Default::default();
    }
    serde_json::to_value(&workload).unwrap_or_default()
}

fn processor_of(run: &Document) -> Value {
    let machine = &run.environment.machine;
    serde_json::json!({
        "cpu": machine.cpu,
        "effective_cores": machine.effective_cores,
        "architecture": machine.architecture,
    })
}

fn engines_of(run: &Document) -> Value {
    let has = |engine: Engine| run.strategies.iter().any(|row| row.engine == engine);
    let python = run.environment.python.as_ref().filter(|_| has(Engine::Python));
    serde_json::json!({
        "procbench": run.tool.version,
        "python": python.map(|python| format!("{} {}", python.implementation, python.version)),
    })
}

/// What may make a difference, but is no reason not to compare.
fn surroundings_of(run: &Document) -> Value {
    let machine = &run.environment.machine;
    serde_json::json!({
        "kernel": machine.kernel,
        "os": machine.os,
        "memory_bytes": machine.memory_bytes,
        "virtual_machine": machine.virtual_machine,
        "governor": machine.governor,
        "turbo": machine.turbo,
        "transparent_huge_pages": machine.transparent_huge_pages,
        "mitigations": machine.mitigations,
        "storage": run.environment.storage.as_ref().map(|storage| &storage.device),
        "commit": run.tool.commit,
        "warmup": run.plan.run.warmup,
        "latency": run.plan.run.latency,
    })
}

/// What of the fields of `old` and `new` is not the same: `tasks is 5 in the old run, 6 in the new`.
fn differences(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    find_differences("", Some(old), Some(new), &mut found);
    found
}

/// The same of `key` in both, or of what lies in it.
fn find_differences(key: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<String>) {
    if old == new {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (old, new) {
        let fields: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for field in fields {
            let inner = if key.is_empty() { field.clone() } else { format!("{key}.{field}") };
            find_differences(&inner, old.get(field), new.get(field), found);
        }
        return;
    }
    let shown = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        // As a command is typed.
        Some(Value::Array(words)) if words.iter().all(Value::is_string) => {
            shlex::try_join(words.iter().filter_map(Value::as_str)).unwrap_or_default()
        }
        Some(value) => value.to_string(),
    };
    found.push(format!("{key} is {} in the old run, {} in the new", shown(old), shown(new)));
}

/// Codes of those warnings of a run that speak against its rounds' times, and so against any ratio of them. What the machine did
/// meanwhile is said anew, from what was read of it.
const OF_ITS_ROUNDS: [&str; 9] = [
    "drift",
    "spread",
    "outliers",
    "slow_first_round",
    "short_rounds",
    "left_running",
    "busy_before",
    "governor_not_performance",
    "machine_altered",
];

fn warnings(
    (old_side, old): (&Side, &Document),
    (new_side, new): (&Side, &Document),
    pairs: &[(&StrategyResult, &StrategyResult)],
    margin: f64,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code: &str, message: String| warnings.push(Warning { code: code.into(), message });
    if (&old.started_at, &old.strategies) == (&new.started_at, &new.strategies) {
        warn("same_run", "both files are of the same run, which says nothing of another".into());
    }
    for (side, run) in [(old_side, old), (new_side, new)] {
        for condition in conditions::meanwhile(&run.environment.change) {
            warn(condition.code(), format!("{}: {condition}", side.file));
        }
        for Warning { code, message } in &run.warnings {
            if OF_ITS_ROUNDS.contains(&code.as_str()) {
                warn(code, format!("{}: {message}", side.file));
            }
        }
        if run.partial {
            warn("partial", format!("{} was cut short: only what was finished is compared", side.file));
        }
    }
    // What would have been refused has been allowed, but is said.
    for of in [tasks_of, processor_of, engines_of, surroundings_of] {
        for difference in differences(&of(old), &of(new)) {
            warn("differs", difference);
        }
    }
    let same_tasks = same_tasks(old, new);
    // Most strategies did as many times the work as each other, which is said once.
    let mut work: Vec<(String, Vec<&str>)> = Vec::new();
    for (old, new) in pairs {
        let settings = |row: &StrategyResult| serde_json::to_value(&row.settings).unwrap_or_default();
        let kind = |row: &StrategyResult| serde_json::json!({"engine": row.engine, "mode": row.mode});
        let of_kind = differences(&kind(old), &kind(new)).into_iter();
        for difference in of_kind.chain(differences(&settings(old), &settings(new))) {
            warn("settings_differ", format!("{}: {difference}", new.name));
        }
        if old.tasks_failed().max(new.tasks_failed()) > 0 {
            warn("tasks_failed", format!("{}: tasks failed, so its times are not compared", new.name));
        }
        if let Some(why) = new.given_up.as_ref().or(old.given_up.as_ref()) {
            warn("given_up", format!("{} was given up, so its times are not compared: {why}", new.name));
        }
        if old.name != new.name {
            warn("renamed", format!("{} is what was called {} in {}", new.name, old.name, old_side.file));
        }
        if same_tasks
            && let Some(more) = work_ratio(old, new)
            && (more.ln()).abs() > (1.0 + margin).ln()
        {
            let more = format!("{more:.3}");
            match work.iter_mut().find(|(factor, _)| *factor == more) {
                Some((_, names)) => names.push(new.name.as_str()),
                None => work.push((more, vec![new.name.as_str()])),
            }
        }
    }
    for (more, names) in work {
        let names = names.join(", ");
        let message = format!(
            "{names}: the new run did {more} times the CPU work, since each run calibrates it to the machine's speed; that is part of \
             the ratio, and faster or slower is only what is so without it too"
        );
        warnings.push(Warning { code: "work_differs".into(), message });
    }
    warnings
}

/// How many times the CPU work a round of the new run did, where there was any.
fn work_ratio(old: &StrategyResult, new: &StrategyResult) -> Option<f64> {
    let units = |row: &StrategyResult| row.rounds.first().map(|round| round.report.work_units as f64);
    let (old, new) = (units(old)?, units(new)?);
    (old > 0.0 && new > 0.0).then(|| new / old)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_told_where_it_lies_and_a_command_as_it_is_typed() {
        let of =
            |words: &[&str], tasks: u64| json!({"tasks": tasks, "program": {"shell": false, "words": words}});
        assert_eq!(differences(&of(&["true"], 5), &of(&["true"], 5)), [""; 0]);
        let told = [
            "program.words is true in the old run, sleep '0 1' in the new",
            "tasks is 5 in the old run, 6 in the new",
        ];
        assert_eq!(differences(&of(&["true"], 5), &of(&["sleep", "0 1"], 6)), told);
    }
}
