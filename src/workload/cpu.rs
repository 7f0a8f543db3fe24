//! CPU work: a number of iterations, calibrated to time.
//!
//! Work is never "spin until a deadline": when more processes run than there are cores, a deadline passes by
//! itself, and the more a mode oversubscribes the machine the less it would have to do.

use std::hint::black_box;
use std::time::Duration;

use crate::sys::clock;

/// Does `units` units of work. One unit is a shift, an exclusive-or and a multiplication, each waiting for the one
/// before. Mixing the three keeps compilers from folding steps together, as they do with a linear generator, and no
/// processor can skip any.
///
/// Never inlined: wherever it is called from, calibration and all modes execute the same instructions.
#[inline(never)]
pub fn burn(units: u64) {
    let mut state = black_box(0x853c_49e6_748f_ea9b_u64);
    for _ in 0..units {
        state = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    black_box(state);
}

/// Units per second of this machine's cores while nothing else slows them: the best of several runs, on the
/// thread's own CPU clock, so that being preempted does not count.
pub fn calibrate() -> f64 {
    const RUNS: usize = 15;
    const LEAST: Duration = Duration::from_millis(4);

    let mut units = 1 << 16;
    loop {
        let time = time(units);
        if time >= LEAST.as_nanos() as u64 {
            break;
        }
        units *= 2;
    }
    let best = (0..RUNS).map(|_| time(units)).min().unwrap_or(1).max(1);
    units as f64 / (best as f64 * 1e-9)
}

fn time(units: u64) -> u64 {
    let start = clock::thread_cpu_nanoseconds();
    burn(units);
    clock::thread_cpu_nanoseconds() - start
}

/// How many units take `seconds` at `units_per_second`, to the nearest.
pub fn units_for(seconds: f64, units_per_second: f64) -> u64 {
    (seconds * units_per_second).round() as u64
}
