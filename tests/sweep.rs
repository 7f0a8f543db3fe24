//! `procbench sweep`, as its user sees it.

mod common;

use std::fs;

use common::{Finished, Sandbox};
use nix::sys::signal::Signal;
use procbench::document::standing::Outcome;
use procbench::report::numbers::seconds;
use procbench::study::sweep::Sweep;

/// Few rounds of little: what is measured is of no interest here.
const SMALL: &str = "-m serial,pool:workers=2 --rounds 2 --quiet";

fn words(text: &str) -> Vec<String> {
    shlex::split(text).expect("words")
}

fn run(sandbox: &Sandbox, arguments: &str) -> Finished {
    sandbox.run(words(&format!("sweep {arguments}")))
}

#[track_caller]
fn export(sandbox: &Sandbox, name: &str) -> Sweep {
    let text = fs::read_to_string(sandbox.path(name)).expect("an export");
    let sweep: Sweep = serde_json::from_str(&text).expect("a sweep");
    let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(serde_json::to_value(&sweep).expect("JSON"), read, "a field is not part of the document");
    sweep
}

#[track_caller]
fn refused(arguments: &str, parts: &[&str]) {
    let sandbox = Sandbox::new();
    let finished = run(&sandbox, &format!("{arguments} --io-wait 1h --json out.json")).expect_code(2);
    assert!(finished.stdout.is_empty() && !sandbox.path("out.json").exists(), "{finished:?}");
    for part in parts {
        assert!(finished.error().contains(part), "no {part:?} in {finished:?}");
    }
}

#[test]
fn every_cell_is_a_comparison_of_its_own() {
    let sandbox = Sandbox::new();
    let finished = run(&sandbox, &format!("--vary tasks=1,4,16 {SMALL} --json out.json")).expect_code(0);
    let sweep = export(&sandbox, "out.json");
    assert!(!sweep.head.partial);
    assert_eq!(sweep.strategies, ["serial", "pool:workers=2"]);
    assert_eq!(sweep.cells.len(), 3);
    for (cell, tasks) in sweep.cells.iter().zip([1, 4, 16]) {
        let document = cell.document.as_ref().expect("a document");
        assert_eq!(document.plan.workload.tasks, tasks);
        let names: Vec<&String> = document.strategies.iter().map(|row| &row.name).collect();
        assert_eq!(names, ["serial", "pool:workers=2"]);
        assert!(document.strategies.iter().all(|row| row.rounds.len() == 2));
        let orders: Vec<u64> =
            document.strategies.iter().flat_map(|row| &row.rounds).map(|round| round.order).collect();
        assert_eq!(orders.iter().sum::<u64>(), 1 + 2 + 3 + 4, "rounds of all strategies are one sequence");
        assert_eq!(cell.standing.as_ref().expect("a standing").others.len(), 1);
    }
    let lines: Vec<&str> = finished.stdout.lines().collect();
    for strategy in ["serial", "pool:workers=2"] {
        let line = lines.iter().find(|line| line.starts_with(strategy)).expect("a line for each strategy");
        for document in sweep.cells.iter().filter_map(|cell| cell.document.as_ref()) {
            let row = document.strategies.iter().find(|row| row.name == strategy).expect("a row");
            let median = row.summary.as_ref().expect("a summary").total_seconds.median;
            assert!(line.contains(&seconds(median)), "no {} in {line}", seconds(median));
        }
    }
    assert!(finished.stdout.contains("tasks"), "{finished:?}");
}

#[test]
fn two_variables_make_a_map_whose_cells_name_the_best() {
    let sandbox = Sandbox::new();
    // Waits one after another are slower than at once on any machine.
    let finished = run(
        &sandbox,
        "--vary tasks=10,20 --vary io-wait=10ms,20ms -m serial,process --rounds 5 --quiet --json out.json",
    )
    .expect_code(0);
    let sweep = export(&sandbox, "out.json");
    assert_eq!(sweep.cells.len(), 4);
    for cell in &sweep.cells {
        let standing = cell.standing.as_ref().expect("a standing");
        assert_eq!((standing.outcome, standing.best.as_str()), (Outcome::Best, "process"), "{cell:?}");
        assert!(standing.lead().expect("a lead") > 1.5);
    }
    assert_eq!(finished.stdout.matches("P ").count(), 4 + 1, "four cells and the legend: {finished:?}");
    assert!(finished.stdout.contains("S serial · P process"), "{finished:?}");
}

