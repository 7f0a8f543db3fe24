//! Counts, sizes and durations as people type them.
//!
//! One parser each, for flags and spec files alike. Errors say what was found and what was expected.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// A whole number: `1000000`, `1_000_000`, `1e6` and `1M` are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u64);

/// More than any machine can start, and small enough that sums of it never overflow.
pub const LARGEST_COUNT: u64 = 1_000_000_000_000;

/// A number of bytes: `64KiB`, `25MB`, `100` or `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// Sizes above this are a slip of the finger.
pub const LARGEST_SIZE: u64 = 1 << 50;

/// A time: `5ms`, `20us`, `1.5s`, `1m 30s` or `0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seconds(pub f64);

/// Durations above this are a slip of the finger.
pub const LONGEST_SECONDS: f64 = 366.0 * 86_400.0;

/// How long something of a task lasts: a duration, or `trace` for what the trace says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// So long, on average.
    Mean(Seconds),
    /// As long as the trace says.
    Trace,
}

impl Length {
    /// Whether it lasts any time at all.
    pub fn is_some(self) -> bool {
        self != Self::Mean(Seconds(0.0))
    }
}

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "trace" { Ok(Self::Trace) } else { text.parse().map(Self::Mean) }
    }
}

/// A part of one: `2%` or `0.02`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(pub f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let (number, unit) = match trimmed.strip_suffix('%') {
            Some(number) => (number.trim_end(), 0.01),
            None => (trimmed, 1.0),
        };
        match number.parse::<f64>() {
            Ok(value) if (0.0..=1.0).contains(&(value * unit)) => Ok(Self(value * unit)),
            Ok(value) if unit == 1.0 && (1.0..=100.0).contains(&value) => Err(format!(
                "'{text}' would be {:.0}%: expected a percentage from 0% to 100%, such as {value}%",
                value * 100.0
            )),
            _ => Err(format!("'{text}' is not a percentage from 0% to 100%: expected such as 2%, or 0.02")),
        }
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("'{text}' {why}: expected a whole number such as 1000000, 1_000_000, 1e6 or 1M")
        };
        let digits = text.trim().replace('_', "");
        let (number, factor) = match digits.char_indices().last() {
            Some((at, 'k' | 'K')) => (&digits[..at], 1e3),
            Some((at, 'm' | 'M')) => (&digits[..at], 1e6),
            Some((at, 'g' | 'G')) => (&digits[..at], 1e9),
            _ => (&digits[..], 1.0),
        };
        if !number.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte)) || number.is_empty()
        {
            return Err(wrong("is not a number"));
        }
        if factor == 1.0
            && let Ok(exact) = number.parse::<u64>()
        {
            return Self::checked(exact as f64, text).map(|_| Self(exact));
        }
        let value = number.parse::<f64>().map_err(|_| wrong("is not a number"))? * factor;
        if value < 0.0 {
            return Err(wrong("is negative"));
        }
        Self::checked(value, text)?;
        if value.fract() != 0.0 {
            return Err(wrong("is not whole"));
        }
        Ok(Self(value as u64))
    }
}

impl Count {
    fn checked(value: f64, text: &str) -> Result<(), String> {
        if value > LARGEST_COUNT as f64 {
            return Err(format!("'{text}' is too large: expected at most {LARGEST_COUNT} (1e12)"));
        }
        Ok(())
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("'{text}' {why}: expected a number of bytes such as 64KiB, 25MB, 1.5GiB, 100 or 0")
        };
        let trimmed = text.trim();
        if trimmed.starts_with('-') {
            return Err(wrong("is negative"));
        }
        if !trimmed.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
            return Err(wrong("has no number"));
        }
        let bytes = trimmed.parse::<bytesize::ByteSize>().map_err(|_| wrong("is not a size"))?.as_u64();
        if bytes > LARGEST_SIZE {
            return Err(format!("'{text}' is too large: expected at most 1PiB"));
        }
        Ok(Self(bytes))
    }
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("'{text}' {why}: expected a duration such as 20us, 5ms, 1.5s, 2m or 0");
        let trimmed = text.trim();
        if trimmed == "0" {
            return Ok(Self(0.0));
        }
        if trimmed.starts_with('-') {
            return Err(wrong("is negative"));
        }
        if trimmed.parse::<f64>().is_ok() {
            return Err(wrong("has no unit"));
        }
        if !trimmed.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
            return Err(wrong("has no number"));
        }
        let seconds = match decimal_with_unit(trimmed) {
            Some(seconds) => seconds,
            None => humantime::parse_duration(trimmed).map_err(|_| wrong("is not a duration"))?.as_secs_f64(),
        };
        if seconds > LONGEST_SECONDS {
            return Err(format!("'{text}' is too long: expected at most 366 days"));
        }
        Ok(Self(seconds))
    }
}

