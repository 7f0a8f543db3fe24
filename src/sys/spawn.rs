//! Starting another program: what `posix_spawn` does, and what it cannot be asked for.
//!
//! A child is made that shares this process's memory, while the thread that makes it stands still until the child has
//! become the other program (`CLONE_VM | CLONE_VFORK`): no page table is copied, so a large parent pays no more than a
//! small one. The C library's own `posix_spawn` works in the same way, but it cannot set `PR_SET_PDEATHSIG`, without
//! which a program would outlive a runner that is killed.
//!
//! Why that is sound, also where other threads go on running meanwhile:
//!
//! * the child has a stack of its own, which belongs to the [`Spawner`], and a spawner is used by one thread at a time;
//! * the thread that made it does not run until the child is gone from this memory, so whatever belongs to that thread
//!   (thread-local storage, the words it has prepared) has one user at a time;
//! * the child allocates nothing, takes no lock, cannot panic and calls nobody but the kernel, so it cannot meet another
//!   thread anywhere;
//! * all signals are blocked until the child has given up this program's handlers, so none of them runs in it. Handlers
//!   and the mask are the child's own (no `CLONE_SIGHAND`); file descriptors too (no `CLONE_FILES`).

use std::ffi::{CStr, c_char, c_void};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow};

use super::fork::Pid;
use super::memory::{Mapping, Visibility};
use super::raw;

/// The words of a command, as a program is given them: each ends with a zero byte.
#[derive(Debug, Default)]
pub struct Words {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Words {
    /// Forgets all words, but keeps the room they took.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }

    /// Begins a word, which [`Self::add`] makes longer.
    pub fn begin(&mut self) {
        self.starts.push(self.bytes.len());
        self.bytes.push(0);
    }

    /// Makes the last word longer. What follows a zero byte in `text` is lost to the program: callers refuse such texts.
    pub fn add(&mut self, text: &[u8]) {
        // In place of the zero byte that ends the word so far.
        self.bytes.pop();
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
    }

    /// All words, each with the zero byte that ends it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The last word that was begun.
    pub fn last(&self) -> &[u8] {
        self.starts.last().map_or(&[], |start| &self.bytes[*start..self.bytes.len() - 1])
    }
}

/// Where a program's standard streams lead: to files that are none of this process's standard streams themselves.
#[derive(Debug, Clone, Copy)]
pub struct Streams<'a> {
    /// Standard input.
    pub input: BorrowedFd<'a>,
    /// Standard output.
    pub output: BorrowedFd<'a>,
    /// Standard error.
    pub error: BorrowedFd<'a>,
}

/// Starts programs, one after another, for one thread.
#[derive(Debug)]
pub struct Spawner {
    stack: Mapping,
    null: File,
    parent: Pid,
    /// Signals whose handling programs must not inherit: those that this program handles or ignores.
    changed_signals: Vec<i32>,
    /// The limit on open files that programs are to have, where this process has raised its own.
    open_files: Option<libc::rlimit64>,
    pointers: Vec<*const c_char>,
}

/// Bytes of a child's stack: it needs a few hundred, and a build without optimisation some thousand.
const STACK_BYTES: usize = 64 << 10;

