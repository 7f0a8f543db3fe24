//! Input that nobody would write: specs, exports, sizes, durations, strategies, lines, messages of engines. It may be refused, with
//! a text that is not empty; nothing panics, nothing hangs, nothing takes much memory.
//!
//! Few inputs are tried of each kind, unless `PROCBENCH_FAULTS=full` is set: then a million.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use common::faults::{Count, times};
use procbench::engine::protocol::{Message, Request};
use procbench::measure::limits::Limits;
use procbench::plan::draft::{self, Chunk, Draft, InFlight, StrategyDraft, Words, Workers};
use procbench::plan::units::{self, Length, Percent, Seconds, Size};
use procbench::plan::{Machine, spec};
use procbench::workload::program::lines;
use procbench::workload::{OnFailure, Spread};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Counts what each thread has allocated, and the most it had.
struct Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static MOST: Cell<i64> = const { Cell::new(0) };
}

fn note(bytes: i64) {
    // A thread that ends may still free something.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: everything is handed on to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-(layout.size() as i64));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size as i64);
        // SAFETY: as the caller promises.
        let new = unsafe { System.realloc(pointer, layout, size) };
        note(-(layout.size() as i64));
        new
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that an input of at most a mebibyte may take.
const MOST_BYTES: i64 = 64 << 20;
/// Far longer than any input takes.
const LONGEST: Duration = Duration::from_secs(30);

/// Does `work` with `input`, and looks at what it took.
fn watched(input: &str, work: impl FnOnce(&str)) -> Result<(), TestCaseError> {
    let (before, started) = (HELD.get(), Instant::now());
    MOST.set(before);
    work(input);
    let took = MOST.get() - before;
    prop_assert!(took <= MOST_BYTES, "{took} bytes for an input of {}", input.len());
    prop_assert!(started.elapsed() < LONGEST, "{:?} for an input of {}", started.elapsed(), input.len());
    Ok(())
}

/// A refusal says something.
fn told<T>(read: Result<T, impl std::fmt::Display>) -> Option<T> {
    read.map_err(|error| assert!(!error.to_string().is_empty(), "a refusal without a word")).ok()
}

const TOKENS: &[&str] = &[
    "0",
    "-1",
    "1e9",
    "1e400",
    "18446744073709551616",
    "1_000",
    "NaN",
    "inf",
    "-0",
    "µs",
    "ms",
    "GiB",
    "x",
    ":",
    "=",
    ",",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "\"",
    "'''",
    "\n",
    "\r\n",
    "\t",
    "\\u0000",
    "\0",
    "#",
    "null",
    "true",
    "é",
    "\u{202e}",
    "𝄞",
    "workload",
    "tasks",
    "pool",
    "strategy",
    "retry:",
    "trace:",
    "lognormal:",
    "uniform:",
    "%",
    ".",
    "..",
    "/",
    "{}",
    "$(true)",
    ";",
];

/// One of `texts`, with a few places changed; or anything at all.
fn like(texts: Vec<String>) -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0_usize..40, prop::sample::select(TOKENS), 0_u8..4);
    let edited =
        (prop::sample::select(texts), prop::collection::vec(edit, 0..6)).prop_map(|(text, edits)| {
            let mut text: Vec<char> = text.chars().collect();
            for (place, length, token, kind) in edits {
                let start = place.index(text.len() + 1);
                let end = (start + length).min(text.len());
                match kind {
                    0 => drop(text.splice(start..end, token.chars())),
                    1 => drop(text.splice(start..start, token.chars())),
                    2 => drop(text.drain(start..end)),
                    _ => {
                        let again: Vec<char> = text[start..end].to_vec();
                        drop(text.splice(end..end, again));
                    }
                }
            }
            text.into_iter().collect()
        });
    prop_oneof![9 => edited, 1 => any::<String>()]
}

