//! What must be known before numbers are believed: one real run, whose times and memory are then made what they would be on a
//! worse machine, and what is said of it.

mod common;

use std::sync::LazyLock;

use common::Sandbox;
use procbench::document::standing::{Outcome, Standing};
use procbench::document::{Document, MemoryRound};
use procbench::experiment::warnings;
use procbench::measure::environment::StateChange;
use procbench::measure::memory::MemoryReading;
use procbench::mode::Mode;
use procbench::report::sentence;
use procbench::stats;

static RUN: LazyLock<Document> =
    LazyLock::new(|| Sandbox::new().measure("-n 4 --io-wait 10ms --rounds 12 -m serial"));

/// The run, whose rounds took `seconds`.
fn with_rounds(seconds: &[f64]) -> Document {
    let mut document = RUN.clone();
    let strategy = &mut document.strategies[0];
    strategy.rounds.truncate(seconds.len());
    for (round, seconds) in strategy.rounds.iter_mut().zip(seconds) {
        round.report.total_seconds = *seconds;
        round.report.io_overshoot_mean_seconds = Some(0.0);
    }
    let summary = strategy.summary.as_mut().expect("a summary");
    summary.total_seconds = stats::summarise(seconds, 1).expect("rounds");
    document
}

/// What is said under `code`, if anything.
fn said(document: &Document, code: &str) -> Option<String> {
    warnings::all(document).into_iter().find(|warning| warning.code == code).map(|warning| warning.message)
}

/// What is said under `code` of rounds of `seconds`, while nothing of it is said of calm ones.
#[track_caller]
fn said_of(seconds: &[f64], code: &str) -> String {
    let calm: Vec<f64> = [1.0, 1.004, 0.998, 1.002, 0.997, 1.003].repeat(2);
    assert_eq!(said(&with_rounds(&calm), code), None, "of calm rounds");
    said(&with_rounds(seconds), code).unwrap_or_else(|| panic!("no {code} of {seconds:?}"))
}

#[test]
fn a_slow_first_round_needs_warming_up() {
    let mut seconds = [1.0, 1.004, 0.998, 1.002, 0.997, 1.003].repeat(2);
    seconds[0] = 1.5;
    let said = said_of(&seconds, "slow_first_round");
    assert!(
        said.contains("longer than the others (serial: by 50 %)") && said.contains("--warmup "),
        "{said}"
    );
}

#[test]
fn times_that_drift_are_told_with_their_direction() {
    let seconds: Vec<f64> = (0..12).map(|round| 1.0 + 0.02 * f64::from(round)).collect();
    assert!(said_of(&seconds, "drift").contains("serial: longer by 2"), "{}", said_of(&seconds, "drift"));
}

#[test]
fn a_machine_that_becomes_slower_shows_in_five_rounds_of_all_rows_together() {
    let mut document = with_rounds(&[1.0, 1.1, 1.2, 1.35, 1.4]);
    for name in ["threads", "pool", "process"] {
        let mut other = document.strategies[0].clone();
        other.name = name.into();
        document.strategies.push(other);
    }
    let told = said(&document, "drift").expect("a drift");
    assert!(told.contains("(all together: longer by 3"), "{told}");
}

#[test]
fn a_spread_beyond_a_tenth_is_told() {
    let seconds = [1.0, 1.4, 0.9, 1.3, 0.8, 1.2, 1.4, 0.9, 1.1, 0.8, 1.3, 1.0];
    assert!(said_of(&seconds, "spread").contains("--rounds"));
}

#[test]
fn what_is_true_of_several_strategies_is_told_once() {
    let seconds = [1.0, 1.4, 0.9, 1.3, 0.8, 1.2, 1.4, 0.9, 1.1, 0.8, 1.3, 1.0];
    let mut document = with_rounds(&seconds);
    let mut other = document.strategies[0].clone();
    other.name = "pool".into();
    document.strategies.push(other);
    let all = warnings::all(&document);
    let spread: Vec<&str> = all
        .iter()
        .filter(|warning| warning.code == "spread")
        .map(|warning| warning.message.as_str())
        .collect();
    assert_eq!(spread.len(), 1, "{spread:?}");
    assert!(spread[0].contains("(serial: ") && spread[0].contains("; pool: "), "{spread:?}");
}

#[test]
fn outliers_are_counted_and_stay() {
    let mut seconds = [1.0, 1.004, 0.998, 1.002, 0.997, 1.003].repeat(2);
    seconds[7] = 3.0;
    assert!(said_of(&seconds, "outliers").contains("counted like the rest (serial: 1 of 12)"));
    assert_eq!(with_rounds(&seconds).strategies[0].rounds.len(), 12);
}

