//! An export of any kind that is worth showing, read back.

use std::path::Path;

use crate::document::Document;
use crate::document::head::Kind;
use crate::saved::{self, another_kind};
use crate::study::advise::document::Advice;
use crate::study::claims::ClaimsReport;
use crate::study::crossover::document::Crossovers;
use crate::study::sweep::Sweep;

/// What was in the file.
#[derive(Debug)]
pub enum Saved {
    /// A single benchmark.
    Run(Box<Document>),
    /// A benchmark for each value of one or two flags.
    Sweep(Sweep),
    /// Where the faster of two strategies changes.
    Crossover(Crossovers),
    /// Which strategy to use.
    Advice(Box<Advice>),
    /// The claims of two articles, put to the test.
    Claims(ClaimsReport),
}

impl Saved {
    /// Reads what is at `path`, or standard input for `-`.
    ///
    /// # Errors
    /// One sentence that names the file, what was found there and what was expected.
    pub fn read(path: &Path) -> Result<Self, String> {
        Self::parse(&saved::read_text(path, "the export", saved::LARGEST_BYTES)?, path)
    }

    /// The same of `text`, which was found at `path`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, String> {
        let header = saved::header(text, path)?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == header.kind());
        match kind {
            Some(Kind::Run) => Document::parse(text, path).map(Box::new).map(Self::Run),
            Some(kind @ Kind::Sweep) => {
                let sweep: Sweep = saved::parse(text, path, kind)?;
                // Everybody who shows it looks up values by their places.
                if let Some(cell) = sweep.cells.iter().find(|cell| !sweep.has_place(&cell.place)) {
                    let place = &cell.place;
                    return Err(format!(
                        "{} is damaged: no values of what varies lie at {place:?}",
                        path.display()
                    ));
                }
                if let Some(name) = sweep.stranger() {
                    return Err(format!(
                        "{} is damaged: its list of strategies and one of its cells do not both have '{name}'",
                        path.display()
                    ));
                }
                Ok(Self::Sweep(sweep))
            }
            Some(kind @ Kind::Crossover) => saved::parse(text, path, kind).map(Self::Crossover),
            Some(kind @ Kind::Advice) => saved::parse(text, path, kind).map(Box::new).map(Self::Advice),
            Some(kind @ Kind::Claims) => saved::parse(text, path, kind).map(Self::Claims),
            Some(Kind::Comparison) | None => {
                let expected = "a run, a sweep, a crossover, advice or claims";
                Err(another_kind(&header, path, expected))
            }
        }
    }
}
