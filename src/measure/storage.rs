//! What lies beneath a folder: a file system, and the device that it is on.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use procfs::process::Process;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where files of a folder go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Storage {
    /// The folder, from the root on.
    pub folder: PathBuf,
    /// The kind of file system; null where the kernel does not tell.
    pub file_system: Option<String>,
    /// What is mounted, such as `/dev/nvme0n1p2`; null where the kernel does not tell.
    pub device: Option<String>,
    /// Where it is mounted; null where the kernel does not tell.
    pub mount_point: Option<PathBuf>,
    /// What may still be written; as much as there can be where the file system has no such limit.
    pub available_bytes: u64,
    /// How many files may still be made; null where the file system has no such limit.
    pub available_files: Option<u64>,
}

/// File systems that have no disk.
const IN_MEMORY: [&str; 4] = ["tmpfs", "ramfs", "devtmpfs", "hugetlbfs"];
/// File systems that lie over others, which cannot be seen from here.
const ON_OTHERS: [&str; 3] = ["overlay", "aufs", "ecryptfs"];

impl Storage {
    /// What is beneath `folder`, which must not contain a symbolic link.
    ///
    /// # Errors
    /// If the file system does not answer.
    pub fn of(folder: PathBuf) -> io::Result<Self> {
        let space = statvfs(&folder)?;
        let mount = mount_of(&folder);
        let (file_system, device, mount_point) = match mount {
            Some(mount) => (Some(mount.file_system), mount.device, Some(mount.point)),
            None => (None, None, None),
        };
        Ok(Self {
            file_system,
            device,
            mount_point,
            available_bytes: match space.blocks() {
                // One that has no size of its own, such as ramfs.
                0 => i64::MAX as u64,
                _ => space.blocks_available().saturating_mul(space.fragment_size()),
            },
            available_files: (space.files() > 0).then(|| space.files_available()),
            folder,
        })
    }

    /// Whether nothing that is written there ever reaches a disk.
    pub fn is_in_memory(&self) -> bool {
        self.is_one_of(&IN_MEMORY)
    }

    /// Whether what is beneath cannot be seen from here.
    pub fn hides_its_device(&self) -> bool {
        self.is_one_of(&ON_OTHERS)
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        self.file_system.as_deref().is_some_and(|name| names.contains(&name))
    }
}

struct Mount {
    point: PathBuf,
    file_system: String,
    device: Option<String>,
}

/// The mount that `folder` is on: the last one of those nearest above it.
fn mount_of(folder: &Path) -> Option<Mount> {
    let mounts = Process::myself().ok()?.mountinfo().ok()?;
    let above = mounts.0.into_iter().filter(|mount| folder.starts_with(&mount.mount_point));
    let mount = above.max_by_key(|mount| mount.mount_point.components().count())?;
    Some(Mount { point: mount.mount_point, file_system: mount.fs_type, device: mount.mount_source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_no_disk_and_is_mounted_where_it_is() {
        let storage = Storage::of("/proc/self".into()).unwrap();
        assert_eq!(storage.file_system.as_deref(), Some("proc"));
        assert_eq!(storage.mount_point.as_deref(), Some(Path::new("/proc")));
        assert!(!storage.is_in_memory());
    }
}
