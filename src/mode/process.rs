//! `process`: one operating-system process for every task.
//!
//! The runner forks, the child does its task, writes its cell and leaves; the runner reaps whoever is done while it
//! goes on forking. What one fork costs is what the runner has mapped and touched, so everything it needs to keep
//! count lies in memory that children do not inherit, and nothing is allocated between forks.
//!
//! "All at once" means that nobody waits for anybody else to *end*. It does not mean to fill the kernel's run queue with
//! processes that have not executed a single instruction: a fork is faster than the first turn of the child on a busy
//! machine, so the runner lets those that it has started begin before it starts many more.
//!
//! Who is done is seen in the cells, not asked of the kernel: `wait4` for *any* child walks all of them, which with
//! 30,000 waiting children would cost more than the fork itself, while `wait4` for *this* child does not.

mod bounds;
#[cfg(test)]
mod crashes;
mod post;

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::exec::{self, Role, Spawner};
use super::failures::Failures;
use super::progress::Status;
use super::room::{Patience, is_no_room};
use super::{Board, Outcome, Round, RoundError, Times};
use crate::measure::shortage;
use crate::sys::atomic::AtomicU64;
use crate::sys::clock::monotonic_nanoseconds;
use crate::sys::fork::{self, Pid};
use crate::sys::lean::LeanFork;
use crate::sys::memory::{Mapping, SharedSlice, Sharing, Visibility};
use crate::sys::raw;
use crate::sys::wait::{Exit, Reaped, Which, has_children, try_wait, wait, wait_timeout, wait_until};
use crate::workload::{Failure, Lean, Meter, Word, Workload};
use bounds::Bounds;
pub(super) use post::exec_task;
use post::{LeanChild, Post};

/// Executes every task of `workload` in a process of its own, at most `round.settings.in_flight` at once.
///
/// # Errors
/// If the machine does not allow even one process, or memory cannot be had.
pub fn run<W: Workload>(workload: &W, mut round: Round<'_>) -> Result<Outcome, RoundError> {
    if let Some(tasks) = workload.programs() {
        return super::programs::run(workload, tasks, round);
    }
    fork::require_single_thread()?;
    let limit = round.settings.in_flight.unwrap_or(u64::MAX).min(round.tasks);
    // What the runner itself wants to know of the machine is no part of what the mode costs.
    let machine = Bounds::read();
    let begin = monotonic_nanoseconds();
    let mut sharing = exec::sharing_of(round.settings);
    let mut crew = Crew::new(workload, &round, limit as usize, &machine, &mut sharing)?;
    let mut method = match Spawner::prepare(&round, sharing)? {
        Some(spawner) => Method::Exec(spawner),
        None => Method::prepare(workload, &crew, round.parent_memory)?,
    };
    let ready = monotonic_nanoseconds();
    let mut tried = 0;
    for task in 0..round.tasks {
        while crew.alive == crew.limit {
            crew.reap_one()?;
        }
        if crew.failures.have_stopped() {
            break;
        }
        tried = task + 1;
        crew.let_children_begin()?;
        if task.is_multiple_of(SWEEP_EVERY) {
            crew.sweep()?;
            round.progress.tick(Status { tasks_done: crew.reaped, alive: crew.alive as u64 });
        }
        crew.start(workload, &mut method, task)?;
    }
    crew.join(|status| round.progress.tick(status))?;
    while let Some(task) = crew.failures.next() {
        while crew.alive == crew.limit {
            crew.reap_one()?;
        }
        crew.start(workload, &mut method, task)?;
        if !crew.failures.any() {
            crew.join(|status| round.progress.tick(status))?;
        }
    }
    crew.failures.give_up_rest(&crew.board, tried);
    let end = monotonic_nanoseconds();
    Ok(Outcome {
        // Reaping is how results are collected: with the last one both are done.
        times: Times { begin, ready, collected: end, end },
        board: crew.board,
        meter: crew.meter,
        processes_started: crew.started,
        unstarted: 0,
        peak_alive: crew.peak as u64,
        retries: crew.failures.retries,
        workers_lost: 0,
    })
}

