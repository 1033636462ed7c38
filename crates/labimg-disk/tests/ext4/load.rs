//! Loads a folder of the disk into a tree. Its contents are collected in one file, as in packages.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use labimg_tree::{Blob, Content, Inode, Kind, Tree, TreePath};

fn xattrs(path: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut names = vec![0; 65_536];
    let len = match rustix::fs::llistxattr(path, &mut names) {
        Ok(len) => len,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(e) => return Err(e.into()),
    };
    let mut found = BTreeMap::new();
    for name in names[..len].split(|&b| b == 0).filter(|n| !n.is_empty()) {
        let name = String::from_utf8_lossy(name).into_owned();
        let mut value = vec![0; 65_536];
        let len = rustix::fs::lgetxattr(path, name.as_str(), &mut value)?;
        value.truncate(len);
        found.insert(name, value);
    }
    Ok(found)
}

/// Everything below `folder`, with the contents copied into the new file `pack`.
pub fn load(folder: &Path, pack: &Path) -> io::Result<Tree> {
    enum Found {
        Ready(Inode),
        Packed(Inode, u64, u64),
        Link(TreePath),
    }
    let mut out = BufWriter::with_capacity(1 << 20, File::create(pack)?);
    let mut at = 0;
    let mut seen: HashMap<(u64, u64), TreePath> = HashMap::new();
    let mut found = Vec::new();
    let mut todo = vec![(folder.to_path_buf(), TreePath::root())];
    let layer = Tree::new(0).begin_layer("loaded");
    while let Some((path, tree_path)) = todo.pop() {
        let meta = path.symlink_metadata()?;
        let kind = meta.file_type();
        let device = |rdev| (rustix::fs::major(rdev), rustix::fs::minor(rdev));
        let mut inode = Inode {
            kind: Kind::Dir,
            mode: (meta.mode() & 0o7777) as u16,
            uid: meta.uid(),
            gid: meta.gid(),
            mtime: meta.mtime(),
            xattrs: xattrs(&path)?,
            layer,
        };
        if !kind.is_dir() && meta.nlink() > 1 {
            if let Some(first) = seen.get(&(meta.dev(), meta.ino())) {
                found.push((tree_path, Found::Link(first.clone())));
                continue;
            }
            seen.insert((meta.dev(), meta.ino()), tree_path.clone());
        }
        if kind.is_dir() {
            let mut names: Vec<_> = std::fs::read_dir(&path)?.collect::<io::Result<_>>()?;
            names.sort_unstable_by_key(|n| std::cmp::Reverse(n.file_name()));
            for name in names {
                let below = tree_path.join(name.file_name().as_bytes()).map_err(io::Error::other)?;
                todo.push((name.path(), below));
            }
        } else if kind.is_file() {
            let mut file = File::open(&path)?;
            let len = meta.len();
            let copied = io::copy(&mut Read::take(&mut file, len), &mut out)?;
            // Aligned and with a gap, as in a tar.
            let gap = 512 + copied.next_multiple_of(512) - copied;
            out.write_all(&vec![0; gap as usize])?;
            found.push((tree_path, Found::Packed(inode, at, copied)));
            at += copied + gap;
            continue;
        } else if kind.is_symlink() {
            inode.kind = Kind::Symlink(std::fs::read_link(&path)?.into_os_string().into_vec());
        } else if kind.is_char_device() {
            let (major, minor) = device(meta.rdev());
            inode.kind = Kind::Char(major, minor);
        } else if kind.is_block_device() {
            let (major, minor) = device(meta.rdev());
            inode.kind = Kind::Block(major, minor);
        } else {
            inode.kind = if kind.is_fifo() { Kind::Fifo } else { Kind::Socket };
        }
        found.push((tree_path, Found::Ready(inode)));
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?;
    let blob = Blob::open(pack)?;
    let mut tree = Tree::new(0);
    for (path, what) in found {
        match what {
            Found::Ready(inode) => tree.insert(&path, inode).map(drop),
            Found::Packed(inode, offset, len) => {
                let content = Content::Range { blob: blob.clone(), offset, len };
                tree.insert(&path, Inode { kind: Kind::File(content), ..inode }).map(drop)
            }
            Found::Link(first) => tree.link(&first, &path),
        }
        .map_err(io::Error::other)?;
    }
    Ok(tree)
}
