//! The processes' own pages by sampled PSS, and the kernel's by what its counters for the whole machine (`/proc/meminfo`) have
//! grown by since before the round.
//!
//! The kernel counts what it holds for processes apart from what processes hold: their stacks, their tables of pages, and its own
//! structures (`KernelStack`, `PageTables`, `SUnreclaim`). So a neighbour that takes or gives back memory of its own is in no
//! figure; one that starts processes, or ends them, is. By how much that is likely to be is seen before the round, while nothing of it
//! runs, during it and after it; a figure of which it may be too large a part is not told.
//!
//! Beside the kernel's own account of a cgroup these counters came to 0.75 … 1.13 of it, for 20 to 1,000 waiting processes: structures of
//! processes that have ended before are used again, and do not count as more.

use std::io;
use std::thread;
use std::time::Duration;

use procfs::{Current, Meminfo};

use super::pss::{self, Held, look_at};
use super::{MOST_OF_OTHERS, MemoryReading, Missing, PeakFrom};

/// Looks at what others do before a round: how many, and how far apart.
const LOOKS: u32 = 20;
const APART: Duration = Duration::from_millis(3);

/// How long all of these take where the machine has settled already.
pub(super) const LOOKS_BEFORE: Duration = APART.saturating_mul(LOOKS);

/// So many looks, each of which differs from the one before by no more than this, are of a machine that has settled; after so many others there
/// is no more waiting.
const LOOKS_ALIKE: u32 = 8;
const SETTLED_BYTES: u64 = 64 << 10;
const MOST_LOOKS_TO_SETTLE: u32 = 50;

/// What the kernel keeps, for its next processes, of each that has been alive and of all of them: a part of its structures (1,000 were
/// seen to leave 1.2 MiB), and stacks that are in nobody's use.
const KEPT_FOR_EACH: u64 = 2 << 10;
const KEPT: u64 = 256 << 10;

/// What the kernel may need for each process that is alive, at the most (forked ones that compute were seen to take 70 KiB, programs some
/// 500), apart from its tables.
const MOST_FOR_EACH: u64 = 2 << 20;
/// And at the least, for each that is alive: a stack of 16 KiB, and tables of pages.
const LEAST_FOR_EACH: u64 = 24 << 10;

/// Which part of what all processes have the tables of each of them may come to, at the most: eight bytes for every 4 KiB, twice.
const MOST_FOR_TABLES: u64 = 256;
/// Which part of it may be in tables that are mostly empty, for all together.
const MOST_FOR_SPARSE_TABLES: u64 = 8;

/// The largest part of the kernel's share that may be others': larger than of other figures, since it is the smaller one.
const MOST_OF_OTHERS_IN_KERNEL: f64 = 0.5;

/// Samples the processes and the kernel's counters.
pub(super) struct Sampler {
    processes: pss::Sampler,
    /// What the kernel held before.
    before: u64,
    /// How far apart looks were before the round.
    noise: u64,
    /// What it held more when the runner was ready.
    of_runner: u64,
}

impl Sampler {
    /// One that has not looked yet.
    pub(super) fn open() -> io::Result<Self> {
        let before = held_by_kernel().ok_or_else(unreadable)?;
        Ok(Self { processes: pss::Sampler::default(), before, noise: 0, of_runner: 0 })
    }

    /// Looks at what the kernel holds before the runner is started, and by how much that changes.
    pub(super) fn look_before(&mut self) -> io::Result<()> {
        // What processes of the round before had is taken back a little later, which is not others' doing.
        self.before = settled()?;
        let (mut least, mut most) = (self.before, self.before);
        for _ in 1..LOOKS {
            thread::sleep(APART);
            self.before = held_by_kernel().ok_or_else(unreadable)?;
            (least, most) = (least.min(self.before), most.max(self.before));
        }
        self.noise = most - least;
        Ok(())
    }

    pub(super) fn begin(&mut self, pid: i32) {
        self.processes.begin(pid);
        self.of_runner = held_by_kernel().map_or(0, |held| held.saturating_sub(self.before));
    }

    pub(super) fn sample(&mut self, pid: i32) {
        let first = held_by_kernel();
        let look = look_at(pid);
        let kernel = first.zip(held_by_kernel());
        let kernel =
            kernel.map(|(first, last)| Held { bytes: first.midpoint(last), drift: first.abs_diff(last) });
        self.processes.note(&look, kernel);
    }

