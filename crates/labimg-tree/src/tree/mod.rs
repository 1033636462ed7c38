//! The node's whole file system in memory: path → kind, owner, mode, times, xattrs and the place of the content.
//!
//! Layers ([`labimg::layers`]) are functions that change a tree; writers ([`labimg_disk::write`]) stream it out. Paths
//! name inodes: hard links are two paths of one inode, as on a disk.

mod content;
mod error;
mod listing;
mod lookup;
mod path;

use std::collections::BTreeMap;
use std::ops::Bound;

pub use content::{Blob, Content, ContentReader};
pub use error::TreeError;
pub use listing::listing;
pub use path::{PathError, TreePath};

/// Which layer an entry came from, as an index into the tree's list of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerId(u16);

/// What kind of thing a path names.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A folder.
    Dir,
    /// A regular file.
    File(Content),
    /// A symbolic link with its target's bytes, as stored.
    Symlink(Vec<u8>),
    /// A character device: major and minor number.
    Char(u32, u32),
    /// A block device: major and minor number.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl Kind {
    /// The file type bits of `st_mode` (`S_IFMT`, inode(7)).
    #[must_use]
    pub fn type_bits(&self) -> u16 {
        match self {
            Self::Fifo => 0o010_000,
            Self::Char(..) => 0o020_000,
            Self::Dir => 0o040_000,
            Self::Block(..) => 0o060_000,
            Self::File(_) => 0o100_000,
            Self::Symlink(_) => 0o120_000,
            Self::Socket => 0o140_000,
        }
    }
}

/// Everything about a file except its names.
#[derive(Debug, Clone)]
pub struct Inode {
    /// Kind and content.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: `0o7777` at most.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last change, seconds since 1970 (UTC). Access and creation time are written as the same.
    pub mtime: i64,
    /// Extended attributes by full name (`security.capability`), sorted.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// The layer that created it or changed it last.
    pub layer: LayerId,
}

/// Identifies an inode of a tree. Two paths with the same id are hard links of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(u32);

/// A file system in memory. It always has a root folder.
#[derive(Debug, Clone)]
pub struct Tree {
    paths: BTreeMap<TreePath, InodeId>,
    inodes: Vec<Inode>,
    layers: Vec<String>,
    layer: LayerId,
    time: i64,
}

impl Tree {
    /// A tree with only `/` (0755, root). `time` (seconds since 1970) is the mtime of what labimg itself creates.
    #[must_use]
    pub fn new(time: i64) -> Self {
        let layer = LayerId(0);
        let root = Inode { kind: Kind::Dir, mode: 0o755, uid: 0, gid: 0, mtime: time, xattrs: BTreeMap::new(), layer };
        Self {
            paths: BTreeMap::from([(TreePath::root(), InodeId(0))]),
            inodes: vec![root],
            layers: vec!["base".to_owned()],
            layer,
            time,
        }
    }

