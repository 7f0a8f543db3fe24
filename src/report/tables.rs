//! The tables of a run, and what their marks and columns mean.

mod memory;

use super::grid::{Cell, Grid, Tone};
use super::numbers::{count, factors, marked, metric, percent, seconds, seconds_range, times};
use crate::document::{Document, SpeedUp, StrategyResult, StrategySummary};
use crate::measure::environment::Quota;
use crate::stats::Verdict;

pub use memory::{Bounds, is_lower_bound, memory, memory_legend, memory_within};

/// Stands where a value was not measured.
const NOT_MEASURED: &str = "not measured";
const GIVEN_UP: &str = "given up";

/// Time: a row for each strategy.
pub fn timing(document: &Document) -> Grid {
    timing_with(document, Told::ALL)
}

/// As [`timing`], in at most `columns`: where lines would be broken for them without the parts of CPU time, and without the
/// intervals of the speed-ups if that is not enough.
pub fn timing_within(document: &Document, columns: usize) -> Grid {
    let tables = Told::FROM_MOST_TO_LEAST.map(|told| timing_with(document, told));
    let [.., least] = &tables;
    tables.iter().find(|table| table.fits(columns)).unwrap_or(least).clone()
}

/// What [`timing_within`] leaves out of `table`, for want of columns, if it does.
pub fn left_out(document: &Document, table: &Grid) -> Option<String> {
    let all = timing(document).header;
    let has = |title: &str| table.header.iter().any(|column| column == title);
    let intervals = (all.iter().any(|title| title == SPEED_UP_WITH_INTERVAL) && !has(SPEED_UP_WITH_INTERVAL))
        .then_some("the speed-ups' 95 % intervals");
    let parts = (all.iter().any(|title| title == USER) && !has(USER)).then_some("user and system time");
    let left_out: Vec<&str> = intervals.into_iter().chain(parts).collect();
    (!left_out.is_empty())
        .then(|| format!("{}: in a wider terminal, --markdown, --html or --json", left_out.join(" and ")))
}

const SPEED_UP_WITH_INTERVAL: &str = "speed-up (95 %)";
const USER: &str = "user";
const SYSTEM: &str = "system";

/// How much is told in a table of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    /// Of a speed-up.
    intervals: bool,
    /// How much of the CPU time was in user mode, and how much in the kernel.
    parts_of_cpu: bool,
}

impl Told {
    const ALL: Self = Self { intervals: true, parts_of_cpu: true };
    const FROM_MOST_TO_LEAST: [Self; 3] = [
        Self::ALL,
        Self { parts_of_cpu: false, ..Self::ALL },
        Self { intervals: false, parts_of_cpu: false },
    ];

    /// The title of the column of speed-ups.
    fn title(self, document: &Document) -> &'static str {
        let has_intervals = speed_ups(document).any(|speed_up| speed_up.ci_low.is_some());
        if self.intervals && has_intervals { SPEED_UP_WITH_INTERVAL } else { "speed-up" }
    }

    /// What is read of one.
    fn speed_up(self, speed_up: &SpeedUp) -> String {
        let ratio = times(speed_up.ratio);
        match (speed_up.ci_low, speed_up.ci_high) {
            (Some(low), Some(high)) if self.intervals => format!("{ratio} ({})", factors(low, high)),
            _ => ratio,
        }
    }
}

/// The user and system time of a strategy, as far as the kernel told them apart.
fn parts_of_cpu(summary: &StrategySummary) -> [Option<f64>; 2] {
    [summary.cpu_user_seconds, summary.cpu_system_seconds]
}

/// Less than a tick of the slowest clock is not known any better: that there was none says that none fell into it.
fn part_of_cpu(part: Option<f64>) -> Cell {
    const TICK_SECONDS: f64 = 0.01;
    match part {
        Some(part) if part < TICK_SECONDS => Cell::new(format!("< {}", seconds(TICK_SECONDS))),
        part => seconds_or_dash(part),
    }
}

/// The rows of the timing table that have rounds.
fn with_summaries(document: &Document) -> impl Iterator<Item = &StrategySummary> {
    document.strategies.iter().chain(&document.overhead).filter_map(|row| row.summary.as_ref())
}

