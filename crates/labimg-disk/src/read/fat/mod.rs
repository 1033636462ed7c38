//! Reads FAT12, FAT16 and FAT32 volumes with long names (Microsoft, "FAT: General Overview of On-Disk Format", 1.03).
//!
//! The `fatfs` crate is not used: on a damaged volume it fails in unchecked arithmetic and assertions, and follows
//! loops of clusters endlessly. The images read here may come from anywhere.

mod folder;

use std::collections::HashSet;
use std::path::Path;

use super::InspectError;
use super::region::{Region, u16_at, u32_at};
use crate::format::fat::boot_sector as bs;
use crate::format::fat::directory::{self as dir, ATTR_VOLUME_ID};
use labimg_tree::interrupt;

/// Largest file that is read into memory.
const MOST_READ: u64 = 1 << 30;

/// The three formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FatKind {
    /// 12 bits per cluster.
    Fat12,
    /// 16 bits per cluster.
    Fat16,
    /// 32 bits per cluster, of which 28 are used.
    Fat32,
}

/// An opened FAT volume.
#[derive(Debug)]
pub struct FatVolume {
    region: Region,
    kind: FatKind,
    /// The first allocation table.
    table: Vec<u8>,
    cluster_size: u64,
    clusters: u32,
    /// Byte offset of cluster 2.
    data: u64,
    root: Root,
    volume_id: u32,
    boot_label: String,
}

#[derive(Debug, Clone, Copy)]
enum Root {
    /// Byte offset and length: FAT12 and FAT16.
    Fixed(u64, u64),
    /// First cluster: FAT32.
    Cluster(u32),
}

/// One file or folder of a FAT volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatEntry {
    /// The long name, or the short one when there is none.
    pub name: String,
    /// The 8.3 name, in capitals as stored.
    pub short_name: String,
    /// True for a folder.
    pub is_dir: bool,
    /// Size in bytes; 0 for a folder.
    pub size: u64,
    /// Time of last change in seconds since 1970, read as UTC; 0 when the volume has no valid time.
    pub mtime: i64,
    first: u32,
}

impl FatVolume {
    /// Opens the volume in `len` bytes from byte `offset` of an image.
    ///
    /// # Errors
    /// When the image cannot be read or does not hold a sound FAT volume.
    pub fn open(image: &Path, offset: u64, len: u64) -> Result<Self, InspectError> {
        Self::in_region(Region::whole(image)?.part(offset, len)?)
    }

    /// Opens the volume that fills `region`.
    ///
    /// # Errors
    /// As [`FatVolume::open`].
    pub fn in_region(region: Region) -> Result<Self, InspectError> {
        let boot = region.bytes(0, bs::SIZE as u64)?;
        let bad = |why: &str| Err(region.damaged(format!("FAT boot sector: {why}")));
        if boot[bs::SIGNATURE_AT..] != bs::SIGNATURE {
            return bad("the signature 55 AA is missing");
        }
        let sector = u64::from(u16_at(&boot, bs::BPB_BytsPerSec));
        let cluster_sectors = boot[bs::BPB_SecPerClus];
        let cluster_size = sector * u64::from(cluster_sectors);
        let reserved = u64::from(u16_at(&boot, bs::BPB_RsvdSecCnt));
        let tables = u64::from(boot[bs::BPB_NumFATs]);
        let root_entries = u64::from(u16_at(&boot, bs::BPB_RootEntCnt));
        let wide = u16_at(&boot, bs::BPB_FATSz16) == 0;
        let table_sectors =
            if wide { u64::from(u32_at(&boot, bs::BPB_FATSz32)) } else { u64::from(u16_at(&boot, bs::BPB_FATSz16)) };
        let sectors = match u16_at(&boot, bs::BPB_TotSec16) {
            0 => u64::from(u32_at(&boot, bs::BPB_TotSec32)),
            n => u64::from(n),
        };
        if ![512, 1024, 2048, 4096].contains(&sector) || !cluster_sectors.is_power_of_two() {
            return bad("sector or cluster size is impossible");
        }
        if reserved == 0 || !(1..=4).contains(&tables) || table_sectors == 0 {
            return bad("reserved sectors or allocation tables are missing");
        }
        let root_sectors = (root_entries * dir::SIZE as u64).div_ceil(sector);
        let first_data = reserved + tables * table_sectors + root_sectors;
        if first_data >= sectors || sectors * sector > region.len() {
            return bad("the volume is larger than its partition, or its tables larger than the volume");
        }
        let clusters = (sectors - first_data) / u64::from(cluster_sectors);
        // By the specification the number of clusters alone decides. Linux and mkfs.fat look at the FAT32 fields, and
        // small FAT32 volumes are common.
        let kind = match clusters {
            _ if wide => FatKind::Fat32,
            0..4085 => FatKind::Fat12,
            4085..65525 => FatKind::Fat16,
            _ => return bad("there are more clusters than FAT16 can count"),
        };
        let clusters = clusters.min(0x0fff_fff5) as u32;
        let bits = match kind {
            FatKind::Fat12 => 12,
            FatKind::Fat16 => 16,
            FatKind::Fat32 => 32,
        };
        let table_len = ((u64::from(clusters) + 2) * bits).div_ceil(8);
        if table_len > table_sectors * sector {
            return bad("the allocation table is too small for the volume");
        }
        let table = region.bytes(reserved * sector, table_len)?;
        let extended = if wide { bs::EXTENDED_32 } else { bs::EXTENDED_16 };
        let label = extended + bs::BS_VolLab;
        let root = if wide {
            Root::Cluster(u32_at(&boot, bs::BPB_RootClus))
        } else {
            Root::Fixed((first_data - root_sectors) * sector, root_sectors * sector)
        };
        Ok(Self {
            kind,
            table,
            cluster_size,
            clusters,
            data: first_data * sector,
            root,
            volume_id: u32_at(&boot, extended + bs::BS_VolID),
            boot_label: folder::text(&boot[label..label + dir::NAME_LEN]),
            region,
        })
    }

