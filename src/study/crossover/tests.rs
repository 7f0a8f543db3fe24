//! Crossings that are known, in noise that is known.

use std::convert::Infallible;

use super::*;
use crate::plan::vary::{Key, Range};
use crate::seed::Rng;

/// Two strategies whose true ratio is known, in noise.
struct Truth<F> {
    ratio: F,
    noise: f64,
    /// Every so many rounds, one is disturbed by so much.
    disturbed: Option<(u64, f64)>,
    rng: Rng,
    rounds: usize,
    most: usize,
    /// There is no time for larger values.
    too_long_above: f64,
    /// Tasks fail there.
    fails_at: f64,
}

impl<F: Fn(f64) -> f64> Truth<F> {
    fn new(ratio: F, noise: f64, seed: u64) -> Self {
        let (rounds, most) = (0, usize::MAX);
        let (too_long_above, fails_at) = (f64::INFINITY, f64::NAN);
        Self { ratio, noise, disturbed: None, rng: Rng::new(seed), rounds, most, too_long_above, fails_at }
    }
}

impl<F: Fn(f64) -> f64> Measure for Truth<F> {
    type Error = Infallible;

    fn rounds(&mut self, value: f64, wanted: usize) -> Result<Measured, Infallible> {
        if value > self.too_long_above || value == self.fails_at {
            let ended = if value == self.fails_at { Ended::TasksFailed } else { Ended::TooLong };
            return Ok(Measured { rounds: Vec::new(), ended: Some(ended) });
        }
        let rounds = wanted.min(self.most - self.rounds);
        self.rounds += rounds;
        let truth = (self.ratio)(value);
        let mut round = || {
            let (u, v) = (1.0 - self.rng.next_f64(), self.rng.next_f64());
            let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            let disturbance = self.disturbed.filter(|(every, _)| self.rng.below(*every) == 0);
            let side = if self.rng.below(2) == 0 { 1.0 } else { -1.0 };
            truth + self.noise * normal + disturbance.map_or(0.0, |(_, by)| by * side)
        };
        let ended = (rounds < wanted).then_some(Ended::OutOfTime);
        Ok(Measured { rounds: (0..rounds).map(|_| round()).collect(), ended })
    }
}

fn key() -> &'static Key {
    Key::find("io-wait").unwrap()
}

fn nearest(value: f64) -> f64 {
    key().number(&key().rounded(value)).unwrap()
}

fn rules(low: f64, high: f64) -> Rules {
    let grid = Range { low, high }.spread_out(key(), Some(7));
    Rules { grid, nearest, width: 0.1, most_rounds: 40 }
}

/// The share of `cases` in which exactly one crossing is found and its interval has the true one in it; and the typical width.
fn coverage(slope: f64, noise: f64, disturbed: Option<(u64, f64)>, cases: u64) -> (f64, f64) {
    let mut covered = 0;
    let mut widths = Vec::new();
    for case in 0..cases {
        let truth = 1e-3 * 10_f64.powf(0.3 + 2.4 * Rng::for_item(99, case).next_f64());
        let mut measure = Truth::new(|value: f64| slope * (value / truth).ln(), noise, case);
        measure.disturbed = disturbed;
        let found = find(&mut measure, &rules(1e-3, 1.0)).unwrap();
        if let [crossing] = found.crossings.as_slice() {
            assert_eq!(crossing.below, Faster::First);
            assert!(crossing.low <= crossing.estimate && crossing.estimate <= crossing.high);
            covered += u64::from(crossing.low <= truth && truth <= crossing.high);
            widths.push(width(crossing.low, crossing.high));
        }
    }
    widths.sort_by(f64::total_cmp);
    (covered as f64 / cases as f64, widths[widths.len() / 2])
}

#[test]
fn the_true_crossing_is_within_the_interval() {
    for (slope, noise, disturbed) in [
        (1.0, 0.02, None),
        (1.0, 0.1, None),
        (0.3, 0.05, None),
        (0.3, 0.2, None),
        (0.1, 0.1, None),
        (0.5, 0.05, Some((10, 3.0))),
        (0.5, 0.1, Some((4, 1.0))),
    ] {
        let (share, width) = coverage(slope, noise, disturbed, 400);
        assert!(share >= 0.95, "slope {slope}, noise {noise}, {disturbed:?}: {share}, width {width}");
    }
}

/// [`Truth`] on a machine that is busy for several rounds in a row, now and then.
struct Bursts<F> {
    truth: Truth<F>,
    left: usize,
    by: f64,
}

