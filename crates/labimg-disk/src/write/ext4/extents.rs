//! Extent trees (kernel Documentation/filesystems/ext4, "Extent Tree").

use std::ops::Range;

use super::Ext4Error;
use super::allocate::Allocator;
use super::bytes::{put16, put32};
use super::checksum::extend;
use super::layout::{BLOCK_SIZE, GROUP_BLOCKS};
use super::output::Output;
use crate::format::ext4::extent::{self as field, EXT_INIT_MAX_LEN, TAIL_SIZE};
use crate::format::ext4::inode::I_BLOCK_SIZE;

/// Number of extents or index entries that fit into the inode.
pub const INLINE: usize = I_BLOCK_SIZE / ENTRY - 1;
/// Number of extents or index entries in a tree block.
pub const PER_BLOCK: usize = (BLOCK_SIZE - TAIL_SIZE) / ENTRY - 1;

const ENTRY: usize = field::SIZE;

/// Contiguous blocks of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First block within the file.
    pub logical: u32,
    /// First block on the disk.
    pub start: u64,
    /// Number of blocks.
    pub len: u16,
}

/// Adds the blocks of `run`, which begin at block `logical` of the file, to the ascending list `extents`.
pub fn append(extents: &mut Vec<Extent>, mut logical: u32, run: Range<u64>) {
    let mut start = run.start;
    if let Some(last) = extents.last_mut()
        && last.logical + u32::from(last.len) == logical
        && last.start + u64::from(last.len) == start
    {
        let more = (EXT_INIT_MAX_LEN - u64::from(last.len)).min(run.end - start);
        last.len += more as u16;
        logical += more as u32;
        start += more;
    }
    while start < run.end {
        let len = EXT_INIT_MAX_LEN.min(run.end - start);
        extents.push(Extent { logical, start, len: len as u16 });
        logical += len as u32;
        start += len;
    }
}

/// The most tree blocks needed by a file of `blocks` blocks in `segments` runs.
pub fn most_tree_blocks(segments: u64, blocks: u64) -> u64 {
    // Fixed blocks take at most three quarters of a group, so free runs are at least a quarter of a group long.
    let extents = segments + blocks.div_ceil(u64::from(GROUP_BLOCKS / 4));
    let (mut count, mut total) = (extents, 0);
    while count > INLINE as u64 {
        count = count.div_ceil(PER_BLOCK as u64);
        total += count;
    }
    total
}

/// Writes the tree; returns its root for the inode and the number of tree blocks. `seed` is the inode's checksum seed.
pub fn write_tree(
    extents: &[Extent],
    seed: u32,
    blocks: &mut Allocator,
    out: &mut Output,
) -> Result<([u8; I_BLOCK_SIZE], u64), Ext4Error> {
    let mut depth = 0;
    let mut written = 0;
    let mut entries: Vec<(u32, [u8; ENTRY])> = extents.iter().map(|e| (e.logical, extent_entry(*e))).collect();
    while entries.len() > INLINE {
        let mut above = Vec::with_capacity(entries.len().div_ceil(PER_BLOCK));
        for chunk in entries.chunks(PER_BLOCK) {
            let mut block = [0; BLOCK_SIZE];
            fill(&mut block, chunk, PER_BLOCK, depth);
            let sum = extend(seed, &block[..BLOCK_SIZE - TAIL_SIZE]);
            put32(&mut block, BLOCK_SIZE - TAIL_SIZE, sum);
            let at = blocks.take(1).ok_or(Ext4Error::Full)?.start;
            out.put(at, &block)?;
            written += 1;
            above.extend(chunk.first().map(|&(logical, _)| (logical, index_entry(logical, at))));
        }
        entries = above;
        depth += 1;
    }
    let mut root = [0; I_BLOCK_SIZE];
    fill(&mut root, &entries, INLINE, depth);
    Ok((root, written))
}

fn fill(node: &mut [u8], entries: &[(u32, [u8; ENTRY])], most: usize, depth: u16) {
    put16(node, field::eh_magic, field::EXT4_EXT_MAGIC);
    put16(node, field::eh_entries, entries.len() as u16);
    put16(node, field::eh_max, most as u16);
    put16(node, field::eh_depth, depth);
    for (slot, (_, entry)) in node[ENTRY..].chunks_exact_mut(ENTRY).zip(entries) {
        slot.copy_from_slice(entry);
    }
}

fn extent_entry(extent: Extent) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    put32(&mut entry, field::ee_block, extent.logical);
    put16(&mut entry, field::ee_len, extent.len);
    put16(&mut entry, field::ee_start_hi, (extent.start >> 32) as u16);
    put32(&mut entry, field::ee_start_lo, extent.start as u32);
    entry
}

fn index_entry(logical: u32, block: u64) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    put32(&mut entry, field::ei_block, logical);
    put32(&mut entry, field::ei_leaf_lo, block as u32);
    put16(&mut entry, field::ei_leaf_hi, (block >> 32) as u16);
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_one_extent_up_to_the_longest() {
        let mut extents = Vec::new();
        append(&mut extents, 0, 100..110);
        append(&mut extents, 10, 110..120);
        append(&mut extents, 30, 120..121);
        append(&mut extents, 31, 200..40_000);
        let as_tuples: Vec<_> = extents.iter().map(|e| (e.logical, e.start, e.len)).collect();
        assert_eq!(as_tuples, [(0, 100, 20), (30, 120, 1), (31, 200, 32768), (32799, 32968, 7032)]);
    }

    #[test]
    fn tree_blocks_are_counted_at_each_level() {
        assert_eq!(most_tree_blocks(3, 100), 0);
        assert_eq!(most_tree_blocks(4, 100), 1);
        assert_eq!(most_tree_blocks(1359, 2000), 4);
        assert_eq!(most_tree_blocks(1360, 2000), 5 + 1);
    }
}
