//! Code that runs before Rust's own runtime has begun.
//!
//! Before `main`, that runtime finds out where the stack lies, which the C library does by reading `/proc/self/maps`, and
//! prepares a second one for reports of overflows. A program that is started for one small task, thousands of times, pays
//! more for that than for the task. The C library calls what is listed in `.init_array` before it gives way to the
//! runtime; GNU's hands over the command line too. Elsewhere nothing is listed, and `main` does the same a little later.

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// Has the process live `$life`, a `fn(&[&OsStr]) -> i32`, in place of `main` if `$word` (a `&CStr`) is its first argument.
/// It is told the arguments that follow; what it returns is the exit code.
macro_rules! instead_of_main {
    ($word:expr, $life:expr) => {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        const _: () = {
            extern "C" fn begin(count: std::ffi::c_int, words: *const *const std::ffi::c_char) {
                $crate::sys::early::divert(count, words, $word, $life);
                $crate::sys::early::require_room();
            }
            #[allow(unsafe_code)] // Whatever is in this section is called: by the C library, as it calls what is above.
            #[used]
            #[unsafe(link_section = ".init_array")]
            static BEGIN: extern "C" fn(std::ffi::c_int, *const *const std::ffi::c_char) = begin;
        };
    };
}
pub(crate) use instead_of_main;

/// Does not return if `word` is the first argument. For [`instead_of_main`] only: `words` is what the C library said.
#[doc(hidden)]
pub(crate) fn divert(count: c_int, words: *const *const c_char, word: &CStr, life: fn(&[&OsStr]) -> i32) {
    let Ok(count) = usize::try_from(count) else { return };
    if count < 2 {
        return;
    }
    // SAFETY: the C library hands over `count` pointers to strings, none of which is null, and all of which live as long
    // as the process.
    let at = |place: usize| unsafe { CStr::from_ptr(*words.add(place)) };
    if at(1) != word {
        return;
    }
    let words: Vec<&OsStr> = (2..count).map(|place| OsStr::from_bytes(at(place).to_bytes())).collect();
    let code = life(&words);
    // SAFETY: ends the process; nothing is open that would have to be written out.
    unsafe { libc::_exit(code) }
}

/// Ends the process with an error that names the limit if there is no room for as much memory as Rust's runtime takes before `main`: it would
/// end it by a signal. For [`instead_of_main`] only.
#[doc(hidden)]
pub(crate) fn require_room() {
    const ROOM: usize = 1 << 20;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call fills in what it is given.
    let is_known = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } == 0;
    if !is_known || limit.rlim_cur == libc::RLIM_INFINITY {
        return;
    }
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: new memory, which nobody is told of and which is given back at once.
    let has_room = unsafe {
        let room = libc::mmap(std::ptr::null_mut(), ROOM, protection, flags, -1, 0);
        room != libc::MAP_FAILED && libc::munmap(room, ROOM) == 0
    };
    if has_room {
        return;
    }
    // On the stack: there may be no room for anything else.
    let mut text = [0; 128];
    let room = text.len();
    let mut rest = &mut text[..];
    let _ =
        writeln!(rest, "error: too little memory to begin with: RLIMIT_AS is {} (ulimit -v)", limit.rlim_cur);
    let length = room - rest.len();
    // SAFETY: `text` has as many bytes.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), length) };
    super::raw::exit(crate::exit::LIMIT)
}
