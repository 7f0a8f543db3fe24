//! Limits, set for real: each ends in a right result, or in one clear error that names it and its value, and nothing is left.
//!
//! What cannot be set here (by an ordinary user, in a container) is skipped, and says so.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::faults::{self, Count};
use common::programs::{assert_gone, hour};
use common::{Finished, Sandbox, cgroup_to_make, digest, flowing, has_python, kill, parse, skip};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use procbench::sys::fork::enter_on_start;

/// procbench with `arguments`, apart by spaces, under `limit`.
fn limited(sandbox: &Sandbox, arguments: &str, resource: Resource, limit: u64) -> Command {
    let mut command = sandbox.command(["-q"].into_iter().chain(arguments.split_whitespace()));
    // SAFETY: between fork and exec one system call is made, and nothing is allocated.
    unsafe { command.pre_exec(move || Ok(setrlimit(resource, limit, limit)?)) };
    command
}

/// The run says no, with one error that has all of `parts` in it.
#[track_caller]
fn assert_refused(finished: Finished, parts: &[&str]) {
    let finished = finished.expect_code(3);
    let error = finished.error();
    for part in parts {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
}

#[test]
fn open_files() {
    let mut count = Count::of("ulimit -n");
    let sandbox = Sandbox::new();
    for (limit, arguments) in [
        (16, "-n 10 --rounds 1 -m pool:transport=pipe:workers=20"),
        (12, "-n 10 --rounds 1 -m pool:transport=pipe:workers=20"),
        // Not enough for the process that cleans up.
        (6, "-n 10 --rounds 1 -m serial"),
    ] {
        let finished = sandbox.run_command(limited(&sandbox, arguments, Resource::RLIMIT_NOFILE, limit));
        assert_refused(finished, &["RLIMIT_NOFILE", &limit.to_string()]);
        count.survived();
    }
    let arguments = "-n 10 --rounds 1 -m serial,threads,pool,process";
    sandbox.run_command(limited(&sandbox, arguments, Resource::RLIMIT_NOFILE, 20)).expect_code(0);
    count.survived();
}

#[test]
fn address_space() {
    let mut count = Count::of("ulimit -v");
    let sandbox = Sandbox::new();
    let limit = 500_000_000;
    for arguments in [
        "-n 10 --arg-size 300MiB -m pool --rounds 1",
        "-n 1000 --result-size 1MiB -m serial --rounds 1",
        "-n 10 --parent-memory 1GiB -m serial --rounds 1",
        "-n 10 --shared 1GiB -m serial --rounds 1",
    ] {
        let finished = sandbox.run_command(limited(&sandbox, arguments, Resource::RLIMIT_AS, limit));
        assert_refused(finished, &["RLIMIT_AS is 500000000"]);
        count.survived();
    }
    // Here each task finds out for itself.
    let arguments = "-n 4 --memory 1GiB -m serial,pool,process --rounds 1 --json out.json";
    let finished =
        sandbox.run_command(limited(&sandbox, arguments, Resource::RLIMIT_AS, limit)).expect_code(1);
    let document = parse(&fs::read_to_string(sandbox.path("out.json")).expect("an export"));
    for row in &document.strategies {
        let failures = &row.rounds[0].report.failures;
        assert!(failures[0].reason.contains("RLIMIT_AS is 500000000"), "{finished:?}");
    }
    count.survived();
    // What is hardly enough to begin with may run out anywhere. What is less is not enough for the loader, which says so itself.
    let mut begun = 0;
    for limit in (8..40).map(|mib| mib << 20) {
        // Each thread of rayon's takes 2 MiB of it.
        let arguments = "-n 1000 -m serial,threads:workers=2,pool:workers=2,process --rounds 1";
        let finished = sandbox.run_command(limited(&sandbox, arguments, Resource::RLIMIT_AS, limit));
        match finished.code() {
            Some(0) => begun += 1,
            Some(3) => assert_refused(finished, &[&format!("RLIMIT_AS is {limit}")]),
            _ if begun == 0 && !finished.stderr.contains("memory allocation") => continue,
            _ => panic!("with {limit} bytes: {finished:?}"),
        }
        count.survived();
    }
    assert!(begun > 0, "with none of these limits a run could be made");
}

#[test]
fn file_size() {
    let mut count = Count::of("ulimit -f");
    let sandbox = Sandbox::new();
    sandbox.write("out.json", "old");
    let of_file = |arguments: &str, limit| limited(&sandbox, arguments, Resource::RLIMIT_FSIZE, limit);
    let finished = sandbox.run_command(of_file("-n 10 -m serial --rounds 1 --json out.json", 100));
    assert!(finished.stdout.contains("serial"), "the tables are there all the same: {finished:?}");
    assert_refused(finished, &["out.json", "RLIMIT_FSIZE is 100"]);
    assert_eq!(fs::read_to_string(sandbox.path("out.json")).expect("the old export"), "old");
    count.survived();
    for arguments in ["-n 10 -m pool:start=exec --rounds 1", "-n 10 -m pool --shared 1MiB --rounds 1"] {
        assert_refused(sandbox.run_command(of_file(arguments, 100)), &["RLIMIT_FSIZE is 100"]);
        count.survived();
    }
    let finished = sandbox.run_command(of_file("-n 4 --workload file -m serial,process --rounds 1", 4));
    let finished = finished.expect_code(1);
    assert!(finished.stderr.replace('\n', " ").contains("RLIMIT_FSIZE is 4"), "{finished:?}");
    count.survived();
}

/// An ordinary user to be, if this one is not: root is not held to its limit on processes.
const NOBODY: u32 = 65_534;

/// `command` as an ordinary user, where that can be had.
fn as_ordinary_user(sandbox: &Sandbox, command: &mut Command, test: &str) -> bool {
    if !nix::unistd::Uid::effective().is_root() {
        return true;
    }
    for folder in ["", "../tmp", ".."] {
        let folder = sandbox.path(folder);
        chown(&folder, Some(NOBODY), Some(NOBODY)).expect("root may do so");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("root may do so");
    }
    command.uid(NOBODY).gid(NOBODY);
    let may_execute = Command::new(env!("CARGO_BIN_EXE_procbench"))
        .arg("--version")
        .uid(NOBODY)
        .stdout(Stdio::null())
        .status();
    let may = may_execute.is_ok_and(|status| status.success());
    if !may {
        skip(test, "an ordinary user cannot reach the program's folder");
    }
    may
}

/// Threads of the user that procbench will be.
fn threads_in_use() -> u64 {
    let own = nix::unistd::Uid::effective();
    let user = if own.is_root() { NOBODY } else { own.as_raw() };
    let all = procfs::process::all_processes().expect("/proc").flatten();
    all.filter_map(|process| process.status().ok())
        .filter(|status| status.ruid == user)
        .map(|status| status.threads)
        .sum()
}

#[test]
fn processes_of_a_user() {
    let test = "processes_of_a_user";
    let mut count = Count::of("ulimit -u");
    // Others of the same user may come and go.
    let limit = threads_in_use() + 60;
    for (arguments, refused) in [
        ("-n 300 --io-wait 20ms --rounds 1 -m process --json out.json", false),
        ("-n 300 --rounds 1 -m pool:workers=200", true),
        ("-n 300 --rounds 1 -m threads:workers=200", true),
    ] {
        let sandbox = Sandbox::new();
        let mut command = limited(&sandbox, arguments, Resource::RLIMIT_NPROC, limit);
        if !as_ordinary_user(&sandbox, &mut command, test) {
            return;
        }
        let finished = sandbox.run_command(command);
        if refused {
            assert_refused(finished, &["RLIMIT_NPROC", &limit.to_string()]);
        } else {
            let document = parse(
                &fs::read_to_string(sandbox.path("out.json")).unwrap_or_else(|_| panic!("{finished:?}")),
            );
            let report = &document.strategies[0].rounds[0].report;
            assert_eq!(report.tasks_completed, 300, "{finished:?}");
            assert!(report.peak_alive < limit, "{report:?}");
            assert!(finished.stderr.replace('\n', " ").contains("RLIMIT_NPROC"), "{finished:?}");
        }
        count.survived();
    }
}

#[test]
fn processes_of_a_user_by_way_of_xargs() {
    let test = "processes_of_a_user_by_way_of_xargs";
    let version = Command::new("xargs").arg("--version").output();
    if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("GNU")) {
        return skip(test, "GNU xargs is not installed");
    }
    // The fewer there may be, the earlier somebody finds no room: procbench, its guardian, its runner, xargs.
    let arguments = "-n 3 --rounds 1 -m xargs-serial,serial -- /bin/true";
    with_room_for(0..=9, "ulimit -u, with xargs", arguments, test);
}

