//! memory: whether a process for each task holds every one of them in memory: those that are alive, those that wait for their
//! turn, and those that have ended, each looked at apart: what one more of them adds to the peak.

use super::evidence::{Answer, Contest, Evidence, Unit};
use super::replay::{FINISHED_TASKS, MEMORY};
use super::sample::Row;
use super::{Circumstances, Claim, Effort, Judgement, Replay, Sample, Verdict};
use crate::engine::Engine;
use crate::mode::Mode;
use crate::report::numbers::count;
use crate::stats::{MIN_ROUNDS, compare};

pub(super) const CLAIM: Claim = Claim {
    name: "memory",
    says: "Process holds every process in memory, a pool only those executing",
    figures: None,
    of_many: false,
    engines: Engine::OF_TASKS,
    replays,
    judge,
};

/// Short tasks of the larger run, for each of the smaller one.
const TIMES_AS_MANY: u64 = 4;

/// Those that wait, or have ended, hold memory too if one of them holds this part of what one that is alive does.
const NOTEWORTHY: f64 = 0.5;

/// A run has one peak, so there are as many runs as it takes for an interval; then as many of few and of many short tasks.
fn replays(at: &Circumstances) -> Vec<Replay> {
    // Longer than it takes to start them all, so that all are alive at once.
    let wait = at.by_engine(at.pick(50e-3, 20e-3), at.pick(400e-3, 120e-3));
    // Many more than a pool has workers, and a limit in between, however many cores there are.
    let (tasks, limit) = (at.pick(40, 24).max(5 * at.cores), 16.max(2 * at.cores));
    let parked = |seed| Replay::of(MEMORY, 1).tasks(tasks).io_wait(wait).at_once(limit).seed(seed);
    let seeds = || 1..=MIN_ROUNDS as u64;
    if at.effort == Effort::Quick {
        return seeds().map(parked).collect();
    }
    let few = at.by_engine(2_000, 500);
    let finished = |seed, tasks| Replay::of(FINISHED_TASKS, 1).only(&[Mode::Process]).tasks(tasks).seed(seed);
    let both = seeds().flat_map(|seed| [finished(seed, few), finished(seed, TIMES_AS_MANY * few)]);
    seeds().map(parked).chain(both).collect()
}

const NOT_MEASURED: &str = "memory cannot be measured on this machine";

