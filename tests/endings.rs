//! How tasks that are commands end, well or badly: timeouts, failures and what is done about them, and that nothing of what
//! they have started is left, however procbench itself ends.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::faults::Count;
use common::programs::{MODES, alive_with, assert_gone, hour, last, reasons, run};
use common::{Sandbox, kill, parse, skip};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use procbench::document::Round;
use procfs::process::Process;

#[test]
fn a_timeout_ends_all_that_the_task_has_started() {
    let mut count = Count::of("commands that start others, --timeout").lost("its task");
    for mode in MODES {
        let (sandbox, hour) = (Sandbox::new(), hour());
        let script = format!("sleep {hour} & sleep {hour}; wait");
        let arguments =
            ["-n", "3", "--rounds", "1", "--timeout", "150ms", "-m", mode, "--shell", "--", &script];
        let (document, finished) = run(&sandbox, &arguments);
        assert_eq!(finished.code(), Some(1), "{finished:?}");
        let round = last(&document, mode);
        let told = "timed out after 150 ms";
        assert_eq!(reasons(round), [(0, told), (1, told), (2, told)], "{mode}");
        assert_eq!(round.report.left_running, 0, "{mode}: the group was ended with its leader");
        assert_gone(&hour, Duration::ZERO);
        count.survived();
    }
}

#[test]
fn a_daemon_that_is_left_behind_is_ended_and_told_of() {
    let mut count = Count::of("daemons that commands leave behind");
    for mode in MODES {
        let (sandbox, hour) = (Sandbox::new(), hour());
        let script = format!("(setsid sleep {hour} &)");
        let arguments = ["-n", "3", "--rounds", "1", "-m", mode, "--shell", "--", &script];
        let (document, finished) = run(&sandbox, &arguments);
        assert_eq!(finished.code(), Some(0), "{finished:?}");
        assert_eq!(last(&document, mode).report.left_running, 3, "{mode}");
        assert!(document.warnings.iter().any(|warning| warning.code == "left_running"), "{mode}");
        assert_gone(&hour, Duration::ZERO);
        count.survived();
    }
}

/// Each is gone before it can be killed, and has started another by then.
#[test]
fn who_does_nothing_but_start_another_and_end_is_ended_all_the_same() {
    let mut count = Count::of("programs that do nothing but start another and end");
    for mode in MODES {
        let sandbox = Sandbox::new();
        let script = sandbox.write("again", "#!/bin/sh\n[ $1 -gt 20000 ] || setsid \"$0\" $(($1 + 1)) &\n");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("an executable script");
        let arguments = ["-n", "8", "--rounds", "1", "-m", mode, "--", "./again", "0"];
        let (document, finished) = run(&sandbox, &arguments);
        assert_eq!(finished.code(), Some(0), "{finished:?}");
        assert!(last(&document, mode).report.left_running >= 1, "{mode}: {finished:?}");
        count.survived();
    }
}

/// Starts commands that leave processes in their group and in a session of their own, and waits until all are there.
fn start_endless<'a>(sandbox: &'a Sandbox, mode: &str, hour: &str) -> common::Running<'a> {
    let script = format!("sleep {hour} & (setsid sleep {hour} &); sleep {hour}; wait");
    let arguments = ["-n", "9", "-q", "--json", "out.json", "-m", mode, "--shell", "--", &script];
    let mut running = sandbox.start(sandbox.command(arguments));
    running.wait_for("three processes of a task", |_| (alive_with(hour).len() >= 3).then_some(()));
    running
}

/// Nobody has to guess that a task never ends, nor what would end it.
#[test]
fn whoever_waits_for_a_task_that_never_ends_is_told() {
    let (sandbox, hour) = (Sandbox::new(), hour());
    let told = fs::File::create(sandbox.path("told")).expect("a file");
    let mut command = sandbox.command(["-n", "2", "-m", "serial", "--", "sleep", &hour]);
    command.stderr(told);
    let mut running = sandbox.start(command);
    let path = sandbox.path("told");
    running.wait_for("a word of it", |_| {
        let told = fs::read_to_string(&path).expect("what was told");
        told.contains("serial: no task was done for ").then(|| assert!(told.contains("--timeout"), "{told}"))
    });
    running.signal(Signal::SIGINT);
    running.finish().expect_code(130);
    assert_gone(&hour, Duration::ZERO);
    fs::remove_file(path).expect("what was told");
}

