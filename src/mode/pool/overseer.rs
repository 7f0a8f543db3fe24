//! Finds workers that have been at one task for longer than a task may take (`--timeout`), and those that somebody has stopped
//! while they had none.

use std::collections::HashMap;
use std::time::Duration;

use crate::sys::clock::monotonic_nanoseconds;
use crate::sys::fork::Pid;
use crate::sys::wait::is_stopped;
use crate::workload::WorkloadSpec;

/// What a worker was seen to be at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Getting ready, looking for a task, or leaving.
    NoTask,
    /// This one.
    Task(u64),
}

/// Where a task is a program its worker looks after the timeout, and this much later, if it does not, the overseer.
const GRACE: Duration = Duration::from_millis(500);

/// Looks at workers every now and then. Without a timeout it sees nothing.
#[derive(Debug)]
pub(super) struct Overseer {
    timeout: Option<Duration>,
    /// Whether only workers that are stopped are killed: others see to their tasks' timeout themselves.
    only_stopped: bool,
    next_look: u64,
    /// By process.
    seen: HashMap<Pid, Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: At,
    since: u64,
    overdue: bool,
}

impl Overseer {
    /// For workers that execute what `workload` says.
    pub(super) fn of(workload: &WorkloadSpec) -> Self {
        let own = workload.task_timeout();
        let of_programs = || workload.any_timeout().map(|timeout| timeout.saturating_add(GRACE));
        Self { only_stopped: own.is_none(), ..Self::new(own.or_else(of_programs)) }
    }

    /// For workers whose tasks may take `timeout` each.
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, only_stopped: false, next_look: 0, seen: HashMap::new() }
    }

    /// Whether tasks have a timeout.
    pub(super) fn is_asked(&self) -> bool {
        self.timeout.is_some()
    }

    /// How long the parent may sleep, if it would sleep for `longest` otherwise.
    pub(super) fn nap(&self, longest: Duration) -> Duration {
        const SHORTEST: Duration = Duration::from_millis(1);
        self.timeout.map_or(longest, |timeout| (timeout / 8).clamp(SHORTEST, longest))
    }

    /// The time, if it is time to look at all workers.
    pub(super) fn looks(&mut self) -> Option<u64> {
        let interval = self.nap(Duration::from_millis(100));
        let now = self.timeout.map(|_| monotonic_nanoseconds()).filter(|now| *now >= self.next_look)?;
        self.next_look = now + interval.as_nanos() as u64;
        Some(now)
    }

    /// Notes that the worker `pid` is `at` something `now`, and says whether it has to be killed for that.
    pub(super) fn is_overdue(&mut self, now: u64, pid: Pid, at: At) -> bool {
        let Some(timeout) = self.timeout else { return false };
        let begins = Seen { at, since: now, overdue: false };
        let seen = self.seen.entry(pid).or_insert(begins);
        if seen.at != at {
            *seen = begins;
        }
        let long = now.saturating_sub(seen.since) > timeout.as_nanos() as u64;
        // Nobody says how long it may take to get ready; but one that is stopped does not go on by itself.
        let only_stopped = self.only_stopped || at == At::NoTask;
        let overdue = !seen.overdue && long && (!only_stopped || is_stopped(pid));
        seen.overdue |= overdue;
        overdue
    }

    /// The task for which the worker `pid`, which has ended, was killed.
    pub(super) fn overdue_task(&mut self, pid: Pid) -> Option<u64> {
        let seen = self.seen.remove(&pid)?;
        match seen.at {
            At::Task(task) if seen.overdue => Some(task),
            _ => None,
        }
    }
}
