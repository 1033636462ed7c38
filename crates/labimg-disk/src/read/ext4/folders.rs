//! The entries of a folder, checked: the names are those of an image that anybody may have made.

use std::collections::HashSet;

use fs_ext4::dir::{DirBlockIter, DirEntry};
use fs_ext4::features::Incompat;
use fs_ext4::inode::Inode;

use super::{Ext4Entry, Ext4Volume, entry, shown};
use crate::read::InspectError;

/// More entries than any real folder has; a damaged one may claim any number.
const MOST_ENTRIES: usize = 1_000_000;

impl Ext4Volume {
    /// The entries of a folder without `.` and `..`. `path` is the folder's, without a `/` at its end.
    pub(super) fn entries(&self, path: &[u8], folder: u32) -> Result<Vec<Ext4Entry>, InspectError> {
        let mut names = HashSet::new();
        let mut found = Vec::new();
        for DirEntry { inode: number, name, .. } in self.stored(path, folder)? {
            if name == b"." || name == b".." {
                continue;
            }
            let damaged =
                |why: &str| self.damage(format!("the folder {}/: the name `{}` {why}", shown(path), shown(&name)));
            // The kernel refuses these as well. With two of one name, what is unpacked would go through the first.
            if name.is_empty() || name.iter().any(|&byte| byte == b'/' || byte == 0) {
                return Err(damaged("is none that a file may have"));
            }
            if !names.insert(name.clone()) {
                return Err(damaged("is there twice"));
            }
            let path = [path, b"/", &name].concat();
            let inode = self.fs.read_inode_verified(number).map_err(|e| self.damaged(&shown(&path), &e))?.0;
            found.push(entry(path, number, &inode));
        }
        Ok(found)
    }

    fn stored(&self, path: &[u8], folder: u32) -> Result<Vec<DirEntry>, InspectError> {
        let inode = self.inode(folder)?.0;
        if inode.has_extents() || inode.has_inline_data() {
            return self.fs.read_dir_ino(folder).map_err(|e| self.damaged(&shown(path), &e));
        }
        self.by_block_numbers(path, &inode)
    }

    /// The folders of ext2 and ext3, which the library does not list.
    fn by_block_numbers(&self, path: &[u8], inode: &Inode) -> Result<Vec<DirEntry>, InspectError> {
        let broken = |e| self.damaged(&shown(path), &e);
        fs_ext4::file_io::refuse_encrypted_names(inode).map_err(broken)?;
        let block = u64::from(self.fs.sb.block_size());
        let types = self.fs.sb.feature_incompat & Incompat::FILETYPE.bits() != 0;
        let mut found = Vec::new();
        for logical in 0..inode.size.div_ceil(block) {
            let Some(physical) = self.fs.map_inode_logical(inode, logical).map_err(broken)? else { continue };
            let bytes = self.region.bytes(physical.saturating_mul(block), block)?;
            for entry in DirBlockIter::new(&bytes, types) {
                found.push(entry.map_err(broken)?);
            }
            if found.len() > MOST_ENTRIES {
                return Err(self.damage(format!("the folder {}/ has too many entries", shown(path))));
            }
        }
        Ok(found)
    }
}