impl Spawner {
    /// A spawner for the calling process. `open_files` is the soft limit on open files that programs are to have.
    ///
    /// # Errors
    /// If memory or `/dev/null` cannot be had.
    pub fn new(open_files: Option<u64>) -> io::Result<Self> {
        let stack = Mapping::new(STACK_BYTES, Visibility::Private)?;
        let page = procfs::page_size() as usize;
        // SAFETY: the lowest page of the mapping just made, which nobody uses: an overflow ends in SIGSEGV.
        if unsafe { libc::mprotect(stack.address() as *mut c_void, page, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let hard = getrlimit(Resource::RLIMIT_NOFILE)?.1;
        Ok(Self {
            stack,
            null: File::options().read(true).write(true).open("/dev/null")?,
            parent: std::process::id() as Pid,
            changed_signals: changed_signals(),
            open_files: open_files.map(|soft| libc::rlimit64 { rlim_cur: soft, rlim_max: hard }),
            pointers: Vec::new(),
        })
    }

    /// What swallows everything and says nothing.
    pub fn null(&self) -> &File {
        &self.null
    }

    /// Starts the program in the file `program` with `words`, the first of which is what it takes for its own name, in
    /// this process's folder and with its environment, as the leader of a process group of its own. It is killed when
    /// the calling thread ends.
    ///
    /// # Errors
    /// What the kernel says; there is no child then.
    pub fn spawn(&mut self, program: &CStr, words: &Words, streams: Streams<'_>) -> io::Result<Pid> {
        self.take_words(words);
        let streams = [streams.input, streams.output, streams.error].map(|stream| stream.as_raw_fd());
        self.give_birth(program, As::Stranger { streams })
    }

    /// Starts this program anew with `words`, its own name first. It inherits the environment, the standard streams, every open
    /// file that is not marked otherwise and `handed_over`, however they are marked; it stays in the process group, and is
    /// killed when the calling thread ends.
    ///
    /// # Errors
    /// What the kernel says: `EAGAIN` and `ENOMEM` where a limit is reached. There is no child then.
    pub fn spawn_own_program(&mut self, words: &Words, handed_over: &[RawFd]) -> io::Result<Pid> {
        self.take_words(words);
        self.give_birth(c"/proc/self/exe", As::Own { handed_over })
    }

    fn take_words(&mut self, words: &Words) {
        self.pointers.clear();
        self.pointers.extend(words.starts.iter().map(|start| words.bytes[*start..].as_ptr().cast()));
        self.pointers.push(std::ptr::null());
    }

    /// Starts `program` with the words that were taken last, which the caller still has.
    fn give_birth(&mut self, program: &CStr, to_be: As<'_>) -> io::Result<Pid> {
        let birth = Birth {
            parent: self.parent,
            program: program.as_ptr(),
            words: self.pointers.as_ptr(),
            // SAFETY: reads the pointer to this process's environment, which nobody changes: procbench never does.
            environment: unsafe { libc::environ }.cast(),
            to_be,
            changed_signals: &self.changed_signals,
            open_files: self.open_files.as_ref(),
            failed: AtomicI32::new(0),
        };
        let mut mask = SigSet::empty();
        nix::sys::signal::pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut mask))?;
        // SAFETY: `born` runs on the mapped stack, which nobody else uses, and gets the address of `birth`, which outlives
        // the child's use of it: the kernel resumes this thread only when the child has left this memory.
        let pid = unsafe {
            libc::clone(
                born,
                (self.stack.address() + self.stack.len()) as *mut c_void,
                libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
                std::ptr::from_ref(&birth).cast_mut().cast(),
            )
        };
        let error = io::Error::last_os_error();
        nix::sys::signal::pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)?;
        if pid < 0 {
            return Err(error);
        }
        match birth.failed.load(Relaxed) {
            0 => Ok(pid),
            errno => {
                super::wait::wait(super::wait::Which::Only(pid))?;
                Err(io::Error::from_raw_os_error(errno))
            }
        }
    }
}

/// As what a program is started.
#[derive(Clone, Copy)]
enum As<'a> {
    /// As somebody else's: in a process group of its own, its standard streams given, with broken pipes as deadly
    /// as programs expect them to be.
    Stranger { streams: [RawFd; 3] },
    /// As this program: these files stay open in it.
    Own { handed_over: &'a [RawFd] },
}

/// What a child needs on its way to the other program, prepared by its parent.
struct Birth<'a> {
    parent: Pid,
    program: *const c_char,
    /// Ends with null, as the environment does.
    words: *const *const c_char,
    environment: *const *const c_char,
    to_be: As<'a>,
    changed_signals: &'a [i32],
    open_files: Option<&'a libc::rlimit64>,
    /// Left by the child: why it did not become the other program.
    failed: AtomicI32,
}

/// The exit code of a child that did not become the other program. Its parent reaps it, and reports the reason instead.
const NOT_BORN: i32 = 127;

extern "C" fn born(birth: *mut c_void) -> i32 {
    // SAFETY: `spawn` passes the address of a `Birth`, and stands still until this function has no more use for it.
    let birth = unsafe { &*birth.cast::<Birth<'_>>() };
    birth.failed.store(-become_program(birth) as i32, Relaxed);
    raw::exit(NOT_BORN)
}

/// Returns only if it fails, with the kernel's negative number.
#[inline(always)]
fn become_program(birth: &Birth<'_>) -> isize {
    /// The kernel's own form, all zero: default handling, no flags, nothing blocked.
    #[repr(C)]
    struct Action([usize; 4]);
    const DEFAULT: Action = Action([0; 4]);
    const SIGNAL_SET_BYTES: usize = 8;
    const NOTHING_BLOCKED: u64 = 0;
    let call = |number, arguments: [usize; 5]| {
        // SAFETY: below, every pointer leads to a constant or into `birth`, and is of the type that the call expects.
        unsafe { raw::syscall(number, arguments) }
    };

    super::fork::die_with(birth.parent);
    for signal in birth.changed_signals {
        if *signal == libc::SIGPIPE && matches!(birth.to_be, As::Own { .. }) {
            // This program has it ignored from the start.
            continue;
        }
        let action = std::ptr::from_ref(&DEFAULT) as usize;
        call(libc::SYS_rt_sigaction, [*signal as usize, action, 0, SIGNAL_SET_BYTES, 0]);
    }
    match birth.to_be {
        As::Own { handed_over } => {
            for file in handed_over {
                let kept = call(libc::SYS_fcntl, [*file as usize, libc::F_SETFD as usize, 0, 0, 0]);
                if kept < 0 {
                    return kept;
                }
            }
        }
        As::Stranger { streams } => {
            let grouped = call(libc::SYS_setpgid, [0; 5]);
            if grouped < 0 {
                return grouped;
            }
            if let Some(limit) = birth.open_files {
                let limit = std::ptr::from_ref(limit) as usize;
                call(libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE as usize, limit, 0, 0]);
            }
            // None of the three is a standard stream itself: those are taken while any other file is opened.
            for (stream, file) in streams.iter().enumerate() {
                let placed = call(libc::SYS_dup3, [*file as usize, stream, 0, 0, 0]);
                if placed < 0 {
                    return placed;
                }
            }
        }
    }
    let mask = std::ptr::from_ref(&NOTHING_BLOCKED) as usize;
    call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK as usize, mask, 0, SIGNAL_SET_BYTES, 0]);
    let (words, environment) = (birth.words as usize, birth.environment as usize);
    call(libc::SYS_execve, [birth.program as usize, words, environment, 0, 0])
}

