//! Numbers the inodes of a tree, collects its folders, checks that ext4 can hold it and counts the blocks it needs.

use std::collections::HashMap;

use super::copy::segments;
use super::extents::most_tree_blocks;
use super::folder::{FolderEntry, most_blocks};
use super::inode::{MOST_LINKS, device, time_fits};
use super::layout::{BLOCK, BLOCK_SIZE};
use super::{Ext4Error, xattr};
use crate::format::ext4::directory as entry;
use crate::format::ext4::inode::{EXT4_GOOD_OLD_FIRST_INO, EXT4_ROOT_INO, I_BLOCK_SIZE};
use labimg_tree::interrupt;
use labimg_tree::{Inode, InodeId, Kind, Tree, TreePath};

/// Blocks of `lost+found`, so that `e2fsck` can put files there without allocating.
pub const LOST_FOUND_BLOCKS: u64 = 4;
/// The folder that e2fsck expects.
pub const LOST_FOUND: &[u8] = b"lost+found";

const NO_FOLDER: u32 = u32::MAX;

/// One inode; the list is in the order of their numbers.
#[derive(Debug)]
pub struct PlannedInode<'t> {
    /// Its first name.
    pub path: &'t TreePath,
    /// Its metadata and content.
    pub inode: &'t Inode,
    /// Its link count; for folders as ext4 counts.
    pub links: u32,
    folder: u32,
}

/// The content of a folder.
#[derive(Debug)]
pub struct Folder<'t> {
    /// Its own inode.
    pub ino: u32,
    /// Its parent folder's inode.
    pub parent: u32,
    /// Its entries, in byte order.
    pub entries: Vec<FolderEntry<'t>>,
}

/// A tree as it will be stored on the disk.
#[derive(Debug)]
pub struct Ext4Plan<'t> {
    /// `/`, `lost+found`, then all others in the order of their paths.
    pub nodes: Vec<PlannedInode<'t>>,
    /// The folders, in the order of their inodes.
    pub folders: Vec<Folder<'t>>,
    /// Blocks for contents, folders, extent trees, attributes and long links: an upper bound.
    pub blocks: u64,
    /// Bytes of contents, without known holes.
    pub data: u64,
}

impl<'t> Ext4Plan<'t> {
    /// Plans a tree. `lost_found` is added when the tree has none.
    pub fn new(tree: &'t Tree, lost_found: (&'t TreePath, &'t Inode)) -> Result<Self, Ext4Error> {
        let mut builder = Builder {
            nodes: Vec::with_capacity(tree.len() + 1),
            folders: Vec::new(),
            by_path: HashMap::new(),
            by_id: HashMap::with_capacity(tree.len()),
        };
        let given = tree.get(LOST_FOUND);
        for (path, id, inode) in tree.iter() {
            if path.is_root() {
                builder.add_folder(path, inode, None);
                let (path, inode) = (lost_found.0, given.unwrap_or(lost_found.1));
                if !matches!(inode.kind, Kind::Dir) {
                    return Err(refuse(path, "must be a folder on ext4"));
                }
                builder.add_folder(path, inode, Some(0));
            } else if path.as_bytes() != LOST_FOUND {
                builder.add(path, id, inode)?;
            }
        }
        // `lost+found` was added first; names must be in byte order.
        if let Some(root) = builder.folders.first_mut() {
            root.entries.sort_unstable_by_key(|e| e.name);
        }
        let mut plan = Self { nodes: builder.nodes, folders: builder.folders, blocks: 0, data: 0 };
        plan.count()?;
        Ok(plan)
    }

    /// The number of the inode at `index` of the nodes.
    pub fn ino(index: usize) -> u32 {
        if index == 0 { EXT4_ROOT_INO } else { index as u32 + EXT4_GOOD_OLD_FIRST_INO - 1 }
    }

    /// Number of inodes in use, including reserved ones.
    pub fn inodes(&self) -> u64 {
        self.nodes.len() as u64 + u64::from(EXT4_GOOD_OLD_FIRST_INO) - 1
    }

    /// The index of a node in `folders`, if it is a folder.
    pub fn folder_of(node: &PlannedInode) -> Option<usize> {
        (node.folder != NO_FOLDER).then_some(node.folder as usize)
    }

    fn count(&mut self) -> Result<(), Ext4Error> {
        for (done, node) in self.nodes.iter().enumerate() {
            if done % 4096 == 0 {
                interrupt::check()?;
            }
            self.blocks += match &node.inode.kind {
                Kind::File(content) => {
                    let runs = segments(content);
                    let blocks: u64 = runs.iter().map(|r| r.end - r.start).sum();
                    self.data += (blocks * BLOCK).min(content.len());
                    if content.len() > u64::from(u32::MAX) * BLOCK {
                        return Err(refuse(node.path, "is larger than ext4 allows, 16 TiB"));
                    }
                    blocks + most_tree_blocks(runs.len() as u64, blocks)
                }
                Kind::Dir => {
                    let folder = Self::folder_of(node).and_then(|f| self.folders.get(f));
                    let entries = folder.map_or(&[][..], |f| &f.entries);
                    let blocks = most_blocks(entries)
                        .ok_or_else(|| refuse(node.path, "has more names than a hashed folder can hold"))?
                        .max(LOST_FOUND_BLOCKS * u64::from(node.path.as_bytes() == LOST_FOUND));
                    blocks + most_tree_blocks(1, blocks)
                }
                Kind::Symlink(target) => u64::from(target.len() >= I_BLOCK_SIZE),
                _ => 0,
            };
            if !node.inode.xattrs.is_empty() {
                let stored = xattr::encode(&node.inode.xattrs).map_err(|what| refuse(node.path, what))?;
                self.blocks += u64::from(stored.block.is_some());
            }
            check(node)?;
        }
        Ok(())
    }
}

