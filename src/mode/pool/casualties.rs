//! What a pool knows of workers that have died, and of the tasks they died of.

use std::collections::HashMap;
use std::time::Duration;

use crate::mode::RoundError;
use crate::sys::fork;
use crate::sys::wait::Exit;
use crate::workload::{Failure, OnFailure};

/// A task whose worker has died this often is not tried again, unless more tries were asked for.
const MOST_TRIES: u32 = 3;

/// A pool whose workers die this often before they take a task is not going to do any.
const MOST_BARREN_DEATHS: u32 = 100;

/// The end of a worker that did not run out of tasks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Death {
    /// How it ended.
    pub exit: Exit,
    /// Whether it had taken tasks.
    pub took_tasks: bool,
    /// The task that it had begun and not finished.
    pub busy_with: Option<u64>,
    /// Tasks that it had done but not said so, and that are done again therefore.
    pub unheard: u64,
    /// Whether it was killed for having been at that task for too long.
    pub was_overdue: bool,
}

/// Counts deaths, and says what is to become of a task that has cost a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Casualties {
    /// Tasks handed out again because whoever held them died.
    pub retries: u64,
    /// Workers that have ended otherwise than by running out of tasks.
    pub lost: u64,
    /// How often the worker that was busy with a task died.
    deaths: HashMap<u64, u32>,
    policy: OnFailure,
    /// How long a task may take.
    timeout: Duration,
    /// Workers that have died one after the other without a task in hand.
    barren_deaths: u32,
}

impl Casualties {
    pub(super) fn new(policy: OnFailure, timeout: Option<Duration>) -> Self {
        let timeout = timeout.unwrap_or_default();
        Self { retries: 0, lost: 0, deaths: HashMap::new(), policy, timeout, barren_deaths: 0 }
    }

    /// All that the next death is judged by, for whoever tells states apart: how often each task has cost a worker, by its number, and how many
    /// died in a row without one.
    #[cfg(test)]
    pub(super) fn so_far(&self) -> (Vec<(u64, u32)>, u32) {
        let mut deaths: Vec<(u64, u32)> = self.deaths.iter().map(|(task, times)| (*task, *times)).collect();
        deaths.sort_unstable();
        (deaths, self.barren_deaths)
    }

    /// How often a task is tried that costs a worker each time. One that takes too long has failed like any other task: it is
    /// tried again only where that was asked for.
    fn most_tries(&self, was_overdue: bool) -> u32 {
        match self.policy {
            OnFailure::Retry(times) => times.saturating_add(1),
            OnFailure::Continue | OnFailure::Stop if was_overdue => 1,
            OnFailure::Continue | OnFailure::Stop => MOST_TRIES,
        }
    }

    /// Notes a death. Returns why the task that the worker was busy with is to be given up, if it has cost too many workers.
    ///
    /// # Errors
    /// If workers keep dying before they take a task.
    pub(super) fn note(&mut self, death: &Death) -> Result<Option<Failure>, RoundError> {
        self.lost += 1;
        self.retries += death.unheard;
        self.barren_deaths = if death.took_tasks { 0 } else { self.barren_deaths + 1 };
        if self.barren_deaths > MOST_BARREN_DEATHS {
            return Err(anyhow::anyhow!(
                "{} workers died one after the other before they took a task; the last one {}",
                self.barren_deaths,
                death.exit
            )
            .into());
        }
        let Some(task) = death.busy_with else { return Ok(None) };
        let most_tries = self.most_tries(death.was_overdue);
        let deaths = self.deaths.entry(task).or_insert(0);
        *deaths += 1;
        if *deaths < most_tries {
            self.retries += 1;
            return Ok(None);
        }
        Ok(Some(match death.exit {
            _ if death.was_overdue => Failure::timed_out(self.timeout),
            Exit::Code(fork::PANICKED) => Failure::Panicked,
            _ => Failure::GivenUp(*deaths),
        }))
    }
}
