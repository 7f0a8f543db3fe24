//! Where the faster of two strategies changes: a root of the logarithm of the ratio of their times, of which every
//! measurement is noisy.
//!
//! This is bisection with a test at each point that goes on until it is sure (Waeber, Frazier, Henderson: "Bisection search
//! with noisy responses", SIAM J. Control Optim. 51, 2013):
//!
//! 1. A coarse grid over the whole range, on a logarithmic scale, finds where the sign changes, and whether it does so once,
//!    never, or more often. What happens twice between two neighbours of the grid goes unnoticed. An end that does not tell
//!    has [`END_TIMES`] the rounds of other values, since a crossing near it shows in nothing else. Each value has
//!    [`LEAST_ROUNDS`] first; where the others that it may need would take too much of the time that is left, as at the far end of a
//!    range over several powers of ten, they are put off until what else there is has been found.
//! 2. Each change is then narrowed: the middle between its two ends is measured, and takes the place of the end that has the
//!    same sign. Where the middle cannot be told, the points that cannot be told grow from there to both sides, so that what is
//!    left in the end is the stretch in which the two are not distinguished, and its two ends, where they are.
//!
//! **The test at a point** looks at who was faster in each round (a sign test, so that no distribution is assumed), and may be
//! looked at after every round: it multiplies up evidence against "each is faster half of the time" as a bet does that
//! spreads its stake evenly over all other answers. After `k` of `n` rounds that is `2ⁿ / ((n + 1) · C(n, k))`, and by Ville's
//! inequality it ever exceeds 100 in at most 1 % of cases if there is nothing to be found, half of those on the wrong side
//! (Shafer & Vovk 2019; Howard et al., Ann. Stat. 2021). All of eleven rounds on one side are enough, and so are three that
//! differ by more than a factor of [`CLEAR`]. Rounds that follow each other are not independent where a machine is busy for a moment:
//! who was told by so few of them at an end of a crossing, or of the range, is asked again when all else is known, and only if they differ as clearly
//! then does that stand. A crossing lies outside its interval only if a point was told wrongly; the
//! simulations below measure how often that is.

pub mod document;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Evidence that is enough: see the [module](self).
const ENOUGH: f64 = 100.0;

/// Rounds whose times all differ by this factor, in the same direction, …
pub const CLEAR: f64 = 2.0;
/// … are enough if there are this many.
const CLEAR_ROUNDS: usize = LEAST_ROUNDS;
/// With fewer rounds nobody is ever told to be faster.
pub const LEAST_ROUNDS: usize = 3;
/// With fewer, only a factor of [`CLEAR`] is told: all of them on one side are not yet enough evidence.
const TELLING_ROUNDS: usize = 11;
/// Rounds that are measured at a time when three were not enough.
const STEP: usize = 3;

/// Who is faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Faster {
    /// The first of the two.
    First,
    /// The second.
    Second,
    /// The rounds do not tell, and there were as many as a value may have.
    NotDistinguished,
    /// Not known: the time was up before as many rounds were had as it takes to say that they do not tell.
    TooFewRounds,
    /// Not asked: tasks failed, so that the times are of something else than the workload.
    Failed,
}

impl Faster {
    /// Whether one of the two is.
    pub fn is_known(self) -> bool {
        matches!(self, Self::First | Self::Second)
    }
}

/// What was measured at a value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Measured {
    /// Of each round the logarithm of (the first's time / the second's).
    pub rounds: Vec<f64>,
    /// Why there are fewer than wanted.
    pub ended: Option<Ended>,
}

/// Why there are no more rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing more is measured anywhere.
    OutOfTime,
    /// What is left of the time is too short for this value.
    TooLong,
    /// Tasks have failed at this value.
    TasksFailed,
}

/// Whoever measures both strategies.
pub trait Measure {
    /// Why nothing can be measured.
    type Error;

    /// `rounds` more rounds of both at `value`; fewer, or none, with the reason.
    ///
    /// # Errors
    /// If a round cannot be had.
    fn rounds(&mut self, value: f64, rounds: usize) -> Result<Measured, Self::Error>;

    /// Whether `rounds` more rounds of both at `value`, which has had some, leave enough of the time for other values.
    fn affords(&self, _value: f64, _rounds: usize) -> bool {
        true
    }
}

/// How a crossing is looked for.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The values that are looked at first, rising; the first may be 0.
    pub grid: Vec<f64>,
    /// What values may be: the nearest to a number.
    pub nearest: fn(f64) -> f64,
    /// An interval is narrow enough when its upper end is at most this part above its lower one.
    pub width: f64,
    /// Rounds at one point, at most, but for the two ends: see [`END_TIMES`].
    pub most_rounds: usize,
}

