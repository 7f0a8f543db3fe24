//! What procbench must not do for somebody who has prepared a folder, a file or a link for it.

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use common::faults::Count;
use common::{Sandbox, flowing, has_python, parse, skip};

/// Something that leaves a trace if it is ever executed.
fn trap(sandbox: &Sandbox, name: &str) {
    let path = sandbox.write(name, format!("#!/bin/sh\ntouch '{}'\n", sandbox.path("executed").display()));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a file of our own");
}

#[track_caller]
fn assert_not_executed(sandbox: &Sandbox) {
    assert!(!sandbox.path("executed").exists(), "it was executed: {:?}", sandbox.listing());
}

#[test]
fn without_a_shell_nothing_is_a_script() {
    let mut count = Count::of("words and lines that a shell would execute");
    let sandbox = Sandbox::new();
    let line = "$(touch executed); touch executed; `touch executed` | touch executed & {} *";
    sandbox.write("lines", format!("{line}\n"));
    for mode in ["serial", "threads", "pool", "process"] {
        for (words, arguments) in [
            (vec!["printf", "%s", "{}"], vec!["--args-from", "lines"]),
            (vec!["printf", "%s", line], vec!["-n", "1"]),
        ] {
            let mut all = vec!["-q", "--rounds", "1", "-m", mode, "--output", "kept"];
            all.extend(arguments);
            all.push("--");
            all.extend(words.iter().copied());
            sandbox.run(all).expect_code(0);
            let said = fs::read_to_string(sandbox.path(&format!("kept/{mode}/0.out"))).expect("the output");
            let expected = if words[2] == "{}" { line.to_owned() } else { line.replace("{}", "0") };
            assert_eq!(said, expected, "{mode}");
            assert_not_executed(&sandbox);
            count.survived();
        }
    }
    // A line is a parameter of the script, and never part of it.
    let arguments =
        ["-q", "--rounds", "1", "--args-from", "lines", "-m", "pool", "--shell", "--", "printf %s {}"];
    sandbox.run(arguments).expect_code(0);
    assert_not_executed(&sandbox);
    count.survived();
}

#[test]
fn nothing_of_the_current_folder_is_executed_by_accident() {
    let test = "nothing_of_the_current_folder_is_executed_by_accident";
    let mut count = Count::of("traps in the current folder");
    let sandbox = Sandbox::new();
    for name in [
        "procbench",
        "python3",
        "sh",
        "true",
        "random.py",
        "json.py",
        "os.py",
        "multiprocessing.py",
        "main.py",
    ] {
        trap(&sandbox, name);
    }
    let python = "import pathlib\npathlib.Path('executed').touch()\n";
    for name in ["random.py", "json.py", "struct.py", "zlib.py", "sitecustomize.py", "procbench_engine.py"] {
        sandbox.write(name, python);
    }
    let native = [
        "-n",
        "4",
        "--rounds",
        "1",
        "-q",
        "-m",
        "serial,threads,pool,process,pool:start=exec,process:start=exec",
    ];
    sandbox.run(native).expect_code(0);
    sandbox.run(["-n", "2", "--rounds", "1", "-q", "-m", "process", "--", "true"]).expect_code(0);
    assert_not_executed(&sandbox);
    count.survived();
    if has_python(test) {
        let mut command = sandbox.command([
            "-n",
            "4",
            "--rounds",
            "1",
            "-q",
            "-m",
            "py-serial,py-pool:start=fork,py-pool:start=spawn,py-process",
        ]);
        command.env("PYTHONPATH", ".").env("PYTHONSTARTUP", "random.py");
        sandbox.run_command(command).expect_code(0);
        assert_not_executed(&sandbox);
        count.survived();
    }
    // A name without a slash is looked for along the path, and only there.
    sandbox.run(["-n", "1", "-q", "-m", "process", "--", "main.py"]).expect_code(2);
    sandbox.run(["-n", "4", "-q", "-m", "py-serial", "--python", "main.py"]).expect_code(3);
    assert_not_executed(&sandbox);
    count.survived();
}

