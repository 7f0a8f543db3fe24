//! The warnings of many runs, together.

use std::collections::BTreeMap;

use crate::document::{Document, Warning};

/// The warnings of all `runs`, each of which has a name: each warning once, in the words of the first run that has it, with the
/// number of others.
pub fn gathered<'a>(runs: impl Iterator<Item = (String, &'a Document)>) -> Vec<Warning> {
    let mut found: BTreeMap<&str, (String, &Warning, usize)> = BTreeMap::new();
    for (name, document) in runs {
        let mut seen: Vec<&str> = Vec::new();
        for warning in &document.warnings {
            let entry = found.entry(&warning.code).or_insert_with(|| (name.clone(), warning, 0));
            if !seen.contains(&warning.code.as_str()) {
                entry.2 += 1;
                seen.push(&warning.code);
            }
        }
    }
    found
        .into_values()
        .map(|(name, warning, runs)| {
            let rest = match runs - 1 {
                0 => String::new(),
                1 => " and one other".into(),
                others => format!(" and {others} others"),
            };
            Warning { code: warning.code.clone(), message: format!("{name}{rest}: {}", warning.message) }
        })
        .collect()
}
