//! What is shown: tables that fit, numbers that are in the export, and nothing where nothing is wanted.

mod common;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::time::Duration;

use common::{Finished, Sandbox, digest, flowing, parse, rounds, row, skip, terminal};
use procbench::document::{Document, StrategyResult};
use procbench::plan::draft::Draft;
use procbench::plan::{Machine, Plan};
use procbench::report::grid::{Cell, Grid};
use procbench::report::numbers::{bytes, count, factor, metric, percent, seconds, times};
use procbench::report::{articles, sentence, tables};
use procbench::stats::Histogram;

const ESCAPE: char = '\x1b';

#[track_caller]
fn assert_fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line:?} in\n{text}", line.chars().count());
    }
}

/// A number as it is printed stands in `line`, apart from other numbers.
fn stands_in(line: &str, printed: &str) -> bool {
    let apart =
        |character: Option<char>| character.is_none_or(|found| !found.is_ascii_digit() && found != '.');
    line.match_indices(printed).any(|(at, _)| {
        apart(line[..at].chars().next_back()) && apart(line[at + printed.len()..].chars().next())
    })
}

/// What the two tables must show of `row`, worked out from its raw rounds and the export alone.
fn cells(document: &Document, row: &StrategyResult) -> (Vec<String>, Vec<String>) {
    let median = |value: &dyn Fn(&procbench::document::Round) -> f64| {
        let mut values: Vec<f64> = row.rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        (low + high) / 2.0
    };
    let total = median(&|round| round.report.total_seconds);
    let summary = row.summary.as_ref().expect("a summary");
    let mut timing = vec![
        seconds(total),
        percent(median(&|round| round.report.set_up_seconds) / total),
        metric(document.plan.workload.tasks as f64 / total),
        seconds(median(&|round| round.report.cpu_seconds())),
    ];
    if row.name != document.plan.run.baseline {
        timing.push(times(summary.speedup_over_baseline.expect("a speed-up").ratio));
    }
    let memory = row.memory.as_ref().expect("memory");
    let sizes = [
        memory.reading.peak_bytes,
        memory.reading.user_bytes,
        memory.reading.kernel_bytes,
        memory.per_task_alive_bytes,
    ];
    let mut of_memory = vec![count(memory.peak_alive), memory.method.name().to_owned()];
    of_memory.extend(sizes.into_iter().flatten().map(bytes));
    (timing, of_memory)
}

#[test]
fn every_number_in_the_tables_is_in_the_export() {
    let (document, finished) = Sandbox::new().report("-n 200 --io-wait 100us --rounds 6");
    let tables: Vec<&str> = finished.stdout.split("\n\n").collect();
    let (timing, memory) = (tables[1], tables[2]);
    for row in &document.strategies {
        let line_of = |table: &'static str, text: &str| {
            let line = text.lines().find(|line| line.split_whitespace().next() == Some(&row.name));
            line.unwrap_or_else(|| panic!("no {} in the {table} table:\n{text}", row.name)).to_owned()
        };
        let (times, sizes) = cells(&document, row);
        let interval =
            row.summary.as_ref().and_then(|summary| summary.total_seconds.interval).expect("six rounds");
        let timing = line_of("timing", timing);
        assert!(times.iter().all(|cell| stands_in(&timing, cell)), "{times:?} in {timing:?}");
        for end in [interval.low, interval.high] {
            let number = seconds(end).split(' ').next().expect("a number").to_owned();
            assert!(stands_in(&timing, &number), "{number} in {timing:?}");
        }
        let memory = line_of("memory", memory);
        assert!(sizes.iter().all(|cell| stands_in(&memory, cell)), "{sizes:?} in {memory:?}");
    }
    // And the other way round: the export alone gives all that was printed, to the letter.
    let mut again = anstream::StripStream::new(Vec::new());
    procbench::report::write(&document, &mut again).expect("memory to write to");
    assert_eq!(String::from_utf8(again.into_inner()).expect("text"), finished.stdout);
}

