//! What became of a task: one 64-bit word, and what it cost.

use std::fmt;

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
    /// The failure's code is not one this version knows.
    Unknown(u8),
}

impl Failure {
    fn encode(self) -> (u8, u32) {
        match self {
            Self::System(errno) => (2, errno as u32),
            Self::Formula => (3, 0),
            Self::Panicked => (4, 0),
            Self::ProcessEnded(Exit::Code(code)) => (5, code as u32),
            Self::ProcessEnded(Exit::Signal(signal)) => (6, signal as u32),
            Self::GivenUp(tries) => (7, tries),
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
            _ => Self::Unknown(tag),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::System(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(errno) => write!(f, "{}", std::io::Error::from_raw_os_error(*errno)),
            Self::Formula => write!(f, "its formula could not be evaluated"),
            Self::Panicked => write!(f, "its code panicked"),
            Self::ProcessEnded(exit) => write!(f, "its process {exit} before the result was complete"),
            Self::GivenUp(tries) => write!(f, "its worker died each of the {tries} times it was tried"),
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
        ] {
            assert_eq!(Word::new(Err(failure)).read(), Some(Err(failure)));
        }
    }
}
