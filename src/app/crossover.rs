//! The value of a flag at which the faster of two strategies changes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::benchmark::{ignore_closed, is_of_a_file};
use super::cells::{Cells, all_alike};
use super::exports;
use super::failure::{Failure, refuse_no_time, time_limit_too_short, usage};
use crate::cli::Crossover as Typed;
use crate::document::SpeedUp;
use crate::document::head::{Head, Kind};
use crate::experiment::RunError;
use crate::experiment::course::{Course, Took};
use crate::experiment::schedule::Phase;
use crate::experiment::workbench::Workbench;
use crate::plan::Plan;
use crate::plan::inputs::make_folders_of_strategies;
use crate::plan::vary::{Key, Range, Unit, Value};
use crate::report::progress::{Part, Progress};
use crate::stats::{self, Verdict};
use crate::study::crossover::document::{Crossing, Crossovers, Point};
use crate::study::crossover::{CLEAR, Ended, Faster, Found, LEAST_ROUNDS, Measure, Measured, Rules, find};
use crate::{exit, report};

const DEFAULT_WIDTH: f64 = 0.1;
const DEFAULT_POINTS: u64 = 7;
const DEFAULT_ROUNDS: u64 = 40;
const DEFAULT_SECONDS: f64 = 60.0;

/// Searches, shows and exports what was found.
pub fn run(typed: &Typed) -> Result<i32, Failure> {
    let head = Head::now(Kind::Crossover);
    let (key, range) = over(&typed.over)?;
    refuse(typed, key)?;
    let rules = rules(typed, key, range)?;
    let mut flags = typed.benchmark.clone();
    flags.mode.clone_from(&typed.between);
    let cells = Cells::read(&flags)?;
    if let Some(variable) = cells.spec_varies().first() {
        return Err(usage(format!(
            "the spec has [vary] {}, which is for `procbench sweep`: in a search for a crossover --over says what varies",
            variable.key
        )));
    }
    let bench = Workbench::new()?;
    let between = check(&cells, key, &rules, &bench)?;
    let exports = exports::open(&flags)?;
    let time_limit_seconds = typed.time_limit.map_or(DEFAULT_SECONDS, |limit| limit.0);
    let started = Instant::now();
    let mut field = Field {
        cells: &cells,
        key,
        bench,
        courses: BTreeMap::new(),
        progress: Progress::new(flags.quiet),
        deadline: started + Duration::from_secs_f64(time_limit_seconds),
        interrupted: false,
    };
    let found = find(&mut field, &rules)?;
    field.progress.finish();
    if found.points.is_empty() && !field.interrupted {
        return Err(nothing_measured(&field, time_limit_seconds, rules.grid.len()));
    }
    let value = |number: f64| Value { text: key.text(number), number: Some(number) };
    let failed = field.courses.values().any(|begun| begun.course.tasks_failed() > 0);
    let grid = rules.grid.iter().map(|number| value(*number)).collect();
    let document = Crossovers {
        head: Head { partial: field.interrupted, ..head },
        out_of_time: found.out_of_time && !field.interrupted,
        key: key.name.into(),
        unit: key.unit,
        grid,
        low: value(range.low),
        high: value(range.high),
        width: rules.width,
        most_rounds: rules.most_rounds,
        time_limit_seconds,
        elapsed_seconds: started.elapsed().as_secs_f64(),
        crossings: found.crossings.iter().map(|crossing| named(crossing, &between, key)).collect(),
        points: points(found, &mut field.courses, field.interrupted, &value),
        between,
    };
    exports::show(&document, exports, |out| report::crossover::write(&document, out))?;
    let warnings = report::crossover::warnings(&document);
    ignore_closed(report::write_warnings(&warnings, &mut anstream::stderr().lock()))?;
    Ok(match (document.head.partial, failed) {
        (true, _) => exit::INTERRUPTED,
        (false, true) => exit::FAILURE,
        (false, false) => exit::SUCCESS,
    })
}

/// As for an advice that has none: not even the shortest of `values` had a round of both.
fn nothing_measured(field: &Field<'_>, limit: f64, values: usize) -> Failure {
    let fewer = if field.key.name == "tasks" { "a range of fewer tasks" } else { "fewer --tasks" };
    let pairs = field.courses.values().map(|begun| seconds_of_pair(&begun.course));
    let enough = pairs.reduce(f64::min).map(|pair| LEAST_ROUNDS as f64 * pair * values as f64);
    time_limit_too_short(limit, "no value could have a round of both strategies", enough, fewer)
}

