//! What a search for the best strategy came to: what its export is.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Reason;
use crate::document::head::Head;
use crate::document::standing::Standing;
use crate::document::{Document, StrategyResult};
use crate::stats::{CONFIDENCE, MedianRanks, Summary, summarise_with};

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
    /// What those rounds say of each that was in them, the best first.
    #[serde(default)]
    pub finalists: Vec<Finalist>,
    /// Those rounds, with memory.
    pub finals: Option<Document>,
    /// What runs the finals again, word by word; where only one was in them, with the fastest that had been given up.
    pub command: Vec<String>,
}

impl Advice {
    /// The finalists; worked out where a file was saved before they were.
    pub fn finalists(&self) -> Cow<'_, [Finalist]> {
        match (&self.finals, &self.standing) {
            (Some(finals), Some(standing)) if self.finalists.is_empty() => {
                Cow::Owned(Finalist::of_all(finals, standing))
            }
            _ => Cow::Borrowed(&self.finalists),
        }
    }
}

/// A strategy of the finals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finalist {
    /// Which, as it would be typed after `--mode`.
    pub strategy: String,
    /// Its times, in seconds; null if it has no round. The best was chosen by the same rounds, so the intervals are wider than in
    /// a comparison: with `k` finalists each misses its median in 5 % / k of cases, and none does in 95 %, whichever is chosen.
    pub total_seconds: Option<Measured>,
    /// Its memory, page cache apart, in bytes; null if there was no time for a round in which it is measured, or this machine does
    /// not tell. The best has five rounds if there is time for them.
    pub peak_bytes: Option<Measured>,
}

/// A median of several rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The median.
    pub median: f64,
    /// The lower end of its interval; null with too few rounds for one.
    pub ci_low: Option<f64>,
    /// The upper end.
    pub ci_high: Option<f64>,
    /// The share of medians that such an interval covers.
    pub confidence: f64,
    /// How many rounds there were.
    pub rounds: usize,
}

impl Measured {
    fn of(samples: &[f64], confidence: f64, seed: u64) -> Option<Self> {
        let ranks = MedianRanks::resample_at(confidence, samples.len(), seed);
        let Summary { median, interval, rounds, .. } = summarise_with(samples, ranks)?;
        let (ci_low, ci_high) = (interval.map(|ci| ci.low), interval.map(|ci| ci.high));
        Some(Self { median, ci_low, ci_high, confidence, rounds })
    }

    /// Both ends of the interval.
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.ci_low.zip(self.ci_high)
    }
}

impl Finalist {
    /// All strategies of `finals`, the best of `standing` first, then by their medians.
    pub fn of_all(finals: &Document, standing: &Standing) -> Vec<Self> {
        let others = standing.others.iter().map(|other| other.strategy.as_str());
        let names = std::iter::once(standing.best.as_str()).chain(others);
        let found = names.filter_map(|name| finals.strategies.iter().find(|row| row.name == name));
        let (seed, count) = (finals.plan.run.seed, finals.strategies.len().max(1));
        let of = |row: &StrategyResult| {
            let times: Vec<f64> = row.rounds.iter().map(|round| round.report.total_seconds).collect();
            let memory = row.memory.iter().flat_map(|memory| match memory.each.as_slice() {
                [] => vec![memory.reading.peak_bytes],
                each => each.iter().map(|round| round.reading.peak_bytes).collect(),
            });
            // All of them, or none: those that are missing may have been the largest.
            let memory: Option<Vec<f64>> = memory.map(|peak| peak.map(|peak| peak as f64)).collect();
            Self {
                strategy: row.name.clone(),
                total_seconds: Measured::of(&times, 1.0 - (1.0 - CONFIDENCE) / count as f64, seed),
                peak_bytes: memory.and_then(|memory| Measured::of(&memory, CONFIDENCE, seed)),
            }
        };
        found.map(of).collect()
    }
}

/// A strategy that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Which, as it would be typed after `--mode`.
    pub strategy: String,
    /// In which race, from 1.
    pub race: usize,
    /// How long a round should take, by a few tasks; null where not even those were tried, for want of time.
    pub expected_seconds: Option<f64>,
    /// Rounds that it finished in the race.
    pub rounds: usize,
    /// Why it was given up; null if it was in the race to its end.
    pub gave_up: Option<Reason>,
}
