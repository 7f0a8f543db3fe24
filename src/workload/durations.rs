//! How long each task takes: the same for the k-th task in every strategy.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::seed::Rng;

/// How the durations of tasks vary around the one asked for. The mean stays the same, whatever the spread.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Spread {
    /// All alike.
    #[default]
    Constant,
    /// Uniform in `1 − w … 1 + w` times the duration asked for.
    Uniform(f64),
    /// Exponential: many short ones, a few long ones.
    Exponential,
    /// Lognormal with this σ: a heavy tail.
    Lognormal(f64),
}

/// Keeps durations apart from arguments that are drawn from the same seed.
const STREAM: u64 = 0x6475_7261_7469_6f6e;

impl Spread {
    /// What the duration of `task` is to be multiplied by; 1 on average.
    #[inline]
    pub fn factor(self, seed: u64, task: u64) -> f64 {
        if self == Self::Constant {
            return 1.0;
        }
        let mut rng = Rng::for_item(seed ^ STREAM, task);
        // 1 − u is in (0, 1], so the logarithms below are finite.
        let u = 1.0 - rng.next_f64();
        match self {
            Self::Constant => 1.0,
            Self::Uniform(width) => 1.0 + width * (2.0 * u - 1.0),
            Self::Exponential => -u.ln(),
            Self::Lognormal(sigma) => {
                // Box–Muller; −σ²/2 makes the mean 1.
                let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * rng.next_f64()).cos();
                (sigma * normal - sigma * sigma / 2.0).exp()
            }
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => write!(f, "constant"),
            Self::Uniform(width) => write!(f, "uniform:{width}"),
            Self::Exponential => write!(f, "exponential"),
            Self::Lognormal(sigma) => write!(f, "lognormal:{sigma}"),
        }
    }
}

impl From<Spread> for String {
    fn from(spread: Spread) -> Self {
        spread.to_string()
    }
}

impl TryFrom<String> for Spread {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Spread {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, parameter) = match text.split_once(':') {
            Some((name, parameter)) => {
                let number: f64 =
                    parameter.parse().map_err(|_| format!("'{parameter}' in '{text}' is not a number"))?;
                (name, Some(number))
            }
            None => (text, None),
        };
        match (name, parameter) {
            ("constant", None) => Ok(Self::Constant),
            ("exponential", None) => Ok(Self::Exponential),
            ("uniform", Some(width)) if (0.0..=1.0).contains(&width) => Ok(Self::Uniform(width)),
            ("uniform", Some(width)) => {
                Err(format!("uniform:{width} is out of range: expected a width from 0 to 1"))
            }
            ("lognormal", Some(sigma)) if (0.0..=3.0).contains(&sigma) => Ok(Self::Lognormal(sigma)),
            ("lognormal", Some(sigma)) => {
                Err(format!("lognormal:{sigma} is out of range: expected a σ from 0 to 3"))
            }
            _ => Err(format!(
                "unknown spread '{text}': expected constant, uniform:WIDTH, exponential or lognormal:SIGMA, \
                 such as uniform:0.5"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spread_has_mean_one() {
        for spread in [Spread::Constant, Spread::Uniform(0.5), Spread::Exponential, Spread::Lognormal(1.0)] {
            let tasks = 200_000;
            let sum: f64 = (0..tasks).map(|task| spread.factor(42, task)).sum();
            let mean = sum / tasks as f64;
            assert!((mean - 1.0).abs() < 0.02, "{spread}: {mean}");
        }
    }

    #[test]
    fn a_spread_is_read_as_it_is_written() {
        for text in ["constant", "uniform:0.5", "exponential", "lognormal:1.5"] {
            assert_eq!(text.parse::<Spread>().unwrap().to_string(), text);
        }
        for text in
            ["normal", "uniform", "uniform:2", "uniform:x", "lognormal:-1", "lognormal:NaN", "exponential:1"]
        {
            assert!(text.parse::<Spread>().is_err(), "{text}");
        }
    }
}
