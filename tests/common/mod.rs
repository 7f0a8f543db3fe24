//! What the tests of the binary share: a sandbox to run it in, and eyes for what it leaves behind.
//!
//! Every run is the leader of a session of its own, so everything that it starts, however deep, can be found in /proc
//! by its session, whoever its parent is by then.

// Each file of tests is a crate of its own and uses what it needs.
#![allow(dead_code)]

pub mod browser;
pub mod faults;
pub mod programs;
pub mod studies;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::RawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use procbench::document::{Document, Round, StrategyResult};
use procbench::experiment::signals::AGAIN;
use procfs::process::{Process, Stat};
use tempfile::TempDir;

/// Far more than any run here takes on the slowest machine: nothing hangs, whatever breaks.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// Within this everything must be gone after procbench was killed. It takes milliseconds on an idle machine.
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Folders for one test: one to work in, and one that procbench takes for the machine's temporary one.
pub struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(root.path().join("work")).expect("a folder to work in");
        fs::create_dir(root.path().join("tmp")).expect("a folder for temporary files");
        Self { root }
    }

    /// A path in the folder where procbench is run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("work").join(name)
    }

    /// Writes a file there.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file in the sandbox");
        path
    }

    /// Everything in the folder where procbench is run.
    pub fn listing(&self) -> BTreeSet<PathBuf> {
        entries(&self.path("")).into_iter().collect()
    }

    /// procbench with `arguments`, to be started by [`Self::start`].
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_procbench"));
        command.args(arguments).current_dir(self.path("")).env("TMPDIR", self.temporary());
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
            command.env_remove(variable);
        }
        // Whoever runs the tests may have been started to ignore them, as what a script starts by `&` is.
        let hear = || {
            for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGTERM] {
                // SAFETY: the default takes no handler.
                unsafe { signal::signal(signal, signal::SigHandler::SigDfl) }?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec a few system calls are made, and nothing is allocated.
        unsafe { command.pre_exec(hear) };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts `command` as the leader of a new session.
    pub fn start(&self, command: Command) -> Running<'_> {
        self.start_at(command, None)
    }

    /// As [`Self::start`]; `terminal` becomes the session's own, so that its end is told to procbench.
    pub fn start_at(&self, mut command: Command, terminal: Option<RawFd>) -> Running<'_> {
        let shown = format!("{command:?}");
        let begin_session = move || {
            nix::unistd::setsid()?;
            // SAFETY: the request takes an integer.
            let failed = terminal.is_some_and(|fd| unsafe { libc::ioctl(fd, libc::TIOCSCTTY, 0) } != 0);
            if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
        };
        // SAFETY: between fork and exec two system calls are made, and nothing is allocated.
        unsafe { command.pre_exec(begin_session) };
        let mut child = command.spawn().unwrap_or_else(|error| panic!("failed to start {shown}: {error}"));
        let stdout = child.stdout.take().map(drain);
        let stderr = child.stderr.take().map(drain);
        let session = child.id() as i32;
        let started = Instant::now();
        Running { sandbox: self, shown, child, session, stdout, stderr, started, signals: Cell::new(0) }
    }

    /// Runs procbench to its end; whatever that is, nothing may be left.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Finished {
        self.run_command(self.command(arguments))
    }

    /// Runs `command` to its end; whatever that is, nothing may be left.
    pub fn run_command(&self, command: Command) -> Finished {
        self.start(command).finish()
    }

    /// The export of a run that must succeed. `arguments` are apart by spaces.
    pub fn measure(&self, arguments: &str) -> Document {
        let (document, _) = self.report(arguments);
        document
    }

    /// As [`Self::measure`], with what was printed.
    pub fn report(&self, arguments: &str) -> (Document, Finished) {
        let export = self.path("measured.json");
        let mut all: Vec<OsString> = arguments.split_whitespace().map(Into::into).collect();
        all.extend(["--json".into(), export.clone().into_os_string()]);
        let finished = self.run(&all).expect_code(0);
        let document = parse(&fs::read_to_string(&export).expect("the export"));
        assert!(!document.partial, "{finished:?}");
        assert_eq!(document.tasks_failed(), 0, "{finished:?}");
        (document, finished)
    }

    fn temporary(&self) -> PathBuf {
        self.root.path().join("tmp")
    }

    /// What is where nothing should be: temporary files beside exports, folders in the temporary one, cgroups.
    fn litter(&self, controller: i32) -> Vec<PathBuf> {
        let mut litter = entries(&self.temporary());
        let unfinished = |path: &PathBuf| path.extension() == Some(OsStr::new("tmp"));
        litter.extend(entries(&self.path("")).into_iter().filter(unfinished));
        // Where tasks were told to do I/O.
        let made = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("procbench-"))
        };
        let folders = [self.path(""), self.path("disk")];
        litter.extend(folders.iter().flat_map(|folder| entries(folder)).filter(made));
        litter.extend(cgroups_of(controller));
        litter.extend(semaphores_of(controller));
        litter
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Named semaphores of rounds of the procbench with process id `controller`.
fn semaphores_of(controller: i32) -> impl Iterator<Item = PathBuf> {
    let prefix = format!("sem.procbench-{controller}-");
    let is_ours = move |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
    };
    entries(Path::new("/dev/shm")).into_iter().filter(is_ours)
}

