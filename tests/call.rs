//! A Python function of the user's own: what it returns is the same however it is called, and nothing that it does wrong
//! goes unnamed, hangs, or leaves anything behind. The last is seen to by the sandbox at the end of each run.

mod common;

use std::fs;

use common::programs::{alive_with, assert_gone, hour, last, reasons, run};
use common::{Finished, Sandbox, digest, flowing, has_python, parse, rounds, row, said_by_python};
use nix::sys::signal::Signal;
use procbench::engine::Engine;
use std::time::Duration;

/// Every call of a pool, and every way that processes start.
const EVERYTHING: &str = "serial,threads:workers=2,pool:workers=2:start=fork,pool:workers=2:start=spawn,\
    pool:workers=2:start=forkserver:chunk=2,pool:workers=2:start=fork:api=imap,\
    pool:workers=2:start=fork:api=imap_unordered,pool:workers=2:start=fork:api=apply_async,\
    pool:workers=2:start=fork:api=executor,pool:workers=2:start=fork:chunk=1:max-tasks-per-child=2,\
    process:start=fork,process:start=spawn:in-flight=2,process:start=forkserver";

/// What a task gets: its place in the list, and a text.
const ARGUMENTS: &str = "[0, \"a\"]\n[1, \"b\"]\n[2, \"c\"]\n[3, \"d\"]\n[4, \"e\"]\n";

/// A sandbox with a module `work` of `code`, and arguments for five tasks.
fn sandbox(code: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("shop")).expect("a folder");
    sandbox.write("shop/work.py", code);
    sandbox.write("args.jsonl", ARGUMENTS);
    sandbox
}

/// The arguments of a run of one round, in the modes `modes`.
fn call<'a>(modes: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["--call", "shop.work:f", "--args-from", "args.jsonl", "--rounds", "1", "-m", modes];
    all.extend(more);
    all
}

/// Runs what must be refused, and returns what was said.
#[track_caller]
fn refused(sandbox: &Sandbox, arguments: &[&str], code: i32, expected: &str) -> Finished {
    let finished = sandbox.run(arguments).expect_code(code);
    assert!(finished.error().contains(expected), "expected {expected}: {finished:?}");
    assert_eq!(finished.stdout, "", "{finished:?}");
    finished
}

/// What was printed, in one line.
fn unwrapped(finished: &Finished) -> String {
    flowing(&finished.stdout)
}

#[test]
fn a_function_returns_the_same_however_it_is_called() {
    if !has_python("a_function_returns_the_same_however_it_is_called") {
        return;
    }
    // A set is pickled in an order that each interpreter draws anew.
    let sandbox = sandbox(
        "class Made:\n    def __init__(self, of):\n        self.of = of\n\nf = lambda of: (Made(of), {of[1], 'x', 'yy'}, None)\n",
    );
    let (document, finished) = run(&sandbox, &call(EVERYTHING, &[]));
    let finished = finished.expect_code(0);
    assert_eq!(document.strategies.len(), 13, "{finished:?}");
    for (row, round) in rounds(&document) {
        assert_eq!((round.report.tasks_completed, round.report.tasks_failed), (5, 0), "{}", row.name);
        assert_eq!(row.engine, Engine::Python);
        assert_eq!(round.report.left_running, 0, "{}", row.name);
    }
    assert_ne!(digest(&document), "");
    // What was run runs again from the export.
    let (again, _) = run(&sandbox, &["--config", "out.json", "-m", "serial,pool", "--rounds", "1"]);
    assert_eq!(digest(&again), digest(&document));
}

/// Nor over another export, nor over the module itself.
#[test]
fn what_functions_return_is_not_written_over_what_is_read() {
    if !has_python("what_functions_return_is_not_written_over_what_is_read") {
        return;
    }
    let sandbox = sandbox("def f(of): return of\n");
    std::os::unix::fs::symlink("args.jsonl", sandbox.path("link")).expect("a link");
    let before = sandbox.listing();
    for (place, more, expected) in [
        ("args.jsonl", "", "--returns would be written over args.jsonl, which is read"),
        ("link", "", "which is read"),
        ("shop/work.py", "", "--returns would be written over ./shop/work.py, which is read"),
        ("same", "--csv same", "--csv and --returns would both be written to"),
    ] {
        let more: Vec<&str> = ["--returns", place].into_iter().chain(more.split_whitespace()).collect();
        let finished = sandbox.run(call("serial", &more)).expect_code(2);
        assert!(
            unwrapped(&finished).contains(expected) || finished.error().contains(expected),
            "{finished:?}"
        );
        assert_eq!(sandbox.listing(), before);
    }
    let finished = sandbox.run(call("serial", &["--markdown", "shop/work.py"])).expect_code(2);
    assert!(finished.error().contains("--markdown would be written over ./shop/work.py"), "{finished:?}");
}

