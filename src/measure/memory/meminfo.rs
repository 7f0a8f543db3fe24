//! What the whole machine uses more than before the round, with PSS to tell the processes' share from the kernel's.

use std::io;

use procfs::{Current, Meminfo};

use super::pss::{Sum, look_at, speak_for};
use super::{MemoryReading, Missing, PeakFrom, SEEN};

/// Samples the machine's use of memory.
pub(super) struct Sampler {
    before: u64,
    runner: Option<u64>,
    /// The most that the machine used.
    used: Option<u64>,
    /// What it used, and what the processes had of that, in the highest sample in which both could be told.
    parts: Option<(u64, Sum)>,
    /// The most processes that were alive at once in a sample.
    others: u64,
    samples: u64,
}

impl Sampler {
    pub(super) fn open() -> io::Result<Self> {
        let before = used_bytes().ok_or_else(|| io::Error::other("/proc/meminfo cannot be read"))?;
        Ok(Self { before, runner: None, used: None, parts: None, others: 0, samples: 0 })
    }

    pub(super) fn begin(&mut self, pid: i32) {
        // What was seen before was its start.
        (self.used, self.parts, self.others, self.samples) = (None, None, 0, 0);
        self.runner = look_at(pid).sum.map(|sum| sum.bytes);
        // The runner is there already; what it had then is counted apart.
        if let Some(used) = used_bytes() {
            self.before = used.saturating_sub(self.runner.unwrap_or(0));
        }
    }

    pub(super) fn sample(&mut self, pid: i32) {
        let Some(used) = used_bytes() else { return };
        self.samples += 1;
        self.used = self.used.max(Some(used));
        let look = look_at(pid);
        self.others = self.others.max(look.others);
        if self.parts.is_none_or(|(highest, _)| used > highest)
            && let Some(sum) = look.sum
        {
            self.parts = Some((used, sum));
        }
    }

    pub(super) fn finish(self, peak_alive: u64) -> MemoryReading {
        let more = |used: u64| used.checked_sub(self.before).filter(|more| *more > 0);
        let parts = self.parts.filter(|(_, sum)| sum.speaks_for(peak_alive));
        let of_processes = parts.map(|(_, sum)| sum.bytes);
        // Where the machine uses hardly more than before, or less than the processes had by themselves, others have given back
        // what the round took, and the difference says nothing of it.
        let least = of_processes.max(self.runner).unwrap_or(0);
        let peak = match self.used {
            None => Err(Missing::NoAccount),
            Some(_) if !speak_for(self.others, peak_alive) => Err(Missing::CameAndWent),
            Some(used) => more(used).filter(|peak| *peak > least).ok_or(Missing::OthersGaveBack),
        };
        let kernel = peak.and_then(|peak| {
            let (used, sum) = parts.ok_or(Missing::CameAndWent)?;
            let seen = more(used).filter(|seen| *seen as f64 >= SEEN * peak as f64);
            let seen = seen.ok_or(Missing::BetweenLooks)?;
            seen.checked_sub(sum.bytes).ok_or(Missing::OthersGaveBack)
        });
        let (peak, peak_missing) = (peak.ok(), peak.err());
        MemoryReading {
            peak_bytes: peak,
            user_bytes: peak.zip(kernel.ok()).map(|(peak, kernel)| peak - kernel).or(of_processes),
            kernel_bytes: kernel.ok(),
            page_cache_bytes: None,
            page_cache_missing: Some(Missing::OfAllAlone),
            runner_bytes: self.runner,
            peak_from: peak.map(|_| PeakFrom::Samples),
            kernel_from: None,
            samples: Some(self.samples),
            processes_read: parts.map(|(_, sum)| sum.read),
            peak_missing,
            kernel_missing: kernel.err(),
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
