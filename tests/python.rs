//! The Python engine: the same tasks by Python's own tools, with the same results, and no way to hang.
//!
//! That nothing is left, neither process nor folder nor semaphore, is seen to by the sandbox at the end of each run.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::faults::Count;
use common::{Running, Sandbox, digest, has_python, kill, parse, rounds, row, skip};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use procbench::document::Document;
use procbench::engine::Engine;
use procbench::measure::kernel::processes_of_group;
use procbench::mode::Mode;
use procbench::mode::settings::Start;

/// Every call of a pool, and every way that processes start.
const EVERYTHING: &str = "serial,py-serial,py-threads:workers=3,py-pool:workers=3:start=fork,\
    py-pool:workers=3:start=spawn,py-pool:workers=2:start=forkserver:chunk=3,py-pool:workers=2:start=fork:api=imap,\
    py-pool:workers=2:start=fork:api=imap:chunk=4,py-pool:workers=2:start=fork:api=imap_unordered,\
    py-pool:workers=2:start=fork:api=apply_async,py-pool:workers=2:start=fork:api=executor:chunk=2,\
    py-pool:workers=2:start=spawn:api=executor,py-process:start=fork,py-process:start=forkserver,\
    py-process:start=spawn:in-flight=3";

/// What must hold in every round of every row, by the counts in the JSON alone.
#[track_caller]
fn assert_every_count_is_right(document: &Document) {
    let tasks = document.plan.workload.tasks;
    for (row, round) in rounds(document) {
        let report = &round.report;
        let what = format!("{} round {}: {report:?}", row.name, round.round);
        assert_eq!((report.tasks_completed, report.tasks_failed), (tasks, 0), "{what}");
        let workers = row.settings.workers.unwrap_or(0);
        let started = match row.mode {
            Mode::Serial | Mode::Threads => 0..=0,
            // An executor starts no more workers than it needs.
            Mode::Pool if row.settings.api.is_some_and(|api| api.name() == "executor") => 1..=workers,
            Mode::Pool => workers..=workers,
            Mode::Process => tasks..=tasks,
        };
        assert!(started.contains(&report.processes_started), "{what}");
        assert!(report.peak_alive <= report.processes_started, "{what}");
        if row.mode == Mode::Process {
            assert!(report.peak_alive <= row.settings.in_flight.expect("a limit"), "{what}");
        }
        let made = report.processes_started + report.helpers_started;
        assert!(round.kernel_forks.is_none_or(|forks| forks >= made), "{what}: {:?}", round.kernel_forks);
        let parts = report.set_up_seconds
            + report.execute_seconds
            + report.tear_down_seconds.expect("a time of tear-down");
        assert!((report.total_seconds - parts).abs() < 1e-6, "the parts make the whole: {what}");
        assert!(report.total_seconds <= round.outside_seconds, "{what}");
    }
    digest(document);
}

#[test]
fn every_call_and_start_method_does_the_same_as_the_native_engine() {
    if !has_python("every_call_and_start_method_does_the_same_as_the_native_engine") {
        return;
    }
    let sandbox = Sandbox::new();
    for workload in [
        "--tasks 24",
        "--tasks 24 --arg-size 13 --result-size 7 --cpu 20us --io-wait 1ms --spread lognormal:1.0",
        "--tasks 24 --workload file --memory 200KiB --init 1ms",
    ] {
        let document = sandbox.measure(&format!("{workload} --rounds 1 -m {EVERYTHING}"));
        assert_every_count_is_right(&document);
        assert_eq!(document.strategies.len(), 15);
    }
}

#[test]
fn bytes_of_any_length_are_those_of_the_native_engine() {
    if !has_python("bytes_of_any_length_are_those_of_the_native_engine") {
        return;
    }
    let sandbox = Sandbox::new();
    // More tasks than are drawn at a time, and sizes that the eight bytes of a pattern do not divide.
    for (tasks, arg_size, result_size, seed) in
        [(1000, 1, 0, 1), (600, 0, 9, 7), (257, 4096, 1, u64::MAX), (3, 1 << 20, 70_000, 3)]
    {
        let document = sandbox.measure(&format!(
            "-n {tasks} --arg-size {arg_size} --result-size {result_size} --seed {seed} --rounds 1 \
             -m serial,py-serial,py-pool:workers=2"
        ));
        assert_every_count_is_right(&document);
    }
}

