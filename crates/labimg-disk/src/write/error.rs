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
        /// Why not.
        why: String,
        /// What to do.
        help: Option<&'static str>,
    },
    /// The content of a file could not be read.
    #[error("the content of {path} cannot be read")]
    Content {
        /// The path in the tree.
        path: TreePath,
        /// Why.
        source: std::io::Error,
    },
    /// An ext4 file system could not be written.
    #[error("the partition `{partition}` cannot be written")]
    Ext4 {
        /// The partition's name.
        partition: String,
        /// Why.
        source: Ext4Error,
    },
    /// A partition is too small for what is to go in.
    #[error("the partition `{partition}` has {size} bytes, but what goes in needs at least {needed}")]
    TooSmall {
        /// The partition's name.
        partition: String,
        /// Its size in bytes.
        size: u64,
        /// What would do, in bytes.
        needed: u64,
    },
    /// Sizes, places or labels that do not go together.
    #[error("the partitions cannot be laid out: {0}")]
    Layout(String),
    /// The output's disk is full.
    #[error(
        "{}: the disk is full: the image takes at least {needed} bytes, {available} are free",
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
    #[error("{}: {what}", path.display())]
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
        /// Why not.
        why: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// Writing into the image failed.
    #[error("the image cannot be written at byte {at}")]
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
            Self::Content { source, .. } | Self::Output { source, .. } | Self::Write { source, .. } => {
                Fault::kind(source)
            }
            Self::Ext4 { source, .. } => source.kind(),
            // A board's data are checked when they are read.
            Self::Layout(_) => FaultKind::Ours,
            Self::BadOutput { .. } => FaultKind::Usage,
            Self::Interrupted(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Fat { help, .. } => help.map(str::to_owned),
            Self::Ext4 { source, .. } => source.help(),
            Self::TooSmall { .. } => Some("make the partition larger".to_owned()),
            Self::DiskFull { .. } => Some("make room, or write the image elsewhere".to_owned()),
            Self::BadOutput { help, .. } => Some((*help).to_owned()),
            Self::Content { .. }
            | Self::Layout(_)
            | Self::Output { .. }
            | Self::Write { .. }
            | Self::Interrupted(_) => None,
        }
    }
}
