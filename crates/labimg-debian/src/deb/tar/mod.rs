//! Tar archives, headers only: POSIX ustar with pax extended headers (IEEE 1003.1, `pax`), the GNU extensions for long
//! names and large numbers (GNU tar manual, "Basic Tar Format"), and `SCHILY.xattr.*` records. Contents are given by
//! their offset.

mod header;
mod pax;

use std::collections::BTreeMap;
use std::io;

use header::{Header, parse};
use pax::Overrides;

use labimg_tree::fault::{Fault, FaultKind};

/// Size of a tar block in bytes.
pub const BLOCK: usize = 512;

/// Largest long name or extended headers of one entry, in bytes: more than this is an attack.
const MOST_EXTRA: u64 = 1 << 20;

/// Most headers in an archive: the largest Debian packages have some 100,000 entries.
const MOST_HEADERS: usize = 2_000_000;

/// What kind of thing an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file: where its content begins in the archive, and its size, both in bytes.
    File {
        /// First byte of the content.
        offset: u64,
        /// Size of the content.
        size: u64,
    },
    /// Another name for the file with this path.
    HardLink(Vec<u8>),
    /// A symbolic link with its target.
    Symlink(Vec<u8>),
    /// A character device: major and minor number.
    Char(u32, u32),
    /// A block device: major and minor number.
    Block(u32, u32),
    /// A folder.
    Dir,
    /// A named pipe.
    Fifo,
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// Its path as in the archive: unchecked, often with a leading `./` and a trailing `/`.
    pub path: Vec<u8>,
    /// Kind, and where the content is.
    pub kind: EntryKind,
    /// Permission bits, including setuid and so on: `0o7777` at most.
    pub mode: u16,
    /// Uid of the owner.
    pub uid: u32,
    /// Gid of the group.
    pub gid: u32,
    /// The owner's name; empty when the archive has none.
    pub user: String,
    /// The group's name; empty when the archive has none.
    pub group: String,
    /// Time of last change, seconds since 1970.
    pub mtime: i64,
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// Reading failed, or the compressed data are damaged.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The archive itself is bad.
    #[error("at byte {at} of the tar: {what}")]
    Bad {
        /// Offset of the bad header, in bytes.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl Fault for TarError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Read(source) => Fault::kind(source),
            Self::Bad { .. } => FaultKind::World,
        }
    }
}

/// A source of an archive.
pub trait Source {
    /// Fills `buffer` with the next bytes of headers.
    ///
    /// # Errors
    /// A read error or the end of the archive.
    fn header_bytes(&mut self, buffer: &mut [u8]) -> io::Result<()>;

    /// Skips `len` bytes of content, including padding.
    ///
    /// # Errors
    /// A read error or the end of the archive.
    fn skip(&mut self, len: u64) -> io::Result<()>;
}

/// An archive in memory, contents included.
#[derive(Debug)]
pub struct Whole<'a>(pub &'a [u8]);

/// An archive in memory without the contents.
#[derive(Debug)]
pub struct HeadersOnly<'a>(pub &'a [u8]);

fn take<'a>(rest: &mut &'a [u8], len: usize) -> io::Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len).ok_or(io::ErrorKind::UnexpectedEof)?;
    *rest = left;
    Ok(taken)
}

impl Source for Whole<'_> {
    fn header_bytes(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        buffer.copy_from_slice(take(&mut self.0, buffer.len())?);
        Ok(())
    }

    fn skip(&mut self, len: u64) -> io::Result<()> {
        take(&mut self.0, usize::try_from(len).map_err(io::Error::other)?).map(drop)
    }
}

