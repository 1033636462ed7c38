//! The master boot record: one sector (UEFI specification 2.10, section 5.2.1).

use super::{Layout, PartitionKind};
use crate::format::table::{SECTOR, mbr};
use crate::write::{ImageError, Sparse};

pub(super) fn write(layout: &Layout, signature: u32, out: &Sparse) -> Result<(), ImageError> {
    let mut sector = [0; SECTOR as usize];
    let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
    put(mbr::UniqueMBRDiskSignature, &signature.to_le_bytes());
    let records = (mbr::PartitionRecord..mbr::Signature).step_by(mbr::RECORD_SIZE);
    for (record, partition) in records.zip(&layout.partitions) {
        let (first, count) = (partition.start / SECTOR, partition.len / SECTOR);
        put(record + mbr::StartingCHS, &chs(first));
        let kind = match partition.kind {
            PartitionKind::Boot => mbr::TYPE_FAT32_LBA,
            PartitionKind::Linux => mbr::TYPE_LINUX,
        };
        put(record + mbr::OSType, &[kind]);
        put(record + mbr::EndingCHS, &chs(first + count - 1));
        // `Layout::new` made sure that both fit.
        put(record + mbr::StartingLBA, &(first as u32).to_le_bytes());
        put(record + mbr::SizeInLBA, &(count as u32).to_le_bytes());
    }
    put(mbr::Signature, &mbr::SIGNATURE);
    out.write(0, &sector).map_err(|source| ImageError::Write { at: 0, source })
}

/// Head, sector and cylinder of a sector on a disk of 255 heads and 63 sectors; the highest value when the sector is
/// beyond that.
fn chs(lba: u64) -> [u8; 3] {
    let (cylinder, head, sector) = (lba / (255 * 63), lba / 63 % 255, lba % 63 + 1);
    if cylinder > 1023 {
        return [0xfe, 0xff, 0xff];
    }
    [head as u8, (cylinder >> 2 & 0xc0) as u8 | sector as u8, cylinder as u8]
}
