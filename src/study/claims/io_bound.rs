//! io-bound: whether a process for each task wins with long waits, over a pool of one worker for each core, and over one of as
//! many workers as there are tasks. How large the pool is may be all that the claim is about.

use super::replay::IO_BOUND;
use super::sample::Row;
use super::evidence::Answer;
use super::{Circumstances, Claim, Judgement, Replay, Sample, Verdict};
use crate::engine::Engine;
use crate::mode::Mode;
use crate::report::numbers::{count, seconds};

pub(super) const CLAIM: Claim = Claim {
    name: "io-bound",
    says: "with long I/O, Process wins: a pool's worker blocks until its I/O is done",
    figures: None,
    of_many: false,
    of_results: false,
    seconds: 70,
    engines: Engine::OF_TASKS,
    replays,
    judge,
};

/// How many times as fast as a pool of as many Process has to be for it to be the processes that win, rather than that there are as many.
const NOTEWORTHY: f64 = 1.1;

/// Tasks and workers of the large pool: many for each core, and no fewer than the spec has.
fn replays(at: &Circumstances) -> Vec<Replay> {
    let many = 64.max(8 * at.cores);
    let replay = Replay::of(IO_BOUND, at.pick(9, 5)).only(&[Mode::Pool, Mode::Process]).tasks(many).at_once(many);
    vec![at.pick(replay.clone(), replay.io_wait(15e-3))]
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let [sample] = samples else { return Err("it was not run".into()) };
    let (small, large) = (sample.nth(Mode::Pool, 0)?, sample.nth(Mode::Pool, 1)?);
    let process = sample.first(Mode::Process)?;
    let (over_small, over_large) = (sample.race(process, small)?, sample.race(process, large)?);
    let against = |pool: &Row| format!("speed of Process over pool of {}", count(pool.executors()));
    let mut evidence = vec![
        over_small.evidence.clone().headline(against(small)),
        over_large.evidence.clone().headline(against(large)),
    ];
    let over = |pool: &Row| format!("over a pool of {} workers", count(pool.executors()));
    let (of_small, of_large) = (over(small), over(large));
    let gained = sample.race(large, small)?.evidence;
    let gain = gained.in_words();
    evidence.push(gained);
    // What is gained by more workers is what the claim says of processes.
    let by_size = format!("that pool is itself {gain} as fast as the small one");
    let beside_large = match (over_large.ours_less, over_large.theirs_less) {
        (_, Answer::Yes) => format!("loses to a pool of {} workers", count(large.executors())),
        (Answer::No, _) => format!("not {of_large}"),
        _ => format!("{of_large} by no more than 10 %"),
    };
    let (verdict, why) = match (over_small.ours_less, over_large.evidence.is_above(NOTEWORTHY)) {
        (Answer::Unclear, _) => (Verdict::NotTested, over_small.doubt()),
        (Answer::Yes, Answer::Yes) => {
            (Verdict::Holds, format!("Process wins {of_small} and {of_large}; {by_size}"))
        }
        (Answer::Yes, Answer::No) => {
            (Verdict::Depends, format!("Process wins {of_small}, but {beside_large}: {by_size}"))
        }
        // Whether it is the processes that win, or that there are as many, is the question.
        (Answer::Yes, Answer::Unclear) => (
            Verdict::NotTested,
            format!("Process wins {of_small}, but whether by more than 10 % {of_large} the rounds do not tell: {by_size}"),
        ),
        (Answer::No, Answer::Yes) => {
            (Verdict::Depends, format!("Process wins {of_large}, but not {of_small}"))
        }
        (Answer::No, Answer::No) => {
            (Verdict::DoesNotHold, format!("Process does not win {of_small}, and {beside_large}"))
        }
        (Answer::No, Answer::Unclear) => (Verdict::NotTested, over_large.doubt()),
    };
    let why = format!("{why}, with waits of {}", seconds(sample.io_wait_seconds));
    Ok(Judgement::new(verdict, why, evidence))
}

#[cfg(test)]
mod tests {
    use super::super::sample::made_up::{around, run, scattered};
    use super::*;

    fn verdict(large_pool: &[f64], process: f64) -> Judgement {
        let mut sample = run(64).with("pool", Mode::Pool, &around(3.2));
        sample.last().workers = Some(2);
        let mut sample = sample.with("pool:workers=64", Mode::Pool, large_pool);
        sample.last().workers = Some(64);
        let sample = sample.with("process", Mode::Process, &around(process));
        judge(&[Sample { io_wait_seconds: 0.1, ..sample }]).unwrap()
    }

    #[test]
    fn all_verdicts_come_out() {
        assert_eq!(verdict(&around(0.2), 0.1).verdict, Verdict::Holds);
        assert_eq!(verdict(&around(0.2), 3.3).verdict, Verdict::DoesNotHold);
        let judged = verdict(&around(0.1), 0.1);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert_eq!(
            judged.why,
            "Process wins over a pool of 2 workers, but not over a pool of 64 workers: that pool is itself 32.0 × (32.0 … \
             32.0 ×) as fast as the small one, with waits of 100 ms"
        );
        let judged = verdict(&around(4.0), 3.3);
        assert_eq!(judged.verdict, Verdict::Depends, "the other way round");
        assert!(judged.why.contains("64 workers, but not over a pool of 2 workers"), "{}", judged.why);
        let judged = verdict(&around(0.105), 0.1);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert!(judged.why.contains("but over a pool of 64 workers by no more than 10 %"), "{}", judged.why);
        let judged = verdict(&around(0.05), 0.1);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert!(judged.why.contains("but loses to a pool of 64 workers"), "{}", judged.why);
        assert_eq!(judge(&[]).unwrap_err(), "it was not run");
        let one_pool = run(64).with("pool", Mode::Pool, &around(3.2));
        assert_eq!(judge(&[one_pool]).unwrap_err(), "there is no pool to compare");
    }

    #[test]
    fn what_is_won_over_a_small_pool_is_said_where_the_large_one_is_not_told() {
        let judged = verdict(&scattered(0.08), 0.1);
        assert_eq!(judged.verdict, Verdict::NotTested);
        assert!(judged.why.contains("whether by more than 10 % over a pool of 64 workers the rounds do not tell"), "{}", judged.why);
        let judged = verdict(&scattered(0.08), 3.3);
        assert_eq!(judged.verdict, Verdict::DoesNotHold, "lost to both: {}", judged.why);
        let mut sample = run(64).with("pool", Mode::Pool, &scattered(0.08));
        sample = sample.with("pool:workers=64", Mode::Pool, &around(0.1)).with("process", Mode::Process, &around(0.1));
        let judged = judge(&[sample]).unwrap();
        assert_eq!(judged.verdict, Verdict::NotTested);
        assert!(judged.why.contains("9 rounds do not tell"), "{}", judged.why);
    }
}