/// The speed-ups of all but the baseline.
fn speed_ups(document: &Document) -> impl Iterator<Item = SpeedUp> {
    let others = document.strategies.iter().filter(|row| row.name != document.plan.run.baseline);
    others.filter_map(|row| row.summary.as_ref()?.speedup_over_baseline)
}

fn timing_with(document: &Document, told: Told) -> Grid {
    let has_parts = with_summaries(document).flat_map(parts_of_cpu).any(|part| part.is_some());
    let told = Told { parts_of_cpu: told.parts_of_cpu && has_parts, ..told };
    let speed_up = told.title(document);
    let mut header = vec!["strategy", "time", "95 % interval", "set-up", speed_up, "tasks/s", "CPU"];
    header.extend([USER, SYSTEM].into_iter().filter(|_| told.parts_of_cpu));
    let mut table = Grid::new(&header);
    let mut of_nobody = document.plan.not_available.iter().peekable();
    let rows = document.strategies.iter().chain(&document.overhead).map(Some).chain([None]);
    for (place, strategy) in rows.enumerate() {
        while let Some(row) = of_nobody.next_if(|row| row.place <= place || strategy.is_none()) {
            table.rows.push(vec![Cell::new(&row.strategy), Cell::dim("n/a")]);
        }
        let Some(strategy) = strategy else { break };
        let row = match &strategy.summary {
            None if strategy.given_up.is_some() => {
                vec![Cell::new(&strategy.name), Cell::new(GIVEN_UP).with(Tone::Bad)]
            }
            None => vec![Cell::new(&strategy.name), Cell::dim("not run")],
            Some(summary) => timing_row(strategy, summary, document, told),
        };
        table.rows.push(row);
    }
    table
}

fn timing_row(
    strategy: &StrategyResult,
    summary: &StrategySummary,
    document: &Document,
    told: Told,
) -> Vec<Cell> {
    let total = &summary.total_seconds;
    let interval = match total.interval {
        Some(interval) => seconds_range(interval.low, interval.high),
        None if total.rounds > 1 => format!("{} *", seconds_range(total.min, total.max)),
        None => "1 round".into(),
    };
    let is_baseline = strategy.name == document.plan.run.baseline;
    let speed_up = match summary.speedup_over_baseline {
        _ if is_baseline => Cell::dim("baseline"),
        _ if has_failed(strategy) || document.baseline().is_some_and(has_failed) => Cell::dim("!"),
        Some(speed_up) => match (speed_up.verdict, told.speed_up(&speed_up)) {
            (Verdict::Faster, told) => Cell::new(told).with(Tone::Good),
            (Verdict::Slower, told) => Cell::new(told).with(Tone::Bad),
            (Verdict::NotDistinguished, told) => Cell::new(format!("{told} =")),
            (Verdict::TooFewRounds, told) => Cell::new(format!("{told} *")),
        },
        None => Cell::dim("—"),
    };
    let mut row = vec![
        Cell::new(&strategy.name),
        match has_failed(strategy) {
            true => Cell::new(format!("{} !", seconds(total.median))).with(Tone::Bad),
            false => Cell::new(seconds(total.median)),
        },
        Cell::new(interval),
        Cell::new(percent(summary.set_up_seconds / total.median)),
        speed_up,
        Cell::new(metric(summary.tasks_per_second)),
        Cell::new(marked(has_unseen_cpu_time(strategy).then_some("≥"), &seconds(summary.cpu_seconds))),
    ];
    if told.parts_of_cpu {
        row.extend(parts_of_cpu(summary).map(part_of_cpu));
    }
    row
}

/// Whether processes that its tasks left running had CPU time that nobody accounts for: they were killed, and not by whoever had started them.
fn has_unseen_cpu_time(strategy: &StrategyResult) -> bool {
    strategy.rounds.iter().any(|round| round.report.left_running > 0)
}

/// Whether its times are of something else than the tasks.
fn has_failed(strategy: &StrategyResult) -> bool {
    !strategy.is_sound()
}

