//! Folders: one block of entries, or a hash tree over many blocks (kernel Documentation/filesystems/ext4, "Directory
//! Entries", "Hash Tree Directories").

use super::bytes::{put16, put32};
use super::checksum::extend;
use super::hash::half_md4;
use super::layout::BLOCK_SIZE;
use crate::format::ext4::directory::{
    self as field, DX_ENTRY_SIZE, DX_NODE_ENTRIES, DX_ROOT_ENTRIES, DX_TAIL_SIZE, EXT4_FT_DIR, TAIL_SIZE,
};

/// A name in a folder.
#[derive(Debug, Clone, Copy)]
pub struct FolderEntry<'t> {
    /// 1 to 255 bytes.
    pub name: &'t [u8],
    /// The inode it names.
    pub ino: u32,
    /// `file_type`.
    pub file_type: u8,
}

/// Bytes for entries in a leaf.
const LEAF: usize = BLOCK_SIZE - TAIL_SIZE;
/// How far leaves of a hash tree are filled: the rest lets names be added without splitting a leaf at once.
const FILL: usize = LEAF - LEAF / 8;
const LARGEST: usize = entry_size(field::EXT4_NAME_LEN);
/// Index entries of the root and of an inner node: what fits beside headers and checksum.
const ROOT_ENTRIES: usize = (BLOCK_SIZE - DX_ROOT_ENTRIES - DX_TAIL_SIZE) / DX_ENTRY_SIZE;
const NODE_ENTRIES: usize = (BLOCK_SIZE - DX_NODE_ENTRIES - DX_TAIL_SIZE) / DX_ENTRY_SIZE;

/// The content of a folder.
#[derive(Debug)]
pub struct Blocks {
    /// Whole blocks.
    pub bytes: Vec<u8>,
    /// True when they are a hash tree.
    pub hashed: bool,
}

const fn entry_size(name_len: usize) -> usize {
    (field::name + name_len).next_multiple_of(4)
}

/// The most blocks that a folder with these names takes; `None` when it is too large for a tree of two levels.
pub fn most_blocks(entries: &[FolderEntry]) -> Option<u64> {
    let size: usize = entries.iter().map(|e| entry_size(e.name.len())).sum();
    if size + 2 * entry_size(2) <= LEAF {
        return Some(1);
    }
    let leaves = size.div_ceil(FILL - LARGEST) + 1;
    let nodes = if leaves > ROOT_ENTRIES { leaves.div_ceil(NODE_ENTRIES) } else { 0 };
    (nodes <= ROOT_ENTRIES).then_some((1 + nodes + leaves) as u64)
}

/// Makes the blocks of the folder `ino` in `parent`. `seed` is the inode's checksum seed. Folders without a hash tree
/// get at least `least` blocks.
pub fn build(
    entries: &[FolderEntry],
    (ino, parent): (u32, u32),
    hash_seed: &[u8; 16],
    seed: u32,
    least: usize,
) -> Blocks {
    let dots = [
        FolderEntry { name: b".", ino, file_type: EXT4_FT_DIR },
        FolderEntry { name: b"..", ino: parent, file_type: EXT4_FT_DIR },
    ];
    let size: usize = entries.iter().map(|e| entry_size(e.name.len())).sum();
    if size + 2 * entry_size(2) <= LEAF {
        let mut bytes = Vec::with_capacity(least * BLOCK_SIZE);
        leaf(&mut bytes, dots.iter().chain(entries), seed);
        while bytes.len() < least * BLOCK_SIZE {
            leaf(&mut bytes, [].iter(), seed);
        }
        return Blocks { bytes, hashed: false };
    }
    Blocks { bytes: hash_tree(entries, &dots, hash_seed, seed), hashed: true }
}

fn hash_tree(entries: &[FolderEntry], dots: &[FolderEntry; 2], hash_seed: &[u8; 16], seed: u32) -> Vec<u8> {
    let mut sorted: Vec<_> = entries.iter().map(|e| (half_md4(e.name, hash_seed), *e)).collect();
    sorted.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then(x.name.cmp(y.name)));

    // Where each leaf begins in the sorted list, and its lowest hash. Equal hashes may continue in the next leaf: then
    // the lowest bit of that leaf's hash is set.
    let mut leaves: Vec<(usize, u32)> = vec![(0, 0)];
    let mut used = 0;
    for (i, ((hash, _), entry)) in sorted.iter().enumerate() {
        let size = entry_size(entry.name.len());
        if used + size > FILL {
            let goes_on = i > 0 && sorted[i - 1].0.0 == *hash;
            leaves.push((i, hash | u32::from(goes_on)));
            used = 0;
        }
        used += size;
    }

    // The order of the folder's blocks: root, inner nodes if any, leaves.
    let nodes = if leaves.len() > ROOT_ENTRIES { leaves.len().div_ceil(NODE_ENTRIES) } else { 0 };
    let index: Vec<(u32, u32)> =
        leaves.iter().enumerate().map(|(i, (_, hash))| (*hash, (1 + nodes + i) as u32)).collect();
    let mut bytes = Vec::with_capacity((1 + nodes + leaves.len()) * BLOCK_SIZE);
    let mut root = [0; BLOCK_SIZE];
    put_entry(&mut root, 0, &dots[0], entry_size(1));
    put_entry(&mut root, field::dotdot, &dots[1], BLOCK_SIZE - field::dotdot);
    root[field::hash_version] = field::DX_HASH_HALF_MD4;
    root[field::info_length] = field::DX_ROOT_INFO_SIZE;
    root[field::indirect_levels] = u8::from(nodes > 0);
    if nodes == 0 {
        put_index(&mut root, DX_ROOT_ENTRIES, ROOT_ENTRIES, &index, seed);
        bytes.extend_from_slice(&root);
    } else {
        let over: Vec<_> =
            index.chunks(NODE_ENTRIES).enumerate().map(|(i, chunk)| (chunk[0].0, 1 + i as u32)).collect();
        put_index(&mut root, DX_ROOT_ENTRIES, ROOT_ENTRIES, &over, seed);
        bytes.extend_from_slice(&root);
        for chunk in index.chunks(NODE_ENTRIES) {
            let mut node = [0; BLOCK_SIZE];
            put16(&mut node, field::rec_len, BLOCK_SIZE as u16);
            put_index(&mut node, DX_NODE_ENTRIES, NODE_ENTRIES, chunk, seed);
            bytes.extend_from_slice(&node);
        }
    }
    for (i, (from, _)) in leaves.iter().enumerate() {
        let to = leaves.get(i + 1).map_or(sorted.len(), |(next, _)| *next);
        leaf(&mut bytes, sorted[*from..to].iter().map(|(_, e)| e), seed);
    }
    bytes
}

