//! Which strategy to use for a workload: races among many, then an answer.

mod command;
mod search;

use super::benchmark::{ignore_closed, is_of_a_file, spec};
use super::exports;
use super::failure::{Failure, refuse_no_time, time_limit_too_short, usage};
use crate::cli::Advise as Typed;
use crate::document::Document;
use crate::document::head::{Head, Kind};
use crate::document::standing::Standing;
use crate::experiment::workbench::Workbench;
use crate::mode::Mode;
use crate::plan::inputs::make_output_folder;
use crate::report::grid::terminal_columns;
use crate::study::advise::document::{Advice, Finalist};
use crate::{exit, report};
use command::command;
use search::{Ended, Search};

const DEFAULT_SECONDS: f64 = 60.0;
/// Rounds of the finals, unless said otherwise.
const FINAL_ROUNDS: u64 = 30;

/// Searches, shows and exports the answer.
pub fn run(typed: &Typed) -> Result<i32, Failure> {
    let head = Head::now(Kind::Advice);
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
    let exports = exports::open(flags)?;
    make_output_folder(&plan)?;
    if is_of_a_file(flags) {
        ignore_closed(report::plan::write_program(&plan, &mut anstream::stderr().lock()))?;
    }
    let limit = typed.time_limit.map_or(DEFAULT_SECONDS, |limit| limit.0);
    let mut search = Search::new(bench, draft, flags.flags().strategy, limit, flags.quiet);
    let own = if says_rows { search.draft.strategies.clone() } else { Vec::new() };
    let modes: Vec<Mode> = flags.mode.iter().filter_map(|row| row.mode).collect();
    let (finalists, finals) = match search.finalists(&own, &modes, &plan) {
        Ok(finalists) => {
            let finals = search.finals(&finalists, flags.rounds.map_or(FINAL_ROUNDS, |rounds| rounds.0))?;
            (finalists, Some(finals))
        }
        Err(Ended::Interrupted) => (Vec::new(), None),
        Err(Ended::OutOfTime { of, enough }) => {
            let what = format!("not even a few tasks of one of {of} strategies could be tried");
            return Err(time_limit_too_short(limit, &what, Some(enough), "shorter tasks"));
        }
        Err(Ended::Failed(failure)) => return Err(failure),
    };
    search.progress.finish();
    let standing = finals.as_ref().and_then(Standing::of);
    let failed = search.races.iter().chain(&finals).any(|document| document.tasks_failed() > 0);
    let partial = finals.as_ref().is_none_or(|document| document.partial);
    if standing.is_none() && !partial {
        let so_far =
            report::advise::so_far(&search.races).map_or_else(String::new, |so_far| format!(" ({so_far})"));
        let what = format!("no strategy could finish a round for the answer{so_far}");
        return Err(time_limit_too_short(limit, &what, Some(search.enough(&finalists)), "fewer --tasks"));
    }
    let rounds_of = |finals: &Document| finals.strategies.iter().map(|row| row.rounds.len()).max();
    let rounds = finals.as_ref().and_then(rounds_of).unwrap_or(0);
    let measured = finals.as_ref().zip(standing.as_ref());
    let measured = measured.map(|(finals, standing)| Finalist::of_all(finals, standing)).unwrap_or_default();
    let again = search.to_see_again(&finalists);
    let command = command(&again, standing.as_ref(), rounds, search.draft.run.baseline.is_some())?;
    let advice = Advice {
        head: Head { partial, ..head },
        time_limit_seconds: limit,
        elapsed_seconds: search.started.elapsed().as_secs_f64(),
        candidates: search.candidates,
        races: search.races,
        command,
        standing,
        finalists: measured,
        finals,
    };
    exports::show(&advice, exports, |out| report::advise::write(&advice, terminal_columns(), out))?;
    if let Some(finals) = &advice.finals {
        ignore_closed(report::write_warnings(&finals.warnings, &mut anstream::stderr().lock()))?;
    }
    Ok(match (partial, failed) {
        (true, _) => exit::INTERRUPTED,
        (false, true) => exit::FAILURE,
        (false, false) => exit::SUCCESS,
    })
}

/// Refuses what the search is to find.
fn refuse(typed: &Typed) -> Result<(), Failure> {
    let flags = &typed.benchmark;
    refuse_no_time(typed.time_limit.as_ref().map(|limit| limit.0))?;
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
        (flags.returns.is_some(), "--returns", "a single run keeps what functions return"),
        (flags.baseline.is_some(), "--baseline", "all are compared with the best"),
    ] {
        if given {
            return Err(usage(format!("{name} has no meaning for advice: {instead}")));
        }
    }
    Ok(())
}
