//! The warnings of many runs, together.

use std::collections::BTreeMap;

use crate::document::{Document, Warning};
use crate::measure::conditions::{self, Condition};
use crate::report::numbers::count;

/// The warnings of all `runs`, each of which has a name: each warning once, in the words of the first run that has it (it may
/// have several of one code, of different strategies), with the names of the others.
pub fn gathered<'a>(runs: impl Iterator<Item = (String, &'a Document)>) -> Vec<Warning> {
    let mut found: BTreeMap<&str, (Vec<&Warning>, Vec<String>)> = BTreeMap::new();
    let mut all = 0;
    for (name, document) in runs {
        all += 1;
        let mut of_run: BTreeMap<&str, Vec<&Warning>> = BTreeMap::new();
        for warning in &document.warnings {
            of_run.entry(&warning.code).or_default().push(warning);
        }
        for (code, warnings) in of_run {
            found.entry(code).or_insert_with(|| (warnings, Vec::new())).1.push(name.clone());
        }
    }
    let said = |(warnings, names): (Vec<&Warning>, Vec<String>)| {
        let place = place(&names, all);
        let of_all = move |warning: &Warning| Warning {
            code: warning.code.clone(),
            message: format!("{place}: {}", warning.message),
        };
        warnings.into_iter().map(of_all).collect::<Vec<_>>()
    };
    found.into_values().flat_map(said).collect()
}

/// Where a warning was found that is told in the words of the first of `names`, where there are `all` places.
fn place(names: &[String], all: usize) -> String {
    /// More names than these nobody reads.
    const NAMED: usize = 4;
    let Some((first, others)) = names.split_first() else { return String::new() };
    match others {
        [] => first.clone(),
        others if names.len() == all && others.len() > 1 => {
            format!("{first} (also all {} others)", others.len())
        }
        others if others.len() <= NAMED => format!("{first} (also {})", others.join(", ")),
        others => {
            let (named, rest) = others.split_at(NAMED - 1);
            format!("{first} (also {} and {} more)", named.join(", "), rest.len())
        }
    }
}

/// Says so, in a sentence, where others used the processors, or a quota stopped tasks, during some of `runs`, called `what` where
/// there are several, so that on a quiet machine it may come out otherwise: `so`.
pub fn reservation<'a>(runs: impl Iterator<Item = &'a Document>, what: &str, so: &str) -> Option<String> {
    let is_disturbed = |document: &Document| {
        conditions::meanwhile(&document.environment.change).iter().any(Condition::takes_cpu_time)
    };
    let (mut disturbed, mut all) = (0, 0);
    for document in runs {
        all += 1;
        disturbed += u64::from(is_disturbed(document));
    }
    let during = match (disturbed, all) {
        (0, _) => return None,
        (1, 1) => "Meanwhile".to_owned(),
        (disturbed, all) if disturbed == all => format!("During all {} {what}", count(all)),
        (disturbed, all) => format!("During {} of the {} {what}", count(disturbed), count(all)),
    };
    Some(format!("{during} others used the processors, or a quota stopped tasks: on a quiet machine {so}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_names_a_few_others() {
        let names = |count: usize| (1..=count).map(|at| format!("tasks={at}")).collect::<Vec<_>>();
        assert_eq!(place(&names(1), 9), "tasks=1");
        assert_eq!(place(&names(2), 2), "tasks=1 (also tasks=2)");
        assert_eq!(place(&names(3), 3), "tasks=1 (also all 2 others)");
        assert_eq!(place(&names(5), 9), "tasks=1 (also tasks=2, tasks=3, tasks=4, tasks=5)");
        assert_eq!(place(&names(6), 9), "tasks=1 (also tasks=2, tasks=3, tasks=4 and 2 more)");
    }
}
