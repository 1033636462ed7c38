//! Renders the built-in manifests for one cluster: templates with values.

use std::collections::BTreeMap;

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, context};
use serde::Serialize;

use super::{Cluster, EXPORT};
use crate::charts::ChartRef;
use crate::k3s::yaml;
use crate::lab::Lab;
use crate::manifests::{Builtin, ManifestError, Need, SERVED, builtins, check};

/// Name of a cluster without a lab.
const CLUSTER: &str = "lab";

/// The default domain in `lab.toml`.
pub(super) const DOMAIN: &str = "lab.home.arpa";

/// The manifests for the cluster of a lab.
pub(super) fn of(lab: Option<&Lab>) -> Result<Vec<Builtin>, ManifestError> {
    let storage = lab.is_none_or(|lab| lab.storage.enabled);
    let mut all = builtins()?;
    all.retain(|builtin| {
        builtin.needs.iter().all(|need| match need {
            Need::Storage => storage,
        })
    });
    Ok(all)
}

/// The files for this cluster: name → text.
pub(super) fn render(cluster: &Cluster<'_>) -> Result<BTreeMap<String, String>, ManifestError> {
    let values = values(cluster)?;
    let environment = environment();
    let mut files = BTreeMap::new();
    for builtin in of(cluster.lab)? {
        let bad = |source: Box<dyn std::error::Error + Send + Sync>| ManifestError::Builtin {
            file: builtin.file.clone(),
            what: "its template makes no manifest".to_owned(),
            source: Some(source),
        };
        let here = builtin.chart.as_ref().is_some_and(|wanted| cluster.charts.iter().any(|(chart, _)| chart == wanted));
        let chart = builtin.chart.as_ref().map(|chart| {
            let address = here.then(|| format!("{SERVED}/{}", chart.file()));
            let ChartRef { name, version, repository } = chart;
            context! { name, version, repository, address }
        });
        let images: Vec<Value> = builtin
            .images
            .iter()
            .map(|image| {
                let (repository, tag) = image.name_and_version();
                context! { repository, tag }
            })
            .collect();
        let values = context! { chart, images, ..values.clone() };
        let text = environment.render_named_str(&builtin.file, builtin.template, values);
        // The template engine removes the last newline.
        let text = text.map_err(|e| bad(e.into()))? + "\n";
        check::objects(&text).map_err(|e| bad(e.into()))?;
        files.insert(builtin.file, text);
    }
    Ok(files)
}

fn bad_values(source: Box<dyn std::error::Error + Send + Sync>) -> ManifestError {
    ManifestError::Builtin {
        file: "*".to_owned(),
        what: "the nodes cannot be written as JSON".to_owned(),
        source: Some(source),
    }
}

/// The values for templates.
fn values(cluster: &Cluster<'_>) -> Result<Value, ManifestError> {
    #[derive(Serialize)]
    struct Node<'a> {
        name: &'a str,
        role: &'a str,
        board: &'a str,
    }
    let lab = cluster.lab;
    let nodes = lab.map_or(&[][..], |lab| lab.nodes.as_slice());
    let nodes: Vec<Node<'_>> = nodes.iter().map(|n| Node { name: &n.name, role: &n.role, board: &n.board }).collect();
    let nodes = serde_json::to_string(&nodes).map_err(|e| bad_values(e.into()))?;
    Ok(Value::from_pairs([
        ("cluster", lab.map_or(CLUSTER, |lab| &lab.name)),
        ("domain", lab.map_or(DOMAIN, |lab| &lab.domain)),
        // The master's host name.
        ("master", lab.and_then(Lab::master).map_or(cluster.hostname, |node| &node.name)),
        ("export", EXPORT),
        ("labimg", env!("CARGO_PKG_VERSION")),
        ("k3s", cluster.k3s),
        // JSON, in the order of lab.toml.
        ("nodes", &nodes),
    ]))
}

/// Templates with safe values: each is written as YAML, and a missing one is an error.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(|out, _state, value| {
        if value.is_undefined() {
            return Err(Error::new(ErrorKind::UndefinedError, "a value that labimg does not give"));
        }
        let value = serde_json::to_value(value)
            .map_err(|e| Error::new(ErrorKind::BadSerialization, "no JSON value").with_source(e))?;
        out.write_str(&yaml::inline(&value)).map_err(Error::from)
    });
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_break_out_and_missing_ones_are_errors() {
        let environment = environment();
        let render = |template: &str, value: &str| {
            environment.render_named_str("x", template, minijinja::context! { v => value })
        };
        assert_eq!(render("a: {{ v ~ '.local' }}\n", "x\"\n- y").unwrap(), "a: \"x\\\"\\n- y.local\"");
        assert!(render("a: {{ w }}", "x").is_err());
    }

    #[test]
    fn defaults_are_those_of_an_empty_file() {
        let lab: Lab = toml::from_str("name = 'x'").unwrap();
        assert_eq!(lab.domain, DOMAIN);
    }
}
