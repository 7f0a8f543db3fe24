//! `pool`: worker processes that live for the whole round and take tasks in FIFO order from shared memory.
//!
//! One counter hands out tasks, a chunk at a time. A worker notes the range it holds in a cache line of its own, writes
//! each result into the task's place on the board and publishes its word last: **the word is what counts**. No
//! lock is shared, so none can be left locked.
//!
//! When a worker dies, its successor first takes what the dead one held and had not published. A worker that dies
//! between taking a range from the counter and noting it leaves a gap that nobody holds; the sweep when the counter has
//! run out finds it. The parent sleeps until a worker ends; it does not spin.

mod arguments;
mod casualties;
#[cfg(test)]
pub(in crate::mode) mod crashes;
mod ledger;
#[cfg(test)]
mod model;
mod overseer;
pub(super) mod pipe;
#[cfg(test)]
mod reorderings;
mod worker;

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering::Acquire;
use std::time::Duration;

use super::exec::{self, Handover, Role, Spawner};
use super::progress::Status;
use super::room::{Vacancies, is_no_room};
use super::settings::Transport;
use super::{Board, Outcome, Round, RoundError, Times, seats};
use crate::measure::shortage;
use crate::shared_record;
use crate::sys::atomic::AtomicU64;
use crate::sys::clock::monotonic_nanoseconds;
use crate::sys::fork::{self, Pid};
use crate::sys::memory::{SharedSlice, Sharing};
use crate::sys::wait::{Reaped, wait_timeout};
use crate::workload::{Meter, Workload};

use nix::sys::signal::{Signal, kill};

use arguments::ArgumentRing;
use casualties::Casualties;
use ledger::{Estate, first_unpublished};
use overseer::{At, Overseer};

shared_record! {
    /// What all workers share, each in cache lines of its own: the first is the counter.
    #[repr(align(128))]
    struct Counter {
        /// Of the counter: the first task that nobody has claimed. Of the others: 64 cores, a bit each (see [`seats`]).
        next,
    }
}

shared_record! {
    /// What a worker says of itself, in a cache line that only it writes.
    #[repr(align(128))]
    struct Station {
        /// The range it holds: twice its first task, plus which of the next two fields counts, and its end. The start is
        /// written first: a worker that dies in between holds nothing, rather than what others hold too.
        held_start_and_side,
        held_end,
        /// Tasks executed before it took that range, in turn in the one and in the other: whenever it dies, the one that
        /// counts belongs to the range that is held, and what it has done of that is seen in the words.
        executed_before,
        executed_before_in_turn,
        /// See [`Meter`]. Written before the word, so that no published task is missing here.
        work_units,
        initialisations,
        waits,
        overshoot_nanoseconds,
        overshoot_max_nanoseconds,
        /// When it was ready for its first task, and when it had found nothing more to do.
        ready_at,
        finished_at,
    }
}

/// How long the parent sleeps at most before it looks at progress.
const NAP: Duration = Duration::from_millis(100);

/// Executes every task of `workload` by `round.settings.workers` worker processes.
///
/// # Errors
/// If the machine does not allow that many processes, or memory cannot be had.
pub fn run<W: Workload>(workload: &W, mut round: Round<'_>) -> Result<Outcome, RoundError> {
    if round.settings.transport == Some(Transport::Pipe) {
        return pipe::run(workload, round);
    }
    fork::require_single_thread()?;
    let workers = round.settings.workers.unwrap_or(1).max(1);
    let begin = monotonic_nanoseconds();
    let mut pool = Pool::new(workload, &round, workers as usize)?;
    for station in 0..workers as usize {
        pool.start(workload, station, None).map_err(|error| pool.refusal(station, error))?;
    }
    // Argument by argument where there are any; otherwise the counter is all that workers need.
    while pool.alive > 0 || !pool.vacancies.is_empty() || pool.hand_out_what_is_missing(workload)? {
        if pool.made < round.tasks {
            let before = pool.made;
            pool.make_arguments(workload);
            if pool.made == before && pool.casualties.lost > 0 {
                pool.fill_gap(workload)?;
            }
        } else if let Some(reaped) = wait_timeout(pool.overseer.nap(NAP))? {
            pool.bury(workload, &reaped)?;
        }
        pool.end_overdue();
        pool.fill_vacancy(workload)?;
        while let Some(reaped) = wait_timeout(Duration::ZERO)? {
            pool.bury(workload, &reaped)?;
        }
        round.progress.tick_with(|| pool.status());
    }
    let end = monotonic_nanoseconds();
    let collected = pool.collected_at.clamp(begin, end);
    Ok(Outcome {
        times: Times { begin, ready: pool.ready_at.clamp(begin, collected), collected, end },
        board: pool.common.board,
        meter: pool.meter,
        processes_started: pool.started,
        unstarted: 0,
        peak_alive: pool.peak as u64,
        retries: pool.casualties.retries,
        workers_lost: pool.casualties.lost,
    })
}

