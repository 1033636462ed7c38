//! Kinds → resources, as the API itself lists them (Kubernetes: "API Overview", discovery).

use std::collections::BTreeMap;

use serde_json::Value;

use super::Key;
use crate::kube::{Client, KubeError, Verb};

/// How the API calls the objects of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// In paths.
    pub name: String,
    /// Whether they are in namespaces.
    pub namespaced: bool,
}

/// What the API knows; each version of a group is asked for once.
#[derive(Debug)]
pub struct Kinds<'a> {
    client: &'a Client,
    /// `apps/v1` → kind → resource; nothing for what the API does not have.
    known: BTreeMap<String, BTreeMap<String, Resource>>,
}

impl<'a> Kinds<'a> {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(client: &'a Client) -> Self {
        Self { client, known: BTreeMap::new() }
    }

    /// The resource of a kind; `None` when the API has no such kind (yet).
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn find(&mut self, api_version: &str, kind: &str) -> Result<Option<Resource>, KubeError> {
        if !self.known.contains_key(api_version) {
            let list: Option<Value> = self.client.get(&base(api_version))?;
            self.known.insert(api_version.to_owned(), list.as_ref().map(resources).unwrap_or_default());
        }
        Ok(self.known.get(api_version).and_then(|kinds| kinds.get(kind)).cloned())
    }

    /// Forgets versions that have not all of these kinds, which may have come since.
    pub fn forget_without<'k>(&mut self, wanted: impl Iterator<Item = &'k Key>) {
        for key in wanted {
            if self.known.get(&key.api_version).is_some_and(|kinds| !kinds.contains_key(&key.kind)) {
                self.known.remove(&key.api_version);
            }
        }
    }
}

fn base(api_version: &str) -> String {
    if api_version.contains('/') { format!("/apis/{api_version}") } else { format!("/api/{api_version}") }
}

fn resources(list: &Value) -> BTreeMap<String, Resource> {
    let entries = list.get("resources").and_then(Value::as_array).into_iter().flatten();
    let read = |entry: &Value| {
        let name = entry.get("name")?.as_str()?;
        let namespaced = entry.get("namespaced").and_then(Value::as_bool).unwrap_or_default();
        // Parts of objects, such as their status, are listed beside them.
        let resource = Resource { name: name.to_owned(), namespaced };
        (!name.contains('/')).then_some((entry.get("kind")?.as_str()?.to_owned(), resource))
    };
    entries.filter_map(read).collect()
}

/// The path of all objects of a kind.
#[must_use]
pub fn all(api_version: &str, resource: &Resource) -> String {
    format!("{}/{}", base(api_version), resource.name)
}

/// The path of one object.
#[must_use]
pub fn path(key: &Key, resource: &Resource) -> String {
    let base = base(&key.api_version);
    match &key.namespace {
        Some(namespace) if resource.namespaced => {
            format!("{base}/namespaces/{namespace}/{}/{}", resource.name, key.name)
        }
        _ => format!("{base}/{}/{}", resource.name, key.name),
    }
}

/// The object at this name, if it is there.
///
/// # Errors
/// As [`Client::send`], and an answer that is neither the object nor that there is none.
pub fn live(client: &Client, path: &str) -> Result<Result<Option<Value>, String>, KubeError> {
    let answer = client.send(Verb::Get, path, None)?;
    Ok(match answer.status {
        404 => Ok(None),
        _ if answer.is_good() => Ok(Some(answer.body)),
        _ => Err(answer.message()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_of_objects_are_not_objects() {
        let list = json!({ "resources": [
            { "name": "pods", "kind": "Pod", "namespaced": true },
            { "name": "pods/status", "kind": "Pod", "namespaced": true },
            { "name": "pods/eviction", "kind": "Eviction", "namespaced": true },
            { "name": "nodes", "kind": "Node", "namespaced": false },
        ] });
        let found = resources(&list);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["Node", "Pod"]);
        let key = |namespace: Option<&str>, api_version: &str| Key {
            api_version: api_version.to_owned(),
            kind: "Pod".to_owned(),
            namespace: namespace.map(str::to_owned),
            name: "a".to_owned(),
        };
        assert_eq!(path(&key(Some("n"), "v1"), &found["Pod"]), "/api/v1/namespaces/n/pods/a");
        assert_eq!(path(&key(None, "x/v1"), &found["Node"]), "/apis/x/v1/nodes/a");
    }
}
