//! The image file while it is written: sparse, and put in place only when it is complete.

use std::fs::File;
use std::io;
use std::path::Path;

use super::ImageError;
use labimg_tree::files::{self, NewFile, folder_of};

/// An image file that is being written. Dropped before [`OutputFile::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct OutputFile(NewFile);

impl OutputFile {
    /// Starts an image of `size` bytes that will become `path`. At least `needed` bytes will be written and must be
    /// free. Only its owner can read a `private` one. What a killed run left beside `path` is removed.
    ///
    /// # Errors
    /// When `path` is a folder or device, its folder is missing or cannot be written to, or there is too little space.
    pub fn create(path: &Path, size: u64, needed: u64, private: bool) -> Result<Self, ImageError> {
        let path = files::place(path)?;
        let fail = |what, source| ImageError::Output { path: path.clone(), what, source };
        let mode = if private { 0o600 } else { 0o666 };
        let new = NewFile::beside(&path, mode).map_err(|e| fail("cannot be made", e))?;
        // Only now is the room free that a killed run took.
        let available = available(folder_of(&path)).map_err(|e| fail("the free space cannot be read", e))?;
        if needed > available {
            return Err(ImageError::DiskFull { path, needed, available });
        }
        // A host file system such as FAT may not be able to hold a file this large.
        new.file().set_len(size).map_err(|e| fail("cannot be made that large", e))?;
        Ok(Self(new))
    }

    /// The file to write to.
    #[must_use]
    pub fn file(&self) -> &File {
        self.0.file()
    }

    /// Its final path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Syncs the file to the disk and renames it, replacing an old image.
    ///
    /// # Errors
    /// When the disk fails or is full: then the old image stays.
    pub fn finish(self) -> Result<(), ImageError> {
        let path = self.0.path().to_owned();
        self.0.put().map_err(|source| ImageError::Output { path, what: "cannot be put in place", source })
    }

    /// Tells a full disk from other write errors.
    pub(super) fn explain(&self, error: ImageError, needed: u64) -> ImageError {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(e) = cause {
            if e.downcast_ref::<io::Error>().is_some_and(is_full) {
                let available = available(folder_of(self.path())).unwrap_or(0);
                return ImageError::DiskFull { path: self.path().to_owned(), needed, available };
            }
            cause = e.source();
        }
        error
    }
}

/// Whether an image can be written to `path`: checked before the work starts.
///
/// # Errors
/// As [`OutputFile::create`], except for the space.
pub fn check_output(path: &Path) -> Result<(), ImageError> {
    let path = files::place(path)?;
    let folder = folder_of(&path);
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).map_err(|e| {
        ImageError::Output { path: path.clone(), what: "its folder cannot be written to", source: e.into() }
    })
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
    use labimg_tree::fault::Fault;
    use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

    #[test]
    fn it_is_sparse() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.img");
        let output = OutputFile::create(&path, 1 << 30, 0, false).unwrap();
        output.file().write_all_at(b"new", 5).unwrap();
        output.finish().unwrap();
        let there = std::fs::metadata(&path).unwrap();
        assert_eq!(there.len(), 1 << 30);
        assert!(there.blocks() * 512 < 1 << 20, "sparse");
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
