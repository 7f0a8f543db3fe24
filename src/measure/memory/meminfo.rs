//! What the whole machine uses more than before the round, with PSS to tell the processes' share from the kernel's.
//!
//! What others take or give back meanwhile is in the difference too. By how much that is likely to be is seen before the round, while
//! nothing of it runs; what is not clearly more than that is not told.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use procfs::{Current, Meminfo};

use super::pss::{Sum, look_at, speak_for};
use super::{MemoryReading, Missing, PeakFrom, SEEN};

/// Looks at what others do before a round: how many, and how far apart. Where they did nothing, 20 looks in 60 ms differed by up to
/// 12 KiB, rarely by 56.
const LOOKS: u32 = 20;
const APART: Duration = Duration::from_millis(3);

/// How long all of these take where the machine has settled already.
pub(super) const LOOKS_BEFORE: Duration = APART.saturating_mul(LOOKS);

/// Two looks that differ by no more than this are of a machine that has settled; after so many others there is no more waiting.
const SETTLED_BYTES: u64 = 64 << 10;
const MOST_LOOKS_TO_SETTLE: u32 = 50;

/// What the kernel keeps for a while of each process that has been alive: its stack, its tables, its task structure.
const KEPT_FOR_EACH: u64 = 256 << 10;

/// What the kernel may need for each process that is alive, at the most (forked ones that compute were seen to take 70 KiB, programs some
/// 500), apart from its tables.
const MOST_FOR_EACH: u64 = 2 << 20;
/// And at the least, for each that is alive: a stack of 16 KiB, and tables of pages.
const LEAST_FOR_EACH: u64 = 24 << 10;

/// By how much the machine's use may change, for each process that is alive, while they are looked at one by one: if it is more, what was
/// used and what they had are of two moments, and the difference is not the kernel's.
const MOST_MEANWHILE_FOR_EACH: u64 = 4 << 10;

/// Which part of what all processes have the tables of each of them may come to, at the most: eight bytes for every 4 KiB, twice.
const MOST_FOR_TABLES: u64 = 256;
/// Which part of it may be in tables that are mostly empty, for all together.
const MOST_FOR_SPARSE_TABLES: u64 = 8;

/// The largest part of a figure that may be others': of a peak, and of the kernel's share, which is the smaller one.
const MOST_OF_OTHERS: f64 = 0.25;
const MOST_OF_OTHERS_IN_KERNEL: f64 = 0.5;

/// By how much the kernel's own counters may be off for a moment, which it keeps for each processor and adds up now and then, in bytes: on a
/// machine that does nothing else, rounds that had ended just before were seen to leave some hundred KiB. Less is no sign of others.
const COUNTERS_OFF_BY: f64 = (1 << 20) as f64;

/// Samples the machine's use of memory.
pub(super) struct Sampler {
    before: u64,
    /// How far apart looks were before the round.
    noise: u64,
    began: Instant,
    runner: Option<u64>,
    /// The most that the machine used.
    used: Option<u64>,
    /// The highest sample in which both could be told.
    highest: Option<Parts>,
    /// The samples in which the processes had the most, by how many they were: some that have only begun to share may seem to have more
    /// than all of them later.
    fullest: BTreeMap<u64, Parts>,
    /// The same of those in which the machine used nearly as much after the look as before it: these alone tell the kernel's share.
    steady: BTreeMap<u64, Parts>,
    /// The most processes that were alive at once in a sample.
    others: u64,
    samples: u64,
}

/// What the machine used, and what the processes had of that.
#[derive(Clone, Copy)]
struct Parts {
    used: u64,
    sum: Sum,
    /// Whether both are of one moment, as far as can be told.
    is_steady: bool,
}

impl Sampler {
    /// One that has not looked yet.
    pub(super) fn open() -> io::Result<Self> {
        let before = used_bytes().ok_or_else(unreadable)?;
        let (noise, began, runner) = (0, Instant::now(), None);
        let (used, highest, fullest, steady) = (None, None, BTreeMap::new(), BTreeMap::new());
        Ok(Self { before, noise, began, runner, used, highest, fullest, steady, others: 0, samples: 0 })
    }

