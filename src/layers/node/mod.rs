//! Settings that all nodes of a role share: user, mounts, package sources, time zone, locale, clock. What makes it a
//! particular node comes later, with its [seed](crate::seed).

use crate::plan::BUILT_IN_LOCALE;
use crate::user_name;
use labimg_tree::{Tree, TreeError, TreePath};

/// The values that differ between images.
#[derive(Debug, Clone)]
pub struct NodeFiles<'a> {
    /// Name of the user who logs in.
    pub user: &'a str,
    /// Host name without a domain, until a seed sets the node's own.
    pub hostname: &'a str,
    /// Lines of the user for `/etc/hosts`, each with its newline.
    pub hosts: &'a str,
    /// Time zone by its tz database name.
    pub timezone: &'a str,
    /// Locale, such as `C.UTF-8`.
    pub locale: &'a str,
    /// PARTUUID of the root partition.
    pub root_partuuid: &'a str,
    /// PARTUUID of the firmware partition.
    pub firmware_partuuid: &'a str,
    /// Where the firmware partition is mounted.
    pub firmware_mount: &'a str,
    /// Debian's code name.
    pub suite: &'a str,
    /// More suites that the board's packages come from.
    pub extra_suites: &'a [String],
    /// URL of the archive.
    pub archive: &'a str,
    /// URL of the security archive.
    pub security: &'a str,
    /// Names of the packages that are only unpacked.
    pub pending: &'a [String],
}

/// The uid of the user who logs in: the first for normal users (Debian Policy 9.2.2).
pub const UID: u32 = 1000;

/// The `hosts(5)` file of a node with this name, and with the user's lines.
#[must_use]
pub fn hosts(name: &str, more: &str) -> String {
    format!(
        "127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n{more}"
    )
}

/// Writes these files.
///
/// # Errors
/// A conflict with another file in the tree.
pub fn apply(tree: &mut Tree, node: &NodeFiles<'_>) -> Result<(), TreeError> {
    tree.begin_layer("node");
    let name = node.hostname;
    tree.write("etc/hostname", 0o644, format!("{name}\n"))?;
    tree.write("etc/hosts", 0o644, hosts(name, node.hosts))?;
    mounts(tree, node)?;
    sources(tree, node)?;
    user(tree, node.user)?;
    for path in ["etc/default/locale", "etc/locale.conf"] {
        tree.write(path, 0o644, format!("LANG={}\n", node.locale))?;
    }
    if node.locale != BUILT_IN_LOCALE {
        // The locale is generated at first boot, when the package `locales` is configured.
        let charset = node.locale.split_once('.').map_or("UTF-8", |(_, charset)| charset);
        tree.write("etc/locale.gen", 0o644, format!("{} {charset}\n", node.locale))?;
    }
    // tzdata keeps both (localtime(5); /etc/timezone is Debian's).
    tree.write("etc/timezone", 0o644, format!("{}\n", node.timezone))?;
    tree.symlink("etc/localtime", format!("/usr/share/zoneinfo/{}", node.timezone))?;
    // systemd sets the clock to at least this file's time, before anything else runs (systemd(1), "/usr/lib/clock-epoch").
    tree.write("usr/lib/clock-epoch", 0o644, "")?;
    // Updates from /usr (accounts, the loader's cache, hardware and message catalogs) are already applied. Without
    // these files, dated like the one that systemd-update-done.service(8) writes, the first boot would do all of it
    // again.
    for folder in ["etc", "var"] {
        let nanoseconds = tree.time().saturating_mul(1_000_000_000);
        let text = format!("# Made with the image: {folder} is up to date with /usr.\nTIMESTAMP_NSEC={nanoseconds}\n");
        tree.write(format!("{folder}/.updated"), 0o644, text)?;
    }
    if !node.pending.is_empty() {
        let list: String = node.pending.iter().map(|p| format!("{p}\n")).collect();
        tree.write("var/lib/labimg/pending", 0o644, list)?;
    }
    Ok(())
}

fn mounts(tree: &mut Tree, node: &NodeFiles<'_>) -> Result<(), TreeError> {
    tree.mkdir(node.firmware_mount, 0o755)?;
    let fstab = format!(
        "# <what> <where> <type> <options> <dump> <pass>\n\
         PARTUUID={} / ext4 noatime,errors=remount-ro 0 1\n\
         # A damaged firmware partition must not keep the node from starting. Root alone may read it: it holds the seed,\n\
         # and passphrases that people write into labimg.conf.\n\
         PARTUUID={} {} vfat noatime,flush,umask=0077,nofail,x-systemd.device-timeout=10min 0 2\n",
        node.root_partuuid, node.firmware_partuuid, node.firmware_mount
    );
    tree.write("etc/fstab", 0o644, fstab)
}

