//! One round: a fresh runner, asked, listened to, and seen to its end.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::leftovers::Room;
use super::signals::Signals;
use crate::engine::Engine;
use crate::engine::protocol::{GO, Message, Request, RoundReport};
use crate::janitor::Janitor;
use crate::measure::bystander::{Bystander, Lateness};
use crate::measure::kernel;
use crate::measure::memory::{Counted, Gauge, MemoryReading, Method, Who};
use crate::measure::shortage;
use crate::mode::Mode;
use crate::sys::strays::{children, end_strays, end_those_stopped_before_exec, is_runner_stopped};
use crate::sys::wait::{CpuTime, Exit, Reaped, Which, has_ended, has_ended_by, try_wait, wait, wait_for_end};
use crate::sys::{clock, fork};

/// A round, with what was seen of it from outside.
#[derive(Debug, Clone)]
pub struct Completed {
    /// What the engine says.
    pub report: RoundReport,
    /// From before the clock started until the runner was gone, by the controller's clock.
    pub outside_seconds: f64,
    /// CPU time of the runner and all it reaped, from its first to its last instruction.
    pub tree_cpu: CpuTime,
    /// CPU time of the peer that tasks did I/O with, which is no part of the round.
    pub peer_cpu_seconds: Option<f64>,
    /// What the runner and all it reaped read from storage, over its whole life.
    pub storage_read_bytes: u64,
    /// Processes and threads that the kernel counted on the whole machine meanwhile.
    pub kernel_forks: Option<u64>,
    /// Memory, and how it was measured, in a round that measured it.
    pub memory: Option<(Method, MemoryReading)>,
    /// How late the bystander woke, in a round that it stood by.
    pub lateness: Option<Lateness>,
}

/// What is measured from outside besides time.
pub enum Watch {
    /// Nothing.
    Nothing,
    /// Memory.
    Memory(Gauge),
    /// How much others are disturbed.
    Bystander {
        /// How long the first nap is: see [`Bystander::start`].
        first_nap: Duration,
    },
}

/// What is wrong with a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Which task or count.
    pub message: String,
    /// Whether it is a result: one is missing, is not what it must be, or not what another strategy had for the same task.
    pub of_results: bool,
}

