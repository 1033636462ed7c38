//! ext4, as in the kernel's Documentation/filesystems/ext4, "Global Structures" and "Dynamic Structures". The names of
//! fields and constants are the kernel's own (fs/ext4/ext4.h, `ext4_extents.h`, xattr.h, include/linux/jbd2.h).

/// `struct ext4_super_block`, little-endian.
pub mod superblock {
    /// Where the first superblock is on the disk.
    pub const OFFSET: u64 = 1024;
    /// Its size in bytes.
    pub const SIZE: usize = 1024;
    /// Value of [`s_magic`].
    pub const EXT4_SUPER_MAGIC: u16 = 0xEF53;

    pub const s_inodes_count: usize = 0x00;
    pub const s_blocks_count_lo: usize = 0x04;
    pub const s_r_blocks_count_lo: usize = 0x08;
    pub const s_free_blocks_count_lo: usize = 0x0C;
    pub const s_free_inodes_count: usize = 0x10;
    /// 0 when blocks are larger than 1 KiB.
    pub const s_first_data_block: usize = 0x14;
    pub const s_log_block_size: usize = 0x18;
    pub const s_log_cluster_size: usize = 0x1C;
    pub const s_blocks_per_group: usize = 0x20;
    pub const s_clusters_per_group: usize = 0x24;
    pub const s_inodes_per_group: usize = 0x28;
    pub const s_wtime: usize = 0x30;
    pub const s_max_mnt_count: usize = 0x36;
    pub const s_magic: usize = 0x38;
    pub const s_state: usize = 0x3A;
    pub const s_errors: usize = 0x3C;
    pub const s_lastcheck: usize = 0x40;
    pub const s_rev_level: usize = 0x4C;
    pub const s_first_ino: usize = 0x54;
    pub const s_inode_size: usize = 0x58;
    pub const s_block_group_nr: usize = 0x5A;
    pub const s_feature_compat: usize = 0x5C;
    pub const s_feature_incompat: usize = 0x60;
    pub const s_feature_ro_compat: usize = 0x64;
    pub const s_uuid: usize = 0x68;
    pub const s_volume_name: usize = 0x78;
    pub const s_reserved_gdt_blocks: usize = 0xCE;
    pub const s_journal_inum: usize = 0xE0;
    pub const s_hash_seed: usize = 0xEC;
    pub const s_def_hash_version: usize = 0xFC;
    pub const s_jnl_backup_type: usize = 0xFD;
    pub const s_desc_size: usize = 0xFE;
    pub const s_default_mount_opts: usize = 0x100;
    pub const s_mkfs_time: usize = 0x108;
    /// A copy of the journal's inode: `i_block`, then the high and the low half of its size.
    pub const s_jnl_blocks: usize = 0x10C;
    pub const s_blocks_count_hi: usize = 0x150;
    pub const s_r_blocks_count_hi: usize = 0x154;
    pub const s_free_blocks_count_hi: usize = 0x158;
    pub const s_min_extra_isize: usize = 0x15C;
    pub const s_want_extra_isize: usize = 0x15E;
    pub const s_flags: usize = 0x160;
    pub const s_log_groups_per_flex: usize = 0x174;
    pub const s_checksum_type: usize = 0x175;
    pub const s_overhead_clusters: usize = 0x248;
    pub const s_wtime_hi: usize = 0x274;
    pub const s_mkfs_time_hi: usize = 0x276;
    pub const s_lastcheck_hi: usize = 0x277;
    pub const s_checksum: usize = 0x3FC;

