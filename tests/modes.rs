//! What the modes do: all of the work, all of it once, and all the same.

mod common;

use common::{Sandbox, digest, rounds, row};
use procbench::document::Document;
use procbench::measure::environment::cores_to_use;
use procbench::measure::kernel::forks_since_boot;
use procbench::mode::Mode;
use procbench::mode::settings::Start;
use procbench::workload::{argument, cpu};
use sha2::{Digest, Sha256};

/// The digest of synthetic tasks, worked out from its description: a checksum for each task, and one of its result
/// bytes where there are some, in task order.
fn expected_digest(seed: u64, tasks: u64, arg_size: usize, result_size: usize) -> String {
    let mut hasher = Sha256::new();
    let (mut given, mut returned) = (vec![0; arg_size], vec![0; result_size]);
    for task in 0..tasks {
        argument::fill(seed, task, &mut given);
        let checksum = argument::checksum(task, &given);
        hasher.update(checksum.to_le_bytes());
        if result_size > 0 {
            argument::fill_result(task, checksum, &mut returned);
            hasher.update(crc32fast::hash(&returned).to_le_bytes());
        }
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What must hold in every round of every document, by the counts in the JSON alone.
#[track_caller]
fn assert_every_count_is_right(document: &Document) {
    let tasks = document.plan.workload.tasks;
    for (row, round) in rounds(document) {
        let report = &round.report;
        let workers = row.settings.workers.unwrap_or(0);
        let what = format!("{} round {}: {report:?}", row.name, round.round);
        assert_eq!((report.tasks_completed, report.tasks_failed, report.retries), (tasks, 0, 0), "{what}");
        assert!(report.failures.is_empty(), "{what}");
        let started = match row.mode {
            Mode::Serial | Mode::Threads => 0,
            Mode::Pool => workers,
            Mode::Process => tasks,
        };
        assert_eq!(report.processes_started, started, "{what}");
        match row.mode {
            Mode::Serial | Mode::Threads => assert_eq!(report.peak_alive, 0, "{what}"),
            Mode::Pool => assert!((1..=workers).contains(&report.peak_alive), "{what}"),
            Mode::Process => {
                let most = row.settings.in_flight.expect("process mode has a limit").min(tasks);
                assert!((1..=most).contains(&report.peak_alive), "{what}");
            }
        }
        assert!(round.kernel_forks.is_none_or(|forks| forks >= started), "{what}");
        assert_eq!(report.digest.as_ref().map(String::len), Some(64), "{what}");
        let parts = report.set_up_seconds
            + report.execute_seconds
            + report.tear_down_seconds.expect("a time of tear-down");
        assert!((report.total_seconds - parts).abs() < 1e-6, "the parts make the whole: {what}");
    }
    digest(document);
}

#[test]
fn four_modes_in_one_run_agree_and_every_count_is_right() {
    let document = Sandbox::new().measure("--tasks 300 --cpu 5us --rounds 3");
    let names: Vec<_> = document.strategies.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["serial", "threads", "pool", "process"]);
    assert!(document.strategies.iter().all(|row| row.rounds.len() == 3));
    assert_every_count_is_right(&document);
    assert_eq!(digest(&document), expected_digest(1, 300, 0, 0));
    let units = cpu::units_for(5e-6, document.environment.units_per_second);
    assert!(units > 0);
    for (row, round) in rounds(&document) {
        assert_eq!(round.report.work_units, 300 * units, "{}", row.name);
    }
    let mut places: Vec<u64> = rounds(&document).map(|(_, round)| round.order).collect();
    places.sort();
    assert_eq!(places, (1..=12).collect::<Vec<_>>(), "every round has a place of its own");
}

#[test]
fn start_up_work_is_done_once_by_everyone_who_executes() {
    let document = Sandbox::new()
        .measure("--tasks 20 --init 50us --rounds 1 -m serial,threads:workers=3,pool:workers=3,process");
    let units = cpu::units_for(50e-6, document.environment.units_per_second);
    for (row, round) in rounds(&document) {
        let executing = match row.mode {
            Mode::Serial => 1,
            Mode::Threads | Mode::Pool => 3,
            Mode::Process => 20,
        };
        assert_eq!(round.report.work_units, executing * units, "{}", row.name);
    }
    assert_every_count_is_right(&document);
}

#[test]
fn twenty_thousand_tasks_in_process_mode_are_twenty_thousand_processes_to_the_kernel() {
    let count = || forks_since_boot().expect("the processes line of /proc/stat");
    let before = count();
    let document = Sandbox::new().measure("--tasks 20000 --mode process --rounds 1");
    assert!(count() - before >= 20_000, "{} forks", count() - before);
    assert_every_count_is_right(&document);
    let (_, round) = rounds(&document).next().expect("a round");
    assert!(round.kernel_forks.is_some_and(|forks| forks >= 20_000), "{round:?}");
}

#[test]
fn argument_and_result_bytes_cross_in_every_mode() {
    let sandbox = Sandbox::new();
    for (tasks, arg_size, result_size) in
        [(50, 1, 0), (50, 0, 1), (50, 7, 4096), (600, 4096, 7), (9, 1 << 20, 1 << 20)]
    {
        let document = sandbox
            .measure(&format!("-n {tasks} --arg-size {arg_size} --result-size {result_size} --rounds 1"));
        assert_every_count_is_right(&document);
        assert_eq!(
            digest(&document),
            expected_digest(1, tasks, arg_size, result_size),
            "{tasks} tasks, {arg_size} bytes in, {result_size} bytes out"
        );
    }
}

#[test]
fn more_arguments_than_the_ring_holds_cross_in_order() {
    // A ring of 1 MiB holds 69,905 slots of 7 bytes and their length.
    let document = Sandbox::new()
        .measure("-n 80000 --arg-size 7 --rounds 1 -m serial,threads,threads:chunk=7,pool:workers=3:chunk=5");
    assert_every_count_is_right(&document);
    assert_eq!(digest(&document), expected_digest(1, 80_000, 7, 0));
}

#[test]
fn private_and_parent_memory_change_no_result() {
    let document = Sandbox::new().measure("-n 20 --memory 100KiB --parent-memory 3MiB --rounds 1");
    assert_every_count_is_right(&document);
    assert_eq!(digest(&document), expected_digest(1, 20, 0, 0));
}

#[test]
fn the_file_workload_agrees_and_leaves_no_folder() {
    // More files than one folder takes. That nothing is left is seen to by the sandbox.
    let sandbox = Sandbox::new();
    assert_every_count_is_right(
        &sandbox.measure("-n 5000 --workload file --rounds 1 -m serial,threads,pool"),
    );
    assert_every_count_is_right(&sandbox.measure("-n 40 --workload file --rounds 2"));
}

#[cfg(feature = "excel")]
#[test]
fn the_expression_workload_agrees_whoever_evaluates() {
    let sandbox = Sandbox::new();
    let of_seed = |seed: u64| {
        let document = sandbox
            .measure(&format!("-n 24 --workload expression --expression-args 12 --rounds 1 --seed {seed}"));
        assert_every_count_is_right(&document);
        digest(&document)
    };
    assert_ne!(of_seed(1), of_seed(2), "the formulas are drawn from the seed");
}

#[test]
fn a_pool_may_have_more_workers_than_tasks() {
    let document = Sandbox::new().measure("-n 3 --rounds 2 -m pool:workers=7,threads:workers=7");
    assert_every_count_is_right(&document);
    assert_eq!(row(&document, "pool:workers=7").rounds[0].report.processes_started, 7);
}

#[test]
fn one_task_is_a_workload() {
    for extra in ["", "--arg-size 9 --result-size 9"] {
        assert_every_count_is_right(&Sandbox::new().measure(&format!("-n 1 --rounds 1 {extra}")));
    }
}

#[test]
fn a_chunk_may_be_larger_than_the_workload() {
    let largest = u64::MAX;
    let document = Sandbox::new().measure(&format!(
        "-n 10 --rounds 1 --result-size 5 -m pool:workers=3:chunk={largest},threads:workers=3:chunk={largest},pool:chunk=python"
    ));
    assert_every_count_is_right(&document);
}

#[test]
fn no_more_processes_are_alive_than_in_flight_allows() {
    let document = Sandbox::new().measure("-n 60 --io-wait 2ms --in-flight 3 -m process --rounds 3");
    assert_every_count_is_right(&document);
    let row = row(&document, "process:in-flight=3");
    assert_eq!(row.settings.in_flight, Some(3));
    for round in &row.rounds {
        // The first three are started before anyone is waited for.
        assert_eq!(round.report.peak_alive, 3);
    }
    assert!(row.memory.as_ref().is_some_and(|memory| memory.peak_alive == 3));
}

#[test]
fn tasks_that_wait_are_all_alive_at_once_where_nothing_limits_them() {
    let document = Sandbox::new().measure("-n 12 --io-wait 300ms -m process --rounds 1 --in-flight all");
    let (_, round) = rounds(&document).next().expect("a round");
    assert_eq!(round.report.peak_alive, 12);
    assert!(round.report.io_overshoot_mean_seconds.is_some(), "the overshoot is reported: {round:?}");
}

#[test]
fn workers_are_counted_or_given_per_core() {
    let document = Sandbox::new().measure(
        "-n 20 --rounds 1 -m pool:workers=0.5x,pool:workers=2x,pool,threads:workers=2x,pool:workers=3",
    );
    assert_every_count_is_right(&document);
    let cores = cores_to_use();
    let half = ((cores as f64 / 2.0).round() as u64).max(1);
    for (name, workers) in [
        ("pool:workers=0.5x", half),
        ("pool:workers=2x", 2 * cores),
        ("pool", cores),
        ("threads:workers=2x", 2 * cores),
        ("pool:workers=3", 3),
    ] {
        assert_eq!(row(&document, name).settings.workers, Some(workers), "{name} on {cores} cores");
    }
}

#[test]
fn however_durations_spread_every_strategy_does_the_same_work() {
    let sandbox = Sandbox::new();
    let mut all = Vec::new();
    for spread in ["constant", "uniform:0.5", "exponential", "lognormal:1.0"] {
        let document =
            sandbox.measure(&format!("-n 80 --cpu 20us --io-wait 10us --spread {spread} --rounds 1"));
        assert_every_count_is_right(&document);
        let units: Vec<u64> = rounds(&document).map(|(_, round)| round.report.work_units).collect();
        assert!(units.iter().all(|of_row| *of_row == units[0]), "{spread}: {units:?}");
        all.push(digest(&document));
    }
    assert!(all.iter().all(|digest| *digest == all[0]), "durations are no part of a result: {all:?}");
}

#[test]
fn the_same_seed_gives_the_same_results_and_another_one_others() {
    let sandbox = Sandbox::new();
    let run = |seed: u64| sandbox.measure(&format!("-n 40 --arg-size 24 --rounds 2 --seed {seed}"));
    let (first, again, other) = (run(7), run(7), run(8));
    assert_eq!(digest(&first), digest(&again));
    assert_ne!(digest(&first), digest(&other));
    let order = |document: &Document| -> Vec<(String, u64)> {
        rounds(document).map(|(row, round)| (row.name.clone(), round.order)).collect()
    };
    assert_eq!(order(&first), order(&again), "the order of strategies is drawn from the seed");
}

#[test]
fn several_pools_in_one_run_are_told_apart() {
    let document = Sandbox::new().measure(
        "-n 30 --rounds 1 -m pool:workers=1,pool:workers=2:chunk=1,pool,pool,pool:workers=1,process:in-flight=2",
    );
    let names: Vec<_> = document.strategies.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "pool:workers=1",
            "pool:workers=2:chunk=1",
            "pool",
            "pool#2",
            "pool:workers=1#2",
            "process:in-flight=2"
        ]
    );
    assert_eq!(document.plan.run.baseline, "pool:workers=1", "without serial the first row is the baseline");
    assert_every_count_is_right(&document);
}

