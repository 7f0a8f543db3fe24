//! What a plan needs to have found before it can be made: the user's program, and the lines of its tasks.

use std::ffi::OsStr;
use std::fs::{File, create_dir_all};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::draft::Draft;
use super::found::utf8;
use super::guard;
use super::units::Count;
use super::{Machine, Plan, PlanError, usage};
use crate::engine::tool;
use crate::exit;
use crate::measure::shortage;
use crate::sys::interrupt;
use crate::workload::program::json_lines;
use crate::workload::program::lines::{self, LinesSpec};
use crate::workload::program::output::{Folder, safe_name};
use crate::workload::program::{PLACEHOLDER, find};
use crate::workload::{Failure, Kind, ProgramSpec};

/// What was found. To be kept as long as rounds are run.
#[derive(Debug, Default)]
pub struct Inputs {
    file: PathBuf,
    lines: Option<LinesSpec>,
    /// What could be read only once, without a name, so that it is gone when this process is.
    _copy: Option<File>,
}

impl Inputs {
    /// Finds the program of `draft`, and reads its lines once: as many as there are tasks, if that was said, else all, and
    /// then there are as many tasks.
    ///
    /// # Errors
    /// If there is no such program, or the lines are missing, too few, or cannot be arguments.
    pub fn find(draft: &mut Draft) -> Result<Self, PlanError> {
        if let Some(wrong) = draft.workload.contradiction() {
            return usage(wrong);
        }
        let kind = draft.workload.kind();
        let Some(program) = draft.workload.program().map_err(PlanError::Usage)? else {
            return Ok(Self::default());
        };
        let file = match kind {
            Kind::Call => folder_of_modules()?,
            _ => find_program(&program, kind)?,
        };
        let Some(from) = &program.args_from else { return Ok(Self { file, ..Self::default() }) };
        let tasks = draft.workload.tasks.map(|Count(tasks)| tasks);
        let (lines, copy) = interrupt::ends_at_once(exit::INTERRUPTED, || read_lines(from, tasks, kind))?;
        match tasks {
            _ if lines.count == 0 => {
                usage(format!("{} has no lines: expected one for each task", shown(from)))
            }
            Some(tasks) if tasks > lines.count => usage(format!(
                "tasks is {tasks}, but {} has {} lines: expected one for each task",
                shown(from),
                lines.count
            )),
            _ => {
                draft.workload.tasks = Some(Count(lines.count));
                Ok(Self { file, lines: Some(lines), _copy: copy })
            }
        }
    }

    /// `plan` with what was found.
    ///
    /// # Errors
    /// If the lines do not fit into the memory of `machine`.
    pub fn complete(&self, mut plan: Plan, machine: &Machine) -> Result<Plan, PlanError> {
        let Some(program) = &mut plan.workload.program else { return Ok(plan) };
        if let Some(lines) = &self.lines {
            let what = format!("the lines of {} tasks", lines.count);
            if let Some(refusal) = guard::no_memory(&what, lines.bytes, &machine.limits) {
                return Err(PlanError::Limit(refusal));
            }
        }
        let rows = plan.strategies.iter().map(|row| row.engine);
        if let Some(wrong) = rows.filter_map(|engine| tool::refusal_of_file(engine, &self.file)).next() {
            return usage(wrong);
        }
        program.file.clone_from(&self.file);
        program.lines.clone_from(&self.lines);
        Ok(plan)
    }
}

/// Makes the folder for what programs write, where one was asked for. It may be a link to one.
///
/// # Errors
/// If it cannot be made.
pub fn make_output_folder(plan: &Plan) -> Result<(), PlanError> {
    let Some(folder) = output_of(plan) else { return Ok(()) };
    let made = match folder.exists() && !folder.is_dir() {
        true => Err(anyhow::anyhow!("{} is not a folder", folder.display())),
        false => {
            create_dir_all(folder).with_context(|| format!("failed to make the folder {}", folder.display()))
        }
    };
    made.map_err(|error| refusal_of_output(&error))
}

/// The same, with a folder in it for each strategy, so that one into which nothing can be written is found before anything is
/// executed.
///
/// # Errors
/// If one cannot be made, or not be written into.
pub fn make_folders_of_strategies(plan: &Plan) -> Result<(), PlanError> {
    make_output_folder(plan)?;
    let Some(folder) = output_of(plan) else { return Ok(()) };
    for row in &plan.strategies {
        let own = folder.join(safe_name(&row.name));
        Folder::open(&own)
            .and_then(|open| open.require_writable(&own))
            .map_err(|error| refusal_of_output(&error))?;
    }
    Ok(())
}

fn output_of(plan: &Plan) -> Option<&PathBuf> {
    plan.workload.program.as_ref().and_then(|program| program.output.as_ref())
}

fn refusal_of_output(error: &anyhow::Error) -> PlanError {
    const EXPECTED: &str = "expected a folder that can be written into, or the name of one to make";
    match shortage::behind(error) {
        Some(limit) => PlanError::Limit(format!("--output: {limit}")),
        None => PlanError::Usage(format!("--output: {error:#}: {EXPECTED}")),
    }
}

/// Where modules are imported from, as an export can hold it.
fn folder_of_modules() -> Result<PathBuf, PlanError> {
    let folder = std::env::current_dir().map_err(|error| error.to_string()).and_then(utf8);
    folder.map_err(|error| PlanError::Usage(format!("the folder to import the module from: {error}")))
}

