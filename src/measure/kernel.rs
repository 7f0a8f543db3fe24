//! What the kernel counts.

use std::collections::BTreeMap;
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
    counted_by_vmstat("oom_kill ")
}

/// Pages that were written to swap on the whole machine since it was started. `None` where the kernel does not tell.
pub fn pages_swapped_out() -> Option<u64> {
    counted_by_vmstat("pswpout ")
}

fn counted_by_vmstat(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Whether the kernel keeps account of what processes read from storage (`CONFIG_TASK_IO_ACCOUNTING`); if not, it says 0.
pub fn counts_storage_reads() -> bool {
    fs::exists("/proc/self/io").unwrap_or(false)
}

/// A process of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its process id.
    pub pid: i32,
    /// How far below the leader it stands, which itself is 0. Whoever is of its group but has lost his parents is 1.
    pub generation: u32,
}

/// Living processes of the round of the runner `leader`, by their numbers: its group, and whoever descends from one of that. A command has a
/// group of its own.
pub fn processes_of_round(leader: i32) -> Vec<Member> {
    let living = living();
    let is_leader = |stat: &&Stat| stat.pid == leader;
    let mut found: BTreeMap<i32, u32> = living.iter().filter(is_leader).map(|stat| (stat.pid, 0)).collect();
    find_descendants(&living, &mut found);
    let of_group = living.iter().filter(|stat| stat.pgrp == leader);
    for stat in of_group {
        found.entry(stat.pid).or_insert(1);
    }
    find_descendants(&living, &mut found);
    found.into_iter().map(|(pid, generation)| Member { pid, generation }).collect()
}

/// Adds to `found` whoever of `living` descends from one of them.
fn find_descendants(living: &[Stat], found: &mut BTreeMap<i32, u32>) {
    // Numbers are given out in turn, so most are found the first time; where they began anew, not all.
    loop {
        let before = found.len();
        for stat in living {
            if let Some(generation) = found.get(&stat.ppid).copied() {
                found.entry(stat.pid).or_insert(generation + 1);
            }
        }
        if found.len() == before {
            return;
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
