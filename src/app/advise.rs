//! Which strategy to use for a workload: races among many, then an answer.

use std::io::Write;
use std::time::{Duration, Instant};

use clap::CommandFactory;
use clap::parser::ValueSource;

use super::benchmark::{ignore_closed_pipe, spec};
use super::failure::{Failure, usage};
use crate::cli::{Advise as Typed, Cli};
use crate::document::{Document, Tool};
use crate::engine::Engine;
use crate::experiment::RunError;
use crate::experiment::course::{Course, Took};
use crate::experiment::schedule::Phase;
use crate::experiment::workbench::{Job, Workbench};
use crate::plan::draft::{Draft, StrategyDraft};
use crate::plan::inputs::make_output_folder;
use crate::plan::{Plan, PlanError};
use crate::report::json::export;
use crate::report::progress::{Part, Progress};
use crate::report::target::Target;
use crate::stats::MIN_ROUNDS;
use crate::study::advise::document::{Advice, Candidate, Kind, SCHEMA_VERSION};
use crate::study::advise::{Arena, Runner, alive, candidates, fastest_given_up, race};
use crate::study::standing::Standing;
use crate::{exit, report};

const DEFAULT_SECONDS: f64 = 60.0;
/// When each race is to be over, and the finals, as parts of the whole time.
const RACES_OVER: [f64; 2] = [0.45, 0.7];
const FINALS_OVER: f64 = 0.95;
/// Those who may be in the finals.
const MOST_FINALISTS: usize = 4;
/// Rounds of the finals, unless said otherwise.
const FINAL_ROUNDS: u64 = 30;

/// Searches, shows and exports the answer.
pub fn run(typed: &Typed) -> Result<i32, Failure> {
    let started_at = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    refuse(typed)?;
    let flags = &typed.benchmark;
    let spec = spec(flags)?;
    if flags.args_from.as_deref().or(spec.workload.args_from.as_deref()) == Some("-") {
        return Err(usage(
            "lines of standard input can be read only once: expected a file after --args-from",
        ));
    }
    let says_rows = !spec.strategies.is_empty() || !flags.mode.is_empty() || !flags.engine.is_empty();
    let draft = flags.over(spec).map_err(usage)?;
    let bench = Workbench::new()?;
    let plan = bench.check(draft.clone())?.plan().clone();
    let json = flags.json.as_deref().map(Target::open).transpose();
    let json = json.map_err(|error| usage(format!("{error:#}")))?;
    make_output_folder(&plan)?;
    if flags.command.is_empty() && flags.worker.is_none() {
        ignore_closed_pipe(report::plan::write_program(&plan, &mut anstream::stderr().lock()))?;
    }
    let limit = typed.time_limit.map_or(DEFAULT_SECONDS, |limit| limit.0);
    let mut search = Search {
        bench,
        draft,
        started: Instant::now(),
        limit,
        progress: Progress::new(flags.quiet),
        known: Vec::new(),
        next: None,
        candidates: Vec::new(),
        races: Vec::new(),
    };
    let own = if says_rows { search.draft.strategies.clone() } else { Vec::new() };
    let ended = search.finalists(&own, &plan);
    let (finalists, finals) = match ended {
        Ok(finalists) => {
            let finals = search.finals(&finalists, flags.rounds.map_or(FINAL_ROUNDS, |rounds| rounds.0))?;
            (finalists, Some(finals))
        }
        Err(Ended::Interrupted) => (Vec::new(), None),
        Err(Ended::OutOfTime) => {
            let message = format!(
                "not even a few tasks of each strategy could be tried within the time limit of {}: expected a longer --time-limit, or shorter tasks",
                report::numbers::seconds(limit)
            );
            return Err(Failure::new(exit::LIMIT, message));
        }
        Err(Ended::Failed(failure)) => return Err(failure),
    };
    search.progress.finish();
    let standing = finals.as_ref().and_then(Standing::of);
    let failed = search.races.iter().chain(&finals).any(|document| document.tasks_failed() > 0);
    let partial = finals.as_ref().is_none_or(|document| document.partial);
    if standing.is_none() && !partial {
        let message = format!(
            "no strategy could finish a round for the answer within the time limit of {}: expected a longer --time-limit, or fewer --tasks",
            report::numbers::seconds(limit)
        );
        return Err(Failure::new(exit::LIMIT, message));
    }
    let advice = Advice {
        kind: Kind::Advice,
        schema_version: SCHEMA_VERSION,
        partial,
        tool: Tool::this(),
        started_at,
        command_line: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
        time_limit_seconds: limit,
        elapsed_seconds: search.started.elapsed().as_secs_f64(),
        candidates: search.candidates,
        races: search.races,
        command: command(&finalists, standing.as_ref(), search.draft.run.baseline.is_some())?,
        standing,
        finals,
    };
    show(&advice, json)?;
    Ok(match (advice.partial, failed) {
        (true, _) => exit::INTERRUPTED,
        (false, true) => exit::FAILURE,
        (false, false) => exit::SUCCESS,
    })
}

