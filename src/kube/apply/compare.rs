//! What differs between two forms of an object.

use serde::Serialize;
use serde_json::Value;

use super::Key;

/// A difference, at its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Such as `spec.template.spec.containers[0].image`.
    pub path: String,
    /// What is there now; nothing when it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What would be there; nothing when it would be gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// Whether the values are a secret, and are left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

/// Fields of `metadata` that the API keeps for itself.
const KEPT: [&str; 6] = ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];

/// What differs, in the order of its places; of Secrets the places alone.
#[must_use]
pub fn changes(key: &Key, from: &Value, to: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    let (mut from, mut to) = (settled(from), settled(to));
    if key.is_secret() {
        // So that the names of keys are told where there were none before.
        for fields in [&mut from, &mut to].into_iter().filter_map(Value::as_object_mut) {
            fields.entry("data").or_insert_with(|| serde_json::Map::new().into());
        }
    }
    compare(&mut String::new(), Some(&from), Some(&to), &mut found);
    if key.is_secret() {
        for change in &mut found {
            (change.from, change.to, change.hidden) = (None, None, true);
        }
    }
    found
}

/// The object without what the API keeps for itself.
fn settled(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            for field in KEPT {
                metadata.remove(field);
            }
        }
    }
    object
}

fn compare(path: &mut String, from: Option<&Value>, to: Option<&Value>, found: &mut Vec<Change>) {
    let length = path.len();
    match (from, to) {
        (Some(from), Some(to)) if from == to => {}
        (Some(Value::Object(from)), Some(Value::Object(to))) => {
            let mut names: Vec<&String> = from.keys().chain(to.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                push_name(path, name);
                compare(path, from.get(name), to.get(name), found);
                path.truncate(length);
            }
        }
        (Some(Value::Array(from)), Some(Value::Array(to))) => {
            for index in 0..from.len().max(to.len()) {
                push_step(path, &index.to_string());
                compare(path, from.get(index), to.get(index), found);
                path.truncate(length);
            }
        }
        (from, to) => {
            found.push(Change { path: path.clone(), from: from.cloned(), to: to.cloned(), hidden: false });
        }
    }
}

fn push_step(path: &mut String, step: &str) {
    path.extend(["[", step, "]"]);
}

/// Adds a field to a path; a name with a dot in it is quoted.
fn push_name(path: &mut String, name: &str) {
    if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_') {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
    } else {
        push_step(path, &Value::from(name).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(from: &Value, to: &Value) -> Vec<String> {
        let key = Key::of(to);
        let text = |value: Option<Value>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        changes(&key, from, to).into_iter().map(|c| format!("{} {} {}", c.path, text(c.from), text(c.to))).collect()
    }

    #[test]
    fn each_difference_has_its_place() {
        let from = json!({ "kind": "X", "metadata": { "name": "a", "resourceVersion": "1", "labels": { "a.b/c": "1" } },
            "spec": { "list": [1, { "x": 1 }, 3], "gone": true }, "status": 1 });
        let to = json!({ "kind": "X", "metadata": { "name": "a", "resourceVersion": "2", "labels": { "a.b/c": "2" } },
            "spec": { "list": [1, { "x": 2 }], "new": {} }, "status": 2 });
        assert_eq!(
            shown(&from, &to),
            [
                "metadata.labels[\"a.b/c\"] \"1\" \"2\"",
                "spec.gone true -",
                "spec.list[1].x 1 2",
                "spec.list[2] 3 -",
                "spec.new - {}",
            ]
        );
        assert!(shown(&from, &from).is_empty());
    }

    #[test]
    fn of_a_secret_only_the_places_are_told() {
        let secret = |value: &str| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" }, "data": { "x": value } });
        assert_eq!(shown(&secret("one"), &secret("two")), ["data.x - -"]);
        let empty = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" } });
        assert_eq!(shown(&empty, &secret("two")), ["data.x - -"]);
        let list = changes(&Key::of(&secret("")), &secret("one"), &secret("two"));
        assert_eq!(serde_json::to_string(&list).unwrap(), r#"[{"path":"data.x","hidden":true}]"#);
    }
}
