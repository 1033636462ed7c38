//! kmod's binary index: a radix trie of 7-bit keys, each with values sorted by priority.
//!
//! The layout is described at the top of `libkmod/libkmod-index.c`: magic `0xB007F457`, version 2.1, then the offset of
//! the root node. A node is an optional prefix (NUL-terminated), an optional table of children (first and last
//! character, then one offset for each from first to last) and an optional list of values (count, then a priority and a
//! NUL-terminated text each). All numbers are big-endian; the top bits of an offset say which parts a node has.

use std::collections::BTreeMap;

const MAGIC: u32 = 0xB007_F457;
const VERSION: u32 = 0x0002_0001;
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;

/// An index under construction.
#[derive(Default)]
pub struct Trie {
    root: Node,
}

#[derive(Default)]
struct Node {
    prefix: Vec<u8>,
    children: BTreeMap<u8, Node>,
    /// Sorted by priority; of equal ones the last added comes first.
    values: Vec<(u32, Vec<u8>)>,
}

impl Trie {
    /// Adds a value under a key. Values with a lower priority number come first.
    ///
    /// Returns false, and adds nothing, when the key or value is not 7-bit text, which the format cannot hold.
    #[must_use]
    pub fn insert(&mut self, key: &[u8], value: &[u8], priority: u32) -> bool {
        let plain = |text: &[u8]| text.iter().all(|&b| b != 0 && b < 0x80);
        if !plain(key) || !plain(value) {
            return false;
        }
        let mut node = &mut self.root;
        let mut rest = key;
        loop {
            let common = node.prefix.iter().zip(rest).take_while(|(a, b)| a == b).count();
            if common < node.prefix.len() {
                node.split(common);
            }
            rest = rest.get(common..).unwrap_or_default();
            let Some((&first, tail)) = rest.split_first() else { break };
            node = node.children.entry(first).or_insert_with(|| Node { prefix: tail.to_vec(), ..Node::default() });
            rest = tail;
        }
        let at = node.values.partition_point(|(p, _)| *p < priority);
        node.values.insert(at, (priority, value.to_vec()));
        true
    }

    /// The bytes of the index file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(MAGIC.to_be_bytes());
        out.extend(VERSION.to_be_bytes());
        out.extend([0; 4]);
        let root = self.root.write(&mut out);
        fill(&mut out, 8, root);
        out
    }
}

/// Writes a number into reserved space.
fn fill(out: &mut [u8], at: usize, number: u32) {
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&number.to_be_bytes());
    }
}

impl Node {
    /// Splits off the first `at` bytes of the prefix as a parent node.
    fn split(&mut self, at: usize) {
        let prefix = std::mem::take(&mut self.prefix);
        let (above, below) = prefix.split_at(at);
        let Some((&character, below)) = below.split_first() else { return };
        let lower = Node { prefix: below.to_vec(), ..std::mem::take(self) };
        self.prefix = above.to_vec();
        self.children.insert(character, lower);
    }

    /// Appends the node and everything below it; returns its offset with the flags.
    fn write(&self, out: &mut Vec<u8>) -> u32 {
        let mut flags = 0;
        let start = out.len() as u32;
        if !self.prefix.is_empty() {
            flags |= HAS_PREFIX;
            out.extend(&self.prefix);
            out.push(0);
        }
        let range = self.children.first_key_value().zip(self.children.last_key_value());
        let table = range.map(|((&first, _), (&last, _))| {
            flags |= HAS_CHILDREN;
            out.extend([first, last]);
            let table = out.len();
            out.resize(table + (usize::from(last - first) + 1) * 4, 0);
            (table, first)
        });
        if !self.values.is_empty() {
            flags |= HAS_VALUES;
            out.extend((self.values.len() as u32).to_be_bytes());
            for (priority, value) in &self.values {
                out.extend(priority.to_be_bytes());
                out.extend(value);
                out.push(0);
            }
        }
        if let Some((table, first)) = table {
            for (&character, child) in &self.children {
                let offset = child.write(out);
                fill(out, table + usize::from(character - first) * 4, offset);
            }
        }
        start | flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_split_where_keys_part() {
        let mut trie = Trie::default();
        assert!(trie.insert(b"abc", b"x", 1));
        assert!(trie.insert(b"ab", b"y", 2));
        let bytes = trie.to_bytes();
        let want: &[u8] = &[
            0xb0, 0x07, 0xf4, 0x57, 0, 2, 0, 1, 0x20, 0, 0, 12, // header: root with children at 12
            b'a', b'a', 0xe0, 0, 0, 18, // root: one child, which has all three parts
            b'b', 0, b'c', b'c', 0x40, 0, 0, 36, 0, 0, 0, 1, 0, 0, 0, 2, b'y',
            0, // prefix "b", child 'c', value y
            0, 0, 0, 1, 0, 0, 0, 1, b'x', 0, // value x
        ];
        assert_eq!(bytes, want);
    }

    #[test]
    fn equal_priorities_come_last_in_first_out() {
        let mut trie = Trie::default();
        for (value, priority) in [("a", 5), ("b", 5), ("c", 1)] {
            assert!(trie.insert(b"k", value.as_bytes(), priority));
        }
        let values: Vec<_> = trie.root.children[&b'k'].values.iter().map(|(_, v)| v.clone()).collect();
        assert_eq!(values, [b"c", b"b", b"a"]);
        assert!(!trie.insert("ä".as_bytes(), b"", 0));
    }
}
