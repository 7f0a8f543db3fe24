//! Creating processes: the ordinary fork, and what binds a process to its parent.

use std::ffi::CStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::signal::{SigSet, Signal};

use super::raw;

/// A process id.
pub type Pid = libc::pid_t;

/// The exit code of a child whose task panicked.
pub const PANICKED: i32 = 101;

/// Whether this program was started with rights that whoever started it does not have: its file is setuid or setgid, or has
/// capabilities.
pub fn has_borrowed_rights() -> bool {
    told(libc::AT_SECURE) != 0
        || told(libc::AT_UID) != told(libc::AT_EUID)
        || told(libc::AT_GID) != told(libc::AT_EGID)
}

/// Whether a loader made this program ready, and mapped the libraries that it needs. Without one, it has them inside.
pub fn has_loader() -> bool {
    told(libc::AT_BASE) != 0
}

/// What the kernel wrote beside the arguments when it executed this program: no system call is needed.
fn told(what: libc::c_ulong) -> libc::c_ulong {
    // SAFETY: takes an integer and returns one.
    unsafe { libc::getauxval(what) }
}

/// Forks. The child runs `child`, leaves with the code it returns, and never unwinds past it.
///
/// # Errors
/// What `fork` says: `EAGAIN` and `ENOMEM` where a limit is reached.
///
/// # Panics
/// If this process has more than one thread: the child would inherit locks that nobody will ever release.
pub fn fork(child: impl FnOnce() -> i32) -> io::Result<Pid> {
    debug_assert_eq!(thread_count().unwrap_or(1), 1, "only a process with one thread may fork");
    // SAFETY: this process has one thread (checked where rounds begin, see `require_single_thread`), so
    // the child's copy of the heap and of every lock is consistent. The child never returns from here.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANICKED);
            raw::exit(code)
        }
        pid => Ok(pid),
    }
}

/// Forks, and returns in both: 0 in the child. For a process that has just begun and goes on as its own child.
///
/// # Errors
/// What `fork` says; and if this process has more than one thread.
pub fn fork_off() -> io::Result<Pid> {
    require_single_thread()?;
    // SAFETY: with one thread, the child's copy of the heap and of every lock is consistent.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(pid),
    }
}

/// Has `signal` sent to the calling process when `parent` has ended, also if that has already happened.
pub fn hear_of_end(parent: Pid, signal: Signal) {
    // SAFETY: takes integers; the kernel remembers the signal to send.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong, 0, 0, 0) };
    if raw::parent_pid() != parent {
        let _ = nix::sys::signal::raise(signal);
    }
}

/// Has the calling process called `name` where processes are listed (`ps`, `top`, `pkill`), rather than by the file that it was started
/// from, which is `exe` for whoever was started from /proc/self/exe. Its children are called the same. Fifteen bytes of it are kept.
pub fn be_called(name: &CStr) {
    // SAFETY: reads a text that ends with a zero byte, and keeps nothing of it.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// Gives up whatever was arranged for `signal`, and lets it through.
pub fn restore_default(signal: Signal) {
    // SAFETY: the default action is no code of this program.
    let _ = unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigDfl) };
    let _ = SigSet::from(signal).thread_unblock();
}

/// Has the kernel tell this process of its children's ends, whoever started it: an ignored SIGCHLD outlives an exec, and then the kernel reaps
/// children itself, so that nobody hears how they ended and their numbers are soon others'. Signals that end it are let through, too.
pub fn hear_of_children() {
    restore_default(Signal::SIGCHLD);
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let _ = SigSet::from(signal).thread_unblock();
    }
}

/// How many threads this process has, from /proc.
///
/// # Errors
/// Where /proc cannot be read.
pub fn thread_count() -> io::Result<usize> {
    const TASKS: &str = "/proc/self/task";
    // The kernel counts them among the folder's links, beside the two that every folder has: one call in place of five.
    match std::fs::metadata(TASKS)?.nlink().checked_sub(2) {
        Some(threads @ 1..) => Ok(threads as usize),
        _ => Ok(std::fs::read_dir(TASKS)?.count()),
    }
}

/// Fails if this process has more than one thread. Called once where a round that forks begins.
///
/// # Errors
/// With the number of threads, or where /proc cannot be read.
pub fn require_single_thread() -> io::Result<()> {
    match thread_count()? {
        1 => Ok(()),
        threads => {
            Err(io::Error::other(format!("the runner has {threads} threads; it may fork with one only")))
        }
    }
}

