//! Reads ext2, ext3 and ext4 file systems through the `rust-fs-ext4` crate, also with a journal that has not been replayed.

mod folders;
mod runs;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use fs_ext4::block_io::BlockDevice;
use fs_ext4::features::{Compat, Incompat, RoCompat};
use fs_ext4::inode::Inode;
use fs_ext4::{Error, Filesystem};
use uuid::Uuid;

use super::InspectError;
use super::region::{Region, u16_at};
use crate::format::ext4::inode::EXT4_ROOT_INO;
use crate::format::ext4::superblock::{EXT4_SUPER_MAGIC, OFFSET, SIZE, s_magic};
use labimg_tree::fault::whole;
use labimg_tree::interrupt;

/// Largest file that is read into memory. Kernels and databases are smaller.
const MOST_READ: u64 = 1 << 30;
/// The kernel's own limit on links in one path (`path_resolution(7)`).
const MOST_LINKS: u32 = 40;

/// An opened ext4 file system.
pub struct Ext4Volume {
    region: Region,
    fs: Filesystem,
}

/// What kind of file an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A folder.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A device, pipe or socket.
    Special,
}

/// One file with its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ext4Entry {
    /// Path below the root of the file system, with a leading `/`, for people: bytes that are not UTF-8 are shown as
    /// `\xff`.
    pub path: String,
    /// The path as stored.
    pub raw_path: Vec<u8>,
    /// Inode number.
    pub inode: u32,
    /// What it is.
    pub kind: FileKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Time of last change in seconds since 1970.
    pub mtime: i64,
    /// Number of names (hard links).
    pub links: u16,
    /// For a special file: its kind, and for a device its numbers.
    pub special: Option<Special>,
}

/// What a special file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// Character device: major and minor number.
    Char(u32, u32),
    /// Block device: major and minor number.
    Block(u32, u32),
    /// Named pipe.
    Fifo,
    /// Socket.
    Socket,
}

/// True when a region holds an ext2, ext3 or ext4 superblock.
pub(super) fn is_ext4(region: &Region) -> Result<bool, InspectError> {
    let fits = region.len() >= OFFSET + SIZE as u64;
    Ok(fits && u16_at(&region.bytes(OFFSET + s_magic as u64, 2)?, 0) == EXT4_SUPER_MAGIC)
}

impl BlockDevice for Region {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> fs_ext4::Result<()> {
        self.read_exact_at(buffer, offset).map_err(|e| Error::Io(std::io::Error::other(e)))
    }

    fn size_bytes(&self) -> u64 {
        self.len()
    }
}

impl Ext4Volume {
    /// Opens the file system that fills `region`.
    ///
    /// # Errors
    /// When the image cannot be read, or the file system is not ext4, is damaged, or has unknown features.
    pub fn in_region(region: Region) -> Result<Self, InspectError> {
        match Filesystem::mount(Arc::new(region.clone())) {
            Ok(fs) => Ok(Self { region, fs }),
            Err(e) => Err(region.damaged_by("this ext4 file system cannot be read", said(&e))),
        }
    }

    /// The label; empty when there is none.
    #[must_use]
    pub fn label(&self) -> String {
        self.fs.sb.volume_name.trim_end_matches('\0').to_owned()
    }

    /// The file system's UUID.
    #[must_use]
    pub fn uuid(&self) -> String {
        Uuid::from_bytes(self.fs.sb.uuid).hyphenated().to_string()
    }

    /// Bytes in use and free.
    #[must_use]
    pub fn usage(&self) -> (u64, u64) {
        let (sb, block) = (&self.fs.sb, u64::from(self.fs.sb.block_size()));
        let used = sb.blocks_count.saturating_sub(sb.free_blocks_count);
        (used.saturating_mul(block), sb.free_blocks_count.saturating_mul(block))
    }

    /// Inodes in use and free.
    #[must_use]
    pub fn inodes(&self) -> (u32, u32) {
        let sb = &self.fs.sb;
        (sb.inodes_count.saturating_sub(sb.free_inodes_count), sb.free_inodes_count)
    }

    /// Names of the features, as `dumpe2fs` shows them.
    #[must_use]
    pub fn features(&self) -> Vec<String> {
        let sb = &self.fs.sb;
        let compat = Compat::from_bits_truncate(sb.feature_compat).iter_names().map(|(name, _)| name);
        let incompat = Incompat::from_bits_truncate(sb.feature_incompat).iter_names().map(|(name, _)| name);
        let read_only = RoCompat::from_bits_truncate(sb.feature_ro_compat).iter_names().map(|(name, _)| name);
        let shown = |name: &str| match name {
            "BIT64" => "64bit".to_owned(),
            "EXTENTS" => "extent".to_owned(),
            "RECOVER" => "needs_recovery".to_owned(),
            "CSUM_SEED" => "metadata_csum_seed".to_owned(),
            "GDT_CSUM" => "uninit_bg".to_owned(),
            name => name.to_ascii_lowercase(),
        };
        compat.chain(incompat).chain(read_only).map(shown).collect()
    }

