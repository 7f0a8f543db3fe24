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
    /// Of what the kernel holds for all of them: their tables of pages, and the stacks of their threads.
    pub(super) tables_and_stacks: u64,
    /// Threads of all of them.
    pub(super) threads: u64,
}

/// Whether to have seen `seen` alive is to have seen a round of which `peak_alive` were alive at once.
pub(super) fn speak_for(seen: u64, peak_alive: u64) -> bool {
    seen as f64 >= SEEN * peak_alive as f64
}

/// So many looks in a row that found as much are of something that was there for a while.
const LASTING: u64 = 3;
/// Looks that differ by no more than this part found as much.
const AS_MUCH: f64 = 0.02;
/// Looks of a row that are kept: the latest of them.
const LOOKS_KEPT: usize = 999;

/// Looks in a row that found as many processes, and as much.
#[derive(Debug, Clone)]
pub(super) struct Row {
    first: Sum,
    /// The one that found the most.
    pub(super) highest: Sum,
    /// How many there are.
    pub(super) looks: u64,
    /// What the kernel held for its own structures meanwhile, where somebody asked.
    pub(super) structures: VecDeque<Held>,
}

/// What the kernel held while processes were looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Held {
    /// In the middle of the look.
    pub(super) bytes: u64,
    /// By how much that changed during it: looking at many takes milliseconds.
    pub(super) drift: u64,
}

impl Row {
    fn begin(sum: Sum) -> Self {
        Self { first: sum, highest: sum, looks: 0, structures: VecDeque::new() }
    }

    fn takes(&self, sum: &Sum) -> bool {
        self.first.others == sum.others
            && sum.bytes.abs_diff(self.first.bytes) as f64 <= AS_MUCH * self.first.bytes as f64
    }

    fn note(&mut self, sum: Sum, held: Option<Held>) {
        self.looks += 1;
        if sum.bytes > self.highest.bytes {
            self.highest = sum;
        }
        self.structures.extend(held);
        if self.structures.len() > LOOKS_KEPT {
            self.structures.pop_front();
        }
    }

    fn is_lasting(&self) -> bool {
        self.looks >= LASTING
    }

    /// Whether it says more than `other` of what there was: what lasted comes before what was seen once, since a page that one
    /// process had to itself when it was read, and many share by the time they are, is counted several times.
    fn is_above(&self, other: &Self) -> bool {
        let rank = |row: &Self| (row.is_lasting(), row.highest.bytes, row.looks);
        rank(self) > rank(other)
    }
}

#[derive(Default)]
pub(super) struct Sampler {
    runner: Option<u64>,
    /// Of rows that have ended those that say the most, by how many processes they found beside the runner. Which of them speak for the
    /// peak is known only when it is known how many were alive then: some that have just begun to share may seem to have more than
    /// all of them later.
    rows: BTreeMap<u64, Row>,
    /// The row that the last look is in.
    current: Option<Row>,
    /// The highest sum of any look, by the same.
    most: BTreeMap<u64, u64>,
    samples: u64,
    /// The most processes that a look found which were only beginning to share.
    still_sharing: Option<u64>,
}

impl Sampler {
    pub(super) fn begin(&mut self, pid: i32) {
        self.begin_with(&look_at(pid));
    }

    pub(super) fn begin_with(&mut self, look: &Look) {
        // With whoever stands over it. What was seen before was its start.
        *self = Self { runner: look.sum.map(|sum| sum.bytes), ..Self::default() };
    }

    pub(super) fn sample(&mut self, leader: i32) {
        self.note(&look_at(leader), None);
    }

    pub(super) fn note(&mut self, look: &Look, structures: Option<Held>) {
        if look.still_sharing {
            self.still_sharing = self.still_sharing.max(Some(look.others));
        }
        let Some(sum) = look.sum else {
            // What was there meanwhile is not known.
            if let Some(ended) = self.current.take() {
                self.keep(ended);
            }
            return;
        };
        self.samples += 1;
        let most = self.most.entry(sum.others).or_default();
        *most = sum.bytes.max(*most);
        match &mut self.current {
            Some(row) if row.takes(&sum) => row.note(sum, structures),
            current => {
                let mut row = Row::begin(sum);
                row.note(sum, structures);
                if let Some(ended) = current.replace(row) {
                    self.keep(ended);
                }
            }
        }
    }

    /// Keeps a row that has ended, if it says more than others that found as many processes.
    fn keep(&mut self, row: Row) {
        match self.rows.get_mut(&row.first.others) {
            Some(best) if !row.is_above(best) => {}
            Some(best) => *best = row,
            None => drop(self.rows.insert(row.first.others, row)),
        }
    }

    /// Of the looks that speak for a peak of `peak_alive` processes: the row that says the most, and whether others found noticeably more.
    pub(super) fn highest(&self, peak_alive: u64) -> Option<(&Row, bool)> {
        let rows = self.rows.values().chain(&self.current);
        let speaking = rows.filter(|row| speak_for(row.first.others, peak_alive));
        let row = speaking.reduce(|best, row| if row.is_above(best) { row } else { best })?;
        let most = self.most.iter().filter(|(others, _)| speak_for(**others, peak_alive));
        let most = most.map(|(_, most)| *most).max().unwrap_or(0);
        Some((row, most as f64 > (1.0 + AS_MUCH) * row.highest.bytes as f64))
    }

