//! What would have to be typed to see the answer again.

use clap::CommandFactory;
use clap::parser::ValueSource;

use super::search::Racer;
use crate::app::failure::Failure;
use crate::cli::Cli;
use crate::document::standing::Standing;
use crate::engine::Engine;
use crate::plan::command_line::flag_with;
use crate::stats::{self, MIN_ROUNDS};

/// What runs `racers`, the finalists before all, again as one benchmark, the best first: what was typed of the workload, with their
/// rows, and as many `rounds` as they had, or as it takes to compare them.
pub fn command(
    racers: &[Racer],
    standing: Option<&Standing>,
    rounds: usize,
    spec_has_baseline: bool,
) -> Result<Vec<String>, Failure> {
    const OF_THE_SEARCH: [&str; 8] =
        ["mode", "engine", "start", "api", "max_tasks_per_child", "evaluator", "json", "time_limit"];
    const OF_THE_SCREEN: [&str; 5] = ["quiet", "rounds", "csv", "markdown", "html"];
    let Some(standing) = standing else { return Ok(Vec::new()) };
    let mut command = Cli::command();
    let matches = command.clone().try_get_matches().map_err(anyhow::Error::from)?;
    let Some(("advise", typed)) = matches.subcommand() else { return Ok(Vec::new()) };
    let has_python = racers.iter().any(|racer| racer.row.engine == Some(Engine::Python));
    let mut words = vec!["procbench".to_owned()];
    let mut program = Vec::new();
    let verb = command.find_subcommand_mut("advise").into_iter().flat_map(|verb| verb.get_arguments());
    for argument in verb {
        let id = argument.get_id().as_str();
        let is_typed = typed.value_source(id) == Some(ValueSource::CommandLine);
        let is_idle = id == "python" && !has_python;
        if !is_typed || is_idle || OF_THE_SEARCH.contains(&id) || OF_THE_SCREEN.contains(&id) {
            continue;
        }
        let raw = typed.get_raw(id).into_iter().flatten().map(|word| word.to_string_lossy().into_owned());
        match argument.get_long() {
            None => program.extend(raw),
            Some(long) if argument.get_action().takes_values() => {
                words.extend(raw.flat_map(|value| flag_with(&format!("--{long}"), value)));
            }
            Some(long) => words.push(format!("--{long}")),
        }
    }
    let mut rows: Vec<&Racer> = racers.iter().collect();
    rows.sort_by_key(|racer| racer.name != standing.best);
    let rows: Vec<String> = rows.into_iter().map(|racer| racer.row.to_string()).collect();
    words.extend(["--mode".into(), rows.join(",")]);
    let enough = stats::least_rounds_at(standing.confidence).max(MIN_ROUNDS);
    words.extend(["--rounds".into(), rounds.max(enough).to_string()]);
    // The spec's may not be among the finalists.
    if spec_has_baseline {
        words.extend(["--baseline".into(), standing.best.clone()]);
    }
    if !program.is_empty() {
        words.push("--".into());
        words.extend(program);
    }
    Ok(words)
}
