//! USB disks as people plug them in, by name, as image files: and what the master's storage step must do with each.
//!
//! The table is used twice: `tests/node` runs the node's own script on the files, and machines in QEMU get them as USB
//! disks. Signatures of formats whose tools are rarely installed are written by hand, as the formats define them.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const MIB: u64 = 1 << 20;

/// A disk's size unless its entry says otherwise.
pub const SIZE: u64 = 2048 * MIB;

/// A disk to be created.
pub struct Disk {
    /// Its name in the table.
    pub name: &'static str,
    /// What the node says about it: part of the message, or empty for a blank disk.
    pub holds: &'static str,
    /// Size in bytes.
    pub size: u64,
    /// Writes the content into a file of the right size that is all zeros.
    fill: fn(&Path),
}

impl Disk {
    /// Whether a master prepares it: it is blank and large enough.
    pub fn usable(&self) -> bool {
        self.holds.is_empty() && self.size >= 1024 * MIB
    }

    /// Creates the image as a sparse file.
    pub fn make(&self, path: &Path) {
        File::create(path).unwrap().set_len(self.size).unwrap();
        (self.fill)(path);
    }
}

const fn disk(name: &'static str, holds: &'static str, fill: fn(&Path)) -> Disk {
    Disk { name, holds, size: SIZE, fill }
}

