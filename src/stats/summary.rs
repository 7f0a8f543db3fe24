//! One strategy's rounds in a few numbers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bootstrap::{Interval, MedianRanks};
use super::interval_fields;

/// Where more than half of the rounds are equal, those whose modified z-score lies beyond this are counted as outliers (Iglewicz &
/// Hoaglin, "How to Detect and Handle Outliers", ASQC 1993).
const OUTLIER_Z: f64 = 3.5;

/// Of `rounds`, those whose modified z-score `0.6745 (x - median) / MAD` lies beyond this, on either side, are counted as outliers.
///
/// The usual 3.5 is for large samples: of ten normal rounds one in eight has such an "outlier" by chance, of five one in five. As
/// Davies & Gather propose ("The identification of multiple outliers", JASA 88, 1993), the limit depends on their number, so that
/// of normal samples at most one in a hundred has any. The numbers are fitted to simulated samples; that they hold is a test.
pub fn outlier_limit(rounds: usize) -> f64 {
    // The MAD of an odd number has one more of its deviations at exactly 0.
    let lost = if rounds.is_multiple_of(2) { 3.0 } else { 4.2 };
    let left = rounds as f64 - lost;
    if left > 0.0 { 4.1 + 19.0 / left } else { f64::INFINITY }
}

/// A [`spread`] above this deserves a warning.
pub const SPREAD_LIMIT: f64 = 0.10;

/// `1 / Φ⁻¹(3/4)`: the MAD of a normal distribution, times this, is its standard deviation.
const MAD_TO_SIGMA: f64 = 1.482_602_218_505_602;

/// `√(π/2)`: the same for the mean absolute deviation.
const MEAN_DEVIATION_TO_SIGMA: f64 = 1.253_314_137_315_5;

/// All rounds of a strategy in a few numbers, in the unit of the sample (seconds, for times). No round
/// is dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// The headline; the mean of the middle two when the number of rounds is even.
    pub median: f64,
    /// The median's 95 % bootstrap interval: `ci_low` and `ci_high` when serialised. `None` below
    /// [`MIN_ROUNDS`](super::MIN_ROUNDS).
    #[serde(flatten, with = "interval_fields")]
    #[schemars(with = "interval_fields::Fields")]
    pub interval: Option<Interval>,
    /// The arithmetic mean.
    pub mean: f64,
    /// The standard deviation, with `n - 1`. `None` for a single round.
    pub stddev: Option<f64>,
    /// The median absolute deviation from the median, as it is (not scaled to a standard deviation).
    pub mad: f64,
    /// The smallest round.
    pub min: f64,
    /// The largest round.
    pub max: f64,
    /// The number of rounds.
    pub rounds: usize,
    /// How many rounds have a modified z-score beyond [`outlier_limit()`]. They are part of all the rest.
    pub outliers: usize,
}

impl Summary {
    /// Half of the interval's width, relative to the median: "± 2 %". `None` without an interval and
    /// unless the median is positive.
    ///
    /// Whoever stops as soon as it is small enough stops a little more often when chance made it small:
    /// see [`stats`](super) for what that costs in coverage.
    pub fn relative_half_width(&self) -> Option<f64> {
        self.interval.filter(|_| self.median > 0.0).map(|ci| ci.half_width() / self.median)
    }
}