    /// The file at a path. Symbolic links on the way are followed, the last one only when `follow` is true.
    ///
    /// # Errors
    /// When the path is missing, or the file system is damaged.
    pub fn stat(&self, path: &str, follow: bool) -> Result<Ext4Entry, InspectError> {
        let inode = self.resolve(path, follow)?;
        Ok(entry(path.as_bytes().to_vec(), inode, &self.inode(inode)?.0))
    }

    /// The entries of a folder without `.` and `..`, in stored order.
    ///
    /// # Errors
    /// When the path is missing or not a folder, or the file system is damaged.
    pub fn list(&self, path: &str) -> Result<Vec<Ext4Entry>, InspectError> {
        let folder = self.resolve(path, true)?;
        if !self.inode(folder)?.0.is_dir() {
            return Err(InspectError::WrongKind { path: path.to_owned(), what: "is a file, not a folder" });
        }
        self.entries(path.trim_end_matches('/').as_bytes(), folder)
    }

    /// A file's bytes; symbolic links are followed.
    ///
    /// # Errors
    /// When the path is missing, not a regular file or larger than 1 GiB, or the file system is damaged.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, InspectError> {
        self.read_up_to(path, MOST_READ)
    }

    /// As [`Ext4Volume::read`], but refuses a file of more than `most` bytes.
    ///
    /// # Errors
    /// As [`Ext4Volume::read`], and a larger file.
    pub fn read_up_to(&self, path: &str, most: u64) -> Result<Vec<u8>, InspectError> {
        let number = self.resolve(path, true)?;
        let (inode, _) = self.inode(number)?;
        let wrong = |what| Err(InspectError::WrongKind { path: path.to_owned(), what });
        if !inode.is_file() {
            return wrong("is no regular file");
        }
        if inode.size > most {
            return Err(InspectError::TooLarge { path: path.to_owned(), size: inode.size, most });
        }
        let mut bytes = vec![0; inode.size as usize];
        let count = self.fs.read_ino(number, 0, &mut bytes).map_err(|e| self.damaged(path, &e))?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// A symbolic link's target.
    ///
    /// # Errors
    /// When the path is missing or not a symbolic link, or the file system is damaged.
    pub fn read_link(&self, path: &str) -> Result<Vec<u8>, InspectError> {
        let number = self.resolve(path, false)?;
        if !self.inode(number)?.0.is_symlink() {
            return Err(InspectError::WrongKind { path: path.to_owned(), what: "is no symbolic link" });
        }
        self.fs.read_link(number).map_err(|e| self.damaged(path, &e))
    }

    /// The target of a symbolic link that was found in a folder.
    ///
    /// # Errors
    /// When the file system is damaged.
    pub fn target(&self, link: &Ext4Entry) -> Result<Vec<u8>, InspectError> {
        self.fs.read_link(link.inode).map_err(|e| self.damaged(&link.path, &e))
    }

    /// The extended attributes of an inode, by full name.
    ///
    /// # Errors
    /// When the file system is damaged.
    pub fn xattrs(&self, inode: u32) -> Result<BTreeMap<String, Vec<u8>>, InspectError> {
        let (parsed, raw) = self.inode(inode)?;
        let all = fs_ext4::xattr::read_all_resolved(&self.fs, &parsed, &raw);
        let all = all.map_err(|e| self.damaged(&format!("inode {inode}"), &e))?;
        Ok(all.into_iter().map(|x| (x.name, x.value)).collect())
    }

    /// Calls `visit` for every file below the root, folders before their content.
    ///
    /// # Errors
    /// When the file system is damaged, or the error of `visit`.
    pub fn walk<E: From<InspectError>>(&self, mut visit: impl FnMut(&Ext4Entry) -> Result<(), E>) -> Result<(), E> {
        // In a damaged file system a folder may contain itself.
        let mut seen = HashSet::from([EXT4_ROOT_INO]);
        let mut todo = vec![(Vec::new(), EXT4_ROOT_INO)];
        while let Some((path, folder)) = todo.pop() {
            interrupt::check().map_err(InspectError::from)?;
            for entry in self.entries(&path, folder)? {
                visit(&entry)?;
                if entry.kind == FileKind::Dir && seen.insert(entry.inode) {
                    todo.push((entry.raw_path, entry.inode));
                }
            }
        }
        Ok(())
    }

    /// Reads up to `buffer.len()` bytes of a file from `offset`; returns how many were read.
    ///
    /// # Errors
    /// When it is not a regular file, or the file system is damaged.
    pub fn read_at(&self, inode: u32, offset: u64, buffer: &mut [u8]) -> Result<usize, InspectError> {
        self.fs.read_ino(inode, offset, buffer).map_err(|e| self.damaged(&format!("inode {inode}"), &e))
    }

    fn inode(&self, number: u32) -> Result<(Inode, Vec<u8>), InspectError> {
        self.fs.read_inode_verified(number).map_err(|e| self.damaged(&format!("inode {number}"), &e))
    }

    fn resolve(&self, path: &str, follow_last: bool) -> Result<u32, InspectError> {
        let not_found = || InspectError::NotFound { path: path.to_owned() };
        let mut todo: Vec<Vec<u8>> = path.as_bytes().split(|&b| b == b'/').rev().map(<[u8]>::to_vec).collect();
        // The folders from the root to the current one.
        let mut at = vec![EXT4_ROOT_INO];
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at.truncate(at.len().saturating_sub(1).max(1));
                    continue;
                }
                _ => {}
            }
            let folder = at.last().copied().unwrap_or(EXT4_ROOT_INO);
            let number = match self.fs.lookup_at(folder, &part) {
                Ok(number) => number,
                Err(Error::NotFound | Error::NotADirectory | Error::NameTooLong) => return Err(not_found()),
                Err(e) => return Err(self.damaged(path, &e)),
            };
            let is_last = todo.iter().all(|p| matches!(p.as_slice(), b"" | b"."));
            if self.inode(number)?.0.is_symlink() && (!is_last || follow_last) {
                links += 1;
                if links > MOST_LINKS {
                    let what = "leads through too many symbolic links";
                    return Err(InspectError::WrongKind { path: path.to_owned(), what });
                }
                let target = self.fs.read_link(number).map_err(|e| self.damaged(path, &e))?;
                if target.starts_with(b"/") {
                    at.truncate(1);
                }
                todo.extend(target.split(|&b| b == b'/').rev().map(<[u8]>::to_vec));
            } else {
                at.push(number);
            }
        }
        Ok(at.last().copied().unwrap_or(EXT4_ROOT_INO))
    }

    /// An error about damage in this file system that its reader cannot know of.
    #[must_use]
    pub fn damage(&self, why: impl Into<String>) -> InspectError {
        self.region.damaged(why)
    }

    fn damaged(&self, what: &str, error: &Error) -> InspectError {
        self.region.damaged_by(format!("{what} of this ext4 file system cannot be read"), said(error))
    }
}