#[cfg(feature = "excel")]
#[test]
fn expressions_have_the_values_that_ironcalc_gives_them() {
    if !has_python("expressions_have_the_values_that_ironcalc_gives_them") {
        return;
    }
    let sandbox = Sandbox::new();
    for (tasks, arguments) in [(300, 1), (500, 10), (60, 100), (8, 2006)] {
        let document = sandbox.measure(&format!(
            "-n {tasks} --workload expression --expression-args {arguments} --rounds 1 \
             -m threads,py-serial,py-pool:workers=2:start=spawn"
        ));
        assert_every_count_is_right(&document);
    }
}

#[test]
fn cpu_work_is_calibrated_in_python_and_added_up_over_all_workers() {
    if !has_python("cpu_work_is_calibrated_in_python_and_added_up_over_all_workers") {
        return;
    }
    let document = Sandbox::new().measure(
        "-n 40 --cpu 100us --init 1ms --rounds 2 -m serial,py-serial,py-threads:workers=3,py-pool:workers=3,py-process",
    );
    assert_every_count_is_right(&document);
    let python = document.environment.python.as_ref().expect("the interpreter is recorded");
    let units = |seconds: f64| (seconds * python.units_per_second).round_ties_even() as u64;
    for (row, round) in rounds(&document).filter(|(row, _)| row.engine == Engine::Python) {
        let executing = match row.mode {
            Mode::Serial => 1,
            Mode::Threads | Mode::Pool => 3,
            Mode::Process => 40,
        };
        assert_eq!(round.report.work_units, 40 * units(100e-6) + executing * units(1e-3), "{}", row.name);
        // So much work takes the interpreter no less than a good part of the time that it was calibrated for. How much of
        // it was in user space only the kernel's ticks say, and few fall into a process of some milliseconds.
        let cpu_seconds = round.report.cpu_seconds();
        assert!(cpu_seconds > 40.0 * 100e-6 / 4.0, "{}: {round:?}", row.name);
    }
}

#[test]
fn workers_are_replaced_after_as_many_chunks_as_were_asked_for() {
    if !has_python("workers_are_replaced_after_as_many_chunks_as_were_asked_for") {
        return;
    }
    let document = Sandbox::new()
        .measure("-n 30 --rounds 1 -m py-pool:workers=2:chunk=5:start=fork:max-tasks-per-child=1");
    let report = &document.strategies[0].rounds[0].report;
    assert_eq!(report.tasks_completed, 30);
    // Six chunks take six workers; one more may have begun, and found nothing to do.
    assert!((6..=8).contains(&report.processes_started), "{report:?}");
}

#[test]
fn both_engines_stand_side_by_side_and_say_how_their_processes_start() {
    if !has_python("both_engines_stand_side_by_side_and_say_how_their_processes_start") {
        return;
    }
    let sandbox = Sandbox::new();
    let (document, finished) =
        sandbox.report("-n 5 --rounds 1 --engine native,python --overhead --baseline py-pool");
    let python = document.environment.python.as_ref().expect("the interpreter is recorded");
    let start = python.default_start.name();
    let names: Vec<_> = document.strategies.iter().map(|row| row.name.clone()).collect();
    let (pool, process) = (format!("py-pool:start={start}"), format!("py-process:start={start}"));
    let expected =
        ["serial", "py-serial", "threads", "py-threads", "pool", pool.as_str(), "process", process.as_str()];
    assert_eq!(names, expected);
    assert_eq!(document.plan.run.baseline, pool);
    assert_eq!(document.overhead.len(), 8);
    assert!(finished.stdout.contains(&format!("python: {} {}", python.implementation, python.version)));
    assert!(finished.stdout.contains(&format!("Using pool (python, start={start})")), "{finished:?}");
    for line in finished.stdout.lines() {
        assert!(line.chars().count() <= 80, "wider than 80 columns: {line}");
    }
    assert_eq!(row(&document, &pool).settings.start.map(Start::name), Some(start));
    // The plan runs again as it is, and so it does by one of the engines alone.
    let again = sandbox.measure(&format!("--config {}", sandbox.path("measured.json").display()));
    assert_eq!(again.strategies.iter().map(|row| &row.name).collect::<Vec<_>>(), expected);
    let spec =
        sandbox.write("spec.toml", "[[strategy]]\nmode = 'pool'\ntransport = 'shared-memory'\nname = 'mine'");
    let handed =
        sandbox.measure(&format!("--config {} -n 3 --rounds 1 --engine python,native", spec.display()));
    assert_eq!(
        handed.strategies.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(),
        ["py-mine", "mine"]
    );
}

