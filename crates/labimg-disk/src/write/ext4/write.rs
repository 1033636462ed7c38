//! Writes the planned tree front to back: journal, folders, files, then metadata, the superblock last.

use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use super::allocate::Allocator;
use super::checksum::{file_system_seed, inode_seed};
use super::copy::{self, Batch, Step};
use super::extents::{self, Extent};
use super::groups::{self, Usage};
use super::inode::{self, InodeRecord, MOST_LINKS};
use super::layout::{BLOCK, BLOCK_SIZE, Ext4Layout};
use super::output::Output;
use super::plan::{Ext4Plan, LOST_FOUND, LOST_FOUND_BLOCKS, PlannedInode};
use super::superblock::{self, Totals};
use super::{Ext4Error, Ext4Options, Ext4Summary, folder, journal, resize, xattr};
use crate::format::ext4::inode::{
    EXT4_EXTENTS_FL, EXT4_GOOD_OLD_FIRST_INO, EXT4_INDEX_FL, EXT4_JOURNAL_INO, EXT4_RESIZE_INO, EXT4_ROOT_INO,
    I_BLOCK_SIZE, SIZE as INODE_SIZE,
};
use crate::format::ext4::{group_descriptor, superblock as sb};
use crate::write::Sparse;
use labimg_tree::interrupt;
use labimg_tree::progress::Phase;
use labimg_tree::{Kind, TreePath};

/// The blocks of one inode.
struct Placed {
    size: u64,
    flags: u32,
    root: [u8; I_BLOCK_SIZE],
    blocks: u64,
}

struct Writer<'a> {
    plan: &'a Ext4Plan<'a>,
    layout: &'a Ext4Layout,
    options: &'a Ext4Options,
    seed: u32,
    blocks: Allocator,
    /// Folders, extent trees, attributes and the fixed parts.
    meta: Output<'a>,
    /// The inode tables, which fill up while files are written elsewhere.
    table: Output<'a>,
    /// Number of folders in each group.
    folders: Vec<u32>,
}

/// Writes a file system whose layout has room for the plan.
pub fn write(
    plan: &Ext4Plan,
    layout: &Ext4Layout,
    journal_blocks: u32,
    image: &Sparse,
    offset: u64,
    options: &Ext4Options,
    phase: &dyn Phase,
) -> Result<Ext4Summary, Ext4Error> {
    let mut writer = Writer {
        plan,
        layout,
        options,
        seed: file_system_seed(&options.uuid),
        blocks: Allocator::new(layout),
        meta: Output::new(image, offset),
        table: Output::new(image, offset),
        folders: vec![0; layout.groups as usize],
    };
    let journal = writer.journal(journal_blocks)?;
    let double = writer.take_one()?;
    let resize = resize::write(layout, double, options.time, &mut writer.meta)?;
    let placed = plan
        .folders
        .iter()
        .zip(plan.nodes.iter().filter(|n| Ext4Plan::folder_of(n).is_some()))
        .map(|(folder, node)| writer.folder(folder, node.path))
        .collect::<Result<Vec<_>, _>>()?;
    for ino in 1..EXT4_GOOD_OLD_FIRST_INO {
        let record = match ino {
            EXT4_ROOT_INO => {
                let Some(root) = plan.nodes.first() else { return Err(Ext4Error::Full) };
                writer.node(root, ino, &placed, None)?
            }
            EXT4_JOURNAL_INO => journal.encode(ino, writer.seed),
            EXT4_RESIZE_INO => resize.encode(ino, writer.seed),
            _ => [0; INODE_SIZE],
        };
        writer.put_inode(ino, &record)?;
    }
    writer.files(&placed, image, offset, phase)?;
    writer.finish(&journal)
}

