//! What can go wrong when an image is written.

use std::path::PathBuf;

use super::ext4::Ext4Error;
use labimg_tree::TreePath;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::interrupt::Interrupted;

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A tree holds something that FAT cannot.
    #[error("boot partition: {path}: {why}")]
    Fat {
        /// The path in the boot partition's tree.
        path: TreePath,
        /// Why not, and what to do.
        why: String,
    },
    /// The content of a file could not be read.
    #[error("{path}: its content cannot be read: {source}")]
    Content {
        /// The path in the tree.
        path: TreePath,
        /// Why.
        source: std::io::Error,
    },
    /// Boot loader bytes could not be read.
    #[error("the boot loader for byte {at} of the image cannot be read: {source}")]
    Raw {
        /// Where they go.
        at: u64,
        /// Why.
        source: std::io::Error,
    },
    /// An ext4 file system could not be written.
    #[error("partition `{partition}`: {source}")]
    Ext4 {
        /// The partition's name.
        partition: String,
        /// Why.
        source: Ext4Error,
    },
    /// A partition is too small for what is to go in.
    #[error("partition `{partition}` has {size} bytes, but what goes in needs at least {needed}: make it larger")]
    TooSmall {
        /// The partition's name.
        partition: String,
        /// Its size in bytes.
        size: u64,
        /// What would do, in bytes.
        needed: u64,
    },
    /// Sizes, places or labels that do not go together.
    #[error("partition table: {0}")]
    Layout(String),
    /// The output's disk is full.
    #[error(
        "{}: the disk is full: the image takes at least {needed} bytes, {available} are free: make room or write it \
         elsewhere",
        path.display()
    )]
    DiskFull {
        /// The image that was being written.
        path: PathBuf,
        /// The least bytes that the image occupies.
        needed: u64,
        /// Bytes free there.
        available: u64,
    },
    /// The output cannot be made, written or put in place.
    #[error("{}: {what}: {source}", path.display())]
    Output {
        /// The image that was being written.
        path: PathBuf,
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The output is something that must not be replaced, or its folder is missing.
    #[error("{}: {why}", path.display())]
    BadOutput {
        /// The path given.
        path: PathBuf,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// Writing into the image failed.
    #[error("writing at byte {at} of the image: {source}")]
    Write {
        /// Byte offset in the image.
        at: u64,
        /// Why.
        source: std::io::Error,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Fault for ImageError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Fat { .. } | Self::TooSmall { .. } | Self::DiskFull { .. } => FaultKind::World,
            Self::Content { source, .. }
            | Self::Raw { source, .. }
            | Self::Output { source, .. }
            | Self::Write { source, .. } => Fault::kind(source),
            Self::Ext4 { source, .. } => source.kind(),
            // A board's data are checked when they are read.
            Self::Layout(_) => FaultKind::Ours,
            Self::BadOutput { .. } => FaultKind::Usage,
            Self::Interrupted(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Ext4 { source, .. } => source.help(),
            Self::Fat { .. }
            | Self::Content { .. }
            | Self::Raw { .. }
            | Self::TooSmall { .. }
            | Self::Layout(_)
            | Self::DiskFull { .. }
            | Self::Output { .. }
            | Self::BadOutput { .. }
            | Self::Write { .. }
            | Self::Interrupted(_) => None,
        }
    }
}