/// `1.5ms`: one decimal number with one unit. What is more than that is humantime's to read.
fn decimal_with_unit(text: &str) -> Option<f64> {
    let unit_at = text.find(|character: char| !character.is_ascii_digit() && character != '.')?;
    let (number, unit) = text.split_at(unit_at);
    let nanoseconds_of_unit = match unit.trim() {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" | "sec" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3600e9,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * nanoseconds_of_unit / 1e9)
}

macro_rules! deserialize_from_text {
    ($type:ident, $expected:literal, $number:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                        #[allow(clippy::redundant_closure_call)]
                        $number(number).map_err(E::custom)
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$type, E> {
                        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
                    }

                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_any(Text)
            }
        }
    };
}

deserialize_from_text!(Count, "a whole number such as 1000000 or \"1M\"", |number: i64| number
    .to_string()
    .parse());
deserialize_from_text!(Size, "a number of bytes such as \"64KiB\" or 100", |number: i64| number
    .to_string()
    .parse());
deserialize_from_text!(Percent, "a percentage such as \"2%\"", |number: i64| number.to_string().parse());
deserialize_from_text!(Length, "a duration such as \"5ms\", 0 or \"trace\"", |number: i64| number
    .to_string()
    .parse());
deserialize_from_text!(Seconds, "a duration such as \"5ms\", or 0", |number: i64| number.to_string().parse());

/// A whole number with thousands apart: `1,000,000`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_million_can_be_written_in_many_ways() {
        for text in ["1000000", "1_000_000", "1e6", "1E6", "1M", "1m", "1000k", "0.001G", "1.0e6"] {
            assert_eq!(text.parse(), Ok(Count(1_000_000)), "{text}");
        }
    }

    #[test]
    fn what_is_no_count_is_refused_with_what_was_expected() {
        for (text, why) in [
            ("-5", "is negative"),
            ("1e30", "is too large"),
            ("1.5", "is not whole"),
            ("many", "is not a number"),
            ("", "is not a number"),
            ("M", "is not a number"),
            ("nan", "is not a number"),
            ("inf", "is not a number"),
            ("18446744073709551616", "is too large"),
        ] {
            let error = text.parse::<Count>().unwrap_err();
            assert!(error.contains(why) && error.contains("expected"), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_are_read_in_both_systems() {
        for (text, bytes) in [
            ("64KiB", 65536),
            ("25MB", 25_000_000),
            ("0", 0),
            ("100", 100),
            ("1.5 GiB", 3 << 29),
            ("2k", 2000),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["KiB", "-1", "64KiX", "", "1e30", "99999PiB"] {
            let error = text.parse::<Size>().unwrap_err();
            assert!(error.contains("expected"), "{text}: {error}");
        }
    }

    #[test]
    fn durations_need_a_unit_unless_they_are_zero() {
        for (text, seconds) in
            [("0", 0.0), ("5ms", 0.005), ("20us", 20e-6), ("1.5s", 1.5), ("1m 30s", 90.0), ("3ns", 3e-9)]
        {
            let read: Seconds = text.parse().unwrap();
            assert!((read.0 - seconds).abs() < 1e-12, "{text}: {}", read.0);
        }
        for text in ["5", "ms", "-5ms", "5 parsecs", "", "1e3", "1000000h", "1.2.3s"] {
            let error = text.parse::<Seconds>().unwrap_err();
            assert!(error.contains("expected"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,40}") {
            let _ = text.parse::<Count>();
            let _ = text.parse::<Size>();
            let _ = text.parse::<Seconds>();
        }

        #[test]
        fn every_count_is_read_back(number in 0..=LARGEST_COUNT) {
            prop_assert_eq!(number.to_string().parse(), Ok(Count(number)));
        }
    }
}
