//! What is said of a claim, and what that rests on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::numbers::{bytes, count, seconds, seconds_range, significant, times};
use crate::stats::{Comparison, Interval, MIN_ROUNDS, summarise};

/// What may be said of a claim here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ClaimVerdict")]
pub enum Verdict {
    /// What was measured is what it says.
    Holds,
    /// What was measured is not what it says.
    DoesNotHold,
    /// It holds up to a point, or for some of what it speaks of.
    Depends,
    /// Nothing can be said, since it was not measured, or the rounds do not tell.
    NotTested,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Holds, Self::DoesNotHold, Self::Depends, Self::NotTested];

    /// As printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::DoesNotHold => "does not hold",
            Self::Depends => "depends",
            Self::NotTested => "not tested",
        }
    }
}

/// What a number is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "EvidenceUnit")]
pub enum Unit {
    /// Of something else: 2 is twice as much.
    Times,
    /// Time.
    Seconds,
    /// Memory.
    Bytes,
    /// Things that are counted.
    Count,
}

/// A number that a verdict rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What it is.
    pub what: String,
    /// The median over rounds.
    pub value: f64,
    /// Its 95 % interval; null if there are too few rounds.
    pub ci_low: Option<f64>,
    /// Its upper end.
    pub ci_high: Option<f64>,
    /// What it is of.
    pub unit: Unit,
    /// Rounds, or pairs of them.
    pub rounds: u64,
    /// Which runs of the same finding it comes from, from 0.
    pub runs: Vec<usize>,
    /// Which of their strategies: ours, and the one that it is compared with.
    pub strategies: Vec<String>,
    /// What it is called in the table; null if it stands among the details alone.
    pub headline: Option<String>,
}

impl Evidence {
    /// The median of `values`, one of each round.
    ///
    /// # Errors
    /// If there are none.
    pub fn median(what: String, values: &[f64], unit: Unit, seed: u64) -> Result<Self, String> {
        let summary = summarise(values, seed).ok_or_else(|| format!("{what}: not measured"))?;
        Ok(Self::new(what, summary.median, summary.interval, unit, summary.rounds))
    }

    /// How many times as fast ours is.
    pub fn speed_up(what: String, comparison: &Comparison) -> Self {
        let interval = comparison.speed_up_interval();
        Self::new(what, comparison.speed_up(), interval, Unit::Times, comparison.rounds)
    }

    /// How many times as much ours is.
    pub fn ratio(what: String, comparison: &Comparison) -> Self {
        Self::new(what, comparison.ratio, comparison.interval, Unit::Times, comparison.rounds)
    }

    fn new(what: String, value: f64, interval: Option<Interval>, unit: Unit, rounds: usize) -> Self {
        Self {
            what,
            value,
            ci_low: interval.map(|interval| interval.low),
            ci_high: interval.map(|interval| interval.high),
            unit,
            rounds: rounds as u64,
            runs: Vec::new(),
            strategies: Vec::new(),
            headline: None,
        }
    }

