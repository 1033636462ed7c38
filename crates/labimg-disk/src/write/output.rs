//! The image file while it is written: sparse, under a temporary name beside its final one, renamed only when complete.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::ImageError;
use labimg_tree::files::folder_of;

/// Suffix of unfinished images.
const SUFFIX: &str = ".partial";

/// An image file that is being written. Dropped before [`OutputFile::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct OutputFile {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    finished: bool,
}

impl OutputFile {
    /// Starts an image of `size` bytes that will become `path`. At least `needed` bytes will be written and must be
    /// free. Only its owner can read a `private` one. What a killed run left beside `path` is removed.
    ///
    /// # Errors
    /// When `path` is a folder or device, its folder is missing or cannot be written to, or there is too little space.
    pub fn create(path: &Path, size: u64, needed: u64, private: bool) -> Result<Self, ImageError> {
        let path = target(path)?;
        let folder = folder_of(&path);
        let fail = |what, source| ImageError::Output { path: path.clone(), what, source };
        remove_stale(&path).map_err(|e| fail("what an earlier run left beside it cannot be removed", e))?;
        let available = available(folder).map_err(|e| fail("the free space cannot be read", e))?;
        if needed > available {
            return Err(ImageError::DiskFull { path, needed, available });
        }
        let (file, temporary) = locked_temporary(&path, private).map_err(|e| fail("cannot be made", e))?;
        let output = Self { file, temporary, path, finished: false };
        // A host file system such as FAT may not be able to hold a file this large.
        let sized = output.file.set_len(size);
        sized.map_err(|source| ImageError::Output {
            path: output.path.clone(),
            what: "cannot be made that large",
            source,
        })?;
        Ok(output)
    }

    /// The file to write to.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its final path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs the file to the disk and renames it, replacing an old image.
    ///
    /// # Errors
    /// When the disk fails or is full: then the old image stays.
    pub fn finish(mut self) -> Result<(), ImageError> {
        let fail = |what, source| ImageError::Output { path: self.path.clone(), what, source };
        self.file.sync_all().map_err(|e| fail("cannot be brought to the disk", e))?;
        fs_err::rename(&self.temporary, &self.path).map_err(|e| fail("cannot be put in place", e))?;
        self.finished = true;
        // The new name is only durable when the folder is synced. Some file systems cannot do that, and the image is
        // complete anyway.
        let _ = File::open(folder_of(&self.path)).and_then(|folder| folder.sync_all());
        Ok(())
    }

    /// Tells a full disk from other write errors.
    pub(super) fn explain(&self, error: ImageError, needed: u64) -> ImageError {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(e) = cause {
            if e.downcast_ref::<io::Error>().is_some_and(is_full) {
                let available = available(folder_of(&self.path)).unwrap_or(0);
                return ImageError::DiskFull { path: self.path.clone(), needed, available };
            }
            cause = e.source();
        }
        error
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if !self.finished {
            // A file that cannot be removed is left; the next run tries again.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Whether an image can be written to `path`: checked before the work starts.
///
/// # Errors
/// As [`OutputFile::create`], except for the space.
pub fn check_output(path: &Path) -> Result<(), ImageError> {
    let path = target(path)?;
    let folder = folder_of(&path);
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).map_err(|e| {
        ImageError::Output { path: path.clone(), what: "its folder cannot be written to", source: e.into() }
    })
}

/// Where the image goes: a symbolic link is followed, so that the link itself stays.
fn target(path: &Path) -> Result<PathBuf, ImageError> {
    let bad = |why, help| Err(ImageError::BadOutput { path: path.to_owned(), why, help });
    if path.file_name().is_none() {
        return bad("this names a folder", "give the name of the image file too");
    }
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => bad("this is a folder", "give the name of the image file too"),
        Ok(there) if there.file_type().is_block_device() => {
            bad("this is a device", "build into a file, then copy that to the card with `dd`")
        }
        Ok(there) if !there.is_file() => bad("something other than a file stands there", "choose another name"),
        Ok(_) => std::fs::canonicalize(path).map_err(|source| ImageError::Output {
            path: path.to_owned(),
            what: "cannot be looked up",
            source,
        }),
        Err(_) if path.is_symlink() => bad("this is a symbolic link to nothing", "remove it, or choose another name"),
        Err(_) if !folder_of(path).is_dir() => bad("its folder does not exist", "make the folder first"),
        Err(_) => Ok(path.to_owned()),
    }
}

/// How the names of unfinished images of `path` begin: `.NAME.labimg-`.
fn prefix(path: &Path) -> String {
    format!(".{}.labimg-", path.file_name().unwrap_or_default().to_string_lossy())
}

/// A new file beside `path`, locked by this process.
fn locked_temporary(path: &Path, private: bool) -> io::Result<(File, PathBuf)> {
    loop {
        let (file, temporary) = tempfile::Builder::new()
            .prefix(&prefix(path))
            .suffix(SUFFIX)
            .rand_bytes(6)
            .make_in(folder_of(path), |name| {
                let mode = if private { 0o600 } else { 0o666 };
                OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(name)
            })?
            .keep()
            .map_err(|e| e.error)?;
        // Building also works on file systems without locks; only stale files cannot be recognised there.
        let taken =
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(rustix::io::Errno::WOULDBLOCK);
        // Another run may have removed it as stale before it was locked: then it has no name any more.
        if !taken && file.metadata()?.nlink() > 0 {
            return Ok((file, temporary));
        }
    }
}

/// Removes unfinished images of `path` that no running process holds.
fn remove_stale(path: &Path) -> io::Result<()> {
    let prefix = prefix(path);
    for entry in std::fs::read_dir(folder_of(path))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(&prefix) || !name.ends_with(SUFFIX) || !entry.file_type()?.is_file() {
            continue;
        }
        let Ok(file) = OpenOptions::new().read(true).write(true).open(entry.path()) else { continue };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            match std::fs::remove_file(entry.path()) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
    }
    Ok(())
}

