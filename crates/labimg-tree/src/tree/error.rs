//! What can go wrong with a tree.

use super::{PathError, TreePath};
use crate::fault::{Fault, FaultKind};

/// What went wrong with a change of a tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The path is not valid inside the tree.
    #[error(transparent)]
    Path(#[from] PathError),
    /// There is nothing at this path.
    #[error("{0}: no such file or folder in the tree")]
    NotFound(TreePath),
    /// The parent folder is missing or is not a folder.
    #[error("{path}: {parent} is not a folder")]
    NotAFolder {
        /// The new path.
        path: TreePath,
        /// What is there instead of a folder.
        parent: TreePath,
    },
    /// A folder would replace something else, or the other way round.
    #[error("{path}: {what}")]
    Conflict {
        /// The path.
        path: TreePath,
        /// What is there.
        what: &'static str,
    },
    /// Symbolic links that form a loop, or lead above the root of the tree.
    #[error("{path}: {what}")]
    Link {
        /// The path that was followed.
        path: TreePath,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A content could not be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: TreePath,
        /// The read error.
        source: std::io::Error,
    },
}

/// A tree holds what packages bring: a conflict there is the archive's fault.
impl Fault for TreeError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Path(source) => source.kind(),
            Self::NotFound(_) | Self::NotAFolder { .. } | Self::Conflict { .. } | Self::Link { .. } => FaultKind::World,
            Self::Read { source, .. } => Fault::kind(source),
        }
    }
}