/// The percentile `q` of what an export says was seen, if it is of as many times as it should be.
fn percentile_of(seen: Option<&Histogram>, count: u64, q: f64) -> f64 {
    let seen = seen.expect("what the percentiles are of");
    assert_eq!(seen.count.iter().sum::<u64>(), count, "each time once");
    assert_eq!(seen.count.len(), seen.up_to_seconds.len());
    assert!(seen.up_to_seconds.is_sorted());
    let mut counted = 0;
    let mut ranges = seen.up_to_seconds.iter().zip(&seen.count);
    let found = ranges.find(|(_, times)| {
        counted += *times;
        counted as f64 >= q * count as f64
    });
    *found.expect("a percentile").0
}

#[test]
fn every_percentile_follows_from_what_the_export_says_was_seen() {
    let document = Sandbox::new()
        .measure("-n 3000 --cpu 20us --io-wait 100us --rounds 3 -m threads:workers=4,process:in-flight=4");
    let mut checked = 0;
    let mut check = |seen: Option<&Histogram>, count: u64, q: f64, told: Option<f64>| {
        let Some(told) = told else { return };
        assert_eq!(percentile_of(seen, count, q), told, "the percentile {q} of {count}");
        checked += 1;
    };
    for row in &document.strategies {
        let latency = row.latency.as_ref().expect("tasks are stamped");
        let both = [
            (&latency.wait, latency.wait_histogram.as_ref()),
            (&latency.service, latency.service_histogram.as_ref()),
        ];
        for (told, seen) in both {
            check(seen, told.count, 0.5, told.p50_seconds);
            check(seen, told.count, 0.9, told.p90_seconds);
            check(seen, told.count, 0.99, told.p99_seconds);
            check(seen, told.count, 1.0, Some(told.max_seconds));
        }
        let late = row.disturbance.expect("a bystander stood by");
        check(row.disturbance_histogram.as_ref(), late.count, 0.5, late.p50_seconds);
        check(row.disturbance_histogram.as_ref(), late.count, 0.99, late.p99_seconds);
    }
    let idle = document.environment.idle_disturbance;
    check(document.environment.idle_disturbance_histogram.as_ref(), idle.count, 0.5, idle.p50_seconds);
    check(document.environment.idle_disturbance_histogram.as_ref(), idle.count, 1.0, idle.max_seconds);
    assert!(checked >= 16, "wait and service of two rows: {checked}");
}

#[test]
fn tables_fit_into_eighty_columns() {
    let sandbox = Sandbox::new();
    for arguments in [
        "-n 30 --rounds 5",
        "-n 30 --rounds 2 --cpu 5us --io-wait 10us --arg-size 10 --result-size 10 --memory 4KiB --init 1us",
        "-n 30 --rounds 1 -m pool:workers=2:chunk=16:transport=shared-memory:start=fork,process:in-flight=30,serial",
        "-n 30 --rounds 1 --workload-name a-name-without-blanks --workload file",
    ] {
        let (_, finished) = sandbox.report(arguments);
        assert_fits(&finished.stdout);
        assert_fits(&finished.stderr);
        let finished = sandbox.run(arguments.split(' ').chain(["--dry-run"])).expect_code(0);
        assert_fits(&finished.stdout);
    }
}

