//! Memory, measured against what is known to be there.

mod common;

use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{Sandbox, row, skip};
use procbench::document::Memory;
use procbench::measure::memory::Method;

const MIB: u64 = 1 << 20;

/// One at a time: by one of the methods the whole machine is looked at.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The memory of the one strategy of a run, if `method` could be had.
fn measured(test: &str, method: &str, arguments: &str) -> Option<Memory> {
    let sandbox = Sandbox::new();
    let all = format!("{arguments} --rounds 1 --memory-method {method} --json out.json");
    let finished = sandbox.run(all.split(' '));
    if finished.code() != Some(0) && finished.stderr.contains("failed to measure memory by") {
        skip(test, &format!("{method} cannot be had here: {}", finished.stderr.trim()));
        return None;
    }
    let finished = finished.expect_code(0);
    let document = common::parse(&std::fs::read_to_string(sandbox.path("out.json")).expect("the export"));
    let [only] = &document.strategies[..] else { panic!("one strategy: {finished:?}") };
    row(&document, &only.name).memory.clone()
}

fn is_within(found: u64, expected: u64, part: f64) -> bool {
    (found as f64 - expected as f64).abs() <= part * expected as f64
}

#[test]
fn two_hundred_processes_that_hold_a_mebibyte_each_hold_two_hundred() {
    let _alone = alone();
    let workload = "-n 200 --memory 1MiB --io-wait 1s -m process";
    for method in ["cgroup", "pss", "meminfo"] {
        let Some(memory) = measured("two_hundred_processes", method, workload) else { continue };
        assert_eq!(memory.peak_alive, 200);
        let user = memory.user_bytes.expect("the processes' share");
        let held = user.saturating_sub(memory.runner_bytes.expect("the runner's share"));
        if memory.method == Method::Meminfo {
            // Whatever others did meanwhile is in these figures too, so they are only required to belong together.
            assert_eq!(memory.peak_bytes, Some(user + memory.kernel_bytes.expect("the kernel's share")));
            continue;
        }
        assert!(is_within(held, 200 * MIB, 0.05), "{method}: {held} bytes: {memory:?}");
        match memory.method {
            Method::Pss => assert_eq!(memory.kernel_bytes, None, "PSS does not see what the kernel holds"),
            _ => {
                let kernel = memory.kernel_bytes.expect("the kernel's share");
                assert_eq!(memory.peak_bytes, Some(user + kernel));
                assert!(kernel >= 200 * 16 * 1024, "a kernel stack for each at least: {memory:?}");
            }
        }
    }
}

#[test]
fn memory_that_all_share_is_counted_once() {
    let _alone = alone();
    // Twenty workers see a hundred mebibytes of results, of which each writes five.
    let workload = "-n 20 --result-size 5MiB --io-wait 300ms -m pool:workers=20:chunk=1";
    for method in ["cgroup", "pss"] {
        let Some(memory) = measured("memory_that_all_share", method, workload) else { continue };
        let user = memory.user_bytes.expect("the processes' share");
        // Every page is touched by one worker and seen by all.
        assert!((95 * MIB..130 * MIB).contains(&user), "{method}: {memory:?}");
        let per_worker = memory.per_task_alive_bytes.expect("a share for each worker");
        assert!(per_worker < 2 * MIB, "the results are the parent's: {memory:?}");
    }
}

#[test]
fn the_parents_memory_is_counted_once_however_many_children_inherit_it() {
    let _alone = alone();
    let workload = "-n 30 --parent-memory 50MiB --io-wait 500ms -m process";
    for method in ["cgroup", "pss"] {
        let Some(memory) = measured("the_parents_memory", method, workload) else { continue };
        assert_eq!(memory.peak_alive, 30);
        let user = memory.user_bytes.expect("the processes' share");
        assert!((48 * MIB..60 * MIB).contains(&user), "{method}: {memory:?}");
    }
}