/// All disks.
pub const DISKS: &[Disk] = &[
    disk("blank", "", |_| ()),
    Disk { name: "too-small", holds: "", size: 512 * MIB, fill: |_| () },
    disk("ext4", "signatures: ext4", |p| tool("mkfs.ext4", &["-q", "-F"], p)),
    disk("ext2", "signatures: ext2", |p| tool("mkfs.ext2", &["-q", "-F"], p)),
    disk("fat32", "signatures: vfat", |p| tool("mkfs.vfat", &["-F", "32", "-I"], p)),
    disk("gpt-empty", "gpt", |p| sfdisk("label: gpt\n", p)),
    disk("mbr-empty", "dos", |p| sfdisk("label: dos\n", p)),
    disk("gpt-partition", "holds", |p| sfdisk("label: gpt\n,\n", p)),
    disk("mbr-partition", "holds", |p| sfdisk("label: dos\n,\n", p)),
    // Only the GPT header: the first sector was lost.
    disk("gpt-header", "holds", |p| put(p, &[(512, b"EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")])),
    disk("luks1", "crypto_LUKS", |p| put(p, &[(0, b"LUKS\xba\xbe\x00\x01")])),
    disk("luks2", "crypto_LUKS", |p| put(p, &[(0, b"LUKS\xba\xbe\x00\x02"), (0x4000, b"SKUL\xba\xbe\x00\x02")])),
    disk("lvm", "LVM2_member", |p| {
        put(p, &[(512, b"LABELONE\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x20\x00\x00\x00LVM2 001")]);
    }),
    // Linux software RAID, superblock version 1.2: 4 KiB from the beginning, containing its own position.
    disk("md-1.2", "linux_raid_member", |p| {
        put(p, &[(4096, b"\xfc\x4e\x2b\xa9\x01\x00\x00\x00"), (4096 + 128 + 16, b"\x08")]);
    }),
    // Version 1.0: near the end.
    disk("md-1.0", "holds", |p| put(p, &[(SIZE - 8192, b"\xfc\x4e\x2b\xa9\x01\x00\x00\x00")])),
    disk("swap", "swap", |p| {
        // Version 1 and its last page, in a page of 4 KiB that ends with the signature.
        put(p, &[(1024, b"\x01\x00\x00\x00\xff\xff\x07\x00"), (4086, b"SWAPSPACE2")]);
    }),
    disk("btrfs", "btrfs", |p| put(p, &[(0x10000 + 0x40, b"_BHRfS_M")])),
    disk("xfs", "holds", |p| put(p, &[(0, b"XFSB\x00\x00\x10\x00")])),
    disk("f2fs", "f2fs", |p| put(p, &[(1024, b"\x10\x20\xf5\xf2\x01\x00\x0d\x00")])),
    disk("ntfs", "holds", |p| put(p, &[(0, b"\xeb\x52\x90NTFS    \x00\x02\x08"), (510, b"\x55\xaa")])),
    disk("exfat", "holds", |p| put(p, &[(0, b"\xeb\x76\x90EXFAT   "), (510, b"\x55\xaa")])),
    disk("bitlocker", "holds", |p| put(p, &[(0, b"\xeb\x58\x90-FVE-FS-"), (510, b"\x55\xaa")])),
    disk("apfs", "holds", |p| put(p, &[(32, b"NXSB")])),
    disk("hfsplus", "holds", |p| put(p, &[(1024, b"H+\x00\x04")])),
    disk("squashfs", "squashfs", |p| put(p, &[(0, b"hsqs"), (28, b"\x04\x00\x00\x00")])),
    disk("iso9660", "iso9660", |p| put(p, &[(0x8000, b"\x01CD001\x01"), (0x8800, b"\xffCD001\x01")])),
    disk("zfs", "zfs_member", |p| {
        // ZFS has many copies of its uberblock; libblkid needs at least four of them.
        let magic = b"\x0c\xb1\xba\x00\x00\x00\x00\x00\x88\x13\x00\x00\x00\x00\x00\x00".as_slice();
        let copies: Vec<(u64, &[u8])> = (0..8).map(|i| (128 * 1024 + i * 1024, magic)).collect();
        put(p, &copies);
    }),
    disk("boot-code", "holds", |p| put(p, &[(0, b"\xfa\x31\xc0"), (510, b"\x55\xaa")])),
    disk("one-byte", "data without a known signature", |p| put(p, &[(5 * MIB + 7, b"\x01")])),
    disk("last-byte", "data without a known signature", |p| put(p, &[(SIZE - 1, b"\x01")])),
    // Looks like an encrypted volume without a header, from the middle on.
    disk("noise-in-the-middle", "data without a known signature", noise),
    // What can be brought back though the beginning is lost.
    disk("ext4-16-mib-lost", "left of ext2, ext3 or ext4", |p| ext4_without_beginning(p, 0, 4096, 16)),
    disk("ext4-100-mib-lost", "left of ext2, ext3 or ext4", |p| ext4_without_beginning(p, 0, 4096, 100)),
    disk("ext4-500-mib-lost", "left of ext2, ext3 or ext4", |p| ext4_without_beginning(p, 0, 4096, 500)),
    disk("ext4-partition-lost", "left of ext2, ext3 or ext4", |p| ext4_without_beginning(p, 1, 4096, 100)),
    // Tables of the groups may come before a copy of the superblock.
    disk("ext4-1-kib-blocks-lost", "holds", |p| ext4_without_beginning(p, 1, 1024, 100)),
    disk("ext4-2-kib-blocks-lost", "holds", |p| ext4_without_beginning(p, 0, 2048, 100)),
    disk("ext4-backup-alone", "left of ext2, ext3 or ext4", |p| put(p, &[(32768 * 4096, EXT4_BACKUP)])),
    disk("btrfs-second", "left of Btrfs", |p| put(p, &[((64 << 20) + 0x40, b"_BHRfS_M")])),
    Disk {
        name: "btrfs-third",
        holds: "left of Btrfs",
        size: 300 << 30,
        fill: |p| put(p, &[((256 << 30) + 0x40, b"_BHRfS_M")]),
    },
    Disk {
        name: "btrfs-third-partition",
        holds: "left of Btrfs",
        size: 300 << 30,
        fill: |p| put(p, &[((256 << 30) + (1 << 20) + 0x40, b"_BHRfS_M")]),
    },
    disk("gpt-backup", "holds", |p| put(p, &[(SIZE - 512, b"EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")])),
    disk("gpt-backup-4k", "left of a GPT", |p| put(p, &[(SIZE - 4096, b"EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")])),
    disk("xfs-second-group", "left of XFS", |p| put(p, &[(SIZE / 4, b"XFSB\x00\x00\x10\x00")])),
    disk("xfs-partition-second-group", "left of XFS", |p| {
        put(p, &[(MIB + (SIZE - 2 * MIB) / 4, b"XFSB\x00\x00\x10\x00")]);
    }),
    Disk {
        name: "xfs-large",
        holds: "left of XFS",
        size: 6 << 40,
        fill: |p| put(p, &[((1 << 40) - 4096, b"XFSB\x00\x00\x10\x00")]),
    },
    disk("zfs-last-label", "left of ZFS", |p| put(p, &[(SIZE - 128 * 1024, b"\x0c\xb1\xba\x00\x00\x00\x00\x00")])),
    Disk {
        name: "ntfs-table",
        holds: "left of NTFS",
        size: 4 << 30,
        fill: |p| put(p, &[((3 << 30) + MIB, b"FILE0\x00")]),
    },
    disk("ntfs-last-sector", "holds", |p| put(p, &[(SIZE - 512, b"\xeb\x52\x90NTFS    \x00\x02\x08")])),
    disk("hfsplus-last-header", "data without a known signature", |p| put(p, &[(SIZE - 1024, b"H+\x00\x04")])),
    // 200 MiB of pictures on a terabyte.
    Disk { name: "pictures", holds: "data without a known signature", size: 1_000_000_000_000, fill: pictures },
];

