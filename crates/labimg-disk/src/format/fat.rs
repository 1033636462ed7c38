//! FAT12, FAT16 and FAT32, all little-endian (Microsoft, "FAT: General Overview of On-Disk Format", 1.03). The field
//! names are those of that document.

/// The boot sector.
pub mod boot_sector {
    /// Its size in bytes, for any sector size of the volume.
    pub const SIZE: usize = 512;

    pub const BS_jmpBoot: usize = 0;
    pub const BS_OEMName: usize = 3;
    pub const BPB_BytsPerSec: usize = 11;
    pub const BPB_SecPerClus: usize = 13;
    pub const BPB_RsvdSecCnt: usize = 14;
    pub const BPB_NumFATs: usize = 16;
    pub const BPB_RootEntCnt: usize = 17;
    pub const BPB_TotSec16: usize = 19;
    pub const BPB_Media: usize = 21;
    pub const BPB_FATSz16: usize = 22;
    pub const BPB_SecPerTrk: usize = 24;
    pub const BPB_NumHeads: usize = 26;
    pub const BPB_HiddSec: usize = 28;
    pub const BPB_TotSec32: usize = 32;

    // FAT32 only.
    pub const BPB_FATSz32: usize = 36;
    pub const BPB_RootClus: usize = 44;
    pub const BPB_FSInfo: usize = 48;
    pub const BPB_BkBootSec: usize = 50;

    /// Where the fields from `BS_DrvNum` on begin, in FAT12 and FAT16.
    pub const EXTENDED_16: usize = 36;
    /// Where they begin in FAT32.
    pub const EXTENDED_32: usize = 64;
    // Offsets from one of these two.
    pub const BS_DrvNum: usize = 0;
    pub const BS_BootSig: usize = 2;
    pub const BS_VolID: usize = 3;
    pub const BS_VolLab: usize = 7;
    pub const BS_FilSysType: usize = 18;

    /// Where the boot code begins to which [`BS_jmpBoot`] jumps, in FAT32.
    pub const BOOT_CODE_32: usize = 90;
    /// Where [`SIGNATURE`] is.
    pub const SIGNATURE_AT: usize = 510;
    /// Ends the sector, as in an MBR.
    pub const SIGNATURE: [u8; 2] = [0x55, 0xAA];
    /// Value of [`BPB_Media`]: a fixed disk.
    pub const MEDIA_FIXED: u8 = 0xF8;
    /// Value of [`BS_BootSig`]: the three fields after it are present.
    pub const BOOT_SIG: u8 = 0x29;
}

/// The `FSInfo` sector of FAT32.
pub mod fs_info {
    pub const FSI_LeadSig: usize = 0;
    pub const FSI_StrucSig: usize = 484;
    pub const FSI_Free_Count: usize = 488;
    pub const FSI_Nxt_Free: usize = 492;
    pub const FSI_TrailSig: usize = 508;

    /// Value of [`FSI_LeadSig`].
    pub const LEAD_SIG: u32 = 0x4161_5252;
    /// Value of [`FSI_StrucSig`].
    pub const STRUC_SIG: u32 = 0x6141_7272;
    /// Value of [`FSI_TrailSig`].
    pub const TRAIL_SIG: u32 = 0xAA55_0000;
}

/// A folder's entry: a file with its short name, or a piece of a long name.
pub mod directory {
    /// Its size in bytes.
    pub const SIZE: usize = 32;

    pub const DIR_Name: usize = 0;
    pub const DIR_Attr: usize = 11;
    pub const DIR_NTRes: usize = 12;
    pub const DIR_CrtTime: usize = 14;
    pub const DIR_CrtDate: usize = 16;
    pub const DIR_LstAccDate: usize = 18;
    pub const DIR_FstClusHI: usize = 20;
    pub const DIR_WrtTime: usize = 22;
    pub const DIR_WrtDate: usize = 24;
    pub const DIR_FstClusLO: usize = 26;
    pub const DIR_FileSize: usize = 28;

    pub const LDIR_Ord: usize = 0;
    pub const LDIR_Name1: usize = 1;
    pub const LDIR_Chksum: usize = 13;
    pub const LDIR_Name2: usize = 14;
    pub const LDIR_Name3: usize = 28;
    /// UTF-16 units in the three fields together.
    pub const LDIR_UNITS: usize = 13;

    // Bits of `DIR_Attr`.
    pub const ATTR_VOLUME_ID: u8 = 0x08;
    pub const ATTR_DIRECTORY: u8 = 0x10;
    pub const ATTR_ARCHIVE: u8 = 0x20;
    /// Read-only, hidden, system and volume together: a piece of a long name.
    pub const ATTR_LONG_NAME: u8 = 0x0F;
    /// Bit of [`LDIR_Ord`]: the last piece, which is stored first.
    pub const LAST_LONG_ENTRY: u8 = 0x40;
    /// First byte of a name: a deleted entry.
    pub const DELETED: u8 = 0xE5;

    /// Size of [`DIR_Name`] in bytes.
    pub const NAME_LEN: usize = 11;
    /// Largest size of a folder in bytes (section 6 of the specification).
    pub const MOST_BYTES: u64 = 65_536 * SIZE as u64;

    /// Offsets of the UTF-16 units in a piece of a long name.
    pub fn long_name_units() -> impl Iterator<Item = usize> {
        let part = |at: usize, units: usize| (at..at + 2 * units).step_by(2);
        part(LDIR_Name1, 5).chain(part(LDIR_Name2, 6)).chain(part(LDIR_Name3, 2))
    }

    /// `ChkSum` of the specification, which ties a long name to its short one.
    pub fn checksum(short: &[u8]) -> u8 {
        short.iter().fold(0_u8, |sum, &b| sum.rotate_right(1).wrapping_add(b))
    }
}