impl<F: Fn(f64) -> f64> Measure for Bursts<F> {
    type Error = Infallible;

    fn rounds(&mut self, value: f64, wanted: usize) -> Result<Measured, Infallible> {
        const EVERY: u64 = 40;
        const LONG: usize = 5;
        let mut measured = self.truth.rounds(value, wanted)?;
        for round in &mut measured.rounds {
            if self.left == 0 && self.truth.rng.below(EVERY) == 0 {
                self.left = LONG;
                self.by = if self.truth.rng.below(2) == 0 { 1.0 } else { -1.0 };
            }
            *round += if self.left > 0 { self.by } else { 0.0 };
            self.left = self.left.saturating_sub(1);
        }
        Ok(measured)
    }
}

/// Five rounds in a row, of forty or so, are off by a factor of 2.7 to one side.
#[test]
fn a_machine_that_is_busy_for_several_rounds_does_not_decide() {
    const CASES: u64 = 400;
    let mut covered = 0;
    for case in 0..CASES {
        let truth = 1e-3 * 10_f64.powf(0.3 + 2.4 * Rng::for_item(99, case).next_f64());
        let of = Truth::new(|value: f64| 0.5 * (value / truth).ln(), 0.05, case);
        let found = find(&mut Bursts { truth: of, left: 0, by: 0.0 }, &rules(1e-3, 1.0)).unwrap();
        let is_within = |crossing: &Crossing| crossing.low <= truth && truth <= crossing.high;
        covered += u64::from(matches!(found.crossings.as_slice(), [crossing] if is_within(crossing)));
    }
    let share = covered as f64 / CASES as f64;
    assert!(share >= 0.95, "{share}");
}

/// Where one who was told by three rounds is told otherwise by the next, and there is no time for more, nobody is told.
#[test]
fn what_the_last_rounds_contradict_is_not_told() {
    struct Changes(usize);
    impl Measure for Changes {
        type Error = Infallible;

        fn rounds(&mut self, value: f64, wanted: usize) -> Result<Measured, Infallible> {
            self.0 += wanted;
            // Both ends and a grid between them were told; then the first end is asked again.
            let is_again = value == 1e-3 && self.0 > 3;
            let ratio = if value < 0.1 && !is_again { -1.0 } else { 1.0 };
            let rounds = if is_again { 1 } else { wanted };
            let ended = is_again.then_some(Ended::OutOfTime);
            Ok(Measured { rounds: vec![ratio; rounds], ended })
        }
    }
    let found = find(&mut Changes(0), &rules(1e-3, 1.0)).unwrap();
    let first = found.points.first().unwrap();
    assert_eq!((first.value, first.rounds.len(), first.faster), (1e-3, 4, Faster::TooFewRounds));
    assert!(found.out_of_time);
    assert_eq!(found.crossings.len(), 1, "the others are told as before");
}

#[test]
fn a_steep_crossing_is_found_as_narrowly_as_asked_for() {
    let (_, width) = coverage(1.0, 0.02, None, 100);
    assert!(width <= 0.12, "{width}");
}

#[test]
fn rounds_are_spent_near_the_crossing() {
    let mut measure = Truth::new(|value: f64| 0.5 * (value / 0.02).ln(), 0.1, 3);
    let found = find(&mut measure, &rules(1e-3, 1.0)).unwrap();
    let near = |point: &&Point| (point.value / 0.02).ln().abs() < 0.7;
    let near: usize = found.points.iter().filter(near).map(|point| point.rounds.len()).sum();
    assert!(near * 2 > measure.rounds, "{near} of {}", measure.rounds);
    assert!(measure.rounds < 400, "{}", measure.rounds);
}

#[test]
fn none_is_found_where_there_is_none() {
    let mut found_any = 0;
    for seed in 0..200 {
        let mut measure = Truth::new(|_| 0.1, 0.05, seed);
        let found = find(&mut measure, &rules(1e-3, 1.0)).unwrap();
        found_any += usize::from(!found.crossings.is_empty());
        assert!(found.points.iter().any(|point| point.faster == Faster::Second));
    }
    assert!(found_any <= 4, "{found_any} of 200");
}

#[test]
fn equals_are_not_distinguished_and_have_no_crossing() {
    let mut found_any = 0;
    for seed in 0..200 {
        let found = find(&mut Truth::new(|_| 0.0, 0.05, seed), &rules(1e-3, 1.0)).unwrap();
        found_any += usize::from(!found.crossings.is_empty());
    }
    assert!(found_any <= 5, "{found_any} of 200");
}

