//! Workers of the user's own: programs that are told a task a line and answer with a line.

mod common;

use std::process::Command;
use std::time::Duration;

use common::programs::{MODES, assert_gone, hour, last, reasons, run};
use common::{Sandbox, digest, skip};
use procbench::document::Round;

#[test]
fn a_worker_answers_the_same_in_every_mode() {
    let sandbox = Sandbox::new();
    sandbox.write("lines.txt", "first\nsecond\n\nfourth\nlast");
    let modes = MODES.join(",");
    let arguments = ["--args-from", "lines.txt", "--rounds", "2", "-m", &modes, "--worker", "cat"];
    let (document, finished) = run(&sandbox, &arguments);
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    let echoed = digest(&document);
    for (mode, started) in MODES.iter().zip([1, 2, 4, 5]) {
        let report = &last(&document, mode).report;
        assert_eq!((report.tasks_completed, report.tasks_failed), (5, 0), "{report:?}");
        assert_eq!(report.processes_started, started, "{mode}: {report:?}");
    }
    let other = ["--args-from", "lines.txt", "--rounds", "1", "--worker", "sed -u s/first/1/"];
    let (document, _) = run(&sandbox, &other);
    assert_ne!(digest(&document), echoed, "an answer is part of the result");
    let numbers = ["-n", "5", "--rounds", "1", "--worker", "cat"];
    let (document, _) = run(&sandbox, &numbers);
    assert_ne!(digest(&document), echoed, "without lines a worker is told the task's number");
}

#[test]
fn lines_longer_than_any_pipe_cross_both_ways() {
    let sandbox = Sandbox::new();
    let long = "0123456789".repeat(30_000);
    sandbox.write("lines.txt", format!("{long}\nshort\n{long}{long}\n"));
    let modes = MODES.join(",");
    let arguments = ["--args-from", "lines.txt", "--rounds", "1", "-m", &modes, "--worker", "cat"];
    let (document, finished) = run(&sandbox, &arguments);
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    assert!(!digest(&document).is_empty());
}

/// Runs a worker that the shell executes in `mode`, with the tasks' numbers for lines.
#[track_caller]
fn with_worker(mode: &str, worker: &str, extra: &[&str]) -> Round {
    let sandbox = Sandbox::new();
    let all = ["-n", "6", "--rounds", "1", "-m", mode, "--shell", "--worker", worker];
    let (document, finished) = run(&sandbox, &[&all[..], extra].concat());
    let failed = document.tasks_failed() > 0;
    assert_eq!(finished.code(), Some(i32::from(failed)), "{finished:?}");
    last(&document, mode).clone()
}

#[test]
fn a_worker_that_dies_fails_its_task_and_has_a_successor() {
    for mode in MODES {
        let died = "while read line; do test $line != 3 || exit 7; echo $line; done";
        let round = with_worker(mode, died, &[]);
        assert_eq!(reasons(&round), [(3, "its worker ended before it answered: exit code 7")], "{mode}");
        assert_eq!(round.report.tasks_completed, 5, "{mode}");
        let crashed = "while read line; do test $line != 3 || kill -SEGV $$; echo $line; done";
        let round = with_worker(mode, crashed, &["--on-failure", "retry:2"]);
        assert_eq!(
            reasons(&round),
            [(3, "its worker ended before it answered: killed by SIGSEGV")],
            "{mode}"
        );
        assert_eq!((round.report.tasks_completed, round.report.retries), (5, 2), "{mode}");
        // Where a worker has one line to read and then no more, it ends by itself.
        let (extra, told) = match mode.starts_with("process") {
            true => (&[][..], "its worker ended before it answered: exit code 0"),
            false => (&["--timeout", "150ms"][..], "timed out after 150 ms"),
        };
        let round = with_worker(mode, "cat >/dev/null", extra);
        assert_eq!(reasons(&round), (0..6).map(|task| (task, told)).collect::<Vec<_>>(), "{mode}");
    }
}

#[test]
fn a_worker_that_never_answers_is_ended_with_all_it_has_started() {
    for mode in MODES {
        let hour = hour();
        let round = with_worker(mode, &format!("sleep {hour}; true"), &["--timeout", "150ms"]);
        assert_eq!(round.report.tasks_failed, 6, "{mode}");
        assert_eq!(reasons(&round)[0], (0, "timed out after 150 ms"), "{mode}");
        assert_gone(&hour, Duration::ZERO);
    }
}

