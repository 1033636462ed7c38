//! Writes a tree as a FAT32 volume (Microsoft, "FAT: General Overview of On-Disk Format", 1.03).
//!
//! Always FAT32, for every size, because the Raspberry Pi's firmware needs it.
//!
//! The `fatfs` crate is not used: 0.3.6 writes long-name entries before `.` and `..`, and `..` below the root points to
//! cluster 2 instead of 0, so `fsck.vfat` reports every folder as damaged. Writing all at once also makes every file
//! contiguous.

mod geometry;
mod names;
mod time;

use std::collections::HashMap;
use std::io::Read;

use super::{ImageError, Sparse};
use crate::format::fat::directory::{
    self as dir, ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_LONG_NAME, ATTR_VOLUME_ID, NAME_LEN,
};
use geometry::Geometry;
use labimg_tree::interrupt;
use labimg_tree::{Content, ContentReader, Kind, Tree, TreePath};
use names::Name;
use time::DosTime;

/// The root folder's cluster, the first one.
const ROOT: u64 = 2;
/// Marks the end of a chain in the allocation table.
const END: u32 = 0x0fff_ffff;

/// The properties of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatOptions {
    /// Size in bytes, a multiple of 512: at least 33 MiB, since FAT32 needs 65,525 clusters.
    pub size: u64,
    /// Label: up to 11 ASCII characters, written in capitals.
    pub label: String,
    /// Serial number, shown by Linux as the UUID `XXXX-XXXX`.
    pub volume_id: u32,
}

/// Facts about the written volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FatSummary {
    /// Size of a cluster in bytes.
    pub cluster_size: u64,
    /// Bytes in use, in whole clusters.
    pub used: u64,
    /// Bytes free, in whole clusters.
    pub free: u64,
}

/// Writes `tree` as a FAT32 volume into `out` from byte `offset`. That part of `out` must read as zeros, as in a new
/// sparse file; free clusters stay holes. FAT has no owners, modes or attributes; times are written as UTC.
///
/// # Errors
/// With the path: links, devices, names that FAT cannot hold or that differ only in case, files of 4 GiB and more. A
/// volume too small for the files or for FAT32. Read and write errors.
pub fn write(tree: &Tree, out: &Sparse, offset: u64, options: &FatOptions) -> Result<FatSummary, ImageError> {
    let geometry = Geometry::new(options)?;
    let label = names::label(&options.label)?;
    names::check(tree)?;
    let plan = FatPlan::new(tree, geometry.cluster_size)?;
    let used = plan.end - ROOT;
    if used > geometry.clusters {
        let needed = geometry.cluster(ROOT) + used * (geometry.cluster_size + 8);
        return Err(ImageError::TooSmall { partition: options.label.clone(), size: options.size, needed });
    }

    let put = |at: u64, bytes: &[u8]| out.write(at, bytes).map_err(|source| ImageError::Write { at, source });
    // Zeros mean what is free, so everything before the clusters counts.
    let fixed = offset..offset + geometry.cluster(ROOT);
    out.zero(fixed).map_err(|source| ImageError::Write { at: offset, source })?;
    for (at, bytes) in geometry.sectors(options, label, offset, used) {
        put(offset + at, &bytes)?;
    }
    let table = plan.table();
    for at in geometry.tables() {
        put(offset + at, &table)?;
    }
    for (path, extent) in &plan.extents {
        interrupt::check()?;
        let at = offset + geometry.cluster(extent.first);
        match tree.get(path).map(|inode| &inode.kind) {
            Some(Kind::Dir) => {
                // An entry that begins with a zero ends the folder.
                let mut bytes = plan.folder(tree, path, label);
                bytes.resize((extent.count * geometry.cluster_size) as usize, 0);
                put(at, &bytes)?;
            }
            Some(Kind::File(content)) => copy(path, content, out, at)?,
            _ => {}
        }
    }
    let cluster_size = geometry.cluster_size;
    Ok(FatSummary { cluster_size, used: used * cluster_size, free: (geometry.clusters - used) * cluster_size })
}

/// A run of clusters.
#[derive(Debug, Clone, Copy)]
struct Extent {
    first: u64,
    count: u64,
}

/// Where everything goes.
struct FatPlan<'a> {
    /// The entries of each folder: its paths with their stored names.
    folders: HashMap<&'a TreePath, Vec<(&'a TreePath, Name)>>,
    /// Folders, then files, in order; empty files have none.
    extents: Vec<(&'a TreePath, Extent)>,
    first: HashMap<&'a TreePath, u64>,
    /// The first free cluster.
    end: u64,
}

impl<'a> FatPlan<'a> {
    fn new(tree: &'a Tree, cluster_size: u64) -> Result<Self, ImageError> {
        let mut children: HashMap<TreePath, Vec<&TreePath>> = HashMap::new();
        for (path, _, _) in tree.iter() {
            if let Some(parent) = path.parent() {
                children.entry(parent).or_default().push(path);
            }
        }
        let mut plan = Self { folders: HashMap::new(), extents: Vec::new(), first: HashMap::new(), end: ROOT };
        for (path, _, inode) in tree.iter() {
            if !matches!(inode.kind, Kind::Dir) {
                continue;
            }
            let inside = children.remove(path).unwrap_or_default();
            // `names::check` made sure that every path is UTF-8.
            let texts: Vec<_> = inside.iter().map(|p| std::str::from_utf8(p.name()).unwrap_or_default()).collect();
            let names = names::shorten(&texts);
            // The root has the label; every other folder has `.` and `..`.
            let own = if path.is_root() { 1 } else { 2 };
            let len = (own + names.iter().map(Name::entries).sum::<usize>()) * dir::SIZE;
            if len as u64 > dir::MOST_BYTES {
                let why = "more files than a FAT folder can hold".to_owned();
                return Err(ImageError::Fat { path: path.clone(), why, help: Some("divide the folder") });
            }
            plan.place(path, len as u64, cluster_size);
            plan.folders.insert(path, inside.into_iter().zip(names).collect());
        }
        for (path, _, inode) in tree.iter() {
            if let Kind::File(content) = &inode.kind
                && !content.is_empty()
            {
                plan.place(path, content.len(), cluster_size);
            }
        }
        Ok(plan)
    }