/// Tries `work` with many inputs like `texts`, and with large ones.
fn fuzz(what: &str, texts: Vec<String>, work: impl Fn(&str)) {
    let cases = times(400, 1_000_000);
    let mut count = Count::of(format!("fuzzing: {what}"));
    for large in large(&texts) {
        watched(&large, &work).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let tried = TestRunner::new(config).run(&like(texts), |input| watched(&input, &work));
    tried.unwrap_or_else(|error| panic!("{what}: {error}"));
    (0..cases).for_each(|_| count.survived());
}

/// Inputs of a mebibyte.
fn large(texts: &[String]) -> Vec<String> {
    const SIZE: usize = 1 << 20;
    let repeated = |piece: &str| piece.repeat(SIZE / piece.len().max(1));
    let mut all: Vec<String> = [
        "[",
        "{\"a\":",
        "9",
        "a = [",
        "a.",
        "\n",
        "x\n",
        "1ms\n",
        "\"",
        "'",
        "[[strategy]]\n",
        "pool:",
        "pool,",
        "é",
        "{}",
        "a=1\n",
    ]
    .map(repeated)
    .into();
    all.push(format!("[workload]\ntasks = {}\n", repeated("9")));
    all.push(format!("[workload]\ntasks = \"{}\"\n", repeated("9")));
    all.push(format!("[workload]\nworkload_name = \"{}\"\n", repeated("é")));
    all.push(format!("[workload]\ntasks = 1\ncommand = [{}]\n", repeated("\"a\", ")));
    all.extend(texts.iter().take(2).map(|text| repeated(text)));
    all
}

fn specs() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("bench-configs");
    let files = std::fs::read_dir(folder).expect("specs").map(|entry| entry.expect("a file").path());
    let specs = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    specs.map(|path| std::fs::read_to_string(path).expect("text")).collect()
}

#[test]
fn spec_files() {
    let machine = any_machine();
    fuzz("spec files", specs(), |text| {
        if let Some(draft) = told(spec::from_toml(text, "spec.toml")) {
            resolve(draft, &machine);
        }
    });
}

fn any_machine() -> Machine {
    Machine {
        effective_cores: 2,
        limits: Limits::default(),
        parked_process_bytes: 100 << 10,
        python: None,
        tools: Vec::new(),
    }
}

/// As far as no file is looked for.
fn resolve(mut draft: Draft, machine: &Machine) {
    draft.found = Some(Default::default());
    if let Some(plan) = told(draft.resolve(machine)) {
        // What it says, it can read again.
        let text = serde_json::to_string(&plan).expect("JSON");
        assert!(serde_json::from_str::<procbench::plan::Plan>(&text).is_ok(), "{text}");
    }
}

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
    let texts = ["a\nb\nc\n", "one line", "\n\n\n", "with spaces and {}\n$(true)\n"];
    fuzz("args files", texts.map(String::from).into(), |text| {
        for for_words in [false, true] {
            told(
                lines::count(text.as_bytes(), Some(1000), for_words, &mut io::sink())
                    .map_err(|error| format!("{error:#}")),
            );
        }
    });
}

#[test]
fn messages_of_engines() {
    let texts = [
        r#"{"type":"ready"}"#,
        r#"{"type":"progress","tasks_done":5,"alive":2}"#,
        r#"{"type":"limit","message":"no"}"#,
        r#"{"type":"report","total_seconds":1.0,"set_up_seconds":0.1,"execute_seconds":0.8,"tear_down_seconds":0.1,"cpu_user_seconds":1.0,"cpu_system_seconds":0.0,"tasks_completed":5,"tasks_failed":0,"retries":0,"processes_started":2,"peak_alive":2,"digest":"ab","work_units":0,"io_overshoot_mean_seconds":null,"io_overshoot_max_seconds":null,"failures":[]}"#,
    ];
    fuzz("messages of engines", texts.map(String::from).into(), |text| {
        told(serde_json::from_str::<Message>(text));
        told(serde_json::from_str::<Request>(text));
    });
}
