//! Why a file is in an image: which layer or package put it there, and why that package is installed.
//!
//! dpkg's own lists name the owner of a file in any Debian system. The record in labimg's images adds the layers and
//! the reasons. apt's `extended_states` tells requested packages from dependencies.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::Path;

use serde::Serialize;

use super::files::text;
use crate::record::{self, ImageRecord};
use crate::wording::one_line;
use labimg_debian::deb822::{Stanza, Stanzas};
use labimg_debian::relation;
use labimg_disk::read::InspectError;
use labimg_disk::read::ext4::{Ext4Entry, Ext4Volume, FileKind, shown};

/// Where dpkg keeps the files about each package.
const INFO: &str = "/var/lib/dpkg/info";

/// Folders that are links into `/usr` since Debian 12 (usr-merge); dpkg's lists may still have the old path.
const MERGED: [&str; 4] = ["/bin/", "/sbin/", "/lib/", "/lib64/"];

/// The answer for one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The path, with symbolic links on the way resolved.
    pub path: String,
    /// `file`, `folder`, `symbolic link` or `special file`.
    pub kind: &'static str,
    /// Permission bits in octal.
    pub mode: String,
    /// Uid and gid.
    pub owner: (u32, u32),
    /// Size in bytes.
    pub size: u64,
    /// Where a symbolic link points.
    pub target: Option<String>,
    /// The layers of labimg that wrote it last: `overlay master`, `configuration of locales`.
    pub layer: Option<String>,
    /// Packages that brought it; several for a folder.
    pub packages: Vec<Owner>,
    /// Why labimg's record in the image, which names layers and reasons, cannot be read; none when it can, or when there is none.
    pub record_problem: Option<String>,
}

/// A package that brought a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// Its name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// From the requested package down to this one; empty when the image does not tell.
    pub chain: Vec<String>,
    /// Why the first of them was requested.
    pub reason: Option<String>,
}

/// Finds a path in the Linux system of an image.
///
/// # Errors
/// When the image cannot be read, has no Linux system, or lacks that path.
pub fn why(image: &Path, path: &str) -> Result<Why, InspectError> {
    let root = super::root(image)?;
    let entry = root.stat(path, false)?;
    let path = canonical(&root, path)?;
    let (manifest, record_problem) = match text(&root, record::NODE_PATH)?.map(|json| ImageRecord::from_json(&json)) {
        Some(Ok(manifest)) => (Some(manifest), None),
        Some(Err(e)) => (None, Some(format!("{}: {}", record::NODE_PATH, one_line(&e)))),
        None => (None, None),
    };
    let status = text(&root, "/var/lib/dpkg/status")?.unwrap_or_default();
    let auto = text(&root, "/var/lib/apt/extended_states")?;
    let packages = Packages::new(&status, auto.as_deref(), manifest.as_ref());
    let owners = owners(&root, &path)?.into_iter().map(|name| packages.owner(name)).collect();
    Ok(Why {
        layer: manifest.as_ref().and_then(|m| layer(m, &path)),
        packages: owners,
        record_problem,
        ..of_entry(&root, &entry, path)?
    })
}

fn of_entry(root: &Ext4Volume, entry: &Ext4Entry, path: String) -> Result<Why, InspectError> {
    let target = match entry.kind {
        FileKind::Symlink => Some(shown(&root.target(entry)?)),
        _ => None,
    };
    Ok(Why {
        path,
        kind: match entry.kind {
            FileKind::Dir => "folder",
            FileKind::File => "file",
            FileKind::Symlink => "symbolic link",
            FileKind::Special => "special file",
        },
        mode: format!("{:04o}", entry.mode),
        owner: (entry.uid, entry.gid),
        size: entry.size,
        target,
        layer: None,
        packages: Vec::new(),
        record_problem: None,
    })
}

