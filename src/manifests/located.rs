//! The objects of a text as plain values, with the line of every field.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use super::objects::{self, Place};
use crate::wording::{self, Mistake};

/// An object with the place of each of its fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Located {
    /// Group and version, as written in it.
    pub(crate) api_version: String,
    /// Its kind.
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
    /// Its namespace, as written in it.
    pub(crate) namespace: Option<String>,
    /// All of it.
    pub(crate) value: Value,
    /// Its line number, from 1.
    line: usize,
    lines: Lines,
}

/// The line of each value below another one, by its path: `spec.containers[0].name`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Lines(BTreeMap<String, usize>);

impl Located {
    /// The line of the field at a path, or of the nearest one above it.
    pub(crate) fn line(&self, path: &str) -> usize {
        self.lines.at(path).unwrap_or(self.line)
    }

    /// Group and kind, without the version.
    pub(crate) fn group(&self) -> &str {
        self.api_version.rsplit_once('/').map_or("", |(group, _)| group)
    }
}

impl Lines {
    /// The line of the value at a path, or of the nearest one above it.
    pub(crate) fn at(&self, path: &str) -> Option<usize> {
        let mut path = path;
        loop {
            if let Some(line) = self.0.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

/// The path of a field below another.
pub(crate) fn below(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// The objects of a text, lists opened as k3s does it.
///
/// # Errors
/// What k3s would not apply, with its line.
pub(crate) fn objects(text: &str) -> Result<Vec<Located>, Mistake> {
    let documents = wording::from_yaml::<Spanned<Node>>(text)?;
    let found = objects::read::<serde::de::IgnoredAny>(text)?;
    Ok(found.into_iter().filter_map(|object| located(&object, &documents)).collect())
}

fn located(object: &objects::Object<serde::de::IgnoredAny>, documents: &[Spanned<Node>]) -> Option<Located> {
    let node = object.at.find(documents)?;
    let mut lines = BTreeMap::new();
    let mut value = node.value.plain("", &mut lines);
    // An item of a list may have both from its list.
    if let Value::Object(fields) = &mut value {
        fields.entry("apiVersion").or_insert_with(|| object.api_version.as_str().into());
        fields.entry("kind").or_insert_with(|| object.kind.as_str().into());
    }
    let metadata = |field: &str| Some(value.get("metadata")?.get(field)?.as_str()?.to_owned());
    Some(Located {
        api_version: object.api_version.clone(),
        kind: object.kind.clone(),
        name: metadata("name")?,
        namespace: metadata("namespace").filter(|namespace| !namespace.is_empty()),
        line: object.line,
        lines: Lines(lines),
        value,
    })
}

impl Place {
    /// The document or item at this place.
    fn find(self, documents: &[Spanned<Node>]) -> Option<&Spanned<Node>> {
        let document = documents.get(self.document)?;
        match (self.item, &document.value) {
            (None, _) => Some(document),
            (Some(item), Node::Map(fields)) => match &fields.iter().find(|(name, _)| name == "items")?.1.value {
                Node::List(items) => items.get(item),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A single document of YAML, with its lines.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn document(text: &str) -> Result<(Value, Lines), Mistake> {
    let mut lines = BTreeMap::new();
    let documents = wording::from_yaml::<Spanned<Node>>(text)?;
    let value = documents.first().map(|document| document.value.plain("", &mut lines)).unwrap_or_default();
    Ok((value, Lines(lines)))
}

/// Any value, whose parts have their places.
#[derive(Debug)]
enum Node {
    Map(Vec<(String, Spanned<Node>)>),
    List(Vec<Spanned<Node>>),
    Plain(Value),
}

impl Node {
    /// As a plain value; the lines of its parts go to `lines`.
    fn plain(&self, path: &str, lines: &mut BTreeMap<String, usize>) -> Value {
        let mut part = |path: String, node: &Spanned<Self>| {
            let value = node.value.plain(&path, lines);
            lines.insert(path, usize::try_from(node.referenced.line()).unwrap_or(1));
            value
        };
        match self {
            Self::Map(fields) => {
                let fields = fields.iter().map(|(name, node)| (name.clone(), part(below(path, name), node)));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            Self::List(items) => {
                Value::Array(items.iter().enumerate().map(|(n, node)| part(format!("{path}[{n}]"), node)).collect())
            }
            Self::Plain(value) => value.clone(),
        }
    }
}

/// A key, which YAML lets be a number or a boolean.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Nodes)
    }
}

struct Nodes;

impl<'de> Visitor<'de> for Nodes {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(Key(name)) = map.next_key()? {
            fields.push((name, map.next_value()?));
        }
        Ok(Node::Map(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Plain(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Plain(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# first\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: { name: a, namespace: ns }\n  \
        data:\n    x:\n    y: |\n      one\n      two\n    1: [true, 2.5, -3]\n---\napiVersion: apps/v1\nkind: Thing\nmetadata:\n  name: b\n\
        spec:\n  - c: d\n    e: &e {f: 1}\n    g: *e\n";

    #[test]
    fn every_field_has_its_line() {
        let [secret, thing] = objects(TEXT).unwrap().try_into().unwrap();
        assert_eq!(
            (secret.kind.as_str(), secret.name.as_str(), secret.namespace.as_deref()),
            ("Secret", "a", Some("ns"))
        );
        assert_eq!((thing.group(), thing.namespace.as_deref()), ("apps", None));
        for (path, line) in [("", 5), ("metadata.name", 7), ("data.y", 11), ("data.1[2]", 13), ("data.z", 9), ("q", 5)]
        {
            assert_eq!(secret.line(path), line, "{path}");
        }
        assert_eq!((thing.line("spec[0].c"), thing.line("spec[0].e.f"), thing.line("spec[0].h")), (20, 21, 20));
    }

    #[test]
    fn values_are_those_that_a_plain_reader_gets() {
        let plain = wording::from_yaml::<Value>(TEXT).unwrap();
        let all = objects(TEXT).unwrap();
        assert_eq!((&all[0].value, &all[1].value), (&plain[0]["items"][0], &plain[1]));
    }
}
