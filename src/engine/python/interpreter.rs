//! Which Python there is: asked once, before anything is measured.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::measure::shortage;
use crate::mode::settings::Start;
use crate::sys::fork;
use crate::sys::wait::has_ended;
use crate::workload::{Failure, program};

/// What is started unless a path is given.
const NAME: &str = "python3";
/// The oldest that will do.
const OLDEST: (u32, u32) = (3, 8);

/// What precedes the answer.
const ANSWER: &str = "procbench-probe ";
const PROGRAM: &str = concat!(include_str!("procbench_cpu.py"), "\n", include_str!("probe.py"));

/// A Python that the engine can be executed by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interpreter {
    /// Its file.
    pub path: PathBuf,
    /// Which Python, such as `CPython`.
    pub implementation: String,
    /// Its version.
    pub version: String,
    /// How its processes start unless a program says otherwise.
    pub default_start: Start,
    /// Whether only one thread at a time executes Python code.
    pub global_lock: bool,
    /// Units of the engine's own CPU work that make a second, as calibrated before the run.
    pub units_per_second: f64,
    /// The versions of libraries with pools of their own that are installed for it.
    #[serde(default)]
    pub libraries: BTreeMap<String, String>,
}

/// Why there is no Python.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// It is not there, or not what is needed.
    #[error("{0}")]
    Unusable(String),
    /// Somebody wants procbench to end.
    #[error("interrupted")]
    Interrupted,
}

fn unusable<T>(message: String) -> Result<T, ProbeError> {
    Err(ProbeError::Unusable(message))
}

/// What an interpreter says of itself, as far as any version of it can.
#[derive(Deserialize)]
struct Found {
    path: PathBuf,
    implementation: String,
    version: String,
    major: u32,
    minor: u32,
    #[serde(default)]
    global_lock: bool,
    default_start: Option<Start>,
    units_per_second: Option<f64>,
    #[serde(default)]
    libraries: BTreeMap<String, String>,
}

impl Interpreter {
    /// Asks `wanted`, or `python3`, what it is, and how fast. Gives up when `stop_wanted` says so.
    ///
    /// # Errors
    /// If it is not there, not Python, too old, or not silent.
    pub fn find(wanted: Option<&Path>, stop_wanted: &dyn Fn() -> bool) -> Result<Self, ProbeError> {
        // Whoever ends this process at its terminal may have ended the other too, before that had left the terminal's group.
        Self::found(wanted, stop_wanted)
            .map_err(|why| if stop_wanted() { ProbeError::Interrupted } else { why })
    }

    fn found(wanted: Option<&Path>, stop_wanted: &dyn Fn() -> bool) -> Result<Self, ProbeError> {
        let name = wanted.unwrap_or(Path::new(NAME));
        let shown = name.display();
        let answer = ask(name, &["-I", "-c", PROGRAM], stop_wanted)?;
        if answer.kept_waiting {
            return unusable(format!(
                "{shown} is not a Python that works: given a program that takes a moment, it had not ended after {} s",
                PATIENCE.as_secs()
            ));
        }
        let found = answer.stdout.rsplit_once(ANSWER);
        let found =
            found.and_then(|(noise, found)| Some((noise, serde_json::from_str::<Found>(found).ok()?)));
        let Some((noise, found)) = found else {
            return unusable(not_python(name, &answer, stop_wanted)?);
        };
        if (found.major, found.minor) < OLDEST {
            return unusable(too_old(name, &found.version));
        }
        if !noise.trim().is_empty() {
            return unusable(format!(
                "{shown} prints {} on standard output before it executes any program, which would be taken for what \
                 the engine says: look for a sitecustomize module or a .pth file in its site-packages",
                quoted(noise)
            ));
        }
        let (Some(default_start), Some(units_per_second)) = (found.default_start, found.units_per_second)
        else {
            return unusable(format!("{shown} does not say how its processes start"));
        };
        if !found.path.is_absolute() {
            return unusable(format!("{shown} does not know its own file"));
        }
        let Found { path, implementation, version, global_lock, libraries, .. } = found;
        Ok(Self { path, implementation, version, default_start, global_lock, units_per_second, libraries })
    }
}

fn too_old(name: &Path, version: &str) -> String {
    let (major, minor) = OLDEST;
    format!("{} is Python {version}, but it takes {major}.{minor} or later: see --python", name.display())
}

/// What is wrong with a program that does not answer as Python would.
fn not_python(name: &Path, answer: &Answer, stop_wanted: &dyn Fn() -> bool) -> Result<String, ProbeError> {
    let shown = name.display();
    // Very old ones do not know what they are asked, but they know their version.
    if let Ok(says) = ask(name, &["--version"], stop_wanted)
        && let Some(version) = [&says.stdout, &says.stderr].into_iter().find_map(|text| {
            let version = text.trim().strip_prefix("Python ")?.split_whitespace().next()?;
            version_in(version).filter(|version| *version < OLDEST).map(|_| version.to_owned())
        })
    {
        return Ok(too_old(name, &version));
    }
    if stop_wanted() {
        return Err(ProbeError::Interrupted);
    }
    let told = format!("{shown} is not a Python that works: given a program, it said {}", answer.in_words());
    Ok(shortage::with_limits(told))
}

