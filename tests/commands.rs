//! Commands of the user's own as tasks: what they are given, what they leave, and what is refused.

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use common::programs::{MODES, last, reasons, run};
use common::{Sandbox, digest, flowing, skip};

#[test]
fn each_task_is_one_command_in_every_mode() {
    let sandbox = Sandbox::new();
    let arguments = ["-n", "12", "--rounds", "1", "-m", &MODES.join(","), "--", "true"];
    let (document, _) = run(&sandbox, &arguments);
    for (mode, started, most_alive) in [(0, 12, 1), (1, 12, 2), (2, 14, 4), (3, 12, 3)] {
        let report = &last(&document, MODES[mode]).report;
        assert_eq!((report.tasks_completed, report.tasks_failed), (12, 0), "{report:?}");
        assert_eq!(report.processes_started, started, "{}: {report:?}", MODES[mode]);
        assert!((1..=most_alive).contains(&report.peak_alive), "{}: {report:?}", MODES[mode]);
    }
    assert!(!digest(&document).is_empty());
    assert_eq!(document.plan.workload.kind.name(), "command");
}

#[test]
fn whoever_starts_programs_is_told_that_strangers_cannot_be_told_from_them() {
    let sandbox = Sandbox::new();
    let (_, finished) = run(&sandbox, &["-n", "2", "--rounds", "1", "-m", "serial", "--", "true"]);
    if !Path::new("/proc/stat").exists() {
        return skip("whoever_starts_programs", "there is no /proc/stat to count new processes in");
    }
    let flowing = flowing(&finished.stdout);
    let said = "processes started by others are not known: those that the tasks' programs start are counted with them";
    assert!(flowing.contains(said), "{flowing}");
}

#[test]
fn an_exit_code_that_is_no_failure_is_none_in_any_mode() {
    let sandbox = Sandbox::new();
    let all = ["-n", "3", "--rounds", "1", "-m", &MODES.join(","), "--shell"];
    // The task's number is its exit code.
    let (document, _) = run(&sandbox, &[&all[..], &["--success-codes", "0,2", "--", "exit {}"]].concat());
    for mode in MODES {
        let round = last(&document, mode);
        assert_eq!(reasons(round), [(1, "exit code 1")], "{mode}");
    }
    let (document, finished) =
        run(&sandbox, &[&all[..], &["--success-codes", "0,1,2", "--", "exit {}"]].concat());
    assert_eq!((finished.code(), document.tasks_failed()), (Some(0), 0));
    let plan =
        sandbox.run(["-n", "3", "--success-codes", "0,1,2", "--dry-run", "--", "true"]).expect_code(0).stdout;
    assert!(plan.contains("Exit codes that are no failure: 0,1,2"), "{plan}");
}

/// What `echo` with these arguments writes for the first task, in every mode the same.
#[track_caller]
fn echoed(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let mut all = vec!["--rounds", "1", "--output", "kept", "--mode"];
    let modes = MODES.join(",");
    all.push(&modes);
    all.extend(arguments);
    let (_, finished) = run(sandbox, &all);
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    let written = |mode: &str| fs::read_to_string(sandbox.path("kept").join(mode).join("0.out"));
    let texts: Vec<String> = MODES.iter().map(|mode| written(mode).expect("what was written")).collect();
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}");
    texts.into_iter().next().expect("a text")
}

#[test]
fn a_placeholder_is_the_tasks_number_or_its_line() {
    let sandbox = Sandbox::new();
    sandbox.write("lines.txt", "a  b\nsecond\n");
    let lines = ["--args-from", "lines.txt", "--", "echo"];
    assert_eq!(echoed(&sandbox, &["-n", "2", "--", "echo", "task {}!", "{}"]), "task 0! 0\n");
    assert_eq!(echoed(&sandbox, &["-n", "2", "--", "echo", "nothing"]), "nothing\n", "nothing is appended");
    assert_eq!(echoed(&sandbox, &lines), "a  b\n", "a line is appended as one word");
    assert_eq!(echoed(&sandbox, &[&lines[..], &["<{}>", "{}{}"]].concat()), "<a  b> a  ba  b\n");
}

