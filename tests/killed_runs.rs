//! Every way in which a run can be ended before its end, at random moments: no process is left, no cgroup, no temporary file, and
//! what was to be exported is the old file or a complete new one.
//!
//! That nothing is left is seen to by the sandbox at the end of each run.

mod common;

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::faults::{Count, Moments, full, send, times};
use common::{Finished, Sandbox, parse};
use nix::pty::openpty;
use nix::sys::signal::Signal;

const OLD: &str = "the export of another day";

/// What is run. In the default counts all modes together, so that a moment is in any of them.
fn workloads() -> Vec<&'static str> {
    if full() {
        vec![
            "-n 40 --io-wait 5ms --rounds 3 -m serial",
            "-n 200 --cpu 200us --rounds 3 -m threads:workers=2",
            "-n 400 --cpu 100us --arg-size 1KiB --rounds 3 -m pool:workers=2",
            "-n 400 --cpu 100us --rounds 3 -m pool:workers=2:start=exec",
            "-n 200 --io-wait 5ms --rounds 3 -m process",
            "-n 60 --workload file --rounds 3 -m process:start=exec",
            "-n 40 --rounds 3 -m pool:workers=2,process -- sleep 0.01",
        ]
    } else {
        vec![
            "-n 60 --workload file --cpu 1ms --rounds 2 -m serial,threads,pool,process",
            "-n 30 --rounds 2 -m pool:workers=2,process -- sleep 0.01",
        ]
    }
}

/// `workload` with an export; what follows `--` stays last.
fn command(sandbox: &Sandbox, workload: &str) -> Command {
    sandbox.write("out.json", OLD);
    sandbox.command(["--json", "out.json", "-q"].into_iter().chain(workload.split(' ')))
}

/// The export is the old one or a complete new one, and partial if it says so by its exit code.
#[track_caller]
fn assert_whole(sandbox: &Sandbox, finished: &Finished) {
    let text = fs::read_to_string(sandbox.path("out.json")).expect("the old export, at least");
    if text != OLD {
        let document = parse(&text);
        assert_eq!(document.partial, finished.code() == Some(130), "{finished:?}");
    }
}

/// How long runs as above take, roughly: moments are drawn from this.
fn a_run() -> Duration {
    Duration::from_millis(if full() { 1500 } else { 2500 })
}

/// Ends runs by `end`, which may say that it came too late.
fn try_all(
    fault: &str,
    seed: u64,
    codes: &[Option<i32>],
    end: impl Fn(&mut common::Running<'_>, &mut Moments),
) {
    let mut moments = Moments::new(seed);
    for workload in workloads() {
        let mut count = Count::of(format!("{fault} [{workload}]"));
        for _ in 0..times(1, 50) {
            let sandbox = Sandbox::new();
            let mut running = sandbox.start(command(&sandbox, workload));
            std::thread::sleep(moments.up_to(a_run()));
            end(&mut running, &mut moments);
            let finished = running.finish();
            assert!(codes.contains(&finished.code()), "{finished:?}");
            let expects_error = finished.code() == Some(1);
            assert_eq!(finished.stderr.contains("error:"), expects_error, "{finished:?}");
            assert_whole(&sandbox, &finished);
            count.survived();
        }
    }
}

/// It may have ended before; and signalled before it listens, it is ended by the signal itself, as any program.
const SIGNALLED: [Option<i32>; 3] = [Some(130), Some(0), None];

fn signalled(signal: Signal, seed: u64) {
    try_all(&format!("{signal} to procbench"), seed, &SIGNALLED, |running, _| {
        send(running.pid(), signal);
    });
}

#[test]
fn interrupted_once() {
    signalled(Signal::SIGINT, 1);
}

#[test]
fn told_to_terminate() {
    signalled(Signal::SIGTERM, 2);
}

#[test]
fn hung_up() {
    signalled(Signal::SIGHUP, 3);
}

#[test]
fn interrupted_twice() {
    try_all("Ctrl-C twice", 4, &SIGNALLED, |running, moments| {
        send(running.pid(), Signal::SIGINT);
        std::thread::sleep(moments.up_to(Duration::from_millis(30)));
        // The sandbox grants some time to what is ended without having been seen off.
        running.signal_if_there(Signal::SIGINT);
        running.signal_if_there(Signal::SIGINT);
    });
}

#[test]
fn killed() {
    try_all("SIGKILL to procbench", 5, &[None, Some(0)], |running, _| {
        send(running.pid(), Signal::SIGKILL);
    });
}

#[test]
fn with_its_runner_killed() {
    try_all("SIGKILL to the runner", 6, &[Some(1), Some(0)], |running, _| {
        while !running.has_ended() {
            if running.runner().is_some_and(|runner| send(runner, Signal::SIGKILL)) {
                break;
            }
        }
    });
}

#[test]
fn with_its_terminal_closed() {
    let mut moments = Moments::new(7);
    for workload in workloads() {
        let mut count = Count::of(format!("closed terminal [{workload}]"));
        for _ in 0..times(1, 50) {
            let sandbox = Sandbox::new();
            let terminal = openpty(None, None).expect("a terminal");
            let stream = || Stdio::from(terminal.slave.try_clone().expect("a descriptor"));
            let mut command = command(&sandbox, workload);
            command.stdin(stream()).stdout(stream()).stderr(stream());
            let running = sandbox.start_at(command, Some(0));
            drop(terminal.slave);
            std::thread::sleep(moments.up_to(a_run()));
            drop(terminal.master);
            let finished = running.finish();
            assert!(SIGNALLED.contains(&finished.code()), "{finished:?}");
            assert_whole(&sandbox, &finished);
            count.survived();
        }
    }
}

#[test]
fn with_nobody_reading_any_more() {
    let mut moments = Moments::new(8);
    let modes = if full() { &["serial", "threads", "pool", "process"][..] } else { &["pool,process"] };
    for mode in modes {
        for target in ["out.json", "-"] {
            let mut count = Count::of(format!("closed pipe (| head -1), --json {target} [{mode}]"));
            for _ in 0..times(1, 25) {
                let sandbox = Sandbox::new();
                sandbox.write("out.json", OLD);
                let words = ["-n", "50", "--rounds", "1", "-q", "-m", mode, "--json", target];
                let mut command = sandbox.command(words);
                let (mut reads, writes) = std::io::pipe().expect("a pipe");
                command.stdout(writes);
                let running = sandbox.start(command);
                if moments.below(2) == 0 {
                    std::thread::sleep(moments.up_to(Duration::from_millis(500)));
                } else {
                    // One byte, as somebody who has seen enough.
                    let _ = reads.read(&mut [0]);
                }
                drop(reads);
                let finished = running.finish().expect_code(0);
                assert!(!finished.stderr.contains("error:"), "{finished:?}");
                assert_whole(&sandbox, &finished);
                count.survived();
            }
        }
    }
}
