//! What the maintainer scripts of a fresh installation write, one generator a file.
//!
//! Each generator is a plain function of the tree as it stands: packages unpacked, generators of the packages they
//! depend on done. It writes what the real tool would write, so that the tool itself goes on from there on the node.

pub mod alternatives;
pub mod answers;
pub mod catalog;
pub mod certificates;
pub mod debconf;
pub mod dpkg;
mod elf;
pub mod heredoc;
pub mod hwdb;
pub mod ldcache;
pub mod pam;
pub mod shadow;
pub mod shells;
pub mod skeleton;
mod strings;
mod subject;
pub mod ucf;

use std::collections::BTreeMap;

use labimg_tree::interrupt::Interrupted;
use labimg_tree::{Inode, Kind, Tree, TreeError, TreePath};

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

impl From<labimg_tree::PathError> for GenError {
    fn from(e: labimg_tree::PathError) -> Self {
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

/// Files of drop-in folders by ascending name; of equal names the one in the folder that comes first (`conf_files_list`
/// of systemd). An empty file or a link to `/dev/null` hides the name.
fn config_files(tree: &Tree, folders: &[&str], suffix: &str) -> Result<Vec<String>, GenError> {
    let mut files: BTreeMap<Vec<u8>, Option<String>> = BTreeMap::new();
    for folder in folders {
        let folder = TreePath::new(folder)?;
        for (path, _, inode) in tree.below(&folder) {
            if path.parent().as_ref() != Some(&folder) || !path.name().ends_with(suffix.as_bytes()) {
                continue;
            }
            let hides = match &inode.kind {
                Kind::File(content) => content.is_empty(),
                Kind::Symlink(to) => to == b"/dev/null",
                _ => continue,
            };
            files.entry(path.name().to_vec()).or_insert_with(|| (!hides).then(|| path.to_string()));
        }
    }
    Ok(files.into_values().flatten().collect())
}

/// The major version of systemd that is unpacked, from the name of its own library.
fn systemd_version(tree: &Tree) -> Result<u64, GenError> {
    let lib = TreePath::new("usr/lib")?;
    let version = |path: &TreePath| {
        let name = std::str::from_utf8(path.name()).ok()?;
        let version = name.strip_prefix("libsystemd-shared-")?.strip_suffix(".so")?;
        version.split(['.', '-', '~']).next()?.parse().ok()
    };
    tree.below(&lib)
        .find_map(|(path, _, _)| version(path))
        .ok_or_else(|| GenError::format("/usr/lib", "holds no libsystemd-shared-*.so, so systemd's version is unknown"))
}

#[cfg(test)]
mod testing;