#[test]
fn whoever_claims_a_chunk_executes_it_one_task_after_another() {
    // The first task waits for what the second one does: for ever, if both are in one chunk. Not so in the first round, which is
    // a pilot: on one processor it has the first task alone.
    let script = "case {} in 0) test $(wc -l <rounds) -eq 1 || until test -e done; do sleep 0.01; done;; \
                  1) touch done;; esac";
    for mode in ["threads:workers=2", "pool:workers=2"] {
        let chunk = |size: u64, more: &[&str]| {
            let mode = format!("{mode}:chunk={size}");
            let arguments = ["-n", "2", "--rounds", "1", "--warmup", "0", "-m", &mode];
            let sandbox = Sandbox::new();
            let command = ["--prepare", "rm -f done; echo >>rounds", "--shell", "--", script];
            let (document, _) = run(&sandbox, &[&arguments[..], more, &command].concat());
            last(&document, &mode).clone()
        };
        assert_eq!(chunk(1, &[]).report.tasks_completed, 2, "{mode}");
        assert_eq!(reasons(&chunk(2, &["--timeout", "2s"])), [(0, "timed out after 2 s")], "{mode}");
    }
}

#[test]
fn a_line_is_never_executed_whatever_is_in_it() {
    let sandbox = Sandbox::new();
    let line = "$(touch evil) `touch evil` ; touch evil # ' \"";
    sandbox.write("lines.txt", format!("{line}\n"));
    let lines = ["--args-from", "lines.txt"];
    let expected = format!("{line}\n");
    for command in [
        &["--", "echo"][..],
        &["--shell", "--", "printf '%s\\n' {}"],
        &["--shell", "--", "printf '%s\\n' \"{}\""],
        &["--shell", "--", "printf '%s\\n' '{}'"],
        &["--shell", "--", "printf '%s\\n'"],
    ] {
        assert_eq!(echoed(&sandbox, &[&lines[..], command].concat()), expected, "{command:?}");
        assert!(!sandbox.path("evil").exists(), "{command:?}");
    }
}

#[test]
fn commands_are_run_here_with_the_users_environment_and_nothing_to_read() {
    let sandbox = Sandbox::new();
    sandbox.write("marker", "");
    let script = "test -e marker && test \"$OF_THE_USER\" = yes && test -z \"$(cat)\"";
    for mode in MODES {
        let arguments = ["-n", "2", "--rounds", "1", "-q", "-m", mode, "--", "sh", "-c", script];
        let mut command = sandbox.command(arguments);
        command.env("OF_THE_USER", "yes");
        sandbox.run_command(command).expect_code(0);
    }
}

#[test]
fn each_way_to_fail_is_told_with_the_task_and_its_line() {
    let sandbox = Sandbox::new();
    let unreadable = sandbox.write("plain.txt", "no program");
    let unreadable = unreadable.to_str().expect("UTF-8");
    sandbox.write("lines.txt", "exit 0\nexit 3\nkill -SEGV $$\nkill -9 $$");
    sandbox.write("programs.txt", format!("true\nno-such-program\n{unreadable}\n./no-such-file\nfalse\n"));
    for mode in MODES {
        let lines = ["--rounds", "1", "-m", mode, "--args-from"];
        let (document, finished) = run(&sandbox, &[&lines[..], &["lines.txt", "--", "sh", "-c"]].concat());
        assert_eq!(finished.code(), Some(1), "{finished:?}");
        let round = last(&document, mode);
        let expected = [(1, "exit code 3"), (2, "killed by SIGSEGV"), (3, "killed by SIGKILL")];
        assert_eq!(reasons(round), expected, "{mode}");
        assert_eq!(round.report.failures[0].line.as_deref(), Some("exit 3"));
        assert_eq!((round.report.tasks_completed, round.report.tasks_failed), (1, 3));
        let told = finished.stderr.replace('\n', " ");
        assert!(told.contains("task 1 (\"exit 3\"): exit code 3"), "{finished:?}");

        let (document, _) = run(&sandbox, &[&lines[..], &["programs.txt", "--", "{}"]].concat());
        let expected = [(1, "not found"), (2, "not executable"), (3, "not found"), (4, "exit code 1")];
        assert_eq!(reasons(last(&document, mode)), expected, "{mode}");
    }
}

