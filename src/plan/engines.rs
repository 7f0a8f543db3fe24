//! What strategies can say that depends on who executes them.

use super::Machine;
use super::draft::StrategyDraft;
use super::units::Count;
use crate::engine::Engine;
use crate::mode::Mode;
use crate::mode::settings::{Api, Evaluator, Start};

/// Each of `rows`, by each of `engines` if there are any: side by side, and none twice.
pub fn by_engines(
    rows: Vec<StrategyDraft>,
    engines: &[Engine],
    by_engine: impl Fn(&StrategyDraft, Engine) -> StrategyDraft,
) -> Vec<StrategyDraft> {
    if engines.is_empty() {
        return rows;
    }
    let mut all: Vec<StrategyDraft> = Vec::new();
    for row in rows {
        for engine in engines {
            let row = by_engine(&row, *engine);
            if !all.contains(&row) {
                all.push(row);
            }
        }
    }
    all
}

impl StrategyDraft {
    /// `self`, by `engine`.
    pub fn executed_by(&self, engine: Engine) -> Self {
        Self { engine: Some(engine), ..self.clone() }
    }

    /// `self`, which a file says something else of, by `engine`: under a name that says so, without what that engine lacks.
    pub fn handed_to(&self, engine: Engine) -> Self {
        let before = self.engine.unwrap_or(Engine::Native);
        if before == engine {
            return self.executed_by(engine);
        }
        let name = |name: &String| {
            format!("{}{}", engine.prefix(), name.strip_prefix(before.prefix()).unwrap_or(name))
        };
        let kept = self.settings_for(&self.executed_by(engine));
        Self { name: self.name.as_ref().map(name), mode: self.mode, engine: Some(engine), ..kept }
    }

    /// What belongs to another engine.
    pub(super) fn contradicts_engine(&self, mode: Mode) -> Option<String> {
        let engine = self.engine.unwrap_or(Engine::Native);
        let only_for = |setting: &str, given: bool, of: Engine| {
            (given && engine != of).then(|| {
                format!("the {} engine has no {setting}: that belongs to {}", engine.name(), of.name())
            })
        };
        let unknown_start = self.start.filter(|start| !engine.starts().contains(start)).map(|start| {
            let known: Vec<_> = engine.starts().iter().map(|start| start.name()).collect();
            let of_python = Engine::Python.starts().contains(&start) && engine == Engine::Native;
            let hint = match of_python {
                true => format!("; Python's has it: py-{mode}:start={}", start.name()),
                false => String::new(),
            };
            format!(
                "the {} engine has no start method {}: expected {}{hint}",
                engine.name(),
                start.name(),
                known.join(", ")
            )
        });
        let of_tool = engine.is_tool().then(|| engine.name()).and_then(|tool| {
            let given = [("chunk", self.chunk.is_some()), ("start method", self.start.is_some())];
            let (setting, _) = given.into_iter().find(|(_, given)| *given)?;
            Some(format!("the {tool} engine has no {setting}: it starts a command for each task"))
        });
        of_tool
            .or_else(|| only_for("transport", self.transport.is_some(), Engine::Native))
            .or_else(|| only_for("api", self.api.is_some(), Engine::Python))
            .or_else(|| only_for("max-tasks-per-child", self.max_tasks_per_child.is_some(), Engine::Python))
            .or_else(|| only_for("evaluator", self.evaluator.is_some(), Engine::Python))
            .or(unknown_start)
            .or_else(|| {
                (self.chunk.is_some() && mode == Mode::Pool && self.api == Some(Api::ApplyAsync))
                    .then(|| "apply_async has no chunk: it hands over one task at a time".into())
            })
            .or_else(|| {
                (self.max_tasks_per_child.is_some() && self.api == Some(Api::Executor)).then(|| {
                    "executor has no max-tasks-per-child: with it, executors of several versions of CPython wait for ever \
                     for workers that they do not start (gh-115634)"
                        .into()
                })
            })
            .or_else(|| {
                let library = self.api.and_then(Api::library).filter(|_| self.max_tasks_per_child.is_some())?;
                Some(format!("{library} has no max-tasks-per-child: that belongs to multiprocessing.Pool"))
            })
            .or_else(|| {
                let of_loky = self.api == Some(Api::Loky);
                match self.start {
                    Some(Start::Loky) if !of_loky => Some("start is loky, which belongs to api=loky".into()),
                    Some(start) if of_loky && start != Start::Loky => Some(format!(
                        "start is {}, but loky starts its workers in its own way: expected start=loky",
                        start.name()
                    )),
                    _ => None,
                }
            })
            .or_else(|| {
                (self.max_tasks_per_child == Some(Count(0)))
                    .then(|| "max-tasks-per-child is 0: expected at least 1".into())
            })
    }

    /// The library that `self` needs and that the interpreter does not have, with what to do about it.
    pub(super) fn missing_library(&self, machine: &Machine) -> Option<String> {
        let python = machine.python.as_ref()?;
        let needs = [self.api.and_then(Api::library), self.evaluator.and_then(Evaluator::library)];
        let library = needs.into_iter().flatten().find(|library| !python.libraries.contains_key(*library))?;
        (!python.libraries.contains_key(library)).then(|| {
            let path = python.path.display();
            format!("{library} is not installed for {path}: {path} -m pip install {library}, or see --python (in '{self}')")
        })
    }

    /// `self`, saying how its processes start where that depends on the version of an engine.
    pub(super) fn with_start(mut self, machine: &Machine) -> Self {
        let starts_processes = matches!(self.mode, Some(Mode::Pool | Mode::Process));
        if self.engine == Some(Engine::Python) && starts_processes && self.start.is_none() {
            self.start = (self.api == Some(Api::Loky)).then_some(Start::Loky);
        }
        if self.engine == Some(Engine::Python) && starts_processes && self.start.is_none() {
            self.start = Some(machine.python.as_ref().map_or(Start::Fork, |python| python.default_start));
        }
        self
    }
}
