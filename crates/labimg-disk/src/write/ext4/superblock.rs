//! The superblock (kernel Documentation/filesystems/ext4, "Super Block").

use super::Ext4Options;
use super::bytes::{put, put16, put32, put32_split};
use super::checksum::extend;
use super::inode::BLOCK_FIELD;
use super::layout::{BLOCK, DESCRIPTOR_SIZE, GROUP_BLOCKS, INODE_SIZE, Layout};
use super::plan::FIRST_INO;

/// Where the first superblock stands within the first block.
pub const OFFSET: u64 = 1024;
/// The inode of the journal.
pub const JOURNAL_INO: u32 = 8;

/// `has_journal`, `ext_attr`, `resize_inode`, `dir_index`.
const COMPATIBLE: u32 = 0x4 | 0x8 | 0x10 | 0x20;
/// `filetype`, `extents`, `64bit`, `flex_bg`.
const INCOMPATIBLE: u32 = 0x2 | 0x40 | 0x80 | 0x200;
/// `sparse_super`, `large_file`, `huge_file`, `dir_nlink`, `extra_isize`, `metadata_csum`.
const READ_ONLY_COMPATIBLE: u32 = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400;
/// Hashes take the bytes of names as signed: every kernel heeds the flag, but some readers know only this way.
const SIGNED_HASH: u32 = 1;

/// What the superblock tells besides options and layout.
#[derive(Debug, Clone)]
pub struct Totals {
    /// Blocks of nothing.
    pub free_blocks: u64,
    /// Inodes of nothing.
    pub free_inodes: u32,
    /// Blocks that hold no files: fixed ones and the journal.
    pub overhead: u64,
    /// Blocks that only root may take.
    pub reserved: u64,
    /// The block field of the journal's inode, kept here too for rescue.
    pub journal: [u8; BLOCK_FIELD],
    /// Bytes of the journal.
    pub journal_size: u64,
}

/// The superblock, or its copy, that stands in `group`.
pub fn encode(layout: &Layout, options: &Ext4Options, totals: &Totals, group: u32) -> [u8; 1024] {
    let mut s = [0; 1024];
    put32(&mut s, 0x00, layout.inodes());
    put32_split(&mut s, 0x04, 0x150, layout.blocks);
    put32_split(&mut s, 0x08, 0x154, totals.reserved);
    put32_split(&mut s, 0x0C, 0x158, totals.free_blocks);
    put32(&mut s, 0x10, totals.free_inodes);
    let log_block_size = (BLOCK / 1024).trailing_zeros();
    put32(&mut s, 0x18, log_block_size);
    put32(&mut s, 0x1C, log_block_size);
    put32(&mut s, 0x20, GROUP_BLOCKS);
    put32(&mut s, 0x24, GROUP_BLOCKS);
    put32(&mut s, 0x28, layout.inodes_per_group);
    // Written, checked and made at the given time; never mounted. The eight bits above 32 follow far below.
    for (at, high) in [(0x30, 0x274), (0x40, 0x277), (0x108, 0x276)] {
        put32(&mut s, at, options.time as u32);
        s[high] = (options.time >> 32) as u8;
    }
    put16(&mut s, 0x36, 0xFFFF);
    put16(&mut s, 0x38, 0xEF53);
    // Clean; on errors, continue.
    put16(&mut s, 0x3A, 1);
    put16(&mut s, 0x3C, 1);
    put32(&mut s, 0x4C, 1);
    put32(&mut s, 0x54, FIRST_INO);
    put16(&mut s, 0x58, INODE_SIZE as u16);
    put16(&mut s, 0x5A, group as u16);
    put32(&mut s, 0x5C, COMPATIBLE);
    put32(&mut s, 0x60, INCOMPATIBLE);
    put32(&mut s, 0x64, READ_ONLY_COMPATIBLE);
    put(&mut s, 0x68, options.uuid);
    let label = options.label.as_bytes();
    s[0x78..0x78 + label.len()].copy_from_slice(label);
    put16(&mut s, 0xCE, layout.reserved_descriptor_blocks as u16);
    put32(&mut s, 0xE0, JOURNAL_INO);
    put(&mut s, 0xEC, options.hash_seed);
    // Half MD4; the journal's blocks are kept below.
    s[0xFC] = 1;
    s[0xFD] = 1;
    put16(&mut s, 0xFE, DESCRIPTOR_SIZE as u16);
    // Mount options `user_xattr` and `acl`.
    put32(&mut s, 0x100, 0xC);
    put(&mut s, 0x10C, totals.journal);
    put32_split(&mut s, 0x14C, 0x148, totals.journal_size);
    put16(&mut s, 0x15C, 32);
    put16(&mut s, 0x15E, 32);
    put32(&mut s, 0x160, SIGNED_HASH);
    s[0x174] = layout.flex.trailing_zeros() as u8;
    // Checksums are CRC-32C.
    s[0x175] = 1;
    put32(&mut s, 0x248, totals.overhead as u32);
    let sum = extend(!0, &s[..0x3FC]);
    put32(&mut s, 0x3FC, sum);
    s
}
