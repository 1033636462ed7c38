//! Writes images: partition table, FAT and ext4 file systems, boot loader blobs, into one sparse file.

mod error;
pub mod fat;
pub mod table;

use std::fs::File;
use std::os::unix::fs::FileExt;

pub use error::ImageError;

/// The block size of the file systems that images lie on.
const BLOCK: usize = 4096;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Writes `bytes` at byte `at` of a file that reads as zeros there: blocks of zeros are left out and stay holes.
fn write_sparse(out: &File, at: u64, bytes: &[u8]) -> Result<(), ImageError> {
    let mut done = 0;
    for run in bytes.chunks(BLOCK).collect::<Vec<_>>().chunk_by(|a, b| is_zero(a) == is_zero(b)) {
        let len = run.iter().map(|block| block.len()).sum::<usize>();
        let at = at + done as u64;
        if !run.first().is_some_and(|block| is_zero(block)) {
            out.write_all_at(&bytes[done..done + len], at).map_err(|source| ImageError::Write { at, source })?;
        }
        done += len;
    }
    Ok(())
}

fn is_zero(block: &[u8]) -> bool {
    ZEROS.get(..block.len()).is_some_and(|zeros| zeros == block)
}
