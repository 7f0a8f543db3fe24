use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::conditions;
use super::*;

/// A made-up /proc and /sys.
pub(super) struct Tree(tempfile::TempDir);

impl Tree {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.root().path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub(super) fn root(&self) -> Root {
        Root::at(self.0.path())
    }
}

fn read(tree: &Tree) -> Environment {
    Environment::read_under(&tree.root(), Limits::default())
}

fn reason(environment: &Environment, what: &str) -> String {
    let found = environment.not_measured.iter().find(|reason| reason.what == what);
    found.unwrap_or_else(|| panic!("no reason for {what}")).reason.clone()
}

/// A laptop: no virtual machine, everything there.
fn laptop() -> Tree {
    Tree::new()
        .file("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nflags\t\t: fpu vme\n")
        .file("/proc/meminfo", "MemTotal:       16000000 kB\nMemFree: 1 kB\nSwapTotal:       0 kB\n")
        .file("/proc/self/stat", "1 (x) S\n")
        .file("/proc/self/cgroup", "0::/user.slice\n")
        .file("/proc/sys/kernel/osrelease", "6.12.0-1-amd64\n")
        .file("/proc/sys/kernel/randomize_va_space", "2\n")
        .file("/etc/os-release", "NAME=\"Some OS\"\nPRETTY_NAME=\"Some OS 12\"\n")
        .file("/dev/shm/x", "")
        .file("/sys/class/dmi/id/sys_vendor", "Maker\n")
        .file("/sys/class/dmi/id/product_name", "Model 7\n")
        .file("/sys/devices/system/cpu/online", "0-3,8\n")
        .file("/sys/devices/system/cpu/intel_pstate/no_turbo", "0\n")
        .file("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "powersave\n")
        .file("/sys/devices/system/cpu/cpufreq/policy1/scaling_governor", "performance\n")
        .file("/sys/devices/system/cpu/cpufreq/policy2/scaling_governor", "powersave\n")
        .file("/sys/devices/system/cpu/vulnerabilities/meltdown", "Mitigation: PTI\n")
        .file("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n")
        .file("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
        .file("/sys/fs/cgroup/cgroup.procs", "")
        .file("/sys/fs/cgroup/user.slice/cgroup.procs", "")
        .file("/sys/fs/cgroup/user.slice/cpu.max", "max 100000\n")
}

#[test]
fn a_machine_that_tells_everything_leaves_nothing_open() {
    let environment = read(&laptop());
    assert_eq!(environment.not_measured, []);
    assert_eq!(environment.cpu.as_deref(), Some("Some CPU @ 3 GHz"));
    assert_eq!(environment.cores, Some(5));
    assert_eq!(environment.quota, Some(Quota::Unlimited));
    assert_eq!(environment.memory_bytes, Some(16_000_000 * 1024));
    assert_eq!(environment.swap_total_bytes, Some(0), "no swap is a measured zero");
    assert_eq!(environment.os.as_deref(), Some("Some OS 12"));
    assert_eq!(environment.kernel.as_deref(), Some("6.12.0-1-amd64"));
    assert_eq!(environment.virtual_machine, Some(false));
    assert_eq!(environment.product.as_deref(), Some("Maker Model 7"));
    assert_eq!(environment.governor.as_deref(), Some("performance, powersave"));
    assert_eq!(environment.turbo, Some(true));
    assert_eq!(environment.clock_source.as_deref(), Some("tsc"));
    assert_eq!(environment.transparent_huge_pages.as_deref(), Some("madvise"));
    assert_eq!(environment.aslr, Some(Aslr::Full));
    assert_eq!(environment.mitigations.unwrap()["meltdown"], "Mitigation: PTI");
    assert_eq!(environment.cgroup_versions, Some(vec![2]));
    assert!(environment.has_proc && environment.has_dev_shm);
}

#[test]
fn json_has_the_contracts_names_and_reads_back_the_same() {
    let environment = read(&laptop());
    let json = serde_json::to_value(&environment).unwrap();
    for name in ["cpu", "cores", "effective_cores", "memory_bytes", "kernel", "limits", "governor"] {
        assert!(json.get(name).is_some(), "{name}");
    }
    assert_eq!(serde_json::from_value::<Environment>(json).unwrap(), environment);
}

#[test]
fn a_container_with_a_quota_says_so_beside_the_cores() {
    let environment = read(&laptop().file("/sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n"));
    assert_eq!(environment.quota, Some(Quota::Cores(0.5)));
    assert_eq!(serde_json::to_value(environment.quota).unwrap(), serde_json::json!({ "cores": 0.5 }));
}

#[test]
fn without_any_file_everything_is_null_with_its_reason() {
    let environment = read(&Tree::new());
    let json = serde_json::to_value(&environment).unwrap();
    let known =
        ["architecture", "page_size_bytes", "effective_cores", "affinity_cores", "has_proc", "has_dev_shm"];
    for (name, value) in json.as_object().unwrap() {
        if known.contains(&name.as_str()) || name == "limits" || name == "not_measured" {
            continue;
        }
        assert!(value.is_null(), "{name}: {value}");
        assert!(!reason(&environment, name).is_empty());
    }
    assert!(!environment.has_proc && !environment.has_dev_shm);
}

#[test]
fn a_virtual_machine_without_frequency_control_gives_null_with_the_reason() {
    let tree = Tree::new().file("/proc/cpuinfo", "flags : fpu hypervisor\n");
    let environment = read(&tree);
    assert_eq!(environment.virtual_machine, Some(true));
    assert_eq!((environment.governor.as_ref(), environment.turbo), (None, None));
    assert!(reason(&environment, "governor").contains("no cpufreq"));
}

#[test]
fn an_architecture_without_a_flag_is_known_by_its_firmware_or_not_at_all() {
    let arm = || Tree::new().file("/proc/cpuinfo", "Features\t: fp asimd\n");
    let named = arm().file("/sys/class/dmi/id/sys_vendor", "QEMU\n");
    assert_eq!(read(&named).virtual_machine, Some(true));
    let board = arm().file("/proc/device-tree/model", "Some Board\0");
    assert_eq!(read(&board).virtual_machine, None);
    assert_eq!(read(&board).product.as_deref(), Some("Some Board"));
}

#[test]
fn turbo_is_found_under_every_drivers_name() {
    let policy = || Tree::new().file("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "x");
    let with = |path, value| read(&policy().file(path, value)).turbo;
    assert_eq!(with("/sys/devices/system/cpu/intel_pstate/no_turbo", "1"), Some(false));
    assert_eq!(with("/sys/devices/system/cpu/cpufreq/boost", "1"), Some(true));
    assert_eq!(with("/sys/devices/system/cpu/cpufreq/policy0/boost", "0"), Some(false));
    assert_eq!(with("/sys/devices/system/cpu/cpufreq/boost", "2"), None);
}

#[test]
fn cores_are_counted_without_sys() {
    let tree = Tree::new().file("/proc/stat", "cpu  1 2\ncpu0 1\ncpu1 1\nintr 5\n");
    assert_eq!(read(&tree).cores, Some(2));
    for garbage in ["3-1", "a", "0-", "0-99999999999"] {
        let tree = Tree::new().file("/sys/devices/system/cpu/online", garbage);
        assert_eq!(read(&tree).cores, None, "{garbage}");
    }
}

#[test]
fn a_part_of_a_core_that_a_quota_allows_is_one_to_work_with() {
    let cores = |quota| effective_cores(Ok(4), &Ok(Quota::Cores(quota)));
    for (quota, expected) in [(0.05, 1), (1.0, 1), (1.001, 2), (1.9, 2), (2.0, 2), (3.5, 4), (64.0, 4)] {
        assert_eq!(cores(quota), Ok(expected), "{quota}");
    }
    assert_eq!(effective_cores(Ok(4), &Ok(Quota::Unlimited)), Ok(4));
    assert_eq!(effective_cores(Ok(4), &Err("no cgroup".into())), Ok(4));
}

#[test]
fn the_running_system_can_be_read() {
    let environment = Environment::read();
    assert!(environment.effective_cores >= Some(1));
    assert!(environment.has_proc, "procbench needs /proc");
    let state = State::read();
    assert!(state.forks > Some(0));
    assert!(state.monotonic_seconds > 0.0);
}

/// Every file that is read.
const FILES: [&str; 34] = [
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/loadavg",
    "/proc/pressure/cpu",
    "/proc/pressure/memory",
    "/proc/pressure/io",
    "/proc/self/cgroup",
    "/proc/self/stat",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/randomize_va_space",
    "/proc/device-tree/model",
    "/etc/os-release",
    "/sys/class/dmi/id/sys_vendor",
    "/sys/class/dmi/id/product_name",
    "/sys/devices/system/cpu/online",
    "/sys/devices/system/cpu/intel_pstate/no_turbo",
    "/sys/devices/system/cpu/cpufreq/boost",
    "/sys/devices/system/cpu/cpufreq/policy0/boost",
    "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
    "/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq",
    "/sys/devices/system/cpu/vulnerabilities/meltdown",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/fs/cgroup/cgroup.procs",
    "/sys/fs/cgroup/cpu.max",
    "/sys/fs/cgroup/cpu.stat",
    "/sys/fs/cgroup/cpu.cfs_quota_us",
    "/sys/fs/cgroup/cpu.cfs_period_us",
    "/sys/fs/cgroup/cpu/cgroup.procs",
    "/sys/fs/cgroup/cpu/cpu.max",
    "/sys/fs/cgroup/cpu/cpu.stat",
    "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
    "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
];

/// Bytes, or pieces of what the kernel writes in the wrong places.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "cpu",
        "cpu0",
        " ",
        "\n",
        ":",
        "=",
        "-",
        "0",
        "1",
        "18446744073709551615",
        "99999999999999999999",
        "-1",
        "1e999",
        "NaN",
        "kB",
        "MemTotal:",
        "MemAvailable:",
        "SwapTotal:",
        "SwapFree:",
        "some",
        "full",
        "total=",
        "processes ",
        "ctxt ",
        "nr_throttled ",
        "throttled_usec ",
        "throttled_time ",
        "max",
        "[",
        "]",
        "é",
        "\0",
        "0::/",
        "1:cpu:/",
        "..",
        "model name",
        "flags",
        "PRETTY_NAME=",
        "\"",
        "\t",
    ]);
    prop_oneof![vec(any::<u8>(), 0..40), vec(pieces, 0..20).prop_map(|pieces| pieces.concat().into_bytes()),]
}

