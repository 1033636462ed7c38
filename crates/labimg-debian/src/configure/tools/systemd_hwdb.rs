//! `systemd-hwdb --usr update`: `/usr/lib/udev/hwdb.bin` from the `hwdb.d` folders (hwdb(7); the format is in systemd,
//! `src/libsystemd/sd-hwdb/hwdb-internal.h`).

use super::super::{ConfigureError, Context};
use super::strbuf::Strings;
use super::{config_files, systemd_version};
use labimg_tree::interrupt;

const DATABASE: &str = "/usr/lib/udev/hwdb.bin";
const FOLDERS: [&str; 4] =
    ["/etc/udev/hwdb.d", "/run/udev/hwdb.d", "/usr/local/lib/udev/hwdb.d", "/usr/lib/udev/hwdb.d"];
const SIGNATURE: &[u8] = b"KSLPHHRH";
const HEADER: u64 = 80;
const NODE: u64 = 24;
const CHILD: u64 = 16;
const VALUE: u64 = 32;

/// A node in the trie of match patterns; numbers are offsets into the strings.
#[derive(Debug, Default)]
struct Node {
    /// The common prefix of all patterns below.
    prefix: usize,
    /// By the byte that follows the prefix, sorted.
    children: Vec<(u8, usize)>,
    /// Properties, sorted by key.
    values: Vec<Value>,
}

#[derive(Debug, Clone, Copy)]
struct Value {
    key: usize,
    text: usize,
    file: usize,
    line: u32,
    priority: u16,
}

struct Trie {
    strings: Strings,
    nodes: Vec<Node>,
}

/// Compiles the database.
///
/// # Errors
/// When a file cannot be read or systemd's version is not found.
pub(crate) fn update(context: &mut Context<'_>) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    let version = systemd_version(tree)?;
    let mut patterns = Trie { strings: Strings::new(), nodes: vec![Node::default()] };
    for (index, path) in config_files(tree, &FOLDERS, ".hwdb")?.iter().enumerate() {
        interrupt::check()?;
        let priority = u16::try_from(index + 1).unwrap_or(u16::MAX);
        patterns.import(path, &tree.read(path)?, priority);
    }
    tree.write(DATABASE, 0o444, patterns.encode(version))?;
    Ok(())
}

/// Where a property is defined.
#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a str,
    line: u32,
    priority: u16,
}

impl Trie {
    /// Reads records: lines of patterns, then indented lines of properties, then an empty line.
    fn import(&mut self, file: &str, text: &[u8], priority: u16) {
        let mut patterns: Vec<&[u8]> = Vec::new();
        let mut in_properties = false;
        for (number, line) in text.split(|&b| b == b'\n').enumerate() {
            if line.first() == Some(&b'#') {
                continue;
            }
            let line = line.split(|&b| b == b'#').next().unwrap_or_default().trim_ascii_end();
            let indented = line.first() == Some(&b' ');
            if line.is_empty() || (in_properties && !indented) {
                // The end of a record, or a line that invalidates the rest of it.
                patterns.clear();
                in_properties = false;
            } else if indented {
                if patterns.is_empty() {
                    continue;
                }
                in_properties = true;
                let source = Source { file, line: number as u32 + 1, priority };
                if let Some((key, value)) = property(line) {
                    for pattern in &patterns {
                        self.insert(pattern, key, value, source);
                    }
                }
            } else {
                patterns.push(line);
            }
        }
    }

    fn insert(&mut self, pattern: &[u8], key: &[u8], value: &[u8], source: Source) {
        let mut at = 0;
        let mut done = 0;
        loop {
            let mut same = 0;
            loop {
                let byte = self.strings.byte(self.nodes[at].prefix + same);
                if byte == 0 {
                    break;
                }
                if pattern.get(done + same) != Some(&byte) {
                    self.split(at, same, byte);
                    break;
                }
                same += 1;
            }
            done += same;
            let Some(&byte) = pattern.get(done) else {
                return self.add_value(at, key, value, source);
            };
            match self.nodes[at].children.binary_search_by_key(&byte, |c| c.0) {
                Ok(child) => at = self.nodes[at].children[child].1,
                Err(place) => {
                    let prefix = self.strings.add(&pattern[done + 1..]);
                    let new = self.nodes.len();
                    self.nodes.push(Node { prefix, ..Node::default() });
                    self.nodes[at].children.insert(place, (byte, new));
                    return self.add_value(new, key, value, source);
                }
            }
            done += 1;
        }
    }

    /// Splits a node's prefix after `same` bytes: the rest, after `byte`, becomes its only child.
    fn split(&mut self, at: usize, same: usize, byte: u8) {
        let prefix = self.nodes[at].prefix;
        let start = self.strings.text(prefix)[..same].to_vec();
        let child = Node { prefix: prefix + same + 1, ..std::mem::take(&mut self.nodes[at]) };
        let new = self.nodes.len();
        self.nodes.push(child);
        self.nodes[at] = Node { prefix: self.strings.add(&start), children: vec![(byte, new)], values: Vec::new() };
    }