    /// From these runs, and these strategies of theirs.
    pub fn from(mut self, runs: &[usize], strategies: &[&str]) -> Self {
        self.runs = runs.to_vec();
        self.strategies = strategies.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Whether it is more than `limit`.
    pub fn is_above(&self, limit: f64) -> Answer {
        // Not simply the opposite of being below, for what is just as much.
        let interval = self.ci_low.zip(self.ci_high);
        interval.map_or(Answer::Unclear, |(low, high)| beyond(-low, -high, -limit))
    }

    /// Whether it is less than `limit`.
    pub fn is_below(&self, limit: f64) -> Answer {
        self.ci_low.zip(self.ci_high).map_or(Answer::Unclear, |(low, high)| beyond(high, low, limit))
    }

    /// For the table, under this name.
    pub fn headline(self, name: impl Into<String>) -> Self {
        Self { headline: Some(name.into()), ..self }
    }

    /// `2.01 ×`
    pub fn value_in_words(&self) -> String {
        self.in_unit(self.value)
    }

    /// `1.99 … 2.05 ×`; nothing without an interval.
    pub fn interval_in_words(&self) -> Option<String> {
        let (low, high) = self.ci_low.zip(self.ci_high)?;
        Some(match self.unit {
            Unit::Seconds => seconds_range(low, high),
            _ => {
                let (low, high) = (self.in_unit(low), self.in_unit(high));
                match (low.rsplit_once(' '), high.rsplit_once(' ')) {
                    (Some((number, unit)), Some((_, same))) if unit == same => format!("{number} … {high}"),
                    _ => format!("{low} … {high}"),
                }
            }
        })
    }

    /// `2.01 × (1.99 … 2.05 ×)`
    pub fn in_words(&self) -> String {
        let value = self.value_in_words();
        match self.interval_in_words() {
            Some(interval) => format!("{value} ({interval})"),
            None if self.rounds < MIN_ROUNDS as u64 => format!("{value} ({} rounds)", self.rounds),
            None => value,
        }
    }

    fn in_unit(&self, value: f64) -> String {
        match self.unit {
            Unit::Times => times(value),
            Unit::Seconds => seconds(value),
            Unit::Bytes if value.round() < 0.0 => format!("-{}", bytes(value.abs().round() as u64)),
            Unit::Bytes => bytes(value.round() as u64),
            Unit::Count if value == value.round() || value >= 100.0 => count(value.max(0.0).round() as u64),
            Unit::Count => significant(value),
        }
    }
}

/// Whether something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The whole interval says so.
    Yes,
    /// The whole interval says otherwise.
    No,
    /// The rounds do not tell.
    Unclear,
}

impl Answer {
    /// Whether the whole interval says so.
    pub fn is_yes(self) -> bool {
        self == Self::Yes
    }

    /// Whether the whole interval says otherwise.
    pub fn is_no(self) -> bool {
        self == Self::No
    }

    /// Whether the opposite is so.
    pub fn opposite(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unclear => Self::Unclear,
        }
    }
}

/// Two strategies, one against the other, by something of which less is better.
#[derive(Debug, Clone)]
pub struct Contest {
    /// Whether ours is less, by more than the margin.
    pub ours_less: Answer,
    /// Whether theirs is.
    pub theirs_less: Answer,
    /// What says so.
    pub evidence: Evidence,
}

impl Contest {
    /// Judges `comparison`: a claim that ours is less by more than the margin is refuted where the whole interval lies on the
    /// other side of the margin, be it because theirs is less or because there is nothing between them.
    pub fn of(comparison: &Comparison, evidence: Evidence) -> Self {
        let (ours_less, theirs_less) = match comparison.interval {
            None => (Answer::Unclear, Answer::Unclear),
            Some(Interval { low, high }) => {
                let margin = 1.0 + comparison.margin;
                (beyond(high, low, margin.recip()), beyond(low.recip(), high.recip(), margin.recip()))
            }
        };
        Self { ours_less, theirs_less, evidence }
    }

    /// Why it is not clear.
    pub fn doubt(&self) -> String {
        let Evidence { what, rounds, .. } = &self.evidence;
        let interval = self.evidence.interval_in_words();
        match interval {
            None => format!("{what}: {rounds} rounds are too few for a verdict, which takes {MIN_ROUNDS}"),
            Some(interval) => format!("{what}: {rounds} rounds do not tell ({interval})"),
        }
    }
}

/// Whether all of an interval is below `limit`: all if its `far` end is, none if its `near` end is not.
fn beyond(far: f64, near: f64, limit: f64) -> Answer {
    if far < limit {
        Answer::Yes
    } else if near >= limit {
        Answer::No
    } else {
        Answer::Unclear
    }
}

/// `2, 8 and 32`
pub fn list(counts: &[u64]) -> String {
    let all: Vec<String> = counts.iter().map(|tasks| count(*tasks)).collect();
    match all.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "none".into(),
    }
}