proptest! {
    // A case writes some sixty files.
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn no_garbage_makes_it_panic(contents in vec(prop::option::weighted(0.9, garbage()), FILES.len() * 2)) {
        let trees = contents.chunks(FILES.len()).map(|contents| {
            FILES.iter().zip(contents).fold(Tree::new(), |tree, (path, content)| match content {
                Some(content) => tree.file(path, content),
                None => tree,
            })
        });
        let trees: Vec<Tree> = trees.collect();
        let states: Vec<State> = trees.iter().map(|tree| State::read_under(&tree.root())).collect();
        let own = Own { forks: Some(1), cpu_seconds: Some(1.0) };
        let difference = change(&states[0], &states[1], own);
        let environment = read(&trees[0]);
        prop_assert!(serde_json::to_string(&(&environment, &states, difference)).is_ok());
        for condition in conditions::before_start(&environment, &states[0], false).iter().chain(&conditions::meanwhile(&difference)) {
            prop_assert!(!condition.to_string().contains('\n'), "{condition}");
        }
        // What is null has a reason.
        let null = serde_json::to_value(&environment).unwrap();
        for (name, _) in null.as_object().unwrap().iter().filter(|(_, value)| value.is_null()) {
            reason(&environment, name);
        }
    }
}

#[test]
fn what_changed_while_a_run_lasted_is_told_and_what_did_not_is_not() {
    let before = read(&laptop());
    assert_eq!(before.altered(&read(&laptop())), []);
    let later = laptop()
        .file("/sys/devices/system/cpu/intel_pstate/no_turbo", "1\n")
        .file("/sys/devices/system/cpu/vulnerabilities/meltdown", "Vulnerable\n");
    let altered = before.altered(&read(&later));
    let what: Vec<&str> = altered.iter().map(|altered| altered.what.as_str()).collect();
    assert_eq!(what, ["mitigations", "turbo"]);
    assert_eq!((&altered[1].before, &altered[1].after), (&true.into(), &false.into()));
    let said = conditions::Condition::Altered(altered[1].clone()).to_string();
    assert!(said.starts_with("turbo of the machine was true before the first round and is false"), "{said}");
}

#[test]
fn whoever_is_exempt_from_random_addresses_has_none() {
    let exempt = laptop().file("/proc/self/personality", "00040000\n");
    assert_eq!(read(&exempt).aslr, Some(Aslr::Off));
    let usual = laptop().file("/proc/self/personality", "00000000\n");
    assert_eq!(read(&usual).aslr, Some(Aslr::Full));
}
