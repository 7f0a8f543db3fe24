//! The cheapest process that is still a process of its own.
//!
//! What a fork costs is mostly the parent's doing: every mapping is copied, every page it has written is
//! marked and found again, and every page the child touches is a fault. A child whose task needs neither a
//! heap nor thread-local storage needs almost none of it. So, once, before the first fork:
//!
//! * every mapping but the program itself, what the task names, and a stack made for the child is marked
//!   `MADV_DONTFORK`: it exists in the parent only;
//! * the child gets a stack of its own that nobody has ever touched, so neither the parent's next call nor the
//!   child's first one copies a page;
//! * the C library's restartable sequence is unregistered: the kernel would write to the parent's
//!   thread-local storage in each child (and here kill it, since that memory is not there).
//!
//! The child is an ordinary process: own id, own address space, own exit status. It is *not* a thread and
//! shares no memory but what is shared anyway. The price is a rule that the type system can only help to keep: the
//! task must use its arguments, its stack, atomics in the mappings it named, and direct system calls
//! ([`super::raw`]), nothing else. If it breaks the rule, that one child dies of SIGSEGV and is reported.

use std::io;

use procfs::process::{MMapPath, MemoryMap, Process};

use super::fork::{Pid, require_single_thread};
use super::memory::{Mapping, Visibility};
use super::raw;

/// What a lean child does.
///
/// `Copy + 'static` keeps out heaps and borrowed things by type. What remains is a promise: no allocation, no
/// thread-local storage (so no panic either), no call into the C library unless [`Needs::CLibrary`] says so.
pub trait LeanTask: Copy + Sync + 'static {
    /// Executes with two numbers of the caller's choice and returns the exit code.
    fn run(&self, first: u64, second: u64) -> i32;
}

/// What a lean child calls besides the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    KernelOnly,
    /// Functions of the C library without state, such as `memcpy`.
    CLibrary,
}

/// A process prepared to fork lean children. It stays so: made for a runner that ends after its round.
pub struct LeanFork<T: LeanTask> {
    /// Holds the `T`. Shared, so that a fork has no page of it to mark for copying.
    task: Mapping,
    stack: Mapping,
    kind: std::marker::PhantomData<T>,
}

const PAGE: usize = 4096;
const STACK: usize = 64 * 1024;

impl<T: LeanTask> LeanFork<T> {
    /// Prepares this process; `keep` are the mappings that `task` uses besides the program itself.
    /// `Ok(None)` where this architecture or C library offers no way to do it.
    ///
    /// # Errors
    /// If this process has more than one thread, or memory cannot be had.
    pub fn prepare(task: T, keep: &[&Mapping], needs: Needs) -> io::Result<Option<Self>> {
        if !raw::AVAILABLE {
            return Ok(None);
        }
        require_single_thread()?;
        let this = Self {
            task: Mapping::new(size_of::<T>(), Visibility::Shared)?,
            stack: Mapping::new(STACK, Visibility::Private)?,
            kind: std::marker::PhantomData,
        };
        // SAFETY: the mapping is at least as large as a `T`, page-aligned, and nobody else's; `T: Copy`
        // needs no destructor.
        unsafe { (this.task.address() as *mut T).write(task) };

        let Ok(maps) = Process::myself().and_then(|process| process.maps()) else { return Ok(None) };
        if !unregister_restartable_sequence() {
            return Ok(None);
        }
        let mut kept: Vec<(u64, u64)> =
            keep.iter().copied().chain([&this.task, &this.stack]).map(span).collect();
        kept.extend(program(&maps.0, needs));
        for map in &maps.0 {
            if matches!(map.pathname, MMapPath::Vsyscall | MMapPath::Vvar | MMapPath::Vdso) {
                continue;
            }
            withhold(map.address, &kept);
        }
        // The lowest page of the child's stack is the parent's only: an overflow ends in SIGSEGV.
        withhold((this.stack.address() as u64, (this.stack.address() + PAGE) as u64), &[]);
        Ok(Some(this))
    }

    /// Starts a child that executes the task with `first` and `second` and leaves with the code it returns.
    ///
    /// # Errors
    /// What `clone` says: `EAGAIN` and `ENOMEM` where a limit is reached.
    #[inline]
    pub fn spawn(&self, first: u64, second: u64) -> io::Result<Pid> {
        let top = (self.stack.address() + STACK) & !15;
        // SAFETY: the flags ask for a process with memory of its own, so the child runs on its own copy of
        // the stack, which nothing else uses; `enter` never returns to it. `task` holds a valid `T`.
        let result = unsafe { clone_onto(top, enter::<T>, self.task.address(), first, second) };
        if result < 0 { Err(io::Error::from_raw_os_error(-result as i32)) } else { Ok(result as Pid) }
    }
}

extern "C" fn enter<T: LeanTask>(task: usize, first: u64, second: u64) -> ! {
    // SAFETY: `prepare` wrote a `T` here, and nothing has changed it since.
    let task = unsafe { &*(task as *const T) };
    raw::exit(task.run(first, second))
}

type Entry = extern "C" fn(usize, u64, u64) -> !;

