//! What the kernel means when it says that there is not enough: which limits it may be about, and what they are.

use std::io;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::limits::{LimitKind, Limits};

/// `error`, with the limits that it may be about and their values, where it is about a limit.
pub fn explained(error: &io::Error) -> String {
    match error.raw_os_error().map(limits_behind) {
        Some(limits) if !limits.is_empty() => format!("{error}; {}", limits.join(", ")),
        _ => error.to_string(),
    }
}

/// Whether the kernel says with `errno` that there is not enough of something.
pub fn is_shortage(errno: i32) -> bool {
    matches!(
        errno,
        libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::EFBIG | libc::ENOSPC | libc::EDQUOT
    )
}

/// The shortage that `error` comes from, with the limits behind it, if it does.
pub fn behind(error: &anyhow::Error) -> Option<String> {
    let causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    let shortage = causes.filter_map(io::Error::raw_os_error).find(|errno| is_shortage(*errno))?;
    let limits = limits_behind(shortage);
    Some(if limits.is_empty() { format!("{error:#}") } else { format!("{error:#}; {}", limits.join(", ")) })
}

/// Each limit that the kernel may mean by `errno`, with its value.
fn limits_behind(errno: i32) -> Vec<String> {
    let own = |name: &str, resource| {
        let (soft, _) = getrlimit(resource).ok()?;
        (soft != RLIM_INFINITY).then(|| format!("{name} is {soft}"))
    };
    let of_machine = |kind: LimitKind| {
        let all = Limits::read().all.into_iter().filter(move |limit| limit.kind == kind);
        all.map(|limit| format!("{} is {}, of which {} are in use", limit.name, limit.value, limit.in_use))
    };
    let address_space = || own("RLIMIT_AS", Resource::RLIMIT_AS);
    match errno {
        libc::EMFILE => own("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE).into_iter().collect(),
        libc::EFBIG => own("RLIMIT_FSIZE", Resource::RLIMIT_FSIZE).into_iter().collect(),
        libc::EAGAIN => address_space().into_iter().chain(of_machine(LimitKind::Processes)).collect(),
        libc::ENOMEM => address_space().into_iter().chain(of_machine(LimitKind::Memory)).collect(),
        _ => Vec::new(),
    }
}

/// Something that this machine does not have and that nothing works without.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Lack(pub String);
