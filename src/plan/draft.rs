//! What was typed, on the command line or in a file: nothing resolved, everything optional.

mod elsewhere;
mod values;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use super::found::Found;
use super::units::{Count, Length, Percent, Seconds, Size};
use super::vary::Variable;
use crate::engine::Engine;
use crate::measure::memory::Choice;
use crate::mode::Mode;
use crate::mode::settings::{Api, Evaluator, Start, Transport};
use crate::workload::program::SuccessCodes;
use crate::workload::{Io, Kind, OnFailure, Spread};
pub use elsewhere::of_other_tools;
pub use values::*;

/// A plan in which everything may be missing.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// What the tasks do.
    pub workload: WorkloadDraft,
    /// How much is measured.
    pub run: RunDraft,
    /// The rows; none means all modes.
    pub strategies: Vec<StrategyDraft>,
    /// What the files that it names turned out to be; nothing until somebody has looked.
    pub found: Option<Found>,
    /// What a spec varies: then it is one of a sweep, and not one plan but many.
    pub vary: Vec<Variable>,
}

macro_rules! draft {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        $vis struct $name { $($(#[$doc])* #[serde(default)] pub $field: Option<$type>),+ }

        impl $name {
            /// The keys that it may have.
            pub const KEYS: &[&str] = &[$(stringify!($field)),+];

            /// `self`, with what `over` says in place of what it says itself.
            pub fn overridden_by(self, over: &Self) -> Self {
                Self { $($field: over.$field.clone().or(self.$field)),+ }
            }
        }
    };
}

draft! {
    /// The keys of `[workload]`.
    pub struct WorkloadDraft {
        /// `--workload-name`
        workload_name: String,
        /// `--workload`
        workload: Kind,
        /// `--tasks`
        tasks: Count,
        /// `--arg-size`
        arg_size: Size,
        /// `--result-size`
        result_size: Size,
        /// `--cpu`
        cpu: Length,
        /// `--io-wait`
        io_wait: Length,
        /// `--io`
        io: Io,
        /// `--io-size`
        io_size: Size,
        /// `--io-folder`
        io_folder: PathBuf,
        /// `--spread`
        spread: Spread,
        /// `--memory`
        memory: Size,
        /// `--shared`
        shared: Size,
        /// `--parent-memory`
        parent_memory: Size,
        /// `--init`
        init: Seconds,
        /// `--expression-args`
        expression_args: Count,
        /// What stands behind `--`
        command: Words,
        /// `--worker`
        worker: Words,
        /// `--call`
        call: String,
        /// `--shell`
        shell: bool,
        /// `--args-from`
        args_from: String,
        /// `--timeout`
        timeout: Seconds,
        /// `--output`
        output: String,
        /// `--prepare`
        prepare: String,
        /// `--ignore-answers`
        ignore_answers: bool,
        /// `--success-codes`
        success_codes: SuccessCodes,
    }
}

impl WorkloadDraft {
    /// `self`, with every path in it taken from `folder` on, where it does not begin at the root.
    pub fn with_paths_in(mut self, folder: &Path) -> Self {
        self.io_folder = self.io_folder.map(|path| folder.join(path));
        if let Some(Spread::Trace(path)) = &mut self.spread {
            *path = folder.join(&path);
        }
        self.args_from = self.args_from.map(|from| match folder.join(&from).to_str() {
            Some(path) if from != "-" && !from.is_empty() => path.to_owned(),
            _ => from,
        });
        self
    }
}

draft! {
    /// The keys of `[run]`.
    pub struct RunDraft {
        /// `--rounds`
        rounds: Count,
        /// `--warmup`
        warmup: Count,
        /// `--time-budget`
        time_budget: Seconds,
        /// `--seed`
        seed: u64,
        /// `--baseline`
        baseline: String,
        /// `--margin`
        margin: Percent,
        /// `--precision`
        precision: Percent,
        /// `--overhead`
        overhead: bool,
        /// `--memory-method`
        memory_method: Choice,
        /// `--no-latency`
        no_latency: bool,
        /// `--on-failure`
        on_failure: OnFailure,
        /// `--python`
        python: std::path::PathBuf,
    }
}

draft! {
    /// The keys of a `[[strategy]]`, or what stands in `--mode` for one row.
    pub struct StrategyDraft {
        /// What to call the row.
        name: String,
        /// `--mode`
        mode: Mode,
        /// `--engine`
        engine: Engine,
        /// `--workers`
        workers: Workers,
        /// `--chunk`
        chunk: Chunk,
        /// `--in-flight`
        in_flight: InFlight,
        /// `--transport`
        transport: Transport,
        /// `--start`
        start: Start,
        /// `--api`
        api: Api,
        /// `--max-tasks-per-child`
        max_tasks_per_child: Count,
        /// `--evaluator`
        evaluator: Evaluator,
    }
}

impl FromStr for StrategyDraft {
    type Err = String;

    /// `pool:workers=8:chunk=1`
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let mode = parts.next().unwrap_or_default();
        // `py-pool`, as rows of that engine are called.
        let prefixed = Engine::ALL.iter().filter(|engine| !engine.prefix().is_empty());
        let mut of_engine =
            prefixed.filter_map(|engine| Some((Some(*engine), mode.strip_prefix(engine.prefix())?)));
        let (engine, mode) = of_engine.next().unwrap_or((None, mode));
        let mode = by_name("mode", mode, Mode::ALL, Mode::name).map_err(|error| match mode {
            "all" => format!("{error}; without --mode it is all of them"),
            "" => format!(
                "a row without a mode, '{text}': expected serial, threads, pool or process between commas"
            ),
            _ => error,
        })?;
        let mut draft = Self { mode: Some(mode), engine, ..Self::default() };
        for part in parts {
            let (key, value) = part.split_once('=').ok_or_else(|| {
                format!("'{part}' in '{text}' is not a setting: expected KEY=VALUE, such as workers=8")
            })?;
            draft.set(key, value).map_err(|error| format!("{error} (in '{text}')"))?;
        }
        Ok(draft)
    }
}

/// The settings that a row can have, as typed.
const SETTINGS: [&str; 9] = [
    "workers",
    "chunk",
    "in-flight",
    "transport",
    "start",
    "engine",
    "api",
    "max-tasks-per-child",
    "evaluator",
];

impl StrategyDraft {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        fn once<T>(place: &mut Option<T>, key: &str, value: Result<T, String>) -> Result<(), String> {
            if place.replace(value?).is_some() {
                return Err(format!("'{key}' is given twice"));
            }
            Ok(())
        }
        match key {
            "workers" => once(&mut self.workers, key, value.parse()),
            "chunk" => once(&mut self.chunk, key, value.parse()),
            "in-flight" => once(&mut self.in_flight, key, value.parse()),
            "transport" => once(&mut self.transport, key, parse_transport(value)),
            "start" => once(&mut self.start, key, parse_start(value)),
            "engine" => once(&mut self.engine, key, parse_engine(value)),
            "api" => once(&mut self.api, key, parse_api(value)),
            "max-tasks-per-child" => once(&mut self.max_tasks_per_child, key, value.parse()),
            "evaluator" => once(&mut self.evaluator, key, parse_evaluator(value)),
            _ => {
                let error = unknown("setting", key, &SETTINGS, closest_setting(key, &SETTINGS));
                Err(match of_other_tools(&format!("--{key}")) {
                    Some(tip) => format!("{error}; {tip}"),
                    None => error,
                })
            }
        }
    }
}

