//! Many benchmarks of one workload, of which a flag or two vary.

mod resume;

use super::benchmark::{ignore_closed, is_of_a_file, refuse_to_ask, say_what_is_not_written, spec};
use super::cells::{Cells, all_alike};
use super::exports;
use super::failure::{Failure, usage};
use crate::cli::{Benchmark, Sweep as Typed};
use crate::document::head::{Head, Kind};
use crate::experiment::workbench::{Checked, Workbench};
use crate::experiment::{self, RunError};
use crate::plan::draft::Draft;
use crate::plan::inputs::make_folders_of_strategies;
use crate::plan::vary::Variable;
use crate::plan::{DEFAULT_SEED, Plan};
use crate::report::exports::Exports;
use crate::report::progress::{Part, Progress};
use crate::study::sweep::{self, Cell, MOST_CELLS, MOST_VARIABLES, Sweep};
use crate::workload::OnFailure;
use crate::{exit, report};

/// Runs what was typed, cell by cell; shows it and keeps it after each of them.
pub fn run(typed: &Typed) -> Result<i32, Failure> {
    let before = typed.resume.as_deref().map(resume::read).transpose()?;
    let again = before
        .as_ref()
        .filter(|_| resume::typed_besides().is_empty())
        .map(|before| resume::typed_before(before, typed));
    let again = again.transpose()?;
    // What was typed then may name files from the folder that it was typed in.
    let of_then = |failure: Failure| match &again {
        Some(_) => failure.and_of_typed(resume::FROM_HERE),
        None => failure,
    };
    let typed = again.as_ref().unwrap_or(typed);
    let flags = &typed.benchmark;
    let spec = spec(flags).map_err(of_then)?;
    let variables = variables(typed, &spec)?;
    let mut bench = Workbench::new()?;
    let mut sweep = begin(typed, &spec, variables)?;
    let cells = Cells::new(flags, &spec)?;
    let plans = check_all(&sweep, &cells, &bench).map_err(of_then)?;
    for plan in &plans {
        refuse_to_ask(spec.run.python.as_deref(), plan, flags)?;
    }
    if again.is_some() {
        resume::show_what_it_names(flags, &plans)?;
    }
    sweep.strategies =
        plans.iter().take(1).flat_map(|plan| &plan.strategies).map(|row| row.name.clone()).collect();
    if let (Some(before), Some(path)) = (before, &typed.resume) {
        let of_file = |wrong| usage(format!("cannot go on with {}: {wrong}", path.display()));
        sweep.resume(before).map_err(of_file)?;
        resume::require_same(&sweep, &cells, &mut bench)?;
        let done = sweep.cells.iter().find_map(|cell| cell.document.as_ref().filter(|_| cell.is_done()));
        if let Some(done) = done {
            bench.take_over_calibration(done.environment.units_per_second);
        }
    }
    if flags.returns.is_some() {
        return Err(usage("--returns is not for a sweep: a single run keeps what functions return"));
    }
    // A dry run writes nothing.
    let exports = (!flags.dry_run).then(|| exports::open(&with_json(typed))).transpose()?;
    let mut out = anstream::stderr().lock();
    // What a saved sweep says was typed, nobody has typed now.
    if again.is_some() || is_of_a_file(flags) {
        ignore_closed(report::plan::write_programs(&plans, &mut out))?;
    }
    drop(out);
    let estimate = estimate(&sweep, &cells, &mut bench, flags.dry_run)?;
    sweep.estimate_seconds = estimate;
    let Some(exports) = exports else {
        let mut out = anstream::stdout().lock();
        ignore_closed(report::sweep::write_plan(&sweep, &mut out))?;
        say_what_is_not_written(flags)?;
        return Ok(exit::SUCCESS);
    };
    if let (Some(seconds), Some(allowed)) = (estimate, sweep.total_time_seconds)
        && seconds > allowed
    {
        return Err(usage(report::sweep::too_long(&sweep, seconds, allowed)));
    }
    if !flags.quiet {
        ignore_closed(report::sweep::write_announcement(&sweep, &mut anstream::stderr().lock()))?;
    }
    let kept = with_json(typed).json.filter(|path| path.as_os_str() != "-");
    let ended = carry_out(&mut sweep, &cells, &mut bench, &exports);
    exports::show(&sweep, exports, |out| report::sweep::write(&sweep, out))?;
    ignore_closed(report::sweep::write_warnings(&sweep, &mut anstream::stderr().lock()))?;
    if sweep.head.partial {
        ignore_closed(report::sweep::write_how_to_go_on(kept.as_deref(), &mut anstream::stderr().lock()))?;
    }
    ended
}

/// What was typed, with the file that the sweep goes on in, where it goes on.
fn with_json(typed: &Typed) -> Benchmark {
    let flags = typed.benchmark.clone();
    Benchmark { json: flags.json.clone().or_else(|| typed.resume.clone()), ..flags }
}

