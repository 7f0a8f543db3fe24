//! The statistics against known truth: many simulated benchmarks, and how often what is said of them is
//! right. `cargo test --test statistics -- --nocapture` prints the tables.
//!
//! Everything runs the production code. Only the ranks are drawn once for each number of rounds and each
//! of a few seeds, since they do not depend on the sample.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use proptest::prelude::*;

use procbench::seed::Rng;
use procbench::stats::{
    Comparison, DEFAULT_MARGIN, DRIFT_LEVEL, MedianRanks, RankPairs, Verdict, compare,
    compare_independent_with, compare_with, drifts, slow_first_round, spread, summarise, summarise_with,
    trend,
};

const ROUNDS: [usize; 11] = [5, 6, 7, 8, 9, 10, 12, 15, 20, 30, 50];

/// Simulated benchmarks for each cell of a table: the standard error of a 95 % share is 0.22 %. The table
/// in the documentation of `procbench::stats` is from 200,000, and 16 seeds of resampling.
const BENCHMARKS: u64 = 10_000;

/// Seeds of resampling that a cell's benchmarks take turns with.
const RESAMPLING_SEEDS: u64 = 4;

/// Something that makes series of rounds whose true median is known.
struct Machine {
    name: &'static str,
    true_median: f64,
    measure: fn(&mut Rng, usize) -> Vec<f64>,
}

/// 1 s with 2 % of normal noise.
const NORMAL: Machine = Machine {
    name: "normal",
    true_median: 1.0,
    measure: |rng, rounds| independent(rounds, || 1.0 + 0.02 * normal(rng)),
};

/// Very skewed: the mean of the population is 13 % above its median.
const LOGNORMAL: Machine = Machine {
    name: "lognormal",
    true_median: 1.0,
    measure: |rng, rounds| independent(rounds, || (0.5 * normal(rng)).exp()),
};

/// 60 % of the rounds take 1 s and 40 % take 1.3 s, both with noise. The population's median is inside
/// the first mode: its 5/6 quantile.
const BIMODAL: Machine = Machine {
    name: "bimodal",
    true_median: 1.0 + 0.02 * 0.967_421_566,
    measure: |rng, rounds| of_two_modes(rng, rounds, 0.6),
};

/// As [`BIMODAL`], 55 % and 45 %: the median is the first mode's 10/11 quantile, near the gap.
const NEARLY_EVEN: Machine = Machine {
    name: "bimodal, 55 : 45",
    true_median: 1.0 + 0.02 * 1.335_177_736,
    measure: |rng, rounds| of_two_modes(rng, rounds, 0.55),
};

/// Drifts by as much as one standard deviation of its noise. Of a drifting series, the truth is the
/// median of all rounds' distributions taken together: by symmetry, the middle of the drift.
const DRIFTING: Machine =
    Machine { name: "drifting, 1 sd", true_median: 1.0, measure: |rng, rounds| drifting(rng, rounds, 1.0) };

/// Drifts by three standard deviations of its noise.
const DRIFTING_FAR: Machine =
    Machine { name: "drifting, 3 sd", true_median: 1.0, measure: |rng, rounds| drifting(rng, rounds, 3.0) };

/// Each round's noise keeps 30 % of the noise of the round before.
const WANDERING: Machine = Machine {
    name: "wandering, 0.3",
    true_median: 1.0,
    measure: |rng, rounds| {
        let mut noise = normal(rng);
        independent(rounds, || {
            noise = 0.3 * noise + 0.91_f64.sqrt() * normal(rng);
            1.0 + 0.02 * noise
        })
    },
};

fn independent(rounds: usize, mut round: impl FnMut() -> f64) -> Vec<f64> {
    (0..rounds).map(|_| round()).collect()
}

/// A share of `short` of them takes 1 s, the others 1.3 s.
fn of_two_modes(rng: &mut Rng, rounds: usize, short: f64) -> Vec<f64> {
    independent(rounds, || match rng.next_f64() < short {
        true => 1.0 + 0.02 * normal(rng),
        false => 1.3 + 0.03 * normal(rng),
    })
}