    /// By how much what the kernel holds for others is likely to have changed since the round began: by as much as it did before. And
    /// by how much it has, for now that all of the round are gone it should hold what it did before, apart from what it keeps for the
    /// next processes.
    fn of_others(&self, peak_alive: u64) -> u64 {
        let kept = KEPT + KEPT_FOR_EACH * (peak_alive + 1);
        let left = settled().map_or(0, |after| after.abs_diff(self.before).saturating_sub(kept));
        self.noise.max(left)
    }

    pub(super) fn finish(self, peak_alive: u64) -> MemoryReading {
        let of_others = self.of_others(peak_alive);
        let Self { processes, before, of_runner, .. } = self;
        let share = processes.highest(peak_alive).and_then(|(_, found)| {
            Share::of(&found.iter().filter_map(|found| found.kernel).collect::<Vec<_>>(), before)
        });
        let mut reading = processes.finish(peak_alive);
        reading.runner_bytes = reading.runner_bytes.map(|runner| runner + of_runner);
        // Without either of them, what they come to is not known.
        let Some((user, share)) = reading.user_bytes.zip(share) else {
            let missing = reading.peak_missing.or(Some(Missing::NoAccount));
            let (peak_bytes, peak_from) = (None, None);
            return MemoryReading {
                peak_bytes,
                peak_from,
                peak_missing: missing,
                kernel_missing: missing,
                ..reading
            };
        };
        let doubt =
            Doubt { others: of_others.max(share.spread), drift: share.drift, counters: counters_off_by() };
        let told = tell(user, share.bytes, &doubt, peak_alive);
        MemoryReading {
            peak_bytes: told.peak.ok(),
            peak_missing: told.peak.err(),
            peak_from: told.peak.ok().map(|_| PeakFrom::Samples),
            kernel_bytes: told.kernel.ok(),
            kernel_missing: told.kernel.err(),
            kernel_uncertain_bytes: Some(told.off),
            ..reading
        }
    }
}

/// What the kernel held more than before, by looks at the same processes.
struct Share {
    /// Their median: whoever comes and goes meanwhile is in a few of them. Less than nothing where others gave back more.
    bytes: i64,
    /// Between the quartiles.
    spread: u64,
    /// The median of their drifts.
    drift: u64,
}

impl Share {
    fn of(found: &[Held], before: u64) -> Option<Self> {
        let sorted = |figure: &dyn Fn(&Held) -> u64| {
            let mut all: Vec<u64> = found.iter().map(figure).collect();
            all.sort_unstable();
            all
        };
        let (kernel, drift) = (sorted(&|held| held.bytes), sorted(&|held| held.drift));
        let at =
            |all: &[u64], quarter: usize| all.get((all.len().checked_sub(1)? * quarter + 2) / 4).copied();
        Some(Self {
            bytes: at(&kernel, 2)? as i64 - before as i64,
            spread: at(&kernel, 3)? - at(&kernel, 1)?,
            drift: at(&drift, 2)?,
        })
    }
}

/// By how much the kernel's share may be off, in bytes.
struct Doubt {
    /// Since others had the kernel hold more or less.
    others: u64,
    /// Since that changed while the processes were looked at.
    drift: u64,
    /// Since the kernel does not count to the byte.
    counters: u64,
}

impl Doubt {
    /// By how much it may be off where `lacking` is missing of what the kernel needs, which others have given back then; and why.
    fn with(&self, lacking: u64) -> (u64, Missing) {
        let all = [
            (self.others, Missing::OthersVary),
            (self.drift, Missing::ChangedMeanwhile),
            (lacking, Missing::LessThanNeeded),
            (self.counters, Missing::CountersOff),
        ];
        let mut most = all[0];
        for doubt in all {
            if doubt.0 > most.0 {
                most = doubt;
            }
        }
        most
    }
}

/// What can be told.
#[derive(Debug, PartialEq)]
struct Told {
    kernel: Result<u64, Missing>,
    peak: Result<u64, Missing>,
    /// By how much the kernel's share may be off.
    off: u64,
}

/// What can be told of processes that have `user` bytes and are `peak_alive` beside the runner, if the kernel holds `kernel` more than
/// before.
fn tell(user: u64, kernel: i64, doubt: &Doubt, peak_alive: u64) -> Told {
    let alive = peak_alive + 1;
    let (least, known) = (alive * LEAST_FOR_EACH, u64::try_from(kernel).unwrap_or(0));
    let most = alive * (MOST_FOR_EACH + user / MOST_FOR_TABLES) + user / MOST_FOR_SPARSE_TABLES;
    // What is less than the kernel needs for so many has been given back by others.
    let lacking = u64::try_from(least as i64 - kernel).unwrap_or(0);
    let (off, why) = doubt.with(lacking);
    // More than it can need for so few has been taken by others.
    if known > most {
        return Told {
            kernel: Err(Missing::OthersVary),
            peak: Err(Missing::OthersVary),
            off: known.max(off),
        };
    }
    let told =
        |figure: u64, part: f64| if off as f64 <= part * figure as f64 { Ok(figure) } else { Err(why) };
    let kernel = if known < least { Err(why) } else { told(known, MOST_OF_OTHERS_IN_KERNEL) };
    Told { kernel, peak: told(user + known, MOST_OF_OTHERS), off }
}

