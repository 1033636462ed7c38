//! Whether an entry still holds the bytes that were put there. This is asked here, and nowhere else, before any entry
//! is used.
//!
//! Disks lose bits without a word, and size and name stay right. So a process hashes each entry the first time that it
//! needs it, before it reads anything from it; what it fetched or made itself was hashed on the way. A damaged entry is
//! thrown away with a warning, and then it is missing like any other: fetched or made again.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use labimg_tree::Blob;
use labimg_tree::hash::Sha256;
use labimg_tree::progress::Progress;
use serde::Serialize;

use super::slot::{self, Slot, is_same};
use super::{Store, StoreError, Sum, sum_path};

/// Kind of the verified inputs.
pub(super) const BLOB: &str = "blob";

/// A damaged entry.
#[derive(Debug, Clone, Serialize)]
pub struct Damaged {
    /// As in [`super::StoreEntry`].
    pub kind: String,
    /// As in [`super::StoreEntry`].
    pub hash: Sha256,
    /// What is wrong with it.
    pub reason: String,
    /// True when it was removed; false in a read-only cache.
    pub removed: bool,
}

/// What is there under the name of an entry.
pub(super) enum Found {
    /// What was put there.
    Sound(Blob),
    /// Nothing.
    Missing,
    /// Something else: it was thrown away, if the cache may be written.
    Damaged,
}

/// The entries that this process knows to be sound, with the state that their files had then: a name may come to mean
/// another file.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<PathBuf, State>>);

/// Device, inode, size, and the time of the last change of any kind.
type State = (u64, u64, u64, i64, i64);

impl Known {
    fn has(&self, path: &Path, file: &File) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(path).is_some_and(|known| state(file).is_some_and(|found| found == *known))
    }

    fn add(&self, path: &Path, file: &File) {
        if let Some(state) = state(file) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), state);
        }
    }
}

fn state(file: &File) -> Option<State> {
    let metadata = file.metadata().ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.len(), metadata.ctime(), metadata.ctime_nsec()))
}

impl Store {
    /// The entry, if it is sound. `name` says in the warning what it is.
    pub(super) fn sound(
        &self,
        (kind, hash, path): (&str, &Sha256, &Path),
        name: &str,
        reporter: &dyn Progress,
    ) -> Result<Found, StoreError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
            Err(e) => return Err(StoreError::io("open", path, e)),
        };
        if !self.known.has(path, &file) {
            if let Some(damaged) = self.examine((kind, hash, path), &file)? {
                reporter.warn(&format!("the cache's copy of {name} is damaged: {damaged}"));
                return Ok(Found::Damaged);
            }
            self.touch(path);
            self.known.add(path, &file);
        }
        Blob::of(file, path).map(Found::Sound).map_err(|e| StoreError::io("open", path, e))
    }

    /// Hashes an open entry, and throws it away if it is damaged.
    pub(super) fn examine(
        &self,
        (kind, hash, path): (&str, &Sha256, &Path),
        file: &File,
    ) -> Result<Option<Damaged>, StoreError> {
        let reason = match slot::hash_file(file, path) {
            Ok(found) if kind == BLOB => (found.hash != *hash).then(|| format!("its SHA-256 is {}", found.hash)),
            Ok(found) => match Sum::read(&sum_path(path)) {
                Some(sum) if sum == found => None,
                Some(sum) => Some(format!("its SHA-256 is {}, {} was noted", found.hash, sum.hash)),
                None => Some("its SHA-256 was not noted".to_owned()),
            },
            // A bad sector is as good as a wrong bit.
            Err(StoreError::Io { source, .. }) => Some(format!("it cannot be read ({source})")),
            Err(e) => return Err(e),
        };
        let Some(reason) = reason else { return Ok(None) };
        // Another process may have replaced it by a sound one.
        if self.writable && is_same(file, path) {
            remove(kind, path)?;
        }
        Ok(Some(Damaged { kind: kind.to_owned(), hash: *hash, reason, removed: self.writable }))
    }

    /// Gives an entry its name: whoever calls has hashed what is in the slot.
    pub(super) fn publish(&self, slot: Slot, path: &Path) -> Result<(), StoreError> {
        let file = slot.publish(path)?;
        self.known.add(path, &file);
        Ok(())
    }
}

