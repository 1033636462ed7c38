//! The master boot record: one sector (UEFI specification 2.10, section 5.2.1).

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{Layout, PartitionKind, SECTOR};
use crate::write::ImageError;

/// Sectors before the entries: a disk signature at 440, four entries of 16 bytes from 446.
const SIGNATURE: usize = 440;
const ENTRIES: usize = 446;

pub(super) fn write(layout: &Layout, signature: u32, out: &File) -> Result<(), ImageError> {
    let mut sector = [0; SECTOR as usize];
    sector[SIGNATURE..SIGNATURE + 4].copy_from_slice(&signature.to_le_bytes());
    for (place, partition) in sector[ENTRIES..510].chunks_exact_mut(16).zip(&layout.partitions) {
        let (first, count) = (partition.start / SECTOR, partition.len / SECTOR);
        place[1..4].copy_from_slice(&chs(first));
        place[4] = match partition.kind {
            PartitionKind::Boot => 0x0c,
            PartitionKind::Linux => 0x83,
        };
        place[5..8].copy_from_slice(&chs(first + count - 1));
        // `Layout::new` saw to it that both fit.
        place[8..12].copy_from_slice(&(first as u32).to_le_bytes());
        place[12..16].copy_from_slice(&(count as u32).to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    out.write_all_at(&sector, 0).map_err(|source| ImageError::Write { at: 0, source })
}

/// Head, sector and cylinder of a sector on a disk of 255 heads and 63 sectors; the highest where that cannot say it.
fn chs(lba: u64) -> [u8; 3] {
    let (cylinder, head, sector) = (lba / (255 * 63), lba / 63 % 255, lba % 63 + 1);
    if cylinder > 1023 {
        return [0xfe, 0xff, 0xff];
    }
    [head as u8, (cylinder >> 2 & 0xc0) as u8 | sector as u8, cylinder as u8]
}
