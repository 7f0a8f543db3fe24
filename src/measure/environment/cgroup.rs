//! What the cgroups that hold this process allow it of the CPUs.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::source::{Found, Root, field, number_field, quoted};

/// How much CPU time cgroups let this process use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quota {
    /// As much as there is.
    Unlimited,
    /// As much as this many cores have, however many it runs on.
    Cores(f64),
}

/// How often and for how long the quotas of this process's cgroups stopped the tasks in them, since they were created.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Throttling {
    /// Enforcement periods in which tasks were stopped.
    pub periods: u64,
    /// For how long, summed over the CPUs.
    pub seconds: f64,
}

/// The versions of cgroups that this process is under, in order.
pub(super) fn versions(root: &Root) -> Found<Vec<u8>> {
    let text = root.text("/proc/self/cgroup")?;
    let versions: BTreeSet<u8> = memberships(&text)
        .filter(|member| !member.controllers.starts_with("name="))
        .map(|member| if member.controllers.is_empty() { 2 } else { 1 })
        .collect();
    if versions.is_empty() {
        return Err("/proc/self/cgroup names no cgroup".into());
    }
    Ok(versions.into_iter().collect())
}

/// The smallest quota of the cgroups that hold this process.
pub(super) fn quota(root: &Root) -> Found<Quota> {
    let mut smallest = Quota::Unlimited;
    for folder in cpu_folders(root)? {
        for file in ["cpu.max", "cpu.cfs_quota_us"] {
            let file = folder.join(file);
            if !root.exists(&file) {
                continue; // The topmost cgroup has none.
            }
            if let Some(cores) = quota_in(root, &folder, &file)? {
                smallest = match smallest {
                    Quota::Cores(before) if before <= cores => smallest,
                    _ => Quota::Cores(cores),
                };
            }
        }
    }
    Ok(smallest)
}

/// The quota in `file`, in cores; `None` if it sets none.
fn quota_in(root: &Root, folder: &Path, file: &Path) -> Found<Option<f64>> {
    let text = root.text(file)?;
    let garbled = || format!("{} says {}", file.display(), quoted(&text));
    // Version 2 has both numbers in one file, version 1 one in each.
    let (quota, period) = match text.split_once(' ') {
        Some((quota, period)) => (quota, period.trim().parse().map_err(|_| garbled())?),
        None if file.ends_with("cpu.max") => (text.as_str(), 100_000),
        None => (text.as_str(), root.number(folder.join("cpu.cfs_period_us"))?),
    };
    if quota == "max" || quota == "-1" {
        return Ok(None);
    }
    let quota: u64 = quota.parse().map_err(|_| garbled())?;
    if quota == 0 || period == 0 {
        return Err(garbled());
    }
    Ok(Some(quota as f64 / period as f64))
}

/// Throttling by all cgroups that hold this process. Those without a quota add nothing.
pub(super) fn throttling(root: &Root) -> Found<Throttling> {
    let mut sum = Throttling { periods: 0, seconds: 0.0 };
    for folder in cpu_folders(root)? {
        let file = folder.join("cpu.stat");
        if !root.exists(&file) {
            continue;
        }
        let (text, name) = (root.text(&file)?, file.display().to_string());
        // Version 2 has the file for every cgroup, but these lines only where a quota can be set.
        if field(&text, "nr_throttled").is_none() {
            continue;
        }
        let periods = number_field(&text, "nr_throttled", &name)?;
        let seconds = if field(&text, "throttled_usec").is_some() {
            number_field(&text, "throttled_usec", &name)? as f64 / 1e6
        } else {
            number_field(&text, "throttled_time", &name)? as f64 / 1e9
        };
        sum = Throttling { periods: sum.periods.saturating_add(periods), seconds: sum.seconds + seconds };
    }
    Ok(sum)
}

/// A line of /proc/self/cgroup.
#[derive(Clone, Copy)]
struct Member<'a> {
    /// Empty for version 2.
    controllers: &'a str,
    path: &'a str,
}

fn memberships(text: &str) -> impl Iterator<Item = Member<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Member { controllers, path })
    })
}

