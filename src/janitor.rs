//! Cleaning up, whatever happens.
//!
//! Temporary folders and cgroups are removed by whoever made them; but a controller that is killed with SIGKILL removes
//! nothing. So a second, tiny process is told of each before it is made. When its standard input ends, because the
//! controller has ended in whatever way, it removes what is still there and ends too. So does one of its own for the file of an
//! export, as long as that has a name and is not in its place.

use std::ffi::{CStr, OsStr};
use std::fs;
use std::io::{self, BufRead, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid as NixPid;

use crate::engine::native::own_program;
use crate::measure::shortage::Lack;

/// The hidden first argument under which procbench is a janitor.
pub const JANITOR: &str = "__janitor";
/// What it is called where processes are listed: whoever kills everybody called procbench (`pkill -9 procbench`) leaves one to clean up.
pub const NAME: &CStr = c"pb-janitor";

/// How long it tries to remove what others may still be busy in: whoever starts when the controller ends has yet to find out.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the name of everything that a janitor may remove begins with.
const PREFIX: &str = "procbench-";
/// What its name may begin with besides, so that nobody sees it in a folder of the user's own.
const HIDDEN: &str = ".";
/// What an entry begins with that is no path, but a process and when it was started.
const GUARDIAN: &str = "guardian ";
/// What no path has in it, whatever else it has.
const END_OF_ENTRY: u8 = 0;

/// The controller's side.
pub struct Janitor {
    child: Option<Child>,
    made: u64,
}

impl Janitor {
    /// Starts the janitor's process, in a process group of its own so that no Ctrl-C reaches it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start() -> anyhow::Result<Self> {
        let child = own_program(JANITOR)?
            .arg0(OsStr::from_bytes(NAME.to_bytes()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("failed to start the process that cleans up")?;
        Ok(Self { child: Some(child), made: 0 })
    }

    /// A name that no other procbench uses now.
    pub fn fresh_name(&mut self) -> String {
        self.made += 1;
        name(self.made)
    }

    /// Says that `path` is about to be made.
    ///
    /// # Errors
    /// If the janitor is gone: then nothing is made.
    pub fn expect(&mut self, path: &Path) -> anyhow::Result<()> {
        let stdin = self.child.as_mut().and_then(|child| child.stdin.as_mut());
        let stdin = stdin.context("the process that cleans up is gone")?;
        let mut line = path.as_os_str().as_bytes().to_vec();
        line.push(END_OF_ENTRY);
        stdin.write_all(&line).context("failed to speak to the process that cleans up")
    }

    /// Says that `pid`, a child of this process, stands over programs of the user's own and is to end them when this process has ended.
    ///
    /// # Errors
    /// If the janitor is gone.
    pub fn note_guardian(&mut self, pid: i32) -> anyhow::Result<()> {
        // Without /proc nobody would know later whose number it is.
        match started_at(pid) {
            Some(started_at) => self.expect(Path::new(&format!("{GUARDIAN}{pid} {started_at}"))),
            None => Ok(()),
        }
    }

    /// Makes a private folder below the machine's temporary one, removed with the returned guard.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn folder(&mut self) -> anyhow::Result<Folder> {
        let place = temporary_folder().context("failed to find the temporary folder (TMPDIR)")?;
        let made = self.folder_in(&place);
        made.map_err(|error| {
            Lack(format!("{error:#}: TMPDIR names another place for temporary files")).into()
        })
    }

    /// Makes a private folder in `place`, removed with the returned guard.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn folder_in(&mut self, place: &Path) -> anyhow::Result<Folder> {
        let path = place.join(self.fresh_name());
        self.expect(&path)?;
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("failed to make the folder {}", path.display()))?;
        Ok(Folder { path })
    }
}

/// The name, that no other procbench uses now, of what this one has made so many times.
fn name(made: u64) -> String {
    // The clock keeps apart those that share a folder but not their process numbers, such as two containers.
    let chance = crate::seed::mix(crate::sys::clock::monotonic_nanoseconds() ^ made);
    format!("{PREFIX}{}-{made}-{chance:016x}", std::process::id())
}

/// The same for a file that lies for a moment in a folder of the user's own.
pub fn hidden_name() -> String {
    static MADE: AtomicU64 = AtomicU64::new(0);
    format!("{HIDDEN}{}.tmp", name(MADE.fetch_add(1, Ordering::Relaxed)))
}

