//! How many processes this machine can hold, and never more.
//!
//! Pure: it is told the limits and answers. What the limits are is read by [`crate::measure::limits`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::count;
use crate::measure::limits::{Limit, LimitKind, Limits};

/// What one living process of the round needs, or a worker with all that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessCost {
    /// For how many processes and threads it counts: a worker that has a program at work is two.
    pub processes: u64,
    /// What the kernel and the program need for a process that waits, measured on this machine.
    pub parked_bytes: u64,
    /// What the task needs besides: argument, result, private memory, I/O.
    pub task_bytes: u64,
    /// Files that another process, which serves all of them, opens for it.
    pub peer_files: u64,
    /// Memory that the round needs however many there are: results, and what the parent holds.
    pub held_bytes: u64,
}

/// What the guard found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "GuardVerdict")]
pub struct Verdict {
    /// How many processes were asked for at once.
    pub wanted: u64,
    /// How many may be alive at once: at least 1.
    pub allowed: u64,
    /// Which limit says so, where it is less than wanted.
    pub binding: Option<Binding>,
}

/// The limit that binds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Binding {
    /// Its name, as a user would look for it.
    pub limit: String,
    /// Whether what follows are bytes; else they are processes, or files.
    #[serde(default)]
    pub in_bytes: bool,
    /// Its value.
    pub value: u64,
    /// How much of it is in use already, or set aside for others.
    pub in_use: u64,
    /// What all of the processes at once would have needed of it.
    pub needed: u64,
    /// How to raise it.
    pub advice: String,
}

impl Binding {
    /// The limit with its value.
    pub fn limit_in_words(&self) -> String {
        match self.in_bytes {
            true => format!("{} is {} ({} bytes)", self.limit, in_iec(self.value), self.value),
            false => format!("{} is {}", self.limit, count(self.value)),
        }
    }

    /// So much of it.
    pub fn amount(&self, of: u64) -> String {
        if self.in_bytes { in_iec(of) } else { count(of) }
    }
}

