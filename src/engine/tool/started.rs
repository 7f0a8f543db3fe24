//! A tool, from its start to its end.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use crate::sys::clock::monotonic_nanoseconds;
use crate::sys::fork::Pid;
use crate::sys::spawn::{Spawner, Streams, Words, raise_open_files};
use crate::sys::wait::{Exit, wait_until};

/// A tool that is ready to be started.
pub(super) struct Started {
    spawner: Spawner,
    program: std::ffi::CString,
    words: Words,
    input: File,
    /// Where its standard error leads.
    error: File,
}

/// What was seen of it.
pub(super) struct Seen {
    pub(super) begin: u64,
    pub(super) started: u64,
    pub(super) end: u64,
    pub(super) exit: Exit,
    pub(super) peak: u64,
}

/// Between two looks at how many commands are running.
const LOOK_UP: Duration = Duration::from_millis(10);

impl Started {
    pub(super) fn make_ready(
        tool: &std::ffi::OsStr,
        all: &[String],
        input: File,
        said: Option<&File>,
    ) -> anyhow::Result<Self> {
        let mut words = Words::default();
        for word in all {
            words.begin();
            words.add(word.as_bytes());
        }
        let spawner = Spawner::new(Some(raise_open_files()?))?;
        let error = said.unwrap_or(spawner.null()).try_clone()?;
        Ok(Self { spawner, program: std::ffi::CString::new(tool.as_bytes())?, words, input, error })
    }

    /// Starts it and waits for its end.
    pub(super) fn run(&mut self, at_once: u64, tasks: u64) -> io::Result<Seen> {
        let null = self.spawner.null().try_clone()?;
        let streams = Streams { input: self.input.as_fd(), output: null.as_fd(), error: self.error.as_fd() };
        let begin = monotonic_nanoseconds();
        let pid = self.spawner.spawn(&self.program, &self.words, streams)?;
        let started = monotonic_nanoseconds();
        // Whatever is executed was alive.
        let mut peak = 1;
        let reaped = loop {
            match wait_until(pid, Some(Instant::now() + LOOK_UP))? {
                Some(reaped) => break reaped,
                None => peak = peak.max(children_of(pid)),
            }
        };
        let end = monotonic_nanoseconds();
        // What the tool starts for itself is no task.
        let peak = peak.min(at_once).min(tasks);
        Ok(Seen { begin, started, end, exit: reaped.exit, peak })
    }
}

/// How many children `pid` has now, as far as the kernel tells.
fn children_of(pid: Pid) -> u64 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    children.map_or(0, |children| children.split_whitespace().count() as u64)
}
