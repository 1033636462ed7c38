//! File systems and containers that labimg does not read, by the signatures that `libblkid` and the kernel know them by.

use super::InspectError;
use super::region::Region;

/// What is not a file system of its own, but holds others.
const LUKS: &str = "a LUKS volume (encrypted)";

/// Name, offset in bytes, signature.
const KNOWN: &[(&str, u64, &[u8])] = &[
    ("Btrfs", 0x1_0040, b"_BHRfS_M"),
    ("XFS", 0, b"XFSB"),
    ("F2FS", 0x400, &[0x10, 0x20, 0xf5, 0xf2]),
    (LUKS, 0, b"LUKS\xba\xbe"),
    ("an LVM volume", 0x218, b"LVM2 001"),
    ("an LVM volume", 0x18, b"LVM2 001"),
    ("bcachefs", 0x1018, &[0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca]),
    ("SquashFS", 0, b"hsqs"),
    ("EROFS", 0x400, &[0xe2, 0xe1, 0xf5, 0xe0]),
    ("NTFS", 3, b"NTFS    "),
    ("exFAT", 3, b"EXFAT   "),
    ("Linux swap", 4086, b"SWAPSPACE2"),
    ("ISO 9660", 0x8001, b"CD001"),
];

/// What fills the region; `None` when that is not known.
pub(super) fn name(region: &Region) -> Result<Option<&'static str>, InspectError> {
    for (name, at, signature) in KNOWN {
        let len = signature.len() as u64;
        if region.len() >= at + len && region.bytes(*at, len)? == *signature {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
