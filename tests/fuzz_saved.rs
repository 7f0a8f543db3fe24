//! Texts that programs write, as none would: exports that are read again, and what engines say.

mod common;
mod fuzzing;

use std::io;
use std::path::Path;

use fuzzing::{any_machine, fuzz, repository, resolve, specs, told};
use procbench::document::Document;
use procbench::document::comparison::{RunComparison, Terms};
use procbench::document::head::{Head, Kind};
use procbench::engine::protocol::{Message, Request, VERSION};
use procbench::plan::spec;
use procbench::plan::vary::Variable;
use procbench::report;
use procbench::report::subject::Subject;
use procbench::saved;
use procbench::study::saved::Saved;
use procbench::study::sweep::{self, Sweep};

#[test]
fn exports_as_specs() {
    let machine = any_machine();
    let plans = specs().into_iter().filter_map(|text| spec::from_toml(&text, "spec.toml").ok());
    let texts = plans.filter_map(|mut draft| {
        draft.found = Some(Default::default());
        let plan = draft.resolve(&machine).ok()?;
        Some(format!("{{\"schema_version\": 1, \"plan\": {}}}", serde_json::to_string(&plan).expect("JSON")))
    });
    fuzz("saved JSON as --config", texts.collect(), |text| {
        if let Some(draft) = told(spec::from_json(text, "out.json")) {
            resolve(draft, &machine);
        }
    });
}

/// A recorded run, with two rounds of each strategy, so that there is not much that nobody looks at.
fn recorded(name: &str) -> Document {
    let folder = repository().join("results/2026-11-29-linux-intel-xeon");
    let mut document = Document::read(&folder.join(name)).expect("a recorded run");
    for row in &mut document.strategies {
        row.rounds.truncate(2);
    }
    document
}

fn json(of: &impl serde::Serialize) -> String {
    serde_json::to_string(of).expect("JSON")
}

#[test]
fn saved_runs() {
    let documents = ["disturbance.json", "million-expressions.json"].map(recorded);
    let path = Path::new("out.json");
    fuzz("saved runs", documents.iter().map(json).collect(), |text| {
        let Some(run) = told(Document::parse(text, path)) else { return };
        // What was read is shown in every way in which it can be.
        let runs = [Subject::from(&run)];
        report::write_for(&run, Some(80), &mut io::sink()).expect("nothing fails to be written");
        for export in [report::html::export, report::markdown::export, report::csv::export] {
            export(&runs).expect("an export");
        }
        let terms = Terms { fail_if_slower: Some(0.1), ..Terms::default() };
        if let Some(comparison) = told(RunComparison::of((path, &documents[0]), (path, &run), &terms)) {
            report::comparison::write(&comparison, Some(140), &mut io::sink())
                .expect("nothing fails to be written");
            report::comparison::markdown(&comparison).expect("text");
        }
    });
}

#[test]
fn saved_sweeps() {
    let variables = vec![Variable::parse("tasks=10,100").expect("a variable")];
    let document = recorded("million-expressions.json");
    let empty = || Sweep {
        head: Head {
            partial: true,
            command_line: ["procbench", "sweep", "--vary", "tasks=10,100"].map(String::from).into(),
            ..Head::now(Kind::Sweep)
        },
        variables: variables.clone(),
        strategies: document.strategies.iter().map(|row| row.name.clone()).collect(),
        seed: 1,
        estimate_seconds: Some(1.0),
        total_time_seconds: None,
        cells: sweep::cells(&variables, 1),
    };
    let mut whole = empty();
    (0..2).for_each(|cell| whole.record(cell, document.clone()));
    fuzz("saved sweeps", vec![json(&whole), json(&empty())], |text| {
        let read = saved::parse::<Sweep>(text, Path::new("out.json"), Kind::Sweep);
        let (Some(before), mut sweep) = (told(read), empty()) else { return };
        if told(sweep.resume(before)).is_some() {
            report::sweep::write(&sweep, &mut io::sink()).expect("nothing fails to be written");
            for export in [report::html::export, report::markdown::export, report::csv::export] {
                export(&[Subject::from(&sweep)]).expect("an export");
            }
        }
    });
}

/// `value` with no more than two of anything that there are many of.
fn with_two_of_each(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(items) => {
            items.truncate(2);
            items.iter_mut().for_each(with_two_of_each);
        }
        serde_json::Value::Object(fields) => fields.values_mut().for_each(with_two_of_each),
        _ => {}
    }
}

#[test]
fn saved_searches() {
    let folder = repository().join("results/2026-11-29-linux-intel-xeon");
    let path = Path::new("out.json");
    let texts = ["crossover", "advise", "claims"].map(|name| {
        let text =
            std::fs::read_to_string(folder.join(name).with_extension("json")).expect("a recorded search");
        let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        with_two_of_each(&mut value);
        let text = value.to_string();
        assert!(Saved::parse(&text, path).is_ok(), "{name}: with two of each it is none");
        text
    });
    fuzz("saved searches and claims", texts.into(), |text| {
        let Some(saved) = told(Saved::parse(text, path)) else { return };
        for export in [report::html::export, report::markdown::export, report::csv::export] {
            export(&[Subject::from(&saved)]).expect("an export");
        }
    });
}

#[test]
fn messages_of_engines() {
    let texts = [
        r#"{"type":"ready"}"#,
        r#"{"type":"progress","tasks_done":5,"alive":2}"#,
        r#"{"type":"limit","message":"no"}"#,
        r#"{"type":"report","total_seconds":1.0,"set_up_seconds":0.1,"execute_seconds":0.8,"tear_down_seconds":0.1,"cpu_seconds":1.0,"cpu_user_seconds":1.0,"cpu_system_seconds":0.0,"tasks_completed":5,"tasks_failed":0,"retries":0,"processes_started":2,"peak_alive":2,"digest":"ab","work_units":0,"io_overshoot_mean_seconds":null,"io_overshoot_max_seconds":null,"failures":[]}"#,
    ];
    // And what an engine is asked, of each row of a recorded run.
    let of_run = recorded("cpu-bound.json");
    let requests = of_run.plan.strategies.iter().map(|strategy| {
        let request = Request {
            protocol: VERSION,
            controller: 1,
            workload: of_run.plan.workload.clone(),
            strategy: strategy.clone(),
            latency: true,
            on_failure: of_run.plan.run.on_failure,
            verify: false,
        };
        serde_json::to_string(&request).expect("JSON")
    });
    let texts = texts.map(String::from).into_iter().chain(requests).collect();
    fuzz("messages of engines", texts, |text| {
        told(serde_json::from_str::<Message>(text));
        told(serde_json::from_str::<Request>(text));
    });
}
