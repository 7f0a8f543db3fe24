//! Many short times, kept as how often each was seen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often which times were seen: what percentiles are of. The percentile q is the first of `up_to_seconds` by which a part of at
/// least q of all times was counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TimesSeen")]
pub struct Histogram {
    /// The upper end of each range in which there are any, ascending; the last one is the longest time exactly.
    pub up_to_seconds: Vec<f64>,
    /// How many times lie in each of these ranges.
    pub count: Vec<u64>,
}

impl Histogram {
    /// Of `recorded` nanoseconds, of which the largest is exactly `longest`.
    pub fn of(recorded: &hdrhistogram::Histogram<u64>, longest: u64) -> Self {
        let ranges = recorded.iter_recorded();
        let (up_to_seconds, count) = ranges
            .map(|range| {
                (in_seconds(range.value_iterated_to().min(longest)), range.count_since_last_iteration())
            })
            .unzip();
        Self { up_to_seconds, count }
    }
}

/// `nanoseconds` in seconds.
pub fn in_seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
