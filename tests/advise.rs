//! `procbench advise`, as its user sees it.

mod common;

use std::fs;

use common::{Finished, Sandbox};
use nix::sys::signal::Signal;
use procbench::study::advise::Reason;
use procbench::study::advise::document::{Advice, Candidate};

fn words(text: &str) -> Vec<String> {
    shlex::split(text).expect("words")
}

fn run(sandbox: &Sandbox, arguments: &str) -> Finished {
    sandbox.run(words(&format!("advise {arguments}")))
}

#[track_caller]
fn export(sandbox: &Sandbox) -> Advice {
    let text = fs::read_to_string(sandbox.path("out.json")).expect("an export");
    let advice: Advice = serde_json::from_str(&text).expect("advice");
    let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(serde_json::to_value(&advice).expect("JSON"), read, "a field is not part of the document");
    advice
}

/// What follows the program's name in `command`, which says how many rounds, with one.
fn with_one_round(command: &[String]) -> Vec<String> {
    let mut words = command[1..].to_vec();
    let rounds =
        words.iter().position(|word| word == "--rounds").expect("as many rounds as the finalists had");
    assert!(words[rounds + 1].parse::<u64>().is_ok_and(|rounds| rounds > 0), "{command:?}");
    words[rounds + 1] = "1".into();
    words.push("--quiet".into());
    words
}

/// Who waits one after another is slower by far, on any machine.
#[test]
fn it_ends_in_one_answer_whose_command_runs() {
    let sandbox = Sandbox::new();
    let finished = run(
        &sandbox,
        "-n 40 --io-wait 10ms --workload-name=-dash --time-limit 60s --rounds 5 --quiet --json out.json",
    )
    .expect_code(0);
    let advice = export(&sandbox);
    let standing = advice.standing.as_ref().expect("an answer");
    assert!(!standing.best.starts_with("serial"), "{finished:?}");
    assert!(finished.stdout.contains(&format!("Use {}.", standing.best)), "{finished:?}");
    assert!(
        advice
            .candidates
            .iter()
            .any(|candidate| candidate.strategy == "serial" && candidate.gave_up.is_some())
    );
    let best = advice.finalists.first().expect("finalists");
    assert_eq!(best.strategy, standing.best);
    assert!(best.total_seconds.is_some_and(|time| time.rounds >= 3), "{best:?}");
    // What can be measured of memory differs from machine to machine; what cannot, says why.
    let said = finished.stdout.replace('\n', " ");
    assert_eq!(best.peak_bytes.is_some(), said.contains("of memory at its peak ("), "{finished:?}");
    assert_eq!(best.peak_bytes.is_none(), said.contains("its memory was not measured: "), "{finished:?}");
    // Whoever was looked at and given up is told, so that nobody has to ask for it.
    let in_finals = |name: &str| advice.finalists.iter().any(|finalist| finalist.strategy == name);
    let raced = |candidate: &&Candidate| candidate.rounds > 0 && !in_finals(&candidate.strategy);
    let beaten = advice.candidates.iter().any(|candidate| raced(&candidate));
    assert_eq!(finished.stdout.contains("given up in the search"), beaten, "{finished:?}");
    let command = finished.stdout.lines().last().and_then(shlex::split).expect("a command");
    assert_eq!(command, advice.command);
    let compared = command.iter().any(|word| word.contains(','));
    assert!(compared || !beaten, "an answer is seen again beside another: {command:?}");
    assert_eq!(command[0], "procbench");
    sandbox.run(with_one_round(&command)).expect_code(0);
}

/// Tasks that fork nothing and wait for nothing are done by one process, and by nobody else as fast: on any machine. The answer
/// says by how much all the same.
#[test]
fn the_answer_says_how_much_better_than_the_next_or_who_is_not_distinguished() {
    let sandbox = Sandbox::new();
    let finished = run(&sandbox, "-n 300 --time-limit 60s --rounds 6 --quiet --json out.json").expect_code(0);
    let advice = export(&sandbox);
    let standing = advice.standing.as_ref().expect("an answer");
    assert!(!standing.others.is_empty(), "there is somebody to compare with: {finished:?}");
    let said = finished.stdout.replace('\n', " ");
    let (_, answer) = said.split_once("Use ").expect("an answer");
    let says = |part: &str| answer.contains(part);
    assert!(says(" as fast as ") || says("Not distinguished from it: "), "{finished:?}");
}

