//! A sweep for a person: a line for each strategy where one flag varies, a map of decisions where two do.

mod plan;
mod table;
mod words;

use std::io::{self, Write};

use super::blocks::blocks;
use super::grid::wrap;
use super::style::{DIM, TITLE, paint};
use crate::study::sweep::Sweep;

pub use plan::{too_long, warnings, write_announcement, write_how_to_go_on, write_plan, write_warnings};
pub use table::{decision, legend, letters, table};
pub use words::{answer, reservation, rest, title, turns, value_in_words, without, without_doing_nothing};

/// Writes everything that a person wants to see of `sweep`.
///
/// # Errors
/// What writing to `out` says.
pub fn write(sweep: &Sweep, out: &mut dyn Write) -> io::Result<()> {
    for line in wrap(&title(sweep)) {
        writeln!(out, "{}", paint(TITLE, &line))?;
    }
    writeln!(out)?;
    for block in blocks(&table(sweep)) {
        writeln!(out, "{block}")?;
    }
    for line in wrap(&legend(sweep)) {
        writeln!(out, "{}", paint(DIM, &line))?;
    }
    let said: Vec<String> = [answer(sweep), reservation(sweep)].into_iter().flatten().collect();
    if !said.is_empty() {
        writeln!(out)?;
        wrap(&said.join(" ")).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    rest(sweep).map_or(Ok(()), |rest| writeln!(out, "\n{rest}"))
}
