//! What shells and `man` want to know of the command line, and other programs of exports.

use std::io::{self, Write};

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use super::benchmark::ignore_closed;
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
    // What the short help leaves out, the page would name without a word on it.
    let command = Cli::command().mut_args(|argument| argument.hide_short_help(false));
    let fails = "failed to write the manual page";
    clap_mangen::Man::new(command.clone()).render(&mut page).context(fails)?;
    for verb in command.get_subcommands() {
        page.extend(section_of(verb, &command).context(fails)?);
    }
    print(&page)
}

/// A section on the flags and operands of `verb` that a benchmark does not have; nothing if there are none.
fn section_of(verb: &clap::Command, benchmark: &clap::Command) -> io::Result<Vec<u8>> {
    let is_known = |argument: &&clap::Arg| {
        let is_same = |known: &clap::Arg| {
            known.get_id() == argument.get_id() && known.get_help() == argument.get_help()
        };
        argument.is_hide_set() || benchmark.get_arguments().any(is_same)
    };
    let own: Vec<clap::Arg> = verb.get_arguments().filter(|argument| !is_known(argument)).cloned().collect();
    if own.is_empty() || verb.is_hide_set() {
        return Ok(Vec::new());
    }
    let alone = clap::Command::new("procbench").disable_help_flag(true).args(own);
    let mut options = Vec::new();
    clap_mangen::Man::new(alone).render_options_section(&mut options)?;
    let mut section = format!(".SH \"PROCBENCH {}\"\n", verb.get_name().to_uppercase()).into_bytes();
    // Without headings, and the requests that stand before the first of them.
    let is_text =
        |line: &&[u8]| ![&b".SH "[..], b".ie ", b".el "].iter().any(|request| line.starts_with(request));
    section.extend(options.split_inclusive(|byte| *byte == b'\n').filter(is_text).flatten());
    Ok(section)
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
    ignore_closed(out.write_all(text).and_then(|()| out.flush()))?;
    Ok(exit::SUCCESS)
}