#[test]
fn every_failed_task_is_listed_and_each_reason_is_shown() {
    let sandbox = Sandbox::new();
    let command = "[ {} -lt 30 ] || kill -SEGV $$; exit 3";
    let arguments = ["-n", "31", "--rounds", "1", "-m", "serial", "--shell", "--", command];
    let (document, finished) = run(&sandbox, &arguments);
    assert_eq!(finished.code(), Some(1), "{finished:?}");
    let found = reasons(last(&document, "serial"));
    assert_eq!(found.len(), 31);
    assert_eq!(found[29..], [(29, "exit code 3"), (30, "killed by SIGSEGV")]);
    assert!(finished.stderr.contains("SIGSEGV"), "whatever the first ones have failed of: {finished:?}");
}

#[test]
fn that_all_fail_is_told_at_once_and_in_one_warning_of_all_strategies() {
    let sandbox = Sandbox::new();
    let arguments = ["-n", "3", "--rounds", "2", "-m", "serial,process", "--json", "out.json"];
    let finished = sandbox.run([&arguments[..], &["--", "false"]].concat()).expect_code(1);
    let document = common::parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
    let told = finished.stderr.lines().next().unwrap_or_default();
    assert!(
        told.ends_with("failed (task 0: exit code 1), and the run goes on: Ctrl-C ends it"),
        "{finished:?}"
    );
    let failed: Vec<&str> = document
        .warnings
        .iter()
        .filter(|warning| warning.code == "tasks_failed")
        .map(|warning| warning.message.as_str())
        .collect();
    let [only] = failed[..] else { panic!("{failed:?}") };
    assert!(only.starts_with("serial, process: each 6 tasks failed in 2 timed rounds"), "{only}");

    let some = [&arguments[..], &["--shell", "--", "test {} != 0"]].concat();
    let finished = sandbox.run(some).expect_code(1);
    assert!(!finished.stderr.contains("the run goes on"), "not all of them fail: {finished:?}");
}

#[test]
fn a_task_that_stops_whoever_measures_is_found_by_the_timeout() {
    for mode in ["serial", "process"] {
        let sandbox = Sandbox::new();
        let arguments = ["-n", "6", "--rounds", "1", "--timeout", "300ms", "-m", mode, "--shell", "--"];
        let finished =
            sandbox.run(arguments.iter().chain(&["[ {} != 3 ] || kill -STOP $PPID"])).expect_code(1);
        assert!(finished.error().contains("has stopped the runner"), "{mode}: {finished:?}");
    }
}

#[test]
fn a_task_that_stops_the_worker_of_a_pool_which_has_started_it_has_timed_out() {
    for (mode, policy, retries) in [
        ("pool:workers=2:chunk=2", "continue", 0),
        ("pool:workers=2:transport=pipe", "continue", 0),
        ("pool:workers=2:chunk=1", "retry:1", 1),
    ] {
        let sandbox = Sandbox::new();
        let arguments = ["-n", "6", "--rounds", "1", "--timeout", "3s", "--on-failure", policy];
        let command = ["-m", mode, "--shell", "--", "[ {} != 3 ] || kill -STOP $PPID"];
        let (document, finished) = run(&sandbox, &[&arguments[..], &command[..]].concat());
        assert_eq!(finished.code(), Some(1), "{finished:?}");
        let round = last(&document, mode);
        assert_eq!(reasons(round), [(3, "timed out after 3 s")], "{mode}, {policy}: {finished:?}");
        let report = &round.report;
        assert_eq!((report.tasks_completed, report.retries), (5, retries), "{mode}, {policy}: {report:?}");
    }
}

