//! The synthetic task: so many bytes in, so much work, so long a wait, so many bytes out.

use super::argument;
use super::cpu;
use super::spec::WorkloadSpec;
use super::{Executor, Failure, Lean, Meter, PrepareError, Spread, Workload};
use crate::sys::raw;

/// All that a task needs to know. Plain numbers, so that it may cross into a lean child as it is.
#[derive(Debug, Clone, Copy)]
pub struct Synthetic {
    seed: u64,
    tasks: u64,
    argument_size: usize,
    result_size: usize,
    work: Work,
}

/// CPU work and waiting of tasks, for every workload that can have some.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    seed: u64,
    units: u64,
    wait_nanoseconds: u64,
    init_units: u64,
    memory: usize,
    spread: Spread,
    full_fork: bool,
}

impl Work {
    /// What `spec` asks for.
    ///
    /// # Errors
    /// Where its memory is more than this machine can address.
    pub fn new(spec: &WorkloadSpec) -> Result<Self, PrepareError> {
        Ok(Self {
            seed: spec.seed,
            units: cpu::units_for(spec.cpu_seconds, spec.units_per_second),
            wait_nanoseconds: (spec.io_wait_seconds * 1e9).round() as u64,
            init_units: cpu::units_for(spec.init_seconds, spec.units_per_second),
            memory: spec.memory_bytes.try_into()?,
            spread: spec.spread,
            full_fork: spec.full_fork,
        })
    }

    /// Nothing to do.
    pub const fn none() -> Self {
        Self {
            seed: 0,
            units: 0,
            wait_nanoseconds: 0,
            init_units: 0,
            memory: 0,
            spread: Spread::Constant,
            full_fork: false,
        }
    }

    /// Does the work of one start-up.
    #[inline]
    pub fn initialise(&self, meter: &mut Meter) {
        cpu::burn(self.init_units);
        meter.work_units += self.init_units;
        meter.initialisations += 1;
    }

    /// Units of CPU work of `task`.
    #[inline]
    pub fn units_of(&self, task: u64) -> u64 {
        match self.spread {
            Spread::Constant => self.units,
            spread => (self.units as f64 * spread.factor(self.seed, task)) as u64,
        }
    }

    /// Does the CPU work of `task`, then its waiting, holding its private memory meanwhile.
    ///
    /// # Errors
    /// If that memory cannot be had.
    #[inline(always)]
    pub fn execute(&self, task: u64, meter: &mut Meter) -> Result<(), Failure> {
        // What a task without work costs is what a mode costs: it must not pay for what others do.
        if self.units == 0 && self.wait_nanoseconds == 0 && self.memory == 0 {
            return Ok(());
        }
        self.execute_some(task, meter)
    }

    #[inline(never)]
    fn execute_some(&self, task: u64, meter: &mut Meter) -> Result<(), Failure> {
        if self.memory == 0 {
            self.compute_and_wait(task, meter);
            return Ok(());
        }
        match raw::while_holding(self.memory, || self.compute_and_wait(task, meter)) {
            true => Ok(()),
            false => Err(Failure::System(libc::ENOMEM)),
        }
    }

    #[inline]
    fn compute_and_wait(&self, task: u64, meter: &mut Meter) {
        if self.units > 0 {
            let units = self.units_of(task);
            cpu::burn(units);
            meter.work_units += units;
        }
        if self.wait_nanoseconds > 0 {
            let wait = match self.spread {
                Spread::Constant => self.wait_nanoseconds,
                spread => (self.wait_nanoseconds as f64 * spread.factor(self.seed, task)) as u64,
            };
            let deadline = raw::monotonic_nanoseconds() + wait;
            raw::sleep_until(deadline);
            meter.note_wait(raw::monotonic_nanoseconds().saturating_sub(deadline));
        }
    }

    /// Units that tasks `0..tasks` and `initialisations` start-ups come to.
    pub fn units_of_all(&self, tasks: u64, initialisations: u64) -> u64 {
        let of_tasks = match self.spread {
            Spread::Constant => self.units * tasks,
            _ if self.units == 0 => 0,
            _ => (0..tasks).map(|task| self.units_of(task)).sum(),
        };
        of_tasks + self.init_units * initialisations
    }

    /// Whether the work needs nothing but the kernel. Drawing durations calls the mathematical library.
    pub fn is_lean(&self) -> bool {
        self.spread == Spread::Constant && !self.full_fork
    }
}

impl Synthetic {
    /// The workload that `spec` describes.
    ///
    /// # Errors
    /// Where a size is more than this machine can address.
    pub fn new(spec: &WorkloadSpec) -> Result<Self, PrepareError> {
        Ok(Self {
            seed: spec.seed,
            tasks: spec.tasks,
            argument_size: spec.arg_size_bytes.try_into()?,
            result_size: spec.result_size_bytes.try_into()?,
            work: Work::new(spec)?,
        })
    }
}

impl Workload for Synthetic {
    type Executor = Self;
    type Lean = LeanSynthetic;

    fn executor(&self, meter: &mut Meter) -> Self {
        self.work.initialise(meter);
        *self
    }

    fn argument_capacity(&self) -> usize {
        self.argument_size
    }

    fn write_argument(&self, task: u64, buffer: &mut [u8]) -> usize {
        argument::fill(self.seed, task, &mut buffer[..self.argument_size]);
        self.argument_size
    }

    fn result_size(&self) -> usize {
        self.result_size
    }

    fn expected(&self, task: u64, argument: &[u8]) -> Option<u32> {
        Some(argument::checksum(task, argument))
    }

    fn result_is_right(&self, task: u64, checksum: u32, result: &[u8]) -> bool {
        argument::is_result(task, checksum, result)
    }

    fn work_units(&self, initialisations: u64) -> u64 {
        self.work.units_of_all(self.tasks, initialisations)
    }

    fn lean(&self) -> Option<LeanSynthetic> {
        let alone = self.argument_size == 0 && self.result_size == 0;
        (alone && self.work.is_lean()).then_some(LeanSynthetic { work: self.work })
    }
}

impl Executor for Synthetic {
    #[inline(always)]
    fn execute(
        &mut self,
        task: u64,
        argument: &[u8],
        result: &mut [u8],
        meter: &mut Meter,
    ) -> Result<u32, Failure> {
        self.work.execute(task, meter)?;
        let checksum = argument::checksum(task, argument);
        if !result.is_empty() {
            argument::fill_result(task, checksum, result);
        }
        Ok(checksum)
    }
}

/// The synthetic task without bytes in or out.
#[derive(Debug, Clone, Copy)]
pub struct LeanSynthetic {
    work: Work,
}

impl Lean for LeanSynthetic {
    #[inline(always)]
    fn execute(&self, task: u64, meter: &mut Meter) -> Result<u32, Failure> {
        self.work.initialise(meter);
        self.work.execute(task, meter)?;
        Ok(argument::checksum(task, &[]))
    }
}
