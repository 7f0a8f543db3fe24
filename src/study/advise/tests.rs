//! Races whose best is known, in noise that is known.

use std::convert::Infallible;

use super::*;
use crate::seed::Rng;

/// Runners whose true times are known.
struct Truth {
    seconds: Vec<f64>,
    noise: f64,
    rng: Rng,
    left: f64,
    rounds: Vec<usize>,
    /// How many times as long as a round it takes to have it.
    overhead: f64,
    /// Whose first round a busy machine makes longer, and by how much.
    disturbed: Option<(usize, f64)>,
}

/// Those who should take so many seconds, and of which kind `kind` says each is.
fn entrants(expected: &[f64], kind: fn(usize) -> usize) -> Vec<Entrant> {
    let all = expected.iter().enumerate();
    all.map(|(at, expected)| Entrant { expected: *expected, kind: kind(at) }).collect()
}

fn alike(expected: &[f64]) -> Vec<Entrant> {
    entrants(expected, |_| 0)
}

impl Truth {
    fn new(seconds: Vec<f64>, noise: f64, seed: u64, left: f64) -> Self {
        let rounds = vec![0; seconds.len()];
        Self { seconds, noise, rng: Rng::new(seed), left, rounds, overhead: 1.0, disturbed: None }
    }

    fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.rng.next_f64(), self.rng.next_f64());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

impl Arena for Truth {
    type Error = Infallible;

    fn round(&mut self, which: &[usize], patience: f64) -> Result<Vec<(usize, Took)>, Infallible> {
        let shared = self.normal();
        let mut took = Vec::new();
        for at in which {
            if self.left <= 0.0 {
                break;
            }
            let mut seconds = self.seconds[*at] * (self.noise * (shared + self.normal())).exp();
            if let Some((_, delay)) = self.disturbed.take_if(|(who, _)| who == at) {
                seconds += delay;
            }
            self.left -= seconds.min(patience) * self.overhead;
            self.rounds[*at] += 1;
            let outcome = if seconds > patience { Took::Longer(patience) } else { Took::Seconds(seconds) };
            took.push((*at, outcome));
        }
        Ok(took)
    }

    fn warm_up(&mut self, which: usize, patience: f64) -> Result<Option<Took>, Infallible> {
        Ok(self.round(&[which], patience)?.first().map(|(_, took)| *took))
    }

    fn seconds_left(&self) -> f64 {
        self.left
    }
}

/// How much slower than the best the one is that a race is led by in the end, in each of `cases`.
fn regrets(noise: f64, seconds: f64, cases: u64) -> Vec<f64> {
    let regret = |case: u64| {
        let mut rng = Rng::for_item(17, case);
        let count = 8 + rng.below(8) as usize;
        let times: Vec<f64> = (0..count).map(|_| 0.1 * (1.0 + 3.0 * rng.next_f64())).collect();
        // Estimates from a few tasks are wrong by a factor of up to two, either way.
        let expected: Vec<f64> =
            times.iter().map(|time| time * 2_f64.powf(2.0 * rng.next_f64() - 1.0)).collect();
        let best = times.iter().copied().fold(f64::INFINITY, f64::min);
        let runners =
            race(&mut Truth::new(times.clone(), noise, case, seconds), &alike(&expected), 3).unwrap();
        times[alive(&runners)[0]] / best - 1.0
    };
    (0..cases).map(regret).collect()
}

#[test]
fn the_leader_in_the_end_is_within_five_percent_of_the_best() {
    for (noise, seconds) in [(0.02, 30.0), (0.05, 30.0), (0.1, 60.0), (0.02, 10.0)] {
        let regrets = regrets(noise, seconds, 300);
        let good = regrets.iter().filter(|regret| **regret <= 0.05).count() as f64 / regrets.len() as f64;
        assert!(good >= 0.95, "noise {noise}, {seconds} s: {good}");
    }
}

#[test]
fn the_best_is_hardly_ever_given_up() {
    let mut lost = 0;
    for case in 0..300 {
        let times = vec![0.1, 0.101, 0.102, 0.11, 0.12, 0.2, 0.5];
        let runners = race(&mut Truth::new(times.clone(), 0.05, case, 60.0), &alike(&times), 3).unwrap();
        lost += usize::from(runners[0].gave_up.is_some());
    }
    assert!(lost <= 9, "{lost} of 300");
}

#[test]
fn losers_cost_little() {
    let mut times = vec![0.5; 10];
    times[3] = 0.1;
    let mut arena = Truth::new(times.clone(), 0.02, 1, 60.0);
    let runners = race(&mut arena, &alike(&times), 3).unwrap();
    assert_eq!(alive(&runners), [3]);
    assert!(arena.rounds.iter().sum::<usize>() <= 30, "{:?}", arena.rounds);
}

#[test]
fn what_would_take_for_ever_is_not_begun_and_what_was_underrated_is_ended() {
    let mut arena = Truth::new(vec![0.1, 1000.0, 0.12, 50.0], 0.01, 1, 20.0);
    let runners = race(&mut arena, &alike(&[0.1, 900.0, 0.12, 0.3]), 3).unwrap();
    assert_eq!(runners[1].gave_up, Some(Reason::Estimate));
    assert_eq!(runners[3].gave_up, Some(Reason::Capped));
    assert_eq!(arena.rounds[1], 0);
    assert!(arena.left > 0.0, "the rest of the time was there for the others");
}

