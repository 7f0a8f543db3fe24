//! The Python engine: a script of ours, executed by the CPython that is installed, with its standard library alone.
//!
//! The script is written into a folder that only this user can enter, once for each run: processes that Python spawns import
//! the program that they belong to from a file. It runs in isolated mode (`-I`): nothing in the folder that procbench was
//! started in, nor in any `PYTHON…` variable, is executed by accident. Only what somebody names (`--call`) is imported from
//! there, behind Python's own modules.

pub mod interpreter;

pub use interpreter::{Interpreter, ProbeError};

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;

use super::native::own_program;
use super::{Equipment, guardian};
use crate::measure::limits::{Limit, LimitKind};
use crate::mode::chunk::ChunkPolicy;
use crate::mode::settings::{Api, Evaluator, Start};
use crate::mode::{Mode, Settings};
use crate::sys::clock::monotonic_nanoseconds;
use crate::sys::fork;
use crate::workload::formula::Formulas;
use crate::workload::{Kind, WorkloadSpec, shared};

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        /// The engine's files, by name.
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("python/", $name)))),+];
    };
}

files! {
    "procbench_main.py",
    "procbench_call.py",
    "procbench_cpu.py",
    "procbench_crew.py",
    "procbench_engine.py",
    "procbench_formula.py",
    "procbench_io.py",
    "procbench_modes.py",
    "procbench_seed.py",
    "procbench_tasks.py",
}

/// The one of them that is executed.
const MAIN: &str = "procbench_main.py";

/// Where the formulas of the `expression` workload are, in the workload's folder: a line each.
const FORMULAS: &str = "formulas";

/// The engine's script, ready to be started.
#[derive(Debug)]
pub struct Installed {
    interpreter: PathBuf,
    folder: PathBuf,
    /// Whether tasks are code of the user's own, so that somebody has to see to what it leaves running.
    guarded: bool,
    /// The shared input, once it is needed.
    shared: OnceLock<Result<fs::File, String>>,
}

/// The (process, task, since when) of each mark: see `Mark` in `procbench_call.py`.
fn records(marks: &[u8]) -> impl Iterator<Item = [i64; 3]> {
    const NUMBER: usize = 8;
    let number = |bytes: &[u8]| bytes.try_into().map_or(-1, i64::from_ne_bytes);
    let records = marks.chunks_exact(3 * NUMBER);
    records.map(move |record| [0, 1, 2].map(|at| number(&record[at * NUMBER..(at + 1) * NUMBER])))
}

impl Installed {
    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes the script into `folder`, to be executed by `interpreter`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(interpreter: &Interpreter, folder: &Path, kind: Kind) -> anyhow::Result<Self> {
        for (name, text) in FILES {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
        }
        let guarded = kind.is_program();
        Ok(Self {
            interpreter: interpreter.path.clone(),
            folder: folder.to_owned(),
            guarded,
            shared: OnceLock::new(),
        })
    }

    /// Removes what a round before has left of those: it would be taken for what another one does that ends before it has begun.
    pub fn forget_marks(&self) {
        let _ = fs::remove_file(self.folder.join("marks"));
    }

