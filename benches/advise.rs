//! Whether advice is good: for each workload of `bench-configs/` that needs neither Python nor other programs, scaled down so
//! that a round takes some tens of milliseconds, `procbench advise` chooses within a few seconds; then everybody that it has
//! looked at, also those that it gave up, is run with the choice as the baseline, and what the choice takes is compared with what
//! the best of them all takes.
//!
//! The best of many is the luckiest among those that are as good, so what is reported errs against the advice.
//!
//! `cargo bench --bench advise`, or `cargo bench --bench advise -- NAME…` for some of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use procbench::document::Document;
use procbench::stats::{Comparison, DEFAULT_MARGIN, compare};
use procbench::study::advise::document::Advice;

/// How long each search may take.
const TIME_LIMIT: &str = "5s";
/// Rounds of everybody, and what those of one may take together: who is slow has fewer, but at least one.
const ROUNDS: &str = "15";
const TIME_BUDGET: &str = "500ms";
/// A choice is good that is slower than the best by at most this part.
const NEAR: f64 = 0.05;
/// In so many cases it should be.
const TARGET: f64 = 0.95;

/// Specs, with what makes them smaller.
const WORKLOADS: [(&str, &str); 18] = [
    ("big-parent", "--tasks 200 --parent-memory 64MiB"),
    ("cpu-bound", "--tasks 2000"),
    ("disturbance", "--tasks 20000"),
    ("echo-client", "--tasks 64 --io-wait 5ms"),
    ("expensive-start", "--tasks 200"),
    ("few-expressions", ""),
    ("fifo", "--tasks 60 --io-wait 5ms"),
    ("fsync", "--tasks 50"),
    ("heavy-tail", "--tasks 50"),
    ("io-bound", "--tasks 32 --io-wait 10ms"),
    ("memory", "--tasks 32 --io-wait 10ms"),
    ("million-expressions", "--tasks 5000"),
    ("ordered", "--tasks 1000"),
    ("shared-image", "--tasks 20 --shared 4MiB"),
    ("ship-arguments", "--tasks 300"),
    ("start-methods", "--tasks 200"),
    ("two-files", ""),
    ("wide-expressions", "--tasks 1000"),
];

fn main() {
    let wanted: BTreeSet<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let started = Instant::now();
    println!(
        "advise with --time-limit {TIME_LIMIT}, then everybody: {ROUNDS} rounds, or as many as fit in {TIME_BUDGET}\n"
    );
    println!(
        "{:<20} {:<30} {:<30} {:>5} {:>7} {:<15}",
        "workload", "choice", "best of all", "of", "slower", "95 % interval"
    );
    let workloads = WORKLOADS.iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(*name));
    let all: Vec<Option<Case>> = workloads.map(|(name, smaller)| case(name, smaller)).collect();
    let count = all.len();
    let cases: Vec<Case> = all.into_iter().flatten().collect();
    let good = cases.iter().filter(|case| case.slower() <= NEAR).count();
    let best = cases.iter().filter(|case| case.choice == case.best).count();
    let surely_bad = cases.iter().filter(|case| case.at_least() > NEAR).count();
    let share = good as f64 / count.max(1) as f64;
    println!(
        "\nin {good} of {} the choice is the best ({best}) or within {:.0} % of it: {:.0} %, target {:.0} %{}",
        count,
        NEAR * 100.0,
        share * 100.0,
        TARGET * 100.0,
        if share < TARGET { ", missed" } else { "" }
    );
    println!("in {surely_bad} it is slower by more than that by the whole interval");
    println!("{:.0} s altogether", started.elapsed().as_secs_f64());
}

/// What a choice was worth.
struct Case {
    choice: String,
    best: String,
    /// (The choice's time / the best's), within rounds.
    comparison: Option<Comparison>,
}

impl Case {
    /// By which part the choice is slower than the best.
    fn slower(&self) -> f64 {
        self.comparison.as_ref().map_or(0.0, |comparison| comparison.ratio - 1.0)
    }

    /// By which part it is slower at least, as far as the interval says.
    fn at_least(&self) -> f64 {
        let interval = self.comparison.as_ref().and_then(|comparison| comparison.interval);
        interval.map_or(0.0, |interval| interval.low - 1.0)
    }
}

/// Nothing where the search ended without an answer: that is no good choice either.
fn case(name: &str, smaller: &str) -> Option<Case> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let export = |file: &str| folder.path().join(file).to_string_lossy().into_owned();
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench-configs").join(format!("{name}.toml"));
    let mut workload = vec!["--config".to_owned(), spec.to_string_lossy().into_owned()];
    workload.extend(smaller.split_whitespace().map(str::to_owned));

    let file = export("advice.json");
    if let Err(wrong) = run(&["advise", "--time-limit", TIME_LIMIT, "--json", &file], &workload) {
        println!("{name:<20} no answer: {wrong}");
        return None;
    }
    let advice: Advice = read(&file);
    let choice = advice.standing.expect("an answer").best;

    let looked_at: BTreeSet<&str> =
        advice.candidates.iter().map(|candidate| candidate.strategy.as_str()).collect();
    let rows = looked_at.iter().copied().collect::<Vec<_>>().join(",");
    let file = export("all.json");
    run(
        &[
            "--mode",
            &rows,
            "--baseline",
            &choice,
            "--rounds",
            ROUNDS,
            "--time-budget",
            TIME_BUDGET,
            "--json",
            &file,
        ],
        &workload,
    )
    .expect("everybody can be run");
    let all: Document = read(&file);
    let median = |row: &procbench::document::StrategyResult| {
        row.summary.as_ref().map_or(f64::INFINITY, |summary| summary.total_seconds.median)
    };
    let best = all.strategies.iter().min_by(|a, b| median(a).total_cmp(&median(b))).expect("rows");
    let chosen = all.strategies.iter().find(|row| row.name == choice).expect("the choice is one of them");
    let comparison = (best.name != choice)
        .then(|| compare(&chosen.paired_with(best), DEFAULT_MARGIN, 1).expect("rounds in common"));
    let case = Case { choice, best: best.name.clone(), comparison };
    let interval = case.comparison.as_ref().and_then(|comparison| comparison.interval);
    println!(
        "{name:<20} {:<30} {:<30} {:>5} {:>6.1}% {}",
        case.choice,
        if case.comparison.is_some() { &case.best } else { "the same" },
        looked_at.len(),
        case.slower() * 100.0,
        interval.map_or_else(String::new, |interval| format!(
            "{:.1} … {:.1}%",
            (interval.low - 1.0) * 100.0,
            (interval.high - 1.0) * 100.0
        ))
    );
    Some(case)
}

fn run(words: &[&str], workload: &[String]) -> Result<(), String> {
    let output = Command::new(env!("CARGO_BIN_EXE_procbench"))
        .args(words)
        .args(workload)
        .arg("--quiet")
        // What Cargo sets for its own sake: folders in which every exec of a program would look for its libraries first.
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .expect("procbench starts");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()),
    }
}

fn read<T: serde::de::DeserializeOwned>(file: &str) -> T {
    serde_json::from_str(&std::fs::read_to_string(file).expect("an export")).expect("what procbench writes")
}
