//! A tree as text, one line per path, to compare trees with each other and with a folder on disk.

use std::fmt::Write;

use super::{ContentReader, Kind, Tree, TreeError};
use crate::hash::Sha256;

/// One line per path in byte order: the path, kind, mode (octal), user, group, and the SHA-256 of the content (first 16
/// digits), the target of a link, or the numbers of a device; then the extended attributes in hexadecimal.
///
/// # Errors
/// A content that cannot be read.
pub fn listing(tree: &Tree) -> impl Iterator<Item = Result<String, TreeError>> {
    tree.iter().map(|(path, _, inode)| {
        let (kind, what) = match &inode.kind {
            Kind::Dir => ("dir", String::new()),
            Kind::File(content) => {
                let hash = Sha256::of_reader(ContentReader::new(content))
                    .map_err(|source| TreeError::Read { path: path.clone(), source })?;
                ("file", hash.to_string().chars().take(16).collect())
            }
            Kind::Symlink(target) => ("link", String::from_utf8_lossy(target).into_owned()),
            Kind::Char(major, minor) => ("char", format!("{major}:{minor}")),
            Kind::Block(major, minor) => ("block", format!("{major}:{minor}")),
            Kind::Fifo => ("fifo", String::new()),
            Kind::Socket => ("socket", String::new()),
        };
        let mut line = format!("{path} {kind} {:o} {} {} {what}", inode.mode, inode.uid, inode.gid);
        for (name, value) in &inode.xattrs {
            // Writing to a string cannot fail.
            let _ = write!(line, " {name}=");
            let _ = value.iter().try_for_each(|byte| write!(line, "{byte:02x}"));
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_path() {
        let mut tree = Tree::new(0);
        tree.write("etc/hostname", 0o644, "").unwrap();
        tree.symlink("bin", "usr/bin").unwrap();
        let lines: Vec<_> = listing(&tree).map(Result::unwrap).collect();
        assert_eq!(
            lines,
            [
                "/ dir 755 0 0",
                "/bin link 777 0 0 usr/bin",
                "/etc dir 755 0 0",
                "/etc/hostname file 644 0 0 e3b0c44298fc1c14"
            ]
        );
    }
}
