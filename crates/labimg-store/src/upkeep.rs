//! Upkeep of the cache: list, verify and prune.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use labimg_tree::human::HumanBytes;
use rayon::prelude::*;
use rustix::fs::FlockOperation;
use serde::Serialize;

use super::slot::{Slot, try_lock};
use super::sound::{self, BLOB, Damaged};
use super::{Store, StoreError};
use labimg_tree::hash::Sha256;
use labimg_tree::interrupt;
use labimg_tree::progress::{Progress, Unit};

/// One entry of the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreEntry {
    /// `blob` for a downloaded input, else the kind of a derived entry.
    pub kind: String,
    /// SHA-256 of the input, or key of the derived entry.
    pub hash: Sha256,
    /// Size in bytes.
    pub size: u64,
    /// Last use, to the hour: seconds since 1970.
    pub last_used: u64,
    #[serde(skip)]
    path: PathBuf,
}

/// The result of [`Store::list`].
#[derive(Debug, Clone, Serialize)]
pub struct Listing {
    /// The cache's folder.
    pub dir: PathBuf,
    /// Sum of the sizes in bytes.
    pub size: u64,
    /// The entries, sorted by kind, then hash.
    pub entries: Vec<StoreEntry>,
}

/// The result of [`Store::verify`].
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// Number of entries checked.
    pub checked: usize,
    /// Their total size in bytes.
    pub size: u64,
    /// The damaged entries.
    pub damaged: Vec<Damaged>,
}

/// What [`Store::prune`] keeps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    /// Entries used within this time; `None`: of any age.
    pub used_within: Option<Duration>,
    /// At most this many bytes, the last used first; `None`: no limit.
    pub at_most: Option<u64>,
}

/// The result of [`Store::prune`].
#[derive(Debug, Clone, Serialize)]
pub struct Pruned {
    /// Removed entries, or in a dry run those that would be removed: longest unused first.
    pub removed: Vec<StoreEntry>,
    /// Their total size in bytes.
    pub freed: u64,
    /// Number of entries kept.
    pub kept: usize,
    /// Their total size in bytes.
    pub kept_size: u64,
    /// True when nothing was removed.
    pub dry_run: bool,
}

impl Store {
    /// All entries of the cache, without unfinished ones.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn list(&self) -> Result<Listing, StoreError> {
        let mut entries = Vec::new();
        for folder in folders(&self.dir.join("blobs/sha256"))? {
            collect(BLOB, &folder, &mut entries)?;
        }
        for folder in folders(&self.dir.join("derived"))? {
            let kind = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            collect(&kind, &folder, &mut entries)?;
        }
        entries.sort_by(|a, b| (&a.kind, a.hash).cmp(&(&b.kind, b.hash)));
        Ok(Listing { dir: self.dir.clone(), size: size_of(&entries), entries })
    }

    /// Hashes every entry and removes the damaged ones. The next build fetches or makes them again.
    ///
    /// # Errors
    /// When an entry cannot be read or removed; [`StoreError::Interrupted`].
    pub fn verify(&self, reporter: &dyn Progress) -> Result<Verified, StoreError> {
        let entries = self.list()?.entries;
        let size = size_of(&entries);
        let phase = reporter.phase("Verifying", size, Unit::Bytes);
        let check = |entry: &StoreEntry| {
            interrupt::check()?;
            let damaged = self.check(entry);
            phase.inc(entry.size);
            damaged
        };
        let damaged: Vec<Option<Damaged>> = entries.par_iter().map(check).collect::<Result<_, _>>()?;
        Ok(Verified { checked: entries.len(), size, damaged: damaged.into_iter().flatten().collect() })
    }

    fn check(&self, entry: &StoreEntry) -> Result<Option<Damaged>, StoreError> {
        let path = &entry.path;
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("open", path, e)),
        };
        self.examine((&entry.kind, &entry.hash, path), &file)
    }

    /// Removes what `keep` does not cover, and all unfinished entries. With `dry_run` it only tells what would be
    /// removed.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when another process, or another open store of this one, uses the cache.
    pub fn prune(&self, keep: &Keep, dry_run: bool) -> Result<Pruned, StoreError> {
        if dry_run {
            return self.prune_locked(keep, dry_run);
        }
        if !self.writable {
            return Err(StoreError::io("prune", &self.dir, io::ErrorKind::PermissionDenied.into()));
        }
        if let Some(lock) = &self.lock {
            let path = self.dir.join("lock");
            let exclusive = try_lock(lock, FlockOperation::NonBlockingLockExclusive);
            if !exclusive.map_err(|e| StoreError::io("lock", &path, e))? {
                // The attempt released the shared lock.
                self.lock_shared()?;
                return Err(StoreError::Busy(self.dir.clone()));
            }
        }
        let pruned = self.prune_locked(keep, dry_run);
        self.lock_shared()?;
        pruned
    }

    fn prune_locked(&self, keep: &Keep, dry_run: bool) -> Result<Pruned, StoreError> {
        let mut entries = self.list()?.entries;
        entries.sort_by_key(|entry| (entry.last_used, entry.hash));
        let oldest = keep.used_within.and_then(|age| SystemTime::now().checked_sub(age)).map_or(0, seconds);
        let mut kept_size = size_of(&entries);
        let mut kept = entries.len();
        let mut removed = Vec::new();
        for entry in entries {
            if entry.last_used >= oldest && keep.at_most.is_none_or(|most| kept_size <= most) {
                break;
            }
            interrupt::check()?;
            if !dry_run {
                sound::remove(&entry.kind, &entry.path)?;
            }
            kept -= 1;
            kept_size -= entry.size;
            removed.push(entry);
        }
        if !dry_run {
            for (path, _) in files(&self.dir.join("tmp"))? {
                Slot::discard_unless_held(&path)?;
            }
        }
        Ok(Pruned { freed: size_of(&removed), removed, kept, kept_size, dry_run })
    }
}