#[test]
fn processes_of_a_user_whose_tasks_are_commands() {
    let test = "processes_of_a_user_whose_tasks_are_commands";
    // Who finds that there is no room for even one waits a while for it, but not again for each of the tasks.
    with_room_for([3, 5, 7], "ulimit -u, with commands", "-n 100 --rounds 1 -m process -- /bin/true", test);
    let others = "-n 20 --rounds 1 -m serial -- /bin/true";
    with_room_for(0..=6, "ulimit -u, with commands one after another", others, test);
}

/// Runs `arguments` as a user who may have so many more processes and threads than he has: they are right, or refused. Others of the same
/// user may come and go, so which it is is not foreseen.
fn with_room_for(rooms: impl IntoIterator<Item = u64>, fault: &str, arguments: &str, test: &str) {
    let mut count = Count::of(fault);
    let sandbox = Sandbox::new();
    for room in rooms {
        let limit = threads_in_use() + room;
        let mut command = limited(&sandbox, arguments, Resource::RLIMIT_NPROC, limit);
        if !as_ordinary_user(&sandbox, &mut command, test) {
            return;
        }
        let finished = sandbox.run_command(command);
        match finished.code() {
            Some(0) => {}
            // There was room for some of the tasks, and then somebody else of that user had it.
            Some(1) => {
                let said = flowing(&finished.stderr);
                let told = format!(
                    "could not be started: Resource temporarily unavailable (os error 11); RLIMIT_NPROC is {limit}"
                );
                assert!(said.contains(&told), "{finished:?}");
            }
            _ => assert_refused(finished, &["RLIMIT_NPROC", &limit.to_string()]),
        }
        count.survived();
    }
}