fn drifting(rng: &mut Rng, rounds: usize, deviations: f64) -> Vec<f64> {
    let along = |i: usize| i as f64 / (rounds - 1) as f64 - 0.5;
    (0..rounds).map(|i| 1.0 + 0.02 * (normal(rng) + deviations * along(i))).collect()
}

/// Box & Muller.
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.next_f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.next_f64()).cos()
}

/// For each of [`ROUNDS`], what each of the seeds draws.
static RANKS: LazyLock<BTreeMap<usize, Vec<Option<MedianRanks>>>> = LazyLock::new(|| {
    let resample = |rounds| (0..RESAMPLING_SEEDS).map(|seed| MedianRanks::resample(rounds, seed)).collect();
    ROUNDS.into_iter().map(|rounds| (rounds, resample(rounds))).collect()
});

/// The share, in percent, of simulated benchmarks of which `holds` is true.
fn percent(rounds: usize, mut holds: impl FnMut(&mut Rng, Option<MedianRanks>) -> bool) -> f64 {
    let ranks = &RANKS[&rounds];
    let held = (0..BENCHMARKS)
        .filter(|&i| {
            let mut rng = Rng::for_item(0x5eed + rounds as u64, i);
            holds(&mut rng, ranks[i as usize % ranks.len()])
        })
        .count();
    100.0 * held as f64 / BENCHMARKS as f64
}

/// Prints a row of percentages, one for each of [`ROUNDS`], and collects those out of bounds.
#[derive(Default)]
struct Table {
    out_of_bounds: Vec<String>,
}

impl Table {
    fn titled(title: &str) -> Self {
        println!("\n{title}\n{:24}{}", "rounds", ROUNDS.map(|n| format!("{n:>7}")).concat());
        Self::default()
    }

    fn row(
        &mut self,
        name: &str,
        cell: impl Fn(usize) -> f64,
        bounds: impl Fn(usize) -> RangeInclusive<f64>,
    ) {
        let cells = ROUNDS.map(cell);
        println!("{name:24}{}", cells.map(|share| format!("{share:>7.2}")).concat());
        for (rounds, share) in ROUNDS.into_iter().zip(cells) {
            if !bounds(rounds).contains(&share) {
                self.out_of_bounds.push(format!("{name}, {rounds} rounds: {share:.2} %"));
            }
        }
    }

    fn check(self) {
        assert!(self.out_of_bounds.is_empty(), "out of bounds: {:#?}", self.out_of_bounds);
    }
}

#[test]
fn the_interval_covers_the_true_median_as_often_as_it_says() {
    let mut table = Table::titled("covered by the 95 % interval of the median, %");
    let mut row = |machine: Machine, bounds: fn(usize) -> RangeInclusive<f64>| {
        let cover = |rounds| {
            percent(rounds, |rng, ranks| {
                let summary = summarise_with(&(machine.measure)(rng, rounds), ranks).unwrap();
                summary.interval.unwrap().contains(machine.true_median)
            })
        };
        table.row(machine.name, cover, bounds);
    };
    row(NORMAL, |_| 93.0..=97.0);
    row(LOGNORMAL, |_| 93.0..=97.0);
    row(BIMODAL, |rounds| match rounds {
        // Not met: 92.6 %. Often one of the six is in the low mode and the next in the high mode, and
        // the lower end, read between them, lies in the gap, above the median.
        6 => 92.0..=93.2,
        _ => 93.0..=97.0,
    });
    // Not met with six and nine rounds, for the same reason.
    row(NEARLY_EVEN, |rounds| match rounds {
        6 => 90.6..=91.8,
        9 => 91.3..=92.7,
        _ => 93.0..=97.0,
    });
    row(DRIFTING, |_| 93.0..=97.0);
    // Not met, on the safe side: the drift spreads the rounds more evenly than chance would, so their
    // median is closer to the truth than that of independent rounds (Hoeffding, Ann. Math. Stat. 1956).
    row(DRIFTING_FAR, |_| 98.0..=99.6);
    // Not met: rounds that depend on the round before say less than as many independent ones, and
    // nothing in a few rounds tells how much less.
    row(WANDERING, |_| 87.0..=90.0);
    table.check();
}

