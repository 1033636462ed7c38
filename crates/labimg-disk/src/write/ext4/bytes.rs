//! Little-endian fields of on-disk records.

/// Puts `field` at `at`. Offsets are constants of a record's layout, so the slice always has room.
pub fn put<const N: usize>(record: &mut [u8], at: usize, field: [u8; N]) {
    record[at..at + N].copy_from_slice(&field);
}

/// Puts a 16-bit number at `at`.
pub fn put16(record: &mut [u8], at: usize, value: u16) {
    put(record, at, value.to_le_bytes());
}

/// Puts a 32-bit number at `at`.
pub fn put32(record: &mut [u8], at: usize, value: u32) {
    put(record, at, value.to_le_bytes());
}

/// Puts the low 16 bits of `value` at `low` and the next 16 at `high`.
pub fn put16_split(record: &mut [u8], low: usize, high: usize, value: u32) {
    put16(record, low, value as u16);
    put16(record, high, (value >> 16) as u16);
}

/// Puts the low 32 bits of `value` at `low` and the high ones at `high`.
pub fn put32_split(record: &mut [u8], low: usize, high: usize, value: u64) {
    put32(record, low, value as u32);
    put32(record, high, (value >> 32) as u32);
}
