//! Inode records (kernel Documentation/filesystems/ext4, "Index Nodes").

use super::bytes::{put, put16, put16_split, put32};
use super::checksum::{extend, inode_seed};
use super::layout::{BLOCK, INODE_SIZE};

/// Flag: the block field is the root of an extent tree.
pub const EXTENTS: u32 = 0x8_0000;
/// Flag: the folder is hashed.
pub const INDEX: u32 = 0x1000;
/// Bytes of the block field.
pub const BLOCK_FIELD: usize = 60;
/// Bytes for extended attributes after the fixed fields.
pub const XATTR_SPACE: usize = INODE_SIZE - XATTR_START;
/// More links than this are shown as 1 for folders (`dir_nlink`), and not allowed for others.
pub const MOST_LINKS: u32 = 65_000;

/// Fixed fields beyond the first 128 bytes, as far as the kernel knows them.
const EXTRA_SIZE: u16 = 32;
const XATTR_START: usize = 128 + EXTRA_SIZE as usize;

/// The fields of one inode.
#[derive(Debug, Clone)]
pub struct Record {
    /// Type and permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Names.
    pub links: u32,
    /// Blocks taken, those of the extent tree and attributes too.
    pub blocks: u64,
    /// [`EXTENTS`], [`INDEX`].
    pub flags: u32,
    /// Extent root, device number or link target.
    pub block: [u8; BLOCK_FIELD],
    /// The block of extended attributes, or 0.
    pub xattr_block: u64,
    /// Extended attributes within the inode, or zeros.
    pub xattrs: [u8; XATTR_SPACE],
    /// The one time for all: seconds since 1970, as `time_fits` allows.
    pub time: i64,
}

impl Record {
    /// An inode of root's without content.
    pub fn new(mode: u16, time: i64) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            links: 1,
            blocks: 0,
            flags: 0,
            block: [0; BLOCK_FIELD],
            xattr_block: 0,
            xattrs: [0; XATTR_SPACE],
            time,
        }
    }

    /// The record as it lies in the inode table. `seed` is the file system's checksum seed.
    pub fn encode(&self, ino: u32, seed: u32) -> [u8; INODE_SIZE] {
        let mut r = [0; INODE_SIZE];
        let sectors = self.blocks * (BLOCK / 512);
        let (seconds, extra) = time_fields(self.time);
        put16(&mut r, 0x00, self.mode);
        put16_split(&mut r, 0x02, 0x78, self.uid);
        put32(&mut r, 0x04, self.size as u32);
        for at in [0x08, 0x0C, 0x10, 0x90] {
            put32(&mut r, at, seconds);
        }
        for at in [0x84, 0x88, 0x8C, 0x94] {
            put32(&mut r, at, extra);
        }
        put16_split(&mut r, 0x18, 0x7A, self.gid);
        put16(&mut r, 0x1A, self.links as u16);
        put32(&mut r, 0x1C, sectors as u32);
        put32(&mut r, 0x20, self.flags);
        put(&mut r, 0x28, self.block);
        put32(&mut r, 0x68, self.xattr_block as u32);
        put32(&mut r, 0x6C, (self.size >> 32) as u32);
        put16(&mut r, 0x74, (sectors >> 32) as u16);
        put16(&mut r, 0x76, (self.xattr_block >> 32) as u16);
        put16(&mut r, 0x80, EXTRA_SIZE);
        put(&mut r, XATTR_START, self.xattrs);
        let sum = extend(inode_seed(seed, ino), &r);
        put16_split(&mut r, 0x7C, 0x82, sum);
        r
    }
}

/// Seconds as the 32-bit field and the two bits in the extra field that count on to the year 2446.
fn time_fields(time: i64) -> (u32, u32) {
    let low = time as i32;
    (low as u32, ((time - i64::from(low)) >> 32) as u32 & 3)
}

/// True for times an inode can hold: 1901 to 2446.
pub fn time_fits(time: i64) -> bool {
    (i64::from(i32::MIN)..=(3 << 32) + i64::from(i32::MAX)).contains(&time)
}

/// The block field of a device's inode; none when the kernel's device numbers (12 bits major, 20 bits minor) are too small.
pub fn device(major: u32, minor: u32) -> Option<[u8; BLOCK_FIELD]> {
    let mut field = [0; BLOCK_FIELD];
    if major < 256 && minor < 256 {
        put32(&mut field, 0, major << 8 | minor);
    } else if major < 1 << 12 && minor < 1 << 20 {
        put32(&mut field, 4, (minor & 0xFF) | major << 8 | (minor & !0xFF) << 12);
    } else {
        return None;
    }
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_from_1901_to_2446() {
        assert_eq!(time_fields(-1), (u32::MAX, 0));
        assert_eq!(time_fields(0x7FFF_FFFF), (0x7FFF_FFFF, 0));
        // 2038-01-19 03:14:08, the first second past 31 bits.
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
