//! Tasks that are programs of the user's own: a command for each task, or workers that are told a task a line.

mod codes;
pub mod command;
mod conversation;
pub mod json_lines;
pub mod lines;
pub mod output;
pub mod tally;
pub mod template;
pub mod worker;

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Failure, PrepareError};
use crate::sys::fork::Pid;
use crate::sys::spawn::Spawner;
use crate::sys::strays::end_strays;
use crate::sys::wait::{Exit, Which, wait};
pub use codes::SuccessCodes;
pub(crate) use conversation::{GRACE, LONGEST_ANSWER, MOMENT, only_line};
use lines::{Lines, LinesSpec};
use template::Template;

/// Stands for a task's argument in the words of a command.
pub const PLACEHOLDER: &str = "{}";

/// The shell of `--shell` and `--prepare`.
pub const SHELL: &str = "/bin/sh";

/// A program of the user's own, resolved.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgramSpec {
    /// The words of the command or of the worker; with `shell` the shell's text alone. For a call its one word,
    /// `package.module:function`.
    pub words: Vec<String>,
    /// Whether the shell is given the words.
    pub shell: bool,
    /// The file that is executed; empty until it has been looked for, and where it depends on the task. For a call the
    /// folder that its module is imported from.
    #[serde(default)]
    pub file: PathBuf,
    /// Where the tasks' lines come from: a file, or `-` for standard input.
    #[serde(default)]
    pub args_from: Option<String>,
    /// How long a task may take.
    #[serde(default)]
    pub timeout_seconds: Option<f64>,
    /// The folder for what programs write.
    #[serde(default)]
    pub output: Option<PathBuf>,
    /// What the shell is to execute before each round.
    #[serde(default)]
    pub prepare: Option<String>,
    /// Whether workers may answer, and functions return, something else each time they are asked the same.
    #[serde(default)]
    pub ignore_answers: bool,
    /// The exit codes of commands that have done their tasks.
    #[serde(default, skip_serializing_if = "SuccessCodes::is_default")]
    pub success_codes: SuccessCodes,
    /// Where the lines lie while the run lasts; absent until they have been read, and without any.
    #[serde(default)]
    pub lines: Option<LinesSpec>,
    /// Where one round of a call writes what its tasks have returned; nowhere in a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<PathBuf>,
}

impl ProgramSpec {
    /// The words that are executed, with [`PLACEHOLDER`] where a task's argument goes.
    pub fn command_words(&self) -> Vec<String> {
        let has_lines = self.args_from.is_some();
        if self.shell {
            let text = self.words.join(" ");
            return template::shell_words(&text, has_lines);
        }
        let mut words = self.words.clone();
        // As xargs does. Without lines there is nothing that would have to be said.
        if has_lines && !words.iter().any(|word| word.contains(PLACEHOLDER)) {
            words.push(PLACEHOLDER.to_owned());
        }
        words
    }

    /// `words`, the first of them as the file that was found.
    pub fn located(&self, mut words: Vec<String>) -> Vec<String> {
        if let (Some(first), false) = (words.first_mut(), self.file.as_os_str().is_empty()) {
            *first = String::from_utf8_lossy(self.file.as_os_str().as_bytes()).into_owned();
        }
        words
    }

    /// The words of a worker: nothing is put in their place.
    pub fn worker_words(&self) -> Vec<String> {
        if self.shell {
            vec![SHELL.to_owned(), "-c".to_owned(), self.words.join(" ")]
        } else {
            self.words.clone()
        }
    }

    /// How long a task may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_seconds.map(Duration::from_secs_f64)
    }
}

/// Where the program called `name` lies: that very file if there is a slash in it, else the first in `PATH`, of whose folders
/// only those are looked in that are the same wherever one is. So nothing of the current folder is executed unless that is said.
///
/// # Errors
/// [`Failure::NotFound`] or [`Failure::NotExecutable`].
pub fn find(name: &[u8]) -> Result<PathBuf, Failure> {
    const WITHOUT_PATH: &str = "/usr/local/bin:/bin:/usr/bin";
    let is_program = |path: &Path| access(path, AccessFlags::X_OK).is_ok() && path.is_file();
    let name = Path::new(OsStr::from_bytes(name));
    if name.as_os_str().as_bytes().contains(&b'/') {
        return match name.exists() {
            true if is_program(name) => Ok(name.to_owned()),
            true => Err(Failure::NotExecutable),
            false => Err(Failure::NotFound),
        };
    }
    if name.as_os_str().is_empty() {
        return Err(Failure::NotFound);
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| WITHOUT_PATH.into());
    let mut why = Failure::NotFound;
    for folder in std::env::split_paths(&path).filter(|folder| folder.is_absolute()) {
        let file = folder.join(name);
        if is_program(&file) {
            return Ok(file);
        }
        if file.is_file() {
            why = Failure::NotExecutable;
        }
    }
    Err(why)
}

/// What tasks of both kinds need, made once before the clock starts.
#[derive(Clone)]
struct Program {
    template: Arc<Template>,
    /// The file to execute, unless it depends on the task.
    file: Option<CString>,
    lines: Option<Arc<Lines>>,
    output: Option<Arc<output::Folder>>,
    timeout: Option<Duration>,
    success_codes: SuccessCodes,
    /// The soft limit on open files that the user had.
    open_files: u64,
}