#[test]
fn what_belongs_to_another_engine_is_refused_before_anything_is_started() {
    let sandbox = Sandbox::new();
    for (arguments, expected) in [
        ("-m pool:api=imap", "the native engine has no api"),
        ("-m pool:start=spawn", "expected fork, exec; Python's has it: py-pool:start=spawn"),
        ("-m py-pool:transport=shared-memory", "the python engine has no transport"),
        ("-m py-process:api=imap", "process has no api"),
        ("-m py-pool:api=apply_async:chunk=2", "apply_async has no chunk"),
        ("-m py-pool:max-tasks-per-child=0", "max-tasks-per-child is 0"),
        ("-m py-pool:api=executor:max-tasks-per-child=2", "executor has no max-tasks-per-child"),
        ("-m pool:max-tasks-per-child=2", "the native engine has no max-tasks-per-child"),
        ("-m serial --api imap", "--api was given, but none"),
        ("-m pool --start spawn", "expected fork or exec (spawn is of --engine python)"),
        ("-m pool --python python3", "--python was given, but none"),
        ("-m py-poool", "did you mean pool?"),
        ("--engine pyhton", "did you mean python?"),
    ] {
        // Whether or not there is a Python.
        let mut command = sandbox.command(["-n", "4"].into_iter().chain(arguments.split(' ')));
        command.env("PATH", sandbox.path("nothing"));
        let finished = sandbox.run_command(command).expect_code(2);
        assert!(finished.stderr.contains(expected), "{arguments}: {finished:?}");
    }
}

#[test]
fn without_python_there_is_one_clear_error() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("-n 4 --engine native,python".split(' '));
    command.env("PATH", sandbox.path("nothing"));
    let finished = sandbox.run_command(command).expect_code(3);
    assert!(finished.error().contains("python3, which was not found in PATH"), "{finished:?}");
    assert_eq!(finished.stdout, "");
}

/// A program that does as `script` says.
fn program(sandbox: &Sandbox, script: &str) -> PathBuf {
    let path = sandbox.write("program", format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("an executable file");
    path
}

#[test]
fn what_is_not_a_python_that_works_is_named() {
    for (script, expected) in [
        ("echo Python 3.7.3", "is Python 3.7.3, but it takes 3.8 or later"),
        ("echo Python 2.7.18 >&2; exit 2", "is Python 2.7.18, but it takes 3.8 or later"),
        ("exit 0", "is not a Python that works: given a program, it said nothing"),
        ("echo what is this >&2; exit 3", "it said \"what is this\" (exit status: 3)"),
        ("while :; do echo y; done", "it said \"y\" and did not end"),
        ("kill -SEGV $$", "(signal: 11"),
    ] {
        let sandbox = Sandbox::new();
        let path = program(&sandbox, script);
        let path = path.to_str().expect("a path that is text");
        let finished = sandbox.run(["-n", "4", "--engine", "python", "--python", path]).expect_code(3);
        assert!(
            finished.error().contains(expected) && finished.error().contains(path),
            "{script}: {finished:?}"
        );
        assert_eq!(finished.stdout, "");
    }
    let sandbox = Sandbox::new();
    for (path, expected) in [("./nowhere", "No such file"), ("./", "Permission denied")] {
        let finished = sandbox.run(["-n", "4", "--engine", "python", "--python", path]).expect_code(3);
        assert!(finished.error().contains(expected), "{path}: {finished:?}");
    }
}

#[test]
fn a_python_that_prints_by_itself_is_told_from_one_that_is_asked() {
    if !has_python("a_python_that_prints_by_itself_is_told_from_one_that_is_asked") {
        return;
    }
    let sandbox = Sandbox::new();
    let path = program(&sandbox, "echo good morning; exec python3 \"$@\"");
    let path = path.to_str().expect("a path that is text");
    let finished = sandbox.run(["-n", "4", "--engine", "python", "--python", path]).expect_code(3);
    assert!(finished.error().contains("prints \"good morning\" on standard output"), "{finished:?}");
    assert!(finished.error().contains("sitecustomize"), "{finished:?}");
}

#[test]
fn nothing_in_the_folder_or_the_environment_is_executed_by_accident() {
    if !has_python("nothing_in_the_folder_or_the_environment_is_executed_by_accident") {
        return;
    }
    let sandbox = Sandbox::new();
    for module in ["json.py", "multiprocessing.py", "sitecustomize.py", "procbench_tasks.py", "startup.py"] {
        sandbox.write(module, "raise SystemExit('executed by accident')");
    }
    let mut command =
        sandbox.command("-n 4 --rounds 1 -m py-pool:start=spawn,py-process:start=forkserver".split(' '));
    command.env("PYTHONPATH", sandbox.path("")).env("PYTHONSTARTUP", sandbox.path("startup.py"));
    command.env("PYTHONINSPECT", "1").env("PYTHONHOME", sandbox.path(""));
    let before = sandbox.listing();
    // `python3` itself may be a script that starts another; asked in isolation it must not listen either.
    let finished = sandbox.run_command(command).expect_code(0);
    assert!(!finished.stderr.contains("accident"), "{finished:?}");
    assert_eq!(sandbox.listing(), before);
}

#[test]
fn an_interrupt_while_python_is_asked_ends_it_too() {
    let sandbox = Sandbox::new();
    let path = program(&sandbox, "echo $$ > asked; sleep 3600");
    let path = path.to_str().expect("a path that is text");
    let mut running = sandbox.start(sandbox.command(["-n", "4", "--engine", "python", "--python", path]));
    running.wait_for("the question", |_| sandbox.path("asked").exists().then_some(()));
    running.signal(Signal::SIGINT);
    running.finish().expect_code(130);
}

/// Rows whose tasks are under way when the engine has so many sleeping children, helpers included.
const SLEEPERS: [(&str, usize); 6] = [
    ("py-serial", 0),
    ("py-pool:workers=2:start=fork", 2),
    ("py-pool:workers=2:start=fork:api=executor", 2),
    // Its resource tracker is one of them.
    ("py-pool:workers=2:start=spawn", 3),
    // The tracker, and the server whose children the workers are.
    ("py-pool:workers=2:start=forkserver", 2),
    ("py-process:in-flight=3:start=fork", 3),
];

/// Starts a run whose every task waits for an hour, and waits until tasks are under way.
fn start_endless<'a>(sandbox: &'a Sandbox, (mode, sleepers): (&str, usize)) -> (Running<'a>, i32) {
    let arguments = ["-n", "20", "--io-wait", "1h", "--json", "out.json", "-m", mode];
    let mut running = sandbox.start(sandbox.command(arguments));
    let engine = running.wait_for_runner(1);
    running.wait_for_sleepers(engine, sleepers);
    if mode.contains("forkserver") {
        running.wait_for("workers of the server", |running| {
            let of_server = |server: &i32| running.children_of(*server).len() == 2;
            running.children_of(engine).iter().any(of_server).then_some(())
        });
    }
    (running, engine)
}

