//! Errors about a lab's secrets.

use std::io;
use std::path::{Path, PathBuf};

use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::human::shell_word;
use labimg_tree::interrupt::Interrupted;

/// Why secrets could not be created, read or changed. No message contains any part of a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A file or folder could not be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// A verb, such as `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There are no secrets yet.
    #[error("{} holds no secrets yet", .0.display())]
    None(PathBuf),
    /// Users other than the owner can access the secrets.
    #[error("other users of this computer may get at {} (mode {mode:04o})", path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// Modes would not keep the secrets from other users.
    #[error("{} would be open to all users of this computer: {file_system} keeps no modes", path.display())]
    NoModes {
        /// The folder.
        path: PathBuf,
        /// Its file system.
        file_system: &'static str,
    },
    /// A file was changed or damaged.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// The group's folder, which is created as a whole.
        group: PathBuf,
    },
    /// A certificate has expired.
    #[error("{} was valid until {until} only", path.display())]
    Expired {
        /// The certificate's file.
        path: PathBuf,
        /// Its last day, as `2036-11-24`.
        until: String,
    },
    /// A node's name cannot be used as a file name.
    #[error("`{0}` cannot be the name of a node")]
    NodeName(String),
    /// A certificate or key could not be created.
    #[error("cannot make {what}")]
    Make {
        /// What should be created.
        what: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Fault for SecretsError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::None(_) => FaultKind::Usage,
            Self::NodeName(_) => FaultKind::Configuration,
            Self::Io { .. }
            | Self::Exposed { .. }
            | Self::NoModes { .. }
            | Self::Damaged { .. }
            | Self::Expired { .. }
            | Self::Make { .. } => FaultKind::World,
            Self::Interrupted(_) => FaultKind::Interrupted,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::None(_) => Some("`labimg build` makes them".to_owned()),
            Self::Exposed { path, wanted, .. } => {
                Some(format!("`chmod {wanted:o} {}` takes them out", shell_word(path)))
            }
            Self::NoModes { .. } => {
                Some("put the lab folder where modes are kept, such as in your home folder, and build there".to_owned())
            }
            Self::Damaged { group, .. } => {
                Some(format!("put it back from a copy, or move {} away to have new ones made", group.display()))
            }
            Self::Expired { .. } => Some("`labimg secrets rotate --certificates` makes new ones".to_owned()),
            Self::NodeName(_) => Some("letters a to z, digits and `-` are allowed".to_owned()),
            Self::Io { .. } | Self::Make { .. } | Self::Interrupted(_) => None,
        }
    }
}

impl SecretsError {
    /// For `map_err`: adds the action and the file.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// For `map_err`: adds what should be created.
    pub(super) fn make<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |e| Self::Make { what, source: e.to_string().into() }
    }
}