#[test]
fn of_normal_rounds_few_are_called_outliers() {
    let mut table = Table::titled("runs of normal rounds in which some are called outliers, %");
    let has_outliers = |rounds| {
        percent(rounds, |rng, _| summarise_with(&(NORMAL.measure)(rng, rounds), None).unwrap().outliers > 0)
    };
    // One in a hundred, within three standard errors; the fit is on the safe side of it for fewer than eight rounds.
    table.row("normal", has_outliers, |rounds| if rounds < 8 { 0.3..=1.3 } else { 0.6..=1.3 });
    table.check();
}

#[test]
fn identical_strategies_are_seldom_called_different() {
    let mut table = Table::titled("two identical strategies called different, %");
    let mut row = |name: &str, margin: f64, noise: &dyn Fn(&mut Rng) -> f64, drift: f64| {
        let different = |rounds| {
            percent(rounds, |rng, ranks| {
                let pairs: Vec<_> = (0..rounds)
                    .map(|i| {
                        let machine = 1.0 + drift * i as f64 / (rounds - 1) as f64;
                        (machine * noise(rng), machine * noise(rng))
                    })
                    .collect();
                compare_with(&pairs, margin, ranks).unwrap().verdict != Verdict::NotDistinguished
            })
        };
        // Without a margin the true share is 5 % (5.2 % in the worst cell, bimodal with 6 rounds), and
        // the measured one within three standard errors of it.
        let limit = if margin > 0.0 { 5.0 } else { 5.85 };
        table.row(name, different, |_| 0.0..=limit);
    };
    let bimodal = |rng: &mut Rng| (BIMODAL.measure)(rng, 1)[0];
    row("noise 1 %", DEFAULT_MARGIN, &|rng| 1.0 + 0.01 * normal(rng), 0.0);
    row("noise 5 %", DEFAULT_MARGIN, &|rng| 1.0 + 0.05 * normal(rng), 0.0);
    row("noise 20 %", DEFAULT_MARGIN, &|rng| (0.2 * normal(rng)).exp(), 0.0);
    row("lognormal", DEFAULT_MARGIN, &|rng| (0.5 * normal(rng)).exp(), 0.0);
    row("bimodal", DEFAULT_MARGIN, &bimodal, 0.0);
    row("noise 5 %, drift 50 %", DEFAULT_MARGIN, &|rng| 1.0 + 0.05 * normal(rng), 0.5);
    row("lognormal, no margin", 0.0, &|rng| (0.5 * normal(rng)).exp(), 0.0);
    row("bimodal, no margin", 0.0, &bimodal, 0.0);
    // A machine whose noise keeps part of that of the round before: both strategies of a round see it alike, and within rounds it is gone.
    let mut wandering = |name: &str, is_shared: bool, bounds: RangeInclusive<f64>| {
        let different = |rounds| {
            percent(rounds, |rng, ranks| {
                let mut noise = |scale: f64| -> Vec<f64> {
                    (WANDERING.measure)(rng, rounds).iter().map(|time| 1.0 + scale * (time - 1.0)).collect()
                };
                let (machine, ours, theirs) = (noise(2.5), noise(2.5), noise(2.5));
                let own =
                    |i: usize| [0.01 * normal(rng), 0.01 * normal(rng)].map(|own| machine[i] * (1.0 + own));
                let pairs: Vec<_> = match is_shared {
                    true => (0..rounds).map(own).map(|[ours, theirs]| (ours, theirs)).collect(),
                    false => ours.into_iter().zip(theirs).collect(),
                };
                compare_with(&pairs, DEFAULT_MARGIN, ranks).unwrap().verdict != Verdict::NotDistinguished
            })
        };
        table.row(name, different, |_| bounds.clone());
    };
    wandering("wandering together", true, 0.0..=5.0);
    // Not met: as with the interval, rounds that depend on the one before say less than as many independent ones.
    wandering("wandering each its own way", false, 0.0..=10.0);
    table.check();
}

