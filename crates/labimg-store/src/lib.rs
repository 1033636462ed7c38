//! Content-addressed cache of verified blobs (`labimg_debian::lock::Lock` → [`Store`]).
//!
//! ```text
//! CACHEDIR.TAG                    tells backup programs to leave the folder out
//! lock                            locked shared by every user of the cache, exclusively by `cache prune`
//! blobs/sha256/ab/ab12…           inputs, named by their SHA-256; mode 0444
//! derived/<kind>/<key>            made from verified inputs, named by a hash of those; mode 0444
//! derived/<kind>/<key>.sum        its SHA-256 and size, in bytes
//! releases/<name>                 what was learnt from the network once (memory.rs)
//! tmp/ab12….part                  a download that is running or was cut off
//! tmp/<kind>-<key>.part           a derived entry being made
//! ```
//!
//! An entry gets its name by a rename, after its hash was verified. Whoever makes an entry holds an exclusive `flock`
//! on its `.part` file: a second build waits and then uses the first one's result. A lock ends with its process, so a
//! killed build leaves only a `.part`. The next download of that file resumes there, and a `.part` that was not touched
//! for a day is removed by the next [`Store::open`].
//!
//! Nothing is synced to the disk: that would cost at least one seek for each of some hundred files, and everything can
//! be fetched or made again. What a power cut or the disk itself damaged is noticed before it is used (sound.rs).
//!
//! A file's modification time is the time of its last use, to the hour: `prune` goes by it.

mod context;
mod error;
mod fetch;
pub mod http;
mod memory;
mod slot;
mod sound;
mod upkeep;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;

use labimg_tree::Blob;
use labimg_tree::files;
use labimg_tree::hash::Sha256;
use labimg_tree::progress::Progress;

pub use context::Context;
pub use error::{Failed, SourceError, StoreError};
pub use fetch::Request;
pub use sound::Damaged;
pub use upkeep::{Keep, Listing, Pruned, StoreEntry, Verified};

use slot::Slot;
use sound::{BLOB, Found, Known};

/// A `.part` is rubbish when nobody holds it and nobody wrote to it for this long.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// How exactly the time of last use is kept, so that a build need not write an inode for each entry that it reads.
const USE_PRECISION: Duration = Duration::from_secs(3600);

/// `$XDG_CACHE_HOME/labimg`, or `~/.cache/labimg` (XDG Base Directory Specification).
///
/// # Errors
/// [`StoreError::NoHome`] when neither variable holds an absolute path.
pub fn default_dir() -> Result<PathBuf, StoreError> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("XDG_CACHE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
        .map(|base| base.join("labimg"))
        .ok_or(StoreError::NoHome)
}

/// An open cache. While it lives, no `cache prune` removes anything.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// The lock file, locked shared. `None` in a read-only cache without this file.
    lock: Option<File>,
    writable: bool,
    known: Known,
}

