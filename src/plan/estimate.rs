//! What a round should take and need: rules of thumb, from costs seen on common machines.
//!
//! They are there to choose the size of a pilot and to warn of hours, not to be compared with.

use crate::engine::{Engine, Strategy, python};
use crate::mode::Mode;
use crate::mode::settings::Start;
use crate::workload::WorkloadSpec;

/// Creating and reaping one process, in seconds.
const FORK_SECONDS: f64 = 60e-6;
/// … and for each byte that the parent holds.
const FORK_SECONDS_PER_PARENT_BYTE: f64 = 10e-12;
/// A runner and its board, empty.
const RUNNER_BYTES: u64 = 2 << 20;

/// What a round of `strategy` should take on `cores` cores, in seconds.
pub fn round_seconds(strategy: &Strategy, workload: &WorkloadSpec, cores: u64) -> f64 {
    let tasks = workload.tasks as f64;
    let wait = workload.expected_wait_seconds();
    let busy = workload.expected_task_seconds() - wait;
    let workers = strategy.settings.workers.unwrap_or(1) as f64;
    let waves = |at_once: f64| waves(workload.tasks, at_once);
    let of_python = strategy.engine == Engine::Python;
    let start = strategy.settings.start.unwrap_or(Start::Fork);
    let handing_over =
        if of_python { python::handing_over_seconds(strategy.mode, &strategy.settings) } else { 0.0 };
    let busy = busy + handing_over + python::evaluating_seconds(strategy.settings.evaluator);
    let one_at_a_time = of_python && strategy.mode == Mode::Threads;
    let at_once = if one_at_a_time { 1.0 } else { workers.min(cores as f64) };
    let fork = if of_python { python::process_seconds(start) } else { FORK_SECONDS };
    let fork = fork + FORK_SECONDS_PER_PARENT_BYTE * workload.parent_memory_bytes as f64;
    match strategy.mode {
        Mode::Serial => workload.init_seconds + tasks * (busy + wait),
        Mode::Threads | Mode::Pool => {
            let start = if strategy.mode == Mode::Pool { workers * fork } else { 0.0 };
            start + workload.init_seconds + (waves(at_once) * busy).max(waves(workers) * (busy + wait))
        }
        Mode::Process => {
            let in_flight = strategy.settings.in_flight.unwrap_or(1) as f64;
            let computing = waves(in_flight.min(cores as f64)) * (busy + workload.init_seconds);
            ((tasks * fork).max(computing) + wait).max(waves(in_flight) * wait)
        }
    }
}

/// What a round of `strategy` should need at the most, in bytes, if a waiting process needs `parked_bytes`.
pub fn round_bytes(strategy: &Strategy, workload: &WorkloadSpec, parked_bytes: u64) -> u64 {
    let of_python = strategy.engine == Engine::Python;
    let start = strategy.settings.start.unwrap_or(Start::Fork);
    let parked_bytes = if of_python { python::parked_bytes(start) } else { parked_bytes };
    let runner_bytes = if of_python { python::parked_bytes(Start::Spawn) } else { RUNNER_BYTES };
    // Tasks that neither wait nor compute end about as fast as they are started. So few are alive then, but rounds of 2,000 and of 20,000
    // were seen to need 20 to 43 MiB, since the kernel takes back what the dead had a little later.
    const AT_ONCE: f64 = 50e-6;
    const FEW: u64 = 500;
    let board = workload.tasks * (8 + workload.result_size_bytes);
    let of_task = workload.bytes_per_process();
    let in_flight = strategy.settings.in_flight.unwrap_or(1);
    let alive = match strategy.mode {
        Mode::Serial => 0,
        Mode::Threads | Mode::Pool => strategy.settings.workers.unwrap_or(1),
        Mode::Process if workload.expected_task_seconds() < AT_ONCE => in_flight.min(FEW),
        Mode::Process => in_flight,
    };
    runner_bytes
        + board
        + workload.parent_memory_bytes
        + workload.shared_bytes
        + workload.memory_bytes
        + alive * (parked_bytes + of_task)
}

/// How often as many tasks as fit are executed at once: of so many none is done sooner for there being fewer tasks than that.
fn waves(tasks: u64, at_once: f64) -> f64 {
    (tasks as f64 / at_once).ceil()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_tasks_than_fit_take_as_long_as_one() {
        for (tasks, expected) in [(1, 1.0), (40, 1.0), (64, 1.0), (65, 2.0), (640, 10.0)] {
            assert_eq!(waves(tasks, 64.0), expected, "{tasks} tasks");
        }
        assert_eq!(waves(40, 1.0), 40.0);
    }
}
