//! The rows of a plan: what was typed of each, what that contradicts, and what it comes to on a machine.

use super::draft::{Chunk, InFlight, StrategyDraft, Workers};
use super::guard::{self, ProcessCost};
use super::units::count;
use super::{Machine, NotAvailable, PlanError, usage};
use crate::engine::Engine;
use crate::engine::python;
use crate::measure::limits::{Limit, LimitKind};
use crate::mode::chunk::{CHUNKS_AHEAD, ChunkPolicy};
use crate::mode::settings::{Api, Start, Transport};
use crate::mode::{Mode, Settings};
use crate::workload::{Io, Kind, NO_CALL, WorkloadSpec, page_tables};

impl StrategyDraft {
    /// What contradicts itself in what was typed.
    pub fn contradiction(&self) -> Option<String> {
        let Some(mode) = self.mode else {
            return Some(
                "a strategy without a mode: expected mode = \"serial\", \"threads\", \"pool\" or \"process\""
                    .into(),
            );
        };
        let only_for = |setting: &str, given: bool, modes: &[Mode]| {
            (given && !modes.contains(&mode)).then(|| {
                let names: Vec<_> = modes.iter().map(|mode| mode.name()).collect();
                format!("{mode} has no {setting}: that belongs to {}", names.join(" and "))
            })
        };
        self.contradicts_engine(mode)
            .or_else(|| only_for("workers", self.workers.is_some(), &[Mode::Threads, Mode::Pool]))
            .or_else(|| only_for("chunk", self.chunk.is_some(), &[Mode::Threads, Mode::Pool]))
            .or_else(|| only_for("in-flight", self.in_flight.is_some(), &[Mode::Process]))
            .or_else(|| only_for("transport", self.transport.is_some(), &[Mode::Pool]))
            .or_else(|| only_for("start", self.start.is_some(), &[Mode::Pool, Mode::Process]))
            .or_else(|| only_for("api", self.api.is_some(), &[Mode::Pool]))
            .or_else(|| only_for("max-tasks-per-child", self.max_tasks_per_child.is_some(), &[Mode::Pool]))
    }

    /// A row for each mode, with nothing set.
    pub fn all_modes() -> Vec<Self> {
        Mode::ALL.iter().map(|mode| Self { mode: Some(*mode), ..Self::default() }).collect()
    }

    /// `self`, with what `defaults` say where it says nothing, as far as its mode has such a setting.
    pub fn or_defaults(self, defaults: &Self) -> Self {
        let defaults = defaults.settings_for(&self);
        defaults.overridden_by(&self)
    }

    /// `self`, with what `flags` say in place of it, as far as its mode has such a setting.
    pub fn overridden_by_flags(self, flags: &Self) -> Self {
        let flags = flags.settings_for(&self);
        self.overridden_by(&flags)
    }

    /// The settings that `row` has, by its mode and engine, alone.
    pub(super) fn settings_for(&self, row: &Self) -> Self {
        let has = |modes: &[Mode]| row.mode.is_some_and(|mode| modes.contains(&mode));
        let engine = row.engine.unwrap_or(Engine::Native);
        let (native, python) = (engine == Engine::Native, engine == Engine::Python);
        let takes_chunk = row.api.or(self.api) != Some(Api::ApplyAsync) || !python || !has(&[Mode::Pool]);
        let (pools, forks) = (has(&[Mode::Threads, Mode::Pool]), has(&[Mode::Pool, Mode::Process]));
        Self {
            workers: self.workers.filter(|_| pools),
            chunk: self.chunk.filter(|_| pools && takes_chunk && !engine.is_tool()),
            in_flight: self.in_flight.filter(|_| has(&[Mode::Process])),
            transport: self.transport.filter(|_| has(&[Mode::Pool]) && native),
            start: self.start.filter(|start| {
                let of_loky = python && row.api.or(self.api) == Some(Api::Loky) && has(&[Mode::Pool]);
                forks && engine.starts().contains(start) && of_loky == (*start == Start::Loky)
            }),
            api: self.api.filter(|_| has(&[Mode::Pool]) && python),
            max_tasks_per_child: self.max_tasks_per_child.filter(|_| has(&[Mode::Pool]) && python),
            evaluator: self.evaluator.filter(|_| python),
            engine: None,
            name: None,
            mode: None,
        }
    }

