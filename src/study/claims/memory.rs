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
    of_results: false,
    seconds: 204,
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
    // More than a pool has workers, and than the limit, however many cores there are. Each pass takes as many waits as
    // a pool has turns: two.
    let tasks = at.pick(40, 20).max(2 * at.cores);
    let limit = 16.max(at.cores);
    // Longer than it takes to start them all, one after another, so that all are alive at once.
    let of_each = at.by_engine(at.pick(2.5e-3, 0.5e-3), at.pick(5e-3, 2e-3));
    let wait = at.by_engine(at.pick(100e-3, 20e-3), at.pick(200e-3, 40e-3)) + of_each * tasks as f64;
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

/// The most that were alive in the rounds that were looked at for memory, and whether that was as many as there are tasks, each time.
fn alive<'a>(
    runs: &'a [Sample],
    row: impl Fn(&'a Sample) -> Result<&'a Row, String>,
) -> Result<(Evidence, bool), String> {
    let first = runs.first().ok_or("nothing was run")?;
    let mut all = true;
    let of_run = |run| {
        let row = row(run)?;
        let alive = row.memory_alive.ok_or(NOT_MEASURED)?;
        all &= alive >= run.tasks;
        Ok::<f64, String>(alive as f64)
    };
    let peaks = runs.iter().map(of_run).collect::<Result<Vec<f64>, String>>()?;
    let name = &row(first)?.name;
    let what = format!("alive at once by {name}, of {} tasks", count(first.tasks));
    Ok((Evidence::median(what, &peaks, Unit::Count, first.seed)?.from(&places(runs), &[name]), all))
}

fn places(runs: &[Sample]) -> Vec<usize> {
    runs.iter().map(|run| run.run).collect()
}

/// What each that is alive has, in each run.
fn of_alive(runs: &[Sample]) -> Result<Vec<f64>, String> {
    let of_run = |run: &Sample| {
        let process = run.nth(Mode::Process, 0)?;
        let why = || match process.alive_missing {
            Some(why) => format!("what each that is alive has cannot be told: {why}"),
            None => NOT_MEASURED.to_owned(),
        };
        process.alive_bytes.map(|bytes| bytes as f64).ok_or_else(why)
    };
    runs.iter().map(of_run).collect()
}

