//! Ending descendants that nobody waits for: what a program has started and left running.
//!
//! A process whose parent has ended is given to the nearest ancestor that is a subreaper. So a subreaper that kills its
//! children, reaps them, and does so again until it has none, has ended everything below it, whatever process groups and
//! sessions there were.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use procfs::process::Stat;

use super::fork::Pid;
use super::wait::wait_until;

/// Longer than the kernel takes to end whoever can be ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kills and reaps every descendant of the calling process, which must be a subreaper, apart from those below a child in
/// `spared`. Returns how many were still running.
pub fn end_strays(spared: &[Pid]) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    let mut ended = 0;
    loop {
        let strays: Vec<(Pid, bool)> =
            children().into_iter().filter(|(pid, _)| !spared.contains(pid)).collect();
        if strays.is_empty() || Instant::now() >= deadline {
            return ended;
        }
        for (pid, _) in &strays {
            // Nobody else reaps it, so its number is still its own.
            let _ = kill(nix::unistd::Pid::from_raw(*pid), Signal::SIGKILL);
        }
        for (pid, running) in strays {
            ended += u64::from(running);
            let _ = wait_until(pid, Some(deadline));
        }
    }
}

/// Kills each descendant of `root`, or child, that somebody has stopped between its creation and its `exec`. As after any
/// vfork, its parent sleeps in the kernel until then: it cannot look for it itself.
pub fn end_those_stopped_before_exec(root: Pid) {
    let all: HashMap<Pid, Stat> = stats().map(|stat| (stat.pid, stat)).collect();
    let parent_of = |stat: &Stat| all.get(&stat.ppid);
    let is_below_root = |stat: &Stat| {
        // What was read at different times need not have an end.
        std::iter::successors(Some(stat), |stat| parent_of(stat)).take(all.len()).any(|stat| stat.pid == root)
    };
    for stopped in all.values().filter(|stat| stat.state == 'T') {
        // One that has executed something has memory of its own, and a parent that goes on.
        let is_awaited =
            parent_of(stopped).is_some_and(|parent| parent.state == 'D' && parent.vsize == stopped.vsize);
        if is_awaited && is_below_root(stopped) {
            // Its parent, who alone could reap it, sleeps, so its number is still its own.
            let _ = kill(nix::unistd::Pid::from_raw(stopped.pid), Signal::SIGKILL);
        }
    }
}

/// Whether somebody has stopped `runner`, or, where it is `guarded`, the one that works below the guardian.
pub fn is_runner_stopped(runner: Pid, guarded: bool) -> bool {
    stats().any(|stat| stat.state == 'T' && (stat.pid == runner || (guarded && stat.ppid == runner)))
}

/// Everybody, as far as the kernel tells.
fn stats() -> impl Iterator<Item = Stat> {
    let processes = procfs::process::all_processes().into_iter().flatten().flatten();
    processes.filter_map(|process| process.stat().ok())
}

/// The children of the calling process, and whether each was still running: who has been killed is not, even if the
/// kernel has not got round to it.
pub fn children() -> Vec<(Pid, bool)> {
    let own = std::process::id() as Pid;
    let Ok(processes) = procfs::process::all_processes() else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|process| Some((process.stat().ok()?, process)))
        .filter(|(stat, _)| stat.ppid == own)
        .map(|(stat, process)| (stat.pid, stat.state != 'Z' && !has_been_killed(&process)))
        .collect()
}

/// A SIGKILL for a whole process stays pending until the process is gone.
fn has_been_killed(process: &procfs::process::Process) -> bool {
    const KILLED: u64 = 1 << (Signal::SIGKILL as u64 - 1);
    process.status().is_ok_and(|status| status.shdpnd & KILLED != 0)
}
