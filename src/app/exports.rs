//! Where studies that are made of several runs are exported and shown: all in the same way.

use std::io::{self, Write};

use serde::Serialize;

use super::benchmark::ignore_closed;
use super::failure::{Failure, usage};
use crate::cli::Benchmark;
use crate::report;
use crate::report::exports::Exports;
use crate::report::subject::Subject;

/// The flag of the export that can be read back.
pub const JSON: &str = "--json";

/// Opens what is to be written to, as typed in `flags`.
pub fn open<T>(flags: &Benchmark) -> Result<Exports<T>, Failure>
where
    T: Serialize,
    for<'a> Subject<'a>: From<&'a T>,
{
    let exports = Exports::open(&[
        (JSON, flags.json.as_deref(), report::json::export::<T>),
        ("--csv", flags.csv.as_deref(), |study: &T| report::csv::export(&[Subject::from(study)])),
        ("--markdown", flags.markdown.as_deref(), |study: &T| {
            report::markdown::export(&[Subject::from(study)])
        }),
        ("--html", flags.html.as_deref(), |study: &T| report::html::export(&[Subject::from(study)])),
    ]);
    exports.map_err(|error| usage(format!("{error:#}")))
}

/// Exports `study`, which may be `partial`, and has `write` show it on standard output, unless an export goes there.
pub fn show<T>(
    study: &T,
    partial: bool,
    exports: Exports<T>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    let to_standard_output = exports.take_standard_output();
    // A disk that is full takes the export, not the tables.
    let exported = exports.write(study);
    if !to_standard_output {
        let mut out = anstream::stdout().lock();
        ignore_closed(write(&mut out).and_then(|()| out.flush()), partial)?;
    }
    Ok(exported?)
}