#[test]
fn rounds_shorter_than_five_milliseconds_need_more_tasks() {
    assert!(said_of(&[0.004; 12], "short_rounds").contains("raise --tasks"));
}

#[test]
fn fewer_than_five_rounds_are_too_few() {
    assert!(said_of(&[1.0; 4], "too_few_rounds").contains("too few rounds for a verdict: 4"));
}

#[test]
fn memory_that_differs_widely_between_rounds_is_told_with_its_range() {
    let with_peaks = |mebibytes: [u64; 3]| {
        let mut document = RUN.clone();
        let memory = document.strategies[0].memory.as_mut().expect("memory");
        let of = |peak: u64| MemoryRound {
            method: None,
            peak_alive: 0,
            reading: MemoryReading { peak_bytes: Some(peak << 20), ..memory.reading },
        };
        memory.each = mebibytes.map(of).to_vec();
        memory.reading.peak_bytes = Some(mebibytes[1] << 20);
        document
    };
    assert_eq!(said(&with_peaks([19, 20, 22]), "memory_differs"), None);
    let said = said(&with_peaks([19, 20, 170]), "memory_differs").expect("a warning");
    assert!(said.contains("serial (19.0 MiB to 170 MiB)"), "{said}");
}

#[test]
fn waits_that_last_longer_than_asked_for_are_told_with_how_much() {
    let longer_by = |seconds: f64| {
        let mut document = RUN.clone();
        for round in &mut document.strategies[0].rounds {
            round.report.io_overshoot_mean_seconds = Some(seconds);
        }
        said(&document, "wait_overshoot")
    };
    // The tasks wait for 10 ms.
    assert_eq!(longer_by(0.0004), None);
    let said = longer_by(0.002).expect("a warning");
    assert!(said.contains("(serial: by 2.00 ms, 20 % of them)"), "{said}");
}

#[test]
fn what_the_machine_did_meanwhile_is_told_beside_what_rounds_show() {
    let mut document = RUN.clone();
    document.environment.change.steal_share = Some(0.0);
    assert_eq!(said(&document, "steal"), None);
    document.environment.change.steal_share = Some(0.2);
    assert!(said(&document, "steal").is_some_and(|said| said.contains("20.0 %")));
}

#[test]
fn what_could_not_be_measured_is_told_with_its_reason() {
    let mut document = RUN.clone();
    document.strategies[0].memory = None;
    assert!(said(&document, "memory_not_measured").is_some_and(|said| said.contains("memory of serial")));
    let mut document = RUN.clone();
    let memory = document.strategies[0].memory.as_mut().expect("memory");
    (memory.reading.peak_bytes, memory.reading.kernel_bytes) = (Some(1 << 20), None);
    assert!(said(&document, "kernel_memory_not_measured").is_some_and(|said| said.contains("of serial")));
    let mut document = RUN.clone();
    (document.environment.change.forks, document.environment.change.foreign_forks) = (Some(3), None);
    let all = warnings::all(&document);
    assert!(all.iter().any(|warning| warning.message.contains("processes started by others")), "{all:?}");
}

#[test]
fn a_precision_that_was_not_reached_is_told_with_what_it_came_to() {
    let asked_for = |precision: f64| {
        let mut document = RUN.clone();
        document.plan.run.precision = Some(precision);
        said(&document, "not_precise")
    };
    assert_eq!(asked_for(10.0), None);
    assert!(asked_for(1e-9).is_some_and(|said| said.contains("was not reached within the rounds")));
}

#[test]
fn a_speed_up_from_fewer_rounds_than_the_times_is_told() {
    let mut document = Sandbox::new().measure("-n 4 --rounds 6 -m serial,threads:workers=2");
    assert_eq!(said(&document, "fewer_pairs"), None);
    let baseline = document.plan.run.baseline.clone();
    let row = document.strategies.iter_mut().find(|row| row.name == baseline).expect("a baseline");
    row.rounds.pop();
    assert!(said(&document, "fewer_pairs").is_some_and(|said| said.contains("its speed-up rests on the")));
}

