//! A round of somebody else's work in which nothing gets done: after a while whoever waits is told, and in the end it is not
//! waited for any more.

use std::time::{Duration, Instant};

/// After so long without a task done it is looked at closely.
const SUSPICIOUS: Duration = Duration::from_secs(5);
/// After so long whoever waits is told.
const WORTH_TELLING: Duration = Duration::from_secs(10);
/// So long at least is waited for a task.
const LONGEST: Duration = Duration::from_secs(600);
/// How often it is looked at closely.
const EVERY: Duration = Duration::from_secs(1);

/// What is to be done about a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stalled {
    /// Nothing: something was done lately, or it has been said.
    No,
    /// To say so: nothing was done for so long.
    Tell(Duration),
    /// To end it: nothing was done for so long.
    End(Duration),
}

/// Since when nothing was done.
#[derive(Debug)]
pub struct Stall {
    worth_telling: Duration,
    longest: Duration,
    since: Instant,
    looked_at: Instant,
    tasks_done: u64,
    marks: Option<Vec<u8>>,
    told: bool,
}

impl Stall {
    /// A round that begins at `now` and should take as long as `expected`, in which a task may take `timeout`, as far as anybody has said so.
    pub fn new(now: Instant, timeout: Option<Duration>, expected: Option<Duration>) -> Self {
        let expected = expected.unwrap_or_default();
        let allowed = timeout.map_or(Duration::ZERO, |timeout| timeout.saturating_add(WORTH_TELLING));
        Self {
            worth_telling: expected.saturating_mul(2).max(WORTH_TELLING),
            longest: expected.saturating_mul(5).max(allowed).max(LONGEST),
            since: now,
            looked_at: now,
            tasks_done: 0,
            marks: None,
            told: false,
        }
    }

    /// From `now` on tasks are executed; or what is waited for is none.
    pub fn begin(&mut self, now: Instant) {
        self.since = now;
    }

    /// So many tasks are done.
    pub fn note(&mut self, now: Instant, tasks_done: u64) {
        if tasks_done != self.tasks_done {
            (self.tasks_done, self.since) = (tasks_done, now);
        }
    }

    /// For how long nothing has been done at `now`.
    pub fn waited(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Whether [`Self::look`] has looked closely at `now`.
    pub fn has_looked_at(&self, now: Instant) -> bool {
        self.looked_at == now
    }

    /// What to do about it, where `marks` are what executors have left of what they have in hand, if they leave any: another task in hand
    /// is one done.
    pub fn look(&mut self, now: Instant, marks: impl FnOnce() -> Option<Vec<u8>>) -> Stalled {
        let waited = self.waited(now);
        if waited < SUSPICIOUS || now.saturating_duration_since(self.looked_at) < EVERY {
            return Stalled::No;
        }
        self.looked_at = now;
        let marks = marks();
        if marks != self.marks {
            let is_first = self.marks.is_none();
            self.marks = marks;
            if !is_first {
                self.since = now;
                return Stalled::No;
            }
        }
        match waited {
            waited if waited >= self.longest => Stalled::End(waited),
            waited if waited >= self.worth_telling && !self.told => {
                self.told = true;
                Stalled::Tell(waited)
            }
            _ => Stalled::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of each second up to `seconds`, where `marks` says what is in hand then.
    fn all(seconds: u64, timeout: Option<Duration>, marks: impl Fn(u64) -> u8) -> Vec<(u64, Stalled)> {
        let start = Instant::now();
        let mut stall = Stall::new(start, timeout, None);
        let at = |second| start + Duration::from_secs(second);
        (1..=seconds)
            .map(|second| (second, stall.look(at(second), || Some(vec![marks(second)]))))
            .filter(|(_, said)| *said != Stalled::No)
            .collect()
    }

    #[test]
    fn one_is_told_once_and_in_the_end_it_is_ended() {
        let said = all(600, None, |_| 0);
        assert_eq!(said, [(10, Stalled::Tell(WORTH_TELLING)), (600, Stalled::End(LONGEST))]);
    }

    #[test]
    fn who_may_take_longer_is_waited_for_longer() {
        let said = all(3610, Some(Duration::from_secs(3600)), |_| 0);
        assert_eq!(said.last(), Some(&(3610, Stalled::End(Duration::from_secs(3610)))));
        assert_eq!(said.len(), 2);
    }

    #[test]
    fn rounds_that_are_known_to_be_long_are_no_stalls() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut stall = Stall::new(start, None, Some(Duration::from_secs(300)));
        assert_eq!(stall.look(at(590), || None), Stalled::No);
        assert_eq!(stall.look(at(700), || None), Stalled::Tell(Duration::from_secs(700)));
        assert_eq!(stall.look(at(1_500), || None), Stalled::End(Duration::from_secs(1_500)));
    }

    #[test]
    fn another_task_in_hand_is_one_done() {
        assert_eq!(all(600, None, |second| second as u8 / 8), []);
    }

    #[test]
    fn a_task_done_begins_it_anew() {
        let start = Instant::now();
        let mut stall = Stall::new(start, None, None);
        let at = |second| start + Duration::from_secs(second);
        stall.note(at(9), 1);
        assert_eq!(stall.look(at(15), || None), Stalled::No);
        stall.note(at(16), 1);
        assert_eq!(stall.look(at(19), || None), Stalled::Tell(WORTH_TELLING));
    }
}
