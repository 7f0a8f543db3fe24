//! Being told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::sys::interrupt::Told;

/// Nobody says so twice in less time.
pub const AGAIN: Duration = Duration::from_millis(50);

/// Whether somebody wants this run to end.
#[derive(Debug, Clone)]
pub struct Signals {
    stop: Arc<AtomicBool>,
    /// When it is to end anyway.
    deadline: Option<Instant>,
}

impl Signals {
    /// Listens for SIGINT, SIGTERM and SIGHUP from now on. Another one that comes later than [`AGAIN`] after the first ends the program at
    /// once.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn listen() -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::new(Told::default());
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            told.hear(signal, &stop, AGAIN, crate::exit::INTERRUPTED)
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
