//! The folder `secrets/`: who may read it, one writer at a time, and files that appear together or not at all.
//!
//! Files that belong together are a *group*: a subfolder that is filled under another name and then renamed, so a power
//! cut leaves all of it or nothing. Existing files are never rewritten.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::SecretsError;
use labimg_tree::{files, interrupt, platform};

/// How often a lock held by another process is tried again.
const TICK: Duration = Duration::from_millis(20);

/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// Largest file that is read, in bytes: keys and certificates are far smaller.
const LIMIT: u64 = 64 * 1024;

/// Name prefix of an unfinished group.
const UNFINISHED: &str = ".new-";

/// Names and contents of a group's files.
pub(super) type Files = Vec<(&'static str, Vec<u8>)>;

/// The folder, locked against other processes until dropped.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    _lock: File,
}

impl Folder {
    /// Creates the folder if missing, locks it and removes leftovers of an interrupted run.
    pub(super) fn create(dir: &Path) -> Result<Self, SecretsError> {
        match DirBuilder::new().mode(0o700).create(dir) {
            // The umask may also have removed permissions of the owner. Where there are no modes it fails, and the folder
            // is good only if it is private from the start, by an option of the mount.
            Ok(()) => match std::fs::set_permissions(dir, Permissions::from_mode(0o700)) {
                Err(e) if !matches!(platform::without_modes(dir), Ok(Some(_))) => {
                    return Err(SecretsError::io("protect", dir)(e));
                }
                _ => {}
            },
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(SecretsError::io("make", dir)(e)),
        }
        let folder = Self::open(dir)?;
        folder.remove_unfinished()?;
        let ignore = dir.join(".gitignore");
        if !ignore.exists() {
            files::write_whole(&ignore, b"*\n", 0o600, true).map_err(SecretsError::io("write", &ignore))?;
        }
        Ok(folder)
    }

