//! Ending descendants that nobody waits for: what a program has started and left running.
//!
//! A process whose parent has ended is given to the nearest ancestor that is a subreaper. So a subreaper that kills its
//! children, reaps them, and does so again until it has none, has ended everything below it, whatever process groups and
//! sessions there were.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use procfs::process::Stat;

use super::fork::Pid;
use super::wait::{Which, has_ended, try_wait};

/// Longer than the kernel takes to end whoever can be ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kills and reaps every descendant of the calling process, which must be a subreaper, apart from those below a child in
/// `spared`. Returns how many were still running.
///
/// Who starts another and ends before it is killed has got away for once, and that other is a child now. So nothing slow stands between
/// seeing a child and killing it: whoever does nothing else than that is met sooner or later, since it takes longer.
pub fn end_strays(spared: &[Pid]) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    // Somebody else may have killed those that are there already, which takes a longer look.
    let mut strays: Vec<(Pid, bool)> = children();
    let (mut ended, mut killed) = (0, HashSet::new());
    loop {
        strays.retain(|(pid, _)| !spared.contains(pid));
        if strays.is_empty() || Instant::now() >= deadline {
            return ended;
        }
        let before = ended;
        for (pid, running) in strays {
            if killed.insert(pid) {
                ended += u64::from(running && !has_ended(pid));
                // Nobody else reaps it, so its number is still its own.
                let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        killed.retain(|pid| !matches!(try_wait(Which::Only(*pid)), Ok(Some(_))));
        if ended == before {
            // Whoever is left has been killed, and has to be given the time to end.
            std::thread::sleep(Duration::from_micros(200));
        }
        strays = numbers_of_children().into_iter().map(|pid| (pid, true)).collect();
    }
}

/// Reaps every child that has ended by now, so that its CPU time counts as this process's. Does not wait for those that go on, nor for those
/// that they start: of such as do nothing but start another and end there is always one that has ended.
pub fn reap_ended() {
    for pid in numbers_of_children() {
        let _ = try_wait(Which::Only(pid));
    }
}

/// The children of the calling process, found as quickly as can be: from the kernel's own list of them, if it has one
/// (CONFIG_PROC_CHILDREN).
fn numbers_of_children() -> Vec<Pid> {
    let listed = children_of(std::process::id() as Pid);
    listed.unwrap_or_else(|| children().into_iter().map(|(pid, _)| pid).collect())
}

/// The children of `parent`, the oldest first as far as one thread has started them, from the kernel's own list; `None` if it has none
/// (CONFIG_PROC_CHILDREN), or there is no such process.
pub fn children_of(parent: Pid) -> Option<Vec<Pid>> {
    let mut numbers = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{parent}/task")).ok()? {
        let list = std::fs::read_to_string(thread.ok()?.path().join("children")).ok()?;
        numbers.extend(list.split_ascii_whitespace().filter_map(|number| number.parse::<Pid>().ok()));
    }
    Some(numbers)
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

/// Whether there is such a process, and it has not ended.
pub fn is_running(pid: Pid) -> bool {
    let stat = procfs::process::Process::new(pid).and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.state != 'Z')
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