    /// Looks at what the machine uses before the runner is started, and by how much that changes. What the runner makes for its tasks before
    /// the clock starts, such as input that all share, is the round's.
    pub(super) fn look_before(&mut self) -> io::Result<()> {
        let look = || used_bytes().ok_or_else(unreadable);
        // What processes of the round before had is taken back a little later, which is not others' doing.
        self.before = settled()?;
        let (mut least, mut most) = (self.before, self.before);
        for _ in 1..LOOKS {
            thread::sleep(APART);
            self.before = look()?;
            (least, most) = (least.min(self.before), most.max(self.before));
        }
        (self.noise, self.began) = (most - least, Instant::now());
        Ok(())
    }

    pub(super) fn begin(&mut self, pid: i32) {
        // What was seen before was its start.
        (self.used, self.highest, self.others, self.samples) = (None, None, 0, 0);
        self.fullest.clear();
        self.steady.clear();
        self.runner = look_at(pid).sum.map(|sum| sum.bytes);
    }

    pub(super) fn sample(&mut self, pid: i32) {
        let Some(used) = used_bytes() else { return };
        self.samples += 1;
        self.used = self.used.max(Some(used));
        let look = look_at(pid);
        self.others = self.others.max(look.others);
        let Some(sum) = look.sum else { return };
        // To look at many processes takes milliseconds, in which others may be started, or get what they will have.
        let most = SETTLED_BYTES.max(look.others * MOST_MEANWHILE_FOR_EACH);
        let is_steady = used_bytes().is_some_and(|after| after.abs_diff(used) <= most);
        let parts = Parts { used, sum, is_steady };
        if self.highest.is_none_or(|highest| used > highest.used) {
            self.highest = Some(parts);
        }
        let noted = [Some(&mut self.fullest), Some(&mut self.steady).filter(|_| is_steady)];
        for samples in noted.into_iter().flatten() {
            let fullest = samples.entry(look.others).or_insert(parts);
            if sum.bytes > fullest.sum.bytes {
                *fullest = parts;
            }
        }
    }

    /// By how much what others use may have changed since the round began: what comes and goes at random strays by the root of the
    /// time. And by how much it has, for now that all of the round are gone the machine should use what it did before, apart from what the
    /// kernel keeps for the next processes.
    fn of_others(&self, peak_alive: u64) -> f64 {
        let times = self.began.elapsed().as_secs_f64() / (APART * LOOKS).as_secs_f64();
        let by_chance = self.noise as f64 * times.max(1.0).sqrt();
        let kept = KEPT_FOR_EACH * (peak_alive + 1);
        let left = settled().map_or(0, |after| after.abs_diff(self.before).saturating_sub(kept));
        by_chance.max(left as f64)
    }

