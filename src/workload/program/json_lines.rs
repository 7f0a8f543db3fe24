//! The lines of an args file whose every line is a JSON value: the argument of a call.

use std::io::{self, BufRead, BufReader, Read, Write};

use anyhow::{Context, bail, ensure};
use serde::de::IgnoredAny;

use super::lines::Counted;

/// A line longer than this is not an argument.
const LONGEST_LINE_BYTES: u64 = 64 << 20;

/// More blank lines than this at the end are no slip.
const MOST_BLANK: u32 = 100;

/// Reads lines from `source`, `most` of them if it has more, and writes them to `copy`.
///
/// # Errors
/// If the source cannot be read, or has a line that is not one JSON value: with its number, and the column, in bytes from 1.
pub fn count(source: impl Read, most: Option<u64>, copy: &mut dyn Write) -> anyhow::Result<Counted> {
    let mut source = BufReader::with_capacity(1 << 20, source);
    let (mut count, mut bytes, mut line) = (0, 0, Vec::new());
    let mut blank = 0;
    while most.is_none_or(|most| count < most) {
        line.clear();
        let read = (&mut source).take(LONGEST_LINE_BYTES + 1).read_until(b'\n', &mut line);
        match read {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("failed to read"),
        }
        // Blank lines at the end are nobody's; one before another line is one that somebody forgot to fill.
        if line.iter().all(u8::is_ascii_whitespace) {
            blank += 1;
            ensure!(blank <= MOST_BLANK, "line {} is empty: expected a JSON value in each line", count + 1);
            continue;
        }
        count += 1;
        ensure!(blank == 0, "line {count} is empty: expected a JSON value in each line");
        ensure!(
            line.len() as u64 <= LONGEST_LINE_BYTES,
            "line {count} is longer than {}: expected a JSON value in each line",
            bytesize::ByteSize(LONGEST_LINE_BYTES)
        );
        check(&line, count)?;
        copy.write_all(&line).context("failed to keep a copy")?;
        bytes += line.len() as u64;
    }
    // JSON takes a carriage return for a blank.
    Ok(Counted { count, bytes, carriage_returns: 0 })
}

fn check(line: &[u8], number: u64) -> anyhow::Result<()> {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text.trim_end_matches(['\r', '\n']),
        Err(error) => bail!(
            "line {number}, column {}: not UTF-8 text, expected a JSON value in each line",
            error.valid_up_to() + 1
        ),
    };
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        // The reader counts lines too, of which it sees one.
        let why = error.to_string();
        let why = why.split(" at line ").next().unwrap_or(&why);
        let hint = match text {
            text if text.starts_with('\u{feff}') => " (a byte-order mark stands before it)",
            text if text
                .get(error.column().saturating_sub(1)..)
                .is_some_and(|rest| rest.starts_with(['N', 'I'])) =>
            {
                " (JSON has no NaN and no Infinity)"
            }
            _ => "",
        };
        bail!(
            "line {number}, column {}: {why} in {:?}{hint}: expected a JSON value in each line, such as 5, \"text\" with its quotes, \
             or [1, \"a\"]",
            error.column(),
            beginning(text)
        );
    }
    Ok(())
}

/// As much of `text` as tells which it is.
fn beginning(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(count: u64, bytes: u64) -> Counted {
        Counted { count, bytes, carriage_returns: 0 }
    }

    #[test]
    fn a_broken_line_is_named_with_the_place_in_it() {
        for (text, expected) in [
            (&b"1\n[1, 2\n"[..], "line 2, column 5: EOF while parsing a list"),
            (b"1\n{\"a\" 1}\n", "line 2, column 6: expected `:`"),
            (b"1 2\n", "line 1, column 3: trailing characters"),
            (b"NaN\n", "line 1, column 1: expected value in \"NaN\" (JSON has no NaN and no Infinity)"),
            (b"[1, -Infinity]\n", "line 1, column 6: invalid number in \"[1, -Infinity]\" (JSON has no NaN"),
            (
                b"\xef\xbb\xbf1\n",
                "line 1, column 1: expected value in \"\\u{feff}1\" (a byte-order mark stands before it)",
            ),
            (b"\"a\"\n\"\xff\"\n", "line 2, column 2: not UTF-8"),
            (b"1\n\n2\n", "line 2 is empty"),
        ] {
            let error = count(text, None, &mut io::sink()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn lines_are_counted_and_copied_as_they_are() {
        let mut copy = Vec::new();
        assert_eq!(count(&b"1\r\n{\"a\": [null]}\n\"x\""[..], None, &mut copy).unwrap(), counted(3, 20));
        assert_eq!(copy, b"1\r\n{\"a\": [null]}\n\"x\"");
        assert_eq!(count(&b"1\n2\nbroken"[..], Some(2), &mut io::sink()).unwrap(), counted(2, 4));
        assert_eq!(count(&b""[..], None, &mut io::sink()).unwrap(), counted(0, 0));
        assert_eq!(
            count(&b"1\n2\n\n \r\n"[..], None, &mut io::sink()).unwrap(),
            counted(2, 4),
            "blank lines at the end"
        );
    }
}
