//! What happens when somebody ends procbench, or one of its processes, before it is done.
//!
//! That nothing is left, neither process nor folder nor cgroup, is seen to by the sandbox at the end of each run.

mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::time::Duration;

use common::faults::Count;
use common::programs::{alive_with, assert_gone, hour};
use common::{Finished, Running, Sandbox, bit_of, digest, flowing, kill, parse, row, threads_of};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use procbench::document::Document;
use procbench::measure::kernel::processes_of_group;
use procfs::process::Process;

/// Which runner is the first one whose round is in the export: before it come a pilot and the measurement of memory.
const TIMED: usize = 3;

/// Every mode, with settings under which the number of processes is known.
const MODES: [&str; 4] = ["serial", "threads:workers=2", "pool:workers=2", "process:in-flight=3"];

/// How many children the runner has in the middle of a round of `mode`.
fn children_of(mode: &str) -> usize {
    match mode.split(':').next() {
        Some("pool") => 2,
        Some("process") => 3,
        _ => 0,
    }
}

/// Starts a run whose every task waits for an hour.
fn start_endless<'a>(sandbox: &'a Sandbox, mode: &str, extra: &[&str]) -> Running<'a> {
    let arguments = ["-n", "20", "--io-wait", "1h", "--json", "out.json", "-m", mode];
    sandbox.start(sandbox.command(arguments.iter().chain(extra)))
}

/// Waits until the tasks of a round of `mode` are under way.
fn wait_until_in_the_middle(running: &mut Running<'_>, mode: &str) -> i32 {
    let runner = running.wait_for_runner(1);
    if mode.starts_with("threads") {
        running.wait_for("threads", |_| threads_of(runner).filter(|threads| *threads > 2));
    }
    running.wait_for_sleepers(runner, children_of(mode));
    runner
}

fn export(sandbox: &Sandbox) -> Document {
    parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"))
}

/// An interrupted run: told so by exit code, text and export.
fn assert_partial(finished: &Finished, document: &Document) {
    // How many processes the round that was cut off had started is not known, so nor is how many others did.
    assert_eq!(document.environment.change.foreign_forks, None, "{finished:?}");
    assert_eq!(finished.code(), Some(130), "{finished:?}");
    assert!(document.partial);
    assert!(finished.stderr.contains("interrupted"), "{finished:?}");
}

#[test]
fn an_interrupt_ends_every_mode_in_the_middle_of_a_round() {
    let mut count =
        Count::of("SIGINT, SIGTERM or SIGHUP in the middle of a round").lost("what was not finished");
    for mode in MODES {
        let others: &[_] = if mode.starts_with("pool") { &[Signal::SIGTERM, Signal::SIGHUP] } else { &[] };
        for &signal in [Signal::SIGINT].iter().chain(others) {
            let sandbox = Sandbox::new();
            let mut running = start_endless(&sandbox, mode, &[]);
            wait_until_in_the_middle(&mut running, mode);
            running.signal(signal);
            let finished = running.finish();
            let document = export(&sandbox);
            assert_partial(&finished, &document);
            assert!(!finished.stderr.contains("error:"), "{finished:?}");
            let cut = document.cut_off.as_ref().expect("the round that was cut off");
            assert_eq!((cut.strategy.as_str(), cut.tasks_done), (mode, Some(0)), "{cut:?}");
            assert!(cut.tasks > 0 && cut.seconds > 0.0, "{cut:?}");
            let said = flowing(&finished.stderr);
            let where_it_was = match cut.is_trial {
                true => {
                    format!(
                        "a few tasks of {mode} were being tried before its first round, 0 of {} done",
                        cut.tasks
                    )
                }
                false => format!("{mode} was in a round, 0 of {} task", cut.tasks),
            };
            assert!(said.contains(&where_it_was), "{said}");
            assert!(!said.contains("too few rounds"), "who has ended it knows that: {said}");
            assert!(document.strategies.iter().all(|row| row.rounds.is_empty() && row.summary.is_none()));
            assert!(finished.stdout.contains("not run"), "{finished:?}");
            count.survived();
        }
    }
}