/// Refuses what the search is to find.
fn refuse(typed: &Typed) -> Result<(), Failure> {
    let flags = &typed.benchmark;
    for (given, name, instead) in [
        (flags.workers.is_some(), "--workers", "the search finds how many"),
        (flags.chunk.is_some(), "--chunk", "the search finds which"),
        (flags.in_flight.is_some(), "--in-flight", "the search finds how many"),
        (flags.transport.is_some(), "--transport", "the search finds which"),
        (flags.time_budget.is_some(), "--time-budget", "--time-limit is for the whole search"),
        (flags.precision.is_some(), "--precision", "--time-limit says how much is measured"),
        (flags.overhead, "--overhead", "a search has no row of empty tasks"),
        (flags.warmup.is_some(), "--warmup", "finalists have one round to warm up"),
        (flags.dry_run, "--dry-run", "what a search runs depends on what it finds"),
        (flags.baseline.is_some(), "--baseline", "all are compared with the best"),
    ] {
        if given {
            return Err(usage(format!("{name} has no meaning for advice: {instead}")));
        }
    }
    Ok(())
}

struct Search {
    bench: Workbench,
    draft: Draft,
    started: Instant,
    limit: f64,
    progress: Progress,
    /// Plans of rows that were looked at, so that none is twice.
    known: Vec<crate::engine::Strategy>,
    /// The fastest of those that were given up.
    next: Option<Racer>,
    candidates: Vec<Candidate>,
    races: Vec<Document>,
}

/// A row that has raced.
#[derive(Debug, Clone)]
struct Racer {
    row: StrategyDraft,
    /// The median of its rounds, or what a few tasks said of them.
    seconds: f64,
}

/// Why there are no finalists.
enum Ended {
    /// Before anybody had a round.
    OutOfTime,
    Interrupted,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Ended {
    fn from(failure: E) -> Self {
        Self::Failed(failure.into())
    }
}

/// The error of a course, where an interrupt is none.
fn ended(error: RunError) -> Ended {
    match error {
        RunError::Interrupted => Ended::Interrupted,
        error => Ended::Failed(error.into()),
    }
}

impl Search {
    /// Who comes into the finals: the best of two races, the second among those near the best of the first.
    fn finalists(&mut self, own: &[StrategyDraft], plan: &Plan) -> Result<Vec<Racer>, Ended> {
        let cores = self.bench.machine().effective_cores;
        let mut engines: Vec<Engine> = own.iter().map(|row| row.engine.unwrap_or(Engine::Native)).collect();
        engines.sort_by_key(|engine| *engine as u8);
        engines.dedup();
        if engines.is_empty() {
            engines.push(Engine::Native);
        }
        let mut rows: Vec<StrategyDraft> =
            own.iter().map(|row| StrategyDraft { name: None, ..row.clone() }).collect();
        rows.extend(candidates::broad(&plan.workload, cores, &engines));
        let rows = self.runnable(rows)?;
        let mut leaders = self.race(rows)?;
        let near =
            leaders.iter().take(2).flat_map(|racer| candidates::near(&racer.row, plan, cores)).collect();
        leaders.truncate(MOST_FINALISTS);
        let near = self.runnable(near)?;
        if near.is_empty() || self.left(RACES_OVER[1]) <= 0.0 {
            return Ok(self.with_next(leaders));
        }
        let rows = leaders.iter().map(|racer| racer.row.clone()).chain(near).collect();
        let mut finalists = match self.race(rows) {
            Err(Ended::OutOfTime) => leaders,
            finalists => finalists?,
        };
        finalists.truncate(MOST_FINALISTS);
        Ok(self.with_next(finalists))
    }

    /// `finalists`; if there is only one, with the fastest that was given up, so that the answer can say by how much it is
    /// better, provided that there is time for as many rounds of both as an interval takes.
    fn with_next(&self, mut finalists: Vec<Racer>) -> Vec<Racer> {
        if let ([only], Some(next)) = (finalists.as_slice(), &self.next) {
            let rounds = MIN_ROUNDS as f64 + 1.0;
            if rounds * (only.seconds + next.seconds) <= self.left(FINALS_OVER) {
                finalists.push(next.clone());
            }
        }
        finalists
    }

