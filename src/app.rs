//! The program's story: parse, plan, run, report.

mod benchmark;
mod claims;
mod failure;
mod help;

use std::ffi::OsStr;

use clap::Parser;

use crate::cli::{Cli, Verb};
use crate::engine::native;
use crate::exit;
use crate::experiment::{janitor, peer};
use crate::mode::exec;
use failure::Failure;

/// Runs the program and returns its exit code.
pub fn main() -> i32 {
    let hidden = std::env::args_os().nth(1);
    let outcome = match hidden.as_deref().and_then(OsStr::to_str) {
        Some(native::RUNNER) => native::run_round(),
        Some(exec::CHILD) => exec::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some(janitor::JANITOR) => janitor::run(),
        Some(peer::PEER) => peer::run(),
        _ => return as_asked(&Cli::parse()).unwrap_or_else(Failure::show),
    };
    outcome.map_or_else(|error| Failure::from(error).show(), |()| exit::SUCCESS)
}

fn as_asked(cli: &Cli) -> Result<i32, Failure> {
    match &cli.verb {
        None => benchmark::run(&cli.benchmark),
        Some(Verb::Claims(wanted)) => claims::run(wanted),
        Some(Verb::Completions { shell }) => help::completions(*shell),
        Some(Verb::Man) => help::man(),
    }
}
