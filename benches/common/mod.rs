//! Single rounds of the procbench binary, spoken to directly, for whoever compares them with something else.

// Tests and benches each use what they need of this.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use procbench::engine::protocol::{GO, Message, Request, RoundReport, VERSION};
use procbench::engine::{Engine, Strategy, native};
use procbench::mode::{Mode, Settings};
use procbench::sys::wait::{CpuTime, Exit, Which, wait};
use procbench::workload::spec::Ready;
use procbench::workload::{Io, Kind, OnFailure, Spread, WorkloadSpec};

/// What is done around a round, by whoever looks at it from outside.
pub trait Observer {
    /// Before the runner starts.
    fn admit(&self, _runner: &mut Command) {}
    /// Just before the clock starts.
    fn before(&mut self) {}
    /// Just after it has stopped.
    fn after(&mut self) {}
}

/// Nobody looks.
impl Observer for () {}

/// One round of `mode`, as the controller would run it.
pub fn round(mode: Mode, settings: Settings, workload: WorkloadSpec, latency: bool) -> RoundReport {
    observed(mode, settings, workload, latency, &mut ()).0
}

/// As [`round`], observed; with the CPU time of the runner's whole life.
pub fn observed(
    mode: Mode,
    settings: Settings,
    workload: WorkloadSpec,
    latency: bool,
    observer: &mut dyn Observer,
) -> (RoundReport, CpuTime) {
    let command = Command::new(env!("CARGO_BIN_EXE_procbench"));
    observed_by(command, mode, settings, workload, latency, observer)
}

/// A round by whatever `command` makes of its last words, which are a runner's.
pub fn round_by(command: Command, mode: Mode, settings: Settings, workload: WorkloadSpec) -> RoundReport {
    observed_by(command, mode, settings, workload, true, &mut ()).0
}

#[allow(clippy::zombie_processes, reason = "reaped below, with what it used")]
fn observed_by(
    mut command: Command,
    mode: Mode,
    settings: Settings,
    workload: WorkloadSpec,
    latency: bool,
    observer: &mut dyn Observer,
) -> (RoundReport, CpuTime) {
    let strategy = Strategy { name: mode.name().into(), engine: Engine::Native, mode, settings };
    let controller = std::process::id() as i32;
    let on_failure = OnFailure::Continue;
    let request =
        Request { protocol: VERSION, controller, workload, strategy, latency, on_failure, verify: false };
    command.arg(native::RUNNER).stdin(Stdio::piped()).stdout(Stdio::piped());
    // What Cargo sets for its own sake: folders in which every exec of a program would look for its libraries first.
    command.env_remove("LD_LIBRARY_PATH");
    observer.admit(&mut command);
    let mut runner = command.spawn().expect("the runner starts");
    let mut to_runner = runner.stdin.take().expect("a pipe");
    serde_json::to_writer(&mut to_runner, &request).expect("a request");
    to_runner.write_all(b"\n").expect("a request");
    let mut report = None;
    for line in BufReader::new(runner.stdout.take().expect("a pipe")).lines() {
        match serde_json::from_str(&line.expect("a line")).expect("a message") {
            Message::Ready => {
                observer.before();
                to_runner.write_all(GO).expect("the runner listens");
            }
            Message::Progress { .. } => {}
            Message::Over => {
                observer.after();
                to_runner.write_all(GO).expect("the runner listens");
            }
            Message::Report(of_round) => report = Some(*of_round),
            other => panic!("{other:?}"),
        }
    }
    let reaped = wait(Which::Only(runner.id() as i32)).expect("a child").expect("the runner");
    assert_eq!(reaped.exit, Exit::Code(0));
    (report.expect("a report"), reaped.usage)
}

/// Tasks that do nothing.
pub fn nothing(tasks: u64) -> WorkloadSpec {
    WorkloadSpec {
        kind: Kind::Synthetic,
        tasks,
        arg_size_bytes: 0,
        result_size_bytes: 0,
        cpu_seconds: 0.0,
        io_wait_seconds: 0.0,
        io: Io::Sleep,
        io_size_bytes: 0,
        io_folder: PathBuf::new(),
        spread: Spread::Constant,
        trace: None,
        shared_bytes: 0,
        memory_bytes: 0,
        parent_memory_bytes: 0,
        init_seconds: 0.0,
        expression_args: 0,
        full_fork: false,
        seed: 1,
        units_per_second: 0.0,
        folder: PathBuf::new(),
        timeout_seconds: None,
        program: None,
        ready: Ready::default(),
    }
}
