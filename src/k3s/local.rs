//! A k3s that the user has as a file (`--k3s-bin`).

use std::io;
use std::path::{Path, PathBuf};

use object::read::elf::FileHeader;
use object::{Endianness, FileKind, elf};

use super::K3sError;
use labimg_tree::hash::Sha256;
use labimg_tree::{Blob, Content, ContentReader};

/// A file of the user's that goes into the image as k3s.
#[derive(Debug, Clone)]
pub struct LocalK3s {
    /// Where it lies; it must not change while the image is written.
    pub path: PathBuf,
    /// Its bytes.
    pub content: Content,
    /// What they hash to.
    pub sha256: Sha256,
    /// True for a script (`#!`): it stands in for k3s in tests.
    pub stand_in: bool,
}

/// Enough for every ELF header (System V gABI, chapter 4: 64 bytes).
const HEAD: u64 = 64;

/// Opens and checks it: a program for the board's architecture, or a script.
///
/// # Errors
/// [`K3sError::Read`], [`K3sError::NotK3s`].
pub(super) fn load(path: &Path, architecture: &str) -> Result<LocalK3s, K3sError> {
    let read = |source| K3sError::Read { path: path.to_owned(), source };
    if !path.metadata().map_err(read)?.is_file() {
        return Err(K3sError::NotK3s { path: path.to_owned(), what: "not a file".to_owned() });
    }
    let content = Content::whole(Blob::open(path).map_err(read)?);
    let head = head(&content).map_err(read)?;
    let stand_in = head.starts_with(b"#!");
    if !stand_in {
        check(&head, architecture).map_err(|what| K3sError::NotK3s { path: path.to_owned(), what })?;
    }
    let sha256 = Sha256::of_reader(ContentReader::new(&content)).map_err(read)?;
    Ok(LocalK3s { path: path.to_owned(), content, sha256, stand_in })
}

fn head(content: &Content) -> io::Result<Vec<u8>> {
    let mut head = vec![0; content.len().min(HEAD) as usize];
    content.read_exact_at(&mut head, 0)?;
    Ok(head)
}

/// What a file is instead of a program for the board's architecture.
///
/// # Errors
/// When it cannot be read.
pub(super) fn no_program(content: &Content, architecture: &str) -> io::Result<Option<String>> {
    Ok(check(&head(content)?, architecture).err())
}

/// What a file is instead of one compressed with Zstandard (RFC 8878, 3.1.1), as the container images of a release are.
///
/// # Errors
/// When it cannot be read.
pub(super) fn no_archive(content: &Content) -> io::Result<Option<String>> {
    let is_zstd = head(content)?.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    Ok((!is_zstd).then(|| "no archive that is compressed with zstd".to_owned()))
}

fn check(head: &[u8], architecture: &str) -> Result<(), String> {
    let (kind, machine) = match FileKind::parse(head) {
        Ok(FileKind::Elf64) => elf::FileHeader64::<Endianness>::parse(head).and_then(facts),
        Ok(FileKind::Elf32) => elf::FileHeader32::<Endianness>::parse(head).and_then(facts),
        _ if head.is_empty() => return Err("an empty file".to_owned()),
        _ => return Err("neither a Linux program nor a script: is the download whole?".to_owned()),
    }
    .map_err(|e| format!("a damaged Linux program: {e}"))?;
    if !matches!(kind, elf::ET_EXEC | elf::ET_DYN) {
        return Err("an object file, not a program".to_owned());
    }
    let found = match machine {
        elf::EM_AARCH64 => "arm64",
        elf::EM_X86_64 => "amd64",
        elf::EM_ARM => "armhf",
        _ => "another architecture",
    };
    if found == architecture {
        Ok(())
    } else {
        Err(format!("a program for {found}, and the board needs one for {architecture}"))
    }
}

fn facts<H: FileHeader<Endian = Endianness>>(header: &H) -> object::Result<(elf::FileType, elf::Machine)> {
    let endian = header.endian()?;
    Ok((header.e_type(endian), header.e_machine(endian)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A header of a little-endian ELF file.
    pub(in crate::k3s) fn elf(bits: u8, kind: u8, machine: u8) -> Vec<u8> {
        let mut head = vec![0; 64];
        head[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', bits, 1, 1, 0]);
        head[16] = kind;
        head[18] = machine;
        head[20] = 1;
        head
    }

    fn loaded(bytes: &[u8], architecture: &str) -> Result<LocalK3s, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        load(file.path(), architecture).map_err(|e| e.to_string())
    }

    #[test]
    fn programs_of_the_board_are_taken() {
        for (bits, machine, architecture) in [(2, 183, "arm64"), (2, 62, "amd64"), (1, 40, "armhf")] {
            for kind in [2, 3] {
                let bytes = elf(bits, kind, machine);
                let local = loaded(&bytes, architecture).unwrap();
                assert!(!local.stand_in);
                assert_eq!(local.sha256, Sha256::of(&bytes));
                assert_eq!(local.content.len(), 64);
            }
        }
    }

    #[test]
    fn a_script_is_a_stand_in() {
        assert!(loaded(b"#!/bin/sh\nexit 0\n", "arm64").unwrap().stand_in);
    }

    #[test]
    fn anything_else_is_refused_with_what_it_is() {
        let error = |bytes: &[u8]| loaded(bytes, "arm64").unwrap_err();
        assert!(error(&elf(2, 2, 62)).contains("for amd64, and the board needs one for arm64"));
        assert!(error(&elf(2, 1, 183)).contains("object file"));
        assert!(error(&elf(2, 2, 243)).contains("another architecture"));
        assert!(error(&elf(2, 2, 183)[..40]).contains("damaged"));
        assert_eq!(error(b"").rsplit(": ").next(), Some("an empty file"));
        assert!(error(b"<html>").contains("neither"));
        let folder = tempfile::tempdir().unwrap();
        assert!(load(folder.path(), "arm64").unwrap_err().to_string().contains("not a file"));
        assert!(load(&folder.path().join("none"), "arm64").unwrap_err().to_string().contains("--k3s-bin"));
    }
}
