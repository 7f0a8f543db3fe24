//! What tasks read and wait for: shared input, round trips to a peer, files on a disk, durations from a trace.

mod common;

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use common::{Running, Sandbox, digest, kill, parse, rounds, row, skip};
use nix::sys::signal::Signal;
use procbench::document::{Document, Round};
use procbench::measure::storage::Storage;
use procbench::mode::Mode;
use procbench::seed::Rng;
use procbench::workload::block::{BLOCK_BYTES, Block};
use procbench::workload::{argument, cpu};
use procfs::process::Process;
use sha2::{Digest, Sha256};

const ALL_MODES: &str = "serial,threads:workers=3,pool:workers=3,process";

/// The digest of tasks without argument bytes whose checksums are carried on by `carry_on`.
fn digest_of(tasks: u64, carry_on: impl Fn(u64, u32) -> u32) -> String {
    let mut hasher = Sha256::new();
    for task in 0..tasks {
        hasher.update(carry_on(task, argument::checksum(task, &[])).to_le_bytes());
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every task of every round is done, by as many processes as the mode says.
#[track_caller]
fn assert_complete(document: &Document) {
    let tasks = document.plan.workload.tasks;
    assert!(rounds(document).count() > 0);
    for (row, round) in rounds(document) {
        let report = &round.report;
        assert_eq!((report.tasks_completed, report.tasks_failed), (tasks, 0), "{}: {report:?}", row.name);
        let started = match row.mode {
            Mode::Serial | Mode::Threads => 0,
            Mode::Pool => row.settings.workers.expect("a pool has workers"),
            Mode::Process => tasks,
        };
        assert_eq!(report.processes_started, started, "{}: {report:?}", row.name);
    }
}

#[test]
fn every_task_reads_all_of_the_shared_input_in_every_mode() {
    let sandbox = Sandbox::new();
    for size in [1, 65_537, 3 << 20] {
        let document = sandbox.measure(&format!("-n 12 --shared {size} --rounds 1 --seed 5 -m {ALL_MODES}"));
        assert_complete(&document);
        let block = Block::new(5);
        let mut shared = vec![0; size];
        for (number, piece) in shared.chunks_mut(BLOCK_BYTES).enumerate() {
            block.fill(number as u64, piece);
        }
        let expected = digest_of(12, |_, checksum| argument::extend(checksum, &shared));
        assert_eq!(digest(&document), expected, "{size} bytes");
    }
}

#[test]
fn shared_input_goes_with_argument_bytes_a_spread_and_private_memory() {
    let sandbox = Sandbox::new();
    let together =
        "-n 12 --shared 100000 --arg-size 9 --result-size 5 --cpu 5us --spread exponential --memory 64KiB";
    let document = sandbox.measure(&format!("{together} --rounds 1 --overhead -m {ALL_MODES}"));
    assert_complete(&document);
    let other = sandbox.measure(&format!("{together} --rounds 1 --seed 2 -m serial"));
    assert_ne!(digest(&document), digest(&other), "the bytes are drawn from the seed");
}

/// The digest of tasks that are answered by a peer.
fn digest_of_echo(seed: u64, tasks: u64, size: usize) -> String {
    digest_of(tasks, |task, checksum| {
        // As `workload/io/echo.rs` describes it for other runtimes.
        let mut answer = vec![0; size];
        let pattern = Rng::for_item(seed ^ 0x6563_686f_6563_686f, task).next_u64().to_le_bytes();
        argument::repeat(pattern, &mut answer);
        argument::extend(checksum, &answer)
    })
}

#[test]
fn every_answer_of_the_peer_is_part_of_the_result_in_every_mode() {
    let sandbox = Sandbox::new();
    // Up to 64 bytes a process inherits next to nothing, beyond that everything; 300 KiB do not fit into a socket's buffer.
    for size in [1, 63, 64, 65, 4096, 300 << 10] {
        let document =
            sandbox.measure(&format!("-n 40 --io echo --io-size {size} --rounds 1 -m {ALL_MODES}"));
        assert_complete(&document);
        assert_eq!(digest(&document), digest_of_echo(1, 40, size), "{size} bytes");
        for (row, round) in rounds(&document) {
            assert!(round.report.io_overshoot_mean_seconds.is_some(), "{}", row.name);
            assert!(round.peer_cpu_seconds.is_some(), "{}", row.name);
        }
    }
}

#[test]
fn the_peer_waits_as_long_as_it_is_asked_to_and_for_all_at_once() {
    let document =
        Sandbox::new().measure("-n 16 --io echo --io-wait 300ms --rounds 1 -m process,pool:workers=8");
    assert_complete(&document);
    for (row, round) in rounds(&document) {
        let waits = if row.mode == Mode::Pool { 2.0 } else { 1.0 };
        assert!(round.report.total_seconds >= 0.3 * waits, "{}: {:?}", row.name, round.report);
    }
    assert_eq!(
        row(&document, "process").rounds[0].report.peak_alive,
        16,
        "nobody waits for another's answer"
    );
}

#[test]
fn io_goes_with_every_workload_and_with_uneven_durations() {
    let sandbox = Sandbox::new();
    let mut all = vec!["--workload file"];
    if cfg!(feature = "excel") {
        all.push("--workload expression");
    }
    for workload in all {
        let document = sandbox
            .measure(&format!("-n 10 {workload} --io echo --io-wait 1ms --spread uniform:0.5 --rounds 1"));
        assert_complete(&document);
        let document =
            sandbox.measure(&format!("-n 10 {workload} --shared 100KB --io fsync --io-folder . --rounds 1"));
        assert_complete(&document);
    }
}

#[test]
fn empty_tasks_need_neither_a_peer_nor_a_disk() {
    let document = Sandbox::new().measure("-n 10 --io echo --overhead --rounds 1");
    assert!(
        document.overhead.iter().flat_map(|row| &row.rounds).all(|round| round.peer_cpu_seconds.is_none())
    );
}

/// The peer of the current round.
fn peer(running: &Running<'_>) -> Option<i32> {
    let role = |pid: i32| Process::new(pid).ok()?.cmdline().ok()?.into_iter().nth(1);
    running.children_of(running.pid()).into_iter().find(|pid| role(*pid).as_deref() == Some("__peer"))
}

#[test]
fn tasks_whose_peer_is_killed_have_failed_and_the_run_ends() {
    for mode in ["serial", "threads:workers=2", "pool:workers=2", "process:in-flight=2"] {
        let sandbox = Sandbox::new();
        let arguments = "-n 6 --io echo --io-wait 1h --rounds 1 --json out.json -m";
        let mut running = sandbox.start(sandbox.command(arguments.split(' ').chain([mode])));
        // A wait of an hour is not tried beforehand: each round (memory, and the timed one) has a peer of its own.
        let mut killed = Vec::new();
        while killed.len() < 2 {
            let found =
                running.wait_for("a peer", |running| peer(running).filter(|pid| !killed.contains(pid)));
            running.wait_for("the tasks of its round", |running| running.runner());
            kill(found);
            killed.push(found);
        }
        let finished = running.finish().expect_code(1);
        let document = parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
        let report = &document.strategies[0].rounds[0].report;
        assert_eq!((report.tasks_completed, report.tasks_failed), (0, 6), "{mode}: {report:?}");
        assert!(finished.stdout.contains("All tasks failed"), "{finished:?}");
    }
}

#[test]
fn a_peer_is_nobody_elses_to_end() {
    // Whoever talks to it in another way loses the connection, and the round is none the worse for it.
    let sandbox = Sandbox::new();
    let arguments = "-n 2 --io echo --io-wait 1s --rounds 1 -m serial --json out.json";
    let mut running = sandbox.start(sandbox.command(arguments.split(' ')));
    running.wait_for("a peer", peer);
    let prefix = format!("@procbench-{}-", running.pid());
    let name = running.wait_for("its socket", |_| {
        let all = fs::read_to_string("/proc/net/unix").expect("the sockets of this machine");
        let name = all.lines().filter_map(|line| line.split_whitespace().nth(7));
        name.filter(|name| name.starts_with(&prefix)).map(|name| name[1..].to_owned()).next()
    });
    let address = SocketAddr::from_abstract_name(name).expect("an address");
    if let Ok(mut stranger) = UnixStream::connect_addr(&address) {
        use std::io::{Read, Write};
        // Two requests at once, the first of which is to be answered in an hour.
        let request = [3_600_000_000_000_u64.to_le_bytes().to_vec(), vec![7; 64]].concat();
        let _ = stranger.write_all(&request.repeat(2));
        let mut answer = Vec::new();
        let _ = stranger.read_to_end(&mut answer);
        assert_eq!(answer, [0; 0], "hung up on without an answer");
    }
    running.finish().expect_code(0);
}

#[test]
fn more_tasks_than_the_peer_can_have_connections_wait_for_their_turn() {
    let sandbox = Sandbox::new();
    let mut command =
        sandbox.command("-n 300 --io echo --io-wait 5ms --rounds 1 --json out.json -m process".split(' '));
    limit_files(&mut command, 128);
    let finished = sandbox.run_command(command).expect_code(0);
    assert!(finished.stderr.contains("RLIMIT_NOFILE is 128"), "{finished:?}");
    let document = parse(&fs::read_to_string(sandbox.path("out.json")).expect("the export"));
    assert_complete(&document);
    let row = &document.strategies[0];
    assert_eq!(row.settings.in_flight, Some(112));
    assert!(row.rounds[0].report.peak_alive <= 112);
}

#[test]
fn more_workers_than_the_peer_can_have_connections_are_refused() {
    for mode in ["pool:workers=200", "threads:workers=200"] {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(["-n", "300", "--io", "echo", "-m", mode]);
        limit_files(&mut command, 128);
        let finished = sandbox.run_command(command).expect_code(3);
        let error = finished.error();
        assert!(error.contains(mode) && error.contains("RLIMIT_NOFILE") && error.contains("112"), "{error}");
    }
}

fn limit_files(command: &mut std::process::Command, limit: u64) {
    use nix::sys::resource::{Resource, setrlimit};
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec one system call is made, and nothing is allocated.
    unsafe { command.pre_exec(move || Ok(setrlimit(Resource::RLIMIT_NOFILE, limit, limit)?)) };
}

/// The digest of tasks that write or read the bytes of their number.
fn digest_of_disk(seed: u64, tasks: u64, size: usize) -> String {
    let block = Block::new(seed);
    digest_of(tasks, |task, checksum| {
        let mut bytes = vec![0; size];
        block.fill(task, &mut bytes);
        argument::extend(checksum, &bytes)
    })
}

#[test]
fn files_are_written_and_read_in_every_mode_and_none_is_left() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("disk")).expect("a folder");
    for io in ["fsync", "read"] {
        for size in [1, 4096, 70_000] {
            let document = sandbox.measure(&format!(
                "-n 30 --io {io} --io-size {size} --io-folder disk --rounds 2 --seed 3 -m {ALL_MODES}"
            ));
            assert_complete(&document);
            assert_eq!(digest(&document), digest_of_disk(3, 30, size), "{io} of {size} bytes");
            assert_eq!(fs::read_dir(sandbox.path("disk")).expect("the folder").count(), 0);
            let storage = document.environment.storage.as_ref().expect("what is beneath the folder");
            let folder = sandbox.path("disk").canonicalize().expect("a path");
            assert_eq!(
                *storage,
                Storage {
                    available_bytes: storage.available_bytes,
                    available_files: storage.available_files,
                    ..Storage::of(folder).expect("storage")
                }
            );
        }
    }
}

