//! Files on a disk that the user has named: written and synchronised, or read from outside the page cache.
//!
//! The bytes of a task are what [`super::super::block`] makes of its number; the checksum is carried on over them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::super::argument;
use super::super::block::Block;
use super::super::file::make_folder;
use super::super::spec::WorkloadSpec;
use super::super::{Failure, PrepareError};

/// The file that tasks read from.
const INPUT: &str = "input";

/// Files in one folder: a folder with a million entries would be measured instead of the file.
const FILES_PER_FOLDER: u64 = 4096;

/// What is read begins on a page of its own: a neighbour's read must not have fetched it already.
const PAGE: u64 = 4096;

/// A folder on a disk, and what tasks write there or read.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    size: usize,
    block: Block,
}

impl Disk {
    /// What `spec` asks for, in the folder that the controller has made.
    ///
    /// # Errors
    /// Where a size is more than this machine can address.
    pub(super) fn new(spec: &WorkloadSpec) -> Result<Self, PrepareError> {
        let size = usize::try_from(spec.io_size_bytes)?;
        Ok(Self { folder: spec.ready.io_folder.clone(), size, block: Block::new(spec.seed) })
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    fn bytes_of(&self, task: u64) -> Vec<u8> {
        let mut bytes = vec![0; self.size];
        self.block.fill(task, &mut bytes);
        bytes
    }

    pub(super) fn expected(&self, task: u64, checksum: u32) -> u32 {
        argument::extend(checksum, &self.bytes_of(task))
    }

    fn folder_of(&self, task: u64) -> PathBuf {
        self.folder.join((task / FILES_PER_FOLDER).to_string())
    }

    fn file_of(&self, task: u64) -> PathBuf {
        self.folder_of(task).join(task.to_string())
    }

    /// Makes the folders that the files of `tasks` tasks go into.
    pub(super) fn make_folders(&self, tasks: u64) -> anyhow::Result<()> {
        for first in (0..tasks).step_by(FILES_PER_FOLDER as usize) {
            make_folder(&self.folder_of(first))?;
        }
        Ok(())
    }

    pub(super) fn has_been_written(&self, task: u64) -> bool {
        fs::read(self.file_of(task)).is_ok_and(|bytes| bytes == self.bytes_of(task))
    }

    /// Has the kernel forget what it holds of the file that tasks read from.
    pub(super) fn leave_page_cache(&self) -> anyhow::Result<()> {
        let path = self.folder.join(INPUT);
        File::open(&path)
            .and_then(|file| Ok(posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?))
            .with_context(|| format!("failed to open {}", path.display()))
    }
}

/// From the beginning of what one task reads to that of the next, in bytes.
pub const fn stride(size: u64) -> u64 {
    size.next_multiple_of(PAGE)
}

/// Writes the file that `tasks` tasks read from into `folder`, and waits until it is on its disk. `proceed` is asked now
/// and then whether to go on; `Ok(false)` if it said no.
///
/// # Errors
/// What writing says.
pub fn make_input(
    folder: &Path,
    tasks: u64,
    size: u64,
    seed: u64,
    mut proceed: impl FnMut() -> bool,
) -> io::Result<bool> {
    const ASK_EVERY: u64 = 1 << 20;
    let mut file = io::BufWriter::with_capacity(1 << 20, File::create_new(folder.join(INPUT))?);
    let block = Block::new(seed);
    let mut piece = vec![0; stride(size) as usize];
    let mut until_asked = 0;
    for task in 0..tasks {
        if until_asked == 0 {
            if !proceed() {
                return Ok(false);
            }
            until_asked = ASK_EVERY.div_ceil(stride(size));
        }
        until_asked -= 1;
        block.fill(task, &mut piece[..size as usize]);
        file.write_all(&piece)?;
    }
    file.into_inner()?.sync_all()?;
    Ok(true)
}

/// Writes a file for each task.
#[derive(Debug)]
pub struct Writer {
    disk: &'static Disk,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(disk: &'static Disk) -> Self {
        Self { disk, buffer: Vec::new() }
    }

    pub(super) fn write(&mut self, task: u64, checksum: u32) -> Result<u32, Failure> {
        self.buffer.resize(self.disk.size, 0);
        self.disk.block.fill(task, &mut self.buffer);
        let mut file = File::create(self.disk.file_of(task))?;
        file.write_all(&self.buffer)?;
        file.sync_all()?;
        Ok(argument::extend(checksum, &self.buffer))
    }
}

/// Reads a piece of the file for each task.
#[derive(Debug)]
pub struct Reader {
    disk: &'static Disk,
    file: Option<File>,
    buffer: Vec<u8>,
}

impl Reader {
    pub(super) fn new(disk: &'static Disk) -> Self {
        Self { disk, file: None, buffer: Vec::new() }
    }

    pub(super) fn read(&mut self, task: u64, checksum: u32) -> Result<u32, Failure> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open_without_read_ahead(&self.disk.folder.join(INPUT))?),
        };
        self.buffer.resize(self.disk.size, 0);
        file.read_exact_at(&mut self.buffer, task * stride(self.disk.size as u64))?;
        Ok(argument::extend(checksum, &self.buffer))
    }
}

/// Without this the kernel would fetch what the next tasks read along with what the first one does.
fn open_without_read_ahead(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).open(path)?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM)?;
    Ok(file)
}
