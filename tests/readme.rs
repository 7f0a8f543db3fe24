//! The README and the pages behind it say what the program does: its flags, its exit codes, its commands and its output.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::CommandFactory;
use procbench::exit;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A page that users read.
struct Page {
    path: PathBuf,
    text: String,
}

fn page(name: &str) -> Page {
    let path = root().join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    Page { path, text }
}

/// The README and all that is in `docs/`.
fn pages() -> Vec<Page> {
    let docs = fs::read_dir(root().join("docs")).expect("there are pages behind the README");
    let names = docs.map(|entry| Path::new("docs").join(entry.expect("an entry").file_name()));
    let mut all: Vec<Page> = names.map(|name| page(name.to_str().expect("a name in letters"))).collect();
    all.push(page("README.md"));
    all
}

/// All that users read.
fn manual() -> String {
    pages().iter().map(|page| page.text.as_str()).collect::<Vec<_>>().join("\n")
}

fn procbench(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_procbench"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("procbench starts")
}

/// The texts of all fenced blocks in `language`.
fn fenced(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(of) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if of == language {
                blocks.push(block.join("\n"));
            }
        }
    }
    blocks
}

/// Every `--flag` in `text`.
fn long_flags(text: &str) -> BTreeSet<String> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '-'))
        .filter(|word| word.strip_prefix("--").is_some_and(|name| name.starts_with(char::is_alphabetic)))
        .map(str::to_owned)
        .collect()
}

/// What can be done instead of a benchmark.
const VERBS: [&str; 9] =
    ["advise", "claims", "sweep", "crossover", "report", "compare", "schema", "completions", "man"];

/// Those that run benchmarks, as many as it takes.
const SEARCHES: [&str; 3] = ["sweep", "crossover", "advise"];

#[test]
fn every_verb_is_known_here_and_in_the_manual() {
    let help = procbench(&["--help"], root());
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let (_, listed) = help.split_once("Instead of a benchmark:\n").expect("the help lists them");
    let listed: BTreeSet<&str> = listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    assert_eq!(listed, BTreeSet::from(VERBS));
    let manual = manual();
    for verb in VERBS {
        assert!(manual.contains(&format!("procbench {verb}")), "no page names {verb}");
    }
}

#[test]
fn the_columns_of_csv_are_those_of_the_program() {
    let reference = page("docs/reference.md").text;
    let (_, section) = reference.split_once("**CSV** has").expect("the reference describes CSV");
    let (section, _) = section.split_once("**Comparing**").expect("what comes next");
    let first_cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let named: Vec<String> =
        first_cells.flat_map(|cell| cell.split(", ")).map(|name| name.replace('`', "")).collect();
    assert_eq!(named, procbench::report::csv::columns().collect::<Vec<_>>());
}

/// Flags of other programs that commands of the manual use.
const OF_OTHERS: [&str; 5] = ["--release", "--path", "--joblog", "--will-cite", "--plain"];

#[test]
fn the_manual_and_the_help_name_the_same_flags() {
    let command = procbench::cli::Cli::command();
    let mut of_help = BTreeSet::new();
    for verb in std::iter::once(None).chain(command.get_subcommands().map(|verb| Some(verb.get_name()))) {
        let arguments: Vec<&str> = verb.into_iter().chain(["--help"]).collect();
        of_help.extend(long_flags(&String::from_utf8_lossy(&procbench(&arguments, root()).stdout)));
    }
    let mut of_manual = long_flags(&manual());
    of_manual.retain(|flag| !OF_OTHERS.contains(&flag.as_str()));
    let missing: Vec<_> = of_help.difference(&of_manual).collect();
    let invented: Vec<_> = of_manual.difference(&of_help).collect();
    assert!(missing.is_empty(), "flags that no page names: {missing:?}");
    assert!(invented.is_empty(), "flags that procbench does not have: {invented:?}");
}

