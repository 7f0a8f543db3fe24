//! What one process that only waits costs this machine.

use std::io;

use procfs::Current;

use crate::sys::fork::{self, Pid};
use crate::sys::wait::{Which, wait};

/// How many are parked for the measurement: enough that what others do meanwhile hardly matters.
const PARKED: usize = 200;

/// Where it cannot be measured: 2.5 times what a parked process was seen to cost (92 KiB, of which 75 KiB are the
/// kernel's stacks, page tables and task structures).
pub const ASSUMED_BYTES: u64 = 256 << 10;

/// No process costs less: one kernel stack, one task structure and the upper page tables.
const LEAST_BYTES: u64 = 48 << 10;

/// Memory of one process that was forked and waits, in bytes: what is missing from the machine's available memory while
/// [`PARKED`] of them exist. [`ASSUMED_BYTES`] where that cannot be read or so many cannot be started.
///
/// Call it while this process has one thread.
pub fn measure() -> u64 {
    measured().ok().flatten().unwrap_or(ASSUMED_BYTES).max(LEAST_BYTES)
}

fn measured() -> io::Result<Option<u64>> {
    if fork::require_single_thread().is_err() {
        return Ok(None);
    }
    let own = std::process::id() as Pid;
    let Some(before) = available_bytes() else { return Ok(None) };
    let mut parked = Vec::with_capacity(PARKED);
    let mut failed = false;
    for _ in 0..PARKED {
        let child = fork::fork(|| {
            fork::die_with(own);
            loop {
                nix::unistd::pause();
            }
        });
        match child {
            Ok(pid) => parked.push(pid),
            Err(_) => {
                failed = true;
                break;
            }
        }
    }
    let after = available_bytes();
    for pid in &parked {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGKILL);
    }
    for pid in &parked {
        wait(Which::Only(*pid))?;
    }
    Ok(after.filter(|_| !failed).map(|after| before.saturating_sub(after) / PARKED as u64))
}

fn available_bytes() -> Option<u64> {
    procfs::Meminfo::current().ok()?.mem_available
}
