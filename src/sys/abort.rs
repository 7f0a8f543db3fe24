//! Being aborted: how Rust ends a process that asks for memory and gets none, when it is too late to return an error.

use std::io;

/// Has this process say `message` on standard error and exit with `code` when it is aborted. Processes that it forks are aborted as
/// ever, so that whoever waits for them sees the signal.
///
/// # Errors
/// If the kernel refuses.
pub fn tell_if_aborted(message: &str, code: i32) -> io::Result<()> {
    let message = format!("{message}\n").into_bytes();
    let own = std::process::id();
    let action = move || {
        if std::process::id() == own {
            // SAFETY: the bytes are there. Whether they can be written changes nothing.
            unsafe { libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len()) };
            signal_hook::low_level::exit(code);
        }
        // It does not return, or `abort` itself sees to the end.
        let _ = signal_hook::low_level::emulate_default_handler(libc::SIGABRT);
    };
    // SAFETY: what it does is async-signal-safe: it calls `getpid`, `write`, `_exit` and what is made for handlers, and reads
    // memory that is there as long as the process.
    unsafe { signal_hook::low_level::register(libc::SIGABRT, action) }.map(drop)
}
