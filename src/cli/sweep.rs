//! The flags of a sweep: those of a benchmark, and what varies.

use std::path::PathBuf;

use clap::Args;

use super::{Benchmark, MORE_HELP};
use crate::plan::units::Seconds;

/// A benchmark for each value of a flag, or for each pair of values of two.
#[derive(Debug, Clone, Args)]
#[command(after_help = MORE_HELP, after_long_help = "")]
pub struct Sweep {
    /// What varies, once or twice: a flag and its values, such as tasks=10,100,1000, or a range on a logarithmic scale:
    /// tasks=1..1e6, io-wait=0..1s:7 (seven values)
    #[arg(long, value_name = "KEY=LIST", help_heading = SWEEP)]
    pub vary: Vec<String>,

    /// Refuse a sweep that would take longer than this altogether, by an estimate from a few tasks of each cell
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, help_heading = SWEEP)]
    pub total_time: Option<Seconds>,

    /// Go on where the sweep stopped whose export this is, into the same file unless --json names another; alone, it is given
    /// what was typed then
    #[arg(long, value_name = "FILE", help_heading = SWEEP)]
    pub resume: Option<PathBuf>,

    /// What each cell is.
    #[command(flatten)]
    pub benchmark: Benchmark,
}

const SWEEP: &str = "Sweep";
