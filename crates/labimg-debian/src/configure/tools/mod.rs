//! Debian's tools that maintainer scripts call, one file each, by the tool's name.
//!
//! Each works on a tree in which the packages are unpacked and their dependencies configured. It writes what the real
//! tool would write, so that the tool itself can continue from there on the node.

pub(super) mod accounts;
pub(super) mod adduser;
pub(super) mod base_files;
pub(super) mod base_passwd;
pub(super) mod deb_systemd_helper;
pub(super) mod debconf;
pub(super) mod dpkg_divert;
pub(super) mod dpkg_statoverride;
pub(super) mod journalctl;
pub(super) mod ldconfig;
pub(super) mod pam_auth_update;
pub(super) mod shadowconfig;
pub(super) mod shell;
mod strbuf;
pub(super) mod systemctl;
pub(super) mod systemd_hwdb;
pub(super) mod systemd_sysusers;
pub(super) mod systemd_tmpfiles;
#[cfg(test)]
mod testing;
pub(super) mod ucf;
pub(super) mod units;
pub(super) mod update_alternatives;
pub(super) mod update_ca_certificates;
pub(super) mod update_rc_d;
pub(super) mod update_shells;

use std::collections::BTreeMap;

use super::ConfigureError;
use labimg_tree::{Inode, Kind, Tree, TreeError, TreePath};

/// The path that `path` leads to through links, if it exists.
fn target(tree: &Tree, path: impl AsRef<[u8]>) -> Option<TreePath> {
    tree.resolve(path).ok().filter(|path| tree.contains(path))
}

/// True when `path` exists, following links (`test -e`).
fn exists(tree: &Tree, path: impl AsRef<[u8]>) -> bool {
    target(tree, path).is_some()
}

/// True when `path` is a regular file, following links (`test -f`).
fn is_file(tree: &Tree, path: impl AsRef<[u8]>) -> bool {
    tree.resolve(path).is_ok_and(|p| matches!(tree.get(&p), Some(Inode { kind: Kind::File(_), .. })))
}

/// The text of a file; empty when it is missing.
fn text_of(tree: &Tree, path: &str) -> Result<String, TreeError> {
    if exists(tree, path) { tree.read_text(path) } else { Ok(String::new()) }
}

/// Copies a file with owner, mode and time, as `cp -p` does, unless `to` already exists.
fn install_default(tree: &mut Tree, from: &str, to: &str) -> Result<(), ConfigureError> {
    if is_file(tree, to) {
        return Ok(());
    }
    let source = tree.resolve(from)?;
    let inode = tree.get(&source).cloned().ok_or(TreeError::NotFound(source))?;
    let to = tree.place(to)?;
    if let Some(parent) = to.parent()
        && !tree.contains(&parent)
    {
        tree.mkdir(&parent, 0o755)?;
    }
    tree.insert(&to, inode)?;
    Ok(())
}

/// Creates an empty file owned by root if it is missing (`touch`).
fn touch(tree: &mut Tree, path: &str, mode: u16) -> Result<(), ConfigureError> {
    if !exists(tree, path) {
        tree.write(tree.place(path)?, mode, "")?;
    }
    Ok(())
}

/// Files of drop-in folders, sorted by name. Of files with equal names the first folder's counts (systemd's
/// `conf_files_list`). An empty file or a link to `/dev/null` masks the name.
fn config_files(tree: &Tree, folders: &[&str], suffix: &str) -> Result<Vec<String>, ConfigureError> {
    let mut files: BTreeMap<Vec<u8>, Option<String>> = BTreeMap::new();
    for folder in folders {
        let folder = TreePath::new(folder)?;
        for (path, _, inode) in tree.children(&folder) {
            if !path.name().ends_with(suffix.as_bytes()) {
                continue;
            }
            let hides = match &inode.kind {
                Kind::File(content) => content.is_empty(),
                Kind::Symlink(to) => to == b"/dev/null",
                _ => continue,
            };
            files.entry(path.name().to_vec()).or_insert_with(|| (!hides).then(|| path.to_string()));
        }
    }
    Ok(files.into_values().flatten().collect())
}

/// The major version of the unpacked systemd, from the name of its private library.
fn systemd_version(tree: &Tree) -> Result<u64, ConfigureError> {
    let lib = TreePath::new("usr/lib")?;
    let version = |path: &TreePath| {
        let name = std::str::from_utf8(path.name()).ok()?;
        let version = name.strip_prefix("libsystemd-shared-")?.strip_suffix(".so")?;
        version.split(['.', '-', '~']).next()?.parse().ok()
    };
    tree.below(&lib).find_map(|(path, _, _)| version(path)).ok_or_else(|| {
        ConfigureError::format("/usr/lib", "holds no libsystemd-shared-*.so, so systemd's version is unknown")
    })
}

/// The path of a configuration file that a script names without its folder; the first folder that has it wins.
fn named_file(tree: &Tree, folders: &[&str], name: &str) -> Option<String> {
    let mut paths = folders.iter().map(|folder| format!("{folder}/{name}"));
    if name.starts_with('/') { Some(name.to_owned()) } else { paths.find(|path| exists(tree, path)) }
}

/// Sets owner, group and mode of `path`, following links.
fn set_owner(tree: &mut Tree, path: &str, uid: u32, gid: u32, mode: u16) -> Result<(), TreeError> {
    let path = tree.resolve(path)?;
    let Some(inode) = tree.get_mut(&path) else { return Err(TreeError::NotFound(path)) };
    (inode.uid, inode.gid, inode.mode) = (uid, gid, mode);
    Ok(())
}

/// Matches a whole path against a pattern with `*` (any characters except `/`) and `?`.
fn matches(pattern: &str, text: &str) -> bool {
    let (mut p, mut t) = (pattern.chars(), text.chars());
    match (p.next(), t.next()) {
        (None, None) => true,
        (Some('*'), _) if matches(p.as_str(), text) => true,
        (Some('*'), Some(c)) => c != '/' && matches(pattern, t.as_str()),
        (Some('?'), Some(c)) if c != '/' => matches(p.as_str(), t.as_str()),
        (Some(a), Some(b)) if a == b => matches(p.as_str(), t.as_str()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_matches_itself(text in "[a-c/]{0,12}") {
            prop_assert!(matches(&text, &text));
            let pattern = format!("{text}*");
            prop_assert!(matches(&pattern, &text));
        }
    }
}
