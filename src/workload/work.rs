//! What a task does whatever its workload: reading shared input, computing, I/O, holding memory meanwhile.

use anyhow::Context;

use super::cpu;
use super::durations::Lengths;
use super::io::{Method, Tool};
use super::shared::SharedInput;
use super::spec::WorkloadSpec;
use super::{Executor, Failure, Meter, PrepareError, argument};
use crate::sys::raw;

/// The work of tasks. Where it is lean it may cross into a lean child as it is.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    tasks: u64,
    units: u64,
    wait_nanoseconds: u64,
    init_units: u64,
    memory: usize,
    lengths: Lengths,
    /// Lives as long as the process: until the round is over.
    shared: Option<&'static SharedInput>,
    io: Method,
    is_lean: bool,
    /// How much there is to do.
    extent: Extent,
}

/// How much a task does: known beforehand, so that little costs no more than finding that out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Nothing,
    /// Nothing but computing.
    Computing,
    More,
}

impl Work {
    /// What `spec` asks for.
    ///
    /// # Errors
    /// Where its memory is more than this machine can address, or what should have been made ready is not there.
    pub fn new(spec: &WorkloadSpec) -> Result<Self, PrepareError> {
        let lengths = Lengths::new(spec).context("failed to map the trace")?;
        let io = Method::new(spec)?;
        let shared = match spec.shared_bytes {
            0 => None,
            _ => {
                let shared =
                    SharedInput::open(&spec.ready.shared).context("failed to map the shared input")?;
                Some(&*Box::leak(Box::new(shared)))
            }
        };
        let units = cpu::units_for(spec.cpu_seconds, spec.units_per_second);
        let wait_nanoseconds = (spec.io_wait_seconds * 1e9).round() as u64;
        let waits = wait_nanoseconds > 0 || !matches!(io, Method::Sleep);
        let more = waits || shared.is_some() || spec.memory_bytes > 0;
        let extent = match (more, units) {
            (true, _) => Extent::More,
            (false, 0) => Extent::Nothing,
            (false, _) => Extent::Computing,
        };
        Ok(Self {
            extent,
            tasks: spec.tasks,
            units,
            wait_nanoseconds,
            init_units: cpu::units_for(spec.init_seconds, spec.units_per_second),
            memory: spec.memory_bytes.try_into()?,
            is_lean: lengths.are_alike() && shared.is_none() && io.is_lean() && !spec.full_fork,
            lengths,
            shared,
            io,
        })
    }

    /// Whether the work needs nothing but the kernel. Drawing durations calls the mathematical library, and a fast checksum
    /// finds out at run time what the processor can do.
    pub fn is_lean(&self) -> bool {
        self.is_lean
    }

    /// Does the work of one start-up.
    #[inline]
    pub fn initialise(&self, meter: &mut Meter) {
        cpu::burn(self.init_units);
        meter.work_units += self.init_units;
        meter.initialisations += 1;
    }

    /// Does the work of one start-up, and returns what executes tasks.
    #[inline]
    pub fn start(&self, meter: &mut Meter) -> Hand {
        self.initialise(meter);
        Hand { work: *self, tool: self.io.tool() }
    }

    /// Executes `task` without a heap. Only where [`Self::is_lean`].
    ///
    /// # Errors
    /// As [`Hand::execute`].
    #[inline(always)]
    pub fn execute_lean(&self, task: u64, checksum: u32, meter: &mut Meter) -> Result<u32, Failure> {
        self.while_holding_memory(|| {
            self.compute(task, meter);
            self.io.perform_lean(task, self.wait_nanoseconds, checksum, meter)
        })
    }

    #[inline(always)]
    fn while_holding_memory(&self, action: impl FnOnce() -> Result<u32, Failure>) -> Result<u32, Failure> {
        match self.memory {
            0 => action(),
            size => raw::while_holding(size, action).unwrap_or(Err(Failure::System(libc::ENOMEM))),
        }
    }

    #[inline]
    fn compute(&self, task: u64, meter: &mut Meter) {
        if self.units > 0 {
            let units = self.lengths.of(task, self.units);
            meter.work_units += units;
            cpu::burn(units);
        }
    }

