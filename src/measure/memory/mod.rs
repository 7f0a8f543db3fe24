//! Memory of a round, from outside, in the same way for every engine.
//!
//! `ru_maxrss` is used nowhere: a fork seeds it from the parent, exec keeps it, and for children it is the largest one's,
//! not the sum. Summed RSS counts shared pages once for every process. So, in order of preference:
//!
//! 1. a fresh cgroup for the round (version 2, then version 1): the kernel's own account of every page it gave to the round,
//!    its own for page tables and stacks included, with a high-water mark;
//! 2. summed PSS of the round's processes, their tables of pages and stacks, and by how much the kernel's own structures
//!    (/proc/meminfo) have grown since before the round, sampled: those for others' new processes are in that too;
//! 3. the summed PSS alone: shared pages are shared out, but what the kernel holds is missing.

mod cgroup;
mod meminfo;
mod pss;

pub(super) use meminfo::{LEAST_FOR_STRUCTURES, MOST_FOR_STRUCTURES, structures};
pub use pss::{Counted, Who, speak_for};
pub(super) use pss::{held_for, private_bytes_of, tables_and_threads};

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How memory was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Version 2: `memory.peak`.
    CgroupV2,
    /// Version 1: `memory.max_usage_in_bytes`.
    CgroupV1,
    /// Summed PSS, the processes' tables of pages and stacks, and what the kernel's structures have grown by, sampled.
    Meminfo,
    /// Summed PSS, sampled.
    Pss,
}

/// Which method is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The best that can be had.
    #[default]
    Auto,
    /// A cgroup, or nothing.
    Cgroup,
    /// [`Method::Meminfo`].
    Meminfo,
    /// [`Method::Pss`].
    Pss,
}

impl Choice {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Cgroup, Self::Meminfo, Self::Pss];

    /// As typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cgroup => "cgroup",
            Self::Meminfo => "meminfo",
            Self::Pss => "pss",
        }
    }
}

impl Method {
    /// Whether it looks from time to time, and at more than the round: what it finds in one round differs from what it finds in
    /// the next, where an account that the kernel keeps of the round alone does not.
    pub const fn is_sampled(self) -> bool {
        matches!(self, Self::Meminfo | Self::Pss)
    }

    /// How long it looks at what others do before each round, at least.
    pub const fn looks_before(self) -> Duration {
        match self {
            Self::Meminfo => meminfo::LOOKS_BEFORE,
            Self::CgroupV2 | Self::CgroupV1 | Self::Pss => Duration::ZERO,
        }
    }

    /// As the tables name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CgroupV2 => "cgroup v2",
            Self::CgroupV1 => "cgroup v1",
            Self::Meminfo => "meminfo",
            Self::Pss => "summed PSS",
        }
    }
}

/// What a round needed at its peak. What could not be measured is absent, with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryReading {
    /// The most that existed at one time, page cache apart.
    pub peak_bytes: Option<u64>,
    /// What the kernel needed of it for the processes.
    pub kernel_bytes: Option<u64>,
    /// The processes' own pages, shared ones counted once. Of the same moment as the kernel's share: where that is the highest
    /// sample's and the peak is the kernel's mark, both together are up to a tenth less than the peak.
    pub user_bytes: Option<u64>,
    /// Page cache of the files that the round read or wrote, beside that: the most that was seen at one time.
    pub page_cache_bytes: Option<u64>,
    /// What the runner alone needed before the clock started.
    pub runner_bytes: Option<u64>,
    /// Whether the kernel kept the peak, or it is of samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_from: Option<PeakFrom>,
    /// The same of the kernel's share: its own mark may be of another moment than the peak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_from: Option<PeakFrom>,
    /// How often somebody looked, every five milliseconds at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
    /// Processes whose PSS was read one by one for the sample that is told. Where there were more, they speak for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes_read: Option<u64>,
    /// Processes that there were then, beside the runner: what tasks start themselves among them. Fewer than the most that lived at once,
    /// where those that were left had more than all before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes_seen: Option<u64>,
    /// Those of them that count as alive, as in `peak_alive`: neither what programs start themselves nor the runner below its guardian.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alive_seen: Option<u64>,
    /// By how much the processes' share is likely to be off where some were drawn by lot and speak for all: twice the standard error of
    /// the sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_uncertain_bytes: Option<u64>,
    /// How many samples in a row found as much, but for a fiftieth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_near_peak: Option<u64>,
    /// Whether there may have been more: fewer than three samples in a row found as much, or one found more, or not quite all were there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_least: bool,
    /// Whether the kernel may have held more for it: its structures have grown by more than processes and threads need, as those of sockets
    /// do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kernel_is_least: bool,
    /// What the machine wrote to swap meanwhile, which may be the round's, and is in no figure of its cgroup: there may have been more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swapped_out_bytes: Option<u64>,
    /// By how much the kernel's share may be off: of its own structures only that of the whole machine is known, and others' are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_uncertain_bytes: Option<u64>,
    /// Why page cache is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_cache_missing: Option<Missing>,
    /// Why there is no peak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_missing: Option<Missing>,
    /// Why the kernel's share is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_missing: Option<Missing>,
}