/// `KEY=LOW..HIGH`
fn over(text: &str) -> Result<(&'static Key, Range), Failure> {
    let Some((key, range)) = text.split_once('=') else {
        return Err(usage(format!(
            "'{text}' is not a range of a flag: expected KEY=LOW..HIGH, such as io-wait=0..1s"
        )));
    };
    let key = Key::find(key).map_err(usage)?;
    let range = Range::parse(key, range).map_err(|error| usage(format!("{error} (in --over {text})")))?;
    Ok((key, range))
}

/// Refuses what has no meaning here.
fn refuse(typed: &Typed, key: &Key) -> Result<(), Failure> {
    let flags = &typed.benchmark;
    if typed.between.len() != 2 {
        let found = typed.between.len();
        return Err(usage(format!("--between has {found}: expected two strategies, such as pool,process")));
    }
    refuse_no_time(typed.time_limit.as_ref().map(|limit| limit.0))?;
    for (given, name, instead) in [
        (!flags.mode.is_empty(), "--mode", "--between says which strategies"),
        (flags.time_budget.is_some(), "--time-budget", "--time-limit is for the whole search"),
        (flags.precision.is_some(), "--precision", "--width says how narrow the interval is to be"),
        (flags.overhead, "--overhead", "a search has no row of empty tasks"),
        (flags.warmup.is_some(), "--warmup", "each value has one round to warm up"),
        (flags.dry_run, "--dry-run", "what a search runs depends on what it finds"),
        (flags.returns.is_some(), "--returns", "a single run keeps what functions return"),
        (key.is_set(&flags.flags()), key.name, "--over says what it is"),
    ] {
        if given {
            return Err(usage(format!("{name} has no meaning in a search for a crossover: {instead}")));
        }
    }
    Ok(())
}

fn rules(typed: &Typed, key: &'static Key, range: Range) -> Result<Rules, Failure> {
    const MOST_POINTS: u64 = 50;
    let points = typed.points.map_or(DEFAULT_POINTS, |points| points.0);
    if !(3..=MOST_POINTS).contains(&points) {
        return Err(usage(format!("--points is {points}: expected 3 to {MOST_POINTS}")));
    }
    let width = typed.width.map_or(DEFAULT_WIDTH, |width| width.0);
    if width < 0.01 {
        return Err(usage("--width is below 1%: expected more, values are rounded to three digits"));
    }
    let most_rounds = typed.benchmark.rounds.map_or(DEFAULT_ROUNDS, |rounds| rounds.0);
    if most_rounds < LEAST_ROUNDS as u64 {
        return Err(usage(format!(
            "--rounds is {most_rounds}: expected at least {LEAST_ROUNDS}, since with fewer nobody is told to be faster"
        )));
    }
    // Both ends are what was typed; rounded are those between.
    let (low, high) = (range.low, range.high);
    let between =
        range.spread_out(key, Some(points as usize)).into_iter().map(|value| typed_value(key, value));
    let between = between.filter(|value| low < *value && *value < high);
    let mut grid: Vec<f64> = [low].into_iter().chain(between).chain([high]).collect();
    grid.dedup();
    let nearest = match key.unit {
        Unit::Seconds => |value: f64| typed_value_of("io-wait", value),
        Unit::Bytes => |value: f64| typed_value_of("memory", value),
        Unit::Count | Unit::Word => |value: f64| typed_value_of("tasks", value),
    };
    Ok(Rules { grid, nearest, width, most_rounds: most_rounds as usize })
}

/// What is typed to get as near to `value` as can be.
fn typed_value(key: &Key, value: f64) -> f64 {
    key.number(&key.rounded(value)).unwrap_or(value)
}

fn typed_value_of(key: &str, value: f64) -> f64 {
    Key::find(key).map_or(value, |key| typed_value(key, value))
}

/// Checks both ends before anything is run, and returns what the strategies are called.
fn check(cells: &Cells, key: &Key, rules: &Rules, bench: &Workbench) -> Result<[String; 2], Failure> {
    let mut plans = Vec::new();
    for value in &rules.grid {
        plans.push(cells.check(&[(key.name, &key.text(*value))], bench)?.plan().clone());
    }
    if all_alike(&plans) {
        return Err(usage(format!(
            "{} makes no difference: both strategies say themselves what it is",
            key.name
        )));
    }
    refuse_one_and_the_same(&plans)?;
    if is_of_a_file(cells.flags()) {
        ignore_closed(report::plan::write_programs(&plans, &mut anstream::stderr().lock()))?;
    }
    let mut names = plans.into_iter().flat_map(|plan| plan.strategies).map(|row| row.name);
    let (Some(first), Some(second)) = (names.next(), names.next()) else {
        return Err(usage(
            "--engine makes more than two strategies: expected two, such as pool,py-pool after --between",
        ));
    };
    Ok([first, second])
}