#[test]
fn an_export_takes_the_place_of_a_link_and_not_of_what_it_points_to() {
    let mut count = Count::of("links at the place of an export");
    let sandbox = Sandbox::new();
    sandbox.write("precious", "not to be lost");
    for target in ["precious", "nowhere"] {
        let link = sandbox.path("out.json");
        let _ = fs::remove_file(&link);
        symlink(target, &link).expect("a link");
        sandbox.run(["-n", "4", "--rounds", "1", "-q", "-m", "serial", "--json", "out.json"]).expect_code(0);
        assert!(fs::symlink_metadata(&link).expect("the export").is_file(), "the link is replaced");
        parse(&fs::read_to_string(&link).expect("the export"));
        assert_eq!(fs::read_to_string(sandbox.path("precious")).expect("as before"), "not to be lost");
        assert!(!sandbox.path("nowhere").exists());
        count.survived();
    }
    let others = [
        ("--csv", "-n 4 --rounds 1 -q -m serial"),
        ("--html", "-n 4 --rounds 1 -q -m serial"),
        ("--markdown", "-n 4 --rounds 1 -q -m serial"),
        ("--json", "sweep --vary tasks=2,4 --rounds 1 -q -m serial"),
        ("--output", "report out.json"),
        ("--csv", "report out.json"),
        ("--markdown", "report out.json"),
        ("--json", "compare out.json out.json"),
        ("--markdown", "compare out.json out.json"),
    ];
    for (flag, arguments) in others {
        let link = sandbox.path("link");
        let _ = fs::remove_file(&link);
        symlink("precious", &link).expect("a link");
        sandbox.run(arguments.split(' ').chain([flag, "link"])).expect_code(0);
        assert!(fs::symlink_metadata(&link).expect("the export").is_file(), "{arguments} {flag}");
        assert_eq!(fs::read_to_string(sandbox.path("precious")).expect("as before"), "not to be lost");
        count.survived();
    }
    if has_python("an_export_takes_the_place_of_a_link_and_not_of_what_it_points_to") {
        sandbox.write("tasks.py", "def work(line):\n    return line\n");
        let link = sandbox.path("returned");
        symlink("precious", &link).expect("a link");
        let arguments = "-n 2 --rounds 1 -q -m serial --call tasks:work --returns returned";
        sandbox.run(arguments.split(' ')).expect_code(0);
        assert!(fs::symlink_metadata(&link).expect("what was returned").is_file());
        assert_eq!(fs::read_to_string(sandbox.path("precious")).expect("as before"), "not to be lost");
        count.survived();
    }
    // A device under another name is not written to; one under its own is.
    symlink("/dev/null", sandbox.path("device")).expect("a link");
    let finished = sandbox.run(["-n", "4", "-q", "-m", "serial", "--json", "device"]).expect_code(2);
    assert!(finished.error().contains("is a link to what is no file"), "{finished:?}");
    sandbox.run(["-n", "4", "--rounds", "1", "-q", "-m", "serial", "--json", "/dev/null"]).expect_code(0);
    count.survived();
}

