//! The cheapest process that is still a process of its own.
//!
//! What a fork costs is mostly the parent's doing: every mapping is copied, every page it has written is
//! marked and found again, and every page the child touches is a fault. A child whose task needs neither a
//! heap nor thread-local storage needs almost none of it. So, once, before the first fork:
//!
//! * every mapping but the program's code and constants, what the task names, and a stack made for the child is marked
//!   `MADV_DONTFORK`: it exists in the parent only. What the loader has filled in is replaced by shared pages (see
//!   `share_read_only` below, and `build.rs` for why there is little of it);
//! * the child gets a stack of its own that nobody has ever touched, so neither the parent's next call nor the
//!   child's first one copies a page;
//! * the C library's restartable sequence is unregistered: the kernel would write to the parent's
//!   thread-local storage in each child (and here kill it, since that memory is not there).
//!
//! The child is an ordinary process: own id, own address space, own exit status. It is *not* a thread and
//! shares no memory but what is shared anyway. The price is a rule that the type system can only help to keep: the
//! task must use its arguments, its stack, atomics in the mappings it named, and direct system calls
//! ([`super::raw`]), nothing else. If it breaks the rule, that one child dies of SIGSEGV and is reported.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use procfs::process::{MMPermissions, MemoryMap, MemoryPageFlags, PageInfo, Process};

#[cfg(not(rseq_symbols))]
use super::fork::has_loader;
use super::fork::{Pid, require_single_thread};
use super::memory::{Mapping, Visibility};
use super::raw;

/// What a lean child does.
///
/// `Copy + 'static` keeps out heaps and borrowed things by type. What remains is a promise: no allocation, no
/// thread-local storage (so no panic either), no writable static, no trait object, no call into a shared library.
pub trait LeanTask: Copy + Sync + 'static {
    /// Executes with two numbers of the caller's choice and returns the exit code.
    fn run(&self, first: u64, second: u64) -> i32;
}

/// A process prepared to fork lean children. It stays so: made for a runner that ends after its round.
pub struct LeanFork<T: LeanTask> {
    /// Where the `T` is. Shared, so that a fork has no page of it to mark for copying.
    task: usize,
    /// What it lies in, where that is memory of its own.
    task_mapping: Option<Mapping>,
    stack: Mapping,
    kind: std::marker::PhantomData<T>,
}

/// Pages of a child's stack.
const STACK_PAGES: usize = 16;

impl<T: LeanTask> LeanFork<T> {
    /// Prepares this process. `host` is shared memory that `task` uses, and in whose last page it is kept if it has room there:
    /// one mapping less for each fork to copy, and perhaps one page less for each child to find. `keep` are other mappings that
    /// children are to have besides the program itself.
    /// `Ok(None)` where this architecture or C library offers no way to do it.
    ///
    /// # Errors
    /// If this process has more than one thread, or memory cannot be had.
    pub fn prepare(task: T, host: &'static Mapping, keep: &[&Mapping]) -> io::Result<Option<Self>> {
        if !raw::AVAILABLE {
            return Ok(None);
        }
        require_single_thread()?;
        let (place, own_mapping) = match room_behind::<T>(host) {
            Some(place) => (place, None),
            None => {
                let mapping = Mapping::near_program(size_of::<T>(), Visibility::Shared)?;
                (mapping.address(), Some(mapping))
            }
        };
        let this = Self {
            task: place,
            task_mapping: own_mapping,
            stack: Mapping::near_program(STACK_PAGES * page_bytes(), Visibility::Private)?,
            kind: std::marker::PhantomData,
        };
        // SAFETY: the place is aligned, has room for a `T`, and is nobody else's: in a mapping of its own, or behind the bytes
        // that views of `host` lead to, in its last page. Both stay mapped as long as this value. `T: Copy` needs no
        // destructor.
        unsafe { (this.task as *mut T).write(task) };

        // Before the mappings are read, which it changes.
        let table = share_read_only();
        let Ok(maps) = Process::myself().and_then(|process| process.maps()) else { return Ok(None) };
        if !unregister_restartable_sequence() {
            return Ok(None);
        }
        let mut kept: Vec<(u64, u64)> =
            keep.iter().copied().chain([host, &this.stack]).chain(&this.task_mapping).map(span).collect();
        kept.extend(program(&maps.0, table));
        for map in &maps.0 {
            withhold(map.address, &kept);
        }
        // The lowest page of the child's stack is the parent's only: an overflow ends in SIGSEGV.
        withhold((this.stack.address() as u64, (this.stack.address() + page_bytes()) as u64), &[]);
        Ok(Some(this))
    }

