//! Which strategies are worth looking at for a workload.

use crate::engine::Engine;
use crate::mode::Mode;
use crate::mode::chunk::ChunkPolicy;
use crate::mode::settings::Transport;
use crate::plan::Plan;
use crate::plan::draft::{Chunk, InFlight, StrategyDraft, Workers};
use crate::workload::WorkloadSpec;

/// The first look: each mode, and numbers of workers far apart. Those that a user has named come in addition.
pub fn broad(workload: &WorkloadSpec, cores: u64, engines: &[Engine]) -> Vec<StrategyDraft> {
    // Who waits needs no core; of a program nobody knows whether it does.
    let waits = workload.kind.is_program() || workload.expected_wait_seconds() > 0.0;
    let times: &[u64] = if waits { &[1, 4, 16, 64] } else { &[1, 2] };
    let mut counts: Vec<u64> = times.iter().map(|times| (times * cores).min(workload.tasks)).collect();
    counts.dedup();
    let mut all = Vec::new();
    for engine in engines {
        let row =
            |mode| StrategyDraft { mode: Some(mode), engine: Some(*engine), ..StrategyDraft::default() };
        all.push(row(Mode::Serial));
        for mode in [Mode::Threads, Mode::Pool] {
            let of = |count: &u64| StrategyDraft { workers: Some(Workers::Count(*count)), ..row(mode) };
            all.extend(counts.iter().map(of));
        }
        let of = |in_flight| StrategyDraft { in_flight: Some(in_flight), ..row(Mode::Process) };
        all.push(of(InFlight::All));
        all.extend(counts.iter().map(|count| of(InFlight::Count(*count))));
    }
    all
}

/// The second look: what lies near `best`, and how else it could hand out tasks.
pub fn near(best: &StrategyDraft, plan: &Plan, cores: u64) -> Vec<StrategyDraft> {
    let workload = &plan.workload;
    let beside =
        |count: u64| [count / 2, count * 2].into_iter().filter(|near| *near >= 1 && *near <= workload.tasks);
    let mut all = Vec::new();
    let workers = best.workers.map(|workers| workers.resolve(cores));
    for near in workers.into_iter().flat_map(beside) {
        all.push(StrategyDraft { workers: Some(Workers::Count(near)), ..best.clone() });
    }
    if matches!(best.mode, Some(Mode::Pool | Mode::Threads)) {
        let workers = workers.unwrap_or(cores);
        let auto = ChunkPolicy::Auto.resolve(workload.tasks, workers, workload.expected_task_seconds());
        for policy in [ChunkPolicy::Fixed(1), ChunkPolicy::Fixed(auto.saturating_mul(8)), ChunkPolicy::Python]
        {
            all.push(StrategyDraft { chunk: Some(Chunk(policy)), ..best.clone() });
        }
    }
    if best.mode == Some(Mode::Pool) && workload.arg_size_bytes + workload.result_size_bytes > 0 {
        all.push(StrategyDraft { transport: Some(Transport::Pipe), ..best.clone() });
    }
    if let Some(InFlight::Count(count)) = best.in_flight {
        all.extend(
            beside(count)
                .map(|near| StrategyDraft { in_flight: Some(InFlight::Count(near)), ..best.clone() }),
        );
    }
    all
}