/// Whether there is a Python that the engine can be executed by; if not, says that `test` is not done.
pub fn has_python(test: &str) -> bool {
    let program = "import sys; sys.exit(sys.version_info < (3, 8))";
    let found =
        Command::new("python3").args(["-I", "-c", program]).status().is_ok_and(|status| status.success());
    if !found {
        skip(test, "there is no python3 of version 3.8 or later");
    }
    found
}

/// Where a test may make a cgroup of its own that has `controller`: below this process's own or, in version 2, beside it. There a
/// cgroup with processes has none below it with controllers, but for the outermost.
pub fn cgroup_to_make(controller: &str, name: &str) -> Option<PathBuf> {
    let own = procbench::measure::limits::cgroup_folders(controller).into_iter().next()?;
    let above = own.parent().filter(|parent| parent.join("cgroup.subtree_control").exists());
    Some(above.unwrap_or(&own).join(name))
}

/// Cgroups that the procbench with process id `controller` has made.
fn cgroups_of(controller: i32) -> Vec<PathBuf> {
    let prefix = format!("procbench-{controller}-");
    let own = procbench::measure::limits::cgroup_folders("memory");
    let beside = own.iter().filter_map(|folder| folder.parent()).map(Path::to_owned);
    let mut folders: Vec<PathBuf> = own.iter().cloned().chain(beside).collect();
    folders.sort();
    folders.dedup();
    let found = folders.iter().flat_map(|folder| entries(folder));
    found
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        .collect()
}

/// A JSON export, read strictly: every field is known and comes out again as it went in.
#[track_caller]
pub fn parse(text: &str) -> Document {
    let document: Document = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    let read: serde_json::Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(serde_json::to_value(&document).expect("JSON"), read, "a field is not part of the document");
    document
}

fn drain(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = send.send(bytes);
    });
    receive
}

/// A procbench that runs. Dropped before its end, it takes all that it has started with it.
pub struct Running<'a> {
    sandbox: &'a Sandbox,
    shown: String,
    child: Child,
    session: i32,
    stdout: Option<Receiver<Vec<u8>>>,
    stderr: Option<Receiver<Vec<u8>>>,
    started: Instant,
    signals: Cell<u32>,
}

