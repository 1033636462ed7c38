//! Identifiers: the ids of disk, partitions and file systems are derived from the image's inputs.

use uuid::Uuid;

use crate::parts::board::Table;
use crate::plan::Plan;
use labimg_debian::lock::Lock;
use labimg_disk::write::ImageError;
use labimg_disk::write::table::{Layout, Partition, PartitionKind, PartitionTable};
use labimg_tree::hash::Sha256;

/// Every identifier in the image, derived from its inputs: the same inputs give the same ids.
pub(super) struct Ids {
    pub(super) table: PartitionTable,
    pub(super) firmware: Uuid,
    pub(super) root: Uuid,
    pub(super) volume: u32,
    pub(super) ext4: [u8; 16],
    pub(super) hash_seed: [u8; 16],
}

/// Linux's names for the two partitions.
pub(super) struct Partuuids {
    pub(super) firmware: String,
    pub(super) root: String,
}

impl Ids {
    pub(super) fn new(plan: &Plan, lock: &Lock) -> Result<Self, serde_json::Error> {
        // Without addresses: the same packages from another mirror give the same image.
        let packages: Vec<_> = lock.packages.iter().map(|p| (&p.name, &p.version, &p.architecture, p.sha256)).collect();
        let base = Sha256::of(serde_json::to_vec(&(plan, &lock.suite, &lock.architecture, lock.date, packages))?);
        let hash = |what: &str| *Sha256::of(format!("{base} {what}")).as_bytes();
        let half = |what: &str| hash(what).first_chunk::<16>().copied().unwrap_or_default();
        let number = |what: &str| u32::from_be_bytes(hash(what).first_chunk::<4>().copied().unwrap_or_default()).max(1);
        let uuid = |what: &str| uuid::Builder::from_random_bytes(half(what)).into_uuid();
        Ok(Self {
            table: match plan.board.disk.table {
                Table::Mbr => PartitionTable::Mbr { signature: number("disk") },
                Table::Gpt => PartitionTable::Gpt { disk_guid: uuid("disk") },
            },
            firmware: uuid("firmware partition"),
            root: uuid("root partition"),
            volume: number("firmware volume"),
            ext4: uuid("root file system").into_bytes(),
            hash_seed: half("folder hashes"),
        })
    }

    /// They only depend on the table and the order, not on sizes.
    pub(super) fn partuuids(&self) -> Result<Partuuids, ImageError> {
        let partition = |guid| Partition { start: 0, len: 1, kind: PartitionKind::Linux, guid, name: String::new() };
        let layout = Layout::new(self.table, 0, vec![partition(self.firmware), partition(self.root)])?;
        let of = |index| layout.partuuid(index).unwrap_or_default();
        Ok(Partuuids { firmware: of(1), root: of(2) })
    }
}
