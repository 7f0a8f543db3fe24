//! A round trip to another process: the wait is on its side.
//!
//! What is sent: the wait in nanoseconds (eight bytes, little-endian), then `--io-size` bytes. What comes back, when the
//! wait is over, are those bytes. They are eight bytes drawn from seed and task, again and again, as arguments are. In
//! Python, with `rng` the stream of the task below `seed ^ STREAM` (see [`crate::seed`]):
//!
//! ```python
//! payload = (struct.pack("<Q", rng.next()) * (size // 8 + 1))[:size]
//! sock.connect("\0" + name); sock.sendall(struct.pack("<Q", wait) + payload)
//! checksum = zlib.crc32(sock.recv(size, socket.MSG_WAITALL), checksum)
//! ```
//!
//! Whoever executes keeps one connection for all of its tasks.

use super::super::argument;
use super::super::spec::WorkloadSpec;
use super::super::{Failure, Meter, PrepareError};
use crate::seed::Rng;
use crate::sys::raw;
use crate::sys::stream::{Address, Connection};

/// Bytes in front of what is to come back: the wait.
pub const HEADER_BYTES: usize = size_of::<u64>();

/// Lets this process open as many files as it may. Each connection is one.
pub fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where it is refused the limit is what it was, and whoever meets it says so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Keeps these bytes apart from arguments that are drawn from the same seed.
const STREAM: u64 = 0x6563_686f_6563_686f;

/// More than this has no room on a lean child's stack, nor in what can be copied there without a call.
const LEAN_BYTES: usize = 64;

/// What a client needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Echo {
    address: Address,
    size: usize,
    seed: u64,
}

impl Echo {
    /// What `spec` asks for.
    ///
    /// # Errors
    /// If there is no peer.
    pub(super) fn new(spec: &WorkloadSpec) -> Result<Self, PrepareError> {
        let address = Address::new(&spec.ready.peer).filter(|_| !spec.ready.peer.is_empty());
        let address = address.ok_or_else(|| anyhow::anyhow!("there is no peer at '{}'", spec.ready.peer))?;
        raise_file_limit();
        Ok(Self { address, size: usize::try_from(spec.io_size_bytes)?, seed: spec.seed })
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether a size fits into what a lean child can hold.
    pub(super) fn is_lean(&self) -> bool {
        Self::is_lean_size(self.size as u64)
    }

    /// Whether a lean child can exchange so many bytes.
    pub const fn is_lean_size(size: u64) -> bool {
        size <= LEAN_BYTES as u64
    }

    #[inline(always)]
    fn pattern(&self, task: u64) -> [u8; 8] {
        Rng::for_item(self.seed ^ STREAM, task).next_u64().to_le_bytes()
    }

    /// The checksum carried on over the answer to `task`.
    pub(super) fn expected(&self, task: u64, checksum: u32) -> u32 {
        let mut answer = self.pattern(task).repeat(self.size.div_ceil(8));
        answer.truncate(self.size);
        argument::extend(checksum, &answer)
    }

    /// A round trip on a connection that is made for it, without a heap or a call into any library.
    #[inline]
    pub(super) fn exchange_once(
        &self,
        task: u64,
        wait: u64,
        checksum: u32,
        meter: &mut Meter,
    ) -> Result<u32, Failure> {
        let pattern = self.pattern(task);
        let mut message = [0; HEADER_BYTES + LEAN_BYTES];
        let (chunks, _) = message.as_chunks_mut::<8>();
        for chunk in chunks.iter_mut() {
            *chunk = pattern;
        }
        if let Some(header) = chunks.first_mut() {
            *header = wait.to_le_bytes();
        }
        let message = message.get(..HEADER_BYTES + self.size).ok_or(Failure::System(libc::EMSGSIZE))?;
        let mut answer = [0; LEAN_BYTES];
        let answer = answer.get_mut(..self.size).ok_or(Failure::System(libc::EMSGSIZE))?;
        let connection = Connection::open(&self.address).map_err(Failure::System)?;
        timed(wait, meter, || {
            connection.send(message)?;
            connection.receive(answer)
        })?;
        let mut checksum = !checksum;
        for (place, byte) in answer.iter().enumerate() {
            if *byte != pattern[place % 8] {
                return Err(WRONG_ANSWER);
            }
            checksum = argument::TABLE[usize::from(checksum as u8 ^ byte)] ^ checksum >> 8;
        }
        Ok(!checksum)
    }
}

/// What came back is not what was sent.
const WRONG_ANSWER: Failure = Failure::System(libc::EBADMSG);

/// Makes a round trip, and notes by how much it took longer than the wait that was asked for.
#[inline(always)]
fn timed(wait: u64, meter: &mut Meter, trip: impl FnOnce() -> Result<(), i32>) -> Result<(), Failure> {
    let due = raw::monotonic_nanoseconds() + wait;
    trip().map_err(Failure::System)?;
    meter.note_wait(raw::monotonic_nanoseconds().saturating_sub(due));
    Ok(())
}

/// A connection that lasts, made when it is first needed.
#[derive(Debug)]
pub struct Client {
    echo: Echo,
    connection: Option<Connection>,
    message: Vec<u8>,
}

impl Client {
    pub(super) fn new(echo: Echo) -> Self {
        Self { echo, connection: None, message: Vec::new() }
    }

    pub(super) fn exchange(
        &mut self,
        task: u64,
        wait: u64,
        checksum: u32,
        meter: &mut Meter,
    ) -> Result<u32, Failure> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(&self.echo.address).map_err(Failure::System)?),
        };
        let pattern = self.echo.pattern(task);
        self.message.resize(HEADER_BYTES + self.echo.size, 0);
        let (header, payload) = self.message.split_at_mut(HEADER_BYTES);
        header.copy_from_slice(&wait.to_le_bytes());
        argument::repeat(pattern, payload);
        let result = timed(wait, meter, || {
            connection.send(&self.message)?;
            connection.receive(&mut self.message[HEADER_BYTES..])
        });
        if let Err(failure) = result {
            // Half an answer may still be on its way: the next task gets a connection of its own.
            self.connection = None;
            return Err(failure);
        }
        let answer = &self.message[HEADER_BYTES..];
        if !answer.chunks(8).all(|chunk| chunk == &pattern[..chunk.len()]) {
            return Err(WRONG_ANSWER);
        }
        Ok(argument::extend(checksum, answer))
    }
}
