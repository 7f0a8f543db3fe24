//! A command's words, and where in them a task's argument goes.

use super::{PLACEHOLDER, SHELL};
use crate::sys::spawn::Words;

/// Words, taken apart once so that filling them in is copying.
#[derive(Debug, PartialEq, Eq)]
pub struct Template {
    /// Each word as the texts between its placeholders: one more than it has of those.
    words: Vec<Vec<Vec<u8>>>,
}

impl Template {
    /// The words, with an argument in place of each [`PLACEHOLDER`].
    pub fn new(words: &[String]) -> Self {
        let pieces = |word: &String| word.split(PLACEHOLDER).map(|text| text.as_bytes().to_vec()).collect();
        Self { words: words.iter().map(pieces).collect() }
    }

    /// The words as they stand: [`PLACEHOLDER`] means nothing.
    pub fn literal(words: &[String]) -> Self {
        Self { words: words.iter().map(|word| vec![word.as_bytes().to_vec()]).collect() }
    }

    /// Puts the words for `argument` into `words`.
    pub fn fill(&self, argument: &[u8], words: &mut Words) {
        words.clear();
        for pieces in &self.words {
            words.begin();
            for (place, text) in pieces.iter().enumerate() {
                if place > 0 {
                    words.add(argument);
                }
                words.add(text);
            }
        }
    }

    /// The first word for `argument`: the name of the program.
    pub fn program(&self, argument: &[u8]) -> Vec<u8> {
        self.words.first().map_or_else(Vec::new, |pieces| pieces.join(argument))
    }
}

/// What executes `text` by the shell. An argument is the shell's `$1`, wherever the placeholder stands: so it is never
/// taken for something to be executed, whatever is in it.
pub fn shell_words(text: &str, has_lines: bool) -> Vec<String> {
    let mut script = with_parameter(text);
    let asks = script != text;
    if !asks && has_lines {
        script.push_str(" \"${1}\"");
    }
    let mut words = vec![SHELL.to_owned(), "-c".to_owned(), script];
    if asks || has_lines {
        words.extend(["sh".to_owned(), PLACEHOLDER.to_owned()]);
    }
    words
}

/// `text` with the shell's first parameter in place of each placeholder, so that it stays one word: outside quotes it is put
/// into some, inside double quotes it is there already, and single quotes are closed for it and opened again.
fn with_parameter(text: &str) -> String {
    let (mut script, mut rest) = (String::new(), text);
    let (mut single, mut double) = (false, false);
    while let Some(character) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix(PLACEHOLDER) {
            script.push_str(match (single, double) {
                (true, _) => "'\"${1}\"'",
                (_, true) => "${1}",
                _ => "\"${1}\"",
            });
            rest = behind;
            continue;
        }
        let mut length = character.len_utf8();
        match character {
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            // Whatever comes next is meant literally.
            '\\' if !single => length += rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => {}
        }
        script.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_filled_in() {
        let template = Template::new(&["cp".into(), "{}".into(), "to/{}-{}.txt".into(), String::new()]);
        let mut words = Words::default();
        template.fill(b"a b", &mut words);
        assert_eq!(words.last(), b"");
        let two = Template::new(&["to/{}-{}.txt".into()]);
        two.fill(b"a b", &mut words);
        assert_eq!(words.last(), b"to/a b-a b.txt");
        assert_eq!(Template::new(&["./{}.sh".into()]).program(b"7"), b"./7.sh");
        assert_eq!(Template::literal(&["./{}.sh".into()]).program(b"7"), b"./{}.sh");
    }

    #[test]
    fn a_shell_gets_the_argument_as_a_parameter_in_every_kind_of_quotes() {
        let script = |text: &str| shell_words(text, false)[2].clone();
        assert_eq!(script("gzip {}"), "gzip \"${1}\"");
        assert_eq!(script("gzip \"a-{}.txt\""), "gzip \"a-${1}.txt\"");
        assert_eq!(script("echo 'it: {}' {}"), "echo 'it: '\"${1}\"'' \"${1}\"");
        assert_eq!(script("echo \\' {}"), "echo \\' \"${1}\"");
        assert_eq!(script("echo \\é'{}'"), "echo \\é''\"${1}\"''");
    }

    #[test]
    fn a_shell_gets_no_argument_it_was_not_asked_to_take() {
        assert_eq!(shell_words("true", false), ["/bin/sh", "-c", "true"]);
        assert_eq!(shell_words("wc -c", true), ["/bin/sh", "-c", "wc -c \"${1}\"", "sh", "{}"]);
    }
}
