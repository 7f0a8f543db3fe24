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

/// How far a task of `row` started from its turn, and whether that is as near as its executors can be told apart: of W that
/// each take the next task, none starts W places from its turn.
fn order(sample: &Sample, row: &Row) -> Result<(Evidence, Answer), String> {
    let what = "places from its turn, at most, that a task started,";
    let evidence = sample.median(what, row, Unit::Count, |point| point.displacement.map(|place| place as f64))?;
    let in_order = evidence.is_below(row.executors() as f64);
    Ok((evidence, in_order))
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let [sample] = samples else { return Err("it was not run".into()) };
    let (single, chunked) = (sample.nth(Mode::Pool, 0)?, sample.nth(Mode::Pool, 1)?);
    let process = sample.first(Mode::Process)?;
    let (of_pool, pool_in_order) = order(sample, single)?;
    let (of_process, process_in_order) = order(sample, process)?;
    let (of_chunks, chunks_in_order) = order(sample, chunked)?;
    let chunk = count(chunked.chunk.unwrap_or(1));
    let evidence = vec![
        of_pool.headline("places from its turn, pool"),
        of_process.headline(format!("Process, {} at once", count(process.executors()))),
        of_chunks.clone().headline(format!("pool, chunks of {chunk}")),
    ];
    let answers = [pool_in_order, process_in_order, chunks_in_order];
    if let Some(place) = answers.iter().position(|answer| *answer == Answer::Unclear) {
        let doubt = format!("{}: {} rounds do not tell", evidence[place].what, evidence[place].rounds);
        return Ok(Judgement::new(Verdict::NotTested, doubt, evidence));
    }
    let executors = count(single.executors());
    let far = of_chunks.value_in_words();
    let (verdict, why) = match answers.map(Answer::is_yes) {
        [true, true, true] => {
            (Verdict::Holds, format!("none of the tasks started {executors} places from its turn"))
        }
        [true, true, false] => (
            Verdict::Depends,
            format!(
                "with one task at a time no task starts {executors} places from its turn; in chunks of {chunk}, as \
                 Pool.map makes them, it is chunks that are first in, first out, and tasks start up to {far} places off"
            ),
        ),
        [false, false, _] => {
            (Verdict::DoesNotHold, "neither the pool nor Process starts tasks in their order".into())
        }
        [true, false, _] => (Verdict::Depends, "the pool starts tasks in their order, Process does not".into()),
        [false, true, _] => (Verdict::Depends, "Process starts tasks in their order, the pool does not".into()),
    };
    // The article starts all at once, and then nobody hands anything out.
    let why = format!("{why}; of processes that are all started at once, those begin first that the kernel lets run first");
    Ok(Judgement::new(verdict, why, evidence))
}

#[cfg(test)]
mod tests {
    use super::super::sample::Point;
    use super::super::sample::made_up::run;
    use super::*;

    /// The largest displacements of rounds of the pool, of process, and of the pool with chunks; each by four executors.
    fn verdict(displacements: [[u64; 6]; 3]) -> Judgement {
        let points = |of: [u64; 6]| {
            let point = |displacement| Point { displacement: Some(displacement), ..Point::default() };
            of.map(point).to_vec()
        };
        let [pool, process, chunked] = displacements.map(points);
        let mut sample = run(400);
        for (name, mode, points) in [
            ("pool:chunk=1", Mode::Pool, pool),
            ("process", Mode::Process, process),
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
        assert_eq!(verdict([near, near, near]).verdict, Verdict::Holds);
        assert_eq!(verdict([far, far, far]).verdict, Verdict::DoesNotHold);
        let judged = verdict([near, near, far]);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert!(judged.why.contains("in chunks of 25"), "{}", judged.why);
        assert_eq!(verdict([near, far, far]).verdict, Verdict::Depends);
        assert_eq!(verdict([far, near, far]).verdict, Verdict::Depends);
        assert_eq!(verdict([far, far, near]).verdict, Verdict::DoesNotHold, "whatever chunks do");
        let scattered = [0, 9, 0, 9, 0, 9];
        for (displacements, who) in
            [([scattered, near, far], "pool:chunk=1"), ([near, scattered, far], "process"), ([near, near, scattered], "pool:chunk=25")]
        {
            let judged = verdict(displacements);
            assert_eq!(judged.verdict, Verdict::NotTested);
            assert!(judged.why.contains(who) && judged.why.contains("6 rounds do not tell"), "{}", judged.why);
        }
    }

    #[test]
    fn it_is_not_tested_where_nothing_can_be_compared_and_says_why() {
        assert_eq!(judge(&[]).unwrap_err(), "it was not run");
        let one_pool = || run(4).with("pool", Mode::Pool, &[1.0]).with("process", Mode::Process, &[1.0]);
        assert_eq!(judge(&[one_pool()]).unwrap_err(), "there is no pool to compare");
        let unstamped = one_pool().with("pool:chunk=25", Mode::Pool, &[1.0]);
        assert!(judge(&[unstamped]).unwrap_err().contains("not measured"));
    }
}
