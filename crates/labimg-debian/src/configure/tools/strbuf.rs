//! The pool of zero-terminated strings in systemd's binary databases. A string that is the end of one already there
//! takes no new bytes, so the order in which strings are added matters (systemd, `src/basic/strbuf.c`, described in its
//! comments).

/// The strings in order, with an index that is searched from the last byte to the first.
#[derive(Debug)]
pub(crate) struct Strings {
    bytes: Vec<u8>,
    nodes: Vec<Node>,
}

/// A string, and those that share its end but differ in the bytes before it.
#[derive(Debug, Default)]
struct Node {
    offset: usize,
    len: usize,
    /// By the byte before the common end, sorted.
    children: Vec<(u8, usize)>,
}

impl Strings {
    /// A pool that holds the empty text at offset 0.
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0], nodes: vec![Node::default()] }
    }

    /// The offset of a string without zero bytes; adds it if it is new.
    pub(crate) fn add(&mut self, text: &[u8]) -> usize {
        if text.is_empty() {
            return 0;
        }
        let mut at = 0;
        for depth in 0..=text.len() {
            let node = &self.nodes[at];
            if let Some(within) = node.len.checked_sub(text.len()) {
                let offset = node.offset + within;
                if depth == text.len() || self.bytes[offset..offset + text.len()] == *text {
                    return offset;
                }
            }
            // At the depth of its length at the latest, the text is the end of the node's: the walk followed its bytes.
            let byte = text[text.len() - 1 - depth];
            match node.children.binary_search_by_key(&byte, |c| c.0) {
                Ok(child) => at = node.children[child].1,
                Err(place) => {
                    let offset = self.bytes.len();
                    self.bytes.extend_from_slice(text);
                    self.bytes.push(0);
                    let new = self.nodes.len();
                    self.nodes[at].children.insert(place, (byte, new));
                    self.nodes.push(Node { offset, len: text.len(), children: Vec::new() });
                    return offset;
                }
            }
        }
        0
    }

    /// The string at an offset, without its zero.
    pub(crate) fn text(&self, offset: usize) -> &[u8] {
        let rest = &self.bytes[offset..];
        &rest[..rest.iter().position(|&b| b == 0).unwrap_or(rest.len())]
    }

    /// The byte at an offset.
    pub(crate) fn byte(&self, offset: usize) -> u8 {
        self.bytes[offset]
    }

    /// All strings.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ends_are_shared() {
        let mut strings = Strings::new();
        let long = strings.add(b"abc");
        assert_eq!(strings.add(b"bc"), long + 1);
        assert_eq!(strings.add(b""), 0);
        assert_eq!(strings.add(b"abc"), long);
        assert_eq!(strings.bytes(), b"\0abc\0");
    }

    proptest! {
        #[test]
        fn every_text_is_found_again(texts in proptest::collection::vec("[ab]{0,6}", 0..60)) {
            let mut strings = Strings::new();
            for text in &texts {
                let at = strings.add(text.as_bytes());
                prop_assert_eq!(strings.text(at), text.as_bytes());
            }
            let size = strings.bytes().len();
            for text in &texts {
                strings.add(text.as_bytes());
            }
            prop_assert_eq!(strings.bytes().len(), size);
        }
    }
}
