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
            // Long enough for the last to start before the first wakes.
            let wait = 0.1 + 60e-6 * tasks as f64;
            (format!("--mode process --rounds 3 --io-wait {wait:.6}s"), wait)
        }),
    ];
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
        let memory = row.memory.as_ref().and_then(|memory| memory.peak_bytes);
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

fn run(arguments: &str) -> Document {
    let output = Command::new(env!("CARGO_BIN_EXE_procbench"))
        .args(arguments.split(' '))
        .args(["--quiet", "--no-latency", "--json", "-"])
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
