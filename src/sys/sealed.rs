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

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// No write and no further writable mapping from now on (Linux 5.1 and later). Unlike `F_SEAL_WRITE` it does not ask whether
/// something holds one of the pages at this moment, which may be the kernel itself while it moves them: that answer is
/// `EBUSY`, now and then, on a machine that has much to do. For bytes that only `write(2)` has put there, both are as good.
const NO_FURTHER_WRITE: SealFlag = SealFlag::F_SEAL_FUTURE_WRITE;

/// With one of these, bytes cannot change under whoever has mapped them.
const UNWRITABLE: SealFlag = SealFlag::F_SEAL_WRITE.union(NO_FURTHER_WRITE);

/// How often an older kernel is asked to seal pages that something holds. It waits for some 0.1 s itself, each time.
const TRIES: u32 = 50;

/// Makes a file in memory, has it filled by `fill`, and seals it. `name` is what /proc shows. `fill` must leave no writable
/// mapping of the file behind.
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
    seal(&file)?;
    Ok((file, filled))
}

/// Seals `file`, its size and its bytes, for good.
fn seal(file: &File) -> io::Result<()> {
    let size_for_good = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    match fcntl(file, FcntlArg::F_ADD_SEALS(NO_FURTHER_WRITE | size_for_good)) {
        Err(Errno::EINVAL) => seal_when_nobody_holds_a_page(file, size_for_good),
        sealed => sealed.map(drop).map_err(io::Error::from),
    }
}

/// The same where the kernel does not know the newer seal.
fn seal_when_nobody_holds_a_page(file: &File, size_for_good: SealFlag) -> io::Result<()> {
    let mut tries = 1;
    loop {
        match fcntl(file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE | size_for_good)) {
            Err(Errno::EBUSY) if tries < TRIES => tries += 1,
            sealed => return sealed.map(drop).map_err(io::Error::from),
        }
    }
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
        if !seals.intersects(UNWRITABLE) || !seals.contains(SealFlag::F_SEAL_SHRINK) {
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
    fn a_kernel_without_the_newer_seal_seals_as_well() {
        let file = File::from(memfd_create(c"test", MFdFlags::MFD_ALLOW_SEALING).unwrap());
        (&file).write_all(b"hello").unwrap();
        seal_when_nobody_holds_a_page(&file, SealFlag::F_SEAL_SHRINK).unwrap();
        assert_eq!(&*Sealed::map(&file).unwrap(), b"hello");
        assert_eq!((&file).write(b"x").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_page_that_something_holds_is_sealed_too() {
        let file = File::from(memfd_create(c"test", MFdFlags::MFD_ALLOW_SEALING).unwrap());
        (&file).write_all(&[1; 4096]).unwrap();
        let (_reader, writer) = nix::unistd::pipe().unwrap();
        let (mut from, to) = (0, std::ptr::null_mut());
        // SAFETY: both are open, and `from` is written to while the call lasts only.
        let held = unsafe { libc::splice(file.as_raw_fd(), &raw mut from, writer.as_raw_fd(), to, 4096, 0) };
        assert_eq!(held, 4096, "a page that waits in a pipe is held by it");
        let the_older = fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE));
        assert_eq!(the_older, Err(Errno::EBUSY));
        seal(&file).unwrap();
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