fn judge(samples: &[Sample]) -> Result<Judgement, String> {
    let (parked, finished) = samples.split_at_checked(MIN_ROUNDS).ok_or("not all of it was run")?;
    let first = parked.first().ok_or("not all of it was run")?;
    let (pool, process) = (|run| Sample::nth(run, Mode::Pool, 0), |run| Sample::nth(run, Mode::Process, 0));
    let (alive_parked, all_parked) = alive(parked, process)?;
    let over_pool = weigh(parked, process, pool)?;
    let mut evidence = vec![
        over_pool.evidence.clone().headline("peak memory of Process over pool"),
        alive_parked.clone().headline(format!("alive at once, of {} that wait", count(first.tasks))),
    ];
    if over_pool.theirs_less == Answer::Unclear {
        return Ok(Judgement::new(Verdict::NotTested, over_pool.doubt(), evidence));
    }
    if !all_parked {
        // They wait for so long only that a busy machine may not start them all in that time.
        let why = format!(
            "{}: not all were alive at once each time, so there was nothing to see; on a quiet machine they are",
            alive_parked.in_words()
        );
        return Ok(Judgement::new(Verdict::NotTested, why, evidence));
    }
    if over_pool.theirs_less.is_no() {
        let why = "tasks that are all alive at the same time need no more than a pool";
        return Ok(Judgement::new(Verdict::DoesNotHold, why, evidence));
    }
    let alive_bytes = match of_alive(parked) {
        Ok(bytes) => bytes,
        // What is known of the whole is shown all the same.
        Err(why) => return Ok(Judgement::new(Verdict::NotTested, why, evidence)),
    };
    let name = &process(first)?.name;
    let what = format!("memory of one of {name} that is alive");
    let each_alive = Evidence::median(what, &alive_bytes, Unit::Bytes, first.seed)?.from(&places(parked), &[name]);
    evidence.push(each_alive.clone().headline("each alive"));
    let queued = More::of_queued(parked, &alive_bytes)?;
    evidence.extend([queued.each.clone().headline("one more in the queue adds"), queued.share.clone()]);
    evidence.push(weigh(parked, process_with_limit, |run| run.nth(Mode::Pool, 1))?.evidence);
    // A quick run leaves them out.
    let ended = match finished.is_empty() {
        true => None,
        false => Some(More::of_ended(finished, each_alive.value)?),
    };
    evidence.extend(ended.iter().flat_map(|ended| {
        [ended.each.clone().headline("one more that has ended adds"), ended.share.clone()]
    }));
    // One of both that hold nothing is enough for it not to hold of all.
    let is_settled = queued.hold.is_no() || ended.as_ref().is_some_and(|ended| ended.hold.is_no());
    let doubt = queued.doubt().or_else(|| ended.as_ref().and_then(More::doubt));
    if let Some(doubt) = doubt.filter(|_| !is_settled) {
        return Ok(Judgement::new(Verdict::NotTested, doubt, evidence));
    }
    let hold = |more: &More| match more.hold {
        Answer::Yes => "hold it too",
        Answer::No => "do not",
        Answer::Unclear => "may or may not, the runs do not tell",
    };
    let at_once = process_with_limit(first)?.executors();
    let alive_and_queued = format!(
        "it holds for tasks that are alive at the same time, {} each; those that wait for their turn (no more than {} at once) \
         {}: one more adds {}",
        each_alive.value_in_words(),
        count(at_once),
        hold(&queued),
        queued.each.value_in_words(),
    );
    let Some(ended) = ended else {
        let why = format!("{alive_and_queued}; what those hold that have ended takes a run without --quick");
        // What is left out could only bear it out.
        let verdict = if queued.hold.is_yes() { Verdict::NotTested } else { Verdict::Depends };
        return Ok(Judgement::new(verdict, why, evidence));
    };
    if queued.hold.is_yes() && ended.hold.is_yes() {
        let why = "tasks hold memory before they start, while they are alive, and after they have ended";
        return Ok(Judgement::new(Verdict::Holds, why, evidence));
    }
    let of_ended = ended.each.value_in_words();
    let why = format!("{alive_and_queued}; those that have ended {}: one more adds {of_ended}", hold(&ended));
    Ok(Judgement::new(Verdict::Depends, why, evidence))
}

fn peak(row: &Row) -> Result<f64, String> {
    row.peak_bytes.map(|bytes| bytes as f64).ok_or_else(|| NOT_MEASURED.into())
}

/// The process for each task with no more than so many at once.
fn process_with_limit(run: &Sample) -> Result<&Row, String> {
    run.nth(Mode::Process, 1)
}

/// What tasks hold that are not alive.
struct More {
    /// What one more adds to the peak, in bytes.
    each: Evidence,
    /// That as a part of what one has that is alive.
    share: Evidence,
    /// Whether that is noteworthy.
    hold: Answer,
}

impl More {
    /// Of those that wait for their turn, where one that is alive has `alive_bytes`, in each run: where all of them are alive at the same time,
    /// the others add as much as what is alive has more than what waits.
    fn of_queued(runs: &[Sample], alive_bytes: &[f64]) -> Result<Self, String> {
        let (mut bytes, mut shares, mut names) = (Vec::new(), Vec::new(), [""; 2]);
        for (run, alive) in runs.iter().zip(alive_bytes) {
            let (all, limited) = (run.nth(Mode::Process, 0)?, process_with_limit(run)?);
            let others = run.tasks.saturating_sub(limited.executors());
            if others == 0 {
                return Err(format!("{} has no task that waits for its turn", limited.name));
            }
            let each = alive - (peak(all)? - peak(limited)?) / others as f64;
            bytes.push(each);
            shares.push(each / alive.max(1.0));
            names = [&all.name, &limited.name];
        }
        let what = "what one more in the queue adds to the peak".to_owned();
        Self::new(what, [&bytes, &shares], runs, &names)
    }

