//! One saved run against another: what is compared, what is refused, and the exit code that CI looks at.

mod common;

use common::{Finished, Sandbox, flowing};
use procbench::document::comparison::RunComparison;
use procbench::document::{Document, Warning};
use procbench::exit;
use procbench::stats::{self, Verdict};

/// A run with rounds of `times`, in a file of its own; what was measured is put in their place.
fn write(
    sandbox: &Sandbox,
    run: &Document,
    name: &str,
    times: &[&[f64]],
    change: impl FnOnce(&mut Document),
) {
    let mut run = run.clone();
    for (row, times) in run.strategies.iter_mut().zip(times) {
        let sample = row.rounds[0].clone();
        row.rounds.clear();
        for (number, time) in times.iter().enumerate() {
            let mut round = sample.clone();
            (round.round, round.report.total_seconds) = (number as u64 + 1, *time);
            row.rounds.push(round);
        }
        if let Some(summary) = &mut row.summary {
            summary.total_seconds = stats::summarise(times, 1).expect("a summary");
        }
    }
    change(&mut run);
    sandbox.write(name, serde_json::to_string(&run).expect("JSON"));
}

const STEADY: [f64; 7] = [1.00, 1.01, 0.99, 1.00, 1.02, 0.98, 1.00];

fn slower_by(factor: f64) -> Vec<f64> {
    STEADY.iter().map(|time| time * factor).collect()
}

struct Fixture {
    sandbox: Sandbox,
    run: Document,
}

impl Fixture {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let mut run = sandbox.measure("-n 5 --rounds 1 -m serial,pool --workload-name steady");
        // Whatever else runs meanwhile, such as other tests.
        let change = &mut run.environment.change;
        change.foreign_busy_cores = None;
        (change.foreign_busy_share, change.foreign_forks, change.steal_share) = (None, None, None);
        (change.throttling, change.swap_growth_bytes, change.memory_some_share) = (None, None, None);
        run.warnings.clear();
        write(&sandbox, &run, "old.json", &[&STEADY, &STEADY], |_| {});
        Self { sandbox, run }
    }

    fn with(&self, times: &[&[f64]], change: impl FnOnce(&mut Document)) {
        write(&self.sandbox, &self.run, "new.json", times, change);
    }

    fn compare(&self, more: &[&str]) -> Finished {
        self.sandbox.run(["compare", "old.json", "new.json"].iter().chain(more))
    }

    fn json(&self, more: &[&str]) -> RunComparison {
        let finished = self.compare(&[more, &["--json", "-"]].concat()).expect_code(0);
        serde_json::from_str(&finished.stdout).expect("JSON that is read back")
    }
}

