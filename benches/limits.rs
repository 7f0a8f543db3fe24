//! procbench's modes against the limits of this machine, in one run.
//!
//! Each row runs procbench and its limit one right after the other, round by round, so that whatever slows the machine
//! down slows both. What is printed is the median over rounds of the ratio within each round, with its 95 % interval. Limits
//! that need processes are in `limits.c` (built here with the C compiler that Rust links with); the others are below.
//!
//! `cargo bench --bench limits` runs all rows; words after `--` select those that contain one of them.

mod common;

use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::nothing;
use procbench::engine::native;
use procbench::engine::protocol::RoundReport;
use procbench::measure::environment::cores_to_use;
use procbench::mode::chunk::ChunkPolicy;
use procbench::mode::settings::Start;
use procbench::mode::{Mode, Settings};
use procbench::report::numbers::{seconds, significant};
use procbench::seed::mix;
use procbench::stats::compare;
use procbench::workload::{Kind, ProgramSpec, Spread, WorkloadSpec, cpu};
use rayon::prelude::*;

const LEAST_ROUNDS: usize = 11;
/// Rows that take less have more rounds, up to so many: a core that is faster and slower by turns, as one half of a shared core
/// is, takes more of them to be the same for both.
const MOST_ROUNDS: usize = 101;
/// How long the rounds of a row should take, in seconds.
const ROW: f64 = 20.0;

struct Row {
    what: &'static str,
    limit: &'static str,
    /// The most that the ratio should be; infinite where it is of interest how near procbench comes, and no more.
    target: f64,
    procbench: Box<dyn Fn(&Bench) -> f64>,
    floor: Box<dyn Fn(&Bench) -> f64>,
}

struct Bench {
    limits: PathBuf,
    /// A program that needs no C library, where it can be built.
    bare: Option<PathBuf>,
    workers: u64,
    units_per_second: f64,
}

/// Said to this program, it is the limit of `threads`, with so many of them, and what their tasks are: as all the others, and as procbench's rounds, in a
/// process of its own.
const RAYON: &str = "__rayon";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, workers, what] = &arguments[..]
        && word == RAYON
    {
        let workers = workers.parse().expect("threads");
        // As procbench's tasks without arguments have it.
        let ours = |task| mix(task << 32);
        let seconds = if what == "ours" {
            rayon_into_vec(workers, ours)
        } else {
            rayon_into_vec(workers, |task| !task)
        };
        return println!("{seconds}");
    }
    let wanted: Vec<String> = arguments.into_iter().filter(|word| !word.starts_with("--")).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bench = Bench {
        limits: build(folder.path()),
        bare: build_bare(folder.path()),
        workers: cores_to_use(),
        units_per_second: cpu::calibrate(),
    };
    println!(
        "{} cores, {LEAST_ROUNDS} to {MOST_ROUNDS} rounds; ratio is the median within rounds, with its 95 % interval\n",
        bench.workers
    );
    println!(
        "{:<46} {:>10} {:>10} {:>8}  {:<15} {:>9}",
        "what", "procbench", "limit", "ratio", "interval", "at most"
    );
    for row in rows() {
        if !wanted.is_empty() && !wanted.iter().any(|word| row.what.contains(word.as_str())) {
            continue;
        }
        if row.limit == BARE && bench.bare.is_none() {
            println!("{:<46} not measured: no program without a C library can be built here", row.what);
            continue;
        }
        let begun = Instant::now();
        (row.procbench)(&bench); // warm up
        (row.floor)(&bench);
        let rounds = (ROW / begun.elapsed().as_secs_f64()) as usize;
        let pairs: Vec<(f64, f64)> = (0..rounds.clamp(LEAST_ROUNDS, MOST_ROUNDS))
            .map(|round| {
                // Whoever goes first has no advantage over all rounds.
                if round % 2 == 0 {
                    let ours = (row.procbench)(&bench);
                    (ours, (row.floor)(&bench))
                } else {
                    let floor = (row.floor)(&bench);
                    ((row.procbench)(&bench), floor)
                }
            })
            .collect();
        show(&row, &pairs);
    }
    if wanted.is_empty() || wanted.iter().any(|word| "controller".contains(word.as_str())) {
        controller_share();
    }
}

