//! disturbance: whether a process for each task keeps others from running more than a pool does, by how late a bystander woke.

use super::evidence::{Answer, Unit};
use super::replay::BYSTANDER;
use super::sample::Point;
use super::{Circumstances, Claim, Judgement, Replay, Sample, Verdict};
use crate::engine::Engine;
use crate::measure::bystander::{MIN_FOR_P50, NAP};
use crate::mode::Mode;
use crate::report::numbers::{count, seconds_range};

pub(super) const CLAIM: Claim = Claim {
    name: "disturbance",
    says: "a million processes disturb the machine",
    figures: Some("\"machine disturbance\""),
    of_many: true,
    of_results: false,
    seconds: 297,
    engines: Engine::OF_TASKS,
    replays,
    judge,
};

/// As many tasks as keep all cores busy for so long that a pool, too, can be seen to disturb: a hundred naps take a second, and calibration is
/// not as exact as that.
fn replays(at: &Circumstances) -> Vec<Replay> {
    let (cpu, for_a_second) = at.by_engine((100e-6, 12_500), (1e-3, 1_250));
    let tasks = at.cores * for_a_second / at.pick(1, 8);
    // The last row has no more processes at once than the pool has.
    vec![Replay::of(BYSTANDER, at.pick(9, 5)).tasks(tasks).cpu(cpu).at_once(at.cores).with_idle()]
}

const NOT_STOOD_BY: &str = "what a bystander is like on the idle machine was not measured, or for too short a time";

