//! Durations of tasks, from a file: one in each line, the first task's first.
//!
//! ```text
//! # Anything behind a # in the first column is for people.
//! 12ms
//! 0.75
//! 1.5s
//! ```
//!
//! A bare number is in seconds, since that is what logs have.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::found::utf8;
use super::units::{LARGEST_COUNT, LONGEST_SECONDS, Seconds};
use crate::sys::sealed;
use crate::workload::TraceSummary;

/// A trace that has been read. Its durations lie in memory that runners map: see
/// [`crate::workload::durations::Durations`].
#[derive(Debug)]
pub struct Trace {
    /// The file, from the root on.
    pub path: PathBuf,
    /// What it comes to.
    pub summary: TraceSummary,
    durations: File,
}

impl Trace {
    /// Where other processes of this user find the durations, while this one lives.
    pub fn durations(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.durations.as_raw_fd()).into()
    }
}

/// A line longer than this is no duration.
const LONGEST_LINE: u64 = 256;

/// Reads the trace at `path`.
///
/// # Errors
/// A text that names the file and the line, what was found there and what was expected.
pub fn read(path: &Path) -> Result<Trace, String> {
    let shown = path.display();
    if path == Path::new("-") {
        return Err(
            "a trace is read from a file, not from standard input: its name stands in what runs it again"
                .into(),
        );
    }
    let unreadable = |error: io::Error| format!("failed to read the trace {shown}: {error}");
    let found = path.canonicalize().map_err(unreadable)?;
    // To open what is no file may take for ever.
    let kind = found.metadata().map_err(unreadable)?.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() { "a folder" } else { "no regular file" };
        return Err(format!("failed to read the trace {shown}: it is {what}, expected a file"));
    }
    let file = File::open(&found).map_err(unreadable)?;
    let path = utf8(found).map_err(|why| format!("failed to read the trace {shown}: {why}"))?;
    let mut wrong = None;
    let made = sealed::create(c"procbench-trace", |memory| {
        let mut memory = BufWriter::new(memory);
        let summary = parse(BufReader::new(file), |seconds| memory.write_all(&seconds.to_le_bytes()));
        match summary {
            Ok(summary) => {
                memory.flush()?;
                Ok(Some(summary))
            }
            Err(Trouble::Io(error)) => Err(error),
            Err(Trouble::Line(line, why)) => {
                wrong = Some(format!("{shown}:{line}: {why}"));
                Ok(None)
            }
            Err(Trouble::Whole(why)) => {
                wrong = Some(format!("{shown}: {why}"));
                Ok(None)
            }
        }
    });
    let (durations, summary) = made.map_err(unreadable)?;
    match summary {
        Some(summary) => Ok(Trace { path, summary, durations }),
        None => Err(wrong.unwrap_or_default()),
    }
}

/// Why a trace is none.
#[derive(Debug)]
enum Trouble {
    Io(io::Error),
    /// A line, from 1, and what is wrong with it.
    Line(u64, String),
    /// What is wrong with the whole of it.
    Whole(String),
}

/// Reads a duration from each line of `text` and hands it to `each`, in seconds.
fn parse(
    mut text: impl BufRead,
    mut each: impl FnMut(f64) -> io::Result<()>,
) -> Result<TraceSummary, Trouble> {
    const EXPECTED: &str = "expected a duration such as 12ms, or seconds such as 0.75";
    let (mut number, mut durations, mut sum) = (0, 0_u64, 0.0);
    let mut empty = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = text.by_ref().take(LONGEST_LINE + 1).read_until(b'\n', &mut line).map_err(Trouble::Io)?;
        if read == 0 {
            break;
        }
        number += 1;
        let wrong = |why: String| Trouble::Line(number, why);
        if read as u64 > LONGEST_LINE {
            return Err(wrong(format!("a line of more than {LONGEST_LINE} bytes: {EXPECTED}")));
        }
        let content = str::from_utf8(&line).map_err(|_| wrong(format!("not UTF-8 text: {EXPECTED}")))?.trim();
        if content.starts_with('#') {
            continue;
        }
        if content.is_empty() {
            empty.get_or_insert(number);
            continue;
        }
        // At the end a file may have as many as it likes; before, one stands for a task whose duration is missing.
        if let Some(empty) = empty {
            return Err(Trouble::Line(empty, format!("an empty line: {EXPECTED}")));
        }
        let seconds = seconds(content).map_err(|why| wrong(format!("{why}: {EXPECTED}")))?;
        durations += 1;
        sum += seconds;
        if durations > LARGEST_COUNT {
            return Err(wrong(format!("more than {LARGEST_COUNT} durations")));
        }
        each(seconds).map_err(Trouble::Io)?;
    }
    if durations == 0 {
        return Err(Trouble::Whole(format!("there is no duration in it: {EXPECTED} in each line")));
    }
    let mean_seconds = sum / durations as f64;
    // Of some that are hardly more, it is no number that anything could be divided by.
    if mean_seconds == 0.0 {
        return Err(Trouble::Whole("every duration in it is 0: expected at least one that is longer".into()));
    }
    Ok(TraceSummary { durations, mean_seconds })
}