#[test]
fn an_interrupt_ends_every_mode_and_leaves_nothing() {
    if !has_python("an_interrupt_ends_every_mode_and_leaves_nothing") {
        return;
    }
    for row in SLEEPERS {
        let sandbox = Sandbox::new();
        let (running, _) = start_endless(&sandbox, row);
        running.signal(Signal::SIGINT);
        let finished = running.finish().expect_code(130);
        assert!(!finished.stderr.contains("error:"), "{finished:?}");
        assert!(!finished.stderr.contains("Traceback"), "{finished:?}");
        let document = parse(&std::fs::read_to_string(sandbox.path("out.json")).expect("the export"));
        assert!(document.partial);
    }
}

#[test]
fn a_procbench_that_is_killed_takes_python_with_it() {
    if !has_python("a_procbench_that_is_killed_takes_python_with_it") {
        return;
    }
    for row in SLEEPERS {
        let sandbox = Sandbox::new();
        let (running, _) = start_endless(&sandbox, row);
        running.signal(Signal::SIGKILL);
        let finished = running.finish();
        assert_eq!(finished.signal(), Some(Signal::SIGKILL as i32), "{finished:?}");
    }
}

#[test]
fn an_engine_that_is_killed_is_an_error_and_leaves_nobody() {
    if !has_python("an_engine_that_is_killed_is_an_error_and_leaves_nobody") {
        return;
    }
    for row in SLEEPERS {
        let sandbox = Sandbox::new();
        let (running, engine) = start_endless(&sandbox, row);
        kill(engine);
        let finished = running.finish().expect_code(1);
        assert!(finished.error().contains("killed by SIGKILL"), "{finished:?}");
        assert_eq!(processes_of_group(engine), [0; 0]);
    }
}

