//! Colour. Whether it reaches the terminal is `anstream`'s to decide: it removes what a pipe, `NO_COLOR` or a dumb
//! terminal should not see.

use std::borrow::Cow;

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

/// Colours for what is told apart, such as strategies on a map: one after another, and again from the first.
pub const COLOURS: [Style; 6] = [
    AnsiColor::Green.on_default().bold(),
    AnsiColor::Blue.on_default().bold(),
    AnsiColor::Magenta.on_default().bold(),
    AnsiColor::Cyan.on_default().bold(),
    AnsiColor::Yellow.on_default().bold(),
    AnsiColor::Red.on_default().bold(),
];

/// `text` with control characters shown as what they are: names in a file that somebody else has made do not steer the terminal.
pub fn plain(text: &str) -> Cow<'_, str> {
    let steers = |character: char| character.is_control() && character != '\n';
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let shown = |character: char| match steers(character) {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    Cow::Owned(text.chars().map(shown).collect())
}
