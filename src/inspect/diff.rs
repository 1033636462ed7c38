//! The differences between two images: packages, k3s, services, users, and every file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use super::report::{self, ImageReport};
use super::system::System;
use crate::changes::{self, Change, Version, Versions};
use labimg_disk::read::ext4::{Ext4Entry, Ext4Volume, FileKind, shown};
use labimg_disk::read::{InspectError, Volume};
use labimg_tree::interrupt;

/// Names that only one of the images has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Names {
    /// New in the second.
    pub added: Vec<String>,
    /// Missing in the second.
    pub removed: Vec<String>,
}

/// A file in both images that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Its path.
    pub path: String,
    /// What differs: `content`, `mode 0644 -> 0600`, `owner 0:0 -> 0:42`, `xattrs` …
    pub what: Vec<String>,
}

/// The files of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Files {
    /// The partition's number in both images.
    pub partition: usize,
    /// Paths that only one of them has.
    #[serde(flatten)]
    pub names: Names,
    /// Paths that both have.
    pub changed: Vec<Changed>,
}

/// All differences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Sizes of the images in bytes.
    pub size: (u64, u64),
    /// Bytes in use in all file systems.
    pub used: (u64, u64),
    /// How k3s gets onto the node, if that differs.
    pub k3s: Option<(String, String)>,
    /// Packages.
    pub packages: Vec<Change>,
    /// Container images on the card.
    pub containers: Vec<Change>,
    /// Enabled services.
    pub services: Names,
    /// Users.
    pub users: Names,
    /// Files, by partition; times are ignored.
    pub files: Vec<Files>,
}

/// Compares two images, first to second.
///
/// # Errors
/// When one of them cannot be read.
pub fn diff(first: &Path, second: &Path) -> Result<Diff, InspectError> {
    let (a, b) = (report::open(first)?, report::open(second)?);
    let mut files = Vec::new();
    let numbers: BTreeSet<usize> = [&a, &b]
        .iter()
        .flat_map(|report| &report.partitions)
        .filter(|p| p.file_system.is_some())
        .map(|p| p.entry.number)
        .collect();
    for number in numbers {
        let open = |image: &Path, report: &ImageReport| {
            let there = report.partitions.iter().any(|p| p.entry.number == number && p.file_system.is_some());
            there.then(|| labimg_disk::read::open_partition(image, number)).transpose()
        };
        let (old, new) = (open(first, &a)?, open(second, &b)?);
        files.push(compare(number, old.as_ref(), new.as_ref())?);
    }
    files.retain(|f| !f.changed.is_empty() || f.names != Names::default());
    let used =
        |report: &ImageReport| report.partitions.iter().filter_map(|p| p.file_system.as_ref()).map(|f| f.used).sum();
    let names = |pick: fn(&System) -> Vec<String>| {
        let of = |report: &ImageReport| report.system.as_ref().map(pick).unwrap_or_default();
        names(of(&a), of(&b))
    };
    Ok(Diff {
        size: (a.size, b.size),
        used: (used(&a), used(&b)),
        k3s: Some((k3s(&a), k3s(&b))).filter(|(old, new)| old != new),
        packages: changes::between(&packages(&a), &packages(&b)),
        containers: changes::between(&containers(&a), &containers(&b)),
        services: names(|s| s.enabled.clone()),
        users: names(|s| {
            s.users.iter().map(|u| format!("{} ({}, {}, password {})", u.name, u.uid, u.shell, u.password)).collect()
        }),
        files,
    })
}

fn k3s(report: &ImageReport) -> String {
    let manifest = report.system.as_ref().and_then(|s| s.manifest.as_ref());
    let k3s = manifest.and_then(|m| m.k3s.as_ref());
    k3s.map_or_else(
        || "none".to_owned(),
        |k| match k.sha256 {
            Some(hash) => format!("{} (SHA-256 {hash})", k.sentence()),
            None => k.sentence(),
        },
    )
}

fn packages(report: &ImageReport) -> Versions {
    let mut versions = Versions::new();
    for p in report.system.iter().flat_map(|s| &s.packages) {
        let size = p.installed_kib.saturating_mul(1024);
        let state = if p.state == "installed" { String::new() } else { format!(" ({})", p.state) };
        versions.entry(p.name.clone()).or_default().insert(Version { version: format!("{}{state}", p.version), size });
    }
    versions
}

fn containers(report: &ImageReport) -> Versions {
    let mut versions = Versions::new();
    for c in report.system.iter().filter_map(|s| s.manifest.as_ref()).flat_map(|m| &m.containers) {
        // A tag may later mean another image.
        let version = format!("{} {:.12}", c.version, c.sha256.to_string());
        versions.entry(c.name.clone()).or_default().insert(Version { version, size: c.size });
    }
    versions
}

