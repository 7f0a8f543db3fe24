//! What a page says of the articles' claims.

use maud::{Markup, html};

use super::parts::{below, environment, heading, section};
use crate::report::{claims, plan};
use crate::study::claims::ClaimsReport;

/// All about `of`, below a heading of `level`.
pub fn of_claims(of: &ClaimsReport, _number: usize, level: &str) -> Markup {
    let below = below(level);
    let first = claims::documents(of).next();
    html! {
        (heading(level, html! { "Claims of two articles on Python's multiprocessing" }))
        p.facts {
            @if let Some(run) = first { (plan::machine_in_words(&run.environment.machine)) " · " }
            (of.started_at)
        }
        p.lead { (claims::summary(of)) }
        @for tested in &of.claims {
            (heading(below, html! { bdi { (tested.claim.name) } ": " (tested.verdict_in_words()) }))
            p { "“" (tested.claim.says) "”" @if let Some(figures) = &tested.claim.figures { " (" (figures) ")" } }
            @for line in claims::measured(tested) {
                @match line.trim_start().strip_prefix('·') {
                    Some(number) => p.measured { (number.trim_start()) },
                    None => p.by { (line) },
                }
            }
            @for why in claims::reasons(tested) { p.legend { (why) } }
        }
        @if let Some(run) = first { (section(below, "Environment", environment(run))) }
    }
}
