//! The guard on machines that are made up from their files on, /proc and cgroups: whatever limits they have, whatever is in use and
//! whatever is asked for, no plan has more alive than any of them leaves.

mod common;

use std::fs;
use std::path::Path;

use common::faults::{Count, times};
use procbench::measure::environment::Root;
use procbench::measure::limits::{Limits, OfProcess};
use procbench::mode::Mode;
use procbench::mode::settings::Start;
use procbench::plan::draft::{Draft, InFlight, StrategyDraft, Workers};
use procbench::plan::units::{self, Size};
use procbench::plan::{Machine, Plan, PlanError};
use procbench::workload::Io;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// A limit of a cgroup, where it has one, and what is in use.
type OfCgroup = (Option<u64>, u64);

/// A machine, as its kernel would tell of it.
#[derive(Debug, Clone)]
struct MadeUp {
    pid_max: u64,
    threads_max: u64,
    threads: u64,
    available_kibibytes: u64,
    own: OfProcess,
    /// Whether cgroups are of version 2, all controllers in one tree.
    unified: bool,
    /// Processes, from the cgroup of this process outwards; the outermost has none.
    pids: Vec<OfCgroup>,
    /// Bytes, and how many of those in use are page cache.
    memory: Vec<(OfCgroup, u64)>,
}

