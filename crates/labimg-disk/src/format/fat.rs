//! FAT12, FAT16 and FAT32, all little-endian (Microsoft, "FAT: General Overview of On-Disk Format", 1.03): the fields are
//! called as there.

/// The boot sector.
pub mod boot_sector {
    /// Its size, whatever the size of the volume's sectors.
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

    /// Where the fields from `BS_DrvNum` on begin: FAT12 and FAT16.
    pub const EXTENDED_16: usize = 36;
    /// Where they begin: FAT32.
    pub const EXTENDED_32: usize = 64;
    // From one of these two.
    pub const BS_DrvNum: usize = 0;
    pub const BS_BootSig: usize = 2;
    pub const BS_VolID: usize = 3;
    pub const BS_VolLab: usize = 7;
    pub const BS_FilSysType: usize = 18;

    /// Where code may stand, to which [`BS_jmpBoot`] jumps: FAT32.
    pub const BOOT_CODE_32: usize = 90;
    /// Where [`SIGNATURE`] stands.
    pub const SIGNATURE_AT: usize = 510;
    /// Ends the sector, as it ends an MBR.
    pub const SIGNATURE: [u8; 2] = [0x55, 0xAA];
    /// In [`BPB_Media`]: a disk that stays in its drive.
    pub const MEDIA_FIXED: u8 = 0xF8;
    /// In [`BS_BootSig`]: the three fields after it are there.
    pub const BOOT_SIG: u8 = 0x29;
}

/// The `FSInfo` sector of FAT32.
pub mod fs_info {
    pub const FSI_LeadSig: usize = 0;
    pub const FSI_StrucSig: usize = 484;
    pub const FSI_Free_Count: usize = 488;
    pub const FSI_Nxt_Free: usize = 492;
    pub const FSI_TrailSig: usize = 508;

    /// In [`FSI_LeadSig`].
    pub const LEAD_SIG: u32 = 0x4161_5252;
    /// In [`FSI_StrucSig`].
    pub const STRUC_SIG: u32 = 0x6141_7272;
    /// In [`FSI_TrailSig`].
    pub const TRAIL_SIG: u32 = 0xAA55_0000;
}

/// A folder's entry: one with a short name, or a piece of a long one.
pub mod directory {
    /// Its size.
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
    /// UTF-16 units in the three.
    pub const LDIR_UNITS: usize = 13;

    // In `DIR_Attr`.
    pub const ATTR_VOLUME_ID: u8 = 0x08;
    pub const ATTR_DIRECTORY: u8 = 0x10;
    pub const ATTR_ARCHIVE: u8 = 0x20;
    /// All of read-only, hidden, system and volume: a piece of a long name.
    pub const ATTR_LONG_NAME: u8 = 0x0F;
    /// In [`LDIR_Ord`]: the last piece, which stands first.
    pub const LAST_LONG_ENTRY: u8 = 0x40;
    /// First byte of a name: a deleted entry.
    pub const DELETED: u8 = 0xE5;

    /// The size of [`DIR_Name`].
    pub const NAME_LEN: usize = 11;
    /// Most bytes of a folder (section 6 of the specification).
    pub const MOST_BYTES: u64 = 65_536 * SIZE as u64;

    /// Where each UTF-16 unit of a piece of a long name stands.
    pub fn long_name_units() -> impl Iterator<Item = usize> {
        let part = |at: usize, units: usize| (at..at + 2 * units).step_by(2);
        part(LDIR_Name1, 5).chain(part(LDIR_Name2, 6)).chain(part(LDIR_Name3, 2))
    }

    /// `ChkSum` of the specification, which ties a long name to its short one.
    pub fn checksum(short: &[u8]) -> u8 {
        short.iter().fold(0_u8, |sum, &b| sum.rotate_right(1).wrapping_add(b))
    }
}
