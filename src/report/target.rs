//! Where an export goes. A file is either the old one or a complete new one; what is no file is written to as it is.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use bytesize::ByteSize;
use nix::fcntl::{AT_FDCWD, AtFlags, FcntlArg, OFlag, fcntl};
use nix::sys::statvfs::statvfs;
use nix::unistd::linkat;

use super::nobody_reads;
use crate::janitor::{self, Janitor};
use crate::sys::{descriptor, interrupt};

/// Where an export goes.
#[derive(Debug)]
pub enum Target {
    /// Standard output.
    StandardOutput,
    /// A file.
    File(Replacement),
    /// What is there and is no file, such as a pipe or a device, or what is open already: it is written to, never
    /// replaced.
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
        let behind = descriptor_behind(path);
        anyhow::ensure!(
            behind.is_some()
                || !is_stream(path)
                || !is_link(path)
                || path.parent() == Some(Path::new("/dev")),
            "{} is a link to what is no file: expected the name of what is to be written to",
            path.display()
        );
        let opened = match behind {
            Some(libc::STDOUT_FILENO) => return Ok(Self::StandardOutput),
            Some(number) => stream_of(number).map(|stream| Self::Stream(path.to_owned(), stream)),
            None if is_stream(path) => open_stream(path).map(|stream| Self::Stream(path.to_owned(), stream)),
            None => Replacement::begin(path).map(Self::File),
        };
        opened.with_context(|| format!("failed to open {} for writing", path.display()))
    }

    /// The same for two paths that lead to the same place.
    pub fn place(&self) -> PathBuf {
        match self {
            Self::StandardOutput => PathBuf::from("standard output"),
            Self::File(file) => file.path.clone(),
            Self::Stream(path, _) => fs::canonicalize(path).unwrap_or_else(|_| path.clone()),
        }
    }

    /// Refuses to write what `flag` asks for over one of `inputs`, which are read.
    ///
    /// # Errors
    /// If one of them is what would be replaced.
    pub fn spare(&self, flag: &str, inputs: &[&Path]) -> anyhow::Result<()> {
        // What is no file, such as a pipe, cannot be lost.
        let Some(own) = fs::canonicalize(self.place()).ok().filter(|_| self.is_file()) else { return Ok(()) };
        let is_it = |input: &&&Path| fs::canonicalize(input).is_ok_and(|place| place == own);
        match inputs.iter().find(is_it) {
            Some(input) => anyhow::bail!(
                "{flag} would be written over {}, which is read: expected another file",
                input.display()
            ),
            None => Ok(()),
        }
    }

    /// Whether it can be written again and again, each time in place of what was there.
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// If they could not be written completely; then an old file is still there.
    pub fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::StandardOutput => {
                let mut out = io::stdout().lock();
                match out.write_all(bytes).and_then(|()| out.flush()) {
                    Err(error) if nobody_reads(&error) => Ok(()),
                    written => written.context("failed to write to standard output"),
                }
            }
            Self::Stream(path, stream) => {
                let mut stream = stream;
                stream.write_all(bytes).with_context(|| format!("failed to write {}", path.display()))
            }
            Self::File(file) => {
                let path = file.path.clone();
                file.finish(bytes).map_err(|error| {
                    let room = room_for(&path, bytes.len(), &error);
                    anyhow::Error::from(error).context(format!("failed to write {}{room}", path.display()))
                })
            }
        }
    }
}

/// What `len` bytes at `path` were too much for, if that is what `error` says.
fn room_for(path: &Path, len: usize, error: &io::Error) -> String {
    match statvfs(folder_of(path)) {
        Ok(found) if error.kind() == io::ErrorKind::StorageFull => {
            let bytes = |blocks: u64| ByteSize(blocks.saturating_mul(found.fragment_size()));
            let (holds, free) = (bytes(found.blocks()), bytes(found.blocks_available()));
            format!(", which is {}, to a file system of {holds} with {free} free", ByteSize(len as u64))
        }
        _ => String::new(),
    }
}

/// The folder that `path` lies in: the one to work in, if it has none.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether something is there that is neither a file nor a folder.
fn is_stream(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// The descriptor of this process that `path` is a name of: `/dev/stdout`, `/dev/fd/3`, `/proc/self/fd/3`, or a link to
/// one. It may be of a file, which somebody else has opened and goes on writing to: another may not take its place.
fn descriptor_behind(path: &Path) -> Option<RawFd> {
    /// As many links as the kernel follows.
    const MOST_LINKS: usize = 40;
    let own = fs::canonicalize("/proc/self/fd").ok()?;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let folder = fs::canonicalize(folder_of(&path)).ok()?;
        if folder == own {
            return path.file_name()?.to_str()?.parse().ok();
        }
        path = folder.join(fs::read_link(&path).ok()?);
    }
    None
}