/// The words of a command, as a shell would split it; a comment ends it.
fn words(line: &str) -> Vec<String> {
    let command = line.split_once(" #").map_or(line, |(command, _)| command);
    assert!(!command.contains(['\\', '|', '$', '>', '<', '&', ';']), "not a plain command: {command}");
    shlex::split(command).unwrap_or_else(|| panic!("not a plain command: {command}"))
}

/// The arguments of every procbench command in the manual, each once: lines that begin with `procbench `, or that run it
/// through cargo.
fn commands(manual: &str) -> Vec<Vec<String>> {
    let mut commands: Vec<Vec<String>> = Vec::new();
    for block in fenced(manual, "sh") {
        for line in block.lines() {
            let arguments =
                line.strip_prefix("procbench ").or_else(|| line.strip_prefix("cargo run --release -- "));
            let command = arguments.map(words);
            commands.extend(command.filter(|command| !commands.contains(command)));
        }
    }
    commands
}

/// A folder in which the manual's commands can be typed, removed when dropped.
fn playground() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::os::unix::fs::symlink(root().join("bench-configs"), folder.path().join("bench-configs"))
        .expect("the specs can be linked to");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("files.txt", "files.txt\nlines.txt\nworker.py\nfourth\n");
    write("fourth", "the fourth file to be compressed");
    // What the manual says was saved: a run of the same workload that can be compared with the one that it has saved just
    // before, whatever that took.
    let before = ["--tasks", "4", "--cpu", "20us", "--rounds", "1", "--json", "old.json"];
    assert_eq!(procbench(&before, folder.path()).status.code(), Some(exit::SUCCESS));
    write("lines.txt", "one\ntwo\nthree\nfour\n");
    write("worker.py", "import sys\nfor line in sys.stdin:\n    print(line.upper(), end='', flush=True)\n");
    fs::create_dir(folder.path().join("shop")).expect("a folder");
    write(
        "shop/prices.py",
        "def total(order):\n    return {'customer': order['customer'], 'sum': sum(order['items'])}\n",
    );
    write("orders.jsonl", &"{\"customer\": \"Ada\", \"items\": [3, 14, 15]}\n".repeat(4));
    folder
}

/// A program that the command needs and that is not on this machine.
fn missing_program(command: &[String]) -> Option<&'static str> {
    let needed = ["python3", "gzip", "xargs"]
        .into_iter()
        .filter(|name| command.iter().any(|word| word.contains(name)));
    needed.into_iter().find(|name| Command::new(name).arg("--version").output().is_err())
}

