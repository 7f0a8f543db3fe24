//! A fresh cgroup for one round, of version 2 or 1.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{MemoryReading, Method, Missing, PeakFrom, SEEN};
use crate::measure::kernel;
use crate::measure::limits::cgroup_folders;
use crate::sys::fork;

/// A cgroup, removed when dropped.
pub(super) struct Cgroup {
    folder: PathBuf,
    version: Version,
    runner: Option<u64>,
    highest: Sample,
    /// The most page cache of all samples, which may have been at another moment.
    most_page_cache: Option<u64>,
    samples: u64,
    /// In version 2: see [`Account::peak_from_here()`].
    peak_from_here: Option<Account>,
    /// The mark as it was before the clock started, where it could not be put back: if it is still the same, it is of the runner's
    /// own start.
    mark_before: Option<u64>,
    /// The marks when the clock had stopped.
    at_end: Option<Marks>,
    /// Pages that the machine had written to swap when it started.
    swapped_before: Option<u64>,
    stat: Account,
    usage: Account,
    /// In version 1 only: the other has it in `stat`.
    kernel: Account,
}

/// A file of a cgroup that is read again and again: opened once, and into room that is there already, so that a sample takes
/// the controller as little as it can.
struct Account {
    path: PathBuf,
    file: Option<File>,
    room: Vec<u8>,
}

impl Account {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, room: Vec::new() }
    }

    /// A `memory.peak` of version 2 whose peak counts from now on: from Linux 6.12 on, for whoever reads it by this very file.
    fn peak_from_here(path: PathBuf) -> io::Result<Self> {
        let mut file = File::options().read(true).write(true).open(&path)?;
        file.write_all(b"0")?;
        Ok(Self { file: Some(file), ..Self::new(path) })
    }

    /// What it says now.
    fn text(&mut self) -> Option<&str> {
        const ROOM: usize = 8 << 10;
        if self.file.is_none() {
            self.file = Some(File::open(&self.path).ok()?);
        }
        if self.room.is_empty() {
            self.room.resize(ROOM, 0);
        }
        let file = self.file.as_ref()?;
        let mut end = 0;
        loop {
            let read = file.read_at(&mut self.room[end..], end as u64).ok()?;
            end += read;
            // The kernel makes the text of such a file as a whole: where there was room for more, that was all.
            if read == 0 || end < self.room.len() {
                return std::str::from_utf8(&self.room[..end]).ok();
            }
            if end == self.room.len() {
                self.room.resize(2 * end, 0);
            }
        }
    }

    /// The one number that it says.
    fn number(&mut self) -> Option<u64> {
        self.text()?.trim().parse().ok()
    }
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

/// The kernel's own marks when the clock had stopped, in bytes.
#[derive(Debug, Clone, Copy)]
struct Marks {
    /// The most that there was, page cache included.
    peak: Option<u64>,
    /// The most that the kernel had itself, in version 1.
    kernel: Option<u64>,
    /// Page cache that was left, if it could be read.
    page_cache: Option<u64>,
    /// What the machine had written to swap meanwhile.
    swapped_out: u64,
}

/// What a cgroup of version 2 can be held to, its parts of what there is included.
const LIMITS: [&str; 9] = [
    "cpu.max",
    "cpu.weight",
    "cpuset.cpus",
    "cpuset.mems",
    "io.max",
    "memory.high",
    "memory.max",
    "memory.swap.max",
    "pids.max",
];

