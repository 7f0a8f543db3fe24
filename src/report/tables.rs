//! The tables of a run, and what their marks and columns mean.

use super::grid::{Cell, Grid, Tone};
use super::numbers::{bytes, count, factors, marked, metric, percent, seconds, seconds_range, times};
use crate::document::{
    Document, MEMORY_NOT_MEASURED, Memory, PerAliveMissing, SpeedUp, StrategyResult, StrategySummary,
};
use crate::measure::environment::Quota;
use crate::measure::memory::{MemoryReading, Method, Missing, PeakFrom};
use crate::mode::Mode;
use crate::stats::Verdict;
use crate::workload::{Io, Kind, WorkloadSpec};

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

/// By which method the memory `table` was measured where no column of it says so, why something in it was not measured, or has
/// no value; `None` if all is there.
pub fn memory_legend(document: &Document, table: &Grid) -> Option<String> {
    let is_told = table.header.iter().any(|title| title == METHOD);
    let method = only_method(document).filter(|_| !is_told).map(|method| format!("{METHOD}: {method}"));
    let reasons =
        document.warnings.iter().filter(|warning| MEMORY_NOT_MEASURED.contains(&warning.code.as_str()));
    let reasons = reasons.map(|warning| warning.message.as_str());
    let mut reasons: Vec<&str> = method.as_deref().into_iter().chain(reasons).collect();
    let rows = || document.strategies.iter().filter_map(|row| row.memory.as_ref());
    let has_programs = matches!(document.plan.workload.kind, Kind::Command | Kind::Worker);
    if rows().any(|memory| memory.per_alive_missing == Some(PerAliveMissing::NoProcesses)) {
        reasons.push(if has_programs { PER_ALIVE_OF_PROGRAMS_LEGEND } else { PER_ALIVE_LEGEND });
    }
    let is_pool_of_them = |row: &StrategyResult| row.mode == Mode::Pool && !row.engine.is_tool();
    if has_programs && document.strategies.iter().any(|row| row.memory.is_some() && is_pool_of_them(row)) {
        reasons.push(POOL_OF_PROGRAMS_LEGEND);
    }
    if rows().any(is_sampled_account) {
        reasons.push(SAMPLED_LEGEND);
    }
    if rows().any(|memory| memory.reading.is_least) {
        reasons.push(LEAST_LEGEND);
    }
    if rows().any(|memory| memory.reading.kernel_is_least) {
        reasons.push(KERNEL_IS_LEAST_LEGEND);
    }
    if document.strategies.iter().any(|row| row.engine.is_tool() && row.memory.is_some()) {
        reasons.push(ALIVE_OF_TOOL_LEGEND);
    }
    if rows().any(has_parts_beside_the_peak) {
        reasons.push(BESIDE_THE_PEAK_LEGEND);
    }
    if rows().any(has_most_of_kernel) {
        reasons.push(MOST_OF_KERNEL_LEGEND);
    }
    let reckoned: Vec<String> = document
        .strategies
        .iter()
        .filter_map(|row| uncertain_kernel(&row.name, row.memory.as_ref()?))
        .collect();
    let off = format!("kernel by meminfo is reckoned, and may be off by: {}", reckoned.join(", "));
    reasons.extend((!reckoned.is_empty()).then_some(off.as_str()));
    let ranges =
        document.strategies.iter().filter_map(|row| peaks_of_rounds(&row.name, row.memory.as_ref()?));
    let ranges: Vec<String> = ranges.collect();
    let of_rounds = format!("median of the peaks of several rounds: {}", ranges.join(", "));
    reasons.extend((!ranges.is_empty()).then_some(of_rounds.as_str()));
    if rows().any(are_read_for_others) {
        reasons.push(SPEAK_FOR_ALL_LEGEND);
    }
    let had_before: Vec<String> =
        document.strategies.iter().filter_map(|row| had_before(&row.name, row.memory.as_ref()?)).collect();
    let before = format!(
        "of the peak, what the runner had before the clock started, such as all lines or --parent-memory: {}",
        had_before.join(", ")
    );
    reasons.extend((!had_before.is_empty()).then_some(before.as_str()));
    let is_looked_at = |memory: &Memory| memory.method.is_sampled() && memory.reading.peak_bytes.is_some();
    if has_more_than_pages(document) && rows().any(is_looked_at) {
        reasons.push(NOT_IN_PROCESSES_LEGEND);
    }
    let has_unknown = rows().any(|memory| memory.reading.page_cache_bytes.is_none());
    if has_unknown && (has_page_cache(document) || may_have_page_cache(&document.plan.workload)) {
        reasons.push(PAGE_CACHE_LEGEND);
    }
    if rows().any(|memory| memory.reading.swapped_out_bytes.is_some()) {
        reasons.push(SWAPPED_OUT_LEGEND);
    }
    (!reasons.is_empty()).then(|| reasons.join(" · "))
}

