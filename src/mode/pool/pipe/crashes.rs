//! The parent's real code, after a worker has died with anything begun and any part of its answers said.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;

use super::wire::ANSWER_WORDS;
use super::worker::{Manner, work};
use super::{Casualties, Overseer, Pool, Progress, Vacancies, Worker};
use crate::mode::Board;
use crate::mode::pool::crashes::{Counting, TASKS, say};
use crate::sys::memory::{SharedSlice, Sharing};
use crate::sys::wait::Exit;
use crate::workload::{Meter, OnFailure};

/// A pool of one worker that has been given all tasks, and lives in nobody's process.
fn pool_of_one(workload: &Counting) -> Pool {
    let mut sharing = Sharing::WithForked;
    let (reads, writes) = std::io::pipe().expect("a pipe");
    let mut worker = Worker::new(0, file(writes), file(reads));
    let mut argument = vec![0; workload.bytes];
    (0..TASKS).for_each(|task| worker.give(workload, task, &mut argument));
    Pool {
        tasks: TASKS,
        progress: SharedSlice::<Progress>::shared(1, &mut sharing).expect("memory"),
        chunk: TASKS as usize,
        parent: 0,
        spawner: None,
        board: Board::shared(TASKS, Some(1), workload.bytes, &mut sharing).expect("memory"),
        workers: vec![worker],
        next: TASKS,
        answered: 0,
        started: 1,
        peak: 1,
        casualties: Casualties::new(OnFailure::Continue, None),
        vacancies: Vacancies::default(),
        overseer: Overseer::new(None),
        manner: Manner { result_size: workload.bytes, promptly: false },
        meter: Meter::default(),
        ready_at: u64::MAX,
        collected_at: 0,
        argument,
    }
}

fn file(end: impl Into<OwnedFd>) -> File {
    File::from(end.into())
}

/// What a worker says that is given the first `begun` tasks, by its real code, without its farewell.
fn said_after(workload: &Counting, begun: u64) -> Vec<u8> {
    let pool = pool_of_one(workload);
    let (requests, mut to_worker) = std::io::pipe().expect("a pipe");
    let each = pool.workers[0].outgoing.len() / TASKS as usize;
    to_worker.write_all(&pool.workers[0].outgoing[..each * begun as usize]).expect("room in a pipe");
    drop(to_worker);
    let (mut from_worker, answers) = std::io::pipe().expect("a pipe");
    let pipes = (file(requests), file(answers));
    work(workload, &pool.board.stamps, pool.manner, &pool.progress[0].begun, pipes).expect("a life");
    assert_eq!(pool.progress[0].begun.load(Relaxed), begun);
    let mut said = Vec::new();
    from_worker.read_to_end(&mut said).expect("what it said");
    said.truncate(said.len() - ANSWER_WORDS * 8);
    said
}

/// What arrived whole is published, the task that it was busy with is blamed and no other, what it had done besides is counted, and all
/// that is left goes to its successor, in order.
#[test]
fn a_worker_may_die_with_anything_begun_and_any_part_of_its_answers_said() {
    let mut looked_at = 0;
    for bytes in [0, 3] {
        let workload = Counting::with(bytes);
        for begun in 0..=TASKS {
            let said = said_after(&workload, begun);
            for arrived in 0..=said.len() {
                let mut pool = pool_of_one(&workload);
                pool.progress[0].begun.store(begun, Relaxed);
                pool.workers[0].incoming = said[..arrived].to_vec();
                pool.hear(0).expect("answers in turn");
                // The first says that it is ready.
                let whole = arrived.saturating_sub(ANSWER_WORDS * 8) / (ANSWER_WORDS * 8 + bytes);
                let whole = whole as u64;
                assert_eq!(pool.answered, whole);
                for task in 0..TASKS {
                    let is_there = pool.board.word(task).is_published();
                    assert_eq!(is_there, task < whole, "{begun} begun, {arrived} bytes arrived");
                }
                let mut worker = pool.workers.remove(0);
                let busy_with = (begun > whole).then(|| begun - 1);
                for death in 1..=3 {
                    let before = pool.casualties.retries;
                    pool.note_death(&workload, &mut worker, Exit::Signal(9)).expect("a death");
                    let unheard = busy_with.map_or(0, |task| task - whole);
                    let tried_again = u64::from(busy_with.is_some() && death < 3);
                    assert_eq!(pool.casualties.retries - before, unheard + tried_again);
                    let still_wanted = |task: &u64| death < 3 || Some(*task) != busy_with;
                    let left: VecDeque<u64> = (whole..TASKS).filter(still_wanted).collect();
                    assert_eq!(worker.in_hand, left, "{begun} begun, {arrived} bytes arrived");
                }
                looked_at += 1;
            }
        }
    }
    assert!(looked_at > 2000, "{looked_at}");
    say("a worker with pipes, dead with anything begun and any part of its answers said", looked_at);
}
