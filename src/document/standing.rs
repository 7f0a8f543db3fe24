//! What the rounds of one document say of its best strategy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Document, SpeedUp, StrategyResult};
use crate::stats::{self, Standing as Said, Verdict, best_of};

/// What may be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// One strategy is faster than each of the others.
    Best,
    /// The fastest and some of the others are not distinguished.
    NotDistinguished,
    /// There are too few rounds to tell.
    TooFewRounds,
    /// Tasks failed, so that times say nothing.
    Failed,
    /// There is nobody to compare it with.
    Alone,
}

/// The best strategy of a document, and how it compares with each of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// What may be said.
    pub outcome: Outcome,
    /// The strategy of the smallest median.
    pub best: String,
    /// Those that are not distinguished from it.
    pub not_distinguished: Vec<String>,
    /// The confidence of each interval in `others`, so that all of them together are wrong about the best in at most 5 %
    /// of cases.
    pub confidence: f64,
    /// How the best compares with each of the others, by their medians, smallest first: the first is the next best.
    pub others: Vec<Against>,
}

/// The best against another strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Against {
    /// Which.
    pub strategy: String,
    /// How many times as fast as that the best is; null without a common round.
    pub speed_up: Option<SpeedUp>,
    /// It has too few rounds for a verdict, but each took more than twice as long as the longest of the best, which has five or
    /// more: it has few because it is slow, or too few only for the confidence that so many strategies take. For the outcome it counts
    /// as beaten.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_clearly_slower: bool,
}

impl Standing {
    /// What `document` says; `None` if nobody has a round.
    pub fn of(document: &Document) -> Option<Self> {
        let run = &document.plan.run;
        // One that was given up is no answer, however fast it was before.
        let rows: Vec<&StrategyResult> =
            document.strategies.iter().filter(|row| row.given_up.is_none()).collect();
        let samples: Vec<Vec<(u64, f64)>> = rows
            .iter()
            .map(|row| row.rounds.iter().map(|round| (round.round, round.report.total_seconds)).collect())
            .collect();
        let best = best_of(&samples, run.margin, run.seed)?;
        let name = |place: usize| rows[place].name.clone();
        let speed_up = |other: &stats::Against| {
            let verdict = match other.standing {
                Said::Beaten => Verdict::Faster,
                Said::NotDistinguished => Verdict::NotDistinguished,
                Said::ClearlySlower | Said::TooFewRounds => Verdict::TooFewRounds,
            };
            Some(SpeedUp { verdict, ..SpeedUp::from(other.comparison.clone()?) })
        };
        let outcome = match best.standing() {
            _ if document.tasks_failed() > 0 => Outcome::Failed,
            _ if best.others.is_empty() => Outcome::Alone,
            // Who has no round may be faster than all who have.
            _ if best.others.len() + 1 < rows.len() => Outcome::TooFewRounds,
            Said::Beaten | Said::ClearlySlower => Outcome::Best,
            Said::NotDistinguished => Outcome::NotDistinguished,
            Said::TooFewRounds => Outcome::TooFewRounds,
        };
        let tied = best.others.iter().filter(|other| other.standing == Said::NotDistinguished);
        Some(Self {
            outcome,
            best: name(best.place),
            not_distinguished: tied.map(|other| name(other.place)).collect(),
            confidence: best.confidence,
            others: best
                .others
                .iter()
                .map(|other| Against {
                    strategy: name(other.place),
                    speed_up: speed_up(other),
                    is_clearly_slower: other.standing == Said::ClearlySlower,
                })
                .collect(),
        })
    }

    /// How many times as fast as the next the best is.
    pub fn lead(&self) -> Option<f64> {
        // In pairs of rounds another may be closer than the one that has the next median.
        self.others.iter().filter_map(|other| Some(other.speed_up?.ratio)).reduce(f64::min)
    }
}