/// deb822 sources (sources.list(5)); the security suite is in its own file, which the nightly upgrade uses.
fn sources(tree: &mut Tree, node: &NodeFiles<'_>) -> Result<(), TreeError> {
    let stanza = |uri: &str, suites: &str| {
        format!(
            "Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main non-free-firmware\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        )
    };
    let suite = node.suite;
    tree.remove(&TreePath::new("etc/apt/sources.list")?);
    tree.write(
        "etc/apt/sources.list.d/debian.sources",
        0o644,
        stanza(node.archive, &[&[suite.to_owned(), format!("{suite}-updates")], node.extra_suites].concat().join(" ")),
    )?;
    tree.write(
        "etc/apt/sources.list.d/debian-security.sources",
        0o644,
        stanza(node.security, &format!("{suite}-security")),
    )
}

/// A user with a home folder and no password, who may use `sudo`.
fn user(tree: &mut Tree, user: &str) -> Result<(), TreeError> {
    // The scripts of the first boot go by it.
    tree.write("usr/lib/labimg/user", 0o644, format!("{user}\n"))?;
    let rule = format!(
        "# The user has no password to ask for: the SSH key is the proof.\n{user} ALL=(ALL:ALL) NOPASSWD: ALL\n"
    );
    tree.write("etc/sudoers.d/labimg", 0o440, rule)?;
    add_line(tree, "etc/passwd", &format!("{user}:x:{UID}:{UID}:labimg,,,:/home/{user}:/bin/bash"))?;
    add_line(tree, "etc/group", &format!("{user}:x:{UID}:"))?;
    // `*` matches no password; the third field is the day of the last change, which must not be zero for PAM.
    let day = tree.time() / 86_400;
    add_line(tree, "etc/shadow", &format!("{user}:*:{day}:0:99999:7:::"))?;
    add_line(tree, "etc/gshadow", &format!("{user}:!::"))?;
    for file in ["etc/group", "etc/gshadow"] {
        for group in ["adm", "sudo", "systemd-journal"] {
            add_member(tree, file, group, user)?;
        }
    }
    for file in ["etc/subuid", "etc/subgid"] {
        add_line(tree, file, &format!("{user}:100000:65536"))?;
    }
    let home = TreePath::new(user_name::home(user))?;
    tree.mkdir(&home, 0o700)?;
    let skel: Vec<(TreePath, _)> = tree
        .below(&TreePath::new("etc/skel")?)
        .map(|(path, _, inode)| (path.clone(), inode.kind.clone(), inode.mode))
        .map(|(path, kind, mode)| (path, (kind, mode)))
        .collect();
    for (path, (kind, mode)) in skel {
        let to = home.join(&path.as_bytes()["etc/skel".len()..])?;
        match kind {
            labimg_tree::Kind::File(content) => tree.write(&to, mode, content)?,
            labimg_tree::Kind::Dir => tree.mkdir(&to, mode)?,
            _ => {}
        }
    }
    let all: Vec<TreePath> =
        std::iter::once(home.clone()).chain(tree.below(&home).map(|(p, _, _)| p.clone())).collect();
    for path in all {
        if let Some(inode) = tree.get_mut(&path) {
            (inode.uid, inode.gid) = (UID, UID);
        }
    }
    Ok(())
}

/// Adds a line at the end of a file, which keeps its owner and mode; creates it (0644) if missing.
fn add_line(tree: &mut Tree, path: &str, line: &str) -> Result<(), TreeError> {
    edit(tree, path, |text| format!("{text}{line}\n"))
}

/// Adds a member to a line of `/etc/group` or `/etc/gshadow`; a group that does not exist is skipped.
fn add_member(tree: &mut Tree, path: &str, group: &str, member: &str) -> Result<(), TreeError> {
    let start = format!("{group}:");
    edit(tree, path, |text| {
        text.lines().fold(String::new(), |all, line| {
            let comma = if line.ends_with(':') { "" } else { "," };
            if line.starts_with(&start) { format!("{all}{line}{comma}{member}\n") } else { format!("{all}{line}\n") }
        })
    })
}

fn edit(tree: &mut Tree, path: &str, change: impl FnOnce(&str) -> String) -> Result<(), TreeError> {
    let text = if tree.contains(path) { tree.read_text(path)? } else { String::new() };
    let text = change(&text);
    match tree.get_mut(path) {
        Some(inode) => inode.kind = labimg_tree::Kind::File(text.into()),
        None => tree.write(path, 0o644, text)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeFiles<'static> {
        NodeFiles {
            user: "lab",
            hostname: "master",
            hosts: "192.168.1.5\tprinter\n",
            timezone: "Etc/UTC",
            locale: BUILT_IN_LOCALE,
            root_partuuid: "aa-02",
            firmware_partuuid: "aa-01",
            firmware_mount: "/boot/firmware",
            suite: "trixie",
            extra_suites: &[],
            archive: "http://mirror.example/debian",
            security: "http://mirror.example/debian-security",
            pending: &[],
        }
    }

    fn base() -> Tree {
        let mut tree = Tree::new(86_400 * 20_000);
        tree.write("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/bash\n").unwrap();
        tree.write("etc/group", 0o644, "root:x:0:\nadm:x:4:\nsudo:x:27:other\n").unwrap();
        tree.write("etc/shadow", 0o640, "root:*:1::::::\n").unwrap();
        tree.write("etc/gshadow", 0o640, "root:*::\nadm:*::\nsudo:*::other\n").unwrap();
        tree.write("etc/skel/.profile", 0o644, "# profile\n").unwrap();
        tree
    }

    #[test]
    fn the_user_has_a_home_groups_and_no_password() {
        let mut tree = base();
        apply(&mut tree, &node()).unwrap();
        assert!(tree.read_text("etc/passwd").unwrap().ends_with("lab:x:1000:1000:labimg,,,:/home/lab:/bin/bash\n"));
        assert!(tree.read_text("etc/shadow").unwrap().ends_with("lab:*:20000:0:99999:7:::\n"));
        assert_eq!(tree.get("etc/shadow").unwrap().mode, 0o640);
        assert!(tree.read_text("etc/hosts").unwrap().ends_with("ff02::2\t\tip6-allrouters\n192.168.1.5\tprinter\n"));
        assert!(tree.read_text("etc/group").unwrap().contains("adm:x:4:lab\nsudo:x:27:other,lab\n"));
        assert_eq!(tree.get("home/lab").unwrap().mode, 0o700);
        assert_eq!(tree.get("home/lab/.profile").unwrap().uid, 1000);
    }

    #[test]
    fn another_name_is_everywhere() {
        let mut tree = base();
        apply(&mut tree, &NodeFiles { user: "me", ..node() }).unwrap();
        for (path, line) in [
            ("etc/passwd", "me:x:1000:1000:labimg,,,:/home/me:/bin/bash"),
            ("etc/group", "sudo:x:27:other,me"),
            ("etc/shadow", "me:*:20000:0:99999:7:::"),
            ("etc/gshadow", "adm:*::me"),
            ("etc/subuid", "me:100000:65536"),
            ("etc/sudoers.d/labimg", "me ALL=(ALL:ALL) NOPASSWD: ALL"),
            ("usr/lib/labimg/user", "me"),
        ] {
            let text = tree.read_text(path).unwrap();
            assert!(text.lines().any(|found| found == line), "{path}: {text}");
            assert!(!text.contains("lab:") && !text.contains("lab "), "{path}: {text}");
        }
        assert_eq!(tree.get("etc/sudoers.d/labimg").unwrap().mode, 0o440);
        assert_eq!((tree.get("home/me/.profile").unwrap().uid, tree.contains("home/lab")), (1000, false));
    }

    #[test]
    fn time_zone_and_locale() {
        let mut tree = base();
        apply(&mut tree, &NodeFiles { timezone: "Europe/Berlin", locale: "de_DE.UTF-8", ..node() }).unwrap();
        assert_eq!(tree.read_text("etc/timezone").unwrap(), "Europe/Berlin\n");
        assert_eq!(tree.resolve_parent("etc/localtime").unwrap().to_string(), "/etc/localtime");
        assert_eq!(tree.read_text("etc/locale.gen").unwrap(), "de_DE.UTF-8 UTF-8\n");
        assert_eq!(tree.read_text("etc/locale.conf").unwrap(), "LANG=de_DE.UTF-8\n");
    }

    #[test]
    fn mounts_and_sources_name_what_was_given() {
        let mut tree = base();
        let pending = ["postgresql-17".to_owned()];
        apply(&mut tree, &NodeFiles { pending: &pending, ..node() }).unwrap();
        assert!(tree.read_text("etc/fstab").unwrap().contains("PARTUUID=aa-02 / ext4"));
        assert!(
            tree.read_text("etc/fstab")
                .unwrap()
                .contains("PARTUUID=aa-01 /boot/firmware vfat noatime,flush,umask=0077,")
        );
        let security = tree.read_text("etc/apt/sources.list.d/debian-security.sources").unwrap();
        assert!(security.contains("URIs: http://mirror.example/debian-security\nSuites: trixie-security\n"));
        assert_eq!(tree.read_text("var/lib/labimg/pending").unwrap(), "postgresql-17\n");
    }
}