#[test]
fn what_is_read_comes_from_the_disk_where_there_is_one() {
    let sandbox = Sandbox::new();
    let (document, finished) =
        sandbox.report(&format!("-n 64 --io read --io-folder . --rounds 1 -m {ALL_MODES}"));
    let storage = document.environment.storage.as_ref().expect("what is beneath the folder");
    let (file_system, shown) = (storage.file_system.as_deref().unwrap_or_default(), storage.folder.display());
    if !["ext4", "ext3", "xfs", "btrfs"].contains(&file_system) {
        skip("what_is_read_comes_from_the_disk", &format!("{shown} is on {file_system}"));
        return;
    }
    assert!(finished.stdout.contains(&format!("{file_system} on ")), "{finished:?}");
    for (row, round) in rounds(&document) {
        let read = round.storage_read_bytes.expect("an account of what was read");
        assert!(read >= 64 * 4096, "{}: {read} bytes of 64 pages", row.name);
    }
}

#[test]
fn each_byte_is_read_once_however_processes_are_started() {
    let test = "each_byte_is_read_once";
    let sandbox = Sandbox::new();
    let rows = "process,process:start=exec,pool:workers=20,pool:workers=20:start=exec";
    let arguments = format!("-n 20 --io read --io-size 1MiB --io-folder . --rounds 2 -m {rows}");
    let (document, _) = sandbox.report(&arguments);
    let asked = 20 << 20;
    let read = |round: &Round| round.storage_read_bytes.expect("an account of what was read");
    if rounds(&document).any(|(_, round)| read(round) < asked) {
        return skip(test, "what is written here is not read from a disk");
    }
    for (row, round) in rounds(&document) {
        // Once more would be twice as much; a little more are pages of the program itself, where memory is short.
        assert!(read(round) < asked * 5 / 4, "{}: {} bytes of {asked}", row.name, read(round));
    }
}