    // Bits of `s_feature_compat`.
    pub const EXT4_FEATURE_COMPAT_HAS_JOURNAL: u32 = 0x4;
    pub const EXT4_FEATURE_COMPAT_EXT_ATTR: u32 = 0x8;
    pub const EXT4_FEATURE_COMPAT_RESIZE_INODE: u32 = 0x10;
    pub const EXT4_FEATURE_COMPAT_DIR_INDEX: u32 = 0x20;
    // Bits of `s_feature_incompat`.
    pub const EXT4_FEATURE_INCOMPAT_FILETYPE: u32 = 0x2;
    pub const EXT4_FEATURE_INCOMPAT_EXTENTS: u32 = 0x40;
    pub const EXT4_FEATURE_INCOMPAT_64BIT: u32 = 0x80;
    pub const EXT4_FEATURE_INCOMPAT_FLEX_BG: u32 = 0x200;
    // Bits of `s_feature_ro_compat`.
    pub const EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER: u32 = 0x1;
    pub const EXT4_FEATURE_RO_COMPAT_LARGE_FILE: u32 = 0x2;
    pub const EXT4_FEATURE_RO_COMPAT_HUGE_FILE: u32 = 0x8;
    pub const EXT4_FEATURE_RO_COMPAT_DIR_NLINK: u32 = 0x20;
    pub const EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE: u32 = 0x40;
    pub const EXT4_FEATURE_RO_COMPAT_METADATA_CSUM: u32 = 0x400;
    /// Value of [`s_state`]: cleanly unmounted.
    pub const EXT4_VALID_FS: u16 = 1;
    /// Value of [`s_errors`].
    pub const EXT4_ERRORS_CONTINUE: u16 = 1;
    /// Value of [`s_rev_level`]: the superblock has the inode size and the features.
    pub const EXT4_DYNAMIC_REV: u32 = 1;
    /// Bit of [`s_flags`]: name hashes treat bytes as signed.
    pub const EXT2_FLAGS_SIGNED_HASH: u32 = 1;
    /// Value of [`s_jnl_backup_type`]: [`s_jnl_blocks`] is filled in.
    pub const EXT3_JNL_BACKUP_BLOCKS: u8 = 1;
    // Bits of `s_default_mount_opts`.
    pub const EXT4_DEFM_XATTR_USER: u32 = 0x4;
    pub const EXT4_DEFM_ACL: u32 = 0x8;
    /// Value of [`s_checksum_type`].
    pub const EXT4_CRC32C_CHKSUM: u8 = 1;
}

/// `struct ext4_group_desc` of the `64bit` feature, little-endian.
pub mod group_descriptor {
    /// Its size in bytes.
    pub const SIZE: usize = 64;

    pub const bg_block_bitmap_lo: usize = 0x00;
    pub const bg_inode_bitmap_lo: usize = 0x04;
    pub const bg_inode_table_lo: usize = 0x08;
    pub const bg_free_blocks_count_lo: usize = 0x0C;
    pub const bg_free_inodes_count_lo: usize = 0x0E;
    pub const bg_used_dirs_count_lo: usize = 0x10;
    pub const bg_flags: usize = 0x12;
    pub const bg_block_bitmap_csum_lo: usize = 0x18;
    pub const bg_inode_bitmap_csum_lo: usize = 0x1A;
    pub const bg_itable_unused_lo: usize = 0x1C;
    pub const bg_checksum: usize = 0x1E;
    pub const bg_block_bitmap_hi: usize = 0x20;
    pub const bg_inode_bitmap_hi: usize = 0x24;
    pub const bg_inode_table_hi: usize = 0x28;
    pub const bg_free_blocks_count_hi: usize = 0x2C;
    pub const bg_free_inodes_count_hi: usize = 0x2E;
    pub const bg_used_dirs_count_hi: usize = 0x30;
    pub const bg_itable_unused_hi: usize = 0x32;
    pub const bg_block_bitmap_csum_hi: usize = 0x38;
    pub const bg_inode_bitmap_csum_hi: usize = 0x3A;

    // Bits of `bg_flags`.
    pub const EXT4_BG_INODE_UNINIT: u16 = 1;
    pub const EXT4_BG_BLOCK_UNINIT: u16 = 2;
    pub const EXT4_BG_INODE_ZEROED: u16 = 4;
}

/// `struct ext4_inode`, little-endian, with Linux's variant of `osd2`.
pub mod inode {
    /// Size of the record in bytes, fields and extended attributes together.
    pub const SIZE: usize = 256;
    /// Size of the part that [`i_extra_isize`] does not count.
    pub const EXT4_GOOD_OLD_INODE_SIZE: usize = 128;
    /// Size of [`i_block`] in bytes.
    pub const I_BLOCK_SIZE: usize = 60;

