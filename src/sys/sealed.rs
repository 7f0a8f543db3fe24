//! Bytes that are written once and never change again: whoever is told where they are may map them.
//!
//! They lie in memory without a name (`memfd_create(2)`) and are sealed once they are complete. A forked child inherits the
//! mapping without copying a page table; another program opens them by path (`/proc/PID/fd/N` while that process has them
//! open, or `/proc/self/fd/N` for a descriptor that it has inherited).

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr::NonNull;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Without these, bytes could change or go away under whoever has mapped them.
const UNCHANGING: SealFlag = SealFlag::F_SEAL_WRITE.union(SealFlag::F_SEAL_SHRINK);

/// Makes a file in memory, has it filled by `fill`, and seals it. `name` is what /proc shows.
///
/// # Errors
/// What the kernel or `fill` says; `ENOSPC` or `ENOMEM` where there is no room.
pub fn create<R>(
    name: &std::ffi::CStr,
    fill: impl FnOnce(&mut File) -> io::Result<R>,
) -> io::Result<(File, R)> {
    let descriptor = memfd_create(name, MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC)?;
    let mut file = File::from(descriptor);
    let filled = fill(&mut file)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(UNCHANGING | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL))?;
    Ok((file, filled))
}

/// A file made by [`create`], mapped to be read. It need not stay open for that.
#[derive(Debug)]
pub struct Sealed {
    /// None if the file is empty: there is nothing to map.
    start: Option<NonNull<u8>>,
    len: usize,
}

// SAFETY: the bytes never change, so any thread may read them.
unsafe impl Send for Sealed {}
// SAFETY: as above.
unsafe impl Sync for Sealed {}

impl Sealed {
    /// Maps `file`.
    ///
    /// # Errors
    /// What `mmap` says; `EINVAL` if the file is not sealed, so that its bytes could change.
    pub fn map(file: &File) -> io::Result<Self> {
        let seals = SealFlag::from_bits_truncate(fcntl(file, FcntlArg::F_GET_SEALS)?);
        if !seals.contains(UNCHANGING) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let too_large = |_| io::Error::from_raw_os_error(libc::ENOMEM);
        let len = usize::try_from(file.metadata()?.len()).map_err(too_large)?;
        if len == 0 {
            return Ok(Self { start: None, len });
        }
        // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start: NonNull::new(start.cast()), len })
    }

    /// Maps the file at `path`.
    ///
    /// # Errors
    /// As [`Self::map`], and what opening says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::map(&File::open(path)?)
    }
}

impl Deref for Sealed {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self.start {
            // SAFETY: `len` readable bytes are mapped there until `self` is dropped, and the seals keep everyone from
            // changing them or cutting them off.
            Some(start) => unsafe { std::slice::from_raw_parts(start.as_ptr(), self.len) },
            None => &[],
        }
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        if let Some(start) = self.start {
            // SAFETY: exactly the mapping made by `map`, and no view outlives `self`.
            unsafe { libc::munmap(start.as_ptr().cast(), self.len) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_was_written_is_read_by_everyone_and_changed_by_no_one() {
        let (file, ()) = create(c"test", |file| file.write_all(b"hello")).unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let mapped = Sealed::map(&file).unwrap();
        let again = Sealed::open(Path::new(&path)).unwrap();
        assert_eq!((&*mapped, &*again), (&b"hello"[..], &b"hello"[..]));
        assert_eq!((&file).write(b"x").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(file.set_len(3).is_err());
    }

    #[test]
    fn nothing_can_be_sealed_too() {
        let (file, ()) = create(c"test", |_| Ok(())).unwrap();
        assert!(Sealed::map(&file).unwrap().is_empty());
    }

    #[test]
    fn what_could_change_is_not_mapped() {
        assert!(Sealed::map(&tempfile::tempfile().unwrap()).is_err());
    }
}
