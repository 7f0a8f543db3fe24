//! Every way in which a run can be ended before its end, at random moments: no process is left, no cgroup, no temporary file, and
//! what was to be exported is the old file or a complete new one.
//!
//! That nothing is left is seen to by the sandbox at the end of each run.

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Once, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use common::faults::{Count, Moments, full, send, times};
use common::{Finished, Sandbox, bit_of, has_python, parse, skip, terminal};
use nix::sys::signal::Signal;
use procbench::experiment::signals::AGAIN;
use procfs::process::Process;

const OLD: &str = "the export of another day";

/// What is run. In the default counts all modes together, so that a moment is in any of them.
fn workloads() -> Vec<&'static str> {
    if full() {
        let mut all = vec![
            "-n 40 --io-wait 5ms --rounds 3 -m serial",
            "-n 200 --cpu 200us --rounds 3 -m threads:workers=2",
            "-n 400 --cpu 100us --arg-size 1KiB --rounds 3 -m pool:workers=2",
            "-n 400 --cpu 100us --rounds 3 -m pool:workers=2:start=exec",
            "-n 400 --cpu 100us --arg-size 1KiB --rounds 3 -m pool:workers=2:transport=pipe",
            "-n 200 --io-wait 5ms --rounds 3 -m process",
            "-n 60 --workload file --rounds 3 -m process:start=exec",
            "-n 40 --rounds 3 -m pool:workers=2,process -- sleep 0.01",
            "-n 300 --rounds 3 -m serial,threads,pool:workers=2,process --worker cat",
            "-n 100 --io echo --io-wait 5ms --rounds 3 -m serial,pool,process",
            "-n 60 --io fsync --io-folder . --rounds 3 -m serial,threads,pool:workers=2,process",
            "-n 40 --io-wait 5ms --rounds 3 --engine python -m serial,threads,pool:workers=2,process",
            "-n 40 --rounds 3 --engine xargs -m process -- sleep 0.01",
            "-n 40 --rounds 3 -m serial,threads:workers=2 -- sleep 0.01",
            "--call time:sleep --args-from lines --rounds 3 -m serial,threads,pool:workers=2,process",
        ];
        let python = has_python("runs of Python's that are ended");
        all.retain(|workload| python || !(workload.contains("python") || workload.contains("--call")));
        all
    } else {
        vec![
            "-n 60 --workload file --cpu 1ms --rounds 2 -m serial,threads,pool,pool:transport=pipe,process",
            "-n 30 --rounds 2 -m pool:workers=2,process -- sleep 0.01",
            "-n 30 --rounds 2 -m threads,pool:workers=2,process --worker cat",
        ]
    }
}

/// `workload` with an export; what follows `--` stays last.
fn command(sandbox: &Sandbox, workload: &str) -> Command {
    sandbox.write("out.json", OLD);
    sandbox.write("lines", "0.01\n".repeat(20));
    sandbox.command(["--json", "out.json", "-q"].into_iter().chain(workload.split(' ')))
}

/// The export is the old one or a complete new one, and partial if it says so by its exit code. Who is told `twice` ends at once, also
/// where all was done and written.
#[track_caller]
fn assert_whole(sandbox: &Sandbox, finished: &Finished, twice: bool) {
    let text = fs::read_to_string(sandbox.path("out.json")).expect("the old export, at least");
    if text != OLD {
        let document = parse(&text);
        let is_interrupted = finished.code() == Some(130);
        assert!(document.partial == is_interrupted || twice && is_interrupted, "{finished:?}");
    }
}

/// Whether procbench can make cgroups here, as it says itself.
fn makes_cgroups() -> bool {
    static MAKES: OnceLock<bool> = OnceLock::new();
    *MAKES.get_or_init(|| {
        let sandbox = Sandbox::new();
        let finished = sandbox.run("-n 1 --rounds 1 -m serial --memory-method cgroup".split(' '));
        assert!([Some(0), Some(3)].contains(&finished.code()), "{finished:?}");
        finished.code() == Some(0)
    })
}

/// How long `workload` takes if nobody ends it: moments are drawn from this.
fn length_of(workload: &str) -> Duration {
    let sandbox = Sandbox::new();
    let started = Instant::now();
    sandbox.run_command(command(&sandbox, workload)).expect_code(0);
    let length = started.elapsed();
    // Where it makes cgroups, none is to be left by one that is ended.
    static TOLD: Once = Once::new();
    if !makes_cgroups() {
        TOLD.call_once(|| skip("no_cgroup_is_left", "no cgroup that accounts for memory can be made here"));
    }
    if makes_cgroups() {
        let document = parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
        let mut rows = document.strategies.iter().filter_map(|row| row.memory.as_ref());
        assert!(rows.all(|memory| !memory.method.is_sampled()), "{workload}: no cgroup was made");
    }
    length
}

