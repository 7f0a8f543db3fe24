//! Whether advice is good: for each workload of `bench-configs/`, scaled down so that a round takes
//! some tens of milliseconds, `procbench advise` chooses; then everybody of a grid that knows nothing of the search is run, and
//! whom the search looked at besides, also those that it gave up; and those who were faster there than the choice are run
//! against it once more, in fresh rounds.
//!
//! Only the last rounds judge: the best of many is the luckiest among those that are as good, so whoever looks for a better one
//! and believes the same rounds will find one. A choice is a miss if it is shown to be slower than another by more than 5 %,
//! that is, if a whole interval lies beyond; and shown to be good if all intervals lie below. Intervals are as wide as it takes
//! for all comparisons of a case to hold together in 95 % of cases.
//!
//! `cargo bench --bench advise -- [time-limit=20s] [stretch=4min] [again] [NAME…]`: what was judged is kept in `target/`, so
//! that a run that is over after `stretch` goes on where it stopped; `again` begins anew.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use procbench::document::{Document, StrategyResult};
use procbench::stats::{MedianRanks, compare_with};
use procbench::study::advise::document::Advice;
use serde::{Deserialize, Serialize};

/// How long each search may take, unless said otherwise.
const TIME_LIMIT: &str = "20s";
/// Rounds of everybody, and what those of one may take together: who is slow has fewer, but at least one.
const ALL: [&str; 4] = ["--rounds", "8", "--time-budget", "250ms"];
/// Rounds of those who are judged.
const JUDGED: [&str; 4] = ["--rounds", "40", "--time-budget", "4s"];
/// So many of those who were faster are run against the choice.
const MOST_RIVALS: usize = 4;
/// A choice is good that is slower than the best by at most this part.
const NEAR: f64 = 0.05;
/// In so many cases it should be.
const TARGET: f64 = 0.95;
/// How often a case may be judged wrongly.
const ERROR: f64 = 0.05;

/// Numbers of workers and chunks of which each combination is run; the empty one is the default.
const WORKERS: [&str; 7] =
    ["", ":workers=1", ":workers=3", ":workers=4", ":workers=8", ":workers=16", ":workers=64"];
const CHUNKS: [&str; 4] = ["", ":chunk=1", ":chunk=8", ":chunk=python"];

/// Who is run in any case, as far as a workload can be run so: all that somebody would try who knows nothing.
fn grid() -> Vec<String> {
    let mut all = vec!["serial".to_owned()];
    all.extend(combined(&["threads", "pool"], &[&WORKERS, &CHUNKS]));
    all.extend(combined(&["pool:transport=pipe"], &[&["", ":workers=4"], &["", ":chunk=1"]]));
    all.extend(combined(&["process"], &[&["", ":in-flight=2", ":in-flight=8", ":in-flight=32"]]));
    all
}

/// Who is run besides where a spec asks for Python.
fn python_grid() -> Vec<String> {
    const STARTS: [&str; 3] = [":start=fork", ":start=forkserver", ":start=spawn"];
    const APIS: [&str; 4] = [":api=imap", ":api=imap_unordered", ":api=apply_async", ":api=executor"];
    let mut all = vec!["py-serial".to_owned()];
    all.extend(combined(&["py-threads"], &[&["", ":workers=4"]]));
    all.extend(combined(
        &["py-pool:start=fork"],
        &[&["", ":workers=1", ":workers=4", ":workers=8"], &["", ":chunk=1", ":chunk=8"]],
    ));
    all.extend(combined(&["py-pool:start=fork"], &[&APIS]));
    all.extend(combined(&["py-pool"], &[&STARTS[1..]]));
    all.extend(combined(&["py-process"], &[&STARTS]));
    all
}

/// Each of `modes` with one of each list.
fn combined(modes: &[&str], lists: &[&[&str]]) -> Vec<String> {
    let mut all: Vec<String> = modes.iter().map(ToString::to_string).collect();
    for list in lists {
        all = all.iter().flat_map(|row| list.iter().map(move |more| format!("{row}{more}"))).collect();
    }
    all
}

