//! The 95 % interval of a median: a smoothed Bayesian bootstrap (Rubin, Ann. Stat. 1981; Banks,
//! Biometrika 1988).
//!
//! The classic bootstrap draws the `n` rounds again with replacement. Its median is always one of the
//! rounds (or the mean of two), so that with few rounds the interval jumps from one to the next, and it
//! is too narrow (see the table in [`stats`](super)). Here a resample draws instead how much of the
//! *population* lies between neighbouring rounds: the `n` sorted rounds cut it into `n + 1` parts, and
//! the parts' sizes are distributed like the gaps between `n` sorted uniform numbers, whatever the
//! population (as long as it is continuous). The median of the resample is where half of the population
//! is reached, on the straight line between the two rounds around it.
//!
//! The median of a resample is thus the sample read at a *rank* such as 3.4: "the third smallest round,
//! and 0.4 of the way to the fourth". That rank depends on the number of rounds alone, and reading is
//! monotonic, so the percentiles of the resampled medians are the sample read at the percentiles of the
//! ranks. At whole ranks this is the sign test's interval and exact for every continuous population;
//! between them it agrees to a few hundredths of a rank with Hettmansperger & Sheather (Stat. Prob.
//! Letters 1986), whose interpolation is known to depend on the population very little.

use serde::{Deserialize, Serialize};

use crate::seed::Rng;

/// Resamples behind each interval: half of them are drawn, the other half are their mirror images
/// (antithetic resampling), which makes the ranks of the two ends exactly symmetric.
pub const RESAMPLES: usize = 20_000;

/// The share of medians that an interval is meant to cover.
pub const CONFIDENCE: f64 = 0.95;

/// With fewer rounds there is no 95 % interval: of four, even smallest to largest covers only 87.5 %.
pub const MIN_ROUNDS: usize = 5;

/// The fewest rounds that have an interval which covers the median in a share of `confidence`: as far beyond the outermost
/// rounds as with five at 95 % an interval may reach, and no farther.
pub fn least_rounds_at(confidence: f64) -> usize {
    const BEYOND: f64 = (1.0 - CONFIDENCE) * (1 << (MIN_ROUNDS - 1)) as f64;
    let needed = (BEYOND / (1.0 - confidence)).log2() + 1.0;
    (needed - 1e-9).ceil().max(MIN_ROUNDS as f64) as usize
}

/// A 95 % confidence interval, in the unit of what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies inside, ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Half of the distance between the ends.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// The ranks at which a sorted sample is read to get the interval of its median.
///
/// It needs the number of rounds and a seed, no sample: drawn once, it serves every sample of as many
/// rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MedianRanks {
    rounds: usize,
    low: f64,
}

impl MedianRanks {
    /// Draws [`RESAMPLES`] resamples of `rounds` rounds. `None` below [`MIN_ROUNDS`].
    pub fn resample(rounds: usize, seed: u64) -> Option<Self> {
        Self::resample_at(CONFIDENCE, rounds, seed)
    }

    /// As [`Self::resample`], for intervals that cover the median in another share of cases. `None` with too few rounds for
    /// that: see [`least_rounds_at`].
    pub fn resample_at(confidence: f64, rounds: usize, seed: u64) -> Option<Self> {
        if rounds < least_rounds_at(confidence) {
            return None;
        }
        let mut rng = Rng::new(seed);
        let mut ranks = Vec::with_capacity(RESAMPLES);
        while ranks.len() < RESAMPLES {
            let rank = resampled_rank(rounds, &mut rng);
            ranks.push(rank);
            ranks.push((rounds + 1) as f64 - rank);
        }
        let tail = ((1.0 - confidence) / 2.0 * RESAMPLES as f64).round() as usize;
        let (_, low, _) = ranks.select_nth_unstable_by(tail, f64::total_cmp);
        Some(Self { rounds, low: *low })
    }

    /// The number of rounds that a sample must have to be read.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// The rank (from 1; 0.75 is a little below the smallest round) of the lower end.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// The rank of the upper end, as far from the largest round as the lower end from the smallest.
    pub fn high(&self) -> f64 {
        (self.rounds + 1) as f64 - self.low
    }

    /// The interval of the median of `sorted`; `between(a, b, t)` is the value `t` of the way from `a`
    /// to `b` (with five rounds, `t` is a little below 0 or above 1: see [`stats`](super)).
    pub(super) fn read(&self, sorted: &[f64], between: fn(f64, f64, f64) -> f64) -> Interval {
        assert_eq!(sorted.len(), self.rounds, "ranks were drawn for another number of rounds");
        let at = |rank: f64| {
            let below = (rank.floor() as usize).clamp(1, self.rounds - 1);
            between(sorted[below - 1], sorted[below], rank - below as f64)
        };
        Interval { low: at(self.low()), high: at(self.high()) }
    }
}