/// Tries until as many as `wanted` have struck, as `attempt` says of each: what came after the end does not count. Survivors cost what
/// `lost` says.
fn until_struck(mut count: Count, wanted: u32, lost: &str, mut attempt: impl FnMut() -> bool) {
    let (mut struck, mut late) = (0, 0);
    while struck < wanted {
        if attempt() {
            count.survived();
            struck += 1;
        } else {
            late += 1;
            assert!(late < 1000, "nothing was ever in time");
        }
    }
    drop(count.lost(format!("{lost}; {late} more came too late")));
}

/// Ends each of the [`workloads`] by `end`, at random moments, as often as was asked for. What had ended before does not count.
fn try_all(
    fault: &str,
    seed: u64,
    end: impl Fn(&mut Moments, &Sandbox, Command, Duration) -> (bool, Finished),
) {
    let mut moments = Moments::new(seed);
    for workload in workloads() {
        let count = Count::of(format!("{fault} [{workload}]"));
        let length = length_of(workload);
        until_struck(count, times(1, 50), "what was not finished", || {
            let sandbox = Sandbox::new();
            let command = command(&sandbox, workload);
            let moment = moments.within(length);
            let (hit, finished) = end(&mut moments, &sandbox, command, moment);
            assert_whole(&sandbox, &finished, fault.contains("twice"));
            assert!(hit || finished.code() == Some(0), "{finished:?}");
            hit
        });
    }
}

/// Ends runs by `end`, which is done to them at the moment, and says whether there was anybody to do it to.
fn end_all(
    fault: &str,
    seed: u64,
    codes: &[Option<i32>],
    end: impl Fn(&mut common::Running<'_>, &mut Moments) -> bool,
) {
    try_all(fault, seed, |moments, sandbox, command, moment| {
        let mut running = sandbox.start(command);
        std::thread::sleep(moment);
        let in_time = !running.has_ended();
        let listened = hears_signals(running.pid());
        let in_time = end(&mut running, moments) && in_time;
        let finished = running.finish();
        assert!(codes.contains(&finished.code()), "{finished:?}");
        assert!(
            !listened || *codes != SIGNALLED || finished.code().is_some(),
            "ended by a signal that it heard: {finished:?}"
        );
        // Of several strategies the others go on.
        let is_told = finished.stderr.contains("error:") || finished.stderr.contains("was given up");
        // Ended before there was a plan to be partial, as while Python is asked what it is.
        let is_told = is_told && !finished.stderr.contains("error: interrupted");
        assert_eq!(is_told, finished.code() == Some(1), "{finished:?}");
        (in_time, finished)
    });
}

/// Whether a program listens for all of the signals that tell it to end.
fn hears_signals(pid: i32) -> bool {
    let bits = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].map(bit_of);
    let status = Process::new(pid).and_then(|process| process.status());
    status.is_ok_and(|status| bits.into_iter().all(|bit| status.sigcgt & bit != 0))
}

/// It may end at this very moment; and signalled before it listens, it is ended by the signal itself, as any program.
const SIGNALLED: [Option<i32>; 3] = [Some(130), Some(0), None];

fn signalled(signal: Signal, seed: u64) {
    end_all(&format!("{signal} to procbench"), seed, &SIGNALLED, |running, _| send(running.pid(), signal));
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
    end_all("SIGINT to procbench twice", 4, &SIGNALLED, |running, moments| {
        send(running.pid(), Signal::SIGINT);
        // Sooner, it is taken for the same wish in two signals, as one in four is here.
        std::thread::sleep(second_wish(moments));
        // The sandbox grants some time to what is ended without having been seen off.
        running.signal_if_there(Signal::SIGINT);
        running.signal_if_there(Signal::SIGINT);
        true
    });
}

#[test]
fn killed() {
    end_all("SIGKILL to procbench", 5, &[None, Some(0)], |running, _| send(running.pid(), Signal::SIGKILL));
}

#[test]
fn with_its_runner_killed() {
    end_all("SIGKILL to the runner, or to the guardian above it", 6, &[Some(1), Some(0)], kill_runner);
}

/// How long after the first signal the second comes.
fn second_wish(moments: &mut Moments) -> Duration {
    match moments.below(4) {
        0 => moments.up_to(AGAIN),
        _ => AGAIN + moments.up_to(AGAIN),
    }
}

