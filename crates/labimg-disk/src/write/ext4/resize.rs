//! The inode that owns the blocks reserved for descriptors of groups added by online resizing (`resize_inode`).
//!
//! Its double indirect block names every reserved block of the first group. Each of these is used as an indirect block
//! and names its copies in the groups with a superblock. This is what the kernel's `verify_reserved_gdb`
//! (fs/ext4/resize.c) expects.

use super::Ext4Error;
use super::bytes::put32;
use super::inode::InodeRecord;
use super::layout::{BLOCK, BLOCK_SIZE, Ext4Layout, GROUP_BLOCKS};
use super::output::Output;
use crate::format::ext4::inode::EXT4_DIND_BLOCK;

const POINTERS: u64 = BLOCK / 4;

/// Writes the indirect blocks and makes the inode. `double` is the block to use as the double indirect one.
pub fn write(layout: &Ext4Layout, double: u64, time: i64, out: &mut Output) -> Result<InodeRecord, Ext4Error> {
    let backups: Vec<u32> = layout.backup_groups().collect();
    let mut pointers = [0; BLOCK_SIZE];
    for reserved in 0..layout.reserved_descriptor_blocks {
        let nth = layout.descriptor_blocks + reserved;
        let block = 1 + nth;
        put32(&mut pointers, (u64::from(nth) % POINTERS) as usize * 4, block);
        let mut copies = [0; BLOCK_SIZE];
        for (i, group) in backups.iter().enumerate().take(POINTERS as usize) {
            put32(&mut copies, i * 4, group * GROUP_BLOCKS + block);
        }
        out.put(block.into(), &copies)?;
    }
    out.put(double, &pointers)?;
    let mut record = InodeRecord::new(0o100_600, time);
    // The size of the largest file that ends with the double indirect block.
    record.size = (POINTERS * POINTERS + POINTERS + 12) * BLOCK;
    record.blocks = 1 + u64::from(layout.reserved_descriptor_blocks) * (1 + backups.len() as u64);
    put32(&mut record.block, EXT4_DIND_BLOCK * 4, double as u32);
    Ok(record)
}
