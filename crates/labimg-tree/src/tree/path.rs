//! Paths inside a [`Tree`](super::Tree): bytes, relative to the root, normalised.

use std::borrow::Borrow;
use std::fmt;

use crate::fault::{Fault, FaultKind};

/// A text that is not a path inside the tree, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {why}")]
pub struct PathError {
    /// The path, lossily as text.
    pub path: String,
    /// What is wrong with it, as the end of a sentence.
    pub why: &'static str,
}

/// Names come from packages, so a bad one is the archive's fault.
impl Fault for PathError {
    fn kind(&self) -> FaultKind {
        FaultKind::World
    }
}

/// A path below the root of the node: no leading `/`, no `.`, `..` or empty parts. The root is the empty path.
///
/// The order is by bytes, so a folder always comes before what is in it, but not always directly before.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    /// The root folder.
    #[must_use]
    pub fn root() -> Self {
        Self(Vec::new())
    }

    /// Treats `a/b`, `/a/b`, `./a/b` and `a/b/` as the same path.
    ///
    /// # Errors
    /// A `..` part, a NUL byte, or a part of more than 255 bytes (the limit of ext4).
    pub fn new(text: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let text = text.as_ref();
        let fail = |why| Err(PathError { path: String::from_utf8_lossy(text).into_owned(), why });
        let mut path = Vec::with_capacity(text.len());
        for part in text.split(|&b| b == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return fail("leaves the tree through `..`"),
                _ if part.contains(&0) => return fail("holds a NUL byte"),
                _ if part.len() > 255 => return fail("has a name of more than 255 bytes"),
                _ => {}
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part);
        }
        Ok(Self(path))
    }

    /// The bytes, without a leading `/`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// True for the root folder.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The parent folder; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<TreePath> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|&b| b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].to_vec()))
    }

    /// The last part; empty for the root.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        let start = self.0.iter().rposition(|&b| b == b'/').map_or(0, |p| p + 1);
        &self.0[start..]
    }

    /// This path with `rest` appended.
    ///
    /// # Errors
    /// As [`TreePath::new`].
    pub fn join(&self, rest: impl AsRef<[u8]>) -> Result<TreePath, PathError> {
        let mut all = self.0.clone();
        all.push(b'/');
        all.extend_from_slice(rest.as_ref());
        Self::new(all)
    }

    /// True when `self` is `other` or lies below it.
    #[must_use]
    pub fn starts_with(&self, other: &TreePath) -> bool {
        other.is_root() || (self.0.starts_with(&other.0) && matches!(self.0.get(other.0.len()), None | Some(b'/')))
    }
}

impl Borrow<[u8]> for TreePath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for TreePath {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// With a leading `/`, as people write it.
impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises() {
        for text in ["a/b", "/a/b", "./a/b", "a//b/", "a/./b"] {
            assert_eq!(TreePath::new(text).unwrap().as_bytes(), b"a/b", "{text}");
        }
        assert!(TreePath::new("./").unwrap().is_root());
    }

    #[test]
    fn refuses_what_leaves_the_tree() {
        assert!(TreePath::new("a/../b").is_err());
        assert!(TreePath::new("../etc/passwd").is_err());
        assert!(TreePath::new("a\0b").is_err());
        assert!(TreePath::new("x".repeat(256)).is_err());
    }

    #[test]
    fn parents_and_names() {
        let path = TreePath::new("usr/lib/os-release").unwrap();
        assert_eq!(path.name(), b"os-release");
        assert_eq!(path.parent().unwrap().to_string(), "/usr/lib");
        assert_eq!(TreePath::new("usr").unwrap().parent(), Some(TreePath::root()));
        assert_eq!(TreePath::root().parent(), None);
        assert!(path.starts_with(&TreePath::new("usr/lib").unwrap()));
        assert!(!path.starts_with(&TreePath::new("usr/li").unwrap()));
    }
}
