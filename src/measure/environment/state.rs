//! What the machine is doing, read before and after something and compared.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cgroup::{self, Throttling};
use super::source::{
    Found, NotMeasured, Reasons, Root, cpu_list, field, meminfo_bytes, number_field, quoted,
};
use crate::sys::clock;

/// Counters and levels of the whole machine at one moment. Counters count since boot, so they mean something only as
/// the difference of two states: see [`change`](super::change()).
///
/// Reading takes about 0.05 ms with two CPUs (/proc/stat has a line for each). What could not be read is `None`, with the reason in `not_measured`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// When it was read, on the monotonic clock.
    pub monotonic_seconds: f64,
    /// Load averages: how many threads ran, wanted to run, or waited for a disk.
    pub load: Option<Load>,
    /// CPU time of the CPUs that this process may run on, together; of all CPUs where its affinity cannot be read.
    pub cpu_time: Option<CpuTimes>,
    /// How many CPUs those are.
    #[serde(default)]
    pub cpus: Option<u64>,
    /// Processes *and threads* created.
    pub forks: Option<u64>,
    /// Context switches.
    pub context_switches: Option<u64>,
    /// Threads that run or could run at this moment, the reader's own among them.
    pub runnable: Option<u64>,
    /// For how long somebody was stalled.
    pub pressure: Pressure,
    /// What quotas did to this process's cgroups.
    pub throttling: Option<Throttling>,
    /// Memory that can be had without swapping.
    pub memory_available_bytes: Option<u64>,
    /// Swap in use.
    pub swap_used_bytes: Option<u64>,
    /// Processes that the kernel has killed for want of memory, the machine's or a cgroup's.
    #[serde(default)]
    pub oom_kills: Option<u64>,
    /// How often the processor has slowed cores or packages down for being too hot, where it counts that.
    #[serde(default)]
    pub thermal_throttles: Option<u64>,
    /// How fast the CPUs run: the mean of as many as say so within 300 µs.
    pub frequency_hertz: Option<f64>,
    /// Why what is `None` is so.
    pub not_measured: Vec<NotMeasured>,
}

/// Load averages over the last minutes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// Over one minute.
    pub one_minute: f64,
    /// Over five.
    pub five_minutes: f64,
    /// Over fifteen.
    pub fifteen_minutes: f64,
}

/// What the CPUs did, in seconds of CPU time since boot. The kernel counts in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CpuTimes {
    /// User mode, kernel and interrupts.
    pub busy_seconds: f64,
    /// Nothing.
    pub idle_seconds: f64,
    /// Nothing, while somebody waited for a disk. May run backwards by a little.
    pub io_wait_seconds: f64,
    /// Nothing, since the hypervisor ran somebody else.
    pub steal_seconds: f64,
}

impl CpuTimes {
    /// All of it.
    pub fn total_seconds(&self) -> f64 {
        self.busy_seconds + self.idle_seconds + self.io_wait_seconds + self.steal_seconds
    }
}

/// For how long tasks were stalled since boot: *some* is at least one task, *full* is all that were not idle at once.
/// See the kernel's `Documentation/accounting/psi.rst`. (For CPUs it defines *full* in cgroups only.)
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Pressure {
    /// Some, for want of a CPU.
    pub cpu_some_seconds: Option<f64>,
    /// Some, for want of memory.
    pub memory_some_seconds: Option<f64>,
    /// All, for want of memory.
    pub memory_full_seconds: Option<f64>,
    /// Some, waiting for a disk.
    pub io_some_seconds: Option<f64>,
    /// All, waiting for a disk.
    pub io_full_seconds: Option<f64>,
}

/// For how long CPUs are asked how fast they run. Older kernels measure for 10 ms before they answer.
const FREQUENCY_BUDGET: Duration = Duration::from_micros(300);

impl State {
    /// Reads the running system's.
    pub fn read() -> Self {
        Self::read_under(&Root::system())
    }

