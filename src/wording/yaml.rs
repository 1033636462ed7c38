//! Messages of the YAML parser.

use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

use super::{Mistake, Words, serde};

/// A parser error as a mistake.
pub(crate) fn yaml(error: &Error) -> Mistake {
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
        | Error::AliasReplayCounterOverflow { .. } => (
            "its anchors (`&name`, `*name`) grow too large".to_owned(),
            Some("write out what they stand for".to_owned()),
        ),
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => words(error),
        other => (format!("not valid YAML: {}", message(other)), None),
    }
}

fn expected_here(expected: &str) -> Words {
    (format!("{} is expected here", serde::expected_words(expected)), None)
}

/// Messages about the limits that keep a small file from using all memory.
fn breach_words(breach: &BudgetBreach) -> Words {
    let split = || Some("make several files of it".to_owned());
    match breach {
        BudgetBreach::Nodes { nodes } => (format!("it has more than {} values", nodes.saturating_sub(1)), split()),
        BudgetBreach::Documents { documents } => {
            (format!("it has more than {} documents", documents.saturating_sub(1)), split())
        }
        BudgetBreach::Depth { depth } => (format!("it is nested more than {} deep", depth.saturating_sub(1)), None),
        BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. } => {
            ("it has too many anchors (`&name`, `*name`)".to_owned(), Some("write out what they stand for".to_owned()))
        }
        _ => ("it is too large to be read".to_owned(), split()),
    }
}

/// The first line of the parser's message, without the position.
fn message(error: &Error) -> String {
    let text = error.to_string();
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
        yaml(&serde_saphyr::from_multiple::<Thing>(text).unwrap_err())
    }

    /// The mistake in a text whose values may be anything.
    fn mistake_of_any(text: &str) -> Mistake {
        yaml(&serde_saphyr::from_multiple::<serde_json::Value>(text).unwrap_err())
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
    fn what_is_too_large_is_told_with_its_limit() {
        let nodes = mistake_of_any(&format!("a: [{}]\n", "1,".repeat(300_000)));
        assert!(nodes.what.starts_with("it has more than ") && nodes.what.ends_with("000 values"), "{nodes:?}");
        assert_eq!(nodes.help.as_deref(), Some("make several files of it"));
        let documents = mistake_of_any(&"---\na: x\n".repeat(200_000));
        assert!(documents.what.starts_with("it has more than "), "{documents:?}");
        assert!(documents.help.is_some() && !format!("{documents:?}").contains("budget"), "{documents:?}");
    }
}