#[test]
fn two_crossings_are_both_found() {
    let mut covered = 0;
    for seed in 0..100 {
        let (one, two) = (3e-3_f64, 0.2_f64);
        let ratio = |value: f64| 0.2 * (value / one).ln() * (value / two).ln();
        let found = find(&mut Truth::new(ratio, 0.05, seed), &rules(1e-3, 1.0)).unwrap();
        if let [first, second] = found.crossings.as_slice() {
            assert_eq!((first.below, second.below), (Faster::Second, Faster::First));
            let has = |crossing: &Crossing, truth: f64| crossing.low <= truth && truth <= crossing.high;
            covered += u64::from(has(first, one) && has(second, two));
        }
    }
    assert!(covered >= 92, "{covered} of 100");
}

#[test]
fn a_range_from_zero_is_searched_down_to_where_it_turns() {
    for truth in [0.3, 0.01, 2e-4] {
        let ratio = |value: f64| ((value + 0.01 * truth) / truth).ln();
        let found = find(&mut Truth::new(ratio, 0.02, 5), &rules(0.0, 1.0)).unwrap();
        let [crossing] = found.crossings.as_slice() else { panic!("{found:?}") };
        assert!(crossing.low <= truth && truth <= crossing.high, "{truth}: {crossing:?}");
        assert!(width(crossing.low, crossing.high) < 0.3, "{crossing:?}");
    }
}

/// [`Truth`] where a round at the largest values costs nearly all of the time.
struct Dear<F> {
    truth: Truth<F>,
    left: f64,
}

impl<F: Fn(f64) -> f64> Measure for Dear<F> {
    type Error = Infallible;

    fn rounds(&mut self, value: f64, wanted: usize) -> Result<Measured, Infallible> {
        let affordable = (self.left / value) as usize;
        let rounds = wanted.min(affordable);
        self.left -= rounds as f64 * value;
        let measured = self.truth.rounds(value, rounds)?;
        Ok(Measured { ended: (rounds < wanted).then_some(Ended::OutOfTime), ..measured })
    }

    fn affords(&self, value: f64, rounds: usize) -> bool {
        rounds as f64 * value <= self.left / 4.0
    }
}

/// A pool gains less than a factor of two on two cores, so that three rounds do not tell there; each costs a thousand times as
/// much as one where it turns.
#[test]
fn an_end_that_costs_much_does_not_keep_a_crossing_from_being_found() {
    let ratio = |value: f64| (value / 1e-3).ln().clamp(-0.6, 0.6);
    for seed in 0..50 {
        let mut measure = Dear { truth: Truth::new(ratio, 0.05, seed), left: 8.0 };
        let found = find(&mut measure, &rules(1e-5, 1.0)).unwrap();
        let [crossing] = found.crossings.as_slice() else { panic!("{found:?}") };
        assert!(crossing.low <= 1e-3 && 1e-3 <= crossing.high, "{crossing:?}");
        assert!(width(crossing.low, crossing.high) <= 0.3, "{crossing:?}");
        // What is left is spent on the end, and does not suffice.
        let end = found.points.last().unwrap();
        assert!(found.out_of_time && end.faster == Faster::TooFewRounds && end.rounds.len() > 3, "{end:?}");
    }
}

#[test]
fn when_the_time_is_up_the_interval_is_as_wide_as_what_is_known() {
    let mut measure = Truth::new(|value: f64| (value / 0.02).ln(), 0.01, 1);
    measure.most = 30;
    let found = find(&mut measure, &rules(1e-3, 1.0)).unwrap();
    assert!(found.out_of_time && measure.rounds <= 30);
    for crossing in &found.crossings {
        assert!(crossing.low <= 0.02 && 0.02 <= crossing.high, "{crossing:?}");
    }
}

