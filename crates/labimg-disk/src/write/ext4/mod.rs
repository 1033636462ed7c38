//! Writes a tree as an ext4 file system, in one pass.
//!
//! Everything is known before the first byte is written: the tree is numbered and counted (`plan`), the fixed parts
//! are placed (`layout`), then folders and files are laid out front to back without gaps (`write`).
//! The same tree and options give the same bytes. Formats follow the kernel's Documentation/filesystems/ext4.

mod allocate;
mod bytes;
mod checksum;
mod copy;
mod error;
mod extents;
mod folder;
mod groups;
mod hash;
mod inode;
mod journal;
mod layout;
mod output;
mod plan;
mod resize;
mod superblock;
mod write;
mod xattr;

pub use error::Ext4Error;
pub use layout::BLOCK;
use layout::Ext4Layout;
use plan::Ext4Plan;

use super::Sparse;
use labimg_tree::progress::{Progress, Unit};
use labimg_tree::{Inode, Kind, Tree, TreePath};

/// How a file system is made.
#[derive(Debug, Clone)]
pub struct Ext4Options {
    /// Size in bytes; an incomplete block at the end stays unused.
    pub size: u64,
    /// Volume label: 16 bytes at most.
    pub label: String,
    /// UUID of the volume.
    pub uuid: [u8; 16],
    /// Seed of the hashes that order large folders.
    pub hash_seed: [u8; 16],
    /// The creation time: seconds since 1970.
    pub time: i64,
    /// Blocks of the journal, 4 KiB each; `None` for mke2fs's choice.
    pub journal_blocks: Option<u32>,
    /// The size in bytes to which the mounted file system can grow; it sets the reserved descriptor blocks.
    pub growth: u64,
    /// One inode for this many bytes, also after growth; never fewer than the tree needs.
    pub inode_ratio: u64,
    /// Percent of the blocks that only root may use.
    pub reserved_percent: u8,
    /// Starts to write contents to the disk while more are written. For callers that sync the file at the end: they are
    /// done a third sooner, but the writing alone takes half as long again.
    pub writeback: bool,
}

impl Ext4Options {
    /// The usual options: mke2fs's journal size, growth to 1 TiB, one inode for each 16 KiB, 5% reserved, no writeback.
    #[must_use]
    pub fn new(size: u64, uuid: [u8; 16], hash_seed: [u8; 16], time: i64) -> Self {
        Self {
            size,
            label: String::new(),
            uuid,
            hash_seed,
            time,
            journal_blocks: None,
            growth: 1 << 40,
            inode_ratio: 16_384,
            reserved_percent: 5,
            writeback: false,
        }
    }

    fn check(&self) -> Result<(), Ext4Error> {
        /// Reserved descriptor blocks have 32-bit block numbers.
        const LARGEST: u64 = 16 << 40;
        let problem = if self.label.len() > 16 {
            format!("the label `{}`: it has more than 16 bytes", self.label)
        } else if !inode::time_fits(self.time) {
            format!("the time {}: it is outside 1901 to 2446", self.time)
        } else if self.size >= LARGEST {
            format!("{} bytes: it must be below 16 TiB", self.size)
        } else if self.inode_ratio < BLOCK {
            format!("an inode for each {} bytes: at least one block, {BLOCK}, is needed", self.inode_ratio)
        } else if self.reserved_percent > 50 {
            format!("{}% reserved: 50 is the most", self.reserved_percent)
        } else if self.journal_blocks.is_some_and(|j| j < journal::LEAST_BLOCKS) {
            format!("a journal below {} blocks", journal::LEAST_BLOCKS)
        } else {
            return Ok(());
        };
        Err(Ext4Error::Option(problem))
    }
}

/// Facts about the written file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ext4Summary {
    /// Blocks of 4 KiB; a rest too small for a block group is left out.
    pub blocks: u64,
    /// Free blocks.
    pub free_blocks: u64,
    /// Inodes, including free ones.
    pub inodes: u32,
    /// Free inodes.
    pub free_inodes: u32,
}