impl Program {
    fn new(spec: &ProgramSpec, words: &[String]) -> Result<Self, PrepareError> {
        let file = match spec.file.as_os_str().is_empty() {
            true => None,
            false => Some(CString::new(spec.file.as_os_str().as_bytes())?),
        };
        Ok(Self {
            template: Arc::new(Template::new(words)),
            file,
            lines: spec.lines.as_ref().map(Lines::read).transpose()?.map(Arc::new),
            output: spec.output.as_deref().map(output::Folder::open).transpose()?.map(Arc::new),
            timeout: spec.timeout(),
            success_codes: spec.success_codes.clone(),
            open_files: crate::sys::spawn::raise_open_files()?,
        })
    }

    fn longest_line(&self) -> usize {
        self.lines.as_ref().map_or(0, |lines| lines.longest())
    }

    fn write_line(&self, task: u64, buffer: &mut [u8]) -> usize {
        let Some(lines) = &self.lines else { return 0 };
        let line = lines.get(task);
        buffer[..line.len()].copy_from_slice(line);
        line.len()
    }

    /// The line of `task`, to be shown: not all of a long one.
    fn shown_line(&self, task: u64) -> Option<String> {
        const LONGEST_SHOWN: usize = 200;
        let line = self.lines.as_ref()?.get(task);
        let mut shown = String::from_utf8_lossy(&line[..line.len().min(LONGEST_SHOWN)]).into_owned();
        if line.len() > LONGEST_SHOWN {
            shown.push('…');
        }
        Some(shown)
    }

    fn spawner(&self) -> Result<Spawner, Failure> {
        Ok(Spawner::new(Some(self.open_files))?)
    }

    /// What stands for `task` in the words of its command, or is told to its worker: its line, or its number.
    fn text_of<'a>(&self, task: u64, argument: &'a [u8], number: &'a mut Vec<u8>) -> &'a [u8] {
        if self.lines.is_some() {
            return argument;
        }
        number.clear();
        write!(number, "{task}").expect("memory can be written to");
        number
    }
}

/// A workload whose tasks are programs, as `process` mode starts them: each is the task's own process.
pub trait Programs: Sync {
    /// Someone who starts them.
    ///
    /// # Errors
    /// If what that takes cannot be had.
    fn launcher(&self) -> Result<Box<dyn Launcher>, Failure>;

    /// How long each may take.
    fn timeout(&self) -> Option<Duration>;

    /// What became of a task whose argument has `checksum`: its program has ended with `exit`, having written `answer`.
    ///
    /// # Errors
    /// Why it failed.
    fn outcome(&self, checksum: u32, exit: Exit, answer: &[u8]) -> Result<u32, Failure>;

    /// One that had answered was killed, for it had not ended long after.
    fn note_stubborn(&self) {}
}

/// Starts programs.
pub trait Launcher {
    /// Starts the program of `task`. What it writes is to be read from the file, if there is one.
    ///
    /// # Errors
    /// Why it cannot be started; [`Failure::CannotStart`] where it might be later.
    fn start(&mut self, task: u64, argument: &[u8]) -> Result<(Pid, Option<File>), Failure>;
}

/// Executes `text` by the shell, and ends whatever it leaves running. What it writes goes to this process's standard error.
///
/// # Errors
/// If it cannot be started, or fails.
pub fn prepare(text: &str) -> Result<(), PrepareError> {
    use crate::sys::spawn::{Streams, Words};
    use std::os::fd::AsFd;

    let mut spawner = Spawner::new(None)?;
    let mut words = Words::default();
    for word in [SHELL, "-c", text] {
        words.begin();
        words.add(word.as_bytes());
    }
    // A copy, since no stream of a program may be a standard stream itself.
    let (null, error) = (spawner.null().try_clone()?, std::io::stderr().as_fd().try_clone_to_owned()?);
    let streams = Streams { input: null.as_fd(), output: error.as_fd(), error: error.as_fd() };
    let pid = spawner
        .spawn(&CString::new(SHELL)?, &words, streams)
        .map_err(|error| anyhow::anyhow!("failed to prepare the round by '{text}': {error}"))?;
    let reaped = wait(Which::Only(pid))?;
    end_strays(&[]);
    match reaped.map(|reaped| reaped.exit) {
        Some(Exit::Code(0)) => Ok(()),
        Some(exit) => Err(anyhow::anyhow!("failed to prepare the round: '{text}' {exit}")),
        None => Err(anyhow::anyhow!("the shell that prepares the round was reaped by somebody else")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_a_shell_would_find_it() {
        assert!(find(b"sh").unwrap().is_absolute());
        assert_eq!(find(b"/bin/sh").unwrap(), Path::new("/bin/sh"));
        assert_eq!(find(b"no-such-program-anywhere"), Err(Failure::NotFound));
        assert_eq!(find(b"/etc/passwd"), Err(Failure::NotExecutable));
        assert_eq!(find(b"/"), Err(Failure::NotExecutable));
        assert_eq!(find(b""), Err(Failure::NotFound));
    }

    #[test]
    fn a_line_is_appended_where_no_word_asks_for_it() {
        let spec = |words: &[&str], lines: bool| ProgramSpec {
            words: words.iter().map(ToString::to_string).collect(),
            args_from: lines.then(|| "lines.txt".to_owned()),
            ..ProgramSpec::default()
        };
        assert_eq!(spec(&["gzip", "-k"], true).command_words(), ["gzip", "-k", "{}"]);
        assert_eq!(spec(&["cp", "{}", "to/{}"], true).command_words(), ["cp", "{}", "to/{}"]);
        assert_eq!(spec(&["true"], false).command_words(), ["true"]);
    }
}
