//! Container images on the nodes' cards: found in their registry, verified and stored ([`ImageName`] →
//! [`LockedContainer`] → one archive), so that pods start without any registry.
//!
//! ```text
//! <registry>/v2/<repository>/manifests/<tag>      an index: which manifest is for which platform; or one manifest
//! <registry>/v2/<repository>/manifests/<digest>   a manifest: configuration and layers by SHA-256 and size
//! <registry>/v2/<repository>/blobs/<digest>       each of those
//! ```
//!
//! (OCI Distribution Specification, "Pull".) k3s imports the files in its images folder when it starts (docs.k3s.io,
//! "Air-Gap Install").

mod archive;
pub mod document;
mod error;
mod reference;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use document::{ImageManifest, Meaning, Part};
use labimg_store::http::{HttpError, shown};
use labimg_store::{Context, Request, StoreError};
use labimg_tree::Content;
use labimg_tree::hash::Sha256;
use labimg_tree::progress::Unit;

pub use error::{ContainerError, DocumentError};
pub use reference::{BadName, ImageName};

/// Largest index, manifest or configuration that is read, in bytes (OCI Distribution Specification, "Pushing Manifests").
const DOCUMENT_LIMIT: u64 = 4 << 20;

/// A verified container image for one architecture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedContainer {
    /// Its name, which also says where it is.
    pub name: ImageName,
    /// Debian's name of the architecture.
    pub architecture: String,
    /// Size of its layers, configuration and manifest together, in bytes.
    pub size: u64,
    /// Hash of its manifest, which names everything else by hash.
    pub sha256: Sha256,
}

/// An image with its content.
#[derive(Debug)]
struct Container {
    name: ImageName,
    /// The manifest's media type.
    media_type: String,
    /// Hash of the manifest.
    sha256: Sha256,
    manifest: Content,
    /// Configuration and layers.
    parts: Vec<(Sha256, Content)>,
}

/// Where images come from, and where they are stored.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Base URL of a mirror of registries: `HOST/REPOSITORY` is requested as `<mirror>/v2/HOST/REPOSITORY`.
    pub mirror: Option<&'a str>,
    /// The cache, the network, and where progress is reported.
    pub context: Context<'a>,
}

/// Looks up an image, and verifies and stores its manifest and configuration.
///
/// # Errors
/// [`ContainerError`]; [`ContainerError::is_unreachable`] tells an unreachable registry from a wrong one.
pub fn resolve(name: &ImageName, architecture: &str, source: &Source<'_>) -> Result<LockedContainer, ContainerError> {
    let phase = source.context.progress.phase(&format!("Looking up container image {name}"), 0, Unit::Bytes);
    let base = name.address(source.mirror);
    let mut url = format!("{base}/manifests/{}", name.asked());
    let mut text = document(name, &url, name.digest(), source)?;
    let wrong = |url: &str, source| document_error(name, url, source);
    let manifest = match document::read(&text, architecture).map_err(|e| wrong(&url, e))? {
        Meaning::Manifest(manifest) => manifest,
        Meaning::Elsewhere(part) => {
            url = format!("{base}/manifests/sha256:{}", part.sha256);
            text = document(name, &url, Some(part.sha256), source)?;
            manifest_of(&text, architecture).map_err(|e| wrong(&url, e))?
        }
    };
    let config_url = format!("{base}/blobs/sha256:{}", manifest.config.sha256);
    let config = document(name, &config_url, Some(manifest.config.sha256), source)?;
    document::check_config(&config, architecture).map_err(|e| wrong(&config_url, e))?;
    phase.inc((text.len() + config.len()) as u64);
    source.context.store.put(&config, source.context.progress)?;
    let sha256 = source.context.store.put(&text, source.context.progress)?;
    // A layer may occur twice, but is downloaded once.
    let parts: BTreeMap<Sha256, u64> = parts(&manifest).map(|part| (part.sha256, part.size)).collect();
    let size = parts.values().fold(text.len() as u64, |sum, size| sum.saturating_add(*size));
    Ok(LockedContainer { name: name.clone(), architecture: architecture.to_owned(), size, sha256 })
}

