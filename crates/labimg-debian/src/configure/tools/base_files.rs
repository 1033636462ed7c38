//! What `base-files` adds to its packaged files: the folders of the Filesystem Hierarchy Standard that a package may
//! not own, and root's dot files.

use super::super::{ConfigureError, Context};
use super::{exists, install_default, is_file, set_owner, touch};
use labimg_tree::{Kind, Tree, TreePath};

/// Does what its `postinst` does on a fresh installation.
///
/// # Errors
/// When a file of the package is missing, or something else is in the place of a folder.
pub(crate) fn configure(context: &mut Context<'_>) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    if exists(tree, "/etc/dpkg/origins/debian") && !exists(tree, "/etc/dpkg/origins/default") {
        tree.symlink("/etc/dpkg/origins/default", "debian")?;
    }
    for (from, to) in [
        ("dot.profile", "/root/.profile"),
        ("dot.bashrc", "/root/.bashrc"),
        ("profile", "/etc/profile"),
        ("motd", "/etc/motd"),
    ] {
        install_default(tree, &format!("/usr/share/base-files/{from}"), to)?;
    }
    for folder in ["mnt", "srv", "opt", "etc/opt", "var/opt", "media"] {
        folder_once(tree, folder, 0o755, 0)?;
    }
    // mail is group 8 in every Debian system (base-passwd).
    folder_once(tree, "var/mail", 0o2775, 8)?;
    if !matches!(tree.get("var/spool/mail").map(|i| &i.kind), Some(Kind::Symlink(_))) {
        tree.symlink("var/spool/mail", "../mail")?;
    }
    folder_once(tree, "run/lock", 0o1777, 0)?;
    folder_to_link(tree, "var/run", "/run")?;
    folder_to_link(tree, "var/lock", "/run/lock")?;

    folder_once(tree, "usr/local", 0o755, 0)?;
    for folder in ["share", "share/man", "bin", "games", "lib", "libexec", "include", "sbin", "src", "etc"]
        .map(|f| format!("usr/local/{f}"))
    {
        folder_once(tree, &folder, 0o755, 0)?;
    }
    tree.symlink("usr/local/man", "share/man")?;

    // utmp is group 43 in every Debian system (base-passwd).
    for (log, mode) in [("wtmp", 0o664), ("btmp", 0o660), ("lastlog", 0o664)] {
        let path = format!("/var/log/{log}");
        touch(tree, &path, mode)?;
        set_owner(tree, &path, 0, 43, mode)?;
    }
    if exists(tree, "/usr/share/info") && !is_file(tree, "/usr/info/dir") {
        install_default(tree, "/usr/share/base-files/info.dir", "/usr/share/info/dir")?;
        set_owner(tree, "/usr/share/info/dir", 0, 0, 0o644)?;
    }
    for folder in ["lib32", "libo32", "libx32"] {
        if exists(tree, format!("usr/{folder}")) && !tree.contains(folder) {
            tree.symlink(folder, format!("usr/{folder}"))?;
        }
    }
    Ok(())
}

fn folder_once(tree: &mut Tree, path: &str, mode: u16, gid: u32) -> Result<(), ConfigureError> {
    if exists(tree, path) {
        return Ok(());
    }
    let path = tree.place(path)?;
    tree.mkdir(&path, mode)?;
    if let Some(inode) = tree.get_mut(&path) {
        inode.gid = gid;
    }
    Ok(())
}

/// Replaces a folder, which packages ship empty, with a link; the link's target keeps its content.
fn folder_to_link(tree: &mut Tree, path: &str, to: &str) -> Result<(), ConfigureError> {
    let path = TreePath::new(path)?;
    match tree.get(&path).map(|i| &i.kind) {
        Some(Kind::Symlink(_)) => return Ok(()),
        Some(Kind::Dir) if tree.below(&path).next().is_some() => {
            return Err(ConfigureError::format(path, format!("is not empty, so it cannot become a link to {to}")));
        }
        _ => tree.remove(&path),
    }
    Ok(tree.symlink(&path, to)?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reference, same_files};
    use super::*;

    fn shipped() -> Tree {
        let mut tree = Tree::new(0);
        for file in ["dot.profile", "dot.bashrc", "profile", "motd", "info.dir"] {
            tree.write(format!("usr/share/base-files/{file}"), 0o644, file).unwrap();
        }
        for folder in
            ["var/run", "var/lock", "run", "etc/dpkg/origins", "root", "usr/share/info", "var/spool", "var/log"]
        {
            tree.mkdir(folder, 0o755).unwrap();
        }
        tree
    }

    #[test]
    fn folders_links_and_modes() {
        let mut tree = shipped();
        configure(&mut Context::new(&mut tree, "arm64")).unwrap();
        assert_eq!(tree.read_text("root/.profile").unwrap(), "dot.profile");
        let mail = tree.get("var/mail").unwrap();
        assert_eq!((mail.mode, mail.gid), (0o2775, 8));
        assert_eq!(tree.resolve("var/lock").unwrap().to_string(), "/run/lock");
        assert_eq!(tree.get("var/log/btmp").unwrap().mode, 0o660);
        // A second run changes nothing.
        let before: Vec<String> = tree.iter().map(|(p, _, i)| format!("{p} {i:?}")).collect();
        configure(&mut Context::new(&mut tree, "arm64")).unwrap();
        assert_eq!(before, tree.iter().map(|(p, _, i)| format!("{p} {i:?}")).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_package_put_into_var_run_is_not_lost() {
        let mut tree = shipped();
        tree.write("var/run/x", 0o644, "").unwrap();
        assert!(configure(&mut Context::new(&mut tree, "arm64")).is_err());
    }

    #[test]
    #[ignore = "needs LABIMG_REFERENCE_TREE, a tree made with the real maintainer scripts"]
    fn same_as_the_reference() {
        let reference = Reference::open();
        let mut tree = reference.tree(&["usr/share/base-files", "usr/share/base-passwd", "etc/dpkg/origins/debian"]);
        for folder in ["var/run", "var/lock", "run", "root", "usr/share/info", "var/spool", "var/log", "usr/lib64"] {
            tree.mkdir(folder, 0o755).unwrap();
        }
        configure(&mut Context::new(&mut tree, "arm64")).unwrap();
        super::super::base_passwd::configure(&mut Context::new(&mut tree, "arm64")).unwrap();
        let files = [
            "etc/dpkg/origins/default",
            "etc/motd",
            "etc/profile",
            "etc/opt",
            "root/.bashrc",
            "root/.profile",
            "mnt",
            "srv",
            "opt",
            "media",
            "var/opt",
            "var/mail",
            "var/spool/mail",
            "var/run",
            "var/lock",
            "var/log/wtmp",
            "var/log/btmp",
            "var/log/lastlog",
            "usr/share/info/dir",
            "usr/local",
            "etc/subuid",
            "etc/subgid",
        ];
        let mut wanted = reference.tree(&files);
        // ca-certificates creates this one.
        wanted.remove(&TreePath::new("usr/local/share/ca-certificates").unwrap());
        same_files(&tree, &wanted, &files);
    }
}
