//! The bytes of an image while they are written, and which of them count.
//!
//! An image has holes: bytes that no program ever reads, such as free blocks. Programs that flash it may leave them out
//! (`bmaptool` does), and then anything may stand there on the card. So a zero that a file or a structure needs is
//! written like any other byte; only what is never handed to [`Sparse`] is a hole.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use crate::ranges::joined;

/// Programs that flash an image copy whole blocks of this many bytes.
const BLOCK: u64 = 4096;

static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// A file that reads as zeros, and the ranges of it that were written since.
#[derive(Debug)]
pub struct Sparse<'a> {
    file: &'a File,
    /// In the order of writing; adjacent ones are one.
    written: Mutex<Vec<Range<u64>>>,
}

impl<'a> Sparse<'a> {
    /// Writes to `file`, where everything that will be written reads as zeros, as in a new file of its final size.
    #[must_use]
    pub fn new(file: &'a File) -> Self {
        Self { file, written: Mutex::default() }
    }

    /// The file itself.
    pub(super) fn file(&self) -> &'a File {
        self.file
    }

    /// Writes bytes, zero or not.
    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, at)?;
        self.note(at..at + bytes.len() as u64);
        Ok(())
    }

    /// Writes zeros.
    pub(super) fn zero(&self, bytes: Range<u64>) -> io::Result<()> {
        let mut at = bytes.start;
        while at < bytes.end {
            let count = (bytes.end - at).min(ZEROS.len() as u64);
            self.file.write_all_at(&ZEROS[..count as usize], at)?;
            at += count;
        }
        self.note(bytes);
        Ok(())
    }

    fn note(&self, bytes: Range<u64>) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        match written.last_mut() {
            Some(last) if last.end == bytes.start => last.end = bytes.end,
            _ => written.push(bytes),
        }
    }

    /// What was written so far, in whole blocks of 4 KiB: ascending ranges of bytes that do not touch. Everything else
    /// is a hole.
    #[must_use]
    pub fn written(&self) -> Vec<Range<u64>> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let not_empty = written.iter().filter(|range| !range.is_empty());
        joined(not_empty.map(|range| range.start / BLOCK * BLOCK..range.end.next_multiple_of(BLOCK)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_joined_and_whole_blocks() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        let out = Sparse::new(&file);
        assert!(out.written().is_empty());
        out.write(70_000, b"x").unwrap();
        out.write(4000, &[7; 200]).unwrap();
        out.write(4200, &[7; 10]).unwrap();
        out.zero(8192..8193).unwrap();
        out.zero(5..5).unwrap();
        assert_eq!(out.written(), [0..12_288, 69_632..73_728]);
    }

    #[test]
    fn zeros_are_data() {
        use std::os::unix::fs::MetadataExt;
        let file = tempfile::tempfile().unwrap();
        file.set_len(64 << 20).unwrap();
        Sparse::new(&file).zero(1 << 20..(4 << 20) + 1).unwrap();
        let blocks = file.metadata().unwrap().blocks() * 512;
        assert!((3 << 20..4 << 20).contains(&blocks), "{blocks}");
    }
}