impl Running<'_> {
    /// Its process id, which is also its session.
    pub fn pid(&self) -> i32 {
        self.session
    }

    /// Sends `signal` to procbench alone.
    pub fn signal(&self, signal: Signal) {
        signal::kill(Pid::from_raw(self.pid()), signal).expect("procbench is there to be signalled");
        self.signals.set(self.signals.get() + 1);
    }

    /// Sends `signal` to procbench alone, which may have ended.
    pub fn signal_if_there(&self, signal: Signal) {
        let _ = signal::kill(Pid::from_raw(self.pid()), signal);
        self.signals.set(self.signals.get() + 1);
    }

    /// Notes that somebody else has told it to end: a terminal, for one.
    pub fn was_told_to_end(&self) {
        self.signals.set(self.signals.get() + 1);
    }

    /// Waits until `signal`, sent before, has been taken notice of, and for so long that another is taken for a second wish:
    /// two of one moment are one. False if the first has already ended the program.
    #[track_caller]
    pub fn wait_until_noticed(&mut self, signal: Signal) -> bool {
        let bit = bit_of(signal);
        let waits = |status: procfs::process::Status| (status.sigpnd | status.shdpnd) & bit != 0;
        let process = Process::new(self.pid()).expect("a process that was not waited for");
        while process.status().is_ok_and(waits) {
            assert!(self.started.elapsed() < TIME_LIMIT, "{} does not notice {signal}", self.shown);
            std::thread::sleep(LOOK_EVERY);
        }
        std::thread::sleep(AGAIN);
        process.stat().is_ok_and(|stat| stat.state != 'Z')
    }

    /// Waits until `condition` gives something.
    #[track_caller]
    pub fn wait_for<T>(&mut self, what: &str, mut condition: impl FnMut(&Self) -> Option<T>) -> T {
        loop {
            if let Some(found) = condition(self) {
                return found;
            }
            if let Some(status) = self.child.try_wait().expect("a status") {
                let said = text_of(self.stderr.take());
                panic!("{} ended ({status}) before there was {what}:\n{said}", self.shown);
            }
            assert!(self.started.elapsed() < TIME_LIMIT, "waited in vain for {what} of {}", self.shown);
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Whether procbench itself has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_some()
    }

    /// The runner of the current round, if there is one now.
    pub fn runner(&self) -> Option<i32> {
        self.children_of(self.pid()).into_iter().find(|pid| is_runner(*pid))
    }

    /// The runner itself, where a guardian stands above it, as it does where tasks are programs of the user's own.
    pub fn guarded_runner(&self) -> Option<i32> {
        let guardian = self.runner().filter(|pid| is_guardian(*pid))?;
        self.children_of(guardian).into_iter().find(|pid| is_runner(*pid) && !is_guardian(*pid))
    }

    /// Waits for the runner of the `number`-th round, from 1.
    #[track_caller]
    pub fn wait_for_runner(&mut self, number: usize) -> i32 {
        let mut seen = Vec::new();
        self.wait_for(&format!("runner {number}"), |running| {
            let runner = running.runner()?;
            if !seen.contains(&runner) {
                seen.push(runner);
            }
            (seen.len() >= number).then_some(runner)
        })
    }

    /// The children of `parent`, if it is one of ours.
    pub fn children_of(&self, parent: i32) -> Vec<i32> {
        children_at_once(parent).unwrap_or_else(|| {
            let all = members(self.session).into_iter();
            all.filter(|stat| stat.ppid == parent).map(|stat| stat.pid).collect()
        })
    }

    /// The workers of a pool of Python's among the descendants of `engine`, which has helpers too.
    pub fn python_workers_of(&self, engine: i32) -> Vec<i32> {
        let children = self.children_of(engine);
        let below = children.iter().flat_map(|child| self.children_of(*child));
        let all: Vec<i32> = children.iter().copied().chain(below).collect();
        let is_worker = |pid: &i32| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let helps =
                ["resource_tracker import", "forkserver import"].iter().any(|helper| line.contains(helper));
            // A server's workers have its command line.
            !line.is_empty() && (!helps || line.contains("forkserver import") && !children.contains(pid))
        };
        all.into_iter().filter(is_worker).collect()
    }

    /// Waits until `runner` has `count` children, all of them asleep: they are in the middle of their tasks.
    #[track_caller]
    pub fn wait_for_sleepers(&mut self, runner: i32, count: usize) -> Vec<i32> {
        self.wait_for(&format!("{count} sleeping children"), |running| {
            let children: Vec<Stat> =
                members(running.session).into_iter().filter(|stat| stat.ppid == runner).collect();
            let asleep = children.len() == count && children.iter().all(|stat| stat.state == 'S');
            asleep.then(|| children.iter().map(|stat| stat.pid).collect())
        })
    }

    /// Waits for its end, which may be a violent one: then everything must be gone soon.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                break status;
            }
            assert!(self.started.elapsed() < TIME_LIMIT, "{} does not end", self.shown);
            std::thread::sleep(LOOK_EVERY);
        };
        // A procbench that ends by itself has seen everybody off; one that is killed, or told to end twice, has not.
        let orderly = status.signal().is_none() && self.signals.get() < 2;
        let deadline = Instant::now() + if orderly { Duration::ZERO } else { GONE_WITHIN };
        loop {
            let left: Vec<Stat> =
                members(self.session).into_iter().filter(|stat| !is_only_an_entry(stat)).collect();
            let litter = self.sandbox.litter(self.session);
            if left.is_empty() && litter.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                let left: Vec<_> = left.iter().map(|stat| (stat.pid, stat.ppid, stat.state)).collect();
                panic!("{} ({status}) leaves processes {left:?} and files {litter:?}", self.shown);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let finished = Finished {
            shown: self.shown.clone(),
            status,
            stdout: text_of(self.stdout.take()),
            stderr: text_of(self.stderr.take()),
        };
        // Where memory is hardly enough for the loader, what comes before `main` is Rust's own, and this is how it says so.
        let before_main = finished.stderr.contains("failed to allocate an alternative stack");
        assert!(before_main || !finished.stderr.contains("panicked"), "{finished:?}");
        finished
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        for stat in members(self.session) {
            let _ = signal::kill(Pid::from_raw(stat.pid), Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text_of(received: Option<Receiver<Vec<u8>>>) -> String {
    let Some(received) = received else { return String::new() };
    let bytes = received.recv_timeout(GONE_WITHIN).expect("whoever held the pipe is gone, so it ends");
    String::from_utf8(bytes).expect("procbench prints UTF-8")
}

/// The children of `parent`, whose threads have started them, by files that are read in no time: what lives for milliseconds only
/// is seen too. `None` where the kernel has none such.
pub fn children_at_once(parent: i32) -> Option<Vec<i32>> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).ok()?;
    let of_thread =
        |thread: io::Result<fs::DirEntry>| fs::read_to_string(thread.ok()?.path().join("children")).ok();
    let lists: Vec<String> = threads.map(of_thread).collect::<Option<_>>()?;
    Some(lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|pid| pid.parse().ok()).collect())
}

