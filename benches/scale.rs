//! What a task costs when there are many: the same modes over several orders of magnitude, each by a whole run of procbench.
//!
//! A pool's time should be linear in the number of tasks (the cost of a task at 100 million within 10 % of that at a million)
//! and its memory at most 16 bytes a task + 32 MiB; a process should cost the same among 100 as among a million; and
//! a parked process the same among 10 as among 30,000, as far as this machine holds so many.
//!
//! `cargo bench --bench scale` prints the table; with a path after `--` it also draws the picture.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use plotters::prelude::*;
use procbench::document::Document;
use procbench::report::numbers::{bytes, count, seconds};

/// One cost at one size.
struct Point {
    tasks: u64,
    /// Of one task.
    seconds: f64,
    memory: Option<u64>,
}

struct Series {
    name: &'static str,
    points: Vec<Point>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    println!("{:<22} {:>12} {:>12} {:>14} {:>14}", "what", "tasks", "time", "a task", "peak memory");
    let all = [
        series("pool, no-op", &[1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000], &|tasks| {
            (format!("--mode pool --rounds {}", if tasks > 10_000_000 { 5 } else { 9 }), 0.0)
        }),
        series("process, no-op", &[100, 1_000, 10_000, 100_000, 1_000_000], &|tasks| {
            (format!("--mode process --rounds {}", if tasks > 10_000 { 1 } else { 9 }), 0.0)
        }),
        series("process, parked", &[10, 100, 1_000, 10_000, 30_000], &|tasks| {
            let wait = parked_for(tasks);
            (format!("--mode process --rounds 3 --io-wait {wait:.6}s"), wait)
        }),
    ];
    println!();
    parts_of_parked(&[10, 100, 1_000, 3_000, 10_000, 30_000]);
    let pool = &all[0].points;
    let growth = pool[pool.len() - 1].seconds / pool[0].seconds;
    println!("\npool: a task among 100 million costs {growth:.2} × one among a million (target: 0.9 to 1.1)");
    for point in pool {
        let most = 16 * point.tasks + (32 << 20);
        if point.memory.is_some_and(|memory| memory > most) {
            println!("pool: {} tasks need more than 16 bytes each + 32 MiB", count(point.tasks));
        }
    }
    if let Some(path) = path {
        draw(Path::new(&path), &all)?;
    }
    Ok(())
}

/// The cost at each size; `arguments` says how to measure it, and what of the time is waiting.
fn series(name: &'static str, sizes: &[u64], arguments: &dyn Fn(u64) -> (String, f64)) -> Series {
    let points = sizes.iter().map(|tasks| {
        let (arguments, waiting) = arguments(*tasks);
        let document = run(&format!("--tasks {tasks} {arguments}"));
        let row = &document.strategies[0];
        let total = row.summary.as_ref().expect("a summary").total_seconds.median;
        let memory = row.memory.as_ref().and_then(|memory| memory.reading.peak_bytes);
        let each = (total - waiting) / *tasks as f64;
        let shown = memory.map_or_else(|| "not measured".into(), bytes);
        println!("{name:<22} {:>12} {:>12} {:>14} {shown:>14}", count(*tasks), seconds(total), seconds(each));
        if let Some(alive) = row.rounds.first().map(|round| round.report.peak_alive)
            && waiting > 0.0
            && alive < *tasks
        {
            println!("{:<22} of these, {} were alive at once", "", count(alive));
        }
        Point { tasks: *tasks, seconds: each, memory }
    });
    Series { name, points: points.collect() }
}

/// How long each of `tasks` waits, in seconds: long enough for the last to start before the first wakes.
fn parked_for(tasks: u64) -> f64 {
    0.1 + 60e-6 * tasks as f64
}

/// What a parked process costs, apart: until it has begun, while it is there, and from its waking until it is reaped. The first
/// and the last are the time of all, divided by their number, as a round in which each is stamped has it.
fn parts_of_parked(sizes: &[u64]) {
    const RUNS: usize = 5;
    println!("{:<22} {:>12} {:>12} {:>14} {:>14}", "what", "processes", "spawn", "memory", "wake and reap");
    for &tasks in sizes {
        let wait = parked_for(tasks);
        let runs: Vec<[Option<f64>; 3]> = (0..RUNS)
            .map(|_| {
                let document =
                    export(&format!("--tasks {tasks} --mode process --rounds 1 --io-wait {wait:.6}s"));
                let row = &document.strategies[0];
                let total = row.rounds[0].report.total_seconds;
                // Of a single round this is when the last one began.
                let spawned = row.latency.as_ref().map(|latency| latency.wait.max_seconds);
                let memory = row.memory.as_ref().and_then(|memory| memory.per_task_alive_bytes);
                [spawned, memory.map(|bytes| bytes as f64), spawned.map(|spawned| total - spawned - wait)]
            })
            .collect();
        let median = |part: usize| {
            let mut values: Vec<f64> = runs.iter().filter_map(|run| run[part]).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        let each = |part: usize| {
            median(part).map_or_else(|| "not measured".into(), |all| seconds((all / tasks as f64).max(0.0)))
        };
        let memory = median(1).map_or_else(|| "not measured".into(), |each| bytes(each as u64));
        println!(
            "{:<22} {:>12} {:>12} {memory:>14} {:>14}",
            "process, parked",
            count(tasks),
            each(0),
            each(2)
        );
    }
}

fn run(arguments: &str) -> Document {
    export(&format!("{arguments} --no-latency"))
}

fn export(arguments: &str) -> Document {
    let output = Command::new(env!("CARGO_BIN_EXE_procbench"))
        .args(arguments.split(' '))
        .args(["--quiet", "--json", "-"])
        .output()
        .expect("procbench runs");
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a document")
}

/// Cost of a task over the number of tasks, both on logarithmic scales: what is linear is level.
fn draw(path: &Path, all: &[Series]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, (760, 420)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Cost of one task, by how many there are", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(70)
        .build_cartesian_2d((10.0..2e8).log_scale(), (1e-9..1e-3).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("tasks")
        .y_desc("time of one task")
        .x_label_formatter(&|tasks| count(*tasks as u64))
        .y_label_formatter(&|value| seconds(*value))
        .disable_mesh()
        .draw()?;
    for (series, colour) in all.iter().zip([RGBColor(0, 90, 160), RGBColor(200, 80, 0), RGBColor(0, 130, 70)])
    {
        let points: Vec<(f64, f64)> =
            series.points.iter().map(|point| (point.tasks as f64, point.seconds)).collect();
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
            .label(series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    chart.configure_series_labels().border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}
