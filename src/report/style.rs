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

/// `text` with control characters shown as what they are, and those that turn the direction of what follows or are not seen at all:
/// names in a file that somebody else has made do not steer the terminal, and look like what they are.
pub fn plain(text: &str) -> Cow<'_, str> {
    let is_shown = |character: char| steers(character) && character != '\n';
    if !text.contains(is_shown) {
        return Cow::Borrowed(text);
    }
    let shown = |character: char| match is_shown(character) {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Whether a terminal, or whoever shows text, takes `character` for more than itself.
pub fn steers(character: char) -> bool {
    character.is_control() || is_format(character)
}

/// Whether `character` is one of Unicode's format characters (category Cf) that change how others are shown, or has no width.
const fn is_format(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' |
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_or_turns_what_follows_is_shown_as_what_it_is() {
        assert_eq!(plain("rm \u{1b}[2K\u{202e}fr-"), "rm \\u{1b}[2K\\u{202e}fr-");
        assert_eq!(plain("Zürich – 東京\n"), "Zürich – 東京\n");
    }
}
