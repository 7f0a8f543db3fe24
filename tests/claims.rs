//! `procbench claims`: the articles' claims, put to the test.

mod common;

use std::fs;

use common::{Sandbox, has_python};
use nix::sys::signal::Signal;
use procbench::document::Document;
use procbench::exit;
use procbench::study::claims::{ALL, ClaimsReport, Verdict};

/// The export, read strictly.
#[track_caller]
fn parse(text: &str) -> ClaimsReport {
    let report: ClaimsReport = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    let read: serde_json::Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(serde_json::to_value(&report).expect("JSON"), read, "a field is not part of the export");
    report
}

fn documents(report: &ClaimsReport) -> impl Iterator<Item = &Document> {
    let findings = report.claims.iter().flat_map(|tested| &tested.findings);
    findings.flat_map(|finding| &finding.runs).map(|run| &run.document)
}

#[test]
fn a_claim_that_nobody_makes_is_refused_with_the_names_of_those_that_are() {
    let sandbox = Sandbox::new();
    let refused = sandbox.run(["claims", "nonsense", "--json", "claims.json"]).expect_code(exit::USAGE);
    for claim in ALL {
        assert!(refused.error().contains(claim.name), "{refused:?}");
    }
    assert!(sandbox.listing().is_empty(), "nothing is written");
    let refused = sandbox.run(["claims", "io-bond"]).expect_code(exit::USAGE);
    assert!(refused.error().contains("did you mean io-bound?"), "{refused:?}");
}

#[test]
fn the_help_says_what_each_claim_is() {
    let help = Sandbox::new().run(["claims", "--help"]).expect_code(exit::SUCCESS).stdout;
    for claim in ALL {
        assert!(help.contains(claim.name) && help.contains(claim.says), "{}: {help}", claim.name);
    }
}

#[test]
fn one_claim_is_shown_with_all_that_it_rests_on_and_exported_with_every_raw_value() {
    let sandbox = Sandbox::new();
    let arguments = "claims ordered --quick --engine native --json claims.json --markdown claims.md";
    let finished = sandbox.run(arguments.split(' ')).expect_code(exit::SUCCESS);
    let report = parse(&fs::read_to_string(sandbox.path("claims.json")).expect("the export"));
    let [tested] = report.claims.as_slice() else { panic!("one claim: {report:?}") };
    assert_eq!((tested.claim.name.as_str(), tested.verdict), ("ordered", Verdict::Holds), "{finished:?}");
    assert!(!report.partial && report.quick);
    let [finding] = tested.findings.as_slice() else { panic!("one engine: {tested:?}") };
    assert!(!finding.evidence.is_empty());
    for of in &finding.evidence {
        assert!(of.runs.iter().all(|run| *run < finding.runs.len()), "{of:?} is from nowhere");
        let strategies = finding.runs.iter().flat_map(|run| &run.document.strategies);
        let names: Vec<&String> = strategies.map(|strategy| &strategy.name).collect();
        assert!(of.strategies.iter().all(|name| names.contains(&name)), "{of:?} is nobody's");
    }
    for document in documents(&report) {
        // Each can be looked at, and run again, like any other.
        common::parse(&serde_json::to_string(document).expect("JSON"));
    }
    let table = finished.stdout;
    assert!(
        table.contains("ordered by native: holds") && table.contains("bench-configs/ordered.toml"),
        "{table}"
    );
    assert!(table.lines().all(|line| line.chars().count() <= 100), "a line is too long: {table}");
    let markdown = fs::read_to_string(sandbox.path("claims.md")).expect("the table");
    assert!(markdown.lines().any(|line| line.starts_with("| ordered |") && line.ends_with("**holds** |")));
}

#[test]
fn without_python_its_part_is_not_tested_and_says_why() {
    let sandbox = Sandbox::new();
    let arguments = "claims gil ordered --quick --python /nowhere/python3 --json -";
    let finished = sandbox.run(arguments.split(' ')).expect_code(exit::SUCCESS);
    let report = parse(&finished.stdout);
    let [ordered, gil] = report.claims.as_slice() else { panic!("two claims: {report:?}") };
    assert_eq!((ordered.claim.name.as_str(), ordered.verdict), ("ordered", Verdict::Holds));
    assert_eq!((gil.claim.name.as_str(), gil.verdict), ("gil", Verdict::NotTested));
    for finding in [&ordered.findings[1], &gil.findings[0]] {
        assert_eq!(finding.verdict, Verdict::NotTested);
        assert!(finding.why.contains("/nowhere/python3"), "{}", finding.why);
    }
}

#[test]
fn a_claim_about_python_is_not_for_the_native_engine() {
    let finished = Sandbox::new().run(["claims", "gil", "--engine", "native"]).expect_code(exit::SUCCESS);
    assert!(finished.stdout.contains("It is about the python engine"), "{finished:?}");
}