    /// Of short ones that have ended, from pairs of runs of few and of many tasks, where one that is alive has `alive_bytes`.
    fn of_ended(runs: &[Sample], alive_bytes: f64) -> Result<Self, String> {
        let (mut bytes, mut tasks, mut name) = (Vec::new(), [0; 2], "");
        for pair in runs.chunks(2) {
            let [few, many] = pair else { return Err("not all of it was run".into()) };
            let row = many.first(Mode::Process)?;
            (tasks, name) = ([few.tasks, many.tasks], &row.name);
            let more = many.tasks.saturating_sub(few.tasks).max(1) as f64;
            bytes.push((peak(row)? - peak(few.first(Mode::Process)?)?) / more);
        }
        let [few, many] = tasks.map(count);
        let what = format!("what one more that has ended adds to the peak, {few} and {many} short tasks");
        let shares: Vec<f64> = bytes.iter().map(|bytes| bytes / alive_bytes.max(1.0)).collect();
        Self::new(what, [&bytes, &shares], runs, &[name])
    }

    fn new(
        what: String,
        [bytes, shares]: [&[f64]; 2],
        runs: &[Sample],
        names: &[&str],
    ) -> Result<Self, String> {
        let seed = runs.first().map_or(0, |run| run.seed);
        let each = Evidence::median(what, bytes, Unit::Bytes, seed)?.from(&places(runs), names);
        let what = format!("{}, as a part of what one has that is alive", each.what);
        let share = Evidence::median(what, shares, Unit::Times, seed)?.from(&places(runs), names);
        let hold = share.is_below(NOTEWORTHY).opposite();
        Ok(Self { each, share, hold })
    }

