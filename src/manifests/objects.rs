//! The objects in a text, taken apart as k3s does it before it applies them.
//!
//! A document with `items` is a list, whatever its kind: `List`, `SecretList` or another. Its items are applied in its
//! place, and those that have neither `apiVersion` nor `kind` get both from the list (`toObjects` in k3s's
//! `pkg/deploy/controller.go`; `decodeToList` in `k8s.io/apimachinery`, `unstructured/helpers.go`). A list among the
//! items of a list is not opened again.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::wording::{self, Mistake};

/// What a list's kind ends with.
const LIST: &str = "List";

/// One object, with its `spec` read as `S`.
#[derive(Debug)]
pub(super) struct Object<S> {
    /// Its place among the documents.
    pub(super) at: Place,
    /// Its line number, from 1.
    pub(super) line: usize,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) spec: Option<S>,
}

/// The place of an object: its document, and its item when that is a list; both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) document: usize,
    pub(super) item: Option<usize>,
}

impl Place {
    /// The object at this place.
    pub(super) fn of(self, documents: &mut [Value]) -> Option<&mut Value> {
        let document = documents.get_mut(self.document)?;
        match self.item {
            Some(item) => document.get_mut("items")?.get_mut(item),
            None => Some(document),
        }
    }
}

/// The fields of every object (Kubernetes API conventions, "Types (Kinds)").
#[derive(Deserialize)]
struct Document<S> {
    #[serde(rename = "apiVersion")]
    api_version: Option<String>,
    kind: Option<String>,
    metadata: Option<Metadata>,
    spec: Option<S>,
    /// `Some(None)` for an empty field.
    #[serde(default = "no_items", deserialize_with = "some_items")]
    items: Option<Items<S>>,
}

type Items<S> = Option<Vec<Spanned<Document<S>>>>;

#[derive(Deserialize)]
struct Metadata {
    name: Option<String>,
}

fn no_items<S>() -> Option<Items<S>> {
    None
}

fn some_items<'de, S: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Items<S>>, D::Error> {
    Items::deserialize(deserializer).map(Some)
}

/// The objects of a text in YAML or JSON, in order, each with all that Kubernetes requires.
///
/// # Errors
/// What k3s would not apply, with its line.
pub(super) fn read<S: DeserializeOwned>(text: &str) -> Result<Vec<Object<S>>, Mistake> {
    let mut objects = Vec::new();
    for (document, found) in wording::from_yaml::<Spanned<Document<S>>>(text)?.into_iter().enumerate() {
        let line = line(&found);
        let value = found.value;
        let Some(items) = value.items else {
            objects.push(object(value, Place { document, item: None }, line)?);
            continue;
        };
        let Some(kind) = value.kind.filter(|kind| !kind.is_empty()) else { return Err(missing("kind", line)) };
        let of_item = kind.strip_suffix(LIST).unwrap_or(&kind);
        for (item, found) in items.unwrap_or_default().into_iter().enumerate() {
            let line = self::line(&found);
            let mut inner = found.value;
            let is_list = inner.items.is_some() && inner.kind.as_deref().is_some_and(|kind| kind.ends_with(LIST));
            if is_list {
                return Err(Mistake {
                    line,
                    what: "a list inside a list, which k3s does not open".to_owned(),
                    help: Some("move its items into the outer list".to_owned()),
                });
            }
            if inner.kind.is_none() && inner.api_version.is_none() {
                inner.kind = Some(of_item.to_owned());
                inner.api_version.clone_from(&value.api_version);
            }
            objects.push(object(inner, Place { document, item: Some(item) }, line)?);
        }
    }
    Ok(objects)
}

/// The objects of a text as k3s applies them, lists opened.
///
/// # Errors
/// As [`read`].
pub(crate) fn values(text: &str) -> Result<Vec<Value>, Mistake> {
    let objects = read::<serde::de::IgnoredAny>(text)?;
    let mut documents = wording::from_yaml::<Value>(text)?;
    let mut values = Vec::with_capacity(objects.len());
    for object in objects {
        let Some(fields) = object.at.of(&mut documents).map(Value::take) else { continue };
        let Value::Object(mut fields) = fields else { continue };
        // The item of a list has both from the list.
        fields.entry("apiVersion").or_insert_with(|| object.api_version.into());
        fields.entry("kind").or_insert_with(|| object.kind.into());
        values.push(fields.into());
    }
    Ok(values)
}

