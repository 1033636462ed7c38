//! What `nfs-common` and `nfs-kernel-server` write: configuration by ucf, and the state files of `/var/lib/nfs`.

use super::{GenError, touch, ucf};
use crate::tree::{Tree, TreeError};

/// Configuration files of `nfs-common`; see [`common_state`] for what needs its user.
///
/// # Errors
/// When a file of the package is missing.
pub fn common_files(tree: &mut Tree) -> Result<(), GenError> {
    let from = "/usr/share/nfs-common/conffiles";
    ucf::install(tree, &format!("{from}/idmapd.conf"), "/etc/idmapd.conf", true)?;
    ucf::install(tree, &format!("{from}/nfs-common.default"), "/etc/default/nfs-common", true)?;
    ucf::install(tree, &format!("{from}/nfs.conf"), "/etc/nfs.conf", true)
}

/// Gives the state of `rpc.statd` to its user (`uid`, with primary group `gid`).
///
/// # Errors
/// When the folders that the package ships are missing.
pub fn common_state(tree: &mut Tree, uid: u32, gid: u32) -> Result<(), GenError> {
    for folder in ["/var/lib/nfs/sm", "/var/lib/nfs/sm.bak"] {
        let path = tree.resolve(folder)?;
        let inode = tree.get_mut(&path).ok_or(TreeError::NotFound(path))?;
        (inode.uid, inode.gid) = (uid, gid);
    }
    touch(tree, "/var/lib/nfs/state", 0o644)?;
    let path = tree.resolve("/var/lib/nfs/state")?;
    let inode = tree.get_mut(&path).ok_or(TreeError::NotFound(path))?;
    inode.uid = uid;
    Ok(())
}

/// Configuration and state files of `nfs-kernel-server`.
///
/// # Errors
/// When a file of the package is missing.
pub fn server_files(tree: &mut Tree) -> Result<(), GenError> {
    let from = "/usr/share/nfs-kernel-server/conffiles";
    ucf::install(tree, &format!("{from}/etc.exports"), "/etc/exports", true)?;
    ucf::install(tree, &format!("{from}/nfs-kernel-server.default"), "/etc/default/nfs-kernel-server", true)?;
    touch(tree, "/var/lib/nfs/etab", 0o644)?;
    touch(tree, "/var/lib/nfs/rmtab", 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_belongs_to_the_daemon() {
        let mut tree = Tree::new(0);
        assert!(common_state(&mut tree, 101, 65_534).is_err());
        tree.mkdir("var/lib/nfs/sm", 0o755).unwrap();
        tree.mkdir("var/lib/nfs/sm.bak", 0o755).unwrap();
        common_state(&mut tree, 101, 65_534).unwrap();
        let owner = |path: &str| tree.get(path).map(|i| (i.uid, i.gid)).unwrap();
        assert_eq!(owner("var/lib/nfs/sm"), (101, 65_534));
        assert_eq!(owner("var/lib/nfs/state"), (101, 0));
    }
}
