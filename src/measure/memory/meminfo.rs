//! The processes' own pages by sampled PSS, and what the kernel holds for them.
//!
//! Of the kernel's share most is known of each process: its tables of pages (`VmPTE`), and a stack for each of its threads. The rest
//! are structures, of which the kernel tells only what it holds for the whole machine (`SUnreclaim` in /proc/meminfo): by how much that has
//! grown since before the round is taken for the round's, within what so many threads can need; where it is far more, that is the least. So a neighbour that takes or gives back
//! memory is in no figure, and one that starts and ends processes can put the kernel's share off by no more than that.

use std::io;
use std::thread;
use std::time::Duration;

use procfs::{Current, Meminfo};

use super::pss::{self, Held};
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

/// What the structures of a thread, and of the process that it is of, come to at the least. 200 waiting processes were seen to take 7 to
/// 16 KiB more each, since what those that have ended had is used again.
pub(in crate::measure) const LEAST_FOR_STRUCTURES: u64 = 8 << 10;
/// And at the most, beside those of its mappings.
pub(in crate::measure) const MOST_FOR_STRUCTURES: u64 = 16 << 10;
/// How large a part of what tables of pages take those of mappings may be: both grow with how many there are.
const MOST_OF_TABLES: u64 = 3;

/// The largest part of the kernel's share that may be others': larger than of other figures, since it is the smaller one.
const MOST_OF_OTHERS_IN_KERNEL: f64 = 0.5;

/// Samples the processes and the kernel's structures.
pub(super) struct Sampler {
    processes: pss::Sampler,
    /// What the kernel's structures took before.
    before: u64,
    /// How far apart looks were before the round.
    noise: u64,
    /// What the kernel held for the runner when it was ready, its structures apart.
    of_runner: u64,
}

impl Sampler {
    /// One that has not looked yet.
    pub(super) fn open() -> io::Result<Self> {
        let before = structures().ok_or_else(unreadable)?;
        Ok(Self { processes: pss::Sampler::new(true), before, noise: 0, of_runner: 0 })
    }

    /// Looks at what the kernel holds before the runner is started, and by how much that changes.
    pub(super) fn look_before(&mut self) -> io::Result<()> {
        // What processes of the round before had is taken back a little later, which is not others' doing.
        self.before = settled()?;
        let (mut least, mut most) = (self.before, self.before);
        for _ in 1..LOOKS {
            thread::sleep(APART);
            self.before = structures().ok_or_else(unreadable)?;
            (least, most) = (least.min(self.before), most.max(self.before));
        }
        self.noise = most - least;
        Ok(())
    }

    pub(super) fn begin(&mut self, pid: i32, who: pss::Who) {
        let look = self.processes.begin(pid, who);
        self.of_runner = look.sum.map_or(0, |sum| sum.tables_and_stacks);
    }

    pub(super) fn sample(&mut self, pid: i32) {
        let first = structures();
        let look = self.processes.look_at(pid);
        let held = first
            .zip(structures())
            .map(|(first, last)| Held { bytes: first.midpoint(last), drift: first.abs_diff(last) });
        self.processes.note(&look, held);
    }

    /// By how much what the kernel holds for others is likely to have changed since the round began: by as much as it did before. And
    /// by how much it has, for now that all of the round are gone it should hold what it did before.
    fn of_others(&self) -> u64 {
        let left = settled().map_or(0, |after| after.abs_diff(self.before));
        self.noise.max(left)
    }

    pub(super) fn finish(self, peak_alive: u64) -> MemoryReading {
        let of_others = self.of_others();
        let Self { processes, before, of_runner, .. } = self;
        let found = processes.highest(peak_alive).map(|(row, _)| {
            let held: Vec<Held> = row.structures.iter().copied().collect();
            (row.highest, Share::of(&held, before))
        });
        let mut reading = processes.finish(peak_alive);
        reading.runner_bytes = reading.runner_bytes.map(|runner| runner + of_runner);
        // Without either of them, what they come to is not known.
        let Some((sum, Some(share))) = found else {
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
        let told = tell(&sum, &share, of_others);
        MemoryReading {
            peak_bytes: told.peak.ok(),
            peak_missing: told.peak.err(),
            peak_from: told.peak.ok().map(|_| PeakFrom::Samples),
            kernel_bytes: told.kernel.ok(),
            kernel_missing: told.kernel.err(),
            kernel_uncertain_bytes: Some(told.off),
            kernel_is_least: told.is_least,
            ..reading
        }
    }
}

/// By how much the kernel's structures had grown, by looks at the same processes.
struct Share {
    /// The median: whoever comes and goes meanwhile is in a few of them. Less than nothing where others gave back more.
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
        let (held, drift) = (sorted(&|held| held.bytes), sorted(&|held| held.drift));
        let at =
            |all: &[u64], quarter: usize| all.get((all.len().checked_sub(1)? * quarter + 2) / 4).copied();
        Some(Self {
            bytes: at(&held, 2)? as i64 - before as i64,
            spread: at(&held, 3)? - at(&held, 1)?,
            drift: at(&drift, 2)?,
        })
    }
}

