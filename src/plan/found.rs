//! What the files and folders that a workload names turn out to be, looked at once and before anything is started.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::{AccessFlags, access};

use super::draft::WorkloadDraft;
use super::trace::{self, Trace};
use crate::measure::storage::Storage;
use crate::workload::io::disk;
use crate::workload::{Io, WorkloadSpec};

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The trace that durations are read from.
    pub trace: Option<Arc<Trace>>,
    /// Where I/O is done.
    pub storage: Option<Storage>,
}

impl Found {
    /// Looks at what `draft` names.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn look(draft: &WorkloadDraft) -> Result<Self, String> {
        let path = draft.spread.as_ref().and_then(|spread| spread.trace());
        let folder = draft.io_folder.as_deref().filter(|_| draft.io.is_some_and(Io::is_on_disk));
        Ok(Self {
            trace: path.map(|path| trace::read(path).map(Arc::new)).transpose()?,
            storage: folder.map(storage).transpose()?,
        })
    }

    /// Refuses what does not fit onto the disk.
    ///
    /// # Errors
    /// What would be needed, and what there is.
    pub fn require_room(&self, workload: &WorkloadSpec) -> Result<(), String> {
        let Some(storage) = &self.storage else { return Ok(()) };
        let folder = storage.folder.display();
        let needed = workload.tasks.saturating_mul(disk::stride(workload.io_size_bytes));
        if needed > storage.available_bytes / 10 * 9 {
            return Err(format!(
                "{} of {} tasks needs {} in {folder}, but {} are available",
                workload.io.name(),
                workload.tasks,
                bytesize::ByteSize(needed).display().iec(),
                bytesize::ByteSize(storage.available_bytes).display().iec()
            ));
        }
        match storage.available_files {
            Some(files) if workload.io == Io::Fsync && workload.tasks > files / 10 * 9 => Err(format!(
                "fsync of {} tasks needs a file for each in {folder}, but there is room for {files} (df -i)",
                workload.tasks
            )),
            _ => Ok(()),
        }
    }
}

fn storage(folder: &Path) -> Result<Storage, String> {
    let shown = folder.display();
    let wrong = |why: String| format!("io-folder {shown}: {why}: expected a folder that can be written to");
    let found = folder.canonicalize().map_err(|error| wrong(error.to_string()))?;
    if !found.is_dir() {
        return Err(wrong("it is not a folder".into()));
    }
    access(&found, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| wrong(error.desc().into()))?;
    Storage::of(utf8(found).map_err(wrong)?).map_err(|error| wrong(error.to_string()))
}

/// `path`, as it can be written into an export.
pub(super) fn utf8(path: PathBuf) -> Result<PathBuf, String> {
    match path.to_str() {
        Some(_) => Ok(path),
        None => Err("its full name is not UTF-8 text".into()),
    }
}