/// An end that told by luck, with values beyond it that do not: the crossing is no sharper than those.
#[test]
fn an_interval_reaches_over_values_that_do_not_tell() {
    let point = |value: f64, faster| Point { value, rounds: Vec::new(), faster };
    let (known, unknown) = (Faster::Second, Faster::NotDistinguished);
    let points = [
        point(47.0, unknown),
        point(100.0, unknown),
        point(261.0, known),
        point(300.0, unknown),
        point(316.0, known),
        point(464.0, known),
        point(500.0, unknown),
        point(600.0, known),
    ];
    assert_eq!(beyond_untold(39.0, known, points.iter()), 316.0);
    assert_eq!(beyond_untold(261.0, known, points[4..].iter()), 261.0);
    assert_eq!(beyond_untold(1.0, known, [].iter()), 1.0);
    // An end of the range that does not tell either.
    assert_eq!(beyond_untold(39.0, known, points[..2].iter()), 39.0);
    // What lies beyond is the next crossing's.
    assert_eq!(beyond_untold(39.0, Faster::First, points.iter()), 39.0);
}

/// After the ends have told, there is time for nothing else: of all values between them nothing is known.
#[test]
fn a_value_without_rounds_is_not_one_at_which_they_are_not_distinguished() {
    let mut measure = Truth::new(|value: f64| (value / 0.02).ln(), 0.01, 1);
    measure.most = 6;
    let found = find(&mut measure, &rules(1e-3, 1.0)).unwrap();
    assert_eq!(found.points.len(), 2);
    let [crossing] = found.crossings.as_slice() else { panic!("{found:?}") };
    assert_eq!((crossing.low, crossing.high, crossing.not_distinguished), (1e-3, 1.0, None));
}

#[test]
fn a_value_with_too_few_rounds_is_not_one_at_which_they_are_not_distinguished() {
    let mut measure = Truth::new(|_| 0.0, 0.05, 1);
    // Enough for a few rounds at all seven values, and for the coarse look at both ends and at one more; the ends were to have more.
    measure.most = 60;
    let found = find(&mut measure, &rules(1e-3, 1.0)).unwrap();
    let kinds: Vec<(usize, Faster)> =
        found.points.iter().map(|point| (point.rounds.len(), point.faster)).collect();
    let too_few = |rounds| (rounds, Faster::TooFewRounds);
    let (ends, few) = (too_few(15), too_few(3));
    assert_eq!(kinds, [ends, (15, Faster::NotDistinguished), too_few(6), few, few, few, ends]);
}

#[test]
fn values_for_which_the_time_is_too_short_are_left_out_and_the_others_are_looked_at() {
    let mut measure = Truth::new(|value: f64| (value / 0.02).ln(), 0.01, 1);
    measure.too_long_above = 0.5;
    let found = find(&mut measure, &rules(1e-3, 1.0)).unwrap();
    let [crossing] = found.crossings.as_slice() else { panic!("{found:?}") };
    assert!(crossing.low <= 0.02 && 0.02 <= crossing.high && width(crossing.low, crossing.high) <= 0.12);
    assert!(found.out_of_time && found.points.iter().all(|point| point.value <= 0.5));
}

#[test]
fn where_tasks_fail_nobody_is_faster_and_the_search_ends() {
    let mut measure = Truth::new(|value: f64| (value / 0.02).ln(), 0.01, 1);
    // The middle of the grid.
    measure.fails_at = rules(1e-3, 1.0).grid[3];
    let found = find(&mut measure, &rules(1e-3, 1.0)).unwrap();
    let failed: Vec<f64> =
        found.points.iter().filter(|point| point.faster == Faster::Failed).map(|point| point.value).collect();
    assert_eq!(failed, [measure.fails_at]);
    assert!(!found.out_of_time);
}

#[test]
fn evidence_is_what_a_bet_would_win() {
    // By hand: 2⁹ / 10, 2⁴ / (5 · 6).
    assert!((evidence(9, 0) - 51.2).abs() < 1e-9);
    assert!((evidence(2, 2) - 16.0 / 30.0).abs() < 1e-12);
    assert_eq!(judge(&[0.1; 11]), Faster::Second);
    assert_eq!(judge(&[0.1; 10]), Faster::NotDistinguished);
    assert_eq!(judge(&[-1.0; 3]), Faster::First);
    assert_eq!(judge(&[]), Faster::NotDistinguished);
}

#[test]
fn nothing_is_found_more_often_than_promised_however_often_one_looks() {
    let mut rng = Rng::new(5);
    let ever = |rng: &mut Rng| {
        let mut rounds = Vec::new();
        (0..200).any(|_| {
            rounds.push(if rng.below(2) == 0 { 0.1 } else { -0.1 });
            judge(&rounds) != Faster::NotDistinguished
        })
    };
    let wrong = (0..2000).filter(|_| ever(&mut rng)).count();
    assert!(wrong <= 20, "{wrong} of 2000 are more than 1 %");
}
