//! JSON schemas as [`Shape`]s: those of `CustomResourceDefinition`s, and a chart's `values.schema.json`.
//!
//! Read are types, fields, required ones, lists of allowed values and references within the document. What else a schema can
//! ask for (patterns, ranges, one of several forms) is left to the API server and to Helm: it never makes a finding here.

use serde_json::Value;

use super::shape::{Fields, Shape};

/// Deepest nesting that is read; a reference may lead back to itself.
const DEPTH: usize = 40;

/// How a schema is meant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schema<'a> {
    /// The document, in which references are looked up.
    document: &'a Value,
    /// Whether fields that are not named are mistakes, as the API server has it with `fieldValidation=Strict`.
    strict: bool,
}

impl<'a> Schema<'a> {
    /// A schema of a `CustomResourceDefinition`: what it does not name is thrown away.
    pub(super) fn of_resource(document: &'a Value) -> Self {
        Self { document, strict: true }
    }

    /// A schema of values: what it does not name is allowed, unless it says otherwise.
    pub(super) fn of_values(document: &'a Value) -> Self {
        Self { document, strict: false }
    }

    /// The shape of what the schema describes.
    pub(super) fn shape(self) -> Shape {
        self.part(self.document, 0)
    }

    fn part(self, schema: &Value, depth: usize) -> Shape {
        if depth > DEPTH {
            return Shape::Any;
        }
        let given = |name: &str| schema.get(name).filter(|value| !value.is_null());
        if let Some(target) = given("$ref") {
            let found =
                target.as_str().and_then(|path| path.strip_prefix('#')).and_then(|path| self.document.pointer(path));
            return found.map_or(Shape::Any, |found| self.part(found, depth + 1));
        }
        if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
            return Shape::NumberOrText;
        }
        if let Some(all) = given("enum").and_then(Value::as_array) {
            return Shape::OneOf(all.clone());
        }
        let kind = match given("type") {
            Some(Value::String(kind)) => Some(kind.as_str()),
            Some(Value::Array(kinds)) => {
                let mut kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
                match (kinds.next(), kinds.next()) {
                    (Some(only), None) => Some(only),
                    _ => return Shape::Any,
                }
            }
            _ if given("properties").is_some() => Some("object"),
            _ => None,
        };
        match kind {
            Some("string") => Shape::Text,
            Some("integer") => Shape::Whole,
            Some("number") => Shape::Number,
            Some("boolean") => Shape::Boolean,
            Some("array") => {
                Shape::List(Box::new(given("items").map_or(Shape::Any, |items| self.part(items, depth + 1))))
            }
            Some("object") => self.object(schema, depth),
            _ => Shape::Any,
        }
    }

    fn object(self, schema: &Value, depth: usize) -> Shape {
        let is_true = |name: &str| schema.get(name) == Some(&Value::Bool(true));
        let keeps = is_true("x-kubernetes-preserve-unknown-fields") || is_true("x-kubernetes-embedded-resource");
        let properties = schema.get("properties").and_then(Value::as_object);
        let of_others = match schema.get("additionalProperties") {
            _ if keeps => Some(Shape::Any),
            Some(Value::Bool(false)) => None,
            Some(inner @ Value::Object(_)) => Some(self.part(inner, depth + 1)),
            Some(_) => Some(Shape::Any),
            // A set of fields without any says nothing about them.
            None if properties.is_none() || schema.get("patternProperties").is_some() => Some(Shape::Any),
            None => (!self.strict).then_some(Shape::Any),
        };
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        Shape::Fields(Fields {
            fields: properties
                .into_iter()
                .flatten()
                .map(|(name, inner)| (name.clone(), self.part(inner, depth + 1)))
                .collect(),
            required: required.filter_map(Value::as_str).map(str::to_owned).collect(),
            others: of_others.map(Box::new),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::{Types, misfits};
    use super::*;
    use serde_json::json;

    fn said(schema: Schema<'_>, value: &Value) -> Vec<String> {
        let found = misfits(value, &schema.shape(), &Types::new());
        found.into_iter().map(|m| format!("{}: {}", m.path, m.what)).collect()
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let schema = json!({
            "type": "object", "required": ["a"],
            "properties": {
                "a": { "type": "integer" },
                "b": { "type": ["string", "null"] },
                "c": { "enum": ["One", "Two"] },
                "d": { "type": "array", "items": { "$ref": "#/$defs/d" } },
                "e": { "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": { "f": { "type": "boolean" } } },
                "g": { "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] },
                "h": { "type": ["string", "integer"] },
                "i": { "type": "object", "additionalProperties": { "type": "string" } },
                "j": { "type": "object" },
            },
            "$defs": { "d": { "properties": { "x": { "type": "string" }, "d": { "$ref": "#/$defs/d" } }, "additionalProperties": false } },
        });
        let strict = Schema::of_resource(&schema);
        let good = json!({
            "a": 1, "b": null, "c": "Two", "d": [{ "x": "y", "d": { "x": "z" } }], "e": { "f": true, "n": 1 }, "g": "80", "h": 1,
            "i": { "k": "v" }, "j": { "n": [1] },
        });
        assert!(said(strict, &good).is_empty() && said(Schema::of_values(&schema), &good).is_empty());
        for (value, what) in [
            (json!({}), ": the field `a` is missing"),
            (json!({ "a": 1.5 }), "a: a whole number is expected here, and not a number"),
            (json!({ "a": 1, "b": 1 }), "b: a text is expected here, and not a number"),
            (json!({ "a": 1, "c": "Too" }), "c: `Too` is not possible here"),
            (json!({ "a": 1, "d": [{ "d": { "y": 1 } }] }), "d[0].d.y: there is no such field"),
            (json!({ "a": 1, "e": { "f": "no" } }), "e.f: true or false is expected here, and not a text"),
            (json!({ "a": 1, "g": true }), "g: a number or a text is expected here, and not true or false"),
            (json!({ "a": 1, "i": { "k": 1 } }), "i.k: a text is expected here, and not a number"),
            (json!({ "a": 1, "z": 1 }), "z: there is no such field"),
        ] {
            assert_eq!(said(strict, &value), [what], "{value}");
        }
        assert!(said(Schema::of_values(&schema), &json!({ "a": 1, "z": 1 })).is_empty());
    }
}
