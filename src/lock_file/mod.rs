//! `labimg.lock`: the inputs of all images of a lab, as a file that users keep and compare ([`Lock`]s ⇄ TOML).
//!
//! ```toml
//! format = 1
//!
//! [archives]                       # where packages are found, as the nodes' apt is told
//! debian = "https://mirror.example/debian"
//! security = "https://mirror.example/debian-security"
//!
//! [[image]]                        # one for each board and role
//! board = "rpi4"
//! role = "worker"
//! suite = "trixie"
//! codename = "trixie"
//! architecture = "arm64"
//! date = "2026-11-14T10:00:00Z"    # the newest package index when all of it was locked
//! renewed = "2026-11-30T10:00:00Z" # and when some of it was renewed, if ever
//! asked = ["apt", "htop"]          # what board, role and lab.toml ask for
//! manual = ["apt", "htop"]         # the packages of the image: what was asked for,
//! auto = ["libc6"]                 # and what those need
//!
//! [[k3s]]                          # one for each architecture
//! [[k3s-images]]                   # its own container images, where lab.toml wants them on the cards
//! [[chart]]                        # Helm charts that manifests name: name, version, repository, size, sha256, url
//! [[container]]                    # container images on the cards: name, architecture, size, sha256 of the manifest
//! [[package]]                      # each once: name, version, architecture, size, sha256, archive, path, perhaps date
//! ```
//!
//! A package that was renewed alone (`labimg update NAME`) has its own date, that of the index that lists it. A package
//! that left the mirror is only found in a snapshot of that time, and indexes of different times list different
//! versions. Packages that stayed use the image's date, so the file only changes where something changed. The image
//! then has a second date, `renewed`. It is the image's own time, used for everything that labimg itself creates. It is
//! not simply the newest date of its packages: images share packages, and an image that did not change keeps its bytes.
//!
//! A package is listed by its name, or as `name=version` if the images hold several versions of it.

mod cluster;
mod error;
mod make;
pub mod snapshot;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::changes::{self, Change};
use crate::charts::LockedChart;
use crate::containers::LockedContainer;
use crate::k3s::LockedK3s;
use crate::wording;
use labimg_debian::lock::{ArchiveName, Lock, LockedPackage};
use labimg_tree::files;
use labimg_tree::hash::Sha256;
use labimg_tree::human::total;

pub use cluster::ClusterParts;
pub use error::LockFileError;

/// The file's name, beside the `lab.toml`.
pub const FILE: &str = "labimg.lock";

/// Goes up when an older labimg would misread the file.
const FORMAT: u32 = 1;

const HEAD: &str = "\
# Everything that the images are made of, by version, size and SHA-256: `labimg build --locked` builds from exactly this.
# `labimg lock` writes it, `labimg update` renews it and shows what changes. Keep it with the lab.toml.
";

/// Identifies an image of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageKey {
    /// Name of the board.
    pub board: String,
    /// Name of the role.
    pub role: String,
    /// Debian's code name, as requested.
    pub suite: String,
    /// Requests (`name`, `name/suite`), sorted.
    pub asked: Vec<String>,
}

/// The bases of the two archives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archives {
    /// Base URL of the archive, without a trailing slash.
    pub debian: String,
    /// Base URL of the archive of security updates.
    pub security: String,
}

/// A `labimg.lock` in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockFile {
    format: u32,
    archives: Archives,
    #[serde(rename = "image", default)]
    images: Vec<Image>,
    #[serde(default)]
    k3s: Vec<LockedK3s>,
    #[serde(rename = "k3s-images", default, skip_serializing_if = "Vec::is_empty")]
    k3s_images: Vec<LockedK3s>,
    #[serde(rename = "chart", default, skip_serializing_if = "Vec::is_empty")]
    charts: Vec<LockedChart>,
    #[serde(rename = "container", default, skip_serializing_if = "Vec::is_empty")]
    containers: Vec<LockedContainer>,
    #[serde(rename = "package", default)]
    packages: Vec<Package>,
    /// Its path, for messages.
    #[serde(skip)]
    path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    board: String,
    role: String,
    /// As requested.
    suite: String,
    codename: String,
    architecture: String,
    date: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renewed: Option<String>,
    asked: Vec<String>,
    manual: Vec<String>,
    auto: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    name: String,
    version: String,
    architecture: String,
    size: u64,
    sha256: Sha256,
    archive: ArchiveName,
    path: String,
    /// The date of an index that lists it, if that differs from the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    date: Option<String>,
}

