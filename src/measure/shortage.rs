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

/// Whether the kernel says with `errno` that there is not enough of something, or no room at all.
pub fn is_shortage(errno: i32) -> bool {
    matches!(
        errno,
        libc::EAGAIN
            | libc::ENOMEM
            | libc::EMFILE
            | libc::ENFILE
            | libc::EFBIG
            | libc::ENOSPC
            | libc::EDQUOT
            | libc::EROFS
    )
}

/// The shortage that `error` comes from, with the limits behind it, if it does.
pub fn behind(error: &anyhow::Error) -> Option<String> {
    let errno = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<nix::errno::Errno>() {
        Some(errno) => Some(*errno as i32),
        None => cause.downcast_ref::<io::Error>()?.raw_os_error(),
    };
    let shortage = error.chain().filter_map(errno).find(|errno| is_shortage(*errno))?;
    let limits = limits_behind(shortage);
    let said = once_each(error);
    Some(if limits.is_empty() { said } else { format!("{said}; {}", limits.join(", ")) })
}

/// `error` and what it comes from, without a cause that says no more than what came of it.
fn once_each(error: &anyhow::Error) -> String {
    let mut said: Vec<String> = error.chain().map(ToString::to_string).collect();
    said.dedup();
    said.join(": ")
}

/// What another program's words say that there was not enough of, as an `errno`: in English, as they are where nobody has asked
/// for another language.
pub fn told_of(text: &str) -> Option<i32> {
    const SAID: [(&str, i32); 11] = [
        ("resource temporarily unavailable", libc::EAGAIN),
        ("no more processes", libc::EAGAIN),
        // Python's.
        ("can't start new thread", libc::EAGAIN),
        ("memoryerror", libc::ENOMEM),
        ("cannot allocate memory", libc::ENOMEM),
        ("out of memory", libc::ENOMEM),
        ("memory exhausted", libc::ENOMEM),
        // The dynamic loader's.
        ("failed to map segment", libc::ENOMEM),
        ("too many open files", libc::EMFILE),
        ("no space left on device", libc::ENOSPC),
        // GNU parallel starts processes to find out how long a command line may be; where it may start none, the answer is
        // "Command line too long (48 >= -1338)".
        (" >= -", libc::EAGAIN),
    ];
    let text = text.to_lowercase();
    SAID.iter().find(|(words, _)| text.contains(words)).map(|(_, errno)| *errno)
}

/// `told` by another program of why it cannot go on, with the limits behind it, if those can be told from the words.
pub fn with_limits(told: String) -> String {
    let limits = told_of(&told).map(limits_behind).unwrap_or_default();
    // It may know them itself, though of another moment.
    let is_named =
        |limit: &str| limit.split_once(" is ").is_some_and(|(name, _)| told.contains(&format!("{name} is ")));
    let missing = limits.iter().filter(|limit| !is_named(limit));
    let missing: Vec<&str> = missing.map(String::as_str).collect();
    if missing.is_empty() { told } else { format!("{told}; {}", missing.join(", ")) }
}

/// What limits how many processes there can be, each with its value.
pub fn limits_on_processes() -> Vec<String> {
    limits_behind(libc::EAGAIN)
}

/// What there may not have been enough of where the kernel has killed somebody for want of memory.
pub fn limits_on_memory() -> Vec<String> {
    limits_behind(libc::ENOMEM)
}

/// What limits how much memory this process can have, each with its value, apart from the machine's own.
pub fn own_limits_on_memory() -> Vec<String> {
    let data = own("RLIMIT_DATA", Resource::RLIMIT_DATA);
    own("RLIMIT_AS", Resource::RLIMIT_AS).into_iter().chain(data).collect()
}

/// What limits how long this process, and each of its children, may compute, with its value; where it computed for less than that,
/// `None`.
pub fn own_limit_on_cpu_time(used_seconds: f64) -> Option<String> {
    let (soft, _) = getrlimit(Resource::RLIMIT_CPU).ok()?;
    // The kernel counts what runs at a tick as having run for all of it. Of one that shares its core it so draws samples: with at least a hundred
    // ticks a second, half of them hit, the standard deviation is 0.05 s for each root of a second. This is four.
    const FOUR_DEVIATIONS: f64 = 0.2;
    let limit = soft as f64;
    (soft != RLIM_INFINITY && used_seconds + FOUR_DEVIATIONS * limit.sqrt() >= limit)
        .then(|| format!("RLIMIT_CPU is {soft} seconds"))
}

/// The limit on this process that is called `name`, if there is one.
fn own(name: &str, resource: Resource) -> Option<String> {
    let (soft, _) = getrlimit(resource).ok()?;
    (soft != RLIM_INFINITY).then(|| format!("{name} is {soft}"))
}

/// How many of the machine's limits are named that may be behind an error.
const NAMED: usize = 2;

/// Each limit that the kernel may mean by `errno`, with its value; of the machine's own, those with the least left.
fn limits_behind(errno: i32) -> Vec<String> {
    let of_machine = |kind: LimitKind| {
        let mut all: Vec<_> = Limits::read().all.into_iter().filter(|limit| limit.kind == kind).collect();
        // The kernel does not say which. It is hardly one that has much left when another has none.
        all.sort_by_key(|limit| limit.value.saturating_sub(limit.in_use));
        all.truncate(NAMED);
        let in_use = |in_use: u64| match in_use {
            // Of memory that is free nothing is.
            0 => String::new(),
            in_use => format!(", of which {in_use} are in use"),
        };
        all.into_iter().map(move |limit| format!("{} is {}{}", limit.name, limit.value, in_use(limit.in_use)))
    };
    match errno {
        libc::EMFILE => own("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE).into_iter().collect(),
        libc::EFBIG => own("RLIMIT_FSIZE", Resource::RLIMIT_FSIZE).into_iter().collect(),
        libc::EAGAIN => own_limits_on_memory().into_iter().chain(of_machine(LimitKind::Processes)).collect(),
        libc::ENOMEM => own_limits_on_memory().into_iter().chain(of_machine(LimitKind::Memory)).collect(),
        _ => Vec::new(),
    }
}

/// Something that this machine does not have and that nothing works without.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Lack(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_seen_behind_whatever_error_and_in_the_words_of_others() {
        let of_nix = anyhow::Error::from(nix::errno::Errno::ENOMEM).context("no file in memory");
        assert!(behind(&of_nix).is_some_and(|text| text.starts_with("no file in memory: ENOMEM")));
        let of_io = anyhow::Error::from(io::Error::from_raw_os_error(libc::EAGAIN));
        assert!(behind(&of_io).is_some());
        assert_eq!(behind(&anyhow::Error::from(nix::errno::Errno::ENOENT)), None);
        for (said, errno) in [
            ("xargs: cannot fork: Resource temporarily unavailable", Some(libc::EAGAIN)),
            ("parallel: Error: Command line too long (48 >= -1338) at input 0: 0", Some(libc::EAGAIN)),
            (
                "true: error while loading shared libraries: libc.so.6: failed to map segment",
                Some(libc::ENOMEM),
            ),
            ("Out of memory!", Some(libc::ENOMEM)),
            ("parallel: Error: Command line too long (140000 >= 131063) at input 0: 0", None),
            ("xargs: argument line too long", None),
            ("", None),
        ] {
            assert_eq!(told_of(said), errno, "{said}");
        }
    }
}