/// A cgroup of the test's own with a limit, removed with it.
struct Cgroup(PathBuf);

impl Cgroup {
    /// One that has `controller`, in which the first of `files` that there is says `limit`: of version 2, and of version 1.
    fn with(controller: &str, files: [&str; 2], limit: &str) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("limits-{}-{controller}-{number}", std::process::id());
        let this = Self(cgroup_to_make(controller, &name)?);
        fs::create_dir(&this.0).ok()?;
        files.iter().any(|file| fs::write(this.0.join(file), limit).is_ok()).then_some(this)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn processes_of_a_cgroup() {
    let Some(cgroup) = Cgroup::with("pids", ["pids.max", "pids.max"], "60") else {
        return skip("processes_of_a_cgroup", "no cgroup with a limit on processes can be made");
    };
    let mut count = Count::of("pids.max of a cgroup");
    let sandbox = Sandbox::new();
    let run = |arguments: &str| {
        let mut command = sandbox.command(["-q"].into_iter().chain(arguments.split(' ')));
        enter_on_start(&mut command, &cgroup.0.join("cgroup.procs")).expect("a path");
        sandbox.run_command(command)
    };
    let finished = run("-n 300 --io-wait 20ms --rounds 1 -m process").expect_code(0);
    assert!(finished.stderr.replace('\n', " ").contains("pids.max of"), "{finished:?}");
    count.survived();
    for arguments in ["-n 300 --rounds 1 -m pool:workers=100", "-n 300 --rounds 1 -m threads:workers=100"] {
        assert_refused(run(arguments), &["pids.max of", "60"]);
        count.survived();
    }
}

fn allow(cgroup: &Cgroup, processes: &str) {
    fs::write(cgroup.0.join("pids.max"), processes).expect("a limit");
}

/// How often a fork was refused in `cgroup`.
fn refused(cgroup: &Cgroup) -> u64 {
    let events = fs::read_to_string(cgroup.0.join("pids.events")).expect("the kernel's count");
    let refused = events.lines().find_map(|line| line.strip_prefix("max ")?.trim().parse().ok());
    refused.unwrap_or_else(|| panic!("no count in {events}"))
}

/// A worker dies, and there is no room for its successor; and then there is, or there never is.
#[test]
fn a_pool_goes_on_without_a_worker_for_whose_successor_there_is_no_room() {
    let test = "a_pool_goes_on_without_a_worker_for_whose_successor_there_is_no_room";
    let Some(cgroup) = Cgroup::with("pids", ["pids.max", "pids.max"], "60") else {
        return skip(test, "no cgroup with a limit on processes can be made");
    };
    let mut count = Count::of("worker killed while there is no room for its successor");
    // The only worker dies before it has claimed anything, so that its successor inherits nothing, and has all to do.
    for (pool, workers, init, both) in [
        ("pool:workers=3", 3, "0", &[true, false][..]),
        ("pool:workers=3:transport=pipe", 3, "0", &[true]),
        ("pool:workers=3:start=exec", 3, "0", &[true]),
        ("pool:workers=1", 1, "500ms", &[true]),
        ("pool:workers=1:transport=pipe", 1, "500ms", &[true]),
    ] {
        for room_again in both {
            let sandbox = Sandbox::new();
            allow(&cgroup, "60");
            let arguments = ["-q", "-n", "300", "--io-wait", "10ms", "--arg-size", "8", "--rounds", "1"];
            let more = ["--init", init, "--json", "out.json", "-m", pool];
            let mut command = sandbox.command(arguments.into_iter().chain(more));
            enter_on_start(&mut command, &cgroup.0.join("cgroup.procs")).expect("a path");
            let mut running = sandbox.start(command);
            // Before the one that is timed come a pilot and the measurement of memory.
            let runner = running.wait_for_runner(3);
            let worker = running.wait_for("workers", |running| {
                let all = running.children_of(runner);
                (all.len() == workers).then(|| all[workers / 2])
            });
            let before = refused(&cgroup);
            allow(&cgroup, "1");
            kill(worker);
            running.wait_for("a refusal", |_| (refused(&cgroup) > before).then_some(()));
            if !room_again {
                assert_refused(running.finish(), &["failed to start", "worker", "pids.max of", "is 1"]);
            } else {
                running.wait_for("the others to go on", |running| {
                    (running.children_of(runner).len() == workers - 1).then_some(())
                });
                allow(&cgroup, "60");
                let finished = running.finish().expect_code(0);
                let document = parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
                let report = &document.strategies[0].rounds[0].report;
                assert_eq!((report.tasks_completed, report.tasks_failed), (300, 0), "{finished:?}");
                assert_eq!(report.processes_started, workers as u64 + 1, "{finished:?}");
            }
            count.survived();
        }
    }
    drop(count.lost("nothing once there is room, or the run with an error that names the limit"));
}

/// What tasks leave running is ended after each round, which may be too late.
#[test]
fn tasks_that_leave_processes_running_are_stopped_before_there_is_no_room() {
    let test = "tasks_that_leave_processes_running_are_stopped_before_there_is_no_room";
    let Some(cgroup) = Cgroup::with("pids", ["pids.max", "pids.max"], "400") else {
        return skip(test, "no cgroup with a limit on processes can be made");
    };
    let hour = hour();
    let mut count = Count::of("tasks that leave processes running, in a cgroup with pids.max");
    for mode in ["process:in-flight=2", "pool:workers=2", "threads:workers=2", "serial"] {
        let sandbox = Sandbox::new();
        let script = format!("sleep {hour} & sleep 0.005");
        let arguments =
            ["-q", "-n", "4000", "--rounds", "1", "--json", "out.json", "-m", mode, "--shell", "--", &script];
        let mut command = sandbox.command(arguments);
        enter_on_start(&mut command, &cgroup.0.join("cgroup.procs")).expect("a path");
        let before = refused(&cgroup);
        let finished = sandbox.run_command(command);
        assert_refused(finished, &["tasks have left", "processes running", "pids.max of", "is 400"]);
        assert_eq!(refused(&cgroup), before, "{mode}: there was room to the end");
        assert_gone(&hour, Duration::ZERO);
        count.survived();
    }
    drop(count.lost("the run, with an error that names the limit, before there is no room"));
}

/// What has been timed by then is there all the same.
#[test]
fn a_limit_that_is_met_in_a_later_round_leaves_what_was_timed_before() {
    let test = "a_limit_that_is_met_in_a_later_round_leaves_what_was_timed_before";
    let Some(cgroup) = Cgroup::with("pids", ["pids.max", "pids.max"], "60") else {
        return skip(test, "no cgroup with a limit on processes can be made");
    };
    // Else there are as many rounds for it as timed ones.
    if Cgroup::with("memory", ["memory.max", "memory.limit_in_bytes"], "1000000000").is_none() {
        return skip(test, "no cgroup in which memory is accounted for can be made");
    }
    let mut count = Count::of("pids.max of a cgroup met in a later round");
    let sandbox = Sandbox::new();
    let arguments = "-n 200 --io-wait 20ms --rounds 6 --json out.json -m process:in-flight=8";
    let mut command = sandbox.command(arguments.split(' '));
    enter_on_start(&mut command, &cgroup.0.join("cgroup.procs")).expect("a path");
    let mut running = sandbox.start(command);
    // The pilot, the one for memory, and one that is timed.
    let runner = running.wait_for_runner(4);
    running.wait_for("tasks", |running| (!running.children_of(runner).is_empty()).then_some(()));
    allow(&cgroup, "1");
    let finished = running.finish().expect_code(3);
    let said = flowing(&finished.stderr);
    assert!(said.contains("ended by an error: only what was finished before is shown"), "{finished:?}");
    assert!(
        finished.error().contains("fork failed for 10s") && finished.error().contains("is 1"),
        "{finished:?}"
    );
    assert!(flowing(&finished.stdout).contains("The run ended before it was done."), "{finished:?}");
    let document = parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
    assert!(document.partial && document.cut_off.is_none());
    assert!(document.ended_by.expect("a reason").contains("fork failed for 10s"));
    // On a busy machine it may have been the next round.
    assert!((1..6).contains(&document.strategies[0].rounds.len()), "{finished:?}");
    count.survived();
    drop(count.lost("that round; what had been timed is there"));
}

/// In the middle of a round there is no room for even one more process, and then there is again, or there never is.
#[test]
fn processes_of_a_cgroup_in_the_middle() {
    let Some(cgroup) = Cgroup::with("pids", ["pids.max", "pids.max"], "60") else {
        return skip(
            "processes_of_a_cgroup_in_the_middle",
            "no cgroup with a limit on processes can be made",
        );
    };
    let mut count = Count::of("pids.max of a cgroup lowered to 1 in the middle of a round");
    let (allow, refused) = (|processes| allow(&cgroup, processes), || refused(&cgroup));
    let once = "--rounds 1 --json out.json -m process:in-flight=8";
    for (workload, room_again) in [
        (format!("--io-wait 20ms {once}"), true),
        (format!("--io-wait 20ms {once}:start=exec"), true),
        (format!("{once} -- sleep 0.02"), true),
        (format!("--io-wait 20ms {once}"), false),
    ] {
        let sandbox = Sandbox::new();
        // On a busy machine all tasks may be done before this process comes to lower the limit:
        // then there are more of them the next time.
        let mut tasks = 1000;
        let (running, arguments) = loop {
            let arguments = format!("-n {tasks} {workload}");
            allow("60");
            let mut command = sandbox.command(["-q"].into_iter().chain(arguments.split(' ')));
            enter_on_start(&mut command, &cgroup.0.join("cgroup.procs")).expect("a path");
            let mut running = sandbox.start(command);
            // Pilots come first, and have fewer tasks; then memory is measured, perhaps in another cgroup.
            let guarded = arguments.contains("sleep");
            let mut seen = BTreeMap::new();
            let runner = running.wait_for("a second runner in the middle of its tasks", |running| {
                let runner = if guarded { running.guarded_runner() } else { running.runner() }?;
                let tasks: &mut BTreeSet<i32> = seen.entry(runner).or_default();
                tasks.extend(running.children_of(runner));
                let in_the_middle = tasks.len() > 64;
                let rounds = seen.values().filter(|tasks| tasks.len() > 64).count();
                (in_the_middle && rounds == 2).then_some(runner)
            });
            let before = refused();
            allow("1");
            running.wait_for("the end of those that are alive", |running| {
                running.children_of(runner).is_empty().then_some(())
            });
            if refused() > before {
                break (running, arguments);
            }
            allow("60");
            running.finish().expect_code(0);
            println!("{arguments}: again, with more tasks");
            tasks *= 4;
            assert!(tasks <= 100_000, "{arguments}: never was there no room");
        };
        if !room_again {
            assert_refused(running.finish(), &["fork failed for 10s", "pids.max of", "is 1"]);
        } else {
            allow("60");
            let finished = running.finish().expect_code(0);
            let document = parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
            let report = &document.strategies[0].rounds[0].report;
            let done = (report.tasks_completed, report.tasks_failed);
            assert_eq!(done, (tasks, 0), "{arguments}: {finished:?}");
            assert_eq!(report.processes_started, tasks, "{arguments}: {finished:?}");
        }
        count.survived();
    }
    drop(count.lost("nothing once there is room, or the run with an error that names the limit"));
}

#[test]
fn memory_of_a_cgroup() {
    let test = "memory_of_a_cgroup";
    let files = ["memory.max", "memory.limit_in_bytes"];
    let Some(cgroup) = Cgroup::with("memory", files, "209715200") else {
        return skip(test, "no cgroup with a limit on memory can be made");
    };
    // Else there would be no want of it.
    for (file, most) in [("memory.swap.max", "0"), ("memory.memsw.limit_in_bytes", "209715200")] {
        let _ = fs::write(cgroup.0.join(file), most);
    }
    let mut count = Count::of("memory cgroup of 200 MiB, workload of 2 GiB");
    let sandbox = Sandbox::new();
    let run = |arguments: &str| {
        let mut command = sandbox.command(["-q"].into_iter().chain(arguments.split(' ')));
        enter_on_start(&mut command, &cgroup.0.join("cgroup.procs")).expect("a path");
        sandbox.run_command(command)
    };
    // Somebody else, who must not notice.
    let mut other = Command::new("sleep").arg("600").spawn().expect("sleep");
    for arguments in [
        "-n 4 --memory 2GiB --rounds 1 -m serial",
        "-n 1024 --result-size 2MiB --rounds 1 -m pool",
        "-n 4 --parent-memory 2GiB --rounds 1 -m process",
        "-n 4 --shared 2GiB --rounds 1 -m process",
    ] {
        assert_refused(run(arguments), &["memory.", "200.0 MiB (209715200 bytes)"]);
        count.survived();
    }
    let finished = run("-n 40 --memory 50MiB --io-wait 20ms --rounds 1 -m process").expect_code(0);
    assert!(finished.stderr.contains("at most"), "no more at once than fit: {finished:?}");
    count.survived();
    memory_of_a_cgroup_with_a_neighbour(&cgroup, &sandbox, test, &mut count);
    // A command that takes it all is killed by the kernel, and told of.
    let filling = [
        "-n",
        "2",
        "--rounds",
        "1",
        "-q",
        "-m",
        "process:in-flight=1",
        "--",
        "dd",
        "if=/dev/zero",
        "of=/dev/null",
        "bs=2G",
        "count=1",
    ];
    let mut command = sandbox.command(filling);
    enter_on_start(&mut command, &cgroup.0.join("cgroup.procs")).expect("a path");
    let finished = sandbox.run_command(command).expect_code(1);
    assert!(other.try_wait().expect("a status").is_none(), "the other goes on");
    other.kill().and_then(|()| other.wait()).expect("it can be killed");
    if finished.stderr.contains("exit code 1") {
        return skip(test, "dd was not given so much in the first place: this machine does not overcommit");
    }
    assert!(finished.stderr.contains("SIGKILL"), "{finished:?}");
    count.survived();
}

/// Of the same cgroup, somebody has a part who is larger than each of many commands, which together take more than there is.
fn memory_of_a_cgroup_with_a_neighbour(cgroup: &Cgroup, sandbox: &Sandbox, test: &str, count: &mut Count) {
    let may = Command::new("sh")
        .args(["-c", "echo 1000 > /proc/self/oom_score_adj"])
        .stderr(Stdio::null())
        .status();
    if !may.is_ok_and(|status| status.success()) {
        return skip(test, "a neighbour: the kernel cannot be told whom to kill first (oom_score_adj)");
    }
    // What nobody can know beforehand: commands that together take more than there is. Each is small beside somebody else, whom the
    // kernel would take first if it were not told whom to.
    let mut neighbour = Command::new("sh");
    neighbour
        .args(["-c", "held=$(head -c 62914560 /dev/zero | tr '\\000' x); echo ready; read end; : ${#held}"]);
    enter_on_start(&mut neighbour, &cgroup.0.join("cgroup.procs")).expect("a path");
    let mut neighbour = neighbour.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
    let mut ready = [0; 6];
    if neighbour.stdout.as_mut().expect("a pipe").read_exact(&mut ready).is_err() {
        neighbour.wait().expect("it has ended");
        return skip(test, "a neighbour: this shell needs more memory than there is for as much text");
    }
    // On a slow machine the first may have ended before the last holds all of its own.
    let run = |seconds: u32| {
        let holds =
            format!("held=$(head -c 12582912 /dev/zero | tr '\\000' x); sleep {seconds}; : ${{#held}}");
        let many = ["-q", "-n", "30", "--rounds", "1", "-m", "process:in-flight=30", "--shell", "--", &holds];
        let mut command = sandbox.command(many);
        enter_on_start(&mut command, &cgroup.0.join("cgroup.procs")).expect("a path");
        sandbox.run_command(command)
    };
    let finished = [1, 4, 16].into_iter().map(run).find(|finished| finished.code() != Some(0));
    let finished = finished.expect("more than there is");
    assert!(neighbour.try_wait().expect("a status").is_none(), "the neighbour lives: {finished:?}");
    assert!(finished.stderr.contains("SIGKILL"), "somebody was killed: {finished:?}");
    let told = finished.stderr.replace('\n', " ");
    if fs::read_to_string("/proc/vmstat").is_ok_and(|counts| counts.contains("oom_kill ")) {
        assert!(told.contains("for want of memory, ") && told.contains("is 209715200"), "{told}");
    }
    drop(neighbour.stdin.take());
    neighbour.wait().expect("it ends");
    count.survived();
}

/// Runs procbench in mounts of its own, which `script` has made; `$0` is procbench's folder to work in, and the rest its words.
fn in_mounts(sandbox: &Sandbox, test: &str, script: &str, arguments: &str) -> Option<Finished> {
    let can = Command::new("unshare")
        .args(["-m", "mount", "-t", "tmpfs", "none", "/mnt"])
        .stderr(Stdio::null())
        .status();
    if !can.is_ok_and(|status| status.success()) {
        skip(test, "nothing can be mounted (unshare -m)");
        return None;
    }
    let plain = sandbox.command(arguments.split(' '));
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", &format!("{script}\ncd \"$0\"; exec \"$@\"")]);
    command.arg(sandbox.path("")).arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(sandbox.path("")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(sandbox.run_command(command))
}