/// Peak memory of ours over theirs, in pairs of runs.
fn weigh<'a>(
    runs: &'a [Sample],
    ours: impl Fn(&'a Sample) -> Result<&'a Row, String>,
    theirs: impl Fn(&'a Sample) -> Result<&'a Row, String>,
) -> Result<Contest, String> {
    let (mut pairs, mut names) = (Vec::new(), [""; 2]);
    for run in runs {
        let (ours, theirs) = (ours(run)?, theirs(run)?);
        pairs.push((peak(ours)?, peak(theirs)?));
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
    let all = evidence.is_below(first.tasks as f64).opposite();
    Ok((evidence, all))
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let (parked, finished) = samples.split_at_checked(MIN_ROUNDS).ok_or("not all of it was run")?;
    let first = parked.first().ok_or("not all of it was run")?;
    let (pool, process) = (|run| Sample::nth(run, Mode::Pool, 0), |run| Sample::nth(run, Mode::Process, 0));
    let limited = |run| Sample::nth(run, Mode::Process, 1);
    let (alive_parked, all_parked) = alive(parked, |run| run.nth(Mode::Process, 0))?;
    let over_pool = weigh(parked, process, pool)?;
    let over_limited = weigh(parked, process, limited)?;
    let at_once = limited(first)?.executors();
    let mut of_alive = Vec::new();
    for run in parked {
        of_alive.push(peak(process(run)?)? / run.tasks.max(1) as f64);
    }
    let name = &process(first)?.name;
    let what = "the peak with all of them alive, divided among them".to_owned();
    let places: Vec<usize> = parked.iter().map(|run| run.run).collect();
    let each_alive = Evidence::median(what, &of_alive, Unit::Bytes, first.seed)?.from(&places, &[name]);
    let mut evidence = vec![
        over_pool.evidence.clone().headline("peak memory of Process over pool"),
        alive_parked.clone().headline(format!("alive at once, of {} that wait", count(first.tasks))),
        over_limited.evidence.clone(),
        each_alive.clone().headline("that is, each alive"),
    ];
    // A quick run leaves them out.
    let ended = match finished.is_empty() {
        true => None,
        false => Some(Ended::of(finished, each_alive.value)?),
    };
    evidence.extend(ended.iter().flat_map(|ended| {
        [ended.each.clone().headline("one more that has ended adds"), ended.share.clone()]
    }));
    if over_pool.theirs_less == Answer::Unclear {
        return Ok(Judgement::new(Verdict::NotTested, over_pool.doubt(), evidence));
    }
    if all_parked.is_no() || alive_parked.value < first.tasks as f64 {
        // They wait for so long only that a busy machine may not start them all in that time.
        let why = format!(
            "{}: not all were alive at once, so there was nothing to see; on a quiet machine they are",
            alive_parked.in_words()
        );
        return Ok(Judgement::new(Verdict::NotTested, why, evidence));
    }
    if over_pool.theirs_less.is_no() {
        let why = "tasks that are all alive at the same time need no more than a pool";
        return Ok(Judgement::new(Verdict::DoesNotHold, why, evidence));
    }
    // With fewer at once and as many tasks in all, it is those that wait for their turn that make the difference, if any.
    let queued_hold = over_limited.theirs_less.opposite();
    let waiting_hold = if queued_hold.is_yes() { "hold it too" } else { "do not" };
    let alive_and_waiting = format!(
        "it holds for tasks that are alive at the same time, {} each; those that wait for their turn (no more than {} at once) \
         {waiting_hold}",
        each_alive.value_in_words(),
        count(at_once),
    );
    Ok(match (queued_hold, ended) {
        (Answer::Unclear, _) => Judgement::new(Verdict::NotTested, over_limited.doubt(), evidence),
        (queued, None) => {
            let why = format!("{alive_and_waiting}; what those hold that have ended takes a run without --quick");
            let verdict = if queued.is_yes() { Verdict::NotTested } else { Verdict::Depends };
            Judgement::new(verdict, why, evidence)
        }
        (_, Some(Ended { hold: Answer::Unclear, each, share })) => {
            let doubt = format!("{}: the runs do not tell ({})", each.what, share.in_words());
            Judgement::new(Verdict::NotTested, doubt, evidence)
        }
        (Answer::Yes, Some(ended)) if ended.hold.is_yes() => {
            let why = "tasks hold memory before they start, while they are alive, and after they have ended";
            Judgement::new(Verdict::Holds, why, evidence)
        }
        (_, Some(ended)) => {
            let each = ended.each.value_in_words();
            let hold = if ended.hold.is_yes() { "hold it too" } else { "do not" };
            let why = format!("{alive_and_waiting}, and those that have ended {hold}: one more adds {each}");
            Judgement::new(Verdict::Depends, why, evidence)
        }
    })
}

fn peak(row: &Row) -> Result<f64, String> {
    row.peak_bytes.map(|bytes| bytes as f64).ok_or_else(|| NOT_MEASURED.into())
}

/// What short tasks leave behind.
struct Ended {
    /// What one more adds to the peak, in bytes.
    each: Evidence,
    /// That as a part of what one has that is alive.
    share: Evidence,
    /// Whether that is noteworthy.
    hold: Answer,
}

impl Ended {
    /// From pairs of runs of few and of many tasks, where one that is alive has `alive_bytes`.
    fn of(runs: &[Sample], alive_bytes: f64) -> Result<Self, String> {
        let (mut bytes, mut tasks, mut name) = (Vec::new(), [0; 2], "");
        for pair in runs.chunks(2) {
            let [few, many] = pair else { return Err("not all of it was run".into()) };
            let row = many.first(Mode::Process)?;
            (tasks, name) = ([few.tasks, many.tasks], &row.name);
            let more = many.tasks.saturating_sub(few.tasks).max(1) as f64;
            bytes.push((peak(row)? - peak(few.first(Mode::Process)?)?) / more);
        }
        let seed = runs.first().map_or(0, |run| run.seed);
        let places: Vec<usize> = runs.iter().map(|run| run.run).collect();
        let [few, many] = tasks.map(count);
        let what = format!("what one more that has ended adds to the peak, {few} and {many} short tasks");
        let each = Evidence::median(what, &bytes, Unit::Bytes, seed)?.from(&places, &[name]);
        let shares: Vec<f64> = bytes.iter().map(|bytes| bytes / alive_bytes).collect();
        let what = "the same as a part of what one has that is alive".to_owned();
        let share = Evidence::median(what, &shares, Unit::Times, seed)?.from(&places, &[name]);
        let hold = share.is_below(NOTEWORTHY).opposite();
        Ok(Self { each, share, hold })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Point;
    use super::super::sample::made_up::run;
    use super::*;

    fn alive_of(peak_alive: u64) -> Point {
        Point { peak_alive, ..Point::default() }
    }

    /// Peak memory of pool, process, and process with a limit, in MiB, and how many of 50 were alive; peak memory of 1000 and of
    /// 4000 short tasks, in MiB.
    fn samples(peaks: [u64; 3], waiting: u64, short: [u64; 2]) -> Vec<Sample> {
        let with_noise = |peak: u64, number: usize| Some((peak << 20) + number as u64 * 1000);
        let parked = |number: usize| {
            let mut sample = run(50).with_points("pool", Mode::Pool, vec![alive_of(2)]);
            sample.last().peak_bytes = with_noise(peaks[0], number);
            let mut sample = sample.with_points("process", Mode::Process, vec![alive_of(waiting)]);
            sample.last().peak_bytes = with_noise(peaks[1], number);
            let mut sample = sample.with_points("process:in-flight=16", Mode::Process, vec![alive_of(16)]);
            sample.last().peak_bytes = with_noise(peaks[2], number);
            sample.last().in_flight = Some(16);
            Sample { run: number, ..sample }
        };
        let finished = |number: usize| {
            let mut sample = run([1000, 4000][number % 2]).with_points("process", Mode::Process, vec![alive_of(60)]);
            sample.last().peak_bytes = with_noise(short[number % 2], number);
            Sample { run: MIN_ROUNDS + number, ..sample }
        };
        (0..MIN_ROUNDS).map(parked).chain((0..2 * MIN_ROUNDS).map(finished)).collect()
    }

    fn judged(peaks: [u64; 3], waiting: u64, short: [u64; 2]) -> Judgement {
        judge(&samples(peaks, waiting, short)).unwrap()
    }

    #[test]
    fn all_verdicts_come_out() {
        // One that is alive has 2 MiB, if those that wait have nothing.
        let (held, let_go) = ([1900, 8000], [60, 70]);
        assert_eq!(judged([5, 5, 5], 50, let_go).verdict, Verdict::DoesNotHold, "no more than a pool");
        let depends = judged([5, 100, 32], 50, let_go);
        assert_eq!(depends.verdict, Verdict::Depends);
        assert!(
            depends.why.contains("at the same time, 2.00 MiB each") && depends.why.contains("have ended do not: one more adds 3.41 KiB"),
            "{}",
            depends.why
        );
        let quick = judge(&samples([5, 100, 32], 50, let_go)[..MIN_ROUNDS]).unwrap();
        assert!(quick.verdict == Verdict::Depends && quick.why.contains("without --quick"), "{}", quick.why);
        let depends = judged([5, 100, 32], 50, held);
        assert_eq!(depends.verdict, Verdict::Depends, "ended ones hold, queued ones do not");
        assert!(depends.why.contains("those that have ended hold it too"), "{}", depends.why);
        assert_eq!(judged([5, 100, 100], 50, held).verdict, Verdict::Holds);
    }

    #[test]
    fn it_is_not_tested_where_nothing_can_be_told_and_says_why() {
        let of = |samples: &[Sample]| {
            let judged = judge(samples).unwrap();
            assert_eq!(judged.verdict, Verdict::NotTested, "{judged:?}");
            judged.why
        };
        let all = || samples([5, 100, 32], 50, [60, 70]);
        let why = of(&samples([5, 100, 32], 20, [60, 70]));
        assert!(why.contains("not all were alive at once"), "{why}");
        // Twice as much in every other run.
        let mut scattered = all();
        for run in scattered.iter_mut().take(5).step_by(2) {
            run.rows[2].peak_bytes = Some(100 << 20);
        }
        let why = of(&scattered);
        assert!(why.contains("process:in-flight=16") && why.contains("do not tell"), "{why}");
        let mut scattered = all();
        for run in scattered.iter_mut().skip(6).step_by(4) {
            run.rows[0].peak_bytes = Some(9000 << 20);
        }
        assert!(of(&scattered).contains("1,000 and 4,000 short tasks: the runs do not tell"));
        let mut unmeasured = all();
        unmeasured[0].rows[0].peak_bytes = None;
        assert_eq!(judge(&unmeasured).unwrap_err(), NOT_MEASURED);
        assert_eq!(judge(&[]).unwrap_err(), "not all of it was run");
    }
}