    /// The marks that a round's executors have left so far, if there are any.
    pub fn marks(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.join("marks")).ok().filter(|marks| !marks.is_empty())
    }

    /// A task that an executor has had in hand for longer than `longest`, by the same marks.
    pub fn overdue(&self, longest: Duration) -> Option<i64> {
        let latest = i64::try_from(monotonic_nanoseconds()).ok()? - i64::try_from(longest.as_nanos()).ok()?;
        records(&self.marks()?)
            .find_map(|[process, task, since]| (process > 0 && task >= 0 && since < latest).then_some(task))
    }

    /// What a round of calls was doing that has ended without a word, by the marks that its executors have left: see `Mark`
    /// in `procbench_call.py`.
    pub fn in_hand(&self) -> Option<String> {
        const IMPORTING: i64 = -2;
        let in_hand: Vec<i64> = records(&self.marks()?)
            .map(|[_, task, _]| task)
            .filter(|task| *task >= 0 || *task == IMPORTING)
            .collect();
        let tasks: Vec<String> = in_hand.iter().filter(|task| **task >= 0).map(ToString::to_string).collect();
        match (in_hand.as_slice(), tasks.as_slice()) {
            ([], _) => None,
            (_, []) => Some(
                "while it imported the module (does that start processes outside of `if __name__ == \"__main__\"`?)".into(),
            ),
            (_, [task]) => Some(format!("while it executed task {task}")),
            (_, tasks) => Some(format!("while it executed tasks {}", tasks.join(", "))),
        }
    }

    /// Where the shared input of `workload` is, which each round copies for itself: making it would be slow in Python. Nothing
    /// where there is none.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn shared_of(&self, workload: &WorkloadSpec) -> anyhow::Result<PathBuf> {
        if workload.shared_bytes == 0 {
            return Ok(PathBuf::new());
        }
        // One plan has one workload.
        let made = || shared::make(workload.seed, workload.shared_bytes).map_err(|error| error.to_string());
        let file = self.shared.get_or_init(made).as_ref();
        let file = file.map_err(|error| anyhow::anyhow!("the shared input cannot be had: {error}"))?;
        Ok(shared::path_of(file))
    }

    /// The folder that holds the arguments of `workload`'s tasks, where they are read from a file: for Python, writing
    /// formulas would be more work than evaluating them.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn arguments_of(&self, workload: &WorkloadSpec) -> anyhow::Result<Option<PathBuf>> {
        if workload.kind != Kind::Expression {
            return Ok(None);
        }
        // A pilot has fewer tasks than the rounds after it: `Pool.map` would wait for ever for lines that are not there.
        let folder = self.folder.join(format!("{FORMULAS}-{}", workload.tasks));
        if !folder.exists() {
            let path = folder.join(FORMULAS);
            fs::create_dir(&folder)
                .map_err(anyhow::Error::from)
                .and_then(|()| write_formulas(workload, &path))
                .with_context(|| format!("failed to write {}", path.display()))?;
        }
        Ok(Some(folder))
    }
}

fn write_formulas(workload: &WorkloadSpec, path: &Path) -> anyhow::Result<()> {
    let formulas = Formulas::new(usize::try_from(workload.expression_args)?, workload.seed)?;
    let mut file = BufWriter::new(fs::File::create(path)?);
    let mut text = Vec::with_capacity(formulas.max_len() + 1);
    for task in 0..workload.tasks {
        formulas.write(task, &mut text);
        text.push(b'\n');
        file.write_all(&text)?;
    }
    Ok(file.flush()?)
}

/// Python, as a runner.
///
/// # Errors
/// If it is not part of `equipment`.
pub fn command(equipment: &Equipment) -> anyhow::Result<Command> {
    let installed = equipment.python.as_ref().context("the Python engine has not been made ready")?;
    if installed.guarded {
        let mut command = own_program(guardian::GUARD)?;
        command.arg(std::process::id().to_string()).arg(&installed.folder).arg(&installed.interpreter);
        command.arg("-I").arg(installed.folder.join(MAIN));
        return Ok(command);
    }
    let mut command = Command::new(&installed.interpreter);
    // What the standard library puts into temporary folders is removed with ours.
    command.arg("-I").arg(installed.folder.join(MAIN)).env("TMPDIR", &installed.folder);
    command.current_dir(&installed.folder);
    fork::bind_on_start(&mut command);
    Ok(command)
}

/// What of `workload` this engine cannot do; `None` if it can do it all.
pub fn refusal(workload: &WorkloadSpec) -> Option<String> {
    const KINDS: [Kind; 4] = [Kind::Synthetic, Kind::File, Kind::Expression, Kind::Call];
    if !KINDS.contains(&workload.kind) {
        let kinds = KINDS.map(Kind::name).join(", ");
        let found = workload.kind.name();
        return Some(format!("the python engine has no workload {found}: expected {kinds}"));
    }
    workload.timeout_seconds.map(|_| "the python engine has no --timeout for tasks that are no calls".into())
}

