//! What is said of tasks that failed: how many, in which rounds, and what may help.

use std::fmt;

use crate::mode::verify::TaskFailure;
use crate::workload::program::output::safe_name;
use crate::workload::{Failure, Kind, WorkloadSpec};

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
    /// How many more failed in a round than those.
    pub more: u64,
    /// What may help.
    pub hint: String,
}

impl<'a> Failed<'a> {
    /// Tells what `other` tells too, if its strategies failed in the same way, except for those tasks that were only tried.
    pub(super) fn takes_in(&mut self, other: &Failed<'a>) -> bool {
        let Failed { failed, rounds, untimed: [fewest, most], not_tried, .. } = *other;
        let is_alike = (self.failed, self.rounds, self.not_tried) == (failed, rounds, not_tried)
            && (&self.first, self.more, &self.hint) == (&other.first, other.more, &other.hint);
        if is_alike {
            self.strategies.extend(&other.strategies);
            self.untimed = [self.untimed[0].min(fewest), self.untimed[1].max(most)];
        }
        is_alike
    }
}

impl fmt::Display for Failed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { strategies, failed, rounds, untimed, not_tried, first, more, hint } = self;
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
        if *more > 0 {
            write!(f, "; and {more} more in a round")?;
        }
        match &strategies[..] {
            [only] => f.write_str(&hint.replace(ANY_STRATEGY, &safe_name(only))),
            _ => f.write_str(hint),
        }
    }
}

/// In which rounds something was counted.
pub(super) fn timed_rounds(rounds: usize) -> String {
    if rounds == 1 { "the timed round".into() } else { format!("{rounds} timed rounds") }
}

/// Stands for the folder of a strategy where it may be that of any.
const ANY_STRATEGY: &str = "STRATEGY";

/// What may help somebody whose programs fail so, in brackets; nothing where nobody knows.
pub(super) fn hint(workload: &WorkloadSpec, failures: &[&TaskFailure]) -> String {
    let Some(program) = &workload.program else { return String::new() };
    let is = |beginning: &str| failures.iter().any(|failure| failure.reason.starts_with(beginning));
    let of_command = workload.kind == Kind::Command && is("exit code");
    let mut hints = Vec::new();
    if workload.kind == Kind::Worker && is("timed out") {
        hints.push(
            "does it write each answer at once, such as by flush=True, python3 -u or sed -u? What a worker takes to start is \
             part of its first task"
                .to_owned(),
        );
    }
    if workload.kind == Kind::Worker && is(&Failure::TooManyLines.to_string()) {
        hints.push(
            "only answers may go to standard output, one line for each task: a greeting at the start, or a log, belongs on \
             standard error"
                .to_owned(),
        );
    }
    if let Some(word) = program.words.iter().find(|word| !program.shell && is_of_a_shell(word)) {
        hints.push(format!("without --shell each word is taken as it is, {word:?} too"));
    }
    if workload.kind == Kind::Command && is(&Failure::CannotStart(libc::E2BIG).to_string()) {
        hints.push(
            "a word of a command has at most 131,071 bytes, and all of its words and the environment together what \
             getconf ARG_MAX says; a worker (--worker) reads longer lines"
                .to_owned(),
        );
    }
    hints.extend(where_to_read(workload, failures));
    if of_command {
        hints.push("where such a code is no failure: --success-codes 0,1".into());
        hints.push(
            "each round runs them again, and what one has left may be in the next one's way: --prepare COMMAND"
                .into(),
        );
    }
    if hints.is_empty() { String::new() } else { format!(" ({})", hints.join("; ")) }
}

/// Where what the programs of `failures` have written is found, or how it can be kept; `None` where they wrote nothing.
fn where_to_read(workload: &WorkloadSpec, failures: &[&TaskFailure]) -> Option<String> {
    let program = workload.program.as_ref()?;
    let all = |beginning: &str| failures.iter().all(|failure| failure.reason.starts_with(beginning));
    if workload.kind == Kind::Call || all("could not be started") || all(&Failure::TooManyLines.to_string()) {
        return None;
    }
    let mut ran = failures.iter().filter(|failure| !failure.reason.starts_with("could not be started"));
    match (&program.output, ran.next()) {
        (None, _) => Some("--output DIR keeps what programs write".into()),
        (Some(output), Some(first)) if workload.kind == Kind::Command => {
            let files = output.join(ANY_STRATEGY).join(format!("{}.err", first.task));
            Some(format!("what it wrote last: {} and .out", files.display()))
        }
        (Some(output), _) => {
            Some(format!("what they wrote to standard error: {}", output.join(ANY_STRATEGY).display()))
        }
    }
}

/// Whether `word` means something to a shell, and to hardly any program.
fn is_of_a_shell(word: &str) -> bool {
    ["|", "||", "&&", "&", ";", ">", ">>", "<", "2>&1", "2>"].contains(&word)
}
