//! Overlays: files of `overlays/NAME/` laid over the root by their path: first the built-in ones, then those of the lab
//! folder.

use include_dir::{Dir, DirEntry};

use super::accounts::{Accounts, NoAccount};
use super::node::UID;
use crate::parts::overlay::{built_in, is_script, usual_mode};
use crate::parts::reserved::HOSTS;
use crate::parts::{OwnFile, OwnKind};
use crate::user_name;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::{Kind, Tree, TreeError, TreePath};

/// What can go wrong with an overlay.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// A role names a folder that does not exist.
    #[error("there is no folder overlays/{0}")]
    Missing(String),
    /// A file's owner is not in the image.
    #[error("overlays/{overlay}/{path} is to belong to the {} `{}`, which this image does not have", missing.what, missing.name)]
    Account {
        /// The overlay.
        overlay: String,
        /// The path below it.
        path: String,
        /// The user or group.
        missing: NoAccount,
    },
    /// Something else took a file's place.
    #[error("overlays/{overlay}/{path} would be lost: {layer} has a file in its place")]
    Lost {
        /// The overlay.
        overlay: String,
        /// The path below it.
        path: String,
        /// The layer.
        layer: String,
    },
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
            Self::Account { .. } | Self::Lost { .. } => FaultKind::Configuration,
            Self::Tree { .. } => FaultKind::World,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Missing(_) => None,
            Self::Account { missing, .. } => Some(missing.help()),
            Self::Lost { .. } => Some("take the file out".to_owned()),
            Self::Tree { source, .. } => source.help(),
        }
    }
}

/// Adds the files of `overlays/NAME` to the tree, owned by root and with the tree's time.
///
/// Modes are those of [`usual_mode`]. Existing folders keep theirs.
///
/// # Errors
/// A missing overlay, or a file of the tree in the place of a folder.
pub fn apply(tree: &mut Tree, name: &str) -> Result<(), OverlayError> {
    let folder = built_in(name).ok_or_else(|| OverlayError::Missing(name.to_owned()))?;
    tree.begin_layer(format!("overlay {name}"));
    put(tree, folder, name).map_err(|source| OverlayError::Tree { overlay: name.to_owned(), source })
}

/// What follows the name in the layers of the user's files.
const OF_LAB: &str = " of the lab folder";

/// Adds the user's files of the overlay `name` to the tree, each by [`lay`]. `/etc/hosts` is left out: its lines are in the
/// node's own.
///
/// # Errors
/// A file of the tree in the place of a folder, or the other way round; an owner whom the image does not have.
pub fn apply_own(tree: &mut Tree, name: &str, files: &[OwnFile], user: &str) -> Result<(), OverlayError> {
    tree.begin_layer(format!("overlay {name}{OF_LAB}"));
    let error = |source| OverlayError::Tree { overlay: format!("{name}{OF_LAB}"), source };
    let accounts = Accounts::of(tree).map_err(error)?;
    for file in files.iter().filter(|file| file.path != HOSTS) {
        lay(tree, file, &accounts, user).map_err(|e| match e {
            LayError::Tree(source) => error(source),
            LayError::Account(missing) => {
                OverlayError::Account { overlay: name.to_owned(), path: file.path.clone(), missing }
            }
        })?;
    }
    Ok(())
}

/// Why a file of the user cannot be laid over a tree.
#[derive(Debug)]
pub enum LayError {
    /// A file of the tree is in the place of a folder, or the other way round.
    Tree(TreeError),
    /// Its owner is not in the image.
    Account(NoAccount),
}

impl From<TreeError> for LayError {
    fn from(source: TreeError) -> Self {
        Self::Tree(source)
    }
}

