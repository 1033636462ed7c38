//! Reads any image without mounting it: partition tables, FAT and ext4.

mod error;
pub mod ext4;
pub mod fat;
mod foreign;
mod region;
pub mod table;

use std::path::Path;

use crate::format::fat::boot_sector as bs;
use ext4::Ext4Volume;
use fat::FatVolume;

pub use error::InspectError;
pub use region::Region;

/// A file system of an image.
#[derive(Debug)]
pub enum Volume {
    /// FAT12, FAT16 or FAT32.
    Fat(FatVolume),
    /// ext4.
    Ext4(Box<Ext4Volume>),
}

/// Opens the file system in partition `number` (from 1, as Linux counts) of an image.
///
/// # Errors
/// When the image cannot be read, has no such partition, or the partition holds neither FAT nor ext4.
pub fn open_partition(image: &Path, number: usize) -> Result<Volume, InspectError> {
    let whole = Region::whole(image)?;
    let table = table::read(&whole)?;
    let found = table.partitions.iter().find(|p| p.number == number);
    let partition = found.ok_or_else(|| InspectError::NoPartition {
        path: image.to_owned(),
        index: number,
        count: table.partitions.len(),
    })?;
    Volume::in_region(whole.part(partition.start, partition.len)?)
}

impl Volume {
    /// Opens the file system that fills `region`.
    ///
    /// # Errors
    /// When it is neither FAT nor ext4, or damaged.
    pub fn in_region(region: Region) -> Result<Self, InspectError> {
        if ext4::is_ext4(&region)? {
            return Ext4Volume::in_region(region).map(Box::new).map(Self::Ext4);
        }
        let boot = region.bytes(0, region.len().min(bs::SIZE as u64))?;
        let boots = boot.get(bs::SIGNATURE_AT..) == Some(&bs::SIGNATURE) && matches!(boot.first(), Some(0xeb | 0xe9));
        // NTFS and exFAT have such a sector, too.
        if boots && foreign::name(&region)?.is_none() {
            return FatVolume::in_region(region).map(Self::Fat);
        }
        Err(region.unknown(foreign::name(&region)?))
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// When the path is missing or not a file, or the file system is damaged.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>, InspectError> {
        match self {
            Self::Fat(volume) => volume.read(path),
            Self::Ext4(volume) => volume.read(path),
        }
    }

    /// The names in a folder, in stored order.
    ///
    /// # Errors
    /// When the path is missing or not a folder, or the file system is damaged.
    pub fn names(&self, path: &str) -> Result<Vec<String>, InspectError> {
        Ok(match self {
            Self::Fat(volume) => volume.list(path)?.into_iter().map(|e| e.name).collect(),
            Self::Ext4(volume) => volume
                .list(path)?
                .into_iter()
                .map(|e| e.path.rsplit('/').next().unwrap_or_default().to_owned())
                .collect(),
        })
    }
}