/// Specs, with what makes them smaller.
const WORKLOADS: [(&str, &str); 27] = [
    ("big-parent", "--tasks 200 --parent-memory 64MiB"),
    ("bystander", "--tasks 500"),
    ("cpu-bound", "--tasks 2000"),
    ("disturbance", "--tasks 20000"),
    ("echo-client", "--tasks 64 --io-wait 5ms"),
    ("expensive-start", "--tasks 200"),
    ("few-expressions", ""),
    ("fifo", "--tasks 60 --io-wait 5ms"),
    ("finished-tasks", "--tasks 1000"),
    ("fsync", "--tasks 50"),
    ("gil", "--tasks 50"),
    ("heavy-tail", "--tasks 50"),
    ("io-bound", "--tasks 32 --io-wait 10ms"),
    ("line-worker", "--tasks 200"),
    ("memory", "--tasks 32 --io-wait 10ms"),
    ("million-expressions", "--tasks 5000"),
    ("ordered", "--tasks 1000"),
    ("python-cpu-bound", "--tasks 50"),
    ("python-ordered", "--tasks 500"),
    ("python-start-methods", ""),
    ("recorded-durations", "--tasks 50"),
    ("shared-image", "--tasks 20 --shared 4MiB"),
    ("ship-arguments", "--tasks 300"),
    ("start-methods", "--tasks 200"),
    ("two-files", ""),
    ("wide-expressions", "--tasks 200"),
    ("xargs", "--tasks 60"),
];

fn main() {
    let asked = Asked::read();
    let file = asked.file();
    let known = || -> Vec<Case> {
        let text = fs::read_to_string(&file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a case")).collect()
    };
    if asked.again {
        let _ = fs::remove_file(&file);
    }
    let started = Instant::now();
    for (name, smaller) in WORKLOADS.iter().filter(|(name, _)| asked.wants(name)) {
        if known().iter().any(|case| case.name == *name) {
            continue;
        }
        if started.elapsed() >= asked.stretch {
            println!("the stretch is over before {name}: start it again to go on");
            break;
        }
        let case = case(name, smaller, &asked.time_limit);
        let mut kept = OpenOptions::new().append(true).create(true).open(&file).expect("a file in target/");
        writeln!(kept, "{}", serde_json::to_string(&case).expect("a case")).expect("room for it");
    }
    show(&asked, &known());
}

/// What was typed.
struct Asked {
    time_limit: String,
    stretch: Duration,
    again: bool,
    names: BTreeSet<String>,
}

impl Asked {
    fn read() -> Self {
        let stretch = Duration::from_secs(24 * 3600);
        let mut asked = Self { time_limit: TIME_LIMIT.into(), stretch, again: false, names: BTreeSet::new() };
        for word in std::env::args().skip(1).filter(|word| !word.starts_with("--")) {
            match word.split_once('=') {
                Some(("time-limit", limit)) => asked.time_limit = limit.into(),
                Some(("stretch", length)) => {
                    asked.stretch = humantime::parse_duration(length).expect("a duration");
                }
                Some((other, _)) => panic!("{other}: expected time-limit or stretch"),
                None if word == "again" => asked.again = true,
                None => {
                    asked.names.insert(word);
                }
            }
        }
        asked
    }

    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.contains(name)
    }

    fn file(&self) -> PathBuf {
        let name = format!("advise-bench-{}.jsonl", self.time_limit);
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
    }
}

/// What a choice was worth.
#[derive(Debug, Serialize, Deserialize)]
struct Case {
    name: String,
    /// Why there is no answer, if there is none.
    no_answer: Option<String>,
    choice: String,
    /// How many of the grid can be run, with whom the search looked at besides.
    #[serde(default)]
    run: usize,
    looked_at: usize,
    search_seconds: f64,
    /// Those who were faster than the choice when everybody was run, by fresh rounds.
    rivals: Vec<Rival>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Rival {
    name: String,
    rounds: usize,
    /// The choice's time / the rival's, within rounds.
    ratio: f64,
    interval: Option<(f64, f64)>,
}

/// What may be said of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Miss,
    Open,
}

