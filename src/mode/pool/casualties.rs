//! What a pool knows of workers that have died, and of the tasks they died of.

use std::collections::HashMap;

use crate::mode::RoundError;
use crate::sys::fork;
use crate::sys::wait::Exit;
use crate::workload::{Failure, OnFailure};

/// A task whose worker has died this often is not tried again, unless more tries were asked for.
const MOST_TRIES: u32 = 3;

/// A pool whose workers die this often before they take a task is not going to do any.
const MOST_BARREN_DEATHS: u32 = 100;

/// Counts deaths, and says what is to become of a task that has cost a worker.
pub(super) struct Casualties {
    /// Tasks handed out again because whoever held them died.
    pub retries: u64,
    /// Workers that have ended otherwise than by running out of tasks.
    pub lost: u64,
    /// How often the worker that was busy with a task died.
    deaths: HashMap<u64, u32>,
    /// How often that may happen to one task.
    most_tries: u32,
    /// Workers that have died one after the other without a task in hand.
    barren_deaths: u32,
}

impl Casualties {
    pub(super) fn new(policy: OnFailure) -> Self {
        let most_tries = match policy {
            OnFailure::Retry(times) => times.saturating_add(1),
            OnFailure::Continue | OnFailure::Stop => MOST_TRIES,
        };
        Self { retries: 0, lost: 0, deaths: HashMap::new(), most_tries, barren_deaths: 0 }
    }

    /// Notes that a worker has ended with `exit`, having taken tasks or not, and while it was `busy_with` one if any of them
    /// was not done. Returns why that task is to be given up, if it has cost too many workers.
    ///
    /// # Errors
    /// If workers keep dying before they take a task.
    pub(super) fn note(
        &mut self,
        exit: Exit,
        took_tasks: bool,
        busy_with: Option<u64>,
    ) -> Result<Option<Failure>, RoundError> {
        self.lost += 1;
        self.barren_deaths = if took_tasks { 0 } else { self.barren_deaths + 1 };
        if self.barren_deaths > MOST_BARREN_DEATHS {
            return Err(anyhow::anyhow!(
                "{} workers died one after the other before they took a task; the last one {exit}",
                self.barren_deaths
            )
            .into());
        }
        let Some(task) = busy_with else { return Ok(None) };
        let deaths = self.deaths.entry(task).or_insert(0);
        *deaths += 1;
        if *deaths < self.most_tries {
            self.retries += 1;
            return Ok(None);
        }
        Ok(Some(match exit {
            Exit::Code(fork::PANICKED) => Failure::Panicked,
            _ => Failure::GivenUp(*deaths),
        }))
    }
}