#[test]
fn an_interrupt_before_anything_was_timed_leaves_an_earlier_export_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("out.json", "an earlier one");
    let mut running = start_endless(&sandbox, "serial", &["--csv", "out.csv"]);
    wait_until_in_the_middle(&mut running, "serial");
    running.signal(Signal::SIGINT);
    let finished = running.finish();
    assert_eq!(finished.code(), Some(130), "{finished:?}");
    assert_eq!(fs::read_to_string(sandbox.path("out.json")).expect("the file"), "an earlier one");
    assert!(sandbox.path("out.csv").exists(), "in nobody's place");
    let said = flowing(&finished.stderr);
    assert!(said.contains("out.json is what it was: nothing was timed that could take its place"), "{said}");
}

#[test]
fn what_was_finished_before_the_interrupt_is_reported_and_exported() {
    let sandbox = Sandbox::new();
    let arguments = "-n 4 --io-wait 1ms --rounds 1e6 -m serial --json out.json";
    let mut running = sandbox.start(sandbox.command(arguments.split(' ')));
    // When the next one starts, a timed one is finished.
    running.wait_for_runner(TIMED + 1);
    running.signal(Signal::SIGINT);
    let finished = running.finish();
    let document = export(&sandbox);
    assert_partial(&finished, &document);
    let serial = row(&document, "serial");
    assert!(!serial.rounds.is_empty());
    assert!(serial.rounds.iter().all(|round| round.report.tasks_completed == 4));
    let summary = serial.summary.as_ref().expect("a summary of what was finished");
    assert_eq!(summary.total_seconds.rounds, serial.rounds.len());
    assert!(finished.stdout.contains(&procbench::report::numbers::seconds(summary.total_seconds.median)));
}

#[test]
fn an_interrupt_with_files_half_written_leaves_no_folder() {
    let mut count = Count::of("SIGINT with files half written").lost("what was not finished");
    for mode in MODES {
        let sandbox = Sandbox::new();
        let mut running = start_endless(&sandbox, mode, &["--workload", "file"]);
        wait_until_in_the_middle(&mut running, mode);
        running.signal(Signal::SIGINT);
        assert_partial(&running.finish(), &export(&sandbox));
        count.survived();
    }
}

#[test]
fn a_second_interrupt_ends_procbench_at_once() {
    let mut count = Count::of("SIGINT twice in the middle of a round").lost("the report");
    for mode in MODES {
        let sandbox = Sandbox::new();
        let mut running = start_endless(&sandbox, mode, &["--workload", "file"]);
        wait_until_in_the_middle(&mut running, mode);
        running.signal(Signal::SIGINT);
        if running.wait_until_noticed(Signal::SIGINT) {
            running.signal(Signal::SIGINT);
        }
        let finished = running.finish().expect_code(130);
        assert!(!finished.stderr.contains("error:"), "{finished:?}");
        count.survived();
    }
}

#[test]
fn whoever_waits_for_somebody_to_read_an_export_can_be_told_to_end() {
    let sandbox = Sandbox::new();
    mkfifo(&sandbox.path("pipe"), Mode::S_IRWXU).expect("a named pipe");
    let mut running = sandbox.start(sandbox.command("-n 5 --rounds 1 -m serial --json pipe".split(' ')));
    let bit = bit_of(Signal::SIGTERM);
    running.wait_for("a program that hears SIGTERM", |running| {
        Process::new(running.pid()).ok()?.status().ok().filter(|status| status.sigcgt & bit != 0)
    });
    running.signal(Signal::SIGTERM);
    let finished = running.finish().expect_code(130);
    assert!(finished.stderr.contains("pipe for writing"), "{finished:?}");
}

