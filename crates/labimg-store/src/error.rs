//! What can go wrong in the store.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::http::HttpError;
use labimg_tree::fault::{Cause, Fault, FaultKind, whole};
use labimg_tree::hash::Sha256;
use labimg_tree::interrupt::Interrupted;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused an operation.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The operation that failed.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The disk is too full for what has to be written.
    #[error("no room{} at {}", more(*needed), path.display())]
    Full {
        /// The file that was being written.
        path: PathBuf,
        /// Bytes still to be written; 0 when unknown.
        needed: u64,
        /// The system's error, or how much is free.
        #[source]
        cause: Cause,
    },
    /// The cache is read-only and lacks something.
    #[error("the cache {} may not be written and lacks {}", dir.display(), listed(missing))]
    ReadOnly {
        /// The cache's folder.
        dir: PathBuf,
        /// Names of what is missing.
        missing: Vec<String>,
    },
    /// Some files could not be downloaded.
    #[error("{}", failures(.0))]
    Fetch(Vec<Failed>),
    /// `cache prune` was called while a build uses the cache.
    #[error("the cache {} is in use by a running labimg", .0.display())]
    Busy(PathBuf),
    /// No folder for the cache: neither `XDG_CACHE_HOME` nor `HOME` is usable.
    #[error("no folder for the cache: neither XDG_CACHE_HOME nor HOME is set")]
    NoHome,
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// A file that could not be downloaded from anywhere.
#[derive(Debug)]
pub struct Failed {
    /// The file's name.
    pub name: String,
    /// True when the cache had it, damaged.
    pub damaged: bool,
    /// The last failure of each source.
    pub causes: Vec<SourceError>,
}

/// Why one source did not give the right file.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It did not give the file.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The file there has another size.
    #[error("{url}: {found} bytes, {expected} expected")]
    Size {
        /// The address.
        url: String,
        /// Size in the lock, in bytes.
        expected: u64,
        /// Size on the server, in bytes.
        found: u64,
    },
    /// The file there has other bytes.
    #[error("{url}: SHA-256 is {computed}, expected {expected}")]
    Hash {
        /// The address.
        url: String,
        /// Hash in the lock.
        expected: Sha256,
        /// Hash of the downloaded bytes.
        computed: Sha256,
    },
}

impl StoreError {
    /// An error of the system during `action` (`read`, `write`) on a file of the cache.
    #[must_use]
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    /// A failed write with `needed` bytes still to come; 0 when unknown.
    #[must_use]
    pub fn write(path: &Path, needed: u64, source: io::Error) -> Self {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        if matches!(source.kind(), StorageFull | QuotaExceeded) {
            return Self::Full { path: path.to_owned(), needed, cause: source.to_string().into() };
        }
        Self::io("write", path, source)
    }
}

impl Fault for StoreError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Io { source, .. } => Fault::kind(source),
            Self::Full { .. } | Self::ReadOnly { .. } | Self::Fetch(_) | Self::Busy(_) => FaultKind::World,
            Self::NoHome => FaultKind::Usage,
            Self::Interrupted(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Full { .. } => {
                "free some space (`labimg cache prune` removes old entries), or name a folder on another disk with --cache"
            }
            Self::ReadOnly { .. } => "make it writable, or name another one with --cache",
            Self::Fetch(failed) => return remedies(failed),
            Self::Busy(_) => "try again when it has ended",
            Self::NoHome => "name one with --cache",
            Self::Io { source, .. } => return source.help(),
            Self::Interrupted(_) => return None,
        };
        Some(help.to_owned())
    }
}

impl Fault for SourceError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Http(source) => source.kind(),
            Self::Size { .. } | Self::Hash { .. } => FaultKind::World,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Http(source) => source.help(),
            Self::Size { .. } | Self::Hash { .. } => Some(
                "try another mirror, or run again: the mirror may have been updated meanwhile, or a proxy serves another file"
                    .to_owned(),
            ),
        }
    }
}

fn more(needed: u64) -> String {
    if needed == 0 { String::new() } else { format!(" for {} more", labimg_tree::human::HumanBytes(needed)) }
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        // Writing to a String does not fail.
        let _ = write!(text, " and {} more", names.len() - SHOWN);
    }
    text
}

fn failures(failed: &[Failed]) -> String {
    const SHOWN: usize = 10;
    let mut text = String::from("some files cannot be downloaded");
    for Failed { name, damaged, causes } in failed.iter().take(SHOWN) {
        let _ = write!(text, "\n  `{name}`");
        if *damaged {
            text.push_str(", whose copy in the cache was damaged");
        }
        match causes.as_slice() {
            [] => text.push_str(": no address is known for it"),
            causes => causes.iter().for_each(|cause| {
                let _ = write!(text, "\n    {}", whole(cause));
            }),
        }
    }
    if failed.len() > SHOWN {
        let _ = write!(text, "\n  and {} more", failed.len() - SHOWN);
    }
    text
}

/// Advice for the failures, each piece once.
fn remedies(failed: &[Failed]) -> Option<String> {
    let mut found: Vec<String> = Vec::new();
    for help in failed.iter().flat_map(|failed| &failed.causes).filter_map(Fault::help) {
        if !found.contains(&help) {
            found.push(help);
        }
    }
    if failed.iter().any(|failed| failed.damaged) {
        found.push("name a cache that has it with --cache".to_owned());
    }
    (!found.is_empty()).then(|| found.join("; "))
}
