//! Summed PSS of the processes of a round, the programs of its tasks among them: what is left where no cgroup can be made.

use std::collections::{BTreeMap, HashMap, VecDeque};

use procfs::process::Process;

use super::{MemoryReading, Missing, PeakFrom, SEEN};
use crate::measure::kernel::processes_of_round;

/// Processes looked at in one sample: with thousands of them, the ones looked at speak for the others.
const LOOKED_AT: usize = 64;

/// What one look at a round found.
pub(super) struct Look {
    /// Processes that lived, beside the runner.
    pub(super) others: u64,
    /// What all of them had. Not known if the runner or one of them was gone, belongs to somebody else, or if they were not the same
    /// before and after they were read: a page that one process had to itself when it was read, and many share when they are, would
    /// be counted several times.
    pub(super) sum: Option<Sum>,
    /// Whether it is not known since somebody began to share what others share while they were read.
    pub(super) still_sharing: bool,
}

/// What processes had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    /// Without pages of files, which are page cache, as far as the kernel tells them apart (since 5.4).
    pub(super) bytes: u64,
    /// Processes beside the runner.
    pub(super) others: u64,
    /// How many of them were read; they speak for all.
    pub(super) read: u64,
}

/// Whether a look that found `bytes` found nearly as much as the one that found the most.
fn is_near(bytes: u64, most: u64) -> bool {
    bytes as f64 >= SEEN * most as f64
}

/// Whether to have seen `seen` alive is to have seen a round of which `peak_alive` were alive at once.
pub(super) fn speak_for(seen: u64, peak_alive: u64) -> bool {
    seen as f64 >= SEEN * peak_alive as f64
}

/// Looks that are kept of those that found as many processes: the latest of them.
const LOOKS_KEPT: usize = 999;

/// Of looks that found as many processes: the highest sum, and what those found that came near it.
#[derive(Default)]
struct Looks {
    highest: Option<Sum>,
    near: VecDeque<Found>,
}

/// What one look found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    /// What the processes had.
    pub(super) user: u64,
    /// What the kernel held meanwhile, where somebody asked.
    pub(super) kernel: Option<Held>,
}

/// What the kernel held while processes were looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Held {
    /// In the middle of the look.
    pub(super) bytes: u64,
    /// By how much that changed during it: looking at many takes milliseconds.
    pub(super) drift: u64,
}

impl Looks {
    fn note(&mut self, sum: Sum, kernel: Option<Held>) {
        let highest = self.highest.get_or_insert(sum);
        if sum.bytes > highest.bytes {
            *highest = sum;
            self.near.retain(|found| is_near(found.user, sum.bytes));
        }
        if is_near(sum.bytes, highest.bytes) {
            self.near.push_back(Found { user: sum.bytes, kernel });
        }
        if self.near.len() > LOOKS_KEPT {
            self.near.pop_front();
        }
    }
}

#[derive(Default)]
pub(super) struct Sampler {
    runner: Option<u64>,
    /// By how many processes they found beside the runner. Which of them speak for the peak is known only when it is known how many were
    /// alive then: some that have just begun to share may seem to have more than all of them later.
    looks: BTreeMap<u64, Looks>,
    samples: u64,
    /// The most processes that a look found which were only beginning to share.
    still_sharing: Option<u64>,
}

impl Sampler {
    pub(super) fn begin(&mut self, pid: i32) {
        // With whoever stands over it. What was seen before was its start.
        *self = Self { runner: look_at(pid).sum.map(|sum| sum.bytes), ..Self::default() };
    }

    pub(super) fn sample(&mut self, leader: i32) {
        self.note(&look_at(leader), None);
    }

    pub(super) fn note(&mut self, look: &Look, kernel: Option<Held>) {
        if look.still_sharing {
            self.still_sharing = self.still_sharing.max(Some(look.others));
        }
        if let Some(sum) = look.sum {
            self.samples += 1;
            self.looks.entry(sum.others).or_default().note(sum, kernel);
        }
    }

    /// Of the looks that speak for a peak of `peak_alive` processes: the highest sum, and what those found that came near it.
    pub(super) fn highest(&self, peak_alive: u64) -> Option<(Sum, Vec<Found>)> {
        let speaking = || self.looks.iter().filter(|(others, _)| speak_for(**others, peak_alive));
        let highest = speaking().filter_map(|(_, looks)| looks.highest).max_by_key(|sum| sum.bytes)?;
        let found = speaking().flat_map(|(_, looks)| &looks.near).copied();
        Some((highest, found.filter(|found| is_near(found.user, highest.bytes)).collect()))
    }

    pub(super) fn finish(self, peak_alive: u64) -> MemoryReading {
        let (highest, near) = self.highest(peak_alive).unzip();
        let bytes = highest.map(|highest| highest.bytes);
        let missing = match self.still_sharing {
            Some(others) if speak_for(others, peak_alive) => Missing::StillSharing,
            _ if peak_alive > 0 => Missing::CameAndWent,
            _ => Missing::BetweenLooks,
        };
        MemoryReading {
            peak_bytes: bytes,
            user_bytes: bytes,
            kernel_bytes: None,
            // Files that are mapped would be known; those that are read and written are not.
            page_cache_bytes: None,
            page_cache_missing: Some(Missing::OfAllAlone),
            runner_bytes: self.runner,
            peak_from: bytes.map(|_| PeakFrom::Samples),
            kernel_from: None,
            samples: Some(self.samples),
            processes_read: highest.map(|highest| highest.read),
            samples_near_peak: near.map(|near| near.len() as u64),
            kernel_uncertain_bytes: None,
            peak_missing: bytes.is_none().then_some(missing),
            kernel_missing: Some(Missing::NotInPss),
        }
    }
}