#[test]
fn what_programs_write_is_kept_in_the_folder_that_was_named_and_nowhere_else() {
    let mut count = Count::of("links at the place of what programs write");
    let sandbox = Sandbox::new();
    sandbox.write("precious", "not to be lost");
    fs::create_dir_all(sandbox.path("kept/pool")).expect("folders of our own");
    symlink("../../precious", sandbox.path("kept/pool/0.out")).expect("a link");
    let run = || sandbox.run("-n 2 --rounds 1 -q -m pool --output kept -- echo {}".split(' '));
    run().expect_code(0);
    assert_eq!(fs::read_to_string(sandbox.path("precious")).expect("as before"), "not to be lost");
    assert_eq!(fs::read_to_string(sandbox.path("kept/pool/0.out")).expect("the output"), "0\n");
    count.survived();
    // A strategy's folder that leads elsewhere is not written to.
    fs::remove_dir_all(sandbox.path("kept/pool")).expect("our own");
    fs::create_dir(sandbox.path("elsewhere")).expect("a folder");
    symlink("../elsewhere", sandbox.path("kept/pool")).expect("a link");
    let finished = run();
    assert_ne!(finished.code(), Some(0), "{finished:?}");
    assert!(finished.error().contains("kept/pool"), "{finished:?}");
    assert_eq!(fs::read_dir(sandbox.path("elsewhere")).expect("a folder").count(), 0);
    count.survived();
}

#[test]
fn a_path_that_leads_through_the_current_folder_does_not_lead_to_what_lies_there() {
    let test = "a_path_that_leads_through_the_current_folder_does_not_lead_to_what_lies_there";
    let mut count = Count::of("traps in the current folder, with a PATH that has it in front");
    let sandbox = Sandbox::new();
    for name in ["procbench", "python3", "sh", "true", "uname", "git"] {
        trap(&sandbox, name);
    }
    let path = std::env::var("PATH").expect("a PATH");
    let python = has_python(test).then_some("-n 2 --rounds 1 -q -m py-serial,py-pool,py-process");
    let runs = [
        "-n 2 --rounds 1 -q -m serial,threads,pool,process,pool:start=exec,process:start=exec",
        "-n 2 --rounds 1 -q -m serial,pool,process -- true",
    ];
    for front in [".", "", "./"] {
        for arguments in runs.into_iter().chain(python) {
            let mut command = sandbox.command(arguments.split(' '));
            command.env("PATH", format!("{front}:{path}"));
            sandbox.run_command(command).expect_code(0);
            assert_not_executed(&sandbox);
            count.survived();
        }
    }
    // Who wants what lies there says so.
    trap(&sandbox, "here");
    let mut command = sandbox.command("-n 1 -q -m process -- here".split(' '));
    command.env("PATH", format!(".:{path}"));
    let finished = sandbox.run_command(command).expect_code(2);
    assert!(finished.error().contains("say ./here"), "{finished:?}");
    assert_not_executed(&sandbox);
    sandbox.run("-n 1 --rounds 1 -q -m process -- ./here".split(' ')).expect_code(0);
    assert!(sandbox.path("executed").exists());
    count.survived();
}

#[test]
fn a_command_of_a_spec_is_shown_word_by_word_before_it_is_executed() {
    let mut count = Count::of("commands that a spec file brings along");
    let sandbox = Sandbox::new();
    let spec = "[workload]\ntasks = 1\ncommand = [\"sh\", \"-c\", \"grep -q two.words shown && touch executed\", \"two words\"]\n";
    sandbox.write("spec.toml", spec);
    let shown = sandbox.run(["--config", "spec.toml", "--dry-run"]).expect_code(0);
    for word in ["-c", "'grep -q two.words shown && touch executed'", "'two words'"] {
        let is_there = shown.stdout.lines().any(|line| line.trim() == word);
        assert!(is_there, "no line {word} in {}", shown.stdout);
    }
    // The program is shown as the file that was found.
    assert!(
        shown.stdout.lines().any(|line| line.trim().starts_with('/') && line.ends_with("/sh")),
        "{shown:?}"
    );
    assert_not_executed(&sandbox);
    // The command itself looks whether it was shown by the time it is executed.
    let shown = fs::File::create(sandbox.path("shown")).expect("a file");
    let mut command = sandbox.command("--config spec.toml --rounds 1 -q -m process".split(' '));
    let status = command.stdout(Stdio::null()).stderr(shown).status().expect("procbench");
    let said = fs::read_to_string(sandbox.path("shown")).expect("what was shown");
    assert!(status.success() && sandbox.path("executed").exists(), "{said}");
    count.survived();
}