fn seconds(text: &str) -> Result<f64, String> {
    let Ok(seconds) = text.parse::<f64>() else {
        let first = |message: String| message.split(": expected").next().unwrap_or_default().to_owned();
        return text.parse::<Seconds>().map(|seconds| seconds.0).map_err(first);
    };
    if seconds.is_nan() {
        return Err(format!("'{text}' is not a number"));
    }
    if seconds < 0.0 {
        return Err(format!("'{text}' is negative"));
    }
    if seconds > LONGEST_SECONDS {
        return Err(format!("'{text}' is too long, at most 366 days are possible"));
    }
    Ok(seconds.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &[u8]) -> Result<(Vec<f64>, TraceSummary), Trouble> {
        let mut all = Vec::new();
        parse(text, |seconds| {
            all.push(seconds);
            Ok(())
        })
        .map(|summary| (all, summary))
    }

    #[test]
    fn durations_may_have_units_or_be_seconds() {
        let text = b"# jobs of a day\n12ms\n0.75\r\n 1.5s \n0\n1e-3\n2m";
        let (all, summary) = parsed(text).unwrap();
        assert_eq!(all, [0.012, 0.75, 1.5, 0.0, 0.001, 120.0]);
        assert_eq!(summary.durations, 6);
        assert!((summary.mean_seconds - 122.263 / 6.0).abs() < 1e-9);
    }

    #[test]
    fn the_end_of_a_trace_may_be_empty_and_need_not_end_its_line() {
        for text in [&b"1s\n2s"[..], b"1s\n2s\n", b"1s\n2s\n\n\n", b"1s\r\n2s\r\n"] {
            assert_eq!(parsed(text).unwrap().0, [1.0, 2.0]);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_its_line() {
        for (text, line, why) in [
            (&b"1s\nfast\n"[..], 2, "'fast' has no number"),
            (b"-1", 1, "is negative"),
            (b"1\n-5ms", 2, "is negative"),
            (b"nan", 1, "is not a number"),
            (b"inf", 1, "is too long"),
            (b"1\n\n2\n", 2, "an empty line"),
            (b"1\n1e9\n", 2, "is too long"),
            (b"1\n5 parsecs\n", 2, "is not a duration"),
            (b"1\n\xff\n", 2, "not UTF-8"),
            (b"1, 2\n", 1, "is not a duration"),
        ] {
            let Err(Trouble::Line(at, message)) = parsed(text) else { panic!("{text:?}") };
            assert!(at == line && message.contains(why) && message.contains("expected"), "{at}: {message}");
        }
        let long = [&b"1\n"[..], &[b'0'; 10_000]].concat();
        assert!(matches!(parsed(&long), Err(Trouble::Line(2, _))));
    }

    #[test]
    fn a_trace_of_nothing_is_refused() {
        for text in [&b""[..], b"\n\n", b"# only\n", b"0\n0s\n", b"5e-324\n0\n0\n"] {
            assert!(matches!(parsed(text), Err(Trouble::Whole(_))), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((all, summary)) = parsed(&bytes) {
                prop_assert_eq!(all.len() as u64, summary.durations);
                prop_assert!(all.iter().all(|seconds| (0.0..=LONGEST_SECONDS).contains(seconds)));
            }
        }
    }
}
