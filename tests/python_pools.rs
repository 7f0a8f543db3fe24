//! Pools that are no part of Python: loky's and mpire's, where they are installed.
//!
//! `PROCBENCH_TEST_PYTHON` names an interpreter that has them; without it, it is `python3`. That nothing is left, neither process
//! nor folder nor semaphore, is seen to by the sandbox at the end of each run.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Running, Sandbox, digest, has_python, kill, parse, rounds, said_by_python, skip};
use nix::sys::signal::Signal;
use procbench::document::Document;
use procbench::engine::Engine;
use procbench::mode::settings::Start;

/// Each library with the rows that it has.
const LIBRARIES: [(&str, &[&str]); 2] = [
    ("loky", &["py-pool:workers=2:api=loky"]),
    (
        "mpire",
        &[
            "py-pool:workers=2:api=mpire:start=fork",
            "py-pool:workers=2:api=mpire:start=spawn",
            "py-pool:workers=2:api=mpire:start=forkserver",
        ],
    ),
];

/// Those that are installed, with the interpreter that has them; says of the others that `test` is not done with them.
fn installed(test: &str) -> Vec<(String, &'static str, &'static [&'static str])> {
    let python = std::env::var("PROCBENCH_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    if python == "python3" && !has_python(test) {
        return Vec::new();
    }
    let has = |library: &str| {
        let mut command = Command::new(&python);
        command.args(["-I", "-c", &format!("import {library}")]).stderr(Stdio::null());
        command.status().unwrap_or_else(|error| panic!("{python}: {error}")).success()
    };
    let of_all = LIBRARIES.iter().filter(|(library, _)| {
        let has = has(library);
        if !has {
            skip(test, &format!("{python} has no {library} (PROCBENCH_TEST_PYTHON names one that has)"));
        }
        has
    });
    of_all.map(|(library, rows)| (python.clone(), *library, *rows)).collect()
}

fn measure(sandbox: &Sandbox, python: &str, arguments: &str, rows: &[&str]) -> Document {
    let rows = rows.join(",");
    sandbox.measure(&format!("{arguments} --rounds 1 --python {python} -m serial,py-serial,{rows}"))
}

#[test]
fn pools_of_libraries_do_the_same_as_the_native_engine() {
    for (python, library, rows) in installed("pools_of_libraries_do_the_same_as_the_native_engine") {
        let sandbox = Sandbox::new();
        for workload in [
            "--tasks 24",
            "--tasks 300 --arg-size 13 --result-size 7 --cpu 20us --spread lognormal:1.0",
            "--tasks 24 --workload file --memory 200KiB --init 1ms",
            #[cfg(feature = "excel")]
            "--tasks 30 --workload expression --expression-args 9",
        ] {
            let document = measure(&sandbox, &python, workload, rows);
            assert_eq!(document.strategies.len(), 2 + rows.len());
            digest(&document);
            let tasks = document.plan.workload.tasks;
            for (row, round) in rounds(&document) {
                let (report, what) = (&round.report, format!("{}: {round:?}", row.name));
                assert_eq!((report.tasks_completed, report.tasks_failed), (tasks, 0), "{what}");
                let Some(workers) = row.settings.workers.filter(|_| row.settings.api.is_some()) else {
                    continue;
                };
                let least = if library == "loky" { 1 } else { workers };
                assert!((least..=workers).contains(&report.processes_started), "{what}");
                assert!(report.peak_alive <= report.processes_started, "{what}");
                let made = report.processes_started + report.helpers_started;
                assert!(round.kernel_forks.is_none_or(|forks| forks >= made), "{what}");
            }
            let python = document.environment.python.as_ref().expect("the interpreter is recorded");
            assert!(python.libraries.contains_key(library), "{python:?}");
        }
    }
}

#[test]
fn a_row_says_how_its_library_starts_workers_and_how_it_shares_out_tasks() {
    for (python, library, rows) in
        installed("a_row_says_how_its_library_starts_workers_and_how_it_shares_out_tasks")
    {
        let sandbox = Sandbox::new();
        let document = measure(&sandbox, &python, "-n 1000", &rows[..1]);
        let row = &document.strategies[2];
        // 64 chunks for each of two workers, and a task each.
        let (start, chunk) = if library == "loky" { (Start::Loky, 1) } else { (Start::Fork, 8) };
        assert_eq!((row.settings.start, row.settings.chunk), (Some(start), Some(chunk)), "{row:?}");
        assert!(row.name.contains(&format!("start={}", start.name())), "{}", row.name);
        assert!(row.name.contains(&format!("api={library}")), "{}", row.name);
        // The plan runs again as it is.
        let again = sandbox
            .measure(&format!("--config {} --python {python}", sandbox.path("measured.json").display()));
        assert_eq!(again.strategies[2].settings, row.settings);
    }
}

#[test]
fn a_function_of_the_user_s_own_gets_its_argument_whole_and_its_exceptions_are_told() {
    for (python, _, rows) in
        installed("a_function_of_the_user_s_own_gets_its_argument_whole_and_its_exceptions_are_told")
    {
        let sandbox = Sandbox::new();
        sandbox
            .write("mine.py", "def twice(given):\n    first, second = given\n    return [second, first]\n");
        sandbox
            .write("raising.py", "def some(given):\n    assert given != 3, 'not three'\n    return given\n");
        sandbox.write("pairs.jsonl", "[1, 2]\n[3, 4]\n[5, 6]\n");
        sandbox.write("numbers.jsonl", "1\n2\n3\n4\n");
        let strategies = format!("py-serial,{}", rows.join(","));
        let arguments = |call: &str, lines: &str| {
            format!(
                "--rounds 1 --python {python} -m {strategies} --call {call} --args-from {lines} --json out.json"
            )
        };
        let document =
            sandbox.measure(&arguments("mine:twice", "pairs.jsonl").replace(" --json out.json", ""));
        digest(&document);
        let raising = arguments("raising:some", "numbers.jsonl");
        sandbox.run(raising.split(' ')).expect_code(1);
        let document = parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
        for (row, round) in rounds(&document) {
            assert_eq!((round.report.tasks_completed, round.report.tasks_failed), (3, 1), "{}", row.name);
            let failure = &round.report.failures[0];
            assert_eq!(failure.task, 2, "{}", row.name);
            assert!(failure.reason.contains("AssertionError: not three"), "{}: {failure:?}", row.name);
        }
    }
}

/// Starts a run whose every task waits for an hour, and waits until there are workers that can be killed.
fn start_endless<'a>(sandbox: &'a Sandbox, python: &str, row: &str) -> (Running<'a>, i32) {
    let arguments = ["-n", "20", "--io-wait", "1h", "--json", "out.json", "--python", python, "-m", row]
        .map(String::from);
    let mut running = sandbox.start(sandbox.command(arguments));
    let engine = running.wait_for_runner(1);
    let worker = running.wait_for("workers", |running| {
        let workers = running.python_workers_of(engine);
        (workers.len() == 2).then(|| workers[1])
    });
    (running, worker)
}

