//! Who stays behind when everybody else is killed.
//!
//! A runner whose tasks are programs of the user's own cannot know what those start: a shell's pipeline, a daemon in a
//! session of its own. They are this program's to end all the same, also where the controller or the runner is killed
//! with SIGKILL and can do nothing. So a guardian stands between the two: a subreaper, to whom all orphans below it are
//! given, and which outlives either for as long as it takes to end them. If the guardian itself is killed, its orphans
//! are the controller's, which is a subreaper too and looks for them after each round.

use std::ffi::{CStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::unistd::Pid as NixPid;

use super::native::{UNGUARDED, failed, say};
use crate::measure::kernel::processes_of_group;
use crate::sys::fork::{self, Pid};
use crate::sys::raw;
use crate::sys::strays::end_strays;
use crate::sys::wait::{Exit, Which, try_wait};

/// The hidden first argument under which procbench stands over a runner that is another program. What follows is the
/// controller's process id, the folder to work in, and the words of the program.
pub const GUARD: &str = "__guard";
/// What a guardian is called where processes are listed: whoever kills everybody called procbench (`pkill -9 procbench`) leaves one to end
/// what the user's programs have started.
const NAME: &CStr = c"pb-guardian";

/// A guardian, and below it the program of `words` as the runner of a round.
///
/// # Errors
/// If that program cannot be had.
pub fn run(mut words: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let mut word = || words.next().context("a guardian is told whom to guard");
    let controller = word()?.to_str().and_then(|number| number.parse().ok()).context("no process id")?;
    let (folder, program) = (word()?, word()?);
    if let Err(error) = stand_over(controller) {
        return say(&failed(&error.context(UNGUARDED)));
    }
    fork::become_subreaper()?;
    fork::minimise_timer_slack();
    let error = Command::new(&program).args(words).current_dir(folder).exec();
    Err(error).with_context(|| format!("failed to start {}", program.display()))
}

/// What tells the guardian that its controller has ended.
const ABANDONED: Signal = Signal::SIGTERM;

/// Forks: the caller goes on as the guardian's child, and ends with it. The guardian never returns; it ends as the child
/// does, having ended everything that was left below it.
///
/// # Errors
/// If there is no room for a process, or this one is no subreaper.
pub(super) fn stand_over(controller: Pid) -> anyhow::Result<()> {
    fork::become_subreaper()?;
    let guardian = std::process::id() as Pid;
    // Held back before there is a child that could end; and whatever else could end the guardian before it has done its
    // work. Such as the SIGHUP that the kernel sends to a group with stopped processes, as below, when the controller ends.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let ward = fork::fork_off()?;
    if ward == 0 {
        before.thread_set_mask()?;
        fork::die_with(guardian);
        return Ok(());
    }
    fork::be_called(NAME);
    fork::hear_of_end(controller, ABANDONED);
    let end = watch(ward, &[Signal::SIGCHLD, ABANDONED].into_iter().collect());
    if end.is_none() {
        // Those who see another die first would complain of it, as Python's workers do, on the user's screen.
        for pid in processes_of_group(guardian).into_iter().filter(|pid| *pid != guardian) {
            let _ = kill(NixPid::from_raw(pid), Signal::SIGSTOP);
        }
    }
    end_strays(&[]);
    match end {
        Some(Exit::Code(code)) => raw::exit(code),
        Some(Exit::Signal(signal)) => die_of(signal),
        None => raw::exit(1),
    }
}

/// Waits until the ward has ended, and says how; or until the controller has.
fn watch(ward: Pid, signals: &SigSet) -> Option<Exit> {
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                while let Ok(Some(reaped)) = try_wait(Which::Any) {
                    if reaped.pid == ward {
                        return Some(reaped.exit);
                    }
                }
            }
            Ok(_) => return None,
            Err(_) => {}
        }
    }
}

/// Ends this process as `signal` ended its ward, so that whoever waits sees the same.
fn die_of(signal: i32) -> ! {
    if let Ok(signal) = Signal::try_from(signal) {
        fork::restore_default(signal);
        let _ = kill(NixPid::this(), signal);
    }
    raw::exit(128 + signal)
}
