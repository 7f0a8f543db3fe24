//! Reaping children, with what they used.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};

use super::fork::Pid;
use super::raw;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It left with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "was killed by {}", signal.as_str()),
                Err(_) => write!(f, "was killed by signal {number}"),
            },
        }
    }
}

/// Which child to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Whichever is done first. The kernel walks the list of children: linear in their number.
    Any,
    /// This one, found directly; or, as a negative number, whoever is done first in that process group.
    Only(Pid),
}

/// A reaped child.
#[derive(Debug, Clone, Copy)]
pub struct Reaped {
    /// Its process id, free for reuse from now on.
    pub pid: Pid,
    /// How it ended.
    pub exit: Exit,
    /// What it and the children it reaped used.
    pub usage: CpuTime,
    /// What they had read from a block device because it was not in memory.
    pub storage_read_bytes: u64,
}

/// CPU time, as the kernel accounts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In user mode.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
}

impl CpuTime {
    fn from_rusage(usage: &libc::rusage) -> Self {
        let duration = |time: libc::timeval| {
            Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
        };
        Self { user: duration(usage.ru_utime), system: duration(usage.ru_stime) }
    }

    /// What was used since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }

    /// Both together, in seconds.
    pub fn total_seconds(self) -> f64 {
        (self.user + self.system).as_secs_f64()
    }

    /// Of the calling process, all threads.
    pub fn of_this_process() -> Self {
        Self::read(libc::RUSAGE_SELF)
    }

    /// Of the calling process, all threads, and of the children it has reaped.
    pub fn of_this_process_and_reaped_children() -> Self {
        let (own, children) = (Self::of_this_process(), Self::read(libc::RUSAGE_CHILDREN));
        Self { user: own.user + children.user, system: own.system + children.system }
    }

    fn read(who: libc::c_int) -> Self {
        // SAFETY: an all-zero rusage is valid, and the call only fills it in.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: `usage` is valid for the call to write.
        unsafe { libc::getrusage(who, &mut usage) };
        Self::from_rusage(&usage)
    }
}

/// Waits until `which` has ended and reaps it. `Ok(None)` if there is no such child.
///
/// # Errors
/// What `wait4` says, apart from `ECHILD` and `EINTR`.
pub fn wait(which: Which) -> io::Result<Option<Reaped>> {
    wait4(which, 0)
}

/// Reaps `which` if it has ended. `Ok(None)` if it has not, or if there is no such child.
///
/// # Errors
/// What `wait4` says, apart from `ECHILD` and `EINTR`.
pub fn try_wait(which: Which) -> io::Result<Option<Reaped>> {
    wait4(which, libc::WNOHANG)
}

/// Whether the calling process has any child left, running or not yet reaped.
pub fn has_children() -> bool {
    // SAFETY: a null status and WNOWAIT leave everything as it is.
    let result = unsafe {
        libc::waitid(libc::P_ALL, 0, std::ptr::null_mut(), libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)
    };
    result == 0
}

