//! The flags of `procbench compare`.

use std::path::PathBuf;

use clap::Args;

use crate::plan::units::Percent;

/// Two saved runs, and how they are compared.
#[derive(Debug, Clone, Args)]
pub struct Compare {
    /// The run that is compared with, from --json; - is standard input
    #[arg(value_name = "OLD.json")]
    pub old: PathBuf,

    /// The run that is compared
    #[arg(value_name = "NEW.json")]
    pub new: PathBuf,

    /// Exit with 4 if a strategy is slower by more than this: its whole interval lies beyond; with 1 if that cannot be judged of all
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true)]
    pub fail_if_slower: Option<Percent>,

    /// By how much two times must differ to be told apart [default: what the runs had, or the larger of both]
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true)]
    pub margin: Option<Percent>,

    /// Compare runs whose tasks differ
    #[arg(long)]
    pub different_workload: bool,

    /// Compare runs on different processors, or on a different number of cores
    #[arg(long)]
    pub different_machine: bool,

    /// Compare runs of different versions of procbench or Python
    #[arg(long)]
    pub different_engine: bool,

    /// Write the comparison as JSON; - is standard output, in place of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write the table as Markdown; - is standard output, in place of the table
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}
