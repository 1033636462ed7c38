//! The folder of a boot: the copy of the card, which holds the node's keys, and what QEMU is given.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::process::geteuid;
use tempfile::TempDir;

const PREFIX: &str = "labimg-boot-";

/// Held locked while the folder is in use.
const LOCK: &str = "lock";

/// A folder that is younger than this may be one that another boot has just made and not locked yet.
const YOUNG: Duration = Duration::from_secs(60);

/// A new folder, removed when it is dropped.
#[derive(Debug)]
pub struct Folder {
    dir: TempDir,
    _lock: File,
}

impl Folder {
    /// Makes one below `parent`, and removes those of boots that were killed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let lock = File::create(dir.path().join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { dir, _lock: lock })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes what killed boots of this user left. What cannot be removed stays: it is no reason not to boot.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) && is_left(&entry.path()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn is_left(folder: &Path) -> bool {
    let Ok(found) = folder.symlink_metadata() else { return false };
    let is_old = found.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age > YOUNG));
    if !found.is_dir() || found.uid() != geteuid().as_raw() || !is_old {
        return false;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(folder.join(LOCK), flags, Mode::empty()) {
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok(),
        // Killed before there was one, or of labimg 0.1.
        Err(e) => e == rustix::io::Errno::NOENT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn what_a_killed_boot_left_is_removed_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let age =
            |name: &str| File::open(temp.path().join(name)).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let make = |name: &str, locked: bool| {
            std::fs::create_dir(temp.path().join(name)).unwrap();
            std::fs::write(temp.path().join(name).join("disk.img"), "keys").unwrap();
            if locked {
                std::fs::write(temp.path().join(name).join(LOCK), "").unwrap();
            }
        };
        make("labimg-boot-killed", true);
        make("labimg-boot-older", false);
        make("labimg-boot-young", true);
        make("other", true);
        std::os::unix::fs::symlink("other", temp.path().join("labimg-boot-link")).unwrap();
        let running = Folder::make(temp.path()).unwrap();
        let running_name = running.path().file_name().unwrap().to_str().unwrap().to_owned();
        for name in ["labimg-boot-killed", "labimg-boot-older", "other", &running_name] {
            age(name);
        }
        let path = Folder::make(temp.path()).unwrap().path().to_owned();
        let mut left: Vec<String> =
            std::fs::read_dir(temp.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        let mut expected = vec!["labimg-boot-link".to_owned(), "labimg-boot-young".to_owned(), "other".to_owned()];
        expected.push(running_name);
        expected.sort();
        assert_eq!(left, expected);
        assert!(!path.exists() && temp.path().join("other/disk.img").exists());
    }
}
