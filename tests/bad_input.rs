//! Bad input: one clear error that names the place and what was expected, exit code 2, and nothing started.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{Finished, Sandbox, skip};

/// What bad input must never touch.
const OLD_EXPORT: &str = "the export of another day";

/// Runs procbench with bad input beside a `--json` to a file that exists. The workload would take an hour if it were
/// started, far beyond the time limit of any run here.
#[track_caller]
fn refused_in(sandbox: &Sandbox, arguments: &[&str], code: i32) -> Finished {
    let export = sandbox.write("old.json", OLD_EXPORT);
    let before = sandbox.listing();
    let mut all = vec!["--io-wait", "1h", "--json", "old.json"];
    // What is given twice is another error than the one to be tested.
    for pair in [["--io-wait", "1h"], ["--json", "old.json"]] {
        if arguments.iter().any(|argument| argument.split('=').next() == Some(pair[0])) {
            let place = all.iter().position(|argument| *argument == pair[0]).expect("it is there");
            all.drain(place..place + 2);
        }
    }
    all.extend(arguments);
    let finished = sandbox.run(&all).expect_code(code);
    assert_eq!(finished.stdout, "", "{finished:?}");
    finished.error();
    assert_eq!(fs::read_to_string(export).expect("the old export"), OLD_EXPORT, "{finished:?}");
    assert_eq!(sandbox.listing(), before, "no file appears: {finished:?}");
    finished
}

/// `arguments` are refused with exit code 2, and the error has each of `parts` in it.
#[track_caller]
fn refused(arguments: &[&str], parts: &[&str]) {
    let finished = refused_in(&Sandbox::new(), arguments, 2);
    for part in parts {
        assert!(
            finished.stderr.contains(part),
            "no {part:?} in the error about {arguments:?}:\n{}",
            finished.stderr
        );
    }
}

/// The spec `text` is refused with exit code 2, and the error has each of `parts` in it.
#[track_caller]
fn refused_spec(text: &str, parts: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.write("spec.toml", text);
    let finished = refused_in(&sandbox, &["--config", "spec.toml"], 2);
    for part in ["spec.toml"].iter().chain(parts) {
        assert!(
            finished.stderr.contains(part),
            "no {part:?} in the error about\n{text}\n{}",
            finished.stderr
        );
    }
}

#[test]
fn a_number_of_tasks_that_is_none_is_refused_with_what_was_expected() {
    for (tasks, why) in [
        ("0", "tasks is 0"),
        ("-5", "is negative"),
        ("-0.5", "is negative"),
        ("1e30", "is too large"),
        ("99999999999999999999999", "is too large"),
        ("1.5", "is not whole"),
        ("nan", "is not a number"),
        ("inf", "is not a number"),
        ("many", "is not a number"),
        ("0x10", "is not a number"),
        ("", "is not a number"),
    ] {
        refused(&[&format!("--tasks={tasks}")], &["tasks", why, "expected"]);
    }
    refused(&["--tasks", "-5"], &["--tasks", "'-5' is negative", "expected"]);
    refused(&[], &["how many tasks?", "Expected --tasks"]);
}

#[test]
fn an_unknown_flag_is_named_and_the_right_one_suggested() {
    refused(&["--taks", "5"], &["'--taks'", "'--tasks'"]);
    refused(&["--tasks", "5", "surplus"], &["'surplus'", "a command of your own stands behind --"]);
    let finished = Sandbox::new().run(["advise", "--tasks", "5", "surplus"]).expect_code(2);
    assert!(finished.stderr.contains("a command of your own stands behind --"), "{finished:?}");
    refused(&["--spread", "trace:-"], &["standard input"]);
    refused(&["--success-codes", "0,x", "--", "true"], &["'0,x'", "expected numbers from 0 to 255", "0,1"]);
    refused(&["--tasks", "5", "--success-codes", "0,1"], &["success-codes belongs to the command workload"]);
    refused(&["-q", "advise"], &["'advise'", "comes first and its flags after it"]);
    refused(&["--tasks", "5", "--"], &["nothing stands behind the --", "expected a command"]);
    refused(&["--tasks", "5", "--tasks", "6"], &["--tasks"]);
    refused(&["--tasks"], &["--tasks", "value"]);
}

