//! The names of other objects in an object, found by the names of fields, which all of Kubernetes and nearly all charts
//! share.

use serde_json::{Map, Value};

use super::names::ISSUERS;
use crate::manifests::located::below;

/// A name of another object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) kind: String,
    /// As written beside it; `None` for that of the object.
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) path: String,
}

/// Fields whose text is the name of an object.
const TEXTS: [(&str, &str); 13] = [
    ("secretName", "Secret"),
    ("existingSecret", "Secret"),
    ("existingSecretName", "Secret"),
    ("configMap", "ConfigMap"),
    ("existingConfigMap", "ConfigMap"),
    ("claimName", "PersistentVolumeClaim"),
    ("existingClaim", "PersistentVolumeClaim"),
    ("storageClassName", "StorageClass"),
    ("storageClass", "StorageClass"),
    ("ingressClassName", "IngressClass"),
    ("priorityClassName", "PriorityClass"),
    ("serviceAccountName", "ServiceAccount"),
    ("serviceAccount", "ServiceAccount"),
];

/// Fields with a `name` (and perhaps a `namespace`) of an object, or a list of such.
const REFERENCES: [(&str, &str); 7] = [
    ("secretKeyRef", "Secret"),
    ("secretRef", "Secret"),
    ("secret", "Secret"),
    ("configMapKeyRef", "ConfigMap"),
    ("configMapRef", "ConfigMap"),
    ("configMap", "ConfigMap"),
    ("imagePullSecrets", "Secret"),
];

/// All names of others below a value.
pub(super) fn find(value: &Value) -> Vec<Use> {
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

fn walk(value: &Value, path: &str, found: &mut Vec<Use>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let at = below(path, name);
                of_field(name, inner, fields, &at, found);
                walk(inner, &at, found);
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                walk(item, &format!("{path}[{n}]"), found);
            }
        }
        _ => {}
    }
}

fn of_field(name: &str, value: &Value, beside: &Map<String, Value>, at: &str, found: &mut Vec<Use>) {
    let mut add = |kind: &str, namespace: Option<&Value>, name: &str, path: String| {
        // An expression of a template of others, or a place for one.
        if !name.is_empty() && name != "-" && !name.contains(['$', '{', '%']) {
            let namespace = namespace.and_then(Value::as_str).map(str::to_owned);
            found.push(Use { kind: kind.to_owned(), namespace, name: name.to_owned(), path });
        }
    };
    let is_optional = |fields: &Map<String, Value>| fields.get("optional") == Some(&Value::Bool(true));
    if let Value::String(text) = value {
        if let Some((_, kind)) = TEXTS.iter().find(|(field, _)| *field == name).filter(|_| !is_optional(beside)) {
            add(kind, None, text, at.to_owned());
        }
        if let Some((_, kind)) = ISSUERS.iter().find(|(annotation, _)| *annotation == name) {
            add(kind, None, text, at.to_owned());
        }
    }
    let items: Vec<(String, &Map<String, Value>)> = match value {
        Value::Object(fields) => vec![(at.to_owned(), fields)],
        Value::Array(items) => {
            items.iter().enumerate().filter_map(|(n, item)| Some((format!("{at}[{n}]"), item.as_object()?))).collect()
        }
        _ => Vec::new(),
    };
    for (at, fields) in items {
        let Some(text) = fields.get("name").and_then(Value::as_str).filter(|_| !is_optional(fields)) else { continue };
        let path = below(&at, "name");
        let namespace = fields.get("namespace");
        if let Some((_, kind)) = REFERENCES.iter().find(|(field, _)| *field == name && is_reference(fields)) {
            add(kind, namespace, text, path);
        } else if name == "issuerRef" && fields.get("group").is_none_or(|group| group == "cert-manager.io") {
            add(fields.get("kind").and_then(Value::as_str).unwrap_or("Issuer"), None, text, path);
        } else if name == "service"
            && (fields.contains_key("port") || fields.contains_key("path") || namespace.is_some())
        {
            // Of an Ingress, a webhook, an API that another server has.
            add("Service", namespace, text, path);
        } else if name == "subjects" && fields.get("kind").and_then(Value::as_str) == Some("ServiceAccount") {
            add("ServiceAccount", namespace, text, path);
        }
    }
}

/// Charts also have settings of this name for what they make.
fn is_reference(fields: &Map<String, Value>) -> bool {
    const OF_REFERENCES: [&str; 7] = ["name", "namespace", "key", "optional", "items", "defaultMode", "kind"];
    fields.keys().all(|name| OF_REFERENCES.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_found_wherever_they_are() {
        let pod = json!({ "spec": {
            "serviceAccountName": "sa",
            "imagePullSecrets": [{ "name": "pull" }],
            "containers": [{ "env": [
                { "valueFrom": { "secretKeyRef": { "name": "s1", "key": "k" } } },
                { "valueFrom": { "secretKeyRef": { "name": "no", "key": "k", "optional": true } } },
            ], "envFrom": [{ "configMapRef": { "name": "c1" } }] }],
            "volumes": [
                { "secret": { "secretName": "s2" } }, { "secret": { "secretName": "no", "optional": true } },
                { "configMap": { "name": "c2" } }, { "persistentVolumeClaim": { "claimName": "p" } },
                { "projected": { "sources": [{ "secret": { "name": "s3" } }] } },
            ],
        }});
        let found: Vec<String> = find(&pod).into_iter().map(|u| format!("{} {}", u.kind, u.name)).collect();
        assert_eq!(
            found,
            [
                "Secret s1",
                "ConfigMap c1",
                "Secret pull",
                "ServiceAccount sa",
                "Secret s2",
                "ConfigMap c2",
                "PersistentVolumeClaim p",
                "Secret s3",
            ]
        );
    }

    #[test]
    fn others_have_their_namespace_and_kind() {
        for (value, expected) in [
            (json!({ "issuerRef": { "name": "i" } }), ("Issuer", None, "i", "issuerRef.name")),
            (
                json!({ "issuerRef": { "name": "i", "kind": "ClusterIssuer" } }),
                ("ClusterIssuer", None, "i", "issuerRef.name"),
            ),
            (
                json!({ "annotations": { "cert-manager.io/issuer": "i" } }),
                ("Issuer", None, "i", "annotations.cert-manager.io/issuer"),
            ),
            (
                json!({ "clientConfig": { "service": { "name": "s", "namespace": "n", "path": "/" } } }),
                ("Service", Some("n"), "s", "clientConfig.service.name"),
            ),
            (
                json!({ "backend": { "service": { "name": "s", "port": { "number": 80 } } } }),
                ("Service", None, "s", "backend.service.name"),
            ),
            (
                json!({ "subjects": [{ "kind": "ServiceAccount", "name": "a", "namespace": "n" }] }),
                ("ServiceAccount", Some("n"), "a", "subjects[0].name"),
            ),
            (json!({ "ingressClassName": "nginx" }), ("IngressClass", None, "nginx", "ingressClassName")),
        ] {
            let found = find(&value);
            let [one] = &found[..] else { panic!("{value}: {found:?}") };
            assert_eq!((one.kind.as_str(), one.namespace.as_deref(), one.name.as_str(), one.path.as_str()), expected);
        }
        for none in [
            json!({ "storageClass": "" }),
            json!({ "secretName": "${NAME}" }),
            json!({ "secret": { "key": "k" } }),
            json!({ "serviceAccount": { "create": true, "name": "x" } }),
            json!({ "issuerRef": { "name": "i", "group": "other.example" } }),
            json!({ "secret": { "name": "x", "create": true } }),
        ] {
            assert_eq!(find(&none), [], "{none}");
        }
    }
}