/// A script `not-python.sh` that does what `line` says, and is none.
fn no_python(sandbox: &Sandbox, line: &str) {
    let script = sandbox.write("not-python.sh", format!("#!/bin/sh\n{line}\n"));
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("it may be executed");
}

#[test]
fn the_python_of_a_spec_is_shown_before_it_is_executed_and_not_executed_by_a_dry_run() {
    let mut count = Count::of("a Python that a spec file brings along");
    let sandbox = Sandbox::new();
    no_python(&sandbox, "grep -q not-python shown && touch executed");
    let spec = "[workload]\ntasks = 1\n[run]\npython = \"./not-python.sh\"\n[[strategy]]\nengine = \"python\"\nmode = \"serial\"\n";
    sandbox.write("spec.toml", spec);
    for arguments in
        ["--config spec.toml --dry-run -q", "sweep --config spec.toml --vary tasks=1,2 --dry-run -q"]
    {
        let finished = sandbox.run(arguments.split(' ')).expect_code(2);
        assert!(finished.error().contains("expected --python ./not-python.sh"), "{finished:?}");
        assert!(!sandbox.path("executed").exists(), "{arguments}");
        count.survived();
        let arguments = format!("{arguments} --python ./not-python.sh");
        let finished = sandbox.run(arguments.split(' ')).expect_code(3);
        assert!(
            !flowing(&finished.stderr).contains("executed as Python"),
            "who typed it knows: {finished:?}"
        );
        count.survived();
    }
    for arguments in ["--config spec.toml -q", "sweep --config spec.toml --vary tasks=1,2 -q"] {
        let _ = fs::remove_file(sandbox.path("executed"));
        let shown = fs::File::create(sandbox.path("shown")).expect("a file");
        let mut command = sandbox.command(arguments.split(' '));
        let status = command.stdout(Stdio::null()).stderr(shown).status().expect("procbench");
        assert_eq!(status.code(), Some(3), "it is no Python");
        assert!(sandbox.path("executed").exists(), "{arguments}: it was executed, and had been shown");
        count.survived();
    }
}

#[test]
fn what_a_saved_sweep_would_execute_is_shown_and_its_python_not_executed_by_a_dry_run() {
    let mut count = Count::of("what a saved sweep brings along");
    let sandbox = Sandbox::new();
    let words = "sweep --vary tasks=1,2 -m serial --rounds 1 -q --json sweep.json -- touch executed";
    sandbox.run(words.split(' ')).expect_code(0);
    let saved = fs::read_to_string(sandbox.path("sweep.json")).expect("the sweep");
    let _ = fs::remove_file(sandbox.path("executed"));
    let again = sandbox.run("sweep --resume sweep.json --dry-run -q".split(' ')).expect_code(0);
    assert!(again.stderr.contains("\n    executed\n") && !sandbox.path("executed").exists(), "{again:?}");
    count.survived();
    // Somebody else's, who has a Python of his own started, and a file of yours written.
    no_python(&sandbox, "touch executed");
    let mut json: serde_json::Value = serde_json::from_str(&saved).expect("JSON");
    let typed = "procbench sweep --vary tasks=1,2 -m py-serial --rounds 1 -q --python ./not-python.sh --csv other.csv";
    json["command_line"] = typed.split(' ').collect();
    json["cells"]
        .as_array_mut()
        .expect("cells")
        .iter_mut()
        .for_each(|cell| cell["document"] = serde_json::Value::Null);
    sandbox.write("theirs.json", json.to_string());
    let dry = sandbox.run("sweep --resume theirs.json --dry-run -q".split(' '));
    assert!(!sandbox.path("executed").exists() && dry.code() == Some(2), "{dry:?}");
    assert!(flowing(&dry.stderr).contains("its Python would be"), "{dry:?}");
    count.survived();
    let told = sandbox.run("sweep --resume theirs.json -q".split(' '));
    let shown = told.stderr.contains("executed as Python:\n    ./not-python.sh");
    assert!(shown && told.stderr.contains("Written besides: --csv other.csv"), "{told:?}");
    count.survived();
}

