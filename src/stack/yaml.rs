//! Objects as YAML for people: block style, texts of several lines as they are.

use serde_json::Value;

use crate::manifests::ManifestError;

/// The objects as documents of one file.
pub(super) fn documents(name: &str, objects: &[Value]) -> Result<String, ManifestError> {
    let texts = objects.iter().map(|object| document(name, object)).collect::<Result<Vec<_>, _>>()?;
    Ok(texts.join("---\n"))
}

/// One value.
pub(super) fn document(name: &str, value: &Value) -> Result<String, ManifestError> {
    // Long lines stay whole: a folded text is hard to compare.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX, compact_list_indent: false };
    serde_saphyr::to_string_with_options(value, options).map_err(|e| ManifestError::Render {
        name: name.to_owned(),
        what: "it cannot be written as YAML".to_owned(),
        source: Some(Box::new(e)),
        is_own: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z0-9:#'\"|>{}\\[\\],&*!%@` \n\t.~yesnoYN-]{0,12}".prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-zA-Z0-9.+ :/-]{1,8}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_come_back_as_they_went(value in any_value()) {
            let value = json!({ "x": value });
            let text = document("x", &value).unwrap();
            let back: Vec<Value> = crate::wording::from_yaml(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
            prop_assert_eq!(&back, &[value], "{}", text);
        }
    }

    #[test]
    fn what_older_yaml_takes_for_something_else_is_quoted() {
        for text in [
            "yes",
            "no",
            "on",
            "off",
            "y",
            "n",
            "0600",
            "1e3",
            "null",
            "~",
            "12:30:45",
            "1_000",
            "0x1F",
            "2026-01-01",
            "=",
        ] {
            let written = document("x", &json!({ "k": text })).unwrap();
            assert!(written.contains(['"', '\'']), "{written}");
        }
    }
}