#[test]
fn too_few_rounds_are_no_decision() {
    let sandbox = Sandbox::new();
    // Of one round only a factor of two is a decision, and these do the same.
    let arguments =
        "--vary tasks=1,2 --io-wait 800ms -m serial,pool:workers=1 --rounds 1 --quiet --json out.json";
    let finished = run(&sandbox, arguments).expect_code(0);
    let sweep = export(&sandbox, "out.json");
    let outcomes: Vec<Outcome> =
        sweep.cells.iter().map(|cell| cell.standing.as_ref().expect("a standing").outcome).collect();
    assert_eq!(outcomes, [Outcome::TooFewRounds; 2], "{finished:?}");
    assert!(finished.stdout.contains("Fastest by tasks: 1 to 2: too few rounds."), "{finished:?}");
    assert!(finished.stdout.contains("* the fastest, but too few rounds to be sure"), "{finished:?}");
    assert!(!finished.stdout.contains("lead"), "nobody has one: {finished:?}");
}

#[test]
fn a_setting_may_vary_and_rows_keep_their_names() {
    let sandbox = Sandbox::new();
    run(&sandbox, "-n 8 --vary workers=1,2,3 -m serial,pool --rounds 1 --quiet --json out.json")
        .expect_code(0);
    let sweep = export(&sandbox, "out.json");
    assert_eq!(sweep.strategies, ["serial", "pool"]);
    let workers = |cell: &procbench::study::sweep::Cell| {
        cell.document.as_ref().and_then(|document| document.strategies[1].settings.workers)
    };
    assert_eq!(sweep.cells.iter().map(workers).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
}

#[test]
fn a_spec_may_vary_and_is_then_no_single_benchmark() {
    let sandbox = Sandbox::new();
    let spec = "[workload]\ncpu = \"1us\"\n[vary]\ntasks = [1, 2]\nio_wait = \"0..1ms:3\"\n[[strategy]]\nmode = \"serial\"\n";
    sandbox.write("spec.toml", spec);
    run(&sandbox, "--config spec.toml --rounds 1 --quiet --json out.json").expect_code(0);
    let sweep = export(&sandbox, "out.json");
    let keys: Vec<&str> = sweep.variables.iter().map(|variable| variable.key.as_str()).collect();
    assert_eq!(keys, ["tasks", "io-wait"], "in the order of the file");
    assert_eq!(sweep.cells.len(), 6);
    // A flag holds against the file.
    run(&sandbox, "--config spec.toml --io-wait 0 --rounds 1 --quiet --json one.json").expect_code(0);
    assert_eq!(export(&sandbox, "one.json").cells.len(), 2);
    run(&sandbox, "--config spec.toml --vary tasks=3,4,5 --rounds 1 --quiet --json both.json").expect_code(0);
    assert_eq!(export(&sandbox, "both.json").cells.len(), 9, "the other one varies all the same");
    let finished = sandbox.run(["--config", "spec.toml"]).expect_code(2);
    assert!(finished.error().contains("procbench sweep"), "{finished:?}");
    sandbox.write("wrong.toml", "[workload]\ntasks = 3\n[vary]\nsede = [1]\n");
    let finished = run(&sandbox, "--config wrong.toml").expect_code(2);
    assert!(finished.error().contains("wrong.toml:4"), "{finished:?}");
}

#[test]
fn what_makes_no_sweep_is_refused_before_anything_starts() {
    refused("-n 5", &["what varies?", "--vary"]);
    refused("--vary tasks=", &["empty list"]);
    refused("--vary tasks=1000..10", &["backwards"]);
    refused("--vary io-wait=1ms...1s", &["three dots", "LOW..HIGH"]);
    refused("--vary tasks=10,ten", &["'ten'"]);
    refused("--vary tasks=1,2 --vary tasks=3,4", &["tasks varies twice"]);
    refused("--vary tasks=1,2 --vary cpu=0,1ms --vary memory=0,1KiB", &["one or two at a time"]);
    refused("--vary seed=1,2", &["'seed'", "tasks, cpu, io-wait"]);
    refused("--vary tasks=1,2 --tasks 3", &["tasks varies, but --tasks"]);
    refused("--vary tasks=1000..1e9:50 --vary cpu=1us..1s:50", &["2500 cells", "400"]);
    refused("--vary tasks=0,1", &["tasks is 0", "in the cell tasks=0"]);
    refused("-n 3 -m serial --vary workers=1,2", &["--workers"]);
    refused("-n 3 -m pool:workers=2 --vary workers=1,2", &["makes no difference"]);
    refused("--vary tasks=1,2 --total-time 5s -m serial", &["2 cells would take", "--total-time"]);
    refused("--vary tasks=1,2 --resume nowhere.json", &["nowhere.json"]);
}

#[test]
fn an_interrupted_sweep_keeps_what_it_has_and_goes_on_from_there() {
    let sandbox = Sandbox::new();
    let arguments = format!("sweep --vary tasks=1,2,3,4,5,6 --io-wait 5ms {SMALL} --json out.json");
    let mut running = sandbox.start(sandbox.command(words(&arguments)));
    let path = sandbox.path("out.json");
    running.wait_for("two finished cells", |_| {
        let text = fs::read_to_string(&path).ok()?;
        // Never half a file.
        let sweep: Sweep = serde_json::from_str(&text).expect("a complete export");
        (sweep.done() >= 2).then_some(())
    });
    running.signal(Signal::SIGINT);
    let finished = running.finish();
    let before = export(&sandbox, "out.json");
    if before.head.partial {
        assert_eq!(finished.code(), Some(130), "{finished:?}");
        assert!(finished.stdout.contains(&format!("{} of 6 cells", before.done())), "{finished:?}");
        let told = "what is left is run by: procbench sweep --resume out.json\n";
        assert!(finished.stderr.ends_with(told), "{finished:?}");
    }
    // Another sweep is not gone on with, and the file stays.
    let other = format!("--vary tasks=1,2,3,4,5,6 --io-wait 6ms {SMALL} --resume out.json");
    let refused = run(&sandbox, &other).expect_code(2);
    assert!(refused.error().contains("io_wait_seconds was 0.005 and is now 0.006"), "{refused:?}");
    let refused =
        run(&sandbox, &format!("--vary tasks=1,2 --io-wait 5ms {SMALL} --resume out.json")).expect_code(2);
    assert!(refused.error().contains("tasks=1,2,3,4,5,6"), "{refused:?}");
    assert_eq!(export(&sandbox, "out.json"), before);
    run(&sandbox, "--resume out.json --quiet").expect_code(0);
    let after = export(&sandbox, "out.json");
    assert!(!after.head.partial && after.done() == 6);
    assert_eq!(
        before.head.command_line, after.head.command_line,
        "what was typed at first, to go on with it again"
    );
    for (before, after) in before.cells.iter().zip(&after.cells).filter(|(before, _)| before.is_done()) {
        assert_eq!(before, after, "what was done is not done again");
    }
    let calibrations =
        after.cells.iter().filter_map(|cell| Some(cell.document.as_ref()?.environment.units_per_second));
    let mut calibrations: Vec<f64> = calibrations.collect();
    calibrations.dedup();
    assert_eq!(calibrations.len(), 1, "tasks of all cells do as much work: {calibrations:?}");
}

#[test]
fn a_killed_sweep_has_lost_one_cell_at_most() {
    let sandbox = Sandbox::new();
    let arguments = format!("sweep --vary tasks=1,2,3,4,5,6 --io-wait 5ms {SMALL} --json out.json");
    let mut running = sandbox.start(sandbox.command(words(&arguments)));
    let path = sandbox.path("out.json");
    running.wait_for("a finished cell", |_| {
        let text = fs::read_to_string(&path).ok()?;
        let sweep: Sweep = serde_json::from_str(&text).expect("a complete export");
        (sweep.done() >= 1).then_some(())
    });
    running.signal(Signal::SIGKILL);
    running.finish();
    let before = export(&sandbox, "out.json");
    assert!(before.done() >= 1);
    run(&sandbox, "--resume out.json --quiet --csv out.csv").expect_code(0);
    let after = export(&sandbox, "out.json");
    assert!(!after.head.partial && after.done() == 6);
    assert_eq!(
        before.head.command_line, after.head.command_line,
        "what was typed at first, to go on with it again"
    );
    for (before, after) in before.cells.iter().zip(&after.cells).filter(|(before, _)| before.is_done()) {
        assert_eq!(before, after, "what was done is not done again");
    }
    assert!(sandbox.path("out.csv").exists(), "what is asked for this time is written, too");
}

/// Interrupted in its first cell, it has nothing that is finished.
#[test]
fn a_sweep_without_a_finished_cell_is_gone_on_with_as_what_it_is() {
    let sandbox = Sandbox::new();
    run(&sandbox, &format!("--vary tasks=1,2 {SMALL} --json out.json")).expect_code(0);
    let mut begun = export(&sandbox, "out.json");
    begun.head.partial = true;
    for cell in &mut begun.cells {
        match &mut cell.document {
            Some(document) if cell.turn == 1 => document.partial = true,
            _ => (cell.document, cell.standing) = (None, None),
        }
    }
    let write = |sweep: &Sweep| sandbox.write("out.json", serde_json::to_string(sweep).expect("JSON"));
    write(&begun);
    let other = "--vary tasks=1,2 -m serial,pool:workers=2 --rounds 3 --quiet --resume out.json";
    let refused = run(&sandbox, other).expect_code(2);
    assert!(refused.error().contains("run.rounds was 2 and is now 3"), "{refused:?}");
    // Of which nothing was run, it is what is typed now.
    begun.cells.iter_mut().for_each(|cell| (cell.document, cell.standing) = (None, None));
    write(&begun);
    run(&sandbox, other).expect_code(0);
    let after = export(&sandbox, "out.json");
    assert!(
        after.head.command_line.ends_with(&words("--rounds 3 --quiet --resume out.json")),
        "{:?}",
        after.head
    );
    assert_eq!(after.done(), 2);
}

#[test]
fn a_sweep_whose_cells_speak_of_strangers_is_damaged() {
    let sandbox = Sandbox::new();
    run(&sandbox, &format!("--vary tasks=1,2 {SMALL} --json out.json")).expect_code(0);
    let mut sweep = export(&sandbox, "out.json");
    sweep.cells[0].standing.as_mut().expect("it was run").best = "nobody".into();
    sandbox.write("out.json", serde_json::to_string(&sweep).expect("JSON"));
    let refused = sandbox.run(["report", "out.json"]).expect_code(2);
    assert!(refused.error().contains("is damaged") && refused.error().contains("'nobody'"), "{refused:?}");
}

#[test]
fn what_is_no_sweep_is_not_gone_on_with() {
    let sandbox = Sandbox::new();
    sandbox.measure("-n 2 --rounds 1 -m serial");
    let text = fs::read_to_string(sandbox.path("measured.json")).expect("a run");
    let other = text.replacen("\"schema_version\": 1", "\"kind\": \"sweep\", \"schema_version\": 0", 1);
    for (content, part) in [
        (text, "bad.json is the export of a run: expected that of a sweep"),
        (other, "bad.json cannot be read: its schema_version is 0"),
        ("{}".into(), "bad.json is not an export of procbench"),
        ("tasks,time".into(), "bad.json is not JSON"),
        (String::new(), "bad.json ends too early"),
    ] {
        sandbox.write("bad.json", &content);
        let refused = run(&sandbox, "--resume bad.json").expect_code(2);
        assert!(refused.error().contains(part), "no {part:?} in {refused:?}");
        assert_eq!(fs::read_to_string(sandbox.path("bad.json")).expect("still there"), content);
    }
}

#[test]
fn flags_beside_resume_are_not_overlooked() {
    let sandbox = Sandbox::new();
    run(&sandbox, &format!("--vary tasks=1,2 {SMALL} --json out.json")).expect_code(0);
    // Whatever says which sweep it is has to say all of it.
    let refused = run(&sandbox, "--rounds 3 --resume out.json").expect_code(2);
    assert!(refused.error().contains("what varies?"), "{refused:?}");
    let arguments = "--vary tasks=1,2 -m serial,pool:workers=2 --rounds 3 --quiet --resume out.json";
    let refused = run(&sandbox, arguments).expect_code(2);
    assert!(refused.error().contains("run.rounds was 2 and is now 3"), "{refused:?}");
}

#[test]
fn failed_tasks_are_no_decision() {
    let sandbox = Sandbox::new();
    let finished =
        run(&sandbox, "--vary tasks=1,2 -m serial,process --rounds 1 --quiet --json out.json -- false")
            .expect_code(1);
    let sweep = export(&sandbox, "out.json");
    assert!(
        sweep.cells.iter().all(|cell| cell.standing.as_ref().is_some_and(|of| of.outcome == Outcome::Failed))
    );
    assert!(finished.stdout.contains('!'), "{finished:?}");
}

#[test]
fn a_dry_run_shows_the_cells_and_runs_none() {
    let sandbox = Sandbox::new();
    let finished =
        run(&sandbox, &format!("--vary tasks=1,2 --dry-run {SMALL} --json out.json")).expect_code(0);
    assert!(finished.stdout.contains("2 cells"), "{finished:?}");
    assert!(!sandbox.path("out.json").exists());
}

#[test]
fn who_is_alone_wins_nothing() {
    let sandbox = Sandbox::new();
    let finished =
        sandbox.run("sweep --vary tasks=2,4 --rounds 5 -m serial --json out.json".split(' ')).expect_code(0);
    assert!(!finished.stdout.contains('◀') && !finished.stdout.contains("Fastest"), "{finished:?}");
    assert!(finished.stdout.contains("compared with nobody"), "{finished:?}");
}

/// Four tasks that wait need a second by one worker, and a quarter of it by four.
#[test]
fn with_which_value_of_a_setting_a_strategy_is_fastest_is_said_of_each() {
    let sandbox = Sandbox::new();
    let arguments = "sweep --vary workers=1,4 -n 4 --io-wait 250ms --rounds 6 --quiet --json out.json";
    for (modes, parts) in [
        ("pool", &["pool is fastest with workers=4."][..]),
        ("serial,pool", &["Fastest by workers: ", "pool is fastest with workers=4."]),
    ] {
        let finished = sandbox.run(arguments.split(' ').chain(["-m", modes])).expect_code(0);
        let said = finished.stdout.replace('\n', " ");
        assert!(parts.iter().all(|part| said.contains(part)), "{finished:?}");
        assert!(
            !said.contains("serial is fastest with") && !said.contains("compared with nobody"),
            "{finished:?}"
        );
    }
    // Of two settings the pair is named, and a map of one strategy has its times.
    let both = "sweep --vary workers=1,4 --vary chunk=1,2 -n 4 --io-wait 80ms --rounds 6 --quiet -m pool";
    let finished = sandbox.run(both.split(' ')).expect_code(0);
    let said = finished.stdout.replace('\n', " ");
    assert!(said.contains("pool is fastest with workers=4 chunk=1"), "{finished:?}");
    let mut rows = finished.stdout.lines().filter(|line| line.starts_with("1  ") || line.starts_with("4  "));
    assert!(rows.clone().count() == 2 && rows.all(|line| line.matches('s').count() == 2), "{finished:?}");
    // What is no setting of a strategy is no part of its best.
    let apart = "sweep --vary workers=1,4 --vary in-flight=1,4 -n 4 --io-wait 80ms --rounds 6 --quiet -m pool,process";
    let finished = sandbox.run(apart.split(' ')).expect_code(0);
    let said = finished.stdout.replace('\n', " ");
    assert!(
        said.contains("pool is fastest with workers=4.")
            && said.contains("process is fastest with in-flight=4."),
        "{finished:?}"
    );
    let arguments = "sweep --vary workers=1,4 -n 4 -m pool --rounds 1 --quiet --json out.json";
    let finished = sandbox.run(arguments.split(' ')).expect_code(0);
    assert!(finished.stdout.contains("in too few rounds to be sure of"), "{finished:?}");
}

#[test]
fn the_fastest_of_a_line_is_marked_with_its_lead() {
    let sandbox = Sandbox::new();
    let words = "sweep --vary tasks=2,3 --io-wait 60ms -m serial,pool:workers=3 --rounds 6 --json out.json";
    let finished = sandbox.run(words.split(' ')).expect_code(0);
    let sweep = export(&sandbox, "out.json");
    let mut best = 0;
    for cell in &sweep.cells {
        let standing = cell.standing.as_ref().expect("it was run");
        // On a machine that is busy enough they may not be told apart; then nobody is marked.
        best += usize::from(standing.outcome == Outcome::Best);
        assert!(standing.outcome != Outcome::Best || standing.best.starts_with("pool"), "{standing:?}");
    }
    let row = finished.stdout.lines().find(|line| line.starts_with("pool:workers=3")).expect("its row");
    let marks = row.matches(" ◀").count();
    assert_eq!(marks, best, "{finished:?}");
    assert_eq!(finished.stdout.contains("◀ faster than each of the others"), best > 0, "{finished:?}");
}