/// Python is given what procbench says.
#[test]
fn the_last_line_says_in_python_what_was_fastest() {
    if !has_python("the_last_line_says_in_python_what_was_fastest") {
        return;
    }
    let sandbox = sandbox("def f(of): return of[0] * 2\n");
    for mode in EVERYTHING.split(',') {
        let finished = sandbox.run(call(mode, &[])).expect_code(0);
        if mode.starts_with("process") {
            assert!(
                !finished.stdout.contains("In Python ("),
                "what it returns has to be carried back: {finished:?}"
            );
        } else {
            assert_eq!(
                said_by_python(&sandbox, "python3", &finished),
                "[0, 2, 4, 6, 8]\n",
                "{mode}: {finished:?}"
            );
        }
    }
    // Of several with one round each there is no fastest.
    let finished = sandbox.run(call("serial,pool", &[])).expect_code(0);
    assert!(!finished.stdout.contains("In Python ("), "{finished:?}");
}

#[test]
fn the_native_engine_s_place_is_taken_by_a_reason() {
    if !has_python("the_native_engine_s_place_is_taken_by_a_reason") {
        return;
    }
    let sandbox = sandbox("f = len");
    let (document, finished) = run(&sandbox, &call("serial,process", &["--engine", "native,python"]));
    let finished = finished.expect_code(0);
    let absent: Vec<_> = document.plan.not_available.iter().map(|row| row.strategy.as_str()).collect();
    assert_eq!(absent, ["serial", "process"]);
    assert_eq!(document.strategies.len(), 2);
    let at = |text: &str| finished.stdout.find(text).unwrap_or_else(|| panic!("no {text}: {finished:?}"));
    assert!(at("serial  ") < at("py-serial ") && at("py-serial ") < at("process  "), "{finished:?}");
    assert!(unwrapped(&finished).contains("n/a: the native engine has no Python in it"), "{finished:?}");
    let (again, _) = run(&sandbox, &["--config", "out.json", "--rounds", "1"]);
    assert_eq!(again.plan.not_available, document.plan.not_available);
    refused(&sandbox, &call("pool", &["--engine", "native"]), 2, "expected --engine python");
}

#[test]
fn a_task_that_raises_took_its_time_as_any_other() {
    if !has_python("a_task_that_raises_took_its_time_as_any_other") {
        return;
    }
    let sandbox = sandbox("def f(of):\n    if of[0] == 1:\n        raise ValueError('no')\n");
    let (document, finished) = run(&sandbox, &call("serial,pool:workers=2,process", &[]));
    finished.expect_code(1);
    for row in &document.strategies {
        let latency = row.latency.as_ref().expect("a latency");
        let rounds = row.rounds.len() as u64;
        assert_eq!((latency.wait.count, latency.tasks_without), (5 * rounds, 0), "{}", row.name);
    }
}

#[test]
fn what_functions_return_can_be_kept() {
    if !has_python("what_functions_return_can_be_kept") {
        return;
    }
    let sandbox = sandbox(
        "def f(of):\n    task, text = of\n    if task == 1:\n        raise ValueError('no\\nsuch thing')\n    \
         if task == 2:\n        return f\n    if task == 3:\n        return lambda: 0\n    return {'text': text, 'pair': (1, None)}\n",
    );
    for modes in ["serial", "pool:workers=2:start=spawn", "process:start=fork"] {
        sandbox.write("kept.jsonl", "old\n");
        let finished = sandbox.run(call(modes, &["--returns", "kept.jsonl"])).expect_code(1);
        let kept = fs::read_to_string(sandbox.path("kept.jsonl")).expect("the returns");
        let lines: Vec<serde_json::Value> = kept
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{finished:?}")))
            .collect();
        assert_eq!(lines.len(), 5, "{kept}{finished:?}");
        assert_eq!(lines[0], serde_json::json!({"task": 0, "value": {"text": "a", "pair": [1, null]}}));
        assert_eq!(lines[1]["error"], "ValueError: no such thing (shop/work.py:4)");
        assert!(lines[2]["repr"].as_str().is_some_and(|shown| shown.starts_with("<function f")), "{kept}");
        assert!(lines[3]["error"].as_str().is_some_and(|why| why.contains("cannot be pickled")), "{kept}");
    }
    refused(&sandbox, &call("serial", &["--returns", "no/where.jsonl"]), 2, "failed to open no/where.jsonl");
    let finished = sandbox.run(["-n", "3", "--returns", "kept.jsonl"]).expect_code(2);
    assert!(finished.stderr.contains("--call"), "{finished:?}");
}