/// Whether fewer processes were read than there were.
fn are_read_for_others(memory: &Memory) -> bool {
    let MemoryReading { processes_read: read, processes_seen: seen, .. } = memory.reading;
    read.is_some_and(|read| read < seen.unwrap_or(memory.peak_alive))
}

/// Whether the kernel keeps an account of the round, but the peak is not its high-water mark.
fn is_sampled_account(memory: &Memory) -> bool {
    !memory.method.is_sampled() && memory.reading.peak_from == Some(PeakFrom::Samples)
}

/// Why a figure of PSS is a lower bound.
const LEAST_LEGEND: &str = "≥: fewer than three looks in a row, 5 ms apart or more, found as much, or one found more, or some processes were not there";

/// Why the number of processes alive is one, where another tool starts them.
const ALIVE_OF_TOOL_LEGEND: &str = "≥ peak alive: of another tool's processes, as seen at looks 10 ms apart";

/// Why one of the kernel is.
const KERNEL_IS_LEAST_LEGEND: &str =
    "≥ kernel: it took more than so many processes need, and how much of that is theirs is not known";

/// Whether user and kernel, which are of one look, are noticeably less than the peak.
fn has_parts_beside_the_peak(memory: &Memory) -> bool {
    const NOTICEABLE: f64 = 0.98;
    let MemoryReading { peak_bytes, user_bytes, kernel_bytes, .. } = memory.reading;
    let seen = user_bytes.zip(kernel_bytes).map(|(user, kernel)| user.saturating_add(kernel));
    seen.zip(peak_bytes).is_some_and(|(seen, peak)| (seen as f64) < NOTICEABLE * peak as f64)
}

/// Why user and kernel are not all of the peak.
const BESIDE_THE_PEAK_LEGEND: &str = "≥ user, kernel: as seen together shortly before or after the peak; the most that there was of each is that or more";

/// Whether the kernel's share is its own high-water mark, which may be of another moment than the peak.
fn has_most_of_kernel(memory: &Memory) -> bool {
    memory.reading.peak_from == Some(PeakFrom::HighWaterMark)
        && memory.reading.kernel_from == Some(PeakFrom::HighWaterMark)
}

/// Why user and kernel may not be what there was at the peak.
const MOST_OF_KERNEL_LEGEND: &str =
    "≤ the most that the kernel had at any time; ≥ what is left of the peak: nobody saw the peak itself";

/// By how much the kernel's share of a strategy may be off, where that is noticeable.
fn uncertain_kernel(name: &str, memory: &Memory) -> Option<String> {
    const NOTICEABLE: f64 = 0.1;
    let (off, kernel) = (memory.reading.kernel_uncertain_bytes?, memory.reading.kernel_bytes?);
    (off as f64 > NOTICEABLE * kernel as f64).then(|| format!("{name} {}", bytes(off)))
}

/// What the runner of a strategy had before its clock started, where that is much of the peak.
fn had_before(name: &str, memory: &Memory) -> Option<String> {
    const MUCH: f64 = 0.25;
    const LEAST: u64 = 32 << 20;
    let (runner, peak) = (memory.reading.runner_bytes?, memory.reading.peak_bytes?);
    (runner >= LEAST && runner as f64 > MUCH * peak as f64).then(|| format!("{name} {}", bytes(runner)))
}

