//! What a mode that starts a process for each task does about those that fail.

use std::collections::{HashMap, VecDeque};

use super::Board;
use crate::workload::{Failure, OnFailure, Word};

/// Keeps count of tasks that have failed.
#[derive(Debug)]
pub(super) struct Failures {
    policy: OnFailure,
    stopped: bool,
    /// How often a task has been tried again.
    tries: HashMap<u64, u32>,
    /// Tasks to be tried again, in the order in which they failed.
    again: VecDeque<u64>,
    /// Tries that were made again.
    pub retries: u64,
}

impl Failures {
    pub(super) fn new(policy: OnFailure) -> Self {
        Self { policy, stopped: false, tries: HashMap::new(), again: VecDeque::new(), retries: 0 }
    }

    /// Publishes what came of `task`, unless it has failed and is to be tried again.
    pub(super) fn publish(&mut self, board: &Board, task: u64, word: Word) {
        if word.is_failure() && self.is_to_be_tried_again(task) {
            self.again.push_back(task);
        } else {
            board.publish(task, word);
        }
    }

    fn is_to_be_tried_again(&mut self, task: u64) -> bool {
        match self.policy {
            OnFailure::Continue => false,
            OnFailure::Stop => {
                self.stopped = true;
                false
            }
            OnFailure::Retry(times) => {
                let tries = self.tries.entry(task).or_insert(0);
                *tries += 1;
                *tries <= times
            }
        }
    }

    /// A task to be tried again.
    pub(super) fn next(&mut self) -> Option<u64> {
        let task = self.again.pop_front()?;
        self.retries += 1;
        Some(task)
    }

    /// Whether a task is to be tried again.
    pub(super) fn any(&self) -> bool {
        !self.again.is_empty()
    }

    /// Whether no other task is to be started.
    #[inline]
    pub(super) fn have_stopped(&self) -> bool {
        self.stopped
    }

    /// Says of every task from `first` on that it was not tried.
    pub(super) fn give_up_rest(&self, board: &Board, first: u64) {
        for task in first..board.tasks() {
            board.give_up(task, Failure::NotTried);
        }
    }
}
