//! Workers of the user's own: programs that are told a task a line and answer with a line.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Context;
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::conversation::{Conversation, Trouble, only_line, pipe_to_read};
use super::output::Folder;
use super::tally::Tally;
use super::template::Template;
use super::{Launcher, Program, Programs};
use crate::sys::atomic::AtomicU64;
use crate::sys::fork::Pid;
use crate::sys::memory::{SharedSlice, Visibility};
use crate::sys::spawn::{Spawner, Streams, Words};
use crate::sys::wait::Exit;
use crate::workload::spec::WorkloadSpec;
use crate::workload::{Executor, Failure, Kind, Meter, NeverLean, PrepareError, Workload, argument};

/// How the files begin that belong to workers which are kept, and not to tasks; their number follows.
const KEPT_WORKER: &str = "worker-";

/// Tasks that are told to workers.
pub struct LineWorker {
    program: Program,
    compared: bool,
    tally: Tally,
    marks: Marks,
}

/// Removes what workers of an earlier round wrote, where the round of `spec` keeps that: of one in which more were needed there would be
/// some that this one does not start. Once for a round, before anybody is started.
///
/// # Errors
/// If the folder cannot be had or read, or a file cannot be removed.
pub fn remove_earlier(spec: &WorkloadSpec) -> anyhow::Result<()> {
    let output = spec.program.as_ref().and_then(|program| program.output.as_deref());
    match output.filter(|_| spec.kind == Kind::Worker) {
        Some(path) => {
            let removed = Folder::open(path)?.remove_numbered(KEPT_WORKER, ".err");
            removed.with_context(|| format!("failed to remove what workers wrote to {}", path.display()))
        }
        None => Ok(()),
    }
}

impl LineWorker {
    /// The workload that `spec` describes.
    ///
    /// # Errors
    /// If its lines or its folder cannot be had.
    pub fn new(spec: &WorkloadSpec) -> Result<Self, PrepareError> {
        let tasks = spec.tasks;
        let spec = spec.program.as_ref().ok_or_else(|| anyhow::anyhow!("there is no worker"))?;
        let words = spec.worker_words();
        let program =
            Program { template: Arc::new(Template::literal(&words)), ..Program::new(spec, &words)? };
        Ok(Self {
            program,
            compared: !spec.ignore_answers,
            tally: Tally::new(true)?,
            marks: Marks::new(tasks)?,
        })
    }

    fn starter(&self) -> Result<Starter, Failure> {
        let spawner = self.program.spawner()?;
        Ok(Starter {
            program: self.program.clone(),
            null: spawner.null().try_clone()?,
            spawner,
            words: Words::default(),
            number: Vec::new(),
        })
    }
}

/// The checksum of a task whose argument has `checksum`, and which was answered with `answer`.
fn with_answer(checksum: u32, answer: &[u8], compared: bool) -> u32 {
    if compared { argument::extend(checksum, answer) } else { checksum }
}

impl Workload for LineWorker {
    type Executor = Keeper;
    type Lean = NeverLean;

    /// Starts a worker, too: that is set-up.
    fn executor(&self, meter: &mut Meter) -> Keeper {
        meter.initialisations += 1;
        let mut keeper = Keeper {
            starter: self.starter(),
            kept: None,
            is_missing: false,
            answered: Vec::new(),
            compared: self.compared,
            tally: self.tally.clone(),
            marks: self.marks.clone(),
        };
        // Whatever is wrong is the first task's failure, if there is one for this worker.
        if let Err(failure) = keeper.worker() {
            self.tally.note_missing(failure);
            keeper.is_missing = true;
        }
        keeper
    }

    fn argument_capacity(&self) -> usize {
        self.program.longest_line()
    }

    fn write_argument(&self, task: u64, buffer: &mut [u8]) -> usize {
        self.program.write_line(task, buffer)
    }

    fn result_size(&self) -> usize {
        0
    }

    fn expected(&self, task: u64, argument: &[u8]) -> Option<u32> {
        (!self.compared).then(|| argument::checksum(task, argument))
    }

    fn result_is_right(&self, _: u64, _: u32, _: &[u8]) -> bool {
        true
    }

    fn work_units(&self, _: u64) -> u64 {
        0
    }

    fn lean(&self) -> Option<NeverLean> {
        None
    }

    fn programs(&self) -> Option<&dyn Programs> {
        Some(self)
    }

    fn tally(&self) -> Option<&Tally> {
        Some(&self.tally)
    }

    fn describe(&self, task: u64) -> Option<String> {
        self.program.shown_line(task)
    }

    fn late_failure(&self, task: u64) -> Option<Failure> {
        self.marks.has(task).then_some(Failure::TooManyLines)
    }
}

impl Programs for LineWorker {
    fn launcher(&self) -> Result<Box<dyn Launcher>, Failure> {
        Ok(Box::new(self.starter()?))
    }

    fn timeout(&self) -> Option<Duration> {
        self.program.timeout
    }

    fn outcome(&self, checksum: u32, exit: Exit, answer: &[u8]) -> Result<u32, Failure> {
        only_line(answer, exit).map(|answer| with_answer(checksum, answer, self.compared))
    }

    fn note_stubborn(&self) {
        self.tally.note_stubborn();
    }
}

/// Tasks that were found, when they were already done, to have been answered by a worker that gives more lines than it is
/// asked for: a bit for each.
#[derive(Clone)]
struct Marks(Arc<SharedSlice<AtomicU64>>);

