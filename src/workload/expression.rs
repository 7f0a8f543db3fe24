//! The second article's task: evaluate an Excel expression.
//!
//! The parent writes the formula, which is the task's argument; whoever executes the task evaluates it. What comes back
//! is the checksum of the formula, carried on over what the task has read and over the value in its canonical bytes.

use super::argument;
use super::formula::Formulas;
use super::spec::WorkloadSpec;
use super::work::{Hand, Work};
use super::{Executor, Failure, Meter, NeverLean, PrepareError, Workload};

/// A formula for each task.
#[derive(Debug, Clone)]
pub struct Expression {
    formulas: Formulas,
    tasks: u64,
    work: Work,
}

impl Expression {
    /// The workload that `spec` describes.
    ///
    /// # Errors
    /// If the expressions would be longer than Excel allows, or this build has no evaluator.
    pub fn new(spec: &WorkloadSpec) -> Result<Self, PrepareError> {
        if cfg!(not(feature = "excel")) {
            anyhow::bail!(
                "this procbench was built without its `excel` feature, which evaluates expressions"
            );
        }
        let formulas = Formulas::new(usize::try_from(spec.expression_args)?, spec.seed)?;
        Ok(Self { formulas, tasks: spec.tasks, work: Work::new(spec)? })
    }
}

impl Workload for Expression {
    type Executor = Evaluation;
    type Lean = NeverLean;

    fn executor(&self, meter: &mut Meter) -> Evaluation {
        Evaluation::new(self.work.start(meter))
    }

    fn argument_capacity(&self) -> usize {
        self.formulas.max_len()
    }

    fn write_argument(&self, task: u64, buffer: &mut [u8]) -> usize {
        let mut text = Vec::with_capacity(buffer.len());
        self.formulas.write(task, &mut text);
        buffer[..text.len()].copy_from_slice(&text);
        text.len()
    }

    fn result_size(&self) -> usize {
        0
    }

    /// Evaluates again, in the parent: what has been lost, swapped or garbled on the way shows. That the evaluator itself is
    /// right is what the tests of expressions are for.
    fn expected(&self, task: u64, argument: &[u8]) -> Option<u32> {
        let checksum = self.work.expected(task, argument::checksum(task, argument));
        carry_on(checksum, argument)
    }

    fn checked_tasks(&self) -> u64 {
        const ENOUGH: u64 = 1000;
        self.work.checked_tasks().min(ENOUGH)
    }

    fn result_is_right(&self, task: u64, _: u32, _: &[u8]) -> bool {
        self.work.has_left_what_it_must(task)
    }

    fn work_units(&self, initialisations: u64) -> u64 {
        self.work.units_of_all(self.tasks, initialisations)
    }

    fn lean(&self) -> Option<NeverLean> {
        None
    }
}

#[cfg(feature = "excel")]
pub use with_excel::{Evaluation, carry_on};

#[cfg(feature = "excel")]
mod with_excel {
    use super::super::argument;
    use super::super::excel::Evaluator;
    use super::{Executor, Failure, Hand, Meter};

    /// An evaluator and its scratch space.
    pub struct Evaluation {
        evaluator: Evaluator,
        value: Vec<u8>,
        hand: Hand,
    }

    impl Evaluation {
        pub(super) fn new(hand: Hand) -> Self {
            Self { evaluator: Evaluator::new(), value: Vec::new(), hand }
        }
    }

    impl Executor for Evaluation {
        fn execute(
            &mut self,
            task: u64,
            argument: &[u8],
            _: &mut [u8],
            meter: &mut Meter,
        ) -> Result<u32, Failure> {
            let checksum = self.hand.execute(task, argument::checksum(task, argument), meter)?;
            evaluate(&mut self.evaluator, argument, &mut self.value)?;
            Ok(argument::extend(checksum, &self.value))
        }
    }

    /// Puts the bytes of what `formula` evaluates to into `value`.
    fn evaluate(evaluator: &mut Evaluator, formula: &[u8], value: &mut Vec<u8>) -> Result<(), Failure> {
        let formula = str::from_utf8(formula).map_err(|_| Failure::Formula)?;
        let evaluated = evaluator.evaluate(formula).map_err(|_| Failure::Formula)?;
        value.clear();
        evaluated.bytes(value);
        Ok(())
    }

    /// `checksum` carried on over what `formula` evaluates to; `None` if it cannot be evaluated.
    pub fn carry_on(checksum: u32, formula: &[u8]) -> Option<u32> {
        let mut value = Vec::new();
        evaluate(&mut Evaluator::new(), formula, &mut value).ok()?;
        Some(argument::extend(checksum, &value))
    }
}

/// Without the evaluator there is nothing to execute; [`Expression::new`] has refused.
#[cfg(not(feature = "excel"))]
pub struct Evaluation;

#[cfg(not(feature = "excel"))]
impl Evaluation {
    fn new(_: Hand) -> Self {
        Self
    }
}

#[cfg(not(feature = "excel"))]
fn carry_on(_: u32, _: &[u8]) -> Option<u32> {
    None
}

#[cfg(not(feature = "excel"))]
impl Executor for Evaluation {
    fn execute(&mut self, _: u64, _: &[u8], _: &mut [u8], _: &mut Meter) -> Result<u32, Failure> {
        Err(Failure::Formula)
    }
}
