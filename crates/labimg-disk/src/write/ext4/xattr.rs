//! Extended attributes: in the inode as far as they fit, the rest in one block (kernel Documentation/filesystems/ext4,
//! "Extended Attributes").

use std::collections::BTreeMap;

use super::bytes::{put16, put32};
use super::checksum::extend;
use super::inode::XATTR_SPACE;
use super::layout::BLOCK_SIZE;
use crate::format::ext4::xattr::{self as field, EXT4_XATTR_MAGIC, HEADER_SIZE, IBODY_HEADER_SIZE};

/// Four zero bytes end the list of entries.
const END: usize = 4;

/// The attributes of one inode as they are stored.
#[derive(Debug, PartialEq, Eq)]
pub struct Stored {
    /// The part in the inode; zeros when there is none.
    pub inline: [u8; XATTR_SPACE],
    /// The part in a separate block, still without checksum.
    pub block: Option<Box<[u8; BLOCK_SIZE]>>,
}

struct Attribute<'a> {
    index: u8,
    name: &'a [u8],
    value: Vec<u8>,
}

impl Attribute<'_> {
    fn entry_size(&self) -> usize {
        (field::e_name + self.name.len()).next_multiple_of(4)
    }

    fn size(&self) -> usize {
        self.entry_size() + self.value.len().next_multiple_of(4)
    }
}

/// Encodes attributes given by their full names.
///
/// # Errors
/// The end of a sentence about the file: a name without a known prefix, a bad ACL, or too many attributes.
pub fn encode(xattrs: &BTreeMap<String, Vec<u8>>) -> Result<Stored, String> {
    let mut all = xattrs.iter().map(|(name, value)| attribute(name, value)).collect::<Result<Vec<_>, _>>()?;
    // The order that the kernel expects in a block.
    all.sort_by(|a, b| (a.index, a.name.len(), a.name).cmp(&(b.index, b.name.len(), b.name)));
    let mut room = XATTR_SPACE - IBODY_HEADER_SIZE - END;
    let (inside, outside): (Vec<_>, Vec<_>) = all.into_iter().partition(|a| {
        let fits = a.size() <= room;
        if fits {
            room -= a.size();
        }
        fits
    });
    let mut inline = [0; XATTR_SPACE];
    if !inside.is_empty() {
        put32(&mut inline, field::h_magic, EXT4_XATTR_MAGIC);
        // Value offsets count from the first entry here; entries in inodes have no hash.
        fill(&mut inline[IBODY_HEADER_SIZE..], 0, &inside, false);
    }
    let mut block = None;
    if !outside.is_empty() {
        let size: usize = HEADER_SIZE + END + outside.iter().map(Attribute::size).sum::<usize>();
        if size > BLOCK_SIZE {
            return Err(format!(
                "has extended attributes of {size} bytes beyond the inode's; one block of {BLOCK_SIZE} must hold them"
            ));
        }
        let mut bytes = Box::new([0; BLOCK_SIZE]);
        let hash = fill(&mut bytes[..], HEADER_SIZE, &outside, true);
        put32(&mut bytes[..], field::h_magic, EXT4_XATTR_MAGIC);
        put32(&mut bytes[..], field::h_refcount, 1);
        put32(&mut bytes[..], field::h_blocks, 1);
        put32(&mut bytes[..], field::h_hash, hash);
        block = Some(bytes);
    }
    Ok(Stored { inline, block })
}

/// Sets the checksum of an attribute block, which depends on the block's number.
pub fn seal(block: &mut [u8; BLOCK_SIZE], at: u64, seed: u32) {
    let sum = extend(extend(seed, &at.to_le_bytes()), &block[..]);
    put32(block, field::h_checksum, sum);
}

fn attribute<'a>(name: &'a str, value: &[u8]) -> Result<Attribute<'a>, String> {
    const PREFIXES: [(&str, u8); 4] = [
        ("user.", field::EXT4_XATTR_INDEX_USER),
        ("trusted.", field::EXT4_XATTR_INDEX_TRUSTED),
        ("security.", field::EXT4_XATTR_INDEX_SECURITY),
        ("system.", field::EXT4_XATTR_INDEX_SYSTEM),
    ];
    let (index, rest, value) = match name {
        "system.posix_acl_access" => (field::EXT4_XATTR_INDEX_POSIX_ACL_ACCESS, "", acl(value)),
        "system.posix_acl_default" => (field::EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT, "", acl(value)),
        _ => {
            let found = PREFIXES.iter().find_map(|(p, index)| name.strip_prefix(p).map(|rest| (*index, rest)));
            let (index, rest) = found
                .filter(|(_, rest)| (1..=255).contains(&rest.len()))
                .ok_or_else(|| format!("has an extended attribute `{name}` that ext4 cannot name"))?;
            (index, rest, Some(value.to_vec()))
        }
    };
    let value = value.ok_or_else(|| format!("has a malformed ACL in `{name}`"))?;
    Ok(Attribute { index, name: rest.as_bytes(), value })
}