#[test]
fn a_speed_up_has_its_interval_beside_it_where_that_fits() {
    let document = Sandbox::new().measure("-n 30 --rounds 6 -m serial,threads,process");
    let whole = tables::timing(&document);
    let all_of = |grid: &Grid| grid.rows.iter().flatten().map(|cell| cell.text.clone()).collect::<Vec<_>>();
    let mut seen = 0;
    for row in document.strategies.iter().filter(|row| row.name != document.plan.run.baseline) {
        let speed_up = row.summary.as_ref().and_then(|summary| summary.speedup_over_baseline);
        let speed_up = speed_up.expect("a speed-up");
        let (low, high) = (speed_up.ci_low.expect("six rounds"), speed_up.ci_high.expect("six rounds"));
        let told = format!("{} ({} … {})", times(speed_up.ratio), factor(low), factor(high));
        let fits = tables::timing_within(&document, whole.width());
        assert!(all_of(&fits).iter().any(|cell| cell.starts_with(&told)), "{told} in {fits:?}");
        let narrow = tables::timing_within(&document, whole.width() - 1);
        assert!(narrow.width() < whole.width(), "{narrow:?}");
        let alone = times(speed_up.ratio);
        let is_alone = |cell: &String| cell.strip_suffix(" =").unwrap_or(cell) == alone;
        assert!(all_of(&narrow).iter().any(is_alone), "{alone} in {narrow:?}");
        seen += 1;
    }
    assert_eq!(seen, 2);
    // Names give way before intervals do: they go on below themselves.
    let mut long = document;
    for row in &mut long.strategies {
        row.name += ":workers=2:start=fork";
    }
    long.plan.run.baseline += ":workers=2:start=fork";
    let whole = tables::timing(&long);
    let (narrow, narrower) = (whole.width() - 15, whole.width() - 22);
    assert_eq!(tables::timing_within(&long, narrow).header, whole.header);
    assert_eq!(tables::left_out(&long, &whole), None);
    let without = tables::timing_within(&long, narrower);
    assert!(without.header != whole.header && tables::left_out(&long, &without).is_some(), "{without:?}");
}

#[test]
fn a_name_that_does_not_fit_goes_on_below_itself_setting_by_setting() {
    const NAME: &str = "pool:workers=2:chunk=16:transport=shared-memory:start=fork";
    // Of 80 columns, two between this one and the next.
    for (name, others, expected) in [
        (NAME, 18, vec![NAME]),
        (NAME, 40, vec!["pool:workers=2:chunk=16", ":transport=shared-memory:start=fork"]),
        (NAME, 60, vec!["pool:workers=2", ":chunk=16", ":transport=", "shared-memory", ":start=fork"]),
        ("xargs-process", 66, vec!["xargs-", "process"]),
    ] {
        let mut grid = Grid::new(&["strategy", "figures"]);
        grid.rows.push(vec![Cell::new(name), Cell::new("x".repeat(others))]);
        let shown = anstream::adapter::strip_str(&grid.for_terminal()).to_string();
        let lines = shown.lines().skip(1).map(|line| line.trim_end_matches('x').trim_end());
        assert_eq!(lines.collect::<Vec<_>>(), expected, "beside {others}:\n{shown}");
        assert_fits(&shown);
    }
}

#[test]
fn colour_is_for_terminals_and_for_those_who_insist() {
    let sandbox = Sandbox::new();
    let run = |variables: &[(&str, &str)]| {
        let mut command = sandbox.command("-n 20 --rounds 1 -m serial,pool".split(' '));
        command.envs(variables.iter().copied());
        let Finished { stdout, stderr, .. } = sandbox.run_command(command).expect_code(0);
        (stdout.contains(ESCAPE), stderr.contains(ESCAPE))
    };
    assert_eq!(run(&[]), (false, false), "these are pipes");
    assert_eq!(run(&[("CLICOLOR_FORCE", "1")]), (true, true));
    assert_eq!(run(&[("NO_COLOR", "1")]), (false, false));
    assert_eq!(run(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "0")]), (false, false));
    let mut command = sandbox.command(["-n0"]);
    command.env("CLICOLOR_FORCE", "1");
    let finished = sandbox.run_command(command).expect_code(2);
    assert!(finished.stderr.contains(ESCAPE) && finished.stderr.contains("tasks is 0"), "{finished:?}");
}