/// How far typical rounds lie apart, relative to the median: the larger one of `1.4826 MAD / median` and, for rounds of which up to
/// half are slow together, `IQR / 1.349 / median`. Each is the coefficient of variation if the rounds are normal. Of two to four rounds it is
/// the least that their range leaves likely (19 of 20 times).
///
/// A single strange round does not move it, and it does not grow with the number of rounds as the range does; strange rounds are
/// what [`Summary::outliers`] is for. Of two to four rounds it is by their range, and no more than they tell. `None` without rounds, and unless the median is positive.
pub fn spread(samples: &[f64]) -> Option<f64> {
    /// What the range of 2, 3 and 4 samples of a normal distribution exceeds in one of twenty cases, in standard deviations (the studentised
    /// range with infinitely many degrees of freedom): with so few, what can be told is by how much they differ at least.
    const RANGES: [f64; 3] = [2.772, 3.314, 3.633];
    /// Between the quartiles of a normal distribution lie so many standard deviations.
    const IQR_TO_SIGMA: f64 = 1.0 / 1.348_979_500_392_163;
    let sorted = sorted(samples)?;
    let median = median_of(&sorted);
    // Of so few, the two in the middle say little of the others.
    if let Some(range) = sorted.len().checked_sub(2).and_then(|place| RANGES.get(place)) {
        return (median > 0.0).then(|| (sorted[sorted.len() - 1] - sorted[0]) / range / median);
    }
    let mut deviations: Vec<f64> = sorted.iter().map(|x| (x - median).abs()).collect();
    deviations.sort_unstable_by(f64::total_cmp);
    let quartile = |part: f64| {
        let place = part * (sorted.len() - 1) as f64;
        let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        below + place.fract() * (above - below)
    };
    let by_quartiles = IQR_TO_SIGMA * (quartile(0.75) - quartile(0.25));
    (median > 0.0).then(|| (MAD_TO_SIGMA * median_of(&deviations)).max(by_quartiles) / median)
}

/// Summarises the rounds `samples`, in any order. `None` if there are none or one is not finite.
pub fn summarise(samples: &[f64], seed: u64) -> Option<Summary> {
    summarise_with(samples, MedianRanks::resample(samples.len(), seed))
}