    fn place(&mut self, path: &'a TreePath, len: u64, cluster_size: u64) {
        let extent = Extent { first: self.end, count: len.div_ceil(cluster_size) };
        self.extents.push((path, extent));
        self.first.insert(path, extent.first);
        self.end += extent.count;
    }

    /// The allocation table up to the last cluster in use; the rest is zero, which means free.
    fn table(&self) -> Vec<u8> {
        // The media byte, and the marks of a clean volume without disk errors.
        let mut table = vec![0x0fff_fff8, END];
        for (_, Extent { first, count }) in &self.extents {
            // Each points to the next. The volume has fewer than 2^28 clusters.
            table.extend((first + 1..first + count).map(|next| next as u32));
            table.push(END);
        }
        table.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    /// The entries of a folder.
    fn folder(&self, tree: &Tree, path: &TreePath, label: [u8; NAME_LEN]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let time = |path: &TreePath| DosTime::new(tree.get(path).map_or(0, |inode| inode.mtime));
        match path.parent() {
            None => bytes.extend(entry(label, ATTR_VOLUME_ID, time(path), 0, 0)),
            Some(parent) => {
                let mut dots = [b' '; NAME_LEN];
                for (number, target) in [path, &parent].into_iter().enumerate() {
                    dots[number] = b'.';
                    // A `..` that points to the root has cluster 0, not the root's number.
                    let first = if target.is_root() { 0 } else { self.first_of(target) };
                    bytes.extend(entry(dots, ATTR_DIRECTORY, time(target), first, 0));
                }
            }
        }
        for (child, name) in self.folders.get(path).into_iter().flatten() {
            bytes.extend(long_entries(name));
            let (attributes, size) = match tree.get(child).map(|inode| &inode.kind) {
                Some(Kind::File(content)) => (ATTR_ARCHIVE, content.len() as u32),
                _ => (ATTR_DIRECTORY, 0),
            };
            bytes.extend(entry(name.short, attributes, time(child), self.first_of(child), size));
        }
        bytes
    }

    /// The first cluster; 0 for an empty file.
    fn first_of(&self, path: &TreePath) -> u64 {
        self.first.get(path).copied().unwrap_or(0)
    }
}

fn entry(short: [u8; NAME_LEN], attributes: u8, at: DosTime, first: u64, size: u32) -> [u8; dir::SIZE] {
    let mut e = [0; dir::SIZE];
    let mut put = |at: usize, bytes: &[u8]| e[at..at + bytes.len()].copy_from_slice(bytes);
    put(dir::DIR_Name, &short);
    put(dir::DIR_Attr, &[attributes]);
    put(dir::DIR_CrtTime, &at.time.to_le_bytes());
    put(dir::DIR_CrtDate, &at.date.to_le_bytes());
    put(dir::DIR_LstAccDate, &at.date.to_le_bytes());
    put(dir::DIR_FstClusHI, &((first >> 16) as u16).to_le_bytes());
    put(dir::DIR_WrtTime, &at.time.to_le_bytes());
    put(dir::DIR_WrtDate, &at.date.to_le_bytes());
    put(dir::DIR_FstClusLO, &(first as u16).to_le_bytes());
    put(dir::DIR_FileSize, &size.to_le_bytes());
    e
}

/// The entries of a long name, its end first. They come before the short entry and hold its checksum.
fn long_entries(name: &Name) -> Vec<u8> {
    let Some(long) = &name.long else { return Vec::new() };
    let sum = dir::checksum(&name.short);
    // A name that does not fill its last entry ends with a zero and is padded with ones.
    let mut units = long.clone();
    if units.len() % dir::LDIR_UNITS != 0 {
        units.push(0);
        units.resize(units.len().next_multiple_of(dir::LDIR_UNITS), 0xffff);
    }
    let mut bytes = Vec::new();
    for (number, piece) in units.chunks(dir::LDIR_UNITS).enumerate().rev() {
        let last = (number + 1) * dir::LDIR_UNITS == units.len();
        let mut e = [0; dir::SIZE];
        // At most 20 pieces: names have up to 255 units.
        e[dir::LDIR_Ord] = (number as u8 + 1) | if last { dir::LAST_LONG_ENTRY } else { 0 };
        e[dir::DIR_Attr] = ATTR_LONG_NAME;
        e[dir::LDIR_Chksum] = sum;
        for (at, unit) in dir::long_name_units().zip(piece) {
            e[at..at + 2].copy_from_slice(&unit.to_le_bytes());
        }
        bytes.extend(e);
    }
    bytes
}

fn copy(path: &TreePath, content: &Content, out: &Sparse, mut at: u64) -> Result<(), ImageError> {
    let mut reader = ContentReader::new(content);
    let mut buffer = vec![0; 1 << 20];
    loop {
        interrupt::check()?;
        let count = reader.read(&mut buffer).map_err(|source| ImageError::Content { path: path.clone(), source })?;
        if count == 0 {
            return Ok(());
        }
        out.write(at, &buffer[..count]).map_err(|source| ImageError::Write { at, source })?;
        at += count as u64;
    }
}

#[cfg(test)]
mod tests;
