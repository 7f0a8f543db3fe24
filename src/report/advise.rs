//! Advice for a person: the finalists, one answer, and how to see it again.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::bars;
use super::blocks::blocks;
use super::grid::{Cell, Grid, Tone, wrap};
use super::in_python;
use super::numbers::{bytes, count, seconds, seconds_range, times};
use super::plan::workload_in_words;
use super::sentence::{TASKS_FAILED, shared_machine};
use super::style::{DIM, TITLE, paint, plain};
use super::tables;
use crate::document::standing::{Outcome, Standing};
use crate::document::{Document, SpeedUp, StrategyResult};
use crate::measure::memory::Missing;
use crate::stats::{self, CLEARLY, Verdict};
use crate::study::advise::document::{Advice, Candidate, Finalist, Measured};
use crate::study::advise::{CAP, HOPELESS, Reason};

/// Writes everything that a person wants to see of `advice`.
///
/// # Errors
/// What writing to `out` says.
pub fn write(advice: &Advice, columns: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    if advice.finals.is_none() || advice.standing.is_none() {
        return wrap(&answer(advice)).iter().try_for_each(|line| writeln!(out, "{line}"));
    }
    for line in wrap(&title(advice)) {
        writeln!(out, "{}", paint(TITLE, &line))?;
    }
    writeln!(out)?;
    let (table, finalists) = (table(advice), advice.finalists());
    let times: Vec<bars::Value<'_>> = finalists.iter().filter_map(time_of).collect();
    let text = table.for_terminal();
    match columns.and_then(|columns| bars::beside(&times, text.trim_end(), columns)) {
        Some(both) => writeln!(out, "{both}")?,
        None => {
            blocks(&table).iter().try_for_each(|block| writeln!(out, "{block}"))?;
            if let Some(picture) = columns.and_then(|columns| bars::below(&times, columns)) {
                writeln!(out, "{picture}")?;
            }
        }
    }
    for line in wrap(&legend(advice)) {
        writeln!(out, "{}", paint(DIM, &line))?;
    }
    writeln!(out)?;
    let beaten = beaten_table(advice);
    if !beaten.rows.is_empty() {
        for block in blocks(&beaten) {
            writeln!(out, "{block}")?;
        }
    }
    for line in wrap(&answer(advice)) {
        writeln!(out, "{line}")?;
    }
    if advice.head.partial {
        writeln!(out, "The search was interrupted.")?;
    }
    // Each on one line, so that it can be copied.
    if let Some(line) = in_python(advice) {
        writeln!(out, "\n{}", plain(&line))?;
    }
    writeln!(out, "\n{}", plain(&command(advice)))
}

/// What is said where there is no answer.
const NO_ANSWER: &str = "The search was interrupted before there was an answer.";

/// Who had a round in the last race that has any, the fastest first.
pub fn so_far(races: &[Document]) -> Option<String> {
    let median = |row: &StrategyResult| Some(row.summary.as_ref()?.total_seconds.median);
    let had = |race: &&Document| race.strategies.iter().any(|row| median(row).is_some());
    let race = races.iter().rev().find(had)?;
    let mut known: Vec<(f64, &StrategyResult)> =
        race.strategies.iter().filter_map(|row| Some((median(row)?, row))).collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let of_each = known
        .iter()
        .map(|(median, row)| format!("{} {} in {}", row.name, seconds(*median), rounds(row.rounds.len())));
    Some(format!("So far, by medians: {}.", of_each.collect::<Vec<_>>().join("; ")))
}

/// The time of a finalist as it is drawn; `None` where there is none.
fn time_of(finalist: &Finalist) -> Option<bars::Value<'_>> {
    let Measured { median, ci_low, ci_high, .. } = finalist.total_seconds?;
    let ends = (ci_low.unwrap_or(median), ci_high.unwrap_or(median));
    bars::Value::of_time(&finalist.strategy, median, ends)
}

/// What it is about.
pub fn title(advice: &Advice) -> String {
    let some = advice.finals.as_ref().or(advice.races.first());
    some.map_or_else(
        || "Advice".into(),
        |run| workload_in_words(run.plan.name.as_deref(), &run.plan.workload),
    )
}

