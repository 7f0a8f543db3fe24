//! A fresh cgroup for one round, of version 2 or 1.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{MemoryReading, Method};
use crate::measure::limits::cgroup_folders;
use crate::sys::fork;

/// A cgroup, removed when dropped.
pub(super) struct Cgroup {
    folder: PathBuf,
    version: Version,
    runner: Option<u64>,
    highest: Sample,
    samples: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// One look at the accounts, in bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    usage: u64,
    kernel: u64,
    page_cache: u64,
}

impl Sample {
    fn without_page_cache(self) -> u64 {
        self.usage.saturating_sub(self.page_cache)
    }
}

/// How much of the exact peak the highest sample must have seen for its parts to speak for the peak.
const SEEN: f64 = 0.9;

impl Cgroup {
    /// The folder of a cgroup called `name`, below the one that this process is in or, in version 2, beside it: a cgroup
    /// with processes may not have children that account for memory.
    pub(super) fn place(name: &str) -> Option<PathBuf> {
        let own = cgroup_folders("memory").into_iter().next()?;
        match version_of(&own) {
            Version::One => Some(own.join(name)),
            Version::Two => {
                let below_root = own.parent().filter(|parent| parent.join("cgroup.subtree_control").exists());
                Some(below_root.unwrap_or(&own).join(name))
            }
        }
    }

    pub(super) fn create(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir(&folder)?;
        let version = version_of(&folder);
        let this = Self { folder, version, runner: None, highest: Sample::default(), samples: 0 };
        // A folder that does not account for memory is of no use (and is removed by the drop).
        this.peak().map(|_| this).ok_or_else(|| io::Error::other("the cgroup has no account of peak memory"))
    }

    pub(super) fn admit(&self, command: &mut Command) -> io::Result<()> {
        fork::enter_on_start(command, &self.folder.join("cgroup.procs"))
    }

    pub(super) fn begin(&mut self) {
        self.runner = self.read().map(Sample::without_page_cache);
        // The peak so far is the start of a program: of no interest. Not every kernel allows this.
        let peak = match self.version {
            Version::One => "memory.max_usage_in_bytes",
            Version::Two => "memory.peak",
        };
        let _ = fs::write(self.folder.join(peak), "0");
        if self.version == Version::One {
            let _ = fs::write(self.folder.join("memory.kmem.max_usage_in_bytes"), "0");
        }
    }

    pub(super) fn sample(&mut self) {
        if let Some(sample) = self.read() {
            self.samples += 1;
            if sample.without_page_cache() >= self.highest.without_page_cache() {
                self.highest = sample;
            }
        }
    }

    pub(super) fn finish(mut self) -> MemoryReading {
        // What is charged now is what outlives the processes: page cache above all.
        let left = self.read().unwrap_or_default();
        let peak = self.peak();
        let page_cache = left.page_cache.max(self.highest.page_cache);
        let sampled = self.highest.without_page_cache();
        // The exact peak counts page cache too. Where there is hardly any it is the better figure.
        let exact = peak
            .filter(|peak| page_cache < peak / 50)
            .map(|peak| peak.saturating_sub(self.highest.page_cache));
        let peak_bytes = exact.or((self.samples > 0).then_some(sampled));
        let speaks = peak_bytes.is_some_and(|peak| self.samples > 0 && sampled as f64 >= SEEN * peak as f64);
        let kernel_bytes = match self.version {
            Version::One => self.number("memory.kmem.max_usage_in_bytes"),
            Version::Two => speaks.then_some(self.highest.kernel),
        };
        self.remove();
        MemoryReading {
            method: match self.version {
                Version::One => Method::CgroupV1,
                Version::Two => Method::CgroupV2,
            },
            peak_bytes,
            user_bytes: peak_bytes.zip(kernel_bytes).map(|(peak, kernel)| peak.saturating_sub(kernel)),
            kernel_bytes,
            page_cache_bytes: Some(page_cache),
            runner_bytes: self.runner,
            samples: self.samples,
        }
    }

    fn peak(&self) -> Option<u64> {
        self.number(match self.version {
            Version::One => "memory.max_usage_in_bytes",
            Version::Two => "memory.peak",
        })
    }

    fn read(&self) -> Option<Sample> {
        let stat = fs::read_to_string(self.folder.join("memory.stat")).ok()?;
        let field = |name: &str| {
            stat.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<u64>().ok())
        };
        // In both versions what lies in shared memory is counted with the page cache.
        Some(match self.version {
            Version::One => Sample {
                usage: self.number("memory.usage_in_bytes")?,
                kernel: self.number("memory.kmem.usage_in_bytes").unwrap_or(0),
                page_cache: field("cache")?.saturating_sub(field("shmem")?),
            },
            Version::Two => Sample {
                usage: self.number("memory.current")?,
                kernel: field("kernel")?,
                page_cache: field("file")?.saturating_sub(field("shmem")?),
            },
        })
    }

    fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.folder.join(file)).ok()?.trim().parse().ok()
    }

    /// Removes the folder, which the kernel allows a moment after the last process has gone.
    fn remove(&mut self) {
        let patience = Instant::now() + Duration::from_secs(2);
        while fs::remove_dir(&self.folder).is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY))
            && Instant::now() < patience
        {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if self.folder.exists() {
            self.remove();
        }
    }
}

fn version_of(folder: &Path) -> Version {
    if folder.join("cgroup.controllers").exists() { Version::Two } else { Version::One }
}