    /// Those of `rows` that this machine can run and that nobody has looked at.
    fn runnable(&mut self, rows: Vec<StrategyDraft>) -> Result<Vec<StrategyDraft>, Ended> {
        let mut kept = Vec::new();
        let mut refusal = None;
        for row in rows {
            match self.bench.check(self.draft_of(vec![row.clone()])) {
                Ok(checked) => {
                    let Some(strategy) = checked.plan().strategies.first().cloned() else { continue };
                    let same = |other: &crate::engine::Strategy| {
                        (other.engine, other.mode, &other.settings)
                            == (strategy.engine, strategy.mode, &strategy.settings)
                    };
                    if !self.known.iter().any(same) {
                        self.known.push(strategy);
                        kept.push(row);
                    }
                }
                Err(error) => refusal = Some(error),
            }
        }
        match refusal {
            Some(error) if self.known.is_empty() => Err(PlanError::into(error)),
            _ => Ok(kept),
        }
    }

    fn draft_of(&self, rows: Vec<StrategyDraft>) -> Draft {
        let mut draft = self.draft.clone();
        draft.run.baseline = None;
        let of_python = rows.iter().any(|row| row.engine == Some(Engine::Python));
        draft.run.python = draft.run.python.filter(|_| of_python);
        Draft { strategies: rows, found: None, ..draft }
    }

    fn job(&mut self, rows: &[StrategyDraft]) -> Result<Job, Failure> {
        let checked = self.bench.check(self.draft_of(rows.to_vec()))?;
        Ok(self.bench.prepare(checked)?)
    }

    /// Time until `part` of all is over, in seconds.
    fn left(&self, part: f64) -> f64 {
        self.limit * part - self.started.elapsed().as_secs_f64()
    }

    /// Races `rows`, and returns those who are left, the fastest first.
    fn race(&mut self, rows: Vec<StrategyDraft>) -> Result<Vec<Racer>, Ended> {
        let number = self.races.len() + 1;
        let job = self.job(&rows)?;
        let mut course = Course::begin(job, self.bench.signals()).map_err(ended)?;
        let part = format!("race {number}");
        let over = self.started + Duration::from_secs_f64(self.limit * RACES_OVER[(number - 1).min(1)]);
        let mut observer = Part::new(&mut self.progress, part.clone());
        let estimate = course.pilot(over, &mut observer).map_err(ended)?.ok_or(Ended::OutOfTime)?;
        let expected: Vec<f64> = estimate.rounds.iter().map(|round| round.round_seconds).collect();
        let mut ground = Ground { course, over, progress: &mut self.progress, part };
        let outcome = race(&mut ground, &expected, 2);
        let Ground { course, .. } = ground;
        let interrupted = self.bench.signals().stop_wanted();
        self.races.push(course.finish(interrupted));
        let runners = outcome?;
        self.note(number, &rows, &runners);
        let racer = |at: usize| Racer { row: rows[at].clone(), seconds: runners[at].typical_seconds() };
        let given_up = fastest_given_up(&runners).map(racer);
        let both = self.next.take().into_iter().chain(given_up);
        self.next = both.min_by(|a, b| a.seconds.total_cmp(&b.seconds));
        Ok(alive(&runners).into_iter().map(racer).collect())
    }

    fn note(&mut self, race: usize, rows: &[StrategyDraft], runners: &[Runner]) {
        let noted = rows.iter().zip(runners).map(|(row, runner)| Candidate {
            strategy: row.to_string(),
            race,
            expected_seconds: runner.expected,
            rounds: runner.rounds.len(),
            gave_up: runner.gave_up,
        });
        self.candidates.extend(noted);
    }

