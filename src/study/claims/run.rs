//! Claims put to the test: their runs are made, one after another, and their rules asked.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Circumstances, Claim, Effort, Evidence, Judgement, Replay, Sample, Stated, Verdict};
use crate::document::head::Kind;
use crate::document::{Document, SCHEMA_VERSION, Tool};
use crate::engine::Engine;
use crate::engine::python::ProbeError;
use crate::experiment::workbench::{PrepareError, Workbench};
use crate::experiment::{Event, Observer, RunError};
use crate::measure::shortage::{self, Lack};
use crate::plan::PlanError;
use crate::plan::units::Seconds;

/// What is to be put to the test.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which claims.
    pub claims: Vec<&'static Claim>,
    /// By whom.
    pub engines: Vec<Engine>,
    /// How much is measured.
    pub effort: Effort,
    /// Python's interpreter, unless it is the usual one.
    pub python: Option<PathBuf>,
}

/// All that came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimsReport {
    /// What this is: `claims`.
    #[serde(default = "claims")]
    #[schemars(extend("const" = Kind::Claims.name()))]
    pub kind: String,
    /// Raised whenever a field changes its meaning or goes away.
    #[schemars(extend("const" = SCHEMA_VERSION))]
    pub schema_version: u32,
    /// Whether it was interrupted: what had not been finished is not tested.
    pub partial: bool,
    /// What made this.
    pub tool: Tool,
    /// When, in UTC, as RFC 3339.
    pub started_at: String,
    /// What it took.
    pub elapsed_seconds: f64,
    /// Whether as little was measured as verdicts can be had for.
    pub quick: bool,
    /// Cores that could be used.
    pub effective_cores: u64,
    /// The claims, in the order of the articles.
    pub claims: Vec<Tested>,
}

/// The kind of an export that was written before it said so.
fn claims() -> String {
    Kind::Claims.name().into()
}

/// A claim with what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tested {
    /// What the article says.
    #[serde(flatten)]
    pub claim: Stated,
    /// What all engines come to.
    pub verdict: Verdict,
    /// What each found.
    pub findings: Vec<Finding>,
}

impl Tested {
    /// `holds`, and `holds (python)` where only that could tell.
    pub fn verdict_in_words(&self) -> String {
        let told = self.findings.iter().filter(|finding| finding.verdict != Verdict::NotTested);
        let told: Vec<&str> = told.map(|finding| finding.engine.name()).collect();
        let verdict = self.verdict.name();
        match told.len() {
            0 => verdict.to_owned(),
            all if all == self.findings.len() => verdict.to_owned(),
            _ => format!("{verdict} ({})", told.join(" and ")),
        }
    }
}

/// What was found by one engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Which.
    pub engine: Engine,
    /// What may be said.
    pub verdict: Verdict,
    /// Why; where it depends, on what, and where it turns.
    pub why: String,
    /// What that rests on.
    pub evidence: Vec<Evidence>,
    /// Whether a round was not valid or a task failed, so that something is broken rather than unmeasured.
    pub broken: bool,
    /// Whether it could not be tested since this machine could not run it: a limit, or a missing engine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lacking: bool,
    /// The runs, with every raw value.
    pub runs: Vec<Run>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The spec in `bench-configs/` that was replayed. What was changed of it is in the document's plan.
    pub spec: String,
    /// What came of it.
    pub document: Document,
}

impl ClaimsReport {
    /// Whether something is broken, so that verdicts are not to be relied on.
    pub fn broken(&self) -> bool {
        self.claims.iter().flat_map(|tested| &tested.findings).any(|finding| finding.broken)
    }

    /// Whether nothing could be tested, since this machine could not run it.
    pub fn lacks_all(&self) -> bool {
        self.claims.iter().flat_map(|tested| &tested.findings).all(|finding| finding.lacking)
    }
}

/// What `--quick` may take.
const QUICK: Duration = Duration::from_secs(120);
/// What the timed rounds of one strategy may take in a quick run, in seconds.
const QUICK_BUDGET_SECONDS: f64 = 6.0;
/// What it takes to end a run whose time is up, and to show what was found.
const QUICK_END: Duration = Duration::from_secs(2);
const QUICK_OVER: &str = "the two minutes of --quick were over";
/// With less than this it is no use to begin: what comes before the timed rounds of a strategy takes as long.
const LEAST_BUDGET_SECONDS: f64 = 0.5;