/// Twice: as it stands but planned only, and run with few tasks. A flag may not be given twice, so `--tasks` is replaced
/// where the command has it and added where it does not; files are written into a temporary folder.
#[test]
fn every_command_in_the_manual_works() {
    let folder = playground();
    let commands = commands(&manual());
    assert!(commands.len() >= 5, "too few commands were found: {commands:?}");
    let has_python = common::has_python("commands of the manual that name Python");
    let of_python = |word: &String| word.contains("python") || word.contains("py-") || word == "--call";
    let needs_python = |command: &Vec<String>| command.iter().any(of_python);
    for command in commands.into_iter().filter(|command| has_python || !needs_python(command)) {
        if let Some(missing) = missing_program(&command) {
            common::skip(&format!("{command:?}"), &format!("there is no {missing}"));
            continue;
        }
        let all: Vec<&str> = command.iter().map(String::as_str).collect();
        // What stands behind `--` is a command of the user's own.
        if all[0] == "claims" {
            // tests/claims.rs runs them.
            continue;
        }
        if VERBS.contains(&all[0]) && !SEARCHES.contains(&all[0]) {
            let output = procbench(&all, folder.path());
            let errors = String::from_utf8_lossy(&output.stderr);
            // Of runs as short as these hardly anything can be judged, and what can may be slower.
            let judges = all.contains(&"--fail-if-slower");
            let is_answer =
                |code| code == exit::SUCCESS || judges && [exit::FAILURE, exit::SLOWER].contains(&code);
            assert!(output.status.code().is_some_and(is_answer), "{all:?}: {:?}: {errors}", output.status);
            continue;
        }
        let (own, program) = all.split_at(all.iter().position(|word| *word == "--").unwrap_or(all.len()));
        let mut planned = own.to_vec();
        let mut run = own.to_vec();
        if !planned.contains(&"--dry-run") {
            planned.push("--dry-run");
        }
        // What a sweep varies is not given besides.
        let varies_tasks = own.iter().any(|word| word.starts_with("tasks="));
        match run.iter().position(|word| ["--tasks", "-n"].contains(word)) {
            Some(at) => run[at + 1] = "4",
            None if varies_tasks => {}
            None => run.extend(["--tasks", "4"]),
        }
        match run.iter().position(|word| *word == "--rounds") {
            Some(at) => run[at + 1] = "1",
            None => run.extend(["--rounds", "1"]),
        }
        // What a search runs depends on what it finds, so it has no plan; and it says itself when it ends.
        if own.first().is_some_and(|verb| ["crossover", "advise"].contains(verb)) {
            planned = [own, &["--help"]].concat();
            run = [own, &["--quiet"]].concat();
            match run.iter().position(|word| *word == "--time-limit") {
                Some(at) => run[at + 1] = "6s",
                None => run.extend(["--time-limit", "6s"]),
            }
        }
        for mut arguments in [planned, run].map(|arguments| [&arguments, program].concat()) {
            let mut output = procbench(&arguments, folder.path());
            // So little time is too little on a busy machine, and is said to be.
            if let Some(at) = arguments.iter().position(|word| *word == "--time-limit")
                && output.status.code() == Some(exit::LIMIT)
                && String::from_utf8_lossy(&output.stderr).contains("within the time limit")
            {
                arguments[at + 1] = "90s";
                output = procbench(&arguments, folder.path());
            }
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(exit::SUCCESS), "{arguments:?}: {errors}");
        }
    }
}

#[test]
fn the_specs_in_the_manual_are_specs() {
    let folder = playground();
    let specs = fenced(&manual(), "toml");
    assert!(!specs.is_empty(), "no page shows a spec");
    for spec in specs {
        let file = folder.path().join("spec.toml");
        fs::write(&file, &spec).expect("the spec can be written");
        let output = procbench(&["--config", "spec.toml", "--dry-run"], folder.path());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit::SUCCESS), "{spec}\n{errors}");
    }
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let reference = page("docs/reference.md").text;
    let (_, section) = reference.split_once("## Exit codes").expect("the reference lists exit codes");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let listed: BTreeSet<i32> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_whitespace().next()?.trim_matches('`').parse().ok())
        .collect();
    let program = [exit::SUCCESS, exit::FAILURE, exit::USAGE, exit::LIMIT, exit::SLOWER, exit::INTERRUPTED];
    assert_eq!(listed, BTreeSet::from(program));
}

#[test]
fn the_readme_says_how_to_test() {
    assert!(
        fenced(&page("README.md").text, "sh")
            .iter()
            .any(|block| block.lines().any(|line| line == "cargo test"))
    );
}

#[test]
fn the_output_shown_is_that_of_a_recorded_run() {
    assert!(!fenced(&page("README.md").text, "text").is_empty(), "the README shows no output");
    let shown = fenced(&manual(), "text");
    let recorded: Vec<String> = fs::read_dir(root().join("results"))
        .expect("there are results")
        .filter_map(|entry| fs::read_dir(entry.expect("an entry").path()).ok())
        .flatten()
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| fs::read_to_string(path).expect("a recorded run is text"))
        .collect();
    for output in shown {
        assert!(recorded.iter().any(|text| text.contains(&output)), "nobody recorded this:\n{output}");
    }
}

/// What `text` links to or shows, but for other sites.
fn linked(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).collect()
}

