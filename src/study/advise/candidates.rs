//! Which strategies are worth looking at for a workload.

use crate::engine::Engine;
use crate::mode::Mode;
use crate::mode::chunk::ChunkPolicy;
use crate::mode::settings::Transport;
use crate::plan::Plan;
use crate::plan::draft::{Chunk, InFlight, StrategyDraft, Workers};
use crate::workload::{Kind, WorkloadSpec};

/// The most workers that are looked at, where a worker for each task is.
const MOST_WORKERS: u64 = 1024;

/// The first look: each mode, and numbers of workers far apart. Those that a user has named come in addition.
pub fn broad(workload: &WorkloadSpec, cores: u64, engines: &[Engine]) -> Vec<StrategyDraft> {
    let times = match workload.kind {
        // A program that is to stay can take long to start: who wants very many of them is found step by step.
        Kind::Worker => Times { of_cores: &[1, 4, 16], of_tasks: false },
        // Who waits needs no core; of a program nobody knows whether it does.
        kind if kind.is_program() || workload.expected_wait_seconds() > 0.0 => {
            Times { of_cores: &[1, 4, 16, 64], of_tasks: true }
        }
        _ => Times { of_cores: &[1, 2], of_tasks: false },
    };
    let counts = counts(workload.tasks, times, cores);
    let mut all = Vec::new();
    for engine in engines {
        let row =
            |mode| StrategyDraft { mode: Some(mode), engine: Some(*engine), ..StrategyDraft::default() };
        all.push(row(Mode::Serial));
        for mode in [Mode::Threads, Mode::Pool] {
            let of = |count: &u64| StrategyDraft { workers: Some(Workers::Count(*count)), ..row(mode) };
            all.extend(counts.iter().map(of));
        }
        // How much calls differ is not known: where a few take long, the large chunks of Python's pool keep others waiting behind them, and who
        // has more workers would win for having smaller ones.
        if *engine == Engine::Python && workload.kind == Kind::Call && workload.tasks > 4 * cores {
            let workers = Some(Workers::Count(cores));
            all.push(StrategyDraft { workers, chunk: Some(Chunk(ChunkPolicy::Fixed(1))), ..row(Mode::Pool) });
        }
        let of = |in_flight| StrategyDraft { in_flight: Some(in_flight), ..row(Mode::Process) };
        all.push(of(InFlight::All));
        all.extend(counts.iter().map(|count| of(InFlight::Count(*count))));
    }
    all
}

/// How many could be at work at once.
#[derive(Clone, Copy)]
struct Times {
    /// So many times as many as there are cores.
    of_cores: &'static [u64],
    /// As many as there are tasks. Whether a process for each task is better because it is one, or because none has to wait for
    /// another, only as many workers can tell.
    of_tasks: bool,
}

/// How many could be at work at once, far apart, rising.
fn counts(tasks: u64, times: Times, cores: u64) -> Vec<u64> {
    // Few of many cores can be enough where a worker is dear, or where memory is what they wait for.
    let few = [16, 4].into_iter().map(|part| cores / part).filter(|count| *count > 1);
    let many = times.of_cores.iter().map(|times| times * cores);
    let all = times.of_tasks.then(|| tasks.min(MOST_WORKERS));
    let mut counts: Vec<u64> = few.chain(many).chain(all).map(|count| count.min(tasks)).collect();
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// The next look: what lies near `best`, and how else it could hand out tasks.
pub fn near(best: &StrategyDraft, plan: &Plan, cores: u64) -> Vec<StrategyDraft> {
    let workload = &plan.workload;
    let beside =
        |count: u64| [count / 2, count * 2].into_iter().filter(|near| *near >= 1 && *near <= workload.tasks);
    let mut all = Vec::new();
    if matches!(best.mode, Some(Mode::Pool | Mode::Threads)) {
        let workers = best.workers.map_or(cores, |workers| workers.resolve(cores));
        let row = |near| StrategyDraft { workers: Some(Workers::Count(near)), ..best.clone() };
        all.extend(beside(workers).map(row));
        let auto = ChunkPolicy::Auto.resolve(workload.tasks, workers, workload.expected_task_seconds());
        // In larger ones there would not be one for each worker.
        let large = auto.saturating_mul(8).min(workload.tasks / workers).max(1);
        for policy in [ChunkPolicy::Fixed(1), ChunkPolicy::Fixed(large), ChunkPolicy::Python] {
            all.push(StrategyDraft { chunk: Some(Chunk(policy)), ..best.clone() });
        }
    }
    if best.mode == Some(Mode::Pool) && workload.arg_size_bytes + workload.result_size_bytes > 0 {
        all.push(StrategyDraft { transport: Some(Transport::Pipe), ..best.clone() });
    }
    let in_flight = match best.in_flight {
        Some(InFlight::Count(count)) => Some(count),
        Some(InFlight::All) => Some(workload.tasks),
        _ => None,
    };
    let row = |near| StrategyDraft { in_flight: Some(InFlight::Count(near)), ..best.clone() };
    all.extend(in_flight.into_iter().flat_map(beside).map(row));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITING: Times = Times { of_cores: &[1, 4, 16, 64], of_tasks: true };
    const COMPUTING: Times = Times { of_cores: &[1, 2], of_tasks: false };

    #[test]
    fn tasks_that_wait_are_tried_with_a_worker_for_each() {
        assert_eq!(counts(1_000, WAITING, 2), [2, 8, 32, 128, 1_000]);
        assert_eq!(counts(1_000_000, WAITING, 2), [2, 8, 32, 128, MOST_WORKERS]);
        assert_eq!(counts(20, WAITING, 2), [2, 8, 20]);
    }

    #[test]
    fn few_of_many_cores_are_tried() {
        assert_eq!(counts(1_000_000, COMPUTING, 64), [4, 16, 64, 128]);
        assert_eq!(counts(1_000_000, COMPUTING, 1), [1, 2]);
        assert_eq!(counts(3, COMPUTING, 64), [3]);
    }
}
