//! Being told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;

/// Whether somebody wants this run to end.
#[derive(Debug, Clone)]
pub struct Signals {
    stop: Arc<AtomicBool>,
    /// When it is to end anyway.
    deadline: Option<Instant>,
}

impl Signals {
    /// Listens for SIGINT, SIGTERM and SIGHUP from now on. The second one ends the program at once.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn listen() -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            // In this order: the first signal finds the flag unset, sets it and goes on.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                crate::exit::INTERRUPTED,
                Arc::clone(&stop),
            )
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .context("failed to listen for signals")?;
        }
        Ok(Self { stop, deadline: None })
    }

    /// For those who will never be told.
    pub fn none() -> Self {
        Self { stop: Arc::default(), deadline: None }
    }

    /// The same, for something that has to end by `deadline` whether or not a signal comes.
    pub fn until(&self, deadline: Instant) -> Self {
        Self { stop: Arc::clone(&self.stop), deadline: Some(deadline) }
    }

    /// Whether a signal has come, or the time is up.
    pub fn stop_wanted(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}
