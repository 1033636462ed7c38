//! Values of charts, key by key: Helm ignores one that the chart does not know without a word.
//!
//! A chart's `values.yaml` says what it knows. Where its default is an empty map or nothing, it leaves the keys below to the
//! user. What templates read beyond that is in the front matter of the component (`reads`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Unchecked;
use super::finding::Finding;
use super::helm::{self, Values};
use super::schema::Schema;
use super::shape::misfits;
use super::subject::{Deployed, Owner, Subject};
use crate::charts::ChartContent;
use crate::manifests::located::below;
use crate::stack::Chosen;
use labimg_tree::suggest::{did_you_mean, nearest_of_alike};

/// What charts do not know, or want otherwise. What cannot be checked goes to `unchecked`.
pub(super) fn check(subject: &Subject<'_>, charts: &super::Contents, unchecked: &mut Unchecked) -> Vec<Finding> {
    let mut found = Vec::new();
    for deployed in &subject.objects {
        let Some(values) = helm::values(deployed) else { continue };
        if values.value.as_object().is_none_or(Map::is_empty) {
            continue;
        }
        let chosen = subject.chosen(deployed);
        let reference = chosen.map_or_else(|| helm::reference(deployed), Chosen::chart);
        // A chart without values of its own says nothing of what it reads.
        let chart =
            reference.as_ref().and_then(|reference| charts.get(reference)).filter(|chart| !chart.values.is_null());
        let Some(chart) = chart else {
            unchecked
                .values_of
                .insert(reference.map_or_else(|| deployed.object.name.clone(), |reference| reference.name));
            continue;
        };
        found.extend(of_object(deployed, &values, chart, chosen));
    }
    found
}

fn of_object(deployed: &Deployed, values: &Values, chart: &ChartContent, chosen: Option<&Chosen>) -> Vec<Finding> {
    let mut found = Vec::new();
    let known = known(chart);
    let reads = chosen.and_then(|chosen| Some(chosen.component.front.chart.as_ref()?.reads.as_slice()));
    let reads = reads.unwrap_or_default();
    for Unknown { path, near } in unknown(&values.value, &known, reads, "") {
        let finding = values.finding(deployed, &path, "the chart does not know this value");
        found.push(match chosen.filter(|chosen| is_of_user(chosen, &path)) {
            // A chart may read more than it says. That the user knows it does not make it wrong.
            Some(chosen) => Finding { owner: Owner::Manifest, ..finding }.help(Some(origin(chosen, &near))),
            None => finding.help(did_you_mean(&near)),
        });
    }
    if let Some(schema) = &chart.schema {
        let mut all = chart.values.clone();
        merge(&mut all, &values.value);
        for misfit in misfits(&all, &Schema::of_values(schema).shape(), &BTreeMap::new()) {
            // The chart's own values are its makers' affair.
            let is_ours = misfit.path.is_empty() || has(&values.value, &misfit.path);
            let is_told = found.iter().any(|told: &Finding| told.path == misfit.path);
            if is_ours && !is_told {
                found.push(values.finding(deployed, &misfit.path, misfit.what).help(misfit.help));
            }
        }
    }
    found
}

/// Whether the user wrote the value, or chose another version of the chart.
fn is_of_user(chosen: &Chosen, path: &str) -> bool {
    let Chosen { component, settings, .. } = chosen;
    let ours = component.front.chart.as_ref().and_then(|chart| chart.version.as_ref());
    let is_there = |values: &BTreeMap<String, Value>| {
        let fields = values.iter().map(|(name, value)| (name.clone(), value.clone()));
        has(&Value::Object(fields.collect()), path)
    };
    settings.version.as_ref().is_some_and(|version| Some(version) != ours)
        || is_there(&settings.values)
        || is_there(&settings.from_file)
}

/// Where the user wrote it, and what it may be meant for.
fn origin(chosen: &Chosen, near: &[String]) -> String {
    let place = format!("see `stack.components.{}` in lab.toml", chosen.name());
    did_you_mean(near).into_iter().chain([place]).collect::<Vec<_>>().join("; ")
}

/// All values that a chart knows: its own, and those of the charts in it.
fn known(chart: &ChartContent) -> Value {
    let mut all = Value::Object(Map::new());
    let mut global = Value::Null;
    for (key, inner) in &chart.subcharts {
        let mut inner = known(inner);
        if let Some(inner) = inner.as_object_mut() {
            merge(&mut global, &inner.get("global").cloned().unwrap_or_default());
            // Charts that others only borrow from have no values.
            if inner.is_empty() {
                inner.insert("enabled".to_owned(), Value::Null);
            }
        }
        merge(&mut all, &Value::from_iter([(key.clone(), inner)]));
    }
    for condition in &chart.conditions {
        let nested =
            condition.rsplit('.').fold(Value::Null, |inner, name| Value::from_iter([(name.to_owned(), inner)]));
        merge(&mut all, &nested);
    }
    if !global.is_null() || !chart.subcharts.is_empty() {
        merge(&mut all, &Value::from_iter([("global".to_owned(), global)]));
    }
    merge(&mut all, &chart.values);
    all
}

