//! What is done when a task fails: nothing, an end, or another try.
//!
//! Whoever goes on does nothing special. For the other two, [`Policed`] puts itself between a mode and the executors of
//! any workload, so that neither has to know; what an executor cannot see, the death of whoever executes, the modes that
//! have processes see to themselves.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::program::tally::Tally;
use super::{Executor, Failure, Meter, NeverLean, Programs, Workload};
use crate::sys::atomic::AtomicU64;
use crate::sys::memory::{SharedSlice, Sharing};

/// What is done when a task fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum OnFailure {
    /// The others are executed.
    #[default]
    Continue,
    /// No other is started.
    Stop,
    /// It is tried again, so many times.
    Retry(u32),
}

/// More tries of one task than this are a slip of the finger.
const MOST_RETRIES: u32 = 1_000_000;

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue => f.write_str("continue"),
            Self::Stop => f.write_str("stop"),
            Self::Retry(times) => write!(f, "retry:{times}"),
        }
    }
}

impl FromStr for OnFailure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let times = text.strip_prefix("retry:").map(str::parse::<u32>);
        match (text, times) {
            ("continue", _) => Ok(Self::Continue),
            ("stop", _) => Ok(Self::Stop),
            (_, Some(Ok(times @ 1..=MOST_RETRIES))) => Ok(Self::Retry(times)),
            _ => Err(format!(
                "'{text}' is not something to do on failure: expected continue, stop or retry:N, with N from 1 to {MOST_RETRIES}"
            )),
        }
    }
}

impl From<OnFailure> for String {
    fn from(policy: OnFailure) -> Self {
        policy.to_string()
    }
}

impl TryFrom<String> for OnFailure {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A workload whose tasks are tried again, or not tried at all, as a policy says.
pub struct Policed<W> {
    inner: W,
    police: Police,
}

/// What all executors know of each other's failures, in memory that they share.
#[derive(Clone)]
struct Police {
    policy: OnFailure,
    /// How many tasks have failed for good, and how many tries were made again.
    counts: Arc<SharedSlice<AtomicU64>>,
}

impl Police {
    fn failed(&self) -> &AtomicU64 {
        &self.counts[0]
    }

    fn retries(&self) -> &AtomicU64 {
        &self.counts[1]
    }
}

impl<W> Policed<W> {
    /// `inner` under `policy`, in memory that is shared as `sharing` says.
    ///
    /// # Errors
    /// `ENOMEM`, or that the parent has shared nothing.
    pub fn new(inner: W, policy: OnFailure, sharing: &mut Sharing) -> io::Result<Self> {
        let counts = Arc::new(SharedSlice::shared(2, sharing)?);
        Ok(Self { inner, police: Police { policy, counts } })
    }
}

impl<W: Workload> Workload for Policed<W> {
    type Executor = PolicedExecutor<W::Executor>;
    type Lean = NeverLean;

    fn executor(&self, meter: &mut Meter) -> Self::Executor {
        PolicedExecutor { inner: self.inner.executor(meter), police: self.police.clone() }
    }

    fn argument_capacity(&self) -> usize {
        self.inner.argument_capacity()
    }

    fn write_argument(&self, task: u64, buffer: &mut [u8]) -> usize {
        self.inner.write_argument(task, buffer)
    }

    fn result_size(&self) -> usize {
        self.inner.result_size()
    }

    fn expected(&self, task: u64, argument: &[u8]) -> Option<u32> {
        self.inner.expected(task, argument)
    }

    fn checked_tasks(&self) -> u64 {
        self.inner.checked_tasks()
    }

    fn result_is_right(&self, task: u64, checksum: u32, result: &[u8]) -> bool {
        self.inner.result_is_right(task, checksum, result)
    }

    fn work_units(&self, initialisations: u64) -> u64 {
        self.inner.work_units(initialisations)
    }

    fn lean(&self) -> Option<NeverLean> {
        None
    }

    fn programs(&self) -> Option<&dyn Programs> {
        self.inner.programs()
    }

    fn tally(&self) -> Option<&Tally> {
        self.inner.tally()
    }

    fn describe(&self, task: u64) -> Option<String> {
        self.inner.describe(task)
    }

