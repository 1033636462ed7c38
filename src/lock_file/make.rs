//! Makes a [`LockFile`] from the locks of images, or renews some images of one.

use std::collections::BTreeMap;

use super::{Archives, ClusterParts, FILE, FORMAT, Image, ImageKey, LockFile, Package};
use labimg_debian::lock::{Lock, LockedPackage};

/// An image without package names yet, and its packages, each with whether it is only a dependency.
type Whole = (Image, Vec<(Package, bool)>);

impl LockFile {
    /// A lock file from the locks of all images, made from the same mirror, and everything that is not a package.
    #[must_use]
    pub fn new(archives: Archives, images: &[(ImageKey, Lock)], parts: ClusterParts) -> Self {
        let image = |(key, lock): &(ImageKey, Lock)| {
            let image = Image {
                board: key.board.clone(),
                role: key.role.clone(),
                suite: key.suite.clone(),
                codename: lock.suite.clone(),
                architecture: lock.architecture.clone(),
                date: text(lock.date),
                renewed: None,
                asked: key.asked.clone(),
                manual: Vec::new(),
                auto: Vec::new(),
            };
            (image, lock.packages.iter().map(|p| (Package::new(p), p.auto)).collect())
        };
        Self::of(archives, images.iter().map(image).collect(), parts)
    }

    /// This file with new packages in some images, and new cluster parts. Packages that are new in an image get the
    /// date of its lock, and so does the image. An image with the same packages stays as it is.
    #[must_use]
    pub fn renewed(&self, images: &[(ImageKey, Lock)], parts: ClusterParts) -> Self {
        let whole = |image: &Image| {
            let named = |references: &[String], auto| -> Vec<(Package, bool)> {
                references.iter().filter_map(|r| Some((self.package(r)?.clone(), auto))).collect()
            };
            let mut old = [named(&image.manual, false), named(&image.auto, true)].concat();
            let Some((_, lock)) = images.iter().find(|(key, _)| image.is(key)) else { return (image.clone(), old) };
            let mut new: Vec<_> = lock.packages.iter().map(|p| (self.dated(p, &old, lock), p.auto)).collect();
            old.sort();
            new.sort();
            if old == new {
                return (image.clone(), old);
            }
            // An outdated mirror must not make the image older.
            let renewed = Some(text(lock.date.max(image.time())));
            (Image { renewed, ..image.clone() }, new)
        };
        let images = self.images.iter().map(whole).collect();
        let file = Self::of(self.archives.clone(), images, parts);
        Self { path: self.path.clone(), ..file }
    }

    /// A package of a renewed image as written to the file. A version that the file already has is taken from the file.
    fn dated(&self, package: &LockedPackage, old: &[(Package, bool)], lock: &Lock) -> Package {
        let new = Package::new(package);
        if let Some((same, _)) = old.iter().find(|(p, _)| p.identity() == new.identity()) {
            return same.clone();
        }
        let known = self.packages.iter().find(|p| p.identity() == new.identity()).cloned();
        let package = known.unwrap_or(new);
        Package { date: Some(package.date.unwrap_or_else(|| text(lock.date))), ..package }
    }

    fn of(archives: Archives, mut images: Vec<Whole>, parts: ClusterParts) -> Self {
        // If an older image has the package without its own date and a renewed one with it, the date is kept: it
        // belongs to an index that lists the package, whatever the image's date.
        let mut packages: BTreeMap<_, Package> = BTreeMap::new();
        for (package, _) in images.iter().flat_map(|(_, packages)| packages) {
            let there = packages.entry(package.identity()).or_insert_with(|| package.clone());
            if there.date < package.date {
                there.date.clone_from(&package.date);
            }
        }
        let mut packages: Vec<Package> = packages.into_values().collect();
        packages.sort();
        let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
        for package in &packages {
            *versions.entry(&package.name).or_default() += 1;
        }
        let reference = |p: &Package| match versions.get(p.name.as_str()) {
            Some(1) => p.name.clone(),
            _ => format!("{}={}", p.name, p.version),
        };
        for (image, packages) in &mut images {
            let named =
                |wanted| packages.iter().filter(|(_, auto)| *auto == wanted).map(|(p, _)| reference(p)).collect();
            (image.manual, image.auto) = (named(false), named(true));
        }
        let mut images: Vec<Image> = images.into_iter().map(|(image, _)| image).collect();
        images.sort_by(|a, b| (&a.board, &a.role, &a.asked).cmp(&(&b.board, &b.role, &b.asked)));
        let ClusterParts { k3s, k3s_images, charts, containers } = parts.sorted();
        Self { format: FORMAT, archives, images, k3s, k3s_images, charts, containers, packages, path: FILE.into() }
    }
}

impl Package {
    fn new(package: &LockedPackage) -> Self {
        Self {
            name: package.name.clone(),
            version: package.version.clone(),
            architecture: package.architecture.clone(),
            size: package.size,
            sha256: package.sha256,
            archive: package.archive,
            path: package.path.clone(),
            date: None,
        }
    }

    /// The fields that are unique in a file.
    fn identity(&self) -> (&str, &str, &str) {
        (&self.name, &self.version, &self.architecture)
    }
}

/// A time in seconds since 1970, in the file's format.
fn text(time: i64) -> String {
    jiff::Timestamp::from_second(time).unwrap_or_default().to_string()
}
