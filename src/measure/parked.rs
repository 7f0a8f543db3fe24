//! What one process that only waits costs this machine.

use std::io;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::memory::{
    LEAST_FOR_STRUCTURES, MOST_FOR_STRUCTURES, held_for, private_bytes_of, structures, tables_and_threads,
};
use crate::sys::fork::{self, Pid};
use crate::sys::wait::{Which, wait};

/// How many are parked for the measurement: enough that what others do meanwhile hardly matters.
const PARKED: usize = 200;

/// How many of them are looked at, to see what they have to themselves.
const LOOKED_AT: usize = 5;

/// More than this in structures is no process's that only waits.
const MOST_OF_ONE: u64 = 2 * MOST_FOR_STRUCTURES;

/// What the guard takes it to be where it was not measured: 2.5 times what a parked process was seen to cost (92 KiB, of which 75 KiB are
/// the kernel's stacks, page tables and task structures).
pub const ASSUMED_BYTES: u64 = 256 << 10;

/// Why it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParkedMissing {
    /// No strategy has so many alive that it would matter.
    NotNeeded,
    /// So many could not be started, or what the kernel holds for them cannot be read.
    NotTold,
}

/// Memory of one process that was forked and waits, in bytes: what it shares with nobody, and what the kernel holds for it, of whose
/// structures only those of the whole machine are known before and after [`PARKED`] were started.
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
    let Some(before) = structures() else { return Ok(None) };
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
    let after = structures();
    let look = |pid: &Pid| {
        let (tables, threads) = tables_and_threads(*pid)?;
        Some(private_bytes_of(*pid)? + held_for(tables, threads))
    };
    let looked_at: Option<Vec<u64>> = parked.iter().step_by(PARKED / LOOKED_AT).map(look).collect();
    for pid in &parked {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGKILL);
    }
    for pid in &parked {
        wait(Which::Only(*pid))?;
    }
    let grown = after.filter(|_| parked.len() == PARKED).map(|after| after.saturating_sub(before));
    // Less than they need has been given back by others, or was used again: the guard rather takes too much for one than too little.
    let of_structures = grown.map(|bytes| match bytes / PARKED as u64 {
        of_each if of_each < LEAST_FOR_STRUCTURES => MOST_FOR_STRUCTURES,
        of_each => of_each.min(MOST_OF_ONE),
    });
    Ok(of_structures.zip(looked_at).map(|(of_structures, looked_at)| {
        of_structures + looked_at.iter().sum::<u64>() / looked_at.len().max(1) as u64
    }))
}
