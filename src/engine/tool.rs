//! Tools that start commands in parallel, as they are installed: `xargs -P` and GNU parallel.
//!
//! A round is procbench's own runner, which starts the tool and reaps it: the clock runs from the one to the other. The tool
//! reads the same lines as all other engines, each ended by a zero byte, and starts the same words for each of them.
//!
//! How single tasks have ended only the tool knows. GNU parallel writes it down (`--joblog`). xargs says in its exit code
//! whether all have succeeded, and no more; so where one has failed the round ends with an error. That xargs has handed each line
//! to one command is proved in a round that is not timed: there, procbench itself is started first each time, notes the
//! words that it was given, and becomes the command. In that round GNU parallel is held to the same, and what the tool itself says
//! is heard: it may be that the machine has not enough for it.

mod proof;
mod records;
mod started;
mod tasks;

pub use proof::{MARK, mark};

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::native::{RUNNER, hold_memory, own_program};
use super::protocol::{Message, Request, RoundReport};
use super::python::interpreter::{ProbeError, ask};
use super::{Engine, Equipment, Strategy};
use crate::measure::shortage;
use crate::mode::Mode;
use crate::mode::verify::{FAILURES_REPORTED, Folder, TaskFailure};
use crate::sys::memory::Mapping;
use crate::sys::strays::{end_strays, reap_ended};
use crate::sys::wait::{CpuTime, Exit, has_children};
use crate::workload::program::{self, PLACEHOLDER};
use crate::workload::{Kind, WorkloadSpec};
use proof::Proof;
use records::Records;
use started::{IDLE, Seen, Started};
use tasks::Tasks;

/// A tool that is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Whose it is.
    pub engine: Engine,
    /// Its file.
    pub path: PathBuf,
    /// What it says of its version.
    pub version: String,
}

impl Tool {
    /// Finds the tool of `engine`, and asks it what it is: there is another `parallel` that only has the name. Gives up when
    /// `stop_wanted` says so.
    ///
    /// # Errors
    /// If it is not installed, or is another.
    pub fn find(engine: Engine, stop_wanted: &dyn Fn() -> bool) -> Result<Self, ProbeError> {
        let name = engine.name();
        let (project, package, begins) = match engine {
            Engine::Parallel => ("GNU parallel", "parallel", "GNU parallel "),
            _ => ("GNU xargs", "findutils", "xargs (GNU findutils)"),
        };
        let missing = |found: String| {
            Err(ProbeError::Unusable(format!(
                "{project} is not installed: {found}. It is in the package {package} of most distributions"
            )))
        };
        let Ok(path) = program::find(name.as_bytes()) else {
            return missing(format!("{name} was not found in PATH"));
        };
        let answer = ask(&path, &["--version"], stop_wanted)?;
        let said = answer.stdout.lines().next().unwrap_or_default().trim();
        if said.starts_with(begins) {
            return Ok(Self { engine, path, version: said.to_owned() });
        }
        let other = format!("{} is another program of that name", path.display());
        missing(format!("{other}: asked for its --version, it said {}", answer.in_words()))
    }
}

/// xargs, below procbench's runner.
///
/// # Errors
/// If it is not part of `equipment`.
pub fn xargs(equipment: &Equipment) -> anyhow::Result<Command> {
    command(Engine::Xargs, equipment)
}

/// GNU parallel, below procbench's runner.
///
/// # Errors
/// If it is not part of `equipment`.
pub fn parallel(equipment: &Equipment) -> anyhow::Result<Command> {
    command(Engine::Parallel, equipment)
}

fn command(engine: Engine, equipment: &Equipment) -> anyhow::Result<Command> {
    let tool = equipment.tools.iter().find(|tool| tool.engine == engine);
    let tool = tool.with_context(|| format!("{} has not been made ready", engine.name()))?;
    let mut command = own_program(RUNNER)?;
    command.arg(&tool.path);
    Ok(command)
}

/// What of `workload` the tool of `engine` cannot do; `None` if it can do it all.
pub fn refusal(engine: Engine, workload: &WorkloadSpec) -> Option<String> {
    let name = engine.name();
    let Some(program) = workload.program.as_ref().filter(|_| workload.kind == Kind::Command) else {
        let found = workload.kind.name();
        return Some(format!("the {name} engine has no workload {found}: expected a command, behind --"));
    };
    if program.timeout_seconds.is_some() {
        return Some(format!("the {name} engine has no --timeout"));
    }
    if program.output.is_some() {
        return Some(format!("the {name} engine has no --output: what its commands write is discarded"));
    }
    if !program.success_codes.is_default() {
        return Some(format!(
            "the {name} engine has no --success-codes: for it any exit code but 0 is a failure"
        ));
    }
    let taken = program.words.iter().find_map(|word| taken_by_parallel(word));
    taken.filter(|_| engine == Engine::Parallel).map(|taken| {
        format!("GNU parallel would put something else in the place of {taken} in the command: expected {{}} alone")
    })
}

