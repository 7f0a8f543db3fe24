//! A limit on CPU time, set for real: how many cores count, and what is said when it stopped tasks.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Sandbox, cgroup_to_make, parse, skip};
use procbench::document::Document;
use procbench::measure::environment::Quota;
use procbench::sys::fork::enter_on_start;

/// A cgroup of the test's own whose processes may use a part of a core, removed with it.
struct PartOfACore(PathBuf);

impl PartOfACore {
    /// Of version 2 or 1, whose periods are 20 ms and 100 ms.
    fn new(name: &str, percent: u32) -> Option<Self> {
        let this = Self(cgroup_to_make("cpu", &format!("quota-{}-{name}", std::process::id()))?);
        fs::create_dir(&this.0).ok()?;
        let quotas = [
            ("cpu.max", format!("{} 20000", percent * 200)),
            ("cpu.cfs_quota_us", (percent * 1000).to_string()),
        ];
        quotas.iter().any(|(file, quota)| fs::write(this.0.join(file), quota).is_ok()).then_some(this)
    }

    /// In how many periods somebody was stopped, by the kernel's account.
    fn throttled(&self) -> u64 {
        let text = fs::read_to_string(self.0.join("cpu.stat")).expect("the account");
        let field = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        field.and_then(|number| number.parse().ok()).expect("a count")
    }
}

impl Drop for PartOfACore {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// A run with `arguments` under a quota, and in how many periods that stopped somebody; `None` where none can be set, which is said.
fn run(test: &str, percent: u32, arguments: &str) -> Option<(Document, u64)> {
    let Some(cgroup) = PartOfACore::new(test, percent) else {
        skip(test, "no cgroup with a limit on CPU time can be made");
        return None;
    };
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(arguments.split(' ').chain(["--json", "out.json"]));
    enter_on_start(&mut command, &cgroup.0.join("cgroup.procs")).expect("a path");
    sandbox.run_command(command).expect_code(0);
    let document = parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
    Some((document, cgroup.throttled()))
}

#[test]
fn all_modes_use_the_cores_that_a_quota_leaves() {
    let arguments = "-n 40 --io-wait 1ms --rounds 1 -m threads,pool,pool:workers=2x";
    let test = "all_modes_use_the_cores_that_a_quota_leaves";
    let Some((document, _)) = run(test, 50, arguments) else { return };
    let machine = &document.environment.machine;
    assert_eq!(machine.quota, Some(Quota::Cores(0.5)));
    assert_eq!(machine.effective_cores, Some(1), "half a core is one to work with");
    let told = procbench::report::plan::machine_in_words(machine);
    assert!(told.contains("as much CPU time as 0.5 of them"), "{told}");
    let workers: Vec<_> = document.strategies.iter().map(|row| row.settings.workers).collect();
    assert_eq!(workers, [Some(1), Some(1), Some(2)]);
}

#[test]
fn a_part_of_a_core_has_a_worker_too() {
    let test = "a_part_of_a_core_has_a_worker_too";
    let Some((document, _)) = run(test, 190, "-n 40 --io-wait 1ms --rounds 1 -m pool") else { return };
    let machine = &document.environment.machine;
    let expected = machine.affinity_cores.map(|cores| cores.min(2));
    assert_eq!(machine.effective_cores, expected, "with one worker, 0.9 cores would be left unused");
    assert_eq!(document.strategies[0].settings.workers, expected);
}

#[test]
fn a_quota_that_stopped_tasks_is_told_of() {
    let test = "a_quota_that_stopped_tasks_is_told_of";
    // So little of a core is used up in each period, unless others leave even less.
    let Some((document, throttled)) = run(test, 5, "-n 10 --cpu 10ms --rounds 2 -m pool:workers=2") else {
        return;
    };
    if throttled == 0 {
        return skip(test, "others left so little of a core that the quota was never used up");
    }
    let throttling = document.environment.change.throttling.expect("the cgroup's account");
    assert!(throttling.periods > 0 && throttling.seconds > 0.0, "{throttling:?}");
    let warning = document.warnings.iter().find(|warning| warning.code == "throttled");
    let warning = warning.unwrap_or_else(|| panic!("{:?}", document.warnings));
    assert!(warning.message.contains(&format!("stopped tasks in {} periods", throttling.periods)));
}
