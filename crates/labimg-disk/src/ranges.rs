//! Lists of ranges.

use std::ops::Range;

/// The same bytes or blocks as ascending ranges that do not touch; empty ones are left out.
pub fn joined(ranges: impl IntoIterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut all: Vec<Range<u64>> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
    all.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in all {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_touches_is_one() {
        let given = [7..9, 3..5, 5..6, 4..4, 0..1, 8..8, 8..12, 7..8];
        assert_eq!(joined(given), [0..1, 3..6, 7..12]);
        assert!(joined([]).is_empty());
    }
}
