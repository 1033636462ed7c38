//! The facts about an image: the data behind `labimg inspect`.

use std::path::Path;

use serde::Serialize;

use super::system::{self, System};
use crate::seed;
use crate::wording::one_line;
use labimg_disk::read::fat::FatKind;
use labimg_disk::read::table::{self, PartitionInfo, Table};
use labimg_disk::read::{InspectError, Region, Volume};

/// Everything that was found in an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageReport {
    /// Size in bytes.
    pub size: u64,
    /// `mbr`, `gpt` or `none`.
    pub table: &'static str,
    /// The disk's signature or GUID.
    pub disk_id: String,
    /// The partitions in the order of their numbers.
    pub partitions: Vec<PartitionReport>,
    /// The Linux system in the first partition that has one.
    pub system: Option<System>,
    /// What is damaged or could not be read.
    pub problems: Vec<String>,
}

/// A partition and its file system.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartitionReport {
    /// Its entry in the table.
    #[serde(flatten)]
    pub entry: PartitionInfo,
    /// Its file system; `None` when labimg does not read its kind, or it is damaged.
    pub file_system: Option<FileSystemReport>,
    /// What else it holds, if that is known: `Btrfs`, `Linux swap` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<&'static str>,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileSystemReport {
    /// `fat12`, `fat16`, `fat32` or `ext4`.
    pub kind: &'static str,
    /// Its label; may be empty.
    pub label: String,
    /// As Linux shows it: `XXXX-XXXX` for FAT.
    pub uuid: String,
    /// Bytes in use.
    pub used: u64,
    /// Bytes free.
    pub free: u64,
    /// Inodes in use and free; FAT has none.
    pub inodes: Option<(u32, u32)>,
    /// ext4's features by name.
    pub features: Vec<String>,
    /// Whether it holds a node's seed, which the first boot applies and wipes.
    pub seeded: bool,
}

/// Reads an image or card and reports what is in it.
///
/// # Errors
/// When it cannot be read at all. Damage inside is reported in [`ImageReport::problems`].
pub fn open(path: &Path) -> Result<ImageReport, InspectError> {
    let image = Region::whole(path)?;
    let Table { kind, id, partitions, mut problems } = table::read(&image)?;
    let mut report = ImageReport {
        size: image.len(),
        table: kind,
        disk_id: id,
        partitions: Vec::new(),
        system: None,
        problems: Vec::new(),
    };
    for entry in partitions {
        let opened = image.part(entry.start, entry.len).and_then(Volume::in_region);
        let mut note = |what: InspectError| problems.push(format!("partition {}: {}", entry.number, one_line(&what)));
        let mut holds = None;
        let file_system = match opened {
            Ok(volume) => {
                if let (None, Volume::Ext4(root)) = (&report.system, &volume) {
                    report.system = system::read(root, entry.number).unwrap_or_else(|e| {
                        note(e);
                        None
                    });
                }
                describe(&volume).map_err(note).ok()
            }
            // Boot loaders and swap have partitions without a file system: that is fine.
            Err(InspectError::Unknown { kind, .. }) => {
                holds = kind;
                None
            }
            Err(e) => {
                note(e);
                None
            }
        };
        report.partitions.push(PartitionReport { entry, file_system, holds });
    }
    report.problems = problems;
    if let Some(system) = &report.system {
        report.problems.extend(system.problems.iter().cloned());
    }
    Ok(report)
}

fn describe(volume: &Volume) -> Result<FileSystemReport, InspectError> {
    Ok(match volume {
        Volume::Fat(fat) => {
            let (used, free) = fat.usage();
            FileSystemReport {
                kind: match fat.kind() {
                    FatKind::Fat12 => "fat12",
                    FatKind::Fat16 => "fat16",
                    FatKind::Fat32 => "fat32",
                },
                label: fat.label()?,
                uuid: format!("{:04X}-{:04X}", fat.volume_id() >> 16, fat.volume_id() & 0xffff),
                used,
                free,
                inodes: None,
                features: Vec::new(),
                // A folder that cannot be read is reported where it is read.
                seeded: matches!(fat.find(seed::ARCHIVE), Ok(Some(_))),
            }
        }
        Volume::Ext4(ext4) => {
            let (used, free) = ext4.usage();
            FileSystemReport {
                kind: "ext4",
                label: ext4.label(),
                uuid: ext4.uuid(),
                used,
                free,
                inodes: Some(ext4.inodes()),
                features: ext4.features(),
                seeded: false,
            }
        }
    })
}
