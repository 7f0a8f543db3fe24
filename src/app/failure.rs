//! How the program ends that has nothing to report.

use std::io::Write;

use crate::engine::python::ProbeError;
use crate::exit;
use crate::experiment::RunError;
use crate::experiment::workbench::PrepareError;
use crate::measure::shortage::{self, Lack};
use crate::plan::PlanError;
use crate::report::numbers;
use crate::report::style::{ERROR, paint, plain};

/// Why there is nothing to report.
pub struct Failure {
    code: i32,
    message: String,
}

impl Failure {
    /// A failure with `code` of [`exit`].
    pub fn new(code: i32, message: impl ToString) -> Self {
        Self { code, message: message.to_string() }
    }

    /// The same, with `more` said behind it where what was typed is wrong.
    pub fn and_of_typed(self, more: &str) -> Self {
        match self.code {
            exit::USAGE => Self { message: format!("{}{more}", self.message), ..self },
            _ => self,
        }
    }

    /// Says why on standard error, and returns the exit code.
    pub fn show(self) -> i32 {
        // Where standard error is closed the exit code has to do.
        let _ = writeln!(anstream::stderr(), "{} {}", paint(ERROR, "error:"), plain(&self.message));
        self.code
    }
}

/// What was typed is wrong.
pub fn usage(message: impl ToString) -> Failure {
    Failure::new(exit::USAGE, message)
}

/// Within the time limit of `limit` seconds the search could not do `what`. `enough` seconds should do, if that is known; or
/// `instead`.
pub fn time_limit_too_short(limit: f64, what: &str, enough: Option<f64>, instead: &str) -> Failure {
    /// Nobody waits longer than a day for an answer.
    const LONGEST: f64 = 86_400.0;
    let enough = enough.map(|enough| enough.max(2.0 * limit).ceil());
    let longer = match enough {
        Some(enough) if enough <= LONGEST => format!("--time-limit {enough}s or longer"),
        _ => "a longer --time-limit".into(),
    };
    let limit = numbers::seconds(limit);
    Failure::new(
        exit::LIMIT,
        format!("within the time limit of {limit} {what}: expected {longer}, or {instead}"),
    )
}

/// Refuses a search that may take no time.
pub fn refuse_no_time(limit: Option<f64>) -> Result<(), Failure> {
    match limit {
        Some(limit) if limit <= 0.0 => Err(usage("--time-limit is 0: expected more, such as 60s")),
        _ => Ok(()),
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        if error.downcast_ref::<Lack>().is_some() {
            return Self::new(exit::LIMIT, format!("{error:#}"));
        }
        match shortage::behind(&error) {
            Some(message) => Self::new(exit::LIMIT, message),
            None => Self::new(exit::FAILURE, format!("{error:#}")),
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Usage(message) => Self::new(exit::USAGE, message),
            PlanError::Limit(message) => Self::new(exit::LIMIT, message),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Refused(_) => Self::new(exit::USAGE, error),
            RunError::Limit(_) => Self::new(exit::LIMIT, error),
            RunError::Interrupted => Self::new(exit::INTERRUPTED, error),
            RunError::Other(error) => error.into(),
            RunError::Violation(_) => Self::new(exit::FAILURE, error),
        }
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Unusable(_) => Self::new(exit::LIMIT, error),
            ProbeError::Interrupted => Self::new(exit::INTERRUPTED, error),
        }
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Plan(error) => error.into(),
            PrepareError::Python(error) => error.into(),
            PrepareError::Other(error) => error.into(),
        }
    }
}