/// What parent and workers have in common.
struct Common {
    tasks: u64,
    chunk: u64,
    board: Board,
    /// The counter of tasks; then which cores workers have begun on, here since each mapping more makes each fork dearer.
    counter: SharedSlice<Counter>,
    stations: SharedSlice<Station>,
    arguments: ArgumentRing,
    /// Whether workers begin on cores of their own.
    seated: bool,
}

impl Common {
    fn new<W: Workload>(
        workload: &W,
        tasks: u64,
        (workers, chunk): (u64, u64),
        stamp_stride: Option<u64>,
        sharing: &mut Sharing,
    ) -> io::Result<Self> {
        let held = workers.saturating_mul(chunk);
        Ok(Self {
            tasks,
            chunk,
            board: Board::shared(tasks, stamp_stride, workload.result_size(), sharing)?,
            counter: SharedSlice::shared(1 + seats::WORDS, sharing)?,
            // One more than there are workers: see `fill_gap`.
            stations: SharedSlice::shared(workers as usize + 1, sharing)?,
            arguments: ArgumentRing::new(workload.argument_capacity(), tasks, held, sharing)?,
            seated: false,
        })
    }
}

impl Common {
    /// Has the worker that begins do so on a core of its own, if that is worth it.
    fn take_seat(&self) {
        if !self.seated {
            return;
        }
        // One station is a spare.
        let workers = self.stations.len() - 1;
        seats::take(workers, |word| self.counter.get(1 + word).map(|counter| &counter.next));
    }
}

/// The life of a worker that was executed anew.
///
/// # Errors
/// If what it shares with its parent cannot be had.
pub(super) fn exec_worker<W: Workload>(
    workload: &W,
    handover: &Handover,
    tasks: u64,
    station: usize,
    (from, to): (u64, u64),
    sharing: &mut Sharing,
) -> io::Result<()> {
    let settings = (handover.workers, handover.chunk);
    let mut common = Common::new(workload, tasks, settings, handover.stamp_stride, sharing)?;
    common.seated = seats::pay_off(handover.workers, tasks, handover.workload.expected_work_seconds());
    common.take_seat();
    worker::work(&mut common, workload, station, (from < to).then_some(from..to));
    Ok(())
}

/// The parent's side of the pool.
struct Pool {
    common: Common,
    parent: Pid,
    /// Where workers are executed anew.
    spawner: Option<Spawner>,
    /// By station: who works there; 0 if nobody does.
    pids: Vec<Pid>,
    alive: usize,
    peak: usize,
    started: u64,
    /// Tasks below this have their arguments.
    made: u64,
    casualties: Casualties,
    vacancies: Vacancies<Option<Range<u64>>>,
    overseer: Overseer,
    /// Sums over the workers that have been buried.
    meter: Meter,
    /// When the first worker was ready for its first task.
    ready_at: u64,
    collected_at: u64,
}

impl Pool {
    fn new<W: Workload>(workload: &W, round: &Round<'_>, workers: usize) -> io::Result<Self> {
        let settings = (workers as u64, round.settings.chunk.unwrap_or(1).max(1));
        let mut sharing = exec::sharing_of(round.settings);
        let mut common = Common::new(workload, round.tasks, settings, round.stamp_stride, &mut sharing)?;
        common.seated = seats::pay_off(workers as u64, round.tasks, round.spec.expected_work_seconds());
        Ok(Self {
            parent: std::process::id() as Pid,
            made: if common.arguments.capacity() == 0 { round.tasks } else { 0 },
            common,
            spawner: Spawner::prepare(round, sharing)?,
            pids: vec![0; workers + 1],
            alive: 0,
            peak: 0,
            started: 0,
            casualties: Casualties::new(round.on_failure, round.spec.any_timeout()),
            vacancies: Vacancies::default(),
            overseer: Overseer::of(round.spec),
            meter: Meter::default(),
            ready_at: u64::MAX,
            collected_at: 0,
        })
    }