    pub(super) fn finish(self, peak_alive: u64) -> MemoryReading {
        let found = self.highest(peak_alive);
        let highest = found.map(|(row, _)| row.highest);
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
            samples_near_peak: found.map(|(row, _)| row.looks),
            is_least: found.is_some_and(|(row, has_more)| has_more || !row.is_lasting()),
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

/// What the kernel holds for the stack of a thread, on the processors that this runs on.
const STACK: u64 = 16 << 10;

/// The tables of pages of the process `pid`, and how many threads it has.
pub(in crate::measure) fn tables_and_threads(pid: i32) -> Option<(u64, u64)> {
    let status = Process::new(pid).ok()?.status().ok()?;
    Some((status.vmpte? << 10, status.threads))
}

/// What the kernel holds for a process with so much in `tables` of pages and so many `threads`, apart from its structures.
pub(in crate::measure) const fn held_for(tables: u64, threads: u64) -> u64 {
    tables + threads * STACK
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
    let (tables, threads) = tables_and_threads(leader)?;
    let of_kernel: Vec<(u64, u64)> =
        others.iter().step_by(stride).map(|pid| tables_and_threads(*pid)).collect::<Option<_>>()?;
    let (others, looked_at) = (others.len() as u64, read.len() as u64);
    // Those that were read speak for all.
    let of_all = |sum: u64| (sum * others).checked_div(looked_at).unwrap_or(0);
    let tables = tables + of_all(of_kernel.iter().map(|(tables, _)| tables).sum());
    let threads = threads + of_all(of_kernel.iter().map(|(_, threads)| threads).sum());
    let bytes = runner + of_all(read.iter().map(|pss| pss.own).sum());
    let sum = Sum { bytes, others, read: looked_at, tables_and_stacks: held_for(tables, threads), threads };
    Some((sum, is_settled))
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

    fn look(bytes: u64, others: u64) -> Look {
        let sum = Sum { bytes, others, read: others, tables_and_stacks: 0, threads: others + 1 };
        Look { others, sum: Some(sum), still_sharing: false }
    }

    fn reading(looks: &[(u64, u64)], peak_alive: u64) -> MemoryReading {
        let mut sampler = Sampler::default();
        looks.iter().for_each(|(bytes, others)| sampler.note(&look(*bytes, *others), None));
        sampler.finish(peak_alive)
    }

    #[test]
    fn a_few_that_seem_to_have_more_than_all_do_not_speak_for_them() {
        let reading =
            reading(&[(900, 3), (580, 19), (200, 20), (600, 20), (595, 20), (601, 20), (200, 20)], 20);
        assert_eq!(
            (reading.peak_bytes, reading.processes_read, reading.samples),
            (Some(601), Some(20), Some(7))
        );
        assert_eq!((reading.samples_near_peak, reading.is_least), (Some(3), false));
    }

    #[test]
    fn what_lasted_is_told_and_what_was_seen_once_is_a_sign_of_more() {
        let mut looks = vec![(1_000, 2); 10];
        looks.insert(4, (1_200, 2));
        let lasting = reading(&looks, 2);
        assert_eq!((lasting.peak_bytes, lasting.is_least), (Some(1_000), true));
        // Whatever follows.
        let followed = [&looks[..], &[(1_200, 2), (1_000, 2)]].concat();
        assert_eq!(reading(&followed, 2).samples_near_peak, Some(6));
        looks.insert(4, (1_010, 2));
        let higher = [looks, vec![(1_100, 2); 3]].concat();
        assert_eq!(reading(&higher, 2).peak_bytes, Some(1_100));
    }

    #[test]
    fn of_memory_that_grows_or_comes_and_goes_only_the_least_is_told() {
        let growing: Vec<(u64, u64)> = (1_000..=2_000).step_by(25).map(|bytes| (bytes, 2)).collect();
        let growing = reading(&growing, 2);
        assert_eq!((growing.peak_bytes, growing.is_least), (Some(2_000), true));
        let saw: Vec<(u64, u64)> = (0..60).map(|at| (500 + at % 5 * 100, 2)).collect();
        let saw = reading(&saw, 2);
        assert_eq!((saw.peak_bytes, saw.samples_near_peak, saw.is_least), (Some(900), Some(1), true));
    }

    #[test]
    fn of_a_row_as_much_is_kept_as_needed() {
        let mut sampler = Sampler::default();
        let held = Held { bytes: 1, drift: 0 };
        (0..2 * LOOKS_KEPT).for_each(|_| sampler.note(&look(1_000, 2), Some(held)));
        let (row, has_more) = sampler.highest(2).expect("a row");
        assert_eq!((row.looks, row.structures.len(), has_more), (2 * LOOKS_KEPT as u64, LOOKS_KEPT, false));
    }
}