#[test]
fn nothing_is_left_of_commands_however_procbench_ends() {
    let mut count = Count::of("SIGKILL, SIGTERM, or SIGINT twice, in the middle of commands")
        .lost("what was not finished");
    const SOON: Duration = Duration::from_secs(60);
    for mode in MODES {
        let (sandbox, hour) = (Sandbox::new(), hour());
        let running = start_endless(&sandbox, mode, &hour);
        running.signal(Signal::SIGKILL);
        assert_eq!(running.finish().signal(), Some(Signal::SIGKILL as i32));
        assert_gone(&hour, SOON);
        count.survived();

        let running = start_endless(&sandbox, mode, &hour);
        running.signal(Signal::SIGTERM);
        assert_eq!(running.finish().code(), Some(130), "{mode}");
        assert_gone(&hour, Duration::ZERO);
        count.survived();

        let mut running = start_endless(&sandbox, mode, &hour);
        running.signal(Signal::SIGINT);
        if running.wait_until_noticed(Signal::SIGINT) {
            running.signal(Signal::SIGINT);
        }
        assert_eq!(running.finish().code(), Some(130), "{mode}");
        assert_gone(&hour, SOON);
        count.survived();
    }
}

#[test]
fn a_runner_or_a_guardian_that_is_killed_leaves_nothing_either() {
    let mut count =
        Count::of("SIGKILL to the runner or the guardian in the middle of commands").lost("the run");
    for mode in MODES {
        for whom in ["guardian", "runner"] {
            let (sandbox, hour) = (Sandbox::new(), hour());
            let mut running = start_endless(&sandbox, mode, &hour);
            let guardian = running.wait_for_runner(1);
            let runner = running.children_of(guardian)[0];
            kill(if whom == "guardian" { guardian } else { runner });
            let finished = running.finish().expect_code(1);
            assert!(finished.error().contains("killed by SIGKILL"), "{mode}, {whom}: {finished:?}");
            assert_gone(&hour, Duration::ZERO);
            count.survived();
        }
    }
}

/// The kernel sends SIGHUP to those whose terminal is closed, and to a group with stopped processes that nobody of its session is
/// left to continue.
#[test]
fn a_guardian_ends_by_nothing_but_its_work() {
    let mut count = Count::of("signals to the guardian").lost("what was not finished");
    for mode in MODES {
        let (sandbox, hour) = (Sandbox::new(), hour());
        let mut running = start_endless(&sandbox, mode, &hour);
        let guardian = running.wait_for_runner(1);
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGUSR1] {
            signal::kill(Pid::from_raw(guardian), signal).expect("a guardian");
        }
        running.wait_for("the guardian to meet them, and to live", |_| {
            let of_guardian = Process::new(guardian).and_then(|guardian| guardian.status()).ok()?;
            let to_come = (of_guardian.sigpnd | of_guardian.shdpnd) & !of_guardian.sigblk;
            assert!(!of_guardian.state.starts_with(['Z', 'X']), "{mode}: it has ended");
            (to_come == 0).then_some(())
        });
        running.signal(Signal::SIGTERM);
        let finished = running.finish();
        assert_eq!(finished.code(), Some(130), "{mode}: {finished:?}");
        assert_gone(&hour, Duration::ZERO);
        count.survived();
    }
}

/// What ends a round whose guardian has been stopped, and how long until nothing of it may be left.
#[test]
fn a_guardian_that_somebody_has_stopped_is_no_hindrance() {
    let mut count =
        Count::of("a guardian stopped in the middle, then SIGTERM, SIGINT twice, or SIGKILL to procbench")
            .lost("what was not finished");
    const SOON: Duration = Duration::from_secs(60);
    for (mode, end) in [("serial", "SIGTERM"), ("process", "SIGINT, twice"), ("pool", "SIGKILL")] {
        let (sandbox, hour) = (Sandbox::new(), hour());
        let mut running = start_endless(&sandbox, mode, &hour);
        let guardian = running.wait_for_runner(1);
        signal::kill(Pid::from_raw(guardian), Signal::SIGSTOP).expect("a guardian");
        running.wait_for("a stopped guardian", |_| is_stopped(guardian).then_some(()));
        match end {
            "SIGTERM" => running.signal(Signal::SIGTERM),
            "SIGKILL" => running.signal(Signal::SIGKILL),
            _ => {
                running.signal(Signal::SIGINT);
                if running.wait_until_noticed(Signal::SIGINT) {
                    running.signal_if_there(Signal::SIGINT);
                }
            }
        }
        let finished = running.finish();
        assert!(finished.code() == Some(130) || end == "SIGKILL", "{mode}: {finished:?}");
        assert_gone(&hour, SOON);
        count.survived();
    }
}