/// What varies: as typed, or else as the spec says, but for what a flag says otherwise.
fn variables(typed: &Typed, spec: &Draft) -> Result<Vec<Variable>, Failure> {
    let flags = typed.benchmark.flags();
    let mut variables = Vec::new();
    for text in &typed.vary {
        let variable = Variable::parse(text).map_err(usage)?;
        let key = variable.key().map_err(usage)?;
        if key.is_set(&flags) {
            return Err(usage(format!(
                "{} varies, but --{} says what it is: expected one of both",
                key.name, key.name
            )));
        }
        variables.push(variable);
    }
    // What is typed comes in place of what the spec says of the same flag; the spec's other variables vary all the same.
    for variable in &spec.vary {
        let is_typed = variables.iter().any(|typed| typed.key == variable.key);
        if !is_typed && !variable.key().is_ok_and(|key| key.is_set(&flags)) {
            variables.push(variable.clone());
        }
    }
    if variables.is_empty() && typed.resume.is_some() {
        return Err(usage(format!(
            "what varies? Beside --resume there is {}: expected either nothing that says which sweep it is, to go on with that \
             one, or all of it, --vary too",
            resume::typed_besides().join(" and ")
        )));
    }
    if variables.is_empty() {
        return Err(usage(
            "what varies? Expected --vary KEY=LIST, such as --vary tasks=10,100,1000, or [vary] in a spec",
        ));
    }
    if variables.len() > MOST_VARIABLES {
        let keys: Vec<&str> = variables.iter().map(|variable| variable.key.as_str()).collect();
        return Err(usage(format!(
            "{} vary: expected one or two at a time, since nobody can look at more",
            keys.join(", ")
        )));
    }
    if let [one, two] = variables.as_slice()
        && one.key == two.key
    {
        return Err(usage(format!("{} varies twice: expected one list of its values", one.key)));
    }
    let count: usize = variables.iter().map(|variable| variable.values.len()).product();
    if count > MOST_CELLS {
        return Err(usage(format!("the sweep has {count} cells: expected at most {MOST_CELLS}")));
    }
    Ok(variables)
}

/// A sweep of which nothing was run.
fn begin(typed: &Typed, spec: &Draft, variables: Vec<Variable>) -> Result<Sweep, Failure> {
    let flags = &typed.benchmark;
    if flags.args_from.as_deref().or(spec.workload.args_from.as_deref()) == Some("-") {
        return Err(usage(
            "lines of standard input can be read only once: expected a file after --args-from",
        ));
    }
    let seed = flags.seed.or(spec.run.seed).unwrap_or(DEFAULT_SEED);
    Ok(Sweep {
        head: Head { partial: true, ..Head::now(Kind::Sweep) },
        cells: sweep::cells(&variables, seed),
        variables,
        strategies: Vec::new(),
        seed,
        estimate_seconds: None,
        total_time_seconds: typed.total_time.map(|time| time.0),
    })
}

/// Checks that `cell` can be run.
fn check(cell: &Cell, sweep: &Sweep, cells: &Cells, bench: &Workbench) -> Result<Checked, Failure> {
    let keys = sweep.variables.iter().map(|variable| variable.key.as_str());
    let values: Vec<(&str, &str)> = keys.zip(cell.values.iter().map(String::as_str)).collect();
    cells.check(&values, bench)
}

/// Checks every cell before the first is run, and returns the plan of each.
fn check_all(sweep: &Sweep, cells: &Cells, bench: &Workbench) -> Result<Vec<Plan>, Failure> {
    let plan = |cell| check(cell, sweep, cells, bench).map(|checked| checked.plan().clone());
    let plans: Vec<Plan> = sweep.cells.iter().map(plan).collect::<Result<_, _>>()?;
    if all_alike(&plans) && plans.len() > 1 {
        let keys: Vec<&str> = sweep.variables.iter().map(|variable| variable.key.as_str()).collect();
        return Err(usage(format!(
            "{} makes no difference: every strategy that has it says itself what it is",
            keys.join(" and ")
        )));
    }
    Ok(plans)
}

/// How long the cells that are not done take, at most. Nobody knows what programs take that are not to be executed; and where no
/// time was set, they are not executed for that alone: each cell tries a few tasks anyway.
fn estimate(
    sweep: &Sweep,
    cells: &Cells,
    bench: &mut Workbench,
    dry_run: bool,
) -> Result<Option<f64>, Failure> {
    let mut seconds = 0.0;
    for cell in sweep.cells.iter().filter(|cell| !cell.is_done()) {
        let job = bench.prepare(check(cell, sweep, cells, bench)?)?;
        if job.plan.workload.kind.is_program() && (dry_run || sweep.total_time_seconds.is_none()) {
            return Ok(None);
        }
        seconds += experiment::estimate(&job.plan, &job.setting, bench.signals())?.run_seconds;
    }
    Ok(Some(seconds))
}

/// Runs what is not done, and returns the exit code.
fn carry_out(
    sweep: &mut Sweep,
    cells: &Cells,
    bench: &mut Workbench,
    exports: &Exports<Sweep>,
) -> Result<i32, Failure> {
    let mut progress = Progress::new(cells.flags().quiet);
    let ended = loop {
        let Some(at) = sweep.next() else { break Ok(exit::SUCCESS) };
        let cell = &sweep.cells[at];
        let job = bench.prepare(check(cell, sweep, cells, bench)?)?;
        make_folders_of_strategies(&job.plan)?;
        let part =
            format!("cell {}/{}, {}", sweep.done() + 1, sweep.cells.len(), cell.name(&sweep.variables));
        match bench.run(&job, &mut Part::new(&mut progress, part)) {
            Ok(document) => sweep.record(at, document),
            Err(RunError::Interrupted) => break Ok(exit::INTERRUPTED),
            Err(error) => break Err(Failure::from(error)),
        }
        exports.write_early(exports::JSON, sweep)?;
        let failed = sweep.cells[at].document.as_ref().is_some_and(|document| document.has_failed());
        if failed && job.plan.run.on_failure == OnFailure::Stop {
            break Ok(exit::FAILURE);
        }
        if !sweep.cells[at].is_done() {
            break Ok(exit::INTERRUPTED);
        }
    };
    progress.finish();
    match ended {
        Ok(exit::SUCCESS) if sweep.has_failed() => Ok(exit::FAILURE),
        ended => ended,
    }
}
