//! The warnings of many runs, together.

use std::collections::BTreeMap;

use crate::document::{Document, Warning};

/// The warnings of all `runs`, each of which has a name: each warning once, in the words of the first run that has it (it may
/// have several of one code, of different strategies), with the number of others.
pub fn gathered<'a>(runs: impl Iterator<Item = (String, &'a Document)>) -> Vec<Warning> {
    let mut found: BTreeMap<&str, (String, Vec<&Warning>, usize)> = BTreeMap::new();
    for (name, document) in runs {
        let mut of_run: BTreeMap<&str, Vec<&Warning>> = BTreeMap::new();
        for warning in &document.warnings {
            of_run.entry(&warning.code).or_default().push(warning);
        }
        for (code, warnings) in of_run {
            found.entry(code).or_insert_with(|| (name.clone(), warnings, 0)).2 += 1;
        }
    }
    found
        .into_values()
        .flat_map(|(name, warnings, runs)| {
            let rest = match runs - 1 {
                0 => String::new(),
                1 => " and one other".into(),
                others => format!(" and {others} others"),
            };
            let of_all = move |warning: &Warning| Warning {
                code: warning.code.clone(),
                message: format!("{name}{rest}: {}", warning.message),
            };
            warnings.into_iter().map(of_all)
        })
        .collect()
}
