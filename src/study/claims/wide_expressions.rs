//! wide-expressions: whether the pool wins clearly when each expression is much work.

use super::replay::WIDE_EXPRESSIONS;
use super::evidence::Answer;
use super::{Circumstances, Claim, Judgement, Replay, Sample};
use crate::engine::Engine;
use crate::mode::Mode;
use crate::report::numbers::count;

pub(super) const CLAIM: Claim = Claim {
    name: "wide-expressions",
    says: "250 arguments each: the pool wins clearly",
    figures: Some("pool 0.6 s, serial 3 s"),
    of_many: true,
    engines: Engine::OF_TASKS,
    replays,
    judge,
};

/// Enough for the pool's creation to be nothing, and as few as its workers.
fn replays(at: &Circumstances) -> Vec<Replay> {
    let many = at.pick(5_000, 200);
    let rounds = at.pick(7, 5);
    let replay = |tasks| Replay::of(WIDE_EXPRESSIONS, rounds).only(&[Mode::Serial, Mode::Pool]).tasks(tasks);
    vec![replay(many), replay(at.cores)]
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let [many, few] = samples else { return Err("not all of it was run".into()) };
    let race = many.race(many.first(Mode::Pool)?, many.first(Mode::Serial)?)?;
    let of_few = few.race(few.first(Mode::Pool)?, few.first(Mode::Serial)?)?;
    let against_serial =
        |sample: &Sample| format!("speed of pool over serial, {} tasks", count(sample.tasks));
    let evidence = vec![
        race.evidence.clone().headline(against_serial(many)),
        of_few.evidence.clone().headline(against_serial(few)),
    ];
    let workers = count(many.first(Mode::Pool)?.executors());
    let with_many = format!("with {} expressions", count(many.tasks));
    let with_few = format!("with as many as there are workers ({})", count(few.tasks));
    let parts = [(&*with_many, &race, race.ours_less), (&*with_few, &of_few, of_few.ours_less)];
    // What the claim speaks of are many; whether few are won too tells only where it turns.
    let mut judged = match of_few.ours_less {
        Answer::Unclear => {
            let answers = [true, false].map(|wins| format!("the pool {} {with_many}", if wins { "wins" } else { "does not win" }));
            let mut judged = Judgement::of_one(&race, race.ours_less, answers, evidence);
            judged.why += &format!("; {with_few}, the rounds do not tell");
            judged
        }
        _ => Judgement::of_both(parts, "the pool wins", evidence),
    };
    judged.why += &format!("; {workers} workers cannot be more than {workers} × as fast");
    Ok(judged)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::super::sample::made_up::{around, run, scattered};
    use super::*;

    fn verdict(many: &[f64], few: f64) -> Judgement {
        let at = |tasks, pool: &[f64]| {
            run(tasks).with("serial", Mode::Serial, &around(1.0)).with("pool", Mode::Pool, pool)
        };
        judge(&[at(5_000, many), at(2, &around(few))]).unwrap()
    }

    #[test]
    fn all_verdicts_come_out() {
        assert_eq!(verdict(&around(0.5), 0.7).verdict, Verdict::Holds);
        assert_eq!(verdict(&around(1.0), 1.4).verdict, Verdict::DoesNotHold);
        let judged = verdict(&around(0.5), 1.4);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert!(judged.why.starts_with("the pool wins with 5,000 expressions, but not with as many"), "{judged:?}");
        let judged = verdict(&around(1.4), 0.7);
        assert_eq!(judged.verdict, Verdict::Depends, "the other way round");
        assert!(judged.why.contains("but not with 5,000 expressions"), "{}", judged.why);
        let many = run(5_000).with("serial", Mode::Serial, &around(1.0)).with("pool", Mode::Pool, &around(0.5));
        let few = run(2).with("serial", Mode::Serial, &around(1.0)).with("pool", Mode::Pool, &scattered(0.7));
        let judged = judge(&[many, few]).unwrap();
        assert_eq!(judged.verdict, Verdict::Holds, "few are an aside");
        assert!(judged.why.contains("the rounds do not tell"), "{}", judged.why);
        let judged = verdict(&scattered(0.7), 0.7);
        assert_eq!(judged.verdict, Verdict::NotTested);
        assert!(judged.why.contains("9 rounds do not tell"), "{}", judged.why);
        assert_eq!(judge(&[]).unwrap_err(), "not all of it was run");
        assert_eq!(judge(&[run(2), run(2)]).unwrap_err(), "there is no pool to compare");
    }
}