    /// Starts a child that executes the task with `first` and `second` and leaves with the code it returns.
    ///
    /// # Errors
    /// What `clone` says: `EAGAIN` and `ENOMEM` where a limit is reached.
    #[inline]
    pub fn spawn(&self, first: u64, second: u64) -> io::Result<Pid> {
        let top = (self.stack.address() + self.stack.len()) & !15;
        // SAFETY: the flags ask for a process with memory of its own, so the child runs on its own copy of
        // the stack, which nothing else uses; `enter` never returns to it. `task` holds a valid `T`.
        let result = unsafe { clone_onto(top, enter::<T>, self.task, first, second) };
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

/// Where a `T` has room between the last byte of `host` and the end of its last page. Given away once only, whoever asks.
fn room_behind<T>(host: &Mapping) -> Option<usize> {
    static GIVEN: AtomicBool = AtomicBool::new(false);

    let start = (host.address() + host.len()).next_multiple_of(align_of::<T>());
    let end = host.address() + host.len().next_multiple_of(page_bytes());
    (start + size_of::<T>() <= end && !GIVEN.swap(true, Ordering::Relaxed)).then_some(start)
}

fn page_bytes() -> usize {
    procfs::page_size() as usize
}

fn span(mapping: &Mapping) -> (u64, u64) {
    (mapping.address() as u64, (mapping.address() + mapping.len()).next_multiple_of(page_bytes()) as u64)
}

/// What of this program a child needs: its code, its constants, and what is read-only after relocation, which is where one part of
/// it finds another (`table`). Where the latter could not be shared, all of the program's mappings are kept.
fn program(maps: &[MemoryMap], table: Option<(u64, u64)>) -> Vec<(u64, u64)> {
    // Anything that is not filled in.
    static CONSTANT: [u8; 16] = *b"lean child's own";
    let of_address =
        |address: usize| maps.iter().find(|map| (map.address.0..map.address.1).contains(&(address as u64)));
    let Some(code) = of_address(span as *const () as usize) else { return Vec::new() };
    match table {
        Some(table) => {
            let constants = of_address(CONSTANT.as_ptr() as usize).map(|map| map.address);
            [Some(code.address), constants, Some(table)].into_iter().flatten().collect()
        }
        None => {
            let of_program = maps.iter().filter(|map| map.pathname == code.pathname);
            of_program.map(|map| map.address).collect()
        }
    }
}

/// Has forks, of any kind, find what is read-only after relocation without a look at it. Returns where that lies, first page and behind
/// the last; `None` where it could not be done. What it takes, it takes once in a process.
///
/// Some of its pages were filled in before `main`, and since then all of them are this process's own: each fork has to copy their
/// page tables, of several hundred pages. They never change again, so they are replaced by equal ones that cost a fork nothing.
pub fn share_read_only() -> Option<(u64, u64)> {
    static SHARED: OnceLock<Option<(u64, u64)>> = OnceLock::new();
    *SHARED.get_or_init(|| {
        let table = read_only_after_relocation()?;
        let maps = Process::myself().and_then(|process| process.maps()).ok()?;
        // As long as nothing of it has been replaced, it is one mapping.
        let map = maps.0.iter().find(|map| map.address == table)?;
        lend(map).then_some(table)
    })
}

/// The pages, first and behind the last, that were made read-only after relocation.
fn read_only_after_relocation() -> Option<(u64, u64)> {
    /// Notes where they lie in the first object that is listed: the program itself.
    unsafe extern "C" fn note(info: *mut libc::dl_phdr_info, _: usize, found: *mut libc::c_void) -> i32 {
        // SAFETY: the C library passes a valid description, and `found` is the option below.
        let (info, found) = unsafe { (&*info, &mut *found.cast::<Option<(usize, usize)>>()) };
        // SAFETY: as many headers as it says are there, for as long as the program is.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let relro = headers.iter().find(|header| header.p_type == libc::PT_GNU_RELRO);
        *found = relro.map(|header| {
            let start = info.dlpi_addr as usize + header.p_vaddr as usize;
            (start, start + header.p_memsz as usize)
        });
        1
    }
    let mut found: Option<(usize, usize)> = None;
    // SAFETY: `note` is called before this returns, with the pointer to the live option, and does not unwind.
    unsafe { libc::dl_iterate_phdr(Some(note), std::ptr::from_mut(&mut found).cast()) };
    let whole = |address: usize| (address & !(page_bytes() - 1)) as u64;
    found.map(|(start, end)| (whole(start), whole(end)))
}

/// Replaces the pages of `map`, which lies in the program's file and which nobody will ever write again, by equal ones that a fork
/// need not look at: those that were filled in, and what lies between, by shared ones, the others by those of the file. False if
/// something of it is refused; what has been replaced by then is as good as before.
fn lend(map: &MemoryMap) -> bool {
    // After relocation the loader took the right to write; where it did not, somebody may still do so.
    if map.perms.contains(MMPermissions::WRITE) {
        return false;
    }
    let page = page_bytes();
    let (start, end) = (map.address.0 as usize, map.address.1 as usize);
    let (Ok(file), Ok(pages)) = (
        File::open("/proc/self/exe"),
        Process::myself()
            .and_then(|process| process.pagemap())
            .and_then(|mut pages| pages.get_range_info(start / page..end / page)),
    ) else {
        return false;
    };
    // From the first that was filled in to the last: the fewer mappings, the less a fork has to copy.
    let first = pages.iter().position(is_own).map_or(end, |place| start + place * page);
    let behind = pages.iter().rposition(is_own).map_or(end, |place| start + (place + 1) * page);
    let anew = |from: usize, to: usize| {
        from == to || map_anew(from, to - from, &file, map.offset as usize + (from - start))
    };
    anew(start, first) && (first == behind || share(first, behind - first)) && anew(behind, end)
}

/// Whether a page is no longer that of the file.
fn is_own(page: &PageInfo) -> bool {
    match page {
        PageInfo::MemoryPage(flags) => {
            flags.contains(MemoryPageFlags::PRESENT) && !flags.contains(MemoryPageFlags::FILE)
        }
        PageInfo::SwapPage(_) => true,
    }
}

/// Maps `len` bytes of `file` in the place of the same bytes at `start`. False if that is refused; then everything is as it was.
fn map_anew(start: usize, len: usize, file: &File, offset: usize) -> bool {
    let flags = (libc::MAP_PRIVATE | libc::MAP_FIXED) as usize;
    let descriptor = file.as_raw_fd() as usize;
    // SAFETY: the range is mapped from `offset` of this file, which cannot be written while it is executed, and was not changed
    // since: whoever reads it finds the same before and after.
    unsafe {
        raw::syscall(libc::SYS_mmap, [start, len, libc::PROT_READ as usize, flags, descriptor, offset])
            == start as isize
    }
}

/// Replaces `len` bytes of pages from `start`, which nobody will ever write again, by equal ones that are shared with
/// children. False if that is refused; then everything is as it was.
fn share(start: usize, len: usize) -> bool {
    let Ok(mut copy) = Mapping::new(len, Visibility::Shared) else { return false };
    // SAFETY: the range is mapped and readable, and nothing writes to it.
    copy.bytes_mut().copy_from_slice(unsafe { std::slice::from_raw_parts(start as *const u8, len) });
    let from = copy.address();
    std::mem::forget(copy);
    // SAFETY: `from` is a mapping of `len` bytes that nothing refers to any more. It takes the place of pages with the same
    // contents in one step, so whoever reads them finds the same before and after.
    unsafe {
        raw::syscall(libc::SYS_mprotect, [from, len, libc::PROT_READ as usize]);
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
        raw::syscall(libc::SYS_mremap, [from, len, len, flags, start]) == start as isize
    }
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

    let Some((offset, size)) = registered_sequence() else { return false };
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

/// Where, from the thread pointer, the C library has registered a restartable sequence, and of which size: 0 if it has not. `None`
/// where that cannot be found out.
#[cfg(rseq_symbols)]
fn registered_sequence() -> Option<(libc::ptrdiff_t, libc::c_uint)> {
    unsafe extern "C" {
        static __rseq_offset: libc::ptrdiff_t;
        static __rseq_size: libc::c_uint;
    }
    // SAFETY: constants of the C library, of the types that its header declares; `build.rs` has seen that they are there.
    unsafe { Some((__rseq_offset, __rseq_size)) }
}

/// As above; where the names were not there when this was built, they are looked up.
#[cfg(not(rseq_symbols))]
fn registered_sequence() -> Option<(libc::ptrdiff_t, libc::c_uint)> {
    // SAFETY: looks up names; both symbols, where they exist, are plain constants of the C library.
    let (offset, size) = unsafe {
        (
            libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_offset".as_ptr()).cast::<libc::ptrdiff_t>(),
            libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_size".as_ptr()).cast::<libc::c_uint>(),
        )
    };
    if offset.is_null() || size.is_null() {
        // A C library without it; or one linked in whole, in which names cannot be looked up.
        return has_loader().then_some((0, 0));
    }
    // SAFETY: the pointers are to initialised constants of the types that the C library's header declares.
    Some(unsafe { (*offset, *size) })
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
