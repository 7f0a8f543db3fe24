//! large-batch: whether the pool wins when there are many tasks, over serial and over a process for each.

use super::replay::MILLION_EXPRESSIONS;
use super::{Circumstances, Claim, Judgement, Replay, Sample};
use crate::engine::Engine;
use crate::mode::Mode;
use crate::report::numbers::count;

pub(super) const CLAIM: Claim = Claim {
    name: "large-batch",
    says: "for many tasks the pool wins",
    figures: Some("1,000,000 expressions: pool 6 s, serial 10 s"),
    of_many: true,
    of_results: false,
    seconds: 102,
    engines: Engine::OF_TASKS,
    replays,
    judge,
};

/// Against serial a part of the million; against process as many as it can do in about as long.
fn replays(at: &Circumstances) -> Vec<Replay> {
    let many = at.pick(100_000, 5_000);
    let affordable = at.by_engine(at.pick(4_000, 400), at.pick(1_000, 60));
    let replay = |tasks| Replay::of(MILLION_EXPRESSIONS, at.pick(7, 5)).tasks(tasks);
    vec![
        replay(many).only(&[Mode::Serial, Mode::Pool]),
        // The article has none, and so has the spec.
        replay(affordable).only(&[Mode::Pool]).also(&[Mode::Process]),
    ]
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let [many, affordable] = samples else { return Err("not all of it was run".into()) };
    let serially = many.race(many.first(Mode::Pool)?, many.first(Mode::Serial)?)?;
    let apart = affordable.race(affordable.first(Mode::Pool)?, affordable.first(Mode::Process)?)?;
    let against = |other: &str, sample: &Sample| format!("speed of pool over {other}, {} tasks", count(sample.tasks));
    let evidence = vec![
        serially.evidence.clone().headline(against("serial", many)),
        apart.evidence.clone().headline(against("Process", affordable)),
    ];
    let parts =
        [("over serial", &serially, serially.ours_less), ("over a process for each", &apart, apart.ours_less)];
    Ok(Judgement::of_both(parts, "the pool wins", evidence))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::super::sample::made_up::{around, run, scattered};
    use super::*;

    fn verdict(pool: f64, serial: &[f64], process: f64) -> Judgement {
        let many = run(100_000).with("serial", Mode::Serial, serial).with("pool", Mode::Pool, &around(pool));
        let few =
            run(4_000).with("pool", Mode::Pool, &around(pool)).with("process", Mode::Process, &around(process));
        judge(&[many, few]).unwrap()
    }

    #[test]
    fn all_verdicts_come_out() {
        assert_eq!(verdict(0.5, &around(1.0), 9.0).verdict, Verdict::Holds);
        assert_eq!(verdict(1.0, &around(1.0), 1.0).verdict, Verdict::DoesNotHold);
        let judged = verdict(1.2, &around(1.0), 9.0);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert_eq!(judged.why, "the pool wins over a process for each, but not over serial");
        assert_eq!(verdict(1.0, &around(0.5), 0.9).verdict, Verdict::DoesNotHold);
        let judged = verdict(1.0, &around(2.0), 0.9);
        assert_eq!(judged.verdict, Verdict::Depends, "the other way round");
        assert_eq!(judged.why, "the pool wins over serial, but not over a process for each");
        let judged = verdict(1.0, &scattered(0.8), 9.0);
        assert_eq!(judged.verdict, Verdict::NotTested);
        assert!(judged.why.contains("9 rounds do not tell"), "{}", judged.why);
        assert_eq!(judge(&[run(2)]).unwrap_err(), "not all of it was run");
        assert_eq!(judge(&[run(2), run(2)]).unwrap_err(), "there is no pool to compare");
    }
}
