//! Saying how far a round is, at a price that cannot be measured.

use std::ops::Range;

use crate::sys::clock;

/// How far a round is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Tasks finished (or claimed, where only that is known).
    pub tasks_done: u64,
    /// Processes alive now.
    pub alive: u64,
}

/// Passes a [`Status`] on, ten times a second at most.
pub struct Progress<'a> {
    report: &'a mut (dyn FnMut(Status) + Send),
    next: u64,
}

/// Between two reports, in nanoseconds.
pub const INTERVAL_NANOSECONDS: u64 = 100_000_000;

impl<'a> Progress<'a> {
    /// Reports to `report`.
    pub fn new(report: &'a mut (dyn FnMut(Status) + Send)) -> Self {
        Self { report, next: clock::monotonic_nanoseconds() + INTERVAL_NANOSECONDS }
    }

    /// Reports `status` if the time for it has come. Reads the clock.
    pub fn tick(&mut self, status: Status) {
        self.tick_with(|| status);
    }

    /// The same of a status that takes some time to find out.
    pub fn tick_with(&mut self, status: impl FnOnce() -> Status) {
        let now = clock::monotonic_nanoseconds();
        if now >= self.next {
            (self.report)(status());
            self.next = now + INTERVAL_NANOSECONDS;
        }
    }
}

/// Cuts `tasks` into stretches that take a few milliseconds each, so that whoever executes them looks at the clock
/// between stretches only, whether a task takes a nanosecond or a minute. None has more than `most`.
pub fn stretches(tasks: Range<u64>, most: u64) -> impl Iterator<Item = Range<u64>> {
    const SHORT: u64 = 1_000_000;
    const LONG: u64 = 10_000_000;

    let mut next = tasks.start;
    let mut length = 1;
    let mut last = None;
    std::iter::from_fn(move || {
        let now = clock::monotonic_nanoseconds();
        match last.map(|last| now - last) {
            Some(took) if took < SHORT => length = (length * 2).min(most),
            Some(took) if took > LONG => length = (length / 2).max(1),
            _ => {}
        }
        last = Some(now);
        let start = next;
        next = tasks.end.min(start.saturating_add(length));
        (start < next).then_some(start..next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_cover_every_task_once() {
        let mut expected = 3;
        for stretch in stretches(3..100_000, u64::MAX) {
            assert_eq!(stretch.start, expected);
            assert!(stretch.end > stretch.start);
            expected = stretch.end;
        }
        assert_eq!(expected, 100_000);
        assert_eq!(stretches(5..5, u64::MAX).count(), 0);
        assert_eq!(stretches(0..1_000, 1).count(), 1_000);
    }
}
