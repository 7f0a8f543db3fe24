//! io-bound: whether a process for each task wins with long waits, over a pool of one worker for each core, and over one of as
//! many workers as there are tasks. How large the pool is may be all that the claim is about.

use super::replay::IO_BOUND;
use super::sample::Row;
use super::evidence::{Answer, Contest, Evidence};
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
    seconds: 200,
    engines: Engine::OF_TASKS,
    replays,
    judge,
};

/// How many times as fast as a pool of as many Process has to be for it to be the processes that win, rather than that there are as many.
const NOTEWORTHY: f64 = 1.1;

/// Tasks and workers of the large pool: many for each core. Waits that are short beside what it takes to create so many workers, and waits
/// that are long beside it.
fn replays(at: &Circumstances) -> Vec<Replay> {
    let many = at.pick(16.max(8 * at.cores), 8.max(4 * at.cores));
    let replay = |(wait, rounds): &(f64, u64)| {
        Replay::of(IO_BOUND, *rounds).only(&[Mode::Pool, Mode::Process]).tasks(many).at_once(many).io_wait(*wait)
    };
    let waits: &[(f64, u64)] = at.pick(&[(10e-3, 15), (100e-3, 10), (1.0, 6)], &[(10e-3, 7), (120e-3, 5)]);
    waits.iter().map(replay).collect()
}

/// What came out with waits of one length.
struct AtWait<'a> {
    sample: &'a Sample,
    small: &'a Row,
    large: &'a Row,
    over_small: Contest,
    over_large: Contest,
    /// Whether Process wins over the large pool by so much that it is the processes that win.
    notably: Answer,
}

impl<'a> AtWait<'a> {
    fn of(sample: &'a Sample) -> Result<Self, String> {
        let (small, large) = (sample.nth(Mode::Pool, 0)?, sample.nth(Mode::Pool, 1)?);
        let process = sample.first(Mode::Process)?;
        let (over_small, over_large) = (sample.race(process, small)?, sample.race(process, large)?);
        let notably = over_large.evidence.is_above(NOTEWORTHY);
        Ok(Self { sample, small, large, over_small, over_large, notably })
    }

    fn wait(&self) -> String {
        seconds(self.sample.io_wait_seconds)
    }

    /// For the table.
    fn headlines(&self) -> [Evidence; 2] {
        let against = |contest: &Contest, pool: &Row| {
            let name = format!("speed of Process over pool of {}, waits of {}", count(pool.executors()), self.wait());
            contest.evidence.clone().headline(name)
        };
        [against(&self.over_small, self.small), against(&self.over_large, self.large)]
    }

    /// That Process does not win over the large pool.
    fn beside_large(&self) -> String {
        let over = over(self.large);
        match (self.over_large.ours_less, self.over_large.theirs_less) {
            (_, Answer::Yes) => format!("loses to a pool of {} workers", count(self.large.executors())),
            (Answer::No, _) => format!("not {over}"),
            (Answer::Yes, _) => format!("{over} by no more than 10 %"),
            _ => format!("whether {over} the rounds do not tell, by no more than 10 % if so"),
        }
    }
}

/// `over a pool of 64 workers`
fn over(pool: &Row) -> String {
    format!("over a pool of {} workers", count(pool.executors()))
}

/// The longest waits decide, since it is long ones that the article speaks of; shorter ones tell where it turns.
fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let at_waits = samples.iter().map(AtWait::of).collect::<Result<Vec<_>, String>>()?;
    let (long, shorter) = at_waits.split_last().ok_or("it was not run")?;
    let mut evidence: Vec<Evidence> = Vec::new();
    for of_wait in shorter {
        let [small, large] = of_wait.headlines();
        evidence.extend([Evidence { headline: None, ..small }, large]);
    }
    evidence.extend(long.headlines());
    let gained = long.sample.race(long.large, long.small)?.evidence;
    // What is gained by more workers is what the claim says of processes.
    let by_size = format!(
        "that pool, with a worker for each task as Process has a process, is itself {} as fast as the small one",
        gained.in_words()
    );
    evidence.push(gained);
    let (of_small, of_large) = (over(long.small), over(long.large));
    let beside_large = long.beside_large();
    let (verdict, why) = match (long.over_small.ours_less, long.notably) {
        (Answer::Unclear, _) => (Verdict::NotTested, long.over_small.doubt()),
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
        (Answer::No, Answer::Unclear) => {
            (Verdict::NotTested, format!("{}, whether by more than 10 %", long.over_large.doubt()))
        }
    };
    let why = format!("with waits of {}, {why}", long.wait());
    Ok(Judgement::new(verdict, why + &turns(long, shorter), evidence))
}