/// Converts an ACL from the format of `getxattr` (version 2, every entry with an id) to ext4's (version 1, ids only for
/// named users and groups): kernel fs/ext4/acl.h. `None` when it is not a list of such entries.
fn acl(value: &[u8]) -> Option<Vec<u8>> {
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x08;
    const OTHERS: [u16; 4] = [0x01, 0x04, 0x10, 0x20];
    let entries = value.strip_prefix(&[2, 0, 0, 0])?;
    if entries.len() % 8 != 0 {
        return None;
    }
    let mut stored = vec![1, 0, 0, 0];
    for entry in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        match tag {
            USER | GROUP => stored.extend_from_slice(entry),
            _ if OTHERS.contains(&tag) => stored.extend_from_slice(&entry[..4]),
            _ => return None,
        }
    }
    Some(stored)
}

/// Writes entries from `start` up and values from the end down; returns the hash of all entries.
fn fill(area: &mut [u8], start: usize, attributes: &[Attribute], hashed: bool) -> u32 {
    let (mut at, mut end, mut all) = (start, area.len(), 0_u32);
    for a in attributes {
        end -= a.value.len().next_multiple_of(4);
        area[end..end + a.value.len()].copy_from_slice(&a.value);
        area[at + field::e_name_len] = a.name.len() as u8;
        area[at + field::e_name_index] = a.index;
        // An empty value has no offset.
        put16(area, at + field::e_value_offs, if a.value.is_empty() { 0 } else { end as u16 });
        put32(area, at + field::e_value_size, a.value.len() as u32);
        if hashed {
            let hash = entry_hash(a);
            put32(area, at + field::e_hash, hash);
            all = all.rotate_left(16) ^ hash;
        }
        let name = at + field::e_name;
        area[name..name + a.name.len()].copy_from_slice(a.name);
        at += a.entry_size();
    }
    all
}

fn entry_hash(a: &Attribute) -> u32 {
    let hash = a.name.iter().fold(0_u32, |hash, &byte| hash.rotate_left(5) ^ u32::from(byte));
    a.value.chunks(4).fold(hash, |hash, word| {
        let mut padded = [0; 4];
        padded[..word.len()].copy_from_slice(word);
        hash.rotate_left(16) ^ u32::from_le_bytes(padded)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, usize)]) -> BTreeMap<String, Vec<u8>> {
        entries.iter().map(|(name, len)| ((*name).to_owned(), vec![7; *len])).collect()
    }

    #[test]
    fn small_ones_stay_in_the_inode() {
        let stored = encode(&map(&[("security.capability", 20)])).unwrap();
        assert!(stored.block.is_none());
        assert_eq!(stored.inline[..6], [0, 0, 2, 0xEA, 10, 6]);
    }

    #[test]
    fn the_rest_goes_to_a_block_and_too_much_is_refused() {
        let stored = encode(&map(&[("security.capability", 20), ("user.long", 3000)])).unwrap();
        assert!(stored.block.is_some() && stored.inline != [0; XATTR_SPACE]);
        let full = BLOCK_SIZE - HEADER_SIZE - END - 20;
        assert!(encode(&map(&[("user.a", full)])).is_ok());
        assert!(encode(&map(&[("user.a", full + 1)])).unwrap_err().contains("one block"));
    }

    #[test]
    fn unknown_names_and_bad_acls_are_refused() {
        for name in ["nonsense", "user.", "other.thing", "system.posix_acl_access"] {
            assert!(encode(&map(&[(name, 5)])).is_err(), "{name}");
        }
    }

    #[test]
    fn acls_lose_the_ids_that_mean_nothing() {
        let wire = [2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 232, 3, 0, 0];
        assert_eq!(acl(&wire).unwrap(), [1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 4, 0, 232, 3, 0, 0]);
    }
}
