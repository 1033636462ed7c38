//! One kernel module: decompressed, and what `depmod` reads from its ELF file.

use std::collections::HashSet;
use std::io::Read;

use object::{Object, ObjectSection, ObjectSymbol};

/// File name endings of kernel modules, as kmod knows them.
pub const ENDINGS: [&str; 4] = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"];

/// Largest decompressed module in bytes: a larger one is damaged or hostile. The largest real ones have a tenth of it.
const LARGEST: u64 = 256 << 20;

/// What `depmod` reads from a module.
#[derive(Debug, Default)]
pub struct Module {
    /// Symbols that it exports.
    pub exports: Vec<Vec<u8>>,
    /// Symbols that it imports from the kernel or other modules, in the order of its symbol table.
    pub needs: Vec<Vec<u8>>,
    /// The `key=value` pairs of its `.modinfo` section.
    pub info: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Module {
    /// The values of one key of `.modinfo`.
    pub fn info<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.info.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_slice())
    }

    /// Reads a decompressed module.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn parse(elf: &[u8]) -> Result<Self, String> {
        let file = object::File::parse(elf).map_err(|e| e.to_string())?;
        let section = |name: &[u8]| -> Result<&[u8], String> {
            match file.section_by_name_bytes(name) {
                Some(section) => section.data().map_err(|e| format!("section {}: {e}", String::from_utf8_lossy(name))),
                None => Ok(&[]),
            }
        };
        let mut exports = Vec::new();
        let mut needs = Vec::new();
        for symbol in file.symbols() {
            let name = symbol.name_bytes().map_err(|e| format!("symbol table: {e}"))?;
            if symbol.is_undefined() {
                if !name.is_empty() {
                    needs.push(name.to_vec());
                }
            } else if let Some(name) = name.strip_prefix(b"__crc_") {
                exports.push(name.to_vec());
            }
        }
        // Since Linux 5.19 the checksums have no symbols of their own: then only the names tell.
        if exports.is_empty() {
            exports = strings(section(b"__ksymtab_strings")?).map(<[u8]>::to_vec).collect();
        }
        // `module_layout` and similar ones are needed without being in the symbol table.
        let known: HashSet<&[u8]> = needs.iter().map(Vec::as_slice).collect();
        let more: Vec<Vec<u8>> = versions(section(b"__versions")?, file.is_64())
            .filter(|name| !known.contains(name))
            .map(<[u8]>::to_vec)
            .collect();
        needs.extend(more);
        let info = strings(section(b".modinfo")?)
            .map(|pair| match pair.iter().position(|&b| b == b'=') {
                Some(at) => (pair[..at].to_vec(), pair[at + 1..].to_vec()),
                None => (pair.to_vec(), Vec::new()),
            })
            .collect();
        Ok(Self { exports, needs, info })
    }
}

/// NUL-separated texts; runs of NULs count as one.
fn strings(section: &[u8]) -> impl Iterator<Item = &[u8]> {
    section.split(|&b| b == 0).filter(|s| !s.is_empty())
}

/// The names in a `__versions` section: `struct modversion_info` of include/linux/module.h, 64 bytes, of which the
/// first are a checksum of the size of a `long`.
fn versions(section: &[u8], is_64: bool) -> impl Iterator<Item = &[u8]> {
    let checksum = if is_64 { 8 } else { 4 };
    section.chunks_exact(64).filter_map(move |entry| {
        let name = entry.get(checksum..)?;
        let end = name.iter().position(|&b| b == 0)?;
        name.get(..end).filter(|n| !n.is_empty())
    })
}

/// Decompresses a module according to its file name's suffix.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub fn decompress(name: &[u8], packed: Vec<u8>) -> Result<Vec<u8>, String> {
    let reader: Box<dyn Read + '_> = if name.ends_with(b".xz") {
        Box::new(liblzma::read::XzDecoder::new(packed.as_slice()))
    } else if name.ends_with(b".zst") {
        Box::new(zstd::Decoder::new(packed.as_slice()).map_err(|e| e.to_string())?)
    } else if name.ends_with(b".gz") {
        Box::new(flate2::read::GzDecoder::new(packed.as_slice()))
    } else {
        return Ok(packed);
    };
    let mut plain = Vec::with_capacity(packed.len() * 4);
    reader.take(LARGEST + 1).read_to_end(&mut plain).map_err(|e| format!("cannot be decompressed: {e}"))?;
    if plain.len() as u64 > LARGEST {
        return Err(format!("takes more than {LARGEST} bytes when decompressed"));
    }
    Ok(plain)
}

/// A module's path without the compression suffix.
#[must_use]
pub fn uncompressed(path: &str) -> &str {
    match path.rfind(".ko.") {
        Some(at) if ENDINGS.iter().any(|e| path.ends_with(e)) => &path[..at + 3],
        _ => path,
    }
}

/// The module's name from its path: without folder and suffixes, with `_` for `-`.
#[must_use]
pub fn name(path: &[u8]) -> Vec<u8> {
    let file = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    file.iter().take_while(|&&b| b != b'.' && b != b'\n').map(|&b| if b == b'-' { b'_' } else { b }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_have_no_dashes() {
        assert_eq!(name(b"kernel/drivers/usb/host/xhci-pci.ko.xz"), b"xhci_pci");
    }

    #[test]
    fn versions_without_an_end_are_skipped() {
        let mut section = vec![b'x'; 64];
        section.extend([0; 8]);
        section.extend(b"module_layout");
        section.resize(128, 0);
        assert_eq!(versions(&section, true).collect::<Vec<_>>(), [b"module_layout"]);
    }

    proptest! {
        #[test]
        fn damaged_modules_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\xb7\0".to_vec();
            elf.extend(&bytes);
            let _ = Module::parse(&elf);
            let _ = Module::parse(&bytes);
            let _ = decompress(b"x.ko.xz", bytes);
        }
    }
}
