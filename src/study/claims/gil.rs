//! gil: whether threads help in Python, beside what they do natively: with tasks that compute, and with tasks that wait.

use super::evidence::{Answer, Contest, Evidence};
use super::replay::GIL;
use super::sample::Row;
use super::{Circumstances, Claim, Judgement, Replay, Sample, Verdict};
use crate::engine::Engine;
use crate::mode::Mode;
use crate::report::numbers::times;

pub(super) const CLAIM: Claim = Claim {
    name: "gil",
    says: "threads do not help in Python",
    figures: None,
    of_many: false,
    of_results: false,
    seconds: 28,
    engines: &[Engine::Python],
    replays,
    judge,
};

/// Threads help if they bring this part of what native threads do beside serial, or are as much faster.
const PART: f64 = 0.25;

/// The same tasks twice: once they compute, once they wait, for which Python lets go of its lock.
fn replays(at: &Circumstances) -> Vec<Replay> {
    let tasks = at.pick(200, 60);
    let replay = Replay::of(GIL, at.pick(10, 5)).as_written().tasks(tasks);
    vec![replay.clone(), replay.cpu(0.0).io_wait(1e-3)]
}

fn row(sample: &Sample, engine: Engine, mode: Mode) -> Result<&Row, String> {
    let found = sample.rows.iter().find(|row| row.engine == engine && row.mode == mode);
    found.ok_or_else(|| format!("there is no {} to compare", engine.kind_name(mode)))
}