fn names(old: Vec<String>, new: Vec<String>) -> Names {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (old.into_iter().collect(), new.into_iter().collect());
    Names { added: new.difference(&old).cloned().collect(), removed: old.difference(&new).cloned().collect() }
}

/// A file of either file system.
enum Entry {
    Ext4(Ext4Entry),
    /// Size; `None` for a folder.
    Fat(Option<u64>),
}

/// The files by path as stored.
fn entries(volume: Option<&Volume>) -> Result<BTreeMap<Vec<u8>, Entry>, InspectError> {
    let mut all = BTreeMap::new();
    match volume {
        None => {}
        Some(Volume::Ext4(ext4)) => ext4.walk(|entry| {
            all.insert(entry.raw_path.clone(), Entry::Ext4(entry.clone()));
            Ok::<_, InspectError>(())
        })?,
        Some(Volume::Fat(fat)) => fat.walk(|path, entry| {
            all.insert(path.as_bytes().to_vec(), Entry::Fat((!entry.is_dir).then_some(entry.size)));
            Ok::<_, InspectError>(())
        })?,
    }
    Ok(all)
}

fn compare(partition: usize, old: Option<&Volume>, new: Option<&Volume>) -> Result<Files, InspectError> {
    let (before, after) = (entries(old)?, entries(new)?);
    let only = |a: &BTreeMap<Vec<u8>, Entry>, b: &BTreeMap<Vec<u8>, Entry>| {
        a.keys().filter(|path| !b.contains_key(*path)).map(|path| shown(path)).collect()
    };
    let names = Names { added: only(&after, &before), removed: only(&before, &after) };
    let mut changed = Vec::new();
    for (path, entry) in &before {
        interrupt::check()?;
        let Some(other) = after.get(path) else { continue };
        let what = match (entry, other, old, new) {
            (Entry::Ext4(a), Entry::Ext4(b), Some(Volume::Ext4(old)), Some(Volume::Ext4(new))) => {
                ext4_changes(a, b, old, new)?
            }
            (Entry::Fat(a), Entry::Fat(b), Some(old), Some(new)) => {
                let path = shown(path);
                let same = a == b && (a.is_none() || old.read_file(&path)? == new.read_file(&path)?);
                if same { Vec::new() } else { vec!["content".to_owned()] }
            }
            _ => vec!["file system".to_owned()],
        };
        if !what.is_empty() {
            changed.push(Changed { path: shown(path), what });
        }
    }
    Ok(Files { partition, names, changed })
}

fn ext4_changes(a: &Ext4Entry, b: &Ext4Entry, old: &Ext4Volume, new: &Ext4Volume) -> Result<Vec<String>, InspectError> {
    let mut what = Vec::new();
    if a.kind != b.kind {
        return Ok(vec!["kind".to_owned()]);
    }
    if a.mode != b.mode {
        what.push(format!("mode {:04o} -> {:04o}", a.mode, b.mode));
    }
    if (a.uid, a.gid) != (b.uid, b.gid) {
        what.push(format!("owner {}:{} -> {}:{}", a.uid, a.gid, b.uid, b.gid));
    }
    match a.kind {
        FileKind::File if a.size != b.size => what.push(format!("content, {} -> {} bytes", a.size, b.size)),
        FileKind::File if !same_content((old, a), (new, b))? => what.push("content".to_owned()),
        FileKind::Symlink => {
            let (from, to) = (old.target(a)?, new.target(b)?);
            if from != to {
                what.push(format!("target {} -> {}", shown(&from), shown(&to)));
            }
        }
        _ => {}
    }
    if old.xattrs(a.inode)? != new.xattrs(b.inode)? {
        what.push("xattrs".to_owned());
    }
    Ok(what)
}

/// Whether two files of one size hold the same bytes. Where both have holes, nothing is read.
fn same_content(a: (&Ext4Volume, &Ext4Entry), b: (&Ext4Volume, &Ext4Entry)) -> Result<bool, InspectError> {
    const PIECE: u64 = 1 << 20;
    let mut runs = a.0.runs(a.1.inode)?;
    runs.extend(b.0.runs(b.1.inode)?);
    runs.sort_by_key(|run| run.start);
    let mut at = 0;
    for run in runs {
        at = run.start.max(at);
        while at < run.end {
            interrupt::check()?;
            let read = |(volume, entry): (&Ext4Volume, &Ext4Entry)| {
                let mut bytes = vec![0; PIECE.min(run.end - at) as usize];
                let count = volume.read_at(entry.inode, at, &mut bytes)?;
                bytes.truncate(count);
                Ok::<_, InspectError>(bytes)
            };
            if read(a)? != read(b)? {
                return Ok(false);
            }
            at = run.end.min(at + PIECE);
        }
    }
    Ok(true)
}
