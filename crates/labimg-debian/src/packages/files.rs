//! Puts the files of a package into the tree as dpkg does when it unpacks a new package.
//!
//! dpkg's rules (its `tarobject`): paths go through links to folders; an existing folder, or a link to one, is kept
//! unchanged; a link does not replace a folder; a file of another package is replaced only under `Replaces`, in either
//! direction.

use std::collections::{HashMap, HashSet};

use super::owners::Owners;
use super::{Package, PackagesError};
use crate::deb::Deb;
use crate::deb::tar::{EntryKind, TarEntry};
use crate::relation;
use labimg_tree::{Inode, Kind, LayerId, Tree, TreeError, TreePath};

/// The files of all packages so far.
#[derive(Debug, Default)]
pub(super) struct Unpacker {
    /// The owner of a path: an index into the packages unpacked so far, and that package's path for it. Folders are
    /// shared and not listed.
    owner: HashMap<TreePath, (usize, TreePath)>,
    packages: Vec<Package>,
    /// Paths that other packages took over, under the first owner's name.
    lost: HashMap<usize, HashSet<TreePath>>,
}

/// The state while one package is unpacked.
struct Current<'a> {
    deb: &'a Deb,
    package: Package,
    index: usize,
    layer: LayerId,
    /// Folders by the package's path, and their real paths.
    folders: HashMap<TreePath, TreePath>,
}

impl Unpacker {
    /// Unpacks one package.
    pub fn add(&mut self, tree: &mut Tree, package: Package, deb: &Deb, owners: &Owners) -> Result<(), PackagesError> {
        let layer = tree.begin_layer(format!("package {} {}", package.name, package.version));
        let index = self.packages.len();
        let mut current = Current { deb, package, index, layer, folders: HashMap::new() };
        for entry in &deb.entries {
            let path = inner_path(&entry.path).map_err(|what| current.bad(entry, what))?;
            if self.place(tree, &mut current, entry, &path, owners)? {
                current.package.files.push(path);
            }
        }
        self.packages.push(current.package);
        Ok(())
    }

    /// The packages in the order in which they were added, each with the files that it still owns.
    pub fn finish(self) -> Vec<Package> {
        let mut packages = self.packages;
        for (index, lost) in self.lost {
            if let Some(package) = packages.get_mut(index) {
                package.files.retain(|path| !lost.contains(path));
            }
        }
        packages
    }

