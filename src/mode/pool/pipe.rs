//! The pool whose arguments and results travel through pipes, as they do in most pools: a pair for each worker.
//!
//! The parent hands out tasks in FIFO order, a chunk at a time, each with its argument; a worker has at most the chunk it is
//! busy with and one more that waits in its pipe. It answers each task with what is to be published, its result bytes, and
//! what it has done so far, many answers at a time while there is more to do, unless a program did the task. No pipe has two readers or two writers, so there is no
//! lock; and the parent never waits for a pipe to have room while another has something to say, so two full directions cannot block
//! each other. What a dead worker had not answered is handed to its successor. Which of that it had begun stands in a word of shared
//! memory, since what it had to say may have died with it: the last of these is the task that it died of, and the others are done again.

#[cfg(test)]
mod crashes;
mod wire;
mod worker;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::pipe2;

use super::casualties::{Casualties, Death};
use super::overseer::{At, Overseer};
use crate::measure::shortage;
use crate::mode::exec::{self, Role, Spawner};
use crate::mode::progress::Status;
use crate::mode::room::{Vacancies, is_no_room};
use crate::mode::{Board, Outcome, Round, RoundError, Times};
use crate::sys::clock::monotonic_nanoseconds;
use crate::sys::fork::{self, Pid};
use crate::sys::memory::{SharedSlice, Visibility};
use crate::sys::wait::{Exit, Reaped, Which, has_children, is_stopped, wait, wait_until};
use crate::workload::{Meter, Word, Workload};
use wire::{ANSWER_WORDS, Answer, FINISHED, PIECE, READY};
pub(in crate::mode) use worker::exec_worker;
use worker::{Manner, work};

/// How long the parent sleeps at most before it looks at progress.
const NAP: Duration = Duration::from_millis(100);

/// Executes every task of `workload` by `round.settings.workers` worker processes, each at the end of a pair of pipes.
///
/// # Errors
/// If the machine does not allow that many processes or pipes, or memory cannot be had.
pub(super) fn run<W: Workload>(workload: &W, mut round: Round<'_>) -> Result<Outcome, RoundError> {
    fork::require_single_thread()?;
    let begin = monotonic_nanoseconds();
    let mut pool = Pool::new(workload, &round)?;
    for place in 0..pool.progress.len() {
        pool.start(workload, place, VecDeque::new()).map_err(Unstarted::into_error)?;
    }
    while !pool.workers.is_empty() || !pool.vacancies.is_empty() {
        pool.hand_out(workload);
        pool.exchange(workload)?;
        pool.end_overdue();
        pool.fill_vacancy(workload)?;
        round.progress.tick(Status { tasks_done: pool.answered, alive: pool.workers.len() as u64 });
    }
    let end = monotonic_nanoseconds();
    let collected = pool.collected_at.clamp(begin, end);
    Ok(Outcome {
        times: Times { begin, ready: pool.ready_at.clamp(begin, collected), collected, end },
        board: pool.board,
        meter: pool.meter,
        processes_started: pool.started,
        peak_alive: pool.peak,
        retries: pool.casualties.retries,
        workers_lost: pool.casualties.lost,
        unstarted: 0,
    })
}

/// A worker that could not be started.
struct Unstarted {
    /// What could not be done.
    what: &'static str,
    error: io::Error,
    /// What it was to be given.
    tasks: VecDeque<u64>,
}

impl Unstarted {
    fn into_error(self) -> RoundError {
        match is_no_room(&self.error) {
            true => {
                RoundError::Limit(format!("failed to {}: {}", self.what, shortage::explained(&self.error)))
            }
            false => self.error.into(),
        }
    }
}

