//! What is done where the time is short: as many stages as it takes to halve those who are left, each with the same time.
//!
//! Whoever goes after a stage is judged by all rounds so far, and by as many as fitted into it. Halving at once what does not
//! fit would be judging by a single round, of which a busy machine decides.

use super::{ENOUGH_ROUNDS, Reason, Runner, alive};
use crate::experiment::course::Took;

/// Of so many rounds not all were disturbed.
const SURE_ROUNDS: usize = 2;

/// A race in stages.
pub struct Stages {
    keep: usize,
    /// What is left, in seconds, when the present stage is over; infinite while there is none.
    over: f64,
    /// Whether a round was run in it.
    has_round: bool,
    /// How many times as long as the rounds themselves it takes to have them: processes are started, results are checked.
    cost: f64,
}

impl Stages {
    /// A race in which at most `keep` may be left when time is short.
    pub fn new(keep: usize) -> Self {
        Self { keep: keep.max(1), over: f64::INFINITY, has_round: true, cost: 1.0 }
    }

    /// Learns what a round costs of which `took` were in it and that took `seconds` altogether.
    pub fn note_cost(&mut self, seconds: f64, took: &[(usize, Took)]) {
        self.has_round = true;
        let measured: f64 = took
            .iter()
            .map(|(_, took)| match took {
                Took::Seconds(of) | Took::Longer(of) => *of,
            })
            .sum();
        if measured > 0.0 && seconds.is_finite() {
            self.cost = (seconds / measured).max(1.0);
        }
    }

    /// Lets the slower half go, as often as it takes for a round of the others to fit into the present stage, unless there is
    /// time for enough rounds of all. `number` rounds have been run.
    pub fn make_time(&mut self, runners: &mut [Runner], seconds_left: f64, number: usize) {
        loop {
            let left = alive(runners);
            let one_of_each = self.cost * left.iter().map(|at| runners[*at].typical_seconds()).sum::<f64>();
            let missing = ENOUGH_ROUNDS.saturating_sub(number).max(1) as f64;
            // By estimates alone, only what does not fit at all is let go.
            let missing = if number == 0 { 1.0 } else { missing };
            if left.len() <= self.keep || one_of_each * missing <= seconds_left {
                self.over = f64::INFINITY;
                return;
            }
            let begins = self.over >= seconds_left;
            if begins {
                self.over = seconds_left * (1.0 - 1.0 / self.to_come(left.len()));
                self.has_round = number == 0;
            }
            let fits = one_of_each <= seconds_left - self.over;
            // A stage without a round would be none, as long as the round leaves time for others.
            if fits || (!self.has_round && one_of_each <= seconds_left / 3.0) {
                return;
            }
            let staying = self.staying(runners, &left, seconds_left, number);
            for at in left.iter().filter(|at| !staying.contains(at)) {
                runners[*at].gave_up = Some(Reason::NoTime);
            }
            if staying.len() == left.len() {
                return;
            }
            self.over = seconds_left;
        }
    }

    /// Which of `left`, the fastest first, stay when the slower half goes: that, and where nobody has had [`SURE_ROUNDS`] and
    /// there is time for another of each, the best of every kind.
    fn staying(&self, runners: &[Runner], left: &[usize], seconds_left: f64, number: usize) -> Vec<usize> {
        let (faster, slower) = left.split_at(left.len().div_ceil(2).max(self.keep));
        let mut staying = faster.to_vec();
        for at in slower {
            if staying.iter().all(|other| runners[*other].kind != runners[*at].kind) {
                staying.push(*at);
            }
        }
        let one_of_each = self.cost * staying.iter().map(|at| runners[*at].typical_seconds()).sum::<f64>();
        if number >= SURE_ROUNDS || one_of_each > seconds_left {
            staying.truncate(faster.len());
        }
        staying
    }

    /// Stages that are to come while `count` are left.
    fn to_come(&self, count: usize) -> f64 {
        (count as f64 / self.keep as f64).log2().ceil().max(1.0) + 1.0
    }
}