#[test]
fn claims_are_exported_in_every_form_at_once() {
    let sandbox = Sandbox::new();
    let arguments =
        "claims ordered --quick --engine native --json a.json --csv a.csv --markdown a.md --html a.html";
    let finished = sandbox.run(arguments.split(' ')).expect_code(exit::SUCCESS);
    assert!(finished.stdout.contains("ordered"), "{finished:?}");
    let read = |name: &str| std::fs::read_to_string(sandbox.path(name)).expect("an export");
    assert_eq!(parse(&read("a.json")).claims[0].claim.name, "ordered");
    assert!(read("a.csv").lines().next().is_some_and(|header| header.contains("strategy")));
    assert!(read("a.csv").lines().count() > 1);
    assert!(read("a.md").starts_with("| ") && read("a.html").starts_with("<!DOCTYPE html>"));
    // The same as from what was saved.
    sandbox.run("report a.json -o b.html --csv b.csv --markdown b.md".split(' ')).expect_code(exit::SUCCESS);
    for [now, later] in [["a.csv", "b.csv"], ["a.md", "b.md"], ["a.html", "b.html"]] {
        assert_eq!(read(now), read(later), "{now}");
    }
}

#[test]
fn one_export_alone_can_go_to_standard_output() {
    let sandbox = Sandbox::new();
    sandbox.run(["claims", "--json", "-", "--markdown", "-"]).expect_code(exit::USAGE);
    sandbox.run(["claims", "--engine", "native", "--python", "python3"]).expect_code(exit::USAGE);
    sandbox.run(["claims", "--json", "no/such/folder.json"]).expect_code(exit::USAGE);
}

#[test]
fn python_hands_results_over_in_order_unless_asked_for_them_as_they_are_finished() {
    if !has_python("python_hands_results_over_in_order_unless_asked_for_them_as_they_are_finished") {
        return;
    }
    let arguments = "claims ordered --quick --engine python --json -";
    let report = parse(&Sandbox::new().run(arguments.split(' ')).expect_code(exit::SUCCESS).stdout);
    let [tested] = &report.claims[..] else { panic!("one claim: {report:?}") };
    assert_ne!(tested.verdict, Verdict::DoesNotHold, "{}", tested.findings[0].why);
    assert_ne!(tested.verdict, Verdict::NotTested, "{}", tested.findings[0].why);
    assert_eq!(documents(&report).count(), 1, "{report:?}");
    for document in documents(&report) {
        let digests = common::digest(document);
        assert!(!digests.is_empty());
        for (row, round) in common::rounds(document) {
            let unordered = row.name.contains("imap_unordered");
            assert_eq!(round.report.returned_out_of_place.is_some(), unordered, "{}", row.name);
        }
        let serial = common::row(document, "py-serial");
        assert!(!serial.rounds.is_empty(), "{serial:?}");
        for round in &serial.rounds {
            let order = round.report.start_order.expect("it is stamped");
            assert_eq!((order.overtaken, order.largest_displacement), (0, 0), "one after another");
        }
    }
}

#[test]
fn what_was_finished_is_reported_when_somebody_presses_ctrl_c() {
    let sandbox = Sandbox::new();
    let arguments = "claims io-bound ordered --engine native --json claims.json";
    let mut running = sandbox.start(sandbox.command(arguments.split(' ')));
    running.wait_for_runner(1);
    running.signal(Signal::SIGINT);
    let finished = running.finish().expect_code(exit::INTERRUPTED);
    let report = parse(&fs::read_to_string(sandbox.path("claims.json")).expect("the export"));
    assert!(report.partial);
    for tested in &report.claims {
        assert_eq!(tested.verdict, Verdict::NotTested, "{finished:?}");
        assert_eq!(tested.findings[0].why, "interrupted");
    }
    assert!(finished.stdout.contains("Interrupted"), "{finished:?}");
}

#[test]
fn the_order_of_starts_is_that_of_the_tasks_where_one_executor_has_them_all() {
    let sandbox = Sandbox::new();
    let document =
        sandbox.measure("--tasks 50 --cpu 100us --rounds 2 --mode serial,pool:workers=1,process:in-flight=1");
    for (row, round) in common::rounds(&document) {
        let order = round.report.start_order.expect("all tasks are stamped");
        assert_eq!((order.count, order.overtaken, order.largest_displacement), (50, 0, 0), "{}", row.name);
    }
    let unstamped = sandbox.measure("--tasks 5 --rounds 1 --mode serial --no-latency");
    assert_eq!(common::row(&unstamped, "serial").rounds[0].report.start_order, None);
}
