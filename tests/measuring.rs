//! How much is measured, and what is compared.

mod common;

use common::{Sandbox, row, skip};
use procbench::stats::Verdict;

#[test]
fn a_precision_that_is_reached_ends_a_strategys_rounds() {
    // A hundred per cent is reached by any ten rounds that do not differ tenfold.
    let document = Sandbox::new().measure("-n 20 --io-wait 1ms --precision 100% --rounds 500 -m serial");
    let serial = row(&document, "serial");
    assert!((10..500).contains(&serial.rounds.len()), "{} rounds", serial.rounds.len());
    assert_eq!(document.plan.run.precision, Some(1.0));
}

#[test]
fn whoever_stops_before_his_rounds_are_over_has_reached_the_precision() {
    let document = Sandbox::new().measure("-n 20 --io-wait 1ms --precision 5% --rounds 60 -m serial,threads");
    for row in &document.strategies {
        let summary = row.summary.as_ref().expect("a summary");
        let reached = summary.total_seconds.relative_half_width().expect("an interval");
        let unreached =
            document.warnings.iter().any(|of| of.code == "not_precise" && of.message.contains(&row.name));
        assert!(row.rounds.len() == 60 || reached <= 0.05, "{}: {reached}", row.name);
        assert_eq!(reached > 0.05, unreached, "{}: {reached}, {:?}", row.name, document.warnings);
    }
}

#[test]
fn a_precision_out_of_reach_ends_with_the_rounds() {
    let document = Sandbox::new().measure("-n 50 --precision 0.0001% --rounds 12 -m serial");
    assert_eq!(row(&document, "serial").rounds.len(), 12);
}

#[test]
fn what_differs_by_less_than_the_margin_is_not_distinguished() {
    // A strategy against itself never takes twice as long, round after round.
    let document = Sandbox::new().measure("-n 200 --cpu 20us --rounds 9 -m serial,serial --margin 100%");
    let summary = row(&document, "serial#2").summary.clone().expect("a summary");
    let speed_up = summary.speedup_over_baseline.expect("a comparison");
    assert_eq!(speed_up.verdict, Verdict::NotDistinguished, "{speed_up:?}");
}

#[test]
fn a_process_for_each_of_many_tiny_tasks_is_slower_than_a_loop() {
    let document = Sandbox::new().measure("-n 500 --rounds 6 -m serial,process");
    let summary = row(&document, "process").summary.clone().expect("a summary");
    let speed_up = summary.speedup_over_baseline.expect("a comparison");
    assert_eq!(speed_up.verdict, Verdict::Slower, "{speed_up:?}");
    assert!(speed_up.ci_high.is_some_and(|high| high < 0.99), "wholly beyond the margin: {speed_up:?}");
}

#[test]
fn the_overhead_of_each_mode_is_a_row_of_its_own() {
    let sandbox = Sandbox::new();
    let (document, finished) = sandbox.report("-n 30 --cpu 1ms --rounds 5 --overhead -m serial,pool");
    let names: Vec<&str> = document.overhead.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["serial (no-op)", "pool (no-op)"]);
    for strategy in &document.overhead {
        assert_eq!(strategy.rounds.len(), 5);
        assert!(
            strategy.rounds.iter().all(|round| round.report.work_units == 0),
            "an empty task does no work"
        );
        assert!(strategy.rounds.iter().all(|round| round.report.tasks_completed == 30));
    }
    assert!(finished.stdout.contains("pool (no-op)"), "{}", finished.stdout);
    let without = sandbox.measure("-n 30 --rounds 1 -m serial");
    assert!(without.overhead.is_empty(), "only where it is asked for");
}

