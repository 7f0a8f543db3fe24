//! Workers and processes of tasks that are killed or stopped, at random and at chosen moments: no task is lost, none is counted
//! twice, and nothing hangs.
//!
//! That nothing is left, neither process nor folder nor cgroup, is seen to by the sandbox at the end of each run.

mod common;

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use common::faults::{Count, Moments, full, send, times};
use common::programs::{last, reasons};
use common::{Finished, Running, Sandbox, children_at_once, digest, has_python, parse, rounds, skip};
use nix::sys::signal::Signal;
use procbench::document::Document;
use procfs::process::Process;

/// Which runner is the first one whose round is in the export: before it come a pilot and the measurement of memory.
const TIMED: usize = 3;

/// Every kind of pool: how arguments travel, and how workers start.
const POOLS: [&str; 4] = ["", ":start=exec", ":transport=pipe", ":transport=pipe:start=exec"];

fn export(sandbox: &Sandbox, finished: &Finished) -> Document {
    parse(&fs::read_to_string(sandbox.path("out.json")).unwrap_or_else(|_| panic!("{finished:?}")))
}

fn start<'a>(sandbox: &'a Sandbox, arguments: &str) -> Running<'a> {
    start_of(sandbox, "-q --json out.json", arguments)
}

/// With a command behind the rest.
fn start_of<'a>(sandbox: &'a Sandbox, arguments: &str, last: &str) -> Running<'a> {
    sandbox.start(sandbox.command(arguments.split(' ').chain(last.split(' '))))
}

/// Kills children of runners at random moments until the run ends. Returns how many were killed. Where tasks are programs
/// (`of_programs`), a guardian stands between procbench and the runner.
fn harass(
    running: &mut Running<'_>,
    moments: &mut Moments,
    longest: Duration,
    most: u32,
    of_programs: bool,
) -> u32 {
    let (mut killed, mut met) = (0, HashSet::new());
    while killed < most && !running.has_ended() {
        std::thread::sleep(moments.up_to(longest));
        let below =
            |pid: i32| if of_programs { running.children_of(pid).first().copied() } else { Some(pid) };
        let Some(runner) = running.runner().and_then(below) else { continue };
        let child = moments.one_of(&running.children_of(runner)).copied();
        // One that has been killed may be seen for a moment still.
        if let Some(child) = child.filter(|pid| is_living(*pid) && met.insert(*pid)) {
            killed += u32::from(send(child, Signal::SIGKILL));
        }
    }
    killed
}

/// Whether there is anything left of it to kill: a signal can be sent to one that has ended, too.
fn is_living(pid: i32) -> bool {
    Process::new(pid).and_then(|process| process.stat()).is_ok_and(|stat| stat.state != 'Z')
}

#[test]
fn workers_killed_at_random_moments_cost_nothing_but_their_unfinished_tasks() {
    let wanted_of_each = times(5, 125);
    for (kind, (name, work)) in POOLS.iter().flat_map(|kind| {
        // With argument and result bytes, and without, where a worker has a loop of its own.
        [("bytes", "--arg-size 200 --result-size 100"), ("bare", "")].map(|work| (kind, work))
    }) {
        let wanted = wanted_of_each;
        let mut count = Count::of(format!("pool{kind} ({name}): worker killed at a random moment"));
        let mut moments = Moments::new(wanted.into());
        let (mut killed, mut retried) = (0, 0);
        let workload =
            format!("-n 3000 --cpu 60us {work} --on-failure retry:20 --rounds 3 -m pool:workers=3{kind}");
        let sandbox = Sandbox::new();
        let undisturbed = sandbox.measure(&workload.trim().replace("  ", " "));
        while killed < wanted {
            let sandbox = Sandbox::new();
            let mut running = start(&sandbox, &workload.replace("  ", " "));
            // Few would all come before anything is timed.
            if !full() || killed % 2 == 1 {
                running.wait_for_runner(TIMED);
            }
            // Rarely enough that the same task does not meet it three times.
            let now = harass(&mut running, &mut moments, Duration::from_millis(60), wanted - killed, false);
            let finished = running.finish().expect_code(0);
            let document = export(&sandbox, &finished);
            assert_eq!(digest(&document), digest(&undisturbed), "{finished:?}");
            for (_, round) in rounds(&document) {
                assert_eq!(
                    (round.report.tasks_completed, round.report.tasks_failed),
                    (3000, 0),
                    "{finished:?}"
                );
                retried += round.report.retries;
            }
            (0..now).for_each(|_| count.survived());
            killed += now;
        }
        assert!(wanted < 50 || retried > 0, "no kill met a task");
        drop(count.lost(format!("nothing; tasks of timed rounds executed again: {retried}")));
    }
}