/// One archive of all these images; `None` without images.
///
/// # Errors
/// [`ContainerError`].
pub fn fetch_locked(
    containers: &[&LockedContainer],
    jobs: usize,
    source: &Source<'_>,
) -> Result<Option<Content>, ContainerError> {
    if containers.is_empty() {
        return Ok(None);
    }
    let mut manifests = Vec::new();
    for container in containers {
        manifests.push(manifest(container, source)?);
    }
    let mut requests = Vec::new();
    for (container, (_, manifest)) in containers.iter().zip(&manifests) {
        for part in parts(manifest) {
            let of = |mirror| format!("{}/blobs/sha256:{}", container.name.address(mirror), part.sha256);
            let mut urls = vec![of(source.mirror), of(None)];
            urls.dedup();
            let name = format!("{} (part {:.12})", container.name, part.sha256.to_string());
            requests.push(Request { name, sha256: part.sha256, size: part.size, urls });
        }
    }
    source.context.store.fetch(&requests, jobs, source.context.http, source.context.progress)?;
    let mut fetched = Vec::new();
    for (container, (text, manifest)) in containers.iter().zip(manifests) {
        let content = |part: Part| {
            let blob = source.context.store.fetched(&part.sha256, source.context.progress)?;
            Ok((part.sha256, Content::whole(blob)))
        };
        fetched.push(Container {
            name: container.name.clone(),
            parts: parts(&manifest).map(content).collect::<Result<_, ContainerError>>()?,
            media_type: manifest.media_type,
            sha256: container.sha256,
            manifest: Content::from(text),
        });
    }
    archive::of(&fetched).map(Some).map_err(ContainerError::Archive)
}

/// The locked manifest, from the store if it is there.
fn manifest(container: &LockedContainer, source: &Source<'_>) -> Result<(Vec<u8>, ImageManifest), ContainerError> {
    let LockedContainer { name, architecture, sha256, .. } = container;
    let of = |mirror| format!("{}/manifests/sha256:{sha256}", name.address(mirror));
    let url = of(source.mirror);
    let kept = source.context.store.blob(sha256, &format!("the manifest of {name}"), source.context.progress)?;
    let text = if let Some(blob) = kept {
        let path = blob.path().to_owned();
        Content::whole(blob).to_vec().map_err(|e| StoreError::io("read", &path, e))?
    } else {
        let text = match document(name, &url, Some(*sha256), source) {
            Err(ContainerError::Http { .. } | ContainerError::Refused { .. }) if source.mirror.is_some() => {
                document(name, &of(None), Some(*sha256), source)
            }
            done => done,
        }?;
        source.context.store.put(&text, source.context.progress)?;
        text
    };
    let manifest = manifest_of(&text, architecture).map_err(|e| document_error(name, &url, e))?;
    Ok((text, manifest))
}

/// A document of a registry; one requested by hash is verified.
fn document(
    name: &ImageName,
    url: &str,
    sha256: Option<Sha256>,
    source: &Source<'_>,
) -> Result<Vec<u8>, ContainerError> {
    let text = source.context.http.get_as(url, Some(document::ACCEPT), DOCUMENT_LIMIT).map_err(|e| match e {
        // Some registries answer 401 or 403 for what does not exist.
        HttpError::NotFound { .. } | HttpError::Denied { .. } => {
            ContainerError::Refused { name: Box::new(name.clone()), url: shown(url), source: e }
        }
        e => ContainerError::Http { name: Box::new(name.clone()), source: e },
    })?;
    let found = Sha256::of(&text);
    if sha256.is_some_and(|sha256| sha256 != found) {
        return Err(ContainerError::Hash { name: Box::new(name.clone()), url: shown(url), found });
    }
    Ok(text)
}

fn document_error(name: &ImageName, url: &str, source: DocumentError) -> ContainerError {
    ContainerError::Document { name: Box::new(name.clone()), url: shown(url), source }
}

fn manifest_of(text: &[u8], architecture: &str) -> Result<ImageManifest, DocumentError> {
    match document::read(text, architecture)? {
        Meaning::Manifest(manifest) => Ok(manifest),
        Meaning::Elsewhere(_) => Err(DocumentError::Index),
    }
}

/// Configuration and layers.
fn parts(manifest: &ImageManifest) -> impl Iterator<Item = Part> {
    std::iter::once(manifest.config).chain(manifest.layers.iter().copied())
}