fn unreadable() -> io::Error {
    io::Error::other("/proc/meminfo cannot be read, or does not tell what the kernel holds for processes")
}

/// By how much the kernel's counters are likely to be off: each processor keeps what it has counted to itself until that is some hundred
/// KiB, of one sign or the other.
fn counters_off_by() -> u64 {
    const OF_EACH: f64 = (360 << 10) as f64;
    // All of the machine's, whichever this process may use.
    let online = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    (OF_EACH * (online.unwrap_or(1).max(1) as f64).sqrt()) as u64
}

/// What the kernel holds once several looks in a row find the same; or after some looks that did not. It takes back what processes that have
/// ended had in steps, some ten milliseconds apart.
fn settled() -> io::Result<u64> {
    let look = || held_by_kernel().ok_or_else(unreadable);
    let mut last = look()?;
    let mut alike = 1;
    for _ in 0..MOST_LOOKS_TO_SETTLE {
        thread::sleep(APART);
        let now = look()?;
        alike = if now.abs_diff(last) <= SETTLED_BYTES { alike + 1 } else { 1 };
        last = now;
        if alike == LOOKS_ALIKE {
            break;
        }
    }
    Ok(last)
}

/// What the kernel holds for all processes of the machine: see the module's documentation.
pub(in crate::measure) fn held_by_kernel() -> Option<u64> {
    let info = Meminfo::current().ok()?;
    Some(info.kernel_stack? + info.page_tables? + info.s_unreclaim?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const KIB: u64 = 1 << 10;

    #[test]
    fn whoever_comes_and_goes_is_not_in_the_kernels_share() {
        let held = |bytes| Held { bytes, drift: 4 * KIB };
        let mut all = vec![held(15 * MIB); 20];
        all.extend(vec![held(45 * MIB); 4]);
        let share = Share::of(&all, 5 * MIB).unwrap();
        assert_eq!((share.bytes, share.spread, share.drift), (10 * MIB as i64, 0, 4 * KIB));
        assert!(Share::of(&[], 0).is_none());
        let one = Share::of(&[held(4 * MIB)], 5 * MIB).unwrap();
        assert_eq!((one.bytes, one.spread), (-(MIB as i64), 0));
    }

    #[test]
    fn what_may_be_mostly_others_is_not_told() {
        // Twenty processes, of which the kernel's part may be 500 KiB to some 40 MiB.
        let none = Doubt { others: 0, drift: 0, counters: 0 };
        let told = |user, kernel, others| {
            let told = tell(user, kernel, &Doubt { others, ..none }, 20);
            (told.kernel, told.peak)
        };
        let mib = |mib: i64| mib * MIB as i64;
        assert_eq!(told(20 * MIB, mib(2), MIB), (Ok(2 * MIB), Ok(22 * MIB)));
        assert_eq!(told(20 * MIB, mib(2), 3 * MIB / 2), (Err(Missing::OthersVary), Ok(22 * MIB)));
        let neither = |why| (Err(why), Err(why));
        assert_eq!(told(20 * MIB, mib(2), 6 * MIB), neither(Missing::OthersVary));
        assert_eq!(told(20 * MIB, mib(90), 0), neither(Missing::OthersVary));
        let drifting = tell(20 * MIB, mib(2), &Doubt { drift: 6 * MIB, ..none }, 20);
        assert_eq!((drifting.kernel, drifting.off), (Err(Missing::ChangedMeanwhile), 6 * MIB));
        assert_eq!(told(MIB / 2, mib(-2), 0), neither(Missing::LessThanNeeded));
        assert_eq!(told(20 * MIB, mib(-50), 0), neither(Missing::LessThanNeeded));
        let coarse = tell(MIB / 2, 300 * KIB as i64, &Doubt { counters: 600 * KIB, ..none }, 2);
        assert_eq!((coarse.kernel, coarse.peak), neither(Missing::CountersOff));
        // Of a peak that is mostly the processes' own it does not matter.
        assert_eq!(told(20 * MIB, mib(-2), 0), (Err(Missing::LessThanNeeded), Ok(20 * MIB)));
    }
}
