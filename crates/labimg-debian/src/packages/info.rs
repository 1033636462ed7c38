//! dpkg's `info` folder: for each package its list of files and the members of its control archive.

use super::Package;
use labimg_tree::{Tree, TreeError};

pub(super) const FOLDER: &str = "var/lib/dpkg/info";

/// Writes `PACKAGE[:ARCH].list`, `.md5sums`, `.postinst` and so on; `time` is the time of the control archive.
pub(super) fn write(tree: &mut Tree, package: &Package, time: i64) -> Result<(), TreeError> {
    tree.begin_layer(format!("package {} {}", package.name, package.version));
    let base = format!("{FOLDER}/{}", package.info_name());
    let mut list = Vec::new();
    for path in &package.files {
        list.push(b'/');
        list.extend_from_slice(if path.is_root() { b"." } else { path.as_bytes() });
        list.push(b'\n');
    }
    tree.write(format!("{base}.list"), 0o644, list)?;
    let scripts = package.scripts.iter().map(|member| (0o755, member));
    for (mode, (name, bytes)) in scripts.chain(package.info.iter().map(|member| (0o644, member))) {
        let path = format!("{base}.{name}");
        tree.write(&path, mode, bytes.clone())?;
        if let Some(inode) = tree.get_mut(&path) {
            inode.mtime = time;
        }
    }
    Ok(())
}
