//! serde's own messages for all formats (`serde::de::Error`).

use super::Words;
use labimg_tree::suggest::{did_you_mean, nearest};

const TWICE: &str = "keep one of the two";

/// serde's messages in our words; any other, such as that of one of our types, unchanged.
pub(super) fn words(message: &str) -> Words {
    let quoted = |start: &str| message.strip_prefix(start)?.split_once('`');
    if let Some((field, _)) = quoted("missing field `") {
        return missing(field);
    }
    if let Some((field, _)) = quoted("duplicate field `") {
        return twice(field);
    }
    if let Some((field, rest)) = quoted("unknown field `") {
        return unknown_field(field, &names(rest));
    }
    if let Some((word, rest)) = quoted("unknown variant `") {
        return unknown_word(word, &names(rest));
    }
    let other = ["invalid type: ", "invalid value: "].iter().find_map(|start| message.strip_prefix(start));
    if let Some((given, expected)) = other.and_then(|rest| rest.rsplit_once(", expected ")) {
        return (unlike(given, expected), None);
    }
    (message.to_owned(), None)
}

/// A name of the text's own, which can have lines when it is in quotes or a block.
fn on_one_line(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(super) fn missing(field: &str) -> Words {
    (format!("the field `{field}` is missing"), None)
}

pub(super) fn twice(field: &str) -> Words {
    (format!("`{}` is there twice", on_one_line(field)), Some(TWICE.to_owned()))
}

pub(super) fn unknown_field(field: &str, known: &[&str]) -> Words {
    let help = did_you_mean(&nearest(field, known.iter().copied()));
    let all = || (!known.is_empty()).then(|| format!("known here: {}", list(known, ", ")));
    (format!("there is no field `{}` here", on_one_line(field)), help.or_else(all))
}

pub(super) fn unknown_word(word: &str, known: &[&str]) -> Words {
    let help = (!known.is_empty()).then(|| format!("write {}", list(known, " or ")));
    (format!("`{}` cannot stand here", on_one_line(word)), help)
}

/// Says that a value has another type than expected; both types by serde's names.
pub(super) fn unlike(given: &str, expected: &str) -> String {
    format!("{} is expected here, not {}", expected_words(expected), given_words(given))
}

/// An expected type, by the name that serde and its formats use.
pub(super) fn expected_words(expected: &str) -> String {
    match expected {
        "a string" | "string" | "string scalar" | "str" | "a borrowed string" | "variant identifier"
        | "field identifier" | "string or map" | "identifier" => "a text".to_owned(),
        "a boolean" | "bool" | "boolean" => "`true` or `false`".to_owned(),
        "a sequence" | "sequence" | "sequence start" => "a list".to_owned(),
        "a map" | "map" | "mapping start" => "a set of fields (`name: value`)".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" | "integer" => {
            "a whole number".to_owned()
        }
        "f32" | "f64" | "float" => "a number".to_owned(),
        "unit" | "null" => "nothing".to_owned(),
        "map with a single key" => "a set of one field (`name: value`)".to_owned(),
        _ if expected.starts_with("struct ") => "a set of fields (`name: value`)".to_owned(),
        _ if expected.starts_with("enum ") => "one of some words".to_owned(),
        _ if expected.starts_with("tuple ") || expected.starts_with("a tuple ") => "a list".to_owned(),
        other => other.to_owned(),
    }
}

fn given_words(given: &str) -> String {
    let (kind, value) = given.split_once([' ', '`']).unwrap_or((given, ""));
    let value = value.trim_start_matches("point ").trim_matches('`');
    match (kind, value) {
        ("string", value) => format!("the text {value}"),
        ("integer" | "floating", value) => format!("the number {value}"),
        ("boolean", value) => format!("`{value}`"),
        ("map", _) => "a set of fields".to_owned(),
        ("sequence", _) => "a list".to_owned(),
        ("null" | "unit" | "Option", _) => "nothing".to_owned(),
        _ => given.to_owned(),
    }
}

/// The names in back quotes after "expected one of".
fn names(rest: &str) -> Vec<&str> {
    rest.split('`').skip(1).step_by(2).collect()
}

fn list(names: &[&str], between: &str) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_serde_are_put_into_words() {
        for (message, what, help) in [
            ("missing field `title`", "the field `title` is missing", None),
            ("duplicate field `a`", "`a` is there twice", Some("keep one of the two")),
            (
                "unknown field `titel`, expected one of `title`, `packages`",
                "there is no field `titel` here",
                Some("did you mean `title`?"),
            ),
            ("unknown field `x`, expected `a` or `b`", "there is no field `x` here", Some("known here: `a`, `b`")),
            ("unknown field `x`, there are no fields", "there is no field `x` here", None),
            ("unknown field `x\ny`, there are no fields", "there is no field `x y` here", None),
            ("unknown variant `apm`, expected `mbr` or `gpt`", "`apm` cannot stand here", Some("write `mbr` or `gpt`")),
            ("invalid type: string \"x\", expected u32", "a whole number is expected here, not the text \"x\"", None),
            ("invalid type: integer `3`, expected a string", "a text is expected here, not the number 3", None),
            (
                "invalid type: floating point `1.5`, expected u8",
                "a whole number is expected here, not the number 1.5",
                None,
            ),
            ("invalid type: map, expected a sequence", "a list is expected here, not a set of fields", None),
            ("invalid type: null, expected a boolean", "`true` or `false` is expected here, not nothing", None),
            ("`x` is not a SHA-256", "`x` is not a SHA-256", None),
        ] {
            assert_eq!(words(message), (what.to_owned(), help.map(str::to_owned)), "{message}");
        }
    }
}