impl fmt::Display for StrategyDraft {
    /// As typed: the mode, then each setting that was given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            Some(mode) => write!(f, "{}", self.engine.unwrap_or(Engine::Native).kind_name(mode))?,
            None => write!(f, "?")?,
        }
        match self.workers {
            Some(Workers::Count(count)) => write!(f, ":workers={count}")?,
            Some(Workers::PerCore(factor)) => write!(f, ":workers={factor}x")?,
            None => {}
        }
        if let Some(Chunk(policy)) = self.chunk {
            write!(f, ":chunk={policy}")?;
        }
        match self.in_flight {
            Some(InFlight::All) => write!(f, ":in-flight=all")?,
            Some(InFlight::Count(count)) => write!(f, ":in-flight={count}")?,
            None => {}
        }
        if let Some(transport) = self.transport {
            write!(f, ":transport={}", transport.name())?;
        }
        if let Some(start) = self.start {
            write!(f, ":start={}", start.name())?;
        }
        if let Some(api) = self.api {
            write!(f, ":api={}", api.name())?;
        }
        if let Some(Count(most)) = self.max_tasks_per_child {
            write!(f, ":max-tasks-per-child={most}")?;
        }
        if let Some(evaluator) = self.evaluator {
            write!(f, ":evaluator={}", evaluator.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_is_written() {
        for text in [
            "serial",
            "pool:workers=4x:chunk=1",
            "process:in-flight=64",
            "threads:workers=3",
            "pool:chunk=python",
            "py-pool:workers=2:start=spawn:api=imap_unordered:max-tasks-per-child=3",
        ] {
            assert_eq!(text.parse::<StrategyDraft>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_slip_of_the_finger_is_pointed_out() {
        let error = "poool".parse::<StrategyDraft>().unwrap_err();
        assert_eq!(
            error,
            "unknown mode 'poool' (did you mean pool?): expected serial, threads, pool, process"
        );
        let error = "all".parse::<StrategyDraft>().unwrap_err();
        assert!(error.ends_with("; without --mode it is all of them"), "{error}");
        let error = "pool:wrokers=2".parse::<StrategyDraft>().unwrap_err();
        assert!(
            error.contains("unknown setting 'wrokers' (did you mean workers?): expected workers"),
            "{error}"
        );
        // What other programs call it.
        for (theirs, ours) in [
            ("chunksize=4", "(did you mean chunk?)"),
            ("maxtasksperchild=1", "(did you mean max-tasks-per-child?)"),
            ("start_method=fork", "(did you mean start?)"),
            (
                "processes=4",
                "; how many at once is --workers N for pool and threads, --in-flight N for process",
            ),
        ] {
            let error = format!("pool:{theirs}").parse::<StrategyDraft>().unwrap_err();
            assert!(error.contains(ours), "{error}");
        }
        let error = "pool:chunk=1:chunk=2".parse::<StrategyDraft>().unwrap_err();
        assert!(error.contains("given twice"), "{error}");
    }
}
