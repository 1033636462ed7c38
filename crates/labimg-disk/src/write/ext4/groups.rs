//! Group descriptors and bitmaps (kernel Documentation/filesystems/ext4, "Block Group Descriptors", "Block and Inode Bitmaps").

use super::Ext4Error;
use super::bytes::{put16, put16_split, put32_split};
use super::checksum::extend;
use super::layout::{BLOCK_SIZE, Ext4Layout, GROUP_BLOCKS};
use super::output::Output;
use crate::format::ext4::group_descriptor as gd;
use labimg_tree::interrupt;

/// How the groups are used.
#[derive(Debug)]
pub struct Usage<'a> {
    /// Every block before this one is taken.
    pub reached: u64,
    /// Inodes 1 to this one are taken.
    pub last_ino: u32,
    /// Number of folders in each group.
    pub folders: &'a [u32],
}

/// The descriptors of all groups and how many blocks are free.
#[derive(Debug)]
pub struct Descriptors {
    /// The descriptors in order.
    pub bytes: Vec<u8>,
    /// Free blocks in all groups.
    pub free_blocks: u64,
}

/// Writes the bitmaps and makes the descriptors. `seed` is the file system's checksum seed.
pub fn write_bitmaps(
    layout: &Ext4Layout,
    usage: &Usage,
    seed: u32,
    out: &mut Output,
) -> Result<Descriptors, Ext4Error> {
    let mut bytes = Vec::with_capacity(layout.groups as usize * gd::SIZE);
    let mut all_free = 0;
    for group in 0..layout.groups {
        interrupt::check()?;
        let mut d = [0; gd::SIZE];
        let mut flags = gd::EXT4_BG_INODE_ZEROED;
        let (start, len) = (Ext4Layout::group_start(group), layout.group_len(group));
        let used = usage.reached.saturating_sub(start).min(len).max(layout.fixed_in_group(group));
        // The kernel can compute the bitmap of a group that holds only a copy of the superblock and descriptors.
        let plain = usage.reached <= start && !layout.is_flex_head(group) && group + 1 < layout.groups;
        let mut block_sum = 0;
        if plain {
            flags |= gd::EXT4_BG_BLOCK_UNINIT;
        } else {
            let mut bitmap = [0; BLOCK_SIZE];
            set(&mut bitmap, 0, used as u32);
            set(&mut bitmap, len as u32, GROUP_BLOCKS);
            block_sum = extend(seed, &bitmap);
            out.put(layout.block_bitmap(group), &bitmap)?;
        }

        let per_group = layout.inodes_per_group;
        let inodes = usage.last_ino.saturating_sub(group * per_group).min(per_group);
        let mut inode_sum = 0;
        if inodes == 0 {
            flags |= gd::EXT4_BG_INODE_UNINIT;
        } else {
            let mut bitmap = [0; BLOCK_SIZE];
            set(&mut bitmap, 0, inodes);
            set(&mut bitmap, per_group, GROUP_BLOCKS);
            inode_sum = extend(seed, &bitmap[..per_group as usize / 8]);
            out.put(layout.inode_bitmap(group), &bitmap)?;
        }

        let free_blocks = len - used;
        all_free += free_blocks;
        put32_split(&mut d, gd::bg_block_bitmap_lo, gd::bg_block_bitmap_hi, layout.block_bitmap(group));
        put32_split(&mut d, gd::bg_inode_bitmap_lo, gd::bg_inode_bitmap_hi, layout.inode_bitmap(group));
        put32_split(&mut d, gd::bg_inode_table_lo, gd::bg_inode_table_hi, layout.inode_table(group));
        put16_split(&mut d, gd::bg_free_blocks_count_lo, gd::bg_free_blocks_count_hi, free_blocks as u32);
        put16_split(&mut d, gd::bg_free_inodes_count_lo, gd::bg_free_inodes_count_hi, per_group - inodes);
        let folders = usage.folders.get(group as usize).copied().unwrap_or(0);
        put16_split(&mut d, gd::bg_used_dirs_count_lo, gd::bg_used_dirs_count_hi, folders);
        put16(&mut d, gd::bg_flags, flags);
        put16_split(&mut d, gd::bg_block_bitmap_csum_lo, gd::bg_block_bitmap_csum_hi, block_sum);
        put16_split(&mut d, gd::bg_inode_bitmap_csum_lo, gd::bg_inode_bitmap_csum_hi, inode_sum);
        put16_split(&mut d, gd::bg_itable_unused_lo, gd::bg_itable_unused_hi, per_group - inodes);
        let sum = extend(extend(seed, &group.to_le_bytes()), &d);
        put16(&mut d, gd::bg_checksum, sum as u16);
        bytes.extend_from_slice(&d);
    }
    Ok(Descriptors { bytes, free_blocks: all_free })
}

/// Sets the bits `from..to`.
fn set(bitmap: &mut [u8; BLOCK_SIZE], from: u32, to: u32) {
    let (mut at, to) = (from as usize, to as usize);
    while at < to {
        if at % 8 == 0 && at + 8 <= to {
            bitmap[at / 8] = 0xFF;
            at += 8;
        } else {
            bitmap[at / 8] |= 1 << (at % 8);
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_from_the_lowest() {
        let mut bitmap = [0; BLOCK_SIZE];
        set(&mut bitmap, 5, 18);
        assert_eq!(bitmap[..4], [0xE0, 0xFF, 0x03, 0]);
        set(&mut bitmap, 32_760, GROUP_BLOCKS);
        assert_eq!(bitmap[4094..], [0, 0xFF]);
    }
}