/// Waits until the child `pid` has ended, and leaves it to be reaped: until then nobody else can be given its number.
///
/// # Errors
/// What `waitid` says, apart from `EINTR`.
pub fn wait_for_end(pid: Pid) -> io::Result<()> {
    loop {
        // SAFETY: nothing is asked for, and WNOWAIT leaves everything as it is.
        let result = unsafe {
            libc::waitid(libc::P_PID, pid as libc::id_t, std::ptr::null_mut(), libc::WEXITED | libc::WNOWAIT)
        };
        let error = io::Error::last_os_error();
        if result == 0 {
            return Ok(());
        }
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Whether somebody has stopped the child `pid` and not told it to go on since.
pub fn is_stopped(pid: Pid) -> bool {
    // SAFETY: an all-zero siginfo is valid, and the call only fills it in.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is valid for the call to write; WNOWAIT leaves everything else as it is.
    let result = unsafe { libc::waitid(libc::P_PID, pid as libc::id_t, &mut info, options) };
    // SAFETY: after a call that succeeds the field is the child's number, or 0 if it was not stopped.
    result == 0 && unsafe { info.si_pid() } == pid
}

/// Whether the child `pid` has ended; it is left to be reaped.
pub fn has_ended(pid: Pid) -> bool {
    how_ended(pid).is_some()
}

fn wait4(which: Which, options: i32) -> io::Result<Option<Reaped>> {
    let target = match which {
        Which::Any => -1,
        Which::Only(pid) => pid,
    };
    loop {
        let mut status = 0;
        // SAFETY: an all-zero rusage is valid, and the call only fills it in.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are valid for the call to write.
        let pid = unsafe { libc::wait4(target, &mut status, options, &mut usage) };
        if pid > 0 {
            let exit = if libc::WIFSIGNALED(status) {
                Exit::Signal(libc::WTERMSIG(status))
            } else {
                Exit::Code(libc::WEXITSTATUS(status))
            };
            // The kernel counts in units of 512 bytes, whatever the device's own are.
            let storage_read_bytes = usage.ru_inblock as u64 * 512;
            return Ok(Some(Reaped { pid, exit, usage: CpuTime::from_rusage(&usage), storage_read_bytes }));
        }
        if pid == 0 {
            return Ok(None);
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::ECHILD) => return Ok(None),
            _ => return Err(io::Error::last_os_error()),
        }
    }
}

/// Waits until the child `pid` has ended, or until `deadline`, and reaps it. `Ok(None)` if it has not ended by then, or if
/// there is no such child.
///
/// # Errors
/// What `wait4` says, apart from `ECHILD` and `EINTR`.
pub fn wait_until(pid: Pid, deadline: Option<Instant>) -> io::Result<Option<Reaped>> {
    let Some(deadline) = deadline else { return wait(Which::Only(pid)) };
    let descriptor = process_descriptor(pid);
    loop {
        let reaped = try_wait(Which::Only(pid))?;
        let left = deadline.saturating_duration_since(Instant::now());
        if reaped.is_some() || left.is_zero() {
            return Ok(reaped);
        }
        nap_until_ended(&descriptor, left);
    }
}

/// How the child `pid` has ended, once it has, or `None` if it has not by `deadline`. It is left to be reaped.
pub fn has_ended_by(pid: Pid, deadline: Instant) -> Option<Exit> {
    let mut descriptor = None;
    loop {
        let exit = how_ended(pid);
        let left = deadline.saturating_duration_since(Instant::now());
        if exit.is_some() || left.is_zero() {
            return exit;
        }
        nap_until_ended(descriptor.get_or_insert_with(|| process_descriptor(pid)), left);
    }
}

/// How the child `pid` has ended, if it has. It is left to be reaped.
fn how_ended(pid: Pid) -> Option<Exit> {
    // SAFETY: an all-zero siginfo is valid, and the call only fills it in.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is valid for the call to write; WNOWAIT leaves everything else as it is.
    let result = unsafe { libc::waitid(libc::P_PID, pid as libc::id_t, &mut info, options) };
    // SAFETY: the kernel fills these in for SIGCHLD; where nobody has ended they stay zero.
    let (ended, status) = unsafe { (info.si_pid(), info.si_status()) };
    let by_itself = info.si_code == libc::CLD_EXITED;
    (result == 0 && ended == pid).then_some(if by_itself { Exit::Code(status) } else { Exit::Signal(status) })
}

/// Sleeps until the process of `descriptor` has ended, for `left` at most, or until a signal comes. Where the kernel has no descriptors
/// for processes (before Linux 5.3), until the next look.
fn nap_until_ended(descriptor: &io::Result<OwnedFd>, left: Duration) {
    const NAP: Duration = Duration::from_millis(1);
    let Ok(descriptor) = descriptor else { return std::thread::sleep(NAP.min(left)) };
    // Rounded up, or the last part of a millisecond would be spent turning.
    let left = PollTimeout::try_from(left + NAP).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)], left) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(_) => std::thread::sleep(NAP),
    }
}

/// Kills the process group that the child `pid` leads, and reaps that child.
///
/// # Errors
/// What `wait4` says, apart from `ECHILD` and `EINTR`.
pub fn end_group(pid: Pid) -> io::Result<Option<Reaped>> {
    // The child is not reaped yet, so its number is its own, and its group's.
    let _ = killpg(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
    wait(Which::Only(pid))
}

/// A descriptor of the child `pid`, which becomes readable when it ends.
///
/// # Errors
/// `ENOSYS` before Linux 5.3; `EMFILE`.
pub fn process_descriptor(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: takes integers.
    match unsafe { raw::syscall(libc::SYS_pidfd_open, [pid as usize, 0]) } {
        // SAFETY: a descriptor that the kernel has just made for this caller.
        descriptor @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) }),
        error => Err(io::Error::from_raw_os_error(-error as i32)),
    }
}

/// Keeps `SIGCHLD` pending for [`wait_timeout`]. Children of this process inherit that; programs they start do too
/// unless it is undone.
///
/// # Errors
/// What `sigprocmask` says.
pub fn hold_child_signals() -> io::Result<()> {
    let mut set = nix::sys::signal::SigSet::empty();
    set.add(nix::sys::signal::Signal::SIGCHLD);
    set.thread_block()?;
    Ok(())
}

/// Waits until any child has ended, for at most `timeout`, and reaps it. [`hold_child_signals`] must have been called
/// before the children were started, or the timeout passes in vain.
///
/// # Errors
/// What `wait4` says, apart from `ECHILD` and `EINTR`.
pub fn wait_timeout(timeout: Duration) -> io::Result<Option<Reaped>> {
    if let Some(reaped) = try_wait(Which::Any)? {
        return Ok(Some(reaped));
    }
    if timeout.is_zero() {
        return Ok(None);
    }
    let limit = libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    };
    // A signal that came before this call is still pending, so no ending is missed.
    let mut set = nix::sys::signal::SigSet::empty();
    set.add(nix::sys::signal::Signal::SIGCHLD);
    // SAFETY: both pointers are to valid values that the call only reads; no details are asked for.
    unsafe { libc::sigtimedwait(set.as_ref(), std::ptr::null_mut(), &limit) };
    try_wait(Which::Any)
}