/// A value that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Which.
    pub value: f64,
    /// Of each round the logarithm of (the first's time / the second's).
    pub rounds: Vec<f64>,
    /// Who is faster there.
    pub faster: Faster,
}

/// A change of the faster strategy.
#[derive(Debug, Clone, PartialEq)]
pub struct Crossing {
    /// The largest value below at which it is known who is faster.
    pub low: f64,
    /// The smallest value above at which it is the other.
    pub high: f64,
    /// Where it most likely is.
    pub estimate: f64,
    /// Who is faster below; the other is above.
    pub below: Faster,
    /// The smallest and the largest value in between that had all rounds that a value may have, and did not tell.
    pub not_distinguished: Option<(f64, f64)>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// All values that were looked at, rising.
    pub points: Vec<Point>,
    /// All changes, rising.
    pub crossings: Vec<Crossing>,
    /// Whether the time was too short for all that was to be done.
    pub out_of_time: bool,
}

/// Who is faster, by rounds of which each is the logarithm of (the first's time / the second's).
pub fn judge(rounds: &[f64]) -> Faster {
    let (first, second) = won(rounds);
    let clear = rounds.len() >= CLEAR_ROUNDS && rounds.iter().all(|ratio| ratio.abs() > CLEAR.ln());
    match enough_evidence(rounds) {
        Some(faster) => faster,
        None if clear && second == 0 => Faster::First,
        None if clear && first == 0 => Faster::Second,
        None => Faster::NotDistinguished,
    }
}

/// In how many rounds each was faster.
fn won(rounds: &[f64]) -> (usize, usize) {
    let count = |sign: f64| rounds.iter().filter(|ratio| **ratio * sign > 0.0).count();
    (count(-1.0), count(1.0))
}

/// Who is faster, if there is enough evidence whatever the size of the differences.
fn enough_evidence(rounds: &[f64]) -> Option<Faster> {
    let (first, second) = won(rounds);
    (evidence(first, second) >= ENOUGH).then_some(if first > second { Faster::First } else { Faster::Second })
}

/// `2ⁿ / ((n + 1) · C(n, k))`. Rounds that were exactly equal count for nobody.
fn evidence(first: usize, second: usize) -> f64 {
    let n = first + second;
    let mut logarithm = n as f64 * std::f64::consts::LN_2 - (n as f64 + 1.0).ln();
    for place in 1..=first.min(second) {
        logarithm -= ((n + 1 - place) as f64 / place as f64).ln();
    }
    logarithm.exp()
}

