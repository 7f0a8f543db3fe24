//! What the tests of commands and of workers share.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use procbench::document::{Document, Round};

use super::{Finished, Sandbox, kill, parse, row};

/// Every mode, with settings under which the number of processes is known.
pub const MODES: [&str; 4] = ["serial", "threads:workers=2", "pool:workers=2", "process:in-flight=3"];

/// Runs `arguments` with a file for the export, and returns that too, whatever the exit code.
#[track_caller]
pub fn run(sandbox: &Sandbox, arguments: &[&str]) -> (Document, Finished) {
    let mut all = vec!["--json", "out.json", "-q"];
    all.extend(arguments);
    let finished = sandbox.run(&all);
    let export = fs::read_to_string(sandbox.path("out.json")).unwrap_or_else(|_| panic!("{finished:?}"));
    (parse(&export), finished)
}

/// The last timed round of the only row, or of the row `name`.
#[track_caller]
pub fn last<'a>(document: &'a Document, name: &str) -> &'a Round {
    row(document, name).rounds.last().expect("a timed round")
}

/// The reasons why tasks failed, each with its task.
pub fn reasons(round: &Round) -> Vec<(u64, &str)> {
    round.report.failures.iter().map(|failure| (failure.task, failure.reason.as_str())).collect()
}

/// An argument of `sleep` that nobody else uses, and that lasts for an hour: by it a process is found in any session.
pub fn hour() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("3600.{}{:03}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Living processes with `argument` among their own.
pub fn alive_with(argument: &str) -> Vec<i32> {
    let all = procfs::process::all_processes().expect("/proc").flatten();
    all.filter(|process| process.stat().is_ok_and(|stat| stat.state != 'Z'))
        .filter(|process| process.cmdline().is_ok_and(|words| words.iter().any(|word| word == argument)))
        .map(|process| process.pid)
        .collect()
}

/// Everything with `argument` is gone, soon after procbench was killed or at once.
#[track_caller]
pub fn assert_gone(argument: &str, within: Duration) {
    let deadline = Instant::now() + within;
    loop {
        let left = alive_with(argument);
        if left.is_empty() {
            return;
        }
        if Instant::now() >= deadline {
            left.iter().for_each(|pid| kill(*pid));
            panic!("processes {left:?} are left");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
