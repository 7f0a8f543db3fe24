//! What parent and worker say to each other.

use crate::workload::Meter;

/// Words in front of the argument of a task: its number and the argument's length.
pub(super) const REQUEST_WORDS: usize = 2;
/// Words in front of an answer's result bytes: [`Answer`].
pub(super) const ANSWER_WORDS: usize = 10;
/// Bytes read at a time.
pub(super) const PIECE: usize = 64 * 1024;

/// What a worker says after each task, and once before the first and after the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// The task, or one of the two below.
    pub(super) task: u64,
    /// [`Word`].
    pub(super) word: u64,
    /// When the task started and ended, if it is stamped; when the worker was ready or had finished.
    pub(super) started: u64,
    pub(super) ended: u64,
    /// All that it has done so far.
    pub(super) meter: Meter,
}

/// In place of a task: ready for the first one.
pub(super) const READY: u64 = u64::MAX;
/// In place of a task: there will be no more answers.
pub(super) const FINISHED: u64 = u64::MAX - 1;

impl Answer {
    pub(super) fn to_bytes(self) -> [u8; ANSWER_WORDS * 8] {
        let Meter { executed, work_units, initialisations, waits, .. } = self.meter;
        let (sum, max) = (self.meter.overshoot_nanoseconds, self.meter.overshoot_max_nanoseconds);
        let Self { task, word, started, ended, .. } = self;
        let words = [task, word, started, ended, executed, work_units, initialisations, waits, sum, max];
        let mut bytes = [0; ANSWER_WORDS * 8];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let word = |place: usize| number_at(bytes, place);
        Self {
            task: word(0),
            word: word(1),
            started: word(2),
            ended: word(3),
            meter: Meter {
                executed: word(4),
                work_units: word(5),
                initialisations: word(6),
                waits: word(7),
                overshoot_nanoseconds: word(8),
                overshoot_max_nanoseconds: word(9),
            },
        }
    }
}

pub(super) fn number_at(bytes: &[u8], place: usize) -> u64 {
    u64::from_ne_bytes(bytes[place * 8..][..8].try_into().expect("eight bytes"))
}
