//! An empty, clean journal (kernel Documentation/filesystems/ext4, "Journal (jbd2)").

/// The journal's blocks that mke2fs gives a file system of so many blocks.
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

/// The least blocks of a journal.
pub const LEAST_BLOCKS: u32 = 1024;

/// The journal's first block, which is all of it that is not zero: version 2, nothing to replay.
/// Checksums of the journal are switched on by the kernel when it mounts.
pub fn superblock(blocks: u32, uuid: &[u8; 16]) -> [u8; 1024] {
    let mut s = [0; 1024];
    let mut put = |at: usize, value: u32| s[at..at + 4].copy_from_slice(&value.to_be_bytes());
    put(0x00, 0xC03B_3998);
    put(0x04, 4);
    put(0x0C, super::layout::BLOCK_SIZE as u32);
    put(0x10, blocks);
    put(0x14, 1);
    put(0x18, 1);
    put(0x40, 1);
    s[0x30..0x40].copy_from_slice(uuid);
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
