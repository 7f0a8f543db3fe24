//! `procbench crossover`, as its user sees it.

mod common;

use std::fs;

use common::{Finished, Sandbox};
use nix::sys::signal::Signal;
use procbench::stats::Verdict;
use procbench::study::crossover::Faster;
use procbench::study::crossover::document::Crossovers;

fn words(text: &str) -> Vec<String> {
    shlex::split(text).expect("words")
}

fn run(sandbox: &Sandbox, arguments: &str) -> Finished {
    sandbox.run(words(&format!("crossover {arguments}")))
}

#[track_caller]
fn export(sandbox: &Sandbox) -> Crossovers {
    let text = fs::read_to_string(sandbox.path("out.json")).expect("an export");
    let found: Crossovers = serde_json::from_str(&text).expect("a search");
    let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(serde_json::to_value(&found).expect("JSON"), read, "a field is not part of the document");
    found
}

#[track_caller]
fn refused(arguments: &str, parts: &[&str]) {
    let sandbox = Sandbox::new();
    let finished = run(&sandbox, &format!("{arguments} --json out.json")).expect_code(2);
    assert!(finished.stdout.is_empty() && !sandbox.path("out.json").exists(), "{finished:?}");
    for part in parts {
        assert!(finished.stderr.contains(part), "no {part:?} in {finished:?}");
    }
}

/// One task after another is faster than a process each while nothing is waited for, and slower by far when all wait: on any
/// machine.
#[test]
fn the_crossing_of_serial_and_process_is_found_within_the_range() {
    let sandbox = Sandbox::new();
    let arguments = "--between serial,process --over io-wait=0..20ms -n 20 --width 50% --rounds 20 --quiet --json out.json";
    let finished = run(&sandbox, arguments).expect_code(0);
    let found = export(&sandbox);
    assert_eq!(found.between, ["serial", "process"]);
    let crossing = found.crossings.first().unwrap_or_else(|| panic!("{finished:?}"));
    assert_eq!((crossing.below.as_str(), crossing.above.as_str()), ("serial", "process"));
    assert!(crossing.low.number < crossing.high.number);
    let digits = crossing.estimate.text.chars().filter(char::is_ascii_digit).count();
    assert!(digits <= 4, "{}: it is known to three digits (0.123 has four)", crossing.estimate.text);
    let values: Vec<f64> = found.points.iter().filter_map(|point| point.value.number).collect();
    assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{values:?}");
    for point in &found.points {
        assert!(point.document.strategies.iter().any(|row| !row.rounds.is_empty()), "raw rounds are kept");
        // Where one was not waited for, there is none.
        let Some(said) = point.speed_up.map(|speed_up| speed_up.verdict) else { continue };
        let is_first = (point.faster == Faster::First, point.faster == Faster::Second);
        assert_eq!((said == Verdict::Faster, said == Verdict::Slower), is_first, "{point:?}");
    }
    for part in ["serial is faster up to", "process from", "they cross at about"] {
        assert!(finished.stdout.replace('\n', " ").contains(part), "{finished:?}");
    }
}

#[test]
fn none_is_said_where_there_is_none() {
    let sandbox = Sandbox::new();
    let arguments = "--between serial,process --over io-wait=10ms..40ms -n 20 --points 3 --rounds 12 --quiet --json out.json";
    let finished = run(&sandbox, arguments).expect_code(0);
    let found = export(&sandbox);
    assert!(found.crossings.is_empty() && found.points.iter().all(|point| point.faster == Faster::Second));
    assert!(finished.stdout.contains("No crossing in io-wait from 10ms to 40ms"), "{finished:?}");
}

#[test]
fn a_time_too_short_for_any_round_is_no_answer() {
    let sandbox = Sandbox::new();
    let arguments =
        "--between serial,pool --over tasks=1..1e6 --cpu 1ms --time-limit 1ms --quiet --json out.json";
    let finished = run(&sandbox, arguments).expect_code(3);
    assert!(
        finished.stderr.contains("within the time limit of 1.00 ms no value could have a round of both"),
        "{finished:?}"
    );
    assert!(finished.stdout.is_empty() && !sandbox.path("out.json").exists(), "{finished:?}");
}

/// The largest value alone would take longer than the whole search may: the others are looked at all the same, and nothing is said of it.
#[test]
fn a_value_that_would_take_too_long_is_left_out() {
    let sandbox = Sandbox::new();
    let arguments = "--between serial,process --over io-wait=0..1h -n 20 --time-limit 10s --points 3 --rounds 12 --quiet --json out.json";
    let finished = run(&sandbox, arguments).expect_code(0);
    let found = export(&sandbox);
    assert!(found.out_of_time && found.points.iter().any(|point| point.faster == Faster::First));
    assert!(found.points.iter().all(|point| point.value != found.high), "{finished:?}");
    let said = finished.stdout.replace('\n', " ");
    assert!(said.contains("nothing was measured") && !said.contains("No crossing"), "{finished:?}");
}

