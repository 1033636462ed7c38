//! Members of the archive.
//!
//! What does not fit into the ustar header goes into extended headers: long names (`path`, `linkpath`; pax(1)) and
//! extended attributes (`SCHILY.xattr.NAME`, as GNU tar, bsdtar and container tools read and write them).

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::ops::Range;

use tar::{Builder, EntryType, Header};

use super::{ExportError, sparse};
use labimg_disk::read::InspectError;
use labimg_disk::read::ext4::{Ext4Entry, Ext4Volume, FileKind, Special};
use labimg_disk::read::fat::{FatEntry, FatVolume};
use labimg_tree::interrupt;
use labimg_tree::progress::Phase;

/// Bytes read at once.
pub(super) const CHUNK: usize = 1 << 20;

/// Size of the name field in the header.
const NAME: usize = 100;

/// A file whose holes are at least this large together is written without them. Smaller holes are written as zeros:
/// some programs that unpack know no holes.
const LARGE_HOLES: u64 = 1 << 20;

/// What is wrong with an image whose files are larger than itself.
pub(super) const TOO_MUCH: &str = "its files together have more bytes than it";

/// An archive of the files in `root`.
pub(super) struct Archive<'r, W: Write> {
    tar: Builder<W>,
    root: &'r Ext4Volume,
    /// Inode → the first of its names.
    links: HashMap<u32, Vec<u8>>,
    count: u64,
    /// Bytes of data and of holes that may still be written: no more than the file system has.
    data_left: u64,
    holes_left: u64,
    phase: Box<dyn Phase>,
}

impl<'r, W: Write> Archive<'r, W> {
    pub(super) fn new(out: W, root: &'r Ext4Volume, phase: Box<dyn Phase>) -> Self {
        let (used, free) = root.usage();
        let size = used.saturating_add(free);
        let (tar, links) = (Builder::new(out), HashMap::new());
        Self { tar, root, links, count: 0, data_left: size, holes_left: size, phase }
    }

    /// Ends the archive; returns the number of its members.
    pub(super) fn finish(self) -> Result<u64, ExportError> {
        self.tar.into_inner()?.flush()?;
        Ok(self.count)
    }

    pub(super) fn ext4(&mut self, entry: &Ext4Entry) -> Result<(), ExportError> {
        let root = self.root;
        let path = entry.raw_path.strip_prefix(b"/").unwrap_or(&entry.raw_path);
        let mut header = Header::new_gnu();
        header.set_mode(u32::from(entry.mode));
        header.set_uid(entry.uid.into());
        header.set_gid(entry.gid.into());
        header.set_mtime(u64::try_from(entry.mtime).unwrap_or(0));
        header.set_size(0);
        if entry.kind != FileKind::Dir && entry.links > 1 {
            if let Some(first) = self.links.get(&entry.inode) {
                header.set_entry_type(EntryType::Link);
                let first = first.clone();
                return self.append(header, path, &first, &[], io::empty());
            }
            self.links.insert(entry.inode, path.to_vec());
        }
        let xattrs: Vec<(String, Vec<u8>)> = root
            .xattrs(entry.inode)?
            .into_iter()
            .map(|(name, value)| (format!("SCHILY.xattr.{name}"), value))
            .collect();
        match (entry.kind, entry.special) {
            (FileKind::Dir, _) => {
                header.set_entry_type(EntryType::Directory);
                self.append(header, &[path, b"/"].concat(), b"", &xattrs, io::empty())
            }
            (FileKind::Symlink, _) => {
                header.set_entry_type(EntryType::Symlink);
                self.append(header, path, &root.target(entry)?, &xattrs, io::empty())
            }
            (_, Some(special)) => {
                let (kind, major, minor) = match special {
                    Special::Char(major, minor) => (EntryType::Char, major, minor),
                    Special::Block(major, minor) => (EntryType::Block, major, minor),
                    Special::Fifo => (EntryType::Fifo, 0, 0),
                    // tar has no sockets; services create their own again.
                    Special::Socket => return Ok(()),
                };
                header.set_entry_type(kind);
                header.set_device_major(major)?;
                header.set_device_minor(minor)?;
                self.append(header, path, b"", &xattrs, io::empty())
            }
            (FileKind::File | FileKind::Special, None) => self.file(header, path, entry, &xattrs),
        }
    }