impl Marks {
    fn new(tasks: u64) -> std::io::Result<Self> {
        Ok(Self(Arc::new(SharedSlice::new((tasks / 64 + 1) as usize, Visibility::Shared)?)))
    }

    fn add(&self, tasks: &[u64]) {
        for (all, added) in self.0.iter().zip(tasks).filter(|(_, added)| **added != 0) {
            all.fetch_or(*added, Relaxed);
        }
    }

    fn has(&self, task: u64) -> bool {
        self.0[(task / 64) as usize].load(Relaxed) & 1 << (task % 64) != 0
    }
}

/// Executes tasks by a worker that it keeps, and replaces when it is of no more use.
pub struct Keeper {
    starter: Result<Starter, Failure>,
    kept: Option<Conversation>,
    /// Whether it could not be started for the first time.
    is_missing: bool,
    /// Tasks that the kept worker has answered, a bit for each. If it has given a line too many, nobody can tell which of
    /// its lines answers which of them.
    answered: Vec<u64>,
    compared: bool,
    tally: Tally,
    marks: Marks,
}

impl Keeper {
    fn worker(&mut self) -> Result<(), Failure> {
        if self.kept.is_none() {
            let starter = self.starter.as_mut().map_err(|failure| *failure)?;
            let name = format!("{KEPT_WORKER}{}", self.tally.next_number());
            self.kept = Some(Conversation::begin(|input, output| starter.spawn(&name, &input, &output))?);
            self.tally.start();
            if std::mem::take(&mut self.is_missing) {
                self.tally.note_found();
            }
        }
        Ok(())
    }

    fn dismiss(&mut self) {
        if let Some(kept) = self.kept.take() {
            kept.abort();
            self.tally.reap();
        }
        self.answered.clear();
    }

    fn note_answered(&mut self, task: u64) {
        let (word, bit) = ((task / 64) as usize, 1 << (task % 64));
        if self.answered.len() <= word {
            self.answered.resize(word + 1, 0);
        }
        self.answered[word] |= bit;
    }
}

impl Executor for Keeper {
    fn execute(&mut self, task: u64, argument: &[u8], _: &mut [u8], _: &mut Meter) -> Result<u32, Failure> {
        loop {
            self.worker()?;
            let (Ok(starter), Some(kept)) = (&mut self.starter, &mut self.kept) else {
                return Err(Failure::Mute);
            };
            let line = starter.program.text_of(task, argument, &mut starter.number);
            match kept.ask(line, starter.program.timeout) {
                Ok(answer) => {
                    let checksum = with_answer(argument::checksum(task, argument), answer, self.compared);
                    self.note_answered(task);
                    return Ok(checksum);
                }
                Err(Trouble::Surplus) => {
                    // It had been asked before, or it speaks first.
                    let was_asked = !self.answered.is_empty();
                    self.marks.add(&self.answered);
                    self.dismiss();
                    if !was_asked {
                        return Err(Failure::TooManyLines);
                    }
                }
                Err(Trouble::Failed(failure)) => {
                    if failure == Failure::TooManyLines {
                        self.marks.add(&self.answered);
                    }
                    self.dismiss();
                    return Err(failure);
                }
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let Some(kept) = self.kept.take() else { return };
        let (surplus, stubborn) = kept.end();
        self.tally.reap();
        if surplus {
            self.marks.add(&self.answered);
        }
        if stubborn {
            self.tally.note_stubborn();
        }
    }
}

/// Starts workers.
struct Starter {
    program: Program,
    spawner: Spawner,
    null: File,
    words: Words,
    number: Vec<u8>,
}

impl Starter {
    fn spawn(&mut self, name: &str, input: &OwnedFd, output: &OwnedFd) -> Result<Pid, Failure> {
        let Self { program, spawner, null, words, .. } = self;
        let file = program.file.as_ref().ok_or(Failure::NotFound)?;
        program.template.fill(&[], words);
        let error = program.output.as_ref().map(|folder| folder.file(&format!("{name}.err"))).transpose()?;
        let error = error.as_ref().unwrap_or(null).as_fd();
        let streams = Streams { input: input.as_fd(), output: output.as_fd(), error };
        spawner.spawn(file, words, streams).map_err(Failure::cannot_start)
    }
}

impl Launcher for Starter {
    /// The worker finds its one line, and nothing behind it, on its standard input.
    fn start(&mut self, task: u64, argument: &[u8]) -> Result<(Pid, Option<File>), Failure> {
        let line = self.program.text_of(task, argument, &mut self.number);
        let input = readable(line).map_err(Failure::cannot_start)?;
        let (answer, output) = pipe_to_read().map_err(Failure::cannot_start)?;
        let pid = self.spawn(&task.to_string(), &input, &output)?;
        Ok((pid, Some(answer)))
    }
}

/// Something from which `line` can be read, with an end: a pipe, or memory where it would not fit into one.
fn readable(line: &[u8]) -> std::io::Result<OwnedFd> {
    /// The kernel gives no pipe less, even to those who have many.
    const SMALLEST_PIPE: usize = 4096;
    if line.len() < SMALLEST_PIPE {
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let mut write = File::from(write);
        write.write_all(line)?;
        write.write_all(b"\n")?;
        return Ok(read);
    }
    let mut memory = File::from(memfd_create(c"line", MFdFlags::MFD_CLOEXEC)?);
    memory.write_all(line)?;
    memory.write_all(b"\n")?;
    std::io::Seek::rewind(&mut memory)?;
    Ok(memory.into())
}
