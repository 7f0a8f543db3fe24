//! That what is shown as a warning comes with advice.

use super::*;

/// Each of those that are shown as a warning about numbers, with what can be done about it. What tasks and people did (a failed task,
/// Ctrl-C) tells its own reason.
#[test]
fn what_is_shown_as_a_warning_says_what_can_be_done() {
    let storage = Storage {
        folder: "/data".into(),
        file_system: Some("overlay".into()),
        device: None,
        mount_point: None,
        available_bytes: 0,
        available_files: None,
    };
    let lines = LinesSpec { path: "lines.txt".into(), bytes: 9, count: 3, carriage_returns: 3 };
    let (strategy, baseline) = ("pool", "serial");
    let with_advice = [
        (Notice::GivenUp { strategy, why: "no worker", rounds: 2 }, "run it alone"),
        (Notice::LeftRunning { strategy, processes: 2, rounds: 3, of_workers: true }, "let tasks wait"),
        (Notice::Retries { strategy, retries: 2, rounds: 3 }, "--on-failure"),
        (Notice::NotPrecise { reached: vec![(strategy, Some(0.1))], wanted: 0.02 }, "--rounds"),
        (
            Notice::FewerPairs { strategy, baseline, pairs: 1, rounds: 9, is_precise: true },
            "a smaller --precision",
        ),
        (Notice::ManyThreads { strategy, workers: 64, cores: 2 }, "a pool of as many workers"),
        (
            Notice::WaitingWorkers { of: vec![(strategy, 0.1)], workers: 2, mode: Mode::Pool, proposed: 20 },
            "pool:workers=20",
        ),
        (Notice::TooFewRounds { fewest: 3, of: vec![strategy], of_the_best: Some((4, 6)) }, "--rounds"),
        (Notice::TooFewForTheBest { fewest: 5, strategies: 4, needed: 6 }, "--rounds"),
        (Notice::ShortRounds { strategies: vec![strategy] }, "raise --tasks"),
        (Notice::WorkersStart { of: vec![(strategy, [1.0, 0.1])] }, "more lines"),
        (Notice::SlowFirstRound { of: vec![(strategy, 1.5)], warmup: 2 }, "--warmup 2"),
        (Notice::Drift { of: vec![(strategy, Trend { p_value: 0.01, change: 0.1 })] }, "when it has settled"),
        (Notice::Spread { of: vec![(strategy, 0.2)] }, "stop what else is running"),
        (Notice::Outliers { of: vec![(strategy, 1, 10)] }, "stop what else is running"),
        (Notice::WaitOvershoot { io: Io::Sleep, of: vec![(strategy, 1e-3, 0.1)] }, "Fewer at once"),
        (Notice::CarriageReturns { file: "lines.txt", lines: &lines }, "tr -d"),
        (Notice::NoDisk { storage: &storage }, "--io-folder"),
        (Notice::HiddenDisk { storage: &storage }, "--io-folder"),
        (Notice::ReadFromMemory { strategy, read_bytes: 1, wanted_bytes: 9 }, "--io-folder"),
        (Notice::MemoryDiffers { strategies: vec![(strategy, [1, 2])], sampled: true }, "longer tasks"),
        (Notice::MemoryDiffers { strategies: vec![(strategy, [1, 2])], sampled: false }, "longer tasks"),
    ];
    for (notice, advice) in with_advice {
        let text = notice.to_string();
        assert!(text.contains(advice) && !text.contains('\n'), "{}: {text}", notice.code());
    }
}