#[test]
fn slower_faster_and_neither_are_told_apart() {
    let fixture = Fixture::new();
    fixture.with(&[&slower_by(1.3), &slower_by(0.7)], |_| {});
    let comparison = fixture.json(&[]);
    let [serial, pool] = comparison.strategies.as_slice() else { panic!("{comparison:?}") };
    assert_eq!((serial.verdict, pool.verdict), (Some(Verdict::Slower), Some(Verdict::Faster)));
    assert!((serial.ratio.expect("a ratio") - 1.3).abs() < 1e-9, "new over old: {serial:?}");
    assert!(serial.ci_low < serial.ratio && serial.ratio < serial.ci_high, "{serial:?}");
    assert_eq!((serial.old_seconds, serial.new_seconds), (Some(1.0), Some(1.3)));
    fixture.with(&[&STEADY, &slower_by(1.005)], |_| {});
    let same = fixture.json(&[]);
    assert!(same.strategies.iter().all(|row| row.verdict == Some(Verdict::NotDistinguished)), "{same:?}");
    let shown = fixture.compare(&[]).expect_code(0).stdout;
    assert!(shown.contains("not distinguished: serial, pool") && shown.contains("new / old"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
}

#[test]
fn a_picture_of_the_ratios_is_for_terminals_with_room_for_it() {
    let fixture = Fixture::new();
    fixture.with(&[&slower_by(1.3), &slower_by(0.7)], |_| {});
    let comparison = fixture.json(&[]);
    let drawn = |columns: Option<usize>| {
        let mut out = anstream::StripStream::new(Vec::new());
        procbench::report::comparison::write(&comparison, columns, &mut out).expect("memory to write to");
        String::from_utf8(out.into_inner()).expect("text")
    };
    assert!(!drawn(None).contains('┃') && !drawn(Some(80)).contains('┃'));
    let text = drawn(Some(130));
    assert!(text.lines().all(|line| line.chars().count() <= 130), "{text}");
    let place = |name: &str, mark: char| {
        let line = text.lines().find(|line| line.starts_with(name) && line.contains('┃')).expect("its line");
        line.chars().position(|found| found == mark).expect("the mark")
    };
    // Slower is to the right of 1, faster to the left.
    assert_eq!(place("serial", '│'), place("pool", '│'), "{text}");
    assert!(place("serial", '┃') > place("serial", '│') && place("pool", '┃') < place("pool", '│'), "{text}");
}

/// Each run calibrates its CPU work, so that a machine that has become faster gives its tasks more of it.
#[test]
fn more_work_is_no_slower_program() {
    let fixture = Fixture::new();
    let work = |units: u64| {
        move |run: &mut Document| {
            let rounds = run.strategies.iter_mut().flat_map(|row| &mut row.rounds);
            rounds.for_each(|round| round.report.work_units = units);
        }
    };
    write(&fixture.sandbox, &fixture.run, "old.json", &[&STEADY, &STEADY], work(1000));
    fixture.with(&[&slower_by(1.1), &slower_by(1.3)], work(1100));
    let comparison = fixture.json(&[]);
    let [serial, pool] = comparison.strategies.as_slice() else { panic!("{comparison:?}") };
    assert_eq!((serial.work_ratio, serial.verdict), (Some(1.1), Some(Verdict::NotDistinguished)));
    assert_eq!((pool.work_ratio, pool.verdict), (Some(1.1), Some(Verdict::Slower)));
    let failed = fixture.compare(&["--fail-if-slower", "5%"]).expect_code(exit::SLOWER);
    assert!(failed.stdout.contains("which is too much: pool."), "{failed:?}");
    assert!(failed.stderr.replace('\n', " ").contains("did 1.100 times the CPU work"), "{failed:?}");
}

#[test]
fn what_disturbed_either_run_is_told() {
    let fixture = Fixture::new();
    fixture.with(&[&STEADY, &STEADY], |run| run.environment.change.foreign_busy_share = Some(0.5));
    let told = fixture.compare(&[]).expect_code(0);
    let (answer, warnings) = (told.stdout.replace('\n', " "), told.stderr.replace('\n', " "));
    assert!(
        warnings.contains("new.json: other programs and the kernel used 50 % of all CPU time"),
        "{told:?}"
    );
    assert!(answer.contains("But the new run had a machine whose CPU time was not its alone"), "{answer}");
    assert!(answer.contains("which may hide a difference"), "{answer}");
    assert!(!answer.contains("the old run had"), "{answer}");
    fixture.with(&[&slower_by(2.0), &STEADY], |run| run.environment.change.foreign_busy_share = Some(0.5));
    let answer = fixture.compare(&[]).expect_code(0).stdout.replace('\n', " ");
    assert!(answer.contains("which may be all of the difference"), "{answer}");
}

#[test]
fn a_run_that_is_compared_with_itself_is_told_so() {
    let fixture = Fixture::new();
    fixture.with(&[&STEADY, &slower_by(1.1)], |_| {});
    let told = |new: &str| {
        let finished = fixture.sandbox.run(["compare", "old.json", new]).expect_code(0);
        flowing(&finished.stderr).contains("both files are of the same run")
    };
    assert_eq!((told("old.json"), told("new.json")), (true, false));
}

#[test]
fn what_speaks_against_the_rounds_of_either_run_is_told_with_its_file() {
    let runs = Fixture::new();
    runs.with(&[&slower_by(1.0), &slower_by(1.0)], |new| {
        for code in ["drift", "not_measured"] {
            new.warnings.push(Warning { code: code.into(), message: format!("it has a {code}") });
        }
    });
    let told = runs.json(&[]).warnings;
    let of_rounds: Vec<&str> = told
        .iter()
        .filter(|warning| warning.code == "drift")
        .map(|warning| warning.message.as_str())
        .collect();
    assert_eq!(of_rounds, ["new.json: it has a drift"]);
    assert!(
        told.iter().all(|warning| warning.code != "not_measured"),
        "that is no matter of times: {told:?}"
    );
}

#[test]
fn only_what_is_wholly_beyond_the_limit_fails() {
    let fixture = Fixture::new();
    fixture.with(&[&slower_by(1.2), &STEADY], |_| {});
    let failed = fixture.compare(&["--fail-if-slower", "5%"]).expect_code(exit::SLOWER);
    assert!(
        failed.stdout.contains("Slower by more than 5 %, which is too much: serial"),
        "{}",
        failed.stdout
    );
    fixture.compare(&["--fail-if-slower", "5%", "--markdown", "out.md"]).expect_code(exit::SLOWER);
    let markdown = std::fs::read_to_string(fixture.sandbox.path("out.md")).expect("the table");
    assert!(markdown.contains("| serial | 1.00 s | 1.20 s | 1.20 × |"), "{markdown}");
    fixture.compare(&["--fail-if-slower", "30%"]).expect_code(0);
    // The ratio is beyond, the interval is not.
    fixture.with(&[&slower_by(1.055), &STEADY], |_| {});
    fixture.compare(&["--fail-if-slower", "5%"]).expect_code(0);
    // Without being asked, no ratio is a failure.
    fixture.with(&[&slower_by(9.0), &STEADY], |_| {});
    fixture.compare(&[]).expect_code(0);
    fixture.compare(&["--fail-if-slower", "a lot"]).expect_code(2);
}

#[test]
fn who_passes_only_since_nobody_could_tell_is_named() {
    let fixture = Fixture::new();
    let said = |times: &[f64]| {
        fixture.with(&[&STEADY, times], |_| {});
        let finished = fixture.compare(&["--fail-if-slower", "5%"]).expect_code(0);
        flowing(&finished.stdout)
    };
    let wild = [1.00, 1.60, 0.70, 1.00, 1.50, 0.60, 1.10];
    let told = said(&wild);
    assert!(
        told.contains("Nothing is shown to be slower by more than 5 %. But these rounds do not rule it out"),
        "{told}"
    );
    assert!(told.contains("(pool: up to 1."), "serial is steady, and not named: {told}");
    let told = said(&STEADY);
    assert!(!told.contains("do not rule it out"), "{told}");
}

#[test]
fn four_rounds_have_no_verdict_and_neither_fail_nor_pass() {
    let fixture = Fixture::new();
    fixture.with(&[&slower_by(9.0)[..4], &STEADY], |_| {});
    let shown =
        fixture.compare(&["--fail-if-slower", "5%"]).expect_code(exit::FAILURE).stdout.replace('\n', " ");
    assert!(shown.contains("so this has not passed"), "{shown}");
    let row = fixture.json(&[]).strategies.remove(0);
    assert_eq!((row.verdict, row.ci_low, row.failed), (Some(Verdict::TooFewRounds), None, false));
    assert_eq!((row.old_rounds, row.new_rounds), (7, 4));
}

#[test]
fn a_strategy_that_only_one_run_has_is_named() {
    let fixture = Fixture::new();
    fixture.with(&[&STEADY, &STEADY], |run| {
        (run.strategies[1].name, run.strategies[1].settings.chunk) = ("pool:chunk=7".into(), Some(7));
    });
    let comparison = fixture.json(&[]);
    assert_eq!(comparison.only_in_old, ["pool"]);
    assert_eq!(comparison.only_in_new, ["pool:chunk=7"]);
    let shown = fixture.compare(&[]).expect_code(0).stdout;
    assert!(shown.contains("only in old") && shown.contains("only in new"), "{shown}");
    // What does the same in the same way may have another name, as in a command that says all of it.
    fixture.with(&[&STEADY, &slower_by(2.0)], |run| {
        run.strategies.iter_mut().for_each(|row| row.name.push('2'));
    });
    let comparison = fixture.json(&[]);
    let pairs: Vec<(&str, Option<Verdict>)> =
        comparison.strategies.iter().map(|row| (row.name.as_str(), row.verdict)).collect();
    assert_eq!(pairs, [("serial2", Some(Verdict::NotDistinguished)), ("pool2", Some(Verdict::Slower))]);
    assert!(comparison.only_in_old.is_empty() && comparison.only_in_new.is_empty(), "{comparison:?}");
    fixture.with(&[&STEADY, &STEADY], |run| {
        for row in &mut run.strategies {
            (row.name, row.settings.workers) = (format!("{}2", row.name), Some(9));
        }
    });
    let finished = fixture.compare(&[]).expect_code(2);
    assert!(finished.error().contains("no strategy in common"), "{finished:?}");
}

#[test]
fn what_cannot_be_compared_is_refused_unless_told_to() {
    let fixture = Fixture::new();
    type Change = fn(&mut Document);
    let cases: [(&str, &str, Change); 5] = [
        ("--different-workload", "tasks is 5 in the old run, 6 in the new", |run| {
            run.plan.workload.tasks = 6
        }),
        ("--different-workload", "seed is 1 in the old run, 2 in the new", |run| run.plan.workload.seed = 2),
        ("--different-machine", "cpu is", |run| run.environment.machine.cpu = Some("Z80".into())),
        ("--different-machine", "effective_cores is", |run| {
            run.environment.machine.effective_cores = Some(999)
        }),
        ("--different-engine", "procbench is", |run| run.tool.version = "0.0.1".into()),
    ];
    for (flag, why, change) in cases {
        fixture.with(&[&STEADY, &STEADY], change);
        let refused = fixture.compare(&[]).expect_code(2);
        let error = flowing(refused.error());
        assert!(error.contains(why) && error.contains(flag), "{why}, {flag}: {error}");
        assert_eq!(refused.stdout, "");
        let told = fixture.compare(&[flag]).expect_code(0);
        let said = flowing(&told.stderr);
        assert!(said.contains(why), "a difference that was allowed is a warning: {said}");
    }
}

#[test]
fn another_kernel_or_another_amount_of_work_is_a_warning() {
    let fixture = Fixture::new();
    fixture.with(&[&STEADY, &STEADY], |run| {
        run.environment.machine.kernel = Some("2.4.0".into());
        run.plan.name = Some("another title".into());
        for (row, units) in run.strategies.iter_mut().zip([100, 0]) {
            row.rounds.iter_mut().for_each(|round| round.report.work_units = units);
        }
    });
    let comparison = fixture.json(&[]);
    let codes: Vec<&str> = comparison.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!(codes, ["differs"], "neither has CPU work in the old run: {comparison:?}");
    assert!(comparison.warnings[0].message.contains("kernel is"), "{comparison:?}");
}

#[test]
fn a_run_with_failed_tasks_has_no_ratio_and_does_not_pass() {
    let fixture = Fixture::new();
    fixture.with(&[&STEADY, &STEADY], |run| run.strategies[0].rounds[0].report.tasks_failed = 1);
    let row = fixture.json(&[]).strategies.remove(0);
    assert_eq!((row.ratio, row.verdict), (None, None));
    fixture.compare(&["--fail-if-slower", "5%"]).expect_code(exit::FAILURE);
}

#[test]
fn what_is_read_is_not_written_over() {
    let fixture = Fixture::new();
    fixture.with(&[&STEADY, &STEADY], |_| {});
    std::os::unix::fs::symlink("old.json", fixture.sandbox.path("link.json")).expect("a link");
    let before = std::fs::read(fixture.sandbox.path("old.json")).expect("the old run");
    for file in ["old.json", "./new.json", "link.json"] {
        let refused = fixture.compare(&["--json", file]).expect_code(2);
        assert!(refused.error().contains("which is read: expected another file"), "{file}: {refused:?}");
        let words = ["report", "old.json", "new.json", "-o", file];
        assert!(fixture.sandbox.run(words).expect_code(2).error().contains("--output"), "{file}");
    }
    assert_eq!(std::fs::read(fixture.sandbox.path("old.json")).expect("the old run"), before);
}