/// Forks between two looks at who is done: rarely enough to cost nothing, often enough that few wait to be reaped.
const SWEEP_EVERY: u64 = 16;
/// Cells looked at in one sweep.
const SWEEP_CELLS: usize = 512;
/// Children that may be started and not have had a turn, for each core.
const MOST_UNBEGUN_PER_CORE: u64 = 32;
/// In place of when it was started: a process that was killed for having taken too long.
const OVERDUE: u64 = u64::MAX;
/// How long the runner steps back to let children have theirs.
const TURN_NANOSECONDS: u64 = 50_000;

/// How a child comes to be and gets at its task.
enum Method<L: Lean> {
    /// Inherits next to nothing.
    Lean(LeanFork<LeanChild<L>>),
    /// Inherits everything, like `multiprocessing.Process` under `fork`.
    Full,
    /// Is procbench executed anew, and inherits open files only.
    Exec(Spawner),
}

impl<L: Lean> Method<L> {
    fn prepare<W: Workload<Lean = L>>(
        workload: &W,
        crew: &Crew,
        parent_memory: Option<&Mapping>,
    ) -> io::Result<Self> {
        let Some(work) = workload.lean() else { return Ok(Self::Full) };
        let child = LeanChild {
            work,
            cells: crew.post.cells,
            begun: crew.post.begun,
            runner: crew.runner,
            stamp_stride: crew.board.stamps.stride(),
        };
        let keep: Vec<&Mapping> = parent_memory.into_iter().collect();
        Ok(LeanFork::prepare(child, crew.post.cells_mapping, &keep)?.map_or(Self::Full, Self::Lean))
    }
}

/// The living processes and what is known of them.
struct Crew {
    runner: Pid,
    limit: usize,
    alive: usize,
    peak: usize,
    started: u64,
    reaped: u64,
    /// Below this, cells are or have been in use.
    used: usize,
    /// Where the next sweep begins.
    cursor: usize,
    meter: Meter,
    failures: Failures,
    board: Board,
    post: Post,
    /// How many children may not have had a turn.
    most_unbegun: u64,
    /// Children that were killed, perhaps before they had a turn: nobody waits for that any more.
    never_begun: u64,
    /// How long a task may take.
    timeout: Option<Duration>,
    /// By cell, where there is a timeout: when its process was started, or [`OVERDUE`].
    started_at: SharedSlice<AtomicU64>,
    /// By cell: the process in it, 0 if none; and its task.
    pids: SharedSlice<AtomicU64>,
    tasks: SharedSlice<AtomicU64>,
    /// Cells below `used` that are free: a stack, so that few cells are used while few processes are alive.
    free: SharedSlice<AtomicU64>,
    free_count: usize,
    /// By process id: its cell.
    cell_of_pid: SharedSlice<AtomicU64>,
}

impl Crew {
    fn new<W: Workload>(
        workload: &W,
        round: &Round<'_>,
        limit: usize,
        machine: &Bounds,
        sharing: &mut Sharing,
    ) -> io::Result<Self> {
        Ok(Self {
            runner: std::process::id() as Pid,
            limit,
            alive: 0,
            peak: 0,
            started: 0,
            reaped: 0,
            used: 0,
            cursor: 0,
            meter: Meter::default(),
            failures: Failures::new(round.on_failure),
            board: Board::new(round, workload.result_size(), Visibility::ParentOnly)?,
            post: Post::new(workload, limit, sharing)?,
            most_unbegun: MOST_UNBEGUN_PER_CORE * machine.cores,
            never_begun: 0,
            timeout: round.spec.task_timeout(),
            started_at: SharedSlice::new(
                if round.spec.timeout_seconds.is_some() { limit } else { 0 },
                Visibility::ParentOnly,
            )?,
            pids: SharedSlice::new(limit, Visibility::ParentOnly)?,
            tasks: SharedSlice::new(limit, Visibility::ParentOnly)?,
            free: SharedSlice::new(limit, Visibility::ParentOnly)?,
            free_count: 0,
            cell_of_pid: SharedSlice::new(machine.pids, Visibility::ParentOnly)?,
        })
    }

