//! Manifests as data: components with their front matter (`manifests/`), and files of a lab folder, read and checked.
//!
//! k3s reads its folder every 15 s, in the order of names, and retries what fails. It names the add-on after the file,
//! up to the first dot, so names must be valid for an object and unique. With `NAME.yaml.skip` it skips `NAME.yaml`
//! (docs.k3s.io, "Packaged Components", "Auto-Deploying Manifests").

pub(crate) mod check;
pub mod component;
pub(crate) mod located;
mod objects;
mod own_charts;
mod pods;
pub mod select;
mod user;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::PathBuf;

use labimg_tree::TreeError;
use labimg_tree::fault::{Fault, FaultKind};

pub(crate) use check::PACKAGED;
pub use component::{Component, Profile};
pub(crate) use objects::values;
pub use user::{OwnCharts, OwnManifests};

/// Names that k3s gives to the files of components and to those of a lab folder, sorted.
#[must_use]
pub fn addon_names(components: &BTreeMap<String, Component>, own: &OwnManifests) -> Vec<String> {
    let files = components.values().flat_map(Component::files).chain(own.names().map(str::to_owned));
    let names: BTreeSet<String> = files.map(|file| check::addon(&file).to_owned()).collect();
    names.into_iter().collect()
}

/// Names that k3s gives to the files of this component.
pub fn addon_names_of(component: &Component) -> impl Iterator<Item = String> {
    component.files().into_iter().map(|file| check::addon(&file).to_owned())
}

/// Address of the charts that k3s serves. The Helm controller inserts the API's address.
pub const SERVED: &str = "https://%{KUBERNETES_API}%/static/charts";

/// Errors about a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file of a component is wrong.
    #[error("{file}:{line}: {what}")]
    Component {
        /// The file, with its folder.
        file: String,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
        /// What to do.
        help: Option<String>,
        /// Whether it is a file of the lab folder.
        is_own: bool,
    },
    /// A component makes nothing that k3s could take.
    #[error("component {name}: {what}")]
    Render {
        /// The component.
        name: String,
        /// The file, and what is wrong.
        what: String,
        /// The cause.
        source: Option<Box<dyn Error + Send + Sync>>,
        /// Whether the lab folder has to do with it: its own files, or values of `lab.toml`.
        is_own: bool,
    },
    /// The user's file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file name that k3s rejects or understands differently.
    #[error("{}: {what}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What to do.
        help: Option<String>,
    },
    /// Content that Kubernetes does not accept.
    #[error("{}:{line}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
        /// What to do.
        help: Option<String>,
    },
    /// A conflict with another file in the tree.
    #[error("the manifests of k3s cannot be put into the system")]
    Tree(#[from] TreeError),
}

impl Fault for ManifestError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Component { is_own: false, .. } | Self::Render { is_own: false, .. } => FaultKind::Ours,
            // Only a file of the lab folder can conflict with ours.
            Self::Component { .. }
            | Self::Render { .. }
            | Self::Read { .. }
            | Self::Name { .. }
            | Self::Content { .. }
            | Self::Tree(_) => FaultKind::Configuration,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Name { help, .. } | Self::Content { help, .. } | Self::Component { help, .. } => help.clone(),
            Self::Render { .. } | Self::Read { .. } => None,
            Self::Tree(source) => source.help(),
        }
    }
}
