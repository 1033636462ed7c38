//! Why a lock could not be made.

use std::io;
use std::path::PathBuf;

use super::openpgp::{KeyringError, SignatureError, Signer};
use super::release::{ANOTHER_MIRROR, ReleaseError};
use super::resolve::ResolveError;
use super::table::TableError;
use crate::deb822::Deb822Error;
use labimg_store::StoreError;
use labimg_store::http::HttpError;
use labimg_tree::fault::{Fault, FaultKind};

/// Why a lock could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A keyring cannot be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The mirror does not deliver a release file.
    #[error("the mirror {mirror} cannot be asked for its packages")]
    Mirror {
        /// The mirror's addresses and where they come from.
        mirror: String,
        /// The cause.
        source: HttpError,
    },
    /// The mirror has no such suite.
    #[error("the mirror has no suite `{suite}`: {url} does not exist")]
    NoSuite {
        /// The suite.
        suite: String,
        /// The address where it should be.
        url: String,
    },
    /// A release file is not signed by a trusted key.
    #[error("{url} is not trusted")]
    Signature {
        /// The file.
        url: String,
        /// The cause.
        source: SignatureError,
    },
    /// A release file must not be used.
    #[error("{url}, signed by {signers}, must not be used")]
    Release {
        /// The file.
        url: String,
        /// The keys that signed it, each with fingerprint and user ID.
        signers: String,
        /// The cause.
        source: Box<ReleaseError>,
    },
    /// A release file does not list an index.
    #[error("{url} lists no `{path}`: this archive has no such component or architecture")]
    NoIndex {
        /// The release file.
        url: String,
        /// The index.
        path: String,
    },
    /// A verified index cannot be decompressed.
    #[error("the index {url} cannot be unpacked")]
    Unpack {
        /// The index file.
        url: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A verified index cannot be parsed.
    #[error("the index {url} cannot be read")]
    Index {
        /// The index file.
        url: String,
        /// The cause.
        source: TableError,
    },
    /// A table in the cache was damaged.
    #[error("{}, line {line}: the file is damaged", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
    },
    /// The control file of a locked package cannot be used.
    #[error("the control file of {package} {version}: {what}")]
    Control {
        /// The package's name in the lock.
        package: String,
        /// Its version there.
        version: String,
        /// What is wrong with the file.
        what: String,
    },
    /// A suite such as `stable` is another release now than when the lock was made.
    #[error("the lock is of {locked} and the mirror's release is {now}: they do not go together")]
    Moved {
        /// Code name in the lock.
        locked: String,
        /// Code name now.
        now: String,
    },
    /// A digest in a table of the cache was damaged.
    #[error("the cache has a damaged digest for package {0}")]
    Digest(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The packages cannot be installed together.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}

impl Fault for LockError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Keyring(source) => source.kind(),
            Self::Mirror { source, .. } => source.kind(),
            Self::NoSuite { .. } => FaultKind::Usage,
            Self::Signature { source, .. } => source.kind(),
            Self::Release { source, .. } => source.kind(),
            Self::Index { source, .. } => source.kind(),
            Self::Unpack { source, .. } => Fault::kind(source),
            Self::NoIndex { .. } | Self::Table { .. } | Self::Control { .. } | Self::Digest(_) => FaultKind::World,
            // The suite in the lock and the request is another release now.
            Self::Moved { .. } => FaultKind::Configuration,
            Self::Store(source) => source.kind(),
            Self::Resolve(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Keyring(source) => source.help(),
            Self::Mirror { source, .. } => source.help(),
            Self::Signature { source, .. } => source.help(),
            Self::Release { source, .. } => source.help(),
            Self::Store(source) => source.help(),
            Self::Resolve(source) => source.help(),
            Self::NoSuite { .. } => Some(
                "check the suite's name and the mirror's address; --mirror ARCHIVE,SECURITY names both archives"
                    .to_owned(),
            ),
            Self::Unpack { .. } | Self::Index { .. } | Self::NoIndex { .. } => Some(ANOTHER_MIRROR.to_owned()),
            Self::Digest(_) => Some("`labimg cache verify` finds damaged files".to_owned()),
            Self::Table { .. } => Some("delete the file: the next run makes it again".to_owned()),
            Self::Control { .. } => Some("`labimg lock` writes the lock anew".to_owned()),
            Self::Moved { .. } => Some("`labimg update` without a name renews everything".to_owned()),
        }
    }
}

impl LockError {
    pub(super) fn release(url: String, signers: &[Signer], source: ReleaseError) -> Self {
        let signers = signers.iter().map(Signer::to_string).collect::<Vec<_>>().join(", ");
        Self::Release { url, signers, source: Box::new(source) }
    }
}

/// Why no mirror could be chosen.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// A mirror that is not `http://` or `https://`.
    #[error("the mirror `{0}` is not an http or https URL")]
    Url(String),
    /// A list of the host's apt cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A list of the host's apt has a wrong syntax.
    #[error("{} is not a list of apt's sources", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line and what is wrong.
        source: Deb822Error,
    },
}

/// A mirror comes from the command line or from a list of the host's apt.
impl Fault for MirrorError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Url(_) => FaultKind::Usage,
            Self::Read { .. } | Self::Syntax { .. } => FaultKind::Configuration,
        }
    }
    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Url(_) => "give one such as `https://mirror.example/debian`",
            Self::Read { .. } => "name a mirror with --mirror",
            Self::Syntax { .. } => "mend it, or name a mirror with --mirror",
        };
        Some(help.to_owned())
    }
}
