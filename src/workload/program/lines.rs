//! The lines of an args file: each is the argument of a task.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, ensure};
use memchr::{memchr, memchr_iter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sys::memory::{Mapping, Visibility};

/// Where the lines of a run lie, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinesSpec {
    /// The file: that of the user, or a copy of what could be read only once.
    pub path: PathBuf,
    /// Bytes that the lines of all tasks take, with their ends.
    pub bytes: u64,
    /// How many lines that is.
    pub count: u64,
    /// How many of them end in a carriage return, as the lines of Windows do: it is part of what a task is told.
    #[serde(default, skip_serializing_if = "is_none")]
    pub carriage_returns: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// What was counted of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// How many there are.
    pub count: u64,
    /// Bytes that they take, with their ends.
    pub bytes: u64,
    /// How many end in a carriage return.
    pub carriage_returns: u64,
}

impl LinesSpec {
    /// What was counted, and lies at `path`.
    pub fn of(Counted { count, bytes, carriage_returns }: Counted, path: PathBuf) -> Self {
        Self { path, bytes, count, carriage_returns }
    }
}

/// Every how many-th line is noted where it begins. The others are found from there, which takes about as long as copying
/// them; so ten million lines need a megabyte besides their text.
const STRIDE: u64 = 64;

/// A line longer than this is not an argument.
const LONGEST_LINE_BYTES: u64 = 64 << 20;

/// Lines in memory, in a mapping that forked processes do not inherit.
#[derive(Debug)]
pub struct Lines {
    text: Mapping,
    len: usize,
    /// Where lines 0, [`STRIDE`], 2 × [`STRIDE`] … begin.
    starts: Vec<usize>,
    longest: usize,
}

impl Lines {
    /// Reads the lines that `spec` tells of.
    ///
    /// # Errors
    /// If they cannot be read, or are not what they were when they were counted.
    pub fn read(spec: &LinesSpec) -> anyhow::Result<Self> {
        let shown = spec.path.display();
        let len = usize::try_from(spec.bytes)?;
        let mut text = Mapping::new(len, Visibility::ParentOnly)
            .with_context(|| format!("no memory for the lines of {shown}"))?;
        let changed = || format!("the lines of {shown} have changed since they were counted");
        let mut file = File::open(&spec.path).with_context(|| format!("failed to open {shown}"))?;
        file.read_exact(&mut text.bytes_mut()[..len]).with_context(changed)?;
        let mut starts = Vec::new();
        let (mut longest, mut start, mut count) = (0, 0, 0);
        let bytes = &text.bytes_mut()[..len];
        while start < len {
            if count % STRIDE == 0 {
                starts.push(start);
            }
            let length = memchr(b'\n', &bytes[start..]).unwrap_or(len - start);
            longest = longest.max(length);
            start += length + 1;
            count += 1;
        }
        ensure!(count == spec.count, changed());
        Ok(Self { text, len, starts, longest })
    }

    /// Bytes of the longest line.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Line `number`, from 0, without its end.
    pub fn get(&self, number: u64) -> &[u8] {
        let from = &self.text.bytes()[self.starts[(number / STRIDE) as usize]..self.len];
        let mut ends = memchr_iter(b'\n', from);
        let start = match (number % STRIDE).checked_sub(1) {
            Some(before) => ends.nth(before as usize).map_or(from.len(), |end| end + 1),
            None => 0,
        };
        &from[start..ends.next().unwrap_or(from.len())]
    }
}

