//! The program's story: parse, plan, run, report.

use std::ffi::OsStr;
use std::io::{self, Write};

use anyhow::Context;
use clap::Parser;

use crate::cli::Cli;
use crate::document::{Document, Warning};
use crate::engine::python::{Interpreter, ProbeError};
use crate::engine::{Engine, native};
use crate::experiment::signals::Signals;
use crate::experiment::{self, RunError, Setting};
use crate::experiment::{janitor, peer};
use crate::measure::environment::Environment;
use crate::measure::limits::Limits;
use crate::measure::parked;
use crate::mode::{Mode, exec};
use crate::plan::draft::Draft;
use crate::plan::found::Found;
use crate::plan::inputs::{Inputs, make_output_folder};
use crate::plan::{Machine, Plan, PlanError, spec};
use crate::report::json::Target;
use crate::report::numbers::count;
use crate::report::progress::Progress;
use crate::report::style::{ERROR, paint};
use crate::sys::fork;
use crate::workload::{OnFailure, cpu};
use crate::{exit, report};

/// Runs the program and returns its exit code.
pub fn main() -> i32 {
    let hidden = std::env::args_os().nth(1);
    let outcome = match hidden.as_deref().and_then(OsStr::to_str) {
        Some(native::RUNNER) => native::run_round().map_err(Failure::from),
        Some(exec::CHILD) => exec::run(&std::env::args().skip(2).collect::<Vec<_>>()).map_err(Failure::from),
        Some(janitor::JANITOR) => janitor::run().map_err(Failure::from),
        Some(peer::PEER) => peer::run().map_err(Failure::from),
        _ => return benchmark(&Cli::parse()).unwrap_or_else(|failure| failure.show()),
    };
    outcome.map_or_else(|failure| failure.show(), |()| exit::SUCCESS)
}

/// Why there is nothing to report.
struct Failure {
    code: i32,
    message: String,
}

impl Failure {
    fn new(code: i32, message: impl ToString) -> Self {
        Self { code, message: message.to_string() }
    }

    fn show(self) -> i32 {
        // Where standard error is closed the exit code has to do.
        let _ = writeln!(anstream::stderr(), "{} {}", paint(ERROR, "error:"), self.message);
        self.code
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(exit::FAILURE, format!("{error:#}"))
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Usage(message) => Self::new(exit::USAGE, message),
            PlanError::Limit(message) => Self::new(exit::LIMIT, message),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Limit(_) => Self::new(exit::LIMIT, error),
            RunError::Interrupted => Self::new(exit::INTERRUPTED, error),
            RunError::Violation(_) | RunError::Other(_) => Self::new(exit::FAILURE, error),
        }
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Unusable(_) => Self::new(exit::LIMIT, error),
            ProbeError::Interrupted => Self::new(exit::INTERRUPTED, error),
        }
    }
}

fn benchmark(cli: &Cli) -> Result<i32, Failure> {
    let usage = |message: String| Failure::new(exit::USAGE, message);
    let spec = cli.config.as_deref().map_or_else(|| Ok(Draft::default()), spec::read).map_err(usage)?;
    let mut draft = cli.over(spec).map_err(usage)?;
    let inputs = Inputs::find(&mut draft)?;
    let found = Found::look(&draft.workload).map_err(usage)?;
    draft.found = Some(found.clone());
    let mut machine = look_around();
    let plan = inputs.complete(draft.clone().resolve(&machine)?, &machine)?;
    let json = match &cli.json {
        Some(path) if !cli.dry_run => Some(Target::open(path).map_err(|error| usage(format!("{error:#}")))?),
        _ => None,
    };
    let signals = Signals::listen()?;
    fork::become_subreaper().context("failed to become a subreaper")?;
    let started_at = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    // What one process costs is measured before there is any thread; then the plan is made with it.
    let parked_process_bytes = measure_parked(&plan).inspect(|bytes| machine.parked_process_bytes = *bytes);
    if draft.names(Engine::Python) {
        let stop_wanted = || signals.stop_wanted();
        machine.python = Some(Interpreter::find(plan.run.python.as_deref(), &stop_wanted)?);
    }
    let plan = inputs.complete(draft.resolve(&machine)?, &machine)?;
    let setting = Setting {
        started_at,
        environment: Environment::read(),
        warnings: guard_warnings(&plan),
        units_per_second: cpu::calibrate(),
        parked_process_bytes,
        machine,
        idle: experiment::IDLE,
        found,
    };
    if cli.dry_run {
        return dry_run(&plan, &setting, &signals);
    }
    make_output_folder(&plan)?;
    if cli.command.is_empty() && cli.worker.is_none() {
        // What a file would have executed is seen before it is.
        ignore_closed_pipe(report::plan::write_program(&plan, &mut anstream::stderr().lock()))?;
    }
    let mut progress = Progress::new(cli.quiet);
    let document = experiment::run(&plan, &setting, &signals, &mut progress);
    progress.finish();
    let document = document?;
    show(&document, json)?;
    Ok(exit_code(&document))
}