/// Where a heading of `text` can be linked to: its words in small letters, with dashes between them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-'].contains(letter));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn everything_that_the_manual_links_to_exists() {
    for Page { path, text } in pages() {
        for target in linked(&text) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file =
                if file.is_empty() { path.clone() } else { path.parent().expect("a folder").join(file) };
            assert!(file.exists(), "{}: {target} is missing", path.display());
            if !anchor.is_empty() {
                let there = anchors(&fs::read_to_string(&file).expect("a page"));
                assert!(there.contains(anchor), "{}: {target} is none of {there:?}", path.display());
            }
        }
    }
}

#[test]
fn the_readme_leads_to_every_page() {
    let readme = page("README.md");
    for Page { path, .. } in pages().into_iter().filter(|page| page.path != readme.path) {
        let name = path.strip_prefix(root()).expect("a page of this folder").to_str().expect("letters");
        assert!(linked(&readme.text).contains(&name), "the README does not link to {name}");
    }
}

/// The section of the README under `heading`.
#[track_caller]
fn section(readme: &str, heading: &str) -> String {
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).expect("the README has this section");
    section.split_once("\n## ").map_or(section, |(section, _)| section).to_owned()
}

#[test]
fn what_the_articles_got_right_is_what_was_recorded() {
    use procbench::study::claims::{ALL, ClaimsReport, Stated};
    let section = section(&page("README.md").text, "What the articles got right");
    let recorded = linked(&section).into_iter().find(|path| path.ends_with("claims.json"));
    let recorded = root().join(recorded.expect("a link to the recorded run"));
    let text = fs::read_to_string(recorded).expect("the recorded run");
    let report: ClaimsReport = serde_json::from_str(&text).expect("a run of claims");
    assert_eq!(report.claims.len(), ALL.len(), "not all claims were recorded");
    assert!(!report.quick && !report.partial);
    let mut figures = 0;
    for tested in &report.claims {
        let Stated { name, says, .. } = &tested.claim;
        let row = format!("| {name}: {says} | **{}** |", tested.verdict_in_words());
        let line = section.lines().find(|line| line.starts_with(&row));
        let line = line.unwrap_or_else(|| panic!("the README does not say: {row}"));
        let measured: Vec<String> = tested
            .findings
            .iter()
            .flat_map(|finding| &finding.evidence)
            .map(|evidence| evidence.in_words())
            .collect();
        for figure in figures_with_intervals(line) {
            assert!(
                measured.contains(&figure),
                "{figure} was not measured for {}: {measured:#?}",
                tested.claim.name
            );
            figures += 1;
        }
    }
    assert!(figures >= 12, "few figures: {figures}");
}

/// What `text` gives as `3.13 × (2.90 to 3.44)` or `22.8 ms (7.71 to 43.7)`, as evidence is printed: `3.13 × (2.90 … 3.44 ×)`.
fn figures_with_intervals(text: &str) -> Vec<String> {
    let mut figures = Vec::new();
    let mut before = text;
    while let Some((rest, interval)) =
        before.rsplit_once(" (").and_then(|(rest, after)| Some((rest, after.split_once(')')?.0)))
    {
        before = rest;
        let Some((low, high)) = interval.split_once(" to ") else { continue };
        let mut words = rest.rsplit(' ');
        let (Some(unit), Some(value)) = (words.next(), words.next()) else { continue };
        let high = if high.contains(' ') { high.to_owned() } else { format!("{high} {unit}") };
        figures.push(format!("{value} {unit} ({low} … {high})"));
    }
    figures
}

#[test]
fn the_commands_that_put_claims_to_the_test_are_understood() {
    use clap::Parser;
    let of_claims: Vec<_> =
        commands(&manual()).into_iter().filter(|command| command[0] == "claims").collect();
    assert!(!of_claims.is_empty(), "no page shows how");
    for command in of_claims {
        let words = ["procbench".to_owned()].into_iter().chain(command.iter().cloned());
        procbench::cli::Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    }
}
