//! Progress on standard error: which strategy, which round, how far, how long yet.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::numbers::{count, seconds};
use super::style::plain;
use crate::experiment::schedule::Phase;
use crate::experiment::{Event, Observer};
use crate::mode::verify::TaskFailure;

/// What takes less than this needs no progress.
const PATIENCE: Duration = Duration::from_secs(1);

/// A progress line; where standard error is not a terminal, only how long it will take.
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    run_started: Instant,
    label: String,
    round_started: Instant,
    expected: Option<Duration>,
}

impl Progress {
    /// Silent if asked to be.
    pub fn new(quiet: bool) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        let now = Instant::now();
        let bar = shown.then(|| {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {prefix}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            // Hidden until it is worth showing.
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_style(style);
            show_later(bar.clone());
            bar
        });
        Self { bar, quiet, run_started: now, label: String::new(), round_started: now, expected: None }
    }
}

/// Shows `bar` once patience has run out, also where nothing is heard of tasks: as of one that never ends.
fn show_later(bar: ProgressBar) {
    std::thread::spawn(move || {
        std::thread::sleep(PATIENCE);
        if !bar.is_finished() {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            bar.tick();
        }
    });
}

impl Observer for Progress {
    fn notice(&mut self, event: Event<'_>) {
        match event {
            Event::Estimated { run_seconds, is_upper_bound } => {
                return self.tell_estimate(run_seconds, is_upper_bound);
            }
            Event::AllFailed { tasks, first } => return self.tell_that_all_failed(tasks, first),
            Event::Stalled { strategy, waited, doing, would_end } => {
                return self.tell_of_a_stall(strategy, waited, doing, would_end);
            }
            _ => {}
        }
        let Some(bar) = &self.bar else { return };
        match event {
            Event::RoundStarts { strategy, phase, round, of, tasks, expected } => {
                let what = match phase {
                    Phase::Pilot => "trying".to_owned(),
                    Phase::Memory => "memory".to_owned(),
                    Phase::WarmUp => format!("warm-up {round}/{of}"),
                    Phase::Timed => format!("round {round}/{of}"),
                };
                self.label = format!("{strategy} · {what}");
                self.round_started = Instant::now();
                self.expected = expected;
                bar.set_length(tasks);
                bar.set_position(0);
                bar.set_message(self.label.clone());
                bar.set_prefix(String::new());
                let worth_showing = expected.is_some_and(|expected| expected > PATIENCE);
                if worth_showing || self.run_started.elapsed() > PATIENCE {
                    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
                }
            }
            Event::Progress { tasks_done, alive } => {
                if self.run_started.elapsed() > PATIENCE {
                    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
                }
                bar.set_position(tasks_done);
                let alive = if alive > 0 { format!(" · {} alive", count(alive)) } else { String::new() };
                bar.set_message(format!("{} · {} done{alive}", self.label, count(tasks_done)));
                bar.set_prefix(self.time_left(tasks_done, bar.length().unwrap_or(0)));
            }
            Event::RoundEnds | Event::Estimated { .. } | Event::AllFailed { .. } | Event::Stalled { .. } => {}
        }
    }
}

/// One of several runs, whose name stands in front of what is shown of it. How long it alone takes is not said.
pub struct Part<'a> {
    progress: &'a mut Progress,
    name: String,
}

impl<'a> Part<'a> {
    /// The run called `name`.
    pub fn new(progress: &'a mut Progress, name: String) -> Self {
        Self { progress, name }
    }
}

impl Observer for Part<'_> {
    fn notice(&mut self, event: Event<'_>) {
        match event {
            Event::RoundStarts { strategy, phase, round, of, tasks, expected } => {
                let strategy = &format!("{} · {strategy}", self.name);
                self.progress.notice(Event::RoundStarts { strategy, phase, round, of, tasks, expected });
            }
            Event::Estimated { .. } => {}
            event => self.progress.notice(event),
        }
    }
}

impl Progress {
    /// Says how long it will take, unless that is no time. A log is told too: whoever reads it may be waiting.
    fn tell_estimate(&self, run_seconds: f64, is_upper_bound: bool) {
        if self.quiet || run_seconds <= PATIENCE.as_secs_f64() {
            return;
        }
        let at_most = if is_upper_bound { " at most" } else { "" };
        self.tell(format_args!("this takes about {}{at_most}", seconds(run_seconds)));
    }

    fn tell_that_all_failed(&self, tasks: u64, first: &TaskFailure) {
        if self.quiet {
            return;
        }
        let all = match tasks {
            1 => "the one task that was tried failed".to_owned(),
            tasks => format!("all {} tries of tasks failed", count(tasks)),
        };
        self.tell(format_args!("{all} ({first}), and the run goes on: Ctrl-C ends it"));
    }

    fn tell_of_a_stall(&self, strategy: &str, waited: Duration, doing: Option<&str>, would_end: bool) {
        if self.quiet {
            return;
        }
        let doing = doing.map_or_else(String::new, |doing| format!(", {doing}"));
        let waited = seconds(waited.as_secs_f64());
        let timeout = if would_end { "; --timeout 30s would end such a task" } else { "" };
        self.tell(format_args!(
            "{strategy}: no task was done for {waited}{doing}. Ctrl-C ends the run{timeout}"
        ));
    }

    fn tell(&self, what: fmt::Arguments<'_>) {
        // Some of it may be a program's own words. A terminal may have gone meanwhile.
        let what = what.to_string();
        let tell = || writeln!(io::stderr(), "{}", plain(&what));
        let _ = match &self.bar {
            Some(bar) => bar.suspend(tell),
            None => tell(),
        };
    }

    fn time_left(&self, tasks_done: u64, tasks: u64) -> String {
        let spent = self.round_started.elapsed();
        let total = match self.expected {
            Some(expected) => expected,
            None if tasks_done > 0 => spent.mul_f64(tasks as f64 / tasks_done as f64),
            None => return String::new(),
        };
        match total.checked_sub(spent) {
            Some(left) => format!("{} left", seconds(left.as_secs_f64().ceil())),
            None => "any moment now".into(),
        }
    }

    /// Takes the line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