/// Whoever did one task and dies in the next has answered for the first.
#[test]
fn a_task_that_kills_its_worker_is_the_one_that_fails_in_every_pool() {
    for mode in [
        "pool:workers=2:chunk=2",
        "pool:workers=2:chunk=3:transport=pipe",
        "pool:workers=1:chunk=1:transport=pipe",
    ] {
        let sandbox = Sandbox::new();
        let arguments = ["-n", "6", "--rounds", "1", "--on-failure", "continue", "-m", mode];
        let command = ["--shell", "--", "[ {} != 3 ] || kill -KILL $PPID"];
        let (document, finished) = run(&sandbox, &[&arguments[..], &command[..]].concat());
        assert_eq!(finished.code(), Some(1), "{finished:?}");
        let round = last(&document, mode);
        let died = "its worker died each of the 3 times it was tried";
        assert_eq!(reasons(round), [(3, died)], "{mode}: {finished:?}");
        assert_eq!((round.report.tasks_completed, round.report.retries), (5, 2), "{mode}: {finished:?}");
    }
}

#[test]
fn flags_of_other_tools_are_answered_by_what_they_are_called_here() {
    let sandbox = Sandbox::new();
    for (flags, name) in [
        ("-P 4", "--workers N"),
        ("--jobs=4", "--in-flight N"),
        ("-0", "--args-from"),
        ("-r 5", "--rounds N"),
        ("--repeat 3", "--rounds N"),
        ("--processes 4", "--workers N"),
        ("--verbose", "--json FILE"),
        ("--ignore-failure", "--success-codes"),
        ("--sleep 5ms", "--io-wait DURATION"),
        ("--io 5ms", "--io-wait 5ms"),
    ] {
        let finished = sandbox.run(flags.split(' ').chain(["--", "true"])).expect_code(2);
        let is_unknown = !flags.starts_with("--io ");
        assert!(finished.stderr.contains("tip: ") == is_unknown, "{finished:?}");
        assert!(finished.stderr.contains(name), "{finished:?}");
        assert!(!finished.stderr.contains("as a value"), "what stands behind -- is executed: {finished:?}");
    }
}

#[test]
fn what_the_kernel_refuses_to_start_is_told_too() {
    let sandbox = Sandbox::new();
    sandbox.write("long.txt", format!("short\n{}\n", "x".repeat(200_000)));
    for mode in MODES {
        let arguments = ["--rounds", "1", "-m", mode, "--args-from", "long.txt", "--", "true"];
        let (document, finished) = run(&sandbox, &arguments);
        let said = flowing(&finished.stderr);
        assert!(said.contains("a word of a command has at most 131,071 bytes"), "{said}");
        let round = last(&document, mode);
        assert_eq!(reasons(round), [(1, "could not be started: Argument list too long")], "{mode}");
        let line = round.report.failures[0].line.as_deref().expect("a line");
        assert!(line.len() < 300 && line.ends_with('…'), "not all of a long line is shown: {}", line.len());
    }
}

#[test]
fn a_command_that_is_not_there_is_refused_before_anything_starts() {
    let sandbox = Sandbox::new();
    let plain = sandbox.write("plain.txt", "no program");
    for (name, first_line) in [("old.sh", "#! /no/such/interpreter -x"), ("dos.sh", "#!/bin/sh\r")] {
        let script = sandbox.write(name, format!("{first_line}\n"));
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("it may be executed");
    }
    for (command, told) in [
        ("./old.sh", "asks for the interpreter \"/no/such/interpreter\", which was not found"),
        ("./dos.sh", "asks for the interpreter \"/bin/sh\\r\", which was not found"),
        ("no-such-program", "'no-such-program' was not found in PATH"),
        ("./no-such-file", "'./no-such-file' was not found"),
        (plain.to_str().expect("UTF-8"), "is not executable"),
        ("./", "is a folder"),
        ("two words", "each word is taken as it is"),
    ] {
        let finished = sandbox.run(["-n", "2", "--", command]).expect_code(2);
        assert!(finished.error().contains(told), "{finished:?}");
        let finished = sandbox.run(["-n", "2", "--dry-run", "--", command]).expect_code(2);
        assert!(finished.error().contains(told), "{finished:?}");
    }
}

