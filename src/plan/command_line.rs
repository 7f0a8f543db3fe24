//! A plan as it would have to be typed.

use super::Plan;
use super::draft::{Draft, RunDraft, StrategyDraft, Words, WorkloadDraft};
use super::rows::names_of;
use super::units::{Length, Seconds};
use crate::workload::{Io, Spread};

/// The command line that runs `plan` again, on any machine: what was left open there is said here. Names of rows alone are
/// lost, since only a spec can give them.
pub fn of(plan: &Plan) -> String {
    let words = words(plan);
    // Zero bytes cannot be typed, nor have they been.
    words
        .iter()
        .map(|word| shlex::try_quote(word).unwrap_or_default().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The words of that command line.
pub fn words(plan: &Plan) -> Vec<String> {
    let mut draft = plan.clone().into_draft();
    for row in &mut draft.strategies {
        row.name = None;
    }
    let names = names_of(&draft.strategies);
    let is_baseline = |name: &&String| **name == plan.run.baseline;
    let baseline = plan.strategies.iter().map(|row| &row.name).position(|name| is_baseline(&name));
    draft.run.baseline = baseline.map(|at| names[at].clone());
    let mut line = Line(vec!["procbench".into()]);
    line.workload(&draft.workload);
    line.rows(&draft.strategies);
    line.run(&draft.run);
    line.program(&draft);
    line.0
}

/// `flag` with its `value`, in one word or two.
pub fn flag_with(flag: &str, value: String) -> Vec<String> {
    // Alone it would be taken for a flag.
    if value.starts_with('-') { vec![format!("{flag}={value}")] } else { vec![flag.to_owned(), value] }
}

struct Line(Vec<String>);

impl Line {
    fn say(&mut self, flag: &str, value: Option<impl ToString>) {
        self.0.extend(value.into_iter().flat_map(|value| flag_with(flag, value.to_string())));
    }

    fn say_if(&mut self, flag: &str, wanted: Option<bool>) {
        self.0.extend((wanted == Some(true)).then(|| flag.to_owned()));
    }

    fn workload(&mut self, workload: &WorkloadDraft) {
        let kind = workload.workload.filter(|kind| !kind.is_program());
        let size = |size: Option<super::units::Size>| size.map(|size| size.0).filter(|bytes| *bytes > 0);
        self.say("--tasks", workload.tasks.map(|count| count.0));
        self.say("--workload", kind.filter(|kind| kind.name() != "synthetic").map(|kind| kind.name()));
        self.say("--cpu", workload.cpu.and_then(length));
        self.say("--io-wait", workload.io_wait.and_then(length));
        self.say("--io", workload.io.filter(|io| *io != Io::Sleep).map(Io::name));
        self.say("--io-size", size(workload.io_size));
        self.say("--io-folder", workload.io_folder.as_ref().map(|folder| folder.display()));
        self.say("--spread", workload.spread.as_ref().filter(|spread| **spread != Spread::Constant));
        self.say("--arg-size", size(workload.arg_size));
        self.say("--result-size", size(workload.result_size));
        self.say("--memory", size(workload.memory));
        self.say("--shared", size(workload.shared));
        self.say("--parent-memory", size(workload.parent_memory));
        self.say("--init", workload.init.and_then(|Seconds(init)| length(Length::Mean(Seconds(init)))));
        self.say("--expression-args", workload.expression_args.map(|count| count.0));
        self.say("--workload-name", workload.workload_name.as_ref());
    }

    fn rows(&mut self, rows: &[StrategyDraft]) {
        let rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
        self.say("--mode", Some(rows.join(",")));
    }

    fn run(&mut self, run: &RunDraft) {
        self.say("--rounds", run.rounds.map(|count| count.0));
        self.say("--warmup", run.warmup.map(|count| count.0));
        self.say("--time-budget", run.time_budget.map(|Seconds(budget)| duration(budget)));
        self.say("--seed", run.seed);
        self.say("--baseline", run.baseline.as_ref());
        self.say("--margin", run.margin.map(|part| part.0));
        self.say("--precision", run.precision.map(|part| part.0));
        self.say_if("--overhead", run.overhead);
        self.say(
            "--memory-method",
            run.memory_method.map(|method| method.name()).filter(|name| *name != "auto"),
        );
        self.say_if("--no-latency", run.no_latency);
        self.say("--on-failure", run.on_failure.filter(|policy| *policy != Default::default()));
        self.say("--python", run.python.as_ref().map(|path| path.display()));
    }

    fn program(&mut self, draft: &Draft) {
        let workload = &draft.workload;
        self.say_if("--shell", workload.shell);
        self.say("--args-from", workload.args_from.as_ref());
        self.say("--timeout", workload.timeout.map(|Seconds(timeout)| duration(timeout)));
        self.say("--output", workload.output.as_ref());
        self.say("--prepare", workload.prepare.as_ref());
        self.say_if("--ignore-answers", workload.ignore_answers);
        self.say("--success-codes", workload.success_codes.as_ref());
        if let Some(Words::List(words)) = &workload.worker {
            // With a shell there is one word, which is its text.
            let text = match workload.shell {
                Some(true) => words.join(" "),
                _ => shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default(),
            };
            self.say("--worker", Some(text));
        }
        self.say("--call", workload.call.as_ref());
        if let Some(Words::List(words)) = &workload.command {
            self.0.push("--".into());
            self.0.extend(words.iter().cloned());
        }
    }
}

fn length(length: Length) -> Option<String> {
    match length {
        Length::Trace => Some("trace".into()),
        Length::Mean(Seconds(seconds)) => (seconds > 0.0).then(|| duration(seconds)),
    }
}

/// The shortest text that is read as exactly so many seconds.
fn duration(seconds: f64) -> String {
    let in_units =
        [("h", 1.0 / 3600.0), ("m", 1.0 / 60.0), ("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)];
    let texts = in_units.into_iter().map(|(unit, factor)| format!("{}{unit}", rounded(seconds * factor)));
    let exact = |text: &String| text.parse::<Seconds>().is_ok_and(|read| read.0 == seconds);
    let exact = texts.filter(exact).min_by_key(String::len);
    exact.unwrap_or_else(|| format!("{seconds}s"))
}

/// Without the last digits, in which a change of units shows.
fn rounded(value: f64) -> f64 {
    format!("{value:.12e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_exact() {
        for (seconds, text) in [(2e-5, "20us"), (0.1, "0.1s"), (120.0, "2m"), (1.5, "1.5s"), (3e-9, "3ns")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
