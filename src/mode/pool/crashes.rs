//! The real code of a worker, dying at each of its accesses to what it shares; or overtaken there by another, who dies at each of
//! its own. What [`super::model`] goes through in the abstract, this does step by step with what is executed in a pool.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use super::arguments::ArgumentRing;
use super::casualties::Casualties;
use super::overseer::Overseer;
use super::{Common, Pool, Vacancies, worker};
use crate::sys::atomic::watching;
use crate::sys::memory::Sharing;
use crate::sys::wait::Exit;
use crate::workload::{Executor, Failure, Meter, NeverLean, OnFailure, Word, Workload};

pub(super) const TASKS: u64 = 5;
const WORKERS: usize = 2;

/// Counts how often each task is executed. A start-up is two units of work, a task one.
#[derive(Clone)]
pub(in crate::mode) struct Counting {
    executions: Arc<[AtomicU32]>,
    pub(super) bytes: usize,
}

impl Counting {
    /// [`TASKS`] whose arguments and results have `bytes` bytes.
    pub(super) fn with(bytes: usize) -> Self {
        Self::of(TASKS, bytes)
    }

    /// `tasks` whose arguments and results have `bytes` bytes.
    pub(in crate::mode) fn of(tasks: u64, bytes: usize) -> Self {
        Self { executions: (0..tasks).map(|_| AtomicU32::new(0)).collect(), bytes }
    }

    /// How often each was executed.
    pub(super) fn times(&self) -> Vec<u64> {
        self.executions.iter().map(|times| u64::from(times.load(Relaxed))).collect()
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
        self.executions.len() as u64 + 2 * initialisations
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
pub(super) struct Parent {
    workload: Counting,
    settings: Settings,
    sharing: Sharing,
    pub(super) pool: Pool,
}

/// What a pool is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) tasks: u64,
    pub(super) chunk: u64,
    /// Of each argument and each result.
    pub(super) bytes: usize,
    pub(super) stamp_stride: Option<u64>,
    /// Places for arguments, where there are not to be enough for all.
    pub(super) slots: Option<u64>,
}

impl Settings {
    fn common(&self, workload: &Counting, sharing: &mut Sharing) -> Common {
        let settings = (WORKERS as u64, self.chunk);
        let common = Common::new(workload, self.tasks, settings, self.stamp_stride, sharing);
        let mut common = common.expect("memory");
        if let Some(slots) = self.slots {
            common.arguments = ArgumentRing::with_slots(slots, self.bytes, sharing).expect("memory");
        }
        common
    }
}

impl Parent {
    fn new((chunk, bytes, stamp_stride): Kind) -> Self {
        Self::of(Settings { tasks: TASKS, chunk, bytes, stamp_stride, slots: None })
    }

    pub(super) fn of(settings: Settings) -> Self {
        let Settings { tasks, bytes, .. } = settings;
        let workload = Counting::of(tasks, bytes);
        let mut sharing = Sharing::WithExeced(Vec::new());
        let mut common = settings.common(&workload, &mut sharing);
        if bytes > 0 && settings.slots.is_none() {
            let write = |task, buffer: &mut [u8]| workload.write_argument(task, buffer);
            assert_eq!(common.arguments.make(0, tasks, |_| false, write), tasks, "there is room for all");
        }
        let pool = Pool {
            common,
            parent: 0,
            spawner: None,
            made: if settings.slots.is_none() { tasks } else { 0 },
            pids: vec![0; WORKERS + 1],
            alive: 0,
            peak: 0,
            started: 0,
            casualties: Casualties::new(OnFailure::Continue, None),
            vacancies: Vacancies::default(),
            overseer: Overseer::new(None),
            meter: Meter::default(),
            ready_at: u64::MAX,
            collected_at: 0,
        };
        Self { workload, settings, sharing, pool }
    }

    /// A worker that was executed anew, who sees the same memory elsewhere, and its life.
    pub(super) fn another(&self, place: usize) -> impl FnOnce() + Send + 'static {
        let workload = self.workload.clone();
        let mut common = self.settings.common(&workload, &mut self.sharing.as_a_child_has_it());
        move || worker::work(&mut common, &workload, place, None)
    }

    /// The life of a worker, which ends before its access number `dies_at`. Says whether it ended by itself.
    pub(super) fn live(&mut self, place: usize, inherited: Option<Range<u64>>, dies_at: Option<u32>) -> bool {
        let (workload, common) = (self.workload.clone(), &mut self.pool.common);
        let mut left = dies_at.unwrap_or(u32::MAX);
        let watcher = move || {
            left = left.checked_sub(1).unwrap_or_else(|| resume_unwind(Box::new(())));
        };
        let life = || watching(watcher, || worker::work(common, &workload, place, inherited));
        catch_unwind(AssertUnwindSafe(life)).is_ok()
    }

    /// As [`Pool::bury`], with a successor that lives.
    pub(super) fn bury(&mut self, place: usize, by_itself: bool) {
        let exit = if by_itself { Exit::Code(0) } else { Exit::Signal(libc::SIGKILL) };
        let estate = self.pool.take_leave(place);
        let succession = estate.succeed(exit, None, &mut self.pool.casualties).expect("few deaths");
        if let Some(succession) = succession {
            assert_eq!(succession.given_up, None, "few deaths");
            let by_itself = self.live(place, succession.inherited, None);
            self.bury(place, by_itself);
        }
    }