    /// What is wrong with a start method that none of the engines of `rows` has, though there are processes to start.
    pub fn start_of_nobody(&self, rows: &[Self]) -> Option<String> {
        let start = self.start?;
        let starting = |row: &&Self| matches!(row.mode, Some(Mode::Pool | Mode::Process));
        let engines: Vec<Engine> =
            rows.iter().filter(starting).map(|row| row.engine.unwrap_or(Engine::Native)).collect();
        let first = *engines.first()?;
        if engines.iter().any(|engine| engine.starts().contains(&start)) {
            return None;
        }
        let has: Vec<_> = first.starts().iter().map(|start| start.name()).collect();
        let theirs = Engine::ALL.iter().find(|engine| engine.starts().contains(&start));
        let theirs = theirs.map(|engine| format!(" ({} is of --engine {})", start.name(), engine.name()));
        Some(format!(
            "--start is {}, which the {} engine has not: expected {}{}",
            start.name(),
            first.name(),
            has.join(" or "),
            theirs.unwrap_or_default()
        ))
    }

    /// A setting among `self` that none of `rows` has.
    pub fn unused_by(&self, rows: &[Self]) -> Option<&'static str> {
        type IsSet = fn(&StrategyDraft) -> bool;
        let used = |is_set: IsSet| rows.iter().any(|row| is_set(&self.settings_for(row)));
        let settings: [(&str, IsSet); 8] = [
            ("--workers", |row| row.workers.is_some()),
            ("--chunk", |row| row.chunk.is_some()),
            ("--in-flight", |row| row.in_flight.is_some()),
            ("--transport", |row| row.transport.is_some()),
            ("--start", |row| row.start.is_some()),
            ("--api", |row| row.api.is_some()),
            ("--max-tasks-per-child", |row| row.max_tasks_per_child.is_some()),
            ("--evaluator", |row| row.evaluator.is_some()),
        ];
        settings.into_iter().find(|(_, is_set)| is_set(self) && !used(*is_set)).map(|(name, _)| name)
    }
}

/// `rows` that can be run, and those of an engine that cannot do what the tasks of `kind` are while another can.
///
/// # Errors
/// If there is none that can.
pub(super) fn set_apart(
    kind: Kind,
    rows: Vec<StrategyDraft>,
) -> Result<(Vec<StrategyDraft>, Vec<NotAvailable>), PlanError> {
    let calls = kind == Kind::Call;
    if let Some(blank) = rows.iter().filter_map(|row| row.name.as_ref()).find(|name| name.trim().is_empty()) {
        return usage(format!(
            "the strategy name '{blank}' is empty: expected something to call the row, or no name"
        ));
    }
    let names = names_of(&rows);
    let (mut able, mut others) = (Vec::new(), Vec::new());
    for (row, strategy) in rows.into_iter().zip(names) {
        let reason = match (row.engine, row.mode) {
            (Some(Engine::Native), Some(_)) if calls => Some(NO_CALL.to_owned()),
            (Some(engine), Some(Mode::Threads)) if engine.is_tool() => Some(no_threads(engine)),
            _ => None,
        };
        match (reason, row.engine, row.mode) {
            (Some(reason), Some(engine), Some(mode)) => {
                others.push(NotAvailable { strategy, engine, mode, place: able.len(), reason });
            }
            _ if calls && row.engine.is_none() => able.push(row.executed_by(Engine::Python)),
            _ => able.push(row),
        }
    }
    match (able.is_empty(), calls, others.first()) {
        (true, true, _) => usage(format!("{NO_CALL}: expected --engine python")),
        (true, false, Some(row)) => {
            usage(format!("{}: expected serial, pool or process (in '{}')", row.reason, row.strategy))
        }
        _ => Ok((able, others)),
    }
}

/// Why a tool has no row of threads.
fn no_threads(tool: Engine) -> String {
    format!("{} starts processes, no threads", tool.name())
}

/// A name for each row: what was typed, and a number where that says the same twice.
pub(super) fn names_of(rows: &[StrategyDraft]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for row in rows {
        let typed = row.name.clone().unwrap_or_else(|| row.to_string());
        let name = (1..)
            .map(|number| if number == 1 { typed.clone() } else { format!("{typed}#{number}") })
            .find(|name| !names.contains(name))
            .expect("numbers do not run out");
        names.push(name);
    }
    names
}