#[test]
fn each_row_says_how_long_its_tasks_waited_and_took_and_whom_they_disturbed() {
    let document =
        Sandbox::new().measure("-n 1200 --io-wait 1ms --rounds 2 -m pool:workers=8,process:in-flight=30");
    for strategy in &document.strategies {
        let latency = strategy.latency.as_ref().expect("a latency");
        assert_eq!(latency.one_in, 1, "tasks of a millisecond are all stamped");
        assert_eq!((latency.wait.count, latency.service.count), (2400, 2400));
        let p50 = latency.service.p50_seconds.expect("a median");
        assert!(p50 >= 0.00099, "a task lasts as long as its wait at least: {p50}");
        assert!(latency.service.p99_seconds.is_some_and(|p99| p99 >= p50));
        assert!(latency.wait.max_seconds >= latency.wait.p50_seconds.expect("a median"));
        let disturbance = strategy.disturbance.expect("a bystander stood by");
        assert!(disturbance.count > 0 && disturbance.max_seconds.is_some());
    }
}

#[test]
fn without_latency_no_task_is_stamped_and_nothing_is_claimed_of_it() {
    let sandbox = Sandbox::new();
    let (document, finished) = sandbox.report("-n 40 --rounds 2 --no-latency -m serial,pool,process");
    assert!(!document.plan.run.latency);
    assert!(document.strategies.iter().all(|strategy| strategy.latency.is_none()));
    assert!(!finished.stdout.contains("wait p50"), "{}", finished.stdout);
    assert!(
        finished.stdout.contains("late p50"),
        "the bystander stands by all the same: {}",
        finished.stdout
    );
}

#[test]
fn a_percentile_needs_ten_tasks_beyond_it() {
    let document = Sandbox::new().measure("-n 50 --io-wait 1ms --rounds 1 -m process");
    let latency = row(&document, "process").latency.clone().expect("a latency");
    assert_eq!(latency.service.count, 50);
    assert!(latency.service.p50_seconds.is_some(), "25 lie beyond the median");
    assert_eq!((latency.service.p90_seconds, latency.service.p99_seconds), (None, None));
}

#[test]
fn no_task_waits_or_takes_longer_than_the_longest_round() {
    let modes = "serial,threads:workers=2,pool:workers=2,process:in-flight=4";
    let document = Sandbox::new().measure(&format!("-n 40 --io-wait 1ms --rounds 3 -m {modes}"));
    for row in &document.strategies {
        let longest = row.rounds.iter().map(|round| round.report.total_seconds).fold(0.0, f64::max);
        let latency = row.latency.as_ref().expect("a latency");
        for part in [latency.wait, latency.service] {
            assert!(part.max_seconds <= longest, "{}: {part:?} in rounds of up to {longest} s", row.name);
            assert!(part.p50_seconds.is_some_and(|p50| p50 <= part.max_seconds), "{part:?}");
        }
    }
}

#[test]
fn the_machine_is_described_and_what_cannot_be_known_has_its_reason() {
    let document = Sandbox::new().measure("-n 10 --rounds 1 -m serial");
    let machine = &document.environment.machine;
    assert!(machine.has_proc && machine.effective_cores.is_some_and(|cores| cores >= 1));
    for unknown in &machine.not_measured {
        assert!(document.warnings.iter().any(|warning| warning.message.contains(&unknown.what)), "{unknown}");
    }
    assert!(document.environment.after.monotonic_seconds > document.environment.before.monotonic_seconds);
    assert!(document.environment.idle_disturbance.count > 0);
}

#[test]
fn no_process_of_its_own_is_counted_twice_and_taken_from_those_of_others() {
    let documents =
        ["", "--overhead", "--io echo", "--start exec -m pool,process", "--memory-method meminfo"]
            .map(|more| Sandbox::new().measure(&format!("-n 20 --rounds 2 {more}")));
    let changes = documents.map(|document| document.environment.change);
    if changes[0].forks.is_none() {
        return skip("processes of others", "there is no /proc/stat that counts processes");
    }
    // One too many, and the kernel would have counted fewer than these, unless others started some just then.
    assert!(changes.iter().all(|change| change.foreign_forks.is_some()), "{changes:#?}");
}

#[test]
fn the_pilot_is_part_of_the_export() {
    let document = Sandbox::new().measure("-n 100 --rounds 1 -m serial,pool");
    let estimate = document.estimate.expect("an estimate");
    assert_eq!(estimate.rounds.len(), 2);
    assert!(estimate.rounds.iter().all(|round| round.round_seconds > 0.0 && round.pilot_tasks.is_some()));
}