#[test]
fn whoever_waits_for_somebody_to_write_what_is_read_ends_at_the_first_signal() {
    let mut count = Count::of("SIGINT or SIGTERM while it waits for a named pipe");
    for words in ["-c pipe", "-n 5 --args-from pipe -- echo", "sweep --vary tasks=1,2 -c pipe", "report pipe"]
    {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let sandbox = Sandbox::new();
            mkfifo(&sandbox.path("pipe"), Mode::S_IRWXU).expect("a named pipe");
            let mut running = sandbox.start(sandbox.command(words.split(' ')));
            running.wait_for("a program that waits for the pipe", |running| {
                let state = Process::new(running.pid()).ok()?.stat().ok()?.state;
                (state == 'S').then_some(())
            });
            running.signal(signal);
            let finished = running.finish();
            let by_signal = finished.signal() == Some(signal as i32);
            assert!(finished.code() == Some(130) || by_signal, "{words}: {finished:?}");
            count.survived();
        }
    }
    let sandbox = Sandbox::new();
    mkfifo(&sandbox.path("pipe"), Mode::S_IRWXU).expect("a named pipe");
    let finished = sandbox.run(["-n", "5", "--spread", "trace:pipe", "--cpu", "trace"]).expect_code(2);
    assert!(finished.error().contains("expected a file"), "{finished:?}");
}

#[test]
fn a_signal_that_was_ignored_from_the_start_stays_ignored() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("-n 20 --io-wait 1h --json out.json -m serial".split(' '));
    let ignore = || Ok(unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) }.map(drop)?);
    // SAFETY: between fork and exec one system call is made, and nothing is allocated.
    unsafe { command.pre_exec(ignore) };
    let mut running = sandbox.start(command);
    wait_until_in_the_middle(&mut running, "serial");
    running.signal(Signal::SIGHUP);
    let bit = bit_of(Signal::SIGHUP);
    running.wait_for("a program that ignores SIGHUP", |running| {
        Process::new(running.pid()).ok()?.status().ok().filter(|status| status.sigign & bit != 0)
    });
    running.signal(Signal::SIGINT);
    assert_partial(&running.finish(), &export(&sandbox));
}

#[test]
fn whoever_starts_it_may_ignore_the_ends_of_children() {
    // As a server does whose children are nobody's to wait for: the kernel would reap procbench's, too.
    for arguments in [
        "-n 20 --rounds 2 --json out.json -m serial,threads:workers=2,pool:workers=2,process:in-flight=4",
        "-n 20 --rounds 1 --json out.json -m pool:workers=2:transport=pipe,process:in-flight=4 -- true",
    ] {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(arguments.split(' '));
        let ignore = || Ok(unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.map(drop)?);
        // SAFETY: between fork and exec one system call is made, and nothing is allocated.
        unsafe { command.pre_exec(ignore) };
        sandbox.start(command).finish().expect_code(0);
        let document = export(&sandbox);
        for (row, round) in common::rounds(&document) {
            assert_eq!(round.report.tasks_completed, 20, "{}", row.name);
        }
    }
}

#[test]
fn a_procbench_that_is_killed_takes_everything_with_it() {
    let mut count = Count::of("SIGKILL to procbench in the middle of a round").lost("the run");
    for mode in MODES {
        for extra in [&["--arg-size", "9"], &["--workload", "file"]] {
            let sandbox = Sandbox::new();
            let mut running = start_endless(&sandbox, mode, extra);
            wait_until_in_the_middle(&mut running, mode);
            running.signal(Signal::SIGKILL);
            let finished = running.finish();
            assert_eq!(finished.signal(), Some(Signal::SIGKILL as i32), "{finished:?}");
            assert!(!sandbox.path("out.json").exists(), "an export is complete or not there");
            count.survived();
        }
    }
}

/// What the process `pid` is called where processes are listed, and how readily the kernel takes it when memory runs out.
fn standing(pid: i32) -> (String, String) {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).expect("a process of ours");
    (read("comm").trim().to_owned(), read("oom_score_adj").trim().to_owned())
}

#[test]
fn everybody_is_called_by_name_and_only_what_executes_is_offered_to_the_kernel() {
    for mode in ["serial", "pool:workers=2", "pool:workers=2:start=exec", "process:in-flight=3:start=exec"] {
        let sandbox = Sandbox::new();
        let mut running = start_endless(&sandbox, mode, &["--arg-size", "9"]);
        let runner = wait_until_in_the_middle(&mut running, mode);
        let (name, own) = standing(running.pid());
        assert_eq!(name, "procbench");
        for pid in running.children_of(runner).into_iter().chain([runner]) {
            assert_eq!(standing(pid), (name.clone(), "1000".into()), "{mode}");
        }
        let others: Vec<i32> =
            running.children_of(running.pid()).into_iter().filter(|pid| *pid != runner).collect();
        let [janitor] = others[..] else { panic!("whoever cleans up, and nobody else: {others:?}") };
        assert_eq!(standing(janitor), ("pb-janitor".into(), own), "{mode}");
        running.signal(Signal::SIGINT);
        running.finish().expect_code(130);
    }
}

