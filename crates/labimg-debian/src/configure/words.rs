//! Shell words: enough of sh's grammar to parse the arguments of a command in a maintainer script.

/// The commands named `name` in a script: the words after it up to the end of the command, with continued lines joined.
/// An expansion (`$`, backquote) in a word stays as text.
pub(crate) fn commands(text: &str, name: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    joined
        .lines()
        .filter_map(|line| {
            let mut words = split(line).into_iter();
            (words.next()? == name).then(|| words.take_while(|w| !is_operator(w)).collect())
        })
        .collect()
}

fn is_operator(word: &str) -> bool {
    matches!(word, "||" | "&&" | ";" | "|" | "&" | ";;" | ")") || word.starts_with(['>', '<']) || word.starts_with("2>")
}

/// The words of one line; quotes and backslashes are removed, a comment ends the line.
pub(crate) fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (Some('\''), '\\') => word.get_or_insert_default().push('\\'),
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_escapes_and_comments() {
        assert_eq!(split(r#"a 'b c' "d e"f g\ h '' # i"#), ["a", "b c", "d ef", "g h", ""]);
        assert_eq!(split(r"1.2\~ 'a\b'"), ["1.2~", r"a\b"]);
    }

    #[test]
    fn commands_are_found_with_their_continuations() {
        let text = "if x; then\n\tua --install a \\\n\t  b 'c' >/dev/null || true\nfi\n  ua d\nnot ua e\n";
        assert_eq!(commands(text, "ua"), [vec!["--install", "a", "b", "c"], vec!["d"]]);
    }

    proptest! {
        #[test]
        fn any_line_is_split(line in "[ a-c'\"\\\\#$]{0,40}") {
            prop_assert!(split(&line).len() <= line.len());
        }
    }
}