#[test]
fn a_full_disk() {
    let test = "a_full_disk";
    let mut count = Count::of("disk full while exporting");
    let sandbox = Sandbox::new();
    // The old export takes all the room that there is. The shell stays, to look at what is there in the end.
    let script = "mount -t tmpfs -o size=4k none \"$0\"; cd \"$0\"; printf old >out
        \"$@\" && code=$? || code=$?; cat out; ls -A; exit $code";
    for export in ["--json", "--csv", "--html", "--markdown"] {
        let arguments = format!("-q -n 10 --rounds 1 -m pool,process {export} out");
        let Some(finished) = in_mounts(&sandbox, test, script, &arguments) else { return };
        assert!(finished.stdout.contains("pool"), "the tables are there all the same: {finished:?}");
        assert!(finished.stdout.ends_with("oldout\n"), "the old export, and nothing else: {finished:?}");
        assert_refused(finished, &["out", "to a file system of", "No space left on device"]);
        count.survived();
    }
    for study in [
        "sweep -q --vary tasks=10,20 --rounds 1 --json out",
        "crossover -q --between serial,process --over tasks=1..100 --time-limit 1s --json out",
        "advise -q -n 50 --time-limit 1s --json out",
    ] {
        let finished = in_mounts(&sandbox, test, script, study).expect("as above");
        if flowing(&finished.stderr).contains("within the time limit") {
            skip(test, "the machine is too busy for so short a search");
            continue;
        }
        assert!(finished.stdout.ends_with("oldout\n"), "the old export, and nothing else: {finished:?}");
        assert_refused(finished, &["out", "to a file system of", "No space left on device"]);
        count.survived();
    }
    if has_python(test) {
        // What the calls return is kept there while they are made.
        let lines = "1\\n2\\n3\\n";
        let script = script.replacen("mount", &format!("printf '{lines}' >/mnt/lines; mount"), 1);
        let script = format!("mount -t tmpfs none /mnt; {script}");
        let arguments = "-q --call operator:neg --args-from /mnt/lines --rounds 1 -m py-serial --returns out";
        let finished = in_mounts(&sandbox, test, &script, arguments).expect("as above");
        assert!(finished.stdout.ends_with("oldout\n"), "the old file, and nothing else: {finished:?}");
        assert_refused(finished, &["out", "No space left on device"]);
        count.survived();
    }
}