/// The path without `.`, `..` and symbolic links, except in its last part.
fn canonical(root: &Ext4Volume, path: &str) -> Result<String, InspectError> {
    let mut found = String::new();
    let mut rest: VecDeque<String> = parts(path).collect();
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            found.truncate(found.rfind('/').unwrap_or(0));
            continue;
        }
        let next = format!("{found}/{part}");
        if !rest.is_empty() && root.stat(&next, false)?.kind == FileKind::Symlink {
            links += 1;
            // path_resolution(7); `stat` has already refused such a path.
            if links > 40 {
                return Err(InspectError::NotFound { path: path.to_owned() });
            }
            let target = String::from_utf8_lossy(&root.read_link(&next)?).into_owned();
            if target.starts_with('/') {
                found.clear();
            }
            for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                rest.push_front(part);
            }
        } else {
            found = next;
        }
    }
    Ok(if found.is_empty() { "/".to_owned() } else { found })
}

fn parts(path: &str) -> impl Iterator<Item = String> + '_ {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned)
}

/// The layer of labimg that wrote a path, unless that was the unpacking of a package.
fn layer(manifest: &ImageRecord, path: &str) -> Option<String> {
    let found = manifest.layers.iter().rfind(|layer| layer.paths.iter().any(|p| p == path));
    found.map(|layer| layer.name.clone())
}

/// The packages whose lists have a path.
fn owners(root: &Ext4Volume, path: &str) -> Result<BTreeSet<String>, InspectError> {
    let mut found = BTreeSet::new();
    let names = match root.list(INFO) {
        Ok(entries) => entries,
        // Not a Debian system.
        Err(InspectError::NotFound { .. } | InspectError::WrongKind { .. }) => return Ok(found),
        Err(e) => return Err(e),
    };
    let wanted = diverted(&text(root, "/var/lib/dpkg/diversions")?.unwrap_or_default(), path);
    for entry in names {
        let Some(name) = entry.path.rsplit('/').next().and_then(|name| name.strip_suffix(".list")) else { continue };
        let list = text(root, &entry.path)?.unwrap_or_default();
        if list.lines().any(|line| merged(line) == wanted) {
            // `libc6:arm64` where several architectures may be installed.
            found.insert(name.split(':').next().unwrap_or(name).to_owned());
        }
    }
    Ok(found)
}

/// The path in dpkg's lists of a file that a diversion moved to `path` (dpkg-divert(1): from, to, package).
fn diverted(diversions: &str, path: &str) -> String {
    let lines: Vec<&str> = diversions.lines().collect();
    let found = lines.chunks_exact(3).find(|three| merged(three[1]) == path);
    found.map_or_else(|| path.to_owned(), |three| merged(three[0]))
}

fn merged(path: &str) -> String {
    if MERGED.iter().any(|folder| path.starts_with(folder)) { format!("/usr{path}") } else { path.to_owned() }
}

/// What dpkg and apt know about the packages.
struct Packages<'a> {
    stanzas: BTreeMap<&'a str, Stanza<'a>>,
    /// Package name or virtual package → packages.
    providers: HashMap<&'a str, Vec<&'a str>>,
    /// Requested package → reason.
    asked: BTreeMap<&'a str, Option<String>>,
}

impl<'a> Packages<'a> {
    fn new(status: &'a str, auto: Option<&'a str>, manifest: Option<&ImageRecord>) -> Self {
        let mut stanzas = BTreeMap::new();
        let mut providers: HashMap<&str, Vec<&str>> = HashMap::new();
        // The report shows what cannot be read; here it only makes the answer shorter.
        for stanza in Stanzas::new(status).map_while(Result::ok) {
            let Some(name) = stanza.get("Package") else { continue };
            providers.entry(name).or_default().push(name);
            let provided = relation::parse(stanza.get("Provides").unwrap_or_default()).unwrap_or_default();
            for relation in provided.into_iter().flatten() {
                providers.entry(relation.name).or_default().push(name);
            }
            stanzas.insert(name, stanza);
        }
        let auto: Option<BTreeSet<&str>> = auto.map(|text| {
            let stanzas = Stanzas::new(text).map_while(Result::ok);
            stanzas.filter(|s| s.get("Auto-Installed") == Some("1")).filter_map(|s| s.get("Package")).collect()
        });
        let reasons = |name: &str| {
            let of_lab = manifest.and_then(|m| m.why.get(name).cloned());
            of_lab.or_else(|| {
                let stanza: &Stanza<'_> = stanzas.get(name)?;
                let essential = stanza.get("Essential") == Some("yes");
                let required = stanza.get("Priority") == Some("required");
                (essential || required).then(|| "every Debian system has it".to_owned())
            })
        };
        let asked = auto.map_or_else(BTreeMap::new, |auto| {
            stanzas.keys().filter(|name| !auto.contains(*name)).map(|name| (*name, reasons(name))).collect()
        });
        Self { stanzas, providers, asked }
    }

