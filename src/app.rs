//! The program's story: parse, plan, run, report.

mod advise;
mod benchmark;
mod cells;
mod claims;
mod compare;
mod crossover;
mod exports;
mod failure;
mod help;
mod report;
mod returns;
mod sweep;
mod typed;

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::cli::{Cli, Verb};
use crate::engine::{guardian, native, tool};
use crate::exit;
use crate::experiment::peer;
use crate::janitor;
use crate::measure::shortage;
use crate::mode::exec;
use crate::report::nobody_reads;
use crate::sys::early::instead_of_main;
use crate::sys::{abort, fork};
use failure::Failure;
use typed::typed;

instead_of_main!(exec::CHILD_WORD, child);

/// The life of a child that was started to execute tasks.
fn child(words: &[&OsStr]) -> i32 {
    fork::be_called(native::NAME);
    if fork::has_borrowed_rights() {
        return exit::LIMIT;
    }
    exec::run(words).map_or_else(|error| Failure::from(error).show(), |()| exit::SUCCESS)
}

/// Runs the program and returns its exit code.
pub fn main() -> i32 {
    if fork::has_borrowed_rights() {
        let message = "procbench executes what it is told to, so it refuses to run with another user's rights (setuid, setgid)";
        return Failure::new(exit::LIMIT, message).show();
    }
    fork::hear_of_children();
    // Where files may only be so large, writing more is an error to be told, not the end. What is started hears of it as ever.
    let heard = Arc::new(AtomicBool::new(false));
    if let Err(error) = signal_hook::flag::register(libc::SIGXFSZ, heard) {
        return Failure::from(anyhow::Error::from(error)).show();
    }
    let hidden = std::env::args_os().nth(1);
    let hidden = hidden.as_deref().and_then(OsStr::to_str);
    match hidden {
        Some(janitor::JANITOR) => fork::be_called(janitor::NAME),
        Some(native::RUNNER | guardian::GUARD | peer::PEER | tool::MARK) => fork::be_called(native::NAME),
        _ => {}
    }
    let outcome = match hidden {
        Some(native::RUNNER) => native::run_round(),
        Some(exec::CHILD) => {
            let words: Vec<OsString> = std::env::args_os().skip(2).collect();
            return child(&words.iter().map(OsString::as_os_str).collect::<Vec<_>>());
        }
        Some(guardian::GUARD) => guardian::run(std::env::args_os().skip(2)),
        Some(tool::MARK) => tool::mark(),
        Some(janitor::JANITOR) => janitor::run(),
        Some(peer::PEER) => peer::run(),
        _ => {
            let outcome = expect_want_of_memory().and_then(|()| as_asked(&typed()?));
            return outcome.unwrap_or_else(Failure::show);
        }
    };
    match outcome {
        Ok(()) => exit::SUCCESS,
        // Whoever started this one has been killed, so there is nobody to be told either.
        Err(error) if nobody_listens(&error) => exit::FAILURE,
        Err(error) => Failure::from(error).show(),
    }
}

/// Whether what was to be said could not be, since its reader is gone.
fn nobody_listens(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(nobody_reads)
}

/// Where memory is limited, whoever gets none says by what, and ends as at any other limit.
fn expect_want_of_memory() -> Result<(), Failure> {
    let limits = shortage::own_limits_on_memory();
    if limits.is_empty() {
        return Ok(());
    }
    let message = format!("error: ended, most likely for want of memory; {}", limits.join(", "));
    abort::tell_if_aborted(&message, exit::LIMIT).map_err(|error| anyhow::Error::from(error).into())
}

fn as_asked(cli: &Cli) -> Result<i32, Failure> {
    match &cli.verb {
        None => benchmark::run(&cli.benchmark),
        Some(Verb::Report(flags)) => report::run(flags),
        Some(Verb::Compare(flags)) => compare::run(flags),
        Some(Verb::Schema { of }) => help::schema(*of),
        Some(Verb::Claims(wanted)) => claims::run(wanted),
        Some(Verb::Completions { shell }) => help::completions(*shell),
        Some(Verb::Advise(flags)) => advise::run(flags),
        Some(Verb::Sweep(flags)) => sweep::run(flags),
        Some(Verb::Crossover(flags)) => crossover::run(flags),
        Some(Verb::Man) => help::man(),
    }
}
