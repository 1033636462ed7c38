//! The files an executable needs to start: its loader and shared libraries, found in the tree.

use std::collections::BTreeMap;

use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, elf};

use super::KernelError;
use labimg_tree::{Kind, Tree, TreePath};

/// The other files that `program` needs to start: the path where each belongs → its path in the tree, links followed.
///
/// # Errors
/// When the program or a library is missing or not an ELF file.
pub fn closure(tree: &Tree, program: &str) -> Result<BTreeMap<TreePath, TreePath>, KernelError> {
    let mut found = BTreeMap::new();
    let mut todo = vec![tree.resolve(program)?];
    while let Some(path) = todo.pop() {
        let bad = |what: String| KernelError::Program { path: path.to_string(), cause: what.into() };
        let bytes = tree.read(&path)?;
        let needs = Needs::parse(&bytes).map_err(bad)?;
        let mut wanted = Vec::new();
        if let Some(loader) = needs.loader {
            wanted.push(tree.resolve_parent(&loader)?);
        }
        for library in needs.libraries {
            let place = search(tree, &library)
                .ok_or_else(|| bad(format!("the tree has no {}, which it needs", String::from_utf8_lossy(&library))))?;
            wanted.push(place);
        }
        for place in wanted {
            let real = tree.resolve(&place)?;
            if found.insert(place, real.clone()).is_none() {
                todo.push(real);
            }
        }
    }
    Ok(found)
}

/// The path of a library in the tree: in the multiarch folder or `/usr/lib` itself, as Debian's loader searches.
fn search(tree: &Tree, library: &[u8]) -> Option<TreePath> {
    let lib = TreePath::new("usr/lib").ok()?;
    let multiarch = tree.children(&lib).filter_map(|(path, _, inode)| {
        let is_place = matches!(inode.kind, Kind::Dir) && String::from_utf8_lossy(path.name()).contains("-linux-gnu");
        is_place.then(|| path.clone())
    });
    multiarch
        .chain([lib.clone()])
        .filter_map(|folder| folder.join(library).ok())
        .find(|path| tree.resolve(path).is_ok_and(|real| tree.contains(real)))
}

/// The files that an ELF file names.
#[derive(Default)]
struct Needs {
    /// Path of its loader; `None` for a library or a static program.
    loader: Option<Vec<u8>>,
    /// File names of shared libraries.
    libraries: Vec<Vec<u8>>,
}

impl Needs {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let file = ElfFile64::<Endianness>::parse(bytes).map_err(|e| e.to_string())?;
        let mut needs = Self::default();
        for header in file.elf_program_headers() {
            if let Some(path) = header.interpreter(file.endian(), bytes).map_err(|e| e.to_string())? {
                needs.loader = Some(path.to_vec());
            }
        }
        let table = file.elf_dynamic_table().map_err(|e| e.to_string())?;
        for entry in table.iter().filter(|d| d.tag == elf::DT_NEEDED) {
            needs.libraries.push(table.string(entry).map_err(|e| e.to_string())?.to_vec());
        }
        Ok(needs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_what_a_real_program_needs() {
        let needs = Needs::parse(&std::fs::read("/bin/sh").unwrap()).unwrap();
        assert!(needs.loader.unwrap().starts_with(b"/lib"));
        assert!(needs.libraries.iter().any(|l| l.starts_with(b"libc.so.")));
    }

    proptest! {
        #[test]
        fn damaged_programs_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\xb7\0".to_vec();
            elf.extend(bytes);
            let _ = Needs::parse(&elf);
        }
    }
}
