//! Pure functions over samples. A sample is the rounds of one strategy.

mod bootstrap;
mod comparison;
mod first_round;
mod interval_fields;
mod summary;
mod trend;

pub use bootstrap::{CONFIDENCE, Interval, MIN_ROUNDS, MedianRanks, RESAMPLES};
pub use comparison::{Comparison, DEFAULT_MARGIN, Verdict, compare, compare_with};
pub use first_round::{SLOW_FIRST_LIMIT, slow_first_round};
pub use summary::{OUTLIER_Z, SPREAD_LIMIT, Summary, summarise, summarise_with};
pub use trend::{DRIFT_LEVEL, DRIFT_LIMIT, Trend, trend};