#[test]
fn a_pool_that_loses_a_worker_says_so_and_does_not_hang() {
    if !has_python("a_pool_that_loses_a_worker_says_so_and_does_not_hang") {
        return;
    }
    let lost = "multiprocessing.Pool has lost a worker, and waits for ever for what it held";
    for (api, expected) in [
        ("map", lost),
        ("imap", lost),
        ("imap_unordered:chunk=2", lost),
        ("apply_async", lost),
        // It says so itself, unless somebody has looked before.
        ("executor", "ProcessPool"),
    ] {
        let sandbox = Sandbox::new();
        let mode = format!("py-pool:workers=2:start=fork:api={api}");
        let (running, engine) = start_endless(&sandbox, (&mode, 2));
        kill(running.children_of(engine)[0]);
        let finished = running.finish().expect_code(1);
        assert!(finished.error().contains(expected), "{api}: {finished:?}");
        assert!(finished.error().contains("was killed by SIGKILL"), "{api}: {finished:?}");
        assert!(!finished.stderr.contains("Traceback"), "{api}: {finished:?}");
    }
}

/// Whether the kernel says of a process where it sleeps: of one that waits to read from a pipe.
fn sleepers_are_told() -> bool {
    let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat");
    let place = || fs::read_to_string(format!("/proc/{}/wchan", cat.id())).unwrap_or_default();
    let told = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(1));
        place().contains("pipe_r")
    });
    drop(cat.stdin.take());
    cat.wait().expect("it ends with its input");
    told
}

/// Whoever reads the rest of what it has said waits for ever, since others hold the same pipe open.
#[test]
fn a_worker_that_is_killed_in_the_middle_of_its_answer_is_told_too() {
    let test = "a_worker_that_is_killed_in_the_middle_of_its_answer_is_told_too";
    if !has_python(test) {
        return;
    }
    if !sleepers_are_told() {
        return skip(test, "this kernel does not say where a process sleeps (/proc/PID/wchan)");
    }
    let mut count = Count::of("worker of Python's pool killed in the middle of its answer");
    for api in ["executor", "map", "imap"] {
        let sandbox = Sandbox::new();
        let row = format!("py-pool:workers=2:start=fork:chunk=1:api={api}");
        let arguments = ["-n", "600", "--result-size", "1MiB", "--rounds", "1", "-m", &row];
        let mut running = sandbox.start(sandbox.command(arguments));
        running.wait_for("a worker in the middle of an answer", |running| {
            let engine = Pid::from_raw(running.runner()?);
            // It reads nothing meanwhile, so whoever answers cannot go on for long.
            let _ = signal::kill(engine, Signal::SIGSTOP);
            let place =
                |worker: &i32| fs::read_to_string(format!("/proc/{worker}/wchan")).unwrap_or_default();
            let writing = running
                .children_of(engine.as_raw())
                .into_iter()
                .find(|worker| place(worker).contains("pipe_w"));
            if let Some(worker) = writing {
                kill(worker);
            }
            let _ = signal::kill(engine, Signal::SIGCONT);
            writing
        });
        let finished = running.finish().expect_code(1);
        assert!(finished.error().contains("was killed by SIGKILL"), "{api}: {finished:?}");
        count.survived();
    }
    drop(count.lost("the run, with an error that says so"));
}

#[test]
fn a_pool_whose_server_s_worker_is_killed_says_so_too() {
    if !has_python("a_pool_whose_server_s_worker_is_killed_says_so_too") {
        return;
    }
    let sandbox = Sandbox::new();
    let (running, engine) = start_endless(&sandbox, ("py-pool:workers=2:start=forkserver", 2));
    let of_server = running.children_of(engine).into_iter().flat_map(|server| running.children_of(server));
    kill(of_server.last().expect("a worker"));
    let finished = running.finish().expect_code(1);
    assert!(finished.error().contains("multiprocessing.Pool has lost a worker"), "{finished:?}");
}

#[test]
fn a_task_whose_process_is_killed_has_failed_and_is_named() {
    if !has_python("a_task_whose_process_is_killed_has_failed_and_is_named") {
        return;
    }
    let sandbox = Sandbox::new();
    let arguments = "-n 4 --io-wait 800ms --rounds 1 -m py-process:in-flight=2:start=fork --json out.json";
    let mut running = sandbox.start(sandbox.command(arguments.split(' ')));
    // The pilot, the measurement of memory, and the round that is in the export.
    let engine = running.wait_for_runner(3);
    let tasks = running.wait_for_sleepers(engine, 2);
    kill(tasks[0]);
    let finished = running.finish().expect_code(1);
    let document = parse(&std::fs::read_to_string(sandbox.path("out.json")).expect("the export"));
    let report = &document.strategies[0].rounds[0].report;
    assert_eq!((report.tasks_completed, report.tasks_failed), (3, 1), "{report:?}");
    assert!(report.failures[0].reason.contains("its process was killed by SIGKILL"), "{report:?}");
    assert!(
        finished.stdout.contains("tasks failed. What fails") || finished.stdout.contains("All tasks failed"),
        "{finished:?}"
    );
}

