//! Being told to end: once, and again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::clock::monotonic_nanoseconds;

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
    /// # Errors
    /// If the kernel refuses.
    pub fn hear(
        self: &Arc<Self>,
        signal: libc::c_int,
        stop: &Arc<AtomicBool>,
        again: Duration,
        code: i32,
    ) -> io::Result<()> {
        let (told, stop) = (Arc::clone(self), Arc::clone(stop));
        let again = u64::try_from(again.as_nanos()).unwrap_or(u64::MAX);
        let action = move || {
            let now = monotonic_nanoseconds().max(1);
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

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, raise};

    use super::*;

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