#[test]
fn a_folder_in_memory_is_warned_of() {
    let shm = std::path::Path::new("/dev/shm");
    let in_memory = Storage::of(shm.into()).is_ok_and(|storage| storage.is_in_memory());
    if !in_memory || tempfile::tempdir_in(shm).is_err() {
        skip("a_folder_in_memory", "/dev/shm is no tmpfs that can be written to");
        return;
    }
    let folder = tempfile::tempdir_in(shm).expect("a folder");
    for io in ["fsync", "read"] {
        let arguments =
            format!("-n 3 --io {io} --io-folder {} --rounds 1 -m serial", folder.path().display());
        let (document, finished) = Sandbox::new().report(&arguments);
        let codes: Vec<&str> = document.warnings.iter().map(|warning| warning.code.as_str()).collect();
        assert!(codes.contains(&"no_disk") && !codes.contains(&"read_from_memory"), "{codes:?}");
        assert!(finished.stderr.contains("nothing of this I/O reaches a"), "{finished:?}");
    }
}

#[test]
fn a_task_whose_file_cannot_be_written_has_failed_with_the_reason() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(
        "-n 4 --io fsync --io-size 64KiB --io-folder . --rounds 1 --json out.json -m serial,pool".split(' '),
    );
    use nix::sys::resource::{Resource, setrlimit};
    use std::os::unix::process::CommandExt;
    // Larger files than this cannot be written, and the signal that says so is ignored.
    // SAFETY: between fork and exec two system calls are made, and nothing is allocated.
    unsafe {
        command.pre_exec(|| {
            nix::sys::signal::signal(Signal::SIGXFSZ, nix::sys::signal::SigHandler::SigIgn)?;
            Ok(setrlimit(Resource::RLIMIT_FSIZE, 32 << 10, 32 << 10)?)
        });
    }
    let finished = sandbox.run_command(command).expect_code(1);
    assert!(finished.stderr.contains("File too large"), "{finished:?}");
}

