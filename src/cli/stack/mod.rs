//! `labimg stack`: what the cluster runs by itself.

mod cluster;
mod list;
mod render;
mod shown;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Outcome;
use super::output::Output;
use super::report::Reporter;
use crate::lab::{self, LabFolder};
use crate::manifests::ManifestError;
use crate::manifests::component::Component;
use crate::stack::Stack;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::suggest::{did_you_mean, nearest};

const EXAMPLES: &str = "\
Examples:
  labimg stack                              the components, and which of them the lab has
  labimg stack show keycloak
  labimg stack render --profile seed        what the node would deploy, secrets masked
  labimg stack diff                         what the running cluster would get that differs
  labimg stack apply                        give it that, without a new card";

/// List what the cluster runs by itself, print what a node will deploy, or give it to a running cluster
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
    /// Show what a running cluster would get that differs from what it has; of Secrets only the names of keys
    Diff(cluster::DiffArgs),
    /// Give a running cluster what differs
    #[command(after_help = cluster::NOTES)]
    Apply(cluster::ApplyArgs),
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
    /// A rendered file is not what k3s takes.
    #[error("{name}:{line}: {what}")]
    File {
        /// Its name on the master.
        name: String,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// What the lab has makes no manifests.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Fault for StackCommandError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Unknown { .. } | Self::Profile { .. } => FaultKind::Usage,
            Self::File { .. } => FaultKind::Configuration,
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
            Self::File { .. } => Some("`labimg stack render` shows the file".to_owned()),
            Self::Manifest(source) => source.help(),
        }
    }
}

pub fn run(args: &StackArgs, out: &Output, reporter: &Reporter) -> Outcome {
    let checked = lab::check(&args.lab)?;
    out.warnings(&checked);
    match &args.command {
        None => list::list(&checked, out),
        Some(StackCommand::Show { name }) => list::show(&checked, name, out),
        Some(StackCommand::Render { profile, only }) => {
            render::render(checked, profile.as_deref(), only.as_deref(), out)
        }
        Some(StackCommand::Diff(args)) => cluster::diff(&checked.folder, args, out, reporter),
        Some(StackCommand::Apply(args)) => cluster::apply(&checked.folder, args, out, reporter),
    }
}

/// The stack of a checked lab, which has one.
fn stack_of(folder: &LabFolder) -> Result<Stack, StackCommandError> {
    Stack::of(&folder.lab, folder.parts.components()).map_err(|choices| {
        let (what, help) = choices.into_iter().next().map_or_else(Default::default, |bad| (bad.what, bad.help));
        StackCommandError::Profile { profile: folder.lab.stack.profile.name().to_owned(), what, help }
    })
}

fn find<'c>(components: &'c BTreeMap<String, Component>, name: &str) -> Result<&'c Component, StackCommandError> {
    components.get(name).ok_or_else(|| StackCommandError::Unknown {
        name: name.to_owned(),
        near: nearest(name, components.keys().map(String::as_str)),
    })
}
