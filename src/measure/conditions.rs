//! Conditions of the machine that make its figures worth less: noticed here, shown as warnings.
//!
//! Whether CPUs may run faster than nominal is not among them: that is how the machine is used.

use std::fmt;

use super::environment::{Altered, Environment, State, StateChange, Throttling};

/// Steal above this share of the CPU time is reported, also if it is one of that which somebody wanted: of 64 CPUs a strategy may keep one busy,
/// and lose a third of that.
pub const STEAL_LIMIT: f64 = 0.01;

/// Stalls for want of memory above this share of the time are reported.
pub const MEMORY_PRESSURE_LIMIT: f64 = 0.01;

/// CPU time used by others above this share of all CPUs is reported.
pub const FOREIGN_BUSY_LIMIT: f64 = 0.05;

/// More cores than this that others kept busy are reported, however many there are.
pub const FOREIGN_BUSY_CORES_LIMIT: f64 = 0.5;

/// More processes and threads of others than this in a second are reported. A command that is started takes about a
/// millisecond of CPU time, so this many take a fiftieth of a core; a desktop at rest starts fewer than five.
pub const FOREIGN_FORKS_PER_SECOND: f64 = 20.0;

/// Fewer than this are not, however short the time was.
pub const MIN_FOREIGN_FORKS: u64 = 10;

/// A load average over the last minute above this many for each core is reported before the start.
pub const LOAD_LIMIT: f64 = 0.25;

/// Swap in use that grew by more than this is reported.
pub const SWAP_GROWTH_LIMIT_BYTES: i64 = 1 << 20;

/// Clock sources that are a counter in the CPU, read without leaving user mode: x86, Arm, POWER, RISC-V, s390.
pub const FAST_CLOCK_SOURCES: [&str; 5] = ["tsc", "arch_sys_counter", "timebase", "riscv_clocksource", "tod"];

/// Something about the machine that a reader of the figures must know.
///
/// Shown, it is one line that ends with what can be done about it.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Some CPUs change their frequency with the load.
    GovernorNotPerformance {
        /// The governors.
        governor: String,
    },
    /// Reading the time costs more than it must.
    SlowClockSource {
        /// Its name.
        clock_source: String,
    },
    /// Something about the machine did not stay as it was.
    Altered(Altered),
    /// Others used the machine shortly before the start.
    BusyBefore {
        /// Load average over one minute.
        load: Option<f64>,
        /// Threads that could run, without the one that asked.
        runnable: Option<u64>,
        /// Logical CPUs.
        cores: u64,
    },
    /// The hypervisor ran others.
    Steal {
        /// Share of the CPU time that somebody wanted.
        share: f64,
    },
    /// A quota stopped tasks.
    Throttled(Throttling),
    /// The processor was too hot.
    TooHot {
        /// How often it slowed cores or packages down.
        count: u64,
    },
    /// Others created processes or threads meanwhile.
    ForeignForks {
        /// How many.
        count: u64,
        /// In what time.
        elapsed_seconds: f64,
    },
    /// Others used the CPUs meanwhile.
    ForeignBusy {
        /// Share of all CPU time.
        share: f64,
        /// How many cores that is.
        cores: Option<f64>,
    },
    /// Memory was swapped out.
    SwapGrew {
        /// By how much.
        bytes: u64,
    },
    /// The kernel killed somebody for want of memory.
    OomKills {
        /// How many.
        count: u64,
    },
    /// Tasks were stalled for want of memory.
    MemoryPressure {
        /// Share of the time during which at least one was.
        share: f64,
    },
}

impl Condition {
    /// Whether CPU time went to somebody else that the run could have had.
    pub fn takes_cpu_time(&self) -> bool {
        match self {
            Self::ForeignBusy { share, .. } => *share > FOREIGN_BUSY_LIMIT,
            Self::Steal { .. } | Self::Throttled(_) => true,
            _ => false,
        }
    }

