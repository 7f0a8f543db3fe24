//! Figures that an outside observer confirms: the kernel's accounts, and a stopwatch around the program.

mod common;
#[path = "../benches/common/mod.rs"]
mod direct;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Sandbox, cgroup_to_make, has_python, rounds, skip};
use direct::{Observer, nothing, observed};
use procbench::measure::kernel;
use procbench::mode::{Mode, Settings};
use procbench::sys::fork::enter_on_start;
use procbench::workload::{WorkloadSpec, cpu};

/// A cgroup of the test's own, removed with it.
struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// One that has `controller`, and its account `file`.
    fn with(controller: &str, file: &str, name: &str) -> Option<Self> {
        let folder = cgroup_to_make(controller, &format!("outside-{}-{name}", std::process::id()))?;
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

/// A cgroup that accounts for CPU time, the file in which it does, and in which part of a second; says of `test` that it is not done where
/// none can be made.
fn of_cpu_time(test: &str) -> Option<(Cgroup, &'static str, f64)> {
    let accounts = [("cpuacct", "cpuacct.usage", 1e-9), ("cpu", "cpu.stat", 1e-6)];
    let found = accounts
        .into_iter()
        .find_map(|(controller, file, unit)| Some((Cgroup::with(controller, file, test)?, file, unit)));
    if found.is_none() {
        skip(test, "no cgroup that accounts for CPU time can be made");
    }
    found
}

/// Reads the account of a cgroup when the clock starts and when it stops.
struct Accountant<'a> {
    cgroup: &'a Cgroup,
    file: &'a str,
    timed: [u64; 2],
}

impl Accountant<'_> {
    fn read(&self) -> u64 {
        self.cgroup.number(self.file).expect("the account")
    }
}

impl Observer for Accountant<'_> {
    fn admit(&self, runner: &mut Command) {
        self.cgroup.admit(runner);
    }

    fn before(&mut self) {
        self.timed[0] = self.read();
    }

    fn after(&mut self) {
        self.timed[1] = self.read();
    }
}

/// Modes in which work is done, with settings for any machine.
fn working_modes() -> [(Mode, Settings); 4] {
    let pool = Settings { workers: Some(2), chunk: Some(1), ..Settings::default() };
    let process = Settings { in_flight: Some(4), ..Settings::default() };
    [
        (Mode::Serial, Settings::default()),
        (Mode::Threads, pool.clone()),
        (Mode::Pool, pool),
        (Mode::Process, process),
    ]
}

#[test]
fn cpu_time_is_what_the_cgroup_accounts() {
    let Some((cgroup, file, unit)) = of_cpu_time("cpu_time_is_what_the_cgroup_accounts") else { return };
    let long = WorkloadSpec { cpu_seconds: 0.01, units_per_second: cpu::calibrate(), ..nothing(100) };
    // Of processes that do nothing all is creation and end, most of it the kernel's.
    let short = nothing(5000);
    let modes = working_modes().into_iter().map(|(mode, settings)| (mode, settings, &long));
    let processes = working_modes().into_iter().filter(|(mode, _)| *mode == Mode::Process);
    for (mode, settings, work) in modes.chain(processes.map(|(mode, settings)| (mode, settings, &short))) {
        let mut accountant = Accountant { cgroup: &cgroup, file, timed: [0; 2] };
        let before = accountant.read();
        let (report, tree) = observed(mode, settings, work.clone(), true, &mut accountant);
        let accounted = |from: u64, to: u64| (to - from) as f64 * unit;
        let agree = |what: &str, ours: f64, theirs: f64| {
            let off = (ours - theirs).abs() / theirs;
            // What a process does after its parent has been told of its end is in the cgroup's account alone.
            let afterwards = if mode == Mode::Process { 2e-6 * work.tasks as f64 } else { 0.0 };
            assert!(
                off <= 0.02 || (0.0..=afterwards).contains(&(theirs - ours)),
                "{mode}, {} tasks, {what}: {ours:.3} s of CPU time, the cgroup says {theirs:.3} s",
                work.tasks
            );
        };
        let [start, stop] = accountant.timed;
        agree("t0 to t3", report.cpu_seconds(), accounted(start, stop));
        agree("the whole tree", tree.total_seconds(), accounted(before, accountant.read()));
    }
}