/// Ends the calling process as soon as `parent` has ended, also if that has already happened.
///
/// Makes two system calls and touches nothing else, so a lean child may call it.
#[inline(always)]
pub fn die_with(parent: Pid) {
    // SAFETY: takes integers; the kernel remembers the signal to send.
    unsafe {
        raw::syscall(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as usize, libc::SIGKILL as usize, 0, 0, 0])
    };
    if raw::parent_pid() != parent {
        raw::exit(1);
    }
}

/// Makes the calling process the one to whom its descendants' orphans are given.
///
/// # Errors
/// Where the kernel refuses.
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: takes integers.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })
}

/// Makes timers of the calling thread, and of the threads and processes it starts from now on, as exact as
/// the kernel can (slack 1 ns in place of 50 µs).
pub fn minimise_timer_slack() {
    // SAFETY: takes integers; refused at worst, and the overshoot is reported anyway.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
}

/// Arranges that the program which `command` starts is what a runner has to be: it ends with this process, its descendants'
/// orphans are given to it, and its timers are exact. All three outlast exec; the last is inherited.
pub fn bind_on_start(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;

    let parent = std::process::id() as Pid;
    let bind = move || {
        die_with(parent);
        minimise_timer_slack();
        become_subreaper()
    };
    // SAFETY: between fork and exec the closure makes system calls only and allocates nothing.
    unsafe { command.pre_exec(bind) };
}

/// Arranges that the kernel, when memory runs out, takes the program which `command` starts, and what that starts, rather than
/// anybody else: of many small processes none is ever the largest. Where it cannot be said, nothing is.
pub fn sacrifice_on_start(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;

    const FIRST_OF_ALL: &[u8] = b"1000";
    let offer = || {
        // SAFETY: system calls on a path and a buffer that live as long as the program.
        unsafe {
            let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            if file >= 0 {
                libc::write(file, FIRST_OF_ALL.as_ptr().cast(), FIRST_OF_ALL.len());
                libc::close(file);
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes async-signal-safe calls only and allocates nothing.
    unsafe { command.pre_exec(offer) };
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether a program that this process starts may put itself into the cgroup of `procs_file`: found out by a child that
/// enters and leaves before it executes anything.
pub fn can_enter(procs_file: &std::path::Path) -> bool {
    use std::os::unix::process::CommandExt;

    const ENTERED: i32 = 42;
    let mut child = std::process::Command::new("/proc/self/exe");
    if enter_on_start(&mut child, procs_file).is_err() {
        return false;
    }
    // It says so by its end: an error is told through a pipe, which a parent that is killed just then no longer reads, and the
    // standard library complains of that on standard error.
    // SAFETY: between fork and exec nothing is called but `_exit`, and nothing allocated.
    unsafe { child.pre_exec(|| raw::exit(ENTERED)) };
    child.spawn().and_then(|mut child| child.wait()).is_ok_and(|status| status.code() == Some(ENTERED))
}

/// Arranges that the program which `command` starts puts itself into the cgroup of `procs_file` before it begins.
///
/// # Errors
/// If the path cannot be passed to the kernel.
pub fn enter_on_start(command: &mut std::process::Command, procs_file: &std::path::Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::process::CommandExt;

    let path = std::ffi::CString::new(procs_file.as_os_str().as_bytes())?;
    let parent = std::process::id() as Pid;
    let enter = move || {
        // SAFETY: system calls on a path and a buffer that outlive them.
        let failed = unsafe {
            let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            file < 0 || libc::write(file, b"0".as_ptr().cast(), 1) != 1 || libc::close(file) != 0
        };
        if !failed {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        // Where the parent was killed meanwhile, its cgroup has gone with it, and there is nobody to tell.
        if raw::parent_pid() != parent {
            raw::exit(1);
        }
        Err(error)
    };
    // SAFETY: between fork and exec the closure makes async-signal-safe calls only and allocates nothing.
    unsafe { command.pre_exec(enter) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_more_is_counted_while_it_is_there() {
        // Tests have threads of their own, which come and go: only what this one holds is certain.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || wait.recv());
            assert!(thread_count().unwrap() >= 2);
            assert!(require_single_thread().unwrap_err().to_string().contains("it may fork with one only"));
            drop(go);
        });
    }
}
