//! What is written besides the tables: CSV, Markdown, and where either goes.

mod common;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::{Command, Stdio};

use clap::Parser;
use common::{Sandbox, parse, rounds};
use procbench::cli::Cli;
use procbench::document::Document;
use procbench::measure::limits::Limits;
use procbench::plan::draft::Draft;
use procbench::plan::{Machine, Plan, command_line};

/// A run that costs nothing.
const SMALL: &str = "-n 20 --rounds 5 -m serial,pool";

/// The rows of a CSV export, by column.
fn table(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Result<Vec<_>, _> = reader.deserialize().collect();
    rows.expect("every row has as many cells as the header")
}

#[test]
fn csv_has_a_row_for_each_round_and_strategy_with_the_raw_values() {
    let sandbox = Sandbox::new();
    let document = sandbox.measure("-n 20 --rounds 3 --overhead --csv rounds.csv --workload-name a,\"b");
    let text = fs::read_to_string(sandbox.path("rounds.csv")).expect("the table");
    assert!(
        text.lines().count() > 1 && text.matches('\n').count() == text.matches("\r\n").count(),
        "RFC 4180"
    );
    let rows = table(&text);
    assert_eq!(rows.len(), 2 * rounds(&document).count(), "as many rounds of empty tasks");
    for (strategy, round) in rounds(&document) {
        let row = rows.iter().find(|row| {
            row["strategy"] == strategy.name
                && row["round"] == round.round.to_string()
                && row["empty_tasks"] == "FALSE"
        });
        let row = row.unwrap_or_else(|| panic!("no round {} of {}", round.round, strategy.name));
        assert_eq!(row["total_seconds"].parse(), Ok(round.report.total_seconds), "exactly");
        assert_eq!(row["cpu_seconds"].parse(), Ok(round.report.cpu_seconds()));
        assert_eq!(row["cpu_system_seconds"].parse().ok(), round.report.cpu_system_seconds);
        assert_eq!(row["cpu_split_missing"].is_empty(), round.report.cpu_system_seconds.is_some());
        assert_eq!(row["workload"], "a,\"b");
        assert_eq!(Some(&row["digest"]), round.report.digest.as_ref());
        let workers = strategy.settings.workers.map(|workers| workers.to_string()).unwrap_or_default();
        assert_eq!(row["workers"], workers, "what a strategy does not have is empty");
        assert_eq!(row["peer_cpu_seconds"], "", "what was not measured is empty");
    }
}

#[test]
fn csv_of_several_runs_is_one_table() {
    let sandbox = Sandbox::new();
    sandbox.measure(SMALL);
    sandbox.run(["-n", "7", "-q", "-m", "serial", "--rounds", "2", "--json", "other.json"]).expect_code(0);
    let files = "report measured.json other.json --csv -";
    let finished = sandbox.run(files.split(' ')).expect_code(0);
    let rows = table(&finished.stdout);
    // Each row says which run it is of, and what that was, whatever the second they were begun in.
    let of = |run: &str| rows.iter().filter(|row| row["run"] == run).collect::<Vec<_>>();
    assert_eq!((rows.len(), of("1").len(), of("2").len()), (12, 10, 2));
    assert!(of("2").iter().all(|row| row["workload"] == "7 tasks, doing nothing"), "{}", finished.stdout);
}

#[test]
fn csv_loads_into_python_as_it_is() {
    if !common::has_python("loading CSV into Python") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.measure(&format!("{SMALL} --csv rounds.csv"));
    let program = "import csv, sys\nrows = list(csv.DictReader(open('rounds.csv', newline='')))\n\
                   assert len(rows) == 10 and all(float(row['total_seconds']) > 0 for row in rows), rows";
    runs_in_python(&sandbox, program);
}

#[test]
fn csv_loads_into_r_as_it_is() {
    let found = std::process::Command::new("Rscript").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        return common::skip("csv_loads_into_r_as_it_is", "Rscript is not installed");
    }
    let sandbox = Sandbox::new();
    sandbox.measure(&format!("{SMALL} --csv rounds.csv"));
    let program = "frame <- read.csv('rounds.csv'); stopifnot(nrow(frame) == 10, is.numeric(frame$total_seconds), \
                   is.logical(frame$empty_tasks), sum(is.na(frame$workers)) == 5)";
    let read = std::process::Command::new("Rscript")
        .args(["-e", program])
        .current_dir(sandbox.path(""))
        .output()
        .expect("Rscript");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
}