impl Case {
    /// The rival against whom the choice does worst.
    fn worst(&self) -> Option<&Rival> {
        self.rivals.iter().max_by(|a, b| a.ratio.total_cmp(&b.ratio))
    }

    /// Whether it is within 5 % of all, by the medians.
    fn is_near(&self) -> bool {
        self.no_answer.is_none() && self.worst().is_none_or(|rival| rival.ratio <= 1.0 + NEAR)
    }

    fn verdict(&self) -> Verdict {
        let beyond = |rival: &Rival| rival.interval.is_some_and(|(low, _)| low > 1.0 + NEAR);
        let within = |rival: &Rival| rival.interval.is_some_and(|(_, high)| high <= 1.0 + NEAR);
        if self.no_answer.is_some() || self.rivals.iter().any(beyond) {
            Verdict::Miss
        } else if self.rivals.iter().all(within) {
            Verdict::Good
        } else {
            Verdict::Open
        }
    }
}

fn case(name: &str, smaller: &str, time_limit: &str) -> Case {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let export = |file: &str| folder.path().join(file).to_string_lossy().into_owned();
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench-configs").join(format!("{name}.toml"));
    let mut workload = vec!["--config".to_owned(), spec.to_string_lossy().into_owned()];
    workload.extend(smaller.split_whitespace().map(str::to_owned));
    let mut case = Case {
        name: name.into(),
        no_answer: None,
        choice: String::new(),
        run: 0,
        looked_at: 0,
        search_seconds: 0.0,
        rivals: Vec::new(),
    };

    let file = export("advice.json");
    if let Err(wrong) = run(&["advise", "--time-limit", time_limit, "--json", &file], &workload) {
        case.no_answer = Some(wrong);
        return case;
    }
    let advice: Advice = read(&file);
    case.choice = advice.standing.expect("an answer").best;
    case.search_seconds = advice.elapsed_seconds;
    let mut rows: BTreeSet<&str> =
        advice.candidates.iter().map(|candidate| candidate.strategy.as_str()).collect();
    case.looked_at = rows.len();
    // Whoever asks about Python alone is not told to use something else, nor is the answer judged by that.
    let of_python = |row: &&str| row.starts_with("py-");
    let (has_python, has_others) = (rows.iter().any(of_python), rows.iter().any(|row| !of_python(row)));
    let others = grid().into_iter().filter(|_| has_others);
    let grid: Vec<String> = others.chain(python_grid().into_iter().filter(|_| has_python)).collect();
    rows.extend(
        grid.iter()
            .map(String::as_str)
            .filter(|row| run(&["--dry-run", "--mode", row, "--baseline", row], &workload).is_ok()),
    );
    case.run = rows.len();

    let rows = rows.into_iter().collect::<Vec<_>>().join(",");
    let all = rounds_of(&rows, &case.choice, &ALL, &workload, &export("all.json"));
    let choice = median(row(&all, &case.choice));
    let mut faster: Vec<&StrategyResult> = all.strategies.iter().filter(|row| median(row) < choice).collect();
    faster.sort_by(|a, b| median(a).total_cmp(&median(b)));
    faster.truncate(MOST_RIVALS);
    if faster.is_empty() {
        return case;
    }
    let names: Vec<&str> = faster.iter().map(|row| row.name.as_str()).chain([case.choice.as_str()]).collect();
    let judged = rounds_of(&names.join(","), &case.choice, &JUDGED, &workload, &export("judged.json"));
    let ours = row(&judged, &case.choice);
    let confidence = 1.0 - ERROR / faster.len() as f64;
    let rival = |other: &&StrategyResult| {
        let pairs = ours.paired_with(row(&judged, &other.name));
        let ranks = MedianRanks::resample_at(confidence, pairs.len(), 1);
        let comparison = compare_with(&pairs, 0.0, ranks).expect("rounds in common");
        let interval = comparison.interval.map(|interval| (interval.low, interval.high));
        Rival { name: other.name.clone(), rounds: pairs.len(), ratio: comparison.ratio, interval }
    };
    case.rivals = faster.iter().map(rival).collect();
    case
}