#[test]
fn a_library_s_pool_that_loses_a_worker_says_so_and_leaves_nothing() {
    for (python, library, rows) in
        installed("a_library_s_pool_that_loses_a_worker_says_so_and_leaves_nothing")
    {
        for row in rows {
            let sandbox = Sandbox::new();
            let (running, worker) = start_endless(&sandbox, &python, row);
            kill(worker);
            let finished = running.finish().expect_code(1);
            let expected = format!("{library} has lost a worker");
            assert!(finished.error().contains(&expected), "{row}: {finished:?}");
            assert!(!finished.stderr.contains("Traceback"), "{row}: {finished:?}");
            assert_no_semaphore_of_loky();
        }
    }
}

#[test]
fn an_interrupt_or_a_kill_ends_libraries_pools_and_leaves_nothing() {
    for (python, _, rows) in installed("an_interrupt_or_a_kill_ends_libraries_pools_and_leaves_nothing") {
        for row in rows {
            for signal in [Signal::SIGINT, Signal::SIGKILL] {
                let sandbox = Sandbox::new();
                let (running, _) = start_endless(&sandbox, &python, row);
                running.signal(signal);
                let finished = running.finish();
                // Nor does the interpreter, which has nobody to tell once procbench is gone.
                assert!(!finished.stderr.contains("Traceback"), "{finished:?}");
                if signal == Signal::SIGINT {
                    finished.expect_code(130);
                } else {
                    assert_eq!(finished.signal(), Some(signal as i32), "{finished:?}");
                }
                assert_no_semaphore_of_loky();
            }
        }
    }
}