    /// Starts the process of `task`. There must be a free cell.
    #[inline]
    fn start<W: Workload>(
        &mut self,
        workload: &W,
        method: &mut Method<W::Lean>,
        task: u64,
    ) -> Result<(), RoundError> {
        let cell = if self.free_count > 0 {
            self.free_count -= 1;
            self.free[self.free_count].load(Relaxed) as usize
        } else {
            self.used += 1;
            self.used - 1
        };
        self.post.hand_over(workload, task, cell);
        let mut patience = Patience::default();
        let pid = loop {
            // Its time begins when it does, not when there was no room for it yet.
            if let Some(started_at) = self.started_at.get(cell) {
                started_at.store(monotonic_nanoseconds(), Relaxed);
            }
            let attempt = match method {
                Method::Lean(fork) => fork.spawn(task, cell as u64),
                Method::Full => self.fork_fully(workload, task, cell),
                Method::Exec(spawner) => spawner.spawn(Role::Task { task, cell }),
            };
            match attempt {
                Ok(pid) => break pid,
                Err(error) if is_no_room(&error) => {
                    // Somebody must leave first: one of ours, or one of others.
                    if self.alive > 0 {
                        self.reap_one()?;
                    } else if !patience.wait() {
                        return Err(RoundError::Limit(format!(
                            "fork failed for {} with no process of this round alive: {}",
                            humantime::format_duration(Patience::LONGEST),
                            shortage::explained(&error)
                        )));
                    }
                }
                Err(error) => return Err(anyhow::anyhow!("failed to fork for task {task}: {error}").into()),
            }
        };
        self.pids[cell].store(pid as u64, Relaxed);
        self.tasks[cell].store(task, Relaxed);
        if let Some(entry) = self.cell_of_pid.get(pid as usize) {
            entry.store(cell as u64, Relaxed);
        }
        self.started += 1;
        self.alive += 1;
        self.peak = self.peak.max(self.alive);
        Ok(())
    }

    fn fork_fully<W: Workload>(&mut self, workload: &W, task: u64, cell: usize) -> io::Result<Pid> {
        let runner = self.runner;
        fork::fork(|| {
            self.post.begun.fetch_add(1, Relaxed);
            fork::die_with(runner);
            let stamped = self.board.stamps.includes(task);
            self.post.execute(workload, task, cell, stamped);
            0
        })
    }

    /// Waits while too many children have been started but never had a turn.
    #[inline]
    fn let_children_begin(&mut self) -> io::Result<()> {
        // One that is killed before its turn is not known to have been until it is reaped, so waiting has an end.
        const LONGEST: Duration = Duration::from_millis(100);
        if self.unbegun() <= self.most_unbegun {
            return Ok(());
        }
        let patience = monotonic_nanoseconds() + LONGEST.as_nanos() as u64;
        while self.unbegun() > self.most_unbegun / 2 && monotonic_nanoseconds() < patience {
            raw::sleep_until(monotonic_nanoseconds() + TURN_NANOSECONDS);
            self.sweep()?;
        }
        Ok(())
    }

    /// Children that have been started and not had a turn.
    fn unbegun(&self) -> u64 {
        self.started.saturating_sub(self.post.begun.load(Relaxed)).saturating_sub(self.never_begun)
    }

    /// Reaps those whose cell says that they are done and who have left, among the next [`SWEEP_CELLS`] cells.
    fn sweep(&mut self) -> io::Result<usize> {
        let before = self.reaped;
        for _ in 0..SWEEP_CELLS.min(self.used) {
            let cell = self.cursor;
            self.cursor = if cell + 1 >= self.used { 0 } else { cell + 1 };
            if self.post.cells[cell].word.load(Relaxed) == 0 {
                continue;
            }
            let pid = self.pids[cell].load(Relaxed) as Pid;
            if pid != 0
                && let Some(reaped) = try_wait(Which::Only(pid))?
            {
                self.collect(cell, &reaped);
            }
        }
        Ok((self.reaped - before) as usize)
    }

    /// Reaps at least one, sleeping until one is done if need be.
    fn reap_one(&mut self) -> Result<(), RoundError> {
        // Asking for any child is cheap while there are few, or while the first one asked about is done.
        const FEW: usize = 256;
        if self.alive > FEW {
            for _ in 0..=self.used / SWEEP_CELLS {
                if self.sweep()? > 0 {
                    return Ok(());
                }
            }
        }
        let Some(reaped) = self.wait_for_any()? else {
            return Err(
                anyhow::anyhow!("{} processes are alive, but the kernel knows of none", self.alive).into()
            );
        };
        let cell = self.cell_of_pid.get(reaped.pid as usize).map(|cell| cell.load(Relaxed) as usize);
        match cell {
            Some(cell) if cell < self.used && self.pids[cell].load(Relaxed) == reaped.pid as u64 => {
                self.collect(cell, &reaped);
            }
            // An orphan of a task, given to the runner as subreaper.
            _ => {}
        }
        Ok(())
    }