#[test]
fn csv_loads_into_pandas_as_it_is() {
    let has_pandas = Command::new("python3").args(["-c", "import pandas"]).stderr(Stdio::null()).status();
    if !has_pandas.is_ok_and(|status| status.success()) {
        return common::skip("csv_loads_into_pandas_as_it_is", "pandas is not installed");
    }
    let sandbox = Sandbox::new();
    sandbox.measure(&format!("{SMALL} --csv rounds.csv"));
    let program = "import pandas\nframe = pandas.read_csv('rounds.csv')\nassert len(frame) == 10\n\
                   assert frame.total_seconds.dtype == float, frame.dtypes\n\
                   assert frame.empty_tasks.dtype == bool and frame.workers.isna().sum() == 5, frame.dtypes";
    runs_in_python(&sandbox, program);
}

fn runs_in_python(sandbox: &Sandbox, program: &str) {
    let run = Command::new("python3").args(["-c", program]).current_dir(sandbox.path("")).output();
    let run = run.expect("python3");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

/// `text` without what is in brackets and from one figure to another.
fn without_intervals(text: &str) -> String {
    let mut parts = text.split(" (");
    let mut left = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')').filter(|(inside, _)| inside.contains(" … ")) {
            Some((_, rest)) => left += rest,
            None => left += &format!(" ({part}"),
        }
    }
    left
}

#[test]
fn markdown_has_the_tables_of_the_terminal() {
    let sandbox = Sandbox::new();
    let (document, finished) = sandbox.report(&format!("{SMALL} --markdown tables.md --workload-name a|b*c"));
    let text = fs::read_to_string(sandbox.path("tables.md")).expect("the tables");
    assert!(text.starts_with("## a\\|b\\*c: 20 tasks"), "{text}");
    for row in &document.strategies {
        let shown = finished.stdout.lines().filter(|line| line.split(' ').next() == Some(&row.name));
        for line in shown.filter(|line| line.contains("  ")) {
            let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
            let row = format!("| {} |", cells.join(" | ").replace('*', "\\*"));
            // A terminal may have no room for the intervals of speed-ups.
            let is_there = text.contains(&row) || without_intervals(&text).contains(&row);
            assert!(is_there, "{line} in\n{text}");
        }
    }
    for table in text.split("\n\n").filter(|block| block.starts_with('|')) {
        let columns = |line: &str| line.replace("\\|", "").matches('|').count();
        assert!(table.lines().all(|line| columns(line) == columns(table.lines().next().unwrap())), "{table}");
    }
}

#[test]
fn only_one_export_may_go_to_a_place() {
    let sandbox = Sandbox::new();
    sandbox.write("out", "old");
    for (exports, names) in [
        ("--json - --csv -", ["--json", "--csv"]),
        ("--markdown /dev/stdout --html -", ["--markdown", "--html"]),
        ("--csv out --markdown ./out", ["--csv", "--markdown"]),
    ] {
        let finished = sandbox.run(format!("-n 1e6 --io-wait 1h {exports}").split(' ')).expect_code(2);
        let error = finished.error();
        assert!(
            names.iter().all(|name| error.contains(name)) && error.contains("would both be written to"),
            "{error}"
        );
        assert_eq!(finished.stdout, "");
    }
    assert_eq!(fs::read_to_string(sandbox.path("out")).expect("a file"), "old");
}

#[test]
fn what_a_run_reads_is_not_written_over() {
    let sandbox = Sandbox::new();
    for (file, text, arguments) in [
        ("spec.toml", "[workload]\ntasks = 1\n", "--config spec.toml --json ./spec.toml"),
        ("spec.toml", "[workload]\ntasks = 1\n", "advise --config spec.toml --html spec.toml"),
        ("lines", "a\nb\n", "--args-from lines --csv lines -- true"),
    ] {
        sandbox.write(file, text);
        let refused = sandbox.run(arguments.split(' ')).expect_code(2);
        assert!(refused.error().contains("which is read: expected another file"), "{refused:?}");
        assert_eq!(fs::read_to_string(sandbox.path(file)).expect("a file"), text);
    }
}

#[test]
fn all_exports_of_one_run_are_written_beside_the_tables() {
    let sandbox = Sandbox::new();
    let (_, finished) = sandbox.report(&format!("{SMALL} --csv a --markdown b --html c"));
    assert!(finished.stdout.contains("strategy"), "tables are still shown");
    let texts = ["a", "b", "c"].map(|name| fs::read_to_string(sandbox.path(name)).expect("an export"));
    assert!(
        texts[0].starts_with("started_at,")
            && texts[1].starts_with("## ")
            && texts[2].starts_with("<!DOCTYPE")
    );
}

