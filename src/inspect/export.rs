//! The files of an image as a tar archive, with all ext4 metadata that tar can hold.
//!
//! What does not fit into the ustar header goes into extended headers: long names (`path`, `linkpath`; pax(1)) and
//! extended attributes (`SCHILY.xattr.NAME`, as GNU tar, bsdtar and container tools read and write them).

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::files::text;
use labimg_disk::read::ext4::{Ext4Entry, Ext4Volume, FileKind, Special};
use labimg_disk::read::fat::{FatEntry, FatVolume};
use labimg_disk::read::{InspectError, Region, Volume, table};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::interrupt;
use labimg_tree::progress::{Phase, Progress, Unit};

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Size of the name field in the header.
const NAME: usize = 100;

/// Why no complete archive was written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The image cannot be read.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The archive cannot be written.
    #[error("the archive cannot be written")]
    Write(#[source] io::Error),
}

impl Fault for ExportError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Inspect(source) => source.kind(),
            Self::Write(_) => FaultKind::World,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Inspect(source) => source.help(),
            Self::Write(_) => None,
        }
    }
}

impl From<io::Error> for ExportError {
    /// Read errors of the image arrive through the archive's writer.
    fn from(error: io::Error) -> Self {
        match error.downcast::<InspectError>() {
            Ok(error) => Self::Inspect(error),
            Err(error) => Self::Write(error),
        }
    }
}

/// Writes all files of the Linux system in an image, and those of its firmware partition where the system mounts it.
/// Returns their number.
///
/// # Errors
/// [`ExportError`]; what was written until then is not a valid archive.
pub fn export(image: &Path, out: impl Write, reporter: &dyn Progress) -> Result<u64, ExportError> {
    let root = super::root(image)?;
    let phase = reporter.phase("Exporting files", root.usage().0, Unit::Bytes);
    let mut archive = Archive { tar: Builder::new(out), links: HashMap::new(), count: 0, phase };
    root.walk(|entry| archive.ext4(&root, entry))?;
    if let Some((mount, volume)) = firmware(image, &root)? {
        volume.walk(|path, entry| archive.fat(&volume, mount.trim_matches('/'), path, entry))?;
    }
    archive.tar.into_inner()?.flush()?;
    Ok(archive.count)
}

/// The FAT partition that `/etc/fstab` mounts, and its mount point.
fn firmware(image: &Path, root: &Ext4Volume) -> Result<Option<(String, FatVolume)>, InspectError> {
    let fstab = text(root, "/etc/fstab")?.unwrap_or_default();
    let mount = fstab.lines().filter(|l| !l.starts_with('#')).find_map(|line| {
        // fstab(5): device, mount point, type …
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(2) == Some(&"vfat")).then(|| fields.get(1).map(|&place| place.to_owned())).flatten()
    });
    let Some(mount) = mount else { return Ok(None) };
    let whole = Region::whole(image)?;
    for partition in table::read(&whole)?.partitions {
        if let Ok(Volume::Fat(volume)) = whole.part(partition.start, partition.len).and_then(Volume::in_region) {
            return Ok(Some((mount, volume)));
        }
    }
    Ok(None)
}

struct Archive<W: Write> {
    tar: Builder<W>,
    /// Inode → the first of its names.
    links: HashMap<u32, Vec<u8>>,
    count: u64,
    phase: Box<dyn Phase>,
}

