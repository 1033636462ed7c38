//! A file with holes as a member of an archive, as GNU tar writes it (its manual, "Old GNU Format"; type `S`): the
//! header has the first ranges of data, blocks after it have more, and only the data follow.

use std::ops::Range;

use tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header};

/// Makes `header` that of a file of `size` bytes with data in `runs`; returns the blocks that follow it. Sets the size.
pub(super) fn describe(header: &mut Header, size: u64, runs: &[Range<u64>]) -> Vec<u8> {
    let mut ranges: Vec<Range<u64>> = runs.to_vec();
    // A hole at the end is told by an empty range there.
    if runs.last().is_none_or(|last| last.end < size) {
        ranges.push(size..size);
    }
    header.set_entry_type(EntryType::GNUSparse);
    header.set_size(runs.iter().map(|run| run.end - run.start).sum());
    let mut more = Vec::new();
    // A header made by `Header::new_gnu`.
    if let Some(gnu) = header.as_gnu_mut() {
        gnu.set_real_size(size);
        let here = ranges.len().min(gnu.sparse.len());
        let (first, rest) = ranges.split_at(here);
        fill(&mut gnu.sparse, first);
        gnu.set_is_extended(!rest.is_empty());
        let mut rest = rest;
        while !rest.is_empty() {
            let mut block = GnuExtSparseHeader::new();
            let (here, later) = rest.split_at(rest.len().min(block.sparse().len()));
            fill(block.sparse_mut(), here);
            block.set_is_extended(!later.is_empty());
            more.extend_from_slice(block.as_bytes());
            rest = later;
        }
    }
    more
}

fn fill(fields: &mut [GnuSparseHeader], ranges: &[Range<u64>]) {
    for (field, range) in fields.iter_mut().zip(ranges) {
        field.set_offset(range.start);
        field.set_length(range.end - range.start);
    }
}