/// Lays one file of the user over a tree, in the current layer. It belongs to root, below the home folder of `user` to that
/// user, unless `modes.toml` names others.
///
/// # Errors
/// See [`LayError`].
pub fn lay(tree: &mut Tree, file: &OwnFile, accounts: &Accounts, user: &str) -> Result<(), LayError> {
    let path = tree.place(&file.path)?;
    let new = missing_folders(tree, &path);
    match &file.kind {
        OwnKind::Folder if tree.resolve(&path).is_ok_and(|path| is_folder(tree, &path)) && file.mode.is_none() => {}
        OwnKind::Folder => tree.mkdir(&path, file.mode.unwrap_or(0o755))?,
        OwnKind::Link(target) => tree.symlink(&path, target.as_str())?,
        OwnKind::File(content) => tree.write(&path, file.mode.unwrap_or(0o644), content.clone())?,
    }
    let home = user_name::home(user);
    let is_in_home =
        |path: &&TreePath| path.as_bytes().strip_prefix(home.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
    for path in new.iter().chain([&path]).filter(is_in_home) {
        if let Some(inode) = tree.get_mut(path) {
            (inode.uid, inode.gid) = (UID, UID);
        }
    }
    let ids = accounts.ids(&file.owners).map_err(LayError::Account)?;
    if ids != (None, None)
        && let Some(inode) = tree.get_mut(&path)
    {
        (inode.uid, inode.gid) = (ids.0.unwrap_or(inode.uid), ids.1.unwrap_or(inode.gid));
    }
    Ok(())
}

/// Checks that all files of the user are in the tree as they were laid over it.
///
/// # Errors
/// The first that a later layer replaced.
pub fn check_kept(tree: &Tree, own_files: &[(String, Vec<OwnFile>)]) -> Result<(), OverlayError> {
    for (name, files) in own_files {
        for file in files.iter().filter(|file| !file.is_folder() && file.path != HOSTS) {
            let error = |source| OverlayError::Tree { overlay: format!("{name}{OF_LAB}"), source };
            let path = tree.place(&file.path).map_err(error)?;
            let layer = tree.get(&path).map_or("another layer", |inode| tree.layer_name(inode.layer));
            if !layer.ends_with(OF_LAB) {
                let (overlay, path, layer) = (name.clone(), file.path.clone(), layer.to_owned());
                return Err(OverlayError::Lost { overlay, path, layer });
            }
        }
    }
    Ok(())
}

fn is_folder(tree: &Tree, path: &TreePath) -> bool {
    tree.get(path).is_some_and(|inode| matches!(inode.kind, Kind::Dir))
}

/// The folders above `path` that do not exist yet.
fn missing_folders(tree: &Tree, path: &TreePath) -> Vec<TreePath> {
    std::iter::successors(path.parent(), TreePath::parent).take_while(|path| !tree.contains(path)).collect()
}

fn put(tree: &mut Tree, folder: &Dir<'static>, name: &str) -> Result<(), TreeError> {
    for entry in folder.entries() {
        match entry {
            DirEntry::Dir(dir) => put(tree, dir, name)?,
            DirEntry::File(file) => {
                let path = file.path().strip_prefix(name).unwrap_or(file.path());
                let path = tree.place(path.to_string_lossy().as_bytes())?;
                let mode = usual_mode(&path.to_string()[1..], is_script(file.contents()));
                tree.write(&path, mode, file.contents())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::Owners;
    use crate::wording::one_line;
    use labimg_tree::Content;

    #[test]
    fn files_get_the_mode_that_their_place_and_content_ask_for() {
        let mut tree = Tree::new(7);
        apply(&mut tree, "common").unwrap();
        let mode = |path: &str| tree.get(path).unwrap().mode;
        assert_eq!(mode("usr/lib/labimg/grow"), 0o755);
        assert_eq!(usual_mode("etc/sudoers.d/mine", false), 0o440);
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

    fn own(path: &str, kind: OwnKind, mode: Option<u16>) -> OwnFile {
        let sha256 = labimg_tree::hash::Sha256::of(path);
        OwnFile { path: path.to_owned(), sha256, kind, mode, owners: Owners::default() }
    }

    fn file(path: &str, mode: u16) -> OwnFile {
        own(path, OwnKind::File(Content::Bytes((*b"mine").into())), Some(mode))
    }

    #[test]
    fn files_of_the_lab_folder_have_the_last_word() {
        let mut tree = Tree::new(7);
        tree.mkdir("usr/lib", 0o755).unwrap();
        tree.symlink("lib", "usr/lib").unwrap();
        tree.write("etc/motd", 0o600, "theirs").unwrap();
        tree.mkdir("var/spool", 0o700).unwrap();
        let files = [
            file("etc/motd", 0o644),
            file("lib/systemd/system/mine.service", 0o644),
            own("etc/link", OwnKind::Link("motd".to_owned()), None),
            own("var/spool", OwnKind::Folder, None),
            own("lib", OwnKind::Folder, None),
            own("srv/new", OwnKind::Folder, None),
            own("srv/closed", OwnKind::Folder, Some(0o700)),
            file("home/lab/.config/app/conf", 0o600),
        ];
        apply_own(&mut tree, "common", &files, "lab").unwrap();
        let mode = |path: &str| tree.get(path).unwrap().mode;
        assert_eq!(
            [mode("etc/motd"), mode("var/spool"), mode("srv/new"), mode("srv/closed")],
            [0o644, 0o700, 0o755, 0o700]
        );
        assert!(tree.contains("usr/lib/systemd/system/mine.service"), "a folder behind a link");
        assert!(matches!(tree.get("lib").unwrap().kind, Kind::Symlink(_)), "a folder that is there behind a link");
        assert!(matches!(tree.get("etc/link").unwrap().kind, Kind::Symlink(_)));
        assert_eq!(tree.layer_name(tree.get("etc/motd").unwrap().layer), "overlay common of the lab folder");
        for path in ["home/lab/.config", "home/lab/.config/app", "home/lab/.config/app/conf"] {
            assert_eq!(tree.get(path).unwrap().uid, UID, "{path}");
        }
        check_kept(&tree, &[("common".to_owned(), files.to_vec())]).unwrap();
        tree.begin_layer("manifest");
        tree.write("etc/motd", 0o644, "labimg's").unwrap();
        let error = one_line(&check_kept(&tree, &[("common".to_owned(), files.to_vec())]).unwrap_err());
        assert!(error.starts_with("overlays/common/etc/motd would be lost: manifest has a file"), "{error}");
    }

    #[test]
    fn owners_are_those_of_the_image() {
        let mut tree = Tree::new(7);
        tree.write("etc/passwd", 0o644, "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n").unwrap();
        tree.write("etc/group", 0o644, "root:x:0:\nadm:x:4:\n").unwrap();
        let owned = |user: &str, group: &str| {
            let owners = Owners { user: Some(user.to_owned()), group: Some(group.to_owned()) };
            [OwnFile { owners, ..file("srv/x", 0o640) }]
        };
        apply_own(&mut tree, "common", &owned("www-data", "adm"), "lab").unwrap();
        let ids = |tree: &Tree| tree.get("srv/x").map(|inode| (inode.uid, inode.gid));
        assert_eq!(ids(&tree), Some((33, 4)));
        apply_own(&mut tree, "common", &owned("990", "991"), "lab").unwrap();
        assert_eq!(ids(&tree), Some((990, 991)));
        let error = one_line(&apply_own(&mut tree, "common", &owned("www-dada", "adm"), "lab").unwrap_err());
        assert!(error.starts_with("overlays/common/srv/x is to belong to the user `www-dada`"), "{error}");
        assert!(error.contains("did you mean `www-data`?"), "{error}");
        assert!(apply_own(&mut tree, "common", &owned("root", "www-data"), "lab").is_err(), "no such group");
    }

    #[test]
    fn a_folder_in_the_way_is_named() {
        let mut tree = Tree::new(7);
        tree.mkdir("etc", 0o755).unwrap();
        let error = one_line(&apply_own(&mut tree, "common", &[file("etc", 0o644)], "lab").unwrap_err());
        assert!(
            error.contains("overlay common of the lab folder cannot be laid over the system: /etc: a folder stands"),
            "{error}"
        );
    }
}
