//! Figures that an outside observer confirms: the kernel's accounts, and a stopwatch around the program.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use common::{Sandbox, rounds, skip};
use procbench::measure::limits::cgroup_folders;
use procbench::sys::fork::enter_on_start;

/// A cgroup of the test's own, removed with it.
struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// One that has the account `file`, below this process's own of `controller`.
    fn with(controller: &str, file: &str, name: &str) -> Option<Self> {
        let own = cgroup_folders(controller).into_iter().next()?;
        let folder = own.join(format!("outside-{}-{name}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let this = Self { folder };
        this.number(file).is_some().then_some(this)
    }

    fn number(&self, file: &str) -> Option<u64> {
        let text = fs::read_to_string(self.folder.join(file)).ok()?;
        let field = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
        field.unwrap_or(&text).trim().parse().ok()
    }

    fn admit(&self, command: &mut Command) {
        enter_on_start(command, &self.folder.join("cgroup.procs")).expect("a path without zero bytes");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

#[test]
fn cpu_time_is_what_the_cgroup_accounts() {
    let accounts = [("cpuacct", "cpuacct.usage", 1e-9), ("cpu", "cpu.stat", 1e-6)];
    let found = accounts
        .into_iter()
        .find_map(|(controller, file, unit)| Some((Cgroup::with(controller, file, "cpu")?, file, unit)));
    let Some((cgroup, file, unit)) = found else {
        return skip(
            "cpu_time_is_what_the_cgroup_accounts",
            "no cgroup that accounts for CPU time can be made",
        );
    };
    for mode in ["serial", "pool:workers=2", "process:in-flight=4"] {
        let before = cgroup.number(file).expect("the account");
        let sandbox = Sandbox::new();
        // Everything but one round is small against it: calibration, the pilot, the checks.
        let arguments =
            ["-n", "100", "--cpu", "10ms", "--rounds", "6", "--json", "out.json", "-q", "-m", mode];
        let mut command = sandbox.command(arguments);
        cgroup.admit(&mut command);
        sandbox.run_command(command).expect_code(0);
        let accounted = (cgroup.number(file).expect("the account") - before) as f64 * unit;
        let document = common::parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
        let of_round = |round: &procbench::document::Round| {
            (
                round.report.cpu_user_seconds + round.report.cpu_system_seconds,
                round.tree_cpu_user_seconds + round.tree_cpu_system_seconds,
            )
        };
        let (timed, tree) = rounds(&document)
            .map(|(_, round)| of_round(round))
            .fold((0.0, 0.0), |sum, round| (sum.0 + round.0, sum.1 + round.1));
        assert!(timed <= tree * 1.001, "what is timed is part of what the runner used: {timed} of {tree}");
        // Seven rounds were run: six timed, and the one in which memory was measured.
        let all = tree / 6.0 * 7.0;
        let off = (accounted - all).abs() / accounted;
        assert!(off <= 0.05, "{mode}: {all:.3} s of CPU time, the cgroup says {accounted:.3} s");
    }
}

#[test]
fn no_more_are_alive_than_the_cgroup_has_seen() {
    let test = "no_more_are_alive_than_the_cgroup_has_seen";
    let Some(cgroup) = Cgroup::with("pids", "pids.peak", "pids") else {
        return skip(test, "no cgroup that accounts for the most processes at one time can be made");
    };
    let sandbox = Sandbox::new();
    let arguments = "-n 120 --io-wait 100ms --rounds 1 --json out.json -m process:in-flight=40";
    let mut command = sandbox.command(arguments.split(' '));
    cgroup.admit(&mut command);
    sandbox.run_command(command).expect_code(0);
    let document = common::parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
    let alive = rounds(&document).map(|(_, round)| round.report.peak_alive).max().expect("a round");
    let seen = cgroup.number("pids.peak").expect("the account");
    // Beside them: the controller with its bystander, the janitor, the runner.
    const OTHERS: u64 = 6;
    assert!((alive..=alive + OTHERS).contains(&seen), "{alive} alive, the cgroup saw {seen}");
}

#[test]
fn a_stopwatch_around_the_program_shows_no_less_than_its_rounds_together() {
    let sandbox = Sandbox::new();
    let started = Instant::now();
    let document = sandbox.measure("-n 300 --cpu 100us --rounds 3 -m process");
    let stopwatch = started.elapsed().as_secs_f64();
    let mut together = 0.0;
    for (_, round) in rounds(&document) {
        assert!(round.report.total_seconds <= round.outside_seconds, "{round:?}");
        let parts =
            round.report.set_up_seconds + round.report.execute_seconds + round.report.tear_down_seconds;
        assert!((parts - round.report.total_seconds).abs() < 1e-6, "{round:?}");
        together += round.outside_seconds;
    }
    assert!(together <= stopwatch, "rounds of {together} s in a run of {stopwatch} s");
    // 300 tasks of 100 µs on any number of cores are at least this much work.
    let least = 300.0 * 100e-6;
    for (_, round) in rounds(&document) {
        assert!(round.report.cpu_user_seconds + round.report.cpu_system_seconds > 0.0);
        assert!(round.report.work_units as f64 / document.environment.units_per_second > least * 0.99);
    }
}

#[test]
fn the_kernel_counts_at_least_as_many_processes_as_each_round_says() {
    let document = Sandbox::new().measure("-n 200 --rounds 2 -m pool:workers=3,process");
    if !Path::new("/proc/stat").exists() {
        return skip("the_kernel_counts", "there is no /proc/stat");
    }
    for (strategy, round) in rounds(&document) {
        let forks = round.kernel_forks.expect("the kernel's count");
        assert!(forks >= round.report.processes_started, "{}: {round:?}", strategy.name);
    }
}