/// Where a peak comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeakFrom {
    /// The kernel's high-water mark: nothing between two looks is missed.
    HighWaterMark,
    /// The highest of the samples: page cache, which the mark counts too, was too much of it, or there is no mark. By PSS, of those that
    /// found as much three times in a row, if there were any.
    Samples,
}

/// Why a figure was not measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// There was no round in which it is measured: the run ended before.
    NoRound,
    /// What it would be read from could not be read.
    NoAccount,
    /// One of the processes belongs to somebody else, or may not be looked at.
    NotAllowed,
    /// The processes came and went faster than they can be looked at.
    CameAndWent,
    /// What the kernel holds changed while the processes were looked at one by one, most times.
    ChangedMeanwhile,
    /// The kernel held less more than before than it needs for so many processes. No longer told: of versions that knew only what it
    /// holds for all.
    LessThanNeeded,
    /// It is so little that the kernel's counter may be off by as much.
    CountersOff,
    /// The processes began to share what they share while they were looked at, each time.
    StillSharing,
    /// The machine used no more than before, or less than the processes had by themselves. No longer told: of versions that took
    /// the difference of all that was used.
    OthersGaveBack,
    /// What others use changes by so much that this cannot be told from it.
    OthersVary,
    /// It was not seen, or its parts were not.
    BetweenLooks,
    /// No such account is kept of one round alone.
    OfAllAlone,
    /// PSS is of processes' own pages alone.
    NotInPss,
    /// The kernel does not account for its own memory.
    KernelDoesNotTell,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRound => "the run ended before the round in which it is",
            Self::NoAccount => "no account of it could be read",
            Self::NotAllowed => {
                "one of its processes may not be looked at: it has become another user's, or its program may be executed but not read"
            }
            Self::CameAndWent => "its processes came and went faster than they can be looked at one by one",
            Self::ChangedMeanwhile => {
                "what the kernel held changed most times when its processes were looked at one by one: give it longer tasks"
            }
            Self::LessThanNeeded => {
                "the kernel held less more than before than so many processes need: others, or processes that had ended before, gave \
                 memory back meanwhile"
            }
            Self::CountersOff => {
                "it is so little that the kernel's counter, which is of the whole machine, may be off by as much: have it measured in a \
                 cgroup (as root, or with one delegated)"
            }
            Self::StillSharing => {
                "its processes were only beginning to read what they share whenever they were looked at one by one: give it longer tasks"
            }
            Self::OthersGaveBack => {
                "the machine used no more memory than before, or less than its processes had: it took little, or as much was given \
                 back meanwhile, by others or by processes that had ended before"
            }
            Self::OthersVary => {
                "what the kernel holds for other programs changes by so much that it cannot be told from that: stop them, or have \
                 it measured in a cgroup (as root, or with one delegated)"
            }
            Self::BetweenLooks => {
                "it came and went between two looks, 5 ms apart: give it more tasks, or longer ones"
            }
            Self::OfAllAlone => "the kernel tells that of all processes together, or of a cgroup",
            Self::NotInPss => {
                "PSS leaves it out, and to tell it takes a cgroup (as root, or with one delegated) or --memory-method meminfo"
            }
            Self::KernelDoesNotTell => "this kernel was told not to account for its own memory in cgroups",
        })
    }
}