    /// Reads that of `root`.
    pub fn read_under(root: &Root) -> Self {
        let mut reasons = Reasons::default();
        let monotonic_seconds = clock::monotonic_nanoseconds() as f64 / 1e9;
        let stat = root.text("/proc/stat");
        let stat = stat.as_ref().map_err(Clone::clone);
        let counter = |name| stat.clone().and_then(|text| number_field(text, name, "/proc/stat"));
        // Some sandboxes have the line, and count nothing.
        let growing = |name| match counter(name)? {
            0 => Err(format!("/proc/stat says {name} 0")),
            count => Ok(count),
        };
        let times = reasons.keep("cpu_time", stat.clone().and_then(|text| cpu_time(text, root)));
        let meminfo = root.text("/proc/meminfo");
        let memory = |name| meminfo.clone().and_then(|text| meminfo_bytes(&text, name));
        Self {
            monotonic_seconds,
            load: reasons.keep("load", load(root)),
            cpu_time: times.map(|(times, _)| times),
            cpus: times.map(|(_, cpus)| cpus),
            forks: reasons.keep("forks", growing("processes")),
            context_switches: reasons.keep("context_switches", growing("ctxt")),
            runnable: reasons.keep("runnable", counter("procs_running")),
            pressure: Pressure {
                cpu_some_seconds: stall(root, &mut reasons, "cpu", "some"),
                memory_some_seconds: stall(root, &mut reasons, "memory", "some"),
                memory_full_seconds: stall(root, &mut reasons, "memory", "full"),
                io_some_seconds: stall(root, &mut reasons, "io", "some"),
                io_full_seconds: stall(root, &mut reasons, "io", "full"),
            },
            throttling: reasons.keep("throttling", cgroup::throttling(root)),
            memory_available_bytes: reasons.keep("memory_available_bytes", memory("MemAvailable")),
            swap_used_bytes: reasons
                .keep("swap_used_bytes", swap_used(memory("SwapTotal"), memory("SwapFree"))),
            oom_kills: reasons.keep("oom_kills", oom_kills(root)),
            thermal_throttles: reasons.keep("thermal_throttles", thermal_throttles(root)),
            frequency_hertz: reasons.keep("frequency_hertz", frequency(root)),
            not_measured: reasons.0,
        }
    }
}

fn oom_kills(root: &Root) -> Found<u64> {
    number_field(&root.text("/proc/vmstat")?, "oom_kill", "/proc/vmstat")
}

/// By the counters of all CPUs: of each core as often as it has threads, which matters to nobody who asks whether they grew.
fn thermal_throttles(root: &Root) -> Found<u64> {
    let folder = "/sys/devices/system/cpu";
    let is_cpu = |name: &String| name.strip_prefix("cpu").is_some_and(|number| number.parse::<u32>().is_ok());
    let counters = ["core_throttle_count", "package_throttle_count"];
    let names: Vec<String> = root.names(folder).unwrap_or_default().into_iter().filter(is_cpu).collect();
    let each = names.iter().flat_map(|cpu| {
        counters
            .iter()
            .filter_map(move |counter| root.number(format!("{folder}/{cpu}/thermal_throttle/{counter}")).ok())
    });
    each.reduce(u64::saturating_add).ok_or_else(|| "no thermal_throttle in /sys".into())
}

fn load(root: &Root) -> Found<Load> {
    let text = root.text("/proc/loadavg")?;
    let mut fields = text.split_whitespace().map(|field| field.parse().ok().filter(|load| is_amount(*load)));
    let mut next = || fields.next().flatten().ok_or_else(|| format!("/proc/loadavg says {}", quoted(&text)));
    Ok(Load { one_minute: next()?, five_minutes: next()?, fifteen_minutes: next()? })
}

