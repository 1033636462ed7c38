//! Writes images: partition table, FAT and ext4 file systems, into one sparse file.

mod error;
pub mod ext4;
pub mod fat;
mod output;
mod sparse;
pub mod table;

use std::path::Path;

use uuid::Uuid;

use ext4::{Ext4Error, Ext4Options};
use labimg_tree::interrupt;
use labimg_tree::progress::{Progress, Unit};
use labimg_tree::{Content, Kind, Tree};
use table::{Layout, Partition, PartitionKind, PartitionTable};

pub use error::ImageError;
pub use output::{OutputFile, check_output};
pub use sparse::Sparse;

/// Everything that goes into one image.
#[derive(Debug)]
pub struct ImageSpec<'a> {
    /// The partition table.
    pub table: PartitionTable,
    /// The first byte that partitions may use, for boards whose boot loader lies before them; 0 for the usual 4 MiB.
    pub first: u64,
    /// The partitions in disk order.
    pub partitions: Vec<PartitionSpec<'a>>,
    /// The image holds secrets: only its owner may read the file.
    pub private: bool,
}

/// One partition and its content.
#[derive(Debug)]
pub struct PartitionSpec<'a> {
    /// A readable name of up to 36 characters.
    pub name: String,
    /// Size in bytes; rounded up to whole 4 MiB.
    pub size: u64,
    /// The partition's GUID in a GPT.
    pub guid: Uuid,
    /// Its content.
    pub files: FileSystem<'a>,
}

/// A file system to be written.
#[derive(Debug)]
pub enum FileSystem<'a> {
    /// FAT32.
    Fat {
        /// Its files.
        tree: &'a Tree,
        /// Up to 11 ASCII characters.
        label: String,
        /// Serial number: the UUID `XXXX-XXXX`.
        volume_id: u32,
    },
    /// ext4.
    Ext4 {
        /// Its files.
        tree: &'a Tree,
        /// Label, UUID and so on; size and writeback are set here.
        options: Ext4Options,
    },
}

impl FileSystem<'_> {
    fn tree(&self) -> &Tree {
        match self {
            Self::Fat { tree, .. } | Self::Ext4 { tree, .. } => tree,
        }
    }
}

/// Facts about the written image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    /// Where everything is.
    pub layout: Layout,
    /// Bytes in use and free in each partition's file system.
    pub usage: Vec<(u64, u64)>,
    /// Bytes of the image that count, without its holes; those are what no program reads.
    pub occupied: u64,
}

impl ImageSpec<'_> {
    /// Where each partition will be.
    ///
    /// # Errors
    /// As [`Layout::new`].
    pub fn layout(&self) -> Result<Layout, ImageError> {
        let partition = |spec: &PartitionSpec| Partition {
            start: 0,
            len: spec.size,
            kind: match spec.files {
                FileSystem::Fat { .. } => PartitionKind::Boot,
                FileSystem::Ext4 { .. } => PartitionKind::Linux,
            },
            guid: spec.guid,
            name: spec.name.clone(),
        };
        Layout::new(self.table, self.first, self.partitions.iter().map(partition).collect())
    }
}

/// Writes an image to `path`: sparse, completely or not at all, and with the same bytes for the same spec.
///
/// # Errors
/// What the file systems cannot hold, partitions too small, a full disk, read and write errors, or Ctrl-C.
pub fn write(spec: &ImageSpec, path: &Path, reporter: &dyn Progress) -> Result<ImageSummary, ImageError> {
    let layout = spec.layout()?;
    let needed = spec.partitions.iter().map(|p| bytes_in(&p.files)).sum::<u64>();
    let output = OutputFile::create(path, layout.size, needed, spec.private)?;
    let out = Sparse::new(output.file());
    let usage = fill(spec, &layout, &out, reporter).map_err(|e| output.explain(e, needed))?;
    let occupied = out.written().iter().map(|range| range.end - range.start).sum();
    let phase = reporter.phase("Syncing image to disk", 0, Unit::Bytes);
    output.finish()?;
    phase.inc(occupied);
    Ok(ImageSummary { layout, usage, occupied })
}

fn fill(
    spec: &ImageSpec,
    layout: &Layout,
    out: &Sparse,
    reporter: &dyn Progress,
) -> Result<Vec<(u64, u64)>, ImageError> {
    layout.write(out)?;
    let mut usage = Vec::new();
    for (partition, place) in spec.partitions.iter().zip(&layout.partitions) {
        interrupt::check()?;
        usage.push(match &partition.files {
            FileSystem::Fat { tree, label, volume_id } => {
                let phase = reporter.phase(&format!("Writing {}", partition.name), 0, Unit::Bytes);
                let options = fat::FatOptions { size: place.len, label: label.clone(), volume_id: *volume_id };
                let summary = fat::write(tree, out, place.start, &options)?;
                phase.inc(summary.used);
                (summary.used, summary.free)
            }
            FileSystem::Ext4 { tree, options } => {
                let options = Ext4Options { size: place.len, writeback: true, ..options.clone() };
                let summary =
                    ext4::write(tree, out, place.start, &options, reporter).map_err(|source| match source {
                        Ext4Error::Interrupted(interrupted) => ImageError::Interrupted(interrupted),
                        source => ImageError::Ext4 { partition: partition.name.clone(), source },
                    })?;
                ((summary.blocks - summary.free_blocks) * ext4::BLOCK, summary.free_blocks * ext4::BLOCK)
            }
        });
    }
    Ok(usage)
}

/// How much a tree's files take in bytes, hard-linked ones counted once.
fn bytes_in(files: &FileSystem) -> u64 {
    let mut seen = std::collections::HashSet::new();
    let mut total = 0;
    for (_, id, inode) in files.tree().iter() {
        if let Kind::File(content) = &inode.kind
            && seen.insert(id)
        {
            total += match files {
                // It has no holes.
                FileSystem::Fat { .. } => content.len(),
                FileSystem::Ext4 { .. } => data_len(content),
            };
        }
    }
    total
}

/// Size of a content without its holes, in bytes.
fn data_len(content: &Content) -> u64 {
    match content {
        Content::Sparse { pieces, .. } => pieces.iter().map(|(_, piece)| data_len(piece)).sum(),
        _ => content.len(),
    }
}

#[cfg(test)]
mod tests;