    /// Why it is not told.
    fn doubt(&self) -> Option<String> {
        let why = || format!("{}: the runs do not tell ({})", self.each.what, self.share.in_words());
        (self.hold == Answer::Unclear).then(why)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::made_up::run;
    use super::*;
    use crate::document::PerAliveMissing;
    use crate::plan::draft::{InFlight, StrategyDraft, Workers};
    use crate::plan::units::Length;

    /// Peak memory of pool, process, and process with a limit, in MiB, and how many of 50 were alive, each of which had 2 MiB; peak
    /// memory of 1000 and of 4000 short tasks, in MiB.
    fn samples(peaks: [u64; 3], waiting: u64, short: [u64; 2]) -> Vec<Sample> {
        let with_noise = |peak: u64, number: usize| Some((peak << 20) + number as u64 * 1000);
        let parked = |number: usize| {
            let mut sample = run(50).with("pool", Mode::Pool, &[]);
            sample.last().peak_bytes = with_noise(peaks[0], number);
            let mut sample = sample.with("pool:workers=16", Mode::Pool, &[]);
            sample.last().peak_bytes = with_noise(35, number);
            sample.last().workers = Some(16);
            let mut sample = sample.with("process", Mode::Process, &[]);
            sample.last().peak_bytes = with_noise(peaks[1], number);
            sample.last().memory_alive = Some(waiting);
            sample.last().alive_bytes = Some(2 << 20);
            let mut sample = sample.with("process:in-flight=16", Mode::Process, &[]);
            sample.last().peak_bytes = with_noise(peaks[2], number);
            sample.last().in_flight = Some(16);
            Sample { run: number, ..sample }
        };
        let finished = |number: usize| {
            let mut sample = run([1000, 4000][number % 2]).with("process", Mode::Process, &[]);
            sample.last().peak_bytes = with_noise(short[number % 2], number);
            Sample { run: MIN_ROUNDS + number, ..sample }
        };
        (0..MIN_ROUNDS).map(parked).chain((0..2 * MIN_ROUNDS).map(finished)).collect()
    }

    fn judged(peaks: [u64; 3], waiting: u64, short: [u64; 2]) -> Judgement {
        judge(&samples(peaks, waiting, short)).unwrap()
    }

    /// Of two minutes, in which all other claims have their turn too.
    #[test]
    fn however_many_cores_there_are_quick_runs_do_not_wait_for_long() {
        for cores in [1, 2, 8, 64] {
            let mut seconds = 0.0;
            for engine in Engine::OF_TASKS {
                for replay in replays(&Circumstances { engine: *engine, effort: Effort::Quick, cores }) {
                    let draft = replay.draft(*engine, None).unwrap();
                    let tasks = draft.workload.tasks.unwrap().0;
                    let Some(Length::Mean(wait)) = draft.workload.io_wait else { panic!("no wait") };
                    let turns = |row: &StrategyDraft| match (row.mode, row.in_flight, row.workers) {
                        (_, Some(InFlight::Count(most)), _) | (_, _, Some(Workers::Count(most))) => {
                            tasks.div_ceil(most)
                        }
                        (Some(Mode::Process), ..) => 1,
                        _ => tasks.div_ceil(cores),
                    };
                    // A round that is timed, and one before.
                    seconds += 2.0 * wait.0 * draft.strategies.iter().map(turns).sum::<u64>() as f64;
                }
            }
            assert!(seconds < 30.0, "{cores} cores: {seconds} s");
        }
    }

    #[test]
    fn all_verdicts_come_out() {
        let (held, let_go) = ([1900, 8000], [60, 70]);
        assert_eq!(judged([5, 5, 5], 50, let_go).verdict, Verdict::DoesNotHold, "no more than a pool");
        let depends = judged([5, 100, 32], 50, let_go);
        assert_eq!(depends.verdict, Verdict::Depends);
        for part in ["at the same time, 2.00 MiB each", "turn (no more than 16 at once) do not", "ended do not: one more adds 3.41 KiB"] {
            assert!(depends.why.contains(part), "{}", depends.why);
        }
        let quick = judge(&samples([5, 100, 32], 50, let_go)[..MIN_ROUNDS]).unwrap();
        assert!(quick.verdict == Verdict::Depends && quick.why.contains("without --quick"), "{}", quick.why);
        let depends = judged([5, 100, 32], 50, held);
        assert_eq!(depends.verdict, Verdict::Depends, "ended ones hold, queued ones do not");
        assert!(depends.why.contains("those that have ended hold it too"), "{}", depends.why);
        assert_eq!(judged([5, 100, 100], 50, held).verdict, Verdict::Holds);
    }

    #[test]
    fn those_in_the_queue_hold_what_is_not_added_by_being_alive() {
        // All 50 alive have 100 MiB: 34 of them, of 2 MiB each, are 68 more than 32, if what waits has nothing.
        let queued = |limited| judged([5, 100, limited], 50, [60, 70]);
        for (limited, each) in [(32, "0 B"), (31, "-30.1 KiB"), (40, "241 KiB")] {
            let why = queued(limited).why;
            assert!(why.contains(&format!("at once) do not: one more adds {each}")), "{limited} MiB: {why}");
        }
        let why = queued(80).why;
        assert!(why.contains("at once) hold it too: one more adds 1.41 MiB"), "{why}");
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
        let mut once = all();
        once[2].rows[2].memory_alive = Some(49);
        assert!(of(&once).contains("not all were alive at once each time"));
        // Three times as much in every other run.
        let mut scattered = all();
        for run in scattered.iter_mut().take(5).step_by(2) {
            run.rows[3].peak_bytes = Some(100 << 20);
        }
        // That is nothing to decide by where those that have ended hold nothing.
        let judged = judge(&scattered).unwrap();
        assert_eq!(judged.verdict, Verdict::Depends);
        assert!(judged.why.contains("at once) may or may not, the runs do not tell"), "{}", judged.why);
        for run in scattered.iter_mut().skip(6).step_by(2) {
            run.rows[0].peak_bytes = Some(8000 << 20);
        }
        let why = of(&scattered);
        assert!(why.contains("one more in the queue") && why.contains("do not tell"), "{why}");
        let mut scattered = all();
        for run in scattered.iter_mut().skip(6).step_by(4) {
            run.rows[0].peak_bytes = Some(9000 << 20);
        }
        let judged = judge(&scattered).unwrap();
        assert!(judged.verdict == Verdict::Depends && judged.why.contains("ended may or may not"), "{}", judged.why);
        let mut unmeasured = all();
        unmeasured[0].rows[0].peak_bytes = None;
        assert_eq!(judge(&unmeasured).unwrap_err(), NOT_MEASURED);
        let mut untouched = all();
        let row = &mut untouched[1].rows[2];
        (row.alive_bytes, row.alive_missing) = (None, Some(PerAliveMissing::NotAllTouched));
        let why = of(&untouched);
        assert_eq!(why, "what each that is alive has cannot be told: not all had touched their memory when there was most");
        let mut other = all();
        other[0].rows[3].in_flight = Some(50);
        assert_eq!(judge(&other).unwrap_err(), "process:in-flight=16 has no task that waits for its turn");
        assert_eq!(judge(&[]).unwrap_err(), "not all of it was run");
    }
}