    pub const i_mode: usize = 0x00;
    pub const i_uid: usize = 0x02;
    pub const i_size_lo: usize = 0x04;
    pub const i_atime: usize = 0x08;
    pub const i_ctime: usize = 0x0C;
    pub const i_mtime: usize = 0x10;
    pub const i_gid: usize = 0x18;
    pub const i_links_count: usize = 0x1A;
    /// In sectors of 512 bytes.
    pub const i_blocks_lo: usize = 0x1C;
    pub const i_flags: usize = 0x20;
    pub const i_block: usize = 0x28;
    pub const i_file_acl_lo: usize = 0x68;
    pub const i_size_high: usize = 0x6C;
    pub const l_i_blocks_high: usize = 0x74;
    pub const l_i_file_acl_high: usize = 0x76;
    pub const l_i_uid_high: usize = 0x78;
    pub const l_i_gid_high: usize = 0x7A;
    pub const l_i_checksum_lo: usize = 0x7C;
    pub const i_extra_isize: usize = 0x80;
    pub const i_checksum_hi: usize = 0x82;
    pub const i_ctime_extra: usize = 0x84;
    pub const i_mtime_extra: usize = 0x88;
    pub const i_atime_extra: usize = 0x8C;
    pub const i_crtime: usize = 0x90;
    pub const i_crtime_extra: usize = 0x94;

    /// Bit of [`i_flags`]: the folder is a hash tree.
    pub const EXT4_INDEX_FL: u32 = 0x1000;
    /// Bit of [`i_flags`]: [`i_block`] is the root of an extent tree.
    pub const EXT4_EXTENTS_FL: u32 = 0x8_0000;

    /// The index in [`i_block`] of the double indirect block.
    pub const EXT4_DIND_BLOCK: usize = 13;

    // Reserved inode numbers.
    pub const EXT4_ROOT_INO: u32 = 2;
    pub const EXT4_RESIZE_INO: u32 = 7;
    pub const EXT4_JOURNAL_INO: u32 = 8;
    /// The first inode number that is not reserved.
    pub const EXT4_GOOD_OLD_FIRST_INO: u32 = 11;
}

/// A node of an extent tree, little-endian: a header, then as many `ext4_extent` or `ext4_extent_idx` of the same size.
pub mod extent {
    /// Size of the header and of each entry, in bytes.
    pub const SIZE: usize = 12;
    /// Value of [`eh_magic`].
    pub const EXT4_EXT_MAGIC: u16 = 0xF30A;
    /// The longest extent that is not marked as unwritten.
    pub const EXT_INIT_MAX_LEN: u64 = 1 << 15;

    // `struct ext4_extent_header`.
    pub const eh_magic: usize = 0;
    pub const eh_entries: usize = 2;
    pub const eh_max: usize = 4;
    pub const eh_depth: usize = 6;
    // `struct ext4_extent`.
    pub const ee_block: usize = 0;
    pub const ee_len: usize = 4;
    pub const ee_start_hi: usize = 6;
    pub const ee_start_lo: usize = 8;
    // `struct ext4_extent_idx`.
    pub const ei_block: usize = 0;
    pub const ei_leaf_lo: usize = 4;
    pub const ei_leaf_hi: usize = 8;
    /// Size of `struct ext4_extent_tail`, the checksum at the end of a block.
    pub const TAIL_SIZE: usize = 4;
}

/// The blocks of folders, little-endian.
pub mod directory {
    // `struct ext4_dir_entry_2`.
    pub const inode: usize = 0;
    pub const rec_len: usize = 4;
    pub const name_len: usize = 6;
    pub const file_type: usize = 7;
    pub const name: usize = 8;
    /// The longest name.
    pub const EXT4_NAME_LEN: usize = 255;

    // Values of `file_type`.
    pub const EXT4_FT_REG_FILE: u8 = 1;
    pub const EXT4_FT_DIR: u8 = 2;
    pub const EXT4_FT_CHRDEV: u8 = 3;
    pub const EXT4_FT_BLKDEV: u8 = 4;
    pub const EXT4_FT_FIFO: u8 = 5;
    pub const EXT4_FT_SOCK: u8 = 6;
    pub const EXT4_FT_SYMLINK: u8 = 7;
    /// Value of [`det_reserved_ft`]: not an entry but a checksum.
    pub const EXT4_FT_DIR_CSUM: u8 = 0xDE;

