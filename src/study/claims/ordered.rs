//! ordered: whether the pool waits for all tasks and returns one list, in order: by the digest, which is folded over results in
//! the order in which they were returned.

use super::evidence::{Answer, Evidence, Unit};
use super::replay::{ORDERED, PYTHON_ORDERED};
use super::sample::Row;
use super::{Circumstances, Claim, Judgement, Replay, Sample, Verdict};
use crate::engine::Engine;
use crate::mode::Mode;
use crate::report::numbers::count;

pub(super) const CLAIM: Claim = Claim {
    name: "ordered",
    says: "the pool waits for all and returns one list, in order",
    figures: None,
    of_many: false,
    of_results: true,
    seconds: 11,
    engines: Engine::OF_TASKS,
    replays,
    judge,
};

fn replays(at: &Circumstances) -> Vec<Replay> {
    let modes = &[Mode::Serial, Mode::Pool];
    let rounds = at.pick(7, 5);
    vec![match at.engine {
        Engine::Python => Replay::of(PYTHON_ORDERED, rounds).only(modes).as_written(),
        _ => Replay::of(ORDERED, rounds).only(modes),
    }]
}

/// In how many rounds `row` returned the results of `sample`'s serial rounds, all and in order.
fn agreeing(sample: &Sample, serial: &Row, row: &Row) -> Result<(Evidence, Answer), String> {
    let expected = &serial.rounds.first().ok_or("serial was not run")?.digest;
    // Two that say nothing would agree.
    if expected.is_empty() {
        return Err("what serial returned is not known".into());
    }
    let agrees = |round: &super::sample::Point| {
        f64::from(u8::from(round.digest == *expected && round.completed == sample.tasks))
    };
    let what = format!("rounds, of {}, that returned all results as serial did:", row.rounds.len());
    let evidence = sample.median(&what, row, Unit::Count, |round| Some(agrees(round)))?;
    // Not a matter of chance: one that does not is enough.
    let all = row.rounds.iter().all(|round| agrees(round) == 1.0);
    let value = row.rounds.iter().map(agrees).sum();
    let evidence = Evidence { value, ci_low: None, ci_high: None, ..evidence };
    Ok((evidence, if all { Answer::Yes } else { Answer::No }))
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let [sample] = samples else { return Err("it was not run".into()) };
    let serial = sample.first(Mode::Serial)?;
    let (mut evidence, mut unordered, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for row in sample.rows.iter().filter(|row| row.mode == Mode::Pool) {
        let (of_row, agrees) = agreeing(sample, serial, row)?;
        if agrees.is_no() {
            wrong.push(row.name.as_str());
        }
        // What is returned as it is finished is put into order by whoever asked; the digest is over that.
        if row.rounds.iter().any(|round| round.out_of_place.is_some()) {
            let out_of_place = |round: &super::sample::Point| round.out_of_place.map(|places| places as f64);
            let of_places = sample.median("results out of their place", row, Unit::Count, out_of_place)?;
            // As above: one round in which some were out of their place is enough.
            let most = row.rounds.iter().filter_map(|round| round.out_of_place).max();
            if let Some(most) = most.filter(|places| *places > 0) {
                unordered.push((row, most));
            }
            evidence.push(of_places.headline("imap_unordered: results out of their place"));
        }
        let name = format!("rounds, of {}, in order", row.rounds.len());
        evidence.push(if evidence.is_empty() { of_row.headline(name) } else { of_row });
    }
    if evidence.is_empty() {
        return Err("there is no pool to look at".into());
    }
    let pools = sample.rows.iter().filter(|row| row.mode == Mode::Pool).count();
    let tasks = count(sample.tasks);
    let (verdict, why) = match (wrong.as_slice(), unordered.as_slice()) {
        ([], []) => (Verdict::Holds, format!("each round returned all {tasks} results, in the order of tasks")),
        (wrong, _) if wrong.len() == pools => {
            (Verdict::DoesNotHold, format!("{} did not return what serial did", wrong.join(" and ")))
        }
        ([], [(row, places), ..]) => (
            Verdict::Depends,
            format!(
                "all {tasks} results come back, and in order unless they are asked for as they are finished: {} had up to {} of \
                 them out of their place",
                row.name,
                count(*places)
            ),
        ),
        (wrong, _) => (Verdict::Depends, format!("{} did not return what serial did", wrong.join(" and "))),
    };
    Ok(Judgement::new(verdict, why, evidence))
}

#[cfg(test)]
mod tests {
    use super::super::sample::Point;
    use super::super::sample::made_up::run;
    use super::*;

    fn points(digest: &str, completed: u64, out_of_place: Option<u64>) -> Vec<Point> {
        vec![Point { digest: digest.into(), completed, out_of_place, ..Point::default() }; 5]
    }

    fn verdict(pool: (&str, u64), unordered: Option<u64>) -> Judgement {
        let mut sample = run(10)
            .with_points("serial", Mode::Serial, points("abc", 10, None))
            .with_points("pool", Mode::Pool, points(pool.0, pool.1, None));
        if unordered.is_some() {
            sample = sample.with_points("pool:api=imap_unordered", Mode::Pool, points("abc", 10, unordered));
        }
        judge(&[sample]).unwrap()
    }

    #[test]
    fn all_verdicts_come_out() {
        assert_eq!(verdict(("abc", 10), None).verdict, Verdict::Holds);
        assert_eq!(verdict(("cba", 10), None).verdict, Verdict::DoesNotHold, "another order");
        assert_eq!(verdict(("abc", 9), None).verdict, Verdict::DoesNotHold, "one is missing");
        let judged = verdict(("abc", 10), Some(3));
        assert_eq!(judged.verdict, Verdict::Depends);
        assert!(judged.why.contains("pool:api=imap_unordered had up to 3 of them"), "{}", judged.why);
        assert_eq!(verdict(("abc", 10), Some(0)).verdict, Verdict::Holds, "by chance in order");
        let mut mostly = points("abc", 10, Some(0));
        mostly[3].out_of_place = Some(2);
        let sample = run(10).with_points("serial", Mode::Serial, points("abc", 10, None));
        let sample = sample.with_points("pool:api=imap_unordered", Mode::Pool, mostly);
        assert_eq!(judge(&[sample]).unwrap().verdict, Verdict::Depends, "one round is enough");
        assert_eq!(verdict(("cba", 10), Some(0)).verdict, Verdict::Depends);
    }

    #[test]
    fn it_is_not_tested_where_nothing_can_be_compared_and_says_why() {
        let why = |samples: &[Sample]| judge(samples).unwrap_err();
        let made_of = |serial: Vec<Point>, pool: Vec<Point>| {
            run(10).with_points("serial", Mode::Serial, serial).with_points("pool", Mode::Pool, pool)
        };
        let good = || points("abc", 10, None);
        assert_eq!(why(&[]), "it was not run");
        assert_eq!(why(&[run(10)]), "there is no serial to compare");
        let alone = run(10).with_points("serial", Mode::Serial, good());
        assert_eq!(why(&[alone]), "there is no pool to look at");
        assert_eq!(why(&[made_of(Vec::new(), good())]), "serial was not run");
        assert!(why(&[made_of(good(), Vec::new())]).contains("not measured"));
        let mute = || points("", 10, None);
        assert_eq!(why(&[made_of(mute(), mute())]), "what serial returned is not known");
    }
}
