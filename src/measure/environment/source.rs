//! Where the kernel's files are, and what to say of those that cannot be read.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The folder that /proc, /sys and the others are looked for in.
///
/// Its methods take absolute paths as the running system has them, and name those in their errors. They read small
/// text files and never panic, whatever is in them. procfs' parsers are not used here: they give up a whole file for one
/// value that is missing, and some slice a malformed line in the middle of a character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

/// A value, or why it cannot be had.
pub(in crate::measure) type Found<T> = Result<T, String>;

impl Root {
    /// The running system's.
    pub fn system() -> Self {
        Self("/".into())
    }

    /// Another one, such as a made-up tree in a test.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Whether this is the running system's.
    pub(super) fn is_system(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Where `path` is.
    pub(in crate::measure) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    pub(in crate::measure) fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }

    /// The text of a file without the white space and zero bytes around it. An empty file is an error.
    pub(in crate::measure) fn text(&self, path: impl AsRef<Path>) -> Found<String> {
        let path = path.as_ref();
        let bytes = fs::read(self.path(path)).map_err(|error| reason(path, &error))?;
        let text = String::from_utf8_lossy(&bytes);
        match text.trim_matches(|character: char| character.is_whitespace() || character == '\0') {
            "" => Err(format!("{} is empty", path.display())),
            text => Ok(text.to_owned()),
        }
    }

    /// The text of a file that has one line, without control characters.
    pub(super) fn line(&self, path: impl AsRef<Path>) -> Found<String> {
        let path = path.as_ref();
        let text = self.text(path)?;
        if text.contains(char::is_control) {
            return Err(format!("{} says {}", path.display(), quoted(&text)));
        }
        Ok(text)
    }

    /// The number that is all of a file.
    pub(in crate::measure) fn number(&self, path: impl AsRef<Path>) -> Found<u64> {
        let path = path.as_ref();
        let text = self.text(path)?;
        text.parse().map_err(|_| format!("{} says {}", path.display(), quoted(&text)))
    }

    /// The names in a folder, sorted.
    pub(super) fn names(&self, folder: impl AsRef<Path>) -> Found<Vec<String>> {
        let folder = folder.as_ref();
        let entries = fs::read_dir(self.path(folder)).map_err(|error| reason(folder, &error))?;
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        Ok(names)
    }
}

fn reason(path: &Path, error: &std::io::Error) -> String {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => format!("there is no {path}"),
        _ => format!("cannot read {path}: {error}"),
    }
}

/// The beginning of `text`, to show in one line.
pub(super) fn quoted(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    format!("'{}'", start.escape_debug())
}

/// The rest of the first line of `text` that begins with the word `name`, which a colon may follow.
pub(super) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        let rest = rest.trim_start_matches([' ', '\t']).strip_prefix(':').or_else(|| {
            // Without a colon the name must end here.
            rest.starts_with([' ', '\t']).then_some(rest)
        })?;
        Some(rest.trim())
    })
}

/// The number in such a line of the file `path`, whose text is `text`.
pub(in crate::measure) fn number_field(text: &str, name: &str, path: &str) -> Found<u64> {
    let value = field(text, name).ok_or_else(|| format!("{path} has no {name}"))?;
    value.parse().map_err(|_| format!("{path} says {} for {name}", quoted(value)))
}

/// The same of /proc/meminfo, in bytes.
pub(in crate::measure) fn meminfo_bytes(text: &str, name: &str) -> Found<u64> {
    let value = field(text, name).ok_or_else(|| format!("/proc/meminfo has no {name}"))?;
    let kibibytes = value.strip_suffix("kB").and_then(|number| number.trim_end().parse::<u64>().ok());
    kibibytes
        .and_then(|number| number.checked_mul(1024))
        .ok_or_else(|| format!("/proc/meminfo says {} for {name}", quoted(value)))
}

/// The CPUs of a list such as `0-3,8`; `None` if it is none.
pub(super) fn cpu_list(text: &str) -> Option<BTreeSet<u32>> {
    /// More than any Linux has: what claims to be more is no list of CPUs.
    const MOST_CPUS: u32 = 1 << 16;
    let mut cpus = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<u32>().ok()?, last.trim().parse().ok()?);
        if first > last || last >= MOST_CPUS {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// A value that is `None`, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotMeasured {
    /// The field, as the JSON names it, with those it lies in before it: `pressure.cpu_some_seconds`.
    pub what: String,
    /// Why it could not be had.
    pub reason: String,
}

impl fmt::Display for NotMeasured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not known: {}", self.what, self.reason)
    }
}

/// Collects the reasons.
#[derive(Debug, Default)]
pub(super) struct Reasons(pub(super) Vec<NotMeasured>);

impl Reasons {
    /// The value of the field `what`; if there is none, the reason is kept.
    pub(super) fn keep<T>(&mut self, what: &str, found: Found<T>) -> Option<T> {
        found.map_err(|reason| self.0.push(NotMeasured { what: what.to_owned(), reason })).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "cpu0 1\ncpu  7 8\nMemTotal:   12 kB\nmodel name\t: A B\nempty:\n";
        assert_eq!(field(text, "cpu"), Some("7 8"));
        assert_eq!(field(text, "model name"), Some("A B"));
        assert_eq!(field(text, "model"), Some("name\t: A B"));
        assert_eq!(field(text, "Mem"), None);
        assert_eq!(field(text, "empty"), Some(""));
        assert_eq!(meminfo_bytes(text, "MemTotal"), Ok(12 * 1024));
    }

    #[test]
    fn memory_that_is_no_number_of_bytes_is_refused() {
        for text in
            ["MemTotal: x kB", "MemTotal: 1 MB", "MemTotal: -1 kB", "MemTotal: 99999999999999999999 kB"]
        {
            assert!(meminfo_bytes(text, "MemTotal").is_err(), "{text}");
        }
        assert!(meminfo_bytes("MemTotal: 18446744073709551615 kB", "MemTotal").is_err(), "overflow");
    }

    #[test]
    fn reasons_name_the_systems_path_and_not_the_trees() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::at(folder.path());
        assert_eq!(root.text("/proc/loadavg"), Err("there is no /proc/loadavg".into()));
        fs::write(folder.path().join("empty"), " \n").unwrap();
        fs::write(folder.path().join("text"), "a\"b\n").unwrap();
        assert_eq!(root.text("/empty"), Err("/empty is empty".into()));
        assert_eq!(root.number("/text"), Err(r#"/text says 'a\"b'"#.into()));
        fs::write(folder.path().join("lines"), "one\ntwo\n").unwrap();
        assert_eq!(root.line("/lines"), Err(r"/lines says 'one\ntwo'".into()));
        assert!(root.text("/").unwrap_err().starts_with("cannot read /: "));
    }
}