#[test]
fn the_interval_of_a_ratio_covers_the_true_one_as_often_as_it_says() {
    let mut table = Table::titled("covered by the 95 % interval of the median ratio, %");
    let mut row = |name: &str, truth: f64, noise: f64, drift: f64| {
        let cover = |rounds| {
            percent(rounds, |rng, ranks| {
                let pairs: Vec<_> = (0..rounds)
                    .map(|round| {
                        // What both of a round share is not in their ratio. That of two lognormal times has its median at the truth.
                        let of_round = 1.0 + drift * round as f64 / rounds as f64;
                        let mut time = |mean: f64| of_round * mean * (noise * normal(rng)).exp();
                        (time(truth), time(1.0))
                    })
                    .collect();
                let comparison = compare_with(&pairs, DEFAULT_MARGIN, ranks).unwrap();
                comparison.interval.unwrap().contains(truth)
            })
        };
        table.row(name, cover, |_| 93.0..=97.0);
    };
    row("5 % less, noise 2 %", 0.95, 0.02, 0.0);
    row("a tenth, noise 20 %", 0.1, 0.2, 0.0);
    row("3 ×, noise 5 %, drift", 3.0, 0.05, 0.5);
    table.check();
}

#[test]
fn a_true_difference_is_found() {
    let mut table = Table::titled("strategy that takes 5 % less time called faster, %");
    let mut row = |name: &str, noise: f64, bounds: fn(usize) -> RangeInclusive<f64>| {
        let found = |rounds| {
            percent(rounds, |rng, ranks| {
                let mut time = |mean: f64| mean * (1.0 + noise * normal(rng));
                let pairs: Vec<_> = (0..rounds).map(|_| (time(0.95), time(1.0))).collect();
                compare_with(&pairs, DEFAULT_MARGIN, ranks).unwrap().verdict == Verdict::Faster
            })
        };
        table.row(name, found, bounds);
    };
    row("noise 1 %", 0.01, |_| 90.0..=100.0);
    row("noise 2 %", 0.02, |rounds| if rounds < 10 { 50.0..=100.0 } else { 90.0..=100.0 });
    // Ten rounds that differ by as much as what is looked for find it in a third of runs: they need more of them.
    row("noise 5 %", 0.05, |rounds| match rounds {
        5 => 14.5..=18.0,
        10 => 30.5..=34.5,
        50 => 88.5..=92.5,
        _ => 16.0..=80.0,
    });
    table.check();
}

/// Numbers of rounds of two runs that are compared.
const TWO_RUNS: [(usize, usize); 5] = [(5, 5), (7, 7), (10, 10), (20, 20), (5, 20)];

/// The share, in percent, of pairs of independent runs of which `holds` is true; of the newer one, each round takes
/// `slower` times as long. Each pair is read at thousands of ranks, so there are fewer pairs than benchmarks above: the
/// standard error of a share of 3 % is 0.5 %.
fn percent_of_two_runs(
    (new, old): (usize, usize),
    slower: f64,
    measure: fn(&mut Rng, usize) -> Vec<f64>,
    holds: impl Fn(&Comparison) -> bool,
) -> f64 {
    const PAIRS: u64 = 1_000;
    let ranks = RankPairs::resample(new, old, 1);
    let held = (0..PAIRS).filter(|&i| {
        let mut rng = Rng::for_item(0x2_5eed + new as u64, i);
        let ours: Vec<f64> = measure(&mut rng, new).iter().map(|time| time * slower).collect();
        let theirs = measure(&mut rng, old);
        holds(&compare_independent_with(&ours, &theirs, DEFAULT_MARGIN, ranks.as_ref()).unwrap())
    });
    100.0 * held.count() as f64 / PAIRS as f64
}

