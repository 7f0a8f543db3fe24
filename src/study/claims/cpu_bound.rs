//! cpu-bound: whether the pool wins over a process for each of many tasks that do little but compute.

use super::replay::CPU_BOUND;
use super::{Circumstances, Claim, Judgement, Replay, Sample};
use crate::engine::Engine;
use crate::mode::Mode;
use crate::report::numbers::seconds;

pub(super) const CLAIM: Claim = Claim {
    name: "cpu-bound",
    says: "with many tasks and little I/O, the pool wins",
    figures: None,
    of_many: true,
    of_results: false,
    seconds: 91,
    engines: Engine::OF_TASKS,
    replays,
    judge,
};

/// Tasks as short as the spec's, and tasks a thousand times as long, beside which a process costs little.
fn replays(at: &Circumstances) -> Vec<Replay> {
    let replay = |rounds| Replay::of(CPU_BOUND, rounds).only(&[Mode::Pool, Mode::Process]);
    let short = at.by_engine(at.pick(20_000, 3_000), at.pick(1_000, 80));
    vec![
        replay(at.pick(10, 6)).tasks(short),
        replay(at.pick(10, 5)).tasks(at.cores * at.pick(20, 5)).cpu(20e-3),
    ]
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let [short, long] = samples else { return Err("not all of it was run".into()) };
    let race = |sample: &Sample| sample.race(sample.first(Mode::Pool)?, sample.first(Mode::Process)?);
    let (with_short, with_long) = (race(short)?, race(long)?);
    let against_process =
        |sample: &Sample| format!("speed of pool over Process, {} each", seconds(sample.cpu_seconds));
    let evidence = vec![
        with_short.evidence.clone().headline(against_process(short)),
        with_long.evidence.clone().headline(against_process(long)),
    ];
    let tasks_of = |sample: &Sample| format!("with tasks of {}", seconds(sample.cpu_seconds));
    let (of_short, of_long) = (tasks_of(short), tasks_of(long));
    Ok(Judgement::with_aside([(&of_short, &with_short), (&of_long, &with_long)], "the pool", evidence))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::super::sample::made_up::{around, run, scattered};
    use super::*;

    fn verdict(short: &[f64], long: &[f64]) -> Judgement {
        let at = |cpu_seconds, process: &[f64]| {
            let sample = run(1_000).with("pool", Mode::Pool, &around(1.0));
            Sample { cpu_seconds, ..sample.with("process", Mode::Process, process) }
        };
        judge(&[at(20e-6, short), at(20e-3, long)]).unwrap()
    }

    #[test]
    fn all_verdicts_come_out() {
        assert_eq!(verdict(&around(4.0), &around(1.1)).verdict, Verdict::Holds);
        assert_eq!(verdict(&around(0.9), &around(1.0)).verdict, Verdict::DoesNotHold);
        let judged = verdict(&around(4.0), &around(0.9));
        assert_eq!(judged.verdict, Verdict::Depends);
        assert_eq!(judged.why, "the pool wins with tasks of 20.0 µs, but loses with tasks of 20.0 ms");
        let judged = verdict(&around(0.9), &around(1.1));
        assert_eq!(judged.verdict, Verdict::Depends);
        assert_eq!(judged.why, "the pool wins with tasks of 20.0 ms, but not with tasks of 20.0 µs");
        for long in [around(1.0), scattered(0.8)] {
            let judged = verdict(&scattered(0.8), &long);
            assert_eq!(judged.verdict, Verdict::NotTested);
            assert!(judged.why.contains("9 rounds do not tell"), "{}", judged.why);
        }
        assert_eq!(judge(&[]).unwrap_err(), "not all of it was run");
        assert_eq!(judge(&[run(2), run(2)]).unwrap_err(), "there is no pool to compare");
    }

    #[test]
    fn long_tasks_are_an_aside_that_does_not_change_it_unless_the_pool_loses() {
        let why = |long: &[f64]| {
            let judged = verdict(&around(4.0), long);
            assert_eq!(judged.verdict, Verdict::Holds, "{}", judged.why);
            judged.why
        };
        assert!(why(&around(1.0)).ends_with("with tasks of 20.0 ms there is nothing between them"));
        assert!(why(&scattered(0.8)).ends_with("with tasks of 20.0 ms the rounds do not tell"));
        assert_eq!(verdict(&around(0.9), &scattered(0.8)).verdict, Verdict::DoesNotHold, "nor save a lost claim");
    }
}