#[test]
fn a_short_time_is_spent_on_few() {
    let times: Vec<f64> = (0..16).map(|place| 1.0 + 0.1 * f64::from(place)).collect();
    let mut arena = Truth::new(times.clone(), 0.01, 1, 45.0);
    let runners = race(&mut arena, &alike(&times), 3).unwrap();
    assert!(runners.iter().any(|runner| runner.gave_up == Some(Reason::NoTime)));
    assert!(runners[0].gave_up.is_none() && runners[0].rounds.len() >= 3, "{runners:?}");
    assert!(arena.left > -5.0);
}

#[test]
fn a_machine_that_is_busy_for_a_moment_costs_nobody_the_race() {
    let times = vec![0.02, 0.03, 0.03, 0.05];
    for case in 0..50 {
        // Another is expected to be the best, so that it is a round that counts which is disturbed.
        let expected = [0.02, 0.019, 0.03, 0.05];
        let disturbed = Some((0, 0.2));
        let mut arena = Truth { disturbed, ..Truth::new(times.clone(), 0.05, case, 30.0) };
        let runners = race(&mut arena, &alike(&expected), 2).unwrap();
        assert_eq!(alive(&runners).first(), Some(&0), "{runners:?}");
    }
}

#[test]
fn nobody_leaves_for_want_of_time_after_a_single_round_if_there_is_time_for_another() {
    let times: Vec<f64> = (0..16).map(|place| 1.0 + 0.02 * f64::from(place)).collect();
    let runners = race(&mut Truth::new(times.clone(), 0.02, 1, 110.0), &alike(&times), 3).unwrap();
    assert!(runners.iter().any(|runner| runner.gave_up == Some(Reason::NoTime)), "{runners:?}");
    assert!(runners.iter().all(|runner| runner.rounds.len() >= 2), "{runners:?}");
}

#[test]
fn no_kind_goes_for_want_of_time_because_of_a_single_round_that_was_disturbed() {
    // One pool, which is the best by far, among those of which one is like the other; there is time for three rounds of all.
    let times = [2.0, 2.1, 2.2, 2.3, 1.5];
    let two_kinds = entrants(&times, |at| usize::from(at == 4));
    for case in 0..50 {
        let disturbed = Some((4, 1.5));
        let mut arena = Truth { disturbed, ..Truth::new(times.to_vec(), 0.01, case, 30.0) };
        // Another is expected to be the best, so that it is a round that counts which is disturbed.
        let mut entrants = two_kinds.clone();
        entrants[0].expected = 1.4;
        let runners = race(&mut arena, &entrants, 2).unwrap();
        assert_eq!(alive(&runners).first(), Some(&4), "{runners:?}");
        assert!(runners[2].gave_up.is_some(), "some had to go: {runners:?}");
    }
}

#[test]
fn what_a_round_costs_besides_itself_is_reckoned_with() {
    let times: Vec<f64> = (0..8).map(|place| 0.1 + 0.01 * f64::from(place)).collect();
    for overhead in [2.0, 5.0] {
        let mut arena = Truth { overhead, ..Truth::new(times.clone(), 0.01, 1, 12.0) };
        let runners = race(&mut arena, &alike(&times), 2).unwrap();
        assert!(arena.left > -1.0, "{overhead}: {}", arena.left);
        assert!(runners[0].gave_up.is_none() && runners[0].rounds.len() >= 3, "{overhead}: {runners:?}");
    }
}

#[test]
fn a_first_round_that_is_cut_off_is_all_that_is_known() {
    let times = vec![1.0, 1.1, 1.2, 1.3];
    // They look short, so that all of them are let in.
    let runners = race(&mut Truth::new(times, 0.01, 1, 3.5), &alike(&[0.1, 0.11, 0.12, 0.13]), 2).unwrap();
    let (had, others): (Vec<&Runner>, Vec<&Runner>) =
        runners.iter().partition(|runner| !runner.rounds.is_empty());
    assert!(!had.is_empty() && !others.is_empty(), "{runners:?}");
    assert!(others.iter().all(|runner| runner.gave_up.is_some()), "{runners:?}");
}

#[test]
fn the_next_is_the_fastest_of_those_who_left_after_a_round_or_were_not_let_in() {
    let runner =
        |seconds: &[f64], gave_up| Runner { kind: 0, expected: 0.1, rounds: seconds.to_vec(), gave_up };
    let runners = [
        runner(&[1.0, 1.0], None),
        runner(&[4.0, 3.0, 5.0], Some(Reason::Slower)),
        runner(&[3.5], Some(Reason::MuchSlower)),
        runner(&[], Some(Reason::Capped)),
    ];
    assert_eq!(fastest_given_up(&runners), Some(2));
    assert_eq!(fastest_given_up(&runners[..1]), None);
    assert_eq!(fastest_given_up(&runners[3..]), None);
    let outside = runner(&[], Some(Reason::Estimate));
    assert_eq!(fastest_given_up(&[runners[0].clone(), runners[3].clone(), outside]), Some(2));
}