pub(super) fn resolve_settings(
    row: &StrategyDraft,
    name: &str,
    workload: &WorkloadSpec,
    machine: &Machine,
) -> Result<(Settings, Option<guard::Verdict>), PlanError> {
    let tasks = workload.tasks;
    let workers = row.workers.unwrap_or(Workers::PerCore(1.0)).resolve(machine.effective_cores);
    let Chunk(policy) = row.chunk.unwrap_or(Chunk(ChunkPolicy::Auto));
    let start = row.start.unwrap_or(Start::Fork);
    let of_python = row.engine == Some(Engine::Python);
    let of_tool = row.engine.is_some_and(Engine::is_tool);
    let api = (of_python && row.mode == Some(Mode::Pool)).then(|| row.api.unwrap_or_default());
    let policy = if of_python { python::chunk_policy(policy, api.unwrap_or_default()) } else { policy };
    let sharing = python::sharing_workers(workers, api.unwrap_or_default());
    let chunk = policy.resolve(tasks, sharing, workload.expected_task_seconds());
    let of_program = workload.kind.is_program();
    let mode = row.mode.unwrap_or(Mode::Serial);
    let parked_bytes = match of_python {
        true => python::parked_bytes(start),
        false => machine.parked_process_bytes.max(if of_program { PROGRAM_BYTES } else { 0 }),
    };
    // Whoever is forked has page tables of its own for what its parent holds, and keeps them as long as it lives.
    let inherits = start == Start::Fork && !(of_program && mode == Mode::Process);
    let besides = match start {
        _ if inherits => page_tables(workload.parent_memory_bytes),
        Start::Exec => EXEC_BYTES,
        _ => 0,
    };
    let cost = ProcessCost {
        processes: 1,
        parked_bytes: parked_bytes.saturating_add(besides),
        task_bytes: workload.bytes_per_process(),
        peer_files: u64::from(workload.io == Io::Echo),
        held_bytes: workload.held_bytes(),
    };
    if workload.arg_size_bytes > 0 && !of_python && matches!(mode, Mode::Threads | Mode::Pool) {
        let at_once = workers.saturating_mul(chunk).saturating_mul(CHUNKS_AHEAD).min(tasks);
        let ahead = at_once.saturating_mul(workload.arg_size_bytes);
        let what = format!(
            "{name}: results, and the arguments of {} tasks that are made ahead ({CHUNKS_AHEAD} chunks of {} for each of {} workers, or \
             all),",
            count(at_once),
            count(chunk),
            count(workers)
        );
        if let Some(refusal) =
            guard::no_memory(&what, ahead.saturating_add(workload.held_bytes()), &machine.limits)
        {
            return Err(PlanError::Limit(refusal));
        }
    }
    let of_program = of_program && workload.kind != Kind::Call;
    if let (true, Mode::Process, Some(start)) = (of_program, mode, row.start) {
        let kind = workload.kind.name();
        return usage(format!(
            "start is {}, but a {kind} is always started by itself (in '{name}')",
            start.name()
        ));
    }
    if of_program && mode == Mode::Pool && row.start == Some(Start::Exec) {
        return usage(format!("start is exec, but a pool that starts programs is forked (in '{name}')"));
    }
    if workload.timeout_seconds.is_some() && matches!(mode, Mode::Serial | Mode::Threads) {
        return usage(format!(
            "timeout is given, but {mode} executes such tasks in the process that measures, which cannot be ended without \
             the round: expected pool or process (in '{name}')"
        ));
    }
    let start = Some(start).filter(|_| !of_tool);
    let starts_programs = of_program && !of_tool;
    let with_programs = ProcessCost { processes: if starts_programs { 2 } else { 1 }, ..cost };
    let evaluates = of_python && workload.kind == Kind::Expression;
    let evaluator = evaluates.then(|| row.evaluator.unwrap_or_default());
    let with_evaluator = |(settings, verdict)| (Settings { evaluator, ..settings }, verdict);
    Ok(with_evaluator(match row.mode.unwrap_or(Mode::Serial) {
        Mode::Serial => (Settings::default(), None),
        Mode::Threads => {
            if !of_python && workers > MOST_THREADS {
                return usage(format!(
                    "{name} has {} workers: expected at most {MOST_THREADS} of rayon's threads; whoever of them is idle looks for \
                     work at all others, which costs the machine the square of their number (pools and processes may be more)",
                    count(workers)
                ));
            }
            // A thread has no memory of its own to speak of, but its task has, or the program that it has started.
            let parked_bytes = if starts_programs { cost.parked_bytes } else { 0 };
            let cost = ProcessCost { parked_bytes, ..with_programs };
            let limits = match cost.parked_bytes + cost.task_bytes {
                0 => &machine.limits.of(&[LimitKind::Processes, LimitKind::Files]),
                _ => &machine.limits,
            };
            let verdict = guard::judge(workers, limits, cost);
            if let Some(binding) = &verdict.binding {
                let what =
                    if starts_programs { "threads, each with the program that it starts" } else { "threads" };
                return Err(no_room(name, workers, what, verdict.allowed, binding));
            }
            (Settings { workers: Some(workers), chunk: Some(chunk), ..Settings::default() }, None)
        }
        Mode::Pool => {
            let verdict = guard::judge(workers, &machine.limits, with_programs);
            if let Some(binding) = &verdict.binding {
                let what = match starts_programs {
                    true => "worker processes, each with the program that it starts",
                    false => "worker processes",
                };
                return Err(no_room(name, workers, what, verdict.allowed, binding));
            }
            let native = !of_python && !of_tool;
            let settings = Settings {
                workers: Some(workers),
                chunk: (api != Some(Api::ApplyAsync) && !of_tool).then_some(chunk),
                transport: native.then(|| row.transport.unwrap_or(Transport::SharedMemory)),
                start,
                api,
                max_tasks_per_child: row.max_tasks_per_child.map(|count| count.0),
                in_flight: None,
                evaluator: None,
            };
            (settings, None)
        }
        Mode::Process => {
            let wanted = match row.in_flight {
                Some(InFlight::Count(count)) => count.min(tasks),
                Some(InFlight::All) | None => tasks,
            };
            let start = start.filter(|_| !of_program);
            let mut limits = machine.limits.clone();
            let files = limits.open_files();
            limits.all.extend(files.map(files_of_workers).filter(|_| workload.kind == Kind::Worker));
            limits.all.extend(files.map(python::files_of_processes).filter(|_| of_python));
            let verdict = guard::judge(wanted, &limits, cost);
            let settings = Settings { in_flight: Some(verdict.allowed), start, ..Settings::default() };
            (settings, verdict.binding.is_some().then_some(verdict))
        }
    }))
}