/// Why there is no round.
#[derive(Debug, thiserror::Error)]
pub enum RoundFailure {
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// A task has failed before, and nothing was to be run after that.
    #[error("a task failed, and nothing more is run after that (--on-failure stop)")]
    Stopped,
    /// Something that must hold did not.
    #[error("{0}")]
    Violation(Invalid),
    /// What it was to do cannot be done, whatever the machine.
    #[error("{0}")]
    Refused(String),
    /// The machine does not allow it.
    #[error("{0}")]
    Limit(String),
    /// The runner has ended without a report.
    #[error("{0}")]
    Silent(String),
    /// The runner says that it could not execute it.
    #[error("{0}")]
    Failed(String),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl Invalid {
    /// Something is wrong with what was counted.
    pub fn count(message: String) -> Self {
        Self { message, of_results: false }
    }
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Invalid> for RoundFailure {
    fn from(invalid: Invalid) -> Self {
        Self::Violation(invalid)
    }
}

impl RoundFailure {
    /// Why there is no round, where that is the strategy's own matter and others may have theirs.
    ///
    /// # Errors
    /// Itself, where it is not.
    pub fn of_the_strategy(self) -> Result<String, Self> {
        match self {
            Self::Silent(why) | Self::Failed(why) => Ok(why),
            other => Err(other),
        }
    }
}

/// Who hears of a round while it goes on.
pub trait Listener {
    /// All is ready, and the clock starts.
    fn ready(&mut self);

    /// So many tasks are done, and so many processes alive.
    fn progress(&mut self, tasks_done: u64, alive: u64);

    /// Nothing was heard for some time.
    ///
    /// # Errors
    /// Why it is not waited for any more.
    fn look(&mut self) -> Result<(), RoundFailure>;
}

/// How often the controller looks up while nothing happens.
const LOOK_UP: Duration = Duration::from_millis(100);

/// A runner that has said nothing for this much longer than a task may take may be held up.
const LONGEST_SILENCE: Duration = Duration::from_millis(500);
/// How long it waits for processes that have been killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it does while it measures memory, at most.
const SAMPLE_EVERY: Duration = Duration::from_millis(5);

/// How long to wait between two looks at memory, which take CPU time that is none of the round's.
struct Pace {
    /// CPU time of this thread at the look before, in nanoseconds; `None` where looks are not rationed.
    used: Option<u64>,
}

impl Pace {
    /// Of one core, for looks: the controller has other things to do, and is to stay below a hundredth with them.
    const SHARE: f64 = 0.007;

    fn next(&mut self) -> Duration {
        let Some(used) = &mut self.used else { return SAMPLE_EVERY };
        let now = clock::thread_cpu_nanoseconds();
        let took = now - std::mem::replace(used, now);
        Duration::from_nanos((took as f64 / Self::SHARE) as u64).clamp(SAMPLE_EVERY, LOOK_UP)
    }
}

/// Executes one round by `command`, watched by `watch`, and waits until everything that it started is gone. `listener`
/// hears of it meanwhile.
///
/// # Errors
/// Why the round is not to be had; nothing of it is left then either.
pub fn execute(
    mut command: Command,
    request: &Request,
    room: Option<&Room>,
    mut watch: Watch,
    (signals, janitor): (&Signals, &mut Janitor),
    listener: &mut dyn Listener,
) -> Result<Completed, RoundFailure> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    if let Watch::Memory(gauge) = &mut watch {
        gauge
            .admit(&mut command)
            .context("failed to look at memory before the round, or to enter its cgroup")?;
    }
    fork::sacrifice_on_start(&mut command);
    let of_programs = request.workload.kind.is_program();
    let others = of_programs.then(|| children().into_iter().map(|(pid, _)| pid).collect());
    let (forks_before, killed_before) = (kernel::forks_since_boot(), kernel::killed_for_want_of_memory());
    let child = command.spawn().context("failed to start the runner")?;
    let mut runner = Runner { child, forks_before, killed_before, reaped: false, outlived_by: 0, others };
    if of_programs {
        janitor.note_guardian(runner.pid())?;
    }
    let (mut gauge, first_nap) = match watch {
        Watch::Nothing => (None, None),
        Watch::Memory(gauge) => (Some(gauge), None),
        Watch::Bystander { first_nap } => (None, Some(first_nap)),
    };
    let outcome = converse(&mut runner, request, room, (&mut gauge, first_nap), signals, listener);
    // However it went, nothing of the round is left after this; only then can the gauge's cgroup go.
    runner.end();
    drop(gauge);
    match outcome {
        Ok(_) if runner.outlived_by > 0 => {
            let left = runner.outlived_by;
            Err(Invalid::count(format!("{left} processes of {} outlived its round", request.strategy.name))
                .into())
        }
        // Whoever is told to end may be told so in the middle of anything, and complain. Wrong results are wrong all the same.
        Err(failure) if signals.stop_wanted() && !matches!(failure, RoundFailure::Violation(_)) => {
            Err(RoundFailure::Interrupted)
        }
        outcome => outcome,
    }
}

/// A runner that does not outlive this value, nor does anything in its process group.
struct Runner {
    child: Child,
    /// Processes that the kernel had counted when it was about to be started.
    forks_before: Option<u64>,
    /// Processes that it had killed for want of memory by then.
    killed_before: Option<u64>,
    reaped: bool,
    /// Processes of its group that were still alive when it had ended.
    outlived_by: usize,
    /// Where the round starts programs of the user's own: this process's other children. Whoever else is one in the end was
    /// started by such a program, and has lost all between it and this process.
    others: Option<Vec<i32>>,
}

impl Runner {
    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Waits until the runner has ended by itself, or somebody wants an end of it.
    fn let_end(&self, signals: &Signals) {
        while has_ended_by(self.pid(), Instant::now() + LOOK_UP).is_none() && !signals.stop_wanted() {
            // It has nothing to do any more but to end. Somebody may have stopped it; to anybody else this signal means nothing.
            let _ = kill(Pid::from_raw(self.pid()), Signal::SIGCONT);
        }
    }