    /// Puts one entry into the tree; false when another package's file is there and stays.
    fn place(
        &mut self,
        tree: &mut Tree,
        current: &mut Current<'_>,
        entry: &TarEntry,
        path: &TreePath,
        owners: &Owners,
    ) -> Result<bool, PackagesError> {
        let Some(parent) = path.parent() else {
            // The root folder exists.
            return Ok(true);
        };
        let parent = if let Some(real) = current.folders.get(&parent) {
            real.clone()
        } else {
            let real = tree.resolve(&parent).map_err(|e| current.fault(e))?;
            current.folders.insert(parent, real.clone());
            real
        };
        let at = parent.join(path.name()).map_err(|e| current.fault(e.into()))?;
        let there = tree.get(&at).map(|inode| &inode.kind);
        match (&entry.kind, there) {
            (EntryKind::Dir | EntryKind::Symlink(_), Some(Kind::Dir)) => return Ok(true),
            (EntryKind::Dir, Some(Kind::Symlink(_)))
                if tree.resolve(&at).is_ok_and(|to| matches!(tree.get(&to).map(|i| &i.kind), Some(Kind::Dir))) =>
            {
                return Ok(true);
            }
            (_, Some(Kind::Dir)) => return Err(current.bad(entry, "a folder of another package stands there")),
            (_, Some(_)) => {
                if !self.may_replace(current, &at)? {
                    return Ok(false);
                }
                if matches!(entry.kind, EntryKind::Dir) {
                    tree.remove(&at);
                }
            }
            (_, None) => {}
        }
        let kind = match &entry.kind {
            EntryKind::HardLink(target) => {
                let target = inner_path(target).map_err(|what| current.bad(entry, what))?;
                let target = tree.resolve_parent(&target).map_err(|e| current.fault(e))?;
                if self.owner.get(&target).is_none_or(|(index, _)| *index != current.index) {
                    return Err(current.bad(entry, "a hard link to what is not a file of the same package"));
                }
                tree.link(&target, &at).map_err(|e| current.fault(e))?;
                self.owner.insert(at, (current.index, path.clone()));
                return Ok(true);
            }
            EntryKind::File { .. } => current.content(entry)?,
            EntryKind::Symlink(target) => Kind::Symlink(target.clone()),
            EntryKind::Char(major, minor) => Kind::Char(*major, *minor),
            EntryKind::Block(major, minor) => Kind::Block(*major, *minor),
            EntryKind::Dir => Kind::Dir,
            EntryKind::Fifo => Kind::Fifo,
        };
        if !matches!(kind, Kind::Dir) {
            self.owner.insert(at.clone(), (current.index, path.clone()));
        }
        if matches!(kind, Kind::Symlink(_)) {
            // The known folders may now lead elsewhere.
            current.folders.clear();
        }
        let inode = Inode {
            mode: if matches!(kind, Kind::Symlink(_)) { 0o777 } else { entry.mode },
            uid: owners.user(&entry.user, entry.uid),
            gid: owners.group(&entry.group, entry.gid),
            mtime: entry.mtime,
            xattrs: entry.xattrs.clone(),
            layer: current.layer,
            kind,
        };
        tree.insert(&at, inode).map_err(|e| current.fault(e))?;
        Ok(true)
    }

    /// Whether the current package may replace the file at `at`.
    fn may_replace(&mut self, current: &Current<'_>, at: &TreePath) -> Result<bool, PackagesError> {
        let Some((index, theirs)) = self.owner.get(at).filter(|(index, _)| *index != current.index) else {
            return Ok(true);
        };
        let Some(other) = self.packages.get(*index) else { return Ok(true) };
        if replaces(&current.package, other)? {
            self.lost.entry(*index).or_default().insert(theirs.clone());
            return Ok(true);
        }
        if replaces(other, &current.package)? {
            return Ok(false);
        }
        let (package, other) = (current.package.name.clone(), other.name.clone());
        Err(PackagesError::Overwrite { path: at.clone(), package, other })
    }
}

impl Current<'_> {
    fn bad(&self, entry: &TarEntry, what: &'static str) -> PackagesError {
        let entry = String::from_utf8_lossy(&entry.path).into_owned();
        PackagesError::Entry { package: self.package.name.clone(), entry, what }
    }

    fn fault(&self, source: TreeError) -> PackagesError {
        PackagesError::Tree { package: self.package.name.clone(), source }
    }

    fn content(&self, entry: &TarEntry) -> Result<Kind, PackagesError> {
        match self.deb.content(entry) {
            Some(content) => Ok(Kind::File(content)),
            None => Err(self.bad(entry, "not a file whose content lies in the data archive")),
        }
    }
}

/// A path of an archive as a path inside the tree.
pub(super) fn inner_path(path: &[u8]) -> Result<TreePath, &'static str> {
    if path.starts_with(b"/") {
        return Err("an absolute path");
    }
    TreePath::new(path).map_err(|e| e.why)
}

/// Whether `new` declares `Replaces` on `old` (Policy 7.6.1; virtual packages do not count).
fn replaces(new: &Package, old: &Package) -> Result<bool, PackagesError> {
    let field = relation::parse(new.field("Replaces"))
        .map_err(|e| PackagesError::Control { package: new.name.clone(), what: format!("Replaces: {e}") })?;
    Ok(field.iter().flatten().any(|r| r.name == old.name && r.accepts(&old.version)))
}