fn rounds_of(rows: &str, baseline: &str, how_many: &[&str], workload: &[String], file: &str) -> Document {
    let words = [&["--mode", rows, "--baseline", baseline, "--json", file], how_many].concat();
    run(&words, workload).expect("everybody can be run");
    read(file)
}

fn row<'a>(document: &'a Document, name: &str) -> &'a StrategyResult {
    document.strategies.iter().find(|row| row.name == name).expect("it was run")
}

fn median(row: &StrategyResult) -> f64 {
    row.summary.as_ref().map_or(f64::INFINITY, |summary| summary.total_seconds.median)
}

fn show(asked: &Asked, cases: &[Case]) {
    println!("advise with --time-limit {}\n", asked.time_limit);
    println!(
        "{:<20} {:<32} {:>3} {:>3} {:>6}  {:<32} {:>6} {:>15} {:>6}  verdict",
        "workload", "choice", "of", "run", "search", "toughest rival", "slower", "interval", "rounds"
    );
    for case in cases {
        let percent = |ratio: f64| (ratio - 1.0) * 100.0;
        let verdict = match case.verdict() {
            Verdict::Good => "good",
            Verdict::Miss => "miss",
            Verdict::Open if case.is_near() => "good, by medians",
            Verdict::Open => "not good, by medians",
        };
        let (rival, slower, interval, rounds) = match case.worst() {
            None => ("nobody was faster", String::new(), String::new(), String::new()),
            Some(rival) => {
                let interval = rival.interval.map_or_else(String::new, |(low, high)| {
                    format!("{:.1} … {:.1}%", percent(low), percent(high))
                });
                let slower = format!("{:.1}%", percent(rival.ratio));
                (rival.name.as_str(), slower, interval, rival.rounds.to_string())
            }
        };
        let choice = case.no_answer.as_deref().unwrap_or(&case.choice);
        println!(
            "{:<20} {choice:<32} {:>3} {:>3} {:>5.1}s  {rival:<32} {slower:>6} {interval:>15} {rounds:>6}  {verdict}",
            case.name, case.looked_at, case.run, case.search_seconds
        );
    }
    let count = |verdict: Verdict| cases.iter().filter(|case| case.verdict() == verdict).count();
    let near = cases.iter().filter(|case| case.is_near()).count();
    let share = near as f64 / cases.len().max(1) as f64;
    println!(
        "\nin {near} of {} the choice is the best or within {:.0} % of it, by medians: {:.0} %, target {:.0} %{}",
        cases.len(),
        NEAR * 100.0,
        share * 100.0,
        TARGET * 100.0,
        if share < TARGET { ", missed" } else { "" }
    );
    println!(
        "shown to be within {0:.0} %: {1} · shown to be beyond {0:.0} %, or no answer: {2} · the intervals do not tell: {3}",
        NEAR * 100.0,
        count(Verdict::Good),
        count(Verdict::Miss),
        count(Verdict::Open)
    );
}

fn run(words: &[&str], workload: &[String]) -> Result<(), String> {
    let output = Command::new(env!("CARGO_BIN_EXE_procbench"))
        .args(words)
        .args(workload)
        .arg("--quiet")
        // What Cargo sets for its own sake: folders in which every exec of a program would look for its libraries first.
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .expect("procbench starts");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()),
    }
}

fn read<T: serde::de::DeserializeOwned>(file: &str) -> T {
    serde_json::from_str(&fs::read_to_string(file).expect("an export")).expect("what procbench writes")
}
