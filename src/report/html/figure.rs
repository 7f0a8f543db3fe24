//! Figures: a strip for each row above one common axis, in SVG whose text and marks keep their size at every width.
//!
//! Places along the axis are percents, so that nothing has to be scaled and no script is needed.

use maud::{Markup, Render, html};

use super::scale::Scale;

/// A row of a figure.
pub struct Strip {
    /// What the row is about.
    pub name: String,
    /// Its figures in words, beside the strip.
    pub note: Markup,
    /// The same for those who cannot see the strip.
    pub description: String,
    /// What is drawn.
    pub marks: Markup,
    /// How high it is, in pixels.
    pub height: u32,
}

/// What all rows of a figure have in common.
pub struct Figure<'a> {
    /// Tells apart the figures of a page.
    pub id: String,
    /// What is drawn, and how it is to be read.
    pub caption: Markup,
    /// What the axis is of, with its unit where the labels have none.
    pub axis: &'a str,
    /// Places on the axis.
    pub scale: &'a Scale,
    /// The text of a tick.
    pub label: fn(f64) -> String,
    /// A value that others are compared with.
    pub reference: Option<f64>,
    /// From top to bottom.
    pub strips: Vec<Strip>,
}

/// A coordinate.
pub fn percent(place: f64) -> String {
    format!("{place:.2}%")
}

impl Render for Figure<'_> {
    fn render(&self) -> Markup {
        let ticks = self.scale.ticks();
        let place = |value: f64| percent(self.scale.place(value));
        html! {
            figure id=(self.id) {
                div.chart {
                    svg.grid aria-hidden="true" focusable="false" {
                        @for tick in &ticks {
                            line x1=(place(*tick)) x2=(place(*tick)) y1="0" y2="100%" {}
                        }
                        @if let Some(value) = self.reference {
                            line.reference x1=(place(value)) x2=(place(value)) y1="0" y2="100%" {}
                        }
                    }
                    @for (number, strip) in self.strips.iter().enumerate() {
                        @let title = format!("{}-{number}", self.id);
                        @let description = format!("{title}-d");
                        div.strip {
                            span.name { bdi { (strip.name) } }
                            svg role="img" aria-labelledby=(title) aria-describedby=(description) height=(strip.height) {
                                title id=(title) { (strip.name) }
                                desc id=(description) { (strip.description) }
                                (strip.marks)
                            }
                            span.note { (strip.note) }
                        }
                    }
                    svg.axis aria-hidden="true" focusable="false" height="20" {
                        @for tick in &ticks {
                            @let at = self.scale.place(*tick);
                            @let anchor = if at < 4.0 { "start" } else if at > 96.0 { "end" } else { "middle" };
                            text x=(percent(at)) y="14" text-anchor=(anchor) { ((self.label)(*tick)) }
                        }
                    }
                }
                p.axis-name {
                    (self.axis)
                    @if self.scale.is_logarithmic() { ", logarithmic scale" }
                }
                figcaption { (self.caption) }
            }
        }
    }
}

/// The text of a tick: a value as everywhere else, without zeros that say nothing.
pub fn tick(text: &str) -> String {
    let Some((number, unit)) = text.split_once(' ') else { return text.to_owned() };
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    };
    format!("{number} {unit}")
}
