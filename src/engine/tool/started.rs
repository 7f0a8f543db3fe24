//! A tool, from its start to its end.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::Records;
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
    /// Whether it was ended since it did nothing for [`IDLE`].
    pub(super) was_idle: bool,
}

/// Between two looks at how many commands are running.
const LOOK_UP: Duration = Duration::from_millis(10);

/// GNU parallel waits for ever where it may start nothing. With nothing that runs and no task written down for so long, it will not
/// go on by itself.
pub(super) const IDLE: Duration = Duration::from_secs(20);

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

    /// Starts it and waits for its end; ends it if it does nothing, which shows where `records` are kept.
    pub(super) fn run(&mut self, at_once: u64, tasks: u64, records: Option<&Records>) -> io::Result<Seen> {
        let null = self.spawner.null().try_clone()?;
        let streams = Streams { input: self.input.as_fd(), output: null.as_fd(), error: self.error.as_fd() };
        let begin = monotonic_nanoseconds();
        let pid = self.spawner.spawn(&self.program, &self.words, streams)?;
        let started = monotonic_nanoseconds();
        // Whatever is executed was alive.
        let mut peak = 1;
        let (mut written, mut busy, mut was_idle) = (0, Instant::now(), false);
        let reaped = loop {
            if let Some(reaped) = wait_until(pid, Some(Instant::now() + LOOK_UP))? {
                break reaped;
            }
            let children = children_of(pid);
            peak = peak.max(children.unwrap_or(0));
            let Some(records) = records else { continue };
            let now = records.bytes()?;
            if children != Some(0) || now != written {
                (written, busy) = (now, Instant::now());
            } else if busy.elapsed() > IDLE && !was_idle {
                was_idle = true;
                kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL)?;
            }
        };
        let end = monotonic_nanoseconds();
        // What the tool starts for itself is no task.
        let peak = peak.min(at_once).min(tasks);
        Ok(Seen { begin, started, end, exit: reaped.exit, peak, was_idle })
    }
}

/// How many children `pid` has now; `None` where the kernel does not tell.
fn children_of(pid: Pid) -> Option<u64> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    Some(children.ok()?.split_whitespace().count() as u64)
}