#[test]
fn a_script_that_says_not_who_executes_it_is_refused_before_anything_starts() {
    let others = fs::read_dir("/proc/sys/fs/binfmt_misc").map_or(0, Iterator::count);
    if others > 2 {
        let test = "a_script_that_says_not_who_executes_it_is_refused_before_anything_starts";
        return skip(test, "this kernel was told who executes what, perhaps this too");
    }
    let sandbox = Sandbox::new();
    let script = sandbox.write("bare.sh", "echo \"$1\" >> done\n");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("it may be executed");
    let finished = sandbox.run(["-n", "2", "--", "./bare.sh"]).expect_code(2);
    assert!(finished.error().contains("expected such as #!/bin/sh there"), "{finished:?}");
    assert_eq!(sandbox.listing().len(), 1, "{:?}", sandbox.listing());
}

#[test]
fn what_commands_write_is_kept_where_it_was_asked_for_and_nowhere_else() {
    let sandbox = Sandbox::new();
    let precious = sandbox.write("precious", "precious");
    let folder = sandbox.path("kept").join("serial");
    fs::create_dir_all(&folder).expect("a folder");
    symlink(&precious, folder.join("1.out")).expect("a link");
    fs::write(folder.join("0.out"), "old, and longer than what is new").expect("an old file");
    let script = "echo out-{}; echo err-{} >&2";
    let arguments = ["-n", "2", "--rounds", "1", "-m", "serial", "--output", "kept", "--shell", "--", script];
    let (_, finished) = run(&sandbox, &arguments);
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    for (name, text) in
        [("0.out", "out-0\n"), ("0.err", "err-0\n"), ("1.out", "out-1\n"), ("1.err", "err-1\n")]
    {
        assert_eq!(fs::read_to_string(folder.join(name)).expect(name), text);
    }
    assert_eq!(fs::read_to_string(&precious).expect("the file"), "precious", "the link was not followed");

    sandbox.write("file", "in the way");
    let finished = sandbox.run(["-n", "2", "--output", "file/below", "--", "true"]).expect_code(2);
    assert!(finished.error().contains("file/below"), "{finished:?}");
    symlink(sandbox.path(""), sandbox.path("kept").join("process")).expect("a link");
    let arguments =
        ["-n", "2", "--rounds", "1", "-m", "serial,process", "--output", "kept", "--", "touch", "it-ran"];
    let finished = sandbox.run(arguments).expect_code(2);
    assert!(finished.error().contains("kept/process is a link"), "{finished:?}");
    assert!(!sandbox.path("0.out").exists(), "the link was not followed");
    assert!(!sandbox.path("it-ran").exists(), "that was found out before anything was executed");
}

#[test]
fn whoever_keeps_what_commands_write_is_told_where_to_read_why_they_failed() {
    let sandbox = Sandbox::new();
    let arguments =
        ["-n", "5", "--rounds", "1", "-m", "serial", "--output", "kept", "--", "cat", "missing", "|", "sort"];
    let finished = sandbox.run(arguments).expect_code(1);
    let said = flowing(&finished.stderr);
    assert!(said.contains("what it wrote last: kept/serial/0.err and .out"), "{said}");
    let written = fs::read_to_string(sandbox.path("kept/serial/0.err")).expect("what it wrote");
    assert!(written.contains("missing"), "{written}");
    assert!(said.contains("; and 2 more in a round"), "three are told of, of five: {said}");
    assert!(said.contains("without --shell each word is taken as it is, \"|\" too"), "{said}");
    assert!(said.contains("--success-codes 0,1"), "{said}");
}

#[test]
fn lines_that_end_as_those_of_windows_do_are_pointed_out() {
    let sandbox = Sandbox::new();
    for (lines, told) in [
        ("a\r\nb\r\n", "all lines that were read of lines.txt end in a carriage return"),
        ("a\r\nb\nc\n", "1 line of lines.txt ends in a carriage return"),
        ("a\r\nb\r\nc", "2 lines of lines.txt end in a carriage return"),
    ] {
        sandbox.write("lines.txt", lines);
        let finished =
            sandbox.run(["--args-from", "lines.txt", "--rounds", "1", "-m", "serial", "--", "true"]);
        let said = flowing(&finished.expect_code(0).stderr);
        assert!(said.contains(told), "{told}: {said}");
    }
    sandbox.write("lines.txt", "a\n\rb\n");
    let finished = sandbox.run(["--args-from", "lines.txt", "--rounds", "1", "-m", "serial", "--", "true"]);
    assert!(!finished.expect_code(0).stderr.contains("carriage return"));
}