/// What the marks in the timing `table` mean, as far as it has any.
pub fn timing_legend(document: &Document, table: &Grid) -> Option<String> {
    let has = |verdict: Verdict| speed_ups(document).any(|speed_up| speed_up.verdict == verdict);
    let mut notes = Vec::new();
    if document.strategies.iter().any(|row| row.tasks_failed() > 0) {
        notes.push("! tasks failed, and what fails takes another time than what is done");
    }
    if document.strategies.iter().any(|row| row.given_up.is_some() && row.summary.is_some()) {
        notes.push("! given up in a later round: see below");
    }
    let is_compared = |row: &StrategyResult| row.summary.is_some() && row.name != document.plan.run.baseline;
    if document.baseline().is_some_and(|row| row.given_up.is_some())
        && document.strategies.iter().any(is_compared)
    {
        notes.push("speed-up: ! where the baseline was given up");
    }
    let mut totals = document.strategies.iter().filter_map(|row| Some(&row.summary.as_ref()?.total_seconds));
    if has(Verdict::TooFewRounds) || totals.any(|total| total.interval.is_none() && total.rounds > 1) {
        notes.push("* too few rounds for an interval or a verdict: smallest … largest");
    }
    if has(Verdict::NotDistinguished) {
        notes.push("= not distinguished from the baseline");
    }
    if document.strategies.iter().any(|row| is_apart(row, document)) {
        notes.push("speed-up: median of the ratios within rounds, not of the times");
    }
    if document.strategies.iter().any(|row| row.summary.is_some() && has_unseen_cpu_time(row)) {
        notes.push("≥ CPU: without that of processes which were left running");
    }
    if document.plan.workload.kind.is_program() && !document.overhead.is_empty() {
        notes.push("(no-op): an empty task of procbench's own, and no program: other tools have none");
    }
    let has_parts = table.header.iter().any(|title| title == USER);
    if has_parts && with_summaries(document).flat_map(parts_of_cpu).any(|part| part.is_none()) {
        notes.push(
            "user, system: — where the kernel, which tells them apart by its clock's ticks, had too few for that",
        );
    }
    let reason = document.plan.not_available.first().map(|row| format!("n/a: {}", row.reason));
    notes.extend(reason.as_deref());
    (!notes.is_empty()).then(|| notes.join(" · "))
}

/// Whether the speed-up of `row` is not what the times beside it come to.
fn is_apart(row: &StrategyResult, document: &Document) -> bool {
    const NOTICEABLE: f64 = 0.02;
    let of_times = || {
        let theirs = document.baseline()?.summary.as_ref()?.total_seconds.median;
        let ours = row.summary.as_ref()?;
        Some((ours.speedup_over_baseline?.ratio, theirs / ours.total_seconds.median))
    };
    of_times().is_some_and(|(shown, of_times)| (shown / of_times).ln().abs() > NOTICEABLE)
}

fn seconds_or_dash(value: Option<f64>) -> Cell {
    value.map_or_else(|| Cell::dim("—"), |value| Cell::new(seconds(value)))
}

/// How long tasks waited and took: a row for each strategy. `None` where that was not asked for.
pub fn latency(document: &Document) -> Option<Grid> {
    let mut table =
        Grid::new(&["strategy", "wait p50", "wait p99", "wait max", "task p50", "task p99", "task max"]);
    let mut without = Vec::new();
    for strategy in &document.strategies {
        let Some(latency) = &strategy.latency else {
            if has_no_latency(strategy) && document.plan.run.latency {
                without.push(vec![Cell::new(&strategy.name), Cell::dim(NOT_MEASURED)]);
            }
            continue;
        };
        let mut row = vec![Cell::new(&strategy.name)];
        for of in [&latency.wait, &latency.service] {
            row.extend([of.p50_seconds, of.p99_seconds, Some(of.max_seconds)].map(seconds_or_dash));
        }
        table.rows.push(row);
    }
    table.rows.extend(without);
    (!table.rows.is_empty()).then_some(table)
}