/// What is asked of it.
#[derive(Debug, Clone)]
struct Asked {
    tasks: u64,
    rows: Vec<Row>,
    memory_bytes: u64,
    parent_bytes: u64,
    parked_process_bytes: u64,
    echo: bool,
    /// Whether processes are procbench executed anew.
    exec: bool,
    /// Whether each task is a program, or a line for one that stays; then there is no row of Python's.
    program: Option<Program>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Program {
    Command,
    Worker,
}

/// What a program that nobody knows is taken to need, as docs/safety.md says.
const PROGRAM_BYTES: u64 = 8 << 20;
/// Files that procbench sets aside for itself, where each worker has one besides.
const OWN_FILES: u64 = 64;

#[derive(Debug, Clone)]
enum Row {
    Serial,
    Threads(u64),
    Pool(u64),
    /// In flight; `None` for all.
    Process(Option<u64>),
    PythonProcess(Option<u64>),
}

fn any_made_up() -> impl Strategy<Value = MadeUp> {
    let few_or_many = || prop_oneof![1_u64..400, 1_u64..40_000, 1_u64..5_000_000];
    let processes = (prop::option::of(few_or_many()), 0_u64..3000);
    let bytes = (prop::option::of(0_u64..1 << 36), 0_u64..1 << 33);
    let own = (prop::option::of((few_or_many(), 0_u64..3000)), prop::option::of(few_or_many()));
    let cgroups = (
        any::<bool>(),
        prop::collection::vec(processes, 0..4),
        prop::collection::vec((bytes, 0_u64..1 << 33), 0..4),
    );
    let machine = (few_or_many(), few_or_many(), 1_u64..3000, 0_u64..1 << 27);
    (machine, own, cgroups).prop_map(|(machine, own, cgroups)| {
        let (pid_max, threads_max, threads, available_kibibytes) = machine;
        let own = OfProcess { processes: own.0, open_files: own.1 };
        let (unified, pids, memory) = cgroups;
        MadeUp { pid_max, threads_max, threads, available_kibibytes, own, unified, pids, memory }
    })
}

fn any_asked() -> impl Strategy<Value = Asked> {
    let count = || prop_oneof![1_u64..300, 1_u64..100_000, 1_u64..10_000_000];
    let in_flight = || prop_oneof![Just(None), count().prop_map(Some)];
    let row = prop_oneof![
        Just(Row::Serial),
        (1_u64..200).prop_map(Row::Threads),
        (1_u64..200).prop_map(Row::Pool),
        in_flight().prop_map(Row::Process),
        in_flight().prop_map(Row::Process),
        in_flight().prop_map(Row::PythonProcess),
    ];
    let bytes = prop_oneof![Just(0), 0_u64..1 << 24];
    let held = prop_oneof![Just(0), 0_u64..1 << 33];
    let program = prop_oneof![
        2 => Just(None),
        1 => Just(Some(Program::Command)),
        1 => Just(Some(Program::Worker)),
    ];
    let flags = (any::<bool>(), any::<bool>(), program);
    (count(), prop::collection::vec(row, 1..5), bytes, held, 1_u64..1 << 24, flags).prop_map(
        |(tasks, mut rows, memory_bytes, parent_bytes, parked_process_bytes, (echo, exec, program))| {
            if program.is_some() {
                for row in &mut rows {
                    if let Row::PythonProcess(in_flight) = row {
                        *row = Row::Process(*in_flight);
                    }
                }
            }
            let own = program.is_none();
            let memory_bytes = if own { memory_bytes } else { 0 };
            let (echo, exec) = (echo && own, exec && own);
            Asked { tasks, rows, memory_bytes, parent_bytes, parked_process_bytes, echo, exec, program }
        },
    )
}

fn write(root: &Path, path: impl AsRef<Path>, text: impl ToString) {
    let path = root.join(path.as_ref().strip_prefix("/").expect("an absolute path"));
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders of our own");
    fs::write(path, text.to_string()).expect("a file of our own");
}

impl MadeUp {
    /// Its limits, read from files below `root` as they would be from the running system's.
    fn limits(&self, root: &Path) -> Limits {
        write(root, "/proc/sys/kernel/pid_max", self.pid_max);
        write(root, "/proc/sys/kernel/threads-max", self.threads_max);
        write(root, "/proc/loadavg", format!("0.00 0.01 0.05 1/{} 4321", self.threads));
        write(root, "/proc/meminfo", format!("MemAvailable: {} kB\n", self.available_kibibytes));
        // From the outermost in: /, /0, /0/1, …
        let path = |depth: usize| (0..depth).map(|level| format!("/{level}")).collect::<String>();
        let depth = self.pids.len().max(self.memory.len());
        let (trees, files) = if self.unified {
            write(root, "/proc/self/cgroup", format!("0::{}/\n", path(depth)));
            (["", ""], ["memory.max", "memory.current"])
        } else {
            let own = path(depth);
            write(
                root,
                "/proc/self/cgroup",
                format!("9:name=systemd:/\n8:pids:{own}\n4:memory:{own}\n0::/\n"),
            );
            (["/pids", "/memory"], ["memory.limit_in_bytes", "memory.usage_in_bytes"])
        };
        for level in 0..=depth {
            let [pids, memory] = trees.map(|tree| format!("/sys/fs/cgroup{tree}{}", path(level)));
            for folder in [&pids, &memory] {
                write(root, format!("{folder}/cgroup.procs"), "");
            }
            let said =
                |limit: Option<u64>, none: &str| limit.map_or(none.to_owned(), |limit| limit.to_string());
            if let Some((limit, in_use)) = depth.checked_sub(level).and_then(|at| self.pids.get(at)) {
                write(root, format!("{pids}/pids.max"), said(*limit, "max"));
                write(root, format!("{pids}/pids.current"), in_use);
            }
            if let Some(((limit, in_use), cache)) =
                depth.checked_sub(level).and_then(|at| self.memory.get(at))
            {
                let none = if self.unified { "max" } else { "9223372036854771712" };
                write(root, format!("{memory}/{}", files[0]), said(*limit, none));
                write(root, format!("{memory}/{}", files[1]), in_use);
                write(root, format!("{memory}/memory.stat"), format!("anon 5\ninactive_file {cache}\n"));
            }
        }
        Limits::read_under(&Root::at(root), self.own)
    }

