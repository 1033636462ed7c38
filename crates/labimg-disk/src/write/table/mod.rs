//! Partition tables: where each partition is, and the sectors that say so.

mod gpt;
mod mbr;

use uuid::Uuid;

use super::{ImageError, Sparse};
use crate::format::table::{SECTOR, gpt_entry};

/// Partitions begin and end at multiples of this: the erase blocks of SD cards have this size or a fraction of it.
pub const ALIGNMENT: u64 = 4 << 20;

/// Bytes at each end of the disk where tables of any kind may be. No partition reaches into them.
const AROUND: u64 = 1 << 20;

/// The kind of table, with the disk's identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionTable {
    /// The old table of PCs, which every Raspberry Pi reads; up to four partitions.
    Mbr {
        /// The disk's signature, from which Linux makes PARTUUIDs. Not 0.
        signature: u32,
    },
    /// GUID partition table (UEFI specification 2.10, chapter 5), with its copy at the end of the disk.
    Gpt {
        /// The disk's GUID.
        disk_guid: Uuid,
    },
}

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionKind {
    /// FAT32 that firmware boots from: MBR type 0x0c, EFI system partition in a GPT.
    Boot,
    /// Linux file system: MBR type 0x83, Linux file system data in a GPT.
    Linux,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// First byte on the disk.
    pub start: u64,
    /// Size in bytes.
    pub len: u64,
    /// What it is for.
    pub kind: PartitionKind,
    /// The partition's GUID; only stored in a GPT.
    pub guid: Uuid,
    /// A readable name of up to 36 characters; only stored in a GPT.
    pub name: String,
}

/// A table with its partitions in disk order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The kind of table.
    pub table: PartitionTable,
    /// The partitions, in the order of the disk and their numbers.
    pub partitions: Vec<Partition>,
    /// Size of the whole image in bytes.
    pub size: u64,
}

impl Layout {
    /// Places partitions in order from byte `first` on. Their `start` is set here; `first` and each size are rounded up
    /// to whole [`ALIGNMENT`].
    ///
    /// # Errors
    /// More partitions than the table holds, an empty one, a signature of 0, a name that is too long, a size beyond
    /// what the table can count.
    pub fn new(table: PartitionTable, first: u64, mut partitions: Vec<Partition>) -> Result<Self, ImageError> {
        let bad = |why: String| Err(ImageError::Layout(why));
        let round = |bytes: u64| bytes.checked_next_multiple_of(ALIGNMENT);
        let most = match table {
            PartitionTable::Mbr { signature: 0 } => return bad("the disk signature must not be 0".to_owned()),
            PartitionTable::Mbr { .. } => 4,
            PartitionTable::Gpt { .. } => gpt::ENTRIES,
        };
        if partitions.len() > most {
            return bad(format!("{} partitions, but such a table holds {most}", partitions.len()));
        }
        let mut end = round(first).map(|first| first.max(ALIGNMENT));
        for partition in &mut partitions {
            if partition.len == 0 || partition.name.encode_utf16().count() > gpt_entry::NAME_UNITS {
                return bad(format!("partition `{}` is empty or its name has more than 36 characters", partition.name));
            }
            let (start, len) = (end, round(partition.len));
            end = start.zip(len).and_then(|(start, len)| start.checked_add(len));
            (partition.start, partition.len) = start.zip(len).unwrap_or_default();
        }
        if matches!(table, PartitionTable::Gpt { .. }) {
            // The backup of the table lies behind the last partition.
            end = end.and_then(|end| end.checked_add(ALIGNMENT));
        }
        let limit = match table {
            PartitionTable::Mbr { .. } => u64::from(u32::MAX) * SECTOR,
            PartitionTable::Gpt { .. } => i64::MAX as u64,
        };
        match end.filter(|&end| end <= limit) {
            Some(size) => Ok(Self { table, partitions, size }),
            None => bad("the partitions together are larger than the table can count".to_owned()),
        }
    }

    /// What Linux calls partition `index` (from 1) in `root=PARTUUID=…`; `None` when there is no such partition.
    #[must_use]
    pub fn partuuid(&self, index: usize) -> Option<String> {
        let partition = self.partitions.get(index.checked_sub(1)?)?;
        Some(match self.table {
            PartitionTable::Mbr { signature } => format!("{signature:08x}-{index:02x}"),
            PartitionTable::Gpt { .. } => partition.guid.hyphenated().to_string(),
        })
    }

    /// Writes the table (with its copy) into `out`, which has the layout's size. The rest of the first MiB is zeros that
    /// count: it may hold the table of what was on the card before.
    ///
    /// # Errors
    /// A write error.
    pub fn write(&self, out: &Sparse) -> Result<(), ImageError> {
        let zero = |at: u64| out.zero(at..at + AROUND).map_err(|source| ImageError::Write { at, source });
        zero(0)?;
        match self.table {
            PartitionTable::Mbr { signature } => mbr::write(self, signature, out),
            PartitionTable::Gpt { disk_guid } => {
                zero(self.size - AROUND)?;
                gpt::write(self, disk_guid, out.file())
            }
        }
    }
}

#[cfg(test)]
mod tests;
