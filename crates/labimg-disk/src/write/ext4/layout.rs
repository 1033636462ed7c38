//! Where the fixed parts of the file system are: superblocks, group descriptors, bitmaps and inode tables (kernel
//! Documentation/filesystems/ext4, "Layout", "Flexible Block Groups").

use std::ops::Range;

use crate::format::ext4::{group_descriptor, inode};

/// Size of a block in bytes.
pub const BLOCK_SIZE: usize = 4096;
/// `BLOCK_SIZE` for sums of sizes.
pub const BLOCK: u64 = BLOCK_SIZE as u64;
/// Blocks of a block group: as many as one bitmap block has bits.
pub const GROUP_BLOCKS: u32 = 8 * BLOCK_SIZE as u32;

const INODES_PER_BLOCK: u32 = (BLOCK_SIZE / inode::SIZE) as u32;
const DESCRIPTORS_PER_BLOCK: u32 = (BLOCK_SIZE / group_descriptor::SIZE) as u32;
/// The kernel accepts no more: one indirect block names all reserved descriptor blocks.
const MOST_RESERVED_DESCRIPTOR_BLOCKS: u32 = 1024;
/// Groups in a flexible group, whose bitmaps and inode tables lie together; as mke2fs chooses.
const FLEX_GROUPS: u32 = 16;
/// A last group with fewer free blocks than this is left out, as mke2fs does.
const LEAST_FREE_IN_GROUP: u64 = 50;

/// The geometry of one file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ext4Layout {
    /// Number of blocks.
    pub blocks: u64,
    /// Number of block groups.
    pub groups: u32,
    /// Inodes per group.
    pub inodes_per_group: u32,
    /// Blocks of a group's inode table.
    pub table_blocks: u32,
    /// Blocks of the group descriptors.
    pub descriptor_blocks: u32,
    /// Blocks reserved after them for the descriptors of groups that online resizing adds.
    pub reserved_descriptor_blocks: u32,
    /// Groups in a flexible group: a power of two.
    pub flex: u32,
}

impl Ext4Layout {
    /// Lays out at most `blocks` blocks with at least `inodes` inodes, at least one for each `inode_ratio` bytes, and
    /// room for descriptors of up to `growth` bytes. `None` when the blocks are too few.
    pub fn new(blocks: u64, inodes: u64, inode_ratio: u64, growth: u64) -> Option<Self> {
        let mut layout = Self::with_blocks(blocks, inodes, inode_ratio, growth)?;
        let last = layout.groups - 1;
        let last_fixed = layout.fixed_in_group(last);
        if layout.group_len(last) < last_fixed + LEAST_FREE_IN_GROUP {
            let whole = u64::from(last) * u64::from(GROUP_BLOCKS);
            layout = Self::with_blocks(whole, inodes, inode_ratio, growth)?;
        }
        Some(layout)
    }

    fn with_blocks(blocks: u64, inodes: u64, inode_ratio: u64, growth: u64) -> Option<Self> {
        let group_bytes = u64::from(GROUP_BLOCKS) * BLOCK;
        let groups = u32::try_from(blocks.div_ceil(GROUP_BLOCKS.into())).ok().filter(|&g| g > 0)?;
        // Each group, also one added by resizing, has the inodes of a whole group.
        let by_ratio = group_bytes / inode_ratio.max(1);
        let inodes_per_group = inodes.div_ceil(groups.into()).max(by_ratio).min(GROUP_BLOCKS.into());
        let inodes_per_group = (inodes_per_group as u32).next_multiple_of(INODES_PER_BLOCK);
        let all_inodes = u64::from(inodes_per_group) * u64::from(groups);
        if all_inodes < inodes || all_inodes > u64::from(u32::MAX) {
            return None;
        }
        let descriptor_blocks = groups.div_ceil(DESCRIPTORS_PER_BLOCK);
        let most_groups = growth.div_ceil(group_bytes).min(u32::MAX.into()) as u32;
        let most_descriptor_blocks = most_groups.div_ceil(DESCRIPTORS_PER_BLOCK);
        let reserved_descriptor_blocks =
            most_descriptor_blocks.saturating_sub(descriptor_blocks).clamp(1, MOST_RESERVED_DESCRIPTOR_BLOCKS);
        let table_blocks = inodes_per_group / INODES_PER_BLOCK;
        // All tables of a flexible group must fit into its first group, with some blocks left.
        let room = (GROUP_BLOCKS - GROUP_BLOCKS / 4).checked_sub(1 + descriptor_blocks + reserved_descriptor_blocks)?;
        let mut flex = FLEX_GROUPS;
        while flex > 1 && flex * (2 + table_blocks) > room {
            flex /= 2;
        }
        if 2 + table_blocks > room {
            return None;
        }
        Some(Self {
            blocks,
            groups,
            inodes_per_group,
            table_blocks,
            descriptor_blocks,
            reserved_descriptor_blocks,
            flex,
        })
    }