/// A superblock's copy as far as it is looked at: blocks of 4 KiB, magic, revision 1.
const EXT4_BACKUP: &[u8] = b"\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x02\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x53\xef\x01\0\x01\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0";

/// An ext4 file system that begins `start` MiB from the disk's beginning, of which `lost` MiB are zeros.
fn ext4_without_beginning(path: &Path, start: u64, block: u64, lost: u64) {
    let offset = format!("offset={}", start * MIB);
    let blocks = ((SIZE / MIB - start) * MIB / block).to_string();
    let status = Command::new("/usr/sbin/mkfs.ext4")
        .args(["-q", "-F", "-b", &block.to_string(), "-E", &offset])
        .arg(path)
        .arg(blocks)
        .status()
        .unwrap_or_else(|e| panic!("mkfs.ext4: {e}"));
    assert!(status.success());
    put(path, &[(0, &vec![0; usize::try_from(lost * MIB).unwrap()])]);
}

fn pictures(path: &Path) {
    let picture = b"\xff\xd8\xff\xe0 and so on".repeat(1024);
    let places: Vec<(u64, &[u8])> = (0..12_800).map(|i| (777_777_774_592 + i * 16384, picture.as_slice())).collect();
    put(path, &places);
}

/// The disk with this name.
pub fn named(name: &str) -> &'static Disk {
    DISKS.iter().find(|d| d.name == name).unwrap_or_else(|| panic!("no disk {name}"))
}

fn put(path: &Path, pieces: &[(u64, &[u8])]) {
    let mut file = File::options().write(true).open(path).unwrap();
    for (offset, bytes) in pieces {
        file.seek(SeekFrom::Start(*offset)).unwrap();
        file.write_all(bytes).unwrap();
    }
}

/// 40 MiB of bytes without a pattern; always the same.
fn noise(path: &Path) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(40 << 17)
    .flatten()
    .collect();
    put(path, &[(SIZE / 2, &bytes)]);
}

fn tool(program: &str, arguments: &[&str], path: &Path) {
    let path_of_tools = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let status = Command::new(program)
        .args(arguments)
        .arg(path)
        .env("PATH", path_of_tools)
        .stdout(Stdio::null())
        .status()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(status.success(), "{program}: {status}");
}

fn sfdisk(script: &str, path: &Path) {
    let mut child = Command::new("/usr/sbin/sfdisk")
        .args(["--quiet"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("sfdisk: {e}"));
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "sfdisk");
}
