//! MBR and GPT, little-endian (UEFI specification 2.10, chapter 5). The field names are those of that document.

/// Sector size in bytes in which tables count. Card and disk images have no other.
pub const SECTOR: u64 = 512;

/// The master boot record (section 5.2.1).
pub mod mbr {
    pub const UniqueMBRDiskSignature: usize = 440;
    /// Four records of [`RECORD_SIZE`].
    pub const PartitionRecord: usize = 446;
    pub const Signature: usize = 510;
    /// Value of [`Signature`].
    pub const SIGNATURE: [u8; 2] = [0x55, 0xAA];

    /// The size of a partition record.
    pub const RECORD_SIZE: usize = 16;
    // Offsets within a partition record.
    pub const StartingCHS: usize = 1;
    pub const OSType: usize = 4;
    pub const EndingCHS: usize = 5;
    pub const StartingLBA: usize = 8;
    pub const SizeInLBA: usize = 12;

    // Values of `OSType`.
    /// FAT32, addressed by LBA.
    pub const TYPE_FAT32_LBA: u8 = 0x0C;
    pub const TYPE_LINUX: u8 = 0x83;
    /// A GPT follows.
    pub const TYPE_GPT_PROTECTIVE: u8 = 0xEE;
}

/// The header of a GPT (section 5.3.2).
pub mod gpt_header {
    pub const Signature: usize = 0;
    pub const HeaderSize: usize = 12;
    pub const HeaderCRC32: usize = 16;
    pub const AlternateLBA: usize = 32;
    pub const DiskGUID: usize = 56;
    pub const PartitionEntryLBA: usize = 72;
    pub const NumberOfPartitionEntries: usize = 80;
    pub const SizeOfPartitionEntry: usize = 84;
    pub const PartitionEntryArrayCRC32: usize = 88;

    /// Value of [`Signature`].
    pub const SIGNATURE: &[u8; 8] = b"EFI PART";
    /// Lowest value of [`HeaderSize`].
    pub const LEAST_SIZE: usize = 92;
}

/// An entry of a GPT (section 5.3.3).
pub mod gpt_entry {
    pub const PartitionTypeGUID: usize = 0;
    pub const UniquePartitionGUID: usize = 16;
    pub const StartingLBA: usize = 32;
    pub const EndingLBA: usize = 40;
    /// UTF-16, ended by 0 when it is shorter than the field.
    pub const PartitionName: usize = 56;

    /// Lowest value of `SizeOfPartitionEntry`, where [`PartitionName`] ends.
    pub const LEAST_SIZE: usize = 128;
    /// UTF-16 units of [`PartitionName`].
    pub const NAME_UNITS: usize = 36;
}