/// Such workers start commands of the user's, or keep a program of his that answers; those end with them.
#[test]
fn workers_of_programs_killed_at_random_moments_cost_nothing_but_their_unfinished_tasks() {
    const LINES: u64 = 400;
    let wanted = times(10, 200);
    let of_workers = ["--worker", "while read -r line; do sleep 0.003; echo \"$line\"; done", "--shell"];
    let of_commands = ["--shell", "--", "sleep 0.003; echo {}"];
    for (name, program) in [("command", of_commands), ("worker", of_workers)] {
        let mut count = Count::of(format!("pool of {name}s: worker killed at a random moment"));
        let mut moments = Moments::new(wanted.into());
        let (mut killed, mut retried) = (0, 0);
        while killed < wanted {
            let sandbox = Sandbox::new();
            let lines: Vec<String> = (0..LINES).map(|line| line.to_string()).collect();
            fs::write(sandbox.path("lines.txt"), lines.join("\n")).expect("a file");
            let flags =
                "-q --json out.json --args-from lines.txt --on-failure retry:20 --rounds 2 -m pool:workers=3";
            let mut running = sandbox.start(sandbox.command(flags.split(' ').chain(program)));
            let longest = Duration::from_millis(400);
            let now = harass(&mut running, &mut moments, longest, wanted - killed, true);
            let finished = running.finish().expect_code(0);
            for (_, round) in rounds(&export(&sandbox, &finished)) {
                let report = &round.report;
                assert_eq!((report.tasks_completed, report.tasks_failed), (LINES, 0), "{finished:?}");
                retried += report.retries;
            }
            (0..now).for_each(|_| count.survived());
            killed += now;
        }
        drop(count.lost(format!("nothing; tasks of timed rounds executed again: {retried}")));
    }
}

/// Waits until `pid`, a worker, has a state among `states` (as in /proc), and kills it.
fn kill_when(running: &mut Running<'_>, pid: i32, states: &str, signal: Signal) {
    running.wait_for("a state", |_| {
        let state = Process::new(pid).ok()?.stat().ok()?.state;
        states.contains(state).then_some(())
    });
    assert!(send(pid, signal));
}

#[test]
fn workers_killed_at_chosen_moments_have_a_successor() {
    // What a worker does when it is killed, by a workload in which it does little else.
    let moments = [
        ("before its first claim", "-n 6 --init 400ms", "RD"),
        ("holding a claim", "-n 12 --io-wait 150ms", "S"),
        ("writing a result", "-n 8 --result-size 16MiB", "RD"),
        ("idle, waiting for its argument", "-n 6 --arg-size 32MiB", "S"),
        ("in its last task, with nothing left to claim", "-n 2 --io-wait 800ms", "S"),
    ];
    for (moment, workload, states) in moments {
        let mut retried = 0;
        let mut count = Count::of(format!("worker killed {moment}"));
        let undisturbed = digest(&Sandbox::new().measure(&format!("{workload} --rounds 1 -m serial")));
        for kind in POOLS {
            for _ in 0..times(1, 10) {
                let sandbox = Sandbox::new();
                let arguments = format!("{workload} --rounds 1 -m pool:workers=2:chunk=1{kind}");
                let mut running = start(&sandbox, &arguments);
                let runner = running.wait_for_runner(TIMED);
                let worker =
                    running.wait_for("a worker", |running| running.children_of(runner).last().copied());
                kill_when(&mut running, worker, states, Signal::SIGKILL);
                let finished = running.finish().expect_code(0);
                let document = export(&sandbox, &finished);
                let report = &document.strategies[0].rounds[0].report;
                assert_eq!(report.tasks_failed, 0, "{moment}, {kind}: {finished:?}");
                assert_eq!(digest(&document), undisturbed, "{moment}, {kind}: {finished:?}");
                assert!(report.retries <= 1, "{moment}, {kind}: {report:?}");
                assert!(report.processes_started <= 3, "{moment}, {kind}: {report:?}");
                retried += report.retries;
                count.survived();
            }
        }
        // Whoever sleeps is in a task, but for an instant.
        assert!(!workload.contains("--io-wait") || retried > 0, "{moment}: no task was ever executed again");
    }
}

