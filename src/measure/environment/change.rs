//! What happened on the machine between two states.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cgroup::Throttling;
use super::state::{CpuTimes, State};

/// What of it was this program's doing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Own {
    /// Processes *and threads* that it and its descendants created: the kernel counts both alike.
    pub forks: Option<u64>,
    /// CPU time that it and its descendants used.
    pub cpu_seconds: Option<f64>,
}

/// The difference of two states. A value is `None` where one of them lacks what it takes, where a counter ran backwards,
/// or where too little time passed to tell (see [`MIN_CPU_SECONDS`]).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct StateChange {
    /// Time between the two.
    pub elapsed_seconds: f64,
    /// Share of the CPU time of the CPUs that this process may run on that was used, by whomever.
    pub busy_share: Option<f64>,
    /// The same without what this program used. The kernel's work for it that is charged to nobody, such as
    /// interrupts and freeing memory, is in it too. A little below 0 where there was next to nothing: the kernel counts that in ticks, and
    /// what a process used in nanoseconds.
    pub foreign_busy_share: Option<f64>,
    /// The same in cores.
    #[serde(default)]
    pub foreign_busy_cores: Option<f64>,
    /// Share of it that the hypervisor gave to others.
    pub steal_share: Option<f64>,
    /// The same of the CPU time that somebody wanted, which is what was used and what was stolen: where most of the CPUs are idle, that of all
    /// CPU time says little.
    #[serde(default)]
    pub steal_share_of_wanted: Option<f64>,
    /// What quotas did in between.
    pub throttling: Option<Throttling>,
    /// Processes and threads that were created, by whomever.
    pub forks: Option<u64>,
    /// Those that this program did not create.
    pub foreign_forks: Option<u64>,
    /// Context switches.
    pub context_switches: Option<u64>,
    /// Growth of swap in use; negative where it shrank.
    pub swap_growth_bytes: Option<i64>,
    /// Processes that the kernel killed for want of memory, whosever they were.
    #[serde(default)]
    pub oom_kills: Option<u64>,
    /// How often the processor slowed cores or packages down for being too hot.
    #[serde(default)]
    pub thermal_throttles: Option<u64>,
    /// Share of the time during which somebody was stalled for want of a CPU.
    pub cpu_some_share: Option<f64>,
    /// … for want of memory.
    pub memory_some_share: Option<f64>,
    /// … during which all who were not idle were.
    pub memory_full_share: Option<f64>,
    /// … somebody waiting for a disk.
    pub io_some_share: Option<f64>,
    /// … all who were not idle.
    pub io_full_share: Option<f64>,
}

/// Below this much CPU time, of the CPUs together, shares of it are not given: the kernel counts in hundredths of a
/// second, so they would be off by more than a hundredth.
pub const MIN_CPU_SECONDS: f64 = 1.0;

/// What happened between `before` and `after`, of which `own` was this program's doing.
pub fn change(before: &State, after: &State, own: Own) -> StateChange {
    let elapsed_seconds = after.monotonic_seconds - before.monotonic_seconds;
    let stalled = |before: Option<f64>, after: Option<f64>| {
        let seconds = growth(before?, after?)?;
        // The total may have grown a moment after the clock was read.
        (elapsed_seconds > 0.0).then(|| (seconds / elapsed_seconds).min(1.0))
    };
    let times = before.cpu_time.zip(after.cpu_time).filter(|_| before.cpus == after.cpus);
    let shares = times.and_then(|(before, after)| Shares::of(before, after));
    let foreign = shares.zip(own.cpu_seconds).map(|(shares, own)| (shares.busy - own, shares.all));
    let forks = counted(before.forks, after.forks);
    let (was, is) = (before.pressure, after.pressure);
    StateChange {
        elapsed_seconds,
        busy_share: shares.map(|shares| shares.busy / shares.all),
        foreign_busy_share: foreign.map(|(seconds, all)| seconds / all),
        foreign_busy_cores: foreign.map(|(seconds, _)| seconds / elapsed_seconds),
        steal_share: shares.map(|shares| shares.steal / shares.all),
        steal_share_of_wanted: shares.and_then(|Shares { busy, steal, .. }| {
            let wanted = busy + steal;
            (wanted >= MIN_CPU_SECONDS).then(|| steal / wanted)
        }),
        throttling: before.throttling.zip(after.throttling).and_then(|(before, after)| {
            Some(Throttling {
                periods: after.periods.checked_sub(before.periods)?,
                seconds: growth(before.seconds, after.seconds)?,
            })
        }),
        forks,
        foreign_forks: forks.zip(own.forks).and_then(|(all, own)| all.checked_sub(own)),
        context_switches: counted(before.context_switches, after.context_switches),
        swap_growth_bytes: before
            .swap_used_bytes
            .zip(after.swap_used_bytes)
            .and_then(|(before, after)| i64::try_from(i128::from(after) - i128::from(before)).ok()),
        oom_kills: counted(before.oom_kills, after.oom_kills),
        thermal_throttles: counted(before.thermal_throttles, after.thermal_throttles),
        cpu_some_share: stalled(was.cpu_some_seconds, is.cpu_some_seconds),
        memory_some_share: stalled(was.memory_some_seconds, is.memory_some_seconds),
        memory_full_share: stalled(was.memory_full_seconds, is.memory_full_seconds),
        io_some_share: stalled(was.io_some_seconds, is.io_some_seconds),
        io_full_share: stalled(was.io_full_seconds, is.io_full_seconds),
    }
}

