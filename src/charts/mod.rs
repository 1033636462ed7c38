//! Helm charts named by manifests: found in their repository, verified and stored ([`ChartRef`] → [`LockedChart`]).
//!
//! ```text
//! <repository>/index.yaml    lists the archives of all charts and versions, with their SHA-256
//! ```
//!
//! Or it is a folder of a container registry ([`oci`]).
//!
//! A repository is only asked when a lock is made. An image that is built from the lock holds the archives, and k3s
//! serves them to itself (docs.k3s.io, "Deploying Content in the Server's Static Directory"); in any other image a
//! manifest names the repository, and the cluster downloads the chart.

mod archive;
mod content;
mod error;
pub mod index;
pub mod oci;

use serde::{Deserialize, Serialize};

use labimg_store::http::{HttpError, shown};
use labimg_store::{Context, Request};
use labimg_tree::Content;
use labimg_tree::hash::Sha256;
use labimg_tree::progress::Unit;

pub use content::{ChartContent, contents};
pub use error::{ChartError, IndexError};

/// Largest index that is read, in bytes. Large repositories have a few MB.
const INDEX_LIMIT: u64 = 32 << 20;

/// Largest archive that is accepted, in bytes. Helm itself stores an installed chart in an object of 1 MiB.
const ARCHIVE_LIMIT: u64 = 16 << 20;

/// A chart as named by a manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChartRef {
    /// Its name in the repository.
    pub name: String,
    /// The exact version.
    pub version: String,
    /// Base URL of the repository (`https://`, or `oci://` for a folder of a registry), without a trailing `/`.
    pub repository: String,
}

impl ChartRef {
    /// Whether it is in a container registry, not in a repository of charts alone.
    #[must_use]
    pub fn is_in_registry(&self) -> bool {
        self.repository.starts_with(oci::SCHEME)
    }

    /// The archive's name among the files that k3s serves: in one folder per repository, since two may have a chart
    /// with the same name, and k3s has its own charts there.
    #[must_use]
    pub fn file(&self) -> String {
        format!("{}/{}-{}.tgz", self.repository.replacen("://", "/", 1), self.name, self.version)
    }
}

/// A verified chart archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedChart {
    /// Its name in the repository.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Base URL of the repository.
    pub repository: String,
    /// Size of the archive in bytes.
    pub size: u64,
    /// Hash of the archive.
    pub sha256: Sha256,
    /// Original address of the archive, not that of a mirror.
    pub url: String,
}

impl LockedChart {
    /// The chart as named by a manifest.
    #[must_use]
    pub fn reference(&self) -> ChartRef {
        ChartRef { name: self.name.clone(), version: self.version.clone(), repository: self.repository.clone() }
    }
}

/// Mirrors that are asked in place of repositories.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mirrors<'a> {
    /// Base URL of a mirror of chart repositories: `https://HOST/PATH` is requested at `<charts>/HOST/PATH`.
    pub charts: Option<&'a str>,
    /// Base URL of a mirror of registries: `HOST/REPOSITORY` is requested as `<registries>/v2/HOST/REPOSITORY`.
    pub registries: Option<&'a str>,
}

/// Downloads a chart's archive into the store and checks it against the repository's index, if that has a hash.
///
/// # Errors
/// [`ChartError`]; [`ChartError::is_unreachable`] tells an unreachable repository from a wrong one.
pub fn resolve(chart: &ChartRef, mirrors: Mirrors<'_>, context: &Context<'_>) -> Result<LockedChart, ChartError> {
    let phase = context.progress.phase(&format!("Looking up chart {}", chart.name), 0, Unit::Bytes);
    let failure = |source| ChartError::Http { chart: Box::new(chart.clone()), source };
    let (asked, url, expected) = if chart.is_in_registry() {
        let found = oci::find(chart, mirrors.registries, context)?;
        (found.asked, found.url, Some(found.sha256))
    } else {
        let found = in_index(chart, mirrors.charts, context)?;
        (through(mirrors.charts, &found.url), found.url, found.sha256)
    };
    let archive = context.http.get_as(&asked, None, ARCHIVE_LIMIT).map_err(failure)?;
    let found = Sha256::of(&archive);
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(ChartError::Hash { chart: Box::new(chart.clone()), url: shown(&asked), expected, found });
    }
    archive::check(&archive, chart).map_err(|what| ChartError::NoArchive {
        chart: Box::new(chart.clone()),
        url: shown(&asked),
        what,
    })?;
    phase.inc(archive.len() as u64);
    context.store.put(&archive, context.progress)?;
    let ChartRef { name, version, repository } = chart.clone();
    Ok(LockedChart { name, version, repository, size: archive.len() as u64, sha256: found, url: shown(&url) })
}

/// Looks up a chart in its repository's index.
fn in_index(chart: &ChartRef, mirror: Option<&str>, context: &Context<'_>) -> Result<index::Found, ChartError> {
    let index_url = format!("{}/index.yaml", chart.repository);
    let asked = through(mirror, &index_url);
    let text = match context.http.get(&asked, INDEX_LIMIT) {
        Ok(text) => text,
        Err(HttpError::NotFound { url }) => {
            return Err(ChartError::NoRepository { chart: Box::new(chart.clone()), url });
        }
        Err(source) => return Err(ChartError::Http { chart: Box::new(chart.clone()), source }),
    };
    index::find(&text, chart).map_err(|source| ChartError::Index {
        chart: Box::new(chart.clone()),
        url: shown(&asked),
        source,
    })
}

/// The locked archives, in the lock's order.
///
/// # Errors
/// [`ChartError::Store`].
pub fn fetch_locked(
    charts: &[&LockedChart],
    mirrors: Mirrors<'_>,
    context: &Context<'_>,
) -> Result<Vec<(ChartRef, Content)>, ChartError> {
    let request = |chart: &&LockedChart| {
        let reference = chart.reference();
        let mirrored = match mirrors.registries.filter(|_| reference.is_in_registry()) {
            Some(mirror) => oci::mirrored(&reference, &chart.sha256, mirror)?,
            None if reference.is_in_registry() => chart.url.clone(),
            None => through(mirrors.charts, &chart.url),
        };
        let mut urls = vec![mirrored, chart.url.clone()];
        urls.dedup();
        let name = format!("chart {} {}", chart.name, chart.version);
        Ok(Request { name, sha256: chart.sha256, size: chart.size, urls })
    };
    let requests = charts.iter().map(request).collect::<Result<Vec<_>, ChartError>>()?;
    context.store.fetch(&requests, 1, context.http, context.progress)?;
    let content = |chart: &&LockedChart| {
        let archive = context.store.fetched(&chart.sha256, context.progress)?;
        Ok((chart.reference(), Content::whole(archive)))
    };
    charts.iter().map(content).collect()
}

/// The address to ask: the mirror's, if there is a mirror.
fn through(mirror: Option<&str>, url: &str) -> String {
    match (mirror, url.split_once("://")) {
        (Some(mirror), Some((_, rest))) => format!("{}/{rest}", mirror.trim_end_matches('/')),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_has_everything_by_host_and_path() {
        let url = "https://charts.example/stable/index.yaml";
        assert_eq!(through(None, url), url);
        assert_eq!(through(Some("http://m.example/c/"), url), "http://m.example/c/charts.example/stable/index.yaml");
    }
}
