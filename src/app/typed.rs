//! What was typed, and what is said where it cannot be understood.

use std::ffi::OsStr;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use crate::cli::Cli;

/// What was typed. Whoever gives a word where none is expected has probably forgotten the `--` before his command.
pub fn typed() -> Cli {
    const TIP: &str =
        "a command of your own stands behind --, such as: procbench --tasks 200 -- gzip -kf file-{}";
    Cli::try_parse().unwrap_or_else(|mut error| {
        let stray = match error.kind() {
            ErrorKind::UnknownArgument => error.get(ContextKind::InvalidArg),
            ErrorKind::InvalidSubcommand => error.get(ContextKind::InvalidSubcommand),
            _ => None,
        };
        let is_word = matches!(stray, Some(ContextValue::String(word)) if !word.starts_with('-'));
        let first = std::env::args_os().nth(1).unwrap_or_default();
        if is_word && !Cli::command().get_subcommands().any(|verb| OsStr::new(verb.get_name()) == first) {
            let tip = ContextValue::StyledStrs(vec![StyledStr::from(TIP)]);
            error.insert(ContextKind::Suggested, tip);
        }
        error.exit()
    })
}
