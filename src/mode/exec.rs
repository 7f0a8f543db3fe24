//! Children that are programs of their own: procbench executed anew for a worker or a task (`--start exec`).
//!
//! Such a child inherits no memory, only open files. So its parent keeps what it shares in files without a name, and
//! writes down, in one more, what to do and which file is what. The child asks for the same memory in the same order
//! ([`Sharing`]) and goes on with the code that a forked child would execute.

mod plain;

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::str::FromStr;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::settings::{Settings, Start};
use super::{Round, pool, process};
use crate::sys::fork::Pid;
use crate::sys::memory::{Sharing, inherited_file, unnamed_file_with};
use crate::sys::spawn::{self, Words};
use crate::workload::on_failure::{OnFailure, Policed};
use crate::workload::{self, Visitor, Workload, WorkloadSpec};

/// The hidden first argument under which procbench is a child of its runner.
pub const CHILD: &str = "__child";
/// The same, as it stands among a process's arguments.
pub const CHILD_WORD: &CStr = c"__child";

/// What a child has to know.
#[derive(Debug, Serialize, Deserialize)]
pub struct Handover {
    /// What tasks do.
    pub workload: WorkloadSpec,
    /// What the parent was asked to do, as far as a child shares in it.
    pub workers: u64,
    /// Tasks that a worker claims at a time.
    pub chunk: u64,
    /// The most processes alive at once.
    pub in_flight: u64,
    /// Every how many-th task is stamped.
    pub stamp_stride: Option<u64>,
    policed: Option<PolicedBy>,
    descriptors: Vec<RawFd>,
}

/// What a child does about a failed task, and where it finds whether others have failed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct PolicedBy {
    policy: OnFailure,
    counts: RawFd,
}

/// Whom a child is to be.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    /// A worker of a pool, at this station, which first takes these tasks over.
    Worker {
        /// Its station.
        station: usize,
        /// The first task, and the one after the last.
        inherited: (u64, u64),
    },
    /// A worker of a pool, at the end of these pipes.
    PipeWorker {
        /// Where it reads.
        requests: RawFd,
        /// Where it writes.
        answers: RawFd,
        /// Where it says how far it is.
        place: usize,
    },
    /// The process of one task.
    Task {
        /// The task.
        task: u64,
        /// Its cell.
        cell: usize,
    },
}

impl Role {
    fn words(self) -> (&'static str, [u64; 3]) {
        match self {
            Self::Worker { station, inherited: (start, end) } => ("worker", [station as u64, start, end]),
            Self::PipeWorker { requests, answers, place } => {
                ("pipe", [requests as u64, answers as u64, place as u64])
            }
            Self::Task { task, cell } => ("task", [task, cell as u64, 0]),
        }
    }

    fn from_words(words: &[&OsStr]) -> anyhow::Result<Self> {
        let number = |place: usize| -> anyhow::Result<u64> { number(words, place) };
        match words.first().and_then(|word| word.to_str()) {
            Some("worker") => {
                Ok(Self::Worker { station: number(1)? as usize, inherited: (number(2)?, number(3)?) })
            }
            Some("pipe") => {
                let (requests, answers) = (number(1)? as RawFd, number(2)? as RawFd);
                Ok(Self::PipeWorker { requests, answers, place: number(3)? as usize })
            }
            Some("task") => Ok(Self::Task { task: number(1)?, cell: number(2)? as usize }),
            other => anyhow::bail!("a child cannot be {other:?}"),
        }
    }
}

/// The number that the word at `place` is.
fn number<N: FromStr>(words: &[&OsStr], place: usize) -> anyhow::Result<N> {
    let word = words.get(place).with_context(|| format!("a child without argument {place}"))?;
    let parsed = word.to_str().and_then(|word| word.parse().ok());
    parsed.with_context(|| format!("'{}' is not a number", word.display()))
}

/// Starts children.
#[derive(Debug)]
pub struct Spawner {
    /// The handover, which children inherit.
    file: File,
    spawner: spawn::Spawner,
    words: Words,
    /// What they share: open as long as children are started.
    _sharing: Sharing,
}

impl Spawner {
    /// For children that share what `sharing` has given out. `None` where children are forked.
    ///
    /// # Errors
    /// If the handover cannot be written.
    pub fn prepare(round: &Round<'_>, sharing: Sharing) -> io::Result<Option<Self>> {
        if round.settings.start != Some(Start::Exec) {
            return Ok(None);
        }
        let handover = Handover {
            workload: round.spec.clone(),
            workers: round.settings.workers.unwrap_or(1),
            chunk: round.settings.chunk.unwrap_or(1),
            in_flight: round.settings.in_flight.unwrap_or(u64::MAX),
            stamp_stride: round.stamp_stride,
            policed: round.failure_counts.map(|counts| PolicedBy { policy: round.on_failure, counts }),
            descriptors: sharing.descriptors(),
        };
        let file = match plain::written(&handover) {
            Some(numbers) => unnamed_file_with(&numbers)?,
            None => unnamed_file_with(&serde_json::to_vec(&handover)?)?,
        };
        Ok(Some(Self {
            file,
            spawner: spawn::Spawner::new(None)?,
            words: Words::default(),
            _sharing: sharing,
        }))
    }

