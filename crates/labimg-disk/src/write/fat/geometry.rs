//! Where everything is in a FAT32 volume, and the sectors that describe it.

use super::FatOptions;
use crate::format::fat::directory::NAME_LEN;
use crate::format::fat::{boot_sector as bs, fs_info};
use crate::write::ImageError;

/// Size of a sector in bytes.
pub(super) const SECTOR: u64 = 512;
/// Sectors before the first allocation table, as in mkfs.fat: they hold the boot sector, `FSInfo` and their backups.
const RESERVED: u64 = 32;
/// `FSInfo`'s sector.
const FSINFO: u64 = 1;
/// The backup boot sector; that of `FSInfo` follows it.
const BACKUP: u64 = 6;

/// Sizes and positions, in sectors and clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    sectors: u64,
    table_sectors: u64,
    /// Size of a cluster in bytes.
    pub(super) cluster_size: u64,
    /// Number of clusters; the first has number 2.
    pub(super) clusters: u64,
}

impl Geometry {
    /// Uses the largest cluster up to 4 KiB that still gives the 65,525 clusters that FAT32 needs.
    pub(super) fn new(options: &FatOptions) -> Result<Self, ImageError> {
        let sectors = options.size / SECTOR;
        if !options.size.is_multiple_of(SECTOR) || sectors > u64::from(u32::MAX) {
            return Err(ImageError::Layout(format!(
                "a FAT32 volume of {} bytes: the size must be a multiple of 512 below 2 TiB",
                options.size
            )));
        }
        // The specification advises to stay 16 clusters away from the limit: some programs count slightly wrong.
        let sound = |g: &Self| (65_525 + 16..0x0fff_fff5).contains(&g.clusters);
        [4096, 2048, 1024, 512]
            .map(|cluster_size| Self::with_cluster(sectors, cluster_size))
            .into_iter()
            .find(sound)
            .ok_or(ImageError::TooSmall { partition: options.label.clone(), size: options.size, needed: 33 << 20 })
    }

    fn with_cluster(sectors: u64, cluster_size: u64) -> Self {
        let per_cluster = cluster_size / SECTOR;
        // Each cluster takes its sectors and 4 bytes in each of two tables. Table sizes of whole 4 KiB keep the
        // clusters aligned like the partition.
        let most = sectors.saturating_sub(RESERVED) * SECTOR / (cluster_size + 8);
        let table_sectors = ((most + 2) * 4).div_ceil(SECTOR).next_multiple_of(8);
        let clusters = sectors.saturating_sub(RESERVED + 2 * table_sectors) / per_cluster;
        Self { sectors, table_sectors, cluster_size, clusters }
    }

    /// Byte offsets of the two allocation tables.
    pub(super) fn tables(&self) -> [u64; 2] {
        [RESERVED * SECTOR, (RESERVED + self.table_sectors) * SECTOR]
    }

    /// Byte offset of a cluster.
    pub(super) fn cluster(&self, number: u64) -> u64 {
        (RESERVED + 2 * self.table_sectors) * SECTOR + (number - 2) * self.cluster_size
    }

    /// Boot sector and `FSInfo` with their backups: byte offset and content of each.
    pub(super) fn sectors(
        &self,
        options: &FatOptions,
        label: [u8; NAME_LEN],
        offset: u64,
        used: u64,
    ) -> [(u64, Vec<u8>); 4] {
        let (boot, info) = (self.boot(options, label, offset), self.info(used));
        [(0, boot.clone()), (FSINFO, info.clone()), (BACKUP, boot), (BACKUP + 1, info)]
            .map(|(sector, bytes)| (sector * SECTOR, bytes))
    }

    fn boot(&self, options: &FatOptions, label: [u8; NAME_LEN], offset: u64) -> Vec<u8> {
        let mut b = vec![0; SECTOR as usize];
        let mut put = |at: usize, bytes: &[u8]| b[at..at + bytes.len()].copy_from_slice(bytes);
        // A jump to the code.
        put(bs::BS_jmpBoot, &[0xeb, 0x58, 0x90]);
        // The specification advises this name: some systems look for it.
        put(bs::BS_OEMName, b"MSWIN4.1");
        put(bs::BPB_BytsPerSec, &(SECTOR as u16).to_le_bytes());
        put(bs::BPB_SecPerClus, &[(self.cluster_size / SECTOR) as u8]);
        put(bs::BPB_RsvdSecCnt, &(RESERVED as u16).to_le_bytes());
        put(bs::BPB_NumFATs, &[2]);
        put(bs::BPB_Media, &[bs::MEDIA_FIXED]);
        // As in the partition table.
        put(bs::BPB_SecPerTrk, &63_u16.to_le_bytes());
        put(bs::BPB_NumHeads, &255_u16.to_le_bytes());
        put(bs::BPB_HiddSec, &u32::try_from(offset / SECTOR).unwrap_or(0).to_le_bytes());
        put(bs::BPB_TotSec32, &(self.sectors as u32).to_le_bytes());
        put(bs::BPB_FATSz32, &(self.table_sectors as u32).to_le_bytes());
        put(bs::BPB_RootClus, &2_u32.to_le_bytes());
        put(bs::BPB_FSInfo, &(FSINFO as u16).to_le_bytes());
        put(bs::BPB_BkBootSec, &(BACKUP as u16).to_le_bytes());
        put(bs::EXTENDED_32 + bs::BS_DrvNum, &[0x80]);
        put(bs::EXTENDED_32 + bs::BS_BootSig, &[bs::BOOT_SIG]);
        put(bs::EXTENDED_32 + bs::BS_VolID, &options.volume_id.to_le_bytes());
        put(bs::EXTENDED_32 + bs::BS_VolLab, &label);
        put(bs::EXTENDED_32 + bs::BS_FilSysType, b"FAT32   ");
        // Tells a PC's BIOS that this disk does not boot (int 0x18), and waits.
        put(bs::BOOT_CODE_32, &[0xcd, 0x18, 0xeb, 0xfe]);
        put(bs::SIGNATURE_AT, &bs::SIGNATURE);
        b
    }

    fn info(&self, used: u64) -> Vec<u8> {
        let mut b = vec![0; SECTOR as usize];
        let mut put = |at: usize, number: u32| b[at..at + 4].copy_from_slice(&number.to_le_bytes());
        put(fs_info::FSI_LeadSig, fs_info::LEAD_SIG);
        put(fs_info::FSI_StrucSig, fs_info::STRUC_SIG);
        put(fs_info::FSI_Free_Count, (self.clusters - used) as u32);
        // Where to look for a free cluster; all ones when unknown.
        put(fs_info::FSI_Nxt_Free, if used < self.clusters { used as u32 + 2 } else { u32::MAX });
        put(fs_info::FSI_TrailSig, fs_info::TRAIL_SIG);
        b
    }
}
