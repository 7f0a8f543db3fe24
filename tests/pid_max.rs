//! More parked tasks at once than the kernel has process ids for, for real: the run stays below them, and finishes.
//!
//! Since Linux 6.14 a namespace of process ids has a `pid_max` of its own, so that the machine's need not be touched.

mod common;

use std::fs;
use std::process::{Command, Stdio};

use common::faults::{Count, full};
use common::{Sandbox, parse, skip};

/// Why a namespace cannot be had whose `pid_max` is its own, if it cannot.
fn cannot() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse::<u32>);
    let version = (numbers.next().and_then(Result::ok), numbers.next().and_then(Result::ok));
    if version < (Some(6), Some(14)) {
        return Some(format!("in Linux {} a pid_max is the whole machine's", release.trim()));
    }
    let script = "echo 1000 > /proc/sys/kernel/pid_max";
    let made = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "sh", "-ec", script])
        .stderr(Stdio::null())
        .status();
    let made = made.is_ok_and(|status| status.success());
    (!made).then(|| "no namespace of process ids can be made (unshare --pid)".into())
}

#[test]
fn more_parked_tasks_than_process_ids_are_never_all_alive() {
    if let Some(why) = cannot() {
        return skip("more_parked_tasks_than_process_ids_are_never_all_alive", &why);
    }
    let (pid_max, tasks, wait) = if full() { (32_768, 40_000, "10s") } else { (1000, 1300, "500ms") };
    let mut count = Count::of(format!("{tasks} parked tasks at once below a pid_max of {pid_max}"));
    let sandbox = Sandbox::new();
    let arguments = format!(
        "-n {tasks} --io-wait {wait} --rounds 1 --warmup 0 -m process --in-flight all --json out.json -q"
    );
    let plain = sandbox.command(arguments.split(' '));
    let mut command = Command::new("unshare");
    // The shell stays, to be the first process of the namespace: that one is not like others.
    let script = format!("echo {pid_max} > /proc/sys/kernel/pid_max; \"$@\"");
    command.args(["--pid", "--fork", "--mount-proc", "sh", "-ec", &script, "sh"]);
    command.arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(sandbox.path("")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let finished = sandbox.run_command(command).expect_code(0);
    let document = parse(&fs::read_to_string(sandbox.path("out.json")).expect("an export"));
    let report = &document.strategies[0].rounds[0].report;
    assert_eq!((report.tasks_completed, report.tasks_failed, report.retries), (tasks, 0, 0), "{finished:?}");
    let [guarded] = document.plan.guarded.as_slice() else { panic!("{:?}", document.plan.guarded) };
    let binding = guarded.verdict.binding.as_ref().expect("a limit");
    assert_eq!((binding.limit.as_str(), binding.value), ("kernel.pid_max", pid_max), "{finished:?}");
    assert!(report.peak_alive <= guarded.verdict.allowed, "{report:?}");
    assert!(guarded.verdict.allowed < pid_max, "{guarded:?}");
    // It was about to: more would have been alive if there had been room.
    assert!(report.peak_alive > pid_max / 2, "{report:?}");
    assert!(finished.stderr.replace('\n', " ").contains("kernel.pid_max"), "{finished:?}");
    count.survived();
}
