//! Reads partition tables: MBR and GPT (UEFI specification 2.10, chapter 5), or one file system without a table.

use serde::Serialize;
use uuid::Uuid;

use super::InspectError;
use super::region::{Region, u16_at, u32_at, u64_at};
use crate::format::fat::boot_sector as bs;
use crate::format::table::{SECTOR, gpt_entry, gpt_header, mbr};
use labimg_tree::fault::whole;

/// More entries than any tool makes. A damaged header can claim more.
const MOST_ENTRIES: u32 = 1024;

/// An image's partition table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// `mbr`, `gpt`, or `none` when one file system fills the image.
    pub kind: &'static str,
    /// The disk's signature (eight hexadecimal digits) or GUID; empty without a table.
    pub id: String,
    /// The partitions in the order of their numbers.
    pub partitions: Vec<PartitionInfo>,
    /// What is wrong with the table, although it could be read.
    pub problems: Vec<String>,
}

/// One partition of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionInfo {
    /// Its number: `2` for `/dev/mmcblk0p2`.
    pub number: usize,
    /// First byte in the image.
    pub start: u64,
    /// Size in bytes.
    pub len: u64,
    /// The type as stored: two hexadecimal digits or a GUID.
    pub type_id: String,
    /// The usual name of the type; empty when unknown.
    pub type_name: &'static str,
    /// Linux's name for it, as in `root=PARTUUID=…`.
    pub partuuid: String,
    /// Its name in a GPT; empty in an MBR.
    pub name: String,
}

/// Reads the table of an image.
///
/// # Errors
/// When the image cannot be read or holds neither a table nor a file system.
pub fn read(image: &Region) -> Result<Table, InspectError> {
    let first = image.bytes(0, SECTOR)?;
    if fills_the_image(image, &first)? {
        let whole = PartitionInfo {
            number: 1,
            start: 0,
            len: image.len(),
            type_id: String::new(),
            type_name: "",
            partuuid: String::new(),
            name: String::new(),
        };
        return Ok(Table { kind: "none", id: String::new(), partitions: vec![whole], problems: Vec::new() });
    }
    if first[mbr::Signature..] != mbr::SIGNATURE {
        return Err(image.damaged("there is no partition table and no file system"));
    }
    let entries: Vec<&[u8]> = first[mbr::PartitionRecord..mbr::Signature].chunks_exact(mbr::RECORD_SIZE).collect();
    if entries.iter().any(|e| e[mbr::OSType] == mbr::TYPE_GPT_PROTECTIVE) {
        return read_gpt(image);
    }
    let signature = u32_at(&first, mbr::UniqueMBRDiskSignature);
    let used = entries.iter().enumerate().filter(|(_, e)| e[mbr::OSType] != 0 && u32_at(e, mbr::SizeInLBA) != 0);
    let partition = |(index, e): (usize, &&[u8])| PartitionInfo {
        number: index + 1,
        start: u64::from(u32_at(e, mbr::StartingLBA)) * SECTOR,
        len: u64::from(u32_at(e, mbr::SizeInLBA)) * SECTOR,
        type_id: format!("{:02x}", e[mbr::OSType]),
        type_name: mbr_type(e[mbr::OSType]),
        partuuid: format!("{signature:08x}-{:02x}", index + 1),
        name: String::new(),
    };
    Ok(Table {
        kind: "mbr",
        id: format!("{signature:08x}"),
        partitions: used.map(partition).collect(),
        problems: Vec::new(),
    })
}

/// True when one file system fills the image. A FAT boot sector ends like an MBR, so fields of the file systems decide.
fn fills_the_image(image: &Region, first: &[u8]) -> Result<bool, InspectError> {
    let says_fat = |extended: usize| first[extended + bs::BS_FilSysType..].starts_with(b"FAT");
    let fat = matches!(first.first(), Some(0xeb | 0xe9)) && (says_fat(bs::EXTENDED_16) || says_fat(bs::EXTENDED_32));
    Ok(fat || super::ext4::is_ext4(image)?)
}