/// Writes `tree` as a file system into the bytes `offset..offset + options.size` of `out`, which must read as zeros.
/// Holes of the image are the free blocks, the bitmaps of groups without used blocks or inodes, which the kernel makes
/// itself, and the room for more group descriptors in backups, which resizing overwrites.
///
/// Blocks of zeros in files become holes of the files. Nothing is written when the tree does not fit; holes do not count.
///
/// # Errors
/// When ext4 cannot hold the options or files, the tree does not fit, reading or writing fails, or the user asks to
/// stop.
pub fn write(
    tree: &Tree,
    out: &Sparse,
    offset: u64,
    options: &Ext4Options,
    progress: &dyn Progress,
) -> Result<Ext4Summary, Ext4Error> {
    with_plan(tree, options, |plan| {
        let given = Sized::new(plan, options, options.size / BLOCK);
        let Some(sized) = given.filter(Sized::fits) else {
            return Err(Ext4Error::TooSmall { needed: least_size(plan, options)?, given: options.size });
        };
        let phase = progress.phase("Writing ext4", plan.data, Unit::Bytes);
        write::write(plan, &sized.layout, sized.journal, out, offset, options, &*phase)
    })
}

/// The smallest size in bytes, a whole number of MiB, that holds `tree`. `options.size` is ignored. Add the free space
/// you want.
///
/// # Errors
/// When ext4 cannot hold the options or files.
pub fn minimum_size(tree: &Tree, options: &Ext4Options) -> Result<u64, Ext4Error> {
    with_plan(tree, options, |plan| least_size(plan, options))
}

fn with_plan<T>(
    tree: &Tree,
    options: &Ext4Options,
    work: impl FnOnce(&Ext4Plan) -> Result<T, Ext4Error>,
) -> Result<T, Ext4Error> {
    options.check()?;
    let path = TreePath::new(plan::LOST_FOUND).unwrap_or_default();
    let root = tree.get("").ok_or_else(|| Ext4Error::Option("a tree without a root".to_owned()))?;
    let lost_found = Inode {
        kind: Kind::Dir,
        mode: 0o700,
        uid: 0,
        gid: 0,
        mtime: options.time,
        xattrs: std::collections::BTreeMap::new(),
        layer: root.layer,
    };
    work(&Ext4Plan::new(tree, (&path, &lost_found))?)
}

/// A layout of some size, and what the tree needs of it.
struct Sized {
    layout: Ext4Layout,
    journal: u32,
    free: u64,
    needed: u64,
}

impl Sized {
    fn new(plan: &Ext4Plan, options: &Ext4Options, blocks: u64) -> Option<Self> {
        // Some inodes for new files even when the file system is not grown.
        let inodes = plan.inodes() + plan.inodes() / 16 + 64;
        let layout = Ext4Layout::new(blocks, inodes, options.inode_ratio, options.growth)?;
        let journal = options.journal_blocks.unwrap_or_else(|| journal::usual_blocks(layout.blocks));
        let free = layout.blocks.checked_sub(layout.fixed_blocks())?;
        // One block for the resize inode.
        let needed = plan.blocks + u64::from(journal) + extents::most_tree_blocks(1, journal.into()) + 1;
        Some(Self { layout, journal, free, needed })
    }

    fn fits(&self) -> bool {
        self.needed <= self.free
    }
}

fn least_size(plan: &Ext4Plan, options: &Ext4Options) -> Result<u64, Ext4Error> {
    const MIB_BLOCKS: u64 = (1 << 20) / BLOCK;
    let mut blocks = plan.blocks.next_multiple_of(MIB_BLOCKS);
    loop {
        let missing = match Sized::new(plan, options, blocks) {
            Some(sized) if sized.fits() => return Ok(blocks * BLOCK),
            Some(sized) => sized.needed - sized.free,
            None => 1,
        };
        blocks += missing.next_multiple_of(MIB_BLOCKS);
        if blocks > u64::from(u32::MAX) {
            return Err(Ext4Error::Option(format!(
                "{} files of {} bytes: 16 TiB are the most",
                plan.inodes(),
                plan.data
            )));
        }
    }
}
