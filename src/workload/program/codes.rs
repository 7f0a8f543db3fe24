//! The exit codes of a command that has done its task.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::sys::wait::Exit;
use crate::workload::Failure;

/// Exit codes that are no failure: 0 alone, unless something else was said. `grep` that finds nothing exits with 1, and so does a part of a
/// test suite in which a test fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct SuccessCodes(Vec<u8>);

impl Default for SuccessCodes {
    fn default() -> Self {
        Self(vec![0])
    }
}

impl<'de> Deserialize<'de> for SuccessCodes {
    /// A list, or what would be typed.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a list of exit codes from 0 to 255, such as [0, 1] or \"0,1\"")]
        enum Codes {
            List(Vec<u8>),
            Typed(String),
        }
        match Codes::deserialize(from)? {
            Codes::List(codes) => Ok(Self(codes)),
            Codes::Typed(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

impl SuccessCodes {
    /// Whether nothing was said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether there are none at all, so that each task would fail.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a command that ended by `exit` has done its task.
    pub(super) fn judge(&self, exit: Exit) -> Result<(), Failure> {
        match exit {
            Exit::Code(code) if self.0.iter().any(|known| i32::from(*known) == code) => Ok(()),
            exit => Err(Failure::Exited(exit)),
        }
    }
}

impl fmt::Display for SuccessCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes: Vec<String> = self.0.iter().map(u8::to_string).collect();
        f.write_str(&codes.join(","))
    }
}

impl FromStr for SuccessCodes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let codes = text.split(',').map(|code| code.trim().parse()).collect::<Result<_, _>>();
        codes.map(Self).map_err(|_| {
            format!("'{text}' is no list of exit codes: expected numbers from 0 to 255 with commas between, such as 0,1")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_they_are_shown() {
        let codes: SuccessCodes = " 0, 1,255".parse().expect("codes");
        assert_eq!(codes.to_string(), "0,1,255");
        for garbage in ["", "256", "-1", "0,", "all"] {
            assert!(garbage.parse::<SuccessCodes>().is_err(), "{garbage}");
        }
    }

    #[test]
    fn a_signal_is_never_success() {
        let codes: SuccessCodes = "1,9".parse().expect("codes");
        assert_eq!(codes.judge(Exit::Code(1)), Ok(()));
        for exit in [Exit::Code(0), Exit::Signal(9)] {
            assert_eq!(codes.judge(exit), Err(Failure::Exited(exit)));
        }
    }
}