/// Whether Python's threads help: bring a part of what native threads do with the same tasks, where those bring anything. How much that
/// takes, and whether they do, whatever native threads bring within their interval.
fn help(python: &Contest, native: &Contest, sample: &Sample) -> (f64, Answer) {
    let limit = |native: f64| (1.0 + PART * (native - 1.0)).min(1.0 + PART).max(1.0 + sample.margin);
    let Evidence { value, ci_low, ci_high, .. } = native.evidence;
    let (at_least, at_most) = (limit(ci_low.unwrap_or(value)), limit(ci_high.unwrap_or(value)));
    let helps = match (python.evidence.is_above(at_least), python.evidence.is_above(at_most)) {
        (Answer::No, _) => Answer::No,
        (_, Answer::Yes) => Answer::Yes,
        _ => Answer::Unclear,
    };
    (limit(value), helps)
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let [computing, waiting] = samples else { return Err("not all of it was run".into()) };
    let race = |sample: &Sample, engine| {
        sample.race(row(sample, engine, Mode::Threads)?, row(sample, engine, Mode::Serial)?)
    };
    let (python, native) = (race(computing, Engine::Python)?, race(computing, Engine::Native)?);
    let python_waiting = race(waiting, Engine::Python)?;
    let mut of_waiting = python_waiting.evidence.clone();
    of_waiting.what += " that wait";
    let beside = native.evidence.in_words();
    let evidence = vec![
        python.evidence.clone().headline("speed of threads over serial"),
        native.evidence.clone().headline("native threads (rayon)"),
        of_waiting.headline("threads, tasks that wait"),
    ];
    let (limit, helps) = help(&python, &native, computing);
    let (limit_waiting, helps_waiting) = help(&python_waiting, &race(waiting, Engine::Native)?, waiting);
    // Where nobody's threads can help, Python's say nothing of its lock.
    if native.ours_less == Answer::Unclear && !helps.is_yes() {
        let why = format!("whether native threads help on this machine is not clear, {}", native.doubt());
        return Ok(Judgement::new(Verdict::NotTested, why, evidence));
    }
    if native.ours_less.is_no() && !helps.is_yes() {
        let why = format!("native threads do not help on this machine either, so it has too few cores: {beside}");
        return Ok(Judgement::new(Verdict::NotTested, why, evidence));
    }
    Ok(match (helps, helps_waiting) {
        (Answer::Unclear, _) => {
            let doubt = format!("{} whether that is more than {}", python.doubt(), times(limit));
            Judgement::new(Verdict::NotTested, doubt, evidence)
        }
        (Answer::Yes, _) => Judgement::new(
            Verdict::DoesNotHold,
            match native.ours_less.is_yes() {
                true => format!("threads help tasks that compute, as they do natively: {beside}"),
                false => format!("threads help tasks that compute, whatever native ones do: {beside}"),
            },
            evidence,
        ),
        (Answer::No, Answer::Yes) => Judgement::new(
            Verdict::Depends,
            format!(
                "not with tasks that compute: {}, where native threads bring {beside}, of which a part would be {}; with tasks that wait they help",
                python.evidence.in_words(),
                times(limit)
            ),
            evidence,
        ),
        (Answer::No, Answer::Unclear) => {
            Judgement::new(Verdict::NotTested, format!("of tasks that wait: {} whether that is more than {}", python_waiting.doubt(), times(limit_waiting)), evidence)
        }
        (Answer::No, Answer::No) => Judgement::new(
            Verdict::Holds,
            format!(
                "neither tasks that compute: {}, where native threads bring {beside}, of which a part would be {}; nor tasks that wait",
                python.evidence.in_words(),
                times(limit)
            ),
            evidence,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::made_up::{around, run, scattered};
    use super::*;

    fn sample(threads: &[f64], native: f64) -> Sample {
        run(200)
            .with("py-serial", Mode::Serial, &around(1.0))
            .with("py-threads", Mode::Threads, threads)
            .with("serial", Mode::Serial, &around(1.0))
            .with("threads", Mode::Threads, &around(native))
    }

    fn verdict(computing: &[f64], native: f64, waiting: f64) -> Verdict {
        of(computing, native, &around(waiting))
    }

    fn of(computing: &[f64], native: f64, waiting: &[f64]) -> Verdict {
        judge(&[sample(computing, native), sample(waiting, 0.5)]).unwrap().verdict
    }

    #[test]
    fn all_verdicts_come_out() {
        assert_eq!(verdict(&around(1.0), 0.5, 1.0), Verdict::Holds);
        assert_eq!(verdict(&around(0.5), 0.5, 0.5), Verdict::DoesNotHold, "without the lock");
        assert_eq!(verdict(&around(1.1), 0.5, 0.5), Verdict::Depends);
        assert_eq!(verdict(&scattered(0.6), 0.5, 0.5), Verdict::NotTested);
        assert_eq!(verdict(&around(1.0), 1.0, 0.5), Verdict::NotTested, "one core");
        assert_eq!(of(&around(1.0), 0.5, &scattered(0.6)), Verdict::NotTested, "waiting is not told");
        assert_eq!(verdict(&around(0.5), 1.0, 0.5), Verdict::DoesNotHold, "whatever native threads do");
        assert_eq!(verdict(&around(0.93), 0.5, 0.93), Verdict::Holds, "a little beside twice as fast is no help");
        assert_eq!(verdict(&around(0.125), 0.02, 0.125), Verdict::DoesNotHold, "eight times is, whatever 64 cores give");
    }

    #[test]
    fn what_native_threads_bring_is_not_known_exactly() {
        // 1.25 is a quarter of what they bring if they bring 2 × or more; if it is 1 ×, all of 1.12 × is help.
        let native = [0.5, 0.9, 0.5, 0.9, 0.5, 0.9, 0.5, 0.9, 0.5];
        let waiting = || sample(&around(0.5), 0.5);
        let mut computing = sample(&around(0.89), 0.5);
        computing.rows.pop();
        let computing = computing.with("threads", Mode::Threads, &native);
        let judged = judge(&[computing, waiting()]).unwrap();
        assert_eq!(judged.verdict, Verdict::NotTested, "{}", judged.why);
    }

    #[test]
    fn it_is_not_tested_where_nothing_can_be_told_and_says_why() {
        let why = |computing: &[f64], native, waiting: &[f64]| {
            judge(&[sample(computing, native), sample(waiting, 0.5)]).unwrap().why
        };
        assert!(why(&scattered(0.6), 0.5, &around(0.5)).contains("9 rounds do not tell"));
        assert!(why(&around(1.0), 0.5, &scattered(0.6)).starts_with("of tasks that wait: "));
        assert!(why(&around(1.0), 1.0, &around(0.5)).contains("too few cores"));
        let mut unclear = sample(&around(1.0), 1.0);
        unclear.rows.pop();
        let unclear = unclear.with("threads", Mode::Threads, &scattered(0.6));
        let judged = judge(&[unclear, sample(&around(0.5), 0.5)]).unwrap();
        assert_eq!(judged.verdict, Verdict::NotTested);
        assert!(judged.why.contains("is not clear") && judged.why.contains("do not tell"), "{}", judged.why);
        assert_eq!(judge(&[]).unwrap_err(), "not all of it was run");
        assert!(judge(&[run(2), run(2)]).unwrap_err().starts_with("there is no "));
    }
}
