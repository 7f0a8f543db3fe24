//! How long each task takes: the same for the k-th task in every strategy.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::WorkloadSpec;
use crate::seed::Rng;
use crate::sys::sealed::{self, Sealed};

/// How the durations of tasks vary around the one asked for. The mean stays the same, whatever the spread.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
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
    /// As in this file, which has a duration in each line.
    Trace(PathBuf),
}

/// Keeps durations apart from arguments that are drawn from the same seed.
const STREAM: u64 = 0x6475_7261_7469_6f6e;

/// What stands in front of the file's name.
const TRACE: &str = "trace:";

impl Spread {
    /// The file that durations are read from.
    pub fn trace(&self) -> Option<&PathBuf> {
        match self {
            Self::Trace(path) => Some(path),
            _ => None,
        }
    }

    /// What the duration of `task` is to be multiplied by; 1 on average. What a trace says is known to [`Lengths`].
    #[inline]
    pub fn factor(&self, seed: u64, task: u64) -> f64 {
        let mut rng = Rng::for_item(seed ^ STREAM, task);
        // 1 − u is in (0, 1], so the logarithms below are finite.
        let u = 1.0 - rng.next_f64();
        match self {
            Self::Constant | Self::Trace(_) => 1.0,
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
            Self::Trace(path) => write!(f, "{TRACE}{}", path.display()),
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
        if let Some(path) = text.strip_prefix(TRACE) {
            let named = Some(path).filter(|path| !path.is_empty()).map(|path| Self::Trace(path.into()));
            return named.ok_or_else(|| format!("'{text}' names no file: expected trace:FILE"));
        }
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
            ("uniform", None) => {
                Err("uniform has no width: expected uniform:WIDTH, such as uniform:0.5".into())
            }
            ("lognormal", None) => {
                Err("lognormal has no σ: expected lognormal:SIGMA, such as lognormal:1.0".into())
            }
            ("constant" | "exponential", Some(_)) => {
                Err(format!("{name} takes no number: expected {name} alone, not '{text}'"))
            }
            _ => Err(format!(
                "unknown spread '{text}': expected constant, uniform:WIDTH, exponential, lognormal:SIGMA or \
                 trace:FILE, such as uniform:0.5"
            )),
        }
    }
}

/// What a trace comes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceSummary {
    /// How many durations it has.
    pub durations: u64,
    /// Their mean: what the length of a task is relative to.
    pub mean_seconds: f64,
}

/// The durations of a trace: seconds, as 64-bit little-endian floating-point numbers, one after the other.
#[derive(Debug)]
pub struct Durations {
    seconds: Sealed,
    mean_seconds: f64,
}

impl Durations {
    /// Bytes of each.
    pub const BYTES: usize = size_of::<f64>();

    /// How many times the mean `task` lasts. A task that the trace does not have lasts no time.
    #[inline]
    fn factor(&self, task: u64) -> f64 {
        let (durations, _) = self.seconds.as_chunks::<{ Self::BYTES }>();
        durations.get(task as usize).map_or(0.0, |bytes| f64::from_le_bytes(*bytes) / self.mean_seconds)
    }
}

/// Tasks up to this many have their durations drawn before the clock starts: 8 bytes each.
const MOST_DRAWN_AHEAD: u64 = 1 << 22;

/// Draws the durations of all tasks of `spec` ahead, as multiples of the mean, in the form of [`Durations`]: a logarithm, a
/// root, a cosine and a power for each task are 5 % of a microsecond, which a real task does not spend on being as long
/// as it is. `None` where nothing is drawn, or for too many tasks.
///
/// # Errors
/// If there is no memory for them.
pub fn draw_ahead(spec: &WorkloadSpec) -> std::io::Result<Option<File>> {
    if matches!(spec.spread, Spread::Constant | Spread::Trace(_)) || spec.tasks > MOST_DRAWN_AHEAD {
        return Ok(None);
    }
    let (file, ()) = sealed::create(c"procbench-durations", |file| {
        let mut file = BufWriter::new(file);
        for task in 0..spec.tasks {
            file.write_all(&spec.spread.factor(spec.seed, task).to_le_bytes())?;
        }
        file.flush()
    })?;
    Ok(Some(file))
}

/// How many times the mean each task of a workload lasts. What does not fit into a `Copy` value lives as long as the
/// process: until the round is over.
#[derive(Debug, Clone, Copy)]
pub enum Lengths {
    /// All alike.
    Alike,
    /// Drawn at random, from this seed.
    Drawn(&'static Spread, u64),
    /// Written down, or drawn ahead.
    Traced(&'static Durations),
}

impl Lengths {
    /// What `spec` asks for.
    ///
    /// # Errors
    /// If the durations of its trace cannot be had.
    pub fn new(spec: &WorkloadSpec) -> std::io::Result<Self> {
        Ok(match (&spec.spread, &spec.trace) {
            (Spread::Constant, _) => Self::Alike,
            (Spread::Trace(_), Some(trace)) => {
                let durations = Durations {
                    seconds: Sealed::open(&spec.ready.durations)?,
                    mean_seconds: trace.mean_seconds,
                };
                Self::Traced(Box::leak(Box::new(durations)))
            }
            (_, None) if !spec.ready.durations.as_os_str().is_empty() => {
                let durations =
                    Durations { seconds: Sealed::open(&spec.ready.durations)?, mean_seconds: 1.0 };
                Self::Traced(Box::leak(Box::new(durations)))
            }
            (spread, _) => Self::Drawn(Box::leak(Box::new(spread.clone())), spec.seed),
        })
    }

    /// Whether all tasks last the same time.
    pub const fn are_alike(&self) -> bool {
        matches!(self, Self::Alike)
    }

    /// `mean`, made as long as it is for `task`.
    #[inline]
    pub fn of(&self, task: u64, mean: u64) -> u64 {
        match self {
            Self::Alike => mean,
            Self::Drawn(spread, seed) => nearest(mean as f64 * spread.factor(*seed, task)),
            // To the nearest: where the mean is that of the trace, this is what the trace says.
            Self::Traced(durations) => nearest(mean as f64 * durations.factor(task)),
        }
    }
}

/// `number`, which is not below 0, to the nearest. Rounding as such is a function of the mathematical library.
#[inline]
fn nearest(number: f64) -> u64 {
    (number + 0.5) as u64
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
        for text in ["constant", "uniform:0.5", "exponential", "lognormal:1.5", "trace:a/b:c 1.txt"] {
            assert_eq!(text.parse::<Spread>().unwrap().to_string(), text);
        }
        for text in [
            "normal",
            "uniform",
            "uniform:2",
            "uniform:x",
            "lognormal:-1",
            "lognormal:NaN",
            "exponential:1",
            "trace:",
        ] {
            assert!(text.parse::<Spread>().is_err(), "{text}");
        }
    }
}
