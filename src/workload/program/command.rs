//! A command of the user's own for each task.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::time::Instant;

use super::tally::Tally;
use super::{Launcher, Program, Programs, find};
use crate::sys::fork::Pid;
use crate::sys::spawn::{Spawner, Streams, Words};
use crate::sys::wait::{Exit, end_group, wait_until};
use crate::workload::spec::WorkloadSpec;
use crate::workload::{Executor, Failure, Meter, NeverLean, PrepareError, Workload, argument};

/// A command for each task.
pub struct Command {
    program: Program,
    tally: Tally,
}

impl Command {
    /// The workload that `spec` describes.
    ///
    /// # Errors
    /// If its lines or its folder cannot be had.
    pub fn new(spec: &WorkloadSpec) -> Result<Self, PrepareError> {
        let spec = spec.program.as_ref().ok_or_else(|| anyhow::anyhow!("there is no command"))?;
        Ok(Self { program: Program::new(spec, &spec.command_words())?, tally: Tally::new(false)? })
    }
}

impl Workload for Command {
    type Executor = Running;
    type Lean = NeverLean;

    fn executor(&self, meter: &mut Meter) -> Running {
        meter.initialisations += 1;
        Running { starter: Starter::new(&self.program), tally: self.tally.clone() }
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
        Some(argument::checksum(task, argument))
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
}

impl Programs for Command {
    fn launcher(&self) -> Result<Box<dyn Launcher>, Failure> {
        Ok(Box::new(Starter::new(&self.program)?))
    }

    fn timeout(&self) -> Option<std::time::Duration> {
        self.program.timeout
    }

    fn outcome(&self, checksum: u32, exit: Exit, _: &[u8]) -> Result<u32, Failure> {
        self.program.success_codes.judge(exit).map(|()| checksum)
    }
}

/// Executes tasks: starts the command of each and waits for its end.
pub struct Running {
    starter: Result<Starter, Failure>,
    tally: Tally,
}

impl Executor for Running {
    fn execute(&mut self, task: u64, argument: &[u8], _: &mut [u8], _: &mut Meter) -> Result<u32, Failure> {
        let starter = self.starter.as_mut().map_err(|failure| *failure)?;
        let timeout = starter.program.timeout;
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let (pid, _) = starter.start(task, argument)?;
        self.tally.start();
        let ended = match (wait_until(pid, deadline), timeout) {
            (Ok(Some(reaped)), _) => Ok(reaped.exit),
            (Ok(None), Some(timeout)) => Err(Failure::timed_out(timeout)),
            (Ok(None), None) => Err(Failure::System(libc::ECHILD)),
            (Err(error), _) => Err(error.into()),
        };
        if ended.is_err() {
            end_group(pid)?;
        }
        self.tally.reap();
        starter.program.success_codes.judge(ended?).map(|()| argument::checksum(task, argument))
    }
}

/// Starts the command of one task after another.
struct Starter {
    program: Program,
    spawner: Spawner,
    null: File,
    words: Words,
    number: Vec<u8>,
}

impl Starter {
    fn new(program: &Program) -> Result<Self, Failure> {
        let spawner = program.spawner()?;
        Ok(Self {
            program: program.clone(),
            null: spawner.null().try_clone()?,
            spawner,
            words: Words::default(),
            number: Vec::new(),
        })
    }
}

impl Launcher for Starter {
    fn start(&mut self, task: u64, argument: &[u8]) -> Result<(Pid, Option<File>), Failure> {
        let Self { program, spawner, null, words, number } = self;
        let text = program.text_of(task, argument, number);
        program.template.fill(text, words);
        let found;
        let file = match &program.file {
            Some(file) => file,
            None => {
                let path = find(&program.template.program(text))?;
                found = CString::new(path.into_os_string().into_vec()).map_err(|_| Failure::NotFound)?;
                &found
            }
        };
        let (output, error) = match &program.output {
            Some(folder) => {
                (Some(folder.file(&format!("{task}.out"))?), Some(folder.file(&format!("{task}.err"))?))
            }
            None => (None, None),
        };
        let streams = Streams {
            input: null.as_fd(),
            output: output.as_ref().unwrap_or(null).as_fd(),
            error: error.as_ref().unwrap_or(null).as_fd(),
        };
        let pid = spawner.spawn(file, words, streams).map_err(Failure::cannot_start)?;
        Ok((pid, None))
    }
}