/// Between what the peaks of a strategy's rounds lie, where that is far.
fn peaks_of_rounds(name: &str, memory: &Memory) -> Option<String> {
    const FAR: f64 = 1.1;
    let peaks = || memory.each.iter().filter_map(|round| round.reading.peak_bytes);
    let (least, most) = (peaks().min()?, peaks().max()?);
    let is_far = most as f64 > FAR * least as f64;
    is_far.then(|| format!("{name} {} … {}", bytes(least), bytes(most)))
}

/// Why a peak is not the cgroup's own.
const SAMPLED_LEGEND: &str = "sampled: the cgroup's high-water mark has page cache in it, so the peak is the highest of samples 5 ms apart";

/// What it means that fewer processes were read than lived.
const SPEAK_FOR_ALL_LEGEND: &str =
    "of many processes that do the same, 64 drawn by lot were looked at one by one, and speak for all";

/// Whether tasks may have memory that is in no process's pages: nobody knows what programs do, and what is sent to a peer lies in sockets.
fn has_more_than_pages(document: &Document) -> bool {
    let WorkloadSpec { kind, io, .. } = &document.plan.workload;
    kind.is_program() || *io == Io::Echo
}

/// Whether some of what a row's tasks have may be in nothing that was looked at.
fn leaves_out(document: &Document, memory: &Memory) -> bool {
    memory.method.is_sampled() && has_more_than_pages(document)
}

/// Of which figures of memory no more than a bound is known: the sign that stands before each, `≥` or `≤`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Of the peak.
    pub peak: Option<&'static str>,
    /// Of the processes' own pages.
    pub user: Option<&'static str>,
    /// Of the kernel's share.
    pub kernel: Option<&'static str>,
}

impl Bounds {
    /// Those of a strategy's memory.
    pub fn of(document: &Document, memory: &Memory) -> Self {
        let reading = &memory.reading;
        let has_most_of_kernel = has_most_of_kernel(memory);
        let (is_least, is_beside) = (reading.is_least, has_parts_beside_the_peak(memory));
        let least_of_kernel = is_least || reading.kernel_is_least || leaves_out(document, memory);
        let least = |is: bool| is.then_some("≥");
        Self {
            peak: least(is_lower_bound(document, memory)),
            user: least(is_least || has_most_of_kernel || is_beside),
            kernel: if has_most_of_kernel { Some("≤") } else { least(least_of_kernel || is_beside) },
        }
    }
}

/// Whether a peak is known to be no more than a lower bound.
pub fn is_lower_bound(document: &Document, memory: &Memory) -> bool {
    let reading = &memory.reading;
    // PSS leaves out what the kernel needs, as an account does that is not told of it; and whoever looks at processes leaves out what is in
    // none of them.
    let has_no_kernel =
        memory.method == Method::Pss || reading.kernel_missing == Some(Missing::KernelDoesNotTell);
    let is_swapped = reading.swapped_out_bytes.is_some();
    has_no_kernel || is_swapped || reading.is_least || reading.kernel_is_least || leaves_out(document, memory)
}

/// What is in no process's pages.
const NOT_IN_PROCESSES_LEGEND: &str =
    "≥: without what lies in pipes and sockets, and in files in memory, which only a cgroup's account has";

/// Why a row has no page cache.
const PAGE_CACHE_LEGEND: &str = "page cache: not measured, as that of one round is told by a cgroup alone";

/// Whether tasks may have files read or written for them: nobody knows what programs do.
fn may_have_page_cache(workload: &WorkloadSpec) -> bool {
    workload.kind.is_program() || matches!(workload.io, Io::Fsync | Io::Read)
}

/// Why a cgroup's peak is a lower bound where its figures are those of memory alone.
const SWAPPED_OUT_LEGEND: &str =
    "≥: the machine swapped meanwhile, and what is swapped out is in no figure of a cgroup's memory";

