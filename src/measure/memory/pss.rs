//! Summed PSS of the processes of a round, the programs of its tasks among them: what is left where no cgroup can be made.

use std::collections::{BTreeMap, HashMap, VecDeque};

use procfs::ProcError;
use procfs::process::Process;

use super::{LEAST_FOR_STRUCTURES, MemoryReading, Missing, PeakFrom, SEEN};
use crate::measure::kernel::{Member, processes_of_round};
use crate::seed::Rng;

/// Processes looked at in one sample where all do the same and have about as much: with thousands of them, the ones looked at speak
/// for the others.
const LOOKED_AT: usize = 64;
/// Those looked at speak for the others where their scatter leaves the sum uncertain by no more than this part: else all are looked at.
const UNCERTAIN: f64 = 0.01;

/// What one look at a round found.
pub(super) struct Look {
    /// Processes that count as alive: see [`Counted`].
    pub(super) counted: u64,
    /// What all of them had. Not known if the runner or one of them was gone, belongs to somebody else, or if they were not the same
    /// before and after they were read: a page that one process had to itself when it was read, and many share when they are, would
    /// be counted several times.
    pub(super) sum: Option<Sum>,
    /// Why it is not known, where that is not that somebody was gone.
    pub(super) unread: Option<Unread>,
}

/// Why there is no sum of processes that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// Somebody began to share what others share while they were read.
    StillSharing,
    /// One of them may not be looked at.
    NotAllowed,
}

/// What processes had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    /// Without pages of files, which are page cache, as far as the kernel tells them apart (since 5.4).
    pub(super) bytes: u64,
    /// Processes beside the runner.
    pub(super) others: u64,
    /// Those of them that count as alive: see [`Counted`].
    pub(super) counted: u64,
    /// How many of them were read; they speak for all.
    pub(super) read: u64,
    /// By how many bytes that is likely to put the sum off: see [`uncertainty`].
    pub(super) uncertain: u64,
    /// Of what the kernel holds for all of them: their tables of pages, and the stacks of their threads.
    pub(super) tables_and_stacks: u64,
    /// Threads of all of them.
    pub(super) threads: u64,
}

impl Sum {
    /// What they are weighed by against others: with what the kernel holds for them at the least, where that is part of the peak.
    fn weight(&self, with_kernel: bool) -> u64 {
        let kernel = self.tables_and_stacks + self.threads * LEAST_FOR_STRUCTURES;
        self.bytes + if with_kernel { kernel } else { 0 }
    }
}

/// Whether to have seen `seen` alive is to have seen a round of which `peak_alive` were alive at once.
pub fn speak_for(seen: u64, peak_alive: u64) -> bool {
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
    /// What that weighs.
    weight: u64,
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
    fn begin(sum: Sum, weight: u64) -> Self {
        Self { first: sum, highest: sum, weight, looks: 0, structures: VecDeque::new() }
    }

    fn takes(&self, sum: &Sum) -> bool {
        (self.first.others, self.first.counted) == (sum.others, sum.counted)
            && sum.bytes.abs_diff(self.first.bytes) as f64 <= AS_MUCH * self.first.bytes as f64
    }

    fn note(&mut self, sum: Sum, weight: u64, held: Option<Held>) {
        self.looks += 1;
        if weight > self.weight {
            (self.highest, self.weight) = (sum, weight);
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
        let rank = |row: &Self| (row.is_lasting(), row.weight, row.looks);
        rank(self) > rank(other)
    }
}

#[derive(Default)]
pub(super) struct Sampler {
    runner: Option<u64>,
    /// Of rows that have ended those that say the most, by how many processes they found beside the runner. Which of them speak for the
    /// peak is known only when it is known how many were alive then: in a single look some that have just begun to share may seem to have
    /// more than all of them later. Three in a row are taken for the truth.
    rows: BTreeMap<u64, Row>,
    /// The row that the last look is in.
    current: Option<Row>,
    /// The most that any look weighed, whoever it found.
    most: u64,
    samples: u64,
    /// The most processes that a look found which were only beginning to share.
    still_sharing: Option<u64>,
    /// The most that a look found of which one may not be looked at.
    not_allowed: Option<u64>,
    of: Of,
    /// Whether this kernel does not tell what a process has.
    unreadable: bool,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Of {
    /// Who they are.
    pub(super) who: Who,
    /// What the kernel holds for them besides.
    pub(super) kernel: bool,
}

/// Who is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Who {
    /// Whether all do the same, so that some speak for others.
    pub alike: bool,
    /// Which of them the engine counts as alive.
    pub counted: Counted,
}

/// Which processes of a round its engine counts as alive, by how far they stand below the leader of the round: neither the runner that a guardian stands
/// over is one, nor what programs start themselves. A look that has seen those alone has not seen the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The first generation.
    pub from: u32,
    /// The last one.
    pub to: u32,
}

