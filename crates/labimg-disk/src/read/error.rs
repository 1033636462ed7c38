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
        /// The system's error.
        source: std::io::Error,
    },
    /// The disk that holds the image gave an error.
    #[error("{}: cannot be read at byte {at}", path.display())]
    Read {
        /// The image.
        path: PathBuf,
        /// Byte offset in the image.
        at: u64,
        /// The system's error.
        source: std::io::Error,
    },
    /// A structure in the image is damaged.
    #[error("{}: what begins at byte {offset} is damaged: {why}", path.display())]
    Damaged {
        /// The image.
        path: PathBuf,
        /// Start of the damaged partition or table, in bytes.
        offset: u64,
        /// What is wrong with it.
        why: String,
        /// The error of the library that reads the file system, when it is not labimg's own reader.
        source: Option<Cause>,
    },
    /// There is no partition with this number.
    #[error("{}: there is no partition {index}, only {count}", path.display())]
    NoPartition {
        /// The image.
        path: PathBuf,
        /// The number asked for, from 1.
        index: usize,
        /// How many partitions there are.
        count: usize,
    },
    /// No partition holds a Linux system.
    #[error("{}: no partition has a Linux system on ext4{}", path.display(), holding(others))]
    NoSystem {
        /// The image.
        path: PathBuf,
        /// Partitions of kinds that labimg does not read: number and kind.
        others: Vec<(usize, &'static str)>,
    },
    /// The file system is of a kind that labimg does not read.
    #[error("{}: byte {offset}: {}, neither FAT nor ext4", path.display(), kind.unwrap_or("nothing that is known"))]
    Unknown {
        /// The image.
        path: PathBuf,
        /// Start of the partition, in bytes.
        offset: u64,
        /// What it is, if known.
        kind: Option<&'static str>,
    },
    /// A path does not exist in the image.
    #[error("{path}: no such file or folder in the image")]
    NotFound {
        /// The path.
        path: String,
    },
    /// A file is too large to be read into memory.
    #[error("{path}: has {size} bytes, more than the {most} that labimg reads")]
    TooLarge {
        /// The path.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The largest size that is read.
        most: u64,
    },
    /// A path in the image is of another kind than needed.
    #[error("{path}: {what}")]
    WrongKind {
        /// The path.
        path: String,
        /// What it is instead.
        what: &'static str,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

fn holding(others: &[(usize, &'static str)]) -> String {
    others.iter().map(|(number, kind)| format!("; partition {number} holds {kind}")).collect()
}

impl InspectError {
    /// True when a path does not exist in the image.
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
            // The user asked for this path, number or image.
            Self::NoPartition { .. } | Self::NoSystem { .. } | Self::NotFound { .. } => FaultKind::Usage,
            Self::Interrupted(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoSystem { others, .. } if !others.is_empty() => {
                Some("labimg reads ext2, ext3, ext4 and FAT; mount the others to look into them".to_owned())
            }
            _ => None,
        }
    }
}
