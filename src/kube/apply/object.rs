//! An object that the lab wants: its name, where the API has it, and what is compared of it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::discovery::Resource;

/// Where k3s puts objects that name no namespace.
pub const DEFAULT_NAMESPACE: &str = "kube-system";

/// An object's name among all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// None for an object of the whole cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Key {
    /// Key of an object that names its namespace itself.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Self {
            api_version: text("/apiVersion").unwrap_or_default(),
            kind: text("/kind").unwrap_or_default(),
            namespace: text("/metadata/namespace").filter(|namespace| !namespace.is_empty()),
            name: text("/metadata/name").unwrap_or_default(),
        }
    }

    /// The API group: empty for the core.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Whether the other one is the same, whatever the version.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.group() == other.group()
            && self.kind == other.kind
            && self.namespace == other.namespace
            && self.name == other.name
    }

    /// Whether its values are never shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.kind == "Secret" && self.group().is_empty()
    }
}

/// `Kind namespace/name`, or `Kind name`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// An object of the lab.
#[derive(Clone, PartialEq)]
pub struct Object {
    /// Its name; the namespace is as its manifest has it, until the kind is known.
    pub key: Key,
    value: Value,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the content: it may be a Secret's.
        f.debug_struct("Object").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Object {
    /// An object as a manifest has it. `stringData` becomes `data`, as the API does it.
    #[must_use]
    pub fn new(mut value: Value) -> Self {
        let key = Key::of(&value);
        if key.is_secret()
            && let Some(Value::Object(texts)) = value.as_object_mut().and_then(|object| object.remove("stringData"))
        {
            let data = value.as_object_mut().map(|object| object.entry("data").or_insert_with(|| Map::new().into()));
            if let Some(data) = data.and_then(Value::as_object_mut) {
                for (name, text) in texts {
                    data.insert(name, STANDARD.encode(text.as_str().unwrap_or_default()).into());
                }
            }
        }
        Self { key, value }
    }

    /// What is sent.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Gives it the namespace that it has in the cluster, once its kind is known.
    pub fn settle(&mut self, resource: &Resource) {
        let namespace =
            resource.namespaced.then(|| self.key.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()));
        let metadata = self.value.get_mut("metadata").and_then(Value::as_object_mut);
        if let Some(metadata) = metadata {
            match &namespace {
                Some(namespace) => metadata.insert("namespace".to_owned(), namespace.as_str().into()),
                None => metadata.remove("namespace"),
            };
        }
        self.key.namespace = namespace;
    }

    /// What has to be there before others: namespaces, then kinds.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self.key.kind.as_str() {
            "Namespace" => 0,
            "CustomResourceDefinition" => 1,
            _ => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_of_a_secret_are_encoded() {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" },
            "stringData": { "x": "y" }, "data": { "z": "AA==" } });
        let object = Object::new(secret);
        assert_eq!(object.value()["data"], json!({ "x": "eQ==", "z": "AA==" }));
        assert!(object.value().get("stringData").is_none());
        assert!(!format!("{object:?}").contains("eQ=="));
        // Another group may have a kind of the same name.
        let other =
            json!({ "apiVersion": "x.org/v1", "kind": "Secret", "metadata": { "name": "a" }, "stringData": {} });
        assert!(Object::new(other).value().get("stringData").is_some());
    }

    #[test]
    fn the_namespace_is_the_one_that_k3s_takes() {
        let resource = |namespaced| Resource { name: "things".to_owned(), namespaced };
        let mut object = Object::new(json!({ "apiVersion": "v1", "kind": "Thing", "metadata": { "name": "a" } }));
        object.settle(&resource(true));
        assert_eq!(object.value()["metadata"]["namespace"], "kube-system");
        assert_eq!(object.key.to_string(), "Thing kube-system/a");
        object.settle(&resource(false));
        assert_eq!(object.value()["metadata"], json!({ "name": "a" }));
        assert_eq!(object.key.to_string(), "Thing a");
    }
}
