//! Summed PSS of the processes of a round: what is left where no cgroup can be made.

use procfs::process::Process;

use super::{MemoryReading, Method};
use crate::measure::kernel::processes_of_group;

/// Processes looked at in one sample: with thousands of them, the ones looked at speak for the others.
const LOOKED_AT: usize = 64;

#[derive(Default)]
pub(super) struct Sampler {
    runner: Option<u64>,
    highest: Option<u64>,
    samples: u64,
}

impl Sampler {
    pub(super) fn begin(&mut self, pid: i32) {
        // With whoever stands over it.
        self.runner = sum_of_group(pid, Pages::All);
    }

    pub(super) fn sample(&mut self, leader: i32) {
        if let Some(sum) = sum_of_group(leader, Pages::All) {
            self.samples += 1;
            self.highest = self.highest.max(Some(sum));
        }
    }

    pub(super) fn finish(self) -> MemoryReading {
        MemoryReading {
            method: Method::Pss,
            peak_bytes: self.highest,
            user_bytes: self.highest,
            kernel_bytes: None,
            page_cache_bytes: None,
            runner_bytes: self.runner,
            samples: self.samples,
        }
    }
}

/// Which pages are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pages {
    /// All that a process has mapped and touched.
    All,
    /// Without those of files, which are page cache (as far as the kernel tells them apart: since 5.4).
    WithoutFiles,
}

/// PSS of all processes of the group that `leader` leads, in bytes.
///
/// `None` if the leader is gone, or if the group was not the same before and after it was read: a page that one process
/// had to itself when it was read, and many share when they are, would be counted several times.
pub(super) fn sum_of_group(leader: i32, pages: Pages) -> Option<u64> {
    let group = processes_of_group(leader);
    let others: Vec<i32> = group.iter().copied().filter(|pid| *pid != leader).collect();
    let runner = pss_bytes(leader, pages)?;
    let stride = others.len().div_ceil(LOOKED_AT).max(1);
    let seen: Vec<u64> = others.iter().step_by(stride).filter_map(|pid| pss_bytes(*pid, pages)).collect();
    let of_others = match seen.len() as u64 {
        0 => 0,
        looked_at => seen.iter().sum::<u64>() * others.len() as u64 / looked_at,
    };
    (processes_of_group(leader) == group).then_some(runner + of_others)
}

/// PSS of a process; `None` if it is gone or belongs to somebody else.
pub(super) fn pss_bytes(pid: i32, pages: Pages) -> Option<u64> {
    let rollup = Process::new(pid).ok()?.smaps_rollup().ok()?;
    let fields = &rollup.memory_map_rollup.0.first()?.extension.map;
    let files = match pages {
        Pages::All => 0,
        Pages::WithoutFiles => fields.get("Pss_File").copied().unwrap_or(0),
    };
    Some(fields.get("Pss")?.saturating_sub(files))
}