#[test]
fn a_dry_run_shows_every_word_and_executes_nothing() {
    let sandbox = Sandbox::new();
    let arguments =
        ["-n", "3", "--dry-run", "--prepare", "touch prepared", "--", "touch", "evil", "{} of\t3"];
    let finished = sandbox.run(arguments).expect_code(0);
    assert_eq!(sandbox.listing().len(), 0, "nothing was executed: {finished:?}");
    for line in ["    evil", "    touch prepared", "where {} is the task's number"] {
        assert!(finished.stdout.lines().any(|shown| shown == line), "no {line:?} in {finished:?}");
    }
    assert!(finished.stdout.lines().any(|line| line.ends_with("/touch")), "the file: {finished:?}");
    assert!(finished.stdout.contains("{} of\\t3"), "what a terminal could act on is spelt out: {finished:?}");
    assert!(finished.stdout.contains("not estimated"), "{finished:?}");
    let finished = sandbox.run(["-n", "3", "--dry-run", "--worker", "touch evil"]).expect_code(0);
    assert_eq!(sandbox.listing().len(), 0, "nothing was executed: {finished:?}");
}

#[test]
fn what_a_spec_file_has_executed_is_shown_first_and_the_command_line_takes_its_place() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "spec.toml",
        "[workload]\ntasks = 2\ncommand = \"touch 'of the file'\"\ntimeout = \"20s\"\nprepare = \"touch prepared\"\n\
         [run]\nrounds = 1\non_failure = \"stop\"\n[[strategy]]\nmode = \"serial\"\n",
    );
    let finished = sandbox.run(["--config", "spec.toml", "-q", "--json", "out.json"]).expect_code(0);
    assert!(finished.stderr.contains("\n    'of the file'\n"), "{finished:?}");
    assert!(sandbox.path("of the file").exists());
    // The plan of the export is a spec, too.
    fs::remove_file(sandbox.path("of the file")).expect("a file");
    let again = sandbox.run(["--config", "out.json", "-q"]).expect_code(0);
    assert!(sandbox.path("of the file").exists(), "{again:?}");
    let typed = sandbox.run(["--config", "spec.toml", "-q", "--", "touch", "typed"]).expect_code(0);
    assert!(sandbox.path("typed").exists(), "{typed:?}");
    // Who has typed it knows; but what else the file has executed stands there, too.
    assert!(typed.stderr.contains("Before each round /bin/sh executes:\n    touch prepared"), "{typed:?}");
    let alone = sandbox.run(["-n", "1", "--rounds", "1", "-q", "--", "touch", "alone"]).expect_code(0);
    assert!(!alone.stderr.contains("word by word"), "who has typed it knows: {alone:?}");
    sandbox.write("worker.toml", "[workload]\ntasks = 2\nworker = [\"cat\"]\n[run]\nrounds = 1\n");
    let finished = sandbox.run(["--config", "worker.toml", "-q"]).expect_code(0);
    assert!(finished.stderr.contains("/cat\nand is told"), "{finished:?}");
    sandbox.run(["--config", "worker.toml", "-q", "--", "touch", "instead"]).expect_code(0);
    assert!(sandbox.path("instead").exists());
}

#[test]
fn each_round_is_prepared_outside_the_clock() {
    let sandbox = Sandbox::new();
    // Without it, the second round would find the folder made.
    let arguments = ["-n", "1", "--rounds", "2", "-m", "serial,process", "--prepare", "rm -rf made", "--"];
    let (document, finished) = run(&sandbox, &[&arguments[..], &["mkdir", "made"]].concat());
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    assert_eq!(last(&document, "serial").report.processes_started, 1, "preparing is no part of the round");
    let finished = sandbox.run(["-n", "1", "--prepare", "exit 4", "--", "true"]).expect_code(1);
    assert!(finished.error().contains("'exit 4' exited with code 4"), "{finished:?}");
}

