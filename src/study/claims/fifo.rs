//! fifo: whether both hand tasks out first in, first out, by the order in which tasks started.

use super::evidence::{Answer, Evidence, Unit};
use super::replay::FIFO;
use super::sample::Row;
use super::{Circumstances, Claim, Judgement, Replay, Sample, Verdict};
use crate::engine::Engine;
use crate::mode::Mode;
use crate::report::numbers::count;

pub(super) const CLAIM: Claim = Claim {
    name: "fifo",
    says: "both hand tasks out first in, first out",
    figures: None,
    of_many: false,
    of_results: false,
    seconds: 57,
    engines: Engine::OF_TASKS,
    replays,
    judge,
};

fn replays(at: &Circumstances) -> Vec<Replay> {
    vec![Replay::of(FIFO, at.pick(6, 5)).tasks(at.pick(300, 60))]
}

/// How far a task of `row` started from its turn, and whether that is as near as `executors` can be told apart: of W that
/// each take the next task, none starts W places from its turn. In the median round: whoever is kept from running between taking a task and
/// noting its start seems to start it later.
fn order(sample: &Sample, row: &Row, executors: u64) -> Result<(Evidence, Answer), String> {
    let what = "places from its turn, at most, that a task started,";
    let evidence = sample.median(what, row, Unit::Count, |point| point.displacement.map(|place| place as f64))?;
    let in_order = evidence.is_below(executors as f64);
    Ok((evidence, in_order))
}

fn doubt(evidence: &Evidence) -> String {
    format!("{}: {} rounds do not tell", evidence.what, evidence.rounds)
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let [sample] = samples else { return Err("it was not run".into()) };
    let (single, chunked) = (sample.nth(Mode::Pool, 0)?, sample.nth(Mode::Pool, 1)?);
    let (process, at_once) = (sample.nth(Mode::Process, 0)?, sample.nth(Mode::Process, 1)?);
    let few = single.executors();
    let (of_pool, pool_in_order) = order(sample, single, few)?;
    let (of_process, process_in_order) = order(sample, process, process.executors())?;
    let (of_chunks, chunks_in_order) = order(sample, chunked, chunked.executors())?;
    // All are alive at once, so that none could be too far from its turn for that: by the measure of the others.
    let (of_all, all_in_order) = order(sample, at_once, few)?;
    let chunk = count(chunked.chunk.unwrap_or(1));
    let evidence = vec![
        of_pool.headline("places from its turn, pool"),
        of_process.headline(format!("Process, {} at once", count(process.executors()))),
        of_chunks.clone().headline(format!("pool, chunks of {chunk}")),
        of_all.clone().headline("Process, all at once"),
    ];
    if let Some(place) = [pool_in_order, process_in_order].iter().position(|answer| *answer == Answer::Unclear) {
        let doubt = doubt(&evidence[place]);
        return Ok(Judgement::new(Verdict::NotTested, doubt, evidence));
    }
    let executors = count(few);
    let (verdict, mut why) = match [pool_in_order.is_yes(), process_in_order.is_yes()] {
        [true, true] => match (chunks_in_order, all_in_order) {
            (Answer::Yes, Answer::Yes) => {
                (Verdict::Holds, format!("in the median round none of the tasks started {executors} places from its turn"))
            }
            (chunks, all) => {
                let is_refuted = chunks.is_no() || all.is_no();
                (
                    if is_refuted { Verdict::Depends } else { Verdict::NotTested },
                    format!("with one task at a time, no task starts {executors} places from its turn in the median round"),
                )
            }
        },
        [false, false] => {
            (Verdict::DoesNotHold, "neither the pool nor Process starts tasks in their order".into())
        }
        [true, false] => (Verdict::Depends, "the pool starts tasks in their order, Process does not".into()),
        [false, true] => (Verdict::Depends, "Process starts tasks in their order, the pool does not".into()),
    };
    match chunks_in_order {
        Answer::Yes => {}
        Answer::No => {
            let far = of_chunks.value_in_words();
            why += &format!(
                "; in chunks of {chunk}, as Pool.map makes them, it is chunks that are first in, first out, and tasks start up to {far} places off in the median round"
            );
        }
        Answer::Unclear => why += &format!("; {}", doubt(&of_chunks)),
    }
    match all_in_order {
        Answer::Yes => {}
        Answer::No => {
            let far = of_all.value_in_words();
            why += &format!(
                "; of processes that are all started at once, as the article's, those begin first that the kernel lets run first, up to {far} \
                 places off in the median round"
            );
        }
        Answer::Unclear => why += &format!("; {}", doubt(&of_all)),
    }
    Ok(Judgement::new(verdict, why, evidence))
}