    /// As [`Pool::fill_gap`], while the worker at `place` lives alone. Says what nobody held.
    pub(super) fn fill_gap(&mut self, place: usize) -> Option<Range<u64>> {
        self.pool.pids[place] = 1;
        let gap = self.pool.gap()?;
        self.pool.casualties.retries += 1;
        let by_itself = self.live(WORKERS, Some(gap.clone()), None);
        self.bury(WORKERS, by_itself);
        Some(gap)
    }

    /// As [`Pool::bury`] of one that has died with no task in hand, who is not followed yet.
    pub(super) fn bury_alone(&mut self, place: usize) {
        let estate = self.pool.take_leave(place);
        let exit = Exit::Signal(libc::SIGKILL);
        let succession = estate.succeed(exit, None, &mut self.pool.casualties).expect("few deaths");
        assert_eq!(succession.expect("it was killed").inherited, None);
    }

    /// Makes all arguments.
    pub(super) fn make_arguments(&mut self) {
        while self.pool.made < self.settings.tasks {
            self.pool.make_arguments(&self.workload);
        }
    }

    /// As [`Pool::hand_out_what_is_missing`]; then all must be right. Says how much was handed out again.
    pub(super) fn finish(mut self, told: &dyn std::fmt::Debug) -> u64 {
        while let Some(missing) = self.pool.common.board.next_missing(0) {
            self.pool.casualties.retries += 1;
            let by_itself = self.live(0, Some(missing), None);
            self.bury(0, by_itself);
        }
        let Pool { common, casualties, meter, .. } = &self.pool;
        let tasks = self.settings.tasks;
        for task in 0..tasks {
            let word = common.board.word(task);
            assert_eq!(word, Word::done(task as u32 + 1), "{told:?}: task {task}");
            let result = common.board.result(task);
            assert!(self.workload.result_is_right(task, 0, result), "{told:?}: task {task} {result:?}");
        }
        let times = self.workload.times();
        let most = tasks + casualties.retries;
        assert!(times.iter().all(|times| *times > 0), "{told:?}: {times:?}");
        assert!(times.iter().sum::<u64>() <= most, "{told:?}: {times:?}, {casualties:?}");
        assert!((tasks..=most).contains(&meter.executed), "{told:?}: {meter:?}, {casualties:?}");
        let least = self.workload.work_units(meter.initialisations);
        let undisturbed = casualties.lost == 0;
        assert!(meter.work_units >= least, "{told:?}: {meter:?}");
        assert!(meter.work_units == least || !undisturbed, "{told:?}: {meter:?}");
        casualties.retries
    }

    /// What is done.
    pub(super) fn workload(&self) -> Counting {
        self.workload.clone()
    }
}

/// Chunk and bytes: with bytes a worker executes task by task, without it has a loop of its own.
/// Tasks in a claim, bytes of arguments and results, and every how many-th task is stamped: whoever claims task by task takes another way
/// where none is.
type Kind = (u64, usize, Option<u64>);

const KINDS: [Kind; 4] = [(1, 0, None), (1, 0, Some(1)), (2, 0, Some(1)), (2, 8, Some(1))];

#[test]
fn a_worker_may_die_at_any_access_and_its_successor_at_any_of_its_own() {
    let mut tried = 0;
    for kind in KINDS {
        for first in 0.. {
            let mut first_ended = false;
            for second in 0.. {
                let mut parent = Parent::new(kind);
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
    assert!(tried > 4_000, "only {tried}: accesses were not stopped at");
    say("a worker and its successor killed at each of their accesses", tried);
}

#[test]
fn a_worker_may_be_overtaken_at_any_access_by_one_that_dies() {
    let mut tried = 0;
    // Where both do little, all is tried in a second or two; the rest is the model's.
    for kind in [(1, 0, None), (1, 0, Some(1)), (2, 8, Some(1))] {
        for paused_at in 0.. {
            let mut reached = true;
            for dies_at in 0.. {
                let mut b_ended = false;
                for a_dies in [false, true] {
                    let mut parent = Parent::new(kind);
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
    assert!(tried > 5_000, "only {tried}: accesses were not stopped at");
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
        let life = parent.another(0);
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
        let thread =
            std::thread::spawn(move || catch_unwind(AssertUnwindSafe(|| watching(watcher, life))).is_ok());
        is_paused.recv().is_ok().then_some(Self { thread, dies })
    }

    /// Lets it die or go on. Says whether it ended by itself.
    fn end(self, dies: bool) -> bool {
        self.dies.send(dies).expect("it waits");
        self.thread.join().expect("its end is caught")
    }
}

/// Whether everything is to be tried: wherever the full counts of faults are asked for, or a part of them. It has no parts.
pub(super) fn is_full() -> bool {
    std::env::var_os("PROCBENCH_FAULTS").is_some()
}

pub(in crate::mode) fn say(fault: &str, tried: u32) {
    use std::io::Write;
    // Past the capture of the test harness, as all tests of faults say what they have tried.
    let _ = writeln!(std::io::stderr(), "FAULTS: {fault}: {tried} tried, {tried} survived");
}
