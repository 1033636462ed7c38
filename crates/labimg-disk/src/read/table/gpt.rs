//! The GUID partition table (UEFI specification 2.10, section 5.3).

use uuid::Uuid;

use super::{PartitionInfo, Table};
use crate::format::table::{SECTOR, gpt_entry, gpt_header};
use crate::read::InspectError;
use crate::read::region::{Region, u16_at, u32_at, u64_at};
use labimg_tree::fault::whole;

/// More entries than any tool makes. A damaged header can claim more.
const MOST_ENTRIES: u32 = 1024;

/// Sizes of a sector in which a GPT may count: the second is that of disks that have no smaller ones ("4Kn").
const SECTORS: [u64; 2] = [SECTOR, 4096];

/// Reads the table of an image with a protective boot record.
pub(super) fn read(image: &Region) -> Result<Table, InspectError> {
    let mut first = None;
    for sector in SECTORS {
        match read_in_sectors(image, sector) {
            Ok(table) => return Ok(table),
            // What is said of the usual size is most likely what is wrong.
            Err(e) => _ = first.get_or_insert(e),
        }
    }
    Err(first.unwrap_or_else(|| image.damaged("there is no GPT")))
}

/// Reads a GPT that counts in sectors of this size.
fn read_in_sectors(image: &Region, sector: u64) -> Result<Table, InspectError> {
    let mut problems = Vec::new();
    match gpt_at(image, 1, sector) {
        Ok(table) => {
            // The backup should be good as well: tools write both.
            if let Err(e) = gpt_at(image, u64_at(&image.bytes(sector, sector)?, gpt_header::AlternateLBA), sector) {
                problems.push(format!("the copy of the GPT at the end is bad: {}", whole(&e)));
            }
            Ok(Table { problems, ..table })
        }
        Err(error) => {
            let Ok(table) = gpt_at(image, (image.len() / sector).saturating_sub(1), sector) else { return Err(error) };
            problems.push(format!("the GPT at the front is bad, its copy was read: {}", whole(&error)));
            Ok(Table { problems, ..table })
        }
    }
}

fn gpt_at(image: &Region, lba: u64, sector: u64) -> Result<Table, InspectError> {
    let bad = |why: &str| Err(image.damaged(format!("GPT header in sector {lba}: {why}")));
    let header = image.bytes(lba.saturating_mul(sector), sector)?;
    if !header[gpt_header::Signature..].starts_with(gpt_header::SIGNATURE) {
        return bad("the signature is missing");
    }
    let len = u32_at(&header, gpt_header::HeaderSize) as usize;
    if !(gpt_header::LEAST_SIZE..=sector as usize).contains(&len) {
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
    let entries_at = u64_at(&header, gpt_header::PartitionEntryLBA).saturating_mul(sector);
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
        let Some((start, len)) = place(first, last, sector) else {
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
pub(super) fn place(first: u64, last: u64, sector: u64) -> Option<(u64, u64)> {
    let sectors = last.checked_sub(first)?.checked_add(1)?;
    Some((first.checked_mul(sector)?, sectors.checked_mul(sector)?))
}

pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// GUIDs are stored with their first three groups in little-endian order.
fn guid(bytes: &[u8]) -> String {
    Uuid::from_slice_le(bytes).unwrap_or_default().hyphenated().to_string()
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