impl Writer<'_> {
    fn take_one(&mut self) -> Result<u64, Ext4Error> {
        Ok(self.blocks.take(1).ok_or(Ext4Error::Full)?.start)
    }

    /// Takes blocks for a file from `logical` on, in as few runs as possible.
    fn take(&mut self, count: u64, extents: &mut Vec<Extent>) -> Result<(), Ext4Error> {
        let mut done = 0;
        while done < count {
            let run = self.blocks.take(count - done).ok_or(Ext4Error::Full)?;
            let len = run.end - run.start;
            extents::append(extents, done as u32, run);
            done += len;
        }
        Ok(())
    }

    fn journal(&mut self, blocks: u32) -> Result<InodeRecord, Ext4Error> {
        let mut extents = Vec::new();
        self.take(blocks.into(), &mut extents)?;
        if let Some(first) = extents.first() {
            self.meta.put(first.start, &journal::superblock(blocks, &self.options.uuid))?;
        }
        for (place, extent) in extents.iter().enumerate() {
            let blocks = extent.start + u64::from(place == 0)..extent.start + u64::from(extent.len);
            self.meta.zero(blocks.clone())?;
            if self.options.writeback {
                self.meta.begin_writeback(blocks.start, ((blocks.end - blocks.start) * BLOCK) as usize);
            }
        }
        let seed = inode_seed(self.seed, EXT4_JOURNAL_INO);
        let (root, tree_blocks) = extents::write_tree(&extents, seed, &mut self.blocks, &mut self.meta)?;
        let mut record = InodeRecord::new(0o100_600, self.options.time);
        record.size = u64::from(blocks) * BLOCK;
        record.flags = EXT4_EXTENTS_FL;
        record.block = root;
        record.blocks = u64::from(blocks) + tree_blocks;
        Ok(record)
    }

    fn folder(&mut self, folder: &super::plan::Folder, path: &TreePath) -> Result<Placed, Ext4Error> {
        interrupt::check()?;
        let seed = inode_seed(self.seed, folder.ino);
        let least = if path.as_bytes() == LOST_FOUND { LOST_FOUND_BLOCKS } else { 1 };
        let numbers = (folder.ino, folder.parent);
        let content = folder::build(&folder.entries, numbers, &self.options.hash_seed, seed, least as usize);
        let size = content.bytes.len() as u64;
        let mut extents = Vec::new();
        self.take(size / BLOCK, &mut extents)?;
        for extent in &extents {
            let from = extent.logical as usize * BLOCK_SIZE;
            self.meta.put(extent.start, &content.bytes[from..from + usize::from(extent.len) * BLOCK_SIZE])?;
        }
        let (root, tree_blocks) = extents::write_tree(&extents, seed, &mut self.blocks, &mut self.meta)?;
        let flags = EXT4_EXTENTS_FL | if content.hashed { EXT4_INDEX_FL } else { 0 };
        Ok(Placed { size, flags, root, blocks: size / BLOCK + tree_blocks })
    }

    fn files(&mut self, placed: &[Placed], image: &Sparse, offset: u64, phase: &dyn Phase) -> Result<(), Ext4Error> {
        let plan = self.plan;
        std::thread::scope(|scope| {
            let (full, batches) = sync_channel(copy::BATCHES);
            let (back, used) = channel();
            scope.spawn(move || {
                let files = plan.nodes.iter().filter_map(|n| match &n.inode.kind {
                    Kind::File(content) if !content.is_empty() => Some((n.path, content)),
                    _ => None,
                });
                copy::read_all(files, &used, &full);
            });
            let out = Output::new(image, offset);
            let writeback = self.options.writeback;
            let mut source = Source {
                batches,
                back,
                batch: Batch::default(),
                step: 0,
                at: 0,
                run: (0, 0..0),
                out,
                writeback,
                phase,
            };
            for (index, node) in plan.nodes.iter().enumerate().skip(1) {
                if index % 4096 == 0 {
                    interrupt::check()?;
                }
                let ino = Ext4Plan::ino(index);
                let record = self.node(node, ino, placed, Some(&mut source))?;
                self.put_inode(ino, &record)?;
            }
            source.write_run()
        })
    }

    /// Writes the content of one inode and makes its record.
    fn node(
        &mut self,
        node: &PlannedInode,
        ino: u32,
        placed: &[Placed],
        source: Option<&mut Source>,
    ) -> Result<[u8; INODE_SIZE], Ext4Error> {
        let inode = node.inode;
        let mut record = InodeRecord::new(inode.kind.type_bits() | (inode.mode & 0o7777), inode.mtime);
        (record.uid, record.gid, record.links) = (inode.uid, inode.gid, node.links);
        let seed = inode_seed(self.seed, ino);
        match &inode.kind {
            Kind::Dir => {
                if let Some(place) = Ext4Plan::folder_of(node).and_then(|f| placed.get(f)) {
                    (record.size, record.flags) = (place.size, place.flags);
                    (record.block, record.blocks) = (place.root, place.blocks);
                }
                if record.links > MOST_LINKS {
                    record.links = 1;
                }
                self.folders[((ino - 1) / self.layout.inodes_per_group) as usize] += 1;
            }
            Kind::File(content) => {
                record.size = content.len();
                record.flags = EXT4_EXTENTS_FL;
                let mut extents = Vec::new();
                if let (Some(source), false) = (source, content.is_empty()) {
                    record.blocks = source.copy(&mut self.blocks, &mut extents)?;
                }
                let (root, tree) = extents::write_tree(&extents, seed, &mut self.blocks, &mut self.meta)?;
                record.block = root;
                record.blocks += tree;
            }
            Kind::Symlink(target) if target.len() < I_BLOCK_SIZE => {
                record.size = target.len() as u64;
                record.block[..target.len()].copy_from_slice(target);
            }
            Kind::Symlink(target) => {
                record.size = target.len() as u64;
                record.flags = EXT4_EXTENTS_FL;
                let mut extents = Vec::new();
                self.take(1, &mut extents)?;
                let mut block = [0; BLOCK_SIZE];
                block[..target.len()].copy_from_slice(target);
                for extent in &extents {
                    self.meta.put(extent.start, &block)?;
                }
                (record.block, record.blocks) = extents::write_tree(&extents, seed, &mut self.blocks, &mut self.meta)?;
                record.blocks += 1;
            }
            Kind::Char(major, minor) | Kind::Block(major, minor) => {
                // Checked by the plan.
                record.block = inode::device(*major, *minor).unwrap_or(record.block);
            }
            Kind::Fifo | Kind::Socket => {}
        }
        if !inode.xattrs.is_empty() {
            let stored =
                xattr::encode(&inode.xattrs).map_err(|what| Ext4Error::Refused { path: node.path.clone(), what })?;
            record.xattrs = stored.inline;
            if let Some(mut block) = stored.block {
                record.xattr_block = self.take_one()?;
                xattr::seal(&mut block, record.xattr_block, self.seed);
                self.meta.put(record.xattr_block, &block[..])?;
                record.blocks += 1;
            }
        }
        Ok(record.encode(ino, self.seed))
    }

    fn put_inode(&mut self, ino: u32, record: &[u8; INODE_SIZE]) -> Result<(), Ext4Error> {
        let (group, index) = ((ino - 1) / self.layout.inodes_per_group, (ino - 1) % self.layout.inodes_per_group);
        let at = self.layout.inode_table(group) * BLOCK + u64::from(index) * INODE_SIZE as u64;
        self.table.put_at(at, record)
    }

    /// Writes the unused ends of the inode tables: their groups say that they are zeros (`EXT4_BG_INODE_ZEROED`).
    fn unused_inodes(&mut self, last_ino: u32) -> Result<(), Ext4Error> {
        let layout = self.layout;
        let per_block = BLOCK / INODE_SIZE as u64;
        for group in 0..layout.groups {
            let table = layout.inode_table(group);
            let used = last_ino.saturating_sub(group * layout.inodes_per_group).min(layout.inodes_per_group);
            let (whole, rest) = (u64::from(used) / per_block, u64::from(used) % per_block);
            if rest > 0 {
                let at = (table + whole) * BLOCK + rest * INODE_SIZE as u64;
                self.table.put_at(at, &vec![0; ((per_block - rest) * INODE_SIZE as u64) as usize])?;
                self.table.flush()?;
            }
            self.table.zero(table + u64::from(used).div_ceil(per_block)..table + u64::from(layout.table_blocks))?;
        }
        Ok(())
    }

    fn finish(mut self, journal: &InodeRecord) -> Result<Ext4Summary, Ext4Error> {
        self.table.flush()?;
        let layout = self.layout;
        let last_ino = Ext4Plan::ino(self.plan.nodes.len() - 1);
        self.unused_inodes(last_ino)?;
        let usage = Usage { reached: self.blocks.reached(), last_ino, folders: &self.folders };
        let descriptors = groups::write_bitmaps(layout, &usage, self.seed, &mut self.meta)?;
        debug_assert_eq!(descriptors.bytes.len(), layout.groups as usize * group_descriptor::SIZE);
        let totals = Totals {
            free_blocks: descriptors.free_blocks,
            free_inodes: layout.inodes() - last_ino,
            overhead: layout.fixed_blocks() + journal.size / BLOCK,
            reserved: layout.blocks * u64::from(self.options.reserved_percent) / 100,
            journal: journal.block,
            journal_size: journal.size,
        };
        for group in layout.backup_groups() {
            let start = Ext4Layout::group_start(group);
            self.meta.put(start, &superblock::encode(layout, self.options, &totals, group))?;
            self.meta.put(start + 1, &descriptors.bytes)?;
        }
        self.meta.put(1, &descriptors.bytes)?;
        self.meta.flush()?;
        // Written last: without it there is no file system. Boot code and other signatures would be before it.
        let mut first = vec![0; sb::OFFSET as usize];
        first.extend(superblock::encode(layout, self.options, &totals, 0));
        self.meta.put(0, &first)?;
        self.meta.flush()?;
        Ok(Ext4Summary {
            blocks: layout.blocks,
            free_blocks: totals.free_blocks,
            inodes: layout.inodes(),
            free_inodes: totals.free_inodes,
        })
    }
}

