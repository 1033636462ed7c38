//! Templates of components. Every value is written as YAML (JSON is YAML), so none can break out of its place.

use std::collections::BTreeMap;

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use crate::k3s::yaml;

/// An environment for the templates of a component with these files.
pub(super) fn environment(texts: &BTreeMap<String, String>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(|out, _state, value| {
        if value.is_undefined() {
            return Err(Error::new(ErrorKind::UndefinedError, "a value that labimg does not give"));
        }
        if let Some(text) = value.as_str().filter(|_| value.is_safe()) {
            return out.write_str(text).map_err(Error::from);
        }
        let value = serde_json::to_value(value)
            .map_err(|e| Error::new(ErrorKind::BadSerialization, "no JSON value").with_source(e))?;
        out.write_str(&yaml::inline(&value)).map_err(Error::from)
    });
    environment.add_filter("plain", |text: &str| bare(text, text));
    environment.add_filter("regex", |text: &str| bare(text, &text.replace('.', "[.]")));
    let texts = texts.clone();
    environment.add_function("file", move |name: &str| {
        let text = texts.get(name).cloned();
        text.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("the component has no file {name}")))
    });
    environment
}

/// A text without quotes, if it means nothing else anywhere.
fn bare(text: &str, written: &str) -> Result<Value, Error> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-._~:/@%+=,".contains(c);
    if text.is_empty() || !text.chars().all(harmless) {
        let what = format!("`{text}` cannot stand without quotes");
        return Err(Error::new(ErrorKind::InvalidOperation, what));
    }
    Ok(Value::from_safe_string(written.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    fn render(template: &str, value: &str) -> Result<String, Error> {
        let texts = BTreeMap::from([("a.html".to_owned(), "<p>\"{{ v }}\"\n".to_owned())]);
        environment(&texts).render_named_str("x", template, context! { v => value })
    }

    #[test]
    fn values_cannot_break_out_and_missing_ones_are_errors() {
        assert_eq!(render("a: {{ v ~ '.local' }}\n", "x\"\n- y").unwrap(), "a: \"x\\\"\\n- y.local\"");
        assert!(render("a: {{ w }}", "x").is_err());
    }

    #[test]
    fn bare_texts_are_harmless() {
        assert_eq!(render("a: https://x.{{ v | plain }}/", "lab.example").unwrap(), "a: https://x.lab.example/");
        assert_eq!(render("a: (.*){{ v | regex }}", "lab.example").unwrap(), "a: (.*)lab[.]example");
        for bad in ["a b", "a\nb", "\"", "", "a#", "{{"] {
            assert!(render("a: {{ v | plain }}", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_are_texts() {
        assert_eq!(render("{{ file('a.html') }}", "x").unwrap(), "\"<p>\\\"{{ v }}\\\"\\n\"");
        assert!(render("{{ file('b.html') }}", "x").is_err());
    }
}
