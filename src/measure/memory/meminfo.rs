//! What the whole machine uses more than before the round, with PSS to tell the processes' share from the kernel's.

use std::io;

use procfs::{Current, Meminfo};

use super::pss::{Pages, pss_bytes, sum_of_group};
use super::{MemoryReading, Method};

/// Samples the machine's use of memory.
pub(super) struct Sampler {
    before: u64,
    runner: Option<u64>,
    /// The most that the machine used, and the most that the processes had: at about the same time.
    used: Option<u64>,
    user: Option<u64>,
    samples: u64,
}

impl Sampler {
    pub(super) fn open() -> io::Result<Self> {
        let before = used_bytes().ok_or_else(|| io::Error::other("/proc/meminfo cannot be read"))?;
        Ok(Self { before, runner: None, used: None, user: None, samples: 0 })
    }

    pub(super) fn begin(&mut self, pid: i32) {
        self.runner = pss_bytes(pid, Pages::WithoutFiles);
        // The runner is there already; what it had then is counted apart.
        if let Some(used) = used_bytes() {
            self.before = used.saturating_sub(self.runner.unwrap_or(0));
        }
    }

    pub(super) fn sample(&mut self, pid: i32) {
        self.samples += 1;
        self.used = self.used.max(used_bytes());
        self.user = self.user.max(sum_of_group(pid, Pages::WithoutFiles));
    }

    pub(super) fn finish(self) -> MemoryReading {
        // Where the machine uses hardly more than before, or less than the processes had by themselves, others have given back
        // what the round took, and the difference says nothing of it.
        let peak = self.used.and_then(|used| used.checked_sub(self.before));
        let peak = peak.filter(|peak| *peak > self.user.unwrap_or(0));
        MemoryReading {
            method: Method::Meminfo,
            peak_bytes: peak,
            user_bytes: self.user,
            kernel_bytes: peak.zip(self.user).map(|(peak, user)| peak - user),
            page_cache_bytes: None,
            runner_bytes: self.runner,
            samples: self.samples,
        }
    }
}

/// Memory that is neither free nor could be given back at once: page cache apart, but shared memory counted.
fn used_bytes() -> Option<u64> {
    let info = Meminfo::current().ok()?;
    let cached =
        info.buffers + info.cached.saturating_sub(info.shmem.unwrap_or(0)) + info.s_reclaimable.unwrap_or(0);
    Some(info.mem_total.saturating_sub(info.mem_free).saturating_sub(cached))
}
