//! Waiting for a machine that has no room for another process.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// Waiting for a machine that has no room, longer each time.
#[derive(Debug, Default)]
pub(super) struct Patience {
    waited: Duration,
    next: Duration,
}

impl Patience {
    pub(super) const LONGEST: Duration = Duration::from_secs(10);

    /// Sleeps; false if it has slept long enough altogether.
    pub(super) fn wait(&mut self) -> bool {
        if self.waited >= Self::LONGEST {
            return false;
        }
        self.next = (self.next * 2).clamp(Duration::from_millis(1), Duration::from_millis(250));
        std::thread::sleep(self.next);
        self.waited += self.next;
        true
    }
}

/// Whether the kernel has no room now: for another process, for its memory, or for an open file.
pub(super) fn is_no_room(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE))
}

/// Places of workers that have died, for whose successors there was no room, each with what it inherits.
#[derive(Debug)]
pub(super) struct Vacancies<T> {
    waiting: VecDeque<(usize, T)>,
    patience: Patience,
}

impl<T> Default for Vacancies<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), patience: Patience::default() }
    }
}

impl<T> Vacancies<T> {
    /// There is no room for who was to work at `place`. Says whether to try again later: as long as others are `alive` they may be who
    /// takes the room, and go on with the rest meanwhile; otherwise this sleeps, and has enough at some time.
    pub(super) fn keep(&mut self, place: usize, inherited: T, alive: usize) -> bool {
        // At the end, so that one that does not matter is not in the way.
        self.waiting.push_back((place, inherited));
        if alive > 0 {
            self.patience = Patience::default();
            return true;
        }
        self.patience.wait()
    }

    /// The next one to be tried.
    pub(super) fn take(&mut self) -> Option<(usize, T)> {
        self.waiting.pop_front()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(usize, T)> {
        self.waiting.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