fn object<S>(document: Document<S>, at: Place, line: usize) -> Result<Object<S>, Mistake> {
    let Document { api_version, kind, metadata, spec, .. } = document;
    let given =
        |field: &str, text: Option<String>| text.filter(|text| !text.is_empty()).ok_or_else(|| missing(field, line));
    let (api_version, kind) = (given("apiVersion", api_version)?, given("kind", kind)?);
    let name = metadata.and_then(|metadata| metadata.name).unwrap_or_default();
    if name.is_empty() {
        let lacks = if kind == LIST { "items" } else { "metadata.name" };
        return Err(Mistake { line, what: format!("this {kind} has no {lacks}"), help: None });
    }
    Ok(Object { at, line, api_version, kind, spec })
}

fn missing(field: &str, line: usize) -> Mistake {
    Mistake { line, what: format!("the field `{field}` is missing or empty"), help: None }
}

fn line<T>(found: &Spanned<T>) -> usize {
    usize::try_from(found.referenced.line()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTS: &str = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: { name: a }\n\
        - { apiVersion: v1, kind: Namespace, metadata: { name: b } }\n---\napiVersion: v1\nkind: SecretList\nitems:\n\
        - metadata: { name: c }\n  spec: 1\n---\napiVersion: example.org/v1\nkind: Odd\nitems: [{ metadata: { name: d } }]\n";

    fn kinds(text: &str) -> Vec<String> {
        let objects = read::<Value>(text).unwrap();
        objects.into_iter().map(|o| format!("{} {} {}", o.line, o.api_version, o.kind)).collect()
    }

    #[test]
    fn lists_of_every_kind_are_opened() {
        assert_eq!(kinds(LISTS), ["4 v1 Secret", "7 v1 Namespace", "12 v1 Secret", "17 example.org/v1 Odd"]);
        assert_eq!(
            kinds(
                "{\"kind\":\"List\",\"items\":[{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\"}}]}"
            ),
            ["1 v1 Pod"]
        );
        for empty in ["items: []", "items:", "items: null"] {
            assert!(kinds(&format!("apiVersion: v1\nkind: List\n{empty}\n")).is_empty(), "{empty}");
        }
        // A kind may end in `List` without being one.
        assert_eq!(kinds("apiVersion: x/v1\nkind: BlockList\nmetadata: { name: x }\n"), ["1 x/v1 BlockList"]);
    }

    #[test]
    fn objects_are_whole_as_k3s_applies_them() {
        let values = values(LISTS).unwrap();
        let shown: Vec<String> = values.iter().map(|v| format!("{} {}", v["kind"], v["metadata"]["name"])).collect();
        assert_eq!(shown, [r#""Secret" "a""#, r#""Namespace" "b""#, r#""Secret" "c""#, r#""Odd" "d""#]);
        assert_eq!(values[2]["spec"], 1);
    }

    #[test]
    fn the_place_of_an_object_leads_to_it() {
        let mut documents = wording::from_yaml::<Value>(LISTS).unwrap();
        for (object, name) in read::<Value>(LISTS).unwrap().iter().zip(["a", "b", "c", "d"]) {
            assert_eq!(object.at.of(&mut documents).unwrap()["metadata"]["name"], name);
        }
    }

    #[test]
    fn what_k3s_would_not_apply_is_told_with_its_line() {
        let one = "  - { apiVersion: v1, kind: Namespace, metadata: { name: x } }\n";
        for (text, line, needle) in [
            (
                format!("kind: List\napiVersion: v1\nitems:\n- kind: List\n  apiVersion: v1\n  items:\n{one}"),
                4,
                "a list inside a list",
            ),
            (format!("apiVersion: v1\nitems:\n{one}"), 1, "`kind`"),
            ("apiVersion: v1\nkind: List\nitems:\n- metadata: { name: x }\n".to_owned(), 4, "`kind`"),
            ("kind: PodList\nitems:\n- metadata: { name: x }\n".to_owned(), 3, "`apiVersion`"),
            ("apiVersion: v1\nkind: PodList\nitems:\n- spec: {}\n".to_owned(), 4, "this Pod has no metadata.name"),
            ("apiVersion: v1\nkind: List\n".to_owned(), 1, "this List has no items"),
            ("apiVersion: v1\nkind: List\nitems: text\n".to_owned(), 3, "a list is expected here"),
            ("apiVersion: v1\nkind: List\nitems:\n- text\n".to_owned(), 4, "a set of fields"),
        ] {
            let mistake = read::<Value>(&text).unwrap_err();
            assert!(mistake.what.contains(needle) && mistake.line == line, "{text}{mistake:?}");
        }
    }
}
