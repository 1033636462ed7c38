//! The Linux system in an ext4 file system: packages, users, services, and what deserves attention.

use serde::Serialize;

use super::files::text;
use super::ports::{self, Port};
use crate::record::{self, ImageRecord};
use crate::wording::one_line;
use labimg_debian::deb822::Stanzas;
use labimg_disk::read::InspectError;
use labimg_disk::read::ext4::{Ext4Entry, Ext4Volume, FileKind};

/// How many of the largest files are listed.
const LARGEST: usize = 20;
/// A Linux system.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct System {
    /// The partition it was found in.
    pub partition: usize,
    /// `PRETTY_NAME` of os-release(5).
    pub os: String,
    /// `ID` and `VERSION_ID` of os-release(5), such as `debian` and `13`.
    #[serde(skip)]
    pub id: (String, String),
    /// `/etc/hostname`; empty when it is not set.
    pub hostname: String,
    /// labimg's own record of the image.
    pub manifest: Option<ImageRecord>,
    /// Packages by name.
    pub packages: Vec<Package>,
    /// Users in the order of `/etc/passwd`.
    pub users: Vec<User>,
    /// Names of the enabled systemd units, sorted.
    pub enabled: Vec<String>,
    /// Ports that these open to the network, as far as known.
    pub ports: Vec<Port>,
    /// Files that give privileges to anyone who runs them, sorted.
    pub privileged: Vec<Privileged>,
    /// The largest files, largest first.
    pub largest: Vec<(String, u64)>,
    /// Number of files, folders and links.
    pub files: u64,
    /// What could not be read.
    #[serde(skip)]
    pub problems: Vec<String>,
}

/// A Debian package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `arm64`, `all` …
    pub architecture: String,
    /// dpkg's word for its state: `installed`, `unpacked`, `config-files` …
    pub state: String,
    /// Size in KiB according to the package.
    pub installed_kib: u64,
}

impl Package {
    /// True when it still has to be configured (`dpkg --configure`).
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !matches!(self.state.as_str(), "installed" | "config-files" | "not-installed")
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// Login name.
    pub name: String,
    /// The uid.
    pub uid: u32,
    /// Login shell.
    pub shell: String,
    /// `set`, `none` (login without a password) or `locked`.
    pub password: &'static str,
}

impl User {
    /// True when the shell allows a login.
    #[must_use]
    pub fn has_shell(&self) -> bool {
        !matches!(self.shell.rsplit('/').next(), Some("nologin" | "false" | "sync"))
    }
}

/// A file that gives privileges.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Privileged {
    /// Its path.
    pub path: String,
    /// Permission bits in octal, such as `4755`.
    pub mode: String,
    /// Uid and gid.
    pub owner: (u32, u32),
    /// True when it has file capabilities (capabilities(7)).
    pub capabilities: bool,
}

/// Reads the system in a file system; `None` when it has no os-release(5).
///
/// # Errors
/// When the file system is too damaged to read even that.
pub(super) fn read(root: &Ext4Volume, partition: usize) -> Result<Option<System>, InspectError> {
    let Some(release) = os_release(root)? else {
        return Ok(None);
    };
    let mut system = System {
        partition,
        os: os_name(&release),
        id: (
            release_value(&release, "ID").unwrap_or_else(|| "linux".to_owned()),
            release_value(&release, "VERSION_ID").unwrap_or_default(),
        ),
        hostname: text(root, "/etc/hostname")?.unwrap_or_default().trim().to_owned(),
        manifest: None,
        packages: Vec::new(),
        users: Vec::new(),
        enabled: Vec::new(),
        ports: Vec::new(),
        privileged: Vec::new(),
        largest: Vec::new(),
        files: 0,
        problems: Vec::new(),
    };
    if let Err(e) = system.fill(root) {
        if matches!(e, InspectError::Interrupted(_)) {
            return Err(e);
        }
        system.problems.push(format!("partition {partition}: {}", one_line(&e)));
    }
    Ok(Some(system))
}

impl System {
    fn fill(&mut self, root: &Ext4Volume) -> Result<(), InspectError> {
        if let Some(json) = text(root, record::NODE_PATH)? {
            match ImageRecord::from_json(&json) {
                Ok(manifest) => self.manifest = Some(manifest),
                Err(e) => self.problems.push(format!("{}: {}", record::NODE_PATH, one_line(&e))),
            }
        }
        self.packages = self.packages(&text(root, "/var/lib/dpkg/status")?.unwrap_or_default());
        let shadow = text(root, "/etc/shadow")?.unwrap_or_default();
        self.users = users(&text(root, "/etc/passwd")?.unwrap_or_default(), &shadow);
        self.walk(root)?;
        self.ports = ports::read(root, &self.enabled)?;
        Ok(())
    }

