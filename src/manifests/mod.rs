//! Manifests as data: those of this program (`manifests/`, compiled in) with their front matter, and those of a lab folder,
//! read and checked.
//!
//! k3s reads its folder every 15 s, in the order of names, and tries again what fails. It calls the file's objects by its
//! name up to the first dot, so names must be valid for an object and may not meet; `NAME.yaml.skip` lets it pass over
//! `NAME.yaml` (docs.k3s.io, "Packaged Components", "Auto-Deploying Manifests").

mod builtin;
pub(crate) mod check;
mod own_charts;
mod pods;
mod user;

use std::error::Error;
use std::path::PathBuf;

use labimg_tree::TreeError;
use labimg_tree::fault::{Fault, FaultKind};

pub use builtin::{Builtin, Need, builtins};
pub use user::{OwnCharts, OwnManifests};

/// Where that is found: the controller of Helm charts fills in the API's own address.
pub const SERVED: &str = "https://%{KUBERNETES_API}%/static/charts";

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file of this program.
    #[error("manifests/{file} of this program: {what}")]
    Builtin {
        /// Which.
        file: String,
        /// What is wrong.
        what: String,
        /// Why.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The user's file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A name that k3s does not take, or not as it is meant.
    #[error("{}: {what}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What to do.
        help: Option<String>,
    },
    /// Not what Kubernetes takes.
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
    /// Something in the tree is in the way.
    #[error("the manifests of k3s cannot be put into the system")]
    Tree(#[from] TreeError),
}

impl Fault for ManifestError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Builtin { .. } => FaultKind::Ours,
            // Only a file of the lab folder can be in their way.
            Self::Read { .. } | Self::Name { .. } | Self::Content { .. } | Self::Tree(_) => FaultKind::Configuration,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Name { help, .. } | Self::Content { help, .. } => help.clone(),
            Self::Builtin { .. } | Self::Read { .. } => None,
            Self::Tree(source) => source.help(),
        }
    }
}
