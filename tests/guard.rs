//! The guard, on machines that are made up: no plan ever has more processes alive than the machine can hold.

use procbench::measure::limits::{Limit, LimitKind, Limits};
use procbench::mode::Mode;
use procbench::plan::draft::{Draft, InFlight, StrategyDraft, Words};
use procbench::plan::units::{Count, Size};
use procbench::plan::{Machine, Plan, PlanError};
use proptest::prelude::*;

const GIB: u64 = 1 << 30;

fn processes(name: &str, value: u64, in_use: u64) -> Limit {
    Limit { name: name.into(), kind: LimitKind::Processes, value, in_use, advice: format!("raise {name}") }
}

fn memory(name: &str, value: u64, in_use: u64) -> Limit {
    Limit { name: name.into(), kind: LimitKind::Memory, value, in_use, advice: format!("raise {name}") }
}

fn machine(all: Vec<Limit>) -> Machine {
    Machine {
        effective_cores: 4,
        limits: Limits { all },
        parked_process_bytes: 100 << 10,
        python: None,
        tools: Vec::new(),
    }
}

fn draft(tasks: u64, rows: &str) -> Draft {
    let mut draft = Draft {
        strategies: rows.split(',').map(|row| row.parse().expect("a row")).collect::<Vec<StrategyDraft>>(),
        ..Draft::default()
    };
    draft.workload.tasks = Some(Count(tasks));
    draft
}

fn in_flight(plan: &Plan) -> u64 {
    let row = plan.strategies.iter().find(|row| row.mode == Mode::Process).expect("a row in process mode");
    row.settings.in_flight.expect("process mode has a limit")
}

#[test]
fn a_million_tasks_are_held_to_what_the_tightest_limit_leaves() {
    let machine = machine(vec![
        processes("kernel.pid_max", 32_768, 300),
        processes("pids.max of /a", 20_000, 50),
        memory("MemAvailable", 64 * GIB, 0),
    ]);
    let plan = draft(1_000_000, "process").resolve(&machine).expect("a plan");
    assert!((15_000..20_000 - 50).contains(&in_flight(&plan)), "{}", in_flight(&plan));
    let [guarded] = plan.guarded.as_slice() else { panic!("{:?}", plan.guarded) };
    let binding = guarded.verdict.binding.as_ref().expect("a limit binds");
    assert_eq!(guarded.strategy, "process");
    assert_eq!((guarded.verdict.wanted, guarded.verdict.allowed), (1_000_000, in_flight(&plan)));
    assert_eq!(
        (binding.limit.as_str(), binding.value, binding.in_use),
        ("pids.max of /a", 20_000, 50 + 400),
        "a fiftieth is set aside"
    );
    assert_eq!((binding.needed, binding.advice.as_str()), (1_000_000, "raise pids.max of /a"));
}

#[test]
fn what_each_task_holds_counts_against_memory() {
    let machine =
        machine(vec![memory("memory.max of /a", 4 * GIB, GIB), processes("kernel.pid_max", 4_194_304, 9)]);
    let with = |change: &dyn Fn(&mut Draft)| {
        let mut draft = draft(100_000, "process");
        change(&mut draft);
        let plan = draft.resolve(&machine).expect("a plan");
        assert!(plan.guarded.iter().all(|guarded| {
            let binding = guarded.verdict.binding.as_ref().expect("a limit binds");
            binding.limit == "memory.max of /a" && binding.needed > 3 * GIB
        }));
        in_flight(&plan)
    };
    let bare = with(&|_| {});
    let sizes: [&dyn Fn(&mut Draft); 3] = [
        &|draft| draft.workload.memory = Some(Size(10 << 20)),
        &|draft| draft.workload.arg_size = Some(Size(10 << 20)),
        &|draft| draft.workload.result_size = Some(Size(20 << 10)),
    ];
    for size in sizes {
        assert!(with(size) < bare);
    }
    assert!(with(sizes[0]) * (10 << 20) <= 3 * GIB);
}

#[test]
fn whoever_asks_for_less_than_there_is_gets_it_without_a_word() {
    let machine = machine(vec![processes("kernel.pid_max", 32_768, 300), memory("MemAvailable", 8 * GIB, 0)]);
    for (tasks, rows, expected) in
        [(1_000_000, "process:in-flight=64", 64), (10, "process", 10), (10, "process:in-flight=64", 10)]
    {
        let plan = draft(tasks, rows).resolve(&machine).expect("a plan");
        assert_eq!(in_flight(&plan), expected, "{rows} with {tasks} tasks");
        assert_eq!(plan.guarded, [], "{rows} with {tasks} tasks");
    }
}

#[test]
fn a_machine_that_is_full_still_runs_one_process_after_the_other() {
    let machine = machine(vec![processes("RLIMIT_NPROC", 100, 100), memory("MemAvailable", GIB, 0)]);
    assert_eq!(in_flight(&draft(1000, "process").resolve(&machine).expect("a plan")), 1);
    let Err(PlanError::Limit(message)) = draft(1000, "pool:workers=2").resolve(&machine) else {
        panic!("no room")
    };
    assert!(
        message.contains("there is room for none: RLIMIT_NPROC is 100, of which 100 are in use"),
        "{message}"
    );
}

#[test]
fn threads_that_would_look_for_work_at_thousands_of_others_are_refused() {
    let machine =
        machine(vec![processes("kernel.pid_max", 4_000_000, 100), memory("MemAvailable", 64 * GIB, 0)]);
    let Err(PlanError::Usage(message)) = draft(10, "threads:workers=1001").resolve(&machine) else {
        panic!("refused")
    };
    assert!(message.contains("threads:workers=1001 has 1,001 workers: expected at most 1000"), "{message}");
    assert!(draft(10, "threads:workers=1000").resolve(&machine).is_ok());
}

