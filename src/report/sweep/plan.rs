//! What is said of a sweep before it is run, and the warnings of all its cells.

use std::io::{self, Write};
use std::path::Path;

use crate::document::Warning;
use crate::report::gathered::gathered;
use crate::report::grid::wrap;
use crate::report::numbers::seconds;
use crate::report::style::plain;
use crate::study::sweep::Sweep;

/// Says what is about to be run.
///
/// # Errors
/// What writing to `out` says.
pub fn write_announcement(sweep: &Sweep, out: &mut dyn Write) -> io::Result<()> {
    let open = sweep.cells.len() - sweep.done();
    if open == 0 {
        return writeln!(out, "all {} cells are done", sweep.cells.len());
    }
    let of = if sweep.done() > 0 {
        format!(" of {}, the others are done", sweep.cells.len())
    } else {
        String::new()
    };
    let (cells, take) = if open == 1 { ("cell", "takes") } else { ("cells", "take") };
    let time = sweep.estimate_seconds.map(|time| format!(", which {take} about {} at most", seconds(time)));
    writeln!(out, "{open} {cells}{of}{}", time.unwrap_or_default())
}

/// How a sweep is gone on with that was interrupted, whose export is in the file `kept`, if there is one.
///
/// # Errors
/// What writing to `out` says.
pub fn write_how_to_go_on(kept: Option<&Path>, out: &mut dyn Write) -> io::Result<()> {
    match kept.map(|path| path.display().to_string()) {
        Some(path) => {
            let words = ["procbench", "sweep", "--resume", path.as_str()];
            let command = shlex::try_join(words).unwrap_or_else(|_| words.join(" "));
            writeln!(out, "what is left is run by: {}", plain(&command))
        }
        None => {
            writeln!(out, "it cannot be gone on with: with --json FILE it could have been (--resume FILE)")
        }
    }
}

/// Why a sweep is not begun.
pub fn too_long(sweep: &Sweep, needed: f64, allowed: f64) -> String {
    format!(
        "the {} cells would take about {}, which is longer than the total time of {}: expected fewer values, fewer --rounds, \
         a smaller --time-budget for each strategy, or a longer --total-time",
        sweep.cells.len() - sweep.done(),
        seconds(needed),
        seconds(allowed)
    )
}

/// Writes what would be run.
///
/// # Errors
/// What writing to `out` says.
pub fn write_plan(sweep: &Sweep, out: &mut dyn Write) -> io::Result<()> {
    for variable in &sweep.variables {
        let values: Vec<&str> = variable.values.iter().map(|value| value.text.as_str()).collect();
        for line in wrap(&format!("{}: {}", variable.key, values.join(", "))) {
            writeln!(out, "{line}")?;
        }
    }
    writeln!(out, "strategies: {}", sweep.strategies.join(", "))?;
    let time = match sweep.estimate_seconds {
        Some(time) => {
            format!("They take about {} at most; nothing was run but a few tasks of each.", seconds(time))
        }
        None => {
            "What they take is not estimated, since nobody can tell without executing the program.".into()
        }
    };
    let open = sweep.cells.len() - sweep.done();
    let left = (sweep.done() > 0).then(|| format!("; {open} of them are left"));
    let left = left.unwrap_or_default();
    for line in wrap(&format!("{}, in an order drawn from seed {}{left}. {time}", cells(sweep), sweep.seed)) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The warnings of all cells, each once, with the number of cells that have it.
pub fn warnings(sweep: &Sweep) -> Vec<Warning> {
    let runs = sweep.cells.iter().filter_map(|cell| cell.document.as_ref().map(|document| (cell, document)));
    gathered(runs.map(|(cell, document)| (cell.name(&sweep.variables), document)))
}

/// Writes [`warnings`].
///
/// # Errors
/// What writing to `out` says.
pub fn write_warnings(sweep: &Sweep, out: &mut dyn Write) -> io::Result<()> {
    crate::report::write_warnings(&warnings(sweep), out)
}

fn cells(sweep: &Sweep) -> String {
    if sweep.cells.len() == 1 { "1 cell".into() } else { format!("{} cells", sweep.cells.len()) }
}