/// The last line of `text` that is not empty, cut short.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 100;
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let cut: String = line.chars().take(LONGEST).collect();
    if cut.len() < line.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}

fn version_in(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|character: char| !character.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What a program said, and how it ended.
pub(in crate::engine) struct Answer {
    pub(in crate::engine) stdout: String,
    stderr: String,
    end: String,
    /// Whether it was still there when nobody waited any longer.
    kept_waiting: bool,
}

impl Answer {
    /// The last line of what it said, and how it ended if not well.
    pub(in crate::engine) fn in_words(&self) -> String {
        let said = [&self.stderr, &self.stdout].into_iter().find(|text| !text.trim().is_empty());
        format!("{}{}", said.map_or_else(|| "nothing".to_owned(), |text| quoted(text)), self.end)
    }
}

/// Nothing that answers takes this long, calibration included.
const PATIENCE: Duration = Duration::from_secs(30);
/// What says more than this is not answering.
const LONGEST_ANSWER: u64 = 64 << 10;
/// Who has been killed is gone after that, unless the kernel holds it up.
const END_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks at whether there is an answer.
const LOOK_UP: Duration = Duration::from_millis(2);

/// The file of the program called `name`, which is never one of the current folder unless that is said.
fn located(name: &Path) -> io::Result<PathBuf> {
    program::find(name.as_os_str().as_bytes()).map_err(|why| match why {
        Failure::NotFound => io::Error::from_raw_os_error(libc::ENOENT),
        _ => io::Error::from_raw_os_error(libc::EACCES),
    })
}

/// Runs `name` with `arguments` and hears it out, as long as it stays within bounds. Nothing of it is left afterwards.
pub(in crate::engine) fn ask(
    name: &Path,
    arguments: &[&str],
    stop_wanted: &dyn Fn() -> bool,
) -> Result<Answer, ProbeError> {
    let shown = name.display();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound if name == Path::new(NAME) => ProbeError::Unusable(format!(
            "the python engine needs {NAME}, which was not found in PATH: install it, or see --python"
        )),
        _ => ProbeError::Unusable(format!("failed to start {shown}: {}", shortage::explained(&error))),
    };
    let (stdout, stderr) = (Paper::new().map_err(failed)?, Paper::new().map_err(failed)?);
    let mut command = Command::new(located(name).map_err(failed)?);
    command.args(arguments).stdin(Stdio::null()).process_group(0);
    command.stdout(stdout.pen().map_err(failed)?).stderr(stderr.pen().map_err(failed)?);
    fork::bind_on_start(&mut command);
    let asked = Asked { child: command.spawn().map_err(failed)?, is_over: false };
    let deadline = Instant::now() + PATIENCE;
    while !has_ended(asked.child.id() as i32) {
        if stop_wanted() {
            return Err(ProbeError::Interrupted);
        }
        if Instant::now() >= deadline || stdout.length() + stderr.length() > LONGEST_ANSWER {
            break;
        }
        std::thread::sleep(LOOK_UP);
    }
    let status = asked.finish();
    let end = match status {
        Some(status) if status.success() => String::new(),
        Some(status) => format!(" ({status})"),
        None => " and did not end".to_owned(),
    };
    Ok(Answer {
        stdout: stdout.text(),
        stderr: stderr.text(),
        end,
        kept_waiting: status.is_none() && Instant::now() >= deadline,
    })
}

/// A program that does not outlive this value, nor does anything in its process group.
struct Asked {
    child: Child,
    is_over: bool,
}

impl Asked {
    /// How it has ended; `None` if it has not.
    fn finish(mut self) -> Option<ExitStatus> {
        let had_ended = has_ended(self.child.id() as i32);
        let status = self.end();
        status.filter(|_| had_ended)
    }

    fn end(&mut self) -> Option<ExitStatus> {
        self.is_over = true;
        // Until it is reaped its number is taken, so nobody else's group can be hit.
        let group = self.child.id() as i32;
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        let status = self.child.wait().ok();
        // What it had started is a child of this process now, and has been killed too: a python3 that is a script starts others.
        let deadline = Instant::now() + END_WITHIN;
        while Instant::now() < deadline {
            match waitpid(Pid::from_raw(-group), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_micros(200)),
                Ok(_) => {}
                // There is none left.
                Err(_) => break,
            }
        }
        status
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_over {
            self.end();
        }
    }
}

/// A file in memory for what a program says: however it says it, nobody has to listen meanwhile.
struct Paper {
    file: File,
}

impl Paper {
    fn new() -> io::Result<Self> {
        let file = memfd_create(c"procbench-answer", MFdFlags::MFD_CLOEXEC)?;
        Ok(Self { file: file.into() })
    }

    fn pen(&self) -> io::Result<Stdio> {
        Ok(self.file.try_clone()?.into())
    }

    fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    fn text(&self) -> String {
        let mut bytes = vec![0; self.length().min(LONGEST_ANSWER) as usize];
        let read = self.file.read_at(&mut bytes, 0).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }
}
