//! What ldconfig needs to know about a shared library: machine and soname (System V gABI, chapters 4 and 5). Reads only
//! those bytes, not the whole library.

use labimg_tree::Content;

/// A library's machine, and the name that programs ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Library {
    /// `e_machine`: 62 is x86-64, 183 is `AArch64`.
    pub machine: u16,
    /// `DT_SONAME`, if it has one.
    pub soname: Option<String>,
}

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const TYPE_SHARED: u16 = 3;
const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
const TAG_STRINGS: u64 = 5;
const TAG_SONAME: u64 = 14;
/// Longest file name (Linux `NAME_MAX`), and thus the longest soname.
const LONGEST_NAME: u64 = 255;

/// Reads a library. `None` for anything other than a little-endian 64-bit shared library: linker scripts, programs,
/// damaged files.
///
/// # Errors
/// A read error.
pub(crate) fn library(content: &Content) -> std::io::Result<Option<Library>> {
    match read(content) {
        Ok(library) => Ok(library),
        // Every offset comes from the file, so one that points out of it means that the file is damaged.
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    if let Some(part) = from.get(at..at + N) {
        out.copy_from_slice(part);
    }
    out
}

fn u16_at(from: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes(from, at))
}

fn u32_at(from: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes(from, at))
}

fn u64_at(from: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes(from, at))
}

fn part(content: &Content, offset: u64, len: u64) -> std::io::Result<Vec<u8>> {
    let past = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    if offset.checked_add(len).is_none_or(|end| end > content.len()) {
        return Err(past());
    }
    let mut buffer = vec![0; usize::try_from(len).map_err(|_| past())?];
    content.read_exact_at(&mut buffer, offset)?;
    Ok(buffer)
}

fn read(content: &Content) -> std::io::Result<Option<Library>> {
    let header = part(content, 0, HEADER as u64)?;
    // Magic, ELFCLASS64, ELFDATA2LSB.
    if !header.starts_with(b"\x7fELF\x02\x01") || u16_at(&header, 16) != TYPE_SHARED {
        return Ok(None);
    }
    let machine = u16_at(&header, 18);
    let count = u64::from(u16_at(&header, 56));
    if usize::from(u16_at(&header, 54)) != PROGRAM_HEADER {
        return Ok(None);
    }
    let table = part(content, u64_at(&header, 32), count * PROGRAM_HEADER as u64)?;
    let segments: Vec<&[u8]> = table.chunks_exact(PROGRAM_HEADER).collect();
    let Some(dynamic) = segments.iter().find(|s| u32_at(s, 0) == DYNAMIC) else { return Ok(None) };
    let dynamic = part(content, u64_at(dynamic, 8), u64_at(dynamic, 32))?;
    let tag = |wanted| dynamic.chunks_exact(16).find(|e| u64_at(e, 0) == wanted).map(|e| u64_at(e, 8));
    let soname = match (tag(TAG_STRINGS), tag(TAG_SONAME)) {
        (Some(strings), Some(name)) => {
            let offset = segments.iter().filter(|s| u32_at(s, 0) == LOAD).find_map(|segment| {
                let (file, address, size) = (u64_at(segment, 8), u64_at(segment, 16), u64_at(segment, 32));
                let within = strings.checked_sub(address).filter(|&within| within < size)?;
                file.checked_add(within)?.checked_add(name)
            });
            let Some(offset) = offset else { return Ok(None) };
            let longest = content.len().saturating_sub(offset).min(LONGEST_NAME + 1);
            let text = part(content, offset, longest)?;
            let end = text.iter().position(|&b| b == 0);
            end.and_then(|end| String::from_utf8(text[..end].to_vec()).ok()).filter(|name| !name.is_empty())
        }
        _ => None,
    };
    Ok(Some(Library { machine, soname }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A shared library with nothing but a soname.
    pub(crate) fn small_library(machine: u16, soname: &str) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(HEADER, 0);
        file[16..18].copy_from_slice(&TYPE_SHARED.to_le_bytes());
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[32..40].copy_from_slice(&(HEADER as u64).to_le_bytes());
        file[54..56].copy_from_slice(&(PROGRAM_HEADER as u16).to_le_bytes());
        file[56..58].copy_from_slice(&2u16.to_le_bytes());
        let dynamic_at = (HEADER + 2 * PROGRAM_HEADER) as u64;
        let dynamic: Vec<u8> = [TAG_STRINGS, 0x10_000 + dynamic_at + 48, TAG_SONAME, 1, 0, 0]
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect();
        for (kind, offset, address, size) in
            [(LOAD, 0, 0x10_000, 0x1000), (DYNAMIC, dynamic_at, 0x10_000 + dynamic_at, 48u64)]
        {
            file.extend(kind.to_le_bytes());
            file.extend(4u32.to_le_bytes());
            for number in [offset, address, address, size, size, 8] {
                file.extend(number.to_le_bytes());
            }
        }
        file.extend(dynamic);
        file.extend(b"\0");
        file.extend(soname.as_bytes());
        file.extend(b"\0");
        file
    }

    #[test]
    fn machine_and_soname() {
        let file = small_library(183, "libx.so.1");
        let found = library(&Content::from(file.clone())).unwrap().unwrap();
        assert_eq!(found, Library { machine: 183, soname: Some("libx.so.1".to_owned()) });
        assert_eq!(library(&Content::from("/* GNU ld script */")).unwrap(), None);
        assert_eq!(library(&Content::from(file[..100].to_vec())).unwrap(), None);
    }

    proptest! {
        #[test]
        fn damage_never_panics(at in 0usize..200, value: u8) {
            let mut file = small_library(62, "liby.so.2");
            let at = at % file.len();
            file[at] = value;
            prop_assert!(library(&Content::from(file)).is_ok());
        }
    }
}
