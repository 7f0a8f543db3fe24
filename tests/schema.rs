//! The schema is that of what is written: every recorded result holds to it, and it says no to what is not one.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::Sandbox;
use common::studies::make_all;
use serde_json::{Value, json};

fn schema(of: &str) -> Value {
    let finished = Sandbox::new().run(["schema", of]).expect_code(0);
    serde_json::from_str(&finished.stdout).expect("JSON")
}

fn recorded() -> Vec<PathBuf> {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    let folders =
        fs::read_dir(results).expect("there are results").map(|entry| entry.expect("an entry").path());
    let files = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let files = files.map(|entry| entry.expect("an entry").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

#[track_caller]
fn assert_valid(validator: &jsonschema::Validator, document: &Value, name: &str) {
    let errors: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}

const KINDS: [&str; 6] = ["run", "comparison", "sweep", "crossover", "advice", "claims"];

fn validators() -> BTreeMap<&'static str, jsonschema::Validator> {
    KINDS.iter().map(|kind| (*kind, jsonschema::validator_for(&schema(kind)).expect("a schema"))).collect()
}

/// What a document says that it is. Claims did not say so at first.
fn kind_of(document: &Value) -> &str {
    let unsaid = if document.get("claims").is_some() { "claims" } else { "run" };
    document.get("kind").and_then(Value::as_str).unwrap_or(unsaid)
}

/// `document` holds to the schema of its kind, and to no other.
#[track_caller]
fn assert_kind(
    validators: &BTreeMap<&str, jsonschema::Validator>,
    document: &Value,
    name: &str,
    expected: &str,
) {
    assert_eq!(kind_of(document), expected, "{name}");
    assert_valid(&validators[expected], document, name);
    for (other, validator) in validators.iter().filter(|(other, _)| **other != expected) {
        assert!(!validator.is_valid(document), "{name} is not {other}");
    }
}

#[test]
fn every_recorded_result_holds_to_the_schema_of_its_kind() {
    let validators = validators();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for path in recorded() {
        let text = fs::read_to_string(&path).expect("a recorded result");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let kind = kind_of(&document).to_owned();
        assert_kind(&validators, &document, &path.display().to_string(), &kind);
        *found.entry(kind).or_default() += 1;
    }
    assert!(found["run"] >= 20 && found["claims"] >= 1, "only {found:?}");
}

#[test]
fn what_is_written_now_holds_to_the_schema() {
    let sandbox = Sandbox::new();
    let validators = validators();
    let read = |name: &str| -> Value {
        let text = fs::read_to_string(sandbox.path(name)).expect("the export");
        serde_json::from_str(&text).expect("JSON")
    };
    for arguments in [
        "-n 9 --rounds 1 --overhead --spread uniform:0.5 --cpu 1us",
        "-n 9 --rounds 5 --io echo --io-wait 1us",
    ] {
        sandbox.measure(arguments);
        assert_kind(&validators, &read("measured.json"), arguments, "run");
    }
    let compare = "compare measured.json measured.json --json compared.json";
    sandbox.run(compare.split(' ')).expect_code(0);
    assert_kind(&validators, &read("compared.json"), compare, "comparison");
    for file in make_all(&sandbox) {
        let kind = if file == "map.json" { "sweep" } else { file.trim_end_matches(".json") };
        assert_kind(&validators, &read(&file), &file, kind);
    }
}

#[test]
fn what_is_no_run_does_not_hold_to_the_schema() {
    let validator = jsonschema::validator_for(&schema("run")).expect("a schema");
    let path = recorded().into_iter().find(|path| path.ends_with("cpu-bound.json")).expect("a recorded run");
    let good: Value = serde_json::from_str(&fs::read_to_string(path).expect("text")).expect("JSON");
    assert_valid(&validator, &good, "cpu-bound");
    for (place, value) in [
        ("/schema_version", json!(2)),
        ("/partial", json!("no")),
        ("/plan/workload/tasks", json!(-1)),
        ("/plan/workload/kind", json!("magic")),
        ("/strategies/0/mode", json!("poool")),
        ("/strategies/0/summary/total_seconds/median", json!("fast")),
        ("/strategies/0/rounds/0/total_seconds", Value::Null),
        ("/warnings", json!({})),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(place).expect("the place") = value.clone();
        assert!(!validator.is_valid(&bad), "{place} = {value}");
    }
}

#[test]
fn the_schema_says_its_version_and_describes_every_field() {
    for of in KINDS {
        let schema = schema(of);
        assert_eq!(schema["properties"]["schema_version"]["const"], procbench::document::SCHEMA_VERSION);
        let mut unsaid = Vec::new();
        described(&schema, of, &mut unsaid);
        assert!(unsaid.is_empty(), "without a description: {unsaid:#?}");
    }
    let finished = Sandbox::new().run(["schema", "weather"]).expect_code(2);
    assert!(finished.stderr.contains("run, comparison, sweep, crossover, advice, claims"), "{finished:?}");
}

/// Collects the properties in `schema` that have no description.
fn described(schema: &Value, place: &str, unsaid: &mut Vec<String>) {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    for (name, property) in properties {
        let text = property.get("description").and_then(Value::as_str).unwrap_or_default();
        if text.is_empty() || text.contains("[`") {
            unsaid.push(format!("{place}.{name}"));
        }
    }
    for (name, definition) in schema.get("$defs").and_then(Value::as_object).into_iter().flatten() {
        described(definition, name, unsaid);
    }
}
