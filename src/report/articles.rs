//! The result in the words of the two articles.

use super::numbers::seconds;
use crate::document::{Document, StrategyResult};
use crate::mode::Mode;

/// Stands between two strategies.
pub const SEPARATOR: &str = " · ";

/// `Using pool: 0.53 s · Without using the pool: 1.02 s · Process: 78 s`
pub fn line(document: &Document) -> String {
    let parts: Vec<String> = document
        .strategies
        .iter()
        .filter_map(|strategy| {
            let median = strategy.summary.as_ref()?.total_seconds.median;
            Some(format!("{}: {}", label(strategy), seconds(median)))
        })
        .collect();
    parts.join(SEPARATOR)
}

fn label(strategy: &StrategyResult) -> String {
    let words = match strategy.mode {
        Mode::Serial => "Without using the pool",
        Mode::Threads => "Threads",
        Mode::Pool => "Using pool",
        Mode::Process => "Process",
    };
    match strategy.name.split_once(':') {
        Some((_, settings)) => format!("{words} ({settings})"),
        None if strategy.name == strategy.mode.name() => words.to_owned(),
        None => format!("{words} ({})", strategy.name),
    }
}