    #[inline]
    fn wait_of(&self, task: u64) -> u64 {
        if self.wait_nanoseconds == 0 { 0 } else { self.lengths.of(task, self.wait_nanoseconds) }
    }

    /// The checksum that [`Hand::execute`] makes of `checksum`, worked out in another way.
    pub fn expected(&self, task: u64, checksum: u32) -> u32 {
        let checksum = self.shared.map_or(checksum, |shared| shared.expected(checksum));
        self.io.expected(task, checksum)
    }

    /// Of how many tasks, spread evenly, that is worked out: of as many as make a moderate number of bytes.
    pub fn checked_tasks(&self) -> u64 {
        const BYTES: u64 = 256 << 20;
        BYTES.checked_div(self.io.size() as u64).map_or(u64::MAX, |tasks| tasks.max(1))
    }

    /// Whether `task` has left behind what it had to, as far as it is one of [`Self::checked_tasks`].
    pub fn has_left_what_it_must(&self, task: u64) -> bool {
        let every = (self.tasks / self.checked_tasks()).max(1);
        !task.is_multiple_of(every) || self.io.has_left(task)
    }

    /// Units that tasks `0..tasks` and `initialisations` start-ups come to.
    pub fn units_of_all(&self, tasks: u64, initialisations: u64) -> u64 {
        let of_tasks = match self.units {
            0 => 0,
            units if self.lengths.are_alike() => units * tasks,
            units => (0..tasks).map(|task| self.lengths.of(task, units)).sum(),
        };
        of_tasks + self.init_units * initialisations
    }
}

/// What an executing process or thread does the work of its tasks with.
#[derive(Debug)]
pub struct Hand {
    work: Work,
    tool: Tool,
}

/// Executes tasks that only compute. A processor that waits for the end of one task's computation has begun with the next one's by
/// then, as far as it can look ahead; what lies between the two shortens that by more than it takes itself. So next to nothing does.
#[derive(Debug, Clone, Copy)]
pub struct Burner {
    units: u64,
    lengths: Lengths,
}

impl Executor for Burner {
    #[inline(always)]
    fn execute(&mut self, task: u64, _: &[u8], _: &mut [u8], meter: &mut Meter) -> Result<u32, Failure> {
        let units = self.lengths.of(task, self.units);
        meter.work_units += units;
        cpu::burn(units);
        Ok(argument::checksum(task, &[]))
    }
}

impl Hand {
    /// Where tasks only compute, what does that.
    pub fn burner(&self) -> Option<Burner> {
        let Work { units, lengths, extent, .. } = self.work;
        (extent == Extent::Computing).then_some(Burner { units, lengths })
    }

    /// Whether there is nothing that a task would have to do.
    pub fn does_nothing(&self) -> bool {
        self.work.extent == Extent::Nothing
    }

    /// Does the work of `task`, holding its private memory meanwhile: reads what is shared, computes, does I/O. Carries
    /// `checksum` on over all bytes that were read.
    ///
    /// # Errors
    /// If that memory cannot be had, or the I/O fails.
    #[inline]
    pub fn execute(&mut self, task: u64, checksum: u32, meter: &mut Meter) -> Result<u32, Failure> {
        if self.does_nothing() { Ok(checksum) } else { self.do_something(task, checksum, meter) }
    }

    /// Apart, so that a loop over tasks that do nothing is a loop over nothing else.
    #[inline(never)]
    fn do_something(&mut self, task: u64, checksum: u32, meter: &mut Meter) -> Result<u32, Failure> {
        if self.work.extent == Extent::Computing {
            self.work.compute(task, meter);
            return Ok(checksum);
        }
        self.perform(task, checksum, meter)
    }

    #[inline(never)]
    fn perform(&mut self, task: u64, checksum: u32, meter: &mut Meter) -> Result<u32, Failure> {
        let Self { work, tool } = self;
        work.while_holding_memory(|| {
            let checksum = work.shared.map_or(checksum, |shared| shared.read(checksum));
            work.compute(task, meter);
            tool.perform(task, work.wait_of(task), checksum, meter)
        })
    }
}
