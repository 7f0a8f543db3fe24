//! System calls made directly, for children that must not touch the C library.
//!
//! A lean child (see [`super::lean`]) has neither thread-local storage nor a heap, so it cannot go through
//! wrappers that set `errno`. These calls return the kernel's own value: negative is `-errno`.

/// Whether this architecture's calls are written below. Without them children are forked by the C library.
pub const AVAILABLE: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// Makes system call `number` with up to six arguments; those that are not given are 0.
///
/// # Safety
/// The arguments must be what that call expects; pointers must be valid for what the kernel does with them.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub unsafe fn syscall<const N: usize>(number: libc::c_long, args: [usize; N]) -> isize {
    let args = six(args);
    let result: isize;
    // SAFETY: the kernel clobbers rax, rcx and r11 only; memory effects are the caller's promise.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2], in("r10") args[3], in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result
}

/// Makes system call `number` with up to six arguments; those that are not given are 0.
///
/// # Safety
/// The arguments must be what that call expects; pointers must be valid for what the kernel does with them.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub unsafe fn syscall<const N: usize>(number: libc::c_long, args: [usize; N]) -> isize {
    let args = six(args);
    let result: isize;
    // SAFETY: the kernel clobbers x0 only; memory effects are the caller's promise.
    unsafe {
        core::arch::asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") args[0] as isize => result,
            in("x1") args[1], in("x2") args[2], in("x3") args[3], in("x4") args[4], in("x5") args[5],
            options(nostack)
        );
    }
    result
}

/// Makes system call `number` with up to six arguments, through the C library.
///
/// # Safety
/// The arguments must be what that call expects; pointers must be valid for what the kernel does with them.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
pub unsafe fn syscall<const N: usize>(number: libc::c_long, args: [usize; N]) -> isize {
    let args = six(args);
    // SAFETY: as promised by the caller.
    let result =
        unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]) } as isize;
    if result < 0 {
        -(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL) as isize)
    } else {
        result
    }
}

#[inline(always)]
const fn six<const N: usize>(args: [usize; N]) -> [usize; 6] {
    let mut all = [0; 6];
    let mut place = 0;
    while place < N {
        all[place] = args[place];
        place += 1;
    }
    all
}

/// Leaves the process at once: no destructors, no exit handlers, no flushing.
#[inline(always)]
pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: takes an integer and does not return.
        unsafe { syscall(libc::SYS_exit_group, [code as usize]) };
    }
}

/// The calling process's parent.
#[inline(always)]
pub fn parent_pid() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { syscall(libc::SYS_getppid, []) as i32 }
}

/// Nanoseconds on `CLOCK_MONOTONIC`: comparable between all processes of one machine.
#[inline(always)]
pub fn monotonic_nanoseconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec for the kernel to fill; the clock always exists.
    unsafe {
        syscall(
            libc::SYS_clock_gettime,
            [libc::CLOCK_MONOTONIC as usize, std::ptr::from_mut(&mut now) as usize],
        )
    };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Touches every page of `size` fresh private bytes, calls `action` while they are held, and gives them back. `None` if they
/// cannot be had; then nothing is called.
#[inline(always)]
pub fn while_holding<R>(size: usize, action: impl FnOnce() -> R) -> Option<R> {
    const PAGE: usize = 4096;
    // SAFETY: asks for a fresh anonymous mapping at an address of the kernel's choice.
    let start = unsafe {
        syscall(
            libc::SYS_mmap,
            [
                0,
                size,
                (libc::PROT_READ | libc::PROT_WRITE) as usize,
                (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize,
                usize::MAX,
            ],
        )
    };
    if (-4095..0).contains(&start) {
        return None;
    }
    let mut at = 0;
    while at < size {
        // SAFETY: within the mapping just made, which nobody else knows of.
        unsafe { std::ptr::write_volatile((start as usize + at) as *mut u8, 1) };
        at += PAGE;
    }
    let result = action();
    // SAFETY: exactly the mapping made above, to which no reference is left.
    unsafe { syscall(libc::SYS_munmap, [start as usize, size]) };
    Some(result)
}

/// Sleeps until `CLOCK_MONOTONIC` reads `deadline` nanoseconds, through interruptions.
#[inline(always)]
pub fn sleep_until(deadline: u64) {
    let until = libc::timespec {
        tv_sec: (deadline / 1_000_000_000) as libc::time_t,
        tv_nsec: (deadline % 1_000_000_000) as libc::c_long,
    };
    loop {
        // SAFETY: `until` is a valid timespec that the kernel only reads; no remainder is asked for.
        let result = unsafe {
            syscall(
                libc::SYS_clock_nanosleep,
                [
                    libc::CLOCK_MONOTONIC as usize,
                    libc::TIMER_ABSTIME as usize,
                    std::ptr::from_ref(&until) as usize,
                ],
            )
        };
        if result != -(libc::EINTR as isize) {
            return;
        }
    }
}