fn read_gpt(image: &Region) -> Result<Table, InspectError> {
    let mut problems = Vec::new();
    let sectors = image.len() / SECTOR;
    match gpt_at(image, 1) {
        Ok(table) => {
            // The backup should be good as well: tools write both.
            if let Err(e) = gpt_at(image, u64_at(&image.bytes(SECTOR, SECTOR)?, gpt_header::AlternateLBA)) {
                problems.push(format!("the copy of the GPT at the end is bad: {}", whole(&e)));
            }
            Ok(Table { problems, ..table })
        }
        Err(error) => {
            let Ok(table) = gpt_at(image, sectors.saturating_sub(1)) else { return Err(error) };
            problems.push(format!("the GPT at the front is bad, its copy was read: {}", whole(&error)));
            Ok(Table { problems, ..table })
        }
    }
}

fn gpt_at(image: &Region, lba: u64) -> Result<Table, InspectError> {
    let bad = |why: &str| Err(image.damaged(format!("GPT header in sector {lba}: {why}")));
    let header = image.bytes(lba.saturating_mul(SECTOR), SECTOR)?;
    if !header[gpt_header::Signature..].starts_with(gpt_header::SIGNATURE) {
        return bad("the signature is missing");
    }
    let len = u32_at(&header, gpt_header::HeaderSize) as usize;
    if !(gpt_header::LEAST_SIZE..=SECTOR as usize).contains(&len) {
        return bad("its size is impossible");
    }
    let mut blanked = header[..len].to_vec();
    blanked[gpt_header::HeaderCRC32..][..4].fill(0);
    if crc32(&blanked) != u32_at(&header, gpt_header::HeaderCRC32) {
        return bad("the checksum is wrong");
    }
    let count = u32_at(&header, gpt_header::NumberOfPartitionEntries);
    let size = u32_at(&header, gpt_header::SizeOfPartitionEntry) as usize;
    if count > MOST_ENTRIES || !(gpt_entry::LEAST_SIZE..=4096).contains(&size) {
        return bad("number or size of its entries is impossible");
    }
    let entries_at = u64_at(&header, gpt_header::PartitionEntryLBA).saturating_mul(SECTOR);
    let entries = image.bytes(entries_at, u64::from(count) * size as u64)?;
    if crc32(&entries) != u32_at(&header, gpt_header::PartitionEntryArrayCRC32) {
        return bad("the checksum of its entries is wrong");
    }
    let mut partitions = Vec::new();
    for (number, e) in (1..).zip(entries.chunks_exact(size)) {
        let (first, last) = (u64_at(e, gpt_entry::StartingLBA), u64_at(e, gpt_entry::EndingLBA));
        let kind = &e[gpt_entry::PartitionTypeGUID..][..16];
        if kind == [0; 16] {
            continue;
        }
        let Some((start, len)) = place(first, last) else {
            return bad("a partition ends before it begins, or past the end of any disk");
        };
        let name = (0..gpt_entry::NAME_UNITS).map(|unit| u16_at(e, gpt_entry::PartitionName + 2 * unit));
        let name: Vec<u16> = name.take_while(|&unit| unit != 0).collect();
        let type_id = guid(kind);
        partitions.push(PartitionInfo {
            number,
            start,
            len,
            type_name: gpt_type(&type_id),
            type_id,
            partuuid: guid(&e[gpt_entry::UniquePartitionGUID..][..16]),
            name: String::from_utf16_lossy(&name),
        });
    }
    Ok(Table { kind: "gpt", id: guid(&header[gpt_header::DiskGUID..][..16]), partitions, problems: Vec::new() })
}

/// First byte and size of the partition from sector `first` to `last`.
fn place(first: u64, last: u64) -> Option<(u64, u64)> {
    let sectors = last.checked_sub(first)?.checked_add(1)?;
    Some((first.checked_mul(SECTOR)?, sectors.checked_mul(SECTOR)?))
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// GUIDs are stored with their first three groups in little-endian order.
fn guid(bytes: &[u8]) -> String {
    Uuid::from_slice_le(bytes).unwrap_or_default().hyphenated().to_string()
}

fn mbr_type(id: u8) -> &'static str {
    match id {
        0x01 | 0x04 | 0x06 | 0x0e => "FAT16",
        0x0b | 0x0c => "FAT32",
        0x05 | 0x0f => "extended",
        0x07 => "NTFS or exFAT",
        0x82 => "Linux swap",
        0x83 => "Linux",
        0x8e => "Linux LVM",
        0xef => "EFI system",
        _ => "",
    }
}

