//! `labimg stack`: what the cluster runs by itself.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Outcome;
use super::inputs::DEFAULT_SUITE;
use super::output::Output;
use crate::k3s::K3sSource;
use crate::lab::{self, Checked, Lab, LabFolder};
use crate::layers::manifests;
use crate::manifests::component::{Component, Memory};
use crate::manifests::select::Because;
use crate::manifests::{ManifestError, Profile};
use crate::plan::target::{self, Flags};
use crate::stack::{self, Cluster, Stack};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::suggest::{did_you_mean, nearest};

const EXAMPLES: &str = "\
Examples:
  labimg stack                              the components, and which of them the lab has
  labimg stack show keycloak
  labimg stack render --profile seed        what the node would deploy, secrets masked";

/// List what the cluster runs by itself, or print what a node will deploy
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StackArgs {
    #[command(subcommand)]
    command: Option<StackCommand>,
    /// The folder that holds lab.toml
    #[arg(long, value_name = "DIR", default_value = ".", global = true)]
    lab: PathBuf,
}

#[derive(Debug, Subcommand)]
enum StackCommand {
    /// Everything about one component
    Show {
        /// Its name
        name: String,
    },
    /// Print what the master deploys, as YAML, with secrets masked
    Render {
        /// Another profile than that of lab.toml
        #[arg(long, value_parser = ["none", "minimal", "identity", "seed", "full"])]
        profile: Option<String>,
        /// One component alone
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
    },
}

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
pub enum StackCommandError {
    /// No component has the name.
    #[error("there is no component `{name}`")]
    Unknown {
        /// The name given.
        name: String,
        /// Similar names, best first.
        near: Vec<String>,
    },
    /// The profile does not go with the rest of `lab.toml`.
    #[error("the profile {profile} cannot be: {what}")]
    Profile {
        /// Its name.
        profile: String,
        /// What is wrong.
        what: String,
        /// What to do.
        help: String,
    },
    /// What the lab has makes no manifests.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Fault for StackCommandError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Unknown { .. } | Self::Profile { .. } => FaultKind::Usage,
            Self::Manifest(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unknown { near, .. } => {
                let all = "`labimg stack` lists them all".to_owned();
                Some(did_you_mean(near).into_iter().chain([all]).collect::<Vec<_>>().join("\n"))
            }
            Self::Profile { help, .. } => Some(help.clone()),
            Self::Manifest(source) => source.help(),
        }
    }
}

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

pub fn run(args: &StackArgs, out: &Output) -> Outcome {
    let checked = lab::check(&args.lab)?;
    out.warnings(&checked);
    match &args.command {
        None => list(&checked, out),
        Some(StackCommand::Show { name }) => show(&checked, name, out),
        Some(StackCommand::Render { profile, only }) => render(checked, profile.as_deref(), only.as_deref(), out),
    }
}

/// The stack of a checked lab, which has one.
fn stack_of(folder: &LabFolder) -> Result<Stack, StackCommandError> {
    Stack::of(&folder.lab, folder.parts.components()).map_err(|choices| {
        let (what, help) = choices.into_iter().next().map_or_else(Default::default, |bad| (bad.what, bad.help));
        StackCommandError::Profile { profile: folder.lab.stack.profile.name().to_owned(), what, help }
    })
}

fn list(checked: &Checked, out: &Output) -> Outcome {
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

fn show(checked: &Checked, name: &str, out: &Output) -> Outcome {
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

fn find<'c>(
    components: &'c std::collections::BTreeMap<String, Component>,
    name: &str,
) -> Result<&'c Component, StackCommandError> {
    components.get(name).ok_or_else(|| StackCommandError::Unknown {
        name: name.to_owned(),
        near: nearest(name, components.keys().map(String::as_str)),
    })
}

fn render(checked: Checked, profile: Option<&str>, only: Option<&str>, out: &Output) -> Outcome {
    let mut folder = checked.folder;
    if let Some(profile) = profile.and_then(|name| Profile::ALL.into_iter().find(|known| known.name() == name)) {
        folder.lab.stack.profile = profile;
    }
    if let Some(name) = only {
        find(folder.parts.components(), name)?;
    }
    let stack = stack_of(&folder)?;
    // With what overlays add to the settings.
    let flags = Flags { suite: DEFAULT_SUITE.to_owned(), ..Flags::default() };
    let targets = target::of_lab(&folder, &[], &flags)?;
    let lab = targets.iter().find(|target| target.plan.role.manifests).map_or(&folder.lab, |target| &target.plan.lab);
    let source = K3sSource::of(Some(lab));
    let cluster = Cluster { lab, stack: &stack, k3s: &source.version, charts: &[] };
    let mut files = manifests::files(&cluster, folder.parts.manifests())?;
    if let Some(text) = stack::secret_objects(&stack, None)? {
        files.insert(stack::SECRETS.to_owned(), text);
    }
    if let Some(name) = only {
        let own = folder.parts.components().get(name).map(Component::files).unwrap_or_default();
        files.retain(|file, _| own.contains(file));
    }
    out.result(&files, |files| {
        let texts = files.iter().filter(|(_, text)| !text.is_empty());
        texts.map(|(name, text)| format!("# {name}\n{}\n", text.trim_end())).collect::<Vec<_>>().join("---\n")
    })
}
