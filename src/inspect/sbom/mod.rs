//! A software bill of materials (SBOM) of an image, for programs that check vulnerabilities and licences.

mod cyclonedx;
mod spdx;

use std::path::Path;

use serde_json::Value;
use uuid::Uuid;

use super::report::{self, ImageReport};
use super::system::{Package, System};
use crate::record::RecordContainer;
use labimg_disk::read::InspectError;
use labimg_tree::hash::Sha256;

/// The format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SbomFormat {
    /// CycloneDX 1.6, JSON
    Cyclonedx,
    /// SPDX 2.3, JSON
    Spdx,
}

/// Everything in an image with a name and a version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Materials {
    /// The same image gives the same id.
    id: Uuid,
    /// RFC 3339 in UTC, whole seconds.
    created: String,
    /// Name of the image.
    name: String,
    /// Name and version of the system in it.
    system: (String, String),
    parts: Vec<Part>,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    name: String,
    version: String,
    /// Package URL (purl specification, types `deb`, `github`, `oci` and `generic`).
    purl: String,
    /// SHA-256 of the downloaded file.
    sha256: Option<Sha256>,
    /// Where it was downloaded, if the image records it.
    url: Option<String>,
}

/// The SBOM of an image.
///
/// # Errors
/// When the image cannot be read or has no Linux system.
pub fn sbom(image: &Path, format: SbomFormat) -> Result<Value, InspectError> {
    let report = report::open(image)?;
    let system = report.system.as_ref().ok_or_else(|| {
        let others = report.partitions.iter().filter_map(|p| Some((p.entry.number, p.holds?))).collect();
        InspectError::NoSystem { path: image.to_owned(), others }
    })?;
    let name = image.file_name().map_or_else(|| "image".to_owned(), |name| name.to_string_lossy().into_owned());
    let materials = Materials::new(name, &report, system);
    Ok(match format {
        SbomFormat::Cyclonedx => cyclonedx::write(&materials),
        SbomFormat::Spdx => spdx::write(&materials),
    })
}

impl Materials {
    fn new(name: String, report: &ImageReport, system: &System) -> Self {
        let manifest = system.manifest.as_ref();
        let hash_of = |package: &Package| {
            let found = manifest?.packages.iter().find(|p| p.name == package.name && p.version == package.version)?;
            found.sha256
        };
        let installed =
            system.packages.iter().filter(|p| !matches!(p.state.as_str(), "config-files" | "not-installed"));
        let mut parts: Vec<Part> = installed
            .map(|p| Part {
                name: p.name.clone(),
                version: p.version.clone(),
                purl: debian_purl(p, system),
                sha256: hash_of(p),
                url: None,
            })
            .collect();
        if let Some(k3s) = manifest.and_then(|m| m.k3s.as_ref()) {
            let version = k3s.version.clone().unwrap_or_else(|| "unknown".to_owned());
            parts.push(Part {
                name: "k3s".to_owned(),
                purl: format!("pkg:github/k3s-io/k3s@{}", encoded(&version)),
                version,
                sha256: k3s.sha256,
                url: k3s.url.clone(),
            });
        }
        for container in manifest.iter().flat_map(|m| &m.containers) {
            parts.push(Part {
                name: container.name.clone(),
                version: container.version.clone(),
                purl: container_purl(container, manifest.map_or("", |m| &m.architecture)),
                sha256: Some(container.sha256),
                url: None,
            });
        }
        let described: Vec<String> = parts.iter().map(|p| format!("{} {:?}", p.purl, p.sha256)).collect();
        let digest = Sha256::of(format!("{} {}", report.disk_id, described.join(" ")));
        let half = digest.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
        Self {
            id: uuid::Builder::from_random_bytes(half).into_uuid(),
            created: manifest.map_or_else(|| "1970-01-01T00:00:00Z".to_owned(), |m| m.date.clone()),
            name,
            system: (system.id.0.clone(), system.id.1.clone()),
            parts,
        }
    }
}

/// `pkg:deb/debian/libc6@2.41-12?arch=arm64&distro=debian-13`
fn debian_purl(package: &Package, system: &System) -> String {
    let (id, version) = &system.id;
    let distro = if version.is_empty() { id.clone() } else { format!("{id}-{version}") };
    format!(
        "pkg:deb/{}/{}@{}?arch={}&distro={}",
        encoded(id),
        encoded(&package.name),
        encoded(&package.version),
        encoded(&package.architecture),
        encoded(&distro)
    )
}

/// `pkg:oci/pause@sha256%3A00…?arch=arm64&repository_url=registry.k8s.io/pause&tag=3.10`
fn container_purl(container: &RecordContainer, architecture: &str) -> String {
    let RecordContainer { name, version, sha256, .. } = container;
    if name == RecordContainer::OF_K3S {
        return format!("pkg:generic/{}@{}", encoded(name), encoded(version));
    }
    let last = name.rsplit('/').next().unwrap_or_default();
    let tag = if version.starts_with("sha256:") { String::new() } else { format!("&tag={}", encoded(version)) };
    format!(
        "pkg:oci/{}@{}?arch={}&repository_url={}{tag}",
        encoded(last),
        encoded(&format!("sha256:{sha256}")),
        encoded(architecture),
        encoded(name).replace("%2F", "/"),
    )
}

/// Percent-encoding for purls: everything except letters, digits and `.-_~`.
fn encoded(text: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn materials() -> Materials {
        Materials {
            id: Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef),
            created: "2026-11-01T00:00:00Z".to_owned(),
            name: "node.img".to_owned(),
            system: ("debian".to_owned(), "13".to_owned()),
            parts: vec![Part {
                name: "libstdc++6".to_owned(),
                version: "1:14.2.0-19".to_owned(),
                purl: "pkg:deb/debian/libstdc%2B%2B6@1%3A14.2.0-19?arch=arm64&distro=debian-13".to_owned(),
                sha256: Some(Sha256::of("x")),
                url: Some("https://mirror.example/x.deb".to_owned()),
            }],
        }
    }

    #[test]
    fn names_and_versions_are_encoded() {
        assert_eq!(encoded("libstdc++6"), "libstdc%2B%2B6");
        assert_eq!(encoded("1:2~rc1+dfsg-1"), "1%3A2~rc1%2Bdfsg-1");
    }

    #[test]
    fn container_images_have_their_place_in_the_purl() {
        let hash = Sha256::of("");
        let of = |name: &str, version: &str| {
            let (name, version) = (name.to_owned(), version.to_owned());
            container_purl(&RecordContainer { name, version, size: 1, sha256: hash }, "arm64")
        };
        let expected = format!("pkg:oci/pause@sha256%3A{hash}?arch=arm64&repository_url=registry.k8s.io/a/pause");
        assert_eq!(of("registry.k8s.io/a/pause", "3.10"), format!("{expected}&tag=3.10"));
        assert_eq!(of("registry.k8s.io/a/pause", &format!("sha256:{hash}")), expected);
        assert_eq!(of(RecordContainer::OF_K3S, "v1.36.5+k3s1"), "pkg:generic/k3s-airgap-images@v1.36.5%2Bk3s1");
    }

    #[test]
    fn both_forms() {
        insta::assert_snapshot!("cyclonedx", serde_json::to_string_pretty(&cyclonedx::write(&materials())).unwrap());
        insta::assert_snapshot!("spdx", serde_json::to_string_pretty(&spdx::write(&materials())).unwrap());
    }
}
