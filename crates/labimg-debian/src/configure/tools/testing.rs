//! Trees for tests, read from a folder with a system configured by the real maintainer scripts.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use labimg_tree::{Blob, Content, Inode, Kind, Tree, TreePath};

/// The folder that `LABIMG_REFERENCE_TREE` names.
pub(super) struct Reference(PathBuf);

impl Reference {
    /// # Panics
    /// When the variable is unset or does not name a folder: the test was asked for, so it must not pass.
    pub(super) fn open() -> Self {
        let path = PathBuf::from(std::env::var_os("LABIMG_REFERENCE_TREE").expect("LABIMG_REFERENCE_TREE is not set"));
        assert!(path.join("var/lib/dpkg/status").exists(), "{} holds no Debian system", path.display());
        Self(path)
    }

    /// True when the reference has this path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.join(path).symlink_metadata().is_ok()
    }

    /// The given files and folders with everything below them, as in the reference.
    pub(super) fn tree(&self, paths: &[&str]) -> Tree {
        let mut tree = Tree::new(1_700_000_000);
        for path in paths {
            self.add(&mut tree, path);
        }
        tree
    }

    /// Adds a file, or a folder with everything below it.
    pub(super) fn add(&self, tree: &mut Tree, path: &str) {
        let at = self.0.join(path);
        let meta = std::fs::symlink_metadata(&at).unwrap_or_else(|e| panic!("{}: {e}", at.display()));
        let to = TreePath::new(path).unwrap();
        if let Some(parent) = to.parent().filter(|p| !tree.contains(p)) {
            tree.mkdir(&parent, 0o755).unwrap();
        }
        let kind = if meta.is_dir() {
            Kind::Dir
        } else if meta.is_symlink() {
            Kind::Symlink(std::fs::read_link(&at).unwrap().as_os_str().as_bytes().to_vec())
        } else if meta.len() < 1 << 20 {
            Kind::File(Content::from(std::fs::read(&at).unwrap()))
        } else {
            Kind::File(Content::whole(Blob::open(&at).unwrap()))
        };
        let inode = Inode {
            kind,
            mode: (meta.mode() & 0o7777) as u16,
            uid: meta.uid(),
            gid: meta.gid(),
            mtime: meta.mtime(),
            xattrs: BTreeMap::new(),
            layer: tree.begin_layer("reference"),
        };
        tree.insert(&to, inode).unwrap();
        if meta.is_dir() {
            for entry in std::fs::read_dir(&at).unwrap() {
                let name = entry.unwrap().file_name();
                let below = Path::new(path).join(name);
                self.add(tree, below.to_str().unwrap());
            }
        }
    }
}

fn describe(inode: &Inode) -> String {
    let what = match &inode.kind {
        Kind::File(content) => {
            let bytes = content.to_vec().unwrap();
            let text = if bytes.len() < 200 { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() };
            format!("{} bytes, {} {text:?}", bytes.len(), labimg_tree::hash::Sha256::of(&bytes))
        }
        Kind::Symlink(to) => format!("-> {}", String::from_utf8_lossy(to)),
        other => format!("type {:o}", other.type_bits()),
    };
    format!("{:o} {}:{} {what}", inode.mode, inode.uid, inode.gid)
}

/// Compares everything at and below `paths`: kind, mode, owner, content. If `LABIMG_DIFFERENCES` names a folder, files
/// of labimg that differ are written there.
///
/// # Panics
/// With every path that differs.
pub(super) fn same_files(found_tree: &Tree, wanted: &Tree, paths: &[&str]) {
    let list = |tree: &Tree| -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for path in paths {
            let path = TreePath::new(path).unwrap();
            let itself = tree.get(&path).map(|inode| (path.to_string(), describe(inode)));
            all.extend(itself);
            all.extend(tree.below(&path).map(|(p, _, inode)| (p.to_string(), describe(inode))));
        }
        all
    };
    let (found, wanted) = (list(found_tree), list(wanted));
    assert!(!wanted.is_empty(), "the reference has nothing at {paths:?}");
    let mut differences = Vec::new();
    for (path, want) in &wanted {
        match found.get(path) {
            None => differences.push(format!("missing {path}: {want}")),
            Some(have) if have != want => {
                keep(found_tree, path);
                differences.push(format!("{path}: {have}\n    wanted {want}"));
            }
            Some(_) => {}
        }
    }
    differences.extend(found.keys().filter(|p| !wanted.contains_key(*p)).map(|p| format!("not wanted: {p}")));
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

fn keep(tree: &Tree, path: &str) {
    if let (Some(folder), Ok(bytes)) = (std::env::var_os("LABIMG_DIFFERENCES"), tree.read(path)) {
        std::fs::write(Path::new(&folder).join(path.trim_start_matches('/').replace('/', ":")), bytes).unwrap();
    }
}