#[test]
fn a_trace_gives_the_kth_task_its_kth_duration_in_every_mode() {
    let sandbox = Sandbox::new();
    sandbox.write("durations.txt", "# five jobs\n1ms\n0.002\n3ms\n0\n40us\n");
    let document = sandbox.measure(&format!("--spread trace:durations.txt --rounds 1 -m {ALL_MODES}"));
    assert_complete(&document);
    assert_eq!(document.plan.workload.tasks, 5, "as many tasks as durations");
    let of = |seconds: f64| cpu::units_for(seconds, document.environment.units_per_second);
    let expected: u64 = [0.001, 0.002, 0.003, 0.0, 0.000_04].into_iter().map(of).sum();
    for (row, round) in rounds(&document) {
        // Each duration is rounded to a unit, and so is their mean.
        assert!(
            round.report.work_units.abs_diff(expected) <= 10,
            "{}: {}",
            row.name,
            round.report.work_units
        );
    }
    let first = sandbox.measure("-n 2 --spread trace:durations.txt --rounds 1 -m serial,process");
    for (row, round) in rounds(&first) {
        let expected = cpu::units_for(0.003, first.environment.units_per_second);
        assert!(round.report.work_units.abs_diff(expected) <= 10, "the first two: {}", row.name);
    }
}

