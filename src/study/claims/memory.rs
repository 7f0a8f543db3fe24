//! memory: whether a process for each task holds every one of them in memory: those that are alive, those that wait for their
//! turn, and those that have ended, each looked at apart.

use super::evidence::{Answer, Contest, Evidence, Unit};
use super::replay::{FINISHED_TASKS, MEMORY};
use super::sample::Row;
use super::{Circumstances, Claim, Judgement, Replay, Sample, Verdict};
use crate::engine::Engine;
use crate::mode::Mode;
use crate::report::numbers::count;
use crate::stats::{MIN_ROUNDS, compare};

pub(super) const CLAIM: Claim = Claim {
    name: "memory",
    says: "Process holds every process in memory, a pool only those executing",
    figures: None,
    engines: Engine::OF_TASKS,
    replays,
    judge,
};

/// Memory is measured once in a run, so there are as many runs as it takes for an interval; then one of short tasks.
fn replays(at: &Circumstances) -> Vec<Replay> {
    // Longer than it takes to start them all, so that all are alive at once.
    let wait = at.by_engine(at.pick(50e-3, 20e-3), at.pick(150e-3, 60e-3));
    let tasks = at.pick(40, 24);
    let parked = |seed| Replay::of(MEMORY, 1).tasks(tasks).io_wait(wait).seed(seed);
    let finished = at.by_engine(at.pick(2_000, 1_000), at.pick(500, 100));
    let finished = Replay::of(FINISHED_TASKS, at.pick(7, 5)).only(&[Mode::Process]).tasks(finished);
    (1..=MIN_ROUNDS as u64).map(parked).chain([finished]).collect()
}