impl Default for Counted {
    /// All but the leader.
    fn default() -> Self {
        Self { from: 1, to: u32::MAX }
    }
}

impl Sampler {
    /// One that has not looked yet; what it finds is weighed with what the kernel holds, if that is part of the peak.
    pub(super) fn new(kernel: bool) -> Self {
        let unreadable = rollup_of(std::process::id() as i32).is_err();
        Self { of: Of { kernel, ..Of::default() }, unreadable, ..Self::default() }
    }

    /// Looks at the processes of the round of the runner `leader`.
    pub(super) fn look_at(&self, leader: i32) -> Look {
        look_at(leader, self.of.who)
    }

    /// Looks at the runner alone, with whoever stands over it. What was seen before was its start.
    pub(super) fn begin(&mut self, pid: i32, who: Who) -> Look {
        let (of, unreadable) = (Of { who, ..self.of }, self.unreadable);
        let look = look_at(pid, who);
        *self = Self { runner: look.sum.map(|sum| sum.bytes), of, unreadable, ..Self::default() };
        look
    }

    pub(super) fn sample(&mut self, leader: i32) {
        self.note(&self.look_at(leader), None);
    }

    pub(super) fn note(&mut self, look: &Look, structures: Option<Held>) {
        match look.unread {
            Some(Unread::StillSharing) => self.still_sharing = self.still_sharing.max(Some(look.counted)),
            Some(Unread::NotAllowed) => self.not_allowed = self.not_allowed.max(Some(look.counted)),
            None => {}
        }
        let Some(sum) = look.sum else {
            // What was there meanwhile is not known.
            if let Some(ended) = self.current.take() {
                self.keep(ended);
            }
            return;
        };
        self.samples += 1;
        let weight = sum.weight(self.of.kernel);
        self.most = self.most.max(weight);
        match &mut self.current {
            Some(row) if row.takes(&sum) => row.note(sum, weight, structures),
            current => {
                let mut row = Row::begin(sum, weight);
                row.note(sum, weight, structures);
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

    /// The row that says the most of a peak of `peak_alive` processes, and whether there may have been more: some look found noticeably more, or
    /// not quite all were there. If any row speaks for the peak, it may be one which does not: fewer had more, and for a while.
    pub(super) fn highest(&self, peak_alive: u64) -> Option<(&Row, bool)> {
        let rows = || self.rows.values().chain(&self.current);
        let above = |best, row: _| if Row::is_above(row, best) { row } else { best };
        let speaking = rows().filter(|row| speak_for(row.first.counted, peak_alive)).reduce(above)?;
        let of_fewer = rows().filter(|row| row.is_lasting() && row.weight > speaking.weight);
        let row = of_fewer.fold(speaking, above);
        let found_more = self.most as f64 > (1.0 + AS_MUCH) * row.weight as f64;
        let counted = row.first.counted;
        Some((row, found_more || (speak_for(counted, peak_alive) && counted < peak_alive)))
    }

    pub(super) fn finish(self, peak_alive: u64) -> MemoryReading {
        let found = self.highest(peak_alive);
        let highest = found.map(|(row, _)| row.highest);
        let bytes = highest.map(|highest| highest.bytes);
        let speaks = |seen: Option<u64>| seen.is_some_and(|seen| speak_for(seen, peak_alive));
        let missing = match () {
            () if self.unreadable => Missing::NoAccount,
            () if speaks(self.not_allowed) => Missing::NotAllowed,
            () if speaks(self.still_sharing) => Missing::StillSharing,
            () if peak_alive > 0 => Missing::CameAndWent,
            () => Missing::BetweenLooks,
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
            processes_seen: highest.map(|highest| highest.others),
            alive_seen: highest.map(|highest| highest.counted),
            user_uncertain_bytes: highest
                .filter(|highest| highest.read < highest.others)
                .map(|highest| highest.uncertain),
            samples_near_peak: found.map(|(row, _)| row.looks),
            is_least: found.is_some_and(|(row, has_more)| has_more || !row.is_lasting()),
            kernel_is_least: false,
            swapped_out_bytes: None,
            kernel_uncertain_bytes: None,
            peak_missing: bytes.is_none().then_some(missing),
            kernel_missing: Some(Missing::NotInPss),
        }
    }
}

/// Looks at the processes of the round of the runner `leader`.
fn look_at(leader: i32, who: Who) -> Look {
    let all = processes_of_round(leader);
    let others: Vec<Member> = all.iter().copied().filter(|member| member.pid != leader).collect();
    let is_counted = |member: &&Member| (who.counted.from..=who.counted.to).contains(&member.generation);
    let counted = others.iter().filter(is_counted).count() as u64;
    let pids: Vec<i32> = others.iter().map(|member| member.pid).collect();
    let found = sum_of(leader, &pids, who.alike);
    let is_same = processes_of_round(leader) == all;
    let (sum, unread) = match found {
        Ok((sum, true)) if is_same => (Some(Sum { counted, ..sum }), None),
        Ok((_, false)) if is_same => (None, Some(Unread::StillSharing)),
        Err(NotRead::NotAllowed) => (None, Some(Unread::NotAllowed)),
        Ok(_) | Err(NotRead::Gone) => (None, None),
    };
    Look { counted, sum, unread }
}

/// What the kernel holds for the stack of a thread, on the processors that this runs on.
const STACK: u64 = 16 << 10;

/// What it holds for the root of a process's tables of pages, which is in no `VmPTE`: a page. Two where user and kernel have tables of their own.
const ROOT: u64 = 4 << 10;

/// The tables of pages of the process `pid`, their root among them, and how many threads it has.
pub(in crate::measure) fn tables_and_threads(pid: i32) -> Option<(u64, u64)> {
    let status = Process::new(pid).ok()?.status().ok()?;
    Some(((status.vmpte? << 10) + ROOT, status.threads))
}

/// What the kernel holds for processes with so much in `tables` of pages and so many `threads`, apart from its structures.
pub(in crate::measure) const fn held_for(tables: u64, threads: u64) -> u64 {
    tables + threads * STACK
}

/// Why a process was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NotRead {
    /// It is gone, or tells nothing.
    Gone,
    /// It belongs to somebody else, or may not be read by anybody else.
    NotAllowed,
}

impl From<ProcError> for NotRead {
    fn from(error: ProcError) -> Self {
        match error {
            ProcError::PermissionDenied(_) => Self::NotAllowed,
            _ => Self::Gone,
        }
    }
}

/// What all have, and whether whoever was read first still shares with no more than then: if not, what it had to itself a moment ago
/// is counted again with those who were read later.
fn sum_of(leader: i32, others: &[i32], alike: bool) -> Result<(Sum, bool), NotRead> {
    const NO_MATTER: u64 = 64 << 10;
    let runner = pss_of(leader)?.own;
    let (mut looked_at, mut rest) = match alike {
        true => drawn(others, LOOKED_AT),
        false => (others.to_vec(), Vec::new()),
    };
    // One that cannot be read does not count as nothing: there is no sum then.
    let read_all = |pids: &[i32]| pids.iter().map(|pid| pss_of(*pid)).collect::<Result<Vec<Pss>, _>>();
    let mut read = read_all(&looked_at)?;
    let reckoned = of_all(read.iter().map(|pss| pss.own).sum(), read.len(), others.len());
    if uncertainty(&read, others.len()) > UNCERTAIN * reckoned as f64 || has_larger(&looked_at, &rest) {
        read.extend(read_all(&rest)?);
        looked_at.append(&mut rest);
    }
    let is_settled = match read.first().zip(looked_at.first()) {
        None => true,
        Some((first, pid)) => {
            pss_of(*pid)?.shared.saturating_add(NO_MATTER.max(first.shared / 50)) >= first.shared
        }
    };
    let (tables, threads) = tables_and_threads(leader).ok_or(NotRead::Gone)?;
    let of_kernel = looked_at.iter().map(|pid| tables_and_threads(*pid));
    let of_kernel: Vec<(u64, u64)> = of_kernel.collect::<Option<_>>().ok_or(NotRead::Gone)?;
    // Those that were read speak for all.
    let of_all = |sum: u64| of_all(sum, read.len(), others.len());
    let tables = tables + of_all(of_kernel.iter().map(|(tables, _)| tables).sum());
    let threads = threads + of_all(of_kernel.iter().map(|(_, threads)| threads).sum());
    let bytes = runner + of_all(read.iter().map(|pss| pss.own).sum());
    let uncertain = uncertainty(&read, others.len()) as u64;
    let (others, read) = (others.len() as u64, read.len() as u64);
    let tables_and_stacks = held_for(tables, threads);
    let sum = Sum { bytes, others, counted: others, read, uncertain, tables_and_stacks, threads };
    Ok((sum, is_settled))
}

/// What `all` have, by the `sum` of those that were `read`.
fn of_all(sum: u64, read: usize, all: usize) -> u64 {
    (sum * all as u64).checked_div(read as u64).unwrap_or(0)
}

/// `most` of `all`, as though drawn by lot, and the others: the same ones in each look at the same processes. Whoever started them may have done
/// so in turns, so that every so many of them would be no fair choice.
fn drawn(all: &[i32], most: usize) -> (Vec<i32>, Vec<i32>) {
    if all.len() <= most {
        return (all.to_vec(), Vec::new());
    }
    let mut by_lot = all.to_vec();
    by_lot.sort_by_cached_key(|pid| Rng::for_item(LOT, *pid as u64).next_u64());
    let rest = by_lot.split_off(most);
    (by_lot, rest)
}

/// Whether one of `rest` has noticeably more in memory than each of those `drawn`, shared or not: too few of them may have been drawn to show.
fn has_larger(drawn: &[i32], rest: &[i32]) -> bool {
    const NOTICEABLE_PAGES: u64 = 64;
    let resident = |pid: &i32| Some(Process::new(*pid).ok()?.statm().ok()?.resident);
    let most = drawn.iter().filter_map(resident).max().unwrap_or(0);
    rest.iter().filter_map(resident).any(|pages| pages > most + most / 4 + NOTICEABLE_PAGES)
}

/// What those that are looked at are drawn by.
const LOT: u64 = 0x6d65_6d6f_7279_0000;

/// By how much the sum of `all` processes is likely to be off where those that were `read`, drawn by lot, speak for them, in bytes: twice the
/// standard error of a sample from a finite population.
fn uncertainty(read: &[Pss], all: usize) -> f64 {
    let (sampled, all) = (read.len() as f64, all as f64);
    if sampled < 2.0 || sampled >= all {
        return 0.0;
    }
    let mean = read.iter().map(|pss| pss.own as f64).sum::<f64>() / sampled;
    let variance = read.iter().map(|pss| (pss.own as f64 - mean).powi(2)).sum::<f64>() / (sampled - 1.0);
    2.0 * all * (variance / sampled * (1.0 - sampled / all)).sqrt()
}

/// What a process has, in bytes.
#[derive(Debug, Clone, Copy)]
struct Pss {
    /// PSS without pages of files, where the kernel tells those (since 5.4), and its part of what was swapped out.
    own: u64,
    /// The part of that which is memory to be shared, such as a memfd; nothing where the kernel does not tell.
    shared: u64,
}

/// What the process `pid` has that it shares with nobody.
pub(in crate::measure) fn private_bytes_of(pid: i32) -> Option<u64> {
    let fields = rollup_of(pid).ok()?;
    Some(fields.get("Private_Clean")? + fields.get("Private_Dirty")?)
}

/// The sums over the mappings of the process `pid`, in bytes, by name.
fn rollup_of(pid: i32) -> Result<HashMap<String, u64>, NotRead> {
    let rollup = Process::new(pid)?.smaps_rollup()?;
    Ok(rollup.memory_map_rollup.0.into_iter().next().ok_or(NotRead::Gone)?.extension.map)
}

/// PSS of a process.
fn pss_of(pid: i32) -> Result<Pss, NotRead> {
    let fields = rollup_of(pid)?;
    let field = |name| fields.get(name).copied();
    Ok(Pss {
        own: field("Pss").ok_or(NotRead::Gone)?.saturating_sub(field("Pss_File").unwrap_or(0))
            + field("SwapPss").unwrap_or(0),
        shared: field("Pss_Shmem").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(bytes: u64, others: u64) -> Look {
        let threads = others + 1;
        let sum =
            Sum { bytes, others, counted: others, read: others, uncertain: 0, tables_and_stacks: 0, threads };
        Look { counted: others, sum: Some(sum), unread: None }
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
        assert_eq!(
            (reading.samples_near_peak, reading.is_least),
            (Some(3), true),
            "there may have been more"
        );
        let almost = reading_of_nineteen();
        assert_eq!((almost.peak_bytes, almost.is_least), (Some(580), true), "one of twenty is missing");
    }

    fn reading_of_nineteen() -> MemoryReading {
        reading(&[(580, 19); 4], 20)
    }

    #[test]
    fn many_that_the_kernel_holds_much_for_outweigh_one_that_has_more_itself() {
        const KIB: u64 = 1 << 10;
        let of = |others: u64, bytes: u64| Look {
            counted: others,
            sum: Some(Sum {
                bytes,
                others,
                counted: others,
                read: others,
                uncertain: 0,
                tables_and_stacks: (others + 1) * 60 * KIB,
                threads: others + 1,
            }),
            unread: None,
        };
        let reading = |kernel| {
            let mut sampler = Sampler { of: Of { kernel, ..Of::default() }, ..Sampler::default() };
            for look in [of(5_000, 80_000 * KIB), of(0, 150_000 * KIB)] {
                (0..4).for_each(|_| sampler.note(&look, None));
            }
            sampler.finish(5_000)
        };
        assert_eq!(reading(true).processes_seen, Some(5_000));
        assert_eq!(reading(false).processes_seen, Some(0), "of their own pages alone the one has more");
    }

    #[test]
    fn fewer_that_have_more_for_a_while_are_the_peak() {
        let looks = [vec![(600, 20); 9], vec![(9_000, 2); 3], vec![(500, 2); 4]].concat();
        let found = reading(&looks, 20);
        assert_eq!((found.peak_bytes, found.processes_seen, found.is_least), (Some(9_000), Some(2), false));
        // Where nobody has seen so many as lived at once, there is no saying what they had.
        assert_eq!(reading(&looks[9..], 20).peak_bytes, None);
    }

    #[test]
    fn those_that_speak_for_all_are_drawn_by_lot_and_only_where_they_are_alike() {
        let all: Vec<i32> = (1_000..1_200).collect();
        let (drawn_ones, rest) = drawn(&all, 64);
        assert_eq!((drawn_ones.len(), rest.len()), (64, 136));
        assert_eq!(drawn(&all, 64).0, drawn_ones, "the same ones in each look");
        let odd = drawn_ones.iter().filter(|pid| *pid % 2 == 1).count();
        assert!((20..=44).contains(&odd), "{odd} of 64 are odd");
        let pss = |own| Pss { own, shared: 0 };
        assert_eq!(uncertainty(&[pss(1_000); 64], 200), 0.0);
        assert_eq!(uncertainty(&[pss(0), pss(1_000)], 2), 0.0, "all were read");
        let every_other: Vec<Pss> = (0..64).map(|at| pss(at % 2 * 1_000)).collect();
        let off = uncertainty(&every_other, 200);
        assert!((20_000.0..21_000.0).contains(&off), "{off} of 100,000");
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