    /// Its name for programs. It does not change.
    pub fn code(&self) -> &'static str {
        match self {
            Self::GovernorNotPerformance { .. } => "governor_not_performance",
            Self::SlowClockSource { .. } => "slow_clock_source",
            Self::Altered(_) => "machine_altered",
            Self::BusyBefore { .. } => "busy_before",
            Self::Steal { .. } => "steal",
            Self::Throttled(_) => "throttled",
            Self::ForeignForks { .. } => "foreign_forks",
            Self::ForeignBusy { .. } => "foreign_busy",
            Self::SwapGrew { .. } => "swap_grew",
            Self::OomKills { .. } => "oom_kills",
            Self::MemoryPressure { .. } => "memory_pressure",
            Self::TooHot { .. } => "thermal_throttling",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: &f64| share * 100.0;
        match self {
            Self::GovernorNotPerformance { governor } => write!(
                f,
                "the frequency governor is {governor}, so the CPUs' speed follows the load: \
                 cpupower frequency-set -g performance (as root)"
            ),
            Self::SlowClockSource { clock_source } => write!(
                f,
                "the time is read from {clock_source}, which costs more than the CPU's own counter: write a better one \
                 of /sys/devices/system/clocksource/clocksource0/available_clocksource to current_clocksource (as root)"
            ),
            Self::Altered(Altered { what, before, after }) => write!(
                f,
                "{what} of the machine was {before} before the first round and is {after} after the last, so rounds cannot be \
                 compared: measure again, and let nothing change it meanwhile"
            ),
            Self::BusyBefore { load, runnable, cores } => {
                f.write_str("the machine was busy before the start (")?;
                if let Some(load) = load {
                    write!(f, "load average {load:.2}, ")?;
                }
                if let Some(runnable) = runnable {
                    let threads = if *runnable == 1 { "thread" } else { "threads" };
                    write!(f, "{runnable} other {threads} running, ")?;
                }
                let of = if *cores == 1 { "core" } else { "cores" };
                write!(f, "{cores} {of}): end other programs, or wait a minute")
            }
            Self::Steal { share } => write!(
                f,
                "the hypervisor gave {:.1} % of the CPU time that was wanted to other machines: use one with CPUs of its own, \
                 or more rounds",
                percent(share)
            ),
            Self::Throttled(Throttling { periods, seconds }) => write!(
                f,
                "the CPU quota stopped tasks in {periods} periods, for {seconds:.3} s summed over the CPUs: raise the \
                 quota (cpu.max, docker --cpus), or use fewer workers"
            ),
            Self::TooHot { count } => write!(
                f,
                "the processor slowed cores down for being too hot (counted {count} times): cool it, or measure with fewer cores or \
                 shorter runs"
            ),
            Self::ForeignForks { count, elapsed_seconds } => write!(
                f,
                "other programs started {count} processes or threads in {elapsed_seconds:.1} s: stop what starts them, \
                 such as builds and monitoring"
            ),
            Self::ForeignBusy { share, cores } => write!(
                f,
                "other programs and the kernel used {:.*} % of all CPU time{}: end other programs. If there are none, it is work of the \
                 kernel for this run that is charged to nobody (interrupts, write-back, freeing memory)",
                usize::from(*share < 0.1),
                percent(share),
                cores
                    .filter(|cores| *cores >= 0.1)
                    .map_or_else(String::new, |cores| format!(", {cores:.1} cores"))
            ),
            Self::SwapGrew { bytes } => write!(
                f,
                "{} of memory were swapped out: free memory, or give each task less (--memory, --in-flight)",
                bytesize::ByteSize(*bytes).display().iec()
            ),
            Self::OomKills { count } => write!(
                f,
                "the kernel killed {count} {} for want of memory, of this run or of others: give each task less (--memory, \
                 --in-flight), or see to it that there is more",
                if *count == 1 { "process" } else { "processes" }
            ),
            Self::MemoryPressure { share } => write!(
                f,
                "tasks were stalled for want of memory during {:.1} % of the time: free memory, or give each task less \
                 (--memory, --in-flight)",
                percent(share)
            ),
        }
    }
}