#[test]
fn a_task_that_kills_its_workers_fails_with_its_reason_and_the_others_are_done() {
    const TASKS: u64 = 5;
    let mut count = Count::of("a task whose worker dies each time");
    for kind in POOLS {
        // On a machine that is slow enough, a worker may be killed in the next task only.
        let failed = (0..5).any(|_| {
            let sandbox = Sandbox::new();
            let workload = format!("-n {TASKS} --io-wait 300ms --rounds 1 -m pool:workers=1:chunk=1{kind}");
            let mut running = start(&sandbox, &workload);
            let runner = running.wait_for_runner(TIMED);
            // One worker, so whoever sleeps has the task that the one before had.
            let mut dead = Vec::new();
            while dead.len() < 3 {
                let worker = running.wait_for("a worker in a task", |running| {
                    let pid = running.children_of(runner).into_iter().find(|pid| !dead.contains(pid))?;
                    (Process::new(pid).ok()?.stat().ok()?.state == 'S').then_some(pid)
                });
                assert!(send(worker, Signal::SIGKILL));
                dead.push(worker);
            }
            let finished = running.finish();
            let document = export(&sandbox, &finished);
            let report = &document.strategies[0].rounds[0].report;
            assert_eq!(report.tasks_completed + report.tasks_failed, TASKS, "{report:?}");
            assert!(
                report.tasks_failed == 0 || report.tasks_failed == 1 && report.retries >= 2,
                "{report:?}"
            );
            for failure in &report.failures {
                assert_eq!(failure.reason, "its worker died each of the 3 times it was tried");
            }
            report.tasks_failed == 1
        });
        assert!(failed, "pool{kind}: no three in the same task");
        count.survived();
    }
    drop(count.lost("that task, and no other"));
}

#[test]
fn a_stopped_worker_is_found_by_the_timeout() {
    let mut count = Count::of("worker stopped (SIGSTOP) in a task, --timeout");
    for kind in POOLS {
        for policy in ["continue", "retry:1", "stop"] {
            for _ in 0..times(1, 10) {
                let sandbox = Sandbox::new();
                let mode = format!("pool:workers=2:chunk=1{kind}");
                let workload = "-n 10 --arg-size 10 --io-wait 100ms --timeout 2s --rounds 1";
                let mut running = start(&sandbox, &format!("{workload} --on-failure {policy} -m {mode}"));
                let runner = running.wait_for_runner(TIMED);
                let workers = running.wait_for_sleepers(runner, 2);
                assert!(send(workers[0], Signal::SIGSTOP));
                let finished = running.finish();
                let document = export(&sandbox, &finished);
                let round = last(&document, &mode);
                let report = &round.report;
                if policy == "retry:1" {
                    assert_eq!((report.tasks_completed, report.tasks_failed), (10, 0), "{report:?}");
                } else {
                    let found = reasons(round);
                    // Stopped between two tasks, it costs none.
                    let told = found.iter().all(|(_, reason)| *reason == "timed out after 2 s");
                    assert!(told && found.len() <= 1, "{mode}: {found:?}");
                }
                let all = report.tasks_completed + report.tasks_failed + report.tasks_not_tried;
                assert_eq!(all, 10, "{report:?}");
                assert!(report.tasks_not_tried == 0 || policy == "stop", "{report:?}");
                // Whoever is not tried needs no other worker.
                let started = report.processes_started;
                assert!(started == 3 || policy == "stop" && started == 2, "{mode}: {report:?}");
                count.survived();
            }
        }
    }
    drop(count.lost("its task, or nothing with retry"));
}

