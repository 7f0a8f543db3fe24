//! The result in the words of the two articles.

use super::numbers::seconds;
use crate::document::{Document, StrategyResult};
use crate::engine::Engine;
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
    let (kind, settings) = strategy.name.split_once(':').unwrap_or((&strategy.name, ""));
    let named_by_itself = kind == strategy.engine.kind_name(strategy.mode);
    let aside = match (named_by_itself, strategy.engine, settings) {
        (true, Engine::Native, "") => return words.to_owned(),
        (true, Engine::Native, settings) => settings.to_owned(),
        (true, engine, "") => engine.name().to_owned(),
        (true, engine, settings) => format!("{}, {settings}", engine.name()),
        (false, ..) => strategy.name.clone(),
    };
    format!("{words} ({aside})")
}
