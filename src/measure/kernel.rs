//! What the kernel counts.

use std::collections::BTreeSet;
use std::fs;

use procfs::process::Stat;

/// Processes and threads created on this machine since it was started: the `processes` line of /proc/stat. `None` where nobody counts:
/// gVisor, for one, says 0.
pub fn forks_since_boot() -> Option<u64> {
    // By hand: the crate that parses the rest of the file wants every line of it to be there.
    let text = fs::read_to_string("/proc/stat").ok()?;
    let count = text.lines().find_map(|line| line.strip_prefix("processes ")?.trim().parse().ok());
    count.filter(|count| *count > 0)
}

/// Processes that the kernel has killed for want of memory since the machine was started, its own or a cgroup's. `None` where it does not
/// tell, as before Linux 4.13.
pub fn killed_for_want_of_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Living processes of the round of the runner `leader`: its group, and whoever descends from one of that. A command has a group of
/// its own.
pub fn processes_of_round(leader: i32) -> Vec<i32> {
    let living = living();
    let of_group = living.iter().filter(|stat| stat.pgrp == leader);
    let mut found: BTreeSet<i32> = of_group.map(|stat| stat.pid).collect();
    // Numbers are given out in turn, so most are found the first time; where they began anew, not all.
    loop {
        let before = found.len();
        for stat in &living {
            if found.contains(&stat.ppid) {
                found.insert(stat.pid);
            }
        }
        if found.len() == before {
            return found.into_iter().collect();
        }
    }
}

/// Living processes of the group that `leader` leads, as far as /proc shows them.
pub fn processes_of_group(leader: i32) -> Vec<i32> {
    living().into_iter().filter(|stat| stat.pgrp == leader).map(|stat| stat.pid).collect()
}

/// All that live, as far as /proc shows them.
fn living() -> Vec<Stat> {
    let Ok(processes) = procfs::process::all_processes() else { return Vec::new() };
    processes.flatten().filter_map(|process| process.stat().ok()).filter(|stat| stat.state != 'Z').collect()
}