/// Peak memory of ours over theirs, in pairs of runs.
fn weigh<'a>(
    runs: &'a [Sample],
    ours: impl Fn(&'a Sample) -> Result<&'a Row, String>,
    theirs: impl Fn(&'a Sample) -> Result<&'a Row, String>,
) -> Result<Contest, String> {
    let (mut pairs, mut names) = (Vec::new(), [""; 2]);
    for run in runs {
        let (ours, theirs) = (ours(run)?, theirs(run)?);
        let peaks = ours.peak_bytes.zip(theirs.peak_bytes);
        let (ours_bytes, theirs_bytes) = peaks.ok_or("memory cannot be measured on this machine")?;
        pairs.push((ours_bytes as f64, theirs_bytes as f64));
        names = [&ours.name, &theirs.name];
    }
    let first = runs.first().ok_or("nothing was run")?;
    let comparison = compare(&pairs, first.margin, first.seed).ok_or("memory was not measured")?;
    let what = format!("peak memory of {} over that of {}", names[0], names[1]);
    let places: Vec<usize> = runs.iter().map(|run| run.run).collect();
    let evidence = Evidence::ratio(what, &comparison).from(&places, &names);
    Ok(Contest::of(&comparison, evidence))
}

/// The most that were alive, and whether that is as many as there are tasks.
fn alive(runs: &[Sample], row: impl Fn(&Sample) -> Result<&Row, String>) -> Result<(Evidence, Answer), String> {
    let (mut peaks, mut places, mut name) = (Vec::new(), Vec::new(), "");
    let first = runs.first().ok_or("nothing was run")?;
    for run in runs {
        let row = row(run)?;
        peaks.extend(row.rounds.iter().map(|point| point.peak_alive as f64));
        places.push(run.run);
        name = &row.name;
    }
    let what = format!("alive at once by {name}, of {} tasks", count(first.tasks));
    let evidence = Evidence::median(what, &peaks, Unit::Count, first.seed)?.from(&places, &[name]);
    let tasks = first.tasks as f64;
    let all = match (evidence.ci_low, evidence.ci_high) {
        (Some(low), _) if low >= tasks => Answer::Yes,
        (_, Some(high)) if high < tasks => Answer::No,
        _ => Answer::Unclear,
    };
    Ok((evidence, all))
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let [parked @ .., finished] = samples else { return Err("nothing was run".into()) };
    let (pool, process) = (|run| Sample::nth(run, Mode::Pool, 0), |run| Sample::nth(run, Mode::Process, 0));
    let limited = |run| Sample::nth(run, Mode::Process, 1);
    let (alive_parked, all_parked) = alive(parked, |run| run.nth(Mode::Process, 0))?;
    let (alive_finished, all_finished) = alive(std::slice::from_ref(finished), |run| run.first(Mode::Process))?;
    let over_pool = weigh(parked, process, pool)?;
    let over_limited = weigh(parked, process, limited)?;
    let waiting = parked.first().map_or(0, |run| run.tasks);
    let at_once = parked.first().map(limited).transpose()?.map_or(1, Row::executors);
    let evidence = vec![
        over_pool.evidence.clone().headline("peak memory of Process over pool"),
        alive_parked.headline(format!("alive at once, of {} that wait", count(waiting))),
        over_limited.evidence.clone(),
        alive_finished.clone().headline(format!("of {} short ones", count(finished.tasks))),
    ];
    if over_pool.theirs_less == Answer::Unclear {
        return Ok(Judgement::new(Verdict::NotTested, over_pool.doubt(), evidence));
    }
    if over_pool.theirs_less.is_no() || all_parked.is_no() {
        let why = "not even tasks that could all be alive at the same time are all in memory, or they need no more \
                   than a pool";
        return Ok(Judgement::new(Verdict::DoesNotHold, why, evidence));
    }
    // With fewer at once and as many tasks in all, it is those that wait for their turn that make the difference, if any.
    let queued_hold = match over_limited.theirs_less {
        Answer::Yes => Answer::No,
        Answer::No => Answer::Yes,
        Answer::Unclear => Answer::Unclear,
    };
    Ok(match (queued_hold, all_finished) {
        (Answer::Yes, Answer::Yes) => {
            let why = "tasks hold memory before they start, while they are alive, and after they have ended";
            Judgement::new(Verdict::Holds, why, evidence)
        }
        (Answer::Unclear, _) => Judgement::new(Verdict::NotTested, over_limited.doubt(), evidence),
        (_, Answer::Unclear) => {
            let doubt = format!("{}: the rounds do not tell", alive_finished.what);
            Judgement::new(Verdict::NotTested, doubt, evidence)
        }
        (queued, finished_hold) => {
            let holds = |answer: Answer| if answer.is_yes() { "hold it too" } else { "hold nothing" };
            let why = format!(
                "it holds for tasks that are alive at the same time; those that wait for their turn (no more than {} at \
                 once) {}, and those that have ended {}: of {} short ones about {} were alive at once",
                count(at_once),
                holds(queued),
                holds(finished_hold),
                count(finished.tasks),
                count(alive_finished.value.round() as u64),
            );
            Judgement::new(Verdict::Depends, why, evidence)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::Point;
    use super::super::sample::made_up::run;
    use super::*;

    fn alive_of(peak_alive: u64) -> Point {
        Point { peak_alive, ..Point::default() }
    }

    /// Peak memory of pool, process, and process with a limit, in MiB; how many of 50 waiting and of 1000 short tasks were
    /// alive.
    fn samples(peaks: [u64; 3], [waiting, short]: [u64; 2], runs: usize) -> Vec<Sample> {
        let parked = |number: usize| {
            let mut sample = run(50).with_points("pool", Mode::Pool, vec![alive_of(2)]);
            let noise = number as u64 * 1000;
            sample.last().peak_bytes = Some((peaks[0] << 20) + noise);
            let mut sample = sample.with_points("process", Mode::Process, vec![alive_of(waiting)]);
            sample.last().peak_bytes = Some((peaks[1] << 20) + noise);
            let mut sample = sample.with_points("process:in-flight=16", Mode::Process, vec![alive_of(16)]);
            sample.last().peak_bytes = Some((peaks[2] << 20) + noise);
            sample.last().in_flight = Some(16);
            Sample { run: number, ..sample }
        };
        let finished = run(1000).with_points("process", Mode::Process, vec![alive_of(short); 7]);
        (0..runs).map(parked).chain([finished]).collect()
    }

    fn verdict(peaks: [u64; 3], alive: [u64; 2]) -> Verdict {
        judge(&samples(peaks, alive, 5)).unwrap().verdict
    }

    #[test]
    fn all_verdicts_come_out() {
        assert_eq!(verdict([5, 100, 100], [50, 1000]), Verdict::Holds);
        assert_eq!(verdict([5, 5, 5], [50, 60]), Verdict::DoesNotHold, "no more than a pool");
        assert_eq!(verdict([5, 100, 30], [20, 60]), Verdict::DoesNotHold, "not all are alive");
        let judged = judge(&samples([5, 100, 30], [50, 60], 5)).unwrap();
        assert_eq!(judged.verdict, Verdict::Depends);
        assert!(judged.why.contains("of 1,000 short ones about 60 were alive"), "{}", judged.why);
        assert_eq!(verdict([5, 100, 100], [50, 60]), Verdict::Depends, "queued ones hold, ended ones do not");
        let judged = judge(&samples([5, 100, 30], [50, 1000], 5)).unwrap();
        assert_eq!(judged.verdict, Verdict::Depends, "ended ones hold, queued ones do not");
        assert!(judged.why.contains("those that have ended hold it too"), "{}", judged.why);
    }

    #[test]
    fn it_is_not_tested_where_nothing_can_be_told_and_says_why() {
        let of = |samples: &[Sample]| {
            let judged = judge(samples).unwrap();
            assert_eq!(judged.verdict, Verdict::NotTested, "{judged:?}");
            judged.why
        };
        assert!(of(&samples([5, 100, 30], [50, 60], 4)).contains("too few"));
        // Twice as much in every other run.
        let mut scattered = samples([5, 100, 30], [50, 60], 5);
        for run in scattered.iter_mut().take(5).step_by(2) {
            run.rows[2].peak_bytes = Some(100 << 20);
        }
        let why = of(&scattered);
        assert!(why.contains("process:in-flight=16") && why.contains("do not tell"), "{why}");
        let mut scattered = samples([5, 100, 30], [50, 60], 5);
        for point in scattered[5].rows[0].rounds.iter_mut().step_by(2) {
            point.peak_alive = 1000;
        }
        assert!(of(&scattered).contains("alive at once by process, of 1,000 tasks: the rounds do not tell"));
        let mut unmeasured = samples([5, 100, 30], [50, 60], 5);
        unmeasured[0].rows[0].peak_bytes = None;
        assert_eq!(judge(&unmeasured).unwrap_err(), "memory cannot be measured on this machine");
        assert_eq!(judge(&[]).unwrap_err(), "nothing was run");
    }
}
