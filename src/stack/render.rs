//! The files for k3s: name → text.

use std::collections::BTreeMap;

use minijinja::context;
use minijinja::value::Value;
use serde::Serialize;
use serde_json::json;

use super::{Chosen, Stack, charts, secrets, template, values, yaml};
use crate::charts::ChartRef;
use crate::k3s::config;
use crate::lab::{Lab, LabNode};
use crate::manifests::component::{Component, FIRST, Namespace};
use crate::manifests::{ManifestError, check};
use crate::wording::{self, Mistake};
use labimg_tree::Content;

/// Where the master's disk is mounted and exported.
pub const EXPORT: &str = "/srv/labimg";

/// The file with the namespaces of all components.
pub const NAMESPACES: &str = "labimg-namespaces.yaml";

/// The component whose pods stand beside others.
const MESH: &str = "linkerd";

/// Files by name.
pub type Files = BTreeMap<String, String>;

/// The cluster that manifests are made for.
#[derive(Debug, Clone, Copy)]
pub struct Cluster<'a> {
    /// The lab; one of a single node without a `lab.toml`.
    pub lab: &'a Lab,
    /// Its stack.
    pub stack: &'a Stack,
    /// The k3s of the nodes, such as `v1.36.5+k3s1`.
    pub k3s: &'a str,
    /// Charts that are in the image: manifests then name these archives, else the repositories.
    pub charts: &'a [(ChartRef, Content)],
}

/// The files of the stack for this cluster, without Secrets.
///
/// # Errors
/// A template or values that make no manifest.
pub fn render(cluster: &Cluster<'_>) -> Result<Files, ManifestError> {
    let values = context_of(cluster)?;
    let mut files = Files::new();
    let namespaces = namespaces(cluster.stack)?;
    if !namespaces.is_empty() {
        files.insert(NAMESPACES.to_owned(), yaml::documents("namespaces", &namespaces)?);
    }
    for chosen in cluster.stack.components() {
        of_component(chosen, cluster, &values, &mut files)?;
    }
    Ok(files)
}

fn of_component(chosen: &Chosen, cluster: &Cluster<'_>, all: &Value, files: &mut Files) -> Result<(), ManifestError> {
    let Component { name, shown, front, texts, .. } = &chosen.component;
    // Values of the user can be the reason, too.
    let is_own = chosen.component.is_own || !chosen.settings.values.is_empty() || !chosen.settings.from_file.is_empty();
    let bad = |file: &str, source: Box<dyn std::error::Error + Send + Sync>| ManifestError::Render {
        name: name.clone(),
        what: format!("{shown}{file} makes no manifest"),
        source: Some(source),
        is_own,
    };
    let environment = template::environment(texts);
    let images = front.images.iter().map(|image| {
        let (repository, tag) = image.name_and_version();
        context! { repository, tag }
    });
    let chart = chosen.chart().map(|chart| context! { name => chart.name, version => chart.version });
    let context = context! { chart, images => images.collect::<Vec<_>>(), ..all.clone() };
    let rendered = |file: &str, text: &str| {
        let made = environment.render_named_str(&format!("{shown}{file}"), text, context.clone());
        // The template engine removes the last newline.
        made.map(|made| made + "\n").map_err(|e| bad(file, e.into()))
    };
    if let Some(text) = &chosen.component.values {
        let file = "/values.yaml";
        let ours = wording::from_yaml(&rendered(file, text)?).map_err(|e| bad(file, e.into()))?;
        let ours = match ours.as_slice() {
            [] | [serde_json::Value::Null] => json!({}),
            [ours @ serde_json::Value::Object(_)] => ours.clone(),
            _ => {
                let what = "values of a chart are one set of fields (`name: value`)".to_owned();
                return Err(bad(file, Mistake { line: 1, what, help: None }.into()));
            }
        };
        let settings = &chosen.settings;
        let merged = values::merged(values::merged(ours, &settings.from_file), &settings.values);
        let text = yaml::document(name, &merged)?;
        let is_here = chosen.chart().is_some_and(|wanted| cluster.charts.iter().any(|(chart, _)| *chart == wanted));
        let has_secrets = secrets::wanted(chosen, cluster.stack).next().is_some();
        if let Some(object) = charts::object(chosen, &text, is_here, has_secrets) {
            files.insert(format!("{name}.yaml"), yaml::document(name, &object)?);
        }
    }
    for (stem, text) in &chosen.component.objects {
        let file = if stem.is_empty() { String::new() } else { format!("/{stem}.yaml") };
        let text = rendered(&file, text)?;
        // A component may have nothing for this lab.
        if text.lines().all(|line| line.trim().is_empty() || line.starts_with('#') || line == "---") {
            continue;
        }
        check::objects(&text).map_err(|e| bad(&file, e.into()))?;
        files.insert(chosen.component.file(stem), text);
    }
    Ok(())
}

