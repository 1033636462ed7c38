//! The master boot record, and the boot records of an extended partition.

use super::{PartitionInfo, Table};
use crate::format::table::{SECTOR, mbr};
use crate::read::InspectError;
use crate::read::region::{Region, u32_at};
use labimg_tree::fault::whole;

/// More logical partitions than Linux shows. A damaged chain may have no end.
pub(super) const MOST_LOGICAL: usize = 256;

/// The number of the first logical partition.
const FIRST_LOGICAL: usize = 5;

/// The table that these records of the first sector tell of.
pub(super) fn read(image: &Region, first: &[u8], records: &[Record]) -> Table {
    let signature = u32_at(first, mbr::UniqueMBRDiskSignature);
    let used: Vec<(usize, &Record)> = (1..).zip(records).filter(|(_, e)| e.is_used()).collect();
    let mut partitions: Vec<_> = used.iter().map(|(number, e)| e.partition(*number, 0, signature)).collect();
    let mut problems = Vec::new();
    for (number, extended) in used.iter().filter(|(_, e)| e.is_extended()) {
        if let Err(e) = logical(image, extended, signature, &mut partitions) {
            problems.push(format!(
                "partition {number} is extended, and not all partitions in it are listed: {}",
                whole(&e)
            ));
        }
    }
    Table { kind: "mbr", id: format!("{signature:08x}"), partitions, problems }
}

/// A partition record of the first sector, or of a boot record in an extended partition; sectors are relative to its own.
pub(super) struct Record {
    kind: u8,
    first: u32,
    count: u32,
}

pub(super) fn records(sector: &[u8]) -> Vec<Record> {
    let record = |e: &[u8]| Record {
        kind: e[mbr::OSType],
        first: u32_at(e, mbr::StartingLBA),
        count: u32_at(e, mbr::SizeInLBA),
    };
    sector[mbr::PartitionRecord..mbr::Signature].chunks_exact(mbr::RECORD_SIZE).map(record).collect()
}

impl Record {
    /// True when a GPT follows.
    pub(super) fn is_protective(&self) -> bool {
        self.kind == mbr::TYPE_GPT_PROTECTIVE
    }

    fn is_used(&self) -> bool {
        self.kind != 0 && self.count != 0
    }

    fn is_extended(&self) -> bool {
        matches!(self.kind, 0x05 | 0x0f | 0x85)
    }

    /// The partition; its record is in sector `base`.
    fn partition(&self, number: usize, base: u64, signature: u32) -> PartitionInfo {
        PartitionInfo {
            number,
            start: (base + u64::from(self.first)) * SECTOR,
            len: u64::from(self.count) * SECTOR,
            type_id: format!("{:02x}", self.kind),
            type_name: mbr_type(self.kind),
            partuuid: format!("{signature:08x}-{number:02x}"),
            name: String::new(),
        }
    }
}

/// Adds the logical partitions: a chain of boot records, each with one partition and the place of the next record,
/// which counts from the start of the extended partition (kernel, `block/partitions/msdos.c`).
fn logical(
    image: &Region,
    extended: &Record,
    signature: u32,
    partitions: &mut Vec<PartitionInfo>,
) -> Result<(), InspectError> {
    let start = u64::from(extended.first);
    let mut at = start;
    let mut number = partitions.iter().map(|p| p.number + 1).max().unwrap_or(0).max(FIRST_LOGICAL);
    for _ in 0..MOST_LOGICAL {
        let sector = image.bytes(at * SECTOR, SECTOR)?;
        if sector[mbr::Signature..] != mbr::SIGNATURE {
            return Err(image.damaged(format!("sector {at} is no boot record")));
        }
        let records = records(&sector);
        let (own, links): (Vec<_>, Vec<_>) = records.iter().filter(|r| r.is_used()).partition(|r| !r.is_extended());
        for record in own {
            partitions.push(record.partition(number, at, signature));
            number += 1;
        }
        match links.first() {
            Some(link) => at = start + u64::from(link.first),
            None => return Ok(()),
        }
    }
    Err(image.damaged(format!("it has more than {MOST_LOGICAL} boot records, or they lead in a circle")))
}

fn mbr_type(id: u8) -> &'static str {
    match id {
        0x01 | 0x04 | 0x06 | 0x0e => "FAT16",
        0x0b | 0x0c => "FAT32",
        0x05 | 0x0f | 0x85 => "extended",
        0x07 => "NTFS or exFAT",
        0x82 => "Linux swap",
        0x83 => "Linux",
        0x8e => "Linux LVM",
        0xef => "EFI system",
        _ => "",
    }
}
