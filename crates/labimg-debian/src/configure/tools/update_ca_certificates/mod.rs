//! `ca-certificates` on a fresh installation with every certificate trusted: the list `/etc/ca-certificates.conf`, and
//! in `/etc/ssl/certs` one link per certificate, one per subject hash, and the bundle (update-ca-certificates(8),
//! openssl-rehash(1)).

mod subject;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::{ConfigureError, Context};
use super::exists;
use labimg_tree::interrupt;
use labimg_tree::{Inode, Kind, Tree, TreePath};

const CONF: &str = "/etc/ca-certificates.conf";
const SHIPPED: &str = "usr/share/ca-certificates";
const LOCAL: &str = "usr/local/share/ca-certificates";
const CERTS: &str = "etc/ssl/certs";
const BUNDLE: &str = "ca-certificates.crt";

/// Does what the package's postinst does; `head` is the beginning of its list.
///
/// # Errors
/// As [`fresh`].
pub(crate) fn configure(context: &mut Context<'_>, head: &str) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    if !exists(tree, LOCAL) {
        // With the mode and group of /usr/local, so that those who may write there may write here.
        let (mode, gid) = tree.get("usr/local").map_or((0o755, 0), |i| (i.mode, i.gid));
        tree.mkdir(LOCAL, mode)?;
        if let Some(inode) = tree.get_mut(LOCAL) {
            inode.gid = gid;
        }
    }
    if !exists(tree, CONF) {
        let mut text = head.to_owned();
        for name in available(tree)? {
            text += &name;
            text.push('\n');
        }
        tree.write(CONF, 0o644, text)?;
    }
    fresh(context)
}

/// Paths of the packaged certificates, relative to their folder, in byte order.
///
/// # Errors
/// A name that is not UTF-8.
pub(super) fn available(tree: &Tree) -> Result<Vec<String>, ConfigureError> {
    let folder = TreePath::new(SHIPPED)?;
    let mut names = Vec::new();
    for (path, _, inode) in tree.below(&folder) {
        if matches!(inode.kind, Kind::File(_)) && path.name().ends_with(b".crt") {
            let name = String::from_utf8(path.as_bytes()[SHIPPED.len() + 1..].to_vec());
            names.push(name.map_err(|_| ConfigureError::format(path, "the name is not UTF-8"))?);
        }
    }
    names.sort();
    Ok(names)
}

/// `update-ca-certificates --fresh`: links and bundle from the list and from `/usr/local/share/ca-certificates`.
///
/// # Errors
/// When a certificate cannot be read or is damaged.
pub(crate) fn fresh(context: &mut Context<'_>) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    tree.mkdir(CERTS, 0o755)?;
    let mut trusted: Vec<TreePath> = Vec::new();
    for line in tree.read_text(CONF)?.lines().filter(|l| !l.is_empty() && !l.starts_with(['#', '!'])) {
        let path = TreePath::new(format!("{SHIPPED}/{line}"))?;
        // A certificate in the list that no package ships any more is skipped, as the real tool does.
        if tree.contains(&path) {
            trusted.push(path);
        }
    }
    let local = TreePath::new(LOCAL)?;
    trusted.extend(
        tree.below(&local)
            .filter(|(p, _, i)| matches!(i.kind, Kind::File(_)) && p.name().ends_with(b".crt"))
            .map(|(p, _, _)| p.clone()),
    );

    let folder = TreePath::new(CERTS)?;
    let old: Vec<TreePath> =
        tree.below(&folder).filter(|(p, _, i)| is_stale(p, i)).map(|(p, _, _)| p.clone()).collect();
    for path in &old {
        tree.remove(path);
    }

    let mut bundle = Vec::new();
    for path in &trusted {
        let pem = tree.read(path)?;
        tree.symlink(folder.join(link_name(path))?, path.to_string())?;
        bundle.extend_from_slice(&pem);
        if !pem.ends_with(b"\n") {
            bundle.push(b'\n');
        }
    }
    rehash(tree, &folder)?;
    tree.write(folder.join(BUNDLE)?, 0o644, bundle)?;
    Ok(())
}

/// Links made by an earlier run: to certificates, and by hash.
fn is_stale(path: &TreePath, inode: &Inode) -> bool {
    let Kind::Symlink(to) = &inode.kind else { return false };
    let (shipped, local) = (format!("/{SHIPPED}/"), format!("/{LOCAL}/"));
    let name = path.name();
    let hashed = name.len() > 9 && name[..8].iter().all(u8::is_ascii_hexdigit) && name[8] == b'.';
    to.starts_with(shipped.as_bytes()) || to.starts_with(local.as_bytes()) || hashed
}

fn link_name(path: &TreePath) -> Vec<u8> {
    let name = path.name();
    let stem = name.strip_suffix(b".crt").unwrap_or(name);
    let mut link: Vec<u8> = stem
        .iter()
        .map(|&b| match b {
            b' ' | b',' => b'_',
            b'(' | b')' => b'=',
            other => other,
        })
        .collect();
    link.extend_from_slice(b".pem");
    link
}