    /// Starts the worker of `station`, which first takes what is left of `inherited`.
    fn start<W: Workload>(
        &mut self,
        workload: &W,
        station: usize,
        inherited: Option<Range<u64>>,
    ) -> io::Result<()> {
        let parent = self.parent;
        let started = match &mut self.spawner {
            Some(spawner) => {
                let inherited = inherited.map_or((0, 0), |tasks| (tasks.start, tasks.end));
                spawner.spawn(Role::Worker { station, inherited })
            }
            None => fork::fork(|| {
                fork::die_with(parent);
                self.common.take_seat();
                worker::work(&mut self.common, workload, station, inherited);
                0
            }),
        };
        self.pids[station] = started?;
        self.started += 1;
        self.alive += 1;
        self.peak = self.peak.max(self.alive);
        Ok(())
    }

    /// Why the worker of `station` could not be started.
    fn refusal(&self, station: usize, error: io::Error) -> RoundError {
        if !is_no_room(&error) {
            return error.into();
        }
        let (number, of) = (station + 1, self.pids.len() - 1);
        RoundError::Limit(format!("failed to start worker {number} of {of}: {}", shortage::explained(&error)))
    }

    /// Starts one in the place of a worker that has died, or one more; later, where there is no room for it now.
    fn succeed<W: Workload>(
        &mut self,
        workload: &W,
        station: usize,
        inherited: Option<Range<u64>>,
    ) -> Result<(), RoundError> {
        match self.start(workload, station, inherited.clone()) {
            Err(error) if is_no_room(&error) && self.vacancies.keep(station, inherited, self.alive) => Ok(()),
            started => started.map_err(|error| self.refusal(station, error)),
        }
    }

    /// Tries again to start one of those for whom there was no room.
    fn fill_vacancy<W: Workload>(&mut self, workload: &W) -> Result<(), RoundError> {
        match self.vacancies.take() {
            // Who inherits nothing is there to take what nobody has claimed.
            Some((_, None)) if self.claimed() == self.common.tasks => Ok(()),
            Some((station, inherited)) => self.succeed(workload, station, inherited),
            None => Ok(()),
        }
    }

    /// Makes arguments until all are made, or the ring has been full for a nap.
    fn make_arguments<W: Workload>(&mut self, workload: &W) {
        let board = &self.common.board;
        self.made = self.common.arguments.make(
            self.made,
            self.common.tasks,
            |task| board.word(task).is_published(),
            |task, buffer| workload.write_argument(task, buffer),
        );
    }

