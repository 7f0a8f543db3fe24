//! What must hold in every round, checked in every round, outside the clock.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Mode, Outcome, Settings, Times};
use crate::measure::shortage::is_shortage;
use crate::workload::program::tally::Tally;
use crate::workload::{Failure, Workload};

/// The results of a round, checked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Verified {
    /// Tasks whose result is there and right.
    pub tasks_completed: u64,
    /// Tasks that failed.
    pub tasks_failed: u64,
    /// Tasks that were not tried, since another had failed.
    pub tasks_not_tried: u64,
    /// SHA-256, in hexadecimal, over every task's checksum (and the CRC-32 of its result bytes, where there are
    /// some) as little-endian 32-bit numbers, in task order. Failed tasks count as all ones.
    pub digest: String,
    /// CRC-32 of the same for each of up to [`PARTS`] stretches of tasks, where only the user's own program can tell whether
    /// its results are right: they say where two rounds differ.
    pub parts: Vec<u32>,
    /// The first thousand failed tasks, with their reasons.
    pub failures: Vec<TaskFailure>,
}

/// A task that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskFailure {
    /// Its number.
    pub task: u64,
    /// Why.
    pub reason: String,
    /// Its line, or as much of it as can be shown, where tasks have lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, reason, line } = self;
        match line {
            Some(line) => write!(f, "task {task} ({line:?}): {reason}"),
            None => write!(f, "task {task}: {reason}"),
        }
    }
}

/// Stretches into which the tasks of a round are cut to say where it differs from another.
pub const PARTS: u64 = 512;

/// Something that must hold did not: the round is worthless, and procbench or the machine is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A task has no result.
    #[error("task {0} was never executed: its result is missing")]
    Missing(u64),
    /// A task's result is not what its number and argument make it.
    #[error("task {task} has a wrong result: checksum {found:08x}, expected {expected:08x}")]
    Wrong {
        /// The task.
        task: u64,
        /// What came back.
        found: u32,
        /// What had to.
        expected: u32,
    },
    /// A task's result bytes are not what they must be.
    #[error("task {0} handed back wrong bytes")]
    WrongBytes(u64),
    /// A count is not what it must be.
    #[error("{what}: counted {found}, expected {expected}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// How many there were.
        found: u64,
        /// How many there had to be.
        expected: String,
    },
}

impl Violation {
    /// Whether a result is missing or is not what it must be, rather than a count of something else.
    pub fn is_of_results(&self) -> bool {
        !matches!(self, Self::Count { .. })
    }
}

/// Failures that are reported one by one; the others are counted. With their lines they fit into one message to the controller.
pub(crate) const FAILURES_REPORTED: usize = 1000;

/// Bytes of arguments that are made again to check results against, for every task; with more than that it is
/// done for an even sample of tasks. The digest covers all of them either way.
const CHECK_BYTES: u64 = 256 << 20;

/// Checks `outcome` and folds its results, in task order.
///
/// # Errors
/// The first thing found that must not be.
pub fn verify<W: Workload>(
    workload: &W,
    mode: Mode,
    settings: &Settings,
    outcome: &Outcome,
) -> Result<Verified, Violation> {
    let verified = verify_results(workload, outcome)?;
    let tasks = outcome.board.tasks();
    verify_times(outcome.times)?;
    verify_processes(mode, settings, outcome, verified.tasks_not_tried)?;
    if let Some(tally) = workload.tally().filter(|_| mode != Mode::Process) {
        verify_programs(workload, tally, mode, settings, outcome, verified.tasks_failed)?;
    }
    if verified.tasks_failed == 0 {
        let most = tasks + outcome.retries;
        // One that failed may have had its worker killed before that could say so: others have heard of the failure, and nobody tries it again.
        let tried = tasks - verified.tasks_not_tried;
        let (executed, work) = (outcome.meter.executed, outcome.meter.work_units);
        if executed < tried || executed > most {
            return Err(Violation::Count {
                what: "tasks executed",
                found: executed,
                expected: between(tried, most),
            });
        }
        let least = workload.work_units(outcome.meter.initialisations);
        // Who died may have worked at a start-up or a task without having been able to say that it was one more; and one that has failed in
        // its I/O had computed before, and does so again.
        let may_be_more = outcome.retries > 0 || outcome.workers_lost > 0 || workload.retries() > 0;
        if work < least || (work > least && !may_be_more) {
            return Err(Violation::Count {
                what: "units of CPU work",
                found: work,
                expected: least.to_string(),
            });
        }
    }
    Ok(verified)
}

fn between(least: u64, most: u64) -> String {
    if least == most { least.to_string() } else { format!("{least} to {most}") }
}

fn verify_times(times: Times) -> Result<(), Violation> {
    let ordered =
        times.begin <= times.ready && times.ready <= times.collected && times.collected <= times.end;
    if ordered {
        return Ok(());
    }
    Err(Violation::Count { what: "instants of the round in order", found: 0, expected: "1".into() })
}