/// What can be told.
#[derive(Debug, PartialEq)]
struct Told {
    kernel: Result<u64, Missing>,
    peak: Result<u64, Missing>,
    /// By how much the kernel's share may be off.
    off: u64,
    /// Whether there may have been more: what the kernel's structures have grown by is more than processes and threads need, and not what others
    /// were seen to do. It may be sockets, for one.
    is_least: bool,
}

/// What can be told of processes that have `sum`, if the kernel's structures have grown by `share`, of which `of_others` may be others'.
fn tell(sum: &pss::Sum, share: &Share, of_others: u64) -> Told {
    let least = sum.threads * LEAST_FOR_STRUCTURES;
    let tables = sum.tables_and_stacks.saturating_sub(pss::held_for(0, sum.threads));
    let most = sum.threads * MOST_FOR_STRUCTURES + tables / MOST_OF_TABLES;
    let structures = u64::try_from(share.bytes).unwrap_or(0).clamp(least, most);
    let counters = counters_off_by();
    let of_others = of_others.max(share.spread);
    let seen = of_others.max(share.drift).max(counters);
    let is_least = share.bytes.saturating_sub(seen as i64) > most as i64;
    // What is less or more than so many need is not theirs.
    let of_others = of_others.max(share.bytes.abs_diff(structures as i64));
    let doubt = of_others.max(share.drift).max(counters);
    // What ended ones had is used again, and then nothing grows.
    let used_again = (most - structures) / 2;
    let off = doubt.min((most - structures).max(structures - least)).max(used_again);
    let why = match doubt {
        doubt if doubt == counters => Missing::CountersOff,
        doubt if doubt == share.drift => Missing::ChangedMeanwhile,
        _ => Missing::OthersVary,
    };
    let kernel = sum.tables_and_stacks + structures;
    let told =
        |figure: u64, part: f64| if off as f64 <= part * figure as f64 { Ok(figure) } else { Err(why) };
    Told {
        kernel: told(kernel, MOST_OF_OTHERS_IN_KERNEL),
        peak: told(sum.bytes + kernel, MOST_OF_OTHERS),
        off,
        is_least,
    }
}

fn unreadable() -> io::Error {
    io::Error::other("/proc/meminfo cannot be read, or does not tell what the kernel's structures take")
}

/// By how much the kernel's counter is likely to be off: each processor keeps what it has counted to itself until that is some hundred
/// KiB, of one sign or the other.
fn counters_off_by() -> u64 {
    const OF_EACH: f64 = (120 << 10) as f64;
    // All of the machine's, whichever this process may use.
    let online = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    (OF_EACH * (online.unwrap_or(1).max(1) as f64).sqrt()) as u64
}

/// What the kernel's structures take once several looks in a row find the same; or after some looks that did not. It takes back what processes
/// that have ended had in steps, some ten milliseconds apart.
fn settled() -> io::Result<u64> {
    let look = || structures().ok_or_else(unreadable);
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

/// What the kernel's own structures take on the whole machine, those apart that it could give back.
pub(in crate::measure) fn structures() -> Option<u64> {
    Meminfo::current().ok()?.s_unreclaim
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
    fn others_can_put_the_kernels_share_off_by_no_more_than_so_many_can_need() {
        // A hundred processes that have a mebibyte each, with a stack and 30 KiB of tables.
        let sum = pss::Sum {
            bytes: 100 * MIB,
            others: 99,
            counted: 99,
            read: 64,
            uncertain: 0,
            tables_and_stacks: 100 * 46 * KIB,
            threads: 100,
        };
        let told = |grown: i64, of_others| {
            let share = Share { bytes: grown * KIB as i64, spread: 0, drift: 0 };
            let told = tell(&sum, &share, of_others);
            assert_eq!(told.peak, told.kernel.map(|kernel| kernel + 100 * MIB));
            (told.kernel.map(|kernel| kernel / KIB / 100), told.off / KIB / 100)
        };
        assert_eq!(told(1_400, 5 * MIB), (Ok(60), 12), "as it is");
        assert_eq!(told(90_000, 0), (Ok(72), 18), "others have started many");
        assert_eq!(told(-90_000, 0), (Ok(54), 18), "others have ended many");
        // Of two that have next to nothing it is mostly doubt.
        let few = pss::Sum {
            bytes: 300 * KIB,
            others: 1,
            counted: 1,
            read: 1,
            tables_and_stacks: 60 * KIB,
            threads: 2,
            ..sum
        };
        let share = Share { bytes: 0, spread: 0, drift: 0 };
        assert_eq!(tell(&few, &share, MIB).off, 2 * 8 * KIB + (60 - 32) * KIB / 3);
        let little = pss::Sum { tables_and_stacks: 8 * KIB, threads: 20, ..few };
        assert_eq!(tell(&little, &share, MIB).kernel, Err(Missing::OthersVary));
        assert_eq!(tell(&little, &Share { drift: MIB, ..share }, 0).kernel, Err(Missing::ChangedMeanwhile));
    }
}