/// The few tasks that are tried beforehand are the short ones: rounds of both outlast all that could be expected of them.
#[test]
fn rounds_that_outlast_what_a_few_tasks_promised_are_waited_for() {
    let sandbox = Sandbox::new();
    let arguments = "--between serial,process --over tasks=9..12 --points 3 --rounds 6 --time-limit 10m --quiet --json out.json --shell";
    let command = "'if [ {} -gt 5 ]; then sleep 0.25; fi'";
    let finished = run(&sandbox, &format!("{arguments} -- {command}")).expect_code(0);
    let found = export(&sandbox);
    assert!(!found.out_of_time && found.points.len() >= 2, "{finished:?}");
    assert!(found.points.iter().all(|point| point.faster == Faster::Second), "{finished:?}");
}

#[test]
fn the_ends_of_the_range_are_what_was_typed() {
    let sandbox = Sandbox::new();
    let arguments =
        "--between serial,process --over tasks=1001..1024 --points 4 --rounds 5 --quiet --json out.json";
    let finished = run(&sandbox, arguments).expect_code(0);
    let found = export(&sandbox);
    assert_eq!((found.low.text.as_str(), found.high.text.as_str()), ("1001", "1024"), "{finished:?}");
    let values: Vec<f64> = found.points.iter().filter_map(|point| point.value.number).collect();
    assert_eq!((values[0], values[values.len() - 1]), (1001.0, 1024.0), "{finished:?}");
    assert!(finished.stdout.contains("1,024"), "{finished:?}");
}

#[test]
fn a_spec_with_a_sweep_of_its_own_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("spec.toml", "[workload]\ntasks = 10\n[vary]\nio-wait = \"0,1ms\"\n");
    let arguments = "--config spec.toml --between serial,process --over tasks=1..100";
    assert!(run(&sandbox, arguments).expect_code(2).error().contains("[vary] io-wait"));
}

#[test]
fn where_tasks_fail_nobody_is_faster() {
    let sandbox = Sandbox::new();
    let finished =
        run(&sandbox, "--between serial,pool --over tasks=1..10 --points 3 --quiet --json out.json -- false");
    let finished = finished.expect_code(1);
    let found = export(&sandbox);
    assert!(found.points.iter().all(|point| point.faster == Faster::Failed), "{finished:?}");
    assert!(
        finished.stdout.contains("tasks failed") && finished.stderr.contains("exit code 1"),
        "{finished:?}"
    );
}

#[test]
fn the_time_limit_holds_although_a_single_task_takes_longer() {
    let sandbox = Sandbox::new();
    let arguments =
        "--between serial,pool --over tasks=1..10 --time-limit 500ms --quiet --json out.json -- sleep 1000";
    let finished = run(&sandbox, arguments).expect_code(3);
    assert!(finished.stderr.contains("--time-limit"), "{finished:?}");
    assert!(!sandbox.path("out.json").exists());
}

#[test]
fn an_interrupt_ends_it_with_what_is_known() {
    let sandbox = Sandbox::new();
    let arguments = "crossover --between serial,process --over io-wait=1m..10m -n 2 --time-limit 10h --quiet --json out.json";
    let mut running = sandbox.start(sandbox.command(words(arguments)));
    running.wait_for_runner(1);
    running.signal(Signal::SIGINT);
    let finished = running.finish().expect_code(130);
    assert!(export(&sandbox).head.partial);
    assert!(finished.stdout.contains("interrupted"), "{finished:?}");
}

#[test]
fn what_makes_no_search_is_refused_before_anything_starts() {
    refused("--between pool,process -n 5", &["--over"]);
    refused("--over tasks=1..10", &["--between"]);
    refused("--between pool --over tasks=1..10", &["--between has 1", "two strategies"]);
    refused("--between pool,process,serial --over tasks=1..10", &["--between has 3"]);
    refused("--between serial,serial --over tasks=1..10", &["serial twice", "two strategies that differ"]);
    refused(
        "--between pool:workers=3,pool:workers=3:chunk=auto --over tasks=1..10",
        &["pool:workers=3 and pool:workers=3:chunk=auto are one and the same"],
    );
    refused("--between pool,poool --over tasks=1..10", &["did you mean pool"]);
    refused("--between pool,process --over tasks=10..1", &["backwards"]);
    refused("--between pool,process --over tasks=1,2", &["not a range"]);
    refused("--between pool,process --over tasks", &["KEY=LOW..HIGH"]);
    refused("--between pool,process --over seed=1..5", &["'seed'"]);
    refused("--between pool,process --over spread=a..b", &["no range"]);
    refused("--between pool,process --over tasks=1..10 -n 5", &["tasks has no meaning", "--over"]);
    refused("--between pool,process --over tasks=1..10 --rounds 2", &["--rounds is 2", "at least 3"]);
    refused("--between pool,process --over tasks=1..10 -m serial", &["--mode has no meaning"]);
    refused("--between serial,process --over workers=1..4 -n 5", &["--workers"]);
    refused("--between pool:workers=1,pool:workers=2 --over workers=1..4 -n 5", &["makes no difference"]);
    refused("--between pool,process --over tasks=0..10", &["tasks is 0", "in the cell tasks=0"]);
    refused("--between pool,process --over tasks=1..10 --points 2", &["--points is 2"]);
}
