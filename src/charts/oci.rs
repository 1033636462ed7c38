//! Charts in container registries (helm.sh/docs, "Use OCI-based registries"; OCI Distribution Specification, "Pull").
//!
//! ```text
//! <registry>/v2/<repository>/<chart>/manifests/<version>   a manifest with one layer: the archive, by SHA-256 and size
//! ```

use serde::Deserialize;

use super::{ARCHIVE_LIMIT, ChartError, ChartRef, IndexError};
use crate::containers::ImageName;
use crate::wording;
use labimg_store::Context;
use labimg_store::http::{HttpError, shown};
use labimg_tree::hash::Sha256;

/// How the address of a repository in a registry begins.
pub const SCHEME: &str = "oci://";

/// The media type of a chart's archive.
const ARCHIVE: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// The media type of a manifest.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Largest manifest that is read, in bytes.
const MANIFEST_LIMIT: u64 = 4 << 20;

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
}

/// An archive in a registry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its address in the registry or its mirror.
    pub(super) asked: String,
    /// Its address in the registry.
    pub(super) url: String,
    pub(super) sha256: Sha256,
    pub(super) size: u64,
}

/// The chart's place in its registry, with the version as a tag. Tags cannot have the `+` of versions; Helm writes `_`.
fn place(chart: &ChartRef) -> Result<ImageName, ChartError> {
    let path = chart.repository.strip_prefix(SCHEME).unwrap_or(&chart.repository);
    let name = format!("{path}/{}:{}", chart.name, chart.version.replace('+', "_"));
    name.parse().map_err(|source| ChartError::Name { chart: Box::new(chart.clone()), source })
}

/// Looks up the archive of a chart.
pub(super) fn find(chart: &ChartRef, mirror: Option<&str>, context: &Context<'_>) -> Result<Found, ChartError> {
    let place = place(chart)?;
    let base = place.address(mirror);
    let url = format!("{base}/manifests/{}", place.asked());
    let text = context.http.get_as(&url, Some(MANIFEST), MANIFEST_LIMIT).map_err(|source| match source {
        HttpError::NotFound { .. } => ChartError::Refused { chart: Box::new(chart.clone()), url: shown(&url) },
        source => ChartError::Http { chart: Box::new(chart.clone()), source },
    })?;
    let wrong = |source| ChartError::Index { chart: Box::new(chart.clone()), url: shown(&url), source };
    let (sha256, size) = archive(&text).map_err(wrong)?;
    let blob = |base: &str| format!("{base}/blobs/sha256:{sha256}");
    Ok(Found { asked: blob(&base), url: blob(&place.address(None)), sha256, size })
}

/// Hash and size of the archive that a manifest names.
fn archive(manifest: &[u8]) -> Result<(Sha256, u64), IndexError> {
    let manifest: Manifest =
        serde_json::from_slice(manifest).map_err(|e| IndexError::Manifest(wording::json(&e).to_string()))?;
    let layer = manifest.layers.iter().find(|layer| layer.media_type == ARCHIVE);
    let layer = layer.ok_or_else(|| IndexError::Manifest("it has no archive of a chart".to_owned()))?;
    let sha256 = layer.digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
    let sha256 = sha256.ok_or(IndexError::Lacks("no valid SHA-256"))?;
    if layer.size > ARCHIVE_LIMIT {
        return Err(IndexError::Manifest(format!("its archive has {} bytes", layer.size)));
    }
    Ok((sha256, layer.size))
}

/// The address of a locked archive in a mirror of registries.
pub(super) fn mirrored(chart: &ChartRef, sha256: &Sha256, mirror: &str) -> Result<String, ChartError> {
    Ok(format!("{}/blobs/sha256:{sha256}", place(chart)?.address(Some(mirror))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn chart(repository: &str, version: &str) -> ChartRef {
        ChartRef { name: "one".to_owned(), version: version.to_owned(), repository: repository.to_owned() }
    }

    #[test]
    fn a_chart_has_its_place_in_the_registry() {
        let address = |repository: &str, mirror| place(&chart(repository, "1.2.3+k3s1")).unwrap().address(mirror);
        assert_eq!(address("oci://ghcr.io/them/charts", None), "https://ghcr.io/v2/them/charts/one");
        assert_eq!(address("oci://ghcr.io/them", Some("http://m/")), "http://m/v2/ghcr.io/them/one");
        assert_eq!(place(&chart("oci://ghcr.io/them", "1.2.3+k3s1")).unwrap().asked(), "1.2.3_k3s1");
        assert!(place(&chart("oci://GHCR/them x", "1")).is_err());
    }

    #[test]
    fn the_archive_is_found_among_the_layers() {
        let layer = |kind: &str, digest: &str, size: u64| {
            format!("{{\"mediaType\":\"{kind}\",\"digest\":\"{digest}\",\"size\":{size}}}")
        };
        let manifest = |layers: &[String]| format!("{{\"schemaVersion\":2,\"layers\":[{}]}}", layers.join(","));
        let (proof, good) = ("application/vnd.cncf.helm.chart.provenance.v1.prov", format!("sha256:{HASH}"));
        let text = manifest(&[layer(proof, "sha256:0", 1), layer(ARCHIVE, &good, 7)]);
        assert_eq!(archive(text.as_bytes()).unwrap(), (HASH.parse().unwrap(), 7));
        for (text, needle) in [
            (manifest(&[layer(proof, &good, 1)]), "no archive"),
            (manifest(&[layer(ARCHIVE, "sha256:0", 1)]), "SHA-256"),
            (manifest(&[layer(ARCHIVE, &good, 1 << 40)]), "bytes"),
            ("<html>".to_owned(), "line 1"),
        ] {
            let error = archive(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(needle), "{text}: {error}");
        }
    }
}
