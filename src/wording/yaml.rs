//! YAML: the parser with our limits, and its messages.

use ::serde::de::DeserializeOwned;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, Options, UserMessageFormatter};

use super::{Mistake, Words, serde};

/// Nesting that is read: schemas in a `CustomResourceDefinition` reach about 40.
const DEPTH: usize = 64;

/// The documents of a text, without empty ones.
///
/// # Errors
/// What is wrong, and where.
pub(crate) fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, Mistake> {
    serde_saphyr::from_multiple_with_options(text, options(text)).map_err(|e| yaml(&e))
}

/// Values that an anchor may multiply to in a small text.
const LEAST: usize = 250_000;

/// How a text is read. Whoever calls has limited its size, and every value takes a byte at least, so only what an
/// anchor multiplies needs limits.
fn options(text: &str) -> Options {
    let most = text.len().max(LEAST);
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            // Begin and end of each value and document.
            max_events: 4 * most + 4,
            max_nodes: 2 * most,
            max_documents: most,
            max_depth: DEPTH,
        },
        with_snippet: false,
    }
}

/// A parser error as a mistake.
fn yaml(error: &Error) -> Mistake {
    let line = error.location().and_then(|at| usize::try_from(at.line()).ok()).unwrap_or(1);
    let (what, help) = words(error.without_snippet());
    Mistake { line, what, help }
}

fn words(error: &Error) -> Words {
    let plain = |what: &str| (what.to_owned(), None);
    match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => serde::twice(key),
        Error::DuplicateMappingKey { key: None, .. } => ("a key is there twice".to_owned(), serde::twice("").1),
        Error::SerdeMissingField { field, .. } => serde::missing(field),
        Error::SerdeUnknownField { field, expected, .. } => serde::unknown_field(field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => serde::unknown_word(variant, expected),
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => (serde::unlike(unexpected, expected), None),
        Error::Unexpected { expected, .. } => expected_here(expected),
        Error::InvalidScalar { ty, .. } => expected_here(ty),
        Error::InvalidBooleanStrict { .. } => expected_here("bool"),
        Error::NullIntoString { .. } => (serde::unlike("null", "string"), None),
        Error::QuotingRequired { value, .. } => {
            (format!("`{value}` is no text without quotes"), Some(format!("write it as \"{value}\"")))
        }
        Error::Eof { .. } => {
            ("it ends too early".to_owned(), Some("close what is open: a bracket, a quote".to_owned()))
        }
        Error::InvalidUtf8Input => ("it is not UTF-8".to_owned(), Some("save it as UTF-8 text".to_owned())),
        Error::UnknownAnchor { .. } => plain("it names an anchor that is not there"),
        Error::MultipleDocuments { .. } => plain("it has several documents, and one is expected"),
        Error::ContainerEndMismatch { .. }
        | Error::UnexpectedSequenceEnd { .. }
        | Error::UnexpectedMappingEnd { .. } => plain("a bracket closes what is not open"),
        Error::Budget { breach, .. } => breach_words(breach),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => anchors_grow(),
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => words(error),
        other => (format!("not valid YAML: {}", message(other)), None),
    }
}

fn expected_here(expected: &str) -> Words {
    (format!("{} is expected here", serde::expected_words(expected)), None)
}

/// Messages about the limits: the text itself is within all of them but the depth.
fn breach_words(breach: &BudgetBreach) -> Words {
    match breach {
        BudgetBreach::Depth { depth } => (format!("it is nested more than {} deep", depth.saturating_sub(1)), None),
        BudgetBreach::SequenceUnbalanced => ("a bracket closes what is not open".to_owned(), None),
        _ => anchors_grow(),
    }
}

fn anchors_grow() -> Words {
    ("its anchors (`&name`, `*name`) grow too large".to_owned(), Some("write out what they stand for".to_owned()))
}

/// The first line of the parser's message, without the position.
fn message(error: &Error) -> String {
    let text = error.render_with_formatter(&UserMessageFormatter);
    let line = text.lines().next().unwrap_or_default();
    line.rsplit_once(" at line ").map_or(line, |(message, _)| message).trim_end_matches(':').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, ::serde::Deserialize)]
    struct Thing {
        #[allow(dead_code)]
        a: String,
    }

    fn mistake(text: &str) -> Mistake {
        from_yaml::<Thing>(text).unwrap_err()
    }

    #[test]
    fn mistakes_have_a_line_and_plain_words() {
        for (text, line, what, help) in [
            ("a: x\na: y\n", 2, "`a` is there twice", "keep one of the two"),
            ("b: x\n", 1, "the field `a` is missing", ""),
            ("- a\n", 1, "a set of fields (`name: value`) is expected here", ""),
            ("a: *x\n", 1, "it names an anchor that is not there", ""),
        ] {
            let found = mistake(text);
            assert_eq!((found.line, found.what.as_str()), (line, what), "{text:?}");
            assert_eq!(found.help.unwrap_or_default(), help, "{text:?}");
        }
        assert!(mistake("a: [x\n").what.contains("expected"), "{:?}", mistake("a: [x\n"));
    }

    #[test]
    fn what_has_an_allowed_size_is_read() {
        for (text, documents) in [
            (format!("a: [{}]\n", "1,".repeat(400_000)), 1),
            ("[],".repeat(200_000).replace("[],", "- []\n"), 1),
            ("---\na: x\n".repeat(20_000), 20_000),
            (format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH)), 1),
        ] {
            let read = from_yaml::<serde_json::Value>(&text).map(|read| read.len());
            assert_eq!(read, Ok(documents), "{text:.20}");
        }
    }

    #[test]
    fn what_grows_while_it_is_read_is_told() {
        let deep = from_yaml::<serde_json::Value>(&format!("{}{}", "[".repeat(DEPTH + 1), "]".repeat(DEPTH + 1)));
        assert_eq!(deep.unwrap_err().what, format!("it is nested more than {DEPTH} deep"));
        let lines =
            (1..9).map(|n| format!("l{n}: &l{n} [{}]\n", format!("*l{},", n - 1).repeat(9))).collect::<String>();
        let bomb = from_yaml::<serde_json::Value>(&format!("l0: &l0 lol\n{lines}")).unwrap_err();
        assert!(bomb.what.contains("anchors") && bomb.help.is_some(), "{bomb:?}");
    }
}
