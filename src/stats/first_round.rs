//! Whether the first round stands out: a cache that was cold, a file that was not yet read.

use super::bootstrap::MIN_ROUNDS;
use super::summary::{median_of, sorted};

/// A first round that is slower by less than this, relative to the others' median, does not matter.
pub const SLOW_FIRST_LIMIT: f64 = 0.05;

/// How many times as long as the others' median the first round took, if it stands out.
///
/// It stands out if it lies above the slowest of the others by more than the others differ among
/// themselves (Dixon's ratio `r10` above 1/2: Dixon, Ann. Math. Stat. 1950), and above their median by
/// [`SLOW_FIRST_LIMIT`] or more. A rule in MADs would call a tenth of the series slow that have two modes.
/// Fewer than [`MIN_ROUNDS`] cannot tell.
pub fn slow_first_round(rounds: &[f64]) -> Option<f64> {
    let (&first, others) = rounds.split_first()?;
    if rounds.len() < MIN_ROUNDS || !first.is_finite() {
        return None;
    }
    let others = sorted(others)?;
    let (fastest, slowest, median) = (others[0], others[others.len() - 1], median_of(&others));
    let stands_out = first - slowest > slowest - fastest;
    let matters = median > 0.0 && first >= median * (1.0 + SLOW_FIRST_LIMIT);
    (stands_out && matters).then(|| first / median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cold_first_round_stands_out() {
        assert_eq!(slow_first_round(&[2.0, 1.0, 1.01, 0.99, 1.0, 1.02]), Some(2.0));
    }

    #[test]
    fn a_slow_later_round_does_not() {
        assert_eq!(slow_first_round(&[1.0, 2.0, 1.01, 0.99, 1.0, 1.02]), None);
    }

    #[test]
    fn a_first_round_within_the_noise_does_not() {
        assert_eq!(slow_first_round(&[1.3, 1.0, 1.2, 0.9, 1.0, 1.1]), None);
    }

    #[test]
    fn a_first_round_slower_by_a_hundredth_does_not_matter() {
        assert_eq!(slow_first_round(&[1.01, 1.0, 1.0, 1.0, 1.0, 1.0]), None);
    }

    #[test]
    fn four_rounds_cannot_tell() {
        assert_eq!(slow_first_round(&[9.0, 1.0, 1.0, 1.0]), None);
        assert_eq!(slow_first_round(&[]), None);
    }
}