/// Whether page cache is worth a column: where it is more than a hundredth of what else there is.
fn has_page_cache(document: &Document) -> bool {
    let mut rows = document.strategies.iter().filter_map(|row| row.memory.as_ref());
    rows.any(|memory| memory.reading.page_cache_bytes > memory.reading.peak_bytes.map(|peak| peak / 100))
}

/// Why a row has no memory per process alive.
const PER_ALIVE_LEGEND: &str = "per alive: — where no processes are started";

/// The same where tasks are programs, of which those modes have one, or one for each thread.
const PER_ALIVE_OF_PROGRAMS_LEGEND: &str = "per alive: — in serial and threads";

/// Who is alive in a pool whose tasks are programs.
const POOL_OF_PROGRAMS_LEGEND: &str = "alive in a pool: its workers, and the programs that they run";

const METHOD: &str = "method";

/// How a strategy's memory was measured.
fn method_of(memory: &Memory) -> String {
    let sampled = if is_sampled_account(memory) { ", sampled" } else { "" };
    format!("{}{sampled}", memory.method.name())
}

/// How memory was measured, if it was the same for all.
fn only_method(document: &Document) -> Option<String> {
    let mut methods = document.strategies.iter().filter_map(|row| row.memory.as_ref()).map(method_of);
    let first = methods.next()?;
    methods.all(|method| method == first).then_some(first)
}

/// As [`memory`], in at most `columns`: what is said of all rows, the method, then stands below it, if names would be broken for it.
pub fn memory_within(document: &Document, columns: usize) -> Grid {
    let mut table = memory(document);
    if table.width() > columns && only_method(document).is_some() {
        table.header.pop();
        let columns = table.header.len();
        table.rows.iter_mut().for_each(|row| row.truncate(columns));
    }
    table
}

/// Memory: a row for each strategy.
pub fn memory(document: &Document) -> Grid {
    let with_page_cache = has_page_cache(document);
    let mut header = vec!["strategy", "peak alive", "peak memory", "user", "kernel"];
    header.extend(with_page_cache.then_some("page cache"));
    header.extend(["per alive", METHOD]);
    let mut table = Grid::new(&header);
    for strategy in &document.strategies {
        let row = match &strategy.memory {
            None if strategy.given_up.is_some() => vec![Cell::new(&strategy.name), Cell::dim(GIVEN_UP)],
            None => vec![Cell::new(&strategy.name), Cell::dim(NOT_MEASURED)],
            Some(memory) => memory_row(document, strategy, memory, with_page_cache),
        };
        table.rows.push(row);
    }
    table
}

fn memory_row(
    document: &Document,
    strategy: &StrategyResult,
    memory: &Memory,
    with_page_cache: bool,
) -> Vec<Cell> {
    let (name, engine) = (&strategy.name, strategy.engine);
    let or_not =
        |value: Option<u64>| value.map_or_else(|| Cell::dim(NOT_MEASURED), |value| Cell::new(bytes(value)));
    let reading = &memory.reading;
    let marked = |mark: Option<&str>, value: Option<u64>| {
        value.map_or_else(|| or_not(None), |value| Cell::new(super::numbers::marked(mark, &bytes(value))))
    };
    let bounds = Bounds::of(document, memory);
    let mut row = vec![
        Cell::new(name),
        Cell::new(if engine.is_tool() {
            format!("≥ {}", count(memory.peak_alive))
        } else {
            count(memory.peak_alive)
        }),
        marked(bounds.peak, reading.peak_bytes),
        marked(bounds.user, reading.user_bytes),
        marked(bounds.kernel, reading.kernel_bytes),
    ];
    row.extend(with_page_cache.then(|| or_not(reading.page_cache_bytes)));
    let per_alive = memory.per_task_alive_bytes;
    row.extend([
        per_alive.map_or_else(|| Cell::dim("—"), |_| marked(bounds.peak, per_alive)),
        Cell::new(method_of(memory)),
    ]);
    row
}
