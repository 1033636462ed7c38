//! An empty, clean journal (kernel Documentation/filesystems/ext4, "Journal (jbd2)").

use crate::format::ext4::journal as field;

/// The journal size in blocks that mke2fs chooses for a file system of `blocks` blocks.
pub fn usual_blocks(blocks: u64) -> u32 {
    const STEPS: [(u64, u32); 8] = [
        (32_768, 1024),
        (256 << 10, 4096),
        (512 << 10, 8192),
        (4 << 20, 16_384),
        (8 << 20, 32_768),
        (16 << 20, 65_536),
        (32 << 20, 131_072),
        (u64::MAX, 262_144),
    ];
    STEPS.iter().find(|(below, _)| blocks < *below).map_or(262_144, |(_, journal)| *journal)
}

/// The smallest journal in blocks.
pub const LEAST_BLOCKS: u32 = 1024;

/// The journal's first block: version 2, nothing to replay. The rest of the journal must be zeros: after a crash, the
/// kernel replays what follows the last transaction and looks like the next one, and a card may still hold the journal
/// of an earlier flash of the same image. The kernel enables the journal's checksums when it mounts the file system.
pub fn superblock(blocks: u32, uuid: &[u8; 16]) -> [u8; field::SIZE] {
    let mut s = [0; field::SIZE];
    let mut put = |at: usize, value: u32| s[at..at + 4].copy_from_slice(&value.to_be_bytes());
    put(field::h_magic, field::JBD2_MAGIC_NUMBER);
    put(field::h_blocktype, field::JBD2_SUPERBLOCK_V2);
    put(field::s_blocksize, super::layout::BLOCK_SIZE as u32);
    put(field::s_maxlen, blocks);
    put(field::s_first, 1);
    put(field::s_sequence, 1);
    put(field::s_nr_users, 1);
    s[field::s_uuid..field::s_uuid + uuid.len()].copy_from_slice(uuid);
    s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_mke2fs() {
        assert_eq!(usual_blocks(384_000), 8192);
        assert_eq!(usual_blocks(16_777_216), 131_072);
        assert_eq!(usual_blocks(10_000), 1024);
    }
}