/// Those of other runs are named after their folders: one with the name that loky gives would be nobody's to remove.
#[track_caller]
fn assert_no_semaphore_of_loky() {
    let entries = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let left: Vec<String> = names.filter(|name| name.starts_with("sem.loky-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn workers_of_libraries_execute_nothing_of_the_environment_by_accident() {
    for (python, _, rows) in installed("workers_of_libraries_execute_nothing_of_the_environment_by_accident")
    {
        let sandbox = Sandbox::new();
        for module in ["json.py", "multiprocessing.py", "sitecustomize.py", "procbench_tasks.py"] {
            sandbox.write(module, "raise SystemExit('executed by accident')");
        }
        let rows = rows.join(",");
        let arguments = ["-n", "4", "--rounds", "1", "--python", &python, "-m", &rows];
        let mut command = sandbox.command(arguments);
        command.env("PYTHONPATH", sandbox.path(""));
        let before = sandbox.listing();
        let finished = sandbox.run_command(command).expect_code(0);
        assert!(!finished.stderr.contains("accident"), "{finished:?}");
        assert_eq!(sandbox.listing(), before);
    }
}

/// An interpreter that has nothing installed; none where `python3` cannot make one.
fn bare_python(sandbox: &Sandbox) -> Option<String> {
    let folder = sandbox.path("bare");
    let mut command = Command::new("python3");
    command.args(["-I", "-m", "venv", "--without-pip"]).arg(&folder).stderr(Stdio::null());
    let made = command.status().is_ok_and(|status| status.success());
    let python = Path::new(&folder).join("bin/python");
    made.then(|| python.to_str().expect("a path that is text").to_owned())
}

#[test]
fn a_library_that_is_missing_is_named_with_its_interpreter_and_nothing_is_started() {
    let test = "a_library_that_is_missing_is_named_with_its_interpreter_and_nothing_is_started";
    if !has_python(test) {
        return;
    }
    let sandbox = Sandbox::new();
    let Some(python) = bare_python(&sandbox) else {
        return skip(test, "python3 has no module venv");
    };
    for (library, rows) in LIBRARIES {
        for arguments in
            [format!("-m py-serial,{}", rows[0]), format!("--engine native,python --api {library}")]
        {
            let all = format!("-n 4 --json out.json --python {python} {arguments}");
            let finished = sandbox.run(all.split(' ')).expect_code(3);
            let expected =
                format!("{library} is not installed for {python}: {python} -m pip install {library}");
            assert!(finished.error().contains(&expected), "{finished:?}");
            assert_eq!(finished.stdout, "");
            assert!(!sandbox.path("out.json").exists());
        }
    }
    // What needs neither is not held up.
    let document = sandbox.measure(&format!("-n 4 --rounds 1 --python {python} -m py-pool:workers=1"));
    assert!(document.strategies.iter().all(|row| row.engine == Engine::Python));
    assert!(document.environment.python.expect("the interpreter").libraries.is_empty());
}

#[test]
fn what_a_library_s_pool_does_not_have_is_refused_before_anything_is_started() {
    let sandbox = Sandbox::new();
    for (arguments, expected) in [
        ("-m py-pool:api=loky:start=fork", "loky starts its workers in its own way"),
        ("-m py-pool:start=loky", "which belongs to api=loky"),
        ("-m pool:start=loky", "the native engine has no start method loky"),
        ("-m py-pool:api=loky:max-tasks-per-child=2", "loky has no max-tasks-per-child"),
        ("-m py-pool:api=mpire:max-tasks-per-child=2", "mpire has no max-tasks-per-child"),
        ("-m py-pool:api=lokey", "did you mean loky?"),
        ("-m py-serial --api mpire", "--api was given, but none"),
    ] {
        // Whether or not there is a Python.
        let mut command = sandbox.command(["-n", "4"].into_iter().chain(arguments.split(' ')));
        command.env("PATH", sandbox.path("nothing"));
        let finished = sandbox.run_command(command).expect_code(2);
        assert!(finished.stderr.contains(expected), "{arguments}: {finished:?}");
    }
}

#[test]
fn a_release_of_loky_that_has_other_names_is_refused_and_not_mistaken() {
    let test = "a_release_of_loky_that_has_other_names_is_refused_and_not_mistaken";
    let engine = concat!(env!("CARGO_MANIFEST_DIR"), "/src/engine/python");
    for (python, _, _) in installed(test).into_iter().filter(|(_, library, _)| *library == "loky") {
        for (renamed, expected) in [
            (
                "import loky.backend.fork_exec as m; del m.fork_exec",
                "there is no fork_exec in its loky.backend.fork_exec",
            ),
            (
                "import loky.backend.synchronize as m; del m.SemLock._make_name",
                "there is no _make_name in its SemLock",
            ),
            // It has the names, but calls others.
            ("pass", "it does not use SemLock._make_name"),
        ] {
            let script = format!(
                "import sys; sys.path.insert(0, {engine:?})\nimport loky, procbench_crew, procbench_modes\n{renamed}\n\
                 try:\n    procbench_modes._settle_loky()()\nexcept procbench_crew.Unsuited as error:\n    print(error)"
            );
            let output = Command::new(&python).args(["-I", "-B", "-c", &script]).output().expect("python");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("is not one that procbench can measure"), "{renamed}: {output:?}");
            assert!(said.contains(expected), "{renamed}: {said}");
        }
    }
}

#[test]
fn a_release_of_mpire_that_has_other_names_is_refused_and_not_mistaken() {
    let test = "a_release_of_mpire_that_has_other_names_is_refused_and_not_mistaken";
    let engine = concat!(env!("CARGO_MANIFEST_DIR"), "/src/engine/python");
    for (python, _, _) in installed(test).into_iter().filter(|(_, library, _)| *library == "mpire") {
        for (worker, expected) in [
            ("property()", "there is no Worker in its"),
            // It has the name, but starts others.
            (
                "property(lambda pool: pool.own, lambda pool, worker: pool.__dict__.setdefault('own', worker))",
                "it does not use WorkerPool.Worker",
            ),
        ] {
            let script = format!(
                "import sys; sys.path.insert(0, {engine:?})\n\
                 import mpire, procbench_crew, procbench_modes\n\
                 class WorkerPool(mpire.WorkerPool):\n\
                 \x20   def __init__(self, *words, **named):\n\
                 \x20       super().__init__(*words, **named)\n\
                 \x20       type(self).Worker = {worker}\n\
                 \x20       self.own = self.__dict__.pop('Worker')\n\
                 mpire.WorkerPool = WorkerPool\n\
                 tasks = procbench_modes.tasks\n\
                 tasks.items, tasks.execute, tasks.begin_worker = lambda spec: [1, 2], int, print\n\
                 spec, settings = {{'kind': 'synthetic', 'arg_size': 0}}, {{'workers': 2, 'start': 'fork', 'chunk': 1}}\n\
                 try:\n    procbench_modes._mpire(spec, settings, None)\nexcept procbench_crew.Unsuited as error:\n    print(error)"
            );
            let output = Command::new(&python).args(["-I", "-B", "-c", &script]).output().expect("python");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("is not one that procbench can measure"), "{worker}: {output:?}");
            assert!(said.contains(expected), "{worker}: {said}");
        }
    }
}