impl LockFile {
    /// Reads and checks a lock file.
    ///
    /// # Errors
    /// [`LockFileError::Missing`], `Io`, `Format`, `Damaged`.
    pub fn load(path: &Path) -> Result<Self, LockFileError> {
        let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => LockFileError::Missing(path.to_owned()),
            _ => LockFileError::Io { action: "read", path: path.to_owned(), source },
        })?;
        Self::parse(&text, path)
    }

    /// Parses a file's text; `path` is for messages.
    ///
    /// # Errors
    /// [`LockFileError::Format`], `Damaged`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, LockFileError> {
        /// The part that every format has.
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let damaged = |what: String| LockFileError::Damaged { path: path.to_owned(), what };
        let syntax =
            |e: toml::de::Error| LockFileError::Syntax { path: path.to_owned(), mistake: wording::toml(text, &e) };
        let found = toml::from_str::<Head>(text).map_err(syntax)?.format;
        if found != FORMAT {
            return Err(LockFileError::Format { path: path.to_owned(), found });
        }
        let mut file: Self = toml::from_str(text).map_err(syntax)?;
        // A git merge may leave them unsorted.
        file.packages.sort();
        for package in &file.packages {
            if let Some(date) = package.date.as_ref().filter(|date| date.parse::<jiff::Timestamp>().is_err()) {
                return Err(damaged(format!("package `{}` has the date `{date}`, which is not one", package.name)));
            }
            let parts_are_names = package.path.split('/').all(|part| !matches!(part, "" | "." | ".."));
            if !parts_are_names || package.path.contains(['?', '#', '\\']) {
                return Err(damaged(format!("package `{}` has the path `{}`", package.name, package.path)));
            }
        }
        for image in &file.images {
            for date in [Some(&image.date), image.renewed.as_ref()].into_iter().flatten() {
                if date.parse::<jiff::Timestamp>().is_err() {
                    return Err(damaged(format!("an image has the date `{date}`, which is not one")));
                }
            }
            for reference in image.manual.iter().chain(&image.auto) {
                if file.package(reference).is_none() {
                    let Image { role, board, .. } = image;
                    return Err(damaged(format!(
                        "{role} on {board} has `{reference}`, which is not a package of the file"
                    )));
                }
            }
        }
        Ok(Self { path: path.to_owned(), ..file })
    }

    /// The file's text.
    ///
    /// # Errors
    /// None in practice: TOML can write every value of a lock.
    pub fn to_text(&self) -> Result<String, toml::ser::Error> {
        Ok(format!("{HEAD}\n{}", toml::to_string_pretty(self)?))
    }

    /// Writes the file completely or not at all.
    ///
    /// # Errors
    /// [`LockFileError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), LockFileError> {
        let text = self.to_text().map_err(std::io::Error::other);
        // With the mode of a normal file, not a secret.
        let written = text.and_then(|text| files::write_whole(path, text.as_bytes(), 0o644, true));
        written.map_err(|source| LockFileError::Io { action: "write", path: path.to_owned(), source })
    }

    /// The archives for packages, also for the nodes' apt.
    #[must_use]
    pub fn archives(&self) -> &Archives {
        &self.archives
    }

    /// The path it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The inputs of one image. Each package is first looked up below `mirror`, then at its address when the file was
    /// written, then in the snapshot archive below `snapshots`.
    ///
    /// # Errors
    /// [`LockFileError::NoImage`], [`LockFileError::Changed`].
    pub fn lock(&self, key: &ImageKey, mirror: &Archives, snapshots: &str) -> Result<Lock, LockFileError> {
        let image = self.image(key)?;
        let locked = |reference: &String, auto| {
            let package = self.package(reference)?;
            let date = seconds(package.date.as_ref().unwrap_or(&image.date));
            let mut urls: Vec<String> = Vec::new();
            let now =
                [mirror, &self.archives].map(|archives| format!("{}/{}", archives.base(package.archive), package.path));
            let then = snapshot::addresses(snapshots, package.archive, date, &package.path);
            for url in now.into_iter().chain(then) {
                if !urls.contains(&url) {
                    urls.push(url);
                }
            }
            Some(LockedPackage {
                name: package.name.clone(),
                version: package.version.clone(),
                architecture: package.architecture.clone(),
                size: package.size,
                sha256: package.sha256,
                archive: package.archive,
                path: package.path.clone(),
                urls,
                auto,
            })
        };
        let references = image.manual.iter().map(|r| (r, false)).chain(image.auto.iter().map(|r| (r, true)));
        let mut packages: Vec<LockedPackage> = references.filter_map(|(r, auto)| locked(r, auto)).collect();
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        let (suite, architecture) = (image.codename.clone(), image.architecture.clone());
        Ok(Lock { suite, architecture, date: image.time(), packages })
    }

    /// Whether both have the same content, regardless of their paths.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        *self == Self { path: self.path.clone(), ..other.clone() }
    }

    /// The changes to a newer file; the dates of the indexes are ignored.
    #[must_use]
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        changes::between(&self.versions(), &newer.versions())
    }

    /// Number of packages, and their total size in bytes.
    #[must_use]
    pub fn totals(&self) -> (usize, u64) {
        (self.packages.len(), total(self.packages.iter().map(|p| p.size)))
    }

    /// Images other than these, as `worker on rpi4`.
    #[must_use]
    pub fn besides(&self, keys: &[ImageKey]) -> Vec<String> {
        let others = self.images.iter().filter(|image| !keys.iter().any(|key| image.is(key)));
        others.map(|image| format!("{} on {}", image.role, image.board)).collect()
    }

    fn package(&self, reference: &str) -> Option<&Package> {
        let (name, version) = reference.split_once('=').map_or((reference, None), |(n, v)| (n, Some(v)));
        let start = self.packages.partition_point(|p| p.name.as_str() < name);
        let mut of_name = self.packages[start..].iter().take_while(|p| p.name == name);
        of_name.find(|p| version.is_none_or(|v| p.version == v))
    }

    fn image(&self, key: &ImageKey) -> Result<&Image, LockFileError> {
        if let Some(image) = self.images.iter().find(|image| image.is(key)) {
            return Ok(image);
        }
        let of_kind: Vec<&Image> = self
            .images
            .iter()
            .filter(|i| (&i.board, &i.role, &i.suite) == (&key.board, &key.role, &key.suite))
            .collect();
        let (role, board) = (key.role.clone(), key.board.clone());
        let Some(nearest) = of_kind.first() else {
            let there = self.images.iter().map(|i| format!("{} on {} ({})", i.role, i.board, i.suite)).collect();
            return Err(LockFileError::NoImage { path: self.path.clone(), role, board, there });
        };
        let less =
            |a: &[String], b: &[String]| a.iter().filter(|x| !b.contains(x)).cloned().collect::<Vec<_>>().join(", ");
        let (more, gone) = (less(&key.asked, &nearest.asked), less(&nearest.asked, &key.asked));
        let difference = match (more.is_empty(), gone.is_empty()) {
            (false, false) => format!("asks for {more} too and no longer for {gone}"),
            (false, true) => format!("asks for {more} too"),
            (true, _) => format!("no longer asks for {gone}"),
        };
        Err(LockFileError::Changed { path: self.path.clone(), role, board, difference })
    }
}

impl Image {
    /// The image's own time, seconds since 1970.
    fn time(&self) -> i64 {
        seconds(self.renewed.as_ref().unwrap_or(&self.date))
    }

    /// Whether it is the image with this key.
    fn is(&self, key: &ImageKey) -> bool {
        (&self.board, &self.role, &self.suite, &self.asked) == (&key.board, &key.role, &key.suite, &key.asked)
    }
}

/// Converts a date, checked when the file was read, to seconds since 1970.
fn seconds(date: &str) -> i64 {
    date.parse::<jiff::Timestamp>().unwrap_or_default().as_second()
}

impl Archives {
    fn base(&self, archive: ArchiveName) -> &str {
        match archive {
            ArchiveName::Debian => &self.debian,
            ArchiveName::Security => &self.security,
        }
    }
}

#[cfg(test)]
mod tests;