/// Shares `left` tasks out by chunks: one to each of `crew` who holds none, then another to whoever may have one waiting.
fn share_out<T>(
    crew: &mut [T],
    chunk: usize,
    mut left: u64,
    held: impl Fn(&T) -> usize,
    mut give: impl FnMut(&mut T, u64),
) {
    let mut give = |one: &mut T, left: &mut u64| {
        let given = (chunk as u64).min(*left);
        if given > 0 {
            give(one, given);
        }
        *left -= given;
    };
    for one in crew.iter_mut().filter(|one| held(one) == 0) {
        give(one, &mut left);
    }
    let workers = crew.len();
    for one in crew {
        while may_wait(held(one), chunk, left, workers) {
            give(one, &mut left);
        }
    }
}

/// Whether a chunk may wait behind the `held` tasks that a worker has in hand, with `left` that nobody has been given. The last chunks
/// wait for nobody: one of them behind a long task would keep the round from its end while the other workers have nothing to do.
fn may_wait(held: usize, chunk: usize, left: u64, workers: usize) -> bool {
    held <= chunk && left > (workers as u64).saturating_mul(chunk as u64)
}

/// The parent's side of one worker.
struct Worker {
    pid: Pid,
    /// Where its [`Progress`] is.
    place: usize,
    /// To it; closed when there is nothing more to say.
    requests: Option<File>,
    answers: File,
    /// What could not be written yet, and how much of it has been.
    outgoing: Vec<u8>,
    written: usize,
    /// What has been read and is not a whole answer yet.
    incoming: Vec<u8>,
    /// Tasks it has been given and not answered, in order.
    in_hand: VecDeque<u64>,
    /// Tasks it has answered.
    answered: u64,
    /// What it said last of all it has done.
    meter: Meter,
    /// Whether it has said that there will be no more answers.
    finished: bool,
}

crate::shared_record! {
    /// What is known of a worker without its saying so.
    #[repr(align(64))]
    pub(super) struct Progress {
        /// Tasks that it has begun.
        begun,
    }
}

struct Pool {
    tasks: u64,
    /// One for each worker that is alive.
    progress: SharedSlice<Progress>,
    chunk: usize,
    parent: Pid,
    spawner: Option<Spawner>,
    board: Board,
    workers: Vec<Worker>,
    /// The first task that nobody has been given.
    next: u64,
    answered: u64,
    started: u64,
    peak: u64,
    casualties: Casualties,
    vacancies: Vacancies<VecDeque<u64>>,
    overseer: Overseer,
    manner: Manner,
    meter: Meter,
    ready_at: u64,
    collected_at: u64,
    argument: Vec<u8>,
}

impl Pool {
    fn new<W: Workload>(workload: &W, round: &Round<'_>) -> io::Result<Self> {
        let mut sharing = exec::sharing_of(round.settings);
        let workers = round.settings.workers.unwrap_or(1).max(1) as usize;
        Ok(Self {
            tasks: round.tasks,
            progress: SharedSlice::shared(workers, &mut sharing)?,
            chunk: round.settings.chunk.unwrap_or(1).max(1) as usize,
            parent: std::process::id() as Pid,
            spawner: Spawner::prepare(round, sharing)?,
            board: Board::new(round, workload.result_size(), Visibility::Private)?,
            workers: Vec::new(),
            next: 0,
            answered: 0,
            started: 0,
            peak: 0,
            casualties: Casualties::new(round.on_failure, round.spec.any_timeout()),
            vacancies: Vacancies::default(),
            overseer: Overseer::of(round.spec),
            manner: Manner::of(workload, round.spec),
            meter: Meter::default(),
            ready_at: u64::MAX,
            collected_at: 0,
            argument: vec![0; workload.argument_capacity()],
        })
    }

