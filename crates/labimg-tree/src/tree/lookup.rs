//! Finding and reading files as a program on the node would: symbolic links are followed, never out of the tree.

use super::{Kind, Tree, TreeError, TreePath};

impl Tree {
    /// The path that `path` leads to when every symbolic link is followed within the tree, the last one too.
    /// The last part may be missing, as for a file that is about to be made.
    ///
    /// # Errors
    /// A circle of links, a link above the root, or a part on the way that is missing or no folder.
    pub fn resolve(&self, path: impl AsRef<[u8]>) -> Result<TreePath, TreeError> {
        self.walk(path.as_ref(), true)
    }

    /// As [`Tree::resolve`], but a symbolic link at the very end is kept (as `lstat` does).
    ///
    /// # Errors
    /// As [`Tree::resolve`].
    pub fn resolve_parent(&self, path: impl AsRef<[u8]>) -> Result<TreePath, TreeError> {
        self.walk(path.as_ref(), false)
    }

    fn walk(&self, path: &[u8], follow_last: bool) -> Result<TreePath, TreeError> {
        // The kernel's own limit on links in one path (path_resolution(7)).
        const MOST_LINKS: u32 = 40;
        let bad = |what| TreeError::Link { path: TreePath::new(path).unwrap_or_default(), what };
        let mut todo: Vec<Vec<u8>> = path.split(|&b| b == b'/').rev().map(<[u8]>::to_vec).collect();
        let mut at = TreePath::root();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at = at.parent().ok_or_else(|| bad("leads above the root of the tree"))?;
                    continue;
                }
                _ => {}
            }
            let next = at.join(&part)?;
            let more = todo.iter().any(|p| !matches!(p.as_slice(), b"" | b"."));
            match self.get(&next).map(|i| &i.kind) {
                Some(Kind::Symlink(target)) if more || follow_last => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(bad("too many symbolic links: they lead in a circle"));
                    }
                    if target.starts_with(b"/") {
                        at = TreePath::root();
                    }
                    todo.extend(target.split(|&b| b == b'/').rev().map(<[u8]>::to_vec));
                }
                Some(kind) if more && !matches!(kind, Kind::Dir) => {
                    return Err(TreeError::NotAFolder { path: TreePath::new(path)?, parent: next });
                }
                None if more => return Err(TreeError::NotFound(next)),
                _ => at = next,
            }
        }
        Ok(at)
    }

    /// Reads a file, following symbolic links.
    ///
    /// # Errors
    /// When it is missing, no regular file, or cannot be read.
    pub fn read(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>, TreeError> {
        let path = self.resolve(path)?;
        match self.get(&path).map(|i| &i.kind) {
            Some(Kind::File(content)) => content.to_vec().map_err(|source| TreeError::Read { path, source }),
            Some(_) => Err(TreeError::Conflict { path, what: "not a regular file" }),
            None => Err(TreeError::NotFound(path)),
        }
    }

    /// As [`Tree::read`], as text; bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// As [`Tree::read`].
    pub fn read_text(&self, path: impl AsRef<[u8]>) -> Result<String, TreeError> {
        Ok(String::from_utf8_lossy(&self.read(path)?).into_owned())
    }
}