    /// FAT12, FAT16 or FAT32.
    #[must_use]
    pub fn kind(&self) -> FatKind {
        self.kind
    }

    /// The serial number, shown by Linux as the UUID `XXXX-XXXX`.
    #[must_use]
    pub fn volume_id(&self) -> u32 {
        self.volume_id
    }

    /// The label: the root folder's label entry, else that of the boot sector; empty when there is none.
    ///
    /// # Errors
    /// When the root folder cannot be read.
    pub fn label(&self) -> Result<String, InspectError> {
        let raw = self.root_bytes()?;
        let entry = raw.chunks_exact(dir::SIZE).take_while(|e| e[dir::DIR_Name] != 0).find(|e| {
            e[dir::DIR_Name] != dir::DELETED && !folder::is_long(e) && e[dir::DIR_Attr] & ATTR_VOLUME_ID != 0
        });
        let label = entry.map_or_else(|| self.boot_label.clone(), |e| folder::text(folder::short_bytes(e)));
        Ok(if label == "NO NAME" { String::new() } else { label })
    }

    /// Size of a cluster in bytes.
    #[must_use]
    pub fn cluster_size(&self) -> u64 {
        self.cluster_size
    }

    /// Bytes in use and free, in whole clusters, from the allocation table.
    #[must_use]
    pub fn usage(&self) -> (u64, u64) {
        let free = (2..self.clusters + 2).filter(|&n| self.next(n) == Some(0)).count() as u64;
        ((u64::from(self.clusters) - free) * self.cluster_size, free * self.cluster_size)
    }

    /// The entries of a folder (`/` or empty for the root), in stored order.
    ///
    /// # Errors
    /// When the path is missing or not a folder, or the volume is damaged.
    pub fn list(&self, path: &str) -> Result<Vec<FatEntry>, InspectError> {
        match self.find(path)? {
            None => self.parsed(&self.root_bytes()?),
            Some(entry) if entry.is_dir => self.folder(&entry),
            Some(_) => Err(InspectError::WrongKind { path: path.to_owned(), what: "is a file, not a folder" }),
        }
    }

