//! A `.part` file under an exclusive lock: the right to make one entry.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use sha2::Digest;

use super::{StoreError, Sum};
use labimg_tree::hash::Sha256;
use labimg_tree::interrupt;

/// First and longest wait before a lock held by another process is tried again. There is no `flock` with a time limit.
const WAITS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(64));

/// The right to make an entry; ends when dropped, and the `.part` stays for the next one.
#[derive(Debug)]
pub(super) struct Slot {
    file: File,
    path: PathBuf,
}

impl Slot {
    /// Waits for the right to make an entry through the file `path`; `None` when `there` finds that someone else made
    /// it.
    pub(super) fn acquire(
        path: PathBuf,
        there: impl Fn() -> Result<bool, StoreError>,
    ) -> Result<Option<Self>, StoreError> {
        let mut wait = WAITS.0;
        while !there()? {
            // A cache may be shared: a link that another user put there is not followed.
            let no_links = OFlags::NOFOLLOW.bits().cast_signed();
            let mut options = File::options();
            let file = options.read(true).write(true).create(true).truncate(false).custom_flags(no_links).open(&path);
            let file = file.map_err(|e| StoreError::write(&path, 0, e))?;
            if try_lock(&file, FlockOperation::NonBlockingLockExclusive)
                .map_err(|e| StoreError::io("lock", &path, e))?
            {
                // The former holder may have renamed or removed the file: then the entry is finished, or the file is
                // gone.
                if is_same(&file, &path) {
                    let slot = Self { file, path };
                    if there()? {
                        slot.discard();
                        return Ok(None);
                    }
                    return Ok(Some(slot));
                }
            } else {
                interrupt::check()?;
                std::thread::sleep(wait);
                wait = (wait * 2).min(WAITS.1);
            }
        }
        Ok(None)
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn file_mut(&mut self) -> &mut File {
        &mut self.file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Discards what a former holder left.
    pub(super) fn clear(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).rewind()
    }

    /// Size and hash of what was written.
    pub(super) fn sum(&self) -> Result<Sum, StoreError> {
        hash_file(&self.file, &self.path)
    }

    /// Renames the file to `path`, where readers find it; returns it, still open.
    pub(super) fn publish(self, path: &Path) -> Result<File, StoreError> {
        rename(&self.path, path)?;
        // After the rename: a `.part` must stay writable for the process that resumes after a kill.
        self.file.set_permissions(Permissions::from_mode(0o444)).map_err(|e| StoreError::io("protect", path, e))?;
        Ok(self.file)
    }

    /// Removes the file.
    pub(super) fn discard(self) {
        // What cannot be removed now is removed by `sweep` when it is old.
        let _ = std::fs::remove_file(&self.path);
    }

    /// Removes a `.part` that no process holds; true when removed.
    pub(super) fn discard_unless_held(path: &Path) -> Result<bool, StoreError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(StoreError::io("open", path, e)),
        };
        let locked = try_lock(&file, FlockOperation::NonBlockingLockExclusive);
        let free = locked.map_err(|e| StoreError::io("lock", path, e))? && is_same(&file, path);
        if free {
            std::fs::remove_file(path).map_err(|e| StoreError::io("remove", path, e))?;
        }
        Ok(free)
    }
}

/// Takes a lock if it is free.
pub(super) fn try_lock(file: &File, how: FlockOperation) -> io::Result<bool> {
    loop {
        match flock(file, how) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Waits for a lock until interrupted.
pub(super) fn wait_for(file: &File, path: &Path, how: FlockOperation) -> Result<(), StoreError> {
    while !try_lock(file, how).map_err(|e| StoreError::io("lock", path, e))? {
        interrupt::check()?;
        std::thread::sleep(WAITS.1);
    }
    Ok(())
}

/// Renames, and creates the target's folder if needed.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(|e| StoreError::write(folder, 0, e))?;
    }
    std::fs::rename(from, to).map_err(|e| StoreError::write(to, 0, e))
}

/// True when `path` still names the open file `file`.
pub(super) fn is_same(file: &File, path: &Path) -> bool {
    let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), path.metadata()), (Ok(open), Ok(named)) if identity(&open) == identity(&named))
}

/// Size and hash of a whole open file.
pub(super) fn hash_file(file: &File, path: &Path) -> Result<Sum, StoreError> {
    let (mut hasher, mut size) = (sha2::Sha256::new(), 0);
    feed(file, path, &mut hasher, &mut size)?;
    Ok(Sum { hash: Sha256::from_hasher(hasher), size })
}

/// Feeds a file to a hasher from its first byte.
pub(super) fn feed(mut file: &File, path: &Path, hasher: &mut sha2::Sha256, size: &mut u64) -> Result<(), StoreError> {
    let failed = |e| StoreError::io("read", path, e);
    file.rewind().map_err(failed)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        interrupt::check()?;
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                hasher.update(buffer.get(..count).unwrap_or_default());
                *size += count as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(e)),
        }
    }
}
