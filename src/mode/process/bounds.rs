//! What bounds the bookkeeping of processes.

use crate::measure::environment::cores_to_use;

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
