//! What limits the number of processes on this machine, and how much of it is in use.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// How much of it is in use.
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

impl Limits {
    /// Reads the limits that hold for this process and its children.
    pub fn read() -> Self {
        let threads_now = threads_on_this_machine();
        let mut all = Vec::new();
        let mut add = |name: &str, kind, value: Option<u64>, in_use: u64, advice: String| {
            if let Some(value) = value {
                all.push(Limit { name: name.into(), kind, value, in_use, advice });
            }
        };
        let pid_max = number_in("/proc/sys/kernel/pid_max");
        add(
            "kernel.pid_max",
            LimitKind::Processes,
            pid_max,
            threads_now,
            "sysctl -w kernel.pid_max=4194304 (as root)".into(),
        );
        let threads_max = number_in("/proc/sys/kernel/threads-max");
        add(
            "kernel.threads-max",
            LimitKind::Processes,
            threads_max,
            threads_now,
            "sysctl -w kernel.threads-max=N (as root)".into(),
        );
        if let Some((value, in_use)) = process_limit_of_user() {
            add(
                "RLIMIT_NPROC",
                LimitKind::Processes,
                Some(value),
                in_use,
                "ulimit -u N, or nproc in /etc/security/limits.conf".into(),
            );
        }
        if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
            && hard != RLIM_INFINITY
        {
            // Whoever needs many raises its own limit as far as it may.
            let advice = "ulimit -Hn N (as root), or nofile in /etc/security/limits.conf".into();
            add("RLIMIT_NOFILE", LimitKind::Files, Some(hard), 0, advice);
        }
        if let Ok(meminfo) = meminfo() {
            add(
                "MemAvailable",
                LimitKind::Memory,
                meminfo.mem_available,
                0,
                "free memory, or give each task less".into(),
            );
        }
        for folder in cgroup_folders("pids") {
            let (value, in_use) =
                (number_in(folder.join("pids.max")), number_in(folder.join("pids.current")));
            let file = folder.join("pids.max");
            add(
                &format!("pids.max of {}", folder.display()),
                LimitKind::Processes,
                value,
                in_use.unwrap_or(0),
                format!("echo max > {} (as root), or TasksMax= of the systemd unit", file.display()),
            );
        }
        for folder in cgroup_folders("memory") {
            for (limit, usage) in
                [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")]
            {
                // Version 1 says "no limit" with a number larger than any memory.
                let value = number_in(folder.join(limit)).filter(|value| *value < 1 << 60);
                let reclaimable = reclaimable_bytes(&folder);
                let in_use = number_in(folder.join(usage)).unwrap_or(0).saturating_sub(reclaimable);
                add(
                    &format!("{limit} of {}", folder.display()),
                    LimitKind::Memory,
                    value,
                    in_use,
                    format!("raise {}", folder.join(limit).display()),
                );
            }
        }
        Self { all }
    }

    /// Those on open files alone.
    pub fn of_files(&self) -> Self {
        let of_files = self.all.iter().filter(|limit| limit.kind == LimitKind::Files);
        Self { all: of_files.cloned().collect() }
    }

    /// Bytes that are free under every limit on memory.
    pub fn memory_available(&self) -> Option<u64> {
        self.all
            .iter()
            .filter(|limit| limit.kind == LimitKind::Memory)
            .map(|limit| limit.value.saturating_sub(limit.in_use))
            .min()
    }
}

fn meminfo() -> procfs::ProcResult<procfs::Meminfo> {
    use procfs::Current;
    procfs::Meminfo::current()
}

/// Page cache that the kernel gives back when a cgroup needs memory.
fn reclaimable_bytes(folder: &Path) -> u64 {
    let Ok(text) = fs::read_to_string(folder.join("memory.stat")) else { return 0 };
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<u64>().ok())
    };
    field("inactive_file").unwrap_or(0)
}

/// A file that holds one number. `None` if it is not there, or says `max`.
fn number_in(path: impl AsRef<Path>) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Processes and threads that exist now, from the last but one field of /proc/loadavg.
fn threads_on_this_machine() -> u64 {
    fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| text.split_whitespace().nth(3)?.split('/').nth(1)?.parse().ok())
        .unwrap_or(0)
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
    let Ok(text) = fs::read_to_string("/proc/self/cgroup") else { return Vec::new() };
    let mut found = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let roots: &[PathBuf] = if controllers.is_empty() {
            &["/sys/fs/cgroup".into(), "/sys/fs/cgroup/unified".into()]
        } else if controllers.split(',').any(|name| name == controller) {
            &[Path::new("/sys/fs/cgroup").join(controllers), Path::new("/sys/fs/cgroup").join(controller)]
        } else {
            continue;
        };
        for root in roots {
            let own = root.join(path.trim_start_matches('/'));
            for folder in own.ancestors().take_while(|folder| folder.starts_with(root)) {
                if folder.join("cgroup.procs").exists() && !found.contains(&folder.to_path_buf()) {
                    found.push(folder.to_path_buf());
                }
            }
        }
    }
    found
}
