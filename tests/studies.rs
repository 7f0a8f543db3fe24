//! What is exported of studies that are made of several runs, and how saved exports of every kind are shown again.

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::Sandbox;
use common::studies::{make_all, saved};
use procbench::report::subject::Subject;
use procbench::report::{html, markdown};
use procbench::study::saved::Saved;

fn rows(text: &str) -> Vec<csv::StringRecord> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.records().collect::<Result<_, _>>().expect("every row has as many cells as the header")
}

fn header(text: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.headers().expect("a header").iter().map(str::to_owned).collect()
}

#[test]
fn the_rows_of_a_sweep_have_what_varies_in_columns_in_front() {
    let sandbox = Sandbox::new();
    let arguments = "sweep --vary tasks=1,8 --vary io-wait=0,1ms -m serial,process --rounds 2 --quiet \
                     --csv out.csv --markdown out.md --html out.html";
    let finished = sandbox.run(arguments.split_whitespace()).expect_code(0);
    let text = fs::read_to_string(sandbox.path("out.csv")).expect("the table");
    let names = header(&text);
    assert_eq!(names[..3], ["cell_tasks", "cell_io_wait_seconds", "started_at"]);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "each column is there once");
    let rows = rows(&text);
    assert_eq!(rows.len(), 4 * 2 * 2, "each round of each strategy in each cell");
    let cells: BTreeSet<(&str, &str)> = rows.iter().map(|row| (&row[0], &row[1])).collect();
    assert_eq!(cells, [("1", "0"), ("1", "0.001"), ("8", "0"), ("8", "0.001")].into());
    let markdown = fs::read_to_string(sandbox.path("out.md")).expect("the tables");
    assert!(markdown.contains("| tasks ↓  io-wait → | 0 | 1ms |"), "{markdown}");
    assert!(markdown.contains("    procbench sweep --vary"), "{markdown}");
    let page = fs::read_to_string(sandbox.path("out.html")).expect("the page");
    assert!(page.contains("<h2>Decision map</h2>") && page.contains("<h2>Curves</h2>"));
    assert!(finished.stdout.contains("tasks ↓  io-wait →"), "the map is shown as well: {finished:?}");
}

#[test]
fn an_export_on_standard_output_takes_the_place_of_the_tables() {
    let sandbox = Sandbox::new();
    let arguments = "sweep --vary workers=1,auto -n 4 -m pool --rounds 1 --quiet --csv -";
    // A worker count has no word, so that is refused before anything is written.
    assert_eq!(sandbox.run(arguments.split(' ')).expect_code(2).stdout, "");
    let arguments = "sweep --vary chunk=3,auto -n 4 -m pool --rounds 1 --quiet --csv -";
    let finished = sandbox.run(arguments.split(' ')).expect_code(0);
    let rows = rows(&finished.stdout);
    let values: Vec<&str> = rows.iter().map(|row| &row[0]).collect();
    assert_eq!(values, ["3", "auto"], "as typed where one of them is a word");
    let arguments = "sweep --vary tasks=1,2 -m serial --rounds 1 --csv a.csv --markdown a.csv";
    let refused = sandbox.run(arguments.split(' ')).expect_code(2);
    assert!(refused.error().contains("--csv and --markdown"), "{refused:?}");
}

#[test]
fn saved_exports_of_every_kind_are_shown_again_alone_and_together() {
    let sandbox = Sandbox::new();
    let files = make_all(&sandbox);
    for file in &files {
        let shown = sandbox.run(["report", file]).expect_code(0);
        assert!(!shown.stdout.is_empty(), "{file}");
        let page = sandbox.run(["report", file, "-o", "-"]).expect_code(0).stdout;
        let of = saved(&sandbox, file);
        let title = maud::html! { (Subject::from(&of).title()) }.into_string();
        assert!(page.contains(&title), "{file}: no {title}");
        assert!(!page.contains("NaN") && !page.contains("inf%"), "{file}");
        let markdown = sandbox.run(["report", file, "--markdown", "-"]).expect_code(0).stdout;
        assert!(markdown.contains("| --- |") || markdown.contains("|---|"), "{file}: {markdown}");
        let rounds: usize = Subject::from(&of)
            .documents()
            .iter()
            .flat_map(|(_, document)| &document.strategies)
            .map(|row| row.rounds.len())
            .sum();
        let table = sandbox.run(["report", file, "--csv", "-"]).expect_code(0).stdout;
        assert_eq!(rows(&table).len(), rounds, "{file}: a row for each round");
        let empty = emptied(of);
        let page = html::export(&[Subject::from(&empty)]).expect("a page");
        let page = String::from_utf8(page).expect("text");
        assert!(page.contains("</html>") && !page.contains("NaN"), "{file}, of which nothing was run");
        markdown::export(&[Subject::from(&empty)]).expect("tables");
    }
    let all: Vec<&str> = files.iter().map(String::as_str).collect();
    let page = sandbox.run([&["report", "-o", "-"], all.as_slice()].concat()).expect_code(0).stdout;
    assert!(page.contains(&format!("<h1>{} reports</h1>", files.len())));
    for number in 1..=files.len() {
        assert!(page.contains(&format!("id=\"run-{number}\"")), "no section {number}");
    }
    let table = sandbox.run([&["report", "--csv", "-"], all.as_slice()].concat()).expect_code(0).stdout;
    for column in ["cell_tasks", "cell_io_wait_seconds", "stage", "claim"] {
        assert!(header(&table).contains(&column.to_owned()), "no {column}");
    }
}