    /// Starts a worker at `place` that is given `tasks` first.
    fn start<W: Workload>(
        &mut self,
        workload: &W,
        place: usize,
        tasks: VecDeque<u64>,
    ) -> Result<(), Unstarted> {
        let pipes = || {
            let pipes = (pipe2(OFlag::O_CLOEXEC)?, pipe2(OFlag::O_CLOEXEC)?);
            let ((_, requests), (answers, _)) = &pipes;
            for end in [requests.as_fd(), answers.as_fd()] {
                fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            }
            Ok(pipes)
        };
        let ((from_parent, requests), (answers, to_parent)) = match pipes() {
            Ok(pipes) => pipes,
            Err(error) => {
                let error = nix::Error::into(error);
                return Err(Unstarted { what: "open a worker's pipes", error, tasks });
            }
        };
        self.progress[place].begun.store(0, Relaxed);
        let mut worker = Worker::new(place, requests.into(), answers.into());
        tasks.into_iter().for_each(|task| worker.give(workload, task, &mut self.argument));
        // Before the fork, so that the child can close its copy of the parent's end like those of all the others: as long as
        // one is open somewhere, nobody sees the end of a pipe.
        self.workers.push(worker);
        let parent = self.parent;
        let started = match &mut self.spawner {
            Some(spawner) => {
                let (requests, answers) = (from_parent.as_raw_fd(), to_parent.as_raw_fd());
                spawner.spawn(Role::PipeWorker { requests, answers, place })
            }
            None => fork::fork(|| {
                fork::die_with(parent);
                self.workers.clear();
                let ends = (File::from(from_parent), File::from(to_parent));
                // A parent that does not listen any more is gone, or about to kill.
                let begun = &self.progress[place].begun;
                i32::from(work(workload, &self.board.stamps, self.manner, begun, ends).is_err())
            }),
        };
        match (started, self.workers.last_mut()) {
            (Ok(pid), Some(worker)) => worker.pid = pid,
            (Err(error), _) => {
                let tasks = self.workers.pop().map(|worker| worker.in_hand).unwrap_or_default();
                return Err(Unstarted { what: "start a worker", error, tasks });
            }
            (Ok(_), None) => unreachable!("it was pushed above"),
        }
        self.started += 1;
        self.peak = self.peak.max(self.workers.len() as u64);
        Ok(())
    }

    /// Starts one in the place of a worker that has died; later, where there is no room for it now.
    fn succeed<W: Workload>(
        &mut self,
        workload: &W,
        place: usize,
        tasks: VecDeque<u64>,
    ) -> Result<(), RoundError> {
        let Err(Unstarted { what, error, tasks }) = self.start(workload, place, tasks) else { return Ok(()) };
        let alive = self.workers.len();
        match is_no_room(&error) && self.vacancies.keep(place, tasks, alive) {
            true => Ok(()),
            false => Err(Unstarted { what, error, tasks: VecDeque::new() }.into_error()),
        }
    }

    /// Tries again to start one of those for whom there was no room.
    fn fill_vacancy<W: Workload>(&mut self, workload: &W) -> Result<(), RoundError> {
        match self.vacancies.take() {
            // Nothing is left for it.
            Some((_, tasks)) if tasks.is_empty() && self.next == self.tasks => Ok(()),
            Some((place, tasks)) => self.succeed(workload, place, tasks),
            None => Ok(()),
        }
    }

    /// Gives tasks, in order: a chunk to each who has none, then another to wait in its pipe, while there are plenty. Says
    /// goodbye to who has none when there are no more.
    fn hand_out<W: Workload>(&mut self, workload: &W) {
        let Self { workers, next, tasks, chunk, argument, .. } = self;
        share_out(
            workers,
            *chunk,
            *tasks - *next,
            |worker| worker.in_hand.len(),
            |worker, given| {
                (*next..*next + given).for_each(|task| worker.give(workload, task, argument));
                *next += given;
            },
        );
        for worker in workers.iter_mut() {
            // A worker that is told so ends; while others are busy it might still have to stand in for one.
            if *next == *tasks && worker.in_hand.is_empty() && worker.outgoing.is_empty() {
                worker.requests = None;
            }
        }
    }

