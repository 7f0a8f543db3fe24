//! Talking with a worker through its standard streams: a line to it, a line back.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use memchr::memchr;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;

use crate::sys::fork::Pid;
use crate::sys::wait::{Exit, end_group, has_ended, wait_until};
use crate::workload::Failure;

/// An answer longer than this, without the end of its line, is none.
pub(crate) const LONGEST_ANSWER: usize = 1 << 20;

/// How long a worker may take to end once there is nothing more for it to do.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// How long a worker may take to end that says nothing more: it closes its output when it ends, a moment before it has ended.
pub(crate) const MOMENT: Duration = Duration::from_secs(1);

/// Between two looks at whether a worker has ended whose output somebody else holds open.
const LOOK_UP: Duration = Duration::from_millis(10);

/// A pipe whose ends are both closed in programs, with the end that procbench keeps never blocking: (kept, given away).
pub(super) fn pipe_to_read() -> io::Result<(File, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    Ok((never_blocking(read)?, write))
}

fn pipe_to_write() -> io::Result<(File, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    Ok((never_blocking(write)?, read))
}

fn never_blocking(end: OwnedFd) -> io::Result<File> {
    fcntl(&end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(File::from(end))
}

/// `Ok(None)` where there is nothing now.
pub(super) fn now<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A worker that is alive, as far as is known.
pub(super) struct Conversation {
    pid: Pid,
    to: Option<File>,
    from: File,
    answer: Vec<u8>,
}

/// Why a worker is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It wrote although nobody had asked: its last answer had more than one line.
    Surplus,
    /// It did not answer as it should.
    Failed(Failure),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Conversation {
    /// With the worker that `start` starts, given its standard input and output.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn begin(
        start: impl FnOnce(OwnedFd, OwnedFd) -> Result<Pid, Failure>,
    ) -> Result<Self, Failure> {
        let ((to, input), (from, output)) = (pipe_to_write()?, pipe_to_read()?);
        let pid = start(input, output)?;
        Ok(Self { pid, to: Some(to), from, answer: Vec::new() })
    }

    /// Tells the worker `line` and returns its answer, without the end of its line. After any trouble it has to be ended.
    pub(super) fn ask(&mut self, line: &[u8], timeout: Option<Duration>) -> Result<&[u8], Trouble> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        self.answer.clear();
        if self.hear()? {
            return Err(Trouble::Failed(self.silence()));
        }
        if !self.answer.is_empty() {
            return Err(Trouble::Surplus);
        }
        let mut message = Vec::with_capacity(line.len() + 1);
        message.extend_from_slice(line);
        message.push(b'\n');
        let mut told = 0;
        loop {
            if told < message.len() {
                told += self.tell(&message[told..])?;
            }
            if let Some(end) = memchr(b'\n', &self.answer) {
                if end > LONGEST_ANSWER {
                    return Err(Trouble::Failed(Failure::LongAnswer));
                }
                let whole = end + 1 == self.answer.len();
                // Who answers before he was told everything has answered something else.
                return if whole && told == message.len() {
                    Ok(&self.answer[..end])
                } else {
                    Err(Trouble::Failed(Failure::TooManyLines))
                };
            }
            if self.answer.len() > LONGEST_ANSWER {
                return Err(Trouble::Failed(Failure::LongAnswer));
            }
            if !self.wait(told < message.len(), deadline)? {
                let timeout = timeout.unwrap_or_default();
                return Err(Trouble::Failed(Failure::timed_out(timeout)));
            }
            if self.hear()? {
                return Err(Trouble::Failed(self.silence()));
            }
        }
    }

    /// Writes what the pipe takes now.
    fn tell(&mut self, text: &[u8]) -> Result<usize, Trouble> {
        let Some(to) = &mut self.to else { return Ok(0) };
        match now(to.write(text)) {
            Ok(written) => Ok(written.unwrap_or(0)),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Trouble::Failed(self.silence())),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what is there now, a line more or less. Says whether that was the end.
    fn hear(&mut self) -> Result<bool, Trouble> {
        let mut piece = [0; 4096];
        match now(self.from.read(&mut piece))? {
            Some(0) => Ok(true),
            Some(length) => {
                self.answer.extend_from_slice(&piece[..length]);
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// Waits until there is something to read, or room to write if `to_tell`. False if `deadline` has passed.
    fn wait(&self, to_tell: bool, deadline: Option<Instant>) -> Result<bool, Trouble> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let timeout = match left {
                Some(left) if left.is_zero() => return Ok(false),
                // Rounded up, or the last part of a millisecond would be spent turning.
                Some(left) => {
                    PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
                }
                None => PollTimeout::NONE,
            };
            let mut files = vec![PollFd::new(self.from.as_fd(), PollFlags::POLLIN)];
            files.extend(
                self.to.as_ref().filter(|_| to_tell).map(|to| PollFd::new(to.as_fd(), PollFlags::POLLOUT)),
            );
            match poll(&mut files, timeout) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    /// What a worker that says nothing more has come to.
    fn silence(&self) -> Failure {
        match crate::sys::wait::has_ended_by(self.pid, Instant::now() + MOMENT) {
            Some(exit) if self.answer.is_empty() => Failure::Unanswered(exit),
            Some(exit) => Failure::Unfinished(exit),
            None => Failure::Mute,
        }
    }

    /// Kills the worker and all of its process group, and reaps it.
    pub(super) fn abort(self) {
        let _ = end_group(self.pid);
    }

    /// Lets the worker end by closing its standard input, and reaps it. Says whether it had more to say, and whether it
    /// had to be killed.
    pub(super) fn end(mut self) -> (bool, bool) {
        self.to = None;
        let deadline = Instant::now() + GRACE;
        let mut surplus = false;
        loop {
            self.answer.clear();
            match self.hear() {
                Ok(true) | Err(_) => break,
                Ok(false) if !self.answer.is_empty() => surplus = true,
                Ok(false) => {
                    // Its output need not end with it: what it has started may have that too.
                    let next = deadline.min(Instant::now() + LOOK_UP);
                    if !self.wait(false, Some(next)).unwrap_or(false) && has_ended(self.pid) {
                        break;
                    }
                }
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        let reaped = wait_until(self.pid, Some(deadline));
        let ended = matches!(&reaped, Ok(Some(_)));
        if !ended {
            let _ = end_group(self.pid);
        }
        (surplus, !ended)
    }
}

/// What an answer's bytes say, read to their end: the answer, without the end of its line.
///
/// # Errors
/// If it is not one line.
pub(crate) fn only_line(bytes: &[u8], exit: Exit) -> Result<&[u8], Failure> {
    match memchr(b'\n', bytes) {
        None if bytes.is_empty() => Err(Failure::Unanswered(exit)),
        None if bytes.len() > LONGEST_ANSWER => Err(Failure::LongAnswer),
        None => Err(Failure::Unfinished(exit)),
        Some(end) if end > LONGEST_ANSWER => Err(Failure::LongAnswer),
        Some(end) if end + 1 < bytes.len() => Err(Failure::TooManyLines),
        Some(end) => Ok(&bytes[..end]),
    }
}
