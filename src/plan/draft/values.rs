//! Values as they are typed, on the command line or in a file, and the names that they may have.

use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::engine::Engine;
use crate::measure::memory::Choice;
use crate::mode::chunk::ChunkPolicy;
use crate::mode::settings::{Api, Evaluator, Start, Transport};
use crate::plan::units::{Count, Seconds};
use crate::workload::{Io, Kind};

/// A command: its words, or a text that is yet to be split into words as a shell would.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a command: a text, or a list of words")]
pub enum Words {
    /// A text.
    Text(String),
    /// Words.
    List(Vec<String>),
}

impl FromStr for Words {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self::Text(text.to_owned()))
    }
}

/// The most workers that can be asked for.
pub const MOST_WORKERS: u64 = 100_000;

/// A number of workers: `8`, or `4x` for four times the cores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Workers {
    /// This many.
    Count(u64),
    /// This many times the effective cores.
    PerCore(f64),
}

impl Workers {
    /// How many that is on `cores` cores; at least one.
    pub fn resolve(self, cores: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::PerCore(factor) => ((cores as f64 * factor).round() as u64).max(1),
        }
    }
}

impl FromStr for Workers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is not a number of workers: expected 1 to {MOST_WORKERS}, or 4x for four times the cores"
            )
        };
        if let Some(factor) = text.strip_suffix('x') {
            return match factor.parse::<f64>() {
                Ok(factor) if factor > 0.0 && factor <= 1000.0 => Ok(Self::PerCore(factor)),
                _ => Err(wrong()),
            };
        }
        match text.parse::<Count>() {
            Ok(Count(count @ 1..=MOST_WORKERS)) => Ok(Self::Count(count)),
            _ => Err(wrong()),
        }
    }
}

/// How many processes may be alive at once in `process` mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InFlight {
    /// As many as there are tasks.
    All,
    /// This many.
    Count(u64),
}

impl FromStr for InFlight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        match text.parse::<Count>() {
            Ok(Count(count)) if count > 0 => Ok(Self::Count(count)),
            _ => Err(format!("'{text}' is not a number of processes: expected all, or a number from 1")),
        }
    }
}

/// A chunk policy, which in a file may also be a bare number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk(pub ChunkPolicy);

impl FromStr for Chunk {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

/// Values that are words or numbers in a file: read as the same text as on the command line.
macro_rules! deserialize_as_typed {
    ($($type:ty),+) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(untagged, expecting = "a word or a whole number")]
                enum Typed {
                    Number(i64),
                    Text(String),
                }
                let text = match Typed::deserialize(deserializer)? {
                    Typed::Number(number) => number.to_string(),
                    Typed::Text(text) => text,
                };
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

deserialize_as_typed!(Workers, InFlight, Chunk);

/// Finds `text` among things that have names, or says which there are.
pub fn by_name<T: Copy>(
    what: &str,
    text: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, String> {
    all.iter().copied().find(|item| name(*item) == text).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|item| name(*item)).collect();
        unknown(what, text, &names, closest(text, &names))
    })
}

/// That there is no `text` among `names`, and that it was probably meant to be `close`.
pub fn unknown(what: &str, text: &str, names: &[&str], close: Option<&str>) -> String {
    let hint = close.map_or_else(String::new, |close| format!(" (did you mean {close}?)"));
    format!("unknown {what} '{text}'{hint}: expected {}", names.join(", "))
}

/// The name that `text` was probably meant to be.
pub fn closest<'a>(text: &str, names: &[&'a str]) -> Option<&'a str> {
    names
        .iter()
        // A book is no slip of the finger.
        .filter(|name| text.len() <= 4 * name.len())
        .map(|name| (edit_distance(text, name), *name))
        .filter(|(distance, name)| *distance <= name.len() / 3 + 1)
        .min()
        .map(|(_, name)| name)
}

/// The setting that `text` was probably meant to be, which others call by a longer name: chunksize, or start_method.
pub fn closest_setting<'a>(text: &str, names: &[&'a str]) -> Option<&'a str> {
    let is_longer = |name: &&&str| name.len() > 4 && text.len() <= 4 * name.len() && text.starts_with(**name);
    closest(text, names).or_else(|| names.iter().find(is_longer).copied())
}

/// Levenshtein's.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

/// `--transport`
pub fn parse_transport(text: &str) -> Result<Transport, String> {
    by_name("transport", text, &[Transport::SharedMemory, Transport::Pipe], Transport::name)
}

/// `--start`
pub fn parse_start(text: &str) -> Result<Start, String> {
    by_name(
        "start method",
        text,
        &[Start::Fork, Start::Exec, Start::Spawn, Start::Forkserver, Start::Loky],
        Start::name,
    )
}

/// `--engine`
pub fn parse_engine(text: &str) -> Result<Engine, String> {
    by_name("engine", text, Engine::ALL, Engine::name)
}

/// `--api`
pub fn parse_api(text: &str) -> Result<Api, String> {
    by_name("api", text, &Api::ALL, Api::name)
}

/// `--evaluator`
pub fn parse_evaluator(text: &str) -> Result<Evaluator, String> {
    by_name("evaluator", text, &Evaluator::ALL, Evaluator::name)
}

/// `--memory-method`
pub fn parse_memory_method(text: &str) -> Result<Choice, String> {
    by_name("memory method", text, &Choice::ALL, Choice::name)
}

/// `--io`
pub fn parse_io(text: &str) -> Result<Io, String> {
    by_name("kind of I/O", text, &Io::ALL, Io::name).map_err(|error| match text.parse::<Seconds>() {
        Ok(_) => format!("{error}; how long a task waits is --io-wait {text}"),
        Err(_) => error,
    })
}

/// `--workload`
pub fn parse_kind(text: &str) -> Result<Kind, String> {
    by_name("workload", text, &Kind::ALL, Kind::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_may_be_given_per_core() {
        assert_eq!("4x".parse::<Workers>().unwrap().resolve(2), 8);
        assert_eq!("0.5x".parse::<Workers>().unwrap().resolve(1), 1);
        for text in ["0", "-1", "x", "1e9", "0x"] {
            assert!(text.parse::<Workers>().is_err(), "{text}");
        }
    }
}
