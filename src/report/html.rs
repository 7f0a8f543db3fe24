//! The HTML report: one file that needs nothing else, no script, no network.
//!
//! Everything that a user wrote is escaped by the templates. Another kind of document has a section of its own: see
//! [`section`].

mod advice;
mod charts;
mod claims;
mod crossover;
mod figure;
mod parts;
mod plot;
mod scale;
mod section;
mod sweep;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::style::plain;
use super::subject::Subject;
use crate::document::Document;
use crate::document::comparison::same_tasks;

const STYLE: &str = include_str!("html/style.css");

/// Whatever is in a page, it can neither execute anything nor ask for anything.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// A page about `subjects`.
///
/// # Errors
/// None.
pub fn export(subjects: &[Subject<'_>]) -> anyhow::Result<Vec<u8>> {
    let page = match subjects {
        [subject] => page(&subject.title(), of(*subject, 1, "h1")),
        several => page(&several_in_words(several), of_several(several)),
    };
    // Names that somebody else has given do not turn the direction of what follows, nor hide in it.
    Ok(plain(&page.into_string()).into_owned().into_bytes())
}

/// All about one of them, the `number`-th of the page, below a heading of `level`.
fn of(subject: Subject<'_>, number: usize, level: &str) -> Markup {
    match subject {
        Subject::Run(of) => section::of_run(of, number, level),
        Subject::Sweep(of) => sweep::of_sweep(of, number, level),
        Subject::Crossover(of) => crossover::of_crossover(of, number, level),
        Subject::Advice(of) => advice::of_advice(of, number, level),
        Subject::Claims(of) => claims::of_claims(of, number, level),
    }
}

/// `2 runs`, or, of different kinds, `3 reports`.
fn several_in_words(subjects: &[Subject<'_>]) -> String {
    let are_runs = subjects.iter().all(|subject| matches!(subject, Subject::Run(_)));
    format!("{} {}", subjects.len(), if are_runs { "runs" } else { "reports" })
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

fn of_several(subjects: &[Subject<'_>]) -> Markup {
    // Runs of one workload belong together, each with its number.
    let mut alike: Vec<Vec<(usize, &Document)>> = Vec::new();
    for (place, subject) in subjects.iter().enumerate() {
        let Subject::Run(run) = *subject else { continue };
        match alike.iter_mut().find(|group| group.iter().all(|(_, other)| same_tasks(other, run))) {
            Some(group) => group.push((place + 1, run)),
            None => alike.push(vec![(place + 1, run)]),
        }
    }
    let is_one = alike.first().is_some_and(|group| group.len() == subjects.len());
    alike.retain(|group| group.len() > 1);
    html! {
        h1 { (several_in_words(subjects)) @if is_one { " of one workload" } }
        nav aria-label="Contents" {
            ol {
                @for (place, subject) in subjects.iter().enumerate() {
                    li {
                        a href=(format!("#run-{}", place + 1)) { bdi { (subject.title()) } } ", " (subject.started_at())
                    }
                }
            }
        }
        @for (place, runs) in alike.iter().enumerate() {
            (section::overview(runs, place + 1, is_one))
        }
        @for (place, subject) in subjects.iter().enumerate() {
            section.run id=(format!("run-{}", place + 1)) { (of(*subject, place + 1, "h2")) }
        }
    }
}