/// What a Python program has to say to do as is advised; `None` where that is not about a function of Python's.
pub fn in_python(advice: &Advice) -> Option<String> {
    let (finals, standing) = (advice.finals.as_ref()?, advice.standing.as_ref()?);
    let is_answer =
        standing.outcome != Outcome::Failed && undecided(standing, &Open::of(advice, finals)).is_none();
    is_answer.then(|| in_python::of(finals, &standing.best)).flatten()
}

/// What runs the finalists again.
pub fn command(advice: &Advice) -> String {
    let words = advice.command.iter().map(String::as_str);
    shlex::try_join(words).unwrap_or_else(|_| advice.command.join(" "))
}

/// The finalists, the best first.
pub fn table(advice: &Advice) -> Grid {
    let mut grid = Grid::new(&["strategy", "time", "interval", "peak memory", "as fast as it"]);
    let Some(standing) = &advice.standing else { return grid };
    grid.rows = advice.finalists().iter().map(|finalist| row(advice, finalist, standing)).collect();
    grid.without_empty_columns()
}

/// The nearest of those that the search gave up after a round or more, by the last race that each was in.
pub fn beaten_table(advice: &Advice) -> Grid {
    /// More than these nobody asks about; the exports have all of them.
    const NEAREST: usize = 5;
    let mut grid = Grid::new(&["given up in the search", "time", "× the fastest", "rounds", "why"]);
    let finalists = advice.finalists();
    let mut last: BTreeMap<&str, &Candidate> = BTreeMap::new();
    for candidate in advice.candidates.iter().filter(|candidate| candidate.rounds > 0) {
        last.insert(&candidate.strategy, candidate);
    }
    last.retain(|name, _| finalists.iter().all(|finalist| finalist.strategy != *name));
    let measured = last.into_values().filter_map(|candidate| {
        let own = median_in_race(advice, candidate.race, &candidate.strategy)?;
        Some((own / fastest_in_race(advice, candidate.race), own, candidate))
    });
    let mut measured: Vec<(f64, f64, &Candidate)> = measured.collect();
    measured.sort_by(|a, b| a.0.total_cmp(&b.0));
    grid.rows = measured
        .into_iter()
        .take(NEAREST)
        .map(|(factor, own, candidate)| {
            vec![
                Cell::new(&candidate.strategy),
                Cell::new(seconds(own)),
                Cell::new(times(factor)),
                Cell::new(count(candidate.rounds as u64)),
                Cell::dim(candidate.gave_up.map_or("for want of time", |reason| why(Some(reason)))),
            ]
        })
        .collect();
    grid
}

/// The median of a strategy in a race, from 1, in seconds, if it had a round in it.
fn median_in_race(advice: &Advice, race: usize, name: &str) -> Option<f64> {
    let race = advice.races.get(race.wrapping_sub(1))?;
    Some(race.strategies.iter().find(|row| row.name == name)?.summary.as_ref()?.total_seconds.median)
}

/// The smallest median of a race, from 1, in seconds.
fn fastest_in_race(advice: &Advice, race: usize) -> f64 {
    let rows = advice.races.get(race.wrapping_sub(1)).into_iter().flat_map(|race| &race.strategies);
    let medians = rows.filter_map(|row| Some(row.summary.as_ref()?.total_seconds.median));
    medians.fold(f64::INFINITY, f64::min)
}

/// Why somebody was given up.
fn why(reason: Option<Reason>) -> &'static str {
    match reason {
        None => "no",
        Some(Reason::Estimate) => "by an estimate",
        Some(Reason::Capped) => "in its round",
        Some(Reason::MuchSlower) => "much slower",
        Some(Reason::Slower) => "slower",
        Some(Reason::NoTime) => "for want of time",
        Some(Reason::NoPlace) => "four others as good",
    }
}

/// The mark of a peak that is known to be a lower bound.
fn least(advice: &Advice, strategy: &str) -> &'static str {
    let is_least = |finals: &Document| {
        let row = finals.strategies.iter().find(|row| row.name == strategy)?;
        Some(tables::is_lower_bound(finals, row.memory.as_ref()?))
    };
    if advice.finals.as_ref().and_then(is_least) == Some(true) { "≥ " } else { "" }
}

