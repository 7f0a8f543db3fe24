//! What the machine has room for, and waiting for it.

use std::io;
use std::time::Duration;

use crate::measure::environment::cores_to_use;

/// Waiting for a machine that has no room, longer each time.
#[derive(Debug, Default)]
pub(super) struct Patience {
    waited: Duration,
    next: Duration,
}

impl Patience {
    pub(super) const LONGEST: Duration = Duration::from_secs(10);

    /// Sleeps; false if it has slept long enough altogether.
    pub(super) fn wait(&mut self) -> bool {
        if self.waited >= Self::LONGEST {
            return false;
        }
        self.next = (self.next * 2).clamp(Duration::from_millis(1), Duration::from_millis(250));
        std::thread::sleep(self.next);
        self.waited += self.next;
        true
    }
}

/// Whether the kernel has no room for another process now.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM))
}

/// What bounds the bookkeeping.
pub(super) struct Bounds {
    /// Cores that may be used.
    pub(super) cores: u64,
    /// One more than the largest process id.
    pub(super) pids: usize,
}

impl Bounds {
    pub(super) fn read() -> Self {
        Self { cores: cores_to_use(), pids: pid_bound() }
    }
}

/// One more than the largest process id.
fn pid_bound() -> usize {
    const LARGEST_POSSIBLE: usize = 4 * 1024 * 1024;
    std::fs::read_to_string("/proc/sys/kernel/pid_max")
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok())
        .map_or(LARGEST_POSSIBLE, |largest| largest.min(LARGEST_POSSIBLE))
        + 1
}
