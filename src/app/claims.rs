//! The articles' claims, put to the test.

use super::exports;
use super::failure::{Failure, usage};
use crate::cli::Claims;
use crate::engine::Engine;
use crate::experiment::workbench::Workbench;
use crate::report::progress::Progress;
use crate::study::claims::run::Wanted;
use crate::study::claims::{ALL, ClaimsReport, Effort, run};
use crate::{exit, report};

/// Tests what was named, shows and exports it.
pub fn run(typed: &Claims) -> Result<i32, Failure> {
    let exports = exports::open_with(report::claims::json, typed.into())?;
    let wanted = wanted(typed)?;
    let mut bench = Workbench::new()?;
    let mut progress = Progress::new(typed.quiet);
    let tested = run::test(&mut bench, &wanted, &mut progress);
    progress.finish();
    exports::show(&tested, exports, |out| report::claims::write(&tested, !typed.names.is_empty(), out))?;
    Ok(exit_code(&tested))
}

fn wanted(typed: &Claims) -> Result<Wanted, Failure> {
    let is_named = |name: &str| typed.names.is_empty() || typed.names.iter().any(|named| named.name == name);
    let mut engines: Vec<Engine> = Vec::new();
    for engine in &typed.engine {
        if !engines.contains(engine) {
            engines.push(*engine);
        }
    }
    if let Some(tool) = engines.iter().find(|engine| engine.is_tool()) {
        return Err(usage(format!(
            "the claims are not about {}: expected native, python or both",
            tool.name()
        )));
    }
    if typed.python.is_some() && !engines.contains(&Engine::Python) {
        return Err(usage("--python was given, but the engine is native alone: expected --engine python"));
    }
    Ok(Wanted {
        claims: ALL.iter().filter(|claim| is_named(claim.name)).collect(),
        engines,
        effort: if typed.quick { Effort::Quick } else { Effort::Full },
        python: typed.python.clone(),
    })
}

/// Whichever way verdicts come out is not for the exit code to say.
fn exit_code(tested: &ClaimsReport) -> i32 {
    if tested.broken() {
        exit::FAILURE
    } else if tested.partial {
        exit::INTERRUPTED
    } else if tested.lacks_all() {
        exit::LIMIT
    } else {
        exit::SUCCESS
    }
}