fn row(advice: &Advice, finalist: &Finalist, standing: &Standing) -> Vec<Cell> {
    let Finalist { strategy, total_seconds: time, peak_bytes: memory } = finalist;
    let interval = time.and_then(|time| time.interval());
    let is_best = *strategy == standing.best;
    let other = standing.others.iter().find(|other| other.strategy == *strategy);
    let lead = other.and_then(|other| other.speed_up).map_or_else(
        || if is_best { String::new() } else { "—".into() },
        |speed_up| match speed_up.verdict {
            Verdict::NotDistinguished => format!("{} =", times(speed_up.ratio)),
            Verdict::TooFewRounds => format!("{} *", times(speed_up.ratio)),
            Verdict::Faster | Verdict::Slower => times(speed_up.ratio),
        },
    );
    let or_dash = |text: Option<String>| Cell::new(text.unwrap_or_else(|| "—".into()));
    vec![
        Cell::new(strategy).with(if is_best { Tone::Good } else { Tone::Plain }),
        or_dash(time.map(|time| seconds(time.median))),
        or_dash(interval.map(|(low, high)| seconds_range(low, high))),
        or_dash(memory.map(|memory| format!("{}{}", least(advice, strategy), bytes(memory.median as u64)))),
        Cell::new(lead),
    ]
}

/// Everybody that was looked at, in the order of the races.
pub fn search_table(advice: &Advice) -> Grid {
    let mut grid = Grid::new(&["strategy", "race", "expected", "median", "rounds", "given up"]);
    grid.rows = advice
        .candidates
        .iter()
        .map(|candidate| {
            let median = median_in_race(advice, candidate.race, &candidate.strategy);
            let tone = if candidate.gave_up.is_some() { Tone::Dim } else { Tone::Plain };
            vec![
                Cell::new(&candidate.strategy),
                Cell::new(candidate.race.to_string()),
                candidate
                    .expected_seconds
                    .map_or_else(|| Cell::dim("—"), |expected| Cell::new(seconds(expected))),
                median.map_or_else(|| Cell::dim("—"), |median| Cell::new(seconds(median))),
                Cell::new(count(candidate.rounds as u64)),
                Cell::new(why(candidate.gave_up)).with(tone),
            ]
        })
        .collect();
    grid
}