/// With how many tasks the rounds do not tell whether the pool wins, which is an `answer` to a contest; nothing if they always do.
pub fn untold(races: &[(u64, Contest)], answer: fn(&Contest) -> Answer) -> String {
    let of_counts = races.iter().filter(|(_, race)| answer(race) == Answer::Unclear);
    let counts: Vec<u64> = of_counts.map(|(tasks, _)| *tasks).collect();
    match counts.is_empty() {
        true => String::new(),
        false => format!("; whether with {} the rounds do not tell", list(&counts)),
    }
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in a sentence or two; where it depends, on what, and where it turns.
    pub why: String,
    /// What that rests on.
    pub evidence: Vec<Evidence>,
}

impl Judgement {
    /// `verdict` for the reason `why`.
    pub fn new(verdict: Verdict, why: impl Into<String>, evidence: Vec<Evidence>) -> Self {
        Self { verdict, why: why.into(), evidence }
    }

    /// What two things come to, both of which a claim says: each with a word for it.
    pub fn of_both(parts: [(&str, &Contest, Answer); 2], holds: &str, evidence: Vec<Evidence>) -> Self {
        let [(one, _, first), (other, _, second)] = parts;
        if let Some((_, contest, _)) = parts.iter().find(|(.., answer)| *answer == Answer::Unclear) {
            return Self::new(Verdict::NotTested, contest.doubt(), evidence);
        }
        match (first.is_yes(), second.is_yes()) {
            (true, true) => Self::new(Verdict::Holds, format!("{holds} {one} and {other}"), evidence),
            (false, false) => {
                Self::new(Verdict::DoesNotHold, format!("{holds} neither {one} nor {other}"), evidence)
            }
            (true, false) => Self::new(Verdict::Depends, format!("{holds} {one}, but not {other}"), evidence),
            (false, true) => Self::new(Verdict::Depends, format!("{holds} {other}, but not {one}"), evidence),
        }
    }

    /// What a claim comes to: `own` is the case that it speaks of, and decides. Another one `beside` it only tells where it turns,
    /// so that it matters only where somebody is clearly the first: where the rounds do not tell, a repetition would say
    /// something else. Both with words for it; `who` is said to win them.
    pub fn with_aside([own, beside]: [(&str, &Contest); 2], who: &str, evidence: Vec<Evidence>) -> Self {
        let ((case, own), (other, beside)) = (own, beside);
        let (verdict, why) = match (own.ours_less, beside.ours_less, beside.theirs_less) {
            (Answer::Unclear, ..) => (Verdict::NotTested, own.doubt()),
            (Answer::Yes, Answer::Yes, _) => (Verdict::Holds, format!("{who} wins {case} and {other}")),
            (Answer::Yes, _, Answer::Yes) => {
                (Verdict::Depends, format!("{who} wins {case}, but loses {other}"))
            }
            (Answer::Yes, Answer::No, Answer::No) => {
                (Verdict::Holds, format!("{who} wins {case}; {other} there is nothing between them"))
            }
            (Answer::Yes, Answer::No, _) => {
                (Verdict::Holds, format!("{who} wins {case}; {other} it does not"))
            }
            (Answer::Yes, ..) => {
                (Verdict::Holds, format!("{who} wins {case}; {other} the rounds do not tell"))
            }
            (Answer::No, Answer::Yes, _) => (Verdict::Depends, format!("{who} wins {other}, but not {case}")),
            (Answer::No, Answer::No, _) => {
                (Verdict::DoesNotHold, format!("{who} wins neither {case} nor {other}"))
            }
            (Answer::No, Answer::Unclear, _) => {
                (Verdict::DoesNotHold, format!("{who} does not win {case}; {other} the rounds do not tell"))
            }
        };
        Self::new(verdict, why, evidence)
    }

    /// What one thing comes to that a claim says.
    pub fn of_one(
        contest: &Contest,
        answer: Answer,
        [yes, no]: [String; 2],
        evidence: Vec<Evidence>,
    ) -> Self {
        match answer {
            Answer::Yes => Self::new(Verdict::Holds, yes, evidence),
            Answer::No => Self::new(Verdict::DoesNotHold, no, evidence),
            Answer::Unclear => Self::new(Verdict::NotTested, contest.doubt(), evidence),
        }
    }
}
