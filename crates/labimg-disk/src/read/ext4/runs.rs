//! Which bytes of a file are stored; all others are holes, which read as zeros (kernel Documentation/filesystems/ext4,
//! "Extent Tree" and "Direct/Indirect Block Addressing").

use std::ops::Range;

use fs_ext4::extent::{EXT4_EXT_MAX_DEPTH, EXT4_EXT_NODE_SIZE, Extent, ExtentHeader, ExtentIdx};

use super::Ext4Volume;
use crate::format::ext4::inode::EXT4_DIND_BLOCK;
use crate::ranges::joined;
use crate::read::InspectError;
use crate::read::region::u32_at;
use labimg_tree::interrupt;

/// Block numbers in an inode that name blocks of the file itself; the next one names a block of such numbers.
const DIRECT: usize = EXT4_DIND_BLOCK - 1;

impl Ext4Volume {
    /// The stored bytes of a regular file, as ascending ranges that do not touch.
    ///
    /// # Errors
    /// When the file system is damaged: also when the file has more blocks than the file system.
    pub fn runs(&self, inode: u32) -> Result<Vec<Range<u64>>, InspectError> {
        let (parsed, _) = self.inode(inode)?;
        if parsed.size == 0 {
            return Ok(Vec::new());
        }
        if parsed.has_inline_data() {
            return Ok(std::iter::once(0..parsed.size).collect());
        }
        let block = u64::from(self.fs.sb.block_size());
        let mut found = Runs { volume: self, inode, block, blocks: Vec::new(), left: self.fs.sb.blocks_count };
        if parsed.has_extents() {
            found.extents(&parsed.block, EXT4_EXT_MAX_DEPTH)?;
        } else {
            found.pointers(&parsed.block[..DIRECT * 4], 0, 0)?;
            let (mut first, mut span) = (DIRECT as u64, block / 4);
            for level in 1..=3 {
                let at = (DIRECT + level - 1) * 4;
                found.pointers(&parsed.block[at..at + 4], level, first)?;
                first += span;
                span *= block / 4;
            }
        }
        let bytes = |run: Range<u64>| run.start.saturating_mul(block)..run.end.saturating_mul(block).min(parsed.size);
        Ok(joined(found.blocks.into_iter().map(bytes)))
    }
}

struct Runs<'v> {
    volume: &'v Ext4Volume,
    inode: u32,
    /// Size of a block in bytes.
    block: u64,
    /// Stored blocks of the file, in the order found.
    blocks: Vec<Range<u64>>,
    /// Blocks that the file may still have, those of its tree included: no block belongs to a file twice. This also
    /// ends a damaged tree that leads in a circle.
    left: u64,
}

impl Runs<'_> {
    fn damaged(&self, why: &str) -> InspectError {
        self.volume.damage(format!("inode {}: {why}", self.inode))
    }

    fn spend(&mut self, blocks: u64) -> Result<(), InspectError> {
        let left = self.left.checked_sub(blocks);
        self.left = left.ok_or_else(|| self.damaged("it has more blocks than the file system"))?;
        Ok(())
    }

    fn tree_block(&mut self, number: u64) -> Result<Vec<u8>, InspectError> {
        interrupt::check()?;
        self.spend(1)?;
        self.volume.region.bytes(number.saturating_mul(self.block), self.block)
    }

    fn extents(&mut self, node: &[u8], depth: u16) -> Result<(), InspectError> {
        let broken = |runs: &Self, e| runs.volume.damaged(&format!("inode {}", runs.inode), &e);
        let header = ExtentHeader::parse(node).map_err(|e| broken(self, e))?;
        let entries = node.chunks_exact(EXT4_EXT_NODE_SIZE).skip(1).take(header.entries.into());
        for entry in entries {
            if header.is_leaf() {
                let extent = Extent::parse(entry).map_err(|e| broken(self, e))?;
                self.spend(extent.length.into())?;
                if !extent.uninitialized {
                    let first = u64::from(extent.logical_block);
                    self.blocks.push(first..first + u64::from(extent.length));
                }
            } else {
                let index = ExtentIdx::parse(entry).map_err(|e| broken(self, e))?;
                let depth = depth.checked_sub(1).ok_or_else(|| self.damaged("its extent tree is too deep"))?;
                let below = self.tree_block(index.leaf_block)?;
                self.extents(&below, depth)?;
            }
        }
        Ok(())
    }

    /// Block numbers, each of a block of the file, or `level` steps above it.
    fn pointers(&mut self, numbers: &[u8], level: usize, first: u64) -> Result<(), InspectError> {
        let span = (0..level).fold(1, |span, _| span * (self.block / 4));
        for (place, number) in (0_u64..).zip(numbers.chunks_exact(4)) {
            let (number, first) = (u64::from(u32_at(number, 0)), first + place * span);
            match level {
                _ if number == 0 => {}
                0 => {
                    self.spend(1)?;
                    match self.blocks.last_mut() {
                        Some(last) if last.end == first => last.end += 1,
                        _ => self.blocks.push(first..first + 1),
                    }
                }
                _ => {
                    let below = self.tree_block(number)?;
                    self.pointers(&below, level - 1, first)?;
                }
            }
        }
        Ok(())
    }
}
