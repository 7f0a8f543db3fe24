//! What is said of tasks that failed: how many, in which rounds, and what may help.

use std::fmt;

use crate::mode::verify::TaskFailure;
use crate::workload::{Kind, WorkloadSpec};

/// What is told of the failed tasks of strategies that failed alike.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failed<'a> {
    /// Whose.
    pub strategies: Vec<&'a str>,
    /// In timed rounds, of each.
    pub failed: u64,
    /// How many timed rounds there were.
    pub rounds: usize,
    /// In rounds that were not timed, of each: the fewest and the most.
    pub untimed: [u64; 2],
    /// In all rounds.
    pub not_tried: u64,
    /// The first of them.
    pub first: Vec<&'a TaskFailure>,
    /// What may help.
    pub hint: &'static str,
}

impl<'a> Failed<'a> {
    /// Tells what `other` tells too, if its strategies failed in the same way, except for those tasks that were only tried.
    pub(super) fn takes_in(&mut self, other: &Failed<'a>) -> bool {
        let Failed { failed, rounds, untimed: [fewest, most], not_tried, .. } = *other;
        let is_alike = (self.failed, self.rounds, self.not_tried) == (failed, rounds, not_tried)
            && (&self.first, self.hint) == (&other.first, other.hint);
        if is_alike {
            self.strategies.extend(&other.strategies);
            self.untimed = [self.untimed[0].min(fewest), self.untimed[1].max(most)];
        }
        is_alike
    }
}

impl fmt::Display for Failed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { strategies, failed, rounds, untimed, not_tried, first, hint } = self;
        let tasks = |count: u64| if count == 1 { "task" } else { "tasks" };
        let each = if strategies.len() == 1 { "" } else { "each " };
        write!(f, "{}: {each}", strategies.join(", "))?;
        let [fewest, most] = *untimed;
        let before = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
        match (*failed, most) {
            (0, most) => write!(f, "{before} {} failed before the timed rounds", tasks(most))?,
            (failed, most) => {
                write!(f, "{failed} {} failed in {}", tasks(failed), timed_rounds(*rounds))?;
                if most > 0 {
                    write!(f, ", and {before} before those")?;
                }
            }
        }
        if *not_tried > 0 {
            write!(f, "; {not_tried} were not tried after that")?;
        }
        for failure in first {
            write!(f, "; {failure}")?;
        }
        f.write_str(hint)
    }
}

/// In which rounds something was counted.
pub(super) fn timed_rounds(rounds: usize) -> String {
    if rounds == 1 { "the timed round".into() } else { format!("{rounds} timed rounds") }
}

/// What may help somebody whose programs fail so.
pub(super) fn hint(workload: &WorkloadSpec, failures: &[&TaskFailure]) -> &'static str {
    let is = |beginning: &str| failures.iter().any(|failure| failure.reason.starts_with(beginning));
    let Some(program) = &workload.program else { return "" };
    if workload.kind == Kind::Worker && is("timed out") {
        return " (does it write each answer at once, such as by flush=True, python3 -u or sed -u? What a worker takes \
                to start is part of its first task)";
    }
    let never_ran = failures.iter().all(|failure| failure.reason.starts_with("could not be started"));
    if workload.kind == Kind::Command && program.output.is_none() && is("exit code") {
        return " (--output DIR keeps what programs write; where such a code is no failure: --success-codes 0,1; each round \
                runs them again, and what one has left may be in the next one's way: --prepare COMMAND)";
    }
    match program.output.is_none() && workload.kind != Kind::Call && !never_ran {
        true => " (--output DIR keeps what programs write)",
        false => "",
    }
}
