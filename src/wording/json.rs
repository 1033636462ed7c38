//! Messages of the JSON parser.

use serde_json::error::Category;

use super::{Mistake, Words, serde};

/// A parser error as a mistake.
pub(crate) fn json(error: &serde_json::Error) -> Mistake {
    let message = error.to_string();
    // The position is reported separately.
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let (what, help) = match error.classify() {
        Category::Eof => ("it ends too early".to_owned(), Some("the file is not whole".to_owned())),
        Category::Data => serde::words(message),
        Category::Syntax | Category::Io => syntax(message),
    };
    Mistake { line: error.line().max(1), what, help }
}

fn syntax(message: &str) -> Words {
    let what = match message {
        "expected value" => "a value is expected here".to_owned(),
        "trailing characters" => "something follows its end".to_owned(),
        "key must be a string" => "a name in quotes is expected here".to_owned(),
        m => m.strip_prefix("expected ").map_or_else(|| m.to_owned(), |what| format!("{what} is expected here")),
    };
    (format!("not valid JSON: {what}"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_have_a_line_and_plain_words() {
        #[derive(Debug, ::serde::Deserialize)]
        struct Thing {
            #[allow(dead_code)]
            format: u32,
        }
        let mistake = |text: &str| json(&serde_json::from_str::<Thing>(text).unwrap_err());
        for (text, line, what) in [
            ("", 1, "it ends too early"),
            ("{\n\"format\": 1", 2, "it ends too early"),
            ("<html>", 1, "not valid JSON: a value is expected here"),
            ("{\"format\": 1}\nx", 2, "not valid JSON: something follows its end"),
            ("{\n\"format\" 1}", 2, "not valid JSON: `:` is expected here"),
            ("{format: 1}", 1, "not valid JSON: a name in quotes is expected here"),
            ("{}", 1, "the field `format` is missing"),
            ("{\"format\":\n\"x\"}", 2, "a whole number is expected here, not the text \"x\""),
        ] {
            let found = mistake(text);
            assert_eq!((found.line, found.what.as_str()), (line, what), "{text:?}");
        }
    }
}