#[test]
fn an_unknown_name_is_answered_with_those_there_are() {
    refused(
        &["--tasks", "5", "--mode", "poool"],
        &["'poool'", "did you mean pool?", "serial, threads, pool, process"],
    );
    refused(&["--tasks", "5", "--mode", ""], &["--mode", "expected"]);
    refused(&["--tasks", "5", "--mode", "pool,,serial"], &["--mode", "expected"]);
    refused(&["--tasks", "5", "--workload", "synthetik"], &["did you mean synthetic?", "file, expression"]);
    refused(&["--tasks", "5", "--engine", "ruby"], &["'ruby'", "expected native"]);
    refused(&["--tasks", "5", "--transport", "telepathy"], &["'telepathy'", "expected shared-memory"]);
    refused(&["--tasks", "5", "--start", "spoon"], &["'spoon'", "expected fork"]);
    refused(
        &["--tasks", "5", "--start", "spawn"],
        &["--start is spawn", "expected fork or exec", "--engine python"],
    );
    refused(&["--tasks", "5", "--spread", "gaussian"], &["'gaussian'", "expected"]);
    refused(&["--tasks", "5", "--spread", "lognormal"], &["has no σ", "expected lognormal:SIGMA"]);
    refused(&["--tasks", "5", "--spread", "uniform"], &["has no width", "expected uniform:WIDTH"]);
    refused(&["--tasks", "5", "--spread", "constant:1"], &["takes no number", "'constant:1'"]);
}

#[test]
fn durations_that_there_are_not_cannot_vary() {
    let finished = Sandbox::new().run(["-n5", "--spread", "exponential"]).expect_code(2);
    let error = finished.error();
    assert!(error.contains("neither work nor wait") && error.contains("--cpu or --io-wait"), "{error}");
}

#[test]
fn settings_of_a_row_are_checked_one_by_one() {
    refused(
        &["-n5", "-m", "pool:wrokers=2"],
        &["unknown setting 'wrokers'", "did you mean workers?", "expected workers", "pool:wrokers=2"],
    );
    refused(&["-n5", "-m", "pool:workers=2:workers=3"], &["'workers' is given twice"]);
    refused(&["-n5", "-m", "pool:8"], &["'8'", "expected KEY=VALUE"]);
    refused(&["-n5", "-m", "pool:workers=0"], &["'0'", "expected"]);
    refused(&["-n5", "-m", "pool:workers=-1"], &["'-1'", "expected"]);
    refused(&["-n5", "-m", "pool:workers=1e9"], &["'1e9'", "expected"]);
    refused(&["-n5", "-m", "pool:chunk=none"], &["'none'", "expected auto, python or a number"]);
    refused(&["-n5", "-m", "process:in-flight=0"], &["'0'", "expected all, or a number"]);
    refused(&["-n5", "-m", "serial:workers=2"], &["serial has no workers", "threads and pool"]);
    refused(&["-n5", "-m", "pool:in-flight=2"], &["pool has no in-flight", "process"]);
    refused(&["-n5", "-m", "serial", "--workers", "2"], &["--workers", "none of the strategies"]);
    refused(&["-n5", "--workers", "0x"], &["'0x'", "expected"]);
    refused(&["-n5", "--chunk", "0"], &["'0'", "expected"]);
    refused(&["-n5", "--in-flight", "-3"], &["'-3'", "expected"]);
}

#[test]
fn a_size_is_a_number_with_a_unit_that_exists() {
    for flag in ["--arg-size", "--result-size", "--memory", "--parent-memory", "--shared", "--io-size"] {
        refused(&["-n5", flag, "KiB"], &[flag, "has no number", "expected a number of bytes"]);
        refused(&["-n5", flag, "-1"], &[flag, "is negative", "expected"]);
    }
    refused(&["-n5", "--arg-size", "64 parsecs"], &["--arg-size", "is not a size", "expected"]);
    refused(&["-n5", "--arg-size", "1e30"], &["--arg-size", "expected"]);
    refused(&["-n5", "--arg-size", "99999PiB"], &["--arg-size", "is too large", "expected at most"]);
}

#[test]
fn a_duration_is_a_number_with_a_unit_that_exists() {
    for flag in ["--cpu", "--io-wait", "--init", "--time-budget"] {
        refused(&["-n5", flag, "5"], &[flag, "has no unit", "expected a duration"]);
        refused(&["-n5", flag, "-5ms"], &[flag, "is negative", "expected"]);
        refused(&["-n5", flag, "1000000h"], &[flag, "is too long", "expected at most"]);
    }
    refused(&["-n5", "--cpu", "5 parsecs"], &["--cpu", "is not a duration", "expected"]);
    refused(&["-n5", "--cpu", "1e30"], &["--cpu", "has no unit", "expected"]);
}

