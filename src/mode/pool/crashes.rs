//! The real code of a worker, dying at each of its accesses to what it shares; or overtaken there by another, who dies at each of
//! its own. What [`super::model`] goes through in the abstract, this does step by step with what is executed in a pool.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use super::casualties::Casualties;
use super::overseer::Overseer;
use super::{Common, Pool, ledger, worker};
use crate::sys::atomic::watching;
use crate::sys::memory::Sharing;
use crate::sys::wait::Exit;
use crate::workload::{Executor, Failure, Meter, NeverLean, OnFailure, Word, Workload};

pub(super) const TASKS: u64 = 5;
const WORKERS: usize = 2;

/// Counts how often each task is executed. A start-up is two units of work, a task one.
#[derive(Clone)]
pub(super) struct Counting {
    executions: Arc<[AtomicU32; TASKS as usize]>,
    pub(super) bytes: usize,
}

impl Counting {
    /// Whose arguments and results have `bytes` bytes.
    pub(super) fn with(bytes: usize) -> Self {
        Self { executions: Arc::default(), bytes }
    }
}

impl Workload for Counting {
    type Executor = Self;
    type Lean = NeverLean;

    fn executor(&self, meter: &mut Meter) -> Self {
        meter.initialisations += 1;
        meter.work_units += 2;
        self.clone()
    }

    fn argument_capacity(&self) -> usize {
        self.bytes
    }

    fn write_argument(&self, task: u64, buffer: &mut [u8]) -> usize {
        buffer[..self.bytes].fill(task as u8);
        self.bytes
    }

    fn result_size(&self) -> usize {
        self.bytes
    }

    fn expected(&self, task: u64, _: &[u8]) -> Option<u32> {
        Some(task as u32 + 1)
    }

    fn result_is_right(&self, task: u64, _: u32, result: &[u8]) -> bool {
        result.iter().all(|byte| *byte == task as u8 + 1)
    }

    fn work_units(&self, initialisations: u64) -> u64 {
        TASKS + 2 * initialisations
    }

    fn lean(&self) -> Option<NeverLean> {
        None
    }
}

impl Executor for Counting {
    fn execute(
        &mut self,
        task: u64,
        argument: &[u8],
        result: &mut [u8],
        meter: &mut Meter,
    ) -> Result<u32, Failure> {
        assert!(argument.iter().all(|byte| *byte == task as u8));
        self.executions[task as usize].fetch_add(1, Relaxed);
        meter.work_units += 1;
        result.fill(task as u8 + 1);
        Ok(task as u32 + 1)
    }
}

/// The parent, with workers that are calls or threads in place of processes.
struct Parent {
    workload: Counting,
    chunk: u64,
    sharing: Sharing,
    pool: Pool,
}

impl Parent {
    fn new(chunk: u64, bytes: usize) -> Self {
        let workload = Counting::with(bytes);
        let mut sharing = Sharing::WithExeced(Vec::new());
        let settings = (WORKERS as u64, chunk);
        let mut common = Common::new(&workload, TASKS, settings, Some(1), &mut sharing).expect("memory");
        if bytes > 0 {
            let write = |task, buffer: &mut [u8]| workload.write_argument(task, buffer);
            assert_eq!(common.arguments.make(0, TASKS, |_| false, write), TASKS, "there is room for all");
        }
        let pool = Pool {
            common,
            parent: 0,
            spawner: None,
            made: TASKS,
            pids: vec![0; WORKERS + 1],
            alive: 0,
            peak: 0,
            started: 0,
            casualties: Casualties::new(OnFailure::Continue, None),
            overseer: Overseer::new(None),
            meter: Meter::default(),
            ready_at: u64::MAX,
            collected_at: 0,
        };
        Self { workload, chunk, sharing, pool }
    }

    /// What a worker that was executed anew would see.
    fn common_of_another(&self) -> Common {
        let settings = (WORKERS as u64, self.chunk);
        let mut sharing = self.sharing.as_a_child_has_it();
        Common::new(&self.workload, TASKS, settings, Some(1), &mut sharing).expect("what the parent has")
    }

    /// The life of a worker, which ends before its access number `dies_at`. Says whether it ended by itself.
    fn live(&mut self, place: usize, inherited: Option<Range<u64>>, dies_at: Option<u32>) -> bool {
        let (workload, common) = (self.workload.clone(), &mut self.pool.common);
        let mut left = dies_at.unwrap_or(u32::MAX);
        let watcher = move || {
            left = left.checked_sub(1).unwrap_or_else(|| resume_unwind(Box::new(())));
        };
        let life = || watching(watcher, || worker::work(common, &workload, place, inherited));
        catch_unwind(AssertUnwindSafe(life)).is_ok()
    }

    /// As [`Pool::bury`], with a successor that lives.
    fn bury(&mut self, place: usize, by_itself: bool) {
        let exit = if by_itself { Exit::Code(0) } else { Exit::Signal(libc::SIGKILL) };
        let estate = self.pool.take_leave(place);
        let succession = estate.succeed(exit, None, &mut self.pool.casualties).expect("few deaths");
        if let Some(succession) = succession {
            assert_eq!(succession.given_up, None, "few deaths");
            let by_itself = self.live(place, succession.inherited, None);
            self.bury(place, by_itself);
        }
    }

