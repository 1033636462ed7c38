//! Allocates blocks front to back, around the fixed parts: the order of allocation is the order on the disk.

use std::ops::Range;

use super::layout::Ext4Layout;

/// The next free block of a file system that is filled without gaps.
#[derive(Debug)]
pub struct Allocator {
    /// Fixed ranges not yet reached, the next one last.
    fixed: Vec<Range<u64>>,
    at: u64,
    end: u64,
}

impl Allocator {
    /// All blocks are free except the fixed ones.
    pub fn new(layout: &Ext4Layout) -> Self {
        let mut fixed: Vec<_> = layout.fixed().collect();
        fixed.reverse();
        Self { fixed, at: 0, end: layout.blocks }
    }

    /// Takes the next contiguous free blocks, up to `most` (at least 1). `None` when the file system is full.
    pub fn take(&mut self, most: u64) -> Option<Range<u64>> {
        while let Some(next) = self.fixed.last() {
            if self.at < next.start {
                break;
            }
            self.at = next.end;
            self.fixed.pop();
        }
        let limit = self.fixed.last().map_or(self.end, |r| r.start);
        let taken = self.at..limit.min(self.at + most.max(1));
        self.at = taken.end;
        (!taken.is_empty()).then_some(taken)
    }

    /// Every block before this one is taken or fixed; none after it is taken.
    pub fn reached(&self) -> u64 {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_every_block_that_is_not_fixed_once() {
        let layout = Ext4Layout::new(400_000, 0, 16384, 1 << 40).unwrap();
        let mut allocator = Allocator::new(&layout);
        let (mut taken, mut last) = (0, 0);
        while let Some(run) = allocator.take(10_000) {
            assert!(run.start >= last && layout.fixed().all(|f| f.end <= run.start || f.start >= run.end));
            last = run.end;
            taken += run.end - run.start;
        }
        assert_eq!(taken + layout.fixed_blocks(), layout.blocks);
        assert_eq!(allocator.reached(), layout.blocks);
    }
}