#[test]
fn what_is_said_in_python_of_a_library_s_pool_is_what_python_says() {
    for (python, _, rows) in installed("what_is_said_in_python_of_a_library_s_pool") {
        for row in rows {
            let sandbox = Sandbox::new();
            fs::create_dir(sandbox.path("shop")).expect("a folder");
            sandbox.write("shop/work.py", "def f(of): return of['a'] * 2\n");
            sandbox.write("args.jsonl", "{\"a\": 1}\n{\"a\": 2}\n");
            let words = ["--call", "shop.work:f", "--args-from", "args.jsonl", "--rounds", "1", "--python"];
            let finished = sandbox.run(words.into_iter().chain([&python, "-m", row])).expect_code(0);
            assert_eq!(said_by_python(&sandbox, &python, &finished), "[2, 4]\n", "{row}: {finished:?}");
        }
    }
}

/// The map that it had something to do with is over by then; and mpire itself no longer looks once it has said that it ends.
#[test]
fn a_worker_of_mpire_that_dies_after_the_last_task_is_told_too() {
    let test = "a_worker_of_mpire_that_dies_after_the_last_task_is_told_too";
    let engine = concat!(env!("CARGO_MANIFEST_DIR"), "/src/engine/python");
    for (python, _, _) in installed(test).into_iter().filter(|(_, library, _)| *library == "mpire") {
        for (begin, death, expected) in [
            ("print", "os.kill(self._workers[0].pid, 9)", "mpire has lost a worker: "),
            ("die_at_the_end", "return results", "a worker of the pool did not end as it should: "),
        ] {
            let script = format!(
                "import sys; sys.path.insert(0, {engine:?})\n\
                 import mpire, multiprocessing.util, os, procbench_crew, procbench_modes, time\n\
                 class WorkerPool(mpire.WorkerPool):\n\
                 \x20   def map(self, *words, **named):\n\
                 \x20       results = super().map(*words, **named)\n\
                 \x20       {death}\n\
                 \x20       patience = time.monotonic() + 60\n\
                 \x20       while not self._worker_comms.exception_thrown() and time.monotonic() < patience:\n\
                 \x20           time.sleep(0.01)\n\
                 \x20       return results\n\
                 def die_at_the_end(spec):\n\
                 \x20   multiprocessing.util.Finalize(None, os.kill, (os.getpid(), 9), exitpriority=1)\n\
                 mpire.WorkerPool = WorkerPool\n\
                 tasks = procbench_modes.tasks\n\
                 tasks.items, tasks.execute, tasks.begin_worker = lambda spec: [1, 2], int, {begin}\n\
                 procbench_crew.look_every_second = lambda: None\n\
                 spec = {{'kind': 'synthetic', 'arg_size': 0, 'tasks': 2}}\n\
                 settings = {{'workers': 2, 'start': 'fork', 'chunk': 1}}\n\
                 try:\n    procbench_modes._mpire(spec, settings, None)\nexcept procbench_crew.WorkerLost as error:\n    print(error)"
            );
            let mut command = Command::new("timeout");
            let output = command.args(["120", &python, "-I", "-B", "-c", &script]).output().expect("timeout");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains(expected) && said.contains("SIGKILL"), "{begin}: {output:?}");
        }
    }
}
