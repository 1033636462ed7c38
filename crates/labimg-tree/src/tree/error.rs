//! What can go wrong with a tree.

use super::{PathError, TreePath};
use crate::fault::{Fault, FaultKind};

/// What went wrong with a change of a tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Not a path inside the tree.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Nothing has this path.
    #[error("{0}: no such file or folder in the tree")]
    NotFound(TreePath),
    /// The folder a path lies in is missing or is no folder.
    #[error("{path}: {parent} is not a folder")]
    NotAFolder {
        /// What was to be put.
        path: TreePath,
        /// What is in its way.
        parent: TreePath,
    },
    /// A folder stands where something else was to be put, or the other way round.
    #[error("{path}: {what}")]
    Conflict {
        /// The place.
        path: TreePath,
        /// What stands there.
        what: &'static str,
    },
    /// Symbolic links that lead in a circle, or up and out of the tree.
    #[error("{path}: {what}")]
    Link {
        /// The path that was followed.
        path: TreePath,
        /// What is wrong.
        what: &'static str,
    },
    /// A content could not be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: TreePath,
        /// Why.
        source: std::io::Error,
    },
}

/// A tree holds what packages bring: what does not fit together there is the archive's.
impl Fault for TreeError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Path(source) => source.kind(),
            Self::NotFound(_) | Self::NotAFolder { .. } | Self::Conflict { .. } | Self::Link { .. } => FaultKind::World,
            Self::Read { source, .. } => Fault::kind(source),
        }
    }
}
