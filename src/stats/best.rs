//! The best of several strategies, and which of the others it is shown to beat.
//!
//! Whoever looks at several strategies and names the fastest makes two mistakes more often than one comparison does: there
//! are more comparisons to be wrong in, and the fastest was chosen by the same rounds that are to prove it. Both are taken
//! care of by comparing the chosen one with *each* of the others, in pairs of the same round, and calling it the best only if
//! it beats them all (multiple comparisons with the best: Hsu, Ann. Stat. 1981; J. C. Hsu, "Multiple Comparisons", 1996,
//! chapter 4). To call a wrong one the best, it must beat the true best, whichever it is: with `k` strategies there are
//! `k − 1` that could, so that a one-sided level of 5 % / (k − 1) in each comparison makes it at most 5 % for all together
//! (Bonferroni), no matter how the one was chosen. Up to three strategies this is what 95 % intervals, two-sided, give anyway;
//! with more the intervals are wider: see [`confidence_against`].

use super::bootstrap::{CONFIDENCE, Interval, MIN_ROUNDS, MedianRanks};
use super::comparison::{Comparison, Verdict, compare_with};
use super::summary::{median_of, sorted};

/// How often the wrong strategy may be called the best, at most.
const ERROR: f64 = 0.05;

/// Below the rounds that an interval needs, one whose every round took this many times as long as the longest of the best is
/// beaten all the same, if the best has as many and chance is not likely to have put the rounds of both into that order: it is given few
/// rounds because it is slow.
pub const CLEARLY: f64 = 2.0;

/// With this many times as long, one round is enough, if it is so long that no quota and no other program's turn makes it that.
pub const VERY_CLEARLY: f64 = 10.0;

/// How long that is, in seconds.
pub const LONG_ROUND_SECONDS: f64 = 1.0;

/// How likely chance alone is to put all `few` rounds of one behind all `many` of another, if nothing else tells them apart: one of as
/// many orders as there are (the permutation test of the most extreme order, whatever the distribution).
fn by_chance(many: usize, few: usize) -> f64 {
    (1..=few).map(|place| place as f64 / (many + place) as f64).product()
}

/// The confidence of the (two-sided) intervals by which the best of `strategies` is compared with each of the others.
pub fn confidence_against(strategies: usize) -> f64 {
    let others = strategies.saturating_sub(1).max(1) as f64;
    CONFIDENCE.max(1.0 - 2.0 * ERROR / others)
}

/// The best of several, by its median.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// Which of them.
    pub place: usize,
    /// The confidence of the intervals in `others`.
    pub confidence: f64,
    /// The others, by their medians, smallest first.
    pub others: Vec<Against>,
}

/// The best against another.
#[derive(Debug, Clone, PartialEq)]
pub struct Against {
    /// Which of them.
    pub place: usize,
    /// (The best's time / the other's), in pairs; `None` if they have no round in common.
    pub comparison: Option<Comparison>,
    /// What may be said.
    pub standing: Standing,
}

/// What may be said of another than the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The best is faster.
    Beaten,
    /// There are too few rounds to tell, but see [`CLEARLY`].
    ClearlySlower,
    /// The rounds do not tell them apart.
    NotDistinguished,
    /// There are too few rounds to tell.
    TooFewRounds,
}

/// The best of `samples`, which are the rounds of a strategy each: (number, time). `None` if nobody has any.
pub fn best_of(samples: &[Vec<(u64, f64)>], margin: f64, seed: u64) -> Option<Best> {
    let times = |place: usize| samples[place].iter().map(|(_, time)| *time).collect::<Vec<f64>>();
    let mut ranked: Vec<(usize, f64)> =
        (0..samples.len()).filter_map(|place| Some((place, median_of(&sorted(&times(place))?)))).collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let ((best, _), others) = ranked.split_first()?;
    let strategies = ranked.len();
    let confidence = confidence_against(strategies);
    let longest = times(*best).into_iter().fold(0.0, f64::max);
    let mut ranks: Vec<Option<MedianRanks>> = Vec::new();
    let others = others.iter().map(|(place, _)| {
        let pairs: Vec<(f64, f64)> = samples[*best]
            .iter()
            .filter_map(|(round, ours)| {
                let (_, theirs) = samples[*place].iter().find(|(number, _)| number == round)?;
                Some((*ours, *theirs))
            })
            .collect();
        // Most have as many rounds as the one before.
        let known = ranks.iter().flatten().find(|ranks| ranks.rounds() == pairs.len()).copied();
        let drawn = known.or_else(|| MedianRanks::resample_at(confidence, pairs.len(), seed));
        ranks.push(drawn);
        let comparison = compare_with(&pairs, margin, drawn);
        let (of_best, of_other) = (times(*best), times(*place));
        let all_beyond = |factor: f64| of_other.iter().all(|time| *time > factor * longest);
        let level = ERROR / (strategies - 1) as f64;
        let clearly = of_best.len() >= MIN_ROUNDS
            && !of_other.is_empty()
            && (all_beyond(VERY_CLEARLY) && of_other.iter().all(|time| *time >= LONG_ROUND_SECONDS)
                || of_other.len() > 1
                    && all_beyond(CLEARLY)
                    && by_chance(of_best.len(), of_other.len()) <= level);
        let standing = match comparison.as_ref().map(|comparison| comparison.verdict) {
            Some(Verdict::Faster) => Standing::Beaten,
            Some(Verdict::NotDistinguished | Verdict::Slower) => Standing::NotDistinguished,
            Some(Verdict::TooFewRounds) | None if clearly => Standing::ClearlySlower,
            Some(Verdict::TooFewRounds) | None => Standing::TooFewRounds,
        };
        Against { place: *place, comparison, standing }
    });
    Some(Best { place: *best, confidence, others: others.collect() })
}