    /// As [`Pool::fill_gap`], while the worker at `place` lives alone.
    fn fill_gap(&mut self, place: usize) {
        let claimed = self.pool.common.counter[0].next.load(Acquire).min(TASKS);
        let held = [self.pool.common.stations[place].note().held()];
        let board = &self.pool.common.board;
        if let Some(gap) = ledger::gap(claimed, &held, |task| board.word(task).is_published()) {
            self.pool.casualties.retries += 1;
            let by_itself = self.live(WORKERS, Some(gap), None);
            self.bury(WORKERS, by_itself);
        }
    }

    /// As [`Pool::hand_out_what_is_missing`]; then all must be right.
    fn finish(mut self, told: &dyn std::fmt::Debug) {
        while let Some(missing) = self.pool.common.board.next_missing(0) {
            self.pool.casualties.retries += 1;
            let by_itself = self.live(0, Some(missing), None);
            self.bury(0, by_itself);
        }
        let Pool { common, casualties, meter, .. } = &self.pool;
        for task in 0..TASKS {
            let word = common.board.word(task);
            assert_eq!(word, Word::done(task as u32 + 1), "{told:?}: task {task}");
            let result = common.board.result(task);
            assert!(self.workload.result_is_right(task, 0, result), "{told:?}: task {task} {result:?}");
        }
        let times: Vec<u64> =
            self.workload.executions.iter().map(|times| u64::from(times.load(Relaxed))).collect();
        let most = TASKS + casualties.retries;
        assert!(times.iter().all(|times| *times > 0), "{told:?}: {times:?}");
        assert!(times.iter().sum::<u64>() <= most, "{told:?}: {times:?}, {casualties:?}");
        assert!((TASKS..=most).contains(&meter.executed), "{told:?}: {meter:?}, {casualties:?}");
        let least = self.workload.work_units(meter.initialisations);
        let undisturbed = casualties.lost == 0;
        assert!(meter.work_units >= least, "{told:?}: {meter:?}");
        assert!(meter.work_units == least || !undisturbed, "{told:?}: {meter:?}");
    }
}

/// Chunk and bytes: with bytes a worker executes task by task, without it has a loop of its own.
const KINDS: [(u64, usize); 3] = [(1, 0), (2, 0), (2, 8)];

#[test]
fn a_worker_may_die_at_any_access_and_its_successor_at_any_of_its_own() {
    let mut tried = 0;
    for kind in KINDS {
        for first in 0.. {
            let mut first_ended = false;
            for second in 0.. {
                let mut parent = Parent::new(kind.0, kind.1);
                first_ended = parent.live(0, None, Some(first));
                let estate = parent.pool.take_leave(0);
                if first_ended {
                    break;
                }
                let exit = Exit::Signal(libc::SIGKILL);
                let succession = estate.succeed(exit, None, &mut parent.pool.casualties).expect("few deaths");
                let inherited = succession.expect("it has died").inherited;
                let second_ended = parent.live(0, inherited, Some(second));
                parent.bury(0, second_ended);
                parent.finish(&(kind, first, second));
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
    say("a worker and its successor killed at each of their accesses", tried);
}

#[test]
fn a_worker_may_be_overtaken_at_any_access_by_one_that_dies() {
    let mut tried = 0;
    // Where both do little, all is tried in a second or two; the rest is the model's.
    for kind in [(1, 0), (2, 8)] {
        for paused_at in 0.. {
            let mut reached = true;
            for dies_at in 0.. {
                let mut b_ended = false;
                for a_dies in [false, true] {
                    let mut parent = Parent::new(kind.0, kind.1);
                    let Some(paused) = Paused::start(&parent, paused_at) else {
                        reached = false;
                        break;
                    };
                    b_ended = parent.live(1, None, Some(dies_at));
                    parent.bury(1, b_ended);
                    if parent.pool.casualties.lost > 0 {
                        parent.fill_gap(0);
                    }
                    let by_itself = paused.end(a_dies);
                    parent.bury(0, by_itself);
                    parent.finish(&(kind, paused_at, dies_at, a_dies));
                    tried += 1;
                }
                if b_ended || !reached {
                    break;
                }
            }
            if !reached {
                break;
            }
        }
    }
    say("a worker stopped at each of its accesses while another dies at each of its own", tried);
}

/// The worker of the first place, in the middle of something.
struct Paused {
    thread: JoinHandle<bool>,
    dies: Sender<bool>,
}

impl Paused {
    /// Lets it work up to its access number `at`. `None` if it has ended before.
    fn start(parent: &Parent, at: u32) -> Option<Self> {
        let (mut common, workload) = (parent.common_of_another(), parent.workload.clone());
        let (pauses, is_paused) = mpsc::channel();
        let (dies, is_to_die) = mpsc::channel();
        let mut left = Some(at);
        let watcher = move || {
            if left == Some(0) {
                pauses.send(()).expect("somebody waits for it");
                if is_to_die.recv().expect("somebody decides") {
                    resume_unwind(Box::new(()));
                }
            }
            left = left.and_then(|left| left.checked_sub(1));
        };
        let thread = std::thread::spawn(move || {
            let life = || watching(watcher, || worker::work(&mut common, &workload, 0, None));
            catch_unwind(AssertUnwindSafe(life)).is_ok()
        });
        is_paused.recv().is_ok().then_some(Self { thread, dies })
    }

    /// Lets it die or go on. Says whether it ended by itself.
    fn end(self, dies: bool) -> bool {
        self.dies.send(dies).expect("it waits");
        self.thread.join().expect("its end is caught")
    }
}

pub(super) fn say(fault: &str, tried: u32) {
    use std::io::Write;
    // Past the capture of the test harness, as all tests of faults say what they have tried.
    let _ = writeln!(std::io::stderr(), "FAULTS: {fault}: {tried} tried, {tried} survived");
}
