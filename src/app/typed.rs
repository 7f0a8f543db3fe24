//! What was typed, and what is said where it cannot be understood.

use std::ffi::OsStr;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use super::benchmark::ignore_closed;
use super::failure::Failure;
use crate::cli::Cli;
use crate::plan::draft::{closest, of_other_tools};

/// What was typed. Whoever gives a word where none is expected has probably forgotten the `--` before his command; whoever gives
/// a flag of a tool that he knows is told what that is called here.
///
/// # Errors
/// What writing the help says that was asked for.
pub fn typed() -> Result<Cli, Failure> {
    const FORGOTTEN: &str =
        "a command of your own stands behind --, such as: procbench --tasks 200 -- gzip -kf file-{}";
    const VERB_FIRST: &str =
        "what is to be done comes first and its flags after it, such as: procbench advise --quiet";
    Cli::try_parse().or_else(|mut error| {
        let stray = match error.kind() {
            ErrorKind::UnknownArgument => error.get(ContextKind::InvalidArg),
            ErrorKind::InvalidSubcommand => error.get(ContextKind::InvalidSubcommand),
            _ => None,
        };
        let word = match stray {
            Some(ContextValue::String(word)) => word.as_str(),
            _ => "-",
        };
        let first = std::env::args_os().nth(1).unwrap_or_default();
        let takes_a_command = |verb: &clap::Command| verb.get_arguments().any(clap::Arg::is_last_set);
        let command = Cli::command();
        let is_of_benchmark = command
            .get_subcommands()
            .find(|verb| OsStr::new(verb.get_name()) == first)
            .is_none_or(takes_a_command);
        let verbs: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        // Three letters are like those of many a command.
        let long: Vec<&str> = verbs.iter().copied().filter(|verb| verb.len() > 4).collect();
        let is_first = first == word;
        let tip = match word.starts_with('-') {
            true => of_other_tools(word).map(str::to_owned),
            false if verbs.contains(&word) => Some(VERB_FIRST.into()),
            false => match closest(word, &long).filter(|_| is_first) {
                Some(verb) => Some(format!("did you mean procbench {verb}? {FORGOTTEN}")),
                None => Some(FORGOTTEN.into()),
            },
        };
        if is_of_benchmark && word.len() > 1 && word.starts_with('-') {
            // No flag is meant for a value, and what stands behind -- would be executed.
            error.remove(ContextKind::Suggested);
        }
        if let Some(tip) = tip.filter(|_| is_of_benchmark) {
            if error.remove(ContextKind::SuggestedArg).is_some() {
                // It is about what was suggested.
                error.remove(ContextKind::Usage);
            }
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
        }
        let shown = error.print();
        // What is asked for is a result; of what cannot be understood, the exit code tells.
        if !error.use_stderr() {
            ignore_closed(shown)?;
        }
        std::process::exit(error.exit_code())
    })
}