fn gpt_type(id: &str) -> &'static str {
    match id {
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" => "EFI system",
        "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7" => "Microsoft basic data",
        "0fc63daf-8483-4772-8e79-3d69d8477de4" => "Linux",
        "b921b045-1df0-41c3-af44-4c6f280d3fae" => "Linux root (arm64)",
        "4f68bce3-e8cd-4db1-96e7-fbcaf984b709" => "Linux root (x86-64)",
        "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f" => "Linux swap",
        "bc13c2ff-59e6-4262-a352-b275fd6f7172" => "Linux extended boot",
        "21686148-6449-6e6f-744e-656564454649" => "BIOS boot",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::process::{Command, Stdio};
    use std::sync::LazyLock;

    /// An image with a table made by sfdisk.
    fn sfdisk(script: &str) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8 << 20).unwrap();
        let mut child = Command::new("sfdisk")
            .arg("-q")
            .arg(file.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("sfdisk (install fdisk): {e}"));
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        std::fs::read(file.path()).unwrap()
    }

    static MBR: LazyLock<Vec<u8>> = LazyLock::new(|| {
        sfdisk(
            "label: dos\nlabel-id: 0xdeadbeef\nsize=1MiB, type=c\nstart=4MiB, size=1MiB, type=5\nsize=1MiB, type=83\n",
        )
    });
    static GPT: LazyLock<Vec<u8>> = LazyLock::new(|| {
        sfdisk(
            "label: gpt\nlabel-id: 11112222-3333-4444-5555-666677778888\n\
             15: start=3MiB, size=1MiB, type=linux, name=\"root\", uuid=aaaabbbb-cccc-dddd-eeee-ffff00001111\n\
             1: start=1MiB, size=1MiB, type=uefi\n",
        )
    });

    fn table(bytes: &[u8]) -> Result<Table, InspectError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read(&Region::whole(file.path())?)
    }

    #[test]
    fn reads_what_sfdisk_wrote() {
        if labimg_testkit::judges::missing(&["sfdisk"]) {
            return;
        }
        let mbr = table(&MBR).unwrap();
        assert_eq!((mbr.kind, mbr.id.as_str()), ("mbr", "deadbeef"));
        let short: Vec<_> = mbr.partitions.iter().map(|p| (p.start, p.type_name, p.partuuid.as_str())).collect();
        assert_eq!(short[0], (1 << 20, "FAT32", "deadbeef-01"));
        assert_eq!(short[1].1, "extended");
        let gpt = table(&GPT).unwrap();
        assert_eq!((gpt.kind, gpt.id.as_str()), ("gpt", "11112222-3333-4444-5555-666677778888"));
        assert_eq!(gpt.partitions.iter().map(|p| p.number).collect::<Vec<_>>(), [1, 15]);
        let root = &gpt.partitions[1];
        assert_eq!((root.start, root.len, root.name.as_str(), root.type_name), (3 << 20, 1 << 20, "root", "Linux"));
        assert_eq!(root.partuuid, "aaaabbbb-cccc-dddd-eeee-ffff00001111");
        assert!(gpt.problems.is_empty(), "{:?}", gpt.problems);
    }

    #[test]
    fn sectors_that_no_disk_has_are_refused() {
        assert_eq!(place(2048, 4095), Some((1 << 20, 1 << 20)));
        assert_eq!(place(0, u64::MAX), None);
        assert_eq!(place(u64::MAX, u64::MAX), None);
        assert_eq!(place(2, 1), None);
    }

    proptest! {
        #[test]
        fn damage_is_an_error_not_a_panic(
            gpt in any::<bool>(),
            changes in prop::collection::vec((0_usize..2048, any::<u8>()), 1..20),
            recount in any::<bool>(),
            cut in prop::option::of(0_usize..5000),
        ) {
            if labimg_testkit::judges::missing(&["sfdisk"]) {
                return Ok(());
            }
            let mut bytes = if gpt { GPT.clone() } else { MBR.clone() };
            for (at, value) in changes {
                bytes[at] = value;
            }
            if recount {
                // With correct checksums the damage is not caught by them.
                let entries = crc32(&bytes[1024..1024 + 16384]).to_le_bytes();
                bytes[512 + 88..512 + 92].copy_from_slice(&entries);
                bytes[512 + 16..512 + 20].fill(0);
                let header = crc32(&bytes[512..512 + 92]).to_le_bytes();
                bytes[512 + 16..512 + 20].copy_from_slice(&header);
            }
            if let Some(cut) = cut {
                bytes.truncate(cut);
            }
            let _ = table(&bytes);
        }
    }
}
