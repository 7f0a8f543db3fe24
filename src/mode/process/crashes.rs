//! The real code of a task's process, dying at each of its accesses to what it shares; and that of the next one, which is given the same
//! cell, dying at each of its own. Whoever is reaped has made all of its accesses, so this is all that can happen between the two.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::*;
use crate::mode::pool::crashes::{Counting, say};
use crate::sys::atomic::watching;
use crate::sys::wait::CpuTime;
use crate::workload::OnFailure;

const TASKS: u64 = 3;

/// What is tried: bytes of arguments and results, whether tasks are stamped, and how often one is tried again.
type Kind = (usize, bool, u32);

/// A runner with one cell, whose processes are calls.
struct Runner {
    crew: Crew,
    workload: Counting,
    stamped: bool,
}

impl Runner {
    fn new((bytes, stamped, retries): Kind) -> Self {
        let workload = Counting::of(TASKS, bytes);
        let mut sharing = Sharing::WithExeced(Vec::new());
        let numbers = |length| SharedSlice::new(length, Visibility::ParentOnly).expect("memory");
        let stride = stamped.then_some(1);
        let crew = Crew {
            runner: 0,
            limit: 1,
            alive: 0,
            peak: 0,
            started: 0,
            reaped: 0,
            used: 1,
            cursor: 0,
            meter: Meter::default(),
            failures: Failures::new(OnFailure::Retry(retries)),
            board: Board::shared(TASKS, stride, bytes, &mut sharing).expect("memory"),
            post: Post::new(&workload, 1, &mut sharing).expect("memory"),
            most_unbegun: 1,
            never_begun: 0,
            timeout: None,
            started_at: numbers(0),
            pids: numbers(1),
            tasks: numbers(1),
            free: numbers(1),
            free_count: 1,
            cell_of_pid: numbers(1),
        };
        Self { crew, workload, stamped }
    }

    /// The life of the process of `task`, which ends before its access number `dies_at`, and what is made of it. Says whether it ended by itself.
    fn live(&mut self, task: u64, dies_at: Option<u32>) -> bool {
        let Self { crew, workload, stamped } = self;
        crew.free_count -= 1;
        crew.post.hand_over(workload, task, 0);
        crew.pids[0].store(1, Relaxed);
        crew.tasks[0].store(task, Relaxed);
        crew.started += 1;
        crew.alive += 1;
        let mut left = dies_at.unwrap_or(u32::MAX);
        let watcher = move || {
            left = left.checked_sub(1).unwrap_or_else(|| resume_unwind(Box::new(())));
        };
        let post = &mut crew.post;
        let life = || {
            post.begun.fetch_add(1, Relaxed);
            post.execute(workload, task, 0, *stamped);
            // Between the last access and the end it can be killed as well.
            post.begun.fetch_add(0, Relaxed);
        };
        let by_itself = catch_unwind(AssertUnwindSafe(|| watching(watcher, life))).is_ok();
        let exit = if by_itself { Exit::Code(0) } else { Exit::Signal(libc::SIGKILL) };
        crew.collect(0, &Reaped { pid: 1, exit, usage: CpuTime::default(), storage_read_bytes: 0 });
        by_itself
    }

    /// All must be right, but that `task` has failed if it was not tried again often enough. How often processes have died: `deaths`.
    fn finish(mut self, task: u64, deaths: u64, (_, _, retries): Kind, told: &dyn std::fmt::Debug) {
        while let Some(task) = self.crew.failures.next() {
            self.live(task, None);
        }
        let Self { crew, workload, .. } = &self;
        let is_lost = deaths > u64::from(retries);
        for other in 0..TASKS {
            let word = crew.board.word(other);
            if other == task && is_lost {
                let killed = Failure::ProcessEnded(Exit::Signal(libc::SIGKILL));
                assert_eq!(word, Word::new(Err(killed)), "{told:?}: task {other}");
            } else {
                assert_eq!(word, Word::done(other as u32 + 1), "{told:?}: task {other}");
                let result = crew.board.result(other);
                assert!(workload.result_is_right(other, 0, result), "{told:?}: task {other} {result:?}");
            }
        }
        assert_eq!(crew.failures.retries, deaths.min(u64::from(retries)), "{told:?}");
        let done = TASKS - u64::from(is_lost);
        // Who died with all of it done has done it, and was not believed.
        assert!((done..=done + deaths).contains(&crew.meter.executed), "{told:?}: {:?}", crew.meter);
        assert_eq!((crew.alive, crew.reaped, crew.unbegun()), (0, crew.started, 0), "{told:?}");
        let left = crew.post.cells[0].take();
        assert_eq!(left, (Word(0), Meter::default(), None), "{told:?}: the cell is as new");
    }
}

#[test]
fn a_process_may_die_at_any_access_and_the_next_in_its_cell_at_any_of_its_own() {
    let mut tried = 0;
    let sizes = [(0, false), (0, true), (8, false), (8, true)];
    for kind in
        sizes.into_iter().flat_map(|(bytes, stamped)| (0..3).map(move |retries| (bytes, stamped, retries)))
    {
        for first in 0.. {
            let mut first_ended = false;
            for second in 0.. {
                let mut runner = Runner::new(kind);
                assert!(runner.live(0, None));
                first_ended = runner.live(1, Some(first));
                if first_ended {
                    break;
                }
                // The task that is tried again, or the next one.
                let again = runner.crew.failures.next();
                let second_ended = runner.live(again.unwrap_or(2), Some(second));
                if again.is_some() {
                    runner.live(2, None);
                    runner.finish(1, 1 + u64::from(!second_ended), kind, &(kind, first, second));
                } else if second_ended {
                    runner.finish(1, 1, kind, &(kind, first, second));
                }
                tried += 1;
                if second_ended {
                    break;
                }
            }
            if first_ended {
                break;
            }
        }
    }
    assert!(tried > 500, "only {tried}: accesses were not stopped at");
    say("the process of a task, and the next in its cell, killed at each of their accesses", tried);
}
