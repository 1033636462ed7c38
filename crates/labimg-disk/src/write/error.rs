//! What can go wrong when an image is written.

use std::path::PathBuf;

use super::ext4::Ext4Error;
use labimg_tree::TreePath;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::files::BadPlace;
use labimg_tree::interrupt::Interrupted;

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A tree holds something that FAT cannot hold.
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
        /// The system's error.
        source: std::io::Error,
    },
    /// An ext4 file system could not be written.
    #[error("the partition `{partition}` cannot be written")]
    Ext4 {
        /// The partition's name.
        partition: String,
        /// The cause.
        source: Ext4Error,
    },
    /// A partition is too small for its content.
    #[error("the partition `{partition}` has {size} bytes, but what goes in needs at least {needed}")]
    TooSmall {
        /// The partition's name.
        partition: String,
        /// Its size in bytes.
        size: u64,
        /// The size needed, in bytes.
        needed: u64,
    },
    /// Sizes, positions or labels that do not fit together.
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
        /// Bytes that the image will occupy at least.
        needed: u64,
        /// Bytes free there.
        available: u64,
    },
    /// The output cannot be created, written or renamed.
    #[error("{}: {what}", path.display())]
    Output {
        /// The image that was being written.
        path: PathBuf,
        /// The failed step.
        what: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// The output must not be replaced, or its folder is missing.
    #[error(transparent)]
    BadOutput(#[from] BadPlace),
    /// Writing into the image failed.
    #[error("the image cannot be written at byte {at}")]
    Write {
        /// Byte offset in the image.
        at: u64,
        /// The system's error.
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
            // A board's sizes are checked when it is read, so this is a bug.
            Self::Layout(_) => FaultKind::Ours,
            Self::BadOutput(source) => source.kind(),
            Self::Interrupted(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Fat { help, .. } => help.map(str::to_owned),
            Self::Ext4 { source, .. } => source.help(),
            Self::TooSmall { .. } => Some("make the partition larger".to_owned()),
            Self::DiskFull { .. } => Some("make room, or write the image elsewhere".to_owned()),
            Self::BadOutput(source) => source.help(),
            Self::Output { source, .. } | Self::Write { source, .. } => source.help(),
            Self::Content { .. } | Self::Layout(_) | Self::Interrupted(_) => None,
        }
    }
}
