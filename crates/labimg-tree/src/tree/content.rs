//! What a file holds: a reference into a blob, or a few bytes in memory; never a copy of large data.

use std::fmt;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open, immutable file that contents refer to. Clones share one descriptor.
#[derive(Clone)]
pub struct Blob(Arc<BlobFile>);

struct BlobFile {
    file: std::fs::File,
    path: PathBuf,
    len: u64,
}

impl Blob {
    /// Opens `path` for reading. The file must not change while the blob lives.
    ///
    /// # Errors
    /// When the file cannot be opened or its size read; the message names the path.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let file = fs_err::File::open(&path)?.into_parts().0;
        Self::of(file, path)
    }

    /// An open file as a blob; `path` is for messages. The file must not change while the blob lives.
    ///
    /// # Errors
    /// When its size cannot be read.
    pub fn of(file: std::fs::File, path: impl Into<PathBuf>) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self(Arc::new(BlobFile { file, path: path.into(), len })))
    }

    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len
    }

    /// True when the file is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Its path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Fills `buffer` from `offset` (bytes); safe to call from several threads.
    ///
    /// # Errors
    /// A read error, or the end of the file before the buffer is full.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0
            .file
            .read_exact_at(buffer, offset)
            .map_err(|e| io::Error::new(e.kind(), format!("reading {} at byte {offset}: {e}", self.0.path.display())))
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({})", self.0.path.display())
    }
}

/// The bytes of a regular file.
#[derive(Debug, Clone)]
pub enum Content {
    /// Held in memory: small, made by labimg.
    Bytes(Arc<[u8]>),
    /// `len` bytes of `blob` from `offset`.
    Range {
        /// The blob that holds it.
        blob: Blob,
        /// First byte in the blob.
        offset: u64,
        /// Size in bytes.
        len: u64,
    },
    /// `len` bytes, zero except for the pieces: (offset in the file, content), ascending, without overlap.
    Sparse {
        /// Size in bytes, holes included.
        len: u64,
        /// The data between the holes.
        pieces: Arc<[(u64, Content)]>,
    },
}

impl Content {
    /// A content of no bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::Bytes(Arc::from([]))
    }

    /// A whole blob.
    #[must_use]
    pub fn whole(blob: Blob) -> Self {
        let len = blob.len();
        Self::Range { blob, offset: 0, len }
    }

    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Range { len, .. } | Self::Sparse { len, .. } => *len,
        }
    }

    /// True when the length is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buffer` from byte `offset` of the content; holes read as zeros.
    ///
    /// # Errors
    /// A read error of the blob, or a request past the end.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|&end| end <= self.len());
        let Some(end) = end else {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read past the end of a file's content"));
        };
        match self {
            Self::Bytes(bytes) => {
                // In bounds: `end` was checked against the length above.
                let start = usize::try_from(offset).map_err(io::Error::other)?;
                buffer.copy_from_slice(&bytes[start..start + buffer.len()]);
            }
            Self::Range { blob, offset: start, .. } => blob.read_exact_at(buffer, start + offset)?,
            Self::Sparse { pieces, .. } => {
                buffer.fill(0);
                for (at, piece) in pieces.iter() {
                    let (from, to) = (offset.max(*at), end.min(at + piece.len()));
                    if from < to {
                        let range = (from - offset) as usize..(to - offset) as usize;
                        piece.read_exact_at(&mut buffer[range], from - at)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads all of it into memory: for the small files that configuration edits.
    ///
    /// # Errors
    /// A read error of the blob.
    pub fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut all = vec![0; usize::try_from(self.len()).map_err(io::Error::other)?];
        self.read_exact_at(&mut all, 0)?;
        Ok(all)
    }
}

impl<T: Into<Vec<u8>>> From<T> for Content {
    fn from(bytes: T) -> Self {
        Self::Bytes(bytes.into().into())
    }
}

/// Reads a content from front to back.
#[derive(Debug)]
pub struct ContentReader<'a> {
    content: &'a Content,
    at: u64,
}

impl<'a> ContentReader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(content: &'a Content) -> Self {
        Self { content, at: 0 }
    }
}

impl io::Read for ContentReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.content.len() - self.at;
        let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.content.read_exact_at(&mut buffer[..count], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn sparse_reads_holes_as_zeros() {
        let content =
            Content::Sparse { len: 10, pieces: Arc::from([(2, Content::from("ab")), (6, Content::from("cd"))]) };
        assert_eq!(content.to_vec().unwrap(), b"\0\0ab\0\0cd\0\0");
        let mut part = [0xff; 4];
        content.read_exact_at(&mut part, 3).unwrap();
        assert_eq!(&part, b"b\0\0c");
        assert!(content.read_exact_at(&mut part, 7).is_err());
    }

    #[test]
    fn a_range_is_read_from_its_blob() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"0123456789").unwrap();
        let blob = Blob::open(file.path()).unwrap();
        let content = Content::Range { blob, offset: 3, len: 4 };
        let mut text = String::new();
        ContentReader::new(&content).read_to_string(&mut text).unwrap();
        assert_eq!(text, "3456");
    }
}
