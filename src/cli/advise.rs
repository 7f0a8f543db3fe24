//! The flags of a search for the best strategy: those of a benchmark, and a time.

use clap::Args;

use super::{Benchmark, MORE_HELP};
use crate::plan::units::Seconds;

/// Which strategy to use.
#[derive(Debug, Clone, Args)]
#[command(after_help = MORE_HELP, after_long_help = "")]
pub struct Advise {
    /// How long the search may take altogether [default: 60s]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, help_heading = ADVISE)]
    pub time_limit: Option<Seconds>,

    /// The workload. The search keeps to the modes of --mode; rows with settings, and those of a spec, are looked at besides its own.
    #[command(flatten)]
    pub benchmark: Benchmark,
}

const ADVISE: &str = "Advice";
