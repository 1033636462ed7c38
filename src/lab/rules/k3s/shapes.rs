//! Types of the options' values. k3s converts every value to text, so with a wrong type it does not start, or the option
//! has no effect.

use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use super::super::{Found, Text};
use crate::lab::k3s_flags::{Flag, Shape};
use crate::lab::words::given_words;
use labimg_tree::suggest::{did_you_mean, nearest};

/// Reports a value of a wrong type; true if it is right.
pub(super) fn check(flag: &Flag, key: &Text<'_>, value: &Spanned<DeValue<'_>>, found: &mut Found) -> bool {
    let name = flag.name;
    if flag.shape != Shape::List && key.value.ends_with('+') {
        let problem = found.mistake(key.span.clone(), format!("`{name}` has one value: nothing can be added with `+`"));
        problem.help(format!("write `{name}`"));
        return false;
    }
    let (wanted, help) = match (flag.shape, value.get_ref()) {
        // YAML has no such values: `structure` reports them.
        (_, DeValue::Datetime(_)) => return false,
        (_, DeValue::Float(number)) if !is_finite(number) => return false,
        (Shape::List, DeValue::Array(items)) => {
            return items.iter().filter(|item| !entry(name, item, found)).count() == 0;
        }
        (Shape::List, DeValue::Table(table)) => {
            (flag_words(flag.shape), format!("write {name} = [{}]", entries(table)))
        }
        (Shape::List, _) => return entry(name, value, found),
        (_, DeValue::Array(_) | DeValue::Table(_)) => (flag_words(flag.shape), format!("`{name}` has one value")),
        (Shape::Switch, DeValue::Boolean(_))
        | (Shape::Number, DeValue::Integer(_))
        | (Shape::Text, DeValue::String(_)) => {
            return true;
        }
        (Shape::Switch, DeValue::String(word)) if word.parse::<bool>().is_ok() => return true,
        (Shape::Number, DeValue::String(digits)) if digits.parse::<i64>().is_ok() => return true,
        (Shape::Duration, DeValue::String(text)) if is_duration(text) => return true,
        (Shape::Choice(words), DeValue::String(word)) if words.contains(&word.as_ref()) => return true,
        // k3s gets the number in decimal: `0o640` would become 416.
        (Shape::Text, DeValue::Integer(number)) if is_decimal(number) => return true,
        (Shape::Choice(words), DeValue::String(word)) => {
            let all = words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(", ");
            let meant = did_you_mean(&nearest(word, words.iter().copied())).map(|meant| format!("{meant} "));
            let problem = found.mistake(value.span(), format!("`{name}` cannot be `{word}`"));
            problem.help(format!("{}{name} is one of {all}", meant.unwrap_or_default()));
            return false;
        }
        (Shape::Text, _) => (flag_words(flag.shape), "put it in quotes".to_owned()),
        (Shape::Duration, _) => (flag_words(flag.shape), format!("write number and unit, such as {name} = \"10m\"")),
        (shape, _) => (flag_words(shape), format!("write {name} = {}", example(shape))),
    };
    let given = given_words(value.get_ref());
    let given = if flag.shape == Shape::Duration && given == "a text" { "this text" } else { given };
    found.mistake(value.span(), format!("`{name}` must be {wanted}, not {given}")).help(help);
    false
}

/// Reports a wrong entry of a list; true if it is right.
fn entry(name: &str, item: &Spanned<DeValue<'_>>, found: &mut Found) -> bool {
    match item.get_ref() {
        DeValue::String(_) => return true,
        DeValue::Integer(number) if is_decimal(number) => return true,
        // YAML has no such values: `structure` reports them.
        DeValue::Datetime(_) => return false,
        DeValue::Float(number) if !is_finite(number) => return false,
        _ => {}
    }
    let message = format!("an entry of `{name}` must be a text in quotes, not {}", given_words(item.get_ref()));
    found.mistake(item.span(), message).help(match item.get_ref() {
        DeValue::Table(table) => format!("write {name} = [{}]", entries(table)),
        DeValue::Array(_) => "one pair of brackets around all entries".to_owned(),
        _ => "put it in quotes".to_owned(),
    });
    false
}

/// The list that was probably meant by a table: `{ traefik = true, a = "b" }` as `"traefik", "a=b"`.
fn entries(table: &DeTable<'_>) -> String {
    let all = table.iter().map(|(key, value)| match value.get_ref() {
        DeValue::String(text) => format!("\"{}={text}\"", key.get_ref()),
        DeValue::Integer(number) => format!("\"{}={}\"", key.get_ref(), number.as_str()),
        _ => format!("\"{}\"", key.get_ref()),
    });
    all.collect::<Vec<_>>().join(", ")
}

fn flag_words(shape: Shape) -> &'static str {
    match shape {
        Shape::Switch => "`true` or `false`",
        Shape::Number => "a whole number",
        Shape::Text | Shape::Choice(_) => "a text in quotes",
        Shape::Duration => "a length of time",
        Shape::List => "a list",
    }
}

fn example(shape: Shape) -> String {
    match shape {
        Shape::Switch => "true".to_owned(),
        Shape::Number => "5".to_owned(),
        Shape::Choice([first, ..]) => format!("\"{first}\""),
        _ => "\"…\"".to_owned(),
    }
}

fn is_finite(number: &DeFloat<'_>) -> bool {
    number.as_str().parse::<f64>().is_ok_and(f64::is_finite)
}

fn is_decimal(number: &DeInteger<'_>) -> bool {
    number.radix() == 10
}

/// As Go's `time.ParseDuration` takes it, without a sign.
fn is_duration(text: &str) -> bool {
    if text == "0" {
        return true;
    }
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, after) = rest.split_at(number);
        let unit = ["ns", "us", "µs", "ms", "s", "m", "h"]
            .iter()
            .filter(|unit| after.starts_with(**unit))
            .max_by_key(|u| u.len());
        let (Ok(_), Some(unit)) = (digits.parse::<f64>(), unit) else { return false };
        rest = &after[unit.len()..];
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_as_go_writes_them() {
        for good in ["5m", "5m0s", "1.5h", "300ms", "0", "1h2m3s", "10µs"] {
            assert!(is_duration(good), "{good}");
        }
        for bad in ["", "5", "m", "5 m", "5min", "5d", "-5m", "1.2.3s", "."] {
            assert!(!is_duration(bad), "{bad}");
        }
    }
}