#[test]
fn a_folder_that_cannot_be_written_to() {
    let test = "a_folder_that_cannot_be_written_to";
    let mut count = Count::of("read-only working directory");
    let sandbox = Sandbox::new();
    let script = "mount -t tmpfs -o ro none \"$0\"";
    let everything = "-q -n 10 --rounds 1 -m serial,threads,pool,process,pool:start=exec,process:start=exec";
    let Some(finished) = in_mounts(&sandbox, test, script, everything) else { return };
    finished.expect_code(0);
    count.survived();
    let finished =
        in_mounts(&sandbox, test, script, "-q -n 10 --json out.json").expect("as above").expect_code(2);
    assert!(finished.error().contains("out.json") && finished.error().contains("Read-only"), "{finished:?}");
    count.survived();
}

/// Nothing works without what lies at `place` once `script` has hidden it, and the error names it.
fn without(place: &str, script: &str, test: &str) {
    let mut count = Count::of(format!("no {place}"));
    let sandbox = Sandbox::new();
    for arguments in ["-q -n 10 -m pool", "-q -n 10 -m process -- true", "-q -n 10 -m py-pool"] {
        let Some(finished) = in_mounts(&sandbox, test, script, arguments) else { return };
        assert_refused(finished, &[place]);
        count.survived();
    }
}

