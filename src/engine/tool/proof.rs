//! The proof that each line was handed to one command, as the words that were meant.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;
use nix::sys::memfd::{MFdFlags, memfd_create};
use sha2::{Digest, Sha256};

use super::Tasks;
use crate::sys::spawn::Words;
use crate::workload::program::ProgramSpec;
use crate::workload::program::template::Template;

/// The hidden first argument under which procbench notes the words that it was given, and becomes the command that they
/// are.
pub const MARK: &str = "__mark";

/// What stands for the words of one command.
const MARK_BYTES: usize = 32;

/// A file in memory to which each command that is started adds its mark.
pub(super) struct Proof {
    marks: File,
}

impl Proof {
    pub(super) fn begin() -> anyhow::Result<Self> {
        Ok(Self { marks: memfd_create(c"procbench-marks", MFdFlags::MFD_CLOEXEC)?.into() })
    }

    /// What stands in front of a command so that it leaves its mark.
    pub(super) fn words(&self) -> anyhow::Result<[String; 3]> {
        let own = std::process::id();
        Ok([format!("/proc/{own}/exe"), MARK.into(), format!("/proc/{own}/fd/{}", self.marks.as_raw_fd())])
    }

    /// Whether the marks are those of all `tasks`, each as often as its words are asked for.
    pub(super) fn check(mut self, tasks: &Tasks, spec: &ProgramSpec) -> Result<(), String> {
        let template = Template::new(&spec.command_words());
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
    Err(Command::new(program).args(rest).exec()).context("the command could not be started")
}