    /// Ends the runner, if it has not ended, and whatever is left of its process group. `None` if that was done before.
    fn end(&mut self) -> Option<Reaped> {
        if std::mem::replace(&mut self.reaped, true) {
            return None;
        }
        let group = Pid::from_raw(self.pid());
        if !has_ended(self.pid()) {
            if self.others.is_some() {
                // A guardian ends what only it can find, and goes on with that should this process be told to end again.
                let _ = kill(group, Signal::SIGTERM);
                let _ = kill(group, Signal::SIGCONT);
                has_ended_by(self.pid(), Instant::now() + PATIENCE);
            }
            let _ = killpg(group, Signal::SIGKILL);
        }
        // As long as the runner is not reaped its number is taken, so nobody else's group can be hit.
        let _ = wait_for_end(self.pid());
        self.outlived_by =
            kernel::processes_of_group(self.pid()).into_iter().filter(|pid| *pid != self.pid()).count();
        let _ = killpg(group, Signal::SIGKILL);
        let reaped = wait(Which::Only(self.pid())).ok().flatten();
        // The runner's orphans are this process's to reap, which is a subreaper: also those that had ended before.
        while let Ok(Some(_)) = try_wait(Which::Only(-self.pid())) {}
        let patience = Instant::now() + PATIENCE;
        while self.outlived_by > 0 && killpg(group, None).is_ok() && Instant::now() < patience {
            while let Ok(Some(_)) = try_wait(Which::Only(-self.pid())) {}
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Some(others) = &self.others {
            end_strays(others);
            // One that starts another before it can be killed, again and again, may get away.
            self.outlived_by += children().iter().filter(|(pid, _)| !others.contains(pid)).count();
        }
        reaped
    }
}

impl Runner {
    /// Whether the kernel has killed somebody for want of memory since it was started.
    fn lost_to_want_of_memory(&self) -> bool {
        let (before, now) = (self.killed_before, kernel::killed_for_want_of_memory());
        before.zip(now).is_some_and(|(before, now)| now > before)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.end();
    }
}

/// Of which processes the memory of a round is, where they are looked at one by one.
fn whom_to_look_at(request: &Request) -> Who {
    if !request.workload.kind.is_program() {
        return Who { alike: true, counted: Counted::default() };
    }
    // The guardian leads, and below it stands the runner. What programs and functions need differs from one to the next, and may be another
    // process's that they have started.
    let to = match (request.strategy.engine, request.strategy.mode) {
        // Below a worker stands its program.
        (Engine::Native, Mode::Pool) => 3,
        (Engine::Native, Mode::Serial | Mode::Threads | Mode::Process) => 2,
        // Who stands where is these engines' own matter.
        (Engine::Python | Engine::Xargs | Engine::Parallel, _) => u32::MAX,
    };
    Who { alike: false, counted: Counted { from: 2, to } }
}

fn converse(
    runner: &mut Runner,
    request: &Request,
    room: Option<&Room>,
    (gauge, first_nap): (&mut Option<Gauge>, Option<Duration>),
    signals: &Signals,
    listener: &mut dyn Listener,
) -> Result<Completed, RoundFailure> {
    let mut to_runner = runner.child.stdin.take().context("the runner has no standard input")?;
    let mut lines = Lines::new(runner.child.stdout.take().context("the runner has no standard output")?);
    let mut line = serde_json::to_vec(request).context("failed to write the request")?;
    line.push(b'\n');
    let _ = to_runner.write_all(&line); // If the runner is gone its silence says so below.

    let mut bystander = None;
    // Where the kernel keeps no account, what is not seen at a look is not known.
    let has_account = gauge.as_ref().is_some_and(|gauge| !gauge.method().is_sampled());
    let mut pace = Pace { used: has_account.then(clock::thread_cpu_nanoseconds) };
    let (mut started, mut forks_before, mut report) = (Instant::now(), None, None);
    let (mut has_gone, mut is_over) = (false, false);
    // By then a runner that goes on has looked after its tasks itself, and said something.
    let longest_silence =
        request.workload.any_timeout().map(|timeout| timeout.saturating_add(LONGEST_SILENCE));
    let mut heard_at = Instant::now();
    let mut counted_at = heard_at;
    while report.is_none() {
        if signals.stop_wanted() {
            // While the pipes are still open, or the runner would complain that nobody listens.
            runner.end();
            return Err(RoundFailure::Interrupted);
        }
        if let Some(room) = room.filter(|_| counted_at.elapsed() >= LOOK_UP) {
            counted_at = Instant::now();
            let name = &request.strategy.name;
            room.require(runner.pid()).map_err(|why| RoundFailure::Limit(format!("{name}: {why}")))?;
        }
        let heard = lines.next(if gauge.is_some() { pace.next() } else { LOOK_UP })?;
        if matches!(heard, Heard::Nothing)
            && let Err(given_up) = listener.look()
        {
            runner.end();
            return Err(given_up);
        }
        match heard {
            Heard::Nothing if longest_silence.is_some_and(|longest| heard_at.elapsed() > longest) => {
                if is_runner_stopped(runner.pid(), runner.others.is_some()) {
                    return Err(RoundFailure::Silent(format!(
                        "somebody has stopped the runner of {} (SIGSTOP), perhaps one of its tasks",
                        request.strategy.name
                    )));
                }
                end_those_stopped_before_exec(runner.pid());
                heard_at = Instant::now();
            }
            Heard::Nothing => {}
            _ => heard_at = Instant::now(),
        }
        match heard {
            // What it has started may hold its pipe open.
            Heard::Nothing if has_gone => break,
            Heard::Nothing => has_gone = has_ended(runner.pid()),
            Heard::Part => {}
            Heard::End => break,
            Heard::Message(Message::Ready) => {
                if let Some(gauge) = gauge {
                    gauge.begin(runner.pid(), whom_to_look_at(request));
                }
                if let Some(first_nap) = first_nap {
                    bystander = Some(Bystander::start(first_nap).context("failed to start the bystander")?);
                }
                // A count that the runner's own start has not moved stands still.
                forks_before = kernel::forks_since_boot().filter(|count| Some(*count) > runner.forks_before);
                started = Instant::now();
                listener.ready();
                let _ = to_runner.write_all(GO);
            }
            Heard::Message(Message::Progress { tasks_done, alive }) => listener.progress(tasks_done, alive),
            Heard::Message(Message::Report(of_round)) => report = Some(*of_round),
            Heard::Message(Message::Over) => {
                is_over = true;
                gauge.iter_mut().for_each(Gauge::over);
                bystander.iter().for_each(Bystander::leave);
                let _ = to_runner.write_all(GO);
            }
            Heard::Message(Message::Violation { message, of_results }) => {
                let message = format!("{}: {message}", request.strategy.name);
                return Err(Invalid { message, of_results }.into());
            }
            Heard::Message(Message::Refused { message }) => return Err(RoundFailure::Refused(message)),
            Heard::Message(Message::Limit { message }) => {
                return Err(RoundFailure::Limit(shortage::with_limits(message)));
            }
            Heard::Message(Message::Error { message }) => {
                let message = format!("{}: {message}", request.strategy.name);
                // Whoever was lost may have been killed for want of memory.
                let limits =
                    if runner.lost_to_want_of_memory() { shortage::limits_on_memory() } else { Vec::new() };
                return Err(match limits.is_empty() {
                    true => RoundFailure::Failed(message),
                    false => RoundFailure::Limit(format!(
                        "{message}; the kernel killed somebody meanwhile for want of memory: {}",
                        limits.join(", ")
                    )),
                });
            }
        }
        // What the runner has when it looks through the results is not of the round.
        if let Some(gauge) = gauge.as_mut().filter(|_| !is_over) {
            gauge.sample(runner.pid());
        }
    }
    drop(to_runner);
    runner.let_end(signals);
    let reaped = runner.end();
    let outside_seconds = started.elapsed().as_secs_f64();
    let forks_after = kernel::forks_since_boot();
    // Only now: it is waited for until its nap is over.
    let lateness = bystander.take().map(Bystander::stop);
    let reaped = reaped.context("the runner was reaped by somebody else")?;
    let Some(report) = report else {
        if signals.stop_wanted() {
            return Err(RoundFailure::Interrupted);
        }
        let name = &request.strategy.name;
        let exit = reaped.exit;
        let of_cpu_time = shortage::own_limit_on_cpu_time(reaped.usage.total_seconds());
        if let (Exit::Signal(libc::SIGKILL | libc::SIGXCPU), Some(limit)) = (exit, of_cpu_time) {
            return Err(RoundFailure::Limit(format!(
                "the runner of {name} was killed for having computed as long as it may; {limit} (ulimit -t)"
            )));
        }
        // Rust aborts who asks for memory and gets none.
        let (what, limits) = match exit {
            Exit::Signal(libc::SIGKILL) if runner.lost_to_want_of_memory() => {
                ("killed by the kernel", shortage::limits_on_memory())
            }
            Exit::Signal(libc::SIGABRT) => ("aborted, most likely", shortage::own_limits_on_memory()),
            _ => ("", Vec::new()),
        };
        if !limits.is_empty() {
            let limits = limits.join(", ");
            return Err(RoundFailure::Limit(format!(
                "the runner of {name} was {what} for want of memory; {limits}"
            )));
        }
        return Err(RoundFailure::Silent(format!("the runner of {name} {exit} without a report")));
    };
    if reaped.exit != Exit::Code(0) {
        if signals.stop_wanted() {
            return Err(RoundFailure::Interrupted);
        }
        return Err(anyhow::anyhow!(
            "the runner of {} {} after its report",
            request.strategy.name,
            reaped.exit
        )
        .into());
    }
    let kernel_forks = forks_before.zip(forks_after).and_then(|(before, after)| after.checked_sub(before));
    if let Some(forks) = kernel_forks
        && forks < report.processes_started
    {
        let message = format!(
            "{} says it started {} processes, but the kernel counted {forks}",
            request.strategy.name, report.processes_started
        );
        return Err(Invalid::count(message).into());
    }
    let peak_alive = report.peak_alive;
    Ok(Completed {
        report,
        outside_seconds,
        tree_cpu: reaped.usage,
        peer_cpu_seconds: None,
        storage_read_bytes: reaped.storage_read_bytes,
        kernel_forks,
        memory: gauge.take().map(|gauge| (gauge.method(), gauge.finish(peak_alive))),
        lateness,
    })
}

enum Heard {
    Nothing,
    Part,
    Message(Message),
    End,
}

/// Reads messages from a pipe, without ever blocking for longer than asked.
struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
    /// So many bytes at its beginning hold no end of a line.
    searched: usize,
}

/// A line longer than this is not a message.
const LONGEST_LINE: usize = 8 << 20;

impl<R: Read + AsFd> Lines<R> {
    fn new(source: R) -> Self {
        Self { source, buffer: Vec::new(), searched: 0 }
    }

