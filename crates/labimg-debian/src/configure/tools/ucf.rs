//! `ucf` and `ucfr` on a fresh installation: configuration files that a maintainer script installs, their checksums in
//! `/var/lib/ucf/hashfile`, their owners in `/var/lib/ucf/registry`, and copies for later three-way merges (ucf(1), FILES).
//!
//! The rotated `hashfile.0` and `registry.0` are not written: they only help after a crash of ucf itself.

use md5::{Digest, Md5};

use super::super::{ConfigureError, Context};
use super::{install_default, touch};

const HASHES: &str = "/var/lib/ucf/hashfile";
const REGISTRY: &str = "/var/lib/ucf/registry";
/// In bytes: ucf keeps a copy of smaller files even without `--three-way`.
const CACHED_BELOW: u64 = 25_600;

/// Creates empty state files, as the `postinst` of the package `ucf` does.
///
/// # Errors
/// When they cannot be put in their place.
pub(crate) fn prepare(context: &mut Context<'_>) -> Result<(), ConfigureError> {
    touch(context.tree, HASHES, 0o644)?;
    touch(context.tree, REGISTRY, 0o644)
}

/// `ucf [--three-way] SOURCE TARGET`: installs `source` as `target` unless a file is there, and records its checksum.
///
/// # Errors
/// When `source` is missing or `target` cannot be put in its place.
pub(crate) fn install(
    context: &mut Context<'_>,
    source: &str,
    target: &str,
    three_way: bool,
) -> Result<(), ConfigureError> {
    install_default(context.tree, source, target)?;
    let bytes = context.tree.read(source)?;
    let digest = format!("{:032x}", u128::from_be_bytes(Md5::digest(&bytes).into()));
    prepare(context)?;
    let tree = &mut *context.tree;
    let mut text = String::new();
    for line in tree.read_text(HASHES)?.lines().filter(|line| line.split_whitespace().nth(1) != Some(target)) {
        text += line;
        text.push('\n');
    }
    text.extend([&digest, "  ", target, "\n"]);
    tree.write(HASHES, 0o644, text)?;
    if three_way || (bytes.len() as u64) < CACHED_BELOW {
        let copy = format!("/var/lib/ucf/cache/{}", target.replace('/', ":"));
        tree.remove(&tree.place(&copy)?);
        install_default(tree, source, &copy)?;
    }
    Ok(())
}

/// `ucfr PACKAGE FILE`: records that a file belongs to the context's package.
///
/// # Errors
/// When it already belongs to another package.
pub(crate) fn register(context: &mut Context<'_>, file: &str) -> Result<(), ConfigureError> {
    prepare(context)?;
    let (tree, package) = (&mut *context.tree, context.package.as_str());
    let mut text = tree.read_text(REGISTRY)?;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if let (Some(owner), Some(owned)) = (words.next(), words.next())
            && owned == file
        {
            return if owner == package {
                Ok(())
            } else {
                Err(ConfigureError::format(REGISTRY, format!("{file} belongs to {owner}, so {package} cannot take it")))
            };
        }
    }
    text.extend([package, " \t ", file, "\n"]);
    Ok(tree.write(REGISTRY, 0o644, text)?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reference, same_files};
    use super::*;
    use labimg_tree::Tree;

    fn register(tree: &mut Tree, package: &str, file: &str) -> Result<(), ConfigureError> {
        let mut context = Context::new(tree, "arm64");
        package.clone_into(&mut context.package);
        super::register(&mut context, file)
    }

    #[test]
    fn files_hashes_and_owners() {
        let mut tree = Tree::new(0);
        tree.write("usr/share/p/conf", 0o640, "x\n").unwrap();
        tree.get_mut("usr/share/p/conf").unwrap().mtime = 7;
        install(&mut Context::new(&mut tree, "arm64"), "/usr/share/p/conf", "/etc/p.conf", true).unwrap();
        install(&mut Context::new(&mut tree, "arm64"), "/usr/share/p/conf", "/etc/p.conf", true).unwrap();
        let file = tree.get("etc/p.conf").unwrap();
        assert_eq!((file.mode, file.mtime), (0o640, 7));
        assert_eq!(tree.read_text(HASHES).unwrap(), "401b30e3b8b5d629635a5c613cdb7919  /etc/p.conf\n");
        assert_eq!(tree.read_text("var/lib/ucf/cache/:etc:p.conf").unwrap(), "x\n");
        register(&mut tree, "p", "/etc/p.conf").unwrap();
        register(&mut tree, "p", "/etc/p.conf").unwrap();
        assert_eq!(tree.read_text(REGISTRY).unwrap(), "p \t /etc/p.conf\n");
        assert!(register(&mut tree, "q", "/etc/p.conf").is_err());
        assert!(install(&mut Context::new(&mut tree, "arm64"), "/usr/share/none", "/etc/q", false).is_err());
    }

    #[test]
    #[ignore = "needs LABIMG_REFERENCE_TREE, a tree made with the real maintainer scripts"]
    fn same_as_the_reference() {
        let reference = Reference::open();
        let mut tree = reference.tree(&["usr/share/openssh", "usr/share/nfs-common", "usr/share/nfs-kernel-server"]);
        install(&mut Context::new(&mut tree, "arm64"), "/usr/share/openssh/sshd_config", "/etc/ssh/sshd_config", true)
            .unwrap();
        register(&mut tree, "openssh-server", "/etc/ssh/sshd_config").unwrap();
        for (source, target) in [
            ("nfs-common/conffiles/idmapd.conf", "/etc/idmapd.conf"),
            ("nfs-common/conffiles/nfs-common.default", "/etc/default/nfs-common"),
            ("nfs-common/conffiles/nfs.conf", "/etc/nfs.conf"),
            ("nfs-kernel-server/conffiles/etc.exports", "/etc/exports"),
            ("nfs-kernel-server/conffiles/nfs-kernel-server.default", "/etc/default/nfs-kernel-server"),
        ] {
            install(&mut Context::new(&mut tree, "arm64"), &format!("/usr/share/{source}"), target, true).unwrap();
        }
        let files = [
            "etc/ssh/sshd_config",
            "etc/idmapd.conf",
            "etc/nfs.conf",
            "etc/exports",
            "etc/default/nfs-common",
            "etc/default/nfs-kernel-server",
            "var/lib/ucf/hashfile",
            "var/lib/ucf/registry",
            "var/lib/ucf/cache",
        ];
        same_files(&tree, &reference.tree(&files), &files);
    }
}
