//! Which strategy to use: a race among many, in which losers are given up early and what is left of the time goes to the rest.
//!
//! Every round is run by all who are still in the race, next to each other, so that they are compared in pairs (a block in the
//! words of F-Race: Birattari et al., GECCO 2002; López-Ibáñez et al., "The irace package", 2016). Somebody leaves it
//!
//! 1. before his first round, if a few tasks of his say that he would take [`HOPELESS`] times as long as the best (a process
//!    for each task can be slower by orders of magnitude, and one round of it would take all the time there is);
//! 2. in the middle of a round that lasts [`CAP`] times as long as the best's (adaptive capping: Hutter et al., JAIR 2009);
//! 3. after one to five rounds, if each of them took so much longer than the leader's that noise cannot be why
//!    ([`FACTORS`], which fall);
//! 4. from six rounds on, if the interval of the ratio to the leader says that he is slower, at a level that is divided by the
//!    number of those who are left. This is looked at only now and then ([`LOOKS`]), since each look can be wrong;
//! 5. if there is no time for [`ENOUGH_ROUNDS`] rounds of all: then the slower half goes (successive halving: Karnin et al.,
//!    ICML 2013; Jamieson & Talwalkar, AISTATS 2016).
//!
//! The race says who is among the best. What the answer tells of times and leads comes from rounds that are run after it, so
//! that whoever was lucky in the race has to be lucky again.

pub mod candidates;
pub mod document;

use serde::{Deserialize, Serialize};

use crate::experiment::course::Took;
use crate::stats::{MedianRanks, Verdict, compare_with};

/// Estimated to take so many times as long as the best.
pub const HOPELESS: f64 = 8.0;
/// A round is ended that lasts so many times as long as the best one's.
pub const CAP: f64 = 4.0;
/// By which factor each round must have taken longer, after so many rounds.
pub const FACTORS: [f64; 5] = [2.5, 1.8, 1.5, 1.35, 1.25];
/// Numbers of rounds after which intervals are looked at.
pub const LOOKS: [usize; 6] = [8, 12, 16, 24, 32, 48];
/// Rounds that those should have between whom is decided.
pub const ENOUGH_ROUNDS: usize = 8;
/// Nobody is in doubt for longer.
pub const MOST_ROUNDS: usize = 48;
/// Nothing is ended before this, in seconds: the very first rounds are the slowest.
const LEAST_PATIENCE: f64 = 0.1;

/// Where a race is run.
pub trait Arena {
    /// Why there is no round.
    type Error;

    /// One round of each in `which`, next to each other, of which none lasts longer than `patience` seconds. Empty when the
    /// time is up.
    ///
    /// # Errors
    /// If a round cannot be had.
    fn round(&mut self, which: &[usize], patience: f64) -> Result<Vec<(usize, Took)>, Self::Error>;

    /// Time that is left, in seconds.
    fn seconds_left(&self) -> f64;
}

/// Why somebody was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// By an estimate from a few tasks.
    Estimate,
    /// In the middle of a round.
    Capped,
    /// After a few rounds that were all much longer.
    MuchSlower,
    /// By the interval of the ratio.
    Slower,
    /// Since there was no time for all.
    NoTime,
}

/// Somebody in a race.
#[derive(Debug, Clone, PartialEq)]
pub struct Runner {
    /// How long a round should take, by a few tasks, in seconds.
    pub expected: f64,
    /// His rounds, in seconds.
    pub rounds: Vec<f64>,
    /// Why he left.
    pub gave_up: Option<Reason>,
}

