//! `process`, where tasks are programs: each is started by the runner itself, as the task's one process.
//!
//! One loop sees to everything: it starts programs as long as there is room, and otherwise sleeps until one has ended, has
//! said something, or has taken too long.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid as NixPid;

use super::failures::Failures;
use super::progress::Status;
use super::room::{Patience, is_no_room};
use super::{Board, Outcome, Round, RoundError, Times};
use crate::measure::shortage;
use crate::sys::clock::monotonic_nanoseconds;
use crate::sys::fork::Pid;
use crate::sys::memory::Visibility;
use crate::sys::wait::{Exit, Reaped, Which, try_wait};
use crate::workload::program::{GRACE, LONGEST_ANSWER, Launcher, MOMENT, only_line};
use crate::workload::{Failure, Meter, Programs, Word, Workload, argument};

/// Starts between two looks at all who might have ended: asking for any child walks all of them. In between those are reaped that the
/// kernel names; of several that end at once it may name one.
const SWEEP_EVERY: u64 = 16;

/// How long the runner sleeps at most before it says how far it is.
const NAP: Duration = Duration::from_millis(100);

/// More than this is not read: the longest answer, the end of its line, and what shows that it goes on.
const MOST_READ: usize = LONGEST_ANSWER + 2;

/// Stands for the signals in what there is to wait for; no program has this number.
const SIGNALS: u64 = 0;

/// Executes every task as the program that `programs` says, at most `round.settings.in_flight` at once.
///
/// # Errors
/// If what it takes to start any cannot be had.
pub(super) fn run<W: Workload>(
    workload: &W,
    programs: &dyn Programs,
    mut round: Round<'_>,
) -> Result<Outcome, RoundError> {
    let limit = round.settings.in_flight.unwrap_or(u64::MAX).min(round.tasks) as usize;
    let begin = monotonic_nanoseconds();
    let mut crew = Crew::new(programs, &round, limit)?;
    let mut buffer = vec![0; workload.argument_capacity()];
    let mut argument_of = |task: u64| {
        let length = workload.write_argument(task, &mut buffer);
        buffer[..length].to_vec()
    };
    let ready = monotonic_nanoseconds();
    let mut tried = 0;
    while tried < round.tasks && !crew.failures.have_stopped() {
        if crew.alive.len() == crew.limit {
            crew.wait()?;
            continue;
        }
        crew.start(tried, &argument_of(tried))?;
        tried += 1;
        crew.reap_announced()?;
        if tried.is_multiple_of(SWEEP_EVERY) {
            crew.sweep()?;
            round.progress.tick(crew.status());
        }
    }
    loop {
        while crew.alive.len() < crew.limit
            && let Some(task) = crew.failures.next()
        {
            crew.start(task, &argument_of(task))?;
        }
        if crew.alive.is_empty() {
            if crew.failures.any() {
                continue;
            }
            break;
        }
        crew.wait()?;
        round.progress.tick(crew.status());
    }
    crew.failures.give_up_rest(&crew.board, tried);
    let end = monotonic_nanoseconds();
    Ok(Outcome {
        // Reaping is how results are collected: with the last one both are done.
        times: Times { begin, ready, collected: end, end },
        processes_started: crew.started,
        unstarted: crew.unstarted,
        peak_alive: crew.peak as u64,
        retries: crew.failures.retries,
        workers_lost: 0,
        board: crew.board,
        meter: crew.meter,
    })
}

/// A program that has been started and not been reaped.
struct Alive {
    task: u64,
    /// Of its argument.
    checksum: u32,
    started_at: u64,
    /// What it says, where that matters.
    answer: Option<(File, Vec<u8>)>,
    /// Whether it has said all that it will be asked for, or can say no more. It has a while to end then, and how it ends does not
    /// matter.
    said_all: bool,
    /// Why it was killed, if it was.
    failure: Option<Failure>,
}

impl Alive {
    fn has_answered(&self) -> bool {
        self.answer.as_ref().is_some_and(|(_, said)| said.contains(&b'\n'))
    }
}

struct Crew<'a> {
    programs: &'a dyn Programs,
    launcher: Box<dyn Launcher>,
    limit: usize,
    alive: HashMap<Pid, Alive>,
    peak: usize,
    started: u64,
    unstarted: u64,
    /// When programs will have taken too long, in the order in which they were started.
    deadlines: VecDeque<(u64, Pid, u64)>,
    /// When those who have said all will have taken too long to end, in the order in which they had.
    farewells: VecDeque<(u64, Pid, u64)>,
    events: Epoll,
    signals: SignalFd,
    failures: Failures,
    board: Board,
    meter: Meter,
    done: u64,
}