/// The library's message, with that of the disk error inside it.
fn said(error: &Error) -> String {
    match error {
        Error::Io(io) => whole(io),
        error => whole(error),
    }
}

impl std::fmt::Debug for Ext4Volume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ext4Volume").field("region", &self.region).finish_non_exhaustive()
    }
}

fn entry(path: Vec<u8>, number: u32, inode: &Inode) -> Ext4Entry {
    let kind = match inode.mode & 0o170_000 {
        0o040_000 => FileKind::Dir,
        0o100_000 => FileKind::File,
        0o120_000 => FileKind::Symlink,
        _ => FileKind::Special,
    };
    let special = match inode.mode & 0o170_000 {
        0o020_000 => Some(device(inode, Special::Char)),
        0o060_000 => Some(device(inode, Special::Block)),
        0o010_000 => Some(Special::Fifo),
        0o140_000 => Some(Special::Socket),
        _ => None,
    };
    Ext4Entry {
        path: shown(&path),
        raw_path: path,
        inode: number,
        kind,
        mode: inode.mode & 0o7777,
        uid: inode.uid,
        gid: inode.gid,
        size: inode.size,
        mtime: inode.mtime,
        links: inode.links_count,
        special,
    }
}

/// A path for people.
#[must_use]
pub fn shown(path: &[u8]) -> String {
    path.utf8_chunks().fold(String::new(), |text, chunk| {
        chunk.invalid().iter().fold(text + chunk.valid(), |text, byte| text + &format!("\\x{byte:02x}"))
    })
}

fn device(inode: &Inode, kind: fn(u32, u32) -> Special) -> Special {
    let word = |at: usize| inode.block.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    let (major, minor) = device_numbers(word(0), word(4));
    kind(major, minor)
}

/// A device's numbers from the first two words of `i_block`: in the first word when both fit into a byte, else in the
/// second, where minor has 8 bits, major 12 and the rest of minor 12 (kernel, `fs/ext4/inode.c` and
/// `include/linux/kdev_t.h`).
fn device_numbers(old: u32, new: u32) -> (u32, u32) {
    match (old, new) {
        (0, new) => ((new >> 8) & 0xfff, (new & 0xff) | ((new >> 12) & 0x000f_ff00)),
        (old, _) => ((old >> 8) & 0xff, old & 0xff),
    }
}

#[cfg(test)]
mod tests;