/// What the bystander's lateness is measured by: of a quantile that all rounds are long enough for, its place and its name.
fn quantile(sample: &Sample) -> Result<(usize, &'static str), String> {
    let has = |place: usize| {
        let mut rounds = sample.rows.iter().flat_map(|row| &row.rounds);
        rounds.all(|round| round.late_seconds[place].is_some()) && sample.idle_late_seconds[place].is_some()
    };
    [(1, "p99"), (0, "p50")]
        .into_iter()
        .find(|(place, _)| has(*place))
        .ok_or_else(|| match sample.idle_late_seconds[0] {
            None => NOT_STOOD_BY.into(),
            Some(_) => format!(
                "rounds are too short for a bystander to be disturbed ({MIN_FOR_P50} wake-ups take {:.2} s)",
                MIN_FOR_P50 as f64 * NAP.as_secs_f64()
            ),
        })
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let [sample] = samples else { return Err("it was not run".into()) };
    let (place, quantile) = quantile(sample)?;
    let late = move |point: &Point| point.late_seconds[place];
    let pool = sample.first(Mode::Pool)?;
    let (process, limited) = (sample.nth(Mode::Process, 0)?, sample.nth(Mode::Process, 1)?);
    let what = format!("lateness ({quantile})");
    let over_pool = sample.less(&what, process, pool, late)?;
    let limited_over_pool = sample.less(&what, limited, pool, late)?;
    let of_process = sample.median(&what, process, Unit::Seconds, late)?;
    let of_pool = sample.median(&what, pool, Unit::Seconds, late)?;
    let of_limited = sample.median(&what, limited, Unit::Seconds, late)?;
    let alive = sample.median("alive at once", process, Unit::Count, |point| Some(point.peak_alive as f64))?;
    let Some(idle) = sample.idle_late_seconds[place] else { return Err(NOT_STOOD_BY.into()) };
    let evidence = vec![
        over_pool.evidence.clone().headline(format!("lateness of a bystander ({quantile}), Process over pool")),
        of_process.clone().headline("with Process"),
        of_pool,
        limited_over_pool.evidence.clone(),
        of_limited.clone(),
        alive.clone(),
    ];
    let beside = format!(
        "nothing run: {quantile} of {}; the guard and the pace of starting let {} of {} be alive at once",
        seconds_range(idle.low, idle.high),
        alive.value_in_words(),
        count(sample.tasks)
    );
    let limit = count(limited.executors());
    if over_pool.theirs_less == Answer::Unclear {
        return Ok(Judgement::new(Verdict::NotTested, over_pool.doubt(), evidence));
    }
    if over_pool.theirs_less.is_no() {
        let why = format!("Process disturbs no more than a pool that is as busy ({beside})");
        return Ok(Judgement::new(Verdict::DoesNotHold, why, evidence));
    }
    // More than a pool, but is it more than nothing?
    if of_process.ci_high.is_some_and(|high| high <= idle.low) {
        let why = format!("a bystander wakes no later than on the idle machine ({beside})");
        return Ok(Judgement::new(Verdict::DoesNotHold, why, evidence));
    }
    if of_process.ci_low.is_none_or(|low| low <= idle.high) {
        let doubt = format!("later than with a pool, but whether later than on the idle machine is not told ({beside})");
        return Ok(Judgement::new(Verdict::NotTested, doubt, evidence));
    }
    // So few at once are measured by the idle machine as well: a core that is busy wakes sooner than one that sleeps, so a pool may be less late
    // than nothing.
    let limited_disturb = match limited_over_pool.theirs_less {
        _ if of_limited.ci_high.is_some_and(|high| high <= idle.high) => Answer::No,
        Answer::Yes if of_limited.ci_low.is_none_or(|low| low <= idle.high) => Answer::Unclear,
        answer => answer,
    };
    Ok(match limited_disturb {
        Answer::No => Judgement::new(
            Verdict::Depends,
            format!("all at once they disturb more than a pool, no more than {limit} at once they do not ({beside})"),
            evidence,
        ),
        Answer::Yes => Judgement::new(
            Verdict::Holds,
            format!("more than a pool, also with no more than {limit} at once ({beside})"),
            evidence,
        ),
        Answer::Unclear => Judgement::new(
            Verdict::Holds,
            format!("more than a pool; with no more than {limit} at once the rounds do not tell ({beside})"),
            evidence,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::made_up::{around, run, scattered};
    use super::*;
    use crate::stats::Interval;

    fn at(seconds: f64) -> Option<Interval> {
        Some(Interval { low: seconds, high: 1.01 * seconds })
    }

    fn points(late: &[f64]) -> Vec<Point> {
        late.iter().map(|late| Point { late_seconds: [Some(*late); 2], ..Point::default() }).collect()
    }

    fn sample(process: &[f64], limited: f64) -> Sample {
        sample_of(process, &around(limited))
    }

    fn sample_of(process: &[f64], limited: &[f64]) -> Sample {
        let sample = run(1_000)
            .with_points("pool", Mode::Pool, points(&around(3e-3)))
            .with_points("process", Mode::Process, points(process))
            .with_points("process:in-flight=2", Mode::Process, points(limited));
        Sample { idle_late_seconds: [at(1e-3); 2], ..sample }
    }

    fn verdict(process: &[f64], limited: f64) -> Verdict {
        judge(&[sample(process, limited)]).unwrap().verdict
    }

    #[test]
    fn all_verdicts_come_out() {
        assert_eq!(verdict(&around(6e-3), 5e-3), Verdict::Holds);
        assert_eq!(verdict(&around(3e-3), 3e-3), Verdict::DoesNotHold);
        assert_eq!(verdict(&around(6e-3), 3e-3), Verdict::Depends);
        assert_eq!(verdict(&scattered(2e-3), 3e-3), Verdict::NotTested);
        // More than with a pool, but no more than with nothing.
        let mut busy = sample(&around(60e-3), 5e-3);
        busy.idle_late_seconds = [Some(Interval { low: 1e-3, high: 8e-3 }); 2];
        let judged = judge(&[busy.clone()]).unwrap();
        assert_eq!(judged.verdict, Verdict::Depends, "{}", judged.why);
        busy.idle_late_seconds = [Some(Interval { low: 1e-3, high: 5e-3 }); 2];
        let judged = judge(&[busy]).unwrap();
        assert!(judged.verdict == Verdict::Holds && judged.why.contains("do not tell"), "{}", judged.why);
        let mut calm = sample(&around(6e-3), 5e-3);
        calm.idle_late_seconds = [at(7e-3); 2];
        assert_eq!(judge(&[calm]).unwrap().verdict, Verdict::DoesNotHold, "nor later than with nothing run");
        let mut unsure = sample(&scattered(6e-3), 5e-3);
        unsure.idle_late_seconds = [at(8e-3); 2];
        assert_eq!(judge(&[unsure]).unwrap().verdict, Verdict::NotTested, "later than a pool, perhaps than nothing");
        let mut loose = sample(&around(6e-3), 5e-3);
        loose.idle_late_seconds = [Some(Interval { low: 1e-3, high: 8e-3 }); 2];
        assert_eq!(judge(&[loose]).unwrap().verdict, Verdict::NotTested, "what the idle machine is like is not known well enough");
        let judged = judge(&[sample_of(&around(6e-3), &scattered(2e-3))]).unwrap();
        assert_eq!(judged.verdict, Verdict::Holds, "a limit is an aside");
        assert!(judged.why.contains("with no more than 1 at once the rounds do not tell"), "{}", judged.why);
    }

    #[test]
    fn it_is_not_tested_where_nothing_can_be_compared_and_says_why() {
        assert_eq!(judge(&[]).unwrap_err(), "it was not run");
        let mut unlimited = sample(&around(6e-3), 5e-3);
        unlimited.rows.pop();
        assert_eq!(judge(&[unlimited]).unwrap_err(), "there is no process to compare");
        let mut unheard = sample(&around(6e-3), 5e-3);
        unheard.idle_late_seconds = [None; 2];
        assert!(judge(&[unheard]).unwrap_err().contains("idle machine"), "nothing run is what it is compared with");
        let doubt = judge(&[sample(&scattered(2e-3), 3e-3)]).unwrap().why;
        assert!(doubt.contains("9 rounds do not tell"), "{doubt}");
    }

    #[test]
    fn short_rounds_are_judged_by_their_median_and_shorter_ones_not_at_all() {
        let mut short = sample(&around(6e-3), 5e-3);
        short.rows[0].rounds[0].late_seconds[1] = None;
        let judged = judge(std::slice::from_ref(&short)).unwrap();
        assert!(judged.evidence[0].what.contains("p50"), "{judged:?}");
        short.rows[0].rounds[0].late_seconds[0] = None;
        assert!(judge(&[short]).unwrap_err().contains("rounds are too short"));
    }
}