    /// True when group `group` has a copy of the superblock and descriptors (`sparse_super`).
    pub fn has_super(group: u32) -> bool {
        let power_of = |base: u32| {
            let mut n = u64::from(base);
            while n < u64::from(group) {
                n *= u64::from(base);
            }
            n == u64::from(group)
        };
        group <= 1 || power_of(3) || power_of(5) || power_of(7)
    }

    /// The groups other than the first with a copy of the superblock, ascending.
    pub fn backup_groups(&self) -> impl Iterator<Item = u32> {
        (1..self.groups).filter(|&g| Self::has_super(g))
    }

    /// Number of inodes.
    pub fn inodes(&self) -> u32 {
        // In range: checked by `new`.
        self.inodes_per_group * self.groups
    }

    /// First block of a group.
    pub fn group_start(group: u32) -> u64 {
        u64::from(group) * u64::from(GROUP_BLOCKS)
    }

    /// Blocks of a group; only the last one has fewer.
    pub fn group_len(&self, group: u32) -> u64 {
        (self.blocks - Self::group_start(group)).min(GROUP_BLOCKS.into())
    }

    /// True when this group holds the bitmaps and tables of its flexible group.
    pub fn is_flex_head(&self, group: u32) -> bool {
        group.is_multiple_of(self.flex)
    }

    fn super_blocks(&self, group: u32) -> u64 {
        if Self::has_super(group) { u64::from(1 + self.descriptor_blocks + self.reserved_descriptor_blocks) } else { 0 }
    }

    /// The first group of `group`'s flexible group, how many groups it has, and its first block after the superblock's.
    fn flex_of(&self, group: u32) -> (u32, u32, u64) {
        let head = group - group % self.flex;
        (head, self.flex.min(self.groups - head), Self::group_start(head) + self.super_blocks(head))
    }

    /// The block of a group's block bitmap.
    pub fn block_bitmap(&self, group: u32) -> u64 {
        let (head, _, base) = self.flex_of(group);
        base + u64::from(group - head)
    }

    /// The block of a group's inode bitmap.
    pub fn inode_bitmap(&self, group: u32) -> u64 {
        let (head, count, base) = self.flex_of(group);
        base + u64::from(count + group - head)
    }

    /// The first block of a group's inode table.
    pub fn inode_table(&self, group: u32) -> u64 {
        let (head, count, base) = self.flex_of(group);
        base + u64::from(2 * count) + u64::from(group - head) * u64::from(self.table_blocks)
    }

    /// How many blocks at the start of a group are fixed.
    pub fn fixed_in_group(&self, group: u32) -> u64 {
        let (head, count, _) = self.flex_of(group);
        let tables = if head == group { u64::from(count) * u64::from(2 + self.table_blocks) } else { 0 };
        self.super_blocks(group) + tables
    }

    /// The fixed blocks, ascending.
    pub fn fixed(&self) -> impl Iterator<Item = Range<u64>> {
        (0..self.groups).filter_map(|group| {
            let (start, len) = (Self::group_start(group), self.fixed_in_group(group));
            (len > 0).then(|| start..start + len)
        })
    }

    /// The number of fixed blocks.
    pub fn fixed_blocks(&self) -> u64 {
        self.fixed().map(|r| r.end - r.start).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn superblock_copies_lie_in_powers_of_3_5_and_7() {
        let with: Vec<u32> = (0..400).filter(|&g| Ext4Layout::has_super(g)).collect();
        assert_eq!(with, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343]);
    }

    #[test]
    fn fixed_blocks_lie_inside_their_group_and_hold_all_tables() {
        for (blocks, inodes) in [(4000, 0), (400_000, 15_000), (400_000, 390_000), (33_000, 0), (524_289, 0)] {
            let layout = Ext4Layout::new(blocks, inodes, 16384, 1024 * GIB).unwrap();
            assert!(layout.blocks <= blocks && u64::from(layout.inodes()) >= inodes);
            let fixed: Vec<_> = layout.fixed().collect();
            for group in 0..layout.groups {
                let table = layout.inode_table(group);
                for block in [layout.block_bitmap(group), layout.inode_bitmap(group), table] {
                    assert!(fixed.iter().any(|r| r.contains(&block)), "{layout:?}");
                }
                assert!(fixed.iter().any(|r| r.contains(&(table + u64::from(layout.table_blocks) - 1))));
                assert!(layout.fixed_in_group(group) < layout.group_len(group));
            }
        }
    }

    #[test]
    fn a_tail_too_small_for_a_group_is_left_out() {
        let layout = Ext4Layout::new(u64::from(GROUP_BLOCKS) + 100, 0, 16384, 1024 * GIB).unwrap();
        assert_eq!((layout.groups, layout.blocks), (1, u64::from(GROUP_BLOCKS)));
    }

    #[test]
    fn growth_is_reserved_for() {
        let layout = Ext4Layout::new(400_000, 0, 16384, 1024 * GIB).unwrap();
        assert_eq!(layout.descriptor_blocks + layout.reserved_descriptor_blocks, 128);
    }
}