/// What the search did, and what the marks in [`table`] mean.
pub fn legend(advice: &Advice) -> String {
    let gave_up = |reasons: &[Reason]| {
        let of = advice.candidates.iter().filter_map(|candidate| candidate.gave_up);
        of.filter(|reason| reasons.contains(reason)).count()
    };
    let had = advice.candidates.iter().map(|candidate| candidate.rounds).fold(0, usize::saturating_add);
    let tried = advice.candidates.iter().filter(|candidate| candidate.expected_seconds.is_some());
    let mut names: Vec<&str> = tried.map(|candidate| candidate.strategy.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let in_rounds = names.iter().filter(|name| had_rounds(advice, name)).count();
    let looked_at = match in_rounds {
        some if some < names.len() => {
            format!("{} strategies looked at, {some} of them in rounds", names.len())
        }
        _ => format!("{} strategies looked at", names.len()),
    };
    let mut notes =
        vec![format!("{looked_at}, in {}, with {}", seconds(advice.elapsed_seconds), rounds(had))];
    for (number, what) in [
        (gave_up(&[Reason::Estimate]), "given up by an estimate from a few tasks"),
        (gave_up(&[Reason::Capped, Reason::MuchSlower]), "in the first rounds"),
        (gave_up(&[Reason::Slower]), "later"),
        (gave_up(&[Reason::NoTime]), "for want of time"),
        (gave_up(&[Reason::NoPlace]), "since four others were as good"),
    ] {
        notes.extend((number > 0).then(|| format!("{number} {what}")));
    }
    notes.push(
        "times and memory are of rounds after the search, in 95 % of cases all intervals of times hold at once"
            .into(),
    );
    if advice.standing.as_ref().is_some_and(|standing| !standing.others.is_empty()) {
        notes.push("last column: how many times as fast as this one the best is".into());
    }
    let marks = advice.standing.iter().flat_map(|standing| &standing.others);
    let marks: Vec<Verdict> = marks.filter_map(|other| Some(other.speed_up?.verdict)).collect();
    if marks.contains(&Verdict::NotDistinguished) {
        notes.push("= not distinguished from it".into());
    }
    if marks.contains(&Verdict::TooFewRounds) {
        notes.push("* too few rounds to tell".into());
    }
    notes.join(" · ")
}

/// The answer, in a sentence or two.
pub fn answer(advice: &Advice) -> String {
    let (Some(finals), Some(standing)) = (&advice.finals, &advice.standing) else {
        return so_far(&advice.races)
            .map_or_else(|| NO_ANSWER.into(), |known| format!("{NO_ANSWER} {known}"));
    };
    if standing.outcome == Outcome::Failed {
        return TASKS_FAILED.into();
    }
    let finalists = advice.finalists();
    let best = finalists.first();
    let time =
        best.and_then(|best| best.total_seconds).map_or_else(String::new, |time| match time.interval() {
            Some((low, high)) => {
                format!(" It takes {} (95 % interval {})", seconds(time.median), seconds_range(low, high))
            }
            None => format!(
                " It took {} in {}, too few for an interval",
                seconds(time.median),
                rounds(time.rounds)
            ),
        });
    let open = Open::of(advice, finals);
    let is_open = !open.is_empty();
    let next = standing.others.iter().find(|other| !standing.not_distinguished.contains(&other.strategy));
    let lead = next.and_then(|next| {
        let SpeedUp { ratio, ci_low, ci_high, verdict, .. } = next.speed_up?;
        let (times_as_fast, name) = (times(ratio), &next.strategy);
        let which = match standing.not_distinguished.is_empty() {
            true if had_rounds(advice, name) && is_open => "the next in the finals",
            true if had_rounds(advice, name) => "the next",
            // Of those that were not let into a race nobody knows more.
            true => "by an estimate from a few tasks the next",
            false => "the next that it beats",
        };
        Some(match (verdict, ci_low.zip(ci_high)) {
            (Verdict::TooFewRounds, _) if next.is_clearly_slower => format!(
                " It was {times_as_fast} as fast as {name}, {which}: each of whose few rounds took more than {CLEARLY} times as long as its longest."
            ),
            (Verdict::TooFewRounds, _) => {
                format!(" It was {times_as_fast} as fast as {name}, in too few rounds to tell.")
            }
            (_, Some((low, high))) => {
                format!(
                    " It is {times_as_fast} as fast as {name}, {which} ({} to {}).",
                    times(low),
                    times(high)
                )
            }
            (_, None) => format!(" It is {times_as_fast} as fast as {name}, {which}."),
        })
    });
    let lead =
        lead.or_else(|| standing.others.is_empty().then(|| lead_in_search(advice, &standing.best)).flatten());
    let tied = match standing.not_distinguished.as_slice() {
        [] => String::new(),
        ties => format!(" Not distinguished from it: {}.", ties.join(", ")),
    };
    let memory = memory(finals, best, least(advice, &standing.best));
    let best = &standing.best;
    let begin = match undecided(standing, &open) {
        Some((want, of_which)) => {
            format!("Not decided, for want of {want}: raise --time-limit. {best} was the fastest {of_which}.")
        }
        None if open.untried > 0 => format!("Use {best}, of those that could be tried."),
        None => format!("Use {best}."),
    };
    let open = not_compared(&open);
    let others = shared_machine(finals).map_or_else(String::new, |told| format!(" {told}"));
    format!("{begin}{time}{memory}.{}{tied}{open}{others}", lead.unwrap_or_default())
}

/// For want of what there is no answer, and of which strategies the best was the fastest; `None` if there is one.
fn undecided(standing: &Standing, open: &Open<'_>) -> Option<(&'static str, &'static str)> {
    match standing.outcome {
        // Who is compared with nobody is no answer where others were not shown to be slower.
        Outcome::Alone if !open.is_empty() => Some(("time", "so far")),
        // Whoever happened to be ahead is no answer.
        Outcome::TooFewRounds => Some(("rounds", "so far")),
        // Those who were not let into the finals may be better, and do it in another way.
        _ if open.may_be_another_way(&standing.best) => Some(("time", "of the finals")),
        _ => None,
    }
}

/// Whether `name` had a round in any race.
fn had_rounds(advice: &Advice, name: &str) -> bool {
    advice.candidates.iter().any(|candidate| candidate.strategy == name && candidate.rounds > 0)
}

fn rounds(number: usize) -> String {
    if number == 1 { "1 round".into() } else { format!("{} rounds", count(number as u64)) }
}

/// What the best needs of memory, or why that is not known.
fn memory(finals: &Document, best: Option<&Finalist>, least: &str) -> String {
    let Some(best) = best else { return String::new() };
    if let Some(memory) = best.peak_bytes {
        let range = match memory.interval() {
            Some((low, high)) => format!("95 % interval {} to {}", bytes(low as u64), bytes(high as u64)),
            None => format!("in {}, too few for an interval", rounds(memory.rounds)),
        };
        let least = if least.is_empty() { "" } else { " at least" };
        return format!(", and{least} {} of memory at its peak ({range})", bytes(memory.median as u64));
    }
    let row = finals.strategies.iter().find(|row| row.name == best.strategy);
    let missing = row.and_then(|row| row.memory.as_ref()).map(|memory| memory.reading.peak_missing);
    let why = match missing {
        None => "there was no time for it".into(),
        Some(missing) => missing.unwrap_or(Missing::NoAccount).to_string(),
    };
    format!("; its memory was not measured: {why}")
}

/// Of those who were neither shown to be slower nor came into the finals, by their last race each: who they are, if they took
/// hardly longer than the fastest of that race, else how many; and how many had no round at all, with what a few tasks said of them.
fn not_compared(open: &Open<'_>) -> String {
    let others = |number: usize| if number == 1 { "other" } else { "others" };
    let mut text = match open.near.as_slice() {
        [] => String::new(),
        near => format!(" Not in the finals, though not shown to be slower: {}.", near.join(", ")),
    };
    if !open.as_good.is_empty() {
        text += &format!(" In the search as good, but for four others: {}.", open.as_good.join(", "));
    }
    if open.far > 0 {
        text += &format!(
            " {} {} took more than {NEAR} times as long as the fastest, in too few rounds to be sure.",
            open.far,
            others(open.far)
        );
    }
    if !open.never.is_empty() {
        let (least, most) = open.promised();
        let long = match open.never.len() {
            1 => format!("it would take {}", times(least)),
            _ => format!("they would take {} to {}", times(least), times(most)),
        };
        text += &format!(
            " {} {} had no round, for want of time: by a few tasks, {long} as long.",
            open.never.len(),
            others(open.never.len())
        );
    }
    if open.untried > 0 {
        text +=
            &format!(" {} {} could not even be tried, for want of time.", open.untried, others(open.untried));
    }
    text
}

/// Those who were neither shown to be slower nor came into the finals, by their last race each.
#[derive(Default)]
struct Open<'a> {
    /// Those that four others were as fast as, so that there was no place for them.
    as_good: Vec<&'a str>,
    /// Those that took hardly longer than the fastest of that race.
    near: Vec<&'a str>,
    /// How many took longer.
    far: usize,
    /// How many times as long as the fastest a few tasks promise, of each that had no round.
    never: Vec<f64>,
    /// How many were not tried at all.
    untried: usize,
}