/// [`summarise`] with ranks that were drawn before.
///
/// # Panics
///
/// If `ranks` were drawn for another number of rounds.
pub fn summarise_with(samples: &[f64], ranks: Option<MedianRanks>) -> Option<Summary> {
    let sorted = sorted(samples)?;
    let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
    let count = sorted.len() as f64;
    let median = median_of(&sorted);
    let mean = sorted.iter().sum::<f64>() / count;
    let stddev = (sorted.len() > 1)
        .then(|| (sorted.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt());
    let deviations: Vec<f64> = sorted.iter().map(|x| (x - median).abs()).collect();
    let (mad, outliers) = mad_and_outliers(deviations);
    let interval = ranks.map(|ranks| {
        let Interval { low, high } = ranks.read(&sorted, |a, b, t| a + t * (b - a));
        // With five rounds the lower end lies below the smallest, but no time is below 0.
        let floor = if min >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
        Interval { low: low.max(floor).min(median), high: high.max(median) }
    });
    Some(Summary { median, interval, mean, stddev, mad, min, max, rounds: sorted.len(), outliers })
}

fn mad_and_outliers(mut deviations: Vec<f64>) -> (f64, usize) {
    deviations.sort_unstable_by(f64::total_cmp);
    let mad = median_of(&deviations);
    // When more than half of the rounds are equal the MAD is 0 and every other round would be an
    // outlier; the mean absolute deviation then takes its place.
    let limit = if mad > 0.0 {
        outlier_limit(deviations.len()) * MAD_TO_SIGMA * mad
    } else {
        OUTLIER_Z * MEAN_DEVIATION_TO_SIGMA * deviations.iter().sum::<f64>() / deviations.len() as f64
    };
    (mad, deviations.iter().filter(|&&deviation| deviation > limit).count())
}

/// The sample in ascending order; `None` if it is empty or a value is not finite.
pub(super) fn sorted(samples: &[f64]) -> Option<Vec<f64>> {
    if samples.is_empty() || !samples.iter().all(|x| x.is_finite()) {
        return None;
    }
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Some(sorted)
}

/// The median of values in ascending order, of which there must be one or more.
pub(super) fn median_of(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        sorted[middle - 1] + (sorted[middle] - sorted[middle - 1]) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_few_rounds_the_spread_is_what_their_range_leaves_likely() {
        let of = |samples: &[f64]| spread(samples).unwrap();
        // A range of 27.72 % of the median is what 10 % make of two, in one of twenty cases.
        assert!((of(&[0.8614, 1.1386]) - 0.1).abs() < 1e-4);
        assert!(of(&[1.0, 1.3]) < 0.1 && of(&[1.0, 1.4]) > 0.1);
        assert!(of(&[1.0, 1.1, 1.3]) < 0.1 && of(&[1.0, 1.1, 1.4]) > 0.1);
        assert!(of(&[1.0, 1.1, 1.1, 1.35]) < 0.1 && of(&[1.0, 1.1, 1.1, 1.45]) > 0.1);
        assert_eq!(of(&[1.0]), 0.0);
    }

    #[test]
    fn numbers_equal_numpy() {
        let rounds = [1.02, 0.99, 1.00, 1.05, 0.98, 1.01, 1.97, 1.03];
        let summary = summarise(&rounds, 1).unwrap();
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        close(summary.median, 1.015);
        close(summary.mean, 1.131_25);
        close(summary.stddev.unwrap(), 0.339_640_040_547_113_1);
        close(summary.mad, 0.02);
        assert_eq!((summary.min, summary.max, summary.rounds, summary.outliers), (0.98, 1.97, 8, 1));
    }

    #[test]
    fn one_round_has_neither_interval_nor_deviation() {
        let summary = summarise(&[2.5], 1).unwrap();
        assert_eq!((summary.median, summary.interval, summary.stddev, summary.mad), (2.5, None, None, 0.0));
        assert_eq!(summary.relative_half_width(), None);
    }

    #[test]
    fn nothing_and_not_a_number_have_no_summary() {
        assert_eq!(summarise(&[], 1), None);
        assert_eq!(summarise(&[1.0, f64::NAN], 1), None);
        assert_eq!(summarise(&[1.0, f64::INFINITY], 1), None);
    }

    #[test]
    fn equal_rounds_have_no_outliers_and_no_width() {
        let summary = summarise(&[1.1; 7], 1).unwrap();
        assert_eq!(summary.interval, Some(Interval { low: 1.1, high: 1.1 }));
        assert_eq!((summary.mad, summary.outliers, spread(&[1.1; 7])), (0.0, 0, Some(0.0)));
    }

    #[test]
    fn rounds_of_which_three_in_ten_are_slow_lie_apart() {
        let slow = |count: usize| -> Vec<f64> {
            let times = (0..10).map(|round| if round < count { 1.33 } else { 1.0 + 0.002 * round as f64 });
            times.collect()
        };
        assert!(spread(&slow(3)).unwrap() > SPREAD_LIMIT, "{:?}", spread(&slow(3)));
        assert!(spread(&slow(1)).unwrap() < SPREAD_LIMIT, "one strange round is an outlier");
    }

    #[test]
    fn a_strange_round_among_equal_ones_is_counted() {
        // MAD 0, mean absolute deviation 0.1 / 7: the strange round is 5.6 sigma away.
        let summary = summarise(&[1.0, 1.0, 1.0, 1.1, 1.0, 1.0, 1.0], 1).unwrap();
        assert_eq!((summary.mad, summary.outliers), (0.0, 1));
        // Two of five that differ are no outliers, although the MAD is 0.
        assert_eq!(summarise(&[1.0, 1.0, 1.0, 1.1, 1.2], 1).unwrap().outliers, 0);
    }

    #[test]
    fn an_interval_of_times_never_starts_below_zero() {
        let summary = summarise(&[0.001, 1.0, 1.0, 1.0, 1.0], 1).unwrap();
        assert_eq!(summary.interval.unwrap().low, 0.0);
    }

    #[test]
    fn json_has_flat_fields_and_nulls() {
        let one = serde_json::to_value(summarise(&[2.5], 1).unwrap()).unwrap();
        assert_eq!(
            one,
            serde_json::json!({
                "median": 2.5, "ci_low": null, "ci_high": null, "mean": 2.5, "stddev": null, "mad": 0.0,
                "min": 2.5, "max": 2.5, "rounds": 1, "outliers": 0
            })
        );
        for rounds in [&[2.5][..], &[1.0, 2.0, 3.0, 4.0, 5.0]] {
            let summary = summarise(rounds, 1).unwrap();
            let text = serde_json::to_string(&summary).unwrap();
            let back: Summary = serde_json::from_str(&text).unwrap();
            assert_eq!(back.interval.is_some(), summary.interval.is_some());
            assert_eq!((back.median, back.rounds), (summary.median, summary.rounds));
        }
    }
}
