//! Instructions that a task costs besides its work, counted by valgrind: steadier than seconds, so a change in a hot loop
//! shows even where the clock is noisy.
//!
//! Each row runs the same round with few and with many tasks under `valgrind --tool=callgrind`, and divides what the
//! second executed more by how many tasks more it had: set-up, collecting and checking of a fixed size cancel out, what grows
//! with the tasks does not. Of a pool with one worker, the worker is looked at.
//!
//! `cargo bench --bench instructions`. Without valgrind it says so and counts nothing.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{nothing, round_by};
use procbench::mode::{Mode, Settings};

/// Tasks of the smaller round, and of the larger one.
const TASKS: [u64; 2] = [100_000, 1_100_000];

fn main() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("nothing is counted: there is no valgrind");
        return;
    }
    println!("instructions of user space that one more task that does nothing costs\n");
    println!("{:<44} {:>12}", "what", "instructions");
    let workers =
        |workers, chunk| Settings { workers: Some(workers), chunk: Some(chunk), ..Settings::default() };
    for (what, mode, settings) in [
        ("serial", Mode::Serial, Settings::default()),
        ("worker of a pool, chunk 1", Mode::Pool, workers(1, 1)),
        ("worker of a pool, chunk 1024", Mode::Pool, workers(1, 1024)),
    ] {
        let [few, many] = TASKS.map(|tasks| executed(mode, &settings, tasks));
        let of_a_task =
            |of: fn(&Counts) -> u64| (of(&many) as f64 - of(&few) as f64) / (TASKS[1] - TASKS[0]) as f64;
        let counted = if mode == Mode::Pool {
            of_a_task(|counts| counts.worker)
        } else {
            of_a_task(|counts| counts.runner)
        };
        // Less than a store would be a function that valgrind has not found.
        assert!(counted > 1.0, "{what}: {counted} instructions were counted");
        println!("{what:<44} {counted:>12.1}");
    }
}

/// Instructions of one round.
struct Counts {
    runner: u64,
    worker: u64,
}

fn executed(mode: Mode, settings: &Settings, tasks: u64) -> Counts {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]);
    if mode == Mode::Serial {
        // What is before and after, such as checking the results, is not in the clock either.
        command.arg("--toggle-collect=procbench::mode::serial::run*");
    }
    command.arg(format!("--callgrind-out-file={}/%p", folder.path().display()));
    command.arg(env!("CARGO_BIN_EXE_procbench"));
    round_by(command, mode, settings.clone(), nothing(tasks));
    let mut counts: Vec<(u64, u64)> = fs::read_dir(folder.path())
        .expect("what valgrind has written")
        .map(|entry| counted(&entry.expect("an entry").path()))
        .collect();
    // By process: the runner was there before its workers.
    counts.sort_unstable();
    Counts {
        runner: counts.first().map_or(0, |(_, count)| *count),
        worker: counts.iter().skip(1).map(|(_, count)| *count).max().unwrap_or(0),
    }
}

/// The process of a profile, and how many instructions it has executed.
fn counted(profile: &Path) -> (u64, u64) {
    let process = profile.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
    let text = fs::read_to_string(profile).expect("a profile");
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    (process.expect("a process"), total.unwrap_or(0))
}
