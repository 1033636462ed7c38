//! The disk that QEMU writes to: a sparse copy of the image, so that the image itself never changes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use labimg_tree::files::NewFile;
use labimg_tree::interrupt;

/// Copies the data of `image` into the new file `to`, keeping its holes, and makes it `size` bytes long (at least the
/// image's size).
///
/// # Errors
/// When reading or writing fails, or the user interrupts.
fn copy_sparse(image: &Path, to: &File, size: u64) -> io::Result<()> {
    let from = fs_err::File::open(image)?.into_parts().0;
    let len = from.metadata()?.len();
    to.set_len(size.max(len))?;
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while let Some((start, end)) = next_data(&from, at, len)? {
        at = start;
        while at < end {
            interrupt::check()?;
            let count = buffer.len().min((end - at) as usize);
            from.read_exact_at(&mut buffer[..count], at)?;
            to.write_all_at(&buffer[..count], at)?;
            at += count as u64;
        }
    }
    Ok(())
}

/// The next range of bytes that is not a hole.
fn next_data(file: &File, from: u64, len: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match rustix::fs::seek(file, SeekFrom::Data(from)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // A file system without holes: everything is data.
        Err(Errno::INVAL) => return Ok((from < len).then_some((from, len))),
        Err(e) => return Err(e.into()),
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap_or(len);
    Ok((start < len).then_some((start, end.min(len))))
}

/// Rounds `size` up to a power of two if QEMU's SD controllers need that.
#[must_use]
pub fn padded(size: u64, to_power_of_two: bool) -> u64 {
    if to_power_of_two { size.next_power_of_two() } else { size.next_multiple_of(1 << 20) }
}

/// The copy; removed with its folder when dropped, unless the user named it.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Copies `image` into `folder`, or uses `kept` (made from the image when missing), with `size` bytes.
    ///
    /// # Errors
    /// When copying fails.
    pub fn prepare(image: &Path, folder: &Path, kept: Option<&Path>, size: u64) -> io::Result<Self> {
        // An image may hold keys, so only the owner may read the copy, too.
        const MODE: u32 = 0o600;
        let path = kept.map_or_else(|| folder.join("disk.img"), Path::to_path_buf);
        match kept {
            Some(path) if path.exists() => {}
            Some(path) => {
                let new = NewFile::beside(path, MODE)?;
                copy_sparse(image, new.file(), size)?;
                new.put()?;
            }
            None => {
                let file = fs_err::OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path)?;
                copy_sparse(image, file.file(), size)?;
            }
        }
        Ok(Self { path })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_copy_keeps_data_and_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (image, copy) = (folder.path().join("a"), folder.path().join("b"));
        let file = File::create(&image).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(b"head", 0).unwrap();
        file.write_all_at(b"tail", (64 << 20) - 4).unwrap();
        Disk::prepare(&image, folder.path(), Some(&copy), padded(65 << 20, true)).unwrap();
        let alone = Disk::prepare(&image, folder.path(), None, 0).unwrap();
        assert_eq!(alone.path().metadata().unwrap().mode() & 0o777, 0o600);
        // A kept disk is used as it is.
        Disk::prepare(Path::new("/nowhere"), folder.path(), Some(&copy), 0).unwrap();
        let copied = File::open(&copy).unwrap();
        let mut word = [0; 4];
        copied.read_exact_at(&mut word, (64 << 20) - 4).unwrap();
        assert_eq!(&word, b"tail");
        assert_eq!(copied.metadata().unwrap().len(), 128 << 20);
        assert!(copied.metadata().unwrap().blocks() * 512 < 4 << 20, "holes were filled");
        assert_eq!(copied.metadata().unwrap().mode() & 0o777, 0o600, "others may read what may hold keys");
    }
}
