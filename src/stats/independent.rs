//! Whether one run is faster than another: the ratio of their medians.
//!
//! The rounds of two runs have nothing to do with each other, so there are no pairs to take ratios within, and whatever
//! made the machine slower in one of them does not cancel. Each resample draws the rank of the median of either sample
//! by itself (see [`bootstrap`](super::MedianRanks)), reads both samples there, on the scale of logarithms, and takes the
//! difference: the logarithm of a ratio. The interval is from the 2.5th to the 97.5th percentile of those.

use super::bootstrap::{CONFIDENCE, Interval, RESAMPLES, least_rounds_at, resampled_rank};
use super::comparison::{Comparison, Verdict, judge};
use super::summary::{median_of, sorted};
use crate::seed::Rng;

/// The ranks at which two sorted samples are read, again and again, to get the interval of the ratio of their medians.
///
/// They need the numbers of rounds and a seed, no samples.
#[derive(Debug, Clone, PartialEq)]
pub struct RankPairs {
    rounds: (usize, usize),
    confidence: f64,
    /// One of each mirrored pair; the other is as far from the other end.
    ranks: Vec<(f64, f64)>,
}

impl RankPairs {
    /// Draws [`RESAMPLES`] resamples of two samples with so many rounds. `None` if either has fewer than
    /// [`MIN_ROUNDS`](super::MIN_ROUNDS).
    pub fn resample(ours: usize, theirs: usize, seed: u64) -> Option<Self> {
        Self::resample_at(CONFIDENCE, ours, theirs, seed)
    }

    /// As [`Self::resample`], for intervals that cover the ratio in another share of cases. `None` with too few rounds for
    /// that: see [`least_rounds_at`].
    pub fn resample_at(confidence: f64, ours: usize, theirs: usize, seed: u64) -> Option<Self> {
        if ours.min(theirs) < least_rounds_at(confidence) {
            return None;
        }
        // A stream each: with the same draws for both, one sample against itself would have an interval without width.
        let (mut own, mut other) = (Rng::for_item(seed, 0), Rng::for_item(seed, 1));
        let draw = |_| (resampled_rank(ours, &mut own), resampled_rank(theirs, &mut other));
        Some(Self { rounds: (ours, theirs), confidence, ranks: (0..RESAMPLES / 2).map(draw).collect() })
    }

    /// The interval of `median(ours) / median(theirs)`, of the logarithms of both in ascending order.
    fn read(&self, ours: &[f64], theirs: &[f64]) -> Interval {
        let rounds = (ours.len(), theirs.len());
        assert_eq!(rounds, self.rounds, "ranks were drawn for other numbers of rounds");
        let mirrored = |count: usize, rank: f64| (count + 1) as f64 - rank;
        let difference = |a: f64, b: f64| at(ours, a) - at(theirs, b);
        let mut logarithms = Vec::with_capacity(RESAMPLES);
        for &(a, b) in &self.ranks {
            logarithms.push(difference(a, b));
            logarithms.push(difference(mirrored(rounds.0, a), mirrored(rounds.1, b)));
        }
        let tail = ((1.0 - self.confidence) / 2.0 * RESAMPLES as f64).round() as usize;
        let (_, low, above) = logarithms.select_nth_unstable_by(tail, f64::total_cmp);
        let last = above.len() - 1 - tail;
        let (_, high, _) = above.select_nth_unstable_by(last, f64::total_cmp);
        Interval { low: low.exp(), high: high.exp() }
    }
}

/// The sample at `rank` (from 1), on the straight line between the two rounds around it, or through the outermost two.
fn at(sorted: &[f64], rank: f64) -> f64 {
    let below = (rank.floor().max(1.0) as usize).min(sorted.len() - 1);
    let (a, b) = (sorted[below - 1], sorted[below]);
    a + (rank - below as f64) * (b - a)
}

/// Compares the times of all rounds of one run with those of another: ratios below 1 mean that `ours` took less.
///
/// `None` if either has no rounds, a time is not positive and finite, or `margin` is not at least 0.
pub fn compare_independent(ours: &[f64], theirs: &[f64], margin: f64, seed: u64) -> Option<Comparison> {
    compare_independent_with(
        ours,
        theirs,
        margin,
        RankPairs::resample(ours.len(), theirs.len(), seed).as_ref(),
    )
}