/// Kills the runner that there is or is next. Where a guardian stands above it, one of both. False if the run has ended before.
fn kill_runner(running: &mut common::Running<'_>, moments: &mut Moments) -> bool {
    let above = moments.below(2) == 0;
    while !running.has_ended() {
        let guarded = if above { None } else { running.guarded_runner() };
        if guarded.or_else(|| running.runner()).is_some_and(|runner| send(runner, Signal::SIGKILL)) {
            return true;
        }
    }
    false
}

/// Ends runs at a terminal of their own, by what `end` does to it.
fn end_all_at_terminals(
    fault: &str,
    seed: u64,
    end: impl Fn(OwnedFd, &mut Moments, &common::Running<'_>) -> Option<File>,
) {
    try_all(fault, seed, |moments, sandbox, mut command, moment| {
        let terminal = terminal();
        let stream = || Stdio::from(terminal.slave.try_clone().expect("a descriptor"));
        command.stdin(stream()).stdout(stream()).stderr(stream());
        let mut running = sandbox.start_at(command, Some(0));
        // Those that the command holds, too.
        drop(terminal.slave);
        std::thread::sleep(moment);
        let in_time = !running.has_ended();
        let listened = hears_signals(running.pid());
        let open = end(terminal.master, moments, &running);
        // Somebody has to read what is written, or it waits for that.
        let reader = open.map(|mut master| {
            thread::spawn(move || {
                let mut written = Vec::new();
                // A terminal that nobody has open any more is an error.
                let _ = master.read_to_end(&mut written);
                String::from_utf8_lossy(&written).into_owned()
            })
        });
        let finished = running.finish();
        let written = reader.and_then(|reader| reader.join().ok());
        assert!(SIGNALLED.contains(&finished.code()), "{finished:?}: {written:?}");
        assert!(!listened || finished.code().is_some(), "ended by a signal that it heard: {finished:?}");
        (in_time, finished)
    });
}

#[test]
fn with_its_terminal_closed() {
    end_all_at_terminals("closed terminal", 7, |master, _, _| {
        drop(master);
        None
    });
}

/// As a terminal does it: to all processes in front of it at once.
fn typed(fault: &str, seed: u64, times: u32) {
    end_all_at_terminals(fault, seed, |master, moments, running| {
        let mut master = File::from(master);
        for time in 0..times {
            if time > 0 {
                thread::sleep(second_wish(moments));
            }
            // Whoever has ended meanwhile has taken its side of the terminal along.
            let written = master.write_all(b"\x03");
            assert!(written.is_ok() || time > 0, "{written:?}");
            running.was_told_to_end();
        }
        Some(master)
    });
}

#[test]
fn interrupted_at_its_terminal() {
    typed("Ctrl-C at the terminal", 9, 1);
}

#[test]
fn interrupted_twice_at_its_terminal() {
    typed("Ctrl-C at the terminal, twice", 10, 2);
}

#[test]
fn with_nobody_reading_any_more() {
    let mut moments = Moments::new(8);
    let modes = if full() { &["serial", "threads", "pool", "process"][..] } else { &["pool,process"] };
    for mode in modes {
        for target in ["out.json", "-"] {
            let count = Count::of(format!("closed pipe (| head -1), --json {target} [{mode}]"));
            until_struck(count, times(1, 25), "nothing", || {
                let sandbox = Sandbox::new();
                sandbox.write("out.json", OLD);
                let words = ["-n", "50", "--rounds", "1", "-q", "-m", mode, "--json", target];
                let mut command = sandbox.command(words);
                let (mut reads, writes) = std::io::pipe().expect("a pipe");
                command.stdout(writes);
                let mut running = sandbox.start(command);
                if moments.below(2) == 0 {
                    std::thread::sleep(moments.up_to(Duration::from_millis(500)));
                } else {
                    // One byte, as somebody who has seen enough.
                    let _ = reads.read(&mut [0]);
                }
                let in_time = !running.has_ended();
                drop(reads);
                let finished = running.finish().expect_code(0);
                assert!(!finished.stderr.contains("error:"), "{finished:?}");
                assert_whole(&sandbox, &finished, false);
                in_time
            });
        }
    }
}

/// Those that are made of several runs.
const STUDIES: [&str; 4] = [
    "sweep --vary tasks=8,16 --io-wait 2ms --rounds 3 -m serial,pool:workers=2,process",
    "crossover --between serial,process --over io-wait=0..4ms -n 20 --rounds 6 --time-limit 4s",
    "advise -n 40 --io-wait 2ms --time-limit 60s --rounds 3",
    "claims ordered fifo --quick --engine native",
];

/// How a study is ended, and how it may end then.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Signal(Signal),
    /// Once more, a little later.
    Twice(Signal),
    RunnerKilled,
    TerminalClosed,
    PipeClosed,
}

