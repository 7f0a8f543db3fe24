//! The flags of a search for a crossover: those of a benchmark, two strategies, and what varies.

use clap::Args;

use super::{Benchmark, MORE_HELP};
use crate::plan::draft::StrategyDraft;
use crate::plan::units::{Count, Percent, Seconds};

/// Where the faster of two strategies changes.
#[derive(Debug, Clone, Args)]
#[command(after_help = MORE_HELP, after_long_help = "")]
pub struct Crossover {
    /// The two strategies, with settings after colons, such as pool,process or pool,pool:workers=4x
    #[arg(long, value_name = "A,B", value_delimiter = ',', required = true, help_heading = CROSSOVER)]
    pub between: Vec<StrategyDraft>,

    /// The flag that varies, and its range, such as io-wait=0..1s; the scale is logarithmic
    #[arg(long, value_name = "KEY=LOW..HIGH", required = true, help_heading = CROSSOVER)]
    pub over: String,

    /// Stop when the upper end of the interval is at most this much above the lower one [default: 10%]
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true, help_heading = CROSSOVER)]
    pub width: Option<Percent>,

    /// Values that are looked at first, over the whole range: what happens twice between two of them goes unnoticed
    /// [default: 7]
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = CROSSOVER)]
    pub points: Option<Count>,

    /// Stop after this time with what is known by then [default: 60s]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, help_heading = CROSSOVER)]
    pub time_limit: Option<Seconds>,

    /// What is run at each value.
    #[command(flatten)]
    pub benchmark: Benchmark,
}

const CROSSOVER: &str = "Crossover";