    fn owner(&self, package: String) -> Owner {
        let version = self.stanzas.get(package.as_str()).and_then(|s| s.get("Version")).unwrap_or_default().to_owned();
        let chain = self.chain(&package);
        let reason = chain.first().and_then(|first| self.asked.get(first.as_str()).cloned().flatten());
        Owner { package, version, chain, reason }
    }

    /// The shortest chain from a requested package; those with a reason first.
    fn chain(&self, package: &str) -> Vec<String> {
        let mut from: HashMap<&str, Option<&str>> = HashMap::new();
        let (reasoned, others): (Vec<_>, Vec<_>) = self.asked.iter().partition(|(_, reason)| reason.is_some());
        let mut todo: VecDeque<&str> = reasoned.into_iter().chain(others).map(|(name, _)| *name).collect();
        from.extend(todo.iter().map(|name| (*name, None)));
        while let Some(name) = todo.pop_front() {
            if name == package {
                let mut chain = vec![name.to_owned()];
                let mut at = name;
                while let Some(Some(before)) = from.get(at) {
                    chain.push((*before).to_owned());
                    at = before;
                }
                chain.reverse();
                return chain;
            }
            for needed in self.needs(name) {
                if !from.contains_key(needed) {
                    from.insert(needed, Some(name));
                    todo.push_back(needed);
                }
            }
        }
        Vec::new()
    }

    /// The installed packages that a package depends on.
    fn needs(&self, name: &str) -> Vec<&'a str> {
        let Some(stanza) = self.stanzas.get(name) else { return Vec::new() };
        let fields = ["Pre-Depends", "Depends"].into_iter().filter_map(|field| stanza.get(field));
        let groups = fields.flat_map(|field| relation::parse(field).unwrap_or_default());
        groups.flatten().flat_map(|r| self.providers.get(r.name).cloned().unwrap_or_default()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "\
Package: nfs-server
Version: 2
Depends: libnfs (>= 1), mail-agent

Package: libnfs
Version: 1
Pre-Depends: libc

Package: libc
Version: 3
Priority: required

Package: postmail
Version: 5
Provides: mail-agent
";

    fn packages(auto: &'static str) -> Packages<'static> {
        Packages::new(STATUS, Some(auto), None)
    }

    #[test]
    fn a_chain_leads_to_what_was_asked_for() {
        let auto = "Package: libnfs\nAuto-Installed: 1\n\nPackage: postmail\nAuto-Installed: 1\n";
        let chain = |name: &str| packages(auto).owner(name.to_owned());
        assert_eq!(chain("libnfs").chain, ["nfs-server", "libnfs"]);
        assert_eq!(chain("postmail").chain, ["nfs-server", "postmail"]);
        assert_eq!(chain("libc").chain, ["libc"]);
        assert_eq!(chain("libc").reason.unwrap(), "every Debian system has it");
        assert_eq!((chain("libnfs").version, chain("gone").chain), ("1".to_owned(), Vec::new()));
    }

    #[test]
    fn nothing_is_asked_for_where_apt_kept_no_states() {
        assert!(Packages::new(STATUS, None, None).owner("libc".to_owned()).chain.is_empty());
    }

    #[test]
    fn old_paths_and_diversions_lead_to_the_lists() {
        assert_eq!(merged("/bin/ls"), "/usr/bin/ls");
        assert_eq!(merged("/binary"), "/binary");
        let diversions = "/bin/sh\n/usr/bin/sh.distrib\ndash\n";
        assert_eq!(diverted(diversions, "/usr/bin/sh.distrib"), "/usr/bin/sh");
        assert_eq!(diverted(diversions, "/usr/bin/sh"), "/usr/bin/sh");
    }
}