/// A program in place of `name`, in the folder `bin`: each makes a cgroup of its own under `cgroup`, notes it in `log`, and becomes what it
/// stands for. Python is to take it for itself, or procbench would be told of the other.
fn accounted_for(sandbox: &Sandbox, cgroup: &Cgroup, name: &str) -> Option<PathBuf> {
    let is_there = |path: &PathBuf| path.is_file();
    let found =
        std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(is_there)?;
    let real = match name {
        "python3" => {
            let says =
                Command::new(found).args(["-I", "-c", "import sys; print(sys.executable)"]).output().ok()?;
            String::from_utf8(says.stdout).ok()?.trim().into()
        }
        _ => found,
    };
    let folder = sandbox.path("bin");
    fs::create_dir_all(&folder).expect("a folder");
    let (cgroup, log, real) = (cgroup.folder.display(), sandbox.path("log"), real.display());
    let script = format!(
        "#!/bin/bash\nown={cgroup}/$$\nmkdir $own && echo $$ > $own/cgroup.procs && echo $own >> {}\nexec -a \"$0\" {real} \"$@\"\n",
        log.display(),
    );
    let path = folder.join(name);
    fs::write(&path, script).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a script that can be executed");
    Some(path)
}

#[test]
fn cpu_time_of_pythons_and_of_other_tools_is_what_the_cgroup_accounts() {
    let test = "cpu_time_of_pythons_and_of_other_tools";
    let Some((cgroup, file, unit)) = of_cpu_time(test) else { return };
    if !fs::exists("/bin/bash").unwrap_or(false) {
        return skip(test, "there is no /bin/bash, which can give a program another name");
    }
    // A second of work, so that what the script does before it becomes the tool is next to nothing.
    const COUNTS: &str = "x=0; while [ $x -lt 30000 ]; do x=$((x + 1)); done";
    let of_python = "-n 100 --cpu 10ms -m serial,threads,pool,process:in-flight=4 --engine python --python";
    for (tool, arguments) in [
        ("python3", of_python),
        ("xargs", "-n 40 -m pool:workers=2 --engine xargs --shell --"),
        ("parallel", "-n 40 -m pool:workers=2 --engine parallel --shell --"),
    ] {
        if tool == "python3" && !has_python(test) {
            continue;
        }
        let sandbox = Sandbox::new();
        let Some(path) = accounted_for(&sandbox, &cgroup, tool) else {
            skip(test, &format!("{tool} is not there"));
            continue;
        };
        let last = if tool == "python3" { path.display().to_string() } else { COUNTS.into() };
        let words = arguments.split(' ').chain([last.as_str(), "--rounds", "2", "--json", "out.json"]);
        // Behind `--` stand words of the command.
        let (command, ours): (Vec<&str>, Vec<&str>) = words.partition(|word| [COUNTS, "--"].contains(word));
        let mut command_of_all =
            sandbox.command(ours.into_iter().chain(["--memory-method", "pss"]).chain(command));
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&folders);
        let path = std::env::join_paths([sandbox.path("bin")].into_iter().chain(folders)).expect("folders");
        command_of_all.env("PATH", path).env("PARALLEL_HOME", sandbox.path("home"));
        sandbox.run_command(command_of_all).expect_code(0);
        let document = common::parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
        let log = fs::read_to_string(sandbox.path("log")).expect("the cgroups, in their order");
        let mut accounted: Vec<f64> = Vec::new();
        for own in log.lines() {
            let own = Cgroup { folder: own.into() };
            accounted.push(own.number(file).expect("the account") as f64 * unit);
        }
        let mut timed: Vec<(u64, &str, f64)> = rounds(&document)
            .map(|(row, round)| (round.order, row.name.as_str(), round.tree_cpu_seconds()))
            .collect();
        timed.sort_by_key(|(order, ..)| *order);
        // Whoever is asked for its version, pilots and memory rounds come before them.
        let accounted = &accounted[accounted.len() - timed.len()..];
        for ((_, name, ours), theirs) in timed.iter().zip(accounted) {
            let off = (ours - theirs).abs() / theirs;
            assert!(off <= 0.02, "{name}: {ours:.3} s of CPU time, the cgroup says {theirs:.3} s");
        }
    }
}