    fn add_value(&mut self, at: usize, key: &[u8], value: &[u8], source: Source) {
        let key_at = self.strings.add(key);
        let entry = Value {
            key: key_at,
            text: self.strings.add(value),
            file: self.strings.add(source.file.as_bytes()),
            line: source.line,
            priority: source.priority,
        };
        let strings = &self.strings;
        let values = &mut self.nodes[at].values;
        match values.binary_search_by(|v| strings.text(v.key).cmp(key)) {
            // A later file wins, but the key's string is that of the first.
            Ok(old) => values[old] = Value { key: values[old].key, ..entry },
            Err(place) => values.insert(place, entry),
        }
    }

    fn encode(&self, version: u64) -> Vec<u8> {
        let nodes_len: u64 =
            self.nodes.iter().map(|n| NODE + CHILD * n.children.len() as u64 + VALUE * n.values.len() as u64).sum();
        let strings_at = HEADER + nodes_len;
        let mut out = vec![0; HEADER as usize];
        let root = self.encode_node(0, strings_at, &mut out);
        out.extend_from_slice(self.strings.bytes());
        let header =
            [version, out.len() as u64, HEADER, NODE, CHILD, VALUE, root, nodes_len, self.strings.bytes().len() as u64];
        out[..8].copy_from_slice(SIGNATURE);
        for (place, number) in out[8..].chunks_exact_mut(8).zip(header) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        out
    }

    /// Writes the children, then the node; returns the node's offset.
    fn encode_node(&self, at: usize, strings_at: u64, out: &mut Vec<u8>) -> u64 {
        let node = &self.nodes[at];
        // The depth is limited by the longest pattern, which is one line of a file.
        let children: Vec<(u8, u64)> =
            node.children.iter().map(|&(byte, child)| (byte, self.encode_node(child, strings_at, out))).collect();
        let place = out.len() as u64;
        let text = |offset: usize| (strings_at + offset as u64).to_le_bytes();
        out.extend(text(node.prefix));
        out.extend((children.len() as u64).to_le_bytes());
        out.extend((node.values.len() as u64).to_le_bytes());
        for (byte, child) in children {
            out.extend(u64::from(byte).to_le_bytes());
            out.extend(child.to_le_bytes());
        }
        for value in &node.values {
            out.extend([value.key, value.text, value.file].into_iter().flat_map(text));
            out.extend(value.line.to_le_bytes());
            out.extend(value.priority.to_le_bytes());
            out.extend([0; 2]);
        }
        place
    }
}

/// The key, with one leading space, and the value.
fn property(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut key, value) = line.split_at(line.iter().position(|&b| b == b'=')?);
    while let [b' ' | b'\t', b' ' | b'\t', ..] = key {
        key = &key[1..];
    }
    (key.len() > 1).then(|| (key, &value[1..]))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reference, same_files};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_share_their_beginnings() {
        let mut trie = Trie { strings: Strings::new(), nodes: vec![Node::default()] };
        let text = b"# c\nusb:v1\nusb:v2*\n  A=1 # note\n   B=2\nbad\n C=3\n\nusb:v1\n A=9\n C=\n";
        trie.import("/f", text, 3);
        let root = &trie.nodes[0];
        assert_eq!(trie.strings.text(root.prefix), b"");
        let usb = &trie.nodes[root.children[0].1];
        assert_eq!((root.children[0].0, trie.strings.text(usb.prefix)), (b'u', b"sb:v".as_slice()));
        let first = &trie.nodes[usb.children[0].1];
        let values: Vec<(&[u8], &[u8], u32)> =
            first.values.iter().map(|v| (trie.strings.text(v.key), trie.strings.text(v.text), v.line)).collect();
        assert_eq!(values, [(b" A".as_slice(), b"9".as_slice(), 10), (b" B", b"2", 5), (b" C", b"", 11)]);
        let out = trie.encode(257);
        assert_eq!(u64::from_le_bytes(out[16..24].try_into().unwrap()), out.len() as u64);
        assert!(out.starts_with(b"KSLPHHRH\x01\x01"));
    }

    proptest! {
        #[test]
        fn no_file_panics(text in proptest::collection::vec(proptest::sample::select(b"ab \n=#\0*".to_vec()), 0..200)) {
            let mut trie = Trie { strings: Strings::new(), nodes: vec![Node::default()] };
            trie.import("/f", &text, 1);
            let out = trie.encode(257);
            prop_assert_eq!(u64::from_le_bytes(out[16..24].try_into().unwrap()), out.len() as u64);
        }
    }

    #[test]
    #[ignore = "needs LABIMG_REFERENCE_TREE, a tree made with the real maintainer scripts"]
    fn same_as_the_reference() {
        let reference = Reference::open();
        let mut tree = reference.tree(&["usr/lib/udev/hwdb.d"]);
        tree.write("usr/lib/x/systemd/libsystemd-shared-257.so", 0o644, "").unwrap();
        update(&mut Context::new(&mut tree, "arm64")).unwrap();
        same_files(&tree, &reference.tree(&["usr/lib/udev/hwdb.bin"]), &["usr/lib/udev/hwdb.bin"]);
    }
}