/// All processes of a session, dead but not yet reaped ones included.
fn members(session: i32) -> Vec<Stat> {
    let all = procfs::process::all_processes().expect("/proc").flatten();
    all.filter_map(|process| process.stat().ok()).filter(|stat| stat.session == session).collect()
}

/// An orphan that has ended, and that the machine's first process has not reaped yet. In containers some never do.
fn is_only_an_entry(stat: &Stat) -> bool {
    stat.state == 'Z' && stat.ppid <= 1
}

/// Whether this is a runner, native or in Python.
fn is_runner(pid: i32) -> bool {
    let arguments = Process::new(pid).ok().and_then(|process| process.cmdline().ok()).unwrap_or_default();
    arguments
        .iter()
        .skip(1)
        .any(|argument| argument == "__runner" || argument.ends_with("/procbench_main.py"))
}

/// Whether this stands over a runner.
fn is_guardian(pid: i32) -> bool {
    Process::new(pid).and_then(|process| process.stat()).is_ok_and(|stat| stat.comm == "pb-guardian")
}

/// Kills a process that procbench has started.
#[track_caller]
pub fn kill(pid: i32) {
    signal::kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the process is there to be killed");
}

/// How many threads a process has.
pub fn threads_of(pid: i32) -> Option<i64> {
    Some(Process::new(pid).ok()?.stat().ok()?.num_threads)
}

