//! Values of a chart: ours with the user's over them, as Helm itself merges several files of values.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The user's values over ours: maps are merged, anything else takes the place of ours.
pub(super) fn merged(ours: Value, users: &BTreeMap<String, Value>) -> Value {
    let mut all = match ours {
        Value::Object(all) => all,
        _ => Map::new(),
    };
    for (key, value) in users {
        merge(&mut all, key, value);
    }
    Value::Object(all)
}

fn merge(all: &mut Map<String, Value>, key: &str, value: &Value) {
    match (all.get_mut(key), value) {
        (Some(Value::Object(ours)), Value::Object(users)) => {
            for (key, value) in users {
                merge(ours, key, value);
            }
        }
        _ => {
            all.insert(key.to_owned(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn maps_are_merged_and_lists_replaced() {
        let users = json!({ "a": { "b": 2, "l": [3] }, "n": null, "x": { "y": 1 } });
        let users = users.as_object().unwrap().clone().into_iter().collect();
        let ours = json!({ "a": { "b": 1, "c": 1, "l": [1, 2] }, "n": 1, "x": "text" });
        assert_eq!(merged(ours, &users), json!({ "a": { "b": 2, "c": 1, "l": [3] }, "n": null, "x": { "y": 1 } }));
        assert_eq!(merged(Value::Null, &BTreeMap::new()), json!({}));
    }
}
