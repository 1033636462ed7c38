//! What can go wrong when an ext4 file system is written.

use labimg_tree::TreePath;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::interrupt::Interrupted;

/// Why no file system was written.
#[derive(Debug, thiserror::Error)]
pub enum Ext4Error {
    /// The tree needs more space.
    #[error("the files need an ext4 file system of {needed} bytes, but {given} bytes are given")]
    TooSmall {
        /// The smallest possible size in bytes.
        needed: u64,
        /// The given size in bytes.
        given: u64,
    },
    /// An option with an invalid value.
    #[error("ext4 cannot be made with {0}")]
    Option(String),
    /// Something that ext4 cannot hold.
    #[error("{path} {what}")]
    Refused {
        /// The file.
        path: TreePath,
        /// What is wrong with it, as the end of a sentence.
        what: String,
    },
    /// A content could not be read.
    #[error("the content of {path} cannot be read")]
    Read {
        /// The file.
        path: TreePath,
        /// The system's error.
        source: std::io::Error,
    },
    /// The image could not be written.
    #[error("the image cannot be written at byte {at}")]
    Write {
        /// Byte offset in the image file.
        at: u64,
        /// The system's error.
        source: std::io::Error,
    },
    /// More blocks were needed than counted beforehand.
    #[error("the file system is full, though the files were counted to fit")]
    Full,
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Fault for Ext4Error {
    fn kind(&self) -> FaultKind {
        match self {
            Self::TooSmall { .. } | Self::Refused { .. } => FaultKind::World,
            // labimg chooses the options.
            Self::Option(_) | Self::Full => FaultKind::Ours,
            Self::Read { source, .. } | Self::Write { source, .. } => Fault::kind(source),
            Self::Interrupted(source) => source.kind(),
        }
    }
    fn help(&self) -> Option<String> {
        match self {
            Self::TooSmall { .. } => Some("make the image larger".to_owned()),
            Self::Full => Some("please report this".to_owned()),
            Self::Write { source, .. } => source.help(),
            Self::Option(_) | Self::Refused { .. } | Self::Read { .. } | Self::Interrupted(_) => None,
        }
    }
}
