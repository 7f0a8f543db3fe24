//! wide-expressions: whether the pool wins clearly when each expression is much work.

use super::replay::WIDE_EXPRESSIONS;
use super::evidence::Answer;
use super::{Circumstances, Claim, Judgement, Replay, Sample, Verdict};
use crate::engine::Engine;
use crate::mode::Mode;
use crate::report::numbers::{count, times};

pub(super) const CLAIM: Claim = Claim {
    name: "wide-expressions",
    says: "250 arguments each: the pool wins clearly",
    figures: Some("pool 0.6 s, serial 3 s"),
    of_many: true,
    of_results: false,
    seconds: 37,
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
    let workers = many.first(Mode::Pool)?.executors();
    let clearly = clearly(workers);
    let with_many = format!("with {} expressions", count(many.tasks));
    let with_few = format!("with as many as there are workers ({})", count(few.tasks));
    let is_clear = race.evidence.is_above(clearly);
    let wins = race.ours_less.is_yes();
    let cases = [(&*with_many, &race), (&*with_few, &of_few)];
    let mut judged = Judgement::with_aside(cases, "the pool", evidence);
    let by_how_much = format!(
        "which would be by more than {} (half of what they can gain, or the article's 5 ×)",
        times(clearly)
    );
    // Only what would hold can be less than that for not being clear.
    let verdict = match (judged.verdict, is_clear) {
        (Verdict::Holds, Answer::No) => Verdict::Depends,
        (Verdict::Holds, Answer::Unclear) => Verdict::NotTested,
        (verdict, _) => verdict,
    };
    judged.why += &match (wins, is_clear) {
        (true, Answer::No) => format!("; not clearly, {by_how_much}"),
        (true, Answer::Unclear) => format!("; whether clearly, {by_how_much}, the rounds do not tell"),
        _ => String::new(),
    };
    let workers = count(workers);
    judged.why += &format!("; of {workers} workers no more than {workers} × can be expected");
    Ok(Judgement { verdict, ..judged })
}

/// How many times as fast as serial a pool of `workers` has to be to win clearly: half of what they can gain, or the article's 5 ×.
fn clearly(workers: u64) -> f64 {
    (0.5 * (1.0 + workers as f64)).min(5.0)
}

#[cfg(test)]
mod tests {
    use super::super::sample::made_up::{around, run, scattered};
    use super::*;

    fn verdict(many: &[f64], few: f64) -> Judgement {
        let at = |tasks, pool: &[f64]| {
            let mut sample =
                run(tasks).with("serial", Mode::Serial, &around(1.0)).with("pool", Mode::Pool, pool);
            sample.last().workers = Some(2);
            sample
        };
        judge(&[at(5_000, many), at(2, &around(few))]).unwrap()
    }

    #[test]
    fn all_verdicts_come_out() {
        assert_eq!(verdict(&around(0.5), 0.7).verdict, Verdict::Holds);
        assert_eq!(verdict(&around(1.0), 1.4).verdict, Verdict::DoesNotHold);
        let judged = verdict(&around(0.5), 1.4);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert!(judged.why.starts_with("the pool wins with 5,000 expressions, but loses with as many"), "{judged:?}");
        let judged = verdict(&around(1.4), 0.7);
        assert_eq!(judged.verdict, Verdict::Depends, "the other way round");
        assert!(judged.why.contains("but not with 5,000 expressions"), "{}", judged.why);
        let judged = verdict(&scattered(0.7), 0.7);
        assert_eq!(judged.verdict, Verdict::NotTested);
        assert!(judged.why.contains("9 rounds do not tell"), "{}", judged.why);
        assert_eq!(judge(&[]).unwrap_err(), "not all of it was run");
        assert_eq!(judge(&[run(2), run(2)]).unwrap_err(), "there is no pool to compare");
    }

    #[test]
    fn few_are_an_aside_unless_the_pool_loses() {
        assert_eq!(verdict(&around(0.5), 1.0).verdict, Verdict::Holds);
    }

    #[test]
    fn to_win_is_not_to_win_clearly() {
        let judged = verdict(&around(0.85), 0.7);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert!(judged.why.contains("; not clearly, which would be by more than 1.50 ×"), "{}", judged.why);
        // Between 1.25 and 2.5 times as fast.
        let judged = verdict(&scattered(0.4), 0.7);
        assert_eq!(judged.verdict, Verdict::NotTested);
        assert!(judged.why.contains("whether clearly"), "{}", judged.why);
        let judged = verdict(&scattered(0.4), 1.4);
        assert_eq!(judged.verdict, Verdict::Depends, "clearly or not: {}", judged.why);
        assert_eq!([1, 2, 4, 9, 64].map(clearly), [1.0, 1.5, 2.5, 5.0, 5.0]);
    }
}