impl<'a> Open<'a> {
    fn of(advice: &'a Advice, finals: &Document) -> Self {
        let mut open = Self::default();
        for (name, race) in left_open(advice, finals) {
            let fastest = fastest_in_race(advice, race);
            let own = median_in_race(advice, race, name);
            let candidate = advice.candidates.iter().rfind(|candidate| candidate.strategy == name);
            match (own, candidate) {
                (_, Some(candidate)) if candidate.gave_up == Some(Reason::NoPlace) => open.as_good.push(name),
                (Some(own), _) if own > NEAR * fastest => open.far += 1,
                (None, Some(candidate)) if !had_rounds(advice, name) => match candidate.expected_seconds {
                    Some(expected) => {
                        // Where nobody had a round in that race there is nothing to compare with but what was expected of others.
                        let of_race = advice.candidates.iter().filter(|other| other.race == race);
                        let expected_of = of_race.filter_map(|other| other.expected_seconds);
                        let least = if fastest.is_finite() {
                            fastest
                        } else {
                            expected_of.fold(f64::INFINITY, f64::min)
                        };
                        open.never.push(expected / least);
                    }
                    None => open.untried += 1,
                },
                _ => open.near.push(name),
            }
        }
        open
    }

    /// The least and the most of what a few tasks promise of those that had no round.
    fn promised(&self) -> (f64, f64) {
        let never = || self.never.iter().copied();
        (never().fold(f64::INFINITY, f64::min), never().fold(0.0, f64::max))
    }

