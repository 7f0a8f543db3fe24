//! Whether verdicts hold on the real machine: a strategy against itself, and against a copy with 5 % more CPU work.
//!
//! Each of 40 benchmarks is a whole run (pilot, memory round, timed rounds in an order drawn from its seed, bystander and
//! all) of two rows, and its verdict is the one that would be printed. Against itself, at most 2 of 40 may be anything but
//! *not distinguished*; 5 % more work should be found in at least 36 of 40. The same of two runs, one after the other and each with a
//! calibration of its own, as `procbench compare` has them: no target, as nothing in a run's rounds tells what the next run will
//! find the machine like. Two more tables say what stamping tasks costs, and the bystander.
//!
//! Both in short rounds (40 ms) and in long ones (400 ms): whoever else is given a core for a few milliseconds takes those from the
//! round, however long that is, and a core that is faster and slower by turns, as one half of a shared core is, is so for some
//! 100 ms at a time.
//!
//! `cargo bench --bench verdicts`, or `cargo bench --bench verdicts -- PART` for one part: `serial-same`, `serial-more`,
//! `long-serial-same`, `long-serial-more`, the same four of `pool`, the long ones of `threads` and `process`, `two-runs`, `stamping`
//! or `bystander`.

mod common;

use std::time::Duration;

use common::nothing;
use procbench::app;
use procbench::document::Document;
use procbench::engine::Strategy;
use procbench::engine::native;
use procbench::experiment::signals::Signals;
use procbench::experiment::{self, Event, Observer, Row, Setting};
use procbench::janitor::JANITOR;
use procbench::measure::bystander::{Bystander, NAP};
use procbench::measure::environment::{Environment, cores_to_use};
use procbench::measure::limits::Limits;
use procbench::measure::parked;
use procbench::mode::{Mode, Settings};
use procbench::plan::Machine;
use procbench::plan::draft::{Draft, StrategyDraft};
use procbench::plan::found::Found;
use procbench::plan::units::{self, Count};
use procbench::stats::{
    Comparison, DEFAULT_MARGIN, Verdict, compare, compare_independent, spread, summarise,
};
use procbench::sys::wait::CpuTime;
use procbench::workload::{WorkloadSpec, cpu};

const BENCHMARKS: u64 = 40;
const ROUNDS: u64 = 10;
const CPU_SECONDS: f64 = 20e-6;
const PROCESS_CPU_SECONDS: f64 = 2e-3;

/// What is compared with itself and with a copy.
#[derive(Clone, Copy)]
struct Case {
    mode: Mode,
    tasks: u64,
    cpu_seconds: f64,
}

fn main() {
    // The rounds' runner is this program under a hidden name, as it is procbench in a run.
    let first = std::env::args().nth(1);
    if first.as_deref().is_some_and(|first| [native::RUNNER, JANITOR].contains(&first)) {
        std::process::exit(app::main());
    }
    let cores = cores_to_use();
    let limits = Limits::read();
    let machine = Machine {
        effective_cores: cores,
        limits,
        parked_process_bytes: 100 << 10,
        python: None,
        tools: Vec::new(),
    };
    let setting = Setting {
        started_at: String::new(),
        machine,
        environment: Environment::read(),
        parked_process_bytes: Err(parked::ParkedMissing::NotNeeded),
        units_per_second: cpu::calibrate(),
        idle: Duration::ZERO,
        own_load: false,
        found: Found::default(),
        returns: None,
        warnings: Vec::new(),
    };
    let parts: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    println!(
        "{BENCHMARKS} runs of {ROUNDS} rounds each, tasks of 20 µs (2 ms for a process each), margin 1 %\n"
    );
    println!(
        "{:<44} {:>17} {:>7} {:>7} {:>7} {:>7}   target",
        "comparison", "not distinguished", "slower", "faster", "spread", "steal"
    );
    let mut all_met = true;
    let of = |mode, tasks| Case { mode, tasks, cpu_seconds: CPU_SECONDS };
    // Of a process each, the work is to be nearly all there is: to create it and to end it takes some 50 µs.
    let of_processes = Case { cpu_seconds: PROCESS_CPU_SECONDS, ..of(Mode::Process, 400) };
    for (part, case) in [
        ("serial", of(Mode::Serial, 2_000)),
        ("long-serial", of(Mode::Serial, 20_000)),
        ("pool", of(Mode::Pool, 2_000)),
        ("long-pool", of(Mode::Pool, 20_000)),
        ("long-threads", of(Mode::Threads, 20_000)),
        ("long-process", of_processes),
    ] {
        for (against, factor) in [("same", 1.0), ("more", 1.05)] {
            if wanted(&format!("{part}-{against}")) {
                all_met &= verdicts(&setting, case, factor);
            }
        }
    }
    if wanted("two-runs") {
        for (mode, tasks) in [(Mode::Serial, 2_000), (Mode::Serial, 20_000), (Mode::Pool, 20_000)] {
            two_runs(&setting, of(mode, tasks));
        }
    }
    if wanted("stamping") {
        all_met &= stamping(&setting);
    }
    if wanted("bystander") {
        all_met &= bystander();
    }
    if !all_met {
        println!("\na target was missed");
        std::process::exit(1);
    }
}

