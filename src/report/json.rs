//! The JSON export, written so that a file is either the old one or a complete new one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::linkat;

use crate::document::Document;

/// Where an export goes.
#[derive(Debug)]
pub enum Target {
    /// Standard output.
    StandardOutput,
    /// A file.
    File(Replacement),
    /// What is there and is no file, such as a pipe or a device: it is written to, never replaced.
    Stream(PathBuf, File),
}

impl Target {
    /// Opens `path`, where `-` is standard output, so that what cannot be written is found out before the run.
    ///
    /// # Errors
    /// If nothing can be written there.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::StandardOutput);
        }
        let is_stream = fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
        anyhow::ensure!(
            !is_stream || is_the_systems_own(path) || !is_link(path),
            "{} is a link to what is no file: expected the name of what is to be written to",
            path.display()
        );
        let opened = if is_stream {
            OpenOptions::new().write(true).open(path).map(|stream| Self::Stream(path.to_owned(), stream))
        } else {
            Replacement::begin(path).map(Self::File)
        };
        opened.with_context(|| format!("failed to open {} for writing", path.display()))
    }

    /// Writes `document`.
    ///
    /// # Errors
    /// If it could not be written completely; then the old file is still there.
    pub fn write(self, document: &Document) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(document).context("failed to write the document as JSON")?;
        text.push(b'\n');
        match self {
            Self::StandardOutput => {
                let mut out = io::stdout().lock();
                match out.write_all(&text).and_then(|()| out.flush()) {
                    // Whoever closes the pipe has seen enough.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                    written => written.context("failed to write to standard output"),
                }
            }
            Self::Stream(path, mut stream) => {
                stream.write_all(&text).with_context(|| format!("failed to write {}", path.display()))
            }
            Self::File(file) => {
                let shown = file.path.display().to_string();
                file.finish(&text).with_context(|| format!("failed to write {shown}"))
            }
        }
    }
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// Whether `path` is in a folder whose links are the kernel's.
fn is_the_systems_own(path: &Path) -> bool {
    path.starts_with("/dev/fd") || path.starts_with("/proc") || path.parent() == Some(Path::new("/dev"))
}

/// A file that takes another's place when it is complete.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    temporary: PathBuf,
}

impl Replacement {
    fn begin(path: &Path) -> io::Result<Self> {
        // A link is replaced, not what it points to: whoever can make one in a folder that many write to could have any file
        // overwritten. Those like /dev/stdout are nobody's to make, and to replace.
        let own = is_the_systems_own(path).then(|| fs::canonicalize(path).ok()).flatten();
        let path = own.unwrap_or_else(|| path.to_owned());
        if path.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::EISDIR));
        }
        let name = path.file_name().ok_or_else(|| io::Error::from_raw_os_error(libc::EISDIR))?;
        if path.exists() && !is_link(&path) {
            // A file that may not be written may not be replaced either.
            OpenOptions::new().append(true).open(&path)?;
        }
        let mut temporary_name = OsString::from(".");
        temporary_name.push(name);
        temporary_name.push(format!(".{}.tmp", std::process::id()));
        let this = Self { temporary: path.with_file_name(temporary_name), path };
        // Whether a file can be made there is found out now. It is made again when there is something to write, so
        // that whoever is killed in between leaves none behind.
        if this.create_nameless().is_err() {
            this.create()?;
            fs::remove_file(&this.temporary)?;
        }
        Ok(this)
    }

    fn create(&self) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o644).open(&self.temporary)
    }

    fn finish(self, text: &[u8]) -> io::Result<()> {
        let (mut file, is_named) = match self.create_nameless() {
            Ok(file) => (file, false),
            Err(_) => (self.create()?, true),
        };
        let written = file
            .write_all(text)
            .and_then(|()| file.sync_all())
            .and_then(|()| if is_named { Ok(()) } else { self.name(&file) })
            .and_then(|()| fs::rename(&self.temporary, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&self.temporary);
        }
        written
    }

    /// A file that has no name until it is complete: whoever is killed while writing it leaves nothing behind. Not every
    /// file system has such files.
    fn create_nameless(&self) -> io::Result<File> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).mode(0o644).open(folder)
    }

    /// Gives `file` the temporary name.
    fn name(&self, file: &File) -> io::Result<()> {
        let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = AtFlags::AT_SYMLINK_FOLLOW;
        Ok(linkat(AT_FDCWD, nameless.as_str(), AT_FDCWD, &self.temporary, flags)?)
    }
}
