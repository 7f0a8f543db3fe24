//! What the fuzzing tests share: inputs that nobody would write, and eyes for what they do. An input may be refused, with a text
//! that is not empty; nothing panics, nothing hangs, nothing takes much memory.
//!
//! Few inputs are tried of each kind, unless `PROCBENCH_FAULTS=full` is set: then a million.

// Each file of tests is a crate of its own and uses what it needs.
#![allow(dead_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use procbench::measure::limits::Limits;
use procbench::plan::Machine;
use procbench::plan::draft::Draft;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::common::faults::{Count, times};

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
pub fn watched(input: &str, work: impl FnOnce(&str)) -> Result<(), TestCaseError> {
    let (before, started) = (HELD.get(), Instant::now());
    MOST.set(before);
    work(input);
    let took = MOST.get() - before;
    prop_assert!(took <= MOST_BYTES, "{took} bytes for an input of {}", input.len());
    prop_assert!(started.elapsed() < LONGEST, "{:?} for an input of {}", started.elapsed(), input.len());
    Ok(())
}

/// A refusal says something.
pub fn told<T>(read: Result<T, impl std::fmt::Display>) -> Option<T> {
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

/// Numbers at the edges of what can be read, and beyond.
const NUMBERS: &[&str] = &[
    "0",
    "-0.0",
    "-1",
    "1",
    "0.5",
    "5e-324",
    "1e-300",
    "1.7976931348623157e308",
    "-1.7976931348623157e308",
    "1e309",
    "4294967296",
    "9007199254740993",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "null",
    "\"1\"",
    "[]",
];

/// The number in `text` that begins at or behind `start`.
fn number_behind(text: &str, start: usize) -> Option<std::ops::Range<usize>> {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b".eE+-".contains(byte);
    let bytes = text.as_bytes();
    let first = start + bytes[start..].iter().position(u8::is_ascii_digit)?;
    let length = bytes[first..].iter().take_while(|byte| is_part(byte)).count();
    Some(first..first + length)
}

fn edit(text: &mut String, place: prop::sample::Index, length: usize, what: usize, kind: u8) {
    let boundary = |text: &str, at: usize| (0..=at.min(text.len())).rfind(|at| text.is_char_boundary(*at));
    let start = boundary(text, place.index(text.len() + 1)).unwrap_or(0);
    let end = boundary(text, start + length).unwrap_or(start).max(start);
    let token = TOKENS[what % TOKENS.len()];
    match kind {
        0 => text.replace_range(start..end, token),
        1 => text.insert_str(start, token),
        2 => text.replace_range(start..end, ""),
        3 => {
            let again = text[start..end].to_owned();
            text.insert_str(end, &again);
        }
        _ => {
            if let Some(number) = number_behind(text, start) {
                text.replace_range(number, NUMBERS[what % NUMBERS.len()]);
            }
        }
    }
}

/// One of `texts`, with a few places changed; or anything at all.
fn like(texts: Vec<String>) -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), 0_usize..40, 0_usize..10_000, 0_u8..7);
    let edited =
        (prop::sample::select(texts), prop::collection::vec(change, 0..6)).prop_map(|(mut text, changes)| {
            for (place, length, what, kind) in changes {
                edit(&mut text, place, length, what, kind);
            }
            text
        });
    prop_oneof![9 => edited, 1 => any::<String>()]
}

/// Tries `work` with many inputs like `texts`, and with large ones.
pub fn fuzz(what: &str, texts: Vec<String>, work: impl Fn(&str)) {
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

/// Inputs of a mebibyte, and of just under the largest that is read of a spec.
fn large(texts: &[String]) -> Vec<String> {
    [(256 << 10) - 256, 1 << 20].into_iter().flat_map(|size| of_size(size, texts)).collect()
}

fn of_size(size: usize, texts: &[String]) -> Vec<String> {
    let repeated = |piece: &str| piece.repeat(size / piece.len().max(1));
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
        "[[strategy]]\nmode = \"pool\"\n",
        "[[vary]]\n",
        "pool:",
        "pool,",
        "é",
        "{}",
        "a=1\n",
        "{\"schema_version\":[0,",
        "0,",
        "{\"\":",
    ]
    .map(repeated)
    .into();
    all.push(format!("[workload]\ntasks = {}\n", repeated("9")));
    all.push(format!("[workload]\ntasks = \"{}\"\n", repeated("9")));
    all.push(format!("[workload]\nworkload_name = \"{}\"\n", repeated("é")));
    all.push(format!("[workload]\ntasks = 1\ncommand = [{}]\n", repeated("\"a\", ")));
    all.push(format!("[workload]\ntasks = 1\n[vary]\ntasks = [{}1]\n", repeated("1,")));
    all.push(format!("[workload]\ntasks = 1\n[vary]\ntasks = \"{}1\"\n", repeated("1,")));
    all.push(format!("[workload]\n{}tasks = 1\n", repeated("a.a.a = 1\n")));
    all.push(format!("a = {}{}\n", repeated("[").split_at(size / 2).0, repeated("]").split_at(size / 2).0));
    all.push(format!("{{\"schema_version\": [{}0]}}", repeated("0,")));
    all.push(format!("{{\"schema_version\": [{}0]}}", repeated("{},")));
    all.push(format!("{{\"schema_version\": 1, \"strategies\": [{}0]}}", repeated("[],")));
    all.extend(texts.iter().take(2).map(|text| repeated(text)));
    all
}

/// The repository's own folder.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every spec that comes with the program.
pub fn specs() -> Vec<String> {
    let files = std::fs::read_dir(repository().join("bench-configs")).expect("specs");
    let files = files.map(|entry| entry.expect("a file").path());
    let specs = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    specs.map(|path| std::fs::read_to_string(path).expect("text")).collect()
}

/// A machine without limits.
pub fn any_machine() -> Machine {
    Machine {
        effective_cores: 2,
        limits: Limits::default(),
        parked_process_bytes: 100 << 10,
        python: None,
        tools: Vec::new(),
    }
}

/// Resolves `draft`, as far as no file is looked for.
pub fn resolve(mut draft: Draft, machine: &Machine) {
    draft.found = Some(Default::default());
    if let Some(plan) = told(draft.resolve(machine)) {
        // What it says, it can read again.
        let text = serde_json::to_string(&plan).expect("JSON");
        assert!(serde_json::from_str::<procbench::plan::Plan>(&text).is_ok(), "{text}");
    }
}
