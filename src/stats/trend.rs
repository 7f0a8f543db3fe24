//! Whether the rounds get slower or faster while the benchmark runs: the Mann–Kendall trend test (Mann,
//! Econometrica 1945; Kendall, "Rank Correlation Methods", 1975) and the Theil–Sen slope (Sen, JASA
//! 1968).

use serde::{Deserialize, Serialize};

use super::bootstrap::MIN_ROUNDS;
use super::summary::{median_of, sorted};

/// The level at which one series is said to drift, unless many are tested at once: without any drift,
/// that is said of at most this share of series.
pub const DRIFT_LEVEL: f64 = 0.05;

/// A drift over the whole run that is smaller than this, relative to the median, does not matter.
pub const DRIFT_LIMIT: f64 = 0.02;

/// Up to here, and without ties, the null distribution is computed exactly.
const EXACT_UP_TO: usize = 30;

/// How a series moves from its first round to its last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// The probability that rounds in random order show as strong a trend, up or down.
    pub p_value: f64,
    /// The change from the first round to the last along the Theil–Sen line, relative to the median:
    /// 0.1 means that the last rounds are 10 % slower.
    pub change: f64,
}

impl Trend {
    /// Whether the series drifts by [`DRIFT_LIMIT`] or more, at `level`: [`DRIFT_LEVEL`], divided by the
    /// number of series that are tested together (Bonferroni).
    pub fn drifts(&self, level: f64) -> bool {
        self.p_value <= level && self.change.abs() >= DRIFT_LIMIT
    }
}

/// The trend of `rounds`, which must be in the order in which they ran.
///
/// `None` for fewer than [`MIN_ROUNDS`] (four rounds cannot show a trend at the 5 % level: even if they
/// rise from each to the next, p is 1/12), if a value is not finite, or if the median is not positive.
pub fn trend(rounds: &[f64]) -> Option<Trend> {
    let ascending = sorted(rounds)?;
    let median = median_of(&ascending);
    if rounds.len() < MIN_ROUNDS || median <= 0.0 {
        return None;
    }
    let change = theil_sen_slope(rounds) * (rounds.len() - 1) as f64 / median;
    Some(Trend { p_value: mann_kendall(rounds, &ascending), change })
}

/// Whether a run drifts, and which of its rows: each is tested alone, and all of them together, since a machine that changes does so for
/// all. Without any drift, one is told of at most [`DRIFT_LEVEL`] of runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Drifts {
    /// Of what those rounds took that all rows have had, where there are several rows with enough rounds, and they drift.
    pub together: Option<Trend>,
    /// Of each row, where it drifts.
    pub each: Vec<Option<Trend>>,
}

/// The drifts of `rows`: each the times of its rounds, with their numbers.
///
/// Together, a round counts with the mean of the logarithms of its times, each relative to its row's median (their geometric mean):
/// five rounds of four rows, of which each alone could not show a trend at the level that four tests leave to each, can so.
pub fn drifts(rows: &[Vec<(u64, f64)>]) -> Drifts {
    // Five rounds that rise from each to the next have p = 1/60: just what a third of the level is, but for rounding.
    const ROUNDING: f64 = 1e-12;
    // A third of what may go wrong is left to all together, the rest to each.
    let (level_together, level_each) = match rows.iter().filter(|row| row.len() >= MIN_ROUNDS).count() {
        0 | 1 => (0.0, DRIFT_LEVEL),
        several => (DRIFT_LEVEL / 3.0 + ROUNDING, DRIFT_LEVEL * 2.0 / 3.0 / several as f64 + ROUNDING),
    };
    let times = |row: &[(u64, f64)]| row.iter().map(|(_, seconds)| *seconds).collect::<Vec<f64>>();
    let each = rows.iter().map(|row| trend(&times(row)).filter(|trend| trend.drifts(level_each))).collect();
    let together = trend(&together(rows)).filter(|trend| trend.drifts(level_together));
    Drifts { together, each }
}

/// How long the rounds that all of `rows` have took, in the order of their numbers, where 1 is as long as the median.
fn together(rows: &[Vec<(u64, f64)>]) -> Vec<f64> {
    // Who had few, because each takes long, takes the others none.
    let rows: Vec<&Vec<(u64, f64)>> = rows.iter().filter(|row| row.len() >= MIN_ROUNDS).collect();
    let Some((first, others)) = rows.split_first() else { return Vec::new() };
    let in_all = |number: u64| others.iter().all(|row| row.iter().any(|(other, _)| *other == number));
    let mut sums: Vec<(u64, f64)> =
        first.iter().filter(|(number, _)| in_all(*number)).map(|(number, _)| (*number, 0.0)).collect();
    for row in &rows {
        let Some(ascending) = sorted(&row.iter().map(|(_, seconds)| *seconds).collect::<Vec<f64>>()) else {
            return Vec::new();
        };
        let median = median_of(&ascending);
        for (number, sum) in &mut sums {
            let seconds =
                row.iter().find(|(other, _)| other == number).map_or(f64::NAN, |(_, seconds)| *seconds);
            *sum += (seconds / median).ln();
        }
    }
    sums.sort_unstable_by_key(|(number, _)| *number);
    sums.iter().map(|(_, sum)| (sum / rows.len() as f64).exp()).collect()
}