#[test]
fn memory_has_no_name_and_its_size_is_sealed_and_folders_are_private() {
    let mut count = Count::of("what others could see or change of a run");
    let sandbox = Sandbox::new();
    let words = "-n 8 --workload file --io-wait 1h -q -m pool:workers=2:start=exec";
    let mut running = sandbox.start(sandbox.command(words.split(' ')));
    let runner = running.wait_for_runner(1);
    running.wait_for_sleepers(runner, 2);
    let mut sealed = 0;
    for file in fs::read_dir(format!("/proc/{runner}/fd")).expect("its files").flatten() {
        let target = fs::read_link(file.path()).unwrap_or_default();
        if target.to_string_lossy().starts_with("/memfd:") {
            let opened = fs::File::open(file.path()).expect("our own");
            let seals = nix::fcntl::fcntl(&opened, nix::fcntl::FcntlArg::F_GET_SEALS).expect("seals");
            assert_ne!(seals & libc::F_SEAL_SHRINK, 0, "{target:?} may shrink under those who map it");
            sealed += 1;
        }
    }
    assert!(sealed > 0, "workers that are executed anew are handed some");
    // Others have theirs there.
    let own = format!("procbench-{}-", running.pid());
    let named = fs::read_dir("/dev/shm").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let named: Vec<_> = named.filter(|name| name.to_string_lossy().contains(&own)).collect();
    assert!(named.is_empty(), "{named:?}");
    for pid in running.children_of(runner).into_iter().chain([runner, running.pid()]) {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("its memory");
        assert!(!maps.contains(" /dev/shm"), "memory of {pid} has a name: {maps}");
    }
    let folders: Vec<_> = fs::read_dir(sandbox.path("../tmp")).expect("a folder").flatten().collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    let mode = folders[0].metadata().expect("our own").permissions().mode() & 0o777;
    assert_eq!(mode, 0o700, "{mode:o}");
    running.signal(nix::sys::signal::Signal::SIGINT);
    running.finish().expect_code(130);
    count.survived();
}

#[test]
fn it_refuses_to_run_with_the_rights_of_another() {
    let test = "it_refuses_to_run_with_the_rights_of_another";
    if !nix::unistd::Uid::effective().is_root() {
        return skip(test, "only root can make a file that gives its rights to others");
    }
    let mut count = Count::of("setuid and setgid");
    const NOBODY: u32 = 65_534;
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our own");
    let program = folder.path().join("procbench");
    fs::copy(env!("CARGO_BIN_EXE_procbench"), &program).expect("a copy");
    // Whether such a file gives anybody rights here is asked of the kernel, not of what is tested.
    let mounted = nix::sys::statvfs::statvfs(folder.path()).expect("its file system").flags();
    if mounted.contains(nix::sys::statvfs::FsFlags::ST_NOSUID) {
        return skip(test, "the temporary folder's file system gives nobody's rights to anybody (nosuid)");
    }
    let own = fs::read_to_string("/proc/self/status").expect("what this process may");
    if own.lines().any(|line| line.starts_with("NoNewPrivs:") && !line.ends_with('0')) {
        return skip(test, "this process may be given no rights by any file (no_new_privs)");
    }
    for mode in [0o4755, 0o2755] {
        use std::os::unix::process::CommandExt;
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).expect("our own");
        let run = Command::new(&program).args(["-n", "4"]).uid(NOBODY).gid(NOBODY).output();
        let Ok(output) = run else {
            return skip(test, "an ordinary user cannot reach the machine's temporary folder");
        };
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("refuses"), "{output:?}");
        count.survived();
    }
}