/// What is known before the start. The load average says nothing of others where it is `own_load`.
pub fn before_start(environment: &Environment, state: &State, own_load: bool) -> Vec<Condition> {
    let governor = environment
        .governor
        .as_ref()
        .filter(|governor| *governor != "performance")
        .map(|governor| Condition::GovernorNotPerformance { governor: governor.clone() });
    let clock_source = environment
        .clock_source
        .as_ref()
        .filter(|clock_source| !FAST_CLOCK_SOURCES.contains(&clock_source.as_str()))
        .map(|clock_source| Condition::SlowClockSource { clock_source: clock_source.clone() });
    [governor, clock_source, busy(environment, state, own_load)].into_iter().flatten().collect()
}

/// Load averages and the count of threads are the whole machine's, so they are held against all of its cores.
fn busy(environment: &Environment, state: &State, own_load: bool) -> Option<Condition> {
    let cores = environment.cores?;
    let load = state.load.map(|load| load.one_minute).filter(|_| !own_load);
    // One of them is the thread that asked.
    let runnable = state.runnable.map(|runnable| runnable.saturating_sub(1));
    // A single moment says little: there must be somebody for half of the cores, and two at least. Nor does the load of the last minute where nobody runs now:
    // most often it is of a run before this one. Who comes back is seen while the run lasts.
    let busy = load.is_some_and(|load| load > LOAD_LIMIT * cores as f64) && runnable != Some(0)
        || runnable.is_some_and(|runnable| runnable >= cores.div_ceil(2).max(2));
    busy.then_some(Condition::BusyBefore { load, runnable, cores })
}

/// What the hypervisor took, if that is much. Older versions told its share of all CPU time only.
fn steal(change: &StateChange) -> Option<f64> {
    let StateChange { steal_share: of_all, steal_share_of_wanted: of_wanted, .. } = *change;
    of_wanted.into_iter().chain(of_all).reduce(f64::max).filter(|share| *share > STEAL_LIMIT)
}

