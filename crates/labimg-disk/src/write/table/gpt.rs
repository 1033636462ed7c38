//! The GUID partition table, written by the `gpt` crate with every GUID given.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition::Partition as Entry;
use gpt::{GptConfig, partition_types};
use uuid::Uuid;

use super::{Layout, PartitionKind};
use crate::format::table::SECTOR;
use crate::write::ImageError;

/// How many entries a table has.
pub(super) const ENTRIES: usize = 128;

pub(super) fn write(layout: &Layout, disk_guid: Uuid, out: &File) -> Result<(), ImageError> {
    let fail =
        |what: &str, error: String| ImageError::Write { at: 0, source: io::Error::other(format!("{what}: {error}")) };
    let mut out = out;
    // The protective entry covers all sectors after the first, or as many as it can count.
    let sectors = u32::try_from(layout.size / SECTOR - 1).unwrap_or(u32::MAX);
    ProtectiveMBR::with_lb_size(sectors)
        .overwrite_lba0(&mut out)
        .map_err(|e| fail("protective boot record", e.to_string()))?;
    let entries: BTreeMap<u32, Entry> = (1_u32..)
        .zip(&layout.partitions)
        .map(|(number, partition)| {
            let first = partition.start / SECTOR;
            let entry = Entry {
                part_type_guid: match partition.kind {
                    PartitionKind::Boot => partition_types::EFI,
                    PartitionKind::Linux => partition_types::LINUX_FS,
                },
                part_guid: partition.guid,
                first_lba: first,
                last_lba: first + partition.len / SECTOR - 1,
                flags: 0,
                name: partition.name.clone(),
            };
            (number, entry)
        })
        .collect();
    let mut disk = GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(out, Some(disk_guid))
        .map_err(|e| fail("GPT", e.to_string()))?;
    disk.update_partitions(entries).map_err(|e| fail("GPT", e.to_string()))?;
    disk.write().map(drop).map_err(|e| fail("GPT", e.to_string()))
}