fn dry_run(plan: &Plan, setting: &Setting, signals: &Signals) -> Result<i32, Failure> {
    // A program of the user's own is not executed by something that is called a dry run.
    let estimate = match plan.workload.kind.is_program() {
        true => None,
        false => Some(experiment::estimate(plan, setting, signals)?),
    };
    let mut out = anstream::stdout().lock();
    let storage = setting.found.storage.as_ref();
    let written = report::plan::write(plan, &setting.machine, storage, estimate.as_ref(), &mut out);
    ignore_closed_pipe(written)?;
    ignore_closed_pipe(report::write_warnings(&setting.warnings, &mut anstream::stderr().lock()))?;
    Ok(exit::SUCCESS)
}

/// Tables on standard output, unless the JSON goes there.
fn show(document: &Document, json: Option<Target>) -> Result<(), Failure> {
    let to_standard_output = matches!(json, Some(Target::StandardOutput));
    if let Some(target) = json {
        target.write(document)?;
    }
    if !to_standard_output {
        let mut out = anstream::stdout().lock();
        let written = report::write(document, &mut out).and_then(|()| out.flush());
        ignore_closed_pipe(written)?;
    }
    let written = report::write_warnings(&document.warnings, &mut anstream::stderr().lock());
    ignore_closed_pipe(written)?;
    Ok(())
}

/// Whoever closes the pipe (`| head`) has seen enough.
fn ignore_closed_pipe(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn exit_code(document: &Document) -> i32 {
    let failed = document.tasks_failed() > 0;
    let stopped = failed && document.plan.run.on_failure == OnFailure::Stop;
    if document.partial && !stopped {
        exit::INTERRUPTED
    } else if failed {
        exit::FAILURE
    } else {
        exit::SUCCESS
    }
}

/// The machine as far as a plan needs to know it.
fn look_around() -> Machine {
    Machine {
        effective_cores: std::thread::available_parallelism().map_or(1, usize::from) as u64,
        limits: Limits::read(),
        parked_process_bytes: parked::ASSUMED_BYTES,
        python: None,
    }
}

/// Measures what a parked process costs where that could matter.
fn measure_parked(plan: &Plan) -> Option<u64> {
    const FEW: u64 = 1000;
    let native = plan.strategies.iter().filter(|row| row.engine == Engine::Native);
    let mut in_flight = native.filter(|row| row.mode == Mode::Process);
    let many = in_flight.any(|row| row.settings.in_flight.is_some_and(|in_flight| in_flight > FEW));
    many.then(parked::measure)
}

fn guard_warnings(plan: &Plan) -> Vec<Warning> {
    plan.guarded
        .iter()
        .filter_map(|guarded| {
            let binding = guarded.verdict.binding.as_ref()?;
            let message = format!(
                "{}: at most {} processes are alive at once, not {}: {} is {}, of which {} are in use; all at once would \
                 have needed {}. To raise it: {}",
                guarded.strategy,
                count(guarded.verdict.allowed),
                count(guarded.verdict.wanted),
                binding.limit,
                count(binding.value),
                count(binding.in_use),
                count(binding.needed),
                binding.advice
            );
            Some(Warning { code: "in_flight_limited".into(), message })
        })
        .collect()
}