/// What executors have started themselves: each is reaped, and where nothing has failed there are as many as there have
/// to be.
fn verify_programs<W: Workload>(
    workload: &W,
    tally: &Tally,
    mode: Mode,
    settings: &Settings,
    outcome: &Outcome,
    failed: u64,
) -> Result<(), Violation> {
    let (started, reaped) = (tally.started(), tally.reaped());
    // Those of a worker that died are reaped by the runner.
    let undisturbed = outcome.workers_lost == 0;
    if reaped > started || (undisturbed && reaped < started) {
        let expected = started.to_string();
        return Err(Violation::Count { what: "programs reaped", found: reaped, expected });
    }
    let executors = if mode == Mode::Serial { 1 } else { settings.workers.unwrap_or(1) };
    let expected = match tally.kept() {
        true => executors,
        false => outcome.board.tasks(),
    };
    let complete = undisturbed && tally.missing() == 0;
    let smooth = complete && failed == 0 && outcome.retries == 0 && workload.retries() == 0;
    if smooth && started != expected {
        let expected = expected.to_string();
        return Err(Violation::Count { what: "programs started", found: started, expected });
    }
    Ok(())
}

fn verify_processes(
    mode: Mode,
    settings: &Settings,
    outcome: &Outcome,
    not_tried: u64,
) -> Result<(), Violation> {
    let tasks = outcome.board.tasks() - not_tried;
    let unstarted = outcome.unstarted;
    let (least, most) = match mode {
        Mode::Serial | Mode::Threads => (0, 0),
        Mode::Pool => {
            let workers = settings.workers.unwrap_or(1);
            // A lost worker has a successor, whether or not it held a task; one more may have swept up after it.
            (workers, workers + outcome.workers_lost + outcome.retries)
        }
        // A program that could not be started is no process.
        Mode::Process => (tasks + outcome.retries - unstarted, tasks + outcome.retries - unstarted),
    };
    let started = outcome.processes_started;
    if started < least || started > most {
        return Err(Violation::Count {
            what: "processes started",
            found: started,
            expected: between(least, most),
        });
    }
    if crate::sys::wait::has_children() {
        return Err(Violation::Count { what: "processes left behind", found: 1, expected: "0".into() });
    }
    Ok(())
}

fn verify_results<W: Workload>(workload: &W, outcome: &Outcome) -> Result<Verified, Violation> {
    let board = &outcome.board;
    let tasks = board.tasks();
    let bytes_per_task = (workload.argument_capacity() + workload.result_size()).max(1) as u64;
    let check_every = (tasks.saturating_mul(bytes_per_task) / CHECK_BYTES + 1).max(1);
    let check_every = check_every.max(tasks / workload.checked_tasks().max(1));
    let mut argument = vec![0; workload.argument_capacity()];
    let mut digest = Folder::new(workload.result_size() > 0);
    let mut verified = Verified::default();
    let stretch = tasks.div_ceil(PARTS).max(1);
    let mut part = crc32fast::Hasher::new();
    for task in 0..tasks {
        let result = match board.word(task).read() {
            None => return Err(Violation::Missing(task)),
            Some(Ok(checksum)) => workload.late_failure(task).map_or(Ok(checksum), Err),
            Some(failed) => failed,
        };
        if workload.tally().is_some() {
            part.update(&result.unwrap_or(u32::MAX).to_le_bytes());
            if (task + 1).is_multiple_of(stretch) || task + 1 == tasks {
                verified.parts.push(std::mem::take(&mut part).finalize());
            }
        }
        let checksum = match result {
            Ok(checksum) => checksum,
            Err(Failure::NotTried) => {
                verified.tasks_not_tried += 1;
                digest.fold(u32::MAX, &[]);
                continue;
            }
            Err(failure) => {
                verified.tasks_failed += 1;
                if verified.failures.len() < FAILURES_REPORTED {
                    let (reason, line) = (failure.to_string(), workload.describe(task));
                    verified.failures.push(TaskFailure { task, reason, line });
                }
                digest.fold(u32::MAX, &[]);
                continue;
            }
        };
        if task % check_every == 0 {
            let length = workload.write_argument(task, &mut argument);
            if let Some(expected) = workload.expected(task, &argument[..length])
                && expected != checksum
            {
                return Err(Violation::Wrong { task, found: checksum, expected });
            }
        }
        if !workload.result_is_right(task, checksum, board.result(task)) {
            return Err(Violation::WrongBytes(task));
        }
        verified.tasks_completed += 1;
        digest.fold(checksum, board.result(task));
    }
    verified.digest = digest.finish();
    Ok(verified)
}

/// What there was not enough of, as an `errno`, where not one program of a round could be started for want of something.
pub fn want_of_all(outcome: &Outcome) -> Option<i32> {
    let mut want = None;
    for task in 0..outcome.board.tasks() {
        match outcome.board.word(task).read() {
            Some(Err(Failure::CannotStart(errno))) if is_shortage(errno) => want = Some(errno),
            Some(Err(Failure::NotTried)) => {}
            _ => return None,
        }
    }
    want
}

/// Folds results into a digest, a block at a time.
pub(crate) struct Folder {
    hasher: Sha256,
    block: Vec<u8>,
    with_bytes: bool,
}

impl Folder {
    const BLOCK: usize = 64 * 1024;

    pub(crate) fn new(with_bytes: bool) -> Self {
        Self { hasher: Sha256::new(), block: Vec::with_capacity(Self::BLOCK + 8), with_bytes }
    }

    pub(crate) fn fold(&mut self, checksum: u32, bytes: &[u8]) {
        self.block.extend_from_slice(&checksum.to_le_bytes());
        if self.with_bytes {
            self.block.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
        }
        if self.block.len() >= Self::BLOCK {
            self.hasher.update(&self.block);
            self.block.clear();
        }
    }

    pub(crate) fn finish(mut self) -> String {
        self.hasher.update(&self.block);
        self.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