/// Reads lines from `source`, `most` of them if it has more, and writes them to `copy`. With `for_words`, a line may not have a zero byte in it: a program's word ends there.
///
/// # Errors
/// If the source cannot be read, or has a line that cannot be an argument, with its number.
pub fn count(
    mut source: impl Read,
    most: Option<u64>,
    for_words: bool,
    copy: &mut dyn Write,
) -> anyhow::Result<Counted> {
    const PIECE: usize = 1 << 20;
    let mut piece = vec![0; PIECE];
    let mut found = Counted::default();
    let (mut length, mut last) = (0, None);
    let done = |count: u64| most.is_some_and(|most| count >= most);
    while !done(found.count) {
        let read = match source.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("failed to read"),
        };
        let mut used = 0;
        while used < read && !done(found.count) {
            let rest = &piece[used..read];
            let end = memchr(b'\n', rest);
            let line = &rest[..end.unwrap_or(rest.len())];
            ensure!(
                !for_words || memchr(0, line).is_none(),
                "line {} has a zero byte in it, at which a word of a command would end",
                found.count + 1
            );
            length += line.len() as u64;
            ensure!(
                length <= LONGEST_LINE_BYTES,
                "line {} is longer than {}: expected lines",
                found.count + 1,
                bytesize::ByteSize(LONGEST_LINE_BYTES)
            );
            used += line.len() + usize::from(end.is_some());
            last = line.last().copied().or(last);
            if end.is_some() {
                found.count += 1;
                found.carriage_returns += u64::from(last == Some(b'\r'));
                (length, last) = (0, None);
            }
        }
        copy.write_all(&piece[..used]).context("failed to keep a copy")?;
        found.bytes += used as u64;
    }
    // A last line without an end is one all the same.
    if length > 0 {
        found.count += 1;
        found.carriage_returns += u64::from(last == Some(b'\r'));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8], most: Option<u64>) -> (LinesSpec, Lines) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let counted = count(text, most, false, &mut io::sink()).unwrap();
        let spec = LinesSpec::of(counted, file.path().to_owned());
        let lines = Lines::read(&spec).unwrap();
        (spec, lines)
    }

    #[test]
    fn a_last_line_needs_no_end_and_an_empty_line_is_one() {
        let (spec, lines) = read(b"a\n\nbcd", None);
        assert_eq!((spec.count, spec.bytes, lines.longest()), (3, 6, 3));
        assert_eq!([lines.get(0), lines.get(1), lines.get(2)], [&b"a"[..], b"", b"bcd"]);
        assert_eq!(read(b"a\n\n", None).0.count, 2);
        assert_eq!(count(&b""[..], None, true, &mut io::sink()).unwrap(), Counted::default());
        let ends = |text: &'static str| {
            count(text.as_bytes(), None, true, &mut io::sink()).unwrap().carriage_returns
        };
        assert_eq!(["a\r\nb\r\n\r", "a\r\n\nb", "\ra\n"].map(ends), [3, 1, 0]);
    }

    #[test]
    fn no_more_is_read_than_there_are_tasks() {
        let mut copy = Vec::new();
        let counted = count(io::repeat(b'\n'), Some(5), true, &mut copy).unwrap();
        assert_eq!(counted, Counted { count: 5, bytes: 5, carriage_returns: 0 });
        assert_eq!(copy, b"\n\n\n\n\n");
        let (_, lines) = read(b"first\nsecond\nthird\n", Some(2));
        assert_eq!(lines.get(1), b"second");
    }

    #[test]
    fn a_zero_byte_is_refused_with_its_line_where_words_are_made_of_lines() {
        let error = count(&b"good\nb\0d\n"[..], None, true, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
        let counted = count(&b"good\nb\0d\n"[..], None, false, &mut io::sink()).unwrap();
        assert_eq!((counted.count, counted.bytes), (2, 9));
        let error = count(io::repeat(b'x'), None, true, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("line 1 is longer than"), "{error}");
    }

    #[test]
    fn lines_that_have_changed_meanwhile_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for now in ["one\n", "onetwo\n", "a\nb\nc\nd\n"] {
            std::fs::write(file.path(), now).unwrap();
            let spec =
                LinesSpec::of(Counted { bytes: 8, count: 2, ..Counted::default() }, file.path().to_owned());
            let error = Lines::read(&spec).unwrap_err();
            assert!(error.to_string().contains("have changed"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_text(wanted in prop::collection::vec("[a-c]{0,3}", 1..300)) {
            let (spec, lines) = read(format!("{}\n", wanted.join("\n")).as_bytes(), None);
            prop_assert_eq!(spec.count as usize, wanted.len());
            for (number, line) in wanted.iter().enumerate() {
                prop_assert_eq!(lines.get(number as u64), line.as_bytes());
            }
        }
    }
}