/// What `policy` means to the call `api`: what a program gets that says nothing of chunks, unless it is given.
pub fn chunk_policy(policy: ChunkPolicy, api: Api) -> ChunkPolicy {
    match (policy, api) {
        (ChunkPolicy::Fixed(_), _) => policy,
        (_, Api::Map | Api::Mpire) => ChunkPolicy::Python,
        (_, Api::Imap | Api::ImapUnordered | Api::ApplyAsync | Api::Executor | Api::Loky) => {
            ChunkPolicy::Fixed(1)
        }
    }
}

/// Among how many workers the call `api` takes itself to share out tasks, where it has `workers`: mpire makes 64 chunks for
/// each of them, where `Pool.map` makes 4.
pub const fn sharing_workers(workers: u64, api: Api) -> u64 {
    match api {
        Api::Mpire => workers.saturating_mul(16),
        _ => workers,
    }
}

/// What one process that waits needs, in bytes, on the large side: most pages of a fork are copied as soon as their objects'
/// counts of references change.
pub const fn parked_bytes(start: Start) -> u64 {
    match start {
        Start::Fork => 3 << 20,
        Start::Forkserver => 6 << 20,
        _ => 12 << 20,
    }
}

/// Starting and ending one process, in seconds.
pub const fn process_seconds(start: Start) -> f64 {
    match start {
        Start::Fork => 1.5e-3,
        Start::Forkserver => 3e-3,
        _ => 50e-3,
    }
}

/// Handing one task over and its result back, in seconds.
pub fn handing_over_seconds(mode: Mode, settings: &Settings) -> f64 {
    // What goes over a pipe at once, and what each task in it takes.
    const MESSAGE: f64 = 20e-6;
    const TASK: f64 = 0.2e-6;
    match mode {
        Mode::Threads | Mode::Pool => TASK + MESSAGE / settings.chunk.unwrap_or(1) as f64,
        _ => TASK,
    }
}

/// What evaluating an expression takes more than by procbench's own lines, in seconds.
pub const fn evaluating_seconds(evaluator: Option<Evaluator>) -> f64 {
    match evaluator {
        Some(Evaluator::Formulas) => 4e-3,
        Some(Evaluator::Own) | None => 0.0,
    }
}

/// How many processes can be alive at once for the files that Python has open for each, where it may open `hard`.
pub fn files_of_processes(hard: u64) -> Limit {
    const FILES_OF_A_PROCESS: u64 = 2;
    Limit {
        name: format!(
            "RLIMIT_NOFILE ÷ {FILES_OF_A_PROCESS} (Python keeps so many files open for each process)"
        ),
        kind: LimitKind::Processes,
        value: hard / FILES_OF_A_PROCESS,
        in_use: 0,
        advice: "raise the hard limit of `ulimit -n`".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::protocol::VERSION;

    #[test]
    fn the_script_speaks_this_version_of_the_protocol() {
        let engine = FILES.iter().find(|(name, _)| *name == "procbench_engine.py");
        assert!(engine.is_some_and(|(_, text)| text.contains(&format!("\nVERSION = {VERSION}\n"))));
    }

    #[test]
    fn a_chunk_is_what_a_program_gets_that_says_nothing_of_it() {
        assert_eq!(chunk_policy(ChunkPolicy::Auto, Api::Map).resolve(1000, 2, 1.0), 125);
        assert_eq!(chunk_policy(ChunkPolicy::Auto, Api::Imap).resolve(1000, 2, 1.0), 1);
        assert_eq!(chunk_policy(ChunkPolicy::Python, Api::Executor).resolve(1000, 2, 1.0), 1);
        assert_eq!(chunk_policy(ChunkPolicy::Fixed(7), Api::Map).resolve(1000, 2, 1.0), 7);
    }
}