const ENDS: [End; 8] = [
    End::Signal(Signal::SIGINT),
    End::Signal(Signal::SIGTERM),
    End::Signal(Signal::SIGHUP),
    End::Signal(Signal::SIGKILL),
    End::Twice(Signal::SIGINT),
    End::RunnerKilled,
    End::TerminalClosed,
    End::PipeClosed,
];

impl End {
    fn codes(self) -> &'static [Option<i32>] {
        match self {
            Self::RunnerKilled => &[Some(1), Some(0)],
            Self::PipeClosed => &[Some(0)],
            Self::Signal(_) | Self::Twice(_) | Self::TerminalClosed => &SIGNALLED,
        }
    }

    /// Starts `command`, ends it so after `moment`, and waits until it has ended. Says whether that befell it before its end.
    fn befalls(
        self,
        sandbox: &Sandbox,
        mut command: Command,
        moments: &mut Moments,
        moment: Duration,
    ) -> (bool, Finished) {
        let terminal = matches!(self, Self::TerminalClosed).then(terminal);
        let pipe = matches!(self, Self::PipeClosed).then(|| std::io::pipe().expect("a pipe"));
        let mut running = match (&terminal, &pipe) {
            (Some(terminal), _) => {
                let stream = || Stdio::from(terminal.slave.try_clone().expect("a descriptor"));
                command.stdin(stream()).stdout(stream()).stderr(stream());
                sandbox.start_at(command, Some(0))
            }
            (None, Some((_, writes))) => {
                command.stdout(writes.try_clone().expect("a descriptor"));
                sandbox.start(command)
            }
            (None, None) => sandbox.start(command),
        };
        thread::sleep(moment);
        let mut in_time = !running.has_ended();
        let listened = hears_signals(running.pid()) && self != Self::Signal(Signal::SIGKILL);
        match self {
            Self::Signal(signal) => running.signal_if_there(signal),
            Self::Twice(signal) => {
                running.signal_if_there(signal);
                thread::sleep(second_wish(moments));
                running.signal_if_there(signal);
            }
            // Between two runs of a study there is none for a while.
            Self::RunnerKilled => in_time = kill_runner(&mut running, moments),
            Self::TerminalClosed => drop(terminal),
            Self::PipeClosed => drop(pipe),
        }
        let finished = running.finish();
        assert!(!listened || finished.code().is_some(), "ended by a signal that it heard: {finished:?}");
        (in_time, finished)
    }
}

/// What was exported of a study is of the whole of it if it ended by itself, and says so if it did not.
#[track_caller]
fn assert_whole_study(sandbox: &Sandbox, finished: &Finished, twice: bool) {
    let text = fs::read_to_string(sandbox.path("out.json")).expect("the old export, at least");
    if text == OLD {
        return;
    }
    let export: serde_json::Value = serde_json::from_str(&text).expect("a complete export");
    let partial = export["partial"].as_bool().expect("whether it is partial");
    match finished.code() {
        Some(0) => assert!(!partial, "{finished:?}"),
        Some(130) => assert!(partial || twice, "{finished:?}"),
        // A sweep keeps what it has after each cell.
        _ => {}
    }
    sandbox.run(["report", "out.json"]).expect_code(0);
}

#[test]
fn studies_ended_in_between() {
    let mut moments = Moments::new(11);
    for (place, study) in STUDIES.into_iter().enumerate() {
        let arguments: Vec<&str> = study.split(' ').chain(["-q", "--json", "out.json"]).collect();
        let length = {
            let (sandbox, started) = (Sandbox::new(), Instant::now());
            sandbox.run(&arguments).expect_code(0);
            started.elapsed()
        };
        // Each study by each end takes its time: where few tries have to do, each end befalls one or two of them.
        let ends = ENDS.into_iter().enumerate().filter(|(number, _)| full() || number % 3 == place % 3);
        for (_, end) in ends {
            let count = Count::of(format!("{end:?} [{study}]"));
            until_struck(count, times(1, 20), "what was not finished", || {
                let sandbox = Sandbox::new();
                sandbox.write("out.json", OLD);
                let command = sandbox.command(&arguments);
                let moment = moments.within(length);
                let (in_time, finished) = end.befalls(&sandbox, command, &mut moments, moment);
                assert!(end.codes().contains(&finished.code()), "{finished:?}");
                assert_whole_study(&sandbox, &finished, matches!(end, End::Twice(_)));
                in_time
            });
        }
    }
}
