//! `labimg stack` and `labimg stack show`: the components.

use std::fmt::Write;

use serde::Serialize;

use super::super::Outcome;
use super::super::output::Output;
use super::{find, stack_of};
use crate::lab::{Checked, Lab};
use crate::manifests::Profile;
use crate::manifests::component::{Component, Memory};
use crate::manifests::select::Because;
use crate::stack::{self, Stack};

/// A component in the list.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    title: &'a str,
    /// The smallest profile that brings it; `always`, or `-` for none.
    profile: &'static str,
    /// Whether the lab has it.
    on: bool,
    /// Why it is there, when the profile does not bring it.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    /// When it comes up.
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<usize>,
    /// Memory in MiB, in this lab's number of nodes.
    memory: Memory,
    hosts: Vec<String>,
    version: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct List<'a> {
    profile: Profile,
    domain: &'a str,
    nodes: usize,
    components: Vec<Row<'a>>,
    memory: Memory,
}

pub(super) fn list(checked: &Checked, out: &Output) -> Outcome {
    let lab = &checked.folder.lab;
    let stack = stack_of(&checked.folder)?;
    let nodes = u32::try_from(lab.nodes.len()).unwrap_or(u32::MAX);
    let row = |component| row(component, &stack, lab, nodes);
    let list = List {
        profile: lab.stack.profile,
        domain: &lab.domain,
        nodes: lab.nodes.len(),
        components: checked.folder.parts.components().values().map(row).collect(),
        memory: stack.memory(nodes),
    };
    out.result(&list, text)
}

fn row<'a>(component: &'a Component, stack: &'a Stack, lab: &Lab, nodes: u32) -> Row<'a> {
    let front = &component.front;
    let chosen = stack.components().iter().find(|chosen| chosen.name() == component.name);
    let version = chosen.and_then(|chosen| chosen.settings.version.as_deref());
    let smallest = Profile::ALL.into_iter().find(|profile| front.is_of(*profile));
    Row {
        name: &component.name,
        title: &front.title,
        profile: match smallest {
            Some(Profile::None) => "always",
            Some(profile) => profile.name(),
            None => "-",
        },
        on: chosen.is_some(),
        because: chosen.and_then(|chosen| match &chosen.because {
            Because::Profile => None,
            Because::Asked => Some("asked for".to_owned()),
            Because::NeededBy(other) => Some(format!("needed by {other}")),
        }),
        phase: chosen.map(|chosen| chosen.phase),
        memory: front.memory_in(nodes),
        hosts: front.hosts.iter().map(|name| stack::host(name, &lab.domain)).collect(),
        version: version.or_else(|| front.chart.as_ref()?.version.as_deref()),
    }
}

fn text(list: &List<'_>) -> String {
    let mut rows = vec![["", "NAME", "PROFILE", "MEMORY", "VERSION", "HOST"].map(str::to_owned)];
    for row in &list.components {
        let memory =
            |m: Memory| if m.limits == 0 { format!("{}", m.requests) } else { format!("{}/{}", m.requests, m.limits) };
        rows.push([
            if row.on { "on" } else { "" }.to_owned(),
            row.name.to_owned(),
            row.profile.to_owned(),
            if row.memory == Memory::default() { "-".to_owned() } else { memory(row.memory) },
            row.version.unwrap_or("-").to_owned(),
            row.hosts.first().cloned().unwrap_or_default(),
        ]);
    }
    let width = |column: usize| rows.iter().map(|r| r[column].len()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3, 4].map(width);
    let mut text = String::new();
    for [on, name, profile, memory, version, host] in &rows {
        let line = format!(
            "{on:<0$}  {name:<1$}  {profile:<2$}  {memory:>3$}  {version:<4$}  {host}",
            widths[0], widths[1], widths[2], widths[3], widths[4]
        );
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let Memory { requests, limits } = list.memory;
    let count = list.components.iter().filter(|row| row.on).count();
    let _ = writeln!(
        text,
        "\nProfile {}: {count} components, {requests} MiB reserved and at most {limits} MiB on {} nodes, beside k3s itself",
        list.profile.name(),
        list.nodes
    );
    text
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    row: Row<'a>,
    why: &'a str,
    profiles: &'a [crate::manifests::component::Brings],
    needs: &'a [String],
    architectures: &'a [String],
    namespaces: Vec<&'a String>,
    chart: Option<String>,
    images: Vec<String>,
    /// Namespace and name of its Secrets.
    secrets: Vec<String>,
    files: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
    is_own: bool,
}

pub(super) fn show(checked: &Checked, name: &str, out: &Output) -> Outcome {
    let components = checked.folder.parts.components();
    let component = find(components, name)?;
    let lab = &checked.folder.lab;
    let stack = stack_of(&checked.folder)?;
    let front = &component.front;
    let nodes = u32::try_from(lab.nodes.len()).unwrap_or(u32::MAX);
    let shown = Shown {
        row: row(component, &stack, lab, nodes),
        why: &front.why,
        profiles: &front.profiles,
        needs: &front.needs,
        architectures: &front.architectures,
        namespaces: front.namespaces.keys().collect(),
        chart: front.chart.as_ref().map(|chart| match &chart.repository {
            Some(repository) => format!("{} of {repository}", chart.name),
            None => format!("{} of k3s", chart.name),
        }),
        images: front.images.iter().map(ToString::to_string).collect(),
        secrets: front.secrets.iter().map(|secret| format!("{}/{}", secret.namespace, secret.name)).collect(),
        files: component.files(),
        warning: front.warning.as_deref(),
        is_own: component.is_own,
    };
    out.result(&shown, shown_text)
}

fn shown_text(shown: &Shown<'_>) -> String {
    let row = &shown.row;
    let mut text = format!("{}: {}\n", row.name, row.title);
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {name:<12} {value}");
        }
    };
    line("what for", shown.why.to_owned());
    line("warning", shown.warning.unwrap_or_default().to_owned());
    let state = match (&row.because, row.phase) {
        (_, None) => format!("off; `stack.components.{}.enabled = true` switches it on", row.name),
        (None, Some(phase)) => format!("on, phase {phase}"),
        (Some(because), Some(phase)) => format!("on ({because}), phase {phase}"),
    };
    line("state", state);
    line("profile", row.profile.to_owned());
    line("needs", shown.needs.join(", "));
    line("hosts", row.hosts.join(", "));
    line("memory", format!("{} MiB reserved, at most {} MiB", row.memory.requests, row.memory.limits));
    line("chart", shown.chart.clone().unwrap_or_default());
    line("version", row.version.unwrap_or_default().to_owned());
    line("namespaces", shown.namespaces.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", "));
    line("images", shown.images.join("\n               "));
    line("secrets", shown.secrets.join(", "));
    line("files", shown.files.join(", "));
    text
}