#[test]
fn there_are_as_many_tasks_as_lines_unless_fewer_are_asked_for() {
    let sandbox = Sandbox::new();
    let tasks = |text: &str, extra: &[&str]| {
        sandbox.write("lines.txt", text);
        let all = ["--rounds", "1", "-m", "serial", "--args-from", "lines.txt"];
        let (document, finished) = run(&sandbox, &[&all[..], extra, &["--", "true"]].concat());
        assert_eq!(finished.code(), Some(0), "{finished:?}");
        document.plan.workload.tasks
    };
    assert_eq!(tasks("a\nb\nc\n", &[]), 3);
    assert_eq!(tasks("a\n\nc", &[]), 3, "a last line needs no end, and an empty one is a line");
    assert_eq!(tasks("a\nb\nc\n", &["-n", "2"]), 2);
}

#[test]
fn lines_that_cannot_be_arguments_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("empty.txt", "");
    sandbox.write("three.txt", "a\nb\nc\n");
    sandbox.write("zero.txt", "a\nb\0b\n");
    let refused = |arguments: &[&str], parts: &[&str]| {
        let finished = sandbox.run(arguments).expect_code(2);
        for part in parts {
            assert!(finished.error().contains(part), "no {part:?} in {finished:?}");
        }
    };
    refused(&["--args-from", "empty.txt", "--", "true"], &["empty.txt has no lines"]);
    refused(&["--args-from", "three.txt", "-n", "5", "--", "true"], &["tasks is 5", "three.txt has 3 lines"]);
    refused(&["--args-from", "zero.txt", "--", "true"], &["zero.txt", "line 2", "zero byte"]);
    refused(&["--args-from", "missing.txt", "--", "true"], &["missing.txt", "No such file"]);
    refused(&["--args-from", ".", "--", "true"], &["it is a folder"]);
    refused(&["--args-from", "-", "--", "true"], &["standard input has no lines"]);
    let finished = sandbox.run(["--args-from", "zero.txt", "-q", "--rounds", "1", "--worker", "cat"]);
    finished.expect_code(0);
}

#[test]
fn lines_may_come_from_what_can_be_read_only_once() {
    let sandbox = Sandbox::new();
    let script = "test $0 -ge 1 && test $0 -le 3";
    for (tasks, printed) in [(&[][..], "seq 3"), (&["-n", "3"], "yes 2")] {
        let words: Vec<&str> = printed.split(' ').collect();
        let mut source = Command::new(words[0]);
        let mut source = source.args(&words[1..]).stdout(Stdio::piped()).spawn().expect("a source");
        let mut arguments = vec!["--args-from", "-", "-q", "--rounds", "2"];
        arguments.extend(tasks);
        arguments.extend(["--", "sh", "-c", script]);
        let mut command = sandbox.command(arguments);
        command.stdin(source.stdout.take().expect("a pipe"));
        let finished = sandbox.run_command(command).expect_code(0);
        assert!(finished.stdout.contains("3 tasks"), "{finished:?}");
        // It is told that nobody reads any more, or has ended before.
        source.wait().expect("an end");
    }
}

#[test]
fn ten_million_lines_are_read_and_the_last_one_too() {
    let sandbox = Sandbox::new();
    let lines = fs::File::create(sandbox.path("many.txt")).expect("a file");
    let made = Command::new("seq").arg("10000000").stdout(lines).status().expect("seq");
    assert!(made.success());
    let finished = sandbox.run(["--args-from", "many.txt", "--dry-run", "--", "true"]).expect_code(0);
    assert!(finished.stdout.contains("10,000,000 tasks"), "{finished:?}");
    let arguments = ["--args-from", "many.txt", "-n", "20", "--rounds", "1", "-q", "--", "test", "20", "-ge"];
    sandbox.run(arguments).expect_code(0);
    // All of them are read where a round needs them, though only the first few are asked for here.
    let spec = procbench::workload::program::lines::LinesSpec {
        path: sandbox.path("many.txt"),
        bytes: fs::metadata(sandbox.path("many.txt")).expect("a file").len(),
        count: 10_000_000,
        carriage_returns: 0,
    };
    let read = procbench::workload::program::lines::Lines::read(&spec).expect("lines");
    assert_eq!((read.get(0), read.get(9_999_999)), (&b"1"[..], &b"10000000"[..]));
}

