//! What a search for a crossover came to: what its export is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Faster;
use crate::document::head::Head;
use crate::document::{Document, SpeedUp};
use crate::plan::vary::{Unit, Value};

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Crossovers {
    /// What it is: `crossover`.
    #[serde(flatten)]
    pub head: Head,
    /// Whether the time was too short for intervals as narrow as asked for, or for all values.
    pub out_of_time: bool,
    /// The flag that varies, without the hyphens in front of it.
    pub key: String,
    /// What its numbers count.
    pub unit: Unit,
    /// The values of the coarse grid, rising, which are to be looked at before all others. Of those that are not among `points`
    /// nothing is known: the time was too short for them.
    #[serde(default)]
    pub grid: Vec<Value>,
    /// The smaller end of the range.
    pub low: Value,
    /// The larger end.
    pub high: Value,
    /// The first and the second strategy.
    pub between: [String; 2],
    /// What an interval's upper end may be above its lower one, as a part of it.
    pub width: f64,
    /// Rounds at one value, at most; twice as many at an end of the range.
    pub most_rounds: usize,
    /// How long it might take.
    pub time_limit_seconds: f64,
    /// How long it took.
    pub elapsed_seconds: f64,
    /// The values at which the faster strategy changes, rising; empty where none was found.
    pub crossings: Vec<Crossing>,
    /// All values of which there is a round, and those at which tasks failed, rising.
    pub points: Vec<Point>,
}

/// A change of the faster strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crossing {
    /// Below this it is `below` that is faster.
    pub low: Value,
    /// Above this it is the other.
    pub high: Value,
    /// Where it most likely is: where a straight line through the medians is 0.
    pub estimate: Value,
    /// Who is faster below.
    pub below: String,
    /// Who is faster above.
    pub above: String,
    /// The outermost values in between that had all rounds that a value may have and did not tell; null where there is none.
    pub not_distinguished: Option<[Value; 2]>,
}

/// A value that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Which.
    pub value: Value,
    /// Who is faster there.
    pub faster: Faster,
    /// How many times as fast as the second the first is, by all rounds there. Its verdict is `faster`; its interval is not enough for
    /// that, since how many rounds were run was up to what they had shown.
    pub speed_up: Option<SpeedUp>,
    /// Every round of both.
    pub document: Document,
}
