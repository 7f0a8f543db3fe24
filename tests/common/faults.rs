//! What the tests of faults share: how many are tried, when, and where it is said how many were survived.

use std::io::Write;
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Set to `full`, each fault is tried as often as results/faults.md says; set to `3/8`, the third eighth of those tries, at moments
/// of its own.
const VARIABLE: &str = "PROCBENCH_FAULTS";

/// Which part of the full counts is asked for, from 1, and of how many; `None` where few tries have to do.
fn part() -> Option<(u32, u32)> {
    let value = std::env::var(VARIABLE).ok()?;
    if value == "full" {
        return Some((1, 1));
    }
    let number = |text: &str| text.parse::<u32>().ok();
    let part = value.split_once('/').and_then(|(part, of)| Some((number(part)?, number(of)?)));
    let part = part.filter(|(part, of)| (1..=*of).contains(part));
    Some(part.unwrap_or_else(|| panic!("{VARIABLE} is {value}: expected full, or a part such as 3/8")))
}

/// Whether the full counts are asked for, or a part of them.
pub fn full() -> bool {
    part().is_some()
}

/// How often a fault is tried: `few` times, or `all` where that was asked for. Each part has one try at least.
pub fn times(few: u32, all: u32) -> u32 {
    let Some((part, of)) = part() else { return few };
    let up_to = |part: u32| (u64::from(all) * u64::from(part) / u64::from(of)) as u32;
    (up_to(part) - up_to(part - 1)).max(1)
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

/// Random moments, the same in each run of the test; those of one part of the full counts are not those of another.
pub struct Moments(u64);

impl Moments {
    pub fn new(seed: u64) -> Self {
        let (part, of) = part().unwrap_or((1, 1));
        Self(seed ^ u64::from(part - 1) << 32 ^ u64::from(of - 1) << 48)
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

    /// A time up to `longest`, as often near its beginning as near its end, and more often near either than in between.
    pub fn within(&mut self, longest: Duration) -> Duration {
        match self.below(2) {
            0 => self.up_to(longest),
            _ => longest - self.up_to(longest),
        }
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