#[test]
fn a_trace_may_be_waits_or_be_scaled_to_a_mean() {
    let sandbox = Sandbox::new();
    sandbox.write("durations.txt", "10ms\n30ms\n");
    let waits = sandbox.measure("--spread trace:durations.txt --io-wait trace --rounds 1 -m serial,process");
    for (row, round) in rounds(&waits) {
        assert_eq!(round.report.work_units, 0, "{}", row.name);
        let least = if row.mode == Mode::Serial { 0.040 } else { 0.030 };
        assert!(round.report.total_seconds >= least, "{}: {}", row.name, round.report.total_seconds);
    }
    let scaled =
        sandbox.measure("--spread trace:durations.txt --cpu 1ms --io-wait 2ms --rounds 1 -m serial,process");
    for (row, round) in rounds(&scaled) {
        let expected = cpu::units_for(0.002, scaled.environment.units_per_second);
        assert!(round.report.work_units.abs_diff(expected) <= 2, "{}", row.name);
        assert!(round.report.total_seconds >= 0.003, "{}", row.name);
    }
}

#[test]
fn a_spec_finds_its_files_beside_itself_and_its_export_runs_again() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("specs/disk")).expect("a folder");
    fs::write(sandbox.path("specs/durations.txt"), "1ms\n2ms").expect("a trace");
    let spec = "[workload]\nspread = \"trace:durations.txt\"\nshared = \"1KiB\"\nio = \"fsync\"\nio_folder = \"disk\"\n\
                io_size = \"1KiB\"\n[run]\nrounds = 1\n";
    fs::write(sandbox.path("specs/all.toml"), spec).expect("a spec");
    let first = sandbox.measure("--config specs/all.toml");
    fs::rename(sandbox.path("measured.json"), sandbox.path("first.json")).expect("an export");
    let again = sandbox.measure("--config first.json");
    assert_eq!(first.plan, again.plan);
    assert_eq!(digest(&first), digest(&again));
    assert_eq!(first.plan.workload.trace.expect("a trace").durations, 2);
    // Another kind of I/O has no use for what belonged to the first.
    let echo = sandbox.measure("--config first.json --io echo");
    assert_eq!(echo.plan.workload.io_size_bytes, 64);
    let read = sandbox.measure("--config specs/all.toml --io read -m serial");
    assert_eq!(read.plan.workload.io_folder, first.plan.workload.io_folder);
}

#[test]
fn an_end_by_force_leaves_no_file_and_no_peer() {
    for (io, folder) in [("echo", None), ("fsync", Some("disk")), ("read", Some("disk"))] {
        for (signal, code) in [(Signal::SIGINT, Some(130)), (Signal::SIGKILL, None)] {
            let sandbox = Sandbox::new();
            fs::create_dir(sandbox.path("disk")).expect("a folder");
            let folder = folder.into_iter().flat_map(|folder| ["--io-folder", folder]);
            let arguments = ["-n", "50", "--rounds", "1e9", "-m", "pool,process", "--io", io];
            let mut running = sandbox.start(sandbox.command(arguments.into_iter().chain(folder)));
            running.wait_for_runner(6);
            running.signal(signal);
            // That nothing is left is seen to by the sandbox, which waits for it.
            assert_eq!(running.finish().code(), code, "{io} {signal}");
        }
    }
}