/// With which shorter waits it is otherwise over the large pool than with `long` ones.
fn turns(long: &AtWait<'_>, shorter: &[AtWait<'_>]) -> String {
    let waits_where = |answer: Answer| {
        let waits: Vec<String> = shorter.iter().filter(|at| at.notably == answer).map(AtWait::wait).collect();
        (!waits.is_empty()).then(|| waits.join(" and "))
    };
    let of_large = over(long.large);
    match (long.notably, waits_where(Answer::Yes), waits_where(Answer::No)) {
        (Answer::No, Some(waits), _) => format!("; with waits of {waits} it wins {of_large} by more than 10 %"),
        (Answer::Yes, _, Some(waits)) => format!("; with waits of {waits} it does not win {of_large} by so much"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::made_up::{around, run, scattered};
    use super::*;

    fn sample(wait: f64, large_pool: &[f64], process: f64) -> Sample {
        let mut sample = run(64).with("pool", Mode::Pool, &around(32.0 * wait));
        sample.last().workers = Some(2);
        let mut sample = sample.with("pool:workers=64", Mode::Pool, large_pool);
        sample.last().workers = Some(64);
        let sample = sample.with("process", Mode::Process, &around(process));
        Sample { io_wait_seconds: wait, ..sample }
    }

    fn verdict(large_pool: &[f64], process: f64) -> Judgement {
        judge(&[sample(0.1, large_pool, process)]).unwrap()
    }

    #[test]
    fn all_verdicts_come_out() {
        assert_eq!(verdict(&around(0.2), 0.1).verdict, Verdict::Holds);
        assert_eq!(verdict(&around(0.2), 3.3).verdict, Verdict::DoesNotHold);
        let judged = verdict(&around(0.1), 0.1);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert_eq!(
            judged.why,
            "with waits of 100 ms, Process wins over a pool of 2 workers, but not over a pool of 64 workers: that pool, \
             with a worker for each task as Process has a process, is itself 32.0 × (32.0 … 32.0 ×) as fast as the small one"
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
        let between: Vec<f64> = (0..9).map(|round| 0.1 * (0.97 + 0.1 * f64::from(round % 2))).collect();
        let judged = verdict(&between, 0.1);
        assert_eq!(judged.verdict, Verdict::Depends);
        assert!(judged.why.contains("but whether over a pool of 64 workers the rounds do not tell, by no more"), "{}", judged.why);
        assert_eq!(judge(&[]).unwrap_err(), "it was not run");
        let one_pool = run(64).with("pool", Mode::Pool, &around(3.2));
        assert_eq!(judge(&[one_pool]).unwrap_err(), "there is no pool to compare");
    }

    #[test]
    fn the_longest_waits_decide_and_shorter_ones_tell_where_it_turns() {
        let (short, long) = (sample(0.01, &around(0.02), 0.01), sample(0.5, &around(0.51), 0.5));
        let judged = judge(&[short, long]).unwrap();
        assert_eq!(judged.verdict, Verdict::Depends);
        assert!(
            judged.why.ends_with("; with waits of 10.0 ms it wins over a pool of 64 workers by more than 10 %"),
            "{}",
            judged.why
        );
        assert_eq!(judged.evidence.iter().filter(|of| of.headline.is_some()).count(), 3);
        let (short, long) = (sample(0.01, &around(0.01), 0.01), sample(0.5, &around(0.7), 0.5));
        let judged = judge(&[short, long]).unwrap();
        assert_eq!(judged.verdict, Verdict::Holds, "it is of long waits");
        assert!(judged.why.ends_with("; with waits of 10.0 ms it does not win over a pool of 64 workers by so much"));
        let untold = judge(&[sample(0.01, &around(0.01), 0.01), sample(0.5, &scattered(0.45), 0.5)]).unwrap();
        assert_eq!(untold.verdict, Verdict::NotTested, "whatever short ones are like: {}", untold.why);
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