/// What a run came to.
#[derive(Debug)]
pub struct Finished {
    shown: String,
    status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The exit code, where it was not a signal that ended procbench.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended procbench.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self:?}");
        self
    }

    /// The one error on standard error.
    #[track_caller]
    pub fn error(&self) -> &str {
        let errors: Vec<&str> =
            self.stderr.split_inclusive('\n').filter(|line| line.starts_with("error:")).collect();
        assert_eq!(errors.len(), 1, "exactly one error: {self:?}");
        &self.stderr
    }
}

/// `text` in one line, wherever its lines were broken.
pub fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The row called `name`.
#[track_caller]
pub fn row<'a>(document: &'a Document, name: &str) -> &'a StrategyResult {
    let names: Vec<_> = document.strategies.iter().map(|row| &row.name).collect();
    document
        .strategies
        .iter()
        .find(|row| row.name == name)
        .unwrap_or_else(|| panic!("no {name} among {names:?}"))
}

/// All timed rounds of all rows, each with its row.
pub fn rounds(document: &Document) -> impl Iterator<Item = (&StrategyResult, &Round)> {
    document.strategies.iter().flat_map(|row| row.rounds.iter().map(move |round| (row, round)))
}

/// The digest that all rounds have.
#[track_caller]
pub fn digest(document: &Document) -> String {
    let digests: Vec<&String> =
        rounds(document).filter_map(|(_, round)| round.report.digest.as_ref()).collect();
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
    digests.first().expect("a round").to_string()
}

/// Which bit of the sets of signals in /proc is `signal`'s.
pub fn bit_of(signal: Signal) -> u64 {
    1 << (signal as i32 - 1)
}

/// Says why a test is not done here, so that nobody takes it for passed.
pub fn skip(test: &str, reason: &str) {
    // Past the capture of the test harness, which hides what a test prints that passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {reason}");
    let are_allowed = std::env::var_os("PROCBENCH_SKIPS").is_none_or(|value| value != "fail");
    assert!(are_allowed, "{test} is not to be skipped (PROCBENCH_SKIPS=fail): {reason}");
}

/// The results that a program of Python's prints, sorted, which says what the last line of `finished` says, with the arguments in
/// `args.jsonl` to make them.
pub fn said_by_python(sandbox: &Sandbox, python: &str, finished: &Finished) -> String {
    let line = finished.stdout.lines().last().and_then(|line| line.strip_prefix("In Python (import "));
    let line = line.and_then(|line| line.split_once("): "));
    let (modules, said) = line.unwrap_or_else(|| panic!("{finished:?}"));
    let before = format!("import json\nimport {modules}");
    let main = format!(
        "    args = [json.loads(line) for line in open('args.jsonl')]\n    {said}\n    print(sorted(results))"
    );
    sandbox.write("main.py", format!("{before}\n\nif __name__ == '__main__':\n{main}\n"));
    let mut command = Command::new("timeout");
    command.args(["60", python, "main.py"]).current_dir(sandbox.path("")).stdin(Stdio::null());
    // Python's own helpers, which end a moment after it, have its standard output too: they are waited for.
    let output = command.output().expect("timeout, of the core utilities");
    assert!(output.status.success(), "{said}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A terminal that no program inherits unless it is handed to it: whoever closes it has closed it.
pub fn terminal() -> OpenptyResult {
    let terminal = openpty(None, None).expect("a terminal");
    for end in [&terminal.master, &terminal.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("its own descriptor");
    }
    terminal
}
