//! What shells and `man` want to know of the command line, and other programs of exports.

use std::io::{self, Write};

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use super::benchmark::ignore_closed_pipe;
use super::failure::Failure;
use crate::cli::Cli;
use crate::document::comparison::RunComparison;
use crate::document::head::Kind;
use crate::document::{Document, schema};
use crate::study::advise::document::Advice;
use crate::study::claims::ClaimsReport;
use crate::study::crossover::document::Crossovers;
use crate::study::sweep::Sweep;
use crate::{exit, report};

/// Prints what makes `shell` complete the command line.
pub fn completions(shell: Shell) -> Result<i32, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "procbench", &mut script);
    print(&script)
}

/// Prints the manual page, as troff.
pub fn man() -> Result<i32, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page).context("failed to write the manual page")?;
    print(&page)
}

/// Prints the schema of an export.
pub fn schema(of: Kind) -> Result<i32, Failure> {
    let schema = match of {
        Kind::Run => schema::of::<Document>(of),
        Kind::Comparison => schema::of::<RunComparison>(of),
        Kind::Sweep => schema::of::<Sweep>(of),
        Kind::Crossover => schema::of::<Crossovers>(of),
        Kind::Advice => schema::of::<Advice>(of),
        Kind::Claims => schema::of::<ClaimsReport>(of),
    };
    print(&report::json::export(&schema)?)
}

fn print(text: &[u8]) -> Result<i32, Failure> {
    let mut out = io::stdout().lock();
    ignore_closed_pipe(out.write_all(text).and_then(|()| out.flush()))?;
    Ok(exit::SUCCESS)
}
