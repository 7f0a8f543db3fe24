//! The CSV export: a row for each timed round of each strategy, every value raw.
//!
//! As RFC 4180 has it, so that pandas and R load it as it is. A value that was not measured, or that the strategy does not
//! have, is empty.

use anyhow::Context;
use csv::{Terminator, WriterBuilder};

use super::subject::Subject;
use crate::document::{CpuSplitMissing, Document, Round, StrategyResult, TearDownMissing};
use crate::measure::bystander::Disturbance;
use crate::mode::settings::{Api, Evaluator, Start, Transport};

/// A row of the table, from where its values are taken.
struct Line<'a> {
    document: &'a Document,
    strategy: &'a StrategyResult,
    is_empty_task: bool,
    round: &'a Round,
}

/// A column: its name, and how its value is written.
type Column = (&'static str, fn(&Line) -> String);

/// The columns, in their order. docs/reference.md says what each means.
const COLUMNS: &[Column] = &[
    ("started_at", |line| line.document.started_at.clone()),
    ("workload", |line| {
        line.document.plan.name.clone().unwrap_or_else(|| Subject::from(line.document).title())
    }),
    ("tasks", |line| line.document.plan.workload.tasks.to_string()),
    ("strategy", |line| line.strategy.name.clone()),
    ("engine", |line| line.strategy.engine.name().into()),
    ("mode", |line| line.strategy.mode.name().into()),
    ("workers", |line| or_empty(line.strategy.settings.workers)),
    ("chunk", |line| or_empty(line.strategy.settings.chunk)),
    ("transport", |line| or_empty(line.strategy.settings.transport.map(Transport::name))),
    ("start", |line| or_empty(line.strategy.settings.start.map(Start::name))),
    ("in_flight", |line| or_empty(line.strategy.settings.in_flight)),
    ("api", |line| or_empty(line.strategy.settings.api.map(Api::name))),
    ("max_tasks_per_child", |line| or_empty(line.strategy.settings.max_tasks_per_child)),
    ("evaluator", |line| or_empty(line.strategy.settings.evaluator.map(Evaluator::name))),
    // As R writes it; pandas reads it as well.
    ("empty_tasks", |line| if line.is_empty_task { "TRUE" } else { "FALSE" }.into()),
    ("round", |line| line.round.round.to_string()),
    ("order", |line| line.round.order.to_string()),
    ("total_seconds", |line| line.round.report.total_seconds.to_string()),
    ("set_up_seconds", |line| line.round.report.set_up_seconds.to_string()),
    ("execute_seconds", |line| line.round.report.execute_seconds.to_string()),
    ("tear_down_seconds", |line| or_empty(line.round.report.tear_down_seconds)),
    ("tear_down_missing", |line| or_empty(line.round.tear_down_missing.map(TearDownMissing::name))),
    ("cpu_seconds", |line| line.round.report.cpu_seconds().to_string()),
    ("cpu_user_seconds", |line| or_empty(line.round.report.cpu_user_seconds)),
    ("cpu_system_seconds", |line| or_empty(line.round.report.cpu_system_seconds)),
    ("tasks_completed", |line| line.round.report.tasks_completed.to_string()),
    ("tasks_failed", |line| line.round.report.tasks_failed.to_string()),
    ("tasks_not_tried", |line| line.round.report.tasks_not_tried.to_string()),
    ("retries", |line| line.round.report.retries.to_string()),
    ("processes_started", |line| line.round.report.processes_started.to_string()),
    ("helpers_started", |line| line.round.report.helpers_started.to_string()),
    ("peak_alive", |line| line.round.report.peak_alive.to_string()),
    ("digest", |line| line.round.report.digest.clone().unwrap_or_default()),
    ("work_units", |line| line.round.report.work_units.to_string()),
    ("io_overshoot_mean_seconds", |line| or_empty(line.round.report.io_overshoot_mean_seconds)),
    ("io_overshoot_max_seconds", |line| or_empty(line.round.report.io_overshoot_max_seconds)),
    ("left_running", |line| line.round.report.left_running.to_string()),
    ("outside_seconds", |line| line.round.outside_seconds.to_string()),
    ("tree_cpu_seconds", |line| line.round.tree_cpu_seconds().to_string()),
    ("tree_cpu_user_seconds", |line| or_empty(line.round.tree_cpu_user_seconds)),
    ("tree_cpu_system_seconds", |line| or_empty(line.round.tree_cpu_system_seconds)),
    ("cpu_split_missing", |line| or_empty(line.round.cpu_split_missing.map(CpuSplitMissing::name))),
    ("tree_cpu_split_missing", |line| or_empty(line.round.tree_cpu_split_missing.map(CpuSplitMissing::name))),
    ("peer_cpu_seconds", |line| or_empty(line.round.peer_cpu_seconds)),
    ("storage_read_bytes", |line| or_empty(line.round.storage_read_bytes)),
    ("kernel_forks", |line| or_empty(line.round.kernel_forks)),
    ("disturbance_p50_seconds", |line| or_empty(late(line).and_then(|late| late.p50_seconds))),
    ("disturbance_p99_seconds", |line| or_empty(late(line).and_then(|late| late.p99_seconds))),
    ("disturbance_max_seconds", |line| or_empty(late(line).and_then(|late| late.max_seconds))),
    ("disturbance_count", |line| or_empty(late(line).map(|late| late.count))),
];

fn late<'a>(line: &Line<'a>) -> Option<&'a Disturbance> {
    line.round.disturbance.as_ref()
}

fn or_empty(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// The names of the columns, in their order.
pub fn columns() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().map(|(name, _)| *name)
}

/// The rounds of all `subjects`, below one header. What tells the benchmarks of a study apart, such as the values of what
/// varies in a sweep, stands in columns of its own in front of the others; and where there are several, the number of each of them in the
/// first.
///
/// # Errors
/// If there is no memory to write to.
pub fn export(subjects: &[Subject<'_>]) -> anyhow::Result<Vec<u8>> {
    let mut documents = Vec::new();
    for (place, subject) in subjects.iter().enumerate() {
        let number = (subjects.len() > 1).then(|| ("run".to_owned(), (place + 1).to_string()));
        let own = subject.documents().into_iter();
        documents.extend(own.map(|(columns, document)| {
            (number.iter().cloned().chain(columns).collect::<Vec<_>>(), document)
        }));
    }
    let mut places: Vec<&str> = Vec::new();
    for (place, _) in &documents {
        for (name, _) in place {
            if !places.contains(&name.as_str()) {
                places.push(name);
            }
        }
    }
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(places.iter().copied().map(str::to_owned).chain(columns().map(str::to_owned)))?;
    for (place, document) in &documents {
        let own = document.strategies.iter().map(|strategy| (strategy, false));
        let empty = document.overhead.iter().map(|strategy| (strategy, true));
        let value_at =
            |wanted: &&str| place.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value);
        for (strategy, is_empty_task) in own.chain(empty) {
            for round in &strategy.rounds {
                let line = Line { document, strategy, is_empty_task, round };
                let values = COLUMNS.iter().map(|(_, value)| value(&line));
                writer.write_record(places.iter().map(value_at).map(str::to_owned).chain(values))?;
            }
        }
    }
    writer.into_inner().context("failed to write the rounds as CSV")
}
