//! xargs and GNU parallel as engines: the same commands, started by the tools that are installed.

mod common;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common::programs::{last, run};
use common::{Sandbox, skip};
use procbench::document::Document;
use procbench::engine::Engine;

/// Those tools that are installed; says of the others that `test` is not done with them.
fn installed(test: &str) -> Vec<Engine> {
    let is_there = |engine: &Engine| {
        let output = Command::new(engine.name()).arg("--version").output();
        let is_gnu = output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("GNU"));
        if !is_gnu {
            skip(test, &format!("GNU {} is not installed", engine.name()));
        }
        is_gnu
    };
    [Engine::Xargs, Engine::Parallel].into_iter().filter(is_there).collect()
}

/// A sandbox whose tools keep what they keep for themselves in it.
fn command(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(arguments);
    command.env("PARALLEL_HOME", sandbox.path("home"));
    command
}

fn measured(sandbox: &Sandbox, arguments: &[&str], code: i32) -> Document {
    let mut all = vec!["--rounds", "1", "--json", "out.json"];
    all.extend(arguments);
    sandbox.run_command(command(sandbox, &all)).expect_code(code);
    common::parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"))
}

#[test]
fn each_line_is_handed_to_one_command_as_by_the_native_engine() {
    for engine in installed("each_line_is_handed_to_one_command_as_by_the_native_engine") {
        let sandbox = Sandbox::new();
        let name = engine.name();
        // Whatever a line has in it, it is one word.
        sandbox.write("lines.txt", "a  b\n\n'quoted\" \\ $HOME `x`\n-n\n{}\nlast");
        let script = "set -- \"$1\"; printf '%s.' \"$1\" | od -An -tx1 >> \"$DONE\"";
        let rows =
            format!("serial,{name}-serial,{name}-pool:workers=2,{name}-process,{name}-process:in-flight=3");
        let arguments = [
            "--rounds",
            "1",
            "--json",
            "out.json",
            "-m",
            &rows,
            "--args-from",
            "lines.txt",
            "--",
            "/bin/sh",
            "-c",
            script,
            "sh",
            "{}",
        ];
        let mut command = command(&sandbox, &arguments);
        command.env("DONE", sandbox.path("done"));
        sandbox.run_command(command).expect_code(0);
        let document = common::parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
        let native = last(&document, "serial").report.digest.clone();
        for row in &document.strategies {
            let report = &row.rounds[0].report;
            assert_eq!((report.tasks_completed, report.tasks_failed), (6, 0), "{}: {report:?}", row.name);
            assert!(row.rounds[0].kernel_forks.is_none_or(|forks| forks >= 6), "{}: {report:?}", row.name);
            // What xargs does not tell of a timed round is not made up.
            let expected = if row.engine == Engine::Xargs { None } else { native.clone() };
            assert_eq!(report.digest, expected, "{}", row.name);
        }
        // Every round of every row executed each line as often as any other.
        let done = fs::read_to_string(sandbox.path("done")).expect("what was done");
        for line in ["a  b.", ".", "'quoted\" \\ $HOME `x`.", "-n.", "{}.", "last."] {
            let wanted: String = line.bytes().map(|byte| format!(" {byte:02x}")).collect();
            let times = done.replace("\n ", " ").matches(&wanted).count();
            assert!(times >= 2 * document.strategies.len(), "{line}: {times} times in {done}");
        }
        assert_eq!(document.environment.tools.len(), 1, "the tool and its version are recorded");
        let what = format!("{name} does not tell");
        assert!(document.warnings.iter().any(|warning| warning.message.contains(&what)), "{name}");
    }
}

#[test]
fn numbers_stand_for_lines_and_nothing_is_appended_that_was_not_asked_for() {
    for engine in installed("numbers_stand_for_lines_and_nothing_is_appended_that_was_not_asked_for") {
        let sandbox = Sandbox::new();
        let rows = format!("serial,{0}-pool:workers=3", engine.name());
        measured(&sandbox, &["-n", "9", "-m", &rows, "--", "test", "{}", "-lt", "9"], 0);
        // One word more would be an error of `test`.
        measured(&sandbox, &["-n", "9", "-m", &rows, "--", "test", "word"], 0);
    }
}

