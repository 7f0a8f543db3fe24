//! What the sections of all kinds of documents are made of.

use maud::{Markup, html};

use crate::document::{Document, Warning};
use crate::report::grid::{Grid, Tone};
use crate::report::numbers::{bytes, count, percent};
use crate::report::{is_reason, plan};

/// Classes of what is told apart by colour: lines, letters and cells of a map.
pub const COLOURS: [&str; 6] = ["s0", "s1", "s2", "s3", "s4", "s5"];

/// A heading: `h1` of a page about one run is `h2` in one about several.
pub fn heading(level: &str, text: Markup) -> Markup {
    match level {
        "h1" => html! { h1 { (text) } },
        "h2" => html! { h2 { (text) } },
        _ => html! { h3 { (text) } },
    }
}

/// The level of headings below one of `level`.
pub fn below(level: &str) -> &'static str {
    if level == "h1" { "h2" } else { "h3" }
}

/// `body` below a heading.
pub fn section(level: &str, title: &str, body: Markup) -> Markup {
    html! { (heading(level, html! { (title) })) (body) }
}

/// What was typed, to be typed again.
pub fn again(command: &str) -> Markup {
    html! { pre { (command) } }
}

/// What a reader should know, and apart from it what this machine does not tell.
pub fn warnings(all: &[Warning]) -> Markup {
    let (reasons, warnings): (Vec<_>, Vec<_>) = all.iter().partition(|warning| is_reason(warning));
    html! {
        @if warnings.is_empty() { p { "None." } }
        @else { ul.warnings { @for warning in warnings { li { (warning.message) } } } }
        @if !reasons.is_empty() {
            p.legend { "What this machine does not tell: " }
            ul.warnings.legend { @for reason in reasons { li { (reason.message) } } }
        }
    }
}

/// The machine of `run`.
pub fn environment(run: &Document) -> Markup {
    let machine = &run.environment.machine;
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "not known".into());
    let yes_or_no = |value: Option<bool>| match value {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known",
    };
    let number = |value: Option<u64>| value.map_or_else(|| "not known".into(), count);
    let load = |state: &crate::measure::environment::State| {
        state.load.map_or_else(|| "not known".into(), |load| format!("{:.2}", load.one_minute))
    };
    let busy = run.environment.change.foreign_busy_share;
    let mut rows = vec![
        ("processor", or_unknown(&machine.cpu)),
        (
            "cores",
            format!("{} that can be used, of {}", number(machine.effective_cores), number(machine.cores)),
        ),
        ("memory", machine.memory_bytes.map_or_else(|| "not known".into(), bytes)),
        ("virtual machine", yes_or_no(machine.virtual_machine).into()),
        ("system", or_unknown(&machine.os)),
        ("kernel", format!("{}, {}", or_unknown(&machine.kernel), machine.architecture)),
        ("governor", or_unknown(&machine.governor)),
        ("turbo", yes_or_no(machine.turbo).into()),
        ("clock source", or_unknown(&machine.clock_source)),
        ("huge pages", or_unknown(&machine.transparent_huge_pages)),
        (
            "load before and after",
            format!("{}, {}", load(&run.environment.before), load(&run.environment.after)),
        ),
        (
            "used by others",
            busy.map_or_else(|| "not known".into(), |part| format!("{} of the CPU time", percent(part))),
        ),
    ];
    if let Some(storage) = &run.environment.storage {
        rows.push(("storage", plan::storage_in_words(storage)));
    }
    if let Some(python) = &run.environment.python {
        rows.push(("Python", plan::python_in_words(python)));
    }
    let commit = run.tool.commit.as_ref().map(|commit| format!(" ({commit})")).unwrap_or_default();
    rows.push(("procbench", format!("{}{commit}", run.tool.version)));
    html! {
        table.words {
            caption { "The machine" }
            tbody {
                @for (name, value) in rows { tr { th scope="row" { (name) } td { (value) } } }
            }
        }
    }
}

/// A table with its caption, which scrolls by itself where there is no room for it.
pub fn table(grid: &Grid, caption: &str, legend: Option<String>) -> Markup {
    html! {
        div.scroll role="region" tabindex="0" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { @for title in &grid.header { th scope="col" { (title) } } } }
                tbody {
                    @for row in grid.full_rows() {
                        tr {
                            @for (place, cell) in row.enumerate() {
                                @if place == 0 { th scope="row" { bdi { (cell.text) } } }
                                @else { td class=[class_of(cell.tone)] { (cell.text) } }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(legend) = legend { p.legend { (legend) } }
    }
}

fn class_of(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Plain | Tone::Title => None,
        Tone::Dim => Some("dim"),
        Tone::Good => Some("good"),
        Tone::Bad => Some("bad"),
        Tone::Of(place) => Some(COLOURS[place % COLOURS.len()]),
    }
}
