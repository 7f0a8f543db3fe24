//! How many tasks a worker claims at a time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The policy by which a chunk size is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ChunkPolicy {
    /// As small as keeps claiming below 1 % of the work.
    #[default]
    Auto,
    /// What `multiprocessing.Pool.map` does: ⌈N / 4W⌉.
    Python,
    /// This many.
    Fixed(u64),
}

/// What a claim costs when several workers claim at once, in seconds: the counter's cache line goes from
/// core to core (20–50 ns measured), doubled.
const CLAIM_SECONDS: f64 = 100e-9;

/// Above this, a larger chunk does not make claiming measurably cheaper, and balances worse.
const LARGEST_AUTO: u64 = 1024;

/// Chunks of arguments that are made ahead for each worker, at most, so that workers and parent need not wait in step.
pub const CHUNKS_AHEAD: u64 = 4;

impl ChunkPolicy {
    /// The chunk size for `tasks` tasks of `task_seconds` each, on `workers` workers.
    ///
    /// `auto` makes a chunk last a hundred claims, so that claiming takes 1 % at most, but leaves at least eight
    /// chunks to each worker, so that the last ones to finish wait for little.
    pub fn resolve(self, tasks: u64, workers: u64, task_seconds: f64) -> u64 {
        let share = |parts: u64| tasks.div_ceil(parts.saturating_mul(workers).max(1)).max(1);
        match self {
            // A chunk larger than all tasks is all tasks; sums of it must not overflow.
            Self::Fixed(chunk) => chunk.min(tasks),
            Self::Python => share(4),
            Self::Auto => {
                let wanted = (100.0 * CLAIM_SECONDS / task_seconds).ceil().clamp(1.0, LARGEST_AUTO as f64);
                (wanted as u64).min(share(8))
            }
        }
    }
}

impl fmt::Display for ChunkPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Python => f.write_str("python"),
            Self::Fixed(chunk) => write!(f, "{chunk}"),
        }
    }
}

impl From<ChunkPolicy> for String {
    fn from(policy: ChunkPolicy) -> Self {
        policy.to_string()
    }
}

impl TryFrom<String> for ChunkPolicy {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for ChunkPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "python" => Ok(Self::Python),
            _ => match text.replace('_', "").parse::<u64>() {
                Ok(chunk) if chunk > 0 => Ok(Self::Fixed(chunk)),
                _ => Err(format!("'{text}' is not a chunk size: expected auto, python or a number from 1")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_tasks_are_claimed_one_at_a_time() {
        assert_eq!(ChunkPolicy::Auto.resolve(1_000_000, 2, 100e-6), 1);
    }

    #[test]
    fn tasks_of_nothing_are_claimed_by_the_thousand_but_shared_out() {
        assert_eq!(ChunkPolicy::Auto.resolve(10_000_000, 2, 5e-9), 1024);
        assert_eq!(ChunkPolicy::Auto.resolve(64, 2, 5e-9), 4);
        assert_eq!(ChunkPolicy::Auto.resolve(1, 64, 5e-9), 1);
    }

    #[test]
    fn no_chunk_is_larger_than_all_tasks() {
        assert_eq!(ChunkPolicy::Fixed(64).resolve(1000, 2, 1.0), 64);
        assert_eq!(ChunkPolicy::Fixed(u64::MAX).resolve(10, 2, 1.0), 10);
    }

    #[test]
    fn python_is_what_pool_map_does() {
        // multiprocessing.pool.Pool._map_async: divmod(len(iterable), len(pool) * 4), plus one if there is a rest.
        assert_eq!(ChunkPolicy::Python.resolve(1_000_000, 2, 1.0), 125_000);
        assert_eq!(ChunkPolicy::Python.resolve(9, 2, 1.0), 2);
    }
}