/// Whether a process each wins because it is one, or because nobody waits for another, only as many workers can tell.
#[test]
fn tasks_that_wait_are_tried_with_a_worker_for_each_and_settings_that_were_typed_hold_for_all() {
    let sandbox = Sandbox::new();
    let arguments = "-n 40 --io-wait 20ms --start exec --time-limit 60s --rounds 3 --quiet --json out.json";
    run(&sandbox, arguments).expect_code(0);
    let names: Vec<String> =
        export(&sandbox).candidates.into_iter().map(|candidate| candidate.strategy).collect();
    assert!(names.iter().any(|name| name == "threads:workers=40"), "{names:?}");
    assert!(names.iter().any(|name| name == "pool:workers=40:start=exec"), "{names:?}");
    let forks = |name: &&String| name.starts_with("pool") || name.starts_with("process");
    assert!(names.iter().filter(forks).all(|name| name.contains("start=exec")), "{names:?}");
}

#[test]
fn modes_that_were_named_are_all_that_is_searched() {
    let sandbox = Sandbox::new();
    let arguments =
        "-n 20 --io-wait 10ms -m threads,pool:workers=3 --time-limit 60s --rounds 3 --quiet --json out.json";
    run(&sandbox, arguments).expect_code(0);
    let names: Vec<String> =
        export(&sandbox).candidates.into_iter().map(|candidate| candidate.strategy).collect();
    for row in ["threads:workers=20", "pool:workers=3", "pool:workers=20"] {
        assert!(names.iter().any(|name| name == row), "no {row} in {names:?}");
    }
    assert!(names.iter().all(|name| name.starts_with("threads") || name.starts_with("pool")), "{names:?}");
}

#[test]
fn a_python_function_is_advised_about_too() {
    if !common::has_python("a_python_function_is_advised_about_too") {
        return;
    }
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("mine.py"), "def double(x):\n    return 2 * x\n").expect("a module");
    fs::write(sandbox.path("args.jsonl"), "1\n2\n3\n4\n").expect("arguments");
    let arguments =
        "--call mine:double --args-from args.jsonl --time-limit 60s --rounds 3 --quiet --json out.json";
    let finished = run(&sandbox, arguments).expect_code(0);
    let advice = export(&sandbox);
    assert!(advice.candidates.iter().all(|candidate| candidate.strategy.starts_with("py-")), "{finished:?}");
    assert!(finished.stdout.contains("Use py-") || finished.stdout.contains("Not decided"), "{finished:?}");
    for finalist in &advice.finalists {
        let is_it = |candidate: &Candidate| candidate.strategy == finalist.strategy;
        assert!(
            advice.candidates.iter().any(is_it),
            "{} is not among those of the search",
            finalist.strategy
        );
    }
}

/// What a spec calls its baseline need not be among the finalists.
#[test]
fn the_command_of_a_spec_with_a_baseline_runs() {
    let sandbox = Sandbox::new();
    let spec = "[workload]\ntasks = 20\nio_wait = \"5ms\"\n[run]\nbaseline = \"serial\"\n[[strategy]]\nmode = \"serial\"\n";
    fs::write(sandbox.path("spec.toml"), spec).expect("a spec");
    run(&sandbox, "--config spec.toml --time-limit 60s --rounds 3 --quiet --json out.json").expect_code(0);
    let command = export(&sandbox).command;
    assert!(command.contains(&"--baseline".to_owned()), "{command:?}");
    sandbox.run(with_one_round(&command)).expect_code(0);
}

#[test]
fn the_time_limit_holds_although_a_single_task_takes_longer() {
    let sandbox = Sandbox::new();
    let finished =
        run(&sandbox, "-n 2 --time-limit 500ms --quiet --json out.json -- sleep 1000").expect_code(3);
    assert!(finished.stderr.contains("--time-limit"), "{finished:?}");
    assert!(!sandbox.path("out.json").exists());
}