/// Splits the batches of the reading thread into files and writes them, each contiguous run at once.
struct Source<'a> {
    batches: Receiver<Result<Batch, Ext4Error>>,
    back: Sender<Batch>,
    batch: Batch,
    /// The next step of the batch.
    step: usize,
    /// Offset in the batch where its blocks begin.
    at: usize,
    /// The run to be written: its block, and its bytes in the batch.
    run: (u64, std::ops::Range<usize>),
    out: Output<'a>,
    writeback: bool,
    phase: &'a dyn Phase,
}

impl Source<'_> {
    /// Writes the next file and returns how many blocks it has.
    fn copy(&mut self, allocator: &mut Allocator, extents: &mut Vec<Extent>) -> Result<u64, Ext4Error> {
        let mut total = 0;
        loop {
            let Some(step) = self.batch.steps.get(self.step).copied() else {
                self.next_batch()?;
                continue;
            };
            self.step += 1;
            let Step::Blocks { mut logical, blocks } = step else { return Ok(total) };
            total += u64::from(blocks);
            let end = logical + blocks;
            while logical < end {
                let run = allocator.take(u64::from(end - logical)).ok_or(Ext4Error::Full)?;
                let len = run.end - run.start;
                self.queue(run.start, len as usize * BLOCK_SIZE)?;
                extents::append(extents, logical, run);
                logical += len as u32;
            }
        }
    }

    /// Queues the next `len` bytes of the batch for `block`.
    fn queue(&mut self, block: u64, len: usize) -> Result<(), Ext4Error> {
        let follows = self.run.0 + (self.run.1.len() / BLOCK_SIZE) as u64 == block;
        if !follows || self.run.1.is_empty() {
            self.write_run()?;
            self.run = (block, self.at..self.at);
        }
        self.at += len;
        self.run.1.end = self.at;
        Ok(())
    }

    fn write_run(&mut self) -> Result<(), Ext4Error> {
        let (block, range) = std::mem::take(&mut self.run);
        let bytes = &self.batch.bytes()[range];
        self.out.write(block, bytes)?;
        if self.writeback {
            self.out.begin_writeback(block, bytes.len());
        }
        Ok(())
    }

    fn next_batch(&mut self) -> Result<(), Ext4Error> {
        self.write_run()?;
        self.phase.inc(self.batch.bytes().len() as u64);
        // The reading thread only ends without a batch after it sent an error.
        let next = self.batches.recv().map_err(|_| Ext4Error::Interrupted(interrupt::Interrupted))??;
        let done = std::mem::replace(&mut self.batch, next);
        // The first batch is an empty one that does not belong to the reading thread. That thread ends before it takes
        // back the last batches.
        if !done.steps.is_empty() || !done.bytes().is_empty() {
            let _ = self.back.send(done);
        }
        (self.step, self.at) = (0, 0);
        Ok(())
    }
}
