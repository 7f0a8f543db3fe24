//! small-batch: whether a few tasks are done sooner by a process each than by a pool, and from how many on no longer.

use super::evidence::{Answer, Contest, list, untold};
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
    of_results: false,
    seconds: 18,
    engines: Engine::OF_TASKS,
    replays,
    judge,
};

/// What the article had.
const OF_THE_ARTICLE: u64 = 2;

/// The article's two tasks, and more and more of them.
fn replays(at: &Circumstances) -> Vec<Replay> {
    let counts: &[u64] = at.pick(&[OF_THE_ARTICLE, 8, 32, 128], &[OF_THE_ARTICLE, 32]);
    let rounds = at.by_engine(at.pick(60, 40), at.pick(20, 7));
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
    let (_, of_article) = races.iter().find(|(tasks, _)| *tasks == OF_THE_ARTICLE).ok_or("two were not run")?;
    let tasks_where = |answer: fn(&Contest) -> Answer| {
        let found = races.iter().filter(move |(_, race)| answer(race).is_yes());
        found.map(|(tasks, _)| *tasks).collect::<Vec<u64>>()
    };
    let (process_wins, pool_wins) = (tasks_where(|race| race.ours_less), tasks_where(|race| race.theirs_less));
    // Where it turns belongs to what the claim says: it is of few tasks.
    let turns = match (process_wins.is_empty(), pool_wins.is_empty()) {
        (false, false) => format!("Process wins with {}, the pool with {}", list(&process_wins), list(&pool_wins)),
        (false, true) => format!("Process wins with {}, the pool with none of the counts", list(&process_wins)),
        (true, false) => format!("the pool wins with {}", list(&pool_wins)),
        (true, true) => "the pool wins with none of the counts".to_owned(),
    } + &untold(&races, |race| race.theirs_less);
    let with_more = races.iter().filter(|(tasks, _)| *tasks > OF_THE_ARTICLE);
    let nor_with_more = match with_more.into_iter().all(|(_, race)| race.ours_less.is_no()) {
        true => ", nor with more",
        false => "",
    };
    Ok(match (of_article.ours_less, process_wins.is_empty()) {
        (Answer::Unclear, _) => Judgement::new(Verdict::NotTested, of_article.doubt(), evidence),
        (Answer::Yes, _) => {
            Judgement::new(Verdict::Holds, format!("with {OF_THE_ARTICLE} tasks Process wins; {turns}"), evidence)
        }
        (Answer::No, false) => Judgement::new(
            Verdict::Depends,
            format!("with {OF_THE_ARTICLE} tasks Process does not win, but with others; {turns}"),
            evidence,
        ),
        (Answer::No, true) => Judgement::new(
            Verdict::DoesNotHold,
            format!("Process does not win with {OF_THE_ARTICLE} tasks{nor_with_more}; {turns}"),
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
    fn it_holds_where_process_wins_with_few_and_says_where_it_turns() {
        let judged = verdict(&[(2, 0.8), (8, 0.9), (32, 1.2), (128, 2.0)]);
        assert_eq!(judged.verdict, Verdict::Holds);
        assert_eq!(judged.why, "with 2 tasks Process wins; Process wins with 2 and 8, the pool with 32 and 128");
        let judged = verdict(&[(2, 0.9), (8, 0.9), (32, 1.0)]);
        assert_eq!(judged.verdict, Verdict::Holds);
        assert!(judged.why.contains("the pool with none"), "{}", judged.why);
    }

    #[test]
    fn it_does_not_hold_where_process_does_not_win_with_the_fewest_tasks_nor_with_more() {
        let judged = verdict(&[(2, 1.1), (8, 1.5)]);
        assert_eq!(judged.verdict, Verdict::DoesNotHold);
        assert_eq!(judged.why, "Process does not win with 2 tasks, nor with more; the pool wins with 2 and 8");
        assert_eq!(verdict(&[(2, 1.0), (8, 1.0)]).verdict, Verdict::DoesNotHold, "no difference is no win");
    }

    #[test]
    fn it_depends_where_process_wins_with_more_but_not_with_the_fewest() {
        let judged = verdict(&[(2, 1.0), (8, 0.8)]);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert_eq!(
            judged.why,
            "with 2 tasks Process does not win, but with others; Process wins with 8, the pool with none of the counts"
        );
        let judged = verdict(&[(2, 1.2), (8, 0.8), (32, 1.2)]);
        assert!(judged.why.ends_with("Process wins with 8, the pool with 2 and 32"), "{}", judged.why);
    }

    #[test]
    fn counts_with_which_the_rounds_do_not_tell_are_said_to_be_that() {
        let at = |run_number, tasks, process: &[f64]| Sample {
            run: run_number,
            ..run(tasks).with("pool", Mode::Pool, &around(1.0)).with("process", Mode::Process, process)
        };
        let judged = judge(&[at(0, 2, &around(1.2)), at(1, 8, &scattered(0.7)), at(2, 32, &around(2.0))]).unwrap();
        assert_eq!(judged.verdict, Verdict::DoesNotHold);
        assert_eq!(
            judged.why,
            "Process does not win with 2 tasks; the pool wins with 2 and 32; whether with 8 the rounds do not tell"
        );
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
        assert_eq!(judge(&[]).unwrap_err(), "two were not run");
    }
}
