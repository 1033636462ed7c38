//! Why no login can be had from the usual places.

use std::path::PathBuf;

use labimg_tree::fault::{Cause, Fault, FaultKind};
use labimg_tree::interrupt::Interrupted;

/// Why no login can be had from the usual places. No message holds any part of one.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// A file that is there cannot be read, or one that was named is not there.
    #[error("the logins of registries in {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file has another form.
    #[error("the logins of registries in {} cannot be used: {what}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A program that keeps logins gave none.
    #[error("{program} gives no login for {host}")]
    Helper {
        /// The program.
        program: String,
        /// The registry.
        host: String,
        /// The file that names the program.
        file: PathBuf,
        /// What went wrong.
        #[source]
        cause: Cause,
    },
    /// The way to the host is open to others.
    #[error("the login from {place} is not sent to {url}: anyone on the way could read it")]
    Open {
        /// Where the login is from.
        place: String,
        /// The address.
        url: String,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Fault for LoginError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Read { .. } | Self::Format { .. } | Self::Open { .. } => FaultKind::Configuration,
            Self::Helper { .. } => FaultKind::World,
            Self::Interrupted(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Read { path, .. } => {
                Some(format!("make {} readable, or name another file in REGISTRY_AUTH_FILE", path.display()))
            }
            Self::Format { .. } => Some(
                "mend it, or name a file that `podman login` or `docker login` wrote in REGISTRY_AUTH_FILE".to_owned(),
            ),
            Self::Helper { file, .. } => Some(format!(
                "install or unlock it, or take it out of `credsStore` or `credHelpers` in {}",
                file.display()
            )),
            Self::Open { .. } => Some("reach the registry by https".to_owned()),
            Self::Interrupted(_) => None,
        }
    }
}