#[test]
fn how_much_is_measured_is_checked_too() {
    refused(&["-n5", "--rounds", "0"], &["rounds is 0", "expected at least 1"]);
    refused(&["-n5", "--rounds", "-1"], &["--rounds", "is negative", "expected"]);
    refused(&["-n5", "--warmup", "1.5"], &["--warmup", "is not whole", "expected"]);
    refused(&["-n5", "--seed", "-1"], &["'-1'", "--seed"]);
    refused(&["-n5", "--seed", "later"], &["'later'", "--seed"]);
    refused(&["-n5", "--spread", "uniform:5"], &["--spread", "out of range", "expected"]);
    refused(&["-n5", "--spread", "lognormal:nan"], &["--spread", "expected"]);
    refused(
        &["-n5", "-m", "pool,process", "--baseline", "serial"],
        &["the baseline 'serial' is not among the strategies", "expected pool, process"],
    );
}

#[test]
fn what_belongs_to_another_workload_is_refused() {
    refused(
        &["-n5", "--expression-args", "5"],
        &["expression-args belongs to the expression workload", "synthetic"],
    );
    refused(
        &["-n5", "--workload", "file", "--arg-size", "5"],
        &["arg-size belongs to the synthetic workload", "file"],
    );
    refused(
        &["-n5", "--workload", "expression", "--result-size", "5"],
        &["result-size belongs to", "expression"],
    );
    refused(
        &["-n5", "--workload", "expression", "--expression-args", "0"],
        &["expression-args is 0", "expected 1"],
    );
    refused(
        &["-n5", "--workload", "expression", "--expression-args", "1e6"],
        &["expression-args is 1000000", "expected"],
    );
}

#[test]
fn what_belongs_to_another_kind_of_io_is_refused() {
    refused(&["-n5", "--io", "ehco"], &["unknown kind of I/O 'ehco'", "did you mean echo?", "fsync, read"]);
    refused(&["-n5", "--io-size", "5"], &["io-size belongs to the I/O echo, fsync or read", "sleep"]);
    refused(&["-n5", "--io", "echo", "--io-size", "0"], &["io-size is 0", "expected at least 1"]);
    refused(
        &["-n5", "--io", "echo", "--io-folder", "."],
        &["io-folder belongs to the I/O fsync or read", "echo"],
    );
    for io in ["fsync", "read"] {
        refused(&["-n5", "--io", io], &["io-wait belongs to the I/O sleep or echo", io]);
        refused(&["-n5", "--io", io, "--io-wait", "0"], &["needs a folder", "expected --io-folder DIR"]);
    }
    refused_spec("[workload]\ntasks = 5\nio_size = 5\n", &["spec.toml:1", "io-size belongs to"]);
    refused_spec("[workload]\ntasks = 5\nio = \"ehco\"\n", &["spec.toml:3:6", "ehco", "expected"]);
}

#[test]
fn a_folder_for_io_is_looked_at_before_anything_is_started() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "");
    for (folder, why) in
        [("missing", "No such file"), ("file", "it is not a folder"), ("file/within", "Not a directory")]
    {
        let arguments = ["-n5", "--io", "read", "--io-wait", "0", "--io-folder", folder];
        let finished = refused_in(&sandbox, &arguments, 2);
        for part in [folder, why, "expected a folder that can be written to"] {
            assert!(finished.stderr.contains(part), "no {part:?} in {}", finished.stderr);
        }
    }
    let arguments = ["-n", "1e9", "--io", "read", "--io-wait", "0", "--io-size", "1GiB", "--io-folder", "."];
    let finished = refused_in(&sandbox, &arguments, 3);
    assert!(finished.stderr.contains("are available"), "{}", finished.stderr);
}