#[test]
fn the_result_is_given_in_the_articles_words_and_in_one_sentence() {
    let (document, finished) = Sandbox::new().report("-n 200 --rounds 8");
    let median = |name: &str| {
        let summary = row(&document, name).summary.as_ref().expect("a summary");
        seconds(summary.total_seconds.median)
    };
    let flowing = flowing(&finished.stdout);
    for part in [
        format!("Without using the pool: {}", median("serial")),
        format!("Threads: {}", median("threads")),
        format!("Using pool: {}", median("pool")),
        format!("Process: {}", median("process")),
        sentence::verdict(&document),
    ] {
        assert!(flowing.contains(&part), "no {part:?} in\n{}", finished.stdout);
    }
    assert_eq!(articles::line(&document).matches(articles::SEPARATOR).count(), 3);
    assert!(sentence::verdict(&document).contains("Use "), "{}", sentence::verdict(&document));
}

#[test]
fn the_sentence_is_the_same_of_what_older_versions_saved_and_careful_of_what_was_cut_short() {
    let path = format!("{}/results/2026-11-29-linux-intel-xeon/cpu-bound.json", env!("CARGO_MANIFEST_DIR"));
    let mut document = Document::read(std::path::Path::new(&path)).expect("a recorded run");
    let told = sentence::verdict(&document);
    assert!(told.starts_with("Use ") && told.contains(" interval "), "{told}");
    // They did not write it down.
    document.standing = None;
    assert_eq!(sentence::verdict(&document), told);
    for row in document.strategies.iter_mut().skip(1) {
        row.rounds.clear();
        row.summary = None;
    }
    let told = sentence::verdict(&document);
    assert!(told.starts_with("serial took") && told.contains("no other has a round"), "{told}");
}

#[test]
fn too_few_rounds_are_no_verdict() {
    let (document, finished) = Sandbox::new().report("-n 20 --rounds 2 -m serial,pool");
    assert!(finished.stdout.contains("* too few rounds for an interval or a verdict"), "{}", finished.stdout);
    let flowing = flowing(&finished.stdout);
    assert!(flowing.contains("too few rounds for a verdict (--rounds 5 or more)"), "{}", finished.stdout);
    assert!(finished.stderr.contains("too few rounds for a verdict: 2"), "{}", finished.stderr);
    assert!(document.warnings.iter().any(|warning| warning.code == "too_few_rounds"));
    for row in &document.strategies {
        let summary = row.summary.as_ref().expect("a summary");
        assert_eq!(summary.total_seconds.interval, None, "an interval that cannot be had is null");
    }
    let (document, finished) = Sandbox::new().report("-n 20 --rounds 5 -m serial,pool");
    assert!(
        !finished.stdout.contains("too few rounds") && !finished.stderr.contains("rounds are too few"),
        "{finished:?}"
    );
    assert!(document.warnings.iter().all(|warning| warning.code != "too_few_rounds"));
}

#[test]
fn json_to_standard_output_is_all_that_is_there() {
    let finished = Sandbox::new().run("-n 20 --rounds 2 --json -".split(' ')).expect_code(0);
    let document = parse(&finished.stdout);
    assert_eq!(rounds(&document).count(), 8);
    assert!(finished.stderr.contains("warning:"), "warnings go to standard error: {finished:?}");
}