/// Looks for all changes of the faster strategy.
///
/// # Errors
/// What `measure` says.
pub fn find<M: Measure>(measure: &mut M, rules: &Rules) -> Result<Found, M::Error> {
    let mut search = Search {
        measure,
        rules,
        points: Vec::new(),
        too_long: Vec::new(),
        cut: Vec::new(),
        confirmed: Vec::new(),
        put_off: Vec::new(),
        out_of_time: false,
    };
    // A few rounds everywhere, the ends first: if the time is short, they say the most.
    let last = rules.grid.len().saturating_sub(1);
    let all = || [0, last].into_iter().chain(1..last).map(|at| rules.grid[at]);
    for value in all() {
        search.look(value, rules.most_rounds.min(LEAST_ROUNDS))?;
    }
    for value in all() {
        search.look_if_affordable(value, rules.most_rounds.min(COARSE_ROUNDS))?;
    }
    // Whether there is a crossing at all depends on who is faster at the ends: they are worth all rounds that one may have.
    for at in [0, last] {
        search.look_if_affordable(rules.grid[at], rules.most_rounds)?;
    }
    // An end that does not tell hides a crossing beside it. If anything is known elsewhere, it is worth more rounds still; if
    // nothing is, the two are as good as equal, and more rounds would only find out by how little they are not.
    for at in [0, last] {
        if search.is_any_known() {
            search.look_if_affordable(rules.grid[at], END_TIMES * rules.most_rounds)?;
        }
    }
    let mut crossings = Vec::new();
    loop {
        let mut open = search.changes();
        crossings.clear();
        // The widest first, so that time that runs out leaves all of them alike.
        while let Some(at) = widest(&open) {
            let change = open.remove(at);
            match search.narrow(&change)? {
                Some(narrower) => open.push(narrower),
                None => crossings.push(change),
            }
        }
        // That there is none rests on both ends of the range.
        let of_range = [0, last].map(|at| rules.grid[at]);
        let ends = crossings.iter().flat_map(|change| [change.low, change.high]).chain(of_range);
        if search.confirm(&ends.collect::<Vec<f64>>())? {
            continue;
        }
        // What would have left no time for all that has its turn when it is done.
        let put_off = std::mem::take(&mut search.put_off);
        if put_off.is_empty() {
            break;
        }
        let was_any_known = search.is_any_known();
        for (value, most) in put_off {
            search.look(value, most)?;
        }
        if !was_any_known && search.is_any_known() {
            for at in [0, last] {
                search.look(rules.grid[at], END_TIMES * rules.most_rounds)?;
            }
        }
    }
    let mut crossings: Vec<Crossing> = crossings.into_iter().map(|change| search.crossing(change)).collect();
    crossings.sort_by(|a, b| a.low.total_cmp(&b.low));
    let out_of_time = search.out_of_time || !search.too_long.is_empty();
    let (mut points, cut) = (search.points, search.cut);
    for point in points.iter_mut().filter(|point| point.faster == Faster::NotDistinguished) {
        let is_within = |crossing: &Crossing| crossing.low < point.value && point.value < crossing.high;
        // Beside a crossing more rounds would have been had, had there been time.
        let is_unfinished = out_of_time && crossings.iter().any(is_within);
        let least = if is_unfinished { rules.most_rounds } else { COARSE_ROUNDS };
        let wanted = rules.most_rounds.min(least).max(TELLING_ROUNDS);
        if cut.contains(&point.value) || point.rounds.len() < wanted {
            point.faster = Faster::TooFewRounds;
        }
    }
    Ok(Found { crossings, out_of_time, points })
}

/// Rounds at a point of the grid, at most: more are spent where it turns out that the crossing is near.
const COARSE_ROUNDS: usize = 15;

/// An end of the range that does not tell may have so many times as many rounds as other values.
pub const END_TIMES: usize = 2;

struct Search<'a, M> {
    measure: &'a mut M,
    rules: &'a Rules,
    points: Vec<Point>,
    /// Values for which the time was too short.
    too_long: Vec<f64>,
    /// Values that might have had more rounds, had there been time.
    cut: Vec<f64>,
    /// Values that were asked again.
    confirmed: Vec<f64>,
    /// Values at which more rounds would have taken too much of the time, each with the most that it may have.
    put_off: Vec<(f64, usize)>,
    /// Whether there is no time for anything.
    out_of_time: bool,
}

/// A stretch over which the sign changes.
#[derive(Debug, Clone, PartialEq)]
struct Change {
    low: f64,
    high: f64,
    below: Faster,
    /// The outermost values in between that did not tell.
    core: Option<(f64, f64)>,
    /// Rounds that those may have.
    patience: usize,
}

fn widest(changes: &[Change]) -> Option<usize> {
    let width = |change: &Change| width(change.low, change.high);
    (0..changes.len()).max_by(|a, b| width(&changes[*a]).total_cmp(&width(&changes[*b])))
}

/// By how much `high` is above `low`, as a part of it.
fn width(low: f64, high: f64) -> f64 {
    if low > 0.0 { high / low - 1.0 } else { f64::INFINITY }
}