fn refuse(path: &TreePath, what: impl Into<String>) -> Ext4Error {
    Ext4Error::Refused { path: path.clone(), what: what.into() }
}

fn check(node: &PlannedInode) -> Result<(), Ext4Error> {
    match &node.inode.kind {
        Kind::Symlink(target) if target.is_empty() || target.len() >= BLOCK_SIZE || target.contains(&0) => {
            let what = format!("has a link target of {} bytes; 1 to 4095 without NUL are possible", target.len());
            return Err(refuse(node.path, what));
        }
        Kind::Char(major, minor) | Kind::Block(major, minor) if device(*major, *minor).is_none() => {
            return Err(refuse(node.path, format!("has the device number {major}:{minor}, which Linux does not have")));
        }
        Kind::Dir => {}
        _ if node.links > MOST_LINKS => {
            return Err(refuse(node.path, format!("has {} names; ext4 allows {MOST_LINKS}", node.links)));
        }
        _ => {}
    }
    if !time_fits(node.inode.mtime) {
        return Err(refuse(node.path, format!("has the time {}, outside 1901 to 2446", node.inode.mtime)));
    }
    Ok(())
}

struct Builder<'t> {
    nodes: Vec<PlannedInode<'t>>,
    folders: Vec<Folder<'t>>,
    by_path: HashMap<&'t [u8], u32>,
    /// The node index of each inode that is not a folder.
    by_id: HashMap<InodeId, u32>,
}

impl<'t> Builder<'t> {
    fn add(&mut self, path: &'t TreePath, id: InodeId, inode: &'t Inode) -> Result<(), Ext4Error> {
        let bytes = path.as_bytes();
        let parent_len = bytes.iter().rposition(|&b| b == b'/').unwrap_or(0);
        let parent = bytes.get(..parent_len).and_then(|parent| self.by_path.get(parent)).copied();
        let parent = parent.ok_or_else(|| refuse(path, "is in no folder"))?;
        if matches!(inode.kind, Kind::Dir) {
            self.add_folder(path, inode, Some(parent));
            return Ok(());
        }
        let next = u32::try_from(self.nodes.len()).map_err(|_| refuse(path, "is one file too many for ext4"))?;
        let index = *self.by_id.entry(id).or_insert(next);
        if index == next {
            self.nodes.push(PlannedInode { path, inode, links: 0, folder: NO_FOLDER });
        }
        if let Some(node) = self.nodes.get_mut(index as usize) {
            node.links += 1;
        }
        self.name(parent, path, index, inode);
        Ok(())
    }

    fn add_folder(&mut self, path: &'t TreePath, inode: &'t Inode, parent: Option<u32>) {
        // There are at most as many folders as nodes, whose number is checked.
        let (index, folder) = (self.nodes.len() as u32, self.folders.len() as u32);
        self.nodes.push(PlannedInode { path, inode, links: 2, folder });
        self.by_path.insert(path.as_bytes(), folder);
        let parent_ino = parent.and_then(|p| self.folders.get(p as usize)).map_or(EXT4_ROOT_INO, |p| p.ino);
        self.folders.push(Folder { ino: Ext4Plan::ino(index as usize), parent: parent_ino, entries: Vec::new() });
        if let Some(parent) = parent {
            self.name(parent, path, index, inode);
            let above =
                if parent_ino == EXT4_ROOT_INO { 0 } else { (parent_ino + 1 - EXT4_GOOD_OLD_FIRST_INO) as usize };
            if let Some(node) = self.nodes.get_mut(above) {
                node.links += 1;
            }
        }
    }

    fn name(&mut self, folder: u32, path: &'t TreePath, index: u32, inode: &Inode) {
        let file_type = match inode.kind {
            Kind::File(_) => entry::EXT4_FT_REG_FILE,
            Kind::Dir => entry::EXT4_FT_DIR,
            Kind::Char(..) => entry::EXT4_FT_CHRDEV,
            Kind::Block(..) => entry::EXT4_FT_BLKDEV,
            Kind::Fifo => entry::EXT4_FT_FIFO,
            Kind::Socket => entry::EXT4_FT_SOCK,
            Kind::Symlink(_) => entry::EXT4_FT_SYMLINK,
        };
        if let Some(folder) = self.folders.get_mut(folder as usize) {
            folder.entries.push(FolderEntry { name: path.name(), ino: Ext4Plan::ino(index as usize), file_type });
        }
    }
}
