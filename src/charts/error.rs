//! What can be wrong with a chart.

use super::ChartRef;
use labimg_store::StoreError;
use labimg_store::http::HttpError;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::hash::Sha256;

/// Why there is no chart.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// Its repository does not answer.
    #[error("chart {} {} of {} cannot be looked up", chart.name, chart.version, chart.repository)]
    Http {
        /// Which.
        chart: Box<ChartRef>,
        /// Why.
        source: HttpError,
    },
    /// There is no repository at its address.
    #[error(
        "chart {} {}: there is no repository of charts: {url} does not exist",
        chart.name, chart.version
    )]
    NoRepository {
        /// Which.
        chart: Box<ChartRef>,
        /// The index that was asked for.
        url: String,
    },
    /// The repository's index does not have it, or cannot be read.
    #[error("chart {} {} cannot be found in {url}", chart.name, chart.version)]
    Index {
        /// Which.
        chart: Box<ChartRef>,
        /// The index.
        url: String,
        /// What is wrong.
        source: IndexError,
    },
    /// The archive is not the one that the index lists.
    #[error("chart {} {}: {url} has the SHA-256 {found}, and the repository's index says {expected}", chart.name, chart.version)]
    Hash {
        /// Which.
        chart: Box<ChartRef>,
        /// The archive.
        url: String,
        /// By the index.
        expected: Sha256,
        /// By its bytes.
        found: Sha256,
    },
    /// It cannot be downloaded or kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wrong with a repository's index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Not what Helm writes.
    #[error("it is not an index of a chart repository: {0}")]
    Format(String),
    /// No chart of this name.
    #[error("it has no chart of this name")]
    NoChart,
    /// The chart has other versions only.
    #[error("it has no such version of it; the newest ones: {}", .0.join(", "))]
    NoVersion(Vec<String>),
    /// Nothing to check the archive by, or no place where it lies.
    #[error("it gives {0} for this version")]
    Lacks(&'static str),
}

impl Fault for ChartError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Http { source, .. } => source.kind(),
            Self::NoRepository { .. } | Self::Hash { .. } => FaultKind::World,
            Self::Index { source, .. } => source.kind(),
            Self::Store(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Http { source, .. } => source.help(),
            Self::NoRepository { .. } => Some("check the address of the repository".to_owned()),
            Self::Index { source, .. } => source.help(),
            Self::Hash { .. } => None,
            Self::Store(source) => source.help(),
        }
    }
}

impl Fault for IndexError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Format(_) | Self::NoChart | Self::NoVersion(_) | Self::Lacks(_) => FaultKind::World,
        }
    }
}

impl ChartError {
    /// True when the repository could not be asked: no network, a server that is down or busy, a connection that broke. It
    /// may well be there later. What is missing or wrong there does not count.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Http { source, .. } if source.is_transient())
    }

    /// True when the repository does not give the chart in a way that labimg takes it, though a cluster may: it may want a
    /// password, be in another network, or name a registry. A chart or version that it does not have is a mistake.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Http { source, .. } => !matches!(source, HttpError::Interrupted(_)),
            Self::NoRepository { .. } => true,
            Self::Index { source, .. } => matches!(source, IndexError::Format(_) | IndexError::Lacks(_)),
            Self::Hash { .. } | Self::Store(_) => false,
        }
    }
}
