//! Descriptors that this process was given a number of.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Another descriptor of what `descriptor` is of, with the same place in it. Programs executed do not inherit it.
///
/// # Errors
/// If `descriptor` is not open.
pub fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes integers; a number that is no descriptor is an error.
    let copy = nix::errno::Errno::result(unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0) })?;
    // SAFETY: the kernel has just made it, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