    fn file(
        &mut self,
        mut header: Header,
        path: &[u8],
        entry: &Ext4Entry,
        xattrs: &[(String, Vec<u8>)],
    ) -> Result<(), ExportError> {
        let runs = self.root.runs(entry.inode)?;
        let data: u64 = runs.iter().map(|run| run.end - run.start).sum();
        let holes = entry.size.saturating_sub(data);
        // Two inodes never share a block.
        self.data_left = self.data_left.checked_sub(data).ok_or_else(|| self.root.damage(TOO_MUCH))?;
        let whole = self.holes_left.checked_sub(holes).filter(|_| holes < LARGE_HOLES);
        let (map, runs) = if let Some(left) = whole {
            self.holes_left = left;
            header.set_entry_type(EntryType::Regular);
            header.set_size(entry.size);
            (Vec::new(), std::iter::once(0..entry.size).collect())
        } else {
            (sparse::describe(&mut header, entry.size, &runs), runs)
        };
        let content = Content::new(self.root, entry.inode, runs);
        self.append(header, path, b"", xattrs, map.as_slice().chain(content))?;
        self.phase.inc(data);
        Ok(())
    }

    /// Adds a file of a FAT volume; its mount point is already in the archive.
    pub(super) fn fat(
        &mut self,
        volume: &FatVolume,
        mount: &str,
        inside: &str,
        entry: &FatEntry,
    ) -> Result<(), ExportError> {
        let path = format!("{mount}{inside}");
        let mut header = Header::new_gnu();
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(u64::try_from(entry.mtime).unwrap_or(0));
        header.set_size(entry.size);
        if entry.is_dir {
            header.set_entry_type(EntryType::Directory);
            return self.append(header, format!("{path}/").as_bytes(), b"", &[], io::empty());
        }
        header.set_entry_type(EntryType::Regular);
        self.append(header, path.as_bytes(), b"", &[], volume.read_entry(inside, entry)?.as_slice())
    }

    fn append(
        &mut self,
        mut header: Header,
        path: &[u8],
        target: &[u8],
        xattrs: &[(String, Vec<u8>)],
        content: impl Read,
    ) -> Result<(), ExportError> {
        let mut extended: Vec<(&str, &[u8])> =
            xattrs.iter().map(|(key, value)| (key.as_str(), value.as_slice())).collect();
        let fields = header.as_old_mut();
        for (key, bytes, field) in [("path", path, &mut fields.name), ("linkpath", target, &mut fields.linkname)] {
            if bytes.len() > NAME {
                extended.push((key, bytes));
            }
            let fits = bytes.len().min(NAME);
            field[..fits].copy_from_slice(&bytes[..fits]);
        }
        if !extended.is_empty() {
            self.tar.append_pax_extensions(extended)?;
        }
        header.set_cksum();
        self.tar.append(&header, content)?;
        self.count += 1;
        Ok(())
    }
}

/// Reads some ranges of a file, one after the other, piece by piece.
struct Content<'r> {
    root: &'r Ext4Volume,
    inode: u32,
    /// The ranges after this one.
    runs: std::vec::IntoIter<Range<u64>>,
    /// What is still to be read of this one.
    run: Range<u64>,
    buffer: Vec<u8>,
    used: usize,
}

impl<'r> Content<'r> {
    fn new(root: &'r Ext4Volume, inode: u32, runs: Vec<Range<u64>>) -> Self {
        Self { root, inode, runs: runs.into_iter(), run: 0..0, buffer: Vec::new(), used: 0 }
    }

    /// Reads the next piece; none at the end.
    fn refill(&mut self) -> Result<(), InspectError> {
        interrupt::check()?;
        while self.run.is_empty() {
            let Some(run) = self.runs.next() else { return Ok(()) };
            self.run = run;
        }
        let wanted = (self.run.end - self.run.start).min(CHUNK as u64);
        self.buffer.resize(wanted as usize, 0);
        let count = self.root.read_at(self.inode, self.run.start, &mut self.buffer)? as u64;
        if count != wanted {
            return Err(self.root.damage(format!("inode {}: it ends before its size", self.inode)));
        }
        (self.run.start, self.used) = (self.run.start + count, 0);
        Ok(())
    }
}

impl Read for Content<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.used == self.buffer.len() {
            self.buffer.clear();
            self.used = 0;
            self.refill().map_err(io::Error::other)?;
        }
        let count = out.len().min(self.buffer.len() - self.used);
        out[..count].copy_from_slice(&self.buffer[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}
