//! Workers begin on cores of their own.
//!
//! Two that the kernel has put onto one core stay there for some turns of its clock, 4 ms each, while another core does nothing: it looks
//! for work to take over only now and then, and finds none worth taking. Of rounds of 20 ms on two cores a third took up to twice as
//! long. So whoever begins on a core that another worker has begun on moves to one that nobody has, if there is one; it is not bound to
//! it, and the kernel may move it on from there as any other process.

use std::sync::atomic::Ordering::Relaxed;

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

use crate::sys::atomic::AtomicU64;

/// Words that have a bit for each core that a set of the kernel's has.
pub(super) const WORDS: usize = CpuSet::count().div_ceil(64);

/// Whether it is worth a move, which takes some tens of microseconds, that `workers` who share `tasks` of `task_seconds` each do not get
/// in each other's way: where there is less to do for each, they are done before it is.
pub(super) fn pay_off(workers: u64, tasks: u64, task_seconds: f64) -> bool {
    const LEAST_SECONDS_EACH: f64 = 1e-3;
    tasks as f64 * task_seconds >= LEAST_SECONDS_EACH * workers as f64
}

/// Takes a core for the thread that calls this, which begins: its bit in `word`, which has 64 cores each and is all zeroes at first. Where
/// nothing is known of cores, or all are taken, it stays where it is; so it does where there are fewer `workers` than cores: the kernel has
/// better ones to choose from then than the next free, which may be the other half of one that is at work. Returns the core to which it has moved, if it has.
pub(super) fn take<'a>(workers: usize, word: impl Fn(usize) -> Option<&'a AtomicU64>) -> Option<usize> {
    let claim = |core: usize| {
        let bit = 1 << (core % 64);
        word(core / 64).is_some_and(|word| word.fetch_or(bit, Relaxed) & bit == 0)
    };
    if sched_getcpu().is_ok_and(claim) {
        return None;
    }
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).ok()?;
    let cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false)).count();
    if workers < cores {
        return None;
    }
    let is_free = |core: &usize| allowed.is_set(*core).unwrap_or(false) && claim(*core);
    let free = (0..CpuSet::count()).find(is_free)?;
    let mut alone = CpuSet::new();
    alone.set(free).and_then(|()| sched_setaffinity(this, &alone)).ok()?;
    let moved_to = sched_getcpu().ok();
    // From the moment that it is there it may be anywhere again. Where what was allowed has become another set meanwhile, the kernel takes of
    // all cores those that are.
    if sched_setaffinity(this, &allowed).is_err() {
        let mut all = CpuSet::new();
        for core in 0..CpuSet::count() {
            let _ = all.set(core);
        }
        let _ = sched_setaffinity(this, &all);
    }
    moved_to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memory::{SharedSlice, Visibility};

    fn allowed() -> Vec<usize> {
        let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
        (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap()).collect()
    }

    fn words() -> SharedSlice<AtomicU64> {
        SharedSlice::new(WORDS, Visibility::Private).unwrap()
    }

    fn taken(words: &SharedSlice<AtomicU64>) -> Vec<usize> {
        (0..CpuSet::count()).filter(|core| words[core / 64].load(Relaxed) >> (core % 64) & 1 == 1).collect()
    }

    #[test]
    fn who_has_hardly_anything_to_do_stays_where_it_is() {
        assert!(!pay_off(2, 1000, 5e-9), "some microseconds of work");
        assert!(pay_off(2, 10_000_000, 5e-9) && pay_off(4, 200, 25e-6));
        assert!(!pay_off(5, 200, 20e-6));
    }

    #[test]
    fn as_many_as_there_are_cores_begin_apart_and_nobody_is_bound() {
        let (before, words) = (allowed(), words());
        for number in 1..=before.len() {
            take(before.len(), |word| words.get(word));
            assert_eq!(taken(&words).len(), number);
        }
        assert_eq!(taken(&words), before);
        assert_eq!(take(before.len(), |word| words.get(word)), None, "all are taken");
        assert_eq!(allowed(), before);
    }

    #[test]
    fn whoever_begins_where_another_has_begun_moves_to_the_core_that_is_free() {
        let before = allowed();
        let Some(free) = before.last().copied().filter(|_| before.len() > 1) else {
            let text = "SKIPPED: whoever_begins_where_another_has_begun: there is one core\n";
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
            return assert!(std::env::var("PROCBENCH_SKIPS").as_deref() != Ok("fail"), "{text}");
        };
        // It may happen to be there already.
        let moved = (0..1000).find_map(|_| {
            let words = words();
            for core in before.iter().filter(|core| **core != free) {
                words[core / 64].fetch_or(1 << (core % 64), Relaxed);
            }
            let moved = take(before.len(), |word| words.get(word));
            assert_eq!(taken(&words), before);
            moved.or_else(|| {
                std::thread::yield_now();
                let mut elsewhere = CpuSet::new();
                elsewhere.set(before[0]).unwrap();
                let mut all = CpuSet::new();
                before.iter().for_each(|core| all.set(*core).unwrap());
                let this = Pid::from_raw(0);
                sched_setaffinity(this, &elsewhere).and_then(|()| sched_setaffinity(this, &all)).unwrap();
                None
            })
        });
        assert_eq!(moved, Some(free));
        assert_eq!(allowed(), before);
    }
}