    /// A file's bytes. Names are compared without case, as the format requires.
    ///
    /// # Errors
    /// When the path is missing, a folder or larger than 1 GiB, or the volume is damaged.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, InspectError> {
        let entry = self
            .find(path)?
            .filter(|e| !e.is_dir)
            .ok_or_else(|| InspectError::WrongKind { path: path.to_owned(), what: "is a folder, not a file" })?;
        self.read_entry(path, &entry)
    }

    /// The bytes of a file that was found at `path`.
    ///
    /// # Errors
    /// When it is larger than 1 GiB, or the volume is damaged.
    pub fn read_entry(&self, path: &str, entry: &FatEntry) -> Result<Vec<u8>, InspectError> {
        if entry.size == 0 {
            return Ok(Vec::new());
        }
        if entry.size > MOST_READ {
            return Err(InspectError::TooLarge { path: path.to_owned(), size: entry.size, most: MOST_READ });
        }
        let needed = entry.size.div_ceil(self.cluster_size);
        let chain = self.chain(entry.first, MOST_READ)?;
        if (chain.len() as u64) < needed {
            return Err(self.region.damaged(format!("{path}: its chain of clusters ends before its size")));
        }
        let mut bytes = self.clusters_bytes(&chain[..needed as usize])?;
        bytes.truncate(entry.size as usize);
        Ok(bytes)
    }

    /// The entry at a path; `None` for the root itself.
    ///
    /// # Errors
    /// When the path is missing or leads through a file, or the volume is damaged.
    pub fn find(&self, path: &str) -> Result<Option<FatEntry>, InspectError> {
        let not_found = || InspectError::NotFound { path: path.to_owned() };
        let mut at: Option<FatEntry> = None;
        for part in path.split('/').filter(|p| !p.is_empty() && *p != ".") {
            let entries = match &at {
                None => self.parsed(&self.root_bytes()?)?,
                Some(entry) if entry.is_dir => self.folder(entry)?,
                Some(_) => return Err(not_found()),
            };
            let wanted = part.to_uppercase();
            let entry =
                entries.into_iter().find(|e| e.name.to_uppercase() == wanted || e.short_name.to_uppercase() == wanted);
            at = Some(entry.ok_or_else(not_found)?);
        }
        Ok(at)
    }

    /// Calls `visit` for every file below the root with its path, folders before their content.
    ///
    /// # Errors
    /// When the volume is damaged, or the error of `visit`.
    pub fn walk<E: From<InspectError>>(
        &self,
        mut visit: impl FnMut(&str, &FatEntry) -> Result<(), E>,
    ) -> Result<(), E> {
        // In a damaged volume a folder may contain itself.
        let mut seen = HashSet::new();
        let mut todo = vec![(String::new(), self.parsed(&self.root_bytes()?)?)];
        while let Some((folder, entries)) = todo.pop() {
            interrupt::check().map_err(InspectError::from)?;
            for entry in entries {
                let path = format!("{folder}/{}", entry.name);
                visit(&path, &entry)?;
                if entry.is_dir && seen.insert(entry.first) {
                    todo.push((path, self.folder(&entry)?));
                }
            }
        }
        Ok(())
    }

    /// An error about damage in this volume that its reader cannot know of.
    #[must_use]
    pub fn damage(&self, why: impl Into<String>) -> InspectError {
        self.region.damaged(why)
    }

    fn folder(&self, entry: &FatEntry) -> Result<Vec<FatEntry>, InspectError> {
        self.parsed(&self.clusters_bytes(&self.chain(entry.first, dir::MOST_BYTES)?)?)
    }

    /// The entries of a folder, with names that a file can have: anybody may have made the image.
    fn parsed(&self, raw: &[u8]) -> Result<Vec<FatEntry>, InspectError> {
        let entries = folder::parse(raw);
        let bad = |name: &str| matches!(name, "" | "." | "..") || name.contains(['/', '\\', '\0']);
        match entries.iter().find(|entry| bad(&entry.name)) {
            Some(entry) => Err(self.region.damaged(format!("a file is named `{}`", entry.name))),
            None => Ok(entries),
        }
    }

    fn root_bytes(&self) -> Result<Vec<u8>, InspectError> {
        match self.root {
            Root::Fixed(at, len) => self.region.bytes(at, len),
            Root::Cluster(first) => self.clusters_bytes(&self.chain(first, dir::MOST_BYTES)?),
        }
    }

    /// The table's value for a cluster.
    fn next(&self, cluster: u32) -> Option<u32> {
        let at = cluster as usize;
        match self.kind {
            FatKind::Fat12 => {
                let pair = self
                    .table
                    .get(at + at / 2..)
                    .map(|rest| u16::from_le_bytes([*rest.first().unwrap_or(&0), *rest.get(1).unwrap_or(&0)]))?;
                Some(u32::from(if at % 2 == 1 { pair >> 4 } else { pair & 0xfff }))
            }
            FatKind::Fat16 => self.table.get(at * 2..at * 2 + 2).map(|b| u32::from(u16_at(b, 0))),
            FatKind::Fat32 => self.table.get(at * 4..at * 4 + 4).map(|b| u32_at(b, 0) & 0x0fff_ffff),
        }
    }

    /// The clusters from `first` to the end mark; together at most `most` bytes.
    fn chain(&self, first: u32, most: u64) -> Result<Vec<u32>, InspectError> {
        let end = match self.kind {
            FatKind::Fat12 => 0xff8,
            FatKind::Fat16 => 0xfff8,
            FatKind::Fat32 => 0x0fff_fff8,
        };
        let mut chain = Vec::new();
        let mut at = first;
        while at < end {
            if at < 2 || at - 2 >= self.clusters {
                return Err(self.region.damaged(format!("a chain of clusters leads to {at}, which does not exist")));
            }
            if chain.len() >= self.clusters as usize {
                return Err(self.region.damaged("a chain of clusters leads in a circle"));
            }
            if (chain.len() as u64 + 1) * self.cluster_size > most {
                return Err(self.region.damaged(format!("a chain of clusters is longer than {most} bytes")));
            }
            chain.push(at);
            at = self.next(at).unwrap_or(0);
        }
        Ok(chain)
    }

    fn clusters_bytes(&self, chain: &[u32]) -> Result<Vec<u8>, InspectError> {
        let mut bytes = vec![0; chain.len() * self.cluster_size as usize];
        let mut at = 0;
        // Runs of adjacent clusters are read at once: most files are contiguous.
        for run in chain.chunk_by(|a, b| a + 1 == *b) {
            interrupt::check()?;
            let len = run.len() * self.cluster_size as usize;
            let first = u64::from(run.first().copied().unwrap_or(2)) - 2;
            self.region.read_exact_at(&mut bytes[at..at + len], self.data + first * self.cluster_size)?;
            at += len;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