/// Where temporary files go, from the root on: others look for it from folders of their own.
fn temporary_folder() -> io::Result<PathBuf> {
    let named = std::env::temp_dir();
    std::path::absolute(if named.as_os_str().is_empty() { Path::new("/tmp") } else { &named })
}

impl Drop for Janitor {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            let pid = NixPid::from_raw(child.id() as i32);
            // Somebody may have stopped it, and a run that is done is not to wait for that.
            let _ = kill(pid, Signal::SIGCONT);
            let patience = Instant::now() + 2 * PATIENCE;
            while Instant::now() < patience {
                match child.try_wait() {
                    Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                    _ => return,
                }
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A temporary folder, removed with everything in it when dropped.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        remove_semaphores_of(&self.path);
    }
}

/// The janitor's whole life.
///
/// # Errors
/// If its standard input cannot be read.
pub fn run() -> anyhow::Result<()> {
    // What ends the controller must not end this.
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
            .context("failed to ignore a signal")?;
    }
    let mut expected = Vec::new();
    // One at a time stands over programs.
    let mut guardian = None;
    for line in io::stdin().lock().split(END_OF_ENTRY) {
        let entry = line?;
        match entry.strip_prefix(GUARDIAN.as_bytes()) {
            Some(of) => guardian = Some(String::from_utf8_lossy(of).into_owned()),
            None => expected.push(PathBuf::from(std::ffi::OsString::from_vec(entry))),
        }
    }
    if let Some(guardian) = guardian {
        wake(&guardian);
    }
    for path in expected.iter().rev() {
        remove(path);
    }
    Ok(())
}

/// Has a guardian go on that somebody has stopped: it has been told that the controller has ended, and cannot hear it.
fn wake(guardian: &str) {
    let numbers = guardian.split_once(' ').and_then(|(pid, at)| Some((pid.parse().ok()?, at.parse().ok()?)));
    // Its number may be somebody else's by now.
    if let Some((pid, _)) = numbers.filter(|(pid, at): &(i32, u64)| started_at(*pid) == Some(*at)) {
        let _ = kill(NixPid::from_raw(pid), Signal::SIGCONT);
    }
}

/// When a process was started, in ticks of the kernel's clock: with its number, that tells it from all others.
fn started_at(pid: i32) -> Option<u64> {
    Some(procfs::process::Process::new(pid).ok()?.stat().ok()?.starttime)
}

fn remove(path: &Path) {
    let name = path.file_name().map(OsStr::as_bytes).unwrap_or_default();
    let hidden = name.strip_prefix(HIDDEN.as_bytes());
    if !hidden.unwrap_or(name).starts_with(PREFIX.as_bytes()) || !path.is_absolute() {
        return;
    }
    if hidden.is_some() {
        // A file, in which nobody works; and mostly it is not there any more.
        let _ = fs::remove_file(path);
        return;
    }
    let is_cgroup = path.join("cgroup.procs").exists();
    if !is_cgroup {
        remove_semaphores_of(path);
    }
    let patience = Instant::now() + PATIENCE;
    while Instant::now() < patience {
        if is_cgroup {
            kill_all_in(path);
        } else {
            kill_all_working_in(path);
        }
        let removed = if is_cgroup { fs::remove_dir(path) } else { fs::remove_dir_all(path) };
        // That something was not found may be about what is in it, which somebody who is about to die has just removed himself.
        if removed.is_ok() || path.symlink_metadata().is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Kills whoever has `folder` for its working directory. An engine that does not bind each of its processes to its own life
/// lets them work in the folder that was made for it.
fn kill_all_working_in(folder: &Path) {
    let processes = procfs::process::all_processes().into_iter().flatten().flatten();
    for process in processes.filter(|process| process.cwd().is_ok_and(|cwd| cwd == folder)) {
        let pid = nix::unistd::Pid::from_raw(process.pid);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    }
}

/// Removes the named semaphores that are named after `folder`: Python's pools have some, which outlive whoever is killed.
fn remove_semaphores_of(folder: &Path) {
    let Some(name) = folder.file_name().and_then(|name| name.to_str()) else { return };
    let prefix = format!("sem.{name}-");
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        if entry.file_name().as_bytes().starts_with(prefix.as_bytes()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn kill_all_in(cgroup: &Path) {
    let processes = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 1) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
}