    fn next(&mut self, timeout: Duration) -> anyhow::Result<Heard> {
        if let Some(message) = self.buffered()? {
            return Ok(Heard::Message(message));
        }
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.source.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(Heard::Nothing),
            Ok(_) => {}
            Err(error) => return Err(error).context("failed to listen to the runner"),
        }
        let mut piece = [0; 4096];
        match self.source.read(&mut piece) {
            Ok(0) => Ok(Heard::End),
            Ok(length) => {
                self.buffer.extend_from_slice(&piece[..length]);
                Ok(self.buffered()?.map_or(Heard::Part, Heard::Message))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Heard::Nothing),
            Err(error) => Err(error).context("failed to listen to the runner"),
        }
    }

    fn buffered(&mut self) -> anyhow::Result<Option<Message>> {
        let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            anyhow::ensure!(
                self.buffer.len() <= LONGEST_LINE,
                "the runner sent a line of more than {LONGEST_LINE} bytes"
            );
            return Ok(None);
        };
        let line: Vec<u8> = self.buffer.drain(..=self.searched + end).collect();
        self.searched = 0;
        let message = serde_json::from_slice(&line).with_context(|| {
            const SHOWN: usize = 200;
            let shown = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
            let rest = if line.len() > SHOWN { " …" } else { "" };
            format!("failed to understand the runner: {}{rest}", shown.trim())
        })?;
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// What comes in pieces of any size is the same messages.
    #[test]
    fn messages_are_read_whatever_the_pieces() {
        let said = [Message::Ready, Message::Progress { tasks_done: 7, alive: 3 }, Message::Over];
        let mut text = Vec::new();
        for message in &said {
            text.extend(serde_json::to_vec(message).unwrap());
            text.push(b'\n');
        }
        for piece in 1..text.len() {
            let (reader, mut writer) = std::io::pipe().unwrap();
            let mut lines = Lines::new(reader);
            let mut heard = Vec::new();
            for part in text.chunks(piece) {
                writer.write_all(part).unwrap();
                loop {
                    match lines.next(Duration::ZERO).unwrap() {
                        Heard::Message(message) => heard.push(format!("{message:?}")),
                        Heard::Part => {}
                        Heard::Nothing | Heard::End => break,
                    }
                }
            }
            drop(writer);
            // Whoever another test forks at this moment has the pipe too, until it ends.
            assert!((0..60).any(|_| matches!(lines.next(Duration::from_secs(1)), Ok(Heard::End))));
            let wanted: Vec<String> = said.iter().map(|message| format!("{message:?}")).collect();
            assert_eq!(heard, wanted, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_long_line_that_is_no_message_is_shown_in_part() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(&[&[b'x'; 4000][..], b"\n"].concat()).unwrap();
        let mut lines = Lines::new(reader);
        let Err(error) = lines.next(Duration::ZERO) else { panic!("it is no message") };
        let text = format!("{error}");
        assert!(text.starts_with("failed to understand the runner: xxx") && text.len() < 300, "{text}");
    }
}