impl<M: Measure> Search<'_, M> {
    /// Whether it is known anywhere who is faster.
    fn is_any_known(&self) -> bool {
        self.points.iter().any(|point| point.faster.is_known())
    }

    /// As [`Self::look`], unless that may take too much of the time that is left: then it is put off.
    fn look_if_affordable(&mut self, value: f64, most: usize) -> Result<(), M::Error> {
        let had = self.points.iter().find(|point| point.value == value).map_or(0, |point| point.rounds.len());
        if had == 0 || self.measure.affords(value, most.saturating_sub(had)) {
            self.look(value, most)?;
            return Ok(());
        }
        self.put_off.retain(|(other, _)| *other != value);
        self.put_off.push((value, most));
        Ok(())
    }

    /// Measures at `value` until it is known who is faster there, or there are `most` rounds. A value of which no round could be
    /// had is none of the points: nothing is known there.
    fn look(&mut self, value: f64, most: usize) -> Result<Faster, M::Error> {
        let at = self.points.binary_search_by(|point| point.value.total_cmp(&value));
        let new = || Point { value, rounds: Vec::new(), faster: Faster::NotDistinguished };
        let mut point = at.map_or_else(|_| new(), |at| self.points[at].clone());
        let mut has_ended = self.out_of_time || self.too_long.contains(&value);
        while point.faster == Faster::NotDistinguished && point.rounds.len() < most && !has_ended {
            let wanted = STEP.min(most - point.rounds.len());
            let measured = self.measure.rounds(value, wanted)?;
            has_ended = measured.ended.is_some();
            for ratio in measured.rounds {
                // After each round, so that the number of rounds measured at a time makes no difference.
                point.rounds.push(ratio);
                if point.faster == Faster::NotDistinguished {
                    point.faster = judge(&point.rounds);
                }
            }
            match measured.ended {
                Some(Ended::TasksFailed) => point.faster = Faster::Failed,
                Some(Ended::TooLong) => self.too_long.push(value),
                Some(Ended::OutOfTime) => self.out_of_time = true,
                None => {}
            }
        }
        let faster = point.faster;
        if faster == Faster::NotDistinguished && point.rounds.len() < most && !self.cut.contains(&value) {
            self.cut.push(value);
        }
        match at {
            Ok(at) => self.points[at] = point,
            Err(at) if !point.rounds.is_empty() || faster == Faster::Failed => self.points.insert(at, point),
            Err(_) => {}
        }
        Ok(faster)
    }

    /// Asks again at those of `values` that a few rounds have told which differ clearly, by as many more and at another time. Whether any of them
    /// tells something else now.
    fn confirm(&mut self, values: &[f64]) -> Result<bool, M::Error> {
        let mut is_other = false;
        for value in values {
            let Some(at) = self.points.iter().position(|point| point.value == *value) else { continue };
            let Point { rounds, faster: before, .. } = &self.points[at];
            let (before, had) = (*before, rounds.len());
            let by_few = before.is_known() && enough_evidence(rounds).is_none();
            if !by_few || self.out_of_time || self.too_long.contains(value) || self.confirmed.contains(value)
            {
                continue;
            }
            self.confirmed.push(*value);
            let measured = self.measure.rounds(*value, CLEAR_ROUNDS)?;
            self.out_of_time |= measured.ended == Some(Ended::OutOfTime);
            if measured.ended == Some(Ended::TooLong) {
                self.too_long.push(*value);
            }
            let point = &mut self.points[at];
            point.rounds.extend(measured.rounds);
            if measured.ended == Some(Ended::TasksFailed) {
                point.faster = Faster::Failed;
            } else {
                point.faster = judge(&point.rounds);
                if point.faster == Faster::NotDistinguished {
                    self.look(*value, self.rules.most_rounds.max(had + CLEAR_ROUNDS))?;
                }
            }
            let now = self.points.iter().find(|point| point.value == *value).map(|point| point.faster);
            is_other |= now != Some(before);
        }
        Ok(is_other)
    }

    /// Neighbours among those that are known, of which each has another faster strategy.
    fn changes(&self) -> Vec<Change> {
        let known: Vec<&Point> = self.points.iter().filter(|point| point.faster.is_known()).collect();
        let pairs = known.windows(2).filter(|pair| pair[0].faster != pair[1].faster);
        let change = |pair: &[&Point]| Change {
            low: pair[0].value,
            high: pair[1].value,
            below: pair[0].faster,
            core: self.core(pair[0].value, pair[1].value),
            patience: self.rules.most_rounds,
        };
        pairs.map(change).collect()
    }

    /// The outermost values between `low` and `high` that did not tell.
    fn core(&self, low: f64, high: f64) -> Option<(f64, f64)> {
        self.untold(low, high, 1)
    }

    /// Those of them that had `least` rounds.
    fn untold(&self, low: f64, high: f64, least: usize) -> Option<(f64, f64)> {
        let mut inside = self.points.iter().filter(|point| {
            let is_inside = point.value > low && point.value < high;
            is_inside && point.faster == Faster::NotDistinguished && point.rounds.len() >= least
        });
        let first = inside.next()?.value;
        Some((first, inside.next_back().map_or(first, |point| point.value)))
    }

    /// `change` after one more look; `None` if it is narrow enough or cannot be narrowed.
    fn narrow(&mut self, change: &Change) -> Result<Option<Change>, M::Error> {
        let Change { low, high, below, core, patience } = *change;
        if self.out_of_time || width(low, high) <= self.rules.width {
            return Ok(None);
        }
        let gaps = match core {
            None => vec![(low, high)],
            Some((first, last)) => vec![(low, first), (last, high)],
        };
        // A point of the grid that did not tell had few rounds.
        let unfinished = core.into_iter().flat_map(|(first, last)| [first, last]).find(|value| {
            let had = self.points.iter().find(|point| point.value == *value).map(|point| point.rounds.len());
            // What was put off has its turn later.
            let is_put_off = self.put_off.iter().any(|(other, _)| other == value);
            had.is_some_and(|had| had < patience) && !self.too_long.contains(value) && !is_put_off
        });
        let wide = gaps.into_iter().filter(|(from, to)| {
            // Beside what cannot be told, half of the width that is wanted is near enough.
            core.is_none() || width(*from, *to) > self.rules.width / 2.0
        });
        let middle = wide.max_by(|a, b| width(a.0, a.1).total_cmp(&width(b.0, b.1)));
        let middle = middle.and_then(|(from, to)| self.between(from, to));
        let Some(value) = unfinished.or(middle) else { return Ok(None) };
        let faster = self.look(value, patience)?;
        // The same value would be the next again.
        if faster == Faster::Failed || self.too_long.contains(&value) {
            return Ok(None);
        }
        let (low, high) = match faster {
            same if same == below => (value, high),
            Faster::First | Faster::Second => (low, value),
            _ => (low, high),
        };
        Ok(Some(Change { low, high, core: self.core(low, high), ..change.clone() }))
    }

    /// A value in the middle between two, on a logarithmic scale; above 0 a tenth of the upper one. `None` if there is none.
    fn between(&self, low: f64, high: f64) -> Option<f64> {
        const LEAST_PART: f64 = 1e-6;
        let top = self.rules.grid.last().copied().unwrap_or(high);
        let middle = if low > 0.0 { (low * high).sqrt() } else { high / 10.0 };
        let value = (self.rules.nearest)(middle);
        (value > low && value < high && value >= top * LEAST_PART).then_some(value)
    }

    fn crossing(&self, change: Change) -> Crossing {
        let Change { low, high, below, patience, .. } = change;
        // Where values beyond an end do not tell although that end did, its rounds were luckier than the crossing is sharp, as
        // where one of the two has good times and bad times: then the crossing is known no better than by the next that tells.
        let beneath = self.points.iter().rev().filter(|point| point.value < low);
        let above = self.points.iter().filter(|point| point.value > high);
        let over = if below == Faster::First { Faster::Second } else { Faster::First };
        let (low, high) = (beyond_untold(low, below, beneath), beyond_untold(high, over, above));
        let not_distinguished = self.untold(low, high, patience);
        Crossing { low, high, estimate: self.root(low, high), below, not_distinguished }
    }

    /// Where a straight line through the medians between `low` and `high` is 0, each as heavy as it has rounds.
    fn root(&self, low: f64, high: f64) -> f64 {
        let scale = |value: f64| if low > 0.0 { value.ln() } else { value };
        let unscale = |value: f64| if low > 0.0 { value.exp() } else { value };
        let inside = self.points.iter().filter(|point| point.value >= low && point.value <= high);
        let measured: Vec<(f64, f64, f64)> = inside
            .filter(|point| !point.rounds.is_empty())
            .map(|point| {
                let mut rounds = point.rounds.clone();
                rounds.sort_unstable_by(f64::total_cmp);
                (scale(point.value), rounds[rounds.len() / 2], rounds.len() as f64)
            })
            .collect();
        let weight: f64 = measured.iter().map(|(_, _, weight)| weight).sum();
        let mean = |of: fn(&(f64, f64, f64)) -> f64| {
            measured.iter().map(|point| of(point) * point.2).sum::<f64>() / weight
        };
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let product: f64 = measured.iter().map(|point| (point.0 - x) * (point.1 - y) * point.2).sum();
        let square: f64 = measured.iter().map(|point| (point.0 - x).powi(2) * point.2).sum();
        let root = unscale(x - y * square / product);
        if root.is_finite() { root.clamp(low, high) } else { unscale((scale(low) + scale(high)) / 2.0) }
    }
}

/// Of `points`, which follow `end` where `faster` is, the last that tells the same and has another in front of it that does not tell;
/// `end` if the first one tells.
fn beyond_untold<'a>(end: f64, faster: Faster, points: impl Iterator<Item = &'a Point>) -> f64 {
    let mut end = end;
    let mut passed = false;
    for point in points {
        if !point.faster.is_known() {
            passed = true;
        } else if passed && point.faster == faster {
            (end, passed) = (point.value, false);
        } else {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests;
