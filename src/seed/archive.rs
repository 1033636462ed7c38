//! The seed as a file: a gzipped tar that the node's `tar` unpacks over its root (POSIX.1-1988 ustar headers with GNU
//! long names; RFC 1952 for gzip, whose checksum tells the node whether the file is complete).

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use labimg_tree::{Inode, Kind, Tree, TreePath};

/// The tree as a gzipped tar. The same tree gives the same bytes.
///
/// # Errors
/// A content that cannot be read, or a kind of file that seeds do not have.
pub fn archive(tree: &Tree) -> io::Result<Vec<u8>> {
    // The header has no time and no name, which would depend on when and where it was packed.
    let mut tar = Builder::new(GzBuilder::new().mtime(0).write(Vec::new(), Compression::default()));
    for (path, _, inode) in tree.iter().filter(|(path, _, _)| !path.is_root()) {
        append(&mut tar, path, inode)?;
    }
    let mut zip = tar.into_inner()?;
    zip.flush()?;
    zip.finish()
}

fn append<W: Write>(tar: &mut Builder<W>, path: &TreePath, inode: &Inode) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(u32::from(inode.mode));
    header.set_uid(u64::from(inode.uid));
    header.set_gid(u64::from(inode.gid));
    header.set_mtime(inode.mtime.max(0) as u64);
    let name = path.to_string();
    let name = name.trim_start_matches('/');
    match &inode.kind {
        Kind::Dir => {
            header.set_entry_type(EntryType::Directory);
            header.set_size(0);
            tar.append_data(&mut header, format!("{name}/"), io::empty())
        }
        Kind::File(content) => {
            let bytes = content.to_vec()?;
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes.as_slice())
        }
        Kind::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, name, String::from_utf8_lossy(target).as_ref())
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path}: a seed has no such file"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_modes_and_links_go_along_and_the_bytes_are_the_same() {
        let mut tree = Tree::new(1_700_000_000);
        tree.write("etc/rancher/node/password", 0o600, "secret").unwrap();
        tree.symlink("etc/x", "/usr/x").unwrap();
        tree.get_mut("etc/rancher/node/password").unwrap().uid = 1000;
        let bytes = archive(&tree).unwrap();
        assert_eq!(bytes, archive(&tree.clone()).unwrap());
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let seen: Vec<_> = tar
            .entries()
            .unwrap()
            .map(|e| {
                let e = e.unwrap();
                let header = e.header();
                let path = e.path().unwrap().display().to_string();
                (path, header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap())
            })
            .collect();
        let row = |path: &str, mode, uid| (path.to_owned(), mode, uid, 1_700_000_000);
        assert_eq!(
            seen,
            [
                row("etc/", 0o755, 0),
                row("etc/rancher/", 0o755, 0),
                row("etc/rancher/node/", 0o755, 0),
                row("etc/rancher/node/password", 0o600, 1000),
                row("etc/x", 0o777, 0),
            ]
        );
    }
}
