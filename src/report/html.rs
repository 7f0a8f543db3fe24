//! The HTML report: one file that needs nothing else, no script, no network.
//!
//! Everything that a user wrote is escaped by the templates. Another kind of document has a section of its own: see
//! [`section`].

mod charts;
mod figure;
mod scale;
mod section;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::plan::workload_in_words;
use crate::document::Document;
use crate::document::comparison::same_tasks;

const STYLE: &str = include_str!("html/style.css");

/// Whatever is in a page, it can neither execute anything nor ask for anything.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// A page about `runs`.
///
/// # Errors
/// None.
pub fn export(runs: &[Document]) -> anyhow::Result<Vec<u8>> {
    let page = match runs {
        [run] => page(&title_of(run), html! { (section::of_run(run, 1, "h1")) }),
        runs => page(&format!("{} runs", runs.len()), of_several(runs)),
    };
    Ok(page.into_string().into_bytes())
}

fn title_of(run: &Document) -> String {
    workload_in_words(run.plan.name.as_deref(), &run.plan.workload)
}

fn page(title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("procbench ", env!("CARGO_PKG_VERSION")));
                // Nobody is to look for another.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (body) }
                footer { "Made by procbench " (env!("CARGO_PKG_VERSION")) "." }
            }
        }
    }
}

fn of_several(runs: &[Document]) -> Markup {
    let alike = runs.windows(2).all(|pair| same_tasks(&pair[0], &pair[1]));
    html! {
        h1 { (runs.len()) " runs" @if alike { " of one workload" } }
        nav aria-label="Runs" {
            ol {
                @for (place, run) in runs.iter().enumerate() {
                    li { a href=(format!("#run-{}", place + 1)) { bdi { (title_of(run)) } } ", " (run.started_at) }
                }
            }
        }
        @if alike {
            (section::overview(runs))
        }
        @for (place, run) in runs.iter().enumerate() {
            section.run id=(format!("run-{}", place + 1)) { (section::of_run(run, place + 1, "h2")) }
        }
    }
}
