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
        self.write_text(&text)
    }

    /// Writes `text`.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_text(self, text: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::StandardOutput => {
                let mut out = io::stdout().lock();
                match out.write_all(text).and_then(|()| out.flush()) {
                    // Whoever closes the pipe has seen enough.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                    written => written.context("failed to write to standard output"),
                }
            }
            Self::Stream(path, mut stream) => {
                stream.write_all(text).with_context(|| format!("failed to write {}", path.display()))
            }
            Self::File(file) => {
                let shown = file.path.display().to_string();
                file.finish(text).with_context(|| format!("failed to write {shown}"))
            }
        }
    }
}

/// A file that takes another's place when it is complete.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    temporary: PathBuf,
}

impl Replacement {
    fn begin(path: &Path) -> io::Result<Self> {
        // Through a link, what it points to is replaced, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if path.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::EISDIR));
        }
        let name = path.file_name().ok_or_else(|| io::Error::from_raw_os_error(libc::EISDIR))?;
        if path.exists() {
            // A file that may not be written may not be replaced either.
            OpenOptions::new().append(true).open(&path)?;
        }
        let mut temporary_name = OsString::from(".");
        temporary_name.push(name);
        temporary_name.push(format!(".{}.tmp", std::process::id()));
        let this = Self { temporary: path.with_file_name(temporary_name), path };
        // Whether a file can be made there is found out now. It is made again when there is something to write, so
        // that whoever is killed in between leaves none behind.
        this.create()?;
        fs::remove_file(&this.temporary)?;
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
