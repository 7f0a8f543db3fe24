//! What became of a task: one 64-bit word, and what it cost.

use std::fmt;
use std::time::Duration;

use nix::errno::Errno;

use crate::measure::shortage;
use crate::sys::wait::Exit;

/// The result of a task as it lies in its slot: 0 while the task is not done.
///
/// Layout: bits 63–56 tag (0 not done, 1 done, else the kind of failure), bits 31–0 checksum or detail. One
/// store publishes both that the task is done and what came of it, so neither can be seen without the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word(pub u64);

const DONE: u64 = 1;
const TAG_SHIFT: u32 = 56;

impl Word {
    /// Of a task that nobody has finished.
    pub const NOT_DONE: Self = Self(0);

    /// Of a task that is done.
    #[inline]
    pub const fn done(checksum: u32) -> Self {
        Self(DONE << TAG_SHIFT | checksum as u64)
    }

    /// Of a task that ended one way or the other.
    #[inline]
    pub fn new(result: Result<u32, Failure>) -> Self {
        match result {
            Ok(checksum) => Self::done(checksum),
            Err(failure) => {
                let (tag, detail) = failure.encode();
                Self(u64::from(tag) << TAG_SHIFT | u64::from(detail))
            }
        }
    }

    /// Whether anything has been published.
    #[inline]
    pub const fn is_published(self) -> bool {
        self.0 != 0
    }

    /// Whether it is that of a task that failed.
    #[inline]
    pub const fn is_failure(self) -> bool {
        self.0 >> TAG_SHIFT > DONE
    }

    /// The checksum or the failure; `None` while the task is not done.
    pub fn read(self) -> Option<Result<u32, Failure>> {
        match self.0 >> TAG_SHIFT {
            0 => None,
            DONE => Some(Ok(self.0 as u32)),
            tag => Some(Err(Failure::decode(tag as u8, self.0 as u32))),
        }
    }
}

/// Why a task failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A system call said no, with this `errno`.
    System(i32),
    /// The formula could not be evaluated.
    Formula,
    /// The task's code panicked.
    Panicked,
    /// The process that executed it ended this way before the result was complete.
    ProcessEnded(Exit),
    /// Whoever executed it died each time it was tried, this often.
    GivenUp(u32),
    /// Its program ended like this.
    Exited(Exit),
    /// There is no program of that name.
    NotFound,
    /// The file of that name may not be executed.
    NotExecutable,
    /// Its program could not be started, with this `errno`.
    CannotStart(i32),
    /// The file for what its program writes could not be made, with this `errno`.
    Output(i32),
    /// It took longer than this many milliseconds.
    TimedOut(u32),
    /// Its worker ended like this before it had answered.
    Unanswered(Exit),
    /// Its worker closed its standard output, or its input, before it had answered.
    Mute,
    /// Its worker gave more lines than it was asked for, so that nobody can tell which of them answers what.
    TooManyLines,
    /// Its worker's answer is longer than any may be.
    LongAnswer,
    /// Its worker ended like this in the middle of a line.
    Unfinished(Exit),
    /// It was not tried, since another had failed.
    NotTried,
    /// The failure's code is not one this version knows.
    Unknown(u8),
}

/// Added to an exit code's number, a signal's: both fit into the detail of a word.
const SIGNALLED: u32 = 1 << 31;

fn encode_exit(exit: Exit) -> u32 {
    match exit {
        Exit::Code(code) => code as u32 & !SIGNALLED,
        Exit::Signal(signal) => signal as u32 | SIGNALLED,
    }
}

fn decode_exit(detail: u32) -> Exit {
    match detail & SIGNALLED {
        0 => Exit::Code(detail as i32),
        _ => Exit::Signal((detail & !SIGNALLED) as i32),
    }
}

