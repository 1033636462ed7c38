//! The contents of a lock besides Debian packages: k3s, charts and container images.

use super::{LockFile, LockFileError};
use crate::changes::{Version, Versions};
use crate::charts::{ChartRef, LockedChart};
use crate::containers::{ImageName, LockedContainer};
use crate::k3s::LockedK3s;

/// All of them, to make a lock from.
#[derive(Debug, Clone, Default)]
pub struct ClusterParts {
    /// The k3s of each architecture.
    pub k3s: Vec<LockedK3s>,
    /// k3s's own container images, if they go onto the cards.
    pub k3s_images: Vec<LockedK3s>,
    /// The charts of all manifests.
    pub charts: Vec<LockedChart>,
    /// Other container images for the cards.
    pub containers: Vec<LockedContainer>,
}

impl ClusterParts {
    /// Sorted in the order of the file, each once.
    pub(super) fn sorted(mut self) -> Self {
        for releases in [&mut self.k3s, &mut self.k3s_images] {
            releases.sort_by(|a, b| a.architecture.cmp(&b.architecture));
        }
        self.charts.sort();
        self.charts.dedup();
        self.containers.sort();
        self.containers.dedup();
        self
    }
}

impl LockFile {
    /// The k3s of an architecture.
    ///
    /// # Errors
    /// [`LockFileError::NoK3s`].
    pub fn k3s(&self, version: &str, architecture: &str) -> Result<&LockedK3s, LockFileError> {
        self.release(&self.k3s, "k3s", version, architecture)
    }

    /// The container images of k3s itself, for an architecture.
    ///
    /// # Errors
    /// [`LockFileError::NoK3s`].
    pub fn k3s_images(&self, version: &str, architecture: &str) -> Result<&LockedK3s, LockFileError> {
        self.release(&self.k3s_images, "container images of k3s", version, architecture)
    }

    fn release<'s>(
        &self,
        all: &'s [LockedK3s],
        what: &'static str,
        version: &str,
        architecture: &str,
    ) -> Result<&'s LockedK3s, LockFileError> {
        let of_architecture = all.iter().find(|k| k.architecture == architecture);
        of_architecture.filter(|k| k.version == version).ok_or_else(|| LockFileError::NoK3s {
            path: self.path.clone(),
            what,
            version: version.to_owned(),
            architecture: architecture.to_owned(),
            other: of_architecture.map(|k| k.version.clone()),
        })
    }

    /// A container image for the cards.
    ///
    /// # Errors
    /// [`LockFileError::NoContainer`].
    pub fn container(&self, name: &ImageName, architecture: &str) -> Result<&LockedContainer, LockFileError> {
        let found = self.containers.iter().find(|c| c.name == *name && c.architecture == architecture);
        found.ok_or_else(|| LockFileError::NoContainer {
            path: self.path.clone(),
            name: Box::new(name.clone()),
            architecture: architecture.to_owned(),
        })
    }

    /// A chart named by a manifest.
    ///
    /// # Errors
    /// [`LockFileError::NoChart`].
    pub fn chart(&self, chart: &ChartRef) -> Result<&LockedChart, LockFileError> {
        self.charts.iter().find(|locked| locked.reference() == *chart).ok_or_else(|| LockFileError::NoChart {
            path: self.path.clone(),
            chart: Box::new(chart.clone()),
            other: self
                .charts
                .iter()
                .find(|locked| locked.name == chart.name && locked.repository == chart.repository)
                .map(|locked| locked.version.clone()),
        })
    }

    /// The k3s of each architecture.
    #[must_use]
    pub fn releases(&self) -> &[LockedK3s] {
        &self.k3s
    }

    /// The charts of all manifests.
    #[must_use]
    pub fn charts(&self) -> &[LockedChart] {
        &self.charts
    }

    /// The container images on the cards, in readable form.
    #[must_use]
    pub fn container_names(&self) -> Vec<String> {
        let of_k3s = self.k3s_images.iter().map(|k| format!("those of k3s {} ({})", k.version, k.architecture));
        of_k3s.chain(self.containers.iter().map(|c| format!("{} ({})", c.name, c.architecture))).collect()
    }

    /// Everything that is not a Debian package.
    #[must_use]
    pub fn cluster_parts(&self) -> ClusterParts {
        ClusterParts {
            k3s: self.k3s.clone(),
            k3s_images: self.k3s_images.clone(),
            charts: self.charts.clone(),
            containers: self.containers.clone(),
        }
    }

    pub(super) fn versions(&self) -> Versions {
        let packages =
            self.packages.iter().map(|p| (p.name.clone(), Version { version: p.version.clone(), size: p.size }));
        let k3s = self
            .k3s
            .iter()
            .map(|k| (format!("k3s ({})", k.architecture), Version { version: k.version.clone(), size: k.size }));
        let charts = self
            .charts
            .iter()
            .map(|c| (format!("chart {}", c.name), Version { version: c.version.clone(), size: c.size }));
        let images = self.k3s_images.iter().map(|k| {
            (format!("k3s images ({})", k.architecture), Version { version: k.version.clone(), size: k.size })
        });
        let containers = self.containers.iter().map(|c| {
            let (name, version) = c.name.name_and_version();
            // A tag may later mean another image.
            let version = format!("{version} {:.12}", c.sha256.to_string());
            (format!("container {name} ({})", c.architecture), Version { version, size: c.size })
        });
        let mut versions = Versions::new();
        for (name, version) in packages.chain(k3s).chain(images).chain(charts).chain(containers) {
            versions.entry(name).or_default().insert(version);
        }
        versions
    }
}