/// Reads how a cgroup's CPU time divides into user and system time when the runner starts and when it is gone.
struct Divider<'a> {
    cgroup: &'a Cgroup,
    file: &'a str,
}

impl Divider<'_> {
    /// In whatever unit the account has.
    fn read(&self) -> [f64; 2] {
        let text = fs::read_to_string(self.cgroup.folder.join(self.file)).expect("the account");
        ["user", "system"].map(|part| {
            let is_of = |name: &str| name == part || name.strip_suffix("_usec") == Some(part);
            let found = text.lines().find_map(|line| line.split_once(' ').filter(|(name, _)| is_of(name)));
            found.and_then(|(_, number)| number.parse().ok()).expect("both parts")
        })
    }
}

impl Observer for Divider<'_> {
    fn admit(&self, runner: &mut Command) {
        self.cgroup.admit(runner);
    }
}

#[test]
fn user_and_system_time_of_long_tasks_divide_as_in_the_cgroups_account() {
    let accounts = [("cpuacct", "cpuacct.stat"), ("cpu", "cpu.stat")];
    let is_there = |cgroup: &Cgroup, file: &str| cgroup.folder.join(file).exists();
    let found = accounts.into_iter().find_map(|(controller, file)| {
        let folder = cgroup_to_make(controller, &format!("outside-{}-split", std::process::id()))?;
        fs::create_dir(&folder).ok()?;
        let cgroup = Cgroup { folder };
        is_there(&cgroup, file).then_some((cgroup, file))
    });
    let Some((cgroup, file)) = found else {
        return skip(
            "user_and_system_time_of_long_tasks",
            "no cgroup that accounts for CPU time can be made",
        );
    };
    let computes = WorkloadSpec { cpu_seconds: 0.1, units_per_second: cpu::calibrate(), ..nothing(10) };
    // New pages are the kernel's work.
    let takes_pages = WorkloadSpec { memory_bytes: 256 << 20, ..nothing(10) };
    let mut shares = Vec::new();
    for workload in [computes, takes_pages] {
        let mut divider = Divider { cgroup: &cgroup, file };
        let before = divider.read();
        let (_, tree) = observed(Mode::Serial, Settings::default(), workload, true, &mut divider);
        let [user, system] = [0, 1].map(|part| divider.read()[part] - before[part]);
        let (ours, theirs) = (tree.system.as_secs_f64() / tree.total_seconds(), system / (user + system));
        // Both divide by where ticks fell; a tick is up to a fiftieth of all of it.
        assert!((ours - theirs).abs() <= 0.1, "{tree:?}, the cgroup says {user} user and {system} system");
        shares.push(ours);
    }
    assert!(shares[0] < shares[1], "which of them takes pages is seen: {shares:?}");
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

/// Lets a runner into a cgroup and does not look.
struct Doorman<'a>(&'a Cgroup);

impl Observer for Doorman<'_> {
    fn admit(&self, runner: &mut Command) {
        self.0.admit(runner);
    }
}

#[test]
fn as_many_are_alive_at_once_as_the_kernel_must_allow_and_not_one_more() {
    const IN_FLIGHT: u64 = 30;
    let test = "as_many_are_alive_at_once_as_the_kernel_must_allow_and_not_one_more";
    let Some(cgroup) = Cgroup::with("pids", "pids.current", "most") else {
        return skip(test, "no cgroup that counts processes can be made");
    };
    let refused = || {
        let events = fs::read_to_string(cgroup.folder.join("pids.events")).expect("the account of refusals");
        let most = events.lines().find_map(|line| line.strip_prefix("max "));
        most.and_then(|count| count.parse::<u64>().ok()).expect("a count of refusals")
    };
    let waiting = WorkloadSpec { io_wait_seconds: 0.1, ..nothing(3 * IN_FLIGHT) };
    let settings = Settings { in_flight: Some(IN_FLIGHT), ..Settings::default() };
    // The runner alone is there beside them.
    for (allowed, alive, is_refused) in [(IN_FLIGHT + 1, IN_FLIGHT, false), (IN_FLIGHT, IN_FLIGHT - 1, true)]
    {
        fs::write(cgroup.folder.join("pids.max"), allowed.to_string()).expect("a limit on processes");
        let before = refused();
        let mut doorman = Doorman(&cgroup);
        let (report, _) = observed(Mode::Process, settings.clone(), waiting.clone(), false, &mut doorman);
        assert_eq!(report.peak_alive, alive, "of {allowed} that may exist");
        assert_eq!(report.processes_started, 3 * IN_FLIGHT);
        assert_eq!(refused() > before, is_refused, "refused when {allowed} may exist");
    }
}