#[test]
fn a_worker_that_is_stopped_before_it_has_a_task_is_found_too() {
    let mut count = Count::of("worker stopped (SIGSTOP) before its first task, --timeout");
    for kind in POOLS {
        let sandbox = Sandbox::new();
        let workload = "-n 6 --init 500ms --timeout 300ms --rounds 1";
        let mut running = start(&sandbox, &format!("{workload} -m pool:workers=2{kind}"));
        let runner = running.wait_for_runner(TIMED);
        // Stopped while it is still about to become another program, it stops whoever starts it too, as with any vfork.
        let has_begun = |pid: &i32| {
            let words = Process::new(*pid).and_then(|process| process.cmdline()).unwrap_or_default();
            !kind.contains("exec") || words.iter().any(|word| word == "__child")
        };
        let worker = running.wait_for("a worker", |running| {
            running.children_of(runner).into_iter().rfind(|pid| has_begun(pid))
        });
        assert!(send(worker, Signal::SIGSTOP));
        let finished = running.finish().expect_code(0);
        let report = &export(&sandbox, &finished).strategies[0].rounds[0].report;
        assert_eq!((report.tasks_completed, report.retries), (6, 0), "{kind}: {report:?}");
        count.survived();
    }
}

#[test]
fn processes_of_tasks_killed_or_stopped_are_reported_or_retried() {
    let mut count = Count::of("process of a task killed or stopped at a random moment");
    let mut moments = Moments::new(3);
    for start_method in ["", ":start=exec"] {
        for (signal, policy) in [
            (Signal::SIGKILL, "continue"),
            (Signal::SIGKILL, "retry:5"),
            (Signal::SIGSTOP, "continue"),
            (Signal::SIGSTOP, "retry:5"),
        ] {
            let (mut met, mut missed) = (0, 0);
            while met < times(1, 40) {
                assert!(missed < 20 + 2 * met, "whoever is chosen has mostly ended: {missed} times");
                let sandbox = Sandbox::new();
                let mode = format!("process:in-flight=4{start_method}");
                let workload = "-n 24 --io-wait 60ms --timeout 3s --rounds 1";
                let mut running = start(&sandbox, &format!("{workload} --on-failure {policy} -m {mode}"));
                let runner = running.wait_for_runner(TIMED);
                std::thread::sleep(moments.up_to(Duration::from_millis(200)));
                let hit = moments.one_of(&running.children_of(runner)).is_some_and(|pid| send(*pid, signal));
                let finished = running.finish();
                let document = export(&sandbox, &finished);
                let round = last(&document, &mode);
                let report = &round.report;
                let told = if signal == Signal::SIGSTOP {
                    "timed out after 3 s"
                } else {
                    "its process was killed by SIGKILL before the result was complete"
                };
                let found = reasons(round);
                assert!(found.iter().all(|(_, reason)| *reason == told), "{found:?}");
                let (cost, other) = match policy {
                    "continue" => (report.tasks_failed, report.retries),
                    _ => (report.retries, report.tasks_failed),
                };
                assert!(cost <= u64::from(hit) && other == 0, "{report:?}");
                assert_eq!(report.tasks_completed + report.tasks_failed, 24, "{report:?}");
                // Whoever had just ended has met with nothing.
                if cost == 1 {
                    met += 1;
                    count.survived();
                } else {
                    missed += 1;
                }
            }
        }
    }
    drop(count.lost("its task, or nothing with retry"));
}

/// Stops a child of `parent` that has been created and has executed nothing yet, which takes many tries. `None` if none was met
/// before `deadline`, or before `parent` ended.
fn stop_before_exec(parent: i32, deadline: Instant) -> Option<i32> {
    let stat = |pid| Process::new(pid).ok()?.stat().ok();
    while Instant::now() < deadline {
        for child in children_at_once(parent)? {
            send(child, Signal::SIGSTOP);
            let stopped = stat(child).filter(|child| child.state == 'T');
            // Its parent has not been given back control, and it has its parent's memory still.
            let is_awaited = stopped.zip(stat(parent)).is_some_and(|(child, parent)| {
                parent.state == 'D' && parent.vsize == child.vsize && child.ppid == parent.pid
            });
            if is_awaited {
                return Some(child);
            }
            send(child, Signal::SIGCONT);
        }
    }
    None
}