#[test]
fn a_trace_that_is_none_is_refused_with_file_and_line() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("folder")).expect("a folder");
    for (content, place, why) in [
        ("", "trace.txt:", "no duration in it"),
        ("\n\n", "trace.txt:", "no duration in it"),
        ("0\n0ms\n", "trace.txt:", "every duration in it is 0"),
        ("1ms\nfast\n2ms\n", "trace.txt:2:", "'fast'"),
        ("1ms\n-2ms\n", "trace.txt:2:", "is negative"),
        ("1ms\n-0.5\n", "trace.txt:2:", "is negative"),
        ("nan\n", "trace.txt:1:", "is not a number"),
        ("1\n2\ninf", "trace.txt:3:", "is too long"),
        ("1ms\n\n2ms\n", "trace.txt:2:", "an empty line"),
        ("1ms,2ms\n", "trace.txt:1:", "is not a duration"),
    ] {
        sandbox.write("trace.txt", content);
        let finished = refused_in(&sandbox, &["-n1", "--spread", "trace:trace.txt"], 2);
        for part in [place, why, "expected"] {
            assert!(finished.stderr.contains(part), "no {part:?} about {content:?}: {}", finished.stderr);
        }
    }
    sandbox.write("trace.txt", [b"1ms\n".as_slice(), &[0xff; 9]].concat());
    let finished = refused_in(&sandbox, &["-n1", "--spread", "trace:trace.txt"], 2);
    assert!(finished.stderr.contains("trace.txt:2: not UTF-8 text"), "{}", finished.stderr);
    for (path, why) in [("missing", "No such file"), ("folder", "a folder"), ("/dev/zero", "no regular file")]
    {
        let finished = refused_in(&sandbox, &["-n1", "--spread", &format!("trace:{path}")], 2);
        for part in [path, why] {
            assert!(finished.stderr.contains(part), "no {part:?} in {}", finished.stderr);
        }
    }
    refused(&["-n5", "--spread", "trace:"], &["names no file", "expected trace:FILE"]);
}

#[test]
fn what_is_to_be_read_from_a_trace_must_be_in_it() {
    let sandbox = Sandbox::new();
    sandbox.write("trace.txt", "1ms\n2ms");
    let of_trace = ["--spread", "trace:trace.txt"];
    let refused_with = |arguments: &[&str], parts: &[&str]| {
        let finished = refused_in(&sandbox, arguments, 2);
        for part in parts {
            assert!(finished.stderr.contains(part), "no {part:?} in {}", finished.stderr);
        }
    };
    refused_with(&[&["-n3"], &of_trace[..]].concat(), &["tasks is 3", "has 2 durations"]);
    refused_with(
        &[&["--cpu", "trace", "--io-wait", "trace"], &of_trace[..]].concat(),
        &["both cpu and io-wait", "expected"],
    );
    refused_with(
        &["-n5", "--cpu", "trace"],
        &["cpu is to be read from the trace", "expected --spread trace:FILE"],
    );
    refused_with(
        &["-n5", "--io-wait", "trace", "--spread", "exponential"],
        &["io-wait is to be read from the trace, but spread is exponential"],
    );
}

#[test]
fn an_export_that_cannot_be_written_is_found_out_before_the_run() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("").display().to_string();
    for place in [folder.as_str(), "..", "nowhere/out.json", "old.json/out.json"] {
        let finished = refused_in(&sandbox, &["-n5", "--json", place], 2);
        assert!(
            finished.stderr.contains(&format!("failed to open {place}")),
            "{place:?}: {}",
            finished.stderr
        );
    }
}

#[test]
fn an_export_into_a_read_only_folder_is_found_out_before_the_run() {
    if nix::unistd::Uid::effective().is_root() {
        skip(
            "an export into a read-only folder",
            "root may write everywhere; run the tests as an ordinary user too",
        );
        return;
    }
    let sandbox = Sandbox::new();
    let folder = sandbox.path("read-only");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("old.json"), OLD_EXPORT).expect("a file");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).expect("permissions");
    for name in ["new.json", "old.json"] {
        let place = format!("read-only/{name}");
        let finished = refused_in(&sandbox, &["-n5", "--json", &place], 2);
        assert!(finished.stderr.contains("failed to open"), "{}", finished.stderr);
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("permissions");
}

#[test]
fn a_spec_that_is_not_there_or_is_no_text_is_refused() {
    refused(&["--config", "missing.toml"], &["failed to read the spec missing.toml", "No such file"]);
    refused(&["--config", "."], &["failed to read the spec .", "directory"]);
    let sandbox = Sandbox::new();
    sandbox.write("junk", (0..=255).cycle().take(10_000).collect::<Vec<u8>>());
    let finished = refused_in(&sandbox, &["-n5", "--config", "junk"], 2);
    assert!(finished.stderr.contains("not UTF-8 text"), "{}", finished.stderr);
    sandbox.write("junk", [0; 10_000]);
    let finished = refused_in(&sandbox, &["-n5", "--config", "junk"], 2);
    assert!(finished.stderr.len() < 4000, "an error is not the whole file: {}", finished.stderr);
}