/// Times a round with a clock of its own.
#[derive(Default)]
struct Stopwatch {
    started: Option<Instant>,
    elapsed: Duration,
}

impl Observer for Stopwatch {
    fn before(&mut self) {
        self.started = Some(Instant::now());
    }

    fn after(&mut self) {
        self.elapsed = self.started.take().expect("it was started").elapsed();
    }
}

#[test]
fn a_round_takes_as_long_as_a_stopwatch_around_it_says() {
    const WITHIN: f64 = 0.02;
    // A stopwatch may stop late, since somebody has to look at it, but not every time.
    const TRIES: usize = 20;
    let waiting = WorkloadSpec { io_wait_seconds: 0.2, ..nothing(40) };
    let mut differences = Vec::new();
    for _ in 0..TRIES {
        let mut stopwatch = Stopwatch::default();
        let settings = Settings { in_flight: Some(20), ..Settings::default() };
        let (report, _) = observed(Mode::Process, settings, waiting.clone(), true, &mut stopwatch);
        let elapsed = stopwatch.elapsed.as_secs_f64();
        assert!(report.total_seconds <= elapsed, "{report:?} within {elapsed} s");
        assert!(report.total_seconds >= 0.4, "two batches of waits are at least two waits: {report:?}");
        let parts = report.set_up_seconds
            + report.execute_seconds
            + report.tear_down_seconds.expect("a time of tear-down");
        assert!((parts - report.total_seconds).abs() < 1e-6, "{report:?}");
        differences.push((elapsed - report.total_seconds) / elapsed);
        if differences.last().is_some_and(|difference| *difference <= WITHIN) {
            return;
        }
    }
    panic!("the round is never within 2 % of the stopwatch: {differences:?}");
}

#[test]
fn a_stopwatch_around_the_program_shows_no_less_than_its_rounds_together() {
    let sandbox = Sandbox::new();
    let started = Instant::now();
    let document = sandbox.measure("-n 300 --cpu 100us --rounds 3 -m process");
    let stopwatch = started.elapsed().as_secs_f64();
    let together: f64 = rounds(&document).map(|(_, round)| round.outside_seconds).sum();
    assert!(together <= stopwatch, "rounds of {together} s in a run of {stopwatch} s");
    for (_, round) in rounds(&document) {
        assert!(round.report.total_seconds <= round.outside_seconds, "{round:?}");
    }
}

#[test]
fn a_round_takes_no_less_than_its_tasks_must_and_no_more_than_the_program_did() {
    let sandbox = Sandbox::new();
    let started = Instant::now();
    // One after the other, so that a clock which stood still or ran slowly would show less than that.
    let document = sandbox.measure("-n 20 --io-wait 20ms --rounds 2 -m process:in-flight=1");
    let stopwatch = started.elapsed().as_secs_f64();
    const LEAST: f64 = 20.0 * 0.02;
    for (_, round) in rounds(&document) {
        assert!((LEAST..=stopwatch).contains(&round.report.total_seconds), "{stopwatch} s, {round:?}");
    }
}

/// Reads how many processes and threads the kernel has created when the clock starts and when it stops.
#[derive(Default)]
struct Counter {
    created: [u64; 2],
}

impl Observer for Counter {
    fn before(&mut self) {
        self.created[0] = kernel::forks_since_boot().expect("the kernel's count");
    }

    fn after(&mut self) {
        self.created[1] = kernel::forks_since_boot().expect("the kernel's count");
    }
}

/// Whether the kernel's count stays what it is for `duration`, in which this program does nothing but look.
fn nobody_creates_any_for(duration: Duration) -> bool {
    let (started, before) = (Instant::now(), kernel::forks_since_boot());
    while started.elapsed() < duration {
        std::thread::yield_now();
    }
    kernel::forks_since_boot() == before
}

