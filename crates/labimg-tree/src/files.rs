//! Files that are put in place whole or not at all. Everything that labimg leaves on the user's disk goes through here
//! (`tests/directions.rs` knows the exceptions).
//!
//! A file is written beside its place under a name that nobody can guess, `.NAME.labimg-XXXXXX.partial`, which is made
//! exclusively: a link that stands there is never followed, and two runs never share a name. While it is written it is
//! locked, so the next run can tell what a killed one left, and removes it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};
use tempfile::NamedTempFile;

use crate::fault::{Fault, FaultKind};

/// Suffix of unfinished files.
const SUFFIX: &str = ".partial";

/// The folder of a file, `.` when its path has none.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file that is being written. Dropped before it is put in place, it leaves nothing behind.
#[derive(Debug)]
pub struct NewFile {
    file: NamedTempFile<File>,
    path: PathBuf,
}

impl NewFile {
    /// Starts a file that will become `path`, with permission bits `mode` less the umask. What a killed run left for
    /// the same `path` is removed.
    ///
    /// # Errors
    /// When the file cannot be made in that folder.
    pub fn beside(path: &Path, mode: u32) -> io::Result<Self> {
        remove_stale(path)?;
        loop {
            let file = exclusive(path, mode)?;
            // Writing also works on file systems without locks; only stale files cannot be recognised there.
            let locked = rustix::fs::flock(file.as_file(), FlockOperation::NonBlockingLockExclusive);
            // Another run may have removed it as stale before it was locked: then it has no name any more.
            if locked != Err(rustix::io::Errno::WOULDBLOCK) && file.as_file().metadata()?.nlink() > 0 {
                return Ok(Self { file, path: path.to_owned() });
            }
        }
    }

    /// The file to write to.
    #[must_use]
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Its final path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs it to the disk and renames it; what stands at its path is replaced.
    ///
    /// # Errors
    /// When the disk fails or is full, or it cannot be renamed: then its path is as it was.
    pub fn put(self) -> io::Result<()> {
        self.file().sync_all()?;
        self.file.persist(&self.path).map_err(|e| e.error)?;
        sync_folder(&self.path);
        Ok(())
    }

    /// As [`NewFile::put`], but replaces nothing.
    ///
    /// # Errors
    /// As [`NewFile::put`], and `AlreadyExists`.
    pub fn put_new(self) -> io::Result<()> {
        self.file().sync_all()?;
        self.file.persist_noclobber(&self.path).map_err(|e| e.error)?;
        sync_folder(&self.path);
        Ok(())
    }
}

/// The new name is only durable when the folder is synced. Some file systems cannot do that, and the file is complete
/// anyway.
fn sync_folder(path: &Path) {
    let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
}

/// How the names of unfinished files for `path` begin: `.NAME.labimg-`.
fn prefix(path: &Path) -> String {
    format!(".{}.labimg-", path.file_name().unwrap_or_default().to_string_lossy())
}

fn exclusive(path: &Path, mode: u32) -> io::Result<NamedTempFile<File>> {
    // The library's error names the temporary file, which tells nobody anything.
    let mut failed = None;
    let made =
        tempfile::Builder::new().prefix(&prefix(path)).suffix(SUFFIX).rand_bytes(6).make_in(folder_of(path), |name| {
            let made = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(name);
            made.inspect_err(|e| failed = e.raw_os_error())
        });
    made.map_err(|e| failed.map_or(e, io::Error::from_raw_os_error))
}

/// Removes unfinished files for `path` that no running process holds.
fn remove_stale(path: &Path) -> io::Result<()> {
    let prefix = prefix(path);
    // A folder may be one that is only written to.
    let Ok(entries) = std::fs::read_dir(folder_of(path)) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(&prefix) || !name.ends_with(SUFFIX) || !entry.file_type()?.is_file() {
            continue;
        }
        let no_links = OFlags::NOFOLLOW.bits().cast_signed();
        let file = OpenOptions::new().read(true).write(true).custom_flags(no_links).open(entry.path());
        // Another user's.
        let Ok(file) = file else { continue };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            match std::fs::remove_file(entry.path()) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Writes a small file whole or not at all, with permission bits `mode` less the umask. Its folder is created if
/// missing. With `durable` it is synced to the disk, for data that cannot be made again.
///
/// # Errors
/// When the folder or file cannot be written; then the old file is unchanged.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    std::fs::create_dir_all(folder_of(path))?;
    let new = NewFile::beside(path, mode)?;
    new.file().write_all(bytes)?;
    if durable {
        return new.put();
    }
    new.file.persist(path).map(drop).map_err(|e| e.error)
}

