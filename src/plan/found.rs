//! What the files and folders that a workload names turn out to be, looked at once and before anything is started.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::{AccessFlags, access};

use super::draft::WorkloadDraft;
use super::guard;
use super::trace::{self, Trace};
use crate::measure::limits::Limits;
use crate::measure::storage::Storage;
use crate::workload::io::disk;
use crate::workload::{Io, Kind, WorkloadSpec};

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The trace that durations are read from.
    pub trace: Option<Arc<Trace>>,
    /// Where I/O is done.
    pub storage: Option<Storage>,
    /// Where tasks make files that are removed again, if they do.
    pub temporary: Option<Storage>,
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
            temporary: (draft.kind() == Kind::File).then(temporary).flatten(),
        })
    }

    /// Refuses what does not fit onto the disk.
    ///
    /// # Errors
    /// What would be needed, and what there is.
    pub fn require_room(&self, workload: &WorkloadSpec, limits: &Limits) -> Result<(), String> {
        if let Some(temporary) = &self.temporary {
            require_files(temporary, workload.tasks, limits)?;
        }
        let Some(storage) = &self.storage else { return Ok(()) };
        let bytes = workload.tasks.saturating_mul(disk::stride(workload.io_size_bytes));
        let files = if workload.io == Io::Fsync { workload.tasks } else { 0 };
        let what = format!("{} of {} tasks", workload.io.name(), workload.tasks);
        require(&what, &storage.folder.display().to_string(), storage, (bytes, files))
    }
}

/// Refuses small files of `tasks` tasks where there is no room for them: a block each, and something for what the file system notes of it.
fn require_files(storage: &Storage, tasks: u64, limits: &Limits) -> Result<(), String> {
    const EACH: u64 = 4096;
    /// What the kernel keeps in memory of a file that is nowhere else.
    const NOTES: u64 = 1024;
    let (what, folder) = (format!("file of {tasks} tasks"), format!("{} (TMPDIR)", storage.folder.display()));
    require(&what, &folder, storage, (tasks.saturating_mul(EACH), tasks))?;
    if !storage.is_in_memory() {
        return Ok(());
    }
    let what = format!("files of {tasks} tasks in {folder}, which is in memory,");
    guard::no_memory(&what, tasks.saturating_mul(EACH + NOTES), limits).map_or(Ok(()), Err)
}

/// Refuses `what` where `storage`, shown as `folder`, has no room for its bytes and files.
///
/// # Errors
/// What would be needed, and what there is.
pub(crate) fn require(
    what: &str,
    folder: &str,
    storage: &Storage,
    (bytes, files): (u64, u64),
) -> Result<(), String> {
    let iec = |bytes: u64| bytesize::ByteSize(bytes).display().iec();
    if bytes > storage.available_bytes / 10 * 9 {
        let (needed, available) = (iec(bytes), iec(storage.available_bytes));
        return Err(format!("{what} needs {needed} in {folder}, but {available} are available"));
    }
    match storage.available_files {
        Some(room) if files > room / 10 * 9 => {
            Err(format!("{what} needs a file for each in {folder}, but there is room for {room} (df -i)"))
        }
        _ => Ok(()),
    }
}

/// What lies beneath the temporary folder. If it is not there, whoever needs it will say so.
fn temporary() -> Option<Storage> {
    Storage::of(std::env::temp_dir().canonicalize().ok()?).ok()
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