#[test]
fn a_name_may_be_as_long_as_names_can_be_and_no_longer() {
    let sandbox = Sandbox::new();
    let (longest, longer) = ("x".repeat(255), "x".repeat(256));
    let run = |name: &str| sandbox.run(SMALL.split(' ').chain(["--json", name]));
    for _ in 0..2 {
        run(&longest).expect_code(0);
        parse(&fs::read_to_string(sandbox.path(&longest)).expect("the export, made or replaced"));
    }
    let refused = run(&longer);
    assert!(refused.stdout.is_empty(), "nothing was run: {refused:?}");
    assert!(refused.expect_code(2).error().contains("name too long"));
}

#[test]
fn what_takes_a_files_place_has_its_permissions_but_not_its_owners_rights() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("out.json", "old");
    for (before, after) in [(0o600, 0o600), (0o6755, 0o755)] {
        fs::set_permissions(&path, Permissions::from_mode(before)).expect("permissions");
        sandbox.run(SMALL.split(' ').chain(["--json", "out.json"])).expect_code(0);
        let found = fs::metadata(&path).expect("the export").permissions().mode();
        assert_eq!(found & 0o7777, after, "{before:o}");
    }
}

#[test]
fn hyperfines_names_of_what_is_the_same_are_understood() {
    let sandbox = Sandbox::new();
    let arguments = "-n 20 --runs 2 -m serial --export-json a.json --export-csv a.csv --export-markdown a.md";
    sandbox.run(arguments.split(' ')).expect_code(0);
    let document = parse(&fs::read_to_string(sandbox.path("a.json")).expect("the export"));
    assert_eq!(document.strategies[0].rounds.len(), 2);
    assert!(sandbox.path("a.csv").exists() && sandbox.path("a.md").exists());
}

#[test]
fn each_export_alone_takes_the_place_of_the_tables() {
    let sandbox = Sandbox::new();
    for (flag, start) in
        [("--csv", "started_at,"), ("--markdown", "## 5 tasks"), ("--html", "<!DOCTYPE html>")]
    {
        let finished = sandbox.run(["-n5", "--rounds", "1", "-m", "serial", flag, "-"]).expect_code(0);
        assert!(finished.stdout.starts_with(start), "{flag}: {}", finished.stdout);
        assert!(!finished.stdout.contains("strategy  "), "{flag}: no tables");
    }
}

/// A file that the shell has opened, and goes on writing to, is not to be replaced by another.
#[test]
fn a_name_of_standard_output_is_standard_output_also_where_that_is_a_file() {
    let sandbox = Sandbox::new();
    std::os::unix::fs::symlink("/dev/stdout", sandbox.path("log")).expect("a link");
    for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "log"] {
        let path = sandbox.write("out", "");
        let file = fs::OpenOptions::new().append(true).open(&path).expect("a file");
        let before = std::os::unix::fs::MetadataExt::ino(&file.metadata().expect("the file"));
        let mut command = sandbox.command(["-n5", "--rounds", "1", "-m", "serial", "--json", name]);
        command.stdout(file);
        sandbox.run_command(command).expect_code(0);
        let after = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).expect("the file"));
        assert_eq!(after, before, "{name}: the file was replaced");
        parse(&fs::read_to_string(&path).expect("the export"));
    }
}

#[test]
fn an_open_descriptor_is_written_to_where_it_stands() {
    let sandbox = Sandbox::new();
    let script =
        "echo before >&3; \"$0\" -n5 --rounds 1 -m serial -q --json /dev/fd/3 >tables 2>&1; echo after >&3";
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec 3>out; {script}"), env!("CARGO_BIN_EXE_procbench")]);
    command.current_dir(sandbox.path("")).stdin(Stdio::null());
    assert!(command.status().expect("a shell").success());
    let text = fs::read_to_string(sandbox.path("out")).expect("the export");
    let inside = text.strip_prefix("before\n").and_then(|text| text.strip_suffix("after\n"));
    parse(inside.unwrap_or_else(|| panic!("{text}")));
    assert!(fs::read_to_string(sandbox.path("tables")).expect("tables").contains("strategy"));
}

#[test]
fn a_descriptor_that_cannot_be_written_to_is_found_out_before_the_run() {
    let sandbox = Sandbox::new();
    for name in ["/dev/fd/0", "/dev/fd/777"] {
        let finished = sandbox.run(["-n1e6", "--io-wait", "1h", "--csv", name]).expect_code(2);
        assert!(finished.error().contains(&format!("failed to open {name}")), "{finished:?}");
    }
    assert!(fs::metadata("/dev/null").expect("a device").file_type().is_char_device());
}