/// Signals that are handled here, or that Rust's runtime has ignored: a program that is started expects a broken pipe to
/// end it. What the user has ignored (`nohup`) stays ignored.
fn changed_signals() -> Vec<i32> {
    let is_changed = |signal: &i32| {
        // SAFETY: an all-zero sigaction is valid, and the call only fills it in.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: nothing is set, and `action` is valid for the call to write.
        let known = unsafe { libc::sigaction(*signal, std::ptr::null(), &mut action) } == 0;
        let handled = action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN;
        known && (handled || *signal == libc::SIGPIPE)
    };
    (1..libc::SIGRTMAX()).filter(is_changed).collect()
}

/// Raises this process's limit on open files as far as it may, and returns what it was.
///
/// # Errors
/// What `getrlimit` says. A limit that cannot be raised is left as it is.
pub fn raise_open_files() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // Refused at worst, and then there are fewer.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    Ok(soft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::wait::{Exit, Which, wait};
    use std::os::fd::AsFd;

    fn words(all: &[&str]) -> Words {
        let mut words = Words::default();
        for word in all {
            words.begin();
            words.add(word.as_bytes());
        }
        words
    }

    fn run(program: &CStr, all: &[&str]) -> io::Result<Exit> {
        let mut spawner = Spawner::new(None)?;
        let null = spawner.null().try_clone()?;
        let streams = Streams { input: null.as_fd(), output: null.as_fd(), error: null.as_fd() };
        let pid = spawner.spawn(program, &words(all), streams)?;
        Ok(wait(Which::Only(pid))?.expect("a child").exit)
    }

    #[test]
    fn a_program_gets_its_words_and_its_end_is_told() {
        assert_eq!(run(c"/bin/sh", &["sh", "-c", "exit $#", "sh", "a", "", "b c"]).unwrap(), Exit::Code(3));
        assert_eq!(run(c"/bin/sh", &["sh", "-c", "kill -SEGV $$"]).unwrap(), Exit::Signal(libc::SIGSEGV));
    }

    #[test]
    fn a_program_leads_a_group_and_inherits_neither_mask_nor_ignored_pipes() {
        let script = "set -- $(cut -d ' ' -f 5 /proc/$$/stat); test $1 = $$";
        assert_eq!(run(c"/bin/sh", &["sh", "-c", script]).unwrap(), Exit::Code(0));
        // Of itself: a shell blocks signals while it starts a program, and whoever looks at it then sees those.
        let is_there = |line: &str| run(c"/bin/grep", &["grep", "-q", line, "/proc/self/status"]).unwrap();
        assert_eq!(is_there("^SigBlk:.0*$"), Exit::Code(0));
        assert_eq!(is_there("^SigIgn:.*[13579bdf]...$"), Exit::Code(1));
    }

    #[test]
    fn a_program_that_cannot_be_started_is_an_error_and_no_child() {
        let error = run(c"/nowhere/at/all", &["all"]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        let error = run(c"/", &["all"]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EACCES));
    }

    #[test]
    fn many_threads_may_start_programs_at_once() {
        std::thread::scope(|scope| {
            for code in 0..8 {
                scope.spawn(move || {
                    for _ in 0..20 {
                        let exit = run(c"/bin/sh", &["sh", "-c", &format!("exit {code}")]).unwrap();
                        assert_eq!(exit, Exit::Code(code));
                    }
                });
            }
        });
    }
}
