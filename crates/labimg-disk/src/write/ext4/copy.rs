//! Reads the contents of files, block by block, in its own thread, so that reading and writing overlap.

use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender};

use super::Ext4Error;
use super::layout::{BLOCK, BLOCK_SIZE};
use crate::ranges::joined;
use labimg_tree::interrupt;
use labimg_tree::{Content, TreePath};

/// Size of a batch in bytes.
const BATCH: usize = 2 << 20;
/// Number of batches: one being read, one being written, one in between.
pub const BATCHES: usize = 3;

static ZEROS: [u8; BLOCK_SIZE] = [0; BLOCK_SIZE];

/// Some blocks of some files, in the order of the files; without blocks of zeros.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    used: usize,
    /// How the bytes divide into files.
    pub steps: Vec<Step>,
}

/// A part of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The next `blocks` blocks of the batch belong to the current file, from block `logical` on.
    Blocks {
        /// First block within the file.
        logical: u32,
        /// Number of blocks.
        blocks: u32,
    },
    /// The current file has no more blocks.
    End,
}

impl Batch {
    /// The blocks of all steps in order.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    fn clear(&mut self) {
        // The buffer keeps its length: zeroing it for each batch would cost as much as the copy.
        self.bytes.resize(BATCH, 0);
        self.used = 0;
        self.steps.clear();
    }

    /// Adds the `count` blocks that were read at the end of the batch, without those of zeros.
    fn keep(&mut self, mut logical: u32, count: usize) {
        let mut from = self.used;
        for _ in 0..count {
            let block = from..from + BLOCK_SIZE;
            if self.bytes[block.clone()] != ZEROS {
                if from != self.used {
                    self.bytes.copy_within(block, self.used);
                }
                self.used += BLOCK_SIZE;
                match self.steps.last_mut() {
                    Some(Step::Blocks { logical: first, blocks }) if *first + *blocks == logical => *blocks += 1,
                    _ => self.steps.push(Step::Blocks { logical, blocks: 1 }),
                }
            }
            from += BLOCK_SIZE;
            logical += 1;
        }
    }
}

/// The runs of a content that are not known to be holes, as ascending ranges of blocks that do not touch.
pub fn segments(content: &Content) -> Vec<Range<u64>> {
    let Content::Sparse { pieces, len } = content else {
        return if content.is_empty() {
            Vec::new()
        } else {
            std::iter::once(0..content.len().div_ceil(BLOCK)).collect()
        };
    };
    let inside = pieces.iter().filter(|(at, piece)| !piece.is_empty() && at < len);
    joined(inside.map(|(at, piece)| at / BLOCK..(at + piece.len()).min(*len).div_ceil(BLOCK)))
}

/// Fills `buffer` from byte `offset` of the content. As [`Content::read_exact_at`], but fast with many pieces.
fn read(content: &Content, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
    let Content::Sparse { pieces, .. } = content else {
        return content.read_exact_at(buffer, offset);
    };
    buffer.fill(0);
    let end = offset + buffer.len() as u64;
    let first = pieces.partition_point(|(at, piece)| at + piece.len() <= offset);
    for (at, piece) in pieces[first..].iter().take_while(|(at, _)| *at < end) {
        let (from, to) = (offset.max(*at), end.min(at + piece.len()));
        piece.read_exact_at(&mut buffer[(from - offset) as usize..(to - offset) as usize], from - at)?;
    }
    Ok(())
}

/// Reads all files in order and sends their blocks; ends early when the receiver is gone. `used` returns batches to be
/// filled again.
pub fn read_all<'t>(
    files: impl Iterator<Item = (&'t TreePath, &'t Content)>,
    used: &Receiver<Batch>,
    full: &SyncSender<Result<Batch, Ext4Error>>,
) {
    let mut made = 0;
    let mut next = || {
        let mut batch = if made < BATCHES {
            made += 1;
            Batch::default()
        } else {
            used.recv().ok()?
        };
        batch.clear();
        Some(batch)
    };
    let Some(mut batch) = next() else { return };
    for (path, content) in files {
        for segment in segments(content) {
            let mut at = segment.start;
            while at < segment.end {
                if batch.used == BATCH {
                    if let Err(e) = interrupt::check() {
                        // A send fails when the receiver is gone; then nobody needs the error.
                        let _ = full.send(Err(e.into()));
                        return;
                    }
                    if full.send(Ok(batch)).is_err() {
                        return;
                    }
                    let Some(fresh) = next() else { return };
                    batch = fresh;
                }
                let blocks = (segment.end - at).min(((BATCH - batch.used) / BLOCK_SIZE) as u64);
                let bytes = (blocks * BLOCK).min(content.len() - at * BLOCK) as usize;
                let padded = bytes.next_multiple_of(BLOCK_SIZE);
                let target = &mut batch.bytes[batch.used..batch.used + padded];
                let (data, padding) = target.split_at_mut(bytes);
                padding.fill(0);
                if let Err(source) = read(content, data, at * BLOCK) {
                    // As above.
                    let _ = full.send(Err(Ext4Error::Read { path: path.clone(), source }));
                    return;
                }
                // In range: the size of every file was checked to have fewer than 2^32 blocks.
                batch.keep(at as u32, blocks as usize);
                at += blocks;
            }
        }
        batch.steps.push(Step::End);
    }
    // As above.
    let _ = full.send(Ok(batch));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn steps(content: &Content) -> (Vec<Step>, Vec<u8>) {
        let (_, used) = std::sync::mpsc::channel();
        let (full, batches) = std::sync::mpsc::sync_channel(1);
        read_all(std::iter::once((&TreePath::root(), content)), &used, &full);
        let batch = batches.recv().unwrap().unwrap();
        (batch.steps.clone(), batch.bytes().to_vec())
    }

    #[test]
    fn zero_blocks_become_holes() {
        let mut bytes = vec![1; 3 * BLOCK_SIZE + 5];
        bytes[BLOCK_SIZE..2 * BLOCK_SIZE].fill(0);
        let (steps, out) = steps(&Content::from(bytes));
        let expected = [Step::Blocks { logical: 0, blocks: 1 }, Step::Blocks { logical: 2, blocks: 2 }, Step::End];
        assert_eq!(steps, expected);
        assert_eq!((out.len(), out[2 * BLOCK_SIZE + 4], out[2 * BLOCK_SIZE + 5]), (3 * BLOCK_SIZE, 1, 0));
    }

    #[test]
    fn pieces_share_blocks() {
        let pieces: Arc<[_]> =
            Arc::from([(10, Content::from("a")), (4000, Content::from(vec![2; 200])), (1 << 33, Content::from("z"))]);
        let content = Content::Sparse { len: (1 << 33) + 1, pieces };
        assert_eq!(segments(&content), [0..2, 1 << 21..(1 << 21) + 1]);
        let (steps, out) = steps(&content);
        assert_eq!(steps[0], Step::Blocks { logical: 0, blocks: 2 });
        assert_eq!((out[10], out[4199], out[4200], out[2 * BLOCK_SIZE]), (b'a', 2, 0, b'z'));
    }
}