/// A round of nothing by 64 threads was seen to take 5 ms on two cores, by 256 of them 50 ms, by 512 0.6 s, by 1,000 2 s.
pub const MOST_THREADS: u64 = 1000;

/// What procbench, executed anew, was seen to need beyond a process that was forked and waits: 65 to 95 KiB.
const EXEC_BYTES: u64 = 96 << 10;

/// What a process of a program that nobody knows is taken to need: an interpreter with its libraries.
pub const PROGRAM_BYTES: u64 = 8 << 20;

/// Each worker that is alive in `process` mode is listened to through a file of its own, of the `hard` limit on them.
fn files_of_workers(hard: u64) -> Limit {
    // What is set aside for the pipes, folders and watches of the runner itself.
    const OWN: u64 = 64;
    Limit {
        name: "RLIMIT_NOFILE".into(),
        kind: LimitKind::Processes,
        value: hard,
        in_use: OWN.min(hard),
        advice: "ulimit -Hn N, or nofile in /etc/security/limits.conf".into(),
    }
}

/// That a row cannot have as many `executors` as it wants.
fn no_room(name: &str, wanted: u64, executors: &str, allowed: u64, binding: &guard::Binding) -> PlanError {
    // At least one is allowed of what falls back to one after another.
    let room = if binding.in_use < binding.value { count(allowed) } else { "none".into() };
    PlanError::Limit(format!(
        "{name} needs {} {executors}, but there is room for {room}: {}, of which {} are in use or set aside. To raise it: {}",
        count(wanted),
        binding.limit_in_words(),
        binding.amount(binding.in_use),
        binding.advice
    ))
}