#[test]
fn two_runs_of_the_same_are_seldom_called_different() {
    println!("\nratios of two runs, %\n{:34}{}", "rounds", TWO_RUNS.map(|of| format!("{of:>10?}")).concat());
    let mut out_of_bounds = Vec::new();
    let mut row = |name: &str, bounds: RangeInclusive<f64>, cell: &dyn Fn((usize, usize)) -> f64| {
        let cells = TWO_RUNS.map(cell);
        println!("{name:34}{}", cells.map(|share| format!("{share:>10.2}")).concat());
        let wrong = TWO_RUNS.iter().zip(cells).filter(|(_, share)| !bounds.contains(share));
        out_of_bounds.extend(wrong.map(|(rounds, share)| format!("{name}, {rounds:?}: {share:.2} %")));
    };
    for machine in [NORMAL, LOGNORMAL, BIMODAL] {
        // Wider than it need be with few rounds, which is on the safe side.
        row(&format!("{}, 1 not in interval", machine.name), 0.0..=5.0, &|rounds| {
            percent_of_two_runs(rounds, 1.0, machine.measure, |of| !of.interval.unwrap().contains(1.0))
        });
    }
    row("normal, called different", 0.0..=5.0, &|rounds| {
        percent_of_two_runs(rounds, 1.0, NORMAL.measure, |of| of.verdict != Verdict::NotDistinguished)
    });
    row("normal, 1.1 not in interval", 0.0..=5.0, &|rounds| {
        percent_of_two_runs(rounds, 1.1, NORMAL.measure, |of| !of.interval.unwrap().contains(1.1))
    });
    row("normal, 10 % more found", 90.0..=100.0, &|rounds| {
        percent_of_two_runs(rounds, 1.1, NORMAL.measure, |of| of.verdict == Verdict::Slower)
    });
    assert!(out_of_bounds.is_empty(), "out of bounds: {out_of_bounds:#?}");
}

#[test]
fn stopping_at_a_precision_costs_little_coverage() {
    // Rounds until the interval is within 2 % of the median, at least 5 or 10 and at most 50: such a stop comes sooner when
    // chance made the interval narrow. How much that costs depends on how far rounds differ.
    type Noise = fn(&mut Rng) -> f64;
    // Rounds of which a share is short and the others longer by `apart`, with `noise`, in units of their median.
    fn two_modes(rng: &mut Rng, short: f64, noise: f64, apart: f64, median: f64) -> f64 {
        (1.0 + noise * normal(rng) + if rng.next_f64() < short { 0.0 } else { apart }) / median
    }
    let machines: [(&str, usize, f64, Noise); 11] = [
        ("60 : 40, 10 % apart", 10, 95.1, |rng| two_modes(rng, 0.6, 0.01, 0.1, 1.009_674_2)),
        ("55 : 45, 8 % apart", 10, 89.5, |rng| two_modes(rng, 0.55, 0.02, 0.08, 1.026_342_9)),
        ("55 : 45, 5 % apart", 10, 88.9, |rng| two_modes(rng, 0.55, 0.005, 0.05, 1.006_675_9)),
        ("normal, 2 %", 10, 95.3, |rng| 1.0 + 0.02 * normal(rng)),
        ("normal, 3 %", 10, 94.5, |rng| 1.0 + 0.03 * normal(rng)),
        ("normal, 3 %, from 5", 5, 92.6, |rng| 1.0 + 0.03 * normal(rng)),
        ("normal, 4 %", 10, 93.0, |rng| 1.0 + 0.04 * normal(rng)),
        ("normal, 5 %", 10, 92.4, |rng| 1.0 + 0.05 * normal(rng)),
        ("normal, 7 %", 10, 93.1, |rng| 1.0 + 0.07 * normal(rng)),
        ("lognormal, 4 %", 10, 93.0, |rng| (0.04 * normal(rng)).exp()),
        ("lognormal, 5 %", 10, 92.4, |rng| (0.05 * normal(rng)).exp()),
    ];
    let ranks: Vec<_> = (0..=50).map(|rounds| MedianRanks::resample(rounds, 1)).collect();
    println!("\ncovered when stopped at 2 %, and after how many rounds");
    for (name, at_least, known, noise) in machines {
        let mut rounds = 0;
        let covered = (0..BENCHMARKS).filter(|&i| {
            let mut rng = Rng::for_item(0x570b, i);
            let series = independent(50, || noise(&mut rng));
            let stop = (at_least..=50)
                .map(|rounds| summarise_with(&series[..rounds], ranks[rounds]).unwrap())
                .find(|summary| summary.rounds == 50 || summary.relative_half_width().unwrap() <= 0.02)
                .unwrap();
            rounds += stop.rounds;
            stop.interval.unwrap().contains(1.0)
        });
        let covered = 100.0 * covered.count() as f64 / BENCHMARKS as f64;
        println!("{name:<20} {covered:.1} % {:.0}", rounds as f64 / BENCHMARKS as f64);
        // As documented; not 93 % where rounds differ by twice as much as the precision.
        assert!((covered - known).abs() <= 0.6, "{name}: {covered}");
    }
}