#[test]
fn no_proc() {
    without("/proc", "mount -t tmpfs none /proc", "no_proc");
}

#[test]
fn no_dev_null() {
    without("/dev/null", "mount -t tmpfs none /dev", "no_dev_null");
}

#[test]
fn time_to_compute() {
    let mut count = Count::of("ulimit -t");
    let sandbox = Sandbox::new();
    for mode in ["serial", "threads"] {
        let arguments = format!("-n 4 --cpu 900ms --rounds 1 -m {mode}");
        assert_refused(
            sandbox.run_command(limited(&sandbox, &arguments, Resource::RLIMIT_CPU, 1)),
            &["RLIMIT_CPU is 1 seconds"],
        );
        count.survived();
    }
}

#[test]
fn temporary_files_without_a_place() {
    let test = "temporary_files_without_a_place";
    let mut count = Count::of("a TMPDIR that is not there, is full, or goes away");
    let sandbox = Sandbox::new();
    sandbox.write("file", "");
    for place in ["/nonexistent", "file"] {
        let mut command = sandbox.command("-q -n 4 --rounds 1 -m serial --workload file".split(' '));
        command.env("TMPDIR", place);
        assert_refused(sandbox.run_command(command), &["TMPDIR"]);
        count.survived();
    }
    // By someone who does not know that this run needs it.
    let mut command = sandbox.command("-q -n 4 --cpu 900ms --rounds 1 -m serial --workload file".split(' '));
    command.env("TMPDIR", sandbox.path("gone"));
    fs::create_dir(sandbox.path("gone")).expect("a folder");
    let mut running = sandbox.start(command);
    running.wait_for("a folder of a round", |running| {
        running.runner()?;
        fs::read_dir(sandbox.path("gone")).ok()?.next().map(drop)
    });
    while fs::remove_dir_all(sandbox.path("gone")).is_err() {}
    assert_refused(running.finish(), &["gone/procbench-"]);
    count.survived();
    if has_python(test) {
        let script = "mount -t tmpfs -o size=128k none /mnt; export TMPDIR=/mnt";
        let arguments = "-q -n 5 --rounds 1 -m py-process";
        let Some(finished) = in_mounts(&sandbox, test, script, arguments) else { return };
        assert_refused(finished, &["2.0 MiB", "TMPDIR", "available"]);
        count.survived();
    }
}

