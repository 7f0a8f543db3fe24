//! The machine that a run is on, what can be said about it once, and what it was doing before and after.

mod cgroup;
mod change;
pub(in crate::measure) mod source;
mod state;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::limits::Limits;
pub use cgroup::{Quota, Throttling};
pub use change::{MIN_CPU_SECONDS, Own, StateChange, change};
use source::{Found, Reasons, cpu_list, field, meminfo_bytes, quoted};
pub use source::{NotMeasured, Root};
pub use state::{CpuTimes, Load, Pressure, State};

/// What should not change while a run lasts.
///
/// What could not be found out is `None`, with the reason in `not_measured`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Machine")]
pub struct Environment {
    /// The CPU's model.
    pub cpu: Option<String>,
    /// Logical CPUs that are online.
    pub cores: Option<u64>,
    /// How many of them this process has work for: the smaller of the next two, rounded up, since so many workers use what is
    /// allowed, and one less would leave a part of it.
    pub effective_cores: Option<u64>,
    /// How many it may run on.
    pub affinity_cores: Option<u64>,
    /// How much CPU time its cgroups allow.
    pub quota: Option<Quota>,
    /// Physical memory.
    pub memory_bytes: Option<u64>,
    /// All swap.
    pub swap_total_bytes: Option<u64>,
    /// Size of a page.
    pub page_size_bytes: u64,
    /// The distribution and its version.
    pub os: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// The architecture this program was built for.
    pub architecture: String,
    /// Whether this is a virtual machine.
    pub virtual_machine: Option<bool>,
    /// The machine's vendor and model, as its firmware names them. Of a virtual machine it is the hypervisor's.
    pub product: Option<String>,
    /// Who decides how fast the CPUs run. Where they differ: all, sorted, with a comma between.
    pub governor: Option<String>,
    /// Whether CPUs may run faster than their nominal frequency.
    pub turbo: Option<bool>,
    /// Where the kernel reads the time.
    pub clock_source: Option<String>,
    /// When memory is given in large pages: `always`, `madvise` or `never`.
    pub transparent_huge_pages: Option<String>,
    /// How addresses are randomised.
    pub aslr: Option<Aslr>,
    /// What the kernel does about each vulnerability of the CPU, in its words.
    pub mitigations: Option<BTreeMap<String, String>>,
    /// Versions of cgroups that this process is under.
    pub cgroup_versions: Option<Vec<u8>>,
    /// Whether /proc is mounted.
    pub has_proc: bool,
    /// Whether there is a /dev/shm.
    pub has_dev_shm: bool,
    /// What limits the number of processes.
    pub limits: Limits,
    /// Why what is `None` is so.
    pub not_measured: Vec<NotMeasured>,
}

/// What of a process's addresses is drawn at random (`kernel.randomize_va_space`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Aslr {
    /// Nothing.
    Off,
    /// Everything but the heap.
    Partial,
    /// Everything.
    Full,
}

/// Something about the machine that did not stay as it was while a run lasted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Altered {
    /// Which field of [`Environment`].
    pub what: String,
    /// What it was before the run.
    pub before: Value,
    /// What it was afterwards.
    pub after: Value,
}

impl Environment {
    /// What is no longer so in `later`. How many more processes are allowed is not looked at: that changes with every process.
    pub fn altered(&self, later: &Self) -> Vec<Altered> {
        const NOT_COMPARED: [&str; 2] = ["limits", "not_measured"];
        let fields = |environment: &Self| match serde_json::to_value(environment) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let mut later = fields(later);
        let compared = fields(self).into_iter().filter(|(what, _)| !NOT_COMPARED.contains(&what.as_str()));
        compared
            .filter_map(|(what, before)| {
                let after = later.remove(&what).unwrap_or_default();
                (before != after).then_some(Altered { what, before, after })
            })
            .collect()
    }

    /// Reads the running system's.
    pub fn read() -> Self {
        Self::read_under(&Root::system(), Limits::read())
    }

