//! The native engine: procbench itself, started afresh for each round under a hidden name.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Equipment;
use super::guardian;
use super::protocol::{GO, Message, Request, RoundReport, VERSION};
use super::tool;
use crate::measure::shortage::{self, Lack};
use crate::mode::progress::Status;
use crate::mode::stamps::stride_for;
use crate::mode::verify::{Violation, verify, want_of_all};
use crate::mode::{Mode, Outcome, Progress, Round, RoundError, Settings, exec};
use crate::sys::memory::{Mapping, Visibility};
use crate::sys::strays::{end_strays, reap_ended};
use crate::sys::wait::{CpuTime, has_children, hold_child_signals};
use crate::sys::{fork, lean};
use crate::workload::on_failure::Policed;
use crate::workload::program::{self, tally::Tally};
use crate::workload::{self, OnFailure, Visitor, Workload, WorkloadSpec, durations, shared};

/// The hidden first argument under which procbench is the runner of one round.
pub const RUNNER: &str = "__runner";
/// What all that procbench starts of itself is called where processes are listed, as the first of it is; but for guardians and the
/// janitor, who have to outlive the others.
pub const NAME: &CStr = c"procbench";

/// What it says where there is no room for who stands over it.
pub(super) const UNGUARDED: &str = "failed to stand over the runner";

/// procbench as a runner.
///
/// # Errors
/// If procbench's own file cannot be found.
pub fn command(_: &Equipment) -> anyhow::Result<Command> {
    own_program(RUNNER)
}

/// procbench itself under the hidden name `role`: the file that is running, even if another has taken its name since.
///
/// # Errors
/// If procbench's own file cannot be found.
pub fn own_program(role: &str) -> anyhow::Result<Command> {
    const RUNNING: &str = "/proc/self/exe";
    let mut command = if std::path::Path::new(RUNNING).exists() {
        Command::new(RUNNING)
    } else {
        let found = std::env::current_exe().map_err(|_| {
            Lack(format!(
                "procbench cannot find its own file to start it anew for each round, since {RUNNING} is not there: is /proc \
                 mounted?"
            ))
        });
        Command::new(found?)
    };
    command.arg0(OsStr::from_bytes(NAME.to_bytes())).arg(role);
    Ok(command)
}

/// The runner's whole life: reads a request, executes the round, reports.
///
/// # Errors
/// If the controller cannot be understood or spoken to.
pub fn run_round() -> anyhow::Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("failed to read the request")?;
    if line.is_empty() {
        return Ok(()); // The controller was killed before it could say what to do.
    }
    let mut request: Request = serde_json::from_str(&line).context("failed to understand the request")?;
    drop(line);
    if request.protocol != VERSION {
        anyhow::bail!("the request speaks protocol {}, this engine speaks {VERSION}", request.protocol);
    }
    if request.workload.kind.is_program() {
        if let Err(error) = guardian::stand_over(request.controller) {
            return say(&failed(&error.context(UNGUARDED)));
        }
    } else {
        fork::die_with(request.controller);
    }
    fork::become_subreaper().context("failed to become a subreaper")?;
    fork::minimise_timer_slack();
    hold_child_signals().context("failed to hold SIGCHLD")?;
    if matches!(request.strategy.mode, Mode::Pool | Mode::Process) {
        // What a larger program costs its forks is not the mode's doing.
        lean::share_read_only();
    }
    let ready = match make_ready(&mut request.workload) {
        Ok(ready) => ready,
        Err(error) => {
            let message = shortage::behind(&error).unwrap_or_else(|| format!("{error:#}"));
            return say(&Message::Limit { message });
        }
    };
    let message = match request.strategy.engine.is_tool() {
        true => tool::execute(&request, await_go, over, say),
        false => workload::visit(&request.workload, Execute { request: &request }),
    };
    let message = message.unwrap_or_else(|error| failed(&error));
    // Whoever executes may open it for as long as the round lasts.
    drop(ready);
    say(&message)
}

/// Makes what tasks find when they begin, the bytes that all of them read and how long each of them lasts, and says in
/// `workload` where it is.
fn make_ready(workload: &mut WorkloadSpec) -> anyhow::Result<Vec<File>> {
    workload::io::make_ready(workload)?;
    program::worker::remove_earlier(workload)?;
    let mut files = Vec::new();
    let size = workload.shared_bytes;
    if size > 0 {
        let file = shared::make(workload.seed, size).with_context(|| {
            format!("{} of shared input cannot be had", bytesize::ByteSize(size).display().iec())
        })?;
        workload.ready.shared = shared::path_of(&file);
        files.push(file);
    }
    if let Some(file) = durations::draw_ahead(workload).context("the durations of all tasks cannot be had")? {
        workload.ready.durations = shared::path_of(&file);
        files.push(file);
    }
    Ok(files)
}

