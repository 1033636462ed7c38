//! Texts for a terminal: names and messages may come from an image, a server or a file, and must not be able to steer it.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character may do more than stand there: controls (ECMA-48), and those that change the direction of a text
/// (Unicode, Standard Annex 9).
fn steers(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control() && !matches!(c, '\n' | '\t')
}

fn replace(text: &str, write: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' if rest.peek() == Some(&'\n') => clean.push(' '),
            c if steers(c) => write(c, &mut clean),
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// The text with `\u{1b}` in place of an escape character, and the like.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    replace(text, |c, clean| clean.extend(c.escape_unicode()))
}

/// JSON with such characters written as `\u001b`: they can only stand in strings.
pub(super) fn clean_json(json: &str) -> Cow<'_, str> {
    replace(json, |c, clean| {
        // Writing to a String does not fail.
        let _ = write!(clean, "\\u{:04x}", u32::from(c));
    })
}

/// The text with as many bytes, so that positions in it stay right.
pub(super) fn clean_in_place(text: &str) -> Cow<'_, str> {
    replace(text, |c, clean| *clean += [" ", "?", "¿", "\u{fffd}"].get(c.len_utf8()).unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_steers_a_terminal_becomes_visible() {
        for (text, shown) in [
            ("plain – ünïcode\n\ttext", "plain – ünïcode\n\ttext"),
            ("a\u{1b}[31mred", "a\\u{1b}[31mred"),
            ("bell\u{7} back\u{8} del\u{7f} c1\u{9b}", "bell\\u{7} back\\u{8} del\\u{7f} c1\\u{9b}"),
            ("lines\r\nof a\rDOS file", "lines \nof a\\u{d}DOS file"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
        ] {
            assert_eq!(clean(text), shown);
        }
        let json = serde_json::to_string("\u{1b}\u{9b}31m\u{202e}\n").unwrap();
        assert_eq!(clean_json(&json), r#""\u001b\u009b31m\u202e\n""#);
    }

    proptest! {
        #[test]
        fn nothing_that_steers_is_left_and_nothing_else_is_changed(text: String) {
            prop_assert!(!clean(&text).contains(steers));
            prop_assert_eq!(clean_in_place(&text).len(), text.len());
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(&clean_json(&json)).unwrap(), text.clone());
            if !text.contains(steers) {
                prop_assert_eq!(clean(&text).into_owned(), text);
            }
        }
    }
}