    /// Reads what files tell under `root`; what system calls tell is the running system's.
    pub fn read_under(root: &Root, limits: Limits) -> Self {
        let mut reasons = Reasons::default();
        let cpuinfo = root.text("/proc/cpuinfo");
        let meminfo = root.text("/proc/meminfo");
        let memory = |name| meminfo.clone().and_then(|text| meminfo_bytes(&text, name));
        let product = product(root);
        let (affinity, quota) = (affinity_cores(), cgroup::quota(root));
        Self {
            cpu: reasons.keep("cpu", cpu_model(root, &cpuinfo)),
            cores: reasons.keep("cores", online_cores(root)),
            effective_cores: reasons.keep("effective_cores", effective_cores(affinity.clone(), &quota)),
            affinity_cores: reasons.keep("affinity_cores", affinity),
            quota: reasons.keep("quota", quota),
            memory_bytes: reasons.keep("memory_bytes", memory("MemTotal")),
            swap_total_bytes: reasons.keep("swap_total_bytes", memory("SwapTotal")),
            page_size_bytes: procfs::page_size(),
            os: reasons.keep("os", os(root)),
            kernel: reasons.keep("kernel", root.line("/proc/sys/kernel/osrelease")),
            architecture: std::env::consts::ARCH.to_owned(),
            virtual_machine: reasons.keep("virtual_machine", virtual_machine(root, &cpuinfo, &product)),
            product: reasons.keep("product", product),
            governor: reasons.keep("governor", governor(root)),
            turbo: reasons.keep("turbo", turbo(root)),
            clock_source: reasons.keep(
                "clock_source",
                root.line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            ),
            transparent_huge_pages: reasons.keep("transparent_huge_pages", huge_pages(root)),
            aslr: reasons.keep("aslr", aslr(root)),
            mitigations: mitigations(root, &mut reasons),
            cgroup_versions: reasons.keep("cgroup_versions", cgroup::versions(root)),
            has_proc: root.exists("/proc/self/stat"),
            has_dev_shm: root.path("/dev/shm").is_dir(),
            limits,
            not_measured: reasons.0,
        }
    }
}

fn cpu_model(root: &Root, cpuinfo: &Found<String>) -> Found<String> {
    // sysinfo knows the models of Arm's CPUs by their numbers, but looks only at the running system.
    if root.is_system() {
        use sysinfo::{CpuRefreshKind, RefreshKind, System};
        let system = System::new_with_specifics(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()));
        if let Ok(system) = system
            && let Some(model) = system.cpus().first().map(|cpu| cpu.brand().trim())
            && !model.is_empty()
        {
            return Ok(model.to_owned());
        }
    }
    let text = cpuinfo.as_ref().map_err(Clone::clone)?;
    ["model name", "cpu model", "Model", "Hardware", "uarch"]
        .iter()
        .find_map(|name| field(text, name).filter(|model| !model.is_empty()))
        .map(str::to_owned)
        .ok_or_else(|| "/proc/cpuinfo names no model".into())
}

fn online_cores(root: &Root) -> Found<u64> {
    let path = "/sys/devices/system/cpu/online";
    let Ok(text) = root.text(path) else {
        // Without /sys: the CPUs' own lines.
        let stat = root.text("/proc/stat")?;
        let cpus = stat.lines().filter_map(|line| line.strip_prefix("cpu")?.chars().next()?.to_digit(10));
        return match cpus.count() {
            0 => Err("/proc/stat lists no CPU".into()),
            count => Ok(count as u64),
        };
    };
    let cpus = cpu_list(&text).ok_or_else(|| format!("{path} says {}", quoted(&text)))?;
    Ok(cpus.len() as u64)
}

/// How many cores all modes use on the running system: see [`Environment::effective_cores`].
pub fn cores_to_use() -> u64 {
    effective_cores(affinity_cores(), &cgroup::quota(&Root::system())).unwrap_or(1)
}

fn effective_cores(affinity: Found<u64>, quota: &Found<Quota>) -> Found<u64> {
    let allowed = match quota {
        Ok(Quota::Cores(cores)) => cores.ceil() as u64,
        Ok(Quota::Unlimited) | Err(_) => u64::MAX,
    };
    Ok(affinity?.min(allowed).max(1))
}

fn affinity_cores() -> Found<u64> {
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0))
        .map_err(|error| format!("sched_getaffinity: {error}"))?;
    let cores = (0..nix::sched::CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false));
    Ok(cores.count() as u64)
}

fn os(root: &Root) -> Found<String> {
    let text = root.text("/etc/os-release").or_else(|_| root.text("/usr/lib/os-release"));
    let text = text.map_err(|_| "there is no os-release in /etc or /usr/lib".to_owned())?;
    let value = |name| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches(['"', '\'']))
            .filter(|value| !value.is_empty())
    };
    value("PRETTY_NAME").or(value("NAME")).map(str::to_owned).ok_or_else(|| "os-release has no name".into())
}