    /// Starts a child as `role`.
    ///
    /// # Errors
    /// What the kernel says: `EAGAIN` and `ENOMEM` where a limit is reached.
    pub fn spawn(&mut self, role: Role) -> io::Result<Pid> {
        let (role_name, numbers) = role.words();
        self.words.clear();
        for word in ["procbench", CHILD, &self.file.as_raw_fd().to_string(), role_name] {
            self.words.begin();
            self.words.add(word.as_bytes());
        }
        for number in numbers {
            self.words.begin();
            self.words.add(number.to_string().as_bytes());
        }
        match role {
            Role::PipeWorker { requests, answers, .. } => {
                self.spawner.spawn_own_program(&self.words, &[requests, answers])
            }
            Role::Worker { .. } | Role::Task { .. } => self.spawner.spawn_own_program(&self.words, &[]),
        }
    }
}

/// The memory of a round that is shared as its children are started.
pub fn sharing_of(settings: &Settings) -> Sharing {
    match settings.start {
        Some(Start::Exec) => Sharing::WithExeced(Vec::new()),
        // The others are not this engine's.
        Some(Start::Fork | Start::Spawn | Start::Forkserver | Start::Loky) | None => Sharing::WithForked,
    }
}

/// The whole life of such a child: `words` are its arguments after [`CHILD`].
///
/// # Errors
/// If it was not started by a runner, or its workload or its memory cannot be had.
pub fn run(words: &[&OsStr]) -> anyhow::Result<()> {
    let handover = read(number(words, 0)?)?;
    let role = Role::from_words(&words[1..])?;
    let sharing = Sharing::from_parent(handover.descriptors.clone());
    let outcome = workload::visit(&handover.workload, Child { handover: &handover, role, sharing })?;
    // The process ends here, and all that it has with it.
    std::mem::forget(handover);
    outcome
}

/// The handover in the file `descriptor`, whose offset belongs to all children together: so it is read without one.
fn read(descriptor: RawFd) -> anyhow::Result<Handover> {
    let file = inherited_file(descriptor);
    let mut numbers = [0; plain::BYTES];
    let read = file.read_at(&mut numbers, 0).context("failed to read the handover")?;
    match plain::read(&numbers).filter(|_| read == numbers.len()) {
        Some(handover) => Ok(handover),
        None => serde_json::from_slice(&read_all(&file)?).context("failed to understand the handover"),
    }
}

fn read_all(file: &File) -> anyhow::Result<Vec<u8>> {
    let mut text = vec![0; 4096];
    let mut end = 0;
    loop {
        let read = file.read_at(&mut text[end..], end as u64).context("failed to read the handover")?;
        end += read;
        if end < text.len() {
            // A file in memory gives all it has: less than was asked for is the rest of it.
            text.truncate(end);
            return Ok(text);
        }
        text.resize(2 * end, 0);
    }
}

struct Child<'a> {
    handover: &'a Handover,
    role: Role,
    sharing: Sharing,
}

impl Visitor for Child<'_> {
    type Output = anyhow::Result<()>;

    fn visit<W: Workload>(self, workload: W) -> anyhow::Result<()> {
        match self.handover.policed {
            None => self.join(&workload),
            Some(PolicedBy { policy, counts }) => {
                let mut sharing = Sharing::from_parent(vec![counts]);
                self.join(&Policed::new(workload, policy, &mut sharing)?)
            }
        }
        .context("failed to join the round")
    }
}

impl Child<'_> {
    fn join<W: Workload>(self, workload: &W) -> anyhow::Result<()> {
        let Self { handover, role, mut sharing } = self;
        let tasks = handover.workload.tasks;
        match role {
            Role::Worker { station, inherited } => {
                pool::exec_worker(workload, handover, tasks, station, inherited, &mut sharing)
            }
            Role::PipeWorker { requests, answers, place } => {
                let pipes = (inherited_file(requests), inherited_file(answers));
                pool::pipe::exec_worker(workload, handover, tasks, place, pipes, &mut sharing)
            }
            Role::Task { task, cell } => {
                process::exec_task(workload, handover, tasks, task, cell, &mut sharing)
            }
        }?;
        Ok(())
    }
}