/// What the timed rounds of each of `strategies` may take in a quick run after so much of the two minutes; nothing if they are as
/// good as over. As much again is left to the rounds that are not timed; where those take longer, the run is ended.
fn quick_budget(elapsed: Duration, strategies: usize) -> Option<f64> {
    let left = (QUICK - QUICK_END).saturating_sub(elapsed).as_secs_f64() / (2 * strategies.max(1)) as f64;
    (left >= LEAST_BUDGET_SECONDS).then(|| left.min(QUICK_BUDGET_SECONDS))
}

/// Puts what is `wanted` to the test. Whatever cannot be had, also because it was interrupted, is not tested, for that reason.
pub fn test(bench: &mut Workbench, wanted: &Wanted, observer: &mut dyn Observer) -> ClaimsReport {
    let started = Instant::now();
    let started_at = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let effective_cores = bench.machine().effective_cores;
    let mut proceeding =
        Proceeding { bench, wanted, observer, started, tool: Tool::this(), python_missing: None };
    let mut tested: Vec<(usize, Tested)> =
        in_turn(wanted).into_iter().map(|place| (place, proceeding.claim(wanted.claims[place]))).collect();
    tested.sort_by_key(|(place, _)| *place);
    ClaimsReport {
        kind: claims(),
        schema_version: SCHEMA_VERSION,
        partial: proceeding.bench.signals().stop_wanted(),
        tool: proceeding.tool.clone(),
        started_at,
        elapsed_seconds: started.elapsed().as_secs_f64(),
        quick: wanted.effort == Effort::Quick,
        effective_cores,
        claims: tested.into_iter().map(|(_, tested)| tested).collect(),
    }
}

/// The places of the claims in the order in which they are put to the test: that of the articles, but in a quick run those first that take
/// little, so that a machine on which all takes longer leaves as few of them out as it can.
fn in_turn(wanted: &Wanted) -> Vec<usize> {
    let mut places: Vec<usize> = (0..wanted.claims.len()).collect();
    if wanted.effort == Effort::Quick {
        places.sort_by_key(|place| wanted.claims[*place].seconds);
    }
    places
}

struct Proceeding<'a> {
    bench: &'a mut Workbench,
    wanted: &'a Wanted,
    observer: &'a mut dyn Observer,
    started: Instant,
    tool: Tool,
    /// Why there is no Python, once that has been found out.
    python_missing: Option<String>,
}

/// Why there is no run.
struct Missing {
    why: String,
    broken: bool,
    /// Whether that is since a result is missing, wrong or at another task's place.
    wrong_results: bool,
    /// Whether this machine cannot run it.
    lacking: bool,
}

impl Missing {
    fn because(why: impl ToString) -> Self {
        Self { why: why.to_string(), broken: false, wrong_results: false, lacking: false }
    }

    /// Something is broken.
    fn broken(why: String) -> Self {
        Self { broken: true, ..Self::because(why) }
    }
}

/// How long the idle machine is looked at so that there is an interval of its p99, too.
const IDLE_FOR_A_P99: Duration = Duration::from_millis(4_200);

const INTERRUPTED: &str = "interrupted";