    fn late_failure(&self, task: u64) -> Option<Failure> {
        self.inner.late_failure(task)
    }

    fn note_failure(&self) {
        self.police.failed().fetch_add(1, Relaxed);
    }

    fn retries(&self) -> u64 {
        self.police.retries().load(Relaxed)
    }
}

/// Executes as its policy says.
pub struct PolicedExecutor<E> {
    inner: E,
    police: Police,
}

impl<E: Executor> Executor for PolicedExecutor<E> {
    fn execute(
        &mut self,
        task: u64,
        argument: &[u8],
        result: &mut [u8],
        meter: &mut Meter,
    ) -> Result<u32, Failure> {
        let (again, stops) = match self.police.policy {
            OnFailure::Retry(times) => (times, false),
            policy => (0, policy == OnFailure::Stop),
        };
        if stops && self.police.failed().load(Relaxed) > 0 {
            return Err(Failure::NotTried);
        }
        let mut outcome = self.inner.execute(task, argument, result, meter);
        for _ in 0..again {
            if outcome.is_ok() {
                break;
            }
            self.police.retries().fetch_add(1, Relaxed);
            outcome = self.inner.execute(task, argument, result, meter);
        }
        if outcome.is_err() {
            self.police.failed().fetch_add(1, Relaxed);
        }
        outcome
    }

    fn meters(&self) -> bool {
        self.inner.meters()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails as often as it says, for each task.
    struct Unreliable(u32);

    impl Executor for Unreliable {
        fn execute(&mut self, task: u64, _: &[u8], _: &mut [u8], _: &mut Meter) -> Result<u32, Failure> {
            match self.0.checked_sub(1) {
                None => Ok(task as u32),
                Some(left) => {
                    self.0 = left;
                    Err(Failure::Formula)
                }
            }
        }
    }

    fn executor(failures: u32, policy: OnFailure) -> PolicedExecutor<Unreliable> {
        let police = Policed::new((), policy, &mut Sharing::WithForked).unwrap().police;
        PolicedExecutor { inner: Unreliable(failures), police }
    }

    fn execute(executor: &mut PolicedExecutor<Unreliable>, task: u64) -> Result<u32, Failure> {
        executor.execute(task, &[], &mut [], &mut Meter::default())
    }

    #[test]
    fn a_task_is_tried_again_as_often_as_was_said_and_no_more() {
        let mut enough = executor(2, OnFailure::Retry(2));
        assert_eq!(execute(&mut enough, 7), Ok(7));
        assert_eq!(enough.police.retries().load(Relaxed), 2);
        let mut too_few = executor(3, OnFailure::Retry(2));
        assert_eq!(execute(&mut too_few, 7), Err(Failure::Formula));
        assert_eq!(execute(&mut too_few, 8), Ok(8), "another task has tries of its own");
    }

    #[test]
    fn after_a_failure_nothing_else_is_tried_where_that_was_said() {
        let mut stops = executor(1, OnFailure::Stop);
        assert_eq!(execute(&mut stops, 0), Err(Failure::Formula));
        assert_eq!(execute(&mut stops, 1), Err(Failure::NotTried));
    }

    #[test]
    fn what_one_program_counts_another_one_sees() {
        let mut sharing = Sharing::WithExeced(Vec::new());
        let parent = Policed::new((), OnFailure::Stop, &mut sharing).unwrap();
        let child = Policed::new((), OnFailure::Stop, &mut sharing.as_a_child_has_it()).unwrap();
        child.police.failed().fetch_add(1, Relaxed);
        let mut stops = PolicedExecutor { inner: Unreliable(0), police: parent.police };
        assert_eq!(execute(&mut stops, 0), Err(Failure::NotTried));
    }

    #[test]
    fn policies_are_read_as_they_are_written() {
        for text in ["continue", "stop", "retry:3"] {
            assert_eq!(text.parse::<OnFailure>().unwrap().to_string(), text);
        }
        for text in ["retry", "retry:", "retry:0", "retry:-1", "halt", ""] {
            assert!(text.parse::<OnFailure>().unwrap_err().contains("expected continue"), "{text}");
        }
    }
}
