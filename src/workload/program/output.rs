//! Where what programs write is kept: a folder with files for each task.

use std::fs::{File, create_dir_all};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, ensure};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, unlinkat};

use crate::workload::Failure;

/// An open folder. Files are made in it by descriptor, so none is made anywhere else, whatever happens to its path.
#[derive(Debug)]
pub struct Folder {
    folder: OwnedFd,
}

impl Folder {
    /// Opens the folder `path`, making it where it is missing. It may not be a link.
    ///
    /// # Errors
    /// If it cannot be made or opened.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        ensure!(!path.is_symlink(), "{shown} is a link, which is not followed");
        ensure!(!path.exists() || path.is_dir(), "{shown} is not a folder");
        create_dir_all(path).with_context(|| format!("failed to make the folder {shown}"))?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let folder = nix::fcntl::open(path, flags, Mode::empty())
            .map_err(io::Error::from)
            .with_context(|| format!("failed to open the folder {shown}"))?;
        Ok(Self { folder })
    }

    /// Refuses where no file can be made in it, which is at `path`.
    ///
    /// # Errors
    /// Why not.
    pub fn require_writable(&self, path: &Path) -> anyhow::Result<()> {
        faccessat(self.folder.as_fd(), ".", AccessFlags::W_OK | AccessFlags::X_OK, AtFlags::AT_EACCESS)
            .map_err(io::Error::from)
            .with_context(|| format!("nothing can be written into {}", path.display()))
    }

    /// Removes the files whose names are `before`, a number, and `after`.
    ///
    /// # Errors
    /// If the folder cannot be read, or one of them cannot be removed.
    pub fn remove_numbered(&self, before: &str, after: &str) -> io::Result<()> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let own = openat(self.folder.as_fd(), ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        for entry in Dir::from_fd(own)?.iter() {
            let entry = entry?;
            let name = entry.file_name().to_str().unwrap_or_default();
            if name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some_and(is_number) {
                match unlinkat(self.folder.as_fd(), entry.file_name(), UnlinkatFlags::NoRemoveDir) {
                    // Somebody else's folder, or somebody else was faster.
                    Err(Errno::EISDIR | Errno::EPERM | Errno::ENOENT) => {}
                    removed => removed?,
                }
            }
        }
        Ok(())
    }

    /// A new file `name`. What was there under that name, also a link, is removed first.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn file(&self, name: &str) -> Result<File, Failure> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let create = || openat(self.folder.as_fd(), name, flags, Mode::from_bits_truncate(0o666));
        let file = match create() {
            Err(Errno::EEXIST) => {
                unlinkat(self.folder.as_fd(), name, UnlinkatFlags::NoRemoveDir).and_then(|()| create())
            }
            other => other,
        };
        file.map(File::from).map_err(|errno| Failure::Output(errno as i32))
    }
}

/// `name` as the name of a folder: bytes that could lead elsewhere or confuse a shell become `%` and their number, so that
/// two names stay two.
pub fn safe_name(name: &str) -> String {
    let mut safe = String::new();
    for byte in name.bytes() {
        match byte {
            b'.' if safe.is_empty() => safe.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'=' | b':' | b'#' | b',' => {
                safe.push(byte.into());
            }
            _ => safe.push_str(&format!("%{byte:02X}")),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        assert_eq!(safe_name("pool:workers=4x:chunk=1"), "pool:workers=4x:chunk=1");
        assert_eq!(safe_name("a b/c"), "a%20b%2Fc");
        for name in ["..", "../../etc", "/etc", "a b\n", ".hidden", "é"] {
            let safe = safe_name(name);
            assert_ne!(safe, "");
            assert!(!safe.contains('/') && !safe.starts_with('.') && safe.is_ascii(), "{safe}");
        }
    }

    #[test]
    fn files_of_workers_are_removed_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let others = ["worker-.err", "worker-1.out", "worker-x1.err", "1.err", "worker-1.err.old"];
        for name in others.into_iter().chain(["worker-1.err", "worker-27.err"]) {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        Folder::open(folder.path()).unwrap().remove_numbered("worker-", ".err").unwrap();
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut left: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        left.sort_unstable();
        let mut expected = others.map(String::from);
        expected.sort_unstable();
        assert_eq!(left, expected);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(outside.path(), "precious").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("1.out")).unwrap();
        let opened = Folder::open(folder.path()).unwrap();
        std::io::Write::write_all(&mut opened.file("1.out").unwrap(), b"new").unwrap();
        assert_eq!(std::fs::read(outside.path()).unwrap(), b"precious");
        assert_eq!(std::fs::read(folder.path().join("1.out")).unwrap(), b"new");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(Folder::open(&link).is_err());
    }
}