fn await_go() -> anyhow::Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("failed to read from the controller")?;
    anyhow::ensure!(line.as_bytes() == GO, "the controller said {line:?}, expected {:?}", "go");
    Ok(())
}

/// Says that the clock has stopped, and waits until the controller has looked: what comes after that is in no figure of the round. One that
/// has been stopped itself (Ctrl-Z) is not waited for.
fn over() -> anyhow::Result<()> {
    const PATIENCE: u16 = 1_000;
    say(&Message::Over)?;
    let stdin = io::stdin();
    let is_heard = poll(&mut [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)], PATIENCE);
    match is_heard {
        Ok(1) => await_go(),
        _ => Ok(()),
    }
}

pub(super) fn say(message: &Message) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line).and_then(|()| stdout.flush()).context("failed to speak to the controller")
}

/// Whether a short line can be written to `pipe` without waiting for somebody to read what is in it.
fn has_room(pipe: &impl AsFd) -> bool {
    let mut watched = [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)];
    poll(&mut watched, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

struct Execute<'a> {
    request: &'a Request,
}

impl Visitor for Execute<'_> {
    type Output = Message;

    fn visit<W: Workload>(self, workload: W) -> Message {
        // The tasks of `process` mode are each somebody's own, so the mode itself has to see to those that fail.
        let outcome = match self.request.on_failure {
            policy if policy != OnFailure::Continue && self.request.strategy.mode != Mode::Process => {
                let mut sharing = exec::sharing_of(&self.request.strategy.settings);
                Policed::new(workload, policy, &mut sharing)
                    .map_err(|error| Failed::Round(error.into()))
                    .and_then(|policed| {
                        execute(&policed, self.request, sharing.descriptors().first().copied())
                    })
            }
            _ => execute(&workload, self.request, None),
        };
        match outcome {
            Ok(report) => Message::Report(Box::new(report)),
            Err(Failed::Violation(violation)) => {
                Message::Violation { message: violation.to_string(), of_results: violation.is_of_results() }
            }
            Err(Failed::Round(RoundError::Limit(message))) => Message::Limit { message },
            Err(Failed::Round(RoundError::Internal(error))) => failed(&error),
        }
    }
}

/// That the round cannot be had because of `error`: the machine's fault, if it has not enough of something.
pub(super) fn failed(error: &anyhow::Error) -> Message {
    match shortage::behind(error) {
        Some(message) => Message::Limit { message },
        None if error.is::<Lack>() => Message::Limit { message: format!("{error:#}") },
        None => Message::Error { message: format!("{error:#}") },
    }
}

/// What a task takes of which stamping must be a small part: a process of its own is never less than its creation.
fn stamped_seconds(mode: Mode, spec: &WorkloadSpec) -> f64 {
    const CREATION: f64 = 20e-6;
    let own = spec.expected_task_seconds();
    if mode == Mode::Process { own + CREATION } else { own }
}

/// Threads of the runner besides its first. One that looks how far the others are is needed only where the first does not
/// make arguments for them.
fn helpers(mode: Mode, settings: &Settings, makes_arguments: bool) -> u64 {
    match mode {
        Mode::Threads => settings.workers.unwrap_or(1) + u64::from(!makes_arguments),
        Mode::Serial | Mode::Pool | Mode::Process => 0,
    }
}

enum Failed {
    Round(RoundError),
    Violation(Violation),
}