#[cfg(test)]
mod tests {
    use super::super::sample::Point;
    use super::super::sample::made_up::run;
    use super::*;

    /// The largest displacements of rounds of the pool, of process, and of the pool with chunks, each by four executors; and of
    /// processes all at once.
    fn verdict(displacements: [[u64; 6]; 4]) -> Judgement {
        let points = |of: [u64; 6]| {
            let point = |displacement| Point { displacement: Some(displacement), ..Point::default() };
            of.map(point).to_vec()
        };
        let [pool, process, chunked, all] = displacements.map(points);
        let mut sample = run(400);
        for (name, mode, points) in [
            ("pool:chunk=1", Mode::Pool, pool),
            ("process", Mode::Process, process),
            ("process:in-flight=all", Mode::Process, all),
            ("pool:chunk=25", Mode::Pool, chunked),
        ] {
            sample = sample.with_points(name, mode, points);
            sample.last().workers = Some(4);
        }
        sample.last().chunk = Some(25);
        judge(&[sample]).unwrap()
    }

    #[test]
    fn all_verdicts_come_out() {
        let (near, far) = ([0, 1, 1, 2, 1, 0], [75, 70, 75, 80, 75, 75]);
        let judged = verdict([near; 4]);
        assert_eq!(judged.verdict, Verdict::Holds);
        assert_eq!(judged.why, "in the median round none of the tasks started 4 places from its turn");
        assert_eq!(verdict([far; 4]).verdict, Verdict::DoesNotHold);
        let judged = verdict([near, near, far, near]);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert!(judged.why.contains("in chunks of 25") && !judged.why.contains("the kernel"), "{}", judged.why);
        let judged = verdict([near, near, near, far]);
        assert_eq!(judged.verdict, Verdict::Depends, "by the measure of four, though all are alive at once");
        assert!(judged.why.ends_with("those begin first that the kernel lets run first, up to 75 places off in the median round"), "{}", judged.why);
        assert_eq!(verdict([near, far, far, far]).verdict, Verdict::Depends);
        assert_eq!(verdict([far, near, far, far]).verdict, Verdict::Depends);
        assert_eq!(verdict([far, far, near, near]).verdict, Verdict::DoesNotHold, "whatever chunks do");
    }

    #[test]
    fn what_the_rounds_do_not_tell_matters_where_the_verdict_would_be_another() {
        let (near, far, scattered) = ([0, 1, 1, 2, 1, 0], [75, 70, 75, 80, 75, 75], [0, 9, 0, 9, 0, 9]);
        for (displacements, who) in [
            ([scattered, near, far, far], "pool:chunk=1"),
            ([near, scattered, far, far], "process"),
            ([near, near, scattered, near], "pool:chunk=25"),
            ([near, near, near, scattered], "process:in-flight=all"),
        ] {
            let judged = verdict(displacements);
            assert_eq!(judged.verdict, Verdict::NotTested);
            assert!(judged.why.contains(who) && judged.why.contains("6 rounds do not tell"), "{}", judged.why);
        }
        let judged = verdict([near, near, far, scattered]);
        assert_eq!(judged.verdict, Verdict::Depends, "chunks are enough");
        assert!(judged.why.ends_with("process:in-flight=all: 6 rounds do not tell"), "{}", judged.why);
    }

    #[test]
    fn it_is_not_tested_where_nothing_can_be_compared_and_says_why() {
        assert_eq!(judge(&[]).unwrap_err(), "it was not run");
        let one_pool = || run(4).with("pool", Mode::Pool, &[1.0]).with("process", Mode::Process, &[1.0]);
        assert_eq!(judge(&[one_pool()]).unwrap_err(), "there is no pool to compare");
        let unstamped = one_pool().with("pool:chunk=25", Mode::Pool, &[1.0]).with("process:in-flight=all", Mode::Process, &[1.0]);
        assert!(judge(&[unstamped]).unwrap_err().contains("not measured"));
    }
}
