//! USB disks of every kind: what people plug in.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use labimg_testkit::command::succeed;

/// Most disks here are this large: more than the smallest that is taken.
pub const SIZE: u64 = 2 << 30;

/// Writes pieces into a blank disk of [`SIZE`] bytes.
fn write(path: &Path, pieces: &[(u64, &[u8])]) {
    let file = File::create(path).unwrap();
    file.set_len(SIZE).unwrap();
    for (at, bytes) in pieces {
        file.write_all_at(bytes, *at).unwrap();
    }
}

/// What `blkid` of this computer sees there: proof that a disk written by hand is what it is meant to be.
fn expect(path: &Path, tag: &str, value: &str) {
    let output = succeed(Command::new("blkid").args(["-p", "-o", "value", "-s", tag]).arg(path));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), value, "{} is not as meant", path.display());
}

pub fn blank(path: &Path) {
    write(path, &[]);
}

pub fn small(path: &Path) {
    File::create(path).unwrap().set_len(16 << 20).unwrap();
}

pub fn ext4(path: &Path, label: &str) {
    write(path, &[]);
    succeed(Command::new("mkfs.ext4").args(["-q", "-F", "-L", label]).arg(path));
}

/// A disk of labimg's whose first superblock is gone.
pub fn damage(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&[0; 4096], 1 << 20).unwrap();
}

pub fn fat(path: &Path) {
    write(path, &[]);
    succeed(Command::new("mkfs.vfat").args(["-n", "PHOTOS"]).arg(path));
}

pub fn swap(path: &Path) {
    write(path, &[]);
    succeed(Command::new("mkswap").arg("-q").arg(path));
}

/// A table without partitions.
pub fn table(path: &Path, kind: &str) {
    write(path, &[]);
    let mut child = Command::new("sfdisk").arg("-q").arg(path).stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), format!("label: {kind}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    expect(path, "PTTYPE", kind);
}

/// A partition table of one partition that holds nothing that anybody knows.
pub fn partition(path: &Path) {
    write(path, &[]);
    let mut child = Command::new("sfdisk").arg("-q").arg(path).stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"label: gpt\n,,L\n").unwrap();
    assert!(child.wait().unwrap().success());
}