    /// Whether somebody else may well be better than `best` who does it in another way: by another mode or engine.
    fn may_be_another_way(&self, best: &str) -> bool {
        let way = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
        self.near.iter().any(|name| way(name) != way(best)) || self.promised().0 < 1.0 / NEAR
    }

    fn is_empty(&self) -> bool {
        self.as_good.is_empty()
            && self.near.is_empty()
            && self.far == 0
            && self.never.is_empty()
            && self.untried == 0
    }
}

/// Who took so many times as long as the fastest is not named among those that are left open.
const NEAR: f64 = 1.25;

/// Those who were neither shown to be slower nor came into the finals, with their last race each.
fn left_open<'a>(advice: &'a Advice, finals: &Document) -> Vec<(&'a str, usize)> {
    let mut last: BTreeMap<&str, (usize, Option<Reason>)> = BTreeMap::new();
    for (place, candidate) in advice.candidates.iter().enumerate() {
        last.insert(&candidate.strategy, (place, candidate.gave_up));
    }
    let is_open = |name: &str, gave_up: Option<Reason>| {
        matches!(gave_up, None | Some(Reason::NoTime | Reason::NoPlace))
            && finals.strategies.iter().all(|row| row.name != name)
    };
    let mut open: Vec<(usize, &str)> = last
        .into_iter()
        .filter(|(name, (_, gave_up))| is_open(name, *gave_up))
        .map(|(name, (place, _))| (place, name))
        .collect();
    open.sort_unstable();
    open.into_iter().map(|(place, name)| (name, advice.candidates[place].race)).collect()
}

/// How much better the best was than the next while it was searched for: for an answer without rounds of any other.
fn lead_in_search(advice: &Advice, best: &str) -> Option<String> {
    let next = |race: &Document| {
        let best = race.strategies.iter().find(|row| row.name == best)?;
        let run = &race.plan.run;
        let others = race.strategies.iter().filter(|row| row.name != best.name);
        let compared = others.filter_map(|row| {
            let comparison = stats::compare(&best.paired_with(row), run.margin, run.seed)?;
            Some((row.name.clone(), SpeedUp::from(comparison)))
        });
        compared.min_by(|a, b| a.1.ratio.total_cmp(&b.1.ratio))
    };
    if let Some((name, speed_up)) = advice.races.iter().rev().find_map(next) {
        let interval = match (speed_up.ci_low, speed_up.ci_high) {
            (Some(low), Some(high)) => format!(" ({} to {})", times(low), times(high)),
            _ => ", in too few rounds for an interval".into(),
        };
        return Some(format!(
            " In the search it was {} as fast as {name}, the next{interval}.",
            times(speed_up.ratio)
        ));
    }
    let others = || advice.candidates.iter().filter(|candidate| candidate.strategy != best);
    let far = |reason: Option<Reason>| matches!(reason, Some(Reason::Estimate | Reason::Capped));
    let all_far = others().next().is_some() && others().all(|candidate| far(candidate.gave_up));
    all_far.then(|| {
        format!(" No other finished a round: each would take {HOPELESS} times as long, by a few tasks, or was ended after {CAP} times as long.")
    })
}