fn execute<W: Workload>(
    workload: &W,
    request: &Request,
    failure_counts: Option<RawFd>,
) -> Result<RoundReport, Failed> {
    let Request { workload: spec, strategy, .. } = request;
    let parent_memory = hold_memory(spec.parent_memory_bytes).map_err(Failed::Round)?;
    if let Some(text) = spec.program.as_ref().and_then(|program| program.prepare.as_deref()) {
        program::prepare(text).map_err(|error| Failed::Round(error.into()))?;
    }
    say(&Message::Ready).and_then(|()| await_go()).map_err(|error| Failed::Round(error.into()))?;
    let mut report = |status: Status| {
        let Status { tasks_done, alive } = status;
        // A controller that has gone takes this process with it; there is nobody left to tell. Nor is there where it has been stopped (Ctrl-Z)
        // for so long that the pipe is full: the round goes on.
        if has_room(&io::stdout()) {
            let _ = say(&Message::Progress { tasks_done, alive });
        }
    };
    let round = Round {
        tasks: spec.tasks,
        spec,
        settings: &strategy.settings,
        stamp_stride: request.latency.then(|| stride_for(spec.tasks, stamped_seconds(strategy.mode, spec))),
        progress: Progress::new(&mut report),
        parent_memory: parent_memory.as_ref(),
        on_failure: request.on_failure,
        failure_counts,
    };
    let before = CpuTime::of_this_process_and_reaped_children();
    let outcome = strategy.mode.run(workload, round).map_err(Failed::Round)?;
    if spec.kind.is_program() {
        // What tasks have started and not waited for is this process's to wait for, and its CPU time counts.
        reap_ended();
    }
    let cpu = CpuTime::of_this_process_and_reaped_children().since(before);
    over().map_err(|error| Failed::Round(error.into()))?;
    let mut left_running = 0;
    if spec.kind.is_program() && has_children() {
        left_running = end_strays(&[]);
    }
    let verified =
        verify(workload, strategy.mode, &strategy.settings, &outcome).map_err(Failed::Violation)?;
    let tally = workload.tally();
    let for_want = |what: &str, errno| {
        let why = shortage::explained(&io::Error::from_raw_os_error(errno));
        Failed::Round(RoundError::Limit(format!("{what} could not be started: {why}")))
    };
    if let Some(errno) = tally.and_then(Tally::wanting) {
        return Err(for_want("one of the workers", errno));
    }
    if let Some(errno) = want_of_all(&outcome) {
        return Err(for_want("the programs", errno));
    }
    let Outcome { times, meter, .. } = &outcome;
    let seconds = |from: u64, to: u64| (to - from) as f64 * 1e-9;
    Ok(RoundReport {
        total_seconds: seconds(times.begin, times.end),
        set_up_seconds: seconds(times.begin, times.ready),
        execute_seconds: seconds(times.ready, times.collected),
        tear_down_seconds: Some(seconds(times.collected, times.end)),
        cpu_seconds: Some(cpu.total_seconds()),
        cpu_user_seconds: Some(cpu.user.as_secs_f64()),
        cpu_system_seconds: Some(cpu.system.as_secs_f64()),
        tasks_completed: verified.tasks_completed,
        tasks_failed: verified.tasks_failed,
        tasks_not_tried: verified.tasks_not_tried,
        retries: outcome.retries + workload.retries(),
        processes_started: outcome.processes_started + tally.map_or(0, Tally::started),
        helpers_started: helpers(strategy.mode, &strategy.settings, workload.argument_capacity() > 0),
        peak_alive: outcome.peak_alive + tally.map_or(0, Tally::peak),
        digest: Some(verified.digest),
        work_units: meter.work_units,
        io_overshoot_mean_seconds: (meter.waits > 0)
            .then(|| meter.overshoot_nanoseconds as f64 * 1e-9 / meter.waits as f64),
        io_overshoot_max_seconds: (meter.waits > 0).then_some(meter.overshoot_max_nanoseconds as f64 * 1e-9),
        latency: outcome.board.stamps.latency(times.begin),
        start_order: outcome.board.stamps.start_order(),
        returned_out_of_place: None,
        failures: verified.failures,
        left_running: left_running + tally.map_or(0, Tally::stubborn),
        parts: verified.parts,
    })
}

/// Memory that the parent holds and has touched.
pub(super) fn hold_memory(bytes: u64) -> Result<Option<Mapping>, RoundError> {
    if bytes == 0 {
        return Ok(None);
    }
    let too_much = |error: io::Error| {
        let (size, error) = (bytesize::ByteSize(bytes), shortage::explained(&error));
        RoundError::Limit(format!("the parent's {size} cannot be had: {error}"))
    };
    let len = usize::try_from(bytes).map_err(|_| too_much(io::Error::from_raw_os_error(libc::ENOMEM)))?;
    let mut mapping = Mapping::new(len, Visibility::Private).map_err(too_much)?;
    mapping.bytes_mut().fill(1);
    Ok(Some(mapping))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_has_room_until_it_is_full() {
        let (mut reads, mut writes) = io::pipe().unwrap();
        assert!(has_room(&writes), "an empty one");
        let page = [0; 4096];
        let pages = (0..1 << 20).take_while(|_| has_room(&writes) && writes.write(&page).is_ok()).count();
        assert!(pages > 0 && !has_room(&writes), "{pages}");
        std::io::Read::read_exact(&mut reads, &mut [0; 4096]).unwrap();
        assert!(has_room(&writes), "as soon as somebody reads");
    }
}
