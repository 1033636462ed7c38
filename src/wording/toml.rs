//! Messages of the TOML parser.

use ::toml::de::DeTable;

use super::{Mistake, Words, serde};

/// What the parser expects where nothing may stand.
const NOTHING: &str = "nothing";

/// Quotes that word processors and chat programs use instead of plain ones.
const TYPOGRAPHIC: &str = "“”„‟‘’‚‛«»";

/// A parser error in `text` as a mistake.
pub(crate) fn toml(text: &str, error: &::toml::de::Error) -> Mistake {
    let at = error.span().map_or(text.len(), |span| span.start);
    let is_syntax = !DeTable::parse_recoverable(text).1.is_empty();
    let (what, help) = if is_syntax { toml_words(error.message(), text, at) } else { serde::words(error.message()) };
    let line = text.as_bytes().iter().take(at).filter(|&&b| b == b'\n').count() + 1;
    Mistake { line, what, help }
}

/// What is wrong with the syntax at byte `at` of `text`, and what to do.
pub(crate) fn toml_words(message: &str, text: &str, at: usize) -> Words {
    let rest = text.get(at..).unwrap_or_default();
    let line = line_of(text, at);
    let invalid = |what: &str, help: &str| (format!("not valid TOML: {what}"), Some(help.to_owned()));
    if ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|mark| line.starts_with(mark)) {
        return invalid("it has the marks of a conflict by git", "finish the merge first");
    }
    let is_text = message.starts_with("string values must be quoted") || message.starts_with("invalid basic string");
    if rest.starts_with(|c| TYPOGRAPHIC.contains(c)) || is_text && line.contains(|c| TYPOGRAPHIC.contains(c)) {
        return invalid("a typographic quote does not count as one", "write the plain quotes: \"…\"");
    }
    match message {
        "duplicate key" => ("this is in the file twice".to_owned(), Some("keep one of the two".to_owned())),
        m if m.starts_with("string values must be quoted") => invalid("a text must be in quotes", "write it as \"…\""),
        m if m.starts_with("invalid basic string") && (rest.is_empty() || rest.starts_with(['\r', '\n'])) => {
            invalid("a text ends with its line", "add the closing quote `\"`")
        }
        m if m.starts_with("key with no value") => {
            invalid("a setting without a value", "write it as `name = value`; a comment begins with `#`")
        }
        m if m.starts_with("unexpected key or value") => {
            invalid("something follows on the same line", "begin a line for each setting; a comment begins with `#`")
        }
        m if m.starts_with("cannot recurse further") => invalid("it is nested too deep", "use fewer brackets"),
        m => {
            let (what, expected) = m.split_once(", expected ").unwrap_or((m, NOTHING));
            let help = (expected != NOTHING).then(|| format!("expected here: {expected}"));
            (format!("not valid TOML: {what}"), help)
        }
    }
}

fn line_of(text: &str, at: usize) -> &str {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> Mistake {
        #[derive(Debug, ::serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Thing {
            #[allow(dead_code)]
            title: String,
        }
        toml(text, &::toml::from_str::<Thing>(text).unwrap_err())
    }

    #[test]
    fn mistakes_have_a_line_and_a_way_out() {
        for (text, line, what, help) in [
            ("\ntitle = “x”\n", 2, "a typographic quote", "\"…\""),
            ("title = \"x”\n", 1, "a typographic quote", "\"…\""),
            ("title = x\n", 1, "a text must be in quotes", "\"…\""),
            ("title = \"x\n", 1, "a text ends with its line", "closing quote"),
            ("title = \"x\"\ntitle = \"y\"\n", 2, "in the file twice", "keep one"),
            ("title = \"x\"\nname\n", 2, "without a value", "name = value"),
            ("title = \"x\"\ntitel = \"x\"\n", 2, "no field `titel`", "did you mean `title`?"),
            ("title = \"x\"\n<<<<<<< HEAD\n", 2, "a conflict by git", "finish the merge"),
        ] {
            let found = mistake(text);
            let given = found.help.clone().unwrap_or_default();
            assert!(found.line == line && found.what.contains(what) && given.contains(help), "{text:?}: {found:?}");
        }
        assert_eq!(mistake("").what, "the field `title` is missing");
        assert_eq!(mistake("title = 3\n").what, "a text is expected here, not the number 3");
        assert_eq!(mistake("[title\n").what, "not valid TOML: unclosed table");
        assert_eq!(mistake("[title\n").help.as_deref(), Some("expected here: `]`"));
    }
}