    /// Writes and reads as much as there is room and matter for, after waiting until there is some.
    fn exchange<W: Workload>(&mut self, workload: &W) -> Result<(), RoundError> {
        for worker in &mut self.workers {
            worker.write()?;
        }
        let mut fds = Vec::with_capacity(2 * self.workers.len());
        for worker in &self.workers {
            fds.push(PollFd::new(worker.answers.as_fd(), PollFlags::POLLIN));
            if let Some(requests) = worker.requests.as_ref().filter(|_| !worker.outgoing.is_empty()) {
                fds.push(PollFd::new(requests.as_fd(), PollFlags::POLLOUT));
            }
        }
        let nap = self.overseer.nap(NAP);
        match poll(&mut fds, PollTimeout::try_from(nap).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        drop(fds);
        let mut place = 0;
        while place < self.workers.len() {
            let open = self.workers[place].read()?;
            self.hear(place)?;
            if open { place += 1 } else { self.bury(workload, place)? }
        }
        Ok(())
    }

    /// Kills workers that have been at one task for too long.
    fn end_overdue(&mut self) {
        let Some(now) = self.overseer.looks() else { return };
        for worker in &self.workers {
            let begun = worker.begun(&self.progress);
            let at = worker.in_hand.get(begun.wrapping_sub(1)).map_or(At::NoTask, |task| At::Task(*task));
            if self.overseer.is_overdue(now, worker.pid, at) {
                // It is not reaped yet, so its number is its own.
                let _ = kill(nix::unistd::Pid::from_raw(worker.pid), Signal::SIGKILL);
            }
        }
    }

    /// Takes note of every whole answer of a worker.
    fn hear(&mut self, place: usize) -> Result<(), RoundError> {
        let Manner { result_size, .. } = self.manner;
        let worker = &mut self.workers[place];
        let mut heard = 0;
        while let Some(bytes) = worker.incoming.get(heard..heard + ANSWER_WORDS * 8) {
            let answer = Answer::from_bytes(bytes);
            match answer.task {
                READY => self.ready_at = self.ready_at.min(answer.started),
                FINISHED => {
                    worker.finished = true;
                    self.collected_at = self.collected_at.max(answer.ended);
                }
                task => {
                    let start = heard + ANSWER_WORDS * 8;
                    let Some(result) = worker.incoming.get(start..start + result_size) else { break };
                    if worker.in_hand.pop_front() != Some(task) {
                        return Err(anyhow::anyhow!("a worker answered task {task} out of turn").into());
                    }
                    self.board.result_mut(task).copy_from_slice(result);
                    if answer.started > 0 {
                        self.board.stamps.note(task, answer.started, answer.ended);
                    }
                    self.board.publish(task, Word(answer.word));
                    self.answered += 1;
                    worker.answered += 1;
                    heard += result_size;
                }
            }
            worker.meter = answer.meter;
            heard += ANSWER_WORDS * 8;
        }
        worker.incoming.drain(..heard);
        Ok(())
    }

    /// Reaps a worker whose pipe has been closed, and puts another in its place if it did not end of itself.
    fn bury<W: Workload>(&mut self, workload: &W, place: usize) -> Result<(), RoundError> {
        let mut worker = self.workers.swap_remove(place);
        let reaped = self.see_to_its_end(worker.pid)?;
        self.meter = self.meter.plus(worker.meter);
        let exit = reaped.map_or(Exit::Code(0), |reaped| reaped.exit);
        if exit == Exit::Code(0) && worker.finished && worker.in_hand.is_empty() {
            return Ok(());
        }
        self.note_death(workload, &mut worker, exit)?;
        self.succeed(workload, worker.place, worker.in_hand)
    }

    /// Waits for a worker that has closed its pipe, and has nothing left to do but to end. Where tasks have a timeout, one that somebody has
    /// stopped just then does not go on by itself.
    fn see_to_its_end(&self, pid: Pid) -> io::Result<Option<Reaped>> {
        const LOOK: Duration = Duration::from_millis(100);
        if !self.overseer.is_asked() {
            return wait(Which::Only(pid));
        }
        loop {
            let reaped = wait_until(pid, Some(Instant::now() + LOOK))?;
            if reaped.is_some() || !has_children() {
                return Ok(reaped);
            }
            if is_stopped(pid) {
                // It is not reaped yet, so its number is its own.
                let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }

    /// Works out what `worker` died of, and takes that from what it had in hand if it is not to be tried again.
    fn note_death<W: Workload>(
        &mut self,
        workload: &W,
        worker: &mut Worker,
        exit: Exit,
    ) -> Result<(), RoundError> {
        let begun = worker.begun(&self.progress);
        let busy_with = worker.in_hand.get(begun.wrapping_sub(1)).copied();
        let overdue = self.overseer.overdue_task(worker.pid);
        let was_overdue = busy_with.is_some() && busy_with == overdue;
        let unheard = begun.saturating_sub(1) as u64;
        let death = Death { exit, took_tasks: busy_with.is_some(), busy_with, unheard, was_overdue };
        let given_up = self.casualties.note(&death)?;
        if let Some((task, failure)) = busy_with.zip(given_up) {
            self.board.give_up(task, failure);
            workload.note_failure();
            self.answered += 1;
            worker.in_hand.remove(begun - 1);
        }
        Ok(())
    }
}

impl Worker {
    /// One that has not been started yet, at the other end of these.
    fn new(place: usize, requests: File, answers: File) -> Self {
        Self {
            pid: 0,
            place,
            requests: Some(requests),
            answers,
            outgoing: Vec::new(),
            written: 0,
            incoming: Vec::new(),
            in_hand: VecDeque::new(),
            answered: 0,
            meter: Meter::default(),
            finished: false,
        }
    }

    /// How many of the tasks in hand it has begun: it is busy with the last of them, or done with it and has not said so yet.
    fn begun(&self, progress: &[Progress]) -> usize {
        let begun = progress[self.place].begun.load(Acquire);
        begun.saturating_sub(self.answered).min(self.in_hand.len() as u64) as usize
    }

    /// Puts `task` and its argument among what is to be written.
    fn give<W: Workload>(&mut self, workload: &W, task: u64, argument: &mut [u8]) {
        let length = workload.write_argument(task, argument);
        // What is written already would stay for as long as something always follows it.
        if 2 * self.written > self.outgoing.len() {
            self.outgoing.drain(..self.written);
            self.written = 0;
        }
        self.outgoing.extend_from_slice(&task.to_ne_bytes());
        self.outgoing.extend_from_slice(&(length as u64).to_ne_bytes());
        self.outgoing.extend_from_slice(&argument[..length]);
        self.in_hand.push_back(task);
    }

    /// Writes as much as there is room for.
    fn write(&mut self) -> io::Result<()> {
        let Some(requests) = &mut self.requests else { return Ok(()) };
        while self.written < self.outgoing.len() {
            match requests.write(&self.outgoing[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It is dead, which its other pipe says too.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
                Err(error) => return Err(error),
            }
        }
        self.outgoing.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads as much as is there. Says whether the pipe is still open.
    fn read(&mut self) -> io::Result<bool> {
        loop {
            let before = self.incoming.len();
            self.incoming.resize(before + PIECE, 0);
            let read = self.answers.read(&mut self.incoming[before..]);
            self.incoming.truncate(before + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Ok(false),
                // A pipe that gave less than was asked for is empty.
                Ok(length) if length < PIECE => return Ok(true),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `tasks` are given to each of `workers` before any has answered.
    fn given_at_first(tasks: u64, chunk: usize, workers: usize) -> Vec<u64> {
        let mut held = vec![0; workers];
        share_out(&mut held, chunk, tasks, |held| *held as usize, |held, given| *held += given);
        held
    }

    #[test]
    fn nobody_has_a_task_waiting_while_another_has_none() {
        assert_eq!(given_at_first(2, 1, 2), [1, 1]);
        assert_eq!(given_at_first(3, 1, 2), [1, 1], "the third is for whoever is done first");
        assert_eq!(given_at_first(100, 1, 2), [2, 2]);
        assert_eq!(given_at_first(16, 4, 2), [4, 4]);
        assert_eq!(given_at_first(100, 8, 3), [16, 16, 16]);
    }
}
