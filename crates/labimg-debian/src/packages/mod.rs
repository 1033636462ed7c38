//! Packages: unpacks them into the tree as dpkg would, and writes dpkg's database.

mod database;
mod files;
mod info;
mod order;
mod owners;
mod package;
mod read;
mod stanza;

pub use database::write_database;
pub use package::{Conffile, Installed, Package, State, Triggers};

use crate::deb::Deb;
use crate::deb::tar::EntryKind;
use crate::lock::LockedPackage;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::interrupt::{self, Interrupted};
use labimg_tree::progress::{Progress, Unit};
use labimg_tree::{Tree, TreeError, TreePath};

/// Why packages cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// A file of the control archive is bad, or does not belong to the locked package.
    #[error("package {package}: {what}")]
    Control {
        /// The package.
        package: String,
        /// What is wrong.
        what: String,
    },
    /// An entry of the data archive cannot be put into the tree.
    #[error("package {package}: `{entry}`: {what}")]
    Entry {
        /// The package.
        package: String,
        /// The entry's path as packaged.
        entry: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Two packages have a file with the same path.
    #[error(
        "package {package} would overwrite {path}, which is also in package {other}: they cannot be installed together"
    )]
    Overwrite {
        /// The file.
        path: TreePath,
        /// The package that came later.
        package: String,
        /// The package that owns the file.
        other: String,
    },
    /// The tree refuses a change, such as a path that leads out of it.
    #[error("the files of package {package} cannot be put into the tree")]
    Tree {
        /// The package.
        package: String,
        /// The tree's error.
        source: TreeError,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Fault for PackagesError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Control { .. } | Self::Entry { .. } | Self::Overwrite { .. } => FaultKind::World,
            Self::Tree { source, .. } => source.kind(),
            Self::Interrupted(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Tree { source, .. } => source.help(),
            Self::Control { .. } | Self::Entry { .. } | Self::Overwrite { .. } => {
                Some("choose another version of it, or another mirror with --mirror".to_owned())
            }
            Self::Interrupted(_) => None,
        }
    }
}

/// Unpacks packages into `tree` and writes their dpkg `info` files. Contents stay in the packages' blobs. The result is
/// in dpkg's configuration order, regardless of the order of `debs`, and every package is [`State::Unpacked`].
///
/// # Errors
/// A package that is not the locked one, has paths outside the tree, or shares a file with another one without
/// `Replaces`.
pub fn unpack(
    tree: &mut Tree,
    architecture: &str,
    debs: Vec<(LockedPackage, Deb)>,
    reporter: &dyn Progress,
) -> Result<Installed, PackagesError> {
    let phase = reporter.phase("Unpacking", debs.len() as u64, Unit::Items);
    let owners = owners::Owners::of(tree, &debs)?;
    let mut read = Vec::with_capacity(debs.len());
    for (locked, deb) in debs {
        read.push((read::package(&locked, &deb)?, deb));
    }
    let order = order::configuration(&read.iter().map(|(package, _)| package).collect::<Vec<_>>())?;
    let mut slots: Vec<_> = read.into_iter().map(Some).collect();
    let mut ordered: Vec<_> = order.into_iter().filter_map(|index| slots.get_mut(index)?.take()).enumerate().collect();
    // The links of a merged /usr must exist before any path goes through them.
    ordered.sort_by_key(|(_, (_, deb))| !brings_top_links(deb));
    let mut unpacker = files::Unpacker::default();
    let mut places = Vec::with_capacity(ordered.len());
    for (place, (package, deb)) in ordered {
        interrupt::check()?;
        places.push((place, deb.control_time));
        unpacker.add(tree, package, &deb, &owners)?;
        phase.inc(1);
    }
    let mut packages: Vec<_> = places.into_iter().zip(unpacker.finish()).collect();
    packages.sort_by_key(|((place, _), _)| *place);
    for ((_, time), package) in &packages {
        info::write(tree, package, *time)
            .map_err(|source| PackagesError::Tree { package: package.name.clone(), source })?;
    }
    let packages = packages.into_iter().map(|(_, package)| package).collect();
    Ok(Installed { architecture: architecture.to_owned(), packages })
}

/// True when a package has symbolic links directly below the root, such as `/bin`.
fn brings_top_links(deb: &Deb) -> bool {
    deb.entries.iter().any(|entry| {
        let top = files::inner_path(&entry.path).is_ok_and(|path| !path.as_bytes().contains(&b'/'));
        top && matches!(entry.kind, EntryKind::Symlink(_))
    })
}
