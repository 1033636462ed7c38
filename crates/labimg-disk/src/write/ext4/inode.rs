//! Inode records (kernel Documentation/filesystems/ext4, "Index Nodes").

use super::bytes::{put, put16, put16_split, put32, put32_split};
use super::checksum::{extend, inode_seed};
use super::layout::BLOCK;
use crate::format::ext4::inode::{self as field, EXT4_GOOD_OLD_INODE_SIZE, I_BLOCK_SIZE};

/// Bytes for extended attributes after the fixed fields.
pub const XATTR_SPACE: usize = field::SIZE - XATTR_START;
/// Folders with more links are stored with a link count of 1 (`dir_nlink`). Other files may not have more.
pub const MOST_LINKS: u32 = 65_000;

/// `i_extra_isize`: all fixed fields that the kernel knows.
pub const EXTRA_SIZE: u16 = 32;
const XATTR_START: usize = EXT4_GOOD_OLD_INODE_SIZE + EXTRA_SIZE as usize;

/// The fields of one inode.
#[derive(Debug, Clone)]
pub struct InodeRecord {
    /// Type and permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Number of names.
    pub links: u32,
    /// Blocks in use, including the extent tree and attributes.
    pub blocks: u64,
    /// `i_flags`.
    pub flags: u32,
    /// `i_block`: extent root, device number or link target.
    pub block: [u8; I_BLOCK_SIZE],
    /// The block of extended attributes, or 0.
    pub xattr_block: u64,
    /// Extended attributes within the inode, or zeros.
    pub xattrs: [u8; XATTR_SPACE],
    /// Used for all four times: seconds since 1970, within `time_fits`.
    pub time: i64,
}

impl InodeRecord {
    /// An inode owned by root, without content.
    pub fn new(mode: u16, time: i64) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            links: 1,
            blocks: 0,
            flags: 0,
            block: [0; I_BLOCK_SIZE],
            xattr_block: 0,
            xattrs: [0; XATTR_SPACE],
            time,
        }
    }

    /// The record as stored in the inode table. `seed` is the file system's checksum seed.
    pub fn encode(&self, ino: u32, seed: u32) -> [u8; field::SIZE] {
        let mut r = [0; field::SIZE];
        let sectors = self.blocks * (BLOCK / 512);
        let (seconds, extra) = time_fields(self.time);
        put16(&mut r, field::i_mode, self.mode);
        put16_split(&mut r, field::i_uid, field::l_i_uid_high, self.uid);
        put32_split(&mut r, field::i_size_lo, field::i_size_high, self.size);
        for at in [field::i_atime, field::i_ctime, field::i_mtime, field::i_crtime] {
            put32(&mut r, at, seconds);
        }
        for at in [field::i_ctime_extra, field::i_mtime_extra, field::i_atime_extra, field::i_crtime_extra] {
            put32(&mut r, at, extra);
        }
        put16_split(&mut r, field::i_gid, field::l_i_gid_high, self.gid);
        put16(&mut r, field::i_links_count, self.links as u16);
        put32(&mut r, field::i_blocks_lo, sectors as u32);
        put16(&mut r, field::l_i_blocks_high, (sectors >> 32) as u16);
        put32(&mut r, field::i_flags, self.flags);
        put(&mut r, field::i_block, self.block);
        put32(&mut r, field::i_file_acl_lo, self.xattr_block as u32);
        put16(&mut r, field::l_i_file_acl_high, (self.xattr_block >> 32) as u16);
        put16(&mut r, field::i_extra_isize, EXTRA_SIZE);
        put(&mut r, XATTR_START, self.xattrs);
        let sum = extend(inode_seed(seed, ino), &r);
        put16_split(&mut r, field::l_i_checksum_lo, field::i_checksum_hi, sum);
        r
    }
}

/// Seconds as the 32-bit field and the two bits of the extra field that extend it to the year 2446.
fn time_fields(time: i64) -> (u32, u32) {
    let low = time as i32;
    (low as u32, ((time - i64::from(low)) >> 32) as u32 & 3)
}

/// True for times that an inode can hold: 1901 to 2446.
pub fn time_fits(time: i64) -> bool {
    (i64::from(i32::MIN)..=(3 << 32) + i64::from(i32::MAX)).contains(&time)
}

/// `i_block` of a device's inode; `None` when the kernel's device numbers (12 bits major, 20 bits minor) are too small
/// for it.
pub fn device(major: u32, minor: u32) -> Option<[u8; I_BLOCK_SIZE]> {
    let mut block = [0; I_BLOCK_SIZE];
    if major < 256 && minor < 256 {
        put32(&mut block, 0, major << 8 | minor);
    } else if major < 1 << 12 && minor < 1 << 20 {
        put32(&mut block, 4, (minor & 0xFF) | major << 8 | (minor & !0xFF) << 12);
    } else {
        return None;
    }
    Some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_from_1901_to_2446() {
        assert_eq!(time_fields(-1), (u32::MAX, 0));
        assert_eq!(time_fields(0x7FFF_FFFF), (0x7FFF_FFFF, 0));
        // 2038-01-19 03:14:08, the first second beyond 31 bits.
        assert_eq!(time_fields(0x8000_0000), (0x8000_0000, 1));
        assert!(time_fits(15_032_385_535) && !time_fits(15_032_385_536));
        assert_eq!(time_fields(15_032_385_535), (0x7FFF_FFFF, 3));
        assert!(time_fits(-2_147_483_648) && !time_fits(-2_147_483_649));
    }

    #[test]
    fn large_device_numbers_take_the_second_word() {
        assert_eq!(device(8, 1).unwrap()[..8], [1, 8, 0, 0, 0, 0, 0, 0]);
        assert_eq!(device(259, 70_000).unwrap()[..8], [0, 0, 0, 0, 0x70, 0x03, 0x11, 0x11]);
        assert!(device(4096, 0).is_none() && device(0, 1 << 20).is_none());
    }
}