/// [`compare_independent`] with ranks that were drawn before.
///
/// # Panics
///
/// If `ranks` were drawn for other numbers of rounds.
pub fn compare_independent_with(
    ours: &[f64],
    theirs: &[f64],
    margin: f64,
    ranks: Option<&RankPairs>,
) -> Option<Comparison> {
    let positive = |times: &[f64]| times.iter().all(|time| *time > 0.0 && time.is_finite());
    if !(positive(ours) && positive(theirs)) || margin.is_nan() || margin < 0.0 {
        return None;
    }
    let (ours, theirs) = (sorted(ours)?, sorted(theirs)?);
    let ratio = median_of(&ours) / median_of(&theirs);
    let logarithms = |times: &[f64]| times.iter().map(|time| time.ln()).collect::<Vec<_>>();
    let interval = ranks.map(|ranks| {
        let Interval { low, high } = ranks.read(&logarithms(&ours), &logarithms(&theirs));
        Interval { low: low.min(ratio), high: high.max(ratio) }
    });
    let verdict = interval.map_or(Verdict::TooFewRounds, |interval| judge(interval, margin));
    Some(Comparison { ratio, interval, rounds: ours.len().min(theirs.len()), margin, verdict })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: [f64; 6] = [1.00, 1.01, 1.02, 0.99, 0.98, 1.00];

    #[test]
    fn verdict_needs_the_whole_interval_beyond_the_margin() {
        let scaled = |factor: f64| OLD.map(|time| time * factor);
        let verdict = |factor: f64| compare_independent(&scaled(factor), &OLD, 0.01, 1).unwrap().verdict;
        assert_eq!(verdict(1.2), Verdict::Slower);
        assert_eq!(verdict(0.8), Verdict::Faster);
        assert_eq!(verdict(1.0), Verdict::NotDistinguished);
        assert_eq!(verdict(1.02), Verdict::NotDistinguished);
    }

    #[test]
    fn a_run_against_itself_has_an_interval_around_one() {
        let comparison = compare_independent(&OLD, &OLD, 0.0, 1).unwrap();
        let interval = comparison.interval.unwrap();
        assert_eq!(comparison.ratio, 1.0);
        assert!(interval.low < 0.99 && 1.01 < interval.high, "{interval:?}");
    }

    #[test]
    fn four_rounds_get_a_ratio_but_no_verdict() {
        let comparison = compare_independent(&[2.0; 4], &OLD, 0.01, 1).unwrap();
        assert_eq!((comparison.ratio, comparison.interval), (2.0, None));
        assert_eq!(comparison.verdict, Verdict::TooFewRounds);
    }

    #[test]
    fn impossible_times_and_margins_are_not_compared() {
        for (ours, theirs) in [(&[][..], &OLD[..]), (&OLD, &[]), (&[0.0], &OLD), (&OLD, &[f64::NAN])] {
            assert_eq!(compare_independent(ours, theirs, 0.01, 1), None);
        }
        assert_eq!(compare_independent(&OLD, &OLD, -0.01, 1), None);
    }

    #[test]
    fn percentiles_are_those_of_all_resamples() {
        let ranks = RankPairs::resample(6, 5, 3).unwrap();
        let ours: Vec<f64> = [0.1, 0.2, 0.4, 0.5, 0.7, 0.9].to_vec();
        let theirs: Vec<f64> = [0.0, 0.1, 0.15, 0.3, 0.6].to_vec();
        let mut all: Vec<f64> = ranks
            .ranks
            .iter()
            .flat_map(|(a, b)| [(*a, *b), (7.0 - a, 6.0 - b)])
            .map(|(a, b)| at(&ours, a) - at(&theirs, b))
            .collect();
        all.sort_unstable_by(f64::total_cmp);
        let interval = ranks.read(&ours, &theirs);
        assert_eq!(interval.low, all[RESAMPLES / 40].exp());
        assert_eq!(interval.high, all[RESAMPLES - 1 - RESAMPLES / 40].exp());
    }
}
