//! What the tests of faults share: how many are tried, when, and where it is said how many were survived.

use std::io::Write;
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Set to `full`, each fault is tried as often as results/faults.md says.
const VARIABLE: &str = "PROCBENCH_FAULTS";

/// Whether the full counts are asked for.
pub fn full() -> bool {
    std::env::var(VARIABLE).is_ok_and(|value| value == "full")
}

/// How often a fault is tried: `few` times, or `all` where that was asked for.
pub fn times(few: u32, all: u32) -> u32 {
    if full() { all } else { few }
}

/// Counts one kind of fault.
#[derive(Debug)]
pub struct Count {
    fault: String,
    tried: u32,
    survived: u32,
    lost: String,
}

impl Count {
    pub fn of(fault: impl Into<String>) -> Self {
        Self { fault: fault.into(), tried: 0, survived: 0, lost: "nothing".into() }
    }

    /// One more that was survived: whoever does not panics before.
    pub fn survived(&mut self) {
        self.tried += 1;
        self.survived += 1;
    }

    /// What it costs to survive.
    pub fn lost(mut self, lost: impl Into<String>) -> Self {
        self.lost = lost.into();
        self
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        // One that is being tried when a test fails was not survived.
        let tried = self.tried + u32::from(std::thread::panicking());
        let Self { fault, survived, lost, .. } = self;
        // Past the capture of the test harness, which hides what a test prints that passes.
        let _ =
            writeln!(std::io::stderr(), "FAULTS: {fault}: {tried} tried, {survived} survived, lost: {lost}");
    }
}

/// Random moments, the same in each run of the test.
pub struct Moments(u64);

impl Moments {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        procbench::seed::mix(self.0) % end
    }

    /// A time up to `longest`, short ones more often than long ones.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        let part = self.below(1 << 20) as f64 / (1 << 20) as f64;
        longest.mul_f64(part * part)
    }

    /// One of `all`.
    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let place = self.below(all.len().max(1) as u64) as usize;
        all.get(place)
    }
}

/// Sends `signal` to a process of procbench's, which may have ended meanwhile. Says whether it was there.
pub fn send(pid: i32, signal: Signal) -> bool {
    signal::kill(Pid::from_raw(pid), signal).is_ok()
}