    /// How many processes or threads it can hold besides those there are, with `files` open elsewhere for each.
    fn room(&self, files: u64) -> u64 {
        let left = |(limit, in_use): (u64, u64)| limit.saturating_sub(in_use);
        // Ids up to 300 are given out once, and kept by who has them.
        let of_machine = [(self.pid_max, self.threads + 300), (self.threads_max, self.threads)];
        let of_cgroups = self.pids.iter().filter_map(|(limit, in_use)| Some(((*limit)?, *in_use)));
        let counted = of_machine.into_iter().chain(self.own.processes).chain(of_cgroups).map(left);
        counted.chain(self.own.open_files.and_then(|most| most.checked_div(files))).min().expect("some")
    }

    /// For how many there is memory, if each has `bytes`, and `held` are needed besides.
    fn memory(&self, bytes: u64, held: u64) -> u64 {
        let left = |((limit, in_use), cache): &(OfCgroup, u64)| {
            Some((*limit)?.saturating_sub(in_use.saturating_sub(*cache)))
        };
        let free = self.memory.iter().filter_map(left).chain([self.available_kibibytes * 1024]);
        free.min().expect("some").saturating_sub(held) / bytes
    }
}

impl Asked {
    /// Whether tasks wait for a peer: those in Python have none.
    fn echo(&self) -> bool {
        self.echo && !self.rows.iter().any(|row| matches!(row, Row::PythonProcess(_)))
    }