#[test]
fn no_shared_memory_folder() {
    let test = "no_shared_memory_folder";
    let mut count = Count::of("no /dev/shm");
    let sandbox = Sandbox::new();
    let everything =
        "-q -n 10 --rounds 1 --shared 1MiB -m serial,threads,pool,process,pool:start=exec,process:start=exec";
    let read_only = "mount -t tmpfs -o ro none /dev/shm";
    let missing = "mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3";
    for script in [read_only, missing] {
        let Some(finished) = in_mounts(&sandbox, test, script, everything) else { return };
        finished.expect_code(0);
        count.survived();
        if has_python(test) {
            let finished =
                in_mounts(&sandbox, test, script, "-q -n 10 --rounds 1 -m py-pool").expect("as above");
            assert_refused(finished, &["/dev/shm"]);
            count.survived();
        }
    }
}

#[test]
fn a_pipe_that_nobody_reads_is_waited_for_and_can_be_interrupted() {
    let mut count = Count::of("pipe of 64 KiB that nobody reads");
    let sandbox = Sandbox::new();
    // More than fits into a pipe, so that writing it has to wait.
    let words = "-n 200 --rounds 100 -q -m serial --json -";
    let mut command = sandbox.command(words.split(' '));
    let (reads, writes) = std::io::pipe().expect("a pipe");
    let size = nix::fcntl::fcntl(&writes, nix::fcntl::FcntlArg::F_SETPIPE_SZ(65_536)).expect("a size");
    command.stdout(writes);
    let mut running = sandbox.start(command);
    running.wait_for("a full pipe", |_| {
        let mut held = 0_i32;
        // SAFETY: the request writes one integer.
        unsafe { libc::ioctl(reads.as_raw_fd(), libc::FIONREAD, &mut held) };
        (held >= size).then_some(())
    });
    // It may be that whoever reads comes back, so one is not enough.
    running.signal(Signal::SIGINT);
    if running.wait_until_noticed(Signal::SIGINT) {
        running.signal_if_there(Signal::SIGINT);
    }
    let finished = running.finish();
    assert!([Some(130), None].contains(&finished.code()), "{finished:?}");
    count.survived();
}

