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
    let rounds = at.by_engine(at.pick(7, 9), at.pick(15, 7));
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
    let won_clearly = race.evidence.is_above(clearly);
    let with_many = format!("with {} expressions", count(many.tasks));
    let by_how_much = format!(
        "by more than {} (half of what {} workers can gain, or the article's 5 ×)",
        times(clearly),
        count(workers)
    );
    let (verdict, why) = match (race.ours_less, won_clearly) {
        (Answer::Unclear, _) => (Verdict::NotTested, race.doubt()),
        (Answer::Yes, Answer::Yes) => {
            (Verdict::Holds, format!("the pool wins clearly {with_many}, {by_how_much}"))
        }
        (Answer::Yes, Answer::No) => {
            (Verdict::Depends, format!("the pool wins {with_many}, but not clearly, which would be {by_how_much}"))
        }
        (Answer::Yes, Answer::Unclear) => (
            Verdict::NotTested,
            format!("the pool wins {with_many}, but whether clearly, {by_how_much}, the rounds do not tell"),
        ),
        (Answer::No, _) if of_few.ours_less.is_yes() => {
            (Verdict::Depends, format!("the pool does not win {with_many}, where its creation is nothing, but with fewer"))
        }
        (Answer::No, _) => (Verdict::DoesNotHold, format!("the pool does not win {with_many}")),
    };
    // The article does not say how many it had. That a pool costs something to create is what small-batch says.
    let with_few = match (of_few.ours_less, of_few.theirs_less) {
        (Answer::Yes, _) => "it wins",
        (_, Answer::Yes) => "it loses",
        (Answer::No, Answer::No) => "there is nothing between them",
        _ => "the rounds do not tell",
    };
    let why = format!("{why}; with as many as there are workers ({}) {with_few}", count(few.tasks));
    Ok(Judgement::new(verdict, why, evidence))
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
        let judged = verdict(&around(0.5), 0.7);
        assert_eq!(judged.verdict, Verdict::Holds);
        assert_eq!(
            judged.why,
            "the pool wins clearly with 5,000 expressions, by more than 1.50 × (half of what 2 workers can gain, or the article's \
             5 ×); with as many as there are workers (2) it wins"
        );
        assert_eq!(verdict(&around(1.0), 1.4).verdict, Verdict::DoesNotHold);
        let judged = verdict(&around(0.85), 0.7);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert!(judged.why.contains("but not clearly, which would be by more than 1.50 ×"), "{}", judged.why);
        let judged = verdict(&around(1.4), 0.7);
        assert_eq!(judged.verdict, Verdict::Depends, "the other way round");
        assert!(judged.why.starts_with("the pool does not win with 5,000 expressions"), "{}", judged.why);
        let judged = verdict(&scattered(0.7), 0.7);
        assert_eq!(judged.verdict, Verdict::NotTested);
        assert!(judged.why.contains("9 rounds do not tell"), "{}", judged.why);
        // Between 1.25 and 2.5 times as fast.
        let judged = verdict(&scattered(0.4), 0.7);
        assert_eq!(judged.verdict, Verdict::NotTested);
        assert!(judged.why.contains("but whether clearly"), "{}", judged.why);
        assert_eq!(judge(&[]).unwrap_err(), "not all of it was run");
        assert_eq!(judge(&[run(2), run(2)]).unwrap_err(), "there is no pool to compare");
    }

    #[test]
    fn as_few_as_there_are_workers_are_an_aside() {
        let aside = |few| {
            let judged = verdict(&around(0.5), few);
            assert_eq!(judged.verdict, Verdict::Holds, "{}", judged.why);
            judged.why
        };
        assert!(aside(1.4).ends_with("(2) it loses"));
        assert!(aside(1.0).ends_with("(2) there is nothing between them"));
        assert_eq!([1, 2, 4, 9, 64].map(clearly), [1.0, 1.5, 2.5, 5.0, 5.0]);
    }
}
