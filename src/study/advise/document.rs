//! What a search for the best strategy came to: what its export is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Reason;
use crate::document::Document;
use crate::document::head::Head;
use crate::study::standing::Standing;

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    /// What it is: `advice`.
    #[serde(flatten)]
    pub head: Head,
    /// How long it might take.
    pub time_limit_seconds: f64,
    /// How long it took.
    pub elapsed_seconds: f64,
    /// Everybody that was looked at, in the order of the races.
    pub candidates: Vec<Candidate>,
    /// Every round of each race.
    pub races: Vec<Document>,
    /// What may be said of the best, by the rounds that were run after the races; null if there are none.
    pub standing: Option<Standing>,
    /// Those rounds, with memory.
    pub finals: Option<Document>,
    /// What runs the finals again, word by word.
    pub command: Vec<String>,
}

/// A strategy that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Which, as it would be typed after `--mode`.
    pub strategy: String,
    /// In which race, from 1.
    pub race: usize,
    /// How long a round should take, by a few tasks.
    pub expected_seconds: f64,
    /// Rounds that it finished in the race.
    pub rounds: usize,
    /// Why it was given up; null if it was in the race to its end.
    pub gave_up: Option<Reason>,
}