fn is_stopped(pid: i32) -> bool {
    Process::new(pid).and_then(|process| process.stat()).is_ok_and(|stat| stat.state == 'T')
}

/// Each task stops the guardian that stands over its runner, which has nothing to do until the round is over.
#[test]
fn a_round_is_over_though_its_guardian_has_been_stopped() {
    let mut count = Count::of("a guardian stopped by each task of a run that is left alone");
    let sandbox = Sandbox::new();
    let script = "read -r _ _ _ guardian _ </proc/$PPID/stat && kill -STOP $guardian";
    for timeout in [&[][..], &["--timeout", "200s"]] {
        let arguments = [&["-n", "3", "--rounds", "2", "-m", "process"], timeout, &["--shell", "--", script]];
        let (document, finished) = run(&sandbox, &arguments.concat());
        assert_eq!(finished.code(), Some(0), "{finished:?}");
        assert_eq!(last(&document, "process").report.tasks_completed, 3);
        count.survived();
    }
}

#[test]
fn what_is_discarded_costs_no_room() {
    let sandbox = Sandbox::new();
    let before = sandbox.listing();
    let arguments =
        ["-n", "1", "--rounds", "1", "-q", "-m", "process", "--", "head", "-c", "1G", "/dev/zero"];
    sandbox.run(arguments).expect_code(0);
    assert_eq!(sandbox.listing(), before);
}

#[test]
fn after_a_failure_nothing_else_is_started_where_that_was_asked_for() {
    for mode in MODES {
        let sandbox = Sandbox::new();
        // From its tenth execution on, which is after the pilot and the measurement of memory, the second task fails.
        let script = "test {} != 1 || { echo x >>times; test $(wc -l <times) -lt 10; }";
        let arguments =
            ["-n", "40", "--rounds", "15", "-m", mode, "--on-failure", "stop", "--shell", "--", script];
        let (document, finished) = run(&sandbox, &arguments);
        assert_eq!(finished.code(), Some(1), "{finished:?}");
        assert!(document.partial, "not all rounds are there");
        assert!(document.warnings.iter().any(|warning| warning.code == "stopped"), "{finished:?}");
        assert!(!finished.stderr.contains("interrupted"), "{finished:?}");
        let report = &last(&document, mode).report;
        assert_eq!(reasons(last(&document, mode)), [(1, "exit code 1")], "{mode}");
        assert!(report.tasks_not_tried > 0, "{mode}: {report:?}");
        assert_eq!(report.tasks_completed + report.tasks_failed + report.tasks_not_tried, 40, "{report:?}");
        let told = format!("{} were not tried", report.tasks_not_tried);
        assert!(finished.stderr.replace('\n', " ").contains(&told), "{finished:?}");
        let rounds = document.strategies[0].rounds.len();
        let told = match rounds {
            1 => format!("{mode}: 1 task failed in the timed round;"),
            _ => format!("{mode}: 1 task failed in {rounds} timed rounds;"),
        };
        assert!(finished.stderr.replace('\n', " ").contains(&told), "no {told:?}: {finished:?}");
        let times = fs::read_to_string(sandbox.path("times")).expect("a file").lines().count();
        assert_eq!(times, 10, "{mode}: no other round was started");
    }
}