    // `struct ext4_dir_entry_tail`, at the end of a block.
    pub const det_rec_len: usize = 4;
    pub const det_reserved_ft: usize = 7;
    pub const det_checksum: usize = 8;
    /// Its size in bytes.
    pub const TAIL_SIZE: usize = 12;

    // `struct dx_root` of a hash tree, from the start of the block: the entries `.` and `..`, then these.
    pub const dotdot: usize = 0x0C;
    pub const hash_version: usize = 0x1C;
    pub const info_length: usize = 0x1D;
    pub const indirect_levels: usize = 0x1E;
    /// Where the index entries begin.
    pub const DX_ROOT_ENTRIES: usize = 0x20;
    /// Value of [`info_length`].
    pub const DX_ROOT_INFO_SIZE: u8 = 8;
    /// Value of [`hash_version`], and of `s_def_hash_version` in the superblock.
    pub const DX_HASH_HALF_MD4: u8 = 1;
    /// `struct dx_node`: its index entries begin after one empty entry.
    pub const DX_NODE_ENTRIES: usize = 8;

    // `struct dx_countlimit`, in the place of the first index entry's hash.
    pub const limit: usize = 0;
    pub const count: usize = 2;
    // `struct dx_entry`.
    pub const hash: usize = 0;
    pub const block: usize = 4;
    /// Its size in bytes.
    pub const DX_ENTRY_SIZE: usize = 8;
    // `struct dx_tail`, after the last index entry for which the block has room.
    pub const dt_checksum: usize = 4;
    /// Its size in bytes.
    pub const DX_TAIL_SIZE: usize = 8;
}

/// Extended attributes, little-endian.
pub mod xattr {
    /// Value of `h_magic` in both headers.
    pub const EXT4_XATTR_MAGIC: u32 = 0xEA02_0000;

    // `struct ext4_xattr_ibody_header`, in the inode.
    pub const IBODY_HEADER_SIZE: usize = 4;
    // `struct ext4_xattr_header`, in a block.
    pub const h_magic: usize = 0;
    pub const h_refcount: usize = 4;
    pub const h_blocks: usize = 8;
    pub const h_hash: usize = 12;
    pub const h_checksum: usize = 16;
    /// Its size in bytes.
    pub const HEADER_SIZE: usize = 32;

    // `struct ext4_xattr_entry`.
    pub const e_name_len: usize = 0;
    pub const e_name_index: usize = 1;
    pub const e_value_offs: usize = 2;
    pub const e_value_size: usize = 8;
    pub const e_hash: usize = 12;
    pub const e_name: usize = 16;

    // Values of `e_name_index`: the prefix of the name, which is not stored.
    pub const EXT4_XATTR_INDEX_USER: u8 = 1;
    pub const EXT4_XATTR_INDEX_POSIX_ACL_ACCESS: u8 = 2;
    pub const EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT: u8 = 3;
    pub const EXT4_XATTR_INDEX_TRUSTED: u8 = 4;
    pub const EXT4_XATTR_INDEX_SECURITY: u8 = 6;
    pub const EXT4_XATTR_INDEX_SYSTEM: u8 = 7;
}

/// `struct journal_superblock_s` of jbd2, big-endian.
pub mod journal {
    /// Its size in bytes.
    pub const SIZE: usize = 1024;
    /// Value of [`h_magic`].
    pub const JBD2_MAGIC_NUMBER: u32 = 0xC03B_3998;
    /// Value of [`h_blocktype`].
    pub const JBD2_SUPERBLOCK_V2: u32 = 4;

    pub const h_magic: usize = 0x00;
    pub const h_blocktype: usize = 0x04;
    pub const s_blocksize: usize = 0x0C;
    pub const s_maxlen: usize = 0x10;
    pub const s_first: usize = 0x14;
    pub const s_sequence: usize = 0x18;
    pub const s_uuid: usize = 0x30;
    pub const s_nr_users: usize = 0x40;
}