impl Failure {
    /// Of a task that took longer than `timeout`.
    pub fn timed_out(timeout: Duration) -> Self {
        Self::TimedOut(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX))
    }

    /// Of a task whose program could not be started.
    pub fn cannot_start(error: std::io::Error) -> Self {
        Self::CannotStart(error.raw_os_error().unwrap_or(libc::EIO))
    }

    fn encode(self) -> (u8, u32) {
        match self {
            Self::System(errno) => (2, errno as u32),
            Self::Formula => (3, 0),
            Self::Panicked => (4, 0),
            Self::ProcessEnded(Exit::Code(code)) => (5, code as u32),
            Self::ProcessEnded(Exit::Signal(signal)) => (6, signal as u32),
            Self::GivenUp(tries) => (7, tries),
            Self::Exited(exit) => (8, encode_exit(exit)),
            Self::NotFound => (9, 0),
            Self::NotExecutable => (10, 0),
            Self::CannotStart(errno) => (11, errno as u32),
            Self::Output(errno) => (12, errno as u32),
            Self::TimedOut(milliseconds) => (13, milliseconds),
            Self::Unanswered(exit) => (14, encode_exit(exit)),
            Self::Mute => (15, 0),
            Self::TooManyLines => (16, 0),
            Self::LongAnswer => (17, 0),
            Self::NotTried => (18, 0),
            Self::Unfinished(exit) => (19, encode_exit(exit)),
            Self::Unknown(tag) => (tag, 0),
        }
    }

    fn decode(tag: u8, detail: u32) -> Self {
        match tag {
            2 => Self::System(detail as i32),
            3 => Self::Formula,
            4 => Self::Panicked,
            5 => Self::ProcessEnded(Exit::Code(detail as i32)),
            6 => Self::ProcessEnded(Exit::Signal(detail as i32)),
            7 => Self::GivenUp(detail),
            8 => Self::Exited(decode_exit(detail)),
            9 => Self::NotFound,
            10 => Self::NotExecutable,
            11 => Self::CannotStart(detail as i32),
            12 => Self::Output(detail as i32),
            13 => Self::TimedOut(detail),
            14 => Self::Unanswered(decode_exit(detail)),
            15 => Self::Mute,
            16 => Self::TooManyLines,
            17 => Self::LongAnswer,
            18 => Self::NotTried,
            19 => Self::Unfinished(decode_exit(detail)),
            _ => Self::Unknown(tag),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::System(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

fn in_short(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(_) => exit.to_string().trim_start_matches("was ").to_owned(),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(errno) => {
                f.write_str(&shortage::explained(&std::io::Error::from_raw_os_error(*errno)))
            }
            Self::Formula => write!(f, "its formula could not be evaluated"),
            Self::Panicked => write!(f, "its code panicked"),
            Self::ProcessEnded(exit) => write!(f, "its process {exit} before the result was complete"),
            Self::GivenUp(tries) => write!(f, "its worker died each of the {tries} times it was tried"),
            Self::Exited(exit) => f.write_str(&in_short(*exit)),
            Self::NotFound => f.write_str("not found"),
            Self::NotExecutable => f.write_str("not executable"),
            Self::CannotStart(errno) if shortage::is_shortage(*errno) => {
                let error = std::io::Error::from_raw_os_error(*errno);
                write!(f, "could not be started: {}", shortage::explained(&error))
            }
            Self::CannotStart(errno) => write!(f, "could not be started: {}", Errno::from_raw(*errno).desc()),
            Self::Output(errno) => {
                write!(f, "the file for its output could not be made: {}", Errno::from_raw(*errno).desc())
            }
            Self::TimedOut(milliseconds) => {
                let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
                match rest {
                    _ if *milliseconds == 0 => write!(f, "timed out after less than 1 ms"),
                    0 => write!(f, "timed out after {seconds} s"),
                    _ => write!(f, "timed out after {milliseconds} ms"),
                }
            }
            Self::Unanswered(exit) => write!(f, "its worker ended before it answered: {}", in_short(*exit)),
            Self::Unfinished(exit) => {
                write!(f, "its worker ended before its answer had the end of a line: {}", in_short(*exit))
            }
            Self::Mute => f.write_str("its worker closed its standard input or output before it answered"),
            Self::TooManyLines => f.write_str("its worker gave more than the one line it was asked for"),
            Self::LongAnswer => f.write_str("its worker's answer is longer than 1 MiB"),
            Self::NotTried => f.write_str("not tried, since another task had failed"),
            Self::Unknown(tag) => write!(f, "unknown failure {tag}"),
        }
    }
}

/// What an executor has really done, counted where it is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter {
    /// Tasks executed and not failed. Whoever lets an executor execute counts: see [`Self::count`].
    pub executed: u64,
    /// Units of CPU work (see [`super::cpu`]).
    pub work_units: u64,
    /// Start-ups (`--init`) done.
    pub initialisations: u64,
    /// I/O waits made.
    pub waits: u64,
    /// By how much all waits together were longer than asked for, in nanoseconds.
    pub overshoot_nanoseconds: u64,
    /// By how much the worst wait was, in nanoseconds.
    pub overshoot_max_nanoseconds: u64,
}

