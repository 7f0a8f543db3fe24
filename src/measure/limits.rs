//! What limits the number of processes on this machine, and how much of it is in use.

use std::path::{Path, PathBuf};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::environment::Root;
use super::environment::source::{meminfo_bytes, number_field};

/// Everything that limits how many processes can be alive at once.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Each limit that there is; one that cannot be read is left out.
    pub all: Vec<Limit>,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// Its name, as a user would look for it.
    pub name: String,
    /// What it counts.
    pub kind: LimitKind,
    /// Its value, in processes, bytes or files.
    pub value: u64,
    /// How much of it is in use, or kept back by the kernel.
    pub in_use: u64,
    /// How to raise it.
    pub advice: String,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LimitKind {
    /// Processes and threads.
    Processes,
    /// Bytes.
    Memory,
    /// Files that one process may have open.
    Files,
}

/// Limits of this process alone, which system calls tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OfProcess {
    /// `RLIMIT_NPROC` and how many threads the user has; `None` where it does not hold.
    pub processes: Option<(u64, u64)>,
    /// The most files that this process may let itself open; `None` if there is no such limit.
    pub open_files: Option<u64>,
}

/// Process ids that the kernel does not give out again once it has begun anew from the lowest (`RESERVED_PIDS`).
const RESERVED_PIDS: u64 = 300;

impl Limits {
    /// Reads the limits that hold for this process and its children.
    pub fn read() -> Self {
        Self::read_under(&Root::system(), OfProcess::read())
    }

    /// Reads what files tell under `root`; what system calls tell is `own`.
    pub fn read_under(root: &Root, own: OfProcess) -> Self {
        let processes = own.processes.map(|(value, in_use)| Limit {
            name: "RLIMIT_NPROC".into(),
            kind: LimitKind::Processes,
            value,
            in_use,
            advice: "ulimit -u N, or nproc in /etc/security/limits.conf".into(),
        });
        let files = own.open_files.map(|value| Limit {
            name: "RLIMIT_NOFILE".into(),
            kind: LimitKind::Files,
            value,
            in_use: 0,
            // Whoever needs many raises its own limit as far as it may.
            advice: "ulimit -Hn N (as root), or nofile in /etc/security/limits.conf".into(),
        });
        let all = of_machine(root).into_iter().chain(processes).chain(files).chain(of_cgroups(root));
        Self { all: all.collect() }
    }

    /// Those of `kinds` alone.
    pub fn of(&self, kinds: &[LimitKind]) -> Self {
        let of_kinds = self.all.iter().filter(|limit| kinds.contains(&limit.kind));
        Self { all: of_kinds.cloned().collect() }
    }

    /// How many files a process may open, at most; `None` if there is no such limit.
    pub fn open_files(&self) -> Option<u64> {
        self.all.iter().filter(|limit| limit.kind == LimitKind::Files).map(|limit| limit.value).min()
    }

    /// The limit on memory that leaves the least, and the bytes that it leaves.
    pub fn tightest_memory(&self) -> Option<(&Limit, u64)> {
        self.all
            .iter()
            .filter(|limit| limit.kind == LimitKind::Memory)
            .map(|limit| (limit, limit.value.saturating_sub(limit.in_use)))
            .min_by_key(|(_, free)| *free)
    }
}

impl OfProcess {
    /// Those of this process.
    pub fn read() -> Self {
        let open_files = getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(_, hard)| hard);
        Self {
            processes: process_limit_of_user(),
            open_files: open_files.filter(|hard| *hard != RLIM_INFINITY),
        }
    }
}

/// What holds for everybody on this machine, or in this container.
fn of_machine(root: &Root) -> Vec<Limit> {
    let kernel = |name: &str| root.number(Path::new("/proc/sys/kernel").join(name)).ok();
    let threads = threads_on_this_machine(root);
    let pid_max = kernel("pid_max").map(|value| Limit {
        name: "kernel.pid_max".into(),
        kind: LimitKind::Processes,
        value,
        in_use: threads + RESERVED_PIDS,
        advice: "sysctl -w kernel.pid_max=4194304 (as root)".into(),
    });
    let threads_max = kernel("threads-max").map(|value| Limit {
        name: "kernel.threads-max".into(),
        kind: LimitKind::Processes,
        value,
        in_use: threads,
        advice: "sysctl -w kernel.threads-max=N (as root)".into(),
    });
    let available = root.text("/proc/meminfo").and_then(|text| meminfo_bytes(&text, "MemAvailable"));
    let available = available.ok().map(|value| Limit {
        name: "MemAvailable".into(),
        kind: LimitKind::Memory,
        value,
        in_use: 0,
        advice: "free memory, or ask for less".into(),
    });
    [pid_max, threads_max, available].into_iter().flatten().collect()
}

