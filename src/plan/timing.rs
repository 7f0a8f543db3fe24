//! How long tasks last and what they wait for: what contradicts itself, and what it comes to.

use super::draft::WorkloadDraft;
use super::units::{Length, Size};
use super::{PlanError, usage};
use crate::workload::{Io, TraceSummary};

impl WorkloadDraft {
    /// `self`, without what belongs to another kind of I/O than `io`.
    pub fn with_io(self, io: Io) -> Self {
        if self.io.unwrap_or_default() == io {
            return self;
        }
        Self { io_size: None, io_folder: self.io_folder.filter(|_| io.is_on_disk()), ..self }
    }

    /// What does not belong to the kind of I/O that was typed.
    pub(super) fn contradiction_of_io(&self) -> Option<String> {
        let io = self.io.unwrap_or_default();
        let name = io.name();
        if io == Io::Sleep && self.io_size.is_some() {
            return Some("io-size belongs to the I/O echo, fsync or read, but this one is sleep".into());
        }
        if !io.is_on_disk() && self.io_folder.is_some() {
            return Some(format!("io-folder belongs to the I/O fsync or read, but this one is {name}"));
        }
        if self.io_size == Some(Size(0)) {
            return Some("io-size is 0: expected at least 1".into());
        }
        (io.is_on_disk() && self.io_wait.is_some_and(Length::is_some)).then(|| {
            format!("io-wait belongs to the I/O sleep or echo, but this one is {name}: how long it takes is the disk's to say")
        })
    }

    /// What is to be read from a trace that is not there, or twice.
    pub(super) fn contradiction_of_lengths(&self) -> Option<String> {
        let of_trace = [("cpu", self.cpu), ("io-wait", self.io_wait)];
        let mut of_trace = of_trace.iter().filter(|(_, length)| *length == Some(Length::Trace));
        let (name, _) = of_trace.next()?;
        if of_trace.next().is_some() {
            return Some(
                "the trace is both cpu and io-wait: expected a duration for one of them, which is its mean"
                    .into(),
            );
        }
        // What was not typed may still be: the spec's own part is looked at before the command line's.
        let other = self.spread.as_ref().filter(|spread| spread.trace().is_none())?;
        Some(format!(
            "{name} is to be read from the trace, but spread is {other}: expected spread trace:FILE"
        ))
    }
}

/// The kind of I/O.
///
/// # Errors
/// If it needs a folder and none was named.
pub(super) fn io(draft: &WorkloadDraft) -> Result<Io, PlanError> {
    let io = draft.io.unwrap_or_default();
    if io.is_on_disk() && draft.io_folder.is_none() {
        return usage(format!(
            "io {} needs a folder on the disk that is to be measured: expected --io-folder DIR, or io_folder in the spec",
            io.name()
        ));
    }
    Ok(io)
}

/// How long a task computes and waits on average, in seconds.
///
/// # Errors
/// If that is to be read from a trace that is not there.
pub(super) fn lengths(draft: &WorkloadDraft, trace: Option<TraceSummary>) -> Result<(f64, f64), PlanError> {
    let mean = |name: &str, length: Option<Length>| match (length, trace) {
        (None, _) => Ok(0.0),
        (Some(Length::Mean(mean)), _) => Ok(mean.0),
        (Some(Length::Trace), Some(trace)) => Ok(trace.mean_seconds),
        (Some(Length::Trace), None) => usage(format!(
            "{name} is to be read from the trace, but there is none: expected --spread trace:FILE"
        )),
    };
    // A trace of which nothing else is said tells how long tasks compute.
    let of_trace = (trace.is_some() && draft.io_wait.is_none()).then_some(Length::Trace);
    Ok((mean("cpu", draft.cpu.or(of_trace))?, mean("io-wait", draft.io_wait)?))
}
