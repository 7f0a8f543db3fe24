//! Whether verdicts hold on the real machine: a strategy against itself, and against a copy with 5 % more CPU work.
//!
//! Each of 40 benchmarks runs both strategies in pairs of rounds, as a run would, and asks for a verdict. Against itself, at
//! most 2 of 40 may be anything but *not distinguished*; 5 % more work should be found in at least 36 of 40. A last table
//! says what stamping every task costs.
//!
//! `cargo bench --bench verdicts`

mod common;

use common::nothing;
use procbench::mode::{Mode, Settings};
use procbench::stats::{DEFAULT_MARGIN, Verdict, compare};
use procbench::workload::{WorkloadSpec, cpu};

const BENCHMARKS: usize = 40;
const ROUNDS: usize = 10;
const TASKS: u64 = 2_000;
const CPU_SECONDS: f64 = 20e-6;

fn main() {
    let workers = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let units_per_second = cpu::calibrate();
    let workload =
        |factor: f64| WorkloadSpec { cpu_seconds: CPU_SECONDS * factor, units_per_second, ..nothing(TASKS) };
    let serial = Settings::default();
    let pool = Settings { workers: Some(workers), chunk: Some(1), ..Settings::default() };
    println!("{BENCHMARKS} benchmarks of {ROUNDS} rounds each, {TASKS} tasks of 20 µs, margin 1 %\n");
    println!("{:<30} {:>17} {:>7} {:>7}   target", "comparison", "not distinguished", "slower", "faster");
    for (mode, settings) in [(Mode::Serial, &serial), (Mode::Pool, &pool)] {
        for (factor, target) in [(1.0, "at least 38 not distinguished"), (1.05, "at least 36 slower")] {
            let time = |factor| common::round(mode, settings.clone(), workload(factor), true).total_seconds;
            let verdicts: Vec<Verdict> =
                (0..BENCHMARKS).map(|_| verdict(|| time(factor), || time(1.0))).collect();
            let count = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
            println!(
                "{:<30} {:>17} {:>7} {:>7}   {target}",
                format!("{mode} against itself × {factor}"),
                count(Verdict::NotDistinguished),
                count(Verdict::Slower),
                count(Verdict::Faster)
            );
        }
    }
    println!("\n{:<30} {:>8}   {:<17} target", "1 µs tasks, stamped or not", "ratio", "95 % interval");
    for (mode, settings) in [(Mode::Serial, &serial), (Mode::Pool, &pool)] {
        let short = WorkloadSpec { cpu_seconds: 1e-6, units_per_second, ..nothing(100_000) };
        let time = |latency| common::round(mode, settings.clone(), short.clone(), latency).total_seconds;
        let pairs = pairs(41, || time(true), || time(false));
        let comparison = compare(&pairs, DEFAULT_MARGIN, 1).expect("times are positive");
        let interval = comparison.interval.expect("41 rounds are enough");
        let interval = format!("{:.3} … {:.3}", interval.low, interval.high);
        println!("{:<30} {:>8.3}   {interval:<17} at most 1.02", mode.name(), comparison.ratio);
    }
}

/// Pairs of times, each first in every other pair.
fn pairs(rounds: usize, ours: impl Fn() -> f64, theirs: impl Fn() -> f64) -> Vec<(f64, f64)> {
    let pair = |round: usize| {
        if round.is_multiple_of(2) {
            let ours = ours();
            (ours, theirs())
        } else {
            let theirs = theirs();
            (ours(), theirs)
        }
    };
    (0..rounds).map(pair).collect()
}

fn verdict(ours: impl Fn() -> f64, theirs: impl Fn() -> f64) -> Verdict {
    compare(&pairs(ROUNDS, ours, theirs), DEFAULT_MARGIN, 1).expect("times are positive").verdict
}
