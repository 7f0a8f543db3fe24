//! The order of rounds, and how many of them.

use std::time::Duration;

use crate::measure::bystander::NAP;
use crate::plan::RunSpec;
use crate::seed::Rng;

/// What a round is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A few tasks are tried, to know how long all will take.
    Pilot,
    /// Memory is measured; accounting for it slows things down, so time is not.
    Memory,
    /// Nothing is measured.
    WarmUp,
    /// Time is measured.
    Timed,
}

/// The order of `strategies` strategies in round `round`: drawn from the seed, so that none always follows the same
/// other one.
pub fn order(strategies: usize, seed: u64, phase: Phase, round: u64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..strategies).collect();
    let stream = match phase {
        Phase::Pilot => 0,
        Phase::Memory => 1,
        Phase::WarmUp => 2,
        Phase::Timed => 3,
    };
    Rng::for_item(seed ^ (stream << 56), round).shuffle(&mut places);
    places
}

/// How long the bystander's first nap is in round `round`, of whichever strategy: up to [`NAP`], drawn from the seed.
pub fn first_nap(seed: u64, round: u64) -> Duration {
    const STREAM: u64 = 4 << 56;
    NAP.mul_f64(1.0 - Rng::for_item(seed ^ STREAM, round).next_f64())
}

/// The time that the rounds of one strategy may take.
#[derive(Debug)]
pub struct Budget {
    left_seconds: Option<f64>,
    rounds: u64,
    spent_seconds: f64,
}

impl Budget {
    /// What `run` allows each strategy.
    pub fn new(run: &RunSpec) -> Self {
        Self { left_seconds: run.time_budget_seconds, rounds: 0, spent_seconds: 0.0 }
    }

    /// Whether another round as long as those before fits. The first one always does.
    pub fn allows_another(&self) -> bool {
        match self.left_seconds {
            Some(left) if self.rounds > 0 => self.spent_seconds / self.rounds as f64 <= left,
            _ => true,
        }
    }

    /// Notes a round that took `seconds`.
    pub fn spend(&mut self, seconds: f64) {
        self.rounds += 1;
        self.spent_seconds += seconds;
        self.left_seconds = self.left_seconds.map(|left| left - seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(time_budget_seconds: Option<f64>) -> RunSpec {
        RunSpec {
            rounds: 10,
            warmup: 1,
            time_budget_seconds,
            seed: 1,
            baseline: "serial".into(),
            margin: 0.01,
            precision: None,
            overhead: false,
            memory_method: crate::measure::memory::Choice::Auto,
            latency: true,
            on_failure: crate::workload::OnFailure::Continue,
            python: None,
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_order_and_every_strategy_comes_first_sometimes() {
        let orders: Vec<_> = (1..=40).map(|round| order(4, 7, Phase::Timed, round)).collect();
        assert_eq!(orders, (1..=40).map(|round| order(4, 7, Phase::Timed, round)).collect::<Vec<_>>());
        for strategy in 0..4 {
            assert!(orders.iter().any(|order| order[0] == strategy));
        }
    }

    #[test]
    fn at_least_one_round_is_run_however_small_the_budget() {
        let mut budget = Budget::new(&run(Some(1.0)));
        assert!(budget.allows_another());
        budget.spend(100.0);
        assert!(!budget.allows_another());
    }

    #[test]
    fn a_round_that_would_not_fit_is_not_begun() {
        let mut budget = Budget::new(&run(Some(10.0)));
        budget.spend(4.0);
        assert!(budget.allows_another());
        budget.spend(4.0);
        assert!(!budget.allows_another(), "2 s are left, a round takes 4 s");
    }

    #[test]
    fn without_a_budget_rounds_are_all_that_counts() {
        let mut budget = Budget::new(&run(None));
        budget.spend(1e6);
        assert!(budget.allows_another());
    }
}