    /// The mtime of what labimg itself creates: seconds since 1970.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.time
    }

    /// From here on, new and changed entries belong to the layer `name` (such as `package bash 5.2.37-2+b5` or `overlay common`).
    pub fn begin_layer(&mut self, name: impl Into<String>) -> LayerId {
        let name = name.into();
        let index = self.layers.iter().position(|l| *l == name).unwrap_or_else(|| {
            self.layers.push(name);
            self.layers.len() - 1
        });
        // A build has hundreds of layers, not 65,536. Beyond that the last one stands for the rest.
        self.layer = LayerId(u16::try_from(index).unwrap_or(u16::MAX));
        self.layer
    }

    /// The name of a layer.
    #[must_use]
    pub fn layer_name(&self, layer: LayerId) -> &str {
        self.layers.get(usize::from(layer.0)).map_or("?", String::as_str)
    }

    /// Number of paths, including `/`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Never true: `/` always exists.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The inode at exactly this path (no symbolic link is followed). A leading `/` is allowed.
    #[must_use]
    pub fn get(&self, path: impl AsRef<[u8]>) -> Option<&Inode> {
        self.id(path).map(|id| &self.inodes[id.0 as usize])
    }

    /// The inode's id at exactly this path.
    #[must_use]
    pub fn id(&self, path: impl AsRef<[u8]>) -> Option<InodeId> {
        let path = path.as_ref();
        self.paths.get(path.strip_prefix(b"/").unwrap_or(path)).copied()
    }

    /// As [`Tree::get`], but to change it. The change belongs to the current layer and affects all hard links.
    pub fn get_mut(&mut self, path: impl AsRef<[u8]>) -> Option<&mut Inode> {
        let id = self.id(path)?;
        let inode = &mut self.inodes[id.0 as usize];
        inode.layer = self.layer;
        Some(inode)
    }

    /// True when this exact path exists.
    #[must_use]
    pub fn contains(&self, path: impl AsRef<[u8]>) -> bool {
        self.id(path).is_some()
    }

    /// All paths in byte order: a folder comes before what is in it.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, InodeId, &Inode)> {
        self.paths.iter().map(|(path, &id)| (path, id, &self.inodes[id.0 as usize]))
    }

    /// All paths strictly below `folder`, in byte order.
    pub fn below<'a>(
        &'a self,
        folder: &TreePath,
    ) -> impl Iterator<Item = (&'a TreePath, InodeId, &'a Inode)> + use<'a> {
        let mut from = folder.as_bytes().to_vec();
        if !folder.is_root() {
            from.push(b'/');
        }
        let prefix = from.clone();
        self.paths
            .range::<[u8], _>((Bound::Excluded(from.as_slice()), Bound::Unbounded))
            .take_while(move |(path, _)| path.as_bytes().starts_with(&prefix))
            .map(|(path, &id)| (path, id, &self.inodes[id.0 as usize]))
    }

    /// Puts `inode` at `path`. What was there loses this name.
    ///
    /// # Errors
    /// When the parent is not a folder of the tree, or a folder would replace a file or the other way round.
    pub fn insert(&mut self, path: &TreePath, mut inode: Inode) -> Result<InodeId, TreeError> {
        inode.layer = self.layer;
        self.check_place(path, matches!(inode.kind, Kind::Dir))?;
        if matches!(inode.kind, Kind::Dir)
            && let Some(&id) = self.paths.get(path)
        {
            self.inodes[id.0 as usize] = inode;
            return Ok(id);
        }
        // 2^32 inodes do not fit in memory, so the index cannot wrap.
        let id = InodeId(self.inodes.len() as u32);
        self.inodes.push(inode);
        self.paths.insert(path.clone(), id);
        Ok(id)
    }

    /// Makes `path` a hard link to the file at `existing`.
    ///
    /// # Errors
    /// When `existing` is missing or a folder, or `path` cannot be put there.
    pub fn link(&mut self, existing: &TreePath, path: &TreePath) -> Result<(), TreeError> {
        let id = self.id(existing).ok_or_else(|| TreeError::NotFound(existing.clone()))?;
        if matches!(self.inodes[id.0 as usize].kind, Kind::Dir) {
            return Err(TreeError::Conflict { path: path.clone(), what: "a folder cannot have a second name" });
        }
        self.check_place(path, false)?;
        self.paths.insert(path.clone(), id);
        Ok(())
    }

    /// Removes a name; for a folder, everything below it too. A missing name is not an error.
    pub fn remove(&mut self, path: &TreePath) {
        let below: Vec<TreePath> = self.below(path).map(|(p, _, _)| p.clone()).collect();
        for p in below {
            self.paths.remove(&p);
        }
        if !path.is_root() {
            self.paths.remove(path);
        }
    }

    /// Renames a file, link or folder (with everything below it), replacing a file there.
    ///
    /// # Errors
    /// When `from` is missing or `to` cannot be put there.
    pub fn rename(&mut self, from: &TreePath, to: &TreePath) -> Result<(), TreeError> {
        let id = self.id(from).ok_or_else(|| TreeError::NotFound(from.clone()))?;
        self.check_place(to, matches!(self.inodes[id.0 as usize].kind, Kind::Dir))?;
        let moved: Vec<(TreePath, InodeId)> = self.below(from).map(|(p, id, _)| (p.clone(), id)).collect();
        self.remove(from);
        self.paths.insert(to.clone(), id);
        for (path, id) in moved {
            let rest = &path.as_bytes()[from.as_bytes().len()..];
            self.paths.insert(to.join(rest)?, id);
        }
        Ok(())
    }

    fn check_place(&self, path: &TreePath, is_dir: bool) -> Result<(), TreeError> {
        if let Some(parent) = path.parent()
            && !matches!(self.get(&parent).map(|i| &i.kind), Some(Kind::Dir))
        {
            return Err(TreeError::NotAFolder { path: path.clone(), parent });
        }
        match self.get(path).map(|i| &i.kind) {
            Some(Kind::Dir) if !is_dir => {
                Err(TreeError::Conflict { path: path.clone(), what: "a folder stands where a file was to be put" })
            }
            Some(kind) if is_dir && !matches!(kind, Kind::Dir) => {
                Err(TreeError::Conflict { path: path.clone(), what: "a file stands where a folder was to be put" })
            }
            _ => Ok(()),
        }
    }

    // --- what labimg itself creates: owned by root, with the tree's time ---

    fn own(&self, kind: Kind, mode: u16) -> Inode {
        Inode { kind, mode, uid: 0, gid: 0, mtime: self.time, xattrs: BTreeMap::new(), layer: self.layer }
    }

    /// Creates a folder owned by root, and missing ones above it (0755). An existing folder keeps its owner and gets
    /// `mode`.
    ///
    /// # Errors
    /// When a file is in the way or the path is bad.
    pub fn mkdir(&mut self, path: impl AsRef<[u8]>, mode: u16) -> Result<(), TreeError> {
        let path = TreePath::new(path)?;
        self.make_parents(&path)?;
        if let Some(Inode { kind: Kind::Dir, .. }) = self.get(&path) {
            if let Some(inode) = self.get_mut(&path) {
                inode.mode = mode;
            }
            return Ok(());
        }
        let inode = self.own(Kind::Dir, mode);
        self.insert(&path, inode).map(drop)
    }

    /// Writes a file owned by root, and creates missing folders above it.
    ///
    /// # Errors
    /// When a folder is in the way or the path is bad.
    pub fn write(&mut self, path: impl AsRef<[u8]>, mode: u16, content: impl Into<Content>) -> Result<(), TreeError> {
        let path = TreePath::new(path)?;
        self.make_parents(&path)?;
        let inode = self.own(Kind::File(content.into()), mode);
        self.insert(&path, inode).map(drop)
    }

    /// Creates a symbolic link, and missing folders above it.
    ///
    /// # Errors
    /// When a folder is in the way or the path is bad.
    pub fn symlink(&mut self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Result<(), TreeError> {
        let path = TreePath::new(path)?;
        self.make_parents(&path)?;
        let inode = self.own(Kind::Symlink(target.as_ref().to_vec()), 0o777);
        self.insert(&path, inode).map(drop)
    }

    fn make_parents(&mut self, path: &TreePath) -> Result<(), TreeError> {
        if let Some(parent) = path.parent()
            && !self.contains(&parent)
        {
            self.make_parents(&parent)?;
            let inode = self.own(Kind::Dir, 0o755);
            self.insert(&parent, inode)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new(1_000);
        tree.write("usr/bin/dash", 0o755, "x").unwrap();
        tree.symlink("bin", "usr/bin").unwrap();
        tree.symlink("usr/bin/sh", "dash").unwrap();
        tree
    }

    #[test]
    fn links_are_followed_inside_the_tree() {
        let mut tree = tree();
        assert_eq!(tree.read_text("/bin/sh").unwrap(), "x");
        assert_eq!(tree.resolve_parent("bin/sh").unwrap().to_string(), "/usr/bin/sh");
        assert_eq!(tree.resolve("bin/new").unwrap().to_string(), "/usr/bin/new");
        tree.symlink("a", "b").unwrap();
        tree.symlink("b", "a").unwrap();
        assert!(matches!(tree.resolve("a"), Err(TreeError::Link { .. })));
        tree.symlink("out", "../../etc").unwrap();
        assert!(matches!(tree.resolve("out/passwd"), Err(TreeError::Link { .. })));
    }

    #[test]
    fn hard_links_share_an_inode() {
        let mut tree = tree();
        tree.link(&TreePath::new("usr/bin/dash").unwrap(), &TreePath::new("usr/bin/ash").unwrap()).unwrap();
        tree.get_mut("usr/bin/ash").unwrap().mode = 0o4755;
        assert_eq!(tree.get("usr/bin/dash").unwrap().mode, 0o4755);
        tree.remove(&TreePath::new("usr/bin/dash").unwrap());
        assert_eq!(tree.read_text("usr/bin/ash").unwrap(), "x");
    }

    #[test]
    fn a_file_cannot_stand_for_a_folder() {
        let mut tree = tree();
        assert!(matches!(tree.write("usr", 0o644, ""), Err(TreeError::Conflict { .. })));
        assert!(matches!(tree.write("usr/bin/dash/x", 0o644, ""), Err(TreeError::NotAFolder { .. })));
    }

    #[test]
    fn folders_move_with_what_is_in_them() {
        let mut tree = tree();
        tree.rename(&TreePath::new("usr/bin").unwrap(), &TreePath::new("sbin").unwrap()).unwrap();
        assert_eq!(tree.read_text("sbin/sh").unwrap(), "x");
        assert!(!tree.contains("usr/bin/dash"));
    }

    #[test]
    fn entries_remember_their_layer() {
        let mut tree = tree();
        tree.begin_layer("overlay common");
        tree.write("etc/hostname", 0o644, "n\n").unwrap();
        let layer = tree.get("etc/hostname").unwrap().layer;
        assert_eq!(tree.layer_name(layer), "overlay common");
        assert_eq!(tree.layer_name(tree.get("usr/bin/dash").unwrap().layer), "base");
    }
}