impl Store {
    /// Opens the cache in `dir` and creates what is missing. A cache that is not writable is opened for reading.
    ///
    /// # Errors
    /// When there is no cache and none can be made; [`StoreError::Interrupted`] while waiting for a `cache prune`.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let store = match prepare(dir) {
            Ok(lock) => {
                Self { dir: dir.to_owned(), lock: Some(lock), writable: may_write(dir), known: Known::default() }
            }
            Err(StoreError::Io { source, .. }) if is_denied(&source) && dir.join("blobs").is_dir() => {
                let lock = File::open(dir.join("lock")).ok();
                Self { dir: dir.to_owned(), lock, writable: false, known: Known::default() }
            }
            Err(e) => return Err(e),
        };
        store.lock_shared()?;
        if store.writable {
            store.sweep()?;
        }
        Ok(store)
    }

    /// Opens a cache only to look into it: nothing is made, changed or removed, not even what is damaged. `None` when there
    /// is no cache.
    ///
    /// # Errors
    /// [`StoreError::Interrupted`] while waiting for a `cache prune`.
    pub fn look(dir: &Path) -> Result<Option<Self>, StoreError> {
        if !dir.join("blobs").is_dir() {
            return Ok(None);
        }
        let lock = File::open(dir.join("lock")).ok();
        let store = Self { dir: dir.to_owned(), lock, writable: false, known: Known::default() };
        store.lock_shared()?;
        Ok(Some(store))
    }

    /// The cache's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A sound blob, or `None` when it is missing. A damaged one is thrown away with a warning, which calls it `name`,
    /// and is missing then.
    ///
    /// # Errors
    /// When it exists but cannot be opened.
    pub fn blob(&self, hash: &Sha256, name: &str, reporter: &dyn Progress) -> Result<Option<Blob>, StoreError> {
        match self.sound((BLOB, hash, &self.blob_path(hash)), name, reporter)? {
            Found::Sound(blob) => Ok(Some(blob)),
            Found::Missing | Found::Damaged => Ok(None),
        }
    }

    /// A blob that was fetched or kept before.
    ///
    /// # Errors
    /// When it cannot be opened, or was removed or damaged in the meantime.
    pub fn fetched(&self, hash: &Sha256, reporter: &dyn Progress) -> Result<Blob, StoreError> {
        let gone = || StoreError::io("open", &self.blob_path(hash), io::ErrorKind::NotFound.into());
        self.blob(hash, "a download", reporter)?.ok_or_else(gone)
    }

    /// Stores some bytes as a blob.
    ///
    /// # Errors
    /// A write error; [`StoreError::ReadOnly`].
    pub fn put(&self, bytes: &[u8], reporter: &dyn Progress) -> Result<Sha256, StoreError> {
        let hash = Sha256::of(bytes);
        let (path, size) = (self.blob_path(&hash), bytes.len() as u64);
        let there = || self.blob(&hash, "a download", reporter).map(|blob| blob.is_some());
        if !there()? {
            self.must_write(|| vec![format!("blob {hash}")])?;
            if let Some(slot) = Slot::acquire(self.part_path(&hash), there)? {
                let written = slot.clear().and_then(|()| slot.file().write_all(bytes));
                written.map_err(|e| StoreError::write(slot.path(), size, e))?;
                self.publish(slot, &path)?;
            }
        }
        Ok(hash)
    }

    /// Something costly that is made from verified inputs. It is kept under its `kind` (a short word, such as `tar`)
    /// and its `key`, a hash of everything that goes into it, including the maker's version. When it is missing or
    /// damaged, `make` writes it; another build that needs it waits.
    ///
    /// `make` must not ask for the same entry again, nor let `rayon` run other work in its thread that does.
    ///
    /// # Errors
    /// Any error of `make`; a read or write error; [`StoreError::ReadOnly`].
    pub fn derived<E: From<StoreError>>(
        &self,
        kind: &'static str,
        key: &Sha256,
        reporter: &dyn Progress,
        make: impl FnOnce(&mut File) -> Result<(), E>,
    ) -> Result<Blob, E> {
        let path = self.derived_path(kind, key);
        let there = || self.has_derived(kind, key, reporter);
        if !there()? {
            self.must_write(|| vec![format!("{kind} {key}")])?;
            let part = self.dir.join("tmp").join(format!("{kind}-{key}.part"));
            if let Some(mut slot) = Slot::acquire(part, there)? {
                let empty = slot.clear().map_err(|e| StoreError::write(slot.path(), 0, e).into());
                if let Err(e) = empty.and_then(|()| make(slot.file_mut())) {
                    slot.discard();
                    return Err(e);
                }
                // The sum goes first: an entry without one is never used.
                slot.sum()?.write(&sum_path(&path))?;
                self.publish(slot, &path)?;
            }
        }
        match self.sound((kind, key, &path), kind, reporter)? {
            Found::Sound(blob) => Ok(blob),
            Found::Missing | Found::Damaged => {
                Err(StoreError::io("open", &path, io::ErrorKind::NotFound.into()).into())
            }
        }
    }

    /// Whether a sound entry that [`Store::derived`] made is there.
    ///
    /// # Errors
    /// When it exists but cannot be opened.
    pub fn has_derived(&self, kind: &'static str, key: &Sha256, reporter: &dyn Progress) -> Result<bool, StoreError> {
        let found = self.sound((kind, key, &self.derived_path(kind, key)), kind, reporter)?;
        Ok(matches!(found, Found::Sound(_)))
    }

    fn derived_path(&self, kind: &str, key: &Sha256) -> PathBuf {
        self.dir.join("derived").join(kind).join(key.to_string())
    }

    fn blob_path(&self, hash: &Sha256) -> PathBuf {
        let hex = hash.to_string();
        let prefix = hex.get(..2).unwrap_or_default();
        self.dir.join("blobs/sha256").join(prefix).join(&hex)
    }

    fn part_path(&self, hash: &Sha256) -> PathBuf {
        self.dir.join("tmp").join(format!("{hash}.part"))
    }

    fn must_write(&self, missing: impl FnOnce() -> Vec<String>) -> Result<(), StoreError> {
        if self.writable {
            return Ok(());
        }
        Err(StoreError::ReadOnly { dir: self.dir.clone(), missing: missing() })
    }

    /// Records that an entry was used.
    fn touch(&self, path: &Path) {
        let used = path.metadata().and_then(|m| m.modified());
        let recent = used.is_ok_and(|used| used.elapsed().is_ok_and(|age| age < USE_PRECISION));
        if self.writable && !recent {
            let (omit, now) = (rustix::fs::UTIME_OMIT, rustix::fs::UTIME_NOW);
            let time = |tv_nsec| rustix::fs::Timespec { tv_sec: 0, tv_nsec };
            let times = rustix::fs::Timestamps { last_access: time(omit), last_modification: time(now) };
            // Fails for another user's file. Then `prune` may think it unused, which only costs a download later.
            let _ = rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty());
        }
    }

    fn lock_shared(&self) -> Result<(), StoreError> {
        let Some(lock) = &self.lock else { return Ok(()) };
        slot::wait_for(lock, &self.dir.join("lock"), FlockOperation::NonBlockingLockShared)
    }

    /// Removes what killed processes left long ago.
    fn sweep(&self) -> Result<(), StoreError> {
        for (path, metadata) in upkeep::files(&self.dir.join("tmp"))? {
            let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
            if age.is_some_and(|age| age > STALE) {
                match Slot::discard_unless_held(&path) {
                    // Another user's file in a shared cache: its owner removes it.
                    Err(StoreError::Io { source, .. }) if is_denied(&source) => {}
                    done => drop(done?),
                }
            }
        }
        Ok(())
    }
}

