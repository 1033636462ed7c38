//! Words that several messages have.

use toml::de::DeValue;

use labimg_tree::suggest::did_you_mean;

/// The names that may have been meant, if any, and then what else helps, as a sentence of its own.
pub(super) fn meant_and(near: &[String], rest: &str) -> String {
    let Some(meant) = did_you_mean(near) else { return rest.to_owned() };
    let mut chars = rest.chars();
    let rest: String = chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect();
    format!("{meant} {rest}")
}

/// The type of a value.
pub(super) fn given_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
