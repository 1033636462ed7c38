//! Why a container image is not available.

use super::ImageName;
use labimg_store::StoreError;
use labimg_store::http::HttpError;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::hash::Sha256;

/// Why a container image is not available.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// Its registry does not answer.
    #[error("container image {name} cannot be looked up")]
    Http {
        /// The image.
        name: Box<ImageName>,
        /// The cause.
        source: HttpError,
    },
    /// The registry does not have it, or not for who asks.
    #[error("container image {name}: the registry gives no such image to {} ({url})", who(source))]
    Refused {
        /// The image.
        name: Box<ImageName>,
        /// The requested address.
        url: String,
        /// Its answer.
        source: HttpError,
    },
    /// The registry's document about it cannot be used.
    #[error("container image {name}: {url} cannot be used")]
    Document {
        /// The image.
        name: Box<ImageName>,
        /// Address of the document.
        url: String,
        /// What is wrong.
        source: DocumentError,
    },
    /// The registry sends something other than requested.
    #[error("container image {name}: {url} has another SHA-256, {found}")]
    Hash {
        /// The image.
        name: Box<ImageName>,
        /// The requested address, which contains the digest.
        url: String,
        /// The hash of the received bytes.
        found: Sha256,
    },
    /// The archive of all images cannot be put together.
    #[error("the archive of container images cannot be made")]
    Archive(#[source] std::io::Error),
    /// It cannot be downloaded or stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wrong with a registry's document about an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not in the specified format.
    #[error("it does not describe an image: {0}")]
    Format(String),
    /// A format from before 2015.
    #[error("it is of schema version {0}, which container runtimes no longer take")]
    Old(u32),
    /// It has no image for the board's platform.
    #[error("it is not for {wanted}, but for {}", if there.is_empty() { "nothing".to_owned() } else { there.join(", ") })]
    NoPlatform {
        /// Such as `linux/arm64`.
        wanted: String,
        /// The available platforms.
        there: Vec<String>,
    },
    /// A part has a digest other than SHA-256.
    #[error("the digest `{0}` is not a SHA-256")]
    Digest(String),
    /// An index in the place of a manifest.
    #[error("it is an index, and a manifest is expected here")]
    Index,
}

/// Who asked, as far as that says something.
fn who(answer: &HttpError) -> &'static str {
    let has_login = matches!(answer, HttpError::Denied { login: Some(_), .. });
    if has_login { "the login that it was shown" } else { "anyone who asks" }
}

impl Fault for ContainerError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Http { source, .. } => source.kind(),
            Self::Document { source, .. } => source.kind(),
            Self::Refused { .. } | Self::Hash { .. } | Self::Archive(_) => FaultKind::World,
            Self::Store(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Http { source, .. } | Self::Refused { source: source @ HttpError::Denied { .. }, .. } => {
                source.help()
            }
            Self::Refused { .. } => Some("check the name".to_owned()),
            Self::Document { source, .. } => source.help(),
            Self::Hash { .. } => Some("try again, or leave out the mirror of registries".to_owned()),
            Self::Archive(_) => None,
            Self::Store(source) => source.help(),
        }
    }
}

impl Fault for DocumentError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Format(_) | Self::Old(_) | Self::NoPlatform { .. } | Self::Digest(_) | Self::Index => {
                FaultKind::World
            }
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Format(_) | Self::Digest(_) | Self::Index => {
                "try again later, or use another mirror of registries (`k3s.registries`)"
            }
            Self::Old(_) => "use a newer tag of the image",
            Self::NoPlatform { .. } => "name an image, or a tag of it, that is for the board's architecture",
        };
        Some(help.to_owned())
    }
}

impl ContainerError {
    /// True when the registry could not be reached: no network, a server that is down or busy, a broken connection. It
    /// may be available later. Missing or wrong data do not count.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Http { source, .. } if source.is_transient())
    }

    /// True when the registry does not have it, or not for who asks.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}