#[test]
fn all_that_are_called_procbench_killed_at_once_leave_nothing() {
    let mut count = Count::of("SIGKILL to all that are called procbench").lost("the run");
    for mode in MODES {
        let sandbox = Sandbox::new();
        let mut running = start_endless(&sandbox, mode, &["--workload", "file"]);
        let runner = wait_until_in_the_middle(&mut running, mode);
        let all = running.children_of(runner).into_iter().chain([runner, running.pid()]);
        // As `pkill -9 procbench` would: nobody of them can do anything about another's end.
        let called: Vec<i32> = all.filter(|pid| standing(*pid).0 == "procbench").collect();
        assert_eq!(called.len(), children_of(mode) + 2, "{mode}");
        called.iter().for_each(|pid| kill(*pid));
        let finished = running.finish();
        assert_eq!(finished.signal(), Some(Signal::SIGKILL as i32), "{finished:?}");
        count.survived();
    }
}

#[test]
fn what_commands_have_started_ends_though_all_that_are_called_procbench_are_killed_at_once() {
    let mut count = Count::of("the same, in the middle of commands").lost("the run");
    let (sandbox, hour) = (Sandbox::new(), hour());
    let script = format!("setsid sleep {hour} & wait");
    let words = ["-n", "2", "-q", "-m", "process", "--", "sh", "-c", &script];
    let mut running = sandbox.start(sandbox.command(words));
    running.wait_for("sleepers in sessions of their own", |_| (alive_with(&hour).len() == 2).then_some(()));
    let of_session = |process: &Process| process.stat().is_ok_and(|stat| stat.session == running.pid());
    let all = procfs::process::all_processes().expect("/proc").flatten().filter(of_session);
    let called: Vec<i32> =
        all.map(|process| process.pid).filter(|pid| standing(*pid).0 == "procbench").collect();
    // The controller and the runner; who stands over it has another name.
    assert_eq!(called.len(), 2, "{called:?}");
    called.iter().for_each(|pid| kill(*pid));
    running.finish();
    assert_gone(&hour, Duration::from_secs(10));
    count.survived();
}

#[test]
fn a_procbench_that_was_stopped_for_a_while_goes_on() {
    let mut count = Count::of("procbench stopped (SIGSTOP) for a while");
    let sandbox = Sandbox::new();
    let words = "-n 8 --io-wait 20ms --rounds 5 --warmup 1 --json out.json -m process,pool";
    let mut running = sandbox.start(sandbox.command(words.split(' ')));
    running.wait_for_runner(3);
    // One that has not been told to go yet would wait for that.
    let runner = running.wait_for("a runner in the middle of a round", |running| {
        running.runner().filter(|runner| !running.children_of(*runner).is_empty())
    });
    running.signal(Signal::SIGSTOP);
    // The round that was running comes to its end: nobody else is stopped.
    running.wait_for("a runner that has ended", |_| {
        let stat = Process::new(runner).and_then(|process| process.stat());
        stat.map_or(true, |stat| stat.state == 'Z').then_some(())
    });
    running.signal(Signal::SIGCONT);
    let finished = running.finish().expect_code(0);
    let document = export(&sandbox);
    assert!(!document.partial, "{finished:?}");
    count.survived();
    for row in &document.strategies {
        assert_eq!(row.rounds.len(), 5, "{finished:?}");
    }
}