/// Less page cache than this is less than what the kernel charges a core in one batch.
const LITTLE_CACHE: u64 = 64 << 10;

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

    /// Makes the cgroup `folder`, and adds to `processes_started` how many it took to try whether it can be entered.
    pub(super) fn create(folder: PathBuf, processes_started: &mut u64) -> io::Result<Self> {
        fs::create_dir(&folder)?;
        let version = version_of(&folder);
        let this = Self::of(folder, version);
        if version == Version::Two
            && let Some(own) = cgroup_folders("memory").into_iter().next()
        {
            hold_to_limits_of(&own, &this.folder)?;
        }
        // A folder that does not account for memory, or that nobody may enter, is of no use (and is removed by the drop).
        if this.peak().is_none() {
            return Err(io::Error::other("the cgroup has no account of peak memory"));
        }
        *processes_started += 1;
        if !fork::can_enter(&this.folder.join("cgroup.procs")) {
            return Err(io::Error::other("the cgroup can be made, but not entered"));
        }
        Ok(this)
    }

    fn of(folder: PathBuf, version: Version) -> Self {
        let account = |file: &str| Account::new(folder.join(file));
        let usage = match version {
            Version::One => "memory.usage_in_bytes",
            Version::Two => "memory.current",
        };
        Self {
            stat: account("memory.stat"),
            usage: account(usage),
            kernel: account("memory.kmem.usage_in_bytes"),
            folder,
            version,
            peak_from_here: None,
            mark_before: None,
            at_end: None,
            swapped_before: None,
            runner: None,
            highest: Sample::default(),
            most_page_cache: None,
            samples: 0,
        }
    }

    pub(super) fn admit(&self, command: &mut Command) -> io::Result<()> {
        fork::enter_on_start(command, &self.folder.join("cgroup.procs"))
    }

    pub(super) fn begin(&mut self) {
        (self.highest, self.most_page_cache, self.samples) = (Sample::default(), None, 0);
        self.runner = self.read().map(Sample::without_page_cache);
        (self.at_end, self.swapped_before) = (None, kernel::pages_swapped_out());
        // The peak so far is the start of a program: of no interest. Not every kernel allows this.
        match self.version {
            Version::One => {
                for file in ["memory.max_usage_in_bytes", "memory.kmem.max_usage_in_bytes"] {
                    let _ = fs::write(self.folder.join(file), "0");
                }
            }
            Version::Two => {
                self.peak_from_here = Account::peak_from_here(self.folder.join("memory.peak")).ok();
                self.mark_before = if self.peak_from_here.is_none() { self.peak() } else { None };
            }
        }
    }

    pub(super) fn sample(&mut self) {
        if let Some(sample) = self.read() {
            self.samples += 1;
            self.most_page_cache = self.most_page_cache.max(Some(sample.page_cache));
            if sample.without_page_cache() >= self.highest.without_page_cache() {
                self.highest = sample;
            }
        }
    }

    /// Notes the kernel's marks as they are.
    pub(super) fn over(&mut self) {
        self.at_end = Some(self.marks());
    }

    fn marks(&mut self) -> Marks {
        let since_begin = self.peak_from_here.as_mut().and_then(Account::number);
        let swapped_out = self.swapped_before.zip(kernel::pages_swapped_out());
        Marks {
            peak: since_begin.or_else(|| self.peak().filter(|mark| Some(*mark) != self.mark_before)),
            kernel: self.number("memory.kmem.max_usage_in_bytes"),
            // What is charged now outlives the processes.
            page_cache: self.read().map(|left| left.page_cache),
            swapped_out: swapped_out.map_or(0, |(before, now)| now.saturating_sub(before))
                * procfs::page_size(),
        }
    }

    pub(super) fn finish(mut self) -> MemoryReading {
        // A round that came to no end has no other.
        let Marks { peak: mark, kernel: most_of_kernel, page_cache: left, swapped_out } =
            self.at_end.take().unwrap_or_else(|| self.marks());
        let page_cache = self.most_page_cache.max(left);
        let sampled = self.highest.without_page_cache();
        // The mark counts page cache too, of whatever moment. Where there never was much of it, it is the better figure.
        let exact = mark
            .filter(|mark| page_cache.is_some_and(|page_cache| page_cache < (mark / 50).max(LITTLE_CACHE)))
            .map(|mark| mark.saturating_sub(self.highest.page_cache));
        let peak_bytes = exact.or((self.samples > 0).then_some(sampled));
        let speaks = peak_bytes.is_some_and(|peak| self.samples > 0 && sampled as f64 >= SEEN * peak as f64);
        // What the kernel had when there was most; in version 1, where nobody saw that, the most that it had at any time.
        let seen = speaks.then_some(self.highest.kernel);
        // A kernel that was told not to account for its own memory says 0, which no process costs.
        let told = |bytes: u64, from: PeakFrom| (bytes > 0).then_some((bytes, from));
        let kernel = match self.version {
            Version::One => match most_of_kernel {
                None | Some(0) => Err(Missing::KernelDoesNotTell),
                Some(most) => {
                    let seen = seen.and_then(|kernel| told(kernel, PeakFrom::Samples));
                    Ok(seen.unwrap_or((most, PeakFrom::HighWaterMark)))
                }
            },
            Version::Two => seen
                .ok_or(Missing::BetweenLooks)
                .and_then(|kernel| told(kernel, PeakFrom::Samples).ok_or(Missing::KernelDoesNotTell)),
        };
        self.remove();
        let peak_from = if exact.is_some() { PeakFrom::HighWaterMark } else { PeakFrom::Samples };
        let kernel_bytes = kernel.ok().map(|(bytes, _)| bytes);
        // Both parts are of one moment, which is the peak's or nearly: their sum may be less than the mark. Of the mark itself only
        // as much is told as cannot be the kernel's.
        let user = match kernel {
            Ok((bytes, PeakFrom::Samples)) => Some(sampled.saturating_sub(bytes)),
            Ok((bytes, PeakFrom::HighWaterMark)) => peak_bytes.map(|peak| peak.saturating_sub(bytes)),
            Err(_) => None,
        };
        MemoryReading {
            peak_bytes,
            user_bytes: user,
            kernel_bytes,
            page_cache_bytes: page_cache,
            page_cache_missing: page_cache.is_none().then_some(Missing::NoAccount),
            runner_bytes: self.runner,
            peak_from: peak_bytes.map(|_| peak_from),
            kernel_from: kernel.ok().map(|(_, from)| from),
            samples: Some(self.samples),
            processes_read: None,
            processes_seen: None,
            alive_seen: None,
            peak_missing: peak_bytes.is_none().then_some(Missing::NoAccount),
            samples_near_peak: None,
            is_least: false,
            swapped_out_bytes: (swapped_out > 0).then_some(swapped_out),
            kernel_is_least: false,
            kernel_uncertain_bytes: None,
            user_uncertain_bytes: None,
            kernel_missing: kernel.err(),
        }
    }

    pub(super) fn method(&self) -> Method {
        match self.version {
            Version::One => Method::CgroupV1,
            Version::Two => Method::CgroupV2,
        }
    }

    fn peak(&self) -> Option<u64> {
        self.number(match self.version {
            Version::One => "memory.max_usage_in_bytes",
            Version::Two => "memory.peak",
        })
    }

    fn read(&mut self) -> Option<Sample> {
        let usage = self.usage.number()?;
        let kernel = match self.version {
            Version::One => self.kernel.number().unwrap_or(0),
            Version::Two => 0,
        };
        let stat = self.stat.text()?;
        let field = |name: &str| {
            stat.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<u64>().ok())
        };
        // In both versions what lies in shared memory is counted with the page cache.
        Some(match self.version {
            Version::One => {
                Sample { usage, kernel, page_cache: field("cache")?.saturating_sub(field("shmem")?) }
            }
            Version::Two => Sample {
                usage,
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

/// Holds a cgroup of version 2 to the limits that `own` has itself. Beside it, a round would run outside them.
fn hold_to_limits_of(own: &Path, beside: &Path) -> io::Result<()> {
    for name in LIMITS {
        let limit = |folder: &Path| fs::read_to_string(folder.join(name));
        // A controller that is not enabled has no files, and the outermost cgroup has no limits.
        let (Ok(limit), Ok(new)) = (limit(own), limit(beside)) else { continue };
        if limit != new {
            // Of devices there is one to a line, and the kernel takes one at a time.
            limit.lines().try_for_each(|line| fs::write(beside.join(name), line))?;
        }
    }
    Ok(())
}

fn version_of(folder: &Path) -> Version {
    if folder.join("cgroup.controllers").exists() { Version::Two } else { Version::One }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cgroup made of plain files, in a folder of its own.
    fn accounts(version: Version, files: &[(&str, &str)]) -> (tempfile::TempDir, Cgroup) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let cgroup = Cgroup::of(folder.path().to_owned(), version);
        (folder, cgroup)
    }

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_cgroup_beside_ones_own_is_held_to_the_same_limits() {
        let both = [("cpu.max", "max 100000\n"), ("memory.max", "max\n"), ("pids.max", "max\n")];
        let (own, _) = accounts(Version::Two, &both);
        let (beside, _) = accounts(Version::Two, &both);
        fs::write(own.path().join("cpu.max"), "50000 100000\n").unwrap();
        fs::write(own.path().join("memory.max"), "209715200\n").unwrap();
        fs::write(own.path().join("io.max"), "of a controller that is enabled nowhere else").unwrap();
        hold_to_limits_of(own.path(), beside.path()).unwrap();
        let limit = |name: &str| fs::read_to_string(beside.path().join(name)).unwrap_or_default();
        assert_eq!(["cpu.max", "memory.max", "pids.max"].map(limit), ["50000 100000", "209715200", "max\n"]);
        assert_eq!(limit("io.max"), "");
    }

    #[test]
    fn version_two_tells_the_kernels_share_and_leaves_out_page_cache_but_not_shared_memory() {
        let stat = format!("anon {}\nfile {}\nkernel {}\nshmem {}\n", 5 * MIB, 4 * MIB, 2 * MIB, MIB);
        let (folder, mut cgroup) = accounts(
            Version::Two,
            &[("cgroup.controllers", "memory"), ("memory.stat", &stat), ("memory.current", "11534336")],
        );
        fs::write(folder.path().join("memory.peak"), "12582912\n").unwrap();
        assert_eq!(version_of(folder.path()), Version::Two);
        assert_eq!(cgroup.method(), Method::CgroupV2);
        cgroup.sample();
        let reading = cgroup.finish();
        assert_eq!(reading.peak_from, Some(PeakFrom::Samples), "the mark counts page cache");
        assert_eq!(reading.peak_bytes, Some(8 * MIB), "11 MiB but for 3 MiB of page cache");
        assert_eq!((reading.kernel_bytes, reading.user_bytes), (Some(2 * MIB), Some(6 * MIB)));
        assert_eq!(reading.page_cache_bytes, Some(3 * MIB));
    }

    #[test]
    fn a_peak_that_was_not_seen_is_exact_but_has_no_parts() {
        let stat = format!("file 0\nkernel {MIB}\nshmem 0\n");
        let (_folder, mut cgroup) = accounts(
            Version::Two,
            &[("memory.stat", &stat), ("memory.current", "2097152"), ("memory.peak", "104857600")],
        );
        cgroup.sample();
        let reading = cgroup.finish();
        assert_eq!(reading.peak_bytes, Some(100 * MIB));
        assert_eq!((reading.kernel_bytes, reading.user_bytes), (None, None), "2 MiB say nothing about 100");
        assert_eq!(reading.peak_from, Some(PeakFrom::HighWaterMark));
        assert_eq!(reading.kernel_missing, Some(Missing::BetweenLooks));
    }

    #[test]
    fn page_cache_that_came_and_went_before_the_peak_is_not_taken_for_memory() {
        let (folder, mut cgroup) = accounts(
            Version::One,
            &[
                ("memory.stat", "cache 209715200\nshmem 0\n"),
                ("memory.usage_in_bytes", "210763776"),
                ("memory.max_usage_in_bytes", "210763776"),
                ("memory.kmem.usage_in_bytes", "524288"),
                ("memory.kmem.max_usage_in_bytes", "524288"),
            ],
        );
        cgroup.sample();
        fs::write(folder.path().join("memory.stat"), "cache 0\nshmem 0\n").unwrap();
        fs::write(folder.path().join("memory.usage_in_bytes"), "20971520").unwrap();
        cgroup.sample();
        let reading = cgroup.finish();
        assert_eq!((reading.peak_bytes, reading.peak_from), (Some(20 * MIB), Some(PeakFrom::Samples)));
        assert_eq!(reading.page_cache_bytes, Some(200 * MIB));
    }

    #[test]
    fn a_mark_that_cannot_be_put_back_is_not_taken_for_the_rounds() {
        let stat = format!("file 0\nkernel {MIB}\nshmem 0\n");
        let (_folder, mut cgroup) = accounts(
            Version::Two,
            &[("memory.stat", &stat), ("memory.current", "2097152"), ("memory.peak", "8388608")],
        );
        // What the start of the runner took, before a kernel that lets nobody put it back.
        cgroup.mark_before = cgroup.peak();
        cgroup.sample();
        let reading = cgroup.finish();
        assert_eq!((reading.peak_bytes, reading.peak_from), (Some(2 * MIB), Some(PeakFrom::Samples)));
    }

    #[test]
    fn version_two_without_an_account_of_the_kernels_memory_has_none() {
        let (_folder, mut cgroup) = accounts(
            Version::Two,
            &[
                ("memory.stat", "file 0\nkernel 0\nshmem 0\n"),
                ("memory.current", "2097152"),
                ("memory.peak", "2097152"),
            ],
        );
        cgroup.sample();
        let reading = cgroup.finish();
        assert_eq!((reading.kernel_bytes, reading.user_bytes), (None, None));
        assert_eq!(reading.kernel_missing, Some(Missing::KernelDoesNotTell));
    }

    #[test]
    fn what_could_not_be_read_is_not_zero() {
        let (_folder, cgroup) = accounts(Version::One, &[]);
        let reading = cgroup.finish();
        assert_eq!((reading.peak_bytes, reading.page_cache_bytes), (None, None));
        assert_eq!(reading.page_cache_missing, Some(Missing::NoAccount));
    }

    #[test]
    fn version_one_without_an_account_of_the_kernels_memory_has_none() {
        let (_folder, mut cgroup) = accounts(
            Version::One,
            &[
                ("memory.stat", "cache 0\nshmem 0\n"),
                ("memory.usage_in_bytes", "2097152"),
                ("memory.max_usage_in_bytes", "2097152"),
                ("memory.kmem.usage_in_bytes", "0"),
                ("memory.kmem.max_usage_in_bytes", "0"),
            ],
        );
        cgroup.sample();
        let reading = cgroup.finish();
        assert_eq!((reading.peak_bytes, reading.kernel_bytes), (Some(2 * MIB), None));
        assert_eq!(reading.kernel_missing, Some(Missing::KernelDoesNotTell));
        assert_eq!(reading.user_bytes, None, "what is left when nothing is known is not known either");
    }
}