#[test]
fn a_task_that_fails_is_tried_again_as_often_as_was_asked_for() {
    for mode in MODES {
        let sandbox = Sandbox::new();
        // Every second try fails, of each task.
        let script = "if test -e tried-{}; then rm tried-{}; else touch tried-{}; false; fi";
        let arguments = ["-n", "4", "--rounds", "1", "-m", mode, "--on-failure"];
        let (document, finished) =
            run(&sandbox, &[&arguments[..], &["retry:1", "--shell", "--", script]].concat());
        assert_eq!(finished.code(), Some(0), "{finished:?}");
        let report = &last(&document, mode).report;
        let workers = if mode.starts_with("pool") { 2 } else { 0 };
        assert_eq!((report.tasks_completed, report.retries), (4, 4), "{mode}: {report:?}");
        assert_eq!(report.processes_started, 8 + workers, "{mode}: {report:?}");

        let (document, finished) = run(&sandbox, &[&arguments[..], &["retry:2", "--", "false"]].concat());
        assert_eq!(finished.code(), Some(1), "{finished:?}");
        let report = &last(&document, mode).report;
        assert_eq!((report.tasks_failed, report.retries), (4, 8), "{mode}: {report:?}");

        let (document, finished) = run(&sandbox, &[&arguments[..], &["continue", "--", "false"]].concat());
        assert_eq!(finished.code(), Some(1), "{finished:?}");
        let report = &last(&document, mode).report;
        assert_eq!((report.tasks_failed, report.retries), (4, 0), "{mode}: {report:?}");
    }
}

/// Kills one of the tasks of a round that is not about commands, and returns that round.
fn with_one_killed(policy: &str) -> Round {
    const TIMED: usize = 3;
    let sandbox = Sandbox::new();
    let arguments = "-n 4 --io-wait 800ms --rounds 1 -m process:in-flight=2 --json out.json --on-failure";
    let mut running = sandbox.start(sandbox.command(arguments.split(' ').chain([policy])));
    let runner = running.wait_for_runner(TIMED);
    let tasks = running.wait_for_sleepers(runner, 2);
    kill(tasks[0]);
    running.finish();
    let document = parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
    document.strategies[0].rounds[0].clone()
}

#[test]
fn a_process_that_is_killed_is_a_task_that_has_failed_for_every_workload() {
    let retried = with_one_killed("retry:1").report;
    assert_eq!(
        (retried.tasks_completed, retried.retries, retried.processes_started),
        (4, 1, 5),
        "{retried:?}"
    );
    let stopped = with_one_killed("stop").report;
    assert_eq!((stopped.tasks_failed, stopped.retries), (1, 0), "{stopped:?}");
    assert_eq!(stopped.tasks_completed + 1 + stopped.tasks_not_tried, 4, "{stopped:?}");
    assert_eq!(stopped.processes_started, 4 - stopped.tasks_not_tried, "{stopped:?}");
}

/// The one moment in which an export that replaces another has a name of its own: the kernel is told to kill procbench in it.
#[test]
fn an_export_killed_while_it_takes_anothers_place_leaves_no_file() {
    // Not all of them are there on every processor.
    const RENAMES: &str = "?rename,?renameat,renameat2";
    let mut count = Count::of("SIGKILL while an export takes another's place").lost("the export");
    let traced = |sandbox: &Sandbox, inject: &str| {
        let mut command = Command::new("strace");
        command.args(["-qq", "-o", "/dev/null", "-e"]).arg(format!("trace={RENAMES}"));
        command.args(["-e", &format!("inject={RENAMES}:{inject}")]);
        let procbench =
            sandbox.command("-q -n 2 --rounds 1 -m serial --json out.json --csv out.csv".split(' '));
        command.arg(procbench.get_program()).args(procbench.get_args()).current_dir(sandbox.path(""));
        command.envs(procbench.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let sandbox = Sandbox::new();
    let works = traced(&sandbox, "delay_enter=1").status().is_ok_and(|status| status.success());
    if !works {
        return skip(
            "an_export_killed_while_it_takes_anothers_place_leaves_no_file",
            "strace cannot be used here",
        );
    }
    for (kept, replaced) in [("out.csv", "out.json"), ("out.json", "out.csv")] {
        let sandbox = Sandbox::new();
        sandbox.write(replaced, "old");
        let finished = sandbox.run_command(traced(&sandbox, "signal=KILL"));
        assert_eq!(finished.signal(), Some(Signal::SIGKILL as i32), "{finished:?}");
        // The sandbox has seen that nothing lies beside it.
        assert_eq!(fs::read_to_string(sandbox.path(replaced)).expect("the old one"), "old", "{finished:?}");
        let other = fs::read_to_string(sandbox.path(kept)).unwrap_or_default();
        assert!(other.is_empty() || other.ends_with('\n'), "{other}");
        count.survived();
    }
}
