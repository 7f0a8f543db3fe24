//! Memory, measured against what is known to be there.

mod common;

use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{Sandbox, row, skip};
use procbench::document::{Memory, PerAliveMissing};
use procbench::measure::memory::{MemoryReading, Method, Missing, PeakFrom};

const MIB: u64 = 1 << 20;

/// Why the kernel's share of a round may not be told where others start and end processes meanwhile.
const OF_OTHERS: [Missing; 3] = [Missing::OthersVary, Missing::ChangedMeanwhile, Missing::CountersOff];

/// One at a time: by one of the methods the whole machine is looked at.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The memory of the one strategy of a run, if `method` could be had.
fn measured(test: &str, method: &str, arguments: &str) -> Option<Memory> {
    let sandbox = Sandbox::new();
    let rounds = if arguments.contains("--rounds") { "" } else { "--rounds 1 " };
    let all = format!("{arguments} {rounds}--memory-method {method} --json out.json");
    let finished = sandbox.run(all.split(' '));
    if finished.code() != Some(0) && finished.stderr.contains("failed to measure memory by") {
        skip(test, &format!("{method} cannot be had here: {}", finished.stderr.trim()));
        return None;
    }
    let finished = finished.expect_code(0);
    let document = common::parse(&std::fs::read_to_string(sandbox.path("out.json")).expect("the export"));
    let [only] = &document.strategies[..] else { panic!("one strategy: {finished:?}") };
    row(&document, &only.name).memory.clone()
}

/// The same, of tasks that wait long enough for `all` to be there at once: on a slow machine the first may have ended before the
/// last has started. `WAIT` in `arguments` is for how long.
fn measured_at_once(
    test: &str,
    method: &str,
    arguments: &str,
    all: impl Fn(&Memory) -> bool,
) -> Option<Memory> {
    let mut last = None;
    for wait in ["100ms", "1s", "5s", "25s"] {
        let memory = measured(test, method, &arguments.replace("WAIT", wait))?;
        if all(&memory) {
            return Some(memory);
        }
        last = Some(memory);
    }
    panic!("they are never there at once: {last:?}");
}

fn is_within(found: u64, expected: u64, part: f64) -> bool {
    (found as f64 - expected as f64).abs() <= part * expected as f64
}