    pub(super) fn finish(self, peak_alive: u64) -> MemoryReading {
        let of_others = self.of_others(peak_alive);
        let is_clear =
            |figure: u64, most: f64| of_others <= most * figure as f64 || of_others <= COUNTERS_OFF_BY;
        let more = |used: u64| used.checked_sub(self.before).filter(|more| *more > 0);
        // A moment of growth may look higher than the one when all was there: what has just been freed counts as used while it
        // lies in the lists of a processor. So the fullest sample speaks for the peak, if it saw as much of it as one must.
        let is_seen = |parts: &Parts| {
            let of_peak = self.used.and_then(more).zip(more(parts.used));
            of_peak.is_some_and(|(peak, seen)| seen as f64 >= SEEN * peak as f64)
        };
        let of_peak = |parts: &Parts| parts.sum.speaks_for(peak_alive);
        let fullest_of = |samples: &BTreeMap<u64, Parts>| {
            samples.values().copied().filter(of_peak).max_by_key(|parts| parts.sum.bytes)
        };
        let fullest = fullest_of(&self.fullest);
        let steady = fullest_of(&self.steady).filter(is_seen);
        let parts = steady.or(fullest.filter(is_seen)).or(self.highest.filter(of_peak)).or(fullest);
        let of_processes = parts.map(|parts| parts.sum.bytes);
        // Where the machine uses hardly more than before, or less than the processes had by themselves, others have given back
        // what the round took, and the difference says nothing of it.
        let least = of_processes.max(self.runner).unwrap_or(0);
        let peak = match self.used {
            None => Err(Missing::NoAccount),
            Some(_) if !speak_for(self.others, peak_alive) => Err(Missing::CameAndWent),
            Some(used) => match more(used).filter(|peak| *peak > least) {
                Some(peak) if is_clear(peak, MOST_OF_OTHERS) => Ok(peak),
                Some(_) => Err(Missing::OthersVary),
                None => Err(Missing::OthersGaveBack),
            },
        };
        let kernel = peak.and_then(|_| {
            let parts = parts.ok_or(Missing::CameAndWent)?;
            if !parts.is_steady {
                return Err(Missing::ChangedMeanwhile);
            }
            let seen = more(parts.used).filter(|_| is_seen(&parts)).ok_or(Missing::BetweenLooks)?;
            let kernel = seen.checked_sub(parts.sum.bytes).ok_or(Missing::OthersGaveBack)?;
            if kernel < parts.sum.others * LEAST_FOR_EACH {
                return Err(Missing::LessThanNeeded);
            }
            if is_clear(kernel, MOST_OF_OTHERS_IN_KERNEL) { Ok(kernel) } else { Err(Missing::OthersVary) }
        });
        // More than the kernel can need for so few has been taken by others, and is in the peak as well.
        let had = of_processes.unwrap_or(0);
        let most_in_kernel =
            (peak_alive + 1) * (MOST_FOR_EACH + had / MOST_FOR_TABLES) + had / MOST_FOR_SPARSE_TABLES;
        let (peak, kernel) = match kernel {
            Ok(kernel) if kernel > most_in_kernel => (Err(Missing::OthersVary), Err(Missing::OthersVary)),
            kernel => (peak, kernel),
        };
        let (peak, peak_missing) = (peak.ok(), peak.err());
        MemoryReading {
            peak_bytes: peak,
            user_bytes: of_processes,
            kernel_bytes: kernel.ok(),
            page_cache_bytes: None,
            page_cache_missing: Some(Missing::OfAllAlone),
            runner_bytes: self.runner,
            peak_from: peak.map(|_| PeakFrom::Samples),
            kernel_from: None,
            samples: Some(self.samples),
            processes_read: parts.map(|parts| parts.sum.read),
            peak_missing,
            kernel_missing: kernel.err(),
        }
    }
}

fn unreadable() -> io::Error {
    io::Error::other("/proc/meminfo cannot be read")
}

/// What the machine uses once two looks, a little apart, find the same; or after some looks that did not.
fn settled() -> io::Result<u64> {
    let mut before = used_bytes().ok_or_else(unreadable)?;
    for _ in 0..MOST_LOOKS_TO_SETTLE {
        thread::sleep(APART);
        let now = used_bytes().ok_or_else(unreadable)?;
        let settled = now.abs_diff(before) <= SETTLED_BYTES;
        before = now;
        if settled {
            break;
        }
    }
    Ok(before)
}

/// Memory that is neither free nor could be given back at once: page cache apart, but shared memory counted.
fn used_bytes() -> Option<u64> {
    let info = Meminfo::current().ok()?;
    let cached =
        info.buffers + info.cached.saturating_sub(info.shmem.unwrap_or(0)) + info.s_reclaimable.unwrap_or(0);
    let free = info.mem_free + freed_bytes().unwrap_or(0);
    Some(info.mem_total.saturating_sub(free).saturating_sub(cached))
}

/// Pages that have been freed and lie in the lists of the processors. `MemFree` leaves them out, and they may be hundreds of
/// mebibytes after many processes have ended: what the next round takes would come from there, unseen.
fn freed_bytes() -> Option<u64> {
    let pages = pages_in_lists(&std::fs::read_to_string("/proc/zoneinfo").ok()?);
    Some(pages * procfs::page_size())
}

/// The sum of `count:` over the lists (`pagesets`) in the text of `/proc/zoneinfo`.
fn pages_in_lists(zoneinfo: &str) -> u64 {
    let counts = zoneinfo.lines().filter_map(|line| line.trim_start().strip_prefix("count:"));
    counts.filter_map(|count| count.trim().parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::pages_in_lists;

    #[test]
    fn pages_that_lie_in_the_lists_of_all_processors_of_all_zones_are_counted() {
        let zoneinfo = "Node 0, zone    DMA32\n  pages free     4\n        nr_free_pages 4\n  pagesets\n    cpu: 0\n              count:    58\n              high:     2210\n    cpu: 1\n              count:    5\n  node_unreclaimable:  0\nNode 0, zone   Normal\n  pagesets\n    cpu: 0\n              count: 6947\n";
        assert_eq!(pages_in_lists(zoneinfo), 58 + 5 + 6947);
        assert_eq!(pages_in_lists(""), 0);
    }
}