/// Opens what is there and is no file. A pipe with a name is opened when somebody reads it, and whoever waits for that may be told to
/// end.
fn open_stream(path: &Path) -> io::Result<File> {
    const NAP: Duration = Duration::from_millis(10);
    loop {
        match OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path) {
            // Nobody reads it yet.
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) && is_pipe(path) => {
                if interrupt::was_told() {
                    return Err(io::Error::new(
                        io::ErrorKind::Interrupted,
                        "interrupted before anybody read it",
                    ));
                }
                std::thread::sleep(NAP);
            }
            opened => {
                let stream = opened?;
                // While nobody read it yet, something else may have taken its name.
                if stream.metadata()?.is_file() {
                    return Err(io::Error::other("a file has taken the place of what was there"));
                }
                let flags = OFlag::from_bits_truncate(fcntl(&stream, FcntlArg::F_GETFL)?);
                fcntl(&stream, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
                return Ok(stream);
            }
        }
    }
}

fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

/// What is open as `number`, if it is open for writing.
fn stream_of(number: RawFd) -> io::Result<File> {
    let stream = descriptor::duplicate(number)?;
    let flags = OFlag::from_bits_truncate(fcntl(&stream, FcntlArg::F_GETFL)?);
    match flags & OFlag::O_ACCMODE == OFlag::O_RDONLY {
        true => Err(io::Error::from_raw_os_error(libc::EBADF)),
        false => Ok(stream.into()),
    }
}

/// Lets `file` be read by no more than the file at `path` that it is to replace, if there is one: as that, but for its owner, who may
/// be another.
fn keep_permissions(path: &Path, file: &File) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        // What is executed with its owner's rights, and what is not, is not for a new content to inherit.
        Ok(found) if found.is_file() => {
            file.set_permissions(Permissions::from_mode(found.permissions().mode() & 0o777))
        }
        _ => Ok(()),
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
        // A link is replaced, not what it points to: whoever can make one in a folder that many write to could have any file
        // overwritten.
        let is_folder = || io::Error::from_raw_os_error(libc::EISDIR);
        if path.is_dir() {
            return Err(is_folder());
        }
        let ends_like_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let name = path.file_name().filter(|_| !ends_like_folder).ok_or_else(is_folder)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let path = fs::canonicalize(folder.unwrap_or(Path::new(".")))?.join(name);
        if path.exists() && !is_link(&path) {
            // A file that may not be written may not be replaced either.
            OpenOptions::new().append(true).open(&path)?;
        }
        // Not to be found out when there is something to lose.
        if let Err(error) = fs::symlink_metadata(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        // Without its own name, which may be as long as names can be.
        let this = Self { temporary: path.with_file_name(janitor::hidden_name()), path };
        // Whether a file can be made there is found out now. It is made again when there is something to write, so
        // that whoever is killed in between leaves none behind.
        if this.create_nameless().is_err() {
            let _cleaner = this.cleaner();
            this.create()?;
            fs::remove_file(&this.temporary)?;
        }
        Ok(this)
    }

    fn create(&self) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o644).open(&self.temporary)
    }

    /// Somebody who removes the file that has a name before it is complete, should this process be killed meanwhile. Where there can be
    /// none, what is to be written is worth more.
    fn cleaner(&self) -> Option<Janitor> {
        let mut cleaner = Janitor::start().ok()?;
        cleaner.expect(&self.temporary).ok()?;
        Some(cleaner)
    }

    fn finish(&self, text: &[u8]) -> io::Result<()> {
        let mut cleaner = None;
        let (mut file, is_named) = match self.create_nameless() {
            Ok(file) => (file, false),
            Err(_) => {
                cleaner = self.cleaner();
                (self.create()?, true)
            }
        };
        let complete = keep_permissions(&self.path, &file)
            .and_then(|()| file.write_all(text))
            .and_then(|()| file.sync_all());
        // Where there is nothing to replace, one step does it, so that there is no moment to be killed in.
        if complete.is_ok() && !is_named && name(&file, &self.path).is_ok() {
            return Ok(());
        }
        if complete.is_ok() && !is_named {
            cleaner = self.cleaner();
        }
        let written = complete
            .and_then(|()| if is_named { Ok(()) } else { name(&file, &self.temporary) })
            .and_then(|()| fs::rename(&self.temporary, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&self.temporary);
        }
        drop(cleaner);
        written
    }

    /// A file that has no name until it is complete: whoever is killed while writing it leaves nothing behind. Not every
    /// file system has such files.
    fn create_nameless(&self) -> io::Result<File> {
        OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).mode(0o644).open(folder_of(&self.path))
    }
}

/// Gives `file`, which has no name, that of `path`, which nothing must have.
fn name(file: &File, path: &Path) -> io::Result<()> {
    let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(AT_FDCWD, nameless.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)?)
}
