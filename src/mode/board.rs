//! Where the results of a round lie, in task order.

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::Round;
use super::stamps::{Cursor, Stamps};
use crate::sys::atomic::AtomicU64;
use crate::sys::clock::monotonic_nanoseconds;
use crate::sys::memory::{SharedSlice, Sharing, Slots, Visibility};
use crate::workload::{Executor, Failure, Meter, Word};

/// A word for each task, its result bytes where tasks hand some back, and when it was executed.
#[derive(Debug)]
pub struct Board {
    words: SharedSlice<AtomicU64>,
    results: Slots,
    /// When tasks started and ended.
    pub stamps: Stamps,
}

impl Board {
    /// For the tasks of `round`, which each hand back `result_size` bytes. Memory is used as results arrive.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(round: &Round<'_>, result_size: usize, visibility: Visibility) -> io::Result<Self> {
        let tasks = usize::try_from(round.tasks).map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
        // Not in large pages, where the kernel would give some: to make one it may have to move others out of the way, which
        // was seen to take 100 ms of a round of 20 ms.
        let words = SharedSlice::new(tasks, visibility)?;
        Ok(Self {
            words,
            results: Slots::new(tasks, result_size, visibility)?,
            stamps: Stamps::new(round.tasks, round.stamp_stride, visibility)?,
        })
    }

    /// The same for `tasks` of which every `stamp_stride`-th is stamped, in memory that is shared as `sharing` says.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn shared(
        tasks: u64,
        stamp_stride: Option<u64>,
        result_size: usize,
        sharing: &mut Sharing,
    ) -> io::Result<Self> {
        Ok(Self {
            words: SharedSlice::shared(tasks as usize, sharing)?,
            results: Slots::shared(tasks as usize, result_size, sharing)?,
            stamps: Stamps::shared(tasks, stamp_stride, sharing)?,
        })
    }

    /// How many tasks it is for.
    pub fn tasks(&self) -> u64 {
        self.words.len() as u64
    }

    /// What became of `task`. After this has returned a published word, the task's result bytes may be read.
    #[inline]
    pub fn word(&self, task: u64) -> Word {
        Word(self.words[task as usize].load(Acquire))
    }

    /// The words of `tasks`, to be published in order by whoever holds them.
    #[inline]
    pub fn words(&self, tasks: Range<u64>) -> &[AtomicU64] {
        &self.words[tasks.start as usize..tasks.end as usize]
    }

    /// The bytes that `task` handed back.
    #[inline]
    pub fn result(&self, task: u64) -> &[u8] {
        self.results.get(task as usize)
    }

    /// Where `task` writes the bytes it hands back.
    #[inline]
    pub fn result_mut(&mut self, task: u64) -> &mut [u8] {
        self.results.get_mut(task as usize)
    }

    /// Publishes what became of `task`: the last thing done for it.
    #[inline]
    pub fn publish(&self, task: u64, word: Word) {
        self.words[task as usize].store(word.0, Release);
    }

    /// The words, the result bytes and the stamps apart, for threads that each take a piece.
    pub fn parts_mut(&mut self) -> (&[AtomicU64], &mut [u8], &Stamps) {
        (&self.words, self.results.all_mut(), &self.stamps)
    }

    /// Executes `task` with `argument` and returns what is to be published.
    #[inline]
    pub fn execute(
        &mut self,
        executor: &mut impl Executor,
        task: u64,
        argument: &[u8],
        meter: &mut Meter,
    ) -> Word {
        let result = self.results.get_mut_whole(task as usize);
        let outcome = timed(&self.stamps, task, || executor.execute(task, argument, result, meter));
        meter.count(outcome)
    }

    /// The first stretch of tasks at or after `from` that nobody has finished.
    pub fn next_missing(&self, from: u64) -> Option<Range<u64>> {
        let missing = |task: &u64| !self.word(*task).is_published();
        let start = (from..self.tasks()).find(missing)?;
        let end = (start..self.tasks()).find(|task| !missing(task)).unwrap_or(self.tasks());
        Some(start..end)
    }

    /// Publishes that nothing came of `task`.
    pub fn give_up(&self, task: u64, failure: Failure) {
        self.publish(task, Word::new(Err(failure)));
    }
}

/// Executes the tasks from `first` on that `words` belong to, which have neither argument nor result bytes, and publishes
/// each, by the leanest that does it.
#[inline(always)]
pub fn execute_bare<E: Executor>(
    executor: &mut E,
    first: u64,
    words: &[AtomicU64],
    stamps: (&Stamps, &mut Cursor),
    meter: &mut Meter,
    note: impl Fn(&Meter),
) {
    match executor.burner() {
        Some(mut burner) => execute_each(&mut burner, first, words, stamps, meter, note),
        None => execute_each(executor, first, words, stamps, meter, note),
    }
}

/// Between two that are stamped, nothing is done but the task and its word; before each word, `note` is told what has
/// been done so far.
#[inline(always)]
fn execute_each<E: Executor>(
    executor: &mut E,
    first: u64,
    words: &[AtomicU64],
    (stamps, cursor): (&Stamps, &mut Cursor),
    meter: &mut Meter,
    note: impl Fn(&Meter),
) {
    // One task alone, as threads claim them with a chunk of 1: the loop below would cost as much as the claim.
    if let [word] = words
        && cursor.at_or_after(first) > first
    {
        let result = executor.execute(first, &[], &mut [], meter);
        let outcome = meter.count(result);
        note(meter);
        return word.store(outcome.0, Release);
    }
    let end = first + words.len() as u64;
    let mut from = first;
    while from < end {
        let stamped = cursor.at_or_after(from).min(end);
        let unstamped = &words[(from - first) as usize..(stamped - first) as usize];
        // Apart from the meter, so that it may stay in a register.
        let mut executed = 0;
        for (task, word) in (from..stamped).zip(unstamped) {
            let result = executor.execute(task, &[], &mut [], meter);
            executed += u64::from(result.is_ok());
            note(meter);
            word.store(Word::new(result).0, Release);
        }
        meter.executed += executed;
        if stamped < end {
            let result = timed(stamps, stamped, || executor.execute(stamped, &[], &mut [], meter));
            note(meter);
            words[(stamped - first) as usize].store(meter.count(result).0, Release);
        }
        from = stamped + 1;
    }
}

/// Executes `task`, stamped if it is to be.
#[inline]
pub fn timed<R>(stamps: &Stamps, task: u64, execute: impl FnOnce() -> R) -> R {
    if !stamps.includes(task) {
        return execute();
    }
    let started = monotonic_nanoseconds();
    let result = execute();
    stamps.note(task, started, monotonic_nanoseconds());
    result
}
