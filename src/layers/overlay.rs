//! Overlays: files of `overlays/NAME/` laid over the root by their path, compiled into the program.

use include_dir::{Dir, DirEntry, include_dir};

use crate::tree::{Tree, TreeError, TreePath};

static OVERLAYS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/overlays");

/// What can go wrong with an overlay.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// A role names a folder that is not there.
    #[error("there is no folder overlays/{0}")]
    Missing(String),
    /// A file cannot be put in its place.
    #[error("overlay {overlay}: {source}")]
    Tree {
        /// Which overlay.
        overlay: String,
        /// Why.
        source: TreeError,
    },
}

/// Lays the files of `overlays/NAME` over the tree, root's and with the tree's time.
///
/// A file that begins with `#!` is a program (0755), one below `etc/sudoers.d` gets the mode that sudo demands (0440),
/// all others 0644. Folders that exist keep their mode.
///
/// # Errors
/// No such overlay, or a file of the tree in the way of a folder.
pub fn apply(tree: &mut Tree, name: &str) -> Result<(), OverlayError> {
    let folder = OVERLAYS.get_dir(name).ok_or_else(|| OverlayError::Missing(name.to_owned()))?;
    tree.begin_layer(format!("overlay {name}"));
    put(tree, folder, name).map_err(|source| OverlayError::Tree { overlay: name.to_owned(), source })
}

fn put(tree: &mut Tree, folder: &Dir<'static>, name: &str) -> Result<(), TreeError> {
    for entry in folder.entries() {
        match entry {
            DirEntry::Dir(dir) => put(tree, dir, name)?,
            DirEntry::File(file) => {
                let path = file.path().strip_prefix(name).unwrap_or(file.path());
                let path = tree_path(tree, path.to_string_lossy().as_bytes())?;
                let mode = mode(&path, file.contents());
                tree.write(&path, mode, file.contents())?;
            }
        }
    }
    Ok(())
}

/// Follows links of the tree such as `/lib` → `usr/lib` in the folders that exist; those that do not will be made.
fn tree_path(tree: &Tree, path: &[u8]) -> Result<TreePath, TreeError> {
    let path = TreePath::new(path)?;
    let Some(parent) = path.parent() else { return Ok(path) };
    let parent = match tree.resolve(&parent) {
        Err(TreeError::NotFound(_)) => tree_path(tree, parent.as_bytes())?,
        other => other?,
    };
    Ok(parent.join(path.name())?)
}

fn mode(path: &TreePath, content: &[u8]) -> u16 {
    if content.starts_with(b"#!") {
        0o755
    } else if path.as_bytes().starts_with(b"etc/sudoers.d/") {
        0o440
    } else {
        0o644
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_get_the_mode_that_their_place_and_content_ask_for() {
        let mut tree = Tree::new(7);
        apply(&mut tree, "common").unwrap();
        let mode = |path: &str| tree.get(path).unwrap().mode;
        assert_eq!(mode("usr/lib/labimg/grow"), 0o755);
        assert_eq!(mode("etc/sudoers.d/labimg"), 0o440);
        assert_eq!(mode("etc/systemd/network/20-wired.network"), 0o644);
        assert_eq!(tree.get("usr/lib/labimg/grow").unwrap().mtime, 7);
    }

    #[test]
    fn folders_behind_links_of_the_tree_are_found() {
        let mut tree = Tree::new(7);
        tree.mkdir("data/etc", 0o755).unwrap();
        tree.symlink("etc", "data/etc").unwrap();
        apply(&mut tree, "master").unwrap();
        assert!(tree.resolve("etc/nfs.conf.d/labimg.conf").is_ok());
        assert!(matches!(apply(&mut tree, "nothing"), Err(OverlayError::Missing(_))));
    }
}
