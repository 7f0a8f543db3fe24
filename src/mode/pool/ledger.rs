//! What the parent of a pool concludes from what its workers have written down. Pure: it is told what was read, so that tests can
//! go through all that can be read when workers die anywhere.

use std::ops::Range;

use super::casualties::{Casualties, Death};
use crate::mode::RoundError;
use crate::sys::wait::Exit;
use crate::workload::Failure;

/// What a worker has said of itself, as it was when it died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Note {
    /// See [`super::Station`].
    pub held_start_and_side: u64,
    pub held_end: u64,
    /// By side.
    pub executed_before: [u64; 2],
    /// Whether it was ready for its first task.
    pub ready: bool,
}

/// What a dead worker leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Estate {
    /// Tasks it held, done or not.
    pub held: Range<u64>,
    /// The first of them that is not done.
    pub first_left: Option<u64>,
    /// Tasks it has executed in all its life.
    pub executed: u64,
    /// Whether it was ready, and the argument of [`Self::first_left`] was there: it may have begun.
    may_have_begun: bool,
    ready: bool,
}

impl Note {
    /// The range that is held. Empty where its start is written and its end is not yet.
    pub(super) fn held(&self) -> Range<u64> {
        self.held_start_and_side / 2..self.held_end
    }

    /// What is left of a worker that can write no more. It went through what it held in order, as far as arguments were there.
    pub(super) fn settle(
        &self,
        is_published: impl Fn(u64) -> bool,
        has_argument: impl Fn(u64) -> bool,
    ) -> Estate {
        let held = self.held();
        let first_left = first_unpublished(&held, is_published);
        let done = first_left.unwrap_or(held.end.max(held.start)) - held.start;
        let before = self.executed_before[(self.held_start_and_side % 2) as usize];
        let may_have_begun = self.ready && first_left.is_some_and(has_argument);
        Estate { held, first_left, executed: before + done, may_have_begun, ready: self.ready }
    }
}

/// What is to be done after a death.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Succession {
    /// A task that is not tried again, and why.
    pub given_up: Option<(u64, Failure)>,
    /// What the successor takes first.
    pub inherited: Option<Range<u64>>,
}

impl Estate {
    /// What is to be done after its owner has ended with `exit`: nothing where it ended by itself. `overdue` is the task for
    /// which it was killed, which it may have finished just before.
    ///
    /// # Errors
    /// If workers keep dying before they take a task.
    pub(super) fn succeed(
        &self,
        exit: Exit,
        overdue: Option<u64>,
        casualties: &mut Casualties,
    ) -> Result<Option<Succession>, RoundError> {
        if exit == Exit::Code(0) {
            return Ok(None);
        }
        // Tasks that it held and could not have begun have not killed it.
        let busy_with = self.first_left.filter(|_| self.may_have_begun);
        let death = Death {
            exit,
            took_tasks: self.ready && !self.held.is_empty(),
            busy_with,
            unheard: 0,
            was_overdue: busy_with.is_some() && busy_with == overdue,
        };
        let given_up = death.busy_with.zip(casualties.note(&death)?);
        let next = self.first_left.map(|first| first + u64::from(given_up.is_some()));
        let inherited = next.map(|next| next..self.held.end).filter(|range| !range.is_empty());
        Ok(Some(Succession { given_up, inherited }))
    }
}

/// The first of `tasks` that is not done.
pub(super) fn first_unpublished(tasks: &Range<u64>, is_published: impl Fn(u64) -> bool) -> Option<u64> {
    tasks.clone().find(|task| !is_published(*task))
}

/// The first tasks below `claimed` that were claimed and that nobody holds: their worker died between taking them from the
/// counter and noting them. `held` is what each living worker holds, read after the counter; and the words are read after
/// that.
///
/// A living worker that has published all that it holds may be about to note what it has claimed since, and what looks like
/// nobody's may be what it is about to note. So nothing is said as long as there is such a one.
pub(super) fn gap(
    claimed: u64,
    held: &[Range<u64>],
    is_published: impl Fn(u64) -> bool,
) -> Option<Range<u64>> {
    if held.iter().any(|range| first_unpublished(range, &is_published).is_none()) {
        return None;
    }
    let is_lost = |task: u64| !is_published(task) && !held.iter().any(|range| range.contains(&task));
    let start = (0..claimed).find(|task| is_lost(*task))?;
    let end = (start..claimed).find(|task| !is_lost(*task)).unwrap_or(claimed);
    Some(start..end)
}
