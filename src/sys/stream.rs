//! A connection to another process of this machine, made with direct system calls so that lean children can have one
//! too (see [`super::lean`]).
//!
//! Nothing here copies or compares memory by a call into the C library.

use super::raw;

/// A name in the kernel's own table of sockets ("abstract", see unix(7)): no file, and gone with whoever listens.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub struct Address {
    /// A `sockaddr_un`: the family, a zero, and the name.
    family: u16,
    path: [u8; PATH],
    len: usize,
}

/// Bytes of `sun_path`.
const PATH: usize = 108;

impl Address {
    /// The socket called `name`; `None` if that is too long.
    pub fn new(name: &str) -> Option<Self> {
        let mut path = [0; PATH];
        path.get_mut(1..=name.len())?.copy_from_slice(name.as_bytes());
        let len = size_of::<u16>() + 1 + name.len();
        Some(Self { family: libc::AF_UNIX as u16, path, len })
    }
}

/// A stream to whoever listens at an [`Address`], closed when dropped.
#[derive(Debug)]
pub struct Connection {
    descriptor: usize,
}

/// An `errno`.
pub type Errno = i32;

impl Connection {
    /// Connects, waiting until there is room in the listener's queue.
    ///
    /// # Errors
    /// `ECONNREFUSED` if nobody listens; `EMFILE` and the like where a limit is reached.
    #[inline]
    pub fn open(address: &Address) -> Result<Self, Errno> {
        let kind = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as usize;
        // SAFETY: takes integers.
        let descriptor = unsafe { raw::syscall(libc::SYS_socket, [libc::AF_UNIX as usize, kind, 0]) };
        let this = Self { descriptor: usize::try_from(descriptor).map_err(|_| -descriptor as Errno)? };
        let start = std::ptr::from_ref(address) as usize;
        loop {
            // SAFETY: the first `len` bytes of an address are a valid `sockaddr_un`, which the kernel only reads.
            match unsafe { raw::syscall(libc::SYS_connect, [this.descriptor, start, address.len]) } {
                0 => return Ok(this),
                error if error == -(libc::EINTR as isize) => {}
                error => return Err(-error as Errno),
            }
        }
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// `EPIPE` or `ECONNRESET` if the other side is gone.
    #[inline]
    pub fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = bytes.as_ptr() as usize + sent;
            let flags = libc::MSG_NOSIGNAL as usize;
            // SAFETY: the pointer and the length are those of the rest of `bytes`, which the kernel only reads.
            let result = unsafe {
                raw::syscall(libc::SYS_sendto, [self.descriptor, rest, bytes.len() - sent, flags, 0, 0])
            };
            match result {
                1.. => sent += result as usize,
                0 => return Err(libc::EPIPE),
                _ if result == -(libc::EINTR as isize) => {}
                _ => return Err(-result as Errno),
            }
        }
        Ok(())
    }

    /// Fills `buffer`, waiting for as long as that takes.
    ///
    /// # Errors
    /// `ECONNRESET` if the other side ends before.
    #[inline]
    pub fn receive(&self, buffer: &mut [u8]) -> Result<(), Errno> {
        let mut received = 0;
        while received < buffer.len() {
            let rest = buffer.as_mut_ptr() as usize + received;
            // SAFETY: the pointer and the length are those of the rest of `buffer`, which is ours to be written to.
            let result =
                unsafe { raw::syscall(libc::SYS_read, [self.descriptor, rest, buffer.len() - received]) };
            match result {
                1.. => received += result as usize,
                0 => return Err(libc::ECONNRESET),
                _ if result == -(libc::EINTR as isize) => {}
                _ => return Err(-result as Errno),
            }
        }
        Ok(())
    }
}

impl Drop for Connection {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's own, and nothing uses it afterwards.
        unsafe { raw::syscall(libc::SYS_close, [self.descriptor]) };
    }
}
