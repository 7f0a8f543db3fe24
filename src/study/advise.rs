//! Which strategy to use: a race among many, in which losers are given up early and what is left of the time goes to the rest.
//!
//! Every round is run by all who are still in the race, next to each other, so that they are compared in pairs (a block in the
//! words of F-Race: Birattari et al., GECCO 2002; López-Ibáñez et al., "The irace package", 2016). Somebody leaves it
//!
//! 1. before his first round, if a few tasks of his say that he would take [`HOPELESS`] times as long as the best (a process
//!    for each task can be slower by orders of magnitude, and one round of it would take all the time there is). So that
//!    nobody is measured against a promise, the one of whom a few tasks promise the most runs a whole round before that;
//! 2. in the middle of a round that lasts [`CAP`] times as long as the best's (adaptive capping: Hutter et al., JAIR 2009),
//!    but never for what a machine that was busy for a moment might have cost him ([`HICCUP`]);
//! 3. after one to five rounds, if each of them took so much longer than the leader's that noise cannot be why
//!    ([`FACTORS`], which fall); while all of them together were not longer by more than [`HICCUP`], not before the third:
//!    he costs little;
//! 4. from six rounds on, if the interval of the ratio to the leader says that he is slower, at a level that is divided by the
//!    number of those who are left. This is looked at only now and then ([`LOOKS`]), since each look can be wrong;
//! 5. if there is no time for [`ENOUGH_ROUNDS`] rounds of all: then what is left is divided evenly among as many stages as it
//!    takes to halve them until few are left, and after each the slower half goes (successive halving: Karnin et al., ICML
//!    2013; Jamieson & Talwalkar, AISTATS 2016). Where there is time for that, the best of each [kind](Entrant::kind) stays
//!    until he has had two rounds: one alone may have been disturbed, and with him all that is like him would be gone.
//!
//! The race says who is among the best. What the answer tells of times and leads comes from rounds that are run after it, so
//! that whoever was lucky in the race has to be lucky again.

pub mod candidates;
pub mod document;
mod stages;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::course::Took;
use crate::stats::{MedianRanks, Verdict, compare_with};
use stages::Stages;

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
/// What a machine that is busy for a moment may add to a single round, in seconds: no single round is held against somebody
/// for less.
pub const HICCUP: f64 = 0.25;

/// Where a race is run.
pub trait Arena {
    /// Why there is no round.
    type Error;

    /// One round of each in `which`, next to each other, of which none lasts longer than `patience` seconds. When the time is
    /// up, of those who have finished.
    ///
    /// # Errors
    /// If a round cannot be had.
    fn round(&mut self, which: &[usize], patience: f64) -> Result<Vec<(usize, Took)>, Self::Error>;

    /// A round of one in which nobody is compared; `None` when the time is up.
    ///
    /// # Errors
    /// If a round cannot be had.
    fn warm_up(&mut self, which: usize, patience: f64) -> Result<Option<Took>, Self::Error>;

    /// Time that is left, in seconds.
    fn seconds_left(&self) -> f64;
}

/// Why somebody was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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
    /// Not in a race, but after it: so many others were as fast that there was no place for him in what came next.
    NoPlace,
}

/// Somebody who wants to be in a race.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entrant {
    /// How long a round should take, by a few tasks, in seconds.
    pub expected: f64,
    /// Which are of the same kind, and so should take about as long.
    pub kind: usize,
}

/// Somebody in a race.
#[derive(Debug, Clone, PartialEq)]
pub struct Runner {
    /// Which others are like him.
    pub kind: usize,
    /// How long a round should take, by a few tasks, in seconds.
    pub expected: f64,
    /// His rounds, in seconds.
    pub rounds: Vec<f64>,
    /// Why he left.
    pub gave_up: Option<Reason>,
}

impl Runner {
    /// Median of the rounds so far, or what is expected, in seconds. Of two rounds the shorter: what disturbs a round makes it
    /// longer.
    pub fn typical_seconds(&self) -> f64 {
        let mut sorted = self.rounds.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        match sorted.len() {
            0 => self.expected,
            2 => sorted[0],
            rounds if rounds % 2 == 1 => sorted[rounds / 2],
            rounds => f64::midpoint(sorted[rounds / 2 - 1], sorted[rounds / 2]),
        }
    }
}