#[test]
fn a_spec_without_an_end_is_not_read_to_its_end() {
    refused(&["-n5", "--config", "/dev/zero"], &["failed to read the spec /dev/zero", "expected at most"]);
}

#[test]
fn a_spec_that_is_not_toml_is_refused_at_its_line() {
    refused_spec("[workload]\ntasks = 5\nwhat is this\n", &["spec.toml:3", "what is this"]);
    refused_spec("[workload]\ntasks = 5\ntasks = 6\n", &["spec.toml:3", "duplicate key"]);
    refused_spec("[workload\n", &["spec.toml:1"]);
}

#[test]
fn a_spec_with_an_unknown_key_is_refused_at_its_place() {
    refused_spec(
        "[workload]\ntasks = 5\ncpuu = \"5us\"\n",
        &["spec.toml:3:1", "'cpuu' in [workload]", "did you mean cpu?"],
    );
    refused_spec("[worklaod]\ntasks = 5\n", &["spec.toml:1", "worklaod", "did you mean [workload]?"]);
    refused_spec(
        "[workload]\ntasks = 5\n[run]\nruonds = 5\n",
        &["spec.toml:4:1", "'ruonds' in [run]", "did you mean rounds?"],
    );
    refused_spec(
        "[workload]\ntasks = 5\n[[strategy]]\nmode = \"pool\"\nwrokers = 5\n",
        &["spec.toml:5:1", "'wrokers' in [[strategy]]", "did you mean workers?"],
    );
}

#[test]
fn a_spec_with_a_wrong_value_is_refused_at_its_place() {
    for (value, why) in [
        ("-5", "is negative"),
        ("0", "tasks is 0"),
        ("1e30", ""),
        ("\"many\"", "is not a number"),
        ("true", ""),
    ] {
        refused_spec(&format!("[workload]\ntasks = {value}\n"), &["spec.toml:", why, "expected"]);
    }
    refused_spec(
        "[workload]\ntasks = 5\ncpu = 5\n",
        &["spec.toml:3:7", "has no unit", "expected a duration"],
    );
    refused_spec(
        "[workload]\ntasks = 5\narg_size = \"KiB\"\n",
        &["spec.toml:3:12", "has no number", "expected"],
    );
    refused_spec(
        "[workload]\ntasks = 5\nspread = \"gaussian\"\n",
        &["spec.toml:3:10", "gaussian", "expected"],
    );
    refused_spec(
        "[workload]\ntasks = 5\n[[strategy]]\nmode = \"poool\"\n",
        &["spec.toml:4:8", "poool", "expected"],
    );
    refused_spec("[workload]\ntasks = 5\n[run]\nseed = -1\n", &["spec.toml:4:8", "expected"]);
}

#[test]
fn a_spec_that_contradicts_itself_is_refused_where_it_does() {
    refused_spec(
        "[workload]\ntasks = 5\n[[strategy]]\nname = \"mine\"\n",
        &["spec.toml:3", "without a mode", "expected"],
    );
    refused_spec(
        "[workload]\ntasks = 5\n[[strategy]]\nmode = \"serial\"\nworkers = 2\n",
        &["spec.toml:3", "serial has no workers"],
    );
    refused_spec(
        "[workload]\ntasks = 5\nworkload = \"file\"\narg_size = 5\n",
        &["spec.toml:1", "arg-size belongs to"],
    );
    refused_spec("[workload]\ntasks = 5\n[run]\nrounds = 0\n", &["spec.toml:3", "rounds is 0", "expected"]);
}

#[test]
fn json_that_is_no_export_is_refused() {
    let sandbox = Sandbox::new();
    for (text, why) in [
        ("{}", "missing field `plan`"),
        ("{\"plan\": 5}", "expected"),
        ("{\"plan\": {}}", "missing field"),
        ("[1, 2, 3]", "not the export of a run"),
        ("", "not the export of a run"),
        ("{\"plan\":", "not the export of a run"),
    ] {
        sandbox.write("other.json", text);
        let finished = refused_in(&sandbox, &["-n5", "--config", "other.json"], 2);
        for part in ["other.json", why] {
            assert!(
                finished.stderr.contains(part),
                "no {part:?} in the error about {text}: {}",
                finished.stderr
            );
        }
    }
}