/// What else procbench starts: Python's rows, a function of the user's, programs that stay, and studies.
const OTHERS: [&str; 6] = [
    "-q -n 10 --rounds 1 -m py-serial,py-threads,py-pool,py-process --json out.json",
    "-q --call arithmetic:double --args-from lines --rounds 1 --json out.json",
    "-q -n 20 --rounds 1 --worker cat -m serial,threads,pool,process --json out.json",
    "sweep -q --vary tasks=10,20 --rounds 2 --json out.json",
    "crossover -q --between pool,process --over tasks=1..100 --time-limit 2s --json out.json",
    "advise -q -n 50 --time-limit 2s --json out.json",
];

/// Runs all of [`OTHERS`] under some of `limits` (under all of them, where the full counts are asked for): what comes of it is right, or
/// the limit is named with its value.
fn hold_others(resource: Resource, name: &str, limits: &[u64], test: &str) {
    let mut count = Count::of(format!("{name}, on Python, programs that stay and studies"));
    let python = has_python(test);
    for (place, arguments) in OTHERS.iter().enumerate() {
        if !python && (arguments.contains("py-") || arguments.contains("--call")) {
            continue;
        }
        let chosen = |at: &usize| faults::full() || at % limits.len() == place % limits.len();
        for limit in (0..limits.len()).filter(chosen).map(|at| limits[at]) {
            let sandbox = Sandbox::new();
            sandbox.write("arithmetic.py", "def double(number):\n    return 2 * number\n");
            sandbox.write("lines", "1\n2\n3\n");
            let mut command = sandbox.command(arguments.split(' '));
            // Byte code beside the module would be a file that is left; it is Python's, and wanted.
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            let limit = match resource {
                // Of these there are others of the same user, who is not root.
                Resource::RLIMIT_NPROC => threads_in_use() + limit,
                _ => limit,
            };
            // SAFETY: between fork and exec one system call is made, and nothing is allocated.
            unsafe { command.pre_exec(move || Ok(setrlimit(resource, limit, limit)?)) };
            if resource == Resource::RLIMIT_NPROC && !as_ordinary_user(&sandbox, &mut command, test) {
                return;
            }
            let finished = sandbox.run_command(command);
            match finished.code() {
                Some(0) => assert_complete(&sandbox, arguments.starts_with('-'), &finished),
                Some(1) => assert!(flowing(&finished.stderr).contains(name), "{finished:?}"),
                // A busy machine may be too slow for so short a search.
                Some(3) if flowing(&finished.stderr).contains("within the time limit") => continue,
                _ => assert_refused(finished, &[name, &limit.to_string()]),
            }
            count.survived();
        }
    }
}

/// What was exported is all there; of a run, every task of every round is done.
#[track_caller]
fn assert_complete(sandbox: &Sandbox, is_run: bool, finished: &Finished) {
    let text = fs::read_to_string(sandbox.path("out.json")).expect("an export");
    if is_run {
        let document = parse(&text);
        let tasks = document.plan.workload.tasks;
        let mut done = common::rounds(&document).map(|(_, round)| round.report.tasks_completed);
        assert!(!document.partial && done.all(|done| done == tasks), "{finished:?}");
    } else {
        let export: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(export["partial"], false, "{finished:?}");
    }
}

#[test]
fn open_files_of_all_else() {
    hold_others(Resource::RLIMIT_NOFILE, "RLIMIT_NOFILE", &[8, 14, 30], "open_files_of_all_else");
}

#[test]
fn address_space_of_all_else() {
    // The least of them is not enough for Python, but for the loader.
    let limits = [40 << 20, 90 << 20, 400 << 20];
    hold_others(Resource::RLIMIT_AS, "RLIMIT_AS", &limits, "address_space_of_all_else");
}

#[test]
fn file_size_of_all_else() {
    hold_others(Resource::RLIMIT_FSIZE, "RLIMIT_FSIZE", &[1000, 100_000], "file_size_of_all_else");
}

#[test]
fn processes_of_all_else() {
    hold_others(Resource::RLIMIT_NPROC, "RLIMIT_NPROC", &[1, 4, 30], "processes_of_all_else");
}

#[test]
fn what_is_right_is_right_under_limits_too() {
    let sandbox = Sandbox::new();
    let free = sandbox
        .measure("-n 200 --arg-size 100 --result-size 100 --rounds 1 -m pool:transport=pipe:workers=3");
    let arguments =
        "-n 200 --arg-size 100 --result-size 100 --rounds 1 -m pool:transport=pipe:workers=3 --json out.json";
    sandbox.run_command(limited(&sandbox, arguments, Resource::RLIMIT_NOFILE, 30)).expect_code(0);
    let held = parse(&fs::read_to_string(sandbox.path("out.json")).expect("an export"));
    assert_eq!(digest(&free), digest(&held));
}
