//! Debian binary packages (deb(5)): an `ar` archive of `debian-binary`, `control.tar` and `data.tar`, where each tar
//! may be compressed.
//!
//! Decompressing is expensive (a kernel package takes seconds), so it is done once for each package. [`decompress`]
//! writes a *plain form* that the store keeps: the data tar, the control tar, and a copy of the data tar's headers.
//! [`Deb::from_plain`] only reads the last two, a few contiguous kilobytes; file contents stay in the blob.

pub mod ar;
mod control;
mod open;
mod plain;
pub mod tar;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

pub use open::{fetch, open_all};
pub use plain::decompress;

use labimg_store::StoreError;
use labimg_tree::fault::{Cause, Fault, FaultKind};
use labimg_tree::hash::Sha256;
use labimg_tree::interrupt::Interrupted;
use labimg_tree::{Blob, Content};

/// A package file, ready to be unpacked.
#[derive(Debug, Clone)]
pub struct Deb {
    /// The members of the control archive by name: `control`, `postinst`, `md5sums`, …
    pub control: BTreeMap<String, Vec<u8>>,
    /// When `control` was made, seconds since 1970.
    pub control_time: i64,
    /// The uncompressed data tar, from the blob's first byte; other data follow it.
    pub data: Blob,
    /// The entries of the data tar, in order; offsets are in `data`.
    pub entries: Vec<tar::TarEntry>,
}

/// Why a package file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// The file or its plain form cannot be opened or read.
    #[error("{} cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The plain form cannot be written.
    #[error("the unpacked package cannot be written")]
    Write(#[source] io::Error),
    /// It is not a package, or a damaged one.
    #[error("{}: {member}: {what}", path.display())]
    Bad {
        /// The package file, or its plain form in the store.
        path: PathBuf,
        /// The damaged part: `data.tar.xz`, `control.tar.zst`, `ar header`, …
        member: String,
        /// What is wrong with it.
        what: String,
        /// The decompressor's message.
        source: Option<Cause>,
    },
    /// The plain form in the store was damaged.
    #[error("{}: {what}", path.display())]
    Plain {
        /// The entry of the store.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The store does not have the package file.
    #[error("the package file with SHA-256 {0} is not in the cache")]
    NotFetched(Sha256),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// One of several packages failed.
    #[error("the package {package} {version} cannot be opened")]
    Package {
        /// Its name.
        package: String,
        /// Its version.
        version: String,
        /// The hash of its file, under which the store has it.
        sha256: Sha256,
        /// The error.
        source: Box<DebError>,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Fault for DebError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Io { source, .. } | Self::Write(source) => Fault::kind(source),
            Self::Bad { .. } | Self::Plain { .. } | Self::NotFetched(_) => FaultKind::World,
            Self::Store(source) => source.kind(),
            Self::Package { source, .. } => source.kind(),
            Self::Interrupted(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Store(source) => source.help(),
            Self::Package { source, .. } => source.help(),
            Self::Bad { .. } => Some("fetch the file again: it is damaged, or it is not a Debian package".to_owned()),
            Self::Plain { .. } => Some("`labimg cache verify` throws damaged entries away".to_owned()),
            Self::NotFetched(_) => Some("fetch the file first".to_owned()),
            Self::Io { .. } | Self::Write(_) | Self::Interrupted(_) => None,
        }
    }
}

impl Deb {
    /// The content of a regular file among the entries; `None` for anything else.
    #[must_use]
    pub fn content(&self, entry: &tar::TarEntry) -> Option<Content> {
        match entry.kind {
            tar::EntryKind::File { size: 0, .. } => Some(Content::empty()),
            tar::EntryKind::File { offset, size } if offset.checked_add(size)? <= self.data.len() => {
                Some(Content::Range { blob: self.data.clone(), offset, len: size })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
