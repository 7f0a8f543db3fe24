//! few-expressions: whether the pool loses to serial with a hundred small expressions, and with how many it does not.

use super::evidence::{Answer, Contest, list, untold};
use super::replay::FEW_EXPRESSIONS;
use super::{Circumstances, Claim, Judgement, Replay, Sample, Verdict};
use crate::engine::Engine;
use crate::mode::Mode;
use crate::report::numbers::count;

pub(super) const CLAIM: Claim = Claim {
    name: "few-expressions",
    says: "100 expressions with fewer arguments: the pool loses to serial",
    figures: Some("pool 4 s, serial 3 s"),
    of_many: false,
    of_results: false,
    seconds: 40,
    engines: Engine::OF_TASKS,
    replays,
    judge,
};

/// What the article had.
const OF_THE_ARTICLE: u64 = 100;

fn replays(at: &Circumstances) -> Vec<Replay> {
    let counts: &[u64] = at.pick(&[10, OF_THE_ARTICLE, 1_000, 10_000], &[10, OF_THE_ARTICLE, 2_000]);
    let rounds = at.by_engine(at.pick(60, 25), at.pick(15, 5));
    let replay =
        |tasks: &u64| Replay::of(FEW_EXPRESSIONS, rounds).only(&[Mode::Serial, Mode::Pool]).tasks(*tasks);
    counts.iter().map(replay).collect()
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let mut evidence = Vec::new();
    let mut races = Vec::new();
    for sample in samples {
        let race = sample.race(sample.first(Mode::Pool)?, sample.first(Mode::Serial)?)?;
        let is_the_articles = sample.tasks == OF_THE_ARTICLE;
        let name = format!("speed of pool over serial, {} tasks", count(sample.tasks));
        let of_race = race.evidence.clone();
        evidence.push(if is_the_articles { of_race.headline(name) } else { of_race });
        races.push((sample.tasks, race));
    }
    let loses = |(_, race): &&(u64, Contest)| race.theirs_less.is_yes();
    let wins = |(_, race): &&(u64, Contest)| race.ours_less.is_yes();
    let of_article = races.iter().find(|(tasks, _)| *tasks == OF_THE_ARTICLE);
    let (_, of_article) = of_article.ok_or("a hundred were not run")?;
    let fewer = || races.iter().filter(|(tasks, _)| *tasks < OF_THE_ARTICLE);
    let most_lost = fewer().filter(loses).map(|(tasks, _)| *tasks).max();
    let never = fewer().all(|(_, race)| race.theirs_less.is_no());
    let won: Vec<u64> = races.iter().filter(wins).map(|(tasks, _)| *tasks).collect();
    let from = if won.is_empty() { "wins with none of the counts".to_owned() } else { format!("wins with {}", list(&won)) } + &untold(&races, |race| race.ours_less);
    Ok(match (of_article.theirs_less, most_lost) {
        (Answer::Unclear, _) => Judgement::new(Verdict::NotTested, of_article.doubt(), evidence),
        (Answer::Yes, _) => Judgement::new(
            Verdict::Holds,
            format!("with {OF_THE_ARTICLE} the pool loses; it {from}"),
            evidence,
        ),
        (Answer::No, Some(tasks)) => Judgement::new(
            Verdict::Depends,
            format!(
                "with {} the pool loses, but no longer with {OF_THE_ARTICLE}; it {from}",
                count(tasks)
            ),
            evidence,
        ),
        (Answer::No, None) => {
            let fewer = if never { ", nor with fewer" } else { "; with fewer the rounds do not tell" };
            let why = format!("the pool does not lose with {OF_THE_ARTICLE}{fewer}; it {from}");
            Judgement::new(Verdict::DoesNotHold, why, evidence)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::made_up::{around, run, scattered};
    use super::*;

    fn at(tasks: u64, pool: &[f64]) -> Sample {
        run(tasks).with("serial", Mode::Serial, &around(1.0)).with("pool", Mode::Pool, pool)
    }

    #[test]
    fn all_verdicts_come_out() {
        let loses = judge(&[at(10, &around(3.0)), at(100, &around(1.3)), at(1000, &around(0.6))]).unwrap();
        assert_eq!(loses.verdict, Verdict::Holds);
        assert_eq!(loses.why, "with 100 the pool loses; it wins with 1,000");
        let wins = judge(&[at(10, &around(0.9)), at(100, &around(0.8))]).unwrap();
        assert_eq!(wins.verdict, Verdict::DoesNotHold);
        assert_eq!(judge(&[at(100, &around(1.0))]).unwrap().verdict, Verdict::DoesNotHold, "no loss either");
        let turns = judge(&[at(10, &around(1.3)), at(100, &around(0.8))]).unwrap();
        assert_eq!(turns.verdict, Verdict::Depends);
        assert_eq!(turns.why, "with 10 the pool loses, but no longer with 100; it wins with 100");
        let later = judge(&[at(100, &around(0.8)), at(1000, &around(1.3))]).unwrap();
        assert_eq!(later.verdict, Verdict::DoesNotHold, "the claim is not about more");
        let never = judge(&[at(100, &around(1.3)), at(1000, &around(1.0))]).unwrap();
        assert_eq!(never.why, "with 100 the pool loses; it wins with none of the counts");
        let later = judge(&[at(100, &around(1.3)), at(1000, &scattered(0.8))]).unwrap();
        assert_eq!(later.why, "with 100 the pool loses; it wins with none of the counts; whether with 1,000 the rounds do not tell");
        let untold = judge(&[at(10, &around(1.3)), at(100, &scattered(0.8))]).unwrap();
        assert_eq!(untold.verdict, Verdict::NotTested);
        assert!(untold.why.contains("9 rounds do not tell"), "{}", untold.why);
        assert_eq!(judge(&[at(10, &around(1.3))]).unwrap_err(), "a hundred were not run");
        assert_eq!(judge(&[run(100)]).unwrap_err(), "there is no pool to compare");
    }
}