/// Boot sector and first MFT record of NTFS, by the fields that make it one.
pub fn ntfs(path: &Path) {
    let mut sector = [0; 512];
    sector[..11].copy_from_slice(b"\xeb\x52\x90NTFS    ");
    sector[11..13].copy_from_slice(&512u16.to_le_bytes());
    sector[13] = 8;
    sector[21] = 0xf8;
    sector[40..48].copy_from_slice(&(SIZE / 512 - 1).to_le_bytes());
    // First clusters of the MFT and of its mirror; a record is 2^10 bytes, an index block one cluster.
    sector[48..56].copy_from_slice(&4u64.to_le_bytes());
    sector[56..64].copy_from_slice(&8u64.to_le_bytes());
    sector[64] = 0xf6;
    sector[68] = 1;
    sector[72..80].copy_from_slice(&0x1234_5678_u64.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    let mut record = [0; 1024];
    record[..4].copy_from_slice(b"FILE");
    let records: Vec<u8> = record.repeat(4);
    write(path, &[(0, &sector), (4 * 4096, &records), (8 * 4096, &records)]);
    expect(path, "TYPE", "ntfs");
}

/// A LUKS header (cryptsetup, "LUKS On-Disk Format Specification" 1.2.3).
pub fn luks(path: &Path) {
    let mut header = [0; 592];
    header[..8].copy_from_slice(b"LUKS\xba\xbe\x00\x01");
    header[8..11].copy_from_slice(b"aes");
    header[40..51].copy_from_slice(b"xts-plain64");
    header[72..78].copy_from_slice(b"sha256");
    header[104..108].copy_from_slice(&4096u32.to_be_bytes());
    header[108..112].copy_from_slice(&64u32.to_be_bytes());
    header[168..204].copy_from_slice(b"6f2f8a4c-5d7e-4c59-9a0e-0f5a3f1b2c3d");
    write(path, &[(0, &header)]);
    expect(path, "TYPE", "crypto_LUKS");
}

/// The label of an LVM physical volume in the second sector (LVM2, `lib/label/label.h`).
pub fn lvm(path: &Path) {
    let mut sector = [0; 512];
    sector[..8].copy_from_slice(b"LABELONE");
    sector[8..16].copy_from_slice(&1u64.to_le_bytes());
    sector[20..24].copy_from_slice(&32u32.to_le_bytes());
    sector[24..32].copy_from_slice(b"LVM2 001");
    sector[32..64].copy_from_slice(b"abcdefghijklmnopqrstuvwxyzABCDEF");
    sector[64..72].copy_from_slice(&SIZE.to_le_bytes());
    // CRC-32 without its final inversion, seeded with 0xf597a6cf, of what follows it.
    let mut crc = 0xf597_a6cf_u32;
    for byte in &sector[20..] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    sector[16..20].copy_from_slice(&crc.to_le_bytes());
    write(path, &[(512, &sector)]);
    expect(path, "TYPE", "LVM2_member");
}

/// A version 1.2 superblock of Linux software RAID (Linux, `include/uapi/linux/raid/md_p.h`).
pub fn md_raid(path: &Path) {
    let mut block = [0; 256];
    block[..4].copy_from_slice(&0xa92b_4efc_u32.to_le_bytes());
    block[4..8].copy_from_slice(&1u32.to_le_bytes());
    block[16..32].copy_from_slice(b"0123456789abcdef");
    block[32..42].copy_from_slice(b"old-nas:0\0");
    block[72..76].copy_from_slice(&1u32.to_le_bytes());
    block[80..88].copy_from_slice(&(SIZE / 512 - 2048).to_le_bytes());
    block[92..96].copy_from_slice(&2u32.to_le_bytes());
    block[128..136].copy_from_slice(&2048u64.to_le_bytes());
    block[136..144].copy_from_slice(&(SIZE / 512 - 2048).to_le_bytes());
    block[144..152].copy_from_slice(&8u64.to_le_bytes());
    // The sum of its words, carries added.
    let sum: u64 = block.chunks_exact(4).map(|w| u64::from(u32::from_le_bytes([w[0], w[1], w[2], w[3]]))).sum();
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    block[216..220].copy_from_slice(&(sum as u32).to_le_bytes());
    write(path, &[(4096, &block)]);
    expect(path, "TYPE", "linux_raid_member");
}

/// The first superblock of Btrfs, at 64 KiB (Linux, `include/uapi/linux/btrfs_tree.h`).
pub fn btrfs(path: &Path) {
    let mut block = vec![0; 4096];
    block[32..48].copy_from_slice(b"0123456789abcdef");
    block[48..56].copy_from_slice(&65536u64.to_le_bytes());
    block[64..72].copy_from_slice(b"_BHRfS_M");
    block[112..120].copy_from_slice(&SIZE.to_le_bytes());
    block[136..144].copy_from_slice(&1u64.to_le_bytes());
    block[144..148].copy_from_slice(&4096u32.to_le_bytes());
    block[148..152].copy_from_slice(&16384u32.to_le_bytes());
    let sum = crc32c::crc32c(&block[32..]);
    block[..4].copy_from_slice(&sum.to_le_bytes());
    write(path, &[(65536, &block)]);
    expect(path, "TYPE", "btrfs");
}

/// Bytes without any signature, such as a disk image cut off at the front, at `at`.
pub fn bytes_at(path: &Path, at: u64) {
    let text = b"the only copy of a thesis".repeat(4000);
    let at = at.min(SIZE - text.len() as u64);
    write(path, &[(at, &text)]);
}

/// The same in the middle only: 40 MiB, of which samples see some.
pub fn middle(path: &Path) {
    write(path, &[(SIZE / 2, &b"the only copy of a film.".repeat((40 << 20) / 24))]);
}

/// SHA-256 of all blocks that are not zero, each with its place: the same for two disks that have the same bytes. Holes, which
/// is nearly all of a disk here, are not read.
pub fn fingerprint(path: &Path) -> String {
    let file = File::open(path).unwrap();
    let mut hasher = <sha2::Sha256 as sha2::Digest>::new();
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while let Some((start, end)) = next_data(&file, at) {
        at = start;
        while at < end {
            let count = file.read_at(&mut buffer[..(1 << 20).min((end - at) as usize)], at).unwrap();
            assert!(count > 0, "{} became shorter", path.display());
            for (number, block) in buffer[..count].chunks(BLOCK).enumerate().filter(|(_, b)| b.iter().any(|b| *b != 0))
            {
                sha2::Digest::update(&mut hasher, (at + (number * BLOCK) as u64).to_le_bytes());
                sha2::Digest::update(&mut hasher, block);
            }
            at += count as u64;
        }
    }
    sha2::Digest::update(&mut hasher, file.metadata().unwrap().len().to_le_bytes());
    sha2::Digest::finalize(hasher).iter().map(|b| format!("{b:02x}")).collect()
}

/// File systems leave holes in whole blocks of this many bytes.
const BLOCK: usize = 4096;

/// The next range that is not a hole.
fn next_data(file: &File, from: u64) -> Option<(u64, u64)> {
    use rustix::fs::{SeekFrom, seek};
    match seek(file, SeekFrom::Data(from)) {
        Ok(start) => Some((start, seek(file, SeekFrom::Hole(start)).unwrap())),
        Err(rustix::io::Errno::NXIO) => None,
        Err(e) => panic!("{e}"),
    }
}
