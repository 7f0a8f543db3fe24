//! One saved run against another.

use std::io::Write;

use super::benchmark::ignore_closed;
use super::failure::{Failure, usage};
use crate::cli::Compare;
use crate::document::Document;
use crate::document::comparison::{Allowed, RunComparison, Terms};
use crate::report::exports::Exports;
use crate::report::grid::terminal_columns;
use crate::{exit, report};

/// Compares them, and says so; 4 if that was asked for and something is slower.
pub fn run(flags: &Compare) -> Result<i32, Failure> {
    if [&flags.old, &flags.new].iter().all(|path| path.as_os_str() == "-") {
        return Err(usage("standard input can be read only once: expected a file beside '-'"));
    }
    let old = Document::read(&flags.old).map_err(usage)?;
    let new = Document::read(&flags.new).map_err(usage)?;
    let terms = Terms {
        margin: flags.margin.map(|margin| margin.0),
        fail_if_slower: flags.fail_if_slower.map(|most| most.0),
        allowed: Allowed {
            workload: flags.different_workload,
            machine: flags.different_machine,
            engine: flags.different_engine,
        },
    };
    let comparison = RunComparison::of((&flags.old, &old), (&flags.new, &new), &terms).map_err(usage)?;
    let exports: Exports<RunComparison> = Exports::open(&[
        ("--json", flags.json.as_deref(), report::json::export),
        ("--markdown", flags.markdown.as_deref(), report::comparison::markdown),
    ])
    .and_then(|exports| exports.spare([flags.old.as_path(), flags.new.as_path()]))
    .map_err(|error| usage(format!("{error:#}")))?;
    let shown = !exports.take_standard_output();
    exports.write(&comparison)?;
    if shown {
        let mut out = anstream::stdout().lock();
        let written = report::comparison::write(&comparison, terminal_columns(), &mut out);
        ignore_closed(written.and_then(|()| out.flush()))?;
    }
    ignore_closed(report::write_warnings(&comparison.warnings, &mut anstream::stderr().lock()))?;
    let has_unjudged = old.has_failed() || new.has_failed() || comparison.has_unjudged();
    Ok(if comparison.has_failed() {
        exit::SLOWER
    } else if has_unjudged && flags.fail_if_slower.is_some() {
        // What could not be compared has not passed.
        exit::FAILURE
    } else {
        exit::SUCCESS
    })
}