/// Looks at the processes of the round of the runner `leader`.
pub(super) fn look_at(leader: i32) -> Look {
    let all = processes_of_round(leader);
    let others: Vec<i32> = all.iter().copied().filter(|pid| *pid != leader).collect();
    let found = sum_of(leader, &others).filter(|_| processes_of_round(leader) == all);
    let sum = found.filter(|(_, is_settled)| *is_settled).map(|(sum, _)| sum);
    Look { others: others.len() as u64, sum, still_sharing: found.is_some() && sum.is_none() }
}

/// What all have, and whether whoever was read first still shares with no more than then: if not, what it had to itself a moment ago
/// is counted again with those who were read later.
fn sum_of(leader: i32, others: &[i32]) -> Option<(Sum, bool)> {
    const NO_MATTER: u64 = 64 << 10;
    let Pss { own: runner, .. } = pss_of(leader)?;
    let stride = others.len().div_ceil(LOOKED_AT).max(1);
    // One that cannot be read does not count as nothing: there is no sum then.
    let read: Vec<Pss> = others.iter().step_by(stride).map(|pid| pss_of(*pid)).collect::<Option<_>>()?;
    let again = others.first().map(|first| pss_of(*first));
    let is_settled = match read.first().zip(again) {
        None => true,
        Some((first, again)) => {
            again?.shared.saturating_add(NO_MATTER.max(first.shared / 50)) >= first.shared
        }
    };
    let (others, looked_at) = (others.len() as u64, read.len() as u64);
    let sum: u64 = read.iter().map(|pss| pss.own).sum();
    let of_others = (sum * others).checked_div(looked_at).unwrap_or(0);
    Some((Sum { bytes: runner + of_others, others, read: looked_at }, is_settled))
}

/// What a process has, in bytes.
#[derive(Debug, Clone, Copy)]
struct Pss {
    /// PSS without pages of files, where the kernel tells those (since 5.4).
    own: u64,
    /// The part of that which is memory to be shared, such as a memfd; nothing where the kernel does not tell.
    shared: u64,
}

/// What the process `pid` has that it shares with nobody.
pub(in crate::measure) fn private_bytes_of(pid: i32) -> Option<u64> {
    let fields = rollup_of(pid)?;
    Some(fields.get("Private_Clean")? + fields.get("Private_Dirty")?)
}

/// The sums over the mappings of the process `pid`, in bytes, by name.
fn rollup_of(pid: i32) -> Option<HashMap<String, u64>> {
    let rollup = Process::new(pid).ok()?.smaps_rollup().ok()?;
    Some(rollup.memory_map_rollup.0.into_iter().next()?.extension.map)
}

/// PSS of a process; `None` if it is gone or belongs to somebody else.
fn pss_of(pid: i32) -> Option<Pss> {
    let fields = rollup_of(pid)?;
    let field = |name| fields.get(name).copied();
    Some(Pss {
        own: field("Pss")?.saturating_sub(field("Pss_File").unwrap_or(0)),
        shared: field("Pss_Shmem").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_that_seem_to_have_more_than_all_do_not_speak_for_them() {
        let look = |bytes, others| {
            let sum = Some(Sum { bytes, others, read: others });
            Look { others, sum, still_sharing: false }
        };
        let mut sampler = Sampler::default();
        for look in [look(900, 3), look(580, 19), look(200, 20), look(535, 20), look(600, 20), look(550, 20)]
        {
            sampler.note(&look, None);
        }
        let reading = sampler.finish(20);
        assert_eq!(
            (reading.peak_bytes, reading.processes_read, reading.samples),
            (Some(600), Some(20), Some(6))
        );
        assert_eq!(reading.samples_near_peak, Some(3), "of nineteen and of twenty");
    }

    #[test]
    fn of_memory_that_grows_until_the_end_few_looks_speak() {
        let mut sampler = Sampler::default();
        for bytes in (1_000..=2_000).step_by(90) {
            let sum = Some(Sum { bytes, others: 2, read: 2 });
            sampler.note(&Look { others: 2, sum, still_sharing: false }, None);
        }
        let reading = sampler.finish(2);
        assert_eq!((reading.peak_bytes, reading.samples_near_peak), (Some(1_990), Some(3)));
        let mut looks = Looks::default();
        for bytes in (0..2 * LOOKS_KEPT as u64).map(|look| 1_000 + look % 7) {
            looks.note(Sum { bytes, others: 2, read: 2 }, None);
        }
        assert_eq!((looks.near.len(), looks.highest.map(|sum| sum.bytes)), (LOOKS_KEPT, Some(1_006)));
    }
}