/// True when the disk or this user's quota is full.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Bytes that this user may still write there.
fn available(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use labimg_tree::fault::{Fault, FaultKind};
    use std::os::unix::fs::{FileExt, PermissionsExt};

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.img");
        std::fs::write(&path, "old").unwrap();
        let output = OutputFile::create(&path, 1 << 30, 0, false).unwrap();
        output.file().write_all_at(b"new", 5).unwrap();
        assert_eq!(names(dir.path()).len(), 2);
        drop(output);
        assert_eq!(names(dir.path()), ["a.img"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");

        let output = OutputFile::create(&path, 1 << 30, 0, false).unwrap();
        output.file().write_all_at(b"new", 5).unwrap();
        output.finish().unwrap();
        assert_eq!(names(dir.path()), ["a.img"]);
        let there = std::fs::metadata(&path).unwrap();
        assert_eq!(there.len(), 1 << 30);
        assert!(there.blocks() * 512 < 1 << 20, "sparse");
    }

    #[test]
    fn what_a_killed_run_left_goes_but_not_what_another_run_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.img");
        std::fs::write(dir.path().join(".a.img.labimg-dead00.partial"), "x").unwrap();
        std::fs::write(dir.path().join(".b.img.labimg-dead00.partial"), "another image's").unwrap();
        let first = OutputFile::create(&path, 1, 0, false).unwrap();
        let second = OutputFile::create(&path, 1, 0, false).unwrap();
        assert_eq!(names(dir.path()).len(), 3, "{:?}", names(dir.path()));
        assert!(!dir.path().join(".a.img.labimg-dead00.partial").exists());
        first.finish().unwrap();
        second.finish().unwrap();
        assert_eq!(names(dir.path()), [".b.img.labimg-dead00.partial", "a.img"]);
    }

    #[test]
    fn a_private_image_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.img");
        OutputFile::create(&path, 1, 0, true).unwrap().finish().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_symbolic_link_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let (link, real) = (dir.path().join("link.img"), dir.path().join("real.img"));
        std::fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink("real.img", &link).unwrap();
        OutputFile::create(&link, 7, 0, false).unwrap().finish().unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::metadata(&real).unwrap().len(), 7);
    }

    #[test]
    fn bad_places_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |path: &Path| {
            let error = OutputFile::create(path, 1, 0, false).unwrap_err();
            assert_eq!(error.kind(), FaultKind::Usage);
            format!("{error}\n{}", error.help().unwrap())
        };
        assert!(refused(dir.path()).contains("is a folder\ngive the name"));
        assert!(refused(&dir.path().join("no/a.img")).contains("its folder does not exist\nmake the folder"));
        assert!(refused(Path::new("/dev/null")).contains("other than a file"));
        assert!(refused(Path::new("..")).contains("folder"));
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling")).unwrap();
        assert!(refused(&dir.path().join("dangling")).contains("link to nothing"));
        assert_eq!(names(dir.path()), ["dangling"]);
    }

    #[test]
    fn a_full_disk_is_told_with_what_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.img");
        let early = OutputFile::create(&path, 1, 1 << 60, false).unwrap_err();
        assert_eq!(early.help().as_deref(), Some("make room, or write the image elsewhere"));
        let early = early.to_string();
        assert!(early.contains("the disk is full") && early.contains(&(1_u64 << 60).to_string()), "{early}");
        let output = OutputFile::create(&path, 1, 0, false).unwrap();
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let source = io::Write::write(&mut &full, b"x").unwrap_err();
        let late = output.explain(ImageError::Write { at: 0, source }, 4096);
        assert!(matches!(late, ImageError::DiskFull { needed: 4096, .. }), "{late}");
        let other = output.explain(ImageError::Write { at: 0, source: io::ErrorKind::BrokenPipe.into() }, 1);
        assert!(matches!(other, ImageError::Write { .. }));
    }
}
