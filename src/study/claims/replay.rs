//! What is run for a claim: a spec from `bench-configs/`, replayed by an engine, as large as the time allows.

use std::path::PathBuf;

use crate::engine::Engine;
use crate::mode::Mode;
use crate::plan::draft::{Draft, InFlight, StrategyDraft, Workers};
use crate::plan::engines::by_engines;
use crate::plan::spec;
use crate::plan::units::{Count, Length, Seconds};

/// A spec that is part of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// Its name in `bench-configs/`.
    pub name: &'static str,
    text: &'static str,
}

macro_rules! specs {
    ($($spec:ident = $name:literal),+ $(,)?) => {
        $(pub const $spec: Spec =
            Spec { name: $name, text: include_str!(concat!("../../../bench-configs/", $name, ".toml")) };)+

        /// All of them.
        #[cfg(test)]
        const ALL: &[Spec] = &[$($spec),+];
    };
}

specs! {
    TWO_FILES = "two-files",
    MILLION_EXPRESSIONS = "million-expressions",
    FEW_EXPRESSIONS = "few-expressions",
    WIDE_EXPRESSIONS = "wide-expressions",
    MEMORY = "memory",
    FINISHED_TASKS = "finished-tasks",
    BYSTANDER = "bystander",
    IO_BOUND = "io-bound",
    CPU_BOUND = "cpu-bound",
    FIFO = "fifo",
    ORDERED = "ordered",
    PYTHON_ORDERED = "python-ordered",
    GIL = "gil",
}

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// As much as verdicts are worth.
    Full,
    /// As little as they can be had for: two minutes on two cores, by both engines.
    Quick,
}

/// What the size of a replay depends on.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// Who executes.
    pub engine: Engine,
    /// How much is measured.
    pub effort: Effort,
    /// On how many cores.
    pub cores: u64,
}

impl Circumstances {
    /// `full`, or `quick`.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        match self.effort {
            Effort::Full => full,
            Effort::Quick => quick,
        }
    }

    /// `native`, or `python`: of tasks that are processes, Python makes a tenth as many in the same time.
    pub fn by_engine<T>(&self, native: T, python: T) -> T {
        match self.engine {
            Engine::Python => python,
            _ => native,
        }
    }
}

/// A spec to be run, with what is changed of it.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Which.
    pub spec: Spec,
    modes: &'static [Mode],
    also: &'static [Mode],
    as_written: bool,
    tasks: Option<u64>,
    cpu_seconds: Option<f64>,
    io_wait_seconds: Option<f64>,
    at_once: Option<u64>,
    rounds: u64,
    seed: Option<u64>,
    /// Whether the bystander is to stand by on the idle machine for as long as a run does it by itself.
    pub needs_idle: bool,
}

impl Replay {
    /// Of `spec`, in `rounds` rounds.
    pub fn of(spec: Spec, rounds: u64) -> Self {
        Self {
            spec,
            modes: Mode::ALL,
            also: &[],
            as_written: false,
            tasks: None,
            cpu_seconds: None,
            io_wait_seconds: None,
            at_once: None,
            rounds,
            seed: None,
            needs_idle: false,
        }
    }

    /// Those of its rows that are of `modes`.
    pub fn only(self, modes: &'static [Mode]) -> Self {
        Self { modes, ..self }
    }

    /// With a row of each of `modes` besides, as it is unless told otherwise.
    pub fn also(self, modes: &'static [Mode]) -> Self {
        Self { also: modes, ..self }
    }

    /// By the engines that stand in the spec, row by row.
    pub fn as_written(self) -> Self {
        Self { as_written: true, ..self }
    }

    /// With so many tasks.
    pub fn tasks(self, tasks: u64) -> Self {
        Self { tasks: Some(tasks), ..self }
    }

    /// With so much CPU work in each.
    pub fn cpu(self, seconds: f64) -> Self {
        Self { cpu_seconds: Some(seconds), ..self }
    }

    /// With waits of that length.
    pub fn io_wait(self, seconds: f64) -> Self {
        Self { io_wait_seconds: Some(seconds), ..self }
    }

    /// Where a row says how many are at work at once, so many: as the machine has cores, for one.
    pub fn at_once(self, count: u64) -> Self {
        Self { at_once: Some(count), ..self }
    }

    /// Drawn from `seed`.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// With as long a look at the idle machine as any run has.
    pub fn with_idle(self) -> Self {
        Self { needs_idle: true, ..self }
    }

    /// What is to be run, by `engine`: Python's interpreter is `python`.
    ///
    /// # Errors
    /// If the spec is not one.
    pub fn draft(&self, engine: Engine, python: Option<&PathBuf>) -> Result<Draft, String> {
        let mut draft = spec::from_toml(self.spec.text, self.spec.name)?;
        draft.strategies.retain(|row| row.mode.is_some_and(|mode| self.modes.contains(&mode)));
        let besides = |mode: &Mode| StrategyDraft { mode: Some(*mode), ..StrategyDraft::default() };
        draft.strategies.extend(self.also.iter().map(besides));
        if !self.as_written {
            draft.strategies = by_engines(draft.strategies, &[engine], StrategyDraft::handed_to);
        }
        if let Some(count) = self.at_once {
            for row in &mut draft.strategies {
                row.in_flight = row.in_flight.map(|_| InFlight::Count(count));
                row.workers = row.workers.map(|_| Workers::Count(count));
            }
        }
        let (workload, run) = (&mut draft.workload, &mut draft.run);
        workload.tasks = self.tasks.map(Count).or(workload.tasks);
        workload.cpu = self.cpu_seconds.map(|cpu| Length::Mean(Seconds(cpu))).or(workload.cpu);
        workload.io_wait = self.io_wait_seconds.map(|wait| Length::Mean(Seconds(wait))).or(workload.io_wait);
        run.rounds = Some(Count(self.rounds));
        // Rules compare whom they have to.
        run.baseline = None;
        run.seed = self.seed.or(run.seed);
        run.python = python.filter(|_| engine == Engine::Python).cloned();
        Ok(draft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spec_can_be_handed_to_every_engine_that_is_asked() {
        for claim in super::super::ALL {
            for engine in claim.engines {
                for effort in [Effort::Full, Effort::Quick] {
                    let circumstances = Circumstances { engine: *engine, effort, cores: 2 };
                    let replays = (claim.replays)(&circumstances);
                    assert!(!replays.is_empty(), "{}: nothing is run", claim.name);
                    for replay in replays {
                        let draft = replay.draft(*engine, None).unwrap();
                        assert!(!draft.strategies.is_empty(), "{}: no rows", claim.name);
                    }
                }
            }
        }
    }

    #[test]
    fn rows_that_say_how_many_are_at_work_say_so_for_this_machine() {
        let draft = Replay::of(MEMORY, 1).at_once(128).draft(Engine::Native, None).unwrap();
        let rows: Vec<String> = draft.strategies.iter().map(ToString::to_string).collect();
        assert_eq!(rows, ["pool", "pool:workers=128", "process", "process:in-flight=128"]);
    }

    #[test]
    fn each_spec_says_which_claim_it_is_for() {
        for spec in ALL {
            assert!(spec.text.starts_with("# Claim \""), "{}", spec.name);
        }
    }
}
