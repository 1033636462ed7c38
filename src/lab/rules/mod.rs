//! What the values of a `lab.toml` must be, beyond their types. Works on the parsed text with its places, also where
//! names or types are wrong, so that all mistakes are seen at once; what has the wrong type is passed over here.

mod addresses;
mod k3s;
mod keys;
mod memory;
mod networks;
mod nodes;
mod password;
mod settings;
mod stack;
mod storage;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use crate::parts::Parts;

pub use k3s::{K3sFile, k3s_settings};
pub use networks::PODS;
pub use settings::is_package;
pub(super) use settings::timezones;

/// What the rules found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Mistakes.
    pub(super) problems: Vec<Problem>,
    /// Allowed, but hardly meant.
    pub(super) warnings: Vec<Problem>,
    /// Component → the values in its `values_file`.
    pub(super) values: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
}

impl Found {
    fn mistake(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Problem {
        push(&mut self.problems, Problem::new(span, message))
    }

    fn warning(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Problem {
        push(&mut self.warnings, Problem::new(span, message))
    }

    /// A mistake if that is certain, otherwise a warning.
    fn mistake_if(&mut self, is_certain: bool, span: Range<usize>, message: impl Into<String>) -> &mut Problem {
        if is_certain { self.mistake(span, message) } else { self.warning(span, message) }
    }
}

fn push(list: &mut Vec<Problem>, problem: Problem) -> &mut Problem {
    let place = list.len();
    list.push(problem);
    &mut list[place]
}

/// Applies all rules. `folder` is where key files are looked for, `parts` what boards and roles there are.
pub(super) fn check(root: &DeTable<'_>, folder: Option<&Path>, parts: &Parts, found: &mut Found) {
    settings::check(root, found);
    password::check(root, found);
    keys::check(root, folder, found);
    k3s::check(root, parts, found);
    nodes::check(root, parts, found);
    let fixed = addresses::check(root, found);
    storage::check(root, &fixed, found);
    networks::check(root, &fixed, found);
    memory::check(root, parts, found);
    stack::check(root, folder, parts, found);
}

/// A text with its place, quotes included.
struct Text<'t> {
    value: &'t str,
    span: Range<usize>,
}

fn text<'t>(table: &'t DeTable<'t>, key: &str) -> Option<Text<'t>> {
    let value = table.get(key)?;
    Some(Text { value: value.get_ref().as_str()?, span: value.span() })
}

/// The texts of a list, or of one entry without brackets.
fn entries<'t>(value: &'t Spanned<DeValue<'t>>) -> Vec<Text<'t>> {
    let items = match value.get_ref() {
        DeValue::Array(items) => items.iter().collect(),
        _ => vec![value],
    };
    items.into_iter().filter_map(|v| Some(Text { value: v.get_ref().as_str()?, span: v.span() })).collect()
}

fn texts<'t>(table: &'t DeTable<'t>, key: &str) -> Vec<Text<'t>> {
    let items = table.get(key).and_then(|v| v.get_ref().as_array());
    let texts = items.into_iter().flat_map(|items| items.iter());
    texts.filter_map(|v| Some(Text { value: v.get_ref().as_str()?, span: v.span() })).collect()
}

fn section<'t>(table: &'t DeTable<'t>, key: &str) -> Option<&'t DeTable<'t>> {
    table.get(key)?.get_ref().as_table()
}

fn sections<'t>(table: &'t DeTable<'t>, key: &str) -> Vec<&'t DeTable<'t>> {
    let items = table.get(key).and_then(|v| v.get_ref().as_array());
    let sections = items.into_iter().flat_map(|items| items.iter());
    sections.filter_map(|v| v.get_ref().as_table()).collect()
}

/// Where the key itself stands.
fn key_span(table: &DeTable<'_>, key: &str) -> Option<Range<usize>> {
    table.get_key_value(key).map(|(key, _)| key.span())
}