impl Proceeding<'_> {
    fn claim(&mut self, claim: &Claim) -> Tested {
        let engines: Vec<Engine> =
            self.wanted.engines.iter().copied().filter(|engine| claim.engines.contains(engine)).collect();
        let findings: Vec<Finding> = match engines.as_slice() {
            [] => {
                let can: Vec<&str> = claim.engines.iter().map(|engine| engine.name()).collect();
                let can = can.join(" or ");
                let why = format!("it is about the {can} engine: see --engine");
                vec![Finding::none(claim.engines[0], &Missing::because(why), Vec::new())]
            }
            engines => engines.iter().map(|engine| self.find(claim, *engine)).collect(),
        };
        Tested { claim: claim.into(), verdict: overall(&findings), findings }
    }

    fn find(&mut self, claim: &Claim, engine: Engine) -> Finding {
        let cores = self.bench.machine().effective_cores;
        let circumstances = Circumstances { engine, effort: self.wanted.effort, cores };
        let replays = (claim.replays)(&circumstances);
        let mut runs = Vec::new();
        for (number, replay) in (1..).zip(&replays) {
            let title = match replays.len() {
                1 => format!("{} · {}", claim.name, engine.name()),
                of => format!("{} · {} {number}/{of}", claim.name, engine.name()),
            };
            match self.run(replay, engine, title) {
                Ok(document) => runs.push(Run { spec: replay.spec.name.to_owned(), document }),
                Err(missing) => return Finding::without(claim, engine, &missing, runs),
            }
        }
        Finding::of(claim, engine, self.wanted.effort, runs)
    }

    fn run(&mut self, replay: &Replay, engine: Engine, title: String) -> Result<Document, Missing> {
        if self.bench.signals().stop_wanted() {
            return Err(Missing::because(INTERRUPTED));
        }
        let quick = self.wanted.effort == Effort::Quick;
        let mut draft = replay.draft(engine, self.wanted.python.as_ref()).map_err(Missing::because)?;
        if quick {
            let budget = quick_budget(self.started.elapsed(), draft.strategies.len())
                .ok_or_else(|| Missing::because(format!("{QUICK_OVER} before it was its turn")))?;
            draft.run.time_budget = Some(Seconds(budget));
        }
        if let Some(why) = self.python_missing.as_ref().filter(|_| draft.names(Engine::Python)) {
            return Err(Missing { lacking: true, ..Missing::because(why) });
        }
        let signals = match quick {
            true => self.bench.signals().until(self.started + QUICK - QUICK_END),
            false => self.bench.signals().clone(),
        };
        let mut job = match self.bench.prepare_under(self.bench.check(draft)?, &signals) {
            Ok(job) => job,
            Err(PrepareError::Python(ProbeError::Interrupted)) => return Err(self.cut_off()),
            Err(error) => {
                if let PrepareError::Python(ProbeError::Unusable(why)) = &error {
                    self.python_missing = Some(why.clone());
                }
                return Err(error.into());
            }
        };
        if !replay.needs_idle {
            job.setting.idle = Duration::ZERO;
        } else if !quick {
            job.setting.idle = IDLE_FOR_A_P99;
        }
        let document = match self.bench.run_under(&job, &signals, &mut Titled { title, inner: self.observer })
        {
            Ok(document) if document.partial => return Err(self.cut_off()),
            Err(RunError::Interrupted) => return Err(self.cut_off()),
            ended => ended?,
        };
        if let Some(why) = document.strategies.iter().find_map(|row| row.given_up.clone()) {
            return Err(Missing::broken(why));
        }
        match document.tasks_failed() {
            0 => Ok(document),
            failed => Err(Missing::broken(format!("{failed} tasks failed"))),
        }
    }

    /// Why a run has been ended before it was done.
    fn cut_off(&self) -> Missing {
        Missing::because(match self.bench.signals().stop_wanted() {
            true => INTERRUPTED.to_owned(),
            false => format!("{QUICK_OVER} while it was run"),
        })
    }
}

/// What a quick run may say of `claim`: that it does not hold of few tasks says nothing of many.
fn of_few(claim: &Claim, judged: Judgement) -> Judgement {
    match judged.verdict {
        Verdict::DoesNotHold | Verdict::Depends if claim.of_many => {
            let why = format!("with the few tasks of a quick run, which say nothing of many: {}", judged.why);
            Judgement { verdict: Verdict::NotTested, why, ..judged }
        }
        _ => judged,
    }
}

impl Finding {
    /// What is to be said of `claim` given all of its runs.
    fn of(claim: &Claim, engine: Engine, effort: Effort, runs: Vec<Run>) -> Self {
        let samples: Vec<Sample> =
            runs.iter().enumerate().map(|(place, run)| Sample::of(place, &run.document)).collect();
        match (claim.judge)(&samples) {
            Ok(judged) => {
                let Judgement { verdict, why, evidence } =
                    if effort == Effort::Quick { of_few(claim, judged) } else { judged };
                Self { engine, verdict, why, evidence, broken: false, lacking: false, runs }
            }
            Err(why) => Self::none(engine, &Missing::because(why), runs),
        }
    }

    /// That nothing can be said.
    fn none(engine: Engine, missing: &Missing, runs: Vec<Run>) -> Self {
        let Missing { why, broken, lacking, .. } = missing;
        let (verdict, evidence) = (Verdict::NotTested, Vec::new());
        Self { engine, verdict, why: why.clone(), evidence, broken: *broken, lacking: *lacking, runs }
    }
}

