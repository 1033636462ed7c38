//! The superblock (kernel Documentation/filesystems/ext4, "Super Block").

use super::Ext4Options;
use super::bytes::{put, put16, put32, put32_split};
use super::checksum::extend;
use super::inode::EXTRA_SIZE;
use super::layout::{BLOCK, Ext4Layout, GROUP_BLOCKS};
use crate::format::ext4::directory::DX_HASH_HALF_MD4;
use crate::format::ext4::inode::{EXT4_GOOD_OLD_FIRST_INO, EXT4_JOURNAL_INO, I_BLOCK_SIZE};
use crate::format::ext4::superblock as sb;
use crate::format::ext4::{group_descriptor, inode};

const COMPATIBLE: u32 = sb::EXT4_FEATURE_COMPAT_HAS_JOURNAL
    | sb::EXT4_FEATURE_COMPAT_EXT_ATTR
    | sb::EXT4_FEATURE_COMPAT_RESIZE_INODE
    | sb::EXT4_FEATURE_COMPAT_DIR_INDEX;
const INCOMPATIBLE: u32 = sb::EXT4_FEATURE_INCOMPAT_FILETYPE
    | sb::EXT4_FEATURE_INCOMPAT_EXTENTS
    | sb::EXT4_FEATURE_INCOMPAT_64BIT
    | sb::EXT4_FEATURE_INCOMPAT_FLEX_BG;
const READ_ONLY_COMPATIBLE: u32 = sb::EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER
    | sb::EXT4_FEATURE_RO_COMPAT_LARGE_FILE
    | sb::EXT4_FEATURE_RO_COMPAT_HUGE_FILE
    | sb::EXT4_FEATURE_RO_COMPAT_DIR_NLINK
    | sb::EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE
    | sb::EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;

/// What the superblock holds besides options and layout.
#[derive(Debug, Clone)]
pub struct Totals {
    /// Free blocks.
    pub free_blocks: u64,
    /// Free inodes.
    pub free_inodes: u32,
    /// Blocks that cannot hold files: fixed ones and the journal.
    pub overhead: u64,
    /// Blocks that only root may use.
    pub reserved: u64,
    /// The block field of the journal's inode; the superblock has a copy for recovery.
    pub journal: [u8; I_BLOCK_SIZE],
    /// Size of the journal in bytes.
    pub journal_size: u64,
}

/// The superblock of `group`: the first one or a backup.
pub fn encode(layout: &Ext4Layout, options: &Ext4Options, totals: &Totals, group: u32) -> [u8; sb::SIZE] {
    let mut s = [0; sb::SIZE];
    put32(&mut s, sb::s_inodes_count, layout.inodes());
    put32_split(&mut s, sb::s_blocks_count_lo, sb::s_blocks_count_hi, layout.blocks);
    put32_split(&mut s, sb::s_r_blocks_count_lo, sb::s_r_blocks_count_hi, totals.reserved);
    put32_split(&mut s, sb::s_free_blocks_count_lo, sb::s_free_blocks_count_hi, totals.free_blocks);
    put32(&mut s, sb::s_free_inodes_count, totals.free_inodes);
    // Blocks are larger than 1 KiB.
    put32(&mut s, sb::s_first_data_block, 0);
    let log_block_size = (BLOCK / 1024).trailing_zeros();
    put32(&mut s, sb::s_log_block_size, log_block_size);
    put32(&mut s, sb::s_log_cluster_size, log_block_size);
    put32(&mut s, sb::s_blocks_per_group, GROUP_BLOCKS);
    put32(&mut s, sb::s_clusters_per_group, GROUP_BLOCKS);
    put32(&mut s, sb::s_inodes_per_group, layout.inodes_per_group);
    // Times of write, check and creation; it was never mounted.
    for (low, high) in
        [(sb::s_wtime, sb::s_wtime_hi), (sb::s_lastcheck, sb::s_lastcheck_hi), (sb::s_mkfs_time, sb::s_mkfs_time_hi)]
    {
        put32(&mut s, low, options.time as u32);
        s[high] = (options.time >> 32) as u8;
    }
    // No check after a number of mounts.
    put16(&mut s, sb::s_max_mnt_count, u16::MAX);
    put16(&mut s, sb::s_magic, sb::EXT4_SUPER_MAGIC);
    put16(&mut s, sb::s_state, sb::EXT4_VALID_FS);
    put16(&mut s, sb::s_errors, sb::EXT4_ERRORS_CONTINUE);
    put32(&mut s, sb::s_rev_level, sb::EXT4_DYNAMIC_REV);
    put32(&mut s, sb::s_first_ino, EXT4_GOOD_OLD_FIRST_INO);
    put16(&mut s, sb::s_inode_size, inode::SIZE as u16);
    put16(&mut s, sb::s_block_group_nr, group as u16);
    put32(&mut s, sb::s_feature_compat, COMPATIBLE);
    put32(&mut s, sb::s_feature_incompat, INCOMPATIBLE);
    put32(&mut s, sb::s_feature_ro_compat, READ_ONLY_COMPATIBLE);
    put(&mut s, sb::s_uuid, options.uuid);
    let label = options.label.as_bytes();
    s[sb::s_volume_name..sb::s_volume_name + label.len()].copy_from_slice(label);
    put16(&mut s, sb::s_reserved_gdt_blocks, layout.reserved_descriptor_blocks as u16);
    put32(&mut s, sb::s_journal_inum, EXT4_JOURNAL_INO);
    put(&mut s, sb::s_hash_seed, options.hash_seed);
    s[sb::s_def_hash_version] = DX_HASH_HALF_MD4;
    s[sb::s_jnl_backup_type] = sb::EXT3_JNL_BACKUP_BLOCKS;
    put16(&mut s, sb::s_desc_size, group_descriptor::SIZE as u16);
    put32(&mut s, sb::s_default_mount_opts, sb::EXT4_DEFM_XATTR_USER | sb::EXT4_DEFM_ACL);
    put(&mut s, sb::s_jnl_blocks, totals.journal);
    let journal_size = sb::s_jnl_blocks + I_BLOCK_SIZE;
    put32_split(&mut s, journal_size + 4, journal_size, totals.journal_size);
    put16(&mut s, sb::s_min_extra_isize, EXTRA_SIZE);
    put16(&mut s, sb::s_want_extra_isize, EXTRA_SIZE);
    // Every kernel respects the flag, but some readers only know signed hashes.
    put32(&mut s, sb::s_flags, sb::EXT2_FLAGS_SIGNED_HASH);
    s[sb::s_log_groups_per_flex] = layout.flex.trailing_zeros() as u8;
    s[sb::s_checksum_type] = sb::EXT4_CRC32C_CHKSUM;
    put32(&mut s, sb::s_overhead_clusters, totals.overhead as u32);
    let sum = extend(!0, &s[..sb::s_checksum]);
    put32(&mut s, sb::s_checksum, sum);
    s
}
