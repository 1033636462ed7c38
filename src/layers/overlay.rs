//! Overlays: files of `overlays/NAME/` laid over the root by their path: first the built-in ones, then those of the lab
//! folder.

use include_dir::{Dir, DirEntry};

use crate::parts::overlay::{built_in, is_script};
use crate::parts::{OwnFile, OwnKind};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::{Tree, TreeError, TreePath};

/// What can go wrong with an overlay.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// A role names a folder that does not exist.
    #[error("there is no folder overlays/{0}")]
    Missing(String),
    /// A file cannot be put in its place.
    #[error("overlay {overlay} cannot be laid over the system")]
    Tree {
        /// The overlay.
        overlay: String,
        /// The tree's error.
        source: TreeError,
    },
}

impl Fault for OverlayError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Missing(_) => FaultKind::Ours,
            Self::Tree { .. } => FaultKind::World,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Missing(_) => None,
            Self::Tree { source, .. } => source.help(),
        }
    }
}

/// Adds the files of `overlays/NAME` to the tree, owned by root and with the tree's time.
///
/// A file that begins with `#!` is a program (0755), one below `etc/sudoers.d` gets the mode that sudo requires (0440),
/// all others 0644. Existing folders keep their mode.
///
/// # Errors
/// A missing overlay, or a file of the tree in the place of a folder.
pub fn apply(tree: &mut Tree, name: &str) -> Result<(), OverlayError> {
    let folder = built_in(name).ok_or_else(|| OverlayError::Missing(name.to_owned()))?;
    tree.begin_layer(format!("overlay {name}"));
    put(tree, folder, name).map_err(|source| OverlayError::Tree { overlay: name.to_owned(), source })
}

/// Adds the user's files of the overlay `name` to the tree, owned by root and with the tree's time. Modes are as in
/// [`apply`].
///
/// # Errors
/// A file of the tree in the place of a folder, or the other way round.
pub fn apply_own(tree: &mut Tree, name: &str, files: &[OwnFile]) -> Result<(), OverlayError> {
    tree.begin_layer(format!("overlay {name} of the lab folder"));
    for file in files {
        let error = |source| OverlayError::Tree { overlay: format!("{name} of the lab folder"), source };
        let path = tree.place(&file.path).map_err(error)?;
        match &file.kind {
            OwnKind::Link(target) => tree.symlink(&path, target.as_str()).map_err(error)?,
            OwnKind::File { program, content } => {
                let mode = mode(&path, *program);
                tree.write(&path, mode, content.clone()).map_err(error)?;
            }
        }
    }
    Ok(())
}

fn put(tree: &mut Tree, folder: &Dir<'static>, name: &str) -> Result<(), TreeError> {
    for entry in folder.entries() {
        match entry {
            DirEntry::Dir(dir) => put(tree, dir, name)?,
            DirEntry::File(file) => {
                let path = file.path().strip_prefix(name).unwrap_or(file.path());
                let path = tree.place(path.to_string_lossy().as_bytes())?;
                let mode = mode(&path, is_script(file.contents()));
                tree.write(&path, mode, file.contents())?;
            }
        }
    }
    Ok(())
}

fn mode(path: &TreePath, program: bool) -> u16 {
    if path.as_bytes().starts_with(b"etc/sudoers.d/") {
        0o440
    } else if program {
        0o755
    } else {
        0o644
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::one_line;
    use labimg_tree::Content;

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

    fn own(path: &str, kind: OwnKind) -> OwnFile {
        OwnFile { path: path.to_owned(), sha256: labimg_tree::hash::Sha256::of(path), kind }
    }

    fn file(path: &str, program: bool) -> OwnFile {
        own(path, OwnKind::File { program, content: Content::Bytes((*b"mine").into()) })
    }

    #[test]
    fn files_of_the_lab_folder_have_the_last_word() {
        let mut tree = Tree::new(7);
        tree.mkdir("usr/lib", 0o755).unwrap();
        tree.symlink("lib", "usr/lib").unwrap();
        tree.write("etc/motd", 0o600, "theirs").unwrap();
        let files = [
            file("etc/motd", false),
            file("etc/sudoers.d/me", false),
            file("lib/systemd/system/mine.service", false),
            own("etc/link", OwnKind::Link("motd".to_owned())),
            file("usr/local/bin/tool", true),
        ];
        apply_own(&mut tree, "common", &files).unwrap();
        let mode = |path: &str| tree.get(path).unwrap().mode;
        assert_eq!((mode("etc/motd"), mode("etc/sudoers.d/me"), mode("usr/local/bin/tool")), (0o644, 0o440, 0o755));
        assert!(tree.contains("usr/lib/systemd/system/mine.service"), "a folder behind a link");
        assert!(tree.get("etc/link").is_some_and(|i| matches!(&i.kind, labimg_tree::Kind::Symlink { .. })));
        assert_eq!(tree.layer_name(tree.get("etc/motd").unwrap().layer), "overlay common of the lab folder");
    }

    #[test]
    fn a_folder_in_the_way_is_named() {
        let mut tree = Tree::new(7);
        tree.mkdir("etc", 0o755).unwrap();
        let error = one_line(&apply_own(&mut tree, "common", &[file("etc", false)]).unwrap_err());
        assert!(
            error.contains("overlay common of the lab folder cannot be laid over the system: /etc: a folder stands"),
            "{error}"
        );
    }
}
