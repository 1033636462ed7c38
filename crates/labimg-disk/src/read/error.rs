//! What can go wrong when an image is read.

use std::path::PathBuf;

use labimg_tree::fault::{Cause, Fault, FaultKind};
use labimg_tree::interrupt::Interrupted;

/// Why an image, or something in it, could not be read.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The image file cannot be opened.
    #[error("{}: cannot be opened", path.display())]
    Open {
        /// The image.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The disk under the image gave an error.
    #[error("{}: cannot be read at byte {at}", path.display())]
    Read {
        /// The image.
        path: PathBuf,
        /// Byte offset in the image.
        at: u64,
        /// Why.
        source: std::io::Error,
    },
    /// What is stored does not make sense.
    #[error("{}: what begins at byte {offset} is damaged: {why}", path.display())]
    Damaged {
        /// The image.
        path: PathBuf,
        /// Where the damaged structure's partition or table begins, in bytes.
        offset: u64,
        /// What is wrong with it.
        why: String,
        /// What the reader of the file system says, when it is not labimg's own.
        source: Option<Cause>,
    },
    /// There is no partition of this number.
    #[error("{}: there is no partition {index}, only {count}", path.display())]
    NoPartition {
        /// The image.
        path: PathBuf,
        /// The number asked for, from 1.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// No partition has a Linux system.
    #[error("{}: no partition has a Linux system on ext4", path.display())]
    NoSystem {
        /// The image.
        path: PathBuf,
    },
    /// The file system is of no kind that labimg reads.
    #[error("{}: byte {offset}: neither a FAT nor an ext4 file system", path.display())]
    Unknown {
        /// The image.
        path: PathBuf,
        /// Where the partition begins, in bytes.
        offset: u64,
    },
    /// A path in the image that names nothing.
    #[error("{path}: no such file or folder in the image")]
    NotFound {
        /// The path asked for.
        path: String,
    },
    /// A file too large to be read into memory.
    #[error("{path}: has {size} bytes, more than the {most} that labimg reads")]
    TooLarge {
        /// The path asked for.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The most bytes that are read.
        most: u64,
    },
    /// A path in the image that names something of another kind.
    #[error("{path}: {what}")]
    WrongKind {
        /// The path asked for.
        path: String,
        /// What it is instead.
        what: &'static str,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl InspectError {
    /// True when a path in the image names nothing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

impl Fault for InspectError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Open { source, .. } | Self::Read { source, .. } => Fault::kind(source),
            Self::Damaged { .. } | Self::Unknown { .. } | Self::TooLarge { .. } | Self::WrongKind { .. } => {
                FaultKind::World
            }
            // A path, a number or an image that was asked for.
            Self::NoPartition { .. } | Self::NoSystem { .. } | Self::NotFound { .. } => FaultKind::Usage,
            Self::Interrupted(source) => source.kind(),
        }
    }
}
