//! The flags of `procbench report`.

use std::path::PathBuf;

use clap::Args;

/// Saved exports of every kind, and where they are shown.
#[derive(Debug, Clone, Args)]
pub struct Report {
    /// What --json wrote: runs, sweeps, crossovers, advice or claims; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Write a report to open in a browser; - is standard output. Without this, and without the next two, tables are shown
    #[arg(short, long, visible_alias = "html", value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Write the tables as Markdown; - is standard output
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,

    /// Write every round of all runs as a row of one table; - is standard output
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
}
