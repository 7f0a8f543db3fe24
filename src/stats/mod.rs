//! What many rounds say about a strategy, and about one strategy against another.
//!
//! Pure functions over samples; they know no clock and read no file. A sample is the rounds of one
//! strategy (their times in seconds, or any other measured quantity). Every round counts: nothing is
//! dropped as an outlier.
//!
//! # How sure
//!
//! All intervals are of medians and come from [`MedianRanks`], a seeded bootstrap of [`RESAMPLES`]
//! resamples. The method was chosen by how often its interval covers the truth in a simulation; this is
//! the share in percent, which should be between 93 and 97:
//!
//! | rounds                   |     5 |     6 |     7 |     8 |     9 |    10 |    15 |    20 |    30 |    50 |
//! |--------------------------|------:|------:|------:|------:|------:|------:|------:|------:|------:|------:|
//! | normal                   |  95.1 |  94.9 |  95.2 |  95.3 |  95.0 |  95.1 |  95.0 |  95.0 |  95.0 |  95.0 |
//! | lognormal, σ = 0.5       |  95.1 |  94.8 |  95.2 |  95.3 |  94.9 |  95.1 |  95.0 |  95.0 |  95.0 |  95.0 |
//! | two modes, 60 : 40       |  95.9 | *92.6* | 94.9 |  96.3 |  93.7 |  94.8 |  94.7 |  94.8 |  94.9 |  95.0 |
//! | two modes, 55 : 45       |  95.0 | *91.2* | 94.7 |  96.3 | *92.0* | 94.4 |  94.7 |  94.4 |  94.7 |  95.4 |
//! | drift of 1 sd of noise   |  96.1 |  95.9 |  96.1 |  96.1 |  95.8 |  95.9 |  95.7 |  95.7 |  95.6 |  95.5 |
//! | drift of 3 sd of noise   | *99.2* | *99.2* | *99.3* | *99.1* | *98.9* | *99.0* | *98.7* | *98.5* | *98.5* | *98.4* |
//! | round keeps 0.3 of last  | *89.3* | *87.8* | *88.1* | *88.5* | *88.3* | *88.0* | *87.9* | *88.3* | *88.4* | *88.3* |
//!
//! (The row of 55 : 45 is from 10,000 benchmarks for each number of rounds, the others from 200,000.)
//!
//! Not met, in italics: with two modes of nearly even shares and exactly six or nine rounds; with a drift that is large against the
//! noise, where the interval is wider than it need be (the truth being the middle of the drift); and when
//! each round depends on the one before, where it is too narrow. [`trend`] tells of the second, and
//! sometimes of the third. `tests/statistics.rs` measures all of this again.
//!
//! Other methods, of which normal rounds are the easiest case (1,000 benchmarks, hence whole percent):
//!
//! | rounds                        |  5 |  6 |  7 |  8 |  9 | 10 | 20 | 50 | two modes, at worst |
//! |-------------------------------|---:|---:|---:|---:|---:|---:|---:|---:|--------------------:|
//! | percentile (Efron 1979)       | 94 | 94 | 87 | 93 | 95 | 94 | 93 | 95 |                  88 |
//! | BCa (Efron 1987)              | 94 | 94 | 87 | 92 | 94 | 94 | 93 | 95 |                  88 |
//! | basic (Davison & Hinkley 5.2) | 78 | 83 | 68 | 82 | 81 | 81 | 80 | 85 |                  50 |
//! | kernel-smoothed percentile    | 94 | 94 | 94 | 95 | 95 | 95 | 97 | 98 |                  52 |
//!
//! With seven rounds, for instance, the percentile interval is always from the second smallest to the
//! second largest, which covers the median in 87.5 % of cases, and smallest to largest in 98.4 %: what
//! lies between has to be interpolated.
//!
//! **Five rounds** are a special case: smallest to largest covers the median in only 1 - 2·2⁻⁵ = 93.75 %
//! of cases, and two identical strategies would be called different in up to 6.25 %. The interval then
//! reaches beyond the rounds by about a quarter of the distance between the outermost two. Below
//! [`MIN_ROUNDS`] there is no interval: four rounds would need more extrapolation than they can bear.
//!
//! # Verdicts
//!
//! With the margin of 1 %, two identical strategies are called different in at most 4.8 % of cases for
//! each kind and number of rounds that was simulated (in 0.1 % when rounds differ by 1 %, in 2 to 3 %
//! when they differ by 5 %), whether or not the machine drifts. Without any margin it is the 5 % that a
//! 95 % interval stands for (at most 5.2 %: two modes, six rounds). A strategy that takes 5 % less time
//! is found with ten rounds in 100 % of cases when rounds differ by 1 %, in 95 % when by 2 %, and in
//! 32 % when by 5 %. That is for one comparison: of many, more are wrong.
//!
//! # Two runs
//!
//! Rounds of two runs are no pairs, and [`compare_independent`] takes the ratio of the two medians. Of two runs of the
//! very same, its interval leaves out 1 in this share of cases, in percent, which should be at most 5 (2,000 pairs of runs
//! each); it is on the safe side with few rounds:
//!
//! | rounds               | 5 : 5 | 6 : 6 | 7 : 7 | 10 : 10 | 20 : 20 | 5 : 20 | 10 : 30 | 50 : 50 |
//! |----------------------|------:|------:|------:|--------:|--------:|-------:|--------:|--------:|
//! | normal               |   1.1 |   1.1 |   2.0 |     2.3 |     2.2 |    2.1 |     3.0 |     2.5 |
//! | lognormal, σ = 0.5   |   1.0 |   1.1 |   2.0 |     2.3 |     2.2 |    2.1 |     3.0 |     2.5 |
//! | two modes, 60 : 40   |   1.1 |   1.3 |   2.4 |     2.0 |     2.6 |    2.2 |     3.0 |     3.4 |
//!
//! That is about rounds. What differs between two runs as a whole (a warmer processor, another calibration, somebody else's
//! load) is the same in all rounds of one, and no interval of its rounds can know of it.
//!
//! # Stopping at a precision
//!
//! Whoever adds rounds until the interval is narrow enough stops more readily when chance made it narrow. With a precision of
//! 2 %, looked at from the tenth round to the fiftieth, the interval at the stop covers the truth in this share of cases:
//!
//! | rounds differ by     |  2 % |  3 % |  4 % |  5 % |  7 % |
//! |----------------------|-----:|-----:|-----:|-----:|-----:|
//! | normal               | 95.3 | 94.5 | 93.0 | 92.4 | 93.1 |
//! | rounds at the stop   |   11 |   15 |   23 |   32 |   45 |
//!
//! Rounds of two modes are worse off the more even their shares are and the closer the modes come to the precision: 95.2 % where 60 %
//! are short and the others take 10 % longer, 89.7 % with 55 % and 8 %, and 89.0 % with 55 % and 5 %.
//! Looking from the fifth round on it would be 92.6 % at 3 %. To wait until it is narrow enough twice, three or four times in a row
//! changes that by less than a point.
//!
//! # Warnings
//!
//! [`spread`] says how far typical rounds lie apart, [`Summary::outliers`] counts strange ones,
//! [`drifts`] finds drift (wrongly in at most 5 % of runs), and [`slow_first_round`] a first round that
//! should have been a warm-up (wrongly in at most 5 %; with five lognormal rounds 6.4 %, with five of two
//! modes 5.3 %).

mod best;
mod bootstrap;
mod comparison;
mod first_round;
mod histogram;
mod independent;
mod interval_fields;
mod summary;
mod trend;

pub use best::{Against, Best, CLEARLY, Standing, best_of, confidence_against};
pub use bootstrap::{CONFIDENCE, Interval, MIN_ROUNDS, MedianRanks, RESAMPLES, least_rounds_at};
pub use comparison::{Comparison, DEFAULT_MARGIN, Verdict, compare, compare_with, judge};
pub use first_round::{SLOW_FIRST_LIMIT, slow_first_round};
pub use histogram::{Histogram, in_seconds};
pub use independent::{RankPairs, compare_independent, compare_independent_with};
pub use summary::{SPREAD_LIMIT, Summary, outlier_limit, spread, summarise, summarise_with};
pub use trend::{DRIFT_LEVEL, DRIFT_LIMIT, Drifts, Trend, drifts, trend};
