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

/// Takes a core for the thread that calls this, which begins: its bit in `word`, which has 64 cores each and is all zeroes at first. Where
/// nothing is known of cores, or all are taken, it stays where it is.
pub(super) fn take<'a>(word: impl Fn(usize) -> Option<&'a AtomicU64>) {
    let claim = |core: usize| {
        let bit = 1 << (core % 64);
        word(core / 64).is_some_and(|word| word.fetch_or(bit, Relaxed) & bit == 0)
    };
    if sched_getcpu().is_ok_and(claim) {
        return;
    }
    let this = Pid::from_raw(0);
    let Ok(allowed) = sched_getaffinity(this) else { return };
    let is_free = |core: &usize| allowed.is_set(*core).unwrap_or(false) && claim(*core);
    let Some(free) = (0..CpuSet::count()).find(is_free) else { return };
    let mut alone = CpuSet::new();
    // From the moment that it is there it may be anywhere again.
    if alone.set(free).is_ok() && sched_setaffinity(this, &alone).is_ok() {
        let _ = sched_setaffinity(this, &allowed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memory::{SharedSlice, Visibility};

    #[test]
    fn as_many_as_there_are_cores_begin_apart_and_nobody_is_bound() {
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this).unwrap();
        let cores = (0..CpuSet::count()).filter(|core| before.is_set(*core).unwrap());
        let words: SharedSlice<AtomicU64> = SharedSlice::new(WORDS, Visibility::Private).unwrap();
        let mut taken = vec![0; WORDS];
        cores.clone().for_each(|core| taken[core / 64] |= 1 << (core % 64));
        // One more than there are: the last stays where it is.
        for number in 1..=cores.count() + 1 {
            take(|word| words.get(word));
            let bits: u32 = words.iter().map(|word| word.load(Relaxed).count_ones()).sum();
            assert!(bits as usize == number || number > 1 && bits as usize == number - 1);
        }
        assert_eq!(words.iter().map(|word| word.load(Relaxed)).collect::<Vec<u64>>(), taken);
        assert_eq!(sched_getaffinity(this).unwrap(), before);
    }
}