/// Why the tool of `engine` cannot be handed the program in `file` by its whole name; `None` if it can.
pub fn refusal_of_file(engine: Engine, file: &Path) -> Option<String> {
    let file = file.to_string_lossy();
    let holds = file.contains(PLACEHOLDER).then_some(PLACEHOLDER);
    let taken = match engine {
        Engine::Xargs => holds,
        Engine::Parallel => holds.or_else(|| taken_by_parallel(&file)),
        Engine::Native | Engine::Python => None,
    };
    let name = engine.name();
    taken.map(|taken| {
        format!("{name} would put something else in the place of {taken} in the program's path {file}")
    })
}

/// What GNU parallel replaces in a command besides the placeholder.
fn taken_by_parallel(word: &str) -> Option<&str> {
    word.match_indices('{').find_map(|(start, _)| {
        let end = start + word[start..].find('}')? + 1;
        let inside = &word[start + 1..end - 1];
        let is_position = |text: &str| {
            let number = text.trim_start_matches('-');
            let number = number.trim_end_matches("//").trim_end_matches(['.', '/']);
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        let taken = matches!(inside, "." | "/" | "//" | "/." | "#" | "%")
            || is_position(inside)
            || (inside.starts_with('=') && inside.ends_with('=') && inside.len() > 1);
        taken.then_some(&word[start..end])
    })
}

/// The words that the tool of `engine` is started with, so that it starts `words` for each line, `at_once` at a time.
fn tool_words(engine: Engine, at_once: u64, words: &[String], log: Option<&Path>) -> Vec<String> {
    let asks = words.iter().filter(|word| word.contains(PLACEHOLDER)).count();
    let mut all: Vec<String> = vec![engine.name().into(), "-0".into(), "-P".into(), at_once.to_string()];
    let mut rest = words;
    if let (Engine::Parallel, Some(log)) = (engine, log) {
        // Ungrouped, since nobody reads what commands write; quoted, so that words are words.
        // Nor is anything of it to be what $PARALLEL or a file of the user's says.
        all.extend(["--plain", "--will-cite", "-u", "-q", "--joblog"].map(String::from));
        all.push(log.display().to_string());
        if asks == 0 {
            all.push("-N0".into());
        }
    } else if let Some((last, before)) = words.split_last()
        && (last, asks) == (&PLACEHOLDER.to_owned(), 1)
        && !before.is_empty()
    {
        all.extend(["-n", "1"].map(String::from));
        rest = before;
    } else {
        all.extend(["-I", PLACEHOLDER].map(String::from));
    }
    all.extend_from_slice(rest);
    all
}

/// How many of `tasks` commands run at once in a row of `strategy`.
fn at_once(strategy: &Strategy, tasks: u64) -> u64 {
    let settings = &strategy.settings;
    match strategy.mode {
        Mode::Serial | Mode::Threads => 1,
        Mode::Pool => settings.workers.unwrap_or(1),
        Mode::Process => settings.in_flight.unwrap_or(tasks),
    }
}

/// What stands for the file of a round's own in [`command_line`].
pub const ROUNDS_OWN_FILE: &str = "FILE";

/// What a round of `strategy` starts, the tool as the file that is found; `None` if it is no tool's, or there is no command.
pub fn command_line(strategy: &Strategy, workload: &WorkloadSpec) -> Option<Vec<String>> {
    let engine = Some(strategy.engine).filter(|engine| engine.is_tool())?;
    let spec = workload.program.as_ref()?;
    let words = spec.located(spec.command_words());
    let log = Path::new(ROUNDS_OWN_FILE);
    let mut all = tool_words(engine, at_once(strategy, workload.tasks), &words, Some(log));
    if let (Some(first), Ok(file)) = (all.first_mut(), program::find(engine.name().as_bytes())) {
        *first = file.to_string_lossy().into_owned();
    }
    Some(all)
}

/// Executes one round: the runner is what `Request` asks for, made ready apart from what the clock includes.
///
/// # Errors
/// If something cannot be had, or the tool says that not all tasks have succeeded.
pub(super) fn execute(
    request: &Request,
    await_go: impl FnOnce() -> anyhow::Result<()>,
    over: impl FnOnce() -> anyhow::Result<()>,
    say: impl Fn(&Message) -> anyhow::Result<()>,
) -> anyhow::Result<Message> {
    let engine = request.strategy.engine;
    let spec = request.workload.program.as_ref().context("there is no command")?;
    let tool = std::env::args_os().nth(2).context("a runner is told which tool to start")?;
    let tasks = Tasks::new(spec, request.workload.tasks)?;
    let proof = request.verify.then(Proof::begin).transpose()?;
    let records = (engine == Engine::Parallel).then(Records::begin).transpose()?;
    // The file that was found, so that a tool does not look for another of that name, and what is started is what was shown.
    let meant = spec.located(spec.command_words());
    let mut words = meant.clone();
    if let Some(proof) = &proof {
        words.splice(0..0, proof.words());
    }
    let at_once = at_once(&request.strategy, request.workload.tasks);
    let words = tool_words(engine, at_once, &words, records.as_ref().map(Records::path));
    let mut round = Started::make_ready(&tool, &words, tasks.input()?, proof.as_ref().map(Proof::said))?;
    let _held: Option<Mapping> = hold_memory(request.workload.parent_memory_bytes)?;
    if let Some(text) = &spec.prepare {
        program::prepare(text)?;
    }
    say(&Message::Ready).and_then(|()| await_go())?;
    let before = CpuTime::of_this_process_and_reaped_children();
    let seen = round.run(at_once, request.workload.tasks, records.as_ref())?;
    // What tasks have started and not waited for is this process's to wait for, and its CPU time counts.
    reap_ended();
    let cpu = CpuTime::of_this_process_and_reaped_children().since(before);
    over()?;
    let left_running = if has_children() { end_strays(&[]) } else { 0 };
    if seen.was_idle {
        return Ok(Message::Limit { message: idle(engine, proof.as_ref()) });
    }
    let outcome = match &records {
        Some(records) => records.read(&tasks),
        None => all_or_nothing(seen.exit, &words),
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return unfinished(error, engine, seen.exit, proof.as_ref()),
    };
    if let Some(proof) = proof
        && let Err(message) = proof.check(&tasks, &meant)
    {
        return Ok(Message::Violation { message, of_results: false });
    }
    // What xargs does not say of single tasks is not said for it.
    let known = records.is_some() || request.verify;
    Ok(Message::Report(Box::new(report(&tasks, outcome, &seen, cpu, known, left_running))))
}

/// The last line of what a tool said.
fn last_line(said: &str) -> Option<&str> {
    said.lines().map(str::trim).rfind(|line| !line.is_empty())
}

/// What a tool that has done nothing for too long has most likely met, and what it said itself, if it was heard.
fn idle(engine: Engine, proof: Option<&Proof>) -> String {
    let said = proof.map(Proof::text).unwrap_or_default();
    let said = last_line(&said).map(|line| format!(" ({} said {line:?})", engine.name())).unwrap_or_default();
    format!(
        "{} had nothing running for {} s and did not end{said}; it waits for ever where it can start no process: {}",
        engine.name(),
        IDLE.as_secs(),
        shortage::limits_on_processes().join(", ")
    )
}

/// What a round comes to in which not all tasks can be accounted for, since the tool ended with `exit`: the machine's fault, if
/// there was not enough of something.
///
/// # Errors
/// `error` itself, where nothing says so.
fn unfinished(
    error: anyhow::Error,
    engine: Engine,
    exit: Exit,
    proof: Option<&Proof>,
) -> anyhow::Result<Message> {
    let by_itself = match (engine, exit) {
        // Other codes are about its commands.
        (Engine::Xargs, Exit::Code(code)) => matches!(code, 1 | 126 | 127),
        (_, Exit::Code(code)) => code != 0,
        (_, Exit::Signal(_)) => false,
    };
    if !by_itself {
        return Err(error);
    }
    let name = engine.name();
    match proof.map(|proof| proof.text()) {
        Some(said) => {
            let error = match last_line(&said) {
                Some(line) => error.context(format!("{name} said {line:?}")),
                None => error,
            };
            Err(match shortage::told_of(&said) {
                Some(errno) => {
                    anyhow::Error::from(io::Error::from_raw_os_error(errno)).context(format!("{error:#}"))
                }
                None => error,
            })
        }
        // The round that was not timed has proved that these very words can be executed: what can be missing now is room.
        None if !matches!(exit, Exit::Code(126 | 127)) || engine == Engine::Parallel => {
            let limits = shortage::limits_on_processes().join(", ");
            let why = "which a round before this one did not meet, so it is a limit of the machine";
            Ok(Message::Limit { message: format!("{error:#}, {why}: {limits}") })
        }
        None => Err(error),
    }
}

/// What is known of each task.
struct Outcome {
    /// Why those failed that did, by task.
    failures: Vec<(u64, String)>,
}

/// What the exit code of xargs says.
fn all_or_nothing(exit: Exit, words: &[String]) -> anyhow::Result<Outcome> {
    let why = match exit {
        Exit::Code(0) => return Ok(Outcome { failures: Vec::new() }),
        Exit::Code(123) => "at least one task failed: xargs exited with 123, but says neither which nor how many; native rows \
                            do. Expected --engine native alone, or commands that do not fail (--shell and || true)"
            .into(),
        Exit::Code(124) => "a command exited with 255, at which xargs starts no other".into(),
        Exit::Code(125) => "a command was killed by a signal, at which xargs starts no other".into(),
        Exit::Code(126 | 127) => format!("{exit}: it could not start the command"),
        exit => {
            format!("{exit}; to see what it says: {}", shlex::try_join(words.iter().map(String::as_str))?)
        }
    };
    anyhow::bail!("{why}")
}

fn report(
    tasks: &Tasks,
    outcome: Outcome,
    seen: &Seen,
    cpu: CpuTime,
    known: bool,
    left_running: u64,
) -> RoundReport {
    let seconds = |from: u64, to: u64| (to - from) as f64 * 1e-9;
    let Outcome { failures } = outcome;
    let failed = failures.len() as u64;
    let mut digest = Folder::new(false);
    let mut of_failed = failures.iter().map(|(task, _)| *task).peekable();
    for task in 0..tasks.count {
        let has_failed = of_failed.next_if_eq(&task).is_some();
        digest.fold(if has_failed { u32::MAX } else { tasks.checksum(task) }, &[]);
    }
    let described = |(task, reason): (u64, String)| TaskFailure { task, reason, line: tasks.shown(task) };
    RoundReport {
        total_seconds: seconds(seen.begin, seen.end),
        set_up_seconds: seconds(seen.begin, seen.started),
        execute_seconds: seconds(seen.started, seen.end),
        tear_down_seconds: None,
        cpu_seconds: Some(cpu.total_seconds()),
        cpu_user_seconds: Some(cpu.user.as_secs_f64()),
        cpu_system_seconds: Some(cpu.system.as_secs_f64()),
        tasks_completed: tasks.count - failed,
        tasks_failed: failed,
        tasks_not_tried: 0,
        retries: 0,
        processes_started: tasks.count,
        helpers_started: 1,
        peak_alive: seen.peak,
        digest: known.then(|| digest.finish()),
        work_units: 0,
        io_overshoot_mean_seconds: None,
        io_overshoot_max_seconds: None,
        latency: None,
        start_order: None,
        returned_out_of_place: None,
        failures: failures.into_iter().take(FAILURES_REPORTED).map(described).collect(),
        left_running,
        parts: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(engine: Engine, words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        tool_words(engine, 3, &words, Some(Path::new("LOG"))).join(" ")
    }

    #[test]
    fn a_tool_is_started_as_a_user_would_start_it() {
        assert_eq!(words(Engine::Xargs, &["gzip", "-k", "{}"]), "xargs -0 -P 3 -n 1 gzip -k");
        assert_eq!(words(Engine::Xargs, &["cp", "{}", "to/{}"]), "xargs -0 -P 3 -I {} cp {} to/{}");
        assert_eq!(words(Engine::Xargs, &["true"]), "xargs -0 -P 3 -I {} true");
        let parallel = "parallel -0 -P 3 --plain --will-cite -u -q --joblog LOG";
        assert_eq!(words(Engine::Parallel, &["gzip", "-k", "{}"]), format!("{parallel} gzip -k {{}}"));
        assert_eq!(words(Engine::Parallel, &["true"]), format!("{parallel} -N0 true"));
    }

    #[test]
    fn what_parallel_would_replace_besides_is_found() {
        for word in
            ["{.}", "a{/}b", "{//}", "{/.}", "{#}", "{%}", "{1}", "{-2}", "{1//}", "{2/.}", "{= s/a/b/ =}"]
        {
            assert!(taken_by_parallel(word).is_some(), "{word}");
        }
        for word in ["{}", "a{}b{}", "{print $1}", "{", "}{", "{=}", "{a,b}", "{-}"] {
            assert_eq!(taken_by_parallel(word), None, "{word}");
        }
    }

    #[test]
    fn a_path_in_which_a_tool_would_replace_something_is_refused() {
        let refused = |engine, file: &str| refusal_of_file(engine, Path::new(file)).is_some();
        for engine in [Engine::Xargs, Engine::Parallel] {
            assert!(refused(engine, "/opt/{}/bin/tool"), "{engine:?}");
            assert!(!refused(engine, "/opt/{a}/bin/tool"), "{engine:?}");
        }
        assert!(
            refused(Engine::Parallel, "/opt/{.}/bin/tool") && !refused(Engine::Xargs, "/opt/{.}/bin/tool")
        );
        assert!(!refused(Engine::Native, "/opt/{}/bin/tool"));
    }
}