/// Writes index entries with their header and checksum into a root or inner node.
fn put_index(block: &mut [u8; BLOCK_SIZE], start: usize, most: usize, entries: &[(u32, u32)], seed: u32) {
    for (i, (hash, child)) in entries.iter().enumerate() {
        let at = start + DX_ENTRY_SIZE * i;
        put32(block, at + field::hash, *hash);
        put32(block, at + field::block, *child);
    }
    // The first entry's hash is implied; its field holds limit and count.
    put16(block, start + field::limit, most as u16);
    put16(block, start + field::count, entries.len() as u16);
    let sum = extend(extend(seed, &block[..start + DX_ENTRY_SIZE * entries.len()]), &[0; DX_TAIL_SIZE]);
    put32(block, start + DX_ENTRY_SIZE * most + field::dt_checksum, sum);
}

/// Adds one block of entries with its checksum.
fn leaf<'e, 't: 'e>(bytes: &mut Vec<u8>, entries: impl Iterator<Item = &'e FolderEntry<'t>>, seed: u32) {
    let mut block = [0; BLOCK_SIZE];
    let (mut at, mut last) = (0, 0);
    for entry in entries {
        last = at;
        let size = entry_size(entry.name.len());
        put_entry(&mut block, at, entry, size);
        at += size;
    }
    // The last entry, or an empty one, extends to the checksum.
    put16(&mut block, last + field::rec_len, (LEAF - last) as u16);
    put16(&mut block, LEAF + field::det_rec_len, TAIL_SIZE as u16);
    block[LEAF + field::det_reserved_ft] = field::EXT4_FT_DIR_CSUM;
    let sum = extend(seed, &block[..LEAF]);
    put32(&mut block, LEAF + field::det_checksum, sum);
    bytes.extend_from_slice(&block);
}

fn put_entry(block: &mut [u8; BLOCK_SIZE], at: usize, entry: &FolderEntry, size: usize) {
    put32(block, at + field::inode, entry.ino);
    put16(block, at + field::rec_len, size as u16);
    block[at + field::name_len] = entry.name.len() as u8;
    block[at + field::file_type] = entry.file_type;
    let name = at + field::name;
    block[name..name + entry.name.len()].copy_from_slice(entry.name);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("{i:0>width$}", width = 5 + i % 250)).collect()
    }

    fn entries(names: &[String]) -> Vec<FolderEntry<'_>> {
        names.iter().map(|n| FolderEntry { name: n.as_bytes(), ino: 12, file_type: 1 }).collect()
    }

    #[test]
    fn one_block_as_long_as_all_fits() {
        let names = vec!["x".repeat(248); 15];
        let mut entries = entries(&names);
        assert!(!build(&entries, (12, 2), &[1; 16], 0, 1).hashed);
        assert_eq!(most_blocks(&entries), Some(1));
        entries.push(entries[0]);
        assert!(build(&entries, (12, 2), &[1; 16], 0, 1).hashed);
    }

    #[test]
    fn never_more_blocks_than_planned() {
        for count in [10, 100, 1000, 3000, 20_000] {
            let names = names(count);
            let entries = entries(&names);
            let blocks = build(&entries, (12, 2), &[1; 16], 0, 1);
            assert!((blocks.bytes.len() / BLOCK_SIZE) as u64 <= most_blocks(&entries).unwrap());
        }
    }

    #[test]
    fn a_collision_across_leaves_is_marked() {
        // The same name many times stands in for names with equal hashes.
        let names = vec!["x".repeat(200); 100];
        let entries = entries(&names);
        let blocks = build(&entries, (12, 2), &[1; 16], 0, 1);
        let second = &blocks.bytes[DX_ROOT_ENTRIES + DX_ENTRY_SIZE..][..4];
        assert_eq!(second[0] & 1, 1);
    }
}
