//! A limit on CPU time, set for real: how many cores count, and what is said when it stopped tasks.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Sandbox, cgroup_to_make, parse, skip};
use procbench::document::Document;
use procbench::measure::environment::Quota;
use procbench::sys::fork::enter_on_start;

/// A cgroup of the test's own whose processes may use half of a core, removed with it.
struct HalfACore(PathBuf);

impl HalfACore {
    /// Of version 2 or 1.
    fn new(name: &str) -> Option<Self> {
        let this = Self(cgroup_to_make("cpu", &format!("quota-{}-{name}", std::process::id()))?);
        fs::create_dir(&this.0).ok()?;
        let quotas = [("cpu.max", "10000 20000"), ("cpu.cfs_quota_us", "50000")];
        quotas.iter().any(|(file, quota)| fs::write(this.0.join(file), quota).is_ok()).then_some(this)
    }
}

impl Drop for HalfACore {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// A run with `arguments` under the quota; `None` where none can be set, which is said.
fn run(test: &str, arguments: &str) -> Option<Document> {
    let Some(cgroup) = HalfACore::new(test) else {
        skip(test, "no cgroup with a limit on CPU time can be made");
        return None;
    };
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(arguments.split(' ').chain(["--json", "out.json"]));
    enter_on_start(&mut command, &cgroup.0.join("cgroup.procs")).expect("a path");
    sandbox.run_command(command).expect_code(0);
    Some(parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export")))
}

#[test]
fn all_modes_use_the_cores_that_a_quota_leaves() {
    let arguments = "-n 40 --io-wait 1ms --rounds 1 -m threads,pool,pool:workers=2x";
    let Some(document) = run("all_modes_use_the_cores_that_a_quota_leaves", arguments) else { return };
    let machine = &document.environment.machine;
    assert_eq!(machine.quota, Some(Quota::Cores(0.5)));
    assert_eq!(machine.effective_cores, Some(1), "half a core is one to work with");
    let workers: Vec<_> = document.strategies.iter().map(|row| row.settings.workers).collect();
    assert_eq!(workers, [Some(1), Some(1), Some(2)]);
}

#[test]
fn a_quota_that_stopped_tasks_is_told_of() {
    // A second of work takes twenty periods at least, and one of them is used up before its end.
    let arguments = "-n 50 --cpu 10ms --rounds 2 -m pool:workers=2";
    let Some(document) = run("a_quota_that_stopped_tasks_is_told_of", arguments) else { return };
    let throttling = document.environment.change.throttling.expect("the cgroup's account");
    assert!(throttling.periods > 0 && throttling.seconds > 0.0, "{throttling:?}");
    let warning = document.warnings.iter().find(|warning| warning.code == "throttled");
    let warning = warning.unwrap_or_else(|| panic!("{:?}", document.warnings));
    assert!(warning.message.contains(&format!("stopped tasks in {} periods", throttling.periods)));
}