    fn draft(&self) -> Draft {
        let row = |row: &Row| {
            let (word, workers, in_flight) = match row {
                Row::Serial => ("serial", None, None),
                Row::Threads(workers) => ("threads", Some(*workers), None),
                Row::Pool(workers) => ("pool", Some(*workers), None),
                Row::Process(in_flight) => ("process", None, Some(in_flight)),
                Row::PythonProcess(in_flight) => ("py-process", None, Some(in_flight)),
            };
            let mut draft: StrategyDraft = word.parse().expect("a row");
            draft.workers = workers.map(Workers::Count);
            let starts = matches!(row, Row::Pool(_) | Row::Process(_));
            draft.start = (self.exec && starts).then_some(Start::Exec);
            draft.in_flight = in_flight.map(|in_flight| in_flight.map_or(InFlight::All, InFlight::Count));
            draft
        };
        let mut draft = Draft { strategies: self.rows.iter().map(row).collect(), ..Draft::default() };
        draft.workload.tasks = Some(units::Count(self.tasks));
        match self.program {
            None => draft.workload.memory = Some(Size(self.memory_bytes)),
            Some(Program::Command) => draft.workload.command = Some("true".parse().expect("words")),
            Some(Program::Worker) => draft.workload.worker = Some("cat".parse().expect("words")),
        }
        draft.workload.parent_memory = Some(Size(self.parent_bytes));
        if self.echo() {
            draft.workload.io = Some(Io::Echo);
            draft.workload.io_wait = Some("1ms".parse().expect("a duration"));
        }
        draft.found = Some(Default::default());
        draft
    }
}

/// That `plan` has nowhere more alive than `machine` can hold, and says what it was asked for and has not.
fn check(machine: &MadeUp, asked: &Asked, plan: &Plan) -> Result<(), TestCaseError> {
    prop_assert_eq!(plan.strategies.len(), asked.rows.len());
    // Word for word what docs/safety.md says a process needs, in no words of the guard's: its own, what its task touches, its end
    // of a connection and its peer's, and page tables of eight bytes for each 4 KiB that its parent holds, or 96 KiB if it is executed anew.
    let connection = if asked.echo() { 8 << 10 } else { 0 };
    let of_task = asked.memory_bytes + connection;
    let inherited = asked.parent_bytes / 4096 * 8;
    let own_bytes = match asked.program {
        Some(_) => asked.parked_process_bytes.max(PROGRAM_BYTES),
        None => asked.parked_process_bytes,
    };
    let bytes = own_bytes + of_task + if asked.exec { 96 << 10 } else { inherited };
    // A worker, or a thread, that has a program at work counts as two.
    let each = if asked.program.is_some() { 2 } else { 1 };
    let held = 8 * asked.tasks + asked.parent_bytes;
    for (row, strategy) in asked.rows.iter().zip(&plan.strategies) {
        let counted = machine.room(u64::from(asked.echo()));
        let in_flight = |in_flight: &Option<u64>| in_flight.unwrap_or(asked.tasks).min(asked.tasks);
        let (alive, room, wanted) = match row {
            Row::Serial => continue,
            Row::Threads(workers) => {
                // A thread is no memory to speak of, but what its task touches is.
                let bytes = if asked.program.is_some() { own_bytes } else { of_task };
                let counted = counted / each;
                let room = if bytes > 0 { counted.min(machine.memory(bytes, held)) } else { counted };
                (strategy.settings.workers, room, *workers)
            }
            Row::Pool(workers) => {
                (strategy.settings.workers, (counted / each).min(machine.memory(bytes, held)), *workers)
            }
            Row::Process(wanted) => {
                // A program is started without a copy of procbench.
                let bytes = if asked.program.is_some() { own_bytes } else { bytes };
                let files = match (asked.program, machine.own.open_files) {
                    (Some(Program::Worker), Some(files)) => files.saturating_sub(OWN_FILES),
                    _ => u64::MAX,
                };
                let room = counted.min(machine.memory(bytes, held)).min(files);
                (strategy.settings.in_flight, room, in_flight(wanted))
            }
            Row::PythonProcess(wanted) => {
                // An interpreter needs a mebibyte at least, and has two files open for each process.
                let bytes = (1 << 20) + of_task + inherited;
                let room = machine.room(2).min(machine.memory(bytes, held));
                (strategy.settings.in_flight, room, in_flight(wanted))
            }
        };
        let alive = alive.expect("a row that has others alive says how many");
        prop_assert!((1..=wanted).contains(&alive), "{alive} of {wanted}");
        // One is always tried: a machine that cannot hold it says so itself.
        prop_assert!(
            alive <= room.max(1),
            "{} has {alive} alive, and there is room for {room}",
            strategy.name
        );
        if strategy.mode == Mode::Process {
            let said = plan.guarded.iter().find(|guarded| guarded.strategy == strategy.name);
            prop_assert_eq!(said.is_some(), alive < wanted, "what is limited is said, and nothing else");
            if let Some(guarded) = said {
                prop_assert_eq!((guarded.verdict.wanted, guarded.verdict.allowed), (wanted, alive));
                let binding = guarded.verdict.binding.as_ref().expect("the limit");
                prop_assert!(!binding.limit.is_empty() && !binding.advice.is_empty());
            }
        } else {
            prop_assert_eq!(alive, wanted, "a pool has all the workers it asked for, or there is no plan");
        }
    }
    Ok(())
}

#[test]
fn no_plan_has_more_alive_than_any_machine_can_hold() {
    let mut count = Count::of("guard: machines made up, with what is asked of them");
    let folder = tempfile::tempdir().expect("a folder");
    let cases = times(400, 20_000);
    let tried = std::cell::Cell::new((0_u32, 0_u32));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&(any_made_up(), any_asked()), |(made_up, asked)| {
        let root = tempfile::tempdir_in(folder.path()).expect("a folder");
        let limits = made_up.limits(root.path());
        let parked_process_bytes = asked.parked_process_bytes;
        let machine =
            Machine { effective_cores: 2, limits, parked_process_bytes, python: None, tools: Vec::new() };
        let (planned, refused) = tried.get();
        match asked.draft().resolve(&machine) {
            Ok(plan) => {
                tried.set((planned + 1, refused));
                check(&made_up, &asked, &plan)
            }
            // What does not fit at all does not start.
            Err(PlanError::Limit(text)) => {
                tried.set((planned, refused + 1));
                prop_assert!(!text.is_empty());
                Ok(())
            }
            Err(error) => Err(TestCaseError::fail(format!("{error}"))),
        }
    });
    run.unwrap_or_else(|error| panic!("{error}"));
    let (planned, refused) = tried.get();
    assert!(planned >= cases / 4, "{planned} plans, {refused} refusals: not enough was looked at");
    (0..cases).for_each(|_| count.survived());
    drop(count.lost(format!("nothing; {refused} of them were refused, as a pool did not fit")));
}