#[test]
fn workers_that_wait_could_be_more() {
    let seconds = [1.0, 1.004, 0.998, 1.002, 0.997, 1.003];
    let busy_for = |cpu_seconds: f64, workers: u64| {
        let mut document = with_rounds(&seconds);
        // Whoever else runs, such as other tests, may have had the processors.
        document.environment.change = StateChange::default();
        let strategy = &mut document.strategies[0];
        strategy.mode = Mode::Pool;
        strategy.settings.workers = Some(workers);
        for round in &mut strategy.rounds {
            round.tree_cpu_seconds = Some(cpu_seconds);
        }
        said(&document, "waiting_workers")
    };
    let told = busy_for(0.02, 1).expect("it waits");
    assert!(told.contains("busy for 2 %") && told.contains("pool:workers=4,"), "no more than tasks: {told}");
    assert_eq!(busy_for(0.9, 1), None, "one that computes");
    assert_eq!(busy_for(0.02, 1_000_000), None, "whoever has asked for so many knows");
}

/// A run of two, the first of which took `first` seconds in its only round, and the second about a second in each of six.
fn one_against_six(first: f64) -> Document {
    let mut document = Sandbox::new().measure("-n 4 --rounds 6 -m serial,threads:workers=2");
    (document.standing, document.environment.change) = (None, StateChange::default());
    document.strategies[0].rounds.truncate(1);
    for (row, times) in document.strategies.iter_mut().zip([&[first][..], &[1.0, 1.1, 0.9, 1.0, 1.05, 0.95]])
    {
        row.rounds.iter_mut().zip(times).for_each(|(round, time)| round.report.total_seconds = *time);
        row.summary.as_mut().expect("a summary").total_seconds = stats::summarise(times, 1).expect("rounds");
    }
    document
}

#[test]
fn a_single_round_is_no_interval_but_may_be_far_too_long() {
    let told = sentence::verdict(&one_against_six(12.5));
    assert!(
        told.starts_with("Use threads:workers=2 here: ")
            && told.contains("in too few rounds for the 95 % interval that the best of 2 takes"),
        "{told}"
    );
    let told = sentence::verdict(&one_against_six(1.5));
    assert!(told.contains("too few rounds for a verdict"), "{told}");
}

#[test]
fn whoever_is_not_beaten_is_named_also_behind_one_that_is() {
    let mut document = Sandbox::new().measure("-n 4 --rounds 6 -m serial,threads:workers=2,pool:workers=2");
    (document.standing, document.environment.change) = (None, StateChange::default());
    let mut with = |times: [&[f64]; 3]| {
        for (row, times) in document.strategies.iter_mut().zip(times) {
            row.rounds.truncate(times.len());
            row.rounds.iter_mut().zip(times).for_each(|(round, time)| round.report.total_seconds = *time);
            row.summary = row.summary.take().filter(|_| !times.is_empty());
            if let Some(summary) = &mut row.summary {
                summary.total_seconds = stats::summarise(times, 1).expect("rounds");
            }
        }
        (sentence::verdict(&document), Standing::of(&document).expect("rounds").outcome)
    };
    let (best, beaten) = ([1.0, 1.01, 0.99, 1.0, 1.02, 0.98], [1.2, 1.21, 1.19, 1.2, 1.22, 1.18]);
    let (told, outcome) = with([&best, &beaten, &[1.5, 1.51, 1.49, 1.5, 1.52, 1.48]]);
    assert_eq!(outcome, Outcome::Best);
    assert!(told.starts_with("Use serial here: ") && told.contains("pool:workers=2, the slowest"), "{told}");
    let (told, outcome) = with([&best, &beaten, &[0.8, 1.7, 0.9, 1.8, 1.6, 0.7]]);
    assert_eq!(outcome, Outcome::NotDistinguished);
    assert!(
        told.starts_with("Whether pool:workers=2 is as fast cannot be said")
            && told.contains("Use serial so far: ")
            && told.contains("threads:workers=2, the next that is told apart")
            && !told.contains("slowest"),
        "{told}"
    );
    let few = "pool:workers=2 has too few rounds to say whether it is as fast (--rounds 5 or more, --time-budget). Use serial so far: ";
    let (told, outcome) = with([&best, &beaten, &[1.3, 1.4]]);
    assert_eq!(outcome, Outcome::TooFewRounds);
    assert!(told.starts_with(few), "{told}");
    let (told, outcome) = with([&best, &beaten, &[]]);
    assert_eq!(outcome, Outcome::TooFewRounds);
    assert!(told.starts_with(few), "also with none: {told}");
}

#[test]
fn an_answer_says_where_the_machine_was_not_the_runs_alone() {
    let mut document = one_against_six(9.0);
    let quiet = sentence::verdict(&document);
    document.environment.change.foreign_busy_share = Some(0.6);
    let busy = sentence::verdict(&document);
    assert!(
        busy.starts_with(&quiet) && busy.contains("other programs and the kernel used 60 % of it"),
        "{busy}"
    );
}
