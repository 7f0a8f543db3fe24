//! What a task does where others would wait for a disk or a server.
//!
//! A new kind is one file here and a line in each `match` below.

pub mod disk;
pub mod echo;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::WorkloadSpec;
use super::{Failure, Meter, PrepareError};
use crate::sys::raw;
use disk::{Disk, Reader, Writer};
use echo::{Client, Echo};

/// The kind of I/O that tasks do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Io {
    /// Sleeps: an I/O that costs nothing but time.
    #[default]
    Sleep,
    /// Sends bytes to another process and waits for its answer.
    Echo,
    /// Writes a file and waits until it is on its disk.
    Fsync,
    /// Reads from a file that is not in memory.
    Read,
}

impl Io {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sleep, Self::Echo, Self::Fsync, Self::Read];

    /// As typed and printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::Echo => "echo",
            Self::Fsync => "fsync",
            Self::Read => "read",
        }
    }

    /// Bytes that a task sends, writes or reads unless said otherwise; none where there is nothing to.
    pub const fn default_size(self) -> u64 {
        match self {
            Self::Sleep => 0,
            Self::Echo => 64,
            Self::Fsync | Self::Read => 4096,
        }
    }

    /// Whether it needs a folder on a disk, and takes as long as that disk does.
    pub const fn is_on_disk(self) -> bool {
        matches!(self, Self::Fsync | Self::Read)
    }
}

/// Makes ready what the tasks of `spec` find when they begin: the folders that they write to, and a file of which the kernel holds nothing.
/// Once for a round, before its clock starts: done by each process of it, it would take away what others are reading.
///
/// # Errors
/// If that cannot be made.
pub fn make_ready(spec: &WorkloadSpec) -> Result<(), PrepareError> {
    match spec.io {
        Io::Sleep | Io::Echo => {}
        Io::Fsync => Disk::new(spec)?.make_folders(spec.tasks)?,
        Io::Read => Disk::new(spec)?.leave_page_cache()?,
    }
    Ok(())
}

/// The I/O of a workload, with all that it takes. Plain numbers where it is lean.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    Sleep,
    Echo(Echo),
    Fsync(&'static Disk),
    Read(&'static Disk),
}

impl Method {
    /// What `spec` asks for. What does not fit into a `Copy` value lives as long as the process: until the round is over.
    ///
    /// # Errors
    /// If a size is more than this machine can address.
    pub(super) fn new(spec: &WorkloadSpec) -> Result<Self, PrepareError> {
        Ok(match spec.io {
            Io::Sleep => Self::Sleep,
            Io::Echo => Self::Echo(Echo::new(spec)?),
            Io::Fsync => Self::Fsync(Box::leak(Box::new(Disk::new(spec)?))),
            Io::Read => Self::Read(Box::leak(Box::new(Disk::new(spec)?))),
        })
    }

    /// Whether a lean child can do it.
    pub(super) fn is_lean(&self) -> bool {
        match self {
            Self::Sleep => true,
            Self::Echo(echo) => echo.is_lean(),
            Self::Fsync(_) | Self::Read(_) => false,
        }
    }

    /// Does it for `task`, without a heap and without a connection that lasts. Only where [`Self::is_lean`].
    #[inline(always)]
    pub(super) fn perform_lean(
        &self,
        task: u64,
        wait: u64,
        checksum: u32,
        meter: &mut Meter,
    ) -> Result<u32, Failure> {
        match self {
            Self::Sleep => {
                sleep(wait, meter);
                Ok(checksum)
            }
            Self::Echo(echo) => echo.exchange_once(task, wait, checksum, meter),
            Self::Fsync(_) | Self::Read(_) => Err(Failure::System(libc::ENOTSUP)),
        }
    }

    /// What whoever executes keeps for it from task to task.
    pub(super) fn tool(&self) -> Tool {
        match self {
            Self::Sleep => Tool::Sleep,
            Self::Echo(echo) => Tool::Echo(Client::new(*echo)),
            Self::Fsync(disk) => Tool::Fsync(Writer::new(disk)),
            Self::Read(disk) => Tool::Read(Reader::new(disk)),
        }
    }

    /// The checksum that [`Tool::perform`] makes of `checksum`, worked out.
    pub(super) fn expected(&self, task: u64, checksum: u32) -> u32 {
        match self {
            Self::Sleep => checksum,
            Self::Echo(echo) => echo.expected(task, checksum),
            Self::Fsync(disk) | Self::Read(disk) => disk.expected(task, checksum),
        }
    }

    /// Whether `task` has left behind what it had to.
    pub(super) fn has_left(&self, task: u64) -> bool {
        match self {
            Self::Sleep | Self::Echo(_) | Self::Read(_) => true,
            Self::Fsync(disk) => disk.has_been_written(task),
        }
    }

    /// Bytes that each task sends, writes or reads.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Sleep => 0,
            Self::Echo(echo) => echo.size(),
            Self::Fsync(disk) | Self::Read(disk) => disk.size(),
        }
    }
}

/// What an executing process or thread does I/O with.
#[derive(Debug)]
pub(super) enum Tool {
    Sleep,
    Echo(Client),
    Fsync(Writer),
    Read(Reader),
}

impl Tool {
    /// Does the I/O of `task`, which is to wait for `wait` nanoseconds where that is anyone's to say, and carries `checksum`
    /// on over the bytes that came of it.
    #[inline]
    pub(super) fn perform(
        &mut self,
        task: u64,
        wait: u64,
        checksum: u32,
        meter: &mut Meter,
    ) -> Result<u32, Failure> {
        match self {
            Self::Sleep => {
                sleep(wait, meter);
                Ok(checksum)
            }
            Self::Echo(client) => client.exchange(task, wait, checksum, meter),
            Self::Fsync(writer) => writer.write(task, checksum),
            Self::Read(reader) => reader.read(task, checksum),
        }
    }
}

#[inline(always)]
fn sleep(wait: u64, meter: &mut Meter) {
    if wait > 0 {
        let deadline = raw::monotonic_nanoseconds() + wait;
        raw::sleep_until(deadline);
        meter.note_wait(raw::monotonic_nanoseconds().saturating_sub(deadline));
    }
}