#[test]
fn one_that_is_stopped_before_it_executes_anything_is_found_by_the_timeout_too() {
    let test = "one_that_is_stopped_before_it_executes_anything_is_found_by_the_timeout_too";
    if children_at_once(std::process::id() as i32).is_none() {
        return skip(test, "this kernel lists no children in /proc");
    }
    let mut count = Count::of("process of a task stopped (SIGSTOP) before its exec, --timeout");
    for (workload, depth) in [("-m process:in-flight=2:start=exec", 0), ("-m process:in-flight=2 -- true", 1)]
    {
        for _ in 0..times(1, 20) {
            let sandbox = Sandbox::new();
            let mut running = start_of(&sandbox, "-n 1000000 --timeout 300ms --rounds 1", workload);
            let deadline = Instant::now() + Duration::from_secs(20);
            let stopped = loop {
                let runner = running.wait_for("a runner at work", |running| {
                    let mut runner = running.runner()?;
                    // Between a runner whose tasks are programs and the controller stands another process.
                    for _ in 0..depth {
                        runner = *children_at_once(runner)?.first()?;
                    }
                    (!children_at_once(runner)?.is_empty()).then_some(runner)
                });
                let stopped = stop_before_exec(runner, deadline);
                if stopped.is_some() || Instant::now() >= deadline {
                    break stopped;
                }
            };
            let Some(stopped) = stopped else {
                skip(test, &format!("{workload}: nobody was met at that moment"));
                running.signal(Signal::SIGINT);
                running.finish().expect_code(130);
                continue;
            };
            running.wait_for("its end", |_| {
                let state = Process::new(stopped).and_then(|process| process.stat()).map(|stat| stat.state);
                (state.ok() != Some('T')).then_some(())
            });
            // The round goes on: others are started in its place.
            running.wait_for("another task", |running| {
                let runner = running.runner()?;
                let below = children_at_once(runner)?;
                let all = below
                    .iter()
                    .chain(&below)
                    .copied()
                    .chain(below.iter().flat_map(|pid| children_at_once(*pid).unwrap_or_default()));
                all.into_iter().any(|pid| pid > stopped).then_some(())
            });
            running.signal(Signal::SIGINT);
            running.finish().expect_code(130);
            count.survived();
        }
    }
    drop(count.lost("its task"));
}

#[test]
fn a_gap_in_what_was_claimed_is_filled() {
    // A worker that dies between taking a task and noting it leaves a task that nobody holds; with arguments the others cannot
    // go on without it. No signal can be sent at that moment from outside, so many are sent at any: what is claimed is claimed
    // all the time, as tasks do nothing else.
    let mut count = Count::of("worker killed while it does nothing but claim (arguments of 4 KiB)");
    let mut moments = Moments::new(11);
    let wanted = times(10, 300);
    let mut killed = 0;
    while killed < wanted {
        let sandbox = Sandbox::new();
        let mut running =
            start(&sandbox, "-n 200000 --arg-size 4KiB --rounds 1 -m pool:workers=3:chunk=1 --no-latency");
        let now = harass(&mut running, &mut moments, Duration::from_millis(40), wanted - killed, false);
        let finished = running.finish().expect_code(0);
        let document = export(&sandbox, &finished);
        assert!(rounds(&document).all(|(_, round)| round.report.tasks_completed == 200_000));
        (0..now).for_each(|_| count.survived());
        killed += now;
    }
}