/// A value that the chart does not know.
#[derive(Debug, PartialEq)]
struct Unknown {
    path: String,
    /// Those of its values that it may be meant for.
    near: Vec<String>,
}

fn unknown(values: &Value, known: &Value, reads: &[String], at: &str) -> Vec<Unknown> {
    let (Some(values), Some(known)) = (values.as_object(), known.as_object()) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, value) in values {
        let path = below(at, name);
        if is_read(&path, reads) {
            continue;
        }
        match known.get(name) {
            None => {
                let near = nearest_of_alike(name, &known.keys().map(String::as_str).collect::<Vec<_>>());
                found.push(Unknown { path, near });
            }
            Some(default) if default.as_object().is_some_and(|default| !default.is_empty()) => {
                found.extend(unknown(value, default, reads, &path));
            }
            Some(_) => {}
        }
    }
    found
}

/// Whether templates read the value, or all of one above it.
fn is_read(path: &str, reads: &[String]) -> bool {
    reads.iter().any(|read| {
        let stem = read.trim_end_matches(['*', '.']);
        let rest = path.strip_prefix(stem);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Whether something is at a path.
fn has(value: &Value, path: &str) -> bool {
    let mut value = Some(value);
    let mut rest = path;
    while !rest.is_empty() {
        // Keys of maps may have dots: the longest that is there is meant.
        let Some(fields) = value.and_then(Value::as_object) else {
            return value.is_some_and(Value::is_array);
        };
        let name = fields.keys().filter(|name| {
            rest.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        });
        let Some(name) = name.max_by_key(|name| name.len()) else { return false };
        value = fields.get(name);
        rest = rest[name.len()..].trim_start_matches('.');
        if rest.starts_with('[') {
            return true;
        }
    }
    value.is_some()
}

/// The second over the first, maps merged.
fn merge(first: &mut Value, second: &Value) {
    match (first, second) {
        (Value::Object(first), Value::Object(second)) => {
            for (name, value) in second {
                merge(first.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (first, second) if !second.is_null() || first.is_null() => *first = second.clone(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(values: &Value, chart: &ChartContent, reads: &[&str]) -> Vec<String> {
        let reads: Vec<String> = reads.iter().map(|read| (*read).to_owned()).collect();
        unknown(values, &known(chart), &reads, "").into_iter().map(|unknown| unknown.path).collect()
    }

    #[test]
    fn unknown_values_are_named() {
        let chart = ChartContent::of_texts(&[
            ("Chart.yaml", "name: a\ndependencies:\n- {name: sub, alias: other, condition: other.enabled}\n"),
            ("values.yaml", "image: {tag: '1', pull: ''}\nresources: {}\nextra: null\nlist: []\nother: {size: 2}\n"),
            ("charts/sub/Chart.yaml", "name: sub\n"),
            ("charts/sub/values.yaml", "name: x\nport: {http: 80}\nglobal: {zone: a}\n"),
        ]);
        for good in [
            json!({ "image": { "tag": "2" }, "resources": { "any": 1 }, "extra": { "any": 1 }, "list": [{ "any": 1 }] }),
            json!({ "other": { "enabled": true, "name": "y", "size": 3, "port": { "http": 1 } }, "global": { "zone": "b" } }),
        ] {
            assert!(said(&good, &chart, &[]).is_empty(), "{good}");
        }
        for (bad, path, read) in [
            (json!({ "imag": 1 }), "imag", "imag"),
            (json!({ "image": { "tags": 1 } }), "image.tags", "image.tags"),
            (json!({ "other": { "names": 1 } }), "other.names", "other.*"),
            (json!({ "other": { "port": { "https": 1 } } }), "other.port.https", "other.port"),
            (json!({ "global": { "zones": 1 } }), "global.zones", "global.*"),
        ] {
            assert_eq!(said(&bad, &chart, &["imagee", "other.po"]), [path], "{bad}");
            assert!(said(&bad, &chart, &[read]).is_empty(), "{bad}");
        }
    }

    #[test]
    fn places_of_values_are_found() {
        let values = json!({ "a": { "b.c": { "d": 1 } }, "e": [1] });
        for (path, there) in
            [("a.b.c.d", true), ("a.b.c", true), ("a.b", false), ("e[0]", true), ("e", true), ("f", false)]
        {
            assert_eq!(has(&values, path), there, "{path}");
        }
    }
}