impl Finding {
    /// What is to be said of `claim` without all of its runs: a round that is not valid for its results refutes what is said of results.
    fn without(claim: &Claim, engine: Engine, missing: &Missing, runs: Vec<Run>) -> Self {
        let none = Self::none(engine, missing, runs);
        match claim.of_results && missing.wrong_results {
            true => Self { verdict: Verdict::DoesNotHold, ..none },
            false => none,
        }
    }
}

/// What all engines come to: what they agree on, or that it depends on them. Who could not test it has no say.
pub fn overall(findings: &[Finding]) -> Verdict {
    let mut said = findings.iter().map(|finding| finding.verdict).filter(|of| *of != Verdict::NotTested);
    let Some(first) = said.next() else { return Verdict::NotTested };
    if said.all(|verdict| verdict == first) { first } else { Verdict::Depends }
}

impl From<PlanError> for Missing {
    fn from(error: PlanError) -> Self {
        Self { lacking: matches!(error, PlanError::Limit(_)), ..Self::because(error) }
    }
}

impl From<PrepareError> for Missing {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Python(ProbeError::Interrupted) => Self::because(INTERRUPTED),
            PrepareError::Plan(error) => error.into(),
            PrepareError::Python(error) => Self { lacking: true, ..Self::because(error) },
            PrepareError::Other(error) => {
                let lacking = error.is::<Lack>() || shortage::behind(&error).is_some();
                Self { broken: !lacking, lacking, ..Self::because(format!("{error:#}")) }
            }
        }
    }
}

impl From<RunError> for Missing {
    fn from(error: RunError) -> Self {
        let want = match &error {
            RunError::Other(error) if error.is::<Lack>() => Some(format!("{error:#}")),
            RunError::Other(error) => shortage::behind(error),
            _ => None,
        };
        let lacking = want.is_some() || matches!(error, RunError::Limit(_));
        let broken = !lacking && matches!(error, RunError::Violation(_) | RunError::Other(_));
        let wrong_results = matches!(&error, RunError::Violation(invalid) if invalid.of_results);
        Self { why: want.unwrap_or_else(|| error.to_string()), broken, wrong_results, lacking }
    }
}

/// Says for which claim a round is.
struct Titled<'a> {
    title: String,
    inner: &'a mut dyn Observer,
}

