//! Why a chart is not available.

use super::ChartRef;
use crate::containers::BadName;
use labimg_store::StoreError;
use labimg_store::http::HttpError;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::hash::Sha256;

/// What helps against a repository that serves something else.
const ELSEWHERE: &str = "try again later, or use another mirror of charts (`k3s.charts`)";

/// Why a chart is not available.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// Its repository does not answer.
    #[error("chart {} {} of {} cannot be looked up", chart.name, chart.version, chart.repository)]
    Http {
        /// The chart.
        chart: Box<ChartRef>,
        /// The cause.
        source: HttpError,
    },
    /// There is no repository at its address.
    #[error(
        "chart {} {}: there is no repository of charts: {url} does not exist",
        chart.name, chart.version
    )]
    NoRepository {
        /// The chart.
        chart: Box<ChartRef>,
        /// Address of the index.
        url: String,
    },
    /// The names of repository, chart and version make no address in a registry.
    #[error("chart {} {} of {} has no address", chart.name, chart.version, chart.repository)]
    Name {
        /// The chart.
        chart: Box<ChartRef>,
        /// What is wrong.
        source: BadName,
    },
    /// The registry does not have it.
    #[error("chart {} {}: {url} does not exist", chart.name, chart.version)]
    Refused {
        /// The chart.
        chart: Box<ChartRef>,
        /// Address of its manifest.
        url: String,
    },
    /// The repository's index does not have it, or cannot be read.
    #[error("chart {} {} cannot be found in {url}", chart.name, chart.version)]
    Index {
        /// The chart.
        chart: Box<ChartRef>,
        /// Address of the index.
        url: String,
        /// What is wrong.
        source: IndexError,
    },
    /// The archive is not the one that the index lists.
    #[error("chart {} {}: {url} has the SHA-256 {found}, and the repository's index says {expected}", chart.name, chart.version)]
    Hash {
        /// The chart.
        chart: Box<ChartRef>,
        /// Address of the archive.
        url: String,
        /// The hash in the index.
        expected: Sha256,
        /// The hash of the downloaded bytes.
        found: Sha256,
    },
    /// What is at the archive's address is no chart.
    #[error("chart {} {}: {url} is no archive of a chart: {what}", chart.name, chart.version)]
    NoArchive {
        /// The chart.
        chart: Box<ChartRef>,
        /// Address of the archive.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// It cannot be downloaded or stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wrong with a repository's index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Not in Helm's format.
    #[error("it is not an index of a chart repository: {0}")]
    Format(String),
    /// Not the manifest of a chart in a registry.
    #[error("it is not the manifest of a chart: {0}")]
    Manifest(String),
    /// It has no chart with this name.
    #[error("it has no chart of this name")]
    NoChart,
    /// It only has other versions of the chart.
    #[error("it has no such version of it; the newest ones: {}", .0.join(", "))]
    NoVersion(Vec<String>),
    /// It has no hash or no address for the archive.
    #[error("it gives {0} for this version")]
    Lacks(&'static str),
}

impl Fault for ChartError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Http { source, .. } => source.kind(),
            Self::Name { .. } => FaultKind::Configuration,
            Self::NoRepository { .. } | Self::Refused { .. } | Self::Hash { .. } | Self::NoArchive { .. } => {
                FaultKind::World
            }
            Self::Index { source, .. } => source.kind(),
            Self::Store(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Http { source, .. } => source.help(),
            Self::NoRepository { .. } => Some("check the address of the repository".to_owned()),
            Self::Name { source, .. } => source.help(),
            Self::Refused { .. } => Some("check the chart's name and version".to_owned()),
            Self::Index { source, .. } => source.help(),
            Self::NoArchive { .. } | Self::Hash { .. } => Some(ELSEWHERE.to_owned()),
            Self::Store(source) => source.help(),
        }
    }
}

impl Fault for IndexError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Format(_) | Self::Manifest(_) | Self::NoChart | Self::NoVersion(_) | Self::Lacks(_) => {
                FaultKind::World
            }
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Format(_) | Self::Manifest(_) | Self::Lacks(_) => ELSEWHERE,
            Self::NoChart | Self::NoVersion(_) => {
                "check the chart's name and version where it is named; a mirror (`k3s.charts`) may lack it yet"
            }
        };
        Some(help.to_owned())
    }
}

impl ChartError {
    /// True when the repository could not be reached: no network, a server that is down or busy, a broken connection.
    /// It may be available later. Missing or wrong files do not count.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Http { source, .. } if source.is_transient())
    }

    /// True when labimg cannot get the chart from the repository although a cluster may: it may need a password, be in
    /// another network, or name a registry. A missing chart or version is a mistake instead.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Http { source, .. } => !matches!(source, HttpError::Interrupted(_)),
            Self::NoRepository { .. } | Self::Refused { .. } => true,
            Self::Index { source, .. } => {
                matches!(source, IndexError::Format(_) | IndexError::Manifest(_) | IndexError::Lacks(_))
            }
            Self::Name { .. } | Self::Hash { .. } | Self::NoArchive { .. } | Self::Store(_) => false,
        }
    }
}
