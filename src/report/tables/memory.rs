//! The table of memory, and what its marks and columns mean.

use super::{GIVEN_UP, NOT_MEASURED};
use crate::document::{Document, MEMORY_NOT_MEASURED, Memory, PerAliveMissing, StrategyResult};
use crate::measure::memory::{MemoryReading, Method, Missing, PeakFrom};
use crate::mode::Mode;
use crate::report::grid::{Cell, Grid};
use crate::report::numbers::{self, bytes, count};
use crate::workload::{Io, Kind, WorkloadSpec};

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
const SAMPLED_LEGEND: &str = "sampled: the cgroup's high-water mark has page cache in it, so the peak is the highest of samples 5 ms apart or more";

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
        value.map_or_else(|| or_not(None), |value| Cell::new(numbers::marked(mark, &bytes(value))))
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
