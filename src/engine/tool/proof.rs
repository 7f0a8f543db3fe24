//! The proof that each line was handed to one command, as the words that were meant.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::Context;
use nix::sys::memfd::{MFdFlags, memfd_create};
use sha2::{Digest, Sha256};

use super::Tasks;
use crate::sys::spawn::Words;
use crate::workload::program::template::Template;

/// The hidden first argument under which procbench notes the words that it was given, and becomes the command that they
/// are.
pub const MARK: &str = "__mark";

/// What stands for the words of one command.
const MARK_BYTES: usize = 32;

/// A file in memory to which each command that is started adds its mark, and one for what the tool itself says.
pub(super) struct Proof {
    marks: File,
    said: File,
}

impl Proof {
    pub(super) fn begin() -> anyhow::Result<Self> {
        let file = |name: &CStr| memfd_create(name, MFdFlags::MFD_CLOEXEC).map_err(io::Error::from);
        Ok(Self { marks: file(c"procbench-marks")?.into(), said: file(c"procbench-said")?.into() })
    }

    /// What stands in front of a command so that it leaves its mark.
    pub(super) fn words(&self) -> [String; 3] {
        let own = std::process::id();
        [format!("/proc/{own}/exe"), MARK.into(), format!("/proc/{own}/fd/{}", self.marks.as_raw_fd())]
    }

    /// Where the tool's standard error is to lead: that of its commands does not.
    pub(super) fn said(&self) -> &File {
        &self.said
    }

    /// What the tool has said.
    pub(super) fn text(&self) -> String {
        const LONGEST: u64 = 64 << 10;
        let mut bytes = Vec::new();
        let mut said = &self.said;
        // What cannot be read is not known.
        let _ = said.rewind().and_then(|()| said.take(LONGEST).read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether the marks are those of all `tasks`, whose commands are meant to be `command`.
    pub(super) fn check(mut self, tasks: &Tasks, command: &[String]) -> Result<(), String> {
        let template = Template::new(command);
        let mut words = Words::default();
        let mut expected: Vec<[u8; MARK_BYTES]> = (0..tasks.count)
            .map(|task| {
                template.fill(&tasks.text(task), &mut words);
                mark_of(words.bytes())
            })
            .collect();
        let mut bytes = Vec::new();
        let read = self.marks.rewind().and_then(|()| self.marks.read_to_end(&mut bytes));
        read.map_err(|error| format!("what was started cannot be read: {error}"))?;
        let (marks, rest) = bytes.as_chunks::<MARK_BYTES>();
        let mut found = marks.to_vec();
        expected.sort_unstable();
        found.sort_unstable();
        match found == expected && rest.is_empty() {
            true => Ok(()),
            false if found.len() != expected.len() => {
                Err(format!("commands started: counted {}, expected {}", found.len(), expected.len()))
            }
            false => Err("its commands were not those of all tasks, each once".into()),
        }
    }
}

/// `words` each end with a zero byte.
fn mark_of(words: &[u8]) -> [u8; MARK_BYTES] {
    Sha256::digest(words).into()
}

/// The life of a command that leaves a mark. Returns only if it cannot become the command.
///
/// # Errors
/// Why not.
pub fn mark() -> anyhow::Result<()> {
    let mut words = std::env::args_os().skip(2);
    let marks = words.next().context("nowhere to leave a mark")?;
    let words: Vec<_> = words.collect();
    let mut bytes = Vec::new();
    for word in &words {
        bytes.extend_from_slice(word.as_bytes());
        bytes.push(0);
    }
    let mut file = OpenOptions::new().append(true).open(marks).context("no mark could be left")?;
    file.write_all(&mark_of(&bytes)).context("no mark could be left")?;
    drop(file);
    let (program, rest) = words.split_first().context("there is no command")?;
    // What commands write is discarded, so that the tool's own words are heard alone.
    let mut own = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let error = Command::new(program).args(rest).stderr(Stdio::null()).exec();
    let _ = writeln!(own, "the command could not be started: {error}");
    Err(error).context("the command could not be started")
}
