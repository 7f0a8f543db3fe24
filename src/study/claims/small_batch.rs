//! small-batch: whether a few tasks are done sooner by a process each than by a pool, and from how many on no longer.

use super::evidence::Answer;
use super::replay::TWO_FILES;
use super::{Circumstances, Claim, Judgement, Replay, Sample, Verdict};
use crate::engine::Engine;
use crate::mode::Mode;
use crate::report::numbers::count;

pub(super) const CLAIM: Claim = Claim {
    name: "small-batch",
    says: "a pool costs something to create, so for few tasks Process wins",
    figures: Some("2 files: Process 21.64 ms, Pool 22.39 ms"),
    of_many: false,
    engines: Engine::OF_TASKS,
    replays,
    judge,
};

/// The article's two tasks, and more and more of them.
fn replays(at: &Circumstances) -> Vec<Replay> {
    let counts: &[u64] = at.pick(&[2, 8, 32, 128], &[2, 32]);
    let rounds = at.by_engine(at.pick(40, 15), at.pick(20, 7));
    let replay = |tasks: &u64| Replay::of(TWO_FILES, rounds).only(&[Mode::Pool, Mode::Process]).tasks(*tasks);
    counts.iter().map(replay).collect()
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let mut evidence = Vec::new();
    let mut races = Vec::new();
    for sample in samples {
        let race = sample.race(sample.first(Mode::Process)?, sample.first(Mode::Pool)?)?;
        let name = format!("speed of Process over pool, {} tasks", count(sample.tasks));
        let is_end = sample.run == 0 || sample.run + 1 == samples.len();
        let of_race = race.evidence.clone();
        evidence.push(if is_end { of_race.headline(name) } else { of_race });
        races.push((sample.tasks, race));
    }
    let (fewest, of_fewest) = races.first().ok_or("nothing was run")?;
    let fewest = count(*fewest);
    let tasks_where = |answer: fn(&super::evidence::Contest) -> Answer| {
        let found = races.iter().filter(move |(_, race)| answer(race).is_yes());
        found.map(|(tasks, _)| *tasks).collect::<Vec<u64>>()
    };
    let (process_wins, pool_wins) = (tasks_where(|race| race.ours_less), tasks_where(|race| race.theirs_less));
    Ok(match (process_wins.last(), pool_wins.first()) {
        (Some(last), Some(first)) if last < first => Judgement::new(
            Verdict::Depends,
            format!("Process wins up to {} tasks, the pool from {} on", count(*last), count(*first)),
            evidence,
        ),
        (Some(last), Some(first)) => Judgement::new(
            Verdict::Depends,
            format!("the pool wins with {} tasks, Process with {}", count(*first), count(*last)),
            evidence,
        ),
        (Some(_), None) if !of_fewest.ours_less.is_yes() => {
            let won: Vec<String> = process_wins.iter().map(|tasks| count(*tasks)).collect();
            let told = if of_fewest.ours_less.is_no() { "it does not" } else { "the rounds do not tell" };
            let why = format!("Process wins with {} tasks, with {fewest} {told}", won.join(" and "));
            Judgement::new(Verdict::Depends, why, evidence)
        }
        (Some(last), None) => Judgement::new(
            Verdict::Holds,
            format!("Process wins with up to {} tasks, and the pool with none of the counts", count(*last)),
            evidence,
        ),
        (None, _) if of_fewest.ours_less == Answer::Unclear => {
            Judgement::new(Verdict::NotTested, of_fewest.doubt(), evidence)
        }
        (None, Some(first)) => Judgement::new(
            Verdict::DoesNotHold,
            format!("Process does not win even with {fewest} tasks, and the pool wins from {} on", count(*first)),
            evidence,
        ),
        (None, None) => Judgement::new(
            Verdict::DoesNotHold,
            format!("Process does not win even with {fewest} tasks, nor the pool with more"),
            evidence,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::made_up::{around, run, scattered};
    use super::*;

    /// (tasks, time of process over that of pool)
    fn verdict(counts: &[(u64, f64)]) -> Judgement {
        let of = |(run_number, (tasks, ratio)): (usize, &(u64, f64))| Sample {
            run: run_number,
            ..run(*tasks).with("pool", Mode::Pool, &around(1e-3)).with(
                "process",
                Mode::Process,
                &around(1e-3 * ratio),
            )
        };
        judge(&counts.iter().enumerate().map(of).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn it_holds_where_process_wins_and_the_pool_never_does() {
        assert_eq!(verdict(&[(2, 0.9), (8, 0.9), (32, 1.0)]).verdict, Verdict::Holds);
    }

    #[test]
    fn it_does_not_hold_where_process_does_not_win_with_the_fewest_tasks_nor_with_more() {
        assert_eq!(verdict(&[(2, 1.1), (8, 1.5)]).verdict, Verdict::DoesNotHold);
        assert_eq!(verdict(&[(2, 1.0), (8, 1.0)]).verdict, Verdict::DoesNotHold, "no difference is no win");
    }

    #[test]
    fn it_depends_where_it_turns_and_says_where() {
        let judged = verdict(&[(2, 0.8), (8, 0.9), (32, 1.2), (128, 2.0)]);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert_eq!(judged.why, "Process wins up to 8 tasks, the pool from 32 on");
        assert_eq!(verdict(&[(2, 1.2), (8, 0.8)]).verdict, Verdict::Depends);
    }

    #[test]
    fn it_depends_where_process_wins_with_more_but_not_with_the_fewest() {
        let judged = verdict(&[(2, 1.0), (8, 0.8)]);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert_eq!(judged.why, "Process wins with 8 tasks, with 2 it does not");
    }

    #[test]
    fn it_is_not_tested_where_the_rounds_do_not_tell() {
        let scattered = run(2)
            .with("pool", Mode::Pool, &around(1.0))
            .with("process", Mode::Process, &scattered(0.7));
        let judged = judge(&[scattered]).unwrap();
        assert_eq!(judged.verdict, Verdict::NotTested);
        assert!(judged.why.contains("do not tell"), "{}", judged.why);
        let few = run(2).with("pool", Mode::Pool, &[1.0; 4]).with("process", Mode::Process, &[0.5; 4]);
        let judged = judge(&[few]).unwrap();
        assert_eq!(judged.verdict, Verdict::NotTested);
        assert!(judged.why.contains("too few"), "{}", judged.why);
        assert_eq!(judge(&[run(2)]).unwrap_err(), "there is no process to compare");
        assert_eq!(judge(&[]).unwrap_err(), "nothing was run");
    }
}