#[test]
fn an_export_that_somebody_has_changed_beyond_reason_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.measure("-n5 --rounds 1 -m serial,pool");
    let export = fs::read_to_string(sandbox.path("measured.json")).expect("the export");
    let good: serde_json::Value = serde_json::from_str(&export).expect("JSON");
    let huge = u64::MAX;
    for (place, value) in [
        ("/plan/workload/tasks", serde_json::json!(0)),
        ("/plan/workload/tasks", serde_json::json!(huge)),
        ("/plan/workload/tasks", serde_json::json!(-5)),
        ("/plan/workload/tasks", serde_json::json!("many")),
        ("/plan/workload/arg_size_bytes", serde_json::json!(huge)),
        ("/plan/workload/cpu_seconds", serde_json::json!(-1.0)),
        ("/plan/workload/io_wait_seconds", serde_json::json!(1e300)),
        ("/plan/run/rounds", serde_json::json!(0)),
        ("/plan/run/rounds", serde_json::json!(huge)),
        ("/plan/run/baseline", serde_json::json!("nobody")),
        ("/plan/strategies/1/settings/workers", serde_json::json!(0)),
        ("/plan/strategies/1/settings/chunk", serde_json::json!(0)),
        ("/plan/strategies/1/mode", serde_json::json!("poool")),
    ] {
        let mut changed = good.clone();
        *changed.pointer_mut(place).expect("the place") = value.clone();
        sandbox.write("changed.json", changed.to_string());
        // What was typed would hold instead of what is in the file, so nothing is typed here.
        let finished = sandbox.run(["--config", "changed.json"]).expect_code(2);
        assert_eq!(finished.stdout, "", "{place} = {value}");
        assert!(finished.error().contains("expected"), "{place} = {value}: {}", finished.stderr);
    }
}

#[test]
fn results_that_cannot_be_held_are_the_machines_limit_and_not_a_mistake() {
    let sandbox = Sandbox::new();
    for arguments in [
        ["--tasks", "1e9", "--result-size", "1MiB"],
        ["--tasks", "1e12", "--mode", "serial"],
        ["--tasks", "5", "--parent-memory", "1PiB"],
        ["--tasks", "5", "--shared", "1PiB"],
    ] {
        let finished = refused_in(&sandbox, &arguments, 3);
        // The limit, its value, and what to do about it.
        for part in ["need", "but", "bytes)", "To raise it: "] {
            assert!(finished.error().contains(part), "no {part:?} in {}", finished.stderr);
        }
    }
}

#[test]
fn bad_input_is_an_error_even_where_nobody_can_read_it() {
    let sandbox = Sandbox::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    for arguments in [["-n5", "--rounds", "0"], ["-n5", "--config", "missing"], ["-n", "-5", "--quiet"]] {
        let mut command = sandbox.command(arguments);
        command.stderr(writer.try_clone().expect("a pipe"));
        sandbox.run_command(command).expect_code(2);
    }
}

#[test]
fn a_sweep_whose_cells_lie_nowhere_is_refused() {
    let sandbox = Sandbox::new();
    let words = "sweep --vary tasks=1,2 -m serial --rounds 1 --quiet --json sweep.json";
    sandbox.run(words.split(' ')).expect_code(0);
    let mut saved: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(sandbox.path("sweep.json")).expect("a sweep"))
            .expect("JSON");
    saved["cells"][0]["place"] = serde_json::json!([7]);
    sandbox.write("sweep.json", saved.to_string());
    for words in ["report sweep.json", "report sweep.json --csv out.csv", "report sweep.json --html out.html"]
    {
        let refused = sandbox.run(words.split(' ')).expect_code(2);
        assert!(refused.error().contains("sweep.json is damaged"), "{refused:?}");
    }
}

#[test]
fn words_that_no_flag_takes_are_answered_with_what_was_probably_meant() {
    let sandbox = Sandbox::new();
    for (arguments, tip) in [
        (&["compar", "a.json", "b.json"][..], "did you mean procbench compare?"),
        (&["gzip", "-k"], "tip: a command of your own stands behind --"),
        (&["cat", "x"], "tip: a command of your own stands behind --"),
        (&["make"], "tip: a command of your own stands behind --"),
        (&["--task", "3"], "a similar argument exists: '--tasks'"),
    ] {
        let said = sandbox.run(arguments).expect_code(2).stderr;
        assert!(said.contains(tip), "{tip}: {said}");
        assert!(!said.contains("as a value"), "what stands behind -- is executed: {said}");
    }
}
