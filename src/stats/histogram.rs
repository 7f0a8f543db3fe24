//! Many short times, kept as how often each was seen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bootstrap::{CONFIDENCE, Interval};

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

    /// The 95 % interval of the quantile `q`, in seconds: between the two times of such ranks that the quantile lies outside them with a
    /// probability of 2.5 % at most on either side, whatever the times are distributed like (the number of times below a quantile is
    /// binomial; Conover, "Practical Nonparametric Statistics", 1999, section 3.2). It takes times to be independent. `None` if there are too
    /// few: a p99 takes 367.
    pub fn interval_of(&self, q: f64) -> Option<Interval> {
        let (low, high) = ranks_about(self.count.iter().sum(), q)?;
        Some(Interval { low: self.at_rank(low)?, high: self.at_rank(high)? })
    }

    /// The `rank`-th time in ascending order, from 1.
    fn at_rank(&self, rank: u64) -> Option<f64> {
        let mut below = 0;
        let mut ranges = self.up_to_seconds.iter().zip(&self.count);
        ranges.find_map(|(up_to, count)| {
            below += count;
            (below >= rank).then_some(*up_to)
        })
    }
}

/// The ranks, from 1, between which the quantile `q` of so many times lies with [`CONFIDENCE`]; nothing if that takes more times.
fn ranks_about(times: u64, q: f64) -> Option<(u64, u64)> {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    // As logarithms: the first of them may be smaller than any number there is.
    let mut ln_probability = times as f64 * (1.0 - q).ln();
    let (mut at_most, mut low) = (0.0, None);
    for below in 0..times {
        at_most += ln_probability.exp();
        if at_most <= tail {
            low = Some(below + 1);
        }
        if 1.0 - at_most <= tail {
            return Some((low?, below + 1));
        }
        ln_probability += ((times - below) as f64 / (below + 1) as f64).ln() + (q / (1.0 - q)).ln();
    }
    None
}

/// `nanoseconds` in seconds.
pub fn in_seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By their definition, with exact sums of binomial coefficients.
    #[test]
    fn ranks_are_those_of_the_tables() {
        // Conover's table of the binomial distribution: P(B <= 1) = 0.0107 and P(B >= 9) = 0.0107 of ten at one half; of nine P(B <= 1) = 0.0195.
        assert_eq!(ranks_about(10, 0.5), Some((2, 9)));
        assert_eq!(ranks_about(9, 0.5), Some((2, 8)));
        assert_eq!(ranks_about(5, 0.5), None, "a thirty-second on either side");
        assert_eq!(ranks_about(6, 0.5), Some((1, 6)));
        assert_eq!((ranks_about(367, 0.99), ranks_about(368, 0.99).map(|ranks| ranks.1)), (None, Some(368)));
        assert_eq!(ranks_about(0, 0.5), None);
    }

    #[test]
    fn intervals_hold_a_quantile_as_often_as_they_say() {
        let mut rng = crate::seed::Rng::for_item(1, 2);
        for (times, q) in [(104, 0.5), (420, 0.99)] {
            let mut held = 0;
            for _ in 0..2_000 {
                let mut uniform: Vec<f64> = (0..times).map(|_| rng.next_f64()).collect();
                uniform.sort_by(f64::total_cmp);
                let seen = Histogram { count: vec![1; uniform.len()], up_to_seconds: uniform };
                let Interval { low, high } = seen.interval_of(q).unwrap();
                held += u32::from(low <= q && q <= high);
            }
            assert!(held >= 1_880, "{held} of 2,000: p{q} of {times}");
        }
    }
}