fn is_amount(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// The CPU time of the CPUs that this process may run on, by their lines in /proc/stat, and how many they are. Where those are not
/// there (containers may number theirs otherwise), or the affinity is not known, that of all CPUs.
fn cpu_time(stat: &str, root: &Root) -> Found<(CpuTimes, u64)> {
    let each: Vec<(u32, &str)> = stat.lines().filter_map(cpu_line).collect();
    let allowed = allowed_cpus(root).unwrap_or_default();
    let ours: Vec<&str> =
        each.iter().filter(|(cpu, _)| allowed.contains(cpu)).map(|(_, ticks)| *ticks).collect();
    if ours.is_empty() || ours.len() == each.len() || ours.len() < allowed.len() {
        let all = field(stat, "cpu").ok_or("/proc/stat has no line for all CPUs")?;
        return Ok((cpu_ticks(all)?, each.len() as u64));
    }
    let mut sum = CpuTimes { busy_seconds: 0.0, idle_seconds: 0.0, io_wait_seconds: 0.0, steal_seconds: 0.0 };
    for ticks in &ours {
        let one = cpu_ticks(ticks)?;
        sum.busy_seconds += one.busy_seconds;
        sum.idle_seconds += one.idle_seconds;
        sum.io_wait_seconds += one.io_wait_seconds;
        sum.steal_seconds += one.steal_seconds;
    }
    Ok((sum, ours.len() as u64))
}

/// The number and the counters of a line of one CPU.
fn cpu_line(line: &str) -> Option<(u32, &str)> {
    let (number, ticks) = line.strip_prefix("cpu")?.split_once(' ')?;
    Some((number.parse().ok()?, ticks))
}

/// The CPUs that the kernel lets this process run on, such as `0-3,8`. The kernel's mask may be wider than the machine.
fn allowed_cpus(root: &Root) -> Found<BTreeSet<u32>> {
    let text = root.text("/proc/self/status")?;
    let list = field(&text, "Cpus_allowed_list").ok_or("/proc/self/status has no Cpus_allowed_list")?;
    cpu_list(list).ok_or_else(|| format!("/proc/self/status allows CPUs {}", quoted(list)))
}

fn cpu_ticks(line: &str) -> Found<CpuTimes> {
    let ticks = line.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>();
    // guest and guest_nice, at the end, are part of user and nice.
    let Ok([user, nice, system, idle, io_wait, interrupts, soft_interrupts, steal, ..]) = ticks.as_deref()
    else {
        let columns = line.split_whitespace().count();
        return Err(match columns < 8 {
            true => format!("/proc/stat has {columns} columns for cpu, expected eight, the last for steal"),
            false => format!("/proc/stat says {} for cpu", quoted(line)),
        });
    };
    let seconds = |ticks: &[&u64]| {
        ticks.iter().map(|ticks| **ticks as f64).sum::<f64>() / procfs::ticks_per_second() as f64
    };
    Ok(CpuTimes {
        busy_seconds: seconds(&[user, nice, system, interrupts, soft_interrupts]),
        idle_seconds: seconds(&[idle]),
        io_wait_seconds: seconds(&[io_wait]),
        steal_seconds: seconds(&[steal]),
    })
}

/// The total of one line of a file of /proc/pressure.
fn stall(root: &Root, reasons: &mut Reasons, resource: &str, who: &str) -> Option<f64> {
    let path = format!("/proc/pressure/{resource}");
    let found = root.text(&path).and_then(|text| {
        let line = field(&text, who).ok_or_else(|| format!("{path} has no line for {who}"))?;
        let total = line.split_whitespace().find_map(|field| field.strip_prefix("total="));
        let microseconds = total.and_then(|total| total.parse::<u64>().ok());
        Ok(microseconds.ok_or_else(|| format!("{path} says {} for {who}", quoted(line)))? as f64 / 1e6)
    });
    reasons.keep(&format!("pressure.{resource}_{who}_seconds"), found)
}

fn swap_used(total: Found<u64>, free: Found<u64>) -> Found<u64> {
    let (total, free) = (total?, free?);
    total.checked_sub(free).ok_or_else(|| "/proc/meminfo has more swap free than there is".into())
}

/// The mean over as many CPUs as answer in time.
fn frequency(root: &Root) -> Found<f64> {
    let (mut sum, mut count) = (0.0, 0);
    let began = Instant::now();
    for policy in super::frequency_policies(root)? {
        if let Ok(kilohertz) = root.number(format!("{policy}/scaling_cur_freq")) {
            sum += kilohertz as f64 * 1e3;
            count += 1;
        }
        if began.elapsed() > FREQUENCY_BUDGET {
            break;
        }
    }
    if count == 0 { Err("no cpufreq policy in /sys tells it".into()) } else { Ok(sum / f64::from(count)) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;

    const STAT: &str = "cpu  100 50 25 1000 30 3 2 7 40 1\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 99 0 0\nctxt 1234\n\
                        btime 1\nprocesses 77\nprocs_running 3\nprocs_blocked 0\n";

    fn tree() -> Tree {
        Tree::new()
            .file("/proc/stat", STAT)
            .file("/proc/loadavg", "0.17 1.49 1.56 1/81 4207\n")
            .file("/proc/pressure/cpu", "some avg10=0.02 avg60=3.18 avg300=23.53 total=1500000\n")
            .file("/proc/pressure/memory", "some avg10=0 total=2000000\nfull avg10=0 total=1000000\n")
            .file("/proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 60 kB\nSwapTotal: 9 kB\nSwapFree: 4 kB\n")
            .file("/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "3\n")
            .file("/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "2\n")
            .file("/sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "4\n")
            .file("/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "2000000\n")
            .file("/sys/devices/system/cpu/cpufreq/policy1/scaling_cur_freq", "3000000\n")
    }

    fn reason(state: &State, what: &str) -> String {
        let found = state.not_measured.iter().find(|reason| reason.what == what);
        found.unwrap_or_else(|| panic!("no reason for {what}")).reason.clone()
    }

    #[test]
    fn what_is_there_is_read() {
        let state = State::read_under(&tree().root());
        let load = Load { one_minute: 0.17, five_minutes: 1.49, fifteen_minutes: 1.56 };
        assert_eq!(state.load, Some(load));
        let ticks = procfs::ticks_per_second() as f64;
        let expected = CpuTimes {
            busy_seconds: 180.0 / ticks,
            idle_seconds: 1000.0 / ticks,
            io_wait_seconds: 30.0 / ticks,
            steal_seconds: 7.0 / ticks,
        };
        assert_eq!(state.cpu_time, Some(expected), "guest time is part of user time already");
        assert_eq!((state.forks, state.context_switches, state.runnable), (Some(77), Some(1234), Some(3)));
        assert_eq!(state.pressure.cpu_some_seconds, Some(1.5));
        assert_eq!(state.pressure.memory_full_seconds, Some(1.0));
        assert_eq!(state.memory_available_bytes, Some(60 * 1024));
        assert_eq!(state.swap_used_bytes, Some(5 * 1024));
        assert_eq!(state.thermal_throttles, Some(9));
        assert_eq!(state.frequency_hertz.map(|hertz| hertz >= 2e9), Some(true));
    }

    const OF_EACH: &str = "cpu  60 0 0 600 0 0 0 6\ncpu0 10 0 0 100 0 0 0 1\ncpu1 20 0 0 200 0 0 0 2\n\
                           cpu2 30 0 0 300 0 0 0 3\nintr 9\nctxt 1\n";

    fn busy_ticks(allowed: &str) -> (Option<f64>, Option<u64>) {
        let status = format!("Name:\tx\nCpus_allowed:\t7\nCpus_allowed_list:\t{allowed}\n");
        let state =
            State::read_under(&tree().file("/proc/stat", OF_EACH).file("/proc/self/status", &status).root());
        let ticks = procfs::ticks_per_second() as f64;
        (state.cpu_time.map(|times| (times.busy_seconds * ticks).round()), state.cpus)
    }

    #[test]
    fn what_cpus_do_that_this_process_may_not_run_on_is_not_counted() {
        assert_eq!(busy_ticks("0,2"), (Some(40.0), Some(2)));
        assert_eq!(busy_ticks("1"), (Some(20.0), Some(1)));
        assert_eq!(busy_ticks("0-1"), (Some(30.0), Some(2)));
    }

    #[test]
    fn all_cpus_are_counted_where_all_are_allowed_or_it_is_not_known_which() {
        for allowed in ["0-2", "0-127", "2-5", "7", "none", "0-99999999999", "3-1"] {
            assert_eq!(busy_ticks(allowed), (Some(60.0), Some(3)), "{allowed}");
        }
    }

    #[test]
    fn a_kernel_without_stall_information_gives_null_with_the_reason() {
        let state = State::read_under(&tree().root());
        assert_eq!(state.pressure.io_some_seconds, None);
        assert_eq!(reason(&state, "pressure.io_some_seconds"), "there is no /proc/pressure/io");
    }

    #[test]
    fn garbage_gives_null_with_the_reason() {
        let tree = tree()
            .file("/proc/stat", "cpu 1 2 x\nprocesses many\n")
            .file("/proc/loadavg", "NaN 1 2")
            .file("/proc/pressure/cpu", "some")
            .file("/proc/pressure/memory", "some total=\nfull é\n")
            .file("/proc/meminfo", "SwapTotal: 1 kB\nSwapFree: 2 kB\n")
            .file("/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "-")
            .file("/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "")
            .file("/sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "x")
            .file("/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "<unknown>")
            .file("/sys/devices/system/cpu/cpufreq/policy1/scaling_cur_freq", "<unknown>");
        let state = State::read_under(&tree.root());
        let nothing = State { monotonic_seconds: state.monotonic_seconds, ..empty() };
        assert_eq!(State { not_measured: Vec::new(), ..state.clone() }, nothing);
        assert_eq!(reason(&state, "forks"), "/proc/stat says 'many' for processes");
        assert_eq!(reason(&state, "runnable"), "/proc/stat has no procs_running");
        assert_eq!(reason(&state, "load"), "/proc/loadavg says 'NaN 1 2'");
    }

    #[test]
    fn nothing_at_all_gives_a_reason_for_everything() {
        let state = State::read_under(&Tree::new().root());
        assert_eq!(state.not_measured.len(), 16, "{:#?}", state.not_measured);
    }

    fn empty() -> State {
        State {
            monotonic_seconds: 0.0,
            load: None,
            cpu_time: None,
            cpus: None,
            forks: None,
            context_switches: None,
            runnable: None,
            pressure: Pressure::default(),
            throttling: None,
            memory_available_bytes: None,
            swap_used_bytes: None,
            oom_kills: None,
            thermal_throttles: None,
            frequency_hertz: None,
            not_measured: Vec::new(),
        }
    }
}