fn plan_of(words: &[String]) -> Plan {
    let (limits, parked_process_bytes) = (Limits::default(), 1 << 16);
    let machine =
        Machine { effective_cores: 3, limits, parked_process_bytes, python: None, tools: Vec::new() };
    let typed = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let draft = typed.benchmark.over(Draft::default()).expect("a draft");
    draft.resolve(&machine).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

#[test]
fn the_command_line_of_a_plan_gives_the_same_plan() {
    for typed in [
        "procbench -n 1e6",
        "procbench -n 20000 --cpu 20us --io-wait 1.5ms --spread lognormal:0.7 --rounds 7 --margin 2%",
        "procbench -n 5 --workload file --warmup 0 --time-budget 2m --no-latency --overhead",
        "procbench -n 9 -m pool,pool,pool:workers=2x,pool:chunk=python,process:in-flight=4 --baseline pool#2",
        "procbench -n 9 -m pool:start=exec,process:start=exec --workload-name=-dash --io echo --io-wait 1ms",
        "procbench -n 9 --arg-size 3KiB --result-size 1 --memory 1MiB --shared 7 --parent-memory 1MB --init 333ns",
        "procbench -n 9 --timeout 5s --on-failure retry:2 --prepare 'rm -f *.gz' -- true '-kf' 'a b {}' ''",
        "procbench -n 9 --shell --ignore-answers --worker 'while read l; do echo \"$l\"; done'",
        "procbench -n 9 --call shop.work:f --ignore-answers -m serial,pool:workers=2 --timeout 2s",
        "procbench -n 9 --worker \"cat -u 'a b'\" --precision 3% --memory-method pss",
    ] {
        let plan = plan_of(&shlex::split(typed).expect("words"));
        let line = command_line::of(&plan);
        let again = plan_of(&shlex::split(&line).expect("words"));
        assert_eq!(again.workload, plan.workload, "{typed}: {line}");
        for (a, b) in again.strategies.iter().zip(&plan.strategies) {
            assert_eq!((a.engine, a.mode, &a.settings), (b.engine, b.mode, &b.settings), "{typed}: {line}");
        }
        let place = |plan: &Plan| plan.strategies.iter().position(|row| row.name == plan.run.baseline);
        assert_eq!(place(&again), place(&plan), "{typed}: {line}");
        let mut run = again.run;
        run.baseline.clone_from(&plan.run.baseline);
        assert_eq!((run, again.name), (plan.run, plan.name), "{typed}: {line}");
    }
}

#[test]
fn saved_runs_that_are_not_ours_are_refused_with_one_error() {
    let sandbox = Sandbox::new();
    let document: Document = sandbox.measure(SMALL);
    let good = serde_json::to_value(&document).expect("JSON");
    let changed = |key: &str, value: serde_json::Value| {
        let mut changed = good.clone();
        changed[key] = value;
        changed.to_string()
    };
    let text = good.to_string();
    let deep = "[".repeat(1_000_000);
    for (content, why) in [
        (String::new(), "ends too early"),
        // Cut off where something must follow: half a number would be another error.
        (text[..=text.rfind('{').expect("objects")].to_owned(), "ends too early"),
        ("procbench".into(), "is not JSON"),
        ("{}".into(), "no schema_version"),
        ("[1, 2]".into(), "is not"),
        (deep, "recursion limit"),
        (changed("schema_version", 0.into()), "schema_version is 0"),
        (changed("schema_version", 2.into()), "schema_version is 2"),
        (changed("schema_version", "one".into()), "schema_version is \"one\""),
        (changed("kind", "sweep".into()), "the export of a sweep"),
        (changed("strategies", serde_json::json!([])), "no strategies"),
        (changed("strategies", 5.into()), "is not the export of a run"),
    ] {
        sandbox.write("bad.json", &content);
        for verb in [&["report", "bad.json"][..], &["compare", "measured.json", "bad.json"]] {
            let finished = sandbox.run(verb).expect_code(2);
            let error = finished.error();
            assert!(error.contains("bad.json") && error.contains(why), "{why}: {error}");
            assert_eq!(finished.stdout, "");
        }
    }
    // The plan of such a file is not read either.
    for version in [0, 2] {
        sandbox.write("bad.json", changed("schema_version", version.into()));
        let finished = sandbox.run(["--config", "bad.json"]).expect_code(2);
        assert!(finished.error().contains(&format!("schema_version is {version}")), "{finished:?}");
    }
    sandbox.run(["report"]).expect_code(2);
    let finished = sandbox.run(["report", "missing.json"]).expect_code(2);
    assert!(
        finished.error().contains("missing.json") && finished.stderr.contains("No such file"),
        "{finished:?}"
    );
}
