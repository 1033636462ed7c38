//! Writes blocks into the region of the image, many neighbours at a time.

use std::fs::File;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, fadvise};

use super::Ext4Error;
use super::layout::BLOCK;

/// Bytes gathered before they are written.
const GATHER: usize = 1 << 20;

/// Bytes of a large image that stay in memory. Images of the usual size do as a whole: they are read again, to be flashed.
/// More would push out what else the computer keeps there, and asking for new memory can take longer than the writing.
const KEPT: u64 = 2 << 30;

/// Gathers blocks that follow each other and writes them together.
#[derive(Debug)]
pub struct Output<'a> {
    file: &'a File,
    /// Where the file system begins in the file, in bytes.
    offset: u64,
    pending: Vec<u8>,
    /// Byte in the file system where the pending bytes go.
    pending_at: u64,
}

impl<'a> Output<'a> {
    /// Writes to the region of `file` that begins at byte `offset`.
    pub fn new(file: &'a File, offset: u64) -> Self {
        Self { file, offset, pending: Vec::new(), pending_at: 0 }
    }

    /// Writes `bytes` at the start of `block`, perhaps later: at the latest when flushed.
    pub fn put(&mut self, block: u64, bytes: &[u8]) -> Result<(), Ext4Error> {
        self.put_at(block * BLOCK, bytes)
    }

    /// As [`Output::put`], at a byte of the file system.
    pub fn put_at(&mut self, at: u64, bytes: &[u8]) -> Result<(), Ext4Error> {
        if self.pending_at + self.pending.len() as u64 != at || self.pending.len() >= GATHER {
            self.flush()?;
            self.pending_at = at;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what is pending.
    pub fn flush(&mut self) -> Result<(), Ext4Error> {
        self.write_at(self.pending_at, &self.pending)?;
        self.pending.clear();
        Ok(())
    }

    /// Writes `bytes` at the start of `block` now.
    pub fn write(&self, block: u64, bytes: &[u8]) -> Result<(), Ext4Error> {
        self.write_at(block * BLOCK, bytes)
    }

    /// Has the kernel begin to write these `len` bytes to the disk, and let go of what lies [`KEPT`] before them.
    ///
    /// Both is what Linux makes of the advice that bytes are not needed in memory: it starts to write them, and drops them
    /// when they are on the disk already (`posix_fadvise(2)`). An advice that is not taken costs nothing but the time it saves.
    pub fn begin_writeback(&self, block: u64, len: usize) {
        let at = self.offset + block * BLOCK;
        let Some(len) = NonZeroU64::new(len as u64) else { return };
        let _ = fadvise(self.file, at, Some(len), Advice::DontNeed);
        if let Some(before) = at.checked_sub(KEPT) {
            let _ = fadvise(self.file, before, Some(len), Advice::DontNeed);
        }
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<(), Ext4Error> {
        let at = self.offset + at;
        self.file.write_all_at(bytes, at).map_err(|source| Ext4Error::Write { at, source })
    }
}
