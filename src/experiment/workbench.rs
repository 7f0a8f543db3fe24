//! What is looked at once and serves every run of this process: the machine, its calibration, the signals. A benchmark has
//! one run; whatever compares several workloads has many.

use std::cell::Cell;
use std::fs::File;
use std::path::PathBuf;

use anyhow::Context;

use super::course::Course;
use super::signals::Signals;
use super::{IDLE, Observer, RunError, Setting};
use crate::document::{Document, Warning};
use crate::engine::Engine;
use crate::engine::python::{Interpreter, ProbeError};
use crate::engine::tool::Tool;
use crate::measure::environment::{Environment, cores_to_use};
use crate::measure::limits::Limits;
use crate::measure::parked;
use crate::measure::shortage::Lack;
use crate::mode::Mode;
use crate::plan::draft::Draft;
use crate::plan::found::Found;
use crate::plan::guard;
use crate::plan::inputs::Inputs;
use crate::plan::{Machine, Plan, PlanError};
use crate::sys::fork;
use crate::workload::cpu;

/// Where runs are made ready and carried out.
#[derive(Debug)]
pub struct Workbench {
    signals: Signals,
    machine: Machine,
    /// The rest is measured when it is first needed.
    units_per_second: Option<f64>,
    parked_process_bytes: Option<Result<u64, parked::ParkedMissing>>,
    /// As it was asked for, and what it turned out to be.
    python: Option<(Option<PathBuf>, Interpreter)>,
    /// Whether anything has been run: then the machine's load is no longer only others'.
    has_run: Cell<bool>,
}

/// A draft that has been found to make sense on this machine. Nothing has been measured, and nothing started.
#[derive(Debug)]
pub struct Checked {
    draft: Draft,
    inputs: Inputs,
    found: Found,
    plan: Plan,
}

/// A plan that is ready to be run.
#[derive(Debug)]
pub struct Job {
    /// What will be run.
    pub plan: Plan,
    /// What is known before its first round.
    pub setting: Setting,
    /// The lines of its tasks lie here as long as it lasts.
    _inputs: Inputs,
}

