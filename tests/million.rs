//! A million processes, one for each task, beside somebody who only wants to wake up on time.

mod common;

use std::fs;

use common::faults::{Count, full};
use common::{Sandbox, parse, skip};

/// An interactive program on a machine that has nothing else to do wakes this late at most, in 99 of 100 cases.
const USABLE_SECONDS: f64 = 0.020;
/// On a machine where it wakes later than this although nothing of ours runs, others have much to do.
const IDLE_SECONDS: f64 = 0.002;

#[test]
fn the_machine_stays_usable_while_a_million_processes_come_and_go() {
    let test = "the_machine_stays_usable_while_a_million_processes_come_and_go";
    let tasks = if full() { 1_000_000 } else { 20_000 };
    let mut count = Count::of(format!("{tasks} processes, and a bystander"));
    let sandbox = Sandbox::new();
    let arguments = format!("-n {tasks} -m process --rounds 1 --warmup 0 --json out.json -q");
    let finished = sandbox.run(arguments.split(' ')).expect_code(0);
    let document = parse(&fs::read_to_string(sandbox.path("out.json")).expect("an export"));
    let round = &document.strategies[0].rounds[0];
    let report = &round.report;
    assert_eq!((report.tasks_completed, report.processes_started), (tasks, tasks), "{finished:?}");
    assert!(report.peak_alive <= tasks, "{report:?}");
    let lateness = round.disturbance.as_ref().expect("a bystander");
    let (max, idle) =
        (lateness.max_seconds.expect("a nap"), document.environment.idle_disturbance.p99_seconds);
    let milliseconds = |seconds: Option<f64>| {
        seconds.map_or("not measured".into(), |seconds| format!("{:.2} ms", 1e3 * seconds))
    };
    let told = format!(
        "nothing; bystander p99 {}, at most {}, idle p99 {}",
        milliseconds(lateness.p99_seconds),
        milliseconds(Some(max)),
        milliseconds(idle)
    );
    // A measured time says something of procbench only where nobody else has anything to do, and enough was measured.
    if full() {
        let p99 = lateness.p99_seconds.expect("hundreds of naps");
        match idle {
            Some(idle) if idle < IDLE_SECONDS => assert!(p99 < USABLE_SECONDS, "{told}"),
            // What was not judged does not count.
            _ => return skip(test, "the idle machine is not idle, so that lateness says nothing"),
        }
    }
    count.survived();
    drop(count.lost(told));
}
