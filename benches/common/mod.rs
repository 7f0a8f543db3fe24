//! Single rounds of the procbench binary, for benches that compare them with something else.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use procbench::engine::protocol::{GO, Message, Request, RoundReport, VERSION};
use procbench::engine::{Engine, Strategy, native};
use procbench::mode::{Mode, Settings};
use procbench::workload::spec::Ready;
use procbench::workload::{Io, Kind, Spread, WorkloadSpec};

/// One round of `mode`, as the controller would run it.
pub fn round(mode: Mode, settings: Settings, workload: WorkloadSpec, latency: bool) -> RoundReport {
    let strategy = Strategy { name: mode.name().into(), engine: Engine::Native, mode, settings };
    let controller = std::process::id() as i32;
    let request = Request { protocol: VERSION, controller, workload, strategy, latency };
    let mut runner = Command::new(env!("CARGO_BIN_EXE_procbench"))
        .arg(native::RUNNER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the runner starts");
    let mut to_runner = runner.stdin.take().expect("a pipe");
    serde_json::to_writer(&mut to_runner, &request).expect("a request");
    to_runner.write_all(b"\n").expect("a request");
    let mut report = None;
    for line in BufReader::new(runner.stdout.take().expect("a pipe")).lines() {
        match serde_json::from_str(&line.expect("a line")).expect("a message") {
            Message::Ready => to_runner.write_all(GO).expect("the runner listens"),
            Message::Progress { .. } | Message::Over => {}
            Message::Report(of_round) => report = Some(*of_round),
            other => panic!("{other:?}"),
        }
    }
    runner.wait().expect("the runner ends");
    report.expect("a report")
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
        ready: Ready::default(),
    }
}
