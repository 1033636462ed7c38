//! Writes blocks into the image's region, many adjacent blocks at a time.

use std::ops::Range;

use labimg_tree::platform;

use super::Ext4Error;
use super::layout::{BLOCK, BLOCK_SIZE};
use crate::write::Sparse;

/// Bytes collected before they are written.
const GATHER: usize = 1 << 20;

/// Collects consecutive blocks and writes them together.
#[derive(Debug)]
pub struct Output<'a> {
    image: &'a Sparse<'a>,
    /// Start of the file system in the image, in bytes.
    offset: u64,
    pending: Vec<u8>,
    /// Offset of the pending bytes in the file system.
    pending_at: u64,
}

impl<'a> Output<'a> {
    /// Writes to the region of `image` that begins at byte `offset`.
    pub fn new(image: &'a Sparse<'a>, offset: u64) -> Self {
        Self { image, offset, pending: Vec::new(), pending_at: 0 }
    }

    /// Writes `bytes` at the start of `block`, at the latest when flushed. The rest of their last block is zeros.
    pub fn put(&mut self, block: u64, bytes: &[u8]) -> Result<(), Ext4Error> {
        self.put_at(block * BLOCK, bytes)?;
        self.pending.resize(self.pending.len() + (bytes.len().next_multiple_of(BLOCK_SIZE) - bytes.len()), 0);
        Ok(())
    }

    /// As [`Output::put`], at a byte offset in the file system.
    pub fn put_at(&mut self, at: u64, bytes: &[u8]) -> Result<(), Ext4Error> {
        if self.pending_at + self.pending.len() as u64 != at || self.pending.len() >= GATHER {
            self.flush()?;
            self.pending_at = at;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes the pending bytes.
    pub fn flush(&mut self) -> Result<(), Ext4Error> {
        self.write_at(self.pending_at, &self.pending)?;
        self.pending.clear();
        Ok(())
    }

    /// Writes `bytes` at the start of `block` now.
    pub fn write(&self, block: u64, bytes: &[u8]) -> Result<(), Ext4Error> {
        self.write_at(block * BLOCK, bytes)
    }

    /// Writes zeros into these blocks now.
    pub fn zero(&self, blocks: Range<u64>) -> Result<(), Ext4Error> {
        let (at, end) = (self.offset + blocks.start * BLOCK, self.offset + blocks.end * BLOCK);
        self.image.zero(at..end).map_err(|source| Ext4Error::Write { at, source })
    }

    /// Has the system start writing these `len` bytes to the disk.
    pub fn begin_writeback(&self, block: u64, len: usize) {
        let at = self.offset + block * BLOCK;
        platform::begin_writeback(self.image.file(), at..at + len as u64);
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<(), Ext4Error> {
        let at = self.offset + at;
        self.image.write(at, bytes).map_err(|source| Ext4Error::Write { at, source })
    }
}