/// The largest part of a figure that may be others'.
pub const MOST_OF_OTHERS: f64 = 0.25;

/// How much of what there was at the peak a sample must have seen to speak for it.
const SEEN: f64 = 0.9;

/// Measures one round.
pub struct Gauge {
    layer: Layer,
    processes_started: u64,
}

enum Layer {
    Cgroup(Box<cgroup::Cgroup>),
    Meminfo(Box<meminfo::Sampler>),
    Pss(Box<pss::Sampler>),
}

impl Gauge {
    /// The folder that [`Self::open`] would make for the round `name`; `None` where no cgroup can be made. To be known
    /// to whoever cleans up before it exists.
    pub fn folder(name: &str) -> Option<PathBuf> {
        cgroup::Cgroup::place(name)
    }

    /// The best gauge of `choice` that this machine allows, in a cgroup `folder` if that can be made.
    ///
    /// # Errors
    /// Why a gauge that was asked for by name cannot be had.
    pub fn open(choice: Choice, folder: Option<PathBuf>) -> io::Result<Self> {
        let meminfo = || meminfo::Sampler::open().map(|sampler| Layer::Meminfo(Box::new(sampler)));
        let pss = || Layer::Pss(Box::new(pss::Sampler::new(false)));
        let mut processes_started = 0;
        let cgroup = || {
            let folder =
                folder.ok_or_else(|| io::Error::other("no cgroup that accounts for memory was found"))?;
            cgroup::Cgroup::create(folder, &mut processes_started)
                .map(|cgroup| Layer::Cgroup(Box::new(cgroup)))
        };
        let layer = match choice {
            Choice::Auto => cgroup().or_else(|_| meminfo()).unwrap_or_else(|_| pss()),
            Choice::Cgroup => cgroup()?,
            Choice::Meminfo => meminfo()?,
            Choice::Pss => pss(),
        };
        Ok(Self { layer, processes_started })
    }

    /// How many processes it took to find out whether this can be had.
    pub const fn processes_started(&self) -> u64 {
        self.processes_started
    }

    /// By what it measures.
    pub fn method(&self) -> Method {
        match &self.layer {
            Layer::Cgroup(cgroup) => cgroup.method(),
            Layer::Meminfo(_) => Method::Meminfo,
            Layer::Pss(_) => Method::Pss,
        }
    }

    /// Arranges that what `command` starts, which is to be right after this, is measured from its first instruction on.
    ///
    /// # Errors
    /// If the cgroup cannot be entered, or what the kernel holds cannot be read.
    pub fn admit(&mut self, command: &mut Command) -> io::Result<()> {
        match &mut self.layer {
            Layer::Cgroup(cgroup) => cgroup.admit(command),
            Layer::Meminfo(sampler) => sampler.look_before(),
            Layer::Pss(_) => Ok(()),
        }
    }

    /// Notes what the runner `pid` needs before the clock starts. `who` is for where its processes are looked at one by one.
    pub fn begin(&mut self, pid: i32, who: Who) {
        match &mut self.layer {
            Layer::Cgroup(cgroup) => cgroup.begin(),
            Layer::Meminfo(sampler) => sampler.begin(pid, who),
            Layer::Pss(sampler) => drop(sampler.begin(pid, who)),
        }
    }

    /// Notes that the clock has stopped: what the runner takes to look through its results is not of the round.
    pub fn over(&mut self) {
        if let Layer::Cgroup(cgroup) = &mut self.layer {
            cgroup.over();
        }
    }

    /// Looks at the round of the runner `pid`. To be called every few milliseconds.
    pub fn sample(&mut self, pid: i32) {
        match &mut self.layer {
            Layer::Cgroup(cgroup) => cgroup.sample(),
            Layer::Meminfo(sampler) => sampler.sample(pid),
            Layer::Pss(sampler) => sampler.sample(pid),
        }
    }

    /// What was measured of a round of which `peak_alive` processes were alive at once, beside the runner. All of them must be gone.
    pub fn finish(self, peak_alive: u64) -> MemoryReading {
        match self.layer {
            Layer::Cgroup(cgroup) => cgroup.finish(),
            Layer::Meminfo(sampler) => sampler.finish(peak_alive),
            Layer::Pss(sampler) => sampler.finish(peak_alive),
        }
    }
}
