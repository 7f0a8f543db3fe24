//! Colour. Whether it reaches the terminal is `anstream`'s to decide: it removes what a pipe, `NO_COLOR` or a dumb
//! terminal should not see.

use anstyle::{AnsiColor, Style};

/// What a table is about.
pub const TITLE: Style = Style::new().bold();
/// Less important.
pub const DIM: Style = Style::new().dimmed();
/// Something to know.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Something is wrong.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();

/// `text` in `style`.
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}
