//! Every file in `bench-configs` says what it is for, resolves, and runs.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Each spec, with the rows that its comment talks about.
const SPECS: [(&str, &[&str]); 27] = [
    ("big-parent", &["serial", "pool", "process"]),
    ("bystander", &["pool", "process", "process:in-flight=2"]),
    ("cpu-bound", &["serial", "threads", "pool", "process"]),
    ("disturbance", &["pool", "process"]),
    ("echo-client", &["threads", "pool", "pool:workers=64", "process"]),
    ("expensive-start", &["serial", "threads", "pool", "process"]),
    ("few-expressions", &["serial", "threads", "pool", "process"]),
    ("fifo", &["pool:workers=4:chunk=1", "process:in-flight=4", "pool:workers=4:chunk=python", "process"]),
    ("finished-tasks", &["pool", "process"]),
    ("fsync", &["serial", "threads", "pool", "pool:workers=16", "process"]),
    ("gil", &["py-serial", "py-threads", "serial", "threads"]),
    (
        "heavy-tail",
        &["serial", "pool:chunk=1", "pool:chunk=auto", "pool:chunk=python", "pool:chunk=250", "process"],
    ),
    ("io-bound", &["serial", "threads", "pool", "pool:workers=64", "process"]),
    ("line-worker", &["serial", "threads", "pool", "process"]),
    ("memory", &["pool", "pool:workers=16", "process", "process:in-flight=16"]),
    ("million-expressions", &["serial", "pool"]),
    ("ordered", &["serial", "threads", "pool", "process"]),
    ("python-cpu-bound", &["py-serial", "py-threads", "py-pool:start=fork", "py-process:start=fork", "pool"]),
    (
        "python-ordered",
        &[
            "py-serial",
            "py-pool:start=fork:api=map",
            "py-pool:start=fork:api=imap",
            "py-pool:start=fork:api=apply_async",
            "py-pool:start=fork:api=imap_unordered",
        ],
    ),
    (
        "python-start-methods",
        &[
            "py-pool:start=fork",
            "py-pool:start=forkserver",
            "py-pool:start=spawn",
            "py-process:start=fork",
            "py-process:start=forkserver",
            "py-process:start=spawn",
        ],
    ),
    ("recorded-durations", &["serial", "threads", "pool:chunk=1", "pool:chunk=python", "process"]),
    ("shared-image", &["serial", "threads", "pool", "process"]),
    ("ship-arguments", &["serial", "threads", "pool", "process", "pool:transport=pipe"]),
    ("start-methods", &["pool", "pool:start=exec", "process", "process:start=exec"]),
    ("two-files", &["serial", "threads", "pool", "process"]),
    ("wide-expressions", &["serial", "threads", "pool", "process"]),
    ("xargs", &["serial", "threads", "pool", "process:in-flight=2", "process:in-flight=16", "process"]),
];

/// The specs that can be run here, if `test` is to run them.
fn runnable(test: &str) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    let has_python = common::has_python(test);
    SPECS.into_iter().filter(move |(_, rows)| has_python || !rows.iter().any(|row| row.starts_with("py-")))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench-configs")
}

fn path(name: &str) -> PathBuf {
    folder().join(format!("{name}.toml"))
}

fn procbench(name: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_procbench"))
        .arg("--config")
        .arg(path(name))
        .args(arguments)
        .output()
        .expect("procbench starts")
}

/// What procbench printed, having ended with 0.
fn printed(name: &str, arguments: &[&str]) -> String {
    let output = procbench(name, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{name} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("the output is text")
}

#[test]
fn every_spec_is_known_here_and_nothing_else_lies_there_but_what_one_names() {
    let mut found: Vec<String> = fs::read_dir(folder())
        .expect("there is a folder of specs")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    found.sort();
    found.retain(|file| file.ends_with(".toml") || !is_named_by_a_spec(file));
    let known: Vec<String> = SPECS.iter().map(|(name, _)| format!("{name}.toml")).collect();
    assert_eq!(found, known);
}

fn is_named_by_a_spec(file: &str) -> bool {
    SPECS.iter().any(|(name, _)| fs::read_to_string(path(name)).is_ok_and(|text| text.contains(file)))
}

#[test]
fn every_spec_begins_by_saying_what_it_is_for_and_what_to_look_at() {
    for (name, _) in SPECS {
        let text = fs::read_to_string(path(name)).expect("a spec is text");
        let comment: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        let first = comment.first().copied().unwrap_or_default();
        assert!(first.starts_with("# Claim \"") || first.starts_with("# Question: "), "{name}: {first}");
        assert!(comment.iter().any(|line| line.starts_with("# Look at: ")), "{name}: nothing to look at");
    }
}

#[test]
fn every_spec_resolves_to_the_rows_it_talks_about() {
    for (name, rows) in runnable("every_spec_resolves_to_the_rows_it_talks_about") {
        // A row begins with its name in the third column; its settings stand below, further in.
        let plan = printed(name, &["--dry-run"]);
        let named: Vec<&str> = plan
            .lines()
            .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(named, rows, "{name}: {plan}");
        assert!(plan.starts_with(&format!("{name}: ")), "{name} is titled otherwise: {plan}");
    }
}

#[test]
fn a_million_expressions_are_a_million() {
    let plan = printed("million-expressions", &["--dry-run"]);
    assert!(plan.contains("1,000,000 tasks"), "{plan}");
}

#[test]
fn every_spec_runs() {
    for (name, rows) in runnable("every_spec_runs") {
        // Everything as in the file, but for how much of it.
        let small = ["--tasks", "4", "--rounds", "1", "--quiet", "--json", "-"];
        let export: serde_json::Value =
            serde_json::from_str(&printed(name, &small)).expect("the export is JSON");
        let strategies = export["strategies"].as_array().expect("a list of strategies");
        let named: Vec<&str> = strategies.iter().filter_map(|row| row["name"].as_str()).collect();
        assert_eq!(named, rows, "{name}");
        for row in strategies {
            assert_eq!(row["rounds"].as_array().map(Vec::len), Some(1), "{name}: {}", row["name"]);
            assert_eq!(row["rounds"][0]["tasks_completed"], 4, "{name}: {}", row["name"]);
        }
    }
}