    /// Reaps whoever ends first. Meanwhile those who take too long are killed.
    fn wait_for_any(&mut self) -> io::Result<Option<Reaped>> {
        let Some(timeout) = self.timeout else { return wait(Which::Any) };
        let nap = (timeout / 8).clamp(Duration::from_millis(1), Duration::from_millis(100));
        loop {
            let now = monotonic_nanoseconds();
            for cell in 0..self.used {
                if self.time_left(cell, now) == Some(Duration::ZERO) {
                    self.end_overdue(cell);
                }
            }
            let reaped = wait_timeout(nap)?;
            if reaped.is_some() || !has_children() {
                return Ok(reaped);
            }
        }
    }

    /// Waits for the process of `cell`, as long as it may take.
    fn wait_for(&mut self, cell: usize, pid: Pid) -> io::Result<Option<Reaped>> {
        if let Some(left) = self.time_left(cell, monotonic_nanoseconds()) {
            let reaped = wait_until(pid, Some(Instant::now() + left))?;
            if reaped.is_some() {
                return Ok(reaped);
            }
            self.end_overdue(cell);
        }
        wait(Which::Only(pid))
    }

    /// How long the process of `cell` may still take, where there is a limit and it has not been killed for it.
    fn time_left(&self, cell: usize, now: u64) -> Option<Duration> {
        let (timeout, started_at) = (self.timeout?, self.started_at.get(cell)?.load(Relaxed));
        let alive = started_at != OVERDUE && self.pids[cell].load(Relaxed) != 0;
        alive.then(|| timeout.saturating_sub(Duration::from_nanos(now.saturating_sub(started_at))))
    }

    fn end_overdue(&self, cell: usize) {
        self.started_at[cell].store(OVERDUE, Relaxed);
        // It is not reaped yet, so its number is its own.
        let pid = self.pids[cell].load(Relaxed) as Pid;
        let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
    }

    /// Waits for everyone, one after the other, as the articles do.
    fn join(&mut self, mut report: impl FnMut(Status)) -> io::Result<()> {
        for cell in 0..self.used {
            let pid = self.pids[cell].load(Relaxed) as Pid;
            if pid == 0 {
                continue;
            }
            match self.wait_for(cell, pid)? {
                Some(reaped) => self.collect(cell, &reaped),
                None => return Err(io::Error::other(format!("process {pid} is gone, but was never reaped"))),
            }
            if (cell as u64).is_multiple_of(SWEEP_EVERY) {
                report(Status { tasks_done: self.reaped, alive: self.alive as u64 });
            }
        }
        Ok(())
    }

    /// Takes the result of a reaped process and frees its cell.
    fn collect(&mut self, cell: usize, reaped: &Reaped) {
        let task = self.tasks[cell].load(Relaxed);
        let (word, meter, stamp) = self.post.cells[cell].take();
        // Who was killed in between has no end, and is no task that took no time.
        if let Some((started, ended)) = stamp.filter(|(_, ended)| *ended != 0) {
            self.board.stamps.note(task, started, ended);
        }
        self.meter = self.meter.plus(meter);
        if reaped.exit == Exit::Code(0) && word.is_published() {
            if self.post.results.size() > 0 {
                self.board.result_mut(task).copy_from_slice(self.post.results.get(cell));
            }
            self.failures.publish(&self.board, task, word);
        } else {
            self.never_begun += u64::from(!word.is_published());
            // Somebody else kills one that is stopped before it has executed anything: this one waits in the kernel for that.
            let overdue = self.started_at.get(cell).is_some_and(|at| at.load(Relaxed) == OVERDUE)
                || self.time_left(cell, monotonic_nanoseconds()) == Some(Duration::ZERO);
            let failure = match reaped.exit {
                Exit::Signal(libc::SIGKILL) if overdue => {
                    Failure::timed_out(self.timeout.unwrap_or_default())
                }
                Exit::Code(fork::PANICKED) => Failure::Panicked,
                exit => Failure::ProcessEnded(exit),
            };
            self.failures.publish(&self.board, task, Word::new(Err(failure)));
        }
        self.pids[cell].store(0, Relaxed);
        self.free[self.free_count].store(cell as u64, Relaxed);
        self.free_count += 1;
        self.alive -= 1;
        self.reaped += 1;
    }
}