/// What holds for the cgroups that this process is in, up to the outermost.
fn of_cgroups(root: &Root) -> Vec<Limit> {
    let mut all = Vec::new();
    for folder in cgroup_folders_under(root, "pids") {
        let file = folder.join("pids.max");
        all.extend(root.number(&file).ok().map(|value| Limit {
            name: format!("pids.max of {}", folder.display()),
            kind: LimitKind::Processes,
            value,
            in_use: root.number(folder.join("pids.current")).unwrap_or(0),
            advice: format!("echo max > {} (as root), or TasksMax= of the systemd unit", file.display()),
        }));
    }
    for folder in cgroup_folders_under(root, "memory") {
        for (limit, usage) in
            [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")]
        {
            let file = folder.join(limit);
            // Version 1 says "no limit" with a number larger than any memory.
            let value = root.number(&file).ok().filter(|value| *value < 1 << 60);
            let in_use = root.number(folder.join(usage)).unwrap_or(0);
            all.extend(value.map(|value| Limit {
                name: format!("{limit} of {}", folder.display()),
                kind: LimitKind::Memory,
                value,
                in_use: in_use.saturating_sub(reclaimable_bytes(root, &folder)),
                advice: format!("raise {}", file.display()),
            }));
        }
    }
    all
}

/// Page cache that the kernel gives back when a cgroup needs memory.
fn reclaimable_bytes(root: &Root, folder: &Path) -> u64 {
    let text = root.text(folder.join("memory.stat"));
    text.and_then(|text| number_field(&text, "inactive_file", "memory.stat")).unwrap_or(0)
}

/// Processes and threads that exist now, from the last but one field of /proc/loadavg.
fn threads_on_this_machine(root: &Root) -> u64 {
    let text = root.text("/proc/loadavg").unwrap_or_default();
    let field = text.split_whitespace().nth(3).and_then(|field| field.split('/').nth(1));
    field.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// `RLIMIT_NPROC` and how many threads the user has; `None` where the limit does not hold for this process.
fn process_limit_of_user() -> Option<(u64, u64)> {
    // The kernel lets root, and whoever may raise the limit, pass it.
    if nix::unistd::Uid::effective().is_root() {
        return None;
    }
    let (soft, _) = getrlimit(Resource::RLIMIT_NPROC).ok()?;
    if soft == RLIM_INFINITY {
        return None;
    }
    let user = nix::unistd::Uid::current().as_raw();
    let threads = procfs::process::all_processes()
        .map(|processes| {
            processes
                .flatten()
                .filter_map(|process| process.status().ok())
                .filter(|status| status.ruid == user)
                .map(|status| status.threads)
                .sum()
        })
        .unwrap_or(0);
    Some((soft, threads))
}

/// The folder of this process's cgroup for `controller`, and those above it, as far as they can be seen.
pub fn cgroup_folders(controller: &str) -> Vec<PathBuf> {
    cgroup_folders_under(&Root::system(), controller)
}

/// The same under `root`; the paths are those that the system there would have.
fn cgroup_folders_under(root: &Root, controller: &str) -> Vec<PathBuf> {
    let Ok(text) = root.text("/proc/self/cgroup") else { return Vec::new() };
    let mut found = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let mounts: &[PathBuf] = if controllers.is_empty() {
            &["/sys/fs/cgroup".into(), "/sys/fs/cgroup/unified".into()]
        } else if controllers.split(',').any(|name| name == controller) {
            &[Path::new("/sys/fs/cgroup").join(controllers), Path::new("/sys/fs/cgroup").join(controller)]
        } else {
            continue;
        };
        for mount in mounts {
            let own = mount.join(path.trim_start_matches('/'));
            for folder in own.ancestors().take_while(|folder| folder.starts_with(mount)) {
                if root.exists(folder.join("cgroup.procs")) && !found.contains(&folder.to_path_buf()) {
                    found.push(folder.to_path_buf());
                }
            }
        }
    }
    found
}