impl Observer for Titled<'_> {
    fn notice(&mut self, event: Event<'_>) {
        match event {
            Event::RoundStarts { strategy, phase, round, of, tasks, expected } => {
                let strategy = format!("{} · {strategy}", self.title);
                let strategy = strategy.as_str();
                self.inner.notice(Event::RoundStarts { strategy, phase, round, of, tasks, expected });
            }
            // How long one of many runs takes is of no interest.
            Event::Estimated { .. } => {}
            event => self.inner.notice(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Invalid;

    fn finding(engine: Engine, verdict: Verdict) -> Finding {
        Finding {
            engine,
            verdict,
            why: String::new(),
            evidence: Vec::new(),
            broken: false,
            lacking: false,
            runs: Vec::new(),
        }
    }

    /// What README says of the claims was judged by these rules.
    #[test]
    fn recorded_verdicts_are_what_the_rules_say_of_what_was_recorded() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/results/2026-11-30-linux-amd-epyc/claims.json");
        let text = std::fs::read_to_string(path).expect("recorded claims");
        let recorded: ClaimsReport = serde_json::from_str(&text).expect("claims");
        assert!(!recorded.quick && recorded.claims.len() == super::super::ALL.len());
        for tested in &recorded.claims {
            let claim = super::super::by_name(&tested.claim.name).expect("a claim");
            for finding in &tested.findings {
                let judged = Finding::of(claim, finding.engine, Effort::Full, finding.runs.clone());
                assert_eq!((judged.verdict, &judged.why), (finding.verdict, &finding.why), "{}", claim.name);
            }
        }
    }

    #[test]
    fn few_tasks_bear_out_what_is_said_of_many_but_do_not_refute_it() {
        let of = |name: &str, verdict: Verdict| {
            let claim = super::super::by_name(name).unwrap();
            of_few(claim, Judgement::new(verdict, "so it is", Vec::new()))
        };
        assert_eq!(of("large-batch", Verdict::Holds).verdict, Verdict::Holds);
        assert_eq!(of("small-batch", Verdict::DoesNotHold).verdict, Verdict::DoesNotHold);
        assert_eq!(of("disturbance", Verdict::DoesNotHold).verdict, Verdict::NotTested, "a million");
        for verdict in [Verdict::DoesNotHold, Verdict::Depends] {
            let judged = of("large-batch", verdict);
            assert_eq!(judged.verdict, Verdict::NotTested);
            assert!(judged.why.contains("few tasks of a quick run") && judged.why.ends_with("so it is"));
        }
    }

    #[test]
    fn whose_verdict_it_is_stands_beside_it_where_another_could_not_tell() {
        use Verdict::{Holds, NotTested};
        let of = |native, python| {
            let findings = vec![finding(Engine::Native, native), finding(Engine::Python, python)];
            let claim = super::super::by_name("fifo").unwrap().into();
            Tested { claim, verdict: overall(&findings), findings }.verdict_in_words()
        };
        assert_eq!(of(Holds, Holds), "holds");
        assert_eq!(of(NotTested, Holds), "holds (python)");
        assert_eq!(of(NotTested, NotTested), "not tested");
    }

    #[test]
    fn wrong_results_refute_what_is_said_of_results_and_whatever_else_is_wrong_does_not() {
        let of = |name: &str, of_results| {
            let error = RunError::Violation(Invalid {
                message: "task 3 has the result of task 4".into(),
                of_results,
            });
            Finding::without(super::super::by_name(name).unwrap(), Engine::Python, &error.into(), Vec::new())
        };
        let refuted = of("ordered", true);
        assert_eq!(refuted.verdict, Verdict::DoesNotHold);
        assert!(refuted.broken && refuted.why.contains("the result of task 4"), "{}", refuted.why);
        for (name, of_results) in [("ordered", false), ("fifo", true)] {
            let finding = of(name, of_results);
            assert!(finding.verdict == Verdict::NotTested && finding.broken, "{name}: {finding:?}");
        }
    }

    #[test]
    fn a_quick_run_gives_its_timed_rounds_no_more_than_what_is_left_of_two_minutes() {
        let after = |seconds, strategies| quick_budget(Duration::from_secs(seconds), strategies);
        assert_eq!(after(0, 3), Some(QUICK_BUDGET_SECONDS));
        assert_eq!(after(110, 2), Some(2.0), "each of two, and as much again for what is not timed");
        assert_eq!(after(119, 2), None);
        assert_eq!(after(500, 2), None);
        for (elapsed, strategies) in (0..120).flat_map(|elapsed| (1..9).map(move |of| (elapsed, of))) {
            let all = after(elapsed, strategies).unwrap_or(0.0) * strategies as f64;
            assert!(
                elapsed as f64 + 2.0 * all <= QUICK.as_secs_f64(),
                "{elapsed} s, {strategies} strategies"
            );
        }
    }

    #[test]
    fn a_quick_run_begins_with_what_takes_least_and_any_other_with_what_the_articles_say_first() {
        use super::super::ALL;
        let of = |effort| Wanted { claims: ALL.iter().collect(), engines: Vec::new(), python: None, effort };
        let quick = in_turn(&of(Effort::Quick));
        let names: Vec<&str> = quick.iter().map(|place| ALL[*place].name).collect();
        assert_eq!((names[0], names[names.len() - 1]), ("ordered", "disturbance"));
        assert!(quick.is_sorted_by_key(|place| ALL[*place].seconds) && quick.len() == ALL.len());
        assert!(in_turn(&of(Effort::Full)).is_sorted());
    }

    #[test]
    fn engines_that_differ_make_it_depend_and_those_that_could_not_test_it_have_no_say() {
        use Verdict::{Depends, DoesNotHold, Holds, NotTested};
        let of =
            |native, python| overall(&[finding(Engine::Native, native), finding(Engine::Python, python)]);
        assert_eq!(of(Holds, Holds), Holds);
        assert_eq!(of(DoesNotHold, DoesNotHold), DoesNotHold);
        assert_eq!(of(Holds, DoesNotHold), Depends);
        assert_eq!(of(DoesNotHold, Depends), Depends);
        assert_eq!(of(NotTested, DoesNotHold), DoesNotHold);
        assert_eq!(of(NotTested, NotTested), NotTested);
    }
}