#[test]
fn a_runner_that_is_killed_is_an_error_and_leaves_nobody() {
    let mut count = Count::of("SIGKILL to the runner in the middle of a round").lost("the run");
    for mode in MODES {
        let sandbox = Sandbox::new();
        sandbox.write("out.json", "the export of another day");
        let mut running = start_endless(&sandbox, mode, &[]);
        let runner = wait_until_in_the_middle(&mut running, mode);
        kill(runner);
        let finished = running.finish().expect_code(1);
        let (error, name) = (finished.error(), mode.split(':').next().expect("a mode"));
        assert!(error.contains(name) && error.contains("killed by SIGKILL"), "{error}");
        assert_eq!(finished.stdout, "");
        assert_eq!(
            fs::read_to_string(sandbox.path("out.json")).expect("the old export"),
            "the export of another day",
            "a run that fails leaves the old export as it was"
        );
        assert_eq!(processes_of_group(runner), [0; 0]);
        count.survived();
    }
}

#[test]
fn a_worker_that_is_killed_in_a_task_is_replaced_and_its_task_done_again() {
    let pool = "pool:workers=2:chunk=3";
    for kind in ["", ":start=exec", ":transport=pipe", ":transport=pipe:start=exec"] {
        a_killed_worker_of(&format!("{pool}{kind}"));
    }
}

fn a_killed_worker_of(pool: &str) {
    let sandbox = Sandbox::new();
    let workload = format!("-n 24 --arg-size 100 --result-size 100 --rounds 1 -m {pool}");
    // Waiting is no part of a result.
    let undisturbed = sandbox.measure(&workload);
    let arguments = workload.split(' ').chain(["--io-wait", "100ms", "--json", "out.json"]);
    let mut running = sandbox.start(sandbox.command(arguments));
    let runner = running.wait_for_runner(TIMED);
    let workers = running.wait_for_sleepers(runner, 2);
    kill(workers[0]);
    let finished = running.finish().expect_code(0);
    let disturbed = export(&sandbox);
    assert_eq!(digest(&disturbed), digest(&undisturbed));
    let report = &row(&disturbed, pool).rounds[0].report;
    assert_eq!((report.tasks_completed, report.tasks_failed), (24, 0), "{finished:?}");
    assert_eq!(report.processes_started, 3, "two, and a successor: {report:?}");
    // Killed between two tasks, a worker holds none that would have to be done again.
    assert!(report.retries <= 1, "{report:?}");
    let warned = disturbed.warnings.iter().any(|warning| warning.code == "retries");
    assert_eq!(warned, report.retries > 0, "{:?}", disturbed.warnings);
}

#[test]
fn a_worker_that_is_killed_before_its_first_task_is_replaced_too() {
    let sandbox = Sandbox::new();
    let arguments = "-n 6 --init 600ms --rounds 1 -m pool:workers=1 --json out.json";
    let mut running = sandbox.start(sandbox.command(arguments.split(' ')));
    let runner = running.wait_for_runner(TIMED);
    let worker = running.wait_for("a worker", |running| running.children_of(runner).first().copied());
    kill(worker);
    running.finish().expect_code(0);
    let report = &export(&sandbox).strategies[0].rounds[0].report;
    assert_eq!((report.tasks_completed, report.retries), (6, 0), "{report:?}");
    assert_eq!(report.processes_started, 2, "{report:?}");
}

#[test]
fn a_task_whose_process_is_killed_has_failed_and_is_named() {
    let sandbox = Sandbox::new();
    let arguments = "-n 4 --io-wait 800ms --rounds 1 -m process:in-flight=2 --json out.json";
    let mut running = sandbox.start(sandbox.command(arguments.split(' ')));
    let runner = running.wait_for_runner(TIMED);
    let tasks = running.wait_for_sleepers(runner, 2);
    kill(tasks[0]);
    let finished = running.finish().expect_code(1);
    let document = export(&sandbox);
    assert!(!document.partial);
    let report = &document.strategies[0].rounds[0].report;
    assert_eq!((report.tasks_completed, report.tasks_failed), (3, 1), "{report:?}");
    assert_eq!(report.failures.len(), 1);
    assert!(report.failures[0].reason.contains("SIGKILL"), "{report:?}");
    let named = format!("task {}", report.failures[0].task);
    assert!(finished.stderr.contains(&named), "{finished:?}");
    assert!(
        finished.stdout.contains("tasks failed. What fails") || finished.stdout.contains("All tasks failed"),
        "{finished:?}"
    );
}