    fn packages(&mut self, status: &str) -> Vec<Package> {
        let mut packages = Vec::new();
        for stanza in Stanzas::new(status) {
            let stanza = match stanza {
                Ok(stanza) => stanza,
                Err(e) => {
                    self.problems.push(format!("/var/lib/dpkg/status: {e}"));
                    break;
                }
            };
            let field = |name| stanza.get(name).unwrap_or_default().to_owned();
            packages.push(Package {
                name: field("Package"),
                version: field("Version"),
                architecture: field("Architecture"),
                // `Status: install ok installed`: wanted state, error flag, actual state.
                state: field("Status").split_whitespace().nth(2).unwrap_or_default().to_owned(),
                installed_kib: field("Installed-Size").parse().unwrap_or(0),
            });
        }
        packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
        packages
    }

    fn walk(&mut self, root: &Ext4Volume) -> Result<(), InspectError> {
        let mut seen = std::collections::HashSet::new();
        let walked = root.walk(|entry| {
            self.files += 1;
            if let Some(unit) = enabled_unit(entry) {
                self.enabled.push(unit.to_owned());
            }
            // A file with several names is counted once.
            if entry.kind == FileKind::File && (entry.links < 2 || seen.insert(entry.inode)) {
                self.look_at(root, entry)?;
            }
            Ok(())
        });
        self.enabled.sort();
        self.enabled.dedup();
        self.privileged.sort();
        self.largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        self.largest.truncate(LARGEST);
        walked
    }

    fn look_at(&mut self, root: &Ext4Volume, entry: &Ext4Entry) -> Result<(), InspectError> {
        let executable = entry.mode & 0o111 != 0;
        let capabilities = executable && root.xattrs(entry.inode)?.contains_key("security.capability");
        if entry.mode & 0o6000 != 0 && executable || capabilities {
            self.privileged.push(Privileged {
                path: entry.path.clone(),
                mode: format!("{:04o}", entry.mode),
                owner: (entry.uid, entry.gid),
                capabilities,
            });
        }
        self.largest.push((entry.path.clone(), entry.size));
        // Only now and then, so that the list stays short without sorting for every file.
        if self.largest.len() >= 4096 {
            self.largest.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
            self.largest.truncate(LARGEST);
        }
        Ok(())
    }
}

/// The unit that a link below `/etc/systemd/system/*.wants` or `*.requires` starts.
fn enabled_unit(entry: &Ext4Entry) -> Option<&str> {
    let rest = entry.path.strip_prefix("/etc/systemd/system/")?;
    let (folder, unit) = rest.split_once('/')?;
    let starts = matches!(folder.rsplit('.').next(), Some("wants" | "requires"));
    (entry.kind == FileKind::Symlink && starts).then_some(unit)
}

fn users(passwd: &str, shadow: &str) -> Vec<User> {
    let hash_of = |name: &str| {
        let line = shadow.lines().find(|l| l.split(':').next() == Some(name))?;
        line.split(':').nth(1)
    };
    let user = |line: &str| {
        // passwd(5): name:password:uid:gid:comment:home:shell
        let fields: Vec<&str> = line.split(':').collect();
        let [name, own, uid, _, _, _, shell] = fields[..] else { return None };
        let hash = if own == "x" { hash_of(name).unwrap_or("!") } else { own };
        let password = match hash {
            "" => "none",
            hash if hash.starts_with(['!', '*']) => "locked",
            _ => "set",
        };
        Some(User { name: name.to_owned(), uid: uid.parse().ok()?, shell: shell.to_owned(), password })
    };
    passwd.lines().filter_map(user).collect()
}

fn os_name(release: &str) -> String {
    release_value(release, "PRETTY_NAME").or_else(|| release_value(release, "NAME")).unwrap_or_default()
}

fn release_value(release: &str, key: &str) -> Option<String> {
    let line = release.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='))?;
    Some(line.trim().trim_matches(['"', '\'']).to_owned())
}

/// Whether it has an os-release(5).
///
/// # Errors
/// When the file system is damaged.
pub(super) fn is_system(root: &Ext4Volume) -> Result<bool, InspectError> {
    Ok(os_release(root)?.is_some())
}

fn os_release(root: &Ext4Volume) -> Result<Option<String>, InspectError> {
    Ok(text(root, "/etc/os-release")?.or(text(root, "/usr/lib/os-release")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_their_passwords() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nold::7:7::/:/bin/sh\nd:x:1:1:d:/:/usr/sbin/nologin\nbroken\nk:x:2:2::/:/bin/sh\n";
        let shadow = "root:$y$j9T$x:1::::::\nd:*:1::::::\n";
        let all = users(passwd, shadow);
        let short: Vec<_> = all.iter().map(|u| (u.name.as_str(), u.password, u.has_shell())).collect();
        assert_eq!(
            short,
            [("root", "set", true), ("old", "none", true), ("d", "locked", false), ("k", "locked", true)]
        );
    }

    #[test]
    fn names_of_systems() {
        assert_eq!(
            os_name("NAME=\"x\"\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n"),
            "Debian GNU/Linux 13 (trixie)"
        );
        assert_eq!(os_name("NAME=plain\n"), "plain");
        assert_eq!(os_name(""), "");
    }
}
