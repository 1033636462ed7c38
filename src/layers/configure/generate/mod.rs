//! What the maintainer scripts of a fresh installation write, one generator a file.
//!
//! Each generator is a plain function of the tree as it stands: packages unpacked, generators of the packages they
//! depend on done. It writes what the real tool would write, so that the tool itself goes on from there on the node.

pub mod alternatives;
pub mod certificates;
pub mod dpkg;
pub mod elf;
pub mod heredoc;
pub mod ldcache;
pub mod nfs;
pub mod pam;
pub mod shadow;
pub mod shells;
pub mod skeleton;
pub mod subject;
pub mod ucf;

use crate::interrupt::Interrupted;
use crate::tree::{Inode, Kind, Tree, TreeError, TreePath};

/// Why a generator could not write its files.
#[derive(Debug, thiserror::Error)]
pub enum GenError {
    /// A file that is needed is missing, or one that is written cannot be put in its place.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file of a package does not have the format its tool reads.
    #[error("{path}: {what}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong, and what was expected.
        what: String,
    },
    /// A maintainer script calls a tool in a way that labimg does not know.
    #[error("`{call}`: {what}")]
    Call {
        /// The call as the script has it.
        call: String,
        /// What is wrong with it.
        what: String,
    },
    /// The user stopped the build.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl GenError {
    fn format(path: impl AsRef<[u8]>, what: impl Into<String>) -> Self {
        Self::Format { path: String::from_utf8_lossy(path.as_ref()).into_owned(), what: what.into() }
    }
}

impl From<crate::tree::PathError> for GenError {
    fn from(e: crate::tree::PathError) -> Self {
        Self::Tree(e.into())
    }
}

/// The path itself, through the links of the folders above it; the folders that are missing are kept as written.
fn place(tree: &Tree, path: impl AsRef<[u8]>) -> Result<TreePath, GenError> {
    match tree.resolve_parent(&path) {
        Err(TreeError::NotFound(_)) => Ok(TreePath::new(path)?),
        other => Ok(other?),
    }
}

/// True when `path` leads to something, links followed (`test -e`).
fn exists(tree: &Tree, path: impl AsRef<[u8]>) -> bool {
    tree.resolve(path).is_ok_and(|path| tree.contains(&path))
}

/// True when `path` leads to a regular file, links followed (`test -f`).
fn is_file(tree: &Tree, path: impl AsRef<[u8]>) -> bool {
    tree.resolve(path).is_ok_and(|p| matches!(tree.get(&p), Some(Inode { kind: Kind::File(_), .. })))
}

/// Copies a file with owner, mode and time, as `cp -p` does, unless `to` is there already.
fn install_default(tree: &mut Tree, from: &str, to: &str) -> Result<(), GenError> {
    if is_file(tree, to) {
        return Ok(());
    }
    let source = tree.resolve(from)?;
    let inode = tree.get(&source).cloned().ok_or(TreeError::NotFound(source))?;
    let to = place(tree, to)?;
    if let Some(parent) = to.parent()
        && !tree.contains(&parent)
    {
        tree.mkdir(&parent, 0o755)?;
    }
    tree.insert(&to, inode)?;
    Ok(())
}

/// Makes an empty file of root's when there is none (`touch`).
fn touch(tree: &mut Tree, path: &str, mode: u16) -> Result<(), GenError> {
    if !exists(tree, path) {
        tree.write(place(tree, path)?, mode, "")?;
    }
    Ok(())
}

#[cfg(test)]
mod testing;
