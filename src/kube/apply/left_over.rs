//! Fields that k3s set from a file of the master, and that the lab no longer has.
//!
//! Server-side apply only takes away fields that it gave itself. What k3s's deploy controller gave is not among them. It
//! keeps what it applied in an annotation (`objectset.rio.cattle.io/applied`: JSON, or gzip in base64 without padding; texts
//! are cut after 64 characters, names are whole), which tells what to take away as well.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};

use super::Object;

/// What k3s applied.
const APPLIED: &str = "objectset.rio.cattle.io/applied";

/// Labels and annotations by which k3s knows an object.
const OBJECT_SET: &str = "objectset.rio.cattle.io/";

/// Largest object that is unpacked, in bytes: etcd holds less.
const LIMIT: u64 = 8 << 20;

/// Fields by which items of a list are known, the usual first.
const NAMES: [&str; 8] = ["name", "containerPort", "port", "mountPath", "devicePath", "ip", "topologyKey", "type"];

/// The places of such fields in `live`, as JSON pointers, in an order in which they can be removed. `wanted` is what the
/// lab has.
#[must_use]
pub fn left_over(live: &Value, wanted: &Value) -> Vec<String> {
    let Some(applied) = applied(live) else { return Vec::new() };
    let mut found = Vec::new();
    walk(Object::new(applied).value(), live, wanted, &mut String::new(), &mut found);
    found
}

/// The object as k3s last applied it.
fn applied(live: &Value) -> Option<Value> {
    let text = live.get("metadata")?.get("annotations")?.get(APPLIED)?.as_str()?;
    if text.starts_with('{') {
        return serde_json::from_str(text).ok();
    }
    let packed = STANDARD_NO_PAD.decode(text).ok()?;
    let mut json = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).take(LIMIT).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

fn walk(applied: &Value, live: &Value, wanted: &Value, path: &mut String, found: &mut Vec<String>) {
    let length = path.len();
    let mut step = |name: &str, applied: &Value, live: &Value, wanted: Option<&Value>| {
        path.push('/');
        path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        match wanted {
            Some(wanted) => walk(applied, live, wanted, path, found),
            None => found.push(path.clone()),
        }
        path.truncate(length);
    };
    match (applied, live, wanted) {
        (Value::Object(applied), Value::Object(live), Value::Object(wanted)) => {
            for (name, applied) in applied.iter().filter(|(name, _)| !name.starts_with(OBJECT_SET)) {
                if let Some(live) = live.get(name) {
                    let wanted = wanted.get(name);
                    // Labels and annotations of k3s and of others stay, even when the lab has none.
                    let map = json!({});
                    let is_map = wanted.is_none() && (name == "labels" || name == "annotations");
                    step(name, applied, live, if is_map { Some(&map) } else { wanted });
                }
            }
        }
        (Value::Array(applied), Value::Array(live), Value::Array(wanted)) => {
            // From the end: the places before stay the same.
            for (index, live) in live.iter().enumerate().rev() {
                if let Some(applied) = applied.iter().find(|item| is_same(item, live)) {
                    step(&index.to_string(), applied, live, wanted.iter().find(|item| is_same(item, live)));
                }
            }
        }
        _ => {}
    }
}

/// Whether two items of a list are the same one.
fn is_same(one: &Value, other: &Value) -> bool {
    let name = NAMES.into_iter().find(|name| one.get(name).is_some() && other.get(name).is_some());
    match name {
        // A port may be there twice.
        Some(name) => {
            let protocol = |item: &Value| item.get("protocol").and_then(Value::as_str).unwrap_or("TCP").to_owned();
            one.get(name) == other.get(name) && protocol(one) == protocol(other)
        }
        None => one == other,
    }
}

/// The object without the fields at these places.
pub fn remove(object: &mut Value, pointers: &[String]) {
    for pointer in pointers {
        let Some((parent, name)) = pointer.rsplit_once('/') else { continue };
        let name = name.replace("~1", "/").replace("~0", "~");
        match object.pointer_mut(parent) {
            Some(Value::Object(fields)) => {
                fields.remove(&name);
            }
            Some(Value::Array(items)) => {
                if let Some(index) = name.parse::<usize>().ok().filter(|index| *index < items.len()) {
                    items.remove(index);
                }
            }
            _ => {}
        }
    }
}

/// The patch that removes them, which fails when the object has changed since.
#[must_use]
pub fn patch(live: &Value, pointers: &[String]) -> Value {
    let version = live.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
    let test = json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version });
    let removals = pointers.iter().map(|pointer| json!({ "op": "remove", "path": pointer }));
    std::iter::once(test).chain(removals).collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn applied_value() -> Value {
        json!({
            "apiVersion": "v1", "kind": "X",
            "metadata": { "name": "a", "labels": { "mine": "1", "objectset.rio.cattle.io/hash": "x" } },
            "data": { "kept": "1", "gone": "1", "a/b": "1" },
            "spec": { "ports": [{ "port": 80, "name": "x" }, { "port": 53 }, { "port": 53, "protocol": "UDP" }], "words": ["a", "b"] },
        })
    }

    fn live(annotation: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "X",
            "metadata": { "name": "a", "resourceVersion": "7", "annotations": { APPLIED: annotation },
                "labels": { "mine": "1", "others": "1", "objectset.rio.cattle.io/hash": "x" } },
            "data": { "kept": "1", "gone": "1", "a/b": "1", "others": "1" },
            "spec": { "type": "ClusterIP", "words": ["a", "b", "c"], "ports": [
                { "port": 80, "protocol": "TCP", "name": "x" }, { "port": 53, "protocol": "TCP" }, { "port": 53, "protocol": "UDP" },
            ] },
        })
    }

    fn packed() -> String {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(applied_value().to_string().as_bytes()).unwrap();
        STANDARD_NO_PAD.encode(writer.finish().unwrap())
    }

    #[test]
    fn what_k3s_gave_and_the_lab_no_longer_has_is_found() {
        let wanted = json!({ "metadata": { "name": "a" }, "data": { "kept": "2" },
            "spec": { "ports": [{ "port": 80 }, { "port": 53 }], "words": ["b"] } });
        for annotation in [packed(), applied_value().to_string()] {
            let live = live(&annotation);
            let found = left_over(&live, &wanted);
            let mut object = live.clone();
            remove(&mut object, &found);
            assert_eq!(object["data"], json!({ "kept": "1", "others": "1" }));
            assert_eq!(object["spec"]["words"], json!(["b", "c"]));
            // What the API added itself stays.
            assert_eq!(object["spec"]["type"], "ClusterIP");
            assert_eq!(
                object["spec"]["ports"],
                json!([{ "port": 80, "protocol": "TCP" }, { "port": 53, "protocol": "TCP" }])
            );
            assert_eq!(object["metadata"]["labels"], json!({ "others": "1", "objectset.rio.cattle.io/hash": "x" }));
            assert_eq!(patch(&live, &found).as_array().unwrap().len(), 1 + found.len());
        }
    }

    #[test]
    fn what_k3s_did_not_apply_is_left_alone() {
        let wanted = json!({ "metadata": { "name": "a" } });
        for annotation in ["", "{", "x", "AAAA"] {
            assert!(left_over(&live(annotation), &wanted).is_empty());
        }
        assert!(left_over(&json!({}), &wanted).is_empty());
        assert!(left_over(&live(&packed()), &applied_value()).is_empty());
    }
}
