//! What one process that only waits costs this machine.

use std::io;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::memory::{held_by_kernel, private_bytes_of};
use crate::sys::fork::{self, Pid};
use crate::sys::wait::{Which, wait};

/// How many are parked for the measurement: enough that what others do meanwhile hardly matters.
const PARKED: usize = 200;

/// How many of them are looked at, to see what they have to themselves.
const LOOKED_AT: usize = 5;

/// What the guard takes it to be where it was not measured: 2.5 times what a parked process was seen to cost (92 KiB, of which 75 KiB are
/// the kernel's stacks, page tables and task structures).
pub const ASSUMED_BYTES: u64 = 256 << 10;

/// What the kernel holds for one: a stack of 16 KiB and some tables at least, and at the most what would be a tenth of a gibibyte for all.
const OF_KERNEL: std::ops::RangeInclusive<u64> = 24 << 10..=512 << 10;

/// Why it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParkedMissing {
    /// No strategy has so many alive that it would matter.
    NotNeeded,
    /// So many could not be started, or what the kernel holds for them cannot be read, or others changed that by more.
    NotTold,
}

/// Memory of one process that was forked and waits, in bytes: what the kernel holds more for each of [`PARKED`], and what each has
/// that it shares with nobody.
///
/// Call it while this process has one thread.
///
/// # Errors
/// Why it is not known.
pub fn measure() -> Result<u64, ParkedMissing> {
    measured().ok().flatten().ok_or(ParkedMissing::NotTold)
}

fn measured() -> io::Result<Option<u64>> {
    if fork::require_single_thread().is_err() {
        return Ok(None);
    }
    let own = std::process::id() as Pid;
    let Some(before) = held_by_kernel() else { return Ok(None) };
    let mut parked = Vec::with_capacity(PARKED);
    for _ in 0..PARKED {
        let child = fork::fork(|| {
            fork::die_with(own);
            loop {
                nix::unistd::pause();
            }
        });
        match child {
            Ok(pid) => parked.push(pid),
            Err(_) => break,
        }
    }
    let after = held_by_kernel();
    let looked_at: Option<Vec<u64>> =
        parked.iter().step_by(PARKED / LOOKED_AT).map(|pid| private_bytes_of(*pid)).collect();
    for pid in &parked {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGKILL);
    }
    for pid in &parked {
        wait(Which::Only(*pid))?;
    }
    let for_all = after.and_then(|after| after.checked_sub(before)).filter(|_| parked.len() == PARKED);
    let of_kernel = for_all.map(|bytes| bytes / PARKED as u64).filter(|bytes| OF_KERNEL.contains(bytes));
    Ok(of_kernel
        .zip(looked_at)
        .map(|(of_kernel, own)| of_kernel + own.iter().sum::<u64>() / LOOKED_AT as u64))
}