fn size_of(entries: &[StoreEntry]) -> u64 {
    entries.iter().map(|entry| entry.size).sum()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// Collects the files of `folder` that have a hash as their name.
fn collect(kind: &str, folder: &Path, entries: &mut Vec<StoreEntry>) -> Result<(), StoreError> {
    for (path, metadata) in files(folder)? {
        let hash = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        if let Some(hash) = hash {
            let last_used = metadata.modified().map_or(0, seconds);
            entries.push(StoreEntry { kind: kind.to_owned(), hash, size: metadata.len(), last_used, path });
        }
    }
    Ok(())
}

/// The regular files in a folder; empty when there is no such folder.
pub(super) fn files(folder: &Path) -> Result<Vec<(PathBuf, Metadata)>, StoreError> {
    Ok(children(folder)?.into_iter().filter(|(_, metadata)| metadata.is_file()).collect())
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    Ok(children(folder)?.into_iter().filter(|(_, metadata)| metadata.is_dir()).map(|(path, _)| path).collect())
}

fn children(folder: &Path) -> Result<Vec<(PathBuf, Metadata)>, StoreError> {
    let failed = |e| StoreError::io("list", folder, e);
    let mut found = Vec::new();
    let children = match std::fs::read_dir(folder) {
        Ok(children) => children,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(e) => return Err(failed(e)),
    };
    for child in children {
        let child = child.map_err(failed)?;
        match child.metadata() {
            Ok(metadata) => found.push((child.path(), metadata)),
            // Another process finished or removed it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(found)
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.entries {
            let used = jiff::Timestamp::from_second(entry.last_used as i64).unwrap_or_default();
            let used = used.strftime("%Y-%m-%d");
            writeln!(f, "{:<12} {} {:>12} {used}", entry.kind, entry.hash, HumanBytes(entry.size).to_string())?;
        }
        write!(f, "{} entries, {}, in {}", self.entries.len(), HumanBytes(self.size), self.dir.display())
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for damaged in &self.damaged {
            writeln!(f, "damaged: {damaged}")?;
        }
        write!(f, "{} entries, {}: {} damaged", self.checked, HumanBytes(self.size), self.damaged.len())
    }
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.dry_run { "would remove" } else { "removed" };
        let (count, freed, left) = (self.removed.len(), HumanBytes(self.freed), HumanBytes(self.kept_size));
        write!(f, "{verb} {count} entries, {freed}; {} entries, {left}, stay", self.kept)
    }
}