/// Refuses two strategies that do the same at every value: which one is faster has no answer.
fn refuse_one_and_the_same(plans: &[Plan]) -> Result<(), Failure> {
    let are_same = |plan: &Plan| match plan.strategies.as_slice() {
        [first, second] => first.does_as(second),
        _ => false,
    };
    match plans.first() {
        Some(plan) if plans.iter().all(are_same) => {
            let [first, second] = [0, 1].map(|place| plan.strategies[place].name.as_str());
            // Whoever is there twice has a number behind its name.
            let said = match second.split('#').next() == Some(first) {
                true => format!("--between has {first} twice"),
                false => format!("{first} and {second} are one and the same here"),
            };
            Err(usage(format!("{said}: expected two strategies that differ")))
        }
        _ => Ok(()),
    }
}

/// Both strategies at any value.
struct Field<'a> {
    cells: &'a Cells,
    key: &'static Key,
    bench: Workbench,
    /// What was run at each value, by the value as typed.
    courses: BTreeMap<String, Begun>,
    progress: Progress,
    deadline: Instant,
    interrupted: bool,
}

/// What was run at a value.
struct Begun {
    course: Course,
    /// Processes and threads that all others had created before it was begun, if that is known.
    before: Option<u64>,
    /// How many times as long as a few tasks made it seem enough both are waited for.
    longer: u32,
}

impl Measure for Field<'_> {
    type Error = Failure;

    fn rounds(&mut self, value: f64, rounds: usize) -> Result<Measured, Failure> {
        let mut measured = Measured::default();
        measured.ended = match self.measure(&self.key.text(value), rounds, &mut measured.rounds) {
            Ok(()) => None,
            Err(Stop::Known(ended)) => Some(ended),
            Err(Stop::Interrupted) => {
                self.interrupted = true;
                Some(Ended::OutOfTime)
            }
            Err(Stop::Failure(failure)) => return Err(failure),
        };
        Ok(measured)
    }

    fn affords(&self, value: f64, rounds: usize) -> bool {
        let Some(begun) = self.courses.get(&self.key.text(value)) else { return true };
        let left = self.deadline.saturating_duration_since(Instant::now()).as_secs_f64();
        rounds as f64 * seconds_of_pair(&begun.course) <= MOST_FOR_ONE_VALUE * left
    }
}

/// The rounds of one value may take this part of the time that is left, as long as there is anything else to do.
const MOST_FOR_ONE_VALUE: f64 = 0.25;

/// Why there are fewer rounds than wanted.
enum Stop {
    Known(Ended),
    Interrupted,
    Failure(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Interrupted => Self::Interrupted,
            error => Self::Failure(error.into()),
        }
    }
}

const OUT_OF_TIME: Stop = Stop::Known(Ended::OutOfTime);

impl Field<'_> {
    fn measure(&mut self, value: &str, rounds: usize, ratios: &mut Vec<f64>) -> Result<(), Stop> {
        if !self.courses.contains_key(value) {
            self.begin(value)?;
        }
        for _ in 0..rounds {
            ratios.push(self.pair(value, Phase::Timed)?);
        }
        Ok(())
    }

    /// Tries a few tasks of both at `value`, and a round of each if that is short.
    fn begin(&mut self, value: &str) -> Result<(), Stop> {
        let mut observer = Part::new(&mut self.progress, format!("{}={value}", self.key.name));
        if Instant::now() >= self.deadline {
            return Err(OUT_OF_TIME);
        }
        let checked = self.cells.check(&[(self.key.name, value)], &self.bench)?;
        let job = self.bench.prepare(checked).map_err(Failure::from)?;
        make_folders_of_strategies(&job.plan).map_err(Failure::from)?;
        let before = forks_of(&self.courses);
        let mut course = self.bench.begin(job, self.bench.signals())?;
        if course.pilot(self.deadline, &mut observer)?.is_err() {
            return Err(OUT_OF_TIME);
        }
        let pair = seconds_of_pair(&course);
        // What takes seconds does not become faster by having been run before.
        let is_short = course.expected_seconds().iter().sum::<f64>() < 1.0;
        self.courses.insert(value.to_owned(), Begun { course, before, longer: 1 });
        let left = self.deadline.saturating_duration_since(Instant::now()).as_secs_f64();
        if LEAST_ROUNDS as f64 * pair > left {
            return Err(Stop::Known(Ended::TooLong));
        }
        if is_short {
            self.pair(value, Phase::WarmUp)?;
        }
        Ok(())
    }

    /// One round of each: the logarithm of the ratio of their times. One that takes several times as long as the other is not
    /// waited for, so its ratio is one that it has at least. Where that leaves open which one is faster, as where a few tasks
    /// promised shorter rounds of both, they are run again, and waited for longer.
    fn pair(&mut self, value: &str, phase: Phase) -> Result<f64, Stop> {
        let part = format!("{}={value}", self.key.name);
        let mut observer = Part::new(&mut self.progress, part);
        let Some(Begun { course, longer, .. }) = self.courses.get_mut(value) else { return Err(OUT_OF_TIME) };
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(OUT_OF_TIME);
            }
            let waits = [0, 1].map(|place| patience(course, place).saturating_mul(*longer).min(left));
            let took = course.round(phase, &[0, 1], &|place| waits.get(place).copied(), &mut observer)?;
            // Times of tasks that fail are not those of the work, and the faster one would be who fails first.
            if course.tasks_failed() > 0 {
                return Err(Stop::Known(Ended::TasksFailed));
            }
            let of = |wanted: usize| took.iter().find(|(place, _)| *place == wanted).map(|(_, took)| *took);
            if let Some(ratio) = of(0).zip(of(1)).and_then(|(first, second)| log_ratio(first, second)) {
                return Ok(ratio);
            }
            *longer = longer.saturating_mul(4);
        }
    }
}