#[test]
fn children_that_are_programs_of_their_own_do_the_same_work_as_copies_of_their_parent() {
    let modes = "-m serial,pool:workers=3:chunk=2:start=exec,process:in-flight=4:start=exec --rounds 1";
    for workload in [
        "-n 40",
        "-n 40 --arg-size 3KiB --result-size 70000 --cpu 50us --init 1ms --spread lognormal:1",
        "-n 40 --workload file",
        "-n 20 --io-wait 1ms --memory 100KiB --parent-memory 5MiB",
    ] {
        let document = Sandbox::new().measure(&format!("{workload} {modes}"));
        assert_every_count_is_right(&document);
        let work: Vec<u64> = rounds(&document).map(|(_, round)| round.report.work_units).collect();
        assert!(work[1] >= work[0] && work[2] >= work[1], "start-ups by each who executes: {work:?}");
        for name in ["pool:workers=3:chunk=2:start=exec", "process:in-flight=4:start=exec"] {
            assert_eq!(row(&document, name).settings.start, Some(Start::Exec));
        }
    }
}

#[test]
fn a_pool_over_pipes_does_the_same_work_with_both_directions_full() {
    let document = Sandbox::new().measure(
        "-n 24 --arg-size 1MiB --result-size 1MiB --rounds 1 \
         -m serial,pool:workers=3:chunk=4:transport=pipe,pool:workers=2:chunk=1:transport=pipe:start=exec",
    );
    assert_every_count_is_right(&document);
}

#[test]
fn a_pool_over_pipes_may_be_larger_than_the_workload_and_have_nothing_to_ship() {
    let workload = "--cpu 10us --init 1ms --spread lognormal:1 --rounds 2";
    let modes = "-m serial,pool:workers=5:transport=pipe,pool:chunk=1000:transport=pipe";
    for tasks in ["-n 1", "-n 3000"] {
        assert_every_count_is_right(&Sandbox::new().measure(&format!("{tasks} {workload} {modes}")));
    }
}