#[test]
fn a_series_without_a_drift_is_seldom_said_to_drift() {
    let mut table = Table::titled("said to drift, %");
    let mut row = |machine: Machine, bounds: fn(usize) -> RangeInclusive<f64>| {
        let drifts = |rounds| {
            percent(rounds, |rng, _| trend(&(machine.measure)(rng, rounds)).unwrap().p_value <= DRIFT_LEVEL)
        };
        table.row(machine.name, drifts, bounds);
    };
    // p is exact, so the true share is at most 5 %; 0.65 % are three standard errors.
    row(NORMAL, |_| 0.0..=5.65);
    row(LOGNORMAL, |_| 0.0..=5.65);
    row(BIMODAL, |_| 0.0..=5.65);
    let rounded =
        |rng: &mut Rng, rounds| independent(rounds, || (100.0 * (1.0 + 0.02 * normal(rng))).round());
    row(Machine { name: "normal, many ties", true_median: 1.0, measure: rounded }, |_| 0.0..=5.65);
    row(DRIFTING, |rounds| match rounds {
        5 => 2.0..=4.0,
        50 => 47.0..=53.0,
        _ => 2.5..=40.0,
    });
    row(DRIFTING_FAR, |rounds| match rounds {
        5 => 13.0..=17.0,
        6..15 => 19.0..=80.0,
        _ => 80.0..=100.0,
    });
    // Not a drift, but it does look like one.
    row(WANDERING, |_| 0.0..=20.0);
    table.check();
}

#[test]
fn a_run_of_four_rows_drifts_together_and_seldom_by_chance() {
    /// A run of four rows on a machine that becomes slower by `drift` from the first round to the last, and whose rounds differ by `noise`.
    fn run(rng: &mut Rng, rounds: usize, drift: f64, noise: f64) -> Vec<Vec<(u64, f64)>> {
        let mut row = |seconds: f64| -> Vec<(u64, f64)> {
            let machine = |round: usize| 1.0 + drift * round as f64 / (rounds - 1) as f64;
            (0..rounds)
                .map(|round| (round as u64 + 1, seconds * machine(round) * (1.0 + noise * normal(rng))))
                .collect()
        };
        [1.0, 0.5, 0.4, 3.0].map(&mut row).into()
    }
    let mut table = Table::titled("runs of four rows said to drift, %");
    let mut row = |name: &str, drift: f64, noise: f64, bounds: fn(usize) -> RangeInclusive<f64>| {
        let drifting = |rounds| {
            percent(rounds, |rng, _| {
                let found = drifts(&run(rng, rounds, drift, noise));
                found.together.is_some() || found.each.iter().any(Option::is_some)
            })
        };
        table.row(name, drifting, bounds);
    };
    row("no drift, 5 % of noise", 0.0, 0.05, |_| 0.0..=5.65);
    row("no drift, 30 % of noise", 0.0, 0.3, |_| 0.0..=5.65);
    // Each row alone cannot tell of five or six rounds what so many tests ask for.
    row("drift of 30 %, 5 % of noise", 0.3, 0.05, |_| 75.0..=100.0);
    row(
        "drift of 10 %, 3 % of noise",
        0.1,
        0.03,
        |rounds| if rounds < 7 { 25.0..=100.0 } else { 70.0..=100.0 },
    );
    table.check();
}