fn show(row: &Row, pairs: &[(f64, f64)]) {
    let median = |of: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = pairs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let comparison = compare(pairs, 0.0, 1).expect("times are positive");
    let interval = comparison.interval.map_or_else(String::new, |interval| {
        format!("{} … {}", significant(interval.low), significant(interval.high))
    });
    let verdict = if comparison.ratio <= row.target { "" } else { "  above" };
    let target =
        if row.target.is_finite() { format!("{}×", significant(row.target)) } else { "no target".into() };
    println!(
        "{:<46} {:>10} {:>10} {:>7}×  {:<15} {target:>9}{verdict}",
        row.what,
        seconds(median(|pair| pair.0)),
        seconds(median(|pair| pair.1)),
        significant(comparison.ratio),
        interval,
    );
    println!("{:<46}   limit: {}", "", row.limit);
}

/// Builds `limits.c`, statically if the C library can be linked so.
fn build(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/limits.c");
    let program = folder.join("limits");
    let compile = |extra: &[&str]| {
        let mut command = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
        command.args(["-O2", "-w"]).args(extra).arg("-o").arg(&program).arg(&source).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !compile(&["-static"]) {
        println!(
            "note: no static C library here; the limits are those of a dynamic program, which forks more slowly"
        );
        assert!(compile(&[]), "a C compiler is needed to build the limits");
    }
    program
}

const BARE: &str = "fork, child exits, no C library: the kernel's own price";

/// Builds `bare.c`. `None` where the processor or the compiler is not one that it is written for.
fn build_bare(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/bare.c");
    let program = folder.join("bare");
    let mut command = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    command.args(["-O2", "-w", "-nostdlib", "-static", "-fno-stack-protector", "-fno-pie", "-no-pie", "-o"]);
    let built = command.arg(&program).arg(&source).stderr(Stdio::null()).status();
    built.is_ok_and(|status| status.success()).then_some(program)
}

fn seconds_said(program: &Path, arguments: &[&str]) -> f64 {
    let output = Command::new(program).args(arguments).output().expect("the limits run");
    assert!(output.status.success(), "{} {arguments:?} failed", program.display());
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("seconds")
}

impl Bench {
    fn limit(&self, arguments: &[&str]) -> f64 {
        seconds_said(&self.limits, arguments)
    }

    fn threads(&self) -> f64 {
        let chunk = ChunkPolicy::Auto.resolve(TASKS, self.workers, 5e-9);
        self.round(Mode::Threads, self.at_work(chunk), nothing(TASKS)).total_seconds
    }

    /// Seconds that rayon takes for as many tasks, whose results are `what`.
    fn rayon(&self, what: &str) -> f64 {
        let this = std::env::current_exe().expect("this program");
        seconds_said(&this, &[RAYON, &self.workers.to_string(), what])
    }

    fn bare(&self, arguments: &[&str]) -> f64 {
        self.bare.as_deref().map_or(f64::NAN, |bare| seconds_said(bare, arguments))
    }

    /// One round of `mode`, as the controller would run it.
    fn round(&self, mode: Mode, settings: Settings, workload: WorkloadSpec) -> RoundReport {
        let workload = WorkloadSpec { units_per_second: self.units_per_second, ..workload };
        common::round(mode, settings, workload, true)
    }

    fn pool(&self, workload: WorkloadSpec, chunk: ChunkPolicy) -> RoundReport {
        let chunk = chunk.resolve(workload.tasks, self.workers, workload.expected_task_seconds());
        self.round(Mode::Pool, self.at_work(chunk), workload)
    }

    fn process(&self, workload: WorkloadSpec, in_flight: u64) -> RoundReport {
        self.round(Mode::Process, Settings { in_flight: Some(in_flight), ..Settings::default() }, workload)
    }

    /// Tasks that start a program which does nothing.
    fn commands(&self, tasks: u64) -> WorkloadSpec {
        let words = vec![self.limits.display().to_string(), "nothing".into()];
        let program = ProgramSpec { words, file: self.limits.clone(), ..ProgramSpec::default() };
        WorkloadSpec { kind: Kind::Command, program: Some(program), ..nothing(tasks) }
    }

    /// As many of them as xargs starts, each for a line.
    fn xargs(&self, tasks: u64, at_once: u64) -> f64 {
        let lines: String = (0..tasks).map(|task| format!("{task}\n")).collect();
        let mut command = Command::new("xargs");
        command.args(["-P", &at_once.to_string(), "-n", "1"]).arg(&self.limits).arg("nothing");
        let start = Instant::now();
        let mut xargs = command.stdin(Stdio::piped()).spawn().expect("xargs");
        xargs.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("xargs reads");
        assert!(xargs.wait().expect("xargs ends").success(), "xargs failed");
        start.elapsed().as_secs_f64()
    }

    fn at_work(&self, chunk: u64) -> Settings {
        Settings { workers: Some(self.workers), chunk: Some(chunk), ..Settings::default() }
    }
}

const PROCESSES: u64 = 20_000;
const TASKS: u64 = 10_000_000;
const COMMANDS: u64 = 5_000;

fn rows() -> Vec<Row> {
    let row = |what,
               limit,
               target,
               procbench: Box<dyn Fn(&Bench) -> f64>,
               floor: Box<dyn Fn(&Bench) -> f64>| Row { what, limit, target, procbench, floor };
    vec![
        row(
            "process, no-op, 20,000 tasks, 64 in flight",
            "fork, child adds 1 and exits, static C, 64 in flight",
            1.0,
            Box::new(|bench| bench.process(nothing(PROCESSES), 64).total_seconds),
            Box::new(|bench| bench.limit(&["fork", "20000", "64"])),
        ),
        row(
            "process, no-op, 20,000 tasks, 2 in flight",
            "the same with 2 in flight",
            1.05,
            Box::new(|bench| bench.process(nothing(PROCESSES), 2).total_seconds),
            Box::new(|bench| bench.limit(&["fork", "20000", "2"])),
        ),
        row(
            "process, no-op, 64 in flight, the floor below",
            BARE,
            f64::INFINITY,
            Box::new(|bench| bench.process(nothing(PROCESSES), 64).total_seconds),
            Box::new(|bench| bench.bare(&["20000", "64"])),
        ),
        row(
            "process, no-op, 2 in flight, the floor below",
            BARE,
            f64::INFINITY,
            Box::new(|bench| bench.process(nothing(PROCESSES), 2).total_seconds),
            Box::new(|bench| bench.bare(&["20000", "2"])),
        ),
        row(
            "process, exec of procbench, 2,000 tasks",
            "posix_spawn of a static program that does nothing, 64 in flight",
            1.3,
            Box::new(|bench| {
                let settings =
                    Settings { in_flight: Some(64), start: Some(Start::Exec), ..Settings::default() };
                bench.round(Mode::Process, settings, nothing(2000)).total_seconds
            }),
            Box::new(|bench| bench.limit(&["spawn", "2000", "64"])),
        ),
        row(
            "process, 500 tasks, parent holds 100 MiB",
            "fork with 100 MiB, 2 in flight",
            1.05,
            Box::new(|bench| {
                let workload = WorkloadSpec { parent_memory_bytes: 100 << 20, ..nothing(500) };
                bench.process(workload, 2).total_seconds
            }),
            Box::new(|bench| bench.limit(&["fork", "500", "2", "100"])),
        ),
        row(
            "process, 10,000 tasks of 100 ms wait, all at once",
            "100 ms + fork of 10,000",
            1.1,
            Box::new(|bench| {
                let workload = WorkloadSpec { io_wait_seconds: 0.1, ..nothing(10_000) };
                bench.process(workload, 10_000).total_seconds
            }),
            Box::new(|bench| 0.1 + bench.limit(&["fork", "10000", "10000"])),
        ),
        row(
            "process, the same, against static C",
            "10,000 children that sleep 100 ms, static C",
            1.1,
            Box::new(|bench| {
                let workload = WorkloadSpec { io_wait_seconds: 0.1, ..nothing(10_000) };
                bench.process(workload, 10_000).total_seconds
            }),
            Box::new(|bench| bench.limit(&["park", "10000", "100"])),
        ),
        row(
            "pool, no-op, 10 million, chunk 1",
            "workers claim 1 at a time and store 8 bytes, static C",
            1.15,
            Box::new(|bench| bench.pool(nothing(TASKS), ChunkPolicy::Fixed(1)).total_seconds),
            Box::new(|bench| bench.limit(&["claim", "10000000", &bench.workers.to_string(), "1"])),
        ),
        row(
            "pool, no-op, 10 million, chunk auto",
            "workers claim 1024 at a time and store 8 bytes, static C",
            1.25,
            Box::new(|bench| bench.pool(nothing(TASKS), ChunkPolicy::Auto).total_seconds),
            Box::new(|bench| bench.limit(&["claim", "10000000", &bench.workers.to_string(), "1024"])),
        ),
        row(
            "pool, 1 µs tasks, lognormal σ = 1.5",
            "total work ÷ workers, the work done by a plain loop",
            1.05,
            Box::new(lognormal),
            Box::new(|bench| {
                let units = cpu::units_for(1e-6, bench.units_per_second);
                plain_loop(1_000_000, units) / (units * 1_000_000) as f64 / bench.workers as f64
            }),
        ),
        row(
            "the same, against as many loops at once",
            "a plain loop for each worker, all at once: where two cores are slower than one alone, they are too",
            f64::INFINITY,
            Box::new(lognormal),
            Box::new(|bench| {
                let units = cpu::units_for(1e-6, bench.units_per_second);
                let (workers, tasks) = (bench.workers, 1_000_000 / bench.workers);
                let start = Instant::now();
                std::thread::scope(|scope| {
                    (0..workers).for_each(|_| drop(scope.spawn(move || plain_loop(tasks, units))));
                });
                start.elapsed().as_secs_f64() / (units * tasks * workers) as f64
            }),
        ),
        row(
            "pool, 20,000 × 64 KiB arguments and results",
            "memcpy of the same bytes by as many threads, results to fresh memory",
            1.3,
            Box::new(|bench| {
                let workload = WorkloadSpec {
                    arg_size_bytes: PARCEL as u64,
                    result_size_bytes: PARCEL as u64,
                    ..nothing(PARCELS as u64)
                };
                bench.pool(workload, ChunkPolicy::Fixed(1)).total_seconds
            }),
            Box::new(|bench| copy_parcels(bench.workers as usize)),
        ),
        row(
            "pool, set-up until workers are ready",
            "fork of as many processes, until each has run, static C",
            1.3,
            Box::new(|bench| bench.pool(nothing(1000), ChunkPolicy::Auto).set_up_seconds),
            Box::new(|bench| bench.limit(&["start", &bench.workers.to_string()])),
        ),
        row(
            "threads, no-op, 10 million",
            "rayon par_iter into a Vec, pool included, in a process of its own",
            1.05,
            Box::new(Bench::threads),
            Box::new(|bench| bench.rayon("!task")),
        ),
        row(
            "the same, against results as dear as ours",
            "the same of procbench's results, for which a task takes two multiplications",
            f64::INFINITY,
            Box::new(Bench::threads),
            Box::new(|bench| bench.rayon("ours")),
        ),
        row(
            "process, a command, 64 in flight",
            "posix_spawn of the same program, 64 in flight, static C",
            1.1,
            Box::new(|bench| bench.process(bench.commands(COMMANDS), 64).total_seconds),
            Box::new(|bench| bench.limit(&["spawn", "5000", "64"])),
        ),
        row(
            "process, a command, 2 in flight",
            "the same with 2 in flight",
            1.1,
            Box::new(|bench| bench.process(bench.commands(COMMANDS), 2).total_seconds),
            Box::new(|bench| bench.limit(&["spawn", "5000", "2"])),
        ),
        row(
            "process, a command, 2 in flight, xargs",
            "xargs -P 2",
            1.0,
            Box::new(|bench| bench.process(bench.commands(COMMANDS), 2).total_seconds),
            Box::new(|bench| bench.xargs(COMMANDS, 2)),
        ),
        row(
            "pool, a command, xargs",
            "xargs -P with as many as there are workers",
            1.0,
            Box::new(|bench| bench.pool(bench.commands(COMMANDS), ChunkPolicy::Fixed(1)).total_seconds),
            Box::new(|bench| bench.xargs(COMMANDS, bench.workers)),
        ),
        row(
            "serial, 200,000 tasks of 1 µs",
            "a plain loop over the same work",
            1.01,
            Box::new(|bench| {
                let workload = WorkloadSpec { cpu_seconds: 1e-6, ..nothing(200_000) };
                bench.round(Mode::Serial, Settings::default(), workload).total_seconds
            }),
            Box::new(|bench| plain_loop(200_000, cpu::units_for(1e-6, bench.units_per_second))),
        ),
    ]
}

/// Bytes of an argument, and of a result.
const PARCEL: usize = 64 << 10;
const PARCELS: usize = 20_000;

/// Every argument is copied to where it is read, and every result to its place among all.
fn copy_parcels(workers: usize) -> f64 {
    let start = Instant::now();
    let source = vec![7_u8; PARCEL];
    let mut results: Vec<u8> = Vec::with_capacity(PARCELS * PARCEL);
    let places = results.spare_capacity_mut();
    std::thread::scope(|scope| {
        for share in places.chunks_mut(PARCELS.div_ceil(workers) * PARCEL) {
            let source = &source;
            scope.spawn(move || {
                let mut argument = vec![0_u8; PARCEL];
                for result in share.chunks_mut(PARCEL) {
                    argument.copy_from_slice(black_box(source));
                    for (place, byte) in result.iter_mut().zip(black_box(&argument)) {
                        place.write(*byte);
                    }
                    black_box(result);
                }
            });
        }
    });
    start.elapsed().as_secs_f64()
}

/// What the controller uses of one core while rounds run: progress, listening, and the bystander in a timed round or samples
/// of memory in the round before.
fn controller_share() {
    let python = Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_ok();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let of_native =
        [("serial", 1), ("threads", cores), ("pool", cores), ("process:in-flight=2", cores.min(2))];
    let native = of_native.map(|(mode, at_once)| ("native", mode, at_once));
    let of_python = [("serial", 1), ("pool", cores), ("process:in-flight=2", cores.min(2))];
    let of_python = of_python.map(|(mode, at_once)| ("python", mode, at_once));
    for (engine, mode, at_once) in native.into_iter().chain(of_python.into_iter().filter(|_| python)) {
        let mut run = Command::new(env!("CARGO_BIN_EXE_procbench"))
            .args(["--tasks", &(5_000 * at_once).to_string(), "--cpu", "1ms", "--rounds", "1"])
            .args(["--mode", mode, "--engine", engine, "--warmup", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("procbench starts");
        let shares = shares_in_long_rounds(&mut run);
        assert_eq!(shares.len(), 2, "{engine} {mode}: a round for memory, and one that is timed");
        for (round, share) in ["a memory round", "a timed round"].into_iter().zip(shares) {
            let verdict = if share <= 0.01 { "" } else { "  above" };
            let what = format!("{round} of {engine} {mode}");
            println!(
                "controller during {what:<44} {:>6.2} % of one core, at most 1 %{verdict}",
                share * 100.0
            );
        }
    }
}

/// What `run` uses of one core during each of its rounds that is long enough to tell, which no pilot is.
fn shares_in_long_rounds(run: &mut Child) -> Vec<f64> {
    let mut shares = Vec::new();
    while run.try_wait().expect("a status").is_none() {
        let Some(runner) = runner_of(run.id()) else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let goes_on_for = |milliseconds| {
            std::thread::sleep(Duration::from_millis(milliseconds));
            runner_of(run.id()) == Some(runner)
        };
        if !goes_on_for(300) {
            continue;
        }
        let (since, before) = (Instant::now(), cpu_nanoseconds(run.id()));
        if goes_on_for(3_000) {
            let used = cpu_nanoseconds(run.id()) - before;
            shares.push(used as f64 / since.elapsed().as_nanos() as f64);
        }
        while goes_on_for(20) {}
    }
    shares
}

/// The runner among the children of `pid`.
fn runner_of(pid: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let is_runner = |child: &u32| {
        let line = std::fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
        line.contains(native::RUNNER) || line.contains("/procbench_main.py")
    };
    children.split_whitespace().filter_map(|child| child.parse().ok()).find(is_runner)
}

/// CPU time of all threads of `pid`, by the scheduler's own account.
fn cpu_nanoseconds(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    let of_task = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    tasks.flatten().filter_map(of_task).sum()
}

/// Seconds for each unit of work that a pool takes for tasks of a heavy-tailed length.
fn lognormal(bench: &Bench) -> f64 {
    let workload = WorkloadSpec { cpu_seconds: 1e-6, spread: Spread::Lognormal(1.5), ..nothing(1_000_000) };
    let report = bench.pool(workload, ChunkPolicy::Auto);
    // The work itself differs from the mean of its distribution by chance: per unit really done.
    report.total_seconds / report.work_units as f64
}

fn plain_loop(tasks: u64, units: u64) -> f64 {
    let start = Instant::now();
    for _ in 0..tasks {
        cpu::burn(black_box(units));
    }
    start.elapsed().as_secs_f64()
}

fn rayon_into_vec(workers: usize, task: impl Fn(u64) -> u64 + Send + Sync) -> f64 {
    let start = Instant::now();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("a pool");
    let results: Vec<u64> =
        pool.install(|| (0..TASKS).into_par_iter().map(|number| black_box(task(number))).collect());
    let seconds = start.elapsed().as_secs_f64();
    black_box(results);
    seconds
}