#[test]
fn an_export_says_which_tool_made_it_and_where() {
    let document = Sandbox::new().measure("-n 5 --rounds 1 -m serial --workload-name five");
    assert_eq!(document.schema_version, procbench::document::SCHEMA_VERSION);
    assert_eq!(document.tool.name, "procbench");
    assert_eq!(document.tool.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(document.plan.name.as_deref(), Some("five"));
    assert!(document.environment.machine.effective_cores.is_some_and(|cores| cores >= 1));
    assert!(document.environment.units_per_second > 0.0);
    assert!(humantime::parse_rfc3339(&document.started_at).is_ok(), "{}", document.started_at);
}

#[test]
fn an_export_fed_back_gives_the_same_plan() {
    let sandbox = Sandbox::new();
    for arguments in [
        "-n 12 --rounds 2 --cpu 333ns --io-wait 7us --spread lognormal:0.3 --seed 18446744073709551615",
        "-n 12 --rounds 1 --warmup 2 -m pool:workers=2:chunk=python,pool:workers=0.5x,pool,pool --baseline pool#2",
        "-n 12 --time-budget 1ms --workload file -m serial,process:in-flight=5 --workload-name files",
        "-n 12 --rounds 1 --arg-size 33 --result-size 1KiB --memory 5000 --parent-memory 1MiB --init 1us",
        #[cfg(feature = "excel")]
        "-n 6 --rounds 1 --workload expression --expression-args 7 -m serial,threads:chunk=2",
    ] {
        let first = sandbox.measure(arguments);
        fs::rename(sandbox.path("measured.json"), sandbox.path("first.json")).expect("the export");
        let again = sandbox.measure("--config first.json");
        assert_eq!(again.plan, first.plan, "{arguments}");
        assert_eq!(digest(&again), digest(&first), "{arguments}");
        let changed = sandbox.measure("--config first.json --tasks 9");
        assert_eq!(changed.plan.workload.tasks, 9, "a flag overrides the file's value");
        assert_eq!(changed.plan.strategies.len(), first.plan.strategies.len());
    }
}

#[test]
fn durations_of_any_length_survive_the_export() {
    let machine = Machine {
        effective_cores: 2,
        limits: procbench::measure::limits::Limits::default(),
        parked_process_bytes: 1 << 17,
        python: None,
        tools: Vec::new(),
    };
    for nanoseconds in (1..2_000_000_u64).step_by(1_237) {
        let mut draft = Draft::default();
        draft.workload.tasks = Some("10".parse().expect("a count"));
        draft.workload.cpu = Some(format!("{nanoseconds}ns").parse().expect("a duration"));
        let plan = draft.resolve(&machine).expect("a plan");
        let text = serde_json::to_string(&plan).expect("JSON");
        let read: Plan = serde_json::from_str(&text).expect("a plan");
        assert_eq!(read.into_draft().resolve(&machine).expect("a plan"), plan);
    }
}

#[test]
fn an_export_takes_the_place_of_the_one_before() {
    let sandbox = Sandbox::new();
    let run = |tasks: &str| {
        sandbox.run(["-n", tasks, "--rounds", "1", "-m", "serial", "--json", "out.json"]).expect_code(0);
        parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export")).plan.workload.tasks
    };
    sandbox.write("out.json", "a longer text than any export has ".repeat(1000));
    assert_eq!(run("5"), 5);
    assert_eq!(run("6"), 6);
    assert_eq!(sandbox.listing().len(), 1, "nothing beside the export: {:?}", sandbox.listing());
}

#[test]
fn an_export_is_read_by_nobody_who_could_not_read_the_one_before() {
    let sandbox = Sandbox::new();
    sandbox.write("out.json", "secret");
    let path = sandbox.path("out.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the test's own");
    sandbox.run("-n 5 --rounds 1 -m serial --json out.json".split(' ')).expect_code(0);
    assert_eq!(fs::metadata(&path).expect("the export").permissions().mode() & 0o777, 0o600);
    let finished = sandbox.run("-n 5 -m serial --json folder/".split(' ')).expect_code(2);
    assert!(finished.stderr.contains("folder/"), "{finished:?}");
    assert_eq!(sandbox.listing().len(), 1, "{:?}", sandbox.listing());
}

#[test]
fn a_pipe_is_written_to_as_an_export_and_stays_a_pipe() {
    let sandbox = Sandbox::new();
    let pipe = sandbox.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a named pipe");
    let (send, receive) = std::sync::mpsc::channel();
    let source = pipe.clone();
    std::thread::spawn(move || send.send(fs::read_to_string(source)));
    sandbox.run("-n 5 --rounds 1 -m serial --json pipe".split(' ')).expect_code(0);
    let text = receive.recv_timeout(Duration::from_secs(60)).expect("what was written");
    parse(&text.expect("text"));
    assert!(fs::metadata(&pipe).expect("the pipe").file_type().is_fifo());
}

#[test]
fn a_dry_run_shows_the_plan_and_runs_nothing() {
    let sandbox = Sandbox::new();
    // Would take an hour for each of its tasks.
    let arguments = "-n 1000000 --io-wait 1h --json out.json --rounds 7 --seed 42 --dry-run \
                     -m serial,threads:workers=3,pool:workers=5:chunk=7,process:in-flight=11";
    let finished = sandbox.run(arguments.split_whitespace()).expect_code(0);
    for part in [
        "1,000,000 tasks",
        "1 h 00 min of I/O wait",
        "3 workers",
        "5 workers, chunk 7",
        "at most 11 in flight",
        "fork",
    ] {
        assert!(finished.stdout.contains(part), "no {part:?} in\n{}", finished.stdout);
    }
    assert_eq!(finished.stdout.matches("(a rule of thumb)").count(), 4, "no task can be tried: {finished:?}");
    let flowing = flowing(&finished.stdout);
    for part in ["7 timed rounds", "seed 42", "baseline serial", "nothing was run"] {
        assert!(flowing.to_lowercase().contains(part), "no {part:?} in\n{}", finished.stdout);
    }
    assert_eq!(finished.stderr, "warning: a dry run writes nothing: --json took no effect\n");
    assert!(sandbox.listing().is_empty(), "{:?}", sandbox.listing());
}

#[test]
fn what_the_guard_has_limited_is_said_with_the_way_to_raise_it() {
    let sandbox = Sandbox::new();
    // No Linux has as many process ids as that.
    let finished = sandbox.run("-n 1e7 -m process --dry-run".split(' ')).expect_code(0);
    let warnings = &finished.stderr;
    for part in ["warning: process:", "not 10,000,000", "are in use", "would have needed", "To raise it:"] {
        assert!(warnings.contains(part), "no {part:?} in {warnings}");
    }
}

#[test]
fn there_is_no_progress_where_nobody_watches() {
    // Longer than the second after which a terminal would show progress.
    let arguments = "-n 3 --io-wait 400ms --rounds 1 -m serial";
    let sandbox = Sandbox::new();
    for extra in [&[][..], &["--quiet"]] {
        let finished = sandbox.run(arguments.split(' ').chain(extra.iter().copied())).expect_code(0);
        // How long it takes is said in a log too, but not to whom asks for quiet.
        let told = finished.stderr.starts_with("this takes about ");
        assert_eq!(told, extra.is_empty(), "{finished:?}");
        assert!(finished.stderr.contains("warning:"), "one round is too few: {finished:?}");
        assert!(!finished.stderr.contains(['\r', ESCAPE]), "{finished:?}");
        assert!(!finished.stderr.contains("round 1/1"), "{finished:?}");
    }
}

#[test]
fn whoever_closes_the_pipe_has_seen_enough() {
    let sandbox = Sandbox::new();
    for arguments in ["-n 20 --rounds 1", "-n 20 --rounds 1 --json -", "-n 20 --dry-run", "--help"] {
        for close_errors_too in [false, true] {
            let (mut reader, writer) = std::io::pipe().expect("a pipe");
            let mut command = sandbox.command(arguments.split(' '));
            if close_errors_too {
                command.stderr(writer.try_clone().expect("a pipe"));
            }
            command.stdout(writer);
            let running = sandbox.start(command);
            // Like `| head -c 0`: gone before anything is written.
            drop(reader);
            running.finish().expect_code(0);

            // Like `| head -c 1`: gone after the first byte.
            let writer;
            (reader, writer) = std::io::pipe().expect("a pipe");
            let mut command = sandbox.command(arguments.split(' '));
            command.stdout(writer);
            let running = sandbox.start(command);
            reader.read_exact(&mut [0]).expect("the first byte");
            drop(reader);
            running.finish().expect_code(0);
        }
    }
}

/// Of one that does not run there it hears nothing; all that is written is lost.
#[test]
fn whoever_closes_the_terminal_has_seen_enough() {
    let exported = "-n 4 --rounds 1 -m serial,pool --json out.json";
    let sweep = "sweep --vary tasks=2,3 --rounds 1 -m serial --json out.json";
    for words in [exported, sweep, "-n 4 --rounds 1 -m serial --json -", "-n 4 --dry-run", "--help"] {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(words.split(' '));
        let terminal = terminal();
        let stream = || terminal.slave.try_clone().expect("a descriptor");
        command.stdout(stream()).stderr(stream());
        drop(terminal.master);
        sandbox.start(command).finish().expect_code(0);
        assert_eq!(sandbox.path("out.json").exists(), words.contains("out.json"), "{words}");
    }
}

#[test]
fn a_short_help_is_read_in_a_minute_and_says_that_there_is_more() {
    for verb in [None, Some("sweep"), Some("crossover"), Some("advise")] {
        let help = |flag| {
            let arguments = verb.into_iter().chain([flag]);
            Sandbox::new().run(arguments).expect_code(0).stdout
        };
        let (short, long) = (help("-h"), help("--help"));
        assert!(short.lines().count() <= 80, "{} lines: {short}", short.lines().count());
        let last = short.trim_end().rsplit("\n\n").next().expect("a paragraph");
        assert!(last.contains("--help"), "{verb:?} does not say that there is more: {last}");
        for flag in
            ["--tasks", "--cpu", "--io-wait", "--mode", "--workers", "--engine", "--args-from", "--json"]
        {
            assert!(short.contains(flag), "{verb:?} does not show {flag}: {short}");
        }
        for flag in ["--transport", "--memory-method", "--evaluator"] {
            assert!(!short.contains(flag) && long.contains(flag), "{verb:?} {flag}: {short}");
        }
    }
}

#[test]
fn help_names_every_exit_code_and_fits() {
    let finished = Sandbox::new().run(["--help"]).expect_code(0);
    for code in ["  0 ", "  1 ", "  2 ", "  3 ", "  130 "] {
        assert!(finished.stdout.contains(&format!("\n{code}")), "{}", finished.stdout);
    }
    let version = Sandbox::new().run(["--version"]).expect_code(0);
    assert_eq!(version.stdout, format!("procbench {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_that_could_not_be_written_is_no_success() {
    let sandbox = Sandbox::new();
    for asked in ["-h", "--help", "--version", "man"] {
        let full = fs::File::options().write(true).open("/dev/full").expect("/dev/full");
        let mut command = sandbox.command([asked]);
        command.stdout(full).stderr(std::process::Stdio::piped());
        let finished = command.output().expect("procbench starts");
        assert_eq!(finished.status.code(), Some(3), "{asked}");
        let said = String::from_utf8_lossy(&finished.stderr);
        assert!(said.contains("No space left on device"), "{asked}: {said}");
    }
}

#[test]
fn a_picture_of_the_times_is_for_terminals_with_room_for_it() {
    let recorded = |name: &str| {
        let path = format!("{}/results/2026-11-29-linux-intel-xeon/{name}.json", env!("CARGO_MANIFEST_DIR"));
        Document::read(std::path::Path::new(&path)).expect("a recorded run")
    };
    let drawn = |document: &Document, columns: Option<usize>| {
        let mut out = anstream::StripStream::new(Vec::new());
        procbench::report::write_for(document, columns, &mut out).expect("memory to write to");
        String::from_utf8(out.into_inner()).expect("text")
    };
    let run = recorded("cpu-bound");
    for columns in [None, Some(80)] {
        assert!(!drawn(&run, columns).contains('┃'), "{columns:?}");
    }
    let longest = |text: &str, row: &str| {
        let bar = text.lines().find(|line| line.starts_with(row) && line.contains('┃')).expect("a bar");
        let place = |wanted: &[char]| bar.chars().position(|character| wanted.contains(&character));
        place(&['┃']).expect("a median") + 1 - place(&['█', '├', '┃']).expect("a bar")
    };
    for columns in [100, 120, 500] {
        let text = drawn(&run, Some(columns));
        assert!(text.lines().all(|line| line.chars().count() <= columns), "{columns}: {text}");
        assert_eq!(text.matches('┃').count(), run.strategies.len() + 1, "a bar each, and the key: {text}");
        // From 0 on the same scale, as far as whole characters go.
        let (serial, process) = (longest(&text, "serial"), longest(&text, "process"));
        let median = |name: &str| row(&run, name).summary.as_ref().expect("a summary").total_seconds.median;
        let ratio = process as f64 / serial as f64 / (median("process") / median("serial"));
        assert!((0.9..1.1).contains(&ratio), "{columns}: {ratio}\n{text}");
        assert!(text.contains("scale from 0"), "{text}");
        let first = text.lines().find(|line| line.contains('┃')).expect("a bar");
        assert!(first.starts_with("serial"), "{text}");
        let is_beside = first.contains("baseline");
        assert_eq!(is_beside, columns > 100, "beside its figures, or below where that is too wide: {text}");
    }
    let text = drawn(&recorded("python-start-methods"), Some(120));
    assert!(text.contains("logarithmic scale from"), "more than 30 times as long: {text}");
    let beside = |line: &str| line.contains('┃') && line.contains(" … ");
    assert!(!text.lines().any(beside), "names leave no room beside the table, but below it: {text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    // Names that differ only at their ends are told apart, whole where there is room.
    let mut long = recorded("cpu-bound");
    let names = ["pipe", "shared-memory"].map(|way| format!("pool:workers=16:chunk=python:transport={way}"));
    for (row, name) in long.strategies.iter_mut().skip(2).zip(&names) {
        row.name.clone_from(name);
    }
    let of_bars = |columns: usize| -> Vec<String> {
        let text = drawn(&long, Some(columns));
        assert!(text.lines().all(|line| line.chars().count() <= columns), "{text}");
        let bars = text.lines().filter(|line| line.starts_with("pool:") && line.contains('┃'));
        bars.map(|line| line.split("  ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(of_bars(120), names);
    let [first, second] = &of_bars(100)[..] else { panic!("two bars") };
    assert!(first != second && first.contains("workers=16"), "{first} and {second}");
}

#[test]
fn completions_and_the_manual_page_know_every_verb_and_flag() {
    let sandbox = Sandbox::new();
    const VERBS: [&str; 8] = ["", "advise", "sweep", "crossover", "report", "compare", "claims", "schema"];
    let help_of = |verb: &str| sandbox.run(verb.split_whitespace().chain(["--help"])).expect_code(0).stdout;
    let help: String = VERBS.map(help_of).join("\n");
    let flags: Vec<&str> = help
        .split_whitespace()
        .map(|word| word.trim_end_matches([',', ')', ']', ';', ':', '.']))
        .filter(|word| word.len() > 3 && word.starts_with("--") && !word.contains('='))
        .collect();
    assert!(flags.len() > 40, "{flags:?}");
    let printed = |words: &[&str]| sandbox.run(words).expect_code(0).stdout;
    // As a manual page spells hyphens.
    let manual = printed(&["man"]).replace("\\-", "-");
    assert!(manual.contains(".TH procbench 1"), "{manual}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        for verb in ["advise", "sweep", "crossover", "report", "compare", "claims"] {
            assert!(script.contains(verb), "{shell}: no {verb}");
        }
        // Fish names long flags without their hyphens.
        let knows = |flag: &&str| script.contains(flag.trim_start_matches('-'));
        assert_eq!(flags.iter().find(|flag| !knows(flag)), None, "{shell}");
    }
    assert_eq!(flags.iter().find(|flag| !manual.contains(**flag)), None, "the manual page");
    // Where the shell is there, it takes the script.
    sandbox.write("script", printed(&["completions", "bash"]));
    match std::process::Command::new("bash").args(["-n", "script"]).current_dir(sandbox.path(".")).status() {
        Ok(status) => assert!(status.success(), "bash does not understand its script"),
        Err(_) => skip("completions", "there is no bash"),
    }
    let refused = sandbox.run(["completions", "tcsh"]).expect_code(2);
    assert!(refused.error().contains("bash"), "{refused:?}");
}