/// Removes an entry.
pub(super) fn remove(kind: &str, path: &Path) -> Result<(), StoreError> {
    // The data first: a `.sum` alone is not an entry.
    let sum = (kind != BLOB).then(|| sum_path(path));
    for path in [Some(path.to_owned()), sum].into_iter().flatten() {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StoreError::io("remove", &path, e)),
            _ => {}
        }
    }
    Ok(())
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, hash, reason, removed } = self;
        let fate = if *removed { "removed" } else { "left, as the cache may not be written" };
        write!(f, "{kind} {hash}: {reason}; {fate}")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::tests::{Bench, Warnings};

    /// Flips one bit, and leaves size and times as they are.
    fn flip(path: &Path, byte: u64) {
        let times = path.metadata().unwrap().modified().unwrap();
        let mode = path.metadata().unwrap().permissions();
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let file = File::options().read(true).write(true).open(path).unwrap();
        let mut one = [0];
        file.read_exact_at(&mut one, byte).unwrap();
        file.write_all_at(&[one[0] ^ 0x10], byte).unwrap();
        file.set_modified(times).unwrap();
        fs::set_permissions(path, mode).unwrap();
    }

    fn content(blob: &Blob) -> Vec<u8> {
        let mut bytes = vec![0; blob.len() as usize];
        blob.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn a_flipped_bit_is_seen_by_every_way_to_an_entry() {
        let bench = Bench::new();
        let requests = [bench.request("/f", b"one content"), bench.request("/g", b"another")];
        bench.fetch(&requests).unwrap();
        let warnings = Warnings::default();
        let make = |store: &Store, anew: &[u8]| {
            store.derived::<StoreError>("tar", &Sha256::of("k"), &warnings, |file| {
                file.write_all(anew).map_err(|e| StoreError::io("write", Path::new("it"), e))
            })
        };
        let derived = make(&bench.store, b"made").unwrap();
        let path = bench.store.blob_path(&requests[0].sha256);

        for (round, store) in [&bench.store, &Store::open(bench.dir.path()).unwrap()].into_iter().enumerate() {
            flip(&path, 3);
            store.fetch(&requests, 2, &bench.http, &warnings).unwrap();
            assert_eq!(content(&store.fetched(&requests[0].sha256, &warnings).unwrap()), b"one content");
            assert_eq!(bench.server.seen().len(), 3 + round, "the sound file is not fetched again");

            flip(&path, 3);
            assert!(store.blob(&requests[0].sha256, "the file", &warnings).unwrap().is_none());
            assert!(!path.exists());
            store.put(b"one content", &warnings).unwrap();
            flip(&path, 3);
            store.put(b"one content", &warnings).unwrap();
            assert_eq!(content(&store.fetched(&requests[0].sha256, &warnings).unwrap()), b"one content");

            flip(derived.path(), 0);
            assert!(!store.has_derived("tar", &Sha256::of("k"), &warnings).unwrap());
            assert_eq!(content(&make(store, b"MADE").unwrap()), b"MADE");
            assert_eq!(content(&make(store, b"not needed").unwrap()), b"MADE");
            // The next run notices when the noted hash is not the data's.
            flip(&sum_path(derived.path()), 8);
            let next = Store::open(bench.dir.path()).unwrap();
            assert_eq!(content(&make(&next, b"made").unwrap()), b"made");

            let seen = std::mem::take(&mut *warnings.0.lock().unwrap());
            let names: Vec<_> = seen.iter().map(|text| text.split(" is damaged: ").next().unwrap()).collect();
            let copies =
                ["f", "the file", "a download", "tar", "tar"].map(|name| format!("the cache's copy of {name}"));
            assert_eq!(names, copies);
            assert!(seen.iter().all(|text| text.ends_with("; removed")), "{seen:?}");
        }
    }

    #[test]
    fn what_cannot_be_fetched_again_is_named_with_the_way_out() {
        use labimg_tree::fault::Fault;

        let bench = Bench::new();
        let request = bench.request("/f", b"one content");
        bench.fetch(std::slice::from_ref(&request)).unwrap();
        flip(&bench.store.blob_path(&request.sha256), 0);
        let gone = crate::Request { urls: vec![labimg_testkit::http_server::dead_url("/f")], ..request };
        let error = bench.fetch(&[gone]).unwrap_err();
        assert!(error.to_string().contains("`f`, whose copy in the cache was damaged"), "{error}");
        let help = error.help().unwrap();
        assert!(help.contains("check the network") && help.contains("--cache"), "{help}");
    }
}