fn product(root: &Root) -> Found<String> {
    let folder = "/sys/class/dmi/id";
    let names: Vec<String> = ["sys_vendor", "product_name"]
        .iter()
        .filter_map(|name| root.line(format!("{folder}/{name}")).ok())
        .collect();
    if names.is_empty() {
        return root
            .line("/proc/device-tree/model")
            .map_err(|_| "no firmware names it, neither DMI nor a device tree".into());
    }
    Ok(names.join(" "))
}

/// Parts of the names that hypervisors give to their machines.
const HYPERVISORS: [&str; 9] = [
    "KVM",
    "QEMU",
    "VMware",
    "VirtualBox",
    "Xen",
    "Virtual Machine",
    "Google Compute Engine",
    "Parallels",
    "BHYVE",
];

fn virtual_machine(root: &Root, cpuinfo: &Found<String>, product: &Found<String>) -> Found<bool> {
    if let Some(flags) = cpuinfo.as_ref().ok().and_then(|text| field(text, "flags")) {
        return Ok(flags.split_whitespace().any(|flag| flag == "hypervisor"));
    }
    let named = product.as_ref().is_ok_and(|product| HYPERVISORS.iter().any(|name| product.contains(name)));
    if named || root.exists("/sys/hypervisor/type") || root.exists("/proc/device-tree/hypervisor") {
        return Ok(true);
    }
    // Only x86 has a flag whose absence says that there is no hypervisor.
    Err("neither the CPU nor the firmware tells".into())
}

/// The folders of CPUs that change their frequency together.
fn frequency_policies(root: &Root) -> Found<Vec<String>> {
    let folder = "/sys/devices/system/cpu/cpufreq";
    let names = root.names(folder).unwrap_or_default();
    let policies: Vec<String> = names
        .iter()
        .filter(|name| name.starts_with("policy"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    if policies.is_empty() {
        return Err("no cpufreq policy in /sys".into());
    }
    Ok(policies)
}

fn governor(root: &Root) -> Found<String> {
    let policies = frequency_policies(root)?;
    let mut governors = policies
        .iter()
        .map(|policy| root.line(format!("{policy}/scaling_governor")))
        .collect::<Found<Vec<String>>>()?;
    governors.sort_unstable();
    governors.dedup();
    Ok(governors.join(", "))
}

fn turbo(root: &Root) -> Found<bool> {
    // Each driver has its own switch; the first says the opposite of the others.
    let switches = [
        ("/sys/devices/system/cpu/intel_pstate/no_turbo".to_owned(), 0),
        ("/sys/devices/system/cpu/cpufreq/boost".to_owned(), 1),
    ];
    let policies = frequency_policies(root)?.into_iter().map(|policy| (format!("{policy}/boost"), 1));
    let Some((switch, on)) = switches.into_iter().chain(policies).find(|(switch, _)| root.exists(switch))
    else {
        return Err("the frequency driver has no switch for it".into());
    };
    match root.number(&switch)? {
        value @ (0 | 1) => Ok(value == on),
        value => Err(format!("{switch} says '{value}'")),
    }
}

fn huge_pages(root: &Root) -> Found<String> {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    let text = root.text(path)?;
    let chosen = text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    chosen.map(str::to_owned).ok_or_else(|| format!("{path} says {}", quoted(&text)))
}

fn aslr(root: &Root) -> Found<Aslr> {
    let path = "/proc/sys/kernel/randomize_va_space";
    match root.number(path)? {
        0 => Ok(Aslr::Off),
        // As setarch -R leaves it for whoever it starts.
        _ if has_no_random_addresses(root) => Ok(Aslr::Off),
        1 => Ok(Aslr::Partial),
        2 => Ok(Aslr::Full),
        other => Err(format!("{path} says '{other}'")),
    }
}

/// Whether this process, and whoever it starts, is exempt from it.
fn has_no_random_addresses(root: &Root) -> bool {
    const ADDR_NO_RANDOMIZE: u32 = 0x0004_0000;
    let personality = root.line("/proc/self/personality").ok();
    let personality = personality.and_then(|text| u32::from_str_radix(&text, 16).ok());
    personality.is_some_and(|personality| personality & ADDR_NO_RANDOMIZE != 0)
}

fn mitigations(root: &Root, reasons: &mut Reasons) -> Option<BTreeMap<String, String>> {
    let folder = "/sys/devices/system/cpu/vulnerabilities";
    let names = reasons.keep("mitigations", root.names(folder))?;
    let texts = names.into_iter().filter_map(|name| {
        let text = reasons.keep(&format!("mitigations.{name}"), root.line(format!("{folder}/{name}")))?;
        Some((name, text))
    });
    Some(texts.collect())
}

#[cfg(test)]
mod tests;