#[test]
fn a_task_that_fails_is_named_and_the_others_go_on() {
    if !has_python("a_task_that_fails_is_named_and_the_others_go_on") {
        return;
    }
    for (what, expected) in [
        ("raise KeyError('gone')", "KeyError: 'gone' (shop/work.py:"),
        ("sys.exit(3)", "sys.exit(3) was called (shop/work.py:"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt (shop/work.py:"),
        ("return open(os.devnull)", "its return value cannot be pickled: TypeError"),
        ("os.fork()", "it forked, and its function came back in the copy as well"),
    ] {
        let sandbox = sandbox(&format!(
            "import os, sys\n\ndef f(of):\n    print('noise', of)\n    if of[0] == 2:\n        {what}\n    return of\n"
        ));
        let modes = "serial,threads:workers=2,pool:workers=2:start=fork:chunk=5,\
                     pool:workers=2:start=spawn:api=executor,process:start=fork";
        let (document, finished) = run(&sandbox, &call(modes, &[]));
        let finished = finished.expect_code(1);
        for (row, round) in rounds(&document) {
            let reasons = reasons(round);
            assert_eq!(reasons.len(), 1, "{what} in {}: {reasons:?}", row.name);
            assert_eq!(reasons[0].0, 2);
            assert!(reasons[0].1.starts_with(expected), "{what} in {}: {reasons:?}", row.name);
            assert_eq!(round.report.failures[0].line.as_deref(), Some("[2, \"c\"]"));
            assert_eq!(round.report.tasks_completed, 4);
        }
        assert!(!finished.stdout.contains("noise") && !finished.stderr.contains("noise"), "{finished:?}");
        assert!(!finished.stderr.contains("Traceback"), "{finished:?}");
    }
}

#[test]
fn a_function_that_ends_its_process_is_named_with_its_task() {
    if !has_python("a_function_that_ends_its_process_is_named_with_its_task") {
        return;
    }
    for code in ["0", "7"] {
        let sandbox = sandbox(&format!(
            "import os\n\ndef f(of):\n    if of[0] == 2:\n        os._exit({code})\n    return of\n"
        ));
        let ended = format!("exited with code {code}");
        for (modes, expected) in [
            ("serial", "without a report, while it executed task 2"),
            ("threads:workers=1", "without a report, while it executed task 2"),
            ("pool:workers=2:start=fork", "Pool has lost a worker"),
            ("pool:workers=2:start=spawn:api=imap", "Pool has lost a worker"),
            ("pool:workers=2:start=fork:chunk=1:max-tasks-per-child=1", "Pool has lost a worker"),
            ("pool:workers=2:start=fork:api=executor", "while it executed task 2"),
        ] {
            let finished = refused(&sandbox, &call(modes, &[]), 1, expected);
            assert!(finished.error().contains(&ended), "{modes}: {finished:?}");
            assert!(finished.error().contains("while it executed task 2"), "{modes}: {finished:?}");
        }
        let (document, _) = run(&sandbox, &call("process:start=fork", &[]));
        let round = &document.strategies[0].rounds[0];
        assert_eq!(
            reasons(round),
            [(2, format!("its process {ended} before the result was complete").as_str())]
        );
    }
}

#[test]
fn a_strategy_that_cannot_go_on_takes_no_other_with_it() {
    if !has_python("a_strategy_that_cannot_go_on_takes_no_other_with_it") {
        return;
    }
    let sandbox =
        sandbox("import os\n\ndef f(of):\n    if of[0] == 2:\n        os._exit(7)\n    return of\n");
    let modes = "serial,process:start=fork,threads:workers=1";
    let (document, finished) = run(&sandbox, &call(modes, &["--returns", "returns.jsonl"]));
    assert_eq!(finished.code(), Some(1), "{finished:?}");
    assert!(!document.partial, "the others are complete");
    for name in ["py-serial", "py-threads:workers=1"] {
        let given_up = row(&document, name);
        let why = given_up.given_up.as_ref().expect("a reason");
        assert!(why.contains("exited with code 7") && why.contains("while it executed task 2"), "{why}");
        assert!(given_up.rounds.is_empty() && given_up.summary.is_none());
        let said = flowing(&finished.stderr);
        assert!(said.contains(&format!("{name} was given up: ")), "{said}");
    }
    let others = row(&document, "py-process:start=fork");
    assert!(!others.rounds.is_empty() && others.given_up.is_none());
    assert_eq!(
        finished.stdout.matches("given up").count(),
        5,
        "of time, of speed-up and of memory: {}",
        finished.stdout
    );
    let returned = fs::read_to_string(sandbox.path("returns.jsonl")).expect("what the others returned");
    assert_eq!(returned.lines().count(), others.rounds[0].report.tasks_completed as usize + 1, "{returned}");
}

#[test]
fn a_strategy_that_is_given_up_in_a_later_round_is_no_answer_and_is_not_compared() {
    if !has_python("a_strategy_that_is_given_up_in_a_later_round") {
        return;
    }
    let sandbox = sandbox(
        "import multiprocessing, os\n\ndef f(of):\n    if of[0] == 2 and multiprocessing.parent_process() is None:\n        \
         with open('count', 'a') as count:\n            count.write('x')\n            count.flush()\n            \
         if count.tell() > 12:\n                os._exit(7)\n    return of\n",
    );
    let rounds = ["--rounds", "15", "--warmup", "0", "-m", "serial,pool:workers=2:start=fork"];
    let call = ["--call", "shop.work:f", "--args-from", "args.jsonl"];
    let (document, finished) = run(&sandbox, &[&call[..], &rounds].concat());
    assert_eq!(finished.code(), Some(1), "{finished:?}");
    let given_up = row(&document, "py-serial");
    assert!((5..12).contains(&given_up.rounds.len()) && given_up.given_up.is_some(), "{given_up:?}");
    let standing = document.standing.as_ref().expect("an answer");
    assert_eq!((standing.best.as_str(), standing.others.len()), ("py-pool:workers=2:start=fork", 0));
    assert!(finished.stdout.contains("! given up in a later round"), "{}", finished.stdout);
    assert!(
        unwrapped(&finished).contains("speed-up: ! where the baseline was given up"),
        "{}",
        finished.stdout
    );
    assert!(!finished.stdout.contains("In Python ("), "nobody was compared: {}", finished.stdout);
    assert!(!flowing(&finished.stderr).contains("too few rounds of py-serial"), "{finished:?}");
    let compared = sandbox.run(["compare", "out.json", "out.json", "--fail-if-slower", "50%", "--json", "-"]);
    assert_eq!(compared.code(), Some(1), "{compared:?}");
    assert!(flowing(&compared.stderr).contains("py-serial was given up, so its times are not compared"));
}

/// A function whose task 2 sleeps for ever, whatever happens of `what` it catches.
fn with_a_task_that_catches(what: &str) -> Sandbox {
    sandbox(&format!(
        "import time\n\ndef f(of):\n    while of[0] == 2:\n        try:\n            time.sleep(3600)\n        \
         except {what}:\n            pass\n    return of\n"
    ))
}

#[test]
fn a_function_that_never_returns_is_interrupted_after_its_time() {
    if !has_python("a_function_that_never_returns_is_interrupted_after_its_time") {
        return;
    }
    let sandbox = with_a_task_that_catches("Exception");
    let modes = "serial,pool:workers=2:start=fork,pool:workers=2:start=spawn:api=imap_unordered,\
                 pool:workers=2:start=fork:api=executor,process:start=fork";
    // To a process belongs the start of its interpreter, which takes what it takes.
    let slow = "process:start=spawn:in-flight=2,process:start=forkserver:in-flight=1";
    for (modes, timeout, reason) in
        [(modes, "2500ms", "took longer than 2.5 s"), (slow, "12s", "took longer than 12 s")]
    {
        let (document, finished) = run(&sandbox, &call(modes, &["--timeout", timeout]));
        finished.expect_code(1);
        for (row, round) in rounds(&document) {
            assert_eq!(reasons(round), [(2, reason)], "{}", row.name);
            assert_eq!(round.report.tasks_completed, 4, "{}", row.name);
        }
    }
    let threads = call("threads:workers=2", &["--timeout", "1500ms"]);
    refused(&sandbox, &threads, 1, "task 2 took longer than 1.5 s, and a thread cannot be ended");
}

#[test]
fn a_function_that_catches_everything_is_not_waited_for_for_ever() {
    if !has_python("a_function_that_catches_everything_is_not_waited_for_for_ever") {
        return;
    }
    let sandbox = with_a_task_that_catches("BaseException");
    for modes in ["serial", "pool:workers=2:start=fork"] {
        let arguments = call(modes, &["--timeout", "500ms"]);
        refused(&sandbox, &arguments, 1, "task 2 took longer than 0.5 s, and it cannot be interrupted");
    }
}

#[test]
fn an_interrupt_and_a_kill_end_what_functions_have_started() {
    if !has_python("an_interrupt_and_a_kill_end_what_functions_have_started") {
        return;
    }
    for (modes, signal) in [
        ("serial", Signal::SIGINT),
        ("serial", Signal::SIGKILL),
        ("pool:workers=1:start=spawn", Signal::SIGINT),
        ("pool:workers=1:start=forkserver", Signal::SIGKILL),
        ("process:start=fork:in-flight=1", Signal::SIGKILL),
    ] {
        let hour = hour();
        // A daemon in a session of its own, and a task that waits for ever.
        let sandbox = sandbox(&format!(
            "import subprocess, time\n\ndef f(of):\n    subprocess.Popen(['sleep', '{hour}'], start_new_session=True)\n    \
             time.sleep(3600)\n"
        ));
        let mut running = sandbox.start(sandbox.command(call(modes, &[])));
        running.wait_for("the daemon", |_| (!alive_with(&hour).is_empty()).then_some(()));
        running.signal(signal);
        let finished = running.finish();
        match signal {
            Signal::SIGINT => assert_eq!(finished.code(), Some(130), "{finished:?}"),
            _ => assert_eq!(finished.signal(), Some(signal as i32), "{finished:?}"),
        }
        assert_gone(&hour, Duration::from_secs(60));
    }
}

#[test]
fn what_functions_leave_running_is_ended_and_counted() {
    if !has_python("what_functions_leave_running_is_ended_and_counted") {
        return;
    }
    let hour = hour();
    let sandbox = sandbox(&format!(
        "import subprocess\n\ndef f(of):\n    subprocess.Popen(['sleep', '{hour}'], start_new_session=True)\n    return 1\n"
    ));
    for modes in ["serial", "pool:workers=2:start=fork", "process:start=spawn"] {
        let (document, finished) = run(&sandbox, &call(modes, &[]));
        let finished = finished.expect_code(0);
        assert_eq!(document.strategies[0].rounds[0].report.left_running, 5, "{modes}: {finished:?}");
        assert_gone(&hour, Duration::ZERO);
    }
}

#[test]
fn processes_of_multiprocessing_that_functions_leave_running_are_not_waited_for() {
    if !has_python("processes_of_multiprocessing_that_functions_leave_running_are_not_waited_for") {
        return;
    }
    // Not as a daemon: an interpreter that ends waits for it.
    let alone = sandbox(
        "import multiprocessing, time\n\ndef f(of):\n    if of[0] == 0:\n        \
         multiprocessing.get_context('fork').Process(target=time.sleep, args=(3600,)).start()\n    return of\n",
    );
    let (document, finished) = run(&alone, &call("serial,threads:workers=2", &[]));
    finished.expect_code(0);
    for (row, round) in rounds(&document) {
        assert_eq!((round.report.tasks_completed, round.report.left_running), (5, 1), "{}", row.name);
    }
    // One that goes on working for later calls, as servers do.
    let kept = sandbox(
        "from concurrent.futures import ProcessPoolExecutor\nimport multiprocessing\n\npool = None\n\ndef f(of):\n    global pool\n    \
         if pool is None:\n        pool = ProcessPoolExecutor(1, multiprocessing.get_context('fork'))\n    \
         return pool.submit(abs, of[0]).result()\n",
    );
    let (document, finished) = run(&kept, &call("serial", &[]));
    finished.expect_code(0);
    for (row, round) in rounds(&document) {
        assert_eq!((round.report.tasks_completed, round.report.left_running), (5, 1), "{}", row.name);
    }
}

#[test]
fn threads_that_functions_leave_running_are_waited_for_by_workers_but_not_for_ever() {
    if !has_python("threads_that_functions_leave_running_are_waited_for_by_workers_but_not_for_ever") {
        return;
    }
    let thread = |seconds: u32| {
        sandbox(&format!(
            "import threading, time\n\ndef f(of):\n    threading.Thread(target=time.sleep, args=({seconds},)).start()\n    return of\n"
        ))
    };
    let modes = "pool:workers=2:start=fork,pool:workers=2:start=fork:api=executor,process:start=fork";
    let (document, finished) = run(&thread(1), &call(modes, &["--timeout", "60s"]));
    finished.expect_code(0);
    for (row, round) in rounds(&document) {
        assert_eq!((round.report.tasks_completed, round.report.tasks_failed), (5, 0), "{}", row.name);
        assert!(
            round.report.total_seconds >= 1.0,
            "{} ended before the thread: {:?}",
            row.name,
            round.report
        );
    }
    // One that never ends.
    let endless = thread(3600);
    for modes in ["pool:workers=2:start=fork", "pool:workers=2:start=fork:api=executor"] {
        let arguments = call(modes, &["--timeout", "1s"]);
        refused(
            &endless,
            &arguments,
            1,
            "all tasks are done, but what executes them does not end within 2 s",
        );
    }
    let (document, finished) = run(&endless, &call("process:start=fork", &["--timeout", "1s"]));
    finished.expect_code(1);
    let expected = "its process did not end within 1 s, though the function had come to its end: it may have left a thread running";
    assert_eq!(
        reasons(last(&document, "py-process:start=fork")),
        [0, 1, 2, 3, 4].map(|task| (task, expected))
    );
}

#[test]
fn what_a_module_refuses_a_process_that_imports_it_again_is_told() {
    if !has_python("what_a_module_refuses_a_process_that_imports_it_again_is_told") {
        return;
    }
    let sandbox = sandbox(
        "import multiprocessing\n\nif multiprocessing.parent_process():\n    raise RuntimeError('not here')\n\nf = lambda of: of\n",
    );
    let (document, finished) = run(&sandbox, &call("process:start=spawn", &[]));
    finished.expect_code(1);
    let expected = "in its process: failed to import shop.work: RuntimeError: not here (shop/work.py:4)";
    assert_eq!(
        reasons(last(&document, "py-process:start=spawn")),
        [0, 1, 2, 3, 4].map(|task| (task, expected))
    );
    let told = "exited with code 1: failed to import shop.work: RuntimeError: not here";
    refused(&sandbox, &call("pool:workers=2:start=spawn", &[]), 1, told);
}

#[test]
fn an_alarm_of_the_function_s_own_is_as_in_any_program() {
    if !has_python("an_alarm_of_the_function_s_own_is_as_in_any_program") {
        return;
    }
    let sandbox = sandbox(
        "import signal, time\n\ndef f(of):\n    signal.setitimer(signal.ITIMER_REAL, 0.01)\n    time.sleep(60)\n",
    );
    refused(
        &sandbox,
        &call("pool:workers=1:start=fork", &[]),
        1,
        "was killed by SIGALRM while it executed task 0",
    );
}

#[test]
fn what_is_nested_deeply_is_compared_though_there_are_sets_in_it() {
    if !has_python("what_is_nested_deeply_is_compared_though_there_are_sets_in_it") {
        return;
    }
    let sandbox = sandbox(
        "def f(of):\n    value = {of[1], 'x'}\n    for _ in range(400):\n        value = [value]\n    return value\n",
    );
    let (document, finished) = run(&sandbox, &call("serial,pool:workers=2,process", &[]));
    finished.expect_code(0);
    assert_ne!(digest(&document), "");
}

#[test]
fn what_is_no_text_and_a_folder_that_is_gone_fail_one_task_each() {
    if !has_python("what_is_no_text_and_a_folder_that_is_gone_fail_one_task_each") {
        return;
    }
    let sandbox = sandbox(
        "import os, tempfile\n\ndef f(of):\n    if of[0] == 1:\n        raise ValueError('caf\\udce9')\n    \
         if of[0] == 3:\n        with tempfile.TemporaryDirectory() as folder:\n            os.chdir(folder)\n        \
         raise KeyError('gone')\n    return of\n",
    );
    let modes =
        "serial,threads:workers=2,pool:workers=2:start=fork,pool:workers=2:start=spawn,process:start=fork";
    let (document, finished) = run(&sandbox, &call(modes, &[]));
    finished.expect_code(1);
    let expected = [(1, "ValueError: caf? (shop/work.py:5)"), (3, "KeyError: 'gone' (shop/work.py:9)")];
    for (row, round) in rounds(&document) {
        assert_eq!(reasons(round), expected, "{}", row.name);
    }
}

#[test]
fn a_function_that_computes_in_c_is_not_waited_for_for_ever() {
    if !has_python("a_function_that_computes_in_c_is_not_waited_for_for_ever") {
        return;
    }
    let sandbox = sandbox("def f(of):\n    if of[0] == 2:\n        sum(range(10 ** 15))\n    return of\n");
    for modes in ["serial", "threads:workers=2", "pool:workers=2:start=fork"] {
        let arguments = call(modes, &["--timeout", "500ms"]);
        refused(&sandbox, &arguments, 1, "task 2 took longer than ");
    }
}

#[test]
fn time_is_up_also_while_others_are_still_being_started() {
    if !has_python("time_is_up_also_while_others_are_still_being_started") {
        return;
    }
    // To start all of them takes longer than the first may take.
    let sandbox = sandbox("import time\n\ndef f(of):\n    time.sleep(7 if of == 0 else 0)\n    return of\n");
    let words = "--call shop.work:f -n 300 --rounds 1 --timeout 4s -m process:start=spawn:in-flight=2";
    let (document, finished) = run(&sandbox, &words.split(' ').collect::<Vec<_>>());
    finished.expect_code(1);
    for (row, round) in rounds(&document) {
        assert_eq!(reasons(round), [(0, "took longer than 4 s")], "{}", row.name);
    }
}

#[test]
fn modes_that_return_something_else_are_told_apart_by_task() {
    if !has_python("modes_that_return_something_else_are_told_apart_by_task") {
        return;
    }
    let sandbox = sandbox("import os\n\ndef f(of):\n    return os.getpid() if of[0] == 3 else of\n");
    refused(&sandbox, &call("serial,process:start=fork", &[]), 1, "first for task 3, by their pickled bytes");
    sandbox.run(call("serial,process:start=fork", &["--ignore-answers"])).expect_code(0);
}

#[test]
fn what_cannot_be_called_is_refused_and_named() {
    if !has_python("what_cannot_be_called_is_refused_and_named") {
        return;
    }
    let sandbox = sandbox(
        "number = 3\nasync def later(of):\n    return of\ndef each(of):\n    yield of\nclass Inner:\n    @staticmethod\n    def f(of):\n        return of\n",
    );
    sandbox.write("lacks.py", "import no_such_module_anywhere\n");
    sandbox.write("broken.py", "def f(:\n");
    sandbox.write("raises.py", "x = 1\nraise ValueError('at import')\n");
    sandbox.write("leaves.py", "import sys\nsys.exit('bye')\n");
    sandbox.write("forks.py", "import os\nos.fork()\nf = len\n");
    sandbox.write("random.py", "def f(of):\n    return of\n");
    for (name, code, expected) in [
        ("shop.nowhere:f", 2, "No module named 'shop.nowhere', neither in "),
        (
            "lacks:f",
            2,
            "failed to import lacks: ModuleNotFoundError: No module named 'no_such_module_anywhere' (lacks.py:1)",
        ),
        ("broken:f", 2, "failed to import broken: SyntaxError: "),
        ("raises:f", 2, "failed to import raises: ValueError: at import (raises.py:2)"),
        ("leaves:f", 2, "sys.exit('bye') was called (leaves.py:2)"),
        ("shop.work:missing", 2, "there is no missing in shop.work ("),
        ("shop.work:number", 2, "number in shop.work ("),
        ("shop.work:later", 2, "is a coroutine function (async def): calling it does nothing yet"),
        ("shop.work:each", 2, "is a generator function (yield): calling it does nothing yet"),
        ("random:f", 2, "which comes before the one in this folder: give yours another name"),
        ("shop.work", 2, "names no function: expected package.module:function"),
        ("shop/work.py:f", 2, "expected shop.work:f"),
        ("__main__:f", 2, "__main__ is procbench's own program"),
        ("a b:f", 2, "is not the name of a function"),
        ("", 2, "names no function"),
    ] {
        refused(&sandbox, &["--call", name, "-n", "2", "--rounds", "1"], code, expected);
    }
    sandbox
        .run(["--call", "shop.work:Inner.f", "-n", "2", "--rounds", "1", "-m", "serial,pool"])
        .expect_code(0);
    sandbox
        .run(["--call", "forks:f", "--args-from", "args.jsonl", "--rounds", "1", "-m", "serial"])
        .expect_code(0);
    let mut command = sandbox.command(["--call", "shop.work:f", "-n", "2"]);
    command.env("PATH", sandbox.path("nothing"));
    let finished = sandbox.run_command(command).expect_code(3);
    assert!(finished.error().contains("python3, which was not found in PATH"), "{finished:?}");
}

#[test]
fn broken_lines_are_named_before_anything_is_started() {
    let sandbox = sandbox("f = len");
    for (text, expected) in [
        (&b"[1]\n[1, 2\n"[..], "bad.jsonl: line 2, column 5: EOF while parsing a list"),
        (b"[1]\n{\"a\" 2}\n", "bad.jsonl: line 2, column 6: expected `:`"),
        (b"'a'\n", "bad.jsonl: line 1, column 1: expected value"),
        (b"\"a\"\n\"\xff\"\n", "bad.jsonl: line 2, column 2: not UTF-8 text"),
        (b"[1]\n\n[2]\n", "bad.jsonl: line 2 is empty"),
        (b"", "bad.jsonl has no lines"),
    ] {
        sandbox.write("bad.jsonl", text);
        let mut command = sandbox.command(["--call", "shop.work:f", "--args-from", "bad.jsonl"]);
        // Whether or not there is a Python.
        command.env("PATH", sandbox.path("nothing"));
        let finished = sandbox.run_command(command).expect_code(2);
        assert!(finished.error().contains(expected), "{finished:?}");
    }
    if has_python("broken_lines_are_named_before_anything_is_started: what Python alone cannot read") {
        sandbox.write("deep.jsonl", format!("1\n{}{}\n", "[".repeat(200_000), "]".repeat(200_000)));
        let words = ["--call", "shop.work:f", "--args-from", "deep.jsonl", "-m", "serial"];
        refused(&sandbox, &words, 2, "line 2 of deep.jsonl cannot be read: ");
    }
    for (more, expected) in [
        (["--output", "kept"], "output belongs to the command and worker workloads"),
        (["--cpu", "1ms"], "cpu does not belong to the call workload"),
        (["--worker", "cat"], "a worker and a call are given"),
        (["--tasks", "9"], "tasks is 9, but args.jsonl has 5 lines"),
    ] {
        refused(&sandbox, &call("serial", &more), 2, expected);
    }
}

#[test]
fn modules_come_from_this_folder_but_never_before_python_s_own() {
    if !has_python("modules_come_from_this_folder_but_never_before_python_s_own") {
        return;
    }
    let sandbox = sandbox(
        "import helper, json, random\n\ndef f(of):\n    return [helper.shout(of[1]), open('data.txt').read(), json.dumps(of)]\n",
    );
    sandbox.write("helper.py", "def shout(text):\n    return text.upper()\n");
    sandbox.write("data.txt", "read from the folder that procbench was started in");
    for module in ["json", "random", "array", "queue", "struct", "socket", "multiprocessing", "sitecustomize"]
    {
        sandbox.write(&format!("{module}.py"), "raise SystemExit('executed by accident')");
    }
    let (_, finished) = run(&sandbox, &call(EVERYTHING, &["--returns", "kept.jsonl"]));
    let finished = finished.expect_code(0);
    assert!(!finished.stderr.contains("accident"), "{finished:?}");
    let kept = fs::read_to_string(sandbox.path("kept.jsonl")).expect("the returns");
    assert!(kept.contains("[\"A\", \"read from"), "{kept}");
    // A user's own `main` is no less a module than any other, and PYTHONPATH leads to more.
    sandbox.write("main.py", "import further\nf = further.f\n");
    fs::create_dir(sandbox.path("elsewhere")).expect("a folder");
    sandbox.write("elsewhere/further.py", "def f(of):\n    return of + 1\n");
    let arguments = ["--call", "main:f", "-n", "3", "--rounds", "1", "-m", "serial,pool:start=spawn"];
    let mut command = sandbox.command(arguments);
    command.env("PYTHONPATH", sandbox.path("elsewhere"));
    sandbox.run_command(command).expect_code(0);
}

#[test]
fn a_dry_run_neither_calls_nor_imports() {
    if !has_python("a_dry_run_neither_calls_nor_imports") {
        return;
    }
    let sandbox = sandbox("raise SystemExit('imported')");
    let finished = sandbox.run(call("serial,pool", &["--dry-run"])).expect_code(0);
    assert!(finished.stdout.contains("shop.work:f"), "{finished:?}");
    assert!(unwrapped(&finished).contains("It was not called, nor its module imported."), "{finished:?}");
}

#[test]
fn something_can_be_put_right_before_each_round() {
    if !has_python("something_can_be_put_right_before_each_round") {
        return;
    }
    let sandbox = sandbox("import os\n\ndef f(of):\n    os.mkdir('made-%d' % of[0])\n");
    let prepare = ["--prepare", "rm -rf made-*; echo noise"];
    let (document, finished) = run(&sandbox, &call("serial,pool:start=fork", &prepare));
    finished.expect_code(0);
    assert_eq!(last(&document, "py-serial").report.tasks_completed, 5);
    refused(&sandbox, &call("serial", &["--prepare", "exit 4"]), 1, "'exit 4' exited with code 4");
}

#[test]
fn an_interrupted_run_keeps_what_was_returned_and_what_was_there() {
    if !has_python("an_interrupted_run_keeps_what_was_returned_and_what_was_there") {
        return;
    }
    let sandbox = sandbox("import time\n\ndef f(of):\n    time.sleep(3600)\n");
    sandbox.write("kept.jsonl", "old\n");
    let arguments = call("serial", &["--returns", "kept.jsonl", "--json", "out.json"]);
    let mut running = sandbox.start(sandbox.command(arguments));
    running.wait_for_runner(1);
    running.signal(Signal::SIGINT);
    running.finish().expect_code(130);
    assert_eq!(fs::read_to_string(sandbox.path("kept.jsonl")).expect("the file"), "old\n");
    let document = parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
    assert!(document.partial);
}
