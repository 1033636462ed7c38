//! A tree as a cpio archive in the `newc` form that the kernel unpacks
//! (kernel documentation, driver-api/early-userspace/buffer-format).

use std::io::{self, Read, Write};

use labimg_tree::{Content, ContentReader, Kind, Tree};

/// Writes all of `tree` except its root folder. Equal trees give equal bytes; hard links become separate files.
///
/// # Errors
/// A content that cannot be read or is 4 GiB or more, or a write error.
pub fn write<W: Write>(tree: &Tree, mut out: W) -> io::Result<W> {
    for (number, (path, _, inode)) in tree.iter().filter(|(path, _, _)| !path.is_root()).enumerate() {
        let name = std::str::from_utf8(path.as_bytes()).map_err(io::Error::other)?;
        let (content, device) = match &inode.kind {
            Kind::File(content) => (content.clone(), (0, 0)),
            Kind::Symlink(target) => (Content::from(target.clone()), (0, 0)),
            Kind::Char(major, minor) | Kind::Block(major, minor) => (Content::empty(), (*major, *minor)),
            Kind::Dir | Kind::Fifo | Kind::Socket => (Content::empty(), (0, 0)),
        };
        let length = u32::try_from(content.len()).map_err(|_| io::Error::other(format!("{path} is 4 GiB or more")))?;
        let mut entry = cpio::newc::Builder::new(name)
            // Inode 0 would be skipped by some readers.
            .ino(number as u32 + 1)
            .mode(u32::from(inode.kind.type_bits() | inode.mode))
            .uid(inode.uid)
            .gid(inode.gid)
            .nlink(if matches!(inode.kind, Kind::Dir) { 2 } else { 1 })
            .mtime(u32::try_from(inode.mtime).unwrap_or(0))
            .rdev_major(device.0)
            .rdev_minor(device.1)
            .write(out, length);
        let mut buffer = Vec::new();
        ContentReader::new(&content).read_to_end(&mut buffer)?;
        entry.write_all(&buffer)?;
        out = entry.finish()?;
    }
    cpio::newc::trailer(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_as_written() {
        let mut tree = Tree::new(7);
        tree.write("bin/sh", 0o755, "#!").unwrap();
        tree.symlink("sbin", "bin").unwrap();
        let bytes = write(&tree, Vec::new()).unwrap();
        let mut rest = bytes.as_slice();
        let mut seen = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut content = String::new();
            reader.read_to_string(&mut content).unwrap();
            let entry = reader.entry();
            seen.push((entry.name().to_owned(), entry.mode(), entry.mtime(), content));
            rest = reader.finish().unwrap();
        }
        let entry = |name: &str, mode, content: &str| (name.to_owned(), mode, 7, content.to_owned());
        assert_eq!(
            seen,
            [entry("bin", 0o040_755, ""), entry("bin/sh", 0o100_755, "#!"), entry("sbin", 0o120_777, "bin")]
        );
    }
}
