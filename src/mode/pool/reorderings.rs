//! The real code of workers and parent, at once, in memory as the language's model has it: loads may return what was overwritten,
//! unless an order forbids it. [`super::model`] has one order for all and dies everywhere; this dies little, and reorders.

use super::crashes::{Parent, Settings, is_full};
use crate::sys::atomic::reordered::{LeftOut, in_every_order, spawn};

const BARE: Settings = Settings { tasks: 2, chunk: 1, bytes: 0, stamp_stride: None, slots: None };
/// With arguments and results, which are bytes and no atomics: reading them while they may be written is found.
const WITH_BYTES: Settings = Settings { bytes: 8, ..BARE };
/// With fewer places for arguments than tasks.
const WITH_RING: Settings = Settings { slots: Some(1), ..WITH_BYTES };

/// So many workers share the tasks.
fn share(settings: Settings, workers: usize) {
    let mut parent = Parent::of(settings);
    let workers: Vec<_> = (0..workers).map(|place| spawn(parent.another(place))).collect();
    if settings.slots.is_some() {
        parent.make_arguments();
    }
    for (place, worker) in workers.into_iter().enumerate() {
        worker.join().expect("it does not panic");
        parent.bury(place, true);
    }
    end(parent, 0);
}

/// A worker has died with tasks that it had claimed and not noted; the parent looks for what nobody holds while another works.
fn look_for_a_gap(settings: Settings, dies_at: u32) {
    let mut parent = Parent::of(settings);
    assert!(!parent.live(1, None, Some(dies_at)), "it dies");
    parent.bury_alone(1);
    let other = spawn(parent.another(0));
    let found = parent.fill_gap(0);
    assert!(
        found.is_none() || found == Some(0..settings.chunk),
        "{found:?} is nobody's only where it was lost"
    );
    other.join().expect("it does not panic");
    parent.pool.pids[0] = 0;
    parent.bury(0, true);
    // Found in time, or missing at the end.
    end(parent, 1);
}

/// Each task was executed once, and `retries` say what had to be handed out again.
fn end(parent: Parent, retries: u64) {
    let workload = parent.workload();
    assert_eq!(parent.finish(&"in some order"), retries);
    assert!(workload.times().iter().all(|times| *times == 1), "{:?}", workload.times());
}

/// At which of its accesses a worker dies that has claimed tasks and not said so.
fn where_a_claim_is_lost(settings: Settings) -> u32 {
    let is_there = |dies_at: &u32| {
        let mut parent = Parent::of(settings);
        parent.live(1, None, Some(*dies_at));
        parent.pool.common.counter[0].next.load(std::sync::atomic::Ordering::Relaxed) == settings.chunk
    };
    (0..100).find(is_there).expect("it claims something")
}

fn say(what: &str, executions: Result<usize, String>) {
    use std::io::Write;
    let executions = executions.unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
    // Past the capture of the test harness, as all tests of faults say what they have tried.
    let _ =
        writeln!(std::io::stderr(), "FAULTS: reordered memory, {what}: {executions} executions, all right");
}

#[test]
fn tasks_are_shared_in_every_order_of_accesses_that_the_memory_model_allows() {
    let preemptions = if is_full() { 4 } else { 2 };
    for (what, settings) in [("two workers", BARE), ("two workers, with arguments and results", WITH_BYTES)] {
        say(what, in_every_order(preemptions, None, move || share(settings, 2)));
    }
}

#[test]
fn an_argument_is_read_before_its_place_is_used_again_in_every_order() {
    let mut scopes = vec![(2, 2), (3, 1)];
    if is_full() {
        scopes.extend([(3, 2)]);
    }
    for (tasks, preemptions) in scopes {
        let settings = Settings { tasks, ..WITH_RING };
        let what = format!("{tasks} arguments through one place");
        say(&what, in_every_order(preemptions, None, move || share(settings, 1)));
    }
}

#[test]
fn what_is_nobodys_is_told_from_what_is_about_to_be_noted_in_every_order() {
    let settings = Settings { tasks: 3, ..BARE };
    let dies_at = where_a_claim_is_lost(settings);
    let preemptions = if is_full() { 4 } else { 2 };
    let executions = in_every_order(preemptions, None, move || look_for_a_gap(settings, dies_at));
    say("a lost claim beside a worker", executions);
}

#[test]
fn an_order_that_is_left_out_would_be_missed() {
    let settings = Settings { tasks: 3, ..BARE };
    let dies_at = where_a_claim_is_lost(settings);
    for left_out in [LeftOut::Acquire, LeftOut::Release, LeftOut::ReleaseOfUpdates] {
        let found = in_every_order(2, Some(left_out), move || look_for_a_gap(settings, dies_at));
        assert!(found.is_err(), "claims without {left_out:?}: {found:?}");
    }
    for left_out in [LeftOut::Acquire, LeftOut::Release] {
        let found = in_every_order(1, Some(left_out), || share(WITH_RING, 1));
        assert!(found.is_err(), "arguments without {left_out:?}: {found:?}");
    }
}