    /// Kills workers that have been at one task for too long.
    fn end_overdue(&mut self) {
        let Some(now) = self.overseer.looks() else { return };
        for place in 0..self.pids.len() {
            let pid = self.pids[place];
            if pid == 0 {
                continue;
            }
            let note = self.common.stations[place].note();
            // Whoever waits for an argument is not at the task yet.
            let task = self.first_unpublished(&note.held()).filter(|task| note.ready && *task < self.made);
            if self.overseer.is_overdue(now, pid, task.map_or(At::NoTask, At::Task)) {
                // It is not reaped yet, so its number is its own.
                let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }

    /// Notes that a worker has ended, and puts another in its place if it did not end of itself.
    fn bury<W: Workload>(&mut self, workload: &W, reaped: &Reaped) -> Result<(), RoundError> {
        // Anybody else is an orphan of a task, given to the runner as subreaper.
        let Some(station) = self.pids.iter().position(|pid| *pid == reaped.pid) else { return Ok(()) };
        self.pids[station] = 0;
        self.alive -= 1;
        let overdue = self.overseer.overdue_task(reaped.pid);
        let estate = self.take_leave(station);
        let Some(succession) = estate.succeed(reaped.exit, overdue, &mut self.casualties)? else {
            return Ok(());
        };
        if let Some((task, failure)) = succession.given_up {
            self.common.board.give_up(task, failure);
            workload.note_failure();
        }
        if station == self.spare() && succession.inherited.is_none() {
            return Ok(());
        }
        self.succeed(workload, station, succession.inherited)
    }

    /// Adds up what the worker of `station` has left there, and clears it.
    fn take_leave(&mut self, station: usize) -> Estate {
        let station = &self.common.stations[station];
        let is_published = |task| self.common.board.word(task).is_published();
        let estate = station.note().settle(is_published, |task| task < self.made);
        let take = |field: &AtomicU64| field.swap(0, Acquire);
        for field in [
            &station.held_start_and_side,
            &station.held_end,
            &station.executed_before,
            &station.executed_before_in_turn,
        ] {
            take(field);
        }
        self.meter = self.meter.plus(Meter {
            executed: estate.executed,
            work_units: take(&station.work_units),
            initialisations: take(&station.initialisations),
            waits: take(&station.waits),
            overshoot_nanoseconds: take(&station.overshoot_nanoseconds),
            overshoot_max_nanoseconds: take(&station.overshoot_max_nanoseconds),
        });
        let ready_at = take(&station.ready_at);
        if ready_at > 0 {
            self.ready_at = self.ready_at.min(ready_at);
        }
        self.collected_at = self.collected_at.max(take(&station.finished_at));
        estate
    }

    /// The first of `tasks` that is not done.
    fn first_unpublished(&self, tasks: &Range<u64>) -> Option<u64> {
        first_unpublished(tasks, |task| self.common.board.word(task).is_published())
    }

    /// Tasks below this have been claimed.
    fn claimed(&self) -> u64 {
        self.common.counter[0].next.load(Acquire).min(self.common.tasks)
    }

    /// What workers hold, and what is to be handed on to those for whom there is no room yet.
    fn held(&self) -> impl Iterator<Item = Range<u64>> {
        let living = (0..self.pids.len()).filter(|place| self.pids[*place] != 0);
        let held = living.map(|place| self.common.stations[place].note().held());
        held.chain(self.vacancies.iter().filter_map(|(_, inherited)| inherited.clone()))
    }

    /// The station of a worker for a [`ledger::gap`].
    fn spare(&self) -> usize {
        self.pids.len() - 1
    }

    /// Starts one more worker for a [`ledger::gap`], and for that alone: it would hold up the next gap otherwise. Only where the
    /// others cannot go on without it; else the sweep at the end finds it.
    fn fill_gap<W: Workload>(&mut self, workload: &W) -> Result<(), RoundError> {
        let spare = self.spare();
        if self.pids[spare] != 0 || self.vacancies.iter().any(|(station, _)| *station == spare) {
            return Ok(());
        }
        let Some(gap) = self.gap() else { return Ok(()) };
        self.casualties.retries += 1;
        self.succeed(workload, spare, Some(gap))
    }

    /// What was claimed and nobody holds.
    fn gap(&self) -> Option<Range<u64>> {
        // Whoever has claimed had published what it held before: what is read from here on shows that.
        let claimed = self.claimed();
        let held: Vec<Range<u64>> = self.held().collect();
        ledger::gap(claimed, &held, |task| self.common.board.word(task).is_published())
    }

    /// With every worker gone: whether a task is missing, and if so starts a worker for it.
    fn hand_out_what_is_missing<W: Workload>(&mut self, workload: &W) -> Result<bool, RoundError> {
        if self.casualties.lost == 0 && self.meter.executed == self.common.tasks {
            return Ok(false); // Each was handed out once, so each is there; all words are checked after the round.
        }
        let Some(missing) = self.common.board.next_missing(0) else { return Ok(false) };
        // What nobody has claimed yet is claimed as ever.
        let claimed = missing.start..missing.end.min(self.claimed());
        let inherited = (!claimed.is_empty()).then_some(claimed);
        self.casualties.retries += u64::from(inherited.is_some());
        self.succeed(workload, 0, inherited)?;
        Ok(true)
    }

    /// What was claimed is not done yet as far as somebody holds it; what was claimed and is about to be noted counts as done, for a moment.
    fn status(&self) -> Status {
        let left: u64 = self.held().map(|held| held.end.saturating_sub(self.first_left_of(&held))).sum();
        // After that, so that whatever is held is among what was claimed.
        let claimed = self.claimed();
        Status { tasks_done: claimed.saturating_sub(left), alive: self.alive as u64 }
    }

    /// The first of `held` that is not done, if its holder goes through it in order: found in a few looks, since there may be many.
    fn first_left_of(&self, held: &Range<u64>) -> u64 {
        let (mut done, mut left) = (held.start, held.end.max(held.start));
        while done < left {
            let middle = done.midpoint(left);
            match self.common.board.word(middle).is_published() {
                true => done = middle + 1,
                false => left = middle,
            }
        }
        done
    }
}