#[test]
fn the_kernel_counts_as_many_processes_as_each_round_says() {
    let test = "the_kernel_counts_as_many_processes_as_each_round_says";
    if kernel::forks_since_boot().is_none() {
        return skip(test, "there is no /proc/stat that counts them");
    }
    // The kernel counts everybody's. Once in so many tries nobody else creates any.
    const TRIES: usize = 200;
    for (mode, settings) in working_modes() {
        let tasks = 20;
        let expected = match mode {
            Mode::Serial | Mode::Threads => 0,
            Mode::Pool => 2,
            Mode::Process => tasks,
        };
        let mut quiet = 0;
        let exact = (0..TRIES).any(|_| {
            let mut counter = Counter::default();
            let started = Instant::now();
            let (report, _) = observed(mode, settings.clone(), nothing(tasks), false, &mut counter);
            assert_eq!(report.processes_started, expected, "{mode}");
            let counted = counter.created[1] - counter.created[0];
            assert!(counted >= expected, "{mode}: {expected} processes, the kernel counted {counted}");
            // rayon's threads, and the one that looks how far they are.
            let threads = if mode == Mode::Threads { 3 } else { 0 };
            quiet += usize::from(nobody_creates_any_for(started.elapsed()));
            counted == expected + threads
        });
        // Where others leave the kernel's count alone for as long as a round takes, but it is never right, it is wrong.
        assert!(exact || quiet < TRIES / 10, "{mode}: the kernel counts more than {expected} each time");
        if !exact {
            skip(test, &format!("{mode}: others kept creating processes in each of {TRIES} tries"));
        }
    }
}

/// Computes for a while in a process that nobody waits for, and ends after that has.
const IN_AN_ORPHAN: &str = "rm -f over; (sh -c 'i=0; while [ $i -lt 600000 ]; do i=$((i+1)); done; : >over' &); \
                            while [ ! -e over ]; do sleep 0.3; done; sleep 0.1";

#[test]
fn what_a_task_has_started_and_not_waited_for_counts_in_every_engine() {
    let test = "what_a_task_has_started_and_not_waited_for";
    let python = format!(
        "import subprocess\ndef work(_):\n    subprocess.run(['sh', '-c', \"\"\"{IN_AN_ORPHAN}\"\"\"])\n"
    );
    let by_command = |engine: &str| {
        // Each mode in which the native engine waits for its children in another way.
        let modes =
            if engine == "native" { "serial,threads,pool,pool:transport=pipe,process" } else { "process" };
        let words = [
            "-n", "1", "--rounds", "1", "-m", modes, "--engine", engine, "--json", "out.json", "--shell",
            "--",
        ];
        words.iter().map(|word| (*word).to_owned()).chain([IN_AN_ORPHAN.to_owned()]).collect::<Vec<_>>()
    };
    let by_call = "--call orphan:work --args-from one.jsonl --rounds 1 -m serial,process --json out.json";
    let mut engines: Vec<(&str, Vec<String>)> = vec![("native", by_command("native"))];
    for (tool, version) in [("xargs", "GNU"), ("parallel", "GNU")] {
        let said = Command::new(tool).arg("--version").output();
        match said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains(version)) {
            true => engines.push((tool, by_command(tool))),
            false => skip(test, &format!("{tool} is not installed")),
        }
    }
    if common::has_python(test) {
        engines.push(("python", by_call.split(' ').map(str::to_owned).collect()));
    }
    for (engine, words) in engines {
        // It may not quite have ended when its task has: then it is left running, and killed.
        let found = (0..5).find_map(|_| {
            let sandbox = Sandbox::new();
            sandbox.write("orphan.py", &python);
            sandbox.write("one.jsonl", "1\n");
            sandbox.run(&words).expect_code(0);
            let document = common::parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
            let all: Vec<_> = rounds(&document).map(|(_, round)| round.clone()).collect();
            all.iter().all(|round| round.report.left_running == 0).then_some(all)
        });
        for round in found.unwrap_or_else(|| panic!("{engine}: the process was left running each time")) {
            let own = round.report.cpu_seconds();
            let tree = round.tree_cpu_seconds();
            // What a runner takes to start is in the tree alone.
            assert!(own >= 0.5 * tree, "{engine}: {own} s of {tree} s");
        }
    }
}