impl Source for HeadersOnly<'_> {
    fn header_bytes(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        buffer.copy_from_slice(take(&mut self.0, buffer.len())?);
        Ok(())
    }

    fn skip(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Iterates over the entries of an archive; ends after an error.
#[derive(Debug)]
pub struct Entries<S> {
    source: S,
    at: u64,
    count: usize,
    global: Overrides,
    over: bool,
}

impl<S: Source> Entries<S> {
    /// Starts at the first header.
    pub fn new(source: S) -> Self {
        Self { source, at: 0, count: 0, global: Overrides::default(), over: false }
    }

    /// Returns the source, positioned after the end mark.
    pub fn into_source(self) -> S {
        self.source
    }

    fn block(&mut self) -> Result<[u8; BLOCK], TarError> {
        let mut block = [0; BLOCK];
        self.source.header_bytes(&mut block).map_err(|e| self.ends_early(e))?;
        self.at += BLOCK as u64;
        Ok(block)
    }

    fn ends_early(&self, e: io::Error) -> TarError {
        if e.kind() == io::ErrorKind::UnexpectedEof {
            TarError::Bad { at: self.at, what: "the archive ends here, without its end mark: it is cut off" }
        } else {
            TarError::Read(e)
        }
    }

    fn payload(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > MOST_EXTRA {
            return Err(TarError::Bad { at: self.at, what: "a name or extended header of more than 1 MiB" });
        }
        let padded = size.next_multiple_of(BLOCK as u64);
        let mut bytes = vec![0; padded as usize];
        self.source.header_bytes(&mut bytes).map_err(|e| self.ends_early(e))?;
        self.at += padded;
        bytes.truncate(size as usize);
        Ok(bytes)
    }

    fn next_entry(&mut self) -> Result<Option<TarEntry>, TarError> {
        let mut own = Overrides::default();
        loop {
            let at = self.at;
            let bad = |what| TarError::Bad { at, what };
            let block = self.block()?;
            if block.iter().all(|&b| b == 0) {
                return Ok(None);
            }
            // Extended headers count as well: without an entry after them they could continue endlessly.
            self.count += 1;
            if self.count > MOST_HEADERS {
                return Err(bad("more than 2,000,000 headers"));
            }
            let header = parse(&block).map_err(bad)?;
            match header.kind {
                b'L' => own.path = Some(until_nul(self.payload(header.size)?)),
                b'K' => own.link = Some(until_nul(self.payload(header.size)?)),
                b'x' | b'X' => own.read(&self.payload(header.size)?).map_err(bad)?,
                b'g' => {
                    let payload = self.payload(header.size)?;
                    self.global.read(&payload).map_err(bad)?;
                }
                _ => {
                    return self.entry(header, own, at).map(Some);
                }
            }
        }
    }

    fn entry(&mut self, header: Header, own: Overrides, at: u64) -> Result<TarEntry, TarError> {
        let bad = |what| TarError::Bad { at, what };
        let over = own.over(&self.global);
        let path = over.path.unwrap_or(header.path);
        if path.is_empty() {
            return Err(bad("an entry without a name"));
        }
        let link = over.link.unwrap_or(header.link);
        let kind = match header.kind {
            // Before POSIX, a folder was a file whose name ends with a slash.
            b'0' | 0 | b'7' if path.ends_with(b"/") => EntryKind::Dir,
            b'0' | 0 | b'7' => {
                let size = over.size.unwrap_or(header.size);
                let (offset, padded) = (self.at, size.checked_next_multiple_of(BLOCK as u64));
                let end = padded.and_then(|p| Some((p, offset.checked_add(p).filter(|&e| i64::try_from(e).is_ok())?)));
                let (padded, end) = end.ok_or_else(|| bad("a file's size is out of range"))?;
                self.source.skip(padded).map_err(|e| self.ends_early(e))?;
                self.at = end;
                EntryKind::File { offset, size }
            }
            b'1' if link.is_empty() => return Err(bad("a hard link without a target")),
            b'1' => EntryKind::HardLink(link),
            b'2' if link.is_empty() => return Err(bad("a symbolic link without a target")),
            b'2' => EntryKind::Symlink(link),
            b'3' => EntryKind::Char(header.device.0, header.device.1),
            b'4' => EntryKind::Block(header.device.0, header.device.1),
            b'5' => EntryKind::Dir,
            b'6' => EntryKind::Fifo,
            b'S' => return Err(bad("a sparse file, which this program does not read")),
            _ => return Err(bad("an entry of unknown type")),
        };
        Ok(TarEntry {
            path,
            kind,
            mode: header.mode,
            uid: over.uid.unwrap_or(header.uid),
            gid: over.gid.unwrap_or(header.gid),
            user: over.user.unwrap_or(header.user),
            group: over.group.unwrap_or(header.group),
            mtime: over.mtime.unwrap_or(header.mtime),
            xattrs: over.xattrs,
        })
    }
}

impl<S: Source> Iterator for Entries<S> {
    type Item = Result<TarEntry, TarError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.next_entry().transpose();
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|&b| b == 0) {
        bytes.truncate(end);
    }
    bytes
}

#[cfg(test)]
mod tests;