/// By every call, and however workers start: before their first task, in one, in the middle of an answer, or when all is done.
#[test]
fn a_killed_worker_of_pythons_pools_is_a_clear_error() {
    if !has_python("a_killed_worker_of_pythons_pools_is_a_clear_error") {
        return;
    }
    let starts = ["fork", "spawn", "forkserver"];
    for (number, api) in ["map", "imap", "imap_unordered", "apply_async", "executor"].iter().enumerate() {
        // One of them each, unless all counts are asked for.
        for start_method in starts.iter().filter(|start| full() || **start == starts[number % 3]) {
            // That one hands over a task at a time anyway.
            let chunk = if *api == "apply_async" { "" } else { ":chunk=1" };
            let row = format!("py-pool:workers=2:start={start_method}:api={api}{chunk}");
            let mut count = Count::of(format!("worker of Python's pool killed [{row}]"));
            let mut moments = Moments::new(20);
            let (mut killed, wanted) = (0, times(2, 20));
            while killed < wanted {
                let sandbox = Sandbox::new();
                let workload = "-n 30 --io-wait 5ms --result-size 1MiB --rounds 1";
                let mut running = start(&sandbox, &format!("{workload} -m {row}"));
                // The pilot, the round in which memory is measured, or the one that is timed.
                let runner = running.wait_for_runner(1 + moments.below(TIMED as u64) as usize);
                let workers = running.wait_for("workers", |running| {
                    let workers = running.python_workers_of(runner);
                    (workers.len() == 2 || running.runner() != Some(runner)).then_some(workers)
                });
                std::thread::sleep(moments.up_to(Duration::from_millis(300)));
                let worker = moments.one_of(&workers).copied().filter(|worker| is_living(*worker));
                let hit = worker.is_some_and(|worker| send(worker, Signal::SIGKILL));
                let finished = running.finish();
                // It had ended, or was about to.
                if !hit || finished.code() == Some(0) {
                    continue;
                }
                let finished = finished.expect_code(1);
                let error = finished.error();
                let is_told = ["SIGKILL", "has lost a worker", "did not end as it should"];
                assert!(is_told.iter().any(|told| error.contains(told)), "{row}: {finished:?}");
                assert!(!finished.stderr.contains("Traceback"), "{row}: {finished:?}");
                count.survived();
                killed += 1;
            }
            drop(count.lost("the run, with an error that says so"));
        }
    }
}

/// A task computes, fails in its I/O, and does both again, as often as it takes.
#[test]
fn a_task_that_fails_in_its_io_for_a_while_is_tried_again_and_done() {
    let mut count = Count::of("tasks that fail in their I/O for a while");
    for mode in [
        "serial",
        "threads:workers=2",
        "pool:workers=2",
        "pool:workers=2:transport=pipe",
        "process:in-flight=2",
    ] {
        let sandbox = Sandbox::new();
        let (folder, away) = (sandbox.path("io"), sandbox.path("away"));
        fs::create_dir(&folder).expect("a folder");
        let mut running = start(
            &sandbox,
            &format!(
                "-n 400 --cpu 5ms --io fsync --io-folder io --on-failure retry:1000000 --rounds 1 -m {mode}"
            ),
        );
        let runner = running.wait_for_runner(3);
        running.wait_for("a file of a task", |_| {
            let folders = fs::read_dir(&folder).ok()?.flatten();
            folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten()).next().map(drop)
        });
        let used = |running: &Running<'_>| -> u64 {
            let all = running.children_of(runner).into_iter().chain([runner]);
            let stats = all.filter_map(|pid| Process::new(pid).ok()?.stat().ok());
            stats.map(|stat| stat.utime + stat.stime + (stat.cutime + stat.cstime) as u64).sum()
        };
        fs::rename(&folder, &away).expect("it can be renamed");
        let before = used(&running);
        running.wait_for("tries", |running| (used(running) > before + 5).then_some(()));
        fs::rename(&away, &folder).expect("it can be renamed");
        let finished = running.finish().expect_code(0);
        let document = export(&sandbox, &finished);
        for (_, round) in rounds(&document) {
            assert_eq!((round.report.tasks_completed, round.report.tasks_failed), (400, 0), "{finished:?}");
            assert!(round.report.retries > 0, "{mode}: {finished:?}");
        }
        count.survived();
    }
}

#[test]
fn a_timeout_belongs_to_pools_and_processes() {
    let sandbox = Sandbox::new();
    for mode in ["serial", "threads"] {
        let finished = sandbox.run(["-n", "4", "--timeout", "1s", "-m", mode]).expect_code(2);
        let error = finished.error();
        assert!(error.contains(mode) && error.contains("expected pool or process"), "{error}");
    }
    // Nothing takes that long, so nothing is different.
    let plain =
        sandbox.measure("-n 300 --cpu 50us --arg-size 10 --rounds 1 -m pool,pool:transport=pipe,process");
    let timed = sandbox.measure(
        "-n 300 --cpu 50us --arg-size 10 --rounds 1 -m pool,pool:transport=pipe,process --timeout 1m",
    );
    assert_eq!(digest(&plain), digest(&timed));
    assert!(!full() || timed.tasks_failed() == 0);
}