#[test]
fn two_hundred_processes_that_hold_a_mebibyte_each_hold_two_hundred() {
    let _alone = alone();
    let mut account: Option<MemoryReading> = None;
    for method in ["cgroup", "meminfo", "pss"] {
        let workload = "-n 200 --memory 1MiB --io-wait WAIT -m process";
        // To be alive at once is not enough: where each is looked at, it takes its time, and an account is divided into user and
        // kernel memory at a moment that need not be that of its peak.
        let are_seen = |memory: &Memory| {
            let MemoryReading { peak_bytes, user_bytes, kernel_bytes, .. } = memory.reading;
            let is_divided = match (peak_bytes, user_bytes, kernel_bytes) {
                (Some(peak), Some(user), Some(kernel)) => is_within(user + kernel, peak, 0.02),
                // What others start and end may be too much for the kernel's share to be told, but is in no process's own.
                _ => method != "cgroup" && user_bytes.is_some(),
            };
            // Nor need those who are alive have written all of theirs yet.
            let have_all = memory.per_alive_missing != Some(PerAliveMissing::NotAllTouched);
            // A look that has nine tenths of them speaks for all; here it is to have all.
            let all_seen = memory.reading.processes_seen.is_none_or(|seen| seen == 200);
            memory.peak_alive == 200 && is_divided && have_all && all_seen
        };
        let memory = measured_at_once("two_hundred_processes", method, workload, are_seen);
        let Some(memory) = memory else { continue };
        let MemoryReading { peak_bytes, user_bytes, kernel_bytes, .. } = memory.reading;
        let runner = memory.reading.runner_bytes.expect("the runner's share");
        let user = user_bytes.expect("the processes' share");
        let held = user.saturating_sub(runner);
        assert!(is_within(held, 200 * MIB, 0.05), "{method}: {held} bytes: {memory:?}");
        match memory.method {
            Method::Pss => {
                assert_eq!(kernel_bytes, None, "PSS does not see what the kernel holds");
                assert_eq!(memory.reading.kernel_missing, Some(Missing::NotInPss));
                assert!(matches!(memory.reading.processes_read, Some(64 | 200)), "{memory:?}");
                assert_eq!(memory.reading.processes_seen, Some(200), "{memory:?}");
            }
            Method::Meminfo if kernel_bytes.is_none() => {
                let why = memory.reading.kernel_missing.expect("a reason");
                assert!(OF_OTHERS.contains(&why), "{memory:?}");
                skip("two_hundred_processes", &format!("{method}: {why}"));
            }
            _ => {
                let kernel = kernel_bytes.expect("the kernel's share");
                assert!(kernel < 200 * 256 * 1024, "not much more than that: {memory:?}");
                assert!(
                    peak_bytes.is_some_and(|peak| peak >= user + kernel),
                    "the peak is the most: {memory:?}"
                );
                assert!(kernel >= 200 * 16 * 1024, "a kernel stack for each at least: {memory:?}");
                // The kernel's own account knows what is reckoned without one.
                match account.filter(|_| memory.method == Method::Meminfo) {
                    None => account = Some(memory.reading),
                    Some(account) => {
                        let (peak, of_account) =
                            (peak_bytes.expect("a peak"), account.peak_bytes.expect("a peak"));
                        assert!(is_within(peak, of_account, 0.05), "{memory:?} beside {account:?}");
                        if let Some(of_account) = account.kernel_bytes {
                            assert!(is_within(kernel, of_account, 0.35), "{memory:?} beside {account:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn files_that_are_read_and_gone_before_the_peak_are_no_memory() {
    let _alone = alone();
    let test = "files_that_are_gone_before_the_peak";
    let sandbox = Sandbox::new();
    if matches!(
        nix::sys::statfs::statfs(&sandbox.path(".")).map(|found| found.filesystem_type()),
        Ok(nix::sys::statfs::TMPFS_MAGIC)
    ) {
        return skip(test, "temporary files are kept in memory here, where what is written is memory");
    }
    let script = "head -c 67108864 /dev/zero > written; sleep 0.3; rm written; sleep 0.3; \
                  x=$(head -c 4194304 /dev/zero | tr '\\0' x); sleep 0.3; echo ${#x}";
    let words = "-n 1 -m serial --rounds 1 --memory-method cgroup --json out.json --shell --".split(' ');
    let finished = sandbox.run(words.chain([script]));
    if finished.code() != Some(0) && finished.stderr.contains("failed to measure memory by") {
        return skip(test, "no cgroup can be had here");
    }
    let finished = finished.expect_code(0);
    let document = common::parse(&std::fs::read_to_string(sandbox.path("out.json")).expect("the export"));
    let memory = document.strategies[0].memory.as_ref().expect("memory");
    assert!(memory.reading.page_cache_bytes.is_some_and(|cache| cache >= 48 * MIB), "{memory:?}");
    assert!(memory.reading.peak_bytes.is_some_and(|peak| peak < 40 * MIB), "{memory:?} {finished:?}");
}

#[test]
fn a_mebibyte_in_each_of_two_hundred_processes_adds_two_hundred_and_their_page_tables() {
    let _alone = alone();
    let peak = |memory: &str, held: u64| {
        let workload = format!("-n 200 --memory {memory} --io-wait WAIT -m process");
        // Who is alive need not have written its mebibyte yet.
        let all_hold = |memory: &Memory| {
            memory.peak_alive == 200 && memory.reading.user_bytes.is_some_and(|user| user >= held)
        };
        let memory = measured_at_once("a_mebibyte_in_each", "cgroup", &workload, all_hold)?;
        assert_eq!(memory.reading.peak_from, Some(PeakFrom::HighWaterMark), "{memory:?}");
        memory.reading.peak_bytes
    };
    let Some((without, with)) = peak("0", 0).zip(peak("1MiB", 200 * MIB)) else { return };
    // A table of pages maps two mebibytes, or so: one for each, or two.
    assert!(is_within(with - without, 200 * (MIB + 6 * 1024), 0.05), "{without} bytes, then {with}");
}

/// Every other one has what its neighbours have not, and so has every other of their children: a look at some of them would take them all
/// for the one or the other.
#[test]
fn programs_that_differ_are_all_looked_at() {
    let _alone = alone();
    let held = |first: u64, second: u64| {
        let sandbox = Sandbox::new();
        let lines = format!("{first}\n{second}\n").repeat(40);
        std::fs::write(sandbox.path("sizes"), lines).expect("a file of sizes");
        let mut last = None;
        for wait in ["2", "10", "30"] {
            let script = format!("x=$(head -c {{}} /dev/zero | tr '\\0' x); sleep {wait}; true");
            let options =
                "--args-from sizes -m process:in-flight=80 --rounds 1 --memory-method pss --json out.json";
            let words = options.split(' ').chain(["--", "/bin/sh", "-c", &script]);
            sandbox.run(words).expect_code(0);
            let document =
                common::parse(&std::fs::read_to_string(sandbox.path("out.json")).expect("the export"));
            let memory = document.strategies[0].memory.clone().expect("PSS can be had anywhere");
            let MemoryReading { processes_read, processes_seen, user_bytes, .. } = memory.reading;
            assert!(processes_read.is_some() || user_bytes.is_none(), "{memory:?}");
            assert_eq!(processes_read, processes_seen, "{memory:?}");
            // Each shell with the one that sleeps for it.
            let are_all = memory.peak_alive == 80 && processes_seen.is_some_and(|seen| seen >= 150);
            if let Some(bytes) = user_bytes.filter(|bytes| are_all && *bytes >= 40 * MIB) {
                return bytes;
            }
            last = Some(memory);
        }
        panic!("they are never there at once: {last:?}")
    };
    let (one, other) = (held(0, MIB), held(MIB, 0));
    assert!(is_within(one, other, 0.05), "{one} and {other} bytes");
}

#[test]
fn a_look_that_has_seen_no_program_is_not_of_the_programs() {
    let _alone = alone();
    for method in ["pss", "meminfo"] {
        let sandbox = Sandbox::new();
        let options =
            format!("-n 40 -m serial --rounds 1 --memory-method {method} --json out.json -- /bin/true");
        sandbox.run(options.split(' ')).expect_code(0);
        let document = common::parse(&std::fs::read_to_string(sandbox.path("out.json")).expect("the export"));
        let memory = document.strategies[0].memory.clone().expect("a memory round");
        assert_eq!(memory.peak_alive, 1, "{memory:?}");
        let MemoryReading { peak_bytes, alive_seen, peak_missing, .. } = memory.reading;
        assert!(alive_seen.is_none_or(|seen| seen == 1), "a look at the runner alone: {memory:?}");
        assert!(peak_bytes.is_some() || peak_missing.is_some(), "{memory:?}");
    }
}

#[test]
fn what_programs_start_themselves_does_not_count_as_alive() {
    let _alone = alone();
    for mode in ["process:in-flight=8", "pool:workers=8", "threads:workers=8"] {
        let mut last = None;
        let all_seen = ["2", "10", "30"].into_iter().any(|wait| {
            let sandbox = Sandbox::new();
            let script = format!("sleep {wait} | sleep {wait} | sleep {wait}");
            let options = format!("-n 8 -m {mode} --rounds 1 --memory-method pss --json out.json");
            let words = options.split(' ').chain(["--", "/bin/sh", "-c", &script]);
            sandbox.run(words).expect_code(0);
            let document =
                common::parse(&std::fs::read_to_string(sandbox.path("out.json")).expect("the export"));
            let memory = document.strategies[0].memory.clone().expect("PSS can be had anywhere");
            // A pool's workers are alive, too.
            let expected = if mode.starts_with("pool") { 16 } else { 8 };
            let MemoryReading { alive_seen, processes_seen, .. } = memory.reading;
            assert!(alive_seen.is_none_or(|seen| seen <= expected), "{mode}: {memory:?}");
            let is_all =
                alive_seen == Some(expected) && processes_seen.is_some_and(|seen| seen > 2 * expected);
            last = Some(memory);
            is_all
        });
        assert!(all_seen, "{mode}: they are never seen at once: {last:?}");
    }
}

#[test]
fn what_comes_and_goes_faster_than_it_can_be_looked_at_is_not_measured_and_says_so() {
    let _alone = alone();
    let workload = "-n 3000 -m process:in-flight=64";
    let memory = measured("what_comes_and_goes", "pss", workload).expect("PSS can be had anywhere");
    let reading = memory.reading;
    // Else it is of a moment when as many were alive as are said to have been.
    assert!(reading.peak_bytes.is_some() || reading.peak_missing == Some(Missing::CameAndWent), "{memory:?}");
    assert_eq!(
        reading.peak_bytes.is_some(),
        reading.processes_read.is_some_and(|read| read >= 57),
        "{memory:?}"
    );
}

#[test]
fn memory_that_is_sampled_is_the_median_of_three_rounds_and_an_account_of_the_kernels_is_of_one() {
    let _alone = alone();
    let test = "memory_that_is_sampled";
    for (method, rounds, sampled) in
        [("cgroup", 4, false), ("pss", 4, true), ("meminfo", 4, true), ("meminfo", 2, true)]
    {
        let arguments =
            format!("-n 20 --memory 1MiB --io-wait 200ms --warmup 1 -m process --rounds {rounds}");
        let Some(memory) = measured(test, method, &arguments) else { continue };
        let expected = if sampled { rounds.min(3) } else { 1 };
        assert_eq!((memory.rounds, memory.each.len()), (expected, expected as usize), "{method}: {memory:?}");
        let mut peaks: Vec<u64> = memory.each.iter().filter_map(|round| round.reading.peak_bytes).collect();
        peaks.sort_unstable();
        // Where most rounds found none, as the whole machine's use may shrink meanwhile, the others are no fair choice.
        let found_mostly = peaks.len() * 2 > memory.each.len();
        let middle = peaks.len().saturating_sub(1) / 2;
        let expected = peaks.get(middle).copied().filter(|_| found_mostly);
        assert_eq!(memory.reading.peak_bytes, expected, "{method}: {memory:?}");
        assert!(
            memory.each.iter().all(|round| round.reading.peak_bytes != Some(0)),
            "never zero: {memory:?}"
        );
    }
}

#[test]
fn memory_that_all_share_is_counted_once() {
    let _alone = alone();
    // Twenty workers see a hundred mebibytes of results, of which each writes five.
    let workload = "-n 20 --result-size 5MiB --io-wait WAIT -m pool:workers=20:chunk=1";
    for method in ["cgroup", "meminfo", "pss"] {
        let are_written = |memory: &Memory| memory.reading.user_bytes.is_some_and(|user| user >= 95 * MIB);
        let memory = measured_at_once("memory_that_all_share", method, workload, are_written);
        let Some(memory) = memory else { continue };
        let user = memory.reading.user_bytes.expect("the processes' share");
        // Every page is touched by one worker and seen by all.
        assert!((95 * MIB..130 * MIB).contains(&user), "{method}: {memory:?}");
        let per_worker = memory.per_task_alive_bytes;
        assert!(per_worker.is_none_or(|each| each < 2 * MIB), "the results are the parent's: {memory:?}");
        assert!(per_worker.is_some() || memory.method.is_sampled(), "a share for each worker: {memory:?}");
    }
}

#[test]
fn the_parents_memory_is_counted_once_however_many_children_inherit_it() {
    let _alone = alone();
    let workload = "-n 30 --parent-memory 50MiB --io-wait WAIT -m process";
    for method in ["cgroup", "meminfo", "pss"] {
        let memory = measured_at_once("the_parents_memory", method, workload, |memory| {
            memory.peak_alive == 30 && memory.reading.user_bytes.is_some()
        });
        let Some(memory) = memory else { continue };
        let user = memory.reading.user_bytes.expect("the processes' share");
        assert!((48 * MIB..60 * MIB).contains(&user), "{method}: {memory:?}");
    }
}

#[test]
fn private_memory_is_given_back_after_each_task_in_every_mode() {
    let _alone = alone();
    // Twelve tasks hold ten mebibytes each, but no more of them at a time than there are executors.
    for (mode, executors) in [
        ("serial", 1),
        ("threads:workers=3:chunk=1", 3),
        ("pool:workers=3:chunk=1", 3),
        ("process:in-flight=3", 3),
    ] {
        let workload = format!("-n 12 --memory 10MiB --io-wait WAIT -m {mode}");
        for method in ["cgroup", "meminfo", "pss"] {
            let held_by = |memory: &Memory| {
                let user = memory.reading.user_bytes.unwrap_or(0);
                user.saturating_sub(memory.reading.runner_bytes.expect("the runner's share"))
            };
            let is_held = |memory: &Memory| held_by(memory) >= executors * 10 * MIB - MIB;
            let memory = measured_at_once("private_memory_is_given_back", method, &workload, is_held);
            let Some(memory) = memory else { continue };
            let held = held_by(&memory);
            // A process that has ended, but whose memory is not taken back yet, may count beside its successor.
            let most = executors * 10 + if mode.starts_with("process") { 12 } else { 3 };
            assert!(held <= most * MIB, "{mode} by {method}: {held} bytes: {memory:?}");
        }
    }
}

#[test]
fn arguments_that_a_pool_has_sent_through_its_pipes_are_not_kept() {
    let _alone = alone();
    // As much comes back as goes out, so that every worker has something to be sent at all times.
    const RESULTS: u64 = 60 * MIB;
    let workload = "-n 60 --arg-size 1MiB --result-size 1MiB -m pool:workers=2:chunk=1:transport=pipe";
    for method in ["cgroup", "meminfo", "pss"] {
        let Some(memory) = measured("arguments_that_a_pool_has_sent", method, workload) else { continue };
        let Some(peak) = memory.reading.peak_bytes else { continue };
        // Two arguments for each worker, and twice that while they are sent, on either side.
        let most = RESULTS + 2 * 2 * 3 * MIB + 8 * MIB;
        assert!(peak < most, "{method}: {peak}, expected at most {most}");
        assert!(
            memory.method.is_sampled() || peak > RESULTS,
            "{method}: the results are there in the end: {peak}"
        );
    }
}

#[test]
fn shared_input_is_counted_once_however_many_processes_read_it() {
    let _alone = alone();
    for mode in ["pool:workers=12:chunk=1", "process"] {
        let workload = format!("-n 12 --shared 25MiB --io-wait WAIT -m {mode}");
        for method in ["cgroup", "meminfo", "pss"] {
            let memory = measured_at_once("shared_input_is_counted_once", method, &workload, |memory| {
                let few = if memory.method.is_sampled() { 45 * MIB } else { u64::MAX };
                memory.peak_alive == 12 && memory.reading.user_bytes.is_some_and(|user| user < few)
            });
            let Some(memory) = memory else { continue };
            let user = memory.reading.user_bytes.expect("the processes' share");
            // Counted for each it would be 300 MiB. PSS is read process by process, and what the first one is charged may
            // have been shared by fewer.
            let most = if memory.method.is_sampled() { 45 * MIB } else { 29 * MIB };
            assert!((25 * MIB..most).contains(&user), "{mode} by {method}: {memory:?}");
            if !memory.method.is_sampled() {
                let per_process = memory.per_task_alive_bytes.expect("a share for each");
                assert!(per_process < MIB, "the input is nobody's own: {memory:?}");
            }
        }
    }
}

#[test]
fn what_a_neighbour_takes_is_in_no_figure() {
    let _alone = alone();
    let sandbox = Sandbox::new();
    let words =
        "-q -n 4 --memory 5MiB --io-wait 3s --rounds 1 -m process --memory-method meminfo --json out.json";
    let mut running = sandbox.start(sandbox.command(words.split(' ')));
    // No pilot takes so long, so the first round is the one in which memory is measured.
    let runner = running.wait_for_runner(1);
    running.wait_for_sleepers(runner, 4);
    let neighbour = vec![1_u8; 300 * MIB as usize];
    let finished = running.finish();
    assert_eq!(std::hint::black_box(&neighbour).iter().map(|byte| u64::from(*byte)).sum::<u64>(), 300 * MIB);
    if finished.code() != Some(0) && finished.stderr.contains("failed to measure memory by") {
        return skip("what_a_neighbour_takes", "/proc/meminfo cannot be read here");
    }
    let document = common::parse(&std::fs::read_to_string(sandbox.path("out.json")).expect("the export"));
    let memory = document.strategies[0].memory.as_ref().expect("memory");
    let MemoryReading { peak_bytes, user_bytes, kernel_bytes, .. } = memory.reading;
    let (least, most) = (20 * MIB, 28 * MIB);
    assert!(user_bytes.is_some_and(|user| (least..most).contains(&user)), "{memory:?}");
    assert!(peak_bytes.is_none_or(|peak| (least..most).contains(&peak)), "{memory:?}");
    // Where others start and end processes as well, the kernel's share is not told.
    assert!(kernel_bytes.is_none_or(|kernel| kernel < 5 * MIB), "{memory:?}");
}

#[test]
fn page_cache_of_what_tasks_write_is_apart_from_their_memory() {
    let _alone = alone();
    let test = "page_cache_of_what_tasks_write";
    let sandbox = Sandbox::new();
    let on_disk = !matches!(
        nix::sys::statfs::statfs(&sandbox.path(".")).map(|found| found.filesystem_type()),
        Ok(nix::sys::statfs::TMPFS_MAGIC)
    );
    if !on_disk {
        return skip(test, "temporary files are kept in memory here, where what is written is memory");
    }
    let arguments = "-n 4 -m serial --rounds 1 --memory-method cgroup --json out.json --shell -- head -c 8388608 /dev/zero > written-{}";
    let finished = sandbox.run(arguments.splitn(13, ' '));
    if finished.code() != Some(0) && finished.stderr.contains("failed to measure memory by") {
        return skip(test, "no cgroup can be had here");
    }
    let finished = finished.expect_code(0);
    let document = common::parse(&std::fs::read_to_string(sandbox.path("out.json")).expect("the export"));
    let memory = document.strategies[0].memory.as_ref().expect("memory");
    let cache = memory.reading.page_cache_bytes.expect("a cgroup tells page cache apart");
    assert!(cache >= 8 * MIB, "{memory:?}");
    assert!(memory.reading.peak_bytes.is_some_and(|peak| peak < 8 * MIB), "{memory:?}");
    assert!(finished.stdout.contains("page cache"), "{}", finished.stdout);
    let sampled = memory.reading.peak_from == Some(PeakFrom::Samples);
    assert_eq!(finished.stdout.contains("sampled"), sampled, "{}", finished.stdout);
}

#[test]
fn memory_of_commands_is_seen_though_they_are_in_groups_of_their_own() {
    let _alone = alone();
    let test = "memory_of_commands";
    for method in ["cgroup", "pss", "meminfo"] {
        // On a slow machine the first may have ended before the last holds all of its own.
        let mut found = Vec::new();
        for seconds in ["1", "4", "16"] {
            let sandbox = Sandbox::new();
            let all =
                format!("-n 3 -m process --rounds 1 --memory-method {method} --json out.json --shell --");
            let holds =
                format!("held=$(head -c 52428800 /dev/zero | tr '\\000' x); sleep {seconds}; : ${{#held}}");
            let finished = sandbox.run(all.split(' ').chain([holds.as_str()]));
            if finished.code() != Some(0) && finished.stderr.contains("failed to measure memory by") {
                skip(test, &format!("{method} cannot be had here: {}", finished.stderr.trim()));
                break;
            }
            finished.expect_code(0);
            let document =
                common::parse(&std::fs::read_to_string(sandbox.path("out.json")).expect("the export"));
            let memory = document.strategies[0].memory.clone().expect("memory");
            let is_seen = memory.reading.user_bytes.is_some_and(|user| user >= 150 * MIB);
            let is_seen_of_each = memory.per_task_alive_bytes.is_some_and(|each| each >= 50 * MIB);
            found.push(memory);
            if is_seen && (method != "cgroup" || is_seen_of_each) {
                found.clear();
                break;
            }
        }
        assert!(found.is_empty(), "{method}: {found:?}");
    }
}