/// Races `entrants` until the time is up or one is left, and returns all of them.
///
/// # Errors
/// What `arena` says.
pub fn race<A: Arena>(arena: &mut A, entrants: &[Entrant], keep: usize) -> Result<Vec<Runner>, A::Error> {
    let runner = |entrant: &Entrant| Runner {
        kind: entrant.kind,
        expected: entrant.expected,
        rounds: Vec::new(),
        gave_up: None,
    };
    let mut runners: Vec<Runner> = entrants.iter().map(runner).collect();
    let mut stages = Stages::new(keep);
    let shortest = try_the_promising(arena, &runners, &mut stages)?;
    for runner in runners.iter_mut().filter(|runner| runner.expected > HOPELESS * shortest) {
        runner.gave_up = Some(Reason::Estimate);
    }
    for _ in 0..MOST_ROUNDS {
        let number = runners.iter().map(|runner| runner.rounds.len()).max().unwrap_or(0);
        stages.make_time(&mut runners, arena.seconds_left(), number);
        let left = alive(&runners);
        if left.len() <= 1 && number > 0 {
            break;
        }
        let best = left.iter().map(|at| runners[*at].typical_seconds()).fold(f64::INFINITY, f64::min);
        let before = arena.seconds_left();
        let patience = (CAP * best).max(best + HICCUP);
        let took = arena.round(&left, patience)?;
        stages.note_cost(before - arena.seconds_left(), &took);
        if took.len() < left.len() {
            // The time is up. In the first round, those who had their turn are all that is known.
            if number == 0 && !took.is_empty() {
                let had = |at: &usize| took.iter().any(|(place, _)| place == at);
                for at in left.iter().filter(|at| !had(at)) {
                    runners[*at].gave_up = Some(Reason::NoTime);
                }
                note(&mut runners, took);
            }
            break;
        }
        note(&mut runners, took);
        // If nobody was within it, it is not they who are slow: what was expected was worth nothing.
        if alive(&runners).is_empty() {
            for at in left {
                runners[at].gave_up = None;
                runners[at].expected = runners[at].expected.max(patience);
            }
            continue;
        }
        drop_losers(&mut runners, number + 1);
    }
    Ok(runners)
}

/// How long a round of the best should take, in seconds: nobody knows it better than by a round of whoever is expected to be it.
fn try_the_promising<A: Arena>(
    arena: &mut A,
    runners: &[Runner],
    stages: &mut Stages,
) -> Result<f64, A::Error> {
    let by_expected = |a: &usize, b: &usize| runners[*a].expected.total_cmp(&runners[*b].expected);
    let Some(first) = (0..runners.len()).min_by(by_expected) else { return Ok(f64::INFINITY) };
    let others = (0..runners.len()).filter(|at| *at != first).map(|at| runners[at].expected);
    let next = others.fold(f64::INFINITY, f64::min);
    let expected = runners[first].expected;
    // Who takes longer than that is not the best.
    let patience = (HOPELESS * next.min(HOPELESS * expected)).max(expected + HICCUP);
    let before = arena.seconds_left();
    let took = arena.warm_up(first, patience)?;
    stages.note_cost(before - arena.seconds_left(), took.map(|took| (first, took)).as_slice());
    Ok(match took {
        Some(Took::Seconds(seconds)) => seconds.max(expected).min(next.max(expected)),
        Some(Took::Longer(_)) => next.max(expected),
        None => expected,
    })
}

/// Takes what a round came to.
fn note(runners: &mut [Runner], took: Vec<(usize, Took)>) {
    for (at, took) in took {
        match took {
            Took::Seconds(seconds) => runners[at].rounds.push(seconds),
            Took::Longer(_) => runners[at].gave_up = Some(Reason::Capped),
        }
    }
}

/// Those who are still in the race, the fastest first.
pub fn alive(runners: &[Runner]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..runners.len()).filter(|at| runners[*at].gave_up.is_none()).collect();
    let times = |at: &usize| runners[*at].typical_seconds();
    left.sort_by(|a, b| times(a).total_cmp(&times(b)));
    left
}

/// The fastest of those who left after a round or more; if there is nobody, of those who were not let in, by what was expected
/// of them. Of one who was ended in his first round nobody knows how long it would have taken.
pub fn fastest_given_up(runners: &[Runner]) -> Option<usize> {
    let fastest = |which: &dyn Fn(&Runner) -> bool| {
        let places = (0..runners.len()).filter(|at| which(&runners[*at]));
        places.min_by(|a, b| runners[*a].typical_seconds().total_cmp(&runners[*b].typical_seconds()))
    };
    fastest(&|runner| runner.gave_up.is_some() && !runner.rounds.is_empty())
        .or_else(|| fastest(&|runner| matches!(runner.gave_up, Some(Reason::Estimate | Reason::NoTime))))
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
        let excess: f64 = pairs.iter().map(|(ours, best)| ours - best).sum();
        let enough = number >= 3 || excess > HICCUP;
        let much =
            enough && factor.is_some_and(|factor| pairs.iter().all(|(ours, best)| *ours > factor * best));
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
