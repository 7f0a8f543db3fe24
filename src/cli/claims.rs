//! `procbench claims`: which claims, by which engines, and where to.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::engine::Engine;
use crate::plan::draft;
use crate::study::claims::{self, Claim};

/// Which claims are put to the test, and how.
#[derive(Debug, Clone, Args)]
#[command(after_help = claims_in_words())]
pub struct Claims {
    /// Which claims: those that are named are shown with all that their verdicts rest on [default: all]
    #[arg(value_name = "NAME", value_parser = claims::by_name)]
    pub names: Vec<&'static Claim>,

    /// Fewer and smaller rounds: two minutes on two cores; some verdicts may not be had. Without it, it takes about sixteen
    #[arg(long)]
    pub quick: bool,

    /// Who executes: native, python or both
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = draft::parse_engine, default_value = "native,python")]
    pub engine: Vec<Engine>,

    /// Python's interpreter, 3.8 or later [default: python3]
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,

    /// Write verdicts, what they rest on and every raw value as JSON; - is standard output, in place of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write every round of all runs that verdicts rest on as a row of a table; - is standard output, in place of the table
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Write the table as Markdown; - is standard output, in place of the table
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,

    /// Write a page for a browser; - is standard output, in place of the table
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// No progress on standard error
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub quiet: bool,
}

/// What each claim says.
fn claims_in_words() -> String {
    let widest = claims::ALL.iter().map(|claim| claim.name.len()).max().unwrap_or_default();
    let lines = claims::ALL.iter().map(|claim| format!("  {:widest$}  {}", claim.name, claim.says));
    format!("Claims:\n{}", lines.collect::<Vec<_>>().join("\n"))
}