    /// Locks an existing folder.
    pub(super) fn open(dir: &Path) -> Result<Self, SecretsError> {
        check_mode(dir, true)?;
        let path = dir.join(".lock");
        let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(SecretsError::io("open", &path))?;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => std::thread::sleep(TICK),
                Err(Errno::INTR) => {}
                Err(e) => return Err(SecretsError::io("lock", &path)(e.into())),
            }
            interrupt::check()?;
        }
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// The path of a file or group.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Whether the group exists.
    pub(super) fn has(&self, group: &str) -> bool {
        self.path(group).symlink_metadata().is_ok()
    }

    /// Creates a group unless it exists.
    pub(super) fn group(
        &self,
        group: &str,
        make: impl FnOnce() -> Result<Files, SecretsError>,
    ) -> Result<(), SecretsError> {
        if self.has(group) {
            return Ok(());
        }
        let files = make()?;
        let target = self.path(group);
        let parent = target.parent().unwrap_or(&self.dir);
        make_folder(parent)?;
        let private = Permissions::from_mode(0o700);
        let unfinished = tempfile::Builder::new().prefix(UNFINISHED).permissions(private).tempdir_in(&self.dir);
        let unfinished = unfinished.map_err(SecretsError::io("write", &self.dir))?.keep();
        for (name, content) in files {
            let path = unfinished.join(name);
            if let Some(folder) = path.parent() {
                make_folder(folder)?;
            }
            write(&path, &content)?;
            sync(path.parent().unwrap_or(&unfinished))?;
        }
        sync(&unfinished)?;
        std::fs::rename(&unfinished, &target).map_err(SecretsError::io("rename", &unfinished))?;
        sync(parent)?;
        sync(&self.dir)
    }

    /// Moves a group into the folder `old`, which is created if needed; false when the group does not exist.
    pub(super) fn retire(&self, group: &str, old: &Path) -> Result<bool, SecretsError> {
        if !self.has(group) {
            return Ok(false);
        }
        let kept = old.join(group);
        make_folder(kept.parent().unwrap_or(old))?;
        let path = self.path(group);
        std::fs::rename(&path, kept).map_err(SecretsError::io("rename", &path))?;
        sync(old)?;
        sync(&self.dir)?;
        Ok(true)
    }

    /// Of the folders with such a name, the one that was changed last.
    pub(super) fn newest(&self, prefix: &str) -> Result<Option<PathBuf>, SecretsError> {
        let failed = || SecretsError::io("read", &self.dir);
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            if entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()) {
                found.push((entry.metadata().and_then(|m| m.modified()).map_err(failed())?, entry.path()));
            }
        }
        Ok(found.into_iter().max().map(|(_, path)| path))
    }

    /// A file's text; refused when other users may read it.
    pub(super) fn read(&self, group: &str, name: &str) -> Result<String, SecretsError> {
        let path = self.path(group).join(name);
        check_mode(&self.path(group), true)?;
        let damaged = |why: &str| self.damaged(group, name, why);
        match path.symlink_metadata() {
            Ok(found) if !found.is_file() => return Err(damaged("it is not a file")),
            Ok(_) => check_mode(&path, false)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(damaged("it is missing")),
            Err(e) => return Err(SecretsError::io("read", &path)(e)),
        }
        let mut text = String::new();
        let file = File::open(&path).map_err(SecretsError::io("open", &path))?;
        match file.take(LIMIT).read_to_string(&mut text) {
            Ok(size) if size as u64 == LIMIT => Err(damaged("it is far too large")),
            Ok(0) => Err(damaged("it is empty")),
            Ok(_) => Ok(text),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => Err(damaged("it is not text")),
            Err(e) => Err(SecretsError::io("read", &path)(e)),
        }
    }

    /// An error about a damaged file of a group.
    pub(super) fn damaged(&self, group: &str, name: &str, why: impl Into<String>) -> SecretsError {
        let group = self.path(group);
        SecretsError::Damaged { path: group.join(name), why: why.into(), group }
    }

    /// Removes leftovers of an interrupted run. Only while the lock is held, so no other process can be using them.
    pub(super) fn remove_unfinished(&self) -> Result<(), SecretsError> {
        let error = || SecretsError::io("read", &self.dir);
        for entry in std::fs::read_dir(&self.dir).map_err(error())? {
            let entry = entry.map_err(error())?;
            if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
                let path = entry.path();
                std::fs::remove_dir_all(&path).map_err(SecretsError::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// The error for a path that others can get at; no `chmod` helps where every file has the same mode.
fn exposed(path: &Path, mode: u32, wanted: u32) -> SecretsError {
    match platform::without_modes(path) {
        Ok(Some(file_system)) => SecretsError::NoModes { path: path.to_owned(), file_system },
        // The mode is known, whatever the file system is.
        Ok(None) | Err(_) => SecretsError::Exposed { path: path.to_owned(), mode, wanted },
    }
}

fn check_mode(path: &Path, folder: bool) -> Result<(), SecretsError> {
    let found = path.metadata().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => SecretsError::None(path.to_owned()),
        _ => SecretsError::io("read", path)(e),
    })?;
    let mode = found.permissions().mode() & 0o7777;
    if folder && !found.is_dir() {
        return Err(SecretsError::io("use", path)(io::ErrorKind::NotADirectory.into()));
    }
    let wanted = if folder { 0o700 } else { 0o600 };
    if mode & OTHERS == 0 { Ok(()) } else { Err(exposed(path, mode, wanted)) }
}

fn make_folder(path: &Path) -> Result<(), SecretsError> {
    DirBuilder::new().mode(0o700).recursive(true).create(path).map_err(SecretsError::io("make", path))
}

fn write(path: &Path, content: &[u8]) -> Result<(), SecretsError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(SecretsError::io("write", path))
}

fn sync(path: &Path) -> Result<(), SecretsError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(SecretsError::io("sync", path))
}
