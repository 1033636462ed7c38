//! A registry's documents about an image: an index of the manifests of several platforms, or the manifest of one (OCI
//! Image Format Specification, "Image Index" and "Image Manifest"; Docker's "Image Manifest Version 2, Schema 2", which
//! has the same fields).

use serde::{Deserialize, Serialize};

use super::DocumentError;
use crate::wording;
use labimg_tree::hash::Sha256;

/// The accepted media types, newer ones first.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// The media type of a manifest without one: only OCI manifests may leave it out.
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Most layers that are accepted; container runtimes mount fewer.
const MOST_LAYERS: usize = 500;

/// Largest part that is accepted, in bytes.
const LARGEST_PART: u64 = 1 << 40;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: Option<String>,
    /// Only in an index.
    manifests: Option<Vec<Descriptor>>,
    /// Only in a manifest.
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// A blob identified by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Its hash.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
}

/// The manifest of an image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifest {
    /// Its media type.
    pub media_type: String,
    /// The image's configuration, which names its platform.
    pub config: Part,
    /// The layers: archives of its files.
    pub layers: Vec<Part>,
}

/// What a name refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// An index; this is its manifest for the requested platform.
    Elsewhere(Part),
    /// A manifest.
    Manifest(ImageManifest),
}

/// Parses an index or a manifest; from an index it takes the manifest for this architecture (Debian's name).
///
/// # Errors
/// [`DocumentError`].
pub fn read(text: &[u8], architecture: &str) -> Result<Meaning, DocumentError> {
    let document: Document = serde_json::from_slice(text).map_err(|e| format(&e))?;
    if document.schema_version != 2 {
        return Err(DocumentError::Old(document.schema_version));
    }
    match (document.manifests, document.config, document.layers) {
        (Some(manifests), None, None) => choose(&manifests, architecture).map(Meaning::Elsewhere),
        (None, Some(config), Some(layers)) => {
            if layers.len() > MOST_LAYERS {
                return Err(DocumentError::Format(format!("it has {} layers", layers.len())));
            }
            Ok(Meaning::Manifest(ImageManifest {
                media_type: document.media_type.unwrap_or_else(|| OCI_MANIFEST.to_owned()),
                config: config.part()?,
                layers: layers.iter().map(Descriptor::part).collect::<Result<_, _>>()?,
            }))
        }
        _ => Err(DocumentError::Format("it is neither an index nor a manifest".to_owned())),
    }
}

/// The manifest for an architecture; of several, the one for the oldest processors that the system supports.
fn choose(manifests: &[Descriptor], architecture: &str) -> Result<Part, DocumentError> {
    let (wanted, variants) = platform(architecture);
    let of = |variant: Option<&str>| {
        manifests.iter().find(|descriptor| {
            descriptor.platform.as_ref().is_some_and(|p| {
                p.os == "linux" && p.architecture == wanted && p.variant.as_deref().filter(|v| !v.is_empty()) == variant
            })
        })
    };
    let found = variants.iter().copied().find_map(of).ok_or_else(|| {
        let platforms = manifests.iter().filter_map(|d| d.platform.as_ref()).filter(|p| p.os != "unknown");
        DocumentError::NoPlatform { wanted: format!("linux/{wanted}"), there: platforms.map(Platform::shown).collect() }
    })?;
    found.part()
}

/// Checks that an image's configuration is for this architecture (Debian's name).
///
/// # Errors
/// [`DocumentError`].
pub fn check_config(text: &[u8], architecture: &str) -> Result<(), DocumentError> {
    let config: Platform = serde_json::from_slice(text).map_err(|e| format(&e))?;
    let (wanted, _) = platform(architecture);
    if config.os == "linux" && config.architecture == wanted {
        return Ok(());
    }
    Err(DocumentError::NoPlatform { wanted: format!("linux/{wanted}"), there: vec![config.shown()] })
}

