//! The first article's task: create a file, write "hi" four times, close it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::argument;
use super::spec::WorkloadSpec;
use super::work::{Hand, Work};
use super::{Executor, Failure, Meter, NeverLean, PrepareError, Workload};
use crate::measure::shortage::Lack;

const TEXT: &[u8] = b"hi";
const TIMES: usize = 4;
/// Files in one folder: a folder with a million entries would be measured instead of the file.
const FILES_PER_FOLDER: u64 = 4096;

/// A file for each task, in a folder that the controller has made and will remove.
#[derive(Debug, Clone)]
pub struct File {
    folder: PathBuf,
    tasks: u64,
    work: Work,
}

impl File {
    /// The workload that `spec` describes; makes the folders that the files go into.
    ///
    /// # Errors
    /// If the folders cannot be made.
    pub fn new(spec: &WorkloadSpec) -> Result<Self, PrepareError> {
        let this = Self { folder: spec.folder.clone(), tasks: spec.tasks, work: Work::new(spec)? };
        for first in (0..spec.tasks).step_by(FILES_PER_FOLDER as usize) {
            let folder = this.folder_of(first);
            make_folder(&folder)?;
        }
        Ok(this)
    }

    fn folder_of(&self, task: u64) -> PathBuf {
        self.folder.join((task / FILES_PER_FOLDER).to_string())
    }
}

/// Makes the folder at `path`, if it is not there, but none that it lies in: those were made by whoever removes them.
///
/// # Errors
/// If it cannot be made.
pub(super) fn make_folder(path: &Path) -> anyhow::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Lack(format!(
            "failed to make the folder {}: {error}: somebody has removed what it is to be in",
            path.display()
        ))
        .into()),
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("failed to make the folder {}", path.display()))
        }
        _ => Ok(()),
    }
}

impl Workload for File {
    type Executor = Writer;
    type Lean = NeverLean;

    fn executor(&self, meter: &mut Meter) -> Writer {
        Writer { file: self.clone(), hand: self.work.start(meter) }
    }

    fn argument_capacity(&self) -> usize {
        0
    }

    fn write_argument(&self, _: u64, _: &mut [u8]) -> usize {
        0
    }

    fn result_size(&self) -> usize {
        0
    }

    fn expected(&self, task: u64, argument: &[u8]) -> Option<u32> {
        let checksum = self.work.expected(task, argument::checksum(task, argument));
        Some(argument::extend(checksum, &TEXT.repeat(TIMES)))
    }

    fn checked_tasks(&self) -> u64 {
        self.work.checked_tasks()
    }

    fn result_is_right(&self, task: u64, _: u32, _: &[u8]) -> bool {
        // Outside the clock, so the file itself can be looked at.
        let written = fs::read(self.folder_of(task).join(task.to_string()));
        written.is_ok_and(|bytes| bytes == TEXT.repeat(TIMES)) && self.work.has_left_what_it_must(task)
    }

    fn work_units(&self, initialisations: u64) -> u64 {
        self.work.units_of_all(self.tasks, initialisations)
    }

    fn lean(&self) -> Option<NeverLean> {
        None
    }
}

/// Writes files.
#[derive(Debug)]
pub struct Writer {
    file: File,
    hand: Hand,
}

impl Executor for Writer {
    fn execute(
        &mut self,
        task: u64,
        argument: &[u8],
        _: &mut [u8],
        meter: &mut Meter,
    ) -> Result<u32, Failure> {
        let mut checksum = self.hand.execute(task, argument::checksum(task, argument), meter)?;
        let path = self.file.folder_of(task).join(task.to_string());
        let mut file = fs::File::create(path)?;
        for _ in 0..TIMES {
            file.write_all(TEXT)?;
            checksum = argument::extend(checksum, TEXT);
        }
        Ok(checksum)
    }
}