#[test]
fn failures_are_told_as_far_as_the_tool_knows_them() {
    let tools = installed("failures_are_told_as_far_as_the_tool_knows_them");
    let sandbox = Sandbox::new();
    if tools.contains(&Engine::Parallel) {
        let fails = ["-n", "8", "-m", "parallel-pool:workers=2", "--", "test", "{}", "-ne", "5"];
        let document = measured(&sandbox, &fails, 1);
        let report = &last(&document, "parallel-pool:workers=2").report;
        assert_eq!((report.tasks_completed, report.tasks_failed), (7, 1), "{report:?}");
        assert_eq!((report.failures[0].task, report.failures[0].reason.as_str()), (5, "exit code 1"));
    }
    if tools.contains(&Engine::Xargs) {
        for (script, why) in [
            (
                "exit 3",
                "at least one task failed: xargs exited with 123, but says neither which nor how many",
            ),
            ("exit 255", "exited with 255, at which xargs starts no other"),
            ("kill -9 $$", "killed by a signal, at which xargs starts no other"),
        ] {
            let fails = ["-n", "4", "--rounds", "1", "-m", "xargs-pool", "--", "/bin/sh", "-c", script];
            let finished = sandbox.run_command(command(&sandbox, &fails)).expect_code(1);
            assert!(finished.error().contains(why), "{finished:?}");
        }
    }
}