impl Best {
    /// What may be said of all of them: beaten if each is, or is clearly slower.
    pub fn standing(&self) -> Standing {
        let any = |wanted| self.others.iter().any(|other| other.standing == wanted);
        match (any(Standing::TooFewRounds), any(Standing::NotDistinguished)) {
            (_, true) => Standing::NotDistinguished,
            (true, false) => Standing::TooFewRounds,
            (false, false) => Standing::Beaten,
        }
    }

    /// How many times as fast as the next the best is, with the interval.
    pub fn lead(&self) -> Option<(f64, Option<Interval>)> {
        let comparison = self.others.first()?.comparison.as_ref()?;
        Some((comparison.speed_up(), comparison.speed_up_interval()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Rng;

    /// `rounds` rounds of strategies whose true times are `truth`, with `noise` of each round's own and as much that all
    /// strategies of a round share.
    fn simulate(truth: &[f64], rounds: u64, noise: f64, rng: &mut Rng) -> Vec<Vec<(u64, f64)>> {
        let normal = |rng: &mut Rng| {
            (-2.0 * (1.0 - rng.next_f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.next_f64()).cos()
        };
        let mut samples = vec![Vec::new(); truth.len()];
        for round in 1..=rounds {
            let shared = normal(rng);
            for (sample, time) in samples.iter_mut().zip(truth) {
                sample.push((round, time * (noise * (shared + normal(rng))).exp()));
            }
        }
        samples
    }

    /// The share of `cases` simulations in which a strategy was called the best that is not the first.
    fn wrong(truth: &[f64], rounds: u64, noise: f64, cases: u64) -> f64 {
        let mut rng = Rng::new(7);
        let is_wrong = |_: &u64| {
            let best = best_of(&simulate(truth, rounds, noise, &mut rng), 0.0, 1).unwrap();
            best.standing() == Standing::Beaten && best.place != 0
        };
        (0..cases).filter(is_wrong).count() as f64 / cases as f64
    }

    #[test]
    fn among_equals_the_wrong_one_is_called_the_best_in_at_most_one_of_twenty() {
        for strategies in [2, 4, 8] {
            // All equal, but one by a hair: whoever is called the best but this one is wrong.
            let mut truth = vec![1.0 + 1e-9; strategies];
            truth[0] = 1.0;
            for rounds in [8, 10, 20] {
                let share = wrong(&truth, rounds, 0.05, 400);
                assert!(share <= 0.05, "{strategies} strategies, {rounds} rounds: {share}");
            }
        }
    }

    #[test]
    fn a_clear_winner_is_found_and_its_lead_is_right() {
        let mut rng = Rng::new(3);
        let samples = simulate(&[2.0, 1.0, 1.5, 8.0], 10, 0.02, &mut rng);
        let best = best_of(&samples, 0.01, 1).unwrap();
        assert_eq!((best.place, best.standing()), (1, Standing::Beaten));
        assert_eq!(best.others.iter().map(|other| other.place).collect::<Vec<_>>(), [2, 0, 3]);
        let (lead, interval) = best.lead().unwrap();
        assert!((lead - 1.5).abs() < 0.1 && interval.unwrap().contains(lead));
    }

    #[test]
    fn whoever_has_few_rounds_because_he_is_slow_is_beaten() {
        let fast: Vec<(u64, f64)> = (1..=10).map(|round| (round, 1.0)).collect();
        let against = |times: &[f64]| {
            let slow = (1..).zip(times.iter().copied()).collect();
            let best = best_of(&[slow, fast.clone()], 0.01, 1).unwrap();
            assert_eq!(best.place, 1);
            (best.others[0].standing, best.standing())
        };
        assert_eq!(against(&[60.0]), (Standing::ClearlySlower, Standing::Beaten));
        assert_eq!(against(&[3.0, 4.0]), (Standing::ClearlySlower, Standing::Beaten));
        assert_eq!(against(&[3.0]).1, Standing::TooFewRounds, "one round may have been disturbed");
        let many: Vec<(u64, f64)> = (1..=40).map(|round| (round, 1e-3)).collect();
        let best = best_of(&[vec![(1, 0.1)], many], 0.01, 1).unwrap();
        assert_eq!(best.standing(), Standing::TooFewRounds, "a quota may take 100 ms from any round");
        assert_eq!(against(&[1.2, 1.2]).1, Standing::TooFewRounds);
        assert_eq!(by_chance(10, 1), 1.0 / 11.0);
        assert!((by_chance(5, 2) - 1.0 / 21.0).abs() < 1e-12, "two of seven places");
    }

    #[test]
    fn nobody_is_the_best_of_none_and_one_is_of_one() {
        assert_eq!(best_of(&[], 0.01, 1), None);
        assert_eq!(best_of(&[Vec::new()], 0.01, 1), None);
        let best = best_of(&[vec![(1, 1.0)], Vec::new()], 0.01, 1).unwrap();
        assert_eq!((best.place, best.others.len(), best.standing()), (0, 0, Standing::Beaten));
    }
}
