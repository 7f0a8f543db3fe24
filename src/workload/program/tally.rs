//! How many programs executors have started, in memory that all of them share: threads, and workers that may die.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::measure::shortage::is_shortage;
use crate::shared_record;
use crate::sys::memory::{SharedSlice, Visibility};
use crate::workload::Failure;

shared_record! {
    /// The counts.
    struct Counts {
        started,
        named,
        reaped,
        alive,
        peak,
        /// Workers that had to be killed when they had nothing more to do.
        stubborn,
        /// Workers that could not be started while the round was set up, and what there was not enough of for one of them.
        missing,
        wanting,
    }
}

/// Counts programs. Its clones count together.
#[derive(Debug, Clone)]
pub struct Tally {
    counts: Arc<SharedSlice<Counts>>,
    kept: bool,
}

impl Tally {
    /// Nothing has been started. With `kept`, executors keep a program each; else they start one for each task.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(kept: bool) -> io::Result<Self> {
        Ok(Self { counts: Arc::new(SharedSlice::new(1, Visibility::Shared)?), kept })
    }

    /// Whether executors keep a program each.
    pub fn kept(&self) -> bool {
        self.kept
    }

    /// A number, from 1, that no other program of the round has been given, whoever starts it.
    pub fn next_number(&self) -> u64 {
        self.counts[0].named.fetch_add(1, Relaxed) + 1
    }

    /// A program has been started.
    pub fn start(&self) {
        let counts = &self.counts[0];
        counts.started.fetch_add(1, Relaxed);
        let alive = counts.alive.fetch_add(1, Relaxed) + 1;
        counts.peak.fetch_max(alive, Relaxed);
    }

    /// A program has been reaped.
    pub fn reap(&self) {
        let counts = &self.counts[0];
        counts.reaped.fetch_add(1, Relaxed);
        counts.alive.fetch_sub(1, Relaxed);
    }

    /// A worker was killed for not ending.
    pub fn note_stubborn(&self) {
        self.counts[0].stubborn.fetch_add(1, Relaxed);
    }

    /// A worker could not be started while the round was set up.
    pub fn note_missing(&self, failure: Failure) {
        let counts = &self.counts[0];
        counts.missing.fetch_add(1, Relaxed);
        if let Failure::CannotStart(errno) | Failure::System(errno) = failure
            && is_shortage(errno)
        {
            counts.wanting.store(errno as u64, Relaxed);
        }
    }

    /// One of those was started later, after all.
    pub fn note_found(&self) {
        self.counts[0].missing.fetch_sub(1, Relaxed);
    }

    /// Workers that could not be started while the round was set up, nor later.
    pub fn missing(&self) -> u64 {
        self.counts[0].missing.load(Relaxed)
    }

    /// What there was not enough of for one of those, as an `errno`.
    pub fn wanting(&self) -> Option<i32> {
        let errno = self.counts[0].wanting.load(Relaxed);
        (self.missing() > 0 && errno > 0).then_some(errno as i32)
    }

    /// Programs started.
    pub fn started(&self) -> u64 {
        self.counts[0].started.load(Relaxed)
    }

    /// Programs reaped by whoever had started them. Whose starter died is reaped by the runner, and is not counted here.
    pub fn reaped(&self) -> u64 {
        self.counts[0].reaped.load(Relaxed)
    }

    /// The most programs that existed at one time; one whose starter died counts to the end.
    pub fn peak(&self) -> u64 {
        self.counts[0].peak.load(Relaxed)
    }

    /// Workers killed for not ending.
    pub fn stubborn(&self) -> u64 {
        self.counts[0].stubborn.load(Relaxed)
    }
}