/// The rank of the median of one resample: where 1/2 falls among `rounds` uniform numbers.
///
/// They are not drawn one by one: how many of them are below 1/2 is as many heads as a coin shows, and of those only the
/// nearest to 1/2 matter. So a resample of a thousand rounds costs hardly more than one of ten.
pub(super) fn resampled_rank(rounds: usize, rng: &mut Rng) -> f64 {
    let below = heads(rounds, rng);
    let above = rounds - below;
    // Beyond the smallest or largest round there is no other side to draw the line to, so the line
    // through the outermost two is extended. Only with five rounds does this happen more often
    // (2 × 2⁻⁵) than the interval may miss.
    let nearest_two = |rng: &mut Rng| {
        let first = nearest(rounds, 0.5, rng);
        (first, first + nearest(rounds - 1, 0.5 - first, rng))
    };
    if below == 0 {
        let (first, second) = nearest_two(rng);
        1.0 - first / (second - first)
    } else if above == 0 {
        let (first, second) = nearest_two(rng);
        rounds as f64 + first / (second - first)
    } else {
        let (last_below, first_above) = (nearest(below, 0.5, rng), nearest(above, 0.5, rng));
        below as f64 + last_below / (last_below + first_above)
    }
}

/// How many of `coins` fair coins show heads.
fn heads(coins: usize, rng: &mut Rng) -> usize {
    let mut heads = 0;
    let mut left = coins;
    while left > 0 {
        let thrown = left.min(u64::BITS as usize);
        heads += (rng.next_u64() >> (u64::BITS as usize - thrown)).count_ones() as usize;
        left -= thrown;
    }
    heads
}

/// The smallest of `count` uniform numbers between 0 and `end`, by inversion: all of them are larger than `x` with probability
/// (1 - x / end)^count.
fn nearest(count: usize, end: f64, rng: &mut Rng) -> f64 {
    // Never 0, of which there is no logarithm.
    let all_larger = 1.0 - rng.next_f64();
    -end * (all_larger.ln() / count as f64).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_agree_with_numerical_integration() {
        // The exact 2.5 % point of the resampled rank, by integrating the joint density of the two order
        // statistics around 1/2 (scipy 1.17 `quad`, `brentq`).
        let exact = [
            (5, 0.7500),
            (6, 1.3750),
            (7, 1.6909),
            (8, 1.8958),
            (9, 2.2440),
            (10, 2.6396),
            (12, 3.2753),
            (15, 4.3805),
            (20, 6.2430),
            (30, 10.2341),
            (50, 18.6684),
            (100, 40.7611),
        ];
        for (rounds, low) in exact {
            for seed in 0..4 {
                let ranks = MedianRanks::resample(rounds, seed).unwrap();
                // Of 20,000 resamples, a 2.5 % point is known to about 1 % of a rank's spread (√n / 2).
                let tolerance = 0.08 + 0.01 * (rounds as f64).sqrt();
                assert!((ranks.low() - low).abs() < tolerance, "{rounds} rounds: {ranks:?}, exact {low}");
                assert_eq!(ranks.low() + ranks.high(), (rounds + 1) as f64);
            }
        }
    }

    #[test]
    fn whole_ranks_have_the_probability_of_the_sign_test() {
        // P(rank <= 2) with ten rounds is P(at most one of ten is below the median) = 11 / 1024.
        let mut rng = Rng::new(3);
        let drawn = 200_000;
        let beyond = (0..drawn).filter(|_| resampled_rank(10, &mut rng) <= 2.0).count();
        let share = beyond as f64 / f64::from(drawn);
        assert!((share - 11.0 / 1024.0).abs() < 0.001, "{share}");
    }

    #[test]
    fn reading_at_the_percentiles_of_ranks_gives_the_percentiles_of_resampled_medians() {
        let line = |a: f64, b: f64, t: f64| a + t * (b - a);
        for sorted in [&[1.0, 1.1, 1.3, 2.0, 9.0][..], &[0.2, 0.3, 0.3, 0.4, 0.9, 1.0, 7.0, 7.5]] {
            let rounds = sorted.len();
            let mut rng = Rng::new(11);
            let mut medians: Vec<f64> = (0..RESAMPLES / 2)
                .map(|_| resampled_rank(rounds, &mut rng))
                .flat_map(|rank| [rank, (rounds + 1) as f64 - rank])
                .map(|rank| MedianRanks { rounds, low: rank }.read(sorted, line).low)
                .collect();
            medians.sort_unstable_by(f64::total_cmp);
            let interval = MedianRanks::resample(rounds, 11).unwrap().read(sorted, line);
            assert_eq!(interval.low, medians[RESAMPLES / 40]);
            assert!((interval.high - medians[RESAMPLES - 1 - RESAMPLES / 40]).abs() < 1e-9);
        }
    }

    #[test]
    fn four_rounds_have_no_interval() {
        assert_eq!(MedianRanks::resample(4, 1), None);
        assert!(MedianRanks::resample(5, 1).is_some());
    }

    #[test]
    fn the_surer_the_more_rounds() {
        assert_eq!([0.95, 0.9667, 0.98, 0.99].map(least_rounds_at), [5, 6, 7, 8]);
        assert_eq!(MedianRanks::resample_at(0.99, 7, 1), None);
        let low = |confidence| MedianRanks::resample_at(confidence, 20, 1).unwrap().low();
        assert!(low(0.99) < low(0.95));
    }

    #[test]
    fn same_seed_same_ranks() {
        assert_eq!(MedianRanks::resample(12, 7), MedianRanks::resample(12, 7));
        assert_ne!(MedianRanks::resample(12, 7), MedianRanks::resample(12, 8));
    }
}