struct Nobody;

impl Observer for Nobody {
    fn notice(&mut self, _: Event<'_>) {}
}

/// `case` against itself, or against a copy with `factor` times the work. Whether the target was met.
fn verdicts(setting: &Setting, case: Case, factor: f64) -> bool {
    let Case { mode, tasks, .. } = case;
    let found: Vec<(Verdict, f64, Option<f64>)> =
        (1..=BENCHMARKS).map(|seed| verdict(setting, case, factor, seed)).collect();
    let count = |wanted| found.iter().filter(|(verdict, ..)| *verdict == wanted).count();
    let (met, target) = match factor > 1.0 {
        true => (count(Verdict::Slower) >= 36, "at least 36 slower"),
        false => (count(Verdict::NotDistinguished) >= 38, "at least 38 not distinguished"),
    };
    let missed = if met { "" } else { ": missed" };
    write_row(
        &format!("{mode}, {} tasks, against itself × {factor}", units::count(tasks)),
        count,
        [
            &median(&found.iter().map(|(_, spread, _)| *spread).collect::<Vec<_>>()),
            &median(&found.iter().filter_map(|(.., steal)| *steal).collect::<Vec<_>>()),
        ],
        &format!("{target}{missed}"),
    );
    met
}

/// A row of the table: how often there was each verdict, how far rounds spread, what the hypervisor took, and the target.
fn write_row(what: &str, count: impl Fn(Verdict) -> usize, [spread, steal]: [&str; 2], target: &str) {
    println!(
        "{what:<44} {:>17} {:>7} {:>7} {spread:>7} {steal:>7}   {target}",
        count(Verdict::NotDistinguished),
        count(Verdict::Slower),
        count(Verdict::Faster),
    );
}

fn median(of: &[f64]) -> String {
    summarise(of, 1)
        .map_or_else(|| "not measured".into(), |summary| format!("{:.1} %", 100.0 * summary.median))
}

/// What a run says of `case` with `factor` times the work, compared with itself; by how much the times of the rounds spread, as a
/// share of their median, and what share of the CPU time the hypervisor took: with more of either, less can be told apart.
fn verdict(setting: &Setting, case: Case, factor: f64, seed: u64) -> (Verdict, f64, Option<f64>) {
    let document = run(setting, case, &[1.0, factor], seed);
    let summary = document.strategies[1].summary.as_ref().expect("a summary");
    let verdict = summary.speedup_over_baseline.expect("a comparison").verdict;
    (verdict, spread(&times(&document, 1)).unwrap_or(0.0), document.environment.change.steal_share)
}

/// A run of as many rows of `case` as there are factors of work.
fn run(setting: &Setting, Case { mode, tasks, cpu_seconds }: Case, factors: &[f64], seed: u64) -> Document {
    let mut draft = Draft::default();
    draft.workload.tasks = Some(Count(tasks));
    draft.run.rounds = Some(Count(ROUNDS));
    draft.run.seed = Some(seed);
    draft.strategies = vec![StrategyDraft { mode: Some(mode), ..StrategyDraft::default() }; factors.len()];
    let plan = draft.resolve(&setting.machine).expect("a plan for any machine");
    let row = |(strategy, factor): (&Strategy, &f64)| {
        let units_per_second = setting.units_per_second;
        let workload =
            WorkloadSpec { cpu_seconds: cpu_seconds * factor, units_per_second, ..plan.workload.clone() };
        Row { strategy: strategy.clone(), workload, empty: false }
    };
    let rows = plan.strategies.iter().zip(factors).map(row).collect();
    experiment::run_rows(&plan, setting, rows, &Signals::none(), &mut Nobody).expect("a run")
}

fn times(document: &Document, row: usize) -> Vec<f64> {
    document.strategies[row].rounds.iter().map(|round| round.report.total_seconds).collect()
}

/// How often two runs of `case`, each calibrated anew, are called different, and by how much they differ.
fn two_runs(setting: &Setting, case: Case) {
    let Case { mode, tasks, .. } = case;
    let one_run = |seed| {
        let calibrated = Setting { units_per_second: cpu::calibrate(), ..setting.clone() };
        times(&run(&calibrated, case, &[1.0], seed), 0)
    };
    let found: Vec<Comparison> = (1..=BENCHMARKS)
        .map(|seed| {
            let (before, after) = (one_run(2 * seed), one_run(2 * seed + 1));
            compare_independent(&after, &before, DEFAULT_MARGIN, seed).expect("times are positive")
        })
        .collect();
    let count = |wanted| found.iter().filter(|comparison| comparison.verdict == wanted).count();
    let apart: Vec<f64> = found.iter().map(|comparison| comparison.ratio.ln().abs()).collect();
    let differ = median(&apart);
    write_row(
        &format!("{mode}, {} tasks, one run after another", units::count(tasks)),
        count,
        [""; 2],
        &format!("none; medians differ by {differ}"),
    );
}

/// Whether stamping tasks takes no more than 2 % of their time, in each mode.
fn stamping(setting: &Setting) -> bool {
    const MOST: f64 = 1.02;
    const PAIRS: usize = 81;
    let workers = setting.machine.effective_cores;
    let of = |chunk| Settings { workers: Some(workers), chunk, ..Settings::default() };
    println!("\n{:<30} {:>8}   {:<17} target", "1 µs tasks, stamped or not", "ratio", "95 % interval");
    let mut all_met = true;
    for (name, mode, settings) in [
        ("serial", Mode::Serial, Settings::default()),
        ("threads, chunk 16", Mode::Threads, of(Some(16))),
        ("threads, chunk 1", Mode::Threads, of(Some(1))),
        ("pool, chunk 16", Mode::Pool, of(Some(16))),
        ("pool, chunk 1", Mode::Pool, of(Some(1))),
    ] {
        let units_per_second = setting.units_per_second;
        let short = WorkloadSpec { cpu_seconds: 1e-6, units_per_second, ..nothing(100_000) };
        let time = |latency| common::round(mode, settings.clone(), short.clone(), latency).total_seconds;
        // Each is first in every other pair.
        let pairs: Vec<(f64, f64)> = (0..PAIRS)
            .map(|round| {
                let first = time(round % 2 == 0);
                let second = time(round % 2 == 1);
                if round % 2 == 0 { (first, second) } else { (second, first) }
            })
            .collect();
        let comparison = compare(&pairs, DEFAULT_MARGIN, 1).expect("times are positive");
        let interval = comparison.interval.expect("enough rounds");
        let interval = format!("{:.3} … {:.3}", interval.low, interval.high);
        let met = comparison.ratio <= MOST;
        let missed = if met { "" } else { ": missed" };
        println!("{:<30} {:>8.3}   {interval:<17} at most {MOST}{missed}", name, comparison.ratio);
        all_met &= met;
    }
    all_met
}

/// What the bystander costs of one core, on the idle machine, and whether that is no more than half a per cent.
fn bystander() -> bool {
    const MOST: f64 = 0.005;
    const TIME: Duration = Duration::from_secs(5);
    let before = CpuTime::of_this_process_and_reaped_children();
    let bystander = Bystander::start(NAP).expect("a thread");
    std::thread::sleep(TIME);
    let naps = bystander.stop().disturbance().count;
    let used = CpuTime::of_this_process_and_reaped_children().since(before);
    let share = (used.user + used.system).as_secs_f64() / TIME.as_secs_f64();
    let missed = if share <= MOST { "" } else { ": missed" };
    println!(
        "\nthe bystander: {naps} naps took {:.2} % of one core (target: at most 0.5 %{missed})",
        share * 100.0
    );
    share <= MOST
}