#[test]
fn names_in_a_file_do_not_steer_the_terminal() {
    let sandbox = Sandbox::new();
    let name = "a\u{1b}]0;title\u{7}b";
    let mut document = sandbox.measure("-n 2 --rounds 1 -m serial");
    document.plan.name = Some(name.into());
    for of in [
        &mut document.strategies[0].name,
        &mut document.plan.strategies[0].name,
        &mut document.plan.run.baseline,
    ] {
        *of = name.into();
    }
    sandbox.write("named.json", serde_json::to_string(&document).expect("JSON"));
    let mut command = sandbox.command(["report", "named.json"]);
    command.env("CLICOLOR_FORCE", "1");
    let shown = sandbox.run_command(command).expect_code(0).stdout;
    assert!(shown.contains("\u{1b}[1m"), "colours are there: {shown:?}");
    assert!(!shown.contains("\u{1b}]") && !shown.contains('\u{7}'), "{shown:?}");
    assert!(shown.contains("a\\u{1b}]0;title\\u{7}b"), "{shown:?}");
}

/// The same, interrupted before anything was run.
fn emptied(mut saved: Saved) -> Saved {
    match &mut saved {
        Saved::Run(run) => run.strategies.iter_mut().for_each(|row| row.summary = None),
        Saved::Sweep(sweep) => {
            sweep.head.partial = true;
            for cell in &mut sweep.cells {
                (cell.document, cell.standing) = (None, None);
            }
        }
        Saved::Crossover(crossover) => {
            crossover.head.partial = true;
            crossover.points.clear();
            crossover.crossings.clear();
        }
        Saved::Advice(advice) => {
            advice.head.partial = true;
            (advice.finals, advice.standing) = (None, None);
            advice.races.clear();
            advice.candidates.clear();
        }
        Saved::Claims(claims) => claims.claims.iter_mut().for_each(|claim| claim.findings.clear()),
    }
    saved
}

#[test]
fn what_report_cannot_show_is_named_with_what_it_can() {
    let sandbox = Sandbox::new();
    sandbox.measure("-n 5 --rounds 5 -m serial");
    sandbox.run("compare measured.json measured.json --json compared.json".split(' ')).expect_code(0);
    let refused = sandbox.run(["report", "compared.json"]).expect_code(2);
    assert!(
        refused.error().contains("compared.json is the export of a comparison: expected that of a run"),
        "{refused:?}"
    );
    sandbox.write("other.json", r#"{"schema_version": 1, "kind": "weather"}"#);
    let refused = sandbox.run(["report", "other.json"]).expect_code(2);
    assert!(refused.error().contains("other.json is the export of a 'weather'"), "{refused:?}");
    sandbox.write("sweep.json", r#"{"schema_version": 1, "kind": "sweep", "partial": false}"#);
    let refused = sandbox.run(["report", "sweep.json"]).expect_code(2);
    assert!(
        refused.error().contains("sweep.json is not the export of a sweep: missing field"),
        "{refused:?}"
    );
}

#[test]
fn the_command_of_advice_does_not_write_the_exports_again() {
    let sandbox = Sandbox::new();
    let arguments = "advise -n 3 --time-limit 30s --rounds 5 --quiet --json a.json --html a.html --csv a.csv";
    let finished = sandbox.run(arguments.split(' ')).expect_code(0);
    let command = finished.stdout.lines().last().expect("a command");
    assert!(command.starts_with("procbench ") && !command.contains("a."), "{command}");
    let page = fs::read_to_string(sandbox.path("a.html")).expect("the page");
    assert!(page.contains("<h2>Everybody that was looked at</h2>"));
    let table = fs::read_to_string(sandbox.path("a.csv")).expect("the table");
    assert_eq!(header(&table)[0], "stage");
    assert!(rows(&table).iter().any(|row| &row[0] == "finals"));
}