#[test]
fn an_interrupt_ends_it_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let arguments = "advise -n 4 --io-wait 1h --quiet --json out.json";
    let mut running = sandbox.start(sandbox.command(words(arguments)));
    running.wait_for_runner(1);
    running.signal(Signal::SIGINT);
    running.finish().expect_code(130);
    assert!(export(&sandbox).head.partial);
}

/// When the races are over is for the machine to say, so the answer is taken away afterwards.
#[test]
fn a_search_without_an_answer_tells_what_is_known_so_far() {
    let sandbox = Sandbox::new();
    let arguments = "-n 4 --io-wait 50ms --time-limit 60s -m serial,pool --quiet --json out.json";
    run(&sandbox, arguments).expect_code(0);
    let advice = Advice { finals: None, standing: None, ..export(&sandbox) };
    let mut told = Vec::new();
    procbench::report::advise::write(&advice, None, &mut told).expect("a place in memory");
    let told = String::from_utf8(told).expect("text").replace('\n', " ");
    assert!(told.contains("So far, by medians: pool") && told.contains(" ms in "), "{told}");
}

/// The recorded advice, with what `change` makes of a candidate.
fn answer_with(name: &str, change: impl Fn(&mut Candidate)) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/results/2026-11-29-linux-intel-xeon/advise.json");
    let mut advice: Advice =
        serde_json::from_str(&fs::read_to_string(path).expect("a file")).expect("advice");
    let candidate = advice.candidates.iter_mut().find(|candidate| candidate.strategy == name);
    change(candidate.expect("a candidate"));
    // As good as the best of that race.
    let row = advice.races[0].strategies.iter_mut().find(|row| row.name == name).expect("a row");
    row.summary.iter_mut().for_each(|summary| summary.total_seconds.median = 0.025);
    procbench::report::advise::answer(&advice)
}

/// Who might be better is told; and where it would be so in another way, nothing is decided, unless no time could help.
#[test]
fn who_was_not_shown_to_be_slower_is_told() {
    let open = answer_with("threads:workers=64", |candidate| candidate.gave_up = Some(Reason::NoTime));
    assert!(
        open.starts_with("Not decided, for want of time: raise --time-limit. process:in-flight=all"),
        "{open}"
    );
    assert!(open.contains("Not in the finals, though not shown to be slower: threads:workers=64."), "{open}");
    let no_place = answer_with("threads:workers=64", |candidate| candidate.gave_up = Some(Reason::NoPlace));
    assert!(no_place.starts_with("Use process:in-flight=all."), "{no_place}");
    assert!(
        no_place.contains("In the search as good, but for four others: threads:workers=64."),
        "{no_place}"
    );
    let untried = answer_with("serial", |candidate| {
        (candidate.gave_up, candidate.expected_seconds) = (Some(Reason::NoTime), None);
    });
    assert!(untried.starts_with("Use process:in-flight=all, of those that could be tried."), "{untried}");
    assert!(untried.contains(" 1 other could not even be tried, for want of time."), "{untried}");
    let promising = answer_with("serial", |candidate| {
        (candidate.gave_up, candidate.expected_seconds) = (Some(Reason::NoTime), Some(0.01));
    });
    assert!(promising.starts_with("Not decided, for want of time"), "{promising}");
}

#[test]
fn what_the_search_is_to_find_is_not_to_be_said() {
    for (arguments, part) in [
        ("-n 4 --workers 3", "--workers has no meaning"),
        ("-n 4 --chunk 3", "--chunk has no meaning"),
        ("-n 4 --dry-run", "--dry-run has no meaning"),
        ("", "how many tasks?"),
        ("-n 4 --time-limit 5", "'5' has no unit"),
    ] {
        let sandbox = Sandbox::new();
        let finished = run(&sandbox, &format!("{arguments} --json out.json")).expect_code(2);
        assert!(finished.stderr.contains(part), "no {part:?} in {finished:?}");
        assert!(!sandbox.path("out.json").exists());
    }
}