/// The namespaces of all components, as objects.
fn namespaces(stack: &Stack) -> Result<Vec<serde_json::Value>, ManifestError> {
    let mut all: BTreeMap<&str, Namespace> = BTreeMap::new();
    for chosen in stack.components() {
        for (name, one) in &chosen.component.front.namespaces {
            let joined = all.entry(name).or_default();
            joined.mesh |= one.mesh;
            for (ours, theirs) in [(&mut joined.labels, &one.labels), (&mut joined.annotations, &one.annotations)] {
                let other = theirs.iter().find(|(key, value)| ours.get(*key).is_some_and(|known| known != *value));
                if let Some((key, value)) = other {
                    return Err(ManifestError::Render {
                        name: chosen.name().to_owned(),
                        what: format!(
                            "`{key}` of namespace {name} is `{value}` here, and something else in another component"
                        ),
                        source: None,
                        is_own: stack.components().iter().any(|chosen| chosen.component.is_own),
                    });
                }
                ours.extend(theirs.clone());
            }
        }
    }
    let has_mesh = stack.has(MESH);
    let object = |(name, mut one): (&str, Namespace)| {
        if one.mesh && has_mesh {
            one.labels.insert("labimg.dev/mesh".to_owned(), "required".to_owned());
            one.annotations.insert("linkerd.io/inject".to_owned(), "enabled".to_owned());
        }
        let mut metadata = json!({ "name": name });
        for (field, map) in [("labels", one.labels), ("annotations", one.annotations)] {
            if !map.is_empty() {
                metadata[field] = json!(map);
            }
        }
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata })
    };
    Ok(all.into_iter().map(object).collect())
}

/// The files of components that are held back at first: those of all phases but the first, without what is there from the
/// start.
#[must_use]
pub fn held_back(stack: &Stack, files: &Files) -> Vec<String> {
    let later = stack.components().iter().filter(|chosen| chosen.phase > 1);
    let names = later.flat_map(|chosen| deployed(&chosen.component));
    names.filter(|name| files.contains_key(name)).map(|name| format!("{name}.skip")).collect()
}

/// The files of a component that belong to its phase.
fn deployed(component: &Component) -> Vec<String> {
    let first = component.file(FIRST);
    component.files().into_iter().filter(|file| *file != first).collect()
}

/// The list of components for the node: phase, name, namespace, files, host, kind, title and the name of the chart in the
/// cluster, with tabs between; one line a component.
#[must_use]
pub fn list(cluster: &Cluster<'_>, files: &Files) -> String {
    let line = |chosen: &Chosen| {
        let front = &chosen.component.front;
        let own: Vec<String> = deployed(&chosen.component).into_iter().filter(|f| files.contains_key(f)).collect();
        let host = link(chosen, &cluster.lab.domain).unwrap_or_else(|| "-".to_owned());
        let kind = if front.chart.is_some() { "chart" } else { "objects" };
        let namespace = front.namespace.as_deref().unwrap_or("-");
        let (phase, name, title) = (chosen.phase, chosen.name(), &front.title);
        // A chart that is only configured comes with k3s, under its own name.
        let release = front
            .chart
            .as_ref()
            .map_or(name, |chart| if chart.config { &chart.name } else { chart.release.as_deref().unwrap_or(name) });
        format!("{phase}\t{name}\t{namespace}\t{}\t{host}\t{kind}\t{title}\t{release}\n", own.join(","))
    };
    cluster.stack.components().iter().map(line).collect()
}

/// The host name of a component's page, if it has one.
#[must_use]
pub fn link(chosen: &Chosen, domain: &str) -> Option<String> {
    let link = chosen.component.front.link.as_deref()?;
    Some(host(link, domain))
}

/// A name below the domain; the domain itself for an empty one.
#[must_use]
pub fn host(name: &str, domain: &str) -> String {
    if name.is_empty() { domain.to_owned() } else { format!("{name}.{domain}") }
}

/// The values for templates.
fn context_of(cluster: &Cluster<'_>) -> Result<Value, ManifestError> {
    #[derive(Serialize)]
    struct Node<'a> {
        name: &'a str,
        role: &'a str,
        board: &'a str,
    }
    let Cluster { lab, stack, k3s, .. } = *cluster;
    let nodes: Vec<Node<'_>> =
        lab.nodes.iter().map(|n: &LabNode| Node { name: &n.name, role: &n.role, board: &n.board }).collect();
    let nodes = serde_json::to_string(&nodes).map_err(|e| ManifestError::Render {
        name: "lab".to_owned(),
        what: "the nodes cannot be written as JSON".to_owned(),
        source: Some(e.into()),
        is_own: false,
    })?;
    let on: BTreeMap<&str, bool> = stack.known.iter().map(|name| (name.as_str(), stack.has(name))).collect();
    let components: Vec<Value> = stack
        .components()
        .iter()
        .map(|chosen| {
            let front = &chosen.component.front;
            context! { name => chosen.name(), title => &front.title, why => &front.why, access => &front.access, namespace => &front.namespace,
            link => link(chosen, &lab.domain) }
        })
        .collect();
    let service = stack.components().iter().find_map(|chosen| chosen.component.front.service.clone());
    Ok(context! {
        cluster => &lab.name,
        domain => &lab.domain,
        master => lab.master().map(|node| &node.name),
        export => EXPORT,
        timezone => &lab.timezone,
        country => lab.wifi.as_ref().map_or("", |wifi| &wifi.country),
        labimg => env!("CARGO_PKG_VERSION"),
        k3s,
        nodes,
        pod_networks => config::pod_networks(lab),
        ingress_service => service,
        on,
        components,
    })
}