#[test]
fn what_programs_contradict_is_refused() {
    let sandbox = Sandbox::new();
    for (arguments, told) in [
        ("-n 2 --worker cat -- true", "both a command and a worker"),
        ("-n 2 --workload command", "which command?"),
        ("-n 2 --workload worker", "which worker?"),
        ("-n 2 --workload file -- true", "a command belongs to the command workload, but this one is file"),
        ("-n 2 --cpu 5ms -- true", "cpu does not belong to the command workload"),
        ("-n 2 --io-wait 5ms --worker cat", "io-wait does not belong to the worker workload"),
        ("-n 2 --arg-size 5 -- true", "arg-size belongs to the synthetic workload"),
        ("-n 2 --timeout 5s", "expected pool or process (in 'serial')"),
        ("-n 2 --shell", "shell belongs to the command and worker workloads"),
        ("-n 2 --output kept --workload file", "output belongs to the command and worker workloads"),
        ("-n 2 --timeout 0 -- true", "timeout is 0"),
        ("-n 2 --ignore-answers -- true", "ignore-answers belongs to the worker workload"),
        ("-n 2 -m process --start fork -- true", "is always started by itself"),
        ("--worker cat", "how many tasks?"),
        ("-n 2 --worker 'cat", "a quote is not closed"),
        ("-n 2 --on-failure halt -- true", "expected continue, stop or retry:N"),
        ("-n 0 --args-from /dev/null -- true", "tasks is 0"),
    ] {
        let finished = sandbox.run(arguments.split(' ')).expect_code(2);
        assert!(finished.stderr.contains(told), "no {told:?} about {arguments}: {finished:?}");
        assert_eq!(sandbox.listing().len(), 0, "{arguments}");
    }
    let finished = sandbox.run(["-n", "2", "--worker", " "]).expect_code(2);
    assert!(finished.error().contains("the worker is empty"), "{finished:?}");
    for (key, told) in [("command = 3", "a text, or a list of words"), ("comand = \"true\"", "comand")] {
        sandbox.write("spec.toml", format!("[workload]\ntasks = 1\n{key}\n"));
        let finished = sandbox.run(["--config", "spec.toml"]).expect_code(2);
        assert!(finished.error().contains(told) && finished.error().contains("spec.toml"), "{finished:?}");
    }
}

#[test]
fn an_ordinary_user_may_run_commands_too() {
    if !nix::unistd::Uid::effective().is_root() {
        return; // Every other test here is that.
    }
    let Some(setpriv) =
        ["/usr/bin/setpriv", "/bin/setpriv"].into_iter().find(|path| Path::new(path).exists())
    else {
        return skip("an_ordinary_user_may_run_commands_too", "there is no setpriv");
    };
    let program = env!("CARGO_BIN_EXE_procbench");
    let folder = tempfile::tempdir_in("/tmp").expect("a temporary folder");
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("a mode");
    let copy = folder.path().join("procbench");
    fs::copy(program, &copy).expect("a copy that others may read");
    let output = Command::new(setpriv)
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&copy)
        .args(["--args-from", "-", "--rounds", "1", "-q", "--", "test", "x", "="])
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .stdin({
            let lines = folder.path().join("lines");
            fs::write(&lines, "x\nx\n").expect("lines");
            fs::File::open(lines).expect("lines")
        })
        .output()
        .expect("setpriv");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_lines_that_a_spec_names_lie_beside_it() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("sub")).expect("a folder");
    sandbox.write("sub/lines.txt", "one\ntwo\n");
    sandbox.write("sub/spec.toml", "[workload]\ncommand = \"true\"\nargs_from = \"lines.txt\"\n");
    let finished = sandbox.run(["--config", "sub/spec.toml", "--dry-run"]).expect_code(0);
    assert!(finished.stdout.contains("2 tasks"), "{finished:?}");

    // Other lines are other tasks, however many the file has.
    sandbox.write("sub/spec.toml", "[workload]\ncommand = \"true\"\ntasks = 7\n");
    let arguments = ["--config", "sub/spec.toml", "--args-from", "sub/lines.txt", "--dry-run"];
    let finished = sandbox.run(arguments).expect_code(0);
    assert!(finished.stdout.contains("2 tasks"), "{finished:?}");
}
