//! What can be wrong with a lab's secrets.

use std::io;
use std::path::{Path, PathBuf};

use labimg_tree::interrupt::Interrupted;

/// Why secrets could not be made, read or changed. No message holds any part of a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A file or folder could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// A verb, such as `read`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are no secrets yet.
    #[error("{} holds no secrets yet: `labimg build` makes them", .0.display())]
    None(PathBuf),
    /// Others than the owner may get at the secrets.
    #[error("other users of this computer may get at {} (mode {mode:04o}): chmod {wanted:o} {}", path.display(), path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// A file is not what was written.
    #[error("{} is damaged: {why}. Put it back from a copy, or move {} away to have new ones made", path.display(), group.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// The folder that is made as a whole.
        group: PathBuf,
    },
    /// A certificate's time is over.
    #[error("{} is valid until {until} only: `labimg secrets rotate --certificates` makes new ones", path.display())]
    Expired {
        /// Which.
        path: PathBuf,
        /// Its last day, as `2036-11-24`.
        until: String,
    },
    /// A node's name cannot be a file's name.
    #[error("`{0}` is no name of a node: letters a to z, digits and `-` are allowed")]
    NodeName(String),
    /// No certificate or key could be made.
    #[error("cannot make {what}: {why}")]
    Make {
        /// What was to be made.
        what: &'static str,
        /// Why it failed.
        why: String,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl SecretsError {
    /// For `map_err`: what was done to which file.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// For `map_err`: what was to be made.
    pub(super) fn make<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |e| Self::Make { what, why: e.to_string() }
    }
}
