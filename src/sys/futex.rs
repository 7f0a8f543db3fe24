//! Sleeping on a word in shared memory until another process says that it changed.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::raw;

/// The half of `word` that the kernel compares: its low 32 bits.
fn low_half(word: &AtomicU64) -> usize {
    let start = std::ptr::from_ref(word) as usize;
    if cfg!(target_endian = "little") { start } else { start + 4 }
}

/// Sleeps while the low 32 bits of `word` are `seen`, at most `timeout`. May return early: look again.
pub fn wait(word: &AtomicU64, seen: u32, timeout: Duration) {
    #[cfg(test)]
    if super::atomic::reordered::is_on() {
        // Every wait ends by itself some time.
        return super::atomic::reordered::give_way();
    }
    let limit = libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    };
    // SAFETY: the address is that of a live, aligned word; the timeout is only read. The operation is
    // the one for memory shared between processes.
    unsafe {
        raw::syscall(
            libc::SYS_futex,
            [
                low_half(word),
                libc::FUTEX_WAIT as usize,
                seen as usize,
                std::ptr::from_ref(&limit) as usize,
                0,
            ],
        )
    };
}

/// Wakes everyone who sleeps on `word`.
pub fn wake_all(word: &AtomicU64) {
    // SAFETY: the address is that of a live, aligned word, which the kernel does not even read.
    unsafe {
        raw::syscall(libc::SYS_futex, [low_half(word), libc::FUTEX_WAKE as usize, i32::MAX as usize, 0, 0])
    };
}
