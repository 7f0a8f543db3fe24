//! Being told to end: once, and again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use super::clock::monotonic_nanoseconds;

static WAS_TOLD: AtomicBool = AtomicBool::new(false);

/// Whether a signal that is heard by [`Told::hear`] has come: for those who wait where nobody can tell them.
pub fn was_told() -> bool {
    WAS_TOLD.load(Ordering::Relaxed)
}

/// With what code a signal ends this process at once; negative where it has something to finish.
static AT_ONCE: AtomicI32 = AtomicI32::new(-1);

/// Does `work`, which may wait for somebody for ever, such as for whoever writes to a named pipe. There is nothing to be lost meanwhile,
/// so the first signal ends this process, with `code`, even if it came before.
pub fn ends_at_once<T>(code: libc::c_int, work: impl FnOnce() -> T) -> T {
    AT_ONCE.store(code, Ordering::SeqCst);
    if WAS_TOLD.load(Ordering::SeqCst) {
        signal_hook::low_level::exit(code);
    }
    let done = work();
    AT_ONCE.store(-1, Ordering::SeqCst);
    done
}

/// When a process was told to end.
#[derive(Debug, Default)]
pub struct Told {
    /// By the monotonic clock, in nanoseconds; 0 if it was not.
    first: AtomicU64,
}

impl Told {
    /// Has `stop` set when `signal` arrives. Any of those that are heard in this way that comes later than `again` after the first ends
    /// the process with `code` at once, whatever it is doing. Those that come sooner are the same wish in two signals: `timeout`
    /// sends one to its command and one to the whole group.
    ///
    /// A signal that this process was started to ignore, as `nohup` does with SIGHUP, goes on being ignored.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn hear(
        self: &Arc<Self>,
        signal: libc::c_int,
        stop: &Arc<AtomicBool>,
        again: Duration,
        code: i32,
    ) -> io::Result<()> {
        if is_ignored(signal)? {
            return Ok(());
        }
        let (told, stop) = (Arc::clone(self), Arc::clone(stop));
        let again = u64::try_from(again.as_nanos()).unwrap_or(u64::MAX);
        let action = move || {
            let now = monotonic_nanoseconds().max(1);
            WAS_TOLD.store(true, Ordering::SeqCst);
            let at_once = AT_ONCE.load(Ordering::SeqCst);
            if at_once >= 0 {
                signal_hook::low_level::exit(at_once);
            }
            match told.first.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => stop.store(true, Ordering::Relaxed),
                Err(first) if now.saturating_sub(first) > again => signal_hook::low_level::exit(code),
                Err(_) => {}
            }
        };
        // SAFETY: what it does is async-signal-safe: it reads the clock, changes atomics, and calls `_exit`.
        unsafe { signal_hook::low_level::register(signal, action) }.map(drop)
    }
}

/// Whether this process ignores `signal`.
fn is_ignored(signal: libc::c_int) -> io::Result<bool> {
    let mut found = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is changed, and what is asked for is written to a place that is large enough for it.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), found.as_mut_ptr()) };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above succeeded, so the kernel has filled it in; and zeroes would be a valid one too.
    Ok(unsafe { found.assume_init() }.sa_sigaction == libc::SIG_IGN)
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, raise};

    use super::*;

    #[test]
    fn what_is_ignored_stays_ignored() {
        use nix::sys::signal::{SigHandler, signal};
        // SAFETY: to ignore a signal takes no handler. It means nothing to anything else in this process.
        unsafe { signal(Signal::SIGWINCH, SigHandler::SigIgn) }.unwrap();
        let (told, stop) = (Arc::new(Told::default()), Arc::new(AtomicBool::new(false)));
        told.hear(libc::SIGWINCH, &stop, Duration::ZERO, 1).unwrap();
        raise(Signal::SIGWINCH).unwrap();
        assert!(is_ignored(libc::SIGWINCH).unwrap() && !stop.load(Ordering::Relaxed));
    }

    #[test]
    fn two_signals_of_one_moment_are_one_wish() {
        let (told, stop) = (Arc::new(Told::default()), Arc::new(AtomicBool::new(false)));
        // Of no meaning to anything else in this process. An hour, so that the machine may be as slow as it likes.
        told.hear(libc::SIGUSR2, &stop, Duration::from_secs(3600), 1).unwrap();
        assert!(!stop.load(Ordering::Relaxed));
        for _ in 0..3 {
            raise(Signal::SIGUSR2).unwrap();
            assert!(stop.load(Ordering::Relaxed));
        }
    }
}