/// Length and hash of a derived entry, as its `.sum` file records them: `<sha256> <size>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum {
    hash: Sha256,
    size: u64,
}

impl Sum {
    /// `None` when it cannot be read or parsed: then the entry counts as damaged.
    fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        let (hash, size) = text.trim_end().split_once(' ')?;
        Some(Self { hash: hash.parse().ok()?, size: size.parse().ok()? })
    }

    /// Writes it, under the lock of its entry.
    fn write(self, path: &Path) -> Result<(), StoreError> {
        let text = format!("{} {}\n", self.hash, self.size);
        let written = files::write_whole(path, text.as_bytes(), 0o644, false);
        written.map_err(|e| StoreError::write(path, text.len() as u64, e))
    }
}

fn sum_path(path: &Path) -> PathBuf {
    path.with_extension("sum")
}

fn is_denied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn prepare(dir: &Path) -> Result<File, StoreError> {
    for folder in ["blobs/sha256", "derived", "tmp"] {
        let folder = dir.join(folder);
        std::fs::create_dir_all(&folder).map_err(|e| StoreError::io("create", &folder, e))?;
    }
    let path = dir.join("lock");
    let lock = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let lock = lock.map_err(|e| StoreError::io("open", &path, e))?;
    let tag = dir.join("CACHEDIR.TAG");
    if !tag.exists() {
        // Cache Directory Tagging Specification (bford.info/cachedir).
        let text =
            "Signature: 8a477f597d28d172789f06886806bc55\n# Downloads of labimg; safe to remove when no build runs.\n";
        files::write_whole(&tag, text.as_bytes(), 0o644, false)
            .map_err(|e| StoreError::write(&tag, text.len() as u64, e))?;
    }
    Ok(lock)
}

fn may_write(dir: &Path) -> bool {
    ["blobs/sha256", "derived", "tmp"]
        .iter()
        .all(|folder| rustix::fs::access(dir.join(folder), rustix::fs::Access::WRITE_OK).is_ok())
}

#[cfg(test)]
mod tests;