fn counted(before: Option<u64>, after: Option<u64>) -> Option<u64> {
    after?.checked_sub(before?)
}

fn growth(before: f64, after: f64) -> Option<f64> {
    (after >= before).then_some(after - before)
}

/// CPU time in between, in seconds.
#[derive(Debug, Clone, Copy)]
struct Shares {
    busy: f64,
    steal: f64,
    all: f64,
}

impl Shares {
    fn of(before: CpuTimes, after: CpuTimes) -> Option<Self> {
        let busy = growth(before.busy_seconds, after.busy_seconds)?;
        let steal = growth(before.steal_seconds, after.steal_seconds)?;
        let idle = growth(before.idle_seconds, after.idle_seconds)?;
        let io_wait = growth(before.io_wait_seconds, after.io_wait_seconds).unwrap_or(0.0);
        let all = busy + steal + idle + io_wait;
        (all >= MIN_CPU_SECONDS).then_some(Self { busy, steal, all })
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::{Load, Pressure};
    use super::*;

    /// A state `seconds` after boot of a machine with four CPUs: two busy, one idle, one in I/O wait and steal.
    fn state(seconds: f64) -> State {
        State {
            monotonic_seconds: seconds,
            load: Some(Load { one_minute: 1.0, five_minutes: 1.0, fifteen_minutes: 1.0 }),
            cpus: Some(2),
            cpu_time: Some(CpuTimes {
                busy_seconds: 2.0 * seconds,
                idle_seconds: seconds,
                io_wait_seconds: 0.5 * seconds,
                steal_seconds: 0.5 * seconds,
            }),
            forks: Some((100.0 * seconds) as u64),
            context_switches: Some((1000.0 * seconds) as u64),
            runnable: Some(1),
            pressure: Pressure { cpu_some_seconds: Some(0.25 * seconds), ..Pressure::default() },
            throttling: Some(Throttling { periods: seconds as u64, seconds: 0.5 * seconds }),
            memory_available_bytes: Some(1 << 30),
            swap_used_bytes: Some((10_000.0 - seconds) as u64),
            oom_kills: None,
            thermal_throttles: None,
            frequency_hertz: None,
            not_measured: Vec::new(),
        }
    }

    #[test]
    fn shares_and_differences_are_those_of_the_time_between() {
        let own = Own { forks: Some(900), cpu_seconds: Some(16.0) };
        let change = change(&state(100.0), &state(110.0), own);
        assert_eq!(change.elapsed_seconds, 10.0);
        assert_eq!(change.busy_share, Some(0.5));
        assert_eq!((change.foreign_busy_share, change.foreign_busy_cores), (Some(0.1), Some(0.4)));
        assert_eq!((change.steal_share, change.steal_share_of_wanted), (Some(0.125), Some(0.2)));
        assert_eq!(change.throttling, Some(Throttling { periods: 10, seconds: 5.0 }));
        assert_eq!((change.forks, change.foreign_forks), (Some(1000), Some(100)));
        assert_eq!(change.context_switches, Some(10_000));
        assert_eq!(change.swap_growth_bytes, Some(-10));
        assert_eq!((change.cpu_some_share, change.memory_some_share), (Some(0.25), None));
    }

    #[test]
    fn what_own_work_is_not_known_has_no_foreign_share() {
        let change = change(&state(100.0), &state(110.0), Own::default());
        assert_eq!((change.foreign_forks, change.foreign_busy_share), (None, None));
        assert_eq!((change.forks, change.busy_share), (Some(1000), Some(0.5)));
    }

    #[test]
    fn less_than_the_run_itself_used_is_shown_as_it_is_and_not_as_nothing() {
        let own = Own { forks: None, cpu_seconds: Some(20.4) };
        let share = change(&state(100.0), &state(110.0), own).foreign_busy_share.unwrap();
        assert!((share + 0.01).abs() < 1e-9, "{share}");
    }

    #[test]
    fn more_forks_of_its_own_than_the_kernel_counted_is_unknown_and_not_none() {
        let own = Own { forks: Some(1001), cpu_seconds: None };
        assert_eq!(change(&state(100.0), &state(110.0), own).foreign_forks, None);
    }

    #[test]
    fn a_moment_has_no_shares_of_cpu_time() {
        let moment = change(&state(100.0), &state(100.2), Own { forks: Some(0), cpu_seconds: Some(0.0) });
        assert_eq!((moment.busy_share, moment.steal_share, moment.foreign_busy_share), (None, None, None));
        assert_eq!(change(&state(1.0), &state(1.0), Own::default()).cpu_some_share, None);
    }

    #[test]
    fn counters_that_run_backwards_are_unknown() {
        let change = change(&state(110.0), &state(100.0), Own { forks: Some(0), cpu_seconds: Some(0.0) });
        let elapsed_seconds = -10.0;
        assert_eq!(
            change,
            StateChange { elapsed_seconds, swap_growth_bytes: Some(10), ..StateChange::default() }
        );
    }

    #[test]
    fn io_wait_may_run_backwards_a_little() {
        let (before, mut after) = (state(100.0), state(110.0));
        after.cpu_time.as_mut().unwrap().io_wait_seconds = 49.99;
        assert_eq!(change(&before, &after, Own::default()).steal_share, Some(5.0 / 35.0));
    }
}