fn in_iec(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

/// What `strategy` is told that may not have all it wanted; nothing if it may.
pub fn in_words(strategy: &str, verdict: &Verdict) -> Option<String> {
    let binding = verdict.binding.as_ref()?;
    Some(format!(
        "{strategy}: at most {} alive at once, not {}: {}, of which {} are in use or set aside; all at once would \
         have needed {}. To raise it: {}",
        match verdict.allowed {
            1 => "1 process is".to_owned(),
            allowed => format!("{} processes are", count(allowed)),
        },
        count(verdict.wanted),
        binding.limit_in_words(),
        binding.amount(binding.in_use),
        binding.amount(binding.needed),
        binding.advice
    ))
}

/// Part of a limit on processes that is left to others.
const RESERVE_PART: u64 = 50;
/// … and at least this many.
const LEAST_RESERVE: u64 = 16;
/// Part of the memory that may be used, in hundredths.
const MEMORY_PERCENT: u64 = 80;

/// How many of `wanted` processes may be alive at once under `limits`.
pub fn judge(wanted: u64, limits: &Limits, cost: ProcessCost) -> Verdict {
    let bytes = cost.parked_bytes.saturating_add(cost.task_bytes).max(1);
    let reserve = |limit: &Limit| match limit.kind {
        LimitKind::Processes => (limit.value / RESERVE_PART).max(LEAST_RESERVE),
        LimitKind::Files => LEAST_RESERVE,
        LimitKind::Memory => 0,
    };
    let room = |limit: &Limit| match limit.kind {
        LimitKind::Processes => {
            let free = limit.value.saturating_sub(limit.in_use).saturating_sub(reserve(limit));
            free / cost.processes.max(1)
        }
        LimitKind::Memory => {
            let free = limit.value.saturating_sub(limit.in_use).saturating_sub(cost.held_bytes);
            (free / 100 * MEMORY_PERCENT) / bytes
        }
        LimitKind::Files => {
            let free = limit.value.saturating_sub(limit.in_use).saturating_sub(reserve(limit));
            free.checked_div(cost.peer_files).unwrap_or(u64::MAX)
        }
    };
    let tightest = limits.all.iter().map(|limit| (room(limit).max(1), limit)).min_by_key(|(room, _)| *room);
    match tightest {
        Some((room, limit)) if room < wanted => {
            let needed = match limit.kind {
                LimitKind::Processes => wanted.saturating_mul(cost.processes),
                LimitKind::Memory => wanted.saturating_mul(bytes).saturating_add(cost.held_bytes),
                LimitKind::Files => wanted.saturating_mul(cost.peer_files),
            };
            let binding = Binding {
                limit: limit.name.clone(),
                in_bytes: limit.kind == LimitKind::Memory,
                value: limit.value,
                in_use: limit.in_use.saturating_add(reserve(limit)).min(limit.value),
                needed,
                advice: limit.advice.clone(),
            };
            Verdict { wanted, allowed: room, binding: Some(binding) }
        }
        _ => Verdict { wanted, allowed: wanted.max(1), binding: None },
    }
}

/// Why there is no room for `what`, which needs `bytes` of memory; `None` if there is.
pub fn no_memory(what: &str, bytes: u64, limits: &Limits) -> Option<String> {
    const USED_PERCENT: u64 = 90;
    let (limit, _) = limits.tightest_memory().filter(|(_, free)| bytes > free / 100 * USED_PERCENT)?;
    let taken = match limit.in_use {
        0 => String::new(),
        in_use => format!(", of which {} are in use or set aside", in_iec(in_use)),
    };
    Some(format!(
        "{what} need {}, but {} is {} ({} bytes){taken}. To raise it: {}",
        in_iec(bytes),
        limit.name,
        in_iec(limit.value),
        limit.value,
        limit.advice
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(name: &str, kind: LimitKind, value: u64, in_use: u64) -> Limit {
        Limit { name: name.into(), kind, value, in_use, advice: "raise it".into() }
    }

    const COST: ProcessCost =
        ProcessCost { processes: 1, parked_bytes: 100 << 10, task_bytes: 0, peer_files: 0, held_bytes: 0 };

    #[test]
    fn the_tightest_limit_binds_and_is_named() {
        let limits = Limits {
            all: vec![
                limit("kernel.pid_max", LimitKind::Processes, 32_768, 200),
                limit("MemAvailable", LimitKind::Memory, 16 << 30, 0),
            ],
        };
        let verdict = judge(40_000, &limits, COST);
        let binding = verdict.binding.expect("pid_max binds");
        assert_eq!(binding.limit, "kernel.pid_max");
        assert_eq!(binding.needed, 40_000);
        assert!((30_000..32_768 - 200).contains(&verdict.allowed), "{}", verdict.allowed);
    }

    #[test]
    fn memory_binds_when_tasks_are_large() {
        let limits = Limits { all: vec![limit("MemAvailable", LimitKind::Memory, 1 << 30, 0)] };
        let cost = ProcessCost { task_bytes: 10 << 20, ..COST };
        let verdict = judge(1000, &limits, cost);
        assert_eq!(verdict.allowed, 81);
        let said = in_words("process", &verdict).expect("it binds");
        assert!(
            said.contains("MemAvailable is 1.0 GiB (1073741824 bytes), of which 0 B are in use"),
            "{said}"
        );
        // What is held anyway is not there for processes.
        assert_eq!(judge(1000, &limits, ProcessCost { held_bytes: 512 << 20, ..cost }).allowed, 40);
    }

    #[test]
    fn files_bind_only_where_a_peer_opens_some() {
        let limits = Limits { all: vec![limit("RLIMIT_NOFILE", LimitKind::Files, 1024, 24)] };
        assert_eq!(judge(2000, &limits, COST).allowed, 2000);
        assert_eq!(judge(2000, &limits, ProcessCost { peer_files: 1, ..COST }).allowed, 984);
    }

    #[test]
    fn nothing_binds_on_a_large_machine() {
        let verdict = judge(10, &Limits { all: Vec::new() }, COST);
        assert_eq!((verdict.allowed, verdict.binding), (10, None));
    }

    proptest! {
        #[test]
        fn never_more_than_any_limit_leaves(
            wanted in 1_u64..10_000_000,
            limits in prop::collection::vec((0_usize..3, 0_u64..1 << 40, 0_u64..1 << 40), 0..6),
            parked in 1_u64..1 << 30,
            task in 0_u64..1 << 40,
            peer_files in 0_u64..3,
            held in 0_u64..1 << 40,
            processes in 1_u64..3,
        ) {
            let kinds = [LimitKind::Processes, LimitKind::Memory, LimitKind::Files];
            let limits = Limits {
                all: limits
                    .into_iter()
                    .map(|(kind, value, in_use)| limit("limit", kinds[kind], value, in_use))
                    .collect(),
            };
            let cost = ProcessCost { processes, parked_bytes: parked, task_bytes: task, peer_files, held_bytes: held };
            let verdict = judge(wanted, &limits, cost);
            prop_assert!(verdict.allowed >= 1 && verdict.allowed <= wanted);
            for limit in &limits.all {
                let free = limit.value.saturating_sub(limit.in_use);
                let used = match limit.kind {
                    LimitKind::Processes => verdict.allowed * processes,
                    LimitKind::Memory => held + verdict.allowed * (parked + task),
                    LimitKind::Files => verdict.allowed * peer_files,
                };
                // One process is always tried: a machine that cannot hold it says so itself.
                prop_assert!(used <= free || verdict.allowed == 1, "{used} of {free}");
            }
        }
    }
}