#[test]
fn rounds_after_a_smaller_pilot_have_all_their_formulas() {
    if !has_python("rounds_after_a_smaller_pilot_have_all_their_formulas") {
        return;
    }
    let arguments = "-n 20000 --workload expression --expression-args 5 --rounds 1 --mode py-serial,py-pool,py-pool:api=imap";
    let document = Sandbox::new().measure(arguments);
    let estimate = document.estimate.as_ref().expect("an estimate");
    assert!(
        estimate.rounds.iter().any(|of| of.pilot_tasks.is_some_and(|tasks| tasks < 20_000)),
        "{estimate:?}"
    );
    assert_every_count_is_right(&document);
}

/// Rows of both engines, with processes that are forked and processes that are not.
const BOTH: &str = "serial,py-serial,py-threads:workers=3,py-pool:workers=2:start=fork,py-pool:workers=2:start=spawn,\
    py-process:start=fork:in-flight=3,py-process:start=spawn:in-flight=2";

#[test]
fn what_tasks_read_and_write_is_the_same_in_both_engines() {
    if !has_python("what_tasks_read_and_write_is_the_same_in_both_engines") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("trace.txt", "1ms\n0\n0.002\n500us\n3ms\n1ms\n");
    for workload in [
        "--spread trace:trace.txt",
        "--spread trace:trace.txt --io-wait trace",
        "-n 6 --shared 200001",
        "-n 6 --shared 70KiB --arg-size 9 --result-size 20",
        "-n 4 --shared 1 --workload file",
        "-n 4 --shared 65536 --workload expression",
        "-n 6 --io echo --io-wait 2ms",
        "-n 6 --io echo --io-size 70001",
        "-n 6 --io fsync --io-folder . --io-size 9",
        "-n 6 --io fsync --io-folder . --io-size 70001 --shared 4096",
        "-n 6 --io read --io-folder . --io-size 5000 --cpu 10us",
    ] {
        let document = sandbox.measure(&format!("{workload} --rounds 1 --mode {BOTH}"));
        assert_every_count_is_right(&document);
        for (row, round) in rounds(&document) {
            let waits = workload.contains("echo") || workload.contains("wait");
            assert_eq!(round.report.io_overshoot_mean_seconds.is_some(), waits, "{workload}: {}", row.name);
        }
    }
}

#[test]
fn expressions_are_evaluated_by_the_package_that_was_named_and_by_no_other() {
    let python = std::env::var("PROCBENCH_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    if !has_python("expressions_are_evaluated_by_the_package_that_was_named_and_by_no_other") {
        return;
    }
    let sandbox = Sandbox::new();
    let arguments = format!("-n 8 --workload expression --expression-args 12 --rounds 1 --python {python}");
    let document = sandbox.measure(&format!("{arguments} --mode serial,py-serial,py-pool:workers=2"));
    let evaluators =
        document.strategies.iter().map(|row| row.settings.evaluator.map(|evaluator| evaluator.name()));
    assert_eq!(evaluators.collect::<Vec<_>>(), [None, Some("own"), Some("own")]);
    let rows = "serial,py-serial:evaluator=formulas,py-pool:workers=2:start=fork:evaluator=formulas";
    let is_there = std::process::Command::new(&python).args(["-I", "-c", "import formulas"]).output();
    if is_there.is_ok_and(|output| output.status.success()) {
        let document = sandbox.measure(&format!("{arguments} --mode {rows}"));
        assert_every_count_is_right(&document);
        let python = document.environment.python.expect("an interpreter");
        assert!(python.libraries.contains_key("formulas"), "{python:?}");
    } else {
        let all: Vec<String> =
            format!("{arguments} --mode {rows}").split(' ').map(ToOwned::to_owned).collect();
        let finished = sandbox.run(all).expect_code(3);
        assert!(finished.error().contains("formulas is not installed"), "{finished:?}");
    }
    let wrong = ["-n", "4", "-m", "py-serial:evaluator=formulas"];
    let finished = sandbox.run(wrong).expect_code(2);
    assert!(finished.error().contains("evaluator belongs to the expression workload"), "{finished:?}");
}