/// A path where the user's file cannot be put.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct BadPlace {
    /// The path given.
    pub path: PathBuf,
    /// Why not.
    pub why: &'static str,
    /// What to do.
    pub help: &'static str,
    /// The system's error.
    pub source: Option<io::Error>,
}

impl Fault for BadPlace {
    fn kind(&self) -> FaultKind {
        FaultKind::Usage
    }

    fn help(&self) -> Option<String> {
        Some(self.help.to_owned())
    }
}

/// Where a file that the user named goes: a symbolic link is followed, so that the link itself stays. Folders, devices
/// and the like are never replaced.
///
/// # Errors
/// [`BadPlace`].
pub fn place(path: &Path) -> Result<PathBuf, BadPlace> {
    let bad = |why, help| Err(BadPlace { path: path.to_owned(), why, help, source: None });
    if path.file_name().is_none() {
        return bad("this names a folder", "give the name of the file too");
    }
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => bad("this is a folder", "give the name of the file too"),
        Ok(there) if there.file_type().is_block_device() => {
            bad("this is a device", "name a file; an image is then copied to the card with `dd`")
        }
        Ok(there) if !there.is_file() => bad("something other than a file stands there", "choose another name"),
        Ok(_) => std::fs::canonicalize(path).map_err(|source| BadPlace {
            path: path.to_owned(),
            why: "cannot be looked up",
            help: "choose another name",
            source: Some(source),
        }),
        Err(_) if path.is_symlink() => bad("this is a symbolic link to nothing", "remove it, or choose another name"),
        Err(_) if !folder_of(path).is_dir() => bad("its folder does not exist", "make the folder first"),
        Err(_) => Ok(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "old").unwrap();
        let new = NewFile::beside(&path, 0o640).unwrap();
        new.file().write_all(b"new").unwrap();
        assert_eq!(names(dir.path()).len(), 2);
        drop(new);
        assert_eq!(names(dir.path()), ["a"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        let new = NewFile::beside(&path, 0o640).unwrap();
        new.file().write_all(b"new").unwrap();
        new.put().unwrap();
        assert_eq!(names(dir.path()), ["a"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        let error = NewFile::beside(&path, 0o640).unwrap().put_new().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(names(dir.path()), ["a"]);
        write_whole(&dir.path().join("b/c"), b"x", 0o600, false).unwrap();
        assert_eq!(names(&dir.path().join("b")), ["c"]);
    }

    #[test]
    fn what_a_killed_run_left_goes_but_not_what_another_run_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        for name in [".a.labimg-dead00.partial", ".b.labimg-dead00.partial", ".a.labimg-folder.partial/x"] {
            write_whole(&dir.path().join(name), b"x", 0o600, false).unwrap();
        }
        let [first, second] = [(); 2].map(|()| NewFile::beside(&path, 0o600).unwrap());
        assert_eq!(names(dir.path()).len(), 4, "{:?}", names(dir.path()));
        assert!(!dir.path().join(".a.labimg-dead00.partial").exists());
        first.put().unwrap();
        second.put().unwrap();
        assert_eq!(names(dir.path()), [".a.labimg-folder.partial", ".b.labimg-dead00.partial", "a"]);
    }

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        for name in ["a", ".a.partial", ".a.labimg-000000.partial", ".a.labimg-zzzzzz.partial"] {
            symlink("victim", dir.path().join(name)).unwrap();
        }
        write_whole(&dir.path().join("a"), b"new", 0o600, true).unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
        assert!(!dir.path().join("a").is_symlink());
    }

    #[test]
    fn an_error_does_not_name_the_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = NewFile::beside(&dir.path().join("no/a"), 0o600).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!error.to_string().contains("labimg"), "{error}");
    }

    #[test]
    fn bad_places_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |path: &Path| {
            let error = place(path).unwrap_err();
            assert_eq!(error.kind(), FaultKind::Usage);
            format!("{error}\n{}", error.help().unwrap())
        };
        assert!(refused(dir.path()).contains("is a folder\ngive the name"));
        assert!(refused(&dir.path().join("no/a.img")).contains("its folder does not exist\nmake the folder"));
        assert!(refused(Path::new("/dev/null")).contains("other than a file"));
        assert!(refused(Path::new("..")).contains("folder"));
        symlink("nowhere", dir.path().join("dangling")).unwrap();
        assert!(refused(&dir.path().join("dangling")).contains("link to nothing"));
        std::fs::write(dir.path().join("real"), "").unwrap();
        symlink("real", dir.path().join("link")).unwrap();
        assert_eq!(place(&dir.path().join("link")).unwrap(), dir.path().canonicalize().unwrap().join("real"));
    }
}
