//! The claims of two articles on Python's `multiprocessing`, put to the test on this machine.
//!
//! A claim is what the article says, the runs that put it to the test ([`replay`]), and a rule that makes a verdict of what
//! was measured. Rules are pure: they see [`Sample`]s and nothing else, and every verdict rests on the paired comparisons of
//! [`crate::stats`]. A new claim is one file here and one line in [`claims!`] below.

mod evidence;
mod replay;
pub mod run;
mod sample;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
pub use evidence::{Evidence, Judgement, Unit, Verdict};
pub use replay::{Circumstances, Effort, Replay};
pub use run::{ClaimsReport, Finding, Tested};
pub use sample::Sample;

/// A claim.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// What it is called.
    pub name: &'static str,
    /// What the article says.
    pub says: &'static str,
    /// The figures that it gives.
    pub figures: Option<&'static str>,
    /// Whether it speaks of so many tasks that the few of a quick run can bear it out, but not refute it.
    pub of_many: bool,
    /// Whether it is of results: that one is missing, wrong or at another task's place refutes it.
    pub of_results: bool,
    /// How long it takes natively and in Python, on two cores, without `--quick`: those that take long come last where time is short.
    pub seconds: u32,
    /// Who can put it to the test.
    pub engines: &'static [Engine],
    /// What is run for that.
    pub replays: fn(&Circumstances) -> Vec<Replay>,
    /// What is to be said of it, given a sample of each of those runs, in their order; or why nothing is.
    pub judge: fn(&[Sample]) -> Result<Judgement, String>,
}

macro_rules! claims {
    ($($file:ident),+ $(,)?) => {
        $(mod $file;)+

        /// All claims, in the order of the articles.
        pub const ALL: &[Claim] = &[$($file::CLAIM),+];
    };
}

claims! {
    small_batch,
    large_batch,
    few_expressions,
    wide_expressions,
    memory,
    disturbance,
    io_bound,
    cpu_bound,
    fifo,
    ordered,
    gil,
}

/// The claim that is called `name`.
///
/// # Errors
/// That there is none, and which there are.
pub fn by_name(name: &str) -> Result<&'static Claim, String> {
    let names: Vec<&'static str> = ALL.iter().map(|claim| claim.name).collect();
    let found = crate::plan::draft::by_name("claim", name, &names, |name| name)?;
    ALL.iter().find(|claim| claim.name == found).ok_or_else(|| format!("there is no claim {name}"))
}

/// A claim as exported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stated {
    /// What it is called.
    pub name: String,
    /// What the article says.
    pub says: String,
    /// The figures that it gives; null if it gives none.
    pub figures: Option<String>,
}

impl From<&Claim> for Stated {
    fn from(claim: &Claim) -> Self {
        let figures = claim.figures.map(str::to_owned);
        Self { name: claim.name.to_owned(), says: claim.says.to_owned(), figures }
    }
}