#[test]
fn a_worker_that_answers_too_much_fails() {
    for mode in MODES {
        // In one piece, so that it is seen at once.
        let round = with_worker(mode, "while read line; do printf 'a\\nb\\n'; done", &[]);
        assert!(
            round.report.failures.iter().all(|failure| failure.reason.contains("more than the one line")),
            "{mode}"
        );
        assert_eq!(round.report.tasks_failed, 6, "{mode}");
        // When there is nothing more to do, nobody can tell any more which line was whose.
        let round = with_worker(mode, "cat; echo one more", &[]);
        assert_eq!(round.report.tasks_failed, 6, "{mode}: {:?}", round.report);
        let round = with_worker(mode, "while read line; do head -c 2000000 /dev/zero; echo; done", &[]);
        assert_eq!(reasons(&round)[0], (0, "its worker's answer is longer than 1 MiB"), "{mode}");
        assert_eq!(round.report.tasks_failed, 6, "{mode}");
        let round = with_worker(mode, "while read line; do yes | head -c 2000000; done", &[]);
        let told = "its worker gave more than the one line it was asked for";
        assert_eq!(reasons(&round)[0], (0, told), "{mode}: of two reasons the one that was seen first");
    }
}

#[test]
fn the_longest_answer_is_as_long_in_every_mode() {
    const LONGEST: usize = 1 << 20;
    for mode in MODES {
        for (length, failed) in [(LONGEST, 0), (LONGEST + 1, 6)] {
            let answer = format!("while read line; do head -c {length} /dev/zero; echo; done");
            let round = with_worker(mode, &answer, &[]);
            assert_eq!(round.report.tasks_failed, failed, "{mode}, {length}: {:?}", reasons(&round));
        }
    }
}

#[test]
fn a_worker_that_does_not_end_is_ended_and_told_of() {
    let hour = hour();
    let round = with_worker("serial", &format!("cat; exec sleep {hour}"), &[]);
    assert_eq!((round.report.tasks_completed, round.report.left_running), (6, 1), "{:?}", round.report);
    assert_gone(&hour, Duration::ZERO);
}

#[test]
fn answers_that_differ_are_told_with_the_task_unless_that_is_allowed() {
    let sandbox = Sandbox::new();
    let worker = "while read line; do test $line = 4 && echo $$ || echo $line; done";
    let arguments = ["-n", "6", "--rounds", "1", "-m", "serial,process", "--shell", "--worker", worker];
    let finished = sandbox.run(arguments).expect_code(1);
    let error = finished.error();
    assert!(error.contains("different answers") && error.contains("task 4:"), "{error}");
    assert!(error.contains("--ignore-answers"), "{error}");
    sandbox.run(arguments.iter().chain(&["--ignore-answers", "-q"])).expect_code(0);
}

#[test]
fn a_worker_in_python_keeps_what_it_has_learnt() {
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("a_worker_in_python_keeps_what_it_has_learnt", "there is no python3");
    }
    let sandbox = Sandbox::new();
    let program = "import sys\nfor line in sys.stdin:\n    print(int(line) ** 2, flush=True)\n";
    sandbox.write("worker.py", program);
    let arguments =
        ["-n", "50", "--rounds", "1", "-m", "serial,pool:workers=2", "--worker", "python3 worker.py"];
    let (document, finished) = run(&sandbox, &arguments);
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    assert_eq!(last(&document, "pool:workers=2").report.tasks_completed, 50);
    assert_eq!(last(&document, "serial").report.processes_started, 1);
}

#[test]
fn a_worker_that_has_answered_is_done_however_long_it_takes_to_end() {
    // Each would run into its timeout if its end were waited for.
    let lingers = "cat; exec sleep HOUR".replace("HOUR", &hour());
    let round = with_worker("process", &lingers, &["--timeout", "2s"]);
    assert_eq!((round.report.tasks_completed, round.report.tasks_failed), (6, 0), "{round:?}");
}

#[test]
fn a_worker_that_says_nothing_more_has_failed_though_it_goes_on() {
    let mute = "exec >&-; exec sleep HOUR".replace("HOUR", &hour());
    let round = with_worker("process", &mute, &[]);
    let timed_out = with_worker("process", &mute, &["--timeout", "300ms"]);
    assert_eq!(reasons(&timed_out)[0], (0, "timed out after 300 ms"), "the timeout holds all the same");
    let expected =
        (0..6).map(|task| (task, "its worker closed its standard input or output before it answered"));
    assert_eq!(reasons(&round), expected.collect::<Vec<_>>());
}

#[test]
fn what_a_worker_has_started_is_not_waited_for() {
    let leaves = "sleep HOUR & exec cat".replace("HOUR", &hour());
    let round = with_worker("serial", &leaves, &[]);
    assert_eq!(round.report.left_running, 1, "{round:?}");
    // It has five seconds to end, and needs none of them.
    assert!(round.report.tear_down_seconds.is_some_and(|seconds| seconds < 5.0), "{round:?}");
}