fn theil_sen_slope(rounds: &[f64]) -> f64 {
    let mut slopes = Vec::with_capacity(rounds.len() * (rounds.len() - 1) / 2);
    for (i, &earlier) in rounds.iter().enumerate() {
        for (apart, &later) in rounds[i..].iter().enumerate().skip(1) {
            slopes.push((later - earlier) / apart as f64);
        }
    }
    // Selected, not sorted: there are as many slopes as pairs of rounds.
    let count = slopes.len();
    let (lower, &mut upper, _) = slopes.select_nth_unstable_by(count / 2, f64::total_cmp);
    if count % 2 == 1 {
        return upper;
    }
    let below = lower.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    below + (upper - below) / 2.0
}

/// The two-sided p-value.
fn mann_kendall(rounds: &[f64], ascending: &[f64]) -> f64 {
    let (mut rises, mut falls) = (0usize, 0usize);
    for (i, earlier) in rounds.iter().enumerate() {
        for later in &rounds[i + 1..] {
            rises += usize::from(later > earlier);
            falls += usize::from(later < earlier);
        }
    }
    let pairs = rounds.len() * (rounds.len() - 1) / 2;
    if rises + falls == pairs && rounds.len() <= EXACT_UP_TO {
        return (2.0 * probability_of_inversions(rounds.len(), rises.min(falls))).min(1.0);
    }
    let n = rounds.len() as f64;
    let ties: f64 = ascending
        .chunk_by(|a, b| a == b)
        .map(|group| group.len() as f64)
        .map(|t| t * (t - 1.0) * (2.0 * t + 5.0))
        .sum();
    let variance = (n * (n - 1.0) * (2.0 * n + 5.0) - ties) / 18.0;
    if variance <= 0.0 {
        return 1.0;
    }
    // S moves in steps of 2 without ties and of 1 with them; the usual continuity correction is 1.
    let score = (rises.abs_diff(falls) as f64 - 1.0).max(0.0);
    complementary_error(score / (2.0 * variance).sqrt())
}

/// The share of the permutations of `count` items with at most `most` inversions: the number of
/// inversions is a sum of independent uniform draws from `0..1`, `0..2`, …, `0..count`.
fn probability_of_inversions(count: usize, most: usize) -> f64 {
    let mut share = vec![0.0; most + 1];
    share[0] = 1.0;
    let mut before = share.clone();
    for choices in 2..=count {
        before.copy_from_slice(&share);
        let mut window = 0.0;
        for (inversions, now) in share.iter_mut().enumerate() {
            window += before[inversions];
            if inversions >= choices {
                window -= before[inversions - choices];
            }
            *now = window / choices as f64;
        }
    }
    share.iter().sum()
}

/// `erfc(x)` for `x >= 0`, to 1.5e-7 (Abramowitz & Stegun, 7.1.26).
fn complementary_error(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    polynomial.iter().rev().fold(0.0, |sum, coefficient| (sum + coefficient) * t) * (-x * x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() < tolerance, "{a} is not {b}");
    }

    #[test]
    fn five_rising_rounds_have_two_chances_in_120() {
        let trend = trend(&[1.0, 1.1, 1.2, 1.3, 1.4]).unwrap();
        assert_close(trend.p_value, 2.0 / 120.0, 1e-15);
        assert_close(trend.change, 0.4 / 1.2, 1e-12);
        assert!(trend.drifts(DRIFT_LEVEL));
    }

    #[test]
    fn p_values_equal_scipy_and_pymannkendall() {
        // Exact: scipy.stats.kendalltau(method="exact").
        let eight = [3.1, 2.7, 3.3, 3.0, 3.6, 3.4, 3.9, 3.2];
        assert_close(trend(&eight).unwrap().p_value, 0.178_869_047_619_047_62, 1e-14);
        let twelve = [0.92, 0.878, 0.995, 1.072, 1.154, 1.061, 1.005, 0.992, 1.155, 1.253, 1.127, 0.987];
        assert_close(trend(&twelve).unwrap().p_value, 0.196_949_943_405_122_35, 1e-9);
        // Normal, with ties and with many rounds: pymannkendall.original_test.
        let tied = [1.0, 1.1, 1.1, 1.2, 1.0, 1.3, 1.2, 1.4, 1.3, 1.3];
        assert_close(trend(&tied).unwrap().p_value, 0.016_842_845, 1e-6);
        assert_close(trend(&tied).unwrap().change, 0.033_333_333 * 9.0 / 1.2, 1e-6);
        let seventy: Vec<f64> =
            (0..70).map(|i| f64::from(i * 37 % 71) / 71.0 * 0.5 + f64::from(i) * 0.004 + 1.0).collect();
        assert_close(trend(&seventy).unwrap().p_value, 6.755e-7, 2e-7);
    }

    #[test]
    fn equal_rounds_do_not_drift() {
        let trend = trend(&[1.0; 10]).unwrap();
        assert_eq!((trend.p_value, trend.change), (1.0, 0.0));
        assert!(!trend.drifts(DRIFT_LEVEL));
    }

    #[test]
    fn a_certain_but_tiny_drift_does_not_matter() {
        let rounds: Vec<f64> = (0..20).map(|i| 1.0 + f64::from(i) * 1e-4).collect();
        let trend = trend(&rounds).unwrap();
        assert!(trend.p_value < 1e-10 && !trend.drifts(DRIFT_LEVEL));
    }

    #[test]
    fn four_rounds_have_no_trend() {
        assert_eq!(trend(&[1.0, 2.0, 3.0, 4.0]), None);
    }
}
