//! A byte range of an open image file: the disk, as each file system reader sees it.

use std::fs::File;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::InspectError;

/// `len` bytes of a file or device from `offset`. Clones share one descriptor.
#[derive(Debug, Clone)]
pub struct Region {
    file: Arc<File>,
    path: PathBuf,
    offset: u64,
    len: u64,
}

impl Region {
    /// The whole of an image file or block device.
    ///
    /// # Errors
    /// When it cannot be opened, or is neither a file nor a block device.
    pub fn whole(path: &Path) -> Result<Self, InspectError> {
        let fail = |source| InspectError::Open { path: path.to_owned(), source };
        // Checked before opening: opening a FIFO waits for a writer.
        let kind = std::fs::metadata(path).map_err(fail)?.file_type();
        if kind.is_dir() {
            return Err(fail(std::io::ErrorKind::IsADirectory.into()));
        }
        if !kind.is_file() && !kind.is_block_device() {
            return Err(fail(std::io::Error::other("it is neither a file nor a block device")));
        }
        let mut file = File::open(path).map_err(fail)?;
        // A block device's metadata says 0. Seeking to the end gives its size.
        let len = std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map_err(fail)?;
        Ok(Self { file: Arc::new(file), path: path.to_owned(), offset: 0, len })
    }

    /// `len` bytes from byte `offset` of this region.
    ///
    /// # Errors
    /// When the range reaches past the end: the image is truncated.
    pub fn part(&self, offset: u64, len: u64) -> Result<Self, InspectError> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(self.damaged(format!(
                "bytes {offset} to {} are wanted, but there are only {}: the image is truncated or its partition \
                 table is wrong",
                offset.saturating_add(len),
                self.len
            )));
        }
        Ok(Self { offset: self.offset + offset, len, ..self.clone() })
    }

    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True when its size is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buffer` from byte `at` of the region.
    ///
    /// # Errors
    /// A read error or a read past the end.
    pub fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> Result<(), InspectError> {
        if at.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len) {
            return Err(self.damaged(format!("byte {at} lies past its end at {}", self.len)));
        }
        self.file.read_exact_at(buffer, self.offset + at).map_err(|source| InspectError::Read {
            path: self.path.clone(),
            at: self.offset + at,
            source,
        })
    }

    /// `len` bytes from byte `at` of the region.
    ///
    /// # Errors
    /// As [`Region::read_exact_at`].
    pub fn bytes(&self, at: u64, len: u64) -> Result<Vec<u8>, InspectError> {
        // Checked before the allocation, so that a wrong length in a damaged image cannot exhaust the memory.
        self.part(at, len)?;
        let mut buffer = vec![0; len as usize];
        self.read_exact_at(&mut buffer, at)?;
        Ok(buffer)
    }

    /// An error about damaged data in this region.
    pub(super) fn damaged(&self, why: impl Into<String>) -> InspectError {
        InspectError::Damaged { path: self.path.clone(), offset: self.offset, why: why.into(), source: None }
    }

    /// As [`Region::damaged`], with the library's message.
    pub(super) fn damaged_by(&self, why: impl Into<String>, words: String) -> InspectError {
        InspectError::Damaged {
            path: self.path.clone(),
            offset: self.offset,
            why: why.into(),
            source: Some(words.into()),
        }
    }

    /// An error about a file system of another kind.
    pub(super) fn unknown(&self, kind: Option<&'static str>) -> InspectError {
        InspectError::Unknown { path: self.path.clone(), offset: self.offset, kind }
    }
}

/// The little-endian 16-bit number at `at`; 0 past the end.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

/// The little-endian 32-bit number at `at`; 0 past the end.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// The little-endian 64-bit number at `at`; 0 past the end.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use labimg_tree::fault::causes;

    #[test]
    fn only_files_and_block_devices_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [fifo.as_path(), Path::new("/dev/zero")] {
            let error = Region::whole(path).unwrap_err();
            assert_eq!(error.to_string(), format!("{}: cannot be opened", path.display()));
            assert_eq!(causes(&error), ["it is neither a file nor a block device"]);
        }
        let file = dir.path().join("file");
        std::fs::write(&file, "four").unwrap();
        assert_eq!(Region::whole(&file).unwrap().len(), 4);
    }
}
