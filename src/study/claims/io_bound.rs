//! io-bound: whether a process for each task wins with long waits, over a pool of one worker for each core, and over one of as
//! many workers as there are tasks. How large the pool is may be all that the claim is about.

use super::replay::IO_BOUND;
use super::sample::Row;
use super::{Circumstances, Claim, Judgement, Replay, Sample};
use crate::engine::Engine;
use crate::mode::Mode;
use crate::report::numbers::{count, seconds};

pub(super) const CLAIM: Claim = Claim {
    name: "io-bound",
    says: "with long I/O, Process wins: a pool's worker blocks until its I/O is done",
    figures: None,
    of_many: false,
    engines: Engine::OF_TASKS,
    replays,
    judge,
};

fn replays(at: &Circumstances) -> Vec<Replay> {
    let replay = Replay::of(IO_BOUND, 5).only(&[Mode::Pool, Mode::Process]);
    vec![at.pick(replay.clone(), replay.io_wait(15e-3))]
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let [sample] = samples else { return Err("it was not run".into()) };
    let (small, large) = (sample.nth(Mode::Pool, 0)?, sample.nth(Mode::Pool, 1)?);
    let process = sample.first(Mode::Process)?;
    let (over_small, over_large) = (sample.race(process, small)?, sample.race(process, large)?);
    let against = |pool: &Row| format!("speed of Process over pool of {}", count(pool.executors()));
    let evidence = vec![
        over_small.evidence.clone().headline(against(small)),
        over_large.evidence.clone().headline(against(large)),
    ];
    let over = |pool: &Row| format!("over a pool of {} workers", count(pool.executors()));
    let (of_small, of_large) = (over(small), over(large));
    let parts = [
        (&*of_small, &over_small, over_small.ours_less),
        (&*of_large, &over_large, over_large.ours_less),
    ];
    // What is gained by more workers is what the claim says of processes.
    let gained = sample.race(large, small)?.evidence;
    let mut judged = Judgement::of_both(parts, "Process wins", evidence);
    judged.why += &format!(", with waits of {}", seconds(sample.io_wait_seconds));
    judged.evidence.push(gained);
    Ok(judged)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
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
            "Process wins over a pool of 2 workers, but not over a pool of 64 workers, with waits of 100 ms"
        );
        let judged = verdict(&around(3.5), 3.3);
        assert_eq!(judged.verdict, Verdict::Depends, "the other way round");
        assert!(judged.why.contains("64 workers, but not over a pool of 2 workers"), "{}", judged.why);
        let judged = verdict(&scattered(0.08), 0.1);
        assert_eq!(judged.verdict, Verdict::NotTested);
        assert!(judged.why.contains("9 rounds do not tell"), "{}", judged.why);
        assert_eq!(judge(&[]).unwrap_err(), "it was not run");
        let one_pool = run(64).with("pool", Mode::Pool, &around(3.2));
        assert_eq!(judge(&[one_pool]).unwrap_err(), "there is no pool to compare");
    }
}
