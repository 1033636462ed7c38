//! What a value may look like: types, fields, and which of them must be there.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::manifests::located::below;
use labimg_tree::suggest::{did_you_mean, nearest_of_alike};

/// What a value may look like.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Any,
    Text,
    Whole,
    Number,
    Boolean,
    /// A number or a text, such as a port or an amount of memory.
    NumberOrText,
    /// One of these.
    OneOf(Vec<Value>),
    List(Box<Shape>),
    Map(Box<Shape>),
    Fields(Fields),
    /// The type of this name.
    Named(String),
}

/// A set of fields.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::struct_field_names, reason = "they are fields")]
pub(super) struct Fields {
    pub(super) fields: BTreeMap<String, Shape>,
    pub(super) required: Vec<String>,
    /// What other fields may look like; `None` when there may be no others.
    pub(super) others: Option<Box<Shape>>,
}

/// Types by name.
pub(super) type Types = BTreeMap<String, Fields>;

/// A part of a value that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) path: String,
    pub(super) what: String,
    pub(super) help: Option<String>,
}

/// All parts of a value that do not fit. `null` fits everywhere: for Kubernetes and for Helm it is the same as nothing.
pub(super) fn misfits(value: &Value, shape: &Shape, types: &Types) -> Vec<Misfit> {
    let mut found = Vec::new();
    Check { types, found: &mut found }.value(value, shape, "");
    found
}

struct Check<'a> {
    types: &'a Types,
    found: &'a mut Vec<Misfit>,
}

impl Check<'_> {
    fn value(&mut self, value: &Value, shape: &Shape, path: &str) {
        let fits = match (shape, value) {
            (_, Value::Null)
            | (Shape::Any, _)
            | (Shape::Text, Value::String(_))
            | (Shape::Number, Value::Number(_))
            | (Shape::Boolean, Value::Bool(_)) => true,
            (Shape::Whole, Value::Number(number)) => number.as_f64().is_none_or(|number| number.fract() == 0.0),
            (Shape::NumberOrText, value) => value.is_string() || value.is_number(),
            (Shape::OneOf(all), value) => all.contains(value),
            (Shape::List(inner), Value::Array(items)) => {
                for (n, item) in items.iter().enumerate() {
                    self.value(item, inner, &format!("{path}[{n}]"));
                }
                true
            }
            (Shape::Map(inner), Value::Object(fields)) => {
                for (name, value) in fields {
                    self.value(value, inner, &below(path, name));
                }
                true
            }
            (Shape::Fields(shape), Value::Object(fields)) => {
                self.fields(fields, shape, path);
                true
            }
            (Shape::Named(name), Value::Object(fields)) => {
                // A type that nobody knows may be anything.
                if let Some(shape) = self.types.get(name) {
                    self.fields(fields, shape, path);
                }
                true
            }
            _ => false,
        };
        if !fits {
            let (what, help) = unlike(value, shape);
            self.found.push(Misfit { path: path.to_owned(), what, help });
        }
    }

    fn fields(&mut self, fields: &serde_json::Map<String, Value>, shape: &Fields, path: &str) {
        for (name, value) in fields {
            match (shape.fields.get(name), &shape.others) {
                (Some(inner), _) => self.value(value, inner, &below(path, name)),
                (None, Some(others)) => self.value(value, others, &below(path, name)),
                (None, None) => {
                    let near = nearest_of_alike(name, &shape.fields.keys().map(String::as_str).collect::<Vec<_>>());
                    let what = "there is no such field".to_owned();
                    self.found.push(Misfit { path: below(path, name), what, help: did_you_mean(&near) });
                }
            }
        }
        for name in shape.required.iter().filter(|name| fields.get(*name).is_none_or(Value::is_null)) {
            let what = format!("the field `{name}` is missing");
            self.found.push(Misfit { path: path.to_owned(), what, help: None });
        }
    }
}

/// Why a value does not fit, and what to do.
fn unlike(value: &Value, shape: &Shape) -> (String, Option<String>) {
    if let Shape::OneOf(all) = shape {
        let names: Vec<String> = all.iter().map(plain).collect();
        let near = nearest_of_alike(&plain(value), &names.iter().map(String::as_str).collect::<Vec<_>>());
        let help = did_you_mean(&near).unwrap_or_else(|| format!("one of: {}", names.join(", ")));
        return (format!("`{}` is not possible here", plain(value)), Some(help));
    }
    let expected = match shape {
        Shape::Text => "a text",
        Shape::Whole => "a whole number",
        Shape::Number => "a number",
        Shape::Boolean => "true or false",
        Shape::NumberOrText => "a number or a text",
        Shape::List(_) => "a list",
        Shape::Map(_) | Shape::Fields(_) | Shape::Named(_) => "a set of fields (`name: value`)",
        Shape::Any | Shape::OneOf(_) => "something else",
    };
    let found = match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a set of fields",
    };
    let quotes = matches!(shape, Shape::Text) && (value.is_number() || value.is_boolean());
    let help = quotes.then(|| format!("write it in quotes: \"{}\"", plain(value)));
    (format!("{expected} is expected here, and not {found}"), help)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