/// What happened meanwhile.
pub fn meanwhile(change: &StateChange) -> Vec<Condition> {
    let above = |share: Option<f64>, limit: f64| share.filter(|share| *share > limit);
    let throttled = change.throttling.filter(|throttling| throttling.periods > 0 || throttling.seconds > 0.0);
    let foreign_forks = change.foreign_forks.filter(|count| {
        *count >= MIN_FOREIGN_FORKS && *count as f64 > FOREIGN_FORKS_PER_SECOND * change.elapsed_seconds
    });
    // Of many cores, one that somebody else has is a small part, but a strategy has to wait for whoever works on that one.
    let is_half_a_core = change.foreign_busy_cores.is_some_and(|cores| cores > FOREIGN_BUSY_CORES_LIMIT);
    let foreign_busy =
        change.foreign_busy_share.filter(|share| *share > FOREIGN_BUSY_LIMIT || is_half_a_core);
    let swapped = change.swap_growth_bytes.filter(|bytes| *bytes > SWAP_GROWTH_LIMIT_BYTES);
    [
        steal(change).map(|share| Condition::Steal { share }),
        throttled.map(Condition::Throttled),
        change.thermal_throttles.filter(|count| *count > 0).map(|count| Condition::TooHot { count }),
        foreign_forks.map(|count| Condition::ForeignForks { count, elapsed_seconds: change.elapsed_seconds }),
        foreign_busy.map(|share| Condition::ForeignBusy { share, cores: change.foreign_busy_cores }),
        swapped.map(|bytes| Condition::SwapGrew { bytes: bytes.unsigned_abs() }),
        change.oom_kills.filter(|count| *count > 0).map(|count| Condition::OomKills { count }),
        above(change.memory_some_share, MEMORY_PRESSURE_LIMIT)
            .map(|share| Condition::MemoryPressure { share }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::environment::{Load, Root};
    use super::super::limits::Limits;
    use super::*;

    /// A machine of which nothing is known but that it has four cores.
    fn unknown() -> (Environment, State) {
        let nowhere = Root::at("/nowhere/at/all");
        let environment = Environment::read_under(&nowhere, Limits::default());
        (Environment { cores: Some(4), ..environment }, State::read_under(&nowhere))
    }

    fn quiet() -> StateChange {
        StateChange {
            elapsed_seconds: 10.0,
            foreign_busy_share: Some(0.05),
            steal_share: Some(0.01),
            throttling: Some(Throttling { periods: 0, seconds: 0.0 }),
            foreign_forks: Some(200),
            swap_growth_bytes: Some(-5 << 20),
            cpu_some_share: Some(0.9),
            memory_some_share: Some(0.01),
            ..StateChange::default()
        }
    }

    fn only(conditions: Vec<Condition>) -> Condition {
        assert_eq!(conditions.len(), 1, "{conditions:?}");
        conditions[0].clone()
    }

    #[test]
    fn what_is_not_known_is_no_condition() {
        let (environment, state) = unknown();
        assert_eq!(before_start(&environment, &state, false), []);
        assert_eq!(meanwhile(&StateChange::default()), []);
    }

    #[test]
    fn limits_themselves_are_no_condition() {
        assert_eq!(meanwhile(&quiet()), []);
        let (mut environment, mut state) = unknown();
        environment.governor = Some("performance".into());
        environment.turbo = Some(true);
        environment.clock_source = Some("arch_sys_counter".into());
        state.load = Some(Load { one_minute: 1.0, five_minutes: 9.0, fifteen_minutes: 9.0 });
        state.runnable = Some(2);
        assert_eq!(before_start(&environment, &state, false), []);
    }

    #[test]
    fn every_governor_must_be_performance() {
        let (mut environment, state) = unknown();
        environment.governor = Some("performance, powersave".into());
        let found = only(before_start(&environment, &state, false));
        assert_eq!(found.code(), "governor_not_performance");
        assert_eq!(
            found.to_string(),
            "the frequency governor is performance, powersave, so the CPUs' speed follows the load: \
             cpupower frequency-set -g performance (as root)"
        );
    }

    #[test]
    fn a_clock_outside_the_cpu_is_slow() {
        let (mut environment, state) = unknown();
        environment.clock_source = Some("hpet".into());
        let found = only(before_start(&environment, &state, false));
        assert_eq!(found, Condition::SlowClockSource { clock_source: "hpet".into() });
        assert_eq!(found.code(), "slow_clock_source");
    }

    #[test]
    fn others_before_the_start_are_seen_by_load_or_by_running_threads() {
        let (environment, state) = unknown();
        let load = Some(Load { one_minute: 1.1, five_minutes: 0.0, fifteen_minutes: 0.0 });
        let loaded = State { load, ..state.clone() };
        assert_eq!(before_start(&environment, &loaded, true), [], "it is our own");
        let found = only(before_start(&environment, &loaded, false));
        assert_eq!(found, Condition::BusyBefore { load: Some(1.1), runnable: None, cores: 4 });
        assert!(
            found
                .to_string()
                .starts_with("the machine was busy before the start (load average 1.10, 4 cores):")
        );

        let passed = State { runnable: Some(1), ..loaded };
        assert_eq!(before_start(&environment, &passed, false), [], "nobody runs but this");

        let running = State { runnable: Some(5), ..state };
        let found = only(before_start(&environment, &running, false));
        assert_eq!(found, Condition::BusyBefore { load: None, runnable: Some(4), cores: 4 });
        assert_eq!(found.code(), "busy_before");
    }

    #[test]
    fn one_other_thread_at_one_moment_is_not_a_busy_machine() {
        let (environment, state) = unknown();
        let (environment, state) =
            (Environment { cores: Some(1), ..environment }, State { runnable: Some(2), ..state });
        assert_eq!(before_start(&environment, &state, false), []);
    }

    #[test]
    fn steal_counts_from_a_hundredth() {
        let found = only(meanwhile(&StateChange { steal_share: Some(0.034), ..quiet() }));
        assert_eq!(found, Condition::Steal { share: 0.034 });
        assert_eq!(found.code(), "steal");
        let of_few = StateChange { steal_share: Some(0.0047), steal_share_of_wanted: Some(0.3), ..quiet() };
        assert_eq!(only(meanwhile(&of_few)), Condition::Steal { share: 0.3 }, "of the one CPU that was busy");
        assert!(found.to_string().contains(" 3.4 % "));
    }

    #[test]
    fn a_processor_that_was_too_hot_is_told() {
        assert_eq!(meanwhile(&StateChange { thermal_throttles: Some(0), ..quiet() }), []);
        let found = only(meanwhile(&StateChange { thermal_throttles: Some(2), ..quiet() }));
        assert_eq!((found.code(), &found), ("thermal_throttling", &Condition::TooHot { count: 2 }));
    }

    #[test]
    fn any_throttling_counts() {
        let throttling = Throttling { periods: 1, seconds: 0.0125 };
        let found = only(meanwhile(&StateChange { throttling: Some(throttling), ..quiet() }));
        assert_eq!(found, Condition::Throttled(throttling));
        assert_eq!(found.code(), "throttled");
    }

    #[test]
    fn forks_of_others_count_by_their_rate_and_not_in_a_moment() {
        let found = only(meanwhile(&StateChange { foreign_forks: Some(201), ..quiet() }));
        assert_eq!(found, Condition::ForeignForks { count: 201, elapsed_seconds: 10.0 });
        assert_eq!(found.code(), "foreign_forks");
        let moment = StateChange { elapsed_seconds: 0.001, foreign_forks: Some(9), ..quiet() };
        assert_eq!(meanwhile(&moment), []);
    }

    #[test]
    fn cpu_time_of_others_swap_and_stalls_count() {
        let found = only(meanwhile(&StateChange { foreign_busy_share: Some(0.5), ..quiet() }));
        assert_eq!(
            (found.code(), &found),
            ("foreign_busy", &Condition::ForeignBusy { share: 0.5, cores: None })
        );
        let text = Condition::ForeignBusy { share: 0.02, cores: Some(1.28) }.to_string();
        assert!(text.contains("used 2.0 % of all CPU time, 1.3 cores: end other programs"), "{text}");
        let of_many =
            StateChange { foreign_busy_share: Some(0.02), foreign_busy_cores: Some(1.28), ..quiet() };
        assert_eq!(
            only(meanwhile(&of_many)),
            Condition::ForeignBusy { share: 0.02, cores: Some(1.28) },
            "one of 64 cores"
        );
        let of_few =
            StateChange { foreign_busy_share: Some(0.02), foreign_busy_cores: Some(0.04), ..quiet() };
        assert_eq!(meanwhile(&of_few), [], "a little of two");
        let found = only(meanwhile(&StateChange { swap_growth_bytes: Some(3 << 20), ..quiet() }));
        assert_eq!((found.code(), &found), ("swap_grew", &Condition::SwapGrew { bytes: 3 << 20 }));
        assert!(found.to_string().starts_with("3.0 MiB of memory were swapped out: "));
        let found = only(meanwhile(&StateChange { oom_kills: Some(3), ..quiet() }));
        assert_eq!((found.code(), &found), ("oom_kills", &Condition::OomKills { count: 3 }));
        let found = only(meanwhile(&StateChange { memory_some_share: Some(0.2), ..quiet() }));
        assert_eq!((found.code(), &found), ("memory_pressure", &Condition::MemoryPressure { share: 0.2 }));
    }

    #[test]
    fn every_condition_is_shown_in_one_line() {
        let all = [
            Condition::GovernorNotPerformance { governor: "powersave".into() },
            Condition::SlowClockSource { clock_source: "hpet".into() },
            Condition::Altered(Altered {
                what: "governor".into(),
                before: "powersave".into(),
                after: "performance".into(),
            }),
            Condition::BusyBefore { load: Some(1.0), runnable: Some(3), cores: 2 },
            Condition::Steal { share: 0.5 },
            Condition::Throttled(Throttling { periods: 1, seconds: 0.5 }),
            Condition::ForeignForks { count: 9, elapsed_seconds: 1.0 },
            Condition::TooHot { count: 1 },
            Condition::ForeignBusy { share: 0.5, cores: Some(1.0) },
            Condition::SwapGrew { bytes: 1 },
            Condition::OomKills { count: 1 },
            Condition::MemoryPressure { share: 0.5 },
        ];
        for condition in all {
            let text = condition.to_string();
            let (_, advice) = text.rsplit_once(": ").expect("advice follows a colon");
            assert!(!text.contains('\n') && !advice.is_empty(), "{text}");
        }
    }
}
