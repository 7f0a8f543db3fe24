//! Whether one strategy is faster than another: the ratio of their times within each round.
//!
//! Both times of a pair come from the same round, with the same tasks, so that whatever made the machine
//! slower in that round, or over the whole run, is in both and cancels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bootstrap::{Interval, MedianRanks};
use super::interval_fields;
use super::summary::{median_of, sorted};

/// The margin unless the user sets another: differences of up to 1 % are not worth a verdict.
pub const DEFAULT_MARGIN: f64 = 0.01;

/// What may be said of a strategy against the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval says: faster, by more than the margin.
    Faster,
    /// The whole interval says: slower, by more than the margin.
    Slower,
    /// The rounds do not tell. That is not to say that the two are equal.
    NotDistinguished,
    /// Fewer than [`MIN_ROUNDS`](super::MIN_ROUNDS) rounds have no interval to judge by.
    TooFewRounds,
}

/// A strategy against the baseline, in pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The median of (our time / the baseline's time): 0.5 takes half of the baseline's time.
    pub ratio: f64,
    /// The ratio's 95 % bootstrap interval: `ci_low` and `ci_high` when serialised.
    #[serde(flatten, with = "interval_fields")]
    pub interval: Option<Interval>,
    /// How many rounds were compared.
    pub rounds: usize,
    /// The margin that the verdict was made with: 0.01 is 1 %.
    pub margin: f64,
    /// What may be said.
    pub verdict: Verdict,
}

impl Comparison {
    /// How many times as fast as the baseline: `1 / ratio`.
    pub fn speed_up(&self) -> f64 {
        self.ratio.recip()
    }

    /// The 95 % bootstrap interval of the speed-up.
    pub fn speed_up_interval(&self) -> Option<Interval> {
        self.interval.map(|ci| Interval { low: ci.high.recip(), high: ci.low.recip() })
    }
}

/// Compares the pairs (our time, the baseline's time), one of each round.
///
/// `None` if there are no pairs, a time is not positive and finite, or `margin` is not at least 0.
pub fn compare(pairs: &[(f64, f64)], margin: f64, seed: u64) -> Option<Comparison> {
    compare_with(pairs, margin, MedianRanks::resample(pairs.len(), seed))
}

/// [`compare`] with ranks that were drawn before.
///
/// # Panics
///
/// If `ranks` were drawn for another number of rounds.
pub fn compare_with(pairs: &[(f64, f64)], margin: f64, ranks: Option<MedianRanks>) -> Option<Comparison> {
    let positive = |time: f64| time > 0.0 && time.is_finite();
    let comparable = pairs.iter().all(|&(ours, baseline)| positive(ours) && positive(baseline));
    if !comparable || margin.is_nan() || margin < 0.0 {
        return None;
    }
    let ratios: Vec<f64> = pairs.iter().map(|(ours, baseline)| ours / baseline).collect();
    let sorted = sorted(&ratios)?;
    let ratio = median_of(&sorted);
    let interval = ranks.map(|ranks| {
        // Halfway from 1/2 to 2 is 1: on the scale of logarithms, so that the interval of "they against
        // us" is the reciprocal of that of "we against them".
        let Interval { low, high } = ranks.read(&sorted, |a, b, t| a * (b / a).powf(t));
        Interval { low: low.min(ratio), high: high.max(ratio) }
    });
    let verdict = interval.map_or(Verdict::TooFewRounds, |interval| judge(interval, margin));
    Some(Comparison { ratio, interval, rounds: pairs.len(), margin, verdict })
}

/// Faster by more than the margin means a speed-up above `1 + margin`: as far on the scale of logarithms
/// as slower by more than the margin.
pub fn judge(ratio: Interval, margin: f64) -> Verdict {
    if ratio.high < (1.0 + margin).recip() {
        Verdict::Faster
    } else if ratio.low > 1.0 + margin {
        Verdict::Slower
    } else {
        Verdict::NotDistinguished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(ratios: &[f64]) -> Vec<(f64, f64)> {
        ratios.iter().map(|ratio| (2.0 * ratio, 2.0)).collect()
    }

    fn verdict(ratios: &[f64], margin: f64) -> Verdict {
        compare(&pairs(ratios), margin, 1).unwrap().verdict
    }

    #[test]
    fn verdict_needs_the_whole_interval_beyond_the_margin() {
        assert_eq!(verdict(&[0.90, 0.91, 0.92, 0.93, 0.94, 0.95], 0.01), Verdict::Faster);
        assert_eq!(verdict(&[1.05, 1.06, 1.07, 1.08, 1.09, 1.10], 0.01), Verdict::Slower);
        assert_eq!(verdict(&[0.97, 0.98, 0.99, 1.01, 1.02, 1.03], 0.01), Verdict::NotDistinguished);
        assert_eq!(verdict(&[1.005; 6], 0.01), Verdict::NotDistinguished);
        assert_eq!(verdict(&[1.005; 6], 0.0), Verdict::Slower);
        assert_eq!(verdict(&[1.0; 6], 0.0), Verdict::NotDistinguished);
        assert_eq!(verdict(&[0.90, 0.91, 0.92, 0.93, 0.94, 0.95], 0.10), Verdict::NotDistinguished);
    }

    #[test]
    fn four_rounds_get_a_ratio_but_no_verdict() {
        let comparison = compare(&pairs(&[0.5, 0.5, 0.5, 0.5]), DEFAULT_MARGIN, 1).unwrap();
        assert_eq!((comparison.ratio, comparison.interval), (0.5, None));
        assert_eq!(comparison.verdict, Verdict::TooFewRounds);
        assert_eq!(comparison.speed_up(), 2.0);
    }

    #[test]
    fn ratio_is_taken_within_rounds() {
        // Each side's times are all over the place; the ratio is not.
        let pairs = [(1.0, 2.0), (10.0, 20.0), (3.0, 6.0), (0.5, 1.0), (7.0, 14.0)];
        let comparison = compare(&pairs, DEFAULT_MARGIN, 1).unwrap();
        assert_eq!(comparison.interval, Some(Interval { low: 0.5, high: 0.5 }));
        assert_eq!(comparison.verdict, Verdict::Faster);
    }

    #[test]
    fn impossible_times_and_margins_are_not_compared() {
        for pairs in [&[][..], &[(0.0, 1.0)], &[(1.0, 0.0)], &[(1.0, f64::NAN)], &[(-1.0, -1.0)]] {
            assert_eq!(compare(pairs, DEFAULT_MARGIN, 1), None);
        }
        assert_eq!(compare(&pairs(&[1.0; 6]), -0.1, 1), None);
        assert_eq!(compare(&pairs(&[1.0; 6]), f64::NAN, 1), None);
    }

    #[test]
    fn json_has_flat_fields_and_snake_case_verdicts() {
        let value = serde_json::to_value(compare(&pairs(&[1.0; 4]), 0.01, 1).unwrap()).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "ratio": 1.0, "ci_low": null, "ci_high": null, "rounds": 4, "margin": 0.01,
                "verdict": "too_few_rounds"
            })
        );
        assert_eq!(serde_json::to_value(Verdict::NotDistinguished).unwrap(), "not_distinguished");
    }
}