/// `PATH` with `folder` before everything else.
fn path_with(folder: &std::path::Path) -> OsString {
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

#[test]
fn a_tool_that_is_missing_or_only_has_the_name_is_not_installed() {
    let sandbox = Sandbox::new();
    let other = sandbox.path("bin");
    fs::create_dir(&other).expect("a folder");
    for (engine, package) in [("xargs", "findutils"), ("parallel", "parallel")] {
        let row = format!("{engine}-pool");
        let arguments = ["-n", "4", "-m", &row, "--", "/bin/true"];
        let mut missing = sandbox.command(arguments);
        missing.env("PATH", sandbox.path("nowhere"));
        let finished = sandbox.run_command(missing).expect_code(3);
        assert!(finished.error().contains(&format!("{engine} is not installed")), "{finished:?}");
        assert!(finished.error().contains(&format!("package {package}")), "{finished:?}");
        // As that of moreutils does (0.67), whose program has the same name and other options.
        let script = "#!/bin/sh\necho \"$0: invalid option -- '-'\" >&2\n\
                      echo 'parallel [OPTIONS] command -- arguments'\n\
                      printf '\\tfor each argument, run command with argument, in parallel\\n'\n\
                      echo 'parallel [OPTIONS] -- commands'\nexit 1\n";
        executable(&other.join(engine), script);
        let mut other_one = sandbox.command(arguments);
        other_one.env("PATH", path_with(&other));
        let finished = sandbox.run_command(other_one).expect_code(3);
        for says in ["is another program of that name: asked for its --version", "invalid option -- '-'"] {
            assert!(finished.error().contains(says), "{finished:?}");
        }
    }
}

/// Makes `file` a program that is `script`.
fn executable(file: &std::path::Path, script: &str) {
    fs::write(file, script).expect("a file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("its mode");
}

#[test]
fn what_a_tool_is_told_is_shown_word_by_word_before_anything_is_started() {
    for engine in installed("what_a_tool_is_told_is_shown_word_by_word_before_anything_is_started") {
        let sandbox = Sandbox::new();
        let name = engine.name();
        let rows = format!("{name}-serial,{name}-pool:workers=3,{name}-process");
        sandbox.write("lines.txt", "a\nb\n");
        let shown = |words: &[&str]| {
            let all = ["-n", "2", "--dry-run", "-m", &rows, "--args-from", "lines.txt", "--"];
            let shown = sandbox.run_command(command(&sandbox, &[&all[..], words].concat())).expect_code(0);
            assert!(!sandbox.path("two words").exists() && !sandbox.path("a").exists(), "{shown:?}");
            let lines = shown.stdout.lines().filter(|line| line.contains(&format!("/{name} -0 -P ")));
            lines.map(|line| shlex::split(line).expect("words as a shell takes them")).collect::<Vec<_>>()
        };
        let touch = which("touch");
        let [mine, of_others] = [shown(&["touch", "two words", "{}"]), shown(&["touch", "to-{}", "{}"])];
        for (lines, rest, every) in [
            (&mine, vec![touch.as_str(), "two words"], "-n 1"),
            (&of_others, vec![touch.as_str(), "to-{}", "{}"], "-I {}"),
        ] {
            assert_eq!(lines.len(), 3, "a line for each row: {lines:?}");
            for (line, at_once) in lines.iter().zip(["1", "3", "2"]) {
                assert_eq!(line[0], which(name), "the tool as the file that is found: {line:?}");
                assert_eq!(line[1..4], ["-0", "-P", at_once], "{line:?}");
                let mut expected: Vec<&str> = match engine {
                    Engine::Parallel => "--plain --will-cite -u -q --joblog FILE".split(' ').collect(),
                    _ => every.split(' ').collect(),
                };
                expected.extend(&rest);
                if engine == Engine::Parallel && every == "-n 1" {
                    expected.push("{}");
                }
                assert_eq!(line[4..], expected, "{line:?}");
            }
        }
        // What a file would have executed is seen before it is.
        let spec = format!(
            "[workload]\ntasks = 1\ncommand = [\"true\"]\n[run]\nrounds = 1\n[[strategy]]\nmode = \"pool\"\nengine = \"{name}\"\n"
        );
        sandbox.write("spec.toml", &spec);
        let finished =
            sandbox.run_command(command(&sandbox, &["-q", "--config", "spec.toml"])).expect_code(0);
        assert!(finished.stderr.contains(&format!("/{name} -0 -P ")), "{finished:?}");
    }
}

/// The file of `name`, as a shell would find it.
fn which(name: &str) -> String {
    let folders = std::env::var_os("PATH").expect("a PATH");
    let file = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|file| file.is_file());
    file.unwrap_or_else(|| panic!("no {name}")).display().to_string()
}

#[test]
fn a_tool_starts_the_file_that_was_shown_whatever_lies_in_the_current_folder() {
    for engine in installed("a_tool_starts_the_file_that_was_shown_whatever_lies_in_the_current_folder") {
        let sandbox = Sandbox::new();
        executable(&sandbox.path("true"), "#!/bin/sh\ntouch executed\n");
        let row = format!("{}-pool", engine.name());
        let mut command = command(&sandbox, &["-n", "2", "--rounds", "1", "-q", "-m", &row, "--", "true"]);
        let mut path = OsString::from(".:");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command.env("PATH", path);
        sandbox.run_command(command).expect_code(0);
        assert!(!sandbox.path("executed").exists(), "{row} has executed what lies in the current folder");
    }
}

/// A tool that says of itself what the real one does, and then does what `script` says.
fn made_up(sandbox: &Sandbox, engine: Engine, script: &str) {
    let version = match engine {
        Engine::Parallel => "GNU parallel 20221122",
        _ => "xargs (GNU findutils) 4.9.0",
    };
    let folder = sandbox.path("bin");
    fs::create_dir_all(&folder).expect("a folder");
    let script =
        format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo '{version}'; exit 0; fi\n{script}\n");
    executable(&folder.join(engine.name()), &script);
}

#[test]
fn a_tool_that_finds_no_room_has_met_a_limit_of_the_machine() {
    for (engine, code) in [(Engine::Xargs, 1), (Engine::Parallel, 255), (Engine::Parallel, 11)] {
        let name = engine.name();
        let row = format!("{name}-pool");
        let sandbox = Sandbox::new();
        let arguments = ["-n", "3", "--rounds", "2", "-q", "-m", &row, "--", "/bin/true"];
        let run = |script: &str| {
            made_up(&sandbox, engine, script);
            let mut command = command(&sandbox, &arguments);
            command.env("PATH", path_with(&sandbox.path("bin")));
            sandbox.run_command(command)
        };
        // In the first round it is heard.
        let says = format!("echo '{name}: cannot fork: Resource temporarily unavailable' >&2; exit {code}");
        let finished = run(&says).expect_code(3);
        assert!(finished.error().contains("cannot fork: Resource temporarily unavailable"), "{finished:?}");
        // What it says of anything else is told, and is no limit.
        let finished = run(&format!("echo '{name}: something else' >&2; exit {code}")).expect_code(1);
        assert!(finished.error().contains(&format!("{name}: something else")), "{finished:?}");
        // In one that is timed it is not heard, but the same words have been executed before.
        if installed("a_tool_that_finds_no_room_has_met_a_limit_of_the_machine").contains(&engine) {
            let real = which(name);
            let says = format!("case \"$*\" in *__mark*) exec '{real}' \"$@\";; esac; exit {code}");
            let finished = run(&says).expect_code(3);
            assert!(finished.error().contains("a limit of the machine"), "{finished:?}");
        }
        // Who is killed has met somebody.
        let finished = run("kill -9 $$").expect_code(1);
        assert!(finished.error().contains(name), "{finished:?}");
    }
}

/// As GNU parallel does where it can start no process.
#[test]
fn a_tool_that_waits_for_ever_is_ended_with_the_limits_that_it_may_have_met() {
    let sandbox = Sandbox::new();
    made_up(&sandbox, Engine::Parallel, "echo 'parallel: Warning: No more processes' >&2; exec sleep 1d");
    let arguments = ["-n", "3", "--rounds", "1", "-q", "-m", "parallel-pool", "--", "/bin/true"];
    let mut command = command(&sandbox, &arguments);
    command.env("PATH", path_with(&sandbox.path("bin")));
    let finished = sandbox.run_command(command).expect_code(3);
    for part in ["parallel had nothing running for 20 s", "No more processes", "kernel.pid_max is"] {
        assert!(finished.error().contains(part), "no {part} in {finished:?}");
    }
}

#[test]
fn what_a_tool_has_not_is_refused() {
    let sandbox = Sandbox::new();
    for (arguments, error) in [
        ("-n 4 -m xargs-pool", "the xargs engine has no workload synthetic"),
        ("-n 4 -m xargs-pool:chunk=2 -- true", "the xargs engine has no chunk"),
        ("-n 4 -m xargs-pool:start=fork -- true", "the xargs engine has no start method"),
        ("-n 4 -m parallel-pool:transport=pipe -- true", "the parallel engine has no transport"),
        ("-n 4 -m xargs-threads -- true", "xargs starts processes, no threads"),
        ("-n 4 -m xargs-pool --timeout 5s -- true", "the xargs engine has no --timeout"),
        ("-n 4 -m xargs-pool --output kept -- true", "the xargs engine has no --output"),
        ("-n 4 -m xargs-pool --on-failure stop -- true", "the xargs engine knows no such policy"),
        ("-n 4 -m parallel-pool -- echo {.}", "would put something else in the place of {.}"),
        ("claims --engine xargs", "the claims are not about xargs"),
    ] {
        let finished = sandbox.run(arguments.split(' ')).expect_code(2);
        assert!(finished.error().contains(error), "{arguments}: {finished:?}");
    }
}

#[test]
fn threads_of_a_tool_are_not_available_beside_rows_that_are() {
    for engine in installed("threads_of_a_tool_are_not_available_beside_rows_that_are") {
        let sandbox = Sandbox::new();
        let engines = format!("native,{}", engine.name());
        let arguments = ["-n", "4", "--rounds", "1", "--engine", &engines, "--", "true"];
        if engine == Engine::Parallel {
            continue; // Takes as long as the others together, and says the same.
        }
        let (document, finished) = run(&sandbox, &arguments);
        assert_eq!(document.strategies.len(), 7, "{finished:?}");
        assert_eq!(document.plan.not_available.len(), 1, "{finished:?}");
        let shown = finished.stdout.replace('\n', " ");
        assert!(shown.contains("n/a: xargs starts processes, no threads"), "{finished:?}");
    }
}