/// Go's names for Debian's architectures, and the variants that their processors run, best first (OCI Image Format
/// Specification, "Platform Variants").
fn platform(architecture: &str) -> (&str, &[Option<&'static str>]) {
    match architecture {
        "arm64" => ("arm64", &[None, Some("v8")]),
        "armhf" => ("arm", &[Some("v7"), Some("v6"), None]),
        other => (other, &[None]),
    }
}

fn format(error: &serde_json::Error) -> DocumentError {
    DocumentError::Format(wording::json(error).to_string())
}

impl Platform {
    fn shown(&self) -> String {
        let variant = self.variant.as_ref().filter(|v| !v.is_empty()).map(|v| format!("/{v}")).unwrap_or_default();
        format!("{}/{}{variant}", self.os, self.architecture)
    }
}

impl Descriptor {
    fn part(&self) -> Result<Part, DocumentError> {
        let hex = self.digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
        let sha256 = hex.ok_or_else(|| DocumentError::Digest(self.digest.clone()))?;
        if self.size > LARGEST_PART {
            return Err(DocumentError::Format(format!("a part of {} bytes", self.size)));
        }
        Ok(Part { sha256, size: self.size })
    }
}

/// The file that marks a folder as an image layout, with its version (OCI Image Layout Specification).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OciLayout {
    pub(super) image_layout_version: &'static str,
}

/// `index.json` of an image layout.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LayoutIndex {
    pub(super) schema_version: u32,
    pub(super) media_type: &'static str,
    pub(super) manifests: Vec<LayoutEntry>,
}

/// One image of the layout.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LayoutEntry {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    pub(super) annotations: std::collections::BTreeMap<&'static str, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> String {
        format!("sha256:{}", Sha256::of(text))
    }

    fn index(platforms: &[&str]) -> String {
        let one = |(at, platform): (usize, &&str)| {
            format!(r#"{{"mediaType":"m","digest":"{}","size":{at},"platform":{platform}}}"#, hash(&at.to_string()))
        };
        let all: Vec<String> = platforms.iter().enumerate().map(one).collect();
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, all.join(","))
    }

    #[test]
    fn the_manifest_of_the_board_s_architecture_is_chosen() {
        let amd64 = r#"{"os":"linux","architecture":"amd64"}"#;
        let v8 = r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#;
        let plain = r#"{"os":"linux","architecture":"arm64","variant":""}"#;
        let windows = r#"{"os":"windows","architecture":"arm64","os.version":"10"}"#;
        let unknown = r#"{"os":"unknown","architecture":"unknown"}"#;
        let (v6, v7) = (
            r#"{"os":"linux","architecture":"arm","variant":"v6"}"#,
            r#"{"os":"linux","architecture":"arm","variant":"v7"}"#,
        );
        for (platforms, architecture, chosen) in [
            (&[amd64, windows, v8][..], "arm64", 2),
            (&[v8, plain], "arm64", 1),
            (&[v6, v7], "armhf", 1),
            (&[v6], "armhf", 0),
            (&[v8, amd64], "amd64", 1),
        ] {
            let found = read(index(platforms).as_bytes(), architecture).unwrap();
            let part = Part { sha256: Sha256::of(chosen.to_string()), size: chosen };
            assert_eq!(found, Meaning::Elsewhere(part), "{platforms:?}");
        }
        let error = read(index(&[amd64, v7, unknown]).as_bytes(), "arm64").unwrap_err().to_string();
        assert!(error.contains("linux/arm64") && error.contains("linux/amd64, linux/arm/v7"), "{error}");
        assert!(!error.contains("unknown"), "{error}");
    }

    #[test]
    fn a_manifest_names_its_parts() {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"x/y","config":{{"digest":"{}","size":7}},"layers":[{{"digest":"{}","size":9}}]}}"#,
            hash("c"),
            hash("l")
        );
        let Meaning::Manifest(manifest) = read(text.as_bytes(), "arm64").unwrap() else { panic!() };
        assert_eq!(manifest.media_type, "x/y");
        assert_eq!(manifest.config, Part { sha256: Sha256::of("c"), size: 7 });
        assert_eq!(manifest.layers, [Part { sha256: Sha256::of("l"), size: 9 }]);
        let other = text.replace("sha256:", "sha512:");
        assert!(matches!(read(other.as_bytes(), "arm64"), Err(DocumentError::Digest(_))));
    }

    #[test]
    fn other_documents_are_refused() {
        for text in ["", "[]", "{}", r#"{"schemaVersion":2}"#, r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#] {
            assert!(matches!(read(text.as_bytes(), "arm64"), Err(DocumentError::Format(_))), "{text}");
        }
        assert!(matches!(read(br#"{"schemaVersion":1}"#, "arm64"), Err(DocumentError::Old(1))));
        assert!(check_config(br#"{"os":"linux","architecture":"arm64","rootfs":{}}"#, "arm64").is_ok());
        assert!(check_config(br#"{"os":"linux","architecture":"amd64"}"#, "arm64").is_err());
    }
}
