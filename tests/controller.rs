//! A controller that is itself large does not make any strategy look so.
//!
//! This file is a program of its own (`harness = false`): it plays the controller, with 500 MiB in its hands, and starts
//! itself as runner and janitor as procbench does.

use std::time::Duration;

use procbench::app;
use procbench::document::{Document, Memory};
use procbench::engine::native;
use procbench::experiment::signals::Signals;
use procbench::experiment::{self, Event, Observer, Setting};
use procbench::janitor::JANITOR;
use procbench::measure::environment::Environment;
use procbench::measure::limits::Limits;
use procbench::measure::memory::{Choice, Missing};
use procbench::measure::parked;
use procbench::plan::draft::Draft;
use procbench::plan::{Machine, spec};

const HELD_BYTES: usize = 500 << 20;
const MOST_BYTES: u64 = 64 << 20;
const TRIES: usize = 20;
const SPEC: &str = "[workload]\ntasks = 40\nio_wait = \"20ms\"\n[run]\nrounds = 1\n";

struct Nobody;

impl Observer for Nobody {
    fn notice(&mut self, _: Event<'_>) {}
}

fn main() {
    let first = std::env::args().nth(1);
    if first.as_deref().is_some_and(|first| first == native::RUNNER || first == JANITOR) {
        std::process::exit(app::main());
    }
    let held = vec![1_u8; HELD_BYTES];
    let (mut failed, mut skipped) = (0, 0);
    for choice in [Choice::Auto, Choice::Meminfo, Choice::Pss] {
        let figures = smallest_of_tries(choice);
        assert_eq!(figures.len(), 4, "all four modes");
        for (name, memory) in figures {
            let right = is_small(memory.as_ref());
            // A machine on which something is always being done tells nothing, and so nothing wrong.
            let untold = is_untold(memory.as_ref());
            let outcome = match (right, untold) {
                (true, _) => "ok",
                (false, true) => "skipped: what others use changes by too much here to tell",
                (false, false) => "FAILED",
            };
            println!("test {name} by {} ... {outcome}", choice.name());
            if !right && untold {
                skipped += 1;
            } else if !right {
                failed += 1;
                println!("{memory:?} of a controller that holds {HELD_BYTES}");
            }
        }
    }
    std::hint::black_box(&held);
    println!("\n{} passed, {failed} failed, {skipped} skipped", 12 - failed - skipped);
    std::process::exit(i32::from(failed > 0));
}

/// The smallest figure of each strategy in as many runs as it takes, up to [`TRIES`], until all are small.
///
/// By meminfo, what the kernel holds for others' new processes is in a figure, so one run proves nothing. What the controller holds
/// would be in every figure of every run.
fn smallest_of_tries(choice: Choice) -> Vec<(String, Option<Memory>)> {
    let mut smallest: Vec<(String, Option<Memory>)> = Vec::new();
    for attempt in 0..TRIES {
        for (place, strategy) in run(choice).strategies.into_iter().enumerate() {
            match smallest.get_mut(place) {
                None => smallest.push((strategy.name, strategy.memory)),
                Some((_, known)) => {
                    let peak = |memory: &Option<Memory>| {
                        memory.as_ref().and_then(|memory| memory.reading.peak_bytes)
                    };
                    let is_better = match (peak(&strategy.memory), peak(known)) {
                        (Some(new), Some(old)) => new < old,
                        (Some(_), None) => true,
                        (None, None) => is_untold(strategy.memory.as_ref()),
                        (None, Some(_)) => false,
                    };
                    if is_better {
                        *known = strategy.memory;
                    }
                }
            }
        }
        if smallest.iter().all(|(_, memory)| is_small(memory.as_ref())) {
            break;
        }
        println!("try {} by {}: not all figures are told, or small", attempt + 1, choice.name());
    }
    smallest
}

/// Whether a figure is not told because of what others use, or since it is too small for the kernel's counters.
fn is_untold(memory: Option<&Memory>) -> bool {
    let of_others = [Missing::OthersVary, Missing::ChangedMeanwhile, Missing::CountersOff];
    memory.and_then(|memory| memory.reading.peak_missing).is_some_and(|missing| of_others.contains(&missing))
}

fn is_small(memory: Option<&Memory>) -> bool {
    memory.and_then(|memory| memory.reading.peak_bytes).is_some_and(|peak| peak < MOST_BYTES)
}

fn run(choice: Choice) -> Document {
    let machine = Machine {
        effective_cores: 2,
        limits: Limits::read(),
        parked_process_bytes: 100 << 10,
        python: None,
        tools: Vec::new(),
    };
    let mut draft: Draft = spec::from_toml(SPEC, "the test's own spec").expect("a valid spec");
    draft.run.memory_method = Some(choice);
    let plan = draft.resolve(&machine).expect("a plan for any machine");
    let setting = Setting {
        found: Default::default(),
        returns: None,
        started_at: "2026-01-01T00:00:00Z".into(),
        machine,
        environment: Environment::read(),
        parked_process_bytes: Err(parked::ParkedMissing::NotNeeded),
        units_per_second: 1e9,
        idle: Duration::ZERO,
        own_load: false,
        warnings: Vec::new(),
    };
    experiment::run(&plan, &setting, &Signals::none(), &mut Nobody).expect("a run")
}