/// How much others were disturbed: a row for each strategy, and one for the machine when nothing was run.
pub fn disturbance(document: &Document) -> Grid {
    let mut table = Grid::new(&["strategy", "late p50", "late p99", "late max", "wake-ups"]);
    let rows = document.strategies.iter().filter_map(|row| Some((row.name.as_str(), row.disturbance?)));
    for (name, late) in rows.chain([(IDLE, document.environment.idle_disturbance)]) {
        let mut row = vec![Cell::new(name)];
        row.extend([late.p50_seconds, late.p99_seconds, late.max_seconds].map(seconds_or_dash));
        row.push(Cell::new(count(late.count)));
        table.rows.push(row);
    }
    table
}

/// What the row of the idle machine is called.
pub const IDLE: &str = "(nothing run)";

/// What the columns of the disturbance table mean.
const DISTURBANCE_LEGEND: &str = "late: how late a bystander woke that sleeps 10 ms at a time · p50 takes 5 wake-ups, \
     p99 100, — where there were fewer · the more wake-ups, the larger a maximum, and p99";

/// With so many wake-ups ten lie beyond their p99, as has to be with tasks.
const WELL_KNOWN_P99: u64 = 1000;

/// What the columns of the table of disturbance mean.
pub fn disturbance_legend(document: &Document) -> String {
    let quota = match document.environment.machine.quota {
        Some(Quota::Cores(_)) => {
            " · the quota of this cgroup held the bystander back too, as it would any other program in it, but none elsewhere"
        }
        Some(Quota::Unlimited) | None => "",
    };
    let few = document
        .strategies
        .iter()
        .filter_map(|row| row.disturbance)
        .chain([document.environment.idle_disturbance])
        .any(|late| late.p99_seconds.is_some() && late.count < WELL_KNOWN_P99);
    let few = if few {
        ": beyond it lies one in a hundred of them, so below 1,000 it is hardly more than a maximum"
    } else {
        ""
    };
    format!("{DISTURBANCE_LEGEND}{few}{quota}")
}

/// What the columns of the latency table mean.
pub fn latency_legend(document: &Document) -> String {
    let rows =
        || document.strategies.iter().filter_map(|row| Some((row.name.as_str(), row.latency.as_ref()?)));
    let mut by_sample: Vec<(u64, Vec<&str>)> = Vec::new();
    for (name, latency) in rows() {
        match by_sample.iter_mut().find(|(one_in, _)| *one_in == latency.one_in) {
            Some((_, names)) => names.push(name),
            None => by_sample.push((latency.one_in, vec![name])),
        }
    }
    let part = |one_in: u64| match one_in {
        1 => "all tasks".to_owned(),
        some => format!("one task in {}", count(some)),
    };
    let sampled = match by_sample.as_slice() {
        [] | [(1, _)] => String::new(),
        [(one_in, _)] => format!(" (of {})", part(*one_in)),
        several => {
            let each: Vec<String> = several
                .iter()
                .map(|(one_in, names)| format!("{} of {}", part(*one_in), names.join(", ")))
                .collect();
            format!(" (of {})", each.join("; "))
        }
    };
    let mut legend = format!(
        "wait: from the start of the clock to a task's start · task: from its start to its end{sampled} · \
         —: fewer than ten tasks beyond that percentile"
    );
    let without: Vec<String> = rows()
        .filter(|(_, latency)| latency.tasks_without > 0)
        .map(|(name, latency)| {
            format!("{name} {} of {}", count(latency.tasks_without), count(latency.tasks_looked_at()))
        })
        .collect();
    if !without.is_empty() {
        legend += &format!(
            " · without those of the tasks looked at, in all timed rounds, that have no end (killed, failed before it, or not tried), \
             however long they took: {}",
            without.join(", ")
        );
    }
    if document.strategies.iter().any(|row| has_no_latency(row) && row.engine.is_tool()) {
        legend += " · not measured: what other tools start, they do not tell of";
    }
    if document.strategies.iter().any(|row| has_no_latency(row) && !row.engine.is_tool()) {
        legend += " · not measured: no task that was looked at came to its end";
    }
    legend
}

/// Whether there are rounds, but no latency: the tool that executes does not tell of it, or no task came to its end.
fn has_no_latency(strategy: &StrategyResult) -> bool {
    !strategy.rounds.is_empty() && strategy.latency.is_none()
}
