//! Checks names and types of everything in a `lab.toml` against the model's own schema, so nothing has to be listed
//! twice.

use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::schema;
use super::words::{given_words, meant_and};
use labimg_tree::suggest::{did_you_mean, nearest};

/// Finds unknown settings, missing ones and wrong types.
pub(super) fn check(root: &DeTable<'_>, found: &mut Vec<Problem>) {
    let schema = schema::of_model();
    Walk { root: &schema, found }.table(root, 0..0, &schema);
}

struct Walk<'s, 'f> {
    root: &'s Value,
    found: &'f mut Vec<Problem>,
}

impl<'s> Walk<'s, '_> {
    fn value(&mut self, what: &str, value: &Spanned<DeValue<'_>>, schema: &'s Value) {
        let schema = self.resolve(schema);
        let span = value.span();
        if let Some(forms) = schema.get("oneOf").and_then(Value::as_array) {
            return self.one_of(what, value, forms);
        }
        let Some(expected) = kind(schema) else { return self.anything(value) };
        match (expected, value.get_ref()) {
            ("object", DeValue::Table(table)) => self.table(table, span, schema),
            ("array", DeValue::Array(array)) => {
                for item in array {
                    self.value(&format!("an entry of {what}"), item, &schema["items"]);
                }
            }
            ("string", DeValue::String(_)) | ("boolean", DeValue::Boolean(_)) => {}
            ("integer", DeValue::Integer(number)) => {
                if !i64::from_str_radix(number.as_str(), number.radix()).is_ok_and(|n| n >= 0) {
                    self.found.push(Problem::new(span, format!("{what} must be a whole number from 0 to 2^63 - 1")));
                }
            }
            (_, given) => {
                let message = format!("{what} must be {}, not {}", expected_words(expected), given_words(given));
                let problem = Problem::new(span, message);
                self.found.push(match self.how(what, schema, given) {
                    Some(help) => problem.with_help(help),
                    None => problem,
                });
            }
        }
    }

    fn table(&mut self, table: &DeTable<'_>, span: Range<usize>, schema: &'s Value) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            for (key, value) in table {
                match schema.get("additionalProperties").filter(|inner| inner.is_object()) {
                    // Any name, and settings of ours below it.
                    Some(inner) => self.value(&format!("`{}`", key.get_ref()), value, inner),
                    // Settings of another program: any name and value is allowed.
                    None => self.anything(value),
                }
            }
            return;
        };
        for (key, value) in table {
            if let Some(schema) = properties.get(key.get_ref().as_ref()) {
                self.value(&format!("`{}`", key.get_ref()), value, schema);
                continue;
            }
            let problem = Problem::new(key.span(), format!("unknown setting `{}`", key.get_ref()));
            self.found.push(problem.with_help(self.where_is(key.get_ref(), properties)));
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !table.contains_key(name) {
                let what = properties.get(name).and_then(|p| p.get("description")).and_then(Value::as_str);
                let help = format!("`{name}`: {}", what.unwrap_or_default().replace('\n', " "));
                self.found.push(Problem::new(span.clone(), format!("`{name}` is missing")).with_help(help));
            }
        }
    }

    /// A choice between words and tables with one setting, as serde writes an enum.
    fn one_of(&mut self, what: &str, value: &Spanned<DeValue<'_>>, forms: &'s [Value]) {
        let words: Vec<&str> = forms.iter().flat_map(words).collect();
        let settings: Vec<(&String, &'s Value)> =
            forms.iter().filter_map(|f| f.get("properties")?.as_object()).flatten().collect();
        let all = || {
            let words = words.iter().map(|w| format!("\"{w}\""));
            let settings = settings.iter().map(|(name, schema)| {
                let example = if kind(schema) == Some("string") { "\"…\"" } else { "…" };
                format!("{{ {name} = {example} }}")
            });
            format!("write one of {}", words.chain(settings).collect::<Vec<_>>().join(", "))
        };
        let unknown = |name: &str, span| {
            let names = words.iter().copied().chain(settings.iter().map(|(n, _)| n.as_str()));
            let mut near = nearest(name, names);
            near.retain(|near| near != name);
            Problem::new(span, format!("{what} cannot be `{name}`")).with_help(meant_and(&near, &all()))
        };
        match value.get_ref() {
            DeValue::String(word) if words.contains(&word.as_ref()) => {}
            DeValue::String(word) => self.found.push(unknown(word, value.span())),
            DeValue::Table(table) => {
                let mut known = 0;
                for (name, inner) in table {
                    match settings.iter().find(|(n, _)| *n == name.get_ref().as_ref()) {
                        Some((name, schema)) => {
                            known += 1;
                            self.value(&format!("`{name}`"), inner, schema);
                        }
                        None => self.found.push(unknown(name.get_ref(), name.span())),
                    }
                }
                if known > 1 || table.is_empty() {
                    let problem = Problem::new(value.span(), format!("{what} takes exactly one rule"));
                    self.found.push(problem.with_help(all()));
                }
            }
            other => {
                let message = format!("{what} must be a rule, not {}", given_words(other));
                self.found.push(Problem::new(value.span(), message).with_help(all()));
            }
        }
    }

    /// A value for another program that reads YAML: types that only TOML has cannot be passed on.
    fn anything(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Array(array) => array.iter().for_each(|item| self.anything(item)),
            DeValue::Table(table) => table.values().for_each(|item| self.anything(item)),
            DeValue::Datetime(_) => {
                let problem = Problem::new(value.span(), "a date or time must be in quotes here");
                self.found.push(problem.with_help("k3s reads YAML, which has no such type"));
            }
            DeValue::Integer(number) if i64::from_str_radix(number.as_str(), number.radix()).is_err() => {
                self.found.push(Problem::new(value.span(), "this number is too large"));
            }
            DeValue::Float(number) if !number.as_str().parse::<f64>().is_ok_and(f64::is_finite) => {
                self.found.push(Problem::new(value.span(), "this is not a finite number"));
            }
            _ => {}
        }
    }

    /// Follows references; for an optional value it takes the schema that is not `null`.
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        if let Some(path) = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#')) {
            return self.root.pointer(path).map_or(schema, |found| self.resolve(found));
        }
        let parts = ["allOf", "anyOf"].iter().find_map(|word| schema.get(word)?.as_array());
        match parts.and_then(|parts| parts.iter().find(|p| p.get("type").is_none_or(|t| t != "null"))) {
            Some(part) => self.resolve(part),
            None => schema,
        }
    }

    /// Where an unknown setting belongs, or which one was meant.
    fn where_is(&self, name: &str, here: &Map<String, Value>) -> String {
        let near = nearest(name, here.keys().map(String::as_str));
        let top = self.root.get("properties").and_then(Value::as_object);
        let mut homes = Vec::new();
        for (section, schema) in top.into_iter().flatten() {
            if section == name {
                homes.push("at the top, above the first `[section]`".to_owned());
            }
            let schema = self.resolve(schema);
            let (open, close, inner) = match schema.get("items") {
                Some(items) => ("[[", "]]", self.resolve(items)),
                None => ("[", "]", schema),
            };
            if inner.get("properties").is_some_and(|p| p.get(name).is_some()) {
                homes.push(format!("in `{open}{section}{close}`"));
            }
        }
        if !homes.is_empty() {
            return format!("`{name}` belongs {}", homes.join(" or "));
        }
        if let Some(meant) = also_called(name).filter(|meant| here.contains_key(*meant)) {
            return format!("it is called `{meant}` here");
        }
        if near.is_empty() {
            let known: Vec<String> = here.keys().map(|k| format!("`{k}`")).collect();
            return format!("known here: {}", known.join(", "));
        }
        did_you_mean(&near).unwrap_or_default()
    }

    /// How to write what was meant, if that is clear.
    fn how(&self, what: &str, schema: &'s Value, given: &DeValue<'_>) -> Option<String> {
        let key = what.trim_matches('`');
        let tables = schema.get("items").is_some_and(|items| kind(self.resolve(items)) == Some("object"));
        match (kind(schema)?, given) {
            ("array", DeValue::Table(_)) if tables => {
                Some(format!("write `[[{key}]]`, with two brackets, for each of them"))
            }
            ("array", DeValue::String(_)) if !tables => Some(format!("put it in brackets: {key} = [\"…\"]")),
            ("object", DeValue::Array(_)) => {
                Some(format!("write `[{key}]`, with one pair of brackets: there is only one"))
            }
            ("string", DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_)) => {
                Some("put it in quotes".to_owned())
            }
            ("boolean", DeValue::String(word)) if ["true", "false"].contains(&word.as_ref()) => {
                Some(format!("without the quotes: {key} = {word}"))
            }
            ("integer", DeValue::String(_)) => Some("write the number in digits, without quotes and unit".to_owned()),
            _ => None,
        }
    }
}

/// The type required by a schema; `None` when it accepts anything.
fn kind(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        _ => None,
    }
}

/// The words that a variant of a choice accepts.
fn words(form: &Value) -> Vec<&str> {
    let several = form.get("enum").and_then(Value::as_array).into_iter().flatten();
    several.chain(form.get("const")).filter_map(Value::as_str).collect()
}

fn expected_words(kind: &str) -> &'static str {
    match kind {
        "string" => "a text in quotes",
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "array" => "a list",
        _ => "a section",
    }
}

/// Other programs' names for our settings, when the spelling is too different to suggest it.
fn also_called(name: &str) -> Option<&'static str> {
    Some(match name {
        "hostname" | "host" => "name",
        "ip" | "cidr" | "static" => "address",
        "router" | "route" => "gateway",
        "nameserver" | "nameservers" => "dns",
        "psk" | "password" | "key" => "passphrase",
        "tz" => "timezone",
        "lang" | "language" => "locale",
        "hardware" | "model" => "board",
        "keys" | "authorized_keys" => "ssh_keys",
        _ => return None,
    })
}