impl<W: Write> Archive<W> {
    fn ext4(&mut self, root: &Ext4Volume, entry: &Ext4Entry) -> Result<(), ExportError> {
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
                self.append(header, path, &root.read_link(&entry.path)?, &xattrs, io::empty())
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
            (FileKind::File | FileKind::Special, None) => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(entry.size);
                let content = Content { root, inode: entry.inode, at: 0, buffer: Vec::new(), used: 0 };
                self.append(header, path, b"", &xattrs, content.take(entry.size))?;
                self.phase.inc(entry.size);
                Ok(())
            }
        }
    }

    /// Adds a file of a FAT volume; its mount point is already in the archive.
    fn fat(&mut self, volume: &FatVolume, mount: &str, inside: &str, entry: &FatEntry) -> Result<(), ExportError> {
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
        self.append(header, path.as_bytes(), b"", &[], volume.read(inside)?.as_slice())
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

/// Reads a file's bytes piece by piece.
struct Content<'r> {
    root: &'r Ext4Volume,
    inode: u32,
    at: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl Read for Content<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.used == self.buffer.len() {
            interrupt::check().map_err(InspectError::from).map_err(io::Error::other)?;
            self.buffer.resize(CHUNK, 0);
            let count = self.root.read_at(self.inode, self.at, &mut self.buffer).map_err(io::Error::other)?;
            self.buffer.truncate(count);
            self.used = 0;
            self.at += count as u64;
        }
        let count = out.len().min(self.buffer.len() - self.used);
        out[..count].copy_from_slice(&self.buffer[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::Command;

    use super::*;
    use labimg_testkit::command::succeed;

    /// Metadata that ustar cannot hold, and special files, made by mke2fs and debugfs.
    #[test]
    fn everything_that_ext4_has_comes_through() {
        if labimg_testkit::judges::missing(&["mke2fs", "debugfs"]) {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (files, image) = (dir.path().join("files"), dir.path().join("ext4.img"));
        let (long, target) = (format!("{}/{}", "d".repeat(120), "f".repeat(120)), "t".repeat(150));
        std::fs::create_dir_all(files.join("etc")).unwrap();
        std::fs::write(files.join("etc/os-release"), "NAME=Sample\n").unwrap();
        std::fs::create_dir(files.join("d".repeat(120))).unwrap();
        std::fs::write(files.join(&long), vec![7; (CHUNK * 5) / 2]).unwrap();
        std::fs::hard_link(files.join(&long), files.join("second")).unwrap();
        std::os::unix::fs::symlink(&target, files.join("link")).unwrap();
        succeed(Command::new("mke2fs").args(["-q", "-t", "ext4", "-F", "-d"]).arg(&files).arg(&image).arg("32M"));
        let commands =
            "mknod small c 5 1\nmknod block b 200 70\nmknod pipe p\nea_set second security.capability value\n";
        let script = dir.path().join("commands");
        std::fs::write(&script, commands).unwrap();
        succeed(Command::new("debugfs").args(["-w", "-f"]).arg(&script).arg(&image));

        let mut bytes = Vec::new();
        let count = export(&image, &mut bytes, &labimg_tree::progress::Silent).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut found = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let kind = entry.header().entry_type();
            let link = entry.link_name_bytes().map(|l| String::from_utf8_lossy(&l).into_owned());
            let extended = entry.pax_extensions().unwrap().map_or_else(Vec::new, |all| {
                all.map(|e| e.unwrap()).map(|e| (e.key().unwrap().to_owned(), e.value_bytes().to_vec())).collect()
            });
            // Empty except for devices.
            let number = |field: io::Result<Option<u32>>| field.ok().flatten();
            let header = entry.header();
            let device = (number(header.device_major()), number(header.device_minor()));
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            found.insert(path, (kind, link, extended, device, content));
        }
        assert_eq!(found.len() as u64, count);
        assert_eq!((found["small"].0, found["small"].3), (EntryType::Char, (Some(5), Some(1))));
        assert_eq!((found["block"].0, found["block"].3), (EntryType::Block, (Some(200), Some(70))));
        assert_eq!(found["pipe"].0, EntryType::Fifo);
        assert_eq!(found["link"].1.as_deref(), Some(target.as_str()));
        // Of its two names, the first one has the content.
        let (first, other) =
            if found["second"].0 == EntryType::Link { (&long[..], "second") } else { ("second", &long[..]) };
        assert_eq!((found[other].0, found[other].1.as_deref()), (EntryType::Link, Some(first)));
        assert!(found[first].4 == vec![7; (CHUNK * 5) / 2]);
        let capability = ("SCHILY.xattr.security.capability".to_owned(), b"value".to_vec());
        assert!(found[first].2.contains(&capability), "{:?}", found[first].2);
    }
}
