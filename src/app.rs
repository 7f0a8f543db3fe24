//! The program's story: parse, plan, run, report.

use std::ffi::OsStr;
use std::io::{self, Write};

use clap::Parser;

use crate::cli::Cli;
use crate::document::{Document, Environment, Warning};
use crate::engine::native;
use crate::experiment::janitor;
use crate::experiment::signals::Signals;
use crate::experiment::{self, RunError, Setting};
use crate::measure::limits::Limits;
use crate::measure::parked;
use crate::mode::Mode;
use crate::plan::draft::Draft;
use crate::plan::{Machine, Plan, PlanError, spec};
use crate::report::json::Target;
use crate::report::numbers::count;
use crate::report::progress::Progress;
use crate::report::style::{ERROR, paint};
use crate::workload::cpu;
use crate::{exit, report};

/// Runs the program and returns its exit code.
pub fn main() -> i32 {
    let hidden = std::env::args_os().nth(1);
    let outcome = match hidden.as_deref().and_then(OsStr::to_str) {
        Some(native::RUNNER) => native::run_round().map_err(Failure::from),
        Some(janitor::JANITOR) => janitor::run().map_err(Failure::from),
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
            RunError::Violation(_) | RunError::Other(_) => Self::new(exit::FAILURE, error),
        }
    }
}

fn benchmark(cli: &Cli) -> Result<i32, Failure> {
    let usage = |message: String| Failure::new(exit::USAGE, message);
    let spec = cli.config.as_deref().map_or_else(|| Ok(Draft::default()), spec::read).map_err(usage)?;
    let draft = cli.over(spec).map_err(usage)?;
    let mut machine = look_around();
    let plan = draft.clone().resolve(&machine)?;
    if cli.dry_run {
        ignore_closed_pipe(report::plan::write(&plan, &machine, &mut anstream::stdout().lock()))?;
        warn_of_guard(&plan);
        return Ok(exit::SUCCESS);
    }
    let json =
        cli.json.as_deref().map(Target::open).transpose().map_err(|error| usage(format!("{error:#}")))?;
    let signals = Signals::listen()?;
    let started_at = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    // What one process costs is measured before there is any thread; then the plan is made with it.
    let parked_process_bytes = measure_parked(&plan).inspect(|bytes| machine.parked_process_bytes = *bytes);
    let plan = draft.resolve(&machine)?;
    let setting = Setting {
        started_at,
        warnings: guard_warnings(&plan),
        environment: environment(&machine, parked_process_bytes, cpu::calibrate()),
    };
    let mut progress = Progress::new(cli.quiet);
    let document = experiment::run(&plan, setting, &signals, &mut progress);
    progress.finish();
    let document = document?;
    show(&document, json)?;
    Ok(exit_code(&document))
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
    let written = report::write_warnings(document, &mut anstream::stderr().lock());
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
    if document.partial {
        exit::INTERRUPTED
    } else if document.tasks_failed() > 0 {
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
    }
}

/// Measures what a parked process costs where that could matter.
fn measure_parked(plan: &Plan) -> Option<u64> {
    const FEW: u64 = 1000;
    let mut in_flight = plan.strategies.iter().filter(|row| row.mode == Mode::Process);
    let many = in_flight.any(|row| row.settings.in_flight.is_some_and(|in_flight| in_flight > FEW));
    many.then(parked::measure)
}

fn environment(machine: &Machine, parked_process_bytes: Option<u64>, units_per_second: f64) -> Environment {
    use sysinfo::System;
    let system = System::new().ok().map(|mut system| {
        system.refresh_memory();
        system.refresh_cpu_all();
        system
    });
    let cpus = system.as_ref().map(System::cpus).unwrap_or_default();
    Environment {
        cpu: cpus.first().map(|cpu| cpu.brand().trim().to_owned()).filter(|brand| !brand.is_empty()),
        cores: Some(cpus.len() as u64).filter(|cores| *cores > 0),
        effective_cores: machine.effective_cores,
        memory_bytes: system.as_ref().map(System::total_memory).filter(|bytes| *bytes > 0),
        os: System::long_os_version().ok(),
        kernel: System::kernel_version().ok(),
        limits: machine.limits.clone(),
        parked_process_bytes,
        units_per_second,
    }
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

fn warn_of_guard(plan: &Plan) {
    for warning in guard_warnings(plan) {
        let label = paint(report::style::WARNING, "warning:");
        let _ = writeln!(anstream::stderr(), "{label} {}", warning.message);
    }
}
