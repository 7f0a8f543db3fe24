//! What the controller and an engine say to each other: one JSON request in, JSON lines out.

use schemars::JsonSchema;
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use super::Strategy;
use crate::mode::stamps::RoundLatency;
use crate::mode::start_order::StartOrder;
use crate::mode::verify::TaskFailure;
use crate::workload::{OnFailure, WorkloadSpec};

/// Raised whenever a message changes its meaning.
pub const VERSION: u32 = 1;

/// What the controller answers to [`Message::Ready`]: the clock starts when it is read.
pub const GO: &[u8] = b"go\n";

/// What an engine is asked to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub protocol: u32,
    /// The controller's process id: an engine ends when that process does.
    pub controller: i32,
    /// What the tasks do.
    pub workload: WorkloadSpec,
    /// How to execute them.
    pub strategy: Strategy,
    /// Whether tasks are stamped with their start and end.
    pub latency: bool,
    /// What is done when a task fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Whether the round may take longer to prove what nobody says: it is not timed.
    #[serde(default)]
    pub verify: bool,
}

/// What an engine says, a line each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// The request is understood, and everything that is not timed is done. The engine waits for [`GO`].
    Ready,
    /// How far the round is.
    Progress {
        /// Tasks finished, or handed out where only that is known.
        tasks_done: u64,
        /// Processes alive now.
        alive: u64,
    },
    /// The clock has stopped; what comes is checking. The engine waits for [`GO`], a second at most, so that what it takes for that is in no
    /// figure of the round.
    Over,
    /// What came of the round. The last line.
    Report(Box<RoundReport>),
    /// Something that must hold did not. The last line.
    Violation {
        /// Which task or count is wrong.
        message: String,
        /// Whether it is a result: one is missing, or not what it must be.
        #[serde(default)]
        of_results: bool,
    },
    /// What the round was to do cannot be done, whatever the machine. The last line.
    Refused {
        /// Why.
        message: String,
    },
    /// The machine does not allow the round. The last line.
    Limit {
        /// Which limit.
        message: String,
    },
    /// The round could not be carried out. The last line.
    Error {
        /// Why.
        message: String,
    },
}

/// A round as its engine saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoundReport {
    /// t3 − t0: from nothing created to everybody reaped.
    #[serde(deserialize_with = "duration")]
    pub total_seconds: f64,
    /// t1 − t0: until ready for the first task.
    #[serde(deserialize_with = "duration")]
    pub set_up_seconds: f64,
    /// t2 − t1: until every result is in the parent.
    #[serde(deserialize_with = "duration")]
    pub execute_seconds: f64,
    /// t3 − t2: until every worker is gone; null of another tool's rounds, which do not tell t2 and t3 apart.
    #[serde(deserialize_with = "duration_if_told")]
    pub tear_down_seconds: Option<f64>,
    /// CPU time from t0 to t3, of the runner and everyone it reaped. What was written before this field was has both its parts
    /// instead: see [`Self::cpu_seconds`].
    #[serde(default)]
    pub cpu_seconds: Option<f64>,
    /// The part of it in user mode. In an export it is null where the kernel cannot tell both parts apart: see
    /// `cpu_split_missing`.
    pub cpu_user_seconds: Option<f64>,
    /// The part of it in the kernel, likewise.
    pub cpu_system_seconds: Option<f64>,
    /// Tasks whose result is there and right.
    pub tasks_completed: u64,
    /// Tasks that failed.
    pub tasks_failed: u64,
    /// Tasks that were not tried, since another had failed.
    #[serde(default)]
    pub tasks_not_tried: u64,
    /// Tasks handed out again because whoever held them died, and tries made again because the first failed.
    pub retries: u64,
    /// Processes started between t0 and t3.
    pub processes_started: u64,
    /// Threads and processes that the engine itself started besides, for its own use.
    #[serde(default)]
    pub helpers_started: u64,
    /// The most of its processes that existed at one time; of what xargs and GNU parallel start, at looks 10 ms apart.
    pub peak_alive: u64,
    /// Over all results in task order; null where the engine does not say how single tasks have ended.
    pub digest: Option<String>,
    /// CPU work really done, in units.
    pub work_units: u64,
    /// By how much the average wait for I/O was too long; absent without waits.
    pub io_overshoot_mean_seconds: Option<f64>,
    /// By how much the worst one was.
    pub io_overshoot_max_seconds: Option<f64>,
    /// How long tasks waited and took, where that was asked for. In an export it is summed up over rounds instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub latency: Option<RoundLatency>,
    /// How far tasks started from their turn, where they were stamped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_order: Option<StartOrder>,
    /// Results that came back at another place than their task's, where they come back as they are finished; absent where
    /// they come back in the order of tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_out_of_place: Option<u64>,
    /// The first few failed tasks.
    pub failures: Vec<TaskFailure>,
    /// Processes that the user's programs had left running when the clock had stopped, and workers that did not end when
    /// there was nothing more to do. They were killed.
    #[serde(default)]
    pub left_running: u64,
    /// Says where the results of two rounds differ: see [`crate::mode::verify::Verified::parts`]. Not in an export.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    pub parts: Vec<u32>,
}

impl RoundReport {
    /// CPU time from t0 to t3 in seconds, user and system together.
    pub fn cpu_seconds(&self) -> f64 {
        in_all(self.cpu_seconds, [self.cpu_user_seconds, self.cpu_system_seconds])
    }
}

/// Seconds that can have passed.
fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let seconds = f64::deserialize(from)?;
    match seconds >= 0.0 && seconds.is_finite() {
        true => Ok(seconds),
        false => {
            Err(D::Error::invalid_value(Unexpected::Float(seconds), &"seconds that have passed, at least 0"))
        }
    }
}

/// Seconds that can have passed, or null.
fn duration_if_told<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    struct Told(#[serde(deserialize_with = "duration")] f64);
    Ok(Option::<Told>::deserialize(from)?.map(|Told(seconds)| seconds))
}

/// CPU time, from the sum or, where that was not yet written, its parts.
pub fn in_all(cpu_seconds: Option<f64>, parts: [Option<f64>; 2]) -> f64 {
    cpu_seconds.unwrap_or_else(|| parts.iter().flatten().sum())
}
