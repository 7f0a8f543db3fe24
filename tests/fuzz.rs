//! Texts that people write, as nobody would: specs, sizes, durations, strategies, variables, lines of arguments, traces.

mod common;
mod fuzzing;

use std::{fs, io};

use fuzzing::{any_machine, fuzz, resolve, specs, told};
use procbench::plan::draft::{self, Chunk, InFlight, StrategyDraft, Words, Workers};
use procbench::plan::units::{self, Length, Percent, Seconds, Size};
use procbench::plan::vary::{MOST_VALUES, Variable};
use procbench::plan::{spec, trace};
use procbench::workload::program::lines::{Lines, LinesSpec};
use procbench::workload::program::{SuccessCodes, json_lines, lines};
use procbench::workload::{OnFailure, Spread};

#[test]
fn spec_files() {
    let machine = any_machine();
    fuzz("spec files", specs(), |text| {
        if let Some(draft) = told(spec::from_toml(text, "spec.toml")) {
            resolve(draft, &machine);
        }
    });
}

#[test]
fn sizes_and_durations_and_other_words() {
    let texts = [
        "1MiB",
        "64KiB",
        "25MB",
        "1_000_000",
        "1e6",
        "1M",
        "20us",
        "5ms",
        "1.5s",
        "2m",
        "1h",
        "4x",
        "auto",
        "python",
        "all",
        "2%",
        "continue",
        "stop",
        "retry:3",
        "exponential",
        "lognormal:1.0",
        "uniform:0.5",
        "trace:file",
        "trace",
        "printf '%s' {}",
        "shared-memory",
        "pipe",
        "fork",
        "exec",
        "cgroup",
        "sleep",
        "synthetic",
    ];
    fuzz("sizes, durations, words", texts.map(String::from).into(), |text| {
        told(text.parse::<Size>());
        told(text.parse::<Seconds>());
        told(text.parse::<Length>());
        told(text.parse::<Percent>());
        told(text.parse::<units::Count>());
        told(text.parse::<Words>());
        told(text.parse::<Workers>());
        told(text.parse::<InFlight>());
        told(text.parse::<Chunk>());
        told(text.parse::<OnFailure>());
        told(text.parse::<Spread>());
        told(draft::parse_transport(text));
        told(draft::parse_start(text));
        told(draft::parse_engine(text));
        told(draft::parse_api(text));
        told(draft::parse_memory_method(text));
        told(draft::parse_io(text));
        told(draft::parse_kind(text));
    });
}

#[test]
fn strategies() {
    let texts = [
        "serial",
        "pool:workers=8:chunk=1",
        "process:in-flight=all",
        "py-pool:start=spawn:api=imap",
        "pool:transport=pipe:start=exec",
        "threads:workers=4x",
    ];
    fuzz("strategies", texts.map(String::from).into(), |text| {
        if let Some(row) = told(text.parse::<StrategyDraft>()) {
            // What it is called reads as the same again.
            let name = row.to_string();
            assert_eq!(name.parse::<StrategyDraft>().map(|again| again.to_string()), Ok(name));
        }
    });
}

#[test]
fn lines_of_args_files() {
    let texts = ["a\nb\nc\n", "one line", "\n\n\n", "with spaces and {}\n$(true)\n", "no text: ~\n~~\n"];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lines");
    fuzz("args files", texts.map(String::from).into(), |text| {
        let bytes = bytes_of(text);
        let [any, _] = [false, true].map(|for_words| {
            told(
                lines::count(bytes.as_slice(), Some(1000), for_words, &mut io::sink())
                    .map_err(|error| format!("{error:#}")),
            )
        });
        // What was counted can be had, line by line.
        let Some(counted) = any.filter(|counted| counted.bytes > 0) else { return };
        fs::write(&path, &bytes).expect("a file");
        let spec = LinesSpec::of(counted, path.clone());
        let lines = Lines::read(&spec).expect("what was counted");
        for (number, line) in bytes.split(|byte| *byte == b'\n').take(spec.count as usize).enumerate() {
            assert_eq!(lines.get(number as u64), line, "line {number}");
        }
    });
}

/// The same, but with bytes of which no text consists in place of tildes.
fn bytes_of(text: &str) -> Vec<u8> {
    text.bytes().map(|byte| if byte == b'~' { 0xff } else { byte }).collect()
}

#[test]
fn lines_of_json_args_files() {
    let texts = [
        "1\n[2, \"b\"]\n{\"c\": null}\n",
        "\"one\\ud83d line\"",
        "\n\n[1,\n",
        "[[[[[[[[0]]]]]]]]\n-1e999\n",
        "\"~\"\n",
    ];
    fuzz("JSON args files", texts.map(String::from).into(), |text| {
        told(
            json_lines::count(bytes_of(text).as_slice(), Some(1000), &mut io::sink())
                .map_err(|error| format!("{error:#}")),
        );
    });
}

#[test]
fn exit_codes_and_evaluators() {
    let texts = ["0", "0,1,2", "0-3,77", "1-255", "own", "formulas"];
    fuzz("exit codes, evaluators", texts.map(String::from).into(), |text| {
        told(text.parse::<SuccessCodes>());
        told(draft::parse_evaluator(text));
    });
}

#[test]
fn variables_of_sweeps() {
    let texts = [
        "tasks=1..1e6",
        "tasks=1..1e6:13",
        "io-wait=0..1s,2s",
        "io-wait=1ms..1s:5",
        "arg_size=1KiB..1MiB:3",
        "workers=1,2,4x",
        "spread=constant,lognormal:1.5",
        "chunk=auto,1,python",
        "memory=0..1e12:100",
    ];
    fuzz("variables of sweeps", texts.map(String::from).into(), |text| {
        let Some(variable) = told(Variable::parse(text)) else { return };
        assert!((1..=MOST_VALUES).contains(&variable.values.len()), "{variable:?}");
        // Its values are such as could have been listed.
        let values: Vec<&str> = variable.values.iter().map(|value| value.text.as_str()).collect();
        assert_eq!(Variable::of(&variable.key, &values.join(",")), Ok(variable.clone()));
    });
}

#[test]
fn traces() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace");
    let texts = ["# jobs of a day\n12ms\n0.75\r\n 1.5s \n0\n1e-3\n2m", "1\n2\n3\n\n", "0.001\n"];
    fuzz("traces", texts.map(String::from).into(), |text| {
        std::fs::write(&path, text).expect("a file");
        if let Some(trace) = told(trace::read(&path)) {
            assert!(trace.summary.durations > 0 && trace.summary.mean_seconds > 0.0, "{:?}", trace.summary);
        }
    });
}