impl<'a> Crew<'a> {
    fn new(programs: &'a dyn Programs, round: &Round<'_>, limit: usize) -> Result<Self, RoundError> {
        let mut ended = SigSet::empty();
        // Held back in the runner since it began.
        ended.add(Signal::SIGCHLD);
        let signals = SignalFd::with_flags(&ended, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(io::Error::from)?;
        let events = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(io::Error::from)?;
        events
            .add(signals.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, SIGNALS))
            .map_err(io::Error::from)?;
        let launcher = programs
            .launcher()
            .map_err(|failure| anyhow::anyhow!("failed to get ready to start programs: {failure}"))?;
        Ok(Self {
            programs,
            launcher,
            limit,
            alive: HashMap::new(),
            peak: 0,
            started: 0,
            unstarted: 0,
            deadlines: VecDeque::new(),
            farewells: VecDeque::new(),
            events,
            signals,
            failures: Failures::new(round.on_failure),
            board: Board::new(round, 0, Visibility::Private)?,
            meter: Meter::default(),
            done: 0,
        })
    }

    fn status(&self) -> Status {
        Status { tasks_done: self.done, alive: self.alive.len() as u64 }
    }

    /// Starts the program of `task`, once there is room on this machine.
    fn start(&mut self, task: u64, argument: &[u8]) -> Result<(), RoundError> {
        let mut patience = Patience::default();
        let (started_at, started) = loop {
            let started_at = monotonic_nanoseconds();
            match self.launcher.start(task, argument) {
                Err(Failure::CannotStart(errno)) if is_no_room(&io::Error::from_raw_os_error(errno)) => {
                    if !self.alive.is_empty() {
                        // As long as some of this round live, they may be who takes the room.
                        patience = Patience::default();
                        self.wait()?;
                    } else if !patience.wait() {
                        // The next one would fare no better.
                        let error = io::Error::from_raw_os_error(errno);
                        return Err(RoundError::Limit(format!(
                            "no program could be started for {} with none of this round alive: {}",
                            humantime::format_duration(Patience::LONGEST),
                            shortage::explained(&error)
                        )));
                    }
                }
                started => break (started_at, started),
            }
        };
        match started {
            Ok((pid, answer)) => {
                if let Some(answer) = &answer {
                    let event = EpollEvent::new(EpollFlags::EPOLLIN, pid as u64);
                    self.events.add(answer.as_fd(), event).map_err(io::Error::from)?;
                }
                if let Some(timeout) = self.programs.timeout() {
                    self.deadlines.push_back((started_at + timeout.as_nanos() as u64, pid, task));
                }
                let (checksum, answer) =
                    (argument::checksum(task, argument), answer.map(|answer| (answer, Vec::new())));
                self.alive.insert(
                    pid,
                    Alive { task, checksum, started_at, answer, said_all: false, failure: None },
                );
                self.started += 1;
                self.peak = self.peak.max(self.alive.len());
            }
            Err(failure) => {
                self.done += 1;
                self.unstarted += 1;
                self.failures.publish(&self.board, task, Word::new(Err(failure)));
            }
        }
        Ok(())
    }