/// Why something cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// There is no Python, or it did not answer.
    #[error(transparent)]
    Python(#[from] ProbeError),
    /// Anything else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl Checked {
    /// The plan, made with what was assumed of the machine.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl Workbench {
    /// Looks at the machine's limits and begins to listen to signals.
    ///
    /// # Errors
    /// If signals cannot be listened to.
    pub fn new() -> anyhow::Result<Self> {
        let signals = Signals::listen()?;
        // Whoever is started is given nothing to read by it.
        const NOTHING: &str = "/dev/null";
        File::open(NOTHING).map_err(|error| Lack(format!("{NOTHING} cannot be opened: {error}")))?;
        fork::become_subreaper().context("failed to become a subreaper")?;
        let machine = Machine {
            effective_cores: cores_to_use(),
            limits: Limits::read(),
            parked_process_bytes: parked::ASSUMED_BYTES,
            python: None,
            tools: Vec::new(),
        };
        Ok(Self {
            signals,
            machine,
            units_per_second: None,
            parked_process_bytes: None,
            python: None,
            has_run: Cell::new(false),
        })
    }

    /// Takes over the calibration of an earlier run of the same, `units_per_second`, so that its tasks and those to come do as much work;
    /// unless it is so far from what this machine does now that it cannot be one.
    pub fn take_over_calibration(&mut self, units_per_second: f64) {
        const FAR: f64 = 2.0;
        let now = *self.units_per_second.get_or_insert_with(cpu::calibrate);
        if (now / FAR..=now * FAR).contains(&units_per_second) {
            self.units_per_second = Some(units_per_second);
        }
    }

    /// What somebody has asked for while this runs.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// The machine, as far as a plan needs to know it.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Finds what `draft` names and makes a plan of it.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn check(&self, mut draft: Draft) -> Result<Checked, PlanError> {
        let inputs = Inputs::find(&mut draft)?;
        let found = Found::look(&draft.workload).map_err(PlanError::Usage)?;
        draft.found = Some(found.clone());
        let plan = inputs.complete(draft.clone().resolve(&self.machine)?, &self.machine)?;
        Ok(Checked { draft, inputs, found, plan })
    }

    /// Measures what the plan needs to know of the machine, unless that is known, and makes the plan with it. To be called
    /// while this process has one thread.
    ///
    /// # Errors
    /// If something cannot be had, such as Python.
    pub fn prepare(&mut self, checked: Checked) -> Result<Job, PrepareError> {
        let signals = self.signals.clone();
        self.prepare_under(checked, &signals)
    }

    /// The same, while `signals` say nothing else.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn prepare_under(&mut self, checked: Checked, signals: &Signals) -> Result<Job, PrepareError> {
        let stop_wanted = || signals.stop_wanted();
        let started_at = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
        let Checked { draft, inputs, found, plan } = checked;
        // Of a study that takes hours, others may have taken much since it began.
        self.machine.limits = Limits::read();
        for engine in Engine::ALL.iter().filter(|engine| engine.is_tool() && draft.names(**engine)) {
            if !self.machine.tools.iter().any(|tool| tool.engine == *engine) {
                self.machine.tools.push(Tool::find(*engine, &stop_wanted)?);
            }
        }
        if parked_process_matters(&plan) {
            let measured = *self.parked_process_bytes.get_or_insert_with(parked::measure);
            self.machine.parked_process_bytes = measured.unwrap_or(parked::ASSUMED_BYTES);
        }
        if draft.names(Engine::Python) {
            let wanted = &plan.run.python;
            match &self.python {
                // Calibrated anew, it would do other work under the same name.
                Some((asked, python)) if asked == wanted => self.machine.python = Some(python.clone()),
                _ => {
                    let python = Interpreter::find(wanted.as_deref(), &stop_wanted)?;
                    self.python = Some((wanted.clone(), python.clone()));
                    self.machine.python = Some(python);
                }
            }
        }
        let plan = inputs.complete(draft.resolve(&self.machine)?, &self.machine)?;
        let setting = Setting {
            started_at,
            // Of this run: what a later one of many finds may be another.
            environment: Environment::read(),
            warnings: guard_warnings(&plan),
            units_per_second: *self.units_per_second.get_or_insert_with(cpu::calibrate),
            parked_process_bytes: self.parked_process_bytes.unwrap_or(Err(parked::ParkedMissing::NotNeeded)),
            machine: self.machine.clone(),
            idle: IDLE,
            own_load: self.has_run.get(),
            found,
            returns: None,
        };
        Ok(Job { plan, setting, _inputs: inputs })
    }

    /// Carries out `job`. An interrupted run is a partial document, not an error.
    ///
    /// # Errors
    /// If a round is not valid or cannot be had.
    pub fn run(&self, job: &Job, observer: &mut dyn Observer) -> Result<Document, RunError> {
        self.run_under(job, &self.signals, observer)
    }

    /// The same; but what was timed before an error ended it is there too, beside the error.
    ///
    /// # Errors
    /// As [`Self::run`], where there is nothing else to be shown.
    pub fn run_as_far_as_possible(
        &self,
        job: &Job,
        observer: &mut dyn Observer,
    ) -> Result<(Document, Option<RunError>), RunError> {
        self.has_run.set(true);
        super::run_as_far_as_possible(&job.plan, &job.setting, &self.signals, observer)
    }

    /// As [`Self::run`], while `signals` say nothing else.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_under(
        &self,
        job: &Job,
        signals: &Signals,
        observer: &mut dyn Observer,
    ) -> Result<Document, RunError> {
        self.has_run.set(true);
        super::run(&job.plan, &job.setting, signals, observer)
    }

    /// Makes `job` ready to be run a few rounds at a time, while `signals` say nothing else.
    ///
    /// # Errors
    /// As [`Course::begin`].
    pub fn begin(&self, job: Job, signals: &Signals) -> Result<Course, RunError> {
        self.has_run.set(true);
        Course::begin(job, signals)
    }
}

/// Whether so many processes are to be alive that what one costs must be measured.
fn parked_process_matters(plan: &Plan) -> bool {
    const FEW: u64 = 1000;
    let native = plan.strategies.iter().filter(|row| row.engine == Engine::Native);
    let mut in_flight = native.filter(|row| row.mode == Mode::Process);
    in_flight.any(|row| row.settings.in_flight.is_some_and(|in_flight| in_flight > FEW))
}

fn guard_warnings(plan: &Plan) -> Vec<Warning> {
    let warnings = plan.guarded.iter().filter_map(|guarded| {
        let message = guard::in_words(&guarded.strategy, &guarded.verdict)?;
        Some(Warning { code: "in_flight_limited".into(), message })
    });
    warnings.collect()
}
