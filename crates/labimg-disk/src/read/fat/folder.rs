//! The entries of a folder: short names, and long ones in pieces before them.

use jiff::civil::DateTime;

use super::FatEntry;
use crate::format::fat::directory::{self as dir, ATTR_DIRECTORY, ATTR_LONG_NAME, ATTR_VOLUME_ID};
use crate::read::region::{u16_at, u32_at};

/// The entries of a folder in stored order, without `.`, `..` and the label.
pub(super) fn parse(raw: &[u8]) -> Vec<FatEntry> {
    let mut entries = Vec::new();
    // Pieces of the long name, which come before the short entry, last piece first, with the short name's checksum.
    let mut long: Vec<[u16; dir::LDIR_UNITS]> = Vec::new();
    let mut sum = 0;
    for e in raw.chunks_exact(dir::SIZE).take_while(|e| e[dir::DIR_Name] != 0) {
        if e[dir::DIR_Name] == dir::DELETED {
            long.clear();
        } else if is_long(e) {
            if e[dir::LDIR_Ord] & dir::LAST_LONG_ENTRY != 0 || e[dir::LDIR_Chksum] != sum {
                long.clear();
            }
            sum = e[dir::LDIR_Chksum];
            let mut piece = [0; dir::LDIR_UNITS];
            piece.iter_mut().zip(dir::long_name_units()).for_each(|(unit, at)| *unit = u16_at(e, at));
            long.push(piece);
        } else {
            let pieces = std::mem::take(&mut long);
            if e[dir::DIR_Attr] & ATTR_VOLUME_ID != 0 || e[dir::DIR_Name] == b'.' {
                continue;
            }
            let short_name = short_name(e, false);
            let units: Vec<u16> = pieces.iter().rev().flatten().copied().take_while(|&u| u != 0).collect();
            let name = if units.is_empty() || sum != dir::checksum(short_bytes(e)) {
                self::short_name(e, true)
            } else {
                String::from_utf16_lossy(&units)
            };
            let is_dir = e[dir::DIR_Attr] & ATTR_DIRECTORY != 0;
            entries.push(FatEntry {
                name,
                short_name,
                is_dir,
                size: if is_dir { 0 } else { u64::from(u32_at(e, dir::DIR_FileSize)) },
                mtime: dos_time(u16_at(e, dir::DIR_WrtDate), u16_at(e, dir::DIR_WrtTime)).unwrap_or(0),
                first: u32::from(u16_at(e, dir::DIR_FstClusHI)) << 16 | u32::from(u16_at(e, dir::DIR_FstClusLO)),
            });
        }
    }
    entries
}

/// True for a piece of a long name.
pub(super) fn is_long(entry: &[u8]) -> bool {
    entry[dir::DIR_Attr] & ATTR_LONG_NAME == ATTR_LONG_NAME
}

/// The 11 bytes of the short name.
pub(super) fn short_bytes(entry: &[u8]) -> &[u8] {
    &entry[dir::DIR_Name..dir::DIR_Name + dir::NAME_LEN]
}

/// The 8.3 name. With `as_shown` it respects the two bits with which Windows NT marks all-lower-case parts.
fn short_name(entry: &[u8], as_shown: bool) -> String {
    let part = |range: std::ops::Range<usize>, bit: u8| {
        let part = text(&entry[range]);
        if as_shown && entry[dir::DIR_NTRes] & bit != 0 { part.to_lowercase() } else { part }
    };
    let (mut name, extension) = (part(0..8, 0x08), part(8..dir::NAME_LEN, 0x10));
    if !extension.is_empty() {
        name.push('.');
        name.push_str(&extension);
    }
    name
}

/// ASCII without the padding. Other bytes depend on a code page that the volume does not name.
pub(super) fn text(bytes: &[u8]) -> String {
    // Some formatters pad labels with NUL instead of spaces.
    let text: String =
        bytes.iter().map(|&b| if (0x20..0x7f).contains(&b) { char::from(b) } else { '\u{fffd}' }).collect();
    text.trim_end_matches([' ', '\u{fffd}']).to_owned()
}

fn dos_time(date: u16, time: u16) -> Option<i64> {
    let date = (1980 + (date >> 9) as i16, (date >> 5 & 15) as i8, (date & 31) as i8);
    let time = ((time >> 11) as i8, (time >> 5 & 63) as i8, (time & 31) as i8 * 2);
    let civil = DateTime::new(date.0, date.1, date.2, time.0, time.1, time.2, 0).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}
