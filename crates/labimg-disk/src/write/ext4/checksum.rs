//! CRC-32C as ext4 uses it for `metadata_csum`: neither inverted before nor after
//! (kernel Documentation/filesystems/ext4, "Checksums").

/// Continues the checksum `crc` over `bytes`.
pub fn extend(crc: u32, bytes: &[u8]) -> u32 {
    // The crate inverts before and after, as iSCSI does; this undoes both.
    !crc32c::crc32c_append(!crc, bytes)
}

/// The checksum seed of a file system: over its UUID.
pub fn file_system_seed(uuid: &[u8; 16]) -> u32 {
    extend(!0, uuid)
}

/// The seed for everything of one inode: number and generation (always 0 here).
pub fn inode_seed(seed: u32, ino: u32) -> u32 {
    extend(extend(seed, &ino.to_le_bytes()), &[0; 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_crc32c_without_the_final_inversion() {
        // The check value of CRC-32C over "123456789" is 0xE3069283 (RFC 3720 polynomial).
        assert_eq!(!extend(!0, b"123456789"), 0xE306_9283);
        assert_eq!(extend(extend(!0, b"1234"), b"56789"), extend(!0, b"123456789"));
    }
}
