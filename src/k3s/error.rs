//! What can go wrong on the way to a k3s for the image.

use std::io;
use std::path::PathBuf;

use super::sums::SumsError;
use crate::names;
use labimg_store::http::HttpError;
use labimg_store::{SourceError, StoreError};
use labimg_tree::fault::{Fault, FaultKind};

/// Why there is no k3s for the image.
#[derive(Debug, thiserror::Error)]
pub enum K3sError {
    /// Not the name of a release.
    #[error("`{0}` is not a k3s release")]
    Version(String),
    /// Not an address of releases.
    #[error("`{0}` cannot be the address of the k3s releases")]
    Url(String),
    /// k3s is not made for it.
    #[error("there is not a k3s release for the architecture {0}")]
    Architecture(String),
    /// The release, or a file of it, is not there.
    #[error("k3s {version}: {url} does not exist (404)")]
    NoRelease {
        /// Which release.
        version: String,
        /// What was asked for.
        url: String,
    },
    /// Checksums or size could not be had.
    #[error("k3s {version} cannot be looked up")]
    Http {
        /// Which release.
        version: String,
        /// Why.
        source: HttpError,
    },
    /// The checksum file is of no use.
    #[error("k3s {version}: {url} is not the checksum file of a release")]
    Sums {
        /// Which release.
        version: String,
        /// Where it came from.
        url: String,
        /// What is wrong.
        source: SumsError,
    },
    /// The server gives the program without its size.
    #[error("k3s {version}: {url}: the server does not say how large the file is")]
    NoSize {
        /// Which release.
        version: String,
        /// What was asked for.
        url: String,
    },
    /// Its checksums would come from a mirror that anybody on the way to it can pretend to be.
    #[error("k3s {version}: nothing proves what {url} gives")]
    Open {
        /// Which release.
        version: String,
        /// The address of the releases.
        url: String,
    },
    /// What the server gives under this name, and the checksum file names, is something else.
    #[error("k3s {version}: {url} is {what}")]
    Other {
        /// Which release.
        version: String,
        /// What was asked for.
        url: String,
        /// What it is instead.
        what: String,
    },
    /// The program could not be had, or is another one than the checksum file names.
    #[error("k3s {version} cannot be downloaded")]
    Store {
        /// Which release.
        version: String,
        /// Why.
        source: StoreError,
        /// Where its checksum was remembered from an earlier build.
        remembered: Option<PathBuf>,
    },
    /// What was downloaded cannot be read back.
    #[error("k3s {version} cannot be read from the cache")]
    Entry {
        /// Which release.
        version: String,
        /// Why.
        source: std::io::Error,
    },
    /// The user's own file cannot be read.
    #[error("--k3s-bin {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The user's own file is not k3s.
    #[error("--k3s-bin {}: {what}", path.display())]
    NotK3s {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: String,
    },
    /// A file for the image, and the wish not to have it there.
    #[error("--k3s-bin {} goes into the image, and --k3s first-boot leaves k3s out of it", .0.display())]
    Contradiction(PathBuf),
}

impl Fault for K3sError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Version(_) | Self::Url(_) | Self::Open { .. } => FaultKind::Configuration,
            Self::Read { .. } | Self::NotK3s { .. } | Self::Contradiction(_) => FaultKind::Usage,
            Self::Architecture(_) | Self::NoRelease { .. } | Self::NoSize { .. } | Self::Other { .. } => {
                FaultKind::World
            }
            Self::Http { source, .. } => source.kind(),
            Self::Sums { source, .. } => source.kind(),
            Self::Store { source, .. } => source.kind(),
            Self::Entry { .. } => FaultKind::World,
        }
    }

    fn help(&self) -> Option<String> {
        let help = |text: &str| Some(text.to_owned());
        match self {
            Self::Version(_) => {
                help("a release looks like v1.36.5+k3s1; https://github.com/k3s-io/k3s/releases lists them")
            }
            Self::Url(_) => help(names::MIRROR_HELP),
            Self::NoRelease { .. } => help("is that the version you mean? A mirror may not have it yet"),
            Self::Http { source, .. } => source.help(),
            Self::Sums { .. } | Self::NoSize { .. } | Self::Other { .. } => {
                help("use another mirror, or --k3s-bin FILE")
            }
            Self::Open { .. } => help(
                "give the mirror https, or build where its checksums can be had from the project's own releases, or from a lock \
                 that was made there",
            ),
            Self::Store { source, remembered: None, .. } => source.help(),
            Self::Store { source, remembered: Some(path), .. } => {
                let note = format!(
                    "its checksum is that of an earlier build: remove {} if the release was replaced since",
                    path.display()
                );
                Some(source.help().into_iter().chain([note]).collect::<Vec<_>>().join("\n"))
            }
            Self::Contradiction(_) => help("give one of the two"),
            Self::Entry { source, .. } => source.help(),
            Self::Architecture(_) | Self::Read { .. } | Self::NotK3s { .. } => None,
        }
    }
}

impl K3sError {
    /// True when the release could not be reached (no network, the server is down or busy, transfers break off), so that it
    /// may well be there later. What is missing or wrong there does not count.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Http { source, .. } => source.is_transient(),
            Self::Store { source: StoreError::Fetch(failed), .. } => {
                let mut causes = failed.iter().flat_map(|f| &f.causes).peekable();
                causes.peek().is_some() && causes.all(|c| matches!(c, SourceError::Http(e) if e.is_transient()))
            }
            _ => false,
        }
    }
}
