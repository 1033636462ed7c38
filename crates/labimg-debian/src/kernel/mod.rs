//! What makes a kernel in the tree bootable: module indexes and the initramfs.

pub mod depmod;
mod elf;
pub mod initramfs;
mod module;
mod newc;
mod superfast;
mod trie;

use labimg_tree::fault::{Cause, Fault, FaultKind};
use labimg_tree::{Kind, Tree, TreeError, TreePath};

/// What went wrong with a kernel's modules or its initramfs.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The tree has no kernel modules of this version.
    #[error("the tree has no kernel modules at /lib/modules/{0}")]
    NoModules(String),
    /// The tree has no kernel, or several.
    #[error("the tree must have exactly one kernel below /lib/modules, found: {0}")]
    NotOneKernel(String),
    /// A module cannot be understood.
    #[error("{path} is not a usable kernel module")]
    Module {
        /// Its path in the tree or below the version's folder.
        path: String,
        /// What is wrong with it.
        #[source]
        cause: Cause,
    },
    /// A module that a board needs does not exist.
    #[error("the kernel {version} has no module `{name}`, neither as a file nor built in")]
    NoModule {
        /// The module's name.
        name: String,
        /// The kernel's version.
        version: String,
    },
    /// A program cannot be put into the initramfs.
    #[error("{path} cannot be put into the initramfs")]
    Program {
        /// Its path in the tree.
        path: String,
        /// What is wrong with it.
        #[source]
        cause: Cause,
    },
    /// A file cannot be written.
    #[error("cannot write {what}")]
    Write {
        /// The file that was being written.
        what: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// Modules depend on each other in a cycle.
    #[error("the kernel modules {0} need each other in a circle")]
    Cycle(String),
    /// An index archive in the store is damaged.
    #[error("the kept module indexes are damaged")]
    Archive(#[source] std::io::Error),
    /// A tree operation failed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] labimg_tree::interrupt::Interrupted),
}

impl Fault for KernelError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::NoModules(_)
            | Self::NotOneKernel(_)
            | Self::Module { .. }
            | Self::NoModule { .. }
            | Self::Program { .. }
            | Self::Cycle(_) => FaultKind::World,
            Self::Write { source, .. } | Self::Archive(source) => Fault::kind(source),
            Self::Tree(source) => source.kind(),
            Self::Interrupted(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoModules(_) => Some("unpack the package of this kernel first".to_owned()),
            Self::Tree(source) => source.help(),
            Self::NotOneKernel(_)
            | Self::Module { .. }
            | Self::NoModule { .. }
            | Self::Program { .. }
            | Self::Write { .. }
            | Self::Cycle(_)
            | Self::Archive(_)
            | Self::Interrupted(_) => None,
        }
    }
}

/// The version of the tree's only kernel: the name of its folder below `/lib/modules`.
///
/// # Errors
/// When there is none or more than one.
pub fn version(tree: &Tree) -> Result<String, KernelError> {
    let mut versions = versions(tree);
    match (versions.pop(), versions.is_empty()) {
        (Some(version), true) => Ok(version),
        (None, _) => Err(KernelError::NotOneKernel("none".into())),
        (Some(last), false) => {
            versions.push(last);
            Err(KernelError::NotOneKernel(versions.join(", ")))
        }
    }
}

/// The versions of all kernels of the tree that have modules, by name.
#[must_use]
pub fn versions(tree: &Tree) -> Vec<String> {
    let Ok(folder) = tree.resolve("lib/modules") else { return Vec::new() };
    tree.children(&folder)
        .filter(|(_, _, inode)| matches!(inode.kind, Kind::Dir))
        .map(|(path, _, _)| String::from_utf8_lossy(path.name()).into_owned())
        .collect()
}

/// The folder of a version's modules, with symbolic links on the way followed.
fn modules_folder(tree: &Tree, version: &str) -> Result<TreePath, KernelError> {
    let missing = || KernelError::NoModules(version.to_owned());
    let folder = tree.resolve(format!("lib/modules/{version}")).map_err(|_| missing())?;
    match tree.get(&folder).map(|i| &i.kind) {
        Some(Kind::Dir) => Ok(folder),
        _ => Err(missing()),
    }
}