impl Meter {
    /// Counts a task that came to `result`, and returns what is to be published of it.
    #[inline]
    pub fn count(&mut self, result: Result<u32, Failure>) -> Word {
        self.executed += u64::from(result.is_ok());
        Word::new(result)
    }

    /// Notes a wait that ended `overshoot` nanoseconds late.
    #[inline]
    pub fn note_wait(&mut self, overshoot: u64) {
        self.waits += 1;
        self.overshoot_nanoseconds += overshoot;
        self.overshoot_max_nanoseconds = self.overshoot_max_nanoseconds.max(overshoot);
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            executed: self.executed + other.executed,
            work_units: self.work_units + other.work_units,
            initialisations: self.initialisations + other.initialisations,
            waits: self.waits + other.waits,
            overshoot_nanoseconds: self.overshoot_nanoseconds + other.overshoot_nanoseconds,
            overshoot_max_nanoseconds: self.overshoot_max_nanoseconds.max(other.overshoot_max_nanoseconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_short() {
        for (failure, told) in [
            (Failure::Exited(Exit::Code(3)), "exit code 3"),
            (Failure::Exited(Exit::Signal(libc::SIGSEGV)), "killed by SIGSEGV"),
            (Failure::timed_out(Duration::from_secs(5)), "timed out after 5 s"),
            (Failure::timed_out(Duration::from_nanos(1)), "timed out after less than 1 ms"),
            (Failure::Unanswered(Exit::Code(1)), "its worker ended before it answered: exit code 1"),
            (Failure::CannotStart(libc::E2BIG), "could not be started: Argument list too long"),
        ] {
            assert_eq!(failure.to_string(), told);
        }
    }

    #[test]
    fn a_word_says_what_was_put_in() {
        assert_eq!(Word::NOT_DONE.read(), None);
        for checksum in [0, 1, u32::MAX] {
            assert_eq!(Word::new(Ok(checksum)).read(), Some(Ok(checksum)));
            assert!(Word::new(Ok(checksum)).is_published());
        }
        for failure in [
            Failure::System(libc::ENOSPC),
            Failure::Formula,
            Failure::Panicked,
            Failure::ProcessEnded(Exit::Code(3)),
            Failure::ProcessEnded(Exit::Signal(9)),
            Failure::GivenUp(3),
            Failure::Exited(Exit::Code(255)),
            Failure::Exited(Exit::Signal(libc::SIGSEGV)),
            Failure::NotFound,
            Failure::NotExecutable,
            Failure::CannotStart(libc::E2BIG),
            Failure::Output(libc::ENOSPC),
            Failure::timed_out(Duration::from_secs(5)),
            Failure::Unanswered(Exit::Signal(9)),
            Failure::Mute,
            Failure::TooManyLines,
            Failure::LongAnswer,
            Failure::Unfinished(Exit::Code(0)),
            Failure::NotTried,
        ] {
            assert_eq!(Word::new(Err(failure)).read(), Some(Err(failure)));
        }
    }
}