/// The logarithm of first / second, or the least that it is known to be, if that says clearly which one is faster.
fn log_ratio(first: Took, second: Took) -> Option<f64> {
    let (times, is_known) = match (first, second) {
        (Took::Seconds(first), Took::Seconds(second)) => ((first, second), true),
        // Less would be the word of how long was waited, not of how long it takes.
        (Took::Longer(first), Took::Seconds(second)) => ((first, second), first > CLEAR * second),
        (Took::Seconds(first), Took::Longer(second)) => ((first, second), second > CLEAR * first),
        (Took::Longer(first), Took::Longer(second)) => ((first, second), false),
    };
    is_known.then(|| (times.0 / times.1).ln())
}

/// How long a round of the strategy at `place`, 0 or 1, is waited for, so that it can be told from the other at a glance.
fn patience(course: &Course, place: usize) -> Duration {
    const TIMES: f64 = 1.5 * CLEAR;
    const AT_LEAST: Duration = Duration::from_millis(200);
    let other = course.expected_seconds()[1 - place];
    Duration::from_secs_f64((TIMES * other).min(1e9)).max(AT_LEAST)
}

/// How long a round of the strategy at `place` should take in a pair, in seconds.
fn expected_in_a_pair(course: &Course, place: usize) -> f64 {
    course.expected_seconds()[place].min(patience(course, place).as_secs_f64())
}

/// How long a round of each should take in a pair, in seconds.
fn seconds_of_pair(course: &Course) -> f64 {
    [0, 1].map(|place| expected_in_a_pair(course, place)).iter().sum()
}

/// Processes and threads that all courses have created, if that is known.
fn forks_of(courses: &BTreeMap<String, Begun>) -> Option<u64> {
    courses.values().map(|begun| begun.course.own_forks()).sum()
}

fn named(crossing: &crate::study::crossover::Crossing, between: &[String; 2], key: &Key) -> Crossing {
    let value = |number: f64| Value { text: key.text(number), number: Some(number) };
    let (below, above) = match crossing.below {
        Faster::Second => (1, 0),
        _ => (0, 1),
    };
    Crossing {
        low: value(crossing.low),
        high: value(crossing.high),
        // It lies between values that were run; more than three digits of it nobody knows.
        estimate: Value { text: key.rounded(crossing.estimate), number: Some(crossing.estimate) },
        below: between[below].clone(),
        above: between[above].clone(),
        not_distinguished: crossing.not_distinguished.map(|(low, high)| [value(low), value(high)]),
    }
}

fn points(
    found: Found,
    courses: &mut BTreeMap<String, Begun>,
    partial: bool,
    value: &dyn Fn(f64) -> Value,
) -> Vec<Point> {
    let all = forks_of(courses);
    let points = found.points.into_iter().filter_map(|point| {
        let at = value(point.value);
        let Begun { course, before, .. } = courses.remove(&at.text)?;
        let known = all.zip(before).zip(course.own_forks());
        let others = known.and_then(|((all, before), own)| all.checked_sub(before + own));
        let document = course.finish_beside(others, partial);
        let (first, second) = (document.strategies.first()?, document.strategies.get(1)?);
        let run = &document.plan.run;
        let speed_up = stats::compare(&first.paired_with(second), run.margin, run.seed).map(SpeedUp::from);
        // How many rounds there are was up to what they had shown, so the search alone can judge.
        let verdict = match point.faster {
            Faster::First => Verdict::Faster,
            Faster::Second => Verdict::Slower,
            Faster::NotDistinguished => Verdict::NotDistinguished,
            Faster::TooFewRounds | Faster::Failed => Verdict::TooFewRounds,
        };
        let speed_up = speed_up.map(|speed_up| SpeedUp { verdict, ..speed_up });
        Some(Point { value: at, faster: point.faster, speed_up, document })
    });
    points.collect()
}
