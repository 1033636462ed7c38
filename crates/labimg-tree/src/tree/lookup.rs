//! Finds and reads files as a program on the node would: symbolic links are followed, but never out of the tree.

use super::{Inode, InodeId, Kind, Tree, TreeError, TreePath};

/// What a missing folder on the way means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// The lookup fails.
    Fails,
    /// The folder is about to be created.
    WillBeMade,
}

impl Tree {
    /// The path that `path` leads to when every symbolic link is followed within the tree, including the last one. The
    /// last part may be missing, as for a file that is about to be created.
    ///
    /// # Errors
    /// A loop of links, a link above the root, or a part on the way that is missing or not a folder.
    pub fn resolve(&self, path: impl AsRef<[u8]>) -> Result<TreePath, TreeError> {
        self.walk(path.as_ref(), true, Missing::Fails)
    }

    /// As [`Tree::resolve`], but a symbolic link at the very end is kept (as `lstat` does).
    ///
    /// # Errors
    /// As [`Tree::resolve`].
    pub fn resolve_parent(&self, path: impl AsRef<[u8]>) -> Result<TreePath, TreeError> {
        self.walk(path.as_ref(), false, Missing::Fails)
    }

    /// Where something created at `path` ends up. Links of the folders on the way are followed, as by
    /// [`Tree::resolve_parent`], so `/lib/x` ends up in `/usr/lib` when `/lib` is a link. The first missing folder, and
    /// everything below it, keep their names: [`Tree::mkdir`], [`Tree::write`] and [`Tree::symlink`] make the folders.
    /// A link to a missing folder leads to where that folder will be. A link at the very end is kept, since it will be
    /// replaced. `path` may begin with `/` and may hold `..`.
    ///
    /// # Errors
    /// A loop of links, a link or a `..` that leads above the root, or a file where a folder would have to be.
    pub fn place(&self, path: impl AsRef<[u8]>) -> Result<TreePath, TreeError> {
        self.walk(path.as_ref(), false, Missing::WillBeMade)
    }

    /// What lies directly in `folder`, in byte order, including folders. Empty for a folder that is missing or empty
    /// and for anything that is not a folder: a link to a folder is not followed ([`Tree::resolve`] does that). Links
    /// are returned as links.
    pub fn children<'a>(
        &'a self,
        folder: &TreePath,
    ) -> impl Iterator<Item = (&'a TreePath, InodeId, &'a Inode)> + use<'a> {
        let start = if folder.is_root() { 0 } else { folder.as_bytes().len() + 1 };
        self.below(folder).filter(move |(path, _, _)| !path.as_bytes().iter().skip(start).any(|&b| b == b'/'))
    }

    fn walk(&self, path: &[u8], follow_last: bool, missing: Missing) -> Result<TreePath, TreeError> {
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
                None if more && missing == Missing::Fails => return Err(TreeError::NotFound(next)),
                _ => at = next,
            }
        }
        Ok(at)
    }

    /// Reads a file, following symbolic links.
    ///
    /// # Errors
    /// When it is missing, not a regular file, or cannot be read.
    pub fn read(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>, TreeError> {
        let path = self.resolve(path)?;
        match self.get(&path).map(|i| &i.kind) {
            Some(Kind::File(content)) => content.to_vec().map_err(|source| TreeError::Read { path, source }),
            Some(_) => Err(TreeError::Conflict { path, what: "not a regular file" }),
            None => Err(TreeError::NotFound(path)),
        }
    }

    /// As [`Tree::read`], but as text; bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// As [`Tree::read`].
    pub fn read_text(&self, path: impl AsRef<[u8]>) -> Result<String, TreeError> {
        Ok(String::from_utf8_lossy(&self.read(path)?).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree() -> Tree {
        let mut tree = Tree::new(0);
        tree.mkdir("usr/lib", 0o755).unwrap();
        tree.mkdir("run", 0o755).unwrap();
        tree.symlink("lib", "usr/lib").unwrap();
        tree.symlink("var/run", "/run").unwrap();
        tree.symlink("var/lib", "../srv/deep/lib").unwrap();
        tree.write("etc/motd", 0o644, "").unwrap();
        tree.symlink("out", "../../etc").unwrap();
        tree.symlink("a", "b").unwrap();
        tree.symlink("b", "a").unwrap();
        tree
    }

    #[test]
    fn a_place_is_found_through_links_and_missing_folders() {
        let tree = tree();
        for (path, place) in [
            ("/etc/new", "/etc/new"),
            ("etc/none/new", "/etc/none/new"),
            ("lib/x", "/usr/lib/x"),
            // Links above a missing folder are followed too.
            ("/lib/none/deep/x", "/usr/lib/none/deep/x"),
            ("/var/run/none/x", "/run/none/x"),
            // Where the missing folder will be.
            ("/var/lib/x", "/srv/deep/lib/x"),
            ("/var/lib/none/x", "/srv/deep/lib/none/x"),
            // The link will be replaced.
            ("/lib", "/lib"),
            ("/var/lib", "/var/lib"),
            ("/a", "/a"),
            ("/lib/../x", "/usr/x"),
            ("/none/../x", "/x"),
            ("/", "/"),
        ] {
            assert_eq!(tree.place(path).unwrap().to_string(), place, "{path}");
        }
    }

    #[test]
    fn a_place_is_in_the_tree_or_an_error() {
        let tree = tree();
        for path in ["/out/x", "/../x", "/none/../../x", "/a/x"] {
            assert!(matches!(tree.place(path), Err(TreeError::Link { .. })), "{path}");
        }
        assert!(matches!(tree.place("/etc/motd/x"), Err(TreeError::NotAFolder { .. })));
        assert!(matches!(tree.place("/etc/a\0b"), Err(TreeError::Path(_))));
    }

    #[test]
    fn children_are_what_lies_directly_in_a_folder() {
        let mut tree = tree();
        tree.write("usr/lib/x/deep", 0o644, "").unwrap();
        tree.write("usr/lib/x-1", 0o644, "").unwrap();
        tree.write("usr/library", 0o644, "").unwrap();
        let names = |folder: &str| -> Vec<String> {
            tree.children(&TreePath::new(folder).unwrap()).map(|(path, _, _)| path.to_string()).collect()
        };
        assert_eq!(names("usr/lib"), ["/usr/lib/x", "/usr/lib/x-1"]);
        assert_eq!(names("/"), ["/a", "/b", "/etc", "/lib", "/out", "/run", "/usr", "/var"]);
        for nothing in ["lib", "none", "run", "etc/motd"] {
            assert!(names(nothing).is_empty(), "{nothing}");
        }
    }

    proptest! {
        /// When every folder exists, `place` gives the same as [`Tree::resolve_parent`]; and a file can be written to
        /// any place.
        #[test]
        fn a_place_can_be_written(path in "(/?(usr|lib|var|run|etc|none|\\.\\.|x)){1,5}") {
            let mut tree = tree();
            let found = tree.resolve_parent(&path);
            let place = tree.place(&path);
            match (found, place) {
                (Ok(found), place) => prop_assert_eq!(found, place.unwrap()),
                (Err(TreeError::NotFound(_)), Ok(place)) => {
                    prop_assert!(!tree.contains(&place) || path.contains(".."), "{} {}", path, place);
                    if !tree.contains(&place) {
                        tree.write(&place, 0o644, "").unwrap();
                    }
                }
                (Err(_), place) => prop_assert!(place.is_err()),
            }
        }
    }
}
