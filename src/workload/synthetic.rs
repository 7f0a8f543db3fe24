//! The synthetic task: so many bytes in, so much work, so long a wait, so many bytes out.

use super::argument;
use super::spec::WorkloadSpec;
use super::work::{Burner, Hand, Work};
use super::{Executor, Failure, Lean, Meter, PrepareError, Workload};

/// All that a task needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Synthetic {
    seed: u64,
    tasks: u64,
    argument_size: usize,
    result_size: usize,
    work: Work,
}

impl Synthetic {
    /// The workload that `spec` describes.
    ///
    /// # Errors
    /// Where a size is more than this machine can address, or as [`Work::new`].
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
    type Executor = Performer;
    type Lean = LeanSynthetic;

    fn executor(&self, meter: &mut Meter) -> Performer {
        Performer { hand: self.work.start(meter) }
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
        Some(self.work.expected(task, argument::checksum(task, argument)))
    }

    fn checked_tasks(&self) -> u64 {
        self.work.checked_tasks()
    }

    fn result_is_right(&self, task: u64, checksum: u32, result: &[u8]) -> bool {
        argument::is_result(task, checksum, result) && self.work.has_left_what_it_must(task)
    }

    fn work_units(&self, initialisations: u64) -> u64 {
        self.work.units_of_all(self.tasks, initialisations)
    }

    fn lean(&self) -> Option<LeanSynthetic> {
        let alone = self.argument_size == 0 && self.result_size == 0;
        (alone && self.work.is_lean()).then_some(LeanSynthetic { work: self.work })
    }
}

/// Executes synthetic tasks.
#[derive(Debug)]
pub struct Performer {
    hand: Hand,
}

impl Executor for Performer {
    #[inline(always)]
    fn execute(
        &mut self,
        task: u64,
        argument: &[u8],
        result: &mut [u8],
        meter: &mut Meter,
    ) -> Result<u32, Failure> {
        let checksum = self.hand.execute(task, argument::checksum(task, argument), meter)?;
        if !result.is_empty() {
            argument::fill_result(task, checksum, result);
        }
        Ok(checksum)
    }

    fn meters(&self) -> bool {
        !self.hand.does_nothing()
    }

    fn burner(&self) -> Option<Burner> {
        self.hand.burner()
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
        let checksum = self.work.execute_lean(task, argument::checksum(task, &[]), meter)?;
        Ok(checksum)
    }
}