/// Creates `HASH.N` links to every file in the folder with exactly one certificate; N counts subjects with the same
/// hash.
fn rehash(tree: &mut Tree, folder: &TreePath) -> Result<(), ConfigureError> {
    let mut found: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
    let mut links = Vec::new();
    for (path, _, _) in tree.below(folder) {
        interrupt::check()?;
        let name = path.name();
        if ![b".pem".as_slice(), b".crt", b".cer"].iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let certificates = decode(&path.to_string(), &tree.read(path)?)?;
        let [certificate] = certificates.as_slice() else { continue };
        if !found.insert(certificate.clone()) {
            continue;
        }
        let hash = subject::hash(certificate).map_err(|what| ConfigureError::format(path, what))?;
        let number = counts.entry(hash).or_default();
        links.push((format!("{hash:08x}.{number}"), name.to_vec()));
        *number += 1;
    }
    for (link, name) in links {
        tree.symlink(folder.join(link)?, name)?;
    }
    Ok(())
}

/// The DER of every certificate in a PEM text (RFC 7468).
fn decode(path: &str, pem: &[u8]) -> Result<Vec<Vec<u8>>, ConfigureError> {
    let text = String::from_utf8_lossy(pem);
    let mut all = Vec::new();
    let mut body: Option<String> = None;
    for line in text.lines().map(str::trim) {
        match (line, &mut body) {
            ("-----BEGIN CERTIFICATE-----" | "-----BEGIN TRUSTED CERTIFICATE-----", _) => body = Some(String::new()),
            (_, Some(base64)) if line.starts_with("-----END ") => {
                let der = STANDARD
                    .decode(base64.as_bytes())
                    .map_err(|e| ConfigureError::format(path, format!("its certificate is not base64: {e}")))?;
                all.push(der);
                body = None;
            }
            (_, Some(base64)) => base64.push_str(line),
            (_, None) => {}
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reference, same_files};
    use super::*;

    #[test]
    fn links_bundle_and_hashes() {
        let mut tree = Tree::new(0);
        let pem = include_str!("../../../../tests/certificate.pem");
        tree.write(format!("{SHIPPED}/mozilla/A (1).crt"), 0o644, pem.trim_end()).unwrap();
        tree.write(format!("{SHIPPED}/mozilla/B.crt"), 0o644, pem).unwrap();
        configure(&mut Context::new(&mut tree, "arm64"), "# list\n").unwrap();
        assert_eq!(tree.read_text(CONF).unwrap(), "# list\nmozilla/A (1).crt\nmozilla/B.crt\n");
        assert_eq!(tree.read_text("etc/ssl/certs/A_=1=.pem").unwrap(), pem.trim_end());
        assert_eq!(tree.read_text("etc/ssl/certs/ca-certificates.crt").unwrap(), format!("{pem}{pem}"));
        // A certificate that is there twice gets one hash link. The hash is from `openssl x509 -subject_hash`.
        let hashes: Vec<String> = tree
            .below(&TreePath::new(CERTS).unwrap())
            .filter_map(|(p, _, _)| p.to_string().strip_prefix("/etc/ssl/certs/").map(str::to_owned))
            .filter(|name| name.len() == 10)
            .collect();
        assert_eq!(hashes, ["38fcc976.0"]);
        fresh(&mut Context::new(&mut tree, "arm64")).unwrap();
        tree.write(CONF, 0o644, "!mozilla/A (1).crt\n").unwrap();
        fresh(&mut Context::new(&mut tree, "arm64")).unwrap();
        assert_eq!(tree.below(&TreePath::new(CERTS).unwrap()).count(), 1);
    }

    #[test]
    fn what_is_no_certificate_is_an_error() {
        let mut tree = Tree::new(0);
        tree.write(format!("{SHIPPED}/x.crt"), 0o644, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .unwrap();
        tree.write(CONF, 0o644, "x.crt\n").unwrap();
        assert!(fresh(&mut Context::new(&mut tree, "arm64")).is_err());
    }

    #[test]
    #[ignore = "needs LABIMG_REFERENCE_TREE, a tree made with the real maintainer scripts"]
    fn same_as_the_reference() {
        let reference = Reference::open();
        let mut tree = reference.tree(&[SHIPPED, "var/lib/dpkg/info/ca-certificates.postinst"]);
        let script = tree.read_text("var/lib/dpkg/info/ca-certificates.postinst").unwrap();
        let head = crate::configure::recognise::heredoc::text(&script, CONF).unwrap();
        configure(&mut Context::new(&mut tree, "arm64"), &head).unwrap();
        let files = ["etc/ca-certificates.conf", CERTS, LOCAL];
        same_files(&tree, &reference.tree(&files), &files);
    }
}
