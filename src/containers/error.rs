//! What can be wrong with a container image.

use super::ImageName;
use labimg_store::StoreError;
use labimg_store::http::HttpError;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::hash::Sha256;

/// Why there is no container image.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// Its registry does not answer.
    #[error("container image {name} cannot be looked up")]
    Http {
        /// Which.
        name: Box<ImageName>,
        /// Why.
        source: HttpError,
    },
    /// The registry does not have it, or not for everyone.
    #[error("container image {name}: the registry gives no such image to anyone who asks ({url})")]
    Refused {
        /// Which.
        name: Box<ImageName>,
        /// What was asked for.
        url: String,
    },
    /// What the registry says of it cannot be used.
    #[error("container image {name}: {url} cannot be used")]
    Document {
        /// Which.
        name: Box<ImageName>,
        /// The document.
        url: String,
        /// What is wrong.
        source: DocumentError,
    },
    /// The registry sends something else than it was asked for.
    #[error("container image {name}: {url} has another SHA-256, {found}")]
    Hash {
        /// Which.
        name: Box<ImageName>,
        /// What was asked for, by its digest.
        url: String,
        /// By its bytes.
        found: Sha256,
    },
    /// The archive of all of them cannot be laid out.
    #[error("the archive of container images cannot be made")]
    Archive(#[source] std::io::Error),
    /// It cannot be downloaded or kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wrong with what a registry says of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not what the specification describes.
    #[error("it does not describe an image: {0}")]
    Format(String),
    /// Of before 2015.
    #[error("it is of schema version {0}, which container runtimes no longer take")]
    Old(u32),
    /// Not for the board.
    #[error("it is not for {wanted}, but for {}", if there.is_empty() { "nothing".to_owned() } else { there.join(", ") })]
    NoPlatform {
        /// Such as `linux/arm64`.
        wanted: String,
        /// What there is.
        there: Vec<String>,
    },
    /// A part is named in another way than by its SHA-256.
    #[error("the digest `{0}` is not a SHA-256")]
    Digest(String),
    /// An index where only a manifest can be.
    #[error("it is an index, and a manifest is expected here")]
    Index,
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
            Self::Http { source, .. } => source.help(),
            Self::Refused { .. } => {
                Some("check the name; an image that needs a password cannot be put into images".to_owned())
            }
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
}

impl ContainerError {
    /// True when the registry could not be asked: no network, a server that is down or busy, a connection that broke. It may
    /// well be there later. What is missing or wrong there does not count.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Http { source, .. } if source.is_transient())
    }

    /// True when the registry does not have it, or not for everyone.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}