    /// Rounds from which the answer is taken: memory once, then time.
    fn finals(&mut self, finalists: &[Racer], rounds: u64) -> Result<Document, Failure> {
        let rows: Vec<StrategyDraft> = finalists.iter().map(|racer| racer.row.clone()).collect();
        let job = self.job(&rows)?;
        let over = self.started + Duration::from_secs_f64(self.limit * FINALS_OVER);
        let mut course = Course::begin(job, &self.bench.signals().until(over))?;
        let mut observer = Part::new(&mut self.progress, "finals".into());
        let all: Vec<usize> = (0..rows.len()).collect();
        let mut carry_out = || -> Result<(), RunError> {
            let left = || over.saturating_duration_since(Instant::now()).as_secs_f64();
            let by_races: f64 = finalists.iter().map(|racer| racer.seconds).sum();
            // Time is what is asked first: if there is no room for both, it is memory that goes.
            if left() > 2.0 * by_races {
                for place in &all {
                    course.memory(*place, &mut observer)?;
                }
            }
            for round in 0..rounds {
                let expected: f64 =
                    course.expected_seconds().iter().filter(|seconds| seconds.is_finite()).sum();
                // The first is tried in any case: it is ended when the time is up.
                if round > 0 && left() < expected {
                    break;
                }
                course.round(Phase::Timed, &all, &|_| None, &mut observer)?;
            }
            Ok(())
        };
        match carry_out() {
            Ok(()) | Err(RunError::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(course.finish(self.bench.signals().stop_wanted()))
    }
}

/// A race on this machine.
struct Ground<'a> {
    course: Course,
    over: Instant,
    progress: &'a mut Progress,
    part: String,
}

impl Arena for Ground<'_> {
    type Error = Ended;

    fn round(&mut self, which: &[usize], patience: f64) -> Result<Vec<(usize, Took)>, Ended> {
        let left = self.seconds_left();
        if left <= 0.0 {
            return Ok(Vec::new());
        }
        let patience = |_| Some(Duration::from_secs_f64(patience.min(left).min(1e9)));
        let mut observer = Part::new(self.progress, self.part.clone());
        let took = self.course.round(Phase::Timed, which, &patience, &mut observer).map_err(ended)?;
        // What was ended because all time was up says nothing of who was ended.
        Ok(if self.seconds_left() <= 0.0 { Vec::new() } else { took })
    }

    fn seconds_left(&self) -> f64 {
        self.over.saturating_duration_since(Instant::now()).as_secs_f64()
    }
}

/// What runs the finalists again as one benchmark, the best first: what was typed of the workload, with their rows.
fn command(
    finalists: &[Racer],
    standing: Option<&Standing>,
    spec_has_baseline: bool,
) -> Result<Vec<String>, Failure> {
    const OF_THE_SEARCH: [&str; 8] =
        ["mode", "engine", "start", "api", "max_tasks_per_child", "evaluator", "json", "time_limit"];
    const OF_THE_SCREEN: [&str; 2] = ["quiet", "rounds"];
    let Some(standing) = standing else { return Ok(Vec::new()) };
    let mut command = Cli::command();
    let matches = command.clone().try_get_matches().map_err(anyhow::Error::from)?;
    let Some(("advise", typed)) = matches.subcommand() else { return Ok(Vec::new()) };
    let has_python = finalists.iter().any(|racer| racer.row.engine == Some(Engine::Python));
    let mut words = vec!["procbench".to_owned()];
    let mut program = Vec::new();
    let verb = command.find_subcommand_mut("advise").into_iter().flat_map(|verb| verb.get_arguments());
    for argument in verb {
        let id = argument.get_id().as_str();
        let is_typed = typed.value_source(id) == Some(ValueSource::CommandLine);
        let is_idle = id == "python" && !has_python;
        if !is_typed || is_idle || OF_THE_SEARCH.contains(&id) || OF_THE_SCREEN.contains(&id) {
            continue;
        }
        let raw = typed.get_raw(id).into_iter().flatten().map(|word| word.to_string_lossy().into_owned());
        match argument.get_long() {
            None => program.extend(raw),
            Some(long) if argument.get_action().takes_values() => {
                for value in raw {
                    words.extend([format!("--{long}"), value]);
                }
            }
            Some(long) => words.push(format!("--{long}")),
        }
    }
    let mut rows: Vec<String> = finalists.iter().map(|racer| racer.row.to_string()).collect();
    rows.sort_by_key(|row| *row != standing.best);
    words.extend(["--mode".into(), rows.join(",")]);
    // The spec's may not be among the finalists.
    if spec_has_baseline {
        words.extend(["--baseline".into(), standing.best.clone()]);
    }
    if !program.is_empty() {
        words.push("--".into());
        words.extend(program);
    }
    Ok(words)
}

fn show(advice: &Advice, json: Option<Target>) -> Result<(), Failure> {
    if let Some(target) = &json {
        target.write(&export(advice)?)?;
    }
    if !matches!(json, Some(Target::StandardOutput)) {
        let mut out = anstream::stdout().lock();
        ignore_closed_pipe(report::advise::write(advice, &mut out).and_then(|()| out.flush()))?;
    }
    if let Some(finals) = &advice.finals {
        ignore_closed_pipe(report::write_warnings(&finals.warnings, &mut anstream::stderr().lock()))?;
    }
    Ok(())
}