/// Races those whose rounds should take `expected` seconds, until the time is up or one is left, and returns all of them.
///
/// # Errors
/// What `arena` says.
pub fn race<A: Arena>(arena: &mut A, expected: &[f64], keep: usize) -> Result<Vec<Runner>, A::Error> {
    let mut runners: Vec<Runner> = expected
        .iter()
        .map(|expected| Runner { expected: *expected, rounds: Vec::new(), gave_up: None })
        .collect();
    let shortest = expected.iter().copied().fold(f64::INFINITY, f64::min);
    for runner in runners.iter_mut().filter(|runner| runner.expected > HOPELESS * shortest) {
        runner.gave_up = Some(Reason::Estimate);
    }
    for number in 0..MOST_ROUNDS {
        make_time(&mut runners, arena.seconds_left(), number, keep);
        let left = alive(&runners);
        if left.len() <= 1 && number > 0 {
            break;
        }
        let best = left.iter().map(|at| typical(&runners[*at])).fold(f64::INFINITY, f64::min);
        let took = arena.round(&left, (CAP * best).max(LEAST_PATIENCE))?;
        if took.len() < left.len() {
            break;
        }
        for (at, took) in took {
            match took {
                Took::Seconds(seconds) => runners[at].rounds.push(seconds),
                Took::Longer(_) => runners[at].gave_up = Some(Reason::Capped),
            }
        }
        // If the best himself was ended, the estimates were worth nothing.
        if alive(&runners).is_empty() {
            let again = left.iter().min_by(|a, b| runners[**a].expected.total_cmp(&runners[**b].expected));
            if let Some(at) = again {
                runners[*at].gave_up = None;
            }
            break;
        }
        drop_losers(&mut runners, number + 1);
    }
    Ok(runners)
}

/// Those who are still in the race, the fastest first.
pub fn alive(runners: &[Runner]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..runners.len()).filter(|at| runners[*at].gave_up.is_none()).collect();
    left.sort_by(|a, b| typical(&runners[*a]).total_cmp(&typical(&runners[*b])));
    left
}

/// Median of the rounds so far, or what is expected.
fn typical(runner: &Runner) -> f64 {
    let mut sorted = runner.rounds.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => runner.expected,
        rounds if rounds % 2 == 1 => sorted[rounds / 2],
        rounds => f64::midpoint(sorted[rounds / 2 - 1], sorted[rounds / 2]),
    }
}

/// Lets the slower half go as long as there is no time for enough rounds of all.
fn make_time(runners: &mut [Runner], seconds_left: f64, number: usize, keep: usize) {
    loop {
        let left = alive(runners);
        let one_of_each: f64 = left.iter().map(|at| typical(&runners[*at])).sum();
        let missing = ENOUGH_ROUNDS.saturating_sub(number).max(1) as f64;
        // By estimates alone, only what does not fit at all is let go.
        let missing = if number == 0 { 1.0 } else { missing };
        if left.len() <= keep.max(1) || one_of_each * missing <= seconds_left {
            return;
        }
        for at in &left[left.len().div_ceil(2).max(keep)..] {
            runners[*at].gave_up = Some(Reason::NoTime);
        }
    }
}

/// Gives up whoever is shown to be slower than the leader after `number` rounds.
fn drop_losers(runners: &mut [Runner], number: usize) {
    let left = alive(runners);
    let Some((leader, others)) = left.split_first() else { return };
    let leading = runners[*leader].rounds.clone();
    // One for each of those who might be the best, so that he is not among those given up in 99 % of cases.
    let confidence = 1.0 - 0.02 / others.len().max(1) as f64;
    let ranks = LOOKS.contains(&number).then(|| MedianRanks::resample_at(confidence, number, 1)).flatten();
    for at in others {
        let pairs: Vec<(f64, f64)> =
            runners[*at].rounds.iter().copied().zip(leading.iter().copied()).collect();
        let factor = FACTORS.get(number - 1).copied();
        let much = factor.is_some_and(|factor| pairs.iter().all(|(ours, best)| *ours > factor * best));
        let slower = || {
            let comparison = compare_with(&pairs, 0.0, Some(ranks?))?;
            Some(comparison.verdict == Verdict::Slower)
        };
        if much {
            runners[*at].gave_up = Some(Reason::MuchSlower);
        } else if slower() == Some(true) {
            runners[*at].gave_up = Some(Reason::Slower);
        }
    }
}

#[cfg(test)]
mod tests;