fn find_program(program: &ProgramSpec, kind: Kind) -> Result<PathBuf, PlanError> {
    let words = match kind {
        Kind::Command => program.command_words(),
        _ => program.worker_words(),
    };
    let name = words.first().map_or("", String::as_str);
    if kind == Kind::Command && name.contains(PLACEHOLDER) {
        // A whole command in one word, most likely: the program's own name would have to be in the lines else.
        let whole = name.split_once(' ').filter(|(program, _)| find(program.as_bytes()).is_ok());
        return match whole {
            Some((program, _)) if !name.contains('/') => usage(format!(
                "the {} '{name}' is one word, which would be the name of a program: without --shell each word is taken as it is; expected \
                 such as -- {program} …, or --shell",
                kind.name()
            )),
            _ => Ok(PathBuf::new()),
        };
    }
    let in_path = if name.contains('/') { "" } else { " in PATH" };
    let kind = kind.name();
    let found = find(name.as_bytes());
    if let Some(interpreter) = found.as_deref().ok().and_then(missing_interpreter) {
        return usage(format!(
            "the {kind} '{name}' asks for the interpreter {interpreter:?}, which was not found: expected another first line"
        ));
    }
    if found.as_deref().is_ok_and(is_script_of_nobody) {
        return usage(format!(
            "the {kind} '{name}' is a text without a first line that says who executes it: expected such as #!/bin/sh there (xargs and \
             shells would give it to a shell)"
        ));
    }
    found.or_else(|why| match why {
        Failure::NotExecutable => usage(format!(
            "the {kind} '{name}' is {}",
            if Path::new(name).is_dir() {
                "a folder: expected a program"
            } else {
                "not executable: expected a program (chmod +x makes a file one)"
            }
        )),
        _ => {
            let hint = if name.contains(' ') {
                "; without --shell each word is taken as it is".to_owned()
            } else if !name.contains('/') && Path::new(name).is_file() {
                format!("; for the file in the current folder say ./{name}")
            } else if name.contains('/') && Path::new(name).is_symlink() && !Path::new(name).exists() {
                "; it is a link that leads nowhere".to_owned()
            } else {
                String::new()
            };
            usage(format!("the {kind} '{name}' was not found{in_path}{hint}"))
        }
    })
}

/// Whether `file` is a text that does not begin with `#!`. The kernel executes none, unless it was told to by what is in the text or in
/// its name; that it was is hardly ever so, and then it has a folder for that.
fn is_script_of_nobody(file: &Path) -> bool {
    const LOOKED_AT: u64 = 512;
    /// Whatever follows, that is no text.
    const ELF: &[u8] = b"\x7fELF";
    /// What is there anyway.
    const OWN_FILES: usize = 2;
    let told_of_others = || std::fs::read_dir("/proc/sys/fs/binfmt_misc").map_or(0, Iterator::count);
    beginning_of(file, LOOKED_AT).is_ok_and(|beginning| {
        !beginning.starts_with(b"#!")
            && !beginning.starts_with(ELF)
            && !beginning.contains(&0)
            && told_of_others() <= OWN_FILES
    })
}

/// The first `most` bytes of `file`.
fn beginning_of(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut beginning = Vec::new();
    File::open(file)?.take(most).read_to_end(&mut beginning)?;
    Ok(beginning)
}

/// The interpreter that the script `file` asks for in its first line, if there is no such file.
fn missing_interpreter(file: &Path) -> Option<String> {
    /// The kernel reads no more of it.
    const FIRST_LINE: u64 = 256;
    let beginning = beginning_of(file, FIRST_LINE).ok()?;
    let line = beginning.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    // A carriage return is part of the name, as it is for the kernel.
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    let name = OsStr::from_bytes(words.next()?);
    (!Path::new(name).exists()).then(|| name.to_string_lossy().into_owned())
}

fn shown(from: &str) -> &str {
    if from == "-" { "standard input" } else { from }
}

/// Counts lines where they lie, or in a copy of what can be read only once.
fn read_lines(from: &str, most: Option<u64>, kind: Kind) -> Result<(LinesSpec, Option<File>), PlanError> {
    let count = |source: &mut dyn Read, copy: &mut dyn Write| match kind {
        Kind::Call => json_lines::count(source, most, copy),
        _ => lines::count(source, most, kind == Kind::Command, copy),
    };
    let failed = |error: &dyn std::fmt::Display| {
        PlanError::Usage(format!("failed to read the lines of {}: {error}", shown(from)))
    };
    let wrong = |error: anyhow::Error| PlanError::Usage(format!("{}: {error:#}", shown(from)));
    let mut source: Box<dyn Read> = if from == "-" {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(from).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        if metadata.is_dir() {
            return Err(failed(&"it is a folder"));
        }
        if metadata.is_file() {
            let counted = count(&mut &file, &mut io::sink()).map_err(wrong)?;
            return Ok((LinesSpec::of(counted, from.into()), None));
        }
        Box::new(file)
    };
    let mut copy = tempfile::tempfile().map_err(|error| failed(&error))?;
    let counted = count(&mut source, &mut copy).map_err(wrong)?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), copy.as_raw_fd()).into();
    Ok((LinesSpec::of(counted, path), Some(copy)))
}

impl Plan {
    /// The words that are executed for each task, the first of them as the file that was found.
    pub fn words(&self) -> Option<Vec<String>> {
        let program = self.workload.program.as_ref()?;
        Some(match self.workload.kind {
            Kind::Command => program.located(program.command_words()),
            Kind::Call => program.words.clone(),
            _ => program.located(program.worker_words()),
        })
    }
}