#[test]
fn a_pool_that_does_not_fit_is_refused_with_the_limit_and_the_way_to_raise_it() {
    let machine = machine(vec![processes("RLIMIT_NPROC", 100, 70), memory("MemAvailable", GIB, 0)]);
    let error = draft(1000, "pool:workers=50").resolve(&machine).expect_err("no room");
    let PlanError::Limit(message) = &error else { panic!("not the machine's limit: {error}") };
    for part in [
        "pool:workers=50",
        "50 worker processes",
        "RLIMIT_NPROC",
        "there is room for 14: RLIMIT_NPROC is 100, of which 86 are in use or set aside",
        "raise RLIMIT_NPROC",
    ] {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
}

#[test]
fn a_worker_counts_twice_where_it_has_a_program_at_work() {
    let machine = machine(vec![processes("pids.max of /a", 100, 20), memory("MemAvailable", 64 * GIB, 0)]);
    let plan = |row: &str, program: bool| {
        let mut draft = draft(1000, row);
        draft.workload.command = program.then(|| Words::List(vec!["sleep".into(), "1".into()]));
        draft.resolve(&machine)
    };
    for (row, what) in [("pool:workers=40", "worker processes"), ("threads:workers=40", "threads")] {
        assert!(plan(row, false).is_ok(), "{row}: 40 of 64");
        let Err(PlanError::Limit(message)) = plan(row, true) else { panic!("{row}: 80 of 64") };
        let told =
            format!("{row} needs 40 {what}, each with the program that it starts, but there is room for 32");
        assert!(message.contains(&told) && message.contains("pids.max of /a is 100"), "{message}");
    }
    assert!(plan("pool:workers=32", true).is_ok());
}

#[test]
fn what_tasks_of_threads_hold_counts_too() {
    let machine =
        machine(vec![processes("kernel.pid_max", 4_194_304, 100), memory("MemAvailable", 2 * GIB, GIB)]);
    let plan = |workers: u64| {
        let mut draft = draft(1000, &format!("threads:workers={workers}"));
        draft.workload.memory = Some(Size(50 << 20));
        draft.resolve(&machine)
    };
    assert!(plan(16).is_ok());
    let Err(PlanError::Limit(message)) = plan(40) else { panic!("2 GiB of one") };
    assert!(message.contains("there is room for 16: MemAvailable is 2.0 GiB"), "{message}");
}

#[test]
fn arguments_that_are_made_ahead_by_large_chunks_have_to_fit() {
    let machine = machine(vec![memory("MemAvailable", GIB, 0), processes("kernel.pid_max", 4_194_304, 9)]);
    for row in ["pool", "pool:transport=pipe", "threads"] {
        let chunks = |chunk: u64| {
            let mut draft = draft(100_000, &format!("{row}:chunk={chunk}"));
            draft.workload.arg_size = Some(Size(64 << 10));
            draft.resolve(&machine)
        };
        assert!(chunks(10).is_ok());
        let refused = chunks(10_000).expect_err("gigabytes at once").to_string();
        assert!(refused.contains("made ahead") && refused.contains("MemAvailable is 1.0 GiB"), "{refused}");
    }
}

#[test]
fn results_larger_than_memory_are_refused_whatever_the_mode() {
    let machine = machine(vec![memory("MemAvailable", GIB, 0)]);
    for mode in Mode::ALL {
        let mut draft = draft(1_000_000, mode.name());
        draft.workload.result_size = Some(Size(1 << 20));
        assert!(matches!(draft.resolve(&machine), Err(PlanError::Limit(_))), "{mode}");
    }
}

fn any_limit() -> impl Strategy<Value = Limit> {
    (any::<bool>(), 0_u64..1 << 40, 0_u64..1 << 40).prop_map(|(counts_processes, value, in_use)| {
        if counts_processes { processes("processes", value, in_use) } else { memory("memory", value, in_use) }
    })
}

proptest! {
    #[test]
    fn no_plan_has_more_in_flight_than_any_limit_leaves(
        tasks in 1_u64..100_000_000,
        wanted in prop_oneof![Just(InFlight::All), (1_u64..100_000_000).prop_map(InFlight::Count)],
        limits in prop::collection::vec(any_limit(), 0..6),
        parked_process_bytes in 1_u64..1 << 24,
        task_bytes in 0_u64..1 << 24,
    ) {
        let mut draft = draft(tasks, "process");
        draft.strategies[0].in_flight = Some(wanted);
        draft.workload.memory = Some(Size(task_bytes));
        let machine = Machine { effective_cores: 2, limits: Limits { all: limits }, parked_process_bytes, python: None, tools: Vec::new() };
        // A machine without room for the results has no plan, and so nothing in flight.
        let Ok(plan) = draft.resolve(&machine) else { return Ok(()) };
        let allowed = in_flight(&plan);
        let asked = match wanted {
            InFlight::All => tasks,
            InFlight::Count(count) => count.min(tasks),
        };
        prop_assert!((1..=asked).contains(&allowed), "{allowed} of {asked}");
        prop_assert_eq!(plan.guarded.is_empty(), allowed == asked, "what is limited is said, and nothing else");
        for limit in &machine.limits.all {
            let free = limit.value.saturating_sub(limit.in_use);
            let used = match limit.kind {
                LimitKind::Processes => allowed,
                LimitKind::Memory => allowed * (parked_process_bytes + task_bytes),
                LimitKind::Files => 0,
            };
            // One process is always tried: a machine that cannot hold it says so itself.
            prop_assert!(used <= free || allowed == 1, "{used} of {free}");
        }
    }
}