    /// Sleeps until something happens, for one nap at most, and sees to it.
    fn wait(&mut self) -> io::Result<()> {
        const EVENTS: usize = 64;
        // Whoever had ended before is not announced again.
        if self.sweep()? > 0 {
            return Ok(());
        }
        let now = monotonic_nanoseconds();
        let first = [&self.deadlines, &self.farewells].into_iter().filter_map(|queue| queue.front());
        let first = first.map(|(deadline, _, _)| deadline.saturating_sub(now)).min();
        // Rounded up, or the last part of a millisecond would be spent turning.
        let nap = first.map_or(NAP, |left| NAP.min(Duration::from_nanos(left) + Duration::from_millis(1)));
        let mut events = [EpollEvent::empty(); EVENTS];
        let timeout = EpollTimeout::try_from(nap).unwrap_or(EpollTimeout::NONE);
        let happened = match self.events.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            happened => happened?,
        };
        for event in &events[..happened] {
            match event.data() {
                SIGNALS => self.reap_announced()?,
                pid => self.listen(pid as Pid)?,
            }
        }
        // Whoever has ended is reaped first, and so is not overdue.
        self.sweep()?;
        Ok(())
    }

    /// Reaps those whose end the kernel has announced: a task ends when it is reaped, as far as anybody can tell.
    fn reap_announced(&mut self) -> io::Result<()> {
        while let Some(announced) = self.signals.read_signal()? {
            let pid = announced.ssi_pid as Pid;
            // It may have been reaped since.
            if self.alive.contains_key(&pid)
                && let Some(reaped) = try_wait(Which::Only(pid))?
            {
                self.collect(&reaped)?;
            }
        }
        Ok(())
    }

    /// Reaps all who have ended, and says how many of ours that were.
    fn sweep(&mut self) -> io::Result<u64> {
        // Orphans that start another and end, again and again, must not keep this process from its own.
        const ORPHANS: u64 = 1_000;
        let (before, mut orphans) = (self.done, 0);
        while orphans < ORPHANS
            && let Some(reaped) = try_wait(Which::Any)?
        {
            // Anybody else is an orphan of a task, given to the runner as subreaper.
            if self.alive.contains_key(&reaped.pid) {
                self.collect(&reaped)?;
            } else {
                orphans += 1;
            }
        }
        self.end_overdue();
        Ok(self.done - before)
    }

    /// Reads what the program `pid` has said, and ends one that says too much.
    fn listen(&mut self, pid: Pid) -> io::Result<()> {
        let Some(alive) = self.alive.get_mut(&pid) else { return Ok(()) };
        let Some((file, bytes)) = &mut alive.answer else { return Ok(()) };
        let at_end = read_available(file, bytes)?;
        if !alive.said_all && (at_end || bytes.ends_with(b"\n")) {
            alive.said_all = true;
            // Who closes its output without an answer has usually ended.
            let grace = if bytes.contains(&b'\n') { GRACE } else { MOMENT };
            let deadline = monotonic_nanoseconds() + grace.as_nanos() as u64;
            let place = self.farewells.partition_point(|(other, ..)| *other <= deadline);
            self.farewells.insert(place, (deadline, pid, alive.task));
        }
        if at_end {
            // It is done talking; what it has said is kept until it has ended.
            let _ = self.events.delete(file.as_fd());
        } else if bytes.len() >= MOST_READ && alive.failure.is_none() {
            alive.failure = only_line(bytes, Exit::Code(0)).err();
            let _ = self.events.delete(file.as_fd());
            let _ = killpg(NixPid::from_raw(pid), Signal::SIGKILL);
        }
        Ok(())
    }

    /// Kills the process groups of those who have taken too long: for their task, or to end when they had done it.
    fn end_overdue(&mut self) {
        let timed_out = self.programs.timeout().map(Failure::timed_out);
        while let Some(pid) = self.next_overdue(|crew| &mut crew.deadlines)
            && let Some(alive) = self.alive.get_mut(&pid)
        {
            // This process may have been held up itself: what was said in time counts, though nobody has read it yet.
            if let Some((file, bytes)) = &mut alive.answer
                && !alive.said_all
            {
                let _ = read_available(file, bytes);
            }
            if !alive.has_answered() && alive.failure.is_none() {
                alive.failure = timed_out;
                let _ = killpg(NixPid::from_raw(pid), Signal::SIGKILL);
            }
        }
        while let Some(pid) = self.next_overdue(|crew| &mut crew.farewells)
            && let Some(alive) = self.alive.get_mut(&pid)
        {
            match alive.has_answered() {
                true => self.programs.note_stubborn(),
                false => alive.failure = alive.failure.or(Some(Failure::Mute)),
            }
            let _ = killpg(NixPid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// The next process in `queue` that is overdue and has not been reaped: else its number may be another's.
    fn next_overdue(&mut self, queue: impl Fn(&mut Self) -> &mut VecDeque<(u64, Pid, u64)>) -> Option<Pid> {
        loop {
            let (deadline, pid, task) = *queue(self).front()?;
            if deadline > monotonic_nanoseconds() {
                return None;
            }
            queue(self).pop_front();
            if self.alive.get(&pid).is_some_and(|alive| alive.task == task) {
                return Some(pid);
            }
        }
    }

    /// Takes the result of a program that has been reaped.
    fn collect(&mut self, reaped: &Reaped) -> io::Result<()> {
        let Some(mut alive) = self.alive.remove(&reaped.pid) else { return Ok(()) };
        let mut said = Vec::new();
        if let Some((mut file, bytes)) = alive.answer.take() {
            said = bytes;
            // What it had said last may still be on its way; what its own children might say is not its answer.
            read_available(&mut file, &mut said)?;
        }
        // Somebody else kills one that is stopped before it has executed anything: this one waits in the kernel for that.
        let overdue = self.programs.timeout().filter(|timeout| {
            reaped.exit == Exit::Signal(libc::SIGKILL)
                && !said.contains(&b'\n')
                && monotonic_nanoseconds().saturating_sub(alive.started_at) >= timeout.as_nanos() as u64
        });
        let result = match alive.failure.or(overdue.map(Failure::timed_out)) {
            Some(failure) => Err(failure),
            None => self.programs.outcome(alive.checksum, reaped.exit, &said),
        };
        if result.is_ok() {
            self.meter.executed += 1;
        }
        if self.board.stamps.includes(alive.task) {
            self.board.stamps.note(alive.task, alive.started_at, monotonic_nanoseconds());
        }
        self.done += 1;
        self.failures.publish(&self.board, alive.task, Word::new(result));
        Ok(())
    }
}

/// Reads what is there now, or as much of it as matters. Says whether that was the end.
fn read_available(file: &mut File, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut piece = [0; 4096];
    while bytes.len() < MOST_READ {
        match file.read(&mut piece) {
            Ok(0) => return Ok(true),
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
