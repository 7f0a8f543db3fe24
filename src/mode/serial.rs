//! `serial`: one task after another, in one process.

use super::board::execute_bare;
use super::progress::{Status, stretches};
use super::{Board, Outcome, Round, RoundError, Times};
use crate::sys::clock::monotonic_nanoseconds;
use crate::sys::memory::Visibility;
use crate::workload::{Meter, Workload};

/// Executes every task of `workload` in this process.
///
/// # Errors
/// If memory for the results cannot be had.
// Once a round, and the bench that counts instructions knows it by its name.
#[inline(never)]
pub fn run<W: Workload>(workload: &W, mut round: Round<'_>) -> Result<Outcome, RoundError> {
    let begin = monotonic_nanoseconds();
    let mut meter = Meter::default();
    let mut board = Board::new(&round, workload.result_size(), Visibility::Private)?;
    let mut argument = vec![0; workload.argument_capacity()];
    let mut executor = workload.executor(&mut meter);
    let bare = argument.is_empty() && workload.result_size() == 0;
    let mut cursor = board.stamps.cursor();
    let ready = monotonic_nanoseconds();
    // How long the next task of somebody else's takes nobody knows, and whoever waits for it is to be told.
    let most = if round.spec.kind.is_program() { 1 } else { u64::MAX };
    for stretch in stretches(0..round.tasks, most) {
        round.progress.tick(Status { tasks_done: stretch.start, alive: 0 });
        if bare {
            let words = board.words(stretch.clone());
            let stamps = (&board.stamps, &mut cursor);
            execute_bare(&mut executor, stretch.start, words, stamps, &mut meter, |_| {});
            continue;
        }
        for task in stretch {
            let length = workload.write_argument(task, &mut argument);
            let word = board.execute(&mut executor, task, &argument[..length], &mut meter);
            board.publish(task, word);
        }
    }
    let collected = monotonic_nanoseconds();
    drop(executor);
    let end = monotonic_nanoseconds();
    Ok(Outcome {
        times: Times { begin, ready, collected, end },
        board,
        meter,
        processes_started: 0,
        unstarted: 0,
        peak_alive: 0,
        retries: 0,
        workers_lost: 0,
    })
}