#[test]
fn a_first_round_like_the_others_is_seldom_called_slow() {
    let mut table = Table::titled("first round called slow, %");
    let mut row = |machine: Machine, cold: f64, bounds: fn(usize) -> RangeInclusive<f64>| {
        let slow = |rounds| {
            percent(rounds, |rng, _| {
                let mut series = (machine.measure)(rng, rounds);
                series[0] *= cold;
                slow_first_round(&series).is_some()
            })
        };
        table.row(&format!("{}, x {cold}", machine.name), slow, bounds);
    };
    row(NORMAL, 1.0, |_| 0.0..=5.0);
    // Not met with five rounds: the other four seldom show how far such noise reaches.
    row(LOGNORMAL, 1.0, |rounds| if rounds == 5 { 5.5..=7.0 } else { 0.0..=5.0 });
    row(BIMODAL, 1.0, |rounds| if rounds == 5 { 4.5..=5.7 } else { 0.0..=5.0 });
    row(NORMAL, 1.5, |_| 99.0..=100.0);
    table.check();
}

fn seconds(rounds: RangeInclusive<usize>) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(1e-6..1e4_f64, rounds)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn summary_is_in_order(rounds in seconds(1..=40), seed: u64) {
        let summary = summarise(&rounds, seed).unwrap();
        prop_assert!(summary.min <= summary.median && summary.median <= summary.max);
        prop_assert!(summary.outliers <= summary.rounds);
        prop_assert_eq!(summary.interval.is_some(), rounds.len() >= 5);
        prop_assert_eq!(summary.stddev.is_some(), rounds.len() >= 2);
        if let Some(interval) = summary.interval {
            prop_assert!(interval.contains(summary.median));
            prop_assert!(interval.low >= 0.0);
            if rounds.len() > 5 {
                prop_assert!(summary.min <= interval.low && interval.high <= summary.max);
            }
        }
    }

    #[test]
    fn order_of_rounds_does_not_matter(mut rounds in seconds(1..=40), seed: u64) {
        let before = summarise(&rounds, seed);
        Rng::new(seed).shuffle(&mut rounds);
        prop_assert_eq!(before, summarise(&rounds, seed));
    }

    #[test]
    fn other_units_give_the_same_summary(rounds in seconds(1..=40), seed: u64, power in -20..20) {
        let unit = 2_f64.powi(power);
        let scaled: Vec<f64> = rounds.iter().map(|x| x * unit).collect();
        let (a, b) = (summarise(&rounds, seed).unwrap(), summarise(&scaled, seed).unwrap());
        prop_assert_eq!(a.median * unit, b.median);
        prop_assert_eq!(a.mad * unit, b.mad);
        prop_assert_eq!(a.outliers, b.outliers);
        prop_assert_eq!(a.interval.map(|ci| ci.low * unit), b.interval.map(|ci| ci.low));
        prop_assert_eq!(spread(&rounds), spread(&scaled));
    }

    #[test]
    fn changing_sides_turns_the_comparison_round(
        pairs in prop::collection::vec((0.8..1.2_f64, 0.8..1.2_f64), 1..=40),
        factor in 0.7..1.4_f64,
        seed: u64,
    ) {
        let ours: Vec<_> = pairs.iter().map(|&(a, b)| (a * factor, b)).collect();
        let theirs: Vec<_> = ours.iter().map(|&(a, b)| (b, a)).collect();
        let ours = compare(&ours, DEFAULT_MARGIN, seed).unwrap();
        let theirs = compare(&theirs, DEFAULT_MARGIN, seed).unwrap();
        let expected = match theirs.verdict {
            Verdict::Faster => Verdict::Slower,
            Verdict::Slower => Verdict::Faster,
            same => same,
        };
        prop_assert_eq!(ours.verdict, expected);
        if let (Some(a), Some(b)) = (ours.interval, theirs.speed_up_interval()) {
            prop_assert!((a.low - b.low).abs() < 1e-9 && (a.high - b.high).abs() < 1e-9);
            prop_assert!(a.contains(ours.ratio));
        }
    }
}
