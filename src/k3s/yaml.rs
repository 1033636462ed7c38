//! Values as YAML that every parser reads alike: JSON, of which YAML 1.2 is a superset.

use std::fmt::Write as _;

use serde_json::Value;

/// The value on one line: strings quoted, lists and maps in flow style.
#[must_use]
pub fn inline(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        // JSON lets these stand as they are, YAML does not (YAML 1.2, 5.1); outside of strings JSON has none of them.
        if matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') {
            // Writing to a String does not fail.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// One line `key: value` of a map, or several for a list.
#[must_use]
pub fn entry(key: &str, value: &Value) -> String {
    let is_plain = key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        // Words that YAML 1.1 takes for something else.
        && !matches!(key, "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null");
    let key = if is_plain { key.to_owned() } else { inline(&Value::from(key)) };
    match value {
        Value::Array(items) if !items.is_empty() => {
            let lines: String = items.iter().map(|item| format!("  - {}\n", inline(item))).collect();
            format!("{key}:\n{lines}")
        }
        value => format!("{key}: {}\n", inline(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn back(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    #[test]
    fn what_looks_like_something_else_stays_a_text() {
        for text in [
            "0600",
            "yes",
            "null",
            "~",
            "1e3",
            "a: b",
            "- a",
            "#",
            "",
            " a ",
            "\u{85}\u{2028}\u{7f}\u{feff}",
            "a\nb\t\"'\\",
        ] {
            let value = json!({ "key": text, "list": [text] });
            let yaml: String = value.as_object().unwrap().iter().map(|(k, v)| entry(k, v)).collect();
            assert_eq!(back(&yaml), value, "{yaml}");
        }
        assert_eq!(entry("yes", &json!(true)), "\"yes\": true\n");
        assert_eq!(entry("tls-san", &json!([])), "tls-san: []\n");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z0-9.+ :-]{1,8}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_come_back_as_they_went(map in prop::collection::btree_map("[a-z0-9.+ :-]{1,8}", any_value(), 1..5)) {
            let yaml: String = map.iter().map(|(k, v)| entry(k, v)).collect();
            prop_assert_eq!(back(&yaml), Value::Object(map.into_iter().collect()), "{}", yaml);
        }
    }
}