/// # Safety
/// `stack` must be the 16-byte-aligned end of a private mapping that no one else uses as a stack.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn clone_onto(stack: usize, entry: Entry, task: usize, first: u64, second: u64) -> isize {
    let result: isize;
    // SAFETY: in the parent this is a plain system call. The child sees the same registers but the stack
    // pointer, calls `entry` with the arguments kept in them, and never comes back.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "mov rsi, r13",
            "mov rdx, r14",
            "call r15",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone as isize => result,
            in("rdi") libc::SIGCHLD as usize, in("rsi") stack, in("rdx") 0usize, in("r10") 0usize, in("r8") 0usize,
            in("r12") task, in("r13") first, in("r14") second, in("r15") entry,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// # Safety
/// `stack` must be the 16-byte-aligned end of a private mapping that no one else uses as a stack.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn clone_onto(stack: usize, entry: Entry, task: usize, first: u64, second: u64) -> isize {
    let result: isize;
    // SAFETY: as on x86-64.
    unsafe {
        core::arch::asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x20",
            "mov x1, x21",
            "mov x2, x22",
            "blr x23",
            "brk #1",
            "2:",
            inlateout("x0") libc::SIGCHLD as isize => result,
            in("x1") stack, in("x2") 0usize, in("x3") 0usize, in("x4") 0usize, in("x8") libc::SYS_clone,
            in("x20") task, in("x21") first, in("x22") second, in("x23") entry,
        );
    }
    result
}

/// # Safety
/// None to keep: it only fails.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn clone_onto(_: usize, _: Entry, _: usize, _: u64, _: u64) -> isize {
    -(libc::ENOSYS as isize)
}

fn span(mapping: &Mapping) -> (u64, u64) {
    (mapping.address() as u64, (mapping.address() + mapping.len()).next_multiple_of(PAGE) as u64)
}

/// The mappings of this program's file, and of the C library's where they are needed. The anonymous piece
/// right behind a file's mappings is its zeroed data.
fn program(maps: &[MemoryMap], needs: Needs) -> Vec<(u64, u64)> {
    let holding = |address: usize| {
        maps.iter()
            .find(|map| (map.address.0..map.address.1).contains(&(address as u64)))
            .map(|map| map.pathname.clone())
    };
    let mut files = vec![holding(span as *const () as usize)];
    if needs == Needs::CLibrary {
        files.push(holding(libc::memcpy as *const () as usize));
    }
    let mut kept: Vec<(u64, u64)> = Vec::new();
    for map in maps {
        let of_file =
            matches!(map.pathname, MMapPath::Path(_)) && files.contains(&Some(map.pathname.clone()));
        let zeroed_data =
            map.pathname == MMapPath::Anonymous && kept.last().is_some_and(|last| last.1 == map.address.0);
        if of_file || zeroed_data {
            kept.push(map.address);
        }
    }
    kept
}

/// Marks what of `range` lies outside `kept` as the parent's only.
fn withhold(range: (u64, u64), kept: &[(u64, u64)]) {
    let mut inside: Vec<_> = kept.iter().filter(|span| span.0 < range.1 && range.0 < span.1).collect();
    inside.sort_unstable();
    let mut from = range.0;
    for &&(start, end) in &inside {
        advise(from, start);
        from = from.max(end);
    }
    advise(from, range.1);

    fn advise(from: u64, to: u64) {
        if from < to {
            // SAFETY: this changes nothing in this process, whatever lies there; where it is refused the
            // mapping is inherited, which costs time and nothing else.
            unsafe { libc::madvise(from as *mut libc::c_void, (to - from) as usize, libc::MADV_DONTFORK) };
        }
    }
}

/// Unregisters the C library's restartable sequence of this thread. False if there may be one and it could not be
/// unregistered. Afterwards the library asks the kernel where it would have read the sequence: slower by
/// nanoseconds, and used by nothing here.
fn unregister_restartable_sequence() -> bool {
    const UNREGISTER: usize = 1;
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    const SIGNATURE: usize = 0x5305_3053;
    #[cfg(target_arch = "aarch64")]
    const SIGNATURE: usize = 0xd428_bc00;
    #[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
    const SIGNATURE: usize = 0;

    // SAFETY: looks up names; both symbols, where they exist, are plain constants of the C library.
    let (offset, size) = unsafe {
        (
            libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_offset".as_ptr()).cast::<libc::ptrdiff_t>(),
            libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_size".as_ptr()).cast::<libc::c_uint>(),
        )
    };
    if offset.is_null() || size.is_null() {
        return true; // A C library without it, or one linked in whole; the test child will tell.
    }
    // SAFETY: the pointers are to initialised constants of the types that the C library's header declares.
    let (offset, size) = unsafe { (*offset, *size) };
    if size == 0 {
        return true;
    }
    let area = thread_pointer().wrapping_add_signed(offset);
    // The kernel wants the length that was registered: 32, or what the library aligned its size to.
    [32, (size as usize).next_multiple_of(32)].into_iter().any(|len| {
        // SAFETY: asks the kernel to forget the area; it refuses if anything does not match.
        unsafe { raw::syscall(libc::SYS_rseq, [area, len, UNREGISTER, SIGNATURE, 0]) == 0 }
    })
}

#[cfg(target_arch = "x86_64")]
fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: reads the thread control block's pointer to itself, which the ABI guarantees.
    unsafe { core::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, readonly)) };
    pointer
}

#[cfg(target_arch = "aarch64")]
fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, nomem)) };
    pointer
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn thread_pointer() -> usize {
    0
}