/// The cgroups for CPU time that hold this process, from its own up, as far as they can be seen.
fn cpu_folders(root: &Root) -> Found<Vec<PathBuf>> {
    let text = root.text("/proc/self/cgroup")?;
    let first = memberships(&text).find(|member| member.controllers.split(',').any(|name| name == "cpu"));
    // Where both versions are mounted, a controller is with one of them.
    let (member, mounts) = match first {
        Some(member) => {
            (member, vec![format!("/sys/fs/cgroup/{}", member.controllers), "/sys/fs/cgroup/cpu".into()])
        }
        None => (
            memberships(&text)
                .find(|member| member.controllers.is_empty())
                .ok_or("/proc/self/cgroup names no cgroup for CPU time")?,
            vec!["/sys/fs/cgroup".into(), "/sys/fs/cgroup/unified".into()],
        ),
    };
    // Seen from inside another namespace, a path may lie above the mount, or not under it at all.
    let below: &Path = Path::new(member.path.trim_start_matches('/'));
    let below = if below.components().all(|part| matches!(part, Component::Normal(_))) {
        below
    } else {
        Path::new("")
    };
    for mount in mounts {
        let own = Path::new(&mount).join(below);
        let found: Vec<PathBuf> = own
            .ancestors()
            .take_while(|folder| folder.starts_with(&mount))
            .filter(|folder| root.exists(folder.join("cgroup.procs")))
            .map(Path::to_path_buf)
            .collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err("the cgroups of this process cannot be seen in /sys/fs/cgroup".into())
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;

    #[test]
    fn the_smallest_quota_above_this_process_holds() {
        let tree = Tree::new()
            .file("/proc/self/cgroup", "0::/a/b\n")
            .file("/sys/fs/cgroup/cgroup.procs", "")
            .file("/sys/fs/cgroup/a/cgroup.procs", "")
            .file("/sys/fs/cgroup/a/cpu.max", "150000 100000\n")
            .file(
                "/sys/fs/cgroup/a/cpu.stat",
                "usage_usec 9\nnr_periods 10\nnr_throttled 3\nthrottled_usec 1500000\n",
            )
            .file("/sys/fs/cgroup/a/b/cgroup.procs", "")
            .file("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n")
            .file("/sys/fs/cgroup/a/b/cpu.stat", "usage_usec 9\n");
        assert_eq!(quota(&tree.root()), Ok(Quota::Cores(1.5)));
        assert_eq!(throttling(&tree.root()), Ok(Throttling { periods: 3, seconds: 1.5 }));
        assert_eq!(versions(&tree.root()), Ok(vec![2]));
    }

    #[test]
    fn version_1_is_read_where_it_holds_the_controller() {
        let tree = Tree::new()
            .file("/proc/self/cgroup", "4:cpu,cpuacct:/docker/x\n1:name=systemd:/\n0::/\n")
            .file("/sys/fs/cgroup/unified/cgroup.procs", "")
            .file("/sys/fs/cgroup/cpu,cpuacct/cgroup.procs", "")
            .file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n")
            .file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
            .file(
                "/sys/fs/cgroup/cpu,cpuacct/cpu.stat",
                "nr_periods 9\nnr_throttled 2\nthrottled_time 250000000\n",
            );
        assert_eq!(quota(&tree.root()), Ok(Quota::Cores(0.5)), "the container's own folder is the mount");
        assert_eq!(throttling(&tree.root()), Ok(Throttling { periods: 2, seconds: 0.25 }));
        assert_eq!(versions(&tree.root()), Ok(vec![1, 2]));
    }

    #[test]
    fn no_quota_is_unlimited_and_no_cgroup_is_unknown() {
        let free = Tree::new()
            .file("/proc/self/cgroup", "0::/../..\n")
            .file("/sys/fs/cgroup/cgroup.procs", "")
            .file("/sys/fs/cgroup/cpu.stat", "usage_usec 9\n");
        assert_eq!(quota(&free.root()), Ok(Quota::Unlimited));
        assert_eq!(throttling(&free.root()), Ok(Throttling { periods: 0, seconds: 0.0 }));

        for without in [Tree::new(), Tree::new().file("/proc/self/cgroup", "0::/\n")] {
            assert!(quota(&without.root()).is_err());
            assert!(throttling(&without.root()).is_err());
        }
    }

    #[test]
    fn a_garbled_quota_is_unknown_and_not_unlimited() {
        for garbage in ["", "x 100000", "5 0", "0 100000", "100000 y", "-5", "1 2 3"] {
            let tree = Tree::new()
                .file("/proc/self/cgroup", "0::/\n")
                .file("/sys/fs/cgroup/cgroup.procs", "")
                .file("/sys/fs/cgroup/cpu.max", garbage)
                .file("/sys/fs/cgroup/cpu.stat", "nr_throttled many\n");
            assert!(quota(&tree.root()).is_err(), "{garbage}");
            assert!(throttling(&tree.root()).is_err());
        }
    }
}
